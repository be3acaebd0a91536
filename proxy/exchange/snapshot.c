#include "proxy/exchange/worker.h"
#include "proxy/net/tls.h"

#include <stdio.h>
#include <stdlib.h>

enum status snapshot_load(const char *config_path, struct snapshot **out, struct err *err)
{
    enum status st = OK;
    struct problems problems = { 0 };
    struct snapshot *s = calloc(1, sizeof *s);
    if (s == NULL)
        return fail(err, NO_MEMORY, "snapshot");
    atomic_init(&s->refs, 1);
    st = config_load(config_path, &s->config, &problems);
    if (st != OK)
        (void)fail(err, st, "%s", problems.count ? problems.text[0] : "the config can't be read");
    problems_done(&problems);
    if (st == OK)
        st = trust_load(s->config->client_ca, s->config->crl, &s->trust, err);
    if (st == OK)
        st = tls_server_context(s->config, &s->tls, err);
    if (st == OK) {
        s->console_origin = config_origin(s->config, s->config->console_host);
        if (s->console_origin == NULL)
            st = fail(err, NO_MEMORY, "snapshot");
    }
    if (st == OK)
        *out = s;
    else
        snapshot_unref(s);
    return st;
}

struct snapshot *snapshot_ref(struct snapshot *s)
{
    atomic_fetch_add(&s->refs, 1);
    return s;
}

void snapshot_unref(struct snapshot *s)
{
    if (s == NULL || atomic_fetch_sub(&s->refs, 1) != 1)
        return;
    config_unref(s->config);
    trust_free(s->trust);
    SSL_CTX_free(s->tls);
    free(s->console_origin);
    free(s);
}
