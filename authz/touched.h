/* touched: what the gateway itself can search recordings by: keyed hashes of the names of customers and the like (budget_names). The names stand only in what is sealed to auditors.
 *
 * hash = base64url of the first 12 bytes of HMAC-SHA256(K, name), K = HMAC-SHA256(keys/fingerprint.key, "countersign touched v1"). Whoever has that key (it lies in the state folder) can
 * test a guess, and nobody else can; the order and number of a session's hashes says how many different customers it touched. */
#ifndef COUNTERSIGN_TOUCHED_H
#define COUNTERSIGN_TOUCHED_H

#include "config/config.h"

enum { TOUCHED_LEN = 16, TOUCHED_MAX = 256 };   /* of a hash; hashes of one segment */

/* K. NOT_FOUND: there is no such key file, so nothing can be searched; BAD_CONFIG, IO_FAILED. The caller wipes it. */
MUST_CHECK enum status touched_key(const struct config *c, unsigned char key[32], struct err *err);
void touched_hash(const unsigned char key[32], struct slice name, char out[TOUCHED_LEN + 1]);

#endif
