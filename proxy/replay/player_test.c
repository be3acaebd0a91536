#include "proxy/replay/player.h"

#include "proxy/record/entry.h"
#include "proxy/replay/content.h"
#include "proxy/replay/replay_test.h"

static const struct {
    const char *name, *body;
    uint64_t want;
} bodies[] = {
    { "as the glue writes it", "{\"v\":1,\"page\":\"42\",\"doc\":\"x\"}", 42 },
    { "the largest", "{\"v\":1,\"page\":\"9007199254740991\"", 9007199254740991u },
    { "none", "{\"v\":1,\"page\":\"\"", 0 },
    { "no end", "{\"v\":1,\"page\":\"42", 0 },
    { "no number", "{\"v\":1,\"page\":\"4x\"", 0 },
    { "too long", "{\"v\":1,\"page\":\"99999999999999999999\"", 0 },
    { "another version", "{\"v\":2,\"page\":\"42\"", 0 },
    { "another order", "{\"page\":\"42\",\"v\":1}", 0 },
    { "spaces", "{ \"v\":1,\"page\":\"42\"", 0 },
    { "empty", "", 0 },
};

static void test_page_of(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        if (player_page_of(slice_str(bodies[i].body)) != bodies[i].want)
            fail_msg("%s", bodies[i].name);
}

#define UPLOAD "POST /.countersign/recorder/events"
static const struct test_row rows[] = {
    { "GET /", DOCUMENT, NULL, 200, HTML, "<p>one" },
    { UPLOAD, NULL, "{\"v\":1,\"page\":\"1\",\"doc\":\"d\",\"seq\":0,\"events\":[]}", 204, NULL, NULL },
    { UPLOAD, NULL, "{\"v\":1,\"page\":\"1\",\"doc\":\"d\",\"seq\":1,broken", 204, NULL, NULL },
    { UPLOAD, NULL, "{\"v\":1,\"page\":\"77\",\"doc\":\"d\",\"seq\":0,\"events\":[]}", 204, NULL, NULL },
    { "GET /two", DOCUMENT, NULL, 200, HTML, "<p>two" },
    { UPLOAD, NULL, "nonsense", 204, NULL, NULL },
    { UPLOAD, NULL, "{\"v\":1,\"page\":\"1\"}", 404, NULL, NULL },
};

static void make(struct test_recording *t)
{
    test_recording_make(t, rows, sizeof rows / sizeof *rows);
    for (size_t i = 0; i < 6; i++)
        if (i != 0 && i != 4)
            t->x[i].action = SLICE(ACTION_BROWSER_CLAIM);
    assert_int_equal(recorded_read(&t->r), OK);
}

/* What the last row says was no upload that the gateway took: its action is another. */
static void test_count(void **state)
{
    struct test_recording t;
    unsigned counts[7];
    (void)state;
    make(&t);
    assert_int_equal(player_count(&t.r, counts), OK);
    const unsigned want[7] = { 2, 0, 0, 0, 0, 0, 0 };
    assert_memory_equal(counts, want, sizeof want);
    assert_int_equal(t.r.v[1].kind, RECORDED_CLAIM);
    assert_int_equal(t.r.v[6].kind, RECORDED_PART);
    free(t.r.v);
}

static void ask(const struct player *p, const char *method, const char *path, const char *dest, const char *site, struct arena *a, struct httpd_answer *out)
{
    struct message m = { .method = slice_str(method), .path = slice_str(path), .target = slice_str(path) };
    struct httpd_request q = { .m = &m };
    *out = (struct httpd_answer){ .arena = a };
    if (dest != NULL)
        assert_int_equal(fields_add(&m.fields, a, 8, SLICE("sec-fetch-dest"), slice_str(dest)), OK);
    if (site != NULL)
        assert_int_equal(fields_add(&m.fields, a, 8, SLICE("sec-fetch-site"), slice_str(site)), OK);
    player_handle(p, 0, &q, out);
    struct slice policy = fields_get(&out->fields, SLICE("content-security-policy"));
    assert_non_null(memmem(policy.ptr, policy.len, "default-src 'none'", 18));   /* on every answer */
}

static void test_routes(void **state)
{
    static const struct {
        const char *method, *path, *dest, *site;
        unsigned want;
    } asked[] = {
        { "GET", "/", "iframe", "cross-site", 200 },
        { "GET", "/", "document", "none", 403 },
        { "GET", "/", NULL, NULL, 403 },
        { "GET", "/", "empty", "cross-site", 403 },
        { "GET", "/player.js", "script", "same-origin", 200 },
        { "GET", "/player.js", "script", "cross-site", 403 },
        { "GET", "/events.json", "empty", "same-origin", 200 },
        { "GET", "/events.json", "empty", "same-site", 403 },
        { "GET", "/rrweb.js", "script", "same-origin", 404 },
        { "GET", "/../x", "script", "same-origin", 404 },
        { "POST", "/events.json", "empty", "same-origin", 405 },
    };
    struct test_recording t;
    (void)state;
    make(&t);
    const struct player p = { &t.r, "/nowhere", 4711 };
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        struct arena a;
        struct httpd_answer answer;
        arena_init(&a, 1 << 16);
        ask(&p, asked[i].method, asked[i].path, asked[i].dest, asked[i].site, &a, &answer);
        if (answer.status != asked[i].want)
            fail_msg("%s %s by %s: %u", asked[i].method, asked[i].path, asked[i].dest ? asked[i].dest : "-", answer.status);
        if (strcmp(asked[i].path, "/events.json") == 0 && answer.status == 200) {
            const char *text = (const char *)answer.body.ptr;
            assert_non_null(strstr(text, "\"seq\":0"));
            assert_non_null(strstr(text, "\"n\":3,\"time_ms\":1002000,\"said\":null"));
            assert_null(strstr(text, "\"n\":4"));
        }
        free(answer.owned);
        arena_done(&a);
    }
    free(t.r.v);
}

static void test_host(void **state)
{
    const char *token = "0123456789abcdef0123456789abcdef";
    struct recorded r = { .count = 3 };
    struct content c = { .recorded = &r, .port = 4712 };
    char host[128];
    size_t index = 9;
    bool scripts;
    (void)state;
    memcpy(c.token, token, CONTENT_TOKEN_LEN + 1);
    snprintf(host, sizeof host, "d3-%s.localhost:4712", token);
    assert_true(content_read_player_host(&c, slice_str(host), &index));
    assert_int_equal(index, 2);
    assert_false(content_read_host(&c, slice_str(host), &index, &scripts));
    host[0] = 'e';
    assert_false(content_read_player_host(&c, slice_str(host), &index));
    host[0] = 'd';
    host[1] = '4';
    assert_false(content_read_player_host(&c, slice_str(host), &index));
    host[1] = '1';
    host[10] ^= 1;
    assert_false(content_read_player_host(&c, slice_str(host), &index));
    assert_false(content_read_player_host(&c, slice_str(""), &index));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_page_of), cmocka_unit_test(test_count), cmocka_unit_test(test_routes), cmocka_unit_test(test_host) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
