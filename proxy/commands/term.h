/* term: text for a person's terminal. Reasons, targets, bodies and pages were written by others, perhaps by an attacker who would like to move the cursor, hide a
 * line or reverse the reading order of what an approver is about to sign. So nothing foreign reaches the terminal but through here.
 *
 * Shown as they are: printable ASCII and well-formed UTF-8. Escaped: controls (C0, DEL, C1) and bytes that are not UTF-8 as \xNN; direction marks, zero-width
 * and other invisible characters, line separators, surrogates and private use as \u{NNNN}. A backslash stays as it is: these escapes are for reading, not for parsing. */
#ifndef COUNTERSIGN_TERM_H
#define COUNTERSIGN_TERM_H

#include "proxy/base/slice.h"
#include "proxy/base/visible.h"

#include <stdio.h>

/* One line: LF, CR and TAB are escaped too, so that a value cannot pretend to be another line of ours. */
void term_text(FILE *out, struct slice s);
/* The same; NULL prints "-". */
void term_str(FILE *out, const char *s);
/* Several lines: each begins with prefix and ends with LF; TAB passes; CR LF counts as LF. Nothing is printed for an empty s. */
void term_block(FILE *out, struct slice s, const char *prefix);
/* As term_text, into out (always NUL-terminated; cut before an escape that does not fit). Returns out. */
char *term_escape(struct slice s, char *out, size_t out_max);

/* How the next character of s is shown: its length in bytes (at least 1; s is not empty), and its text with a NUL. */
enum { TERM_UNIT_MAX = VISIBLE_UNIT_MAX };
size_t term_unit(struct slice s, char out[TERM_UNIT_MAX]);

#endif
