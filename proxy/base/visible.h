/* visible: how one character of a foreign text is shown to a person who is about to trust it, on a terminal or a page. Shown as they are: printable ASCII and well-formed UTF-8. Escaped: controls
 * (C0, DEL, C1) and bytes that are not UTF-8 as \xNN; direction marks, zero-width and other invisible characters, line separators, surrogates and private use as \u{NNNN}. */
#ifndef COUNTERSIGN_VISIBLE_H
#define COUNTERSIGN_VISIBLE_H

#include "proxy/base/slice.h"

enum { VISIBLE_UNIT_MAX = 16 };
/* The next character of s, which is not empty: returns its length in bytes (at least 1), and how it is shown, with a NUL. */
size_t visible_unit(struct slice s, char out[VISIBLE_UNIT_MAX]);

#endif
