/* words: numbers and times as people read and write them, and careful reading of JSON that came from elsewhere. */
#ifndef COUNTERSIGN_WORDS_H
#define COUNTERSIGN_WORDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WORDS_MAX = 48 };

/* "90s", "30m", "2h", "1d", "1h30m" as seconds: at least one number, each with its unit, at most ten years in all. False: something else. */
bool words_read_duration(const char *text, int64_t *seconds_out);
/* A point in time: seconds since the Epoch, "2026-01-31", "2026-01-31T12:00:00Z", or a duration, meaning that long before now_s. */
bool words_read_since(const char *text, int64_t now_s, int64_t *seconds_out);

/* All return out. */
char *words_duration(int64_t seconds, char out[WORDS_MAX]);      /* "45 s", "30 min", "1 h 30 min", "2 d 3 h" */
char *words_bytes(uint64_t bytes, char out[WORDS_MAX]);          /* "812 bytes", "12.0 KiB" */
char *words_time(int64_t seconds, char out[WORDS_MAX]);          /* "2026-01-31 12:00:00 UTC"; "-" for 0 and less */
char *words_clock(int64_t wall_ms, char out[WORDS_MAX]);         /* "12:00:00.123" (UTC) */

/* A member of an object, or "" / 0 / NULL when it is not there or of another type. Borrowed. */
const char *json_text(const json_t *object, const char *key);
int64_t json_number(const json_t *object, const char *key);
json_t *json_array_member(const json_t *object, const char *key);
bool json_text_is(const json_t *object, const char *key, const char *expected);

/* May this go into a URL's path as one of our ids? ([A-Za-z0-9_-], 1 to 64) */
bool id_is_plain(const char *id);

#endif
