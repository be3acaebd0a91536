/* verify --state: everything in a state folder or a copy of it, offline: the database against its log, the published log, each recording against the log. */
#include "proxy/commands/verify_more.h"

#include "authz/approvals/audit.h"
#include "proxy/base/codec.h"
#include "proxy/base/file.h"
#include "proxy/commands/commands.h"
#include "proxy/commands/words.h"
#include "proxy/record/verify.h"
#include "proxy/record/verify_tiles.h"

#include <dirent.h>
#include <stdlib.h>

struct state {
    const char *folder;
    json_t *findings;
    char session[65];                 /* whose segments are being gathered */
    struct verify_segments segments;
    size_t room;
    unsigned sessions, segment_count;
    uint64_t leaves, published;
    json_t *seen;                     /* sessions that the log knows */
    struct audit *audit;
    uint64_t erased_leaves;
    unsigned erased;                  /* sessions whose recording was deleted by retention */
};

/* ---- recordings ---- */

static enum status end_session(struct state *s, struct err *err)
{
    char name[100];
    unsigned found = 0;
    size_t before = json_array_size(s->findings);
    if (s->session[0] == 0)
        return OK;
    snprintf(name, sizeof name, "recordings/%s.tar", s->session);
    char *path = file_join(s->folder, name);
    enum status st = path ? verify_file(path, &s->segments, s->findings, &found, err) : fail(err, NO_MEMORY, "path");
    if (st == NOT_FOUND && audit_erased(s->audit, s->session)) {
        s->erased++;
        st = OK;
    }
    if (st == NOT_FOUND)
        st = verify_finding(s->findings, "missing-recording", 0, 0, "the recording of session %s is missing: the log has %zu segments of it", s->session, s->segments.count);
    for (size_t i = before; i < json_array_size(s->findings); i++)
        json_object_set_new(json_array_get(s->findings, i), "session", json_string(s->session));
    free(path);
    s->sessions++;
    s->segment_count += found;
    s->segments.count = 0;
    return st == OK && json_object_set_new(s->seen, s->session, json_true()) != 0 ? fail(err, NO_MEMORY, "sessions") : st;
}

static enum status take_segment(void *to, const json_t *row, struct err *err)
{
    struct state *s = to;
    struct verify_expected e = { .number = (unsigned)json_number(row, "number"), .bytes = (uint64_t)json_number(row, "bytes") };
    size_t len = 0;
    const char *session = json_text(row, "session");
    enum status st = strcmp(session, s->session) != 0 ? end_session(s, err) : OK;
    if (st != OK)
        return st;
    if (!id_is_plain(session) || b64url_decode(slice_str(json_text(row, "digest")), e.digest, sizeof e.digest, &len) != OK || len != sizeof e.digest)
        return fail(err, CORRUPT, "a segment in the log has no session or digest");
    snprintf(s->session, sizeof s->session, "%s", session);
    if (s->segments.count == s->room) {
        size_t room = s->room ? s->room * 2 : 256;
        struct verify_expected *v = realloc(s->segments.v, room * sizeof *v);
        if (v == NULL)
            return fail(err, NO_MEMORY, "segments");
        s->segments.v = v;
        s->room = room;
    }
    s->segments.v[s->segments.count++] = e;
    return OK;
}

/* A recording of a session that the log never heard of. */
static enum status look_for_others(struct state *s, struct err *err)
{
    char *folder = file_join(s->folder, "recordings");
    DIR *d = folder ? opendir(folder) : NULL;
    enum status st = OK;
    free(folder);
    for (struct dirent *e; d != NULL && st == OK && (e = readdir(d)) != NULL;) {
        char name[65];
        size_t n = strlen(e->d_name);
        if (n < 5 || n - 4 >= sizeof name || strcmp(e->d_name + n - 4, ".tar") != 0)
            continue;
        snprintf(name, sizeof name, "%.*s", (int)(n - 4), e->d_name);
        if (json_object_get(s->seen, name) == NULL)
            st = verify_finding(s->findings, "extra-recording", 0, 0, "there is a recording %s, but the log knows no segment of such a session", name);
    }
    if (d != NULL)
        closedir(d);
    return st == OK ? OK : fail(err, st, "findings");
}

/* ---- all of it ---- */

static enum status examine_database(struct state *s, struct audit *a, const struct chain_head *later, const char *later_text, struct err *err)
{
    struct err why = { "" };
    s->leaves = audit_leaves(a);
    s->erased_leaves = audit_erased_leaves(a);
    s->audit = a;
    enum status st = later_text != NULL ? audit_meets(a, later, &why) : OK;
    if (st == CORRUPT)
        st = verify_finding(s->findings, later->seq > s->leaves ? "cut-log" : "forked-log", 0, 0, "%s", why.text);
    if (st == OK)
        st = audit_segments(a, take_segment, s, err);
    return st == OK ? end_session(s, err) : st;
}

static enum status examine(struct state *s, const unsigned char key[32], const char *instance, const char *later_text, struct err *err)
{
    struct chain_head later = { 0 };
    struct audit *a = NULL;
    struct err why = { "" };
    if (later_text != NULL && chain_note_verify(key, instance, slice_str(later_text), &later, &why) != OK)
        return fail(err, BAD_INPUT, "the later checkpoint is not good: %s", why.text);
    enum status st = audit_open(s->folder, instance, key, &a, &why);
    if (st == CORRUPT) {
        st = verify_finding(s->findings, "altered-database", 0, 0, "%s", why.text);
    } else if (st != OK) {
        return fail(err, st, "%s", why.text);
    } else {
        st = examine_database(s, a, &later, later_text, err);
        if (st == OK)
            st = look_for_others(s, err);
    }
    audit_close(a);
    char *tiles = file_join(s->folder, "log");
    if (st == OK)
        st = tiles ? verify_tiles(tiles, key, instance, later_text, s->findings, &s->published, err) : fail(err, NO_MEMORY, "path");
    free(tiles);
    return st;
}

static int report(const struct verify *v, const struct state_outcome *s)
{
    bool whole = json_array_size(s->findings) == 0;
    char words[VERIFY_WORDS_MAX];
    if (v->json) {
        command_json(json_pack("{s:b, s:I, s:I, s:I, s:i, s:i, s:i, s:O}", "whole", whole, "leaves", (json_int_t)s->leaves, "erased_leaves", (json_int_t)s->erased_leaves, "published", (json_int_t)s->published, "erased", (int)s->erased, "sessions",
                               (int)s->sessions, "segments", (int)s->segments, "findings", s->findings));
        return whole ? EXIT_DONE : EXIT_REFUSED;
    }
    if (!whole) {
        printf("NOT WHOLE: %zu finding%s\n", json_array_size(s->findings), json_array_size(s->findings) == 1 ? "" : "s");
        verify_print_findings(s->findings);
        puts("Next: keep this folder as it is, and compare with another copy of it and of the log's checkpoint.");
        return EXIT_REFUSED;
    }
    printf("whole: %llu log leaves (%llu published), %u session%s with %u segment%s\n\nThis proves: each leaf of the log is unchanged and in its place, up to the signed head; each request, decision,\n"
           "grant, lock, session and segment in the database is what its leaf says; each recording has exactly the segments that the log holds.\n"
           "It does not prove: that nothing was cut off the end%s; that the\nmachine was not in hostile hands while it wrote them.\n", (unsigned long long)s->leaves,
           (unsigned long long)s->published, s->sessions, s->sessions == 1 ? "" : "s", s->segments, s->segments == 1 ? "" : "s", v->head ? " after the checkpoint you gave" : " (give a later checkpoint with --head FILE)");
    if (s->erased > 0)
        printf("%u of the recordings were deleted when the time to keep them was over, as the log says of each.\n", s->erased);
    fputs(verify_erased_words(s->erased_leaves, words), stdout);
    return EXIT_DONE;
}

enum status verify_state_folder(const char *folder, const struct evidence *key, const char *later_head, struct state_outcome *out, struct err *err)
{
    struct state s = { .folder = folder, .findings = json_array(), .seen = json_object() };
    unsigned char raw[32];
    const char *instance = NULL;
    enum status st = s.findings && s.seen ? verify_key_bytes(key, raw, &instance, err) : fail(err, NO_MEMORY, "findings");
    if (st == OK)
        st = examine(&s, raw, instance, later_head, err);
    json_decref(s.seen);
    free(s.segments.v);
    if (st == OK)
        *out = (struct state_outcome){ s.findings, s.leaves, s.published, s.sessions, s.segment_count, s.erased, s.erased_leaves };
    else
        json_decref(s.findings);
    return st;
}

int verify_state_run(struct verify *v, const char *later_head)
{
    struct err err = { 0 };
    struct evidence e = { 0 };
    struct state_outcome o = { 0 };
    enum status st = evidence_load_key(&e, v->log_key, &err);
    if (st == OK)
        st = verify_state_folder(v->state, &e, later_head, &o, &err);
    int code = st == OK ? report(v, &o) : command_failed("%s", err.text);
    json_decref(o.findings);
    evidence_done(&e);
    return code;
}
