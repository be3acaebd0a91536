#include "proxy/commands/process.h"

#include "proxy/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* Three fences, since each alone has a gate: the limit does not hold for a core_pattern that is a pipe, dumpable not for root's gcore, and marking mappings not for what a library maps later. The
 * filter of core(5) says what any dump of this process holds: no memory of any kind. It has to be written before the process is undumpable, which gives its /proc files to root. */
void process_no_dumps(void)
{
    struct rlimit none = { 0, 0 };
    setrlimit(RLIMIT_CORE, &none);
    int fd = open("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (write(fd, "0", 1) != 1)
            log_warn("process.core-filter", "why", strerror(errno));
        close(fd);
    }
}

void process_harden(int parent_pid)
{
    struct rlimit files;
    signal(SIGPIPE, SIG_IGN);
    process_no_dumps();
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {   /* limits.connections is the limit that counts */
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
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
