#include "proxy/http/readings_internal.h"

#include "proxy/http/syntax.h"

enum { READINGS_FIRST = 32, METHODS_MAX = 8, METHOD_LEN_MAX = 32 };

enum status readings_add(struct readings *r, struct arena *arena, struct slice name, struct slice value)
{
    if (r->count == READINGS_MAX)
        return FULL;
    if (r->count == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : READINGS_FIRST;
        struct reading *v = arena_alloc(arena, cap * sizeof *v);
        if (v == NULL)
            return NO_MEMORY;
        if (r->count)
            memcpy(v, r->v, r->count * sizeof *v);
        r->v = v;
        r->cap = cap;
    }
    r->v[r->count++] = (struct reading){ name, value };
    return OK;
}

static bool all_digits(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
    return true;
}

/* "a[b][0][]" as "a.b": the path that the same data has in JSON. Frameworks differ about brackets that do not pair: Rack takes what lies between any
 * of them ("[a]" and "a]" are "a", "a[b]c" is "a.b.c"), PHP stops at the first ']' that no '[' follows ("a[b]c" is "a.b"). */
static struct slice dotted_name(struct slice name, bool like_php, struct arena *arena)
{
    unsigned char *out = arena_alloc(arena, name.len + 1);
    size_t n = 0;
    if (out == NULL)
        return (struct slice){ 0 };
    for (size_t from = 0, i = 0; i <= name.len; i++) {
        if (i < name.len && name.ptr[i] != '[' && name.ptr[i] != ']')
            continue;
        struct slice part = slice_of(name.ptr + from, i - from);
        from = i + 1;
        while (part.len > 0 && part.ptr[0] == '.' && n > 0)
            part = slice_from(part, 1);   /* "a[0].b" */
        if (part.len > 0 && (n == 0 || !all_digits(part))) {
            if (n > 0)
                out[n++] = '.';
            memcpy(out + n, part.ptr, part.len);
            n += part.len;
        }
        if (like_php && i < name.len && name.ptr[i] == ']' && (i + 1 == name.len || name.ptr[i + 1] != '['))
            break;
    }
    return slice_of(out, n);
}

/* PHP reads "a.b", "a b" and "a[b" as "a_b", and drops leading spaces. Brackets that pair are an array there, and stay. */
static struct slice mangled_name(struct slice name, struct arena *arena)
{
    while (name.len && name.ptr[0] == ' ')
        name = slice_from(name, 1);
    unsigned char *out = arena_alloc(arena, name.len + 1);
    size_t open = slice_find(name, '[');
    bool array = open < name.len && slice_find(slice_from(name, open), ']') < name.len - open;
    if (out == NULL)
        return (struct slice){ 0 };
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = name.ptr[i];
        bool mangle = (c == '.' || c == ' ' || (c == '[' && !array)) && !(array && i > open);
        out[i] = mangle ? '_' : c;
    }
    return slice_of(out, name.len);
}

/* The paths of "a[b][c]": all of it with the value, and "a" and "a.b", which are there whatever they hold. */
static enum status add_nested(struct readings *r, struct arena *arena, struct slice name, struct slice value)
{
    struct slice path = dotted_name(name, false, arena), php = dotted_name(name, true, arena);
    if (path.ptr == NULL || php.ptr == NULL)
        return NO_MEMORY;
    enum status st = path.len ? readings_add(r, arena, path, value) : OK;
    if (st == OK && php.len && !slice_eq(php, path))
        st = readings_add(r, arena, php, value);
    for (size_t i = 1; st == OK && i < path.len; i++)
        if (path.ptr[i] == '.')
            st = readings_add(r, arena, slice_of(path.ptr, i), SLICE(""));
    return st;
}

enum status readings_add_form(struct readings *r, struct arena *arena, struct slice name, struct slice value)
{
    enum status st = readings_add(r, arena, name, value);
    bool bracket = slice_find(name, '[') < name.len || slice_find(name, ']') < name.len;
    if (st == OK && bracket)
        st = add_nested(r, arena, name, value);
    if (st == OK && (bracket || slice_find(name, '.') < name.len || slice_find(name, ' ') < name.len)) {
        struct slice other = mangled_name(name, arena);
        if (other.ptr == NULL)
            return NO_MEMORY;
        if (!slice_eq(other, name))
            st = readings_add(r, arena, other, value);
    }
    return st;
}

/* Decode "%XX" once, and '+' as a space if asked. BAD_INPUT: a broken escape, or NUL, where C programs stop reading. */
static enum status decode(struct slice s, bool plus, struct arena *arena, struct slice *out)
{
    size_t n = 0;
    if (slice_find(s, '%') == s.len && (!plus || slice_find(s, '+') == s.len)) {
        *out = s;
        return OK;
    }
    unsigned char *p = arena_alloc(arena, s.len);
    if (p == NULL)
        return NO_MEMORY;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = s.ptr[i];
        if (c == '+' && plus) {
            c = ' ';
        } else if (c == '%') {
            int hi = i + 2 < s.len ? hex_digit(s.ptr[i + 1]) : -1, lo = i + 2 < s.len ? hex_digit(s.ptr[i + 2]) : -1;
            if (hi < 0 || lo < 0 || (hi | lo) == 0)
                return BAD_INPUT;
            c = (unsigned char)(hi << 4 | lo);
            i += 2;
        }
        p[n++] = c;
    }
    *out = slice_of(p, n);
    return OK;
}

static enum status add_pair(struct slice pair, bool plus, struct arena *arena, struct readings *out)
{
    size_t eq = slice_find(pair, '=');
    struct slice name = slice_of(pair.ptr, eq), value = slice_of(pair.ptr + eq, 0);
    if (eq < pair.len)
        value = slice_from(pair, eq + 1);
    enum status st = decode(name, plus, arena, &name);
    if (st == OK)
        st = decode(value, plus, arena, &value);
    return st == OK ? readings_add_form(out, arena, name, value) : st;
}

/* All pairs between the separators asked for; a pair with '+' counts both ways. */
static enum status split_pairs(struct slice s, bool amp, bool semi, struct arena *arena, struct readings *out)
{
    for (size_t from = 0, i = 0; i <= s.len; i++) {
        if (i < s.len && !(amp && s.ptr[i] == '&') && !(semi && s.ptr[i] == ';'))
            continue;
        struct slice pair = slice_of(s.ptr + from, i - from);
        enum status st = OK;
        from = i + 1;
        if (pair.len == 0)
            continue;
        st = add_pair(pair, true, arena, out);
        if (st == OK && slice_find(pair, '+') < pair.len)
            st = add_pair(pair, false, arena, out);
        if (st != OK)
            return st;
    }
    return OK;
}

static enum status read_form(struct slice s, struct arena *arena, struct readings *out)
{
    if (s.len == 0)
        return OK;
    enum status st = split_pairs(s, true, false, arena, out);
    if (st != OK || slice_find(s, ';') == s.len)
        return st;
    st = split_pairs(s, true, true, arena, out);
    return st == OK ? split_pairs(s, false, true, arena, out) : st;
}

enum status readings_query(struct slice query, struct arena *arena, struct readings *out)
{
    struct readings r = { 0 };
    enum status st = read_form(query, arena, &r);
    if (st == OK)
        *out = r;
    return st;
}

/* A form whose bytes a browser or curl would send; JSON under this type is read as JSON too, since some tools do not look at the type. */
static enum status read_form_body(struct slice body, struct arena *arena, struct readings *out)
{
    struct slice text = slice_trim(body);
    for (size_t i = 0; i < body.len; i++)
        if (body.ptr[i] < 0x20 || body.ptr[i] == 0x7f)
            return BAD_INPUT;
    if (text.len && (text.ptr[0] == '{' || text.ptr[0] == '[')) {
        enum status st = readings_json(body, (struct slice){ 0 }, arena, out);
        if (st != OK)
            return st;
    }
    return read_form(body, arena, out);
}

static bool is_json(struct slice type)
{
    const struct slice suffix = SLICE("+json");
    if (slice_ieq(type, SLICE("application/json")) || slice_ieq(type, SLICE("text/json")))
        return true;
    return type.len > suffix.len && slice_ieq(slice_from(type, type.len - suffix.len), suffix);
}

enum status readings_body(const struct message *head, struct slice body, struct arena *arena, struct readings *out)
{
    struct readings r = { 0 };
    struct media_type t;
    enum status st = OK;
    if (body.len > 0) {
        if (fields_count(&head->fields, SLICE("content-encoding")) > 0 || fields_count(&head->fields, SLICE("content-type")) != 1)
            return BAD_INPUT;
        st = media_type_parse(fields_get(&head->fields, SLICE("content-type")), &t);
        if (st != OK)
            return st;
        if (t.other_charset)
            return BAD_INPUT;
        if (slice_ieq(t.type, SLICE("application/x-www-form-urlencoded")))
            st = read_form_body(body, arena, &r);
        else if (slice_ieq(t.type, SLICE("multipart/form-data")) && t.boundary.ptr != NULL)
            st = readings_multipart(body, t.boundary, arena, &r);
        else if (is_json(t.type))
            st = readings_json(body, (struct slice){ 0 }, arena, &r);
        else
            st = BAD_INPUT;
    }
    if (st == OK)
        *out = r;
    return st;
}

struct methods {
    struct slice *v;
    size_t count;
    bool failed;
};

/* Add a name that some tool might take for a method; anything that is no token, or very long, none would. */
static void add_method(struct methods *m, struct slice name, struct arena *arena)
{
    unsigned char upper[METHOD_LEN_MAX];
    name = slice_trim(name);
    if (!is_token(name) || name.len > METHOD_LEN_MAX)
        return;
    for (size_t i = 0; i < name.len; i++)
        upper[i] = name.ptr[i] >= 'a' && name.ptr[i] <= 'z' ? (unsigned char)(name.ptr[i] - 0x20) : name.ptr[i];
    name.ptr = upper;
    for (size_t i = 0; i < m->count; i++)
        if (slice_eq(m->v[i], name))
            return;
    struct slice kept = m->count < METHODS_MAX ? arena_copy(arena, name) : (struct slice){ 0 };
    if (kept.ptr == NULL)
        m->failed = true;
    else
        m->v[m->count++] = kept;
}

static void add_method_readings(struct methods *m, const struct readings *r, struct arena *arena)
{
    for (size_t i = 0; r != NULL && i < r->count; i++)
        if (slice_ieq(r->v[i].name, SLICE("_method")))
            add_method(m, r->v[i].value, arena);
}

size_t readings_methods(const struct message *head, const struct readings *query, const struct readings *body, struct arena *arena,
                        struct slice out[8])
{
    static const struct slice names[] = { SLICE_INIT("x-http-method-override"), SLICE_INIT("x-http-method"),
                                          SLICE_INIT("x-method-override") };
    struct methods m = { out, 1, false };
    out[0] = head->method;
    for (size_t i = 0; i < head->fields.count; i++) {
        struct slice rest = head->fields.v[i].value, element;
        bool override = false;
        for (size_t k = 0; k < sizeof names / sizeof *names; k++)
            override |= name_looks_like(head->fields.v[i].name, names[k]);
        while (override && list_next(&rest, &element))
            add_method(&m, element, arena);
    }
    add_method_readings(&m, query, arena);
    add_method_readings(&m, body, arena);
    return m.failed ? 0 : m.count;
}
