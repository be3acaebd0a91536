#include "authz/policy.h"

#include "config/index.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/* ---- a tool to judge by --------------------------------------------------------------------------------------- */

static char *get_post[] = { "GET", "POST" }, *post[] = { "POST" }, *get[] = { "GET" }, *delete[] = { "DELETE" };
static struct need security = { .group = "security", .count = 1 };
static struct field_rule action_export = { "action", "export*" }, action_view = { "action", "view" }, mode_there = { "mode", NULL };

static struct action actions[] = {
    { .name = "work", .methods = get_post, .method_count = 2, .path = "/**", .requirement = NEED_GRANT },
    { .name = "export", .methods = post, .method_count = 1, .path = "/admin/audience/", .body = &action_export, .body_count = 1,
      .requirement = NEED_SIGNOFF, .signoff = &security, .signoff_count = 1, .durable = true },
    { .name = "csv", .methods = get, .method_count = 1, .path = "/admin/export:csv", .requirement = NEED_SIGNOFF, .signoff = &security,
      .signoff_count = 1, .durable = true },
    { .name = "keys", .path = "/admin/keys/**", .requirement = NEED_DENY },
    { .name = "mode", .path = "/mode", .query = &mode_there, .query_count = 1, .requirement = NEED_DENY },
    { .name = "remove", .methods = delete, .method_count = 1, .path = "/people/*", .requirement = NEED_SIGNOFF, .signoff = &security,
      .signoff_count = 1, .durable = true },
    { .name = "look", .methods = get, .method_count = 1, .path = "/customers/**", .requirement = NEED_GRANT, .durable = true },
};
static struct tool tool = { .name = "support", .actions = actions, .action_count = sizeof actions / sizeof actions[0] };

static struct action narrow_actions[] = {
    { .name = "view", .methods = post, .method_count = 1, .path = "/run", .body = &action_view, .body_count = 1, .requirement = NEED_GRANT },
    { .name = "q", .methods = get, .method_count = 1, .path = "/q", .query = &action_view, .query_count = 1, .requirement = NEED_GRANT },
};
static struct tool narrow = { .name = "narrow", .actions = narrow_actions, .action_count = 2 };

struct row {
    const char *name;
    const struct tool *tool;
    const char *methods;              /* "POST DELETE": the real one first */
    const char *path, *query, *body;  /* "a=1&b=2"; body NULL: not read, "!": unreadable */
    enum requirement requirement;
    const char *action;               /* NULL: none */
    bool wants_body;
};

static const struct row rows[] = {
    { "plain", &tool, "GET", "/", "", "", NEED_GRANT, "work", false },
    { "a method nobody named", &tool, "PUT", "/", "", "", NEED_DENY, NULL, false },
    { "a method in lower case", &tool, "get", "/", "", "", NEED_DENY, NULL, false },
    { "no such path form", &tool, "GET", "*", "", "", NEED_DENY, NULL, false },
    { "strictest wins", &tool, "GET", "/admin/keys/1", "", "", NEED_DENY, "keys", false },
    { "deny for every method", &tool, "PATCH", "/admin/keys/1", "", "", NEED_DENY, "keys", false },
    { "durable wins among grants", &tool, "GET", "/customers/1", "", "", NEED_GRANT, "look", false },
    { "query field there", &tool, "GET", "/mode", "mode=x", "", NEED_DENY, "mode", false },
    { "query field empty", &tool, "GET", "/mode", "mode=", "", NEED_DENY, "mode", false },
    { "query field of another case", &tool, "GET", "/mode", "Mode=", "", NEED_DENY, "mode", false },
    { "query field absent", &tool, "GET", "/mode", "x=mode", "", NEED_GRANT, "work", false },

    { "body unread", &tool, "POST", "/admin/audience/", "", NULL, NEED_GRANT, "work", true },
    { "body unread elsewhere", &tool, "POST", "/admin/", "", NULL, NEED_GRANT, "work", false },
    { "body unread, GET", &tool, "GET", "/admin/audience/", "", NULL, NEED_GRANT, "work", false },
    { "body says export", &tool, "POST", "/admin/audience/", "", "action=export_csv", NEED_SIGNOFF, "export", false },
    { "body says Export", &tool, "POST", "/admin/audience/", "", "Action=Export", NEED_SIGNOFF, "export", false },
    { "export as first of two", &tool, "POST", "/admin/audience/", "", "action=export&action=view", NEED_SIGNOFF, "export", false },
    { "export as last of two", &tool, "POST", "/admin/audience/", "", "action=view&action=export", NEED_SIGNOFF, "export", false },
    { "body says view", &tool, "POST", "/admin/audience/", "", "action=view", NEED_GRANT, "work", false },
    { "body unreadable", &tool, "POST", "/admin/audience/", "", "!", NEED_SIGNOFF, "export", false },
    { "body unreadable elsewhere", &tool, "POST", "/admin/", "", "!", NEED_GRANT, "work", false },

    { "export with spaces that forms strip", &tool, "POST", "/admin/audience/", "", "action= export_csv", NEED_SIGNOFF, "export", false },
    { "export with other spaces", &tool, "POST", "/admin/audience/", "", "action=\xc2\xa0\xe3\x80\x80\texport", NEED_SIGNOFF, "export", false },
    { "half a space", &tool, "POST", "/admin/audience/", "", "action=\xe3\x80", NEED_GRANT, "work", false },
    { "only spaces", &tool, "POST", "/admin/audience/", "", "action= \xc2\xa0 ", NEED_GRANT, "work", false },
    { "the query says export", &tool, "POST", "/admin/audience/", "action=export", "action=view", NEED_SIGNOFF, "export", false },
    { "the query says export, body unread", &tool, "POST", "/admin/audience/", "action=export", NULL, NEED_SIGNOFF, "export", false },
    { "HEAD runs GET", &tool, "HEAD", "/admin/export:csv", "", "", NEED_SIGNOFF, "csv", false },
    { "HEAD allows no GET", &narrow, "HEAD", "/q", "action=view", "", NEED_DENY, NULL, false },

    { "path in upper case", &tool, "POST", "/ADMIN/Audience/", "", "action=export", NEED_SIGNOFF, "export", false },
    { "no slash at the end", &tool, "POST", "/admin/audience", "", "action=export", NEED_SIGNOFF, "export", false },
    { "one slash more", &tool, "GET", "/admin/export:csv/", "", "", NEED_SIGNOFF, "csv", false },
    { "encoded colon", &tool, "GET", "/admin/export%3Acsv", "", "", NEED_SIGNOFF, "csv", false },
    { "doubly encoded colon", &tool, "GET", "/admin/export%253Acsv", "", "", NEED_SIGNOFF, "csv", false },
    { "path parameters", &tool, "GET", "/admin;x=1/export:csv;y", "", "", NEED_SIGNOFF, "csv", false },
    { "encoded slash", &tool, "GET", "/admin%2Fkeys%2F1", "", "", NEED_DENY, "keys", false },
    { "backslash", &tool, "GET", "/admin\\keys\\1", "", "", NEED_DENY, "keys", false },
    { "empty segment", &tool, "GET", "/admin//keys/1", "", "", NEED_DENY, "keys", false },
    { "dots with parameters", &tool, "GET", "/x/..;/admin", "", "", NEED_DENY, NULL, false },
    { "dots doubly encoded", &tool, "GET", "/x/%252e%252e/admin", "", "", NEED_DENY, NULL, false },
    { "dots behind an encoded slash", &tool, "GET", "/x/..%2Fadmin", "", "", NEED_DENY, NULL, false },
    { "one dot", &tool, "GET", "/admin/.;x", "", "", NEED_DENY, NULL, false },
    { "three dots are a name", &tool, "GET", "/admin/...", "", "", NEED_GRANT, "work", false },
    { "loose never allows", &narrow, "GET", "/Q", "action=view", "", NEED_DENY, NULL, false },
    { "loose body unread", &tool, "POST", "/Admin/Audience", "", NULL, NEED_GRANT, "work", true },

    { "override to a denied method", &tool, "POST DELETE", "/people/1", "", "_method=DELETE", NEED_SIGNOFF, "remove", false },
    { "override to an unnamed method", &tool, "POST DELETE", "/other", "", "_method=DELETE", NEED_DENY, NULL, false },
    { "override from an unnamed method", &tool, "DELETE GET", "/other", "", "", NEED_DENY, NULL, false },
    { "override in an unread body", &tool, "POST", "/people/1", "", NULL, NEED_GRANT, "work", true },
    { "override in an unreadable body", &tool, "POST", "/people/1", "", "!", NEED_SIGNOFF, "remove", false },
    { "no override in a read body", &tool, "POST", "/people/1", "", "a=b", NEED_GRANT, "work", false },
    { "GET has no override", &tool, "GET", "/people/1", "", NULL, NEED_GRANT, "work", false },

    { "grant by body, unread", &narrow, "POST", "/run", "", NULL, NEED_DENY, NULL, true },
    { "grant by body", &narrow, "POST", "/run", "", "action=view", NEED_GRANT, "view", false },
    { "grant by body, twice the same", &narrow, "POST", "/run", "", "action=view&action=view", NEED_GRANT, "view", false },
    { "a second value rides along", &narrow, "POST", "/run", "", "action=view&action=delete", NEED_DENY, NULL, false },
    { "a second value in another case", &narrow, "POST", "/run", "", "action=view&ACTION=delete", NEED_DENY, NULL, false },
    { "only the wrong case", &narrow, "POST", "/run", "", "Action=view", NEED_DENY, NULL, false },
    { "grant by body, another", &narrow, "POST", "/run", "", "action=delete", NEED_DENY, NULL, false },
    { "grant by body, unreadable", &narrow, "POST", "/run", "", "!", NEED_DENY, NULL, false },
    { "grant by query", &narrow, "GET", "/q", "action=view", "", NEED_GRANT, "q", false },
    { "a second value in the query", &narrow, "GET", "/q", "action=view&action=x", "", NEED_DENY, NULL, false },
};

static size_t split(const char *text, struct reading *out, size_t max)
{
    size_t n = 0;
    while (*text && n < max) {
        size_t len = strcspn(text, "&"), eq = strcspn(text, "=&");
        out[n].name = slice_of(text, eq);
        out[n++].value = eq < len ? slice_of(text + eq + 1, len - eq - 1) : slice_of(text, 0);
        text += len + (text[len] == '&');
    }
    return n;
}

struct asked {
    struct policy_request r;
    struct slice methods[4];
    struct reading query[4], body[4];
};

static void make_request(struct asked *a, const char *methods, const char *path, const char *query, const char *body)
{
    *a = (struct asked){ .r = { .methods = a->methods, .path = slice_str(path), .query = a->query, .body = a->body } };
    while (*methods) {
        size_t len = strcspn(methods, " ");
        a->methods[a->r.method_count++] = slice_of(methods, len);
        methods += len + (methods[len] == ' ');
    }
    a->r.query_count = split(query, a->query, 4);
    a->r.body_unreadable = body != NULL && strcmp(body, "!") == 0;
    a->r.body_seen = body != NULL && !a->r.body_unreadable;
    if (a->r.body_seen)
        a->r.body_count = split(body, a->body, 4);
}

static void check_rows(const char *how)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *row = &rows[i];
        struct asked a;
        char words[600];
        make_request(&a, row->methods, row->path, row->query, row->body);
        struct verdict v = policy_judge(row->tool, &a.r);
        policy_explain(row->tool, &a.r, words, sizeof words);
        const char *action = v.action ? v.action->name : NULL;
        bool same_action = action && row->action ? strcmp(action, row->action) == 0 : action == row->action;
        if (v.requirement != row->requirement || !same_action || v.wants_body != row->wants_body)
            fail_msg("%s (%s): requirement %d, action %s, wants_body %d: %s", row->name, how, v.requirement, action ? action : "none", v.wants_body, words);
        if (strlen(words) < 20 || words[strlen(words) - 1] == '.')
            fail_msg("%s: '%s'", row->name, words);
    }
}

static void test_verdicts(void **state)
{
    (void)state;
    struct arena arena;
    check_rows("one by one");
    arena_init(&arena, 1 << 20);
    tool.index = action_index_new(&arena, tool.actions, tool.action_count);
    narrow.index = action_index_new(&arena, narrow.actions, narrow.action_count);
    assert_non_null(tool.index);
    assert_non_null(narrow.index);
    check_rows("indexed");
    tool.index = narrow.index = NULL;
    arena_done(&arena);
}

static void test_odd_requests(void **state)
{
    (void)state;
    struct asked a;
    static char path[9000];
    struct slice many[80];
    make_request(&a, "GET", "/", "", "");
    a.r.method_count = 0;
    assert_int_equal(policy_judge(&tool, &a.r).requirement, NEED_DENY);
    for (size_t i = 0; i < 80; i++)
        many[i] = SLICE("GET");
    a.r.methods = many;
    a.r.method_count = 64;
    assert_int_equal(policy_judge(&tool, &a.r).requirement, NEED_GRANT);
    a.r.method_count = 65;
    assert_int_equal(policy_judge(&tool, &a.r).requirement, NEED_DENY);
    a.r.method_count = 1;
    a.r.path = SLICE("");
    assert_int_equal(policy_judge(&tool, &a.r).requirement, NEED_DENY);
    memset(path, 'a', sizeof path);
    path[0] = '/';
    a.r.path = slice_of(path, 8192);
    assert_int_equal(policy_judge(&tool, &a.r).requirement, NEED_GRANT);
    a.r.path = slice_of(path, 8193);
    assert_int_equal(policy_judge(&tool, &a.r).requirement, NEED_DENY);
}

static void test_words(void **state)
{
    (void)state;
    struct asked a;
    char words[400], tiny[12];
    make_request(&a, "POST", "/ADMIN/audience", "", "action=export");
    policy_explain(&tool, &a.r, words, sizeof words);
    assert_string_equal(words, "the action 'export' holds POST /ADMIN/audience until 1 other person of 'security' has signed off exactly this request, "
                               "since some tools read that path as '/admin/audience/'");
    make_request(&a, "GET", "/", "", "");
    policy_explain(&tool, &a.r, words, sizeof words);
    assert_string_equal(words, "the action 'work' allows GET / to those with a valid grant");
    make_request(&a, "PUT", "/\x01", "", "");
    policy_explain(&tool, &a.r, words, sizeof words);
    assert_string_equal(words, "no action of 'support' matches PUT /\\u0001, and what no action allows is refused");
    policy_explain(&tool, &a.r, tiny, sizeof tiny);
    assert_string_equal(tiny, "no action o");
    policy_explain(&tool, &a.r, tiny, 0);
}

/* ---- the index against trying one by one ---------------------------------------------------------------------- */

static unsigned seed = 12345;
static unsigned pick(unsigned n)
{
    seed = seed * 1103515245u + 12345u;
    return (seed >> 16) % n;
}

static void random_text(const char *const *parts, unsigned count, unsigned max, char *out, size_t out_max)
{
    size_t n = (size_t)snprintf(out, out_max, "/");
    for (unsigned i = pick(max + 1); i > 0; i--)
        n += (size_t)snprintf(out + n, out_max - n, "%s", parts[pick(count)]);
}

static void test_index(void **state)
{
    (void)state;
    static const char *const pattern_parts[] = { "a", "b", "A", "/", "*", "**", "ab/", "/**/", "%3A", ":" };
    static const char *const path_parts[] = { "a", "b", "A", "/", "ab/", ":", "%3A", ";x", "%2F", "//" };
    static char patterns[40][64];
    struct action many[40];
    for (unsigned round = 0; round < 300; round++) {
        struct arena arena;
        arena_init(&arena, 1 << 20);
        for (size_t i = 0; i < 40; i++) {
            random_text(pattern_parts, 10, 5, patterns[i], sizeof patterns[i]);
            many[i] = (struct action){ .name = patterns[i], .path = patterns[i], .requirement = (enum requirement)pick(3), .durable = pick(2) };
        }
        struct tool plain = { .name = "t", .actions = many, .action_count = 40 }, indexed = plain;
        indexed.index = action_index_new(&arena, many, 40);
        assert_non_null(indexed.index);
        for (unsigned k = 0; k < 40; k++) {
            char path[64];
            struct asked a;
            random_text(path_parts, 10, 6, path, sizeof path);
            make_request(&a, "GET", path, "", "");
            struct verdict x = policy_judge(&plain, &a.r), y = policy_judge(&indexed, &a.r);
            if (x.requirement != y.requirement || x.action != y.action || memcmp(x.also, y.also, sizeof x.also) != 0)
                fail_msg("'%s': %s or %s", path, x.action ? x.action->name : "none", y.action ? y.action->name : "none");
        }
        arena_done(&arena);
    }
}

/* A walk gives each candidate once. */
static void test_walk_once(void **state)
{
    (void)state;
    struct action some[] = { { .path = "/" }, { .path = "/a/" }, { .path = "/a" }, { .path = "/a/**" }, { .path = "/a/b*" }, { .path = "/**" }, { .path = "/a" } };
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct action_index *x = action_index_new(&arena, some, 7);
    assert_non_null(x);
    for (unsigned loose = 0; loose < 2; loose++) {
        unsigned seen[7] = { 0 };
        size_t at;
        struct action_walk w = action_walk_start(x, loose ? SLICE("/a") : SLICE("/a/b"), loose);
        while (action_walk_next(&w, &at))
            seen[at]++;
        for (size_t i = 0; i < 7; i++)
            assert_true(seen[i] <= 1);
        assert_int_equal(seen[3], 1);
        assert_int_equal(seen[5], 1);
        assert_int_equal(seen[2], loose);
    }
    arena_done(&arena);
}

static void test_record(void **state)
{
    static const struct action keep = { .name = "keep" }, sizes = { .name = "sizes", .record = RECORD_METADATA }, none = { .name = "none", .record = RECORD_OFF },
                               sure = { .name = "sure", .durable = true, .record = RECORD_METADATA };
    static const struct {
        const char *name;
        struct verdict v;
        enum record_mode want;
    } kept[] = {
        { "as the action says: all", { .requirement = NEED_GRANT, .action = &keep, .wants_body = false }, RECORD_FULL },
        { "as the action says: sizes", { .requirement = NEED_GRANT, .action = &sizes, .wants_body = false }, RECORD_METADATA },
        { "as the action says: nothing", { .requirement = NEED_GRANT, .action = &none, .wants_body = false }, RECORD_OFF },
        { "the body may make it another", { .requirement = NEED_GRANT, .action = &sizes, .wants_body = true }, RECORD_FULL },
        { "the body may make it another, off", { .requirement = NEED_GRANT, .action = &none, .wants_body = true }, RECORD_FULL },
        { "signed off", { .requirement = NEED_SIGNOFF, .action = &sizes, .wants_body = false }, RECORD_FULL },
        { "refused", { .requirement = NEED_DENY, .action = &none, .wants_body = false }, RECORD_FULL },
        { "no action", { .requirement = NEED_DENY, .action = NULL, .wants_body = false }, RECORD_FULL },
        { "durable", { .requirement = NEED_GRANT, .action = &sure, .wants_body = false }, RECORD_FULL },
    };
    (void)state;
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        if (policy_record(&kept[i].v) != kept[i].want)
            fail_msg("%s", kept[i].name);
}

/* Nobody chooses by spelling: where a tool that ignores case, a '/' or ";params" reads another action, its wishes count too. */
static void test_record_of_spellings(void **state)
{
    static struct action kinds[] = {
        { .name = "static", .path = "/static/**", .requirement = NEED_GRANT, .record = RECORD_OFF },
        { .name = "files", .methods = get, .method_count = 1, .path = "/Files/**", .requirement = NEED_GRANT, .record = RECORD_FULL },
        { .name = "sure", .path = "/pay/*", .requirement = NEED_GRANT, .durable = true },
        { .name = "form", .path = "/form", .body = &action_view, .body_count = 1, .requirement = NEED_GRANT, .record = RECORD_FULL },
        { .name = "rest", .path = "/**", .requirement = NEED_GRANT, .record = RECORD_METADATA },
    };
    static const struct {
        const char *name, *methods, *path, *body, *action, *also;
        enum record_mode want;
        bool durable;
    } spelled[] = {
        { "as written: nothing", "GET", "/static/a", "", "static", NULL, RECORD_OFF, false },
        { "as written: all", "GET", "/Files/a", "", "files", NULL, RECORD_FULL, false },
        { "as written: sizes", "GET", "/else", "", "rest", NULL, RECORD_METADATA, false },
        { "a milder one spelled differently", "GET", "/Static/a", "", "rest", "static", RECORD_METADATA, false },
        { "a stricter one spelled differently", "GET", "/files/a", "", "rest", "files", RECORD_FULL, false },
        { "with params", "GET", "/Files;x/a", "", "rest", "files", RECORD_FULL, false },
        { "of another method", "POST", "/files/a", "", "rest", NULL, RECORD_METADATA, false },
        { "a durable one spelled differently", "GET", "/PAY/1", "", "rest", "sure", RECORD_FULL, true },
        { "a '/' more", "GET", "/pay/1/", "", "rest", "sure", RECORD_FULL, true },
        { "a body that says so", "POST", "/Form", "action=view", "rest", "form", RECORD_FULL, false },
        { "a body that says something else", "POST", "/Form", "action=other", "rest", NULL, RECORD_METADATA, false },
        { "a body that can't be read", "POST", "/Form", "!", "rest", "form", RECORD_FULL, false },
    };
    static struct tool by_case = { .name = "files", .actions = kinds, .action_count = sizeof kinds / sizeof kinds[0] };
    (void)state;
    for (size_t i = 0; i < sizeof spelled / sizeof spelled[0]; i++) {
        struct asked a;
        make_request(&a, spelled[i].methods, spelled[i].path, "", spelled[i].body);
        struct verdict v = policy_judge(&by_case, &a.r);
        const char *also = v.also[0] ? v.also[0]->name : v.also[1] ? v.also[1]->name : "";
        if (v.requirement != NEED_GRANT || strcmp(v.action->name, spelled[i].action) != 0 || strcmp(also, spelled[i].also ? spelled[i].also : "") != 0 ||
            policy_record(&v) != spelled[i].want || policy_durable(&v) != spelled[i].durable)
            fail_msg("%s: %s, also %s, record %d", spelled[i].name, v.action ? v.action->name : "none", also, (int)policy_record(&v));
    }
}

/* ---- the rest ------------------------------------------------------------------------------------------------- */

static void test_hash(void **state)
{
    (void)state;
    struct config c = { .instance = "acme" };
    char one[65], two[65];
    char *who[] = { "support" };
    struct tool t = tool;
    t.host = "support.acme.localhost";
    struct upstream_address place = { .text = "http://127.0.0.1:8000", .host = "127.0.0.1", .port = 8000 };
    t.upstreams = &place;
    t.upstream_count = 1;
    t.who = who;
    t.who_count = 1;
    t.approvers = &security;
    t.approver_count = 1;
    policy_hash(&c, &t, one);
    policy_hash(&c, &t, two);
    assert_string_equal(one, two);
    assert_int_equal(strlen(one), 64);
    t.held_ttl_ms = 5;                /* how long things wait is no part of what is allowed */
    policy_hash(&c, &t, two);
    assert_string_equal(one, two);
    char *origins[] = { "https://intranet.acme.localhost" };
    struct action more = t.actions[0], *first = &more;
    struct tool other = t;
    other.actions = first;
    other.action_count = t.action_count = 1;
    policy_hash(&c, &t, one);
    policy_hash(&c, &other, two);
    assert_string_equal(one, two);
    more.cross_origin = origins;      /* whose pages may do it is part of it */
    more.cross_origin_count = 1;
    policy_hash(&c, &other, two);
    assert_string_not_equal(one, two);
    t.action_count = tool.action_count;
    policy_hash(&c, &t, one);
    security.count = 2;
    policy_hash(&c, &t, two);
    security.count = 1;
    assert_string_not_equal(one, two);
    actions[0].path = "/*";
    policy_hash(&c, &t, two);
    actions[0].path = "/**";
    assert_string_not_equal(one, two);
    c.instance = "tests";
    policy_hash(&c, &t, one);
    actions[0].record = RECORD_METADATA;   /* so a grant made while everything was recorded does not go on where less is */
    policy_hash(&c, &t, two);
    actions[0].record = RECORD_FULL;
    assert_string_not_equal(one, two);
    c.instance = "other";
    policy_hash(&c, &t, two);
    assert_string_not_equal(one, two);
}

static void test_people(void **state)
{
    (void)state;
    char *support[] = { "support" };
    struct person alice = { .name = "alice", .groups = support, .group_count = 1 }, bob = { .name = "bob" };
    struct tool tools[2] = { { .host = "a.example", .who = support, .who_count = 1 }, { .host = "b.example" } };
    struct config c = { .tools = tools, .tool_count = 2 };
    assert_true(policy_may_ask(&tools[0], &alice));
    assert_false(policy_may_ask(&tools[0], &bob));
    assert_false(policy_may_ask(&tools[1], &alice));
    assert_false(policy_may_ask(&tools[0], NULL));
    assert_ptr_equal(policy_tool_at(&c, SLICE("b.example")), &tools[1]);
    assert_null(policy_tool_at(&c, SLICE("c.example")));
    assert_null(policy_tool_at(&c, SLICE("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verdicts), cmocka_unit_test(test_odd_requests), cmocka_unit_test(test_words), cmocka_unit_test(test_index),
        cmocka_unit_test(test_walk_once), cmocka_unit_test(test_hash), cmocka_unit_test(test_record), cmocka_unit_test(test_record_of_spellings), cmocka_unit_test(test_people),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
