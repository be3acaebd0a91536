#include "proxy/commands/evidence.h"
#include "proxy/base/file.h"
#include "proxy/commands/storage.h"
#include "proxy/commands/term.h"
#include "proxy/commands/words.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LEAVES_A_PAGE = 200, LEAVES_A_BARE_PAGE = 1000, LEAVES_MAX = 2 * 1000 * 1000, LOG_FILE_MAX = 1024 * 1024 * 1024, KEY_FILE_MAX = 4096 };
static const uint64_t recording_max = UINT64_C(1) << 36;   /* 64 GiB */

FILE *evidence_nameless_file(struct err *err)
{
    const char *folder = getenv("TMPDIR");
    char *path = NULL;
    if (asprintf(&path, "%s/countersign-XXXXXX", folder != NULL && folder[0] == '/' ? folder : "/tmp") < 0) {
        (void)fail(err, NO_MEMORY, "temporary file");
        return NULL;
    }
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        unlink(path);
    FILE *f = fd >= 0 ? fdopen(fd, "w+b") : NULL;
    if (f == NULL) {
        (void)fail(err, IO_FAILED, "cannot make a temporary file '%s': %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
    }
    free(path);
    return f;
}

/* What lists a session's exchanges is small: it need not go over a disk. */
static FILE *memory_file(struct err *err)
{
    int fd = memfd_create("listing", MFD_CLOEXEC);
    FILE *f = fd >= 0 ? fdopen(fd, "w+b") : NULL;
    if (f != NULL)
        return f;
    if (fd >= 0)
        close(fd);
    return evidence_nameless_file(err);
}

/* Of a file without a name: what opens it again. */
static enum status name_it(struct evidence *e, struct err *err)
{
    if (asprintf(&e->recording, "/proc/self/fd/%d", fileno(e->file)) >= 0)
        return OK;
    e->recording = NULL;
    return fail(err, NO_MEMORY, "recording");
}

/* what: "recording", or "listing?purpose=show". */
static enum status download(struct client *c, struct evidence *e, const char *what, struct err *err)
{
    char path[160];
    if (e->file != NULL)
        fclose(e->file);
    free(e->recording);
    e->recording = NULL;
    e->file = strcmp(what, "recording") == 0 ? evidence_nameless_file(err) : memory_file(err);
    if (e->file == NULL)
        return IO_FAILED;
    snprintf(path, sizeof path, "/api/v1/sessions/%s/%s", e->session, what);
    enum status st = client_download(c, path, e->file, recording_max, err);
    return st == OK ? name_it(e, err) : st;
}

static enum status from_storage(const struct profile *p, struct evidence *e, const char *purpose, struct err *err)
{
    if (e->file != NULL)
        fclose(e->file);
    e->file = evidence_nameless_file(err);
    enum status st = e->file ? storage_recording(p, e->session, json_array_member(e->info, "leaves"), strcmp(purpose, "verify") == 0, e->file, err) : IO_FAILED;
    e->from_storage = true;
    return st == OK ? name_it(e, err) : st;
}

/* "" or " It went to URL, as logged in leaf N.": what the log says of a file that is gone. */
static void moved_text(const json_t *info, char *out, size_t max)
{
    char to[300];
    size_t i;
    json_t *leaf;
    out[0] = 0;
    json_array_foreach(json_array_member(info, "leaves"), i, leaf)
        if (json_text_is(leaf, "type", "session.moved"))
            snprintf(out, max, " It is in %s, as logged in leaf %llu.", term_escape(slice_str(json_text(json_object_get(leaf, "content"), "to")), to, sizeof to),
                     (unsigned long long)json_number(leaf, "seq"));
}

/* From the gateway; or, when its own file is gone or the option says so, from the storage that the profile names. */
static enum status get_recording(struct client *c, struct evidence *e, const char *purpose, const char *what, struct err *err)
{
    const struct profile *p = client_profile(c);
    struct err why = { .text = "" };
    char moved[400];
    if (p->from_storage)
        return from_storage(p, e, purpose, err);
    enum status st = download(c, e, what, err);
    if (st != NOT_FOUND)
        return st;
    client_forget_problem(c);         /* another explanation comes in its place */
    enum status named = storage_named(p, &why);
    moved_text(e->info, moved, sizeof moved);
    if (named == NOT_FOUND)
        return fail(err, NOT_FOUND, "the gateway has no file of the recording of %s.%s Next: if it copies recordings to object storage, name that with --storage, or in your profile", e->session, moved);
    if (named != OK)
        return fail(err, named, "the gateway has no file of the recording of %s, and %s", e->session, why.text);
    return from_storage(p, e, purpose, err);
}

/* One page of the session's facts; the first is kept, the others' leaves are added to it. *next: where the next begins, 0 after the last. */
static enum status fetch_info_page(struct client *c, struct evidence *e, const char *purpose, int64_t from, int64_t *next, struct err *err)
{
    char path[192];
    json_t *page = NULL;
    snprintf(path, sizeof path, from > 0 ? "/api/v1/sessions/%s?purpose=%s&from=%lld" : "/api/v1/sessions/%s?purpose=%s", e->session, purpose, (long long)from);
    enum status st = client_get(c, path, &page, err);
    if (st != OK)
        return st;
    *next = json_number(page, "next");
    if (*next != 0 && *next <= from)
        st = fail(err, BAD_INPUT, "the gateway's pages of this session go round in circles");
    else if (e->info == NULL)
        e->info = json_incref(page);
    else if (json_array_extend(json_object_get(e->info, "leaves"), json_object_get(page, "leaves")) != 0)
        st = fail(err, BAD_INPUT, "the gateway's answer holds no leaves");
    json_decref(page);
    return st;
}

static const json_t *erased_leaf(const json_t *info)
{
    size_t i;
    json_t *leaf;
    json_array_foreach(json_array_member(info, "leaves"), i, leaf)
        if (json_text_is(leaf, "type", "session.erased"))
            return leaf;
    return NULL;
}

void evidence_erased_text(uint64_t seq, int64_t time_ms, char *out, size_t max)
{
    char when[WORDS_MAX];
    snprintf(out, max, "erased by retention on %s, as logged in leaf %llu", words_time(time_ms / 1000, when), (unsigned long long)seq);
}

/* What was deleted when its time was over can be verified and reported, by what the log says; there is nothing left to look at. */
static enum status without_recording(const char *session, const json_t *leaf, const char *purpose, struct err *err)
{
    char text[128];
    if (strcmp(purpose, "verify") == 0 || strcmp(purpose, "incident") == 0)
        return OK;
    evidence_erased_text((uint64_t)json_number(leaf, "seq"), json_number(leaf, "time_ms"), text, sizeof text);
    return fail(err, NOT_FOUND, "the recording of %s was %s. Next: countersign verify %s, or countersign incident, show what the log still says of it", session, text, session);
}

static enum status fetch_both(struct client *c, const char *session, const char *purpose, const char *what, struct evidence *out, struct err *err)
{
    struct evidence e = { 0 };
    enum status st = OK;
    snprintf(e.session, sizeof e.session, "%s", session);
    for (int64_t from = 0, next = -1; st == OK && next != 0; from = next)
        st = fetch_info_page(c, &e, purpose, from, &next, err);
    const json_t *erased = st == OK ? erased_leaf(e.info) : NULL;
    if (erased != NULL)
        st = without_recording(session, erased, purpose, err);
    else if (st == OK)
        st = get_recording(c, &e, purpose, what, err);
    if (st == OK)
        *out = e;
    else
        evidence_done(&e);
    return st;
}

enum status evidence_fetch(struct client *c, const char *session, const char *purpose, struct evidence *out, struct err *err)
{
    return fetch_both(c, session, purpose, "recording", out, err);
}

enum status evidence_fetch_listing(struct client *c, const char *session, const char *purpose, struct evidence *out, struct err *err)
{
    char what[64];
    snprintf(what, sizeof what, "listing?purpose=%s", purpose);
    return fetch_both(c, session, purpose, what, out, err);
}

enum status evidence_fetch_rest(struct client *c, struct evidence *e, struct err *err)
{
    return e->from_storage ? OK : download(c, e, "recording", err);
}

/* Take one page's leaves over, and say where the next begins (0: that was all). */
static enum status take_page(json_t *log, const json_t *page, int64_t from, int64_t *next, struct err *err)
{
    json_t *leaves = json_array_member(page, "leaves");
    const char *head = json_text(page, "head");
    if (leaves == NULL || head[0] == 0)
        return fail(err, BAD_INPUT, "the gateway's answer holds no leaves, or no head");
    json_t *all = json_object_get(log, "leaves");
    if (json_array_extend(all, leaves) != 0 || json_object_set_new(log, "head", json_string(head)) != 0)
        return fail(err, NO_MEMORY, "log");
    *next = json_number(page, "next");
    if (*next != 0 && *next <= from)
        return fail(err, BAD_INPUT, "the gateway's log goes round in circles");
    return json_array_size(all) <= LEAVES_MAX ? OK : fail(err, FULL, "the log has more than %d leaves", LEAVES_MAX);
}

static enum status fetch_pages(struct client *c, const char *session, json_t *log, struct err *err)
{
    enum status st = OK;
    for (int64_t from = 1, next = 0; st == OK && from != 0; from = next) {
        char path[192];
        json_t *page = NULL;
        snprintf(path, sizeof path, "/api/v1/log?from=%lld&limit=%d%s%s", (long long)from, session[0] ? LEAVES_A_PAGE : LEAVES_A_BARE_PAGE,
                 session[0] ? "&session=" : "", session);
        st = client_get(c, path, &page, err);
        if (st == OK)
            st = take_page(log, page, from, &next, err);
        json_decref(page);
    }
    return st;
}

enum status evidence_take_log(struct evidence *e, json_t *log, struct err *err)
{
    size_t i;
    json_t *leaf, *about = json_array();
    json_array_foreach(json_array_member(log, "leaves"), i, leaf)
        if (json_is_object(json_object_get(leaf, "content")) && json_array_append(about, leaf) != 0) {
            json_decref(about);
            about = NULL;
            break;
        }
    json_decref(e->log);
    json_decref(e->about);
    e->log = log;
    e->about = about;
    return about != NULL ? OK : fail(err, NO_MEMORY, "log");
}

enum status evidence_fetch_log(struct client *c, struct evidence *e, struct err *err)
{
    json_t *log = json_pack("{s:[], s:s}", "leaves", "session", e->session);
    enum status st = log != NULL ? fetch_pages(c, e->session, log, err) : fail(err, NO_MEMORY, "log");
    if (st == OK && e->log_key == NULL)
        st = client_get(c, "/.well-known/countersign-log-key", &e->log_key, err);
    if (st == OK)
        return evidence_take_log(e, log, err);
    json_decref(log);
    return st;
}

static enum status read_json(const char *path, size_t max, json_t **out, struct err *err)
{
    unsigned char *data = NULL;
    size_t len = 0;
    json_error_t where;
    enum status st = file_read(path, max, false, &data, &len, err);
    if (st != OK)
        return st;
    json_t *v = json_loadb((const char *)data, len, JSON_REJECT_DUPLICATES, &where);
    free(data);
    if (!json_is_object(v)) {
        json_decref(v);
        return fail(err, BAD_INPUT, "'%s' is not a JSON object (line %d)", path, where.line);
    }
    *out = v;
    return OK;
}

enum status evidence_load_key(struct evidence *e, const char *path, struct err *err)
{
    json_t *key = NULL;
    enum status st = read_json(path, KEY_FILE_MAX, &key, err);
    if (st == OK) {
        json_decref(e->log_key);
        e->log_key = key;
    }
    return st;
}

enum status evidence_load(const char *recording, const char *log, const char *log_key, const char *session, struct evidence *out, struct err *err)
{
    struct evidence e = { 0 };
    enum status st = OK;
    if (recording != NULL && (e.recording = strdup(recording)) == NULL)
        st = fail(err, NO_MEMORY, "recording");
    json_t *whole_log = NULL;
    if (st == OK && log != NULL)
        st = read_json(log, LOG_FILE_MAX, &whole_log, err);
    if (whole_log != NULL)
        st = evidence_take_log(&e, whole_log, err);
    if (st == OK && log_key != NULL)
        st = evidence_load_key(&e, log_key, err);
    if (session == NULL)
        session = json_text(e.log, "session");
    if (st == OK && session[0] != 0 && !id_is_plain(session))
        st = fail(err, BAD_INPUT, "'%s' is not the id of a session", session);
    if (st != OK) {
        evidence_done(&e);
        return st;
    }
    snprintf(e.session, sizeof e.session, "%s", session);
    *out = e;
    return OK;
}

static enum status copy(FILE *from, const char *path, struct err *err)
{
    char piece[64 * 1024];
    FILE *to = fopen(path, "wb");
    if (to == NULL || fchmod(fileno(to), 0600) != 0 || fseeko(from, 0, SEEK_SET) != 0) {
        if (to != NULL)
            fclose(to);
        return fail(err, IO_FAILED, "cannot write '%s': %s", path, strerror(errno));
    }
    size_t n;
    bool good = true;
    while (good && (n = fread(piece, 1, sizeof piece, from)) > 0)
        good = fwrite(piece, 1, n, to) == n;
    good = good && !ferror(from);
    if (fclose(to) != 0 || !good)
        return fail(err, IO_FAILED, "cannot write '%s': %s", path, strerror(errno));
    return OK;
}

static enum status save_json(const json_t *v, const char *folder, const char *name, struct err *err)
{
    char *path = file_join(folder, name), *text = json_dumps(v, JSON_INDENT(1) | JSON_SORT_KEYS);
    enum status st = path != NULL && text != NULL ? file_write(path, slice_str(text), 0600, err) : fail(err, NO_MEMORY, "%s", name);
    free(path);
    free(text);
    return st;
}

enum status evidence_save(const struct evidence *e, const char *folder, struct err *err)
{
    enum status st = file_mkdirs(folder, 0700, err);
    char *path = file_join(folder, "recording.tar");
    FILE *from = e->file != NULL || e->recording == NULL ? e->file : fopen(e->recording, "rb");
    if (st == OK && (path == NULL || (from == NULL && e->recording != NULL)))
        st = fail(err, IO_FAILED, "cannot read the recording");
    if (st == OK && from != NULL)     /* else it was deleted by retention: the log and its key are kept */
        st = copy(from, path, err);
    if (st == OK)
        st = save_json(e->log, folder, "log.json", err);
    if (st == OK)
        st = save_json(e->log_key, folder, "log-key", err);
    if (from != NULL && from != e->file)
        fclose(from);
    free(path);
    return st;
}

const json_t *evidence_leaves(const struct evidence *e)
{
    return e->log != NULL ? e->about : json_array_member(e->info, "leaves");
}

void evidence_done(struct evidence *e)
{
    if (e->file != NULL)
        fclose(e->file);
    free(e->recording);
    json_decref(e->info);
    json_decref(e->log);
    json_decref(e->about);
    json_decref(e->log_key);
    *e = (struct evidence){ 0 };
}
