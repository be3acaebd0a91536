#include "proxy/http/syntax.h"

#include <arpa/inet.h>

#define ALNUM (CHAR_TOKEN | CHAR_UNRESERVED | CHAR_PATH | CHAR_QUERY | CHAR_VALUE | CHAR_HOST)
#define MARK  (CHAR_TOKEN | CHAR_UNRESERVED | CHAR_PATH | CHAR_QUERY | CHAR_VALUE)   /* '~', and with HOST '-', '.', '_' */
#define SUBT  (CHAR_TOKEN | CHAR_PATH | CHAR_QUERY | CHAR_VALUE)                     /* sub-delims that are tchar too */
#define SUB   (CHAR_PATH | CHAR_QUERY | CHAR_VALUE)
#define TOKQ  (CHAR_TOKEN | CHAR_QUERY | CHAR_VALUE)
#define QUERY (CHAR_QUERY | CHAR_VALUE)

const unsigned char char_class[256] = {
    ['0' ... '9'] = ALNUM, ['A' ... 'Z'] = ALNUM, ['a' ... 'z'] = ALNUM,
    ['-'] = ALNUM, ['.'] = ALNUM, ['_'] = ALNUM, ['~'] = MARK,
    ['!'] = SUBT, ['$'] = SUBT, ['&'] = SUBT, ['\''] = SUBT, ['*'] = SUBT, ['+'] = SUBT,
    ['('] = SUB, [')'] = SUB, [','] = SUB, [';'] = SUB, ['='] = SUB, [':'] = SUB, ['@'] = SUB,
    ['^'] = TOKQ, ['`'] = TOKQ, ['|'] = TOKQ,
    ['"'] = QUERY, ['/'] = QUERY, ['<'] = QUERY, ['>'] = QUERY, ['?'] = QUERY, ['['] = QUERY, ['\\'] = QUERY, [']'] = QUERY,
    ['{'] = QUERY, ['}'] = QUERY,
    ['#'] = CHAR_TOKEN | CHAR_VALUE, ['%'] = CHAR_TOKEN | CHAR_VALUE,
    ['\t'] = CHAR_VALUE, [' '] = CHAR_VALUE, [0x80 ... 0xff] = CHAR_VALUE,
};

const unsigned char token_lower[256] = {
    ['!'] = '!', ['#'] = '#', ['$'] = '$', ['%'] = '%', ['&'] = '&', ['\''] = '\'', ['*'] = '*', ['+'] = '+', ['-'] = '-',
    ['.'] = '.', ['^'] = '^', ['_'] = '_', ['`'] = '`', ['|'] = '|', ['~'] = '~', ['0'] = '0', ['1'] = '1', ['2'] = '2',
    ['3'] = '3', ['4'] = '4', ['5'] = '5', ['6'] = '6', ['7'] = '7', ['8'] = '8', ['9'] = '9',
    ['A'] = 'a', ['a'] = 'a', ['B'] = 'b', ['b'] = 'b', ['C'] = 'c', ['c'] = 'c', ['D'] = 'd', ['d'] = 'd', ['E'] = 'e', ['e'] = 'e',
    ['F'] = 'f', ['f'] = 'f', ['G'] = 'g', ['g'] = 'g', ['H'] = 'h', ['h'] = 'h', ['I'] = 'i', ['i'] = 'i', ['J'] = 'j', ['j'] = 'j',
    ['K'] = 'k', ['k'] = 'k', ['L'] = 'l', ['l'] = 'l', ['M'] = 'm', ['m'] = 'm', ['N'] = 'n', ['n'] = 'n', ['O'] = 'o', ['o'] = 'o',
    ['P'] = 'p', ['p'] = 'p', ['Q'] = 'q', ['q'] = 'q', ['R'] = 'r', ['r'] = 'r', ['S'] = 's', ['s'] = 's', ['T'] = 't', ['t'] = 't',
    ['U'] = 'u', ['u'] = 'u', ['V'] = 'v', ['v'] = 'v', ['W'] = 'w', ['w'] = 'w', ['X'] = 'x', ['x'] = 'x', ['Y'] = 'y', ['y'] = 'y',
    ['Z'] = 'z', ['z'] = 'z',
};

int hex_digit(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool all_are(struct slice s, unsigned class)
{
    for (size_t i = 0; i < s.len; i++)
        if (!char_is(s.ptr[i], class))
            return false;
    return true;
}

bool is_token(struct slice s)
{
    return s.len > 0 && all_are(s, CHAR_TOKEN);
}

/* Sixteen bytes at a time: a head is looked at when it is read and once more when it is written, and an assertion alone has half a KiB. */
typedef unsigned char bytes16 __attribute__((vector_size(16)));

static bool any_set(bytes16 v)
{
    uint64_t half[2];
    memcpy(half, &v, sizeof half);
    return (half[0] | half[1]) != 0;
}

bool value_is_clean(struct slice s)
{
    bytes16 bad = { 0 };
    size_t i = 0;
    for (; i + sizeof bad <= s.len; i += sizeof bad) {
        bytes16 v;
        memcpy(&v, s.ptr + i, sizeof v);
        bad |= (bytes16)(((v < 0x20) & (v != '\t')) | (v == 0x7f));
    }
    return !any_set(bad) && all_are(slice_of(s.ptr + i, s.len - i), CHAR_VALUE);
}

enum parse content_length_parse(struct slice v, uint64_t *out)
{
    uint64_t n = 0;
    if (v.len == 0)
        return PARSE_BAD;
    for (size_t i = 0; i < v.len; i++) {
        unsigned digit = v.ptr[i] - (unsigned)'0';
        if (digit > 9 || n > ((uint64_t)INT64_MAX - digit) / 10)
            return PARSE_BAD;
        n = n * 10 + digit;
    }
    *out = n;
    return PARSE_OK;
}

bool list_next(struct slice *rest, struct slice *element)
{
    bool quoted = false;
    size_t i = 0;
    if (rest->ptr == NULL)
        return false;
    for (; i < rest->len && (quoted || rest->ptr[i] != ','); i++) {
        if (rest->ptr[i] == '"')
            quoted = !quoted;
        else if (quoted && rest->ptr[i] == '\\' && i + 1 < rest->len)
            i++;
    }
    *element = slice_trim(slice_of(rest->ptr, i));
    *rest = i < rest->len ? slice_from(*rest, i + 1) : (struct slice){ 0 };
    return true;
}

bool name_looks_to_start(struct slice name, struct slice prefix)
{
    if (name.len < prefix.len)
        return false;
    for (size_t i = 0; i < prefix.len; i++) {
        unsigned char c = ascii_lower(name.ptr[i]);
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z')))
            c = '-';
        if (c != prefix.ptr[i])
            return false;
    }
    return true;
}

bool name_looks_like(struct slice name, struct slice plain)
{
    return name.len == plain.len && name_looks_to_start(name, plain);
}

/* 1*5DIGIT, 1 to 65535. "host:" and "host:0443" are other spellings of a host that somebody compares as text: BAD. */
static bool port_is_good(struct slice s)
{
    unsigned n = 0;
    if (s.len == 0 || s.len > 5 || s.ptr[0] == '0')
        return false;
    for (size_t i = 0; i < s.len; i++) {
        unsigned digit = s.ptr[i] - (unsigned)'0';
        if (digit > 9)
            return false;
        n = n * 10 + digit;
    }
    return n <= 65535;
}

static bool ipv6_is_good(struct slice s)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr addr;
    if (s.len == 0 || s.len >= sizeof text || memchr(s.ptr, 0, s.len) != NULL)
        return false;
    memcpy(text, s.ptr, s.len);
    text[s.len] = 0;
    return inet_pton(AF_INET6, text, &addr) == 1;
}

static bool name_is_good(struct slice s)
{
    if (s.len == 0 || s.len > 253 || s.ptr[0] == '.' || s.ptr[s.len - 1] == '.')
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!char_is(s.ptr[i], CHAR_HOST) || (s.ptr[i] == '.' && s.ptr[i - 1] == '.'))
            return false;
    return true;
}

/* Where the host ends: at the colon before a port, or at the end. */
static size_t host_length(struct slice s)
{
    size_t close = s.len && s.ptr[0] == '[' ? slice_find(s, ']') : 0;
    if (close == s.len)
        return s.len;
    return close + slice_find(slice_from(s, close), ':');
}

enum parse authority_parse(struct slice raw, struct arena *arena, struct slice *out)
{
    size_t n = raw.len ? host_length(raw) : 0;
    struct slice host = { raw.ptr, n };
    if (n < raw.len && !port_is_good(slice_from(raw, n + 1)))
        return PARSE_BAD;
    if (n > 0 && host.ptr[0] == '[') {
        if (n < 2 || host.ptr[n - 1] != ']' || !ipv6_is_good(slice_of(host.ptr + 1, n - 2)))
            return PARSE_BAD;
    } else if (!name_is_good(host)) {
        return PARSE_BAD;
    }
    for (size_t i = 0; i < n; i++) {
        if (host.ptr[i] < 'A' || host.ptr[i] > 'Z')
            continue;
        unsigned char *p = arena_alloc(arena, raw.len);
        if (p == NULL)
            return PARSE_BAD;
        for (size_t k = 0; k < raw.len; k++)
            p[k] = ascii_lower(raw.ptr[k]);
        *out = slice_of(p, raw.len);
        return PARSE_OK;
    }
    *out = raw;
    return PARSE_OK;
}

struct slice authority_host(struct slice authority)
{
    return slice_of(authority.ptr, authority.len ? host_length(authority) : 0);
}
