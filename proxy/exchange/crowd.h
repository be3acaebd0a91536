/* crowd: who makes room when there are too many connections. Whoever only connects must keep nobody out, from however many addresses; so nobody unknown has a place
 * for good once places are few:
 *
 * - at `limits.connections`, less a bit for what workers don't know of each other, each newcomer displaces a stranger: of those who have been here longest, the first of the
 *   source that has most of them (fewer than eight are counted as one). So who holds hundreds loses them one by one, the new ones too, and a newcomer from an address of its own
 *   gets to finish its handshake. Only when all others are known people's is a newcomer closed;
 * - in the last sixteenth below it, strangers who have been here for a second go at the next tick, on every worker, so that there is room before it is needed;
 * - past `limits.handshakes`, likewise, one who is still in its handshake goes.
 *
 * A stranger is a connection behind which no known person stands (sources.h). Known people's connections are never displaced: how many they may have is
 * `limits.connections_per_person`, and what is beyond that counts as a stranger's. */
#ifndef COUNTERSIGN_CROWD_H
#define COUNTERSIGN_CROWD_H

#include <stdbool.h>

struct conn;
struct sockaddr_storage;
struct worker;
/* Its source is known: count it there. false: that source has enough; the caller closes. */
bool crowd_count(struct conn *c, const struct sockaddr_storage *source);
/* A new connection, whose handshake is to begin, counted or not yet: a stranger for now. */
void crowd_join(struct conn *c);
/* After either: somebody goes if there are too many. It may be c itself (conn_close). */
void crowd_press(struct conn *c);
/* Its handshake is done. */
void crowd_settle(struct conn *c);
/* Who stands behind it may have changed. */
void crowd_look_again(struct conn *c);
/* It closes. */
void crowd_leave(struct conn *c);
/* Every 100 ms. */
void crowd_tick(struct worker *w);

#endif
