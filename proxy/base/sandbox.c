#include "proxy/base/sandbox.h"

#include "proxy/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif

/* linux/landlock.h of Debian 12 ends with ABI 2, so what is newer stands here; what the kernel does not know is masked out. */
enum {
    FS_EXECUTE = 1 << 0, FS_WRITE_FILE = 1 << 1, FS_READ_FILE = 1 << 2, FS_READ_DIR = 1 << 3, FS_REMOVE_DIR = 1 << 4, FS_REMOVE_FILE = 1 << 5, FS_MAKE_CHAR = 1 << 6,
    FS_MAKE_DIR = 1 << 7, FS_MAKE_REG = 1 << 8, FS_MAKE_SOCK = 1 << 9, FS_MAKE_FIFO = 1 << 10, FS_MAKE_BLOCK = 1 << 11, FS_MAKE_SYM = 1 << 12,
    FS_REFER = 1 << 13,               /* ABI 2 */
    FS_TRUNCATE = 1 << 14,            /* ABI 3 */
    FS_IOCTL_DEV = 1 << 15,           /* ABI 5 */
    NET_BIND_TCP = 1 << 0, NET_CONNECT_TCP = 1 << 1,   /* ABI 4 */
    SCOPE_ABSTRACT_UNIX = 1 << 0, SCOPE_SIGNAL = 1 << 1,   /* ABI 6 */
    RULE_PATH = 1, RULE_NET_PORT = 2, GET_VERSION = 1,
    SYS_CREATE = 444, SYS_ADD = 445, SYS_RESTRICT = 446,   /* the same numbers on every architecture */
};
struct ruleset_attr {
    uint64_t fs, net, scoped;
};
struct path_attr {
    uint64_t allowed;
    int32_t parent_fd;
} __attribute__((packed));
struct port_attr {
    uint64_t allowed, port;
};

static struct sandbox_support entered;

void sandbox_allow(struct sandbox *s, const char *path, unsigned rights)
{
    char *copy = path ? strdup(path) : NULL;
    if (copy == NULL || s->count == SANDBOX_RULES_MAX) {
        s->no_memory = true;
        free(copy);
        return;
    }
    s->rules[s->count++] = (struct sandbox_rule){ copy, rights };
}

/* Often a link to a file that its owner replaces: the folder that it is in. */
static void allow_folder_behind(struct sandbox *s, const char *link)
{
    char real[PATH_MAX];
    if (realpath(link, real) == NULL || strncmp(real, "/etc/", 5) == 0)
        return;
    char *slash = strrchr(real, '/');
    if (slash != NULL && slash != real)
        *slash = 0;
    sandbox_allow(s, real, SANDBOX_READ);
}

void sandbox_allow_system(struct sandbox *s, bool with_etc)
{
    static const char *const always[] = { "/usr", "/lib", "/lib64", "/dev/urandom", "/dev/random" };
    static const char *const of_etc[] = { "/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf", "/etc/services", "/etc/localtime",
                                          "/etc/ld.so.cache", "/etc/ssl/openssl.cnf", "/etc/ssl/certs" };
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        sandbox_allow(s, always[i], SANDBOX_READ);
    for (size_t i = 0; i < sizeof of_etc / sizeof *of_etc && !with_etc; i++)
        sandbox_allow(s, of_etc[i], SANDBOX_READ);
    if (with_etc)
        sandbox_allow(s, "/etc", SANDBOX_READ);
    allow_folder_behind(s, "/etc/resolv.conf");
    sandbox_allow(s, "/dev/null", SANDBOX_READ | SANDBOX_WRITE);
    static const char *const named[] = { "SSL_CERT_FILE", "SSL_CERT_DIR" };   /* OpenSSL's own places may be elsewhere */
    for (size_t i = 0; i < 2; i++)
        if (getenv(named[i]) != NULL)
            sandbox_allow(s, getenv(named[i]), SANDBOX_READ);
#ifdef SANITIZED                       /* its reports name what stands in /proc/self/maps */
    sandbox_allow(s, "/proc", SANDBOX_READ);
#endif
}

/* ---- Landlock ---- */

static uint64_t known_fs(int abi)
{
    uint64_t known = FS_REFER - 1;
    known |= abi >= 2 ? FS_REFER : 0;
    known |= abi >= 3 ? FS_TRUNCATE : 0;
    return known | (abi >= 5 ? FS_IOCTL_DEV : 0);
}

static uint64_t fs_of(unsigned rights, bool folder)
{
    uint64_t fs = 0;
    if (rights & SANDBOX_READ)
        fs |= FS_READ_FILE | FS_READ_DIR;
    if (rights & SANDBOX_WRITE)
        fs |= FS_WRITE_FILE | FS_TRUNCATE;
    if (rights & SANDBOX_MAKE)
        fs |= FS_REMOVE_DIR | FS_REMOVE_FILE | FS_MAKE_DIR | FS_MAKE_REG | FS_MAKE_SOCK | FS_REFER;
    return folder ? fs : fs & (FS_READ_FILE | FS_WRITE_FILE | FS_TRUNCATE);
}

static enum status add_rule(int ruleset, int abi, const struct sandbox_rule *r, struct err *err)
{
    struct stat sb;
    int fd = open(r->path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT || errno == EACCES || errno == ENOTDIR ? OK : fail(err, IO_FAILED, "sandbox: '%s': %s", r->path, strerror(errno));
    struct path_attr a = { .parent_fd = fd };
    if (fstat(fd, &sb) == 0)
        a.allowed = fs_of(r->rights, S_ISDIR(sb.st_mode)) & known_fs(abi);
    enum status st = a.allowed == 0 || syscall(SYS_ADD, ruleset, RULE_PATH, &a, 0) == 0 ? OK : fail(err, IO_FAILED, "sandbox: '%s': %s", r->path, strerror(errno));
    close(fd);
    return st;
}

static enum status restrict_files(const struct sandbox *s, int abi, struct err *err)
{
    struct ruleset_attr attr = { .fs = known_fs(abi), .scoped = abi >= 6 ? SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL : 0 };
    if (abi >= 4)
        attr.net = NET_BIND_TCP | (!s->network || s->only_tcp_port != 0 ? NET_CONNECT_TCP : 0);
    int fd = (int)syscall(SYS_CREATE, &attr, abi >= 6 ? 24 : abi >= 4 ? 16 : 8, 0);
    if (fd < 0)
        return fail(err, IO_FAILED, "Landlock: %s", strerror(errno));
    enum status st = OK;
    for (size_t i = 0; i < s->count && st == OK; i++)
        st = add_rule(fd, abi, &s->rules[i], err);
    struct port_attr port = { NET_CONNECT_TCP, s->only_tcp_port };
    if (st == OK && abi >= 4 && s->only_tcp_port != 0 && syscall(SYS_ADD, fd, RULE_NET_PORT, &port, 0) != 0)
        st = fail(err, IO_FAILED, "Landlock: port %u: %s", (unsigned)s->only_tcp_port, strerror(errno));
    if (st == OK && syscall(SYS_RESTRICT, fd, 0) != 0)
        st = fail(err, IO_FAILED, "Landlock: %s", strerror(errno));
    close(fd);
    return st;
}

/* ---- entering ---- */

/* Started by root without the setting `user`, a process would keep root's. Raw, since libcap would be one more library here. */
static enum status drop_capabilities(struct err *err)
{
    struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { { 0 } };
    return syscall(SYS_capset, &head, none) == 0 ? OK : fail(err, IO_FAILED, "capabilities: %s", strerror(errno));
}

void sandbox_probe(struct sandbox_support *out)
{
    long abi = syscall(SYS_CREATE, NULL, 0, GET_VERSION);
    *out = (struct sandbox_support){ .landlock = abi > 0 ? (int)abi : 0, .calls = seccomp_api_get() >= 1 };
}

struct sandbox_support sandbox_state(void)
{
    return entered;
}

const char *sandbox_missing(const struct sandbox_support *s)
{
    if (s->landlock == 0)
        return s->calls ? "there is no Landlock (a kernel before 5.13, without it in its `lsm` list, or a container that forbids it), so which files a process may open is not restricted"
                        : "there is neither Landlock nor seccomp, so no process is confined";
    return s->calls ? NULL : "there is no seccomp, so which system calls a process may make is not restricted";
}

static void done(struct sandbox *s)
{
    for (size_t i = 0; i < s->count; i++)
        free(s->rules[i].path);
    s->count = 0;
}

/* One fence that could not be put up: the end with "on", else the process goes on with what there is, and says it. */
static bool fence(enum status st, enum sandbox_mode mode, struct err *why, struct err *err)
{
    if (st == OK)
        return true;
    if (mode == SANDBOX_ON)
        *err = *why;
    else
        log_warn("sandbox.failed", "why", why->text, "next", "this process is less confined than it could be; set `sandbox` to \"on\" to have it refuse to start instead");
    return false;
}

static enum status enter(const struct sandbox *s, const struct sandbox_support *there, enum sandbox_mode mode, struct err *err)
{
    struct err why = { .text = "" };
    enum status st = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? OK : fail(&why, IO_FAILED, "no_new_privs: %s", strerror(errno));
    if (!fence(st, mode, &why, err) && mode == SANDBOX_ON)
        return st;
    st = s->programs ? OK : drop_capabilities(&why);
    if (!fence(st, mode, &why, err) && mode == SANDBOX_ON)
        return st;
    st = !s->all_files && there->landlock > 0 ? restrict_files(s, there->landlock, &why) : OK;
    if (fence(st, mode, &why, err))
        entered.landlock = there->landlock;
    else if (mode == SANDBOX_ON)
        return st;
    st = there->calls ? sandbox_filter(s, &why) : OK;
    entered.calls = fence(st, mode, &why, err) && there->calls;
    return mode == SANDBOX_ON ? st : OK;
}

enum status sandbox_enter(struct sandbox *s, enum sandbox_mode mode, struct err *err)
{
    struct sandbox_support there;
    char abi[12];
    enum status st = s->no_memory ? fail(err, NO_MEMORY, "sandbox") : OK;
    sandbox_probe(&there);
    const char *missing = sandbox_missing(&there);
    if (st == OK && mode == SANDBOX_OFF) {
        done(s);
        log_warn("sandbox.off", "why", "`sandbox` is \"off\"", "next", "foreign code in a process could open every file of this user, the keys too: set it to \"on\"");
        return OK;
    }
    if (st == OK && mode == SANDBOX_ON && missing != NULL)
        st = fail(err, REFUSED, "%s; the setting `sandbox` is \"on\": use another kernel or container, or set it to \"when-possible\"", missing);
    if (st == OK)
        st = enter(s, &there, mode, err);
    done(s);
    if (st != OK)
        return st;
    snprintf(abi, sizeof abi, "%d", entered.landlock);
    missing = sandbox_missing(&entered);
    if (missing != NULL)
        log_warn("sandbox.partial", "why", missing, "landlock", abi, "calls", entered.calls ? "filtered" : "all", "next", "run it where Landlock and seccomp are to be had");
    else
        log_info("sandbox.entered", "landlock", s->all_files ? NULL : abi, "calls", "filtered");
    return OK;
}
