#include "proxy/record/keeper.h"

#include "proxy/base/clock.h"
#include "proxy/base/file.h"
#include "proxy/base/log.h"
#include "proxy/record/comment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { SYNC_ONE_BY_ONE = 16, SEALED_KEPT = 8 << 20 };

static void leaf_done(void *to, const struct leaf *leaf, bool confirmed)
{
    struct keeper *k = to;
    struct session *s = NULL;
    (void)confirmed;   /* a refused one is as done as it will ever be; verify shows it */
    HASH_FIND(hh, k->sessions, leaf->session, strlen(leaf->session), s);
    if (s == NULL)
        return;
    s->leaves_waiting -= s->leaves_waiting > 0;
    if (leaf->number > s->logged)
        s->logged = leaf->number;
}

static enum status open_dir(const char *state, const char *name, int *fd_out, struct err *err)
{
    char *path = file_join(state, name);
    enum status st = path ? file_mkdirs(path, 0700, err) : fail(err, NO_MEMORY, "path");
    if (st == OK) {
        *fd_out = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (*fd_out < 0)
            st = fail(err, IO_FAILED, "cannot open the folder '%s': %s", path, strerror(errno));
    }
    free(path);
    return st;
}

enum status keeper_open(struct keeper *k, const char *state, const char *instance, const char *authz_socket, size_t ring_count,
                        struct err *err)
{
    *k = (struct keeper){ .dir_fd = -1, .open_fd = -1, .ring_count = ring_count };
    k->instance = strdup(instance);
    enum status st = open_dir(state, "recordings", &k->dir_fd, err);
    if (st == OK)
        st = open_dir(state, "recordings/open", &k->open_fd, err);
    if (st == OK && (k->instance == NULL || warc_writer_new(&k->context.warc) != OK
                     || (k->context.boxes = session_boxes_new()) == NULL || leaves_new(authz_socket, leaf_done, k, &k->leaves) != OK))
        st = fail(err, NO_MEMORY, "recorder");
    k->context.instance = k->instance;
    k->context.pool = &k->pool;
    if (st != OK)
        keeper_close(k);
    return st;
}

void keeper_seal_with(struct keeper *k, struct age_sealer *sealer)
{
    age_sealer_free(k->context.sealer);
    k->context.sealer = sealer;
}

enum status keeper_touch_with(struct keeper *k, const unsigned char key[32], struct err *err)
{
    enum status st = fingerprint_init(&k->touched, key, err);
    k->context.touched = st == OK ? &k->touched : NULL;
    return st;
}

void keeper_know_ring(struct keeper *k, const struct ring_header *ring)
{
    if (k->context.ring_count < SESSION_RINGS_MAX)
        k->context.ring[k->context.ring_count++] = ring;
}

/* Those from `from` on are not to be. */
static void drop_unsynced(struct keeper *k, size_t from)
{
    while (k->unsynced_count > from)
        json_decref(k->unsynced[--k->unsynced_count].touched);
}

void keeper_close(struct keeper *k)
{
    struct session *s, *next;
    HASH_ITER(hh, k->sessions, s, next) {
        HASH_DEL(k->sessions, s);
        session_free(s);
    }
    record_pool_done(&k->pool);
    leaves_free(k->leaves);
    warc_writer_free(k->context.warc);
    age_sealer_free(k->context.sealer);
    session_boxes_free(k->context.boxes);
    warc_bytes_done(&k->sealed);
    warc_bytes_done(&k->packed);
    warc_bytes_done(&k->comment);
    fingerprint_done(&k->touched);
    drop_unsynced(k, 0);
    free(k->unsynced);
    free(k->instance);
    if (k->dir_fd >= 0)
        close(k->dir_fd);
    if (k->open_fd >= 0)
        close(k->open_fd);
    *k = (struct keeper){ .dir_fd = -1, .open_fd = -1 };
}

/* Leaves. */

static enum status add_unsynced(struct keeper *k, const struct leaf *leaf)
{
    if (k->unsynced_count == k->unsynced_cap) {
        size_t cap = k->unsynced_cap ? k->unsynced_cap * 2 : 64;
        struct leaf *v = realloc(k->unsynced, cap * sizeof *v);
        if (v == NULL)
            return NO_MEMORY;
        k->unsynced = v;
        k->unsynced_cap = cap;
    }
    k->unsynced[k->unsynced_count++] = *leaf;
    return OK;
}

static void hand_leaves_on(struct keeper *k)
{
    size_t n = 0;
    while (n < k->synced_count && leaves_put(k->leaves, &k->unsynced[n]) == OK)
        n++;
    k->unsynced_count -= n;
    k->synced_count -= n;
    if (n > 0 && k->unsynced_count > 0)
        memmove(k->unsynced, k->unsynced + n, k->unsynced_count * sizeof *k->unsynced);
}

/* Opening sessions. */

struct restoring {
    struct keeper *k;
    struct session *s;
    bool begun;                       /* the last member was seen, now they come in order */
    unsigned logged;
};

static void restore_leaf(struct restoring *r, const struct tar_member *m, const json_t *o, int fd)
{
    struct leaf leaf = { .number = m->number, .bytes = m->end - m->start };
    leaf.from_ms = json_integer_value(json_object_get(o, "from_ms"));
    leaf.to_ms = json_integer_value(json_object_get(o, "to_ms"));
    leaf.exchanges = (uint64_t)json_integer_value(json_object_get(o, "exchanges"));
    leaf.ring = (uint64_t)json_integer_value(json_object_get(o, "last_ring"));
    leaf.position = (uint64_t)json_integer_value(json_object_get(o, "position"));
    memcpy(leaf.session, r->s->id, sizeof leaf.session);
    if (session_file_digest(fd, m, leaf.digest, NULL) == OK && add_unsynced(r->k, &leaf) == OK) {
        r->k->unsynced[r->k->unsynced_count - 1].touched = json_incref(json_object_get(o, "touched"));
        r->s->leaves_waiting++;
    }
}

static void restore_member(void *to, const struct tar_member *m, int fd)
{
    struct restoring *r = to;
    if (r->begun && m->number <= r->logged)
        return;
    json_t *o = comment_read(m->comment);
    if (r->begun) {
        restore_leaf(r, m, o, fd);
    } else {
        session_restore(r->s, &r->k->context, o);
        r->logged = r->s->logged;
        r->begun = true;
    }
    json_decref(o);
}

static void close_one_file(struct keeper *k)
{
    struct session *s, *next, *oldest = NULL;
    HASH_ITER(hh, k->sessions, s, next)
        if (s->file.fd >= 0 && !s->file.dirty && (oldest == NULL || s->used_ms < oldest->used_ms))
            oldest = s;
    if (oldest != NULL) {
        session_file_close(&oldest->file);
        k->files_open--;
    }
}

static enum status make_mark(struct keeper *k, struct session *s, struct err *err)
{
    if (s->marked)
        return OK;
    int fd = openat(k->open_fd, s->id, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return fail(err, IO_FAILED, "cannot note that %s is being recorded: %s", s->id, strerror(errno));
    close(fd);
    s->marked = true;
    k->dir_dirty = true;
    return OK;
}

static enum status open_session(struct keeper *k, struct slice id, struct session **out, struct err *err)
{
    struct session *s = session_new(id, k->ring_count);
    if (s == NULL)
        return fail(err, NO_MEMORY, "session");
    if (k->files_open >= KEEPER_FILES_MAX)
        close_one_file(k);
    struct restoring r = { .k = k, .s = s };
    size_t leaves_before = k->unsynced_count;
    enum status st = make_mark(k, s, err);
    if (st == OK)
        st = session_file_open(k->dir_fd, s->id, restore_member, &r, &s->file, err);
    if (st == OK) {
        HASH_ADD(hh, k->sessions, id, id.len, s);
        if (s->hh.tbl == NULL)
            st = fail(err, NO_MEMORY, "session");
    }
    if (st != OK) {
        drop_unsynced(k, leaves_before);
        session_free(s);
        return st;
    }
    s->used_ms = k->now_ms;
    s->index_from = s->file.number + 1;   /* what a forerunner did not index, readers look up in its segments */
    s->file.dirty = true;   /* what a dead process wrote last was not synced; and a new file has a new name */
    k->dir_dirty = true;
    k->files_open++;
    *out = s;
    return OK;
}

static bool id_ok(struct slice id)
{
    for (size_t i = 0; i < id.len; i++) {
        unsigned char c = ascii_lower(id.ptr[i]);
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-'))
            return false;
    }
    return id.len > 0 && id.len <= RING_SESSION_MAX && id.ptr[0] != '-';
}

static enum status get_session(struct keeper *k, struct slice id, struct session **out, struct err *err)
{
    struct session *s = k->newest;
    if (s != NULL && s->marked && slice_eq(slice_str(s->id), id)) {
        *out = s;
        return OK;
    }
    s = NULL;
    if (!id_ok(id))
        return fail(err, CORRUPT, "an entry names no session");
    HASH_FIND(hh, k->sessions, id.ptr, id.len, s);
    if (s == NULL)
        return open_session(k, id, out, err);
    enum status st = make_mark(k, s, err);
    if (st == OK)
        *out = s;
    return st;
}

enum status keeper_recover(struct keeper *k, struct err *err)
{
    int fd = openat(k->open_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        if (fd >= 0)
            close(fd);
        return fail(err, IO_FAILED, "cannot read the folder of open recordings: %s", strerror(errno));
    }
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        struct session *s;
        struct err why = { "" };
        if (id_ok(slice_str(e->d_name)) && get_session(k, slice_str(e->d_name), &s, &why) != OK)
            log_error("record.not-recovered", "session", e->d_name, "why", why.text);
    }
    closedir(dir);
    return OK;
}

/* Taking and writing. */

enum status keeper_take(struct keeper *k, const struct ring_in *in, size_t ring, const struct ring_entry *e, struct session **out,
                        struct err *err)
{
    struct session *s;
    enum status st = get_session(k, e->session, &s, err);
    if (st == OK && s->sealed)   /* its last segment could not be written yet */
        st = keeper_flush(k, s, err);
    if (st != OK)
        return st;
    s->used_ms = k->now_ms;
    st = session_take(s, &k->context, in, ring, e);
    k->newest = *out = s;
    if (st == NO_MEMORY)
        return fail(err, st, "an exchange");
    if (st != OK)
        return fail(err, CORRUPT, "an entry of session %s makes no sense", s->id);
    return OK;
}

static void restore_nothing(void *to, const struct tar_member *m, int fd)
{
    (void)to;
    (void)m;
    (void)fd;
}

/* What the session remembers stays; if something else changed the file meanwhile, what follows goes behind its last whole segment. */
static enum status reopen(struct keeper *k, struct session *s, struct err *err)
{
    if (k->files_open >= KEEPER_FILES_MAX)
        close_one_file(k);
    enum status st = session_file_reopen(k->dir_fd, s->id, &s->file, err);
    if (st == CORRUPT) {
        log_error("record.altered", "session", s->id, "why", err->text, "next", "run countersign verify");
        st = session_file_open(k->dir_fd, s->id, restore_nothing, NULL, &s->file, err);
    }
    k->files_open += st == OK;
    return st;
}

/* Into memory that all sessions share: what could not be written is sealed anew, under a new key, when it is tried again. */
static enum status seal_content(struct keeper *k, struct slice clear, struct slice *out, struct err *err)
{
    *out = clear;
    if (k->context.sealer == NULL)
        return OK;
    k->sealed.len = 0;
    if (k->sealed.cap > SEALED_KEPT)
        warc_bytes_done(&k->sealed);
    enum status st = age_seal(k->context.sealer, clear, &k->sealed, err);
    *out = slice_of(k->sealed.data, k->sealed.len);
    return st;
}

/* A member, and the leaf that it will get. index: what it covers; NULL: it is a segment. */
static enum status append(struct keeper *k, struct session *s, struct slice clear, const struct index_cover *index, struct err *err)
{
    struct session_segment seg = { .time_ms = s->to_ms, .kind = index ? TAR_INDEX : TAR_RECORDS, .sealed = k->context.sealer != NULL };
    enum status st = seal_content(k, clear, &seg.content, err);
    if (st == OK && session_comment(s, &k->context, seg.content, index, &k->comment) != OK)
        st = fail(err, NO_MEMORY, "the header of a segment");
    if (st != OK)
        return st;
    seg.comment = slice_of(k->comment.data, k->comment.len);
    struct leaf leaf = { .from_ms = s->from_ms, .to_ms = s->to_ms, .exchanges = s->begun, .ring = s->last_ring_id48,
                         .position = s->last_position };
    if (s->touched_count > 0 && index == NULL && (leaf.touched = session_touched_json(s)) == NULL)
        st = NO_MEMORY;
    if (st == OK)
        st = add_unsynced(k, &leaf);   /* room first: a segment in the file must get its leaf */
    if (st != OK) {
        json_decref(leaf.touched);
        return fail(err, st, "leaf");
    }
    st = session_file_append(&s->file, &seg, err);
    if (st != OK) {
        drop_unsynced(k, k->unsynced_count - 1);
        return st;
    }
    struct leaf *l = &k->unsynced[k->unsynced_count - 1];
    memcpy(l->session, s->id, sizeof l->session);
    l->number = s->file.number;
    l->bytes = seg.bytes;
    memcpy(l->digest, seg.digest, sizeof l->digest);
    s->leaves_waiting++;
    return OK;
}

/* All that ended is in the file: its lines follow. */
static enum status append_index(struct keeper *k, struct session *s, struct err *err)
{
    struct index_cover cover = session_index_cover(s);
    enum status st = s->file.fd < 0 ? reopen(k, s, err) : OK;
    k->packed.len = 0;
    if (st == OK && session_index_pack(s, &k->context, &k->packed) != OK)
        st = fail(err, NO_MEMORY, "an index");
    if (st == OK)
        st = append(k, s, slice_of(k->packed.data, k->packed.len), &cover, err);
    if (st == OK)
        session_index_written(s);
    return st;
}

static bool may_index(const struct keeper *k, const struct session *s)
{
    return s->index.len > 0 && !s->sealed && !session_has_news(s) && leaves_waiting(k->leaves) < LEAVES_MAX;
}

enum status keeper_index_all(struct keeper *k, struct err *err)
{
    enum status st = OK;
    for (struct session *s = k->sessions; s != NULL && st == OK; s = s->hh.next)
        if (may_index(k, s))
            st = append_index(k, s, err);
    return st;
}

enum status keeper_flush(struct keeper *k, struct session *s, struct err *err)
{
    enum status st = OK;
    if (!session_has_news(s))
        return OK;
    if (leaves_waiting(k->leaves) == LEAVES_MAX)
        return fail(err, FULL, "authz is away: %d segments wait for their place in the log", LEAVES_MAX);
    if (s->file.fd < 0)
        st = reopen(k, s, err);
    if (st == OK && !s->sealed && session_seal(s, &k->context) != OK)
        st = fail(err, NO_MEMORY, "a segment");
    if (st == OK)
        st = append(k, s, slice_of(s->out.data, s->out.len), NULL, err);
    if (st != OK)
        return st;
    session_written(s);
    for (size_t i = 0; i < k->ring_count; i++)
        s->unwritten[i] = UINT64_MAX;
    return s->index.len >= INDEX_BYTES && may_index(k, s) ? append_index(k, s, err) : OK;
}

enum status keeper_flush_before(struct keeper *k, size_t ring, uint64_t position, struct err *err)
{
    struct session *s, *next;
    HASH_ITER(hh, k->sessions, s, next) {
        if (ring != SIZE_MAX && s->unwritten[ring] >= position)
            continue;
        enum status st = keeper_flush(k, s, err);
        if (st != OK)
            return st;
    }
    return OK;
}

struct session *keeper_oldest(const struct keeper *k, size_t ring, uint64_t *position_out)
{
    struct session *oldest = NULL;
    for (struct session *s = k->sessions; s != NULL; s = s->hh.next)
        if (s->unwritten[ring] != UINT64_MAX && (oldest == NULL || s->unwritten[ring] < oldest->unwritten[ring]))
            oldest = s;
    if (oldest != NULL)
        *position_out = oldest->unwritten[ring];
    return oldest;
}

bool keeper_dirty(const struct keeper *k)
{
    for (const struct session *s = k->sessions; s != NULL; s = s->hh.next)
        if (s->file.dirty)
            return true;
    return k->dir_dirty || k->unsynced_count > 0;
}

bool keeper_log_full(const struct keeper *k)
{
    return leaves_waiting(k->leaves) == LEAVES_MAX && k->synced_count > 0;
}

static enum status sync_files(struct keeper *k, struct err *err)
{
    size_t dirty = 0;
    for (struct session *s = k->sessions; s != NULL; s = s->hh.next)
        dirty += s->file.dirty;
    if (dirty > SYNC_ONE_BY_ONE)
        return syncfs(k->dir_fd) == 0 ? OK : fail(err, IO_FAILED, "cannot sync the recordings: %s", strerror(errno));
    for (struct session *s = k->sessions; s != NULL; s = s->hh.next) {
        if (!s->file.dirty)
            continue;
        if (fdatasync(s->file.fd) != 0)
            return fail(err, IO_FAILED, "cannot sync recording %s: %s", s->id, strerror(errno));
        /* Nobody reads it soon: its pages are used again for what is written next, instead of driving everything else out of memory. */
        (void)posix_fadvise(s->file.fd, 0, (off_t)s->file.end, POSIX_FADV_DONTNEED);
    }
    return OK;
}

enum status keeper_sync(struct keeper *k, struct err *err)
{
    enum status st = sync_files(k, err);
    if (st == OK && k->dir_dirty && (fsync(k->dir_fd) != 0 || fsync(k->open_fd) != 0))
        st = fail(err, IO_FAILED, "cannot sync the folder of recordings: %s", strerror(errno));
    if (st != OK)
        return st;
    for (struct session *s = k->sessions; s != NULL; s = s->hh.next)
        s->file.dirty = false;
    k->dir_dirty = false;
    k->synced_count = k->unsynced_count;
    hand_leaves_on(k);
    return OK;
}

void keeper_log(struct keeper *k)
{
    hand_leaves_on(k);
    leaves_work(k->leaves, k->now_ms);
}

enum status keeper_end_dead(struct keeper *k, keeper_is_dead *is_dead, void *to, struct err *err)
{
    struct session *s, *next_s;
    HASH_ITER(hh, k->sessions, s, next_s) {
        for (struct record_exchange *x = s->exchanges, *next; x != NULL; x = next) {
            next = x->next;
            if (!is_dead(to, x))
                continue;
            enum status st = s->sealed ? keeper_flush(k, s, err) : OK;
            if (st != OK)
                return st;
            int64_t now = clock_wall_ms();
            if (!session_has_news(s))
                s->from_ms = s->to_ms = now;
            if (session_end_exchange(s, &k->context, x, "process-died", now) != OK)
                return fail(err, NO_MEMORY, "the end of an exchange");
            s->to_ms = now;
            s->used_ms = k->now_ms;
        }
    }
    return OK;
}

void keeper_tidy(struct keeper *k)
{
    struct session *s, *next;
    HASH_ITER(hh, k->sessions, s, next) {
        if (k->now_ms - s->used_ms < KEEPER_IDLE_MS || session_has_news(s) || s->file.dirty)
            continue;
        if (s->index.len > 0) {       /* forgotten when that is on the disk; and while it can't be, later */
            if (may_index(k, s))
                (void)!append_index(k, s, NULL);
            continue;
        }
        if (s->file.fd >= 0) {
            session_file_close(&s->file);
            k->files_open--;
        }
        if (s->exchanges != NULL || s->leaves_waiting > 0)
            continue;
        (void)unlinkat(k->open_fd, s->id, 0);
        HASH_DEL(k->sessions, s);
        k->newest = NULL;
        session_free(s);
    }
}
