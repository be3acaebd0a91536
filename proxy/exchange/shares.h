/* shares: what one person holds of the gateway, counted over all workers and all of the person's certificates: connections, exchanges under way, and bytes of
 * request bodies that are kept to be judged. One person, or whoever has their key, must not take what others need.
 *
 * Entering and leaving take a mutex, once a connection; the rest is atomic. */
#ifndef COUNTERSIGN_SHARES_H
#define COUNTERSIGN_SHARES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct shares;
struct share;                         /* one person's; valid from shares_enter to shares_leave */
struct shares *shares_new(void);      /* NULL: no memory */
void shares_free(struct shares *s);   /* NULL is fine; nobody is in any more */
/* One more connection of this person (at most 64 bytes of name). NULL: they have max, or no memory is left. */
struct share *shares_enter(struct shares *s, const char *person, unsigned max);
/* The connection closes. e may be NULL. */
void shares_leave(struct shares *s, struct share *e);
/* An exchange begins; false: max are under way. And ends. */
bool share_begin(struct share *e, unsigned max);
void share_end(struct share *e);
/* One more of them waits for a sign-off; false: max do. And waits no more. */
bool share_wait_begin(struct share *e, unsigned max);
void share_wait_end(struct share *e);
/* An upload of the DOM recorder, n bytes: false when that is more than `rate` bytes a second and `burst` at once let through. The refused are
 * counted until share_dom_refused asks; share_dom_refuse puts a count back. */
bool share_dom_take(struct share *e, size_t n, size_t rate, size_t burst, int64_t now_ms);
unsigned share_dom_refused(struct share *e);
void share_dom_refuse(struct share *e, unsigned n);
/* n more bytes are kept; false, and nothing taken: that would be more than max. And given back. */
bool share_take(struct share *e, size_t n, size_t max);
void share_give(struct share *e, size_t n);

#endif
