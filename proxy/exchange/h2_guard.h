/* h2_guard: what an HTTP/2 client may make us do for nothing (RFC 9113 s10.5), a purse a connection. Pure counting: the clock comes in, the verdict goes out.
 *
 * Two purses, each full at the start; a tenth of it comes back each second:
 *   resets   streams that the client resets (Rapid Reset, CVE-2023-44487), and those that it makes us reset by breaking rules (MadeYouReset, CVE-2025-8671):
 *            each may have cost a connection to a tool.
 *   frames   frames that ask for nothing: PING, SETTINGS, PRIORITY, unknown types, DATA without data, and more WINDOW_UPDATE than our own DATA calls for.
 *            A request and each DATA frame that we send put something back, since honest clients answer those with such frames.
 * An empty purse ends the connection with ENHANCE_YOUR_CALM. */
#ifndef COUNTERSIGN_H2_GUARD_H
#define COUNTERSIGN_H2_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct h2_purse {
    int64_t filled_ms;
    unsigned size, left;
};

struct h2_guard {
    struct h2_purse frames, resets;
};

enum { H2_GUARD_REQUEST = 16, H2_GUARD_DATA_SENT = 4 };   /* what a request, and a DATA frame of ours, put back into `frames` */

/* frames, resets: how much each purse holds (limits.control_frames, limits.resets). */
void h2_guard_init(struct h2_guard *g, unsigned frames, unsigned resets, int64_t now_ms);
/* A frame header came, of this type (RFC 9113 s6). false: enough. */
bool h2_guard_frame(struct h2_guard *g, uint8_t type, int64_t now_ms);
/* DATA came that held no data and ended nothing. false: enough. */
bool h2_guard_empty(struct h2_guard *g, int64_t now_ms);
/* We sent a DATA frame, or a request came. */
void h2_guard_earn(struct h2_guard *g, unsigned n);
/* A stream was reset, by the client or, with one of the codes of a client's fault, by us. false: enough. */
bool h2_guard_reset(struct h2_guard *g, int64_t now_ms);
/* Does a reset that we send with this error code (s7) speak of the client's doing? */
bool h2_guard_blames_client(uint32_t error_code);

/* When did a peer last make progress? Each byte is worth only so much time (limits.slow_rate bytes a second), so that a byte now and then keeps nothing alive.
 *   moved_ms  what this said before      n  bytes that moved now */
int64_t guard_progress(int64_t moved_ms, int64_t now_ms, size_t n, unsigned bytes_per_s);

#endif
