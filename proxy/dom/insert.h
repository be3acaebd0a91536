/* insert: where in an HTML document, read as it streams by, the recorder's script goes: right after <head ...>, else before the first other thing, never before the doctype (that would
 * change how the page is drawn). The same for every split of the input.
 *
 * It reads as HTML's own tokenizer does (HTML s13.2.5), and no further than that takes: a byte order mark, space, comments, the doctype, <html ...>, <head ...>. At most 10 bytes wait
 * until it is known what they begin. Where nothing can be said for sure, nothing is inserted, and the document passes as it is. */
#ifndef COUNTERSIGN_DOM_INSERT_H
#define COUNTERSIGN_DOM_INSERT_H

#include "proxy/base/slice.h"

#include <stdint.h>

enum {
    INSERT_HELD_MAX = 16,
    INSERT_LOOK_MAX = 64 * 1024,      /* so far it looks for a place */
};

/* Where the document goes on to; the pieces are valid during the call. */
struct insert_out {
    void (*put)(void *to, struct slice piece);
    void *to;
};

enum insert_outcome {
    INSERT_LOOKING,
    INSERT_DONE,                      /* the text was put, at `at` */
    INSERT_NONE,                      /* it never will be: `why`, a literal */
};

struct insert {
    struct slice text;
    enum insert_outcome outcome;
    const char *why;
    uint64_t at;                      /* bytes of the document before the text */
    uint64_t seen;
    unsigned state;
    bool in_head;                     /* of the tag that is being read */
    size_t held_len;
    unsigned char held[INSERT_HELD_MAX];
};

/* text: what is to be inserted; borrowed until the end. */
void insert_init(struct insert *i, struct slice text);
/* The next piece of the document, of any length. What it puts is at most the piece, the text and INSERT_HELD_MAX bytes. */
void insert_feed(struct insert *i, struct slice piece, const struct insert_out *out);
/* The document ended. */
void insert_end(struct insert *i, const struct insert_out *out);

#endif
