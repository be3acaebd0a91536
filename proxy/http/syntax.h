/* syntax: small productions of RFC 9110 and 3986 that heads, trailers, writers and the HTTP/2 side share, so that one byte means one thing everywhere. */
#ifndef COUNTERSIGN_SYNTAX_H
#define COUNTERSIGN_SYNTAX_H

#include "proxy/http/message.h"

/* What a byte may be part of. */
enum {
    CHAR_TOKEN = 1,                   /* tchar (RFC 9110 s5.6.2) */
    CHAR_UNRESERVED = 2,              /* RFC 3986 s2.3 */
    CHAR_PATH = 4,                    /* pchar but for '%' (RFC 3986 s3.3) */
    CHAR_QUERY = 8,                   /* what may stand in a query as it came: printable ASCII but for '#' and '%' */
    CHAR_VALUE = 16,                  /* field-value bytes: HTAB, SP, VCHAR, obs-text (RFC 9110 s5.5) */
    CHAR_HOST = 32,                   /* registered names we take: letters, digits, '-', '.', '_' */
};
extern const unsigned char char_class[256];

/* A tchar in lower case; 0 for a byte that is none. */
extern const unsigned char token_lower[256];

static inline bool char_is(unsigned char c, unsigned classes)
{
    return (char_class[c] & classes) != 0;
}

/* 0 to 15, or -1. */
int hex_digit(unsigned char c);
/* Every byte of s in the class? An empty s: true. */
bool all_are(struct slice s, unsigned class);
/* 1*tchar. */
bool is_token(struct slice s);
/* No control byte but HTAB (RFC 9110 s5.5): CR, LF and NUL would split a message that is written anew. Eight bytes a step. */
bool value_is_clean(struct slice s);
/* 1*DIGIT (RFC 9110 s8.6). A sign, a space, a list or an overflow of 2^63-1 is BAD: a length that two parsers read differently is
 * request smuggling (RFC 9112 s11.2). */
enum parse content_length_parse(struct slice v, uint64_t *out);
/* The next element of a comma-separated list (RFC 9110 s5.6.1), trimmed, and *rest moved behind it; false at the end. Quoted strings keep their
 * commas. Empty elements come back empty. Start with *rest = the value (and not for an empty one). */
bool list_next(struct slice *rest, struct slice *element);
/* Does a field name (lower case) turn into `plain` for a tool that reads '_', '.' and other marks as '-' (CGI, WSGI and PHP do)? */
bool name_looks_like(struct slice name, struct slice plain);
/* The same for a beginning: "x-forwarded-". */
bool name_looks_to_start(struct slice name, struct slice prefix);
/* host[:port] (RFC 9110 s4.2.3), lower case, copied into the arena: a registered name without empty labels or escapes, an IPv4 address or
 * an IPv6 address in brackets; a port from 1 to 65535 without leading zeros. Userinfo is BAD. out may point into raw when nothing changed. */
enum parse authority_parse(struct slice raw, struct arena *arena, struct slice *out);
/* The host of an authority as authority_parse gave it: no port; brackets stay. */
struct slice authority_host(struct slice authority);

#endif
