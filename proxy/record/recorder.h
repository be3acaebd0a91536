/* recorder: the thread that takes what the workers' tapes hold and keeps it.
 *
 * Per session it builds segments: gzip-per-record WARC 1.1 (ISO 28500), closed at segment_bytes, after segment_ms, or on demand; each is appended to STATE/recordings/SESSION.tar as
 * one member 000001.warc.gz (with `.age` behind it, sealed to the config's auditors), fsynced in groups, and its digest is sent to authz as a log leaf. Only then does the tape's tail move, so a
 * process killed at any moment loses nothing: the next recorder reads on, and skips what a segment already holds (each member names the ring and the position it reaches, in a pax
 * header). */
#ifndef COUNTERSIGN_RECORDER_H
#define COUNTERSIGN_RECORDER_H

#include "config/config.h"

struct recorder;

struct recorder_ring {
    void *memory;
    size_t size;
    int wake_fd;                      /* eventfd of the worker that writes this ring */
};

/* Start the thread. rings are borrowed until recorder_stop. authz_socket: path of authz's socket. */
MUST_CHECK enum status recorder_start(const struct config *c, const char *authz_socket, const struct recorder_ring *rings, size_t count,
                                      struct recorder **out, struct err *err);
/* Take the auditors' keys of another config: segments are sealed to those from the next one on. From any thread; on failure the old ones stay. */
MUST_CHECK enum status recorder_reload(struct recorder *r, const struct config *c, struct err *err);
/* Write and log everything that is on the tapes, then end the thread. NULL is fine. */
void recorder_stop(struct recorder *r);

#endif
