/* query_match: is the query that a replayed page asks with the one that was recorded? A page's scripts put times and random words into queries, so that no two loads of
 * a page ask the same; and a recording holds fingerprints where secrets stood. Everything else must be equal: an answer to another question would be a false one. */
#ifndef COUNTERSIGN_QUERY_MATCH_H
#define COUNTERSIGN_QUERY_MATCH_H

#include "proxy/base/slice.h"

enum query_match {
    QUERY_OTHER,
    QUERY_NEAR,                       /* equal but for values that only keep caches and proxies away, or number a connection */
    QUERY_REDACTED,                   /* equal but for what redaction took out of the recorded one */
    QUERY_SAME,
};

/* Both without '?'; the same names must stand in the same order. */
enum query_match query_compare(struct slice asked, struct slice recorded);

#endif
