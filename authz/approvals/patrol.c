/* patrol: after a start from memory (memory.h) the past is read again, a block of leaves at a time, with the rows that they made. What was altered there is named, and
 * ends the process: the next start reads everything. Nothing that matters waits for it, since each leaf is proved again before it is used. */
#include "authz/approvals/internal.h"

#include <unistd.h>

enum status past_altered(struct service *s, struct err *err)
{
    err_prefix(err, "authz.db was altered: ");
    unlink(s->memory_path);           /* so that the next start looks at all of it, and refuses */
    s->written = 0;                   /* and none is written at the end */
    return CORRUPT;
}

/* Behind the leaves, the sums over them: one session after the other. */
static enum status sessions(struct service *s, struct err *err)
{
    bool done = false;
    enum status st = sessions_step(s, &s->sums, &done, err);
    if (st == OK && done) {
        session_sums_done(&s->sums);
        s->sessions_patrolled = true;
        log_info("log.patrolled", "all", "the past agrees with its signed log");
    }
    return st;
}

enum status patrol_step(struct service *s, struct err *err)
{
    uint64_t to = 0;
    if (log_remembered(s->log) == 0 || s->sessions_patrolled)
        return OK;
    if (s->patrolled >= log_remembered(s->log))
        return sessions(s, err);
    enum status st = log_check_block(s->log, s->patrolled + 1, &to, err);
    if (st == OK)
        st = reconcile_range(s, s->patrolled + 1, to, err);
    if (st == OK)
        s->patrolled = to;
    return st;
}
