#include "proxy/commands/process.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

void process_harden(int parent_pid)
{
    struct rlimit none = { 0, 0 };
    signal(SIGPIPE, SIG_IGN);
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
#ifndef __SANITIZE_ADDRESS__           /* LeakSanitizer has to look into its own process */
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
    if (parent_pid > 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
        if (getppid() != parent_pid)  /* it died before we asked */
            raise(SIGTERM);
    }
}

enum status process_become(const char *user, struct err *err)
{
    if (user == NULL)
        return OK;
    struct passwd *pw = getpwnam(user);
    if (pw == NULL)
        return fail(err, BAD_CONFIG, "user '%s' does not exist; create it, or leave the setting out", user);
    if (geteuid() == pw->pw_uid)
        return OK;
    if (geteuid() != 0)
        return fail(err, BAD_CONFIG, "only root can become user '%s'", user);
    if (initgroups(user, pw->pw_gid) != 0 || setgid(pw->pw_gid) != 0 || setuid(pw->pw_uid) != 0 || setuid(0) == 0)
        return fail(err, IO_FAILED, "cannot become user '%s': %s", user, strerror(errno));
    return OK;
}
