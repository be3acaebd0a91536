/* redact: what must not be kept is taken out before it reaches the ring: passwords are removed, tokens and cookies are replaced by a
 * keyed fingerprint, `fp:` and 16 characters of base64url(HMAC-SHA256(key, value)), so that an auditor can see that two requests carried the same one.
 *
 * Which names count as secret: a configured name matches a key of a form, of JSON or of a query when it stands in it as a whole or between characters other than
 * letters, digits and '_', without regard to ASCII case, every other character counting as '_': "new_password" matches "New.Password", "user[new_password]" and
 * "form-0-new-password", not "renew_password". Percent-encoding and JSON escapes are undone first. A key longer than 256 bytes counts as secret. */
#ifndef COUNTERSIGN_REDACT_H
#define COUNTERSIGN_REDACT_H

#include "proxy/http/message.h"

#include <openssl/evp.h>

enum { FINGERPRINT_TEXT = 3 + 16 + 1, REDACT_KEY_MAX = 256 };
#define REDACT_REMOVED "removed"

/* Where redacted bytes go. */
struct redact_out {
    void (*put)(void *to, struct slice s);
    void *to;
};
static inline void redact_put(const struct redact_out *out, struct slice s)
{
    if (s.len)
        out->put(out->to, s);
}

/* The key of fingerprints, ready for use. */
enum { FINGERPRINT_BLOCK = 64 };
struct fingerprint {
    EVP_MD *md;
    EVP_MD_CTX *work;
    unsigned char inner[FINGERPRINT_BLOCK], outer[FINGERPRINT_BLOCK];   /* the key, padded */
};
MUST_CHECK enum status fingerprint_init(struct fingerprint *f, const unsigned char key[32], struct err *err);
void fingerprint_done(struct fingerprint *f);
/* "fp:..." with a NUL. */
void fingerprint_text(const struct fingerprint *f, struct slice value, char out[FINGERPRINT_TEXT]);
/* HMAC over many pieces: begin gives a context (NULL: no memory), updated with EVP_DigestUpdate; end frees it. */
EVP_MD_CTX *fingerprint_begin(const struct fingerprint *f);
void fingerprint_end(const struct fingerprint *f, EVP_MD_CTX *ctx, unsigned char out[32]);

/* The names whose values are never kept, in their folded form. */
struct secret_names {
    struct slice *v;
    size_t count;
    uint64_t begins[4];               /* bits for the two bytes that some name begins with: most words of most keys need no more */
};
/* A folded copy in the arena: the only way to make one. NO_MEMORY. */
MUST_CHECK enum status secret_names_copy(char *const *names, size_t count, struct arena *arena, struct secret_names *out);
bool secret_name(const struct secret_names *names, struct slice key);
/* Undo percent-encoding and '+' in place; broken encodings stay. Returns the new length. */
size_t redact_decode(unsigned char *text, size_t len);

/* What a query, a field or a cookie becomes. */
void redact_query(const struct fingerprint *f, const struct secret_names *names, struct slice query, const struct redact_out *out);
/* The value of a field; `name` in lower case. Credentials, cookies, URLs with queries (Referer, Location) and fields named in `names`. */
void redact_field(const struct fingerprint *f, const struct secret_names *names, struct slice name, struct slice value,
                  const struct redact_out *out);

#endif
