/* A sealed segment of any bytes: opening it must end, within bounds, and give nothing that was not proved. The header is public, so anyone can make one for a known
 * recipient; the key here is a known one too. */
#include "proxy/record/age.h"
#include "proxy/record/age_wrap.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum status take(void *to, struct slice clear)
{
    size_t *n = to;
    *n += clear.len;
    return clear.len <= AGE_CHUNK ? OK : CORRUPT;
}

static struct age_keys *known_key(void)
{
    static struct age_keys keys;
    unsigned char raw[AGE_KEY_BYTES];
    size_t len = AGE_KEY_BYTES;
    memset(raw, 0x42, sizeof raw);
    if (keys.count == 0 && (keys.v[0].secret = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, raw, sizeof raw)) != NULL
        && EVP_PKEY_get_raw_public_key(keys.v[0].secret, keys.v[0].public_key, &len) == 1)
        keys.count = 1;
    return &keys;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct age_opener *o = NULL;
    size_t got = 0, piece = size > 0 ? (size_t)data[size - 1] + 1 : 1;
    if (age_opener_new(known_key(), take, &got, &o) != OK)
        return 0;
    enum status st = OK;
    for (size_t at = 0; at < size && st == OK; at += piece)
        st = age_open_more(o, slice_of(data + at, size - at < piece ? size - at : piece), NULL);
    if (st == OK)
        st = age_open_end(o, NULL);
    age_opener_free(o);
    if (got > size)
        abort();
    return 0;
}
