/* What a tool said over a WebSocket, for the script that plays it back (web/inside.js); behind content_parts.h. */
#include "proxy/replay/content_parts.h"

#include "proxy/replay/messages.h"
#include "proxy/replay/query_match.h"

#include <openssl/evp.h>
#include <stdlib.h>

enum { PLAYED_MAX = 20000 };

static int hex_of(unsigned char c)
{
    unsigned char l = ascii_lower(c);
    return c >= '0' && c <= '9' ? c - '0' : l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

/* The value of target=…, decoded into the answer's arena; empty when there is none, or it is broken. */
static struct slice asked_target(struct slice query, struct httpd_answer *a)
{
    if (!slice_starts(query, SLICE("target=")))
        return slice_of(NULL, 0);
    query = slice_from(query, 7);
    query.len = slice_find(query, '&');
    unsigned char *out = arena_alloc(a->arena, query.len + 1);
    size_t n = 0;
    for (size_t i = 0; out != NULL && i < query.len; i++) {
        int c = query.ptr[i];
        if (c == '%') {
            int high = i + 2 < query.len ? hex_of(query.ptr[i + 1]) : -1, low = i + 2 < query.len ? hex_of(query.ptr[i + 2]) : -1;
            if (high < 0 || low < 0)
                return slice_of(NULL, 0);
            c = high << 4 | low;
            i += 2;
        }
        out[n++] = (unsigned char)c;
    }
    return slice_of(out, out != NULL ? n : 0);
}

static bool fits(const struct recorded_exchange *e, struct slice target)
{
    size_t mark = slice_find(target, '?');
    return e->kind == RECORDED_SOCKET && slice_eq(e->path, slice_of(target.ptr, mark))
           && query_compare(mark < target.len ? slice_from(target, mark + 1) : slice_of(target.ptr, 0), e->query) != QUERY_OTHER;
}

/* The page's own first, one after the other; else the first after the page. */
static size_t find_socket(struct recorded *r, size_t page, struct slice target)
{
    size_t other = RECORDED_NONE;
    for (size_t i = 0; i < r->count; i++) {
        if (!fits(&r->v[i], target))
            continue;
        if (r->v[i].page == page && r->v[i].served_to != page) {
            r->v[i].served_to = page;
            return i;
        }
        if (other == RECORDED_NONE && r->v[i].page != page && i > page)
            other = i;
    }
    return other;
}

static json_t *base64_of(struct slice s)
{
    char *text = malloc((s.len + 2) / 3 * 4 + 1);
    if (text == NULL)
        return NULL;
    EVP_EncodeBlock((unsigned char *)text, s.ptr ? s.ptr : (const unsigned char *)"", (int)s.len);
    json_t *v = json_string(text);
    free(text);
    return v;
}

static json_t *close_json(int64_t ms, struct slice data)
{
    bool code = data.len >= 2;
    json_t *reason = code ? json_stringn((const char *)data.ptr + 2, data.len - 2) : NULL;
    return json_pack("{s:I, s:i, s:o}", "ms", (json_int_t)ms, "close", code ? data.ptr[0] << 8 | data.ptr[1] : 1005, "reason", reason != NULL ? reason : json_string(""));
}

static json_t *message_json(int64_t ms, const struct archive_ws_message *m, const struct message_text *t)
{
    if (slice_eq(m->opcode, SLICE("close")))
        return close_json(ms, m->data);
    json_t *text = slice_eq(m->opcode, SLICE("text")) ? json_stringn(t->data.ptr ? (const char *)t->data.ptr : "", t->data.len) : NULL;
    return text != NULL ? json_pack("{s:I, s:o}", "ms", (json_int_t)ms, "text", text) : json_pack("{s:I, s:o}", "ms", (json_int_t)ms, "base64", base64_of(t->data));
}

/* Only what came to the page: what it sends now goes nowhere. */
static json_t *messages_json(const struct archive_exchange *x, const struct messages *texts, size_t *left_out)
{
    json_t *list = json_array();
    for (size_t i = 0; i < x->message_count; i++) {
        const struct archive_ws_message *m = &x->messages[i];
        if (slice_eq(m->from, SLICE("client")) || slice_eq(m->opcode, SLICE("ping")) || slice_eq(m->opcode, SLICE("pong")))
            continue;
        if (m->omitted || texts->v[i].unreadable || texts->v[i].cut || json_array_size(list) >= PLAYED_MAX)
            ++*left_out;
        else
            json_array_append_new(list, message_json(m->time_ms - x->started_ms, m, &texts->v[i]));
    }
    return list;
}

void content_socket(const struct content *c, const struct content_ask *k, struct httpd_answer *a)
{
    struct slice target = asked_target(k->q->m->query, a);
    size_t i = target.len > 0 ? find_socket(c->recorded, k->page, target) : RECORDED_NONE, left_out = 0;
    struct messages texts;
    json_t *answer;
    if (i == RECORDED_NONE) {
        answer = json_pack("{s:b}", "found", 0);
    } else {
        const struct archive_exchange *x = c->recorded->v[i].x;
        struct slice protocol = recorded_field(x->response_head, SLICE("sec-websocket-protocol"));
        if (messages_init(&texts, x) != OK) {
            a->status = 0;
            return;
        }
        json_t *list = messages_json(x, &texts, &left_out);
        messages_done(&texts);
        json_t *name = json_stringn(protocol.ptr ? (const char *)protocol.ptr : "", protocol.len);
        answer = json_pack("{s:b, s:o, s:o, s:I}", "found", 1, "protocol", name != NULL ? name : json_string(""), "messages", list, "left_out", (json_int_t)left_out);
    }
    a->owned = (unsigned char *)json_dumps(answer, JSON_COMPACT);
    json_decref(answer);
    a->status = a->owned != NULL ? 200 : 0;
    a->body = slice_str((char *)a->owned);
    httpd_field(a, "content-type", SLICE("application/json"));
}
