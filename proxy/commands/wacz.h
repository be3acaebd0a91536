/* wacz: a session as WACZ 1.1.1 (Web Archive Collection Zipped), which ReplayWeb.page opens: datapackage.json, archive/data.warc.gz, indexes/index.cdx, pages/pages.jsonl.
 *
 * The WARC in it is not the recording's, segment by segment, but made of its exchanges: messages that go on over several segments are one record each, since readers of web archives don't join continuations. WebSocket messages
 * and what was never answered are left out: HAR and `--raw` have them. */
#ifndef COUNTERSIGN_COMMANDS_WACZ_H
#define COUNTERSIGN_COMMANDS_WACZ_H

#include "proxy/record/archive.h"

#include <stdio.h>

struct wacz_options {
    const char *title;
    bool fingerprints;                /* keep what redaction left of cookies and tokens; else those fields are left out */
    int64_t now_ms;
};
/* work: an empty file to write to and read back, which nobody else reads. IO_FAILED, FULL (4 GiB), NO_MEMORY. *exchanges_out: how many are in it. */
MUST_CHECK enum status wacz_write(const struct archive *a, const struct wacz_options *o, FILE *work, FILE *out, size_t *exchanges_out, struct err *err);

#endif
