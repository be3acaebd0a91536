/* Whom recordings are sealed to is itself a fact of the log: when an auditor's key was put in, and when it was taken out. */
#include "authz/approvals/internal.h"

static void name_of(const char *public_key, char out[B64URL_LEN(32) + 1])
{
    unsigned char hash[32];
    sha256_one(slice_str(public_key), hash);
    b64url_encode(slice_of(hash, sizeof hash), out);
}

static bool is_configured(const struct config *c, const char *name)
{
    char other[B64URL_LEN(32) + 1];
    for (size_t i = 0; i < c->sealed_to_count; i++) {
        name_of(c->sealed_to[i], other);
        if (strcmp(name, other) == 0)
            return true;
    }
    return false;
}

enum status upkeep_auditors(struct op *o)
{
    const struct config *c = o->s->config;
    const struct ledger *ledger = log_ledger(o->s->log);
    char name[B64URL_LEN(32) + 1];
    enum status st = OK;
    for (const struct ledger_entry *e = ledger->entries; e != NULL && st == OK; e = e->hh.next)
        if (e->kind == LEDGER_AUDITOR && strcmp(e->state, "live") == 0 && !is_configured(c, e->id))
            st = write_leaf(o, "auditor-key.retired", json_pack("{s:s}", "auditor", e->id), NULL);
    for (size_t i = 0; i < c->sealed_to_count && st == OK; i++) {
        name_of(c->sealed_to[i], name);
        if (!ledger_is(ledger, name, "live"))
            st = write_leaf(o, "auditor-key.added", json_pack("{s:s, s:s}", "auditor", name, "public_key", c->sealed_to[i]), NULL);
    }
    return st;
}
