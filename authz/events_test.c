/* The table of audit events, and lines made of hostile values. */
#include "authz/events.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "proxy/base/file.h"

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < event_table_count; i++) {
        const struct event_row *r = &event_table[i];
        assert_ptr_equal(event_row_of(r->name), r);
        assert_non_null(event_class_name(r->class_uid));
        if (event_activity_name(r->class_uid, r->activity_id) == NULL)
            fail_msg("%s: its class has no activity %u", r->name, r->activity_id);
        assert_true(strlen(r->name) <= 32);
        assert_true(r->meaning[strlen(r->meaning) - 1] == '.');
        for (const struct event_field *f = r->fields; f->from != NULL; f++)
            assert_true(strlen(f->to) < 60 && f->from[0] != 0);
    }
}

/* What OCSF demands of each class, whatever is not known. */
static void test_required(void **state)
{
    static const char *const always[] = { "activity_id", "category_uid", "class_uid", "type_uid", "severity_id", "time", "metadata" };
    char line[SINK_LINE_MAX];
    (void)state;
    json_t *nothing = json_object();
    for (size_t i = 0; i < event_table_count; i++) {
        const struct event_row *r = &event_table[i];
        struct event e = { r, "test.example", "uid", 7, 1, 1790000000123, nothing };
        size_t n = event_line(&e, line);
        json_t *o = json_loadb(line, n, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(o);
        for (size_t k = 0; k < sizeof always / sizeof *always; k++)
            if (json_object_get(o, always[k]) == NULL)
                fail_msg("%s has no %s", r->name, always[k]);
        json_int_t class_uid = json_integer_value(json_object_get(o, "class_uid"));
        assert_int_equal(json_integer_value(json_object_get(o, "type_uid")), class_uid * 100 + json_integer_value(json_object_get(o, "activity_id")));
        assert_int_equal(json_integer_value(json_object_get(o, "category_uid")), class_uid / 1000);
        const char *needs = class_uid == ENTITY_MANAGEMENT ? "entity" : class_uid == APPLICATION_LIFECYCLE ? "app" : class_uid == API_ACTIVITY ? "src_endpoint" : "user";
        if (!json_is_object(json_object_get(o, needs)) && strcmp(r->name, "lock") != 0 && strcmp(r->name, "unlock") != 0)
            fail_msg("%s has no %s", r->name, needs);
        const json_t *m = json_object_get(o, "metadata");
        assert_string_equal(json_string_value(json_object_get(m, "event_code")), r->name);
        assert_int_equal(json_integer_value(json_object_get(m, "sequence")), 7);
        json_decref(o);
    }
    json_decref(nothing);
}

static size_t line_of(const char *reason, size_t approvers, char line[SINK_LINE_MAX])
{
    json_t *by = json_array(), *content = json_pack("{s:s, s:s, s:s, s:s, s:s}", "item", "req_1", "person", "alice", "tool", "support", "reason", reason, "session", "grt_1");
    for (size_t i = 0; i < approvers; i++)
        json_array_append_new(by, json_pack("{s:s, s:s}", "person", reason, "secret", "hunter2"));
    json_object_set_new(content, "approved_by", by);
    struct event e = { event_row_of(approvers ? "grant.issued" : "request.created"), "test.example", "uid", 7, 3, 1790000000123, content };
    size_t n = event_line(&e, line);
    json_decref(content);
    return n;
}

static void test_hostile(void **state)
{
    char line[SINK_LINE_MAX], longest[4001];
    static const char *const reasons[] = { "\"},\"status_id\":1,\"x\":{\"", "\n{\"time\":1}", "\x1b[2J\x7f", "\u2028\u202e", "\\u0000", "\U0001f600" };
    (void)state;
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        size_t n = line_of(reasons[i], 0, line);
        json_t *o = json_loadb(line, n, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(o);
        assert_string_equal(json_string_value(json_object_get(o, "comment")), reasons[i]);
        assert_int_equal(json_integer_value(json_object_get(o, "count")), 3);
        for (size_t k = 0; k < n; k++)
            assert_true(line[k] >= 0x20 && line[k] <= 0x7f);
        json_decref(o);
    }
    for (size_t i = 0; i + 4 <= 4000; i += 4)
        memcpy(longest + i, "\U0001f600", 4);   /* twelve bytes each once they are escaped */
    longest[4000] = 0;
    for (size_t approvers = 0; approvers < 40; approvers += 13) {
        size_t n = line_of(longest, approvers, line);
        assert_true(n > 0 && n < SINK_LINE_MAX);
        json_t *o = json_loadb(line, n, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(o);
        assert_null(strstr(line, "hunter2"));
        json_decref(o);
    }
}

static void test_leaves(void **state)
{
    (void)state;
    json_t *first = json_pack("{s:i}", "number", 1), *second = json_pack("{s:i}", "number", 2);
    assert_string_equal(event_row_of_leaf("segment", first)->name, "session.opened");
    assert_null(event_row_of_leaf("segment", second));
    assert_null(event_row_of_leaf("budget.leased", second));
    assert_string_equal(event_row_of_leaf("grant.ended", second)->name, "grant.ended");
    assert_string_equal(event_row_of_leaf("of.later", second)->name, "log.leaf");
    json_decref(first);
    json_decref(second);
}

/* The page in the repository is what the table says. */
static void test_page(void **state)
{
    char *made = NULL;
    unsigned char *kept = NULL;
    size_t made_len = 0, kept_len = 0;
    (void)state;
    FILE *out = open_memstream(&made, &made_len);
    event_write_reference(out);
    fclose(out);
    assert_int_equal(file_read("authz/events.md", 1 << 20, false, &kept, &kept_len, NULL), OK);
    if (strcmp(made, (const char *)kept) != 0)
        fail_msg("authz/events.md is not what the table says; make it anew: countersign events --markdown > authz/events.md");
    free(made);
    free(kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_table), cmocka_unit_test(test_required), cmocka_unit_test(test_hostile), cmocka_unit_test(test_leaves),
                                        cmocka_unit_test(test_page) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
