/* Any bytes as a peer's certificate: whatever is read from it is well formed. */
#include "certs/leaf.h"

#include <openssl/err.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const unsigned char *at = data;
    struct identity who;
    char again[IDENTITY_MAX + 1];
    X509 *cert = d2i_X509(NULL, &at, (long)size);
    if (cert != NULL) {
        enum cert_state state = leaf_read(cert, &who);
        (void)leaf_is_for_clients(cert);
        if (state == CERT_GOOD && (address_parse(slice_str(who.name), again) != OK || strcmp(again, who.name) != 0))
            abort();
        if (state == CERT_GOOD && (strlen(who.x5t) != X5T_LEN || who.serial[0] == 0))
            abort();
    }
    X509_free(cert);
    ERR_clear_error();
    return 0;
}
