#include "authz/approvals/notices.h"

#include <fcntl.h>
#include <stdarg.h>
#include <sys/file.h>
#include <unistd.h>

#include "proxy/base/file.h"

/* ---- opening and closing ---- */

static enum status take_lock(struct service *s, struct err *err)
{
    char *path = config_path(s->config, "authz.lock");
    if (path == NULL)
        return fail(err, NO_MEMORY, "lock file");
    enum status st = OK;
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->lock_fd < 0)
        st = fail(err, IO_FAILED, "cannot open '%s': %m", path);
    else if (flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0)
        st = fail(err, REFUSED, "another authz runs on this state folder ('%s' is locked); stop it first", path);
    free(path);
    return st;
}

static enum status open_signer(struct service *s, struct err *err)
{
    struct signing now;
    enum status st = signing_load(s->config, &now, err);
    if (st == OK)
        signing_swap(s, &now);
    return st;
}

static enum status open_seal(struct service *s, struct err *err)
{
    char *path = config_path(s->config, "keys/held.key");
    s->held_folder = config_path(s->config, "held");
    enum status st = path && s->held_folder ? seal_key_load(path, &s->seal_key, err) : fail(err, NO_MEMORY, "path");
    free(path);
    return st == OK ? file_mkdirs(s->held_folder, 0700, err) : st;
}

static enum status open_log(struct service *s, struct err *err)
{
    char *db = config_path(s->config, "authz.db"), *key = config_path(s->config, "keys/log.pem");
    s->memory_path = config_path(s->config, "authz.memory");
    enum status st = db && key && s->memory_path ? store_open(db, &s->store, err) : fail(err, NO_MEMORY, "path");
    if (st == OK)
        s->beside = access(s->memory_path, F_OK) != 0 ? reconcile_beside(db) : NULL;   /* without a memory, all of the log is read */
    if (st == OK)
        st = log_open(s->store, s->config->instance, key, s->memory_path, &s->log, err);
    free(db);
    free(key);
    if (st == OK && log_all_erased(s->log)->count > 0)
        s->retention.history.scrub_ms = clock_mono_ms();   /* the process may have ended between erasing and this */
    char *tiles = config_path(s->config, "log");
    if (st == OK)
        st = tiles ? tiles_open(tiles, s->config->instance, s->log, s->store, &s->tiles, err) : fail(err, NO_MEMORY, "path");
    free(tiles);
    return st;
}

enum status keys_load(const struct config *c, struct approval_keys *out, struct err *err)
{
    enum status st = approval_keys_load(c->approval_keys, out, err);
    if (st != NOT_FOUND)
        return st;
    log_warn("keys.none", "file", c->approval_keys, "why", "the file is not there, so nobody can approve");
    *out = (struct approval_keys){ 0 };
    return OK;
}

static enum status first_leaf(struct op *o)
{
    char key[44];
    b64url_encode(slice_of(log_public_key(o->s->log), 32), key);
    return write_leaf(o, "instance.created",
                json_pack("{s:s, s:s, s:O}", "instance", o->s->config->instance, "log_key", key, "jwks", o->s->jwks), NULL);
}

static enum status begin_log(struct service *s, struct err *err)
{
    struct op o;
    s->leaves_before = log_size(s->log);
    if (log_size(s->log) > 0)
        return retention_look_back(s, err);   /* the times of later leaves would hide a leap of the clock */
    enum status st = own_begin(s, &o, err);
    if (st == OK)
        st = first_leaf(&o);
    return own_end(&o, st, err);
}

/* The file's policy, or the one that the log names. */
static enum status choose_policy(struct service *s, bool accept, struct err *err)
{
    struct config *use = NULL;
    enum status st = in_force_choose(s, s->config, accept, &use, err);
    char *origin = st == OK ? config_origin(use, use->console_host) : NULL;
    if (st == OK && origin == NULL)
        st = fail(err, NO_MEMORY, "console");
    if (st != OK) {
        config_unref(use);
        return st;
    }
    config_unref(s->config);
    s->config = use;
    free(s->console_origin);
    s->console_origin = origin;
    return OK;
}

static enum status bring_up_to_date(struct service *s, struct err *err)
{
    struct op o;
    enum status st = own_begin(s, &o, err);
    if (st == OK)
        st = retention_start(&o);
    if (st == OK)
        st = signing_start(&o);
    if (st == OK)
        st = upkeep_config(&o);
    if (st == OK)
        st = upkeep_outcomes(&o, NULL);
    return own_end(&o, st, err);
}

static bool held_is_open(void *arg, const char *id)
{
    const struct service *s = arg;
    return ledger_is(log_ledger(s->log), id, "pending") || ledger_is(log_ledger(s->log), id, "approved");
}

enum status service_open(struct config *c, struct service **out, struct err *err)
{
    return service_open_accepting(c, false, out, err);
}

/* Empty, with what cannot fail for another reason than memory. */
static struct service *service_new(struct config *c)
{
    struct service *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->config = config_ref(c);
    s->lock_fd = s->issuer_lane = -1;
    s->console_origin = config_origin(c, c->console_host);
    s->running = json_object();
    s->owners = json_object();
    s->notices_out = json_object();
    s->notices_of = json_object();
    s->auto_used = json_object();
    s->outbox = json_array();
    return s;
}

/* What is written must be true before anything is built on it: each step relies on those above it. */
static enum status read_state(struct service *s, struct err *err)
{
    static enum status (*const steps[])(struct service *, struct err *) = {
        take_lock, open_signer, open_seal, open_log, reconcile, locks_load, web_keys_load, holds_load, reviews_load, delegations_load, begin_log,
    };
    enum status st = s->console_origin ? OK : fail(err, NO_MEMORY, "console");
    for (size_t i = 0; st == OK && i < sizeof steps / sizeof *steps; i++)
        st = steps[i](s, err);
    return st;
}

static void begin_work(struct service *s)
{
    revoked_look(s);
    teller_note(s, "gateway.started", json_pack("{s:s, s:s}", "version", COUNTERSIGN_VERSION, "process", "authz"));
    in_force_follow(s);
    service_remember(s);
    seal_sweep(s->held_folder, held_is_open, s);
    upkeep_publish(s);
}

enum status service_open_accepting(struct config *c, bool accept, struct service **out, struct err *err)
{
    struct service *s = service_new(c);
    if (s == NULL)
        return fail(err, NO_MEMORY, "service");
    enum status st = read_state(s, err);
    if (st == OK)
        st = choose_policy(s, accept, err);
    if (st == OK)
        st = teller_open(s, &s->teller, err);
    if (st == OK)
        st = keys_load(s->config, &s->keys, err);
    if (st == OK)
        st = external_load(s->config, s->public_keys, &s->external, err);
    if (st == OK)
        st = issuer_keys_follow(s, s->config, s->external, s->public_keys, err);
    if (st == OK)
        st = bring_up_to_date(s, err);
    if (st == OK) {
        begin_work(s);
        *out = s;
        return OK;
    }
    if (st == CORRUPT && strstr(err->text, "authz.db was altered") == NULL)
        err_prefix(err, "authz.db was altered: ");
    service_close(s);
    return st;
}

/* Losing it costs the next start time, nothing else. */
void service_remember(struct service *s)
{
    struct err err = { .text = "" };
    if (log_size(s->log) == s->written)
        return;
    if (log_remember(s->log, s->memory_path, &err) == OK)
        s->written = log_size(s->log);
    else
        log_warn("memory.unwritten", "why", err.text);
}

void service_close(struct service *s)
{
    if (s == NULL)
        return;
    if (s->written > 0) {             /* it was opened in full */
        service_remember(s);
        teller_note(s, "gateway.stopped", json_pack("{s:s, s:s}", "version", COUNTERSIGN_VERSION, "process", "authz"));
    }
    teller_close(s);
    session_sums_done(&s->sums);
    history_done(s);
    free(s->memory_path);
    if (s->published_ms > 0)          /* it was opened in full */
        upkeep_publish(s);
    tiles_close(s->tiles);
    log_close(s->log);
    reconcile_beside_stop(s->beside);
    store_close(s->store);
    jwt_signer_free(s->signer);
    jwt_keys_free(s->public_keys);
    external_free(s->external);
    issuer_keys_close(s);
    carry_done(s);
    json_decref(s->jwks);
    json_decref(s->locks);
    json_decref(s->holds);
    json_decref(s->revoked);
    json_decref(s->reviews);
    json_decref(s->delegations);
    json_decref(s->auto_used);
    json_decref(s->running);
    json_decref(s->owners);
    json_decref(s->notices_out);
    json_decref(s->notices_of);
    json_decref(s->events);
    json_decref(s->outbox);
    json_decref(s->erase);
    approval_keys_done(&s->keys);
    web_keys_done(s);
    free(s->console_origin);
    seal_key_wipe(&s->seal_key);
    OPENSSL_cleanse(s->codes, sizeof s->codes);
    watch_free(s);
    free(s->held_folder);
    config_unref(s->wanted);
    config_unref(s->config);
    if (s->lock_fd >= 0)
        close(s->lock_fd);            /* last: nobody else may start before all is closed */
    free(s);
}

const struct config *service_config(const struct service *s)
{
    return s->config;
}

/* ---- transactions ---- */

static enum status tx_begin(struct service *s, struct err *err)
{
    s->events = json_array();
    s->erase = json_array();
    return s->events && s->erase ? store_begin(s->store, err) : fail(err, NO_MEMORY, "transaction");
}

static void tx_forget(struct service *s)
{
    json_decref(s->events);
    json_decref(s->erase);
    s->events = s->erase = NULL;
}

static void tx_rollback(struct service *s)
{
    store_rollback(s->store);
    log_rolled_back(s->log);
    s->locks_stale = s->web_keys_stale = s->reviews_stale = s->delegations_stale = s->retention.holds_stale = s->retention.reread = false;
    tx_forget(s);
}

static void after_commit(struct service *s)
{
    size_t i;
    json_t *id;
    json_array_foreach(s->erase, i, id)
        seal_erase(s->held_folder, json_string_value(id));
    json_array_extend(s->outbox, s->events);
    tx_forget(s);
}

/* *broken: what is on the disk is not known, or memory no longer mirrors it. */
static enum status tx_commit(struct service *s, bool *broken, struct err *err)
{
    enum status st = log_seal(s->log, err);
    if (st == OK)
        st = store_commit(s->store, err);
    if (st != OK) {
        *broken = st != FULL && st != NO_MEMORY;
        tx_rollback(s);
        return st;
    }
    json_t *fresh = s->teller && log_changed(s->log) ? log_fresh(s->log) : NULL;
    st = log_committed(s->log, err);
    if (st == OK && s->locks_stale)
        st = locks_load(s, err);
    if (st == OK && s->web_keys_stale)
        st = web_keys_load(s, err);
    if (st == OK && s->retention.holds_stale)
        st = holds_load(s, err);
    if (st == OK && s->reviews_stale)
        st = reviews_load(s, err);
    if (st == OK && s->delegations_stale)
        st = delegations_load(s, err);
    s->locks_stale = s->web_keys_stale = s->reviews_stale = s->delegations_stale = s->retention.holds_stale = false;
    *broken = st != OK;
    if (st == OK)
        after_commit(s);
    else
        tx_forget(s);
    if (st == OK && fresh != NULL)
        teller_fresh(s, json_incref(fresh));
    json_decref(fresh);
    return st;
}

enum status own_begin(struct service *s, struct op *o, struct err *err)
{
    *o = (struct op){ .s = s, .now_ms = clock_wall_ms(), .answer_fd = -1 };
    return tx_begin(s, err);
}

enum status own_end(struct op *o, enum status st, struct err *err)
{
    bool broken = false;
    if (st == OK) {
        st = tx_commit(o->s, &broken, err);
        return broken ? IO_FAILED : st;   /* the callers end the process on that */
    }
    if (o->err.text[0] != 0)
        (void)fail(err, st, "%s", o->err.text);
    tx_rollback(o->s);
    return st;
}

/* ---- what ops use ---- */

enum status refuse_op(struct op *o, enum problem_type t, const char *detail, ...)
{
    va_list ap;
    va_start(ap, detail);
    vsnprintf(o->err.text, sizeof o->err.text, detail, ap);
    va_end(ap);
    o->problem = t;
    return REFUSED;
}

/* The first thing that a certificate's holder did says whose it is: after a restart too. */
static void name_hand(const struct op *o, json_t *content)
{
    char id[48];
    if (o->who.person == NULL || strlen(o->who.x5t) != 43)
        return;
    ledger_certificate_id(o->who.x5t, id);
    if (ledger_find(log_ledger(o->s->log), id) == NULL)
        json_object_set_new(content, "hand", json_pack("[s, s]", o->who.x5t, o->who.person->name));
}

enum status certificate_owner(struct op *o, const char *x5t, char **out)
{
    char id[48];
    json_t *found = NULL;
    *out = NULL;
    const char *now = str(o->s->owners, x5t);
    if (strlen(x5t) != 43)
        return OK;
    ledger_certificate_id(x5t, id);
    const struct ledger_entry *e = now[0] ? NULL : ledger_find(log_ledger(o->s->log), id);
    if (e != NULL && log_erased(o->s->log, e->born) > 0)
        e = NULL;                     /* it had expired */
    enum status st = e ? log_leaf(o->s->log, e->born, &found, &o->err) : OK;
    const json_t *content = json_object_get(found, "content"), *hand = json_object_get(content, "hand");
    const char *owner = now[0] ? now : hand ? json_string_value(json_array_get(hand, 1)) : str(content, "person");
    if (st == OK && owner != NULL && owner[0] != 0 && (*out = strdup(owner)) == NULL)
        st = fail(&o->err, NO_MEMORY, "owner");
    json_decref(found);
    return st;
}

enum status write_leaf(struct op *o, const char *type, json_t *content, uint64_t *seq_out)
{
    uint64_t seq = 0;
    name_hand(o, content);
    json_incref(content);             /* what it is worth telling is queued with it */
    enum status st = log_append(o->s->log, type, content, o->now_ms, &seq, &o->err);
    if (st == OK)
        st = notices_queue(o, type, content, seq);
    json_decref(content);
    if (st == OK && seq_out != NULL)
        *seq_out = seq;
    return st;
}

void queue_event(struct op *o, json_t *e)
{
    if (e != NULL)
        json_array_append_new(o->s->events, e);
}

void queue_item_event(struct op *o, const char *id, const char *state)
{
    queue_event(o, json_pack("{s:s, s:s, s:s}", "event", "item", "id", id, "state", state));
}

static const json_t *find_lock(const struct service *s, const struct lock_subject *on, const char *all)
{
    const struct { const char *kind, *value; } wanted[] = {
        { "person", on->person }, { "identity", on->identity }, { "cert", on->x5t }, { "tool", on->tool }, { "grant", on->grant_id }, { "everything", all }
    };
    size_t i;
    json_t *lock;
    json_array_foreach(s->locks, i, lock)
        for (size_t k = 0; k < sizeof wanted / sizeof *wanted; k++)
            if (wanted[k].value != NULL && strcmp(str(lock, "kind"), wanted[k].kind) == 0
                && strcmp(str(lock, "value"), wanted[k].value) == 0)
                return lock;
    return NULL;
}

const json_t *lock_on(const struct service *s, const struct lock_subject *on)
{
    return find_lock(s, on, EVERYTHING);
}

const json_t *lock_on_hand(const struct service *s, const struct lock_subject *on)
{
    return find_lock(s, on, NULL);
}

enum status refuse_if_locked(struct op *o, const char *tool, const char *grant_id)
{
    const json_t *lock = lock_on(o->s, &(struct lock_subject){ o->who.person->name, o->who.identity, o->who.x5t, tool, grant_id });
    if (lock == NULL)
        return OK;
    if (strcmp(str(lock, "kind"), "everything") == 0)
        return refuse_op(o, LOCKED, "Everything is locked: %s", str(lock, "reason"));
    return refuse_op(o, LOCKED, "The %s '%s' is locked: %s", str(lock, "kind"), str(lock, "value"), str(lock, "reason"));
}

const struct person *person_named(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->person_count; i++)
        if (strcmp(c->people[i].name, name) == 0)
            return &c->people[i];
    return NULL;
}

bool is_auditor(const struct op *o)
{
    const struct config *c = o->s->config;
    return person_in_any(o->who.person, c->auditors, c->auditor_count);
}

bool is_operator(const struct op *o)
{
    const struct config *c = o->s->config;
    return person_in_any(o->who.person, c->operators, c->operator_count);
}

void new_id(const char *prefix, char out[ID_LEN + 1])
{
    memcpy(out, prefix, 4);
    random_id(16, out + 4);
}

json_t *service_events(struct service *s)
{
    if (json_array_size(s->outbox) == 0)
        return NULL;
    json_t *events = s->outbox;
    s->outbox = json_array();
    return events;
}

enum status in_transaction(struct op *o, enum status (*run)(struct op *), bool *broken)
{
    enum status st = tx_begin(o->s, &o->err);
    if (st != OK) {
        tx_forget(o->s);
        return st;
    }
    st = run(o);
    if (st == OK)
        return tx_commit(o->s, broken, &o->err);
    tx_rollback(o->s);
    return st;
}
