/* Loads files as operators write them, and as they get them wrong: each row breaks one thing and names what must be said about it. */
#include "config/config.h"

#include "proxy/base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define KEY_1 "age1mhqa5vgfnvr2wahagqhz3s3l70wxhfle7p200nl5jn4s8tuzuqgquxjaxk"
#define KEY_2 "age18sfgpmm6s2yz39x0yhfu8kn9cv27leygn9pgd803vjgequf2xpzqrc7gtl"

static char folder[] = "/tmp/countersign-config-XXXXXX";

static void put_file(const char *name, const char *text, mode_t mode)
{
    struct err err;
    char *path = file_join(folder, name);
    if (file_write(path, slice_str(text), mode, &err) != OK)
        fail_msg("%s", err.text);
    assert_int_equal(chmod(path, mode), 0);
    free(path);
}

static const char good_head[] =
    "instance = \"acme\";\n"
    "listen = [ \"127.0.0.1:9443\", \"[::1]:9443\" ];\n"
    "console = \"console.acme.localhost\";\n"
    "tls = { certificate = \"server.pem\"; key = \"server.key\"; client_ca = \"ca.pem\"; crl = \"crl.pem\"; };\n";
static const char good_people[] =
    "people = (\n"
    "  { name = \"alice\"; identities = [ \"alice@acme.localhost\" ]; groups = [ \"support\" ]; },\n"
    "  { name = \"bob\"; identities = [ \"bob@acme.localhost\", \"bob@eu.acme.localhost\" ]; groups = [ \"support\", \"support-lead\" ]; },\n"
    "  { name = \"carol\"; identities = [ \"carol@acme.localhost\" ]; groups = [ \"security\", \"support-lead\" ]; },\n"
    "  { name = \"dan\"; identities = [ \"dan@acme.localhost\" ]; groups = [ \"security\", \"audit\" ]; },\n"
    "  { name = \"olga\"; identities = [ \"olga@acme.localhost\" ]; groups = [ \"ops\" ]; }\n"
    ");\n"
    "roles = { auditors = [ \"audit\" ]; operators = [ \"ops\" ]; }; recording = { sealed_to = [ \"" KEY_1 "\", \"" KEY_2 "\" ]; };\n";
static const char good_tools[] =
    "tools = ( {\n"
    "  name = \"support\"; host = \"support.acme.localhost\"; upstream = \"http://127.0.0.1:8000\";\n"
    "  who = [ \"support\" ]; approvers = ( { group = \"support-lead\"; count = 1; } );\n"
    "  actions = (\n"
    "    { name = \"work\"; methods = [ \"GET\", \"POST\" ]; path = \"/**\"; allow = \"grant\"; },\n"
    "    { name = \"export\"; methods = [ \"POST\" ]; path = \"/admin/audience/\"; body = ( { name = \"action\"; equals = \"export*\"; } );\n"
    "      allow = \"signoff\"; signoff = ( { group = \"security\"; } ); }\n"
    "  );\n"
    "} );\n";

static int set_up(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    put_file("server.pem", "x", 0644);
    put_file("server.key", "x", 0600);
    put_file("ca.pem", "x", 0644);
    put_file("crl.pem", "x", 0644);
    put_file("approval_keys", "", 0644);
    return 0;
}

static int tear_down(void **state)
{
    static const char *const names[] = { "server.pem", "server.key", "ca.pem", "crl.pem", "approval_keys", "c.conf", "people.conf", "sub/people.conf", "sub/more.pem" };
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *path = file_join(folder, names[i]);
        unlink(path);
        free(path);
    }
    char *sub = file_join(folder, "sub");
    rmdir(sub);
    free(sub);
    return rmdir(folder);
}

static enum status load_text(const char *text, struct config **out, struct problems *problems)
{
    put_file("c.conf", text, 0644);
    char *path = file_join(folder, "c.conf");
    enum status st = config_load(path, out, problems);
    free(path);
    return st;
}

/* noinline: gcc 12 at -O2 takes the returned text for the variable that held it (a false -Wdangling-pointer). */
static __attribute__((noinline)) char *whole(const char *a, const char *b, const char *c, const char *d)
{
    char *out = NULL;
    assert_true(asprintf(&out, "%s%s%s%s", a, b, c, d) >= 0);
    return out;
}

static void show(const struct problems *p)
{
    for (size_t i = 0; i < p->count; i++)
        print_message("  %s\n", p->text[i]);
}

static struct config *load_good(const char *extra)
{
    struct config *c = NULL;
    struct problems p;
    char *text = whole(good_head, good_people, good_tools, extra);
    enum status st = load_text(text, &c, &p);
    show(&p);
    assert_int_equal(st, OK);
    assert_int_equal(p.count, 0);
    problems_done(&p);
    free(text);
    return c;
}

static void test_good(void **state)
{
    (void)state;
    struct config *c = load_good("");
    assert_string_equal(c->instance, "acme");
    assert_int_equal(c->listener_count, 2);
    assert_string_equal(c->listeners[1].address, "::1");
    assert_int_equal(c->listeners[1].port, 9443);
    assert_int_equal(c->public_port, 9443);
    assert_int_equal(c->max_staleness_ms, 3000);
    assert_int_equal(c->limits.head_bytes, 32 * 1024);
    assert_int_equal(c->limits.handshake_ms, 10000);
    assert_int_equal(c->segment_ms, 2000);
    assert_int_equal(c->ring_bytes, 4 * 1024 * 1024);
    assert_int_equal(c->tool_count, 1);
    const struct tool *t = &c->tools[0];
    assert_int_equal(t->upstream_count, 1);
    assert_string_equal(t->upstreams[0].host, "127.0.0.1");
    assert_int_equal(t->upstreams[0].port, 8000);
    assert_false(t->upstreams[0].tls);
    assert_null(t->upstream_ca);
    assert_int_equal(t->max_duration_ms, 30 * 60 * 1000);
    assert_int_equal(t->redact_count, 22);
    assert_string_equal(t->redact_fields[0], "password");
    assert_int_equal(t->actions[1].requirement, NEED_SIGNOFF);
    assert_true(t->actions[1].durable);
    assert_int_equal(t->actions[1].signoff[0].count, 1);
    assert_string_equal(t->actions[1].body[0].equals, "export*");
    assert_int_equal(c->auditor_count, 1);
    assert_string_equal(c->operators[0], "ops");
    char *crl = file_join(folder, "crl.pem");
    assert_string_equal(c->crl, crl);
    free(crl);
    config_unref(config_ref(c));
    config_unref(c);
}

static char *replaced(const char *text, const char *from, const char *to)
{
    const char *at = from ? strstr(text, from) : text + strlen(text);
    char *out = NULL;
    assert_non_null(at);
    assert_true(asprintf(&out, "%.*s%s%s", (int)(at - text), text, to, at + (from ? strlen(from) : 0)) >= 0);
    return out;
}

/* {good_tools}, changed: what its two actions are kept as, after the tool's default. */
static void test_record(void **state)
{
    static const struct {
        const char *from, *to;
        enum record_mode tool, work, export;
    } rows[] = {
        { "who = [", "who = [", RECORD_FULL, RECORD_FULL, RECORD_FULL },
        { "who = [", "record = \"metadata\"; who = [", RECORD_METADATA, RECORD_METADATA, RECORD_FULL },
        { "path = \"/**\"; allow", "path = \"/**\"; record = \"metadata\"; allow", RECORD_FULL, RECORD_METADATA, RECORD_FULL },
        { "methods = [ \"GET\", \"POST\" ]; path = \"/**\"; allow", "methods = [ \"GET\" ]; path = \"/static/**\"; record = \"off\"; allow", RECORD_FULL, RECORD_OFF, RECORD_FULL },
        { "methods = [ \"GET\", \"POST\" ]; path = \"/**\"; allow", "methods = [ \"HEAD\", \"GET\" ]; path = \"/favicon.ico\"; record = \"off\"; allow", RECORD_FULL, RECORD_OFF, RECORD_FULL },
        { "path = \"/**\"; allow", "path = \"/**\"; durable = true; record = \"full\"; allow", RECORD_FULL, RECORD_FULL, RECORD_FULL },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct config *c = NULL;
        struct problems p;
        char *tools = replaced(good_tools, rows[i].from, rows[i].to), *text = whole(good_head, good_people, tools, "");
        enum status st = load_text(text, &c, &p);
        show(&p);
        assert_int_equal(st, OK);
        assert_int_equal(c->tools[0].record, rows[i].tool);
        assert_int_equal(c->tools[0].actions[0].record, rows[i].work);
        assert_int_equal(c->tools[0].actions[1].record, rows[i].export);
        problems_done(&p);
        config_unref(c);
        free(text);
        free(tools);
    }
}

static void test_lookups(void **state)
{
    (void)state;
    struct config *c = load_good("public_port = 443;");
    const struct person *bob = config_person(c, SLICE("bob@eu.acme.localhost"));
    assert_non_null(bob);
    assert_string_equal(bob->name, "bob");
    assert_ptr_equal(bob, config_person(c, SLICE("bob@acme.localhost")));
    assert_null(config_person(c, SLICE("bob@acme.localhos")));
    assert_null(config_person(c, SLICE("bob@acme.localhost\0")));
    assert_null(config_person(c, SLICE("")));
    assert_true(person_in_group(bob, "support-lead"));
    assert_false(person_in_group(bob, "security"));
    assert_false(person_in_any(bob, c->auditors, c->auditor_count));
    assert_non_null(config_tool(c, SLICE("support")));
    assert_null(config_tool(c, SLICE("suppor")));
    char *origin = config_origin(c, c->console_host);
    assert_string_equal(origin, "https://console.acme.localhost");
    free(origin);
    char *path = config_path(c, "run/authz.sock");
    assert_non_null(strstr(path, "/run/authz.sock"));
    free(path);
    config_unref(c);
    c = load_good("");
    origin = config_origin(c, "support.acme.localhost");
    assert_string_equal(origin, "https://support.acme.localhost:9443");
    free(origin);
    config_unref(c);
}

static void test_include(void **state)
{
    (void)state;
    struct config *c = NULL;
    struct problems p;
    put_file("people.conf", good_people, 0644);
    char *text = whole(good_head, "@include \"people.conf\"\n", good_tools, "");
    assert_int_equal(load_text(text, &c, &p), OK);
    assert_int_equal(c->person_count, 5);
    config_unref(c);
    problems_done(&p);
    /* A problem in an included file names that file; paths in it are relative to its folder. */
    char *sub = file_join(folder, "sub");
    assert_int_equal(mkdir(sub, 0755), 0);
    free(sub);
    put_file("sub/more.pem", "x", 0644);
    put_file("sub/people.conf", "\napproval_keys = \"more.pem\";\npeoples = 1;\nlimits = { fields = 99999999999; };\n", 0644);
    free(text);
    text = whole(good_head, good_people, "@include \"sub/people.conf\"\n", good_tools);
    assert_int_equal(load_text(text, &c, &p), BAD_CONFIG);
    show(&p);
    assert_int_equal(p.count, 3);
    assert_non_null(strstr(p.text[0], "sub/people.conf:4: the number 99999999999 is too large"));
    assert_non_null(strstr(p.text[1], "sub/people.conf:3: peoples: there is no such setting"));
    problems_done(&p);
    free(text);
}

struct broken {
    const char *name, *from, *to;     /* from: text of the good file, replaced; NULL: `to` is appended */
    const char *said;                 /* the problem or warning must hold this */
    enum status status;
};

#define HOOK(more) "notices = ( { name = \"bot\"; kind = \"webhook\"; url = \"https://bot.example/x\"; " more " } );\n"
#define MAIL(more) "notices = ( { name = \"post\"; kind = \"mail\"; server = \"smtps://mail.example:465\"; from = \"a@b.example\"; " more " } );\n"
static const struct broken broken_rows[] = {
    { "unknown", NULL, "cosnole = 1;\n", "c.conf:22: cosnole: there is no such setting; expected one of: instance, ", BAD_CONFIG },
    { "unknown in a tool", "host = ", "hots = ", "tools[support].hots: there is no such setting", BAD_CONFIG },
    { "missing in a tool", "host = ", "hots = ", "tools[support].host: is missing; expected a host name", BAD_CONFIG },
    { "missing at the top", "console = \"console.acme.localhost\";", "", "console: is missing", BAD_CONFIG },
    { "missing in tls", "key = \"server.key\";", "", "c.conf:4: tls.key: is missing", BAD_CONFIG },
    { "syntax", "instance = \"acme\";", "instance = \"acme\n", "c.conf:", BAD_CONFIG },
    { "type", "instance = \"acme\"", "instance = 7", "instance: has the wrong type; expected text in quotes", BAD_CONFIG },
    { "instance form", "\"acme\"", "\"Acme!\"", "instance: \"Acme!\" is not of the right form; expected 1 to 64 of a-z", BAD_CONFIG },
    { "duplicate setting", NULL, "instance = \"b\";\n", "duplicate setting name", BAD_CONFIG },
    { "group for list", "tools = ( {", "tools = { a = ( {", "c.conf:", BAD_CONFIG },
    { "time without unit", NULL, "max_staleness = \"30\";\n", "max_staleness: \"30\" cannot be read; expected one number and a unit: ms, s", BAD_CONFIG },
    { "time as number", NULL, "max_staleness = 30;\n", "max_staleness: has the wrong type; expected a time in quotes, 1s to 1m", BAD_CONFIG },
    { "time range", NULL, "max_staleness = \"2h\";\n", "max_staleness: is out of range; expected a time in quotes, 1s to 1m", BAD_CONFIG },
    { "time overflow", NULL, "max_staleness = \"999999999999999d\";\n", "cannot be read", BAD_CONFIG },
    { "size range", NULL, "limits = { head_bytes = \"33KiB\"; };\n", "limits.head_bytes: is out of range; expected a size in quotes, 4KiB to 32KiB", BAD_CONFIG },
    { "size decimal", NULL, "limits = { head_bytes = \"16kB\"; };\n", "expected one number and a unit: B, KiB", BAD_CONFIG },
    { "count range", NULL, "limits = { fields = -1; };\n", "limits.fields: is out of range; expected a whole number, 16 to 1000", BAD_CONFIG },
    { "count cut to 32 bits", NULL, "limits = { fields = 4294967396; };\n", "c.conf:22: the number 4294967396 is too large", BAD_CONFIG },
    { "negative cut", NULL, "limits = { fields = -4294967196; };\n", "the number 4294967196 is too large", BAD_CONFIG },
    { "hex cut", NULL, "limits = { fields = 0x100000064; };\n", "the number 0x100000064 is too large", BAD_CONFIG },
    { "escaped NUL", "\"acme\"", "\"acme\\x00evil\"", "c.conf:1: a string holds \\x00", BAD_CONFIG },
    { "ring not a power of two", "recording = {", "recording = { ring_size = \"3MiB\";", "recording.ring_size: is not a power of two", BAD_CONFIG },
    { "listener name", "127.0.0.1:9443", "localhost:9443", "listen[1]: \"localhost:9443\" is not of the right form; expected a numeric address", BAD_CONFIG },
    { "listener without port", "127.0.0.1:9443", "127.0.0.1", "expected a numeric address and a port", BAD_CONFIG },
    { "listener port 0", "127.0.0.1:9443", "127.0.0.1:0", "expected a numeric address and a port", BAD_CONFIG },
    { "listener port 65536", "127.0.0.1:9443", "127.0.0.1:65536", "expected a numeric address and a port", BAD_CONFIG },
    { "listener twice", "[::1]:9443", "127.0.0.1:9443", "c.conf:2: listen: \"127.0.0.1 port 9443\" stands at", BAD_CONFIG },
    { "missing file", "\"crl.pem\"", "\"gone.pem\"", "/gone.pem' cannot be found (No such file or directory); expected a readable file", BAD_CONFIG },
    { "folder for a file", "\"crl.pem\"", "\".\"", "is not a regular file", BAD_CONFIG },
    { "state is a file", NULL, "state = \"crl.pem\";\n", "crl.pem' is not a folder", BAD_CONFIG },
    { "issuer as this gateway", NULL, "issuers = ( { name = \"bot\"; iss = \"acme\"; jwks_file = \"ca.pem\"; tools = [ \"support\" ]; actions = [ \"*\" ]; } );\n",
      "issuers[bot].iss: is this gateway's own", BAD_CONFIG },
    { "issuer of an unknown tool", NULL, "issuers = ( { name = \"bot\"; iss = \"b\"; jwks_file = \"ca.pem\"; tools = [ \"vault\" ]; actions = [ \"*\" ]; } );\n",
      "there is no tool \"vault\"", BAD_CONFIG },
    { "issuer of an unknown action", NULL, "issuers = ( { name = \"bot\"; iss = \"b\"; jwks_file = \"ca.pem\"; tools = [ \"support\" ]; actions = [ \"vieww\" ]; } );\n",
      "\"vieww\" is no action of these tools", BAD_CONFIG },
    { "issuer of all and one", NULL, "issuers = ( { name = \"bot\"; iss = \"b\"; jwks_file = \"ca.pem\"; tools = [ \"support\" ]; actions = [ \"*\", \"use\" ]; } );\n",
      "stands beside names", BAD_CONFIG },
    { "issuer without keys", NULL, "issuers = ( { name = \"bot\"; iss = \"b\"; jwks_file = \"gone.jwks\"; tools = [ \"support\" ]; actions = [ \"*\" ]; } );\n",
      "gone.jwks' cannot be found", BAD_CONFIG },
    { "issuer by HS256", NULL, "issuers = ( { name = \"bot\"; iss = \"b\"; jwks_file = \"ca.pem\"; algorithms = [ \"HS256\" ]; tools = [ \"support\" ]; actions = [ \"*\" ]; } );\n",
      "expected \"ES256\" or \"RS256\"", BAD_CONFIG },
    { "two issuers of one name", NULL,
      "issuers = ( { name = \"bot\"; iss = \"b\"; jwks_file = \"ca.pem\"; tools = [ \"support\" ]; actions = [ \"*\" ]; },\n"
      " { name = \"bob\"; iss = \"b\"; jwks_file = \"ca.pem\"; tools = [ \"support\" ]; actions = [ \"*\" ]; } );\n",
      "each issuer to have its own `iss`", BAD_CONFIG },
    { "no approval keys yet", NULL, "approval_keys = \"later\";\n", "warning: ", OK },
    { "host is console's", "\"support.acme.localhost\"", "\"console.acme.localhost\"", "c.conf:14: tools[support].host: \"console.acme.localhost\" stands at ", BAD_CONFIG },
    { "host with port", "\"support.acme.localhost\"", "\"support.acme.localhost:1\"", "expected a host name in lower case, without a port", BAD_CONFIG },
    { "host in upper case", "\"support.acme.localhost\"", "\"Support.acme.localhost\"", "expected a host name in lower case", BAD_CONFIG },
    { "host is an address", "\"support.acme.localhost\"", "\"127.0.0.1\"", "expected a host name in lower case", BAD_CONFIG },
    { "upstream path", "http://127.0.0.1:8000", "http://127.0.0.1:8000/x", "upstream: \"http://127.0.0.1:8000/x\" is not of the right form", BAD_CONFIG },
    { "upstream user", "http://127.0.0.1:8000", "http://a@127.0.0.1:8000", "is not of the right form", BAD_CONFIG },
    { "upstream scheme", "http://127.0.0.1:8000", "ftp://127.0.0.1:8000", "is not of the right form", BAD_CONFIG },
    { "no upstream", "upstream = \"http://127.0.0.1:8000\";", "", "tools[support].upstream: is missing", BAD_CONFIG },
    { "upstream and upstreams", "who = [", "upstreams = [ \"unix:/run/a.sock\" ]; who = [", "stands beside `upstream`", BAD_CONFIG },
    { "upstreams of two kinds", "upstream = \"http://127.0.0.1:8000\";", "upstreams = [ \"unix:/run/a.sock\", \"https://a.b\" ];", "mixes https", BAD_CONFIG },
    { "unix without a path", "http://127.0.0.1:8000", "unix:", "is not of the right form", BAD_CONFIG },
    { "unix, relative", "http://127.0.0.1:8000", "unix:a.sock", "is not of the right form", BAD_CONFIG },
    { "pin without https", "who = [", "upstream_pins = [ \"sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\" ]; who = [", "upstream_pins: has no effect", BAD_CONFIG },
    { "short pin", "who = [", "upstream_pins = [ \"sha256/47DEQpj8\" ]; who = [", "is not of the right form", BAD_CONFIG },
    { "name without https", "who = [", "upstream_name = \"a.b\"; who = [", "upstream_name: has no effect", BAD_CONFIG },
    { "key without certificate", "http://127.0.0.1:8000\";", "https://127.0.0.1:8000\"; upstream_key = \"server.key\";", "upstream_certificate: is missing", BAD_CONFIG },
    { "upstream_http", "who = [", "upstream_http = \"3\"; who = [", "is not of the right form", BAD_CONFIG },
    { "health path", "who = [", "health_path = \"/a b\"; who = [", "is not of the right form", BAD_CONFIG },
    { "ca without https", "who = [", "upstream_ca = \"ca.pem\"; who = [", "tools[support].upstream_ca: has no effect", BAD_CONFIG },
    { "who unknown", "who = [ \"support\" ]", "who = [ \"suport\" ]", "tools[support].who: nobody is in the group \"suport\"", OK },
    { "who empty", "who = [ \"support\" ]", "who = [ ]", "tools[support].who: has 0 entries; expected 1 to 64", BAD_CONFIG },
    { "approvers empty", "approvers = ( { group = \"support-lead\"; count = 1; } )", "approvers = ( )", "approvers: has 0 entries; expected 1 to 8", BAD_CONFIG },
    { "approver group unknown", "group = \"support-lead\"; count = 1;", "group = \"lead\"; count = 1;", "tools[support].approvers[1].group: nobody is in the group \"lead\"", OK },
    { "approver count 0", "count = 1;", "count = 0;", "approvers[1].count: is out of range; expected a whole number, 1 to 16", BAD_CONFIG },
    { "too few approvers", "count = 1;", "count = 3;", "warning: ", OK },
    { "hours without days", "count = 1;", "count = 1; when = \"08:00-18:00\";", "approvers[1].when: \"08:00-18:00\" is not of the right form", BAD_CONFIG },
    { "hours that leave gaps", "count = 1;", "count = 1; when = \"mon-fri 08:00-18:00\";", "no entry is asked for on Monday at 00:00", OK },
    { "too few at night", "count = 1; }", "count = 1; }, { group = \"security\"; count = 3; when = \"fri 22:00-06:00\"; }",
      "not enough people are in these groups on Friday at 22:00", OK },
    { "ticket that is no expression", "actions = (", "ticket = \"[A-Z\"; actions = (", "ticket: \"[A-Z\" is not of the right form", BAD_CONFIG },
    { "ticket with a back-reference", "actions = (", "ticket = \"(a)\\\\1\"; actions = (", "without back-references", BAD_CONFIG },
    { "a rule without actions", "actions = (", "auto = ( { name = \"r\"; groups = [ \"support\" ]; } ); actions = (", "actions: is missing", BAD_CONFIG },
    { "a rule for no action", "actions = (", "auto = ( { name = \"r\"; groups = [ \"support\" ]; actions = [ ]; } ); actions = (", "has 0 entries", BAD_CONFIG },
    { "a rule for all actions", "actions = (", "auto = ( { name = \"r\"; groups = [ \"support\" ]; actions = [ \"*\" ]; } ); actions = (", "\"*\"", BAD_CONFIG },
    { "a rule for another action", "actions = (", "auto = ( { name = \"r\"; groups = [ \"support\" ]; actions = [ \"exprot\" ]; } ); actions = (", "\"exprot\" is no action of this tool", BAD_CONFIG },
    { "a rule without groups", "actions = (", "auto = ( { name = \"r\"; actions = [ \"export\" ]; } ); actions = (", "groups: is missing", BAD_CONFIG },
    { "two rules of one name", "actions = (", "auto = ( { name = \"r\"; groups = [ \"support\" ]; actions = [ \"export\" ]; }, { name = \"r\"; groups = [ \"support\" ]; actions = [ \"export\" ]; } ); "
      "actions = (", "stands at", BAD_CONFIG },
    { "a rule at no hours", "actions = (", "auto = ( { name = \"r\"; groups = [ \"support\" ]; actions = [ \"export\" ]; when = \"always\"; } ); actions = (", "when: \"always\"", BAD_CONFIG },
    { "a rule with a broken expression", "actions = (", "auto = ( { name = \"r\"; groups = [ \"support\" ]; actions = [ \"export\" ]; reason = \"(\"; } ); actions = (", "reason: \"(\"", BAD_CONFIG },
    { "break-glass for ever", "actions = (", "break_glass = { groups = [ \"support\" ]; for = \"2d\"; }; actions = (", "break_glass.for: is out of range", BAD_CONFIG },
    { "break-glass by nobody", "actions = (", "break_glass = { groups = [ \"nobody\" ]; }; actions = (", "nobody is in the group \"nobody\"", OK },
    { "a window of a month", "actions = (", "start_within = \"30d\"; actions = (", "start_within: is out of range", BAD_CONFIG },
    { "delegates for ever", NULL, "delegation_max = \"91d\";\n", "delegation_max: is out of range", BAD_CONFIG },
    { "budget of no action", "actions = (", "budget = { actions = ( { action = \"exprot\"; max = 2; } ); }; actions = (",
      "budget.actions[1].action: \"exprot\" is no action of this tool", BAD_CONFIG },
    { "budget without max", "actions = (", "budget = { actions = ( { action = \"export\"; } ); }; actions = (", "max: is missing", BAD_CONFIG },
    { "budget of nothing", "actions = (", "budget = { distinct = ( { name = \"a\"; max = 2; } ); }; actions = (", "counts nothing", BAD_CONFIG },
    { "budget of two things", "actions = (", "budget = { distinct = ( { name = \"a\"; max = 2; path = \"/a/{b}\"; query = \"c\"; } ); }; actions = (",
      "counts two things", BAD_CONFIG },
    { "budget twice", "actions = (", "budget = { distinct = ( { name = \"a\"; max = 2; path = \"/a/{b}\"; }, { name = \"a\"; max = 2; query = \"c\"; } ); }; actions = (",
      "each name once", BAD_CONFIG },
    { "no braces", "actions = (", "budget = { distinct = ( { name = \"a\"; max = 2; path = \"/a/b\"; } ); }; actions = (", "expected a path with one segment in braces", BAD_CONFIG },
    { "two braces", "actions = (", "budget = { distinct = ( { name = \"a\"; max = 2; path = \"/{a}/{b}\"; } ); }; actions = (", "expected a path with one segment", BAD_CONFIG },
    { "half a segment", "actions = (", "budget = { distinct = ( { name = \"a\"; max = 2; path = \"/a/x{b}\"; } ); }; actions = (", "expected a path with one segment", BAD_CONFIG },
    { "stars in the middle", "actions = (", "budget = { distinct = ( { name = \"a\"; max = 2; path = \"/a/**/{b}\"; } ); }; actions = (", "expected a path with one segment", BAD_CONFIG },
    { "shadowed by a stricter one", "{ name = \"work\";", "{ name = \"stop\"; path = \"/**\"; allow = \"deny\"; }, { name = \"work\";",
      "can never be the one that counts: \"stop\" is stricter", OK },
    { "shadowed by an earlier one", "{ name = \"work\";", "{ name = \"all\"; path = \"/**\"; allow = \"grant\"; }, { name = \"work\";",
      "can never be the one that counts: \"all\" comes first", OK },
    { "too few approvers says", "count = 1;", "count = 3;", "approvers: not enough people are in these groups, so this can never be granted", OK },
    { "too few without the requester", "count = 1;", "count = 2;", "when bob asks, not enough other people are left", OK },
    { "same person for two needs", "{ group = \"support-lead\"; count = 1; }", "{ group = \"support-lead\"; count = 2; }, { group = \"security\"; count = 2; }",
      "not enough people are in these groups", OK },
    { "signoff without who", "signoff = ( { group = \"security\"; } );", "", "actions[export].signoff: is missing", BAD_CONFIG },
    { "signoff without effect", "allow = \"signoff\"", "allow = \"deny\"", "actions[export].signoff: has no effect, since allow is \"deny\"", BAD_CONFIG },
    { "signoff group unknown", "{ group = \"security\"; }", "{ group = \"sec\"; }", "actions[export].signoff[1].group: nobody is in the group \"sec\"", OK },
    { "allow", "allow = \"grant\"", "allow = \"yes\"", "expected \"grant\", \"signoff\" or \"deny\"", BAD_CONFIG },
    { "method in lower case", "\"GET\"", "\"get\"", "actions[work].methods[1]: \"get\" is not of the right form; expected a method in upper case", BAD_CONFIG },
    { "record of a kind that is none", "who = [", "record = \"some\"; who = [", "tools[support].record: \"some\" is not of the right form; expected \"full\" or \"metadata\"", BAD_CONFIG },
    { "record of a whole tool off", "who = [", "record = \"off\"; who = [", "expected \"full\" or \"metadata\" (\"off\" is for single actions on static files)", BAD_CONFIG },
    { "record off everywhere", "path = \"/**\"; allow", "path = \"/**\"; record = \"off\"; allow", "expected methods = [ \"GET\", \"HEAD\" ], or record = \"metadata\"", BAD_CONFIG },
    { "record off by a pattern", "path = \"/**\"; allow", "path = \"/*x/a\"; record = \"off\"; allow", "expected a path that begins with a name, such as \"/static/**\"", BAD_CONFIG },
    { "record off of what writes", "path = \"/**\"; allow", "path = \"/static/**\"; record = \"off\"; allow", "is \"off\", but the action's methods are not only \"GET\" and \"HEAD\"", BAD_CONFIG },
    { "record off of any method", "methods = [ \"GET\", \"POST\" ]; path = \"/**\"; allow", "methods = [ ]; path = \"/static/**\"; record = \"off\"; allow", "is \"off\", but the action's methods", BAD_CONFIG },
    { "record off of the root", "methods = [ \"GET\", \"POST\" ]; path = \"/**\"; allow", "methods = [ \"GET\" ]; path = \"/\"; record = \"off\"; allow", "expected a path that begins with a name", BAD_CONFIG },
    { "record off, durable", "methods = [ \"GET\", \"POST\" ]; path = \"/**\"; allow", "methods = [ \"GET\" ]; path = \"/s/**\"; durable = true; record = \"off\"; allow", "durable is true, and what must be on disk", BAD_CONFIG },
    { "record metadata, durable", "path = \"/**\"; allow", "path = \"/**\"; durable = true; record = \"metadata\"; allow", "actions[work].record: is \"metadata\", but durable is true", BAD_CONFIG },
    { "record metadata of a sign-off", "allow = \"signoff\";", "allow = \"signoff\"; record = \"metadata\";", "actions[export].record: is \"metadata\", but allow is \"signoff\", and what is signed off or refused is always kept in full", BAD_CONFIG },
    { "two actions of a name", "name = \"export\"", "name = \"work\"", "c.conf:18: tools[support].actions[work].name: \"work\" stands at", BAD_CONFIG },
    { "pattern without slash", "\"/admin/audience/\"", "\"admin/audience/\"", "does not start with '/'; expected a path pattern", BAD_CONFIG },
    { "pattern with query", "\"/admin/audience/\"", "\"/admin?x=1\"", "has a '?': conditions on the query go into `query`", BAD_CONFIG },
    { "pattern with dots", "\"/admin/audience/\"", "\"/admin/../x\"", "has a \".\" or \"..\" segment", BAD_CONFIG },
    { "pattern never normal", "\"/admin/audience/\"", "\"/%61dmin\"", "has a percent-encoding that the normal form decodes", BAD_CONFIG },
    { "pattern encoded colon", "\"/admin/audience/\"", "\"/users%3Aexport\"", "has a percent-encoding that the normal form decodes", BAD_CONFIG },
    { "pattern lower hex", "\"/admin/audience/\"", "\"/a%3ab\"", "has lower-case hex digits", BAD_CONFIG },
    { "pattern encoded slash", "\"/admin/audience/\"", "\"/a%2Fb\"", "unless allow_in_target names \"encoded-slash\"", BAD_CONFIG },
    { "pattern empty segment", "\"/admin/audience/\"", "\"/a//b\"", "unless allow_in_target names \"empty-segment\"", BAD_CONFIG },
    { "pattern not ASCII", "\"/admin/audience/\"", "\"/caf\xc3\xa9\"", "never stands in a path: percent-encode it", BAD_CONFIG },
    { "pattern of three stars", "\"/admin/audience/\"", "\"/***\"", "has three '*' in a row", BAD_CONFIG },
    { "pattern broken percent", "\"/admin/audience/\"", "\"/a%2\"", "'%' without two hex digits", BAD_CONFIG },
    { "no actions", "actions = (", "redact_fields = [ ]; actions = ( ); xactions = (", "tools[support].xactions: there is no such setting", BAD_CONFIG },
    { "identity of two persons", "bob@eu.acme.localhost", "alice@acme.localhost", "people[bob].identities: \"alice@acme.localhost\" stands at ", BAD_CONFIG },
    { "identity in upper case", "\"alice@acme", "\"Alice@acme", "expected an address in lower case", BAD_CONFIG },
    { "two persons of a name", "name = \"carol\"", "name = \"bob\"", "c.conf:8: people[bob].name: \"bob\" stands at ", BAD_CONFIG },
    { "role group unknown", "[ \"audit\" ];", "[ \"audits\" ];", "roles.auditors: nobody is in the group \"audits\"", OK },
    { "no operators", "operators = [ \"ops\" ];", "", "roles.operators: is empty, so nobody can stop anyone", OK },
    { "no such user", NULL, "user = \"nobody-of-that-name\";\n", "user: there is no user \"nobody-of-that-name\"", BAD_CONFIG },
    { "include missing", NULL, "@include \"gone.conf\"\n", "c.conf:22", BAD_CONFIG },
    { "origin with path", "who = [", "cross_origin = [ \"https://a.example/\" ]; who = [", "expected an origin as browsers send it", BAD_CONFIG },
    { "origin with default port", "who = [", "cross_origin = [ \"https://a.example:443\" ]; who = [", "expected an origin as browsers send it", BAD_CONFIG },
    { "target allow", "who = [", "allow_in_target = [ \"slash\" ]; who = [", "expected \"encoded-slash\", \"backslash\"", BAD_CONFIG },
    { "sealed to nobody", "[ \"" KEY_1 "\", \"" KEY_2 "\" ]", "[ ]", "sealed_to: has 0 keys; expected the public keys of at least two auditors", BAD_CONFIG },
    { "sealed to one", ", \"" KEY_2 "\" ]", " ]", "sealed_to: has 1 keys; expected the public keys of at least two auditors", BAD_CONFIG },
    { "sealed to one twice", KEY_2, KEY_1, "stands at ", BAD_CONFIG },
    { "not said whom to seal to", "recording = { sealed_to", "recording = { }; xrecording = { sealed_to", "expected the public keys of at least two auditors", BAD_CONFIG },
    { "sealed to a mistyped key", KEY_2, KEY_1 "q", "expected an auditor's public key", BAD_CONFIG },
    { "sealed to a secret key", KEY_2, "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX", "expected an auditor's public key", BAD_CONFIG },
    { "sealed and unsealed", "recording = {", "recording = { unsealed = true;", "expected one or the other", BAD_CONFIG },
    { "unsealed", "recording = { sealed_to = [ \"" KEY_1 "\", \"" KEY_2 "\" ];", "recording = { unsealed = true;", "whoever can read the disk can read every recording", OK },
    { "body not a list", "body = ( {", "body = ( 1, {", "actions[export].body[1]: is not a group", BAD_CONFIG },
    { "keep_local without a copy", "recording = {", "recording = { keep_local = \"30d\";", "recording.keep_local: would delete recordings that are nowhere else", BAD_CONFIG },
    { "audit webhook in clear", NULL, "audit = { webhook = \"http://siem.example/x\"; webhook_secret_file = \"server.key\"; };\n", "audit.webhook: \"http://siem.example/x\"", BAD_CONFIG },
    { "audit webhook unsigned", NULL, "audit = { webhook = \"https://siem.example/x\"; };\n", "audit.webhook_secret_file: is missing", BAD_CONFIG },
    { "audit secret without a webhook", NULL, "audit = { webhook_secret_file = \"server.key\"; };\n", "audit.webhook_secret_file: has no effect without `webhook`", BAD_CONFIG },
    { "syslog over TLS without a port", NULL, "audit = { syslog = \"tls:logs.example\"; };\n", "or `tls:HOST:PORT`", BAD_CONFIG },
    { "syslog over TLS with a path", NULL, "audit = { syslog = \"tls:logs.example:6514/x\"; };\n", "or `tls:HOST:PORT`", BAD_CONFIG },
    { "syslog authority in clear", NULL, "audit = { syslog = \"udp:127.0.0.1:514\"; syslog_ca_file = \"server.key\"; };\n", "audit.syslog_ca_file: has no effect, since `syslog` is not", BAD_CONFIG },
    { "syslog certificate without its key", NULL, "audit = { syslog = \"tls:logs.example:6514\"; syslog_certificate = \"server.key\"; };\n", "audit.syslog_key: is missing", BAD_CONFIG },
    { "webhook in clear", NULL, "notices = ( { name = \"bot\"; kind = \"webhook\"; url = \"http://bot.example/x\"; secret_file = \"server.key\"; } );\n", "notices[bot].url: \"http://bot.example/x\"", BAD_CONFIG },
    { "webhook without a secret", NULL, HOOK(""), "notices[bot].secret_file: is missing", BAD_CONFIG },
    { "no such event", NULL, HOOK("secret_file = \"server.key\"; events = [ \"access.granted\" ];"), "\"access.granted\" is no event (there are access.requested, ", BAD_CONFIG },
    { "no such tool of a receiver", NULL, HOOK("secret_file = \"server.key\"; tools = [ \"billing\" ];"), "notices[bot].tools: \"billing\" is no tool of this file", BAD_CONFIG },
    { "a mail's setting in a webhook", NULL, HOOK("secret_file = \"server.key\"; from = \"a@b.example\";"), "notices[bot].from: has no effect, since kind is \"webhook\"", BAD_CONFIG },
    { "a webhook's setting in a mail", NULL, MAIL("to = [ \"c@d.example\" ]; format = \"slack\";"), "notices[post].format: has no effect, since kind is \"mail\"", BAD_CONFIG },
    { "a mail to nobody", NULL, MAIL(""), "notices[post].to: is missing, so nobody would get it", BAD_CONFIG },
    { "half a login", NULL, MAIL("to = [ \"c@d.example\" ]; user = \"x\";"), "notices[post].password_file: is missing", BAD_CONFIG },
    { "a header in an address", NULL, MAIL("to = [ \"c@d.example\\r\\nBcc: e@f.example\" ];"), "notices[post].to", BAD_CONFIG },
    { "two receivers of one name", NULL, "notices = ( { name = \"bot\"; kind = \"webhook\"; format = \"slack\"; url = \"https://a.example/\"; },\n"
      "  { name = \"bot\"; kind = \"webhook\"; format = \"slack\"; url = \"https://b.example/\"; } );\n", "expected each receiver of notices to have its own name", BAD_CONFIG },
    { "kind", NULL, "notices = ( { name = \"bot\"; kind = \"pager\"; } );\n", "notices[bot].kind: \"pager\"", BAD_CONFIG },
    { "escalation to nobody", NULL, "escalate_after = \"5m\";\n", "escalate_to: is missing", BAD_CONFIG },
    { "a tool's escalation to nobody", "who = [ \"support\" ];", "who = [ \"support\" ]; escalate_after = \"5m\";", "tools[support].escalate_to: is missing", BAD_CONFIG },
};

static void test_broken(void **state)
{
    (void)state;
    char *good = whole(good_head, good_people, good_tools, "");
    for (size_t i = 0; i < sizeof broken_rows / sizeof broken_rows[0]; i++) {
        const struct broken *row = &broken_rows[i];
        struct config *c = NULL;
        struct problems p;
        char *text = replaced(good, row->from, row->to);
        enum status st = load_text(text, &c, &p);
        bool said = false;
        for (size_t k = 0; k < p.count; k++)
            said = said || strstr(p.text[k], row->said) != NULL;
        if (!said || st != row->status) {
            show(&p);
            fail_msg("%s: status %s", row->name, status_name(st));
        }
        config_unref(c);
        problems_done(&p);
        free(text);
    }
    free(good);
}

/* All at once, in the order of the file, and bounded. */
static void test_many_problems(void **state)
{
    (void)state;
    struct config *c = NULL;
    struct problems p;
    char text[40000];
    size_t n = 0;
    for (unsigned i = 0; i < 500; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "wrong%u = %u;\n", i, i);
    assert_int_equal(load_text(text, &c, &p), BAD_CONFIG);
    assert_int_equal(p.count, 200);
    assert_non_null(strstr(p.text[17], "c.conf:18: wrong17: "));
    assert_non_null(strstr(p.text[199], "more problems"));
    problems_done(&p);
    assert_int_equal(config_load("/nonexistent/c.conf", &c, &p), BAD_CONFIG);
    assert_int_equal(p.count, 1);
    problems_done(&p);
}

/* As after `init`: nobody is listed yet, and one warning says so instead of one for each group. */
static void test_no_people(void **state)
{
    (void)state;
    struct config *c = NULL;
    struct problems p;
    char *text = whole(good_head, "people = ( );\nroles = { auditors = [ \"audit\" ]; operators = [ \"ops\" ]; };\n"
                       "recording = { sealed_to = [ \"" KEY_1 "\", \"" KEY_2 "\" ]; };\n", good_tools, "");
    assert_int_equal(load_text(text, &c, &p), OK);
    assert_int_equal(p.count, 1);
    assert_non_null(strstr(p.text[0], "people: is empty, so nobody can do anything"));
    assert_null(config_person(c, SLICE("alice@acme.localhost")));
    problems_done(&p);
    config_unref(c);
    free(text);
}

static void test_world_writable(void **state)
{
    (void)state;
    struct config *c = NULL;
    struct problems p;
    char *text = whole(good_head, good_people, good_tools, ""), *path = file_join(folder, "c.conf");
    put_file("c.conf", text, 0666);
    assert_int_equal(config_load(path, &c, &p), BAD_CONFIG);
    assert_non_null(strstr(p.text[0], "everybody can write this file"));
    problems_done(&p);
    put_file("c.conf", text, 0644);
    put_file("server.key", "x", 0644);
    assert_int_equal(config_load(path, &c, &p), OK);
    assert_non_null(strstr(p.text[0], "warning: "));
    assert_non_null(strstr(p.text[0], "tls.key: others can read"));
    problems_done(&p);
    config_unref(c);
    put_file("server.key", "x", 0600);
    free(text);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good), cmocka_unit_test(test_record), cmocka_unit_test(test_lookups), cmocka_unit_test(test_include), cmocka_unit_test(test_broken),
        cmocka_unit_test(test_many_problems), cmocka_unit_test(test_no_people), cmocka_unit_test(test_world_writable),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
