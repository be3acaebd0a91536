#include "proxy/base/log.h"

#include "proxy/base/clock.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *process_name = "countersign";
static atomic_int lowest_level = LOG_LEVEL_INFO;
static const char *const level_names[] = { "debug", "info", "warn", "error" };

enum { LINE_MAX_BYTES = 8192, VALUE_MAX_BYTES = 1024 };

void log_setup(const char *process, enum log_level lowest)
{
    process_name = process;
    log_set_level(lowest);
}

void log_set_level(enum log_level lowest)
{
    atomic_store_explicit(&lowest_level, (int)lowest, memory_order_relaxed);
}

bool log_shows(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&lowest_level, memory_order_relaxed);
}

bool log_level_parse(const char *text, enum log_level *out)
{
    for (unsigned i = 0; i < sizeof level_names / sizeof *level_names; i++)
        if (strcmp(text, level_names[i]) == 0) {
            *out = (enum log_level)i;
            return true;
        }
    return false;
}

const char *log_process(void)
{
    return process_name;
}

/* The most of `lines` that ends with a line and has at most max bytes; a longer line goes alone. */
static size_t whole_lines(struct slice lines, size_t max)
{
    if (lines.len <= max)
        return lines.len;
    const unsigned char *end = memrchr(lines.ptr, '\n', max);
    if (end == NULL)
        end = memchr(lines.ptr, '\n', lines.len);
    return end ? (size_t)(end + 1 - lines.ptr) : lines.len;
}

void log_write_lines(struct slice lines)
{
    struct stat sb;
    bool file = fstat(STDERR_FILENO, &sb) == 0 && S_ISREG(sb.st_mode);
    while (lines.len > 0) {
        size_t n = whole_lines(lines, file ? lines.len : PIPE_BUF);
        for (size_t at = 0; at < n;) {
            ssize_t w = write(STDERR_FILENO, lines.ptr + at, n - at);
            if (w < 0 && errno == EINTR)
                continue;
            if (w <= 0)
                return;               /* nowhere is left to complain to */
            at += (size_t)w;
        }
        lines = slice_from(lines, n);
    }
}

/* What stands for itself in a JSON string: printable ASCII but for '"' and '\'. */
static const bool plain[256] = { [' ' ... '!'] = true, ['#' ... '['] = true, [']' ... '~'] = true };

size_t log_escape_into(struct slice s, char *out, size_t out_max)
{
    static const char hex[] = "0123456789abcdef";
    size_t n = 0;
    for (size_t i = 0; i < s.len && n + 7 < out_max; i++) {
        unsigned char c = s.ptr[i];
        if (plain[c]) {
            out[n++] = (char)c;
        } else if (c == '"' || c == '\\') {
            out[n++] = '\\';
            out[n++] = (char)c;
        } else {
            memcpy(out + n, "\\u00", 4);
            out[n + 4] = hex[c >> 4];
            out[n + 5] = hex[c & 15];
            n += 6;
        }
    }
    out[n] = 0;
    return n;
}

char *log_escape(struct slice s, char *out, size_t out_max)
{
    (void)log_escape_into(s, out, out_max);
    return out;
}

void log_event(enum log_level level, const char *event, ...)
{
    if (!log_shows(level))
        return;
    char line[LINE_MAX_BYTES], when[CLOCK_TEXT_MAX], value[VALUE_MAX_BYTES];
    clock_rfc3339(clock_wall_ms(), when);
    int n = snprintf(line, sizeof line, "{\"time\":\"%s\",\"level\":\"%s\",\"process\":\"%s\",\"event\":\"%s\"", when,
                     level_names[level], process_name, event);
    va_list ap;
    va_start(ap, event);
    for (const char *key; (key = va_arg(ap, const char *)) != NULL;) {
        const char *text = va_arg(ap, const char *);
        size_t left = sizeof line - (size_t)n;
        if (text == NULL || left < VALUE_MAX_BYTES + 128)
            continue;
        n += snprintf(line + n, left, ",\"%s\":\"%s\"", key, log_escape(slice_str(text), value, sizeof value));
    }
    va_end(ap);
    line[n++] = '}';
    line[n++] = '\n';
    ssize_t done = write(STDERR_FILENO, line, (size_t)n);
    (void)done;   /* nowhere is left to complain to */
}
