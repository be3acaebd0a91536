/* dispatch: the table of what may be asked by whom, and one message's way through it. */
#include "authz/approvals/notices.h"

#include "authz/touched.h"
#include "certs/trust.h"

#include <unistd.h>

enum { REASON_BYTES = 8192, ID_TEXT = 256, TARGET_BYTES = 8192, TYPED = true };
static const int64_t most = (int64_t)1 << 53;
#define WHO { "who", FIELD_WHO, 0, 0, false, false }
#define END { NULL, FIELD_TEXT, 0, 0, false, false }

static const struct field who_fields[] = { WHO, END };
static const struct field who_id_fields[] = { WHO, { "id", FIELD_TEXT, 0, ID_TEXT, false, TYPED }, END };
static const struct field hello_fields[] = { { "role", FIELD_WORD, 1, 16, false, false }, END };
static const struct field create_fields[] = {
    WHO,
    { "tool", FIELD_TEXT, 0, ID_TEXT, false, TYPED },
    { "reason", FIELD_TEXT, 0, REASON_BYTES, false, TYPED },
    { "duration_s", FIELD_NUMBER, -most, most, false, TYPED },
    { "actions", FIELD_WORDS, 0, ACTIONS_MAX, true, TYPED },
    { "extends", FIELD_TEXT, 0, ID_TEXT, true, TYPED },
    { "basis", FIELD_TEXT, 0, 32, true, TYPED },
    { "start_within_s", FIELD_NUMBER, 0, most, true, TYPED },
    END
};
static const struct field withdraw_fields[] = {
    WHO, { "id", FIELD_TEXT, 0, ID_TEXT, false, TYPED }, { "reason", FIELD_TEXT, 0, REASON_BYTES, false, TYPED }, END
};
static const struct field statement_fields[] = {
    WHO,
    { "id", FIELD_TEXT, 0, ID_TEXT, false, TYPED },
    { "decision", FIELD_TEXT, 0, 16, false, TYPED },
    { "key", FIELD_TEXT, 0, ID_TEXT, false, TYPED },
    { "duration_s", FIELD_NUMBER, -most, most, true, TYPED },
    { "actions", FIELD_WORDS, 0, ACTIONS_MAX, true, TYPED },
    { "reason", FIELD_TEXT, 0, REASON_BYTES, true, TYPED },
    { "on_behalf_of", FIELD_TEXT, 0, ID_TEXT, true, TYPED },
    END
};
static const struct field decide_fields[] = {
    WHO,
    { "statement_id", FIELD_TEXT, 0, ID_TEXT, false, TYPED },
    { "jws", FIELD_TEXT, 0, 1024, true, TYPED },
    { "client_data", FIELD_TEXT, 0, B64URL_LEN(WEBAUTHN_CLIENT_DATA_MAX), true, TYPED },
    { "authenticator_data", FIELD_TEXT, 0, B64URL_LEN(WEBAUTHN_AUTH_DATA_MAX), true, TYPED },
    { "signature", FIELD_TEXT, 0, B64URL_LEN(WEBAUTHN_SIGNATURE_MAX), true, TYPED },
    END
};
static const struct field propose_fields[] = {
    WHO,
    { "id", FIELD_TEXT, 0, ID_TEXT, false, TYPED },
    { "label", FIELD_TEXT, 0, 256, false, TYPED },
    { "client_data", FIELD_TEXT, 0, B64URL_LEN(WEBAUTHN_CLIENT_DATA_MAX), false, TYPED },
    { "attestation", FIELD_TEXT, 0, B64URL_LEN(WEBAUTHN_ATTESTATION_MAX), false, TYPED },
    END
};
static const struct field keys_fields[] = { WHO, { "person", FIELD_TEXT, 0, ID_TEXT, true, TYPED }, END };
static const struct field hold_fields[] = {
    WHO,
    { "tool", FIELD_WORD, 1, 32, false, false },
    { "action", FIELD_ASCII, 1, 128, false, false },
    { "grant_id", FIELD_WORD, ID_LEN, ID_LEN, false, false },
    { "method", FIELD_WORD, 1, 64, false, TYPED },             /* as the person sent them */
    { "authority", FIELD_WORD, 1, 320, false, TYPED },
    { "target", FIELD_WORD, 1, TARGET_BYTES, false, TYPED },
    { "digest", FIELD_BYTES32, 0, 0, false, false },
    { "content_type", FIELD_TEXT, 0, 1024, true, TYPED },
    { "body_len", FIELD_NUMBER, 0, most, false, false },
    { "body_sha256", FIELD_BYTES32, 0, 0, false, false },
    { "requirement", FIELD_WORD, 1, 16, false, false },
    { "spends", FIELD_SPENDS, 1, SPENDS_MAX, true, false },
    { "waits_for", FIELD_WORD, ID_LEN, ID_LEN, true, false },
    END
};
static const struct field release_fields[] = {
    WHO, { "tool", FIELD_WORD, 1, 32, false, false }, { "code", FIELD_TEXT, 0, ID_TEXT, false, TYPED }, END
};
static const struct field outcome_fields[] = {
    { "id", FIELD_WORD, 1, 64, false, false },
    { "outcome", FIELD_WORD, 1, 32, false, false },
    { "status", FIELD_NUMBER, 0, 999, true, false },
    END
};
static const struct field lease_fields[] = {
    WHO,
    { "tool", FIELD_WORD, 1, 32, false, false },
    { "grant_id", FIELD_WORD, ID_LEN, ID_LEN, false, false },
    { "wants", FIELD_SPENDS, 1, SPENDS_MAX, false, false },
    END
};
static const struct field assertion_fields[] = {
    WHO, { "tool", FIELD_WORD, 1, 32, false, false }, { "grant_id", FIELD_WORD, 1, 64, false, false }, END
};
static const struct field notice_fields[] = { WHO, { "grant_id", FIELD_TEXT, 0, ID_TEXT, false, TYPED }, END };
static const struct field segment_fields[] = {
    { "session", FIELD_WORD, 1, 64, false, false },
    { "number", FIELD_NUMBER, 1, 999999999, false, false },
    { "digest", FIELD_BYTES32, 0, 0, false, false },
    { "from_ms", FIELD_NUMBER, 0, most, false, false },
    { "to_ms", FIELD_NUMBER, 0, most, false, false },
    { "exchanges", FIELD_NUMBER, 0, UINT32_MAX, false, false },   /* so that the sums of a session never overflow */
    { "bytes", FIELD_NUMBER, 0, UINT32_MAX, false, false },
    { "ring", FIELD_NUMBER, 0, most, false, false },
    { "position", FIELD_NUMBER, 0, most, false, false },
    { "touched", FIELD_WORDS, 1, TOUCHED_MAX, true, false },
    END
};
static const struct field sessions_fields[] = {
    WHO,
    { "person", FIELD_TEXT, 0, ID_TEXT, true, TYPED },
    { "tool", FIELD_TEXT, 0, ID_TEXT, true, TYPED },
    { "identity", FIELD_TEXT, 0, ID_TEXT, true, TYPED },
    { "state", FIELD_TEXT, 0, 16, true, TYPED },
    { "action", FIELD_TEXT, 0, ID_TEXT, true, TYPED },
    { "grant", FIELD_TEXT, 0, ID_TEXT, true, TYPED },
    { "basis", FIELD_TEXT, 0, 32, true, TYPED },
    { "customer", FIELD_TEXT, 1, 1024, true, TYPED },
    { "since", FIELD_NUMBER, 0, most, true, TYPED },
    { "until", FIELD_NUMBER, 0, most, true, TYPED },
    { "from", FIELD_NUMBER, 0, most, true, TYPED },
    END
};
static const struct field session_get_fields[] = {
    WHO,
    { "id", FIELD_TEXT, 0, ID_TEXT, false, TYPED },
    { "purpose", FIELD_TEXT, 0, 16, false, TYPED },
    { "from", FIELD_NUMBER, 0, most, true, TYPED },
    END
};
static const struct field log_fields[] = {
    WHO,
    { "from", FIELD_NUMBER, 0, most, true, TYPED },
    { "limit", FIELD_NUMBER, 1, most, true, TYPED },
    { "session", FIELD_TEXT, 0, ID_TEXT, true, TYPED },
    END
};
static const struct field lock_fields[] = {
    WHO,
    { "kind", FIELD_TEXT, 0, 16, false, TYPED },
    { "value", FIELD_TEXT, 0, 320, false, TYPED },
    { "reason", FIELD_TEXT, 0, REASON_BYTES, false, TYPED },
    END
};
static const struct field remove_fields[] = {
    WHO, { "id", FIELD_TEXT, 0, ID_TEXT, false, TYPED }, { "reason", FIELD_TEXT, 0, REASON_BYTES, false, TYPED }, END
};
static const struct field unlock_fields[] = {
    WHO,
    { "id", FIELD_TEXT, 0, ID_TEXT, false, TYPED },
    { "key", FIELD_TEXT, 0, ID_TEXT, false, TYPED },
    { "reason", FIELD_TEXT, 0, REASON_BYTES, false, TYPED },
    END
};
static const struct field review_fields[] = {
    WHO,
    { "id", FIELD_TEXT, 0, ID_TEXT, false, TYPED },
    { "key", FIELD_TEXT, 0, ID_TEXT, false, TYPED },
    { "outcome", FIELD_TEXT, 0, 32, false, TYPED },
    { "words", FIELD_TEXT, 0, REASON_BYTES, false, TYPED },
    END
};
static const struct field delegate_fields[] = {
    WHO,
    { "key", FIELD_TEXT, 0, ID_TEXT, false, TYPED },
    { "person", FIELD_TEXT, 0, ID_TEXT, false, TYPED },
    { "tools", FIELD_WORDS, 1, ACTIONS_MAX, false, TYPED },
    { "kinds", FIELD_WORDS, 1, 2, false, TYPED },
    { "until", FIELD_NUMBER, 0, most, false, TYPED },
    END
};
static const struct field admit_fields[] = {
    WHO, { "tool", FIELD_WORD, 1, 32, false, false }, { "token", FIELD_TEXT, 0, TOKEN_MAX, false, TYPED }, END
};
static const struct field carry_fields[] = { WHO, { "certificate", FIELD_TEXT, 0, B64URL_LEN(CERTIFICATE_MAX), false, TYPED }, END };
static const struct field carried_fields[] = {
    WHO,
    { "certificate", FIELD_TEXT, 0, B64URL_LEN(CERTIFICATE_MAX), false, TYPED },
    { "statement_id", FIELD_TEXT, 0, ID_TEXT, false, TYPED },
    { "jws", FIELD_TEXT, 0, 1024, false, TYPED },
    END
};
static const struct field refused_fields[] = { WHO, { "count", FIELD_NUMBER, 1, 1000000, false, false }, END };

static const struct field take_fields[] = { END };
static const struct field done_fields[] = {
    { "id", FIELD_WORD, ID_LEN, ID_LEN, false, false }, { "result", FIELD_WORD, 1, 16, false, false }, { "why", FIELD_TEXT, 0, 256, true, false }, END
};
static const struct field door_fields[] = {
    { "name", FIELD_WORD, 1, 64, false, false }, { "count", FIELD_NUMBER, 1, most, false, false }, { "content", FIELD_TEXTS, 1, 8, false, false }, END
};
static const struct field audit_take_fields[] = { { "place", FIELD_WORD, 1, 16, false, false }, END };
static const struct field audit_done_fields[] = {
    { "place", FIELD_WORD, 1, 16, false, false },
    { "batch", FIELD_WORD, ID_LEN, ID_LEN, false, false },
    { "result", FIELD_WORD, 1, 16, false, false },
    { "why", FIELD_TEXT, 0, 256, true, false },
    END
};
static const struct field confirm_fields[] = { WHO, { "reason", FIELD_TEXT, 0, REASON_BYTES, false, TYPED }, END };

enum { FOR_NEW = 1u << ROLE_NONE, FOR_WORKER = 1u << ROLE_WORKER, FOR_RECORDER = 1u << ROLE_RECORDER, FOR_COURIER = 1u << ROLE_COURIER };

/* What may be asked, by which role, with how many descriptors. An op whose row a peer's role does not have ends the connection. */
static const struct rule {
    const char *op;
    unsigned roles;
    size_t fds;
    const struct field *fields;
    enum status (*run)(struct op *o);
    unsigned stopped_by;
} rules[] = {
    { "hello", FOR_NEW, 0, hello_fields, op_hello, BY_ANY_LOCK },
    { "request.create", FOR_WORKER, 0, create_fields, op_request_create, BY_ANY_LOCK },
    { "status", FOR_WORKER, 0, who_fields, op_status, BY_NO_LOCK },
    { "pending", FOR_WORKER, 0, who_fields, op_pending, BY_ANY_LOCK },
    { "item.get", FOR_WORKER, 0, who_id_fields, op_item_get, BY_NO_LOCK },
    { "item.proof", FOR_WORKER, 0, who_id_fields, op_item_proof, BY_ANY_LOCK },
    { "held.raw", FOR_WORKER, 0, who_id_fields, op_held_raw, BY_ANY_LOCK },
    { "statement", FOR_WORKER, 0, statement_fields, op_statement, BY_OWN_LOCK },
    { "decide", FOR_WORKER, 0, decide_fields, op_decide, BY_OWN_LOCK },
    { "withdraw", FOR_WORKER, 0, withdraw_fields, op_withdraw, BY_OWN_LOCK },
    { "hold", FOR_WORKER, 1, hold_fields, op_hold, BY_ANY_LOCK },
    { "release.link", FOR_WORKER, 0, who_id_fields, op_release_link, BY_ANY_LOCK },
    { "release.use", FOR_WORKER, 0, release_fields, op_release_use, BY_ANY_LOCK },
    { "outcome", FOR_WORKER, 0, outcome_fields, op_outcome, BY_ANY_LOCK },
    { "budget.lease", FOR_WORKER, 0, lease_fields, op_budget_lease, BY_ANY_LOCK },
    { "assertion", FOR_WORKER, 0, assertion_fields, op_assertion, BY_ANY_LOCK },
    { "notice.ack", FOR_WORKER, 0, notice_fields, op_notice_ack, BY_ANY_LOCK },
    { "segment", FOR_RECORDER, 0, segment_fields, op_segment, BY_ANY_LOCK },
    { "sessions", FOR_WORKER, 0, sessions_fields, op_sessions, BY_OWN_LOCK },
    { "session.get", FOR_WORKER, 0, session_get_fields, op_session_get, BY_OWN_LOCK },
    { "log.read", FOR_WORKER, 0, log_fields, op_log_read, BY_OWN_LOCK },
    { "lock", FOR_WORKER, 0, lock_fields, op_lock, BY_OWN_LOCK },
    { "unlock.statement", FOR_WORKER, 0, unlock_fields, op_unlock_statement, BY_OWN_LOCK },
    { "refused", FOR_WORKER, 0, refused_fields, op_refused, BY_NO_LOCK },
    { "locks", FOR_WORKER, 0, who_fields, op_locks, BY_OWN_LOCK },
    { "key.begin", FOR_WORKER, 0, who_fields, op_key_begin, BY_ANY_LOCK },
    { "key.propose", FOR_WORKER, 0, propose_fields, op_key_propose, BY_ANY_LOCK },
    { "key.remove", FOR_WORKER, 0, remove_fields, op_key_remove, BY_NO_LOCK },
    { "live", FOR_WORKER, 0, who_fields, op_live, BY_ANY_LOCK },
    { "keys", FOR_WORKER, 0, keys_fields, op_keys, BY_OWN_LOCK },
    { "notices.take", FOR_COURIER, 0, take_fields, op_notices_take, BY_NO_LOCK },
    { "notices.done", FOR_COURIER, 0, done_fields, op_notices_done, BY_NO_LOCK },
    { "door", FOR_WORKER, 0, door_fields, op_door, BY_NO_LOCK },
    { "audit.take", FOR_COURIER, 0, audit_take_fields, op_audit_take, BY_NO_LOCK },
    { "audit.done", FOR_COURIER, 0, audit_done_fields, op_audit_done, BY_NO_LOCK },
    { "hold.place", FOR_WORKER, 0, lock_fields, op_hold_place, BY_OWN_LOCK },
    { "hold.release", FOR_WORKER, 0, withdraw_fields, op_hold_release, BY_OWN_LOCK },
    { "holds", FOR_WORKER, 0, who_fields, op_holds, BY_OWN_LOCK },
    { "retention.confirm", FOR_WORKER, 0, confirm_fields, op_retention_confirm, BY_OWN_LOCK },
    { "delegations", FOR_WORKER, 0, who_fields, op_delegations, BY_OWN_LOCK },
    { "delegate.statement", FOR_WORKER, 0, delegate_fields, op_delegate_statement, BY_OWN_LOCK },
    { "delegate.withdraw", FOR_WORKER, 0, withdraw_fields, op_delegate_withdraw, BY_OWN_LOCK },
    { "review.statement", FOR_WORKER, 0, review_fields, op_review_statement, BY_OWN_LOCK },
    { "carry.begin", FOR_WORKER, 0, carry_fields, op_carry_begin, BY_ANY_LOCK },
    { "carry.finish", FOR_WORKER, 0, carried_fields, op_carry_finish, BY_ANY_LOCK },
    { "grant.admit", FOR_WORKER, 0, admit_fields, op_grant_admit, BY_ANY_LOCK },
};

static const struct rule *rule_of(const json_t *m)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (strcmp(rules[i].op, str(m, "op")) == 0)
            return &rules[i];
    return NULL;
}

bool service_urgent(const json_t *m)
{
    return strcmp(str(m, "op"), "lock") == 0;
}

/* Whose certificate this is: what a lock on one has to know, since nobody lifts their own. */
static void note_owner(struct service *s, const struct caller *who)
{
    if (strcmp(str(s->owners, who->x5t), who->person->name) == 0)
        return;
    if (json_object_size(s->owners) >= OWNERS_MAX)
        json_object_clear(s->owners);
    json_object_set_new(s->owners, who->x5t, json_string(who->person->name));
}

/* The certificate's identity becomes a person; who is locked or unknown gets no further. */
static enum status resolve_who(struct op *o)
{
    const json_t *who = json_object_get(o->m, "who");
    if (who == NULL)
        return OK;
    o->who.identity = str(who, "identity");
    o->who.x5t = str(who, "x5t");
    o->who.not_after_s = num(who, "not_after");
    o->who.person = config_person(o->s->config, slice_str(o->who.identity));
    if (o->who.person == NULL)
        return refuse_op(o, UNKNOWN_PERSON, "The config lists no person with the identity %s", o->who.identity);
    if (o->who.not_after_s <= now_s(o))
        return refuse_op(o, CERTIFICATE_EXPIRED, "The certificate of %s is past its end", o->who.identity);
    note_owner(o->s, &o->who);
    const json_t *own = o->stopped_by == BY_OWN_LOCK ? lock_on_hand(o->s, &(struct lock_subject){ o->who.person->name, o->who.identity, o->who.x5t, NULL, NULL }) : NULL;
    if (own != NULL)
        return refuse_op(o, LOCKED, "The %s '%s' is locked: %s", str(own, "kind"), str(own, "value"), str(own, "reason"));
    return o->stopped_by == BY_ANY_LOCK ? refuse_if_locked(o, NULL, NULL) : OK;
}

/* What makes a new fact that somebody may act on. Ending, locking, looking and telling go on while audit events cannot be told. */
static bool decides(const char *op)
{
    static const char *const ops[] = { "request.create", "decide", "hold", "release.use", "key.propose" };
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (strcmp(ops[i], op) == 0)
            return true;
    return false;
}

static enum status run_op(struct op *o)
{
    enum status st = resolve_who(o);
    if (st == OK && teller_stops(o->s) && decides(str(o->m, "op")))
        return refuse_op(o, AUDIT_UNAVAILABLE, "Audit events cannot be written, and `audit.required` says that nothing is decided then");
    return st == OK ? o->run(o) : st;
}

/* A failure that is no refusal: say it in the log in full, and to the asker in one of two words. */
static void turn_into_problem(struct op *o, const char *op, enum status st)
{
    if (st == REFUSED && o->problem != PROBLEM_NONE) {
        teller_refused(o->s, json_pack("{s:s, s:s, s:s, s:s, s:s*}", "op", op, "problem", problem_of(o->problem)->type, "detail", o->err.text, "identity",
                                       o->who.identity ? o->who.identity : "", "person", o->who.person ? o->who.person->name : NULL));
        log_info("op.refused", "op", op, "problem", problem_of(o->problem)->type, "detail", o->err.text, "identity", o->who.identity);
        return;
    }
    log_error(st == CORRUPT ? "records.altered" : "op.failed", "op", op, "status", status_name(st), "error", o->err.text);
    o->problem = st == CORRUPT ? RECORDS_ALTERED : STORE_UNAVAILABLE;
    (void)fail(&o->err, st, "%s", st == CORRUPT ? "A record was changed outside the gateway" : "The store did not take the decision");
}

static json_t *refusal(const struct op *o, json_int_t n)
{
    json_t *p = problem_json(o->problem, o->err.text);
    if (p == NULL)                    /* a detail that is not UTF-8 after being cut */
        p = problem_json(o->problem, "");
    return json_pack("{s:I, s:b, s:o}", "n", n, "ok", 0, "problem", p);
}

static json_t *acceptance(struct op *o, json_int_t n)
{
    json_t *m = json_incref(o->answer);
    json_object_set_new(m, "n", json_integer(n));
    json_object_set_new(m, "ok", json_true());
    if (json_dumpb(m, NULL, 0, JSON_COMPACT) <= MSG_MAX)
        return m;
    json_decref(m);
    log_error("answer.too_large", "op", str(o->m, "op"));
    o->problem = STORE_UNAVAILABLE;
    (void)fail(&o->err, FULL, "The answer is larger than a message may be");
    return refusal(o, n);
}

static void finish(struct op *o, enum status st, json_int_t n, struct answer *out)
{
    *out = (struct answer){ .fd = -1 };
    if (st == OK) {
        if (o->used_item[0] != 0)
            json_object_set_new(o->s->running, o->used_item, json_integer((json_int_t)o->peer->id));
        out->message = acceptance(o, n);
        out->after = json_incref(o->after);
        out->fd = o->answer_fd;
        o->answer_fd = -1;
    } else {
        turn_into_problem(o, str(o->m, "op"), st);
        out->message = refusal(o, n);
    }
    if (o->answer_fd >= 0)
        close(o->answer_fd);
    json_decref(o->answer);
    json_decref(o->after);
}

enum answered service_answer(struct service *s, struct peer *peer, const json_t *m, const int *fds, size_t fd_count, struct answer *out,
                             struct err *err)
{
    const struct rule *r = rule_of(m);
    const json_t *n = json_object_get(m, "n");
    struct op o = { .s = s, .peer = peer, .m = m, .fds = fds, .now_ms = clock_wall_ms(), .answer_fd = -1 };
    bool broken = false;
    if (!json_is_integer(n) || json_integer_value(n) < 0 || json_integer_value(n) > most || r == NULL)
        return (void)fail(err, BAD_INPUT, "a message without a number, or with an unknown op"), PEER_BROKEN;
    if (!(r->roles & 1u << peer->role) || fd_count != r->fds)
        return (void)fail(err, BAD_INPUT, "'%s' is not for this peer now, or came with %zu descriptors", r->op, fd_count), PEER_BROKEN;
    enum validity v = validate(m, r->fields, &o.err);
    if (v == MALFORMED)
        return (void)fail(err, BAD_INPUT, "'%s': %s", r->op, o.err.text), PEER_BROKEN;
    o.answer = json_object();
    o.run = r->run;
    o.stopped_by = r->stopped_by;
    enum status st = REFUSED;
    if (v == MISTYPED) {
        o.problem = BAD_REQUEST;
    } else {
        st = in_transaction(&o, run_op, &broken);
    }
    if (broken) {
        *err = o.err;
        log_error("store.broken", "op", r->op, "error", o.err.text);
    } else if (st == REFUSED && o.problem == BUDGET_EXHAUSTED) {
        watch_exhausted(s, &o.who, o.now_ms);
    }
    finish(&o, st, json_integer_value(n), out);
    if (!broken && watch_lock(s, err) == OK && in_force_switch(s, err) == OK)
        return ANSWERED;
    answer_done(out);                 /* nothing may be said that is perhaps not so */
    return SERVICE_BROKEN;
}

void answer_done(struct answer *a)
{
    json_decref(a->message);
    json_decref(a->after);
    if (a->fd >= 0)
        close(a->fd);
    *a = (struct answer){ .fd = -1 };
}
