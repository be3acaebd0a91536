/* Tokens of other issuers against external_verify(), and their JWKS against external_load(): the tables of tests/vectors/external.json, made by a program that shares nothing with
 * ours. Each row must be refused, and for its own reason. */
#include "authz/external.h"

#include "proxy/base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

enum { ISSUERS = 2, LIST_MAX = 8 };

static json_t *file;
static struct jwt_keys *own;
static struct external *all;
static struct issuer issuers[ISSUERS];
static char *lists[ISSUERS][3][LIST_MAX];
static char paths[ISSUERS][128];
static struct config config = { .issuers = issuers, .issuer_count = ISSUERS };

static const char *text(const json_t *o, const char *name)
{
    return json_string_value(json_object_get(o, name));
}

static char *copy(const json_t *o, const char *name)
{
    return (char *)(uintptr_t)text(o, name);   /* borrowed from the file */
}

static void fill(char ***out, size_t *count, char **room, const json_t *list)
{
    *count = json_array_size(list);
    assert_true(*count <= LIST_MAX);
    for (size_t i = 0; i < *count; i++)
        room[i] = (char *)(uintptr_t)json_string_value(json_array_get(list, i));
    *out = room;
}

static void put_jwks(size_t i, const json_t *jwks)
{
    struct err err = { .text = "" };
    char *bytes = json_dumps(jwks, JSON_COMPACT);
    assert_int_equal(file_write(paths[i], slice_str(bytes), 0644, &err), OK);
    free(bytes);
}

static void make_issuer(size_t i, const json_t *from)
{
    struct issuer *s = &issuers[i];
    snprintf(paths[i], sizeof paths[i], "/tmp/countersign-external-%d-%zu.jwks", (int)getpid(), i);
    *s = (struct issuer){ .name = copy(from, "name"), .iss = copy(from, "iss"), .jwks_file = paths[i],
                          .max_lifetime_ms = json_integer_value(json_object_get(file, "max_lifetime_s")) * 1000 };
    fill(&s->algorithms, &s->algorithm_count, lists[i][0], json_object_get(from, "algorithms"));
    fill(&s->tools, &s->tool_count, lists[i][1], json_object_get(from, "tools"));
    fill(&s->actions, &s->action_count, lists[i][2], json_object_get(from, "actions"));
    put_jwks(i, json_object_get(from, "jwks"));
}

static int load(void **state)
{
    struct err err = { .text = "" };
    (void)state;
    file = json_load_file("tests/vectors/external.json", JSON_REJECT_DUPLICATES, NULL);
    if (file == NULL || jwt_keys_from_jwks(json_object_get(file, "gateway_jwks"), &own, &err) != OK)
        return -1;
    for (size_t i = 0; i < ISSUERS; i++)
        make_issuer(i, json_array_get(json_object_get(file, "issuers"), i));
    return external_load(&config, own, &all, &err) == OK ? 0 : -1;
}

static int unload(void **state)
{
    (void)state;
    external_free(all);
    jwt_keys_free(own);
    json_decref(file);
    for (size_t i = 0; i < ISSUERS; i++)
        unlink(paths[i]);
    return 0;
}

static enum status verify(const char *token, struct external_grant *g, struct err *err)
{
    return external_verify(all, text(file, "instance"), slice_str(token), json_integer_value(json_object_get(file, "now")), g, err);
}

static void good_ones_are_taken(void **state)
{
    const json_t *rows = json_object_get(file, "good");
    (void)state;
    assert_true(json_array_size(rows) >= 4);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        struct external_grant g;
        struct err err = { .text = "" };
        const char *token = text(json_array_get(rows, i), "token");
        if (verify(token, &g, &err) != OK)
            fail_msg("%s: %s", text(json_array_get(rows, i), "name"), err.text);
        assert_string_equal(g.issuer->name, "bot");
        assert_string_equal(g.identity, "alice@test.localhost");
        assert_string_equal(g.tool, "support");
        assert_int_equal(strlen(g.id), 47);
        assert_ptr_equal(external_claimed(&config, slice_str(token)), &issuers[0]);
        assert_true(external_holds(all, issuers[0].iss, g.kid, g.key, "support", g.actions));
        assert_false(external_holds(all, issuers[1].iss, g.kid, g.key, "support", g.actions));
        assert_false(external_holds(all, issuers[0].iss, g.kid, g.key, "billing", g.actions));
        assert_false(external_holds(all, issuers[0].iss, "other-ec", g.key, "support", g.actions));
        external_grant_done(&g);
    }
}

static void each_hostile_one_is_refused_for_its_reason(void **state)
{
    json_t *rows = json_object_get(file, "hostile"), *row;
    size_t i, wrong = 0;
    (void)state;
    assert_true(json_array_size(rows) >= 150);
    json_array_foreach(rows, i, row) {
        struct err err = { .text = "" };
        struct external_grant g;
        enum status st = verify(text(row, "token"), &g, &err);
        if ((st == BAD_TOKEN || st == EXPIRED) && strstr(err.text, text(row, "reason")) != NULL && (st == EXPIRED) == (strstr(err.text, "has expired") != NULL))
            continue;
        print_error("%s: %s: \"%s\", not \"%s\"\n", text(row, "name"), status_name(st), err.text, text(row, "reason"));
        if (st == OK)
            external_grant_done(&g);
        wrong++;
    }
    assert_int_equal(wrong, 0);
}

/* What is asked for is where it goes, nothing else. */
static void what_claims_to_be_of_nobody_here_is_not_theirs(void **state)
{
    const json_t *rows = json_object_get(file, "hostile");
    struct config none = { .issuer_count = 0 };
    (void)state;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        struct slice token = slice_str(text(json_array_get(rows, i), "token"));
        const struct issuer *claimed = external_claimed(&config, token);
        assert_true(claimed == NULL || claimed == &issuers[0] || claimed == &issuers[1]);
        assert_null(external_claimed(&none, token));
    }
    assert_null(external_claimed(&config, SLICE("")));
    assert_null(external_claimed(&config, SLICE("a..b")));
    assert_null(external_claimed(&config, SLICE("eyJ9.eyJpc3MiOiJ4In0\xff.AAAA")));
}

static void each_hostile_jwks_is_refused_for_its_reason(void **state)
{
    json_t *rows = json_object_get(file, "jwks"), *row;
    size_t i, wrong = 0;
    (void)state;
    assert_true(json_array_size(rows) >= 40);
    json_array_foreach(rows, i, row) {
        struct external *e = NULL;
        struct err err = { .text = "" };
        put_jwks(0, json_object_get(row, "jwks"));
        struct issuer swap = issuers[0];   /* the one that is read last is the one that is found out */
        issuers[0] = issuers[1];
        issuers[1] = swap;
        enum status st = external_load(&config, own, &e, &err);
        issuers[1] = issuers[0];
        issuers[0] = swap;
        if (st == BAD_CONFIG && strstr(err.text, text(row, "reason")) != NULL && strstr(err.text, "'bot'") != NULL)
            continue;
        print_error("%s: %s: \"%s\", not \"%s\"\n", text(row, "name"), status_name(st), err.text, text(row, "reason"));
        external_free(e);
        wrong++;
    }
    put_jwks(0, json_object_get(json_array_get(json_object_get(file, "issuers"), 0), "jwks"));
    assert_int_equal(wrong, 0);
}

static void what_is_no_jwks_is_refused(void **state)
{
    static const char *const files[] = { "", "x", "{", "{\"keys\":[],\"keys\":[]}", "{\"keys\":null}", "null" };
    struct external *e = NULL;
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct err err = { .text = "" };
        assert_int_equal(file_write(paths[0], slice_str(files[i]), 0644, &err), OK);
        assert_int_equal(external_load(&config, own, &e, &err), BAD_CONFIG);
        assert_non_null(strstr(err.text, "'bot'"));
    }
    put_jwks(0, json_object_get(json_array_get(json_object_get(file, "issuers"), 0), "jwks"));
}

/* A set from a URL is judged as a file is; what is refused changes nothing. */
static void sets_of_a_url(void **state)
{
    json_t *rows = json_object_get(file, "jwks"), *row, *good = NULL, *again = NULL;
    const json_t *given = json_object_get(json_array_get(json_object_get(file, "issuers"), 0), "jwks");
    const char *token = text(json_array_get(json_object_get(file, "good"), 0), "token");
    struct issuer kept = issuers[0];
    struct external *mine = all, *e = NULL;
    struct external_grant g;
    struct err err = { .text = "" };
    size_t i, wrong = 0;
    (void)state;
    issuers[0].jwks_file = NULL;
    issuers[0].jwks_url = (char[]){ "https://bot.test.localhost/jwks.json" };
    assert_int_equal(external_load(&config, own, &e, &err), OK);
    all = e;
    assert_int_equal(verify(token, &g, &err), BAD_TOKEN);   /* nothing was fetched */
    assert_non_null(strstr(err.text, "not known at the moment"));
    assert_ptr_equal(external_unknown_key(e, slice_str(token)), &issuers[0]);
    char *bytes = json_dumps(given, JSON_INDENT(4));
    assert_int_equal(external_read(&issuers[0], slice_str(bytes), &good, &err), OK);
    free(bytes);
    assert_int_equal(external_put(e, &issuers[0], good, own, &err), OK);
    assert_int_equal(verify(token, &g, &err), OK);
    external_grant_done(&g);
    assert_null(external_unknown_key(e, slice_str(token)));
    json_array_foreach(rows, i, row) {
        json_t *made = NULL;
        char *dump = json_dumps(json_object_get(row, "jwks"), 0);
        enum status st = external_read(&issuers[0], slice_str(dump), &made, &err);
        if (st == OK)                 /* sound by itself: a key of somebody else's */
            st = external_put(e, &issuers[0], made, own, &err);
        if (st != BAD_INPUT || strstr(err.text, text(row, "reason")) == NULL) {
            print_error("%s: %s: \"%s\"\n", text(row, "name"), status_name(st), err.text);
            wrong++;
        }
        json_decref(made);
        free(dump);
    }
    assert_int_equal(wrong, 0);
    assert_int_equal(verify(token, &g, &err), OK);   /* the last good set goes on */
    external_grant_done(&g);
    json_t *turned = json_deep_copy(given), *keys = json_object_get(turned, "keys"), *first = json_incref(json_array_get(keys, 0));
    json_object_set_new(first, "x5c", json_pack("[s]", "AAAA"));   /* the other way round, and with a member that makes no key */
    json_array_remove(keys, 0);
    json_array_append_new(keys, first);
    bytes = json_dumps(turned, 0);
    assert_int_equal(external_read(&issuers[0], slice_str(bytes), &again, &err), OK);
    assert_true(json_equal(good, again));
    free(bytes);
    bytes = malloc(50000);
    memset(bytes, ' ', 50000);
    assert_int_equal(external_read(&issuers[0], slice_of((unsigned char *)bytes, 50000), &again, &err), BAD_INPUT);
    free(bytes);
    assert_int_equal(external_put(e, &issuers[1], good, own, &err), NOT_FOUND);   /* whose keys stand in a file */
    assert_int_equal(external_put(e, &issuers[0], NULL, own, &err), OK);
    assert_int_equal(verify(token, &g, &err), BAD_TOKEN);
    json_decref(good);
    json_decref(again);
    json_decref(turned);
    all = mine;
    external_free(e);
    issuers[0] = kept;
}

/* Keys for what is not allowed here are passed over: many sets hold such. */
static void keys_for_something_else_are_passed_over(void **state)
{
    json_t *jwks = json_deep_copy(json_object_get(json_array_get(json_object_get(file, "issuers"), 0), "jwks"));
    json_t *keys = json_object_get(jwks, "keys");
    struct jwt_keys *k = NULL;
    struct err err = { .text = "" };
    (void)state;
    json_array_append_new(keys, json_pack("{s:s, s:s, s:s, s:s}", "kty", "RSA", "kid", "enc", "use", "enc", "e", "Aw"));
    json_array_append_new(keys, json_pack("{s:s, s:s, s:s, s:s}", "kty", "OKP", "kid", "ed", "crv", "Ed25519", "alg", "EdDSA"));
    assert_int_equal(jwt_keys_foreign(jwks, true, false, &k, &err), OK);   /* the RSA key is not wanted */
    jwt_keys_free(k);
    assert_int_equal(jwt_keys_foreign(jwks, true, true, &k, &err), OK);
    jwt_keys_free(k);
    json_decref(jwks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_ones_are_taken), cmocka_unit_test(each_hostile_one_is_refused_for_its_reason),
        cmocka_unit_test(what_claims_to_be_of_nobody_here_is_not_theirs), cmocka_unit_test(each_hostile_jwks_is_refused_for_its_reason),
        cmocka_unit_test(what_is_no_jwks_is_refused), cmocka_unit_test(sets_of_a_url), cmocka_unit_test(keys_for_something_else_are_passed_over),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
