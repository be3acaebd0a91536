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
    int64_t wall_ahead_ms;            /* of the wall clock before that, as of the last loop_look_at_clocks */
};

void loop_init(struct loop *l);
void loop_done(struct loop *l);       /* all handles must be closed */
/* Read both clocks. Called ten times a second, so that who asks for the time with every request reads none. */
void loop_look_at_clocks(struct loop *l);
/* The wall clock as of this turn; a leap of it is seen with the next look. */
static inline int64_t loop_wall_ms(const struct loop *l)
{
    return l->now_ms + l->wall_ahead_ms;
}
/* Run t in this turn or the next; once, however often it is asked for. */
void task_soon(struct loop *l, struct task *t);
void task_cancel(struct task *t);

#endif
