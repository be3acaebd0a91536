/* Headers as balancers send them, and as they must not be. */
#include "proxy/net/proxy_protocol.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

#define SIG "\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a"
#define V4 "\xc0\x00\x02\x01\xc6\x33\x64\x02\xde\xad\x01\xbb"
#define V6 "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\xbe\xef\x01\xbb"

static const struct row {
    const char *name;
    struct slice bytes;
    const char *source;               /* NULL: refused; "": LOCAL */
    unsigned port;
} rows[] = {
    { "IPv4", SLICE_INIT(SIG "\x21\x11\x00\x0c" V4), "192.0.2.1", 0xdead },
    { "IPv6", SLICE_INIT(SIG "\x21\x21\x00\x24" V6), "2001:db8::1", 0xbeef },
    { "with TLVs", SLICE_INIT(SIG "\x21\x11\x00\x14" V4 "\x04\x00\x00\xe0\x00\x02\x68\x32"), "192.0.2.1", 0xdead },
    { "local, without addresses", SLICE_INIT(SIG "\x20\x00\x00\x00"), "", 0 },
    { "local, with addresses to skip", SLICE_INIT(SIG "\x20\x11\x00\x0c" V4), "", 0 },
    { "version 1 in text", SLICE_INIT("PROXY TCP4 192.0.2.1 198.51.100.2 57005 443\r\n"), NULL, 0 },
    { "TLS at once", SLICE_INIT("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x00\x00\x00\x00\x00"), NULL, 0 },
    { "a signature that differs in its last byte", SLICE_INIT("\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0b\x21\x11\x00\x0c" V4), NULL, 0 },
    { "version 3", SLICE_INIT(SIG "\x31\x11\x00\x0c" V4), NULL, 0 },
    { "version 1", SLICE_INIT(SIG "\x11\x11\x00\x0c" V4), NULL, 0 },
    { "command 2", SLICE_INIT(SIG "\x22\x11\x00\x0c" V4), NULL, 0 },
    { "UDP", SLICE_INIT(SIG "\x21\x12\x00\x0c" V4), NULL, 0 },
    { "family not said", SLICE_INIT(SIG "\x21\x00\x00\x0c" V4), NULL, 0 },
    { "Unix sockets", SLICE_INIT(SIG "\x21\x31\x00\x0c" V4), NULL, 0 },
    { "addresses cut", SLICE_INIT(SIG "\x21\x11\x00\x0b\xc0\x00\x02\x01\xc6\x33\x64\x02\xde\xad\x01"), NULL, 0 },
    { "IPv4 addresses called IPv6", SLICE_INIT(SIG "\x21\x21\x00\x0c" V4), NULL, 0 },
    { "no addresses", SLICE_INIT(SIG "\x21\x11\x00\x00"), NULL, 0 },
    { "a length larger than what is there", SLICE_INIT(SIG "\x21\x11\x00\x0d" V4), NULL, 0 },
    { "a length smaller than what is there", SLICE_INIT(SIG "\x21\x11\x00\x0c" V4 "\0"), NULL, 0 },
    { "a length past what is taken", SLICE_INIT(SIG "\x21\x11\x08\x01" V4), NULL, 0 },
    { "the largest length", SLICE_INIT(SIG "\x21\x11\xff\xff" V4), NULL, 0 },
    { "a TLV without its length", SLICE_INIT(SIG "\x21\x11\x00\x0e" V4 "\x04\x00"), NULL, 0 },
    { "a TLV that goes past the end", SLICE_INIT(SIG "\x21\x11\x00\x10" V4 "\x04\x00\x02\x00"), NULL, 0 },
    { "a wrong CRC32C", SLICE_INIT(SIG "\x21\x11\x00\x13" V4 "\x03\x00\x04\x00\x00\x00\x00"), NULL, 0 },
    { "a CRC32C of two bytes", SLICE_INIT(SIG "\x21\x11\x00\x11" V4 "\x03\x00\x02\x00\x00"), NULL, 0 },
    { "15 bytes", SLICE_INIT(SIG "\x21\x11\x00"), NULL, 0 },
    { "nothing", { NULL, 0 }, NULL, 0 },
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sockaddr_storage sa = { 0 };
        bool local = false;
        char text[64] = "";
        print_message("%s\n", rows[i].name);
        bool good = proxy_v2_parse(rows[i].bytes, &local, &sa);
        assert_int_equal(good, rows[i].source != NULL);
        if (!good || local) {
            assert_int_equal(local, good);
            continue;
        }
        const struct sockaddr_in *v4 = (struct sockaddr_in *)&sa;
        const struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&sa;
        bool is4 = sa.ss_family == AF_INET;
        assert_non_null(inet_ntop(sa.ss_family, is4 ? (const void *)&v4->sin_addr : (const void *)&v6->sin6_addr, text, sizeof text));
        assert_string_equal(text, rows[i].source);
        assert_int_equal(ntohs(is4 ? v4->sin_port : v6->sin6_port), rows[i].port);
    }
}

/* Of the four bytes of a CRC exactly one value is right; found by what a reference implementation of CRC-32C says of the header. */
static uint32_t reference(const unsigned char *p, size_t n)
{
    uint32_t table[256], crc = UINT32_MAX;
    for (uint32_t i = 0; i < 256; i++) {
        table[i] = i;
        for (int k = 0; k < 8; k++)
            table[i] = table[i] & 1 ? table[i] >> 1 ^ 0x82f63b78 : table[i] >> 1;
    }
    while (n-- > 0)
        crc = table[(crc ^ *p++) & 255] ^ crc >> 8;
    return ~crc;
}

static void test_crc(void **state)
{
    unsigned char header[] = SIG "\x21\x11\x00\x13" V4 "\x03\x00\x04\x00\x00\x00\x00";
    size_t len = sizeof header - 1;
    struct sockaddr_storage sa;
    bool local;
    (void)state;
    assert_int_equal(reference((const unsigned char *)"123456789", 9), 0xe3069283);   /* the check value of CRC-32C */
    uint32_t crc = reference(header, len);
    for (int i = 0; i < 4; i++)
        header[len - 4 + (size_t)i] = (unsigned char)(crc >> (24 - 8 * i));
    assert_true(proxy_v2_parse(slice_of(header, len), &local, &sa));
    header[16] ^= 1;
    assert_false(proxy_v2_parse(slice_of(header, len), &local, &sa));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows), cmocka_unit_test(test_crc) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
