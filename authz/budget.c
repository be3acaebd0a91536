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
        if (b->distinct[i].max > 0)
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
        if (d->max == 0)
            continue;
        if (d->path != NULL)
            count_path(&f, d, path);
        for (size_t k = 0; d->query != NULL && k < query_count; k++)
            if (slice_ieq(slice_str(d->query), query[k].name))
                add(&f, d->name, query[k].value);
    }
    *count_out = f.count;
    return f.full ? FULL : OK;
}

/* ---- names ---- */

struct names {
    char *out;
    size_t len;
};

static bool is_plain(unsigned char c)
{
    return (c >= '0' && c <= '9') || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') || (c != 0 && strchr("-._~@:", c) != NULL);
}

static size_t put_encoded(char *out, struct slice value)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t n = 0;
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = value.ptr[i];
        if (is_plain(c)) {
            out[n++] = (char)c;
            continue;
        }
        out[n++] = '%';
        out[n++] = digits[c >> 4];
        out[n++] = digits[c & 15];
    }
    return n;
}

/* Is it there already, as a whole? */
static bool named(const struct names *n, const char *one, size_t len)
{
    for (size_t at = 0, end; at < n->len; at = end + 1) {
        end = at + slice_find(slice_of(n->out + at, n->len - at), ',');
        if (end - at == len && memcmp(n->out + at, one, len) == 0)
            return true;
    }
    return false;
}

static size_t put_one(char one[BUDGET_NAMED_MAX], const char *name, struct slice value)
{
    unsigned char hash[32];
    size_t len = (size_t)snprintf(one, BUDGET_NAME_MAX, "%s=", name);
    if (value.len <= BUDGET_NAMED_BYTES)
        return len + put_encoded(one + len, value);
    sha256_one(value, hash);
    len += put_encoded(one + len, slice_of(value.ptr, BUDGET_NAMED_BYTES));
    one[len++] = '~';
    hex_encode(slice_of(hash, 8), one + len);
    return len + HEX_LEN(8);
}

static void put_name(struct names *n, const char *name, struct slice value)
{
    char one[BUDGET_NAMED_MAX];
    if (value.len == 0)
        return;
    size_t len = put_one(one, name, value);
    if (named(n, one, len) || n->len + len + 1 > BUDGET_NAMES_MAX)
        return;
    if (n->len > 0)
        n->out[n->len++] = ',';
    memcpy(n->out + n->len, one, len);
    n->len += len;
}

static int hex_digit(unsigned char c)
{
    unsigned char l = ascii_lower(c);
    return c >= '0' && c <= '9' ? c - '0' : l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

/* "jos%C3%A9" in a path is "josé" in a query. */
static size_t decode(struct slice in, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < in.len; i++) {
        int high = in.len - i > 2 && in.ptr[i] == '%' ? hex_digit(in.ptr[i + 1]) : -1, low = high >= 0 ? hex_digit(in.ptr[i + 2]) : -1;
        out[n++] = (char)(low >= 0 ? high << 4 | low : in.ptr[i]);
        i += low >= 0 ? 2 : 0;
    }
    return n;
}

/* Matched without regard to spelling, named in the letters that came. */
static void name_loosely(struct names *n, const struct distinct_limit *d, struct slice path, bool strip)
{
    char pattern[PATTERN_MAX + 1], loose[PATH_COUNTED_MAX], plain[PATH_COUNTED_MAX];
    struct slice value;
    struct slice want = slice_of(pattern, path_loosen(slice_str(d->path), false, pattern));
    if (!walk(want, slice_of(loose, path_loosen(path, strip, loose)), &value))
        return;
    (void)path_plain(path, strip, plain);
    put_name(n, d->name, slice_of(plain + ((const char *)value.ptr - loose), value.len));
}

static void name_path(struct names *n, const struct distinct_limit *d, struct slice path)
{
    char text[PATH_COUNTED_MAX];
    struct slice value;
    if (path.len > sizeof text) {
        put_name(n, d->name, path);
        return;
    }
    bool exact = walk(slice_str(d->path), path, &value);
    if (exact)
        put_name(n, d->name, slice_of(text, decode(value, text)));
    if (exact && slice_find(value, ';') == value.len && slice_find(value, '%') == value.len)
        return;                       /* there is no other way to read it */
    if (!exact)
        name_loosely(n, d, path, false);
    name_loosely(n, d, path, true);
}

size_t budget_names(const struct budget *b, struct slice path, const struct reading *query, size_t query_count, char out[BUDGET_NAMES_MAX])
{
    struct names n = { out, 0 };
    for (size_t i = 0; i < b->distinct_count; i++) {
        const struct distinct_limit *d = &b->distinct[i];
        if (d->path != NULL)
            name_path(&n, d, path);
        for (size_t k = 0; d->query != NULL && k < query_count; k++)
            if (slice_ieq(slice_str(d->query), query[k].name))
                put_name(&n, d->name, query[k].value);
    }
    return n.len;
}

bool budget_name_typed(const char *typed, char out[BUDGET_NAMED_MAX])
{
    const char *eq = strchr(typed, '='), *value = eq ? eq + 1 : typed;
    char name[BUDGET_NAME_MAX] = "customer", text[1024];
    size_t len = strlen(value);
    if (eq != NULL && (eq == typed || (size_t)(eq - typed) >= sizeof name - 1))
        return false;
    if (eq != NULL)
        snprintf(name, sizeof name, "%.*s", (int)(eq - typed), typed);
    if (len == 0 || len > sizeof text)
        return false;
    size_t n = put_one(out, name, slice_of(text, decode(slice_of(value, len), text)));
    out[n] = 0;
    return true;
}

bool budget_name_next(struct slice *names, struct slice *one)
{
    size_t n = slice_find(*names, ',');
    if (names->len == 0)
        return false;
    *one = slice_of(names->ptr, n);
    *names = slice_from(*names, n < names->len ? n + 1 : n);
    return true;
}
