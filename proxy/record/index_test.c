/* Indexes: what is written is what is read; what is damaged is refused; and with and without them a recording tells the same of each exchange. */
#include "proxy/record/index.h"
#include "proxy/record/listing.h"
#include "proxy/record/record_test.h"

#include <fcntl.h>

/* ---- lines ---- */

struct lines {
    struct index_line v[4];
    size_t count;
};

static enum status keep_line(void *to, const struct index_line *l)
{
    struct lines *all = to;
    assert_true(all->count < 4);
    all->v[all->count++] = *l;
    return OK;
}

static void lines_come_back(void **state)
{
    static const char odd[] = "/a?q=\"x\"\\y\x01\x7f\xc3\xa9\xff";
    const struct index_line lines[] = {
        { .exchange = 1, .started_ms = 2 },
        { .exchange = INT64_MAX, .started_ms = 1790000000123, .ended_ms = 1790000000456, .status = 200, .from_tool = true, .request_bytes = 7, .response_bytes = UINT32_MAX,
          .segment = 3, .last_segment = 999999, .offset = 12345, .messages = 5, .removed = 2, .action = SLICE("view"), .request = slice_of(odd, sizeof odd - 1), .names = SLICE("customer=17,customer=18"),
          .secrets = SLICE("x-api-key=fp:0123456789abcdef"), .record = SLICE("<urn:uuid:x>"), .why = SLICE("process-died"), .sha256 = SLICE("00ff"),
          .notes = SLICE("{\"held\":\"hld_1\",\"x\":[\"}\",\"\\\"{\"]}") },
        { .exchange = 9, .started_ms = 1, .part = INDEX_BEGIN, .sizes_only = true, .request_cut = true },
        { .exchange = 9, .started_ms = 1, .part = INDEX_END, .status = 403, .request_cut = true, .response_cut = true },
    };
    struct warc_bytes b = { 0 };
    struct lines got = { .count = 0 };
    struct index_cover cover = { 7, 12 };
    struct err err = { "" };
    (void)state;
    assert_int_equal(index_put_cover(&b, "grt_1", &cover), OK);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(index_put(&b, &lines[i]), OK);
    cover = (struct index_cover){ 0 };
    if (index_read((char *)b.data, b.len, &cover, keep_line, &got, &err) != OK)
        fail_msg("%s", err.text);
    assert_true(cover.from == 7 && cover.to == 12 && got.count == 4);
    for (size_t i = 0; i < 4; i++) {
        const struct index_line *x = &lines[i], *y = &got.v[i];
        assert_true(x->exchange == y->exchange && x->started_ms == y->started_ms && x->ended_ms == y->ended_ms && x->part == y->part && x->status == y->status);
        assert_true(x->from_tool == y->from_tool && x->sizes_only == y->sizes_only && x->request_cut == y->request_cut && x->response_cut == y->response_cut);
        assert_true(x->request_bytes == y->request_bytes && x->response_bytes == y->response_bytes && x->segment == y->segment && x->last_segment == y->last_segment);
        assert_true(x->offset == y->offset && x->messages == y->messages && x->removed == y->removed);
        assert_true(test_same(x->action, y->action) && test_same(x->request, y->request) && test_same(x->names, y->names) && test_same(x->secrets, y->secrets));
        assert_true(test_same(x->record, y->record) && test_same(x->why, y->why) && test_same(x->sha256, y->sha256) && test_same(x->notes, y->notes));
    }
    warc_bytes_done(&b);
}

#define COVER "{\"index\":1,\"session\":\"s\",\"from\":1,\"to\":2}\n"
#define GOOD "\"exchange\":1,\"started_ms\":2"

static void damaged_lines_are_refused(void **state)
{
    static const struct { const char *name, *text; bool good; } rows[] = {
        { "a whole one", COVER "{" GOOD "}\n", true },
        { "no line but the first", COVER, true },
        { "something new", COVER "{" GOOD ",\"later\":\"x\",\"count\":7}\n", true },
        { "members in another order", COVER "{\"started_ms\":2,\"action\":\"a\",\"exchange\":1}\n", true },
        { "nothing", "", false },
        { "no first line", "{" GOOD "}\n", false },
        { "another version", "{\"index\":2,\"from\":1,\"to\":2}\n", false },
        { "covers backwards", "{\"index\":1,\"from\":2,\"to\":1}\n", false },
        { "covers from 0", "{\"index\":1,\"from\":0,\"to\":1}\n", false },
        { "cut off", COVER "{" GOOD "}", false },
        { "cut off in a string", COVER "{" GOOD ",\"why\":\"x\n", false },
        { "cut off in an escape", COVER "{" GOOD ",\"why\":\"\\u00\"}\n", false },
        { "cut off after a comma", COVER "{" GOOD ",}\n", false },
        { "an empty line", COVER "\n", false },
        { "no brace", COVER GOOD "\n", false },
        { "more behind", COVER "{" GOOD "}}\n", false },
        { "white space", COVER "{ " GOOD "}\n", false },
        { "no exchange", COVER "{\"started_ms\":2}\n", false },
        { "exchange 0", COVER "{\"exchange\":0,\"started_ms\":2}\n", false },
        { "no time", COVER "{\"exchange\":1}\n", false },
        { "negative", COVER "{\"exchange\":-1,\"started_ms\":2}\n", false },
        { "leading zero", COVER "{\"exchange\":01,\"started_ms\":2}\n", false },
        { "one past the largest", COVER "{\"exchange\":9223372036854775808,\"started_ms\":2}\n", false },
        { "a fraction", COVER "{\"exchange\":1.5,\"started_ms\":2}\n", false },
        { "a status of four digits", COVER "{" GOOD ",\"status\":1000}\n", false },
        { "an unknown part", COVER "{" GOOD ",\"part\":\"middle\"}\n", false },
        { "an unknown side", COVER "{" GOOD ",\"cut\":\"none\"}\n", false },
        { "an unknown speaker", COVER "{" GOOD ",\"from\":\"me\"}\n", false },
        { "a text twice", COVER "{" GOOD ",\"why\":\"a\",\"why\":\"b\"}\n", false },
        { "notes that are a string", COVER "{" GOOD ",\"notes\":\"x\"}\n", false },
        { "a why that is an object", COVER "{" GOOD ",\"why\":{}}\n", false },
        { "notes without an end", COVER "{" GOOD ",\"notes\":{\"a\":\"}\"\n", false },
        { "notes too deep", COVER "{" GOOD ",\"notes\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{}}}}}}}}}}\n", false },
        { "a list", COVER "{" GOOD ",\"x\":[]}\n", false },
        { "a control character", COVER "{" GOOD ",\"why\":\"\t\"}\n", false },
        { "a byte that is no ASCII", COVER "{" GOOD ",\"why\":\"\xc3\xa9\"}\n", false },
        { "an escape for what is no byte", COVER "{" GOOD ",\"why\":\"\\u0100\"}\n", false },
        { "another escape", COVER "{" GOOD ",\"why\":\"\\n\"}\n", false },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *text = strdup(rows[i].text);
        struct lines got = { .count = 0 };
        struct index_cover cover;
        struct err err = { "" };
        enum status st = index_read(text, strlen(text), &cover, keep_line, &got, &err);
        if (st != (rows[i].good ? OK : BAD_INPUT))
            fail_msg("%s: %d %s", rows[i].name, st, err.text);
        free(text);
    }
}

/* ---- recordings ---- */

struct fixture {
    struct test_dir dir;
    struct test_authz authz;
    struct test_ring ring;
    struct recorder *recorder;
    struct tape *tape;
    struct arena arena[4];
    struct secret_names secrets[4];
    struct tape_exchange x[4];
};
static const char session_id[] = "grt_index";

static void start(struct fixture *f)
{
    f->recorder = test_recorder(f->dir.path, &f->authz, &f->ring, 1, 3600000, 1 << 20);
    if (f->tape == NULL)
        f->tape = test_tape(&f->ring);
}

static void make(struct fixture *f)
{
    *f = (struct fixture){ 0 };
    test_dir_make(&f->dir);
    test_ring_make(&f->ring, 1 << 20);
    test_authz_start(&f->authz, f->dir.path);
    start(f);
}

static void unmake(struct fixture *f)
{
    tape_free(f->tape);
    test_authz_stop(&f->authz);
    test_ring_free(&f->ring);
    test_dir_remove(f->dir.path);
}

static void begin(struct fixture *f, unsigned n, const char *target, const char *names)
{
    struct field v[4];
    struct tape_session s = test_session(session_id);
    struct message request = test_request("GET", target, "cookie: sessionid=abcdef\n", v, 2), response = test_response(200, "set-cookie: token=geheim; Path=/\ncontent-type: application/json\n", v + 2, 2);
    char *redact[] = { (char[]){ "api_key" } };
    arena_init(&f->arena[n], 65536);
    assert_int_equal(secret_names_copy(redact, 1, &f->arena[n], &f->secrets[n]), OK);
    f->x[n] = (struct tape_exchange){ 0 };
    assert_int_equal(tape_begin(f->tape, &f->x[n], &s, &request, &(struct tape_keep){ .action = SLICE("view"), .touched = slice_str(names), .names = &f->secrets[n] },
                                &f->arena[n]), OK);
    assert_int_equal(tape_response(f->tape, &f->x[n], &response, true), OK);
    assert_int_equal(tape_body(f->tape, &f->x[n], TAPE_RESPONSE, SLICE("{\"api_key\":\"0123\",\"name\":\"x\",")), OK);
}

static void end(struct fixture *f, unsigned n)
{
    assert_int_equal(tape_body(f->tape, &f->x[n], TAPE_RESPONSE, SLICE("\"api_key\":7}")), OK);
    assert_int_equal(tape_finish(f->tape, &f->x[n], TAPE_RESPONSE, TAPE_COMPLETE), OK);
    tape_close(f->tape, &f->x[n], NULL);
    arena_done(&f->arena[n]);
}

static void flush(struct fixture *f)
{
    tape_demand(f->tape);
    while (tape_durable(f->tape) < tape_position(f->tape))
        test_wait(f->ring.wake_fd);
}

/* Through the eyes of one who opens everything, and of one who opens the indexes; *unindexed: segments read for want of one. */
static struct archive *both(struct fixture *f, size_t *unindexed)
{
    char path[256];
    struct archive *a = test_archive(f->dir.path, session_id), *l = NULL;
    struct age_keys *keys = test_keys(f->dir.path);
    test_recording_path(path, f->dir.path, session_id);
    assert_int_equal(archive_list(path, keys, &l, NULL), OK);
    *unindexed = archive_source(l).unindexed;
    archive_free(a);
    age_keys_free(keys);
    return l;
}

static void customers_and_secrets_are_listed(void **state)
{
    struct fixture f;
    size_t unindexed;
    (void)state;
    make(&f);
    begin(&f, 0, "/customers/17", "customer=17,customer=18");
    end(&f, 0);
    begin(&f, 1, "/", "");
    end(&f, 1);
    recorder_stop(f.recorder);
    struct archive *l = both(&f, &unindexed);
    assert_int_equal(unindexed, 0);
    const struct archive_exchange *x = archive_at(l, 0);
    assert_true(slice_eq(x->names, SLICE("customer=17,customer=18")) && x->removed == 2);
    assert_true(slice_starts(x->secrets, SLICE("set-cookie=fp:")) && x->secrets.len == 14 + 16);
    assert_true(slice_eq(x->request_head, SLICE("GET /customers/17 HTTP/1.1")));
    assert_int_equal(archive_at(l, 1)->names.len, 0);
    archive_free(l);
    unmake(&f);
}

/* Open while an index is written, ended in another, begun before a change of recorders and ended after it: each is told whole. */
static void exchanges_over_several_indexes(void **state)
{
    struct fixture f;
    size_t unindexed;
    (void)state;
    make(&f);
    begin(&f, 0, "/first", "customer=1");
    begin(&f, 1, "/second", "customer=2");
    begin(&f, 2, "/third", "customer=3");
    end(&f, 0);
    recorder_stop(f.recorder);        /* 0 is listed, 1 and 2 as open */
    archive_free(both(&f, &unindexed));
    start(&f);
    end(&f, 1);
    begin(&f, 3, "/fourth", "customer=4");
    flush(&f);                        /* written, and no index yet */
    struct archive *l = both(&f, &unindexed);
    assert_int_equal(unindexed, 1);
    assert_int_equal(archive_count(l), 4);
    archive_free(l);
    recorder_stop(f.recorder);
    start(&f);
    end(&f, 2);
    end(&f, 3);
    recorder_stop(f.recorder);
    l = both(&f, &unindexed);
    assert_int_equal(unindexed, 0);
    for (size_t i = 0; i < 4; i++) {
        const struct archive_exchange *x = archive_at(l, i);
        assert_true(x->names.len == 10 && x->names.ptr[9] == '1' + i && x->status == 200 && x->why.len == 0);
    }
    archive_free(l);
    test_verify_whole(f.dir.path, session_id, &f.authz);
    unmake(&f);
}

/* A listing as the gateway hands it out: the indexes alone. */
static void a_listing_is_a_small_tar(void **state)
{
    struct fixture f;
    struct listing l = { 0 };
    struct stretch_of_file *parts = NULL;
    struct archive *a = NULL;
    size_t count = 0;
    char path[256], small[256];
    unsigned char buf[65536];
    (void)state;
    make(&f);
    for (unsigned i = 0; i < 5; i++) {
        begin(&f, 0, "/x", "customer=5");
        end(&f, 0);
        flush(&f);
    }
    recorder_stop(f.recorder);
    start(&f);
    begin(&f, 0, "/y", "");
    end(&f, 0);
    flush(&f);
    test_recording_path(path, f.dir.path, session_id);
    snprintf(small, sizeof small, "%s/small.tar", f.dir.path);
    struct stat sb;
    int fd = open(path, O_RDONLY), out = open(small, O_WRONLY | O_CREAT, 0600);
    assert_int_equal(fstat(fd, &sb), 0);
    assert_int_equal(listing_walk(fd, (uint64_t)sb.st_size, &l, NULL), OK);
    assert_int_equal(l.count, 7);
    assert_int_equal(listing_stretches(&l, (uint64_t)sb.st_size, &parts, &count), OK);
    for (size_t i = 0; i < count; i++) {
        assert_true(parts[i].len <= sizeof buf && pread(fd, buf, parts[i].len, (off_t)parts[i].from) == (ssize_t)parts[i].len);
        assert_int_equal(write(out, buf, parts[i].len), parts[i].len);
    }
    assert_int_equal(fstat(out, &sb), 0);
    assert_true((uint64_t)sb.st_size == l.v[5].end - l.v[5].start + l.v[6].end - l.v[6].start + TAR_END);
    close(fd);
    close(out);
    struct age_keys *keys = test_keys(f.dir.path);
    assert_int_equal(archive_list(small, keys, &a, NULL), OK);
    assert_int_equal(archive_count(a), 6);
    assert_int_equal(archive_bad_segments(a), 0);
    archive_free(a);
    assert_int_equal(archive_list(small, NULL, &a, NULL), REFUSED);
    /* Without its index it is not whole, and says so. */
    fd = open(small, O_RDWR);
    memset(buf, 'x', 512);
    assert_int_equal(pwrite(fd, buf, 64, (off_t)(l.v[5].content - l.v[5].start + 300)), 64);
    close(fd);
    assert_int_equal(archive_list(small, keys, &a, NULL), OK);
    assert_int_equal(archive_source(a).bad_indexes, 1);
    assert_int_equal(archive_bad_segments(a), 1);
    archive_free(a);
    /* In the whole recording the segments are there, and tell it all the same. */
    fd = open(path, O_RDWR);
    assert_int_equal(pwrite(fd, buf, 64, (off_t)(l.v[5].content + 300)), 64);
    close(fd);
    assert_int_equal(archive_list(path, keys, &a, NULL), OK);
    assert_true(archive_source(a).bad_indexes == 1 && archive_source(a).unindexed == 6 && archive_count(a) == 6 && archive_bad_segments(a) == 0);
    archive_free(a);
    age_keys_free(keys);
    free(parts);
    listing_done(&l);
    recorder_stop(f.recorder);
    unmake(&f);
}

/* Many exchanges: an index each 256 KiB of lines, not one a segment. */
static void indexes_are_few(void **state)
{
    enum { MANY = 3200 };
    struct fixture f;
    size_t unindexed;
    (void)state;
    make(&f);
    for (unsigned i = 0; i < MANY; i++) {
        char target[64];
        snprintf(target, sizeof target, "/customers/%u", i % 40);
        begin(&f, 0, target, "customer=1");
        end(&f, 0);
        if (i % 16 == 15)
            flush(&f);
    }
    struct archive *l = both(&f, &unindexed);
    assert_int_equal(archive_count(l), MANY);
    assert_true(unindexed > 0 && unindexed < MANY / 16);
    archive_free(l);
    recorder_stop(f.recorder);
    l = both(&f, &unindexed);
    assert_int_equal(archive_count(l), MANY);
    assert_int_equal(unindexed, 0);
    archive_free(l);
    test_verify_whole(f.dir.path, session_id, &f.authz);
    unmake(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_come_back),
        cmocka_unit_test(damaged_lines_are_refused),
        cmocka_unit_test(customers_and_secrets_are_listed),
        cmocka_unit_test(exchanges_over_several_indexes),
        cmocka_unit_test(a_listing_is_a_small_tar),
        cmocka_unit_test(indexes_are_few),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
