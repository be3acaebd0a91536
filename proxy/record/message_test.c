/* WebSocket messages: recorded one by one, whatever the ring, the segments and a change of recorders do. */
#include "proxy/record/record_test.h"

#include <zlib.h>

static const unsigned char mask[4] = { 0xa1, 0, 0x5c, 0xff };

struct said {
    enum tape_speaker from;
    unsigned opcode;
    bool compressed;
    size_t len;
    const char *opcode_name;
};

/* Data messages of both directions go on at the same time, a control frame between their pieces. */
static const struct said said[] = {
    { TAPE_CLIENT, 1, false, 5, "text" },      { TAPE_TOOL, 2, false, 70001, "binary" }, { TAPE_CLIENT, 2, false, 100003, "binary" },
    { TAPE_TOOL, 1, true, 0, "text" },         { TAPE_CLIENT, 2, true, 1, "binary" },    { TAPE_TOOL, 2, false, 30000, "binary" },
};
enum { SAID = sizeof said / sizeof *said };

static unsigned char byte_of(unsigned which, size_t i)
{
    return (unsigned char)((i * 2654435761u + which * 97u) >> 13);
}

struct talk {
    struct tape *tape;
    struct test_ring ring;
    struct tape_exchange x;
    struct arena arena;
    struct secret_names names;
    unsigned controls;
};

static void give(struct talk *t, const struct tape_message *m)
{
    enum status st;
    while ((st = tape_message(t->tape, &t->x, m)) == FULL)
        test_wait(t->ring.wake_fd);
    assert_int_equal(st, OK);
}

static void ping(struct talk *t, enum tape_speaker from)
{
    struct tape_message m = { .from = from, .opcode = 9, .first = true, .last = true, .data = SLICE("ping") };
    give(t, &m);
    t->controls++;
}

/* The piece of a message from `at`; where the next begins. */
static size_t say(struct talk *t, unsigned which, size_t at, size_t piece)
{
    const struct said *s = &said[which];
    unsigned char *data = malloc(piece);
    size_t n = s->len - at < piece ? s->len - at : piece;
    for (size_t i = 0; i < n; i++)
        data[i] = byte_of(which, at + i) ^ (s->from == TAPE_CLIENT ? mask[(at + i) & 3] : 0);
    struct tape_message m = { .from = s->from, .opcode = s->opcode, .compressed = s->compressed, .first = at == 0, .last = at + n == s->len,
                              .mask = s->from == TAPE_CLIENT ? mask : NULL, .mask_at = at & 3, .data = slice_of(data, n) };
    give(t, &m);
    free(data);
    return at + n;
}

static void begin_with(struct talk *t, size_t ring_bytes, enum record_mode mode, char *const *secrets, size_t secret_count)
{
    struct field v[2][8];
    struct tape_session session = test_session("grt_ws");
    struct message request = test_request("GET", "/socket", "upgrade: websocket\n", v[0], 8), response = test_response(101, "upgrade: websocket\n", v[1], 8);
    response.framing = BODY_NONE;
    *t = (struct talk){ 0 };
    test_ring_make(&t->ring, ring_bytes);
    t->tape = test_tape(&t->ring);
    arena_init(&t->arena, 65536);
    assert_int_equal(secret_names_copy(secrets, secret_count, &t->arena, &t->names), OK);
    struct tape_keep keep = { .action = SLICE("use"), .mode = mode, .names = &t->names };
    assert_int_equal(tape_begin(t->tape, &t->x, &session, &request, &keep, &t->arena), OK);
    assert_int_equal(tape_response(t->tape, &t->x, &response, true), OK);
    assert_int_equal(tape_finish(t->tape, &t->x, TAPE_REQUEST, TAPE_COMPLETE), OK);
    assert_int_equal(tape_finish(t->tape, &t->x, TAPE_RESPONSE, TAPE_COMPLETE), OK);
}

static void begin(struct talk *t, size_t ring_bytes, enum record_mode mode)
{
    begin_with(t, ring_bytes, mode, NULL, 0);
}

/* Message after message of each direction, the two directions taking turns. */
static void talk_through(struct talk *t, size_t piece, struct recorder **r, const char *dir, const struct test_authz *authz, size_t segment)
{
    unsigned at_message[2] = { 0, 0 }, turns = 0;
    size_t at[2] = { 0, 0 };
    for (bool more = true; more;) {
        more = false;
        for (unsigned side = 0; side < 2; side++) {
            unsigned *i = &at_message[side];
            while (*i < SAID && (said[*i].from == TAPE_CLIENT) != (side == 0))
                (*i)++;
            if (*i == SAID)
                continue;
            more = true;
            at[side] = say(t, *i, at[side], piece);
            if (at[side] == said[*i].len) {
                at[side] = 0;
                (*i)++;
            } else if (turns % 5 == 0) {
                ping(t, side == 0 ? TAPE_CLIENT : TAPE_TOOL);
            }
        }
        if (++turns % 7 == 3) {       /* another recorder takes over in the middle of messages */
            recorder_stop(*r);
            *r = test_recorder(dir, authz, &t->ring, 1, 100, segment);
        }
    }
}

/* sizes: how long each message was, and none of its bytes. */
static void check(const struct archive_exchange *x, unsigned controls, bool sizes)
{
    bool found[SAID] = { false };
    unsigned pings = 0;
    assert_int_equal(x->status, 101);
    assert_false(x->request_cut || x->response_cut);
    assert_int_equal(x->message_count, SAID + controls + 1);
    for (size_t i = 0; i < x->message_count; i++) {
        const struct archive_ws_message *m = &x->messages[i];
        unsigned which = SAID;
        assert_int_equal(m->number, i + 1);
        assert_int_equal(m->data.len, sizes ? 0 : m->length);
        assert_int_equal(m->omitted, sizes);
        if (slice_eq(m->opcode, SLICE("ping"))) {
            assert_true((sizes || slice_eq(m->data, SLICE("ping"))) && m->length == 4 && !m->cut);
            pings++;
            continue;
        }
        if (i + 1 == x->message_count) {   /* what nobody finished */
            assert_true(m->cut && slice_eq(m->from, SLICE("tool")) && m->length == 4 && (sizes || slice_eq(m->data, SLICE("half"))));
            continue;
        }
        for (unsigned k = 0; k < SAID && which == SAID; k++)
            if (!found[k] && said[k].len == m->length && slice_eq(m->from, said[k].from == TAPE_CLIENT ? SLICE("client") : SLICE("tool")))
                which = k;
        assert_true(which < SAID && !m->cut && m->compressed == said[which].compressed);
        assert_true(slice_eq(m->opcode, slice_str(said[which].opcode_name)));
        found[which] = true;
        for (size_t b = 0; b < m->data.len; b++)
            assert_int_equal(m->data.ptr[b], byte_of(which, b));
    }
    assert_int_equal(pings, controls);
}

static void messages_are_read_back(void **state)
{
    static const struct { const char *name; size_t ring, segment, piece; enum record_mode mode; } rows[] = {
        { "tiny ring, tiny segments", 4096, 1024, 300, RECORD_FULL },
        { "small segments", 65536, 5000, 1999, RECORD_FULL },
        { "large", 1 << 20, 1 << 20, 40000, RECORD_FULL },
        { "pieces larger than an entry", 1 << 20, 1 << 20, 100000, RECORD_FULL },
        { "sizes only, tiny ring", 4096, 1024, 300, RECORD_METADATA },
        { "sizes only, large", 1 << 20, 1 << 20, 100000, RECORD_METADATA },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct test_dir dir;
        struct test_authz authz;
        struct talk t;
        print_message("%s\n", rows[i].name);
        test_dir_make(&dir);
        test_authz_start(&authz, dir.path);
        begin(&t, rows[i].ring, rows[i].mode);
        struct recorder *r = test_recorder(dir.path, &authz, &t.ring, 1, 100, rows[i].segment);
        talk_through(&t, rows[i].piece, &r, dir.path, &authz, rows[i].segment);
        struct tape_message half = { .from = TAPE_TOOL, .opcode = 1, .first = true, .data = SLICE("half") };
        give(&t, &half);
        tape_close(t.tape, &t.x, "locked");
        recorder_stop(r);
        struct archive *a = test_archive(dir.path, "grt_ws");
        assert_int_equal(archive_count(a), 1);
        check(archive_at(a, 0), t.controls, rows[i].mode == RECORD_METADATA);
        archive_free(a);
        test_verify_whole(dir.path, "grt_ws", &authz);
        test_authz_stop(&authz);
        tape_free(t.tape);
        arena_done(&t.arena);
        test_ring_free(&t.ring);
        test_dir_remove(dir.path);
    }
}

/* Compressed ones lose their secrets as others do, whatever the ring; what can't be read is known by its size. */
static void compressed_messages_are_read(void **state)
{
    static const size_t rings[] = { 4096, 65536 }, pieces[] = { 7, 5000 };
    static char *const secrets[] = { (char *)(uintptr_t)"password" };
    (void)state;
    for (size_t round = 0; round < 4; round++) {
        struct test_dir dir;
        struct test_authz authz;
        struct talk t;
        unsigned char packed[4][8192];
        size_t len[4] = { 0, 0, 0, 0 };
        char *large = malloc(60001), *kept = malloc(60001);
        z_stream z = { 0 };
        memset(large, 'x', 60000);
        memcpy(large, "{\"password\":\"hunter2\",\"a\":\"", 27);
        memcpy(large + 59998, "\"}", 3);
        int kept_len = snprintf(kept, 60001, "{\"password\":\"removed\",\"a\":\"%s", large + 27);
        const char *const says[] = { "{\"user\":1,\"password\":\"hunter2\"}", large, "{\"user\":1,\"password\":\"hunter2\"}" };
        assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
        for (size_t i = 0; i < 3; i++) {
            z.next_in = (Bytef *)(uintptr_t)says[i];
            z.avail_in = (uInt)strlen(says[i]);
            z.next_out = packed[i];
            z.avail_out = sizeof packed[i];
            assert_int_equal(deflate(&z, Z_SYNC_FLUSH), Z_OK);
            len[i] = sizeof packed[i] - z.avail_out - 4;
        }
        deflateEnd(&z);
        len[3] = 9;
        memcpy(packed[3], "\xff\xff nonse", 9);
        test_dir_make(&dir);
        test_authz_start(&authz, dir.path);
        begin_with(&t, rings[round & 1], RECORD_FULL, secrets, 1);
        struct recorder *r = test_recorder(dir.path, &authz, &t.ring, 1, 100, 20000);
        for (size_t i = 0; i < 4; i++)
            for (size_t at = 0; at < len[i]; at += pieces[round >> 1]) {
                size_t n = len[i] - at < pieces[round >> 1] ? len[i] - at : pieces[round >> 1];
                struct tape_message m = { .from = TAPE_TOOL, .opcode = 1, .compressed = true, .first = at == 0, .last = at + n == len[i], .data = slice_of(packed[i] + at, n) };
                give(&t, &m);
            }
        tape_close(t.tape, &t.x, NULL);
        recorder_stop(r);
        struct archive *a = test_archive(dir.path, "grt_ws");
        const struct archive_exchange *x = archive_at(a, 0);
        const char *const want[] = { "{\"user\":1,\"password\":\"removed\"}", kept, "{\"user\":1,\"password\":\"removed\"}" };
        assert_int_equal(x->message_count, 4);
        for (size_t i = 0; i < 3; i++) {
            assert_true(slice_eq(x->messages[i].data, slice_str(want[i])));
            assert_false(x->messages[i].compressed || x->messages[i].cut || x->messages[i].omitted);
        }
        assert_true(x->messages[3].omitted && !x->messages[3].cut && x->messages[3].data.len == 0 && x->messages[3].length == 9);
        assert_true(kept_len == 60000);
        archive_free(a);
        test_verify_whole(dir.path, "grt_ws", &authz);
        test_authz_stop(&authz);
        tape_free(t.tape);
        arena_done(&t.arena);
        test_ring_free(&t.ring);
        test_dir_remove(dir.path);
        free(large);
        free(kept);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(messages_are_read_back), cmocka_unit_test(compressed_messages_are_read) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
