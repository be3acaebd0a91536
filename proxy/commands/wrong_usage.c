#include "proxy/commands/wrong_usage.h"

#include <stdarg.h>
#include <stdio.h>

int wrong_usage(const struct usage *u, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("countersign: ", stderr);
    vfprintf(stderr, fmt, ap);
    fprintf(stderr, "\nusage: %s\n(--help says more)\n", u->synopsis);
    va_end(ap);
    return EXIT_USAGE;
}
