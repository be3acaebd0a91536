/* fetch: a few bounded requests at a time to other machines, through libcurl, for one thread: HTTPS GET, POST and PUT, and mail over SMTP with TLS.
 *
 * Always: the certificate and its name are verified (TLS 1.2 at least); http only to this machine, whatever a resolver says; no redirect is followed, no proxy of the environment is
 * used, no connection and no cookie is kept; connecting, the whole and the answer's size are bounded. What it is given is copied. */
#ifndef COUNTERSIGN_FETCH_H
#define COUNTERSIGN_FETCH_H

#include "proxy/base/slice.h"
#include "proxy/base/status.h"

#include <stdbool.h>
#include <stdint.h>

enum { FETCHES_MAX = 32, FETCH_WATCHED_MAX = 8, FETCH_FIELDS_MAX = 16 };

struct fetch_order {
    const char *url;                  /* https://, http:// to a loopback address, smtps://, or smtp:// (STARTTLS required) */
    const char *ca_file;              /* PEM; NULL: the system's authorities */
    struct slice body;                /* of a POST or PUT, or the mail with its headers; ptr NULL: GET */
    bool put;                         /* HTTP: PUT instead of POST */
    const char *sign;                 /* HTTP: Signature Version 4, "aws:amz:REGION:SERVICE", with user and password as the key's id and its secret; NULL: unsigned */
    const char *const *fields;        /* "Name: value", ended by NULL; or NULL */
    size_t max_bytes;                 /* of the answer's content; what goes beyond ends it as FULL */
    int64_t connect_ms, total_ms;
    const char *mail_from;            /* mail only: addresses without brackets */
    const char *const *mail_to;       /* ended by NULL; one that the server takes is enough */
    const char *user, *password;      /* of mail, or of `sign`; or NULL */
};

struct fetch_result {
    enum status status;               /* OK: a whole answer with whatever code. FULL: it was too large. IO_FAILED, CLOSED (timed out) */
    unsigned code;                    /* HTTP or SMTP; 0: no answer came so far */
    struct slice body;                /* borrowed for the call; HTTP only */
    const char *why;                  /* in words; "" when OK */
};
typedef void fetch_done(void *arg, const struct fetch_result *r);

struct fetcher;
MUST_CHECK enum status fetcher_new(struct fetcher **out, struct err *err);
void fetcher_free(struct fetcher *f);  /* nobody is told of what is under way; NULL is fine. May wait for the resolver */
/* Begin one. `done` comes once, from fetch_step(). FULL: FETCHES_MAX are under way. BAD_INPUT: an URL of another scheme. */
MUST_CHECK enum status fetch_start(struct fetcher *f, const struct fetch_order *order, fetch_done *done, void *arg, struct err *err);
unsigned fetch_under_way(const struct fetcher *f);
struct fetch_watched {
    int fd;
    bool writable;                    /* wait for that, too */
};
/* Wait, at most so long, for something to happen to them or for one of these descriptors to be readable; then go on, and tell what is done. */
void fetch_step(struct fetcher *f, const struct fetch_watched *watched, size_t count, int wait_ms);

#endif
