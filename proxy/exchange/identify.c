/* identify: is the certificate good, who stands behind it, are they locked? */
#include "proxy/base/clock.h"
#include "proxy/exchange/conn.h"
#include "proxy/exchange/cross_origin.h"
#include "proxy/exchange/exchange.h"
#include "proxy/exchange/shares.h"

#include <stdio.h>

enum { LINE_WAIT_MS = 5000 };

static void refuse_certificate(struct exchange *x)
{
    char type[64];
    enum cert_state s = x->conn->cert;
    snprintf(type, sizeof type, "certificate-%s", cert_state_name(s));
    struct problem p = { .status = s == CERT_CRL_STALE ? 503 : 403, .type = type, .title = "Your certificate is not accepted",
                         .detail = cert_state_what(s), .next = cert_state_next(s) };
    if (s == CERT_MISSING)
        p.title = "A client certificate is needed";
    door_refused(x->conn, s == CERT_MISSING ? "door.no-certificate" : "door.certificate-refused", cert_state_name(s), cert_state_what(s));
    reply_problem(x, &p);
}

/* One person must not take what the others need. */
static bool has_share(struct exchange *x)
{
    struct conn *c = x->conn;
    struct problem p = { .status = 429, .type = "too-many-connections", .title = "Too many connections",
                         .detail = "You have as many connections open as one person may have; this one is closed.",
                         .next = "Close other browsers or programs that use your certificate. If it is not you who opened them, tell your operator at once." };
    if (conn_share(c) == NULL) {
        c->crowded = true;
        reply_problem(x, &p);
        return false;
    }
    x->shared = share_begin(c->share, x->snap->config->limits.exchanges_per_person);
    if (x->shared)
        return true;
    p.type = "too-many-requests";
    p.title = "Too many requests at a time";
    p.detail = "You have as many requests under way as one person may have.";
    p.next = "Wait until some of them are answered. If it is not you who sent them, tell your operator at once.";
    reply_problem(x, &p);
    return false;
}

void stage_identify(struct exchange *x)
{
    struct conn *c = x->conn;
    char detail[512];
    if (cross_origin_is_preflight(&x->request)) {
        stage_route(x);               /* it has no certificate to look at, and goes no further than that */
        return;
    }
    if (c->cert != CERT_GOOD) {
        refuse_certificate(x);
        return;
    }
    if (c->identity.not_after_s * 1000 <= x->started_ms) {
        c->cert = CERT_EXPIRED;       /* the handshake was before the end, this request is not */
        refuse_certificate(x);
        return;
    }
    if (c->person == NULL) {
        snprintf(detail, sizeof detail, "The certificate is valid, but nobody is listed for the identity '%s'.", c->identity.name);
        door_refused(c, "door.unknown-person", "unknown-person", "Nobody is listed for this identity");
        struct problem p = { .status = 403, .type = "unknown-person", .title = "You are not listed here", .detail = detail,
                             .next = "Ask the people who run this gateway to add you to its list of people." };
        reply_problem(x, &p);
        return;
    }
    const char *why = access_locked_out(x->worker->access, c->person->name, &c->identity);
    if (why != NULL) {
        snprintf(detail, sizeof detail, "An operator has stopped your access%s%s", why[0] ? ": " : "", why);
        door_refused(c, "door.locked", "locked", why);
        struct problem p = { .status = 403, .type = "locked", .title = "You are locked out", .detail = detail,
                             .next = "Talk to your operator or security team: only they can lift the lock." };
        reply_problem(x, &p);
        return;
    }
    if (!x->shared && !has_share(x))
        return;
    if (worker_cut_off(x->worker) && clock_mono_ms() - x->begun_ms < LINE_WAIT_MS)
        exchange_wait(x);             /* authz is back in a moment, as a rule; then all of this is asked anew */
    else
        stage_route(x);
}
