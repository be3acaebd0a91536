/* incident: after something happened: what did this person see and do, and can you prove it? */
#include "proxy/base/clock.h"
#include "proxy/commands/auditor.h"
#include "proxy/commands/commands.h"
#include "proxy/commands/evidence.h"
#include "proxy/commands/incident.h"
#include "proxy/commands/listing_fetch.h"
#include "proxy/commands/nodes.h"
#include "proxy/commands/session_list.h"
#include "proxy/commands/words.h"
#include "proxy/commands/wrong_usage.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SESSIONS_MOST = 1000000 };

struct asked {
    struct profile profile;
    struct incident report;
    const char *identity, *person, *from, *to, *output, *folders[OPTION_TIMES_MAX];
    bool csv, html, json;
};

/* A recording that this key does not open, or that retention deleted, is reported by what the log says of its session. */
static enum status one_session(struct asked *a, struct client *c, const struct age_keys *keys, const char *id, struct err *err)
{
    struct evidence e = { 0 };
    struct archive *archive = NULL;
    enum status st = listing_fetch(c, id, "incident", keys, false, &e, &archive, err);
    if (st == REFUSED && e.recording != NULL)
        st = OK;
    if (st == OK && archive != NULL && archive_bad_segments(archive) > 0)
        fprintf(stderr, "countersign: %zu segments of %s cannot be read, and are left out. Next: countersign verify %s\n", archive_bad_segments(archive), id, id);
    if (st == OK)
        st = incident_session(&a->report, e.info, archive, err);
    archive_free(archive);
    evidence_done(&e);
    return st;
}

static enum status gather(struct asked *a, struct client *c, struct err *err)
{
    const struct session_filter f = { .identity = a->identity, .person = a->person, .since_s = a->report.from_ms / 1000, .until_s = a->report.to_ms / 1000 };
    struct age_keys *keys = NULL;
    json_t *sessions = NULL, *locks = NULL, *s;
    char words[ERASED_WORDS_MAX];
    size_t i;
    enum status st = auditor_keys(&a->profile, &keys, err);
    if (st == OK)
        st = session_list_fetch(c, &f, SESSIONS_MOST, &sessions, err);
    if (st == OK)
        snprintf(a->report.erased, sizeof a->report.erased, "%s", erased_words(sessions, words));
    json_array_foreach(json_array_member(sessions, "sessions"), i, s)
        if (st == OK && id_is_plain(json_text(s, "id")))
            st = one_session(a, c, keys, json_text(s, "id"), err);
    if (st == OK)
        st = client_get(c, "/api/v1/locks", &locks, err);
    if (st == OK)
        st = incident_locks(&a->report, json_array_member(locks, "locks"), err);
    if (st == OK)
        incident_sort(&a->report);
    age_keys_free(keys);
    json_decref(sessions);
    json_decref(locks);
    return st;
}

/* ---- from several nodes' folders ---- */

static enum status one_of_nodes(struct asked *a, struct nodes *n, const struct age_keys *keys, const char *id, struct err *err)
{
    struct evidence e = { 0 };
    struct archive *archive = NULL;
    enum status st = nodes_read(n, id, keys, NODES_LIST, &e, &archive, err);
    for (size_t i = 0; st == OK && i < archive_bad_segments(archive); i++) {
        unsigned number = 0;
        const char *why = archive_bad_segment(archive, i, &number);
        fprintf(stderr, "countersign: of %s segment %u is left out, %s. Next: countersign verify %s --recordings DIR\n", id, number, why, id);
    }
    if (st == OK)
        st = incident_session(&a->report, e.info, archive, err);
    if (st == OK && json_array_append_new(a->report.nodes, json_pack("{s:s, s:O}", "session", id, "nodes", json_object_get(e.info, "nodes"))) != 0)
        st = fail(err, NO_MEMORY, "report");
    archive_free(archive);
    evidence_done(&e);
    return st;
}

static enum status gather_nodes(struct asked *a, struct err *err)
{
    struct nodes n = { .count = 0 };
    struct age_keys *keys = NULL;
    json_t *sessions = NULL, *s;
    size_t i;
    const char *key = a->identity != NULL ? "identity" : "person", *who = a->identity != NULL ? a->identity : a->person;
    enum status st = nodes_open(a->folders, NULL, &n, err);
    if (st == OK)
        st = auditor_keys(&a->profile, &keys, err);
    if (st == OK)
        st = nodes_sessions(&n, &sessions, err);
    if (st == OK && (a->report.nodes = json_array()) == NULL)
        st = fail(err, NO_MEMORY, "report");
    json_array_foreach(sessions, i, s)
        if (st == OK && json_text_is(s, key, who) && json_number(s, "ended_ms") >= a->report.from_ms && json_number(s, "started_ms") < a->report.to_ms)
            st = one_of_nodes(a, &n, keys, json_text(s, "id"), err);
    if (st == OK)
        incident_sort(&a->report);
    age_keys_free(keys);
    json_decref(sessions);
    nodes_done(&n);
    return st;
}

static int put(const char *text, size_t len, void *to)
{
    return fwrite_unlocked(text, 1, len, to) == len ? 0 : -1;
}

/* Members stay in the order in which they were made: sorting those of 50,000 lines takes longer than writing them. */
static void dump(FILE *out, const json_t *v)
{
    (void)json_dump_callback(v, put, out, JSON_INDENT(1));
}

/* One session after the other is read and thrown away, tens of megabytes each: the next one uses the same memory, rather than have the kernel clear new pages. */
static void keep_memory(void)
{
    mallopt(M_MMAP_THRESHOLD, 64 << 20);
    mallopt(M_TRIM_THRESHOLD, 512 << 20);
    mallopt(M_TOP_PAD, 16 << 20);
}

static int write_report(const struct asked *a)
{
    int fd = a->output != NULL ? open(a->output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
    FILE *out = a->output == NULL ? stdout : fd >= 0 ? fdopen(fd, "wb") : NULL;
    if (out == NULL)
        return command_failed("cannot write '%s': %s", a->output, strerror(errno));
    if (a->json) {
        json_t *v = incident_json(&a->report);
        dump(out, v);
        fputc('\n', out);
        json_decref(v);
    } else if (a->csv) {
        incident_csv(out, &a->report);
    } else if (a->html) {
        incident_html(out, &a->report);
    } else {
        incident_text(out, &a->report);
    }
    if ((a->output != NULL ? fclose(out) : fflush(out)) != 0)
        return command_failed("cannot write the report: %s", strerror(errno));
    return EXIT_DONE;
}

static int incident_run(struct asked *a)
{
    struct err err = { 0 };
    struct client *client = NULL;
    keep_memory();
    enum status st = incident_begin(&a->report, &err);
    if (st == OK && a->folders[0] != NULL) {
        st = gather_nodes(a, &err);
    } else if (st == OK) {
        st = client_open(&a->profile, &client, &err);
        if (st == OK)
            st = gather(a, client, &err);
    }
    int code = st == OK ? write_report(a) : client_failed(client, &err);
    client_free(client);
    return code;
}

/* NULL, or what is wrong with the arguments. */
static const char *check(struct asked *a)
{
    int64_t now = clock_wall_s(), from = 0, to = now;
    if ((a->identity == NULL) == (a->person == NULL))
        return "--identity ADDRESS or --person NAME is needed, one of them";
    if (!words_read_since(a->from, now, &from))
        return "--from is not a time; write it like 2h, 2026-01-31 or 2026-01-31T12:00:00Z";
    if (a->to != NULL && !words_read_since(a->to, now, &to))
        return "--to is not a time; write it like 2h, 2026-01-31 or 2026-01-31T12:00:00Z";
    if (from >= to)
        return "--from must lie before --to";
    if (a->csv + a->html + a->json > 1)
        return "--json, --csv and --html exclude each other";
    a->report.who = a->identity ? a->identity : a->person;
    a->report.from_ms = from * 1000;
    a->report.to_ms = (a->to != NULL ? to : to + 1) * 1000;
    return NULL;
}

int cmd_incident(int argc, char **argv)
{
    static struct asked a;            /* static: the report goes with the process, since giving 50,000 lines back one by one costs as much as making them */
    const struct option_spec options[] = {
        { "identity", 0, "ADDRESS", "whose certificate: alice@example.com", &a.identity, NULL, false },
        { "person", 0, "NAME", "or who stands behind it", &a.person, NULL, false },
        { "from", 0, "TIME", "begin: 2h (that long ago), 2026-01-31, 2026-01-31T12:00:00Z or seconds since 1970", &a.from, NULL, true },
        { "to", 0, "TIME", "end, written likewise (now)", &a.to, NULL, false },
        { "csv", 0, NULL, "for a spreadsheet", NULL, &a.csv, false },
        { "html", 0, NULL, "as a page of its own", NULL, &a.html, false },
        { "exchanges", 0, NULL, "with a line for every single exchange", NULL, &a.report.all_exchanges, false },
        { "output", 'o', "FILE", "where it goes (else standard output)", &a.output, NULL, false },
        NODES_OPTION(a.folders),
        AUDITOR_OPTIONS(a.profile),
        { 0 },
    };
    const struct usage usage = { "countersign incident --identity ADDRESS --from TIME [--to TIME] [--json|--csv|--html] [--output FILE] [--recordings DIR …]",
        "What somebody did: sessions, actions, customers touched, signed-off requests with size and digest and who signed, refusals, locks. Each line names its proof: session, record, segment and\n"
        "log leaf. Making it is written in the log." PROFILE_HELP, options, 0, 0, &a.json };
    char **args;
    size_t count;
    int code;
    if (!options_parse(argc, argv, &usage, &args, &count, &code))
        return code;
    const char *wrong = check(&a);
    if (wrong != NULL)
        return wrong_usage(&usage, "%s", wrong);
    code = incident_run(&a);
    profile_done(&a.profile);
    return code;
}
