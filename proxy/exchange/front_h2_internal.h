/* front_h2_internal: what front_h2.c (the session, and what the client sends) and front_h2_send.c (what goes to the client) share. */
#ifndef COUNTERSIGN_FRONT_H2_INTERNAL_H
#define COUNTERSIGN_FRONT_H2_INTERNAL_H

#include "proxy/exchange/conn.h"
#include "proxy/exchange/h2_guard.h"
#include "proxy/exchange/h2_ids.h"
#include "proxy/exchange/h2_memory.h"
#include "proxy/http/h2_request.h"

#include <nghttp2/nghttp2.h>

enum { STREAM_OUT_MAX = 64 * 1024 };

struct h2_stream {
    struct h2_stream *next, *prev;    /* of the connection */
    struct exchange *x;
    struct h2_request building;       /* fields as they come */
    struct bbuf out;                  /* body for the client */
    bool started, ended, deferred, answered;
    int64_t moved_ms;                 /* when the client last took or sent something, or we were the ones it waited for */
    size_t unwanted;                  /* what came of the request's body after the whole answer was out */
};

struct h2_conn {
    nghttp2_session *session;
    struct h2_memory memory;          /* the session's */
    struct conn *conn;
    struct h2_stream *streams;
    struct h2_stream *reading;        /* whose field block is being read: nothing comes between its parts (RFC 9113 s4.3) */
    unsigned count;
    bool in_session;                  /* a callback of nghttp2 is on the stack */
    bool notified, stopping;          /* the first GOAWAY is out; the final one, which names the last stream */
    struct task work;
    struct h2_ids ids;
    struct h2_guard guard;
    int64_t quiet_ms;                 /* since when there is no stream */
    bool served;                      /* there was one */
    bool rests;                       /* nothing has come or gone since h2_memory_rest */
    int64_t widest;                   /* before the SETTINGS that are being read: send window of a stream (0: none), and the initial one */
    uint32_t window;
    const char *why;                  /* it was ended by us */
};

/* Something is to be sent or resumed; done outside nghttp2's callbacks. */
static inline void work_soon(struct h2_conn *h)
{
    task_soon(&h->conn->worker->loop, &h->work);
}

/* How exchanges of an HTTP/2 connection speak to their client; x->stream is a struct h2_stream. */
extern const struct front front_h2;
/* nghttp2's send_data_callback: a DATA frame's head and its part of the stream's body go into the connection's buffer. */
int h2_send_data(nghttp2_session *session, nghttp2_frame *f, const uint8_t *head, size_t len, nghttp2_data_source *source, void *user);

#endif
