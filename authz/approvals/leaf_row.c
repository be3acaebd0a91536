#include "authz/approvals/leaf_row.h"

#include "authz/chain.h"
#include "proxy/base/codec.h"

#include <stdio.h>
#include <string.h>

#define FILED "erased:"

enum { DIGEST_TEXT = 44, FILED_TEXT = 32, DIGITS_MAX = 10 };

static struct slice text_of(const json_t *row, const char *name)
{
    const char *s = json_string_value(json_object_get(row, name));
    return slice_str(s ? s : "");
}

struct leaf_row leaf_row_of(const json_t *row)
{
    return (struct leaf_row){ json_integer_value(json_object_get(row, "seq")), json_integer_value(json_object_get(row, "time_ms")), text_of(row, "type"), text_of(row, "salt"),
                              text_of(row, "content"), text_of(row, "digest"), text_of(row, "session") };
}

bool leaf_row_see(const struct store_view *v, struct leaf_row *out)
{
    out->session = SLICE("");
    return store_view_number(v, 0, &out->seq) && store_view_text(v, 1, &out->type) && store_view_number(v, 2, &out->time_ms) && store_view_text(v, 3, &out->salt)
           && store_view_text(v, 4, &out->content) && store_view_text(v, 5, &out->digest) && (store_view_text(v, 6, &out->session) || store_view_null(v, 6));
}

uint64_t leaf_row_erased(const struct leaf_row *row)
{
    struct slice filed = row->session, begin = SLICE(FILED);
    uint64_t by = 0;
    if (row->content.len > 0 || filed.len <= begin.len || filed.len > begin.len + DIGITS_MAX || memcmp(filed.ptr, begin.ptr, begin.len) != 0 || filed.ptr[begin.len] == '0')
        return 0;
    for (size_t i = begin.len; i < filed.len; i++) {
        if (filed.ptr[i] < '0' || filed.ptr[i] > '9')
            return 0;
        by = by * 10 + (uint64_t)(filed.ptr[i] - '0');
    }
    return by;
}

/* The digest that the content has, or, of an erased one, had: the tree says whether that is so. */
static enum status digest_of(uint64_t seq, const struct leaf_row *row, uint64_t by, unsigned char digest[32], struct err *err)
{
    unsigned char salt[CHAIN_SALT_LEN];
    char text[DIGEST_TEXT];
    size_t len = 0;
    unsigned long long n = seq;
    if (by > 0) {
        if (leaf_row_erased(row) != by || row->salt.len > 0)
            return fail(err, CORRUPT, "leaf %llu was erased by leaf %llu, and something else stands there now", n, (unsigned long long)by);
        if (b64url_decode(row->digest, digest, 32, &len) != OK || len != 32)
            return fail(err, CORRUPT, "the digest of leaf %llu is broken", n);
        return OK;
    }
    if (row->content.len == 0)
        return fail(err, CORRUPT, "the content of leaf %llu is gone, and the log does not say that it was erased", n);
    if (b64url_decode(row->salt, salt, sizeof salt, &len) != OK || len != sizeof salt)
        return fail(err, CORRUPT, "the salt of leaf %llu is broken", n);
    chain_content_digest(salt, row->content, digest);
    b64url_encode(slice_of(digest, 32), text);
    if (!slice_eq(slice_str(text), row->digest))
        return fail(err, CORRUPT, "the content of leaf %llu does not match its digest", n);
    return OK;
}

enum status leaf_row_follow(struct tree *t, uint64_t seq, const struct leaf_row *row, uint64_t by, unsigned char (*done)[32], size_t *done_count, struct err *err)
{
    unsigned char digest[32];
    char type[CHAIN_TYPE_MAX + 1];
    if ((uint64_t)row->seq != seq)
        return fail(err, CORRUPT, "leaf %llu is missing", (unsigned long long)seq);
    enum status st = digest_of(seq, row, by, digest, err);
    if (st != OK)
        return st;
    bool fits = row->type.len < sizeof type;
    if (fits) {
        memcpy(type, row->type.ptr, row->type.len);
        type[row->type.len] = 0;
    }
    return fits && chain_append(t, type, row->time_ms, digest, done, done_count) == OK ? OK
               : fail(err, CORRUPT, "type or time of leaf %llu is broken", (unsigned long long)seq);
}

enum status leaf_row_erase(struct store *s, uint64_t seq, uint64_t by, struct err *err)
{
    char filed[FILED_TEXT];
    snprintf(filed, sizeof filed, FILED "%llu", (unsigned long long)by);
    enum status st = store_run(s, err, "UPDATE leaf SET salt = '', content = '', session = $1 WHERE seq = $2", "si", filed, (int64_t)seq);
    return st == OK && store_changed(s) != 1 ? fail(err, CORRUPT, "leaf %llu is missing", (unsigned long long)seq) : st;
}
