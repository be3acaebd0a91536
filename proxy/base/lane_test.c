#include "proxy/base/lane.h"

#include "proxy/base/msg.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void a_message_goes_across_and_nothing_blocks(void **state)
{
    int lane[2], fds[MSG_FDS_MAX];
    size_t count = 0;
    struct err err;
    json_t *m = json_pack("{s:s}", "ask", "x"), *got = NULL;
    (void)state;
    assert_int_equal(lane_open(lane, &err), OK);
    assert_int_equal(msg_recv(lane[0], &got, fds, &count, &err), AGAIN);
    assert_int_equal(msg_send(lane[1], m, NULL, 0, &err), OK);
    assert_int_equal(msg_recv(lane[0], &got, fds, &count, &err), OK);
    assert_true(json_equal(m, got));
    assert_true(fcntl(lane[0], F_GETFD) & FD_CLOEXEC && fcntl(lane[1], F_GETFD) & FD_CLOEXEC);
    json_decref(m);
    json_decref(got);
    close(lane[0]);
    close(lane[1]);
}

static void only_such_a_socket_is_taken(void **state)
{
    int lane[2], other[2], pipes[2];
    char text[64];
    struct err err;
    (void)state;
    assert_int_equal(lane_open(lane, &err), OK);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, other), 0);
    assert_int_equal(pipe(pipes), 0);
    unsetenv(LANE_VARIABLE);
    assert_int_equal(lane_inherited(), -1);
    const struct { const char *name; int fd; const char *end; bool good; } rows[] = {
        { "the lane", lane[0], "", true }, { "a stream", other[0], "", false }, { "a pipe", pipes[0], "", false }, { "standard input", 0, "", false },
        { "nothing open", 1000, "", false }, { "negative", -1, "", false }, { "more behind the number", lane[0], "x", false }, { "far too large", 2000000000, "", false },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        snprintf(text, sizeof text, "%d%s", rows[i].fd, rows[i].end);
        setenv(LANE_VARIABLE, text, 1);
        if (lane_inherited() != (rows[i].good ? rows[i].fd : -1))
            fail_msg("%s", rows[i].name);
    }
    setenv(LANE_VARIABLE, "", 1);
    assert_int_equal(lane_inherited(), -1);
    for (int i = 0; i < 2; i++) {
        close(lane[i]);
        close(other[i]);
        close(pipes[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_message_goes_across_and_nothing_blocks), cmocka_unit_test(only_such_a_socket_is_taken) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
