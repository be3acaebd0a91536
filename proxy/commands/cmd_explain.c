/* countersign explain: what the policy in a config would say to a request, and why. Local: it asks no gateway, and says nothing of grants that exist. */
#include "proxy/commands/commands.h"
#include "proxy/commands/explain_alone.h"
#include "proxy/commands/policy_compare.h"

#include "authz/policy.h"
#include "config/forms.h"
#include "proxy/base/clock.h"
#include "proxy/http/readings.h"
#include "proxy/http/target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXPLAIN_MEMORY = 4 * 1024 * 1024 };

struct explain {
    const char *config_path, *identity, *body_text;
    bool json;
    char *body;                       /* all --body-field joined by '&' */
    struct config *c;
    const struct person *person;
    const struct tool *tool;
    struct slice host, target;        /* of the URL */
    struct arena arena;
    struct message m;
    struct readings query, fields;
    struct slice methods[8];
    struct policy_request r;
};

/* --body-field may come many times, and options_parse keeps the last: so they are gathered here, as a form would send them. */
static char *gather_fields(int argc, char **argv)
{
    char *out = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&out, &len);
    bool any = false;
    for (int i = 1; f != NULL && i < argc; i++) {
        const char *value = NULL;
        if (strcmp(argv[i], "--body-field") == 0 && i + 1 < argc)
            value = argv[++i];
        else if (strncmp(argv[i], "--body-field=", 13) == 0)
            value = argv[i] + 13;
        if (value != NULL)
            fprintf(f, "%s%s", any ? "&" : "", value);
        any = any || value != NULL;
    }
    if (f == NULL || fclose(f) != 0)
        return NULL;
    return out;
}

/* "https://host[:port]/path?query"; the host without its port, since tools differ by name only. */
static bool split_url(const char *url, struct slice *host, struct slice *target)
{
    if (strncmp(url, "https://", 8) != 0)
        return false;
    const char *start = url + 8, *end = start + strcspn(start, "/?#");
    *host = slice_of(start, (size_t)(end - start));
    host->len = slice_find(*host, ':');
    *target = *end == 0 ? SLICE("/") : slice_str(end);
    return host->len > 0 && target->ptr[0] == '/';
}

/* What a file says that is not in force is what would be. */
static void say_not_in_force(const char *path)
{
    struct changes changes;
    struct err err;
    bool differs;
    if (policy_compare(path, &differs, &changes, &err) == OK && differs && changes.count > 0)
        fprintf(stderr, "countersign: this file is not the policy in force: %zu changes, %zu of them need two operators; countersign policy show -c FILE lists them\n", changes.count,
                changes.wider);
    changes_done(&changes);
}

static int load(struct explain *e)
{
    struct problems p;
    enum status st = config_load(e->config_path, &e->c, &p);
    for (size_t i = 0; st != OK && i < p.count; i++)
        fprintf(stderr, "%s\n", p.text[i]);
    problems_done(&p);
    if (st != OK)
        return command_failed("the config '%s' has problems; solve them first", e->config_path);
    say_not_in_force(e->config_path);
    e->person = config_person(e->c, slice_str(e->identity));
    e->tool = policy_tool_at(e->c, e->host);
    if (e->tool == NULL && slice_eq(e->host, slice_str(e->c->console_host)))
        return command_failed("'%s' is the console, where no tool's policy applies; give the address of a tool", e->c->console_host);
    if (e->tool == NULL)
        return command_failed("no tool has the host '%.*s'; see `tools` in '%s'", SLICE_ARG(e->host), e->config_path);
    return EXIT_DONE;
}

/* The request as the gateway would read it, up to the question whether it has a body: that is only known from --body-field. */
static int read_request(struct explain *e, const char *method)
{
    struct refusal why = { 0 };
    bool bodiless = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    e->m = (struct message){ .version = 11, .method = slice_str(method), .authority = e->host, .raw_target = e->target };
    if (target_normalise(&e->m, e->tool->allow_in_target, &e->arena, &why) != PARSE_OK)
        return command_failed("the gateway refuses this address with %u: %s", why.status, why.reason);
    if (readings_query(e->m.query, &e->arena, &e->query) != OK)
        return command_failed("the query cannot be read, so the gateway refuses it");
    if (e->body[0] != 0 && readings_query(slice_str(e->body), &e->arena, &e->fields) != OK)
        return command_failed("the body fields cannot be read; expected NAME=VALUE, percent-encoded where needed");
    size_t methods = readings_methods(&e->m, &e->query, &e->fields, &e->arena, e->methods);
    if (methods == 0)
        return command_failed("this request names more methods than the gateway reads, so it refuses it");
    e->r = (struct policy_request){ .methods = e->methods, .method_count = methods, .path = e->m.path, .query = e->query.v, .query_count = e->query.count,
                                    .body = e->fields.v, .body_count = e->fields.count, .body_seen = e->body[0] != 0 || bodiless };
    return EXIT_DONE;
}

/* Those whose yes would count. */
static json_t *who_may(const struct explain *e, const struct need *needs, size_t count)
{
    json_t *out = json_array();
    for (size_t i = 0; i < e->c->person_count && e->person != NULL; i++)
        if (policy_may_approve(needs, count, e->person, &e->c->people[i]))
            json_array_append_new(out, json_string(e->c->people[i].name));
    return out;
}

static const char *requirement_word(enum requirement r)
{
    return r == NEED_GRANT ? "grant" : r == NEED_SIGNOFF ? "signoff" : "deny";
}

static json_t *answer(const struct explain *e)
{
    char why[1024];
    struct verdict v = policy_judge(e->tool, &e->r);
    policy_explain(e->tool, &e->r, why, sizeof why);
    bool may_ask = policy_may_ask(e->tool, e->person);
    const char *requirement = e->person != NULL && may_ask ? requirement_word(v.requirement) : "deny";
    json_t *signoff_by = v.requirement == NEED_SIGNOFF ? who_may(e, v.action->signoff, v.action->signoff_count) : json_array();
    json_t *a = json_pack("{s:s, s:s?, s:s, s:s%, s:s?, s:s, s:b, s:b, s:b, s:s, s:o, s:o, s:s}", "identity", e->identity, "person", e->person ? e->person->name : NULL,
                     "tool", e->tool->name, "target", e->m.target.ptr, e->m.target.len, "action", v.action ? v.action->name : NULL, "requirement", requirement,
                     "may_ask", may_ask, "durable", v.action != NULL && v.action->durable, "wants_body", v.wants_body, "why", why,
                     "approvers", who_may(e, e->tool->approvers, e->tool->approver_count), "signoff_by", signoff_by,
                     "record", record_name(policy_record(&v)));
    json_t *alone = a ? explain_alone(e->tool, e->person, v.action, clock_wall_s()) : NULL;
    if (alone != NULL)
        json_object_update(a, alone);
    json_decref(alone);
    return a;
}

static void print_names(const char *before, const json_t *names)
{
    size_t i;
    const json_t *name;
    printf("%s", before);
    json_array_foreach(names, i, name)
        printf("%s%s", i ? ", " : "", json_string_value(name));
    puts(json_array_size(names) ? "" : "nobody");
}

static const char *text_at(const json_t *a, const char *key)
{
    const char *text = json_string_value(json_object_get(a, key));
    return text ? text : "nobody";
}

static void print_answer(const struct explain *e, const json_t *a)
{
    const char *requirement = text_at(a, "requirement");
    printf("person:  %s (%s)\ntool:    %s\ntarget:  %s\nanswer:  %s\n", text_at(a, "person"), e->identity, text_at(a, "tool"), text_at(a, "target"), requirement);
    printf("why:     %s\n", text_at(a, "why"));
    printf("record:  %s\n", text_at(a, "record"));
    if (e->person == NULL)
        printf("but:     no person in the config has the identity '%s', so it is refused\n", e->identity);
    else if (!json_is_true(json_object_get(a, "may_ask")))
        printf("but:     %s is in no group that may ask for '%s', so it is refused\n", e->person->name, e->tool->name);
    else if (strcmp(requirement, "deny") != 0)
        print_names("grant:   may be approved by ", json_object_get(a, "approvers"));
    if (strcmp(requirement, "signoff") == 0)
        print_names("signoff: may be given by ", json_object_get(a, "signoff_by"));
    explain_alone_print(a, e->person ? e->person->name : e->identity);
}

static int explain(struct explain *e, const char *method, const char *url)
{
    if (!split_url(url, &e->host, &e->target)) {
        command_failed("'%s' is not an address of a tool; expected https://HOST/PATH", url);
        return EXIT_USAGE;
    }
    int code = load(e);
    if (code == EXIT_DONE)
        code = read_request(e, method);
    if (code != EXIT_DONE)
        return code;
    json_t *a = answer(e);
    if (a == NULL)
        return command_failed("there is not enough memory to explain this");
    if (e->json)
        return command_json(a);
    print_answer(e, a);
    json_decref(a);
    return EXIT_DONE;
}

int cmd_explain(int argc, char **argv)
{
    struct explain e = { 0 };
    const struct option_spec options[] = {
        { "config", 'c', "FILE", "the gateway's config", &e.config_path, NULL, true },
        { "as", 0, "ID", "the identity that asks: alice@acme.example", &e.identity, NULL, true },
        { "body-field", 0, "NAME=VALUE", "a field of the body; may be given several times", &e.body_text, NULL, false },
        { 0 },
    };
    const struct usage usage = { "countersign explain -c FILE --as ID METHOD URL [--body-field NAME=VALUE ...]",
                                 "Say what the policy would answer to a request, and why. Reads the config only; no gateway is asked.", options, 2, 2, &e.json };
    char **rest;
    size_t count;
    int code;
    e.body = gather_fields(argc, argv);
    if (e.body == NULL)
        return command_failed("there is not enough memory to explain this");
    arena_init(&e.arena, EXPLAIN_MEMORY);
    if (options_parse(argc, argv, &usage, &rest, &count, &code))
        code = explain(&e, rest[0], rest[1]);
    config_unref(e.c);
    arena_done(&e.arena);
    free(e.body);
    return code;
}
