#include "config/config.h"

#include "config/forms.h"
#include "config/index.h"
#include "proxy/base/file.h"

#include <stdlib.h>

struct config *config_ref(struct config *c)
{
    __atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED);
    return c;
}

void config_unref(struct config *c)
{
    if (c == NULL || __atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    struct arena memory = c->memory;
    free(c);
    arena_done(&memory);
}

static int compare_slice(struct slice a, struct slice b)
{
    int order = memcmp(a.ptr, b.ptr, a.len < b.len ? a.len : b.len);
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static const struct person *find_sorted(const struct config *c, struct slice identity)
{
    size_t low = 0, high = c->identity_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = compare_slice(identity, slice_str(c->by_identity[mid].identity));
        if (order == 0)
            return c->by_identity[mid].person;
        if (order < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}

const struct person *config_person(const struct config *c, struct slice identity)
{
    if (identity.len == 0)
        return NULL;
    if (c->by_identity != NULL)
        return find_sorted(c, identity);
    for (size_t i = 0; i < c->person_count; i++)
        for (size_t k = 0; k < c->people[i].identity_count; k++)
            if (slice_eq(slice_str(c->people[i].identities[k]), identity))
                return &c->people[i];
    return NULL;
}

bool config_serves_port(const struct config *c, unsigned port)
{
    bool found = port == c->public_port;
    for (size_t i = 0; i < c->listener_count; i++)
        found = found || c->listeners[i].port == port;
    return found;
}

bool person_in_group(const struct person *p, const char *group)
{
    for (size_t i = 0; i < p->group_count; i++)
        if (strcmp(p->groups[i], group) == 0)
            return true;
    return false;
}

bool person_in_any(const struct person *p, char *const *groups, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (person_in_group(p, groups[i]))
            return true;
    return false;
}

const struct tool *config_tool(const struct config *c, struct slice name)
{
    for (size_t i = 0; i < c->tool_count; i++)
        if (slice_eq(slice_str(c->tools[i].name), name))
            return &c->tools[i];
    return NULL;
}

char *config_origin(const struct config *c, const char *host)
{
    char *out = NULL;
    int n = c->public_port == 443 ? asprintf(&out, "https://%s", host) : asprintf(&out, "https://%s:%u", host, c->public_port);
    return n < 0 ? NULL : out;
}

char *config_path(const struct config *c, const char *name)
{
    return file_join(c->state, name);
}

const char *person_mail(const struct person *p)
{
    return p->mail ? p->mail : p->identity_count > 0 ? p->identities[0] : NULL;
}

const struct notice_target *config_notice_target(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->notice_count; i++)
        if (strcmp(c->notices[i].name, name) == 0)
            return &c->notices[i];
    return NULL;
}

bool config_audit_remote(const struct config *c)
{
    return c->audit.webhook != NULL || (c->audit.syslog != NULL && strncmp(c->audit.syslog, "tls:", 4) == 0);
}

bool config_wants_courier(const struct config *c)
{
    for (size_t i = 0; i < c->issuer_count; i++)
        if (c->issuers[i].jwks_url != NULL)
            return true;
    return c->notice_count > 0 || c->copy_to != NULL || config_audit_remote(c);
}
