/* frame = FIN RSV1 RSV2 RSV3 opcode(4)  MASK length(7)  [ length(16) | length(64) ]  [ mask(32) ]  payload   (RFC 6455 s5.2) */
#include "proxy/http/ws_frame.h"

struct head {
    size_t len;                       /* of the head itself */
    bool final, rsv1, rsv23, masked;
    unsigned opcode;
    uint64_t payload;
    unsigned char mask[4];
};

static enum parse bad(const char **reason, const char *why)
{
    *reason = why;
    return PARSE_BAD;
}

static uint64_t number(const unsigned char *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

/* The bits of a head, whatever they say. */
static enum parse read_head(struct slice in, struct head *h, const char **reason)
{
    if (in.len < 2)
        return PARSE_MORE;
    const unsigned char *p = in.ptr;
    size_t extra = (p[1] & 0x7f) == 126 ? 2 : (p[1] & 0x7f) == 127 ? 8 : 0;
    *h = (struct head){ .final = p[0] & 0x80, .rsv1 = p[0] & 0x40, .rsv23 = p[0] & 0x30, .opcode = p[0] & 0x0f, .masked = p[1] & 0x80,
                        .payload = p[1] & 0x7f };
    h->len = 2 + extra + (h->masked ? 4 : 0);
    if (extra > 0 && in.len >= 2 + extra) {
        h->payload = number(p + 2, extra);
        if (h->payload >> 63)
            return bad(reason, "a length of 2^63 or more");
        if (h->payload < (extra == 2 ? 126u : 65536u))
            return bad(reason, "a length in more bytes than it needs");
    }
    if (in.len < h->len)
        return PARSE_MORE;
    if (h->masked)
        memcpy(h->mask, p + h->len - 4, 4);
    return PARSE_OK;
}

/* What may be said of a frame by its first two bytes is said at once: no waiting for the rest of something that will never be good. */
static enum parse check_start(const struct ws_reader *r, struct slice in, const char **reason)
{
    unsigned opcode = in.ptr[0] & 0x0f;
    bool control = opcode >= 8;
    if (in.ptr[0] & 0x30)
        return bad(reason, "a reserved bit");
    if ((in.ptr[0] & 0x40) && (!r->deflate || control || opcode == WS_CONTINUATION))
        return bad(reason, "a compressed frame where none may be");
    if ((opcode > WS_BINARY && !control) || opcode > WS_PONG)
        return bad(reason, "an unknown opcode");
    if (control && !(in.ptr[0] & 0x80))
        return bad(reason, "a fragmented control frame");
    if (!control && opcode == WS_CONTINUATION && r->opcode == 0)
        return bad(reason, "a continuation of nothing");
    if (!control && opcode != WS_CONTINUATION && r->opcode != 0)
        return bad(reason, "a message inside another");
    if (in.len < 2)
        return PARSE_MORE;
    if (control && (in.ptr[1] & 0x7f) > WS_CONTROL_MAX)
        return bad(reason, "a control frame of more than 125 bytes");
    if ((in.ptr[1] & 0x80) == 0 && r->client)
        return bad(reason, "a client's frame without a mask");
    if ((in.ptr[1] & 0x80) && !r->client)
        return bad(reason, "a tool's frame with a mask");
    return PARSE_OK;
}

/* Codes that an end point may send (s7.4): registered ones, those of libraries and of applications. */
static bool code_may_be_sent(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

static enum parse check_close(const struct ws_piece *p, const char **reason)
{
    unsigned char code[2];
    if (p->payload.len == 0)
        return PARSE_OK;
    if (p->payload.len == 1)
        return bad(reason, "a Close frame with half a code");
    memcpy(code, p->payload.ptr, 2);
    if (p->masked)
        ws_unmask(code, slice_of(code, 2), p->mask, 0);
    return code_may_be_sent((unsigned)number(code, 2)) ? PARSE_OK : bad(reason, "a Close code that must not be sent");
}

static enum parse take_control(const struct head *h, struct slice in, struct ws_piece *out, const char **reason)
{
    size_t whole = h->len + (size_t)h->payload;
    if (in.len < whole)
        return PARSE_MORE;
    *out = (struct ws_piece){ .used = whole, .payload = slice_of(in.ptr + h->len, (size_t)h->payload), .masked = h->masked,
                              .opcode = (enum ws_opcode)h->opcode, .first = true, .last = true };
    memcpy(out->mask, h->mask, 4);
    return h->opcode == WS_CLOSE ? check_close(out, reason) : PARSE_OK;
}

/* Payload of the present frame: what is there of it. */
static void take_payload(struct ws_reader *r, struct slice in, size_t head_len, bool first, struct ws_piece *out)
{
    size_t n = in.len - head_len;
    if (n > r->left)
        n = (size_t)r->left;
    *out = (struct ws_piece){ .used = head_len + n, .payload = slice_of(in.ptr + head_len, n), .masked = r->client, .mask_at = r->mask_at,
                              .opcode = (enum ws_opcode)r->opcode, .first = first, .compressed = r->compressed };
    memcpy(out->mask, r->mask, 4);
    r->left -= n;
    r->mask_at = (r->mask_at + (unsigned)(n & 3)) & 3;
    out->last = r->final && r->left == 0;
    if (out->last) {
        r->opcode = 0;
        r->compressed = r->final = false;
    }
}

enum parse ws_read(struct ws_reader *r, struct slice in, struct ws_piece *out, const char **reason)
{
    struct head h;
    if (in.len == 0)
        return PARSE_MORE;
    if (r->left > 0) {
        take_payload(r, in, 0, false, out);
        return PARSE_OK;
    }
    enum parse p = check_start(r, in, reason);
    if (p == PARSE_OK)
        p = read_head(in, &h, reason);
    if (p != PARSE_OK)
        return p;
    if (h.opcode >= 8)
        return take_control(&h, in, out, reason);
    bool first = h.opcode != WS_CONTINUATION;
    if (first) {
        r->opcode = (unsigned char)h.opcode;
        r->compressed = h.rsv1;
    }
    r->final = h.final;
    r->left = h.payload;
    r->mask_at = 0;
    memcpy(r->mask, h.mask, 4);
    take_payload(r, in, h.len, first, out);
    return PARSE_OK;
}

void ws_unmask(unsigned char *dst, struct slice src, const unsigned char mask[4], unsigned mask_at)
{
    for (size_t i = 0; i < src.len; i++)
        dst[i] = src.ptr[i] ^ mask[(mask_at + i) & 3];
}

const char *ws_opcode_name(enum ws_opcode opcode)
{
    switch (opcode) {
    case WS_TEXT: return "text";
    case WS_BINARY: return "binary";
    case WS_CLOSE: return "close";
    case WS_PING: return "ping";
    case WS_PONG: return "pong";
    default: return "continuation";
    }
}

void ws_close_frame(unsigned code, unsigned char out[WS_CLOSE_LEN])
{
    out[0] = 0x80 | WS_CLOSE;
    out[1] = 2;
    out[2] = (unsigned char)(code >> 8);
    out[3] = (unsigned char)code;
}
