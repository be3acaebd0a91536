/* Held requests: taking one in, showing its bytes, and the one-time link that releases it. */
#include "authz/approvals/notices.h"

#include <openssl/crypto.h>

enum { CONTENT_TYPE_MAX = 1024 };

/* The blob must be the request the message speaks of: authz computes the digest itself, from the bytes that will be sent. */
static enum status check_blob(struct op *o, struct slice bytes, char content_type[CONTENT_TYPE_MAX + 1])
{
    struct blob b;
    unsigned char digest[32], body[32];
    char digest_text[44], body_text[44];
    if (blob_parse(bytes, &b, &o->err) != OK)
        return refuse_op(o, BODY_MISMATCH, "The held bytes are not a request");
    enum status st = OK;
    if (blob_digest(&b, digest, body, &o->err) != OK)
        st = refuse_op(o, BODY_MISMATCH, "A field of the request is too long to be held");
    b64url_encode(slice_of(digest, 32), digest_text);
    b64url_encode(slice_of(body, 32), body_text);
    if (st == OK && (!slice_eq(b.method, slice_str(str(o->m, "method"))) || !slice_eq(b.authority, slice_str(str(o->m, "authority")))
                     || !slice_eq(b.target, slice_str(str(o->m, "target"))) || (int64_t)b.body.len != num(o->m, "body_len")
                     || strcmp(body_text, str(o->m, "body_sha256")) != 0 || strcmp(digest_text, str(o->m, "digest")) != 0))
        st = refuse_op(o, BODY_MISMATCH, "The bytes give %s", digest_text);
    content_type[0] = 0;
    for (size_t i = 0; st == OK && i < json_array_size(b.fields); i++) {
        const json_t *pair = json_array_get(b.fields, i);
        const char *value = json_string_value(json_array_get(pair, 1));
        if (!slice_ieq(slice_str(json_string_value(json_array_get(pair, 0))), SLICE("content-type")))
            continue;
        if (strlen(value) > CONTENT_TYPE_MAX || content_type[0] != 0)
            st = refuse_op(o, BODY_MISMATCH, "There are two Content-Types, or one longer than %d bytes", CONTENT_TYPE_MAX);
        else
            memcpy(content_type, value, strlen(value) + 1);
    }
    blob_done(&b);
    return st;
}

static const struct action *held_action(const struct op *o, const struct tool *tool)
{
    for (size_t i = 0; tool != NULL && i < tool->action_count; i++)
        if (strcmp(tool->actions[i].name, str(o->m, "action")) == 0 && tool->actions[i].requirement == NEED_SIGNOFF)
            return &tool->actions[i];
    return NULL;
}

static enum status count_open(struct op *o)
{
    json_t *row = NULL;
    unsigned max = o->s->config->limits.held_per_person;
    enum status st = store_row(o->s->store, &row, &o->err,
                               "SELECT count(*) AS n FROM held WHERE person = $1 AND state IN ('pending', 'approved')", "s",
                               o->who.person->name);
    if (st == OK && num(row, "n") >= (int64_t)max)
        st = refuse_op(o, TOO_MANY_OPEN, "%u requests of yours are held already; that is the limit", max);
    json_decref(row);
    return st;
}

/* The request that the grant came of, proved: the whole reason, which an approver will read, stands there; the grant's claim may be cut. */
static enum status granted_request(struct op *o, const char *grant_id, struct item *out)
{
    json_t *row = NULL;
    enum status st = store_row(o->s->store, &row, &o->err, "SELECT item FROM request WHERE session = $1 AND state = 'granted' ORDER BY seq DESC LIMIT 1", "s",
                               grant_id);
    if (st == OK)
        st = item_load(o, str(row, "item"), out);
    json_decref(row);
    return st == NOT_FOUND ? fail(&o->err, CORRUPT, "the request of the grant '%s' is not in the database", grant_id) : st;
}

static enum status insert_held(struct op *o, const struct tool *tool, const struct grant *g, struct slice bytes, const char *content_type)
{
    char id[ID_LEN + 1], policy[65];
    uint64_t seq = 0;
    struct item asked;
    enum status st = granted_request(o, g->grant_id, &asked);
    if (st != OK)
        return st;
    new_id("hld_", id);
    policy_hash(o->s->config, tool, policy);
    json_t *content = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:s, s:s, s:I, s:I}", "item", id,
                                "session", g->grant_id, "grant_id", g->grant_id, "person", g->person, "identity", g->identity, "x5t",
                                g->x5t, "tool", tool->name, "action", str(o->m, "action"), "method", str(o->m, "method"), "authority",
                                str(o->m, "authority"), "target", str(o->m, "target"), "digest", str(o->m, "digest"), "content_type",
                                content_type, "body_len", (json_int_t)num(o->m, "body_len"), "body_sha256", str(o->m, "body_sha256"),
                                "reason", str(asked.facts, "reason"), "policy", policy, "created_ms", (json_int_t)o->now_ms, "expires_ms",
                                (json_int_t)(o->now_ms + tool->held_ttl_ms));
    item_done(&asked);
    json_t *row = json_deep_copy(content), *spends = json_object_get(o->m, "spends");
    if (spends != NULL && json_object_set(content, "spends", spends) != 0)   /* what running it will spend of the budget */
        st = fail(&o->err, NO_MEMORY, "held request");
    if (st == OK)
        st = write_leaf(o, "held.created", content, &seq);
    else
        json_decref(content);
    if (st == OK && (json_object_set_new(row, "state", json_string("pending")) != 0
                     || json_object_set_new(row, "seq", json_integer((json_int_t)seq)) != 0))
        st = fail(&o->err, NO_MEMORY, "held request");
    if (st == OK)
        st = store_insert(o->s->store, "held", row, &o->err);
    if (st == OK)                     /* before the commit: a file without a row is swept, a row without a file would be a lie */
        st = seal_write(&o->s->seal_key, o->s->held_folder, id, bytes, &o->err);
    if (st == OK && json_object_set_new(o->answer, "item", view_item(o, row)) != 0)
        st = fail(&o->err, NO_MEMORY, "answer");
    json_object_set_new(o->answer, "run", json_false());
    queue_item_event(o, id, "pending");
    json_decref(row);
    return st;
}

/* The same bytes again, under the same grant, join the one that waits; when that is signed off, this is the moment to run it. */
static enum status join(struct op *o, const struct grant *g, bool *joined)
{
    json_t *row = NULL;
    struct item it;
    enum status st = store_row(o->s->store, &row, &o->err,
                               "SELECT item FROM held WHERE grant_id = $1 AND action = $2 AND digest = $3 AND state IN ('pending', 'approved')"
                               " AND expires_ms > $4", "sssi", g->grant_id, str(o->m, "action"), str(o->m, "digest"), o->now_ms);
    *joined = st == OK;
    if (st != OK)
        return st == NOT_FOUND ? OK : st;
    st = item_load(o, str(row, "item"), &it);
    json_decref(row);
    if (st != OK)
        return st == NOT_FOUND ? CORRUPT : st;
    if (item_is(&it, "approved")) {
        st = release_run(o, &it);
    } else {
        json_object_set_new(o->answer, "run", json_false());
        if (json_object_set_new(o->answer, "item", view_item(o, it.row)) != 0)
            st = fail(&o->err, NO_MEMORY, "answer");
    }
    item_done(&it);
    return st;
}

/* Its client waits for this sign-off and no other: what another exchange has used up, or what ended, is not held anew behind its back. */
static enum status rejoin(struct op *o, const struct grant *g)
{
    struct item it;
    enum status st = item_wanted(o, str(o->m, "waits_for"), &it);
    if (st != OK)
        return st;
    if (it.kind != LEDGER_HELD || strcmp(str(it.facts, "grant_id"), g->grant_id) != 0 || strcmp(str(it.facts, "digest"), str(o->m, "digest")) != 0
        || strcmp(str(it.facts, "action"), str(o->m, "action")) != 0 || strcmp(str(it.facts, "x5t"), o->who.x5t) != 0)
        st = refuse_op(o, ITEM_NOT_FOUND, "Nothing with this id is yours to wait for");
    else if (item_is(&it, "used"))
        st = refuse_op(o, ALREADY_USED, "It ran once, when the same request came another time; that is all a sign-off allows");
    else if (item_is(&it, "approved"))
        st = release_run(o, &it);
    else if (!item_is(&it, "pending"))
        st = refuse_op(o, SIGNOFF_VOID, "It is %s", it.state);
    else if (json_object_set_new(o->answer, "run", json_false()) != 0 || json_object_set_new(o->answer, "item", view_item(o, it.row)) != 0)
        st = fail(&o->err, NO_MEMORY, "answer");
    item_done(&it);
    return st;
}

static enum status refuse_hour(struct op *o, const struct tool *tool)
{
    const struct action *a = held_action(o, tool);
    struct need needs[NEEDS_AT_MAX];
    if (policy_needs_at(a->signoff, a->signoff_count, now_s(o), needs) > 0)
        return OK;                    /* else nobody's yes could ever count for it */
    char again[HOURS_AGAIN_MAX];
    hours_again(a->signoff, a->signoff_count, now_s(o), again);
    return refuse_op(o, NOBODY_AT_THIS_HOUR, "Those who sign off '%s' at '%s' are asked at other hours only:%s", a->name, tool->name, again);
}

static enum status hold_bytes(struct op *o, const struct tool *tool, const struct grant *g)
{
    unsigned char *bytes = NULL;
    size_t len = 0;
    char content_type[CONTENT_TYPE_MAX + 1];
    bool joined = false;
    enum status st = sealed_read(o->fds[0], blob_max(o->s->config), &bytes, &len, &o->err);
    if (st == FULL)
        return refuse_op(o, HELD_TOO_LARGE, "At most %zu bytes of body are held", o->s->config->limits.held_bytes);
    if (st == BAD_INPUT)
        return refuse_op(o, BODY_MISMATCH, "The descriptor is not a sealed memfd");
    if (st != OK)
        return st;
    st = check_blob(o, slice_of(bytes, len), content_type);
    if (st == OK && str(o->m, "waits_for")[0] != 0) {
        joined = true;
        st = rejoin(o, g);
    } else if (st == OK) {
        st = join(o, g, &joined);
    }
    if (st == OK && !joined)
        st = refuse_hour(o, tool);
    if (st == OK && !joined)
        st = count_open(o);
    if (st == OK && !joined)
        st = insert_held(o, tool, g, slice_of(bytes, len), content_type);
    OPENSSL_cleanse(bytes, len);
    free(bytes);
    return st;
}

enum status op_hold(struct op *o)
{
    struct grant g;
    const struct tool *tool = config_tool(o->s->config, slice_str(str(o->m, "tool")));
    if (tool == NULL)
        return refuse_op(o, UNKNOWN_TOOL, "The config names no such tool");
    if (held_action(o, tool) == NULL || strcmp(str(o->m, "requirement"), "signoff") != 0)
        return refuse_op(o, NOT_HELD_HERE, "'%s' of '%s' is not an action that needs a sign-off", str(o->m, "action"), tool->name);
    if (num(o->m, "body_len") > (int64_t)o->s->config->limits.held_bytes)
        return refuse_op(o, HELD_TOO_LARGE, "At most %zu bytes of body are held", o->s->config->limits.held_bytes);
    enum status st = grant_wanted(o, str(o->m, "grant_id"), tool->name, &g);
    if (st != OK)
        return st;
    st = grant_allows(&g, slice_str(str(o->m, "action"))) ? hold_bytes(o, tool, &g)
                                                           : refuse_op(o, GRANT_REQUIRED, "The grant does not cover this action");
    grant_done(&g);
    return st;
}

enum status op_held_raw(struct op *o)
{
    struct item it;
    unsigned char *bytes = NULL;
    size_t len = 0;
    enum status st = item_wanted(o, str(o->m, "id"), &it);
    if (st != OK)
        return st;
    if (!item_may_see(o, &it) || it.kind != LEDGER_HELD)
        st = refuse_op(o, ITEM_NOT_FOUND, "Nothing with this id is yours to see");
    else if (!item_is(&it, "pending") && !item_is(&it, "approved"))
        st = refuse_op(o, HELD_GONE, "It is %s", it.state);
    if (st == OK)
        st = seal_read(&o->s->seal_key, o->s->held_folder, it.id, blob_max(o->s->config), &bytes, &len, &o->err);
    if (st == OK)
        st = sealed_make(slice_of(bytes, len), &o->answer_fd, &o->err);
    if (st == OK && json_object_set_new(o->answer, "item", view_item(o, it.row)) != 0)
        st = fail(&o->err, NO_MEMORY, "answer");
    if (bytes != NULL)
        OPENSSL_cleanse(bytes, len);
    free(bytes);
    item_done(&it);
    return st;
}

/* ---- release links: in memory only; after a restart the person starts again from the page ---- */

static struct release_code *free_slot(struct op *o)
{
    struct release_code *oldest = &o->s->codes[0];
    for (size_t i = 0; i < CODES_MAX; i++) {
        struct release_code *c = &o->s->codes[i];
        if (c->code[0] == 0 || c->until_ms <= o->now_ms)
            return c;
        if (c->until_ms < oldest->until_ms)
            oldest = c;
    }
    return oldest;
}

enum status op_release_link(struct op *o)
{
    struct item it;
    enum status st = item_wanted(o, str(o->m, "id"), &it);
    if (st != OK)
        return st;
    if (it.kind != LEDGER_HELD || strcmp(str(it.facts, "person"), o->who.person->name) != 0
        || strcmp(str(it.facts, "x5t"), o->who.x5t) != 0)
        st = refuse_op(o, ITEM_NOT_FOUND, "Only the person and certificate that sent it may release it");
    else if (item_is(&it, "used"))
        st = refuse_op(o, ALREADY_USED, "It ran once; that is all a sign-off allows");
    else if (item_is(&it, "pending"))
        st = refuse_op(o, SIGNOFF_REQUIRED, "It still waits for a sign-off");
    else if (!item_is(&it, "approved") || num(it.facts, "expires_ms") <= o->now_ms)
        st = refuse_op(o, SIGNOFF_VOID, "It is %s", item_is(&it, "approved") ? "expired" : it.state);
    if (st == OK) {
        struct release_code *c = free_slot(o);
        random_id(32, c->code);
        memcpy(c->item, it.id, sizeof c->item);
        snprintf(c->x5t, sizeof c->x5t, "%s", o->who.x5t);
        c->until_ms = o->now_ms + CODE_MS;
        json_object_set_new(o->answer, "code", json_string(c->code));
    }
    item_done(&it);
    return st;
}

/* Every slot is compared, in constant time each; the found one is used up whatever comes next. */
static bool take_code(struct op *o, char item[ID_LEN + 1])
{
    const char *code = str(o->m, "code");
    bool found = false;
    for (size_t i = 0; i < CODES_MAX && strlen(code) == 43; i++) {
        struct release_code *c = &o->s->codes[i];
        if (c->code[0] == 0 || CRYPTO_memcmp(c->code, code, 43) != 0 || strcmp(c->x5t, o->who.x5t) != 0)
            continue;
        found = c->until_ms > o->now_ms;
        memcpy(item, c->item, ID_LEN + 1);
        OPENSSL_cleanse(c, sizeof *c);
    }
    return found;
}

enum status op_release_use(struct op *o)
{
    char id[ID_LEN + 1];
    struct item it;
    if (!take_code(o, id))
        return refuse_op(o, RELEASE_CODE_UNKNOWN, "The code was used, is older than a minute, or was made for somebody else");
    enum status st = item_wanted(o, id, &it);
    if (st != OK)
        return st;
    if (strcmp(str(it.facts, "person"), o->who.person->name) != 0)
        st = refuse_op(o, RELEASE_CODE_UNKNOWN, "The code was made for somebody else");
    else if (strcmp(str(it.facts, "tool"), str(o->m, "tool")) != 0)   /* else another tool would get what was signed off for this one */
        st = refuse_op(o, RELEASE_CODE_UNKNOWN, "The code was made for '%s', not for this tool", str(it.facts, "tool"));
    else if (item_is(&it, "used"))
        st = refuse_op(o, ALREADY_USED, "It ran once; that is all a sign-off allows");
    else
        st = release_run(o, &it);
    item_done(&it);
    return st;
}
