#include "proxy/replay/content.h"

#include "proxy/base/codec.h"
#include "proxy/replay/assets.h"
#include "proxy/replay/content_parts.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>

enum { AGAIN_MS = 1000, HOPS_MAX = 5 };

/* ---- names ---- */

char *content_origin(const struct content *c, size_t index, bool scripts, char out[CONTENT_ORIGIN_MAX])
{
    snprintf(out, CONTENT_ORIGIN_MAX, "http://%c%zu-%s.localhost:%u", scripts ? 'e' : 'p', index + 1, c->token, (unsigned)c->port);
    return out;
}

/* 1*7DIGIT "-", without leading zeros. */
static bool read_number(struct slice *s, size_t *out)
{
    size_t n = 0, i = 0;
    while (i < s->len && i < 7 && s->ptr[i] >= '0' && s->ptr[i] <= '9')
        n = n * 10 + (size_t)(s->ptr[i++] - '0');
    if (i == 0 || s->ptr[0] == '0' || i == s->len || s->ptr[i] != '-')
        return false;
    *s = slice_from(*s, i + 1);
    *out = n;
    return true;
}

/* Behind its letter. */
static bool read_place(const struct content *c, struct slice authority, size_t *index_out)
{
    char rest[64];
    size_t number = 0;
    if (!read_number(&authority, &number) || number > c->recorded->count || authority.len < CONTENT_TOKEN_LEN)
        return false;
    snprintf(rest, sizeof rest, ".localhost:%u", (unsigned)c->port);
    *index_out = number - 1;
    return CRYPTO_memcmp(authority.ptr, c->token, CONTENT_TOKEN_LEN) == 0 && slice_eq(slice_from(authority, CONTENT_TOKEN_LEN), slice_str(rest));
}

bool content_read_host(const struct content *c, struct slice authority, size_t *index_out, bool *scripts_out)
{
    if (authority.len == 0 || (authority.ptr[0] != 'e' && authority.ptr[0] != 'p'))
        return false;
    *scripts_out = authority.ptr[0] == 'e';
    return read_place(c, slice_from(authority, 1), index_out);
}

bool content_read_player_host(const struct content *c, struct slice authority, size_t *index_out)
{
    return authority.len > 0 && authority.ptr[0] == 'd' && read_place(c, slice_from(authority, 1), index_out);
}

enum status content_init(struct content *c, struct recorded *r)
{
    unsigned char random[CONTENT_TOKEN_LEN / 2];
    *c = (struct content){ .recorded = r, .shown = RECORDED_NONE, .opens = RECORDED_NONE, .missing = json_array(), .near = json_array() };
    if (c->missing == NULL || c->near == NULL || RAND_bytes(random, sizeof random) != 1) {
        content_done(c);
        return NO_MEMORY;
    }
    hex_encode(slice_of(random, sizeof random), c->token);
    return OK;
}

void content_done(struct content *c)
{
    json_decref(c->missing);
    json_decref(c->near);
    *c = (struct content){ 0 };
}

/* ---- what the page asked for ---- */

static void note(const struct content *c, size_t page, json_t *list, json_t *entry)
{
    bool there = page != c->shown || json_array_size(list) >= CONTENT_NOTED_MAX;
    size_t i;
    json_t *v;
    json_array_foreach(list, i, v)
        there |= json_equal(v, entry);
    if (there)
        json_decref(entry);
    else
        json_array_append_new(list, entry);
}

static json_t *words(struct slice s)
{
    json_t *v = json_stringn(s.ptr ? (const char *)s.ptr : "", s.len);
    return v != NULL ? v : json_string("(not text)");
}

static void not_there(const struct content *c, const struct content_ask *k, const char *why, struct httpd_answer *a)
{
    note(c, k->page, c->missing, json_pack("{s:o, s:o, s:s}", "method", words(k->q->m->method), "target", words(k->q->m->target), "why", why));
    if (k->navigation)
        content_notice(a, 404, "Not recorded", k->q->m->target, why);
    else
        httpd_text(a, 404, "not recorded\n");
}

/* A link: the viewer opens the page that it leads to, on that page's own host, so that what it asks for is looked for at its moment. No redirect: browsers that know connection allowlists follow none. */
static void follow(struct content *c, const struct content_ask *k, struct httpd_answer *a)
{
    size_t to = recorded_find_page(c->recorded, k->page, k->q->m->target);
    bool get = slice_eq(k->q->m->method, SLICE("GET"));
    if (to == RECORDED_NONE || !get) {
        not_there(c, k, get ? "nobody opened it in this session" : "a form can't be sent in a replay", a);
        return;
    }
    if (c->recorded->v[to].kind == RECORDED_REDIRECT && c->recorded->v[to].page != RECORDED_NONE)
        to = c->recorded->v[to].page;                  /* where it sent the browser */
    c->generation++;
    c->opens = to;
    content_notice(a, 200, "Opening", c->recorded->v[to].target, "the page that was opened then");
}

static void show(struct content *c, const struct content_ask *k, struct httpd_answer *a)
{
    recorded_restart(c->recorded, k->page);
    c->generation++;
    c->shown = k->page;
    c->opens = RECORDED_NONE;
    c->scripts = k->scripts;
    json_array_clear(c->missing);
    json_array_clear(c->near);
    content_exchange(c, k, k->page, a);
}

/* Redirects of a page's own requests are followed here: browsers that know connection allowlists follow none. False: it is no redirect, or leads elsewhere. */
static bool next_hop(const struct content *c, struct recorded_ask *ask, size_t index)
{
    const struct archive_exchange *x = c->recorded->v[index].x;
    struct slice location = recorded_field(x->response_head, SLICE("location"));
    struct slice to = x->status >= 300 && x->status < 400 && location.len > 0 ? content_location(x, location) : slice_of(NULL, 0);
    if (to.len == 0 || to.ptr[0] != '/')
        return false;
    to.len = slice_find(to, '#');
    ask->target = to;
    ask->method = x->status == 307 || x->status == 308 ? ask->method : SLICE("GET");
    return true;
}

/* How long the tool let the page wait, a long time shortened as it is between the messages of a WebSocket: connections that change from one to the other hang on that order. */
static int64_t took_ms(const struct archive_exchange *x)
{
    int64_t ms = x->ended_ms - x->started_ms;
    return ms < 0 ? 0 : ms > AGAIN_MS ? AGAIN_MS : ms;
}

static void find(const struct content *c, const struct content_ask *k, struct httpd_answer *a)
{
    struct recorded_ask ask = { k->page, k->q->m->method, k->q->m->target, k->q->body, fields_get(&k->q->m->fields, SLICE("range")) };
    struct recorded_answer found = recorded_find(c->recorded, &ask);
    for (unsigned hops = 0; hops < HOPS_MAX && found.index != RECORDED_NONE && next_hop(c, &ask, found.index); hops++)
        found = recorded_find(c->recorded, &ask);
    if (found.index == RECORDED_NONE) {
        not_there(c, k, found.why_not, a);
        return;
    }
    if (found.near)
        note(c, k->page, c->near, json_pack("{s:o, s:o}", "asked", words(k->q->m->target), "recorded", words(c->recorded->v[found.index].target)));
    a->never = found.hold;
    a->delay_ms = found.again ? AGAIN_MS : found.poll ? took_ms(c->recorded->v[found.index].x) : 0;      /* a page that polls would turn in circles */
    content_exchange(c, k, found.index, a);
}

/* ---- who may ask for what ---- */

static void preflight(const struct content_ask *k, struct httpd_answer *a)
{
    struct slice headers = fields_get(&k->q->m->fields, SLICE("access-control-request-headers"));
    a->status = 204;
    httpd_field(a, "access-control-allow-methods", fields_get(&k->q->m->fields, SLICE("access-control-request-method")));
    if (headers.len > 0)
        httpd_field(a, "access-control-allow-headers", headers);
}

static void own(const struct content *c, const struct content_ask *k, struct httpd_answer *a)
{
    if (slice_eq(k->q->m->path, SLICE("/.countersign/replay.js"))) {
        a->status = 200;
        a->body = asset_inside_js();
        httpd_field(a, "content-type", SLICE("text/javascript; charset=utf-8"));
    } else if (slice_starts(k->q->m->path, SLICE("/.countersign/recorder/"))) {   /* in pages of then; there is nothing to record now */
        a->status = 200;
        a->body = SLICE("");
        httpd_field(a, "content-type", SLICE("text/javascript; charset=utf-8"));
    } else if (slice_eq(k->q->m->path, SLICE("/.countersign/replay/socket"))) {
        content_socket(c, k, a);
    } else {
        httpd_text(a, 404, "not recorded\n");
    }
}

static void route(struct content *c, const struct content_ask *k, struct httpd_answer *a)
{
    const struct fields *f = &k->q->m->fields;
    struct slice dest = fields_get(f, SLICE("sec-fetch-dest"));
    if (slice_eq(dest, SLICE("document")))
        content_notice(a, 403, "Not here", k->q->m->target, "a recorded page opens inside the viewer only: by itself it could lead the browser away to other sites");
    else if (dest.ptr == NULL)
        httpd_text(a, 403, "this browser does not say what a request is for (Sec-Fetch-Dest), so a recorded page could get out of its frame: use a current one\n");
    else if (fields_get(f, SLICE("service-worker")).ptr != NULL || slice_eq(dest, SLICE("serviceworker")))
        httpd_text(a, 403, "no service worker in a replay\n");
    else if (slice_starts(k->q->m->path, SLICE("/.countersign/")))
        own(c, k, a);
    else if (slice_eq(k->q->m->method, SLICE("OPTIONS")) && fields_get(f, SLICE("access-control-request-method")).len > 0)
        preflight(k, a);
    else if (k->navigation && slice_eq(k->q->m->target, c->recorded->v[k->page].target))
        show(c, k, a);
    else if (k->navigation && !content_is_frame(c, k))
        follow(c, k, a);
    else
        find(c, k, a);
}

void content_handle(void *to, const struct httpd_request *q, struct httpd_answer *a)
{
    struct content *c = to;
    struct content_ask k = { .q = q };
    if (content_read_player_host(c, q->m->authority, &k.page)) {
        player_handle(&(struct player){ c->recorded, c->player, c->viewer_port }, k.page, q, a);
        return;
    }
    if (!content_read_host(c, q->m->authority, &k.page, &k.scripts)) {
        httpd_text(a, 421, "no such page here\n");
        return;
    }
    k.navigation = slice_eq(fields_get(&q->m->fields, SLICE("sec-fetch-mode")), SLICE("navigate"));
    route(c, &k, a);
    content_guard(c, &k, a);
}
