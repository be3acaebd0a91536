/* Delegates, over the socket, against the real process: whose place a yes fills, and when it fills none. */
#include "authz/approvals/story.h"

static json_t *hand_over_until(const char *name, EVP_PKEY *key, const char *to, const char *tool, const char *kind, int64_t until)
{
    char kid[44];
    key_fingerprint(key, kid);
    return client_ask(&worker, json_pack("{s:s, s:o, s:s, s:s, s:[s], s:[s], s:I}", "op", "delegate.statement", "who", who(name), "key", kid, "person", to, "tools", tool, "kinds", kind,
                                         "until", (json_int_t)until));
}

static json_t *hand_over(const char *name, EVP_PKEY *key, const char *to, const char *tool, const char *kind)
{
    return hand_over_until(name, key, to, tool, kind, clock_wall_s() + 3600);
}

/* Named, by a signature; id of the delegation. */
static void handed_over(const char *name, EVP_PKEY *key, const char *to, const char *tool, const char *kind, char id[32])
{
    json_t *s = member(hand_over(name, key, to, tool, kind), "statement");
    assert_string_equal(text(s, "purpose"), "delegate");
    assert_string_equal(text(s, "requester"), to);
    json_t *d = member(decide_with(name, s, key), "delegation");
    assert_string_equal(text(d, "delegate"), to);
    snprintf(id, 32, "%s", text(d, "id"));
    json_decref(d);
    json_decref(s);
}

static json_t *statement_for(const char *name, const char *id, const char *behalf, EVP_PKEY *key)
{
    char kid[44];
    key_fingerprint(key, kid);
    return client_ask(&worker, json_pack("{s:s, s:o, s:s, s:s, s:s, s:s}", "op", "statement", "who", who(name), "id", id, "decision", "approve", "key", kid, "on_behalf_of", behalf));
}

static void take_back(const char *name, const char *id, const char *want)
{
    expect(client_ask(&worker, json_pack("{s:s, s:o, s:s, s:s}", "op", "delegate.withdraw", "who", who(name), "id", id, "reason", "back again")), want);
}

static void asked(const char *name, const char *tool, char id[32])
{
    json_t *r = member(request(name, tool, "ticket 4711", 60), "request");
    snprintf(id, 32, "%s", text(r, "id"));
    json_decref(r);
}

static void naming_is_checked(void **state)
{
    (void)state;
    int64_t now = clock_wall_s();
    const struct { const char *name; EVP_PKEY *key; const char *to, *tool, *kind; int64_t until; const char *want; } rows[] = {
        { "bob", bed.bob, "bob", "vault", "access", now + 3600, "no-delegation" },          /* oneself */
        { "bob", bed.bob, "nobody", "vault", "access", now + 3600, "no-delegation" },
        { "bob", bed.bob, "olga", "nothing", "access", now + 3600, "unknown-tool" },
        { "bob", bed.bob, "olga", "vault", "everything", now + 3600, "no-delegation" },
        { "bob", bed.bob, "olga", "vault", "signoff", now + 3600, "no-delegation" },        /* he signs nothing off there */
        { "olga", bed.olga, "oskar", "vault", "access", now + 3600, "no-delegation" },      /* she has no say */
        { "bob", bed.bob, "olga", "vault", "access", now, "no-delegation" },
        { "bob", bed.bob, "olga", "vault", "access", now - 1, "no-delegation" },
        { "bob", bed.bob, "olga", "vault", "access", now + 15 * 86400, "no-delegation" },   /* longer than 14 days */
        { "bob", bed.carol, "olga", "vault", "access", now + 3600, "key-not-registered" },
        { "bob", bed.bob, "olga", "*", "access", now + 3600, "ok" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect(hand_over_until(rows[i].name, rows[i].key, rows[i].to, rows[i].tool, rows[i].kind, rows[i].until), rows[i].want);
    json_t *s = member(hand_over("bob", bed.bob, "olga", "vault", "access"), "statement");
    expect(decide_with("bob", s, bed.carol), "bad-signature");
    expect(decide_with("olga", s, bed.olga), "statement-unknown");
    json_object_set_new(json_object_get(s, "scope"), "until_s", json_integer((json_int_t)(now + 86400)));
    expect(decide_with("bob", s, bed.bob), "bad-signature");   /* not what was written */
    json_decref(s);
}

static void a_delegate_fills_the_place_of_who_named_her(void **state)
{
    (void)state;
    char dlg[32], id[32];
    asked("alice", "vault", id);
    expect(statement("olga", id, "approve", bed.olga), "may-not-approve");   /* an operator sees it */
    handed_over("carol", bed.carol, "olga", "vault", "access", dlg);
    json_t *item = member(ask("item.get", "olga", "id", id), "item");
    assert_string_equal(text(item, "acting_for"), "carol");
    json_decref(item);
    json_t *s = member(statement("olga", id, "approve", bed.olga), "statement");
    assert_string_equal(text(json_object_get(s, "scope"), "on_behalf_of"), "carol");
    assert_string_equal(text(s, "approver"), "olga");
    json_decref(member(decide_with("olga", s, bed.olga), "item"));
    json_decref(s);
    decide("carol", id, "approve", bed.carol, "pending");      /* her own place is filled already: both count once */
    decide("bob", id, "approve", bed.bob, "granted");
    /* It is proved with the delegation and the key that signed it. */
    json_t *leaves = member(ask("item.proof", "olga", "id", id), "leaves"), *leaf;
    size_t i, named = 0;
    json_array_foreach(leaves, i, leaf)
        named += strcmp(text(leaf, "type"), "delegate.named") == 0;
    assert_int_equal(named, 1);
    json_decref(leaves);
}

static void nobody_is_approved_through_a_delegate(void **state)
{
    (void)state;
    char dlg[32], id[32];
    asked("anna", "support", id);                              /* she leads, and asks herself */
    handed_over("anna", bed.anna, "olga", "support", "access", dlg);
    expect(statement("olga", id, "approve", bed.olga), "may-not-approve");
    expect(statement_for("olga", id, "anna", bed.olga), "may-not-approve");
    handed_over("bob", bed.bob, "anna", "support", "access", dlg);
    expect(statement_for("anna", id, "bob", bed.anna), "self-approval");   /* the requester, in whoever's place */
    handed_over("bob", bed.bob, "alice", "support", "access", dlg);
    asked("alice", "support", id);
    expect(statement_for("alice", id, "bob", bed.alice), "self-approval");
    expect(statement_for("bob", id, "anna", bed.bob), "may-not-approve");  /* anna named somebody else */
}

static void nothing_is_handed_on(void **state)
{
    (void)state;
    char dlg[32], id[32];
    asked("alice", "support", id);
    handed_over("bob", bed.bob, "olga", "support", "access", dlg);
    expect(hand_over("olga", bed.olga, "oskar", "support", "access"), "no-delegation");
    expect(statement("oskar", id, "approve", bed.oskar), "may-not-approve");
    /* Other tools, and other answers, are not meant. */
    asked("alice", "vault", id);
    expect(statement("olga", id, "approve", bed.olga), "may-not-approve");
}

static void a_delegate_of_two_counts_once(void **state)
{
    (void)state;
    char dlg[32], id[32];
    asked("alice", "vault", id);
    handed_over("bob", bed.bob, "olga", "vault", "access", dlg);
    handed_over("carol", bed.carol, "olga", "vault", "access", dlg);
    json_t *s = member(statement_for("olga", id, "carol", bed.olga), "statement");
    json_t *item = member(decide_with("olga", s, bed.olga), "item");
    assert_string_equal(text(item, "state"), "pending");
    expect(statement_for("olga", id, "bob", bed.olga), "already-decided");
    json_decref(item);
    json_decref(s);
}

static void a_yes_counts_while_its_delegation_was_not_taken_back(void **state)
{
    (void)state;
    char dlg[32], id[32];
    asked("alice", "vault", id);
    handed_over("bob", bed.bob, "olga", "vault", "access", dlg);
    json_t *s = member(statement("olga", id, "approve", bed.olga), "statement");
    json_decref(member(decide_with("olga", s, bed.olga), "item"));
    json_decref(s);
    take_back("carol", dlg, "not-found");
    take_back("bob", dlg, "ok");
    take_back("bob", dlg, "not-found");
    decide("carol", id, "approve", bed.carol, "pending");
    decide("bob", id, "approve", bed.bob, "granted");
    /* What was written before it ended is not taken afterwards. */
    asked("alice", "support", id);
    handed_over("bob", bed.bob, "oskar", "support", "access", dlg);
    s = member(statement("oskar", id, "approve", bed.oskar), "statement");
    take_back("oskar", dlg, "ok");
    expect(decide_with("oskar", s, bed.oskar), "may-not-approve");
    json_decref(s);
}

static void a_lock_ends_it_for_good(void **state)
{
    (void)state;
    char dlg[32], id[32], kid[44];
    asked("alice", "support", id);
    handed_over("bob", bed.bob, "oskar", "support", "access", dlg);
    json_t *lock = member(client_ask(&worker, json_pack("{s:s, s:o, s:s, s:s, s:s}", "op", "lock", "who", who("olga"), "kind", "person", "value", "bob", "reason", "stop")), "lock");
    expect(statement("oskar", id, "approve", bed.oskar), "may-not-approve");
    key_fingerprint(bed.olga, kid);
    json_t *s = member(client_ask(&worker, json_pack("{s:s, s:o, s:s, s:s, s:s}", "op", "unlock.statement", "who", who("olga"), "id", text(lock, "id"), "key", kid, "reason", "over")), "statement");
    expect(decide_with("olga", s, bed.olga), "ok");
    expect(statement("oskar", id, "approve", bed.oskar), "may-not-approve");
    json_t *list = member(ask("delegations", "olga", NULL, NULL), "delegations");
    assert_int_equal(json_array_size(list), 0);
    json_decref(list);
    json_decref(s);
    json_decref(lock);
}

static void signoffs_can_be_handed_over(void **state)
{
    (void)state;
    char dlg[32], id[32];
    get_grant();
    hold_id("id=1", id);
    handed_over("carol", bed.carol, "bob", "support", "signoff", dlg);
    json_t *s = member(statement("bob", id, "approve", bed.bob), "statement");
    assert_string_equal(text(json_object_get(s, "scope"), "on_behalf_of"), "carol");
    json_t *item = member(decide_with("bob", s, bed.bob), "item");
    assert_string_equal(text(item, "state"), "approved");
    json_decref(item);
    json_decref(s);
    /* Taken back before it was used: it does not run. */
    take_back("carol", dlg, "ok");
    json_t *again = hold("id=1");
    assert_false(json_is_true(json_object_get(again, "run")));
    json_decref(again);
}

static void it_is_there_after_a_restart(void **state)
{
    (void)state;
    char dlg[32], id[32];
    handed_over("bob", bed.bob, "olga", "support", "access", dlg);
    asked("alice", "support", id);
    client_close(&worker);
    assert_int_equal(testbed_signal(&bed, SIGTERM), 0);
    testbed_spawn(&bed);
    hello(&worker, "worker");
    decide("olga", id, "approve", bed.olga, "granted");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(naming_is_checked), STORY(a_delegate_fills_the_place_of_who_named_her), STORY(nobody_is_approved_through_a_delegate), STORY(nothing_is_handed_on),
        STORY(a_delegate_of_two_counts_once), STORY(a_yes_counts_while_its_delegation_was_not_taken_back), STORY(a_lock_ends_it_for_good), STORY(signoffs_can_be_handed_over),
        STORY(it_is_there_after_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
