/* api: the console's HTTP API as messages to authz, by one table (README.md here). Pure: no I/O. */
#ifndef COUNTERSIGN_API_H
#define COUNTERSIGN_API_H

#include "authz/policy.h"

#include <jansson.h>

enum { API_BODY_MAX = 32 * 1024 };

enum api_result {
    API_JSON,                         /* the answer's members */
    API_RAW,                          /* the answer's descriptor, as bytes */
    API_RECORDING,                    /* the session's recording file */
    API_LISTING,                      /* of that what lists its exchanges: indexes, and segments that none covers */
    API_ACTIVITY,                     /* what the workers say goes on now; authz is not asked */
};

struct api_request {
    struct slice method, path;        /* normal form */
    const struct reading *query;
    size_t query_count;
    struct slice content_type, body;
};

struct api_call {
    json_t *message;                  /* without "n" and "who"; the caller's */
    unsigned ok_status;
    enum api_result result;
    char id[64];                      /* the id in the path, or "" */
};

struct api_refusal {
    unsigned status;                  /* 400, 404, 405, 415 */
    const char *type, *detail, *next; /* literals */
};

/* Find the row and build the message. REFUSED with *why set, or NO_MEMORY. */
MUST_CHECK enum status api_route(const struct api_request *r, struct api_call *out, struct api_refusal *why);
/* The table, for tests that compare it with the description: [{method, path ("{id}" for the id), body: [name], query: [name], status, result}]. */
json_t *api_table(void);
/* The answer without what only the two processes need. The caller's. */
json_t *api_answer(const json_t *answer);

#endif
