#include "proxy/replay/query_match.h"

#include <stdbool.h>

enum { FINGERPRINT_LEN = 3 + 16, CLOCK_DIGITS = 10 };

static struct slice take_pair(struct slice *rest)
{
    size_t end = slice_find(*rest, '&');
    struct slice pair = slice_of(rest->ptr, end);
    *rest = slice_from(*rest, end < rest->len ? end + 1 : end);
    return pair;
}

static void split(struct slice pair, struct slice *name, struct slice *value)
{
    size_t equals = slice_find(pair, '=');
    *name = slice_of(pair.ptr, equals);
    *value = equals < pair.len ? slice_from(pair, equals + 1) : slice_of(pair.ptr, 0);
}

/* What record/redact.h puts in a secret's place. */
static bool is_redacted(struct slice value)
{
    return slice_eq(value, SLICE("removed")) || (value.len == FINGERPRINT_LEN && slice_starts(value, SLICE("fp:")));
}

/* Names under which libraries send a time, a random word or a connection's number, and nothing that a tool's answer hangs on. */
static bool is_volatile(struct slice name)
{
    static const char *const names[] = { "_", "t", "ts", "timestamp", "cb", "rnd", "rand", "random", "nocache", "cachebuster", "cache_bust", "sid", "nonce", "_dc" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (slice_ieq(name, slice_str(names[i])))
            return true;
    return false;
}

/* A point in time, in seconds, milliseconds or finer. */
static bool is_clock(struct slice value)
{
    if (value.len < CLOCK_DIGITS || value.len > CLOCK_DIGITS + 9 || value.ptr[0] != '1')
        return false;
    for (size_t i = 0; i < value.len; i++)
        if (value.ptr[i] < '0' || value.ptr[i] > '9')
            return false;
    return true;
}

static enum query_match compare_pair(struct slice asked, struct slice recorded)
{
    struct slice name, value, name_r, value_r;
    split(asked, &name, &value);
    split(recorded, &name_r, &value_r);
    if (!slice_eq(name, name_r))
        return QUERY_OTHER;
    if (slice_eq(asked, recorded))
        return QUERY_SAME;
    if (is_redacted(value_r))
        return QUERY_REDACTED;
    return is_volatile(name) || (is_clock(value) && is_clock(value_r)) ? QUERY_NEAR : QUERY_OTHER;
}

enum query_match query_compare(struct slice asked, struct slice recorded)
{
    enum query_match worst = QUERY_SAME;
    while (asked.len > 0 && recorded.len > 0) {
        enum query_match one = compare_pair(take_pair(&asked), take_pair(&recorded));
        if (one == QUERY_OTHER)
            return one;
        worst = one < worst ? one : worst;
    }
    return asked.len == 0 && recorded.len == 0 ? worst : QUERY_OTHER;
}
