/* Each row enters a sandbox in a child of its own and tries one thing there. */
#include "proxy/base/sandbox.h"

#include "proxy/base/file.h"
#include "proxy/base/window.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <setjmp.h>
#include <cmocka.h>

static char folder[64];               /* may/ is allowed, keys/ is not; seen/ may be read */
static uint16_t port;                 /* somebody listens there */
static pid_t other;                   /* a process of the same user, outside */

enum { AS_PROXY, AS_AUTHZ, AS_RUN };
enum { FINE = 0, SAID_NO = 1, BY_SIGSYS = 1000 };

static const char *in(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int done(bool good)
{
    return good ? FINE : errno == EACCES || errno == EPERM || errno == EAFNOSUPPORT || errno == ENOSYS || errno == EXDEV ? SAID_NO : 100 + errno % 100;
}

static int open_at(const char *name, int flags)
{
    return done(open(in(name), flags | O_CLOEXEC, 0600) >= 0);
}

static int read_key(void) { return open_at("keys/grant.pem", O_RDONLY); }
static int write_key(void) { return open_at("keys/grant.pem", O_WRONLY); }
static int cut_key(void) { return done(truncate(in("keys/grant.pem"), 0) == 0); }
static int list_keys(void) { return open_at("keys", O_RDONLY | O_DIRECTORY); }
static int through_dots(void) { return open_at("may/../keys/grant.pem", O_RDONLY); }
static int through_link(void) { return open_at("may/link", O_RDONLY); }
static int make_outside(void) { return open_at("keys/new", O_WRONLY | O_CREAT); }
static int remove_outside(void) { return done(unlink(in("keys/grant.pem")) == 0); }
static int open_key_to_all(void) { return done(chmod(in("keys/grant.pem"), 0666) == 0); }
static int open_key_to_all_at(void) { return done(fchmodat(AT_FDCWD, in("keys/grant.pem"), 0666, 0) == 0); }
static int give_key_away(void) { return done(chown(in("keys/grant.pem"), getuid(), getgid()) == 0); }
static int mark_key(void) { return done(setxattr(in("keys/grant.pem"), "user.x", "x", 1, 0) == 0); }
static int write_seen(void) { return open_at("seen/log", O_WRONLY); }
static int read_seen(void) { return open_at("seen/log", O_RDONLY); }
static int make_inside(void) { return open_at("may/new", O_RDWR | O_CREAT | O_TRUNC); }
static int read_etc(void) { return done(open("/etc/hosts", O_RDONLY) >= 0); }

static int write_file_inside(void)
{
    struct err err;
    return file_write(in("may/whole"), SLICE("x"), 0600, &err) == OK && unlink(in("may/whole")) == 0 ? FINE : SAID_NO;
}

static int move_key_in(void)
{
    char from[256];
    snprintf(from, sizeof from, "%s", in("keys/grant.pem"));
    return done(rename(from, in("may/stolen")) == 0);
}

static int link_key_in(void)
{
    char from[256];
    snprintf(from, sizeof from, "%s", in("keys/grant.pem"));
    return done(link(from, in("may/stolen")) == 0);
}

static int run_shell(void)
{
    execl("/bin/sh", "sh", "-c", "exit 0", (char *)NULL);
    return SAID_NO;
}

static int run_shell_by_descriptor(void)
{
    char *none[] = { NULL };
    int fd = open("/usr/bin/env", O_RDONLY | O_CLOEXEC);
    syscall(SYS_execveat, fd, "", none, none, 0x1000);
    return SAID_NO;
}

static int make_child(void) { return done(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) >= 0); }
static int trace_other(void) { return done(ptrace(PTRACE_ATTACH, other, NULL, NULL) == 0); }
static int read_other(void) { return done(syscall(SYS_process_vm_readv, other, NULL, 0L, NULL, 0L, 0L) == 0); }
static int kill_other(void) { return done(kill(other, SIGTERM) == 0); }
static int kill_thread_of_other(void) { return done(syscall(SYS_tgkill, other, other, SIGTERM) == 0); }
static int queue_signal(void) { return done(sigqueue(other, SIGTERM, (union sigval){ 0 }) == 0); }
static int slow_other(void) { return done(setpriority(PRIO_PROCESS, (id_t)other, 19) == 0); }
static int slow_oneself(void) { return done(setpriority(PRIO_PROCESS, 0, 19) == 0); }

/* The kernel sends what a descriptor's owner was told to get, without a call that says kill. */
static int signal_by_descriptor(int command, long arg)
{
    int pair[2];
    return done(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0 && fcntl(pair[0], command, arg) == 0);
}
static int own_by_fcntl(void) { return signal_by_descriptor(F_SETOWN, other); }
static int own_by_group(void) { return signal_by_descriptor(F_SETOWN, -getpgrp()); }
static int own_by_ioctl(void)
{
    int pair[2], pid = other;
    return done(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0 && ioctl(pair[0], 0x8901 /* FIOSETOWN */, &pid) == 0);
}
static int choose_signal(void) { return signal_by_descriptor(10, SIGKILL); }   /* F_SETSIG */
static int plain_fcntl(void) { return signal_by_descriptor(F_SETFL, O_NONBLOCK); }
static int new_user_namespace(void) { return done(unshare(CLONE_NEWUSER) == 0); }
static int clone_namespace(void) { return done(syscall(SYS_clone, (long)CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0) >= 0); }
static int clone_3(void) { return done(syscall(SYS_clone3, NULL, 0L) >= 0); }
static int mount_something(void) { return done(syscall(SYS_mount, "x", "/", "tmpfs", 0, NULL) == 0); }
static int load_bpf(void) { return done(syscall(SYS_bpf, 0, NULL, 0) >= 0); }
static int uring(void) { return done(syscall(SYS_io_uring_setup, 1, NULL) >= 0); }
static int newest_call(void) { return done(syscall(505) >= 0); }
static int keyring(void) { return done(syscall(SYS_keyctl, 0, -3, 0, 0, 0) >= 0); }
static int limits_of_other(void) { struct rlimit r; return done(prlimit(other, RLIMIT_NOFILE, NULL, &r) == 0); }
static int netlink(void) { return done(socket(AF_NETLINK, SOCK_RAW, 0) >= 0); }
static int packet(void) { return done(socket(AF_PACKET, SOCK_RAW, 0) >= 0); }
static int vsock(void) { return done(socket(40, SOCK_STREAM, 0) >= 0); }
static int unix_socket(void) { return done(socket(AF_UNIX, SOCK_SEQPACKET, 0) >= 0); }
static int udp_socket(void) { return done(socket(AF_INET, SOCK_DGRAM, 0) >= 0); }
static int tcp6_socket(void) { return done(socket(AF_INET6, SOCK_STREAM, 0) >= 0); }
static int own_limits(void) { struct rlimit r; return done(getrlimit(RLIMIT_NOFILE, &r) == 0); }
static int ask_whether_alive(void) { return kill(getpid(), 0) == 0 && (kill(other, 0) == 0 || errno == EPERM) ? FINE : SAID_NO; }

static struct sockaddr_in loopback(uint16_t to)
{
    return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(to), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static int connect_out(void)
{
    struct sockaddr_in sa = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return done(fd >= 0 && connect(fd, (struct sockaddr *)&sa, sizeof sa) == 0);
}

static int listen_anew(void)
{
    struct sockaddr_in sa = loopback(0);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return done(fd >= 0 && bind(fd, (struct sockaddr *)&sa, sizeof sa) == 0);
}

static int writable_code(void)
{
    return done(mmap(NULL, 4096, PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
}

static int data_made_code(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return done(mprotect(p, 4096, PROT_READ | PROT_EXEC) == 0);
}

static void *nothing(void *arg)
{
    return arg;
}

static int thread(void)
{
    pthread_t t;
    int r = pthread_create(&t, NULL, nothing, NULL);
    return r == 0 && pthread_join(t, NULL) == 0 ? FINE : SAID_NO;
}

static int start_program(void)
{
    int status = -1;
    pid_t child = fork();
    if (child == 0)
        execl("/bin/true", "true", (char *)NULL);
    return child > 0 && waitpid(child, &status, 0) == child && status == 0 ? FINE : SAID_NO;
}

static const struct row {
    const char *name;
    int who, (*attempt)(void), want;
    bool not_sanitized;               /* the leak checker needs this call, so such a build leaves it open */
} rows[] = {
    { "a key is not read", AS_PROXY, read_key, SAID_NO, false },
    { "a key is not written", AS_PROXY, write_key, SAID_NO, false },
    { "a key is not cut", AS_PROXY, cut_key, BY_SIGSYS, false },
    { "keys are not listed", AS_PROXY, list_keys, SAID_NO, false },
    { "not through dots", AS_PROXY, through_dots, SAID_NO, false },
    { "not through a symbolic link", AS_PROXY, through_link, SAID_NO, false },
    { "nothing is made outside", AS_PROXY, make_outside, SAID_NO, false },
    { "nothing is removed outside", AS_PROXY, remove_outside, SAID_NO, false },
    { "a key is not moved to where it may be read", AS_PROXY, move_key_in, SAID_NO, false },
    { "a key is not linked to where it may be read", AS_PROXY, link_key_in, SAID_NO, false },
    { "a key is not opened to all", AS_PROXY, open_key_to_all, BY_SIGSYS, false },
    { "nor by a folder's descriptor", AS_PROXY, open_key_to_all_at, BY_SIGSYS, false },
    { "a key is not given away", AS_PROXY, give_key_away, BY_SIGSYS, false },
    { "a key gets no attribute", AS_PROXY, mark_key, BY_SIGSYS, false },
    { "what is for reading is not written", AS_PROXY, write_seen, SAID_NO, false },
    { "what is for reading is read", AS_PROXY, read_seen, FINE, false },
    { "inside files are made", AS_PROXY, make_inside, FINE, false },
    { "inside files are written whole and removed", AS_PROXY, write_file_inside, FINE, false },
    { "names of hosts are read", AS_PROXY, read_etc, FINE, false },
    { "no shell", AS_PROXY, run_shell, BY_SIGSYS, false },
    { "no shell by descriptor", AS_PROXY, run_shell_by_descriptor, BY_SIGSYS, false },
    { "no child", AS_PROXY, make_child, BY_SIGSYS, true },
    { "no tracing", AS_PROXY, trace_other, BY_SIGSYS, true },
    { "no reading of another's memory", AS_PROXY, read_other, BY_SIGSYS, true },
    { "no signal to another", AS_PROXY, kill_other, BY_SIGSYS, false },
    { "no signal to a thread of another", AS_PROXY, kill_thread_of_other, BY_SIGSYS, false },
    { "no queued signal", AS_PROXY, queue_signal, BY_SIGSYS, false },
    { "no signal by a descriptor's owner", AS_PROXY, own_by_fcntl, BY_SIGSYS, false },
    { "nor to a group", AS_PROXY, own_by_group, BY_SIGSYS, false },
    { "nor by ioctl", AS_PROXY, own_by_ioctl, BY_SIGSYS, false },
    { "nor another one than SIGIO", AS_PROXY, choose_signal, BY_SIGSYS, false },
    { "descriptors are told not to wait", AS_PROXY, plain_fcntl, FINE, false },
    { "another is not slowed down", AS_PROXY, slow_other, BY_SIGSYS, false },
    { "oneself is", AS_PROXY, slow_oneself, FINE, false },
    { "authz: no signal by a descriptor's owner", AS_AUTHZ, own_by_fcntl, BY_SIGSYS, false },
    { "asking whether one lives", AS_PROXY, ask_whether_alive, FINE, false },
    { "no new namespace", AS_PROXY, new_user_namespace, BY_SIGSYS, false },
    { "no clone into a namespace", AS_PROXY, clone_namespace, BY_SIGSYS, false },
    { "clone3 is not there", AS_PROXY, clone_3, SAID_NO, false },
    { "no mount", AS_PROXY, mount_something, BY_SIGSYS, false },
    { "no bpf", AS_PROXY, load_bpf, BY_SIGSYS, false },
    { "no keyring", AS_PROXY, keyring, BY_SIGSYS, false },
    { "io_uring is not there", AS_PROXY, uring, SAID_NO, false },
    { "a call of a later kernel is not there", AS_PROXY, newest_call, SAID_NO, false },
    { "no limits of another", AS_PROXY, limits_of_other, BY_SIGSYS, false },
    { "own limits", AS_PROXY, own_limits, FINE, false },
    { "no netlink", AS_PROXY, netlink, SAID_NO, false },
    { "no packets", AS_PROXY, packet, SAID_NO, false },
    { "no sockets of virtual machines", AS_PROXY, vsock, SAID_NO, false },
    { "Unix sockets", AS_PROXY, unix_socket, FINE, false },
    { "UDP, for names", AS_PROXY, udp_socket, FINE, false },
    { "connecting to a tool", AS_PROXY, connect_out, FINE, false },
    { "not listening anew", AS_PROXY, listen_anew, SAID_NO, false },
    { "no memory to write and run", AS_PROXY, writable_code, BY_SIGSYS, false },
    { "no data that becomes code", AS_PROXY, data_made_code, BY_SIGSYS, false },
    { "threads", AS_PROXY, thread, FINE, false },
    { "authz: no UDP", AS_AUTHZ, udp_socket, SAID_NO, false },
    { "authz: no TCP", AS_AUTHZ, connect_out, SAID_NO, false },
    { "authz: no TCP over IPv6", AS_AUTHZ, tcp6_socket, SAID_NO, false },
    { "authz: no netlink", AS_AUTHZ, netlink, SAID_NO, false },
    { "authz: Unix sockets", AS_AUTHZ, unix_socket, FINE, false },
    { "authz: no shell", AS_AUTHZ, run_shell, BY_SIGSYS, false },
    { "run: programs", AS_RUN, start_program, FINE, false },
    { "run: no mount", AS_RUN, mount_something, BY_SIGSYS, false },
    { "run: no clone into a namespace", AS_RUN, clone_namespace, BY_SIGSYS, false },
};

static int enter(int who)
{
    struct sandbox s = { .network = who != AS_AUTHZ, .programs = who == AS_RUN, .all_files = who == AS_RUN };
    struct err err;
    sandbox_allow(&s, in("may"), SANDBOX_READ | SANDBOX_WRITE | SANDBOX_MAKE);
    sandbox_allow(&s, in("seen"), SANDBOX_READ);
    sandbox_allow(&s, in("not there"), SANDBOX_READ);
    sandbox_allow_system(&s, true);
    return sandbox_enter(&s, SANDBOX_ON, &err) == OK;
}

static int outcome(const struct row *r)
{
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        _exit(enter(r->who) ? r->attempt() : 99);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) == SIGSYS ? BY_SIGSYS : 2000 + WTERMSIG(status) : WEXITSTATUS(status);
}

static bool sanitized(void)
{
#if defined(__SANITIZE_ADDRESS__)
    return true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
    return true;
#endif
#endif
    return false;
}

static void each_attempt(void **state)
{
    struct sandbox_support there;
    (void)state;
    sandbox_probe(&there);
    if (there.landlock < 4 || !there.calls)
        skip();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int got = rows[i].not_sanitized && sanitized() ? rows[i].want : outcome(&rows[i]);
        if (got != rows[i].want)
            print_error("%s: %d, not %d\n", rows[i].name, got, rows[i].want);
        assert_int_equal(got, rows[i].want);
    }
}

static void off_is_off(void **state)
{
    struct sandbox s = { 0 };
    struct err err;
    (void)state;
    sandbox_allow(&s, "/", SANDBOX_READ);
    assert_int_equal(sandbox_enter(&s, SANDBOX_OFF, &err), OK);
    assert_int_equal(sandbox_state().landlock, 0);
    assert_false(sandbox_state().calls);
    assert_non_null(sandbox_missing(&(struct sandbox_support){ 0, false }));
    assert_non_null(sandbox_missing(&(struct sandbox_support){ 0, true }));
    assert_non_null(sandbox_missing(&(struct sandbox_support){ 3, false }));
    assert_null(sandbox_missing(&(struct sandbox_support){ 1, true }));
}

/* A container whose profile forbids what the sandbox is made of. */
static void forbid(const char *const *names, size_t count)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    for (size_t i = 0; i < count; i++)
        seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), seccomp_syscall_resolve_name(names[i]), 0);
    if (seccomp_load(ctx) != 0)
        _exit(98);
    seccomp_release(ctx);
}

static const struct lacking {
    const char *name, *forbidden[3];
    bool files, calls, starts_when_on;
} lacking[] = {
    { "all there", { NULL }, true, true, true },
    { "no Landlock", { "landlock_create_ruleset" }, false, true, false },
    { "Landlock that can't be entered", { "landlock_restrict_self" }, false, true, false },
    { "Landlock without rules", { "landlock_add_rule" }, false, true, false },
    { "capabilities that can't be given up", { "capset" }, true, true, false },
};

static int entered_with(const struct lacking *l, enum sandbox_mode mode)
{
    struct sandbox s = { .network = true };
    struct err err = { .text = "" };
    size_t n = 0;
    while (n < 3 && l->forbidden[n] != NULL)
        n++;
    forbid(l->forbidden, n);
    sandbox_allow_system(&s, true);
    if (sandbox_enter(&s, mode, &err) != OK)
        return err.text[0] != 0 ? 1 : 2;   /* it must say why */
    return 10 + (sandbox_state().landlock > 0 ? 1 : 0) + (sandbox_state().calls ? 2 : 0);
}

static int outcome_with(const struct lacking *l, enum sandbox_mode mode)
{
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        _exit(entered_with(l, mode));
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* `when-possible` starts whatever is missing, and knows what it has; `on` says no, and why. */
static void where_fences_are_missing(void **state)
{
    struct sandbox_support there;
    (void)state;
    sandbox_probe(&there);
    if (there.landlock == 0 || !there.calls)
        skip();
    for (size_t i = 0; i < sizeof lacking / sizeof *lacking; i++) {
        int as_it_is = outcome_with(&lacking[i], SANDBOX_WHEN_POSSIBLE), on = outcome_with(&lacking[i], SANDBOX_ON);
        if (as_it_is != 10 + lacking[i].files + 2 * lacking[i].calls || on != (lacking[i].starts_when_on ? 13 : 1))
            fail_msg("%s: %d, %d", lacking[i].name, as_it_is, on);
    }
}

static int give_one(void *arg, const char *path, bool append, const char **why)
{
    (void)append;
    *why = "not named";
    return strcmp(path, arg) == 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
}

/* A confined child reads one file by the window, and no other. */
static void the_window(void **state)
{
    int pair[2], status = -1;
    char named[256];
    struct sandbox_support there;
    struct err err;
    (void)state;
    sandbox_probe(&there);
    if (there.landlock == 0)
        skip();
    snprintf(named, sizeof named, "%s", in("keys/grant.pem"));
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        unsigned char *bytes = NULL;
        size_t len = 0;
        close(pair[0]);
        window_use(pair[1]);
        bool good = enter(AS_PROXY) && file_read(named, 100, true, &bytes, &len, &err) == OK && len == 6;
        good = good && file_read(in("keys/other.pem"), 100, true, &bytes, &len, &err) == IO_FAILED && strstr(err.text, "not named") != NULL;
        _exit(good ? 0 : 1);
    }
    close(pair[1]);
    assert_int_equal(window_answer(pair[0], give_one, named, &err), OK);
    assert_int_equal(window_answer(pair[0], give_one, named, &err), OK);
    assert_int_equal(window_answer(pair[0], give_one, named, &err), CLOSED);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    close(pair[0]);
}

static void put(const char *name)
{
    struct err err;
    assert_int_equal(file_write(in(name), SLICE("secret"), 0600, &err), OK);
}

static int set_up(void **state)
{
    static const char *const folders[] = { "may", "seen", "keys" };
    char to[256];
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/countersign-sandbox-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    for (size_t i = 0; i < 3; i++)
        mkdir(in(folders[i]), 0700);
    put("keys/grant.pem");
    put("keys/other.pem");
    put("seen/log");
    snprintf(to, sizeof to, "%s", in("keys/grant.pem"));
    if (symlink(to, in("may/link")) != 0)
        return -1;
    struct sockaddr_in sa = loopback(0);
    socklen_t len = sizeof sa;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(fd, (struct sockaddr *)&sa, sizeof sa) != 0 || listen(fd, 8) != 0 || getsockname(fd, (struct sockaddr *)&sa, &len) != 0)
        return -1;
    port = ntohs(sa.sin_port);
    other = fork();
    if (other == 0) {
        pause();
        _exit(0);
    }
    return other > 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    static const char *const names[] = { "may/link", "may/new", "seen/log", "keys/grant.pem", "keys/other.pem" };
    static const char *const folders[] = { "may", "seen", "keys", "." };
    (void)state;
    kill(other, SIGKILL);
    waitpid(other, NULL, 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(in(names[i]));
    for (size_t i = 0; i < 3; i++)
        rmdir(in(folders[i]));
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(off_is_off), cmocka_unit_test(each_attempt), cmocka_unit_test(where_fences_are_missing), cmocka_unit_test(the_window) };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
