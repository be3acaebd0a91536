/* confirm: ask the person at the terminal. */
#ifndef COUNTERSIGN_CONFIRM_H
#define COUNTERSIGN_CONFIRM_H

#include <stdbool.h>

/* True only when exactly "yes" was typed on the terminal (never from a pipe); without a terminal, false. */
bool confirm(const char *question);

#endif
