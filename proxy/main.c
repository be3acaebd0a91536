/* The `countersign` command: a table of sub-commands, nothing else. */
#include "proxy/commands/commands.h"

#include <stdio.h>
#include <string.h>

/* In the order of the work, each group with who does it. */
static const struct command commands[] = {
    { "init", "make a state folder: config, CA, server certificate, keys", cmd_init, "Operators, at the gateway's machine" },
    { "check", "name every problem in a config, with file and line", cmd_check, NULL },
    { "explain", "what the policy says to a request, and why", cmd_explain, NULL },
    { "run", "run the gateway", cmd_run, NULL },
    { "certs", "issue, renew, revoke and list people's certificates", cmd_certs, NULL },
    { "policy", "the config file beside the policy in force", cmd_policy, NULL },
    { "log", "take what a witness cosigned", cmd_log, NULL },
    { "events", "the list of audit events and their fields", cmd_events, NULL },
    { "request", "ask for access to a tool", cmd_request, "Everybody" },
    { "status", "your requests, grants and held requests", cmd_status, NULL },
    { "withdraw", "take back a request of yours, or your yes", cmd_withdraw, NULL },
    { "keys", "approval keys, and taking a lost one away", cmd_keys, NULL },
    { "carry-over", "take live grants along to a renewed certificate", cmd_carry_over, NULL },
    { "proof", "keep what proves the decision on a request", cmd_proof, NULL },
    { "pending", "what waits for your yes", cmd_pending, "Approvers" },
    { "approve", "look at a request and say yes, with your key", cmd_approve, NULL },
    { "deny", "look at a request and say no, with your key", cmd_deny, NULL },
    { "delegate", "let somebody answer in your place for a while, signed with your key", cmd_delegate, NULL },
    { "review", "look at a use of break-glass and say what you found, with your key", cmd_review, NULL },
    { "top", "who is at which tool right now", cmd_top, "Operators, from anywhere" },
    { "lock", "stop a person, identity, certificate, grant or tool now", cmd_lock, NULL },
    { "unlock", "lift a lock", cmd_unlock, NULL },
    { "sessions", "find recorded sessions", cmd_sessions, "Auditors" },
    { "show", "list a session's exchanges, or print one", cmd_show, NULL },
    { "replay", "play a session back", cmd_replay, NULL },
    { "verify", "check a recording and the log against each other", cmd_verify, NULL },
    { "export", "a session as HAR, WACZ or WARC, for other tools", cmd_export, NULL },
    { "incident", "all that somebody did in a span of time, with proof", cmd_incident, NULL },
    { "hold", "keep recordings from being deleted", cmd_hold, NULL },
    { "auditor-key", "make an auditor's key pair, which recordings are sealed to", cmd_auditor_key, NULL },
    { "authz", NULL, cmd_authz, NULL },
    { "proxy", NULL, cmd_proxy, NULL },
    { "courier", NULL, cmd_courier, NULL },
    { 0 },
};

static void print_commands(FILE *out)
{
    fputs("usage: countersign COMMAND [OPTION ...]\n", out);
    for (const struct command *c = commands; c->name != NULL; c++) {
        if (c->group != NULL)
            fprintf(out, "\n%s:\n", c->group);
        if (c->summary != NULL)
            fprintf(out, "  %-11s  %s\n", c->name, c->summary);
    }
    fputs("\n`countersign COMMAND --help` says more, `countersign help --all` everything. Exit codes: 0 done, 1 refused or failed, 2 wrong usage.\n", out);
}

static const struct command *find_command(const char *name)
{
    for (const struct command *c = commands; c->name != NULL; c++)
        if (strcmp(name, c->name) == 0)
            return c;
    return NULL;
}

static int help_of(const struct command *c, const char *sub)
{
    char name[32], word[32], option[] = "--help";
    snprintf(name, sizeof name, "%s", c->name);
    snprintf(word, sizeof word, "%s", sub ? sub : "");
    char *argv[] = { name, sub ? word : option, sub ? option : NULL, NULL };
    return c->run(sub ? 3 : 2, argv);
}

/* Everything in one go, to be read, searched or printed. */
static void print_reference(void)
{
    print_commands(stdout);
    for (const struct command *c = commands; c->name != NULL; c++) {
        if (c->summary == NULL)
            continue;
        printf("\n\n======== countersign %s\n\n", c->name);
        (void)help_of(c, NULL);
        for (const char *const *sub = strcmp(c->name, "certs") == 0 ? certs_subcommands : (const char *const[]){ NULL }; *sub != NULL; sub++) {
            printf("\n\n======== countersign %s %s\n\n", c->name, *sub);
            (void)help_of(c, *sub);
        }
    }
}

/* help [COMMAND [SUBCOMMAND]] | help --all */
static int help(int argc, char **argv)
{
    const struct command *c = argc >= 3 ? find_command(argv[2]) : NULL;
    if (c != NULL && c->summary != NULL)
        return help_of(c, argc >= 4 ? argv[3] : NULL);
    if (argc >= 3 && strcmp(argv[2], "--all") != 0) {
        fprintf(stderr, "countersign: there is no command '%s'. Next: countersign help\n", argv[2]);
        return EXIT_USAGE;
    }
    if (argc >= 3)
        print_reference();
    else
        print_commands(stdout);
    return EXIT_DONE;
}

int main(int argc, char **argv)
{
    if (argc >= 2 && strcmp(argv[1], "--version") == 0) {
        puts("countersign " COUNTERSIGN_VERSION);
        return EXIT_DONE;
    }
    if (argc >= 2 && strcmp(argv[1], "help") == 0)
        return help(argc, argv);
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        print_commands(stdout);
        return EXIT_DONE;
    }
    const struct command *c = argc >= 2 ? find_command(argv[1]) : NULL;
    if (c != NULL)
        return c->run(argc - 1, argv + 1);
    if (argc >= 2) {
        fprintf(stderr, "countersign: there is no command '%s'\nusage: countersign COMMAND …\n(countersign help lists the commands)\n", argv[1]);
        return EXIT_USAGE;
    }
    print_commands(stderr);
    return EXIT_USAGE;
}
