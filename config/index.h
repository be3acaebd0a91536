/* index: which actions of a tool could match a path, found without trying them all. With thousands of rules a request still looks at a few.
 *
 * Each action is filed under the literal beginning of its path pattern: all of it when there is no wildcard, else up to the last '/' before the
 * first one. A path is looked up by each of its own beginnings that end in '/', and as a whole. There are two such tables: one of the patterns as written,
 * and one of their loose form (below). Immutable once made. */
#ifndef COUNTERSIGN_INDEX_H
#define COUNTERSIGN_INDEX_H

#include "config/config.h"

struct identity_row {
    const char *identity;
    const struct person *person;
};

struct action_index;
/* Everything comes from the arena. NULL: no memory. */
struct action_index *action_index_new(struct arena *a, const struct action *actions, size_t count);

/* Walk the candidates for a path: every action that can match is among them, each once, in no order. path is borrowed. */
struct action_walk {
    const struct action_index *index;
    struct slice path;
    bool loose;
    size_t at;                        /* beginnings up to here are done */
    uint64_t hash;
    const unsigned *next, *end;       /* actions of the present beginning */
    unsigned stage;
};
struct action_walk action_walk_start(const struct action_index *x, struct slice path, bool loose);
/* False at the end. */
bool action_walk_next(struct action_walk *w, size_t *action_out);

/* The loose form of a path or a pattern: lower case, percent-encodings decoded (twice), '\\' read as '/', several '/' as one, no '/' at the end; with
 * `strip_params` without ";params". Tools differ in what they take for the same path, so a stricter rule must also catch the spellings
 * that only some tools read that way (authz/policy.c). out holds in.len bytes; returns the length, which is never larger. */
size_t path_loosen(struct slice in, bool strip_params, char *out);
/* The same, but for the case of letters, which stays: byte for byte as long. */
size_t path_plain(struct slice in, bool strip_params, char *out);
/* The loose pattern of an action, made once. */
const char *action_index_loose(const struct action_index *x, size_t action);

#endif
