#include "authz/actions.h"

#include <stdio.h>
#include <string.h>

static bool all(const char *actions)
{
    return strcmp(actions, "*") == 0;
}

static bool append(char out[ACTIONS_TEXT_MAX], const char *name, size_t len)
{
    size_t n = strlen(out);
    if (n + len + 2 > ACTIONS_TEXT_MAX)
        return false;
    snprintf(out + n, ACTIONS_TEXT_MAX - n, "%s%.*s", n ? "," : "", (int)len, name);
    return true;
}

static bool listed(const json_t *names, const char *name)
{
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *each = json_string_value(json_array_get(names, i));
        if (each != NULL && strcmp(each, name) == 0)
            return true;
    }
    return false;
}

bool actions_from_list(const struct tool *tool, const json_t *names, char out[ACTIONS_TEXT_MAX])
{
    size_t count = json_array_size(names), found = 0;
    out[0] = 0;
    if (count == 0) {
        snprintf(out, ACTIONS_TEXT_MAX, "*");
        return true;
    }
    for (size_t i = 0; i < tool->action_count && count <= ACTIONS_MAX; i++) {
        const struct action *a = &tool->actions[i];
        if (!listed(names, a->name))
            continue;
        if (a->requirement == NEED_DENY || !append(out, a->name, strlen(a->name)))
            return false;
        found++;
    }
    return found == count;            /* a name twice, or one that is none, makes fewer */
}

/* The next name of a list; its length, or 0. */
static size_t next(const char **at)
{
    if (**at == ',')
        ++*at;
    return strcspn(*at, ",");
}

static bool has(const char *actions, const char *name, size_t len)
{
    if (all(actions))
        return true;
    for (size_t n; (n = next(&actions)) > 0; actions += n)
        if (n == len && memcmp(actions, name, n) == 0)
            return true;
    return false;
}

bool actions_has(const char *actions, const char *name)
{
    return has(actions, name, strlen(name));
}

bool actions_within(const char *narrow, const char *wide)
{
    if (all(narrow))
        return all(wide);
    for (size_t n; (n = next(&narrow)) > 0; narrow += n)
        if (!has(wide, narrow, n))
            return false;
    return true;
}

void actions_both(const char *a, const char *b, char out[ACTIONS_TEXT_MAX])
{
    char both[ACTIONS_TEXT_MAX] = "";
    const char *from = all(a) ? b : a, *other = all(a) ? a : b;
    if (all(from))
        snprintf(both, sizeof both, "*");
    else
        for (size_t n; (n = next(&from)) > 0; from += n)
            if (has(other, from, n))
                (void)append(both, from, n);
    memcpy(out, both, sizeof both);
}

json_t *actions_list(const char *actions)
{
    json_t *list = json_array();
    for (size_t n; (n = next(&actions)) > 0; actions += n)
        json_array_append_new(list, json_stringn(actions, n));
    return list;
}
