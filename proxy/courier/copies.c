#include "proxy/courier/copies.h"

#include "proxy/base/clock.h"
#include "proxy/base/codec.h"
#include "proxy/base/file.h"
#include "proxy/base/log.h"
#include "proxy/courier/copies_log.h"
#include "proxy/record/comment.h"
#include "proxy/record/tar.h"

#include <dirent.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uthash.h>

enum { SCAN_MS = 2000, LOG_MS = 30000, UPLOADS_MAX = 4, AGAIN_MIN_MS = 1000, AGAIN_MAX_MS = 60000, CONNECT_MS = 5000, UPLOAD_MS = 120000, ANSWER_MAX = 64 * 1024,
       NAME_MAX_LEN = 64, URL_MAX = 2200, STATE_MAX = 64, OBJECT_MAX = 256 << 20, SAY_AGAIN_MS = 60000 };

struct copied {                       /* a session, and how far it was copied */
    char name[NAME_MAX_LEN + 1];
    unsigned number;                  /* of the last segment that the storage has */
    uint64_t offset, next;            /* its end; that of the one under way */
    uint64_t bad_size;                /* the file can't be read further; look again when it has another size */
    unsigned round;
    bool busy;
    UT_hash_handle hh;
};

struct copies {
    struct config *config;
    struct fetcher *fetcher;
    char *recordings, *folder, *secret, sign[96];
    struct copied *sessions;
    unsigned round, uploads;
    int64_t scan_ms, again_ms, wait_ms, said_ms;   /* monotonic; wait_ms: from one failure to the next try, 0: all is well */
    struct log_pass log;              /* the published log */
    int64_t log_ms;
    bool log_busy, closed;
};

struct upload {
    struct copies *c;
    struct copied *session;           /* NULL: a file of the log */
};

/* ---- how it went ---- */

static void went_wrong(struct copies *c, const char *why)
{
    int64_t now = clock_mono_ms();
    c->wait_ms = c->wait_ms == 0 ? AGAIN_MIN_MS : c->wait_ms * 2 > AGAIN_MAX_MS ? AGAIN_MAX_MS : c->wait_ms * 2;
    c->again_ms = now + c->wait_ms;
    if (c->said_ms != 0 && now - c->said_ms < SAY_AGAIN_MS)
        return;
    c->said_ms = now;
    log_error("copies.failed", "to", c->config->copy_to, "why", why, "next", "recordings stay on this machine meanwhile; it is tried again");
}

static void went_well(struct copies *c)
{
    if (c->said_ms != 0)
        log_info("copies.resumed", "to", c->config->copy_to);
    c->wait_ms = c->again_ms = c->said_ms = 0;
}

static char *state_path(const struct copies *c, const char *name)
{
    return file_join(c->folder, name);
}

static void save(struct copies *c, const struct copied *s)
{
    char line[STATE_MAX];
    struct err err;
    int n = snprintf(line, sizeof line, "1 %u %llu\n", s->number, (unsigned long long)s->offset);
    char *path = state_path(c, s->name);
    if (path == NULL || file_write(path, slice_of(line, (size_t)n), 0600, &err) != OK)
        log_warn("copies.unsaved", "session", s->name, "why", path ? err.text : "no memory");   /* it is sent once more after a restart: no harm */
    free(path);
}

static void load(struct copies *c, struct copied *s)
{
    unsigned char *text = NULL;
    size_t len;
    unsigned number;
    unsigned long long offset;
    char *path = state_path(c, s->name);
    if (path != NULL && file_read(path, STATE_MAX, true, &text, &len, NULL) == OK && sscanf((const char *)text, "1 %u %llu", &number, &offset) == 2) {
        s->number = number;
        s->offset = offset;
    }
    free(text);
    free(path);
}

static bool begin_next(struct copies *c, struct copied *s);
static void log_next(struct copies *c);

static void on_uploaded(void *arg, const struct fetch_result *r)
{
    struct upload *u = arg;
    struct copies *c = u->c;
    struct copied *s = u->session;
    char why[200];
    free(u);
    c->uploads--;
    if (s != NULL)
        s->busy = false;
    else
        c->log_busy = false;
    if (c->closed) {
        if (c->uploads == 0)
            copies_free(c);
        return;
    }
    if (r->code < 200 || r->code >= 300) {
        if (r->code != 0)
            snprintf(why, sizeof why, "the storage answered %u: %.*s", r->code, (int)(r->body.len < 120 ? r->body.len : 120), r->body.len > 0 ? (const char *)r->body.ptr : "");
        else
            snprintf(why, sizeof why, "%s", r->why);
        went_wrong(c, why);
        return;
    }
    went_well(c);
    if (s == NULL) {
        log_pass_took(&c->log);
        log_next(c);
        return;
    }
    s->number++;
    s->offset = s->next;
    save(c, s);
    (void)begin_next(c, s);
}

/* ---- one object ---- */

static enum status put(struct copies *c, const char *name, const char *type, struct slice content, struct copied *s, struct err *err)
{
    char url[URL_MAX], sum[160], content_sha[128], content_type[64], digest_text[HEX_LEN(32) + 1];
    unsigned char digest[32];
    const char *const fields[] = { content_type, sum, content_sha, NULL };
    size_t len = strlen(c->config->copy_to);
    struct upload *u = malloc(sizeof *u);
    if (u == NULL)
        return fail(err, NO_MEMORY, "upload");
    *u = (struct upload){ c, s };
    while (len > 0 && c->config->copy_to[len - 1] == '/')
        len--;
    snprintf(url, sizeof url, "%.*s/%s", (int)len, c->config->copy_to, name);
    snprintf(content_type, sizeof content_type, "Content-Type: %s", type);
    sha256_one(content, digest);
    EVP_EncodeBlock((unsigned char *)digest_text, digest, sizeof digest);
    snprintf(sum, sizeof sum, "x-amz-checksum-sha256: %s", digest_text);
    hex_encode(slice_of(digest, sizeof digest), digest_text);
    snprintf(content_sha, sizeof content_sha, "x-amz-content-sha256: %s", digest_text);   /* libcurl before 8 does not send it by itself, but signs what is there */
    struct fetch_order o = { .url = url, .ca_file = c->config->copy_ca_file, .body = content, .fields = fields, .max_bytes = ANSWER_MAX, .connect_ms = CONNECT_MS,
                             .total_ms = UPLOAD_MS, .put = true, .sign = c->sign, .user = c->config->copy_key, .password = c->secret };
    enum status st = fetch_start(c->fetcher, &o, on_uploaded, u, err);
    if (st != OK) {
        free(u);
        return st;
    }
    c->uploads++;
    if (s != NULL)
        s->busy = true;
    else
        c->log_busy = true;
    return OK;
}

/* ---- segments ---- */

/* Is what lies there the whole of it, as the recorder wrote it? It may be writing. */
static bool is_whole(const struct tar_member *m, const unsigned char *bytes)
{
    uint32_t want;
    const unsigned char *content = bytes + (m->content - m->start);
    return m->comment != NULL && comment_content_crc(m->comment, &want) && comment_crc(0, slice_of(content, (size_t)m->content_len)) == want;
}

static void unreadable(struct copied *s, uint64_t size, const char *why)
{
    s->bad_size = size;
    log_error("copies.unreadable", "session", s->name, "why", why, "next", "`countersign verify` says what is wrong with it");
}

static enum status send_member(struct copies *c, struct copied *s, int fd, const struct tar_member *m, struct err *err)
{
    char name[32 + NAME_MAX_LEN];
    size_t len = (size_t)(m->end - m->start);
    unsigned char *bytes = malloc(len);
    enum status st = bytes ? tar_pread(fd, bytes, len, m->start, err) : fail(err, NO_MEMORY, "segment");
    if (st == OK && !is_whole(m, bytes))
        st = AGAIN;
    if (st == OK) {
        s->next = m->end;
        snprintf(name, sizeof name, "recordings/%s/%06u.tar", s->name, m->number);
        st = put(c, name, "application/x-tar", slice_of(bytes, len), s, err);
    }
    free(bytes);
    return st;
}

/* The next segment of a session, if a whole one is there. True: it is under way. */
static bool begin_next(struct copies *c, struct copied *s)
{
    char file[NAME_MAX_LEN + 8];
    struct err err = { .text = "" };
    struct stat info;
    struct tar_member m = { 0 };
    if (c->uploads >= UPLOADS_MAX || c->again_ms > clock_mono_ms())
        return false;
    snprintf(file, sizeof file, "%s.tar", s->name);
    char *path = file_join(c->recordings, file);
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
    free(path);
    if (fd < 0)
        return false;
    enum status st = fdatasync(fd) == 0 && fstat(fd, &info) == 0 ? OK : IO_FAILED;   /* what the storage has is on this disk, too */
    if (st == OK && (uint64_t)info.st_size == s->bad_size)
        st = AGAIN;
    if (st == OK)
        st = tar_read_member(fd, s->offset, (uint64_t)info.st_size, &m, &err);
    if (st == OK && (m.number != s->number + 1 || m.end - m.start > OBJECT_MAX))
        st = BAD_INPUT;
    if (st == OK)
        st = send_member(c, s, fd, &m, &err);
    if (st == BAD_INPUT && !tar_was_growing(fd, s->offset, (uint64_t)info.st_size))
        unreadable(s, (uint64_t)info.st_size, err.text[0] ? err.text : "the next segment is not where it should be");
    else if (st != OK && st != AGAIN && st != CLOSED && st != BAD_INPUT)
        went_wrong(c, err.text);
    free(m.comment);
    close(fd);
    return st == OK;
}

/* ---- looking for what is new ---- */

static struct copied *session_of(struct copies *c, const char *file)
{
    struct copied *s = NULL;
    size_t len = strlen(file);
    if (len < 5 || len - 4 > NAME_MAX_LEN || strcmp(file + len - 4, ".tar") != 0)
        return NULL;
    for (size_t i = 0; i < len - 4; i++)
        if (!((file[i] >= 'a' && file[i] <= 'z') || (file[i] >= 'A' && file[i] <= 'Z') || (file[i] >= '0' && file[i] <= '9') || file[i] == '_' || file[i] == '-'))
            return NULL;
    HASH_FIND(hh, c->sessions, file, len - 4, s);
    if (s != NULL)
        return s;
    if ((s = calloc(1, sizeof *s)) == NULL)
        return NULL;
    memcpy(s->name, file, len - 4);
    load(c, s);
    HASH_ADD_KEYPTR(hh, c->sessions, s->name, len - 4, s);
    return s;
}

static void forget_gone(struct copies *c)
{
    struct copied *s, *next;
    HASH_ITER(hh, c->sessions, s, next)
        if (s->round != c->round && !s->busy) {
            HASH_DEL(c->sessions, s);
            free(s);
        }
}

static void scan(struct copies *c)
{
    DIR *d = opendir(c->recordings);
    struct stat info;
    if (d == NULL)
        return;                       /* nothing was recorded yet */
    c->round++;
    for (const struct dirent *e; (e = readdir(d)) != NULL;) {
        struct copied *s = session_of(c, e->d_name);
        if (s == NULL)
            continue;
        s->round = c->round;
        if (!s->busy && fstatat(dirfd(d), e->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 && (uint64_t)info.st_size > s->offset + TAR_END)
            (void)begin_next(c, s);
    }
    closedir(d);
    forget_gone(c);
}

/* ---- the published log ---- */

static void log_next(struct copies *c)
{
    struct err err = { .text = "" };
    unsigned char *content = NULL;
    size_t len;
    char name[LOG_NAME_MAX + 8];
    if (c->log_busy || c->again_ms > clock_mono_ms())
        return;
    const char *next = log_pass_next(&c->log);
    if (next == NULL) {
        log_pass_end(&c->log, c->folder);
        c->log_ms = clock_mono_ms() + LOG_MS;
        return;
    }
    enum status st = log_pass_read(&c->log, &content, &len, &err);
    snprintf(name, sizeof name, "log/%s", next);
    if (st == OK)
        st = put(c, name, "application/octet-stream", slice_of(content, len), NULL, &err);
    if (st == NOT_FOUND)
        log_pass_took(&c->log);       /* the next step goes on */
    else if (st != OK)
        went_wrong(c, err.text);
    free(content);
}

void copies_step(struct copies *c)
{
    int64_t now = clock_mono_ms();
    if (now < c->again_ms)
        return;
    if (now >= c->scan_ms) {
        c->scan_ms = now + SCAN_MS;
        scan(c);
    }
    if (c->log_busy || now < c->log_ms)
        return;
    if (!c->log.open)
        log_pass_begin(&c->log);
    log_next(c);
}

/* ---- beginning and end ---- */

enum status copies_new(struct config *config, struct fetcher *f, struct copies **out, struct err *err)
{
    struct copies *c = calloc(1, sizeof *c);
    unsigned char *secret = NULL;
    size_t len = 0;
    if (c == NULL)
        return fail(err, NO_MEMORY, "copies");
    c->config = config_ref(config);
    c->fetcher = f;
    c->recordings = config_path(config, "recordings");
    c->folder = config_path(config, "copies");
    char *log = config_path(config, "log");
    snprintf(c->sign, sizeof c->sign, "aws:amz:%s:s3", config->copy_region);
    enum status st = c->recordings != NULL && c->folder != NULL && log != NULL ? file_mkdirs(c->folder, 0700, err) : fail(err, NO_MEMORY, "path");
    if (st == OK)
        st = file_read(config->copy_secret_file, 1024, true, &secret, &len, err);
    if (st == OK) {
        while (len > 0 && (secret[len - 1] == '\n' || secret[len - 1] == '\r'))
            secret[--len] = 0;
        c->secret = (char *)secret;
        if (len == 0 || strlen(c->secret) != len)
            st = fail(err, BAD_INPUT, "%s holds no secret", config->copy_secret_file);
    }
    if (st == OK)
        st = log_pass_open(&c->log, log, c->folder, err);
    free(log);
    if (st != OK) {
        copies_free(c);
        return st;
    }
    *out = c;
    return OK;
}

void copies_free(struct copies *c)
{
    struct copied *s, *next;
    if (c == NULL)
        return;
    c->closed = true;
    if (c->uploads > 0)
        return;                       /* on_uploaded of the last one comes back here */
    HASH_ITER(hh, c->sessions, s, next) {
        HASH_DEL(c->sessions, s);
        free(s);
    }
    if (c->secret != NULL)
        OPENSSL_cleanse(c->secret, strlen(c->secret));
    log_pass_close(&c->log);
    free(c->secret);
    free(c->recordings);
    free(c->folder);
    config_unref(c->config);
    free(c);
}
