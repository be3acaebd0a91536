#include "proxy/exchange/purse.h"

#include "proxy/base/codec.h"

#include <stdlib.h>
#include <uthash.h>

struct line {
    char name[BUDGET_NAME_MAX];
    int64_t left;                     /* leased and not spent; unused for "distinct:" lines */
};

struct value {                        /* authz counted it: it may come again */
    unsigned char digest[32];
    UT_hash_handle hh;
};

struct purse {
    struct line lines[BUDGET_LINES_MAX];
    size_t count;
    struct value *values;
    bool asking;
};

struct purse *purse_new(const json_t *claim, bool *failed)
{
    const char *name;
    json_t *max;
    *failed = false;
    if (json_object_size(claim) == 0)
        return NULL;
    struct purse *p = calloc(1, sizeof *p);
    if (p == NULL || !budget_claim_sound(claim)) {
        free(p);
        *failed = true;
        return NULL;
    }
    json_object_foreach((json_t *)(uintptr_t)claim, name, max)
        memcpy(p->lines[p->count++].name, name, strlen(name) + 1);
    return p;
}

void purse_free(struct purse *p)
{
    struct value *v, *next;
    if (p == NULL)
        return;
    HASH_ITER(hh, p->values, v, next)
    {
        HASH_DEL(p->values, v);
        free(v);
    }
    free(p);
}

static struct line *line_of(const struct purse *p, const char *name)
{
    for (size_t i = 0; p != NULL && i < p->count; i++)
        if (strcmp(p->lines[i].name, name) == 0)
            return (struct line *)(uintptr_t)&p->lines[i];
    return NULL;
}

bool purse_limits(const struct purse *p, const char *line)
{
    return line_of(p, line) != NULL;
}

static bool has_value(const struct purse *p, const unsigned char digest[32])
{
    struct value *v = NULL;
    HASH_FIND(hh, p->values, digest, 32, v);
    return v != NULL;
}

static void want_amount(const struct purse *p, const char *name, bool all, json_t *wants)
{
    const struct line *l = line_of(p, name);
    if (l != NULL && (all || l->left < 1))
        json_array_append_new(wants, json_pack("{s:s, s:i}", "name", name, "amount", 1));
}

json_t *purse_wants(const struct purse *p, const struct spend *s, bool all)
{
    char digest[44];
    json_t *wants = json_array();
    want_amount(p, "requests", all, wants);
    want_amount(p, s->action, all, wants);
    if (!all)
        want_amount(p, "bytes_out", false, wants);
    for (size_t i = 0; i < s->value_count; i++) {
        const struct budget_value *v = &s->values[i];
        if (line_of(p, v->name) == NULL || (!all && has_value(p, v->digest)))
            continue;
        b64url_encode(slice_of(v->digest, 32), digest);
        json_array_append_new(wants, json_pack("{s:s, s:s, s:s}", "name", v->name, "digest", digest, "shown", v->shown));
    }
    if (json_array_size(wants) > 0)
        return wants;
    json_decref(wants);
    return NULL;
}

static bool put_value(struct purse *p, const char *text)
{
    unsigned char digest[32];
    size_t len = 0;
    if (b64url_decode(slice_str(text), digest, sizeof digest, &len) != OK || len != sizeof digest)
        return false;
    if (has_value(p, digest))
        return true;
    struct value *v = calloc(1, sizeof *v);
    if (v == NULL)
        return false;
    memcpy(v->digest, digest, sizeof v->digest);
    HASH_ADD(hh, p->values, digest, sizeof v->digest, v);
    if (v->hh.tbl != NULL)
        return true;
    free(v);
    return false;
}

bool purse_put(struct purse *p, const json_t *wants, const json_t *leased)
{
    json_t *each;
    size_t i;
    bool kept = true;
    json_array_foreach(wants, i, each) {
        const char *digest = json_string_value(json_object_get(each, "digest"));
        if (digest != NULL)
            kept = put_value(p, digest) && kept;
    }
    json_array_foreach(leased, i, each) {
        const char *name = json_string_value(json_object_get(each, "name"));
        json_int_t amount = json_integer_value(json_object_get(each, "amount"));
        struct line *l = name ? line_of(p, name) : NULL;
        if (l != NULL && amount > 0 && l->left <= INT64_MAX - amount)
            l->left += amount;
    }
    return kept;
}

static void take(struct purse *p, const char *name, int64_t n)
{
    struct line *l = line_of(p, name);
    if (l != NULL)
        l->left = l->left > n ? l->left - n : 0;
}

void purse_spend(struct purse *p, const struct spend *s)
{
    take(p, "requests", 1);
    take(p, s->action, 1);
}

int64_t purse_bytes(const struct purse *p)
{
    const struct line *l = line_of(p, "bytes_out");
    return l ? l->left : INT64_MAX;
}

void purse_take_bytes(struct purse *p, size_t n)
{
    take(p, "bytes_out", (int64_t)n);
}

bool purse_asking(const struct purse *p)
{
    return p->asking;
}

void purse_set_asking(struct purse *p, bool asking)
{
    p->asking = asking;
}
