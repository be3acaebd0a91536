/* age_wrap: the arithmetic that sealing and opening share. Behind age.h. */
#ifndef COUNTERSIGN_AGE_WRAP_H
#define COUNTERSIGN_AGE_WRAP_H

#include "proxy/record/age.h"

#include <openssl/evp.h>
#include <stdint.h>

enum {
    AGE_FILE_KEY = 16,
    AGE_NONCE = 16,
    AGE_WRAPPED = AGE_FILE_KEY + AGE_TAG,
    AGE_B64_32 = 43,                  /* 32 bytes in base64 without padding */
};
#define AGE_INTRO "age-encryption.org/v1\n"

struct age_keys {
    size_t count;
    struct age_key {
        unsigned char public_key[AGE_KEY_BYTES];
        EVP_PKEY *secret;
    } v[AGE_RECIPIENTS_MAX];
};

/* Standard base64 without padding of 32 bytes; the decoder takes the one right text only. */
void age_b64_32(const unsigned char in[32], char out[AGE_B64_32 + 1]);
bool age_b64_32_decode(struct slice text, unsigned char out[32]);
/* HKDF-SHA256 (RFC 5869), 32 bytes. */
bool age_hkdf(struct slice key, struct slice salt, const char *info, unsigned char out[32]);
/* HMAC-SHA256 of the header up to and with "---", under the file key. */
bool age_header_mac(const unsigned char file_key[AGE_FILE_KEY], struct slice header, unsigned char out[32]);
/* What a file key is wrapped with: the secret that share and recipient have in common, bound to both. */
bool age_wrap_key(EVP_PKEY *mine, EVP_PKEY *theirs, const unsigned char share[32], const unsigned char recipient[32], unsigned char out[32]);
/* 12 bytes: number of the chunk, and whether it is the last. */
void age_chunk_nonce(uint64_t number, bool last, unsigned char out[12]);
/* ChaCha20-Poly1305 of one piece under the context's key: out has the tag behind it, in has it likewise. False: no memory, or altered. */
bool age_aead_start(EVP_CIPHER_CTX *ctx, bool seal, const unsigned char key[32]);
bool age_aead_seal(EVP_CIPHER_CTX *ctx, const unsigned char nonce[12], struct slice clear, unsigned char *out);
bool age_aead_open(EVP_CIPHER_CTX *ctx, const unsigned char nonce[12], struct slice sealed, unsigned char *out);

#endif
