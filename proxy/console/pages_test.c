/* Pages: what others wrote never becomes markup; who may act gets the button, and nobody else. */
#include "proxy/console/pages.h"
#include "proxy/console/request_view.h"

#include "proxy/base/codec.h"

#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void test_prose(void **state)
{
    static const struct { const char *name, *text, *html; } rows[] = {
        { "plain", "Go on", "Go on." },
        { "ends already", "Go on.", "Go on." },
        { "code", "Run `a <b>` now", "Run <code>a &lt;b&gt;</code> now." },
        { "open tick", "Run `a", "Run <code>a</code>." },
        { "ticks only", "```", "<code></code><code></code>." },
        { "quotes", "'\"&", "&#39;&quot;&amp;." },
        { "control", "a\x1b[1mb", "A\xef\xbf\xbd[1mb." },
        { "small", "an encoded slash", "An encoded slash." },
        { "empty", "", "" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct html h = { 0 };
        html_sentence(&h, rows[i].text);
        assert_false(h.failed);
        if (strcmp(h.data ? h.data : "", rows[i].html) != 0)
            fail_msg("%s: %s", rows[i].name, h.data);
        html_done(&h);
    }
}

/* The one style of a page is the one its policy names; and there is nothing else that could run. */
static void test_csp(void **state)
{
    struct html h = { 0 };
    unsigned char digest[32];
    char base64[48];
    (void)state;
    html_begin(&h, "</title><script>", "");
    html_end(&h);
    const char *from = strstr(h.data, "<style>") + strlen("<style>"), *to = strstr(h.data, "</style>");
    sha256_one(slice_of(from, (size_t)(to - from)), digest);
    EVP_EncodeBlock((unsigned char *)base64, digest, sizeof digest);
    for (int console = 0; console < 2; console++) {
        assert_non_null(strstr(html_csp(console), base64));
        assert_null(strstr(html_csp(console), "unsafe"));
        assert_int_equal(strstr(html_csp(console), "script-src") != NULL, console);
    }
    assert_null(strstr(h.data, "<script"));
    html_done(&h);
}

static json_t *item(const char *kind, const char *state)
{
    json_t *i = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:[{s:s,s:i}],s:[{s:s,s:s,s:s}]}", "id", "hld_<i>", "kind", kind, "state", state, "requester",
                          "alice", "tool", "<b>tool", "reason", "<script>alert(1)</script>\"'&", "created", (json_int_t)1, "expires", (json_int_t)INT32_MAX * 9,
                          "needs", "group", "<lead>", "count", 2, "decisions", "person", "<bob>", "decision", "approve", "key", "<k>");
    assert_non_null(i);
    json_object_set_new(i, "method", json_string("POST"));
    json_object_set_new(i, "authority", json_string("<h>"));
    json_object_set_new(i, "target", json_string("/<t>?\""));
    return i;
}

static void expect(const struct html *h, const char *name, const char *words, bool wanted)
{
    assert_false(h->failed);
    if ((strstr(h->data, words) != NULL) != wanted)
        fail_msg("%s: '%s' is %s in %s", name, words, wanted ? "not" : "there", h->data);
}

static void test_held(void **state)
{
    static const struct { const char *name, *state, *viewer, *outcome, *there, *not_there; } rows[] = {
        { "hers, waiting", "pending", "alice", NULL, "look again", "<button" },
        { "hers, signed off", "approved", "alice", NULL, "<button", "countersign approve" },
        { "another's, waiting", "pending", "carol", NULL, "countersign approve", "<button" },
        { "another's, signed off", "approved", "carol", NULL, "Only the one who asked", "<button" },
        { "nobody's", "approved", "", NULL, "Only the one who asked", "<button" },
        { "ran", "used", "alice", "answered", "the tool answered", "<button" },
        { "lost", "used", "alice", "outcome-unknown", "not known", "<button" },
        { "not sent", "used", "alice", "not-sent", "did not reach", "<button" },
        { "refused", "denied", "alice", NULL, "will not run", "<button" },
        { "a state from later", "<new>", "alice", NULL, "will not run", "<button" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct html h = { 0 };
        json_t *it = item("signoff", rows[i].state);
        if (rows[i].outcome != NULL)
            json_object_set_new(it, "outcome", json_string(rows[i].outcome));
        page_held(&h, it, rows[i].viewer);
        expect(&h, rows[i].name, rows[i].there, true);
        expect(&h, rows[i].name, rows[i].not_there, false);
        expect(&h, rows[i].name, "<script", false);
        expect(&h, rows[i].name, "<b>tool", false);
        expect(&h, rows[i].name, "hld_<i>", false);
        expect(&h, rows[i].name, "<bob>", false);
        html_done(&h);
        json_decref(it);
    }
}

static void test_home(void **state)
{
    struct config c = { 0 };
    struct html h = { 0 };
    json_t *status = json_pack("{s:s,s:[s],s:b,s:b,s:[{s:s}],s:[],s:[o],s:[o,o]}", "person", "<alice>", "groups", "<g>", "auditor", 0, "operator", 1, "tools",
                               "tool", "\"><script>", "grants", "requests", item("access", "granted"), "held", item("signoff", "approved"),
                               item("signoff", "used"));
    json_t *pending = json_pack("{s:[o]}", "items", item("access", "pending"));
    (void)state;
    assert_non_null(status);
    page_home(&h, &c, status, pending, &(struct page_asked){ .tool = "<other>", .reason = "\"><b>why", .minutes = "\"7", .refused = "<no>", .done = true });
    expect(&h, "home", "<script", false);
    expect(&h, "home", "<alice>", false);
    expect(&h, "home", "<other>", false);
    expect(&h, "home", "You may not ask for", true);
    expect(&h, "home", "Your request is in", false);   /* nothing of hers is waiting any more */
    expect(&h, "home", "Earlier requests (2)", true);
    expect(&h, "home", "Look and run it", true);
    expect(&h, "home", "2 persons of &lt;lead&gt;", true);
    expect(&h, "home", "You are an operator", true);
    expect(&h, "home", "You are an auditor", false);
    html_done(&h);
    json_decref(status);
    json_decref(pending);
}

static void test_notice(void **state)
{
    struct html h = { 0 };
    (void)state;
    page_notice(&h, NULL, "grt_\"", "<t>", "/x\"><script>");
    expect(&h, "notice", "recorded", true);
    expect(&h, "notice", "<script", false);
    expect(&h, "notice", "<t>", false);
    expect(&h, "notice", "grt_\"", false);
    expect(&h, "notice", "Your screen", false);
    html_done(&h);
}

/* Who is looked at on the screen is told before. */
static void test_notice_of_the_screen(void **state)
{
    struct tool tools[] = { { .name = (char *)"a" }, { .name = (char *)"b", .dom = { .enabled = true } } };
    struct config c = { .tools = tools, .tool_count = 2 };
    struct html one = { 0 }, two = { 0 };
    (void)state;
    page_notice(&one, &c, "grt_1", "a", "/");
    expect(&one, "notice", "Your screen", false);
    html_done(&one);
    page_notice(&two, &c, "grt_1", "b", "/");
    expect(&two, "notice", "Your screen", true);
    html_done(&two);
}

static struct action actions[] = { { .name = "view" }, { .name = "<export>" }, { .name = "wipe", .requirement = NEED_DENY } };
static char tool_name[] = "support", tool_host[] = "support.test.localhost";
static struct tool one_tool[] = { { .name = tool_name, .host = tool_host, .actions = actions, .action_count = 3, .max_duration_ms = 3600000 } };

/* Only what can be asked for is offered, what was ticked stays ticked, and what is left of a budget is said in words. */
static void test_asking(void **state)
{
    struct config c = { .tools = one_tool, .tool_count = 1 };
    struct html h = { 0 };
    json_t *status = json_pack("{s:s,s:[{s:s}],s:[{s:s,s:s,s:I,s:[{s:s,s:I,s:I},{s:s,s:I,s:I},{s:s,s:I,s:I}]}],s:[],s:[]}", "person", "alice", "tools", "tool",
                               "support", "grants", "grant_id", "grt_1\"", "tool", "support", "exp", (json_int_t)INT32_MAX * 9, "budget", "name", "bytes_out",
                               "max", (json_int_t)1 << 30, "left", (json_int_t)5 << 20, "name", "distinct:<b>", "max", (json_int_t)5, "left", (json_int_t)-1,
                               "name", "action:export", "max", (json_int_t)3, "left", (json_int_t)2, "requests", "held");
    json_t *only = json_pack("[s,s]", "support:view", "other:<export>");
    (void)state;
    assert_non_null(status);
    page_home(&h, &c, status, NULL, &(struct page_asked){ .tool = "support", .refused = "no", .only = only });
    expect(&h, "asking", "value=\"support:view\" checked", true);
    expect(&h, "asking", "value=\"support:&lt;export&gt;\">", true);
    expect(&h, "asking", "wipe", false);
    expect(&h, "asking", "<b>", false);
    expect(&h, "asking", "grt_1\"\"", false);
    expect(&h, "asking", "5120 KiB of 1024 MiB delivered", true);
    expect(&h, "asking", "0 of 5 different values of &lt;b&gt;", true);
    expect(&h, "asking", "2 of 3 times export", true);
    expect(&h, "asking", "used up", true);
    html_done(&h);
    page_home(&h, &c, status, NULL, &(struct page_asked){ .tool = "support", .reason = "longer", .refused = "too long", .extends = "grt_1\"" });
    expect(&h, "extending", "<details open><summary>Need more time?", true);
    expect(&h, "extending", "value=\"longer\"", true);
    assert_ptr_equal(strstr(strstr(h.data, "Too long") + 1, "Too long"), NULL);    /* said once, where it was asked */
    html_done(&h);
    json_decref(only);
    json_decref(status);
}

/* A yes can be narrowed to what was asked, and to nothing else. */
static void test_answering(void **state)
{
    static const struct { const char *name, *kind, *actions, *there, *not_there; } rows[] = {
        { "all", "access", "[\"*\"]", "value=\"&lt;export&gt;\" checked", "wipe" },
        { "one", "access", "[\"view\"]", "data-actions=\"view\"", "<fieldset" },
        { "a sign-off", "signoff", "[]", "Yes, sign it", "id=\"minutes\"" },
        { "broken", "access", "[7,{}]", "Yes, sign it", "<fieldset" },
    };
    struct config c = { .tools = one_tool, .tool_count = 1 };
    json_t *keys = json_pack("[{s:s,s:s,s:s,s:s,s:i}]", "key", "<k>", "label", "<l>", "method", "hardware", "state", "approved", "counts_from", 1);
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct html h = { 0 };
        json_t *it = item(rows[i].kind, "pending");
        json_object_set_new(it, "tool", json_string("support"));
        json_object_set_new(it, "duration_s", json_integer(90));
        json_object_set_new(it, "actions", json_loads(rows[i].actions, 0, NULL));
        json_object_set_new(it, "before", json_pack("{s:i,s:i}", "count", 12, "by_requester", 3));
        if (strcmp(rows[i].kind, "signoff") == 0)
            json_object_set_new(it, "so_far", json_pack("{s:i,s:i,s:[{s:s,s:s,s:s,s:i}]}", "exchanges", 7, "last_at", 1, "held", "action", "<wipe>", "state", "used", "outcome", "not-sent", "created", 1));
        page_item(&h, &(struct page_item){ .config = &c, .item = it, .keys = keys, .viewer = "carol" });
        expect(&h, rows[i].name, "7 exchanges recorded", strcmp(rows[i].kind, "signoff") == 0);
        expect(&h, rows[i].name, "&lt;wipe&gt;: not-sent", strcmp(rows[i].kind, "signoff") == 0);
        expect(&h, rows[i].name, rows[i].there, true);
        expect(&h, rows[i].name, rows[i].not_there, false);
        expect(&h, rows[i].name, "12 times, 3 of them", strcmp(rows[i].kind, "signoff") == 0);
        expect(&h, rows[i].name, "<script>", false);
        html_done(&h);
        json_decref(it);
    }
    json_decref(keys);
}

static void test_taking_back(void **state)
{
    static const struct { const char *name, *state, *viewer, *words; } rows[] = {
        { "hers, waiting", "pending", "alice", "Withdraw it" }, { "hers, granted", "granted", "alice", "End this access now" },
        { "her yes", "approved", "<bob>", "Take your yes back" }, { "another's", "pending", "carol", NULL }, { "over", "denied", "alice", NULL },
        { "used", "used", "<bob>", NULL },
    };
    struct config c = { 0 };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct html h = { 0 };
        json_t *it = item("access", rows[i].state);
        json_object_set_new(it, "duration_s", json_integer((json_int_t)INT32_MAX * 9));
        page_item(&h, &(struct page_item){ .config = &c, .item = it, .viewer = rows[i].viewer });
        expect(&h, rows[i].name, rows[i].words ? rows[i].words : "/withdraw", rows[i].words != NULL);
        html_done(&h);
        json_decref(it);
    }
}

static void test_locks(void **state)
{
    struct html h = { 0 };
    json_t *locks = json_pack("[{s:s,s:s,s:s,s:s,s:s}]", "id", "lck_\"1", "kind", "person", "value", "<mallory>", "reason", "<b>", "by", "<o>");
    json_t *keys = json_pack("[{s:s,s:s,s:s,s:s,s:i}]", "key", "<k>", "label", "<l>", "method", "passkey", "state", "approved", "counts_from", 1);
    static const struct { const char *name; bool operator, has_key, form, command; } rows[] = {
        { "an operator with a key", true, true, true, true }, { "one without", true, false, false, true }, { "an auditor", false, true, false, false },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        page_locks(&h, &(struct page_lock_list){ .locks = locks, .keys = rows[i].has_key ? keys : NULL, .may_lift = rows[i].operator });
        expect(&h, rows[i].name, "data-sign=\"unlock\"", rows[i].form);
        expect(&h, rows[i].name, "countersign unlock", rows[i].command);
        expect(&h, rows[i].name, "Lock it</button>", rows[i].operator);
        expect(&h, rows[i].name, "<mallory>", false);
        expect(&h, rows[i].name, "lck_\"", false);
        html_done(&h);
    }
    json_decref(locks);
    json_decref(keys);
}

/* Whatever is in the body, the approver sees it, and is told when it can be read in another way. */
static void a_body_deceives_nobody(void **state)
{
    (void)state;
#define FORM "application/x-www-form-urlencoded"
    static const struct { const char *name, *type, *coding; struct slice body; const char *there, *absent; } rows[] = {
        { "a form", FORM, "", SLICE_INIT("a=1+2&b=%3Cx%3E"), "<dd>&lt;x&gt;</dd>", "warn" },
        { "another reading order", FORM, "", SLICE_INIT("to=%E2%80%AE12"), "\\u{202e}12", "\xe2\x80\xae" },
        { "isolates", "text/plain", "", SLICE_INIT("a\xe2\x81\xa6" "b"), "a\\u{2066}b", "\xe2\x81\xa6" },
        { "a character nobody sees", "text/plain", "", SLICE_INIT("a\xe2\x80\x8b" "b"), "a\\u{200b}b", "\xe2\x80\x8b" },
        { "bytes that are no UTF-8", "text/plain", "", SLICE_INIT("a\xff"), "a\\xff", "\xff" },
        { "letters of others stay", "text/plain", "", SLICE_INIT("M\xc3\xbcller \xe4\xb8\xad"), "M\xc3\xbcller \xe4\xb8\xad", "\\x" },
        { "a bidi escape in JSON", "application/json", "", SLICE_INIT("{\"a\":\"\\u202e1\"}"), "\\u{202e}1", "\xe2\x80\xae" },
        { "duplicate members", "application/json", "", SLICE_INIT("{\"a\":1,\"a\":2}"), "one way only", NULL },
        { "the same field twice", FORM, "", SLICE_INIT("to=a&to=b"), REQUEST_VIEW_AGAIN, NULL },
        { "twice, spelled otherwise", FORM, "", SLICE_INIT("to=a&t%6F=b"), REQUEST_VIEW_AGAIN, NULL },
        { "a token", FORM, "", SLICE_INIT("csrf_token=abc"), "not shown", "abc" },
        { "under a token's name", FORM, "", SLICE_INIT("csrf_token=pay+eve%0A"), "pay eve", "not shown" },
        { "encoded twice", FORM, "", SLICE_INIT("a=%2541"), "<dd>%41</dd>", NULL },
        { "UTF-7", FORM "; charset=\"UTF-7\"", "", SLICE_INIT("a=%2BADw-"), "character set <code>UTF-7</code>", NULL },
        { "two charsets", "text/plain; charset=utf-8; charset=ibm037", "", SLICE_INIT("a"), "character set <code>ibm037</code>", NULL },
        { "UTF-8", "text/plain; charset=UTF-8", "", SLICE_INIT("a"), "<pre>a</pre>", "character set" },
        { "UTF-16", "text/plain; charset=utf-16", "", SLICE_INIT("a\0b\0"), "not plain text", "<pre>" },
        { "compressed", "text/plain", "gzip", SLICE_INIT("abc"), "not plain text", "<pre>" },
        { "HTML", "text/html", "", SLICE_INIT("<b onclick=x>"), "&lt;b onclick=x&gt;", "<b onclick" },
        { "many parts", "multipart/form-data; boundary=B", "", SLICE_INIT("--B\r\n\r\n<x>\r\n--B--"), "&lt;x&gt;", "<x>" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct html h = { 0 };
        request_view_body(&h, slice_str(rows[i].type), slice_str(rows[i].coding), rows[i].body);
        if (h.failed || strstr(h.data, rows[i].there) == NULL || (rows[i].absent != NULL && strstr(h.data, rows[i].absent) != NULL))
            fail_msg("%s: %s", rows[i].name, h.data);
        free(h.data);
    }
    size_t long_len = REQUEST_SHOWN_MAX + 10;
    char *body = malloc(long_len);
    assert_non_null(body);
    memset(body, ' ', long_len);
    struct html h = { 0 };
    request_view_body(&h, SLICE("text/plain"), SLICE(""), slice_of(body, long_len));
    assert_non_null(strstr(h.data, "longer than what is shown"));
    free(h.data);
    free(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_deceives_nobody),
        cmocka_unit_test(test_prose), cmocka_unit_test(test_csp), cmocka_unit_test(test_held), cmocka_unit_test(test_home), cmocka_unit_test(test_notice), cmocka_unit_test(test_notice_of_the_screen),
        cmocka_unit_test(test_asking), cmocka_unit_test(test_answering), cmocka_unit_test(test_taking_back), cmocka_unit_test(test_locks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
