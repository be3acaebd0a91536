#include "proxy/commands/html_text.h"

#include <stdint.h>
#include <stdlib.h>

struct writer {
    char *text;
    size_t len, max;
    bool space;                       /* a space is due before the next word */
    unsigned blank;                   /* line ends at the end of the text */
};

static void put(struct writer *w, char c)
{
    if (w->len < w->max)
        w->text[w->len++] = c;
}

/* A character of text: runs of white space are one space, and none begins a line. */
static void put_text(struct writer *w, unsigned char c)
{
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f') {
        w->space = true;
        return;
    }
    if (w->space && w->blank == 0 && w->len > 0)
        put(w, ' ');
    w->space = false;
    w->blank = 0;
    put(w, (char)c);
}

/* End the line; at most one empty line between two others. */
static void put_line(struct writer *w, unsigned lines)
{
    w->space = false;
    while (w->len > 0 && w->blank < lines) {
        put(w, '\n');
        w->blank++;
    }
}

static void put_words(struct writer *w, const char *s)
{
    for (; *s; s++)
        put_text(w, (unsigned char)*s);
}

static void put_point(struct writer *w, uint32_t p)
{
    if (p == 0xa0)
        p = ' ';
    if (p < 0x80) {
        put_text(w, (unsigned char)p);
    } else if (p < 0x800) {
        put_text(w, (unsigned char)(0xc0 | p >> 6));
        put(w, (char)(0x80 | (p & 0x3f)));
    } else if (p < 0x10000) {
        put_text(w, (unsigned char)(0xe0 | p >> 12));
        put(w, (char)(0x80 | (p >> 6 & 0x3f)));
        put(w, (char)(0x80 | (p & 0x3f)));
    } else {
        put_text(w, (unsigned char)(0xf0 | p >> 18));
        put(w, (char)(0x80 | (p >> 12 & 0x3f)));
        put(w, (char)(0x80 | (p >> 6 & 0x3f)));
        put(w, (char)(0x80 | (p & 0x3f)));
    }
}

static const struct entity {
    struct slice name;
    uint32_t point;
} entities[] = {
    { SLICE_INIT("amp"), '&' }, { SLICE_INIT("lt"), '<' }, { SLICE_INIT("gt"), '>' }, { SLICE_INIT("quot"), '"' }, { SLICE_INIT("apos"), '\'' },
    { SLICE_INIT("nbsp"), 0xa0 }, { SLICE_INIT("copy"), 0xa9 }, { SLICE_INIT("laquo"), 0xab }, { SLICE_INIT("raquo"), 0xbb }, { SLICE_INIT("lsaquo"), 0x2039 },
    { SLICE_INIT("rsaquo"), 0x203a }, { SLICE_INIT("middot"), 0xb7 }, { SLICE_INIT("bull"), 0x2022 }, { SLICE_INIT("hellip"), 0x2026 }, { SLICE_INIT("ndash"), 0x2013 },
    { SLICE_INIT("mdash"), 0x2014 }, { SLICE_INIT("lsquo"), 0x2018 }, { SLICE_INIT("rsquo"), 0x2019 }, { SLICE_INIT("ldquo"), 0x201c }, { SLICE_INIT("rdquo"), 0x201d },
    { SLICE_INIT("times"), 0xd7 }, { SLICE_INIT("larr"), 0x2190 }, { SLICE_INIT("rarr"), 0x2192 }, { SLICE_INIT("euro"), 0x20ac }, { SLICE_INIT("auml"), 0xe4 },
    { SLICE_INIT("ouml"), 0xf6 }, { SLICE_INIT("uuml"), 0xfc }, { SLICE_INIT("Auml"), 0xc4 }, { SLICE_INIT("Ouml"), 0xd6 }, { SLICE_INIT("Uuml"), 0xdc },
    { SLICE_INIT("szlig"), 0xdf }, { SLICE_INIT("eacute"), 0xe9 },
};

/* "#1234" or "#x4d2", without '&' and ';'. 0: not a character. */
static uint32_t numeric_entity(struct slice s)
{
    bool hex = s.len > 1 && (s.ptr[1] | 0x20) == 'x';
    uint32_t p = 0;
    if (s.len < (hex ? 3u : 2u))
        return 0;
    for (size_t i = hex ? 2 : 1; i < s.len; i++) {
        unsigned char c = ascii_lower(s.ptr[i]);
        unsigned digit = c >= '0' && c <= '9' ? c - (unsigned)'0' : hex && c >= 'a' && c <= 'f' ? c - (unsigned)'a' + 10 : 99;
        if (digit == 99 || p > 0x10ffff)
            return 0;
        p = p * (hex ? 16 : 10) + digit;
    }
    return p > 0x10ffff || (p >= 0xd800 && p < 0xe000) ? 0 : p;
}

/* An entity at the start of s (which is '&'); the bytes used. Anything else is an ampersand. */
static size_t take_entity(struct writer *w, struct slice s)
{
    size_t end = slice_find(slice_of(s.ptr, s.len < 12 ? s.len : 12), ';');
    if (end < 2 || end >= s.len || s.ptr[end] != ';') {
        put_text(w, '&');
        return 1;
    }
    struct slice name = slice_of(s.ptr + 1, end - 1);
    uint32_t p = name.ptr[0] == '#' ? numeric_entity(name) : 0;
    for (size_t i = 0; p == 0 && i < sizeof entities / sizeof entities[0]; i++)
        if (slice_eq(entities[i].name, name))
            p = entities[i].point;
    if (p == 0) {
        put_text(w, '&');
        return 1;
    }
    put_point(w, p);
    return end + 1;
}

static void put_value(struct writer *w, struct slice v)
{
    while (v.len > 0) {
        size_t used = 1;
        if (v.ptr[0] == '&')
            used = take_entity(w, v);
        else
            put_text(w, v.ptr[0]);
        v = slice_from(v, used);
    }
}

/* Where the tag ends ('>' outside quotes), or s.len. s begins with '<'. A quote opens a value only after '='; a page that opens one and never closes it loses its rest, as in a browser. */
static size_t tag_end(struct slice s)
{
    unsigned char quote = 0, before = 0;
    for (size_t i = 1; i < s.len; i++) {
        unsigned char c = s.ptr[i];
        if (quote != 0)
            quote = c == quote ? 0 : quote;
        else if (c == '>')
            return i;
        else if ((c == '"' || c == '\'') && before == '=')
            quote = c;
        if (c != ' ' && c != '\n' && c != '\t' && c != '\r')
            before = c;
    }
    return s.len;
}

static bool is_space(unsigned char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '/';
}

/* The value of an attribute inside a tag (without its '<' and '>'); ptr NULL: it is not there. */
static struct slice attribute(struct slice tag, struct slice wanted)
{
    size_t i = 0;
    while (i < tag.len && !is_space(tag.ptr[i]))
        i++;
    while (i < tag.len) {
        while (i < tag.len && is_space(tag.ptr[i]))
            i++;
        size_t name = i;
        while (i < tag.len && !is_space(tag.ptr[i]) && tag.ptr[i] != '=')
            i++;
        struct slice found = slice_of(tag.ptr + name, i - name), value = slice_of(tag.ptr + i, 0);
        while (i < tag.len && is_space(tag.ptr[i]) && tag.ptr[i] != '/')
            i++;
        if (i < tag.len && tag.ptr[i] == '=') {
            for (i++; i < tag.len && is_space(tag.ptr[i]) && tag.ptr[i] != '/';)
                i++;
            unsigned char quote = i < tag.len && (tag.ptr[i] == '"' || tag.ptr[i] == '\'') ? tag.ptr[i++] : 0;
            size_t from = i;
            while (i < tag.len && (quote ? tag.ptr[i] != quote : !is_space(tag.ptr[i]) || tag.ptr[i] == '/'))
                i++;
            value = slice_of(tag.ptr + from, i - from);
            i += quote && i < tag.len;
        }
        if (slice_ieq(found, wanted))
            return value;
    }
    return slice_of(NULL, 0);
}

static void put_input(struct writer *w, struct slice tag)
{
    struct slice type = attribute(tag, SLICE("type")), value = attribute(tag, SLICE("value"));
    if (slice_ieq(type, SLICE("hidden")))
        return;
    put_text(w, ' ');
    if (slice_ieq(type, SLICE("checkbox")) || slice_ieq(type, SLICE("radio"))) {
        put_words(w, attribute(tag, SLICE("checked")).ptr != NULL ? "[x]" : "[ ]");
    } else {
        put_words(w, "[");
        if (slice_ieq(type, SLICE("password")) && value.len > 0)
            put_words(w, "***");
        else
            put_value(w, value);
        put_words(w, "]");
    }
    put_text(w, ' ');
}

enum element { INLINE, BLOCK, PARAGRAPH, CELL, ITEM, INPUT, IMAGE, OPTION, RAW };

static enum element element_of(struct slice name)
{
    static const struct {
        struct slice name;
        enum element what;
    } known[] = {
        { SLICE_INIT("script"), RAW }, { SLICE_INIT("style"), RAW }, { SLICE_INIT("noscript"), INLINE }, { SLICE_INIT("template"), RAW }, { SLICE_INIT("svg"), RAW },
        { SLICE_INIT("br"), BLOCK }, { SLICE_INIT("div"), BLOCK }, { SLICE_INIT("tr"), BLOCK }, { SLICE_INIT("form"), BLOCK }, { SLICE_INIT("section"), BLOCK },
        { SLICE_INIT("header"), BLOCK }, { SLICE_INIT("footer"), BLOCK }, { SLICE_INIT("nav"), BLOCK }, { SLICE_INIT("main"), BLOCK }, { SLICE_INIT("article"), BLOCK },
        { SLICE_INIT("ul"), BLOCK }, { SLICE_INIT("ol"), BLOCK }, { SLICE_INIT("dl"), BLOCK }, { SLICE_INIT("dt"), BLOCK }, { SLICE_INIT("dd"), BLOCK },
        { SLICE_INIT("fieldset"), BLOCK }, { SLICE_INIT("legend"), BLOCK }, { SLICE_INIT("hr"), BLOCK }, { SLICE_INIT("pre"), BLOCK }, { SLICE_INIT("thead"), BLOCK },
        { SLICE_INIT("tbody"), BLOCK }, { SLICE_INIT("title"), PARAGRAPH }, { SLICE_INIT("p"), PARAGRAPH }, { SLICE_INIT("table"), PARAGRAPH },
        { SLICE_INIT("caption"), PARAGRAPH }, { SLICE_INIT("h1"), PARAGRAPH }, { SLICE_INIT("h2"), PARAGRAPH }, { SLICE_INIT("h3"), PARAGRAPH },
        { SLICE_INIT("h4"), PARAGRAPH }, { SLICE_INIT("h5"), PARAGRAPH }, { SLICE_INIT("h6"), PARAGRAPH }, { SLICE_INIT("blockquote"), PARAGRAPH },
        { SLICE_INIT("td"), CELL }, { SLICE_INIT("th"), CELL }, { SLICE_INIT("li"), ITEM }, { SLICE_INIT("input"), INPUT }, { SLICE_INIT("img"), IMAGE },
        { SLICE_INIT("option"), OPTION },
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (slice_ieq(known[i].name, name))
            return known[i].what;
    return INLINE;
}

/* Past the matching end tag of an element whose content is no text for people. */
static size_t skip_raw(struct slice s, struct slice name)
{
    for (size_t i = 0; i + 2 + name.len <= s.len; i++) {
        size_t lt = slice_find(slice_from(s, i), '<');
        i += lt;
        if (i + 2 + name.len > s.len)
            break;
        if (s.ptr[i + 1] == '/' && slice_ieq(slice_of(s.ptr + i + 2, name.len), name))
            return i;
    }
    return s.len;
}

static void put_element(struct writer *w, enum element what, struct slice tag, bool closing)
{
    if (what == BLOCK)
        put_line(w, 1);
    else if (what == PARAGRAPH)
        put_line(w, 2);
    else if (what == CELL && closing)
        put_words(w, "  |");
    else if (what == ITEM) {
        put_line(w, 1);
        if (!closing)
            put_words(w, "- ");
    } else if (what == INPUT)
        put_input(w, tag);
    else if (what == IMAGE)
        put_value(w, attribute(tag, SLICE("alt")));
    else if (what == OPTION && !closing)
        put_words(w, attribute(tag, SLICE("selected")).ptr != NULL ? " (*) " : " ( ) ");
}

/* A tag, comment or declaration at the start of s; the bytes used. */
static size_t take_markup(struct writer *w, struct slice s)
{
    if (slice_starts(s, SLICE("<!--"))) {
        for (size_t i = 4; i + 3 <= s.len; i++)
            if (s.ptr[i] == '-' && s.ptr[i + 1] == '-' && s.ptr[i + 2] == '>')
                return i + 3;
        return s.len;
    }
    bool closing = s.len > 1 && s.ptr[1] == '/';
    size_t from = closing ? 2 : 1;
    unsigned char first = s.len > from ? ascii_lower(s.ptr[from]) : 0;
    if ((first < 'a' || first > 'z') && first != '!' && first != '?') {
        put_text(w, '<');
        return 1;
    }
    size_t end = tag_end(s), name_end = from;
    while (name_end < end && !is_space(s.ptr[name_end]))
        name_end++;
    struct slice name = slice_of(s.ptr + from, name_end - from), tag = slice_of(s.ptr + from, end - from);
    enum element what = element_of(name);
    size_t used = end < s.len ? end + 1 : s.len;
    if (what == RAW && !closing && !(end > 0 && s.ptr[end - 1] == '/'))
        return used + skip_raw(slice_from(s, used), name);
    put_element(w, what, tag, closing);
    return used;
}

char *html_to_text(struct slice html, size_t max_bytes, size_t *len_out)
{
    struct writer w = { .text = malloc(max_bytes + 1), .max = max_bytes };
    if (w.text == NULL)
        return NULL;
    while (html.len > 0 && w.len < w.max) {
        size_t used = 1;
        if (html.ptr[0] == '<')
            used = take_markup(&w, html);
        else if (html.ptr[0] == '&')
            used = take_entity(&w, html);
        else
            put_text(&w, html.ptr[0]);
        html = slice_from(html, used);
    }
    while (w.len > 0 && (w.text[w.len - 1] == '\n' || w.text[w.len - 1] == ' '))
        w.len--;
    w.text[w.len] = 0;
    *len_out = w.len;
    return w.text;
}
