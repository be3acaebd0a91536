/* nodes: sessions as several nodes recorded them. A person's requests under one grant may have gone through several nodes; each has recordings and a signed log of its own. An auditor who has
 * their folders at hand reads them here as one timeline, offline; nothing is fetched.
 *
 * A folder (--recordings DIR, or NAME=DIR to give the node a name; else it is called as its folder is) is one of
 *
 *   a kept session   recording.tar, log.json and log-key, as `verify --save` writes them
 *   a state folder   authz.db, log/ and recordings/, or a copy of one: any of its sessions
 *
 * Each node's log is read and checked with that node's own key: of the --log-key files given the one that fits, else what lies in the folder itself (log-key, log/key), which proves less. */
#ifndef COUNTERSIGN_COMMANDS_NODES_H
#define COUNTERSIGN_COMMANDS_NODES_H

#include "authz/approvals/audit.h"
#include "proxy/commands/commands.h"
#include "proxy/commands/evidence.h"
#include "proxy/record/archive.h"

enum { NODES_MAX = OPTION_TIMES_MAX - 1 };

#define NODES_OPTION(to) \
    { "recordings", 0, "[NODE=]DIR …", "offline: a node's folder (state folder, a copy, or what verify --save kept); once for each node", (to), NULL, false }

struct node {
    char *name;
    char *folder;
    bool kept;
    bool own_key;                     /* the log's key came from the folder itself */
    json_t *log_key;                  /* { instance, log_key } */
    struct audit *audit;              /* of a state folder; NULL: not opened yet, or `altered` says what is wrong with its database */
    char *altered;
    struct evidence e;                /* of the session asked for last; recording NULL: none is there */
};
struct nodes {
    struct node v[NODES_MAX];
    size_t count;
};

/* folders and log_keys end with NULL. BAD_INPUT: a folder is neither of both, two nodes have one name, a key fits no node. */
MUST_CHECK enum status nodes_open(const char *const *folders, const char *const *log_keys, struct nodes *out, struct err *err);
void nodes_done(struct nodes *n);

/* All sessions of all nodes, from the recordings' headers, newest first: [{ session, id, person, identity, tool, host, started_ms, ended_ms, exchanges, segments, nodes: [name] }]. */
MUST_CHECK enum status nodes_sessions(const struct nodes *n, json_t **out, struct err *err);
/* Fill each node's evidence with what it has of the session. A database that is not what its log says is no failure here: `altered`. NOT_FOUND: none of them knows it. */
MUST_CHECK enum status nodes_session(struct nodes *n, const char *session, struct err *err);
/* Is there anything of the session here? */
bool node_knows(const struct node *n);

enum nodes_read { NODES_LIST, NODES_LIST_AND_MESSAGES, NODES_WHOLE };
/* The session's exchanges of all nodes in one archive; and what is known about it: session, info { session, leaves (each with its `node`), nodes: clocks }. Nodes must outlive both. */
MUST_CHECK enum status nodes_read(struct nodes *n, const char *session, const struct age_keys *keys, enum nodes_read how, struct evidence *e, struct archive **a, struct err *err);

/* nodes_clock.c: how far the nodes' clocks are apart, going by the Date of the tool's answers: [{ node, answers, compared_with?, least_ms?, most_ms?, text }]. The first that can be compared is what the others are compared with. */
MUST_CHECK enum status nodes_clocks(const struct nodes *n, const struct age_keys *keys, json_t **out, struct err *err);
/* A line a node; nothing when the evidence is not of nodes. */
void nodes_print(FILE *out, const struct evidence *e);

#endif
