/* How problems are worded: file, line, setting, what is wrong, what was expected. */
#include "config/loader.h"

#include "proxy/base/log.h"

#include <stdarg.h>
#include <stdlib.h>

void problems_done(struct problems *p)
{
    for (size_t i = 0; i < p->count; i++)
        free(p->text[i]);
    free(p->text);
    *p = (struct problems){ 0 };
}

const char *shown_file(const struct load *l, const char *source, char *buf, size_t buf_max)
{
    const char *slash = strrchr(l->path, '/');
    if (source == NULL)
        return l->path;
    if (source[0] == '/' || slash == NULL)
        return source;
    snprintf(buf, buf_max, "%.*s/%s", (int)(slash - l->path), l->path, source);
    return buf;
}

static void add_problem(struct load *l, const char *text)
{
    struct problems *p = l->problems;
    if (p->count >= PROBLEMS_MAX)
        return;
    if (p->text == NULL && (p->text = calloc(PROBLEMS_MAX, sizeof *p->text)) == NULL) {
        l->no_memory = true;
        return;
    }
    p->text[p->count] = p->count == PROBLEMS_MAX - 1 ? strdup("more problems were found; they are shown once these are solved") : strdup(text);
    if (p->text[p->count] != NULL)
        p->count++;
    else
        l->no_memory = true;
}

/* "tools[support].actions[export].path": elements by their name when they have one, else by number from 1. */
static size_t write_path(const config_setting_t *s, char *out, size_t max)
{
    const char *name = NULL;
    char shown[80];
    if (s == NULL || s->parent == NULL)
        return 0;
    size_t n = write_path(s->parent, out, max);
    if (n + 96 > max)
        return n;
    if (s->name != NULL)
        return n + (size_t)snprintf(out + n, max - n, "%s%.80s", n ? "." : "", s->name);
    if (config_setting_is_group(s) && config_setting_lookup_string(s, "name", &name))
        return n + (size_t)snprintf(out + n, max - n, "[%s]", log_escape(slice_str(name), shown, sizeof shown));
    return n + (size_t)snprintf(out + n, max - n, "[%d]", config_setting_index(s) + 1);
}

static void write_problem(struct load *l, const char *prefix, const config_setting_t *at, const char *member, const char *fmt, va_list ap)
    __attribute__((format(printf, 5, 0)));
static void write_problem(struct load *l, const char *prefix, const config_setting_t *at, const char *member, const char *fmt, va_list ap)
{
    char text[1600], file[1024], path[600] = "";
    const char *shown = shown_file(l, at ? config_setting_source_file(at) : NULL, file, sizeof file);
    size_t path_len = write_path(at, path, sizeof path);
    unsigned line = at ? (unsigned)config_setting_source_line(at) : 0;
    int n = at ? snprintf(text, 1000, "%s%.700s:%u: ", prefix, shown, line ? line : 1)   /* the top level itself has no line */
               : snprintf(text, 1000, "%s%.700s: ", prefix, shown);
    size_t len = n < 0 ? 0 : (size_t)n;
    if (path_len || member)
        len += (size_t)snprintf(text + len, 280, "%.200s%s%.60s: ", path, path_len && member ? "." : "", member ? member : "");
    vsnprintf(text + len, sizeof text - len, fmt, ap);
    add_problem(l, text);
}

void report(struct load *l, const config_setting_t *at, const char *member, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    write_problem(l, "", at, member, fmt, ap);
    va_end(ap);
    l->errors++;
}

void report_warning(struct load *l, const config_setting_t *at, const char *member, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    write_problem(l, "warning: ", at, member, fmt, ap);
    va_end(ap);
}

void report_line(struct load *l, const char *file, unsigned line, const char *fmt, ...)
{
    char text[1200];
    int n = snprintf(text, 1000, "%.700s:%u: ", file, line);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text + n, sizeof text - (size_t)n, fmt, ap);
    va_end(ap);
    add_problem(l, text);
    l->errors++;
}
