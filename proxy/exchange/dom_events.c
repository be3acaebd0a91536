/* The script, and what it sends back. The sender is a page of the tool's, so whatever script runs there may send it too: it is bounded, recorded as the browser's claim, and read by nobody here. */
#include "proxy/dom/document.h"
#include "proxy/dom/script.h"
#include "proxy/exchange/conn.h"
#include "proxy/exchange/dom.h"
#include "proxy/exchange/shares.h"

#include <stdio.h>
#include <stdlib.h>

enum { LEAST_COST = 1024, BURST_S = 8 };

static void refuse(struct exchange *x, unsigned status, const char *type, const char *title, const char *detail)
{
    struct problem p = { .status = status, .type = type, .title = title, .detail = detail, .next = "Go on working: what the recorder could not send is noted as missing." };
    reply_problem(x, &p);
}

static bool is_own_origin(const struct exchange *x, struct slice origin)
{
    char *own = config_origin(x->snap->config, x->tool->host);
    bool same = own != NULL && slice_ieq(origin, slice_str(own));
    free(own);
    return same;
}

/* Only a script of a page of this very origin: a page elsewhere can't send this type without asking first, and says who it is. */
static bool comes_from_a_page(const struct exchange *x)
{
    const struct fields *f = &x->request.fields;
    struct slice site = fields_get(f, SLICE("sec-fetch-site")), dest = fields_get(f, SLICE("sec-fetch-dest"));
    return is_own_origin(x, fields_get(f, SLICE("origin"))) && (site.ptr == NULL || slice_eq(site, SLICE("same-origin"))) && (dest.ptr == NULL || slice_eq(dest, SLICE("empty")));
}

static void on_whole(struct exchange *x)
{
    unsigned refused = share_dom_refused(x->conn->share);
    char text[96];
    snprintf(text, sizeof text, "%u uploads of this person were refused before this one: too much at a time", refused);
    if (refused > 0 && tape_note(x->worker->tape, &x->tape, "dom-refused", slice_str(text)) != OK)
        share_dom_refuse(x->conn->share, refused);   /* the next one says it */
    reply_bytes(x, 204, NULL, (struct slice){ 0 }, NULL);
}

static void on_tape(struct exchange *x)
{
    exchange_drain(x, on_whole);
}

static void take_events(struct exchange *x)
{
    const struct limits *l = &x->snap->config->limits;
    const struct fields *f = &x->request.fields;
    size_t len = x->request.has_length && x->request.content_length <= l->dom_upload ? (size_t)x->request.content_length : 0;
    if (!comes_from_a_page(x))
        refuse(x, 403, "cross-origin", "This request came from somewhere else", "Only the recorder's script in a page of this tool sends its events here.");
    else if (!slice_ieq(fields_get(f, SLICE("content-type")), SLICE("application/json")) || fields_count(f, SLICE("content-encoding")) > 0)
        refuse(x, 415, "bad-request", "These are no events", "Events come as application/json, without content coding.");
    else if (!x->request.has_length)
        refuse(x, 411, "bad-request", "The length is missing", "An upload of events says how long it is.");
    else if (x->request.content_length > l->dom_upload)
        refuse(x, 413, "too-large", "This upload is too large", "It is larger than one upload of events may be.");
    else if (!share_dom_take(x->conn->share, len > LEAST_COST ? len : LEAST_COST, l->dom_rate, l->dom_upload + BURST_S * l->dom_rate, x->worker->loop.now_ms))
        refuse(x, 429, "too-many-requests", "Too many events at a time", "Your pages send more events than are recorded of one person at a time.");
    else {
        x->dom_events = true;
        exchange_begin_tape(x, on_tape);
    }
}

/* A page that the browser kept names the script of its own time: then it gets the present one, to be asked for again. */
static void give_script(struct exchange *x, const struct dom_script *s)
{
    struct fields more = { 0 };
    bool same = slice_eq(x->request.path, slice_str(s->path));
    struct slice keep = same ? SLICE("private, max-age=31536000, immutable") : SLICE("no-store");
    (void)!fields_add(&more, &x->arena, 4, SLICE("cache-control"), keep);
    reply_bytes(x, 200, "text/javascript; charset=utf-8", s->text, &more);
}

bool dom_serves(struct exchange *x)
{
    const struct slice path = x->request.path, folder = SLICE(DOM_PATH), js = SLICE(".js");
    bool reads = slice_eq(x->request.method, SLICE("GET")) || slice_eq(x->request.method, SLICE("HEAD"));
    if (!x->tool->dom.enabled || !slice_starts(path, folder))
        return false;
    if (slice_eq(path, SLICE(DOM_EVENTS)) && slice_eq(x->request.method, SLICE("POST"))) {
        take_events(x);
        return true;
    }
    if (!reads || path.len <= folder.len + js.len || !slice_eq(slice_from(path, path.len - js.len), js))
        return false;
    give_script(x, &x->snap->scripts[x->tool - x->snap->config->tools]);
    return true;
}
