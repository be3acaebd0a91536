#include "proxy/commands/verify_more.h"

#include "proxy/commands/commands.h"
#include "proxy/commands/session_list.h"
#include "proxy/commands/term.h"
#include "proxy/commands/words.h"
#include "proxy/record/verify.h"
#include "proxy/record/verify_tiles.h"

#include <stdlib.h>

enum { SESSIONS_MOST = 1000000 };

const char *verify_erased_words(uint64_t leaves, char out[VERIFY_WORDS_MAX])
{
    out[0] = 0;
    if (leaves > 0)
        snprintf(out, VERIFY_WORDS_MAX, "What %llu of the leaves said was erased when the time to keep it was over, as later leaves of the log say of each: they stand where they stood, as digests that\n"
                 "nobody can read any more.\n", (unsigned long long)leaves);
    return out;
}

/* erased: of the leaves. */
static int report(const struct verify *v, const char *what, uint64_t leaves, uint64_t erased, const json_t *findings, const char *later_head)
{
    char words[VERIFY_WORDS_MAX];
    bool whole = json_array_size(findings) == 0;
    if (v->json) {
        command_json(json_pack("{s:b, s:I, s:I, s:O}", "whole", whole, "leaves", (json_int_t)leaves, "erased_leaves", (json_int_t)erased, "findings", findings));
        return whole ? EXIT_DONE : EXIT_REFUSED;
    }
    if (!whole) {
        printf("NOT WHOLE: %zu findings in %llu log leaves\n", json_array_size(findings), (unsigned long long)leaves);
        verify_print_findings(findings);
        puts("Next: keep these files as they are, and compare with another copy of the log and of its checkpoint.");
        return EXIT_REFUSED;
    }
    printf("whole: %llu log leaves%s\n\nThis proves: no leaf of the log up to its checkpoint was changed, taken out or reordered, and the checkpoint is signed with the log's key", (unsigned long long)leaves, what);
    puts(later_head != NULL ? ";\nthe checkpoint you gave is of the same log, and nothing before it was cut off or written anew." : ".");
    fputs(verify_erased_words(erased, words), stdout);
    fputs("It does not prove: that recordings are whole (countersign verify all)", stdout);
    puts(later_head != NULL ? "; that nothing was cut off after the checkpoint you gave." : "; that nothing was cut off the end, or that nobody was\nshown another log (give a later checkpoint with --head FILE).");
    verify_print_witnesses(v, later_head);
    return EXIT_DONE;
}

/* ---- the log by itself ---- */

static enum status examine_log(const struct evidence *e, const struct verify *v, const char *later_head, struct verify_result *out, struct err *err)
{
    unsigned char key[32];
    const char *instance = NULL;
    enum status st = verify_key_bytes(e, key, &instance, err);
    if (st == OK && v->profile.instance != NULL && strcmp(v->profile.instance, instance) != 0)
        st = fail(err, REFUSED, "the log key is of the instance '%s', your profile names '%s'", instance, v->profile.instance);
    return st == OK ? archive_verify(NULL, "", e->log, key, instance, later_head, out, err) : st;
}

static enum status get_log(struct verify *v, struct client **c, struct evidence *e, struct err *err)
{
    if (v->log != NULL)
        return evidence_load(NULL, v->log, v->log_key, NULL, e, err);
    enum status st = client_open(&v->profile, c, err);
    if (st == OK && v->log_key != NULL)
        st = evidence_load_key(e, v->log_key, err);
    return st == OK ? evidence_fetch_log(*c, e, err) : st;
}

int verify_log_run(struct verify *v, const char *later_head)
{
    struct err err = { 0 };
    struct client *client = NULL;
    struct evidence e = { 0 };
    struct verify_result r = { 0 };
    enum status st = get_log(v, &client, &e, &err);
    if (st == OK)
        st = examine_log(&e, v, later_head, &r, &err);
    if (st == OK)
        st = verify_witnesses(v, later_head, r.findings, &err);
    int code = st == OK ? report(v, "", r.leaves, r.erased_leaves, r.findings, later_head) : client_failed(client, &err);
    verify_done(&r);
    evidence_done(&e);
    client_free(client);
    return code;
}

/* ---- its published files ---- */

int verify_tiles_run(struct verify *v, const char *later_head)
{
    struct err err = { 0 };
    struct evidence e = { 0 };
    unsigned char key[32];
    const char *instance = NULL;
    uint64_t leaves = 0;
    json_t *findings = json_array();
    enum status st = evidence_load_key(&e, v->log_key, &err);
    if (st == OK)
        st = verify_key_bytes(&e, key, &instance, &err);
    if (st == OK)
        st = verify_tiles(v->tiles, key, instance, later_head, findings, &leaves, &err);
    if (st == OK)
        st = verify_witnesses(v, later_head, findings, &err);
    int code = st == OK ? report(v, " in tiles", leaves, 0, findings, later_head) : command_failed("%s", err.text);
    json_decref(findings);
    evidence_done(&e);
    return code;
}

/* ---- everything ---- */

struct all {
    unsigned sessions, segments, broken;
    json_t *list;                     /* of sessions that are not whole: { session, findings } */
};

static enum status examine_session(struct verify *v, struct client *c, const char *id, const char *later_head, struct all *all, struct err *err)
{
    struct evidence e = { 0 };
    struct outcome o = { 0 };
    v->session = id;
    enum status st = verify_session(v, c, &e, later_head, &o, err);
    if (st == OK) {
        all->sessions++;
        all->segments += o.result.segments;
        all->broken += !o.whole;
        if (!o.whole && json_array_append_new(all->list, json_pack("{s:s, s:O}", "session", id, "findings", o.result.findings)) != 0)
            st = fail(err, NO_MEMORY, "findings");
    }
    if (st == OK && !v->json) {
        term_str(stdout, id);
        if (o.whole && e.recording == NULL) {
            char text[128];
            bool history = o.result.history_seq > 0;
            evidence_erased_text(history ? o.result.history_seq : o.result.erased_seq, history ? o.result.history_ms : o.result.erased_ms, text, sizeof text);
            printf(history ? ": its history was %s\n" : ": %s\n", text);
        } else {
            printf(o.whole ? ": whole, %u segments\n" : ": NOT WHOLE, %u segments\n", o.result.segments);
        }
        verify_print_findings(o.result.findings);
    }
    verify_done(&o.result);
    evidence_done(&e);
    return st;
}

/* Which session a leaf is about, the log tells only to who may see it; that it is a segment, it tells everybody. So a session that is not listed, or is listed without its last segments,
 * shows in the count. The log was fetched first: the sessions may have grown since, never shrunk. */
static enum status count_segments(const json_t *log, const struct all *all, json_t *findings, struct err *err)
{
    size_t i;
    json_t *leaf;
    unsigned logged = 0;              /* those erased apart, of which a later leaf says so (verify_log()) */
    json_array_foreach(json_array_member(log, "leaves"), i, leaf)
        logged += json_text_is(leaf, "type", "segment") && json_object_get(leaf, "erased") == NULL;
    if (all->segments >= logged)
        return OK;
    enum status st = verify_finding(findings, "unlisted-segments", 0, 0, "the log holds %u segments, the recordings of the %u sessions that the gateway lists have %u", logged,
                                    all->sessions, all->segments);
    return st == OK ? OK : fail(err, st, "findings");
}

static int report_all(const struct verify *v, const struct verify_result *log, const struct all *all)
{
    bool log_whole = json_array_size(log->findings) == 0, whole = log_whole && all->broken == 0;
    char words[VERIFY_WORDS_MAX];
    if (v->json) {
        command_json(json_pack("{s:b, s:i, s:I, s:i, s:i, s:O, s:O}", "whole", whole, "leaves", (int)log->leaves, "erased_leaves", (json_int_t)log->erased_leaves, "sessions", (int)all->sessions, "segments",
                               (int)all->segments, "findings", log->findings, "not_whole", all->list));
        return whole ? EXIT_DONE : EXIT_REFUSED;
    }
    if (!log_whole)
        verify_print_findings(log->findings);
    if (!whole) {
        printf("NOT WHOLE: %u of %u sessions, and the log is %s\n", all->broken, all->sessions, log_whole ? "whole" : "not whole");
        return EXIT_REFUSED;
    }
    printf("whole: %u session%s with %u segment%s, %u log leaves\n\nThis proves: the sessions that the gateway lists are all that are in the log, each has every one of its logged segments,\n"
           "unchanged, and the log is whole up to its checkpoint. It does not prove: that nothing was cut off the end%s;\n"
           "that the machine was not in hostile hands while it recorded.\n", all->sessions, all->sessions == 1 ? "" : "s", all->segments,
           all->segments == 1 ? "" : "s", log->leaves, v->head ? " after the checkpoint you gave" : " (give a later checkpoint with --head FILE)");
    fputs(verify_erased_words(log->erased_leaves, words), stdout);
    return EXIT_DONE;
}

int verify_all_run(struct verify *v, const char *later_head)
{
    struct err err = { 0 };
    struct client *client = NULL;
    struct evidence e = { 0 };
    struct verify_result log = { 0 };
    struct all all = { .list = json_array() };
    const struct session_filter any = { .since_s = -1, .until_s = -1 };
    json_t *sessions = NULL, *s;
    size_t i;
    enum status st = get_log(v, &client, &e, &err);
    if (st == OK)
        st = examine_log(&e, v, later_head, &log, &err);
    if (st == OK)
        st = session_list_fetch(client, &any, SESSIONS_MOST, &sessions, &err);
    json_array_foreach(json_array_member(sessions, "sessions"), i, s)
        if (st == OK && id_is_plain(json_text(s, "id")))
            st = examine_session(v, client, json_text(s, "id"), later_head, &all, &err);
    if (st == OK)
        st = count_segments(e.log, &all, log.findings, &err);
    int code = st == OK ? report_all(v, &log, &all) : client_failed(client, &err);
    json_decref(sessions);
    json_decref(all.list);
    verify_done(&log);
    evidence_done(&e);
    client_free(client);
    return code;
}
