#include "proxy/net/tls_files.h"

#include "certs/pem.h"
#include "proxy/base/file.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>

enum { KEY_FILE_MAX = 1024 * 1024 };

static enum status use_chain(SSL_CTX *ctx, const char *path, struct err *err)
{
    STACK_OF(X509) *certs = NULL;
    enum status st = pem_read_certs(path, &certs, err);
    if (st != OK)
        return st;
    bool good = SSL_CTX_use_certificate(ctx, sk_X509_value(certs, 0)) == 1 && SSL_CTX_clear_chain_certs(ctx) == 1;
    for (int i = 1; i < sk_X509_num(certs) && good; i++)
        good = SSL_CTX_add1_chain_cert(ctx, sk_X509_value(certs, i)) == 1;
    sk_X509_pop_free(certs, X509_free);
    return good ? OK : fail(err, BAD_CONFIG, "%s", ossl_reason());
}

static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
    (void)buf, (void)size, (void)rwflag, (void)arg;
    return -1;                        /* never ask on the terminal */
}

static enum status use_key(SSL_CTX *ctx, const char *path, struct err *err)
{
    unsigned char *bytes = NULL;
    size_t len = 0;
    enum status st = file_read(path, KEY_FILE_MAX, false, &bytes, &len, err);
    if (st != OK)
        return st;
    BIO *bio = BIO_new_mem_buf(bytes, (int)len);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    if (key == NULL || SSL_CTX_use_PrivateKey(ctx, key) != 1 || SSL_CTX_check_private_key(ctx) != 1)
        st = fail(err, BAD_CONFIG, "%s", ossl_reason());
    EVP_PKEY_free(key);
    BIO_free(bio);
    OPENSSL_cleanse(bytes, len);
    free(bytes);
    return st;
}

enum status tls_use_pair(SSL_CTX *ctx, const char *what, const char *certificate, const char *key, struct err *err)
{
    struct err why;
    if (use_chain(ctx, certificate, &why) != OK)
        return fail(err, BAD_CONFIG, "%s '%s': %s", what, certificate, why.text);
    if (use_key(ctx, key, &why) != OK)
        return fail(err, BAD_CONFIG, "key of the %s, '%s': %s", what, key, why.text);
    return OK;
}

enum status tls_use_authorities(SSL_CTX *ctx, const char *path, struct err *err)
{
    STACK_OF(X509) *certs = NULL;
    enum status st = pem_read_certs(path, &certs, err);
    for (int i = 0; st == OK && i < sk_X509_num(certs); i++)
        if (X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), sk_X509_value(certs, i)) != 1)
            st = fail(err, BAD_CONFIG, "%s", ossl_reason());
    sk_X509_pop_free(certs, X509_free);
    return st;
}

enum status tls_name_authorities(SSL_CTX *ctx, const char *path, struct err *err)
{
    STACK_OF(X509) *certs = NULL;
    enum status st = pem_read_certs(path, &certs, err);
    for (int i = 0; st == OK && i < sk_X509_num(certs); i++) {
        bool again = false;
        for (int k = 0; k < i && !again; k++)
            again = X509_NAME_cmp(X509_get_subject_name(sk_X509_value(certs, i)), X509_get_subject_name(sk_X509_value(certs, k))) == 0;
        if (!again && SSL_CTX_add_client_CA(ctx, sk_X509_value(certs, i)) != 1)
            st = fail(err, BAD_CONFIG, "%s", ossl_reason());
    }
    sk_X509_pop_free(certs, X509_free);
    return st;
}
