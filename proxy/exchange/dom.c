/* The script goes into the answer. Pieces of the tool's body come in, at most PIECE at a time; what comes of them waits in `out` until the client and the tape have room. */
#include "proxy/exchange/dom.h"

#include "proxy/base/log.h"
#include "proxy/dom/document.h"
#include "proxy/dom/insert.h"
#include "proxy/dom/script.h"
#include "proxy/exchange/conn.h"

#include <zlib.h>

enum { PIECE = 16 * 1024, TAG_MAX = 1024, TAKES_GZIP = 15 + 16 };

struct dom_page {
    struct insert insert;
    struct bbuf in, out;              /* in: coded, not yet read */
    enum document_coding coding;
    z_stream z;
    bool z_more, z_ended;             /* z_more: it has more to say of what it read */
    bool ended, failed;
    bool decided;                     /* the recording was told where the script went, or why not */
};

bool dom_wants_whole(const struct exchange *x)
{
    return x->tool != NULL && x->tool->dom.enabled && x->held_id.len == 0 && x->ws == NULL && document_asked(&x->request);   /* what was signed off is sent to the letter */
}

bool dom_said(struct exchange *x)
{
    if (x->dom_note.len == 0 || !x->tape.open)
        return true;
    if (tape_note(x->worker->tape, &x->tape, "dom-recorder", x->dom_note) == FULL) {
        exchange_wait(x);
        return false;
    }
    x->dom_note.len = 0;
    return true;
}

static void say(struct exchange *x, const char *why)
{
    x->dom_note = arena_printf(&x->arena, "no script: %s", why);
}

static enum status open_page(struct exchange *x, struct slice tag, enum document_coding coding)
{
    struct dom_page *p = arena_zalloc(&x->arena, sizeof *p);
    struct fields recorded, sent;
    if (p == NULL || document_fields(&x->response.fields, coding, &x->arena, &recorded) != OK || document_fields(&x->response_fields, coding, &x->arena, &sent) != OK)
        return NO_MEMORY;
    if (coding == DOCUMENT_GZIP && inflateInit2(&p->z, TAKES_GZIP) != Z_OK)
        return NO_MEMORY;
    insert_init(&p->insert, tag);
    bbuf_init(&p->in, PIECE);
    bbuf_init(&p->out, PIECE + TAG_MAX + INSERT_HELD_MAX);
    p->coding = coding;
    x->response.fields = recorded;
    x->response_fields = sent;
    x->response.has_length = false;
    x->response.content_length = 0;
    if (x->response.framing == BODY_LENGTH)
        x->response.framing = BODY_CHUNKED;
    x->dom = p;
    return OK;
}

void dom_begin(struct exchange *x)
{
    enum document_coding coding;
    struct csp_pass pass;
    const char *why = NULL;
    if (!x->tool->dom.enabled || !x->tape.open || !document_asked(&x->request))
        return;
    const struct dom_script *s = &x->snap->scripts[x->tool - x->snap->config->tools];
    const struct csp_place place = { slice_str(x->tool->host), x->snap->config->public_port, slice_str(s->path), SLICE(DOM_EVENTS) };
    enum document_verdict v = document_judge(&x->response, &place, &coding, &pass, &why);
    if (v == DOCUMENT_GOES) {
        struct slice tag = document_tag(&place, &pass, x->tape.id, &x->arena);
        if (tag.ptr == NULL || tag.len > TAG_MAX || open_page(x, tag, coding) != OK)
            why = "the gateway has no memory for it";
    }
    if (why != NULL)
        say(x, why);
}

/* ---- the body ---- */

static void put_out(void *to, struct slice piece)
{
    struct dom_page *p = to;
    if (bbuf_put(&p->out, piece) != OK)
        p->failed = true;             /* no memory: it was born large enough */
}

static void tell_outcome(struct exchange *x)
{
    struct dom_page *p = x->dom;
    if (p->decided || p->insert.outcome == INSERT_LOOKING)
        return;
    p->decided = true;
    if (p->insert.outcome == INSERT_DONE)
        x->dom_note = arena_printf(&x->arena, "script of %zu bytes put in at byte %llu", p->insert.text.len, (unsigned long long)p->insert.at);
    else
        say(x, p->insert.why);
}

static void take(struct exchange *x, struct slice data)
{
    insert_feed(&x->dom->insert, data, &(struct insert_out){ put_out, x->dom });
    tell_outcome(x);
}

/* The next of the coded bytes. False: they are no gzip. */
static bool inflate_some(struct exchange *x)
{
    struct dom_page *p = x->dom;
    unsigned char plain[PIECE];
    struct slice in = bbuf_slice(&p->in);
    p->z.next_in = (Bytef *)(uintptr_t)in.ptr;
    p->z.avail_in = (uInt)in.len;
    p->z.next_out = plain;
    p->z.avail_out = sizeof plain;
    int code = inflate(&p->z, Z_NO_FLUSH);
    if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
        return false;
    p->z_ended = code == Z_STREAM_END;
    p->z_more = p->z.avail_out == 0 && !p->z_ended;
    bbuf_drop(&p->in, p->z_ended ? in.len : in.len - p->z.avail_in);   /* what follows the end is no part of the document for a browser either */
    take(x, slice_of(plain, sizeof plain - p->z.avail_out));
    return !p->failed;
}

/* Nothing is left to do but to pass bytes on. */
static bool passes(const struct dom_page *p)
{
    return p->coding == DOCUMENT_PLAIN && p->insert.outcome != INSERT_LOOKING && bbuf_len(&p->out) == 0;
}

size_t dom_room(struct exchange *x)
{
    struct dom_page *p = x->dom;
    size_t room = respond_room(x);
    if (passes(p) && x->dom_note.len == 0)
        return room;
    return room == 0 || bbuf_len(&p->out) > 0 || bbuf_len(&p->in) > 0 || p->z_more || x->dom_note.len > 0 ? 0 : PIECE;
}

/* Everything that waits goes out. False: not now, or never. */
static bool flush(struct exchange *x)
{
    struct dom_page *p = x->dom;
    if (!dom_said(x))
        return false;
    while (bbuf_len(&p->out) > 0) {
        size_t n = respond_room(x);
        if (n > bbuf_len(&p->out))
            n = bbuf_len(&p->out);
        if (n == 0)
            return false;
        respond_body(x, slice_of(bbuf_slice(&p->out).ptr, n));
        if (x->state == X_DONE)
            return false;
        bbuf_drop(&p->out, n);
    }
    return true;
}

static bool drain(struct exchange *x)
{
    struct dom_page *p = x->dom;
    while (flush(x)) {
        if (p->z_ended)
            bbuf_drop(&p->in, bbuf_len(&p->in));
        if (bbuf_len(&p->in) == 0 && !p->z_more)
            return true;
        if (!inflate_some(x)) {
            log_warn("tool.failed", "tool", x->tool->name, "why", p->failed ? "no memory" : "the answer is not the gzip that it says it is", "type", "tool-answer-invalid");
            respond_cut(x, "tool-answer-invalid");
            return false;
        }
    }
    return false;
}

void dom_pump(struct exchange *x)
{
    struct dom_page *p = x->dom;
    if (x->state != X_RESPOND || x->end_pending || !x->head_sent || !drain(x) || !p->ended)
        return;
    insert_end(&p->insert, &(struct insert_out){ put_out, p });
    tell_outcome(x);
    if (flush(x))
        respond_end(x);
}

void dom_body(struct exchange *x, struct slice data)
{
    struct dom_page *p = x->dom;
    if (passes(p)) {
        respond_body(x, data);
        return;
    }
    if (p->coding == DOCUMENT_PLAIN)
        take(x, data);
    else if (bbuf_put(&p->in, data) != OK)
        p->failed = true;
    if (p->failed)
        respond_cut(x, "overloaded");
    else
        dom_pump(x);
}

void dom_end(struct exchange *x)
{
    x->dom->ended = true;
    dom_pump(x);
}

bool dom_drops(const struct exchange *x, struct slice name)
{
    return x->dom != NULL && document_drops(name, x->dom->coding);
}

void dom_done(struct exchange *x)
{
    struct dom_page *p = x->dom;
    if (p == NULL)
        return;
    if (p->coding == DOCUMENT_GZIP)
        inflateEnd(&p->z);
    bbuf_done(&p->in);
    bbuf_done(&p->out);
    x->dom = NULL;
}
