/* target: the one normal form of a request-target (RFC 3986 s6, RFC 9112 s3.2). It is what is matched, digested, recorded and forwarded, so no rule can be got
 * round by spelling.
 *
 * In the path: percent-encoded unreserved characters are decoded, and those reserved ones that mean themselves in a path (: @ ! $ & ' ( ) * ,), hex digits
 * upper-cased; what browsers leave as it is, "[", "]", "|" and "^", is encoded. In path and query: a "%" without two hex digits becomes "%25", as browsers send it so. Refused (400) unless the tool allows it: "%2F", "\" and "%5C" (allowed, both become "%5C"), empty segments ("//", and "/;x/"), "%25" followed by two
 * hex digits. Refused always: "." and ".." segments in any spelling ("%2e", "..;x", between encoded separators), overlong UTF-8, "%00" and other encoded controls, bytes outside
 * RFC 3986's pchar but for those four (controls, space, non-ASCII, '"<>`{}'), "%u" with a hex digit behind it, '#', more than 8 KiB (414). ";params" stay as they are.
 * The query keeps its bytes but for the case of hex digits; controls, space, '#', non-ASCII and "%u" with a hex digit behind it are refused.
 * The reason of a refusal names the setting that would allow it. */
#ifndef COUNTERSIGN_TARGET_H
#define COUNTERSIGN_TARGET_H

#include "proxy/http/message.h"

enum { TARGET_MAX = 8192 };

/* allow: enum target_allow bits of config.h. Fills path, query and target of m, in the arena, from m->raw_target. BAD leaves m alone. */
enum parse target_normalise(struct message *m, unsigned allow, struct arena *arena, struct refusal *why);

#endif
