#include "config/hours.h"

#include <stddef.h>
#include <string.h>
#include <time.h>

enum { DAY_MINUTES = 24 * 60, DAYS = 7 };

static const char day_names[DAYS][4] = { "mon", "tue", "wed", "thu", "fri", "sat", "sun" };

/* day = "mon" / ... / "sun" */
static bool take_day(const char **at, unsigned *out)
{
    for (unsigned i = 0; i < DAYS; i++)
        if (strncmp(*at, day_names[i], 3) == 0) {
            *at += 3;
            *out = i;
            return true;
        }
    return false;
}

/* days = day [ "-" day ]; a range may run over Sunday */
static bool take_days(const char **at, unsigned char *out)
{
    unsigned from = 0, to = 0;
    if (!take_day(at, &from))
        return false;
    to = from;
    if (**at == '-') {
        ++*at;
        if (!take_day(at, &to))
            return false;
    }
    *out = 0;
    for (unsigned d = from;; d = (d + 1) % DAYS) {
        *out |= (unsigned char)(1u << d);
        if (d == to)
            return true;
    }
}

static bool two_digits(const char *s, unsigned *out)
{
    if (s[0] < '0' || s[0] > '9' || s[1] < '0' || s[1] > '9')
        return false;
    *out = (unsigned)(s[0] - '0') * 10 + (unsigned)(s[1] - '0');
    return true;
}

/* time = 2DIGIT ":" 2DIGIT, 00:00 to 24:00 */
static bool take_time(const char **at, uint16_t *out)
{
    unsigned h = 0, m = 0;
    if (!two_digits(*at, &h) || (*at)[2] != ':' || !two_digits(*at + 3, &m) || m > 59 || h * 60 + m > DAY_MINUTES)
        return false;
    *at += 5;
    *out = (uint16_t)(h * 60 + m);
    return true;
}

static bool take_spaces(const char **at)
{
    size_t n = strspn(*at, " ");
    *at += n;
    return n > 0;
}

/* span = days SP time "-" time */
static bool take_span(const char **at, struct hours_span *out)
{
    if (!take_days(at, &out->days) || !take_spaces(at) || !take_time(at, &out->from) || **at != '-')
        return false;
    ++*at;
    return take_time(at, &out->to) && out->from < DAY_MINUTES && out->from != out->to;
}

/* hours = span *( "," span ) */
bool hours_parse(const char *text, struct hours *out)
{
    struct hours h = { .text = out->text };
    for (;;) {
        (void)take_spaces(&text);
        if (h.count == HOURS_SPANS_MAX || !take_span(&text, &h.span[h.count]))
            return false;
        h.count++;
        (void)take_spaces(&text);
        if (*text == 0)
            break;
        if (*text++ != ',')
            return false;
    }
    *out = h;
    return true;
}

static bool span_holds(const struct hours_span *s, unsigned day, unsigned minute)
{
    bool today = s->days & 1u << day, yesterday = s->days & 1u << (day + DAYS - 1) % DAYS;
    if (s->from < s->to)
        return today && minute >= s->from && minute < s->to;
    return (today && minute >= s->from) || (yesterday && minute < s->to);
}

bool hours_hold(const struct hours *h, unsigned minute)
{
    if (h == NULL)
        return true;
    for (unsigned i = 0; i < h->count; i++)
        if (span_holds(&h->span[i], minute / DAY_MINUTES % DAYS, minute % DAY_MINUTES))
            return true;
    return false;
}

unsigned hours_minute(int64_t now_s)
{
    struct tm tm = { 0 };
    time_t t = (time_t)now_s;
    if (localtime_r(&t, &tm) == NULL)
        return 0;
    return (unsigned)((tm.tm_wday + 6) % DAYS) * DAY_MINUTES + (unsigned)tm.tm_hour * 60 + (unsigned)tm.tm_min;
}

int64_t hours_next(const struct hours *h, int64_t now_s)
{
    int64_t at = now_s - now_s % 60;
    unsigned minute = hours_minute(at);
    for (unsigned i = 1; i <= WEEK_MINUTES; i++)
        if (hours_hold(h, (minute + i) % WEEK_MINUTES)) {
            int64_t next = at + (int64_t)i * 60, off = (int64_t)hours_minute(next) - (int64_t)((minute + i) % WEEK_MINUTES);
            if (off > WEEK_MINUTES / 2)
                off -= WEEK_MINUTES;
            if (off < -WEEK_MINUTES / 2)
                off += WEEK_MINUTES;
            return next - off * 60;   /* the clocks are changed in between */
        }
    return now_s;
}
