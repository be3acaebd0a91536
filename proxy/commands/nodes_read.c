/* What several nodes have of a session, as one: its exchanges, its decisions, and the facts that otherwise the gateway tells. */
#include "proxy/commands/nodes.h"

#include "proxy/base/file.h"
#include "proxy/commands/listing_fetch.h"
#include "proxy/commands/words.h"
#include "proxy/record/comment.h"
#include "proxy/record/tar.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- which sessions there are: by the headers, which are in the clear ---- */

static void keep_extreme(json_t *o, const char *key, int64_t value, bool least)
{
    const json_t *v = json_object_get(o, key);
    if (v == NULL || (least ? value < json_integer_value(v) : value > json_integer_value(v)))
        json_object_set_new(o, key, json_integer(value));
}

static void add_number(json_t *o, const char *key, int64_t n)
{
    json_object_set_new(o, key, json_integer(json_number(o, key) + n));
}

static void take_member(json_t *o, const json_t *comment, bool records)
{
    static const char *const same[] = { "person", "identity", "tool", "host" };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        if (json_text(o, same[i])[0] == 0 && json_text(comment, same[i])[0] != 0)
            json_object_set_new(o, same[i], json_string(json_text(comment, same[i])));
    if (!records)
        return;
    add_number(o, "exchanges", json_number(comment, "exchanges"));
    add_number(o, "segments", 1);
    if (json_number(comment, "from_ms") > 0)
        keep_extreme(o, "started_ms", json_number(comment, "from_ms"), true);
    keep_extreme(o, "ended_ms", json_number(comment, "to_ms"), false);
}

/* The entry of a session, made when it is the first time that it is met; and of this node in it. */
static json_t *entry_of(json_t *all, const char *session, const char *node)
{
    json_t *o = json_object_get(all, session), *nodes;
    if (o == NULL) {
        o = json_pack("{s:s, s:s, s:[], s:i, s:i}", "session", session, "id", session, "nodes", "exchanges", 0, "segments", 0);
        if (o == NULL || json_object_set_new(all, session, o) != 0)
            return NULL;
    }
    nodes = json_object_get(o, "nodes");
    const char *last = json_string_value(json_array_get(nodes, json_array_size(nodes) ? json_array_size(nodes) - 1 : 0));
    if (last == NULL || strcmp(last, node) != 0)
        json_array_append_new(nodes, json_string(node));
    return o;
}

/* A file that is none of ours, or is damaged from somewhere on, is told by `verify`; here it counts as far as it can be read. */
static enum status take_file(json_t *all, const char *path, const char *node, struct err *err)
{
    struct stat sb;
    json_t *o = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    enum status st = OK;
    if (fd < 0 || fstat(fd, &sb) != 0 || !S_ISREG(sb.st_mode)) {
        if (fd >= 0)
            close(fd);
        return OK;
    }
    for (uint64_t at = 0; st == OK;) {
        struct tar_member m = { 0 };
        struct err why = { "" };
        if (tar_read_member(fd, at, (uint64_t)sb.st_size, &m, &why) != OK)
            break;
        json_t *comment = comment_read(m.comment);
        const char *session = json_text(comment, "session");
        if (o == NULL && id_is_plain(session) && (o = entry_of(all, session, node)) == NULL)
            st = fail(err, NO_MEMORY, "sessions");
        if (o != NULL)
            take_member(o, comment, m.kind == TAR_RECORDS);
        json_decref(comment);
        free(m.comment);
        at = m.end;
    }
    close(fd);
    return st;
}

static enum status take_folder(json_t *all, const struct node *n, struct err *err)
{
    char *folder = file_join(n->folder, n->kept ? "recording.tar" : "recordings");
    enum status st = folder != NULL ? OK : fail(err, NO_MEMORY, "path");
    DIR *d = st == OK && !n->kept ? opendir(folder) : NULL;
    if (st == OK && n->kept)
        st = take_file(all, folder, n->name, err);
    for (struct dirent *e; d != NULL && st == OK && (e = readdir(d)) != NULL;) {
        size_t len = strlen(e->d_name);
        char *path = len > 4 && strcmp(e->d_name + len - 4, ".tar") == 0 ? file_join(folder, e->d_name) : NULL;
        if (path != NULL)
            st = take_file(all, path, n->name, err);
        free(path);
    }
    if (d != NULL)
        closedir(d);
    free(folder);
    return st;
}

static int newest_first(const void *a, const void *b)
{
    const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
    int64_t m = json_number(x, "started_ms"), n = json_number(y, "started_ms");
    return m != n ? (m > n ? -1 : 1) : strcmp(json_text(x, "id"), json_text(y, "id"));
}

enum status nodes_sessions(const struct nodes *n, json_t **out, struct err *err)
{
    json_t *all = json_object(), *list = json_array(), *o, **v = NULL;
    const char *name;
    size_t count = 0;
    enum status st = all != NULL && list != NULL ? OK : fail(err, NO_MEMORY, "sessions");
    for (size_t i = 0; i < n->count && st == OK; i++)
        st = take_folder(all, &n->v[i], err);
    if (st == OK && (v = calloc(json_object_size(all) + 1, sizeof *v)) == NULL)
        st = fail(err, NO_MEMORY, "sessions");
    if (st == OK)
        json_object_foreach(all, name, o)
            v[count++] = o;
    if (count > 0)
        qsort(v, count, sizeof *v, newest_first);
    for (size_t i = 0; i < count && st == OK; i++)
        if (json_array_append(list, v[i]) != 0)
            st = fail(err, NO_MEMORY, "sessions");
    free(v);
    json_decref(all);
    if (st == OK)
        *out = list;
    else
        json_decref(list);
    return st;
}

/* ---- decisions ---- */

static int by_time(const void *a, const void *b)
{
    const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
    int64_t m = json_number(x, "time_ms"), n = json_number(y, "time_ms");
    return m != n ? (m < n ? -1 : 1) : json_number(x, "seq") < json_number(y, "seq") ? -1 : 1;
}

/* Each leaf with its node. One that is in two logs, digest and all, since one began as a copy of the other, is shown once. */
static enum status gather_leaves(const struct node *n, json_t *seen, json_t *to)
{
    size_t i;
    json_t *leaf;
    json_array_foreach(evidence_leaves(&n->e), i, leaf) {
        const char *digest = json_text(leaf, "digest");
        if (json_object_get(seen, digest) != NULL)
            continue;
        json_t *copy = json_copy(leaf);
        if (copy == NULL || json_object_set_new(copy, "node", json_string(n->name)) != 0 || json_array_append_new(to, copy) != 0
            || json_object_set_new(seen, digest, json_true()) != 0)
            return NO_MEMORY;
    }
    return OK;
}

static enum status merge_leaves(const struct nodes *n, json_t **out, struct err *err)
{
    json_t *seen = json_object(), *all = json_array(), *sorted = json_array(), *leaf, **v = NULL;
    size_t i, count = 0;
    enum status st = seen && all && sorted ? OK : NO_MEMORY;
    for (i = 0; i < n->count && st == OK; i++)
        if (node_knows(&n->v[i]))
            st = gather_leaves(&n->v[i], seen, all);
    if (st == OK && (v = calloc(json_array_size(all) + 1, sizeof *v)) == NULL)
        st = NO_MEMORY;
    if (st == OK)
        json_array_foreach(all, i, leaf)
            v[count++] = leaf;
    if (count > 0)
        qsort(v, count, sizeof *v, by_time);
    for (i = 0; i < count && st == OK; i++)
        st = json_array_append(sorted, v[i]) == 0 ? OK : NO_MEMORY;
    free(v);
    json_decref(seen);
    json_decref(all);
    if (st == OK)
        *out = sorted;
    else
        json_decref(sorted);
    return st == OK ? OK : fail(err, st, "log");
}

/* ---- facts: what GET /api/v1/sessions/ID would say, as far as recordings and leaves tell it ---- */

static void take_fact(json_t *s, const char *type, const json_t *leaf)
{
    const json_t *content = json_object_get(leaf, "content");
    static const struct { const char *type, *basis; } bases[] = {
        { "break-glass.used", "break-glass" }, { "auto.approved", "auto" }, { "external.admitted", "external" },
    };
    for (size_t i = 0; i < sizeof bases / sizeof *bases; i++)
        if (strcmp(type, bases[i].type) == 0)
            json_object_set_new(s, "basis", json_string(bases[i].basis));
    if (strcmp(type, "request.created") == 0 && json_text(s, "reason")[0] == 0)
        json_object_set_new(s, "reason", json_string(json_text(content, "reason")));
    if (json_text(content, "issuer")[0] != 0)
        json_object_set_new(s, "issuer", json_string(json_text(content, "issuer")));
    if (strcmp(type, "grant.issued") == 0 && json_is_array(json_object_get(content, "approved_by")))
        json_object_set(s, "approved_by", json_object_get(content, "approved_by"));
    if (strcmp(type, "grant.ended") == 0)
        json_object_set_new(s, "ended_ms", json_integer(json_number(leaf, "time_ms")));
}

static enum status make_info(const struct nodes *n, const char *session, json_t **out, struct err *err)
{
    json_t *all = json_object(), *leaves = NULL, *leaf, *facts = json_incref(entry_of(all, session, ""));
    size_t i;
    enum status st = facts != NULL ? OK : fail(err, NO_MEMORY, "session");
    for (i = 0; i < n->count && st == OK; i++)
        if (n->v[i].e.recording != NULL)
            st = take_file(all, n->v[i].e.recording, n->v[i].name, err);
    if (st == OK)
        st = merge_leaves(n, &leaves, err);
    if (st == OK && json_object_set_new(facts, "basis", json_string("approved")) != 0)
        st = fail(err, NO_MEMORY, "session");
    json_array_foreach(leaves, i, leaf)
        take_fact(facts, json_text(leaf, "type"), leaf);
    json_object_del(facts, "nodes");
    if (st == OK && (*out = json_pack("{s:O, s:O}", "session", facts, "leaves", leaves)) == NULL)
        st = fail(err, NO_MEMORY, "session");
    json_decref(facts);
    json_decref(leaves);
    json_decref(all);
    return st;
}

/* ---- exchanges ---- */

/* By segment number: the leaf with its digest. */
static enum status leaves_of_segments(const struct node *n, uint64_t **out, size_t *count)
{
    enum { NUMBER_MAX = 1000000 };
    size_t i;
    json_t *leaf;
    uint64_t *v = calloc(NUMBER_MAX, sizeof *v);   /* touched only where there are segments */
    if (v == NULL)
        return NO_MEMORY;
    json_array_foreach(evidence_leaves(&n->e), i, leaf) {
        int64_t number = json_text_is(leaf, "type", "segment") ? json_number(json_object_get(leaf, "content"), "number") : 0;
        if (number > 0 && number < NUMBER_MAX)
            v[number] = (uint64_t)json_number(leaf, "seq");
    }
    *out = v;
    *count = NUMBER_MAX;
    return OK;
}

static enum status open_recording(const struct node *n, const struct age_keys *keys, enum nodes_read how, struct archive_part *p, char *why, size_t why_max, struct err *err)
{
    struct err problem = { "" };
    enum status st = how == NODES_WHOLE ? archive_open(n->e.recording, keys, &p->archive, &problem)
                                        : listing_of_file(n->e.recording, keys, how == NODES_LIST_AND_MESSAGES, &p->archive, &problem);
    if (st == OK)
        return OK;
    if (st == NO_MEMORY || keys == NULL)
        return fail(err, st, "%s", problem.text);
    snprintf(why, why_max, "%s", problem.text);   /* the others' part of the session can be told all the same */
    p->archive = NULL;
    return OK;
}

static enum status open_part(const struct node *n, const struct age_keys *keys, enum nodes_read how, struct archive_part *p, char *why, size_t why_max, struct err *err)
{
    size_t i;
    json_t *leaf;
    uint64_t *leaves = NULL;
    snprintf(why, why_max, "its log has segments of this session, but there is no recording");
    json_array_foreach(evidence_leaves(&n->e), i, leaf)
        if (json_text_is(leaf, "type", "session.erased"))
            evidence_erased_text((uint64_t)json_number(leaf, "seq"), json_number(leaf, "time_ms"), why, why_max);
    *p = (struct archive_part){ .node = n->name, .why_not = why };
    enum status st = n->e.recording != NULL ? open_recording(n, keys, how, p, why, why_max, err) : OK;
    if (st == OK && leaves_of_segments(n, &leaves, &p->leaf_count) != OK)
        st = fail(err, NO_MEMORY, "leaves");
    p->leaves = leaves;
    return st;
}

static enum status join(const struct nodes *n, const struct age_keys *keys, enum nodes_read how, struct archive **a, struct err *err)
{
    struct archive_part parts[NODES_MAX] = { { 0 } };
    char why[NODES_MAX][256];
    size_t count = 0, opened = 0;
    enum status st = OK;
    for (size_t i = 0; i < n->count && st == OK; i++) {
        if (!node_knows(&n->v[i]))
            continue;
        st = open_part(&n->v[i], keys, how, &parts[count], why[count], sizeof why[count], err);
        opened += parts[count++].archive != NULL;
    }
    if (st == OK && opened == 0)
        st = fail(err, REFUSED, "none of the recordings could be read; %s: %s", parts[0].node, parts[0].why_not);
    if (st == OK)
        st = archive_join(parts, count, a, err);
    else
        for (size_t i = 0; i < count; i++)
            archive_free(parts[i].archive);
    for (size_t i = 0; i < count; i++)
        free((void *)(uintptr_t)parts[i].leaves);
    return st;
}

enum status nodes_read(struct nodes *n, const char *session, const struct age_keys *keys, enum nodes_read how, struct evidence *e, struct archive **a, struct err *err)
{
    struct evidence made = { 0 };
    json_t *clocks = NULL;
    *a = NULL;
    enum status st = nodes_session(n, session, err);
    if (st == OK)
        st = make_info(n, session, &made.info, err);
    if (st == OK)
        st = join(n, keys, how, a, err);
    if (st == OK)
        st = nodes_clocks(n, keys, &clocks, err);
    if (st == OK && json_object_set_new(made.info, "nodes", clocks) != 0)
        st = fail(err, NO_MEMORY, "session");
    snprintf(made.session, sizeof made.session, "%s", session);
    if (st == OK) {
        *e = made;
        return OK;
    }
    evidence_done(&made);
    archive_free(*a);
    *a = NULL;
    return st;
}
