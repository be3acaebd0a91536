/* Others who may issue grants: names that differ, tools and actions that exist. Their keys are read by authz (authz/external.h). */
#include "config/loader.h"

#include <stdlib.h>

static const struct tool *tool_named(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->tool_count; i++)
        if (c->tools[i].name != NULL && strcmp(c->tools[i].name, name) == 0)
            return &c->tools[i];
    return NULL;
}

static bool has_action(const struct tool *t, const char *name)
{
    for (size_t i = 0; i < t->action_count; i++)
        if (t->actions[i].name != NULL && strcmp(t->actions[i].name, name) == 0)
            return t->actions[i].requirement != NEED_DENY;
    return false;
}

/* A name that no tool of the issuer has is a mistake in spelling. */
static bool somewhere(const struct config *c, const struct issuer *i, const char *action)
{
    bool unknown = false;
    for (size_t k = 0; k < i->tool_count; k++) {
        const struct tool *t = i->tools[k] ? tool_named(c, i->tools[k]) : NULL;
        unknown = unknown || t == NULL;   /* reported already */
        if (t != NULL && has_action(t, action))
            return true;
    }
    return unknown;
}

/* Keys of a file or of a URL; what belongs to the other is a mistake, not a setting without effect. */
static void check_keys(struct load *l, const struct issuer *i, const config_setting_t *at)
{
    static const char *const of_url[] = { "jwks_ca_file", "jwks_refresh", "jwks_max_age" };
    bool file = member_of(at, "jwks_file") != NULL, url = member_of(at, "jwks_url") != NULL;
    if (file && url)
        report(l, member_of(at, "jwks_url"), NULL, "stands beside jwks_file; expected one or the other");
    if (!file && !url)
        report(l, at, "jwks_file", "is missing; expected a file with the issuer's public keys, or `jwks_url`, where they are fetched");
    for (size_t k = 0; k < sizeof of_url / sizeof *of_url && !url; k++)
        if (member_of(at, of_url[k]) != NULL)
            report(l, member_of(at, of_url[k]), NULL, "has no effect without jwks_url; expected it to be left out");
    if (url && i->jwks_max_age_ms < 2 * i->jwks_refresh_ms)
        report(l, member_of(at, "jwks_url"), NULL, "is fetched every jwks_refresh, which must be half of jwks_max_age or less: one failure would end every grant");
}

static void check_issuer(struct load *l, const struct issuer *i, const config_setting_t *at)
{
    const struct config *c = l->out;
    check_keys(l, i, at);
    if (i->iss != NULL && c->instance != NULL && strcmp(i->iss, c->instance) == 0)
        report(l, member_of(at, "iss"), NULL, "is this gateway's own `instance`; expected the name of somebody else");
    for (size_t k = 0; k < i->tool_count; k++)
        if (i->tools[k] != NULL && tool_named(c, i->tools[k]) == NULL)
            report(l, member_of(at, "tools"), NULL, "there is no tool \"%s\"; expected names of tools", i->tools[k]);
    for (size_t k = 0; k < i->action_count; k++)
        if (i->actions[k] != NULL && strcmp(i->actions[k], "*") != 0 && !somewhere(c, i, i->actions[k]))
            report(l, member_of(at, "actions"), NULL, "\"%s\" is no action of these tools, or one that is always denied; expected names of actions, or \"*\"", i->actions[k]);
    if (i->action_count > 1)
        for (size_t k = 0; k < i->action_count; k++)
            if (i->actions[k] != NULL && strcmp(i->actions[k], "*") == 0)
                report(l, member_of(at, "actions"), NULL, "\"*\" stands beside names; expected one or the other");
}

void check_issuers(struct load *l, const config_setting_t *issuers)
{
    const struct config *c = l->out;
    struct named *names = calloc(c->issuer_count + 1, sizeof *names), *isses = calloc(c->issuer_count + 1, sizeof *isses);
    size_t name_count = 0, iss_count = 0;
    if (names == NULL || isses == NULL)
        l->no_memory = true;
    for (size_t i = 0; names != NULL && isses != NULL && i < c->issuer_count; i++) {
        const config_setting_t *at = element_of(issuers, i);
        if (c->issuers[i].name != NULL)
            names[name_count++] = (struct named){ c->issuers[i].name, member_of(at, "name"), i };
        if (c->issuers[i].iss != NULL)
            isses[iss_count++] = (struct named){ c->issuers[i].iss, member_of(at, "iss"), i };
        check_issuer(l, &c->issuers[i], at);
    }
    if (names != NULL && isses != NULL) {
        check_unique(l, names, name_count, NULL, "each issuer to have its own name");
        check_unique(l, isses, iss_count, NULL, "each issuer to have its own `iss`");
    }
    free(names);
    free(isses);
}
