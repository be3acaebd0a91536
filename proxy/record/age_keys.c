/* Keys as age-keygen writes them. */
#include "proxy/record/age_wrap.h"

#include "proxy/base/bech32.h"
#include "proxy/base/file.h"

#include <openssl/crypto.h>
#include <stdlib.h>

enum { KEY_FILE_MAX = 64 * 1024 };

static const char public_prefix[] = "age", secret_prefix[] = "AGE-SECRET-KEY-";

bool age_public_ok(const char *text)
{
    unsigned char raw[AGE_KEY_BYTES];
    return bech32_decode(public_prefix, slice_str(text), raw, sizeof raw);
}

static enum status key_from(const unsigned char secret[AGE_KEY_BYTES], struct age_key *out, struct err *err)
{
    size_t len = sizeof out->public_key;
    out->secret = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, secret, AGE_KEY_BYTES);
    if (out->secret != NULL && EVP_PKEY_get_raw_public_key(out->secret, out->public_key, &len) == 1)
        return OK;
    EVP_PKEY_free(out->secret);
    out->secret = NULL;
    return fail(err, IO_FAILED, "cannot use the key: %s", ossl_reason());
}

static enum status read_key(struct slice text, struct age_key *out, struct err *err)
{
    unsigned char raw[AGE_KEY_BYTES];
    enum status st = bech32_decode(secret_prefix, text, raw, sizeof raw) ? key_from(raw, out, err) : fail(err, BAD_INPUT, "it is no secret key of age");
    OPENSSL_cleanse(raw, sizeof raw);
    return st;
}

enum status age_key_public(const char *secret, char public_key[AGE_PUBLIC_LEN + 1], struct err *err)
{
    struct age_key key;
    enum status st = read_key(slice_str(secret), &key, err);
    if (st != OK)
        return st;
    bech32_encode(public_prefix, slice_of(key.public_key, sizeof key.public_key), public_key);
    EVP_PKEY_free(key.secret);
    return OK;
}

enum status age_key_make(char secret[AGE_SECRET_LEN + 1], char public_key[AGE_PUBLIC_LEN + 1], struct err *err)
{
    unsigned char raw[AGE_KEY_BYTES];
    size_t len = sizeof raw;
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    enum status st = key != NULL && EVP_PKEY_get_raw_private_key(key, raw, &len) == 1 ? OK : fail(err, IO_FAILED, "cannot make a key: %s", ossl_reason());
    if (st == OK)
        bech32_encode(secret_prefix, slice_of(raw, sizeof raw), secret);
    OPENSSL_cleanse(raw, sizeof raw);
    EVP_PKEY_free(key);
    return st == OK ? age_key_public(secret, public_key, err) : st;
}

static enum status take_line(struct age_keys *k, struct slice line, unsigned number, struct err *err)
{
    line = slice_trim(line);
    if (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    if (line.len == 0 || line.ptr[0] == '#')
        return OK;
    if (k->count == AGE_RECIPIENTS_MAX)
        return fail(err, BAD_INPUT, "it holds more than %d keys", AGE_RECIPIENTS_MAX);
    enum status st = read_key(line, &k->v[k->count], err);
    k->count += st == OK;
    if (st != OK)
        err_prefix(err, "line %u: ", number);
    return st;
}

static enum status take_lines(struct age_keys *k, struct slice text, struct err *err)
{
    enum status st = OK;
    for (unsigned number = 1; text.len > 0 && st == OK; number++) {
        size_t n = slice_find(text, '\n');
        st = take_line(k, slice_of(text.ptr, n), number, err);
        text = slice_from(text, n < text.len ? n + 1 : n);
    }
    return st == OK && k->count == 0 ? fail(err, BAD_INPUT, "it holds no key (a line AGE-SECRET-KEY-1…)") : st;
}

enum status age_keys_load(const char *path, struct age_keys **out, struct err *err)
{
    unsigned char *text = NULL;
    size_t len = 0;
    enum status st = file_read(path, KEY_FILE_MAX, true, &text, &len, err);
    if (st != OK)
        return st;
    struct age_keys *k = calloc(1, sizeof *k);
    st = k != NULL ? take_lines(k, slice_of(text, len), err) : fail(err, NO_MEMORY, "keys");
    OPENSSL_cleanse(text, len);
    free(text);
    if (st == OK) {
        *out = k;
        return OK;
    }
    err_prefix(err, "the auditor's key file '%s': ", path);
    age_keys_free(k);
    return st;
}

void age_keys_free(struct age_keys *k)
{
    if (k == NULL)
        return;
    for (size_t i = 0; i < k->count; i++)
        EVP_PKEY_free(k->v[i].secret);
    free(k);
}
