/* story: the words in which the tests of this folder tell their story, over the socket, to a real process. Included by tests only. */
#ifndef COUNTERSIGN_STORY_H
#define COUNTERSIGN_STORY_H

#include "authz/approvals/testbed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct testbed bed;
static struct client worker;

static MAYBE_UNUSED const char *text(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}

/* The problem's type, "ok", or "closed"; takes the answer. */
static MAYBE_UNUSED void expect(json_t *answer, const char *want)
{
    char got[64];
    const json_t *p = json_object_get(answer, "problem");
    snprintf(got, sizeof got, "%s", answer == NULL ? "closed" : json_is_true(json_object_get(answer, "ok")) ? "ok" : text(p, "type"));
    if (strcmp(got, want) != 0)
        print_error("detail: %s\n", text(p, "detail"));
    assert_string_equal(got, want);
    if (p != NULL) {
        assert_true(json_integer_value(json_object_get(p, "status")) >= 400);
        assert_true(strlen(text(p, "next")) > 5);
    }
    json_decref(answer);
}

/* The member of a good answer; the caller's. */
static MAYBE_UNUSED json_t *member(json_t *answer, const char *name)
{
    if (!json_is_true(json_object_get(answer, "ok")))
        print_error("%s: %s\n", text(json_object_get(answer, "problem"), "type"), text(json_object_get(answer, "problem"), "detail"));
    assert_true(json_is_true(json_object_get(answer, "ok")));
    json_t *m = json_incref(json_object_get(answer, name));
    json_decref(answer);
    assert_non_null(m);
    return m;
}

static MAYBE_UNUSED void hello(struct client *c, const char *role)
{
    assert_true(client_connect(&bed, c));
    expect(client_ask(c, json_pack("{s:s, s:s}", "op", "hello", "role", role)), "ok");
    if (strcmp(role, "worker") == 0)
        assert_non_null(client_event(c, "synced", NULL, NULL));
}

static MAYBE_UNUSED json_t *ask(const char *op, const char *name, const char *member_name, const char *value)
{
    json_t *m = json_pack("{s:s, s:o}", "op", op, "who", who(name));
    if (member_name != NULL)
        json_object_set_new(m, member_name, json_string(value));
    return client_ask(&worker, m);
}

static MAYBE_UNUSED json_t *release(const char *name, const char *tool, const char *code)
{
    return client_ask(&worker, json_pack("{s:s, s:o, s:s, s:s}", "op", "release.use", "who", who(name), "tool", tool, "code", code));
}

static MAYBE_UNUSED json_t *request_as(json_t *by, const char *tool, const char *reason, int duration_s)
{
    return client_ask(&worker, json_pack("{s:s, s:o, s:s, s:s, s:i}", "op", "request.create", "who", by, "tool", tool, "reason", reason,
                                         "duration_s", duration_s));
}

static MAYBE_UNUSED json_t *request(const char *name, const char *tool, const char *reason, int duration_s)
{
    return request_as(who(name), tool, reason, duration_s);
}

static MAYBE_UNUSED json_t *statement(const char *name, const char *id, const char *decision, EVP_PKEY *key)
{
    char kid[44];
    key_fingerprint(key, kid);
    return client_ask(&worker, json_pack("{s:s, s:o, s:s, s:s, s:s}", "op", "statement", "who", who(name), "id", id, "decision", decision, "key",
                                         kid));
}

static MAYBE_UNUSED json_t *decide_with(const char *name, const json_t *stmt, EVP_PKEY *key)
{
    struct err err = { .text = "" };
    char *jws = NULL;
    assert_int_equal(statement_sign(stmt, key, &jws, &err), OK);
    json_t *answer = client_ask(&worker, json_pack("{s:s, s:o, s:s, s:s}", "op", "decide", "who", who(name), "statement_id", text(stmt, "id"),
                                                   "jws", jws));
    free(jws);
    return answer;
}

/* A signed decision; the item's state after it. */
static MAYBE_UNUSED void decide(const char *name, const char *id, const char *decision, EVP_PKEY *key, const char *state)
{
    json_t *stmt = member(statement(name, id, decision, key), "statement");
    json_t *item = member(decide_with(name, stmt, key), "item");
    assert_string_equal(text(item, "state"), state);
    json_decref(item);
    json_decref(stmt);
}

/* alice's live grant for `support`. */
static char grant_id[32];

static MAYBE_UNUSED void get_grant(void)
{
    json_t *r = member(request("alice", "support", "ticket 4711: audience export", 600), "request");
    char id[32];
    snprintf(id, sizeof id, "%s", text(r, "id"));
    json_decref(r);
    decide("bob", id, "approve", bed.bob, "granted");
    json_t *item = member(ask("item.get", "alice", "id", id), "item");
    snprintf(grant_id, sizeof grant_id, "%s", text(item, "grant_id"));
    json_decref(item);
    assert_int_equal(strlen(grant_id), 26);
}

static MAYBE_UNUSED json_t *hold(const char *body)
{
    int fd = -1;
    json_t *m = hold_message(who("alice"), grant_id, body, &fd);
    json_t *answer = client_ask_fd(&worker, m, fd);
    close(fd);
    return answer;
}

static MAYBE_UNUSED void hold_id(const char *body, char id[32])
{
    json_t *item = member(hold(body), "item");
    snprintf(id, 32, "%s", text(item, "id"));
    assert_string_equal(text(item, "state"), "pending");
    json_decref(item);
}

static MAYBE_UNUSED int set_up(void **state)
{
    (void)state;
    testbed_make(&bed);
    testbed_spawn(&bed);
    hello(&worker, "worker");
    return 0;
}

static MAYBE_UNUSED int tear_down(void **state)
{
    (void)state;
    client_close(&worker);
    int code = bed.pid > 0 ? testbed_signal(&bed, SIGTERM) : 0;
    testbed_remove(&bed);
    return code;
}

#define STORY(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

#endif
