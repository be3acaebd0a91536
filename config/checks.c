/* What concerns more than one setting: names that must differ, groups that must exist, patterns that must be able to match. */
#include "config/loader.h"

#include "proxy/base/file.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HOUR_MS = 3600000, DAY_MS = 86400000 };

/* ---- unique names --------------------------------------------------------------------------------------------- */

static int compare_named(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : (x->order > y->order) - (x->order < y->order);
}

static int compare_order(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    return (x->order > y->order) - (x->order < y->order);
}

void check_unique(struct load *l, struct named *rows, size_t count, const char *member, const char *what)
{
    char buf[1100];
    size_t again = 0;
    qsort(rows, count, sizeof *rows, compare_named);
    struct named *twice = calloc(count ? 2 * count : 1, sizeof *twice);
    for (size_t i = 1, first = 0; twice != NULL && i < count; i++) {
        if (strcmp(rows[i].name, rows[first].name) != 0) {
            first = i;
            continue;
        }
        twice[2 * again] = rows[i];
        twice[2 * again++ + 1] = rows[first];
    }
    if (twice == NULL)
        l->no_memory = true;
    else
        qsort(twice, again, 2 * sizeof *twice, compare_order);   /* report in the file's order; pairs move together */
    for (size_t i = 0; twice != NULL && i < again; i++) {
        const config_setting_t *first = twice[2 * i + 1].at;
        const char *file = shown_file(l, first ? config_setting_source_file(first) : NULL, buf, sizeof buf);
        report(l, twice[2 * i].at, member, "\"%.100s\" stands at %.600s:%u already; expected %s", twice[2 * i].name, file,
               first ? (unsigned)config_setting_source_line(first) : 0, what);
    }
    free(twice);
}

/* ---- tools ---------------------------------------------------------------------------------------------------- */

static void check_tool_names(struct load *l, const config_setting_t *tools)
{
    struct config *c = l->out;
    struct named *names = calloc(c->tool_count + 1, sizeof *names), *hosts = calloc(c->tool_count + 1, sizeof *hosts);
    size_t name_count = 0, host_count = 0;
    if (names == NULL || hosts == NULL) {
        l->no_memory = true;
        goto done;
    }
    if (c->console_host != NULL)
        hosts[host_count++] = (struct named){ c->console_host, member_of(config_root_setting(&l->tree), "console"), 0 };
    for (size_t i = 0; i < c->tool_count; i++) {
        const config_setting_t *at = element_of(tools, i);
        if (c->tools[i].name != NULL)
            names[name_count++] = (struct named){ c->tools[i].name, member_of(at, "name"), i + 1 };
        if (c->tools[i].host != NULL)
            hosts[host_count++] = (struct named){ c->tools[i].host, member_of(at, "host"), i + 1 };
    }
    check_unique(l, names, name_count, NULL, "each tool to have its own name");
    check_unique(l, hosts, host_count, NULL, "each tool, and the console, to have its own host");
done:
    free(names);
    free(hosts);
}

static void check_action_names(struct load *l, const struct tool *t, const config_setting_t *actions)
{
    struct named *rows = calloc(t->action_count + 1, sizeof *rows);
    size_t n = 0;
    if (rows == NULL) {
        l->no_memory = true;
        return;
    }
    for (size_t i = 0; i < t->action_count; i++)
        if (t->actions[i].name != NULL)
            rows[n++] = (struct named){ t->actions[i].name, member_of(element_of(actions, i), "name"), i };
    check_unique(l, rows, n, NULL, "each action of a tool to have its own name");
    free(rows);
}

static void check_signoff(struct load *l, const struct tool *t, struct action *a, const config_setting_t *at)
{
    const char *allow = NULL;
    enum requirement known;
    if (!config_setting_is_group(at) || !config_setting_lookup_string(at, "allow", &allow) || !requirement_parse(allow, &known))
        return;                       /* reported already */
    if (a->requirement == NEED_SIGNOFF) {
        a->durable = true;
        if (a->signoff_count == 0)
            report(l, at, "signoff", "is missing; expected who must sign off, since allow is \"signoff\": ( { group = \"...\"; count = 1; } )");
    } else if (a->signoff_count > 0) {
        report(l, member_of(at, "signoff"), NULL, "has no effect, since allow is \"%s\"; expected allow = \"signoff\", or no signoff here",
               requirement_name(a->requirement));
    }
    check_needs(l, at, "signoff", t, a->signoff, a->signoff_count);
}

/* "/static/", "/favicon.ico": the first segment is a name, so that nobody turns the recording of a whole tool off by a pattern. */
static bool begins_with_a_name(const char *pattern)
{
    size_t len = strcspn(pattern + 1, "/");
    return pattern[0] == '/' && len > 0 && memchr(pattern + 1, '*', len) == NULL;
}

static bool only_reads(const struct action *a)
{
    for (size_t i = 0; i < a->method_count; i++)
        if (a->methods[i] == NULL || (strcmp(a->methods[i], "GET") != 0 && strcmp(a->methods[i], "HEAD") != 0))
            return false;
    return a->method_count > 0;
}

static void check_record(struct load *l, const struct tool *t, struct action *a, const config_setting_t *at)
{
    if (!a->record_set) {
        a->record = a->requirement == NEED_GRANT && !a->durable ? t->record : RECORD_FULL;
        return;
    }
    const config_setting_t *record = member_of(at, "record");
    if (a->record != RECORD_FULL && a->requirement != NEED_GRANT)
        report(l, record, NULL, "is \"%s\", but allow is \"%s\", and what is signed off or refused is always kept in full; expected \"full\", or no record here",
               record_name(a->record), requirement_name(a->requirement));
    else if (a->record != RECORD_FULL && a->durable)
        report(l, record, NULL, "is \"%s\", but durable is true, and what must be on disk is always kept in full; expected \"full\", or durable = false",
               record_name(a->record));
    if (a->record != RECORD_OFF || a->path == NULL)
        return;
    if (!only_reads(a))
        report(l, record, NULL, "is \"off\", but the action's methods are not only \"GET\" and \"HEAD\"; expected methods = [ \"GET\", \"HEAD\" ], or record = \"metadata\"");
    if (!begins_with_a_name(a->path) || a->body_count > 0)
        report(l, record, NULL, "is \"off\", which is for static files only; expected a path that begins with a name, such as \"/static/**\", without conditions on a body, or "
               "record = \"metadata\"");
}

static void check_action(struct load *l, const struct tool *t, struct action *a, const config_setting_t *at)
{
    const char *fault = a->path ? path_pattern_fault(a->path, t->allow_in_target) : NULL;
    if (fault != NULL)
        report(l, member_of(at, "path"), NULL, "\"%.200s\" %s; expected a pattern that a request can match", a->path, fault);
    check_signoff(l, t, a, at);
    check_record(l, t, a, at);
}

/* Where the tool is, and what counts for https only. */
static void check_upstreams(struct load *l, const struct tool *t, const config_setting_t *at)
{
    static const char *const tls_only[] = { "upstream_ca", "upstream_pins", "upstream_name", "upstream_certificate", "upstream_key" };
    const config_setting_t *one = member_of(at, "upstream"), *many = member_of(at, "upstreams");
    if (one == NULL && (many == NULL || config_setting_length(many) == 0))
        report(l, at, "upstream", "is missing; expected where the tool listens: upstream = \"http://127.0.0.1:8000\", or upstreams = [ ... ]");
    if (one != NULL && many != NULL && config_setting_length(many) > 0)
        report(l, many, NULL, "stands beside `upstream`; expected one of the two");
    if (t->upstream_count == 0)
        return;
    for (size_t i = 1; i < t->upstream_count; i++)
        if (t->upstreams[i].tls != t->upstreams[0].tls)
            report(l, many, NULL, "mixes https with other addresses; expected all of them to be https, or none");
    for (size_t i = 0; i < sizeof tls_only / sizeof tls_only[0] && !t->upstreams[0].tls; i++)
        if (member_of(at, tls_only[i]) != NULL)
            report(l, member_of(at, tls_only[i]), NULL, "has no effect, since upstream is not https; expected upstream = \"https://...\"");
    if ((t->upstream_certificate == NULL) != (t->upstream_key == NULL))
        report(l, at, t->upstream_key ? "upstream_certificate" : "upstream_key", "is missing; expected certificate and key together");
}

static const struct action *action_named(const struct tool *t, const char *name)
{
    for (size_t i = 0; i < t->action_count; i++)
        if (t->actions[i].name != NULL && strcmp(t->actions[i].name, name) == 0)
            return &t->actions[i];
    return NULL;
}

static void check_budget(struct load *l, const struct tool *t, const config_setting_t *at)
{
    const config_setting_t *actions = member_of(at, "actions"), *distinct = member_of(at, "distinct");
    struct named limits[16], names[8];
    size_t limit_count = 0, name_count = 0;
    for (size_t i = 0; i < t->budget.action_count && i < 16; i++) {
        const char *name = t->budget.actions[i].action;
        if (name == NULL)
            continue;                 /* reported already */
        if (action_named(t, name) == NULL)
            report(l, element_of(actions, i), "action", "\"%s\" is no action of this tool; expected the name of one", name);
        limits[limit_count++] = (struct named){ name, element_of(actions, i), i };
    }
    for (size_t i = 0; i < t->budget.distinct_count && i < 8; i++) {
        const struct distinct_limit *d = &t->budget.distinct[i];
        if ((d->path == NULL) == (d->query == NULL))
            report(l, element_of(distinct, i), NULL, "counts %s; expected either `path` or `query`", d->path ? "two things" : "nothing");
        for (size_t k = 0; d->query != NULL && k < t->redact_count; k++)
            if (strcasecmp(d->query, t->redact_fields[k]) == 0)
                report(l, element_of(distinct, i), "query", "\"%s\" is one of `redact_fields`, so its values are secret; what is counted is named in recordings", d->query);
        if (d->name != NULL)
            names[name_count++] = (struct named){ d->name, element_of(distinct, i), i };
    }
    check_unique(l, limits, limit_count, NULL, "each action once");
    check_unique(l, names, name_count, NULL, "each name once");
}

static void check_auto_actions(struct load *l, const struct tool *t, const struct auto_rule *r, const config_setting_t *at)
{
    for (size_t i = 0; i < r->action_count; i++) {
        const struct action *a = action_named(t, r->actions[i]);
        if (a == NULL)
            report(l, at, "actions", "\"%s\" is no action of this tool; expected names of some", r->actions[i]);
        else if (a->requirement == NEED_DENY)
            report(l, at, "actions", "\"%s\" is always denied; expected actions that a grant can be for", r->actions[i]);
    }
}

/* Grants without a second person. */
static void check_alone(struct load *l, const struct tool *t, const config_setting_t *at)
{
    const config_setting_t *rules = member_of(at, "auto"), *glass = member_of(at, "break_glass");
    struct named names[16];
    size_t n = 0;
    check_groups(l, glass, "groups", t->break_glass.groups, t->break_glass.group_count);
    check_groups(l, glass, "reviewers", t->break_glass.reviewers, t->break_glass.reviewer_count);
    for (size_t i = 0; i < t->auto_count && i < 16; i++) {
        const config_setting_t *rule = element_of(rules, i);
        check_groups(l, rule, "groups", t->autos[i].groups, t->autos[i].group_count);
        check_auto_actions(l, t, &t->autos[i], rule);
        if (t->autos[i].name != NULL)
            names[n++] = (struct named){ t->autos[i].name, member_of(rule, "name"), i };
    }
    check_unique(l, names, n, NULL, "each rule of a tool to have its own name");
}

/* A tool whose screens should be recorded is not started without. */
static void check_dom(struct load *l, const struct tool *t, const config_setting_t *at)
{
    char *path = t->dom.enabled && l->out->dom_recorder != NULL ? file_join(l->out->dom_recorder, "record.js") : NULL;
    if (path != NULL && access(path, R_OK) != 0)
        report(l, at, "enabled", "asks for DOM recording, but its script '%s' cannot be read (%s); expected it there (`config/install dom`, then build and install), or `dom_recorder` to name "
               "the folder where it is", path, strerror(errno));
    if (!t->dom.enabled && (t->dom.show_count > 0 || t->dom.hide_count > 0))
        report_warning(l, at, "enabled", "is not set, so `show` and `hide` have no effect");
    free(path);
}

static void check_tool(struct load *l, const struct tool *t, const config_setting_t *at)
{
    const config_setting_t *actions = member_of(at, "actions");
    check_upstreams(l, t, at);
    check_groups(l, at, "who", t->who, t->who_count);
    check_needs(l, at, "approvers", t, t->approvers, t->approver_count);
    if (t->action_count == 0)
        report_warning(l, at, "actions", "is empty, so every request to this tool is refused");
    check_action_names(l, t, actions);
    for (size_t i = 0; i < t->action_count; i++)
        check_action(l, t, &t->actions[i], element_of(actions, i));
    check_reach(l, t, actions);
    check_budget(l, t, member_of(at, "budget"));
    if (t->retention_ms > 0 && t->retention_ms < HOUR_MS)
        report(l, member_of(at, "retention"), NULL, "is less than an hour, and would delete what auditors have hardly seen; expected a time such as \"90d\", or \"0s\" for ever");
    check_alone(l, t, at);
    check_dom(l, t, member_of(at, "dom_recording"));
}

/* ---- the rest ------------------------------------------------------------------------------------------------- */

static void check_proxied(struct load *l, const config_setting_t *root)
{
    struct config *c = l->out;
    for (size_t i = 0; i < c->proxied_count; i++) {
        char address[ADDRESS_MAX];
        uint16_t port = 0;
        bool found = false;
        if (c->proxied_listeners[i] == NULL || !listener_parse(c->proxied_listeners[i], address, &port))
            continue;                 /* reported already */
        for (size_t k = 0; k < c->listener_count; k++)
            if (c->listeners[k].port == port && strcmp(c->listeners[k].address, address) == 0)
                found = c->listeners[k].proxied = true;
        if (!found)
            report(l, root, "proxy_protocol", "\"%.100s\" is not in `listen`; expected addresses that stand there too", c->proxied_listeners[i]);
    }
    if (c->proxied_count > 0 && c->balancer_count == 0)
        report(l, root, "proxy_protocol_from", "is missing; expected the addresses of the load balancers, since whoever else reached an address of `proxy_protocol` could claim any source");
}

static void check_listeners(struct load *l, const config_setting_t *root)
{
    check_proxied(l, root);
    struct config *c = l->out;
    const config_setting_t *listen = member_of(root, "listen");
    struct named rows[16];
    char texts[16][64];
    for (size_t i = 0; i < c->listener_count && i < 16; i++) {
        snprintf(texts[i], sizeof texts[i], "%s port %u", c->listeners[i].address, c->listeners[i].port);
        rows[i] = (struct named){ texts[i], listen, i };
    }
    check_unique(l, rows, c->listener_count, NULL, "each listener once");
    if (c->public_port == 0 && c->listener_count > 0)
        c->public_port = c->listeners[0].port;
}

static void check_user(struct load *l, const config_setting_t *root)
{
    struct passwd found, *result = NULL;
    char buf[4096];
    if (l->out->user != NULL && (getpwnam_r(l->out->user, &found, buf, sizeof buf, &result) != 0 || result == NULL))
        report(l, member_of(root, "user"), NULL, "there is no user \"%s\" on this system; expected one, or leave the setting out", l->out->user);
}

/* A key that others can read is not secret; trust code refuses it later anyway, but `check` should say so first. */
static void check_key_mode(struct load *l, const config_setting_t *root)
{
    struct stat sb;
    if (l->out->tls_key != NULL && stat(l->out->tls_key, &sb) == 0 && (sb.st_mode & 077) != 0)
        report_warning(l, member_of(member_of(root, "tls"), "key"), NULL, "others can read '%s'; run: chmod 600 '%s'", l->out->tls_key, l->out->tls_key);
}

/* Who can write one of these lets people in, or back in, without any setting of this file. */
static void check_writable(struct load *l, const config_setting_t *root)
{
    const config_setting_t *tls = member_of(root, "tls");
    const struct {
        const config_setting_t *at;
        const char *name, *path;
    } files[] = { { tls, "client_ca", l->out->client_ca }, { tls, "crl", l->out->crl }, { root, "approval_keys", l->out->approval_keys } };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct stat sb;
        if (files[i].path != NULL && stat(files[i].path, &sb) == 0 && (sb.st_mode & 022) != 0)
            report_warning(l, files[i].at, files[i].name, "others can write '%s', and so decide who gets in; run: chmod go-w '%s'", files[i].path, files[i].path);
    }
}

static void check_ring(struct load *l, const config_setting_t *root)
{
    const config_setting_t *at = member_of(root, "recording");
    const struct config *c = l->out;
    if (c->ring_bytes & (c->ring_bytes - 1))
        report(l, at, "ring_size", "is not a power of two; expected 1MiB, 2MiB, 4MiB, 8MiB ...");
    if (c->segment_bytes > c->ring_bytes && c->ring_bytes > 0)
        report(l, at, "segment_size", "is larger than ring_size; expected a segment to fit into the ring");
}

/* What people may do so often a day is counted in requests' rows (grant_alone.c). */
static void check_history(struct load *l, const config_setting_t *root)
{
    int64_t keep = l->out->approvals_retention_ms;
    if (keep > 0 && keep < DAY_MS)
        report(l, member_of(root, "approvals_retention"), NULL, "is less than a day, and would erase what is still counted, and what auditors have hardly seen; expected a time such as \"400d\", or \"0s\" for ever");
}

/* One auditor's key that is lost would be every recording lost, so there are two at least. */
static void check_sealing(struct load *l, const config_setting_t *root)
{
    const config_setting_t *recording = member_of(root, "recording"), *keys = member_of(recording, "sealed_to");
    const struct config *c = l->out;
    const char *name = recording ? "sealed_to" : "recording.sealed_to";
    struct named rows[16];
    for (size_t i = 0; i < c->sealed_to_count && i < 16; i++)
        rows[i] = (struct named){ c->sealed_to[i], keys, i };
    check_unique(l, rows, c->sealed_to_count, NULL, "each key once");
    if (c->unsealed && c->sealed_to_count > 0)
        report(l, recording, "unsealed", "is true, and there are keys in sealed_to; expected one or the other");
    else if (c->unsealed)
        report_warning(l, recording, "unsealed", "is true: whoever can read the disk can read every recording; make two keys with `countersign auditor-key` "
                       "and put them into sealed_to");
    else if (keys != NULL && config_setting_length(keys) > (int)c->sealed_to_count)
        return;                       /* said already what is wrong with them */
    else if (c->sealed_to_count < 2)
        report(l, keys, keys ? NULL : name, "has %zu keys; expected the public keys of at least two auditors (make them with `countersign auditor-key`, one each), "
               "or `unsealed = true` to try things out", c->sealed_to_count);
}

static void check_roles(struct load *l, const config_setting_t *root)
{
    const config_setting_t *roles = member_of(root, "roles");
    check_groups(l, roles, "auditors", l->out->auditors, l->out->auditor_count);
    check_groups(l, roles, "operators", l->out->operators, l->out->operator_count);
    if (l->out->auditor_count == 0)
        report_warning(l, roles, roles ? "auditors" : "roles.auditors", "is empty, so nobody can look at sessions");
    if (l->out->operator_count == 0)
        report_warning(l, roles, roles ? "operators" : "roles.operators", "is empty, so nobody can stop anyone");
}

/* Two operators have to sign what widens the policy. */
static void check_second_operator(struct load *l, const config_setting_t *root)
{
    const config_setting_t *at = member_of(member_of(root, "policy"), "second_operator");
    const struct config *c = l->out;
    size_t n = 0;
    for (size_t i = 0; i < c->person_count; i++)
        n += person_in_any(&c->people[i], c->operators, c->operator_count);
    if (c->second_operator && n < 2)
        report_warning(l, at, NULL, "is true, and there %s in the groups of roles.operators; with fewer than two nobody can agree to a change of the policy, but for "
                       "`countersign policy accept` at the machine", n == 1 ? "is one person" : "is nobody");
}

void check_all(struct load *l)
{
    const config_setting_t *root = config_root_setting(&l->tree), *tools = member_of(root, "tools");
    check_people(l);
    check_listeners(l, root);
    check_user(l, root);
    check_key_mode(l, root);
    check_writable(l, root);
    check_ring(l, root);
    check_history(l, root);
    check_sealing(l, root);
    check_roles(l, root);
    check_second_operator(l, root);
    if (l->out->tool_count == 0)
        report_warning(l, root, "tools", "is empty, so there is nothing to reach through this gateway");
    check_tool_names(l, tools);
    for (size_t i = 0; i < l->out->tool_count && !l->no_memory; i++)
        check_tool(l, &l->out->tools[i], element_of(tools, i));
    check_notices(l);
    check_copies(l);
    check_audit(l);
    check_issuers(l, member_of(root, "issuers"));
}
