/* bech32: bytes as the text of BIP 173, as age writes its keys ("age1…", "AGE-SECRET-KEY-1…"). Strict: one case, the checksum, and no bits left over. */
#ifndef COUNTERSIGN_BECH32_H
#define COUNTERSIGN_BECH32_H

#include "proxy/base/slice.h"

enum { BECH32_BYTES_MAX = 64 };

/* Characters of the text without its NUL, for n bytes behind a prefix of p characters. */
#define BECH32_LEN(p, n) ((size_t)(p) + 1 + ((size_t)(n) * 8 + 4) / 5 + 6)

/* prefix is upper or lower case, and so is all of the text. out holds BECH32_LEN + 1; at most BECH32_BYTES_MAX bytes. */
void bech32_encode(const char *prefix, struct slice bytes, char *out);
/* Is this the text of exactly `want` bytes behind this prefix, in the prefix's case? */
bool bech32_decode(const char *prefix, struct slice text, unsigned char *out, size_t want);

#endif
