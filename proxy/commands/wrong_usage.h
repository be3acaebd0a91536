/* wrong_usage: a command line whose parts are fine and do not fit together. */
#ifndef COUNTERSIGN_WRONG_USAGE_H
#define COUNTERSIGN_WRONG_USAGE_H

#include "proxy/commands/commands.h"

/* What is wrong, and the command's synopsis, on standard error; returns EXIT_USAGE. */
int wrong_usage(const struct usage *u, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
