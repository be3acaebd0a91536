/* Bodies as they arrive (RFC 9112 s6, s7.1).
 *
 *   chunked-body   = *chunk last-chunk trailer-section CRLF
 *   chunk          = chunk-size [ chunk-ext ] CRLF chunk-data CRLF
 *   chunk-size     = 1*16HEXDIG, below 2^63
 *   chunk-ext      = *( ";" token [ "=" ( token / quoted-string ) ] ), at most 256 bytes, thrown away
 *
 * Stricter than the RFC: no "bad whitespace" round ';' and '=', since a parser that stops at the first byte that is no digit and one that
 * does not would disagree. Data is never copied; a line is, when it comes in pieces. */
#include "proxy/http/h1_internal.h"

#include "proxy/http/forward.h"
#include "proxy/http/syntax.h"

#include <assert.h>

enum body_state { AT_SIZE, AT_DATA, AT_DATA_END, AT_TRAILER };
enum { STATE_MASK = 0x0f, FROM_TOOL = 0x80 };   /* of h1_body.state: the second says that refusals are 502 */
enum {
    EXT_MAX = 256,
    SIZE_LINE_MAX = 16 + EXT_MAX + 2,
    LINE_MAX_BYTES = 1024,
    OVERHEAD_MAX = 16 * 1024,         /* in fact: of a trailer section, as every chunk brings a data byte */
};

static enum body_state state_of(const struct h1_body *b)
{
    return (enum body_state)(b->state & STATE_MASK);
}

static void enter(struct h1_body *b, enum body_state to)
{
    b->state = (unsigned char)((b->state & FROM_TOOL) | to);
}

void h1_body_init(struct h1_body *b, const struct message *m, struct arena *arena, size_t max_trailers)
{
    assert(m->framing != BODY_STREAM);           /* HTTP/2 frames its own */
    b->framing = m->framing;
    b->left = m->framing == BODY_LENGTH ? m->content_length : 0;
    b->state = m->status ? FROM_TOOL | AT_SIZE : AT_SIZE;
    b->done = m->framing == BODY_NONE || (m->framing == BODY_LENGTH && b->left == 0);
    b->overhead = 0;
    b->trailers = (struct fields){ 0 };
    b->arena = arena;
    b->max_trailers = max_trailers;
    b->line = NULL;
    b->line_len = 0;
}

static enum parse bad(const struct h1_body *b, struct refusal *why, unsigned status, const char *reason)
{
    return h1_refuse(why, b->state & FROM_TOOL ? 502 : status, reason);
}

/* quoted-string (RFC 9110 s5.6.4) at the start of s: its length, or 0. */
static size_t quoted_length(struct slice s)
{
    for (size_t i = 1; i < s.len; i++) {
        if (s.ptr[i] == '"')
            return i + 1;
        if (s.ptr[i] == '\\')
            i++;
    }
    return 0;
}

static size_t token_length(struct slice s)
{
    size_t n = 0;
    while (n < s.len && char_is(s.ptr[n], CHAR_TOKEN))
        n++;
    return n;
}

static bool extensions_are_good(struct slice s)
{
    if (s.len > EXT_MAX || !value_is_clean(s))
        return false;
    while (s.len > 0) {
        size_t n = s.ptr[0] == ';' ? token_length(slice_from(s, 1)) : 0;
        if (n == 0)
            return false;
        s = slice_from(s, n + 1);
        if (s.len == 0 || s.ptr[0] != '=')
            continue;
        s = slice_from(s, 1);
        n = s.len && s.ptr[0] == '"' ? quoted_length(s) : token_length(s);
        if (n == 0)
            return false;
        s = slice_from(s, n);
    }
    return true;
}

static enum parse take_size(struct h1_body *b, struct slice line, struct refusal *why)
{
    uint64_t size = 0;
    size_t i = 0;
    for (int d; i < line.len && (d = hex_digit(line.ptr[i])) >= 0; i++) {
        if (i == 16)
            return bad(b, why, 400, "a chunk size with too many digits");
        size = size << 4 | (uint64_t)d;
    }
    if (i == 0)
        return bad(b, why, 400, "a chunk without a size");
    if (size > INT64_MAX)
        return bad(b, why, 413, "a chunk past 2^63 bytes");
    if (!extensions_are_good(slice_from(line, i)))
        return bad(b, why, 400, "a broken or too long chunk extension");
    b->left = size;
    enter(b, size ? AT_DATA : AT_TRAILER);
    return PARSE_OK;
}

/* What frames or routes a message, or steers its connection, decides before the body: in a trailer it is an attempt to have it read twice
 * (RFC 9110 s6.5.1). Other fields that may not pass are left out by forward_trailer_allowed(). */
static bool trailer_refused(struct slice name)
{
    static const struct slice refused[] = {
        SLICE_INIT("content-length"), SLICE_INIT("transfer-encoding"), SLICE_INIT("host"), SLICE_INIT("connection"), SLICE_INIT("te"),
        SLICE_INIT("trailer"), SLICE_INIT("upgrade"), SLICE_INIT("keep-alive"), SLICE_INIT("proxy-connection"), SLICE_INIT("expect"),
        SLICE_INIT("max-forwards"), SLICE_INIT("forwarded"), SLICE_INIT("via"),
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (slice_ieq(name, refused[i]))
            return true;
    return slice_starts(name, SLICE("x-forwarded-"));
}

static enum parse take_trailer(struct h1_body *b, struct slice line, struct refusal *why)
{
    size_t n = token_length(line);
    if (line.len == 0) {
        b->done = true;
        return PARSE_OK;
    }
    if (n == 0 || n == line.len || line.ptr[n] != ':' || !value_is_clean(slice_from(line, n + 1)))
        return bad(b, why, 400, "a broken trailer field");
    unsigned char *name = arena_alloc(b->arena, n);
    struct slice value = arena_copy(b->arena, slice_trim(slice_from(line, n + 1)));
    if (name == NULL || value.ptr == NULL)
        return bad(b, why, 431, "trailers that do not fit the memory of one exchange");
    for (size_t i = 0; i < n; i++)
        name[i] = ascii_lower(line.ptr[i]);
    if (trailer_refused(slice_of(name, n)))
        return bad(b, why, 400, "a framing or routing field in the trailers");
    if (fields_add(&b->trailers, b->arena, b->max_trailers, slice_of(name, n), value) != OK)
        return bad(b, why, 431, "too many trailer fields");
    return PARSE_OK;
}

/* A line without its CRLF: whole from `in`, or the rest of one that began earlier. *used bytes of `in` belong to it; MORE keeps them. The
 * limit is the same whether it came in pieces or not, so that the verdict does not hang on packet sizes. */
static enum parse take_line(struct h1_body *b, struct slice in, size_t *used, struct slice *line, struct refusal *why)
{
    size_t max = state_of(b) == AT_TRAILER ? LINE_MAX_BYTES : SIZE_LINE_MAX;
    size_t n = slice_find(in, '\n'), piece = n < in.len ? n + 1 : in.len;
    if (b->line_len + piece > max || b->overhead + piece > OVERHEAD_MAX)
        return bad(b, why, state_of(b) == AT_TRAILER ? 431 : 400, "too much chunk framing");
    b->overhead += piece;
    *used = piece;
    if (b->line_len > 0 || n == in.len) {
        if (b->line == NULL && (b->line = arena_alloc(b->arena, LINE_MAX_BYTES)) == NULL)
            return bad(b, why, 503, "out of memory");
        memcpy(b->line + b->line_len, in.ptr, piece);
        b->line_len += piece;
        if (n == in.len)
            return PARSE_MORE;
        in = slice_of(b->line, b->line_len);
    } else {
        in.len = piece;
    }
    b->line_len = 0;
    if (in.len < 2 || in.ptr[in.len - 2] != '\r')
        return bad(b, why, 400, "a bare LF in chunk framing");
    *line = slice_of(in.ptr, in.len - 2);
    return PARSE_OK;
}

/* Chunk framing up to the first data byte, the end, or the end of `in`. */
static enum parse take_framing(struct h1_body *b, struct slice in, size_t *used, struct refusal *why)
{
    while (!b->done && state_of(b) != AT_DATA) {
        struct slice line = { 0 };
        size_t n = 0;
        if (*used == in.len)
            return PARSE_MORE;
        enum parse p = take_line(b, slice_from(in, *used), &n, &line, why);
        *used += n;
        if (p != PARSE_OK)
            return p;
        if (state_of(b) == AT_SIZE) {
            p = take_size(b, line, why);
        } else if (state_of(b) == AT_TRAILER) {
            p = take_trailer(b, line, why);
        } else if (line.len == 0) {
            enter(b, AT_SIZE);
        } else {
            p = bad(b, why, 400, "chunk data longer than its size says");
        }
        if (p != PARSE_OK)
            return p;
    }
    return PARSE_OK;
}

/* What of `in` is data of the length or chunk at hand. */
static enum parse take_data(struct h1_body *b, struct slice in, size_t *used, struct slice *data)
{
    size_t n = in.len - *used;
    if (n == 0)
        return PARSE_MORE;
    if (b->framing != BODY_UNTIL_CLOSE && n > b->left)
        n = (size_t)b->left;
    *data = slice_of(in.ptr + *used, n);
    *used += n;
    b->overhead = 0;
    if (b->framing == BODY_UNTIL_CLOSE)
        return PARSE_OK;
    b->left -= n;
    if (b->left == 0 && b->framing == BODY_LENGTH)
        b->done = true;
    else if (b->left == 0)
        enter(b, AT_DATA_END);
    return PARSE_OK;
}

enum parse h1_body_read(struct h1_body *b, struct slice in, size_t *used, struct slice *data, struct refusal *why)
{
    *used = 0;
    *data = slice_of(in.ptr, 0);
    if (b->done)
        return PARSE_OK;
    if (b->framing == BODY_CHUNKED) {
        enum parse p = take_framing(b, in, used, why);
        if (p != PARSE_OK || b->done)
            return p;
    }
    return take_data(b, in, used, data);
}
