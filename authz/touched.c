#include "authz/touched.h"

#include "proxy/base/codec.h"
#include "proxy/base/file.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>

static void mac(const unsigned char key[32], struct slice text, unsigned char out[32])
{
    unsigned int len = 32;
    if (HMAC(EVP_sha256(), key, 32, text.len ? text.ptr : (const unsigned char *)"", text.len, out, &len) == NULL)
        abort();                      /* a hash that is none would be found by nobody */
}

enum status touched_key(const struct config *c, unsigned char key[32], struct err *err)
{
    unsigned char *bytes = NULL;
    size_t len = 0;
    char *path = config_path(c, "keys/fingerprint.key");
    enum status st = path ? file_read(path, 64, true, &bytes, &len, err) : fail(err, NO_MEMORY, "path");
    if (st == OK && len != 32)
        st = fail(err, BAD_CONFIG, "'%s' must hold 32 bytes", path);
    if (st == OK)
        mac(bytes, SLICE("countersign touched v1"), key);
    if (bytes != NULL)
        OPENSSL_cleanse(bytes, len);
    free(bytes);
    free(path);
    return st;
}

void touched_hash(const unsigned char key[32], struct slice name, char out[TOUCHED_LEN + 1])
{
    unsigned char raw[32];
    mac(key, name, raw);
    b64url_encode(slice_of(raw, 12), out);
}
