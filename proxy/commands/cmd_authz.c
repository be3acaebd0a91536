/* countersign authz: the process that decides and signs. Started by `countersign run`. */
#include "proxy/commands/commands.h"

#include "authz/approvals/loop.h"
#include "config/config.h"
#include "proxy/base/lane.h"
#include "proxy/base/log.h"
#include "proxy/commands/confine.h"
#include "proxy/commands/process.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define LEAKS_ARE_COUNTED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LEAKS_ARE_COUNTED 1
#endif
#endif

/* This process holds every key that decides: no core file, no debugger, no files for others. */
static void harden(void)
{
    process_no_dumps();
#ifndef LEAKS_ARE_COUNTED            /* the leak checker is a debugger of its own process */
    prctl(PR_SET_DUMPABLE, 0);
#endif
    umask(0077);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN);          /* Ctrl-C reaches the whole group; the parent drains the proxy first, then says SIGTERM */
}

static struct config *load(const char *path)
{
    struct config *c = NULL;
    struct problems problems = { 0 };
    enum status st = config_load_text(path, &c, &problems);
    for (size_t i = 0; i < problems.count; i++)
        fprintf(stderr, "%s\n", problems.text[i]);
    problems_done(&problems);
    return st == OK ? c : NULL;
}

int cmd_authz(int argc, char **argv)
{
    const char *path = NULL, *parent = getenv("COUNTERSIGN_PARENT");
    char **positionals;
    size_t count;
    int code;
    const struct option_spec options[] = {
        { "config", 'c', "FILE", "the gateway's config", &path, NULL, true },
        { 0 },
    };
    const struct usage usage = { "countersign authz -c FILE", "The process that decides and signs. `countersign run` starts it.", options, 0, 0,
                                 NULL };
    if (!options_parse(argc, argv, &usage, &positionals, &count, &code))
        return code;
    harden();
    log_setup("authz", LOG_LEVEL_INFO);
    struct config *c = load(path);
    if (c == NULL)
        return command_failed("the config '%s' has problems; correct them, then `countersign check -c %s`", path, path);
    struct service *s = NULL;
    struct err err = { .text = "" };
    log_set_level(c->log_level);
    enum status st = confine_authz(c, &err);
    if (st == OK)
        st = service_open(c, &s, &err);
    config_unref(c);
    if (st != OK) {
        log_error("authz.not_started", "status", status_name(st), "error", err.text);
        return command_failed("authz does not start: %s", err.text);
    }
    service_lane(s, lane_inherited());
    st = loop_run(s, path, parent ? (pid_t)strtol(parent, NULL, 10) : getppid(), &err);
    service_close(s);
    return st == OK ? EXIT_DONE : command_failed("authz ends: %s", err.text);
}
