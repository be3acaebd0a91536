#include "config/index.h"

#include <stdlib.h>

struct bucket {
    uint64_t hash;
    struct slice key;                 /* ptr NULL: empty slot */
    unsigned first, count;            /* in `order` */
};

struct table {
    struct bucket *buckets;
    size_t mask;
    unsigned *order;                  /* numbers of actions, grouped by key */
    size_t longest;                   /* key */
};

struct action_index {
    struct table exact, loose;
    char **loose_patterns;
    size_t count;
};

struct filed {
    struct slice key;
    unsigned action;
};

/* FNV-1a: the keys are the operator's, so nobody else can crowd a chain. */
static const uint64_t hash_start = UINT64_C(0xcbf29ce484222325);
static uint64_t hash_byte(uint64_t h, unsigned char c)
{
    return (h ^ c) * UINT64_C(0x100000001b3);
}

static uint64_t hash_slice(struct slice s)
{
    uint64_t h = hash_start;
    for (size_t i = 0; i < s.len; i++)
        h = hash_byte(h, s.ptr[i]);
    return h;
}

/* ---- loose forms ---------------------------------------------------------------------------------------------- */

static int hex_of(int c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static size_t strip_segment_params(struct slice in, char *out)
{
    size_t n = 0;
    bool params = false;
    for (size_t i = 0; i < in.len; i++) {
        params = in.ptr[i] != '/' && (params || in.ptr[i] == ';');
        if (!params)
            out[n++] = (char)in.ptr[i];
    }
    return n;
}

static size_t decode_once(char *text, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        int hi = text[i] == '%' && len - i > 2 ? hex_of(text[i + 1]) : -1;
        int lo = hi >= 0 ? hex_of(text[i + 2]) : -1;
        text[n++] = (char)(lo >= 0 ? hi << 4 | lo : text[i]);
        i += lo >= 0 ? 2 : 0;
    }
    return n;
}

size_t path_plain(struct slice in, bool strip_params, char *out)
{
    size_t len = in.len, n = 0;
    if (strip_params)
        len = strip_segment_params(in, out);
    else if (len)
        memcpy(out, in.ptr, len);
    if (len && memchr(out, '%', len) != NULL)
        len = decode_once(out, decode_once(out, len));
    for (size_t i = 0; i < len; i++) {
        char c = out[i] == '\\' ? '/' : out[i];
        if (c != '/' || n == 0 || out[n - 1] != '/')
            out[n++] = c;
    }
    return n > 0 && out[n - 1] == '/' ? n - 1 : n;
}

size_t path_loosen(struct slice in, bool strip_params, char *out)
{
    size_t n = path_plain(in, strip_params, out);
    for (size_t i = 0; i < n; i++)
        out[i] = (char)ascii_lower((unsigned char)out[i]);
    return n;
}

/* ---- making --------------------------------------------------------------------------------------------------- */

static struct slice key_of(const char *pattern)
{
    size_t len = strcspn(pattern, "*");
    if (pattern[len] == '*')
        while (len > 0 && pattern[len - 1] != '/')
            len--;
    return slice_of(pattern, len);
}

static int compare_filed(const void *a, const void *b)
{
    const struct filed *x = a, *y = b;
    size_t least = x->key.len < y->key.len ? x->key.len : y->key.len;
    int order = least ? memcmp(x->key.ptr, y->key.ptr, least) : 0;
    if (order == 0)
        order = (x->key.len > y->key.len) - (x->key.len < y->key.len);
    return order ? order : (x->action > y->action) - (x->action < y->action);
}

static void put_bucket(struct table *t, struct bucket b)
{
    size_t at = b.hash & t->mask;
    while (t->buckets[at].key.ptr != NULL)
        at = (at + 1) & t->mask;
    t->buckets[at] = b;
}

static bool table_make(struct arena *a, struct table *t, struct filed *rows, size_t count)
{
    size_t slots = 8;
    while (slots < 2 * count)
        slots *= 2;
    t->buckets = arena_zalloc(a, slots * sizeof *t->buckets);
    t->order = arena_alloc(a, count * sizeof *t->order);
    t->mask = slots - 1;
    if (t->buckets == NULL || t->order == NULL)
        return false;
    qsort(rows, count, sizeof *rows, compare_filed);
    for (size_t i = 0, end; i < count; i = end) {
        for (end = i; end < count && slice_eq(rows[end].key, rows[i].key); end++)
            t->order[end] = rows[end].action;
        put_bucket(t, (struct bucket){ hash_slice(rows[i].key), rows[i].key, (unsigned)i, (unsigned)(end - i) });
        t->longest = rows[i].key.len > t->longest ? rows[i].key.len : t->longest;
    }
    return true;
}

static char *loose_copy(struct arena *a, const char *pattern)
{
    size_t len = strlen(pattern);
    char *out = arena_alloc(a, len + 1);
    if (out != NULL)
        out[path_loosen(slice_of(pattern, len), false, out)] = 0;
    return out;
}

struct action_index *action_index_new(struct arena *a, const struct action *actions, size_t count)
{
    struct action_index *x = arena_zalloc(a, sizeof *x);
    struct filed *rows = calloc(count ? count : 1, sizeof *rows);
    bool ok = x != NULL && rows != NULL && count < UINT32_MAX;
    if (ok)
        x->loose_patterns = arena_alloc(a, (count ? count : 1) * sizeof *x->loose_patterns);
    ok = ok && x->loose_patterns != NULL;
    for (size_t i = 0; ok && i < count; i++) {
        rows[i] = (struct filed){ key_of(actions[i].path), (unsigned)i };
        ok = (x->loose_patterns[i] = loose_copy(a, actions[i].path)) != NULL;
    }
    ok = ok && table_make(a, &x->exact, rows, count);
    for (size_t i = 0; ok && i < count; i++)
        rows[i] = (struct filed){ key_of(x->loose_patterns[i]), (unsigned)i };
    ok = ok && table_make(a, &x->loose, rows, count);
    free(rows);
    return ok ? x : NULL;
}

const char *action_index_loose(const struct action_index *x, size_t action)
{
    return x->loose_patterns[action];
}

/* ---- looking up ----------------------------------------------------------------------------------------------- */

enum { STAGE_EMPTY, STAGE_SEGMENTS, STAGE_SLASH, STAGE_END };

struct action_walk action_walk_start(const struct action_index *x, struct slice path, bool loose)
{
    return (struct action_walk){ .index = x, .path = path, .loose = loose, .hash = hash_start, .stage = STAGE_EMPTY };
}

/* The bucket of `beginning`, or of `beginning` and one more '/'. */
static void look_up(struct action_walk *w, const struct table *t, struct slice beginning, bool slash)
{
    for (size_t at = w->hash & t->mask; t->buckets[at].key.ptr != NULL; at = (at + 1) & t->mask) {
        const struct bucket *b = &t->buckets[at];
        if (b->hash != w->hash || b->key.len != beginning.len + slash || !slice_starts(b->key, beginning))
            continue;
        if (slash && b->key.ptr[beginning.len] != '/')
            continue;
        w->next = t->order + b->first;
        w->end = w->next + b->count;
        return;
    }
}

/* On to the next '/' or the end, whichever comes first. */
static void next_segment(struct action_walk *w, const struct table *t)
{
    size_t at = w->at;
    while (at < w->path.len) {
        w->hash = hash_byte(w->hash, w->path.ptr[at]);
        if (w->path.ptr[at++] == '/')
            break;
    }
    w->at = at;
    look_up(w, t, slice_of(w->path.ptr, at), false);
}

bool action_walk_next(struct action_walk *w, size_t *action_out)
{
    const struct table *t = w->loose ? &w->index->loose : &w->index->exact;
    while (w->next == w->end) {
        if (w->stage == STAGE_EMPTY) {
            look_up(w, t, slice_of(w->path.ptr, 0), false);
            w->stage = STAGE_SEGMENTS;
        } else if (w->stage == STAGE_SEGMENTS && w->at < w->path.len && w->at <= t->longest) {
            next_segment(w, t);
        } else if (w->stage == STAGE_SEGMENTS && w->loose && w->at == w->path.len) {
            w->hash = hash_byte(w->hash, '/');
            look_up(w, t, w->path, true);
            w->stage = STAGE_SLASH;
        } else {
            w->stage = STAGE_END;
            return false;
        }
    }
    *action_out = *w->next++;
    return true;
}
