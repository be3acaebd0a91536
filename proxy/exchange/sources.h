/* sources: how many connections, unfinished handshakes and strangers there are, in all and by source address, counted over all workers, and how fast one source begins
 * them. A stranger is a connection behind which no known person stands: its handshake is not done, or there is no good certificate, or that person has
 * connections enough. Asked a few times a connection, so a mutex does. IPv6 sources count by their /64. */
#ifndef COUNTERSIGN_SOURCES_H
#define COUNTERSIGN_SOURCES_H

#include "config/config.h"

#include <stdbool.h>
#include <stdint.h>

struct sockaddr_storage;
struct sources;
struct source;                        /* one address; valid from sources_enter to sources_leave */
struct sources *sources_new(void);
void sources_free(struct sources *s);
/* The key of an address, and its text (46 bytes at least). */
void source_key(const struct sockaddr_storage *sa, unsigned char key[16], char *text, unsigned text_max);
/* One more connection, a stranger's, whose handshake begins. NULL: this source has enough connections or handshakes, or begins too many a second, or no memory
 * is left. limits.connections and limits.handshakes are not looked at: past them somebody else may have to go (crowd.h). now_ms: monotonic. */
struct source *sources_enter(struct sources *s, const unsigned char key[16], const struct limits *l, int64_t now_ms);
/* Its handshake is done. */
void sources_settle(struct sources *s, struct source *e);
/* It turns out to be a known person's, or is so no more. */
void sources_stranger(struct sources *s, struct source *e, bool is_one);
/* It closes. What it was: young before its handshake was done. */
void sources_leave(struct sources *s, struct source *e, bool young, bool stranger, int64_t now_ms);
/* Over all sources and workers: connections, and how many of them are strangers' or in their handshakes. */
struct source_counts {
    unsigned total, strangers, young;
};
struct source_counts sources_count(struct sources *s);
/* Of one source: strangers, and unfinished handshakes. Without the mutex. */
unsigned source_strangers(const struct source *e);
unsigned source_young(const struct source *e);

#endif
