#include "proxy/base/log.h"

#include "proxy/base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static const char *process_name = "countersign";
static enum log_level lowest_level = LOG_LEVEL_INFO;

enum { LINE_MAX_BYTES = 8192, VALUE_MAX_BYTES = 1024 };

void log_setup(const char *process, enum log_level lowest)
{
    process_name = process;
    lowest_level = lowest;
}

char *log_escape(struct slice s, char *out, size_t out_max)
{
    static const char hex[] = "0123456789abcdef";
    size_t n = 0;
    for (size_t i = 0; i < s.len && n + 7 < out_max; i++) {
        unsigned char c = s.ptr[i];
        if (c == '"' || c == '\\') {
            out[n++] = '\\';
            out[n++] = (char)c;
        } else if (c >= 0x20 && c < 0x7f) {
            out[n++] = (char)c;
        } else {
            memcpy(out + n, "\\u00", 4);
            out[n + 4] = hex[c >> 4];
            out[n + 5] = hex[c & 15];
            n += 6;
        }
    }
    out[n] = 0;
    return out;
}

void log_event(enum log_level level, const char *event, ...)
{
    static const char *const names[] = { "debug", "info", "warn", "error" };
    if (level < lowest_level)
        return;
    char line[LINE_MAX_BYTES], when[CLOCK_TEXT_MAX], value[VALUE_MAX_BYTES];
    clock_rfc3339(clock_wall_ms(), when);
    int n = snprintf(line, sizeof line, "{\"time\":\"%s\",\"level\":\"%s\",\"process\":\"%s\",\"event\":\"%s\"", when,
                     names[level], process_name, event);
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
