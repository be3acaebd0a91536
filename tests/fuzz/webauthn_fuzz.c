/* What a browser hands in for a new key or a signature: first byte: which part is the input; the rest of the ceremony is sound. */
#include "authz/webauthn.h"

#include <openssl/ec.h>
#include <stdlib.h>

static const struct webauthn_party party = { "console.acme.localhost", "https://console.acme.localhost:8443" };
static const unsigned char challenge[32];
static const char created[] = "{\"type\":\"webauthn.create\",\"challenge\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
                              "\"origin\":\"https://console.acme.localhost:8443\",\"crossOrigin\":false}";
static const char got[] = "{\"type\":\"webauthn.get\",\"challenge\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\","
                          "\"origin\":\"https://console.acme.localhost:8443\",\"crossOrigin\":false}";

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    static EVP_PKEY *key;
    struct webauthn_credential c;
    struct webauthn_facts facts;
    struct err err;
    if (key == NULL && (key = EVP_EC_gen("P-256")) == NULL)
        abort();
    if (size == 0)
        return 0;
    struct slice in = slice_of(data + 1, size - 1);
    struct webauthn_answer a = { slice_str(got), in, SLICE("0") };
    if (data[0] == 'o' && webauthn_register(&party, challenge, slice_str(created), in, &c, &err) == OK) {
        if (c.id.len < WEBAUTHN_ID_MIN || webauthn_algorithm_name(c.key) == NULL)
            abort();
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
