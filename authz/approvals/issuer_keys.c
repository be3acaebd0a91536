/* issuer_keys: keys of other issuers that stand at a URL (setting issuers.jwks_url). authz asks the courier for them on the lane (proxy/base/lane.h), validates what comes, and keeps it as
 * a leaf of the log (`issuer.keys`) before it counts: a restart goes on with the last good set, and a row that somebody edits changes nothing, since there is none.
 *
 * Who can name keys: the server of the URL, by TLS, and the courier, which verifies that. The proxy cannot: the lane is a pair of descriptors that it does not hold, and what it says on
 * authz's socket, in whatever role, never reaches this file. */
#include "authz/approvals/internal.h"

#include "config/forms.h"

#include <unistd.h>

enum {
    RETRY_MIN_MS = 10 * 1000, RETRY_MAX_MS = 600 * 1000,   /* after a failure: doubled each time */
    UNKNOWN_EVERY_MS = 60 * 1000,     /* tokens that name unknown keys make it fetch so often at most */
    SILENCE_MS = 30 * 1000,           /* the courier has no answer by then: it was lost */
    ANSWERS_A_TURN = 32,
    CLOCK_SLACK_MS = 300 * 1000,      /* a set from further in the future than this is not believed to be fresh */
    WHY_MAX = 160,
};

struct issuer_set {
    char *iss, *url;
    json_t *jwks;                     /* the last good one; NULL: there was none */
    int64_t good_ms, leaf_ms;         /* wall clock: when it was fetched last; what its newest leaf says of that */
    int64_t next_ms, asked_ms;        /* monotonic: fetch then; since when an answer is waited for, 0: none is */
    int64_t unknown_ms;               /* monotonic: when an unknown key last made it fetch */
    char ask[44];                     /* of the question that is open */
    unsigned failures;                /* in a row */
    char why[WHY_MAX];                /* of the last one; "": none since the last success */
    bool stale;                       /* told as that */
};

struct issuer_sets {
    int lane;                         /* -1: none, so that nothing is fetched */
    struct issuer_set **v;
    size_t count;
};

/* ---- sets ---- */

static void name_set(const char *iss, char out[48])
{
    unsigned char hash[32];
    sha256_one(slice_str(iss), hash);
    memcpy(out, "isk_", 4);
    b64url_encode(slice_of(hash, sizeof hash), out + 4);
}

/* What the log says of it, if that is about the URL of today. */
static enum status recall(struct service *s, struct issuer_set *t, struct err *err)
{
    char id[48];
    json_t *leaf = NULL;
    name_set(t->iss, id);
    const struct ledger_entry *e = ledger_find(log_ledger(s->log), id);
    if (e == NULL || e->kind != LEDGER_ISSUER)
        return OK;
    enum status st = log_leaf(s->log, e->last, &leaf, err);
    const json_t *content = json_object_get(leaf, "content");
    if (st == OK && (strcmp(str(leaf, "type"), "issuer.keys") != 0 || strcmp(str(content, "iss"), t->iss) != 0))
        st = fail(err, CORRUPT, "the leaf about the keys of '%s' is about something else", t->iss);
    if (st == OK && strcmp(str(content, "url"), t->url) == 0) {
        t->jwks = json_pack("{s:O}", "keys", json_object_get(content, "keys"));
        t->good_ms = t->leaf_ms = num(content, "fetched_ms");
    }
    json_decref(leaf);
    return st == NOT_FOUND ? CORRUPT : st;
}

static void set_free(struct issuer_set *t)
{
    if (t == NULL)
        return;
    json_decref(t->jwks);
    free(t->iss);
    free(t->url);
    free(t);
}

static struct issuer_set *find_set(const struct service *s, const struct issuer *i)
{
    for (size_t k = 0; s->issuer_sets != NULL && i->jwks_url != NULL && k < s->issuer_sets->count; k++)
        if (strcmp(s->issuer_sets->v[k]->iss, i->iss) == 0 && strcmp(s->issuer_sets->v[k]->url, i->jwks_url) == 0)
            return s->issuer_sets->v[k];
    return NULL;
}

static enum status add_set(struct service *s, const struct issuer *i, struct err *err)
{
    struct issuer_sets *all = s->issuer_sets;
    struct issuer_set *t = calloc(1, sizeof *t), **more = realloc(all->v, (all->count + 1) * sizeof *more);
    if (more != NULL)
        all->v = more;
    enum status st = t && more && (t->iss = strdup(i->iss)) && (t->url = strdup(i->jwks_url)) ? OK : fail(err, NO_MEMORY, "keys of issuers");
    if (st == OK)
        st = recall(s, t, err);
    if (st == OK) {
        t->unknown_ms = -UNKNOWN_EVERY_MS;
        all->v[all->count++] = t;
    } else {
        set_free(t);
    }
    return st;
}

static bool is_stale(const struct issuer *i, const struct issuer_set *t, int64_t now_ms)
{
    return t->jwks == NULL || now_ms - t->good_ms > i->jwks_max_age_ms || t->good_ms - now_ms > CLOCK_SLACK_MS;
}

/* Sets of URLs that no issuer has any more are kept until the end: few, and a reload may bring one back. */
enum status issuer_keys_follow(struct service *s, const struct config *c, struct external *external, const struct jwt_keys *own, struct err *err)
{
    enum status st = OK;
    if (s->issuer_sets == NULL && (s->issuer_sets = calloc(1, sizeof *s->issuer_sets)) == NULL)
        return fail(err, NO_MEMORY, "keys of issuers");
    if (s->issuer_sets->v == NULL && s->issuer_sets->count == 0)
        s->issuer_sets->lane = s->issuer_lane;
    for (size_t k = 0; k < c->issuer_count && st == OK; k++) {
        const struct issuer *i = &c->issuers[k];
        struct err why = { .text = "" };
        if (i->jwks_url == NULL)
            continue;
        if (find_set(s, i) == NULL)
            st = add_set(s, i, err);
        const struct issuer_set *t = find_set(s, i);
        if (st == OK && !is_stale(i, t, clock_wall_ms()) && external_put(external, i, t->jwks, own, &why) != OK)
            log_warn("issuer.keys_refused", "issuer", i->name, "why", why.text, "next", "none of its keys counts until a set is fetched that can be taken");
    }
    return st;
}

void issuer_keys_close(struct service *s)
{
    for (size_t i = 0; s->issuer_sets != NULL && i < s->issuer_sets->count; i++)
        set_free(s->issuer_sets->v[i]);
    if (s->issuer_sets != NULL)
        free(s->issuer_sets->v);
    free(s->issuer_sets);
    s->issuer_sets = NULL;
}

void service_lane(struct service *s, int fd)
{
    s->issuer_lane = fd;
    if (s->issuer_sets != NULL)
        s->issuer_sets->lane = fd;
}

/* ---- asking ---- */

static void failed(const struct issuer *i, struct issuer_set *t, const char *why)
{
    int64_t wait = RETRY_MIN_MS;
    for (unsigned k = 0; k < t->failures && wait < RETRY_MAX_MS; k++)
        wait *= 2;
    wait = wait < RETRY_MAX_MS ? wait : RETRY_MAX_MS;
    t->failures++;
    t->asked_ms = 0;
    t->next_ms = clock_mono_ms() + (wait < i->jwks_refresh_ms ? wait : i->jwks_refresh_ms);
    if (strcmp(t->why, why) != 0)     /* once, not at every try */
        log_warn("issuer.keys_failed", "issuer", i->name, "why", why, "next", "the last good set goes on until it is too old (jwks_max_age)");
    snprintf(t->why, sizeof t->why, "%.*s", WHY_MAX - 1, why);
}

static void ask(const struct service *s, const struct issuer *i, struct issuer_set *t)
{
    struct err err = { .text = "" };
    random_id(16, t->ask);
    json_t *m = json_pack("{s:s, s:s, s:s, s:s*}", "ask", t->ask, "what", "issuer-keys", "url", t->url, "ca_file", i->jwks_ca_file);
    enum status st = m ? msg_send(s->issuer_sets->lane, m, NULL, 0, &err) : fail(&err, NO_MEMORY, "question");
    json_decref(m);
    if (st == OK)
        t->asked_ms = clock_mono_ms();
    else
        failed(i, t, st == AGAIN ? "the courier does not read what it is asked" : err.text);
}

/* ---- what comes ---- */

static json_t *kids(const json_t *jwks)
{
    json_t *list = json_array(), *jwk;
    size_t i;
    json_array_foreach(json_object_get(jwks, "keys"), i, jwk)
        json_array_append(list, json_object_get(jwk, "kid"));
    return list;
}

static enum status write_set(struct service *s, const struct issuer *i, const json_t *jwks, bool changed, int64_t now_ms, struct err *err)
{
    struct op o;
    char id[48];
    name_set(i->iss, id);
    enum status st = own_begin(s, &o, err);
    if (st == OK)
        st = write_leaf(&o, "issuer.keys", json_pack("{s:s, s:s, s:s, s:s, s:O, s:o, s:b, s:I}", "issuer_id", id, "issuer", i->name, "iss", i->iss, "url", i->jwks_url, "keys",
                                                     json_object_get(jwks, "keys"), "kids", kids(jwks), "changed", changed, "fetched_ms", (json_int_t)now_ms), NULL);
    if (st == OK && changed)
        st = external_sweep(&o);
    return own_end(&o, st, err);
}

/* Its leaf is written with what follows from it; if that is not kept, the set before goes on. */
static enum status adopt(struct service *s, const struct issuer *i, struct issuer_set *t, json_t *jwks, struct err *err)
{
    int64_t now_ms = clock_wall_ms();
    struct err why = { .text = "" };
    bool changed = t->jwks == NULL || !json_equal(jwks, t->jwks), revived = is_stale(i, t, now_ms);
    bool due = changed || revived || now_ms - t->leaf_ms > i->jwks_max_age_ms / 4;   /* a start counts its age from its leaf */
    if (external_put(s->external, i, jwks, s->public_keys, &why) != OK) {
        failed(i, t, why.text);
        return OK;
    }
    enum status st = due ? write_set(s, i, jwks, changed, now_ms, err) : OK;
    if (st != OK) {
        if (external_put(s->external, i, revived ? NULL : t->jwks, s->public_keys, &why) != OK && external_put(s->external, i, NULL, s->public_keys, &why) != OK)
            st = IO_FAILED;
        failed(i, t, err->text);
        return st == FULL || st == NO_MEMORY ? OK : st;
    }
    if (changed)
        log_info("issuer.keys_changed", "issuer", i->name, "url", t->url);
    json_decref(t->jwks);
    t->jwks = json_incref(jwks);
    t->good_ms = now_ms;
    t->leaf_ms = due ? now_ms : t->leaf_ms;
    t->asked_ms = 0;
    t->next_ms = clock_mono_ms() + i->jwks_refresh_ms;
    t->failures = 0;
    t->why[0] = 0;
    t->stale = false;
    return OK;
}

static enum status take_answer(struct service *s, const struct issuer *i, struct issuer_set *t, const json_t *m, struct err *err)
{
    struct err why = { .text = "" };
    const json_t *body = json_object_get(m, "body");
    json_t *jwks = NULL;
    if (!json_is_string(body)) {
        failed(i, t, str(m, "why")[0] ? str(m, "why") : "the courier says nothing of it");
        return OK;
    }
    enum status st = external_read(i, slice_of((const unsigned char *)json_string_value(body), json_string_length(body)), &jwks, &why);
    if (st == OK)
        st = adopt(s, i, t, jwks, err);
    else
        failed(i, t, why.text);
    json_decref(jwks);
    return st == BAD_INPUT ? OK : st;
}

/* Of a question that is open; what is left of others is passed over. */
static enum status take_message(struct service *s, const json_t *m, struct err *err)
{
    const struct config *c = s->config;
    for (size_t k = 0; k < c->issuer_count; k++) {
        struct issuer_set *t = find_set(s, &c->issuers[k]);
        if (t != NULL && t->asked_ms != 0 && strcmp(t->ask, str(m, "ask")) == 0)
            return take_answer(s, &c->issuers[k], t, m, err);
    }
    return OK;
}

static enum status read_lane(struct service *s, struct err *err)
{
    enum status st = OK;
    for (int n = 0; n < ANSWERS_A_TURN && st == OK; n++) {
        int fds[MSG_FDS_MAX];
        size_t count = 0;
        json_t *m = NULL;
        struct err why = { .text = "" };
        enum status got = msg_recv(s->issuer_sets->lane, &m, fds, &count, &why);
        while (count > 0)
            close(fds[--count]);
        if (got == AGAIN)
            break;
        if (got == CLOSED) {          /* its parent is gone, and so it will be itself */
            s->issuer_sets->lane = -1;
            break;
        }
        if (got == OK)
            st = take_message(s, m, err);
        json_decref(m);
    }
    return st;
}

/* ---- time ---- */

static enum status grow_old(struct service *s, const struct issuer *i, struct issuer_set *t, struct err *err)
{
    struct op o;
    struct err why = { .text = "" };
    char text[32];
    if (t->stale || t->jwks == NULL || !is_stale(i, t, clock_wall_ms()))
        return OK;
    enum status st = external_put(s->external, i, NULL, s->public_keys, &why);
    if (st != OK)
        return fail(err, st, "%s", why.text);
    st = own_begin(s, &o, err);
    if (st == OK)
        st = external_sweep(&o);
    st = own_end(&o, st, err);
    if (st != OK)
        return st == FULL || st == NO_MEMORY ? OK : st;   /* nothing new is admitted; the rest is tried again */
    t->stale = true;
    duration_text(i->jwks_max_age_ms, text);
    log_error("issuer.keys_stale", "issuer", i->name, "max_age", text, "why", t->why, "next", "look at the URL, and at what the courier says; nothing of this issuer is admitted");
    teller_note(s, "issuer.stale", json_pack("{s:s, s:s, s:s, s:s}", "issuer", i->name, "iss", i->iss, "url", t->url, "why", t->why));
    return OK;
}

enum status issuer_keys_tick(struct service *s, struct err *err)
{
    const struct config *c = s->config;
    int64_t now = clock_mono_ms();
    if (s->issuer_sets == NULL || s->issuer_sets->count == 0)
        return OK;
    enum status st = s->issuer_sets->lane >= 0 ? read_lane(s, err) : OK;
    for (size_t k = 0; k < c->issuer_count && st == OK; k++) {
        struct issuer_set *t = find_set(s, &c->issuers[k]);
        if (t == NULL)
            continue;
        if (t->asked_ms != 0 && now - t->asked_ms > SILENCE_MS)
            failed(&c->issuers[k], t, "the courier did not answer");
        if (s->issuer_sets->lane >= 0 && t->asked_ms == 0 && (now >= t->next_ms || t->next_ms - now > c->issuers[k].jwks_refresh_ms + 1000))
            ask(s, &c->issuers[k], t);
        st = grow_old(s, &c->issuers[k], t, err);
    }
    return st;
}

bool issuer_keys_wanted(struct service *s, const struct issuer *i)
{
    struct issuer_set *t = find_set(s, i);
    int64_t now = clock_mono_ms();
    if (t == NULL || s->issuer_sets->lane < 0)
        return false;
    if (t->asked_ms == 0 && now - t->unknown_ms >= UNKNOWN_EVERY_MS) {
        t->unknown_ms = now;
        ask(s, i, t);
    }
    return t->asked_ms != 0;
}

bool issuer_keys_known(const struct service *s, const struct issuer *i)
{
    const struct issuer_set *t = find_set(s, i);
    return t != NULL && !is_stale(i, t, clock_wall_ms());
}

/* ---- shown ---- */

json_t *issuer_keys_view(const struct service *s)
{
    const struct config *c = s->config;
    json_t *list = json_array();
    int64_t now_ms = clock_wall_ms();
    for (size_t k = 0; k < c->issuer_count; k++) {
        const struct issuer_set *t = find_set(s, &c->issuers[k]);
        if (t == NULL)
            continue;
        json_t *v = json_pack("{s:s, s:s, s:b, s:o}", "issuer", c->issuers[k].name, "url", t->url, "counts", !is_stale(&c->issuers[k], t, now_ms), "kids", kids(t->jwks));
        if (t->jwks != NULL) {
            json_object_set_new(v, "fetched", json_integer((json_int_t)(t->good_ms / 1000)));
            json_object_set_new(v, "age_s", json_integer((json_int_t)((now_ms - t->good_ms) / 1000)));
        }
        if (t->why[0] != 0)
            json_object_set_new(v, "why", json_string(t->why));
        json_array_append_new(list, v);
    }
    return list;
}
