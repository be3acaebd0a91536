/* verify_more: `verify` of more than one session: the log by itself, the published log's files, everything at once. */
#ifndef COUNTERSIGN_COMMANDS_VERIFY_MORE_H
#define COUNTERSIGN_COMMANDS_VERIFY_MORE_H

#include "proxy/commands/commands.h"
#include "proxy/commands/evidence.h"
#include "proxy/record/archive.h"

struct verify {
    struct profile profile;
    const char *file, *log, *log_key, *session, *head, *save, *tiles, *state, *witness;   /* log_key, head: the first of these: */
    const char *log_keys[OPTION_TIMES_MAX], *heads[OPTION_TIMES_MAX], *folders[OPTION_TIMES_MAX];
    bool json;
};

/* What was found out about one session. */
struct outcome {
    struct verify_result result;
    unsigned approvals;
    bool opened;                      /* with the auditor's key, and every record was readable */
    bool whole;
};
/* cmd_verify.c: the log key's bytes; one session, with everything fetched; findings as lines. */
MUST_CHECK enum status verify_key_bytes(const struct evidence *e, unsigned char out[32], const char **instance, struct err *err);
MUST_CHECK enum status verify_session(struct verify *v, struct client *c, struct evidence *e, const char *later_head, struct outcome *out, struct err *err);
/* With everything at hand. Its log key is the evidence's. */
MUST_CHECK enum status verify_examine(struct verify *v, const struct evidence *e, const char *later_head, struct outcome *out, struct err *err);
void verify_print_findings(const json_t *findings);
/* "" or a sentence that says that so many leaves of a log were erased. */
enum { VERIFY_WORDS_MAX = 320 };
const char *verify_erased_words(uint64_t leaves, char out[VERIFY_WORDS_MAX]);
/* verify_witness.c: are these witnesses' cosignatures on this checkpoint, and do they hold? Findings: no-cosignature, bad-cosignature. Nothing when no witness is given. */
MUST_CHECK enum status verify_witnesses(const struct verify *v, const char *checkpoint, json_t *findings, struct err *err);
/* What that proves, once all of it holds. */
void verify_print_witnesses(const struct verify *v, const char *checkpoint);

/* verify_state.c: a state folder, whole. */
struct state_outcome {
    json_t *findings;                 /* the caller's */
    uint64_t leaves, published;
    unsigned sessions, segments, erased;   /* erased: sessions whose recording was deleted by retention */
    uint64_t erased_leaves;           /* whose content was erased by retention */
};
MUST_CHECK enum status verify_state_folder(const char *folder, const struct evidence *key, const char *later_head, struct state_outcome *out, struct err *err);

/* Exit codes. later_head: text, or NULL. */
int verify_log_run(struct verify *v, const char *later_head);
int verify_tiles_run(struct verify *v, const char *later_head);
int verify_state_run(struct verify *v, const char *later_head);
/* --recordings: each node's log with its own key, and its part of the session (or, without one, all that its folder has). */
int verify_nodes_run(struct verify *v);
int verify_all_run(struct verify *v, const char *later_head);

#endif
