#include "proxy/record/verify.h"

#include "authz/canonical.h"
#include "authz/chain.h"
#include "authz/erased.h"
#include "proxy/base/codec.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum status verify_finding(json_t *findings, const char *kind, unsigned segment, uint64_t seq, const char *fmt, ...)
{
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    json_t *o = json_pack("{ss ss}", "kind", kind, "text", text);
    bool good = o != NULL && (segment == 0 || json_object_set_new(o, "segment", json_integer(segment)) == 0)
                && (seq == 0 || json_object_set_new(o, "seq", json_integer((json_int_t)seq)) == 0);
    if (good)
        return json_array_append_new(findings, o) == 0 ? OK : NO_MEMORY;
    json_decref(o);
    return NO_MEMORY;
}

static bool get_digest(const json_t *o, const char *name, unsigned char *out, size_t want)
{
    const char *text = json_string_value(json_object_get(o, name));
    size_t len = 0;
    return text != NULL && b64url_decode(slice_str(text), out, want, &len) == OK && len == want;
}

/* Is the content the one that the leaf's digest stands for? True also when there is none (another session's). */
static bool content_holds(const json_t *leaf, const unsigned char digest[32])
{
    const json_t *content = json_object_get(leaf, "content");
    unsigned char salt[CHAIN_SALT_LEN], got[32];
    char *text = NULL;
    size_t len = 0;
    if (content == NULL || json_is_null(content))
        return true;
    if (!get_digest(leaf, "salt", salt, sizeof salt) || canonical_json(content, &text, &len, NULL) != OK)
        return false;
    chain_content_digest(salt, slice_of(text, len), got);
    free(text);
    return memcmp(got, digest, sizeof got) == 0;
}

static enum status add_expected(struct verify_segments *s, const json_t *content, uint64_t seq, json_t *findings)
{
    struct verify_expected e = { 0 };
    json_int_t number = json_integer_value(json_object_get(content, "number")), bytes = json_integer_value(json_object_get(content, "bytes"));
    if (number <= 0 || number > UINT32_MAX || bytes < 0 || !get_digest(content, "digest", e.digest, sizeof e.digest))
        return verify_finding(findings, "bad-leaf", 0, seq, "leaf %llu names a segment without number or digest", (unsigned long long)seq);
    e.number = (unsigned)number;
    e.bytes = (uint64_t)bytes;
    for (size_t i = 0; i < s->count; i++) {
        if (s->v[i].number != e.number)
            continue;
        if (memcmp(s->v[i].digest, e.digest, sizeof e.digest) == 0)
            return OK;   /* the recorder said it twice */
        return verify_finding(findings, "conflicting-leaf", e.number, seq, "the log holds two different segments %u", e.number);
    }
    if (s->count == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 64;
        struct verify_expected *v = realloc(s->v, cap * sizeof *v);
        if (v == NULL)
            return NO_MEMORY;
        s->v = v;
        s->cap = cap;
    }
    s->v[s->count++] = e;
    return OK;
}

static int by_number(const void *a, const void *b)
{
    const struct verify_expected *x = a, *y = b;
    return x->number < y->number ? -1 : x->number > y->number;
}

/* A head that the chain must pass through. */
struct checkpoint {
    struct chain_head head;
    const char *kind;                 /* of the finding if it does not */
    bool given, met;
};

struct log_walk {
    const char *session;
    struct tree tree;
    struct checkpoint own, later;
    struct verify_segments *segments;
    struct erased erased;
    json_t *findings;
};

static enum status meet(struct log_walk *w, struct checkpoint *c)
{
    unsigned char root[32];
    if (!c->given || c->head.seq != w->tree.size)
        return OK;
    c->met = true;
    tree_root(&w->tree, root);
    if (memcmp(c->head.hash, root, sizeof root) == 0)
        return OK;
    return verify_finding(w->findings, c->kind, 0, c->head.seq,
                          c == &w->own ? "the leaves up to %llu do not lead to the signed head: one was changed, taken out or moved"
                                       : "the log is not the one that was seen before: its first %llu leaves do not lead to the later head",
                          (unsigned long long)c->head.seq);
}

/* A leaf history.erased: which leaves' content is gone by right; and was this session's among them? */
static enum status take_erasing(struct log_walk *w, uint64_t seq, int64_t time_ms, const json_t *content)
{
    struct err why = { "" };
    size_t i;
    json_t *id;
    const char *list = json_string_value(json_object_get(content, "leaves"));
    if (content == NULL)
        return OK;                    /* a log that was kept without it */
    if (erased_take(&w->erased, seq, list ? list : "", UINT64_MAX, &why) != OK)
        return verify_finding(w->findings, "bad-leaf", 0, seq, "%s", why.text);
    json_array_foreach(json_object_get(content, "items"), i, id)
        if (w->session[0] != 0 && json_is_string(id) && strcmp(json_string_value(id), w->session) == 0) {
            w->segments->history_seq = seq;
            w->segments->history_ms = time_ms;
        }
    return OK;
}

/* A leaf that came without its content, as one that was erased: a later one has to say so. */
static enum status take_erased(struct log_walk *w, uint64_t seq, const char *type, const json_t *by)
{
    struct err why = { "" };
    w->segments->erased_leaves++;
    w->segments->erased_segments += strcmp(type, "segment") == 0;
    if (json_integer_value(by) > 0 && erased_claim(&w->erased, seq, (uint64_t)json_integer_value(by), &why) == OK)
        return OK;
    return verify_finding(w->findings, "bad-leaf", 0, seq, "leaf %llu is said to be erased by a leaf that cannot have done it", (unsigned long long)seq);
}

/* What a leaf says, of what matters here. */
static enum status take_content(struct log_walk *w, uint64_t seq, const char *type, int64_t time_ms, const json_t *leaf)
{
    const json_t *content = json_object_get(leaf, "content"), *by = json_object_get(leaf, "erased");
    bool ours = w->session[0] != 0 && slice_eq(slice_str(json_string_value(json_object_get(content, "session"))), slice_str(w->session));
    if (by != NULL)
        return take_erased(w, seq, type, by);
    if (strcmp(type, ERASING_LEAF) == 0)
        return take_erasing(w, seq, time_ms, content);
    if (ours && strcmp(type, "segment") == 0)
        return add_expected(w->segments, content, seq, w->findings);
    if (ours && strcmp(type, "session.erased") == 0) {
        w->segments->erased_seq = seq;
        w->segments->erased_ms = time_ms;
    }
    return OK;
}

/* *broken: the chain cannot be followed further. */
static enum status walk_leaf(struct log_walk *w, const json_t *leaf, bool *broken)
{
    const uint64_t seq = w->tree.size + 1;
    unsigned char digest[32];
    const char *type = json_string_value(json_object_get(leaf, "type"));
    json_int_t time_ms = json_integer_value(json_object_get(leaf, "time_ms"));
    *broken = json_integer_value(json_object_get(leaf, "seq")) != (json_int_t)seq || type == NULL
              || !get_digest(leaf, "digest", digest, sizeof digest);
    *broken = *broken || chain_append(&w->tree, type, time_ms, digest, NULL, NULL) != OK;
    if (*broken)
        return verify_finding(w->findings, "bad-leaf", 0, seq, "where leaf %llu should stand is something else", (unsigned long long)seq);
    enum status st = OK;
    if (!content_holds(leaf, digest))
        st = verify_finding(w->findings, "bad-leaf", 0, seq, "leaf %llu was altered: its content is not what its digest stands for",
                            (unsigned long long)seq);
    else
        st = take_content(w, seq, type, time_ms, leaf);
    if (st == OK)
        st = meet(w, &w->own);
    return st == OK ? meet(w, &w->later) : st;
}

static enum status read_head(struct log_walk *w, struct checkpoint *c, const char *note, const unsigned char key[32], const char *instance,
                             const char *what)
{
    struct err why = { "there is none" };
    c->given = note != NULL && chain_note_verify(key, instance, slice_str(note), &c->head, &why) == OK;
    return c->given ? OK : verify_finding(w->findings, "bad-head", 0, 0, "%s is not good: %s", what, why.text);
}

static enum status after_walk(struct log_walk *w, bool broken, size_t leaves)
{
    unsigned long long count = leaves;
    enum status st = OK;
    if (broken)
        return OK;
    if (w->own.given && w->own.head.seq > leaves)
        st = verify_finding(w->findings, "cut-log", 0, leaves, "the log was cut: its signed head counts %llu leaves, %llu are here",
                            (unsigned long long)w->own.head.seq, count);
    else if (w->own.given && w->own.head.seq < leaves)
        st = verify_finding(w->findings, "unsigned-leaf", 0, w->own.head.seq + 1, "the signed head counts %llu leaves, but %llu are here",
                            (unsigned long long)w->own.head.seq, count);
    if (st == OK && w->later.given && w->later.head.seq > leaves)
        st = verify_finding(w->findings, "cut-log", 0, leaves, "the log was cut: a head seen elsewhere counts %llu leaves, %llu are here",
                            (unsigned long long)w->later.head.seq, count);
    return st;
}

enum status verify_log(const json_t *log, const char *session, const unsigned char log_key[32], const char *instance, const char *later_head,
                       json_t *findings, struct verify_segments *out, struct err *err)
{
    const json_t *leaves = json_object_get(log, "leaves");
    struct log_walk w = { .session = session, .own = { .kind = "bad-chain" }, .later = { .kind = "forked-log" }, .segments = out,
                          .findings = findings };
    struct err why = { "" };
    bool broken = false;
    if (!json_is_array(leaves))
        return fail(err, BAD_INPUT, "the log has no list of leaves");
    enum status st = read_head(&w, &w.own, json_string_value(json_object_get(log, "head")), log_key, instance, "the log's signed head");
    if (st == OK && later_head != NULL)
        st = read_head(&w, &w.later, later_head, log_key, instance, "the later head");
    for (size_t i = 0; i < json_array_size(leaves) && st == OK && !broken; i++)
        st = walk_leaf(&w, json_array_get(leaves, i), &broken);
    if (st == OK && !broken && erased_settle(&w.erased, &why) != OK)
        st = verify_finding(findings, "unsaid-erasure", 0, 0, "%s", why.text);
    if (st == OK)
        st = after_walk(&w, broken, json_array_size(leaves));
    erased_done(&w.erased);
    if (out->count > 0)
        qsort(out->v, out->count, sizeof *out->v, by_number);
    return st == OK ? OK : fail(err, st, "verify");
}
