#include "proxy/console/api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

struct row {
    const char *name, *method, *path, *query_name, *query_value, *type, *body;
    unsigned status;                  /* of the refusal, or 0 */
    const char *op;
};

static const struct row table[] = {
    { "ask", "POST", "/api/v1/requests", NULL, NULL, "application/json", "{\"tool\":\"t\"}", 0, "request.create" },
    { "with charset", "POST", "/api/v1/requests", NULL, NULL, "application/json; charset=utf-8", "{}", 0, "request.create" },
    { "form type", "POST", "/api/v1/requests", NULL, NULL, "application/x-www-form-urlencoded", "{}", 415, NULL },
    { "text type, as a page of another origin could send", "POST", "/api/v1/decisions", NULL, NULL, "text/plain", "{}", 415, NULL },
    { "foreign member", "POST", "/api/v1/requests", NULL, NULL, "application/json", "{\"who\":\"bob\"}", 400, NULL },
    { "op in the body", "POST", "/api/v1/requests", NULL, NULL, "application/json", "{\"op\":\"lock\"}", 400, NULL },
    { "duplicate member", "POST", "/api/v1/requests", NULL, NULL, "application/json", "{\"tool\":\"a\",\"tool\":\"b\"}", 400, NULL },
    { "array", "POST", "/api/v1/requests", NULL, NULL, "application/json", "[]", 400, NULL },
    { "empty body", "POST", "/api/v1/requests", NULL, NULL, "application/json", "", 400, NULL },
    { "body where none belongs", "GET", "/api/v1/status", NULL, NULL, "application/json", "{}", 400, NULL },
    { "wrong method", "PUT", "/api/v1/requests", NULL, NULL, "application/json", "{}", 405, NULL },
    { "unknown call", "GET", "/api/v1/nothing", NULL, NULL, "", "", 404, NULL },
    { "prefix only", "GET", "/api/v1/statusx", NULL, NULL, "", "", 404, NULL },
    { "an item", "GET", "/api/v1/items/req_1", NULL, NULL, "", "", 0, "item.get" },
    { "an item without id", "GET", "/api/v1/items/", NULL, NULL, "", "", 404, NULL },
    { "raw", "GET", "/api/v1/items/hld_1/raw", NULL, NULL, "", "", 0, "held.raw" },
    { "id too long", "GET", "/api/v1/items/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL, NULL, "", "", 404, NULL },
    { "a number", "GET", "/api/v1/log", "from", "12", "", "", 0, "log.read" },
    { "not a number", "GET", "/api/v1/log", "from", "12a", "", "", 400, NULL },
    { "negative", "GET", "/api/v1/log", "from", "-1", "", "", 400, NULL },
    { "huge", "GET", "/api/v1/log", "from", "99999999999999999999", "", "", 400, NULL },
    { "foreign parameter", "GET", "/api/v1/log", "op", "lock", "", "", 400, NULL },
    { "who in the query", "GET", "/api/v1/sessions", "who", "bob", "", "", 400, NULL },
    { "unlock", "POST", "/api/v1/locks/lck_1/statement", NULL, NULL, "application/json", "{\"key\": \"k\", \"reason\": \"over\"}", 0, "unlock.statement" },
    { "unlock without a signature", "DELETE", "/api/v1/locks/lck_1", "reason", "over", "", "", 404, NULL },
};

static void each_call_is_one_message(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const struct row *t = &table[i];
        struct reading q = { slice_str(t->query_name), slice_str(t->query_value) };
        struct api_request r = { slice_str(t->method), slice_str(t->path), &q, t->query_name != NULL, slice_str(t->type), slice_str(t->body) };
        struct api_call call = { 0 };
        struct api_refusal why = { 0 };
        enum status st = api_route(&r, &call, &why);
        if (t->status != 0 ? st != REFUSED || why.status != t->status : st != OK)
            fail_msg("%s: status %d, refusal %u", t->name, (int)st, why.status);
        if (st == OK) {
            assert_string_equal(json_string_value(json_object_get(call.message, "op")), t->op);
            assert_null(json_object_get(call.message, "who"));
            json_decref(call.message);
        }
    }
}

static void the_purpose_has_a_usual_value(void **state)
{
    struct reading q = { SLICE("purpose"), SLICE("verify") };
    struct api_request r = { .method = SLICE("GET"), .path = SLICE("/api/v1/sessions/grt_1/recording") };
    struct api_call call = { 0 };
    struct api_refusal why;
    (void)state;
    assert_int_equal(api_route(&r, &call, &why), OK);
    assert_string_equal(json_string_value(json_object_get(call.message, "purpose")), "replay");
    json_decref(call.message);
    r.query = &q;
    r.query_count = 1;
    assert_int_equal(api_route(&r, &call, &why), OK);
    assert_string_equal(json_string_value(json_object_get(call.message, "purpose")), "verify");
    json_decref(call.message);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(each_call_is_one_message), cmocka_unit_test(the_purpose_has_a_usual_value) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
