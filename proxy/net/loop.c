#include "proxy/net/loop.h"

#include "proxy/base/clock.h"

#include <stddef.h>

/* Tasks make tasks (an answer that is ready wants to be flushed), and looking at the sockets in between costs a system call that mostly finds nothing. But it is
 * done after some rounds, so that I/O is served whatever tasks do. */
enum { ROUNDS = 4 };

static void run_round(struct loop *l)
{
    task_soon(l, &l->mark);
    for (struct task *t; (t = l->queue.next) != &l->mark;) {
        task_cancel(t);
        t->run(t);
    }
    task_cancel(&l->mark);
}

static void run_tasks(uv_idle_t *idle)
{
    struct loop *l = idle->data;
    l->now_ms = (int64_t)uv_now(&l->uv);    /* read when this turn began */
    for (int i = 0; i < ROUNDS && l->queue.next != &l->queue; i++)
        run_round(l);
    if (l->queue.next == &l->queue)
        uv_idle_stop(&l->idle);
}

void loop_look_at_clocks(struct loop *l)
{
    l->now_ms = clock_mono_ms();
    l->wall_ahead_ms = clock_wall_ms() - l->now_ms;
}

void loop_init(struct loop *l)
{
    *l = (struct loop){ 0 };
    loop_look_at_clocks(l);
    uv_loop_init(&l->uv);
    uv_idle_init(&l->uv, &l->idle);
    l->idle.data = l;
    l->queue.next = l->queue.prev = &l->queue;
}

void loop_done(struct loop *l)
{
    uv_close((uv_handle_t *)&l->idle, NULL);
    uv_run(&l->uv, UV_RUN_DEFAULT);
    uv_loop_close(&l->uv);
}

void task_soon(struct loop *l, struct task *t)
{
    if (t->next != NULL)
        return;
    t->prev = l->queue.prev;
    t->next = &l->queue;
    t->prev->next = t;
    l->queue.prev = t;
    uv_idle_start(&l->idle, run_tasks);
}

void task_cancel(struct task *t)
{
    if (t->next == NULL)
        return;
    t->prev->next = t->next;
    t->next->prev = t->prev;
    t->next = t->prev = NULL;
}
