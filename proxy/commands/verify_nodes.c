/* verify --recordings: what several nodes recorded, each node by itself: its log with its own key, its part of the session against that log. No node's log proves another's. */
#include "proxy/commands/verify_more.h"

#include "authz/chain.h"
#include "proxy/base/file.h"
#include "proxy/commands/nodes.h"
#include "proxy/commands/term.h"
#include "proxy/commands/words.h"
#include "proxy/record/verify.h"
#include "proxy/record/verify_tiles.h"

#include <stdlib.h>

enum { HEAD_FILE_MAX = 16 * 1024 };

/* What was found out about one node. */
struct found {
    json_t *findings;
    uint64_t leaves;
    unsigned segments, sessions;
    bool nothing;                     /* it has nothing of this session */
    bool erased;
    char *head;                       /* the checkpoint seen elsewhere that is of its log; NULL: none was given */
};

/* Each checkpoint is of the node whose key signed it; one that is nobody's is a mistake, or worse. */
static enum status share_heads(const struct verify *v, const struct nodes *n, struct found *all, struct err *err)
{
    enum status st = OK;
    for (size_t i = 0; v->heads[i] != NULL && st == OK; i++) {
        unsigned char *text = NULL;
        size_t len = 0, fits = 0;
        st = file_read(v->heads[i], HEAD_FILE_MAX, false, &text, &len, err);
        for (size_t k = 0; k < n->count && st == OK; k++) {
            struct evidence key = { .log_key = n->v[k].log_key };
            struct chain_head head;
            unsigned char raw[32];
            const char *instance = NULL;
            struct err why;
            st = verify_key_bytes(&key, raw, &instance, err);
            if (st != OK || chain_note_verify(raw, instance, slice_of(text, len), &head, &why) != OK)
                continue;
            fits++;
            free(all[k].head);
            if ((all[k].head = strdup((const char *)text)) == NULL)
                st = fail(err, NO_MEMORY, "checkpoint");
        }
        if (st == OK && fits == 0)
            st = fail(err, BAD_INPUT, "'%s' is not signed with the log key of any of these nodes", v->heads[i]);
        free(text);
    }
    return st;
}

static enum status examine_tiles(const struct node *n, struct found *f, struct err *err)
{
    unsigned char raw[32];
    const char *instance = NULL;
    uint64_t published = 0;
    struct evidence key = { .log_key = n->log_key };
    char *tiles = file_join(n->folder, "log");
    enum status st = tiles != NULL ? verify_key_bytes(&key, raw, &instance, err) : fail(err, NO_MEMORY, "path");
    if (st == OK)
        st = verify_tiles(tiles, raw, instance, f->head, f->findings, &published, err);
    free(tiles);
    return st;
}

/* Its part of one session. */
static enum status examine_part(struct verify *v, struct node *n, struct found *f, struct err *err)
{
    struct outcome o = { 0 };
    enum status st = OK;
    if ((f->findings = json_array()) == NULL)
        return fail(err, NO_MEMORY, "findings");
    if (n->altered != NULL)
        st = verify_finding(f->findings, "altered-database", 0, 0, "%s", n->altered);
    else if (!node_knows(n))
        f->nothing = true;
    if (st == OK && n->e.log != NULL) {
        st = verify_examine(v, &n->e, f->head, &o, err);
        if (st == OK && json_array_extend(f->findings, o.result.findings) != 0)
            st = fail(err, NO_MEMORY, "findings");
        f->leaves = o.result.leaves;
        f->segments = o.result.segments;
        f->sessions = 1;
        f->erased = o.result.erased_seq > 0 || o.result.history_seq > 0;
        verify_done(&o.result);
    }
    if (st == OK && !n->kept)
        st = examine_tiles(n, f, err);
    return st;
}

/* All that a state folder has; a kept session is the one that it is. */
static enum status examine_all(struct verify *v, struct node *n, struct found *f, struct err *err)
{
    struct state_outcome o = { 0 };
    struct evidence key = { .log_key = n->log_key };
    if (n->kept) {
        char *tar = file_join(n->folder, "recording.tar"), *log = file_join(n->folder, "log.json");
        enum status st = tar && log ? evidence_load(tar, log, NULL, NULL, &n->e, err) : fail(err, NO_MEMORY, "path");
        n->e.log_key = st == OK ? json_incref(n->log_key) : NULL;
        free(tar);
        free(log);
        return st == OK ? examine_part(v, n, f, err) : st;
    }
    enum status st = verify_state_folder(n->folder, &key, f->head, &o, err);
    if (st == OK)
        *f = (struct found){ .findings = o.findings, .leaves = o.leaves, .segments = o.segments, .sessions = o.sessions, .head = f->head };
    return st;
}

static void print_one(const struct node *n, const struct found *f)
{
    size_t count = json_array_size(f->findings);
    term_str(stdout, n->name);
    if (count > 0) {
        printf(": NOT WHOLE: %zu finding%s in %u segments and %llu log leaves\n", count, count == 1 ? "" : "s", f->segments, (unsigned long long)f->leaves);
        verify_print_findings(f->findings);
        return;
    }
    printf(": whole: %u session%s with %u segments, %llu log leaves", f->sessions, f->sessions == 1 ? "" : "s", f->segments, (unsigned long long)f->leaves);
    fputs(f->nothing ? "; it has nothing of this session" : f->erased ? "; its recording was deleted when the time to keep it was over, as its log says" : "", stdout);
    fputs(f->head == NULL ? "; no later checkpoint of its log was given" : "", stdout);
    fputs(n->own_key ? "; the log's key came from the folder itself\n" : "\n", stdout);
}

static json_t *json_one(const struct node *n, const struct found *f)
{
    return json_pack("{s:s, s:s, s:b, s:i, s:i, s:I, s:b, s:b, s:O}", "node", n->name, "instance", json_text(n->log_key, "instance"), "whole", json_array_size(f->findings) == 0, "sessions",
                     (int)f->sessions, "segments", (int)f->segments, "leaves", (json_int_t)f->leaves, "own_key", n->own_key, "later_head", f->head != NULL, "findings", f->findings);
}

/* Two nodes share no key: logs that have one are one log, and then one of them begins with the other, or it was forked. */
static void say_shared_keys(const struct nodes *n)
{
    for (size_t i = 0; i < n->count; i++)
        for (size_t k = 0; k < i; k++)
            if (json_equal(n->v[i].log_key, n->v[k].log_key))
                printf("%s and %s sign with the same log key: they are copies of one node, or its log was forked.\n", n->v[k].name, n->v[i].name);
}

static int report(const struct verify *v, const struct nodes *n, const struct found *all)
{
    bool whole = true;
    json_t *list = json_array();
    for (size_t i = 0; i < n->count; i++) {
        whole = whole && json_array_size(all[i].findings) == 0;
        if (v->json)
            json_array_append_new(list, json_one(&n->v[i], &all[i]));
        else
            print_one(&n->v[i], &all[i]);
    }
    if (v->json) {
        command_json(json_pack("{s:b, s:O}", "whole", whole, "nodes", list));
    } else {
        say_shared_keys(n);
        puts(whole ? "\nThis proves, of each node: no leaf of its log was changed, taken out or reordered up to its signed head, and each of its segments is the one whose digest is in its log, none missing and none\n"
                     "extra. It does not prove: that these are all nodes that had a part in it; that nothing was cut off the end of a log whose later checkpoint was not given (--head FILE); that clocks agreed\n"
                     "(countersign show says how far they are apart)."
                   : "Next: keep these folders as they are, and compare with other copies of the recordings and of the logs' checkpoints.");
    }
    json_decref(list);
    return whole ? EXIT_DONE : EXIT_REFUSED;
}

int verify_nodes_run(struct verify *v)
{
    struct err err = { 0 };
    struct nodes n = { .count = 0 };
    struct found all[NODES_MAX] = { { 0 } };
    enum status st = nodes_open(v->folders, v->log_keys, &n, &err);
    if (st == OK)
        st = share_heads(v, &n, all, &err);
    if (st == OK && v->session != NULL)
        st = nodes_session(&n, v->session, &err);
    for (size_t i = 0; i < n.count && st == OK; i++)
        st = v->session != NULL ? examine_part(v, &n.v[i], &all[i], &err) : examine_all(v, &n.v[i], &all[i], &err);
    int code = st == OK ? report(v, &n, all) : command_failed("%s", err.text);
    for (size_t i = 0; i < NODES_MAX; i++) {
        json_decref(all[i].findings);
        free(all[i].head);
    }
    nodes_done(&n);
    return code;
}
