/* h2_memory: what an nghttp2 session keeps for as long as its connection, in pages that the kernel gets back while the connection rests.
 *
 * A session (1.52) takes 16 KiB for the frame that it is making and 4 KiB for its table of streams, and keeps both when there is neither. Thousands of idle connections are what a
 * gateway in front of office hours has, so those two lie in pages of their own: six to a session, from slabs that a thread keeps. All else comes from malloc. */
#ifndef COUNTERSIGN_H2_MEMORY_H
#define COUNTERSIGN_H2_MEMORY_H

#include <nghttp2/nghttp2.h>
#include <stdbool.h>

/* Zero it at birth; it must stay where it is, and outlive the session. */
struct h2_memory {
    unsigned char *pages;             /* NULL: none were asked for */
    bool frame, table;                /* in use, at their places in them */
};

/* For nghttp2_session_server_new3, which copies it. */
nghttp2_mem h2_memory_of(struct h2_memory *m);
/* The session has no frame under way: mem_send came to its end. Pages without contents go; they come back, zeroed, when they are written to. */
void h2_memory_rest(struct h2_memory *m);
/* This thread makes no more sessions, and all of its are gone: its slabs go. */
void h2_memory_done(void);

#endif
