#include "certs/approval_keys.h"

#include "certs/leaf.h"
#include "certs/pem.h"
#include "proxy/base/codec.h"
#include "proxy/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* The one DER of each kind; a P-256 point written compressed (59 bytes) would be a second name of the same key. */
enum { P256_SPKI_LEN = 91, ED25519_SPKI_LEN = 44 };
enum { FILE_BYTES_MAX = 1 << 20, PERSON_MAX = 64, SPKI_MAX = 256, DIGITS_MAX = 15, FINGERPRINT_LEN = 43 };

static const char file_head[] =
    "# Approval keys: whose signature counts as a yes. One key a line:\n"
    "#   person fingerprint public-key not-after\n"
    "# `countersign certs issue --approver` adds a line and `countersign certs revoke` removes it.\n";

/* person = 1*64( ALPHA / DIGIT / "." / "_" / "-" / "@" / "+" ) */
static bool person_ok(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = s.ptr[i], l = ascii_lower(c);
        if (!((l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || (c != 0 && strchr("._-@+", c) != NULL)))
            return false;
    }
    return s.len > 0 && s.len <= PERSON_MAX;
}

/* The next word of a line whose words are parted by exactly one SP; the rest is left in *line. Empty: there is none. */
static struct slice take_word(struct slice *line)
{
    size_t n = slice_find(*line, ' ');
    struct slice word = slice_of(line->ptr, n);
    *line = slice_from(*line, n < line->len ? n + 1 : n);
    return word;
}

static bool parse_time(struct slice s, int64_t *out)
{
    int64_t n = 0;
    if (s.len == 0 || s.len > DIGITS_MAX)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        n = n * 10 + (s.ptr[i] - '0');
    }
    *out = n;
    return true;
}

/* The key, only if this DER is the one way to write it: else one key would have two fingerprints, and could be registered twice. */
static EVP_PKEY *parse_key(struct slice text, char fingerprint[44])
{
    unsigned char der[SPKI_MAX], *again = NULL;
    size_t len = 0;
    enum key_kind kind;
    if (b64url_decode(text, der, sizeof der, &len) != OK || len == 0)
        return NULL;
    const unsigned char *at = der;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)len);
    int again_len = key ? i2d_PUBKEY(key, &again) : 0;
    bool good = key != NULL && at == der + len && again_len > 0 && slice_eq(slice_of(again, (size_t)again_len), slice_of(der, len))
                && key_kind_of(key, &kind) && len == (kind == KEY_P256 ? P256_SPKI_LEN : ED25519_SPKI_LEN) && spki_fingerprint(key, fingerprint) == OK;
    OPENSSL_free(again);
    ERR_clear_error();
    if (!good) {
        EVP_PKEY_free(key);
        return NULL;
    }
    return key;
}

static const char *parse_line(struct slice line, struct approval_key *out)
{
    struct slice person = take_word(&line), fingerprint = take_word(&line), spki = take_word(&line), when = line;
    if (!person_ok(person))
        return "the first word is not a person's name";
    if (!parse_time(when, &out->not_after_s))
        return "expected: person fingerprint public-key not-after (seconds since 1970), one space between them";
    out->key = parse_key(spki, out->fingerprint);
    if (out->key == NULL)
        return "the third word is not a P-256 or Ed25519 public key (base64url of the SubjectPublicKeyInfo)";
    if (!slice_eq(fingerprint, slice_str(out->fingerprint)))
        return "the fingerprint is not that of the key";
    out->person = strndup((const char *)person.ptr, person.len);
    return out->person ? NULL : "out of memory";
}

static enum status add_line(struct approval_keys *k, struct slice line, const char *path, unsigned number, struct err *err)
{
    if ((k->count & (k->count - 1)) == 0) {   /* room for 1, 2, 4 ... */
        struct approval_key *grown = realloc(k->v, (k->count ? k->count * 2 : 1) * sizeof *grown);
        if (grown == NULL)
            return fail(err, NO_MEMORY, "approval keys");
        k->v = grown;
    }
    struct approval_key *key = &k->v[k->count];
    memset(key, 0, sizeof *key);
    const char *wrong = parse_line(line, key);
    k->count++;                               /* even half made: approval_keys_done frees it */
    if (wrong != NULL)
        return fail(err, BAD_INPUT, "%s:%u: %s", path, number, wrong);
    for (size_t i = 0; i + 1 < k->count; i++)
        if (strcmp(k->v[i].fingerprint, key->fingerprint) == 0)
            return fail(err, BAD_INPUT, "%s:%u: this key stands here already; a key belongs to one person", path, number);
    return OK;
}

static enum status parse_file(struct slice text, const char *path, struct approval_keys *out, struct err *err)
{
    unsigned number = 0;
    if (slice_find(text, 0) != text.len)
        return fail(err, BAD_INPUT, "%s: there is a NUL byte in it", path);
    while (text.len) {
        size_t n = slice_find(text, '\n');
        struct slice line = slice_of(text.ptr, n);
        number++;
        if (n == text.len)
            return fail(err, BAD_INPUT, "%s:%u: the last line is not ended; the file may be cut short", path, number);
        text = slice_from(text, n + 1);
        if (line.len == 0 || line.ptr[0] == '#')
            continue;
        enum status st = add_line(out, line, path, number, err);
        if (st != OK)
            return st;
    }
    return OK;
}

/* Whoever can write this file can make approvers: nobody but its owner (us or root) may. */
static enum status check_owner(const char *path, struct err *err)
{
    struct stat sb;
    if (stat(path, &sb) != 0)
        return fail(err, errno == ENOENT ? NOT_FOUND : IO_FAILED, "cannot open '%s': %s", path, strerror(errno));
    if ((sb.st_mode & 022) != 0 || (sb.st_uid != geteuid() && sb.st_uid != 0))
        return fail(err, BAD_CONFIG, "'%s' can be written by others; run: chmod 600 '%s'", path, path);
    return OK;
}

enum status approval_keys_load(const char *path, struct approval_keys *out, struct err *err)
{
    struct approval_keys k = { 0 };
    unsigned char *data = NULL;
    size_t len = 0;
    enum status st = check_owner(path, err);
    if (st == OK)
        st = file_read(path, FILE_BYTES_MAX, false, &data, &len, err);
    if (st != OK)
        return st;
    st = parse_file(slice_of(data, len), path, &k, err);
    free(data);
    if (st == OK)
        *out = k;
    else
        approval_keys_done(&k);
    return st;
}

void approval_keys_done(struct approval_keys *k)
{
    for (size_t i = 0; i < k->count; i++) {
        free(k->v[i].person);
        EVP_PKEY_free(k->v[i].key);
    }
    free(k->v);
    *k = (struct approval_keys){ 0 };
}

const struct approval_key *approval_keys_find(const struct approval_keys *k, struct slice fingerprint)
{
    for (size_t i = 0; i < k->count; i++)
        if (slice_eq(slice_str(k->v[i].fingerprint), fingerprint))
            return &k->v[i];
    return NULL;
}

/* Two commands at once must not lose each other's line: the folder is locked from reading to writing. */
static int lock_folder_of(const char *path)
{
    char dir[4096];
    const char *slash = strrchr(path, '/');
    if (snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path + 1) : 1, slash ? path : ".") >= (int)sizeof dir)
        return -1;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && flock(fd, LOCK_EX) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static enum status render_line(const char *person, EVP_PKEY *key, int64_t not_after_s, char **out, char fingerprint[44], struct err *err)
{
    enum key_kind kind;
    unsigned char *der = NULL;
    char text[B64URL_LEN(SPKI_MAX) + 1];
    if (!person_ok(slice_str(person)))
        return fail(err, BAD_INPUT, "'%.80s' is not a person's name", person);
    int len = key_kind_of(key, &kind) ? i2d_PUBKEY(key, &der) : 0;
    if (len <= 0 || len > SPKI_MAX || not_after_s < 0 || spki_fingerprint(key, fingerprint) != OK) {
        OPENSSL_free(der);
        return fail(err, BAD_INPUT, "an approval key must be a P-256 or Ed25519 key");
    }
    b64url_encode(slice_of(der, (size_t)len), text);
    OPENSSL_free(der);
    if (asprintf(out, "%s %s %s %lld\n", person, fingerprint, text, (long long)not_after_s) < 0)
        return fail(err, NO_MEMORY, "approval keys");
    return OK;
}

/* The file's text once it is known to be whole; the head of a new one when there is none. *text_out is malloc'd. */
static enum status read_whole(const char *path, char **text_out, struct approval_keys *keys, struct err *err)
{
    unsigned char *data = NULL;
    size_t len = 0;
    enum status st = approval_keys_load(path, keys, err);
    if (st == NOT_FOUND) {
        *text_out = strdup(file_head);
        return *text_out ? OK : fail(err, NO_MEMORY, "approval keys");
    }
    if (st == OK)
        st = file_read(path, FILE_BYTES_MAX, false, &data, &len, err);
    if (st == OK)
        *text_out = (char *)data;
    return st;
}

static enum status add_locked(const char *path, const char *line, struct slice fingerprint, struct err *err)
{
    struct approval_keys keys = { 0 };
    char *old = NULL, *new = NULL;
    enum status st = read_whole(path, &old, &keys, err);
    if (st != OK)
        goto done;
    if (approval_keys_find(&keys, fingerprint) != NULL)
        st = fail(err, EXISTS, "the key %.*s is registered already", SLICE_ARG(fingerprint));
    else if (asprintf(&new, "%s%s", old, line) < 0)
        st = fail(err, NO_MEMORY, "approval keys");
    else
        st = file_write(path, slice_str(new), 0600, err);
done:
    free(old);
    free(new);
    approval_keys_done(&keys);
    return st;
}

enum status approval_keys_add(const char *path, const char *person, EVP_PKEY *key, int64_t not_after_s, struct err *err)
{
    char *line = NULL, fingerprint[44];
    enum status st = render_line(person, key, not_after_s, &line, fingerprint, err);
    if (st != OK)
        return st;
    int lock = lock_folder_of(path);
    if (lock < 0)
        st = fail(err, IO_FAILED, "cannot lock the folder of '%s': %s", path, strerror(errno));
    else
        st = add_locked(path, line, slice_str(fingerprint), err);
    if (lock >= 0)
        close(lock);
    free(line);
    return st;
}

/* Cut the line whose second word is the fingerprint; every other byte stays. */
static bool cut_line(char *text, struct slice fingerprint)
{
    for (char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        struct slice s = slice_of(line, (size_t)(end - line));
        take_word(&s);
        if (line[0] != '#' && slice_eq(take_word(&s), fingerprint)) {
            memmove(line, end + 1, strlen(end + 1) + 1);
            return true;
        }
    }
    return false;
}

enum status approval_keys_remove(const char *path, struct slice fingerprint, struct err *err)
{
    struct approval_keys keys = { 0 };
    char *text = NULL;
    int lock = lock_folder_of(path);
    if (lock < 0)
        return fail(err, IO_FAILED, "cannot lock the folder of '%s': %s", path, strerror(errno));
    enum status st = read_whole(path, &text, &keys, err);
    if (st == OK && (fingerprint.len != FINGERPRINT_LEN || !cut_line(text, fingerprint)))
        st = fail(err, NOT_FOUND, "no such key is registered");
    if (st == OK)
        st = file_write(path, slice_str(text), 0600, err);
    close(lock);
    free(text);
    approval_keys_done(&keys);
    return st;
}
