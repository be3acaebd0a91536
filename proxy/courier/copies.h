/* copies: what is recorded, copied off this machine as it comes, to object storage that speaks S3 (`recording.copy_to`).
 *
 *   URL/recordings/SESSION/NNNNNN.tar    one object a segment, byte for byte as it lies in SESSION.tar; one after the other, and 1024 zero bytes, they are that file again
 *   URL/log/…                            the published log (C2SP tlog-tiles), its checkpoint last
 *
 * The recordings' folder is the spool: a segment is synced, read back and checked before it is sent, and nothing waits for it. How far each session was copied stands in STATE/copies/SESSION,
 * written after the storage said that it has the segment; what is in doubt is sent again, to the same name with the same bytes. Requests are PUT with Signature Version 4 over the
 * content's SHA-256. A storage that is away is tried again, from 1 s up to 60 s apart, for as long as it takes. One thread only. */
#ifndef COUNTERSIGN_COPIES_H
#define COUNTERSIGN_COPIES_H

#include "config/config.h"
#include "proxy/courier/fetch.h"

struct copies;

/* The config is shared, the fetcher borrowed. IO_FAILED, BAD_INPUT: the secret's file, the folder. */
MUST_CHECK enum status copies_new(struct config *c, struct fetcher *f, struct copies **out, struct err *err);
/* Nothing new begins; what is under way ends by itself, and then the rest of the memory goes. NULL is fine. */
void copies_free(struct copies *c);
/* Begin what can be begun. Call often. */
void copies_step(struct copies *c);

#endif
