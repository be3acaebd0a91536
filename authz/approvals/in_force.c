/* in_force: which policy counts, and what becomes of a config file that says something else (authz/README.md "A change of the policy").
 *
 * The log says it: the last policy.accepted names the digest of the policy in force, policy.released that any file counts. The text itself is kept in
 * STATE/policy under that digest, so that a restart does not bring in another one. What waits for operators is what the file said when it was last read. */
#include "authz/approvals/internal.h"

#include "config/changes.h"
#include "proxy/base/file.h"

#include <errno.h>
#include <unistd.h>

#define IN_FORCE "policy"             /* the one entry of the ledger */
enum { CHANGES_BYTES = 12 * 1024, WAITS_DAYS = 7, DENIED_HOURS = 24, OPERATORS_NEEDED = 2 };

/* The digest of the policy in force; "": any file counts. */
static enum status accepted(struct service *s, char out[65], struct err *err)
{
    const struct ledger_entry *e = ledger_find(log_ledger(s->log), IN_FORCE);
    json_t *leaf = NULL;
    out[0] = 0;
    if (e == NULL || strcmp(e->state, "live") != 0)
        return OK;
    enum status st = log_leaf(s->log, e->born, &leaf, err);
    const char *digest = str(json_object_get(leaf, "content"), "policy");
    if (st == OK && strlen(digest) != 64)
        st = fail(err, CORRUPT, "leaf %llu names no policy", (unsigned long long)e->born);
    if (st == OK)
        memcpy(out, digest, 65);
    json_decref(leaf);
    return st == NOT_FOUND ? CORRUPT : st;
}

static enum status load_kept(const struct service *s, const char *digest, const struct config *file, struct config **out, struct err *err)
{
    struct problems p;
    char *folder = config_path(s->config, "policy");
    enum status st = folder ? config_load_kept(folder, digest, file->machine, out, &p) : NO_MEMORY;
    if (folder == NULL)
        return fail(err, NO_MEMORY, "policy");
    if (st != OK)
        (void)fail(err, BAD_CONFIG, "the policy in force can't be read: %s. Put STATE/policy back from a copy; or let the config file's policy count instead, at the machine, with the gateway "
                   "stopped: countersign policy accept -c FILE", p.count > 0 ? p.text[0] : "no memory");
    problems_done(&p);
    free(folder);
    return st == OK ? OK : BAD_CONFIG;
}

/* Keep the file's policy, and load it from there: what is shown and what runs is what was kept. */
static enum status keep(const struct service *s, const struct config *file, struct config **out, struct err *err)
{
    char *folder = config_path(s->config, "policy");
    enum status st = folder ? config_keep(file, folder, err) : fail(err, NO_MEMORY, "policy");
    free(folder);
    if (st == BAD_INPUT)
        return BAD_CONFIG;            /* as with any config that can't be used: the old one stays */
    return st == OK ? load_kept(s, file->policy_digest, file, out, err) : st;
}

/* ---- what is written ---- */

static enum status write_accepted(struct op *o, const struct config *c, const char *was, const char *basis, const char *item, const char *changes)
{
    return write_leaf(o, c->second_operator ? "policy.accepted" : "policy.released",
                      json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "what", IN_FORCE, "session", item[0] ? item : IN_FORCE, "item", item, "policy", c->policy_digest, "was",
                                was, "basis", basis, "changes", changes), NULL);
}

/* Whatever waits, but the change that is named, is about a file that is no more. */
static enum status end_others(struct op *o, const char *policy, const char *was, bool *waits)
{
    json_t *rows = NULL, *row;
    size_t i;
    enum status st = store_rows(o->s->store, &rows, &o->err, "SELECT item, policy, was FROM policy_change WHERE state = 'pending'", "");
    *waits = false;
    json_array_foreach(rows, i, row) {
        if (st == OK && policy != NULL && strcmp(str(row, "policy"), policy) == 0 && strcmp(str(row, "was"), was) == 0)
            *waits = true;
        else if (st == OK)
            st = item_end(o, str(row, "item"), str(row, "item"), "cancelled", "the config file says something else now");
    }
    json_decref(rows);
    return st;
}

/* An operator said no to the same a short while ago: the file is read again at many occasions. */
static enum status denied_lately(struct op *o, const char *policy, const char *was, bool *out)
{
    json_t *row = NULL;
    enum status st = store_row(o->s->store, &row, &o->err, "SELECT item FROM policy_change WHERE policy = $1 AND was = $2 AND state = 'denied' AND created_ms > $3", "ssi",
                               policy, was, o->now_ms - (int64_t)DENIED_HOURS * 3600 * 1000);
    json_decref(row);
    *out = st == OK;
    return st == NOT_FOUND ? OK : st;
}

static enum status insert_item(struct op *o, const char *policy, const char *was, const char *changes)
{
    char id[ID_LEN + 1];
    uint64_t seq = 0;
    new_id("pol_", id);
    json_t *facts = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I}", "item", id, "session", id, "person", "-", "identity", "-", "x5t", "", "policy", policy,
                              "was", was, "changes", changes, "created_ms", (json_int_t)o->now_ms, "expires_ms",
                              (json_int_t)(o->now_ms + (int64_t)WAITS_DAYS * 86400 * 1000));
    json_t *row = json_deep_copy(facts);
    enum status st = row ? write_leaf(o, "policy.proposed", facts, &seq) : (json_decref(facts), fail(&o->err, NO_MEMORY, "policy"));
    if (st == OK && (json_object_set_new(row, "state", json_string("pending")) != 0 || json_object_set_new(row, "seq", json_integer((json_int_t)seq)) != 0))
        st = fail(&o->err, NO_MEMORY, "policy");
    if (st == OK)
        st = store_insert(o->s->store, "policy_change", row, &o->err);
    json_decref(row);
    if (st == OK)
        queue_item_event(o, id, "pending");
    return st;
}

/* ---- a file that says something else ---- */

struct differing {
    const struct config *kept;        /* what the file says, kept */
    const char *was, *text;
    const char *basis;                /* it counts at once, by this; NULL: it waits */
};

static enum status settle(struct op *o, const struct differing *d)
{
    bool waits = false, denied = false;
    enum status st = end_others(o, d->basis ? NULL : d->kept->policy_digest, d->was, &waits);
    if (st == OK && d->basis != NULL)
        return write_accepted(o, d->kept, d->was, d->basis, "", d->text);
    if (st == OK && !waits)
        st = denied_lately(o, d->kept->policy_digest, d->was, &denied);
    if (st == OK && !waits && !denied)
        st = insert_item(o, d->kept->policy_digest, d->was, d->text);
    return st;
}

static enum status settle_now(struct service *s, const struct differing *d, struct err *err)
{
    struct op o;
    enum status st = own_begin(s, &o, err);
    if (st == OK)
        st = settle(&o, d);
    return own_end(&o, st, err);
}

static enum status differs(struct service *s, const struct config *file, struct config *now, bool accept, struct config **use, struct err *err)
{
    struct changes changes = { 0 };
    struct config *kept = NULL;
    enum status st = config_changes(now->policy, file->policy, &changes, err);
    char *text = st == OK ? changes_text(&changes, CHANGES_BYTES) : NULL;
    if (st == OK && text == NULL)
        st = fail(err, NO_MEMORY, "policy");
    if (st == OK)
        st = keep(s, file, &kept, err);
    if (st == OK) {
        struct differing d = { kept, now->policy_digest, text, accept ? "machine" : changes.wider == 0 ? "narrower" : NULL };
        st = settle_now(s, &d, err);
        if (st == OK && d.basis == NULL)
            log_warn("policy.not-in-force", "why", "the config file would widen the policy; the policy before stays in force", "changes", text, "next",
                     "two different operators have to sign it: countersign pending, then approve; or undo the change in the file");
        else if (st == OK)
            log_info("policy.accepted", "basis", d.basis, "changes", text);
        if (st == OK && d.basis == NULL) {
            config_unref(s->wanted);
            s->wanted = config_ref(kept);
        }
        *use = config_ref(d.basis ? kept : now);
    }
    if (st != OK)
        *use = NULL;
    config_unref(kept);
    free(text);
    changes_done(&changes);
    return st;
}

static enum status accept_first(struct service *s, const struct config *file, const char *was, const char *basis, struct config **use, struct err *err)
{
    enum status st = keep(s, file, use, err);
    if (st == OK)
        st = settle_now(s, &(struct differing){ *use, was, "", basis }, err);
    if (st == OK) {
        log_info("policy.accepted", "basis", basis, "policy", file->policy_digest);
        return OK;
    }
    config_unref(*use);
    *use = NULL;
    return st;
}

static enum status forget_waiting(struct service *s, struct err *err)
{
    struct op o;
    bool waits;
    json_t *row = NULL;
    config_unref(s->wanted);
    s->wanted = NULL;
    enum status st = own_begin(s, &o, err);
    if (st != OK)
        return st;
    st = store_row(s->store, &row, &o.err, "SELECT item FROM policy_change WHERE state = 'pending'", "");
    json_decref(row);
    st = st == NOT_FOUND ? OK : st == OK ? end_others(&o, NULL, "", &waits) : st;
    return own_end(&o, st, err);
}

enum status in_force_choose(struct service *s, struct config *file, bool accept, struct config **use, struct err *err)
{
    char digest[65];
    enum status st = accepted(s, digest, err);
    if (st != OK)
        return st;
    if (digest[0] == 0 && !file->second_operator) {
        *use = config_ref(file);
        return OK;
    }
    if (file->policy == NULL)
        return fail(err, BAD_CONFIG, "the config was read without its text");
    if (digest[0] == 0)
        return accept_first(s, file, "", "first", use, err);
    struct config *now = NULL;
    st = load_kept(s, digest, file, &now, err);
    if (strcmp(digest, file->policy_digest) == 0) {
        enum status forgot = forget_waiting(s, err);
        if (forgot != OK) {
            config_unref(now);
            return forgot;
        }
        if (st != OK)                 /* the copy is gone, and here is the same */
            st = keep(s, file, &now, err);
        *use = now;
        return st;
    }
    if (st != OK && accept)
        return accept_first(s, file, digest, "machine", use, err);
    if (st == OK)
        st = differs(s, file, now, accept, use, err);
    config_unref(now);
    return st;
}

/* ---- the yes of operators ---- */

bool in_force_may_decide(const struct op *o)
{
    return is_operator(o);
}

enum status in_force_check(struct op *o, const struct item *it)
{
    const struct config *wanted = o->s->wanted;
    if (wanted != NULL && strcmp(wanted->policy_digest, str(it->facts, "policy")) == 0 && strcmp(o->s->in_force, str(it->facts, "was")) == 0)
        return OK;
    return refuse_op(o, POLICY_CHANGED, "The config file, or the policy in force, is no longer what it was when this was proposed");
}

bool in_force_enough(const struct op *o, const struct approvals *a)
{
    const struct config *c = o->s->config;
    unsigned operators = 0;
    for (size_t i = 0; i < a->count; i++) {
        bool again = false;
        for (size_t k = 0; k < i; k++)
            again |= a->persons[k] == a->persons[i];
        operators += !again && person_in_any(a->persons[i], c->operators, c->operator_count);
    }
    return operators >= OPERATORS_NEEDED;
}

enum status in_force_approved(struct op *o, const struct item *it)
{
    o->s->switch_due = true;
    return write_accepted(o, o->s->wanted, str(it->facts, "was"), "approved", it->id, str(it->facts, "changes"));
}

/* ---- taking effect ---- */

/* Where the other processes look for it. Should it fail, they stay with the old one, and the workers stop: authz told them what counts. */
static void point(struct service *s, const char *digest)
{
    struct err err = { .text = "" };
    char line[66];
    char *folder = config_path(s->config, "policy"), *path = config_path(s->config, "policy/in-force");
    enum status st = folder && path ? OK : fail(&err, NO_MEMORY, "policy");
    snprintf(line, sizeof line, "%s\n", digest);
    if (st == OK && digest[0] == 0 && unlink(path) != 0 && errno != ENOENT && errno != ENOTDIR)
        st = fail(&err, IO_FAILED, "'%s' can't be removed: %m", path);
    if (st == OK && digest[0] != 0) {
        unsigned char *has = NULL;
        size_t len = 0;
        bool same = file_read(path, 128, false, &has, &len, NULL) == OK && slice_eq(slice_of(has, len), slice_str(line));
        free(has);
        st = same ? OK : file_mkdirs(folder, 0700, &err);
        if (st == OK && !same)
            st = file_write(path, slice_str(line), 0600, &err);
    }
    if (st != OK)
        log_error("policy.not-published", "why", err.text, "next", "the proxy goes on with the policy before for a moment, then refuses; make room, and send SIGHUP");
    free(folder);
    free(path);
}

void in_force_follow(struct service *s)
{
    const char *digest = s->config->second_operator ? s->config->policy_digest : "";
    point(s, digest);
    if (strcmp(digest, s->in_force) == 0)
        return;
    memcpy(s->in_force, digest, strlen(digest) + 1);
    json_array_append_new(s->outbox, json_pack("{s:s, s:s}", "event", "policy", "policy", digest));
}

enum status in_force_switch(struct service *s, struct err *err)
{
    if (!s->switch_due)
        return OK;
    s->switch_due = false;
    const struct ledger_entry *e = ledger_find(log_ledger(s->log), IN_FORCE);
    json_t *leaf = NULL;
    enum status st = e != NULL ? log_leaf(s->log, e->last, &leaf, err) : OK;
    bool agreed = st == OK && leaf != NULL && s->wanted != NULL && strcmp(str(json_object_get(leaf, "content"), "policy"), s->wanted->policy_digest) == 0;
    json_decref(leaf);
    if (st != OK || !agreed)          /* the transaction was not committed */
        return st;
    struct config *next = s->wanted;
    s->wanted = NULL;
    st = service_take(s, next, err);
    config_unref(next);
    if (st == OK) {
        in_force_follow(s);
        log_info("policy.accepted", "basis", "approved", "policy", s->config->policy_digest);
    } else if (st != IO_FAILED && st != CORRUPT) {
        log_error("policy.not-taken", "why", err->text, "next", "correct that, then send SIGHUP; until then the policy before goes on");
        st = OK;
    }
    return st;
}
