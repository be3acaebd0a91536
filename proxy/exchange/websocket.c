#include "proxy/exchange/websocket.h"

#include "proxy/base/log.h"
#include "proxy/exchange/conn.h"
#include "proxy/http/ws_frame.h"
#include "proxy/http/ws_handshake.h"

#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

enum { FROM_TOOL_MAX = 32 * 1024, WHOLE = WS_HEAD_MAX + WS_CONTROL_MAX, BAD_BYTES_KEPT = 32 };
enum { CLIENT, TOOL };

struct websocket {
    struct ws_ask ask;
    struct ws_reader reader[2];       /* what the client says, what the tool says */
    bool closed[2];                   /* a Close frame of theirs was passed on */
    bool tool_gone, client_gone, ending;
    struct bbuf from_tool;            /* not yet passed on; the client's is x->body */
};

/* ---- the handshake ---- */

static void refuse(struct exchange *x, unsigned status, const char *type, const char *detail, const char *next)
{
    struct problem p = { .status = status, .type = type, .title = "This WebSocket can't be opened", .detail = detail, .next = next };
    reply_problem(x, &p);
}

bool websocket_ask(struct exchange *x)
{
    struct ws_ask ask;
    struct refusal why = { 0 };
    enum ws_asked asked = websocket_asked(&x->request, &x->arena, &ask, &why);
    if (asked == WS_NOT_ASKED)
        return true;
    if (asked == WS_ASKED_BADLY) {
        refuse(x, why.status, "bad-websocket", why.reason, "Open it as RFC 6455 says, version 13.");
        return false;
    }
    x->ws = arena_zalloc(&x->arena, sizeof *x->ws);
    if (x->ws == NULL) {
        refuse(x, 503, "overloaded", "The gateway is out of memory.", "Try again in a moment.");
        return false;
    }
    x->ws->ask = ask;
    bbuf_init(&x->ws->from_tool, FROM_TOOL_MAX);
    x->request_done = true;           /* of the request itself; what follows an extended CONNECT is no body of it */
    x->fresh = true;                  /* the connection never goes back to the pool, and one from there may be stale */
    return true;
}

void websocket_refuse_signoff(struct exchange *x)
{
    refuse(x, 403, "not-allowed", "The policy wants a sign-off for this action, and a WebSocket can't be signed off: nobody knows what it will say.",
           "Ask the people who keep the policy of this tool to give the WebSocket's path an action of its own.");
}

const struct ws_ask *websocket_handshake(const struct exchange *x)
{
    return x->ws != NULL ? &x->ws->ask : NULL;
}

bool websocket_declined(struct exchange *x, const struct message *m)
{
    x->untaped = 0;                   /* frames sent in hope: nobody will read them */
    exchange_took(x, bbuf_len(&x->body));
    if (!x->request.connect || m->status / 100 != 2)
        return true;
    exchange_broken(x, 502, "tool-answer-invalid", "The tool answered a WebSocket's handshake as if it were an ordinary request.");
    return false;
}

/* What of the answer the client gets: in HTTP/2 neither the upgrade nor a key is spoken of (RFC 8441 s5). */
static enum status answer_fields(struct exchange *x)
{
    struct fields *f = &x->response_fields;
    size_t kept = 0;
    if (!x->request.connect) {
        enum status st = fields_add(f, &x->arena, 300, SLICE("connection"), SLICE("Upgrade"));
        return st == OK ? fields_add(f, &x->arena, 300, SLICE("upgrade"), SLICE("websocket")) : st;
    }
    for (size_t i = 0; i < f->count; i++)
        if (!slice_eq(f->v[i].name, SLICE("sec-websocket-accept")))
            f->v[kept++] = f->v[i];
    f->count = kept;
    return OK;
}

void websocket_opened(struct exchange *x, const struct message *m)
{
    struct websocket *ws = x->ws;
    bool deflate = false;
    const char *fault = ws == NULL ? "a 101 that nobody asked for" : websocket_answer_fault(m, &ws->ask, &deflate);
    if (fault == NULL && answer_fields(x) != OK)
        fault = "an answer with too many fields";
    if (fault != NULL) {
        log_warn("tool.failed", "tool", x->tool->name, "why", fault, "type", "tool-answer-invalid");
        exchange_broken(x, 502, "tool-answer-invalid", "The tool's answer to the WebSocket's handshake is wrong.");
        return;
    }
    ws->reader[CLIENT] = (struct ws_reader){ .client = true, .deflate = deflate };
    ws->reader[TOOL] = (struct ws_reader){ .deflate = deflate };
    x->no_body = false;
    x->untaped = 0;                   /* messages are recorded as such, not as a body */
    exchange_enter(x, X_TUNNEL);
    respond_head(x, true);
}

/* ---- frames ---- */

static enum status record(struct exchange *x, unsigned side, const struct ws_piece *p)
{
    struct tape_message m = { .from = side == CLIENT ? TAPE_CLIENT : TAPE_TOOL, .opcode = p->opcode, .first = p->first, .last = p->last,
                              .compressed = p->compressed, .mask = p->masked ? p->mask : NULL, .mask_at = p->mask_at, .data = p->payload };
    return tape_message(x->worker->tape, &x->tape, &m);
}

/* What made no sense goes into the recording too, and nowhere else. */
static void broke_the_rules(struct exchange *x, unsigned side, struct slice in, const char *reason)
{
    char hex[2 * BAD_BYTES_KEPT + 1], text[256];
    if (in.len > BAD_BYTES_KEPT)
        in.len = BAD_BYTES_KEPT;
    for (size_t i = 0; i < in.len; i++)
        snprintf(hex + 2 * i, 3, "%02x", in.ptr[i]);
    int n = snprintf(text, sizeof text, "%s sent %s: %s", side == CLIENT ? "client" : "tool", reason, in.len > 0 ? hex : "");
    (void)!tape_note(x->worker->tape, &x->tape, "websocket", slice_of(text, (size_t)n));
    log_info("websocket.broken", "tool", x->tool->name, "by", side == CLIENT ? "client" : "tool", "why", reason);
    websocket_end(x, 1002, side == CLIENT ? "client-broke-websocket" : "tool-broke-websocket");
}

/* One piece from the front of `in`: checked, on the tape, and then out. 0: not now. */
static size_t pass_piece(struct exchange *x, unsigned side, struct slice in, size_t room)
{
    struct websocket *ws = x->ws;
    struct ws_reader next = ws->reader[side];
    struct ws_piece piece;
    const char *reason = NULL;
    if (room < WHOLE)
        return 0;
    enum parse p = ws_read(&next, slice_of(in.ptr, in.len < room ? in.len : room), &piece, &reason);
    if (p == PARSE_MORE)
        return 0;
    if (p == PARSE_BAD) {
        broke_the_rules(x, side, in, reason);
        return 0;
    }
    enum status st = record(x, side, &piece);
    if (st == FULL) {
        exchange_wait(x);
        return 0;
    }
    if (st != OK) {
        respond_cut(x, "recording-unavailable");
        return 0;
    }
    ws->reader[side] = next;
    ws->closed[side] |= piece.opcode == WS_CLOSE;
    if (side == TOOL)
        respond_pass(x, slice_of(in.ptr, piece.used));
    else if (upstream_put(x->up, slice_of(in.ptr, piece.used)) != OK)
        respond_cut(x, "overloaded");
    return piece.used;
}

static void pump_client(struct exchange *x)
{
    struct websocket *ws = x->ws;
    bool moved = false;
    while (x->state == X_TUNNEL && x->up != NULL && !ws->closed[CLIENT] && bbuf_len(&x->body) > 0) {
        size_t room = upstream_room(x->up), tape = tape_room(x->worker->tape);
        if (tape < WHOLE)
            exchange_wait(x);
        size_t n = pass_piece(x, CLIENT, bbuf_slice(&x->body), room < tape ? room : tape);
        if (n == 0)
            break;
        exchange_took(x, n);
        moved = true;
    }
    if (ws->closed[CLIENT])
        exchange_took(x, bbuf_len(&x->body));   /* after a Close nothing more may come (RFC 6455 s5.5.1), and nothing does */
    if (moved && x->up != NULL)
        upstream_flush(x->up);
}

static void pump_tool(struct exchange *x)
{
    struct websocket *ws = x->ws;
    bool moved = false;
    while (x->state == X_TUNNEL && !ws->ending && !ws->closed[TOOL] && bbuf_len(&ws->from_tool) > 0) {
        size_t room = respond_room(x);
        if (room < WHOLE)
            exchange_wait(x);    /* or for the client: whichever comes first */
        size_t n = pass_piece(x, TOOL, bbuf_slice(&ws->from_tool), room);
        if (n == 0)
            break;
        bbuf_drop(&ws->from_tool, n);
        moved = true;
    }
    if (ws->closed[TOOL])
        bbuf_drop(&ws->from_tool, bbuf_len(&ws->from_tool));
    if (moved && x->up != NULL)
        upstream_resume(x->up);
}

static void hang_up(struct exchange *x, bool friendly)
{
    if (friendly)
        upstream_hang_up(x->up);
    else
        upstream_abort(x->up);
    x->up = NULL;
}

/* Nothing more will come for the client. */
static void finish(struct exchange *x, const char *why)
{
    x->ws->ending = true;
    x->why = why;
    respond_end(x);
}

static void finish_if_over(struct exchange *x)
{
    struct websocket *ws = x->ws;
    if (x->state != X_TUNNEL || ws->ending || !ws->tool_gone)
        return;
    if (!ws_between_frames(&ws->reader[TOOL]) && bbuf_len(&ws->from_tool) == 0)
        respond_cut(x, "tool-broke-off");
    else if (bbuf_len(&ws->from_tool) == 0)
        finish(x, ws->closed[TOOL] ? NULL : "tool-broke-off");
}

/* Part of a frame that will never come whole? */
static bool is_torso(const struct ws_reader *r, struct slice in)
{
    struct ws_reader next = *r;
    struct ws_piece piece;
    const char *reason = NULL;
    return ws_read(&next, in, &piece, &reason) == PARSE_MORE;
}

/* After its Close the client may end its side (END_STREAM) and wait for the tool's: that is still to come. */
static void finish_after_client(struct exchange *x)
{
    struct websocket *ws = x->ws;
    if (x->state != X_TUNNEL || ws->ending || ws->closed[CLIENT] || !is_torso(&ws->reader[CLIENT], bbuf_slice(&x->body)))
        return;
    hang_up(x, true);
    finish(x, "client-gone");
}

void websocket_pump(struct exchange *x)
{
    if (x->state != X_TUNNEL || !x->head_sent)
        return;
    pump_client(x);
    if (x->state == X_TUNNEL)
        pump_tool(x);
    finish_if_over(x);
    if (x->ws->client_gone)
        finish_after_client(x);
    bbuf_idle(&x->body);
    bbuf_idle(&x->ws->from_tool);
}

size_t websocket_tool_room(const struct exchange *x)
{
    return x->ws->ending ? 0 : bbuf_room(&x->ws->from_tool);
}

void websocket_from_tool(struct exchange *x, struct slice data)
{
    if (bbuf_put(&x->ws->from_tool, data) != OK)
        respond_cut(x, "overloaded");
    else
        websocket_pump(x);
}

void websocket_tool_ended(struct exchange *x)
{
    struct websocket *ws = x->ws;
    ws->tool_gone = true;
    if (x->head_sent)
        pump_tool(x);
    if (x->state == X_TUNNEL && bbuf_len(&ws->from_tool) > 0 && is_torso(&ws->reader[TOOL], bbuf_slice(&ws->from_tool)))
        respond_cut(x, "tool-broke-off");
    else
        finish_if_over(x);
}

/* ---- ends ---- */

/* Recorded like all the client gets, as the gateway's. */
static bool pass_close(struct exchange *x, unsigned code)
{
    unsigned char frame[WS_CLOSE_LEN];
    struct websocket *ws = x->ws;
    ws_close_frame(code, frame);
    if (!x->head_sent || ws->closed[TOOL] || !ws_between_frames(&ws->reader[TOOL]) || respond_room(x) < sizeof frame)
        return false;
    struct tape_message m = { .from = TAPE_GATEWAY, .opcode = WS_CLOSE, .first = true, .last = true, .data = slice_of(frame + 2, 2) };
    if (tape_message(x->worker->tape, &x->tape, &m) != OK)
        return false;
    respond_pass(x, slice_of(frame, sizeof frame));
    return x->state == X_TUNNEL;
}

void websocket_end(struct exchange *x, unsigned code, const char *why)
{
    if (x->state != X_TUNNEL || x->ws->ending)
        return;
    hang_up(x, true);
    if (pass_close(x, code) || (x->ws->closed[TOOL] && x->state == X_TUNNEL))
        finish(x, why);
    else
        respond_cut(x, why);
}

void websocket_client_ended(struct exchange *x)
{
    x->ws->client_gone = true;        /* perhaps before the tool has answered */
    websocket_pump(x);
}

/* Does anything that a tool said wait on its way to the client: in a stream's queue, ours, or the kernel's? */
static bool owes_nothing(const struct conn *c)
{
    int waiting = 0;
    for (const struct exchange *x = c->exchanges; x != NULL; x = x->next)
        if (!x->front->idle(x) || bbuf_len(&x->unsure) > 0)
            return false;
    return bbuf_len(&c->out) == 0 && ioctl(c->stream.fd, SIOCOUTQNSD, &waiting) == 0 && waiting == 0;
}

void websocket_farewell(struct conn *c, unsigned code)
{
    bool said = false;
    if (c->state != CONN_OPEN || !owes_nothing(c))
        return;
    for (struct exchange *x = c->exchanges; x != NULL; x = x->next) {
        if (x->state != X_TUNNEL || x->ws->ending || x->durable || !pass_close(x, code))
            continue;
        hang_up(x, false);
        exchange_enter(x, X_DONE);    /* from here on nothing of the tool's can follow */
        said = true;
    }
    if (said)
        conn_flush_now(c);
}

void websocket_done(struct exchange *x, bool friendly)
{
    if (x->ws == NULL)
        return;
    if (x->up != NULL)
        hang_up(x, friendly && x->state == X_TUNNEL);
    bbuf_done(&x->ws->from_tool);
}

bool websocket_closed(const struct exchange *x)
{
    return x->ws != NULL && x->ws->closed[CLIENT] && x->ws->closed[TOOL];
}
