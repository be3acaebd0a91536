/* What the fields of a head say about its body and its connection (RFC 9112 s6, s9). */
#include "proxy/http/h1_internal.h"

#include "proxy/http/syntax.h"

static void gather_connection(struct slice value, struct h1_control *out)
{
    struct slice element;
    if (slice_eq(value, SLICE("keep-alive")))
        return;                       /* as most say */
    while (list_next(&value, &element)) {
        if (element.len == 0)
            continue;                 /* RFC 9110 s5.6.1.2: empty elements are allowed, and mean nothing */
        out->bad_connection |= !is_token(element);
        out->close |= slice_ieq(element, SLICE("close"));
    }
}

/* TE = #t-codings (RFC 9110 s10.1.4): what the client understands; none of it goes on but "trailers". "chunked" must not stand there: whoever reads it as Transfer-Encoding
 * sees another message. */
static bool te_is_good(struct slice value)
{
    struct slice element;
    while (list_next(&value, &element)) {
        size_t n = slice_find(element, ';');
        struct slice name = slice_trim(slice_of(element.ptr, n));
        if (element.len > 0 && (!is_token(name) || slice_ieq(name, SLICE("chunked"))))
            return false;
    }
    return true;
}

/* If the field has this name: keep its value, count it. */
static void gather(const struct field *f, struct slice name, struct slice *last, unsigned *count)
{
    if (!slice_eq(f->name, name))
        return;
    *last = f->value;
    (*count)++;
}

void h1_gather(const struct fields *f, struct h1_control *out)
{
    *out = (struct h1_control){ 0 };
    for (size_t i = 0; i < f->count; i++) {
        const struct field *field = &f->v[i];
        switch (field->name.len) {    /* most fields are none of these: their length says so */
        case 2:
            out->bad_te |= slice_eq(field->name, SLICE("te")) && !te_is_good(field->value);
            break;
        case 4:
            gather(field, SLICE("host"), &out->host, &out->hosts);
            break;
        case 6:
            gather(field, SLICE("expect"), &out->expect, &out->expects);
            break;
        case 7:
            out->upgrade |= slice_eq(field->name, SLICE("upgrade"));
            break;
        case 10:
            if (slice_eq(field->name, SLICE("connection")))
                gather_connection(field->value, out);
            break;
        case 14:
            gather(field, SLICE("content-length"), &out->length, &out->lengths);
            break;
        case 17:
            gather(field, SLICE("transfer-encoding"), &out->coding, &out->codings);
            break;
        default:
            break;
        }
    }
}

/* Every coding in the list has a name that somebody implements (RFC 9112 s7.2): then the answer is 501, not 400. */
static bool known_codings(struct slice value)
{
    static const struct slice known[] = { SLICE_INIT("chunked"), SLICE_INIT("gzip"), SLICE_INIT("x-gzip"), SLICE_INIT("deflate"),
                                          SLICE_INIT("compress"), SLICE_INIT("x-compress") };
    struct slice element;
    while (list_next(&value, &element)) {
        bool found = false;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            found |= slice_ieq(element, known[i]);
        if (!found)
            return false;
    }
    return true;
}

static bool chunked_only_at_end(struct slice value)
{
    struct slice element;
    bool chunked = false;
    while (list_next(&value, &element)) {
        if (chunked)
            return false;
        chunked = slice_ieq(element, SLICE("chunked"));
    }
    return true;
}

static enum parse coding_framing(const struct h1_control *c, struct message *m, struct refusal *why)
{
    if (c->lengths > 0)
        return h1_refuse(why, 400, "Content-Length beside Transfer-Encoding");
    if (m->version < 11)
        return h1_refuse(why, 400, "Transfer-Encoding in HTTP/1.0");
    if (c->codings > 1)
        return h1_refuse(why, 400, "Transfer-Encoding twice");
    if (slice_ieq(c->coding, SLICE("chunked"))) {
        m->framing = BODY_CHUNKED;
        return PARSE_OK;
    }
    if (known_codings(c->coding) && chunked_only_at_end(c->coding))
        return h1_refuse(why, 501, "a transfer coding other than chunked");
    return h1_refuse(why, 400, "a broken Transfer-Encoding");
}

enum parse h1_framing(const struct h1_control *c, struct message *m, struct refusal *why)
{
    m->framing = BODY_NONE;
    m->has_length = false;
    m->content_length = 0;
    if (c->bad_connection)
        return h1_refuse(why, 400, "a broken Connection field");
    if (c->codings > 0)
        return coding_framing(c, m, why);
    if (c->lengths == 0)
        return PARSE_OK;
    if (c->lengths > 1)
        return h1_refuse(why, 400, "Content-Length twice");
    if (content_length_parse(c->length, &m->content_length) != PARSE_OK)
        return h1_refuse(why, 400, "a broken Content-Length");
    m->has_length = true;
    m->framing = m->content_length ? BODY_LENGTH : BODY_NONE;
    return PARSE_OK;
}
