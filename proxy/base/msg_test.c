#include "proxy/base/msg.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void pair(int fds[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds), 0);
}

static void carries_an_object_and_a_descriptor(void **state)
{
    int s[2], got[MSG_FDS_MAX], null = open("/dev/null", O_RDONLY);
    size_t count = 0;
    json_t *m = json_pack("{s:s}", "op", "hello"), *back = NULL;
    (void)state;
    pair(s);
    assert_int_equal(msg_send(s[0], m, &null, 1, NULL), OK);
    assert_int_equal(msg_recv(s[1], &back, got, &count, NULL), OK);
    assert_int_equal(count, 1);
    assert_true(json_equal(m, back));
    close(got[0]);
    close(null);
    json_decref(m);
    json_decref(back);
    assert_int_equal(msg_recv(s[1], &back, got, &count, NULL), AGAIN);
    close(s[0]);
    assert_int_equal(msg_recv(s[1], &back, got, &count, NULL), CLOSED);
    close(s[1]);
}

static void refuses_what_is_no_message(void **state)
{
    static const char *const rows[] = { "[]", "1", "{", "{\"a\":1,\"a\":2}", "{\"a\":\"\xff\"}", "{} {}", "\"x\"", "{\"a\":\"\\u0000\"}" };
    int s[2], got[MSG_FDS_MAX];
    size_t count = 0;
    json_t *back = NULL;
    (void)state;
    pair(s);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(send(s[0], rows[i], strlen(rows[i]), 0), strlen(rows[i]));
        if (msg_recv(s[1], &back, got, &count, NULL) != BAD_INPUT)
            fail_msg("%s", rows[i]);
    }
    close(s[0]);
    close(s[1]);
}

static void refuses_what_is_too_large(void **state)
{
    int s[2], got[MSG_FDS_MAX], size = 1 << 20;
    size_t count = 0;
    char *big = malloc(MSG_MAX + 100);
    (void)state;
    pair(s);
    setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    memset(big, 'x', MSG_MAX + 100);
    big[MSG_MAX + 99] = 0;
    json_t *m = json_pack("{s:s}", "a", big), *back = NULL;
    assert_int_equal(msg_send(s[0], m, NULL, 0, NULL), BAD_INPUT);
    assert_int_equal(send(s[0], big, MSG_MAX + 50, 0), MSG_MAX + 50);
    assert_int_equal(msg_recv(s[1], &back, got, &count, NULL), BAD_INPUT);
    json_decref(m);
    free(big);
    close(s[0]);
    close(s[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(carries_an_object_and_a_descriptor),
        cmocka_unit_test(refuses_what_is_no_message),
        cmocka_unit_test(refuses_what_is_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
