/* Which path patterns make sense. Requests are compared in their normal form (proxy/http/target.h), so a pattern that no normal form could ever
 * equal is a mistake that would silently leave a rule without effect: better a problem at load time than a hole. */
#include "config/forms.h"

static int hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool is_hex_any(char c)
{
    return hex_of(c) >= 0 || (c >= 'a' && c <= 'f');
}

static bool unreserved(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c > 0 && c < 128 && strchr("-._~", c) != NULL);
}

/* What the normal form of a path never leaves encoded: unreserved bytes, and reserved ones that mean themselves in a path. */
static bool never_encoded(int c)
{
    return unreserved(c) || (c > 0 && c < 128 && strchr(":@!$&'()*,", c) != NULL);
}

/* "%XX" at p, of which the three characters are there. */
static const char *encoding_fault(const char *p, unsigned allow)
{
    if (!is_hex_any(p[1]) || !is_hex_any(p[2]))
        return "has a '%' without two hex digits";
    int hi = hex_of(p[1]), lo = hex_of(p[2]);
    if (hi < 0 || lo < 0)
        return "has lower-case hex digits after '%', which the normal form writes in upper case";
    int c = hi << 4 | lo;
    if (never_encoded(c))
        return "has a percent-encoding that the normal form decodes: write the character itself";
    if (c < 0x20 || c == 0x7f)
        return "has an encoded control character, which is always refused";
    if (c == '/' && !(allow & TARGET_ENCODED_SLASH))
        return "has %2F, which is refused unless allow_in_target names \"encoded-slash\"";
    if (c == '\\' && !(allow & TARGET_BACKSLASH))
        return "has %5C, which is refused unless allow_in_target names \"backslash\"";
    if (c == '%' && is_hex_any(p[3]) && is_hex_any(p[4]) && !(allow & TARGET_DOUBLE_ENCODING))
        return "has a double percent-encoding, which is refused unless allow_in_target names \"double-encoding\"";
    return NULL;
}

static const char *segment_fault(const char *p, size_t len, bool last, unsigned allow)
{
    if (len == 0 && !last && !(allow & TARGET_EMPTY_SEGMENT))
        return "has an empty segment (\"//\"), which is refused unless allow_in_target names \"empty-segment\"";
    if ((len == 1 && p[0] == '.') || (len == 2 && p[0] == '.' && p[1] == '.'))
        return "has a \".\" or \"..\" segment, which is always refused";
    return NULL;
}

static const char *byte_fault(const char *p, unsigned allow)
{
    if (*p == '%')
        return p[1] == 0 || p[2] == 0 ? "has a '%' without two hex digits" : encoding_fault(p, allow);
    if (*p == '?')
        return "has a '?': conditions on the query go into `query`";
    if (*p == '\\')
        return allow & TARGET_BACKSLASH ? "has a '\\', which the normal form writes as %5C"
                                        : "has a '\\', which is refused unless allow_in_target names \"backslash\"";
    if (!unreserved((unsigned char)*p) && strchr("/!$&'()*+,;=:@", *p) == NULL)
        return "has a character that never stands in a path: percent-encode it (UTF-8, upper-case hex)";
    return strncmp(p, "***", 3) == 0 ? "has three '*' in a row" : NULL;
}

const char *path_pattern_fault(const char *pattern, unsigned allow)
{
    const char *fault = NULL, *segment = pattern + 1;
    if (pattern[0] != '/')
        return "does not start with '/'";
    if (strlen(pattern) > PATTERN_MAX)
        return "is longer than 1024 bytes";
    for (const char *p = pattern + 1; fault == NULL; p++) {
        if (*p == '/' || *p == 0) {
            fault = segment_fault(segment, (size_t)(p - segment), *p == 0, allow);
            segment = p + 1;
        }
        if (*p == 0)
            break;
        if (fault == NULL)
            fault = byte_fault(p, allow);
    }
    return fault;
}
