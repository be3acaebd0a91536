/* The tape of a WebSocket: its messages, piece by piece, unmasked, and text without its secrets. */
#include "proxy/record/tape_internal.h"

#include "proxy/base/clock.h"
#include "proxy/http/ws_frame.h"
#include "proxy/record/entry.h"

#include <assert.h>
#include <stdlib.h>

/* Written unmasked: a mask is no part of what was said. */
static void put_unmasked(struct ring_out *o, const struct tape_message *m, struct slice data, size_t at)
{
    unsigned char plain[2048];
    for (size_t n; m->mask != NULL && data.len > 0; data = slice_from(data, n), at += n) {
        n = data.len < sizeof plain ? data.len : sizeof plain;
        ws_unmask(plain, slice_of(data.ptr, n), m->mask, (unsigned)(m->mask_at + at) & 3);
        ring_put(o, slice_of(plain, n));
    }
    ring_put(o, data);
}

/* omitted: how many bytes there were, instead of them. */
static void put_message(struct tape *t, const struct tape_exchange *x, const struct tape_message *m, bool omitted)
{
    const struct tape_own *own = x->redactor[0];
    size_t at = 0;
    do {
        size_t n = m->data.len - at < ENTRY_BODY_MAX || omitted ? m->data.len - at : ENTRY_BODY_MAX;
        bool first = m->first && at == 0, last = m->last && at + n == m->data.len;
        ring_entry_start(&t->ring, ENTRY_MESSAGE, m->from == TAPE_CLIENT ? 0 : ENTRY_RESPONSE_SIDE, x->id, t->now_ms, own->session);
        ring_put_u32(&t->ring, m->opcode);
        ring_put_u32(&t->ring, (first ? MESSAGE_FIRST : 0u) | (last ? MESSAGE_LAST : 0u) | (m->compressed ? MESSAGE_COMPRESSED : 0u) |
                               (m->from == TAPE_GATEWAY ? MESSAGE_BY_GATEWAY : 0u) | (omitted ? MESSAGE_OMITTED : 0u));
        if (omitted)
            tape_put_omitted(t, n);
        else
            put_unmasked(&t->ring, m, slice_of(m->data.ptr + at, n), at);
        ring_entry_end(&t->ring);
        at += n;
    } while (at < m->data.len);
}

static enum status commit_message(struct tape *t, const struct tape_exchange *x, const struct tape_message *m, bool omitted)
{
    for (unsigned tries = 0; tries < 2; tries++) {
        tape_start(t, t->reserved);
        put_message(t, x, m, omitted);
        if (ring_commit(&t->ring) == OK)
            return OK;
        tape_ask_for_room(t);
    }
    return tape_too_large(t);
}

/* Text as it may be kept. A redactor can't take a piece back: it must be sure that whatever comes of it fits. */
static enum status redact_text(struct tape *t, struct tape_own *own, struct tape_message *m, unsigned char **text)
{
    size_t most = 3 * m->data.len + BODY_REDACT_SLACK, need = most + (most / ENTRY_BODY_MAX + 2) * ring_entry_size(own->session.len, 8) + t->reserved;
    if (ring_free(&t->ring) < need)
        tape_ask_for_room(t);
    if (ring_free(&t->ring) < need)
        return need > t->ring.mask ? tape_too_large(t) : FULL;
    return message_redact(&own->messages[m->from == TAPE_CLIENT ? 0 : 1], own->names, own->arena, m, text);
}

static enum status keep_message(struct tape *t, struct tape_exchange *x, const struct tape_message *m)
{
    struct tape_own *own = x->redactor[0];
    struct tape_message kept = *m;
    unsigned char *text = NULL;
    enum status st = OK;
    if (m->opcode == WS_TEXT && !m->compressed && !x->sizes_only && (st = redact_text(t, own, &kept, &text)) != OK)
        return st;
    st = commit_message(t, x, &kept, x->sizes_only);
    free(text);
    return st;
}

/* What came of compressed data, in pieces that fit any ring. */
static enum status keep_inflated(struct tape *t, struct tape_exchange *x, const struct tape_message *m, struct message_inflater *i, bool *begun)
{
    size_t most = (size_t)(t->ring.mask + 1) / 16 < 16 * 1024 ? (size_t)(t->ring.mask + 1) / 16 : 16 * 1024;
    bool lost = message_inflate_lost(i);
    for (bool done = false; !done;) {
        struct slice text = message_inflated(i);
        size_t n = text.len < most ? text.len : most;
        done = n == text.len;
        struct tape_message piece = { .from = m->from, .opcode = m->opcode, .first = !*begun, .last = done && !lost && m->last, .data = slice_of(text.ptr, n) };
        if (n == 0 && !piece.last && (*begun || lost))
            break;
        enum status st = keep_message(t, x, &piece);
        if (st != OK)
            return st;
        message_inflated_drop(i, n);
        *begun = true;
    }
    return OK;
}

/* Recorded as what it says, where it can be read, since nobody could take secrets out of the rest. */
static enum status keep_compressed(struct tape *t, struct tape_exchange *x, const struct tape_message *m)
{
    struct tape_own *own = x->redactor[0];
    unsigned side = m->from == TAPE_CLIENT ? 0 : 1;
    struct message_inflater *i = own->inflaters[side] ? own->inflaters[side] : message_inflater_new();
    if (i == NULL)
        return NO_MEMORY;
    own->inflaters[side] = i;
    message_inflate(i, m->data, m->mask, m->mask_at, m->last);
    enum status st = keep_inflated(t, x, m, i, &own->begun[side]);
    if (st == OK && message_inflate_lost(i)) {
        struct tape_message rest = *m;
        rest.first = !own->begun[side];
        st = commit_message(t, x, &rest, true);
        own->begun[side] |= st == OK;
    }
    if (st != OK)
        return st;
    message_inflate_passed(i, m->data.len, m->last);
    if (m->last)
        own->begun[side] = false;
    return OK;
}

enum status tape_message(struct tape *t, struct tape_exchange *x, const struct tape_message *m)
{
    const struct tape_own *own = x->redactor[0];
    assert(x->open && x->state[TAPE_RESPONSE] != SIDE_NONE);
    if (m->data.len == 0 && !m->first && !m->last)
        return OK;
    if (m->compressed && !x->sizes_only && own->names->count > 0)
        return keep_compressed(t, x, m);
    return keep_message(t, x, m);
}
