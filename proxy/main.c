/* The `countersign` command: a table of sub-commands, nothing else. */
#include "proxy/commands/commands.h"

#include <stdio.h>
#include <string.h>

static const struct command commands[] = {
    { 0 },
};

static void print_commands(FILE *out)
{
    fputs("usage: countersign COMMAND [OPTION ...]\n\n", out);
    for (const struct command *c = commands; c->name != NULL; c++)
        if (c->summary != NULL)
            fprintf(out, "  %-10s %s\n", c->name, c->summary);
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
