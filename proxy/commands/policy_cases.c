#include "proxy/commands/policy_cases.h"

#include <stdio.h>
#include <string.h>

enum { LINE_BYTES = 4096, WORDS = 64, FIXED_WORDS = 3, SAID_BYTES = 1024 };

struct policy_case {
    struct question q;
    const char *answer, *action, *by; /* action, by NULL: whichever */
    char body[LINE_BYTES + 1];
};

/* Cuts the line into words, in place. WORDS: there are more. */
static size_t words_of(char *line, char *words[WORDS])
{
    size_t n = 0;
    for (char *w = strtok_r(line, " \t", &line); w != NULL; w = strtok_r(NULL, " \t", &line)) {
        if (n == WORDS)
            return WORDS;
        words[n++] = w;
    }
    return n;
}

static bool answer_known(const char *word)
{
    static const char *const known[] = { "grant", "signoff", "deny", "refused" };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(word, known[i]) == 0)
            return true;
    return false;
}

/* What stands behind the arrow. */
static const char *read_wanted(char *const *words, size_t n, struct policy_case *t)
{
    size_t i = 0;
    if (n == 0 || !answer_known(words[0]))
        return "behind -> stands grant, signoff, deny or refused";
    t->answer = words[i++];
    if (i < n && strcmp(words[i], "by") != 0)
        t->action = words[i++];
    if (i + 1 < n && strcmp(words[i], "by") == 0) {
        t->by = words[i + 1];
        i += 2;
    }
    if (i < n)
        return "behind the answer stand at most an action, and `by` with names parted by commas";
    if (t->by != NULL && strcmp(t->answer, "grant") != 0 && strcmp(t->answer, "signoff") != 0)
        return "nobody's yes is asked for where the answer is deny or refused: leave `by` out";
    return strcmp(t->answer, "refused") == 0 && t->action != NULL ? "no action decides what the gateway itself refuses" : NULL;
}

/* NULL, or what is wrong with it. */
static const char *read_case(char *line, struct policy_case *t)
{
    char *words[WORDS];
    size_t n = words_of(line, words), arrow = 0, len = 0;
    while (arrow < n && strcmp(words[arrow], "->") != 0)
        arrow++;
    if (n == WORDS || arrow == n || arrow < FIXED_WORDS)
        return "expected IDENTITY METHOD URL [NAME=VALUE ...] -> grant, signoff, deny or refused";
    *t = (struct policy_case){ .q = { words[0], words[1], words[2], t->body } };
    for (size_t i = FIXED_WORDS; i < arrow; i++) {
        if (strchr(words[i], '=') == NULL)
            return "between URL and -> stand fields of the body: NAME=VALUE";
        len += (size_t)snprintf(t->body + len, sizeof t->body - len, "%s%s", len > 0 ? "&" : "", words[i]);
    }
    return read_wanted(words + arrow + 1, n - arrow - 1, t);
}

static bool listed(const char *names, const char *name)
{
    const size_t len = strlen(name);
    for (const char *at = names; *at != 0; at += *at == ',') {
        const size_t n = strcspn(at, ",");
        if (n == len && memcmp(at, name, n) == 0)
            return true;
        at += n;
    }
    return false;
}

static size_t names_in(const char *names)
{
    size_t n = 1;
    for (const char *at = names; *at != 0; at++)
        n += *at == ',';
    return n;
}

/* The same people, in whatever order. */
static bool same_people(const char *names, const json_t *people)
{
    size_t i;
    json_t *each;
    if (json_array_size(people) == 0)
        return strcmp(names, "nobody") == 0;
    json_array_foreach((json_t *)(uintptr_t)people, i, each)
        if (!listed(names, json_string_value(each)))
            return false;
    return names_in(names) == json_array_size(people);
}

static const json_t *people_of(const json_t *answer)
{
    const char *requirement = json_string_value(json_object_get(answer, "requirement"));
    return json_object_get(answer, strcmp(requirement, "signoff") == 0 ? "signoff_by" : "approvers");
}

static void say_got(const json_t *answer, bool people, char out[SAID_BYTES])
{
    const char *action = json_string_value(json_object_get(answer, "action"));
    size_t i, n;
    json_t *each;
    n = (size_t)snprintf(out, SAID_BYTES, "%s%s%s%s", json_string_value(json_object_get(answer, "requirement")), action ? " " : "", action ? action : "", people ? " by " : "");
    if (!people)
        return;
    if (json_array_size(people_of(answer)) == 0)
        snprintf(out + n, SAID_BYTES - n, "nobody");
    json_array_foreach((json_t *)(uintptr_t)people_of(answer), i, each)
        if (n < SAID_BYTES)
            n += (size_t)snprintf(out + n, SAID_BYTES - n, "%s%s", i ? "," : "", json_string_value(each));
}

static bool as_wanted(const struct policy_case *t, const json_t *answer)
{
    const char *action = json_string_value(json_object_get(answer, "action"));
    return strcmp(t->answer, json_string_value(json_object_get(answer, "requirement"))) == 0 && (t->action == NULL || (action != NULL && strcmp(t->action, action) == 0))
           && (t->by == NULL || same_people(t->by, people_of(answer)));
}

/* BAD_INPUT: it cannot be asked. */
static enum status ask(const struct config *c, const struct policy_case *t, unsigned line, json_t **out, struct err *err)
{
    struct err refused = { .text = "" };
    char got[SAID_BYTES] = "refused", expected[SAID_BYTES];
    json_t *answer = NULL;
    const char *why = refused.text;
    enum status st = explain_request(c, &t->q, &answer, &refused);
    if (st != OK && st != REFUSED)
        return fail(err, st, "%s", refused.text);
    bool good = st == OK ? as_wanted(t, answer) : strcmp(t->answer, "refused") == 0;
    if (st == OK) {
        say_got(answer, t->by != NULL, got);
        why = json_string_value(json_object_get(answer, "why"));
    }
    snprintf(expected, sizeof expected, "%s%s%s%s%s", t->answer, t->action ? " " : "", t->action ? t->action : "", t->by ? " by " : "", t->by ? t->by : "");
    *out = json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:b}", "line", (json_int_t)line, "identity", t->q.identity, "method", t->q.method, "url", t->q.url, "expected",
                     expected, "got", got, "why", why, "ok", good);
    json_decref(answer);
    return *out != NULL ? OK : fail(err, BAD_INPUT, "it is not UTF-8 text");
}

static bool has_controls(struct slice line)
{
    for (size_t i = 0; i < line.len; i++)
        if ((line.ptr[i] < 0x20 && line.ptr[i] != '\t') || line.ptr[i] == 0x7f)
            return true;
    return false;
}

/* Nothing for an empty line or a comment. */
static enum status one_line(const struct config *c, struct slice text, unsigned line, json_t *tests, struct err *err)
{
    static struct policy_case t;      /* large, and commands have one thread */
    char copy[LINE_BYTES + 1];
    json_t *result = NULL;
    if (text.len > LINE_BYTES || has_controls(text))
        return fail(err, BAD_INPUT, "a line has at most %d bytes, and no control characters", LINE_BYTES);
    json_t *utf8 = json_stringn((const char *)text.ptr, text.len);
    json_decref(utf8);
    if (utf8 == NULL)
        return fail(err, BAD_INPUT, "the line is not UTF-8 text");
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = 0;
    const size_t blank = strspn(copy, " \t");
    if (copy[blank] == 0 || copy[blank] == '#')
        return OK;
    const char *wrong = read_case(copy, &t);
    enum status st = wrong ? fail(err, BAD_INPUT, "%s", wrong) : ask(c, &t, line, &result, err);
    return st == OK && json_array_append_new(tests, result) != 0 ? fail(err, NO_MEMORY, "tests") : st;
}

static size_t passed(const json_t *tests)
{
    size_t i, n = 0;
    json_t *t;
    json_array_foreach((json_t *)(uintptr_t)tests, i, t)
        n += json_is_true(json_object_get(t, "ok"));
    return n;
}

enum status policy_cases_run(const struct config *c, struct slice text, const char *name, json_t **out, struct err *err)
{
    json_t *tests = json_array();
    enum status st = tests ? OK : fail(err, NO_MEMORY, "tests");
    unsigned line = 1;
    for (; st == OK && text.len > 0; line++) {
        const size_t end = slice_find(text, '\n');
        st = one_line(c, slice_of(text.ptr, end), line, tests, err);
        text = end < text.len ? slice_from(text, end + 1) : slice_of(NULL, 0);
    }
    if (st != OK)
        err_prefix(err, "%s:%u: ", name, line - 1);
    if (st == OK && json_array_size(tests) == 0)
        st = fail(err, BAD_INPUT, "'%s' holds no test, so nothing was tried. Next: write one a line, IDENTITY METHOD URL -> ANSWER", name);
    const size_t good = passed(tests), all = json_array_size(tests);
    json_t *result = st == OK ? json_pack("{s:I, s:I, s:O}", "passed", (json_int_t)good, "failed", (json_int_t)(all - good), "tests", tests) : NULL;
    json_decref(tests);
    if (st == OK && result == NULL)
        st = fail(err, NO_MEMORY, "tests");
    if (st == OK)
        *out = result;
    return st;
}
