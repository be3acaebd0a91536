/* listing: which members of a recording list its exchanges: the indexes, and the segments that none of them covers. Found by the headers alone, without a key. */
#ifndef COUNTERSIGN_LISTING_H
#define COUNTERSIGN_LISTING_H

#include "proxy/record/index.h"
#include "proxy/record/tar.h"

struct listing_member {
    uint64_t start, content, content_len, end;
    unsigned number;
    enum tar_kind kind;
    bool sealed;
    struct index_cover cover;         /* of an index, as its header says it */
};

struct listing {
    struct listing_member *v;         /* in the order of the file */
    size_t count, cap;
    uint64_t end;                     /* where the members end */
};

/* Walk the headers of a file of `size` bytes. BAD_INPUT: from l->end on there are no members; those before are there. NO_MEMORY, IO_FAILED. */
MUST_CHECK enum status listing_walk(int fd, uint64_t size, struct listing *l, struct err *err);
void listing_done(struct listing *l);

/* Stretches of the file, in order: what lists its exchanges, and the end of the archive. malloc'd; NO_MEMORY. */
struct stretch_of_file {
    uint64_t from, len;
};
MUST_CHECK enum status listing_stretches(const struct listing *l, uint64_t size, struct stretch_of_file **out, size_t *count_out);

/* Numbers of segments. */
struct listing_set {
    unsigned char *bits;
    unsigned max;
};
MUST_CHECK enum status listing_set_make(struct listing_set *s, unsigned max);
void listing_set_add(struct listing_set *s, unsigned from, unsigned to);
bool listing_set_has(const struct listing_set *s, unsigned number);
void listing_set_done(struct listing_set *s);

#endif
