#include "proxy/commands/session_view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static void fields_are_found_in_recorded_heads(void **state)
{
    (void)state;
    char out[16];
    struct slice head = SLICE("HTTP/1.1 200 OK\r\nContent-Type:  text/html \r\nX: a:b\r\nno colon\r\n: empty name\r\nLong: 0123456789012345678901234567890\r\n\r\n");
    assert_string_equal(head_field(head, "content-type", out, sizeof out), "text/html");
    assert_string_equal(head_field(head, "x", out, sizeof out), "a:b");
    assert_string_equal(head_field(head, "long", out, sizeof out), "012345678901234");
    assert_string_equal(head_field(head, "http/1.1 200 ok", out, sizeof out), "");
    assert_string_equal(head_field(head, "absent", out, sizeof out), "");
    assert_string_equal(head_field(SLICE(""), "x", out, sizeof out), "");
}

static void request_lines_are_split(void **state)
{
    (void)state;
    static const struct {
        struct slice head;
        const char *method, *target;
    } rows[] = {
        { SLICE_INIT("POST /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n"), "POST", "/a?b=c" }, { SLICE_INIT("GET / HTTP/1.1"), "GET", "/" },
        { SLICE_INIT("GET"), "GET", "" },         { SLICE_INIT("GET /"), "GET", "/" },
        { SLICE_INIT(""), "", "" },               { SLICE_INIT("GET /a b HTTP/1.1\n"), "GET", "/a b" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct slice method, target;
        head_request_line(rows[i].head, &method, &target);
        assert_true(slice_eq(method, slice_str(rows[i].method)));
        assert_true(slice_eq(target, slice_str(rows[i].target)));
    }
}

static json_t *leaves(void)
{
    return json_pack("[{s:i,s:s,s:I,s:{s:s,s:s,s:s,s:s}}, {s:i,s:s,s:I,s:{s:s,s:{s:s,s:s,s:s,s:s,s:{s:s,s:s,s:s,s:s}}}}, {s:i,s:s,s:I}, {s:i,s:s,s:I,s:{s:s}}]", "seq", 1, "type",
                     "request.created", "time_ms", (json_int_t)1769860800000, "content", "item", "req_1", "person", "alice", "tool", "support", "reason",
                     "ticket\x1b[2J 4711", "seq", 2, "type", "approval", "time_ms", (json_int_t)1769860801000, "content", "item", "hld_1", "statement", "approver",
                     "carol", "decision", "approve", "purpose", "signoff", "key", "K", "scope", "action", "export", "method", "POST", "authority", "t", "target",
                     "/export", "seq", 3, "type", "segment", "time_ms", (json_int_t)1, "seq", 4, "type", "from.the.future", "time_ms", (json_int_t)1, "content", "a", "b");
}

static void decisions_become_lines(void **state)
{
    (void)state;
    char *text = NULL;
    size_t len = 0;
    json_t *l = leaves();
    assert_non_null(l);
    FILE *f = open_memstream(&text, &len);
    view_decisions(f, l);
    view_decisions(f, NULL);
    fclose(f);
    assert_string_equal(text, "  2026-01-31 12:00:00 UTC  asked for access: person alice, tool support, reason ticket\\x1b[2J 4711, item req_1\n"
                              "  2026-01-31 12:00:01 UTC  carol said yes to hld_1: export, POST https://t/export, key K\n");
    assert_string_equal(view_reason(l), "ticket\x1b[2J 4711");
    assert_string_equal(view_reason(NULL), "");
    free(text);
    json_decref(l);
}

static void exchanges_become_lines_and_say_who_said_yes(void **state)
{
    (void)state;
    char *text = NULL;
    size_t len = 0;
    json_t *l = leaves(), *notes = json_pack("{s:s}", "held", "hld_1");
    struct archive_exchange x = { .id = 9, .started_ms = 1769860800123, .request_head = SLICE("POST /export\x1b HTTP/1.1\r\n\r\n"), .request_body = SLICE("ids=7"),
        .response_body = SLICE("a,b\n"), .request_bytes = 5, .response_bytes = 4, .status = 200, .from_tool = true, .action = SLICE("export"), .notes = notes, .response_cut = true, .why = SLICE("lock") };
    FILE *f = open_memstream(&text, &len);
    view_exchange_line(f, 3, &x, l);
    fclose(f);
    assert_string_equal(text, "   3  12:00:00.123  POST /export\\x1b  200  4 bytes (sent 5 bytes)  export  held hld_1, yes of carol  ended: lock  cut off\n");
    free(text);
    x.response_head = SLICE("\xff");
    x.action = SLICE("\xff");
    json_t *o = view_exchange_json(3, &x, l);
    assert_non_null(o);
    assert_string_equal(json_string_value(json_object_get(o, "action")), "\\xff");
    assert_string_equal(json_string_value(json_array_get(json_object_get(o, "signed_off_by"), 0)), "carol");
    json_decref(o);
    struct archive_exchange empty = { .notes = NULL };
    f = open_memstream(&text, &len);
    view_exchange_line(f, 1, &empty, NULL);
    fclose(f);
    assert_non_null(strstr(text, "no answer"));
    free(text);
    json_decref(notes);
    json_decref(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_found_in_recorded_heads), cmocka_unit_test(request_lines_are_split), cmocka_unit_test(decisions_become_lines),
        cmocka_unit_test(exchanges_become_lines_and_say_who_said_yes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
