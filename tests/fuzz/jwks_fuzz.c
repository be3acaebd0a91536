/* What a server says its keys are (issuers.jwks_url). What is taken must read the same again: it is what the log keeps. */
#include "authz/external.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    static char es256[] = "ES256", rs256[] = "RS256", name[] = "bot", iss[] = "https://bot", url[] = "https://bot/jwks", *algorithms[] = { es256, rs256 };
    static struct issuer issuer = { .name = name, .iss = iss, .jwks_url = url, .algorithms = algorithms, .algorithm_count = 2 };
    json_t *first = NULL, *second = NULL;
    struct err err;
    if (external_read(&issuer, slice_of(data, size), &first, &err) != OK)
        return 0;
    char *text = json_dumps(first, JSON_COMPACT);
    if (text == NULL || external_read(&issuer, slice_str(text), &second, &err) != OK || !json_equal(first, second))
        abort();
    free(text);
    json_decref(first);
    json_decref(second);
    return 0;
}
