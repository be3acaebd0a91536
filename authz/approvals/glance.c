#include "authz/approvals/glance.h"

/* p[0] is the opening quote. Where the string ends, behind its closing quote; NULL: it does not. */
static const unsigned char *skip_string(const unsigned char *p, const unsigned char *end, bool *escaped)
{
    p++;
    const unsigned char *quote = memchr(p, '"', (size_t)(end - p));
    if (quote == NULL || memchr(p, '\\', (size_t)(quote - p)) == NULL)
        return quote ? quote + 1 : NULL;
    *escaped = true;
    for (; p < end && *p != '"'; p++)
        if (*p == '\\')
            p++;
    return p < end ? p + 1 : NULL;
}

/* p[0] is the opening bracket. Brackets must close each other; what stands between them is not looked at. */
static const unsigned char *skip_nested(const unsigned char *p, const unsigned char *end)
{
    unsigned char open[GLANCE_DEPTH];
    size_t depth = 0;
    bool escaped = false;
    while (p != NULL && p < end) {
        unsigned char c = *p;
        if (c == '"') {
            p = skip_string(p, end, &escaped);
            continue;
        }
        p++;
        if (c == '{' || c == '[') {
            if (depth == GLANCE_DEPTH)
                return NULL;
            open[depth++] = c;
        } else if (c == '}' || c == ']') {
            if (open[--depth] != (c == '}' ? '{' : '['))   /* the first is an opening one, and at 0 we are done */
                return NULL;
            if (depth == 0)
                return p;
        }
    }
    return NULL;
}

static bool read_number(struct slice text, int64_t *out)
{
    bool minus = text.len > 0 && text.ptr[0] == '-';
    struct slice digits = slice_from(text, minus ? 1 : 0);
    int64_t n = 0;
    if (digits.len == 0 || digits.len > 18 || (digits.ptr[0] == '0' && (digits.len > 1 || minus)))
        return false;
    for (size_t i = 0; i < digits.len; i++) {
        unsigned digit = digits.ptr[i] - (unsigned)'0';
        if (digit > 9)
            return false;
        n = n * 10 + (int64_t)digit;
    }
    *out = minus ? -n : n;
    return true;
}

/* One value; returns what follows it, or NULL. */
static const unsigned char *read_value(const unsigned char *p, const unsigned char *end, struct glance_member *m)
{
    const unsigned char *start = p;
    bool escaped = false;
    if (p == end)
        return NULL;
    if (*p == '"') {
        p = skip_string(p, end, &escaped);
        m->kind = escaped ? GLANCE_OTHER : GLANCE_TEXT;
        m->value = p ? slice_of(start + 1, (size_t)(p - start) - 2) : slice_of(start, 0);
        return p;
    }
    if (*p == '{' || *p == '[') {
        p = skip_nested(p, end);
        m->kind = GLANCE_NESTED;
    } else {
        while (p < end && *p != ',' && *p != '}')
            p++;
        m->kind = read_number(slice_of(start, (size_t)(p - start)), &m->number) ? GLANCE_NUMBER : GLANCE_OTHER;
    }
    m->value = p ? slice_of(start, (size_t)(p - start)) : slice_of(start, 0);
    return p;
}

static bool rises(struct slice before, struct slice name)
{
    size_t n = before.len < name.len ? before.len : name.len;
    int order = n > 0 ? memcmp(before.ptr, name.ptr, n) : 0;
    return order < 0 || (order == 0 && before.len < name.len);
}

/* "name":value; returns what follows, or NULL. */
static const unsigned char *read_member(const unsigned char *p, const unsigned char *end, struct glance *g)
{
    bool escaped = false;
    struct glance_member *m = &g->member[g->count];
    if (g->count == GLANCE_MAX || p == end || *p != '"')
        return NULL;
    const unsigned char *after = skip_string(p, end, &escaped);
    if (after == NULL || escaped || after == end || *after != ':')
        return NULL;
    m->name = slice_of(p + 1, (size_t)(after - p) - 2);
    if (g->count > 0 && !rises(m[-1].name, m->name))
        return NULL;
    after = read_value(after + 1, end, m);
    if (after != NULL)
        g->count++;
    return after;
}

bool glance_read(struct slice json, struct glance *out)
{
    const unsigned char *p = json.ptr, *end = json.ptr + json.len;
    out->count = 0;
    if (json.len < 2 || *p != '{')
        return false;
    if (p[1] == '}')
        return json.len == 2;
    do {
        p = read_member(p + 1, end, out);
    } while (p != NULL && p < end && *p == ',');
    return p != NULL && p + 1 == end && *p == '}';
}

const struct glance_member *glance_find(const struct glance *g, struct slice name)
{
    for (size_t i = 0; i < g->count; i++)
        if (slice_eq(g->member[i].name, name))
            return &g->member[i];
    return NULL;
}

bool glance_says(const struct glance *g, struct slice name, struct slice text)
{
    const struct glance_member *m = glance_find(g, name);
    return m != NULL && m->kind == GLANCE_TEXT && slice_eq(m->value, text);
}
