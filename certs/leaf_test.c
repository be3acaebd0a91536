#include "certs/leaf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define L63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct {
    const char *name;
    struct slice text;
    const char *want;   /* NULL: refused */
} addresses[] = {
    { "plain", SLICE_INIT("alice@acme.localhost"), "alice@acme.localhost" },
    { "upper case", SLICE_INIT("Alice.B@ACME.example"), "alice.b@acme.example" },
    { "plus", SLICE_INIT("alice+admin@acme.example"), "alice+admin@acme.example" },
    { "one label", SLICE_INIT("root@localhost"), "root@localhost" },
    { "64 in front", SLICE_INIT(L63 "a@b"), L63 "a@b" },
    { "65 in front", SLICE_INIT(L63 "aa@b"), NULL },
    { "label of 63", SLICE_INIT("a@" L63), "a@" L63 },
    { "label of 64", SLICE_INIT("a@" L63 "a"), NULL },
    { "255 in all", SLICE_INIT(L63 "@" L63 "." L63 "." L63), NULL },
    { "empty", SLICE_INIT(""), NULL },
    { "no at", SLICE_INIT("alice"), NULL },
    { "nothing in front", SLICE_INIT("@acme.example"), NULL },
    { "nothing behind", SLICE_INIT("alice@"), NULL },
    { "two ats", SLICE_INIT("alice@bob@acme.example"), NULL },
    { "quoted", SLICE_INIT("\"alice\"@acme.example"), NULL },
    { "space", SLICE_INIT("alice @acme.example"), NULL },
    { "leading dot", SLICE_INIT(".alice@acme.example"), NULL },
    { "two dots", SLICE_INIT("a..b@acme.example"), NULL },
    { "dot before the at", SLICE_INIT("alice.@acme.example"), NULL },
    { "domain ends in a dot", SLICE_INIT("alice@acme.example."), NULL },
    { "label begins with a hyphen", SLICE_INIT("alice@-acme.example"), NULL },
    { "underscore in the domain", SLICE_INIT("alice@ac_me.example"), NULL },
    { "address literal", SLICE_INIT("alice@[127.0.0.1]"), NULL },
    { "IPv4 as domain", SLICE_INIT("alice@127.0.0.1"), NULL },
    { "NUL", SLICE_INIT("alice@acme.example\0.evil"), NULL },
    { "line break", SLICE_INIT("alice@acme.example\n"), NULL },
    { "header injection", SLICE_INIT("a\r\nX: y@acme.example"), NULL },
    { "not ASCII", SLICE_INIT("alic\xc3\xa9@acme.example"), NULL },
    { "DEL", SLICE_INIT("a\x7f@acme.example"), NULL },
    { "comma", SLICE_INIT("a,b@acme.example"), NULL },
    { "backslash", SLICE_INIT("a\\b@acme.example"), NULL },
};

static void test_addresses(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        char out[IDENTITY_MAX + 1] = "";
        enum status st = address_parse(addresses[i].text, out);
        if ((st == OK) != (addresses[i].want != NULL) || (st == OK && strcmp(out, addresses[i].want) != 0))
            fail_msg("%s: %s '%s'", addresses[i].name, status_name(st), out);
    }
}

static const struct {
    const char *name;
    struct slice text;
    bool wildcard, good;
} hosts[] = {
    { "plain", SLICE_INIT("support.acme.localhost"), false, true },
    { "wildcard", SLICE_INIT("*.acme.localhost"), true, true },
    { "wildcard not wanted", SLICE_INIT("*.acme.localhost"), false, false },
    { "wildcard alone", SLICE_INIT("*"), true, false },
    { "wildcard and a dot", SLICE_INIT("*."), true, false },
    { "wildcard within", SLICE_INIT("a.*.acme"), true, false },
    { "part of a label", SLICE_INIT("a*.acme"), true, false },
    { "two wildcards", SLICE_INIT("*.*.acme"), true, false },
    { "IPv4", SLICE_INIT("127.0.0.1"), false, false },
    { "IPv6", SLICE_INIT("::1"), false, false },
    { "port", SLICE_INIT("acme.localhost:8443"), false, false },
    { "empty", SLICE_INIT(""), false, false },
    { "empty label", SLICE_INIT("a..b"), false, false },
    { "NUL", SLICE_INIT("a\0b"), false, false },
};

static void test_hosts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        char out[254];
        if ((hostname_parse(hosts[i].text, hosts[i].wildcard, out) == OK) != hosts[i].good)
            fail_msg("%s", hosts[i].name);
    }
}

static void test_serials(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        unsigned char bytes[24];
        int len;
        const char *want;
    } serials[] = {
        { "one", { 1 }, 1, "01" },
        { "twenty octets", { 0xff }, 20, "ff00000000000000000000000000000000000000" },
        { "twenty-one octets", { 0xff }, 21, NULL },
    };
    char out[48];
    for (size_t i = 0; i < sizeof serials / sizeof serials[0]; i++) {
        ASN1_INTEGER *n = ASN1_INTEGER_new();
        ASN1_STRING_set(n, serials[i].bytes, serials[i].len);
        enum status st = serial_hex(n, out);
        ASN1_INTEGER_free(n);
        if ((st == OK) != (serials[i].want != NULL) || (st == OK && strcmp(out, serials[i].want) != 0))
            fail_msg("%s", serials[i].name);
    }
    ASN1_INTEGER *negative = ASN1_INTEGER_new();
    ASN1_INTEGER_set(negative, -5);
    assert_int_equal(serial_hex(negative, out), BAD_INPUT);
    ASN1_INTEGER_free(negative);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_addresses), cmocka_unit_test(test_hosts), cmocka_unit_test(test_serials) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
