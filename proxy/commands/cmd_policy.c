/* policy show, policy accept: the config file beside the policy in force; and the way at the machine where two operators cannot be had. */
#include "authz/approvals/service.h"
#include "proxy/base/log.h"
#include "proxy/commands/commands.h"
#include "proxy/commands/confirm.h"
#include "proxy/commands/policy_compare.h"
#include "proxy/commands/process.h"
#include "proxy/commands/term.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

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
    const struct usage usage = { "countersign policy show|accept -c FILE",
        "show: what the file would change of the policy in force. accept: let the file's policy count without the signatures of two operators, where they cannot be had (setting\n"
        "policy.second_operator); only at the machine, with the gateway stopped, and the log keeps it.", options, 1, 1, &json };
    if (!options_parse(argc, argv, &usage, &args, &count, &code))
        return code;
    if (strcmp(args[0], "show") == 0)
        return show(file, json);
    if (strcmp(args[0], "accept") == 0)
        return accept_at_machine(file, yes);
    fprintf(stderr, "countersign: policy has no step '%s'; show or accept\n", args[0]);
    return EXIT_USAGE;
}
