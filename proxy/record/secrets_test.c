#include "proxy/record/secrets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define FP1 "fp:0pZB8Xb2l1VQx7aJ"
#define FP2 "fp:AAAAAAAAAAAAAAA-"

static void fingerprints_are_found(void **state)
{
    static const struct { const char *name, *head, *secrets; } rows[] = {
        { "none", "HTTP/1.1 200 OK\r\nserver: x\r\n\r\n", "" },
        { "a cookie", "HTTP/1.1 200 OK\r\nSet-Cookie: s=" FP1 "; Path=/\r\n\r\n", "set-cookie=" FP1 },
        { "two, and one twice", "HTTP/1.1 200 OK\r\nset-cookie: s=" FP1 "\r\nx-api-key: " FP2 "\r\nset-cookie: t=" FP1 "\r\n\r\n", "set-cookie=" FP1 ",x-api-key=" FP2 },
        { "two in a line", "HTTP/1.1 302 Found\r\nlocation: /a?token=" FP1 "&key=" FP2 "\r\n\r\n", "location=" FP1 ",location=" FP2 },
        { "longer than one", "HTTP/1.1 200 OK\r\netag: " FP1 "x\r\n\r\n", "" },
        { "shorter than one", "HTTP/1.1 200 OK\r\netag: fp:0pZB8Xb2l1VQx7a\r\n\r\n", "" },
        { "in the body", "HTTP/1.1 200 OK\r\n\r\nkey: " FP1 "\r\n", "" },
        { "in the name", "HTTP/1.1 200 OK\r\n" FP1 "\r\n\r\n", "" },
        { "a name that would break the list", "HTTP/1.1 200 OK\r\na,b=c: " FP1 "\r\n\r\n", "a_b_c=" FP1 },
        { "no end", "HTTP/1.1 200 OK\r\nx-api-key: " FP1, "x-api-key=" FP1 },
        { "nothing", "", "" },
    };
    char out[SECRETS_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t n = secrets_in_head(slice_str(rows[i].head), out);
        if (!slice_eq(slice_of(out, n), slice_str(rows[i].secrets)) && !(n == 0 && rows[i].secrets[0] == 0))
            fail_msg("%s: '%.*s'", rows[i].name, (int)n, out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(fingerprints_are_found) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
