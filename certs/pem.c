#include "certs/pem.h"

#include "proxy/base/file.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>

enum { CERTS_BYTES_MAX = 1 << 20, CRL_BYTES_MAX = 16 << 20, KEY_BYTES_MAX = 64 << 10 };

bool key_kind_parse(const char *text, enum key_kind *out)
{
    *out = strcmp(text, "ed25519") == 0 ? KEY_ED25519 : KEY_P256;
    return *out == KEY_ED25519 || strcmp(text, "p256") == 0;
}

enum status key_make(enum key_kind kind, EVP_PKEY **out, struct err *err)
{
    EVP_PKEY *key = kind == KEY_ED25519 ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519") : EVP_EC_gen("P-256");
    if (key == NULL)
        return fail(err, IO_FAILED, "making a key: %s", ossl_reason());
    *out = key;
    return OK;
}

bool key_kind_of(EVP_PKEY *key, enum key_kind *out)
{
    char group[32];
    size_t len = 0;
    *out = KEY_ED25519;
    if (EVP_PKEY_is_a(key, "ED25519"))
        return true;
    *out = KEY_P256;
    bool p256 = EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof group, &len) == 1
                && strcmp(group, "prime256v1") == 0;
    ERR_clear_error();
    return p256;
}

/* A memory BIO whose buffer is wiped when it is freed (crypto/buffer does so for all of them). */
static enum status write_bio(const char *path, BIO *bio, bool written, mode_t mode, struct err *err)
{
    char *data = NULL;
    enum status st;
    if (!written) {
        st = fail(err, NO_MEMORY, "writing '%s': %s", path, ossl_reason());
    } else {
        long len = BIO_get_mem_data(bio, &data);
        st = file_write(path, slice_of(data, (size_t)len), mode, err);
    }
    BIO_free(bio);
    return st;
}

enum status key_write(const char *path, EVP_PKEY *key, struct err *err)
{
    BIO *bio = BIO_new(BIO_s_mem());
    bool written = bio != NULL && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1;
    return write_bio(path, bio, written, 0600, err);
}

static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
    (void)buf, (void)size, (void)rwflag, (void)arg;
    return -1;   /* never ask on the terminal */
}

enum status key_read(const char *path, EVP_PKEY **out, struct err *err)
{
    unsigned char *data = NULL;
    size_t len = 0;
    enum status st = file_read(path, KEY_BYTES_MAX, true, &data, &len, err);
    if (st != OK)
        return st;
    BIO *bio = BIO_new_mem_buf(data, (int)len);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    BIO_free(bio);
    OPENSSL_cleanse(data, len);
    free(data);
    if (key == NULL)
        return fail(err, BAD_CONFIG, "'%s' holds no private key in PEM: %s", path, ossl_reason());
    *out = key;
    return OK;
}

/* PEM readers end with an error like any other; only "no further start line" after the first object is the end of the file. */
static bool at_end(int count)
{
    unsigned long e = ERR_peek_last_error();
    bool end = count > 0 && ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE;
    if (end)
        ERR_clear_error();
    return end;
}

enum status pem_read_certs(const char *path, STACK_OF(X509) **out, struct err *err)
{
    unsigned char *data = NULL;
    size_t len = 0;
    enum status st = file_read(path, CERTS_BYTES_MAX, false, &data, &len, err);
    if (st != OK)
        return st;
    BIO *bio = BIO_new_mem_buf(data, (int)len);
    STACK_OF(X509) *certs = sk_X509_new_null();
    X509 *cert = NULL;
    while (bio != NULL && certs != NULL && (cert = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)) != NULL)
        if (sk_X509_push(certs, cert) <= 0)
            X509_free(cert);
    if (!at_end(sk_X509_num(certs)))
        st = fail(err, BAD_CONFIG, "'%s': certificate %d cannot be read: %s", path, sk_X509_num(certs) + 1, ossl_reason());
    BIO_free(bio);
    free(data);
    if (st == OK)
        *out = certs;
    else
        sk_X509_pop_free(certs, X509_free);
    return st;
}

enum status pem_read_crls(const char *path, STACK_OF(X509_CRL) **out, struct err *err)
{
    unsigned char *data = NULL;
    size_t len = 0;
    enum status st = file_read(path, CRL_BYTES_MAX, false, &data, &len, err);
    if (st != OK)
        return st;
    BIO *bio = BIO_new_mem_buf(data, (int)len);
    STACK_OF(X509_CRL) *crls = sk_X509_CRL_new_null();
    X509_CRL *crl = NULL;
    while (bio != NULL && crls != NULL && (crl = PEM_read_bio_X509_CRL(bio, NULL, no_passphrase, NULL)) != NULL)
        if (sk_X509_CRL_push(crls, crl) <= 0)
            X509_CRL_free(crl);
    if (!at_end(sk_X509_CRL_num(crls)))
        st = fail(err, BAD_CONFIG, "'%s': revocation list %d cannot be read: %s", path, sk_X509_CRL_num(crls) + 1, ossl_reason());
    BIO_free(bio);
    free(data);
    if (st == OK)
        *out = crls;
    else
        sk_X509_CRL_pop_free(crls, X509_CRL_free);
    return st;
}

enum status pem_read_cert(const char *path, X509 **out, struct err *err)
{
    STACK_OF(X509) *certs = NULL;
    enum status st = pem_read_certs(path, &certs, err);
    if (st != OK)
        return st;
    *out = sk_X509_shift(certs);
    sk_X509_pop_free(certs, X509_free);
    return OK;
}

enum status pem_write_certs(const char *path, X509 *const *certs, size_t count, mode_t mode, struct err *err)
{
    BIO *bio = BIO_new(BIO_s_mem());
    bool written = bio != NULL;
    for (size_t i = 0; written && i < count; i++)
        written = certs[i] == NULL || PEM_write_bio_X509(bio, certs[i]) == 1;
    return write_bio(path, bio, written, mode, err);
}

enum status pem_write_crl(const char *path, X509_CRL *crl, struct err *err)
{
    BIO *bio = BIO_new(BIO_s_mem());
    bool written = bio != NULL && PEM_write_bio_X509_CRL(bio, crl) == 1;
    return write_bio(path, bio, written, 0600, err);
}
