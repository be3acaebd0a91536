#include "certs/ca_index.h"

#include "certs/leaf.h"
#include "proxy/base/codec.h"
#include "proxy/base/file.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum { INDEX_BYTES_MAX = 64 << 20, FINGERPRINT_LEN = 43 };

static void entry_done(struct ca_entry *e)
{
    free(e->identity);
    free(e->person);
    free(e->reason);
    *e = (struct ca_entry){ 0 };
}

void ca_index_done(struct ca_index *index)
{
    for (size_t i = 0; i < index->count; i++)
        entry_done(&index->v[i]);
    free(index->v);
    *index = (struct ca_index){ 0 };
}

static char *copy_text(const char *s)
{
    return s ? strdup(s) : NULL;
}

enum status ca_index_add(struct ca_index *index, const struct ca_entry *e, struct err *err)
{
    if ((index->count & (index->count - 1)) == 0) {   /* room for 1, 2, 4 ... */
        struct ca_entry *grown = realloc(index->v, (index->count ? index->count * 2 : 1) * sizeof *grown);
        if (grown == NULL)
            return fail(err, NO_MEMORY, "certificate index");
        index->v = grown;
    }
    struct ca_entry copy = *e;
    copy.identity = copy_text(e->identity);
    copy.person = copy_text(e->person);
    copy.reason = copy_text(e->reason);
    if (copy.identity == NULL || !copy.person != !e->person || !copy.reason != !e->reason) {
        entry_done(&copy);
        return fail(err, NO_MEMORY, "certificate index");
    }
    index->v[index->count++] = copy;
    return OK;
}

static bool digest_ok(const char *s)
{
    unsigned char bytes[32];
    size_t len = 0;
    return strlen(s) == FINGERPRINT_LEN && b64url_decode(slice_str(s), bytes, sizeof bytes, &len) == OK && len == sizeof bytes;
}

static bool serial_ok(const char *s)
{
    unsigned char bytes[20];
    size_t len = 0;
    return hex_decode(slice_str(s), bytes, sizeof bytes, &len) == OK && len > 0;
}

/* Borrows its strings from the JSON. */
static bool entry_from_json(json_t *line, struct ca_entry *e)
{
    const char *serial, *identity, *person = NULL, *fingerprint, *key, *state, *reason = NULL;
    json_int_t issued, not_after, revoked = 0;
    if (json_unpack(line, "{s:s, s:s, s?:s, s:I, s:I, s:s, s:s, s:s, s?:I, s?:s !}", "serial", &serial, "identity", &identity, "person", &person,
                    "issued", &issued, "not_after", &not_after, "fingerprint", &fingerprint, "key", &key, "status", &state,
                    "revoked", &revoked, "reason", &reason) != 0)
        return false;
    bool is_revoked = strcmp(state, "revoked") == 0;
    if (!serial_ok(serial) || !digest_ok(fingerprint) || !digest_ok(key) || (!is_revoked && strcmp(state, "good") != 0))
        return false;
    if (is_revoked != (revoked > 0) || is_revoked != (reason != NULL) || (reason != NULL && !ca_reason_ok(reason)))
        return false;
    *e = (struct ca_entry){ .identity = (char *)identity, .person = (char *)person, .issued_s = issued, .not_after_s = not_after,
                            .revoked_s = revoked, .reason = (char *)reason };
    snprintf(e->serial, sizeof e->serial, "%s", serial);
    snprintf(e->fingerprint, sizeof e->fingerprint, "%s", fingerprint);
    snprintf(e->key, sizeof e->key, "%s", key);
    return true;
}

static json_t *entry_to_json(const struct ca_entry *e)
{
    json_t *line = json_pack("{s:s, s:s, s:I, s:I, s:s, s:s, s:s}", "serial", e->serial, "identity", e->identity, "issued",
                             (json_int_t)e->issued_s, "not_after", (json_int_t)e->not_after_s, "fingerprint", e->fingerprint, "key", e->key,
                             "status", e->revoked_s ? "revoked" : "good");
    bool good = line != NULL;
    if (good && e->person != NULL)
        good = json_object_set_new(line, "person", json_string(e->person)) == 0;
    if (good && e->revoked_s)
        good = json_object_set_new(line, "revoked", json_integer(e->revoked_s)) == 0
               && json_object_set_new(line, "reason", json_string(e->reason)) == 0;
    if (good)
        return line;
    json_decref(line);
    return NULL;
}

static int compare_serials(const void *a, const void *b)
{
    return strcmp(((const struct ca_entry *)a)->serial, ((const struct ca_entry *)b)->serial);
}

static enum status check_unique(const struct ca_index *index, const char *path, struct err *err)
{
    if (index->count < 2)
        return OK;
    struct ca_entry *sorted = malloc(index->count * sizeof *sorted);
    if (sorted == NULL)
        return fail(err, NO_MEMORY, "certificate index");
    enum status st = OK;
    memcpy(sorted, index->v, index->count * sizeof *sorted);
    qsort(sorted, index->count, sizeof *sorted, compare_serials);
    for (size_t i = 1; i < index->count && st == OK; i++)
        if (compare_serials(&sorted[i - 1], &sorted[i]) == 0)
            st = fail(err, CORRUPT, "%s: the serial %s stands there twice", path, sorted[i].serial);
    free(sorted);
    return st;
}

static enum status read_lines(struct slice text, const char *path, struct ca_index *index, struct err *err)
{
    for (unsigned number = 1; text.len; number++) {
        size_t n = slice_find(text, '\n');
        if (n == text.len)
            return fail(err, CORRUPT, "%s:%u: the last line is not ended; the file is cut short", path, number);
        json_t *line = json_loadb((const char *)text.ptr, n, JSON_REJECT_DUPLICATES, NULL);
        struct ca_entry e;
        enum status st = line != NULL && entry_from_json(line, &e)
                             ? ca_index_add(index, &e, err)
                             : fail(err, CORRUPT, "%s:%u: not a line of the certificate index; restore the file from a backup", path, number);
        json_decref(line);
        if (st != OK)
            return st;
        text = slice_from(text, n + 1);
    }
    return check_unique(index, path, err);
}

enum status ca_index_read(const char *path, struct ca_index *out, struct err *err)
{
    struct ca_index index = { 0 };
    unsigned char *data = NULL;
    size_t len = 0;
    enum status st = file_read(path, INDEX_BYTES_MAX, true, &data, &len, err);
    if (st != OK)
        return st;
    st = read_lines(slice_of(data, len), path, &index, err);
    free(data);
    if (st == OK)
        *out = index;
    else
        ca_index_done(&index);
    return st;
}

enum status ca_index_write(const char *path, const struct ca_index *index, struct err *err)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    if (f == NULL)
        return fail(err, NO_MEMORY, "certificate index");
    bool good = true;
    for (size_t i = 0; i < index->count && good; i++) {
        json_t *line = entry_to_json(&index->v[i]);
        good = line != NULL && json_dumpf(line, f, JSON_COMPACT | JSON_PRESERVE_ORDER) == 0 && fputc('\n', f) != EOF;
        json_decref(line);
    }
    good = fclose(f) == 0 && good;
    enum status st = good ? file_write(path, slice_of(text, len), 0600, err) : fail(err, NO_MEMORY, "certificate index");
    free(text);
    return st;
}
