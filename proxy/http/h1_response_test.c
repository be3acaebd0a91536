/* Responses of a hostile or broken tool: read in one way, or a 502. */
#include "proxy/http/h1.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include <stdio.h>

#define OK200 "HTTP/1.1 200 OK\r\n"
#define E "\r\n"

static const struct h1_limits limits = { .fields = 100 };

struct row {
    const char *name, *method;
    struct slice head;
    enum framing framing;
    uint64_t length;                  /* UINT64_MAX: has_length must be false */
    bool keep_alive;
};
#define NO UINT64_MAX

static const struct row good[] = {
    { "length", "GET", SLICE_INIT(OK200 "Content-Length: 5\r\n" E), BODY_LENGTH, 5, true },
    { "length zero", "GET", SLICE_INIT(OK200 "Content-Length: 0\r\n" E), BODY_NONE, 0, true },
    { "chunked", "GET", SLICE_INIT(OK200 "Transfer-Encoding: chunked\r\n" E), BODY_CHUNKED, NO, true },
    { "until close", "GET", SLICE_INIT(OK200 E), BODY_UNTIL_CLOSE, NO, false },
    { "HTTP/1.0", "GET", SLICE_INIT("HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n" E), BODY_LENGTH, 5, false },
    { "close", "GET", SLICE_INIT(OK200 "Content-Length: 5\r\nConnection: close\r\n" E), BODY_LENGTH, 5, false },
    { "no reason phrase", "GET", SLICE_INIT("HTTP/1.1 200 \r\nContent-Length: 1\r\n" E), BODY_LENGTH, 1, true },
    { "no space after the status", "GET", SLICE_INIT("HTTP/1.1 200\r\nContent-Length: 1\r\n" E), BODY_LENGTH, 1, true },
    { "reason phrase in UTF-8", "GET", SLICE_INIT("HTTP/1.1 404 Pas trouv\xc3\xa9\r\nContent-Length: 1\r\n" E), BODY_LENGTH, 1, true },
    { "HEAD with length", "HEAD", SLICE_INIT(OK200 "Content-Length: 5\r\n" E), BODY_NONE, 5, true },
    { "HEAD with chunked", "HEAD", SLICE_INIT(OK200 "Transfer-Encoding: chunked\r\n" E), BODY_NONE, NO, true },
    { "HEAD with nothing", "HEAD", SLICE_INIT(OK200 E), BODY_NONE, NO, true },
    { "head is not HEAD", "head", SLICE_INIT(OK200 "Content-Length: 5\r\n" E), BODY_LENGTH, 5, true },
    { "304 with length", "GET", SLICE_INIT("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n" E), BODY_NONE, 5, true },
    { "204", "GET", SLICE_INIT("HTTP/1.1 204 No Content\r\n" E), BODY_NONE, NO, true },
    { "204 with length zero", "GET", SLICE_INIT("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n" E), BODY_NONE, NO, true },
    { "100", "GET", SLICE_INIT("HTTP/1.1 100 Continue\r\n" E), BODY_NONE, NO, true },
    { "103", "GET", SLICE_INIT("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n" E), BODY_NONE, NO, true },
    { "101 ends HTTP", "GET", SLICE_INIT("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n" E), BODY_NONE, NO, false },
    { "205 with length", "GET", SLICE_INIT("HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n" E), BODY_NONE, 0, true },
    { "upgrade announced", "GET", SLICE_INIT(OK200 "Upgrade: h2\r\nConnection: Upgrade\r\nContent-Length: 1\r\n" E), BODY_LENGTH, 1, true },
};

static const struct {
    const char *name;
    struct slice head;
} bad[] = {
    { "empty", SLICE_INIT("") },
    { "request", SLICE_INIT("GET / HTTP/1.1\r\nHost: a\r\n" E) },
    { "other protocol", SLICE_INIT("ICY 200 OK\r\n" E) },
    { "SSH", SLICE_INIT("SSH-2.0-OpenSSH_9.2\r\n" E) },
    { "version 2.0", SLICE_INIT("HTTP/2.0 200 OK\r\n" E) },
    { "version 0.9", SLICE_INIT("HTTP/0.9 200 OK\r\n" E) },
    { "version 1.11", SLICE_INIT("HTTP/1.11 200 OK\r\n" E) },
    { "two spaces", SLICE_INIT("HTTP/1.1  200 OK\r\n" E) },
    { "status of two digits", SLICE_INIT("HTTP/1.1 20 OK\r\n" E) },
    { "status of four digits", SLICE_INIT("HTTP/1.1 2000 OK\r\n" E) },
    { "status 099", SLICE_INIT("HTTP/1.1 099 Low\r\n" E) },
    { "status 600", SLICE_INIT("HTTP/1.1 600 High\r\n" E) },
    { "status with sign", SLICE_INIT("HTTP/1.1 +20 OK\r\n" E) },
    { "tab after status", SLICE_INIT("HTTP/1.1 200\tOK\r\n" E) },
    { "NUL in reason", SLICE_INIT("HTTP/1.1 200 O\0K\r\n" E) },
    { "CR in reason", SLICE_INIT("HTTP/1.1 200 O\rK\r\n" E) },
    { "bare LF", SLICE_INIT("HTTP/1.1 200 OK\nContent-Length: 1\n\n") },
    { "bare LF in a field", SLICE_INIT(OK200 "A: b\nSet-Cookie: x\r\n" E) },
    { "bare CR in a field", SLICE_INIT(OK200 "A: b\rSet-Cookie: x\r\n" E) },
    { "folded", SLICE_INIT(OK200 "A: b\r\n c\r\n" E) },
    { "space before colon", SLICE_INIT(OK200 "Content-Length : 1\r\n" E) },
    { "empty name", SLICE_INIT(OK200 ": 1\r\n" E) },
    { "NUL in a value", SLICE_INIT(OK200 "A: \0\r\n" E) },
    { "length twice", SLICE_INIT(OK200 "Content-Length: 1\r\nContent-Length: 1\r\n" E) },
    { "length list", SLICE_INIT(OK200 "Content-Length: 1,1\r\n" E) },
    { "length and chunked", SLICE_INIT(OK200 "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n" E) },
    { "chunked and length", SLICE_INIT(OK200 "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n" E) },
    { "length overlarge", SLICE_INIT(OK200 "Content-Length: 99999999999999999999\r\n" E) },
    { "TE in HTTP/1.0", SLICE_INIT("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n" E) },
    { "TE gzip", SLICE_INIT(OK200 "Transfer-Encoding: gzip\r\n" E) },
    { "TE gzip, chunked", SLICE_INIT(OK200 "Transfer-Encoding: gzip, chunked\r\n" E) },
    { "TE identity", SLICE_INIT(OK200 "Transfer-Encoding: identity\r\n" E) },
    { "TE twice", SLICE_INIT(OK200 "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n" E) },
    { "204 with content", SLICE_INIT("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n" E) },
    { "204 chunked", SLICE_INIT("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n" E) },
    { "100 with content", SLICE_INIT("HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n" E) },
    { "101 chunked", SLICE_INIT("HTTP/1.1 101 Go\r\nTransfer-Encoding: chunked\r\n" E) },
    { "broken Connection", SLICE_INIT(OK200 "Connection: a b\r\nContent-Length: 5\r\n" E) },
    { "bytes behind the head", SLICE_INIT(OK200 "Content-Length: 0\r\n" E "HTTP") },
};

static void test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        const struct row *r = &good[i];
        struct arena arena;
        struct message m;
        struct refusal why = { 0 };
        arena_init(&arena, 65536);
        if (h1_parse_response(r->head, &limits, slice_str(r->method), &arena, &m, &why) != PARSE_OK)
            fail_msg("row '%s': refused: %s", r->name, why.reason);
        if (m.framing != r->framing || m.has_length != (r->length != NO) || (m.has_length && m.content_length != r->length) ||
            m.keep_alive != r->keep_alive)
            fail_msg("row '%s': framing %d, length %d %llu, keep-alive %d", r->name, (int)m.framing, m.has_length,
                     (unsigned long long)m.content_length, m.keep_alive);
        arena_done(&arena);
    }
}

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct arena arena;
        struct message m;
        struct refusal why = { 0 };
        arena_init(&arena, 65536);
        if (h1_parse_response(bad[i].head, &limits, SLICE("GET"), &arena, &m, &why) != PARSE_BAD)
            fail_msg("row '%s' was accepted", bad[i].name);
        if (why.status != 502 || why.reason == NULL)
            fail_msg("row '%s': status %u", bad[i].name, why.status);
        arena_done(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_good), cmocka_unit_test(test_bad) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
