/* Nobody is their own second person, whatever the groups, needs, identities and order of answers: generated worlds, played against the service. A small second
 * implementation of the rule, by trying everything, says after each yes whether a grant may exist. */
#include "authz/approvals/testbed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { PEOPLE = 5, GROUPS = 3, NEEDS = 3, WORLDS = 40, STEPS = 50 };

static struct testbed bed;
static struct service *service;
static struct peer worker;
static uint64_t seed;
static const char *const names[PEOPLE] = { "alice", "anna", "bob", "carol", "olga" };
static EVP_PKEY *keys[PEOPLE];
static unsigned reached[2], refused; /* items that were approved, by kind; answers that were not taken */

struct world {
    unsigned member[PEOPLE];          /* a bit a group */
    struct { unsigned group, count; } need[2][NEEDS];   /* of access, of the sign-off */
    size_t need_count[2];
};

static unsigned pick(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % n;
}

static const char *text(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}

/* ---- the rule, again: can the needs' places be given to these persons, each to one? ---- */

static bool fill(const struct world *w, int kind, size_t need, unsigned left, unsigned free)
{
    if (need == w->need_count[kind])
        return true;
    if (left == 0)
        return fill(w, kind, need + 1, need + 1 < w->need_count[kind] ? w->need[kind][need + 1].count : 0, free);
    for (unsigned p = 0; p < PEOPLE; p++)
        if ((free & 1u << p) && (w->member[p] & 1u << w->need[kind][need].group) && fill(w, kind, need, left - 1, free & ~(1u << p)))
            return true;
    return false;
}

static bool enough(const struct world *w, int kind, unsigned requester, unsigned yes)
{
    return fill(w, kind, 0, w->need[kind][0].count, yes & ~(1u << requester));
}

/* ---- a world as a config ---- */

static size_t write_needs(char *out, size_t max, const struct world *w, int kind)
{
    size_t n = 0;
    for (size_t i = 0; i < w->need_count[kind]; i++)
        n += (size_t)snprintf(out + n, max - n, "%s{ group = \"g%u\"; count = %u; }", i ? ", " : "", w->need[kind][i].group, w->need[kind][i].count);
    return n;
}

static void write_world(const struct world *w)
{
    char config[8192], needs[2][512];
    size_t n = (size_t)snprintf(config, sizeof config, "instance = \"test.example\"; state = \".\"; console = \"console.acme.localhost\";\n"
                                "tls = { certificate = \"x.pem\"; key = \"x.pem\"; client_ca = \"x.pem\"; crl = \"x.pem\"; };\n"
                                "approval_keys = \"approval_keys\";\npeople = (\n");
    for (unsigned p = 0; p < PEOPLE; p++) {
        n += (size_t)snprintf(config + n, sizeof config - n, "%s{ name = \"%s\"; identities = [ \"%s@acme.localhost\", \"%s@laptop.localhost\" ]; groups = [ \"all\"",
                              p ? ", " : "", names[p], names[p], names[p]);
        for (unsigned g = 0; g < GROUPS; g++)
            if (w->member[p] & 1u << g)
                n += (size_t)snprintf(config + n, sizeof config - n, ", \"g%u\"", g);
        n += (size_t)snprintf(config + n, sizeof config - n, " ]; }\n");
    }
    write_needs(needs[0], sizeof needs[0], w, 0);
    write_needs(needs[1], sizeof needs[1], w, 1);
    snprintf(config + n, sizeof config - n, ");\nrecording = { unsealed = true; };\nlimits = { requests_per_person = 100; held_per_person = 100; };\ntools = ( { name = \"support\"; host = \"support.acme.localhost\";\n"
             "  upstream = \"http://127.0.0.1:8000\"; who = [ \"%s\" ]; approvers = ( %s );\n"
             "  actions = ( { name = \"export\"; methods = [ \"POST\" ]; path = \"/export\"; allow = \"signoff\"; signoff = ( %s ); },\n"
             "              { name = \"use\"; path = \"/**\"; allow = \"grant\"; } ); } );\n",
             "all", needs[0], needs[1]);
    testbed_write(&bed, "countersign.cfg", slice_str(config), 0600);
}

static void make_world(struct world *w)
{
    for (unsigned p = 0; p < PEOPLE; p++)
        w->member[p] = pick(1u << GROUPS) | pick(1u << GROUPS);
    for (int kind = 0; kind < 2; kind++) {
        w->need_count[kind] = 1 + pick(2) + (pick(4) == 0);
        for (size_t i = 0; i < w->need_count[kind]; i++) {
            w->need[kind][i].group = pick(GROUPS);
            w->need[kind][i].count = 1 + (pick(4) == 0);
        }
    }
}

/* ---- playing ---- */

static bool ask(json_t *m, int fd, json_t **out)
{
    struct answer a;
    struct err err = { .text = "" };
    json_object_set_new(m, "n", json_integer(1));
    assert_int_equal(service_answer(service, &worker, m, &fd, fd >= 0 ? 1 : 0, &a, &err), ANSWERED);
    bool ok = json_is_true(json_object_get(a.message, "ok"));
    if (out != NULL)
        *out = json_incref(a.message);
    answer_done(&a);
    json_decref(m);
    json_decref(service_events(service));
    return ok;
}

/* By one of the person's two identities, with one of two certificates. */
static json_t *somehow(unsigned p, unsigned device)
{
    char identity[64], cert[64];
    snprintf(identity, sizeof identity, "%s@%s.localhost", names[p], device ? "laptop" : "acme");
    snprintf(cert, sizeof cert, "%s-%u", names[p], device);
    return who_with(identity, cert);
}

/* A yes by p, signed with the key of `signer`; true if it was taken. */
static bool say_yes(unsigned p, unsigned device, unsigned signer, const char *id)
{
    struct err err = { .text = "" };
    char kid[44], *jws = NULL;
    json_t *answer = NULL;
    key_fingerprint(keys[p], kid);
    bool ok = ask(json_pack("{s:s, s:o, s:s, s:s, s:s}", "op", "statement", "who", somehow(p, device), "id", id, "decision", "approve", "key", kid), -1, &answer);
    if (ok) {
        const json_t *s = json_object_get(answer, "statement");
        assert_int_equal(statement_sign(s, keys[signer], &jws, &err), OK);
        ok = ask(json_pack("{s:s, s:o, s:s, s:s}", "op", "decide", "who", somehow(p, device), "statement_id", text(s, "id"), "jws", jws), -1, NULL);
    }
    free(jws);
    json_decref(answer);
    return ok;
}

struct item {
    char id[32], grant[32];
    unsigned requester, yes;
    int kind;                         /* 0 access, 1 sign-off */
    bool open;
};

static void check_item(const struct world *w, struct item *it)
{
    json_t *answer = NULL;
    assert_true(ask(json_pack("{s:s, s:o, s:s}", "op", "item.get", "who", somehow(it->requester, 0), "id", it->id), -1, &answer));
    const json_t *item = json_object_get(answer, "item");
    bool should = enough(w, it->kind, it->requester, it->yes), is = strcmp(text(item, "state"), it->kind ? "approved" : "granted") == 0;
    if (is != should)
        fail_msg("%s of %s is '%s' with the yes of %x", it->kind ? "sign-off" : "access", names[it->requester], text(item, "state"), it->yes);
    it->open = !is;
    reached[it->kind] += is;
    if (is && it->kind == 0)
        snprintf(it->grant, sizeof it->grant, "%s", text(item, "grant_id"));
    json_decref(answer);
}

static bool make_item(struct item *it, const struct item *granted, unsigned n)
{
    json_t *answer = NULL;
    char reason[32];
    bool ok;
    snprintf(reason, sizeof reason, "reason %u", n);
    if (granted == NULL) {
        it->kind = 0;
        it->requester = pick(PEOPLE);
        ok = ask(json_pack("{s:s, s:o, s:s, s:s, s:i}", "op", "request.create", "who", somehow(it->requester, 0), "tool", "support", "reason", reason, "duration_s",
                           600), -1, &answer);
        snprintf(it->id, sizeof it->id, "%s", text(json_object_get(answer, "request"), "id"));
    } else {
        int fd = -1;
        it->requester = granted->requester;
        it->kind = 1;
        json_t *m = hold_message(somehow(it->requester, 0), granted->grant, reason, &fd);
        ok = ask(m, fd, &answer);
        close(fd);
        snprintf(it->id, sizeof it->id, "%s", text(json_object_get(answer, "item"), "id"));
    }
    it->open = ok;
    json_decref(answer);
    return ok;
}

static void play(const struct world *w)
{
    struct item items[STEPS] = { 0 };
    size_t count = 0;
    const struct item *granted = NULL;
    for (unsigned step = 0; step < STEPS; step++) {
        if (count == 0 || pick(6) == 0) {
            if (make_item(&items[count], pick(2) ? granted : NULL, step))
                count++;
            continue;
        }
        struct item *it = &items[pick((unsigned)count)];
        unsigned p = pick(PEOPLE), device = pick(2), signer = pick(4) ? p : pick(PEOPLE);
        bool was_open = it->open, taken = say_yes(p, device, signer, it->id);
        refused += !taken;
        if (taken) {
            if (p == it->requester || signer != p || !was_open || (it->yes & 1u << p))
                fail_msg("%s's yes to %s's request was taken (key of %s)", names[p], names[it->requester], names[signer]);
            it->yes |= 1u << p;
            check_item(w, it);
        }
        if (it->grant[0] != 0)
            granted = it;             /* a newer grant ends the older one: then nothing can be held under it */
    }
}

static void nobody_is_their_own_second_person(void **state)
{
    (void)state;
    log_setup("test", LOG_LEVEL_ERROR + 1);
    for (uint64_t i = 0; i < WORLDS; i++) {
        struct world w = { 0 };
        struct err err = { .text = "" };
        struct config *c = NULL;
        seed = 0x9e3779b97f4a7c15u * (i + 1);
        testbed_make(&bed);
        EVP_PKEY *all[PEOPLE] = { bed.alice, bed.anna, bed.bob, bed.carol, bed.olga };
        memcpy(keys, all, sizeof keys);
        make_world(&w);
        write_world(&w);
        c = testbed_load(&bed);
        testbed_must(service_open(c, &service, &err) == OK, err.text);
        config_unref(c);
        worker = (struct peer){ .id = 1 };
        assert_true(ask(json_pack("{s:s, s:s}", "op", "hello", "role", "worker"), -1, NULL));
        play(&w);
        service_close(service);
        testbed_remove(&bed);
    }
    printf("%u grants and %u sign-offs came about, %u answers were not taken\n", reached[0], reached[1], refused);
    assert_true(reached[0] > 20 && reached[1] > 5 && refused > 200);   /* else it has shown nothing */
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(nobody_is_their_own_second_person) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
