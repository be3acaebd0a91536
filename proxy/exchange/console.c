/* The console's host: API calls and pages, each a message or two to authz (proxy/console has the table and the pages). */
#include "authz/alone.h"
#include "proxy/base/clock.h"
#include "proxy/console/api.h"
#include "proxy/console/pages.h"
#include "proxy/console/script.h"
#include "proxy/exchange/conn.h"
#include "proxy/exchange/console_visit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *text(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}

static void refuse(struct exchange *x, unsigned status, const char *type, const char *title, const char *detail, const char *next)
{
    struct problem p = { .status = status, .type = type, .title = title, .detail = detail, .next = next };
    reply_problem(x, &p);
}

/* ---- asking authz ---- */

static struct visit *visit_of(struct exchange *x)
{
    return x->visit;
}

static void refused(struct exchange *x, const json_t *answer)
{
    const json_t *p = json_object_get(answer, "problem");
    json_int_t status = json_integer_value(json_object_get(p, "status"));
    if (p == NULL)
        refuse(x, 503, "authorization-unavailable", "Not available at the moment", "The process that decides did not answer.",
               "Try again in a moment.");
    else
        refuse(x, status >= 400 && status <= 599 ? (unsigned)status : 403, text(p, "type"), text(p, "title"), text(p, "detail"),
               text(p, "next"));
}

static void on_answer(void *arg, const json_t *answer, const int *fds, size_t fd_count)
{
    struct exchange *x = arg;
    struct visit *v = visit_of(x);
    void (*if_refused)(struct exchange *, struct visit *, const json_t *) = v->if_refused;
    x->call = 0;
    v->if_refused = NULL;
    if (!json_is_true(json_object_get(answer, "ok")) && if_refused != NULL && json_object_get(answer, "problem") != NULL)
        if_refused(x, v, json_object_get(answer, "problem"));
    else if (!json_is_true(json_object_get(answer, "ok")))
        refused(x, answer);
    else
        v->then(x, v, answer, fd_count > 0 ? fds[0] : -1);
}

/* authz sees whether there is a recorder; whether that can keep anything is seen here. */
static bool unrecorded(const struct exchange *x, const json_t *message)
{
    return strcmp(text(message, "op"), "request.create") == 0 && strcmp(text(message, "basis"), BASIS_BREAK_GLASS) == 0 && tape_broken(x->worker->tape);
}

void visit_ask(struct exchange *x, json_t *message, void (*then)(struct exchange *, struct visit *, const json_t *, int))
{
    if (x->state != X_ASK)
        exchange_enter(x, X_ASK);
    visit_of(x)->then = then;
    if (unrecorded(x, message)) {
        json_decref(message);
        refuse(x, 503, "recording-unavailable", "Nothing can be recorded at the moment", "The recording can't be kept, and breaking the glass never works unrecorded.",
               "Tell the people who run this gateway to look at the disk and the log of the recorder.");
        return;
    }
    if (message != NULL && json_object_set_new(message, "who", exchange_who(x)) != 0) {
        json_decref(message);
        message = NULL;
    }
    bool looks = slice_eq(x->request.method, SLICE("GET"));
    x->call = looks ? link_ask(x->worker->link, message, on_answer, x) : link_call(x->worker->link, message, NULL, 0, on_answer, x);
    if (x->call == 0)
        refuse(x, 503, "authorization-unavailable", "Not available at the moment", "The process that decides can't be reached.",
               "Try again in a moment; if it stays so, tell the people who run this gateway.");
}

struct html visit_page(const struct exchange *x)
{
    struct html h = { .scripted = true };
    page_head(&h, x);
    return h;
}

void visit_send_page(struct exchange *x, struct html *h, unsigned status)
{
    reply_bytes(x, status, "text/html; charset=utf-8", slice_of(h->failed ? NULL : h->data, h->failed ? 0 : h->len), NULL);
    html_done(h);
}

static void send_json(struct exchange *x, unsigned status, const json_t *value)
{
    char *out = value ? json_dumps(value, JSON_COMPACT) : NULL;
    if (out == NULL)
        refuse(x, 503, "overloaded", "Not available at the moment", "The answer could not be built.", "Try again in a moment.");
    else
        reply_bytes(x, status, "application/json", slice_str(out), NULL);
    free(out);
}

/* ---- the API ---- */

static void send_file(struct exchange *x, const char *type, int fd)
{
    struct stat sb;
    if (fd < 0 || fstat(fd, &sb) != 0 || lseek(fd, 0, SEEK_SET) != 0) {
        if (fd >= 0)
            close(fd);
        refuse(x, 404, "not-found", "There is nothing to send", "The file is not there.", "Ask for another one.");
        return;
    }
    reply_file(x, type, fd, (uint64_t)sb.st_size);
}

static int open_recording(const struct exchange *x, const struct visit *v)
{
    char name[128];
    snprintf(name, sizeof name, "recordings/%s.tar", v->call.id);
    char *path = strspn(v->call.id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == strlen(v->call.id)
                     ? config_path(x->snap->config, name) : NULL;
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
    free(path);
    return fd;
}

/* Its indexes, and the segments that none covers, as a tar of their own. */
static void send_listing(struct exchange *x, const struct visit *v)
{
    struct stat sb;
    struct err err;
    struct listing l = { 0 };
    struct stretch_of_file *parts = NULL, *kept = NULL;
    size_t count = 0;
    int fd = open_recording(x, v);
    enum status st = fd >= 0 && fstat(fd, &sb) == 0 ? listing_walk(fd, (uint64_t)sb.st_size, &l, &err) : NOT_FOUND;
    if (st == OK)
        st = listing_stretches(&l, (uint64_t)sb.st_size, &parts, &count);
    if (st == OK && (kept = arena_alloc(&x->arena, count * sizeof *kept)) != NULL)
        memcpy(kept, parts, count * sizeof *kept);
    listing_done(&l);
    free(parts);
    if (kept != NULL)
        reply_file_parts(x, "application/x-tar", fd, kept, count);
    else
        send_file(x, "application/x-tar", fd);   /* all of it: a damaged one is for the reader to make sense of */
}

static void on_api(struct exchange *x, struct visit *v, const json_t *answer, int fd)
{
    if (v->call.result == API_RAW) {
        send_file(x, "application/octet-stream", fd >= 0 ? dup(fd) : -1);
        return;
    }
    if (v->call.result == API_RECORDING) {
        send_file(x, "application/x-tar", open_recording(x, v));
        return;
    }
    if (v->call.result == API_LISTING) {
        send_listing(x, v);
        return;
    }
    json_t *out = api_answer(answer);
    send_json(x, v->call.ok_status, out);
    json_decref(out);
}

static bool grant_is_live(const void *arg, const char *grant_id)
{
    return access_grant_by_id(arg, grant_id) != NULL;
}

/* What goes on right now is the workers' to say, not authz's. It holds no content: the access log keeps who looked. */
static void run_activity(struct exchange *x)
{
    const struct config *c = x->snap->config;
    if (!person_in_any(x->conn->person, c->auditors, c->auditor_count) && !person_in_any(x->conn->person, c->operators, c->operator_count)) {
        refuse(x, 403, "auditors-only", "Only auditors and operators may see this", "You are in none of the groups that may look at what goes on.",
               "Ask an auditor or an operator.");
        return;
    }
    json_t *sessions = live_read(x->worker->live, grant_is_live, x->worker->access, clock_wall_ms()), *s;
    size_t i;
    json_array_foreach(sessions, i, s) {
        const struct live_grant *g = access_grant_by_id(x->worker->access, text(s, "session"));
        json_object_set_new(s, "basis", json_string(g ? g->basis : BASIS_APPROVED));
    }
    json_t *o = sessions ? json_pack("{s:I,s:o}", "time_ms", (json_int_t)clock_wall_ms(), "sessions", sessions) : NULL;
    send_json(x, 200, o);
    json_decref(o);
}

static void run_api(struct exchange *x)
{
    struct visit *v = visit_of(x);
    struct api_refusal why = { 400, "bad-request", "The query can't be read.", "Send a well-formed query." };
    struct api_request r = { .method = x->request.method, .path = x->request.path, .body = bbuf_slice(&x->body),
                             .content_type = fields_get(&x->request.fields, SLICE("content-type")) };
    enum status st = REFUSED;
    if (readings_query(x->request.query, &x->arena, &x->query) == OK) {
        r.query = x->query.v;
        r.query_count = x->query.count;
        st = api_route(&r, &v->call, &why);
    }
    if (st != OK)
        refuse(x, why.status, why.type, why.status == 404 ? "There is nothing here" : "This can't be done", why.detail, why.next);
    else if (v->call.result == API_ACTIVITY) {
        json_decref(v->call.message);
        run_activity(x);
    } else
        visit_ask(x, v->call.message, on_api);
}

/* ---- pages ---- */

static struct slice query_value(struct exchange *x, const char *name)
{
    if (x->query.v == NULL && readings_query(x->request.query, &x->arena, &x->query) != OK)
        return (struct slice){ 0 };
    for (size_t i = 0; i < x->query.count; i++)
        if (slice_eq(x->query.v[i].name, slice_str(name)))
            return x->query.v[i].value;
    return (struct slice){ 0 };
}

const char *visit_query_value(struct exchange *x, const char *name)
{
    struct slice copy = arena_copy(&x->arena, query_value(x, name));
    return copy.ptr && copy.len ? (const char *)copy.ptr : "";
}

const char *visit_form_value(struct exchange *x, const char *name)
{
    for (size_t i = 0; i < x->form.count; i++)
        if (slice_eq(x->form.v[i].name, slice_str(name))) {
            struct slice copy = arena_copy(&x->arena, x->form.v[i].value);
            return copy.ptr ? (const char *)copy.ptr : "";
        }
    return "";
}

static void show_home(struct exchange *x, struct visit *v, const json_t *pending, int fd)
{
    struct html h = visit_page(x);
    (void)fd;
    if (v->asked.tool == NULL)
        v->asked = (struct page_asked){ .tool = visit_query_value(x, "tool"), .done = query_value(x, "asked").len > 0 };
    page_home(&h, x->snap->config, v->status, pending, &v->asked);
    json_decref(v->status);
    v->status = NULL;
    visit_send_page(x, &h, v->page_status ? v->page_status : 200);
}

static void on_status_home(struct exchange *x, struct visit *v, const json_t *answer, int fd)
{
    (void)fd;
    v->status = json_deep_copy(answer);
    visit_ask(x, json_pack("{s:s}", "op", "pending"), show_home);
}

static void on_asked(struct exchange *x, struct visit *v, const json_t *answer, int fd)
{
    (void)v;
    (void)answer;
    (void)fd;
    reply_redirect(x, "/?asked=1");
}

/* The form again, with what was typed and why it was refused. */
static void on_ask_refused(struct exchange *x, struct visit *v, const json_t *problem)
{
    json_int_t status = json_integer_value(json_object_get(problem, "status"));
    struct slice detail = arena_copy(&x->arena, slice_str(text(problem, "detail"))), next = arena_copy(&x->arena, slice_str(text(problem, "next")));
    v->asked.refused = detail.ptr ? (const char *)detail.ptr : "";
    v->asked.next = next.ptr ? (const char *)next.ptr : "";
    v->page_status = status >= 400 && status <= 599 ? (unsigned)status : 403;
    visit_ask(x, json_pack("{s:s}", "op", "status"), on_status_home);
}

/* The boxes that were ticked ("TOOL:ACTION"), and of these the names that are actions of the chosen tool. */
static json_t *ticked(struct exchange *x, const char *tool, json_t *all, size_t *count_out)
{
    json_t *names = json_array();
    struct slice start = arena_printf(&x->arena, "%s:", tool);
    for (size_t i = 0; i < x->form.count; i++) {
        struct slice v = x->form.v[i].value;
        if (!slice_eq(x->form.v[i].name, SLICE("only")))
            continue;
        ++*count_out;
        json_array_append_new(all, json_stringn((const char *)v.ptr, v.len));
        if (start.len > 0 && slice_starts(v, start))
            json_array_append_new(names, json_stringn((const char *)v.ptr + start.len, v.len - start.len));
    }
    return names;
}

static json_t *request_message(const struct visit *v, json_t *actions)
{
    long long minutes = strtoll(v->asked.minutes, NULL, 10);
    if (minutes < 0 || minutes > INT32_MAX)
        minutes = 0;                  /* authz says what is allowed */
    json_t *m = json_pack("{s:s,s:s,s:s,s:I}", "op", "request.create", "tool", v->asked.tool, "reason", v->asked.reason, "duration_s", (json_int_t)minutes * 60);
    if (v->asked.extends[0] != 0)
        json_object_set_new(m, "extends", json_string(v->asked.extends));
    long long window = strtoll(v->window, NULL, 10);
    if (v->window[0] != 0 && window != 0)
        json_object_set_new(m, "start_within_s", json_integer(window > 0 && window <= INT32_MAX ? (json_int_t)window * 60 : -1));
    if (v->asked.basis[0] != 0)
        json_object_set_new(m, "basis", json_string(v->asked.basis));
    if (json_array_size(actions) > 0)
        json_object_set(m, "actions", actions);
    return m;
}

static void do_ask(struct exchange *x)
{
    struct visit *v = visit_of(x);
    v->asked = (struct page_asked){ .tool = visit_form_value(x, "tool"), .reason = visit_form_value(x, "reason"),
                                    .minutes = visit_form_value(x, "minutes"), .extends = visit_form_value(x, "extends"),
                                    .basis = visit_form_value(x, "basis"), .only = json_array() };
    v->window = visit_form_value(x, "window");
    size_t ticks = 0;
    json_t *actions = ticked(x, v->asked.tool, v->asked.only, &ticks);
    v->if_refused = prefers_html(x) ? on_ask_refused : NULL;
    if (json_array_size(actions) == ticks)
        visit_ask(x, request_message(v, actions), on_asked);
    else                              /* leaving those out could ask for all */
        refuse(x, 422, "bad-request", "An action of another tool was ticked", "You ticked an action of another tool than the one you ask for.",
               "Go back, and tick actions of that tool only, or none.");
    json_decref(actions);
}

static const json_t *find_grant(const json_t *status, const char *id)
{
    size_t i;
    json_t *g;
    json_array_foreach(json_object_get(status, "grants"), i, g)
        if (strcmp(text(g, "grant_id"), id) == 0 || strcmp(text(g, "id"), id) == 0)
            return g;
    return NULL;
}

static void on_status_notice(struct exchange *x, struct visit *v, const json_t *answer, int fd)
{
    struct html h = visit_page(x);
    const json_t *g = find_grant(answer, v->id);
    struct slice to = arena_copy(&x->arena, query_value(x, "to"));
    (void)fd;
    if (g == NULL) {
        refuse(x, 404, "not-found", "There is no such grant", "It has ended, or it is not yours.", "Ask for access again on the console.");
        return;
    }
    page_notice(&h, x->snap->config, v->id, text(g, "tool"), to.len ? (const char *)to.ptr : "/");
    visit_send_page(x, &h, 200);
}

/* Only a path on the tool's own host: never another place. */
static void go_to_tool(struct exchange *x, const char *tool_name, const char *to)
{
    const struct tool *tool = config_tool(x->snap->config, slice_str(tool_name));
    char *origin = tool ? config_origin(x->snap->config, tool->host) : NULL;
    bool plain = to[0] == '/' && to[1] != '/' && to[1] != '\\';
    for (const char *p = to; *p != 0; p++)
        plain = plain && *p > 0x20 && *p < 0x7f;
    struct slice where = arena_printf(&x->arena, "%s%s", origin ? origin : "", plain ? to : "/");
    free(origin);
    reply_redirect(x, where.ptr ? (const char *)where.ptr : "/");
}

static void on_status_go(struct exchange *x, struct visit *v, const json_t *answer, int fd)
{
    const json_t *g = find_grant(answer, v->id);
    (void)fd;
    if (g == NULL)
        reply_redirect(x, "/");
    else
        go_to_tool(x, text(g, "tool"), v->to);
}

static void on_noticed(struct exchange *x, struct visit *v, const json_t *answer, int fd)
{
    (void)v;
    (void)answer;
    (void)fd;
    visit_ask(x, json_pack("{s:s}", "op", "status"), on_status_go);
}

static void do_notice(struct exchange *x)
{
    struct visit *v = visit_of(x);
    v->to = visit_form_value(x, "to");
    visit_ask(x, json_pack("{s:s,s:s}", "op", "notice.ack", "grant_id", v->id), on_noticed);
}

static void on_held(struct exchange *x, struct visit *v, const json_t *answer, int fd)
{
    struct html h = visit_page(x);
    (void)v;
    (void)fd;
    page_held(&h, json_object_get(answer, "item"), x->conn->person ? x->conn->person->name : "");
    visit_send_page(x, &h, 200);
}

static void on_link(struct exchange *x, struct visit *v, const json_t *answer, int fd)
{
    struct slice to = arena_printf(&x->arena, "/.countersign/release/%s", text(answer, "code"));
    (void)fd;
    if (to.ptr == NULL)
        refuse(x, 503, "overloaded", "Not available at the moment", "The gateway is out of memory.", "Try again in a moment.");
    else
        go_to_tool(x, v->to, (const char *)to.ptr);
}

static void on_held_tool(struct exchange *x, struct visit *v, const json_t *answer, int fd)
{
    struct slice tool = arena_copy(&x->arena, slice_str(text(json_object_get(answer, "item"), "tool")));
    (void)fd;
    v->to = tool.ptr ? (const char *)tool.ptr : "";
    visit_ask(x, json_pack("{s:s,s:s}", "op", "release.link", "id", v->id), on_link);
}

static void do_release(struct exchange *x)
{
    visit_ask(x, json_pack("{s:s,s:s}", "op", "item.get", "id", visit_of(x)->id), on_held_tool);
}

/* ---- which is it ---- */

static void show_front(struct exchange *x)
{
    visit_ask(x, json_pack("{s:s}", "op", "status"), on_status_home);
}

static void show_notice(struct exchange *x)
{
    visit_ask(x, json_pack("{s:s}", "op", "status"), on_status_notice);
}

static void show_held(struct exchange *x)
{
    visit_ask(x, json_pack("{s:s,s:s}", "op", "item.get", "id", visit_of(x)->id), on_held);
}

static const struct page pages[] = {
    { "GET", "/", "", show_front, false },
    { "POST", "/ask", "", do_ask, true },
    { "GET", "/notice/*", "", show_notice, false },
    { "POST", "/notice/*", "", do_notice, true },
    { "GET", "/held/*", "", show_held, false },
    { "POST", "/held/*", "/release", do_release, true },
};

static bool page_fits(const struct page *p, struct slice path, char id[64])
{
    struct slice before = slice_str(p->before), after = slice_str(p->after);
    bool has_id = before.ptr[before.len - 1] == '*';
    before.len -= has_id;
    if (!slice_starts(path, before) || path.len < before.len + after.len ||
        !slice_eq(slice_from(path, path.len - after.len), after))
        return false;
    struct slice middle = slice_of(path.ptr + before.len, path.len - before.len - after.len);
    if (has_id ? (middle.len == 0 || middle.len >= 64 || slice_find(middle, '/') < middle.len) : middle.len > 0)
        return false;
    memcpy(id, middle.ptr, middle.len);
    id[middle.len] = 0;
    return true;
}

static void with_body(struct exchange *x)
{
    if (x->too_large)
        refuse(x, 413, "too-large", "Too large", "The body is larger than 32 KiB.", "Send less.");
    else if (x->page == NULL)
        run_api(x);
    else if (readings_body(&x->request, bbuf_slice(&x->body), &x->arena, &x->form) != OK)
        refuse(x, 400, "bad-request", "This form can't be read", "The body is not a well-formed form.", "Use the form on the console's page.");
    else
        x->page->show(x);
}

/* A page of another origin must not decide, ask or release in the person's name; nor load anything of the console's as a part of itself, since
 * reading is an entry in the log ("session.read") too. It may send the browser here. */
static bool comes_from_elsewhere(const struct exchange *x)
{
    struct slice site = fields_get(&x->request.fields, SLICE("sec-fetch-site")), origin = fields_get(&x->request.fields, SLICE("origin"));
    struct slice mode = fields_get(&x->request.fields, SLICE("sec-fetch-mode")), dest = fields_get(&x->request.fields, SLICE("sec-fetch-dest"));
    bool reads = slice_eq(x->request.method, SLICE("GET")) || slice_eq(x->request.method, SLICE("HEAD"));
    bool page = slice_eq(mode, SLICE("navigate")) && (dest.ptr == NULL || slice_eq(dest, SLICE("document")));
    if (reads && (site.ptr == NULL || page))
        return false;
    if (site.ptr != NULL)
        return !slice_eq(site, SLICE("same-origin")) && !slice_eq(site, SLICE("none"));
    return origin.ptr != NULL && !slice_ieq(origin, slice_str(x->snap->console_origin));
}

static bool public_pages(struct exchange *x)
{
    if (slice_eq(x->request.path, SLICE("/static/sign.js"))) {
        reply_bytes(x, 200, "text/javascript; charset=utf-8", console_script(), NULL);
        return true;
    }
    if (slice_eq(x->request.path, SLICE("/static/page.js"))) {
        reply_bytes(x, 200, "text/javascript; charset=utf-8", console_page_script(), NULL);
        return true;
    }
    if (slice_eq(x->request.path, SLICE("/api/openapi.json"))) {
        reply_bytes(x, 200, "application/json", console_openapi(), NULL);
        return true;
    }
    if (slice_eq(x->request.path, SLICE("/.well-known/jwks.json"))) {
        send_json(x, 200, access_jwks(x->worker->access));
        return true;
    }
    if (slice_eq(x->request.path, SLICE("/.well-known/countersign-log-key"))) {
        const char *key = access_log_key(x->worker->access);
        json_t *o = key ? json_pack("{s:s,s:s}", "instance", x->snap->config->instance, "log_key", key) : NULL;
        send_json(x, 200, o);
        json_decref(o);
        return true;
    }
    return false;
}

void stage_console(struct exchange *x)
{
    struct slice method = slice_eq(x->request.method, SLICE("HEAD")) ? SLICE("GET") : x->request.method;
    if (comes_from_elsewhere(x)) {
        refuse(x, 403, "cross-origin", "This request came from another site", "A page of another origin may not act here in your name.",
               "Open the console itself and do it there.");
        return;
    }
    x->visit = arena_zalloc(&x->arena, sizeof *x->visit);
    if (x->visit == NULL) {
        refuse(x, 503, "overloaded", "Not available at the moment", "The gateway is out of memory.", "Try again in a moment.");
        return;
    }
    if (slice_eq(method, SLICE("GET")) && public_pages(x))
        return;
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
        if (slice_eq(method, slice_str(pages[i].method)) && page_fits(&pages[i], x->request.path, x->visit->id))
            x->page = &pages[i];
    for (size_t i = 0; x->page == NULL && console_work_pages[i].method != NULL; i++)
        if (slice_eq(method, slice_str(console_work_pages[i].method)) && page_fits(&console_work_pages[i], x->request.path, x->visit->id))
            x->page = &console_work_pages[i];
    if (x->page != NULL && !x->page->has_form)
        x->page->show(x);
    else
        exchange_collect(x, API_BODY_MAX, with_body);
}

void console_done(struct exchange *x)
{
    if (x->visit == NULL)
        return;
    json_decref(x->visit->status);
    json_decref(x->visit->other);
    json_decref(x->visit->asked.only);
}
