/* Nobody is their own second person, whatever the groups, needs, identities, delegates and order of answers: generated worlds, played against the service. A small second
 * implementation of the rule, by trying everything, says after each yes whether a grant may exist. Grants without a second person come about for the named kinds only, and no
 * sign-off ever does. */
#include "authz/approvals/testbed.h"
#include "authz/actions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { PEOPLE = 5, GROUPS = 3, NEEDS = 3, WORLDS = 40, STEPS = 100 };

static struct testbed bed;
static struct service *service;
static struct peer worker, recorder;
static uint64_t seed;
static const char *const names[PEOPLE] = { "alice", "anna", "bob", "carol", "olga" };
static EVP_PKEY *keys[PEOPLE];
static unsigned reached[2], refused; /* items that were approved, by kind; answers that were not taken */
static unsigned alone[2], handed_over, by_delegates;   /* grants by break-glass, by rule; delegations; places filled by delegates */

enum { HANDED_MAX = 64 };
static struct handed { unsigned from, to, kinds; bool live; char id[32]; } handed[HANDED_MAX];   /* a bit a kind */
static size_t handed_count;

struct world {
    unsigned member[PEOPLE];          /* a bit a group */
    struct { unsigned group, count; } need[2][NEEDS];   /* of access, of the sign-off */
    size_t need_count[2];
    unsigned glass, rule;             /* groups that may break the glass, and that a rule is for */
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
             "  break_glass = { groups = [ \"g%u\" ]; }; auto = ( { name = \"rule\"; groups = [ \"g%u\" ]; actions = [ \"use\" ]; reason = \"INC\"; per_day = 1000; } );\n"
             "  actions = ( { name = \"export\"; methods = [ \"POST\" ]; path = \"/export\"; allow = \"signoff\"; signoff = ( %s ); },\n"
             "              { name = \"use\"; path = \"/**\"; allow = \"grant\"; } ); } );\n",
             "all", needs[0], w->glass, w->rule, needs[1]);
    testbed_write(&bed, "countersign.cfg", slice_str(config), 0600);
}

static void make_world(struct world *w)
{
    w->glass = pick(GROUPS);
    w->rule = pick(GROUPS);
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

static unsigned number_of(const char *name)
{
    unsigned p = 0;
    while (p < PEOPLE && strcmp(names[p], name) != 0)
        p++;
    return p;
}

/* Sign what was answered to a statement's request, with the key of `signer`, and hand it in. */
static bool hand_in(unsigned p, unsigned device, unsigned signer, const json_t *answer, json_t **out)
{
    struct err err = { .text = "" };
    char *jws = NULL;
    const json_t *s = json_object_get(answer, "statement");
    assert_int_equal(statement_sign(s, keys[signer], &jws, &err), OK);
    bool ok = ask(json_pack("{s:s, s:o, s:s, s:s}", "op", "decide", "who", somehow(p, device), "statement_id", text(s, "id"), "jws", jws), -1, out);
    free(jws);
    return ok;
}

/* A yes by p, perhaps in the place of another, signed with the key of `signer`; true if it was taken. *place: whose place it fills. */
static bool say_yes(unsigned p, unsigned device, unsigned signer, const char *id, const char *behalf, unsigned *place)
{
    char kid[44];
    json_t *answer = NULL;
    key_fingerprint(keys[p], kid);
    json_t *m = json_pack("{s:s, s:o, s:s, s:s, s:s, s:s*}", "op", "statement", "who", somehow(p, device), "id", id, "decision", "approve", "key", kid, "on_behalf_of", behalf);
    bool ok = ask(m, -1, &answer);
    const char *named = text(json_object_get(json_object_get(answer, "statement"), "scope"), "on_behalf_of");
    *place = ok && named[0] != 0 ? number_of(named) : p;
    ok = ok && hand_in(p, device, signer, answer, NULL);
    json_decref(answer);
    return ok;
}

struct item {
    char id[32], grant[32];
    unsigned requester, yes;
    struct { unsigned place; size_t handed; } filled[PEOPLE];   /* by each who said yes; handed: HANDED_MAX: in her own place */
    int kind;                         /* 0 access, 1 sign-off */
    bool open;
};

static unsigned places(const struct item *it)
{
    unsigned mask = 0;
    for (unsigned p = 0; p < PEOPLE; p++)
        if ((it->yes & 1u << p) && (it->filled[p].handed == HANDED_MAX || handed[it->filled[p].handed].live))
            mask |= 1u << it->filled[p].place;
    return mask;
}

static bool has_say(const struct world *w, unsigned p, int kind)
{
    for (size_t i = 0; i < w->need_count[kind]; i++)
        if (w->member[p] & 1u << w->need[kind][i].group)
            return true;
    return false;
}

/* By which delegation p may fill this place; HANDED_MAX + 1: by none. */
static size_t handed_by(const struct item *it, unsigned place, unsigned p)
{
    for (size_t i = 0; i < handed_count; i++)
        if (handed[i].live && handed[i].from == place && handed[i].to == p && (handed[i].kinds & 1u << it->kind))
            return i;
    return HANDED_MAX + 1;
}

/* What was taken must be one's to give. */
static void note_yes(const struct world *w, struct item *it, unsigned p, unsigned place)
{
    size_t by = place == p ? HANDED_MAX : handed_by(it, place, p);
    if (by == HANDED_MAX + 1 || place == it->requester || p == it->requester || !has_say(w, place, it->kind))
        fail_msg("%s's yes to %s's request was taken in the place of %s", names[p], names[it->requester], names[place]);
    it->yes |= 1u << p;
    it->filled[p].place = place;
    it->filled[p].handed = by;
    by_delegates += place != p;
}

static void hand_over(const struct world *w)
{
    static const char *const kinds[] = { "", "access", "signoff", "access,signoff" };
    unsigned p = pick(PEOPLE), q = pick(PEOPLE), mask = 1 + pick(3), signer = pick(4) ? p : pick(PEOPLE);
    char kid[44];
    json_t *answer = NULL, *made = NULL, *list = actions_list(kinds[mask]);
    bool may = p != q && ((mask & 1 && has_say(w, p, 0)) || (mask & 2 && has_say(w, p, 1)));
    key_fingerprint(keys[p], kid);
    bool ok = ask(json_pack("{s:s, s:o, s:s, s:s, s:[s], s:o, s:I}", "op", "delegate.statement", "who", somehow(p, 0), "key", kid, "person", names[q], "tools", "support", "kinds", list,
                            "until", (json_int_t)(clock_wall_s() + 3600)), -1, &answer);
    if (ok != may)
        fail_msg("%s to %s, kinds %u: the statement was %s", names[p], names[q], mask, ok ? "written" : "refused");
    if (ok && hand_in(p, 0, signer, answer, &made)) {
        assert_int_equal(signer, p);
        struct handed *h = &handed[handed_count++];
        *h = (struct handed){ .from = p, .to = q, .kinds = mask, .live = true };
        snprintf(h->id, sizeof h->id, "%s", text(json_object_get(made, "delegation"), "id"));
        handed_over++;
    }
    json_decref(made);
    json_decref(answer);
}

static void take_back(void)
{
    struct handed *h = &handed[pick((unsigned)handed_count)];
    unsigned by = pick(PEOPLE);
    bool ok = ask(json_pack("{s:s, s:o, s:s, s:s}", "op", "delegate.withdraw", "who", somehow(by, 0), "id", h->id, "reason", "enough"), -1, NULL);
    assert_int_equal(ok, h->live && (by == h->from || by == h->to));
    h->live = h->live && !ok;
}

/* A grant without a second person: for who may, and for nobody else. */
static void ask_alone(const struct world *w, struct item *it, unsigned n)
{
    char reason[32];
    json_t *answer = NULL;
    bool glass = pick(2);
    unsigned p = pick(PEOPLE);
    snprintf(reason, sizeof reason, "INC %u", n);
    json_t *m = json_pack("{s:s, s:o, s:s, s:s, s:i}", "op", "request.create", "who", somehow(p, 0), "tool", "support", "reason", reason, "duration_s", 600);
    glass ? json_object_set_new(m, "basis", json_string("break-glass")) : json_object_set_new(m, "actions", json_pack("[s]", "use"));
    bool ok = ask(m, -1, &answer), may = (w->member[p] & 1u << (glass ? w->glass : w->rule)) != 0;
    const json_t *r = json_object_get(answer, "request");
    bool granted = ok && strcmp(text(r, "state"), "granted") == 0;
    if (granted != may || (glass && ok != may) || (granted && strcmp(text(r, "basis"), glass ? "break-glass" : "auto") != 0))
        fail_msg("%s asked for %s and got '%s'", names[p], glass ? "break-glass" : "what a rule gives", text(r, "state"));
    alone[!glass] += granted;
    it->requester = p;
    it->open = ok && !granted;
    snprintf(it->id, sizeof it->id, "%s", text(r, "id"));
    if (granted && glass)
        snprintf(it->grant, sizeof it->grant, "%s", text(r, "grant_id"));
    json_decref(answer);
}

static void check_item(const struct world *w, struct item *it)
{
    json_t *answer = NULL;
    assert_true(ask(json_pack("{s:s, s:o, s:s}", "op", "item.get", "who", somehow(it->requester, 0), "id", it->id), -1, &answer));
    const json_t *item = json_object_get(answer, "item");
    bool should = enough(w, it->kind, it->requester, places(it)), is = strcmp(text(item, "state"), it->kind ? "approved" : "granted") == 0;
    if (is != should)
        fail_msg("%s of %s is '%s' with the yes of %x in the places %x", it->kind ? "sign-off" : "access", names[it->requester], text(item, "state"), it->yes,
                 places(it));
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
    handed_count = 0;
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned what = pick(10);
        if (what == 0 && handed_count < HANDED_MAX) {
            hand_over(w);
            continue;
        }
        if (what == 1 && handed_count > 0 && pick(3) == 0) {
            take_back();
            continue;
        }
        if (what == 2) {
            ask_alone(w, &items[count], step);
            if (items[count].grant[0] != 0)
                granted = &items[count];
            count += items[count].id[0] != 0;
            continue;
        }
        if (count == 0 || pick(6) == 0) {
            if (make_item(&items[count], pick(2) ? granted : NULL, step))
                count++;
            continue;
        }
        struct item *it = &items[pick((unsigned)count)];
        unsigned p = pick(PEOPLE), device = pick(2), signer = pick(4) ? p : pick(PEOPLE);
        unsigned place = p;
        bool was_open = it->open, taken = say_yes(p, device, signer, it->id, pick(3) ? NULL : names[pick(PEOPLE)], &place);
        refused += !taken;
        if (taken) {
            if (p == it->requester || signer != p || !was_open || (it->yes & 1u << p))
                fail_msg("%s's yes to %s's request was taken (key of %s)", names[p], names[it->requester], names[signer]);
            note_yes(w, it, p, place);
            check_item(w, it);
        }
        if (it->grant[0] != 0 && taken)
            granted = it;             /* a newer grant ends the older one: then nothing can be held under it */
    }
}

/* Nobody breaks the glass unrecorded. */
static void record(void)
{
    struct answer a;
    struct err err = { .text = "" };
    json_t *m = json_pack("{s:i, s:s, s:s}", "n", 1, "op", "hello", "role", "recorder");
    recorder = (struct peer){ .id = 2 };
    assert_int_equal(service_answer(service, &recorder, m, NULL, 0, &a, &err), ANSWERED);
    answer_done(&a);
    json_decref(m);
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
        record();
        play(&w);
        service_close(service);
        testbed_remove(&bed);
    }
    printf("%u grants and %u sign-offs came about, %u answers were not taken\n", reached[0], reached[1], refused);
    printf("%u by break-glass, %u by rule; %u delegations, %u places filled by delegates\n", alone[0], alone[1], handed_over, by_delegates);
    assert_true(alone[0] > 10 && alone[1] > 10 && handed_over > 20 && by_delegates > 5);
    assert_true(reached[0] > 20 && reached[1] > 5 && refused > 200);   /* else it has shown nothing */
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(nobody_is_their_own_second_person) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
