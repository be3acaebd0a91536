/* The report's writers with hostile words in them: nothing becomes markup, a formula, another line or another cell. */
#include "proxy/commands/incident.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static const char hostile[] = "=cmd|' /C calc'!A1 <script>alert(\"x\")</script>\r\n\x1b[2Jnew line, \"cell\"";

static int set_up(void **state)
{
    struct incident *i = calloc(1, sizeof *i);
    i->who = "<b>alice</b>";
    i->from_ms = 1790000000000;
    i->to_ms = 1790000100000;
    assert_int_equal(incident_begin(i, NULL), OK);
    json_t *info = json_pack("{s:{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:[{s:s}], s:i}, s:[{s:s, s:i, s:{s:s}}, {s:s, s:i, s:{s:s}}]}", "session", "id", "grt_1", "tool", hostile,
                             "person", "alice", "identity", "alice@x", "reason", hostile, "started_ms", (json_int_t)1790000000001, "ended_ms",
                             (json_int_t)1790000050000, "approved_by", "person", "bob", "exchanges", 3, "leaves", "type", "grant.issued", "seq", 7, "content", "x", "y",
                             "type", "grant.ended", "seq", 9, "content", "why", "locked");
    assert_non_null(info);
    assert_int_equal(incident_session(i, info, NULL, NULL), OK);
    json_t *locks = json_pack("[{s:s, s:s, s:s, s:s, s:I}, {s:s, s:s, s:s, s:s, s:I}]", "kind", "person", "value", "alice", "reason", "phished", "by", "olga", "at",
                              (json_int_t)1790000040, "kind", "person", "value", "mallory", "reason", "other", "by", "olga", "at", (json_int_t)1790000040);
    assert_int_equal(incident_locks(i, locks, NULL), OK);
    incident_sort(i);
    json_decref(info);
    json_decref(locks);
    *state = i;
    return 0;
}

static int tear_down(void **state)
{
    incident_done(*state);
    free(*state);
    return 0;
}

static char *written(const struct incident *i, void (*write)(FILE *, const struct incident *))
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    assert_non_null(f);
    write(f, i);
    fclose(f);
    return text;
}

static void lines_cite_their_proof(void **state)
{
    const struct incident *i = *state;
    assert_int_equal(json_array_size(i->lines), 3);
    const json_t *session = json_array_get(i->lines, 0), *lock = json_array_get(i->lines, 1), *ended = json_array_get(i->lines, 2);
    assert_string_equal(json_string_value(json_object_get(session, "kind")), "session");
    assert_int_equal(json_integer_value(json_object_get(session, "leaf")), 7);
    assert_string_equal(json_string_value(json_array_get(json_object_get(session, "by"), 0)), "bob");
    assert_string_equal(json_string_value(json_object_get(lock, "kind")), "lock");
    assert_string_equal(json_string_value(json_object_get(ended, "text")), "locked");
    assert_int_equal(i->sealed, 1);
    json_t *v = incident_json(i);
    assert_int_equal(json_array_size(json_object_get(v, "lines")), 3);
    json_decref(v);
}

static void csv_has_no_formula(void **state)
{
    char *text = written(*state, incident_csv);
    assert_non_null(strstr(text, "\"'=cmd|' /C calc'!A1 <script>alert(\"\"x\"\")</script>"));
    assert_null(strstr(text, ",\"=cmd"));
    free(text);
}

static void html_has_no_markup_of_theirs(void **state)
{
    char *text = written(*state, incident_html);
    assert_null(strstr(text, "<script"));
    assert_null(strstr(text, "<b>alice"));
    assert_null(strchr(text, 0x1b));
    assert_non_null(strstr(text, "&lt;script&gt;"));
    free(text);
}

static void text_has_no_control_character(void **state)
{
    char *text = written(*state, incident_text);
    for (const char *c = text; *c != 0; c++)
        assert_true(*c == '\n' || (unsigned char)*c >= ' ');
    assert_non_null(strstr(text, "could not be opened"));
    assert_non_null(strstr(text, "proof: session grt_1, log leaf 7"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(lines_cite_their_proof), cmocka_unit_test(csv_has_no_formula), cmocka_unit_test(html_has_no_markup_of_theirs),
                                        cmocka_unit_test(text_has_no_control_character) };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
