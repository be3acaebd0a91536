/* approve and deny as whole commands, against a gateway that is honest, and one that lies. */
#include "authz/jwt.h"
#include "authz/statement.h"
#include "proxy/base/codec.h"
#include "proxy/commands/commands.h"
#include "proxy/commands/held_request.h"
#include "proxy/commands/test_server.h"

enum lie { HONEST, OTHER_BODY, OTHER_ITEM, OTHER_TARGET_IN_STATEMENT, OTHER_DECISION, OTHER_INSTANCE, REFUSES, RAW_IS_NO_BLOB };

struct gateway {
    struct test_server server;
    enum lie lie;
    char fingerprint[44];
    /* Computed once in the main thread: the digests' contexts live as long as the thread that made them. */
    struct held_request held;
    unsigned char *bytes[2];          /* what waits, and other bytes */
    size_t lens[2];
    json_t *statement;                /* last one handed out */
    json_t *decision;                 /* last one that came */
};

static char *json_answer(unsigned status, json_t *v, size_t *len)
{
    char *text = json_dumps(v, 0), *out = test_http(status, status < 300 ? "application/json" : "application/problem+json", text, len);
    json_decref(v);
    free(text);
    return out;
}

static unsigned char *make_blob(const char *body, size_t *len)
{
    unsigned char *bytes = NULL;
    json_t *fields = json_pack("[[s,s]]", "content-type", "application/x-www-form-urlencoded");
    assert_int_equal(blob_write(SLICE("POST"), SLICE("support.acme.localhost:8443"), SLICE("/admin/export"), fields, slice_str(body), &bytes, len, NULL), OK);
    json_decref(fields);
    return bytes;
}

static json_t *item(const struct gateway *g, const char *state)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:s, s:s, s:[{s:s, s:i}], s:I}", "id", g->lie == OTHER_ITEM ? "hld_2" : "hld_1", "kind", "signoff",
                          "state", state, "requester", "alice", "identity", "alice@acme.localhost", "tool", "support", "action", "export", "method", "POST",
                          "authority", "support.acme.localhost:8443", "target", "/admin/export", "digest", g->held.digest, "body_len", 5, "reason", "ticket 4711",
                          "content_type", "application/x-www-form-urlencoded", "needs", "group", "security", "count", 1, "expires", (json_int_t)clock_wall_s() + 900);
}

static char *give_statement(struct gateway *g, const char *body, size_t *len)
{
    json_t *asked = json_loads(body, 0, NULL);
    if (g->lie == REFUSES) {
        json_decref(asked);
        return json_answer(403, json_pack("{s:s, s:s, s:s, s:s}", "type", "https://c/problems/self-approval", "title", "No", "detail", "yours", "next", "ask bob"), len);
    }
    struct statement_request r = { .tool = "support", .action = "export", .method = "POST", .authority = "support.acme.localhost:8443",
        .target = g->lie == OTHER_TARGET_IN_STATEMENT ? "/admin/delete" : "/admin/export", .digest = g->held.digest, .body_sha256 = g->held.body_sha256, .reason = "ticket 4711",
        .body_len = 5 };
    json_t *scope = statement_scope_signoff(&r);
    struct statement s = { .instance = g->lie == OTHER_INSTANCE ? "other" : "acme", .purpose = "signoff",
        .decision = g->lie == OTHER_DECISION ? "approve" : json_string_value(json_object_get(asked, "decision")), .id = "stm_1", .requester = "alice",
        .identity = "alice@acme.localhost", .approver = "carol", .key = json_string_value(json_object_get(asked, "key")), .method = "command-line", .iat_s = clock_wall_s(),
        .exp_s = clock_wall_s() + 600, .policy = "ab", .scope = scope };
    json_decref(g->statement);
    g->statement = statement_make(&s);
    json_decref(scope);
    json_decref(asked);
    return json_answer(200, json_pack("{s:O}", "statement", g->statement), len);
}

static char *take_decision(struct gateway *g, const char *body, size_t *len)
{
    json_decref(g->decision);
    g->decision = json_loads(body, 0, NULL);
    return json_answer(200, json_pack("{s:o}", "item", item(g, "approved")), len);
}

static char *raw_answer(const struct gateway *g, size_t *len)
{
    bool other = g->lie == OTHER_BODY;
    size_t n = g->lie == RAW_IS_NO_BLOB ? 9 : g->lens[other];
    char head[128];
    size_t head_len = (size_t)snprintf(head, sizeof head, "HTTP/1.1 200 X\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", n);
    char *out = malloc(head_len + n);
    memcpy(out, head, head_len);
    memcpy(out + head_len, g->bytes[other], n);
    *len = head_len + n;
    return out;
}

static char *gateway_answer(void *user, const struct test_request *r, size_t *len)
{
    struct gateway *g = user;
    if (strcmp(r->path, "/.well-known/countersign-log-key") == 0)
        return json_answer(200, json_pack("{s:s, s:s}", "instance", "acme", "log_key", "x"), len);
    if (strcmp(r->path, "/api/v1/status") == 0)
        return json_answer(200, json_pack("{s:s}", "person", "carol"), len);
    if (strcmp(r->path, "/api/v1/items/hld_1") == 0)
        return json_answer(200, json_pack("{s:o}", "item", item(g, "pending")), len);
    if (strcmp(r->path, "/api/v1/items/hld_1/raw") == 0)
        return raw_answer(g, len);
    if (strcmp(r->path, "/api/v1/items/hld_1/statement") == 0)
        return give_statement(g, r->body, len);
    if (strcmp(r->path, "/api/v1/decisions") == 0)
        return take_decision(g, r->body, len);
    return json_answer(404, json_pack("{s:s, s:s}", "title", "Not here", "detail", r->path), len);
}

static int start(void **state)
{
    struct gateway *g = calloc(1, sizeof *g);
    g->bytes[0] = make_blob("ids=7", &g->lens[0]);
    g->bytes[1] = make_blob("ids=8", &g->lens[1]);
    assert_int_equal(held_request_read(slice_of(g->bytes[0], g->lens[0]), &g->held, NULL), OK);
    test_server_start(&g->server, gateway_answer, g);
    key_fingerprint(g->server.person_key, g->fingerprint);
    setenv("COUNTERSIGN_GATEWAY", g->server.gateway, 1);
    setenv("COUNTERSIGN_CERT", g->server.cert, 1);
    setenv("COUNTERSIGN_KEY", g->server.key, 1);
    setenv("COUNTERSIGN_CA", g->server.ca, 1);
    *state = g;
    return 0;
}

static int stop(void **state)
{
    struct gateway *g = *state;
    test_server_stop(&g->server);
    json_decref(g->statement);
    json_decref(g->decision);
    held_request_done(&g->held);
    free(g->bytes[0]);
    free(g->bytes[1]);
    free(g);
    return 0;
}

static int run(struct gateway *g, enum lie lie, int (*command)(int, char **), char **argv)
{
    int argc = 0;
    while (argv[argc] != NULL)
        argc++;
    g->lie = lie;
    json_decref(g->decision);
    g->decision = NULL;
    g->server.log[0] = 0;
    return command(argc, argv);
}

static bool decided(const struct gateway *g)
{
    return strstr(g->server.log, "POST /api/v1/decisions") != NULL;
}

static bool signature_good(const struct gateway *g)
{
    const char *jws = json_string_value(json_object_get(g->decision, "jws")), *id = json_string_value(json_object_get(g->decision, "statement_id"));
    return jws != NULL && id != NULL && strcmp(id, "stm_1") == 0 && statement_verify(g->statement, g->server.person_key, slice_str(jws), NULL) == OK;
}

static void an_honest_gateway_gets_a_signature(void **state)
{
    struct gateway *g = *state;
    assert_int_equal(run(g, HONEST, cmd_approve, (char *[]){ "approve", "hld_1", "--yes", NULL }), 0);
    assert_true(signature_good(g));
    assert_string_equal(json_string_value(json_object_get(g->statement, "decision")), "approve");
    assert_int_equal(run(g, HONEST, cmd_deny, (char *[]){ "deny", "--yes", "hld_1", "--json", NULL }), 0);
    assert_true(signature_good(g));
    assert_string_equal(json_string_value(json_object_get(g->statement, "decision")), "deny");
}

static void a_lying_gateway_gets_none(void **state)
{
    struct gateway *g = *state;
    static const enum lie lies[] = { OTHER_BODY, OTHER_ITEM, OTHER_TARGET_IN_STATEMENT, OTHER_INSTANCE, REFUSES, RAW_IS_NO_BLOB };
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        assert_int_equal(run(g, lies[i], cmd_approve, (char *[]){ "approve", "hld_1", "--yes", NULL }), 1);
        assert_false(decided(g));
    }
    assert_int_equal(run(g, OTHER_DECISION, cmd_deny, (char *[]){ "deny", "hld_1", "--yes", NULL }), 1);
    assert_false(decided(g));
}

static void nothing_is_sent_for_a_wrong_command_line(void **state)
{
    struct gateway *g = *state;
    assert_int_equal(run(g, HONEST, cmd_approve, (char *[]){ "approve", NULL }), 2);
    assert_int_equal(run(g, HONEST, cmd_approve, (char *[]){ "approve", "../status", "--yes", NULL }), 1);
    assert_int_equal(run(g, HONEST, cmd_approve, (char *[]){ "approve", "a", "b", NULL }), 2);
    assert_int_equal(run(g, HONEST, cmd_approve, (char *[]){ "approve", "--no-such", "hld_1", NULL }), 2);
    assert_string_equal(g->server.log, "");
}

static void the_body_can_be_kept_to_read_it(void **state)
{
    struct gateway *g = *state;
    char path[96], text[16] = "";
    snprintf(path, sizeof path, "%s/body", g->server.folder);
    assert_int_equal(run(g, HONEST, cmd_approve, (char *[]){ "approve", "hld_1", "--yes", "--save-body", path, NULL }), 0);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_non_null(fgets(text, sizeof text, f));
    fclose(f);
    assert_string_equal(text, "ids=7");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_honest_gateway_gets_a_signature), cmocka_unit_test(a_lying_gateway_gets_none),
        cmocka_unit_test(nothing_is_sent_for_a_wrong_command_line), cmocka_unit_test(the_body_can_be_kept_to_read_it),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
