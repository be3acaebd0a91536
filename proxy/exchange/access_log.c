#include "proxy/exchange/access_log.h"

#include "proxy/base/log.h"
#include "proxy/exchange/conn.h"

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

/* `key` is all that comes before the value: ,"name":" of a text, ,"name": of a number. Members fit by their bounds: at most 12 texts of VALUE_MAX characters, each
 * cut there. printf would take as long as the rest of the line. */
#define TEXT(name) SLICE(",\"" name "\":\"")
#define NUMBER(name) SLICE(",\"" name "\":")

static void text(struct access_log *l, struct slice key, struct slice value)
{
    if (value.len == 0)
        return;
    put(l, key);
    l->len += log_escape_into(value, l->lines + l->len, VALUE_MAX);
    put(l, SLICE("\""));
}

static void number(struct access_log *l, struct slice key, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    put(l, key);
    put(l, slice_of(digits + at, sizeof digits - at));
}

static void begin(struct access_log *l, int64_t wall_ms)
{
    if (wall_ms / 1000 != l->second || l->when[0] == 0) {
        l->second = wall_ms / 1000;
        clock_rfc3339(l->second * 1000, l->when);
    }
    unsigned ms = (unsigned)(wall_ms % 1000);
    char fraction[4] = { '.', (char)('0' + ms / 100), (char)('0' + ms / 10 % 10), (char)('0' + ms % 10) };
    put(l, SLICE("{\"time\":\""));
    put(l, slice_of(l->when, 19));    /* "2026-01-31T12:00:00", then the milliseconds of this one */
    put(l, slice_of(fraction, sizeof fraction));
    put(l, SLICE("Z\",\"level\":\"info\",\"process\":\""));
    put(l, slice_str(log_process()));
    put(l, SLICE("\",\"event\":\"exchange\""));
}

static void put_request(struct access_log *l, const struct exchange *x)
{
    const struct conn *c = x->conn;
    char trace[TRACE_ID_LEN + 1];
    if (trace_id(fields_get(&x->request.fields, SLICE("traceparent")), trace))
        text(l, TEXT("trace"), slice_of(trace, TRACE_ID_LEN));
    text(l, TEXT("source"), slice_str(c->address));
    text(l, TEXT("protocol"), c->protocol == &protocol_h2 ? SLICE("HTTP/2") : x->request.version == 10 ? SLICE("HTTP/1.0") : SLICE("HTTP/1.1"));
    text(l, TEXT("tls"), slice_str(SSL_get_version(c->stream.ssl)));
    text(l, TEXT("identity"), slice_str(c->cert == CERT_GOOD ? c->identity.name : NULL));
    text(l, TEXT("tool"), slice_str(x->tool ? x->tool->name : NULL));
    text(l, TEXT("action"), slice_str(x->verdict.action ? x->verdict.action->name : NULL));
    text(l, TEXT("grant"), slice_str(x->grant_id));
    if (x->record != RECORD_FULL)
        text(l, TEXT("record"), x->record == RECORD_OFF ? SLICE("off") : SLICE("metadata"));
    text(l, TEXT("method"), x->request.method);
    text(l, TEXT("path"), x->request.path);
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
    number(l, NUMBER("status"), x->head_sent ? x->response.status : 0);
    number(l, NUMBER("received"), x->request_bytes);
    number(l, NUMBER("sent"), x->response_bytes);
    if (x->answered_ms > 0)
        number(l, NUMBER("first_ms"), since(x->begun_ms, x->answered_ms));
    number(l, NUMBER("ms"), since(x->begun_ms, x->worker->loop.now_ms));
    text(l, TEXT("refusal"), slice_str(x->refusal));
    if (x->why != x->refusal)
        text(l, TEXT("why"), slice_str(x->why));
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
