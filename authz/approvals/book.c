#include "authz/approvals/book.h"

#include "authz/budget.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct value {                        /* line, space, digest: short and hashed already, so no peer chooses its place */
    char key[BUDGET_NAME_MAX + 48];
    UT_hash_handle hh;
};

struct line {
    char name[BUDGET_NAME_MAX];
    int64_t spent;
};

struct entry {
    char grant_id[32];
    struct line lines[BUDGET_LINES_MAX];
    size_t line_count;
    struct value *values;
    UT_hash_handle hh;
};

struct book {
    struct entry *entries;
};

struct book *book_new(void)
{
    return calloc(1, sizeof(struct book));
}

static struct entry *find(const struct book *b, const char *grant_id)
{
    struct entry *e = NULL;
    if (b == NULL)
        return NULL;
    HASH_FIND_STR(b->entries, grant_id, e);
    return e;
}

static void drop(struct book *b, struct entry *e)
{
    struct value *v, *next;
    HASH_ITER(hh, e->values, v, next)
    {
        HASH_DEL(e->values, v);
        free(v);
    }
    HASH_DEL(b->entries, e);
    free(e);
}

void book_close(struct book *b, const char *grant_id)
{
    struct entry *e = find(b, grant_id);
    if (e != NULL)
        drop(b, e);
}

void book_free(struct book *b)
{
    struct entry *e, *next;
    if (b == NULL)
        return;
    HASH_ITER(hh, b->entries, e, next)
        drop(b, e);
    free(b);
}

static bool value_key(const char *line, const char *digest, char out[BUDGET_NAME_MAX + 48])
{
    return strlen(digest) == 43 && strlen(line) < BUDGET_NAME_MAX && snprintf(out, BUDGET_NAME_MAX + 48, "%s %s", line, digest) > 0;
}

static struct entry *entry_for(struct book *b, const char *grant_id)
{
    struct entry *e = find(b, grant_id);
    if (e != NULL)
        return e;
    e = calloc(1, sizeof *e);
    if (e == NULL)
        return NULL;
    memcpy(e->grant_id, grant_id, strlen(grant_id) + 1);
    HASH_ADD_STR(b->entries, grant_id, e);
    if (e->hh.tbl == NULL) {
        free(e);
        return NULL;
    }
    return e;
}

static struct line *line_for(struct entry *e, const char *name)
{
    for (size_t i = 0; i < e->line_count; i++)
        if (strcmp(e->lines[i].name, name) == 0)
            return &e->lines[i];
    if (e->line_count == BUDGET_LINES_MAX || name[0] == 0 || strlen(name) >= BUDGET_NAME_MAX)
        return NULL;
    struct line *l = &e->lines[e->line_count++];
    memcpy(l->name, name, strlen(name) + 1);
    return l;
}

static enum status add_value(struct entry *e, struct line *l, const char *digest, struct err *err)
{
    struct value *v = calloc(1, sizeof *v), *there = NULL;
    if (v == NULL)
        return fail(err, NO_MEMORY, "budget");
    bool sound = value_key(l->name, digest, v->key);
    if (sound)
        HASH_FIND_STR(e->values, v->key, there);
    if (!sound || there != NULL) {
        free(v);
        return fail(err, CORRUPT, "a leased value of '%s' is broken, or there twice", l->name);
    }
    HASH_ADD_STR(e->values, key, v);
    if (v->hh.tbl == NULL) {
        free(v);
        return fail(err, NO_MEMORY, "budget");
    }
    l->spent++;
    return OK;
}

static enum status apply_line(struct entry *e, const json_t *line, struct err *err)
{
    const char *name = json_string_value(json_object_get(line, "name")), *digest = json_string_value(json_object_get(line, "hash"));
    if (digest == NULL)               /* as earlier versions wrote them */
        digest = json_string_value(json_object_get(line, "digest"));
    json_int_t amount = json_integer_value(json_object_get(line, "amount"));
    struct line *l = name ? line_for(e, name) : NULL;
    if (l == NULL || (digest == NULL && (amount < 1 || amount > INT64_MAX - l->spent)))
        return fail(err, CORRUPT, "a line of a budget is broken");
    if (digest != NULL)
        return add_value(e, l, digest, err);
    l->spent += amount;
    return OK;
}

enum status book_apply(struct book *b, const json_t *content, struct err *err)
{
    const char *grant_id = json_string_value(json_object_get(content, "grant_id"));
    json_t *line;
    size_t i;
    struct entry *e = grant_id && strlen(grant_id) < sizeof e->grant_id ? entry_for(b, grant_id) : NULL;
    enum status st = e ? OK : fail(err, NO_MEMORY, "budget");
    json_array_foreach(json_object_get(content, "lines"), i, line)
        if (st == OK)
            st = apply_line(e, line, err);
    return st;
}

int64_t book_spent(const struct book *b, const char *grant_id, const char *line)
{
    const struct entry *e = find(b, grant_id);
    for (size_t i = 0; e != NULL && i < e->line_count; i++)
        if (strcmp(e->lines[i].name, line) == 0)
            return e->lines[i].spent;
    return 0;
}

bool book_has_value(const struct book *b, const char *grant_id, const char *line, const char *digest)
{
    char key[BUDGET_NAME_MAX + 48];
    const struct entry *e = find(b, grant_id);
    struct value *v = NULL;
    if (e != NULL && value_key(line, digest, key))
        HASH_FIND_STR(e->values, key, v);
    return v != NULL;
}

static json_t *dump_page(const struct entry *e)
{
    json_t *lines = json_array();
    for (size_t i = 0; i < e->line_count; i++)
        if (strncmp(e->lines[i].name, "distinct:", 9) != 0 && e->lines[i].spent > 0)
            json_array_append_new(lines, json_pack("{s:s, s:I}", "name", e->lines[i].name, "amount", (json_int_t)e->lines[i].spent));
    for (const struct value *v = e->values; v != NULL; v = v->hh.next) {
        const char *space = strrchr(v->key, ' ');
        json_array_append_new(lines, json_pack("{s:s%, s:s}", "name", v->key, (size_t)(space - v->key), "digest", space + 1));
    }
    return json_pack("{s:s, s:o}", "grant_id", e->grant_id, "lines", lines);
}

json_t *book_dump(const struct book *b)
{
    json_t *pages = json_array();
    for (const struct entry *e = b ? b->entries : NULL; e != NULL && pages != NULL; e = e->hh.next)
        if (json_array_append_new(pages, dump_page(e)) != 0) {
            json_decref(pages);
            return NULL;
        }
    return pages;
}
