#include "proxy/replay/replay_test.h"

#include "proxy/replay/query_match.h"

static const struct test_row rows[] = {
    /* 0 */ { "GET /login", DOCUMENT, NULL, 302, "location: /home\r\n", "" },
    /* 1 */ { "GET /home", DOCUMENT, NULL, 200, HTML, "<title>home</title>" },
    /* 2 */ { "GET /app.css", "sec-fetch-dest: style\r\nreferer: https://tool.example:8443/home\r\n", NULL, 200, "content-type: text/css\r\n", "a{}" },
    /* 3 */ { "GET /api/list?_=1795455930001", "sec-fetch-dest: empty\r\nreferer: https://tool.example:8443/home\r\n", NULL, 200, JSON, "[1]" },
    /* 4 */ { "GET /api/list?_=1795455930002", "sec-fetch-dest: empty\r\nreferer: https://tool.example:8443/home\r\n", NULL, 200, JSON, "[2]" },
    /* 5 */ { "GET /item?token=fp:0123456789abcdef", DOCUMENT, NULL, 200, HTML, "item" },
    /* 6 */ { "GET /app.css", "sec-fetch-dest: style\r\n", NULL, 304, NULL, "" },
    /* 7 */ { "POST /api/save", "sec-fetch-dest: empty\r\n", "a=1", 200, JSON, "saved 1" },
    /* 8 */ { "POST /api/save", "sec-fetch-dest: empty\r\n", "a=2", 200, JSON, "saved 2" },
    /* 9 */ { "GET /late.js", "sec-fetch-dest: script\r\nreferer: https://tool.example:8443/home\r\n", NULL, 200, "content-type: text/javascript\r\n", "1" },
    /* 10 */ { "GET /contacts.csv", DOCUMENT, NULL, 200, "content-type: text/csv\r\ncontent-disposition: attachment\r\n", "a,b" },
    /* 11 */ { "GET /socket", "sec-fetch-dest: websocket\r\n", NULL, 101, NULL, "" },
    /* 12 */ { "GET /events", "sec-fetch-dest: empty\r\n", NULL, 200, "content-type: text/event-stream\r\n", "data: 1\n\n" },
    /* 13 */ { "GET /frame", "sec-fetch-dest: iframe\r\n", NULL, 200, HTML, "framed" },
    /* 14 */ { "GET /cached.js", "sec-fetch-dest: script\r\n", NULL, 304, NULL, "" },
    /* 15 */ { "GET /home", DOCUMENT, NULL, 200, HTML, "home again" },
    /* 16 */ { "GET /app.css", "sec-fetch-dest: style\r\n", NULL, 200, "content-type: text/css\r\n", "b{}" },
    /* 17 */ { "GET /curl", NULL, NULL, 200, HTML, "no word of a browser" },
    /* 18 */ { "GET /never", DOCUMENT, NULL, 0, NULL, "" },
};
enum { COUNT = sizeof rows / sizeof rows[0] };

static void kinds_and_pages(void **state)
{
    (void)state;
    static const struct { size_t i; enum recorded_kind kind; size_t page; } wanted[] = {
        { 0, RECORDED_REDIRECT, 1 }, { 1, RECORDED_PAGE, 1 }, { 2, RECORDED_PART, 1 }, { 5, RECORDED_PAGE, 5 }, { 6, RECORDED_PART, 5 }, { 9, RECORDED_PART, 1 }, { 10, RECORDED_DOWNLOAD, 5 },
        { 11, RECORDED_SOCKET, 5 }, { 12, RECORDED_STREAM, 5 }, { 13, RECORDED_FRAME, 5 }, { 15, RECORDED_PAGE, 15 }, { 17, RECORDED_PAGE, 17 }, { 18, RECORDED_PART, 17 },
    };
    struct test_recording t;
    test_recording_make(&t, rows, COUNT);
    for (size_t k = 0; k < sizeof wanted / sizeof *wanted; k++) {
        const struct recorded_exchange *e = &t.r.v[wanted[k].i];
        if (e->kind != wanted[k].kind || e->page != wanted[k].page)
            fail_msg("%zu: %s of page %zu", wanted[k].i, recorded_kind_name(e->kind), e->page);
    }
    recorded_done(&t.r);
}

static struct recorded_answer ask(struct test_recording *t, size_t page, const char *method, const char *target, const char *body)
{
    struct recorded_ask a = { page, slice_str(method), slice_str(target), slice_str(body), slice_of(NULL, 0) };
    return recorded_find(&t->r, &a);
}

static void answers(void **state)
{
    (void)state;
    static const struct { const char *name; size_t page; const char *method, *target, *body; size_t index; bool near; } wanted[] = {
        { "the page's own", 1, "GET", "/app.css", NULL, 2, false },
        { "an earlier page's, nearest", 5, "GET", "/late.js", NULL, 9, false },
        { "of a later page, its own version", 15, "GET", "/app.css", NULL, 16, false },
        { "a time that changes each time", 1, "GET", "/api/list?_=1795455999999", NULL, 3, true },
        { "HEAD of what was got", 1, "HEAD", "/late.js", NULL, 9, false },
        { "a form, by its words", 5, "POST", "/api/save", "a=2", 8, false },
        { "another page's form, same words", 1, "POST", "/api/save", "a=1", 7, false },
        { "a secret that the recording does not have", 5, "GET", "/item?token=the-real-one", NULL, 5, false },
        { "another page's form, other words", 1, "POST", "/api/save", "a=3", RECORDED_NONE, false },
        { "never asked", 1, "GET", "/nothing", NULL, RECORDED_NONE, false },
        { "another query", 1, "GET", "/api/list?q=1", NULL, RECORDED_NONE, false },
        { "another method", 1, "DELETE", "/app.css", NULL, RECORDED_NONE, false },
        { "a WebSocket is no answer", 5, "GET", "/socket", NULL, RECORDED_NONE, false },
        { "the browser had it before", 5, "GET", "/cached.js", NULL, RECORDED_NONE, false },
        { "a path that begins alike", 1, "GET", "/app.css2", NULL, RECORDED_NONE, false },
    };
    struct test_recording t;
    test_recording_make(&t, rows, COUNT);
    for (size_t k = 0; k < sizeof wanted / sizeof *wanted; k++) {
        struct recorded_answer a = ask(&t, wanted[k].page, wanted[k].method, wanted[k].target, wanted[k].body);
        if (a.index != wanted[k].index || a.near != wanted[k].near || (a.index == RECORDED_NONE) != (a.why_not != NULL))
            fail_msg("%s: %zd, near %d", wanted[k].name, (ssize_t)a.index, a.near);
    }
    recorded_done(&t.r);
}

/* Polls get what polls got, one after the other, and then wait; a page that is loaded anew begins anew. */
static void questions_asked_again(void **state)
{
    (void)state;
    struct test_recording t;
    test_recording_make(&t, rows, COUNT);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(ask(&t, 1, "GET", "/api/list?_=1795455930077", NULL).index, 3);
        struct recorded_answer second = ask(&t, 1, "GET", "/api/list?_=1795455930078", NULL), third = ask(&t, 1, "GET", "/api/list?_=1795455930079", NULL);
        assert_true(second.index == 4 && !second.hold && third.index == 4 && third.hold);
        assert_int_equal(ask(&t, 1, "GET", "/late.js", NULL).index, 9);
        assert_false(ask(&t, 1, "GET", "/late.js", NULL).again);       /* one answer stays the answer */
        recorded_restart(&t.r, 1);
    }
    recorded_done(&t.r);
}

static void links(void **state)
{
    (void)state;
    struct test_recording t;
    test_recording_make(&t, rows, COUNT);
    assert_int_equal(recorded_find_page(&t.r, 1, SLICE("/home")), 15);
    assert_int_equal(recorded_find_page(&t.r, 15, SLICE("/home")), 15);
    assert_int_equal(recorded_find_page(&t.r, 5, SLICE("/login")), 0);
    assert_int_equal(recorded_find_page(&t.r, 1, SLICE("/item?token=abc")), 5);
    assert_true(recorded_find_page(&t.r, 1, SLICE("/app.css")) == RECORDED_NONE && recorded_find_page(&t.r, 1, SLICE("/home?x=1")) == RECORDED_NONE);
    assert_int_equal(recorded_body_of(&t.r, 6), 2);
    assert_true(recorded_body_of(&t.r, 14) == RECORDED_NONE);
    recorded_done(&t.r);
}

static void bodies_that_policy_did_not_keep(void **state)
{
    (void)state;
    struct test_recording t;
    test_recording_make(&t, rows, COUNT);
    t.x[2].response_omitted = 3;
    t.x[16].response_omitted = 3;
    t.x[6].status = 404;
    struct recorded_answer a = ask(&t, 1, "GET", "/late.css", NULL), b = ask(&t, 1, "GET", "/app.css", NULL);
    assert_non_null(strstr(a.why_not, "nobody asked"));
    assert_int_equal(b.index, 6);
    t.x[6].response_omitted = 1;
    b = ask(&t, 1, "GET", "/app.css", NULL);
    assert_true(b.index == RECORDED_NONE && strstr(b.why_not, "policy") != NULL);
    recorded_done(&t.r);
}

static void queries(void **state)
{
    (void)state;
    static const struct { const char *asked, *recorded; enum query_match wanted; } cases[] = {
        { "", "", QUERY_SAME }, { "a=1&b=2", "a=1&b=2", QUERY_SAME }, { "a=1", "a=2", QUERY_OTHER }, { "a=1", "", QUERY_OTHER }, { "", "a=1", QUERY_OTHER }, { "a=1&b=2", "b=2&a=1", QUERY_OTHER },
        { "t=x1&a=1", "t=y2&a=1", QUERY_NEAR }, { "t=x1&a=1", "t=y2&a=2", QUERY_OTHER }, { "token=secret", "token=fp:0123456789abcdef", QUERY_REDACTED }, { "token=s", "token=removed", QUERY_REDACTED },
        { "token=s&_=1", "token=removed&_=2", QUERY_NEAR }, { "token=fp:0123456789abcdef", "token=secret", QUERY_OTHER }, { "x=fp:short", "x=fp:shorx", QUERY_OTHER },
        { "at=1795455930001", "at=1795455930002", QUERY_NEAR }, { "id=100", "id=101", QUERY_OTHER }, { "id=2795455930001", "id=2795455930002", QUERY_OTHER }, { "a", "a", QUERY_SAME }, { "a=", "a", QUERY_OTHER },
        { "&", "&", QUERY_SAME }, { "a=1&", "a=1", QUERY_SAME },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (query_compare(slice_str(cases[i].asked), slice_str(cases[i].recorded)) != cases[i].wanted)
            fail_msg("%s beside %s", cases[i].asked, cases[i].recorded);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(kinds_and_pages), cmocka_unit_test(answers), cmocka_unit_test(questions_asked_again), cmocka_unit_test(links),
                                        cmocka_unit_test(bodies_that_policy_did_not_keep), cmocka_unit_test(queries) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
