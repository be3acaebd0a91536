#include "authz/approvals/seal.h"

#include "proxy/base/codec.h"
#include "proxy/base/file.h"

#include <dirent.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char magic[] = "CSHELD1\n";
enum { MAGIC_LEN = sizeof magic - 1, NONCE_LEN = 12, TAG_LEN = 16, OVERHEAD = MAGIC_LEN + NONCE_LEN + TAG_LEN, PATH_LEN = 4096 };

enum status seal_key_load(const char *path, struct seal_key *out, struct err *err)
{
    unsigned char *bytes = NULL;
    size_t len = 0;
    enum status st = file_read(path, SEAL_KEY_LEN, true, &bytes, &len, err);
    if (st == OK && len != SEAL_KEY_LEN)
        st = fail(err, BAD_CONFIG, "'%s' must hold exactly %d bytes", path, SEAL_KEY_LEN);
    if (st == OK)
        memcpy(out->bytes, bytes, SEAL_KEY_LEN);
    if (bytes != NULL)
        OPENSSL_cleanse(bytes, len);
    free(bytes);
    return st;
}

static void mac(const unsigned char key[32], struct slice text, unsigned char out[32])
{
    unsigned int len = 32;
    if (HMAC(EVP_sha256(), key, 32, text.ptr, text.len, out, &len) == NULL)
        abort();                      /* a value without its hash would be counted wrongly */
}

void seal_hash(const struct seal_key *k, const char *name, const char *value, char out[SEAL_HASH_LEN + 1])
{
    unsigned char own[32], raw[32];
    char text[256];
    int n = snprintf(text, sizeof text, "%s\n%s", name, value);
    mac(k->bytes, SLICE("countersign budget v1"), own);
    mac(own, slice_of(text, n > 0 && (size_t)n < sizeof text ? (size_t)n : sizeof text - 1), raw);
    b64url_encode(slice_of(raw, sizeof raw), out);
    OPENSSL_cleanse(own, sizeof own);
}

void seal_key_wipe(struct seal_key *k)
{
    OPENSSL_cleanse(k->bytes, sizeof k->bytes);
}

static bool path_of(const char *folder, const char *id, char out[PATH_LEN])
{
    return strchr(id, '/') == NULL && snprintf(out, PATH_LEN, "%s/%s.sealed", folder, id) < PATH_LEN;
}

/* One GCM pass over in, bound to the id. `tag` is written (seal) or checked (open). */
static bool gcm(bool sealing, const struct seal_key *k, const char *id, const unsigned char *nonce, struct slice in, unsigned char *out,
                unsigned char tag[TAG_LEN])
{
    int n = 0;
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    bool good = c != NULL && in.len < INT32_MAX && EVP_CipherInit_ex2(c, EVP_aes_256_gcm(), k->bytes, nonce, sealing, NULL) == 1
                && EVP_CipherUpdate(c, NULL, &n, (const unsigned char *)magic, MAGIC_LEN) == 1
                && EVP_CipherUpdate(c, NULL, &n, (const unsigned char *)id, (int)strlen(id)) == 1
                && EVP_CipherUpdate(c, out, &n, in.ptr, (int)in.len) == 1
                && (sealing || EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG_LEN, tag) == 1)
                && EVP_CipherFinal_ex(c, out + in.len, &n) == 1
                && (!sealing || EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG_LEN, tag) == 1);
    EVP_CIPHER_CTX_free(c);
    if (!good)
        (void)ossl_reason();
    return good;
}

enum status seal_write(const struct seal_key *k, const char *folder, const char *id, struct slice content, struct err *err)
{
    char path[PATH_LEN];
    unsigned char *bytes = path_of(folder, id, path) ? malloc(OVERHEAD + content.len) : NULL;
    if (bytes == NULL)
        return fail(err, NO_MEMORY, "sealing '%s'", id);
    unsigned char *nonce = bytes + MAGIC_LEN, *body = nonce + NONCE_LEN;
    memcpy(bytes, magic, MAGIC_LEN);
    enum status st = OK;
    if (RAND_bytes(nonce, NONCE_LEN) != 1 || !gcm(true, k, id, nonce, content, body, body + content.len))
        st = fail(err, IO_FAILED, "cannot seal '%s'", id);
    else
        st = file_write(path, slice_of(bytes, OVERHEAD + content.len), 0600, err);
    free(bytes);
    return st;
}

enum status seal_read(const struct seal_key *k, const char *folder, const char *id, size_t max_bytes, unsigned char **out,
                      size_t *len_out, struct err *err)
{
    char path[PATH_LEN];
    unsigned char *bytes = NULL;
    size_t len = 0;
    if (!path_of(folder, id, path))
        return fail(err, NOT_FOUND, "no such sealed request");
    enum status st = file_read(path, max_bytes + OVERHEAD, true, &bytes, &len, err);
    if (st != OK)
        return st;
    size_t plain_len = len >= OVERHEAD ? len - OVERHEAD : 0;
    unsigned char *plain = malloc(plain_len + 1);
    if (plain == NULL)
        st = fail(err, NO_MEMORY, "opening '%s'", path);
    else if (len < OVERHEAD || memcmp(bytes, magic, MAGIC_LEN) != 0
             || !gcm(false, k, id, bytes + MAGIC_LEN, slice_of(bytes + MAGIC_LEN + NONCE_LEN, plain_len), plain, bytes + len - TAG_LEN))
        st = fail(err, CORRUPT, "the sealed request '%s' was altered, or held.key was changed", path);
    free(bytes);
    if (st != OK) {
        free(plain);
        return st;
    }
    *out = plain;
    *len_out = plain_len;
    return OK;
}

void seal_erase(const char *folder, const char *id)
{
    char path[PATH_LEN];
    if (path_of(folder, id, path))
        unlink(path);
}

void seal_sweep(const char *folder, bool (*keep)(void *arg, const char *id), void *arg)
{
    DIR *dir = opendir(folder);
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        char id[256], path[PATH_LEN];
        size_t n = strcspn(e->d_name, ".");
        if (e->d_name[0] == '.' || snprintf(id, sizeof id, "%.*s", (int)n, e->d_name) >= (int)sizeof id)
            continue;
        if (strcmp(e->d_name + n, ".sealed") == 0 && keep(arg, id))
            continue;
        if (snprintf(path, sizeof path, "%s/%s", folder, e->d_name) < (int)sizeof path)
            unlink(path);             /* also what file_write left half-written */
    }
    if (dir != NULL)
        closedir(dir);
}
