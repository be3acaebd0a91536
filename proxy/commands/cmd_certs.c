/* countersign certs: a table of its sub-commands. */
#include "proxy/commands/certs_common.h"

#include <stdio.h>
#include <string.h>

static const struct command subcommands[] = {
    { "issue", "issue a person's certificate, or the gateway's own (--server)", certs_issue, NULL },
    { "renew", "issue a person's certificate anew, with a new key", certs_renew, NULL },
    { "revoke", "take certificates back: index, revocation list, approval keys", certs_revoke, NULL },
    { "list", "every certificate issued, and its state", certs_list, NULL },
    { "crl", "renew the revocation list", certs_crl, NULL },
    { "signing-key", "change the key that signs grants, step by step", certs_signing_key, NULL },
    { 0 },
};

const char *const certs_subcommands[] = { "issue", "renew", "revoke", "list", "crl", "signing-key", NULL };

static void print_subcommands(FILE *out)
{
    fputs("usage: countersign certs SUBCOMMAND [OPTION ...]\n\nPeople's certificates, from the gateway's own authority.\n\n", out);
    for (const struct command *c = subcommands; c->name != NULL; c++)
        fprintf(out, "  %-11s %s\n", c->name, c->summary);
    fputs("\n`countersign certs SUBCOMMAND --help` says more.\n", out);
}

int cmd_certs(int argc, char **argv)
{
    const char *name = argc >= 2 ? argv[1] : NULL;
    if (name != NULL && (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)) {
        print_subcommands(stdout);
        return EXIT_DONE;
    }
    for (const struct command *c = subcommands; name != NULL && c->name != NULL; c++)
        if (strcmp(c->name, name) == 0)
            return c->run(argc - 1, argv + 1);
    if (name != NULL)
        fprintf(stderr, "countersign: certs has no sub-command '%s'\n", name);
    print_subcommands(stderr);
    return EXIT_USAGE;
}
