/* What a browser hands in for a new key or a signature: first byte: which part is the input; the rest of the ceremony is sound. */
#include "authz/attestation.h"
#include "authz/webauthn.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <unistd.h>

static const struct webauthn_party party = { "console.acme.localhost", "https://console.acme.localhost:8443" };
static const unsigned char challenge[32];
static const char created[] = "{\"type\":\"webauthn.create\",\"challenge\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
                              "\"origin\":\"https://console.acme.localhost:8443\",\"crossOrigin\":false}";
static const char got[] = "{\"type\":\"webauthn.get\",\"challenge\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
                          "\"origin\":\"https://console.acme.localhost:8443\",\"crossOrigin\":false}";

/* One certificate, of which nobody has the key any more. */
static struct attestation_roots *make_roots(void)
{
    char path[] = "/tmp/countersign-fuzz-XXXXXX";
    struct attestation_roots *roots = NULL;
    struct err err;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    int fd = mkstemp(path);
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (f == NULL || cert == NULL || X509_set_pubkey(cert, key) != 1 || X509_gmtime_adj(X509_getm_notBefore(cert), 0) == NULL
        || X509_gmtime_adj(X509_getm_notAfter(cert), 86400) == NULL || X509_sign(cert, key, EVP_sha256()) == 0 || PEM_write_X509(f, cert) != 1)
        abort();
    fclose(f);
    if (attestation_load(path, &roots, &err) != OK)
        abort();
    unlink(path);
    X509_free(cert);
    EVP_PKEY_free(key);
    return roots;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    static EVP_PKEY *key;
    static struct attestation_roots *roots;
    struct attestation made;
    struct webauthn_credential c;
    struct webauthn_facts facts;
    struct err err;
    if (roots == NULL)
        roots = make_roots();
    if (key == NULL && (key = EVP_EC_gen("P-256")) == NULL)
        abort();
    if (size == 0)
        return 0;
    struct slice in = slice_of(data + 1, size - 1);
    struct webauthn_answer a = { slice_str(got), in, SLICE("0") };
    if (data[0] == 'o' && webauthn_register(&party, challenge, slice_str(created), in, &c, &err) == OK) {
        if (c.id.len < WEBAUTHN_ID_MIN || webauthn_algorithm_name(c.key) == NULL)
            abort();
        if (attestation_verify(roots, &c, slice_str(created), NULL, 0, 1790000000, &made, &err) == OK)
            abort();                  /* nobody vouched for anything */
        webauthn_credential_done(&c);
    }
    if (data[0] == 'c')
        a.client_data = in;
    if (data[0] == 's')
        a.signature = in;
    if (data[0] != 'o' && webauthn_verify(&party, challenge, key, &a, &facts, &err) == OK)
        abort();                      /* nobody signed anything */
    return 0;
}
