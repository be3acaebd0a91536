/* Places that lines go to: files that move, disks and pipes that are full, syslogs that come and go. */
#include "proxy/base/sink.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "proxy/base/file.h"

static char folder[64], path[100], other[100];

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/cs-sink-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/audit.jsonl", folder);
    snprintf(other, sizeof other, "%s/audit.jsonl.1", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    unlink(other);
    return rmdir(folder);
}

static bool put(struct sink *s, const char *text)
{
    struct sink_line line = { slice_str(text), "test.event", SINK_NOTICE, 1790000000123 };
    return sink_put(s, &line);
}

static void expect_file(const char *name, const char *want)
{
    unsigned char *text = NULL;
    size_t len = 0;
    assert_int_equal(file_read(name, 1 << 20, false, &text, &len, NULL), OK);
    assert_string_equal((char *)text, want);
    free(text);
}

static void test_file(void **state)
{
    struct sink *s = NULL;
    struct err err;
    (void)state;
    assert_int_equal(sink_file(path, &s, &err), OK);
    assert_true(put(s, "one"));
    assert_int_equal(rename(path, other), 0);
    assert_true(put(s, "two"));       /* still there: nobody has looked yet */
    sink_tick(s);
    assert_true(put(s, "three"));
    expect_file(other, "one\ntwo\n");
    expect_file(path, "three\n");
    unlink(path);
    sink_reopen(s);
    assert_true(put(s, "four"));
    expect_file(path, "four\n");
    sink_free(s);
    assert_int_equal(sink_file("/nowhere/at/all", &s, &err), IO_FAILED);
}

static void test_link_refused(void **state)
{
    struct sink *s = NULL;
    struct err err;
    (void)state;
    assert_int_equal(symlink(other, path), 0);
    assert_int_equal(sink_file(path, &s, &err), IO_FAILED);
}

static void test_full_disk(void **state)
{
    struct sink *s = NULL;
    struct err err;
    (void)state;
    if (sink_file("/dev/full", &s, &err) != OK)
        return;
    assert_false(put(s, "one"));
    assert_non_null(strstr(sink_why(s), "space"));
    sink_free(s);
}

/* A file with a reader that does not read: what was taken in part is finished before the next line. */
static void test_pipe(void **state)
{
    struct sink *s = NULL;
    struct err err;
    char text[1001], got[1 << 17];
    size_t taken = 0, have = 0;
    (void)state;
    assert_int_equal(mkfifo(path, 0600), 0);
    int reader = open(path, O_RDONLY | O_NONBLOCK);
    assert_int_equal(sink_file(path, &s, &err), OK);
    memset(text, 'x', 1000);
    text[1000] = 0;
    while (taken < 1000 && put(s, text))
        taken++;
    assert_true(taken > 10 && taken < 1000);
    assert_false(put(s, text));
    for (ssize_t n; (n = read(reader, got + have, sizeof got - have)) > 0;)
        have += (size_t)n;
    sink_tick(s);
    assert_true(put(s, "last"));
    for (ssize_t n; (n = read(reader, got + have, sizeof got - have)) > 0;)
        have += (size_t)n;
    assert_int_equal(have, taken * 1001 + 5);
    assert_memory_equal(got + have - 6, "\nlast\n", 6);
    close(reader);
    sink_free(s);
}

static void test_unix_syslog(void **state)
{
    struct sink *s = NULL;
    struct err err;
    char where[120], got[5000];
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    (void)state;
    snprintf(where, sizeof where, "unix:%s", path);
    snprintf(to.sun_path, sizeof to.sun_path, "%s", path);
    assert_int_equal(sink_syslog(where, &s, &err), OK);
    assert_false(put(s, "nobody listens"));
    sink_free(s);
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(sink_syslog(where, &s, &err), OK);
    assert_true(put(s, "{\"a\":1}"));
    ssize_t n = recv(fd, got, sizeof got - 1, 0);
    assert_true(n > 0);
    got[n] = 0;
    /* <facility 10 * 8 + notice 5>version time host app pid msgid sd message */
    assert_memory_equal(got, "<85>1 2026-09-21T14:13:20.123Z ", 31);
    assert_non_null(strstr(got, " countersign "));
    assert_non_null(strstr(got, " test.event - {\"a\":1}"));
    size_t taken = 0;
    while (taken < 100000 && put(s, "again"))   /* nobody reads */
        taken++;
    assert_true(taken < 100000);
    close(fd);
    sink_free(s);
}

static void test_tcp_syslog(void **state)
{
    struct sink *s = NULL;
    struct err err;
    char where[64], got[5000];
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;
    (void)state;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(listener, 1), 0);
    getsockname(listener, (struct sockaddr *)&at, &len);
    snprintf(where, sizeof where, "tcp:127.0.0.1:%u", ntohs(at.sin_port));
    assert_int_equal(sink_syslog(where, &s, &err), OK);
    int peer = accept(listener, NULL, NULL);
    bool taken = false;
    for (int i = 0; i < 1000 && !taken; i++) {
        taken = put(s, "one");
        usleep(1000);
    }
    assert_true(taken);
    assert_true(put(s, "two"));
    size_t have = 0;
    while (have < sizeof got - 1 && (have < 3 || memcmp(got + have - 3, "two", 3) != 0)) {
        ssize_t n = recv(peer, got + have, sizeof got - 1 - have, 0);
        assert_true(n > 0);
        have += (size_t)n;
    }
    got[have] = 0;
    size_t counted = (size_t)strtol(got, NULL, 10);   /* RFC 6587: the length, a space, the message */
    char *first = strchr(got, ' ') + 1;
    assert_memory_equal(first + counted - 3, "one", 3);
    assert_memory_equal(first, "<85>1 ", 6);
    close(peer);
    close(listener);
    for (int i = 0; i < 1000 && taken; i++) {
        taken = put(s, "lost");
        usleep(1000);
    }
    assert_false(taken);
    sink_free(s);
}

static void test_forms(void **state)
{
    static const struct { const char *text; bool good; } rows[] = {
        { "local", true }, { "unix:/run/systemd/journal/syslog", true }, { "udp:127.0.0.1:514", true }, { "tcp:[::1]:6514", true }, { "udp:[2001:db8::7]:514", true },
        { "", false }, { "locals", false }, { "unix:relative", false }, { "udp:localhost:514", false }, { "udp:127.0.0.1", false }, { "udp:127.0.0.1:0", false },
        { "udp:127.0.0.1:65536", false }, { "udp:127.0.0.1:+514", false }, { "tcp:::1:514", false }, { "tls:127.0.0.1:6514", false }, { "udp:[127.0.0.1]:514", false },
        { "udp:127.0.0.1:", false }, { "udp::514", false }, { "udp:[]:514", false },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (sink_syslog_form(rows[i].text) != rows[i].good)
            fail_msg("'%s' is %s", rows[i].text, rows[i].good ? "refused" : "taken");
}

static void test_long(void **state)
{
    struct sink *s = NULL;
    struct err err;
    (void)state;
    char *text = malloc(SINK_LINE_MAX + 1);
    assert_int_equal(sink_file(path, &s, &err), OK);
    memset(text, 'x', SINK_LINE_MAX);
    text[SINK_LINE_MAX] = 0;
    assert_false(put(s, text));
    text[SINK_LINE_MAX - 1] = 0;
    assert_true(put(s, text));
    free(text);
    sink_free(s);
}

#define PLACE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = { PLACE(test_file), PLACE(test_link_refused), PLACE(test_full_disk), PLACE(test_pipe), PLACE(test_unix_syslog), PLACE(test_tcp_syslog),
                                        PLACE(test_forms), PLACE(test_long) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
