#include "tests/load/load.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { BLOCK = 251 * 256 };

uint64_t now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

void pattern_fill(unsigned char *out, uint64_t offset, size_t len)
{
    uint64_t i = offset % BLOCK;
    for (size_t n = 0; n < len; n++) {
        out[n] = (unsigned char)((i * 131 + i / 251) & 255);
        if (++i == BLOCK)
            i = 0;
    }
}

static void to_hex(const unsigned char *digest, char hex[65])
{
    for (unsigned i = 0; i < 32; i++)
        snprintf(hex + (size_t)i * 2, 3, "%02x", digest[i]);
}

void pattern_sha256(uint64_t len, char hex[65])
{
    unsigned char piece[PIECE], digest[32];
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    hex[0] = 0;
    if (md == NULL || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1)
        return;
    for (uint64_t at = 0; at < len;) {
        size_t n = len - at > PIECE ? PIECE : (size_t)(len - at);
        pattern_fill(piece, at, n);
        EVP_DigestUpdate(md, piece, n);
        at += n;
    }
    EVP_DigestFinal_ex(md, digest, NULL);
    EVP_MD_CTX_free(md);
    to_hex(digest, hex);
}

bool take_turn(struct worker *w)
{
    if (w->has_turn)
        return true;
    long left = atomic_fetch_sub(w->left, 1);
    if (left <= 0)
        return false;
    w->has_turn = true;
    w->due_us = w->o->rate > 0 ? w->begun_us + (uint64_t)((double)(w->o->requests - (unsigned long)left) * 1e6 / w->o->rate) : 0;
    return true;
}

uint64_t turn_wait_us(const struct worker *w)
{
    if (w->due_us == 0)
        return 0;
    uint64_t now = now_us();
    return w->due_us > now ? w->due_us - now : 0;
}

void answer_begin(struct answer *a, struct worker *w)
{
    const struct options *o = w->o;
    *a = (struct answer){ .begun_us = w->due_us ? w->due_us : now_us() };
    w->has_turn = false;
    if (o->expect_sha256 != NULL && (a->digest = EVP_MD_CTX_new()) != NULL)
        EVP_DigestInit_ex(a->digest, EVP_sha256(), NULL);
}

void answer_data(struct answer *a, const void *data, size_t len)
{
    a->bytes += len;
    if (a->digest != NULL)
        EVP_DigestUpdate(a->digest, data, len);
}

void tally_fail(struct tally *t, unsigned long count, const char *why)
{
    t->failed += count;
    for (unsigned i = 0; i < REASONS_MAX; i++) {
        struct reason *r = &t->reasons[i];
        if (r->count == 0 || i == REASONS_MAX - 1)
            snprintf(r->text, sizeof r->text, "%s", i == REASONS_MAX - 1 ? "other" : why);
        if (strcmp(r->text, why) == 0 || i == REASONS_MAX - 1) {
            r->count += count;
            return;
        }
    }
}

/* NULL: as expected; else a sentence in buf. */
static const char *wrong(struct answer *a, const struct options *o, bool complete, const char *why, char *buf, size_t max)
{
    unsigned char digest[32] = { 0 };
    char hex[65];
    if (a->status == 0 || !complete) {
        snprintf(buf, max, "%s: %s", a->status ? "body cut off" : "no answer", why ? why : "connection closed");
        return buf;
    }
    if (a->status != o->expect_status) {
        snprintf(buf, max, "status %u, not %u", a->status, o->expect_status);
        return buf;
    }
    if (o->expect_bytes >= 0 && a->bytes != (uint64_t)o->expect_bytes) {
        snprintf(buf, max, "%llu bytes, not %lld", (unsigned long long)a->bytes, (long long)o->expect_bytes);
        return buf;
    }
    if (a->digest != NULL) {
        EVP_DigestFinal_ex(a->digest, digest, NULL);
        to_hex(digest, hex);
        if (strcmp(hex, o->expect_sha256) != 0) {
            snprintf(buf, max, "the body has another digest");
            return buf;
        }
    }
    return NULL;
}

void answer_end(struct answer *a, struct worker *w, bool complete, const char *why)
{
    char text[REASON_LEN];
    struct tally *t = &w->tally;
    const char *bad = wrong(a, w->o, complete, why, text, sizeof text);
    EVP_MD_CTX_free(a->digest);
    a->digest = NULL;
    t->bytes_down += a->bytes;
    t->statuses[a->status / 100 <= 5 ? a->status / 100 : 0]++;
    t->latency_us[t->latency_count++] = (uint32_t)(now_us() - a->begun_us);
    if (bad != NULL)
        tally_fail(t, 1, bad);
    else
        t->done++;
}
