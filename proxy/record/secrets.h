/* secrets: which secrets an answer showed, as redaction left them: the fingerprints in a recorded response head. They tell whether two answers showed the same one, and to whom. */
#ifndef COUNTERSIGN_SECRETS_H
#define COUNTERSIGN_SECRETS_H

#include "proxy/base/slice.h"

enum { SECRETS_MAX = 1024 };          /* of text */

/* "set-cookie=fp:0pZB8Xb2l1VQx7aJ,x-api-key=fp:…": the names of fields and what stands for their values, each pair once, as many as fit. head: HTTP/1.1 text, redacted.
 * Returns the length, without NUL. */
size_t secrets_in_head(struct slice head, char out[SECRETS_MAX]);

#endif
