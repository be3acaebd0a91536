#include "proxy/base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define LAST_MS INT64_C(253402300799999)   /* the end of the year 9999 */

static int64_t read_ms(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t clock_mono_ms(void)
{
    return read_ms(CLOCK_MONOTONIC);
}

static int64_t offset_ms(void)
{
    static _Thread_local int64_t offset = INT64_MIN;
    if (offset == INT64_MIN) {
        const char *text = getenv("COUNTERSIGN_CLOCK_OFFSET_S");
        offset = text ? strtoll(text, NULL, 10) * 1000 : 0;
    }
    return offset;
}

int64_t clock_wall_ms(void)
{
    return read_ms(CLOCK_REALTIME) + offset_ms();
}

void clock_rfc3339(int64_t wall_ms, char out[CLOCK_TEXT_MAX])
{
    time_t s = (time_t)(wall_ms >= 0 && wall_ms <= LAST_MS ? wall_ms / 1000 : 0);   /* four-digit years only */
    struct tm tm;
    char day[24] = "";
    gmtime_r(&s, &tm);
    strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out, CLOCK_TEXT_MAX, "%s.%03dZ", day, (int)(wall_ms >= 0 ? wall_ms % 1000 : 0));
}

void clock_http_date(int64_t wall_ms, char out[CLOCK_TEXT_MAX])
{
    time_t s = (time_t)(wall_ms / 1000);
    struct tm tm;
    gmtime_r(&s, &tm);
    strftime(out, CLOCK_TEXT_MAX, "%a, %d %b %Y %H:%M:%S GMT", &tm);
}
