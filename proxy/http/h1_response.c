/* status-line = HTTP-version SP status-code [ SP reason-phrase ] (RFC 9112 s4). Everything a tool gets wrong is a 502. */
#include "proxy/http/h1_internal.h"

#include "proxy/http/syntax.h"

/* The reason phrase is not used; many servers leave it and the space before it out, which nobody reads in two ways. */
static enum parse split_status_line(struct slice line, struct message *m, struct refusal *why)
{
    if (line.len < 12 || line.ptr[8] != ' ' || (line.len > 12 && line.ptr[12] != ' '))
        return h1_refuse(why, 502, "a broken status line");
    m->version = h1_version(slice_of(line.ptr, 8));
    if (m->version < 10)
        return h1_refuse(why, 502, "a version other than HTTP/1.0 and HTTP/1.1");
    for (size_t i = 9; i < 12; i++) {
        unsigned digit = line.ptr[i] - (unsigned)'0';
        if (digit > 9)
            return h1_refuse(why, 502, "a broken status code");
        m->status = m->status * 10 + digit;
    }
    if (m->status < 100 || m->status > 599)
        return h1_refuse(why, 502, "a status code outside 100 to 599");
    if (!value_is_clean(slice_from(line, 12)))
        return h1_refuse(why, 502, "a control byte in the reason phrase");
    return PARSE_OK;
}

/* RFC 9112 s6.3 in its order, but where it lets a recipient guess, we refuse. */
static enum parse response_framing(struct message *m, const struct h1_control *c, struct slice request_method, struct refusal *why)
{
    if (h1_framing(c, m, why) != PARSE_OK) {
        why->status = 502;
        return PARSE_BAD;
    }
    if (m->status < 200 || m->status == 204) {
        /* Neither may have content; a tool that says so may well send it, and it would be taken for the next response. */
        if (m->framing != BODY_NONE)
            return h1_refuse(why, 502, "content announced in a response that has none");
        m->has_length = false;
        return PARSE_OK;
    }
    if (m->status == 304 || slice_eq(request_method, SLICE("HEAD"))) {
        m->framing = BODY_NONE;
        return PARSE_OK;
    }
    if (m->framing == BODY_NONE && !m->has_length)
        m->framing = BODY_UNTIL_CLOSE;
    return PARSE_OK;
}

enum parse h1_parse_response(struct slice head, const struct h1_limits *limits, struct slice request_method, struct arena *arena,
                             struct message *out, struct refusal *why)
{
    struct message m = { 0 };
    struct h1_control c;
    struct h1_head h;
    if (split_status_line(h1_start_line(head), &m, why) != PARSE_OK ||
        h1_read_head(head, H1_RESPONSE, limits, arena, &h, why) != PARSE_OK)
        return PARSE_BAD;
    m.fields = h.fields;
    h1_gather(&m.fields, &c);
    if (response_framing(&m, &c, request_method, why) != PARSE_OK)
        return PARSE_BAD;
    m.keep_alive = m.version == 11 && !c.close && m.framing != BODY_UNTIL_CLOSE && m.status != 101;
    *out = m;
    return PARSE_OK;
}
