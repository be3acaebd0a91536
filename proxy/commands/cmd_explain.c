/* countersign explain: what the policy in a config would say to a request, and why. */
#include "proxy/commands/commands.h"
#include "proxy/commands/explain.h"
#include "proxy/commands/explain_alone.h"
#include "proxy/commands/policy_compare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static void print_answer(const json_t *a)
{
    const char *requirement = text_at(a, "requirement"), *identity = text_at(a, "identity"), *person = json_string_value(json_object_get(a, "person"));
    printf("person:  %s (%s)\ntool:    %s\ntarget:  %s\nanswer:  %s\n", text_at(a, "person"), identity, text_at(a, "tool"), text_at(a, "target"), requirement);
    printf("why:     %s\n", text_at(a, "why"));
    printf("record:  %s\n", text_at(a, "record"));
    if (person == NULL)
        printf("but:     no person in the config has the identity '%s', so it is refused\n", identity);
    else if (!json_is_true(json_object_get(a, "may_ask")))
        printf("but:     %s is in no group that may ask for '%s', so it is refused\n", person, text_at(a, "tool"));
    else if (strcmp(requirement, "deny") != 0)
        print_names("grant:   may be approved by ", json_object_get(a, "approvers"));
    if (strcmp(requirement, "signoff") == 0)
        print_names("signoff: may be given by ", json_object_get(a, "signoff_by"));
    explain_alone_print(a, person ? person : identity);
}

static int explain(const char *path, const struct question *q, bool json)
{
    struct problems p;
    struct err err = { .text = "" };
    struct config *c = NULL;
    json_t *a = NULL;
    enum status st = config_load(path, &c, &p);
    for (size_t i = 0; st != OK && i < p.count; i++)
        fprintf(stderr, "%s\n", p.text[i]);
    problems_done(&p);
    if (st != OK)
        return command_failed("the config '%s' has problems; solve them first", path);
    say_not_in_force(path);
    st = explain_request(c, q, &a, &err);
    config_unref(c);
    if (st != OK) {
        (void)command_failed("%s", err.text);
        return st == BAD_INPUT ? EXIT_USAGE : EXIT_REFUSED;
    }
    if (json)
        return command_json(a);
    print_answer(a);
    json_decref(a);
    return EXIT_DONE;
}

int cmd_explain(int argc, char **argv)
{
    struct question q = { 0 };
    const char *path = NULL, *field = NULL;
    bool json = false;
    const struct option_spec options[] = {
        { "config", 'c', "FILE", "the gateway's config", &path, NULL, true },
        { "as", 0, "ID", "the identity that asks: alice@acme.example", &q.identity, NULL, true },
        { "body-field", 0, "NAME=VALUE", "a field of the body; may be given several times", &field, NULL, false },
        { 0 },
    };
    const struct usage usage = { "countersign explain -c FILE --as ID METHOD URL [--body-field NAME=VALUE ...]",
                                 "Say what the policy would answer to a request, and why. Reads the config only; no gateway is asked. A URL without a port means the one people use. "
                                 "`countersign policy test` asks many such questions and compares the answers.", options, 2, 2, &json };
    char **rest, *body = gather_fields(argc, argv);
    size_t count;
    int code;
    if (body == NULL)
        return command_failed("there is not enough memory to explain this");
    if (options_parse(argc, argv, &usage, &rest, &count, &code)) {
        q.method = rest[0];
        q.url = rest[1];
        q.body = body;
        code = explain(path, &q, json);
    }
    free(body);
    return code;
}
