#include "proxy/base/visible.h"

#include <stdint.h>
#include <stdio.h>

/* The length of a well-formed UTF-8 sequence at the start of s and its code point (RFC 3629: no overlong form, no surrogate, at most U+10FFFF); 0: not one. */
static size_t utf8_read(struct slice s, uint32_t *point)
{
    static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
    unsigned char c = s.ptr[0];
    size_t len = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;
    if (len == 0 || len > s.len)
        return 0;
    uint32_t p = len == 1 ? c : c & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((s.ptr[i] & 0xc0) != 0x80)
            return 0;
        p = p << 6 | (s.ptr[i] & 0x3f);
    }
    if (p < smallest[len] || p > 0x10ffff || (p >= 0xd800 && p < 0xe000))
        return 0;
    *point = p;
    return len;
}

/* Characters that change how others are read, or that nobody sees (Unicode's default ignorable code points, and the directional ones). */
static bool invisible(uint32_t p)
{
    static const struct {
        uint32_t from, to;
    } ranges[] = {
        { 0x00ad, 0x00ad }, { 0x034f, 0x034f }, { 0x061c, 0x061c }, { 0x115f, 0x1160 }, { 0x17b4, 0x17b5 }, { 0x180b, 0x180f },
        { 0x200b, 0x200f }, { 0x2028, 0x202e }, { 0x2060, 0x206f }, { 0x3164, 0x3164 }, { 0xe000, 0xf8ff }, { 0xfe00, 0xfe0f },
        { 0xfeff, 0xfeff }, { 0xffa0, 0xffa0 }, { 0xfff0, 0xfffb }, { 0xfffe, 0xffff }, { 0x1bca0, 0x1bca3 }, { 0x1d173, 0x1d17a },
        { 0xe0000, 0xe0fff }, { 0xf0000, 0x10ffff },
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
        if (p >= ranges[i].from && p <= ranges[i].to)
            return true;
    return false;
}

size_t visible_unit(struct slice s, char out[VISIBLE_UNIT_MAX])
{
    uint32_t p = 0;
    size_t len = utf8_read(s, &p);
    if (len == 0) {
        snprintf(out, VISIBLE_UNIT_MAX, "\\x%02x", (unsigned)s.ptr[0]);
        return 1;
    }
    if (p < 0x20 || (p >= 0x7f && p < 0xa0))
        snprintf(out, VISIBLE_UNIT_MAX, "\\x%02x", (unsigned)p);
    else if (invisible(p))
        snprintf(out, VISIBLE_UNIT_MAX, "\\u{%04x}", (unsigned)p);
    else
        snprintf(out, VISIBLE_UNIT_MAX, "%.*s", (int)len, (const char *)s.ptr);
    return len;
}
