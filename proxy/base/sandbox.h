/* sandbox: what a process may still do once foreign code runs in it. Entered once, before the process has a second thread, and never left.
 *
 * Two fences of the kernel, each for what the other can't see:
 *   files    Landlock: an allow-list of folders and files. Everything else cannot be opened, made, renamed or removed (looking whether a path exists stays possible). From ABI 4 on
 *            also TCP (bind never, connect to all ports, one or none), from ABI 6 on signals and abstract sockets to processes outside. A confined process can't trace one outside.
 *   calls    seccomp: a list of refused calls (sandbox_calls.c), in families. Deliberately no allow-list: libc, OpenSSL and sanitizers differ between Debian 12 and 13 in which calls they try,
 *            and a call that is missing there shows as an odd fault at a customer's, years later. What a list of refusals leaves open by nature, calls that don't exist yet, is closed all the
 *            same: numbers beyond those known here do not exist for a confined process (ENOSYS).
 * With both go all capabilities (where root started it) and no_new_privs; process_harden() keeps debuggers of the same user away (dumpable).
 *
 * How a call is refused: what no part of us ever makes (execve, ptrace, mount …) is a sign of foreign code: it is said in the log (sandbox.refused, with the call's name), and the process ends
 * by SIGSYS; the parent starts another one. A quiet EPERM would leave the intruder time to try the next thing. What libraries try and can do without gets ENOSYS (clone3, io_uring) or
 * EAFNOSUPPORT (sockets of other families), and nobody hears of it.
 *
 * Costs: a call whose refusal does not hang on arguments is answered by the kernel's own bitmap, without running the filter; those of a request's path are such. */
#ifndef COUNTERSIGN_SANDBOX_H
#define COUNTERSIGN_SANDBOX_H

#include "proxy/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sandbox_mode {                   /* setting `sandbox` */
    SANDBOX_WHEN_POSSIBLE,            /* what the kernel has; what is missing is said */
    SANDBOX_ON,                       /* all of it, or the process does not start */
    SANDBOX_OFF,
};

enum sandbox_right {
    SANDBOX_READ = 1,                 /* files, and what is in a folder */
    SANDBOX_WRITE = 2,                /* to files that are there */
    SANDBOX_MAKE = 4,                 /* make, rename and remove files, folders and sockets in a folder */
};

enum { SANDBOX_RULES_MAX = 40 };

struct sandbox {                      /* all zero: no file, no network, no program */
    bool all_files;                   /* Landlock is left out: for the parent, whose children have other rights than it */
    bool programs;                    /* may start programs, and signal them */
    bool network;                     /* sockets of IPv4 and IPv6, to connect from; none listens anew */
    uint16_t only_tcp_port;           /* with network: TCP to this port alone (ABI 4); 0: to all */
    size_t count;
    struct sandbox_rule {
        char *path;
        unsigned rights;
    } rules[SANDBOX_RULES_MAX];
    bool no_memory;                   /* or too many rules: sandbox_enter fails */
};

/* A folder with all below it, or a file. One that is not there is passed over when the sandbox is entered. NULL: no memory. */
void sandbox_allow(struct sandbox *s, const char *path, unsigned rights);
/* What every program needs of a system: libraries, time zones, names of hosts, the system's authorities. with_etc: all of /etc, since resolv.conf may be replaced by another file; else
 * only the files by name. */
void sandbox_allow_system(struct sandbox *s, bool with_etc);

/* Enter, and say so in the log: sandbox.entered, sandbox.partial, sandbox.off. Frees the rules. OK: as far as the mode asks for it; else nothing more should be done in this process. */
MUST_CHECK enum status sandbox_enter(struct sandbox *s, enum sandbox_mode mode, struct err *err);

/* What the kernel offers: Landlock's ABI (0: none), and whether there are filters of calls. */
struct sandbox_support {
    int landlock;
    bool calls;
};
void sandbox_probe(struct sandbox_support *out);
/* How this process is confined since sandbox_enter. */
struct sandbox_support sandbox_state(void);
/* What is missing of a whole sandbox, in words; NULL: nothing. */
const char *sandbox_missing(const struct sandbox_support *s);

/* sandbox_calls.c: the filter, for this thread and those it starts. */
MUST_CHECK enum status sandbox_filter(const struct sandbox *s, struct err *err);

#endif
