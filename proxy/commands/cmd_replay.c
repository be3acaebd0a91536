/* replay: a recorded session in the terminal, with its timing, each page as the text the employee saw; or, with --serve, in a browser. */
#include "proxy/commands/body_text.h"
#include "proxy/commands/auditor.h"
#include "proxy/commands/commands.h"
#include "proxy/commands/evidence.h"
#include "proxy/commands/nodes.h"
#include "proxy/commands/replay_browser.h"
#include "proxy/commands/session_view.h"
#include "proxy/commands/term.h"
#include "proxy/commands/words.h"
#include "proxy/commands/wrong_usage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PAGE_SHOWN = 256 * 1024, FORM_SHOWN = 16 * 1024, GAP_MAX_MS = 10 * 1000 };

struct replay {
    struct profile profile;
    const char *player, *file, *log, *speed_text, *from_text, *port_text, *folders[OPTION_TIMES_MAX];
    double speed;                     /* 0: no waiting */
    size_t from;                      /* number of the first exchange */
    uint16_t port;                    /* of --serve; 0: any */
    bool serve, json;
};

/* Wait as long as the person did, divided by the speed. A long silence is shortened, and that is said. */
static void wait_for(const struct replay *r, int64_t gap_ms)
{
    char length[WORDS_MAX];
    if (r->speed <= 0 || gap_ms <= 0)
        return;
    if (gap_ms > GAP_MAX_MS) {
        printf("\n      … %s of silence, shortened …\n", words_duration(gap_ms / 1000, length));
        gap_ms = GAP_MAX_MS;
    }
    fflush(stdout);
    double ms = (double)gap_ms / r->speed;
    struct timespec t = { .tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms - 1000.0 * (double)(time_t)(ms / 1000)) * 1000000L };
    nanosleep(&t, NULL);
}

static void play_one(size_t number, const struct archive_exchange *x, const json_t *leaves)
{
    char type[256], coding[64];
    putchar('\n');
    view_exchange_line(stdout, number, x, leaves);
    if (x->request_body.len > 0) {
        puts("      sent:");
        body_text_print(stdout, head_field(x->request_head, "content-type", type, sizeof type),
                        head_field(x->request_head, "content-encoding", coding, sizeof coding), x->request_body, FORM_SHOWN, "      > ");
    }
    head_field(x->response_head, "location", type, sizeof type);
    if (type[0] != 0) {
        fputs("      sent on to ", stdout);
        term_str(stdout, type);
        putchar('\n');
    }
    body_page_print(stdout, head_field(x->response_head, "content-type", type, sizeof type),
                    head_field(x->response_head, "content-encoding", coding, sizeof coding), x->response_body, PAGE_SHOWN, "      | ");
    view_messages(stdout, x);
    view_exchange_end(stdout, x);
}

static int play(const struct replay *r, const struct evidence *e, const struct archive *a)
{
    const json_t *leaves = evidence_leaves(e);
    int64_t before_ms = 0;
    if (r->from > archive_count(a) && archive_count(a) > 0)
        return command_failed("the session has %zu exchanges, there is no number %zu", archive_count(a), r->from);
    puts("As the gateway saw it: pages are shown as plain text; passwords, cookies and tokens were removed before anything was kept.");
    view_decisions(stdout, leaves);
    nodes_print(stdout, e);
    for (size_t i = r->from - 1; i < archive_count(a); i++) {
        const struct archive_exchange *x = archive_at(a, i);
        wait_for(r, before_ms != 0 ? x->started_ms - before_ms : 0);
        before_ms = x->started_ms;
        play_one(i + 1, x, leaves);
    }
    fflush(stdout);
    view_bad_segments(stdout, a);
    printf("\nEnd of the recording: %zu exchange%s. Replay does not check it. Next: countersign verify\n", archive_count(a), archive_count(a) == 1 ? "" : "s");
    return archive_bad_segments(a) > 0 ? EXIT_REFUSED : EXIT_DONE;
}

/* For programs: each exchange with its page's text would be show's business; here the timing and the order. */
static int play_json(const struct replay *r, const struct evidence *e, const struct archive *a)
{
    json_t *list = json_array();
    for (size_t i = r->from - 1; i < archive_count(a); i++)
        json_array_append_new(list, view_exchange_json(i + 1, archive_at(a, i), evidence_leaves(e)));
    return command_json(json_pack("{s:s, s:o, s:O*}", "session_id", e->session, "exchanges", list, "nodes", json_object_get(e->info, "nodes")));
}

static int replay_run(struct replay *r, const char *session)
{
    struct err err = { 0 };
    struct client *client = NULL;
    struct evidence e = { 0 };
    struct archive *a = NULL;
    struct age_keys *keys = NULL;
    struct nodes nodes = { .count = 0 };
    bool several = r->folders[0] != NULL;
    enum status st = OK;
    if (several) {
        st = nodes_open(r->folders, NULL, &nodes, &err);
    } else if (r->file == NULL) {
        st = client_open(&r->profile, &client, &err);
        if (st == OK)
            st = evidence_fetch(client, session, "replay", &e, &err);
    } else {
        st = evidence_load(r->file, r->log, NULL, session, &e, &err);
    }
    if (st == OK)
        st = auditor_keys(&r->profile, &keys, &err);
    if (st == OK)
        st = several ? nodes_read(&nodes, session, keys, NODES_WHOLE, &e, &a, &err) : archive_open(e.recording, keys, &a, &err);
    if (st == OK && r->serve)
        st = replay_in_browser(&e, a, r->port, r->player, r->json, &err);
    int code = st != OK ? client_failed(client, &err) : r->serve ? EXIT_DONE : r->json ? play_json(r, &e, a) : play(r, &e, a);
    archive_free(a);
    age_keys_free(keys);
    evidence_done(&e);
    nodes_done(&nodes);
    client_free(client);
    return code;
}

static const char *check_port(struct replay *r)
{
    char *end = NULL;
    if (r->port_text == NULL)
        return NULL;
    unsigned long n = strtoul(r->port_text, &end, 10);
    if (r->port_text[0] < '1' || r->port_text[0] > '9' || *end != 0 || n < 1024 || n > 65534)
        return "--port is between 1024 and 65534; the next one is used too";
    r->port = (uint16_t)n;
    return r->serve ? NULL : "--port goes with --serve";
}

static const char *check(struct replay *r, size_t count)
{
    char *end = NULL;
    if (r->file == NULL && count == 0)
        return "a session or --file is missing";
    if (r->folders[0] != NULL && (r->file != NULL || r->log != NULL))
        return "--recordings has logs of its own: it doesn't go with --file and --log";
    if (r->file == NULL && r->log != NULL)
        return "--log goes with --file";
    r->speed = strtod(r->speed_text, &end);
    if (r->speed_text[0] < '0' || r->speed_text[0] > '9' || *end != 0 || !(r->speed <= 1000) || (r->speed > 0 && r->speed < 0.01))
        return "--speed is 0 (no waiting), or between 0.01 and 1000";
    errno = 0;
    unsigned long n = strtoul(r->from_text, &end, 10);
    if (r->from_text[0] < '1' || r->from_text[0] > '9' || *end != 0 || errno != 0)
        return "--from needs the number of an exchange, from 1";
    r->from = n;
    if (r->serve && (n != 1 || strcmp(r->speed_text, "1") != 0))
        return "--speed and --from are for the terminal; with --serve the page in the browser has its own";
    if (r->player != NULL && !r->serve)
        return "--player goes with --serve";
    return check_port(r);
}

int cmd_replay(int argc, char **argv)
{
    struct replay r = { .speed_text = "1", .from_text = "1" };
    const struct option_spec options[] = {
        { "speed", 0, "N", "how many times faster; 0: no waiting (default 1)", &r.speed_text, NULL, false },
        { "from", 0, "N", "begin with this exchange", &r.from_text, NULL, false },
        { "serve", 0, NULL, "open it in a browser on this machine, page by page, until Ctrl-C", NULL, &r.serve, false },
        { "port", 0, "N", "with --serve: listen on 127.0.0.1 at N and N+1 (else at any two)", &r.port_text, NULL, false },
        { "player", 0, "FOLDER", "with --serve: where replay.js and replay.css of the DOM recorder's player are (else found where they were installed)", &r.player, NULL, false },
        { "file", 0, "TAR", "a recording kept earlier, instead of asking the gateway", &r.file, NULL, false },
        { "log", 0, "JSON", "with --file: the log kept with it", &r.log, NULL, false },
        NODES_OPTION(r.folders),
        AUDITOR_OPTIONS(r.profile),
        { 0 },
    };
    const struct usage usage = { "countersign replay SESSION [--speed N] [--from N] | replay SESSION --serve [--port N] | replay --file recording.tar [--log log.json] | replay SESSION --recordings DIR --recordings DIR …",
        "Play a recorded session: every exchange with its timing, each page as text, as the person saw it; or, with --serve, in a browser. Looking is written in the log." PROFILE_HELP, options, 0, 1,
        &r.json };
    char **args;
    size_t count;
    int code;
    if (!options_parse(argc, argv, &usage, &args, &count, &code))
        return code;
    const char *wrong = check(&r, count);
    if (wrong != NULL)
        return wrong_usage(&usage, "%s", wrong);
    if (count == 1 && !id_is_plain(args[0]))
        return command_failed("no session has the id '%s'. Next: countersign sessions", args[0]);
    code = replay_run(&r, count == 1 ? args[0] : NULL);
    profile_done(&r.profile);
    return code;
}
