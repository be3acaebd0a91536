/* sources: how many connections and unfinished handshakes there are, in all and by source address, counted over all workers, and how fast one source begins
 * them. Asked twice a connection, so a mutex does. IPv6 sources count by their /64. */
#ifndef COUNTERSIGN_SOURCES_H
#define COUNTERSIGN_SOURCES_H

#include "config/config.h"

#include <stdbool.h>
#include <stdint.h>

struct sockaddr_storage;
struct sources;
struct sources *sources_new(void);
void sources_free(struct sources *s);
/* The key of an address, and its text (46 bytes at least). */
void source_key(const struct sockaddr_storage *sa, unsigned char key[16], char *text, unsigned text_max);
/* One more connection, whose handshake begins; false: this source has enough connections or handshakes, or begins too many a second, or all have enough
 * connections, or no memory is left. now_ms: monotonic. */
bool sources_enter(struct sources *s, const unsigned char key[16], const struct limits *l, int64_t now_ms);
/* Its handshake is done. */
void sources_settle(struct sources *s, const unsigned char key[16]);
/* It closes; young: before its handshake was done. */
void sources_leave(struct sources *s, const unsigned char key[16], bool young, int64_t now_ms);
/* Unfinished handshakes, over all sources and workers. */
unsigned sources_young(struct sources *s);

#endif
