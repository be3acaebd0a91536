#include "proxy/net/proxy_protocol.h"

#include <netinet/in.h>
#include <stdint.h>

enum { COMMAND_LOCAL = 0x20, COMMAND_PROXY = 0x21, TCP4 = 0x11, TCP6 = 0x21, TCP4_BYTES = 12, TCP6_BYTES = 36, TLV_HEAD = 3, TLV_CRC32C = 0x03 };

static const unsigned char signature[12] = { 0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a };

static unsigned read16(const unsigned char *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

size_t proxy_v2_length(struct slice fixed)
{
    if (fixed.len < PROXY_V2_FIXED || memcmp(fixed.ptr, signature, sizeof signature) != 0)
        return 0;
    size_t total = PROXY_V2_FIXED + read16(fixed.ptr + 14);
    bool known = fixed.ptr[12] == COMMAND_LOCAL || fixed.ptr[12] == COMMAND_PROXY;
    return known && total <= PROXY_V2_MAX ? total : 0;
}

/* CRC-32C (RFC 3720 appendix B.4), bit by bit: a connection has one header. The four bytes at `hole` count as zero. */
static uint32_t crc32c(struct slice s, size_t hole)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < s.len; i++) {
        crc ^= i >= hole && i < hole + 4 ? 0 : s.ptr[i];
        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    return ~crc;
}

static bool tlvs_hold(struct slice header, size_t at)
{
    bool summed = false;
    while (at < header.len) {
        if (header.len - at < TLV_HEAD)
            return false;
        unsigned type = header.ptr[at], len = read16(header.ptr + at + 1);
        at += TLV_HEAD;
        if (header.len - at < len)
            return false;
        if (type == TLV_CRC32C) {
            const unsigned char *v = header.ptr + at;
            if (summed || len != 4 || crc32c(header, at) != ((uint32_t)read16(v) << 16 | read16(v + 2)))
                return false;
            summed = true;
        }
        at += len;
    }
    return true;
}

static bool take_v4(struct slice header, struct sockaddr_storage *source)
{
    struct sockaddr_in *in = (struct sockaddr_in *)source;
    if (header.len < PROXY_V2_FIXED + TCP4_BYTES || !tlvs_hold(header, PROXY_V2_FIXED + TCP4_BYTES))
        return false;
    memset(source, 0, sizeof *source);
    in->sin_family = AF_INET;
    memcpy(&in->sin_addr, header.ptr + 16, 4);
    memcpy(&in->sin_port, header.ptr + 24, 2);
    return true;
}

static bool take_v6(struct slice header, struct sockaddr_storage *source)
{
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)source;
    if (header.len < PROXY_V2_FIXED + TCP6_BYTES || !tlvs_hold(header, PROXY_V2_FIXED + TCP6_BYTES))
        return false;
    memset(source, 0, sizeof *source);
    in6->sin6_family = AF_INET6;
    memcpy(&in6->sin6_addr, header.ptr + 16, 16);
    memcpy(&in6->sin6_port, header.ptr + 48, 2);
    return true;
}

bool proxy_v2_parse(struct slice header, bool *local, struct sockaddr_storage *source)
{
    if (proxy_v2_length(header) != header.len || header.len == 0)
        return false;
    *local = header.ptr[12] == COMMAND_LOCAL;
    if (*local)
        return true;                  /* what follows is to be skipped, whatever it is */
    if (header.ptr[13] == TCP4)
        return take_v4(header, source);
    return header.ptr[13] == TCP6 && take_v6(header, source);
}
