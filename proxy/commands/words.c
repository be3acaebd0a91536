#include "proxy/commands/words.h"
#include "proxy/base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { DURATION_MAX_S = 10 * 366 * 86400 };

static int64_t unit_seconds(char unit)
{
    return unit == 's' ? 1 : unit == 'm' ? 60 : unit == 'h' ? 3600 : unit == 'd' ? 86400 : 0;
}

/* 1*DIGIT, at most `max`; *text moves past it. -1: none, or too large. */
static int64_t read_number(const char **text, int64_t max)
{
    int64_t n = 0;
    if (**text < '0' || **text > '9')
        return -1;
    for (; **text >= '0' && **text <= '9'; (*text)++) {
        n = n * 10 + (**text - '0');
        if (n > max)
            return -1;
    }
    return n;
}

bool words_read_duration(const char *text, int64_t *seconds_out)
{
    int64_t total = 0;
    if (*text == 0)
        return false;
    while (*text != 0) {
        int64_t n = read_number(&text, DURATION_MAX_S), unit = unit_seconds(*text);
        if (n < 0 || unit == 0)
            return false;
        text++;
        total += n * unit;
        if (total > DURATION_MAX_S)
            return false;
    }
    *seconds_out = total;
    return true;
}

/* "2026-01-31", with "T12:00:00Z" or without. */
static bool read_date(const char *text, int64_t *seconds_out)
{
    struct tm tm = { 0 };
    const char *end = strptime(text, "%Y-%m-%d", &tm);
    if (end != NULL && *end == 'T')
        end = strptime(end, "T%H:%M:%SZ", &tm);
    if (end == NULL || *end != 0 || strlen(text) < 10)
        return false;
    *seconds_out = timegm(&tm);
    return *seconds_out >= 0;
}

bool words_read_since(const char *text, int64_t now_s, int64_t *seconds_out)
{
    int64_t n = 0;
    if (words_read_duration(text, &n)) {
        *seconds_out = n < now_s ? now_s - n : 0;
        return true;
    }
    if (read_date(text, seconds_out))
        return true;
    n = read_number(&text, INT64_C(99999999999));
    if (n < 0 || *text != 0)
        return false;
    *seconds_out = n;
    return true;
}

char *words_duration(int64_t s, char out[WORDS_MAX])
{
    if (s < 0)
        s = 0;
    if (s < 60)
        snprintf(out, WORDS_MAX, "%d s", (int)s);
    else if (s < 3600)
        snprintf(out, WORDS_MAX, s % 60 ? "%d min %d s" : "%d min", (int)(s / 60), (int)(s % 60));
    else if (s < 86400)
        snprintf(out, WORDS_MAX, s % 3600 / 60 ? "%d h %d min" : "%d h", (int)(s / 3600), (int)(s % 3600 / 60));
    else
        snprintf(out, WORDS_MAX, "%lld d %d h", (long long)(s / 86400), (int)(s % 86400 / 3600));
    return out;
}

char *words_bytes(uint64_t n, char out[WORDS_MAX])
{
    static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    if (n < 1024) {
        snprintf(out, WORDS_MAX, "%d byte%s", (int)n, n == 1 ? "" : "s");
        return out;
    }
    size_t u = 0;
    double v = (double)n / 1024;
    for (; v >= 1024 && u + 1 < sizeof units / sizeof units[0]; u++)
        v /= 1024;
    snprintf(out, WORDS_MAX, "%.1f %s", v, units[u]);
    return out;
}

char *words_time(int64_t seconds, char out[WORDS_MAX])
{
    char text[CLOCK_TEXT_MAX];
    if (seconds <= 0 || seconds > INT64_C(253402300799))   /* the year 9999 */
        return memcpy(out, "-", 2);
    clock_rfc3339(seconds * 1000, text);
    snprintf(out, WORDS_MAX, "%.10s %.8s UTC", text, text + 11);
    return out;
}

/* A list has a million of them: no library is asked. */
char *words_clock(int64_t wall_ms, char out[WORDS_MAX])
{
    if (wall_ms < 0 || wall_ms / 1000 > INT64_C(253402300799))
        return memcpy(out, "--:--:--.---", 13);
    unsigned ms = (unsigned)(wall_ms % 86400000), parts[] = { ms / 3600000, ms / 60000 % 60, ms / 1000 % 60 };
    for (size_t i = 0; i < 3; i++) {
        out[3 * i] = (char)('0' + parts[i] / 10);
        out[3 * i + 1] = (char)('0' + parts[i] % 10);
        out[3 * i + 2] = i < 2 ? ':' : '.';
    }
    for (size_t i = 0; i < 3; i++, ms /= 10)
        out[11 - i] = (char)('0' + ms % 10);
    out[12] = 0;
    return out;
}

const char *json_text(const json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));
    return s != NULL ? s : "";
}

int64_t json_number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

json_t *json_array_member(const json_t *object, const char *key)
{
    json_t *v = json_object_get(object, key);
    return json_is_array(v) ? v : NULL;
}

bool json_text_is(const json_t *object, const char *key, const char *expected)
{
    const char *s = json_string_value(json_object_get(object, key));
    return s != NULL && strcmp(s, expected) == 0;
}

bool id_is_plain(const char *id)
{
    size_t n = strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-");
    return n > 0 && n <= 64 && id[n] == 0;
}
