#include "config/network.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

enum { V4_BITS_BEFORE = 96 };

/* 1*3DIGIT, at most max, no leading zero. */
static bool parse_bits(const char *text, unsigned max, unsigned *out)
{
    unsigned n = 0;
    size_t len = strlen(text);
    if (len == 0 || len > 3 || (len > 1 && text[0] == '0'))
        return false;
    for (size_t i = 0; i < len; i++) {
        unsigned digit = (unsigned char)text[i] - (unsigned)'0';
        if (digit > 9)
            return false;
        n = n * 10 + digit;
    }
    *out = n;
    return n <= max;
}

static bool bit_of(const unsigned char address[16], unsigned i)
{
    return address[i / 8] & (0x80u >> i % 8);
}

static bool parse_address(const char *text, struct network *n)
{
    struct in_addr v4;
    *n = (struct network){ .address = { [10] = 0xff, [11] = 0xff } };
    if (inet_pton(AF_INET, text, &v4) == 1) {
        memcpy(n->address + 12, &v4, 4);
        return true;
    }
    return inet_pton(AF_INET6, text, n->address) == 1;
}

bool network_parse(const char *text, struct network *out)
{
    char address[INET6_ADDRSTRLEN];
    struct network n;
    const char *slash = strchr(text, '/');
    size_t len = slash ? (size_t)(slash - text) : strlen(text);
    if (len == 0 || len >= sizeof address)
        return false;
    memcpy(address, text, len);
    address[len] = 0;
    bool v4 = strchr(address, ':') == NULL;
    unsigned bits = v4 ? 32 : 128;
    if (!parse_address(address, &n) || (slash != NULL && !parse_bits(slash + 1, bits, &bits)))
        return false;
    n.bits = v4 ? V4_BITS_BEFORE + bits : bits;
    for (unsigned i = n.bits; i < 128; i++)
        if (bit_of(n.address, i))
            return false;
    *out = n;
    return true;
}

bool network_holds(const struct network *n, const struct sockaddr_storage *peer)
{
    unsigned char address[16] = { [10] = 0xff, [11] = 0xff };
    if (peer->ss_family == AF_INET)
        memcpy(address + 12, &((const struct sockaddr_in *)peer)->sin_addr, 4);
    else if (peer->ss_family == AF_INET6)
        memcpy(address, &((const struct sockaddr_in6 *)peer)->sin6_addr, 16);
    else
        return false;
    for (unsigned i = 0; i < n->bits; i++)
        if (bit_of(address, i) != bit_of(n->address, i))
            return false;
    return true;
}
