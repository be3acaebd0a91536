/* One recorded response, made safe to give to a browser; behind content_parts.h. */
#include "proxy/replay/content_parts.h"

#include "proxy/record/inflate.h"
#include "proxy/replay/inject.h"

#include <stdio.h>
#include <stdlib.h>

enum { HTML_MAX = 64 << 20, FIELDS_PASSED_MAX = 64 };

/* Fields of a recorded response that a browser may have. Not among them, on purpose: Set-Cookie, Content-Security-Policy (ours stands in its place), Clear-Site-Data, Refresh, Link, Location (rewritten),
 * Strict-Transport-Security, Alt-Svc, Report-To, NEL, SourceMap, Access-Control-*, Service-Worker-Allowed, X-Frame-Options. */
static bool may_pass(struct slice name)
{
    static const char *const names[] = { "content-type", "content-encoding", "content-language", "content-range", "accept-ranges", "last-modified", "x-content-type-options" };
    static const char *const not_x[] = { "x-frame-options", "x-dns-prefetch-control", "x-xss-protection", "x-sourcemap", "x-accel-", "x-permitted-cross-domain-policies" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (slice_ieq(name, slice_str(names[i])))
            return true;
    if (name.len < 3 || !slice_ieq(slice_of(name.ptr, 2), SLICE("x-")))
        return false;
    for (size_t i = 0; i < sizeof not_x / sizeof *not_x; i++)
        if (name.len >= strlen(not_x[i]) && slice_ieq(slice_of(name.ptr, strlen(not_x[i])), slice_str(not_x[i])))
            return false;
    return true;                      /* a script of the page's may read it; no browser does */
}

static struct slice next_line(struct slice *rest)
{
    size_t end = slice_find(*rest, '\n');
    struct slice line = slice_of(rest->ptr, end > 0 && end < rest->len && rest->ptr[end - 1] == '\r' ? end - 1 : end);
    *rest = slice_from(*rest, end < rest->len ? end + 1 : end);
    return line;
}

/* Lower case, in the answer's arena. */
static char *lower(struct httpd_answer *a, struct slice name)
{
    struct slice copy = arena_copy(a->arena, name);
    for (size_t i = 0; copy.ptr != NULL && i < copy.len; i++)
        ((unsigned char *)(uintptr_t)copy.ptr)[i] = ascii_lower(copy.ptr[i]);
    return (char *)(uintptr_t)copy.ptr;
}

static void pass_fields(struct slice head, bool decoded, struct httpd_answer *a)
{
    size_t passed = 0;
    if (head.len > 0)
        (void)next_line(&head);
    while (head.len > 0 && passed < FIELDS_PASSED_MAX) {
        struct slice line = next_line(&head);
        size_t colon = slice_find(line, ':');
        struct slice name = slice_of(line.ptr, colon);
        if (colon == line.len || !may_pass(name) || (decoded && slice_ieq(name, SLICE("content-encoding"))))
            continue;
        char *n = lower(a, name);
        if (n == NULL) {
            a->status = 0;
            return;
        }
        httpd_field(a, n, slice_trim(slice_from(line, colon + 1)));
        passed++;
    }
}

bool content_is_frame(const struct content *c, const struct content_ask *k)
{
    for (size_t i = 0; i < c->recorded->count; i++) {
        const struct recorded_exchange *e = &c->recorded->v[i];
        if (e->kind == RECORDED_FRAME && e->page == k->page && slice_eq(e->target, k->q->m->target))
            return true;
    }
    return false;
}

static bool is_html(struct slice type)
{
    return slice_ieq(type, SLICE("text/html")) || slice_ieq(type, SLICE("application/xhtml+xml"));
}

/* <link rel="preconnect"> and "dns-prefetch" name another host to the network, and no policy covers them but a connection allowlist, which few browsers know. So the word is made another one. */
static void disarm_links(unsigned char *html, size_t len)
{
    static const char *const words[] = { "preconnect", "dns-prefetch" };
    struct slice all = slice_of(html, len);
    for (size_t i = 0; i + 6 < len; i++) {
        if (html[i] != '<' || !slice_ieq(slice_of(html + i, 5), SLICE("<link")))
            continue;
        for (i += 5; i < len && html[i] != '>'; i++)
            for (size_t k = 0; k < 2; k++)
                if (len - i >= strlen(words[k]) && slice_ieq(slice_of(all.ptr + i, strlen(words[k])), slice_str(words[k])))
                    html[i] = 'x';
    }
}

/* The tag of our script. The tool's host goes into an attribute: nothing but what a host has. */
static struct slice script_tag(const struct archive_exchange *x, struct httpd_answer *a)
{
    struct slice host = recorded_field(x->request_head, SLICE("host"));
    for (size_t i = 0; i < host.len; i++)
        if (strchr("abcdefghijklmnopqrstuvwxyz0123456789.-:[]", host.ptr[i]) == NULL)
            host.len = 0;
    return arena_printf(a->arena, "<script src=\"/.countersign/replay.js\" data-host=\"%.*s\" data-at=\"%lld\"></script>", SLICE_ARG(host), (long long)x->started_ms);
}

/* A document, with our script in front of the page's own. False: it stays as it came, since its coding is one that is not undone here. */
static bool put_document(const struct content_ask *k, const struct archive_exchange *x, struct httpd_answer *a)
{
    char coding[64] = "";
    unsigned char *owned = NULL, *page;
    struct slice html, recorded_coding = recorded_field(x->response_head, SLICE("content-encoding")), tag = k->scripts ? script_tag(x, a) : slice_of(NULL, 0);
    bool cut = false;
    if (recorded_coding.len >= sizeof coding)
        return false;
    memcpy(coding, recorded_coding.ptr ? recorded_coding.ptr : (const unsigned char *)"", recorded_coding.len);
    if (body_decode(x->response_body, coding, HTML_MAX, &owned, &html, &cut) != OK)
        return false;
    size_t at = inject_position(html);
    if (at > html.len)                /* UTF-16 */
        at = tag.len = 0;
    page = malloc(html.len + tag.len + 1);
    if (page != NULL) {
        memcpy(page, html.ptr ? html.ptr : (const unsigned char *)"", at);
        memcpy(page + at, tag.ptr ? tag.ptr : (const unsigned char *)"", tag.len);
        memcpy(page + at + tag.len, html.len > at ? html.ptr + at : (const unsigned char *)"", html.len - at);
        disarm_links(page, html.len + tag.len);
        a->owned = page;
        a->body = slice_of(page, html.len + tag.len);
    }
    free(owned);
    return page != NULL;
}

/* A stream that ended would be asked for again, and its events told twice: it says to wait. */
static void put_stream(const struct archive_exchange *x, struct httpd_answer *a)
{
    static const char wait[] = "\n\nretry: 2000000000\n\n";
    unsigned char *all = malloc(x->response_body.len + sizeof wait);
    if (all == NULL)
        return;
    if (x->response_body.len > 0)
        memcpy(all, x->response_body.ptr, x->response_body.len);
    memcpy(all + x->response_body.len, wait, sizeof wait - 1);
    a->owned = all;
    a->body = slice_of(all, x->response_body.len + sizeof wait - 1);
}

struct slice content_location(const struct archive_exchange *x, struct slice location)
{
    struct slice host = recorded_field(x->request_head, SLICE("host"));
    if (slice_starts(location, SLICE("https://")) || slice_starts(location, SLICE("http://"))) {
        struct slice rest = slice_from(location, location.ptr[4] == 's' ? 8 : 7);
        size_t end = 0;
        while (end < rest.len && strchr("/?#", rest.ptr[end]) == NULL)
            end++;
        if (!slice_ieq(slice_of(rest.ptr, end), host))
            return (struct slice){ NULL, 0 };
        return end < rest.len && rest.ptr[end] == '/' ? slice_from(rest, end) : SLICE("/");
    }
    for (size_t i = 0; i < location.len && strchr("/?#", location.ptr[i]) == NULL; i++)
        if (location.ptr[i] == ':')
            return (struct slice){ NULL, 0 };
    if (location.len >= 2 && (location.ptr[0] == '/' || location.ptr[0] == '\\') && (location.ptr[1] == '/' || location.ptr[1] == '\\'))
        return (struct slice){ NULL, 0 };
    return location;
}

static void redirect(const struct archive_exchange *x, struct slice location, struct httpd_answer *a)
{
    struct slice to = content_location(x, location);
    if (to.ptr == NULL) {
        content_notice(a, 404, "The tool sent the browser on to another host", location, "what happened there is not part of this session");
        return;
    }
    a->status = x->status;
    httpd_field(a, "location", to);
}

void content_exchange(const struct content *c, const struct content_ask *k, size_t i, struct httpd_answer *a)
{
    size_t from = recorded_body_of(c->recorded, i);
    const struct recorded_exchange *e = from != RECORDED_NONE ? &c->recorded->v[from] : &c->recorded->v[i];
    const struct archive_exchange *x = e->x;
    struct slice location = recorded_field(x->response_head, SLICE("location"));
    if (from == RECORDED_NONE || x->response_omitted > 0 || x->status < 200 || x->status > 599) {
        content_notice(a, 404, "Nothing to show", e->target, from == RECORDED_NONE ? "the browser had this page from before the session, and the tool said that nothing changed (304)"
                       : x->response_omitted > 0 ? "policy kept no bodies of this action: that it was opened is recorded, what it said is not"
                                                 : "the request was never answered");
        return;
    }
    if (x->status >= 300 && x->status < 400 && location.len > 0) {
        redirect(x, location, a);
        return;
    }
    a->status = x->status;
    a->body = x->response_body;
    bool decoded = k->navigation && is_html(e->type) && put_document(k, x, a);      /* what a script asks for stays as it came */
    if (e->kind == RECORDED_STREAM && recorded_field(x->response_head, SLICE("content-encoding")).len == 0)
        put_stream(x, a);
    pass_fields(x->response_head, decoded, a);
}

/* ---- what every answer says ---- */

/* For HTML text; cut to fit. What is not printable ASCII becomes a question mark: targets have no other bytes. */
static void escape(struct slice s, char *out, size_t out_max)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len && n + 8 < out_max; i++) {
        unsigned char c = s.ptr[i];
        const char *as = c == '&' ? "&amp;" : c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '"' ? "&quot;" : c < 0x20 || c >= 0x7f ? "?" : NULL;
        if (as != NULL)
            n += (size_t)snprintf(out + n, out_max - n, "%s", as);
        else
            out[n++] = (char)c;
    }
    out[n] = 0;
}

void content_notice(struct httpd_answer *a, unsigned status, const char *title, struct slice target, const char *why)
{
    static const char *const style = "<!doctype html><meta charset=\"utf-8\"><meta name=\"color-scheme\" content=\"light dark\"><style>body{font:16px/1.55 system-ui,sans-serif;max-width:42rem;"
        "margin:12vh auto;padding:0 1.2rem}h1{font-size:1.25rem}code{overflow-wrap:anywhere}p{color:GrayText}</style>";
    char shown[1600];
    escape(target, shown, sizeof shown);
    struct slice page = arena_printf(a->arena, "%s<title>%s</title><h1>%s: <code>%s</code></h1><p>This is Countersign's own page, not the tool's: %s.</p>", style, title, title, shown, why);
    a->status = page.ptr != NULL ? status : 0;
    a->body = page;
    httpd_field(a, "content-type", SLICE("text/html; charset=utf-8"));
}

static void put_policy(const struct content *c, const struct content_ask *k, struct httpd_answer *a)
{
    char self[CONTENT_ORIGIN_MAX];
    content_origin(c, k->page, k->scripts, self);
    struct slice scripts = k->scripts ? arena_printf(a->arena, "script-src %s 'unsafe-inline' 'unsafe-eval' blob: data:; worker-src %s blob: data:; ", self, self)
                                      : SLICE("script-src 'none'; worker-src 'none'; ");
    struct slice policy = arena_printf(a->arena,
        "default-src 'none'; %.*sstyle-src %s 'unsafe-inline' blob: data:; img-src %s blob: data:; font-src %s blob: data:; media-src %s blob: data:; connect-src %s blob: data:; "
        "frame-src %s blob: data:; manifest-src %s; object-src 'none'; base-uri %s; form-action 'none'; frame-ancestors http://127.0.0.1:%u %s; sandbox%s",
        SLICE_ARG(scripts), self, self, self, self, self, self, self, self, (unsigned)c->viewer_port, self, k->scripts ? " allow-scripts allow-same-origin" : "");
    if (policy.ptr == NULL || scripts.ptr == NULL)
        a->status = 0;
    httpd_field(a, "content-security-policy", policy);
}

void content_guard(const struct content *c, const struct content_ask *k, struct httpd_answer *a)
{
    put_policy(c, k, a);
    httpd_field(a, "cache-control", SLICE("no-store"));
    httpd_field(a, "referrer-policy", SLICE("same-origin"));
    httpd_field(a, "x-dns-prefetch-control", SLICE("off"));
    httpd_field(a, "connection-allowlist", SLICE("(response-origin)"));
    httpd_field(a, "permissions-policy", SLICE("camera=(), microphone=(), geolocation=(), display-capture=(), usb=(), serial=(), hid=(), midi=(), payment=(), fullscreen=(), "
                                               "clipboard-read=(), clipboard-write=(), publickey-credentials-get=(), idle-detection=(), browsing-topics=()"));
    httpd_field(a, "origin-agent-cluster", SLICE("?1"));
    if (k->scripts)
        httpd_field(a, "cross-origin-resource-policy", SLICE("same-origin"));
    else if (slice_eq(fields_get(&k->q->m->fields, SLICE("origin")), SLICE("null")))      /* without scripts the page has no origin: its fonts ask so */
        httpd_field(a, "access-control-allow-origin", SLICE("null"));
}
