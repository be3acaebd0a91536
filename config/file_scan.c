/* A look at the file's own bytes, for what libconfig reads wrongly without a word (version 1.5, Debian 12): an integer past 32 bits
 * is cut to its low 32 bits, a NUL byte ends the text, and "\x00" ends a string. */
#include "config/loader.h"

struct scan {
    struct load *l;
    const char *file;
    const unsigned char *p, *end;
    unsigned line;
};

static unsigned char peek(const struct scan *s, size_t ahead)
{
    return (size_t)(s->end - s->p) > ahead ? s->p[ahead] : 0;
}

static void step(struct scan *s)
{
    s->line += *s->p == '\n';
    s->p++;
}

static void skip_line(struct scan *s)
{
    while (s->p < s->end && *s->p != '\n')
        step(s);
}

static void skip_block(struct scan *s)
{
    while (s->p < s->end && !(peek(s, 0) == '*' && peek(s, 1) == '/'))
        step(s);
}

static void scan_string(struct scan *s)
{
    for (step(s); s->p < s->end && *s->p != '"'; step(s)) {
        if (*s->p != '\\')
            continue;
        if (peek(s, 1) == 'x' && peek(s, 2) == '0' && peek(s, 3) == '0')
            report_line(s->l, s->file, s->line, "a string holds \\x00, which would cut it there; expected text without NUL");
        step(s);
        if (s->p == s->end)
            return;
    }
    if (s->p < s->end)
        step(s);
}

static bool is_word(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '*' || c == '-';
}

static int digit_of(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : 99;
}

/* A number starts here. All of ours fit in 31 bits, so a longer one is a mistake whatever its suffix. */
static void scan_number(struct scan *s)
{
    unsigned base = peek(s, 0) == '0' && (peek(s, 1) | 0x20) == 'x' ? 16 : 10;
    const unsigned char *start = s->p;
    uint64_t n = 0;
    if (base == 16)
        s->p += 2;
    for (; s->p < s->end && digit_of(*s->p) < (int)base; s->p++)
        if (n <= INT32_MAX)
            n = n * base + (uint64_t)digit_of(*s->p);
    if (n > INT32_MAX)
        report_line(s->l, s->file, s->line, "the number %.*s is too large; expected at most 2147483647 (sizes and times are written with a unit, in quotes: \"5GiB\", \"15m\")",
                    (int)(s->p - start > 40 ? 40 : s->p - start), (const char *)start);
    while (s->p < s->end && is_word(*s->p))
        step(s);
}

void scan_text(struct load *l, const char *file, const unsigned char *text, size_t len)
{
    struct scan s = { l, file, text, text + len, 1 };
    const unsigned char *nul = memchr(text, 0, len);   /* anywhere: in a string or a comment too */
    if (nul != NULL) {
        while (s.p < nul)
            step(&s);
        report_line(l, file, s.line, "a NUL byte stands here; expected text only");
        return;
    }
    while (s.p < s.end) {
        unsigned char c = *s.p, next = peek(&s, 1);
        if (c == '#' || (c == '/' && next == '/'))
            skip_line(&s);
        else if (c == '/' && next == '*')
            skip_block(&s);
        else if (c == '"')
            scan_string(&s);
        else if (c >= '0' && c <= '9')
            scan_number(&s);
        else if (is_word(c) && c != '-')
            while (s.p < s.end && is_word(*s.p))
                step(&s);
        else
            step(&s);
    }
}
