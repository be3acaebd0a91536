/* show: the exchanges of a recorded session, who said yes to what, and one exchange in full. */
#include "proxy/base/clock.h"
#include "proxy/commands/body_text.h"
#include "proxy/commands/auditor.h"
#include "proxy/commands/commands.h"
#include "proxy/commands/evidence.h"
#include "proxy/commands/item.h"
#include "proxy/commands/exchange_filter.h"
#include "proxy/commands/listing_fetch.h"
#include "proxy/commands/nodes.h"
#include "proxy/commands/session_view.h"
#include "proxy/commands/term.h"
#include "proxy/commands/words.h"
#include "proxy/commands/wrong_usage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BODY_SHOWN = 1024 * 1024 };

struct show {
    struct profile profile;
    struct exchange_filter filter;
    const char *file, *log, *exchange, *raw, *output, *folders[OPTION_TIMES_MAX];
    size_t number;                    /* 0: the list */
    bool json;
};

static void print_facts(const struct show *show, const struct evidence *e, const struct archive *a)
{
    const json_t *leaves = evidence_leaves(e), *s = json_object_get(e->info, "session");
    const char *reason = json_text(s, "reason")[0] ? json_text(s, "reason") : view_reason(leaves);
    printf("Session ");
    term_str(stdout, e->session[0] ? e->session : "(from a file)");
    if (s != NULL) {
        fputs(": ", stdout);
        term_str(stdout, json_text(s, "person"));
        fputs(" at ", stdout);
        term_str(stdout, json_text(s, "tool"));
        if (basis_words(json_text(s, "basis"))[0] != 0)
            printf(", %s: without a second person", basis_words(json_text(s, "basis")));
    }
    if (reason[0] != 0) {
        fputs("\nReason: ", stdout);
        term_str(stdout, reason);
    }
    if (json_text(s, "issuer")[0] != 0) {
        fputs("\nBasis: external, granted by the issuer ", stdout);
        term_str(stdout, json_text(s, "issuer"));
    }
    if (json_array_size(leaves) > 0)
        puts("\n\nWhat was decided:");
    else
        putchar('\n');
    view_decisions(stdout, leaves);
    nodes_print(stdout, e);
    printf(exchange_filter_any(&show->filter) ? "\nOf %zu exchange%s those that fit:\n" : "\n%zu exchange%s:\n", archive_count(a), archive_count(a) == 1 ? "" : "s");
}

/* Where an index was to be had, the exchanges come from it; what none covers is read itself. */
static void print_source(const struct archive *a)
{
    struct archive_source from = archive_source(a);
    if (from.unindexed > 0)
        printf("\nNo index covers %zu of the segments (what is newest, or was written before there were indexes, or when a recorder died): they were read themselves.\n", from.unindexed);
}

static int show_list(const struct show *show, const struct evidence *e, const struct archive *a)
{
    bool json = show->json;
    const json_t *leaves = evidence_leaves(e);
    json_t *list = json_array();
    if (!json)
        print_facts(show, e, a);
    for (size_t i = 0; i < archive_count(a); i++)
        if (!exchange_filter_fits(&show->filter, archive_at(a, i)))
            continue;
        else if (json)
            json_array_append_new(list, view_exchange_json(i + 1, archive_at(a, i), leaves));
        else
            view_exchange_line(stdout, i + 1, archive_at(a, i), leaves);
    view_bad_segments(json ? stderr : stdout, a);
    int code = archive_bad_segments(a) > 0 ? EXIT_REFUSED : EXIT_DONE;
    if (!json) {
        json_decref(list);
        print_source(a);
        if (archive_count(a) > 0)
            puts("\nNext: --exchange N shows one in full; countersign replay plays them as they were seen.");
        return code;
    }
    json_t *o = json_pack("{s:s, s:o, s:O*, s:O*, s:O*}", "session_id", e->session, "exchanges", list, "session", json_object_get(e->info, "session"), "leaves", leaves, "nodes",
                          json_object_get(e->info, "nodes"));
    command_json(o);
    return code;
}

static void print_side(const char *title, struct slice head, struct slice body)
{
    char type[256], coding[64];
    printf("\n%s\n", title);
    term_block(stdout, head, "  ");
    body_text_print(stdout, head_field(head, "content-type", type, sizeof type), head_field(head, "content-encoding", coding, sizeof coding), body, BODY_SHOWN, "  | ");
}

static int show_exchange(const struct evidence *e, const struct archive_exchange *x, size_t number, bool json)
{
    const json_t *leaves = evidence_leaves(e);
    if (json)
        return command_json(view_exchange_json(number, x, leaves));
    view_exchange_line(stdout, number, x, leaves);
    print_side("Request, as recorded:", x->request_head, x->request_body);
    print_side(x->from_tool ? "Response of the tool:" : "Response of the gateway:", x->response_head, x->response_body);
    view_messages(stdout, x);
    view_exchange_end(stdout, x);
    return EXIT_DONE;
}

/* The recorded bytes, unescaped, to a file or to a pipe; never to a terminal, which they could drive. */
static int show_raw(const struct show *s, const struct archive_exchange *x)
{
    bool request = strcmp(s->raw, "request") == 0;
    struct slice parts[] = { request ? x->request_head : x->response_head, request ? x->request_body : x->response_body };
    if (s->output == NULL && isatty(STDOUT_FILENO))
        return command_failed("raw bytes could drive your terminal. Next: --output FILE, or send them into a pipe");
    if ((request ? x->request_omitted : x->response_omitted) > 0)
        fputs("countersign: policy keeps no bodies of this action: only the head was recorded\n", stderr);
    FILE *out = s->output != NULL ? fopen(s->output, "wb") : stdout;
    if (out == NULL)
        return command_failed("cannot write '%s': %s", s->output, strerror(errno));
    bool good = true;
    for (size_t i = 0; i < 2; i++)
        good = good && (parts[i].len == 0 || fwrite(parts[i].ptr, 1, parts[i].len, out) == parts[i].len);
    if ((s->output != NULL ? fclose(out) : fflush(out)) != 0 || !good)
        return command_failed("cannot write the bytes: %s", strerror(errno));
    return EXIT_DONE;
}

static int show_archive(const struct show *s, const struct evidence *e, const struct archive *a)
{
    if (s->number == 0)
        return show_list(s, e, a);
    if (s->number > archive_count(a))
        return command_failed("the session has %zu exchanges, there is no number %zu", archive_count(a), s->number);
    const struct archive_exchange *x = archive_at(a, s->number - 1);
    return s->raw != NULL ? show_raw(s, x) : show_exchange(e, x, s->number, s->json);
}

/* A list comes from the indexes; one exchange in full from its segments. */
static enum status fetch(const struct show *s, struct client *client, const char *session, const struct age_keys *keys, struct evidence *e, struct archive **a, struct err *err)
{
    if (s->number == 0)
        return listing_fetch(client, session, "show", keys, s->json, e, a, err);
    enum status st = evidence_fetch(client, session, "show", e, err);
    return st == OK ? archive_open(e->recording, keys, a, err) : st;
}

/* From several nodes' folders. */
static enum status fetch_nodes(struct show *s, const char *session, struct age_keys **keys, struct nodes *n, struct evidence *e, struct archive **a, struct err *err)
{
    enum status st = nodes_open(s->folders, NULL, n, err);
    if (st == OK)
        st = auditor_keys(&s->profile, keys, err);
    return st == OK ? nodes_read(n, session, *keys, s->number != 0 ? NODES_WHOLE : s->json ? NODES_LIST_AND_MESSAGES : NODES_LIST, e, a, err) : st;
}

static int show_run(struct show *s, const char *session)
{
    struct err err = { 0 };
    struct client *client = NULL;
    struct evidence e = { 0 };
    struct archive *a = NULL;
    struct age_keys *keys = NULL;
    struct nodes nodes = { .count = 0 };
    enum status st = OK;
    if (s->folders[0] != NULL) {
        st = fetch_nodes(s, session, &keys, &nodes, &e, &a, &err);
    } else if (s->file == NULL) {
        st = client_open(&s->profile, &client, &err);
        if (st == OK)
            st = auditor_keys(&s->profile, &keys, &err);
        if (st == OK)
            st = fetch(s, client, session, keys, &e, &a, &err);
    } else {
        st = evidence_load(s->file, s->log, NULL, session, &e, &err);
        if (st == OK)
            st = auditor_keys(&s->profile, &keys, &err);
        if (st == OK)
            st = s->number == 0 ? listing_of_file(e.recording, keys, s->json, &a, &err) : archive_open(e.recording, keys, &a, &err);
    }
    int code = st == OK ? show_archive(s, &e, a) : client_failed(client, &err);
    archive_free(a);
    age_keys_free(keys);
    evidence_done(&e);
    nodes_done(&nodes);
    client_free(client);
    return code;
}

/* NULL, or what is wrong with the arguments. */
static const char *check(struct show *s, size_t count)
{
    char *end = NULL;
    if (s->file == NULL && count == 0)
        return "a session or --file is missing";
    if (s->folders[0] != NULL && (s->file != NULL || s->log != NULL))
        return "--recordings has logs of its own: it doesn't go with --file and --log";
    if (s->file == NULL && s->log != NULL)
        return "--log goes with --file";
    if (s->exchange != NULL) {
        errno = 0;
        unsigned long long n = strtoull(s->exchange, &end, 10);
        if (s->exchange[0] < '0' || s->exchange[0] > '9' || *end != 0 || n == 0 || errno != 0)
            return "--exchange needs a number of the list, from 1";
        s->number = (size_t)n;
    }
    if (s->raw != NULL && (s->number == 0 || (strcmp(s->raw, "request") != 0 && strcmp(s->raw, "response") != 0)))
        return "--raw is request or response, and goes with --exchange";
    if (s->output != NULL && s->raw == NULL)
        return "--output goes with --raw";
    if (s->number != 0 && exchange_filter_any(&s->filter))
        return "--exchange names one; --action, --method, --path, --status, --customer, --since and --until are for the list";
    return exchange_filter_read(&s->filter, clock_wall_s());
}

int cmd_show(int argc, char **argv)
{
    struct show s = { 0 };
    const struct option_spec options[] = {
        { "exchange", 'n', "N", "one exchange in full: heads and bodies", &s.exchange, NULL, false },
        { "raw", 0, "SIDE", "its bytes as recorded: request or response", &s.raw, NULL, false },
        { "output", 'o', "FILE", "where --raw puts them (else standard output)", &s.output, NULL, false },
        { "file", 0, "TAR", "a recording kept earlier, instead of asking the gateway", &s.file, NULL, false },
        { "log", 0, "JSON", "with --file: the log kept with it", &s.log, NULL, false },
        NODES_OPTION(s.folders),
        EXCHANGE_FILTER_OPTIONS(s.filter),
        AUDITOR_OPTIONS(s.profile),
        { 0 },
    };
    const struct usage usage = { "countersign show SESSION [--exchange N [--raw request|response]] | show --file recording.tar [--log log.json] | show SESSION --recordings DIR --recordings DIR …",
        "What happened in a recorded session: who asked why, who said yes, every exchange. Looking is written in the log." PROFILE_HELP, options, 0, 1, &s.json };
    char **args;
    size_t count;
    int code;
    if (!options_parse(argc, argv, &usage, &args, &count, &code))
        return code;
    const char *wrong = check(&s, count);
    if (wrong != NULL)
        return wrong_usage(&usage, "%s", wrong);
    if (count == 1 && !id_is_plain(args[0]))
        return command_failed("no session has the id '%s'. Next: countersign sessions", args[0]);
    code = show_run(&s, count == 1 ? args[0] : NULL);
    profile_done(&s.profile);
    return code;
}
