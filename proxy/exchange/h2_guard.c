#include "proxy/exchange/h2_guard.h"

#include <nghttp2/nghttp2.h>

enum { REFILL_MS = 10000 };           /* from empty to full */

static void purse_init(struct h2_purse *p, unsigned size, int64_t now_ms)
{
    *p = (struct h2_purse){ .filled_ms = now_ms, .size = size, .left = size };
}

static void purse_put(struct h2_purse *p, uint64_t n)
{
    p->left = n > p->size - p->left ? p->size : p->left + (unsigned)n;
}

/* The time that is too short for a whole unit is kept for the next refill. */
static void purse_refill(struct h2_purse *p, int64_t now_ms)
{
    int64_t passed = now_ms - p->filled_ms;
    if (passed <= 0)
        return;
    if (passed > REFILL_MS)
        passed = REFILL_MS;
    uint64_t n = (uint64_t)passed * p->size / REFILL_MS;
    if (n == 0)
        return;
    purse_put(p, n);
    p->filled_ms = now_ms;
}

static bool purse_take(struct h2_purse *p, int64_t now_ms)
{
    if (p->left == 0)
        purse_refill(p, now_ms);      /* only then: the clock is nobody's business on a quiet connection */
    if (p->left == 0)
        return false;
    p->left--;
    return true;
}

void h2_guard_init(struct h2_guard *g, unsigned frames, unsigned resets, int64_t now_ms)
{
    purse_init(&g->frames, frames, now_ms);
    purse_init(&g->resets, resets, now_ms);
}

bool h2_guard_frame(struct h2_guard *g, uint8_t type, int64_t now_ms)
{
    switch (type) {
    case NGHTTP2_HEADERS:
        h2_guard_earn(g, H2_GUARD_REQUEST);
        return true;
    case NGHTTP2_DATA:                /* judged when its padding is known */
    case NGHTTP2_CONTINUATION:        /* nghttp2 counts them */
    case NGHTTP2_RST_STREAM:          /* from the other purse */
        return true;
    default:
        return purse_take(&g->frames, now_ms);
    }
}

bool h2_guard_empty(struct h2_guard *g, int64_t now_ms)
{
    return purse_take(&g->frames, now_ms);
}

void h2_guard_earn(struct h2_guard *g, unsigned n)
{
    purse_put(&g->frames, n);
}

bool h2_guard_reset(struct h2_guard *g, int64_t now_ms)
{
    return purse_take(&g->resets, now_ms);
}

bool h2_guard_blames_client(uint32_t code)
{
    return code == NGHTTP2_PROTOCOL_ERROR || code == NGHTTP2_FLOW_CONTROL_ERROR || code == NGHTTP2_STREAM_CLOSED || code == NGHTTP2_FRAME_SIZE_ERROR ||
           code == NGHTTP2_REFUSED_STREAM || code == NGHTTP2_COMPRESSION_ERROR;
}

int64_t guard_progress(int64_t moved_ms, int64_t now_ms, size_t n, unsigned bytes_per_s)
{
    int64_t worth = n >= 1u << 30 ? INT64_C(1) << 30 : (int64_t)n * 1000 / bytes_per_s + 1;
    return now_ms - moved_ms <= worth ? now_ms : moved_ms + worth;
}
