#include "proxy/record/index.h"

#include "proxy/record/put.h"

#include <stdio.h>

/* The longest line but for its texts. */
enum { FIXED_MAX = 1024, ESCAPED = 6 };

/* As the inside of a JSON string. Bytes that are no ASCII count as Latin-1, so that every byte comes back whatever a peer sent. */
static void put_escaped(struct put *p, struct slice s)
{
    static const char digits[] = "0123456789abcdef";
    for (;;) {
        size_t n = put_plain(s);
        put_text(p, slice_of(s.ptr, n));
        if (n == s.len)
            return;
        const char code[ESCAPED] = { '\\', 'u', '0', '0', digits[s.ptr[n] >> 4], digits[s.ptr[n] & 15] };
        put_text(p, slice_of(code, sizeof code));
        s = slice_from(s, n + 1);
    }
}

static void put_string(struct put *p, struct slice name, struct slice v)
{
    if (v.len == 0)
        return;
    put_text(p, name);
    put_escaped(p, v);
    PUT(p, "\"");
}
#define PUT_STRING(p, name, v) put_string(p, SLICE(",\"" name "\":\""), v)

static void put_rare(struct put *p, const struct index_line *l)
{
    static const char *const parts[] = { "", "begin", "end" };
    PUT_STRING(p, "part", slice_str(parts[l->part]));
    if (l->sizes_only)
        PUT(p, ",\"kept\":\"metadata\"");
    if (l->request_cut || l->response_cut)
        PUT_STRING(p, "cut", slice_str(l->request_cut && l->response_cut ? "both" : l->request_cut ? "request" : "response"));
    if (l->messages > 0)
        PUT_NUMBER(p, ",\"messages\":", l->messages);
    if (l->removed > 0)
        PUT_NUMBER(p, ",\"removed\":", l->removed);
    PUT_STRING(p, "touched", l->names);
    PUT_STRING(p, "secrets", l->secrets);
    PUT_STRING(p, "sha256", l->sha256);
    PUT_STRING(p, "why", l->why);
    if (l->notes.len > 0) {
        PUT(p, ",\"notes\":");
        put_text(p, l->notes);
    }
}

enum status index_put(struct warc_bytes *to, const struct index_line *l)
{
    size_t texts = l->action.len + l->request.len + l->names.len + l->secrets.len + l->record.len + l->why.len + l->sha256.len;
    enum status st = warc_bytes_reserve(to, FIXED_MAX + ESCAPED * texts + l->notes.len);
    if (st != OK)
        return st;
    char *start = (char *)to->data + to->len;
    struct put p = { start };
    PUT_NUMBER(&p, "{\"exchange\":", l->exchange);
    PUT_NUMBER(&p, ",\"started_ms\":", (uint64_t)l->started_ms);
    PUT_NUMBER(&p, ",\"ended_ms\":", (uint64_t)l->ended_ms);
    PUT_STRING(&p, "action", l->action);
    PUT_STRING(&p, "request", l->request);
    if (l->status > 0) {
        PUT_NUMBER(&p, ",\"status\":", l->status);
        PUT_STRING(&p, "from", l->from_tool ? SLICE("tool") : SLICE("gateway"));
    }
    PUT_NUMBER(&p, ",\"request_bytes\":", l->request_bytes);
    PUT_NUMBER(&p, ",\"response_bytes\":", l->response_bytes);
    if (l->segment > 0) {
        PUT_NUMBER(&p, ",\"segment\":", l->segment);
        PUT_NUMBER(&p, ",\"offset\":", l->offset);
    }
    PUT_NUMBER(&p, ",\"last_segment\":", l->last_segment);
    PUT_STRING(&p, "record", l->record);
    put_rare(&p, l);
    PUT(&p, "}\n");
    to->len += (size_t)(p.at - start);
    return OK;
}

enum status index_put_cover(struct warc_bytes *to, const char *session, const struct index_cover *cover)
{
    char line[256];
    int n = snprintf(line, sizeof line, "{\"index\":1,\"session\":\"%s\",\"from\":%u,\"to\":%u}\n", session, cover->from, cover->to);
    return warc_bytes_put(to, slice_of(line, n > 0 && (size_t)n < sizeof line ? (size_t)n : 0));
}
