#include "proxy/record/message_inflate.h"

#include "proxy/http/ws_frame.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { STEP = 16 * 1024, WINDOW = 32 * 1024, RAW = -15 };

struct message_inflater {
    z_stream z;
    bool dead;                        /* nothing more will be read */
    bool over, lost;                  /* the message under way is too long; some of it is not to be had */
    bool begun, ended;                /* of that message: there were bytes; its end was read */
    size_t ahead;                     /* so many of the next bytes were read already */
    uint64_t made;                    /* of that message */
    uint64_t in, out;                 /* in all */
    unsigned char *text;              /* read, not dropped */
    size_t text_at, text_len, text_cap;
};

struct message_inflater *message_inflater_new(void)
{
    struct message_inflater *i = calloc(1, sizeof *i);
    if (i != NULL && inflateInit2(&i->z, RAW) != Z_OK) {
        free(i);
        return NULL;
    }
    return i;
}

void message_inflater_free(struct message_inflater *i)
{
    if (i == NULL)
        return;
    inflateEnd(&i->z);
    free(i->text);
    free(i);
}

/* Room for one step. */
static bool make_room(struct message_inflater *i)
{
    if (i->text_at > 0) {
        memmove(i->text, i->text + i->text_at, i->text_len);
        i->text_at = 0;
    }
    if (i->text_cap - i->text_len >= STEP)
        return true;
    size_t cap = i->text_cap == 0 ? 2 * STEP : 2 * i->text_cap;
    unsigned char *more = realloc(i->text, cap);
    if (more == NULL)
        return false;
    i->text = more;
    i->text_cap = cap;
    return true;
}

static void end_for_good(struct message_inflater *i)
{
    i->dead = i->lost = true;
}

/* A block said that it was the last one (RFC 7692 s7.2.3.5): another stream follows, which may still refer to what came before. */
static bool go_on(struct message_inflater *i)
{
    unsigned char *window = malloc(WINDOW);
    uInt len = WINDOW;
    bool good = window != NULL && inflateGetDictionary(&i->z, window, &len) == Z_OK && inflateReset(&i->z) == Z_OK &&
                inflateSetDictionary(&i->z, window, len) == Z_OK;
    free(window);
    return good;
}

/* Keep n new bytes at the end of the text, unless the message has had its share. */
static void keep(struct message_inflater *i, size_t n)
{
    i->made += n;
    i->out += n;
    if (i->made > INFLATE_MESSAGE_MAX)
        i->over = i->lost = true;
    else
        i->text_len += n;
    if (i->out > INFLATE_RATIO * i->in + INFLATE_CREDIT)
        end_for_good(i);
}

static void run(struct message_inflater *i, const unsigned char *data, size_t len)
{
    i->z.next_in = (Bytef *)(uintptr_t)data;
    i->z.avail_in = (uInt)len;
    i->in += len;
    for (bool more = true; more && !i->dead;) {
        if (!make_room(i)) {
            end_for_good(i);
            return;
        }
        i->z.next_out = i->text + i->text_len;
        i->z.avail_out = STEP;
        int code = inflate(&i->z, Z_SYNC_FLUSH);
        size_t n = STEP - i->z.avail_out;
        more = i->z.avail_in > 0 || i->z.avail_out == 0;
        keep(i, n);
        if ((code == Z_STREAM_END && !go_on(i)) || (code != Z_OK && code != Z_BUF_ERROR && code != Z_STREAM_END))
            end_for_good(i);
        if (code == Z_BUF_ERROR && n == 0)
            return;                   /* it wants more than there is */
    }
}

void message_inflate(struct message_inflater *i, struct slice data, const unsigned char *mask, unsigned mask_at, bool last)
{
    static const unsigned char tail[] = { 0, 0, 0xff, 0xff };   /* what the sender left out (RFC 7692 s7.2.2) */
    unsigned char plain[2048];
    i->lost |= i->dead;
    while (i->ahead < data.len && !i->dead) {
        struct slice next = slice_from(data, i->ahead);
        if (next.len > sizeof plain)
            next.len = sizeof plain;
        if (mask != NULL)
            ws_unmask(plain, next, mask, (unsigned)(mask_at + i->ahead) & 3);
        run(i, mask != NULL ? plain : next.ptr, next.len);
        i->ahead += next.len;
        i->begun = true;
    }
    if (last && i->begun && !i->ended && !i->dead)
        run(i, tail, sizeof tail);
    i->ended |= last;
}

struct slice message_inflated(const struct message_inflater *i)
{
    return slice_of(i->text ? i->text + i->text_at : NULL, i->text_len);
}

void message_inflated_drop(struct message_inflater *i, size_t n)
{
    i->text_at += n;
    i->text_len -= n;
}

bool message_inflate_lost(const struct message_inflater *i)
{
    return i->lost;
}

void message_inflate_passed(struct message_inflater *i, size_t n, bool last)
{
    i->ahead = i->ahead > n ? i->ahead - n : 0;
    if (i->text_len == 0) {           /* an idle connection keeps none */
        free(i->text);
        i->text = NULL;
        i->text_at = i->text_cap = 0;
    }
    if (last) {
        i->begun = i->ended = i->over = i->lost = false;
        i->made = 0;
    }
}
