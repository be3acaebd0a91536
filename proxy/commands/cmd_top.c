/* top: who is at which tool right now, for auditors and operators; from here an operator can stop one of them. */
#include "proxy/base/clock.h"
#include "proxy/commands/client.h"
#include "proxy/commands/commands.h"
#include "proxy/commands/term.h"
#include "proxy/commands/top_view.h"
#include "proxy/commands/words.h"
#include "proxy/commands/wrong_usage.h"

#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { COUNTED_AFTER_MS = 300, SAID_MAX = 256, REASON_MAX = 200 };

static volatile sig_atomic_t interrupted;

struct screen {
    struct client *client;
    struct termios before;
    json_t *answer;                   /* the last one */
    size_t selected;
    char said[SAID_MAX];              /* the line at the bottom */
    bool over;
};

static void on_signal(int signal)
{
    (void)signal;
    interrupted = 1;
}

static void sleep_ms(unsigned ms)
{
    struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };
    nanosleep(&t, NULL);
}

static enum status look(struct client *client, json_t **out, struct err *err)
{
    return client_get(client, "/api/v1/activity", out, err);
}

/* The first look makes the gateway count what is under way; the second sees it. */
static int once(struct client *client, bool json)
{
    struct err err = { 0 };
    json_t *answer = NULL;
    enum status st = look(client, &answer, &err);
    if (st == OK) {
        json_decref(answer);
        sleep_ms(COUNTED_AFTER_MS);
        st = look(client, &answer, &err);
    }
    if (st != OK)
        return client_failed(client, &err);
    if (json)
        return command_json(answer);
    top_print(stdout, answer, &(struct top_view){ .selected = SIZE_MAX, .line_end = "\n" });
    json_decref(answer);
    return EXIT_DONE;
}

/* ---- the screen ---- */

static void raw(const struct screen *s, bool on)
{
    struct termios t = s->before;
    if (on) {
        t.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        t.c_cc[VMIN] = 0;
        t.c_cc[VTIME] = 0;
    }
    tcsetattr(STDIN_FILENO, TCSANOW, &t);
}

static void draw(struct screen *s)
{
    struct winsize size = { .ws_row = 24, .ws_col = 80 };
    (void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    size_t count = json_array_size(json_array_member(s->answer, "sessions"));
    if (s->selected >= count)
        s->selected = count > 0 ? count - 1 : 0;
    fputs("\033[H", stdout);
    top_print(stdout, s->answer, &(struct top_view){ .columns = size.ws_col, .rows = size.ws_row, .selected = s->selected, .line_end = "\033[K\n" });
    printf("\033[J\033[%u;1H", size.ws_row);
    term_str(stdout, s->said[0] ? s->said : "up, down: choose   l: lock this session   p: lock this person   q: quit");
    fputs("\033[K", stdout);
    fflush(stdout);
}

static void say(struct screen *s, const char *what, const char *detail)
{
    snprintf(s->said, sizeof s->said, "%.96s%.150s", what, detail);
}

/* The old table stays on the screen, with the reason below. */
static void refresh(struct screen *s)
{
    struct err err = { 0 };
    json_t *answer = NULL;
    if (look(s->client, &answer, &err) == OK) {
        json_decref(s->answer);
        s->answer = answer;
        return;
    }
    const json_t *problem = client_problem(s->client);
    say(s, "not refreshed: ", problem ? json_text(problem, "detail") : err.text);
    s->over = problem != NULL && s->answer == NULL;
}

/* Who is chosen stays chosen while the table moves below the hand. */
static void ask_lock(struct screen *s, const char *kind, const char *member)
{
    char value[SAID_MAX], reason[REASON_MAX] = "";
    struct err err = { 0 };
    const json_t *row = json_array_get(json_array_member(s->answer, "sessions"), s->selected);
    if (row == NULL)
        return;
    snprintf(value, sizeof value, "%s", json_text(row, member));
    printf("\r\033[KLock %s ", kind);
    term_str(stdout, value);
    fputs("? The reason, for the log (nothing: don't lock): ", stdout);
    fflush(stdout);
    raw(s, false);
    bool given = fgets(reason, sizeof reason, stdin) != NULL && reason[strcspn(reason, "\n")] == '\n' && reason[0] != '\n';
    reason[strcspn(reason, "\n")] = 0;
    raw(s, true);
    if (!given) {
        clearerr(stdin);
        say(s, "nothing was locked", "");
        return;
    }
    json_t *body = json_pack("{s:s, s:s, s:s}", "kind", kind, "value", value, "reason", reason), *answer = NULL;
    enum status st = body ? client_send(s->client, "POST", "/api/v1/locks", body, &answer, &err) : fail(&err, BAD_INPUT, "the reason must be UTF-8 text");
    const json_t *problem = st == OK ? NULL : client_problem(s->client);
    say(s, st == OK ? "locked; what was running is ended. Lift it with: countersign unlock " : "not locked: ",
        st == OK ? json_text(json_object_get(answer, "lock"), "id") : problem ? json_text(problem, "detail") : err.text);
    json_decref(answer);
    json_decref(body);
}

static void on_key(struct screen *s, const char *keys, size_t n)
{
    bool up = n >= 3 && memcmp(keys, "\033[A", 3) == 0, down = n >= 3 && memcmp(keys, "\033[B", 3) == 0;
    s->said[0] = 0;
    if (keys[0] == 'q' || keys[0] == 4)
        s->over = true;
    else if ((up || keys[0] == 'k') && s->selected > 0)
        s->selected--;
    else if (down || keys[0] == 'j')
        s->selected++;
    else if (keys[0] == 'l')
        ask_lock(s, "grant", "session");
    else if (keys[0] == 'p')
        ask_lock(s, "person", "person");
}

static void run_screen(struct screen *s, int64_t every_ms)
{
    int64_t next = 0;
    while (!s->over && !interrupted) {
        if (clock_mono_ms() >= next) {
            refresh(s);
            next = clock_mono_ms() + every_ms;
        }
        if (s->answer != NULL)
            draw(s);
        struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
        int64_t wait = next - clock_mono_ms();
        if (poll(&p, 1, wait > 0 ? (int)wait : 0) <= 0)
            continue;
        char keys[16];
        ssize_t n = read(STDIN_FILENO, keys, sizeof keys);
        if (n <= 0)
            s->over = true;
        else
            on_key(s, keys, (size_t)n);
    }
}

static int watch(struct client *client, int64_t every_ms)
{
    struct screen s = { .client = client };
    struct err err = { 0 };
    if (look(client, &s.answer, &err) != OK)
        return client_failed(client, &err);   /* before the screen is taken: the whole reason can be read */
    if (tcgetattr(STDIN_FILENO, &s.before) != 0) {
        json_decref(s.answer);
        return command_failed("the terminal can't be used; try --once");
    }
    struct sigaction act = { .sa_handler = on_signal };
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
    sigaction(SIGHUP, &act, NULL);
    raw(&s, true);
    fputs("\033[?1049h\033[?25l", stdout);
    run_screen(&s, every_ms);
    fputs("\033[?25h\033[?1049l", stdout);
    fflush(stdout);
    raw(&s, false);
    json_decref(s.answer);
    return EXIT_DONE;
}

int cmd_top(int argc, char **argv)
{
    struct profile p = { 0 };
    const char *every = "1s";
    bool json = false, only_once = false;
    const struct option_spec options[] = {
        { "once", '1', NULL, "print the table once; also so when the output is no terminal", NULL, &only_once, false },
        { "every", 0, "TIME", "refresh so often, at least 1s (default 1s)", &every, NULL, false },
        PROFILE_OPTIONS(p),
        { 0 },
    };
    const struct usage usage = { "countersign top [--once] [--every TIME]",
        "Live sessions: who is at which tool, doing what, since when, how much. For auditors and operators; --json prints them once. Keys: up and down choose a\nsession, l locks it, p locks its person "
        "(operators), q quits." PROFILE_HELP, options, 0, 0, &json };
    struct client *client = NULL;
    struct err err = { 0 };
    char **args;
    size_t count;
    int code;
    int64_t every_s;
    if (!options_parse(argc, argv, &usage, &args, &count, &code))
        return code;
    if (!words_read_duration(every, &every_s) || every_s < 1 || every_s > 3600)
        return wrong_usage(&usage, "--every '%s' is not a time from 1s to 1h", every);
    only_once |= json || !isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO);
    if (client_open(&p, &client, &err) != OK)
        code = client_failed(client, &err);
    else
        code = only_once ? once(client, json) : watch(client, every_s * 1000);
    client_free(client);
    profile_done(&p);
    return code;
}
