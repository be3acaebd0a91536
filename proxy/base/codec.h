/* codec: bytes as text. base64url is RFC 4648 s5 without padding, as JOSE uses it; decoders are strict: a
 * foreign character, padding, or unused bits that are not zero make BAD_INPUT, so that one value has one text. */
#ifndef COUNTERSIGN_CODEC_H
#define COUNTERSIGN_CODEC_H

#include "proxy/base/slice.h"
#include "proxy/base/status.h"

#define HEX_LEN(n) ((size_t)(n) * 2)
#define B64URL_LEN(n) (((size_t)(n) * 4 + 2) / 3)

/* Lower-case hex with a NUL: out holds HEX_LEN(in.len) + 1. */
void hex_encode(struct slice in, char *out);
MUST_CHECK enum status hex_decode(struct slice in, unsigned char *out, size_t out_max, size_t *len_out);
/* With a NUL: out holds B64URL_LEN(in.len) + 1. */
void b64url_encode(struct slice in, char *out);
MUST_CHECK enum status b64url_decode(struct slice in, unsigned char *out, size_t out_max, size_t *len_out);
/* SHA-256 of the pieces, one after the other. */
void sha256(const struct slice *pieces, size_t count, unsigned char out[32]);
static inline void sha256_one(struct slice s, unsigned char out[32]) { sha256(&s, 1, out); }
/* len random bytes as base64url with a NUL; out holds B64URL_LEN(len) + 1. Aborts if the system has no randomness. */
void random_id(size_t len, char *out);

#endif
