/* Who may ask for the parent's place: a process of the same user, but none of the parent's own. */
#include "proxy/commands/handover.h"

#include "proxy/base/msg.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <cmocka.h>

static bool own;

static bool is_own(void *arg, int pid)
{
    (void)arg;
    return own && pid == getpid();
}

static const char *why_not(void *arg)
{
    (void)arg;
    return "not now";
}

/* The parent's loop and the peer's end are in this process; what the peer gets. */
static enum status answer_to_a_peer(const char *path, char *error, size_t size)
{
    uv_loop_t loop;
    struct handover h = { .is_own = is_own, .why_not = why_not };
    struct err err;
    int fd = -1, fds[MSG_FDS_MAX];
    size_t count = 0;
    json_t *ask = json_pack("{s:s}", "op", "takeover"), *m = NULL;
    uv_loop_init(&loop);
    assert_int_equal(handover_listen(&h, &loop, path, &err), OK);
    assert_int_equal(msg_connect(path, &fd, &err), OK);
    assert_int_equal(msg_send(fd, ask, NULL, 0, &err), OK);
    enum status st = AGAIN;
    for (int i = 0; i < 1000 && st == AGAIN; i++) {
        uv_run(&loop, UV_RUN_NOWAIT);
        poll(NULL, 0, 1);
        st = msg_recv(fd, &m, fds, &count, &err);
    }
    const char *said = json_string_value(json_object_get(m, "error"));
    snprintf(error, size, "%s", said ? said : "");
    json_decref(m);
    json_decref(ask);
    close(fd);
    for (int i = 0; i < 10; i++)
        uv_run(&loop, UV_RUN_NOWAIT);
    handover_close(&h);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    return st;
}

static void who_may_ask(void **state)
{
    char folder[] = "/tmp/countersign-handover-XXXXXX", path[64], error[64];
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/s", folder);
    own = false;
    assert_int_equal(answer_to_a_peer(path, error, sizeof error), OK);
    assert_string_equal(error, "not now");
    own = true;
    assert_true(answer_to_a_peer(path, error, sizeof error) != OK);
    assert_string_equal(error, "");
    unlink(path);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(who_may_ask) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
