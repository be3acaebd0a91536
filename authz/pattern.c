/* Matching of paths and values against the operator's patterns.
 *
 *   path pattern = *( byte / "*" / "**" )     "*": any bytes but "/"; "**": any bytes; a "**" that is a whole segment may also be none at all
 *
 * A path may be hostile and long, so there is no backtracking: all positions in the pattern that the bytes so far can have reached are kept as a
 * set of bits, and each byte moves the set on. Time is the product of both lengths at the very most, and in practice a few steps a byte. */
#include "authz/pattern.h"

enum { WORDS = PATTERN_MAX / 64 + 1 };   /* positions 0 to PATTERN_MAX */

struct machine {
    const char *pattern;
    size_t len, words;
    uint64_t now[WORDS], next[WORDS];
    bool all;                         /* a final "**" was reached: whatever follows matches */
};

/* Add a position to a set, and those that need no byte to be reached from it. */
static void reach(struct machine *m, uint64_t *set, size_t at)
{
    for (;;) {
        set[at / 64] |= UINT64_C(1) << at % 64;
        if (m->pattern[at] != '*')
            return;
        at += m->pattern[at + 1] == '*' ? 2 : 1;
        m->all = m->all || (at == m->len && m->len >= 2 && m->pattern[at - 2] == '*');
    }
}

static void take_at(struct machine *m, size_t at, unsigned char byte)
{
    unsigned char c = (unsigned char)m->pattern[at];
    if (at == m->len)
        return;
    if (c == '*') {
        if (m->pattern[at + 1] == '*' || byte != '/')
            reach(m, m->next, at);
        return;
    }
    if (c != byte)
        return;
    reach(m, m->next, at + 1);
    if (c == '/' && strncmp(m->pattern + at + 1, "**/", 3) == 0)
        reach(m, m->next, at + 4);
}

/* False when no position is left. */
static bool take(struct machine *m, unsigned char byte)
{
    uint64_t any = 0;
    memset(m->next, 0, m->words * sizeof m->next[0]);
    for (size_t w = 0; w < m->words; w++)
        for (uint64_t bits = m->now[w]; bits; bits &= bits - 1)
            take_at(m, w * 64 + (size_t)__builtin_ctzll(bits), byte);
    for (size_t w = 0; w < m->words; w++)
        any |= m->now[w] = m->next[w];
    return any != 0;
}

static bool at_end(const struct machine *m)
{
    return m->now[m->len / 64] >> m->len % 64 & 1;
}

/* Bytes that must be equal before anything interesting begins: up to a '*', or the '/' before one. */
static size_t same_start(const char *pattern, struct slice path)
{
    size_t i = 0;
    while (i < path.len && pattern[i] != 0 && pattern[i] != '*' && (unsigned char)pattern[i] == path.ptr[i] &&
           !(pattern[i] == '/' && pattern[i + 1] == '*'))
        i++;
    return i;
}

static bool matches(const char *pattern, struct slice path, bool or_with_slash)
{
    struct machine m;
    size_t i = same_start(pattern, path);
    bool wild = pattern[i] == '*' || (pattern[i] == '/' && pattern[i + 1] == '*');
    if (!wild) {
        if (i < path.len)
            return false;
        return pattern[i] == 0 || (or_with_slash && pattern[i] == '/' && pattern[i + 1] == 0);
    }
    m.pattern = pattern + i;
    m.len = strlen(m.pattern);
    m.words = m.len / 64 + 1;
    m.all = false;
    if (m.len > PATTERN_MAX)
        return false;
    memset(m.now, 0, m.words * sizeof m.now[0]);
    reach(&m, m.now, 0);
    for (; i < path.len && !m.all; i++)
        if (!take(&m, path.ptr[i]))
            return false;
    return m.all || at_end(&m) || (or_with_slash && take(&m, '/') && at_end(&m));
}

bool path_matches(const char *pattern, struct slice path)
{
    return matches(pattern, path, false);
}

bool path_matches_loosely(const char *pattern, struct slice path)
{
    return matches(pattern, path, true);
}

/* The last '*' may always take one byte more: going back further than that never helps, since a later '*' takes any bytes. */
static bool value_matches_as(const char *pattern, struct slice v, bool fold)
{
    size_t p = 0, i = 0, star = SIZE_MAX, resume = 0;
    while (i < v.len) {
        unsigned char c = (unsigned char)pattern[p], b = v.ptr[i];
        if (c == '*') {
            star = p++;
            resume = i;
        } else if (c != 0 && (c == b || (fold && ascii_lower(c) == ascii_lower(b)))) {
            p++;
            i++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            i = ++resume;
        } else {
            return false;
        }
    }
    return pattern[p + strspn(pattern + p, "*")] == 0;
}

bool value_matches(const char *pattern, struct slice value)
{
    return value_matches_as(pattern, value, false);
}

bool value_matches_loosely(const char *pattern, struct slice value)
{
    return value_matches_as(pattern, value, true);
}
