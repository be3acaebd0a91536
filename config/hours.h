/* hours: at which times of a week something holds: "mon-fri 08:00-18:00, sat 10:00-14:00". Local time of the gateway's machine (TZ).
 *
 * A span that ends at or before its begin runs past midnight and belongs to the day it began on: "fri 22:00-06:00" ends on Saturday morning; "00:00-24:00" is a whole day.
 * Pure but for hours_now(). */
#ifndef COUNTERSIGN_HOURS_H
#define COUNTERSIGN_HOURS_H

#include <stdbool.h>
#include <stdint.h>

enum { HOURS_SPANS_MAX = 8, WEEK_MINUTES = 7 * 24 * 60 };

struct hours {
    char *text;                       /* as written */
    unsigned count;
    struct hours_span {
        unsigned char days;           /* a bit a day, Monday first */
        uint16_t from, to;            /* minutes of the day; to may be 1440 */
    } span[HOURS_SPANS_MAX];
};

/* False: not of that form. Leaves text alone. */
bool hours_parse(const char *text, struct hours *out);
/* minute: of the week, from Monday 00:00. hours NULL: always. */
bool hours_hold(const struct hours *h, unsigned minute);
unsigned hours_minute(int64_t now_s);
/* The first full minute after now_s in which it holds, within a week; now_s itself when there is none. */
int64_t hours_next(const struct hours *h, int64_t now_s);

#endif
