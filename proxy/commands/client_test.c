#include "proxy/commands/client.h"
#include "proxy/commands/test_server.h"

#include <sys/stat.h>

static char *canned(void *user, const struct test_request *r, size_t *len)
{
    static const char json[] = "application/json", problem[] = "application/problem+json";
    (void)user;
    if (strcmp(r->path, "/good") == 0)
        return test_http(200, json, "{\"a\":1}", len);
    if (strcmp(r->path, "/echo") == 0)
        return test_http(201, json, r->body[0] ? r->body : "{\"empty\":true}", len);
    if (strcmp(r->path, "/nothing") == 0)
        return test_http(200, json, "", len);
    if (strcmp(r->path, "/array") == 0)
        return test_http(200, json, "[1]", len);
    if (strcmp(r->path, "/twice") == 0)
        return test_http(200, json, "{\"a\":1,\"a\":2}", len);
    if (strcmp(r->path, "/html") == 0)
        return test_http(200, "text/html", "<p>hello", len);
    if (strcmp(r->path, "/refused") == 0)
        return test_http(403, problem, "{\"type\":\"https://x/problems/self-approval\",\"title\":\"Not\\u001b[2J you\",\"detail\":\"d\\nd\",\"next\":\"n\"}", len);
    if (strcmp(r->path, "/missing") == 0)
        return test_http(404, problem, "{\"title\":\"There is no such item\",\"detail\":\"x\"}", len);
    if (strcmp(r->path, "/moved") == 0) {
        char *out = strdup("HTTP/1.1 302 X\r\nLocation: /good\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        *len = strlen(out);
        return out;
    }
    if (strcmp(r->path, "/cut") == 0) {
        char *out = strdup("HTTP/1.1 200 X\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"a\":1}");
        *len = strlen(out);
        return out;
    }
    if (strcmp(r->path, "/huge") == 0) {
        char *body = malloc(40000);
        memset(body, 'x', 39999);
        body[39999] = 0;
        char *out = test_http(200, "application/octet-stream", body, len);
        free(body);
        return out;
    }
    return test_http(500, "text/plain", "no problem document here", len);
}

static int start(void **state)
{
    struct test_server *s = calloc(1, sizeof *s);
    test_server_start(s, canned, NULL);
    *state = s;
    return 0;
}

static int stop(void **state)
{
    test_server_stop(*state);
    free(*state);
    return 0;
}

static void answers_are_read_strictly(void **state)
{
    struct test_server *s = *state;
    struct profile p = test_profile(s);
    struct client *c = NULL;
    struct err err = { 0 };
    static const struct {
        const char *path;
        enum status expected;
        const char *says;
    } rows[] = {
        { "/good", OK, "" }, { "/nothing", OK, "" }, { "/array", BAD_INPUT, "not a JSON object" }, { "/twice", BAD_INPUT, "not a JSON object" },
        { "/html", BAD_INPUT, "address of the console" }, { "/refused", REFUSED, "Not\\x1b[2J you: d\\x0ad" }, { "/missing", NOT_FOUND, "There is no such item" },
        { "/moved", BAD_INPUT, "status 302" }, { "/cut", IO_FAILED, "" }, { "/other", BAD_INPUT, "status 500" },
    };
    assert_int_equal(client_open(&p, &c, &err), OK);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_t *out = NULL;
        enum status st = client_get(c, rows[i].path, &out, &err);
        print_message("%s: %s: %s\n", rows[i].path, status_name(st), st == OK ? "" : err.text);
        assert_int_equal(st, rows[i].expected);
        assert_int_equal(out != NULL, st == OK);
        if (st != OK)
            assert_non_null(strstr(err.text, rows[i].says));
        assert_int_equal(client_problem(c) != NULL, st == REFUSED || st == NOT_FOUND);
        json_decref(out);
    }
    assert_null(strstr(s->log, "GET /moved\nGET /good"));   /* no redirect is followed */
    client_free(c);
}

static void bodies_go_out_as_json(void **state)
{
    struct test_server *s = *state;
    struct profile p = test_profile(s);
    struct client *c = NULL;
    struct err err = { 0 };
    json_t *body = json_pack("{s:s}", "reason", "ticket \xc3\xbc"), *out = NULL;
    assert_int_equal(client_open(&p, &c, &err), OK);
    assert_int_equal(client_send(c, "POST", "/echo", body, &out, &err), OK);
    assert_true(json_equal(body, out));
    json_decref(out);
    assert_int_equal(client_send(c, "POST", "/echo", NULL, &out, &err), OK);
    assert_true(json_is_true(json_object_get(out, "empty")));
    json_decref(out);
    assert_int_equal(client_send(c, "DELETE", "/echo", NULL, &out, &err), OK);
    json_decref(out);
    assert_non_null(strstr(s->log, "DELETE /echo\n"));
    json_decref(body);
    client_free(c);
}

static void sizes_are_bounded(void **state)
{
    struct profile p = test_profile(*state);
    struct client *c = NULL;
    struct err err = { 0 };
    unsigned char *bytes = NULL;
    size_t len = 0;
    FILE *f = tmpfile();
    assert_int_equal(client_open(&p, &c, &err), OK);
    assert_int_equal(client_get_bytes(c, "/huge", 40000, &bytes, &len, &err), OK);
    assert_int_equal(len, 39999);
    free(bytes);
    assert_int_equal(client_get_bytes(c, "/huge", 39998, &bytes, &len, &err), BAD_INPUT);
    assert_int_equal(client_download(c, "/huge", f, 100, &err), BAD_INPUT);
    rewind(f);
    assert_int_equal(client_download(c, "/huge", f, 50000, &err), OK);
    assert_int_equal(ftell(f), 39999);
    assert_int_equal(client_download(c, "/refused", f, 50000, &err), REFUSED);
    assert_int_equal(ftell(f), 39999);     /* a problem is not a recording */
    assert_non_null(client_problem(c));
    fclose(f);
    client_free(c);
}

static void only_the_named_server_is_talked_to(void **state)
{
    struct test_server *s = *state;
    struct client *c = NULL;
    struct err err = { 0 };
    json_t *out = NULL;
    char other[64];
    unsigned before = s->asked;
    snprintf(other, sizeof other, "https://other.acme.localhost:%s", strrchr(s->gateway, ':') + 1);
    struct profile wrong_name = test_profile(s), wrong_ca = test_profile(s), nobody = test_profile(s);
    wrong_name.gateway = other;
    wrong_ca.ca = s->cert;
    nobody.gateway = "https://console.acme.localhost:1";
    struct profile *profiles[] = { &wrong_name, &wrong_ca, &nobody };
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(client_open(profiles[i], &c, &err), OK);
        assert_int_equal(client_get(c, "/good", &out, &err), IO_FAILED);
        print_message("%s\n", err.text);
        assert_non_null(strstr(err.text, "Next: "));
        client_free(c);
    }
    assert_int_equal(s->asked, before);
}

static void what_is_missing_or_wrong_is_said_before_anything_is_sent(void **state)
{
    struct test_server *s = *state;
    struct err err = { 0 };
    struct client *c = NULL;
    static const char *const gateways[] = { "http://console.acme.localhost", "console.acme.localhost:8443", "https://", "https://a@b", "https://a/b", "https://a?b",
        "https://a#b", "ftp://a", "https://a b", "" };
    for (size_t i = 0; i < sizeof gateways / sizeof gateways[0]; i++) {
        struct profile p = test_profile(s);
        p.gateway = gateways[i];
        print_message("'%s'\n", gateways[i]);
        assert_int_equal(client_open(&p, &c, &err), BAD_CONFIG);
    }
    struct profile none = { 0 }, no_key = test_profile(s), open_key = test_profile(s), no_file = test_profile(s);
    assert_int_equal(client_open(&none, &c, &err), BAD_CONFIG);
    no_key.key = NULL;
    assert_int_equal(client_open(&no_key, &c, &err), BAD_CONFIG);
    no_file.cert = "/nonexistent";
    assert_int_equal(client_open(&no_file, &c, &err), NOT_FOUND);
    assert_int_equal(chmod(s->key, 0644), 0);
    assert_int_equal(client_open(&open_key, &c, &err), BAD_CONFIG);
    assert_non_null(strstr(err.text, "chmod 600"));
    assert_int_equal(chmod(s->key, 0600), 0);
}

static void write_file(const char *path, const char *text, mode_t mode)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    assert_int_equal(chmod(path, mode), 0);
}

static void the_profile_fills_what_is_missing(void **state)
{
    struct test_server *s = *state;
    char path[96], expected[96];
    struct err err = { 0 };
    snprintf(path, sizeof path, "%s/client.conf", s->folder);
    snprintf(expected, sizeof expected, "%s/me.pem", s->folder);
    write_file(path, "gateway = \"https://g\"; cert = \"me.pem\"; key = \"/k\"; ca = \"/c\"; instance = \"acme\";\n", 0600);
    struct profile p = { .key = "/mine" };
    setenv("COUNTERSIGN_CA", "/env", 1);
    assert_int_equal(profile_fill(&p, path, &err), OK);
    assert_string_equal(p.gateway, "https://g");
    assert_string_equal(p.cert, expected);     /* relative to the profile */
    assert_string_equal(p.key, "/mine");       /* the option wins */
    assert_string_equal(p.ca, "/env");         /* then the environment */
    assert_string_equal(p.instance, "acme");
    profile_done(&p);
    unsetenv("COUNTERSIGN_CA");
    static const char *const broken[] = { "gateway = 5;", "gatewy = \"x\";", "gateway = \"\";", "gateway = \"x\"", "gateway = ;" };
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        struct profile q = { 0 };
        write_file(path, broken[i], 0600);
        enum status st = profile_fill(&q, path, &err);
        print_message("%s: %s\n", broken[i], st == OK ? "fine" : err.text);
        assert_int_equal(st, i == 3 ? OK : BAD_CONFIG);
        profile_done(&q);
    }
    struct profile q = { 0 };
    assert_int_equal(chmod(path, 0666), 0);
    assert_int_equal(profile_fill(&q, path, &err), BAD_CONFIG);
    profile_done(&q);
    assert_int_equal(profile_fill(&q, "/nonexistent/x", &err), OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_read_strictly), cmocka_unit_test(bodies_go_out_as_json), cmocka_unit_test(sizes_are_bounded),
        cmocka_unit_test(only_the_named_server_is_talked_to), cmocka_unit_test(what_is_missing_or_wrong_is_said_before_anything_is_sent),
        cmocka_unit_test(the_profile_fills_what_is_missing),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
