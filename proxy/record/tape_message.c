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

static void put_message(struct tape *t, const struct tape_exchange *x, const struct tape_message *m)
{
    const struct tape_own *own = x->redactor[0];
    size_t at = 0;
    do {
        size_t n = m->data.len - at < ENTRY_BODY_MAX || x->sizes_only ? m->data.len - at : ENTRY_BODY_MAX;
        bool first = m->first && at == 0, last = m->last && at + n == m->data.len;
        ring_entry_start(&t->ring, ENTRY_MESSAGE, m->from == TAPE_CLIENT ? 0 : ENTRY_RESPONSE_SIDE, x->id, clock_wall_ms(), own->session);
        ring_put_u32(&t->ring, m->opcode);
        ring_put_u32(&t->ring, (first ? MESSAGE_FIRST : 0u) | (last ? MESSAGE_LAST : 0u) | (m->compressed ? MESSAGE_COMPRESSED : 0u) |
                               (m->from == TAPE_GATEWAY ? MESSAGE_BY_GATEWAY : 0u) | (x->sizes_only ? MESSAGE_OMITTED : 0u));
        if (x->sizes_only)
            tape_put_omitted(t, n);
        else
            put_unmasked(&t->ring, m, slice_of(m->data.ptr + at, n), at);
        ring_entry_end(&t->ring);
        at += n;
    } while (at < m->data.len);
}

/* Text as it may be kept. A redactor can't take a piece back: it must be sure that whatever comes of it fits. */
static enum status redact_text(struct tape *t, struct tape_own *own, struct tape_message *m, unsigned char **text)
{
    size_t most = 3 * m->data.len + BODY_REDACT_SLACK, need = most + (most / ENTRY_BODY_MAX + 2) * ring_entry_size(own->session.len, 8) + t->reserved;
    if (ring_free(&t->ring) < need)
        tape_ask_for_room(t);
    if (ring_free(&t->ring) < need)
        return need > t->ring.mask ? tape_too_large(t) : FULL;
    return message_redact(&own->messages[m->from == TAPE_CLIENT ? 0 : 1], &own->names, own->arena, m, text);
}

enum status tape_message(struct tape *t, struct tape_exchange *x, const struct tape_message *m)
{
    struct tape_own *own = x->redactor[0];
    struct tape_message kept = *m;
    unsigned char *text = NULL;
    enum status st = OK;
    assert(x->open && x->state[TAPE_RESPONSE] != SIDE_NONE);
    if (m->data.len == 0 && !m->first && !m->last)
        return OK;
    if (m->opcode == WS_TEXT && !m->compressed && !x->sizes_only && (st = redact_text(t, own, &kept, &text)) != OK)
        return st;
    for (unsigned tries = 0; tries < 2; tries++) {
        ring_start(&t->ring, t->reserved);
        put_message(t, x, &kept);
        st = ring_commit(&t->ring);
        if (st == OK)
            break;
        tape_ask_for_room(t);
    }
    free(text);
    return st == OK ? OK : tape_too_large(t);
}
