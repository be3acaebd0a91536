/* operator_log: the published log on the operator's listener, as files (C2SP tlog-tiles): GET /log/checkpoint, /log/key, /log/tile/…, and
 * /log/witnessed: the newest checkpoint that a witness cosigned (countersign log add-cosignature). */
#ifndef COUNTERSIGN_OPERATOR_LOG_H
#define COUNTERSIGN_OPERATOR_LOG_H

#include "proxy/base/slice.h"
#include "proxy/base/status.h"

/* "checkpoint", "key", "witnessed", or a tile's name as the specification writes it, one spelling each:
 *
 *   tile = "tile/" ( DIGIT / "entries" ) "/" *( "x" 3DIGIT "/" ) 3DIGIT [ ".p/" width ]        width: 1 to 255 */
bool operator_log_name_ok(struct slice name);
/* malloc'd bytes of folder/name. NOT_FOUND: no such name or file. */
MUST_CHECK enum status operator_log_read(const char *folder, struct slice name, unsigned char **out, size_t *len_out, struct err *err);

#endif
