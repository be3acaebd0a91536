/* ca_index: the list of issued certificates, as JSON lines. Read whole, checked strictly, written whole and atomically. */
#ifndef COUNTERSIGN_CA_INDEX_H
#define COUNTERSIGN_CA_INDEX_H

#include "certs/ca.h"

struct ca_index {
    struct ca_entry *v;
    size_t count;
};

/* CORRUPT, with the line: a member is missing, of a wrong form, or a serial stands twice. */
MUST_CHECK enum status ca_index_read(const char *path, struct ca_index *out, struct err *err);
MUST_CHECK enum status ca_index_write(const char *path, const struct ca_index *index, struct err *err);
/* A copy of e is appended. */
MUST_CHECK enum status ca_index_add(struct ca_index *index, const struct ca_entry *e, struct err *err);
void ca_index_done(struct ca_index *index);

#endif
