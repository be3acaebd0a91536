/* client: the command line's side of the API (proxy/console/README.md): HTTPS with the person's certificate to the console's host, and to nothing else.
 *
 * The server's name is always verified; TLS 1.2 at least; no redirect is followed, no proxy used, no cookie kept. Names ending in ".localhost" are this machine, as in browsers.
 * Every answer has a largest size and every call a deadline. */
#ifndef COUNTERSIGN_CLIENT_H
#define COUNTERSIGN_CLIENT_H

#include "proxy/base/status.h"
#include "proxy/commands/profile.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { CLIENT_JSON_MAX = 16 * 1024 * 1024, CLIENT_BLOB_MAX = 64 * 1024 * 1024 };

struct client;

/* Fills the profile, checks that all is there, and makes ready; nothing is sent yet. The profile is borrowed until client_free. BAD_CONFIG. */
MUST_CHECK enum status client_open(struct profile *p, struct client **out, struct err *err);
void client_free(struct client *c);
/* The profile it was opened with. Borrowed. */
const struct profile *client_profile(const struct client *c);
/* The last refusal was no failure after all: do not report it. */
void client_forget_problem(struct client *c);

/* path: "/api/v1/status". The answer must be a JSON object of at most CLIENT_JSON_MAX bytes; *out is the caller's. REFUSED or NOT_FOUND: the gateway answered with a problem, which
 * client_failed prints whole; IO_FAILED: it could not be asked; BAD_INPUT: the answer makes no sense. */
MUST_CHECK enum status client_get(struct client *c, const char *path, json_t **out, struct err *err);
/* method "POST" or "DELETE"; body may be NULL, and is borrowed. An empty answer gives an empty object. */
MUST_CHECK enum status client_send(struct client *c, const char *method, const char *path, const json_t *body, json_t **out, struct err *err);
/* Raw bytes, at most max_bytes; *out is malloc'd. */
MUST_CHECK enum status client_get_bytes(struct client *c, const char *path, size_t max_bytes, unsigned char **out, size_t *len_out, struct err *err);
/* Raw bytes into a file, at most max_bytes. */
MUST_CHECK enum status client_download(struct client *c, const char *path, FILE *to, uint64_t max_bytes, struct err *err);
/* Append "name=value" to a path, percent-encoded, after '?' or '&'. NULL value: nothing. malloc'd; takes path over. NULL: no memory. */
char *client_query(struct client *c, char *path, const char *name, const char *value);

/* The problem of the last refused call (RFC 9457: type, title, status, detail, next), or NULL. Borrowed until the next call. */
const json_t *client_problem(const struct client *c);
/* Is it of this type, such as "history-erased"? */
bool client_problem_is(const struct client *c, const char *type);
/* Print why the last call (or anything else that filled err) failed: the problem's title, detail and next when there is one, else the error's text. c may be NULL. Returns
 * EXIT_REFUSED. */
int client_failed(const struct client *c, const struct err *err);

#endif
