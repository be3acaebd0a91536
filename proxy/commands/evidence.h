/* evidence: what `show`, `replay` and `verify` look at: a session's recording, the log, and the log's key; fetched from the gateway, or read from files kept earlier.
 *
 * A downloaded recording lies in a temporary file that only this process can reach (0600, and its name removed at once), so nothing of it stays behind, however the command ends. */
#ifndef COUNTERSIGN_EVIDENCE_H
#define COUNTERSIGN_EVIDENCE_H

#include "proxy/commands/client.h"

#include <jansson.h>

struct evidence {
    char session[65];                 /* "" when it is not known (offline, show and replay) */
    char *recording;                  /* a path to open; NULL: none */
    FILE *file;                       /* behind it, when it was downloaded */
    bool from_storage;                /* it came from object storage, whole */
    json_t *info;                     /* answer of GET /api/v1/sessions/ID: session, segments, leaves; NULL offline */
    json_t *log;                      /* { leaves, head, session }; NULL: not fetched */
    json_t *about;                    /* of the log's leaves those with content, so that a long log is walked once */
    json_t *log_key;                  /* { instance, log_key }; NULL: not fetched */
};

/* Session facts and recording, for purpose "show", "replay", "verify", "export" or "incident" (which the gateway logs). When the gateway has
 * no file of it any more, or the option --storage says so, it is read from object storage (storage.h). Of a session that retention
 * deleted there is no recording: NULL for verify and incident, NOT_FOUND for the others. */
MUST_CHECK enum status evidence_fetch(struct client *c, const char *session, const char *purpose, struct evidence *out, struct err *err);
/* "erased by retention on ..., as logged in leaf N". */
void evidence_erased_text(uint64_t seq, int64_t time_ms, char *out, size_t max);
/* The same with only what lists the exchanges (archive_list) in place of the recording; and then all of the recording after all. */
MUST_CHECK enum status evidence_fetch_listing(struct client *c, const char *session, const char *purpose, struct evidence *out, struct err *err);
MUST_CHECK enum status evidence_fetch_rest(struct client *c, struct evidence *e, struct err *err);
/* All pages of the log, with the content of the leaves about this session (none when e->session is ""), and the log key (unless it is there already). */
MUST_CHECK enum status evidence_fetch_log(struct client *c, struct evidence *e, struct err *err);
/* The same from files. log and log_key may be NULL. */
MUST_CHECK enum status evidence_load(const char *recording, const char *log, const char *log_key, const char *session, struct evidence *out, struct err *err);
/* A log that is here already: taken over, on failure too, and its leaves that have content gathered. */
MUST_CHECK enum status evidence_take_log(struct evidence *e, json_t *log, struct err *err);
/* Read a log key file ({ "instance": …, "log_key": … }) into e, in place of the gateway's own. */
MUST_CHECK enum status evidence_load_key(struct evidence *e, const char *path, struct err *err);
/* recording.tar, log.json and log-key in that folder (made, 0700). */
MUST_CHECK enum status evidence_save(const struct evidence *e, const char *folder, struct err *err);
/* The leaves about the session that have content: of the log if there is one, else of the info. Borrowed; may be NULL. */
const json_t *evidence_leaves(const struct evidence *e);
void evidence_done(struct evidence *e);
/* A file without a name, in TMPDIR or /tmp, which only this process can reach and which is gone with it; NULL: err says why. */
FILE *evidence_nameless_file(struct err *err);

#endif
