/* JSON (RFC 8259), read byte by byte:
 *
 *   text   = *( value / ws / RS )                  several values: NDJSON, JSON text sequences
 *   value  = object / array / string / literal     literal: a run of letters, digits, '+', '-', '.'
 *   object = "{" [ key ":" value *( "," key ":" value ) ] "}"
 *
 * Literals and control characters in strings are read leniently, since no reader finds other structure there; comments, single quotes, unknown escapes and
 * stray commas end the reading, since some do. */
#include "proxy/record/redact_body.h"

enum { J_TOP, J_VALUE, J_VALUE_OR_END, J_KEY_OR_END, J_KEY, J_COLON, J_AFTER, J_STRING, J_ESCAPE, J_UNICODE, J_LITERAL };

static bool top_is_object(const struct json_state *s)
{
    unsigned d = s->depth - 1;
    return s->is_object[d / 8] >> (d % 8) & 1;
}

static bool open_container(struct json_state *s, bool object)
{
    if (s->depth == JSON_DEPTH_MAX)
        return false;
    unsigned d = s->depth++;
    s->is_object[d / 8] = (unsigned char)((s->is_object[d / 8] & ~(1u << (d % 8))) | (object ? 1u << (d % 8) : 0));
    s->state = object ? J_KEY_OR_END : J_VALUE_OR_END;
    return true;
}

static void key_add(struct json_state *s, unsigned char c)
{
    if (s->key_len < REDACT_KEY_MAX)
        s->key[s->key_len++] = c;
    else
        s->key_len = REDACT_KEY_MAX + 1;
}

static void key_add_unicode(struct json_state *s, unsigned u)
{
    if (u < 0x80) {
        key_add(s, (unsigned char)u);
    } else if (u < 0x800) {
        key_add(s, (unsigned char)(0xc0 | u >> 6));
        key_add(s, (unsigned char)(0x80 | (u & 63)));
    } else {   /* a surrogate is encoded by itself: no configured name holds one */
        key_add(s, (unsigned char)(0xe0 | u >> 12));
        key_add(s, (unsigned char)(0x80 | (u >> 6 & 63)));
        key_add(s, (unsigned char)(0x80 | (u & 63)));
    }
}

static bool is_space(unsigned char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_literal(unsigned char c)
{
    return (c >= '0' && c <= '9') || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') || c == '+' || c == '-' || c == '.';
}

/* The first byte of a value. */
static bool value_start(struct json_state *s, unsigned char c)
{
    if (c == '{' || c == '[')
        return open_container(s, c == '{');
    s->in_key = false;
    s->state = c == '"' ? J_STRING : J_LITERAL;
    return c == '"' || is_literal(c);
}

static bool close_container(struct json_state *s, bool object)
{
    if (s->depth == 0 || top_is_object(s) != object)
        return false;
    s->depth--;
    return true;
}

/* What follows a value: also the byte after a literal. */
static bool after_value(struct json_state *s, unsigned char c, bool *ended)
{
    if (c == ',') {
        s->state = top_is_object(s) ? J_KEY : J_VALUE;
        return true;
    }
    *ended = c == '}' || c == ']';
    return *ended && close_container(s, c == '}');
}

static bool escape(struct json_state *s, unsigned char c)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *at = c ? strchr(from, c) : NULL;
    s->state = J_STRING;
    if (c == 'u') {
        s->state = J_UNICODE;
        s->digits = 0;
        s->unicode = 0;
        return true;
    }
    if (at != NULL && s->in_key)
        key_add(s, (unsigned char)to[at - from]);
    return at != NULL;
}

static bool unicode(struct json_state *s, unsigned char c)
{
    unsigned char l = ascii_lower(c);
    unsigned v = c >= '0' && c <= '9' ? c - (unsigned)'0' : l >= 'a' && l <= 'f' ? l - (unsigned)'a' + 10 : 16;
    s->unicode = s->unicode << 4 | (v & 15);
    if (v < 16 && ++s->digits == 4) {
        s->state = J_STRING;
        if (s->in_key)
            key_add_unicode(s, s->unicode);
    }
    return v < 16;
}

static bool byte_order_mark(const struct json_state *s, unsigned char c)
{
    static const unsigned char bom[] = { 0xef, 0xbb, 0xbf };
    return s->seen < sizeof bom && c == bom[s->seen];
}

/* One byte of structure or string. *ended: a value ended with this byte. */
static bool step(struct json_state *s, const struct secret_names *names, unsigned char c, bool *ended)
{
    switch (s->state) {
    case J_STRING:
        if (c == '\\') {
            s->state = J_ESCAPE;
        } else if (c != '"') {
            if (s->in_key)
                key_add(s, c);
        } else if (s->in_key) {
            s->secret_next = s->key_len > REDACT_KEY_MAX || secret_name(names, slice_of(s->key, s->key_len));
            s->state = J_COLON;
        } else {
            *ended = true;
        }
        return true;
    case J_ESCAPE:
        return escape(s, c);
    case J_UNICODE:
        return unicode(s, c);
    case J_KEY_OR_END:
        if (c == '}') {
            *ended = true;
            return close_container(s, true);
        }
        /* fall through */
    case J_KEY:
        s->in_key = true;
        s->key_len = 0;
        s->state = c == '"' ? J_STRING : s->state;
        return c == '"' || is_space(c);
    case J_COLON:
        s->state = c == ':' ? J_VALUE : J_COLON;
        return c == ':' || is_space(c);
    case J_AFTER:
        return is_space(c) || after_value(s, c, ended);
    case J_TOP:
        return is_space(c) || c == 0x1e || byte_order_mark(s, c) || value_start(s, c);
    case J_VALUE_OR_END:
        if (c == ']') {
            *ended = true;
            return close_container(s, false);
        }
        /* fall through */
    default:
        return is_space(c) || value_start(s, c);
    }
}

static bool value_starts_here(const struct json_state *s, unsigned char c)
{
    return s->secret_next && !s->skipping && s->state == J_VALUE && !is_space(c);
}

/* The string, number or container that was being read is over. True: it was a secret one. */
static bool value_over(struct json_state *s)
{
    bool secret = s->skipping && s->depth == s->skip_depth;
    if (secret)
        s->skipping = false;
    s->state = s->depth == 0 ? J_TOP : J_AFTER;
    return secret;
}

/* Bytes before the next quote or backslash, eight at a time. */
static size_t plain_length(const unsigned char *p, size_t len)
{
    const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
    size_t i = 0;
    for (; len - i >= 8; i += 8) {
        uint64_t v;
        memcpy(&v, p + i, 8);
        uint64_t quote = v ^ ones * '"', slash = v ^ ones * '\\';
        uint64_t found = (((quote - ones) & ~quote) | ((slash - ones) & ~slash)) & highs;
        if (found == 0)
            continue;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        return i + (size_t)__builtin_ctzll(found) / 8;   /* the lowest mark is exact */
#else
        break;
#endif
    }
    while (i < len && p[i] != '"' && p[i] != '\\')
        i++;
    return i;
}

static void key_add_all(struct json_state *s, const unsigned char *p, size_t len)
{
    if (s->key_len + len > REDACT_KEY_MAX) {
        s->key_len = REDACT_KEY_MAX + 1;
        return;
    }
    memcpy(s->key + s->key_len, p, len);
    s->key_len += len;
}

/* In a string: the bytes up to what ends or escapes it, most of most bodies. */
static size_t skip_string(struct json_state *s, struct slice data)
{
    size_t n = plain_length(data.ptr, data.len);
    if (s->in_key && n > 0)
        key_add_all(s, data.ptr, n);
    s->seen += n;
    return n;
}

/* After a key `:"`, after a value in an object `,"`: what stands between nearly all strings, in one step instead of two. Returns the bytes stepped over. */
static size_t hop(struct json_state *s, struct slice rest)
{
    if (rest.len < 2 || rest.ptr[1] != '"' || s->skipping)
        return 0;
    bool to_value = s->state == J_COLON && rest.ptr[0] == ':' && !s->secret_next;
    bool to_key = s->state == J_AFTER && rest.ptr[0] == ',' && top_is_object(s);
    if (!to_value && !to_key)
        return 0;
    s->in_key = to_key;
    s->key_len = 0;
    s->state = J_STRING;
    s->seen += 2;
    return 2;
}

enum status json_feed(struct json_state *s, const struct secret_names *names, struct slice data, const struct redact_out *out, size_t *taken)
{
    size_t from = 0, i = 0;
    for (; i < data.len; i++, s->seen++) {
        bool ended = false;
        if (s->state == J_STRING && (i += skip_string(s, slice_from(data, i))) == data.len)
            break;
        unsigned char c = data.ptr[i];
        if (s->state == J_LITERAL) {
            if (is_literal(c))
                continue;
            if (value_over(s))   /* and this byte stands for itself */
                from = i;
        }
        if (value_starts_here(s, c)) {
            redact_put(out, slice_of(data.ptr + from, i - from));
            redact_put(out, SLICE("\"" REDACT_REMOVED "\""));
            s->removed++;
            s->skipping = true;
            s->skip_depth = s->depth;
        }
        if (s->state == J_VALUE && !is_space(c))
            s->secret_next = false;
        if (!step(s, names, c, &ended))
            break;
        if (ended && value_over(s))
            from = i + 1;
        if (c == '"')
            i += hop(s, slice_from(data, i + 1));
    }
    *taken = i;
    if (!s->skipping)
        redact_put(out, slice_of(data.ptr + from, i - from));
    return i == data.len ? OK : BAD_INPUT;
}
