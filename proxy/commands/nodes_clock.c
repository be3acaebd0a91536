/* Nodes have clocks of their own, and a timeline of several nodes is only as good as those agree. What all of them saw is the tool: it puts its own time, in whole seconds, into its answers (Date,
 * RFC 9110 s6.6.1). The tool answered between the beginning and the end of the exchange, so each such answer says how far the node's clock can be ahead of the tool's:
 *
 *     began - (Date + 1 s)  <  ahead  <=  ended - Date
 *
 * and what lies between the largest lower and the smallest upper bound holds for all of them. The difference of two nodes follows, whatever the tool's clock is worth. */
#include "proxy/commands/nodes.h"

#include "proxy/commands/session_view.h"
#include "proxy/commands/term.h"
#include "proxy/commands/words.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* How far a node's clock is ahead of the tool's, in ms. */
struct ahead {
    uint64_t answers;
    int64_t least, most;
};

/* IMF-fixdate only, which is what servers have to send. */
static bool read_date(const char *text, int64_t *ms)
{
    struct tm tm = { 0 };
    const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    if (end == NULL || *end != 0 || strlen(text) != 29)
        return false;
    *ms = (int64_t)timegm(&tm) * 1000;
    return true;
}

/* An answer out of a cache (Age) has the time of another one. */
static void take(struct ahead *a, const struct archive_exchange *x)
{
    char date[64], age[16];
    int64_t ms;
    if (!x->from_tool || x->status < 200 || x->ended_ms < x->started_ms || head_field(x->response_head, "age", age, sizeof age)[0] != 0
        || !read_date(head_field(x->response_head, "date", date, sizeof date), &ms))
        return;
    int64_t least = x->started_ms - ms - 1000, most = x->ended_ms - ms;
    a->least = a->answers == 0 || least > a->least ? least : a->least;
    a->most = a->answers == 0 || most < a->most ? most : a->most;
    a->answers++;
}

static enum status look(const struct node *n, const struct age_keys *keys, struct ahead *out, struct err *err)
{
    struct archive *a = NULL;
    struct err why = { "" };
    *out = (struct ahead){ 0 };
    if (n->e.recording == NULL)
        return OK;
    enum status st = archive_sample(n->e.recording, keys, &a, &why);
    if (st == NO_MEMORY)
        return fail(err, st, "recording");
    for (size_t i = 0; st == OK && i < archive_count(a); i++)
        take(out, archive_at(a, i));
    if (st == OK)
        archive_free(a);
    return OK;
}

static double seconds(int64_t ms)
{
    return (double)ms / 1000;
}

/* Against the first node that can be compared. */
static json_t *difference(const struct node *n, const struct ahead *a, const struct node *with, const struct ahead *w)
{
    int64_t least = a->least - w->most, most = a->most - w->least, off = llabs(least) > llabs(most) ? llabs(least) : llabs(most);
    json_t *text = least > 0   ? json_sprintf("its clock is %.1f s to %.1f s ahead of %s's", seconds(least), seconds(most), with->name)
                   : most < 0  ? json_sprintf("its clock is %.1f s to %.1f s behind %s's", seconds(-most), seconds(-least), with->name)
                               : json_sprintf("its clock agrees with %s's to within %.1f s", with->name, seconds(off));
    return json_pack("{s:s, s:I, s:s, s:I, s:I, s:o}", "node", n->name, "answers", (json_int_t)a->answers, "compared_with", with->name, "least_ms", (json_int_t)least, "most_ms",
                     (json_int_t)most, "text", text);
}

static json_t *clock_of(const struct nodes *n, size_t i, const struct ahead *all, size_t first)
{
    const struct ahead *a = &all[i];
    if (i == first)
        return json_pack("{s:s, s:I, s:s}", "node", n->v[i].name, "answers", (json_int_t)a->answers, "text", "the other nodes' clocks are compared with its own");
    if (a->answers > 0 && a->least <= a->most && first < n->count)
        return difference(&n->v[i], a, &n->v[first], &all[first]);
    return json_pack("{s:s, s:I, s:s}", "node", n->v[i].name, "answers", (json_int_t)a->answers, "text",
                     a->answers == 0 ? "its clock can't be compared: none of the tool's answers that were looked at has a Date"
                     : a->least > a->most ? "its clock can't be compared: the Dates of the tool's answers contradict each other" : "there is no other node whose clock it could be compared with");
}

enum status nodes_clocks(const struct nodes *n, const struct age_keys *keys, json_t **out, struct err *err)
{
    struct ahead all[NODES_MAX];
    size_t first = n->count;
    json_t *list = json_array();
    enum status st = list != NULL ? OK : fail(err, NO_MEMORY, "clocks");
    for (size_t i = 0; i < n->count && st == OK; i++) {
        st = look(&n->v[i], keys, &all[i], err);
        if (st == OK && first == n->count && all[i].answers > 0 && all[i].least <= all[i].most)
            first = i;
    }
    for (size_t i = 0; i < n->count && st == OK; i++)
        if (node_knows(&n->v[i]) && json_array_append_new(list, clock_of(n, i, all, first)) != 0)
            st = fail(err, NO_MEMORY, "clocks");
    if (st == OK)
        *out = list;
    else
        json_decref(list);
    return st;
}

void nodes_print(FILE *out, const struct evidence *e)
{
    const json_t *nodes = json_object_get(e->info, "nodes");
    size_t i;
    json_t *one;
    if (json_array_size(nodes) == 0)
        return;
    fputs("\nRecorded by these nodes. Times are those of each node's own clock, and the order is theirs:\n", out);
    json_array_foreach(nodes, i, one) {
        fputs("  ", out);
        term_str(out, json_text(one, "node"));
        fputs(": ", out);
        term_str(out, json_text(one, "text"));
        fputc('\n', out);
    }
}
