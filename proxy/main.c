/* The `countersign` command: a table of sub-commands, nothing else. */
#include "proxy/commands/commands.h"

#include <stdio.h>
#include <string.h>

static const struct command commands[] = {
    { "init", "make a state folder: config, CA, server certificate, keys", cmd_init },
    { "check", "name every problem in a config, with file and line", cmd_check },
    { "run", "run the gateway", cmd_run },
    { "certs", "issue, renew, revoke and list people's certificates", cmd_certs },
    { "request", "ask for access to a tool", cmd_request },
    { "status", "your requests, grants and held requests", cmd_status },
    { "pending", "what waits for your yes", cmd_pending },
    { "approve", "look at a request and say yes, with your key", cmd_approve },
    { "deny", "look at a request and say no, with your key", cmd_deny },
    { "delegate", "let somebody answer in your place for a while, signed with your key", cmd_delegate },
    { "review", "look at a use of break-glass and say what you found, with your key", cmd_review },
    { "top", "who is at which tool right now", cmd_top },
    { "keys", "approval keys, and taking a lost one away", cmd_keys },
    { "withdraw", "take back a request of yours, or your yes", cmd_withdraw },
    { "carry-over", "take live grants along to a renewed certificate", cmd_carry_over },
    { "proof", "keep what proves the decision on a request", cmd_proof },
    { "sessions", "find recorded sessions", cmd_sessions },
    { "show", "list a session's exchanges, or print one", cmd_show },
    { "replay", "play a session back", cmd_replay },
    { "export", "a session as HAR or WARC, for other tools", cmd_export },
    { "incident", "all that somebody did in a span of time, with proof", cmd_incident },
    { "auditor-key", "make an auditor's key pair, which recordings are sealed to", cmd_auditor_key },
    { "verify", "check a recording and the log against each other", cmd_verify },
    { "lock", "stop a person, identity, certificate, grant or tool now", cmd_lock },
    { "unlock", "lift a lock", cmd_unlock },
    { "explain", "what the policy says to a request, and why", cmd_explain },
    { "hold", "keep recordings from being deleted", cmd_hold },
    { "log", "take what a witness cosigned", cmd_log },
    { "events", "the list of audit events and their fields", cmd_events },
    { "policy", "the config file beside the policy in force", cmd_policy },
    { "authz", NULL, cmd_authz },
    { "proxy", NULL, cmd_proxy },
    { "courier", NULL, cmd_courier },
    { 0 },
};

static void print_commands(FILE *out)
{
    fputs("usage: countersign COMMAND [OPTION ...]\n\n", out);
    for (const struct command *c = commands; c->name != NULL; c++)
        if (c->summary != NULL)
            fprintf(out, "  %-11s %s\n", c->name, c->summary);
    fputs("\n`countersign COMMAND --help` says more. Exit codes: 0 done, 1 refused or failed, 2 wrong usage.\n", out);
}

int main(int argc, char **argv)
{
    if (argc >= 2 && strcmp(argv[1], "--version") == 0) {
        puts("countersign " COUNTERSIGN_VERSION);
        return EXIT_DONE;
    }
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)) {
        print_commands(stdout);
        return EXIT_DONE;
    }
    for (const struct command *c = commands; argc >= 2 && c->name != NULL; c++)
        if (strcmp(argv[1], c->name) == 0)
            return c->run(argc - 1, argv + 1);
    if (argc >= 2)
        fprintf(stderr, "countersign: there is no command '%s'\n", argv[1]);
    print_commands(stderr);
    return EXIT_USAGE;
}
