#include "proxy/commands/evidence.h"
#include "proxy/base/file.h"
#include "proxy/commands/test_server.h"

enum trick { HONEST, ENDLESS, NO_HEAD, NO_LEAVES };

static char *canned(void *user, const struct test_request *r, size_t *len)
{
    const enum trick *trick = user;
    static const char json[] = "application/json";
    if (strcmp(r->path, "/api/v1/sessions/grt_1?purpose=verify") == 0)
        return test_http(200, json, "{\"session\":{\"person\":\"alice\"},\"leaves\":[{\"seq\":1},{\"seq\":4}],\"next\":9}", len);
    if (strcmp(r->path, "/api/v1/sessions/grt_1?purpose=verify&from=9") == 0)
        return test_http(200, json, *trick == ENDLESS ? "{\"leaves\":[],\"next\":9}" : "{\"leaves\":[{\"seq\":9}]}", len);
    if (strcmp(r->path, "/api/v1/sessions/grt_1/recording") == 0)
        return test_http(200, "application/x-tar", "not really a tar", len);
    if (strncmp(r->path, "/api/v1/log?from=1&", 19) == 0)
        return test_http(200, json, *trick == NO_HEAD ? "{\"leaves\":[]}" : *trick == NO_LEAVES ? "{\"head\":\"h\"}" : "{\"leaves\":[{\"seq\":1},{\"seq\":2}],\"head\":\"old\",\"next\":3}", len);
    if (strncmp(r->path, "/api/v1/log?from=3&", 19) == 0)
        return test_http(200, json, *trick == ENDLESS ? "{\"leaves\":[{\"seq\":3}],\"head\":\"new\",\"next\":3}" : "{\"leaves\":[{\"seq\":3}],\"head\":\"new\"}", len);
    if (strcmp(r->path, "/.well-known/countersign-log-key") == 0)
        return test_http(200, json, "{\"instance\":\"acme\",\"log_key\":\"AA\"}", len);
    return test_http(404, "application/problem+json", "{\"title\":\"Not here\"}", len);
}

static enum trick trick;

static int start(void **state)
{
    struct test_server *s = calloc(1, sizeof *s);
    test_server_start(s, canned, &trick);
    *state = s;
    return 0;
}

static int stop(void **state)
{
    test_server_stop(*state);
    free(*state);
    return 0;
}

static void all_pages_are_fetched_and_kept(void **state)
{
    struct test_server *s = *state;
    struct profile p = test_profile(s);
    struct client *c = NULL;
    struct evidence e = { 0 }, kept = { 0 };
    struct err err = { 0 };
    char folder[96], tar[128], log[128], key[128];
    unsigned char *bytes = NULL;
    size_t len = 0;
    trick = HONEST;
    assert_int_equal(client_open(&p, &c, &err), OK);
    assert_int_equal(evidence_fetch(c, "grt_1", "verify", &e, &err), OK);
    assert_int_equal(json_array_size(evidence_leaves(&e)), 3);
    assert_int_equal(evidence_fetch_log(c, &e, &err), OK);
    assert_int_equal(json_array_size(json_object_get(e.log, "leaves")), 3);
    assert_string_equal(json_string_value(json_object_get(e.log, "head")), "new");
    snprintf(folder, sizeof folder, "%s/kept", s->folder);
    assert_int_equal(evidence_save(&e, folder, &err), OK);
    snprintf(tar, sizeof tar, "%s/recording.tar", folder);
    snprintf(log, sizeof log, "%s/log.json", folder);
    snprintf(key, sizeof key, "%s/log-key", folder);
    assert_int_equal(file_read(tar, 100, true, &bytes, &len, &err), OK);    /* 0600 */
    assert_string_equal((char *)bytes, "not really a tar");
    free(bytes);
    assert_int_equal(evidence_load(tar, log, key, NULL, &kept, &err), OK);
    assert_string_equal(kept.session, "grt_1");
    assert_true(json_equal(kept.log, e.log));
    assert_true(json_equal(kept.log_key, e.log_key));
    evidence_done(&kept);
    assert_int_equal(evidence_load(tar, tar, key, NULL, &kept, &err), BAD_INPUT);
    assert_int_equal(evidence_load(tar, log, key, "../x", &kept, &err), BAD_INPUT);
    evidence_done(&e);
    client_free(c);
}

static void pages_that_lead_nowhere_are_refused(void **state)
{
    struct test_server *s = *state;
    struct profile p = test_profile(s);
    struct client *c = NULL;
    struct err err = { 0 };
    assert_int_equal(client_open(&p, &c, &err), OK);
    static const enum trick tricks[] = { ENDLESS, NO_HEAD, NO_LEAVES };
    for (size_t i = 0; i < sizeof tricks / sizeof tricks[0]; i++) {
        struct evidence e = { .session = "grt_1" };
        trick = tricks[i];
        assert_int_equal(evidence_fetch_log(c, &e, &err), BAD_INPUT);
        print_message("%s\n", err.text);
        evidence_done(&e);
    }
    struct evidence e = { 0 };
    trick = ENDLESS;
    assert_int_equal(evidence_fetch(c, "grt_1", "verify", &e, &err), BAD_INPUT);
    trick = HONEST;
    assert_int_equal(evidence_fetch(c, "grt_2", "verify", &e, &err), NOT_FOUND);
    client_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(all_pages_are_fetched_and_kept), cmocka_unit_test(pages_that_lead_nowhere_are_refused) };
    return cmocka_run_group_tests(tests, start, stop);
}
