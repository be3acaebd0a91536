#include "authz/blob.h"

#include "authz/digest.h"
#include "proxy/base/codec.h"

#include <stdlib.h>

enum { JOINED_MAX = 16 * 1024, DIGEST_FIELDS_MAX = 8 };

static bool fields_sound(const json_t *fields)
{
    size_t n = json_array_size(fields);
    if (!json_is_array(fields) || n > BLOB_FIELDS_MAX)
        return false;
    for (size_t i = 0; i < n; i++) {
        const json_t *pair = json_array_get(fields, i);
        if (!json_is_array(pair) || json_array_size(pair) != 2 || !json_is_string(json_array_get(pair, 0))
            || !json_is_string(json_array_get(pair, 1)) || json_string_length(json_array_get(pair, 0)) == 0)
            return false;
    }
    return true;
}

static enum status read_head(struct slice text, struct blob *b, struct err *err)
{
    const char *method = NULL, *authority = NULL, *target = NULL;
    json_t *fields = NULL;
    json_int_t body_len = -1;
    b->head = json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
    if (json_unpack(b->head, "{s:s, s:s, s:s, s:o, s:I !}", "method", &method, "authority", &authority, "target", &target,
                    "fields", &fields, "body_len", &body_len) != 0
        || method[0] == 0 || authority[0] == 0 || target[0] != '/' || !fields_sound(fields))
        return fail(err, BAD_INPUT, "the blob's head is not {method, authority, target, fields, body_len}");
    if (body_len < 0 || (uint64_t)body_len != b->body.len)
        return fail(err, BAD_INPUT, "the blob's body is %zu bytes, its head says %lld", b->body.len, (long long)body_len);
    b->method = slice_str(method);
    b->authority = slice_str(authority);
    b->target = slice_str(target);
    b->fields = fields;
    return OK;
}

enum status blob_parse(struct slice bytes, struct blob *out, struct err *err)
{
    struct blob b = { 0 };
    if (bytes.len < 4)
        return fail(err, BAD_INPUT, "the blob is shorter than its length");
    size_t head_len = (size_t)bytes.ptr[0] << 24 | (size_t)bytes.ptr[1] << 16 | (size_t)bytes.ptr[2] << 8 | bytes.ptr[3];
    if (head_len > BLOB_HEAD_MAX || head_len > bytes.len - 4)
        return fail(err, BAD_INPUT, "the blob's head is longer than the blob or than %d bytes", BLOB_HEAD_MAX);
    b.body = slice_from(bytes, 4 + head_len);
    enum status st = read_head(slice_of(bytes.ptr + 4, head_len), &b, err);
    if (st == OK)
        *out = b;
    else
        json_decref(b.head);
    return st;
}

void blob_done(struct blob *b)
{
    json_decref(b->head);
    *b = (struct blob){ 0 };
}

/* All values of one field, joined, in buf. ptr NULL: absent. */
static enum status field_value(const json_t *fields, struct slice name, char *buf, struct slice *out)
{
    size_t n = 0;
    bool found = false;
    for (size_t i = 0; i < json_array_size(fields); i++) {
        const json_t *pair = json_array_get(fields, i);
        if (!slice_ieq(slice_str(json_string_value(json_array_get(pair, 0))), name))
            continue;
        const json_t *value = json_array_get(pair, 1);
        size_t len = json_string_length(value);
        if (n + len + 2 > JOINED_MAX)
            return FULL;
        if (found) {
            memcpy(buf + n, ", ", 2);
            n += 2;
        }
        memcpy(buf + n, json_string_value(value), len);
        n += len;
        found = true;
    }
    *out = slice_of(found ? buf : NULL, n);
    return OK;
}

enum status blob_digest(const struct blob *b, unsigned char digest[32], unsigned char body_sha256[32], struct err *err)
{
    struct digest_input in = { .method = b->method, .authority = b->authority, .target = b->target, .body_len = b->body.len };
    size_t count = digest_field_count < DIGEST_FIELDS_MAX ? digest_field_count : DIGEST_FIELDS_MAX;
    char *values = malloc(count * JOINED_MAX + 1);
    if (values == NULL)
        return fail(err, NO_MEMORY, "digest");
    enum status st = OK;
    for (size_t i = 0; st == OK && i < count; i++)
        st = field_value(b->fields, digest_fields[i], values + i * JOINED_MAX, &in.field_values[i]);
    if (st != OK) {
        st = fail(err, FULL, "a field of the request is longer than %d bytes", JOINED_MAX);
    } else {
        sha256_one(b->body, in.body_sha256);
        memcpy(body_sha256, in.body_sha256, 32);
        request_digest(&in, digest);
    }
    free(values);
    return st;
}

static json_t *text_of(struct slice s)
{
    return json_stringn(s.ptr ? (const char *)s.ptr : "", s.len);
}

enum status blob_write(struct slice method, struct slice authority, struct slice target, const json_t *fields, struct slice body,
                       unsigned char **out, size_t *len_out, struct err *err)
{
    json_t *head = json_pack("{s:o, s:o, s:o, s:O, s:I}", "method", text_of(method), "authority", text_of(authority), "target",
                             text_of(target), "fields", fields, "body_len", (json_int_t)body.len);
    char *text = head ? json_dumps(head, JSON_COMPACT) : NULL;
    json_decref(head);
    size_t len = text ? strlen(text) : 0;
    unsigned char *bytes = text && len <= BLOB_HEAD_MAX ? malloc(4 + len + body.len) : NULL;
    if (bytes == NULL) {
        free(text);
        return fail(err, BAD_INPUT, "the head of the held request is not UTF-8, or longer than %d bytes", BLOB_HEAD_MAX);
    }
    for (int i = 0; i < 4; i++)
        bytes[i] = (unsigned char)(len >> (24 - 8 * i));
    memcpy(bytes + 4, text, len);
    if (body.len)
        memcpy(bytes + 4 + len, body.ptr, body.len);
    free(text);
    *out = bytes;
    *len_out = 4 + len + body.len;
    return OK;
}
