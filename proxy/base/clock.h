/* clock: the only place that asks for the time. Durations use mono_ms(); `exp`, logs and records the wall
 * clock. COUNTERSIGN_CLOCK_OFFSET_S in the environment shifts the wall clock, for tests. */
#ifndef COUNTERSIGN_CLOCK_H
#define COUNTERSIGN_CLOCK_H

#include <stdint.h>
#include <stddef.h>

int64_t clock_mono_ms(void);   /* CLOCK_MONOTONIC: the same in every process of this machine */
int64_t clock_wall_ms(void);   /* since the Epoch */
static inline int64_t clock_wall_s(void) { return clock_wall_ms() / 1000; }

enum { CLOCK_TEXT_MAX = 32 };
/* "2026-01-31T12:00:00.123Z" (RFC 3339, UTC). */
void clock_rfc3339(int64_t wall_ms, char out[CLOCK_TEXT_MAX]);
/* "Sat, 31 Jan 2026 12:00:00 GMT" (IMF-fixdate, RFC 9110 s5.6.7). */
void clock_http_date(int64_t wall_ms, char out[CLOCK_TEXT_MAX]);

#endif
