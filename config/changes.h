/* changes: what a change of the policy changes, in words, and whether it can only take rights away.
 *
 * Compares two texts of struct config (`policy`) setting by setting along the table. A line is `narrower` only where the table says so of that setting
 * (settings.h, enum narrows); all else, and every setting that comes later, counts as wider. */
#ifndef COUNTERSIGN_CHANGES_H
#define COUNTERSIGN_CHANGES_H

#include "proxy/base/status.h"

#include <stdbool.h>
#include <stddef.h>

struct change {
    char *text;                       /* one line: "group support gains mallory" */
    bool wider;                       /* or not surely narrower */
};
struct changes {
    struct change *v;
    size_t count, wider;              /* wider: so many of them are */
};

/* BAD_INPUT: one of the texts is none of config_load_text. changes_done() in any case. */
MUST_CHECK enum status config_changes(const char *before, const char *after, struct changes *out, struct err *err);
void changes_done(struct changes *c);
/* All of them, those that are wider first, one a line; " (narrower)" behind the others. When they are longer than max bytes the first line says how many
 * are left out, so that nobody takes a part for the whole. malloc'd; NULL: no memory. */
char *changes_text(const struct changes *c, size_t max);

#endif
