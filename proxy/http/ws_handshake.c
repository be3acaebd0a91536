#include "proxy/http/ws_handshake.h"

#include "proxy/http/syntax.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>

static enum ws_asked refuse(struct refusal *why, unsigned status, const char *reason)
{
    *why = (struct refusal){ status, reason };
    return WS_ASKED_BADLY;
}

/* base64 of 16 bytes: 22 characters, the last of which has four bits that must be 0, and "==". */
static bool key_is_good(struct slice key)
{
    if (key.len != WS_KEY_LEN || key.ptr[22] != '=' || key.ptr[23] != '=')
        return false;
    for (size_t i = 0; i < 22; i++) {
        unsigned char c = key.ptr[i], low = ascii_lower(c);
        if (!((low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/'))
            return false;
    }
    return memchr("AQgw", key.ptr[21], 4) != NULL;
}

static bool make_key(char out[WS_KEY_LEN + 1])
{
    unsigned char random[16];
    return RAND_bytes(random, sizeof random) == 1 && EVP_EncodeBlock((unsigned char *)out, random, sizeof random) == WS_KEY_LEN;
}

static struct slice extension_name(struct slice offer)
{
    return slice_trim(slice_of(offer.ptr, slice_find(offer, ';')));
}

/* Only the offers that the gateway can follow. */
static bool keep_offers(const struct message *m, struct arena *arena, struct slice *out)
{
    size_t most = 1, n = 0;
    for (size_t i = 0; i < m->fields.count; i++)
        most += m->fields.v[i].value.len + 2;
    unsigned char *p = arena_alloc(arena, most);
    if (p == NULL)
        return false;
    for (size_t i = 0; i < m->fields.count; i++) {
        struct slice rest = m->fields.v[i].value, offer;
        if (!slice_eq(m->fields.v[i].name, SLICE("sec-websocket-extensions")))
            continue;
        while (list_next(&rest, &offer)) {
            if (!slice_ieq(extension_name(offer), SLICE("permessage-deflate")))
                continue;
            if (n > 0) {
                memcpy(p + n, ", ", 2);
                n += 2;
            }
            memcpy(p + n, offer.ptr, offer.len);
            n += offer.len;
        }
    }
    *out = slice_of(p, n);
    return true;
}

static bool one_is(const struct fields *f, struct slice name, struct slice value)
{
    return fields_count(f, name) == 1 && slice_ieq(fields_get(f, name), value);
}

static bool wants_upgrade(const struct message *m)
{
    return slice_eq(m->method, SLICE("GET")) && m->version == 11 && m->framing == BODY_NONE &&
           one_is(&m->fields, SLICE("upgrade"), SLICE("websocket")) && fields_has_token(&m->fields, SLICE("connection"), SLICE("upgrade"));
}

enum ws_asked websocket_asked(const struct message *m, struct arena *arena, struct ws_ask *out, struct refusal *why)
{
    const struct fields *f = &m->fields;
    struct slice key = fields_get(f, SLICE("sec-websocket-key"));
    *out = (struct ws_ask){ 0 };
    if (!m->connect && !wants_upgrade(m))
        return WS_NOT_ASKED;
    bool named = !m->connect || fields_count(f, SLICE("sec-websocket-version")) > 0;
    if (named && !one_is(f, SLICE("sec-websocket-version"), SLICE("13")))
        return refuse(why, 426, "a WebSocket version other than 13");
    if (!m->connect && (fields_count(f, SLICE("sec-websocket-key")) != 1 || !key_is_good(key)))
        return refuse(why, 400, "no, several or a malformed Sec-WebSocket-Key");
    if (!keep_offers(m, arena, &out->extensions))
        return refuse(why, 431, "a head that does not fit the memory of one exchange");
    if (!m->connect)
        memcpy(out->key, key.ptr, WS_KEY_LEN);
    else if (!make_key(out->key))
        return refuse(why, 503, "the system has no randomness");
    return WS_ASKED;
}

void websocket_accept(const char *key, char out[WS_ACCEPT_LEN + 1])
{
    char text[WS_KEY_LEN + 36];
    unsigned char digest[20];
    memcpy(text, key, WS_KEY_LEN);
    memcpy(text + WS_KEY_LEN, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36);
    if (EVP_Digest(text, sizeof text, digest, NULL, EVP_sha1(), NULL) != 1)
        abort();                      /* the RFC's, no secret hangs on it */
    EVP_EncodeBlock((unsigned char *)out, digest, sizeof digest);
}

/* One permessage-deflate, if it was offered; anything else changes framing in ways we can't follow. */
static const char *extensions_fault(const struct message *m, const struct ws_ask *ask, bool *deflate_out)
{
    size_t seen = 0;
    for (size_t i = 0; i < m->fields.count; i++) {
        struct slice rest = m->fields.v[i].value, one;
        if (!slice_eq(m->fields.v[i].name, SLICE("sec-websocket-extensions")))
            continue;
        while (list_next(&rest, &one))
            if (++seen > 1 || ask->extensions.len == 0 || !slice_ieq(extension_name(one), SLICE("permessage-deflate")))
                return "a WebSocket extension that was not offered";
    }
    *deflate_out = seen == 1;
    return NULL;
}

const char *websocket_answer_fault(const struct message *m, const struct ws_ask *ask, bool *deflate_out)
{
    char accept[WS_ACCEPT_LEN + 1];
    struct slice given = fields_get(&m->fields, SLICE("sec-websocket-accept"));
    websocket_accept(ask->key, accept);
    if (m->version != 11 || !one_is(&m->fields, SLICE("upgrade"), SLICE("websocket")) ||
        !fields_has_token(&m->fields, SLICE("connection"), SLICE("upgrade")))
        return "a 101 that does not upgrade to a WebSocket";
    if (fields_count(&m->fields, SLICE("sec-websocket-accept")) != 1 || !slice_eq(given, slice_of(accept, WS_ACCEPT_LEN)))
        return "a wrong Sec-WebSocket-Accept";
    return extensions_fault(m, ask, deflate_out);
}
