#include "proxy/exchange/blob.h"

#include "proxy/http/target.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static json_t *string(struct slice s)
{
    json_t *plain = json_stringn((const char *)(s.ptr ? s.ptr : (const unsigned char *)""), s.len);
    return plain;
}

static json_t *head_of(const struct message *m, size_t body_len)
{
    json_t *fields = json_array();
    for (size_t i = 0; fields != NULL && i < m->fields.count; i++) {
        json_t *pair = json_pack("[o,o]", string(m->fields.v[i].name), string(m->fields.v[i].value));
        if (pair == NULL || json_array_append_new(fields, pair) != 0) {
            json_decref(fields);
            return NULL;
        }
    }
    return json_pack("{s:o,s:o,s:o,s:o,s:I}", "method", string(m->method), "authority", string(m->authority), "target",
                     string(m->target), "fields", fields, "body_len", (json_int_t)body_len);
}

static bool write_all(int fd, const void *data, size_t len)
{
    for (const char *p = data; len > 0;) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

enum status blob_make(const struct message *m, struct slice body, int *fd_out, struct err *err)
{
    json_t *head = head_of(m, body.len);
    char *text = head ? json_dumps(head, JSON_COMPACT) : NULL;
    json_decref(head);
    if (text == NULL)
        return fail(err, BAD_INPUT, "a field of the request is not UTF-8, so nobody could be shown it");
    enum status st = OK;
    size_t len = strlen(text);
    unsigned char prefix[4] = { (unsigned char)(len >> 24), (unsigned char)(len >> 16), (unsigned char)(len >> 8), (unsigned char)len };
    int fd = memfd_create("countersign-held", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || !write_all(fd, prefix, 4) || !write_all(fd, text, len) || !write_all(fd, body.ptr, body.len) ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0) {
        st = fail(err, IO_FAILED, "memfd: %s", strerror(errno));
        if (fd >= 0)
            close(fd);
    } else {
        *fd_out = fd;
    }
    free(text);
    return st;
}

static struct slice take(const json_t *head, const char *name, struct arena *arena)
{
    json_t *s = json_object_get(head, name);
    return json_is_string(s) ? arena_copy(arena, slice_of(json_string_value(s), json_string_length(s))) : (struct slice){ 0 };
}

static enum status read_head(struct slice text, struct message *m, struct arena *arena, size_t body_len, struct err *err)
{
    enum status st = OK;
    struct refusal why = { 0 };
    struct message got = { .version = m->version, .framing = body_len ? BODY_LENGTH : BODY_NONE, .has_length = body_len > 0,
                           .content_length = body_len, .keep_alive = m->keep_alive, .scheme = m->scheme };
    json_t *head = json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
    json_t *fields = json_object_get(head, "fields"), *pair;
    size_t i;
    got.method = take(head, "method", arena);
    got.authority = take(head, "authority", arena);
    got.raw_target = take(head, "target", arena);
    if (got.method.ptr == NULL || got.authority.ptr == NULL || got.raw_target.ptr == NULL || !json_is_array(fields) ||
        json_integer_value(json_object_get(head, "body_len")) != (json_int_t)body_len) {
        st = fail(err, BAD_INPUT, "the held request's head is malformed");
        goto done;
    }
    json_array_foreach(fields, i, pair) {
        json_t *name = json_array_get(pair, 0), *value = json_array_get(pair, 1);
        struct slice n = arena_copy(arena, slice_of(json_string_value(name), json_string_length(name)));
        struct slice v = arena_copy(arena, slice_of(json_string_value(value), json_string_length(value)));
        if (!json_is_string(name) || !json_is_string(value) || n.ptr == NULL || v.ptr == NULL ||
            fields_add(&got.fields, arena, 256, n, v) != OK) {
            st = fail(err, BAD_INPUT, "a field of the held request is malformed");
            goto done;
        }
    }
    /* It was in normal form when it was held; with every tolerance it must still be that. */
    if (target_normalise(&got, ~0u, arena, &why) != PARSE_OK || !slice_eq(got.target, got.raw_target)) {
        st = fail(err, BAD_INPUT, "the held request's target is not in normal form");
        goto done;
    }
    *m = got;
done:
    json_decref(head);
    return st;
}

enum status blob_read(int fd, struct message *m, struct bbuf *body, size_t max_body, struct arena *arena, struct err *err)
{
    struct stat sb;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW)) != (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) ||
        fstat(fd, &sb) != 0 || sb.st_size < 4 || (uint64_t)sb.st_size > 4 + (uint64_t)BLOB_HEAD_MAX + max_body)
        return fail(err, BAD_INPUT, "the held request's file is not sealed, or of a wrong size");
    size_t size = (size_t)sb.st_size;
    const unsigned char *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return fail(err, IO_FAILED, "mmap: %s", strerror(errno));
    size_t head = (size_t)map[0] << 24 | (size_t)map[1] << 16 | (size_t)map[2] << 8 | map[3];
    enum status st;
    if (head > size - 4 || head > BLOB_HEAD_MAX || size - 4 - head > max_body)
        st = fail(err, BAD_INPUT, "the held request's head length is wrong");
    else
        st = read_head(slice_of(map + 4, head), m, arena, size - 4 - head, err);
    if (st == OK) {
        bbuf_init(body, max_body + 1);
        st = bbuf_put(body, slice_of(map + 4 + head, size - 4 - head));
    }
    munmap((void *)(uintptr_t)map, size);
    return st;
}
