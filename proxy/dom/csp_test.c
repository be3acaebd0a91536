#include "proxy/dom/csp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

enum say { YES, SCRIPT, SEND, SANDBOX };

struct row {
    const char *name, *first, *second, *reported;
    enum say want;
    const char *nonce;                /* NULL: none */
    bool told;
};

static const struct row rows[] = {
    { "none at all", NULL, NULL, NULL, YES, NULL, false },
    { "empty", "", NULL, NULL, YES, NULL, false },
    { "self", "script-src 'self'; connect-src 'self'", NULL, NULL, YES, NULL, false },
    { "default self", "default-src 'self'", NULL, NULL, YES, NULL, false },
    { "default none", "default-src 'none'", NULL, NULL, SCRIPT, NULL, false },
    { "Django's usual", "default-src 'self'; script-src 'self' 'unsafe-inline'; img-src *", NULL, NULL, YES, NULL, false },
    { "capital", "Default-Src 'SELF'", NULL, NULL, YES, NULL, false },
    { "no scripts", "script-src 'none'", NULL, NULL, SCRIPT, NULL, false },
    { "empty list", "script-src", NULL, NULL, SCRIPT, NULL, false },
    { "no connections", "script-src 'self'; connect-src 'none'", NULL, NULL, SEND, NULL, false },
    { "connections elsewhere", "script-src 'self'; connect-src https://api.example.com", NULL, NULL, SEND, NULL, false },
    { "connections fall back", "default-src 'none'; script-src 'self'", NULL, NULL, SEND, NULL, false },
    { "elements have a list of their own", "script-src 'self'; script-src-elem 'none'", NULL, NULL, SCRIPT, NULL, false },
    { "attributes are not ours", "script-src 'self'; script-src-attr 'none'", NULL, NULL, YES, NULL, false },
    { "the first of two counts", "script-src 'none'; script-src 'self'", NULL, NULL, SCRIPT, NULL, false },
    { "nonce", "script-src 'nonce-abc123=='", NULL, NULL, YES, "abc123==", false },
    { "nonce beside self", "script-src 'self' 'nonce-abc'", NULL, NULL, YES, NULL, false },
    { "strict-dynamic needs the nonce", "script-src 'self' 'strict-dynamic' 'nonce-abc'", NULL, NULL, YES, "abc", false },
    { "strict-dynamic without one", "script-src 'self' https: 'strict-dynamic'", NULL, NULL, SCRIPT, NULL, false },
    { "strict-dynamic and a hash", "script-src 'strict-dynamic' 'sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='", NULL, NULL, SCRIPT, NULL, false },
    { "hashes only", "script-src 'sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='", NULL, NULL, SCRIPT, NULL, false },
    { "inline only", "script-src 'unsafe-inline'", NULL, NULL, SCRIPT, NULL, false },
    { "two policies, one nonce", "script-src 'nonce-abc'", "script-src 'nonce-abc' 'strict-dynamic'", NULL, YES, "abc", false },
    { "two policies, two nonces", "script-src 'nonce-abc'", "script-src 'nonce-def'", NULL, SCRIPT, NULL, false },
    { "two policies, a common nonce behind", "script-src 'nonce-abc' 'nonce-def'", "script-src 'nonce-def'", NULL, YES, "def", false },
    { "two policies in one field", "default-src 'self', script-src 'none'", NULL, NULL, SCRIPT, NULL, false },
    { "the second forbids sending", "default-src 'self'", "connect-src 'none'", NULL, SEND, NULL, false },
    { "empty ones between", ",, ;; default-src 'self' ;; ,", NULL, NULL, YES, NULL, false },
    { "a nonce that would end the attribute", "script-src 'nonce-a\"><b'", NULL, NULL, SCRIPT, NULL, false },
    { "a nonce without an end", "script-src 'nonce-abc", NULL, NULL, SCRIPT, NULL, false },
    { "an empty nonce", "script-src 'nonce-'", NULL, NULL, SCRIPT, NULL, false },
    { "nonces are told apart by case", "script-src 'nonce-abc'", "script-src 'nonce-ABC'", NULL, SCRIPT, NULL, false },
    { "a star", "default-src *", NULL, NULL, YES, NULL, false },
    { "a scheme", "default-src https:", NULL, NULL, YES, NULL, false },
    { "another scheme", "default-src wss: data: blob:", NULL, NULL, SCRIPT, NULL, false },
    { "the host, with its port", "default-src https://support.example.com:8443", NULL, NULL, YES, NULL, false },
    { "the host, without scheme", "default-src support.example.com:8443", NULL, NULL, YES, NULL, false },
    { "the host, any port", "default-src support.example.com:*", NULL, NULL, YES, NULL, false },
    { "the host, default port", "default-src support.example.com", NULL, NULL, SCRIPT, NULL, false },
    { "the host, another port", "default-src support.example.com:443", NULL, NULL, SCRIPT, NULL, false },
    { "the host, capital", "default-src https://SUPPORT.example.com:8443", NULL, NULL, YES, NULL, false },
    { "another host", "default-src other.example.com:8443", NULL, NULL, SCRIPT, NULL, false },
    { "a host that ends so", "default-src xsupport.example.com:8443", NULL, NULL, SCRIPT, NULL, false },
    { "any host under it", "default-src *.example.com:8443", NULL, NULL, YES, NULL, false },
    { "any host under itself", "default-src *.support.example.com:8443", NULL, NULL, SCRIPT, NULL, false },
    { "the path of the script", "script-src https://support.example.com:8443/.countersign/recorder/x.js", NULL, NULL, YES, NULL, false },
    { "a folder above it", "script-src https://support.example.com:8443/.countersign/", NULL, NULL, YES, NULL, false },
    { "another path", "script-src https://support.example.com:8443/static/", NULL, NULL, SCRIPT, NULL, false },
    { "the folder without its slash", "script-src https://support.example.com:8443/.countersign", NULL, NULL, SCRIPT, NULL, false },
    { "an endless port", "default-src support.example.com:99999999999", NULL, NULL, SCRIPT, NULL, false },
    { "no host", "default-src https://:8443", NULL, NULL, SCRIPT, NULL, false },
    { "a sandbox", "sandbox", NULL, NULL, SANDBOX, NULL, false },
    { "a sandbox with scripts", "sandbox allow-scripts", NULL, NULL, SANDBOX, NULL, false },
    { "a sandbox with both", "sandbox allow-forms allow-scripts allow-same-origin", NULL, NULL, YES, NULL, false },
    { "trusted types are no hindrance", "require-trusted-types-for 'script'; trusted-types x", NULL, NULL, YES, NULL, false },
    { "only reported", NULL, NULL, "default-src 'none'", YES, NULL, true },
    { "only reported, and fine with the nonce", "script-src 'self' 'nonce-abc'", NULL, "script-src 'nonce-abc'", YES, "abc", false },
    { "only reported, and with no nonce of its own", "script-src 'nonce-abc'", NULL, "script-src 'nonce-x'", YES, "abc", true },
    { "tabs and line feeds", "default-src\t'self'\f;connect-src\t*", NULL, NULL, YES, NULL, false },
    { "not a directive", "default-srcx 'none'", NULL, NULL, YES, NULL, false },
};

static enum say said(const char *why)
{
    return why == NULL ? YES : strstr(why, "sandbox") ? SANDBOX : strstr(why, "send") ? SEND : SCRIPT;
}

static void test_rows(void **state)
{
    const struct csp_place place = { SLICE("support.example.com"), 8443, SLICE("/.countersign/recorder/x.js"), SLICE("/.countersign/recorder/events") };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *r = &rows[i];
        struct arena a;
        struct fields f = { 0 };
        struct csp_pass pass = { { 0 }, false };
        arena_init(&a, 8192);
        if (r->reported != NULL)
            assert_int_equal(fields_add(&f, &a, 8, SLICE("content-security-policy-report-only"), slice_str(r->reported)), OK);
        if (r->first != NULL)
            assert_int_equal(fields_add(&f, &a, 8, SLICE("content-security-policy"), slice_str(r->first)), OK);
        if (r->second != NULL)
            assert_int_equal(fields_add(&f, &a, 8, SLICE("content-security-policy"), slice_str(r->second)), OK);
        const char *why = csp_refuses(&f, &place, &pass);
        if (said(why) != r->want || (why == NULL && (!slice_eq(pass.nonce, slice_str(r->nonce)) || pass.reported != r->told)))
            fail_msg("%s: %s, nonce \"%.*s\", reported %d", r->name, why ? why : "yes", SLICE_ARG(pass.nonce), pass.reported);
        arena_done(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
