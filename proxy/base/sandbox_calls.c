/* The system calls that a confined process does not make, in families. What is not here is allowed; see sandbox.h for why. */
#include "proxy/base/sandbox.h"

#include "proxy/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

/* Nobody's business here, the parent's neither. A name that this libseccomp or this architecture does not know is passed over. */
static const char *const never[] = {
    /* other file systems, other roots, files without a path */
    "mount", "umount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "swapon", "swapoff",
    "quotactl", "quotactl_fd", "open_by_handle_at", "fanotify_init", "fanotify_mark",
    /* the kernel itself, and its clock */
    "init_module", "finit_module", "create_module", "delete_module", "kexec_load", "kexec_file_load", "bpf", "perf_event_open", "syslog", "reboot", "acct", "iopl", "ioperm", "uselib",
    "nfsservctl", "lookup_dcookie", "vhangup", "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "stime", "sethostname", "setdomainname",
    "_sysctl", "sysfs", "ustat", "bdflush", "pciconfig_read", "pciconfig_write",
    /* the kernel's keyrings: those of a user are shared by all of its processes */
    "add_key", "request_key", "keyctl",
    /* other processes: their memory, descriptors, namespaces */
    "process_madvise", "process_mrelease", "pidfd_getfd", "kcmp", "setns", "unshare",
    /* what exploits of the kernel are built of, and nothing here needs */
    "userfaultfd", "vmsplice", "remap_file_pages", "modify_ldt", "vm86", "vm86old", "move_pages", "migrate_pages", "mbind", "set_mempolicy", "get_mempolicy",
    "msgget", "msgsnd", "msgrcv", "msgctl", "semget", "semop", "semtimedop", "semctl", "shmget", "shmat", "shmctl", "shmdt",
    "mq_open", "mq_unlink", "mq_notify", "mq_getsetattr", "mq_timedsend", "mq_timedreceive",
    /* rights */
    "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid", "setfsgid", "setgroups",
#ifndef SANITIZED                      /* the leak checker stops its own threads as a debugger does */
    "ptrace", "process_vm_readv", "process_vm_writev", "personality",
#endif
};
/* Libraries try these, and have another way. What they do is not seen by the filter: clone3's flags are in memory, io_uring makes calls of its own. */
static const char *const absent[] = { "clone3", "io_uring_setup", "io_uring_enter", "io_uring_register", "memfd_secret" };
/* A process that neither starts programs nor signals others, and has no capability left to change. */
static const char *const programs[] = { "execve", "execveat", "fork", "vfork", "tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal", "pidfd_open", "capset" };

/* What Landlock does not look at: who may open a file, by its path. An owned proxy could open the keys to other users, or to nobody. (By descriptor it stays possible: what is open is ours.)
 * truncate: Landlock's from ABI 3 on only. */
static const char *const by_path[] = {
    "chmod", "fchmodat", "chown", "chown32", "lchown", "lchown32", "fchownat", "setxattr", "lsetxattr", "removexattr", "lremovexattr", "utime", "utimes", "futimesat", "truncate", "truncate64",
    "sched_setscheduler", "sched_setparam", "sched_setattr", "ioprio_set",   /* and other processes' share of the machine */
};
/* A descriptor can be told whom to send which signal to, on the sender's behalf; Landlock stops it from ABI 6 on only. */
static const unsigned owner_commands[] = { F_SETOWN, 15 /* F_SETOWN_EX */, 10 /* F_SETSIG */ }, owner_ioctls[] = { 0x8901 /* FIOSETOWN */, 0x8902 /* SIOCSPGRP */ };

enum { FIRST_UNKNOWN = 451, LAST_UNKNOWN = 511 };   /* calls are numbered alike everywhere from 424 on; 450 is the last that Linux 5.17 and libseccomp 2.5.4 know */

/* libc holds no lock around a call that is refused, so more than the usual may be done in this handler. */
static void on_refused(int signum, siginfo_t *info, void *context)
{
    (void)context;
    char number[16], *name = seccomp_syscall_resolve_num_arch(info->si_arch, info->si_syscall);
    snprintf(number, sizeof number, "%d", info->si_syscall);
    log_error("sandbox.refused", "call", name ? name : number, "why", "this process never makes that call; foreign code may run in it", "next",
              "it ends and is started anew; keep this log, look for the cause, and if an own library turns out to be it, report it");
    free(name);
    signal(signum, SIG_DFL);
    raise(signum);                    /* comes when this handler returns */
}

struct filter {
    scmp_filter_ctx ctx;
    int result;                       /* of the first rule that was not taken */
};

static void rule(struct filter *f, uint32_t action, const char *name, unsigned n, const struct scmp_arg_cmp *args)
{
    int number = seccomp_syscall_resolve_name(name);
    if (number < 0 || f->result != 0)
        return;
    int r = seccomp_rule_add_array(f->ctx, action, number, n, args);
    if (r != 0 && r != -EDOM && r != -EEXIST)
        f->result = r;
}

static void rules(struct filter *f, uint32_t action, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        rule(f, action, names[i], 0, NULL);
}

static void rule_if(struct filter *f, uint32_t action, const char *name, struct scmp_arg_cmp condition)
{
    rule(f, action, name, 1, &condition);
}

static void new_namespaces(struct filter *f)
{
    static const unsigned long flags[] = { CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET };
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        rule_if(f, SCMP_ACT_TRAP, "clone", SCMP_A0(SCMP_CMP_MASKED_EQ, flags[i], flags[i]));
}

/* Only AF_UNIX, AF_INET, AF_INET6. A number with more than its low 32 bits set is greater than all of them. */
static void other_sockets(struct filter *f, bool network)
{
    for (unsigned family = AF_UNSPEC; family < AF_INET6; family++)
        if (family != AF_UNIX && (family != AF_INET || !network))
            rule_if(f, SCMP_ACT_ERRNO(EAFNOSUPPORT), "socket", SCMP_A0(SCMP_CMP_EQ, family, 0));
    rule_if(f, SCMP_ACT_ERRNO(EAFNOSUPPORT), "socket", network ? SCMP_A0(SCMP_CMP_GT, AF_INET6, 0) : SCMP_A0(SCMP_CMP_GE, AF_INET6, 0));
}

/* No memory becomes code that was data; libraries are mapped as code from their file. */
static void made_code(struct filter *f)
{
    rule_if(f, SCMP_ACT_TRAP, "mmap", SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_WRITE | PROT_EXEC, PROT_WRITE | PROT_EXEC));
    rule_if(f, SCMP_ACT_TRAP, "mprotect", SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC));
    rule_if(f, SCMP_ACT_TRAP, "pkey_mprotect", SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC));
}

static void signals_by_descriptor(struct filter *f)
{
    for (size_t i = 0; i < sizeof owner_commands / sizeof *owner_commands; i++)
        rule_if(f, SCMP_ACT_TRAP, "fcntl", SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, owner_commands[i]));
    for (size_t i = 0; i < sizeof owner_ioctls / sizeof *owner_ioctls; i++)
        rule_if(f, SCMP_ACT_TRAP, "ioctl", SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, owner_ioctls[i]));
}

/* Nothing is started, nobody is signalled, nobody's limits are set: only oneself. */
static void alone(struct filter *f)
{
    rules(f, SCMP_ACT_TRAP, programs, sizeof programs / sizeof *programs);
    rules(f, SCMP_ACT_TRAP, by_path, sizeof by_path / sizeof *by_path);
    signals_by_descriptor(f);
#ifndef SANITIZED
    rule_if(f, SCMP_ACT_TRAP, "clone", SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
#endif
    rule_if(f, SCMP_ACT_TRAP, "kill", SCMP_A1(SCMP_CMP_NE, 0, 0));   /* 0 asks whether it lives: a recorder about a forerunner */
    rule_if(f, SCMP_ACT_TRAP, "tgkill", SCMP_A0(SCMP_CMP_NE, (scmp_datum_t)getpid(), 0));
    rule_if(f, SCMP_ACT_TRAP, "prlimit64", SCMP_A0(SCMP_CMP_NE, 0, 0));
    rule_if(f, SCMP_ACT_TRAP, "setpriority", SCMP_A1(SCMP_CMP_NE, 0, 0));
    rule_if(f, SCMP_ACT_TRAP, "ioctl", SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, TIOCSTI));   /* typing into somebody's terminal */
    made_code(f);
}

static void attribute(struct filter *f, enum scmp_filter_attr what, uint32_t value, bool needed)
{
    int r = seccomp_attr_set(f->ctx, what, value);
    if (r != 0 && needed && f->result == 0)
        f->result = r;
}

enum status sandbox_filter(const struct sandbox *s, struct err *err)
{
    struct filter f = { .ctx = seccomp_init(SCMP_ACT_ALLOW) };
    struct sigaction told = { .sa_sigaction = on_refused, .sa_flags = SA_SIGINFO };
    if (f.ctx == NULL)
        return fail(err, NO_MEMORY, "seccomp");
    attribute(&f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS, true);
    attribute(&f, SCMP_FLTATR_CTL_OPTIMIZE, 2, false);   /* a tree: some calls look at arguments, and run it */
    attribute(&f, SCMP_FLTATR_CTL_SSB, 1, false);        /* kernels before 5.16 slow down all code of a filtered process; what that guards against is foreign scripts, of which there are none */
    rules(&f, SCMP_ACT_TRAP, never, sizeof never / sizeof *never);
    rules(&f, SCMP_ACT_ERRNO(ENOSYS), absent, sizeof absent / sizeof *absent);
    for (int number = FIRST_UNKNOWN; number <= LAST_UNKNOWN && f.result == 0; number++)
        f.result = seccomp_rule_add(f.ctx, SCMP_ACT_ERRNO(ENOSYS), number, 0);
    new_namespaces(&f);
    other_sockets(&f, s->network);
    if (!s->programs)
        alone(&f);
    sigaction(SIGSYS, &told, NULL);
    if (f.result == 0)
        f.result = seccomp_load(f.ctx);
    seccomp_release(f.ctx);
    return f.result == 0 ? OK : fail(err, IO_FAILED, "seccomp: %s", strerror(-f.result));
}
