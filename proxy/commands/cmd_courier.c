/* countersign courier: the process that speaks to other machines on its own account: notices by webhook and mail. Started by `countersign run` when the config names receivers. */
#include "proxy/commands/commands.h"

#include "config/config.h"
#include "proxy/base/log.h"
#include "proxy/base/window.h"
#include "proxy/commands/confine.h"
#include "proxy/commands/process.h"
#include "proxy/courier/courier.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int cmd_courier(int argc, char **argv)
{
    const char *path = NULL, *parent = getenv("COUNTERSIGN_PARENT");
    char **positionals;
    size_t count;
    int code;
    const struct option_spec options[] = {
        { "config", 'c', "FILE", "the gateway's config", &path, NULL, true },
        { 0 },
    };
    const struct usage usage = { "countersign courier -c FILE", "The process that sends notices. `countersign run` starts it.", options, 0, 0, NULL };
    if (!options_parse(argc, argv, &usage, &positionals, &count, &code))
        return code;
    sigset_t later;                   /* a reload that comes before it is ready must not end it */
    sigemptyset(&later);
    sigaddset(&later, SIGHUP);
    sigaddset(&later, SIGTERM);
    sigprocmask(SIG_BLOCK, &later, NULL);
    signal(SIGINT, SIG_IGN);          /* Ctrl-C reaches the whole group; the parent says when */
    umask(0077);
    process_harden(parent ? (int)strtol(parent, NULL, 10) : 0);
    log_setup("courier", LOG_LEVEL_INFO);
    window_inherit();
    struct config *c = NULL;
    struct problems problems = { 0 };
    struct err err = { .text = "" };
    enum status st = config_load_in_force(path, &c, &problems);
    problems_done(&problems);
    if (st != OK)
        return command_failed("the config '%s' has problems; try `countersign check -c %s`", path, path);
    log_set_level(c->log_level);
    st = confine_courier(c, &err);
    if (st == OK)
        st = courier_run(c, path, &err);
    config_unref(c);
    return st == OK ? EXIT_DONE : command_failed("the courier ends: %s", err.text);
}
