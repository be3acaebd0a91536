/* html: pages, built as text. Everything that is not a literal goes through html_text, which escapes: stored text of an attacker never becomes markup. */
#ifndef COUNTERSIGN_HTML_H
#define COUNTERSIGN_HTML_H

#include "proxy/base/slice.h"

#include <stdbool.h>

struct html {
    char *data;
    size_t len, cap;
    bool failed;                      /* no memory, or past 1 MiB: the page must not be used */
    /* What the head of a page shows, set before html_begin(); borrowed until html_end(). */
    const char *who;                  /* the person who looks; NULL: nobody known, so no name and no links */
    struct slice here;                /* the path of this page: its link is marked */
    bool looks;                       /* an operator or auditor: with links to live sessions and locks */
    bool scripted;                    /* on the console itself: times in the reader's own time zone, and a page that notices what changes */
};

void html_raw(struct html *h, const char *literal);
void html_text(struct html *h, struct slice text);               /* escaped for content and quoted attributes; what nobody would see, or turns the reading order, is shown as \\u{NNNN} (visible.h) */
void html_exact(struct html *h, const char *text);               /* for attributes that a script or a form hands back: every character stays */
static inline void html_str(struct html *h, const char *text) { html_text(h, slice_str(text)); }
void html_number(struct html *h, long long n);
/* <name class="…">escaped text</name>; cls NULL: none. */
void html_element(struct html *h, const char *name, const char *cls, const char *text);
/* Escaped text in which `words between backticks` are set as code. */
void html_prose(struct html *h, const char *text);
/* The same as a sentence: with a capital, and with a full stop where it ends without any. */
void html_sentence(struct html *h, const char *text);
/* <time>2026-11-23 12:29:17 UTC</time>, with what the console's script needs to say it in the reader's time zone. */
void html_time(struct html *h, long long wall_s);
/* Head, style, links and the opening of <main>; and the end of it. home: the console's origin, "" on the console itself. */
void html_begin(struct html *h, const char *title, const char *home);
void html_end(struct html *h);
void html_done(struct html *h);
/* The same, with the script that signs: for pages where a key does. */
void html_end_signing(struct html *h);
/* The Content-Security-Policy for such pages: this one style, and no script at all; on the console's own host its own script files, which may write no
 * markup (Trusted Types). Valid for the life of the process. */
const char *html_csp(bool console);

#endif
