/* Many connections that do nothing: what one costs the server is seen from outside while they are held. */
#include "tests/load/load.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { OPENERS = 8 };

struct opener {
    const struct options *o;
    struct worker *workers;
    unsigned long first, held;
    const struct worker *failed;
    uint32_t latency;
};

static void say(unsigned long held, const struct worker *failed)
{
    json_t *out = json_pack("{s:I,s:s}", "held", (json_int_t)held, "reason", failed ? failed->tally.reasons[0].text : "");
    json_dumpf(out, stdout, 0);
    putchar('\n');
    fflush(stdout);
    json_decref(out);
}

/* Opens every OPENERS-th connection. */
static void *open_some(void *arg)
{
    struct opener *p = arg;
    for (unsigned long i = p->first; i < p->o->connections && p->failed == NULL; i += OPENERS) {
        p->workers[i].tally.latency_us = &p->latency;
        if (!(p->o->http == 2 ? h2_once : h1_once)(&p->workers[i]))
            p->failed = &p->workers[i];
        else
            p->held++;
        p->workers[i].tally.latency_count = 0;
    }
    return NULL;
}

int idle_run(const struct options *o)
{
    struct worker *workers = calloc(o->connections, sizeof *workers);
    struct opener openers[OPENERS];
    pthread_t threads[OPENERS];
    const struct worker *failed = NULL;
    unsigned long held = 0;
    if (workers == NULL)
        return 1;
    for (unsigned long i = 0; i < o->connections; i++)
        workers[i] = (struct worker){ .o = o, .fd = -1 };
    for (unsigned i = 0; i < OPENERS; i++) {
        openers[i] = (struct opener){ .o = o, .workers = workers, .first = i };
        if (pthread_create(&threads[i], NULL, open_some, &openers[i]) != 0)
            return 1;
    }
    for (unsigned i = 0; i < OPENERS; i++) {
        pthread_join(threads[i], NULL);
        held += openers[i].held;
        failed = openers[i].failed ? openers[i].failed : failed;
    }
    say(held, failed);
    for (char c; read(STDIN_FILENO, &c, 1) > 0;)
        ;
    for (unsigned long i = 0; i < o->connections; i++)
        tls_close(&workers[i]);
    free(workers);
    return failed == NULL ? 0 : 1;
}
