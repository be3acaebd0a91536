#include "proxy/replay/viewer.h"

#include "proxy/base/codec.h"
#include "proxy/replay/assets.h"
#include "proxy/replay/viewer_json.h"

#include <openssl/crypto.h>
#include <stdio.h>

enum status viewer_init(struct viewer *v, struct content *c, json_t *session, json_t *exchanges)
{
    *v = (struct viewer){ .content = c, .recorded = c->recorded, .session = session, .exchanges = exchanges };
    random_id(VIEWER_KEY_BYTES, v->key);
    return viewer_complete(c->recorded, exchanges);
}

static void put_json(struct httpd_answer *a, json_t *v)
{
    a->owned = v != NULL ? (unsigned char *)json_dumps(v, JSON_COMPACT) : NULL;
    json_decref(v);
    a->status = a->owned != NULL ? 200 : 0;
    a->body = slice_str((char *)a->owned);
    httpd_field(a, "content-type", SLICE("application/json"));
}

static void put_file(struct httpd_answer *a, struct slice file, const char *type)
{
    a->status = 200;
    a->body = file;
    httpd_field(a, "content-type", slice_str(type));
}

/* "n=" and a number from 1 to the count. */
static bool read_number(const struct viewer *v, struct slice query, size_t *index_out)
{
    size_t n = 0;
    if (!slice_starts(query, SLICE("n=")) || query.len < 3 || query.len > 2 + 9)
        return false;
    for (size_t i = 2; i < query.len; i++) {
        if (query.ptr[i] < '0' || query.ptr[i] > '9')
            return false;
        n = n * 10 + (size_t)(query.ptr[i] - '0');
    }
    *index_out = n - 1;
    return n >= 1 && n <= v->recorded->count;
}

static json_int_t number_of(size_t index)
{
    return index == RECORDED_NONE ? 0 : (json_int_t)(index + 1);
}

static json_t *shown_json(const struct content *c)
{
    return json_pack("{s:I, s:I, s:I, s:b, s:O, s:O}", "generation", (json_int_t)c->generation, "n", number_of(c->shown), "opens", number_of(c->opens), "scripts", (int)c->scripts,
                     "missing", c->missing, "near", c->near);
}

static bool has_key(const struct viewer *v, const struct message *m)
{
    struct slice given = fields_get(&m->fields, SLICE("countersign-replay-key"));
    return given.len == strlen(v->key) && CRYPTO_memcmp(given.ptr, v->key, given.len) == 0;
}

static void api(struct viewer *v, const struct httpd_request *q, struct httpd_answer *a)
{
    size_t i = 0;
    if (!has_key(v, q->m))
        httpd_text(a, 403, "the key is missing: open the address that the command printed\n");
    else if (slice_eq(q->m->path, SLICE("/api/session")))
        put_json(a, viewer_session_json(v));
    else if (slice_eq(q->m->path, SLICE("/api/shown")))
        put_json(a, shown_json(v->content));
    else if (slice_eq(q->m->path, SLICE("/api/exchange")) && read_number(v, q->m->query, &i))
        put_json(a, viewer_exchange_json(v, i));
    else
        httpd_text(a, 404, "no such thing\n");
}

static void route(struct viewer *v, const struct httpd_request *q, struct httpd_answer *a)
{
    struct slice path = q->m->path;
    if (slice_eq(path, SLICE("/")))
        put_file(a, asset_viewer_html(), "text/html; charset=utf-8");
    else if (slice_eq(path, SLICE("/viewer.css")))
        put_file(a, asset_viewer_css(), "text/css; charset=utf-8");
    else if (slice_eq(path, SLICE("/viewer.js")))
        put_file(a, asset_viewer_js(), "text/javascript; charset=utf-8");
    else if (slice_eq(path, SLICE("/timeline.js")))
        put_file(a, asset_timeline_js(), "text/javascript; charset=utf-8");
    else if (slice_starts(path, SLICE("/api/")))
        api(v, q, a);
    else
        httpd_text(a, 404, "no such thing\n");
}

static bool from_elsewhere(const struct fields *f, struct slice self)
{
    struct slice site = fields_get(f, SLICE("sec-fetch-site")), origin = fields_get(f, SLICE("origin"));
    return (site.ptr != NULL && !slice_eq(site, SLICE("same-origin")) && !slice_eq(site, SLICE("none"))) || (origin.ptr != NULL && !slice_eq(origin, self));
}

static void guard(const struct viewer *v, struct httpd_answer *a)
{
    struct slice policy = arena_printf(a->arena, "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; frame-src http://*.localhost:%u; base-uri 'none'; "
                                       "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'", (unsigned)v->content->port);
    if (policy.ptr == NULL)
        a->status = 0;
    httpd_field(a, "content-security-policy", policy);
    httpd_field(a, "x-content-type-options", SLICE("nosniff"));
    httpd_field(a, "cache-control", SLICE("no-store"));
    httpd_field(a, "referrer-policy", SLICE("no-referrer"));
    httpd_field(a, "cross-origin-resource-policy", SLICE("same-origin"));
    httpd_field(a, "cross-origin-opener-policy", SLICE("same-origin"));
}

void viewer_handle(void *to, const struct httpd_request *q, struct httpd_answer *a)
{
    struct viewer *v = to;
    char host[32], origin[40];
    snprintf(host, sizeof host, "127.0.0.1:%u", (unsigned)v->port);
    snprintf(origin, sizeof origin, "http://%s", host);
    if (!slice_eq(q->m->authority, slice_str(host)))
        httpd_text(a, 421, "this server has one name only: the one in the address that the command printed\n");
    else if (!slice_eq(q->m->method, SLICE("GET")) && !slice_eq(q->m->method, SLICE("HEAD")))
        httpd_text(a, 405, "only GET\n");
    else if (from_elsewhere(&q->m->fields, slice_str(origin)))
        httpd_text(a, 403, "no other page may ask\n");
    else
        route(v, q, a);
    guard(v, a);
}
