/* Notices by the messages of the courier: what it may ask, what it is given, what becomes of a notice that was taken, and of rows that somebody edited. */
#include "authz/approvals/story.h"

#include "config/notice_events.h"

#include <sqlite3.h>

static struct client courier;

static void add_config(const char *more)
{
    char *text = NULL;
    assert_true(asprintf(&text, "%s%s", testbed_config, more) > 0);
    testbed_write(&bed, "countersign.cfg", slice_str(text), 0600);
    testbed_write(&bed, "secret", SLICE("0123456789abcdef0123\n"), 0600);
    free(text);
}

static const char receivers[] = "notices = ( { name = \"one\"; kind = \"webhook\"; url = \"https://a.example/\"; secret_file = \"secret\"; },\n"
                                "  { name = \"two\"; kind = \"webhook\"; url = \"https://b.example/\"; secret_file = \"secret\"; tools = [ \"vault\" ]; } );\n"
                                "escalate_to = \"operations\"; escalate_after = \"1s\";\n";

static int begin(void **state)
{
    (void)state;
    testbed_make(&bed);
    add_config(receivers);
    testbed_spawn(&bed);
    hello(&worker, "worker");
    hello(&courier, "courier");
    return 0;
}

static int end(void **state)
{
    (void)state;
    client_close(&worker);
    client_close(&courier);
    assert_int_equal(testbed_signal(&bed, SIGTERM), 0);
    testbed_remove(&bed);
    return 0;
}

static json_t *take(void)
{
    return member(client_ask(&courier, json_pack("{s:s}", "op", "notices.take")), "notices");
}

/* The next notice about this, from whichever take brings it; the caller's. Others are said to be sent. */
static json_t *next_about(const char *event)
{
    for (int i = 0; i < 400; i++) {
        json_t *list = take(), *n, *found = NULL;
        size_t k;
        json_array_foreach(list, k, n)
            if (strcmp(text(n, "event"), event) == 0 && found == NULL)
                found = json_incref(n);
            else
                expect(client_ask(&courier, json_pack("{s:s, s:s, s:s}", "op", "notices.done", "id", text(n, "id"), "result", "sent")), "ok");
        json_decref(list);
        if (found != NULL)
            return found;
        usleep(25 * 1000);
    }
    fail_msg("no notice about %s", event);
    return NULL;
}

static void done(const json_t *notice, const char *result)
{
    expect(client_ask(&courier, json_pack("{s:s, s:s, s:s, s:s}", "op", "notices.done", "id", text(notice, "id"), "result", result, "why", "as told")), "ok");
}

static json_t *asked(const char *tool, const char *reason)
{
    return member(client_ask(&worker, json_pack("{s:s, s:o, s:s, s:s, s:i}", "op", "request.create", "who", who("alice"), "tool", tool, "reason", reason, "duration_s", 60)), "request");
}

/* Open the database behind authz's back. */
static void edit(const char *sql)
{
    char path[512], *why = NULL;
    sqlite3 *db = NULL;
    snprintf(path, sizeof path, "%s/authz.db", bed.dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 10000);
    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s: %s", sql, why);
    sqlite3_close(db);
}

static int count(const char *sql)
{
    char path[512];
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    snprintf(path, sizeof path, "%s/authz.db", bed.dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 10000);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    int n = sqlite3_column_int(stmt, 0);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return n;
}

/* One person's doing is told up to a number, and the queue of a receiver has an end. */
static void test_bounds(void **state)
{
    (void)state;
    for (int i = 0; i < 70; i++) {
        char reason[64];
        snprintf(reason, sizeof reason, "ticket %d: again and again", i);
        json_t *request = asked("support", reason);
        expect(client_ask(&worker, json_pack("{s:s, s:o, s:s, s:s}", "op", "withdraw", "who", who("alice"), "id", text(request, "id"), "reason", "never mind")), "ok");
        json_decref(request);
    }
    int told = count("SELECT count(*) FROM notice");
    assert_true(told >= 50 && told <= 62);
    json_t *request = member(client_ask(&worker, json_pack("{s:s, s:o, s:s, s:s, s:i}", "op", "request.create", "who", who("anna"), "tool", "support", "reason", "ticket 1: mine",
                                                           "duration_s", 60)), "request");
    assert_int_equal(count("SELECT count(*) FROM notice"), told + 1);   /* the others' go on */
    edit("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1100) INSERT INTO notice SELECT 'ntc_' || i, 'one', 'no.such', 100000 + i, 0, 9000000000000, 9000000000000, 0 FROM n");
    expect(client_ask(&worker, json_pack("{s:s, s:o, s:s, s:s}", "op", "withdraw", "who", who("anna"), "id", text(request, "id"), "reason", "never mind")), "ok");
    assert_int_equal(count("SELECT count(*) FROM notice WHERE event = 'item.cancelled' AND seq = (SELECT max(seq) FROM leaf)"), 0);
    expect(client_ask(&worker, json_pack("{s:s, s:o, s:s, s:s, s:s}", "op", "lock", "who", who("olga"), "kind", "person", "value", "alice", "reason", "the laptop was stolen")), "ok");
    assert_int_equal(count("SELECT count(*) FROM notice WHERE event = 'lock.placed'"), 1);   /* what matters has room of its own */
    json_decref(request);
}

static void test_taken_once_until_it_is_done(void **state)
{
    (void)state;
    json_t *request = asked("support", "ticket 1: first"), *n = next_about("access.requested"), *again;
    const json_t *facts = json_object_get(n, "facts");
    assert_string_equal(text(facts, "item"), text(request, "id"));
    assert_string_equal(text(facts, "id"), text(n, "id"));
    assert_string_equal(text(facts, "person"), "alice");
    assert_string_equal(text(n, "target"), "one");
    assert_null(json_object_get(facts, "x5t"));
    assert_null(json_object_get(facts, "policy"));
    again = take();
    assert_int_equal(json_array_size(again), 0);   /* one at a time for a receiver */
    json_decref(again);
    done(n, "refused");
    again = take();
    assert_int_equal(json_array_size(again), 0);   /* it waits before it is tried again */
    json_decref(again);
    json_decref(n);
    json_decref(request);
}

static void test_a_courier_that_dies_loses_nothing(void **state)
{
    (void)state;
    json_t *request = asked("support", "ticket 2: second"), *n = next_about("access.requested"), *again;
    client_close(&courier);
    for (int i = 0; i < 200; i++) {   /* until authz has seen that it is gone */
        assert_true(client_connect(&bed, &courier));
        json_t *a = client_ask(&courier, json_pack("{s:s, s:s}", "op", "hello", "role", "courier"));
        bool good = json_is_true(json_object_get(a, "ok"));
        json_decref(a);
        if (good)
            break;
        client_close(&courier);
        usleep(20 * 1000);
    }
    again = next_about("access.requested");
    assert_string_equal(text(again, "id"), text(n, "id"));
    done(again, "sent");
    json_decref(again);
    json_decref(n);
    json_decref(request);
}

static void test_only_what_it_wants(void **state)
{
    (void)state;
    json_t *request = asked("vault", "ticket 3: the vault"), *list = take(), *n;
    size_t i, both = 0;
    json_array_foreach(list, i, n)
        both += strcmp(text(n, "event"), "access.requested") == 0;
    assert_int_equal(both, 2);
    json_array_foreach(list, i, n)
        done(n, "sent");
    json_decref(list);
    json_decref(request);
}

static void test_what_waits_is_brought_before_others_once(void **state)
{
    (void)state;
    json_t *request = asked("support", "ticket 4: too long"), *n = next_about("item.escalated"), *item;
    const json_t *facts = json_object_get(n, "facts");
    assert_string_equal(text(facts, "item"), text(request, "id"));
    assert_string_equal(text(facts, "why"), "late");
    assert_int_equal(json_array_size(json_object_get(facts, "for")), 2);   /* olga and oskar */
    done(n, "sent");
    item = member(client_ask(&worker, json_pack("{s:s, s:o, s:s}", "op", "item.get", "who", who("olga"), "id", text(request, "id"))), "item");
    assert_string_equal(text(json_object_get(item, "escalated"), "group"), "operations");
    json_decref(item);
    json_decref(n);
    json_decref(request);
}

/* An edited row repeats or silences; it makes nothing up. */
static void test_edited_rows(void **state)
{
    (void)state;
    json_t *request = asked("support", "ticket 5: edited"), *list;
    edit("UPDATE notice SET event = 'lock.placed'");
    for (int i = 0; i < 20; i++) {
        list = take();
        assert_int_equal(json_array_size(list), 0);
        json_decref(list);
    }
    edit("INSERT INTO notice VALUES ('ntc_AAAAAAAAAAAAAAAAAAAAAA', 'one', 'break-glass.used', 1, 0, 9000000000000, 0, 0)");
    edit("INSERT INTO notice VALUES ('ntc_BBBBBBBBBBBBBBBBBBBBBB', 'one', 'no.such', 99999999, 0, 9000000000000, 0, 0)");
    for (int i = 0; i < 20; i++) {
        list = take();
        assert_int_equal(json_array_size(list), 0);
        json_decref(list);
    }
    edit("UPDATE escalated SET seq = 1");
    json_t *item = member(client_ask(&worker, json_pack("{s:s, s:o, s:s}", "op", "item.get", "who", who("alice"), "id", text(request, "id"))), "item");
    assert_null(json_object_get(item, "escalated"));
    json_decref(item);
    json_decref(request);
}

static void test_given_up_in_the_end(void **state)
{
    (void)state;
    json_t *request = asked("support", "ticket 6: given up"), *n = next_about("access.requested");
    done(n, "failed");
    assert_int_equal(count("SELECT count(*) FROM notice WHERE tries = 1 AND due_ms > created_ms + 9000"), 1);
    edit("UPDATE notice SET created_ms = 1");
    for (int i = 0; i < 400 && count("SELECT count(*) FROM notice") > 0; i++)
        usleep(25 * 1000);
    assert_int_equal(count("SELECT count(*) FROM notice"), 0);
    json_decref(n);
    json_decref(request);
}

static void test_what_the_courier_may_ask(void **state)
{
    static const char *const ops[] = { "status", "pending", "decide", "statement", "hold", "lock", "outcome", "segment", "log.read", "hello", "keys", "release.use" };
    struct client c;
    (void)state;
    assert_true(client_connect(&bed, &c));
    expect(client_ask(&c, json_pack("{s:s, s:s}", "op", "hello", "role", "courier")), "bad-request");   /* there is one */
    client_close(&c);
    expect(client_ask(&worker, json_pack("{s:s}", "op", "notices.take")), "closed");
    client_close(&worker);
    hello(&worker, "worker");
    expect(client_ask(&courier, json_pack("{s:s, s:s, s:s}", "op", "notices.done", "id", "ntc_AAAAAAAAAAAAAAAAAAAAAA", "result", "sent")), "ok");   /* given up long ago */
    expect(client_ask(&courier, json_pack("{s:s, s:s, s:s}", "op", "notices.done", "id", "ntc_AAAAAAAAAAAAAAAAAAAAAA", "result", "approved")), "bad-request");
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        expect(client_ask(&courier, json_pack("{s:s, s:o}", "op", ops[i], "who", who("olga"))), "closed");
        client_close(&courier);
        for (int k = 0; k < 200; k++) {
            assert_true(client_connect(&bed, &courier));
            json_t *a = client_ask(&courier, json_pack("{s:s, s:s}", "op", "hello", "role", "courier"));
            bool good = json_is_true(json_object_get(a, "ok"));
            json_decref(a);
            if (good)
                break;
            client_close(&courier);
            usleep(20 * 1000);
        }
    }
    expect(client_ask(&courier, json_pack("{s:s, s:s}", "op", "notices.take", "more", "x")), "bad-request");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = { TEST(test_taken_once_until_it_is_done), TEST(test_a_courier_that_dies_loses_nothing), TEST(test_only_what_it_wants),
                                        TEST(test_what_waits_is_brought_before_others_once), TEST(test_edited_rows), TEST(test_given_up_in_the_end), TEST(test_what_the_courier_may_ask), TEST(test_bounds) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
