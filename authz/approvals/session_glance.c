/* session_glance: sessions at a glance, all of them in one pass over the leaves that are filed under each. What is plainly the sum of its leaves needs no closer look; whatever is
 * not (what it touched, a deleted recording, anything that differs) is left to reconcile_sessions.c, which says what is wrong. */
#include "authz/approvals/glance.h"
#include "authz/approvals/internal.h"

/* What the leaves of one session come to. */
struct sums {
    int64_t started_ms, last_ms, exchanges, bytes, segments;
    char *grant;                      /* content of the last leaf about its grant before the first segment */
    size_t grant_len, grant_room;
    bool plain;                       /* nothing there that asks for a closer look */
};

static bool glance_number(const struct glance *g, const char *name, int64_t *out)
{
    const struct glance_member *m = glance_find(g, slice_str(name));
    *out = m != NULL ? m->number : 0;
    return m != NULL && m->kind == GLANCE_NUMBER;
}

static bool add_segment(struct sums *c, struct slice content)
{
    struct glance g;
    int64_t from_ms, to_ms, exchanges, bytes;
    if (!glance_read(content, &g) || glance_find(&g, SLICE("touched")) != NULL || !glance_number(&g, "from_ms", &from_ms) || !glance_number(&g, "to_ms", &to_ms)
        || !glance_number(&g, "exchanges", &exchanges) || !glance_number(&g, "bytes", &bytes))
        return false;
    if (c->segments++ == 0)
        c->started_ms = from_ms;
    c->last_ms = c->segments == 1 || to_ms > c->last_ms ? to_ms : c->last_ms;
    c->exchanges += exchanges;
    c->bytes += bytes;
    return true;
}

static enum status keep_grant(struct sums *c, struct slice content, struct err *err)
{
    if (content.len > c->grant_room) {
        char *more = realloc(c->grant, content.len * 2);
        if (more == NULL)
            return fail(err, NO_MEMORY, "session");
        c->grant = more;
        c->grant_room = content.len * 2;
    }
    c->grant_len = content.len;
    if (content.len > 0)
        memcpy(c->grant, content.ptr, content.len);
    return OK;
}

static bool is_about_grant(struct slice type)
{
    return slice_eq(type, SLICE("grant.issued")) || slice_eq(type, SLICE("grant.extended")) || slice_eq(type, SLICE("grant.started")) || slice_eq(type, SLICE("grant.carried"));
}

static enum status add_leaf(void *arg, const struct store_view *v, struct err *err)
{
    struct sums *c = arg;
    struct slice type, content;
    if (!store_view_text(v, 0, &type) || !store_view_text(v, 1, &content))
        c->plain = false;
    else if (slice_eq(type, SLICE("segment")))
        c->plain = c->plain && add_segment(c, content);
    else if (slice_eq(type, SLICE("session.erased")))
        c->plain = false;
    else if (c->segments == 0 && is_about_grant(type))
        return keep_grant(c, content, err);
    return OK;
}

static bool is_number(const struct store_view *v, const char *column, int64_t want)
{
    int64_t n;
    return store_view_number(v, store_view_find(v, slice_str(column)), &n) && n == want;
}

static bool is_text(const struct store_view *v, const char *column, struct slice want)
{
    struct slice text;
    return store_view_text(v, store_view_find(v, slice_str(column)), &text) && slice_eq(text, want);
}

/* Whose it is, as its grant said when the first segment came. */
static bool facts_fit(const struct store_view *v, const struct sums *c)
{
    static const char *const names[] = { "person", "identity", "tool" };
    struct glance g;
    struct slice session, asked;
    if (c->grant_len == 0 || !glance_read(slice_of(c->grant, c->grant_len), &g) || !store_view_text(v, store_view_find(v, SLICE("session")), &session)
        || !glance_says(&g, SLICE("grant_id"), session))
        return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct glance_member *m = glance_find(&g, slice_str(names[i]));
        if (m == NULL || m->kind != GLANCE_TEXT || !is_text(v, names[i], m->value))
            return false;
    }
    const struct glance_member *by = glance_find(&g, SLICE("approved_by"));
    return is_text(v, "approved_by", by ? by->value : SLICE("[]")) && store_view_text(v, store_view_find(v, SLICE("asked")), &asked) && is_text(v, "reason", asked);
}

static bool session_fits(const struct store_view *v, const struct sums *c)
{
    return c->plain && c->segments > 0 && is_number(v, "started_ms", c->started_ms) && is_number(v, "last_ms", c->last_ms) && is_number(v, "exchanges", c->exchanges)
           && is_number(v, "bytes", c->bytes) && is_number(v, "segments", c->segments) && is_number(v, "erased", 0) && is_number(v, "gone", 0) && is_number(v, "marks", 0)
           && facts_fit(v, c);
}

struct all {
    struct service *s;
    session_look_fn *look;
    void *arg;
    struct sums sums;
};

static enum status take_session(void *arg, const struct store_view *v, struct err *err)
{
    struct all *a = arg;
    struct slice session;
    json_t *row = NULL;
    char *grant = a->sums.grant;
    size_t room = a->sums.grant_room;
    a->sums = (struct sums){ .plain = true, .grant = grant, .grant_room = room };
    bool named = store_view_text(v, 0, &session) && session.len == ID_LEN;
    enum status st = named ? store_scan(a->s->store, add_leaf, &a->sums, err, "SELECT type, content FROM leaf WHERE session = $1 ORDER BY seq", "s", (const char *)session.ptr) : OK;
    if (st != OK || (named && session_fits(v, &a->sums)))
        return st;
    st = store_view_row(v, &row, err);
    if (st == OK)
        st = a->look(a->arg, row, err);
    json_decref(row);
    return st;
}

enum status sessions_glance(struct service *s, session_look_fn *look, void *arg, struct err *err)
{
    struct all a = { .s = s, .look = look, .arg = arg };
    enum status st = store_scan(s->store, take_session, &a, err,
                                "SELECT session.*, (SELECT reason FROM request WHERE request.session = session.session ORDER BY seq LIMIT 1) AS asked,"
                                " EXISTS (SELECT 1 FROM touched WHERE touched.session = session.session) AS marks FROM session", "");
    free(a.sums.grant);
    return st;
}
