#include "proxy/replay/messages.h"

#include "proxy/replay/recorded.h"

#include <stdlib.h>
#include <zlib.h>

/* One direction: its inflater goes on from message to message, unless each stands by itself. */
struct direction {
    z_stream z;
    bool open, broken, each_alone;
};

static enum status begin(struct direction *d)
{
    if (d->open)
        return d->each_alone && inflateReset(&d->z) != Z_OK ? NO_MEMORY : OK;
    if (inflateInit2(&d->z, -15) != Z_OK)
        return NO_MEMORY;
    d->open = true;
    return OK;
}

/* All of in, into at most MESSAGE_TEXT_MAX bytes; what is more is inflated and dropped, since later messages build on it. */
static enum status inflate_piece(struct direction *d, struct slice in, unsigned char *out, size_t *len, bool *cut)
{
    unsigned char rest[4096];
    size_t dropped = 0;
    d->z.next_in = (Bytef *)(uintptr_t)in.ptr;
    d->z.avail_in = (uInt)in.len;
    do {
        bool keep = *len < MESSAGE_TEXT_MAX;
        uInt room = keep ? (uInt)(MESSAGE_TEXT_MAX - *len) : (uInt)sizeof rest;
        d->z.next_out = keep ? out + *len : rest;
        d->z.avail_out = room;
        int z = inflate(&d->z, Z_SYNC_FLUSH);
        if (z != Z_OK && z != Z_BUF_ERROR)
            return z == Z_MEM_ERROR ? NO_MEMORY : BAD_INPUT;
        if (keep)
            *len += room - d->z.avail_out;
        else if ((dropped += room - d->z.avail_out) > MESSAGES_TEXT_MAX)
            return BAD_INPUT;         /* a small message that claims to be a huge one */
        *cut |= dropped > 0;
    } while (d->z.avail_out == 0);
    return d->z.avail_in == 0 ? OK : BAD_INPUT;
}

static enum status inflate_message(struct direction *d, const struct archive_ws_message *m, struct message_text *t)
{
    size_t len = 0;
    unsigned char *out = malloc(MESSAGE_TEXT_MAX);
    enum status st = out != NULL ? begin(d) : NO_MEMORY;
    if (st == OK)
        st = inflate_piece(d, m->data, out, &len, &t->cut);
    if (st == OK)
        st = inflate_piece(d, slice_of("\x00\x00\xff\xff", 4), out, &len, &t->cut);
    if (st != OK) {
        free(out);
        d->broken = st == BAD_INPUT;
        t->unreadable = true;
        return st == BAD_INPUT ? OK : st;
    }
    unsigned char *fit = realloc(out, len ? len : 1);
    t->owned = fit != NULL ? fit : out;
    t->data = slice_of(t->owned, len);
    return OK;
}

static enum status read_one(struct direction *d, const struct archive_ws_message *m, struct message_text *t, size_t *total)
{
    bool all_here = !m->omitted && !m->cut && m->data.len == m->length;
    enum status st = OK;
    if (!m->compressed) {
        t->data = slice_of(m->data.ptr, m->data.len < MESSAGE_TEXT_MAX ? m->data.len : MESSAGE_TEXT_MAX);
        t->cut = t->data.len < m->length;
        return OK;
    }
    d->broken |= !all_here && !d->each_alone;
    if (d->broken || !all_here || *total > MESSAGES_TEXT_MAX)
        t->unreadable = d->broken = true;
    else
        st = inflate_message(d, m, t);
    *total += t->data.len;
    return st;
}

/* Does an extension parameter stand in the response's Sec-WebSocket-Extensions? */
static bool has_parameter(const struct archive_exchange *x, struct slice name)
{
    struct slice v = recorded_field(x->response_head, SLICE("sec-websocket-extensions"));
    for (size_t i = 0; i + name.len <= v.len; i++)
        if (slice_ieq(slice_of(v.ptr + i, name.len), name))
            return true;
    return false;
}

enum status messages_init(struct messages *m, const struct archive_exchange *x)
{
    struct direction d[2] = { { .each_alone = has_parameter(x, SLICE("server_no_context_takeover")) }, { .each_alone = has_parameter(x, SLICE("client_no_context_takeover")) } };
    size_t total = 0;
    enum status st = OK;
    *m = (struct messages){ .v = calloc(x->message_count ? x->message_count : 1, sizeof *m->v), .count = x->message_count };
    if (m->v == NULL)
        return NO_MEMORY;
    for (size_t i = 0; i < m->count && st == OK; i++)
        st = read_one(&d[slice_eq(x->messages[i].from, SLICE("client"))], &x->messages[i], &m->v[i], &total);
    for (size_t i = 0; i < 2; i++)
        if (d[i].open)
            inflateEnd(&d[i].z);
    if (st != OK)
        messages_done(m);
    return st;
}

void messages_done(struct messages *m)
{
    for (size_t i = 0; i < m->count; i++)
        free(m->v[i].owned);
    free(m->v);
    *m = (struct messages){ 0 };
}

size_t messages_count_events(struct slice stream)
{
    size_t count = 0;
    bool data = false;
    while (stream.len > 0) {
        size_t end = slice_find(stream, '\n');
        struct slice line = slice_of(stream.ptr, end > 0 && stream.ptr[end - 1] == '\r' ? end - 1 : end);
        stream = slice_from(stream, end < stream.len ? end + 1 : end);
        count += line.len == 0 && data;
        data = line.len > 0 && (data || slice_starts(line, SLICE("data")));
    }
    return count;
}
