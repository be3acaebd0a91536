/* The records of a session, as README.md lays them out. */
#include "proxy/record/session.h"

#include "proxy/base/codec.h"
#include "proxy/base/log.h"
#include "proxy/http/ws_frame.h"
#include "proxy/record/comment.h"
#include "proxy/record/entry.h"

#include <stdio.h>
#include <stdlib.h>

static unsigned segment_number(const struct session *s)
{
    return s->file.number + 1;
}

static void put_info(char *text, size_t *len, size_t max, const char *name, const char *value)
{
    int n = snprintf(text + *len, max - *len, "%s: ", name);
    if (n < 0 || (size_t)n >= max - *len || value[0] == 0)
        return;
    *len += (size_t)n;
    for (; *value != 0 && *len + 2 < max; value++)
        text[(*len)++] = (unsigned char)*value < ' ' || *value == 0x7f ? '?' : *value;
    text[(*len)++] = '\r';
    text[(*len)++] = '\n';
}

enum status record_info(struct session *s, const struct session_context *c, int64_t now_ms)
{
    char text[4096], number[16];
    size_t len = 0;
    snprintf(number, sizeof number, "%06u", segment_number(s));
    const char *const fields[][2] = {
        { "software", "Countersign/" COUNTERSIGN_VERSION }, { "format", "WARC File Format 1.1" },
        { "conformsTo", "http://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/" },
        { "instance", c->instance }, { "session", s->id }, { "grant_id", s->id }, { "segment", number }, { "person", s->person },
        { "identity", s->identity }, { "certificate", s->x5t }, { "tool", s->tool }, { "host", s->host },
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        put_info(text, &len, sizeof text, fields[i][0], fields[i][1]);
    unsigned char name[32];
    /* Several nodes may have a part of one session, and records of all of them one day lie in one file. */
    struct slice parts[] = { slice_str(s->id), SLICE("\n"), slice_str(c->instance), slice_of(&now_ms, sizeof now_ms) };
    sha256(parts, sizeof parts / sizeof parts[0], name);
    struct slice block = slice_of(text, len);
    struct warc_record r = { .type = WARC_INFO, .date_ms = now_ms, .content_type = "application/warc-fields", .block = &block,
                             .block_count = 1 };
    warc_id(name, segment_number(s), RECORD_ID_INFO, 0, r.id);
    return warc_write(c->warc, &r, &s->out);
}

/* The first record of a segment is its warcinfo. */
static enum status write_record(struct session *s, const struct session_context *c, const struct warc_record *r)
{
    enum status st = s->out.len == 0 ? record_info(s, c, s->from_ms) : OK;
    return st == OK ? warc_write(c->warc, r, &s->out) : st;
}

static const char *protocol_of(unsigned version)
{
    return version == 20 ? "h2" : version == 10 ? "http/1.0" : "http/1.1";
}

/* The end of a message whose bytes policy did not want kept: how many there were, loudly. */
static void say_omitted(struct warc_record *r, const struct record_exchange *x, const struct record_side *m, bool complete, bool cut)
{
    if (!x->sizes_only)
        return;
    r->kept = "metadata";
    r->omits = complete;
    r->omitted = m->body;
    if (complete && !cut && m->body > 0)
        r->truncated = "policy";
}

/* Of a message of a WebSocket that could not be read in full: the same. */
static void say_unread(struct warc_record *r, const struct record_message *m, bool complete, bool cut)
{
    if (!complete || !(m->what & MESSAGE_OMITTED))
        return;
    r->omits = true;
    r->omitted = m->side.body;
    if (!cut)
        r->truncated = "length";
}

static struct slice uri_of(const struct record_exchange *x)
{
    return slice_of(x->uri, x->uri_len);
}

static const char *const message_type[2] = { "application/http;msgtype=request", "application/http;msgtype=response" };

enum status record_side_write(struct session *s, const struct session_context *c, struct record_exchange *x, unsigned side, bool complete,
                              bool cut, bool ends_well)
{
    struct record_side *m = &x->side[side];
    bool first = m->records == 0, whole = first && complete;
    struct warc_record r = {
        .type = !first ? WARC_CONTINUATION : side ? WARC_RESPONSE : WARC_REQUEST,
        .date_ms = first && !side ? x->started_ms : x->last_ms,
        .target_uri = uri_of(x),
        .exchange = x->id,
        .protocol = first ? protocol_of(m->version) : NULL,
        .truncated = complete && cut ? "disconnect" : NULL,
        .content_type = first ? message_type[side] : NULL,
        .segment_number = whole ? 0 : m->records + 1,
        .ends_well = ends_well && side,
        .removed = complete && side ? x->removed : 0,
        .block = m->v,
        .block_count = m->count,
    };
    if (first)
        memcpy(r.id, x->record_id[side], sizeof r.id);
    else
        warc_id(x->ring, x->id, side ? RECORD_ID_RESPONSE : RECORD_ID_REQUEST, m->records + 1, r.id);
    say_omitted(&r, x, m, complete, cut);
    if (first && side) {
        r.concurrent_to = slice_str(x->record_id[0]);
        r.from = m->from_tool ? "tool" : "gateway";
    } else if (first) {
        r.action = slice_str(x->action);
        r.names = slice_str(x->names);
    } else {
        r.segment_origin = slice_str(x->record_id[side]);
        r.segment_last = complete;
        r.total_length = m->total + m->len;
    }
    enum status st = s->out.len == 0 ? record_info(s, c, s->from_ms) : OK;
    size_t offset = s->out.len;
    if (st == OK)
        st = write_record(s, c, &r);
    if (st != OK)
        return st;
    if (first && !side) {
        x->first_segment = segment_number(s);
        x->offset = offset;
    }
    m->records++;
    m->total += m->len;
    m->count = 0;
    m->len = 0;
    if (complete)
        m->state = MESSAGE_DONE;
    return OK;
}

static const char *message_type_of(const struct record_message *m)
{
    return m->opcode == WS_TEXT && !(m->what & MESSAGE_COMPRESSED) ? "text/plain; charset=utf-8" : "application/octet-stream";
}

/* One resource record a message; continuations when it outgrows a segment. */
enum status record_message_write(struct session *s, const struct session_context *c, struct record_exchange *x, struct record_message *m,
                                 bool complete, bool cut)
{
    struct record_side *side = &m->side;
    char origin[WARC_ID_MAX];
    bool first = side->records == 0;
    warc_id(x->ring, x->id, RECORD_ID_MESSAGE + (unsigned)m->number, 1, origin);
    struct warc_record r = {
        .type = first ? WARC_RESOURCE : WARC_CONTINUATION, .date_ms = x->last_ms, .target_uri = uri_of(x), .exchange = x->id,
        .truncated = complete && cut ? "disconnect" : NULL, .segment_number = first && complete ? 0 : side->records + 1,
        .block = side->v, .block_count = side->count,
    };
    if (first) {
        r.content_type = message_type_of(m);
        r.concurrent_to = slice_str(x->record_id[0]);
        r.message = m->number;
        r.opcode = ws_opcode_name((enum ws_opcode)m->opcode);
        r.compressed = m->what & MESSAGE_COMPRESSED ? "permessage-deflate" : NULL;
        r.from = m->what & MESSAGE_BY_GATEWAY ? "gateway" : m->towards_client ? "tool" : "client";
    } else {
        r.segment_origin = slice_str(origin);
        r.segment_last = complete;
        r.total_length = side->total + side->len;
    }
    warc_id(x->ring, x->id, RECORD_ID_MESSAGE + (unsigned)m->number, side->records + 1, r.id);
    say_unread(&r, m, complete, cut);
    say_omitted(&r, x, side, complete, cut);
    enum status st = write_record(s, c, &r);
    if (st != OK)
        return st;
    side->records++;
    side->total += side->len;
    side->count = 0;
    side->len = 0;
    if (complete)
        side->state = MESSAGE_DONE;
    return OK;
}

enum status record_interim(struct session *s, const struct session_context *c, struct record_exchange *x, int64_t time_ms,
                           const struct slice head[2], unsigned version, unsigned number)
{
    struct warc_record r = { .type = WARC_RESPONSE, .date_ms = time_ms, .target_uri = uri_of(x), .exchange = x->id,
                             .protocol = protocol_of(version), .from = "tool", .content_type = message_type[1],
                             .concurrent_to = slice_str(x->record_id[0]), .block = head, .block_count = 2 };
    warc_id(x->ring, x->id, RECORD_ID_INTERIM, number, r.id);
    return write_record(s, c, &r);
}

/* {"exchange":1,"started_ms":2,"ended_ms":3,"action":"x","why":"y","request_bytes":4,"response_bytes":5,"notes":{...}} */
static char *metadata_text(const struct record_exchange *x, bool last, const char *why)
{
    char action[SESSION_TEXT_MAX * 6 + 1], reason[400], end[800] = "", messages[40] = "", *notes = NULL, *text;
    if (x->notes != NULL && (notes = json_dumps(x->notes, JSON_COMPACT)) == NULL)
        return NULL;
    log_escape(slice_str(x->action), action, sizeof action);
    log_escape(slice_str(why), reason, sizeof reason);
    if (x->messages > 0)
        snprintf(messages, sizeof messages, "\"messages\":%llu,", (unsigned long long)x->messages);
    if (last)
        snprintf(end, sizeof end, "\"ended_ms\":%lld,\"why\":\"%s\",\"request_bytes\":%llu,\"response_bytes\":%llu,", (long long)x->last_ms, reason,
                 (unsigned long long)x->side[0].body, (unsigned long long)x->side[1].body);
    if (asprintf(&text, "{\"exchange\":%llu,\"started_ms\":%lld,\"action\":\"%s\",%s%s\"notes\":%s}\n", (unsigned long long)x->id,
                 (long long)x->started_ms, action, end, messages, notes ? notes : "{}") < 0)
        text = NULL;
    free(notes);
    return text;
}

enum status record_metadata(struct session *s, const struct session_context *c, struct record_exchange *x, bool last, const char *why)
{
    char *text = metadata_text(x, last, why);
    if (text == NULL)
        return NO_MEMORY;
    struct slice block = slice_str(text);
    struct warc_record r = { .type = WARC_METADATA, .date_ms = x->last_ms, .target_uri = uri_of(x), .exchange = x->id,
                             .concurrent_to = slice_str(x->record_id[0]), .content_type = "application/json", .block = &block, .block_count = 1 };
    warc_id(x->ring, x->id, last ? RECORD_ID_END : RECORD_ID_NOTES, segment_number(s), r.id);
    enum status st = write_record(s, c, &r);
    free(text);
    if (st == OK) {
        json_decref(x->notes);
        x->notes = NULL;
    }
    return st;
}
