/* slice: a borrowed run of bytes. It owns nothing and needs no NUL; whoever hands one out says until
 * when it is valid. */
#ifndef COUNTERSIGN_SLICE_H
#define COUNTERSIGN_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct slice {
    const unsigned char *ptr;
    size_t len;
};

/* A slice of a string literal, usable in tables. */
#define SLICE(lit) ((struct slice){ (const unsigned char *)("" lit), sizeof(lit) - 1 })
#define SLICE_INIT(lit) { (const unsigned char *)("" lit), sizeof(lit) - 1 }
/* For printf: "%.*s", SLICE_ARG(s). Escape what a peer sent before a log shows it (log.h). */
#define SLICE_ARG(s) (int)(s).len, (const char *)((s).ptr ? (const char *)(s).ptr : "")

static inline struct slice slice_of(const void *ptr, size_t len)
{
    return (struct slice){ (const unsigned char *)ptr, len };
}

static inline struct slice slice_str(const char *s)
{
    return (struct slice){ (const unsigned char *)s, s ? strlen(s) : 0 };
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline unsigned char ascii_lower(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c | 0x20) : c;
}

/* Equal but for ASCII case: field names, hosts, schemes; never values with secrets. */
static inline bool slice_ieq(struct slice a, struct slice b)
{
    if (a.len != b.len)
        return false;
    if (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0)
        return true;                  /* mostly they are written the same */
    for (size_t i = 0; i < a.len; i++)
        if (ascii_lower(a.ptr[i]) != ascii_lower(b.ptr[i]))
            return false;
    return true;
}

static inline bool slice_starts(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

/* The first n bytes dropped; n is at most s.len. */
static inline struct slice slice_from(struct slice s, size_t n)
{
    return (struct slice){ s.ptr + n, s.len - n };
}

/* Position of c, or s.len. */
static inline size_t slice_find(struct slice s, unsigned char c)
{
    const unsigned char *p = s.len ? memchr(s.ptr, c, s.len) : NULL;
    return p ? (size_t)(p - s.ptr) : s.len;
}

/* Without leading and trailing SP and HTAB (OWS, RFC 9110 s5.6.3). */
static inline struct slice slice_trim(struct slice s)
{
    while (s.len && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s = slice_from(s, 1);
    while (s.len && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

#endif
