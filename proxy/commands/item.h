/* item: a request for access or a held request, in words (the object is described in authz/README.md). Everything in it goes through term.h. */
#ifndef COUNTERSIGN_ITEM_H
#define COUNTERSIGN_ITEM_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

bool item_is_signoff(const json_t *item);
/* A few lines: what is asked, by whom, why, who can say yes, how it stands. Not the request's body. */
void item_print(FILE *out, const json_t *item, int64_t now_s);
/* "1 of support-lead and 2 of security (not alice)". */
void item_print_needs(FILE *out, const json_t *item);
/* One sentence: how it stands now ("alice may use support until …", "waits for a yes of …", "was denied by bob"). */
void item_print_state(FILE *out, const json_t *item, int64_t now_s);
/* Is it decided (anything but pending and approved)? */
bool item_is_new_key(const json_t *item);
/* A review that is owed, or done, of a use of break-glass. */
bool item_is_review(const json_t *item);
/* How a grant came about, in words to be seen: "BREAK-GLASS", "by rule", or "" for the usual way. */
const char *basis_words(const char *basis);
/* A change of the policy. */
bool item_is_policy(const json_t *item);
bool item_is_over(const json_t *item);

#endif
