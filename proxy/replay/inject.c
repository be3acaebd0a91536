#include "proxy/replay/inject.h"

static bool is_space(unsigned char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static size_t skip_space(struct slice s, size_t at)
{
    while (at < s.len && is_space(s.ptr[at]))
        at++;
    return at;
}

static bool at_word(struct slice s, size_t at, const char *lower)
{
    size_t n = strlen(lower);
    return s.len - at >= n && slice_ieq(slice_of(s.ptr + at, n), slice_str(lower));
}

/* "<head", and then something that ends a name: <header> is another. */
static bool at_tag(struct slice s, size_t at, const char *open)
{
    size_t after = at + strlen(open);
    return at_word(s, at, open) && after < s.len && (is_space(s.ptr[after]) || s.ptr[after] == '>' || s.ptr[after] == '/');
}

/* Behind the '>' that ends a tag, quoted values passed over; s.len when there is none. */
static size_t tag_end(struct slice s, size_t at)
{
    unsigned char quote = 0;
    for (; at < s.len; at++) {
        unsigned char c = s.ptr[at];
        if (quote != 0)
            quote = c == quote ? 0 : quote;
        else if (c == '"' || c == '\'')
            quote = c;
        else if (c == '>')
            return at + 1;
    }
    return s.len;
}

/* Behind "-->", or s.len. "<!-->" and "<!--->" are comments as well (HTML s13.2.5.43). */
static size_t comment_end(struct slice s, size_t at)
{
    size_t i = at + 4;
    if (i < s.len && s.ptr[i] == '>')
        return i + 1;
    for (i = at + 2; i + 3 <= s.len; i++)
        if (memcmp(s.ptr + i, "-->", 3) == 0 && i >= at + 3)
            return i + 3;
    return s.len;
}

size_t inject_position(struct slice html)
{
    size_t at = 0;
    if (html.len >= 2 && ((html.ptr[0] == 0xff && html.ptr[1] == 0xfe) || (html.ptr[0] == 0xfe && html.ptr[1] == 0xff)))
        return html.len + 1;
    if (html.len >= 3 && memcmp(html.ptr, "\xef\xbb\xbf", 3) == 0)
        at = 3;
    for (;;) {
        at = skip_space(html, at);
        if (at_word(html, at, "<!--"))
            at = comment_end(html, at);
        else if (at_word(html, at, "<!doctype") || at_word(html, at, "<?"))
            at = tag_end(html, at);
        else if (at_tag(html, at, "<html"))
            at = tag_end(html, at);
        else
            return at_tag(html, at, "<head") ? tag_end(html, at) : at;
    }
}
