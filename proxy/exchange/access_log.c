#include "proxy/exchange/access_log.h"

#include "proxy/base/log.h"
#include "proxy/exchange/conn.h"

#include <stdio.h>
#include <stdlib.h>

enum { LINES_AT_ONCE = 16 * 1024, LONGEST_LINE = 8 * 1024, VALUE_MAX = 512 };

/* ---- trace ---- */

static bool lower_hex(struct slice s, bool *all_zero)
{
    *all_zero = true;
    for (size_t i = 0; i < s.len; i++) {
        if (!((s.ptr[i] >= '0' && s.ptr[i] <= '9') || (s.ptr[i] >= 'a' && s.ptr[i] <= 'f')))
            return false;
        *all_zero &= s.ptr[i] == '0';
    }
    return true;
}

/* version "-" trace-id "-" parent-id "-" flags: 2, 32, 16 and 2 lower-case hex digits. A later version may go on after another "-". */
bool trace_id(struct slice t, char out[TRACE_ID_LEN + 1])
{
    bool zero = false;
    if (t.len < 55 || t.ptr[2] != '-' || t.ptr[35] != '-' || t.ptr[52] != '-')
        return false;
    struct slice version = slice_of(t.ptr, 2), id = slice_of(t.ptr + 3, 32);
    bool first = slice_eq(version, SLICE("00"));
    if (!lower_hex(version, &zero) || slice_eq(version, SLICE("ff")) || (first ? t.len != 55 : t.len > 55 && t.ptr[55] != '-'))
        return false;
    if (!lower_hex(slice_of(t.ptr + 53, 2), &zero) || !lower_hex(slice_of(t.ptr + 36, 16), &zero) || zero || !lower_hex(id, &zero) || zero)
        return false;
    memcpy(out, id.ptr, TRACE_ID_LEN);
    out[TRACE_ID_LEN] = 0;
    return true;
}

/* ---- lines ---- */

static void put(struct access_log *l, struct slice s)
{
    memcpy(l->lines + l->len, s.ptr, s.len);
    l->len += s.len;
}

/* Members fit by their bounds: at most 12 texts of VALUE_MAX characters, each cut there. */
static void text(struct access_log *l, const char *key, struct slice value)
{
    if (value.len == 0)
        return;
    put(l, SLICE(",\""));
    put(l, slice_str(key));
    put(l, SLICE("\":\""));
    log_escape(value, l->lines + l->len, VALUE_MAX);
    l->len += strlen(l->lines + l->len);
    put(l, SLICE("\""));
}

static void number(struct access_log *l, const char *key, uint64_t value)
{
    l->len += (size_t)snprintf(l->lines + l->len, 64, ",\"%s\":%llu", key, (unsigned long long)value);
}

static void begin(struct access_log *l, int64_t wall_ms)
{
    if (wall_ms / 1000 != l->second || l->when[0] == 0) {
        l->second = wall_ms / 1000;
        clock_rfc3339(l->second * 1000, l->when);
    }
    /* "2026-01-31T12:00:00" and then the milliseconds of this one. */
    l->len += (size_t)snprintf(l->lines + l->len, 192, "{\"time\":\"%.19s.%03dZ\",\"level\":\"info\",\"process\":\"%.32s\",\"event\":\"exchange\"", l->when,
                               (int)(wall_ms % 1000), log_process());
}

static void put_request(struct access_log *l, const struct exchange *x)
{
    const struct conn *c = x->conn;
    char trace[TRACE_ID_LEN + 1];
    if (trace_id(fields_get(&x->request.fields, SLICE("traceparent")), trace))
        text(l, "trace", slice_str(trace));
    text(l, "source", slice_str(c->address));
    text(l, "protocol", c->protocol == &protocol_h2 ? SLICE("HTTP/2") : x->request.version == 10 ? SLICE("HTTP/1.0") : SLICE("HTTP/1.1"));
    text(l, "tls", slice_str(SSL_get_version(c->stream.ssl)));
    text(l, "identity", slice_str(c->cert == CERT_GOOD ? c->identity.name : NULL));
    text(l, "tool", slice_str(x->tool ? x->tool->name : NULL));
    text(l, "action", slice_str(x->verdict.action ? x->verdict.action->name : NULL));
    text(l, "grant", slice_str(x->grant_id));
    if (x->record != RECORD_FULL)
        text(l, "record", x->record == RECORD_OFF ? SLICE("off") : SLICE("metadata"));
    text(l, "method", x->request.method);
    text(l, "path", x->request.path);
}

static uint64_t since(int64_t begun_ms, int64_t now_ms)
{
    return now_ms > begun_ms ? (uint64_t)(now_ms - begun_ms) : 0;
}

void access_log_put(struct access_log *l, const struct exchange *x)
{
    if (!log_shows(LOG_LEVEL_INFO))
        return;
    if (l->lines == NULL && (l->lines = malloc(LINES_AT_ONCE + LONGEST_LINE)) == NULL)
        return;
    begin(l, x->started_ms);
    put_request(l, x);
    number(l, "status", x->head_sent ? x->response.status : 0);
    number(l, "received", x->request_bytes);
    number(l, "sent", x->response_bytes);
    if (x->answered_ms > 0)
        number(l, "first_ms", since(x->begun_ms, x->answered_ms));
    number(l, "ms", since(x->begun_ms, clock_mono_ms()));
    text(l, "refusal", slice_str(x->refusal));
    if (x->why != x->refusal)
        text(l, "why", slice_str(x->why));
    put(l, SLICE("}\n"));
    if (l->len >= LINES_AT_ONCE)
        access_log_flush(l);
}

void access_log_flush(struct access_log *l)
{
    if (l->len > 0)
        log_write_lines(slice_of(l->lines, l->len));
    l->len = 0;
}

void access_log_done(struct access_log *l)
{
    access_log_flush(l);
    free(l->lines);
    l->lines = NULL;
}
