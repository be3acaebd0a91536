#include "proxy/commands/storage.h"

#include "proxy/base/codec.h"
#include "proxy/base/file.h"
#include "proxy/commands/words.h"
#include "proxy/courier/fetch.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { AT_ONCE = 4, TRIES = 3, CONNECT_MS = 10000, OBJECT_MS = 300000, OBJECT_MAX = 256 << 20, URL_MAX = 2400, SECRET_MAX = 1024, TAR_END_LEN = 1024, SEGMENTS_MAX = 2 * 1000 * 1000 };

struct part {                         /* one segment */
    unsigned number;
    unsigned char digest[32];         /* as its leaf says */
    unsigned char *bytes;
    size_t len;
    unsigned code;                    /* of the answer; 0: none */
    bool done;
    char why[160];
};

struct reading {
    const struct profile *profile;
    const char *session;
    struct fetcher *fetcher;
    char *secret, sign[96];
    struct part *parts;
    size_t count;
    bool as_is;
    FILE *to;
};

enum status storage_named(const struct profile *p, struct err *err)
{
    if (p->storage == NULL)
        return fail(err, NOT_FOUND, "no object storage is named");
    if (strncmp(p->storage, "https://", 8) != 0)
        return fail(err, BAD_CONFIG, "the storage '%s' is no address of object storage; expected https://HOST/BUCKET/PREFIX, as `recording.copy_to` of the gateway says it", p->storage);
    const char *missing = p->storage_region == NULL ? "storage_region" : p->storage_key == NULL ? "storage_key" : p->storage_secret == NULL ? "storage_secret" : NULL;
    if (missing != NULL)
        return fail(err, BAD_CONFIG, "'%s' is missing, and reading from object storage needs it. Next: put it into your profile; storage_key and storage_secret (a file) are of a key that may read "
                    "the objects", missing);
    return OK;
}

/* ---- one object ---- */

static void on_part(void *arg, const struct fetch_result *r)
{
    struct part *p = arg;
    p->done = true;
    p->code = r->status == OK ? r->code : 0;
    free(p->bytes);
    p->bytes = NULL;
    p->len = 0;
    snprintf(p->why, sizeof p->why, "%s", r->why);
    if (p->code != 200)
        return;
    p->bytes = malloc(r->body.len + 1);
    if (p->bytes == NULL) {
        p->code = 0;
        snprintf(p->why, sizeof p->why, "no memory");
        return;
    }
    memcpy(p->bytes, r->body.len > 0 ? (const void *)r->body.ptr : "", r->body.len);
    p->len = r->body.len;
}

static enum status begin(struct reading *r, struct part *p, struct err *err)
{
    /* SHA-256 of nothing: libcurl before 8 does not send it by itself, but signs what is there. */
    static const char *const fields[] = { "x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", NULL };
    char url[URL_MAX];
    size_t len = strlen(r->profile->storage);
    while (len > 0 && r->profile->storage[len - 1] == '/')
        len--;
    if (snprintf(url, sizeof url, "%.*s/recordings/%s/%06u.tar", (int)len, r->profile->storage, r->session, p->number) >= (int)sizeof url)
        return fail(err, BAD_CONFIG, "the storage's address is too long");
    p->done = false;
    struct fetch_order o = { .url = url, .ca_file = r->profile->storage_ca, .fields = fields, .max_bytes = OBJECT_MAX, .connect_ms = CONNECT_MS, .total_ms = OBJECT_MS, .sign = r->sign,
                             .user = r->profile->storage_key, .password = r->secret };
    return fetch_start(r->fetcher, &o, on_part, p, err);
}

/* Worth another try: it did not answer, or said that it is in trouble. */
static bool in_trouble(const struct part *p)
{
    return p->code == 0 || p->code == 408 || p->code == 429 || p->code >= 500;
}

static enum status few(struct reading *r, size_t from, size_t count, struct err *err)
{
    enum status st = OK;
    for (unsigned tries = 0; st == OK && tries < TRIES; tries++) {
        bool more = false;
        if (tries > 0) {
            struct timespec t = { tries, 0 };
            nanosleep(&t, NULL);
        }
        for (size_t i = from; i < from + count && st == OK; i++)
            if (tries == 0 || in_trouble(&r->parts[i])) {
                st = begin(r, &r->parts[i], err);
                more = true;
            }
        while (fetch_under_way(r->fetcher) > 0)
            fetch_step(r->fetcher, NULL, 0, 200);
        if (!more)
            break;
    }
    return st;
}

/* ---- in their order ---- */

static enum status said_no(const struct reading *r, const struct part *p, struct err *err)
{
    if (in_trouble(p)) {
        char answered[48];
        snprintf(answered, sizeof answered, "it answered %u", p->code);
        return fail(err, IO_FAILED, "the object storage %s cannot be read now: %s. Next: try again when it is there; the digests in the log stay what they are", r->profile->storage,
                    p->code != 0 ? answered : p->why);
    }
    return fail(err, REFUSED, "the object storage %s answered %u to a request for segment %u. Next: the key '%s' must be allowed to read (s3:GetObject), and region and secret must be its own",
                r->profile->storage, p->code, p->number, r->profile->storage_key);
}

static enum status keep(struct reading *r, const struct part *p, struct err *err)
{
    unsigned char digest[32];
    sha256_one(slice_of(p->bytes, p->len), digest);
    if (!r->as_is && CRYPTO_memcmp(digest, p->digest, sizeof digest) != 0)
        return fail(err, CORRUPT, "segment %u in the object storage is not the one that the log has a digest of: it was changed. Next: countersign verify %s --storage %s", p->number, r->session,
                    r->profile->storage);
    return fwrite(p->bytes, 1, p->len, r->to) == p->len ? OK : fail(err, IO_FAILED, "cannot keep segment %u: %m", p->number);
}

/* missing: the first that was not there; 0: none so far. */
static enum status take(struct reading *r, struct part *p, unsigned *missing, struct err *err)
{
    enum status st = OK;
    if (p->code == 404) {
        *missing = *missing ? *missing : p->number;
        return OK;
    }
    if (p->code != 200)
        st = said_no(r, p, err);
    else if (*missing != 0 && !r->as_is)
        st = fail(err, NOT_FOUND, "the object storage lacks segment %u of %s, though later ones are there. Next: countersign verify %s --storage %s says what is missing", *missing, r->session,
                  r->session, r->profile->storage);
    if (st == OK)
        st = keep(r, p, err);
    free(p->bytes);
    p->bytes = NULL;
    return st;
}

static enum status all_of(struct reading *r, struct err *err)
{
    static const char end[TAR_END_LEN];
    unsigned missing = 0;
    enum status st = OK;
    for (size_t at = 0; at < r->count && st == OK; at += AT_ONCE) {
        size_t n = r->count - at < AT_ONCE ? r->count - at : AT_ONCE;
        st = few(r, at, n, err);
        for (size_t i = at; i < at + n && st == OK; i++)
            st = take(r, &r->parts[i], &missing, err);
    }
    if (st == OK && missing == r->parts[0].number && !r->as_is)
        return fail(err, NOT_FOUND, "the object storage %s has nothing of %s. Next: is it the one that `recording.copy_to` names, with its prefix?", r->profile->storage, r->session);
    if (st == OK && missing != 0 && !r->as_is)
        fprintf(stderr, "countersign: the object storage has segments 1 to %u of %s so far; the log has %zu\n", missing - 1, r->session, r->count);
    if (st == OK && (fwrite(end, 1, sizeof end, r->to) != sizeof end || fflush(r->to) != 0))
        st = fail(err, IO_FAILED, "cannot keep the recording: %m");
    return st;
}

/* ---- what there is to read ---- */

static enum status parts_of(struct reading *r, const json_t *leaves, struct err *err)
{
    size_t i, len;
    json_t *leaf;
    unsigned last = 0;
    if (json_array_size(leaves) > SEGMENTS_MAX || (r->parts = calloc(json_array_size(leaves) + 1, sizeof *r->parts)) == NULL)
        return fail(err, NO_MEMORY, "segments");
    json_array_foreach(leaves, i, leaf) {
        const json_t *content = json_object_get(leaf, "content");
        json_int_t number = json_integer_value(json_object_get(content, "number"));
        struct part *p = &r->parts[r->count];
        if (!json_text_is(leaf, "type", "segment"))
            continue;
        if (!json_text_is(content, "session", r->session) || number <= last || number > 999999 ||
            b64url_decode(slice_str(json_text(content, "digest")), p->digest, sizeof p->digest, &len) != OK || len != sizeof p->digest)
            return fail(err, BAD_INPUT, "the gateway's leaves about the segments of %s make no sense", r->session);
        p->number = last = (unsigned)number;
        r->count++;
    }
    return r->count > 0 ? OK : fail(err, NOT_FOUND, "the log has no segment of %s", r->session);
}

static enum status secret_of(struct reading *r, struct err *err)
{
    unsigned char *text = NULL;
    size_t len = 0;
    enum status st = file_read(r->profile->storage_secret, SECRET_MAX, true, &text, &len, err);
    if (st != OK)
        return st;
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
        text[--len] = 0;
    r->secret = (char *)text;
    return len > 0 && strlen(r->secret) == len ? OK : fail(err, BAD_INPUT, "'%s' holds no secret", r->profile->storage_secret);
}

enum status storage_recording(const struct profile *p, const char *session, const json_t *leaves, bool as_is, FILE *to, struct err *err)
{
    struct reading r = { .profile = p, .session = session, .as_is = as_is, .to = to };
    enum status st = storage_named(p, err);
    if (st == OK && !id_is_plain(session))
        st = fail(err, BAD_INPUT, "'%s' is not the id of a session", session);
    if (st == OK)
        st = parts_of(&r, leaves, err);
    if (st == OK)
        st = secret_of(&r, err);
    if (st == OK)
        st = fetcher_new(&r.fetcher, err);
    if (st == OK) {
        snprintf(r.sign, sizeof r.sign, "aws:amz:%.60s:s3", p->storage_region);
        st = all_of(&r, err);
    }
    fetcher_free(r.fetcher);
    for (size_t i = 0; i < r.count; i++)
        free(r.parts[i].bytes);
    free(r.parts);
    if (r.secret != NULL)
        OPENSSL_cleanse(r.secret, strlen(r.secret));
    free(r.secret);
    return st;
}
