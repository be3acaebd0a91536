/* age: sealing to auditors' public keys, as age v1 files (C2SP age: X25519 recipients, HKDF-SHA256, ChaCha20-Poly1305 in pieces of 64 KiB), and opening them again.
 *
 * Whoever seals needs public keys only and cannot open what it has sealed: the key of each file is new, used once, and wiped. Stock `age -d -i KEY` opens what is
 * made here, and keys of stock age-keygen fit. */
#ifndef COUNTERSIGN_AGE_H
#define COUNTERSIGN_AGE_H

#include "proxy/base/slice.h"
#include "proxy/base/status.h"

#include "proxy/record/warc.h"

enum {
    AGE_KEY_BYTES = 32,
    AGE_PUBLIC_LEN = 62,              /* "age1…" */
    AGE_SECRET_LEN = 74,              /* "AGE-SECRET-KEY-1…" */
    AGE_RECIPIENTS_MAX = 16,
    AGE_CHUNK = 64 * 1024,
    AGE_TAG = 16,
};

/* ---- keys ---- */

/* A new pair, as text with NULs. The caller wipes secret. */
MUST_CHECK enum status age_key_make(char secret[AGE_SECRET_LEN + 1], char public_key[AGE_PUBLIC_LEN + 1], struct err *err);
/* "age1…" of a secret key. BAD_INPUT: it is none. */
MUST_CHECK enum status age_key_public(const char *secret, char public_key[AGE_PUBLIC_LEN + 1], struct err *err);
bool age_public_ok(const char *text);

/* Secret keys read from a file as age-keygen writes it: lines, '#' begins a comment. */
struct age_keys;
/* The file must belong to the caller, and to nobody else's eyes. BAD_INPUT, NOT_FOUND, IO_FAILED; texts never hold a key. */
MUST_CHECK enum status age_keys_load(const char *path, struct age_keys **out, struct err *err);
void age_keys_free(struct age_keys *k);

/* ---- sealing ---- */

struct age_sealer;
/* recipients: "age1…", 1 to AGE_RECIPIENTS_MAX. BAD_CONFIG names one that is no public key. */
MUST_CHECK enum status age_sealer_new(char *const *recipients, size_t count, struct age_sealer **out, struct err *err);
void age_sealer_free(struct age_sealer *s);
/* Append the whole file that holds `clear` to *to. On failure (NO_MEMORY, IO_FAILED) *to is as it was. */
MUST_CHECK enum status age_seal(struct age_sealer *s, struct slice clear, struct warc_bytes *to, struct err *err);

/* ---- opening ---- */

struct age_opener;
typedef enum status age_clear_call(void *to, struct slice clear);
/* keys are borrowed. What comes out is handed to `call` in pieces of at most AGE_CHUNK bytes, each proved before. */
MUST_CHECK enum status age_opener_new(const struct age_keys *keys, age_clear_call *call, void *to, struct age_opener **out);
void age_opener_free(struct age_opener *o);
/* Bytes in pieces of any size. REFUSED: sealed to other keys than these. BAD_INPUT: no age file, or an altered one. Else what `call` returned. */
MUST_CHECK enum status age_open_more(struct age_opener *o, struct slice sealed, struct err *err);
/* All bytes were given. BAD_INPUT: some are missing. */
MUST_CHECK enum status age_open_end(struct age_opener *o, struct err *err);

#endif
