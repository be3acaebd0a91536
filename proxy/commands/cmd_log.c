/* log add-cosignature: at the gateway's machine: take a checkpoint that a witness cosigned, if it is one of this log, and publish it as STATE/log/witnessed. */
#include "authz/chain.h"
#include "config/config.h"
#include "proxy/base/clock.h"
#include "proxy/base/cosign.h"
#include "proxy/base/file.h"
#include "proxy/commands/commands.h"
#include "proxy/commands/verify_more.h"
#include "proxy/commands/words.h"
#include "proxy/commands/wrong_usage.h"
#include "proxy/record/verify_tiles.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

enum { SKEW_S = 300 };

struct taken {
    struct config *config;
    char *folder, *stored;            /* STATE/log, and in it the file */
    unsigned char key[32];
    unsigned char *note;
    size_t note_len;
    struct chain_head head;
    json_t *by;                       /* names of witnesses */
};

static struct slice after_plus(struct slice s)
{
    size_t at = slice_find(s, '+');
    return at < s.len ? slice_from(s, at + 1) : slice_of(s.ptr, 0);
}

/* The log's own key, from the line that is published beside it. */
static enum status own_key(struct taken *t, struct err *err)
{
    char *path = file_join(t->folder, "key"), again[CHAIN_NOTE_MAX];
    unsigned char *text = NULL, raw[48];
    size_t len = 0;
    enum status st = path ? file_read(path, CHAIN_NOTE_MAX, false, &text, &len, err) : fail(err, NO_MEMORY, "path");
    free(path);
    if (st != OK)
        return st;
    struct slice line = slice_trim(slice_of(text, slice_find(slice_of(text, len), '\n')));
    struct slice b64 = after_plus(after_plus(line));   /* NAME+HASH+KEY; the key may have a '+' of its own */
    if (b64.len != 44 || EVP_DecodeBlock(raw, b64.ptr, 44) != 33 || raw[0] != 1)
        st = fail(err, CORRUPT, "'%s/key' is not the key of a log", t->folder);
    if (st == OK) {
        memcpy(t->key, raw + 1, 32);
        if (chain_note_vkey(t->key, t->config->instance, again) != OK || !slice_eq(line, slice_str(again)))
            st = fail(err, CORRUPT, "'%s/key' is not the key of this instance's log", t->folder);
    }
    free(text);
    return st;
}

/* Is it a checkpoint of the log that lies here? */
static enum status check_log(struct taken *t, struct err *err)
{
    uint64_t leaves = 0;
    size_t i;
    json_t *findings = json_array(), *f;
    enum status st = chain_note_verify(t->key, t->config->instance, slice_of(t->note, t->note_len), &t->head, err);
    if (st == OK)
        st = verify_tiles(t->folder, t->key, t->config->instance, (const char *)t->note, findings, &leaves, err);
    json_array_foreach(findings, i, f)
        if (st == OK)
            st = fail(err, REFUSED, "%s%s. Next: keep this file and a copy of %s, and compare both with other people's", json_text_is(f, "kind", "forked-log") || json_text_is(f, "kind", "cut-log")
                      ? "THE WITNESS SAW ANOTHER LOG THAN THE ONE THAT LIES HERE: " : "", json_text(f, "text"), t->folder);
    json_decref(findings);
    return st;
}

static enum status check_witnesses(struct taken *t, struct err *err)
{
    enum status st = OK;
    for (size_t i = 0; i < t->config->witness_count && st == OK; i++) {
        struct witness w;
        struct cosignature c = { false, 0 };
        st = witness_parse(slice_str(t->config->witnesses[i]), &w, err);
        if (st == OK)
            st = cosignature_check(&w, slice_of(t->note, t->note_len), &c, err);
        if (st == OK && c.holds && c.time_s > clock_wall_s() + SKEW_S)
            st = fail(err, REFUSED, "the witness '%s' signed it in the future. Next: compare the clocks", w.name);
        if (st == OK && c.holds && json_array_append_new(t->by, json_string(w.name)) != 0)
            st = fail(err, BAD_INPUT, "a witness's name is not UTF-8");
    }
    if (st == OK && json_array_size(t->by) == 0)
        st = fail(err, REFUSED, "none of the %zu witnesses of the setting `witnesses` cosigned it", t->config->witness_count);
    return st;
}

/* Beside what is stored already, or in its place when it is later. */
static enum status store(struct taken *t, struct err *err)
{
    unsigned char *had = NULL;
    size_t len = 0;
    struct chain_head old = { 0 };
    char *merged = NULL;
    enum status st = file_read(t->stored, COSIGN_NOTE_MAX, false, &had, &len, err);
    if (st == OK && chain_note_verify(t->key, t->config->instance, slice_of(had, len), &old, NULL) == OK) {
        if (old.seq > t->head.seq)
            st = fail(err, REFUSED, "a cosigned checkpoint of %llu leaves is stored already, this one is of %llu", (unsigned long long)old.seq, (unsigned long long)t->head.seq);
        else if (old.seq == t->head.seq)
            st = cosign_merge(slice_of(had, len), slice_of(t->note, t->note_len), &merged, err);
    } else if (st == NOT_FOUND) {
        st = OK;
    }
    if (st == OK)
        st = file_write(t->stored, merged ? slice_str(merged) : slice_of(t->note, t->note_len), 0644, err);
    free(merged);
    free(had);
    return st;
}

static enum status take(struct taken *t, const char *config, const char *file, struct err *err)
{
    struct problems problems = { 0 };
    enum status st = config_load(config, &t->config, &problems);
    if (st != OK)
        st = fail(err, st, "the config '%s' has problems. Next: countersign check -c %s", config, config);
    problems_done(&problems);
    if (st == OK && t->config->witness_count == 0)
        st = fail(err, REFUSED, "the setting `witnesses` names none. Next: add the witness's verifier key to it");
    if (st != OK)
        return st;
    t->folder = config_path(t->config, "log");
    t->stored = t->folder ? file_join(t->folder, "witnessed") : NULL;
    t->by = json_array();
    if (t->stored == NULL || t->by == NULL)
        return fail(err, NO_MEMORY, "path");
    st = file_read(file, COSIGN_NOTE_MAX, false, &t->note, &t->note_len, err);
    if (st == OK)
        st = own_key(t, err);
    if (st == OK)
        st = check_log(t, err);
    if (st == OK)
        st = check_witnesses(t, err);
    return st == OK ? store(t, err) : st;
}

static int add_cosignature(const char *config, const char *file, bool json)
{
    struct taken t = { 0 };
    struct err err = { .text = "" };
    enum status st = take(&t, config, file, &err);
    int code = EXIT_DONE;
    if (st != OK)
        code = command_failed("%s", err.text);
    else if (json)
        command_json(json_pack("{s:I, s:O}", "leaves", (json_int_t)t.head.seq, "witnesses", t.by));
    else
        printf("Taken: a checkpoint of %llu leaves, cosigned by %zu of your witnesses. It is served as /log/witnessed on the operator's listener.\n", (unsigned long long)t.head.seq,
               json_array_size(t.by));
    json_decref(t.by);
    free(t.note);
    free(t.folder);
    free(t.stored);
    config_unref(t.config);
    return code;
}

int cmd_log(int argc, char **argv)
{
    const char *config = NULL;
    bool json = false;
    const struct option_spec options[] = {
        { "config", 'c', "FILE", "the gateway's config", &config, NULL, true },
        { 0 },
    };
    const struct usage usage = { "countersign log add-cosignature FILE -c CONFIG",
        "At the gateway's machine: take a checkpoint of the log that a witness (setting `witnesses`) cosigned. It is taken only if it is one of the log that lies here, and the\n"
        "cosignature holds. Any checkpoint that a monitor fetched from /log/checkpoint will do.", options, 2, 2, &json };
    char **args;
    size_t count;
    int code;
    if (!options_parse(argc, argv, &usage, &args, &count, &code))
        return code;
    if (strcmp(args[0], "add-cosignature") != 0)
        return wrong_usage(&usage, "there is no `log %s`", args[0]);
    return add_cosignature(config, args[1], json);
}
