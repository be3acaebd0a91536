/* How the next recorder takes up what a segment says about the session at its end (comment.h); session_comment.c writes it. */
#include "proxy/record/session.h"

#include "proxy/base/codec.h"
#include "proxy/record/comment.h"

#include <stdio.h>
#include <stdlib.h>

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
    record_exchange_ids(x);
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
