#include "authz/canonical.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 16 };
static const json_int_t integer_max = (INT64_C(1) << 53) - 1;   /* I-JSON (RFC 7493 s2.2): exact in every reader */

struct text {
    char *data;
    size_t len, cap;
    bool no_memory;
};

static void put(struct text *t, const char *bytes, size_t len)
{
    if (t->cap - t->len <= len && !t->no_memory) {
        size_t cap = 2 * t->cap + len + 64;
        char *data = realloc(t->data, cap);
        t->no_memory = data == NULL;
        if (data != NULL) {
            t->data = data;
            t->cap = cap;
        }
    }
    if (t->no_memory)
        return;
    memcpy(t->data + t->len, bytes, len);
    t->len += len;
    t->data[t->len] = 0;
}

/* Length of the UTF-8 sequence at p (RFC 3629 s4), or 0. Jansson checks what it parses, but not what its _nocheck calls are given. */
static size_t utf8_length(const unsigned char *p, size_t left)
{
    if (p[0] < 0x80)
        return 1;
    size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool surrogate = p[0] == 0xed && p[1] > 0x9f;
    bool too_large = p[0] == 0xf4 && p[1] > 0x8f;
    return overlong || surrogate || too_large ? 0 : n;
}

/* The shortest escapes, lower-case hex (RFC 8785 s3.2.2.2). */
static void put_escaped(struct text *t, unsigned char c)
{
    static const char named[] = { ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r', ['"'] = '"', ['\\'] = '\\' };
    char out[8];
    int n = c < sizeof named && named[c] ? snprintf(out, sizeof out, "\\%c", named[c]) : snprintf(out, sizeof out, "\\u%04x", c);
    put(t, out, (size_t)n);
}

static enum status put_string(struct text *t, const char *s, size_t len, bool ascii, struct err *err)
{
    const unsigned char *p = (const unsigned char *)s;
    put(t, "\"", 1);
    for (size_t i = 0, n; i < len; i += n) {
        n = utf8_length(p + i, len - i);
        if (n == 0 || (ascii && n > 1))
            return fail(err, BAD_INPUT, ascii ? "a key is not ASCII" : "a string is not UTF-8");
        if (n == 1 && (p[i] < 0x20 || p[i] == '"' || p[i] == '\\'))
            put_escaped(t, p[i]);
        else
            put(t, s + i, n);
    }
    put(t, "\"", 1);
    return OK;
}

static enum status put_value(struct text *t, const json_t *v, unsigned depth, struct err *err);

struct member {
    const char *key;
    size_t key_len;
    const json_t *value;
};

/* By UTF-16 code units (RFC 8785 s3.2.3); for ASCII keys that is the order of bytes. */
static int compare_members(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    int order = memcmp(x->key, y->key, x->key_len < y->key_len ? x->key_len : y->key_len);
    return order ? order : (x->key_len > y->key_len) - (x->key_len < y->key_len);
}

static enum status put_members(struct text *t, const struct member *m, size_t count, unsigned depth, struct err *err)
{
    enum status st = OK;
    put(t, "{", 1);
    for (size_t i = 0; i < count && st == OK; i++) {
        if (i > 0)
            put(t, ",", 1);
        st = put_string(t, m[i].key, m[i].key_len, true, err);
        put(t, ":", 1);
        if (st == OK)
            st = put_value(t, m[i].value, depth + 1, err);
    }
    put(t, "}", 1);
    return st;
}

static enum status put_object(struct text *t, const json_t *v, unsigned depth, struct err *err)
{
    size_t count = json_object_size(v), n = 0;
    struct member *members = calloc(count ? count : 1, sizeof *members);
    if (members == NULL)
        return fail(err, NO_MEMORY, "canonical JSON");
    json_t *object = (json_t *)v;     /* jansson's iterators take no const; nothing is changed */
    for (void *at = json_object_iter(object); at != NULL && n < count; at = json_object_iter_next(object, at))
        members[n++] = (struct member){ json_object_iter_key(at), json_object_iter_key_len(at), json_object_iter_value(at) };
    qsort(members, n, sizeof *members, compare_members);
    enum status st = put_members(t, members, n, depth, err);
    free(members);
    return st;
}

static enum status put_array(struct text *t, const json_t *v, unsigned depth, struct err *err)
{
    enum status st = OK;
    put(t, "[", 1);
    for (size_t i = 0; i < json_array_size(v) && st == OK; i++) {
        if (i > 0)
            put(t, ",", 1);
        st = put_value(t, json_array_get(v, i), depth + 1, err);
    }
    put(t, "]", 1);
    return st;
}

static enum status put_integer(struct text *t, json_int_t n, struct err *err)
{
    char out[32];
    if (n > integer_max || n < -integer_max)
        return fail(err, BAD_INPUT, "an integer is out of range");
    put(t, out, (size_t)snprintf(out, sizeof out, "%" JSON_INTEGER_FORMAT, n));
    return OK;
}

static enum status put_value(struct text *t, const json_t *v, unsigned depth, struct err *err)
{
    if (v == NULL || depth > DEPTH_MAX)
        return fail(err, BAD_INPUT, v ? "nested deeper than 16" : "nothing to write");
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return put_object(t, v, depth, err);
    case JSON_ARRAY:
        return put_array(t, v, depth, err);
    case JSON_STRING:
        return put_string(t, json_string_value(v), json_string_length(v), false, err);
    case JSON_INTEGER:
        return put_integer(t, json_integer_value(v), err);
    case JSON_TRUE:
        put(t, "true", 4);
        return OK;
    case JSON_FALSE:
        put(t, "false", 5);
        return OK;
    default:
        return fail(err, BAD_INPUT, "a real number or a null has no place here");
    }
}

enum status canonical_json(const json_t *value, char **out, size_t *len_out, struct err *err)
{
    struct text t = { 0 };
    enum status st = put_value(&t, value, 1, err);
    if (st == OK && t.no_memory)
        st = fail(err, NO_MEMORY, "canonical JSON");
    if (st != OK) {
        free(t.data);
        return st;
    }
    *out = t.data;
    *len_out = t.len;
    return OK;
}
