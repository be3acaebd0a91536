/* Actions that no request can ever get to, since another one wins wherever they match. What is said here is certain; what is not said may still be so: conditions
 * on query and body, and patterns with '*' in the middle, are not compared. */
#include "config/loader.h"

#include <stdlib.h>

enum { COMPARED_MAX = 4000 };         /* of one tool; each is compared with each that could win over it */

/* Every path that `narrow` matches, `wide` matches too. */
static bool path_covers(const char *wide, const char *narrow)
{
    size_t n = strlen(wide);
    if (strcmp(wide, narrow) == 0)
        return true;
    if (n < 3 || strcmp(wide + n - 3, "/**") != 0 || strcspn(wide, "*") != n - 2)
        return false;                 /* only a literal folder and all below it */
    return strncmp(wide, narrow, n - 2) == 0 && narrow[n - 2] != 0;
}

static bool methods_cover(const struct action *wide, const struct action *narrow)
{
    if (wide->method_count == 0)
        return true;
    for (size_t i = 0; i < narrow->method_count; i++) {
        bool found = false;
        for (size_t k = 0; k < wide->method_count && !found; k++)
            found = wide->methods[k] != NULL && narrow->methods[i] != NULL && strcmp(wide->methods[k], narrow->methods[i]) == 0;
        if (!found)
            return false;
    }
    return narrow->method_count > 0;
}

static unsigned rank(const struct action *a)
{
    return (unsigned)a->requirement * 2 + (a->requirement == NEED_GRANT && a->durable);
}

void check_reach(struct load *l, const struct tool *t, const config_setting_t *actions)
{
    const struct action **wide = calloc(t->action_count + 1, sizeof *wide);
    size_t n = 0;
    if (wide == NULL) {
        l->no_memory = true;
        return;
    }
    for (size_t i = 0; i < t->action_count; i++)
        if (t->actions[i].query_count == 0 && t->actions[i].body_count == 0 && t->actions[i].path != NULL && n < COMPARED_MAX)
            wide[n++] = &t->actions[i];
    for (size_t i = 0; i < t->action_count && i < COMPARED_MAX; i++)
        for (size_t k = 0; k < n; k++) {
            const struct action *a = &t->actions[i], *w = wide[k];
            bool wins = rank(w) > rank(a) || (rank(w) == rank(a) && w < a);
            if (w == a || a->path == NULL || !wins || !path_covers(w->path, a->path) || !methods_cover(w, a))
                continue;
            report_warning(l, element_of(actions, i), NULL, "can never be the one that counts: \"%s\" %s, and matches whatever this matches",
                           w->name ? w->name : "another action", rank(w) > rank(a) ? "is stricter" : "comes first");
            break;
        }
    free(wide);
}
