#include "proxy/exchange/held.h"

#include "authz/blob.h"
#include "proxy/http/target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE, FIELDS_MAX = 256 };

static json_t *fields_json(const struct fields *f)
{
    json_t *list = json_array();
    for (size_t i = 0; list != NULL && i < f->count; i++) {
        const struct field *e = &f->v[i];
        json_t *pair = json_pack("[s%,s%]", e->name.ptr, e->name.len, e->value.len ? e->value.ptr : (const unsigned char *)"", e->value.len);
        if (pair == NULL || json_array_append_new(list, pair) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static enum status seal(struct slice bytes, int *fd_out, struct err *err)
{
    int fd = memfd_create("countersign-held", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    while (fd >= 0 && bytes.len > 0) {
        ssize_t n = write(fd, bytes.ptr, bytes.len);
        if (n < 0 && errno != EINTR)
            break;
        if (n > 0)
            bytes = slice_from(bytes, (size_t)n);
    }
    if (fd < 0 || bytes.len > 0 || fcntl(fd, F_ADD_SEALS, SEALS | F_SEAL_SEAL) != 0) {
        enum status st = fail(err, IO_FAILED, "memfd: %s", strerror(errno));
        if (fd >= 0)
            close(fd);
        return st;
    }
    *fd_out = fd;
    return OK;
}

enum status held_make(const struct message *m, struct slice body, int *fd_out, struct held_digests *digests, struct err *err)
{
    unsigned char *bytes = NULL;
    size_t len = 0;
    struct blob b;
    json_t *fields = fields_json(&m->fields);
    if (fields == NULL)
        return fail(err, BAD_INPUT, "a field of the request is not UTF-8, so nobody could be shown it");
    enum status st = blob_write(m->method, m->authority, m->target, fields, body, &bytes, &len, err);
    json_decref(fields);
    if (st != OK)
        return st;
    st = blob_parse(slice_of(bytes, len), &b, err);
    if (st == OK) {
        st = blob_digest(&b, digests->request, digests->body, err);
        blob_done(&b);
    }
    if (st == OK)
        st = seal(slice_of(bytes, len), fd_out, err);
    free(bytes);
    return st;
}

static enum status to_message(const struct blob *b, struct message *m, struct arena *arena, struct err *err)
{
    struct refusal why = { 0 };
    struct message got = { .version = m->version, .framing = b->body.len ? BODY_LENGTH : BODY_NONE, .has_length = b->body.len > 0,
                           .content_length = b->body.len, .keep_alive = m->keep_alive, .scheme = m->scheme };
    json_t *pair;
    size_t i;
    got.method = arena_copy(arena, b->method);
    got.authority = arena_copy(arena, b->authority);
    got.raw_target = arena_copy(arena, b->target);
    json_array_foreach((json_t *)(uintptr_t)b->fields, i, pair) {
        json_t *name = json_array_get(pair, 0), *value = json_array_get(pair, 1);
        struct slice n = arena_copy(arena, slice_of(json_string_value(name), json_string_length(name)));
        struct slice v = arena_copy(arena, slice_of(json_string_value(value), json_string_length(value)));
        if (n.ptr == NULL || v.ptr == NULL || fields_add(&got.fields, arena, FIELDS_MAX, n, v) != OK)
            return fail(err, BAD_INPUT, "too many fields");
    }
    /* It was in normal form when it was held; with every tolerance it must still be that. */
    if (got.method.ptr == NULL || got.authority.ptr == NULL || got.raw_target.ptr == NULL ||
        target_normalise(&got, ~0u, arena, &why) != PARSE_OK || !slice_eq(got.target, got.raw_target))
        return fail(err, BAD_INPUT, "the held request's target is not in normal form");
    *m = got;
    return OK;
}

enum status held_read(int fd, struct message *m, struct bbuf *body, size_t max_body, struct arena *arena, struct err *err)
{
    struct stat sb;
    struct blob b;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &sb) != 0 || sb.st_size < 4 ||
        (uint64_t)sb.st_size > 4 + (uint64_t)BLOB_HEAD_MAX + max_body)
        return fail(err, BAD_INPUT, "the held request's file is not sealed, or of a wrong size");
    size_t size = (size_t)sb.st_size;
    void *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return fail(err, IO_FAILED, "mmap: %s", strerror(errno));
    enum status st = blob_parse(slice_of(map, size), &b, err);
    if (st == OK) {
        st = to_message(&b, m, arena, err);
        bbuf_init(body, max_body + 1);
        if (st == OK)
            st = bbuf_put(body, b.body);
        blob_done(&b);
    }
    munmap(map, size);
    return st;
}
