/* People and groups: everybody once, every group somebody, and enough of them to say yes. */
#include "config/loader.h"

#include "config/index.h"

#include <stdlib.h>

static int compare_identity(const void *a, const void *b)
{
    return strcmp(((const struct identity_row *)a)->identity, ((const struct identity_row *)b)->identity);
}

/* The sorted rows that config_person searches. */
static void make_rows(struct load *l, size_t total)
{
    struct config *c = l->out;
    c->by_identity = arena_alloc(&c->memory, (total + 1) * sizeof *c->by_identity);
    if (c->by_identity == NULL) {
        l->no_memory = true;
        return;
    }
    for (size_t i = 0; i < c->person_count; i++)
        for (size_t k = 0; k < c->people[i].identity_count; k++)
            c->by_identity[c->identity_count++] = (struct identity_row){ c->people[i].identities[k], &c->people[i] };
    qsort(c->by_identity, c->identity_count, sizeof *c->by_identity, compare_identity);
}

/* Models without anybody who vouches for them would be taken at their word. */
static void check_makers(struct load *l, const config_setting_t *root)
{
    if (l->out->key_model_count > 0 && member_of(member_of(root, "keys"), "attestation_roots") == NULL)
        report(l, member_of(member_of(root, "keys"), "models"), NULL, "has no effect without attestation_roots; expected the certificates of those who vouch for them there");
}

void check_people(struct load *l)
{
    struct config *c = l->out;
    const config_setting_t *root = config_root_setting(&l->tree), *people = member_of(root, "people");
    size_t total = 0, name_count = 0, identity_count = 0;
    check_makers(l, root);
    for (size_t i = 0; i < c->person_count; i++)
        total += c->people[i].identity_count;
    struct named *names = calloc(c->person_count + 1, sizeof *names), *identities = calloc(total + 1, sizeof *identities);
    if (names == NULL || identities == NULL) {
        l->no_memory = true;
        goto done;
    }
    for (size_t i = 0; i < c->person_count; i++) {
        const config_setting_t *at = element_of(people, i);
        if (c->people[i].name != NULL)
            names[name_count++] = (struct named){ c->people[i].name, member_of(at, "name"), i };
        for (size_t k = 0; k < c->people[i].identity_count; k++, identity_count++)
            identities[identity_count] = (struct named){ c->people[i].identities[k], member_of(at, "identities"), identity_count };
    }
    if (c->person_count == 0)
        report_warning(l, root, "people", "is empty, so nobody can do anything");
    check_unique(l, names, name_count, NULL, "each person to have one entry");
    check_unique(l, identities, identity_count, NULL, "an identity to belong to one person");
    make_rows(l, total);
done:
    free(names);
    free(identities);
}

static size_t members(const struct config *c, const char *group)
{
    size_t n = 0;
    for (size_t i = 0; i < c->person_count; i++)
        n += person_in_group(&c->people[i], group);
    return n;
}

static bool group_exists(const struct config *c, const char *group)
{
    for (size_t i = 0; i < c->person_count; i++)
        if (person_in_group(&c->people[i], group))
            return true;
    return false;
}

/* A group without people is a warning and no problem: it lets nobody do anything, and the removal of its last member has to take effect on
 * reload like any other. With no people at all, as after `init`, one warning says so. */
static void check_group(struct load *l, const config_setting_t *at, const char *member, const char *group)
{
    if (l->out->person_count > 0 && !group_exists(l->out, group))
        report_warning(l, at, member, "nobody is in the group \"%s\"; expected a group that stands under people", group);
}

void check_groups(struct load *l, const config_setting_t *owner, const char *member, char *const *groups, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check_group(l, member_of(owner, member), NULL, groups[i]);
}

static bool in_subset(const struct person *p, const struct need *needs, size_t count, unsigned subset)
{
    for (size_t i = 0; i < count; i++)
        if ((subset & 1u << i) && person_in_group(p, needs[i].group))
            return true;
    return false;
}

/* Hall's theorem: the needs can be filled by distinct persons exactly if, for every subset of them, enough persons are in any of its groups.
 * Looks for the smallest surplus over all subsets; `without` is left out (the one who asks), or NULL. */
static long smallest_surplus(const struct config *c, const struct need *needs, size_t count, const struct person *without)
{
    long smallest = 1 << 30;
    for (unsigned subset = 1; subset < 1u << count; subset++) {
        long surplus = 0;
        for (size_t i = 0; i < count; i++)
            surplus -= subset & 1u << i ? (long)needs[i].count : 0;
        for (size_t i = 0; i < c->person_count; i++)
            surplus += &c->people[i] != without && in_subset(&c->people[i], needs, count, subset);
        smallest = surplus < smallest ? surplus : smallest;
    }
    return smallest;
}

/* These entries, which are asked for at the same time: can they be filled, whoever asks? False: said so, and once is enough. */
static bool check_filled(struct load *l, const config_setting_t *at, const struct tool *tool, const struct need *needs, size_t count, const char *when)
{
    const struct config *c = l->out;
    if (count == 1 && members(c, needs[0].group) > needs[0].count)
        return true;                  /* enough even without the one who asks: the usual case, thousands of times */
    if (smallest_surplus(c, needs, count, NULL) < 0) {
        report_warning(l, at, NULL, "not enough people are in these groups%s, so this can never be granted%s", when, when[0] ? " then" : "");
        return false;
    }
    for (size_t i = 0; i < c->person_count; i++)
        if (person_in_any(&c->people[i], tool->who, tool->who_count) && smallest_surplus(c, needs, count, &c->people[i]) < 0) {
            const char *name = c->people[i].name ? c->people[i].name : "somebody";
            report_warning(l, at, NULL, "when %s asks%s, not enough other people are left in these groups, so it can never be granted to %s", name, when, name);
            return false;
        }
    return true;
}

static const char *const weekdays[] = { "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday" };

/* Entries with `when`: every set of them that is ever asked for together, and the times at which none is. */
static void check_hours(struct load *l, const config_setting_t *at, const struct tool *tool, const struct need *needs, size_t count)
{
    bool seen[1u << 8] = { false };
    char when[64];
    for (unsigned minute = 0; minute < WEEK_MINUTES; minute++) {
        struct need now[8];
        size_t n = 0;
        unsigned mask = 0;
        for (size_t i = 0; i < count; i++)
            if (hours_hold(needs[i].when, minute)) {
                mask |= 1u << i;
                now[n++] = needs[i];
            }
        if (seen[mask])
            continue;
        seen[mask] = true;
        snprintf(when, sizeof when, " on %s at %02u:%02u", weekdays[minute / 1440], minute % 1440 / 60, minute % 60);
        if (n == 0)
            report_warning(l, at, NULL, "no entry is asked for%s, so nobody can approve then; expected `when` to cover the whole week, if that is not meant", when);
        else if (!check_filled(l, at, tool, now, n, when))
            return;
    }
}

void check_needs(struct load *l, const config_setting_t *owner, const char *what, const struct tool *tool, const struct need *needs, size_t count)
{
    const config_setting_t *at = member_of(owner, what);
    bool by_hours = false;
    for (size_t i = 0; i < count; i++) {
        if (needs[i].group == NULL || needs[i].count == 0)
            return;                   /* reported already */
        if (!group_exists(l->out, needs[i].group)) {
            check_group(l, element_of(at, i), "group", needs[i].group);
            return;
        }
        by_hours = by_hours || needs[i].when != NULL;
    }
    if (count == 0 || count > 8)
        return;
    if (by_hours)
        check_hours(l, at, tool, needs, count);
    else
        (void)check_filled(l, at, tool, needs, count, "");
}
