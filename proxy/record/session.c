#include "proxy/record/session.h"

#include "proxy/base/clock.h"
#include "proxy/base/codec.h"
#include "proxy/record/comment.h"
#include "proxy/record/entry.h"
#include "proxy/record/secrets.h"

#include <stdio.h>
#include <stdlib.h>

struct session *session_new(struct slice id, size_t ring_count)
{
    struct session *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->file.fd = -1;
    s->unwritten = malloc((ring_count ? ring_count : 1) * sizeof *s->unwritten);
    if (s->unwritten == NULL) {
        free(s);
        return NULL;
    }
    for (size_t i = 0; i < ring_count; i++)
        s->unwritten[i] = UINT64_MAX;
    memcpy(s->id, id.ptr, id.len);
    s->index_from = 1;
    return s;
}

void session_free(struct session *s)
{
    if (s == NULL)
        return;
    while (s->exchanges != NULL)
        session_drop(s, NULL, s->exchanges);
    session_file_close(&s->file);
    warc_bytes_done(&s->out);
    warc_bytes_done(&s->index);
    free(s->touched);
    free(s->unwritten);
    free(s);
}

bool session_has_news(const struct session *s)
{
    return s->raw > 0 || s->out.len > 0;
}

/* Rings. */

static struct ring_reach *reach_of(struct session *s, const unsigned char ring[RING_ID_BYTES])
{
    for (size_t i = 0; i < s->reach_count; i++)
        if (memcmp(s->reach[i].ring, ring, RING_ID_BYTES) == 0)
            return &s->reach[i];
    if (s->reach_count == SESSION_RINGS_MAX) {   /* the oldest belongs to a gateway long restarted */
        memmove(s->reach, s->reach + 1, (SESSION_RINGS_MAX - 1) * sizeof s->reach[0]);
        s->reach_count--;
    }
    struct ring_reach *r = &s->reach[s->reach_count++];
    *r = (struct ring_reach){ 0 };
    memcpy(r->ring, ring, RING_ID_BYTES);
    return r;
}

/* Entries. */

static enum status add_piece(struct record_side *side, struct slice piece)
{
    if (piece.len == 0)
        return OK;
    if (side->count == side->cap) {
        size_t cap = side->cap ? side->cap * 2 : 4;
        struct slice *v = realloc(side->v, cap * sizeof *v);
        if (v == NULL)
            return NO_MEMORY;
        side->v = v;
        side->cap = cap;
    }
    side->v[side->count++] = piece;
    side->len += piece.len;
    return OK;
}

/* Two pieces or none. */
static enum status add_pieces(struct record_side *side, const struct ring_cursor *c)
{
    struct record_side before = *side;
    enum status st = add_piece(side, c->part[0]);
    if (st == OK)
        st = add_piece(side, c->part[1]);
    if (st != OK) {
        side->count = before.count;
        side->len = before.len;
    }
    return st;
}

static bool take_text(struct ring_cursor *c, char *out, size_t out_max)
{
    uint32_t len;
    struct ring_cursor got;
    if (!ring_take_u32(c, &len) || !ring_take_parts(c, len, &got))
        return false;
    size_t keep = len < out_max ? len : out_max - 1;
    if (!ring_take(&got, out, keep))
        return false;
    out[keep] = 0;
    return true;
}

/* The target out of the head's first line. */
static enum status make_uri(struct record_exchange *x, struct slice authority, const struct ring_cursor *head, uint32_t method_len, uint32_t target_len)
{
    char target[RECORD_URI_MAX];
    struct ring_cursor c = *head, method;
    if (target_len > sizeof target)
        target_len = sizeof target;
    if (!ring_take_parts(&c, (size_t)method_len + 1, &method) || !ring_take(&c, target, target_len))
        return CORRUPT;
    size_t kept = method_len < sizeof x->method ? method_len : sizeof x->method - 1;
    if (!ring_take(&method, x->method, kept))
        return CORRUPT;
    x->method[kept] = 0;
    return record_exchange_uri(x, authority, slice_of(target, target_len));
}

static enum status begin(const struct session *s, const struct session_context *c, const struct ring_in *in, const struct ring_entry *e, struct record_exchange **out)
{
    if (session_find(s, e->exchange) != NULL)
        return CORRUPT;
    struct record_exchange *x = record_exchange_new(c->pool);
    if (x == NULL)
        return NO_MEMORY;
    x->id = e->exchange;
    x->begun_at = e->pos;
    x->started_ms = x->last_ms = e->wall_ms;
    memcpy(x->ring, in->h->id, RING_ID_BYTES);
    record_exchange_ids(x);
    *out = x;
    return OK;
}

static enum status take_begin(struct session *s, const struct session_context *c, const struct ring_in *in, const struct ring_entry *e, struct ring_cursor p)
{
    uint32_t version, method_len, target_len;
    char action[SESSION_TEXT_MAX], authority[SESSION_TEXT_MAX];
    struct record_exchange *x;
    if (!ring_take_u32(&p, &version) || !ring_take_u32(&p, &method_len) || !ring_take_u32(&p, &target_len)
        || !take_text(&p, s->identity, sizeof s->identity) || !take_text(&p, s->person, sizeof s->person)
        || !take_text(&p, s->tool, sizeof s->tool) || !take_text(&p, s->host, sizeof s->host) || !take_text(&p, s->x5t, sizeof s->x5t)
        || !take_text(&p, action, sizeof action) || !take_text(&p, authority, sizeof authority))
        return CORRUPT;
    enum status st = begin(s, c, in, e, &x);
    if (st != OK)
        return st;
    x->side[0].state = MESSAGE_OPEN;
    x->side[0].version = version & 0xffff;
    x->sizes_only = version >> ENTRY_KEEP_SHIFT == ENTRY_KEEP_SIZES;
    record_exchange_action(x, slice_str(action));
    st = make_uri(x, slice_str(authority[0] ? authority : s->host), &p, method_len, target_len);
    if (st == OK)
        st = add_pieces(&x->side[0], &p);
    if (st != OK) {
        record_exchange_free(c->pool, x);
        return st;
    }
    if (e->flags & ENTRY_WHOLE)
        st = record_side_write(s, c, x, 0, true, false, false);
    if (st != OK) {
        record_exchange_free(c->pool, x);
        return st;
    }
    session_add(s, x);
    s->begun++;
    return OK;
}

/* Which secrets the head shows, by their fingerprints. */
static enum status look_for_secrets(struct record_exchange *x, struct ring_cursor head)
{
    enum { LOOKED_AT = 32 * 1024 };
    unsigned char joined[LOOKED_AT];
    char text[SECRETS_MAX];
    struct slice all = head.part[0];
    if (head.part[1].len > 0) {       /* across the ring's edge */
        size_t n = ring_left(&head) < sizeof joined ? ring_left(&head) : sizeof joined;
        if (!ring_take(&head, joined, n))
            return CORRUPT;
        all = slice_of(joined, n);
    }
    size_t len = secrets_in_head(all, text);
    if (len == 0)
        return OK;
    free(x->secrets);
    x->secrets = strndup(text, len);
    return x->secrets ? OK : NO_MEMORY;
}

static enum status take_response(struct session *s, const struct session_context *c, struct record_exchange *x, const struct ring_entry *e,
                                 struct ring_cursor payload)
{
    uint32_t version, status, from_tool;
    struct record_side *side = &x->side[1];
    if (!ring_take_u32(&payload, &version) || !ring_take_u32(&payload, &status) || !ring_take_u32(&payload, &from_tool)
        || side->state != MESSAGE_NONE)
        return CORRUPT;
    if (status < 200 && status != 101)
        return record_interim(s, c, x, e->wall_ms, payload.part, version, (unsigned)(e->pos & 0xffffffff));
    enum status st = look_for_secrets(x, payload);
    if (st == OK)
        st = add_pieces(side, &payload);
    if (st != OK)
        return st;
    side->state = MESSAGE_OPEN;
    side->version = version;
    side->status = status;
    side->from_tool = from_tool != 0;
    return OK;
}

static enum status take_body(struct record_exchange *x, const struct ring_entry *e, const struct ring_cursor *payload)
{
    struct record_side *side = &x->side[e->flags & ENTRY_RESPONSE_SIDE];
    if (side->state != MESSAGE_OPEN || x->sizes_only)
        return CORRUPT;
    enum status st = add_pieces(side, payload);
    if (st != OK)
        return st;
    side->body += ring_left(payload);
    if ((e->flags & ENTRY_RESPONSE_SIDE) && x->sha256 != NULL
        && (EVP_DigestUpdate(x->sha256, payload->part[0].ptr, payload->part[0].len) != 1 || EVP_DigestUpdate(x->sha256, payload->part[1].ptr, payload->part[1].len) != 1)) {
        EVP_MD_CTX_free(x->sha256);   /* then the line has no digest, and the record is what counts */
        x->sha256 = NULL;
    }
    return OK;
}

static bool take_count(struct ring_cursor *c, uint64_t *out)
{
    uint32_t low, high;
    if (!ring_take_u32(c, &low) || !ring_take_u32(c, &high) || high >> 31)
        return false;
    *out = (uint64_t)high << 32 | low;
    return true;
}

static enum status take_omitted(struct record_exchange *x, const struct ring_entry *e, struct ring_cursor *payload)
{
    struct record_side *side = &x->side[e->flags & ENTRY_RESPONSE_SIDE];
    uint64_t n;
    if (side->state != MESSAGE_OPEN || !x->sizes_only || !take_count(payload, &n))
        return CORRUPT;
    side->body += n;
    return OK;
}

/* A piece of a message, or how long it was. */
static enum status add_message_piece(struct record_message *m, const struct record_message *new, const struct ring_cursor *payload)
{
    struct ring_cursor c = *payload;
    uint64_t n;
    m->what |= new->what & MESSAGE_OMITTED;
    if (!(new->what & MESSAGE_OMITTED))
        return add_pieces(&m->side, payload);
    if (!take_count(&c, &n))
        return CORRUPT;
    m->side.body += n;
    return OK;
}

/* Whole in one entry, and while another message of that direction may be under way: a control frame. */
static enum status take_control(struct session *s, const struct session_context *c, struct record_exchange *x, struct record_message *m,
                                const struct ring_cursor *payload)
{
    enum status st = add_message_piece(m, m, payload);
    if (st == OK)
        st = record_message_write(s, c, x, m, true, false);
    free(m->side.v);
    x->messages += st == OK;
    return st;
}

static enum status take_data(struct session *s, const struct session_context *c, struct record_exchange *x, struct record_message *m,
                             const struct record_message *new, const struct ring_cursor *payload)
{
    struct record_message before = *m;
    bool begins = (new->what & MESSAGE_FIRST) != 0;
    if (begins) {
        *m = *new;
        m->side.v = before.side.v;    /* the room of the one before */
        m->side.cap = before.side.cap;
    }
    enum status st = add_message_piece(m, new, payload);
    if (st == OK && (new->what & MESSAGE_LAST))
        st = record_message_write(s, c, x, m, true, false);
    if (st != OK) {                   /* nothing was taken */
        before.side.v = m->side.v;
        before.side.cap = m->side.cap;
        *m = before;
    } else {
        x->messages += begins;
    }
    return st;
}

static enum status take_message(struct session *s, const struct session_context *c, struct record_exchange *x, const struct ring_entry *e,
                                struct ring_cursor payload)
{
    unsigned which = e->flags & ENTRY_RESPONSE_SIDE;
    struct record_message *m = &x->message[which];
    uint32_t opcode, what;
    if (!ring_take_u32(&payload, &opcode) || !ring_take_u32(&payload, &what) || opcode > 15 || x->side[1].status != 101
        || (x->sizes_only && !(what & MESSAGE_OMITTED)))
        return CORRUPT;
    struct record_message new = { .side = { .state = MESSAGE_OPEN }, .opcode = opcode, .what = what, .towards_client = which != 0,
                                  .number = x->messages + 1 };
    bool begins = (what & MESSAGE_FIRST) != 0, open = m->side.state == MESSAGE_OPEN;
    if (opcode >= 8)
        return begins && (what & MESSAGE_LAST) ? take_control(s, c, x, &new, &payload) : CORRUPT;
    return begins != open ? take_data(s, c, x, m, &new, &payload) : CORRUPT;
}

/* A response's record is written when the exchange ends, most often at once. */
static enum status end_side(struct session *s, const struct session_context *c, struct record_exchange *x, unsigned which, bool cut)
{
    x->side[which].cut = cut;
    if (which == 0 || x->side[1].status == 101)   /* what a tunnel carries follows its head */
        return record_side_write(s, c, x, which, true, cut, false);
    x->side[which].state = MESSAGE_ENDED;
    return OK;
}

static enum status take_finish(struct session *s, const struct session_context *c, struct record_exchange *x, const struct ring_entry *e)
{
    unsigned which = e->flags & ENTRY_RESPONSE_SIDE;
    struct ring_cursor payload = ring_cursor(e);
    uint32_t removed;
    if (x->side[which].state != MESSAGE_OPEN)
        return CORRUPT;
    if (which == 1 && ring_take_u32(&payload, &removed))
        x->removed = removed;
    return end_side(s, c, x, which, (e->flags & ENTRY_CUT) != 0);
}

static bool is_word(const char *name)
{
    for (; *name != 0; name++)
        if (*name <= ' ' || *name > '~')
            return false;
    return true;
}

/* What a sign-off let run is worth a digest of its own: reports name it. */
static void digest_answer(struct record_exchange *x)
{
    if (x->sha256 != NULL || x->sizes_only || x->side[1].state != MESSAGE_NONE)
        return;
    x->sha256 = EVP_MD_CTX_new();
    if (x->sha256 == NULL || EVP_DigestInit_ex(x->sha256, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(x->sha256);
        x->sha256 = NULL;
    }
}

static enum status take_note(struct session *s, const struct session_context *c, struct record_exchange *x, struct ring_cursor payload)
{
    char name[ENTRY_NAME_MAX + 1], value[ENTRY_VALUE_MAX];
    if (!take_text(&payload, name, sizeof name) || !is_word(name))
        return CORRUPT;
    size_t len = ring_left(&payload) < sizeof value ? ring_left(&payload) : sizeof value;
    if (!ring_take(&payload, value, len))
        return CORRUPT;
    if (strcmp(name, NOTE_NAMES) == 0 && x->names == NULL && x->side[0].records == 0) {
        if (session_touch(s, c, slice_of(value, len)) != OK)
            return NO_MEMORY;
        x->names = strndup(value, len);
        return x->names ? OK : NO_MEMORY;
    }
    if (strcmp(name, NOTE_ACTION) == 0) {   /* what the body said made it another one than the head alone */
        record_exchange_action(x, slice_of(value, len));
        x->action_changed = true;
        return OK;
    }
    if (strcmp(name, "signoff") == 0)
        digest_answer(x);
    if (x->notes == NULL)
        x->notes = json_object();
    if (session_index_note(x, name, slice_of(value, len)) != OK)
        return NO_MEMORY;
    return notes_add(x->notes, name, slice_of(value, len)) ? OK : NO_MEMORY;
}

/* Does its response's record say all that a metadata record would? */
static bool ends_well(const struct record_exchange *x, const char *why)
{
    return x->side[0].state == MESSAGE_DONE && x->side[1].state == MESSAGE_ENDED && x->notes == NULL && x->messages == 0 && !x->action_changed && why[0] == 0;
}

enum status session_end_exchange(struct session *s, const struct session_context *c, struct record_exchange *x, const char *why, int64_t now_ms)
{
    enum status st = OK;
    bool well = ends_well(x, why);
    x->last_ms = now_ms;
    for (unsigned i = 0; i < 2 && st == OK; i++)
        if (x->message[i].side.state == MESSAGE_OPEN)
            st = record_message_write(s, c, x, &x->message[i], true, true);
    for (unsigned i = 0; i < 2 && st == OK; i++) {
        x->side[i].cut |= x->side[i].state == MESSAGE_OPEN;
        if (x->side[i].state == MESSAGE_OPEN || x->side[i].state == MESSAGE_ENDED)
            st = record_side_write(s, c, x, i, true, x->side[i].cut, well);
    }
    if (st == OK && !well)
        st = record_metadata(s, c, x, true, why);
    if (st == OK)
        st = session_index_end(s, x, why);
    if (st == OK)
        session_drop(s, c, x);
    return st;
}

static enum status take_close(struct session *s, const struct session_context *c, struct record_exchange *x, const struct ring_entry *e,
                              struct ring_cursor payload)
{
    char why[ENTRY_WHY_MAX + 1];
    size_t len = ring_left(&payload) < ENTRY_WHY_MAX ? ring_left(&payload) : ENTRY_WHY_MAX;
    if (!ring_take(&payload, why, len))
        return CORRUPT;
    why[len] = 0;
    enum status st = (e->flags & ENTRY_WHOLE) && x->side[1].state == MESSAGE_OPEN ? end_side(s, c, x, 1, false) : OK;
    return st == OK ? session_end_exchange(s, c, x, why, e->wall_ms) : st;
}

static enum status take_kind(struct session *s, const struct session_context *c, const struct ring_in *in, const struct ring_entry *e)
{
    struct ring_cursor payload = ring_cursor(e);
    if (e->kind == ENTRY_BEGIN)
        return take_begin(s, c, in, e, payload);
    struct record_exchange *x = session_find(s, e->exchange);
    if (x == NULL)
        return CORRUPT;
    x->last_ms = e->wall_ms;
    switch (e->kind) {
    case ENTRY_RESPONSE:
        return take_response(s, c, x, e, payload);
    case ENTRY_BODY:
        return take_body(x, e, &payload);
    case ENTRY_OMITTED:
        return take_omitted(x, e, &payload);
    case ENTRY_MESSAGE:
        return take_message(s, c, x, e, payload);
    case ENTRY_FINISH:
        return take_finish(s, c, x, e);
    case ENTRY_NOTE:
        return take_note(s, c, x, payload);
    case ENTRY_CLOSE:
        return take_close(s, c, x, e, payload);
    default:
        return CORRUPT;
    }
}

enum status session_take(struct session *s, const struct session_context *c, const struct ring_in *in, size_t ring, const struct ring_entry *e)
{
    struct ring_reach *reach = reach_of(s, in->h->id);
    if (e->pos < reach->in_file)
        return OK;
    if (s->out.len == 0 && s->raw == 0) {
        s->from_ms = e->wall_ms;
        s->to_ms = e->wall_ms;
    }
    enum status st = take_kind(s, c, in, e);
    if (st == NO_MEMORY)
        return st;
    s->raw += e->next - e->pos;
    if (e->wall_ms > s->to_ms)
        s->to_ms = e->wall_ms;
    if (s->unwritten[ring] == UINT64_MAX)
        s->unwritten[ring] = e->pos;
    reach->position = e->next;
    memcpy(&s->last_ring_id48, in->h->id, 6);
    s->last_position = e->next;
    return st;
}

/* Sealing. */

enum status session_seal(struct session *s, const struct session_context *c)
{
    enum status st = s->out.len == 0 ? record_info(s, c, s->from_ms) : OK;
    for (struct record_exchange *x = s->exchanges; x != NULL; x = x->next) {
        for (unsigned i = 0; i < 2 && st == OK; i++)
            if (x->side[i].len > 0 || x->side[i].state == MESSAGE_ENDED)
                st = record_side_write(s, c, x, i, x->side[i].state == MESSAGE_ENDED, x->side[i].cut, false);
        for (unsigned i = 0; i < 2 && st == OK; i++)
            if (x->message[i].side.len > 0)
                st = record_message_write(s, c, x, &x->message[i], false, false);
        if (st == OK && x->notes != NULL)
            st = record_metadata(s, c, x, false, NULL);
    }
    s->sealed = st == OK;
    return st;
}

void session_written(struct session *s)
{
    s->out.len = 0;
    if (s->out.cap > 4u << 20)
        warc_bytes_done(&s->out);
    s->raw = 0;
    s->touched_count = 0;
    s->begun = 0;
    s->sealed = false;
}
