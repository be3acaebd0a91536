/* cookie_tie: cookies of a tool that are worth something to one identity only.
 *
 * Whoever gets hold of another person's session cookie (from a log, a shared machine, a script in the page) has that person's login at the tool. So the gateway
 * writes a tag before the value of a tied cookie when it passes to the browser, "SID=cs1.TAG.VALUE", and takes it off again on the way back. TAG is the
 * first 16 bytes, in base64url, of HMAC-SHA256 over tool, identity, name and value. What comes back without the tag of this identity, for this tool, is not forwarded: a
 * stolen cookie, one that was made up, and one that a page of another host planted (cookie tossing, RFC 6265 s8.6). The tool sees its own values only.
 *
 * A name is tied when a pattern says so; a '*' may end a pattern. For what comes back look-alikes count too, since tools differ in how they read names ("sid", "SID",
 * "%73id", "s.id" for "s_id", "sid[0]") and in what separates cookies. */
#ifndef COUNTERSIGN_COOKIE_TIE_H
#define COUNTERSIGN_COOKIE_TIE_H

#include "proxy/base/arena.h"
#include "proxy/base/slice.h"
#include "proxy/base/status.h"

enum { COOKIE_TAG_LEN = 22 };

struct cookie_tie {
    const unsigned char *key;         /* 32 bytes; the same after a restart, and on every node */
    struct slice tool, identity;
    char *const *names;               /* patterns */
    size_t name_count;
};

/* The value of one Set-Cookie field, with the tag when the cookie is tied; else as it came. out is borrowed from value or in the arena. */
MUST_CHECK enum status cookie_tie_set(const struct cookie_tie *t, struct slice value, struct arena *arena, struct slice *out);
/* The value of one Cookie field, without tags, and without the tied cookies whose tag is missing or wrong (*dropped counts them). out may be empty. */
MUST_CHECK enum status cookie_tie_take(const struct cookie_tie *t, struct slice value, struct arena *arena, struct slice *out, unsigned *dropped);

#endif
