#include "authz/approvals/ledger.h"

#include "authz/approvals/glance.h"
#include "authz/erased.h"
#include "proxy/base/codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANY "pending approved"

/* What each leaf type does: which member names the entry, in which states it may come (NULL: it makes the entry), and the state after
 * (NULL: the member `state` says, "=" unchanged). Types that change no entry are not here. */
static const struct change {
    const char *type, *member;
    enum ledger_kind kind;
    const char *from, *to;
} changes[] = {
    { "request.created", "item", LEDGER_REQUEST, NULL, "pending" },
    { "held.created", "item", LEDGER_HELD, NULL, "pending" },
    { "approval", "item", LEDGER_KINDS, "pending", NULL },
    { "denial", "item", LEDGER_KINDS, "pending", NULL },
    { "item.expired", "item", LEDGER_KINDS, ANY, NULL },
    { "item.cancelled", "item", LEDGER_KINDS, ANY, NULL },
    { "grant.issued", "item", LEDGER_REQUEST, "approved", "granted" },
    { "grant.issued", "grant_id", LEDGER_GRANT, NULL, "live" },
    { "grant.extended", "item", LEDGER_REQUEST, "approved", "granted" },
    { "grant.extended", "grant_id", LEDGER_GRANT, "live", "=" },
    { "grant.started", "grant_id", LEDGER_GRANT, "live", "=" },
    { "grant.carried", "grant_id", LEDGER_GRANT, "live", "=" },
    { "grant.ended", "grant_id", LEDGER_GRANT, "live", "ended" },
    { "notice.acknowledged", "grant_id", LEDGER_GRANT, "live", "=" },
    { "external.admitted", "item", LEDGER_REQUEST, "pending", "approved" },
    { "external.admitted", "token_id", LEDGER_EXTERNAL, NULL, "live" },   /* once: the entry stays for ever */
    { "signoff.used", "item", LEDGER_HELD, "approved", "used" },
    { "outcome", "item", LEDGER_HELD, "used", "=" },
    { "lock", "lock_id", LEDGER_LOCK, NULL, "live" },
    { "unlock", "lock_id", LEDGER_LOCK, "live", "ended" },
    { "key.proposed", "item", LEDGER_NEW_KEY, NULL, "pending" },
    { "key.withdrawn", "item", LEDGER_NEW_KEY, ANY, "ended" },
    { "key.registered", "key", LEDGER_KEY, NULL, "live" },
    { "key.removed", "key", LEDGER_KEY, "live", "ended" },
    { "break-glass.used", "item", LEDGER_REQUEST, "pending", "approved" },
    { "break-glass.used", "review", LEDGER_REVIEW, NULL, "pending" },
    { "auto.approved", "item", LEDGER_REQUEST, "pending", "approved" },
    { "review.done", "review", LEDGER_REVIEW, "pending", NULL },
    { "review.overdue", "review", LEDGER_REVIEW, "pending", "=" },
    { "delegate.named", "delegation", LEDGER_DELEGATION, NULL, "live" },
    { "delegate.ended", "delegation", LEDGER_DELEGATION, "live", NULL },
    { "auditor-key.added", "auditor", LEDGER_AUDITOR, NULL, "live" },
    { "auditor-key.retired", "auditor", LEDGER_AUDITOR, "live", "ended" },
    { "hold.placed", "hold", LEDGER_HOLD, NULL, "live" },
    { "hold.released", "hold", LEDGER_HOLD, "live", "ended" },
    { "policy.proposed", "item", LEDGER_POLICY, NULL, "pending" },
    { "policy.accepted", "what", LEDGER_IN_FORCE, NULL, "live" },
    { "policy.released", "what", LEDGER_IN_FORCE, "live", "ended" },
    { "issuer.keys", "issuer_id", LEDGER_ISSUER, NULL, "live" },   /* again and again: the newest counts */
};

static const char *const state_words[] = { "pending", "approved", "granted", "used",  "denied",
                                           "expired", "cancelled", "live",   "ended", NULL };
static const char *const outcome_words[] = { "not-sent", "answered", "outcome-unknown", NULL };

static const char *word_of(const char *const *words, const char *text)
{
    for (; text != NULL && *words != NULL; words++)
        if (strcmp(*words, text) == 0)
            return *words;
    return NULL;
}

const struct ledger_entry *ledger_find(const struct ledger *l, const char *id)
{
    struct ledger_entry *e = NULL;
    HASH_FIND_STR(l->entries, id, e);
    return e;
}

bool ledger_is(const struct ledger *l, const char *id, const char *state)
{
    const struct ledger_entry *e = ledger_find(l, id);
    return e != NULL && strcmp(e->state, state) == 0;
}

static const char *const basis_words[LEDGER_BASES] = { "approved", "break-glass", "auto", "external" };

/* The number of the leaf's basis; LEDGER_BASES: none we know. Older leaves have no such member. */
static uint32_t basis_of(const json_t *content)
{
    const char *basis = json_string_value(json_object_get(content, "basis"));
    uint32_t i = 0;
    while (basis != NULL && i < LEDGER_BASES && strcmp(basis_words[i], basis) != 0)
        i++;
    return i;
}

static void list_lock(struct ledger *l, struct ledger_entry *e)
{
    if (e->kind != LEDGER_LOCK)
        return;
    if (l->last_lock != NULL)
        l->last_lock->next_lock = e;
    else
        l->locks = e;
    l->last_lock = e;
}

static enum status make_entry(struct ledger *l, const struct change *c, const char *id, uint64_t seq, const json_t *content, struct err *err)
{
    uint32_t basis = c->kind == LEDGER_REQUEST ? basis_of(content) : 0;
    if (basis == LEDGER_BASES)
        return fail(err, CORRUPT, "leaf %llu '%s' names a basis that is none", (unsigned long long)seq, c->type);
    struct ledger_entry *e = calloc(1, sizeof *e);
    if (e == NULL)
        return fail(err, NO_MEMORY, "ledger");
    e->count = basis;
    memcpy(e->id, id, strlen(id) + 1);
    e->kind = c->kind;
    e->state = c->to;
    e->born = e->last = seq;
    HASH_ADD_STR(l->entries, id, e);
    if (e->hh.tbl == NULL) {          /* uthash's way to say: no memory */
        free(e);
        return fail(err, NO_MEMORY, "ledger");
    }
    l->counts[c->kind]++;
    list_lock(l, e);
    return OK;
}

static bool state_in(const char *list, const char *state)
{
    size_t n = strlen(state);
    for (const char *at = list; (at = strstr(at, state)) != NULL; at += n)
        if ((at == list || at[-1] == ' ') && (at[n] == 0 || at[n] == ' '))
            return true;
    return false;
}

/* A request is settled by the kind of leaf that its basis names, and its grant says the same. */
static bool basis_fits(const struct change *c, const struct ledger_entry *e, const json_t *content)
{
    static const struct { const char *type; uint32_t basis; } kinds[] = {
        { "approval", LEDGER_BY_APPROVAL }, { "denial", LEDGER_BY_APPROVAL }, { "break-glass.used", LEDGER_BY_BREAK_GLASS }, { "auto.approved", LEDGER_BY_AUTO },
        { "external.admitted", LEDGER_BY_EXTERNAL },
    };
    if (e->kind != LEDGER_REQUEST)
        return true;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(c->type, kinds[i].type) == 0)
            return e->count == kinds[i].basis;
    return strncmp(c->type, "grant.", 6) != 0 || e->count == basis_of(content);
}

static enum status change_entry(const struct change *c, struct ledger_entry *e, uint64_t seq, const json_t *content, struct err *err)
{
    const char *outcome = word_of(outcome_words, json_string_value(json_object_get(content, "outcome")));
    const char *to = c->to ? c->to : word_of(state_words, json_string_value(json_object_get(content, "state")));
    if ((c->kind != LEDGER_KINDS && c->kind != e->kind) || !state_in(c->from, e->state) || to == NULL || !basis_fits(c, e, content))
        return fail(err, CORRUPT, "leaf %llu '%s' cannot follow: '%s' is %s since leaf %llu", (unsigned long long)seq, c->type, e->id,
                    e->state, (unsigned long long)e->last);
    if (strcmp(c->type, "outcome") == 0) {
        /* "Unknown" may be corrected by a worker that lives and knows; what is known stays. */
        if (outcome == NULL || (e->outcome != NULL && strcmp(e->outcome, "outcome-unknown") != 0))
            return fail(err, CORRUPT, "leaf %llu: a second outcome of '%s'", (unsigned long long)seq, e->id);
        e->outcome = outcome;
    }
    if (strcmp(c->type, "notice.acknowledged") == 0 || strcmp(c->type, "review.overdue") == 0)
        e->noticed = true;
    if (strcmp(c->type, "approval") == 0 || strcmp(c->type, "denial") == 0)
        e->decisions++;
    if (c->kind == LEDGER_GRANT && (strcmp(c->type, "grant.extended") == 0 || strcmp(c->type, "grant.started") == 0 || strcmp(c->type, "grant.carried") == 0))
        e->born = seq;                /* its row is compared with this one from now on */
    if (to[0] != '=')
        e->state = to;
    e->last = seq;
    return OK;
}

static enum status apply_one(struct ledger *l, const struct change *c, uint64_t seq, const json_t *content, struct err *err)
{
    const char *id = json_string_value(json_object_get(content, c->member));
    struct ledger_entry *e = NULL;
    if (id == NULL || id[0] == 0 || strlen(id) >= sizeof e->id)
        return fail(err, CORRUPT, "leaf %llu '%s' names no %s", (unsigned long long)seq, c->type, c->member);
    HASH_FIND_STR(l->entries, id, e);
    if (c->from != NULL)
        return e != NULL ? change_entry(c, e, seq, content, err)
                         : fail(err, CORRUPT, "leaf %llu '%s' is about '%s', which the log does not know", (unsigned long long)seq,
                                c->type, id);
    if (e == NULL)
        return make_entry(l, c, id, seq, content, err);
    bool again = c->kind == LEDGER_KEY || c->kind == LEDGER_AUDITOR ? strcmp(e->state, "ended") == 0   /* a key may come back after it was removed */
                                                                    : c->kind == LEDGER_IN_FORCE || c->kind == LEDGER_ISSUER;
    if (!again || e->kind != c->kind)
        return fail(err, CORRUPT, "leaf %llu '%s': '%s' exists since leaf %llu", (unsigned long long)seq, c->type, id,
                    (unsigned long long)e->born);
    e->state = c->to;
    e->born = e->last = seq;
    return OK;
}

static void unlist_lock(struct ledger *l, struct ledger_entry *e)
{
    struct ledger_entry *before = NULL;
    for (struct ledger_entry *at = l->locks; at != NULL && at != e; at = at->next_lock)
        before = at;
    if (before != NULL)
        before->next_lock = e->next_lock;
    else
        l->locks = e->next_lock;
    if (l->last_lock == e)
        l->last_lock = before;
    e->next_lock = NULL;
}

bool ledger_over(const struct ledger_entry *e)
{
    bool pending = strcmp(e->state, "pending") == 0 || strcmp(e->state, "approved") == 0;
    switch ((int)e->kind) {
    case LEDGER_REQUEST:
        return !pending;
    case LEDGER_HELD:                 /* one that runs has no outcome yet */
        return !pending && (strcmp(e->state, "used") != 0 || e->outcome != NULL);
    case LEDGER_REVIEW:
        return strcmp(e->state, "pending") != 0;
    case LEDGER_GRANT:
    case LEDGER_LOCK:
        return strcmp(e->state, "ended") == 0;
    case LEDGER_EXTERNAL:             /* its id stays, so that the token counts once */
        return true;
    default:
        return false;
    }
}

/* What the log says of it from now on is that it was. When all is read anew, its leaves were passed over before. */
static enum status erase_entry(struct ledger *l, const char *id, uint64_t seq, struct err *err)
{
    static const struct change tomb = { ERASING_LEAF, "item", LEDGER_ERASED, NULL, "ended" };
    struct ledger_entry *e = NULL;
    if (id == NULL || id[0] == 0 || strlen(id) >= sizeof e->id)
        return fail(err, CORRUPT, "leaf %llu names what it erases in no way that we know", (unsigned long long)seq);
    HASH_FIND_STR(l->entries, id, e);
    if (e == NULL)
        return make_entry(l, &tomb, id, seq, NULL, err);
    if (!ledger_over(e))
        return fail(err, CORRUPT, "leaf %llu cannot erase '%s', which is %s", (unsigned long long)seq, id, e->state);
    if (e->kind == LEDGER_LOCK)
        unlist_lock(l, e);
    l->counts[e->kind]--;
    l->counts[LEDGER_ERASED]++;
    e->kind = LEDGER_ERASED;
    e->state = tomb.to;
    e->outcome = NULL;
    e->noticed = false;
    e->decisions = 0;
    e->count = 0;
    e->born = e->last = seq;
    return OK;
}

static enum status erase_entries(struct ledger *l, uint64_t seq, const json_t *content, struct err *err)
{
    enum status st = OK;
    const json_t *id;
    size_t i;
    json_array_foreach(json_object_get(content, "items"), i, id)
        if (st == OK)
            st = erase_entry(l, json_string_value(id), seq, err);
    return st;
}

size_t ledger_names(const char *type, const json_t *content, const char *out[LEDGER_NAMES_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < sizeof changes / sizeof *changes && n < LEDGER_NAMES_MAX; i++) {
        const char *id = strcmp(changes[i].type, type) == 0 ? json_string_value(json_object_get(content, changes[i].member)) : NULL;
        if (id != NULL)
            out[n++] = id;
    }
    return n;
}

/* Only a live grant's budget can be leased. */
static enum status take_lease(struct ledger *l, uint64_t seq, const json_t *content, struct err *err)
{
    const char *id = json_string_value(json_object_get(content, "grant_id"));
    if (id == NULL || !ledger_is(l, id, "live"))
        return fail(err, CORRUPT, "leaf %llu leases from a grant that is not live", (unsigned long long)seq);
    if (l->book == NULL && (l->book = book_new()) == NULL)
        return fail(err, NO_MEMORY, "budgets");
    return book_apply(l->book, content, err);
}

const struct ledger_entry *ledger_hand(const struct ledger *l, const json_t *content, const char **x5t, const char **person)
{
    const json_t *hand = json_object_get(content, "hand");
    char id[48];
    *x5t = json_string_value(hand ? json_array_get(hand, 0) : json_object_get(content, "x5t"));
    *person = json_string_value(hand ? json_array_get(hand, 1) : json_object_get(content, "person"));
    if (*x5t == NULL || *person == NULL || strlen(*x5t) != 43)
        return NULL;
    ledger_certificate_id(*x5t, id);
    return ledger_find(l, id);
}

/* Whose certificate it is, by the first leaf that says so: `hand` in a leaf of any type ([x5t, person], whoever it was about), or the leaf about what it asked for.
 * When that one is erased, certificate.known says it again. */
static enum status take_certificate(struct ledger *l, const char *type, uint64_t seq, const json_t *content, struct err *err)
{
    static const struct change seen = { "certificate", "x5t", LEDGER_CERTIFICATE, NULL, "live" };
    const char *x5t, *person;
    const struct ledger_entry *found = ledger_hand(l, content, &x5t, &person);
    struct ledger_entry *e = NULL;
    char id[48];
    if (x5t == NULL || person == NULL || strlen(x5t) != 43 || (found != NULL && strcmp(type, "certificate.known") != 0))
        return OK;
    ledger_certificate_id(x5t, id);
    HASH_FIND_STR(l->entries, id, e);
    if (e == NULL)
        return make_entry(l, &seen, id, seq, content, err);
    e->born = e->last = seq;
    return OK;
}

void ledger_certificate_id(const char *x5t, char out[48])
{
    snprintf(out, 48, "crt_%.43s", x5t);   /* apart from keys, whose names are hashes too */
}

static uint32_t start_of(const unsigned char hash[32])
{
    return (uint32_t)hash[0] << 24 | (uint32_t)hash[1] << 16 | (uint32_t)hash[2] << 8 | hash[3];
}

/* A WebAuthn key's counter: at first from its registration, then from each answer it signed. */
static void take_count(struct ledger *l, const char *type, const json_t *content)
{
    bool first = strcmp(type, "key.proposed") == 0;
    const char *id = json_string_value(json_object_get(content, first ? "item" : "key_item"));
    const json_t *count = json_object_get(content, "sign_count");
    struct ledger_entry *e = NULL;
    if (id == NULL || !json_is_integer(count))
        return;
    HASH_FIND_STR(l->entries, id, e);
    if (e != NULL && e->kind == LEDGER_NEW_KEY)
        e->count = (uint32_t)json_integer_value(count);
}

/* An extended grant has two tokens that we signed: the log says which of them holds. Nobody else can sign one, so that four bytes tell them apart. */
static void take_token(struct ledger *l, const json_t *content)
{
    unsigned char hash[32];
    size_t len = 0;
    const char *id = json_string_value(json_object_get(content, "grant_id")), *text = json_string_value(json_object_get(content, "token_sha256"));
    struct ledger_entry *e = NULL;
    if (id == NULL || text == NULL || b64url_decode(slice_str(text), hash, sizeof hash, &len) != OK || len != sizeof hash)
        return;
    HASH_FIND_STR(l->entries, id, e);
    if (e != NULL && e->kind == LEDGER_GRANT)
        e->count = start_of(hash);
}

bool ledger_token_is(const struct ledger *l, const char *grant_id, const char *token)
{
    unsigned char hash[32];
    const struct ledger_entry *e = ledger_find(l, grant_id);
    sha256_one(slice_str(token), hash);
    return e != NULL && e->kind == LEDGER_GRANT && e->count == start_of(hash);
}

enum status ledger_apply(struct ledger *l, uint64_t seq, const char *type, const json_t *content, struct err *err)
{
    enum status st = OK;
    for (size_t i = 0; st == OK && i < sizeof changes / sizeof *changes; i++)
        if (strcmp(changes[i].type, type) == 0)
            st = apply_one(l, &changes[i], seq, content, err);
    if (st == OK && strcmp(type, ERASING_LEAF) == 0)
        st = erase_entries(l, seq, content, err);
    if (st == OK && strcmp(type, "budget.leased") == 0)
        st = take_lease(l, seq, content, err);
    if (st == OK && strcmp(type, "grant.ended") == 0 && l->book != NULL)
        book_close(l->book, json_string_value(json_object_get(content, "grant_id")));
    if (st == OK && (strcmp(type, "grant.issued") == 0 || strcmp(type, "grant.extended") == 0 || strcmp(type, "grant.started") == 0 || strcmp(type, "grant.carried") == 0))
        take_token(l, content);
    if (st == OK)
        take_count(l, type, content);
    return st == OK ? take_certificate(l, type, seq, content, err) : st;
}

/* Kinds of leaves that a log has very many of, and what is read of those here. */
static const char *const frequent[] = { "approval", "denial", "segment", "request.created", "held.created", "grant.issued", "grant.ended", "item.expired", "item.cancelled", "signoff.used", "outcome", NULL };
static const char *const members_read[] = { "basis", "grant_id", "hand", "item", "key_item", "outcome", "person", "session", "sign_count", "state", "token_sha256", "x5t", NULL };

static bool is_read(struct slice name)
{
    for (const char *const *n = members_read; *n != NULL; n++)
        if (slice_eq(name, slice_str(*n)))
            return true;
    return false;
}

static json_t *glanced(const struct glance_member *m)
{
    const char *text = (const char *)m->value.ptr;
    return m->kind == GLANCE_TEXT     ? json_stringn(text, m->value.len)
           : m->kind == GLANCE_NUMBER ? json_integer(m->number)
                                      : json_loadb(text, m->value.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
}

json_t *ledger_content(const char *type, struct slice text)
{
    struct glance g;
    json_t *some = word_of(frequent, type) != NULL && glance_read(text, &g) ? json_object() : NULL;
    bool good = some != NULL;
    for (size_t i = 0; good && i < g.count; i++)
        if (is_read(g.member[i].name))
            good = json_object_setn_new(some, (const char *)g.member[i].name.ptr, g.member[i].name.len, glanced(&g.member[i])) == 0;
    if (good)
        return some;
    json_decref(some);
    json_t *all = json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(all))
        return all;
    json_decref(all);
    return NULL;
}

static int number_of(const char *const *words, const char *text)
{
    for (int i = 0; words[i] != NULL; i++)
        if (text != NULL && strcmp(words[i], text) == 0)
            return i;
    return -1;
}

int ledger_state_number(const char *state)
{
    return number_of(state_words, state);
}

int ledger_outcome_number(const char *outcome)
{
    return number_of(outcome_words, outcome) + 1;
}

const char *ledger_state_of(int number)
{
    return number >= 0 && number < (int)(sizeof state_words / sizeof *state_words) ? state_words[number] : NULL;
}

const char *ledger_outcome_of(int number)
{
    return number >= 1 && number < (int)(sizeof outcome_words / sizeof *outcome_words) ? outcome_words[number - 1] : NULL;
}

enum status ledger_restore(struct ledger *l, const struct ledger_entry *from, struct err *err)
{
    struct ledger_entry *e = from->state != NULL && from->kind < LEDGER_KINDS ? calloc(1, sizeof *e) : NULL;
    if (e == NULL)
        return fail(err, CORRUPT, "memory of the log");
    *e = *from;
    memset(&e->hh, 0, sizeof e->hh);
    e->next_lock = NULL;
    HASH_ADD_STR(l->entries, id, e);
    if (e->hh.tbl == NULL) {
        free(e);
        return fail(err, NO_MEMORY, "ledger");
    }
    l->counts[e->kind]++;
    list_lock(l, e);
    return OK;
}

void ledger_done(struct ledger *l)
{
    struct ledger_entry *e, *next;
    HASH_ITER(hh, l->entries, e, next)
    {
        HASH_DEL(l->entries, e);
        free(e);
    }
    l->locks = l->last_lock = NULL;
    book_free(l->book);
    l->book = NULL;
}
