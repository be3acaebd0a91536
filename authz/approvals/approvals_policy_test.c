/* A change of the policy, over the socket, against the real process: what is wider waits for two operators, over restarts too; and attempts to do without. */
#include "authz/approvals/story.h"

#include <sqlite3.h>

/* The testbed's config with something replaced. */
static void put_config(const char *from, const char *to)
{
    static const char guard[] = "policy = { second_operator = true; };\n";
    char *text = NULL;
    size_t len = 0;
    const char *at = from ? strstr(testbed_config, from) : testbed_config;
    assert_non_null(at);
    FILE *f = open_memstream(&text, &len);
    fprintf(f, "%s%.*s%s%s", guard, (int)(at - testbed_config), testbed_config, from ? to : "", from ? at + strlen(from) : testbed_config);
    fclose(f);
    testbed_write(&bed, "countersign.cfg", slice_of(text, len), 0600);
    free(text);
}

static int set_up_guarded(void **state)
{
    (void)state;
    testbed_make(&bed);
    put_config(NULL, NULL);
    testbed_spawn(&bed);
    hello(&worker, "worker");
    return 0;
}

#define GUARDED(f) cmocka_unit_test_setup_teardown(f, set_up_guarded, tear_down)
#define CAROL "groups = [ \"security\" ]; }"
#define CAROL_LEADS "groups = [ \"security\", \"support-lead\" ]; }"

static void restart(int signum)
{
    client_close(&worker);
    testbed_signal(&bed, signum);
    testbed_spawn(&bed);
    hello(&worker, "worker");
}

/* SIGHUP; a question that comes after it waits for it, or nearly: what it leads to is waited for. */
static void reload(void)
{
    assert_int_equal(kill(bed.pid, SIGHUP), 0);
}

/* The pending change as this operator sees it, once there is one whose text has this in it; NULL after a while. */
static bool waiting(const char *name, const char *what, char id[32])
{
    for (int i = 0; i < 400; i++) {
        size_t k;
        json_t *item, *items = member(ask("pending", name, NULL, NULL), "items");
        bool found = false;
        json_array_foreach(items, k, item)
            if (!found && strcmp(text(item, "kind"), "policy") == 0 && strstr(text(item, "changes"), what) != NULL) {
                snprintf(id, 32, "%s", text(item, "id"));
                found = true;
            }
        json_decref(items);
        if (found)
            return true;
        usleep(25 * 1000);
    }
    return false;
}

/* Nothing of kind policy is pending for olga. */
static bool nothing_waits(void)
{
    char id[32];
    size_t k;
    json_t *item, *items = member(ask("pending", "olga", NULL, NULL), "items");
    bool none = true;
    (void)id;
    json_array_foreach(items, k, item)
        none &= strcmp(text(item, "kind"), "policy") != 0;
    json_decref(items);
    return none;
}

static bool in_group(const char *name, const char *group)
{
    size_t k;
    json_t *g, *groups = member(ask("status", name, NULL, NULL), "groups");
    bool in = false;
    json_array_foreach(groups, k, g)
        in |= strcmp(json_string_value(g), group) == 0;
    json_decref(groups);
    return in;
}

static bool comes_into_group(const char *name, const char *group, bool wanted)
{
    for (int i = 0; i < 400 && in_group(name, group) != wanted; i++)
        usleep(25 * 1000);
    return in_group(name, group) == wanted;
}

static void propose_carol(char id[32])
{
    put_config(CAROL, CAROL_LEADS);
    reload();
    assert_true(waiting("olga", "group support-lead gains carol", id));
    assert_false(in_group("carol", "support-lead"));
}

/* Two different operators; each sees what changes; then it counts, and goes on counting after a restart. */
static void two_operators(void **state)
{
    (void)state;
    char id[32];
    propose_carol(id);
    json_t *item = member(ask("item.get", "oskar", "id", id), "item");
    assert_string_equal(text(item, "changes"), "group support-lead gains carol");
    assert_int_equal(strlen(text(item, "policy")), 64);
    assert_string_not_equal(text(item, "policy"), text(item, "was"));
    json_t *hello_again = client_ask(&worker, json_pack("{s:s, s:s}", "op", "hello", "role", "worker"));
    assert_null(hello_again);         /* said twice */
    client_close(&worker);
    hello(&worker, "worker");
    decide("olga", id, "approve", bed.olga, "pending");
    assert_false(in_group("carol", "support-lead"));
    decide("oskar", id, "approve", bed.oskar, "approved");
    assert_true(in_group("carol", "support-lead"));
    const json_t *told = client_event(&worker, "policy", "policy", text(item, "policy"));
    assert_non_null(told);
    json_decref(item);
    restart(SIGKILL);
    assert_true(in_group("carol", "support-lead"));
    assert_true(nothing_waits());
}

static void not_by_one(void **state)
{
    (void)state;
    char id[32];
    propose_carol(id);
    decide("olga", id, "approve", bed.olga, "pending");
    expect(statement("olga", id, "approve", bed.olga), "already-decided");
    expect(statement("carol", id, "approve", bed.carol), "not-found");
    expect(statement("bob", id, "approve", bed.bob), "not-found");
    expect(statement("oskar", id, "approve", bed.olga), "key-not-registered");
    assert_false(in_group("carol", "support-lead"));
    decide("oskar", id, "deny", bed.oskar, "denied");
    reload();                         /* a no stays a no when the same is read again */
    restart(SIGTERM);
    assert_true(nothing_waits());
    assert_false(in_group("carol", "support-lead"));
}

/* Her yes no longer counts once she is locked. */
static void a_locked_operator(void **state)
{
    (void)state;
    char id[32];
    propose_carol(id);
    decide("olga", id, "approve", bed.olga, "pending");
    expect(client_ask(&worker, json_pack("{s:s, s:o, s:s, s:s, s:s}", "op", "lock", "who", who("oskar"), "kind", "person", "value", "olga", "reason", "for the test")), "ok");
    decide("oskar", id, "approve", bed.oskar, "pending");
    assert_false(in_group("carol", "support-lead"));
}

/* The new policy's operators have no say, and who would be one by it has none either. */
static void operators_of_the_old(void **state)
{
    (void)state;
    char id[32];
    put_config("operators = [ \"operations\" ]", "operators = [ \"support-lead\" ]");
    reload();
    assert_true(waiting("olga", "roles.operators gains \"support-lead\"", id));
    expect(statement("bob", id, "approve", bed.bob), "not-found");
    restart(SIGKILL);
    expect(statement("bob", id, "approve", bed.bob), "not-found");
    assert_true(waiting("oskar", "roles.operators gains", id));
}

static void over_a_restart(void **state)
{
    (void)state;
    char id[32], again[32];
    propose_carol(id);
    restart(SIGKILL);
    assert_false(in_group("carol", "support-lead"));
    assert_true(waiting("oskar", "carol", again));
    assert_string_equal(id, again);   /* the same question, with the answers it had */
    decide("olga", id, "approve", bed.olga, "pending");
    restart(SIGKILL);
    decide("oskar", id, "approve", bed.oskar, "approved");
    assert_true(in_group("carol", "support-lead"));
    /* A file that was edited while nothing ran. */
    put_config(CAROL, "groups = [ \"security\", \"support-lead\", \"operations\" ]; }");
    restart(SIGTERM);
    assert_false(in_group("carol", "operations"));
    assert_true(waiting("olga", "group operations gains carol", id));
}

/* What was signed is one change; the file now says another. */
static void swapped_meanwhile(void **state)
{
    (void)state;
    char id[32], other[32];
    propose_carol(id);
    decide("olga", id, "approve", bed.olga, "pending");
    json_t *stmt = member(statement("oskar", id, "approve", bed.oskar), "statement");
    put_config(CAROL, "groups = [ \"security\", \"operations\" ]; }");
    reload();
    assert_true(waiting("olga", "group operations gains carol", other));
    expect(decide_with("oskar", stmt, bed.oskar), "not-pending");
    json_decref(stmt);
    assert_false(in_group("carol", "support-lead"));
    assert_false(in_group("carol", "operations"));
    /* Edited, and not read again: what counts is what was signed. */
    decide("olga", other, "approve", bed.olga, "pending");
    put_config(CAROL, "groups = [ \"security\", \"operations\", \"support-lead\", \"audit\" ]; }");
    decide("oskar", other, "approve", bed.oskar, "approved");
    assert_true(in_group("carol", "operations"));
    assert_false(in_group("carol", "audit"));
}

static void narrower_at_once(void **state)
{
    (void)state;
    char id[32];
    put_config("groups = [ \"support\", \"support-lead\" ]; }", "groups = [ \"support\" ]; }");
    reload();
    assert_true(comes_into_group("anna", "support-lead", false));
    assert_true(nothing_waits());
    put_config(NULL, NULL);           /* and back is wider */
    reload();
    assert_true(waiting("olga", "group support-lead gains anna", id));
    put_config("groups = [ \"support\", \"support-lead\" ]; }", "groups = [ \"support\" ]; }");
    reload();                         /* undone: nothing is asked any more */
    for (int i = 0; i < 400 && !nothing_waits(); i++)
        usleep(25 * 1000);
    assert_true(nothing_waits());
}

/* The guard cannot be switched off by the one whom it guards against. */
static void the_guard_itself(void **state)
{
    (void)state;
    char id[32];
    testbed_write(&bed, "countersign.cfg", slice_str(testbed_config), 0600);
    reload();
    assert_true(waiting("olga", "policy.second_operator: true becomes false", id));
    restart(SIGKILL);
    put_config(CAROL, CAROL_LEADS);
    reload();
    assert_true(waiting("olga", "carol", id));
    assert_false(in_group("carol", "support-lead"));
    testbed_write(&bed, "countersign.cfg", slice_str(testbed_config), 0600);
    reload();
    assert_true(waiting("olga", "second_operator", id));
    decide("olga", id, "approve", bed.olga, "pending");
    decide("oskar", id, "approve", bed.oskar, "approved");
    assert_non_null(client_event(&worker, "policy", "policy", ""));
    restart(SIGTERM);
}

/* Without the guard every file counts, as before. */
static void without_it(void **state)
{
    (void)state;
    char *text_before = strdup(testbed_config), *at = strstr(text_before, CAROL);
    memcpy(at, "groups = [ \"audit\" ];    }", strlen(CAROL));
    testbed_write(&bed, "countersign.cfg", slice_str(text_before), 0600);
    free(text_before);
    reload();
    assert_true(comes_into_group("carol", "audit", true));
}

static void sql(const char *statement_text)
{
    sqlite3 *db = NULL;
    char path[300], *why = NULL;
    snprintf(path, sizeof path, "%s/authz.db", bed.dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, statement_text, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s", why);
    sqlite3_close(db);
}

/* By hand in the database: it is named, and nothing starts. */
static void edited_rows(void **state)
{
    (void)state;
    static const char *const edits[] = {
        "UPDATE policy_change SET state = 'approved'", "UPDATE policy_change SET policy = was", "UPDATE policy_change SET changes = 'nothing'", "DELETE FROM policy_change",
        "INSERT INTO decision SELECT item, 'oskar', requester, decision, at, key, statement || 'x', seq FROM decision WHERE item LIKE 'pol_%'",
        "UPDATE leaf SET content = replace(content, 'support-lead', 'operations-x') WHERE type = 'policy.proposed'",
        "UPDATE leaf SET type = 'policy.accepted' WHERE type = 'policy.proposed'", "DELETE FROM leaf WHERE type = 'policy.accepted'",
    };
    char id[32], copy[300], db[300], command[700];
    propose_carol(id);
    decide("olga", id, "approve", bed.olga, "pending");
    client_close(&worker);
    testbed_signal(&bed, SIGTERM);
    snprintf(db, sizeof db, "%s/authz.db", bed.dir);
    snprintf(copy, sizeof copy, "%s/copy.db", bed.dir);
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        snprintf(command, sizeof command, "cp '%s' '%s'", i == 0 ? db : copy, i == 0 ? copy : db);
        assert_int_equal(system(command), 0);
        sql(edits[i]);
        snprintf(command, sizeof command, "rm -f '%s/authz.memory'", bed.dir);
        assert_int_equal(system(command), 0);
        testbed_spawn(&bed);
        if (testbed_wait(&bed) != 1)
            fail_msg("it started after: %s", edits[i]);
    }
}

/* The kept policy altered or gone: it does not start on another one, and not on the file's. */
static void altered_copy(void **state)
{
    (void)state;
    char id[32], command[700];
    propose_carol(id);
    client_close(&worker);
    testbed_signal(&bed, SIGTERM);
    snprintf(command, sizeof command, "sed -i 's/security/operations/' '%s'/policy/*.conf", bed.dir);
    assert_int_equal(system(command), 0);
    testbed_spawn(&bed);
    assert_int_equal(testbed_wait(&bed), 1);
    snprintf(command, sizeof command, "rm -r '%s/policy'", bed.dir);
    assert_int_equal(system(command), 0);
    testbed_spawn(&bed);
    assert_int_equal(testbed_wait(&bed), 1);
    put_config(NULL, NULL);           /* the file says what is in force: that is as good */
    testbed_spawn(&bed);
    hello(&worker, "worker");
    assert_true(nothing_waits());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        GUARDED(two_operators), GUARDED(not_by_one), GUARDED(a_locked_operator), GUARDED(operators_of_the_old), GUARDED(over_a_restart), GUARDED(swapped_meanwhile),
        GUARDED(narrower_at_once), GUARDED(the_guard_itself), STORY(without_it), GUARDED(edited_rows), GUARDED(altered_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
