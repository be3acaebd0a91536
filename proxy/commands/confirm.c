#include "proxy/commands/confirm.h"

#include <stdio.h>
#include <string.h>

bool confirm(const char *question)
{
    char line[64];
    FILE *tty = fopen("/dev/tty", "r+");
    if (tty == NULL)
        return false;
    fputs(question, tty);
    fflush(tty);
    bool yes = fgets(line, sizeof line, tty) != NULL && strcmp(line, "yes\n") == 0;
    fclose(tty);
    return yes;
}
