/* What a segment says about the session at its end, and how the next recorder takes that up (comment.h). */
#include "proxy/record/session.h"

#include "proxy/base/codec.h"
#include "proxy/record/comment.h"

#include <stdio.h>
#include <stdlib.h>

enum { OPEN_URI_MAX = 2048, COMMENT_ROOM = 512 * 1024 };

static json_t *text(const char *s)
{
    return comment_string(slice_str(s));
}

static json_t *side_json(const struct record_side *m)
{
    return json_pack("[iiIIiIi]", (int)m->state, (int)m->records, (json_int_t)m->total, (json_int_t)m->body, (int)m->version,
                     (json_int_t)m->status, (int)m->from_tool);
}

static json_t *message_json(const struct record_message *m)
{
    return json_pack("[siIo]", m->towards_client ? "client" : "tool", (int)(m->opcode | m->what << 8), (json_int_t)m->number,
                     side_json(&m->side));
}

/* Where it goes to: nothing of that lies readable on the disk when recordings are sealed. Left out when it is too long. */
static bool add_uri(json_t *o, const struct record_exchange *x, const struct session_context *c)
{
    if (strlen(x->uri) > OPEN_URI_MAX)
        return true;
    if (c->sealer == NULL)
        return json_object_set_new(o, "uri", text(x->uri)) == 0;
    char *box = session_box_close(c, x->ring, x->uri);
    bool good = box == NULL || json_object_set_new(o, "box", json_string(box)) == 0;
    free(box);
    return good;
}

static json_t *exchange_json(const struct record_exchange *x, const struct session_context *c, bool with_uri)
{
    char ring[B64URL_LEN(RING_ID_BYTES) + 1];
    b64url_encode(slice_of(x->ring, RING_ID_BYTES), ring);
    json_t *o = json_pack("{sI ss sI sI so so so}", "id", (json_int_t)x->id, "ring", ring, "at", (json_int_t)x->begun_at, "started_ms",
                     (json_int_t)x->started_ms, "action", text(x->action), "request", side_json(&x->side[0]), "response",
                     side_json(&x->side[1]));
    if (o != NULL && with_uri && !add_uri(o, x, c)) {
        json_decref(o);
        o = NULL;
    }
    if (o != NULL && x->sizes_only && json_object_set_new(o, "kept", json_string("metadata")) != 0) {
        json_decref(o);
        o = NULL;
    }
    if (o != NULL && x->messages > 0 && json_object_set_new(o, "messages", json_pack("[Ioo]", (json_int_t)x->messages, message_json(&x->message[0]),
                                                                        message_json(&x->message[1]))) != 0) {
        json_decref(o);
        o = NULL;
    }
    return o;
}

static json_t *open_json(const struct session *s, const struct session_context *c, bool with_uris)
{
    json_t *list = json_array();
    for (const struct record_exchange *x = s->exchanges; x != NULL && list != NULL; x = x->next)
        if (json_array_append_new(list, exchange_json(x, c, with_uris)) != 0) {
            json_decref(list);
            list = NULL;
        }
    return list;
}

static json_t *rings_json(const struct session *s)
{
    json_t *rings = json_object();
    for (size_t i = 0; i < s->reach_count && rings != NULL; i++) {
        char ring[B64URL_LEN(RING_ID_BYTES) + 1];
        b64url_encode(slice_of(s->reach[i].ring, RING_ID_BYTES), ring);
        if (json_object_set_new(rings, ring, json_integer((json_int_t)s->reach[i].position)) != 0) {
            json_decref(rings);
            rings = NULL;
        }
    }
    return rings;
}

/* What an index covers stands outside too: whoever hands it out needs no key to know which segments it spares. */
static bool add_cover(json_t *o, const struct index_cover *cover)
{
    return json_object_set_new(o, "index", json_pack("[ii]", (int)cover->from, (int)cover->to)) == 0;
}

static bool add_touched(json_t *o, const struct session *s)
{
    return s->touched_count == 0 || json_object_set_new(o, "touched", session_touched_json(s)) == 0;
}

static char *comment_with(const struct session *s, const struct session_context *c, struct slice content, const struct index_cover *index, bool with_uris)
{
    json_t *o = json_pack("{si ss si so so so so so sI sI si si sI sI sI so so}", "v", 1, "session", s->id, "number", (int)s->file.number + 1,
                          "identity", text(s->identity), "person", text(s->person), "tool", text(s->tool), "host", text(s->host), "x5t",
                          text(s->x5t), "from_ms",
                          (json_int_t)s->from_ms, "to_ms", (json_int_t)s->to_ms, "exchanges", (int)s->begun, "logged", (int)s->logged,
                          "last_ring", (json_int_t)s->last_ring_id48, "position", (json_int_t)s->last_position, "crc32",
                          (json_int_t)comment_crc(0, content),
                          "ring", rings_json(s), "open", open_json(s, c, with_uris));
    if (o != NULL && !(index != NULL ? add_cover(o, index) : add_touched(o, s))) {
        json_decref(o);
        o = NULL;
    }
    char *line = o ? comment_write(o) : NULL;
    json_decref(o);
    return line;
}

char *session_comment(const struct session *s, const struct session_context *c, struct slice content, const struct index_cover *index)
{
    char *line = comment_with(s, c, content, index, true);
    if (line != NULL && strlen(line) > COMMENT_ROOM) {
        free(line);
        line = comment_with(s, c, content, index, false);
    }
    return line;
}

/* Reading back. */

static void restore_text(char out[SESSION_TEXT_MAX], const json_t *o, const char *name)
{
    const char *value = json_string_value(json_object_get(o, name));
    snprintf(out, SESSION_TEXT_MAX, "%s", value ? value : "");
}

static bool restore_side(struct record_side *m, const json_t *a)
{
    if (json_array_size(a) != 7)
        return false;
    json_int_t n[7];
    for (size_t i = 0; i < 7; i++) {
        n[i] = json_integer_value(json_array_get(a, i));
        if (n[i] < 0)
            return false;
    }
    if (n[0] > MESSAGE_DONE)
        return false;
    *m = (struct record_side){ .state = (unsigned)n[0], .records = (unsigned)n[1], .total = (uint64_t)n[2], .body = (uint64_t)n[3],
                               .version = (unsigned)n[4], .status = (unsigned)n[5], .from_tool = n[6] != 0 };
    return true;
}

/* Absent when no WebSocket message came. */
static bool restore_messages(struct record_exchange *x, const json_t *a)
{
    if (a == NULL)
        return true;
    json_int_t count = json_integer_value(json_array_get(a, 0));
    for (unsigned i = 0; i < 2; i++) {
        const json_t *one = json_array_get(a, i + 1);
        json_int_t what = json_integer_value(json_array_get(one, 1)), number = json_integer_value(json_array_get(one, 2));
        if (what < 0 || what > 0xffff || number < 0 || !restore_side(&x->message[i].side, json_array_get(one, 3)))
            return false;
        x->message[i].opcode = (unsigned)what & 0xff;
        x->message[i].what = (unsigned)what >> 8;
        x->message[i].number = (uint64_t)number;
        x->message[i].towards_client = i == 1;
    }
    x->messages = (uint64_t)count;
    return count >= 0;
}

/* Without a key, when the machine was off in between, only the host is known. */
static char *restore_uri(const struct session *s, const struct session_context *c, const struct record_exchange *x, const json_t *o)
{
    const char *uri = json_string_value(json_object_get(o, "uri")), *box = json_string_value(json_object_get(o, "box"));
    char *out = uri ? strdup(uri) : box ? session_box_open(c, x->ring, box) : NULL;
    if (out == NULL && asprintf(&out, "https://%s/", s->host) < 0)
        out = NULL;
    return out;
}

static bool restore_one(const struct session *s, const struct session_context *c, struct record_exchange *x, const json_t *o)
{
    const char *ring = json_string_value(json_object_get(o, "ring"));
    const char *action = json_string_value(json_object_get(o, "action")), *kept = json_string_value(json_object_get(o, "kept"));
    size_t len = 0, scheme = sizeof "https://" - 1;
    if (ring == NULL || action == NULL || b64url_decode(slice_str(ring), x->ring, sizeof x->ring, &len) != OK || len != sizeof x->ring)
        return false;
    x->id = (uint64_t)json_integer_value(json_object_get(o, "id"));
    x->begun_at = (uint64_t)json_integer_value(json_object_get(o, "at"));
    x->started_ms = x->last_ms = json_integer_value(json_object_get(o, "started_ms"));
    if (x->started_ms < 0 || x->started_ms > RING_WALL_MS_MAX)
        x->started_ms = x->last_ms = 0;
    x->sizes_only = kept != NULL && strcmp(kept, "metadata") == 0;
    record_exchange_action(x, slice_str(action));
    x->action_changed = true;         /* perhaps: a metadata record will say it */
    char *uri = restore_uri(s, c, x, o);
    bool good = uri != NULL && strncmp(uri, "https://", scheme) == 0;
    struct slice host = slice_of(good ? uri + scheme : "", good ? strcspn(uri + scheme, "/") : 0);
    good = good && record_exchange_uri(x, host, slice_str(uri + scheme + host.len)) == OK;
    free(uri);
    return good && restore_side(&x->side[0], json_object_get(o, "request")) && restore_side(&x->side[1], json_object_get(o, "response"))
           && restore_messages(x, json_object_get(o, "messages"));
}

static void restore_exchange(struct session *s, const struct session_context *c, const json_t *o)
{
    struct record_exchange *x = record_exchange_new(NULL);
    if (x == NULL)
        return;
    if (restore_one(s, c, x, o) && session_find(s, x->id) == NULL)
        session_add(s, x);
    else
        record_exchange_free(NULL, x);
}

void session_restore(struct session *s, const struct session_context *c, const json_t *comment)
{
    const json_t *rings = json_object_get(comment, "ring");
    const json_t *open = json_object_get(comment, "open");
    void *at;
    restore_text(s->identity, comment, "identity");
    restore_text(s->person, comment, "person");
    restore_text(s->tool, comment, "tool");
    restore_text(s->host, comment, "host");
    restore_text(s->x5t, comment, "x5t");
    json_int_t logged = json_integer_value(json_object_get(comment, "logged"));
    s->logged = logged > 0 && logged <= TAR_NUMBER_MAX ? (unsigned)logged : 0;
    s->reach_count = 0;
    for (at = json_object_iter((json_t *)(uintptr_t)rings); at != NULL && s->reach_count < SESSION_RINGS_MAX;
         at = json_object_iter_next((json_t *)(uintptr_t)rings, at)) {
        struct ring_reach *r = &s->reach[s->reach_count];
        size_t len = 0;
        if (b64url_decode(slice_str(json_object_iter_key(at)), r->ring, sizeof r->ring, &len) != OK || len != sizeof r->ring)
            continue;
        r->position = r->in_file = (uint64_t)json_integer_value(json_object_iter_value(at));
        s->reach_count++;
    }
    while (s->exchanges != NULL)
        session_drop(s, NULL, s->exchanges);
    for (size_t i = 0; i < json_array_size(open); i++)
        restore_exchange(s, c, json_array_get(open, i));
}
