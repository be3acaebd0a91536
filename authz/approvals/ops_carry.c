/* A renewed certificate takes the live grants of the former one along, when one hand proves to hold both: it asks over TLS with the new one, and signs with the former one's key that
 * they go from here to there. Nothing is guessed from a name: two certificates of one identity may lie on two machines. */
#include "authz/approvals/internal.h"

#include "authz/canonical.h"
#include "certs/leaf.h"
#include "certs/trust.h"

#include <sys/stat.h>

struct former {
    X509 *cert;
    EVP_PKEY *key;
    struct identity id;
    char fingerprint[44];
};

static void former_done(struct former *f)
{
    X509_free(f->cert);
    *f = (struct former){ 0 };        /* the key is the certificate's */
}

static X509 *certificate_of(const struct op *o)
{
    unsigned char der[CERTIFICATE_MAX];
    const unsigned char *at = der;
    size_t len = 0;
    if (b64url_decode(slice_str(str(o->m, "certificate")), der, sizeof der, &len) != OK || len == 0)
        return NULL;
    X509 *cert = d2i_X509(NULL, &at, (long)len);
    if (cert != NULL && at != der + len) {
        X509_free(cert);
        cert = NULL;
    }
    if (cert == NULL)
        (void)ossl_reason();
    return cert;
}

void carry_done(struct service *s)
{
    trust_free(s->trust);
    s->trust = NULL;
}

static bool stamp_of(const char *path, struct stat *out)
{
    memset(out, 0, sizeof *out);
    return stat(path, out) == 0;
}

/* The lists as they lie on the disk now: yesterday's would let a stolen one pass. A long one is read again only when it has changed, since anybody can ask. */
static enum status current_trust(struct op *o)
{
    const struct config *c = o->s->config;
    struct stat ca, crl;
    unsigned char stamp[32];
    struct err err = { .text = "" };
    if (!stamp_of(c->client_ca, &ca) || !stamp_of(c->crl, &crl))
        return fail(&o->err, IO_FAILED, "the authorities or the revocation list cannot be found: %m");
    const int64_t facts[] = { (int64_t)ca.st_dev,  (int64_t)ca.st_ino,  ca.st_size,  ca.st_mtim.tv_sec,  ca.st_mtim.tv_nsec,
                              (int64_t)crl.st_dev, (int64_t)crl.st_ino, crl.st_size, crl.st_mtim.tv_sec, crl.st_mtim.tv_nsec };
    sha256_one(slice_of((const unsigned char *)facts, sizeof facts), stamp);
    if (o->s->trust != NULL && memcmp(stamp, o->s->trust_stamp, sizeof stamp) == 0)
        return OK;
    carry_done(o->s);
    enum status st = trust_load(c->client_ca, c->crl, &o->s->trust, &err);
    memcpy(o->s->trust_stamp, stamp, sizeof stamp);
    return st == OK ? OK : fail(&o->err, st, "the authorities and the revocation list: %s", err.text);
}

/* As good as if it had come over TLS now: of our authorities, within its dates, not revoked. */
static enum status check_former(struct op *o, struct former *f)
{
    enum status st = current_trust(o);
    if (st != OK)
        return st;
    enum cert_state state = trust_check(o->s->trust, f->cert, NULL, now_s(o), &f->id);
    if (state != CERT_GOOD)
        return refuse_op(o, NOT_CARRIED, "The former certificate does not count (%s): %s", cert_state_name(state), cert_state_what(state));
    if (strcmp(f->id.name, o->who.identity) != 0)
        return refuse_op(o, NOT_CARRIED, "The former certificate is for another identity");
    if (strcmp(f->id.x5t, o->who.x5t) == 0)
        return refuse_op(o, NOT_CARRIED, "It is the certificate that you use now");
    if (lock_on(o->s, &(struct lock_subject){ .identity = f->id.name, .x5t = f->id.x5t }) != NULL)
        return refuse_op(o, LOCKED, "The former certificate is locked");
    return OK;
}

static enum status read_former(struct op *o, struct former *f)
{
    *f = (struct former){ .cert = certificate_of(o) };
    if (f->cert == NULL)
        return refuse_op(o, BAD_REQUEST, "'certificate' is not one certificate (DER, base64url)");
    enum status st = check_former(o, f);
    f->key = st == OK ? X509_get0_pubkey(f->cert) : NULL;
    if (st == OK && (f->key == NULL || webauthn_algorithm_name(f->key) == NULL || EVP_PKEY_is_a(f->key, "RSA")))
        st = refuse_op(o, NOT_CARRIED, "Only P-256 and Ed25519 keys sign statements, and the former certificate's is none");
    if (st == OK)
        key_fingerprint(f->key, f->fingerprint);
    else
        former_done(f);
    return st;
}

/* Hers, under the former certificate, and live. */
static enum status grants_under(struct op *o, const struct former *f, json_t **out)
{
    return store_rows(o->s->store, out, &o->err,
                      "SELECT * FROM access_grant WHERE person = $1 AND state = 'live' AND x5t = $2 AND identity = $3 AND exp > $4 ORDER BY iat, grant_id", "sssi",
                      o->who.person->name, f->id.x5t, o->who.identity, now_s(o));
}

enum status op_carry_begin(struct op *o)
{
    struct former f;
    json_t *rows = NULL;
    char nonce[NONCE_LEN + 1], id[ID_LEN + 1];
    enum status st = read_former(o, &f);
    if (st != OK)
        return st;
    st = grants_under(o, &f, &rows);
    if (st == OK && json_array_size(rows) == 0)
        st = refuse_op(o, NOT_CARRIED, "No grant of yours is live under the former certificate");
    json_decref(rows);
    random_id(16, nonce);
    statement_id(nonce, CARRY_ITEM, "approve", id);
    json_t *object = json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I}", "v", 1, "instance", o->s->config->instance, "purpose", CARRY_ITEM, "id", id,
                               "person", o->who.person->name, "identity", o->who.identity, "from", f.id.x5t, "to", o->who.x5t, "key", f.fingerprint, "iat",
                               (json_int_t)now_s(o), "exp", (json_int_t)(now_s(o) + STATEMENT_LIFETIME_S));
    if (st == OK)
        st = object ? statement_keep(o, CARRY_ITEM, nonce, id, object) : fail(&o->err, NO_MEMORY, "statement");
    if (st == OK)
        json_object_set(o->answer, "statement", object);
    json_decref(object);
    former_done(&f);
    return st;
}

/* ---- signed ---- */

static bool is(const json_t *o, const char *name, const char *value)
{
    return strcmp(str(o, name), value) == 0;
}

/* The stored text says what was given out, about these two certificates; else somebody edited it. */
static bool statement_fits(const struct op *o, const json_t *row, const json_t *s, const struct former *f)
{
    char id[ID_LEN + 1];
    statement_id(str(row, "nonce"), CARRY_ITEM, "approve", id);
    return is(s, "id", id) && is(row, "id", id) && num(s, "v") == 1 && is(s, "instance", o->s->config->instance) && is(s, "purpose", CARRY_ITEM)
           && is(s, "person", o->who.person->name) && is(s, "identity", o->who.identity) && is(s, "from", f->id.x5t) && is(s, "to", o->who.x5t)
           && is(s, "key", f->fingerprint) && num(s, "iat") <= now_s(o) && num(s, "exp") > now_s(o);
}

static enum status check_signed(struct op *o, const json_t *object, const struct former *f)
{
    char *text = NULL;
    size_t len = 0;
    struct err why = { .text = "" };
    enum status st = canonical_json(object, &text, &len, &why);
    if (st == OK)
        st = jws_verify_detached(f->key, f->fingerprint, slice_str(str(o->m, "jws")), slice_of(text, len), &why);
    free(text);
    if (st == BAD_TOKEN)
        return refuse_op(o, BAD_SIGNATURE, "%s; it is made with the key of the former certificate", why.text);
    return st == OK ? OK : fail(&o->err, st, "%s", why.text);
}

/* The open statement of this id, signed: used up. *carry_out: what the log keeps of it. */
static enum status take_statement(struct op *o, const struct former *f, json_t **carry_out)
{
    json_t *row = NULL, *object = NULL;
    enum status st = store_row(o->s->store, &row, &o->err, "SELECT * FROM statement WHERE id = $1", "s", str(o->m, "statement_id"));
    if (st == NOT_FOUND || (st == OK && (!is(row, "item", CARRY_ITEM) || !is(row, "person", o->who.person->name))))
        st = refuse_op(o, STATEMENT_UNKNOWN, "No open statement of yours has this id");
    else if (st == OK && num(row, "exp") <= now_s(o))
        st = refuse_op(o, STATEMENT_EXPIRED, "It was written more than 10 minutes ago");
    if (st == OK) {
        object = json_loads(str(row, "text"), JSON_REJECT_DUPLICATES, NULL);
        st = object && statement_fits(o, row, object, f) ? OK : refuse_op(o, NOT_CARRIED, "The statement is about other certificates");
    }
    if (st == OK)
        st = check_signed(o, object, f);
    if (st == OK)
        st = statement_consume(o, str(row, "id"));
    if (st == OK && (*carry_out = json_pack("{s:s, s:O, s:s, s:s}", "from", f->id.x5t, "statement", object, "jws", str(o->m, "jws"), "certificate",
                                            str(o->m, "certificate"))) == NULL)
        st = fail(&o->err, NO_MEMORY, "statement");
    json_decref(object);
    json_decref(row);
    return st;
}

/* The new certificate has a grant for this tool of its own: that one stays, and so does the other where it is. */
static enum status has_one(struct op *o, const char *tool, bool *out)
{
    json_t *row = NULL;
    enum status st = store_row(o->s->store, &row, &o->err, "SELECT grant_id FROM access_grant WHERE person = $1 AND state = 'live' AND x5t = $2 AND tool = $3", "sss",
                               o->who.person->name, o->who.x5t, tool);
    json_decref(row);
    *out = st == OK;
    return st == NOT_FOUND ? OK : st;
}

static enum status put_carried(struct op *o, const json_t *content, const char *token, uint64_t seq)
{
    json_t *now = NULL;
    enum status st = store_run(o->s->store, &o->err,
                               "UPDATE access_grant SET x5t = $1, iat = $2, exp = $3, token = $4, token_sha256 = $5, seq = $6 WHERE grant_id = $7 AND state = 'live'", "siissis",
                               str(content, "x5t"), num(content, "iat"), num(content, "exp"), token, str(content, "token_sha256"), (int64_t)seq, str(content, "grant_id"));
    if (st == OK && store_changed(o->s->store) != 1)
        st = fail(&o->err, CORRUPT, "the grant '%s' is not live in the database", str(content, "grant_id"));
    if (st == OK)
        st = store_row(o->s->store, &now, &o->err, "SELECT * FROM access_grant WHERE grant_id = $1", "s", str(content, "grant_id"));
    if (st == OK)
        queue_event(o, grant_event(now));
    json_decref(now);
    return st;
}

static json_t *carried_leaf(const struct op *o, const json_t *row, const struct grant *g, int64_t exp_s, const char *token, json_t *carry)
{
    unsigned char hash[32];
    char hash_text[44];
    sha256_one(slice_str(token), hash);
    b64url_encode(slice_of(hash, sizeof hash), hash_text);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:s, s:O, s:O*, s:O, s:s, s:I}", "grant_id", g->grant_id, "session", g->grant_id, "item", str(row, "item"),
                     "person", g->person, "identity", g->identity, "x5t", o->who.x5t, "tool", g->tool, "policy", g->policy, "iat", (json_int_t)now_s(o), "exp",
                     (json_int_t)exp_s, "token_sha256", hash_text, "approved_by", g->approved_by, "external", g->external, "carry", carry,
                     "basis", g->basis, "start_s", (json_int_t)g->start_s);
}

/* The same grant, by the same yes, until the same end, for the new certificate. What waited for a sign-off was shown with the former one, and is asked anew. */
static enum status reissue(struct op *o, const json_t *row, const struct grant *g, json_t *carry)
{
    char jti[ID_LEN + 1], *note = NULL, *token = NULL;
    uint64_t seq = 0;
    int64_t exp_s = g->exp_s < o->who.not_after_s ? g->exp_s : o->who.not_after_s;
    enum status st = grant_end_waiting(o, g->grant_id, "carried-over");
    if (st == OK)
        st = log_checkpoint(o->s->log, &note, &o->err);
    if (st != OK)
        return st;
    new_id("jti_", jti);
    struct grant_facts facts = { o->s->config->instance, g->grant_id, jti, g->person, g->identity, o->who.x5t, g->tool, g->reason, g->policy, note, g->approved_by,
                                 now_s(o), exp_s, g->budget, g->actions, g->basis, g->start_s, g->external };
    st = grant_issue(o->s->signer, &facts, &token, &o->err);
    json_t *content = st == OK ? carried_leaf(o, row, g, exp_s, token, carry) : NULL;
    if (st == OK)
        st = content ? write_leaf(o, "grant.carried", json_incref(content), &seq) : fail(&o->err, NO_MEMORY, "grant");
    if (st == OK)
        st = put_carried(o, content, token, seq);
    json_decref(content);
    free(token);
    free(note);
    return st;
}

static enum status carry_one(struct op *o, const json_t *row, const struct former *f, json_t *carry, json_t *carried)
{
    struct grant g;
    bool there = false;
    enum status st = has_one(o, str(row, "tool"), &there);
    if (st != OK || there)
        return st;
    st = grant_load(o, str(row, "grant_id"), &g);
    if (st == EXPIRED)
        return OK;
    if (st != OK)
        return st == NOT_FOUND ? CORRUPT : st;
    if (strcmp(g.x5t, f->id.x5t) != 0 || strcmp(g.person, o->who.person->name) != 0 || strcmp(g.identity, o->who.identity) != 0)
        st = fail(&o->err, CORRUPT, "the row of the grant '%s' names another certificate than its token", g.grant_id);
    if (st == OK)
        st = reissue(o, row, &g, carry);
    if (st == OK && json_array_append_new(carried, json_pack("{s:s, s:s}", "grant_id", g.grant_id, "tool", g.tool)) != 0)
        st = fail(&o->err, NO_MEMORY, "answer");
    grant_done(&g);
    return st;
}

enum status op_carry_finish(struct op *o)
{
    struct former f;
    json_t *rows = NULL, *row, *carry = NULL, *carried = json_array();
    size_t i;
    enum status st = read_former(o, &f);
    if (st == OK)
        st = take_statement(o, &f, &carry);
    if (st == OK)
        st = grants_under(o, &f, &rows);
    json_array_foreach(rows, i, row)
        if (st == OK)
            st = carry_one(o, row, &f, carry, carried);
    if (st == OK && json_array_size(carried) == 0)
        st = refuse_op(o, NOT_CARRIED, "Nothing was left to carry: the grants have ended, or the new certificate has some of its own for the same tools");
    if (st == OK)
        json_object_set(o->answer, "carried", carried);
    json_decref(carried);
    json_decref(carry);
    json_decref(rows);
    former_done(&f);
    return st;
}
