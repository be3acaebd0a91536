/* content: the origin on which recorded pages live. Each page has a host of its own, so that paths stay what they were, relative links lead where they led, and every request says which page, and with that
 * which moment, it belongs to:
 *
 *     http://eNUMBER-TOKEN.localhost:PORT/recorded/path?query        e: the page's scripts run; p: they don't
 *
 * NUMBER is the exchange's, from 1; TOKEN is 128 random bits, so that nobody else on this machine can ask. What comes back can run nothing outside its sandbox, load nothing from anywhere else, and reaches
 * neither the viewer nor the network (content_policy). README.md says why each line of the policy is there. */
#ifndef COUNTERSIGN_REPLAY_CONTENT_H
#define COUNTERSIGN_REPLAY_CONTENT_H

#include "proxy/replay/httpd.h"
#include "proxy/replay/player.h"
#include "proxy/replay/recorded.h"

#include <jansson.h>

enum { CONTENT_TOKEN_LEN = 32, CONTENT_ORIGIN_MAX = 96, CONTENT_NOTED_MAX = 200 };

struct content {
    struct recorded *recorded;
    char token[CONTENT_TOKEN_LEN + 1];    /* lower-case hex */
    uint16_t port, viewer_port;
    const char *player;               /* folder of rrweb's player; NULL: not here */
    /* what the viewer shows beside the page */
    uint64_t generation;              /* pages given out so far */
    size_t shown;                     /* the last one; RECORDED_NONE */
    size_t opens;                     /* the page that a link in it leads to: the viewer opens it; RECORDED_NONE */
    bool scripts;
    json_t *missing, *near;           /* of that one: what it asked for and was not there; what was answered though it differed */
};

/* ports are set by the caller, once it listens. NO_MEMORY. */
MUST_CHECK enum status content_init(struct content *c, struct recorded *r);
void content_done(struct content *c);
/* A httpd_handler; to: struct content. */
void content_handle(void *to, const struct httpd_request *q, struct httpd_answer *a);

/* "http://e12-TOKEN.localhost:4711" */
char *content_origin(const struct content *c, size_t index, bool scripts, char out[CONTENT_ORIGIN_MAX]);
/* The page whose player an authority names ("d" in place of "e": player.h). */
bool content_read_player_host(const struct content *c, struct slice authority, size_t *index_out);
/* The page that an authority names. False: none of ours. */
bool content_read_host(const struct content *c, struct slice authority, size_t *index_out, bool *scripts_out);

#endif
