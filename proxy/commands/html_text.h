/* html_text: the text a person sees on a page, roughly: tags, scripts, styles and comments left out, entities decoded, block elements on lines of their own, table cells apart, the
 * values of visible form fields in brackets. Not a browser: what scripts would draw is not there. One pass, linear time, bounded output; any bytes are taken. */
#ifndef COUNTERSIGN_HTML_TEXT_H
#define COUNTERSIGN_HTML_TEXT_H

#include "proxy/base/slice.h"

/* At most max_bytes of text, malloc'd with a NUL; NULL: no memory. The result still goes through term.h. */
char *html_to_text(struct slice html, size_t max_bytes, size_t *len_out);

#endif
