/* Verify leaves no blind spot: every single flipped byte is noticed, in the right segment; so is whatever is cut, added, moved or taken out. And stock tools read the file. */
#include "proxy/record/record_test.h"
#include "proxy/record/tar.h"

#include <fcntl.h>

enum { EXCHANGES = 4, SEGMENTS = 5 };   /* the last member is the index of the four before it */
static const char session_id[] = "grt_verify";

struct fixture {
    struct test_dir dir;
    struct test_authz authz;
    char path[256], copy[256];
    unsigned char *file;
    size_t size;
    struct tar_member member[SEGMENTS];
};

static void one_exchange(struct tape *t, unsigned i)
{
    struct arena arena;
    struct tape_exchange x = { 0 };
    struct field v[4];
    struct tape_session s = test_session(session_id);
    struct message request = test_request("GET", "/customers", "accept: text/html\n", v, 2), response = test_response(200, "server: x\n", v + 2, 2);
    char body[64];
    int n = snprintf(body, sizeof body, "customer %u", i);
    arena_init(&arena, 65536);
    assert_int_equal(tape_begin(t, &x, &s, &request, &(struct tape_keep){ .action = SLICE("read") }, &arena), OK);
    assert_int_equal(tape_response(t, &x, &response, true), OK);
    assert_int_equal(tape_body(t, &x, TAPE_RESPONSE, slice_of(body, (size_t)n)), OK);
    assert_int_equal(tape_finish(t, &x, TAPE_RESPONSE, TAPE_COMPLETE), OK);
    tape_close(t, &x, NULL);
    arena_done(&arena);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct test_ring ring;
    test_dir_make(&f->dir);
    test_ring_make(&ring, 65536);
    test_authz_start(&f->authz, f->dir.path);
    struct recorder *r = test_recorder(f->dir.path, &f->authz, &ring, 1, 3600000, 1 << 20);
    struct tape *t = test_tape(&ring);
    for (unsigned i = 0; i < EXCHANGES; i++) {
        one_exchange(t, i);
        tape_demand(t);
        while (tape_durable(t) < tape_position(t))
            test_wait(ring.wake_fd);
    }
    recorder_stop(r);
    tape_free(t);
    test_ring_free(&ring);
    test_recording_path(f->path, f->dir.path, session_id);
    snprintf(f->copy, sizeof f->copy, "%s/copy.tar", f->dir.path);
    assert_int_equal(file_read(f->path, 1 << 20, false, &f->file, &f->size, NULL), OK);
    int fd = open(f->path, O_RDONLY);
    for (uint64_t i = 0, at = 0; i < SEGMENTS; at = f->member[i++].end) {
        assert_int_equal(tar_read_member(fd, at, f->size, &f->member[i], NULL), OK);
        free(f->member[i].comment);
    }
    close(fd);
    assert_int_equal(f->member[SEGMENTS - 1].end + TAR_END, f->size);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    test_authz_stop(&f->authz);
    test_dir_remove(f->dir.path);
    free(f->file);
    free(f);
    return 0;
}

static json_t *verify_bytes(struct fixture *f, const unsigned char *bytes, size_t len)
{
    int fd = open(f->copy, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(fd, bytes, len), len);
    close(fd);
    return test_verify(f->copy, session_id, &f->authz);
}

static bool has_finding(const json_t *findings, const char *kind, unsigned segment)
{
    size_t i;
    json_t *o;
    json_array_foreach(findings, i, o)
        if (strcmp(json_string_value(json_object_get(o, "kind")), kind) == 0
            && (segment == 0 || json_integer_value(json_object_get(o, "segment")) == segment))
            return true;
    return false;
}

static void whole_is_whole(void **state)
{
    struct fixture *f = *state;
    json_t *findings = verify_bytes(f, f->file, f->size);
    assert_int_equal(json_array_size(findings), 0);
    json_decref(findings);
}

static unsigned segment_at(const struct fixture *f, size_t at)
{
    for (unsigned i = 0; i < SEGMENTS; i++)
        if (at < f->member[i].end)
            return i + 1;
    return 0;
}

/* One finding a flip, of the right segment. In place, since writing the file anew each time would take long. */
static void every_flipped_byte_is_noticed(void **state)
{
    struct fixture *f = *state;
    json_t *log = test_authz_log(&f->authz);
    json_decref(verify_bytes(f, f->file, f->size));
    int fd = open(f->copy, O_WRONLY);
    for (size_t at = 0; at < f->size; at++) {
        struct verify_result r;
        unsigned char flipped = f->file[at] ^ (unsigned char)(1u << (at % 8));
        assert_int_equal(pwrite(fd, &flipped, 1, (off_t)at), 1);
        assert_int_equal(archive_verify(f->copy, session_id, log, f->authz.public_key, "test", NULL, &r, NULL), OK);
        unsigned segment = segment_at(f, at);
        if (r.whole || json_array_size(r.findings) != 1 || !has_finding(r.findings, segment ? "altered-segment" : "altered-end", segment ? segment : SEGMENTS))
            fail_msg("byte %zu of segment %u: %s", at, segment, json_dumps(r.findings, 0));
        verify_done(&r);
        assert_int_equal(pwrite(fd, f->file + at, 1, (off_t)at), 1);
    }
    close(fd);
    json_decref(log);
}

/* A file made of these segments (1-based), then the end. */
static json_t *verify_order(struct fixture *f, const char *order, size_t cut)
{
    unsigned char *bytes = malloc(f->size * 3);
    size_t len = 0;
    for (; *order != 0; order++) {
        const struct tar_member *m = &f->member[*order - '1'];
        memcpy(bytes + len, f->file + m->start, m->end - m->start);
        len += m->end - m->start;
    }
    memset(bytes + len, 0, TAR_END);
    len += TAR_END;
    json_t *findings = verify_bytes(f, bytes, len - cut);
    free(bytes);
    return findings;
}

static void whole_segments_moved(void **state)
{
    static const struct {
        const char *name, *order, *kind;
        unsigned segment;
        size_t findings;
    } rows[] = {
        { "first taken out", "2345", "missing-segment", 1, 1 },
        { "middle taken out", "1245", "missing-segment", 3, 1 },
        { "last taken out", "1235", "missing-segment", 4, 1 },
        { "index taken out", "1234", "missing-segment", 5, 1 },
        { "all taken out", "", "missing-segment", 4, 5 },
        { "two swapped", "13245", "reordered-segment", 3, 1 },
        { "one twice", "122345", "extra-segment", 2, 1 },
        { "the last twice", "123445", "extra-segment", 4, 1 },
        { "index before what it covers", "51234", "reordered-segment", 5, 1 },
        { "index twice", "123455", "extra-segment", 5, 1 },
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_t *findings = verify_order(f, rows[i].order, 0);
        if (!has_finding(findings, rows[i].kind, rows[i].segment) || json_array_size(findings) != rows[i].findings)
            fail_msg("%s: %s", rows[i].name, json_dumps(findings, 0));
        json_decref(findings);
    }
}

/* Cut anywhere: the segment that was cut, and those after it, are named. */
static void cut_anywhere(void **state)
{
    struct fixture *f = *state;
    for (size_t len = 0; len < f->size; len += len % 512 == 0 ? 1 : len % 512 < 438 ? 73 : 512 - len % 512) {
        json_t *findings = verify_bytes(f, f->file, len);
        for (unsigned i = 0; i < SEGMENTS; i++) {
            bool touched = len < f->member[i].end, gone = len <= f->member[i].start || len == f->member[i].start + TAR_END;
            if (touched != has_finding(findings, gone ? "missing-segment" : "altered-segment", i + 1))
                fail_msg("cut at %zu, segment %u: %s", len, i + 1, json_dumps(findings, 0));
        }
        if (json_array_size(findings) == 0)
            fail_msg("cut at %zu is not noticed", len);
        json_decref(findings);
    }
}

static void bytes_put_in_between(void **state)
{
    struct fixture *f = *state;
    unsigned char *bytes = malloc(f->size + 512);
    for (unsigned i = 0; i <= SEGMENTS; i++) {
        size_t at = i < SEGMENTS ? f->member[i].start : f->size;
        memcpy(bytes, f->file, at);
        memset(bytes + at, 'x', 512);
        memcpy(bytes + at + 512, f->file + at, f->size - at);
        json_t *findings = verify_bytes(f, bytes, f->size + 512);
        if (!has_finding(findings, i < SEGMENTS ? "extra-bytes" : "altered-end", i < SEGMENTS ? i : 0) || json_array_size(findings) != 1)
            fail_msg("before segment %u: %s", i + 1, json_dumps(findings, 0));
        json_decref(findings);
    }
    free(bytes);
}

/* A segment beyond the log: the recorder of a session whose log an attacker cut, or one that he added. */
static void segment_beyond_the_log(void **state)
{
    struct fixture *f = *state;
    struct test_authz shorter = { .leaves = json_array(), .key = f->authz.key };
    memcpy(shorter.public_key, f->authz.public_key, 32);
    pthread_mutex_init(&shorter.lock, NULL);
    for (size_t i = 0; i + 1 < json_array_size(f->authz.leaves); i++) {
        const json_t *leaf = json_array_get(f->authz.leaves, i);
        test_authz_append(&shorter, json_string_value(json_object_get(leaf, "type")), json_deep_copy(json_object_get(leaf, "content")));
    }
    json_t *findings = test_verify(f->path, session_id, &shorter);
    assert_true(has_finding(findings, "extra-segment", SEGMENTS) && json_array_size(findings) == 1);
    json_decref(findings);
    json_decref(shorter.leaves);
}

struct log_case {
    const char *name, *kind;
    void (*change)(json_t *log);
};

static json_t *leaf_of(json_t *log, size_t i)
{
    return json_array_get(json_object_get(log, "leaves"), i);
}

static void change_content(json_t *log)
{
    json_object_set_new(json_object_get(leaf_of(log, 2), "content"), "bytes", json_integer(1));
}

static void change_type(json_t *log)
{
    json_object_set_new(leaf_of(log, 1), "type", json_string("approval"));
}

static void change_time(json_t *log)
{
    json_object_set_new(leaf_of(log, 1), "time_ms", json_integer(1));
}

static void change_digest(json_t *log)
{
    json_object_del(leaf_of(log, 1), "content");
    json_object_set_new(leaf_of(log, 1), "digest", json_string("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
}

static void take_leaf_out(json_t *log)
{
    json_array_remove(json_object_get(log, "leaves"), 2);
}

static void take_last_out(json_t *log)
{
    json_t *leaves = json_object_get(log, "leaves");
    json_array_remove(leaves, json_array_size(leaves) - 1);
}

static void add_leaf(json_t *log)
{
    json_t *leaf = json_deep_copy(leaf_of(log, 1));
    json_object_set_new(leaf, "seq", json_integer((json_int_t)json_array_size(json_object_get(log, "leaves")) + 1));
    json_array_append_new(json_object_get(log, "leaves"), leaf);
}

static void change_head(json_t *log)
{
    char note[1024];
    snprintf(note, sizeof note, "%s", json_string_value(json_object_get(log, "head")));
    note[strlen("countersign/test\n")] ^= 1;
    json_object_set_new(log, "head", json_string(note));
}

static void no_head(json_t *log)
{
    json_object_del(log, "head");
}

static void altered_logs(void **state)
{
    static const struct log_case rows[] = {
        { "content", "bad-leaf", change_content }, { "type", "bad-chain", change_type }, { "time", "bad-chain", change_time },
        { "digest", "bad-chain", change_digest }, { "a leaf out", "bad-leaf", take_leaf_out }, { "the last out", "cut-log", take_last_out },
        { "one added", "unsigned-leaf", add_leaf }, { "the head", "bad-head", change_head }, { "no head", "bad-head", no_head },
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct verify_result r;
        json_t *log = test_authz_log(&f->authz);
        rows[i].change(log);
        assert_int_equal(archive_verify(NULL, session_id, log, f->authz.public_key, "test", NULL, &r, NULL), OK);
        if (!has_finding(r.findings, rows[i].kind, 0))
            fail_msg("%s: %s", rows[i].name, json_dumps(r.findings, 0));
        verify_done(&r);
        json_decref(log);
    }
}

/* A head seen elsewhere shows a log that was cut or written anew, signed head and all. */
static void later_heads(void **state)
{
    struct fixture *f = *state;
    json_t *log = test_authz_log(&f->authz);
    struct chain_head later = chain_head_of(&f->authz.tree);
    struct verify_result r;
    char *note = NULL;
    assert_int_equal(archive_verify(f->path, session_id, log, f->authz.public_key, "test", json_string_value(json_object_get(log, "head")), &r, NULL), OK);
    assert_true(r.whole);
    verify_done(&r);
    later.seq++;
    assert_int_equal(chain_note_sign(f->authz.key, "test", &later, &note, NULL), OK);
    assert_int_equal(archive_verify(f->path, session_id, log, f->authz.public_key, "test", note, &r, NULL), OK);
    assert_true(has_finding(r.findings, "cut-log", 0));
    verify_done(&r);
    free(note);
    later.seq -= 2;
    assert_int_equal(chain_note_sign(f->authz.key, "test", &later, &note, NULL), OK);
    assert_int_equal(archive_verify(f->path, session_id, log, f->authz.public_key, "test", note, &r, NULL), OK);
    assert_true(has_finding(r.findings, "forked-log", 0));
    verify_done(&r);
    free(note);
    json_decref(log);
}

static void run_tool(const char *command, char *out, size_t out_max)
{
    FILE *p = popen(command, "r");
    assert_non_null(p);
    size_t n = fread(out, 1, out_max - 1, p);
    out[n] = 0;
    assert_int_equal(pclose(p), 0);
}

/* tar x, then age and zcat, without a word of complaint, also while nothing ended the file. */
static void stock_tools_read_it(void **state)
{
    struct fixture *f = *state;
    char command[1024], out[16384];
    snprintf(command, sizeof command, "cd %s && mkdir x && tar -xf %s -C x 2>&1 && ls x", f->dir.path, f->path);
    run_tool(command, out, sizeof out);
    assert_string_equal(out, "000001.warc.gz.age\n000002.warc.gz.age\n000003.warc.gz.age\n000004.warc.gz.age\n000005.index.jsonl.gz.age\n");
    snprintf(command, sizeof command, "tar -tf %s --occurrence=1 000004.warc.gz.age 2>&1", f->path);
    run_tool(command, out, sizeof out);
    assert_string_equal(out, "000004.warc.gz.age\n");
    if (system("command -v age >/dev/null 2>&1") != 0)
        skip();
    age_keys_free(test_keys(f->dir.path));
    snprintf(command, sizeof command, "age -d -i %s/auditor.key %s/x/000003.warc.gz.age 2>&1 | zcat 2>&1", f->dir.path, f->dir.path);
    run_tool(command, out, sizeof out);
    assert_memory_equal(out, "WARC/1.1\r\n", 10);
    assert_non_null(strstr(out, "WARC-Type: warcinfo\r\n"));
    assert_non_null(strstr(out, "\r\nperson: alice\r\n"));
    assert_non_null(strstr(out, "WARC-Type: request\r\n"));
    assert_non_null(strstr(out, "WARC-Target-URI: https://support.acme.localhost:8443/customers\r\n"));
    assert_non_null(strstr(out, "\r\n\r\nHTTP/1.1 200 OK\r\nserver: x\r\n\r\ncustomer 2\r\n\r\n"));
    snprintf(command, sizeof command, "age -d -i %s/auditor.key %s/x/000005.index.jsonl.gz.age 2>&1 | zcat 2>&1", f->dir.path, f->dir.path);
    run_tool(command, out, sizeof out);
    assert_non_null(strstr(out, "{\"index\":1,\"session\":\"grt_verify\",\"from\":1,\"to\":4}\n{\"exchange\":"));
    assert_non_null(strstr(out, "\"action\":\"read\",\"request\":\"GET /customers HTTP/1.1\",\"status\":200,\"from\":\"tool\",\"request_bytes\":0,\"response_bytes\":10,\"segment\":3,"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_is_whole),
        cmocka_unit_test(every_flipped_byte_is_noticed),
        cmocka_unit_test(whole_segments_moved),
        cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(bytes_put_in_between),
        cmocka_unit_test(segment_beyond_the_log),
        cmocka_unit_test(altered_logs),
        cmocka_unit_test(later_heads),
        cmocka_unit_test(stock_tools_read_it),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
