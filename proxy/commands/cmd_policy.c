/* policy show, policy accept, policy test: the config file beside the policy in force; the way at the machine where two operators cannot be had; what the file answers to a
 * list of questions. */
#include "authz/approvals/service.h"
#include "proxy/base/file.h"
#include "proxy/base/log.h"
#include "proxy/commands/commands.h"
#include "proxy/commands/confirm.h"
#include "proxy/commands/policy_cases.h"
#include "proxy/commands/policy_compare.h"
#include "proxy/commands/process.h"
#include "proxy/commands/term.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { TESTS_BYTES = 1024 * 1024 };

static json_t *changes_json(const struct changes *c)
{
    json_t *list = json_array();
    for (size_t i = 0; i < c->count; i++)
        json_array_append_new(list, json_pack("{s:s, s:b}", "change", c->v[i].text, "wider", c->v[i].wider));
    return list;
}

static void print_changes(const struct changes *c)
{
    for (size_t i = 0; i < c->count; i++) {
        fputs("  ", stdout);
        term_str(stdout, c->v[i].text);
        puts(c->v[i].wider ? "" : " (narrower)");
    }
}

static int show(const char *file, bool json)
{
    struct changes changes;
    struct err err = { .text = "" };
    bool differs;
    int code = EXIT_DONE;
    enum status st = policy_compare(file, &differs, &changes, &err);
    if (st != OK) {
        code = command_failed("%s", err.text);
    } else if (json) {
        code = command_json(json_pack("{s:b, s:b, s:o}", "in_force", !differs, "needs_operators", changes.wider > 0, "changes", changes_json(&changes)));
    } else if (!differs) {
        puts("The policy in this file is the one in force.");
    } else {
        puts("This file would change the policy in force:");
        print_changes(&changes);
        puts(changes.wider > 0 ? "Next: send the gateway SIGHUP; two different operators then sign it (countersign pending, approve). Until then nothing of it counts."
                               : "All of it is narrower. Next: send the gateway SIGHUP; it takes effect at once.");
    }
    changes_done(&changes);
    return code;
}

static enum status accept(const char *file, struct err *err)
{
    struct config *c = NULL;
    struct problems p = { 0 };
    struct service *s = NULL;
    enum status st = config_load_text(file, &c, &p);
    if (st != OK)
        (void)fail(err, st, "%s", p.count > 0 ? p.text[0] : "no memory");
    problems_done(&p);
    if (st == OK)
        st = process_become(c->user, err);
    if (st == OK)
        st = service_open_accepting(c, true, &s, err);
    service_close(s);
    config_unref(c);
    return st;
}

static int accept_at_machine(const char *file, bool yes)
{
    struct changes changes;
    struct err err = { .text = "" };
    bool differs = false;
    if (policy_compare(file, &differs, &changes, &err) != OK)
        printf("The policy in force can't be compared with this file: %s\n", err.text);
    else if (!differs)
        puts("As far as the state folder says, this file changes nothing: accept it if the gateway says otherwise.");
    else
        print_changes(&changes);
    changes_done(&changes);
    puts("This makes the file's policy count without the operators' signatures. The log keeps that it was done at the machine, for all auditors to see.");
    fflush(stdout);
    if (!yes && !confirm("Type 'yes' to accept it, anything else to stop: "))
        return command_failed("nothing was changed. Next: run the command again, or with --yes where no one can type");
    umask(0077);
    log_setup("policy", LOG_LEVEL_WARN);
    if (accept(file, &err) != OK)
        return command_failed("%s", err.text);
    puts("Accepted. Next: start the gateway.");
    return EXIT_DONE;
}

static void print_test(const char *name, const json_t *t)
{
    printf("%s:%lld: ", name, (long long)json_integer_value(json_object_get(t, "line")));
    term_str(stdout, json_string_value(json_object_get(t, "identity")));
    putchar(' ');
    term_str(stdout, json_string_value(json_object_get(t, "method")));
    putchar(' ');
    term_str(stdout, json_string_value(json_object_get(t, "url")));
    fputs("\n    expected ", stdout);
    term_str(stdout, json_string_value(json_object_get(t, "expected")));
    fputs("; the policy says ", stdout);
    term_str(stdout, json_string_value(json_object_get(t, "got")));
    fputs(": ", stdout);
    term_str(stdout, json_string_value(json_object_get(t, "why")));
    putchar('\n');
}

static int say_tests(json_t *all, const char *name, bool json)
{
    const long long good = json_integer_value(json_object_get(all, "passed")), bad = json_integer_value(json_object_get(all, "failed"));
    size_t i;
    json_t *t;
    if (json) {
        (void)command_json(all);
        return bad == 0 ? EXIT_DONE : EXIT_REFUSED;
    }
    json_array_foreach(json_object_get(all, "tests"), i, t)
        if (!json_is_true(json_object_get(t, "ok")))
            print_test(name, t);
    printf("%s: %lld answered as expected, %lld not\n", name, good, bad);
    json_decref(all);
    return bad == 0 ? EXIT_DONE : EXIT_REFUSED;
}

static int test(const char *file, const char *tests, bool json)
{
    struct problems p = { 0 };
    struct err err = { .text = "" };
    struct config *c = NULL;
    unsigned char *text = NULL;
    size_t len = 0;
    json_t *all = NULL;
    enum status st = config_load(file, &c, &p);
    for (size_t i = 0; st != OK && i < p.count; i++)
        fprintf(stderr, "%s\n", p.text[i]);
    if (st != OK)
        (void)fail(&err, st, "the config '%s' has problems; solve them first", file);
    problems_done(&p);
    if (st == OK)
        st = file_read(tests, TESTS_BYTES, false, &text, &len, &err);
    if (st == OK)
        st = policy_cases_run(c, slice_of(text, len), tests, &all, &err);
    free(text);
    config_unref(c);
    return st == OK ? say_tests(all, tests, json) : command_failed("%s", err.text);
}

int cmd_policy(int argc, char **argv)
{
    const char *file = NULL;
    bool json = false, yes = false;
    char **args;
    size_t count;
    int code;
    const struct option_spec options[] = {
        { "config", 'c', "FILE", "the gateway's config", &file, NULL, true },
        { "yes", 'y', NULL, "accept: do not ask", NULL, &yes, false },
        { 0 },
    };
    const struct usage usage = { "countersign policy show|accept -c FILE | countersign policy test TESTS -c FILE",
        "show: what the file would change of the policy in force. accept: let the file's policy count without the signatures of two operators, where they cannot be had (setting\n"
        "policy.second_operator); only at the machine, with the gateway stopped, and the log keeps it. test: ask the file's policy the questions of TESTS and compare the answers, as a pipeline\n"
        "would before a change is taken. A test is a line: IDENTITY METHOD URL [NAME=VALUE ...] -> grant|signoff|deny|refused [ACTION] [by NAME,NAME].", options, 1, 2, &json };
    if (!options_parse(argc, argv, &usage, &args, &count, &code))
        return code;
    if (strcmp(args[0], "test") == 0 && count == 2)
        return test(file, args[1], json);
    if (strcmp(args[0], "show") == 0 && count == 1)
        return show(file, json);
    if (strcmp(args[0], "accept") == 0 && count == 1)
        return accept_at_machine(file, yes);
    fprintf(stderr, "countersign: policy has no step '%s'%s; it is show, accept, or test with a file of tests\n", args[0], count == 2 ? " with a file" : "");
    return EXIT_USAGE;
}
