#include "config/changes.h"

#include "config/loader.h"

#include <stdarg.h>
#include <stdlib.h>

struct walk {
    struct changes *out;
    const config_setting_t *before;   /* the whole policy before */
    bool no_memory;
};

/* Where a line is: the words before it, and of a person whether all her groups give rights and nothing else. */
struct place {
    const char *words;
    const config_setting_t *person;   /* before; NULL: not within a person */
    bool only_rights;
};

/* Two operators sign this line: nothing in it may look like something else, so only printable ASCII stands as it is. Takes text. */
static char *plain(char *text)
{
    char *out = malloc(strlen(text) * 4 + 1);
    size_t n = 0;
    for (const char *at = text; out != NULL && *at != 0; at++) {
        if (*at >= 0x20 && *at <= 0x7e)
            out[n++] = *at;
        else
            n += (size_t)snprintf(out + n, 5, "\\x%02x", (unsigned char)*at);
    }
    if (out != NULL)
        out[n] = 0;
    free(text);
    return out;
}

static void note(struct walk *w, bool wider, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void note(struct walk *w, bool wider, const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    text = n >= 0 ? plain(text) : NULL;
    struct change *more = text ? realloc(w->out->v, (w->out->count + 1) * sizeof *more) : NULL;
    if (more == NULL) {
        free(text);
        w->no_memory = true;
        return;
    }
    w->out->v = more;
    w->out->v[w->out->count++] = (struct change){ text, wider };
    w->out->wider += wider;
}

static char *value_of(struct walk *w, const struct setting *row, const config_setting_t *s)
{
    char *v = s ? setting_value(NULL, row, s) : strdup("");
    if (v != NULL && v[0] == 0 && row->fallback != NULL) {   /* left out: its default */
        free(v);
        v = strdup(row->fallback);
    }
    if (v == NULL)
        w->no_memory = true;
    return v;
}

/* ---- does a group only give rights? ---- */

static bool names_group(const struct setting *row, const config_setting_t *s, const char *group)
{
    if (row->shape == SHAPE_TEXT)
        return strcmp(config_setting_get_string(s) ? config_setting_get_string(s) : "", group) == 0;
    for (int i = 0; row->shape == SHAPE_TEXTS && i < config_setting_length(s); i++) {
        const char *text = config_setting_get_string(element_of(s, (size_t)i));
        if (text != NULL && strcmp(text, group) == 0)
            return true;
    }
    return false;
}

/* Is the group named where it does more than give its members rights, or where that isn't known? */
static bool does_more(const struct section *section, const config_setting_t *group, const char *name)
{
    for (const struct setting *row = section->settings; row->name != NULL; row++) {
        const config_setting_t *s = member_of(group, row->name);
        if (s == NULL || row->gives)
            continue;
        if (row->form == &form_name && strcmp(row->name, "name") != 0 && names_group(row, s, name))
            return true;
        if (row->shape == SHAPE_GROUP && does_more(row->sub, s, name))
            return true;
        for (int i = 0; row->shape == SHAPE_LIST && i < config_setting_length(s); i++)
            if (does_more(row->sub, element_of(s, (size_t)i), name))
                return true;
    }
    return false;
}

static bool only_rights(const struct walk *w, const config_setting_t *person)
{
    const config_setting_t *groups = member_of(person, "groups");
    for (int i = 0; groups != NULL && i < config_setting_length(groups); i++)
        if (does_more(&settings_root, w->before, config_setting_get_string(element_of(groups, (size_t)i))))
            return false;
    return true;
}

/* ---- single values ---- */

static bool number_of(const struct setting *row, const char *value, int64_t *out)
{
    char text[64], *end = NULL;
    size_t n = strlen(value);
    if (row->shape == SHAPE_COUNT) {
        *out = strtoll(value, &end, 10);
        return end != value && *end == 0;
    }
    if ((row->shape != SHAPE_SIZE && row->shape != SHAPE_TIME) || n < 2 || n > sizeof text)
        return false;
    memcpy(text, value + 1, n - 2);
    text[n - 2] = 0;
    return (row->shape == SHAPE_TIME ? duration_parse : size_parse)(text, out);
}

static bool value_narrows(const struct setting *row, const char *before, const char *after)
{
    int64_t b = 0, a = 0;
    if (row->narrows == NARROWS_HARMLESS || (row->narrowest != NULL && strcmp(after, row->narrowest) == 0))
        return true;
    if (!number_of(row, before, &b) || !number_of(row, after, &a))
        return false;
    return row->narrows == NARROWS_LESS    ? a < b
           : row->narrows == NARROWS_MORE  ? a > b
           : row->narrows == NARROWS_LIMIT ? a > 0 && (b == 0 || a < b)
                                           : false;
}

static void compare_value(struct walk *w, const struct setting *row, const config_setting_t *before, const config_setting_t *after, const struct place *at)
{
    char *b = value_of(w, row, before), *a = value_of(w, row, after);
    int64_t was = 0, is = 0;
    if (a != NULL && b != NULL && strcmp(a, b) != 0 && !(number_of(row, b, &was) && number_of(row, a, &is) && was == is))
        note(w, !value_narrows(row, b, a), row->content ? "%s%s: the file's content changes, from %s to %s" : "%s%s: %s becomes %s", at->words, row->name, b[0] ? b : "(none)",
             a[0] ? a : "(none)");
    free(a);
    free(b);
}

/* ---- lists of texts ---- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The texts, sorted; what they point to stays the tree's. *count_out 0 for none. */
static const char **sorted_texts(struct walk *w, const config_setting_t *s, size_t *count_out)
{
    size_t n = s ? (size_t)config_setting_length(s) : 0;
    const char **v = calloc(n + 1, sizeof *v);
    *count_out = v ? n : 0;
    w->no_memory |= v == NULL;
    for (size_t i = 0; i < *count_out; i++)
        v[i] = config_setting_get_string(element_of(s, i));
    if (v != NULL)
        qsort(v, n, sizeof *v, by_text);
    return v;
}

static bool has_text(const char *const *v, size_t n, const char *text)
{
    return n > 0 && bsearch(&text, v, n, sizeof *v, by_text) != NULL;
}

static void note_text(struct walk *w, const struct setting *row, const struct place *at, const char *text, bool gained)
{
    bool group = row->narrows == NARROWS_PERSON && row->gives;
    bool narrower = gained ? row->narrows == NARROWS_MORE
                           : row->narrows == NARROWS_FEWER || (row->narrows == NARROWS_PERSON && (group ? !does_more(&settings_root, w->before, text) : at->only_rights));
    if (group)
        note(w, !narrower, "group %s %s %s", text, gained ? "gains" : "loses", config_setting_get_string(member_of(at->person, "name")));
    else
        note(w, !narrower, "%s%s %s \"%s\"", at->words, row->name, gained ? "gains" : "loses", text);
}

static void compare_texts(struct walk *w, const struct setting *row, const config_setting_t *before, const config_setting_t *after, const struct place *at)
{
    size_t b_count = 0, a_count = 0;
    if (row->fallback != NULL && row->fallback[0] == '[' && strcmp(row->fallback, "[ ]") != 0 && (before == NULL || after == NULL)) {
        compare_value(w, row, before, after, at);   /* its default is a list of its own */
        return;
    }
    const char **b = sorted_texts(w, before, &b_count), **a = sorted_texts(w, after, &a_count);
    for (size_t i = 0; i < a_count; i++)
        if (!has_text(b, b_count, a[i]))
            note_text(w, row, at, a[i], true);
    for (size_t i = 0; i < b_count; i++)
        if (!has_text(a, a_count, b[i]))
            note_text(w, row, at, b[i], false);
    free(a);
    free(b);
}

/* ---- lists of groups ---- */

struct element {
    char *key;                        /* what names it among its like */
    const config_setting_t *at;
    size_t order;
};
struct elements {
    struct element *v;                /* sorted by key */
    size_t count;
    bool unique;
};

static char *key_of(const struct setting *row, const config_setting_t *e)
{
    static const char *const names[] = { "name", "group", "action" };
    char *key = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const config_setting_t *name = member_of(e, names[i]), *when = member_of(e, "when");
        const char *text = name ? config_setting_get_string(name) : NULL, *hours = when ? config_setting_get_string(when) : NULL;
        if (text != NULL)
            return asprintf(&key, "%s%s%s", text, hours ? " at " : "", hours ? hours : "") < 0 ? NULL : key;
    }
    return setting_value(NULL, &(struct setting){ .name = row->name, .shape = SHAPE_GROUP, .sub = row->sub }, e);
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct element *)a)->key, ((const struct element *)b)->key);
}

static struct elements sorted_elements(struct walk *w, const struct setting *row, const config_setting_t *s)
{
    size_t n = s ? (size_t)config_setting_length(s) : 0;
    struct elements e = { .v = calloc(n + 1, sizeof *e.v), .unique = true };
    for (size_t i = 0; e.v != NULL && i < n; i++) {
        e.v[i] = (struct element){ key_of(row, element_of(s, i)), element_of(s, i), i };
        if (e.v[i].key == NULL)
            break;
        e.count++;
    }
    if (e.v == NULL || e.count != n) {
        w->no_memory = true;
        return e;
    }
    qsort(e.v, n, sizeof *e.v, by_key);
    for (size_t i = 1; i < n; i++)
        e.unique &= strcmp(e.v[i - 1].key, e.v[i].key) != 0;
    return e;
}

static void elements_done(struct elements *e)
{
    for (size_t i = 0; i < e->count; i++)
        free(e->v[i].key);
    free(e->v);
}

static const struct element *same_key(const struct elements *e, const char *key)
{
    const struct element wanted = { (char *)(uintptr_t)key, NULL, 0 };
    return e->count > 0 ? bsearch(&wanted, e->v, e->count, sizeof *e->v, by_key) : NULL;
}

/* Asked for at any hour: then one more entry can never make possible what was not. */
static bool asked_always(const config_setting_t *needs)
{
    for (int i = 0; needs != NULL && i < config_setting_length(needs); i++)
        if (member_of(element_of(needs, (size_t)i), "when") == NULL)
            return true;
    return false;
}

/* An action that refuses, and says nothing else: it wins wherever it matches. */
static bool only_refuses(const config_setting_t *action)
{
    const config_setting_t *allow = member_of(action, "allow");
    const char *text = allow ? config_setting_get_string(allow) : NULL;
    return text != NULL && strcmp(text, "deny") == 0 && member_of(action, "cross_origin") == NULL;
}

static bool added_narrows(const struct setting *row, const config_setting_t *before, const config_setting_t *e)
{
    return row->narrows == NARROWS_MORE || (row->narrows == NARROWS_NEEDS && asked_always(before)) || (row->narrows == NARROWS_ACTIONS && only_refuses(e));
}

static bool removed_narrows(const struct walk *w, const struct setting *row, const config_setting_t *e)
{
    return row->narrows == NARROWS_FEWER || (row->narrows == NARROWS_PERSON && only_rights(w, e));
}

/* "person", "tool", "action" … */
static const char *one_of(const struct setting *row)
{
    static const struct { const char *many, *one; } words[] = { { "people", "person" }, { "tools", "tool" }, { "actions", "action" }, { "approvers", "approver" } };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(words[i].many, row->name) == 0)
            return words[i].one;
    return row->name;
}

static void compare_section(struct walk *w, const struct section *section, const config_setting_t *before, const config_setting_t *after, const struct place *at);

static char *element_text(struct walk *w, const struct setting *row, const config_setting_t *e)
{
    const struct setting group = { .name = row->name, .shape = SHAPE_GROUP, .sub = row->sub };
    char *text = setting_value(NULL, &group, e);
    if (text == NULL)
        w->no_memory = true;
    return text;
}

/* A new person or tool, member by member; anything smaller in one line. */
static void note_added(struct walk *w, const struct setting *row, const config_setting_t *list, const struct element *e, const struct place *at)
{
    char *words = NULL, *text = NULL;
    if (row->narrows == NARROWS_PERSON || row->narrows == NARROWS_FEWER) {
        struct place in = { NULL, row->narrows == NARROWS_PERSON ? e->at : NULL, false };
        note(w, true, "%snew %s %s", at->words, one_of(row), e->key);
        if (asprintf(&words, "%snew %s %s: ", at->words, one_of(row), e->key) < 0) {
            w->no_memory = true;
            return;
        }
        in.words = words;
        compare_section(w, row->sub, NULL, e->at, &in);
    } else if ((text = element_text(w, row, e->at)) != NULL) {
        note(w, !added_narrows(row, list, e->at), "%snew %s %s", at->words, one_of(row), text);
    }
    free(words);
    free(text);
}

static void compare_elements(struct walk *w, const struct setting *row, const struct element *before, const struct element *after, const struct place *at)
{
    char *words = NULL, *b = element_text(w, row, before->at), *a = element_text(w, row, after->at);
    bool person = row->narrows == NARROWS_PERSON;
    if (a != NULL && b != NULL && strcmp(a, b) != 0) {
        if (asprintf(&words, "%s%s %s: ", at->words, one_of(row), after->key) < 0) {
            words = NULL;
            w->no_memory = true;
        } else {
            compare_section(w, row->sub, before->at, after->at, &(struct place){ words, person ? before->at : NULL, person && only_rights(w, before->at) });
        }
    }
    free(words);
    free(a);
    free(b);
}

static void compare_list(struct walk *w, const struct setting *row, const config_setting_t *before, const config_setting_t *after, const struct place *at)
{
    struct elements b = sorted_elements(w, row, before), a = sorted_elements(w, row, after);
    bool moved = false;
    if (!b.unique || !a.unique) {
        compare_value(w, row, before, after, at);
    } else if (!w->no_memory) {
        size_t *order = calloc(a.count + 1, sizeof *order), last = 0;
        for (size_t i = 0; i < a.count; i++) {
            const struct element *was = same_key(&b, a.v[i].key);
            if (was == NULL)
                note_added(w, row, before, &a.v[i], at);
            else
                compare_elements(w, row, was, &a.v[i], at);
            if (order != NULL)
                order[a.v[i].order] = was ? was->order + 1 : 0;
        }
        for (size_t i = 0; i < b.count; i++)
            if (same_key(&a, b.v[i].key) == NULL)
                note(w, !removed_narrows(w, row, b.v[i].at), "%s%s %s is taken out", at->words, one_of(row), b.v[i].key);
        for (size_t i = 0; order != NULL && i < a.count; i++) {
            moved |= order[i] > 0 && order[i] < last;
            last = order[i] > 0 ? order[i] : last;
        }
        w->no_memory |= order == NULL;
        free(order);
    }
    if (moved && row->narrows == NARROWS_ACTIONS)   /* of equals the first counts */
        note(w, true, "%sthe order of the %s", at->words, row->name);
    elements_done(&b);
    elements_done(&a);
}

/* ---- all of it ---- */

static void compare_section(struct walk *w, const struct section *section, const config_setting_t *before, const config_setting_t *after, const struct place *at)
{
    for (const struct setting *row = section->settings; row->name != NULL && !w->no_memory; row++) {
        const config_setting_t *b = member_of(before, row->name), *a = member_of(after, row->name);
        if ((b == NULL && a == NULL) || (before == NULL && strcmp(row->name, "name") == 0))
            continue;
        if (row->shape == SHAPE_LIST)
            compare_list(w, row, b, a, at);
        else if (row->shape == SHAPE_TEXTS)
            compare_texts(w, row, b, a, at);
        else if (row->shape != SHAPE_GROUP)
            compare_value(w, row, b, a, at);
        else {
            char *words = NULL;
            if (asprintf(&words, "%s%s.", at->words, row->name) < 0) {
                w->no_memory = true;
                return;
            }
            compare_section(w, row->sub, b, a, &(struct place){ words, at->person, at->only_rights });
            free(words);
        }
    }
}

enum status config_changes(const char *before, const char *after, struct changes *out, struct err *err)
{
    config_t b, a;
    struct walk w = { .out = out };
    enum status st = OK;
    *out = (struct changes){ 0 };
    config_init(&b);
    config_init(&a);
    if (config_read_string(&b, before) != CONFIG_TRUE || config_read_string(&a, after) != CONFIG_TRUE) {
        st = fail(err, BAD_INPUT, "a policy that was kept can't be read");
    } else {
        w.before = config_root_setting(&b);
        compare_section(&w, &settings_root, w.before, config_root_setting(&a), &(struct place){ "", NULL, false });
        if (w.no_memory)
            st = fail(err, NO_MEMORY, "comparing policies");
    }
    config_destroy(&b);
    config_destroy(&a);
    return st;
}

void changes_done(struct changes *c)
{
    for (size_t i = 0; i < c->count; i++)
        free(c->v[i].text);
    free(c->v);
    *c = (struct changes){ 0 };
}

/* Which of the lines, wider ones first, fit; returns how many do not. f NULL: only count. */
static size_t put_lines(const struct changes *c, FILE *f, size_t max)
{
    size_t used = 0, left_out = 0;
    bool first = true;
    for (int wider = 1; wider >= 0; wider--)
        for (size_t i = 0; i < c->count; i++) {
            const char *end = wider ? "" : " (narrower)";
            size_t n = strlen(c->v[i].text) + strlen(end) + 1;
            if (c->v[i].wider != (wider == 1))
                continue;
            if (left_out > 0 || used + n > max) {
                left_out++;
                continue;
            }
            used += n;
            if (f != NULL)
                fprintf(f, "%s%s%s", first ? "" : "\n", c->v[i].text, end);
            first = false;
        }
    return left_out;
}

char *changes_text(const struct changes *c, size_t max)
{
    char *text = NULL;
    size_t len = 0, left_out = put_lines(c, NULL, max);
    FILE *f = open_memstream(&text, &len);
    if (f == NULL)
        return NULL;
    if (left_out > 0)
        fprintf(f, "%zu of %zu changes are not shown here: `countersign policy show -c FILE` at the gateway shows all\n", left_out, c->count);
    (void)put_lines(c, f, max);
    if (fclose(f) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
