/* sources: how many connections are open, in all and by source address, counted over all workers. Asked once a connection, so a mutex does. IPv6 sources
 * count by their /64. */
#ifndef COUNTERSIGN_SOURCES_H
#define COUNTERSIGN_SOURCES_H

#include <stdbool.h>

struct sockaddr_storage;
struct sources;
struct sources *sources_new(void);
void sources_free(struct sources *s);
/* The key of an address, and its text (46 bytes at least). */
void source_key(const struct sockaddr_storage *sa, unsigned char key[16], char *text, unsigned text_max);
/* One more; false: this source has max_source already, or all have max_total, or no memory is left. */
bool sources_enter(struct sources *s, const unsigned char key[16], unsigned max_source, unsigned max_total);
void sources_leave(struct sources *s, const unsigned char key[16]);

#endif
