/* status and err: how a function says what went wrong.
 *
 * A function that can fail for two reasons returns enum status and takes `struct err *err` last; `fail()`
 * fills the text and returns the status. The text is for our own log or terminal, never for a network peer,
 * and never holds a secret. err may be NULL. Results (`out`, `*_out`) are written on OK only. */
#ifndef COUNTERSIGN_STATUS_H
#define COUNTERSIGN_STATUS_H

#define MUST_CHECK __attribute__((warn_unused_result))

enum status {
    OK = 0,
    NO_MEMORY,
    BAD_INPUT,     /* untrusted bytes broke the grammar or a limit */
    BAD_CONFIG,    /* the operator's file or option is wrong */
    BAD_TOKEN,     /* a JWT, JWS or signature does not hold */
    EXPIRED,
    REFUSED,       /* understood, and the answer is no */
    NOT_FOUND,
    EXISTS,
    FULL,          /* a bounded thing is full: an answer, not a fault */
    AGAIN,         /* would block */
    CLOSED,        /* the other side is gone */
    IO_FAILED,     /* a system call failed; the text holds strerror */
    CORRUPT,       /* our own stored data does not hold together */
    STATUS_COUNT
};

/* A fixed word for each status: "no-memory", "bad-input" ... */
const char *status_name(enum status st);

struct err {
    char text[512];
};

/* Write the text (truncated to fit), return st. */
enum status fail(struct err *err, enum status st, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Put words before the text that is there: "people file 'x': " + text. */
void err_prefix(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The newest OpenSSL error as text, its queue drained. Valid until the next call in this thread. */
const char *ossl_reason(void);

#endif
