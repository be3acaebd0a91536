/* The gateway's own answers: problems (RFC 9457) or the same as a page, redirects, console answers. */
#include "proxy/console/html.h"
#include "proxy/exchange/conn.h"
#include "proxy/exchange/cross_origin.h"
#include "proxy/exchange/exchange.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { REPLY_ARENA_MAX = 16 * 1024 };

/* Whatever a client or a tool has filled the exchange's memory with, an answer of ours keeps all its fields: those that guard a page as well. */
static void make_room(struct exchange *x)
{
    x->arena.max = EXCHANGE_ARENA_MAX + REPLY_ARENA_MAX;
}

static bool is_head(const struct exchange *x)
{
    return slice_eq(x->request.method, SLICE("HEAD"));
}

bool prefers_html(const struct exchange *x)
{
    struct slice accept = fields_get(&x->request.fields, SLICE("accept"));
    struct slice html = SLICE("text/html"), json = SLICE("application/json");
    size_t html_at = accept.len, json_at = accept.len;
    for (size_t i = 0; i < accept.len; i++) {
        struct slice rest = slice_from(accept, i);
        if (html_at == accept.len && rest.len >= html.len && slice_ieq(slice_of(rest.ptr, html.len), html))
            html_at = i;
        if (json_at == accept.len && rest.len >= json.len && slice_ieq(slice_of(rest.ptr, json.len), json))
            json_at = i;
    }
    return html_at < json_at;
}

static void add(struct exchange *x, const char *name, const char *value)
{
    struct slice copy = arena_copy(&x->arena, slice_str(value));
    if (copy.ptr != NULL)
        (void)!fields_add(&x->response_fields, &x->arena, 64, slice_str(name), copy);
}

static void begin_reply(struct exchange *x, unsigned status, const char *content_type, uint64_t len, const struct fields *more)
{
    char length[24];
    make_room(x);
    x->response = (struct message){ .version = x->request.version, .status = status, .framing = len ? BODY_LENGTH : BODY_NONE,
                                    .has_length = true, .content_length = len };
    x->response_fields = (struct fields){ 0 };
    if (content_type != NULL)
        add(x, "content-type", content_type);
    if (more == NULL || fields_get(more, SLICE("cache-control")).ptr == NULL)
        add(x, "cache-control", "no-store");
    add(x, "x-content-type-options", "nosniff");
    add(x, "referrer-policy", "no-referrer");
    add(x, "strict-transport-security", x->snap->hsts);
    if (content_type != NULL && strncmp(content_type, "text/html", 9) == 0) {
        add(x, "content-security-policy", html_csp(x->tool == NULL));
        add(x, "x-frame-options", "DENY");
        if (x->tool == NULL)          /* on a tool's host its own pages may have opened this one, and want to know when it is closed */
            add(x, "cross-origin-opener-policy", "same-origin");
    }
    if (x->reader.len == 0)
        add(x, "cross-origin-resource-policy", "same-origin");
    for (size_t i = 0; more != NULL && i < more->count; i++)
        (void)!fields_add(&x->response_fields, &x->arena, 64, more->v[i].name, more->v[i].value);
    cross_origin_fields(x, &x->response_fields);
    x->response.fields = x->response_fields;
    snprintf(length, sizeof length, "%llu", (unsigned long long)len);
    x->no_body = is_head(x) || len == 0;
    x->durable = false;
    exchange_enter(x, X_REPLY);
    respond_head(x, false);
}

void reply_bytes(struct exchange *x, unsigned status, const char *content_type, struct slice body, const struct fields *more)
{
    if (body.len > 0) {
        x->reply_owned = malloc(body.len);
        if (x->reply_owned == NULL)
            body.len = 0;
        else
            memcpy(x->reply_owned, body.ptr, body.len);
    }
    x->reply = slice_of(x->reply_owned, is_head(x) ? 0 : body.len);
    begin_reply(x, status, content_type, body.len, more);
}

void reply_file(struct exchange *x, const char *content_type, int fd, uint64_t len)
{
    struct stretch_of_file *all = arena_alloc(&x->arena, sizeof *all);
    if (all != NULL)
        *all = (struct stretch_of_file){ 0, len };
    reply_file_parts(x, content_type, fd, all, all != NULL);
}

void reply_file_parts(struct exchange *x, const char *content_type, int fd, struct stretch_of_file *parts, size_t count)
{
    uint64_t len = 0;
    for (size_t i = 0; i < count; i++)
        len += parts[i].len;
    x->reply_fd = fd;
    x->reply_parts = parts;
    x->reply_part_count = count;
    x->reply_left = is_head(x) ? 0 : len;
    begin_reply(x, 200, content_type, len, NULL);
}

static bool pump_file(struct exchange *x)
{
    unsigned char piece[16384];
    size_t room = respond_room(x);
    while (x->reply_part_count > 1 && x->reply_parts->len == 0) {
        x->reply_parts++;
        x->reply_part_count--;
    }
    struct stretch_of_file *part = x->reply_parts;
    if (room > sizeof piece)
        room = sizeof piece;
    if (room > part->len)
        room = (size_t)part->len;
    if (room == 0)
        return false;
    ssize_t n = pread(x->reply_fd, piece, room, (off_t)part->from);
    if (n <= 0) {
        respond_cut(x, "file-read-failed");   /* shorter than it was a moment ago */
        return false;
    }
    part->from += (uint64_t)n;
    part->len -= (uint64_t)n;
    x->reply_left -= (uint64_t)n;
    respond_body(x, slice_of(piece, (size_t)n));
    return true;
}

void reply_pump(struct exchange *x)
{
    while (x->state == X_REPLY && x->reply_left > 0 && pump_file(x))
        ;
    while (x->state == X_REPLY && x->reply.len > 0) {
        size_t n = respond_room(x);
        if (n == 0)
            return;
        if (n > x->reply.len)
            n = x->reply.len;
        respond_body(x, slice_of(x->reply.ptr, n));
        x->reply = slice_from(x->reply, n);
    }
    if (x->state == X_REPLY && x->reply.len == 0 && x->reply_left == 0 && !x->end_pending)
        respond_end(x);
}

static void problem_json(struct exchange *x, const struct problem *p)
{
    char type[256];
    snprintf(type, sizeof type, "%s/problems/%s", x->snap->console_origin, p->type);
    json_t *o = json_pack("{s:s,s:s,s:i,s:s,s:s}", "type", type, "title", p->title, "status", (int)p->status, "detail", p->detail,
                          "next", p->next);
    if (o != NULL && p->extra_name != NULL)
        json_object_set_new(o, p->extra_name, json_string(p->extra_value));
    if (o != NULL && p->link != NULL)
        json_object_set_new(o, "link", json_string(p->link));
    char *text = o ? json_dumps(o, JSON_INDENT(2)) : NULL;
    char *line = NULL;
    int len = text ? asprintf(&line, "%s\n", text) : -1;
    reply_bytes(x, p->status, "application/problem+json", slice_of(line, len > 0 ? (size_t)len : 0), NULL);
    free(line);
    free(text);
    json_decref(o);
}

static void problem_link(struct html *h, const char *cls, const char *to, const char *words)
{
    html_raw(h, "<p><a");
    html_raw(h, cls);
    html_raw(h, " href=\"");
    html_str(h, to);
    html_raw(h, "\">");
    html_str(h, words);
    html_raw(h, "</a></p>\n");
}

void page_head(struct html *h, const struct exchange *x)
{
    const struct config *c = x->snap->config;
    const struct person *p = x->conn->person;
    h->who = p ? p->name : NULL;
    h->here = x->request.path;
    h->looks = p != NULL && (person_in_any(p, c->operators, c->operator_count) || person_in_any(p, c->auditors, c->auditor_count));
}

static void problem_page(struct exchange *x, const struct problem *p)
{
    struct html h = { 0 };
    page_head(&h, x);
    if (strcmp(p->type, "locked") == 0)
        h.who = NULL;                 /* none of the links would lead anywhere */
    html_begin(&h, p->title, x->snap->console_origin);
    html_raw(&h, "<p>");
    html_sentence(&h, p->detail);
    html_raw(&h, "</p>\n<div class=\"next\"><p><strong>What to do next.</strong> ");
    html_sentence(&h, p->next);
    html_raw(&h, "</p>");
    if (p->link != NULL)
        problem_link(&h, " class=\"button\"", p->link, p->link_text);
    html_raw(&h, "</div>\n<p class=\"soft\">");
    html_number(&h, (long long)p->status);
    html_raw(&h, " <code>");
    html_str(&h, p->type);
    html_raw(&h, "</code>");
    if (p->extra_value != NULL) {
        html_raw(&h, " <code>");
        html_str(&h, p->extra_value);
        html_raw(&h, "</code>");
    }
    html_raw(&h, "</p>\n");
    if (p->link == NULL && x->conn->person != NULL && strcmp(p->type, "locked") != 0)
        problem_link(&h, "", x->snap->console_origin, "Your access");
    html_end(&h);
    reply_bytes(x, p->status, "text/html; charset=utf-8", slice_of(h.failed ? NULL : h.data, h.failed ? 0 : h.len), NULL);
    html_done(&h);
}

void reply_problem(struct exchange *x, const struct problem *p)
{
    make_room(x);
    struct slice type = arena_copy(&x->arena, slice_str(p->type));   /* it outlives the caller's problem: the log has it once the exchange is over */
    x->refusal = type.ptr != NULL ? (const char *)type.ptr : "refused";
    if (x->why == NULL)
        x->why = x->refusal;
    if (prefers_html(x))
        problem_page(x, p);
    else
        problem_json(x, p);
}

void reply_redirect(struct exchange *x, const char *location)
{
    struct fields more = { 0 };
    struct slice copy = arena_copy(&x->arena, slice_str(location));
    (void)!fields_add(&more, &x->arena, 4, SLICE("location"), copy);
    reply_bytes(x, 303, NULL, (struct slice){ 0 }, &more);
}
