/* route: authority → the console or a tool; the target in its one normal form. */
#include "proxy/exchange/conn.h"
#include "proxy/exchange/cross_origin.h"
#include "proxy/exchange/exchange.h"
#include "proxy/http/target.h"


/* host[:port] apart; the port must be one people use to come here. */
static bool split_authority(const struct exchange *x, struct slice *host_out)
{
    struct slice a = x->request.authority;
    size_t colon = slice_find(a, ':');
    *host_out = slice_of(a.ptr, colon);
    if (colon == a.len)
        return true;
    unsigned n = 0;
    struct slice text = slice_from(a, colon + 1);
    if (text.len == 0 || text.len > 5)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = text.ptr[i] - (unsigned)'0';
        if (digit > 9)
            return false;             /* an IPv6 address in brackets: nothing of ours has one */
        n = n * 10 + digit;
    }
    return config_serves_port(x->snap->config, n);
}

static void misdirected(struct exchange *x)
{
    struct problem p = { .status = 421, .type = "misdirected", .title = "Wrong connection for this host",
                         .detail = "The host asked for is not the one this TLS connection was opened to.",
                         .next = "Open a new connection to that host; browsers do so by themselves." };
    reply_problem(x, &p);
}

static bool normalise(struct exchange *x, unsigned allow)
{
    struct refusal why = { 0 };
    if (target_normalise(&x->request, allow, &x->arena, &why) == PARSE_OK)
        return true;
    struct problem p = { .status = why.status ? why.status : 400, .type = "bad-target", .title = "This address can't be read in one way only",
                         .detail = why.reason ? why.reason : "The request-target is malformed.",
                         .next = "If you wrote it: plainly, without dot segments, empty segments, encoded slashes or double encoding. If the tool itself leads there, show this page to the people "
                                 "who run this gateway." };
    x->request.path = x->request.target = slice_str("");
    reply_problem(x, &p);
    return false;
}

/* The console has no WebSockets, and an answer of 200 would be taken for one. */
static bool refuse_tunnel(struct exchange *x)
{
    struct problem p = { .status = 501, .type = "malformed-request", .title = "There is no WebSocket here", .detail = "The console speaks plain HTTP.",
                         .next = "Send an ordinary request." };
    reply_problem(x, &p);
    return false;
}

/* Mostly the one of the connection's last request: SNI and authority agree, and there may be a thousand to look through. */
static const struct tool *tool_at(const struct exchange *x, struct slice host)
{
    struct conn *c = x->conn;
    if (x->snap != c->snap)           /* a reload came: c->tool is of another config */
        return policy_tool_at(x->snap->config, host);
    if (c->tool == NULL || !slice_eq(slice_str(c->tool->host), host))
        c->tool = policy_tool_at(x->snap->config, host);
    return c->tool;
}

void stage_route(struct exchange *x)
{
    struct slice host;
    if (!split_authority(x, &host) || (x->conn->sni != NULL && !slice_ieq(host, slice_str(x->conn->sni)))) {
        misdirected(x);
        return;
    }
    bool preflight = cross_origin_is_preflight(&x->request);
    if (slice_ieq(host, slice_str(x->snap->config->console_host))) {
        if (preflight) {              /* no other origin has any business with the console */
            cross_origin_refuse(x);
            return;
        }
        if (!x->request.connect ? normalise(x, 0) : refuse_tunnel(x))
            stage_console(x);
        return;
    }
    x->tool = tool_at(x, host);
    if (x->tool != NULL) {
        if (!normalise(x, x->tool->allow_in_target))
            return;
        if (preflight)
            cross_origin_preflight(x);
        else
            stage_authorize(x);
        return;
    }
    struct problem p = { .status = 404, .type = "unknown-host", .title = "No tool lives at this address",
                         .detail = "The host name belongs to no tool of this gateway.",
                         .next = "Check the address; your tools are listed on the console.",
                         .link = x->snap->console_origin, .link_text = "Open the console" };
    reply_problem(x, &p);
}
