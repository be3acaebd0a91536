#include "proxy/exchange/cookies.h"

#include "proxy/base/log.h"
#include "proxy/exchange/conn.h"
#include "proxy/http/cookie_tie.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>

void cookies_key(const unsigned char from[32], unsigned char out[32])
{
    const struct slice purpose = SLICE("countersign cookie key v1");
    unsigned len = 0;
    if (HMAC(EVP_sha256(), from, 32, purpose.ptr, purpose.len, out, &len) == NULL || len != 32)
        abort();
}

static struct cookie_tie tie_of(const struct exchange *x)
{
    return (struct cookie_tie){ x->worker->cookie_key, slice_str(x->tool->name), slice_str(x->conn->identity.name), x->tool->tied_cookies, x->tool->tied_cookie_count };
}

bool cookies_take(struct exchange *x)
{
    struct fields *f = &x->request.fields;
    unsigned dropped = 0;
    if (x->tool->tied_cookie_count == 0)
        return true;
    const struct cookie_tie t = tie_of(x);
    for (size_t i = 0; i < f->count; i++) {
        if (!slice_eq(f->v[i].name, SLICE("cookie")))
            continue;
        if (cookie_tie_take(&t, f->v[i].value, &x->arena, &f->v[i].value, &dropped) != OK) {
            struct problem p = { .status = 431, .type = "head-too-large", .title = "The cookies are too large", .detail = "They do not fit the memory of one request.",
                                 .next = "Remove this site's cookies in your browser and try again." };
            reply_problem(x, &p);
            return false;
        }
    }
    if (dropped > 0) {
        char count[16];
        snprintf(count, sizeof count, "%u", dropped);
        log_info("cookies.dropped", "identity", x->conn->identity.name, "tool", x->tool->name, "count", count, "why", "not tied to this identity");
    }
    return true;
}

enum status cookies_set(struct exchange *x, struct fields *f)
{
    enum status st = OK;
    if (x->tool->tied_cookie_count == 0)
        return OK;
    const struct cookie_tie t = tie_of(x);
    for (size_t i = 0; i < f->count && st == OK; i++)
        if (slice_eq(f->v[i].name, SLICE("set-cookie")))
            st = cookie_tie_set(&t, f->v[i].value, &x->arena, &f->v[i].value);
    return st;
}
