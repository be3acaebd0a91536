#include "proxy/commands/term.h"

size_t term_unit(struct slice s, char out[TERM_UNIT_MAX])
{
    return visible_unit(s, out);
}

void term_text(FILE *out, struct slice s)
{
    char unit[TERM_UNIT_MAX];
    while (s.len > 0) {
        size_t plain = 0;             /* nearly all of nearly all texts */
        while (plain < s.len && s.ptr[plain] >= ' ' && s.ptr[plain] < 0x7f)
            plain++;
        if (plain > 0)
            fwrite(s.ptr, 1, plain, out);
        s = slice_from(s, plain);
        if (s.len == 0)
            break;
        size_t used = term_unit(s, unit);
        fputs(unit, out);
        s = slice_from(s, used);
    }
}

void term_str(FILE *out, const char *s)
{
    term_text(out, slice_str(s != NULL ? s : "-"));
}

void term_block(FILE *out, struct slice s, const char *prefix)
{
    char unit[TERM_UNIT_MAX];
    while (s.len > 0) {
        size_t end = slice_find(s, '\n');
        struct slice line = slice_of(s.ptr, end > 0 && end < s.len && s.ptr[end - 1] == '\r' ? end - 1 : end);
        fputs(prefix, out);
        while (line.len > 0) {
            size_t used = line.ptr[0] == '\t' ? 1 : term_unit(line, unit);
            fputs(line.ptr[0] == '\t' ? "\t" : unit, out);
            line = slice_from(line, used);
        }
        fputc('\n', out);
        s = slice_from(s, end < s.len ? end + 1 : end);
    }
}

char *term_escape(struct slice s, char *out, size_t out_max)
{
    char unit[TERM_UNIT_MAX];
    size_t n = 0;
    while (s.len > 0) {
        size_t used = term_unit(s, unit), len = strlen(unit);
        if (n + len >= out_max)
            break;
        memcpy(out + n, unit, len);
        n += len;
        s = slice_from(s, used);
    }
    out[n] = 0;
    return out;
}
