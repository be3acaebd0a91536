#include "authz/approvals/notices.h"

#include "config/notice_events.h"

/* ---- in ---- */

static bool listed(char *const *list, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i], name) == 0)
            return true;
    return false;
}

static bool wants(const struct notice_target *t, const struct notice_event *e, const char *tool)
{
    return (t->event_count == 0 || listed(t->events, t->event_count, e->name)) && (t->tool_count == 0 || listed(t->tools, t->tool_count, tool));
}

/* The tool that a leaf is about: it names it, or its item's first leaf does. "": none. */
static void tool_of(struct op *o, const json_t *content, char out[64])
{
    struct err err;
    json_t *born = NULL;
    const struct ledger_entry *e = ledger_find(log_ledger(o->s->log), str(content, "item"));
    const char *tool = strcmp(str(content, "kind"), "tool") == 0 ? str(content, "value") : str(content, "tool");
    if (tool[0] == 0 && e != NULL && (e->kind == LEDGER_REQUEST || e->kind == LEDGER_HELD) && log_leaf_shown(o->s->log, e->born, &born, &err) == OK)
        tool = str(json_object_get(born, "content"), "tool");
    snprintf(out, 64, "%s", tool);
    json_decref(born);
}

/* One person must not drown what others are told: asking and withdrawing costs nothing. Kept in memory; a restart forgets it. */
static bool too_many_of(struct service *s, const char *person, int64_t now_ms)
{
    json_t *seen = json_object_get(s->notices_of, person);
    if (seen == NULL || now_ms - num(seen, "since") >= NOTICE_RATE_MS) {
        if (json_object_size(s->notices_of) >= OWNERS_MAX)
            json_object_clear(s->notices_of);
        json_object_set_new(s->notices_of, person, json_pack("{s:I, s:i}", "since", (json_int_t)now_ms, "count", 1));
        return false;
    }
    int64_t count = num(seen, "count") + 1;
    json_object_set_new(seen, "count", json_integer(count));
    if (count == NOTICES_PER_PERSON + 1)
        log_warn("notices.many", "person", person, "next", "what this person causes is told again in some minutes; it stands in the list of what waits all the same");
    return count > NOTICES_PER_PERSON;
}

static enum status waiting(struct op *o, const char *target, bool weighty, int64_t *out)
{
    json_t *row = NULL;
    enum status st = store_row(o->s->store, &row, &o->err, "SELECT count(*) AS n FROM notice WHERE target = $1 AND weighty = $2", "si", target, (int64_t)weighty);
    *out = num(row, "n");
    json_decref(row);
    return st;
}

static enum status queue_one(struct op *o, const struct notice_target *t, const struct notice_event *e, uint64_t seq)
{
    char id[ID_LEN + 1];
    int64_t n = 0;
    enum status st = waiting(o, t->name, e->weighty, &n);
    if (st == OK && n >= NOTICES_WAITING_MAX) {
        log_warn("notice.dropped", "receiver", t->name, "about", e->name, "why", "too many wait for this receiver");
        return OK;
    }
    new_id("ntc_", id);
    if (st == OK)
        st = store_run(o->s->store, &o->err,
                       "INSERT INTO notice (notice, target, event, seq, weighty, created_ms, due_ms, tries) VALUES ($1, $2, $3, $4, $5, $6, $7, 0)"
                       " ON CONFLICT DO NOTHING", "sssiiii", id, t->name, e->name, (int64_t)seq, (int64_t)e->weighty, o->now_ms, o->now_ms);
    return st;
}

enum status notices_queue(struct op *o, const char *type, const json_t *content, uint64_t seq)
{
    const struct config *c = o->s->config;
    const struct notice_event *e = c->notice_count > 0 ? notice_event_of(type, str(content, "state"), str(content, "item")) : NULL;
    char tool[64];
    enum status st = OK;
    if (e != NULL && strcmp(type, "request.created") == 0 && strcmp(request_basis(content), BASIS_APPROVED) != 0)
        return OK;                    /* it asks nobody for anything */
    if (e == NULL || (!e->weighty && o->who.person != NULL && too_many_of(o->s, o->who.person->name, o->now_ms)))
        return OK;
    tool_of(o, content, tool);
    for (size_t i = 0; i < c->notice_count && st == OK; i++)
        if (wants(&c->notices[i], e, tool))
            st = queue_one(o, &c->notices[i], e, seq);
    return st;
}

/* ---- out ---- */

static enum status forget(struct op *o, const char *id)
{
    return store_run(o->s->store, &o->err, "DELETE FROM notice WHERE notice = $1", "s", id);
}

/* What the courier is to send: made from the leaf, never from the row. NULL with OK: the row was not one of ours, and is gone. */
static enum status made_of(struct op *o, const json_t *row, json_t **out)
{
    json_t *leaf = NULL;
    const struct notice_event *e = notice_event_named(str(row, "event"));
    enum status st = log_leaf_shown(o->s->log, (uint64_t)num(row, "seq"), &leaf, &o->err);
    if (st != OK && st != NOT_FOUND && st != CORRUPT)
        return st;
    bool sound = st == OK && e != NULL && strcmp(e->leaf, str(leaf, "type")) == 0;
    json_t *facts = sound ? notice_facts(o, e, leaf) : NULL;
    json_decref(leaf);
    if (sound && facts == NULL)
        return fail(&o->err, NO_MEMORY, "notice");
    if (!sound) {
        log_error("notice.altered", "notice", str(row, "notice"), "why", "it does not agree with the log; it is not sent");
        return forget(o, str(row, "notice"));
    }
    json_object_set_new(facts, "id", json_string(str(row, "notice")));
    *out = json_pack("{s:s, s:s, s:s, s:I, s:o}", "id", str(row, "notice"), "target", str(row, "target"), "event", e->name, "tries", (json_int_t)num(row, "tries"),
                     "facts", facts);
    return *out ? OK : fail(&o->err, NO_MEMORY, "notice");
}

/* The oldest that is due for one receiver, unless one is on its way to it: order is kept, and a receiver that hangs holds up only itself. */
static enum status take_for(struct op *o, const struct notice_target *t, json_t *list, size_t *bytes)
{
    json_t *row = NULL, *notice = NULL;
    if (json_object_get(o->s->notices_out, t->name) != NULL)
        return OK;
    enum status st = store_row(o->s->store, &row, &o->err, "SELECT * FROM notice WHERE target = $1 AND due_ms <= $2 ORDER BY seq LIMIT 1", "si", t->name, o->now_ms);
    if (st == OK)
        st = made_of(o, row, &notice);
    if (st == OK && notice != NULL && page_add(list, bytes, notice))
        json_object_set_new(o->s->notices_out, t->name, json_string(str(row, "notice")));
    json_decref(row);
    return st == NOT_FOUND ? OK : st;
}

enum status op_notices_take(struct op *o)
{
    const struct config *c = o->s->config;
    json_t *list = json_array();
    size_t bytes = 0;
    enum status st = list ? OK : fail(&o->err, NO_MEMORY, "notices");
    for (size_t i = 0; i < c->notice_count && st == OK && json_array_size(list) < NOTICES_AT_ONCE; i++)
        st = take_for(o, &c->notices[i], list, &bytes);
    if (st == OK)
        json_object_set(o->answer, "notices", list);
    json_decref(list);
    return st;
}

static int64_t wait_after(int64_t tries)
{
    int64_t ms = NOTICE_FIRST_WAIT_MS;
    for (int64_t i = 0; i < tries && ms < NOTICE_LAST_WAIT_MS; i++)
        ms *= 2;
    return ms < NOTICE_LAST_WAIT_MS ? ms : NOTICE_LAST_WAIT_MS;
}

/* refused: the receiver answered, so only this one waits; else all that wait for it do, since the next would fail as well. */
static enum status try_later(struct op *o, const json_t *row, bool refused)
{
    int64_t tries = num(row, "tries"), due_ms = o->now_ms + wait_after(tries);
    if (tries == 0)                   /* once for each; the end of it is told too */
        log_warn("notice.failed", "notice", str(row, "notice"), "receiver", str(row, "target"), "about", str(row, "event"), "why", str(o->m, "why"), "next",
                 "it is tried again, for a day at most");
    enum status st = store_run(o->s->store, &o->err, "UPDATE notice SET tries = tries + 1, due_ms = $1 WHERE notice = $2", "is", due_ms, str(row, "notice"));
    if (st == OK && !refused)
        st = store_run(o->s->store, &o->err, "UPDATE notice SET due_ms = $1 WHERE target = $2 AND due_ms < $1", "is", due_ms, str(row, "target"));
    return st;
}

enum status op_notices_done(struct op *o)
{
    json_t *row = NULL;
    const char *id = str(o->m, "id"), *result = str(o->m, "result");
    bool sent = strcmp(result, "sent") == 0, refused = strcmp(result, "refused") == 0;
    if (!sent && !refused && strcmp(result, "failed") != 0)
        return refuse_op(o, BAD_REQUEST, "'result' is sent, refused or failed");
    enum status st = store_row(o->s->store, &row, &o->err, "SELECT * FROM notice WHERE notice = $1", "s", id);
    if (st == NOT_FOUND)              /* it was given up meanwhile */
        return OK;
    if (st == OK && strcmp(str(o->s->notices_out, str(row, "target")), id) != 0)
        st = refuse_op(o, ITEM_NOT_FOUND, "'%s' is not on its way", id);
    else if (st == OK)
        st = sent ? forget(o, id) : try_later(o, row, refused);
    if (st == OK)
        json_object_del(o->s->notices_out, str(row, "target"));
    if (st == OK && sent)
        log_info("notice.sent", "notice", id, "receiver", str(row, "target"), "about", str(row, "event"));
    json_decref(row);
    return st;
}

void notices_gone(struct service *s, const struct peer *peer)
{
    if (peer->role != ROLE_COURIER || peer->id != s->courier)
        return;
    s->courier = 0;
    json_object_clear(s->notices_out);
    teller_gone(s);
}

/* ---- upkeep ---- */

static enum status give_up(struct op *o, const json_t *row, const char *why)
{
    log_error("notice.given_up", "notice", str(row, "notice"), "receiver", str(row, "target"), "about", str(row, "event"), "why", why);
    if (strcmp(str(o->s->notices_out, str(row, "target")), str(row, "notice")) == 0)
        json_object_del(o->s->notices_out, str(row, "target"));
    return forget(o, str(row, "notice"));
}

enum status notices_upkeep(struct op *o)
{
    json_t *rows = NULL, *row;
    size_t i;
    enum status st = store_rows(o->s->store, &rows, &o->err, "SELECT * FROM notice WHERE created_ms <= $1 LIMIT 100", "i", o->now_ms - NOTICE_GIVE_UP_MS);
    json_array_foreach(rows, i, row)
        if (st == OK)
            st = give_up(o, row, "its receiver did not take it within a day");
    json_decref(rows);
    rows = NULL;
    if (st == OK)
        st = store_rows(o->s->store, &rows, &o->err, "SELECT DISTINCT target FROM notice", "");
    json_array_foreach(rows, i, row)
        if (st == OK && config_notice_target(o->s->config, str(row, "target")) == NULL) {
            log_warn("notices.dropped", "receiver", str(row, "target"), "why", "the config no longer names this receiver");
            json_object_del(o->s->notices_out, str(row, "target"));
            st = store_run(o->s->store, &o->err, "DELETE FROM notice WHERE target = $1", "s", str(row, "target"));
        }
    json_decref(rows);
    return st;
}
