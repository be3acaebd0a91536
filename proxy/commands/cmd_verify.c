/* verify: are a recording and the log whole, and were the approvals in it signed by those who are named? */
#include "proxy/base/codec.h"
#include "proxy/base/file.h"
#include "proxy/commands/approvals_check.h"
#include "proxy/commands/auditor.h"
#include "proxy/commands/commands.h"
#include "proxy/commands/nodes.h"
#include "proxy/commands/verify_more.h"
#include "proxy/commands/term.h"
#include "proxy/commands/words.h"
#include "proxy/commands/wrong_usage.h"
#include "proxy/record/archive.h"
#include "proxy/record/verify.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { HEAD_FILE_MAX = 16 * 1024, TRIES = 4, PAUSE_MS = 700 };

/* The second line of a signed head: its sequence number. */
static void head_number(const json_t *log, char out[WORDS_MAX])
{
    const char *note = json_text(log, "head"), *line = strchr(note, '\n');
    size_t n = line != NULL ? strspn(line + 1, "0123456789") : 0;
    snprintf(out, WORDS_MAX, "%.*s", n > 0 && n < 20 ? (int)n : 1, n > 0 && n < 20 ? line + 1 : "-");
}

enum status verify_key_bytes(const struct evidence *e, unsigned char out[32], const char **instance, struct err *err)
{
    size_t len = 0;
    *instance = json_text(e->log_key, "instance");
    if ((*instance)[0] == 0 || b64url_decode(slice_str(json_text(e->log_key, "log_key")), out, 32, &len) != OK || len != 32)
        return fail(err, BAD_INPUT, "the log key is not { \"instance\": …, \"log_key\": 32 bytes as base64url }");
    return OK;
}

static enum status try_to_open(struct verify *v, const struct evidence *e, struct outcome *out, struct err *err);

enum status verify_examine(struct verify *v, const struct evidence *e, const char *later_head, struct outcome *out, struct err *err)
{
    unsigned char key[32];
    const char *instance = NULL;
    enum status st = verify_key_bytes(e, key, &instance, err);
    if (st == OK && v->profile.instance != NULL && strcmp(v->profile.instance, instance) != 0)
        st = fail(err, REFUSED, "the log key is of the instance '%s', your profile names '%s'", instance, v->profile.instance);
    if (st == OK)
        st = archive_verify(e->recording, e->session, e->log, key, instance, later_head, &out->result, err);
    if (st == OK)
        st = try_to_open(v, e, out, err);
    if (st != OK)
        return st;
    st = approvals_check(evidence_leaves(e), instance, out->result.findings, &out->approvals, err);
    out->whole = out->result.whole && json_array_size(out->result.findings) == 0;
    return st;
}

/* With an auditor's key at hand: is what the digests stand for also readable? A segment sealed to others is none of our business. */
static enum status try_to_open(struct verify *v, const struct evidence *e, struct outcome *out, struct err *err)
{
    struct age_keys *keys = NULL;
    struct archive *a = NULL;
    enum status st = e->recording != NULL ? auditor_keys(&v->profile, &keys, err) : OK;
    if (st != OK || keys == NULL)
        return st;
    st = archive_open(e->recording, keys, &a, err);
    age_keys_free(keys);
    if (st == REFUSED)
        return OK;
    for (size_t i = 0; st == OK && i < archive_bad_segments(a); i++) {
        unsigned number;
        const char *text = archive_bad_segment(a, i, &number);
        if (strstr(text, "other auditors' keys") == NULL)
            st = verify_finding(out->result.findings, "unreadable-segment", number, 0, "segment %u cannot be read: %s", number, text);
    }
    out->opened = st == OK && archive_bad_segments(a) == 0;
    archive_free(a);
    return st;
}

/* A live session grows between the two downloads; then recording and log differ in their last segments only, and looking again helps. */
static bool may_be_growing(const struct outcome *o)
{
    size_t i;
    json_t *f;
    json_array_foreach(o->result.findings, i, f)
        if (!json_text_is(f, "kind", "missing-segment") && !json_text_is(f, "kind", "extra-segment"))
            return false;
    return !o->whole;
}

static enum status fetch(const struct verify *v, struct client *c, struct evidence *e, struct err *err)
{
    enum status st = evidence_fetch(c, v->session, "verify", e, err);
    if (st != OK && client_problem_is(c, "history-erased")) {   /* what the log says of it is left */
        client_forget_problem(c);
        snprintf(e->session, sizeof e->session, "%s", v->session);
        st = OK;
    }
    if (st == OK && v->log_key != NULL)
        st = evidence_load_key(e, v->log_key, err);
    return st == OK ? evidence_fetch_log(c, e, err) : st;
}

enum status verify_session(struct verify *v, struct client *c, struct evidence *e, const char *later_head, struct outcome *out, struct err *err)
{
    enum status st = OK;
    for (unsigned i = 0; st == OK && i < TRIES; i++) {
        if (i > 0) {
            struct timespec t = { 0, PAUSE_MS * 1000000L };
            verify_done(&out->result);
            *out = (struct outcome){ 0 };
            evidence_done(e);
            nanosleep(&t, NULL);
        }
        st = fetch(v, c, e, err);
        if (st == OK)
            st = verify_examine(v, e, later_head, out, err);
        if (st == OK && !may_be_growing(out))
            break;
    }
    return st == OK && v->save != NULL ? evidence_save(e, v->save, err) : st;
}

static void print_meaning(const struct verify *v, const struct evidence *e, const struct outcome *o)
{
    printf("\nThis proves: each segment is the one whose digest the gateway's signing process wrote in its log; none of those it logged for this session is\n"
           "missing, and none is extra; no leaf of the log up to its head was changed, taken out or reordered; answers (yes or no) about this session: %u, each\n"
           "signed with the key registered for the person it names.\n",
           o->approvals);
    if (o->opened)
        puts("Your key opens all of it, and every record in it can be read.");
    fputs("It does not prove: that nothing was cut off the end of the log", stdout);
    fputs(v->head != NULL ? " after the head you gave" : " (give a later head with --head FILE)", stdout);
    fputs("; that the machine was not in\nhostile hands while it recorded; what was on the screen in front of the person; what policy did not want recorded (`record` of an action: \"metadata\" keeps\n"
          "no bodies, \"off\" nothing; countersign show says where bodies are missing).\n", stdout);
    fputs(v->log_key != NULL ? "The log key is the one you kept: " : "The log key came from the gateway itself. Compare it with one noted earlier, or give it with --log-key FILE: ", stdout);
    term_str(stdout, json_text(e->log_key, "log_key"));
    putchar('\n');
}

void verify_print_findings(const json_t *findings)
{
    size_t i;
    json_t *f;
    json_array_foreach(findings, i, f) {
        const json_t *segment = json_object_get(f, "segment");
        fputs("  ", stdout);
        term_str(stdout, json_text(f, "kind"));
        if (json_is_integer(segment))
            printf(", segment %lld", (long long)json_integer_value(segment));
        fputs(": ", stdout);
        term_str(stdout, json_text(f, "text"));
        putchar('\n');
    }
}

static void print_erased(const struct outcome *o, const char *head)
{
    char text[128];
    if (o->result.history_seq > 0) {
        evidence_erased_text(o->result.history_seq, o->result.history_ms, text, sizeof text);
        printf("the history of this session was %s; the log is whole: %u log leaves, head %s\n\n"
               "This proves: there was such a session, and what the log said of it (who asked, who said yes, what was done) was erased together with its recording when the time to keep it was over; the\n"
               "leaves still stand where they stood, unchanged, as digests that nobody can read. It does not prove: what was in them.\n", text, o->result.leaves, head);
        return;
    }
    evidence_erased_text(o->result.erased_seq, o->result.erased_ms, text, sizeof text);
    printf("the recording was %s; the log is whole: %u log leaves, head %s\n\n", text, o->result.leaves, head);
    printf("This proves: the log says that this session had %u segments, with their digests, and that they were deleted when the time to keep them was over; %u answers (yes or no) about\n"
           "it are signed with the keys registered for the persons they name. A copy of the recording that somebody kept can still be checked against it, with --file.\n"
           "It does not prove: what was in it.\n", o->result.segments, o->approvals);
}

static int report(const struct verify *v, const struct evidence *e, const struct outcome *o)
{
    char head[WORDS_MAX];
    int code = o->whole ? EXIT_DONE : EXIT_REFUSED;
    head_number(e->log, head);
    if (v->json) {
        command_json(json_pack("{s:o*, s:o*, s:b, s:s, s:i, s:i, s:i, s:s, s:O}", "history_erased", o->result.history_seq ? json_integer((json_int_t)o->result.history_seq) : NULL,
                               "erased", o->result.erased_seq ? json_integer((json_int_t)o->result.erased_seq) : NULL, "whole", o->whole, "session", e->session, "segments", (int)o->result.segments, "leaves",
                               (int)o->result.leaves, "approvals", (int)o->approvals, "head", head, "findings", o->result.findings));
        return code;
    }
    if (o->whole && e->recording == NULL) {
        print_erased(o, head);
        return code;
    }
    if (o->whole) {
        printf("whole: %u segments, %u log leaves, head %s\n", o->result.segments, o->result.leaves, head);
        print_meaning(v, e, o);
        return code;
    }
    printf("NOT WHOLE: %zu findings in %u segments and %u log leaves, head %s\n", json_array_size(o->result.findings), o->result.segments, o->result.leaves, head);
    verify_print_findings(o->result.findings);
    puts("Next: keep these files as they are, and compare with another copy of the recording and of the log's head.");
    return code;
}

/* No one session, but the log, its published files, or everything. */
static bool is_more(const struct verify *v)
{
    return v->tiles != NULL || v->state != NULL || (v->session != NULL && (strcmp(v->session, "log") == 0 || strcmp(v->session, "all") == 0));
}

static int run_more(struct verify *v, const char *later_head)
{
    if (v->state != NULL)
        return verify_state_run(v, later_head);
    if (v->tiles != NULL)
        return verify_tiles_run(v, later_head);
    return strcmp(v->session, "all") == 0 ? verify_all_run(v, later_head) : verify_log_run(v, later_head);
}

static int verify_run(struct verify *v)
{
    struct err err = { 0 };
    struct client *client = NULL;
    struct evidence e = { 0 };
    struct outcome o = { 0 };
    unsigned char *later_head = NULL;
    size_t len = 0;
    char *cosigned = v->witness != NULL && v->head == NULL ? file_join(v->tiles, "witnessed") : NULL;
    const char *head = v->head ? v->head : cosigned;
    enum status st = head != NULL ? file_read(head, HEAD_FILE_MAX, false, &later_head, &len, &err) : OK;
    free(cosigned);
    if (st == OK && is_more(v)) {
        int more = run_more(v, (const char *)later_head);
        free(later_head);
        return more;
    }
    if (st == OK && v->file == NULL) {
        st = client_open(&v->profile, &client, &err);
        if (st == OK)
            st = verify_session(v, client, &e, (const char *)later_head, &o, &err);
    } else if (st == OK) {
        st = evidence_load(v->file, v->log, v->log_key, v->session, &e, &err);
        if (st == OK && e.session[0] == 0)
            st = fail(&err, BAD_INPUT, "the log file does not say which session it was kept for. Next: --session ID");
        if (st == OK)
            st = verify_examine(v, &e, (const char *)later_head, &o, &err);
    }
    int code = st == OK ? report(v, &e, &o) : client_failed(client, &err);
    verify_done(&o.result);
    free(later_head);
    evidence_done(&e);
    client_free(client);
    return code;
}

/* --recordings, or what else may be given once only. */
static const char *check_nodes(const struct verify *v)
{
    if (v->folders[0] == NULL)
        return v->log_keys[0] != NULL && v->log_keys[1] != NULL ? "several --log-key go with --recordings" : v->heads[0] != NULL && v->heads[1] != NULL ? "several --head go with --recordings" : NULL;
    return v->file || v->log || v->tiles || v->state || v->save || v->witness ? "--recordings stands alone, but for --log-key, --head and a session"
           : v->session != NULL && (strcmp(v->session, "log") == 0 || strcmp(v->session, "all") == 0) ? "with --recordings, name a session, or none for all that the folders have" : NULL;
}

static const char *check(struct verify *v, size_t count, char **args)
{
    if (count == 1 && v->session != NULL)
        return "the session is named twice";
    if (count == 1)
        v->session = args[0];
    v->log_key = v->log_keys[0];
    v->head = v->heads[0];
    const char *wrong = check_nodes(v);
    if (wrong != NULL || v->folders[0] != NULL)
        return wrong;
    if (v->witness != NULL && v->tiles == NULL && (v->session == NULL || strcmp(v->session, "log") != 0 || v->head == NULL))
        return "--witness goes with verify log --head FILE, the checkpoint that it cosigned (the gateway serves it as /log/witnessed), or with --tiles DIR";
    if (v->tiles != NULL || v->state != NULL)
        return v->log_key == NULL ? "--tiles and --state need --log-key too: nothing is fetched then"
               : v->session != NULL || v->file != NULL || (v->tiles != NULL && v->state != NULL) ? "--tiles and --state stand alone" : NULL;
    if (v->file == NULL && v->session == NULL)
        return "a session, log, all, or --file, is missing";
    if (is_more(v) && (v->file != NULL || v->save != NULL))
        return "log and all don't go with --file and --save";
    if (v->log != NULL && v->session != NULL && strcmp(v->session, "log") == 0)
        return v->log_key == NULL ? "verify log --log needs --log-key too: nothing is fetched then" : NULL;
    if (v->file == NULL && v->log != NULL)
        return "--log goes with --file, or with verify log";
    if (v->file != NULL && (v->log == NULL || v->log_key == NULL))
        return "--file needs --log and --log-key too: nothing is fetched then";
    if (v->file != NULL && v->save != NULL)
        return "--save goes with a session that is fetched";
    return NULL;
}

int cmd_verify(int argc, char **argv)
{
    struct verify v = { 0 };
    if (argc > 1 && strcmp(argv[1], "approval") == 0)
        return cmd_verify_approval(argc - 1, argv + 1);
    const struct option_spec options[] = {
        { "save", 0, "DIR", "keep recording.tar, log.json and log-key there, to verify offline later", &v.save, NULL, false },
        { "head", 0, "FILE …", "a head of the log seen later elsewhere: finds a cut-off tail; with --recordings one for each node", v.heads, NULL, false },
        { "log-key", 0, "FILE …", "the log's key as kept earlier (JSON: instance, log_key); with --recordings one for each node", v.log_keys, NULL, false },
        { "file", 0, "TAR", "offline: a recording kept earlier", &v.file, NULL, false },
        { "log", 0, "JSON", "offline: the log kept with it", &v.log, NULL, false },
        { "tiles", 0, "DIR", "offline: the published log's files (STATE/log, or a copy of them)", &v.tiles, NULL, false },
        { "state", 0, "DIR", "offline: everything in a state folder, or a copy of it: database, log, recordings", &v.state, NULL, false },
        { "witness", 0, "KEY,...", "verifier keys of witnesses: at least one of them must have cosigned the head", &v.witness, NULL, false },
        { "session", 0, "ID", "offline: the session, when the log file does not name it", &v.session, NULL, false },
        NODES_OPTION(v.folders),
        AUDITOR_OPTIONS(v.profile),
        { 0 },
    };
    const struct usage usage = { "countersign verify SESSION|log|all [--save DIR] | verify --file recording.tar --log log.json --log-key FILE | verify --tiles DIR --log-key FILE | verify --state DIR --log-key FILE |"
        " verify [SESSION] --recordings DIR --recordings DIR … [--log-key FILE …] [--head FILE …] | verify approval FILE",
        "Check a session's recording against the signed log, the log against its own head, and each approval against its signer's registered key.\n"
        "log: the log by itself. all: the log and every session. With --head FILE, a checkpoint seen later elsewhere, also that nothing was cut off before it.\n"
        "Exit code 0: whole. 1: not, with each finding." PROFILE_HELP, options, 0, 1, &v.json };
    char **args;
    size_t count;
    int code;
    if (!options_parse(argc, argv, &usage, &args, &count, &code))
        return code;
    const char *wrong = check(&v, count, args);
    if (wrong != NULL)
        return wrong_usage(&usage, "%s", wrong);
    if (v.session != NULL && !id_is_plain(v.session))
        return command_failed("no session has the id '%s'. Next: countersign sessions", v.session);
    code = v.folders[0] != NULL ? verify_nodes_run(&v) : verify_run(&v);
    profile_done(&v.profile);
    return code;
}
