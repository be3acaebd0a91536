#include "authz/approvals/audit.h"

#include "authz/approvals/internal.h"
#include "proxy/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

struct audit {
    struct service s;                 /* its store and log: what reconcile needs */
    char folder[64];                  /* our private copy */
    struct tree tree;
};

/* ---- the private copy: SQLite writes beside the file that it reads ---- */

static enum status copy_bytes(int from, int to, const char *name, struct err *err)
{
    char buf[64 * 1024];
    ssize_t n;
    while ((n = read(from, buf, sizeof buf)) > 0)
        for (ssize_t at = 0, w; at < n; at += w)
            if ((w = write(to, buf + at, (size_t)(n - at))) <= 0)
                return fail(err, IO_FAILED, "cannot copy '%s': %s", name, strerror(errno));
    return n == 0 ? OK : fail(err, IO_FAILED, "cannot read '%s': %s", name, strerror(errno));
}

static enum status copy_file(const char *folder, const char *name, const char *to_folder, bool optional, struct err *err)
{
    char *from_path = file_join(folder, name), *to_path = file_join(to_folder, name);
    int from = from_path ? open(from_path, O_RDONLY | O_CLOEXEC) : -1, why = errno;
    int to = from >= 0 && to_path ? open(to_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
    enum status st = OK;
    if (from_path == NULL || to_path == NULL)
        st = fail(err, NO_MEMORY, "copy");
    else if (from < 0)
        st = optional && why == ENOENT ? OK : fail(err, why == ENOENT ? NOT_FOUND : IO_FAILED, "cannot read '%s': %s", from_path, strerror(why));
    else if (to < 0)
        st = fail(err, IO_FAILED, "cannot write '%s': %s", to_path, strerror(errno));
    else
        st = copy_bytes(from, to, name, err);
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
    free(from_path);
    free(to_path);
    return st;
}

static enum status make_copy(struct audit *a, const char *folder, struct err *err)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(a->folder, sizeof a->folder, "%s/countersign-XXXXXX", tmp != NULL && tmp[0] == '/' && strlen(tmp) < 40 ? tmp : "/tmp");
    if (mkdtemp(a->folder) == NULL) {
        enum status st = fail(err, IO_FAILED, "cannot make a folder '%s': %s", a->folder, strerror(errno));
        a->folder[0] = 0;
        return st;
    }
    enum status st = copy_file(folder, "authz.db", a->folder, false, err);
    return st == OK ? copy_file(folder, "authz.db-wal", a->folder, true, err) : st;
}

static void drop_copy(struct audit *a)
{
    static const char *const names[] = { "authz.db", "authz.db-wal", "authz.db-shm" };
    for (size_t i = 0; i < sizeof names / sizeof *names && a->folder[0] != 0; i++) {
        char *path = file_join(a->folder, names[i]);
        if (path != NULL)
            (void)unlink(path);
        free(path);
    }
    if (a->folder[0] != 0)
        (void)rmdir(a->folder);
}

/* ---- looking ---- */

enum status audit_open(const char *folder, const char *instance, const unsigned char log_key[32], struct audit **out, struct err *err)
{
    struct audit *a = calloc(1, sizeof *a);
    if (a == NULL)
        return fail(err, NO_MEMORY, "audit");
    enum status st = make_copy(a, folder, err);
    char *db = st == OK ? file_join(a->folder, "authz.db") : NULL;
    if (st == OK)
        st = db != NULL ? store_open(db, &a->s.store, err) : fail(err, NO_MEMORY, "audit");
    if (st == OK)
        a->s.beside = reconcile_beside(db);
    free(db);
    if (st == OK)
        st = log_open_public(a->s.store, instance, log_key, &a->s.log, err);
    if (st == OK)
        st = reconcile(&a->s, err);
    if (st == OK)
        *out = a;
    else
        audit_close(a);
    return st;
}

void audit_close(struct audit *a)
{
    if (a == NULL)
        return;
    log_close(a->s.log);
    reconcile_beside_stop(a->s.beside);
    store_close(a->s.store);
    drop_copy(a);
    free(a);
}

uint64_t audit_leaves(const struct audit *a)
{
    return log_size(a->s.log);
}

uint64_t audit_erased_leaves(const struct audit *a)
{
    return log_all_erased(a->s.log)->count;
}

/* The leaves were proved when the log was opened; here their tree is grown once more, as far as the checkpoint. */
static enum status grow(void *arg, json_t *row, struct err *err)
{
    struct audit *a = arg;
    unsigned char digest[32];
    size_t len = 0;
    if (b64url_decode(slice_str(str(row, "digest")), digest, sizeof digest, &len) != OK || len != sizeof digest
        || chain_append(&a->tree, str(row, "type"), num(row, "time_ms"), digest, NULL, NULL) != OK)
        return fail(err, CORRUPT, "leaf %llu is broken", (unsigned long long)a->tree.size + 1);
    return OK;
}

enum status audit_meets(struct audit *a, const struct chain_head *checkpoint, struct err *err)
{
    if (checkpoint->seq > log_size(a->s.log))
        return fail(err, CORRUPT, "the log was cut: a checkpoint seen elsewhere counts %llu leaves, %llu are here", (unsigned long long)checkpoint->seq,
                    (unsigned long long)log_size(a->s.log));
    a->tree = (struct tree){ 0 };
    enum status st = store_each(a->s.store, grow, a, err, "SELECT type, time_ms, digest FROM leaf WHERE seq <= $1 ORDER BY seq", "i",
                                (int64_t)checkpoint->seq);
    struct chain_head found = chain_head_of(&a->tree);
    if (st == OK && (found.seq != checkpoint->seq || memcmp(found.hash, checkpoint->hash, sizeof found.hash) != 0))
        st = fail(err, CORRUPT, "the log is not the one that was seen before: its first %llu leaves do not lead to the checkpoint",
                  (unsigned long long)checkpoint->seq);
    return st;
}

bool audit_erased(struct audit *a, const char *session)
{
    json_t *row = NULL, *leaf = NULL;
    struct err err;
    bool yes = store_row(a->s.store, &row, &err, "SELECT erased FROM session WHERE session = $1 AND erased > 0", "s", session) == OK
               && log_leaf_shown(a->s.log, (uint64_t)num(row, "erased"), &leaf, &err) == OK && strcmp(str(leaf, "type"), "session.erased") == 0
               && strcmp(str(json_object_get(leaf, "content"), "session"), session) == 0;
    json_decref(row);
    json_decref(leaf);
    return yes;
}

struct each {
    audit_segment_call *call;
    void *to;
};

static enum status take_segment(void *arg, json_t *row, struct err *err)
{
    struct each *e = arg;
    return e->call(e->to, row, err);
}

enum status audit_segments(struct audit *a, audit_segment_call *call, void *to, struct err *err)
{
    struct each e = { call, to };
    return store_each(a->s.store, take_segment, &e, err, "SELECT session, number, digest, bytes FROM segment ORDER BY session, number", "");
}

struct wanted {
    const char *session;
    json_t *leaves;
};

static enum status take_leaf(void *arg, json_t *row, struct err *err)
{
    struct wanted *w = arg;
    json_t *leaf = leaf_view(row, leaf_is_about(row, w->session));
    return leaf != NULL && json_array_append_new(w->leaves, leaf) == 0 ? OK : fail(err, NO_MEMORY, "log");
}

enum status audit_log(struct audit *a, const char *session, json_t **out, struct err *err)
{
    struct wanted w = { session, json_array() };
    json_t *head = NULL;
    enum status st = w.leaves != NULL ? OK : fail(err, NO_MEMORY, "log");
    if (st == OK)
        st = store_each(a->s.store, take_leaf, &w, err, "SELECT * FROM leaf ORDER BY seq", "");
    if (st == OK)
        st = store_row(a->s.store, &head, err, "SELECT note FROM head WHERE id = 1", "");
    if (st == OK && (*out = json_pack("{s:O, s:s, s:s}", "leaves", w.leaves, "head", str(head, "note"), "session", session)) == NULL)
        st = fail(err, NO_MEMORY, "log");
    json_decref(head);
    json_decref(w.leaves);
    return st;
}
