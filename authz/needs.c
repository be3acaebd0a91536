/* Whose yes counts. Needs and persons form a bipartite graph: each place of a need ("2 of security" has two) wants its own person who is in the group.
 * They are met exactly if a matching fills every place, which augmenting paths find (Kuhn's algorithm). */
#include "authz/policy.h"

#include "config/forms.h"

enum { PEOPLE_MAX = 64, PLACES_MAX = 128, NEEDS_MAX = 32 };

struct matching {
    const struct need *needs;
    const struct person *people[PEOPLE_MAX];
    const char *methods[PEOPLE_MAX];
    size_t people_count;
    size_t taken_by[PEOPLE_MAX];      /* the need that this person fills, or NEEDS_MAX */
    bool visited[PEOPLE_MAX];
};

/* Persons may come from two snapshots of the config, so they are the same when their names are. */
static bool same_person(const struct person *a, const struct person *b)
{
    return a == b || strcmp(a->name, b->name) == 0;
}

static bool in_needed_group(const struct need *needs, size_t need_count, const struct person *p)
{
    for (size_t i = 0; i < need_count; i++)
        if (person_in_group(p, needs[i].group))
            return true;
    return false;
}

static bool method_fits(const struct need *need, const char *method)
{
    return need->method == METHOD_ANY || (method != NULL && strcmp(method, method_name(need->method)) == 0);
}

/* Find a person for one more place of this need, moving others to other needs if that helps. Depth is bounded by `visited`. */
static bool fill_place(struct matching *m, size_t need)
{
    for (size_t i = 0; i < m->people_count; i++) {
        if (m->visited[i] || !person_in_group(m->people[i], m->needs[need].group) || m->taken_by[i] == need
            || !method_fits(&m->needs[need], m->methods[i]))
            continue;
        m->visited[i] = true;
        if (m->taken_by[i] == NEEDS_MAX || fill_place(m, m->taken_by[i])) {
            m->taken_by[i] = need;
            return true;
        }
    }
    return false;
}

static void gather(struct matching *m, const struct need *needs, size_t need_count, const struct person *requester,
                   const struct person *const *approvers, const char *const *methods, size_t approver_count)
{
    for (size_t i = 0; i < approver_count && m->people_count < PEOPLE_MAX; i++) {
        const struct person *p = approvers[i];
        if (p == NULL || p->name == NULL || same_person(p, requester) || !in_needed_group(needs, need_count, p))
            continue;
        bool again = false;
        for (size_t k = 0; k < m->people_count; k++)
            again = again || same_person(m->people[k], p);
        if (again)
            continue;
        m->taken_by[m->people_count] = NEEDS_MAX;
        m->methods[m->people_count] = methods ? methods[i] : NULL;
        m->people[m->people_count++] = p;
    }
}

size_t policy_needs_at(const struct need *needs, size_t need_count, int64_t made_s, struct need out[NEEDS_AT_MAX])
{
    size_t n = 0;
    unsigned minute = hours_minute(made_s);
    if (need_count > NEEDS_AT_MAX)    /* the loader refuses more; to leave one out would be milder than what was written */
        return 0;
    for (size_t i = 0; i < need_count; i++)
        if (hours_hold(needs[i].when, minute))
            out[n++] = needs[i];
    return n;
}

bool policy_needs_met(const struct need *needs, size_t need_count, const struct person *requester,
                      const struct person *const *approvers, size_t approver_count)
{
    return policy_needs_met_by(needs, need_count, requester, approvers, NULL, approver_count);
}

bool policy_method_counts(const struct need *needs, size_t need_count, const struct person *who, const char *method)
{
    for (size_t i = 0; i < need_count; i++)
        if (person_in_group(who, needs[i].group) && method_fits(&needs[i], method))
            return true;
    return false;
}

bool policy_needs_met_by(const struct need *needs, size_t need_count, const struct person *requester, const struct person *const *approvers,
                         const char *const *methods, size_t approver_count)
{
    struct matching m = { .needs = needs };
    size_t places = 0;
    /* No need at all would be a yes without a second person: never. */
    if (need_count == 0 || need_count > NEEDS_MAX || requester == NULL || requester->name == NULL)
        return false;
    gather(&m, needs, need_count, requester, approvers, methods, approver_count);
    for (size_t i = 0; i < need_count; i++) {
        if (needs[i].count == 0 || (places += needs[i].count) > PLACES_MAX)
            return false;
        for (unsigned k = 0; k < needs[i].count; k++) {
            memset(m.visited, 0, sizeof m.visited);
            if (!fill_place(&m, i))
                return false;
        }
    }
    return true;
}

bool policy_may_approve(const struct need *needs, size_t need_count, const struct person *requester, const struct person *who)
{
    return requester != NULL && who != NULL && requester->name != NULL && who->name != NULL && !same_person(requester, who) &&
           in_needed_group(needs, need_count, who);
}
