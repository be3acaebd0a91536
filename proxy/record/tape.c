#include "proxy/record/tape_internal.h"

#include "proxy/base/clock.h"
#include "proxy/base/codec.h"
#include "proxy/record/entry.h"
#include "proxy/record/head.h"
#include "proxy/record/redact_body.h"
#include "proxy/record/redact_message.h"
#include "proxy/record/ring.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* What the end of an exchange may need: two FINISH, a CLOSE and the note about a withheld body. */
enum { NOTE_TEXT_MAX = 128 };
static size_t reserve_for(size_t session_len)
{
    return ring_entry_size(session_len, 0) + ring_entry_size(session_len, sizeof(uint32_t)) + ring_entry_size(session_len, ENTRY_WHY_MAX)
           + ring_entry_size(session_len, sizeof(uint32_t) + ENTRY_NAME_MAX + NOTE_TEXT_MAX);
}

enum status tape_open(void *memory, size_t size, int wake_fd, const unsigned char fingerprint_key[32], struct tape **out, struct err *err)
{
    (void)wake_fd;   /* the recorder writes to it, the worker's loop reads it */
    struct ring_header *h;
    enum status st = ring_attach(memory, size, &h, err);
    if (st != OK)
        return st;
    struct tape *t = calloc(1, sizeof *t);
    if (t == NULL)
        return fail(err, NO_MEMORY, "tape");
    st = fingerprint_init(&t->fingerprint, fingerprint_key, err);
    if (st != OK) {
        free(t);
        return st;
    }
    ring_out_init(&t->ring, h);
    /* What began before now has lost its producer: the recorder closes it. */
    atomic_store(&h->producer_pid, (int32_t)getpid());
    atomic_store(&h->epoch_start, t->ring.head);
    atomic_fetch_add(&h->epoch, 1);
    *out = t;
    return OK;
}

void tape_free(struct tape *t)
{
    if (t == NULL)
        return;
    fingerprint_done(&t->fingerprint);
    free(t);
}

size_t tape_memory_size(size_t ring_bytes) { return ring_memory_size(ring_bytes); }

void tape_memory_init(void *memory, size_t ring_bytes)
{
    ring_memory_init(memory, ring_bytes);
}

void tape_start(struct tape *t, size_t keep)
{
    t->now_ms = clock_wall_ms();
    ring_start(&t->ring, keep);
}

/* The recorder may sleep through what it need not hurry for; now it must. */
static void wake_recorder(const struct tape *t)
{
    if (atomic_exchange(&t->ring.h->wake_at, RING_AWAKE) != RING_AWAKE)
        ring_bell();
}

void tape_ask_for_room(const struct tape *t)
{
    atomic_store(&t->ring.h->wants_room, 1);
    wake_recorder(t);
}

size_t tape_room(const struct tape *t)
{
    enum { PER_ENTRY = RING_ENTRY_HEAD + RING_SESSION_MAX + 8 };
    size_t room = ring_free(&t->ring), keep = t->reserved + BODY_REDACT_SLACK + NOTE_TEXT_MAX + 3 * PER_ENTRY;
    if (room < keep + t->ring.mask / 8) {
        tape_ask_for_room(t);
        room = ring_free(&t->ring);
    }
    if (room <= keep)
        return 0;
    room -= keep;
    return (room - room / ENTRY_BODY_MAX * PER_ENTRY) / 3;   /* redaction may make it three times as long */
}

/* The ring as the place where redacted bytes go; for bodies, cut into entries. */
struct body_sink {
    struct tape *tape;
    uint64_t exchange;
    struct slice session;
    unsigned flags;
    int64_t now_ms;
    bool open;                        /* an entry is being written */
    size_t len;                       /* bytes of body in it */
};

static void put_body(void *to, struct slice s)
{
    struct body_sink *b = to;
    struct ring_out *o = &b->tape->ring;
    while (s.len > 0) {
        if (b->open && b->len == ENTRY_BODY_MAX) {
            ring_entry_end(o);
            b->open = false;
        }
        if (!b->open) {
            ring_entry_start(o, ENTRY_BODY, b->flags, b->exchange, b->now_ms, b->session);
            b->open = true;
            b->len = 0;
        }
        size_t n = ENTRY_BODY_MAX - b->len < s.len ? ENTRY_BODY_MAX - b->len : s.len;
        ring_put(o, slice_of(s.ptr, n));
        b->len += n;
        s = slice_from(s, n);
    }
}

static void put_note(struct tape *t, const struct tape_own *own, uint64_t exchange, struct slice name, struct slice value)
{
    ring_entry_start(&t->ring, ENTRY_NOTE, 0, exchange, t->now_ms, own->session);
    ring_put_string(&t->ring, name);
    ring_put(&t->ring, value);
    ring_entry_end(&t->ring);
}

static void put_finish(struct tape *t, const struct tape_own *own, uint64_t exchange, enum tape_side side, enum tape_end how)
{
    unsigned flags = (side == TAPE_RESPONSE ? ENTRY_RESPONSE_SIDE : 0u) | (how == TAPE_TRUNCATED ? ENTRY_CUT : 0u);
    ring_entry_start(&t->ring, ENTRY_FINISH, flags, exchange, t->now_ms, own->session);
    if (side == TAPE_RESPONSE && own->removed > 0)
        ring_put_u32(&t->ring, own->removed);
    ring_entry_end(&t->ring);
}

/* The redactor that a message needs: NULL for a body that is kept as it is. */
static enum status make_redactor(struct tape_own *own, const struct message *m, struct body_redactor **out)
{
    unsigned char boundary[BOUNDARY_MAX];
    size_t boundary_len;
    enum body_kind kind = body_kind_of(&m->fields, boundary, &boundary_len);
    *out = NULL;
    if (kind == BODY_OTHER || m->framing == BODY_NONE || own->names->count == 0)
        return OK;
    struct body_redactor *r = arena_alloc(own->arena, sizeof *r);
    if (r == NULL)
        return NO_MEMORY;
    body_redactor_init(r, kind, own->names, slice_of(boundary, boundary_len));
    if (kind == BODY_TEXT)
        r->s.text.no_forms = m->status != 0;
    *out = r;
    return OK;
}

static enum status withhold(struct tape *t, struct tape_own *own)
{
    own->withheld = fingerprint_begin(&t->fingerprint);
    return own->withheld ? OK : NO_MEMORY;
}

static bool upgrades(const struct message *m)
{
    for (size_t i = 0; i < m->fields.count; i++)
        if (slice_eq(m->fields.v[i].name, SLICE("upgrade")))
            return true;
    return slice_eq(m->method, SLICE("CONNECT"));
}

/* A request without content is complete at once, unless it asks for a tunnel. */
static bool request_is_whole(const struct message *m)
{
    return m->framing == BODY_NONE && !upgrades(m);
}

static void put_begin(struct tape *t, const struct tape_own *own, uint64_t id, const struct tape_session *s, const struct message *m,
                      const struct tape_keep *keep)
{
    struct ring_out *o = &t->ring;
    enum entry_keep kept = keep->mode == RECORD_FULL ? ENTRY_KEEP_ALL : ENTRY_KEEP_SIZES;
    bool whole = request_is_whole(m), named = keep->touched.len > 0;   /* names come before the end: the request's record has them */
    ring_entry_start(o, ENTRY_BEGIN, whole && !named ? ENTRY_WHOLE : 0, id, t->now_ms, own->session);
    ring_put_u32(o, m->version | (uint32_t)kept << ENTRY_KEEP_SHIFT);
    ring_put_u32(o, (uint32_t)m->method.len);
    uint64_t target_at = o->at;
    ring_put_u32(o, 0);
    const struct slice strings[] = { s->identity, s->person, s->tool, s->host, s->x5t, keep->action, m->authority };
    for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++)
        ring_put_string(o, strings[i]);
    ring_patch_u32(o, target_at, head_put_request(o, &t->fingerprint, own->names, m, own->request != NULL));
    ring_entry_end(o);
    if (named)
        put_note(t, own, id, SLICE(NOTE_NAMES), keep->touched);
    if (whole && named)
        put_finish(t, own, id, TAPE_REQUEST, TAPE_COMPLETE);
}

/* A group did not fit. Can it ever? If not, waiting is no use. */
enum status tape_too_large(const struct tape *t)
{
    return ring_free(&t->ring) == t->ring.mask + 1 && t->reserved == 0 ? BAD_INPUT : FULL;
}

static enum status commit_begin(struct tape *t, const struct tape_own *own, uint64_t id, const struct tape_session *s, const struct message *m,
                                const struct tape_keep *keep)
{
    for (unsigned tries = 0; tries < 2; tries++) {
        tape_start(t, t->reserved + own->reserve);
        put_begin(t, own, id, s, m, keep);
        if (ring_commit(&t->ring) == OK)
            return OK;
        tape_ask_for_room(t);
    }
    return tape_too_large(t);
}

/* Asked before anything is taken from the arena, so that a caller may try as often as it is woken. An estimate: on an emptier ring the head itself tells. */
static bool surely_full(const struct tape *t, const struct message *m, size_t names)
{
    size_t need = 2 * (m->target.len + m->authority.len) + names + 1024;
    for (size_t i = 0; i < m->fields.count; i++)
        need += m->fields.v[i].name.len + 2 * m->fields.v[i].value.len + 4;
    if (ring_free(&t->ring) >= t->reserved + need || (need > t->ring.mask / 2 && ring_free(&t->ring) > t->ring.mask - t->reserved))
        return false;
    tape_ask_for_room(t);
    return ring_free(&t->ring) < t->reserved + need;
}

static const struct secret_names no_names;

enum status tape_begin(struct tape *t, struct tape_exchange *x, const struct tape_session *s, const struct message *request, const struct tape_keep *keep,
                       struct arena *arena)
{
    bool sizes_only = keep->mode != RECORD_FULL;
    assert(!x->open && keep->mode != RECORD_OFF);
    if (!ring_session_ok(s->id))
        return BAD_INPUT;
    if (surely_full(t, request, keep->touched.len))
        return FULL;
    struct tape_own *own = arena_zalloc(arena, sizeof *own);
    struct slice session = arena_copy(arena, s->id);
    if (own == NULL || session.ptr == NULL)
        return NO_MEMORY;
    *own = (struct tape_own){ .session = session, .names = keep->names ? keep->names : &no_names, .arena = arena, .reserve = reserve_for(session.len) };
    enum status st = sizes_only ? OK : make_redactor(own, request, &own->request);
    bool unreadable = own->request != NULL && own->request->kind == BODY_UNREADABLE;
    if (st == OK && unreadable)
        st = withhold(t, own);
    if (st != OK)
        return st;
    uint64_t id = atomic_load_explicit(&t->ring.h->next_exchange, memory_order_relaxed);
    st = commit_begin(t, own, id, s, request, keep);
    if (st != OK) {
        EVP_MD_CTX_free(own->withheld);
        return st;
    }
    atomic_store_explicit(&t->ring.h->next_exchange, id + 1, memory_order_relaxed);
    t->reserved += own->reserve;
    *x = (struct tape_exchange){ .id = id, .open = true, .sizes_only = sizes_only, .redactor = { own, NULL } };
    x->state[TAPE_REQUEST] = request_is_whole(request) ? SIDE_DONE : unreadable ? SIDE_WITHHELD : SIDE_OPEN;
    return OK;
}

static bool is_interim(const struct message *m)
{
    return m->status >= 100 && m->status < 200 && m->status != 101;
}

/* A response without content is complete at once, unless it opens a tunnel. */
static bool response_is_whole(const struct message *m)
{
    return !is_interim(m) && m->framing == BODY_NONE && m->status != 101;
}

static void put_response(struct tape *t, const struct tape_own *own, uint64_t id, const struct message *m, bool from_tool,
                         const struct body_redactor *r)
{
    struct ring_out *o = &t->ring;
    bool readable = r != NULL && r->kind != BODY_UNREADABLE;
    ring_entry_start(o, ENTRY_RESPONSE, 0, id, t->now_ms, own->session);
    ring_put_u32(o, m->version);
    ring_put_u32(o, m->status);
    ring_put_u32(o, from_tool);
    head_put_response(o, &t->fingerprint, own->names, m, readable);
    ring_entry_end(o);
    if (r != NULL && !readable)
        put_note(t, own, id, SLICE("response-body"), SLICE("not-redacted: coded, or of more than one type"));
    if (response_is_whole(m))
        put_finish(t, own, id, TAPE_RESPONSE, TAPE_COMPLETE);
}

enum status tape_response(struct tape *t, struct tape_exchange *x, const struct message *response, bool from_tool)
{
    struct tape_own *own = x->redactor[0];
    struct body_redactor *r = NULL;
    assert(x->open && x->state[TAPE_RESPONSE] == SIDE_NONE);
    enum status st = is_interim(response) || x->sizes_only ? OK : make_redactor(own, response, &r);
    if (st != OK)
        return st;
    for (unsigned tries = 0;; tries++) {
        tape_start(t, t->reserved);
        put_response(t, own, x->id, response, from_tool, r);
        if (ring_commit(&t->ring) == OK)
            break;
        if (tries > 0)
            return tape_too_large(t);
        tape_ask_for_room(t);
    }
    if (is_interim(response))
        return OK;
    x->state[TAPE_RESPONSE] = response_is_whole(response) ? SIDE_DONE : SIDE_OPEN;
    x->redactor[1] = r != NULL && r->kind != BODY_UNREADABLE ? r : NULL;
    return OK;
}

/* From a broken grammar on nothing can be vouched for: a request's rest is withheld, a response's rest is kept and said to be as it came. */
static enum status reading_ended(struct tape *t, struct tape_exchange *x, struct body_sink *sink, enum tape_side side, struct slice rest)
{
    struct tape_own *own = x->redactor[0];
    if (side == TAPE_REQUEST) {
        enum status st = withhold(t, own);
        if (st != OK)
            return st;
        x->state[side] = SIDE_WITHHELD;
        return EVP_DigestUpdate(own->withheld, rest.ptr, rest.len) == 1 ? OK : NO_MEMORY;
    }
    put_body(sink, rest);
    if (sink->open)
        ring_entry_end(&t->ring);
    sink->open = false;
    put_note(t, own, x->id, SLICE("response-body"), SLICE("not-redacted: from where its syntax broke"));
    x->redactor[1] = NULL;
    return OK;
}

static enum status body_redacted(struct tape *t, struct tape_exchange *x, struct body_sink *sink, enum tape_side side, struct slice data)
{
    struct tape_own *own = x->redactor[0];
    struct body_redactor *r = side == TAPE_REQUEST ? own->request : x->redactor[1];
    struct redact_out out = { put_body, sink };
    size_t taken = data.len;
    if (r == NULL)
        put_body(sink, data);
    else if (body_redactor_feed(r, data, &out, &taken) != OK) {
        own->removed = side == TAPE_RESPONSE ? body_redactor_removed(r) : 0;
        enum status st = reading_ended(t, x, sink, side, slice_from(data, taken));
        if (st != OK)
            return st;
        if (side == TAPE_REQUEST)
            own->withheld_bytes += data.len - taken;
    }
    if (side == TAPE_RESPONSE && r != NULL && x->redactor[1] != NULL)
        own->removed = body_redactor_removed(r);
    if (sink->open)
        ring_entry_end(&t->ring);
    return OK;
}

void tape_put_omitted(struct tape *t, uint64_t bytes)
{
    ring_put_u32(&t->ring, (uint32_t)bytes);
    ring_put_u32(&t->ring, (uint32_t)(bytes >> 32));
}

/* How much passes is handed over before it passes, like bytes are. */
static enum status body_omitted(struct tape *t, struct tape_exchange *x, enum tape_side side, size_t bytes)
{
    const struct tape_own *own = x->redactor[0];
    for (unsigned tries = 0; tries < 2; tries++) {
        tape_start(t, t->reserved);
        ring_entry_start(&t->ring, ENTRY_OMITTED, side == TAPE_RESPONSE ? ENTRY_RESPONSE_SIDE : 0, x->id, t->now_ms, own->session);
        tape_put_omitted(t, bytes);
        ring_entry_end(&t->ring);
        if (ring_commit(&t->ring) == OK)
            return OK;
        tape_ask_for_room(t);
    }
    return FULL;
}

enum status tape_body(struct tape *t, struct tape_exchange *x, enum tape_side side, struct slice data)
{
    struct tape_own *own = x->redactor[0];
    assert(x->open && x->state[side] != SIDE_NONE);
    if (data.len == 0)
        return OK;
    if (x->state[side] == SIDE_WITHHELD) {
        own->withheld_bytes += data.len;
        return EVP_DigestUpdate(own->withheld, data.ptr, data.len) == 1 ? OK : NO_MEMORY;
    }
    assert(x->state[side] == SIDE_OPEN);
    if (x->sizes_only)
        return body_omitted(t, x, side, data.len);
    /* A redactor can't take a piece back: make sure first that whatever it makes of it fits. */
    bool redacted = side == TAPE_REQUEST ? own->request != NULL : x->redactor[1] != NULL;
    size_t need = redacted ? 3 * data.len + BODY_REDACT_SLACK : data.len;
    need += (need / ENTRY_BODY_MAX + 2) * ring_entry_size(own->session.len, 0)
            + (redacted ? ring_entry_size(own->session.len, NOTE_TEXT_MAX) : 0);
    if (ring_free(&t->ring) < need + t->reserved) {
        tape_ask_for_room(t);
        if (ring_free(&t->ring) < need + t->reserved)
            return FULL;
    }
    struct body_sink sink = { .tape = t, .exchange = x->id, .session = own->session, .now_ms = t->now_ms,
                              .flags = side == TAPE_RESPONSE ? ENTRY_RESPONSE_SIDE : 0 };
    tape_start(t, t->reserved);
    enum status st = body_redacted(t, x, &sink, side, data);
    if (st != OK)
        return st;
    st = ring_commit(&t->ring);
    assert(st == OK);
    return st;
}

static void put_withheld_note(struct tape *t, struct tape_exchange *x)
{
    struct tape_own *own = x->redactor[0];
    unsigned char mac[32];
    char hex[65], text[NOTE_TEXT_MAX];
    fingerprint_end(&t->fingerprint, own->withheld, mac);
    own->withheld = NULL;
    hex_encode(slice_of(mac, sizeof mac), hex);
    snprintf(text, sizeof text, "withheld: %llu bytes, hmac-sha256 %s", (unsigned long long)own->withheld_bytes, hex);
    put_note(t, own, x->id, SLICE("request-body"), slice_str(text));
}

/* The ends of an exchange use the room that tape_begin reserved for it. */
static void start_reserved(struct tape *t, const struct tape_own *own)
{
    tape_start(t, t->reserved - own->reserve);
}

static void commit_reserved(struct tape *t, struct tape_own *own)
{
    uint64_t before = t->ring.head;
    enum status st = ring_commit(&t->ring);
    size_t used = (size_t)(t->ring.head - before);
    assert(st == OK && used <= own->reserve);
    own->reserve -= used;
    t->reserved -= used;
}

static void end_side(struct tape *t, struct tape_exchange *x, enum tape_side side, enum tape_end how)
{
    if (x->state[side] == SIDE_WITHHELD)
        put_withheld_note(t, x);
    if (x->state[side] == SIDE_OPEN || x->state[side] == SIDE_WITHHELD)
        put_finish(t, x->redactor[0], x->id, side, how);
    if (x->state[side] != SIDE_NONE)
        x->state[side] = SIDE_DONE;
}

enum status tape_finish(struct tape *t, struct tape_exchange *x, enum tape_side side, enum tape_end how)
{
    assert(x->open && x->state[side] != SIDE_NONE);
    start_reserved(t, x->redactor[0]);
    end_side(t, x, side, how);
    commit_reserved(t, x->redactor[0]);
    return OK;
}

/* trailers NULL: the value is value. */
static enum status commit_note(struct tape *t, struct tape_exchange *x, struct slice name, struct slice value, const struct fields *trailers)
{
    const struct tape_own *own = x->redactor[0];
    for (unsigned tries = 0; tries < 2; tries++) {
        tape_start(t, t->reserved);
        ring_entry_start(&t->ring, ENTRY_NOTE, 0, x->id, t->now_ms, own->session);
        ring_put_string(&t->ring, name);
        ring_put(&t->ring, value);
        if (trailers != NULL)
            head_put_trailers(&t->ring, &t->fingerprint, own->names, trailers);
        ring_entry_end(&t->ring);
        if (ring_commit(&t->ring) == OK)
            return OK;
        tape_ask_for_room(t);
    }
    return tape_too_large(t);
}

enum status tape_note(struct tape *t, struct tape_exchange *x, const char *name, struct slice value)
{
    assert(x->open && strlen(name) <= ENTRY_NAME_MAX);
    if (value.len > ENTRY_VALUE_MAX)
        value.len = ENTRY_VALUE_MAX;
    return commit_note(t, x, slice_str(name), value, NULL);
}

enum status tape_trailers(struct tape *t, struct tape_exchange *x, const struct fields *trailers)
{
    if (head_trailers_len(trailers) > ENTRY_VALUE_MAX)
        return BAD_INPUT;
    return commit_note(t, x, SLICE("response-trailers"), (struct slice){ 0 }, trailers);
}

/* Both sides get their end, if they have none yet, and then the exchange. */
static void close_with(struct tape *t, struct tape_exchange *x, const enum tape_end how[2], const char *why)
{
    struct tape_own *own = x->redactor[0];
    struct slice word = slice_str(why);
    if (word.len > ENTRY_WHY_MAX)
        word.len = ENTRY_WHY_MAX;
    start_reserved(t, own);
    end_side(t, x, TAPE_REQUEST, how[TAPE_REQUEST]);
    bool whole = x->state[TAPE_RESPONSE] == SIDE_OPEN && how[TAPE_RESPONSE] == TAPE_COMPLETE && own->removed == 0;
    if (!whole)
        end_side(t, x, TAPE_RESPONSE, how[TAPE_RESPONSE]);
    ring_entry_start(&t->ring, ENTRY_CLOSE, whole ? ENTRY_WHOLE : 0, x->id, t->now_ms, own->session);
    ring_put(&t->ring, word);
    ring_entry_end(&t->ring);
    commit_reserved(t, own);
    t->reserved -= own->reserve;
    for (unsigned side = 0; side < 2; side++)
        message_inflater_free(own->inflaters[side]);
    x->open = false;
    x->redactor[0] = x->redactor[1] = NULL;
}

void tape_close(struct tape *t, struct tape_exchange *x, const char *why)
{
    static const enum tape_end how[2] = { TAPE_TRUNCATED, TAPE_TRUNCATED };
    if (x->open)
        close_with(t, x, how, why);
}

void tape_end(struct tape *t, struct tape_exchange *x, bool request_whole, const char *why)
{
    const enum tape_end how[2] = { request_whole ? TAPE_COMPLETE : TAPE_TRUNCATED, TAPE_COMPLETE };
    assert(x->open && x->state[TAPE_RESPONSE] != SIDE_NONE);
    close_with(t, x, how, why);
}

uint64_t tape_position(const struct tape *t) { return t->ring.head; }

void tape_demand(struct tape *t)
{
    atomic_store(&t->ring.h->demand, t->ring.head);
    wake_recorder(t);
}

uint64_t tape_durable(const struct tape *t) { return atomic_load(&t->ring.h->durable); }

bool tape_broken(const struct tape *t) { return atomic_load(&t->ring.h->broken) != 0; }
