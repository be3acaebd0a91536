#include "proxy/commands/session_list.h"

#include "proxy/commands/words.h"

#include <stdlib.h>
#include <string.h>

static char *add_number(struct client *c, char *path, const char *name, int64_t n)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)n);
    return client_query(c, path, name, n >= 0 ? text : NULL);
}

static enum status fetch_page(struct client *c, const struct session_filter *f, int64_t from, json_t **out, struct err *err)
{
    const struct { const char *name, *value; } texts[] = {
        { "person", f->person }, { "identity", f->identity }, { "tool", f->tool }, { "state", f->state }, { "action", f->action }, { "grant", f->grant }, { "basis", f->basis },
        { "customer", f->customer },
    };
    char *path = strdup("/api/v1/sessions");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        path = client_query(c, path, texts[i].name, texts[i].value);
    path = add_number(c, path, "since", f->since_s);
    path = add_number(c, path, "until", f->until_s);
    path = add_number(c, path, "from", from > 0 ? from : -1);
    enum status st = path != NULL ? client_get(c, path, out, err) : fail(err, NO_MEMORY, "sessions");
    free(path);
    return st;
}

/* A session that began meanwhile moves the others down a page: one that is there already is passed over. */
static enum status take_page(json_t *list, const json_t *page, size_t most, struct err *err)
{
    size_t i, k;
    json_t *s, *known;
    json_array_foreach(json_array_member(page, "sessions"), i, s) {
        bool twice = json_array_size(list) >= most;
        json_array_foreach(list, k, known)
            twice = twice || json_text_is(known, "id", json_text(s, "id"));
        if (!twice && json_array_append(list, s) != 0)
            return fail(err, NO_MEMORY, "sessions");
    }
    return OK;
}

enum status session_list_fetch(struct client *c, const struct session_filter *f, size_t most, json_t **out, struct err *err)
{
    json_t *list = json_array(), *erased = NULL;
    enum status st = list != NULL ? OK : fail(err, NO_MEMORY, "sessions");
    bool more = true;
    for (int64_t from = 0; st == OK && more && json_array_size(list) < most;) {
        json_t *page = NULL;
        st = fetch_page(c, f, from, &page, err);
        if (st == OK)
            st = take_page(list, page, most, err);
        if (erased == NULL)
            erased = json_incref(json_object_get(page, "erased"));
        int64_t next = json_number(page, "next");
        more = next > from;
        from = next;
        json_decref(page);
    }
    if (st == OK && (*out = json_pack("{s:O, s:O*}", "sessions", list, "erased", erased)) == NULL)
        st = fail(err, NO_MEMORY, "sessions");
    if (st == OK && more)
        json_object_set_new(*out, "more", json_true());
    json_decref(list);
    json_decref(erased);
    return st;
}

const char *erased_words(const json_t *list, char out[ERASED_WORDS_MAX])
{
    char when[WORDS_MAX];
    const json_t *erased = json_object_get(list, "erased");
    long long n = (long long)json_number(erased, "stories");
    out[0] = 0;
    if (n > 0)
        snprintf(out, ERASED_WORDS_MAX, "Retention has erased the history of %lld request%s for access or lock%s, the newest of which was over on %s: what is erased is not here.", n, n == 1 ? "" : "s", n == 1 ? "" : "s",
                 words_time(json_number(erased, "last_ms") / 1000, when));
    return out;
}
