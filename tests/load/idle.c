/* Many connections that do nothing: what one costs the server is seen from outside while they are held. One thread opens them in turn. */
#include "tests/load/load.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void say(unsigned long held, const struct worker *failed)
{
    json_t *out = json_pack("{s:I,s:s}", "held", (json_int_t)held, "reason", failed ? failed->tally.reasons[0].text : "");
    json_dumpf(out, stdout, 0);
    putchar('\n');
    fflush(stdout);
    json_decref(out);
}

int idle_run(const struct options *o)
{
    struct worker *workers = calloc(o->connections, sizeof *workers);
    uint32_t latency[2];
    unsigned long held = 0;
    bool good = workers != NULL;
    for (; good && held < o->connections; held += good) {
        workers[held] = (struct worker){ .o = o, .fd = -1, .tally.latency_us = latency };
        good = h1_once(&workers[held]);
    }
    say(held, good || workers == NULL ? NULL : &workers[held]);
    for (char c; read(STDIN_FILENO, &c, 1) > 0;)
        ;
    for (unsigned long i = 0; workers != NULL && i < held + !good; i++)
        tls_close(&workers[i]);
    free(workers);
    return good ? 0 : 1;
}
