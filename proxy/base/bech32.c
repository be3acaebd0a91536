#include "proxy/base/bech32.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <stdint.h>

static const char letters[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

enum { GROUPS_MAX = (BECH32_BYTES_MAX * 8 + 4) / 5 + 6, CHECKSUM = 6 };

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static uint32_t step(uint32_t sum, unsigned value)
{
    static const uint32_t generator[5] = { 0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3 };
    uint32_t top = sum >> 25;
    sum = (sum & 0x1ffffff) << 5 ^ value;
    for (unsigned i = 0; i < 5; i++)
        if (top >> i & 1)
            sum ^= generator[i];
    return sum;
}

/* Over the prefix, always in lower case, and the groups of five bits. */
static uint32_t checksum(const char *prefix, const unsigned char *groups, size_t count)
{
    uint32_t sum = 1;
    for (const char *p = prefix; *p != 0; p++)
        sum = step(sum, ascii_lower((unsigned char)*p) >> 5);
    sum = step(sum, 0);
    for (const char *p = prefix; *p != 0; p++)
        sum = step(sum, ascii_lower((unsigned char)*p) & 31);
    for (size_t i = 0; i < count; i++)
        sum = step(sum, groups[i]);
    return sum;
}

static size_t split(struct slice bytes, unsigned char *groups)
{
    unsigned held = 0, bits = 0;
    size_t n = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        held = (held << 8 | bytes.ptr[i]) & 0xfff;
        for (bits += 8; bits >= 5; bits -= 5)
            groups[n++] = held >> (bits - 5) & 31;
    }
    if (bits > 0)
        groups[n++] = (unsigned char)(held << (5 - bits) & 31);
    return n;
}

void bech32_encode(const char *prefix, struct slice bytes, char *out)
{
    unsigned char groups[GROUPS_MAX] = { 0 };
    assert(bytes.len <= BECH32_BYTES_MAX);
    size_t n = split(bytes, groups), at = strlen(prefix);
    uint32_t sum = checksum(prefix, groups, n + CHECKSUM) ^ 1;
    for (unsigned i = 0; i < CHECKSUM; i++)
        groups[n + i] = sum >> 5 * (5 - i) & 31;
    memcpy(out, prefix, at);
    out[at++] = '1';
    for (size_t i = 0; i < n + CHECKSUM; i++) {
        char c = letters[groups[i]];
        out[at++] = is_upper(prefix[0]) && c >= 'a' ? (char)(c - 32) : c;
    }
    out[at] = 0;
    OPENSSL_cleanse(groups, sizeof groups);
}

static bool read_groups(const char *prefix, struct slice text, unsigned char *groups)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = (char)text.ptr[i];
        if (is_upper(prefix[0]) ? c >= 'a' && c <= 'z' : is_upper(c))
            return false;
        const char *at = c == 0 ? NULL : strchr(letters, ascii_lower((unsigned char)c));
        if (at == NULL)
            return false;
        groups[i] = (unsigned char)(at - letters);
    }
    return true;
}

static bool join(const unsigned char *groups, size_t count, unsigned char *out)
{
    unsigned held = 0, bits = 0;
    for (size_t i = 0, n = 0; i < count; i++) {
        held = (held << 5 | groups[i]) & 0xfff;
        bits += 5;
        if (bits >= 8) {
            bits -= 8;
            out[n++] = (unsigned char)(held >> bits);
        }
    }
    return (held & ((1u << bits) - 1)) == 0;   /* what is left over must say nothing */
}

bool bech32_decode(const char *prefix, struct slice text, unsigned char *out, size_t want)
{
    unsigned char groups[GROUPS_MAX];
    size_t head = strlen(prefix) + 1;
    if (want > BECH32_BYTES_MAX || text.len != BECH32_LEN(head - 1, want) || !slice_starts(text, slice_str(prefix)) || text.ptr[head - 1] != '1')
        return false;
    text = slice_from(text, head);
    bool good = read_groups(prefix, text, groups) && checksum(prefix, groups, text.len) == 1 && join(groups, text.len - CHECKSUM, out);
    OPENSSL_cleanse(groups, sizeof groups);
    return good;
}
