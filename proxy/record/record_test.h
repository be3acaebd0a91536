/* record_test: what the tests of this room share: messages, rings, a throw-away state folder, and an authz that only keeps segments' leaves. */
#ifndef COUNTERSIGN_RECORD_TEST_H
#define COUNTERSIGN_RECORD_TEST_H

#include "authz/canonical.h"
#include "authz/chain.h"
#include "proxy/base/codec.h"
#include "proxy/base/file.h"
#include "proxy/base/msg.h"
#include "proxy/record/archive.h"
#include "proxy/record/recorder.h"
#include "proxy/record/tape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEST_UNUSED __attribute__((unused))

/* A folder under /tmp, gone with everything in it at the end. */
struct test_dir {
    char path[64];
};

TEST_UNUSED static void test_dir_make(struct test_dir *d)
{
    snprintf(d->path, sizeof d->path, "/tmp/cs-record-XXXXXX");
    assert_non_null(mkdtemp(d->path));
}

TEST_UNUSED static void test_dir_remove(const char *path)
{
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        char name[512];
        struct stat sb;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        snprintf(name, sizeof name, "%s/%s", path, e->d_name);
        if (lstat(name, &sb) == 0 && S_ISDIR(sb.st_mode))
            test_dir_remove(name);
        else
            unlink(name);
    }
    closedir(dir);
    rmdir(path);
}

/* Shared memory with a ring in it, as the parent process would make it. */
struct test_ring {
    void *memory;
    size_t size;
    int wake_fd;
};

TEST_UNUSED static void test_ring_make(struct test_ring *r, size_t bytes)
{
    r->size = tape_memory_size(bytes);
    r->memory = mmap(NULL, r->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(r->memory != MAP_FAILED);
    tape_memory_init(r->memory, bytes);
    r->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

TEST_UNUSED static void test_ring_free(struct test_ring *r)
{
    munmap(r->memory, r->size);
    close(r->wake_fd);
}

static const unsigned char test_key[32] TEST_UNUSED = "a key for fingerprints in tests";

TEST_UNUSED static struct tape *test_tape(const struct test_ring *r)
{
    struct tape *t = NULL;
    struct err err = { "" };
    if (tape_open(r->memory, r->size, r->wake_fd, test_key, &t, &err) != OK)
        fail_msg("%s", err.text);
    return t;
}

TEST_UNUSED static struct tape_session test_session(const char *id)
{
    return (struct tape_session){ .id = slice_str(id), .identity = SLICE("alice@acme.localhost"), .person = SLICE("alice"),
                                  .tool = SLICE("support"), .host = SLICE("support.acme.localhost"), .x5t = SLICE("thumbprint") };
}

/* Fields as "name: value\n..." text, borrowed. */
TEST_UNUSED static struct fields test_fields(const char *text, struct field *v, size_t max)
{
    struct fields f = { .v = v, .cap = max };
    while (*text != 0) {
        const char *colon = strchr(text, ':'), *end = strchr(text, '\n');
        assert_true(f.count < max && colon != NULL && end != NULL);
        v[f.count].name = slice_of(text, (size_t)(colon - text));
        v[f.count++].value = slice_trim(slice_of(colon + 1, (size_t)(end - colon - 1)));
        text = end + 1;
    }
    return f;
}

TEST_UNUSED static struct message test_request(const char *method, const char *target, const char *fields, struct field *v, size_t max)
{
    return (struct message){ .version = 11, .method = slice_str(method), .authority = SLICE("support.acme.localhost:8443"),
                             .target = slice_str(target), .fields = test_fields(fields, v, max),
                             .framing = strcmp(method, "GET") == 0 ? BODY_NONE : BODY_CHUNKED };
}

TEST_UNUSED static struct message test_response(unsigned status, const char *fields, struct field *v, size_t max)
{
    return (struct message){ .version = 11, .status = status, .fields = test_fields(fields, v, max), .framing = BODY_CHUNKED };
}

/* Wait until the recorder signals, at most a second. */
TEST_UNUSED static void test_wait(int wake_fd)
{
    struct pollfd p = { .fd = wake_fd, .events = POLLIN };
    uint64_t n;
    (void)poll(&p, 1, 1000);
    ssize_t ignored = read(wake_fd, &n, sizeof n);
    (void)ignored;
}

/* A log that takes segments over a socket, as authz does, and can be read as GET /api/v1/log gives it. */
struct test_authz {
    char socket[128];
    int listen_fd;
    pthread_t thread;
    pthread_mutex_t lock, busy;       /* busy: held by the thread but while it waits, see test_fork */
    _Atomic bool running, stop, away; /* away: answers nothing and closes what it has */
    EVP_PKEY *key;
    unsigned char public_key[32];
    struct tree tree;
    json_t *leaves, *known;
};

TEST_UNUSED static void test_authz_append(struct test_authz *a, const char *type, json_t *content)
{
    unsigned char salt[CHAIN_SALT_LEN] = { 1, 2, 3 }, digest[32];
    char salt_text[32], digest_text[64], *text = NULL;
    size_t len = 0;
    struct err err = { "" };
    if (canonical_json(content, &text, &len, &err) != OK)
        fail_msg("%s", err.text);
    salt[15] = (unsigned char)a->tree.size;
    chain_content_digest(salt, slice_of(text, len), digest);
    free(text);
    b64url_encode(slice_of(salt, sizeof salt), salt_text);
    b64url_encode(slice_of(digest, sizeof digest), digest_text);
    int64_t time_ms = 1700000000000 + (int64_t)a->tree.size;
    assert_int_equal(chain_append(&a->tree, type, time_ms, digest, NULL, NULL), OK);
    json_array_append_new(a->leaves, json_pack("{sI ss sI ss ss so}", "seq", (json_int_t)a->tree.size, "type", type, "time_ms", (json_int_t)time_ms,
                                               "digest", digest_text, "salt", salt_text, "content", content));
}

/* Like authz: the same segment asked for again is fine, and makes no second leaf. */
TEST_UNUSED static bool test_authz_knows(struct test_authz *a, const json_t *m)
{
    char key[128];
    snprintf(key, sizeof key, "%s %d", json_string_value(json_object_get(m, "session")), (int)json_integer_value(json_object_get(m, "number")));
    bool known = json_object_get(a->known, key) != NULL;
    json_object_set_new(a->known, key, json_true());
    return known;
}

TEST_UNUSED static json_t *test_authz_answer(struct test_authz *a, json_t *m)
{
    json_t *n = json_object_get(m, "n");
    json_incref(n);
    const char *op = json_string_value(json_object_get(m, "op"));
    pthread_mutex_lock(&a->lock);
    if (op != NULL && strcmp(op, "segment") == 0 && !test_authz_knows(a, m)) {
        json_t *content = json_copy(m);
        json_object_del(content, "n");
        json_object_del(content, "op");
        test_authz_append(a, "segment", content);
    }
    pthread_mutex_unlock(&a->lock);
    return json_pack("{so sb}", "n", n, "ok", 1);
}

TEST_UNUSED static bool test_authz_wait(struct test_authz *a, int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    pthread_mutex_unlock(&a->busy);
    int n = poll(&p, a->away ? 0 : 1, a->away ? 1 : 20);
    pthread_mutex_lock(&a->busy);
    return n > 0;
}

/* A child made while another thread is inside the allocator would find it locked for ever. */
TEST_UNUSED static pid_t test_fork(struct test_authz *a)
{
    pthread_mutex_lock(&a->busy);
    pid_t child = fork();
    if (child != 0)
        pthread_mutex_unlock(&a->busy);
    return child;
}

TEST_UNUSED static void test_authz_serve(struct test_authz *a, int fd)
{
    while (!a->stop && !a->away) {
        int fds[MSG_FDS_MAX];
        size_t count = 0;
        json_t *m = NULL;
        if (!test_authz_wait(a, fd))
            continue;
        enum status st = msg_recv(fd, &m, fds, &count, NULL);
        if (st == AGAIN)
            continue;
        if (st != OK)
            return;
        json_t *answer = test_authz_answer(a, m);
        json_decref(m);
        st = msg_send(fd, answer, NULL, 0, NULL);
        json_decref(answer);
        if (st != OK)
            return;
    }
}

TEST_UNUSED static void *test_authz_run(void *arg)
{
    struct test_authz *a = arg;
    pthread_mutex_lock(&a->busy);
    a->running = true;
    while (!a->stop) {
        int fd;
        if (!test_authz_wait(a, a->listen_fd) || a->away || msg_accept(a->listen_fd, &fd, NULL) != OK)
            continue;
        test_authz_serve(a, fd);
        close(fd);
    }
    pthread_mutex_unlock(&a->busy);
    return NULL;
}

TEST_UNUSED static void test_authz_start(struct test_authz *a, const char *dir)
{
    size_t len = 32;
    *a = (struct test_authz){ .leaves = json_array(), .known = json_object(), .key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519") };
    assert_non_null(a->key);
    EVP_PKEY_get_raw_public_key(a->key, a->public_key, &len);
    pthread_mutex_init(&a->lock, NULL);
    pthread_mutex_init(&a->busy, NULL);
    snprintf(a->socket, sizeof a->socket, "%s/authz.sock", dir);
    struct err err = { "" };
    if (msg_listen(a->socket, &a->listen_fd, &err) != OK)
        fail_msg("%s", err.text);
    test_authz_append(a, "instance.created", json_pack("{ss}", "instance", "test"));
    pthread_create(&a->thread, NULL, test_authz_run, a);
    while (!a->running)
        usleep(100);
}

TEST_UNUSED static void test_authz_stop(struct test_authz *a)
{
    a->stop = true;
    pthread_join(a->thread, NULL);
    close(a->listen_fd);
    unlink(a->socket);
    json_decref(a->leaves);
    json_decref(a->known);
    EVP_PKEY_free(a->key);
}

/* What an auditor gets. */
TEST_UNUSED static json_t *test_authz_log(struct test_authz *a)
{
    char *note = NULL;
    pthread_mutex_lock(&a->lock);
    struct chain_head head = chain_head_of(&a->tree);
    assert_int_equal(chain_note_sign(a->key, "test", &head, &note, NULL), OK);
    json_t *log = json_pack("{so ss}", "leaves", json_deep_copy(a->leaves), "head", note);
    pthread_mutex_unlock(&a->lock);
    free(note);
    return log;
}

/* Whom recordings are sealed to here. The first is an example of age's own documents. */
#define TEST_AUDITOR "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
static char test_public_1[] = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj", test_public_2[] = "age12z2ppf6j72s9teemjz0sumxz2mmuq4ehzkf7szqv7zerqr6ph4psgrkn4k";
static char *const test_auditors[] = { test_public_1, test_public_2 };
TEST_UNUSED static bool test_unsealed;   /* set: recordings are kept readable */

TEST_UNUSED static struct recorder *test_recorder(const char *dir, const struct test_authz *a, const struct test_ring *rings, size_t count,
                                                  int64_t segment_ms, size_t segment_bytes)
{
    char instance[] = "test", state[128];
    struct recorder_ring v[8];
    struct recorder *r = NULL;
    struct err err = { "" };
    snprintf(state, sizeof state, "%s", dir);
    struct config c = { .state = state, .instance = instance, .segment_ms = segment_ms, .segment_bytes = segment_bytes,
                        .sealed_to = (char **)(uintptr_t)test_auditors, .sealed_to_count = test_unsealed ? 0 : 2 };
    for (size_t i = 0; i < count; i++)
        v[i] = (struct recorder_ring){ rings[i].memory, rings[i].size, rings[i].wake_fd };
    if (recorder_start(&c, a->socket, v, count, &r, &err) != OK)
        fail_msg("%s", err.text);
    return r;
}

TEST_UNUSED static void test_recording_path(char out[256], const char *dir, const char *session)
{
    snprintf(out, 256, "%s/recordings/%s.tar", dir, session);
}

/* The file of an auditor's secret key, made in dir. */
TEST_UNUSED static struct age_keys *test_keys(const char *dir)
{
    char path[256];
    struct age_keys *keys = NULL;
    struct err err = { "" };
    snprintf(path, sizeof path, "%s/auditor.key", dir);
    if (file_write(path, SLICE(TEST_AUDITOR "\n"), 0600, &err) != OK || age_keys_load(path, &keys, &err) != OK)
        fail_msg("%s", err.text);
    return keys;
}

TEST_UNUSED static struct archive *test_archive(const char *dir, const char *session)
{
    char path[256];
    struct age_keys *keys = test_keys(dir);
    struct archive *a = NULL;
    struct err err = { "" };
    test_recording_path(path, dir, session);
    if (archive_open(path, keys, &a, &err) != OK)
        fail_msg("%s", err.text);
    age_keys_free(keys);
    for (size_t i = 0; i < archive_bad_segments(a); i++) {
        unsigned number;
        const char *text = archive_bad_segment(a, i, &number);
        fail_msg("segment %u: %s", number, text);
    }
    return a;
}

/* Verify; gives the findings. */
TEST_UNUSED static json_t *test_verify(const char *path, const char *session, struct test_authz *a)
{
    struct verify_result r;
    struct err err = { "" };
    json_t *log = test_authz_log(a);
    if (archive_verify(path, session, log, a->public_key, "test", NULL, &r, &err) != OK)
        fail_msg("%s", err.text);
    json_decref(log);
    return r.findings;
}

TEST_UNUSED static void test_verify_whole(const char *dir, const char *session, struct test_authz *a)
{
    char path[256];
    test_recording_path(path, dir, session);
    json_t *findings = test_verify(path, session, a);
    if (json_array_size(findings) != 0)
        fail_msg("%s", json_dumps(findings, 0));
    json_decref(findings);
}

#endif
