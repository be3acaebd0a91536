/* entry: what a tape puts on the ring, one kind a fact. All numbers are u32 in machine order; a string is its length and its bytes; "rest" is what
 * remains of the payload. The session id stands in every entry (ring.h), so that a recorder that starts in the middle knows whose file to open.
 *
 *   BEGIN      version (and in its upper half enum entry_keep), method length, target length; strings identity, person, tool, host, x5t, action, authority; rest: request head;
 *              flag WHOLE: that was all of the request, as a FINISH would say
 *   RESPONSE   version, status, from_tool; rest: response head
 *   BODY       rest: bytes; flag RESPONSE_SIDE or not
 *   OMITTED    u64 in two halves, the low one first: so many bytes of body passed and are not kept; flag RESPONSE_SIDE or not
 *   MESSAGE    opcode, what (enum entry_message); rest: bytes of a WebSocket message, unmasked, or how many, as in OMITTED; flag RESPONSE_SIDE: towards the client
 *   FINISH     flags RESPONSE_SIDE, CUT; of a response whose body lost values to redaction: how many
 *   NOTE       string name; rest: value
 *   CLOSE      rest: why, empty when all went well; flag WHOLE: the response is over and whole, as a FINISH would say */
#ifndef COUNTERSIGN_ENTRY_H
#define COUNTERSIGN_ENTRY_H

enum entry_kind {
    ENTRY_BEGIN = 1,
    ENTRY_RESPONSE,
    ENTRY_BODY,
    ENTRY_FINISH,
    ENTRY_NOTE,
    ENTRY_CLOSE,
    ENTRY_MESSAGE,
    ENTRY_OMITTED,
};

enum entry_keep {                     /* of BEGIN; ENTRY_KEEP_SHIFT bits up */
    ENTRY_KEEP_ALL,
    ENTRY_KEEP_SIZES,                 /* heads, and sizes of bodies */
};

enum entry_flag {
    ENTRY_RESPONSE_SIDE = 1,
    ENTRY_CUT = 2,
    ENTRY_WHOLE = 4,
};

enum entry_message {
    MESSAGE_FIRST = 1,                /* the message's first piece, its last one */
    MESSAGE_LAST = 2,
    MESSAGE_COMPRESSED = 4,
    MESSAGE_BY_GATEWAY = 8,
    MESSAGE_OMITTED = 16,
};

enum {
    ENTRY_BODY_MAX = 64 * 1024,       /* bytes of body in one entry */
    ENTRY_NAME_MAX = 64,              /* of a note */
    ENTRY_VALUE_MAX = 16 * 1024,           /* of a note */
    ENTRY_WHY_MAX = 64,
    ENTRY_KEEP_SHIFT = 16,
};

/* The action of exchanges that carry what a page's browser says happened in it (proxy/dom/README.md). No action of a policy can be called so: it holds a colon. */
#define ACTION_BROWSER_CLAIM "browser-claim:dom"

/* Notes that are no notes: what they say has a place of its own. */
#define NOTE_ACTION "action"          /* another one than BEGIN said */
#define NOTE_NAMES "names"            /* "customer=17,customer=18"; right behind BEGIN, so that the request's record has it */

#endif
