/* confine: what each process of the gateway may do, in one place; proxy/base/sandbox.h says how the kernel is told. confine.c has the table, a function a process.
 *
 *             files                                                                              network                   other
 *   run       those of its user; it opens what the others may only read (window.h)               as its children           starts and signals them
 *   proxy     recordings/ to write, log/ to read; by the window: TLS certificates, keys,         to anywhere; it listens   -
 *             authorities, revocation list, the recorder's script; audit.file to append              on what it was given
 *   authz     the state folder and audit.file's folder to write; everything to read: it has      none; with audit.syslog   -
 *             the keys, and nobody to tell it to                                                 over UDP or TCP: that
 *   courier   copies/ to write, recordings/ and log/ to read; by the window: its secrets,        to anywhere               -
 *             certificates and authorities
 *
 * All of them but run: what a system has for every program (libraries, /etc, the system's authorities) to read. No program is started, no other process is signalled or traced. A reload
 * may name new files anywhere: the window answers for what the config in force names; authz reads everything; but a new folder of audit.file takes a restart, and the log says so. The audit file is
 * a copy of what the signed log says: the proxy holds it open, so an owned one could write what it likes there, or cut it; whoever needs to be sure compares it with the log. */
#ifndef COUNTERSIGN_CONFINE_H
#define COUNTERSIGN_CONFINE_H

#include "config/config.h"

/* Each enters the sandbox of its process, as config_load and the setting `sandbox` say: before any thread is started, after descriptors were inherited. */
MUST_CHECK enum status confine_run(const struct config *c, struct err *err);
MUST_CHECK enum status confine_proxy(const struct config *c, struct err *err);
MUST_CHECK enum status confine_authz(const struct config *c, struct err *err);
MUST_CHECK enum status confine_courier(const struct config *c, struct err *err);

/* May the parent open this path for appending: the audit file, in which the proxy tells who came to the door. */
bool confine_may_append(const char *child, const struct config *c, const char *path);
/* May the parent open this path for that child ("proxy", "courier")? Only what this config names for it, exactly as it stands there. */
bool confine_may_read(const char *child, const struct config *c, const char *path);

#endif
