/* Certificates that were taken away, as audit events: a revocation list that names more than the one before. What was revoked while authz was off is not told (the list says when it was). */
#include "authz/approvals/internal.h"

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/stat.h>

enum { LOOK_MS = 5000, TOLD_AT_ONCE = 200, SERIAL_HEX_MAX = 64 };

static void take_list(X509_CRL *crl, json_t *serials)
{
    const STACK_OF(X509_REVOKED) *all = X509_CRL_get_REVOKED(crl);
    for (int i = 0; i < sk_X509_REVOKED_num(all); i++) {
        BIGNUM *n = ASN1_INTEGER_to_BN(X509_REVOKED_get0_serialNumber(sk_X509_REVOKED_value(all, i)), NULL);
        char *hex = n ? BN_bn2hex(n) : NULL;
        if (hex != NULL && strlen(hex) <= SERIAL_HEX_MAX)
            json_object_set_new(serials, hex, json_true());
        OPENSSL_free(hex);
        BN_free(n);
    }
}

/* NULL: it cannot be read; the workers say so, and let nobody in. */
static json_t *read_serials(const char *path)
{
    BIO *in = BIO_new_file(path, "r");
    json_t *serials = in ? json_object() : NULL;
    X509_CRL *crl;
    while (serials != NULL && (crl = PEM_read_bio_X509_CRL(in, NULL, NULL, NULL)) != NULL) {
        take_list(crl, serials);
        X509_CRL_free(crl);
    }
    BIO_free(in);
    (void)ossl_reason();
    return serials;
}

/* Is it another file than when it was last read? */
static bool changed(struct service *s)
{
    struct stat sb;
    int64_t now = clock_mono_ms();
    if (s->teller == NULL || (s->revoked != NULL && now - s->revoked_looked_ms < LOOK_MS) || stat(s->config->crl, &sb) != 0)
        return false;
    s->revoked_looked_ms = now;
    int64_t mark = (int64_t)sb.st_mtim.tv_sec * 1000000000 + sb.st_mtim.tv_nsec + (int64_t)sb.st_size + (int64_t)sb.st_ino;
    bool other = mark != s->revoked_mark;
    s->revoked_mark = mark;
    return other;
}

void revoked_look(struct service *s)
{
    const char *serial;
    json_t *there, *now = changed(s) ? read_serials(s->config->crl) : NULL;
    size_t told = 0, more = 0;
    if (now == NULL)
        return;
    json_object_foreach(now, serial, there)
    {
        if (s->revoked == NULL || json_object_get(s->revoked, serial) != NULL)
            continue;
        if (told++ < TOLD_AT_ONCE)
            teller_note(s, "certificate.revoked", json_pack("{s:s}", "serial", serial));
        else
            more++;
    }
    if (more > 0)
        log_warn("audit.revoked", "why", "more certificates were revoked at once than are told one by one");
    json_decref(s->revoked);
    s->revoked = now;
}
