#include "proxy/replay/player.h"

#include "proxy/base/file.h"
#include "proxy/replay/assets.h"

#include <jansson.h>
#include <stdlib.h>

enum { PLAYER_FILE_MAX = 8 << 20, PAGE_DIGITS = 19 };

/* The glue's own beginning, {"v":1,"page":"123", to the letter: an upload that begins otherwise belongs to no page. */
uint64_t player_page_of(struct slice body)
{
    const struct slice lead = SLICE("{\"v\":1,\"page\":\"");
    uint64_t n = 0;
    size_t i = lead.len;
    if (!slice_starts(body, lead))
        return 0;
    while (i < body.len && i - lead.len < PAGE_DIGITS - 1 && body.ptr[i] >= '0' && body.ptr[i] <= '9')
        n = n * 10 + (uint64_t)(body.ptr[i++] - '0');
    return i > lead.len && i < body.len && body.ptr[i] == '"' ? n : 0;
}

struct by_id {
    uint64_t id;
    size_t index;
};

static int compare(const void *a, const void *b)
{
    const struct by_id *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

enum status player_count(const struct recorded *r, unsigned *counts)
{
    struct by_id *ids = calloc(r->count + 1, sizeof *ids);
    if (ids == NULL)
        return NO_MEMORY;
    for (size_t i = 0; i < r->count; i++) {
        ids[i] = (struct by_id){ r->v[i].x->id, i };
        counts[i] = 0;
    }
    qsort(ids, r->count, sizeof *ids, compare);
    for (size_t i = 0; i < r->count; i++) {
        struct by_id want = { archive_is_claim(r->v[i].x) ? player_page_of(r->v[i].x->request_body) : 0, 0 };
        const struct by_id *found = want.id > 0 ? bsearch(&want, ids, r->count, sizeof *ids, compare) : NULL;
        if (found != NULL)
            counts[found->index]++;
    }
    free(ids);
    return OK;
}

/* One upload: when it came, and what it says, or that it can't be read. */
static json_t *upload_json(const struct recorded *r, size_t i)
{
    const struct archive_exchange *x = r->v[i].x;
    json_t *said = x->request_cut ? NULL : json_loadb((const char *)x->request_body.ptr, x->request_body.len, JSON_REJECT_DUPLICATES, NULL);
    const char *refused = json_string_value(json_object_get(x->notes, "dom-refused"));
    if (!json_is_object(said)) {
        json_decref(said);
        said = NULL;
    }
    return json_pack("{s:I, s:I, s:o, s:s}", "n", (json_int_t)(i + 1), "time_ms", (json_int_t)x->started_ms, "said", said ? said : json_null(), "refused", refused ? refused : "");
}

static void events(const struct player *p, size_t page, struct httpd_answer *a)
{
    const struct recorded *r = p->recorded;
    json_t *list = json_array();
    for (size_t i = 0; i < r->count && list != NULL; i++)
        if (archive_is_claim(r->v[i].x) && player_page_of(r->v[i].x->request_body) == r->v[page].x->id && json_array_append_new(list, upload_json(r, i)) != 0) {
            json_decref(list);
            list = NULL;
        }
    json_t *o = list ? json_pack("{s:o, s:I}", "uploads", list, "started_ms", (json_int_t)r->v[page].x->started_ms) : NULL;
    a->owned = o ? (unsigned char *)json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    a->status = a->owned != NULL ? 200 : 0;
    a->body = slice_str((char *)a->owned);
    httpd_field(a, "content-type", SLICE("application/json"));
}

static void put(struct httpd_answer *a, struct slice body, const char *type)
{
    a->status = 200;
    a->body = body;
    httpd_field(a, "content-type", slice_str(type));
}

/* rrweb's own, from where it was installed. */
static void put_installed(const struct player *p, const char *name, const char *type, struct httpd_answer *a)
{
    char *path = p->folder ? file_join(p->folder, name) : NULL;
    struct err err;
    size_t len = 0;
    if (path != NULL && file_read(path, PLAYER_FILE_MAX, false, &a->owned, &len, &err) == OK)
        put(a, slice_of(a->owned, len), type);
    else
        httpd_text(a, 404, "the player is not installed\n");
    free(path);
}

static void route(const struct player *p, size_t page, struct slice path, struct httpd_answer *a)
{
    if (slice_eq(path, SLICE("/")))
        put(a, asset_player_html(), "text/html; charset=utf-8");
    else if (slice_eq(path, SLICE("/player.js")))
        put(a, asset_player_js(), "text/javascript; charset=utf-8");
    else if (slice_eq(path, SLICE("/player.css")))
        put(a, asset_player_css(), "text/css; charset=utf-8");
    else if (slice_eq(path, SLICE("/rrweb.js")))
        put_installed(p, "replay.js", "text/javascript; charset=utf-8", a);
    else if (slice_eq(path, SLICE("/rrweb.css")))
        put_installed(p, "replay.css", "text/css; charset=utf-8", a);
    else if (slice_eq(path, SLICE("/events.json")))
        events(p, page, a);
    else
        httpd_text(a, 404, "no such thing\n");
}

/* 'unsafe-inline' is for styles only: what is drawn has style attributes. A frame may be about:blank, where rrweb draws, and nothing that is fetched. */
static void guard(const struct player *p, struct httpd_answer *a)
{
    struct slice policy = arena_printf(a->arena, "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self' 'unsafe-inline'; img-src data: blob:; font-src data:; frame-src 'none'; "
                                       "base-uri 'none'; form-action 'none'; frame-ancestors http://127.0.0.1:%u; sandbox allow-scripts allow-same-origin", (unsigned)p->viewer_port);
    if (policy.ptr == NULL)
        a->status = 0;
    httpd_field(a, "content-security-policy", policy);
    httpd_field(a, "x-content-type-options", SLICE("nosniff"));
    httpd_field(a, "cache-control", SLICE("no-store"));
    httpd_field(a, "referrer-policy", SLICE("no-referrer"));
    httpd_field(a, "x-dns-prefetch-control", SLICE("off"));
    httpd_field(a, "connection-allowlist", SLICE("(response-origin)"));
    httpd_field(a, "cross-origin-resource-policy", SLICE("same-origin"));
    httpd_field(a, "origin-agent-cluster", SLICE("?1"));
}

void player_handle(const struct player *p, size_t page, const struct httpd_request *q, struct httpd_answer *a)
{
    struct slice dest = fields_get(&q->m->fields, SLICE("sec-fetch-dest")), site = fields_get(&q->m->fields, SLICE("sec-fetch-site"));
    bool first = slice_eq(q->m->path, SLICE("/"));
    if (!slice_eq(q->m->method, SLICE("GET")) && !slice_eq(q->m->method, SLICE("HEAD")))
        httpd_text(a, 405, "only GET\n");
    else if (dest.ptr == NULL || slice_eq(dest, SLICE("document")) || (first && !slice_eq(dest, SLICE("iframe"))) || (!first && !slice_eq(site, SLICE("same-origin"))))
        httpd_text(a, 403, "the player opens inside the viewer only\n");
    else
        route(p, page, q->m->path, a);
    guard(p, a);
}
