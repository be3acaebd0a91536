/* What is asked while authz is being started anew waits for it, a bounded number for a bounded time; what a silent one is asked does not. */
#include "proxy/net/link.h"

#include "proxy/base/clock.h"
#include "proxy/base/msg.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

struct field {
    char dir[64], path[96];
    int listener, peer;               /* authz's ends; -1: none */
    struct loop loop;
    struct link *link;
    unsigned answered, nothing, strays;
    uv_timer_t tick;
};

static void on_event(void *arg, const json_t *event)
{
    (void)arg;
    (void)event;
}

static void on_stray(void *arg, const json_t *answer)
{
    (void)answer;
    ((struct field *)arg)->strays++;
}

static void on_answer(void *arg, const json_t *answer, const int *fds, size_t fd_count)
{
    struct field *f = arg;
    (void)fds;
    (void)fd_count;
    if (answer != NULL)
        f->answered++;
    else
        f->nothing++;
}

static void on_tick(uv_timer_t *t)
{
    struct field *f = t->data;
    f->loop.now_ms = clock_mono_ms();
    link_tick(f->link);
}

static void authz_listens(struct field *f)
{
    struct err err;
    assert_int_equal(msg_listen(f->path, &f->listener, &err), OK);
}

static void *begin(void)
{
    struct field *f = calloc(1, sizeof *f);
    assert_non_null(f);
    snprintf(f->dir, sizeof f->dir, "/tmp/link-test-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->path, sizeof f->path, "%s/authz", f->dir);
    f->listener = f->peer = -1;
    loop_init(&f->loop);
    struct link_handlers h = { on_event, on_event, on_stray, f };
    f->link = link_new(&f->loop, f->path, &h);
    assert_non_null(f->link);
    uv_timer_init(&f->loop.uv, &f->tick);
    f->tick.data = f;
    uv_timer_start(&f->tick, on_tick, 10, 10);
    return f;
}

static void turn(struct field *f)
{
    uv_run(&f->loop.uv, UV_RUN_ONCE);
    if (f->peer < 0 && f->listener >= 0) {
        struct err err;
        (void)!msg_accept(f->listener, &f->peer, &err);
    }
}

/* The next message from the worker; the caller's. */
static json_t *hear(struct field *f)
{
    json_t *m = NULL;
    for (unsigned i = 0; i < 3000 && m == NULL; i++) {
        int fds[MSG_FDS_MAX];
        size_t count = 0;
        struct err err;
        turn(f);
        if (f->peer >= 0 && msg_recv(f->peer, &m, fds, &count, &err) == OK)
            while (count > 0)
                close(fds[--count]);
    }
    assert_non_null(m);
    return m;
}

static void say(struct field *f, json_t *m)
{
    struct err err;
    assert_int_equal(msg_send(f->peer, m, NULL, 0, &err), OK);
    json_decref(m);
}

static void greet(struct field *f)
{
    json_t *hello = hear(f);
    assert_string_equal(json_string_value(json_object_get(hello, "op")), "hello");
    say(f, json_pack("{s:O,s:b}", "n", json_object_get(hello, "n"), "ok", 1));
    json_decref(hello);
    say(f, json_pack("{s:s}", "event", "synced"));
    for (unsigned i = 0; i < 3000 && link_heard_ms(f->link) == 0; i++)
        turn(f);
    assert_true(link_heard_ms(f->link) > 0);
}

static int64_t ask(struct field *f, const char *what, const int *fds, size_t fd_count)
{
    return link_call(f->link, json_pack("{s:s}", "op", what), fds, fd_count, on_answer, f);
}

static void expect(struct field *f, const char *what)
{
    json_t *m = hear(f);
    assert_string_equal(json_string_value(json_object_get(m, "op")), what);
    say(f, json_pack("{s:O,s:b}", "n", json_object_get(m, "n"), "ok", 1));
    json_decref(m);
}

static void authz_dies(struct field *f)
{
    close(f->peer);
    close(f->listener);
    unlink(f->path);
    f->peer = f->listener = -1;
    for (unsigned i = 0; i < 3000 && !link_cut_off(f->link); i++)
        turn(f);
    assert_true(link_cut_off(f->link));
}

static void end(struct field *f)
{
    uv_close((uv_handle_t *)&f->tick, NULL);
    link_close(f->link);
    loop_done(&f->loop);
    if (f->peer >= 0)
        close(f->peer);
    if (f->listener >= 0)
        close(f->listener);
    unlink(f->path);
    rmdir(f->dir);
    free(f);
}

static void calls_wait_for_it(void **state)
{
    struct field *f = begin();
    (void)state;
    assert_true(link_cut_off(f->link));
    assert_true(ask(f, "first", NULL, 0) != 0);
    authz_listens(f);
    greet(f);
    expect(f, "first");
    authz_dies(f);
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    int64_t gone = ask(f, "never wanted", fds, 1);
    assert_true(gone != 0 && ask(f, "second", fds, 1) != 0);
    link_cancel(f->link, gone);
    close(fds[0]);
    close(fds[1]);
    authz_listens(f);
    greet(f);
    assert_false(link_cut_off(f->link));
    expect(f, "second");
    for (unsigned i = 0; i < 300 && f->answered < 2; i++)
        turn(f);
    assert_int_equal(f->answered, 2);
    assert_int_equal(f->nothing + f->strays, 0);
    end(f);
}

static void what_was_asked_is_not_asked_again(void **state)
{
    struct field *f = begin();
    (void)state;
    authz_listens(f);
    greet(f);
    assert_true(ask(f, "used", NULL, 0) != 0);
    json_decref(hear(f));
    authz_dies(f);
    assert_int_equal(f->nothing, 1);
    authz_listens(f);
    greet(f);
    assert_true(ask(f, "next", NULL, 0) != 0);
    expect(f, "next");
    end(f);
}

static void questions_are_asked_again_once(void **state)
{
    struct field *f = begin();
    (void)state;
    authz_listens(f);
    greet(f);
    assert_true(link_ask(f->link, json_pack("{s:s}", "op", "who"), on_answer, f) != 0);
    json_decref(hear(f));
    authz_dies(f);
    assert_int_equal(f->nothing, 0);
    authz_listens(f);
    greet(f);
    json_decref(hear(f));
    authz_dies(f);
    assert_int_equal(f->nothing, 1);
    assert_int_equal(f->answered, 0);
    end(f);
}

static void not_many_and_not_for_long(void **state)
{
    struct field *f = begin();
    unsigned waiting = 0;
    (void)state;
    while (waiting < 300 && ask(f, "much", NULL, 0) != 0)
        waiting++;
    assert_int_equal(waiting, 64);
    int64_t from = clock_mono_ms();
    while (f->nothing < waiting && clock_mono_ms() - from < 20000)
        turn(f);
    assert_int_equal(f->nothing, waiting);
    assert_int_equal(ask(f, "later", NULL, 0), 0);
    end(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(calls_wait_for_it), cmocka_unit_test(what_was_asked_is_not_asked_again), cmocka_unit_test(questions_are_asked_again_once),
                                        cmocka_unit_test(not_many_and_not_for_long) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
