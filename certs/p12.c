#include "certs/p12.h"

#include "proxy/base/file.h"

#include <openssl/pkcs12.h>
#include <openssl/rand.h>
#include <stdlib.h>

/* PBKDF2 rounds. Few enough for every reader (Windows stops at 600,000 in all, a file has three), and the passwords we make carry 100 bits. */
enum { ITERATIONS = 10000, MAC_SALT_LEN = 8 };

bool p12_password_ok(const char *password)
{
    size_t n = strlen(password);
    for (size_t i = 0; i < n; i++)
        if (password[i] < 0x20 || password[i] > 0x7e)
            return false;
    return n >= P12_PASSWORD_MIN && n <= P12_PASSWORD_MAX;
}

void p12_password_make(char out[P12_PASSWORD_MADE])
{
    static const char alphabet[] = "abcdefghjkmnpqrstuvwxyz023456789";   /* 32: no i, l, o, 1 */
    unsigned char bytes[20];
    size_t n = 0;
    if (RAND_priv_bytes(bytes, sizeof bytes) != 1)
        abort();
    for (size_t i = 0; i < sizeof bytes; i++) {
        if (i > 0 && i % 5 == 0)
            out[n++] = '-';
        out[n++] = alphabet[bytes[i] & 31];
    }
    out[n] = 0;
    OPENSSL_cleanse(bytes, sizeof bytes);
}

static enum status write_der(const char *path, PKCS12 *p12, struct err *err)
{
    unsigned char *der = NULL;
    int len = i2d_PKCS12(p12, &der);
    if (len <= 0)
        return fail(err, IO_FAILED, "making '%s': %s", path, ossl_reason());
    enum status st = file_write(path, slice_of(der, (size_t)len), 0600, err);
    OPENSSL_clear_free(der, (size_t)len);
    return st;
}

enum status p12_write(const char *path, const char *password, const char *label, EVP_PKEY *key, X509 *cert, X509 *root, struct err *err)
{
    unsigned char salt[MAC_SALT_LEN];
    STACK_OF(X509) *chain = sk_X509_new_null();
    PKCS12 *p12 = NULL;
    bool good = chain != NULL && sk_X509_push(chain, root) > 0 && RAND_bytes(salt, sizeof salt) == 1;
    if (good)
        p12 = PKCS12_create(password, label, key, cert, chain, NID_aes_256_cbc, NID_aes_256_cbc, ITERATIONS, -1, 0);
    good = p12 != NULL && PKCS12_set_mac(p12, password, -1, salt, sizeof salt, ITERATIONS, EVP_sha256()) == 1;
    enum status st = good ? write_der(path, p12, err) : fail(err, IO_FAILED, "making '%s': %s", path, ossl_reason());
    PKCS12_free(p12);
    sk_X509_free(chain);
    return st;
}
