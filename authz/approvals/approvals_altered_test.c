/* A hostile hand in the database: whatever it edits, authz does not start on it, and releases nothing because of it. In one process, so that
 * the leak checker sees the service too. */
#include "authz/approvals/testbed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "authz/approvals/testbed_inside.h"

static struct peer recorder;
static char request_id[32], grant_id[32], held_id[32], used_id[32], glass_id[32], auto_id[32];

static void decide(const char *name, const char *id, EVP_PKEY *key)
{
    struct err err = { .text = "" };
    char kid[44], *jws = NULL;
    json_t *answer = NULL;
    key_fingerprint(key, kid);
    assert_string_equal(ask(json_pack("{s:s, s:o, s:s, s:s, s:s}", "op", "statement", "who", who(name), "id", id, "decision", "approve", "key", kid), -1,
                            &answer), "ok");
    const json_t *s = json_object_get(answer, "statement");
    assert_int_equal(statement_sign(s, key, &jws, &err), OK);
    assert_string_equal(ask(json_pack("{s:s, s:o, s:s, s:s}", "op", "decide", "who", who(name), "statement_id", text(s, "id"), "jws", jws), -1, NULL),
                        "ok");
    json_decref(answer);
    free(jws);
}

static const char *hold(const char *body, char id[32])
{
    int fd = -1;
    json_t *answer = NULL, *m = hold_message(who("alice"), grant_id, body, &fd);
    const char *word = ask(m, fd, &answer);
    close(fd);
    if (id != NULL)
        snprintf(id, 32, "%s", text(json_object_get(answer, "item"), "id"));
    json_decref(answer);
    return word;
}

/* Grants without a second person, a review that is owed, and a delegate. */
static void add_alone(void)
{
    struct answer a;
    struct err err = { .text = "" };
    char kid[44], *jws = NULL;
    json_t *answer = NULL, *m = json_pack("{s:i, s:s, s:s}", "n", 1, "op", "hello", "role", "recorder");
    recorder = (struct peer){ .id = 2 };
    assert_int_equal(service_answer(service, &recorder, m, NULL, 0, &a, &err), ANSWERED);
    answer_done(&a);
    json_decref(m);
    assert_string_equal(ask(json_pack("{s:s, s:o, s:s, s:s, s:i, s:s}", "op", "request.create", "who", who("carol"), "tool", "desk", "reason", "it burns", "duration_s", 600, "basis",
                                      "break-glass"), -1, &answer), "ok");
    snprintf(glass_id, sizeof glass_id, "%s", text(json_object_get(answer, "request"), "id"));
    json_decref(answer);
    assert_string_equal(ask(json_pack("{s:s, s:o, s:s, s:s, s:i, s:[s]}", "op", "request.create", "who", who("alice"), "tool", "desk", "reason", "INC-1", "duration_s", 300, "actions",
                                      "view"), -1, &answer), "ok");
    assert_string_equal(text(json_object_get(answer, "request"), "basis"), "auto");
    snprintf(auto_id, sizeof auto_id, "%s", text(json_object_get(answer, "request"), "id"));
    json_decref(answer);
    key_fingerprint(bed.bob, kid);
    assert_string_equal(ask(json_pack("{s:s, s:o, s:s, s:s, s:[s], s:[s], s:I}", "op", "delegate.statement", "who", who("bob"), "key", kid, "person", "olga", "tools", "support", "kinds",
                                      "access", "until", (json_int_t)(clock_wall_s() + 3600)), -1, &answer), "ok");
    const json_t *s = json_object_get(answer, "statement");
    assert_int_equal(statement_sign(s, bed.bob, &jws, &err), OK);
    assert_string_equal(ask(json_pack("{s:s, s:o, s:s, s:s}", "op", "decide", "who", who("bob"), "statement_id", text(s, "id"), "jws", jws), -1, NULL), "ok");
    json_decref(answer);
    free(jws);
}

/* Two segments of the grant's session, and whom they were about. */
static void add_segments(void)
{
    for (int n = 1; n <= 2; n++) {
        struct answer a;
        struct err err = { .text = "" };
        json_t *m = json_pack("{s:i, s:s, s:s, s:i, s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:[s, s*]}", "n", 2, "op", "segment", "session", grant_id, "number", n, "digest",
                              "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "from_ms", 1000 * n, "to_ms", 1000 * n + 500, "exchanges", 3, "bytes", 4096, "ring", 0, "position", 77 * n,
                              "touched", "hash-of-customer", n == 2 ? "hash-of-another1" : NULL);
        assert_int_equal(service_answer(service, &recorder, m, NULL, 0, &a, &err), ANSWERED);
        assert_true(json_is_true(json_object_get(a.message, "ok")));
        answer_done(&a);
        json_decref(m);
    }
}

/* A granted request, one approved held request, one used. */
static int set_up(void **state)
{
    struct err err = { .text = "" };
    json_t *answer = NULL;
    (void)state;
    log_setup("test", LOG_LEVEL_ERROR + 1);
    testbed_make(&bed);
    testbed_must(open_service(&err) == OK, err.text);
    ask(json_pack("{s:s, s:o, s:s, s:s, s:i}", "op", "request.create", "who", who("alice"), "tool", "support", "reason", "ticket 4711", "duration_s",
                  600), -1, &answer);
    snprintf(request_id, sizeof request_id, "%s", text(json_object_get(answer, "request"), "id"));
    json_decref(answer);
    decide("bob", request_id, bed.bob);
    ask(json_pack("{s:s, s:o, s:s}", "op", "item.get", "who", who("alice"), "id", request_id), -1, &answer);
    snprintf(grant_id, sizeof grant_id, "%s", text(json_object_get(answer, "item"), "grant_id"));
    json_decref(answer);
    assert_string_equal(hold("id=used", used_id), "ok");
    decide("carol", used_id, bed.carol);
    assert_string_equal(hold("id=used", NULL), "ok");
    assert_string_equal(hold("id=1", held_id), "ok");
    decide("carol", held_id, bed.carol);
    assert_string_equal(ask(json_pack("{s:s, s:o, s:s, s:s, s:s}", "op", "lock", "who", who("olga"), "kind", "person", "value", "anna", "reason",
                                      "for the test"), -1, NULL), "ok");
    json_t *wants = json_pack("[{s:s, s:s, s:s}, {s:s, s:i}]", "name", "distinct:customer", "digest", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "shown",
                              "5", "name", "requests", "amount", 1);
    assert_string_equal(ask(json_pack("{s:s, s:o, s:s, s:s, s:o}", "op", "budget.lease", "who", who("alice"), "tool", "support", "grant_id", grant_id, "wants",
                                      wants), -1, NULL), "ok");
    add_alone();
    add_segments();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    close_service();
    testbed_remove(&bed);
    return 0;
}

/* Run SQL with %s replaced by the id. */
static void edit(const char *sql, const char *id)
{
    char path[512], line[2048];
    sqlite3 *db = NULL;
    char *why = NULL;
    snprintf(path, sizeof path, "%s/authz.db", bed.dir);
    const char *at = strstr(sql, "%s");
    snprintf(line, sizeof line, "%.*s%s%s", at ? (int)(at - sql) : (int)strlen(sql), sql, at ? id : "", at ? at + 2 : "");
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_exec(db, "PRAGMA ignore_check_constraints = ON", NULL, NULL, NULL);
    if (sqlite3_exec(db, line, NULL, NULL, &why) != SQLITE_OK || sqlite3_changes(db) < 1)
        fail_msg("the test's own SQL did nothing: %s: %s", line, why ? why : "");
    sqlite3_close(db);
}

static void copy_file(const char *from, const char *to)
{
    char a[512], b[512];
    unsigned char *bytes = NULL;
    size_t len = 0;
    struct err err = { .text = "" };
    snprintf(a, sizeof a, "%s/%s", bed.dir, from);
    snprintf(b, sizeof b, "%s/%s", bed.dir, to);
    testbed_must(file_read(a, 64 << 20, false, &bytes, &len, &err) == OK, err.text);
    testbed_must(file_write(b, slice_of(bytes, len), 0600, &err) == OK, err.text);
    free(bytes);
}

static void remove_memory(void)
{
    char path[512];
    snprintf(path, sizeof path, "%s/authz.memory", bed.dir);
    unlink(path);
}

/* Open it; with a memory of the past it may start, and then the patrol finds what was altered, and the next start refuses. */
static enum status open_and_patrol(struct err *err)
{
    enum status st = open_service(err);
    for (int i = 0; st == OK && i < 100; i++)
        st = service_tick(service, err);
    if (service == NULL)
        return st;
    close_service();
    return st == CORRUPT ? open_service(err) : st;
}

static const struct edit {
    const char *name, *sql, *id;
} edits[] = {
    { "used made approved again", "UPDATE held SET state = 'approved', used_ms = NULL, outcome = NULL WHERE item = '%s'", used_id },
    { "the outcome made nicer", "UPDATE held SET outcome = 'not-sent' WHERE item = '%s'", used_id },
    { "another digest", "UPDATE held SET digest = 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' WHERE item = '%s'", held_id },
    { "another target", "UPDATE held SET target = '/export?x=all' WHERE item = '%s'", held_id },
    { "a longer life", "UPDATE held SET expires_ms = expires_ms + 1 WHERE item = '%s'", held_id },
    { "a held request removed", "DELETE FROM held WHERE item = '%s'", used_id },
    { "a decision removed", "DELETE FROM decision WHERE item = '%s'", request_id },
    { "another approver", "UPDATE decision SET person = 'anna' WHERE item = '%s'", request_id },
    { "another reason", "UPDATE request SET reason = 'nothing' WHERE item = '%s'", request_id },
    { "a request pending again", "UPDATE request SET state = 'pending' WHERE item = '%s'", request_id },
    { "a grant to another", "UPDATE access_grant SET person = 'anna' WHERE grant_id = '%s'", grant_id },
    { "the notice skipped", "UPDATE access_grant SET noticed = 1 WHERE grant_id = '%s'", grant_id },
    { "more actions", "UPDATE request SET actions = 'export' WHERE item = '%s'", request_id },
    { "an extension of another", "UPDATE request SET extends = session WHERE item = '%s'", request_id },
    { "a longer grant", "UPDATE access_grant SET exp = exp + 60 WHERE grant_id = '%s'", grant_id },
    { "a lease for another grant", "UPDATE leaf SET content = replace(content, 'distinct:customer', 'distinct:nothing12') WHERE type = 'budget.leased'", "" },
    { "a lease removed", "DELETE FROM leaf WHERE type = 'budget.leased'", "" },
    { "a lock removed", "DELETE FROM lock", "" },
    { "a lock lifted", "UPDATE lock SET state = 'ended'", "" },
    { "a lock on somebody else", "UPDATE lock SET value = 'alice'", "" },
    { "a leaf's content", "UPDATE leaf SET content = replace(content, 'ticket 4711', 'ticket 4712') WHERE type = 'request.created'", "" },
    { "a leaf's time", "UPDATE leaf SET time_ms = time_ms + 1 WHERE type = 'approval'", "" },
    { "a leaf's type", "UPDATE leaf SET type = 'outcome' WHERE type = 'signoff.used'", "" },
    { "a leaf under another session", "UPDATE leaf SET session = 'grt_x' WHERE type = 'held.created'", "" },
    { "a leaf in the middle removed", "DELETE FROM leaf WHERE seq = 4", "" },
    { "the last leaf removed", "DELETE FROM leaf WHERE seq = (SELECT max(seq) FROM leaf)", "" },
    { "a leaf added", "INSERT INTO leaf SELECT seq + 1, type, time_ms, salt, content, digest, session FROM leaf ORDER BY seq DESC LIMIT 1", "" },
    { "the head's number", "UPDATE head SET note = replace(note, char(10), char(10) || '1')", "" },
    { "the head removed", "DELETE FROM head", "" },
    { "a request that nobody made", "INSERT INTO request SELECT 'req_BBBBBBBBBBBBBBBBBBBBBB', 'grt_BBBBBBBBBBBBBBBBBBBBBB', 'anna', identity, x5t,"
      " not_after, tool, reason, duration_s, policy, created_ms, expires_ms, 'granted', seq, actions, extends, basis, rule, start_within_s FROM request LIMIT 1", "" },
    { "an emergency made of an approval", "UPDATE request SET basis = 'break-glass' WHERE item = '%s'", request_id },
    { "an approval made of an emergency", "UPDATE request SET basis = 'approved' WHERE item = '%s'", glass_id },
    { "a grant that looks approved", "UPDATE access_grant SET basis = 'approved' WHERE item = '%s'", glass_id },
    { "a rule's grant that looks approved", "UPDATE access_grant SET basis = 'approved' WHERE item = '%s'", auto_id },
    { "another rule", "UPDATE request SET rule = 'other' WHERE item = '%s'", auto_id },
    { "a grant that is to begin later", "UPDATE access_grant SET start_s = 60 WHERE item = '%s'", auto_id },
    { "a review that seems done", "UPDATE review SET state = 'approved'", "" },
    { "a review that is no longer owed", "DELETE FROM review", "" },
    { "a review of somebody else", "UPDATE review SET person = 'anna'", "" },
    { "a review that is due later", "UPDATE review SET due_ms = due_ms + 1", "" },
    { "the leaf of the emergency", "UPDATE leaf SET content = replace(content, 'carol', 'alice') WHERE type = 'break-glass.used'", "" },
    { "another delegate", "UPDATE delegation SET delegate = 'alice'", "" },
    { "a longer delegation", "UPDATE delegation SET until_s = until_s + 60", "" },
    { "a delegation for more tools", "UPDATE delegation SET tools = '*'", "" },
    { "a delegation removed", "DELETE FROM delegation", "" },
    { "a delegation that seems over", "UPDATE delegation SET state = 'expired'", "" },
    { "a delegation that nobody made", "INSERT INTO delegation SELECT 'dlg_BBBBBBBBBBBBBBBBBBBBBB', session, 'carol', 'alice', tools, kinds, key, from_s, until_s, jws, key_item, sign_count,"
      " state, seq FROM delegation LIMIT 1", "" },
    { "a session of somebody else", "UPDATE session SET person = 'anna'", "" },
    { "a session under another identity", "UPDATE session SET identity = 'anna@acme'", "" },
    { "a session with another tool", "UPDATE session SET tool = 'desk'", "" },
    { "a session for another reason", "UPDATE session SET reason = 'ticket 4712'", "" },
    { "a session that another approved", "UPDATE session SET approved_by = replace(approved_by, 'bob', 'eve')", "" },
    { "a session that nobody approved", "UPDATE session SET approved_by = '[]'", "" },
    { "a session that began later", "UPDATE session SET started_ms = started_ms + 1", "" },
    { "a session that ended earlier", "UPDATE session SET last_ms = last_ms - 1", "" },
    { "a session with fewer exchanges", "UPDATE session SET exchanges = exchanges - 1", "" },
    { "a session of fewer bytes", "UPDATE session SET bytes = 1", "" },
    { "a session with fewer segments", "UPDATE session SET segments = 1", "" },
    { "a number that is a word", "UPDATE session SET bytes = 'many'", "" },
    { "a session that seems erased", "UPDATE session SET erased = 1", "" },
    { "a session whose file seems gone", "UPDATE session SET gone = 1", "" },
    { "a session removed", "DELETE FROM session", "" },
    { "a session that never was", "INSERT INTO session SELECT 'grt_BBBBBBBBBBBBBBBBBBBBBB', person, identity, tool, reason, approved_by, started_ms, last_ms, exchanges, bytes, segments, erased, gone FROM session", "" },
    { "a session of a name that is none", "INSERT INTO session SELECT 'x' || session, person, identity, tool, reason, approved_by, started_ms, last_ms, exchanges, bytes, segments, erased, gone FROM session", "" },
    { "a session and its segments, renamed", "UPDATE session SET session = 'grt_BBBBBBBBBBBBBBBBBBBBBB'", "" },
    { "a segment removed", "DELETE FROM segment WHERE number = 1", "" },
    { "a segment that began later", "UPDATE segment SET from_ms = from_ms + 1 WHERE number = 1", "" },
    { "a segment that ended earlier", "UPDATE segment SET to_ms = to_ms - 1 WHERE number = 2", "" },
    { "a segment with fewer exchanges", "UPDATE segment SET exchanges = 2 WHERE number = 1", "" },
    { "a segment of more bytes", "UPDATE segment SET bytes = bytes + 1 WHERE number = 2", "" },
    { "a customer not touched", "DELETE FROM touched WHERE hash = 'hash-of-another1'", "" },
    { "another customer touched", "UPDATE touched SET hash = 'hash-of-a-third1' WHERE hash = 'hash-of-another1'", "" },
    { "one more customer touched", "INSERT INTO touched SELECT 'hash-of-a-third1', session, first_ms, last_ms, segments FROM touched LIMIT 1", "" },
    { "touched earlier", "UPDATE touched SET first_ms = first_ms - 1 WHERE hash = 'hash-of-customer'", "" },
    { "touched last at another time", "UPDATE touched SET last_ms = last_ms + 1 WHERE hash = 'hash-of-customer'", "" },
    { "touched more often", "UPDATE touched SET segments = segments + 1 WHERE hash = 'hash-of-customer'", "" },
};

/* With its memory the start reads only what is new; the patrol behind it finds the rest. */
static void try_edit(const struct edit *e, bool remembers)
{
    struct err err = { .text = "" };
    edit(e->sql, e->id);
    if (remembers)
        copy_file("authz.memory.good", "authz.memory");
    else
        remove_memory();
    enum status st = remembers ? open_and_patrol(&err) : open_service(&err);
    if (st != CORRUPT || strstr(err.text, "authz.db was altered") == NULL)
        fail_msg("%s%s: %s: %s", e->name, remembers ? ", with memory" : "", status_name(st), err.text);
    copy_file("authz.db.good", "authz.db");
}

static void an_edited_database_does_not_start(void **state)
{
    (void)state;
    struct err err = { .text = "" };
    close_service();
    assert_int_equal(open_service(&err), OK);   /* the used one becomes outcome-unknown; then it starts again and again */
    close_service();
    copy_file("authz.db", "authz.db.good");
    copy_file("authz.memory", "authz.memory.good");
    for (size_t i = 0; i < 2 * (sizeof edits / sizeof *edits); i++)
        try_edit(&edits[i / 2], i % 2 == 1);
    assert_int_equal(open_service(&err), OK);
}

/* Whoever can write the memory cannot make one: any change to it, or another gateway's, is none, and all of the log is read. */
static void an_altered_memory_is_none(void **state)
{
    struct err err = { .text = "" };
    unsigned char *bytes = NULL;
    char path[512];
    size_t len = 0;
    (void)state;
    close_service();
    snprintf(path, sizeof path, "%s/authz.memory", bed.dir);
    assert_int_equal(file_read(path, 64 << 20, true, &bytes, &len, &err), OK);
    for (size_t at = 0; at < len; at += len / 40 + 1) {
        bytes[at] ^= 1;
        assert_int_equal(file_write(path, slice_of(bytes, len), 0600, &err), OK);
        bytes[at] ^= 1;
        assert_int_equal(open_service(&err), OK);
        assert_string_equal(hold("id=2", NULL), "ok");
        service_close(service);
        service = NULL;
    }
    for (size_t cut = 0; cut < 3; cut++) {
        assert_int_equal(file_write(path, slice_of(bytes, cut * len / 4), 0600, &err), OK);
        assert_int_equal(open_service(&err), OK);
        service_close(service);
        service = NULL;
    }
    assert_int_equal(file_write(path, slice_of(bytes, len), 0600, &err), OK);   /* an old one stands for less */
    assert_int_equal(open_service(&err), OK);
    assert_string_equal(hold("id=2", NULL), "ok");
    free(bytes);
}

static void an_edit_while_running_releases_nothing(void **state)
{
    (void)state;
    char pending[32];
    assert_string_equal(hold("id=2", pending), "ok");
    edit("UPDATE held SET state = 'approved' WHERE item = '%s'", pending);
    assert_string_equal(hold("id=2", NULL), "records-altered");
    assert_string_equal(ask(json_pack("{s:s, s:o, s:s}", "op", "release.link", "who", who("alice"), "id", pending), -1, NULL), "records-altered");
    edit("UPDATE held SET state = 'pending' WHERE item = '%s'", pending);
    assert_string_equal(hold("id=2", NULL), "ok");
    /* Used, by hand approved again, even without the leaf that says so: the running authz remembers. */
    edit("UPDATE held SET state = 'approved', used_ms = NULL WHERE item = '%s'", used_id);
    assert_string_equal(hold("id=used", NULL), "records-altered");
    edit("DELETE FROM leaf WHERE type = 'signoff.used'%s", "");
    assert_string_equal(hold("id=used", NULL), "records-altered");
}

static void an_edited_leaf_releases_nothing(void **state)
{
    (void)state;
    edit("UPDATE leaf SET content = replace(content, 'carol', 'cArol') WHERE type = 'approval' AND instr(content, '%s') > 0", held_id);
    assert_string_equal(hold("id=1", NULL), "records-altered");
}

static void an_approval_taken_from_elsewhere_releases_nothing(void **state)
{
    (void)state;
    char pending[32];
    assert_string_equal(hold("id=2", pending), "ok");
    edit("INSERT INTO decision SELECT 'ITEM', person, requester, decision, at, key, statement || 'x', seq FROM decision WHERE item = '%s'", used_id);
    char sql[128];
    snprintf(sql, sizeof sql, "UPDATE decision SET item = '%s' WHERE item = 'ITEM'", pending);
    edit(sql, "");
    edit("UPDATE held SET state = 'approved' WHERE item = '%s'", pending);
    assert_string_equal(hold("id=2", NULL), "records-altered");
    edit("UPDATE held SET state = 'pending' WHERE item = '%s'", pending);
    /* and an honest new approval finds the forged row beside it */
    char kid[44];
    key_fingerprint(bed.carol, kid);
    assert_string_equal(ask(json_pack("{s:s, s:o, s:s, s:s, s:s}", "op", "statement", "who", who("carol"), "id", pending, "decision", "approve", "key",
                                      kid), -1, NULL), "already-decided");
}

static void swapped_bytes_are_noticed(void **state)
{
    (void)state;
    char pending[32], from[128], to[128];
    assert_string_equal(hold("id=2", pending), "ok");
    snprintf(from, sizeof from, "held/%s.sealed", pending);
    snprintf(to, sizeof to, "held/%s.sealed", held_id);
    copy_file(from, to);
    assert_string_equal(hold("id=1", NULL), "records-altered");
    char path[512];
    snprintf(path, sizeof path, "%s/%s", bed.dir, to);
    unlink(path);
    assert_string_equal(hold("id=1", NULL), "records-altered");
}

/* A stored statement is rebuilt before it counts. */
static void an_edited_statement_does_not_count(void **state)
{
    (void)state;
    struct err err;
    char pending[32], kid[44], *jws = NULL;
    json_t *answer = NULL;
    assert_string_equal(hold("id=2", pending), "ok");
    key_fingerprint(bed.carol, kid);
    ask(json_pack("{s:s, s:o, s:s, s:s, s:s}", "op", "statement", "who", who("carol"), "id", pending, "decision", "deny", "key", kid), -1, &answer);
    json_t *s = json_incref(json_object_get(answer, "statement"));
    json_decref(answer);
    edit("UPDATE statement SET text = replace(text, '\"deny\"', '\"approve\"') WHERE item = '%s'", pending);
    json_object_set_new(s, "decision", json_string("approve"));
    assert_int_equal(statement_sign(s, bed.carol, &jws, &err), OK);
    assert_string_equal(ask(json_pack("{s:s, s:o, s:s, s:s}", "op", "decide", "who", who("carol"), "statement_id", text(s, "id"), "jws", jws), -1, NULL),
                        "records-altered");
    free(jws);
    json_decref(s);
}

int main(void)
{
#define ALTERED(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ALTERED(an_edited_database_does_not_start), ALTERED(an_altered_memory_is_none), ALTERED(an_edit_while_running_releases_nothing), ALTERED(an_edited_leaf_releases_nothing),
        ALTERED(an_approval_taken_from_elsewhere_releases_nothing), ALTERED(swapped_bytes_are_noticed),
        ALTERED(an_edited_statement_does_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
