/* load: a load client with a client certificate, which Debian's h2load cannot have. It checks every answer: status, length and
 * digest of the body. One thread a connection; a thread owns everything it touches but the shared count of requests left. */
#ifndef COUNTERSIGN_LOAD_H
#define COUNTERSIGN_LOAD_H

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { HEADERS_MAX = 16, REASONS_MAX = 12, REASON_LEN = 96, PIECE = 16384 };

struct options {
    const char *address;              /* numeric, what to connect to */
    const char *port;
    char *authority, *host, *path;    /* from the URL */
    const char *cert, *key, *ca;
    const char *method;
    const char *header[HEADERS_MAX];  /* "name: value", names in lower case for HTTP/2 */
    unsigned header_count;
    unsigned http;                    /* 1 or 2 */
    unsigned long requests, connections, streams;
    uint64_t upload_bytes;
    unsigned expect_status;
    int64_t expect_bytes;             /* -1: any */
    const char *expect_sha256;        /* lower-case hex; NULL: any */
    unsigned timeout_s;               /* without any progress on a connection */
    double rate;                      /* requests a second over all connections; 0: as fast as answers come */
    bool handshakes;                  /* a new connection, with a full handshake, for every request (HTTP/1.1) */
    bool idle;                        /* one request on each connection, then hold them all until standard input ends */
    const char *cipher, *group;       /* the only TLS 1.3 cipher suite and key exchange offered; NULL: OpenSSL's defaults */
    SSL_CTX *tls;
};

struct reason {
    char text[REASON_LEN];
    unsigned long count;
};

/* What one thread counted. */
struct tally {
    unsigned long done, failed, statuses[6];   /* by hundreds; 0: none came */
    uint64_t bytes_down, bytes_up;
    struct reason reasons[REASONS_MAX];
    uint32_t *latency_us;             /* one for each finished request; room for all */
    unsigned long latency_count;
};

struct worker {
    const struct options *o;
    atomic_long *left;                /* requests nobody has taken yet, of all threads */
    uint64_t begun_us;                /* when the whole run began: what a rate counts from */
    bool has_turn;                    /* this thread took a request and has not begun it yet */
    uint64_t due_us;                  /* when it is to begin; with a rate, what its latency counts from */
    struct tally tally;
    int fd;
    SSL *ssl;
    char error[REASON_LEN];           /* why the connection failed */
};

/* One answer being checked. */
struct answer {
    unsigned status;
    uint64_t bytes;
    EVP_MD_CTX *digest;               /* NULL unless a digest is expected */
    uint64_t begun_us;
};

/* tls.c */
bool tls_setup(struct options *o);
/* Connect and shake hands; on false w->error says why. The socket blocks, with timeouts, unless nonblocking is set. */
bool tls_open(struct worker *w, bool nonblocking);
void tls_close(struct worker *w);
bool tls_write_all(struct worker *w, const void *data, size_t len);

/* check.c */
uint64_t now_us(void);
/* The upload's bytes at an offset: the same pattern as tests/harness/origin.py makes. */
void pattern_fill(unsigned char *out, uint64_t offset, size_t len);
void pattern_sha256(uint64_t len, char hex[65]);
/* Take the next request, unless this worker has one already. False: none is left. */
bool take_turn(struct worker *w);
/* Microseconds until the turn is due; 0: now. */
uint64_t turn_wait_us(const struct worker *w);
/* Begins the worker's turn, which is used up. With a rate, time counts from when it was due: waiting for a busy connection counts too. */
void answer_begin(struct answer *a, struct worker *w);
void answer_data(struct answer *a, const void *data, size_t len);
/* The answer is over; complete says whether it ended as its framing says. Counts it, as failed when anything is not as expected. */
void answer_end(struct answer *a, struct worker *w, bool complete, const char *why);
void tally_fail(struct tally *t, unsigned long count, const char *why);

/* h1.c, h2.c: run requests on one connection until none are left or the connection breaks. */
void h1_run(struct worker *w);
void h2_run(struct worker *w);
/* One request on a connection that stays open; false: w->tally says why. */
bool h1_once(struct worker *w);
bool h2_once(struct worker *w);

/* idle.c: open o->connections, one request each, say so on standard output, hold them until standard input ends. The exit code. */
int idle_run(const struct options *o);

#endif
