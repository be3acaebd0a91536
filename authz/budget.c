#include "authz/budget.h"

#include "config/index.h"
#include "proxy/base/codec.h"
#include "proxy/base/log.h"

#include <stdio.h>

enum { PATH_COUNTED_MAX = 8192 };

/* ---- the claim ---- */

static void put_line(json_t *claim, const char *kind, const char *name, int64_t max)
{
    char line[BUDGET_NAME_MAX];
    snprintf(line, sizeof line, "%s%s", kind, name);
    json_object_set_new(claim, line, json_integer((json_int_t)max));
}

json_t *budget_claim(const struct budget *b)
{
    json_t *claim = json_object();
    if (claim == NULL)
        return NULL;
    if (b->requests > 0)
        put_line(claim, "requests", "", b->requests);
    if (b->bytes_out > 0)
        put_line(claim, "bytes_out", "", b->bytes_out);
    for (size_t i = 0; i < b->action_count; i++)
        put_line(claim, "action:", b->actions[i].action, b->actions[i].max);
    for (size_t i = 0; i < b->distinct_count; i++)
        put_line(claim, "distinct:", b->distinct[i].name, b->distinct[i].max);
    return claim;
}

bool budget_claim_sound(const json_t *claim)
{
    const char *name;
    json_t *max;
    if (!json_is_object(claim) || json_object_size(claim) > BUDGET_LINES_MAX)
        return false;
    json_object_foreach((json_t *)(uintptr_t)claim, name, max) {
        bool known = strcmp(name, "requests") == 0 || strcmp(name, "bytes_out") == 0 || strncmp(name, "action:", 7) == 0
                     || strncmp(name, "distinct:", 9) == 0;
        if (!known || strlen(name) >= BUDGET_NAME_MAX || !json_is_integer(max) || json_integer_value(max) < 1)
            return false;
    }
    return true;
}

/* ---- values ---- */

struct found {
    struct budget_value *v;
    size_t count;
    bool full;
};

static void add(struct found *f, const char *name, struct slice value)
{
    struct budget_value v = { .shown = "" };
    char line[BUDGET_NAME_MAX];
    snprintf(line, sizeof line, "distinct:%s", name);
    memcpy(v.name, line, sizeof v.name);
    struct slice pieces[] = { slice_of(line, strlen(line) + 1), value };
    sha256(pieces, 2, v.digest);
    for (size_t i = 0; i < f->count; i++)
        if (memcmp(f->v[i].digest, v.digest, sizeof v.digest) == 0)
            return;
    if (f->count == BUDGET_VALUES_MAX) {
        f->full = true;
        return;
    }
    (void)log_escape(value, v.shown, sizeof v.shown);
    f->v[f->count++] = v;
}

static struct slice take_segment(struct slice *path)
{
    if (path->len > 0 && path->ptr[0] == '/')
        *path = slice_from(*path, 1);
    struct slice segment = slice_of(path->ptr, slice_find(*path, '/'));
    *path = slice_from(*path, segment.len);
    return segment;
}

/* One walk along both, segment by segment. */
static bool walk(struct slice pattern, struct slice path, struct slice *value_out)
{
    struct slice value = { 0 };
    while (pattern.len > 0) {
        struct slice want = take_segment(&pattern);
        if (slice_eq(want, SLICE("**")))
            break;
        if (path.len == 0)
            return false;
        struct slice got = take_segment(&path);
        if (want.ptr[0] == '{')
            value = got;
        else if (!slice_eq(want, SLICE("*")) && !slice_eq(want, got))
            return false;
        if (pattern.len == 0 && path.len > 1)   /* one '/' at the end is the same page to most tools */
            return false;
    }
    *value_out = value;
    return value.len > 0;
}

static void count_path(struct found *f, const struct distinct_limit *d, struct slice path)
{
    char pattern[PATTERN_MAX + 1], loose[PATH_COUNTED_MAX];
    struct slice value;
    if (walk(slice_str(d->path), path, &value)) {
        add(f, d->name, value);
        return;
    }
    if (path.len > sizeof loose) {
        add(f, d->name, path);        /* too long to be looked at: it may be one */
        return;
    }
    struct slice want = slice_of(pattern, path_loosen(slice_str(d->path), false, pattern));
    for (int strip = 0; strip < 2; strip++)
        if (walk(want, slice_of(loose, path_loosen(path, strip == 1, loose)), &value)) {
            add(f, d->name, path);
            return;
        }
}

enum status budget_values(const struct budget *b, struct slice path, const struct reading *query, size_t query_count,
                          struct budget_value out[BUDGET_VALUES_MAX], size_t *count_out)
{
    struct found f = { .v = out };
    for (size_t i = 0; i < b->distinct_count; i++) {
        const struct distinct_limit *d = &b->distinct[i];
        if (d->path != NULL)
            count_path(&f, d, path);
        for (size_t k = 0; d->query != NULL && k < query_count; k++)
            if (slice_ieq(slice_str(d->query), query[k].name))
                add(&f, d->name, query[k].value);
    }
    *count_out = f.count;
    return f.full ? FULL : OK;
}
