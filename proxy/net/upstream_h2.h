/* What upstream_h2.c and upstream_h2_in.c share. */
#ifndef COUNTERSIGN_UPSTREAM_H2_H
#define COUNTERSIGN_UPSTREAM_H2_H

#include "proxy/base/log.h"
#include "proxy/net/upstream_internal.h"

#include <nghttp2/nghttp2.h>

struct h2_left {                      /* a stream that nobody waits for, and that is to be reset */
    int32_t id;
    int64_t not_before_ms;
};

struct h2_client {
    nghttp2_session *session;
    struct wire *wire;
    struct upstream *streams;
    unsigned load;                    /* streams that are open, and those about to be */
    bool settings_in, retired;
    struct task work;
    unsigned tokens;                  /* so many resets at once */
    int64_t token_ms, heard_ms;
    struct h2_left left[2 * H2_STREAMS_MAX];
    unsigned left_count;
};

/* upstream_h2_in.c */
bool h2_session_new(struct h2_client *h);

/* upstream_h2.c */
void h2_forget(struct upstream *u);
void h2_failed(struct upstream *u, enum upstream_failure f, const char *reason);
void h2_finish(struct upstream *u);
void h2_deliver(struct upstream *u);
void h2_let_begin(struct upstream *u);
int64_t h2_patience(const struct upstream *u);
unsigned h2_streams_max(const struct h2_client *h);

#endif
