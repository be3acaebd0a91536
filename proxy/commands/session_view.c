#include "proxy/commands/session_view.h"

#include "authz/budget.h"
#include "proxy/commands/term.h"
#include "proxy/commands/words.h"

#include <string.h>

static struct slice next_line(struct slice *head)
{
    size_t end = slice_find(*head, '\n');
    struct slice line = slice_of(head->ptr, end > 0 && end < head->len && head->ptr[end - 1] == '\r' ? end - 1 : end);
    *head = slice_from(*head, end < head->len ? end + 1 : end);
    return line;
}

char *head_field(struct slice head, const char *name, char *out, size_t out_max)
{
    out[0] = 0;
    next_line(&head);
    while (head.len > 0) {
        struct slice line = next_line(&head);
        size_t colon = slice_find(line, ':');
        if (colon == line.len || !slice_ieq(slice_of(line.ptr, colon), slice_str(name)))
            continue;
        struct slice value = slice_trim(slice_from(line, colon + 1));
        size_t n = value.len < out_max - 1 ? value.len : out_max - 1;
        memcpy(out, value.ptr, n);
        out[n] = 0;
        return out;
    }
    return out;
}

void head_request_line(struct slice head, struct slice *method, struct slice *target)
{
    struct slice line = next_line(&head);
    size_t space = slice_find(line, ' ');
    *method = slice_of(line.ptr, space);
    struct slice rest = space < line.len ? slice_from(line, space + 1) : slice_of(line.ptr, 0);
    size_t end = rest.len;
    while (end > 0 && rest.ptr[end - 1] != ' ')
        end--;
    *target = slice_of(rest.ptr, end > 0 ? end - 1 : rest.len);
}

static const struct row {
    const char *type, *words;
    const char *members[4];
} rows[] = {
    { "request.created", "asked for access", { "person", "tool", "reason", "item" } },
    { "external.admitted", "nobody here was asked: an issuer's token was admitted", { "item", "token_id", NULL, NULL } },
    { "grant.carried", "grant carried over to a renewed certificate", { "grant_id", "x5t", NULL, NULL } },
    { "grant.issued", "grant issued", { "grant_id", "item", NULL, NULL } },
    { "break-glass.used", "BREAK-GLASS: access without a second person; a review is owed", { "person", "tool", "reason", "review" } },
    { "auto.approved", "granted by rule, without a second person", { "rule", "item", NULL, NULL } },
    { "review.overdue", "the review is OVERDUE: nobody has done it in time", { "person", "review", NULL, NULL } },
    { "review.done", "reviewed", { "outcome", "by", "words", NULL } },
    { "grant.started", "first use: the time of the grant begins", { "grant_id", NULL, NULL, NULL } },
    { "grant.ended", "grant ended", { "grant_id", "why", NULL, NULL } },
    { "notice.acknowledged", "was told that the session is recorded", { "identity", NULL, NULL, NULL } },
    { "held.created", "request held", { "item", "action", "method", "target" } },
    { "signoff.used", "sign-off used: the held request is sent", { "item", NULL, NULL, NULL } },
    { "outcome", "outcome", { "item", "outcome", NULL, NULL } },
    { "item.expired", "expired", { "item", NULL, NULL, NULL } },
    { "item.cancelled", "cancelled", { "item", "why", NULL, NULL } },
    { "lock", "lock", { "kind", "value", "reason", "by" } },
    { "unlock", "unlock", { "lock_id", "reason", "by", NULL } },
    { "session.read", "looked at", { "by", "purpose", NULL, NULL } },
};

/* An approval's or denial's statement is what counts: who, with which key, to what. */
static void print_approval(FILE *out, const json_t *content)
{
    const json_t *s = json_object_get(content, "statement");
    const json_t *scope = json_object_get(s, "scope");
    char text[WORDS_MAX];
    term_str(out, json_text(s, "approver"));
    if (json_text(scope, "on_behalf_of")[0] != 0) {
        fputs(", in the place of ", out);
        term_str(out, json_text(scope, "on_behalf_of"));
        fputc(',', out);
    }
    fputs(json_text_is(s, "decision", "approve") ? " said yes to " : " said no to ", out);
    term_str(out, json_text(content, "item"));
    if (json_text_is(s, "purpose", "signoff")) {
        fputs(": ", out);
        term_str(out, json_text(scope, "action"));
        fputs(", ", out);
        term_str(out, json_text(scope, "method"));
        fputs(" https://", out);
        term_str(out, json_text(scope, "authority"));
        term_str(out, json_text(scope, "target"));
    } else {
        fprintf(out, ": %s of ", words_duration(json_number(scope, "duration_s"), text));
        term_str(out, json_text(scope, "tool"));
        fputs(" for ", out);
        term_str(out, json_text(s, "requester"));
    }
    fputs(", key ", out);
    term_str(out, json_text(s, "key"));
}

static void print_row(FILE *out, const struct row *r, const json_t *content)
{
    fputs(r->words, out);
    for (size_t i = 0; i < 4 && r->members[i] != NULL; i++) {
        const char *text = json_text(content, r->members[i]);
        if (text[0] == 0)
            continue;
        fprintf(out, "%s%s ", i ? ", " : ": ", r->members[i]);
        term_str(out, text);
    }
}

void view_decisions(FILE *out, const json_t *leaves)
{
    char day[WORDS_MAX];
    size_t i;
    json_t *leaf;
    json_array_foreach(leaves, i, leaf) {
        const json_t *content = json_object_get(leaf, "content");
        const char *type = json_text(leaf, "type");
        const struct row *r = NULL;
        bool approval = strcmp(type, "approval") == 0 || strcmp(type, "denial") == 0;
        for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++)
            if (strcmp(rows[k].type, type) == 0)
                r = &rows[k];
        if (!json_is_object(content) || (r == NULL && !approval))
            continue;
        fprintf(out, "  %s  ", words_time(json_number(leaf, "time_ms") / 1000, day));
        if (approval)
            print_approval(out, content);
        else
            print_row(out, r, content);
        if (json_text(leaf, "node")[0] != 0) {
            fputs("  [", out);
            term_str(out, json_text(leaf, "node"));
            fprintf(out, ", leaf %lld]", (long long)json_number(leaf, "seq"));
        }
        fputc('\n', out);
    }
}

const char *view_reason(const json_t *leaves)
{
    size_t i;
    json_t *leaf;
    json_array_foreach(leaves, i, leaf) {
        const char *reason = json_text(json_object_get(leaf, "content"), "reason");
        if (json_text_is(leaf, "type", "request.created") && reason[0] != 0)
            return reason;
    }
    return "";
}

/* Who said yes to this held request, as a new array of names. */
static json_t *who_said_yes(const json_t *leaves, const char *item)
{
    size_t i;
    json_t *leaf, *names = json_array();
    json_array_foreach(leaves, i, leaf) {
        const json_t *content = json_object_get(leaf, "content"), *s = json_object_get(content, "statement");
        if (json_text_is(leaf, "type", "approval") && json_text_is(content, "item", item))
            json_array_append_new(names, json_string(json_text(s, "approver")));
    }
    return names;
}

static void print_notes(FILE *out, const struct archive_exchange *x, const json_t *leaves)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)x->notes, name, value) {
        if (!json_is_string(value))
            continue;
        fputs("  ", out);
        term_str(out, name);
        fputc(' ', out);
        term_str(out, json_string_value(value));
        json_t *names = who_said_yes(leaves, json_string_value(value)), *who;
        size_t i;
        json_array_foreach(names, i, who) {
            fputs(i ? ", " : ", yes of ", out);
            term_str(out, json_string_value(who));
        }
        json_decref(names);
    }
}

/* Of several nodes' recordings each line says whose it is. */
static void print_proof(FILE *out, const struct archive_exchange *x)
{
    fputs("  [", out);
    term_str(out, x->node);
    fputs(", record ", out);
    term_text(out, x->response_record.len > 0 ? x->response_record : x->request_record);
    if (x->leaf > 0)
        fprintf(out, ", leaf %llu]", (unsigned long long)x->leaf);
    else
        fputs(", not logged yet]", out);
}

void view_exchange_line(FILE *out, size_t number, const struct archive_exchange *x, const json_t *leaves)
{
    struct slice method, target;
    char time[WORDS_MAX], size[WORDS_MAX];
    head_request_line(x->request_head, &method, &target);
    fprintf(out, "%4zu  %s  ", number, words_clock(x->started_ms, time));
    term_text(out, method);
    fputc(' ', out);
    term_text(out, target);
    if (x->status != 0)
        fprintf(out, "  %u", x->status);
    else
        fputs("  no answer", out);
    fprintf(out, "  %s", words_bytes((size_t)(x->response_bytes + x->response_omitted), size));
    if (x->request_bytes + x->request_omitted > 0)
        fprintf(out, " (sent %s)", words_bytes((size_t)(x->request_bytes + x->request_omitted), size));
    if (x->sizes_only)
        fputs(", bodies not kept by policy", out);
    fputs("  ", out);
    term_text(out, x->action.len > 0 ? x->action : SLICE("-"));
    if (x->names.len > 0) {
        fputs("  ", out);
        term_text(out, x->names);
    }
    if (!x->from_tool)
        fputs("  answered by the gateway", out);
    print_notes(out, x, leaves);
    if (x->why.len > 0) {
        fputs("  ended: ", out);
        term_text(out, x->why);
    }
    if (x->node != NULL)
        print_proof(out, x);
    fputs(x->request_cut || x->response_cut ? "  cut off\n" : "\n", out);
}

/* Recorded bytes are not always UTF-8: then escaped. */
static json_t *text_of(struct slice s)
{
    json_t *v = json_stringn(s.ptr ? (const char *)s.ptr : "", s.len);
    char escaped[2048];
    return v != NULL ? v : json_string(term_escape(s, escaped, sizeof escaped));
}

static json_t *messages_json(const struct archive_exchange *x)
{
    json_t *list = json_array();
    for (size_t i = 0; i < x->message_count; i++) {
        const struct archive_ws_message *m = &x->messages[i];
        json_array_append_new(list, json_pack("{s:I, s:I, s:o, s:o, s:I, s:b, s:b}", "number", (json_int_t)m->number, "time_ms", (json_int_t)m->time_ms,
                                              "from", text_of(m->from), "opcode", text_of(m->opcode), "bytes", (json_int_t)m->length, "compressed",
                                              m->compressed, "cut", m->cut));
    }
    return list;
}

/* ["customer=17", "customer=18"] */
static json_t *names_json(struct slice names)
{
    json_t *list = json_array();
    struct slice one;
    while (budget_name_next(&names, &one))
        json_array_append_new(list, text_of(one));
    return list;
}

json_t *view_exchange_json(size_t number, const struct archive_exchange *x, const json_t *leaves)
{
    struct slice method, target;
    const char *held = json_text(x->notes, "held");
    head_request_line(x->request_head, &method, &target);
    json_t *o = json_pack("{s:I, s:I, s:I, s:I, s:o, s:o, s:i, s:I, s:I, s:o, s:o, s:b, s:b, s:b, s:i, s:i}", "number", (json_int_t)number, "id", (json_int_t)x->id,
                          "started_ms", (json_int_t)x->started_ms, "ended_ms", (json_int_t)x->ended_ms, "method", text_of(method), "target", text_of(target),
                          "status", (int)x->status, "request_bytes", (json_int_t)(x->request_bytes + x->request_omitted), "response_bytes",
                          (json_int_t)(x->response_bytes + x->response_omitted),
                          "action", text_of(x->action), "why", text_of(x->why), "from_tool", x->from_tool, "request_cut", x->request_cut, "response_cut",
                          x->response_cut, "first_segment", (int)x->first_segment, "last_segment", (int)x->last_segment);
    if (x->node != NULL)
        json_object_update_new(o, json_pack("{s:s, s:I, s:o}", "node", x->node, "leaf", (json_int_t)x->leaf, "record_id",
                                            text_of(x->response_record.len > 0 ? x->response_record : x->request_record)));
    if (x->sizes_only)
        json_object_update_new(o, json_pack("{s:s, s:I, s:I}", "record", "metadata", "request_omitted", (json_int_t)x->request_omitted, "response_omitted",
                                            (json_int_t)x->response_omitted));
    if (x->names.len > 0)
        json_object_set_new(o, "touched", names_json(x->names));
    if (x->secrets.len > 0)
        json_object_set_new(o, "secrets", names_json(x->secrets));
    if (x->removed > 0)
        json_object_set_new(o, "removed", json_integer((json_int_t)x->removed));
    if (x->notes != NULL)
        json_object_set_new(o, "notes", json_deep_copy(x->notes));
    if (x->message_count > 0)
        json_object_set_new(o, "messages", messages_json(x));
    if (held[0] != 0)
        json_object_set_new(o, "signed_off_by", who_said_yes(leaves, held));
    return o;
}

enum { MESSAGE_SHOWN = 512 };

void view_messages(FILE *out, const struct archive_exchange *x)
{
    char time[WORDS_MAX], size[WORDS_MAX];
    for (size_t i = 0; i < x->message_count; i++) {
        const struct archive_ws_message *m = &x->messages[i];
        bool text = slice_eq(m->opcode, SLICE("text")) && !m->compressed, long_one = text && m->data.len > MESSAGE_SHOWN;
        fprintf(out, "      %s  ", words_clock(m->time_ms, time));
        term_text(out, m->from);
        fputs(": ", out);
        term_text(out, m->opcode);
        fprintf(out, ", %s%s", words_bytes((size_t)m->length, size), m->compressed ? ", compressed" : "");
        fputs(!m->omitted ? "" : x->sizes_only ? ", not kept by policy" : ", too long to be kept in full, or not readable", out);
        if (text && m->data.len > 0) {
            fputs(": ", out);
            term_text(out, slice_of(m->data.ptr, long_one ? MESSAGE_SHOWN : m->data.len));
        }
        fputs(long_one ? " …" : "", out);
        fputs(m->cut ? "  cut off\n" : "\n", out);
    }
}

void view_bad_segments(FILE *out, const struct archive *a)
{
    for (size_t i = 0; i < archive_bad_segments(a); i++) {
        unsigned number = 0;
        const char *why = archive_bad_segment(a, i, &number);
        if (number > 0)
            fprintf(out, "segment %u cannot be read: ", number);
        term_str(out, why);
        fputc('\n', out);
    }
}

void view_exchange_end(FILE *out, const struct archive_exchange *x)
{
    char size[WORDS_MAX];
    if (x->request_omitted > 0)
        fprintf(out, "  [the request's body, %s, was not kept: policy records no bodies here]\n", words_bytes((size_t)x->request_omitted, size));
    if (x->response_omitted > 0)
        fprintf(out, "  [the response's body, %s, was not kept: policy records no bodies here]\n", words_bytes((size_t)x->response_omitted, size));
    if (x->request_cut)
        fputs("  [the request was cut off]\n", out);
    if (x->response_cut)
        fputs("  [the response was cut off]\n", out);
    if (x->why.len > 0) {
        fputs("  [it ended: ", out);
        term_text(out, x->why);
        fputs("]\n", out);
    }
}
