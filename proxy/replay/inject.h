/* inject: where in a recorded HTML page our own script goes, so that it runs before any of the page's: right after <head>, else before the first other thing, never before
 * the doctype (that would change how the page is drawn). It reads no more of HTML than that takes: comments, the doctype, <html …>, <head …>. */
#ifndef COUNTERSIGN_REPLAY_INJECT_H
#define COUNTERSIGN_REPLAY_INJECT_H

#include "proxy/base/slice.h"

/* A position in html, at most html.len. Text in UTF-16 has none that ASCII could go to: html.len + 1. */
size_t inject_position(struct slice html);

#endif
