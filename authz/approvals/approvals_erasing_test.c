/* The history of decisions is erased when its time is over: what goes, what never goes, and that the rows agree with what is left after every step. In one process, where a second is long enough. */
#include "authz/approvals/testbed.h"

#include "authz/approvals/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "authz/approvals/testbed_inside.h"

enum { KEEP_MS = 1000, TICKS = 4000 };

static struct peer recorder;

static enum status open_kept(struct err *err)
{
    struct config *c = testbed_load(&bed);
    c->approvals_retention_ms = KEEP_MS;
    for (size_t i = 0; i < c->tool_count; i++)
        c->tools[i].retention_ms = KEEP_MS;
    enum status st = service_open(c, &service, err);
    config_unref(c);
    worker = (struct peer){ .id = 1 };
    recorder = (struct peer){ .id = 2 };
    if (st != OK)
        return st;
    assert_string_equal(ask(json_pack("{s:s, s:s}", "op", "hello", "role", "worker"), -1, NULL), "ok");
    struct answer a;
    json_t *m = json_pack("{s:i, s:s, s:s}", "n", 1, "op", "hello", "role", "recorder");
    assert_int_equal(service_answer(service, &recorder, m, NULL, 0, &a, err), ANSWERED);
    answer_done(&a);
    json_decref(m);
    return OK;
}

static int set_up(void **state)
{
    struct err err = { .text = "" };
    (void)state;
    log_setup("test", LOG_LEVEL_ERROR + 1);
    testbed_make(&bed);
    char path[512];
    snprintf(path, sizeof path, "%s/recordings", bed.dir);
    testbed_must(mkdir(path, 0700) == 0, "mkdir");
    testbed_must(open_kept(&err) == OK, err.text);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (service != NULL)
        close_service();
    testbed_remove(&bed);
    return 0;
}

/* ---- what people do ---- */

static void must(json_t *m, int fd, const char *member, const char *name, char out[32])
{
    json_t *answer = NULL;
    const char *word = ask(m, fd, &answer);
    if (strcmp(word, "ok") != 0)
        print_error("%s\n", text(json_object_get(answer, "problem"), "detail"));
    assert_string_equal(word, "ok");
    if (out != NULL)
        snprintf(out, 32, "%s", text(json_object_get(answer, member), name));
    json_decref(answer);
}

static void sign(const char *name, json_t *m, EVP_PKEY *key)
{
    struct err err = { .text = "" };
    char kid[44], *jws = NULL;
    json_t *answer = NULL;
    key_fingerprint(key, kid);
    json_object_set_new(m, "key", json_string(kid));
    assert_string_equal(ask(m, -1, &answer), "ok");
    const json_t *s = json_object_get(answer, "statement");
    assert_int_equal(statement_sign(s, key, &jws, &err), OK);
    must(json_pack("{s:s, s:o, s:s, s:s}", "op", "decide", "who", who(name), "statement_id", text(s, "id"), "jws", jws), -1, NULL, NULL, NULL);
    json_decref(answer);
    free(jws);
}

static void decide(const char *name, const char *id, const char *decision, EVP_PKEY *key)
{
    sign(name, json_pack("{s:s, s:o, s:s, s:s}", "op", "statement", "who", who(name), "id", id, "decision", decision), key);
}

struct told {
    char item[32], grant[32], held[32], denied[32];
};

static struct told get_grant(const char *name)
{
    struct told t = { .item = "" };
    must(json_pack("{s:s, s:o, s:s, s:s, s:i}", "op", "request.create", "who", who(name), "tool", "support", "reason", "planted reason", "duration_s", 600), -1, "request", "id", t.item);
    decide("bob", t.item, "approve", bed.bob);
    must(json_pack("{s:s, s:o, s:s}", "op", "item.get", "who", who(name), "id", t.item), -1, "item", "grant_id", t.grant);
    return t;
}

static void hold(const struct told *t, const char *name, const char *body, char id[32])
{
    int fd = -1;
    json_t *m = hold_message(who(name), t->grant, body, &fd);
    must(m, fd, "item", "id", id);
    close(fd);
}

static void tell_outcome(const char *id, const char *outcome)
{
    must(json_pack("{s:s, s:s, s:s, s:i}", "op", "outcome", "id", id, "outcome", outcome, "status", 200), -1, NULL, NULL, NULL);
}

static void withdraw(const struct told *t, const char *name)
{
    must(json_pack("{s:s, s:o, s:s, s:s}", "op", "withdraw", "who", who(name), "id", t->item, "reason", "planted end"), -1, NULL, NULL, NULL);
}

/* A grant, one held request that ran and one that was denied, and its end. */
static struct told whole_story(const char *name)
{
    struct told t = get_grant(name);
    hold(&t, name, "id=used", t.held);
    decide("carol", t.held, "approve", bed.carol);
    hold(&t, name, "id=used", NULL);
    tell_outcome(t.held, "answered");
    hold(&t, name, "id=denied", t.denied);
    decide("carol", t.denied, "deny", bed.carol);
    withdraw(&t, name);
    return t;
}

static void segments(const char *session, int from, int to)
{
    for (int n = from; n <= to; n++) {
        struct answer a;
        struct err err = { .text = "" };
        json_t *m = json_pack("{s:i, s:s, s:s, s:i, s:s, s:I, s:I, s:i, s:i, s:i, s:i, s:[s]}", "n", 2, "op", "segment", "session", session, "number", n, "digest",
                              "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "from_ms", (json_int_t)clock_wall_ms(), "to_ms", (json_int_t)clock_wall_ms(), "exchanges", 3, "bytes", 4096, "ring", 0, "position", 77 * n, "touched",
                              "hash-of-customer");
        assert_int_equal(service_answer(service, &recorder, m, NULL, 0, &a, &err), ANSWERED);
        assert_true(json_is_true(json_object_get(a.message, "ok")));
        answer_done(&a);
        json_decref(m);
        json_decref(service_events(service));
    }
}

/* ---- looking ---- */

static int64_t count(const char *sql, const char *value)
{
    char path[512];
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    snprintf(path, sizeof path, "%s/authz.db", bed.dir);
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
    if (value != NULL)
        sqlite3_bind_text(st, 1, value, -1, NULL);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    sqlite3_close(db);
    return n;
}

static bool is_there(const struct told *t)
{
    return count("SELECT count(*) FROM request WHERE item = ?", t->item) > 0;
}

static void run_sql(const char *sql)
{
    char path[512];
    sqlite3 *db = NULL;
    snprintf(path, sizeof path, "%s/authz.db", bed.dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_true(sqlite3_changes(db) > 0);
    sqlite3_close(db);
}

static bool on_disk(const char *what)
{
    static const char *const names[] = { "authz.db", "authz.db-wal", "authz.memory" };
    bool found = false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[512];
        unsigned char *bytes = NULL;
        size_t len = 0;
        struct err err;
        snprintf(path, sizeof path, "%s/%s", bed.dir, names[i]);
        if (access(path, F_OK) == 0 && file_read(path, 64 << 20, false, &bytes, &len, &err) == OK)
            found = found || memmem(bytes, len, what, strlen(what)) != NULL;
        free(bytes);
    }
    return found;
}

/* One pass over all, recordings and history, whatever it finds. */
static void tick(void)
{
    struct err err = { .text = "" };
    service->retention.next_ms = 0;
    service->retention.history.next_ms = 0;
    enum status st = service_tick(service, &err);
    if (st != OK)
        fail_msg("%s", err.text);
    json_decref(service_events(service));
}

static void wait_ms(int ms)
{
    struct timespec t = { ms / 1000, ms % 1000 * 1000000L };
    nanosleep(&t, NULL);
}

static void pass(void)
{
    wait_ms(KEEP_MS + 200);
    for (int i = 0; i < 60; i++)
        tick();
}

static void remove_memory(void)
{
    char path[512];
    snprintf(path, sizeof path, "%s/authz.memory", bed.dir);
    unlink(path);
}

/* Closed, and opened again with nothing but the database, and then with its memory, and patrolled. */
static void start_anew(void)
{
    struct err err = { .text = "" };
    for (int i = 0; i < 2; i++) {
        close_service();
        if (i == 0)
            remove_memory();
        if (open_kept(&err) != OK)
            fail_msg("%s memory: %s", i == 0 ? "without" : "with", err.text);
    }
    for (int i = 0; i < 300 && !service->sessions_patrolled; i++)
        tick();
    assert_true(service->sessions_patrolled);
}

static void is_erased(const char *op, const char *id)
{
    assert_string_equal(ask(json_pack("{s:s, s:o, s:s, s:s*}", "op", op, "who", who(strcmp(op, "session.get") == 0 ? "dan" : "alice"), "id", id, "purpose", strcmp(op, "session.get") == 0 ? "show" : NULL), -1, NULL),
                        "history-erased");
}

/* ---- the tests ---- */

static void all_of_a_story_goes(void **state)
{
    (void)state;
    struct told t = whole_story("alice");
    segments(t.grant, 1, 2);
    assert_true(on_disk("planted reason"));
    tick();
    assert_true(is_there(&t));        /* too early */
    pass();
    assert_false(is_there(&t));
    static const char *const empty[] = { "request", "held", "access_grant", "decision", "session", "segment", "touched", "statement" };
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        char sql[128];
        snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", empty[i]);
        if (count(sql, NULL) != 0)
            fail_msg("%s", sql);
    }
    assert_true(count("SELECT count(*) FROM leaf WHERE session LIKE 'erased:%' AND content = '' AND salt = ''", NULL) >= 14);
    assert_int_equal(count("SELECT count(*) FROM leaf WHERE session = ?", t.grant), 0);
    assert_int_equal(count("SELECT count(*) FROM leaf WHERE type = 'certificate.known'", NULL), 3);
    for (int i = 0; i < 2; i++) {
        is_erased("item.get", t.item);
        is_erased("item.get", t.held);
        is_erased("item.proof", t.item);
        is_erased("session.get", t.grant);
        start_anew();
    }
    close_service();
    assert_false(on_disk("planted"));
    struct err err = { .text = "" };
    assert_int_equal(open_kept(&err), OK);
    struct told again = whole_story("alice");   /* and life goes on */
    pass();
    assert_false(is_there(&again));
    assert_int_equal(count("SELECT count(*) FROM leaf WHERE type = 'certificate.known'", NULL), 3);   /* that was said */
}

/* With a recorder that still owes something, with a file that is not gone, or with a tool whose recordings are kept for ever. */
static void a_kept_recording_keeps_it(void **state)
{
    (void)state;
    struct told t = whole_story("alice");
    segments(t.grant, 1, 2);
    char path[512];
    snprintf(path, sizeof path, "%s/recordings/open", bed.dir);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/recordings/open/%s", bed.dir, t.grant);
    testbed_must(file_write(path, SLICE("x"), 0600, NULL) == OK, "file");
    pass();
    assert_true(is_there(&t));
    unlink(path);
    pass();
    assert_false(is_there(&t));
    start_anew();
}

static char glass_review[32];

static void live_grant(struct told *t) { *t = get_grant("alice"); }
static void pending_request(struct told *t)
{
    must(json_pack("{s:s, s:o, s:s, s:s, s:i}", "op", "request.create", "who", who("alice"), "tool", "support", "reason", "planted reason", "duration_s", 600), -1, "request", "id", t->item);
}
static void pending_held(struct told *t)
{
    *t = get_grant("alice");
    hold(t, "alice", "id=1", t->held);
}
static void running(struct told *t)
{
    *t = get_grant("alice");
    hold(t, "alice", "id=1", t->held);
    decide("carol", t->held, "approve", bed.carol);
    hold(t, "alice", "id=1", NULL);
    withdraw(t, "alice");
}
static void review_owed(struct told *t)
{
    json_t *answer = NULL;
    must(json_pack("{s:s, s:o, s:s, s:s, s:i, s:s}", "op", "request.create", "who", who("alice"), "tool", "desk", "reason", "planted reason", "duration_s", 600, "basis", "break-glass"), -1, "request", "id",
         t->item);
    assert_string_equal(ask(json_pack("{s:s, s:o}", "op", "pending", "who", who("bob")), -1, &answer), "ok");
    snprintf(glass_review, sizeof glass_review, "%s", text(json_array_get(json_object_get(answer, "break_glass"), 0), "id"));
    json_decref(answer);
    withdraw(t, "alice");
}
static void place(const char *kind, const char *value)
{
    must(json_pack("{s:s, s:o, s:s, s:s, s:s}", "op", "hold.place", "who", who("dan"), "kind", kind, "value", value, "reason", "case 7"), -1, NULL, NULL, NULL);
}
static void held_person(struct told *t)
{
    *t = whole_story("alice");
    place("person", "alice");
}
static void held_approver(struct told *t)
{
    *t = whole_story("alice");
    place("person", "carol");         /* who answered one of its held requests */
}
static void held_identity(struct told *t)
{
    *t = whole_story("alice");
    place("identity", "alice@acme.localhost");
}
static void held_tool(struct told *t)
{
    *t = whole_story("alice");
    place("tool", "support");
}
static void held_session(struct told *t)
{
    *t = whole_story("alice");
    place("session", t->grant);
}
static void looked_at(struct told *t)
{
    *t = whole_story("alice");
    segments(t->grant, 1, 1);
    wait_ms(KEEP_MS + 100);
    must(json_pack("{s:s, s:o, s:s, s:s}", "op", "session.get", "who", who("dan"), "id", t->grant, "purpose", "show"), -1, NULL, NULL, NULL);
}

static void what_goes_on_is_kept(void **state)
{
    static const struct {
        const char *name;
        void (*make)(struct told *);
        bool now;                     /* looked at without waiting */
    } rows[] = {
        { "a live grant", live_grant, false }, { "a pending request", pending_request, false }, { "a pending held request", pending_held, false }, { "one that runs", running, false },
        { "a review that is owed", review_owed, false }, { "a hold on who asked", held_person, false }, { "a hold on who answered", held_approver, false },
        { "a hold on the identity", held_identity, false }, { "a hold on the tool", held_tool, false }, { "a hold on the session", held_session, false }, { "an auditor looked", looked_at, true },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct told t = { .item = "" };
        int64_t before = count("SELECT count(*) FROM leaf WHERE type = 'history.erased'", NULL);
        rows[i].make(&t);
        if (rows[i].now)
            for (int k = 0; k < 20; k++)
                tick();
        else
            pass();
        if (!is_there(&t) || count("SELECT count(*) FROM leaf WHERE type = 'history.erased'", NULL) != before)
            fail_msg("%s: it was erased", rows[i].name);
        close_service();
        testbed_remove(&bed);
        set_up(NULL);
    }
}

static void what_ends_later_goes_then(void **state)
{
    (void)state;
    struct told t, r;
    running(&t);
    review_owed(&r);
    pass();
    assert_true(is_there(&t) && is_there(&r));
    tell_outcome(t.held, "outcome-unknown");
    sign("bob", json_pack("{s:s, s:o, s:s, s:s, s:s}", "op", "review.statement", "who", who("bob"), "id", glass_review, "outcome", "justified", "words", "planted words"), bed.bob);
    pass();
    assert_false(is_there(&t) || is_there(&r));
    assert_string_equal(ask(json_pack("{s:s, s:s, s:s, s:i}", "op", "outcome", "id", t.held, "outcome", "answered", "status", 200), -1, NULL), "outcome-known");
    start_anew();
    close_service();
    assert_false(on_disk("planted"));
}

/* One in force, one that was lifted. */
static void locks(void **state)
{
    char in_force[32], lifted[32];
    (void)state;
    must(json_pack("{s:s, s:o, s:s, s:s, s:s}", "op", "lock", "who", who("olga"), "kind", "person", "value", "anna", "reason", "stays"), -1, "lock", "id", in_force);
    for (int i = 0; i < 3; i++) {
        must(json_pack("{s:s, s:o, s:s, s:s, s:s}", "op", "lock", "who", who("olga"), "kind", "person", "value", "carol", "reason", "planted lock"), -1, "lock", "id", lifted);
        sign("oskar", json_pack("{s:s, s:o, s:s, s:s}", "op", "unlock.statement", "who", who("oskar"), "id", lifted, "reason", "planted unlock"), bed.oskar);
    }
    pass();
    assert_int_equal(count("SELECT count(*) FROM lock WHERE lock_id = ?", in_force), 1);
    assert_int_equal(count("SELECT count(*) FROM lock", NULL), 1);
    start_anew();
    assert_int_equal(json_array_size(service->locks), 1);
    close_service();
    assert_false(on_disk("planted"));
}

/* Of a session of many segments and held requests a piece goes at a time; after each a start that reads everything finds nothing amiss, and so does one that patrols. */
static void a_long_one_goes_in_pieces(void **state)
{
    (void)state;
    struct err err = { .text = "" };
    struct told t = get_grant("alice");
    for (int i = 0; i < 16; i++) {
        char body[32], id[32];
        snprintf(body, sizeof body, "id=planted-%d", i);
        hold(&t, "alice", body, id);
        segments(t.grant, i * 7 + 1, i * 7 + 7);
        must(json_pack("{s:s, s:o, s:s, s:s}", "op", "withdraw", "who", who("alice"), "id", id, "reason", "planted"), -1, NULL, NULL, NULL);
    }
    withdraw(&t, "alice");
    wait_ms(KEEP_MS + 200);
    int steps = 0, ticks = 0;
    int64_t before = 0;
    for (; is_there(&t) && ticks < TICKS; ticks++) {
        tick();
        int64_t now = count("SELECT count(*) FROM leaf WHERE type = 'history.erased'", NULL);
        if (now == before)
            continue;
        before = now;
        steps++;
        close_service();
        if (steps % 2 == 0)
            remove_memory();
        if (open_kept(&err) != OK)
            fail_msg("after %d steps: %s", steps, err.text);
    }
    assert_false(is_there(&t));
    assert_true(steps >= 4);
    start_anew();
    close_service();
    assert_false(on_disk("planted"));
}

/* A hold that comes while it is being read or erased stops it. */
static void a_hold_in_between_keeps_the_rest(void **state)
{
    (void)state;
    struct told t = whole_story("alice");
    segments(t.grant, 1, 300);
    wait_ms(KEEP_MS + 200);
    for (int i = 0; i < TICKS && count("SELECT count(*) FROM leaf WHERE type = 'history.erased'", NULL) == 0; i++)
        tick();
    place("session", t.grant);
    int64_t before = count("SELECT count(*) FROM leaf WHERE type = 'history.erased'", NULL);
    for (int i = 0; i < 40; i++)
        tick();
    assert_true(is_there(&t));
    assert_int_equal(count("SELECT count(*) FROM leaf WHERE type = 'history.erased'", NULL), before);
    start_anew();
    assert_true(is_there(&t));
}

/* Whatever is edited before its time is over, nothing is erased by it that would not be; and it is found. */
static void an_edited_row_erases_nothing(void **state)
{
    static const struct { const char *name, *sql; } rows[] = {
        { "an older leaf", "UPDATE leaf SET time_ms = 1 WHERE session LIKE 'grt_%'" },
        { "a leaf of another kind", "UPDATE leaf SET type = 'session.read' WHERE type = 'request.created'" },
        { "a request made long ago", "UPDATE request SET created_ms = 1" },
        { "a recording that is gone", "UPDATE session SET gone = 1, erased = 1" },
        { "a leaf filed under a story that is over", "UPDATE leaf SET session = (SELECT session FROM request ORDER BY created_ms LIMIT 1) WHERE type = 'hold.placed'" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct err err = { .text = "" };
        struct told t = whole_story("alice");
        segments(t.grant, 1, 1);
        if (i + 1 == sizeof rows / sizeof *rows)
            place("tool", "vault");
        run_sql(rows[i].sql);
        if (i + 1 == sizeof rows / sizeof *rows)
            wait_ms(KEEP_MS + 200);
        enum status st = OK;
        for (int k = 0; k < 30 && st == OK; k++) {
            service->retention.history.next_ms = 0;
            st = service_tick(service, &err);
            json_decref(service_events(service));
        }
        if (count("SELECT count(*) FROM leaf WHERE type = 'history.erased'", NULL) != 0)
            fail_msg("%s: something was erased", rows[i].name);
        close_service();
        remove_memory();
        if (open_kept(&err) != CORRUPT)
            fail_msg("%s: it was not found", rows[i].name);
        service = NULL;
        testbed_remove(&bed);
        set_up(NULL);
    }
}

int main(void)
{
#define ERASING(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ERASING(all_of_a_story_goes), ERASING(a_kept_recording_keeps_it), ERASING(what_goes_on_is_kept), ERASING(what_ends_later_goes_then), ERASING(locks), ERASING(a_long_one_goes_in_pieces),
        ERASING(a_hold_in_between_keeps_the_rest), ERASING(an_edited_row_erases_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
