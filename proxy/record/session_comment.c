/* What a segment says about the session at its end (comment.h). With many exchanges open it is the longest text that is made for a segment, so it is put together
 * by hand; what is no plain ASCII goes through jansson. session_state.c reads it back. */
#include "proxy/record/session.h"

#include "proxy/base/codec.h"
#include "proxy/record/comment.h"
#include "proxy/record/put.h"

#include <stdlib.h>

enum { OPEN_URI_MAX = 2048, COMMENT_ROOM = 512 * 1024,
       /* the most that is written by hand between two texts: names of members, and numbers */
       FIXED_MAX = 1024, ESCAPED = 6 };

/* name: as it stands before the value, colon and all. Leaves room for what is written by hand behind it. */
static enum status put_string(struct warc_bytes *to, struct slice name, const char *value)
{
    struct slice v = slice_str(value);
    if (warc_bytes_reserve(to, name.len + ESCAPED * v.len + 2 + FIXED_MAX) != OK)
        return NO_MEMORY;
    struct put p = { (char *)to->data + to->len };
    put_text(&p, name);
    if (put_plain(v) == v.len) {
        PUT(&p, "\"");
        put_text(&p, v);
        PUT(&p, "\"");
    } else {
        json_t *o = comment_string(v);
        char *text = o ? json_dumps(o, JSON_ENCODE_ANY | JSON_ENSURE_ASCII) : NULL;
        json_decref(o);
        if (text == NULL)
            return NO_MEMORY;
        put_text(&p, slice_str(text));
        free(text);
    }
    to->len = (size_t)(p.at - (char *)to->data);
    return OK;
}
#define PUT_STRING(to, name, value) put_string(to, SLICE(name), value)
/* No more than any reader of JSON takes, whatever a ring said. */
#define PUT_INT(p, name, v) PUT_NUMBER(p, name, (uint64_t)(v) & INT64_MAX)

/* Written by hand, into the room that the text before it left. */
static struct put hand(const struct warc_bytes *to)
{
    return (struct put){ (char *)to->data + to->len };
}

static void done(struct warc_bytes *to, const struct put *p)
{
    to->len = (size_t)(p->at - (char *)to->data);
}

static void put_side(struct put *p, const struct record_side *m)
{
    PUT_INT(p, "[", m->state);
    PUT_INT(p, ",", m->records);
    PUT_INT(p, ",", m->total);
    PUT_INT(p, ",", m->body);
    PUT_INT(p, ",", m->version);
    PUT_INT(p, ",", m->status);
    PUT_INT(p, ",", m->from_tool);
    PUT(p, "]");
}

static void put_message(struct put *p, const struct record_message *m)
{
    put_text(p, m->towards_client ? SLICE(",[\"client\",") : SLICE(",[\"tool\","));
    put_number(p, m->opcode | m->what << 8);
    PUT_INT(p, ",", m->number);
    PUT(p, ",");
    put_side(p, &m->side);
    PUT(p, "]");
}

static void put_ring_id(struct put *p, const unsigned char id[RING_ID_BYTES])
{
    b64url_encode(slice_of(id, RING_ID_BYTES), p->at);
    p->at += B64URL_LEN(RING_ID_BYTES);
}

/* Where it goes to: nothing of that lies readable on the disk when recordings are sealed. Left out when it is too long. */
static enum status put_uri(struct warc_bytes *to, struct record_exchange *x, const struct session_context *c)
{
    if (strlen(x->uri) > OPEN_URI_MAX)
        return OK;
    if (c->sealer == NULL)
        return PUT_STRING(to, ",\"uri\":", x->uri);
    if (x->box == NULL)
        x->box = session_box_close(c, x->ring, x->uri);
    return x->box != NULL ? PUT_STRING(to, ",\"box\":", x->box) : OK;
}

static enum status put_exchange(struct warc_bytes *to, struct record_exchange *x, const struct session_context *c, bool with_uri)
{
    struct put p = hand(to);
    PUT_INT(&p, "{\"id\":", x->id);
    PUT(&p, ",\"ring\":\"");
    put_ring_id(&p, x->ring);
    PUT_INT(&p, "\",\"at\":", x->begun_at);
    PUT_INT(&p, ",\"started_ms\":", x->started_ms);
    done(to, &p);
    enum status st = PUT_STRING(to, ",\"action\":", x->action);
    if (st == OK && with_uri)
        st = put_uri(to, x, c);
    if (st != OK)
        return st;
    p = hand(to);
    PUT(&p, ",\"request\":");
    put_side(&p, &x->side[0]);
    PUT(&p, ",\"response\":");
    put_side(&p, &x->side[1]);
    if (x->sizes_only)
        PUT(&p, ",\"kept\":\"metadata\"");
    if (x->messages > 0) {
        PUT_INT(&p, ",\"messages\":[", x->messages);
        put_message(&p, &x->message[0]);
        put_message(&p, &x->message[1]);
        PUT(&p, "]");
    }
    PUT(&p, "}");
    done(to, &p);
    return OK;
}

static enum status put_open(struct warc_bytes *to, const struct session *s, const struct session_context *c, bool with_uris)
{
    enum status st = warc_bytes_put(to, SLICE(",\"open\":["));
    for (struct record_exchange *x = s->exchanges; x != NULL && st == OK; x = x->next) {
        st = warc_bytes_reserve(to, 1 + FIXED_MAX);
        if (st == OK && x != s->exchanges)
            st = warc_bytes_put(to, SLICE(","));
        if (st == OK)
            st = put_exchange(to, x, c, with_uris);
    }
    return st == OK ? warc_bytes_put(to, SLICE("]")) : st;
}

static enum status put_rings(struct warc_bytes *to, const struct session *s)
{
    enum { ONE = B64URL_LEN(RING_ID_BYTES) + 4 + PUT_NUMBER_MAX };
    if (warc_bytes_reserve(to, sizeof ",\"ring\":{}" + s->reach_count * ONE) != OK)
        return NO_MEMORY;
    struct put p = hand(to);
    PUT(&p, ",\"ring\":{");
    for (size_t i = 0; i < s->reach_count; i++) {
        put_text(&p, i > 0 ? SLICE(",\"") : SLICE("\""));
        put_ring_id(&p, s->reach[i].ring);
        PUT_INT(&p, "\":", s->reach[i].position);
    }
    PUT(&p, "}");
    done(to, &p);
    return OK;
}

static enum status put_who(struct warc_bytes *to, const struct session *s)
{
    const struct { struct slice name; const char *value; } texts[] = {
        { SLICE_INIT(",\"identity\":"), s->identity }, { SLICE_INIT(",\"person\":"), s->person }, { SLICE_INIT(",\"tool\":"), s->tool },
        { SLICE_INIT(",\"host\":"), s->host }, { SLICE_INIT(",\"x5t\":"), s->x5t },
    };
    enum status st = PUT_STRING(to, "{\"v\":1,\"session\":", s->id);
    if (st != OK)
        return st;
    struct put p = hand(to);
    PUT_INT(&p, ",\"number\":", s->file.number + 1);
    done(to, &p);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0] && st == OK; i++)
        st = put_string(to, texts[i].name, texts[i].value);
    return st;
}

static void put_what(struct warc_bytes *to, const struct session *s, struct slice content)
{
    struct put p = hand(to);
    PUT_INT(&p, ",\"from_ms\":", s->from_ms);
    PUT_INT(&p, ",\"to_ms\":", s->to_ms);
    PUT_INT(&p, ",\"exchanges\":", s->begun);
    PUT_INT(&p, ",\"logged\":", s->logged);
    PUT_INT(&p, ",\"last_ring\":", s->last_ring_id48);
    PUT_INT(&p, ",\"position\":", s->last_position);
    PUT_INT(&p, ",\"crc32\":", comment_crc(0, content));
    done(to, &p);
}

/* What an index covers stands outside too: whoever hands it out needs no key to know which segments it spares. */
static enum status put_cover(struct warc_bytes *to, const struct index_cover *cover)
{
    if (warc_bytes_reserve(to, FIXED_MAX) != OK)
        return NO_MEMORY;
    struct put p = hand(to);
    PUT_INT(&p, ",\"index\":[", cover->from);
    PUT_INT(&p, ",", cover->to);
    PUT(&p, "]");
    done(to, &p);
    return OK;
}

static enum status put_touched(struct warc_bytes *to, const struct session *s)
{
    enum status st = OK;
    for (size_t i = 0; i < s->touched_count && st == OK; i++) {
        st = warc_bytes_put(to, i == 0 ? SLICE(",\"touched\":[\"") : SLICE(",\""));
        if (st == OK)
            st = warc_bytes_put(to, slice_str(s->touched[i]));
        if (st == OK)
            st = warc_bytes_put(to, i + 1 == s->touched_count ? SLICE("\"]") : SLICE("\""));
    }
    return st;
}

static enum status comment_with(struct warc_bytes *to, const struct session *s, const struct session_context *c, struct slice content,
                                const struct index_cover *index, bool with_uris)
{
    to->len = 0;
    enum status st = warc_bytes_put(to, SLICE(COMMENT_PREFIX));
    if (st == OK)
        st = put_who(to, s);
    if (st != OK)
        return st;
    put_what(to, s, content);
    st = put_rings(to, s);
    if (st == OK)
        st = put_open(to, s, c, with_uris);
    if (st == OK)
        st = index != NULL ? put_cover(to, index) : put_touched(to, s);
    return st == OK ? warc_bytes_put(to, SLICE("}")) : st;
}

enum status session_comment(const struct session *s, const struct session_context *c, struct slice content, const struct index_cover *index, struct warc_bytes *to)
{
    enum status st = comment_with(to, s, c, content, index, true);
    return st == OK && to->len > COMMENT_ROOM ? comment_with(to, s, c, content, index, false) : st;
}
