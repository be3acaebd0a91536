/* body_text: a message body as a person can read it on a terminal. Bytes come from requesters and tools: bounded, escaped (term.h), never interpreted further. */
#ifndef COUNTERSIGN_BODY_TEXT_H
#define COUNTERSIGN_BODY_TEXT_H

#include "proxy/base/slice.h"

#include <stdbool.h>
#include <stdio.h>

/* Exactly what is in it: forms decoded into name=value lines, JSON indented (as it came when it has duplicate members), text as text, anything else as hex. gzip and deflate codings are
 * undone first, and said. At most `shown` bytes of it; what is left out is said. Each line begins with prefix. */
void body_text_print(FILE *out, const char *type, const char *coding, struct slice body, size_t shown, const char *prefix);
/* The same, but HTML becomes the text a person sees (html_text.h), and what no person reads (images, scripts, styles, fonts) one line that names it. */
void body_page_print(FILE *out, const char *type, const char *coding, struct slice body, size_t shown, const char *prefix);

/* Is the media type (parameters and case aside) `wanted`? "text/" stands for all of text. */
bool media_type_is(const char *type, const char *wanted);

#endif
