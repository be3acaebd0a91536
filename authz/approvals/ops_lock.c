/* Locks: a person, one identity of a person, a certificate, a grant, a tool or everything is stopped now; by an operator, by an approver whose yes is in a grant, or by a rule. Lifting one
 * takes an operator's signature, and never that of whom it stops. */
#include "authz/approvals/internal.h"

#include "certs/leaf.h"

static const char *const kinds[] = { "person", "identity", "cert", "grant", "tool", "everything" };

static bool kind_known(const char *kind)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kind, kinds[i]) == 0)
            return true;
    return false;
}

/* Rows that a lock covers: $1 is its kind, $2 its value. */
#define COVERED(grant_column)                                                                                                     \
    "(($1 = 'person' AND person = $2) OR ($1 = 'identity' AND identity = $2) OR ($1 = 'cert' AND x5t = $2)"                       \
    " OR ($1 = 'tool' AND tool = $2) OR ($1 = 'grant' AND " grant_column " = $2) OR $1 = 'everything')"

static enum status operators_only(struct op *o)
{
    return is_operator(o) ? OK : refuse_op(o, OPERATORS_ONLY, "%s is in no operators' group", o->who.person->name);
}

static json_t *lock_view(const json_t *content)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:I}", "id", str(content, "lock_id"), "kind", str(content, "kind"), "value",
                     str(content, "value"), "reason", str(content, "reason"), "by", str(content, "by"), "at",
                     (json_int_t)(num(content, "created_ms") / 1000));
}

/* Both lists are in the order in which locks were made: *from moves along. */
static json_t *known_lock(const struct service *s, const char *id, size_t *from)
{
    for (size_t i = *from; i < json_array_size(s->locks); i++)
        if (strcmp(str(json_array_get(s->locks, i), "id"), id) == 0) {
            *from = i + 1;
            return json_array_get(s->locks, i);
        }
    return NULL;
}

enum status locks_load(struct service *s, struct err *err)
{
    json_t *locks = json_array(), *had;
    size_t from = 0;
    enum status st = OK;
    for (const struct ledger_entry *e = log_ledger(s->log)->locks; e != NULL && st == OK; e = e->next_lock) {
        json_t *found = NULL;
        if (strcmp(e->state, "live") != 0)
            continue;
        if ((had = known_lock(s, e->id, &from)) != NULL) {   /* its leaf was proved when it was made, or at the start */
            json_array_append(locks, had);
            continue;
        }
        st = log_leaf(s->log, e->born, &found, err);
        if (st == OK && json_array_append_new(locks, lock_view(json_object_get(found, "content"))) != 0)
            st = fail(err, NO_MEMORY, "locks");
        json_decref(found);
    }
    if (st != OK) {
        json_decref(locks);
        return st;
    }
    json_decref(s->locks);
    s->locks = locks;
    return OK;
}

/* As the people of the config have it: an address is written in lower case there. */
static const char *identity_listed(const struct config *c, const char *value)
{
    char address[IDENTITY_MAX + 1];
    const struct person *p = address_parse(slice_str(value), address) == OK ? config_person(c, slice_str(address)) : NULL;
    for (size_t i = 0; p != NULL && i < p->identity_count; i++)
        if (strcmp(p->identities[i], address) == 0)
            return p->identities[i];
    return NULL;
}

/* What is meant must exist: a mistyped lock would feel safe and stop nobody. A person may also be named by identity. */
static const char *lock_target(const struct op *o, const char *kind, const char *value)
{
    unsigned char raw[32];
    size_t len = 0;
    const struct config *c = o->s->config;
    if (strcmp(kind, "person") == 0) {
        const struct person *p = person_named(c, value);
        if (p == NULL)
            p = config_person(c, slice_str(value));
        return p ? p->name : NULL;
    }
    if (strcmp(kind, "identity") == 0)
        return identity_listed(c, value);
    if (strcmp(kind, "tool") == 0)
        return config_tool(c, slice_str(value)) ? value : NULL;
    if (strcmp(kind, "cert") == 0)
        return b64url_decode(slice_str(value), raw, sizeof raw, &len) == OK && len == sizeof raw ? value : NULL;
    if (strcmp(kind, "everything") == 0)
        return strcmp(value, EVERYTHING) == 0 ? EVERYTHING : NULL;
    const struct ledger_entry *e = strlen(value) == ID_LEN ? ledger_find(log_ledger(o->s->log), value) : NULL;
    return e != NULL && e->kind == LEDGER_GRANT ? value : NULL;
}

/* All that the lock covers ends in this transaction: waiting requests, held ones, live grants. */
static enum status end_covered(struct op *o, const char *kind, const char *value)
{
    json_t *items = NULL, *grants = NULL, *row;
    size_t i;
    enum status st = store_rows(o->s->store, &grants, &o->err,
                                "SELECT grant_id FROM access_grant WHERE " COVERED("grant_id") " AND state = 'live'", "ss", kind, value);
    json_array_foreach(grants, i, row)
        if (st == OK)
            st = grant_end(o, str(row, "grant_id"), "locked");
    if (st == OK)
        st = store_rows(o->s->store, &items, &o->err,
                        "SELECT item, session FROM held WHERE " COVERED("grant_id") " AND state IN ('pending', 'approved') UNION ALL "
                        "SELECT item, session FROM request WHERE " COVERED("session") " AND state = 'pending'", "ss", kind, value);
    json_array_foreach(items, i, row)
        if (st == OK)
            st = item_end(o, str(row, "item"), str(row, "session"), "cancelled", "locked");
    json_decref(items);
    json_decref(grants);
    return st;
}

/* Who held it when it was locked, written into the leaf: she must not lift it later, whatever the config says by then. NULL: nobody, or it is no such lock. */
static enum status owner_of(struct op *o, const char *kind, const char *value, char **out)
{
    *out = NULL;
    if (strcmp(kind, "cert") == 0)
        return certificate_owner(o, value, out);
    const struct person *p = strcmp(kind, "identity") == 0 ? config_person(o->s->config, slice_str(value)) : NULL;
    if (p != NULL && (*out = strdup(p->name)) == NULL)
        return fail(&o->err, NO_MEMORY, "owner");
    return OK;
}

enum status lock_make(struct op *o, const char *kind, const char *value, const char *reason, const char *by)
{
    char id[ID_LEN + 1];
    uint64_t seq = 0;
    new_id("lck_", id);
    json_t *content = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I}", "lock_id", id, "kind", kind, "value", value, "reason", reason,
                                "by", by, "created_ms", (json_int_t)o->now_ms);
    json_t *row = json_deep_copy(content), *view = lock_view(content);
    char *owner = NULL;
    enum status st = owner_of(o, kind, value, &owner);
    if (owner != NULL)
        json_object_set_new(content, "owner", json_pack("[s]", owner));
    free(owner);
    if (st == OK)
        st = write_leaf(o, "lock", content, &seq);
    else
        json_decref(content);
    if (st == OK && (json_object_set_new(row, "state", json_string("live")) != 0
                     || json_object_set_new(row, "seq", json_integer((json_int_t)seq)) != 0))
        st = fail(&o->err, NO_MEMORY, "lock");
    if (st == OK)
        st = store_insert(o->s->store, "lock", row, &o->err);
    if (st == OK) {
        if (o->answer != NULL)
            json_object_set(o->answer, "lock", view);
        queue_event(o, json_pack("{s:s, s:{s:s, s:s, s:s, s:s}}", "event", "lock", "lock", "id", id, "kind", kind, "value", value, "reason",
                           reason));
        st = end_covered(o, kind, value);
    }
    if (st == OK && strcmp(kind, "person") == 0)
        st = delegations_end_of(o, value, "locked");
    json_decref(row);
    json_decref(view);
    o->s->locks_stale = true;
    return st;
}

static const json_t *live_lock(const struct service *s, const char *kind, const char *value)
{
    size_t i;
    json_t *lock;
    json_array_foreach(s->locks, i, lock)
        if (strcmp(str(lock, "kind"), kind) == 0 && strcmp(str(lock, "value"), value) == 0)
            return lock;
    return NULL;
}

/* An approver may stop the grant that she said yes to, or, if nobody did, could have: read from the grant's own signed token. */
static enum status check_locker(struct op *o, const char *kind, const char *value)
{
    struct grant g;
    json_t *by;
    size_t i;
    bool hers = false;
    if (is_operator(o))
        return OK;
    enum status st = strcmp(kind, "grant") == 0 && strlen(value) == ID_LEN ? grant_load(o, value, &g) : NOT_FOUND;
    if (st == CORRUPT || st == IO_FAILED)
        return st;
    if (st == OK) {
        json_array_foreach(g.approved_by, i, by)
            hers = hers || strcmp(str(by, "person"), o->who.person->name) == 0 || strcmp(str(by, "on_behalf_of"), o->who.person->name) == 0;
        hers = hers || (basis_is_alone(g.basis) && alone_may_stop(o->s->config, config_tool(o->s->config, slice_str(g.tool)), o->who.person));
        grant_done(&g);
    }
    return hers ? OK : refuse_op(o, OPERATORS_ONLY, "%s is in no operators' group, and has approved no live grant of this id", o->who.person->name);
}

enum status op_lock(struct op *o)
{
    const char *kind = str(o->m, "kind");
    enum status st = check_locker(o, kind, str(o->m, "value"));
    if (st != OK)
        return st;
    if (!kind_known(kind))
        return refuse_op(o, BAD_REQUEST, "'kind' is person, identity, cert, grant, tool or everything");
    if (!reason_good(str(o->m, "reason")))
        return refuse_op(o, BAD_REASON, "A reason has 3 to 500 characters and no control characters");
    const char *value = lock_target(o, kind, str(o->m, "value"));
    if (value == NULL)
        return refuse_op(o, LOCK_TARGET_UNKNOWN, "No %s of this name is known", kind);
    const json_t *there = live_lock(o->s, kind, value);
    if (there != NULL)                /* asked again: the same lock */
        return json_object_set(o->answer, "lock", (json_t *)(uintptr_t)there) == 0 ? OK : fail(&o->err, NO_MEMORY, "answer");
    return lock_make(o, kind, value, str(o->m, "reason"), o->who.person->name);
}

/* Was the certificate, or the identity, the caller's when it was locked? */
static enum status was_owner(struct op *o, const json_t *lock, bool *out)
{
    const struct ledger_entry *e = ledger_find(log_ledger(o->s->log), str(lock, "id"));
    json_t *found = NULL;
    enum status st = e ? log_leaf(o->s->log, e->born, &found, &o->err) : fail(&o->err, CORRUPT, "a lock that the log does not know");
    const char *owner = json_string_value(json_array_get(json_object_get(json_object_get(found, "content"), "owner"), 0));
    *out = owner != NULL && strcmp(owner, o->who.person->name) == 0;
    json_decref(found);
    return st;
}

/* Whose lock is it, as far as can be told? Her own hand must not lift it. */
static enum status check_other(struct op *o, const json_t *lock)
{
    const char *kind = str(lock, "kind"), *value = str(lock, "value"), *me = o->who.person->name;
    json_t *row = NULL;
    bool own = (strcmp(kind, "person") == 0 && strcmp(value, me) == 0) || (strcmp(kind, "cert") == 0 && strcmp(value, o->who.x5t) == 0);
    enum status st = OK;
    if (!own && (strcmp(kind, "cert") == 0 || strcmp(kind, "identity") == 0)) {
        char *owner = NULL;
        st = owner_of(o, kind, value, &owner);
        own = owner != NULL && strcmp(owner, me) == 0;
        free(owner);
        if (st == OK && !own)
            st = was_owner(o, lock, &own);
    }
    if (st == OK && !own && strcmp(kind, "person") != 0 && strcmp(kind, "tool") != 0 && strcmp(kind, "everything") != 0) {
        st = store_row(o->s->store, &row, &o->err, "SELECT item FROM request WHERE person = $1 AND (x5t = $2 OR session = $2 OR identity = $2)"
                       " UNION ALL SELECT item FROM new_key WHERE person = $1 AND x5t = $2 LIMIT 1", "ss", me, value);
        own = st == OK;
        st = st == NOT_FOUND ? OK : st;
        json_decref(row);
    }
    return own ? refuse_op(o, UNLOCK_OWN, "The lock is on %s", me) : st;
}

static const json_t *lock_of_id(const struct service *s, const char *id)
{
    json_t *each;
    size_t i;
    json_array_foreach(s->locks, i, each)
        if (strcmp(str(each, "id"), id) == 0)
            return each;
    return NULL;
}

static enum status check_unlock(struct op *o, const json_t *lock)
{
    enum status st = operators_only(o);
    if (st != OK)
        return st;
    return lock != NULL ? check_other(o, lock) : refuse_op(o, ITEM_NOT_FOUND, "No live lock has this id");
}

enum status op_unlock_statement(struct op *o)
{
    const json_t *lock = lock_of_id(o->s, str(o->m, "id"));
    enum status st = check_unlock(o, lock);
    if (st != OK)
        return st;
    if (!reason_good(str(o->m, "reason")))
        return refuse_op(o, BAD_REASON, "A reason has 3 to 500 characters and no control characters");
    return order_statement(o, str(lock, "id"), "unlock", str(lock, "value"),
                           statement_scope_unlock(str(lock, "id"), str(lock, "kind"), str(lock, "value"), str(o->m, "reason")));
}

enum status unlock_signed(struct op *o, const json_t *row, const json_t *object)
{
    struct statement s;
    json_t *yes = NULL;
    const char *id = str(row, "item");
    const json_t *lock = lock_of_id(o->s, id);
    enum status st = check_unlock(o, lock);
    if (st == OK)
        st = order_signed(o, row, object, "unlock", &s, &yes);
    if (st == OK && (strcmp(str(s.scope, "lock_id"), id) != 0 || strcmp(str(s.scope, "kind"), str(lock, "kind")) != 0
                     || strcmp(str(s.scope, "value"), str(lock, "value")) != 0))
        st = fail(&o->err, CORRUPT, "the stored statement '%s' speaks of another lock", s.id);
    if (st == OK)
        st = store_run(o->s->store, &o->err, "UPDATE lock SET state = 'ended' WHERE lock_id = $1 AND state = 'live'", "s", id);
    if (st == OK && store_changed(o->s->store) != 1)
        st = fail(&o->err, CORRUPT, "the lock '%s' is not live in the database", id);
    json_t *content = json_pack("{s:s, s:s, s:s, s:s, s:s, s:O}", "lock_id", id, "kind", str(lock, "kind"), "value", str(lock, "value"), "reason",
                                str(s.scope, "reason"), "by", o->who.person->name, "statement", object);
    if (st == OK && (content == NULL || json_object_update(content, yes) != 0))
        st = fail(&o->err, NO_MEMORY, "unlock");
    if (st == OK)
        st = write_leaf(o, "unlock", json_incref(content), NULL);
    json_decref(content);
    json_decref(yes);
    if (st == OK)
        queue_event(o, json_pack("{s:s, s:s}", "event", "unlock", "id", id));
    o->s->locks_stale = true;
    return st;
}

enum status op_locks(struct op *o)
{
    json_t *list = json_array(), *lock;
    size_t i, bytes = 0;
    if (!is_operator(o) && !is_auditor(o)) {
        json_decref(list);
        return refuse_op(o, OPERATORS_ONLY, "Locks are shown to operators and auditors");
    }
    json_array_foreach(o->s->locks, i, lock)
        if (!page_add(list, &bytes, json_incref(lock)))
            break;
    json_object_set_new(o->answer, "locks", list);
    return OK;
}
