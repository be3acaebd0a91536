/* signing: the gateway's own keys for tokens, and how they change with an overlap (authz/README.md "Changing the signing key"). */
#include "authz/approvals/internal.h"

#define SIGNING_LEAVES "signing"      /* leaves key.signing are filed under this */

/* A further key that is published and does not sign: it may be missing. */
static enum status add_further(const struct config *c, const char *name, json_t *jwks, struct err *err)
{
    char *path = config_path(c, name);
    struct err why;
    enum status st = path ? jwt_jwks_add(jwks, path, &why) : fail(&why, NO_MEMORY, "path");
    free(path);
    return st == NOT_FOUND || st == OK ? OK : fail(err, st, "%s", why.text);
}

enum status signing_load(const struct config *c, struct signing *out, struct err *err)
{
    struct signing g = { 0 };
    char *path = config_path(c, "keys/grant.pem");
    enum status st = path ? jwt_signer_load(path, &g.signer, err) : fail(err, NO_MEMORY, "path");
    free(path);
    if (st != OK)
        return st;
    g.jwks = jwt_signer_jwks(g.signer);
    st = add_further(c, "keys/grant-next.pem", g.jwks, err);
    if (st == OK)
        st = add_further(c, "keys/grant-old.pem", g.jwks, err);
    if (st == OK)
        st = jwt_keys_from_jwks(g.jwks, &g.public_keys, err);
    if (st == OK)
        *out = g;
    else
        signing_done(&g);
    return st;
}

void signing_done(struct signing *g)
{
    jwt_signer_free(g->signer);
    json_decref(g->jwks);
    jwt_keys_free(g->public_keys);
    *g = (struct signing){ 0 };
}

void signing_swap(struct service *s, struct signing *g)
{
    struct signing had = { s->signer, s->jwks, s->public_keys };
    s->signer = g->signer;
    s->jwks = g->jwks;
    s->public_keys = g->public_keys;
    *g = had;
}

static enum status check_live(struct op *o)
{
    json_t *rows = NULL, *row;
    size_t i;
    enum status st = store_rows(o->s->store, &rows, &o->err, "SELECT grant_id, token FROM access_grant WHERE state = 'live' AND exp > $1", "i", now_s(o));
    json_array_foreach(rows, i, row) {
        struct grant g;
        if (st == OK)
            st = grant_verify(o->s->public_keys, o->s->config->instance, slice_str(str(row, "token")), now_s(o), &g, &o->err);
        if (st == OK)
            grant_done(&g);
        else if (st == BAD_TOKEN)
            st = fail(&o->err, BAD_CONFIG, "the live grant '%s' was signed with a key that is no longer in keys/; put it back as grant-old.pem until it has ended",
                      str(row, "grant_id"));
    }
    json_decref(rows);
    return st;
}

static enum status log_set(struct op *o)
{
    return write_leaf(o, "key.signing", json_pack("{s:s, s:O}", "session", SIGNING_LEAVES, "jwks", o->s->jwks), NULL);
}

/* The set that the log knows: of the last leaf key.signing, or of the first leaf of all. */
static enum status logged_set(struct op *o, json_t **out)
{
    json_t *row = NULL;
    uint64_t seq = 1;
    enum status st = store_row(o->s->store, &row, &o->err, "SELECT seq FROM leaf WHERE session = $1 ORDER BY seq DESC LIMIT 1", "s", SIGNING_LEAVES);
    if (st == OK)
        seq = (uint64_t)num(row, "seq");
    json_decref(row);
    return st == OK || st == NOT_FOUND ? log_leaf_shown(o->s->log, seq, out, &o->err) : st;
}

enum status signing_start(struct op *o)
{
    json_t *leaf = NULL;
    enum status st = log_size(o->s->log) > 0 ? logged_set(o, &leaf) : OK;
    bool same = leaf == NULL || json_equal(json_object_get(json_object_get(leaf, "content"), "jwks"), o->s->jwks);
    json_decref(leaf);
    return st == OK && !same ? log_set(o) : st;   /* a grant that was signed with a key that is gone is refused where it is used */
}

enum status signing_changed(struct op *o)
{
    enum status st = check_live(o);
    if (st == OK)
        st = log_set(o);
    if (st == OK)
        queue_event(o, json_pack("{s:s, s:O}", "event", "keys", "jwks", o->s->jwks));
    return st;
}
