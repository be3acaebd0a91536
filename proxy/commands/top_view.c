#include "proxy/commands/top_view.h"

#include "proxy/commands/item.h"
#include "proxy/commands/term.h"
#include "proxy/commands/words.h"

#include <stdint.h>
#include <string.h>

enum { CELL_MAX = 128, HEAD_LINES = 3, AROUND_LINES = 2 };

/* The columns from left to right; what does not fit the terminal is left out, the last of them first. */
static const struct column {
    const char *title;
    unsigned width;
    bool number;                      /* to the right */
} columns[] = {
    { "PERSON", 14, false }, { "TOOL", 12, false }, { "ACTION", 16, false }, { "SINCE", 9, true }, { "QUIET", 7, true }, { "REQ/S", 6, true }, { "REQUESTS", 8, true },
    { "OPEN", 4, true }, { "WS", 3, true }, { "RECEIVED", 10, true }, { "SENT", 10, true }, { "FROM", 15, false }, { "SESSION", 26, false },
};
enum { COLUMN_COUNT = sizeof columns / sizeof *columns };

/* So many characters, whatever they are; a dot says that there were more. */
static void put_cell(FILE *out, const char *text, const struct column *c, bool last)
{
    char unit[TERM_UNIT_MAX], shown[CELL_MAX * TERM_UNIT_MAX];
    struct slice s = slice_str(text);
    size_t len = 0;
    unsigned used = 0;
    while (s.len > 0 && used < c->width) {
        size_t n = term_unit(s, unit);
        bool escaped = strlen(unit) != n;
        unsigned wide = escaped ? (unsigned)strlen(unit) : 1;
        if (used + wide > c->width || (used + wide == c->width && s.len > n)) {
            shown[len++] = '~';
            used++;
            break;
        }
        memcpy(shown + len, unit, strlen(unit));
        len += strlen(unit);
        used += wide;
        s = slice_from(s, n);
    }
    unsigned pad = used < c->width ? c->width - used : 0;
    fprintf(out, "%*s%.*s%*s%s", c->number ? (int)pad : 0, "", (int)len, shown, c->number || last ? 0 : (int)pad, "", last ? "" : " ");
}

static unsigned columns_that_fit(unsigned width)
{
    unsigned used = 2, n = 0;
    while (n < COLUMN_COUNT && (width == 0 || used + columns[n].width <= width))
        used += columns[n++].width + 1;
    return n > 0 ? n : 1;
}

static void short_time(int64_t seconds, char *out, size_t max)
{
    if (seconds < 0)
        seconds = 0;
    if (seconds < 120)
        snprintf(out, max, "%llds", (long long)seconds);
    else if (seconds < 7200)
        snprintf(out, max, "%lldm", (long long)seconds / 60);
    else
        snprintf(out, max, "%lldh%02lldm", (long long)seconds / 3600, (long long)seconds / 60 % 60);
}

static void short_bytes(const json_t *s, const char *key, char out[WORDS_MAX])
{
    int64_t n = json_number(s, key);
    words_bytes(n > 0 ? (uint64_t)n : 0, out);
    char *unit = strstr(out, " bytes");
    if (unit != NULL)
        memcpy(unit, " B", 3);
}

static void print_row(FILE *out, const json_t *s, int64_t now_ms, unsigned count)
{
    char cell[COLUMN_COUNT][WORDS_MAX] = { { 0 } };
    char person[CELL_MAX];
    snprintf(person, sizeof person, "%s%s", basis_words(json_text(s, "basis"))[0] != 0 ? json_text_is(s, "basis", "break-glass") ? "!" : "~" : "", json_text(s, "person"));
    const char *text[COLUMN_COUNT] = { [0] = person, [1] = json_text(s, "tool"), [2] = json_text(s, "action"), [11] = json_text(s, "source"), [12] = json_text(s, "session") };
    short_time((now_ms - json_number(s, "since_ms")) / 1000, cell[3], sizeof cell[3]);
    short_time((now_ms - json_number(s, "last_ms")) / 1000, cell[4], sizeof cell[4]);
    snprintf(cell[5], sizeof cell[5], "%.1f", json_number_value(json_object_get(s, "requests_per_s")));
    static const char *const counts[] = { "requests", "active", "websockets" };
    for (unsigned i = 0; i < 3; i++)
        snprintf(cell[6 + i], sizeof cell[6 + i], "%lld", (long long)json_number(s, counts[i]));
    short_bytes(s, "received", cell[9]);
    short_bytes(s, "sent", cell[10]);
    if (json_text(s, "issuer")[0] != 0) {   /* nobody here approved it */
        snprintf(cell[0], sizeof cell[0], "%.20s [%.20s]", text[0], json_text(s, "issuer"));
        text[0] = cell[0];
    }
    for (unsigned i = 0; i < count; i++)
        put_cell(out, text[i] ? text[i] : cell[i], &columns[i], i + 1 == count);
}

static void print_summary(FILE *out, const json_t *answer, const struct top_view *v)
{
    char when[WORDS_MAX];
    double rate = 0;
    int64_t open = 0, sockets = 0, glass = 0, rule = 0;
    size_t i;
    json_t *s, *sessions = json_array_member(answer, "sessions");
    json_array_foreach(sessions, i, s) {
        rate += json_number_value(json_object_get(s, "requests_per_s"));
        open += json_number(s, "active");
        sockets += json_number(s, "websockets");
        glass += json_text_is(s, "basis", "break-glass");
        rule += json_text_is(s, "basis", "auto");
    }
    fprintf(out, "%s  %zu live session%s, %.1f requests/s, %lld open, %lld of them WebSockets", words_time(json_number(answer, "time_ms") / 1000, when), json_array_size(sessions),
            json_array_size(sessions) == 1 ? "" : "s", rate, (long long)open, (long long)sockets);
    if (glass > 0)
        fprintf(out, ", %lld BREAK-GLASS (!)", (long long)glass);
    if (rule > 0)
        fprintf(out, ", %lld by rule (~)", (long long)rule);
    fprintf(out, "%s%s", v->line_end, v->line_end);
}

void top_print(FILE *out, const json_t *answer, const struct top_view *v)
{
    json_t *sessions = json_array_member(answer, "sessions");
    unsigned count = columns_that_fit(v->columns);
    size_t all = json_array_size(sessions), most = v->rows > HEAD_LINES + AROUND_LINES ? v->rows - HEAD_LINES - AROUND_LINES : 1;
    size_t shown = v->rows > 0 && all > most ? most : all, from = v->selected != SIZE_MAX && v->selected >= shown ? v->selected - shown + 1 : 0;
    print_summary(out, answer, v);
    if (all == 0) {
        fprintf(out, "Nobody is at a tool.%s", v->line_end);
        return;
    }
    fputs("  ", out);
    for (unsigned i = 0; i < count; i++)
        put_cell(out, columns[i].title, &columns[i], i + 1 == count);
    fputs(v->line_end, out);
    for (size_t i = from; i < from + shown && i < all; i++) {
        fputs(i == v->selected ? "> " : "  ", out);
        print_row(out, json_array_get(sessions, i), json_number(answer, "time_ms"), count);
        fputs(v->line_end, out);
    }
    if (shown < all)
        fprintf(out, "  … %zu more%s", all - shown, v->line_end);
}
