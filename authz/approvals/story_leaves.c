/* story_leaves: what the leaves of one story say, each proved by the tree before it counts. A row that was edited can keep a story, or be found; it can erase nothing. */
#include "authz/approvals/history.h"

/* The types of leaves that stories consist of. One of another type keeps the story that it stands in. */
static const char *const told[] = {
    "request.created", "approval", "denial", "withdrawn", "item.expired", "item.cancelled", "item.escalated", "external.admitted", "auto.approved", "break-glass.used", "review.overdue",
    "review.done", "grant.issued", "grant.extended", "grant.started", "grant.carried", "grant.ended", "notice.acknowledged", "held.created", "signoff.used", "outcome", "budget.leased", "segment",
    "session.read", "session.erased", "session.moved", "lock", "unlock", NULL,
};

void story_init(struct story *t, const char *id, bool lock)
{
    *t = (struct story){ .lock = lock, .ids = json_array(), .hands = json_array() };
    snprintf(t->id, sizeof t->id, "%s", id);
}

void story_done(struct story *t)
{
    free(t->leaves);
    json_decref(t->ids);
    json_decref(t->hands);
    json_decref(t->holds);
}

static bool is_told(const char *type)
{
    size_t i = 0;
    while (told[i] != NULL && strcmp(told[i], type) != 0)
        i++;
    return told[i] != NULL;
}

static bool held_for(const struct service *s, const char *kind, const char *value)
{
    json_t *facts = json_pack("{s:s}", kind, value);
    bool yes = facts == NULL || hold_on(s, facts);
    json_decref(facts);
    return yes;
}

/* Does a hold name the session, the tool, or anybody who asked, answered, locked or is locked? */
static bool is_held(const struct service *s, const struct story *t, const json_t *content)
{
    const json_t *statement = json_object_get(content, "statement");
    const char *kind = str(content, "kind"), *value = str(content, "value");
    if (json_array_size(s->holds) == 0)
        return false;
    return held_for(s, "session", t->id) || held_for(s, "session", str(content, "session")) || held_for(s, "tool", str(content, "tool")) || held_for(s, "identity", str(content, "identity"))
           || held_for(s, "person", str(content, "person")) || held_for(s, "person", str(content, "by")) || held_for(s, "person", str(statement, "approver"))
           || held_for(s, "person", str(statement, "requester")) || held_for(s, strcmp(kind, "grant") == 0 ? "session" : kind, value)
           || held_for(s, "person", json_string_value(json_array_get(json_object_get(content, "owner"), 0)) ? json_string_value(json_array_get(json_object_get(content, "owner"), 0)) : "");
}

/* The entries that the leaf makes or changes: all must have come to their end. *held: the held request that it is about, and nothing else. */
static enum status take_ids(struct op *o, struct story *t, const char *type, const json_t *content, size_t *held)
{
    const char *names[LEDGER_NAMES_MAX];
    size_t n = ledger_names(type, content, names);
    *held = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        const struct ledger_entry *e = ledger_find(log_ledger(o->s->log), names[i]);
        size_t k = json_array_size(t->ids);
        if (e == NULL)
            return fail(&o->err, CORRUPT, "a leaf of '%s' names '%s', which the log does not know", t->id, names[i]);
        t->keeps = t->keeps || !ledger_over(e);
        while (k > 0 && strcmp(json_string_value(json_array_get(t->ids, k - 1)), names[i]) != 0)
            k--;                      /* the newest first: what belongs together mostly stands together */
        if (k == 0 && json_array_append_new(t->ids, json_string(names[i])) != 0)
            return fail(&o->err, NO_MEMORY, "history");
        if (n == 1 && e->kind == LEDGER_HELD)
            *held = k > 0 ? k - 1 : json_array_size(t->ids) - 1;
    }
    return OK;
}

/* Is it by this leaf that we know whose certificate it is? */
static enum status take_hand(struct op *o, struct story *t, uint64_t seq, const json_t *content)
{
    const char *x5t, *person;
    const struct ledger_entry *e = ledger_hand(log_ledger(o->s->log), content, &x5t, &person);
    int64_t not_after_s = strcmp(str(content, "x5t"), x5t ? x5t : "") == 0 ? num(content, "not_after") : 0;
    bool over = not_after_s > 0 && not_after_s + 86400 < now_s(o);   /* a day, for clocks that differ */
    if (e == NULL || e->born != seq || over)
        return OK;
    return json_array_append_new(t->hands, json_pack("[s, s]", x5t, person)) == 0 ? OK : fail(&o->err, NO_MEMORY, "history");
}

static enum status keep_leaf(struct op *o, struct story *t, uint64_t seq, size_t held)
{
    if (t->count == t->room) {
        size_t room = t->room ? t->room * 2 : 32;
        struct story_leaf *more = realloc(t->leaves, room * sizeof *more);
        if (more == NULL)
            return fail(&o->err, NO_MEMORY, "history");
        t->leaves = more;
        t->room = room;
    }
    t->leaves[t->count++] = (struct story_leaf){ seq, held };
    return OK;
}

/* A block of leaves is proved once for all of them that are wanted, whatever story they are of. */
static enum status proved(struct op *o, const struct story *t, uint64_t seq, const json_t **out)
{
    struct retention_state *r = &o->s->retention;
    uint64_t to = 0, from = (seq - 1) / LOG_MARK_EVERY * LOG_MARK_EVERY + 1;
    enum status st = OK;
    if (r->history.block == NULL || seq < r->history.block_from || seq - r->history.block_from >= json_array_size(r->history.block)) {
        json_decref(r->history.block);
        r->history.block = NULL;
        st = log_block(o->s->log, from, &r->history.block, &to, &o->err);
        r->history.block_from = from;
    }
    *out = st == OK ? json_array_get(r->history.block, (size_t)(seq - r->history.block_from)) : NULL;
    if (st == OK && !json_is_object(json_object_get(*out, "content")))
        st = fail(&o->err, CORRUPT, "leaf %llu of '%s' has no content", (unsigned long long)seq, t->id);
    return st;
}

enum status story_take(struct op *o, struct story *t, uint64_t seq)
{
    const json_t *leaf = NULL;
    enum status st = proved(o, t, seq, &leaf);
    if (st != OK)
        return st;
    const json_t *content = json_object_get(leaf, "content");
    const char *type = str(leaf, "type");
    bool by_retention = strcmp(type, "session.erased") == 0 || strcmp(type, "session.moved") == 0;
    int64_t at = num(leaf, "time_ms");
    if (strcmp(str(content, t->lock ? "lock_id" : "session"), t->id) != 0)
        return fail(&o->err, CORRUPT, "leaf %llu is filed under '%s', and is not about it", (unsigned long long)seq, t->id);
    t->keeps = t->keeps || !is_told(type) || is_held(o->s, t, content) || seq > teller_told(o->s);
    t->recording_gone = t->recording_gone || strcmp(type, "session.erased") == 0;
    t->first_ms = t->count == 0 || at < t->first_ms ? at : t->first_ms;
    t->last_ms = !by_retention && at > t->last_ms ? at : t->last_ms;
    size_t held = SIZE_MAX;
    st = take_ids(o, t, type, content, &held);
    if (st == OK)
        st = take_hand(o, t, seq, content);
    return st == OK ? keep_leaf(o, t, seq, held) : st;
}
