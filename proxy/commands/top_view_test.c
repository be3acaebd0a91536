#include "proxy/commands/top_view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static json_t *session(const char *person, const char *action)
{
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:i,s:f,s:I,s:I,s:i,s:i}", "session", "grt_AAAAAAAAAAAAAAAAAAAAAA", "person", person, "tool", "support", "action", action, "source",
                     "192.0.2.7", "since_ms", (json_int_t)1000000, "last_ms", (json_int_t)1590000, "requests", 120, "requests_per_s", 3.25, "received", (json_int_t)812, "sent",
                     (json_int_t)12288, "active", 2, "websockets", 1);
}

static char *print(json_t *sessions, struct top_view v)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    json_t *answer = json_pack("{s:I,s:o}", "time_ms", (json_int_t)1600000, "sessions", sessions);
    assert_non_null(out);
    top_print(out, answer, &v);
    fclose(out);
    json_decref(answer);
    return text;
}

static size_t longest_line(const char *text)
{
    size_t most = 0;
    for (const char *line = text; *line != 0; line += strcspn(line, "\n") + 1) {
        if (strcspn(line, "\n") > most)
            most = strcspn(line, "\n");
        if (line[strcspn(line, "\n")] == 0)
            break;
    }
    return most;
}

static void a_row_says_it_all(void **state)
{
    (void)state;
    char *text = print(json_pack("[o]", session("alice", "view")), (struct top_view){ .selected = SIZE_MAX, .line_end = "\n" });
    static const char *const wanted[] = { "1 live session, 3.2 requests/s, 2 open, 1 of them WebSockets", "PERSON", "alice", "support", "view", "10m", "10s", "3.2", "120", "812 B",
                                          "12.0 KiB", "192.0.2.7", "grt_AAAAAAAAAAAAAAAAAAAAAA\n" };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (strstr(text, wanted[i]) == NULL)
            fail_msg("no '%s' in:\n%s", wanted[i], text);
    free(text);
    text = print(json_array(), (struct top_view){ .selected = 0, .line_end = "\n" });
    assert_non_null(strstr(text, "Nobody is at a tool."));
    free(text);
}

static void it_fits_the_terminal(void **state)
{
    (void)state;
    for (unsigned columns = 20; columns <= 200; columns += 10) {
        json_t *sessions = json_array();
        for (int i = 0; i < 100; i++)
            json_array_append_new(sessions, session("someone-with-a-very-long-name-indeed", "an-action-with-a-long-name-too"));
        char *text = print(sessions, (struct top_view){ .columns = columns, .rows = 24, .selected = 70, .line_end = "\n" });
        size_t lines = 0;
        for (const char *c = text; *c != 0; c++)
            lines += *c == '\n';
        assert_true(lines <= 23);
        const char *table = strstr(text, "  PERSON");
        assert_true(table != NULL && longest_line(table) <= columns);
        assert_non_null(strstr(text, "\n> "));
        assert_non_null(strstr(text, "more"));
        free(text);
    }
}

/* What others wrote cannot move the cursor or begin a line. */
static void names_are_escaped(void **state)
{
    (void)state;
    char *text = print(json_pack("[o]", session("\033[2Jx\nroot", "a\xe2\x80\xae" "b")), (struct top_view){ .selected = SIZE_MAX, .line_end = "\n" });
    assert_null(strchr(text, '\033'));
    assert_non_null(strstr(text, "\\x1b[2Jx\\x0a"));
    assert_non_null(strstr(text, "a\\u{202e}b"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_row_says_it_all), cmocka_unit_test(it_fits_the_terminal), cmocka_unit_test(names_are_escaped) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
