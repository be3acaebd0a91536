/* loop: one worker's event loop (libuv), with two things added: tasks, which run soon but not inside the caller (so that a callback never
 * destroys what its caller still holds), and one coarse tick for deadlines, since thousands of equal time-outs need no heap. */
#ifndef COUNTERSIGN_LOOP_H
#define COUNTERSIGN_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

/* Embedded in what it acts for. Zero it at birth; task_cancel it before that goes. */
struct task {
    struct task *next, *prev;         /* in the queue when next != NULL */
    void (*run)(struct task *t);
};

struct loop {
    uv_loop_t uv;
    uv_idle_t idle;                   /* keeps uv from sleeping while tasks wait */
    struct task queue;                /* ring; the head is no task itself */
    struct task mark;                 /* the end of one turn's tasks; no task can take it away */
    int64_t now_ms;                   /* monotonic, as of this turn */
};

void loop_init(struct loop *l);
void loop_done(struct loop *l);       /* all handles must be closed */
/* Run t in this turn or the next; once, however often it is asked for. */
void task_soon(struct loop *l, struct task *t);
void task_cancel(struct task *t);

#endif
