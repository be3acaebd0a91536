/* The console's pages where people work: a request in full, keys, live sessions, locks. Each is a message or two to authz; the browser's own script
 * speaks to the API for what is signed. */
#include "authz/blob.h"
#include "proxy/exchange/conn.h"
#include "proxy/exchange/console_visit.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *viewer(const struct exchange *x)
{
    return x->conn->person ? x->conn->person->name : "";
}

/* ---- one item ---- */

static struct slice field_of(const struct blob *b, struct slice name)
{
    size_t i;
    json_t *f;
    json_array_foreach(b->fields, i, f) {
        const json_t *n = json_array_get(f, 0), *v = json_array_get(f, 1);
        if (slice_ieq(slice_of(json_string_value(n), json_string_length(n)), name))
            return slice_of(json_string_value(v), json_string_length(v));
    }
    return (struct slice){ 0 };
}

static unsigned char *read_all(int fd, size_t max, size_t *len_out)
{
    struct stat sb;
    if (fd < 0 || fstat(fd, &sb) != 0 || sb.st_size < 0 || (uint64_t)sb.st_size > max)
        return NULL;
    unsigned char *bytes = malloc((size_t)sb.st_size + 1);
    if (bytes != NULL && pread(fd, bytes, (size_t)sb.st_size, 0) != sb.st_size) {
        free(bytes);
        return NULL;
    }
    *len_out = (size_t)sb.st_size;
    return bytes;
}

static void send_item(struct exchange *x, struct visit *v, int fd)
{
    struct html h = visit_page(x);
    struct blob b;
    size_t len = 0;
    const char *done = visit_query_value(x, "done");
    struct page_item p = { .config = x->snap->config, .item = json_object_get(v->status, "item"), .keys = json_object_get(v->other, "keys"), .viewer = viewer(x),
                           .done = done[0] ? done : NULL };
    unsigned char *bytes = read_all(fd, x->snap->config->limits.held_bytes + BLOB_HEAD_MAX + 4, &len);
    bool parsed = bytes != NULL && blob_parse(slice_of(bytes, len), &b, NULL) == OK;
    if (parsed) {
        p.has_body = true;
        p.content_type = field_of(&b, SLICE("content-type"));
        p.content_coding = field_of(&b, SLICE("content-encoding"));
        p.body = b.body;
    }
    page_item(&h, &p);
    visit_send_page(x, &h, 200);
    if (parsed)
        blob_done(&b);
    free(bytes);
}

static void on_item_raw(struct exchange *x, struct visit *v, const json_t *answer, int fd)
{
    (void)answer;
    send_item(x, v, fd);
}

/* Gone, since it was answered or used: the page shows the rest. */
static void on_no_raw(struct exchange *x, struct visit *v, const json_t *problem)
{
    (void)problem;
    send_item(x, v, -1);
}

static void on_item_keys(struct exchange *x, struct visit *v, const json_t *answer, int fd)
{
    const char *kind = json_string_value(json_object_get(json_object_get(v->status, "item"), "kind"));
    (void)fd;
    v->other = json_deep_copy(answer);
    if (kind == NULL || strcmp(kind, "signoff") != 0) {
        send_item(x, v, -1);
        return;
    }
    v->if_refused = on_no_raw;
    visit_ask(x, json_pack("{s:s,s:s}", "op", "held.raw", "id", v->id), on_item_raw);
}

static void on_item(struct exchange *x, struct visit *v, const json_t *answer, int fd)
{
    (void)fd;
    v->status = json_deep_copy(answer);
    visit_ask(x, json_pack("{s:s}", "op", "keys"), on_item_keys);
}

static void show_item(struct exchange *x)
{
    visit_ask(x, json_pack("{s:s,s:s}", "op", "item.get", "id", x->visit->id), on_item);
}

static void to_item(struct exchange *x, struct visit *v, const json_t *answer, int fd)
{
    struct slice to = arena_printf(&x->arena, "/items/%s", v->id);
    (void)answer;
    (void)fd;
    reply_redirect(x, to.ptr ? (const char *)to.ptr : "/");
}

static void withdraw_item(struct exchange *x)
{
    visit_ask(x, json_pack("{s:s,s:s,s:s}", "op", "withdraw", "id", x->visit->id, "reason", visit_form_value(x, "reason")), to_item);
}

/* ---- keys ---- */

static void on_keys(struct exchange *x, struct visit *v, const json_t *answer, int fd)
{
    struct html h = visit_page(x);
    (void)v;
    (void)fd;
    page_keys(&h, json_object_get(answer, "keys"), visit_query_value(x, "made")[0] != 0);
    visit_send_page(x, &h, 200);
}

static void show_keys(struct exchange *x)
{
    visit_ask(x, json_pack("{s:s}", "op", "keys"), on_keys);
}

static void to_keys(struct exchange *x, struct visit *v, const json_t *answer, int fd)
{
    (void)v;
    (void)answer;
    (void)fd;
    reply_redirect(x, "/keys");
}

static void remove_key(struct exchange *x)
{
    visit_ask(x, json_pack("{s:s,s:s,s:s}", "op", "key.remove", "id", x->visit->id, "reason", visit_form_value(x, "reason")), to_keys);
}

/* ---- sessions, locks ---- */

static bool is_operator(const struct exchange *x)
{
    const struct config *c = x->snap->config;
    return x->conn->person != NULL && person_in_any(x->conn->person, c->operators, c->operator_count);
}

static void on_live(struct exchange *x, struct visit *v, const json_t *answer, int fd)
{
    struct html h = visit_page(x);
    (void)v;
    (void)fd;
    page_sessions(&h, json_object_get(answer, "live"), is_operator(x));
    visit_send_page(x, &h, 200);
}

static void show_sessions(struct exchange *x)
{
    visit_ask(x, json_pack("{s:s}", "op", "live"), on_live);
}

static void send_locks(struct exchange *x, struct visit *v, const json_t *keys, int fd)
{
    struct html h = visit_page(x);
    struct page_lock_list p = { .locks = json_object_get(v->status, "locks"), .keys = json_object_get(keys, "keys"), .may_lift = is_operator(x),
                                .lifted = visit_query_value(x, "lifted")[0] != 0 };
    (void)fd;
    page_locks(&h, &p);
    visit_send_page(x, &h, 200);
}

static void on_locks(struct exchange *x, struct visit *v, const json_t *answer, int fd)
{
    (void)fd;
    v->status = json_deep_copy(answer);
    visit_ask(x, json_pack("{s:s}", "op", "keys"), send_locks);
}

static void show_locks(struct exchange *x)
{
    visit_ask(x, json_pack("{s:s}", "op", "locks"), on_locks);
}

static void to_locks(struct exchange *x, struct visit *v, const json_t *answer, int fd)
{
    (void)v;
    (void)answer;
    (void)fd;
    reply_redirect(x, "/locks");
}

static void make_lock(struct exchange *x)
{
    visit_ask(x, json_pack("{s:s,s:s,s:s,s:s}", "op", "lock", "kind", visit_form_value(x, "kind"), "value", visit_form_value(x, "value"), "reason",
                           visit_form_value(x, "reason")), to_locks);
}

/* ---- delegates ---- */

static void send_delegates(struct exchange *x, struct visit *v, const json_t *keys, int fd)
{
    struct html h = visit_page(x);
    (void)fd;
    page_delegates(&h, x->snap->config, json_object_get(v->status, "delegations"), json_object_get(keys, "keys"), visit_query_value(x, "named")[0] != 0);
    visit_send_page(x, &h, 200);
}

static void on_delegates(struct exchange *x, struct visit *v, const json_t *answer, int fd)
{
    (void)fd;
    v->status = json_deep_copy(answer);
    visit_ask(x, json_pack("{s:s}", "op", "keys"), send_delegates);
}

static void show_delegates(struct exchange *x)
{
    visit_ask(x, json_pack("{s:s}", "op", "delegations"), on_delegates);
}

static void to_delegates(struct exchange *x, struct visit *v, const json_t *answer, int fd)
{
    (void)v;
    (void)answer;
    (void)fd;
    reply_redirect(x, "/delegates");
}

static void end_delegation(struct exchange *x)
{
    visit_ask(x, json_pack("{s:s,s:s,s:s}", "op", "delegate.withdraw", "id", x->visit->id, "reason", visit_form_value(x, "reason")), to_delegates);
}

const struct page console_work_pages[] = {
    { "GET", "/items/*", "", show_item, false },
    { "POST", "/items/*", "/withdraw", withdraw_item, true },
    { "GET", "/keys", "", show_keys, false },
    { "POST", "/keys/*", "/remove", remove_key, true },
    { "GET", "/delegates", "", show_delegates, false },
    { "POST", "/delegates/*", "/withdraw", end_delegation, true },
    { "GET", "/sessions", "", show_sessions, false },
    { "GET", "/locks", "", show_locks, false },
    { "POST", "/locks", "", make_lock, true },
    { NULL, NULL, NULL, NULL, false },
};
