/* No planted secret comes through, in any spelling and for any split; what is no secret stays to the byte. */
#include "proxy/record/redact_body.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

struct sink {
    char text[8192];
    size_t len;
};

static void put(void *to, struct slice s)
{
    struct sink *k = to;
    assert_true(s.len < sizeof k->text - k->len);
    memcpy(k->text + k->len, s.ptr, s.len);
    k->len += s.len;
    k->text[k->len] = 0;
}

struct fixture {
    struct fingerprint f;
    struct arena arena;
    struct secret_names names;
};

static int set_up(void **state)
{
    static char a[] = "password", b[] = "new_password", c[] = "token", d[] = "Contrase\xc3\xb1" "a";
    char *const names[] = { a, b, c, d };
    struct fixture *x = calloc(1, sizeof *x);
    arena_init(&x->arena, 65536);
    if (fingerprint_init(&x->f, (const unsigned char *)"0123456789abcdef0123456789abcdef", NULL) != OK
        || secret_names_copy(names, 4, &x->arena, &x->names) != OK)
        return -1;
    *state = x;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *x = *state;
    fingerprint_done(&x->f);
    arena_done(&x->arena);
    free(x);
    return 0;
}

static void names(void **state)
{
    static const struct {
        const char *key;
        bool secret;
    } rows[] = {
        { "password", true }, { "PassWord", true }, { "user[password]", true }, { "password[]", true }, { "password[0]", true },
        { "form-0-password", true }, { "a.password", true }, { " password", true }, { "password ", true }, { "new-password", true },
        { "new.password", true }, { "NEW PASSWORD", true }, { "contrase\xc3\xb1" "a", true }, { "x:token:y", true },
        { "passwords", false }, { "apassword", false }, { "my_password", false }, { "password_hint", false }, { "", false }, { "tok", false },
    };
    struct fixture *x = *state;
    char longest[300];
    memset(longest, 'a', sizeof longest);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (secret_name(&x->names, slice_str(rows[i].key)) != rows[i].secret)
            fail_msg("%s", rows[i].key);
    assert_true(secret_name(&x->names, slice_of(longest, 257)));
    assert_false(secret_name(&x->names, slice_of(longest, 256)));
}

/* "fp:" stands for the whole fingerprint in what is expected. */
static void expect_text(const char *name, const char *got, const char *want)
{
    const char *g = got, *w = want;
    while (*w != 0) {
        if (strncmp(w, "fp:", 3) == 0 && strncmp(g, "fp:", 3) == 0 && strlen(g) >= 19) {
            g += 19;
            w += 3;
        } else if (*g++ != *w++) {
            fail_msg("%s: got '%s', expected '%s'", name, got, want);
        }
    }
    if (*g != 0)
        fail_msg("%s: got '%s', expected '%s'", name, got, want);
}

static void fields(void **state)
{
    static const struct {
        const char *name, *value, *want;
    } rows[] = {
        { "authorization", "Basic dXNlcjpwdw==", "Basic fp:" },
        { "authorization", "bearer abc.def", "bearer fp:" },
        { "authorization", "hunter2 S3CRET", "fp:" },
        { "authorization", "S3CRET", "fp:" },
        { "authorization", "Digest username=\"x\", response=\"y\"", "Digest fp:" },
        { "cookie", "a=1; b=2;c=3", "a=fp:; b=fp:; c=fp:" },
        { "cookie", "novalue", "fp:" },
        { "cookie", "a=; b=x=y", "a=; b=fp:" },
        { "set-cookie", "sid=abc; Path=/; Secure", "sid=fp:; Path=/; Secure" },
        { "set-cookie", "sid", "fp:" },
        { "x-api-key", "k", "fp:" },
        { "x-csrftoken", "k", "fp:" },
        { "countersign-grant", "a.b.c", "fp:" },
        { "countersign-assertion", "a.b.c", "fp:" },
        { "x-token", "named by the tool", "fp:" },
        { "referer", "https://h/p?token=1&a=2", "https://h/p?token=fp:&a=2" },
        { "location", "https://h/p#token=1", "https://h/p#token=fp:" },
        { "location", "https://u:p@h/p", "https://fp:@h/p" },
        { "location", "/p@q?x=1", "/p@q?x=1" },
        { "location", "https://h/a?next=/b?password=x", "https://h/a?next=/b?password=removed" },
        { "accept", "text/html", "text/html" },
        { "x-empty", "", "" },
    };
    struct fixture *x = *state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sink k = { .len = 0 };
        struct redact_out out = { put, &k };
        redact_field(&x->f, &x->names, slice_str(rows[i].name), slice_str(rows[i].value), &out);
        expect_text(rows[i].value, k.text, rows[i].want);
    }
}

/* Each name of the table in redact.c is found by the short cut before it. */
static void credentials_are_found(void **state)
{
    static const char *const names[] = {
        "authorization", "proxy-authorization", "cookie", "cookie2", "set-cookie", "set-cookie2", "authentication-info", "proxy-authentication-info", "countersign-grant",
        "countersign-assertion", "x-api-key", "api-key", "apikey", "x-apikey", "x-auth", "x-auth-token", "x-auth-key", "x-access-token", "x-session-token", "x-csrftoken",
        "x-csrf-token", "x-xsrf-token", "x-amz-security-token", "x-goog-api-key", "x-goog-iam-authorization-token", "x-vault-token", "x-gitlab-token", "private-token", "job-token",
        "x-forwarded-access-token", "x-shopify-access-token", "X-Vault-Token", "Cookie",
    };
    struct fixture *x = *state;
    struct secret_names none = { 0 };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct sink k = { .len = 0 };
        struct redact_out out = { put, &k };
        redact_field(&x->f, &none, slice_str(names[i]), SLICE("S3CRET"), &out);
        if (strstr(k.text, "S3CRET") != NULL || strstr(k.text, "fp:") == NULL)
            fail_msg("%s is kept: %s", names[i], k.text);
    }
}

static void queries(void **state)
{
    static const struct {
        const char *query, *want;
    } rows[] = {
        { "a=1&b=2", "a=1&b=2" },
        { "password=x", "password=removed" },
        { "token=x&a=1", "token=fp:&a=1" },
        { "%74oken=x", "%74oken=fp:" },
        { "%74%4F%6b%65n=x", "%74%4F%6b%65n=fp:" },
        { "a=1;token=x", "a=1;token=fp:" },
        { "token=x;a=1&b=2", "token=fp:&b=2" },
        { "user%5Btoken%5D=x", "user%5Btoken%5D=fp:" },
        { "token", "token" },
        { "token=", "token=" },
        { "&&=x&", "&&=x&" },
        { "token=x=y", "token=fp:" },
        { "+token=x", "+token=fp:" },
        { "a=%zz&token=%", "a=%zz&token=fp:" },
    };
    struct fixture *x = *state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sink k = { .len = 0 };
        struct redact_out out = { put, &k };
        redact_query(&x->f, &x->names, slice_str(rows[i].query), &out);
        expect_text(rows[i].query, k.text, rows[i].want);
    }
}

static void fingerprints(void **state)
{
    struct fixture *x = *state;
    char a[FINGERPRINT_TEXT], b[FINGERPRINT_TEXT];
    unsigned char mac[32];
    fingerprint_text(&x->f, SLICE("value"), a);
    EVP_MD_CTX *ctx = fingerprint_begin(&x->f);
    EVP_DigestUpdate(ctx, "val", 3);
    EVP_DigestUpdate(ctx, "ue", 2);
    fingerprint_end(&x->f, ctx, mac);
    fingerprint_text(&x->f, SLICE("value"), b);
    assert_string_equal(a, b);
    /* HMAC-SHA256 as OpenSSL computes it in one call. */
    unsigned char whole[32];
    size_t len = 0;
    assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, "0123456789abcdef0123456789abcdef", 32, (const unsigned char *)"value", 5, whole, 32, &len));
    assert_memory_equal(mac, whole, 32);
    assert_memory_equal(a, "fp:", 3);
}

#define B "--b0undary"
#define CD "Content-Disposition: form-data; name="
#define PART(head, value) B "\r\n" head "\r\n\r\n" value "\r\n"
#define END B "--\r\n"

/* want: what is kept; NULL rest: to the end. bad: the grammar breaks somewhere (after `want`). */
static const struct {
    const char *name;
    enum body_kind kind;
    const char *body, *want;
    bool bad;
} bodies[] = {
    { "form", BODY_FORM, "a=1&password=S3CRET&b=2", "a=1&password=removed&b=2", false },
    { "form, only", BODY_FORM, "password=S3CRET", "password=removed", false },
    { "form, empty", BODY_FORM, "password=&b=2", "password=&b=2", false },
    { "form, encoded name", BODY_FORM, "p%61ss%77ord=S3CRET&x", "p%61ss%77ord=removed&x", false },
    { "form, brackets", BODY_FORM, "u%5Bpassword%5D[]=S3CRET", "u%5Bpassword%5D[]=removed", false },
    { "form, semicolon", BODY_FORM, "a=1;token=S3CRET;b=S3CRET&c=3", "a=1;token=removed&c=3", false },
    { "form, two", BODY_FORM, "token=S3CRET&token=S3CRET", "token=removed&token=removed", false },
    { "form, plus", BODY_FORM, "+token=S3CRET", "+token=removed", false },
    { "form, binary", BODY_FORM, "\x01=\x02&a", "\x01=\x02&a", false },
    { "json", BODY_JSON, "{\"password\":\"S3CRET\",\"b\":1}", "{\"password\":\"removed\",\"b\":1}", false },
    { "json, spaces", BODY_JSON, " { \"token\" : \"S3CRET\" , \"b\" : [ 1 , 2 ] } ", " { \"token\" : \"removed\" , \"b\" : [ 1 , 2 ] } ", false },
    { "json, number", BODY_JSON, "{\"token\":53,\"b\":1}", "{\"token\":\"removed\",\"b\":1}", false },
    { "json, last number", BODY_JSON, "{\"token\":53}", "{\"token\":\"removed\"}", false },
    { "json, null", BODY_JSON, "[{\"token\":null}]", "[{\"token\":\"removed\"}]", false },
    { "json, object", BODY_JSON, "{\"token\":{\"a\":[\"S3CRET\",{}]},\"b\":\"}\"}", "{\"token\":\"removed\",\"b\":\"}\"}", false },
    { "json, array", BODY_JSON, "{\"token\":[\"S3CRET\",\"]\"],\"b\":2}", "{\"token\":\"removed\",\"b\":2}", false },
    { "json, escaped name", BODY_JSON, "{\"to\\u006b\\u0065n\":\"S3CRET\"}", "{\"to\\u006b\\u0065n\":\"removed\"}", false },
    { "json, escaped n", BODY_JSON, "{\"contrase\\u00f1a\":\"S3CRET\"}", "{\"contrase\\u00f1a\":\"removed\"}", false },
    { "json, quotes in value", BODY_JSON, "{\"token\":\"a\\\"S3CRET\\\\\",\"b\":1}", "{\"token\":\"removed\",\"b\":1}", false },
    { "json, name as value", BODY_JSON, "{\"a\":\"token\",\"b\":\"x\"}", "{\"a\":\"token\",\"b\":\"x\"}", false },
    { "json, duplicate", BODY_JSON, "{\"token\":\"S3CRET\",\"token\":\"S3CRET\"}", "{\"token\":\"removed\",\"token\":\"removed\"}", false },
    { "json, lines", BODY_JSON, "{\"token\":\"S3CRET\"}\n{\"token\":1}\n", "{\"token\":\"removed\"}\n{\"token\":\"removed\"}\n", false },
    { "json, byte order mark", BODY_JSON, "\xef\xbb\xbf{\"token\":\"S3CRET\"}", "\xef\xbb\xbf{\"token\":\"removed\"}", false },
    { "json, plain string", BODY_JSON, "\"token\"", "\"token\"", false },
    { "json, comment", BODY_JSON, "{/**/\"token\":\"S3CRET\"}", "{", true },
    { "json, single quotes", BODY_JSON, "{'token':'S3CRET'}", "{", true },
    { "json, bare name", BODY_JSON, "{token:\"S3CRET\"}", "{", true },
    { "json, odd escape", BODY_JSON, "{\"\\x74oken\":\"S3CRET\"}", "{\"\\", true },
    { "json, wrong close", BODY_JSON, "{\"a\":1],\"token\":\"S3CRET\"}", "{\"a\":1", true },
    { "json, trailing comma", BODY_JSON, "{\"a\":1,}", "{\"a\":1,", true },
    { "json, utf-16", BODY_JSON, "{\x01\"\x01", "{", true },
    { "json, closed twice", BODY_JSON, "{}}", "{}", true },
    { "text, JSON of a script", BODY_TEXT, "{\"token\":\"S3CRET\",\"b\":1}", "{\"token\":\"removed\",\"b\":1}", false },
    { "text, a form", BODY_TEXT, "a=1&token=S3CRET&b=2", "a=1&token=removed&b=2", false },
    { "text, words", BODY_TEXT, "to be: token=x", "to be: token=x", false },
    { "text, packets", BODY_TEXT, "42[\"a\",{\"token\":\"S3CRET\"}]\x1e" "2\x1e" "42[{\"password\":[\"S3CRET\"]}]", "42[\"a\",{\"token\":\"removed\"}]\x1e" "2\x1e" "42[{\"password\":\"removed\"}]", false },
    { "text, packet after words", BODY_TEXT, "4hello !\x1e" "4{\"token\":\"S3CRET\"}", "4hello !\x1e" "4{\"token\":\"removed\"}", false },
    { "text, packet cut off in a secret", BODY_TEXT, "4{\"token\":\"S3CRET\x1e" "4{\"token\":\"S3CRET\"}", "4{\"token\":\"removed\"\x1e" "4{\"token\":\"removed\"}", false },
    { "text, packets with lengths", BODY_TEXT, "85:42[\"a\",{\"token\":\"S3CRET\"}]2:4028:42[\"b\",{\"token\":\"S3CRET\"}]", "85:42[\"a\",{\"token\":\"removed\"}]2:4028:42[\"b\",{\"token\":\"removed\"}]", false },
    { "text, JSON that breaks off", BODY_TEXT, "{\"token\":\"S3CRET\",}x {\"token\":1}", "{\"token\":\"removed\",}x {\"token\":1}", false },
    { "text, closed twice", BODY_TEXT, "{}}{\"token\":1}", "{}}{\"token\":1}", false },
    { "text, a mark at the beginning", BODY_TEXT, "\x1e\x1e{\"token\":\"S3CRET\"}\x1e", "\x1e\x1e{\"token\":\"removed\"}\x1e", false },
    { "multipart", BODY_MULTIPART, PART(CD "\"password\"", "S3CRET") PART(CD "\"b\"", "2") END, PART(CD "\"password\"", "removed") PART(CD "\"b\"", "2") END, false },
    { "multipart, unquoted", BODY_MULTIPART, PART(CD "token", "S3CRET") END, PART(CD "token", "removed") END, false },
    { "multipart, percent", BODY_MULTIPART, PART(CD "\"%74oken\"", "S3CRET") END, PART(CD "\"%74oken\"", "removed") END, false },
    { "multipart, brackets", BODY_MULTIPART, PART(CD "\"u[token]\"", "S3CRET\r\n--b0undar\r\n--x") END, PART(CD "\"u[token]\"", "removed") END, false },
    { "multipart, kept binary", BODY_MULTIPART, PART(CD "\"f\"; filename=\"a.bin\"\r\nContent-Type: x/y", "\r\n\r--b0\n\x01--b0unda\r\n") END,
      PART(CD "\"f\"; filename=\"a.bin\"\r\nContent-Type: x/y", "\r\n\r--b0\n\x01--b0unda\r\n") END, false },
    { "multipart, empty value", BODY_MULTIPART, B "\r\n" CD "\"token\"\r\n\r\n" END, B "\r\n" CD "\"token\"\r\n\r\nremoved\r\n" END, false },
    { "multipart, no name", BODY_MULTIPART, PART("Content-Disposition: form-data", "S3CRET") END, PART("Content-Disposition: form-data", "removed") END, false },
    { "multipart, two names", BODY_MULTIPART, PART(CD "\"a\"; name=\"token\"", "S3CRET") END, PART(CD "\"a\"; name=\"token\"", "removed") END, false },
    { "multipart, name*", BODY_MULTIPART, PART(CD "\"a\"; name*=utf-8''token", "S3CRET") END, PART(CD "\"a\"; name*=utf-8''token", "removed") END, false },
    { "multipart, two dispositions", BODY_MULTIPART, PART(CD "\"a\"\r\n" CD "\"token\"", "S3CRET") END, PART(CD "\"a\"\r\n" CD "\"token\"", "removed") END, false },
    { "multipart, folded", BODY_MULTIPART, PART("Content-Disposition: form-data;\r\n name=\"token\"", "S3CRET") END,
      PART("Content-Disposition: form-data;\r\n name=\"token\"", "removed") END, false },
    { "multipart, backslash", BODY_MULTIPART, PART(CD "\"to\\ken\"", "S3CRET") END, PART(CD "\"to\\ken\"", "removed") END, false },
    { "multipart, no head", BODY_MULTIPART, B "\r\n\r\nS3CRET\r\n" END, B "\r\n\r\nremoved\r\n" END, false },
    { "multipart, bare LF boundary", BODY_MULTIPART, B "\r\n" CD "\"a\"\r\n\r\nx\n" B "\r\n" CD "\"token\"\r\n\r\nS3CRET\r\n" END, B "\r\n" CD "\"a\"\r\n\r\nx\n--b0undar", true },
    { "multipart, bare CR boundary", BODY_MULTIPART, B "\r\n" CD "\"a\"\r\n\r\nx\r" B "\r\n" CD "\"token\"\r\n\r\nS3CRET\r\n" END, B "\r\n" CD "\"a\"\r\n\r\nx\r--b0undar", true },
    { "multipart, LF in head", BODY_MULTIPART, B "\r\n" CD "\"a\"\n\nS3CRET\r\n" END, B "\r\n" CD "\"a\"", true },
    { "multipart, preamble", BODY_MULTIPART, "S3CRET\r\n" PART(CD "\"a\"", "x") END, "", true },
    { "multipart, epilogue", BODY_MULTIPART, PART(CD "\"a\"", "x") END "S3CRET", PART(CD "\"a\"", "x") END, true },
    { "multipart, longer boundary", BODY_MULTIPART, PART(CD "\"a\"", "x") B "S3CRET", PART(CD "\"a\"", "x") B, true },
};

static enum status feed(struct fixture *x, size_t row, const size_t *cuts, size_t cut_count, struct sink *k)
{
    struct body_redactor r;
    struct redact_out out = { put, k };
    struct slice body = slice_str(bodies[row].body);
    k->len = 0;
    k->text[0] = 0;
    body_redactor_init(&r, bodies[row].kind, &x->names, SLICE("b0undary"));
    size_t at = 0;
    for (size_t i = 0; i <= cut_count; i++) {
        size_t end = i < cut_count ? cuts[i] : body.len, taken = 0, before = k->len;
        enum status st = body_redactor_feed(&r, slice_of(body.ptr + at, end - at), &out, &taken);
        assert_true(k->len - before <= 3 * (end - at) + BODY_REDACT_SLACK);
        if (st != OK)
            return st;
        assert_int_equal(taken, end - at);
        at = end;
    }
    return OK;
}

static void expect_body(size_t row, enum status st, const struct sink *k, size_t cut)
{
    if ((st != OK) != bodies[row].bad || strcmp(k->text, bodies[row].want) != 0)
        fail_msg("%s, cut at %zu: %s '%s', expected '%s'", bodies[row].name, cut, st == OK ? "ok" : "bad", k->text, bodies[row].want);
    if (strstr(k->text, "S3CRET") != NULL)
        fail_msg("%s: a secret is kept", bodies[row].name);
}

/* Whole, in two pieces at every place, in three, and byte by byte: always the same. */
static void every_split(void **state)
{
    struct fixture *x = *state;
    struct sink k;
    for (size_t row = 0; row < sizeof bodies / sizeof bodies[0]; row++) {
        size_t len = strlen(bodies[row].body), cuts[512];
        expect_body(row, feed(x, row, NULL, 0, &k), &k, 0);
        for (size_t a = 0; a <= len; a++) {
            cuts[0] = a;
            expect_body(row, feed(x, row, cuts, 1, &k), &k, a);
            for (size_t b = a; b <= len && b < a + 12; b++) {
                cuts[1] = b;
                expect_body(row, feed(x, row, cuts, 2, &k), &k, a);
            }
        }
        for (size_t i = 0; i < len; i++)
            cuts[i] = i;
        expect_body(row, feed(x, row, cuts, len, &k), &k, len);
    }
}

static void kinds(void **state)
{
    static const struct {
        const char *type, *coding, *second;
        enum body_kind kind;
        const char *boundary;
    } rows[] = {
        { "application/json", NULL, NULL, BODY_JSON, "" },
        { "Application/JSON; charset=utf-8", NULL, NULL, BODY_JSON, "" },
        { "application/vnd.api+json", NULL, NULL, BODY_JSON, "" },
        { "application/x-ndjson", NULL, NULL, BODY_JSON, "" },
        { "application/json; charset=utf-16", NULL, NULL, BODY_UNREADABLE, "" },
        { "application/json", "gzip", NULL, BODY_UNREADABLE, "" },
        { "application/json", "identity", NULL, BODY_JSON, "" },
        { "text/html", "gzip", NULL, BODY_OTHER, "" },
        { "text/html", NULL, "application/json", BODY_UNREADABLE, "" },
        { "text/html, application/json", NULL, NULL, BODY_UNREADABLE, "" },
        { "application/x-www-form-urlencoded", NULL, NULL, BODY_FORM, "" },
        { "multipart/form-data; boundary=abc", NULL, NULL, BODY_MULTIPART, "abc" },
        { "multipart/form-data; boundary=\"a-b'()+_,./:=?\"", NULL, NULL, BODY_MULTIPART, "a-b'()+_,./:=?" },
        { "multipart/form-data", NULL, NULL, BODY_UNREADABLE, "" },
        { "multipart/form-data; boundary=", NULL, NULL, BODY_UNREADABLE, "" },
        { "multipart/form-data; boundary=a; boundary=b", NULL, NULL, BODY_UNREADABLE, "" },
        { "multipart/form-data; boundary*=a", NULL, NULL, BODY_UNREADABLE, "" },
        { "multipart/form-data; boundary=\"a b\"", NULL, NULL, BODY_UNREADABLE, "" },
        { "multipart/form-data; boundary=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL, NULL, BODY_UNREADABLE, "" },
        { "text/plain;charset=UTF-8", NULL, NULL, BODY_TEXT, "" },
        { "text/plain; charset=utf-16", NULL, NULL, BODY_OTHER, "" },
        { "text/plain", NULL, "text/html", BODY_OTHER, "" },
        { "text/plain", "gzip", NULL, BODY_OTHER, "" },
        { "text/plain", NULL, "application/json", BODY_UNREADABLE, "" },
        { "text/plain, application/json", NULL, NULL, BODY_UNREADABLE, "" },
        { "text/plain; charset=utf-8, application/json", NULL, NULL, BODY_UNREADABLE, "" },
        { "text/plain, text/html", NULL, NULL, BODY_OTHER, "" },
        { "image/png", NULL, NULL, BODY_OTHER, "" },
        { "", NULL, NULL, BODY_OTHER, "" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct field v[3];
        struct fields f = { v, 0, 3 };
        unsigned char boundary[BOUNDARY_MAX];
        size_t len = 0;
        v[f.count++] = (struct field){ SLICE("content-type"), slice_str(rows[i].type) };
        if (rows[i].coding)
            v[f.count++] = (struct field){ SLICE("content-encoding"), slice_str(rows[i].coding) };
        if (rows[i].second)
            v[f.count++] = (struct field){ SLICE("content-type"), slice_str(rows[i].second) };
        enum body_kind kind = body_kind_of(&f, boundary, &len);
        if (kind != rows[i].kind || (kind == BODY_MULTIPART && !slice_eq(slice_of(boundary, len), slice_str(rows[i].boundary))))
            fail_msg("%s: kind %d", rows[i].type, (int)kind);
    }
}

static void deep_json(void **state)
{
    struct fixture *x = *state;
    struct body_redactor r;
    struct sink k = { .len = 0 };
    struct redact_out out = { put, &k };
    char deep[JSON_DEPTH_MAX + 2];
    size_t taken;
    memset(deep, '[', sizeof deep);
    body_redactor_init(&r, BODY_JSON, &x->names, SLICE(""));
    assert_int_equal(body_redactor_feed(&r, slice_of(deep, sizeof deep), &out, &taken), BAD_INPUT);
    assert_int_equal(taken, JSON_DEPTH_MAX);
}

/* The rule of redact.h, a byte at a time. */
static bool plain_word(unsigned char c)
{
    return (c >= '0' && c <= '9') || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') || c == '_' || c >= 0x80;
}

static bool plainly_secret(const struct secret_names *names, struct slice key)
{
    for (size_t at = 0; at < key.len; at++)
        for (size_t n = 0; n < names->count && !(at > 0 && plain_word(key.ptr[at - 1]) && plain_word(key.ptr[at])); n++) {
            struct slice name = names->v[n];
            size_t i = 0;
            while (i < name.len && at + i < key.len && name.ptr[i] == (plain_word(key.ptr[at + i]) ? ascii_lower(key.ptr[at + i]) : '_'))
                i++;
            if (i == name.len && (at + i == key.len || !plain_word(key.ptr[at + i])))
                return true;
        }
    return false;
}

/* Eight bytes at a time it says the same, wherever words and names lie, and whatever stands between them. */
static void names_at_any_place(void **state)
{
    struct fixture *x = *state;
    static const char *const parts[] = { "password", "PASSWORD", "token", "Token", "new_password", "pass", "word", "a", "0", "_", "-", ".", "[", "]", "@", "`", "{", "/", ":", "\x7f", "\x80", "\xff", "" };
    enum { PARTS = sizeof parts / sizeof parts[0] };
    uint64_t r = 88172645463325252u;
    unsigned secret = 0;
    for (unsigned i = 0; i < 200000; i++) {
        char key[64] = "";
        size_t len = 0;
        for (unsigned n = 0; n < 6 && len < 40; n++) {
            r ^= r << 13;
            r ^= r >> 7;
            r ^= r << 17;
            len += (size_t)snprintf(key + len, sizeof key - len, "%s", parts[r % PARTS]);
        }
        bool want = plainly_secret(&x->names, slice_str(key));
        if (secret_name(&x->names, slice_str(key)) != want)
            fail_msg("'%s' is%s secret", key, want ? "" : " not");
        secret += want;
    }
    assert_in_range(secret, 1000, 199000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names), cmocka_unit_test(names_at_any_place), cmocka_unit_test(fields), cmocka_unit_test(credentials_are_found), cmocka_unit_test(queries), cmocka_unit_test(fingerprints),
        cmocka_unit_test(every_split), cmocka_unit_test(kinds), cmocka_unit_test(deep_json),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
