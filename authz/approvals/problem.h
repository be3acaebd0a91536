/* problem: every reason authz gives for a no (RFC 9457): a stable type, a status, a title, and what to do next. The list is also in
 * authz/README.md; approvals_tables_test compares the two. */
#ifndef COUNTERSIGN_PROBLEM_H
#define COUNTERSIGN_PROBLEM_H

#include <jansson.h>
#include <stddef.h>

enum problem_type {
    PROBLEM_NONE,
    BAD_REQUEST,
    UNKNOWN_PERSON,
    CERTIFICATE_EXPIRED,
    LOCKED,
    UNKNOWN_TOOL,
    MAY_NOT_ASK,
    BAD_REASON,
    NO_TICKET,
    BAD_DURATION,
    NOBODY_AT_THIS_HOUR,
    TOO_MANY_OPEN,
    ITEM_NOT_FOUND,
    HISTORY_ERASED,
    SELF_APPROVAL,
    MAY_NOT_APPROVE,
    KEY_NOT_REGISTERED,
    NOT_YOURS,
    KEY_TOO_NEW,
    KEY_UNSOUND,
    METHOD_REQUIRED,
    ALREADY_DECIDED,
    NOT_PENDING,
    WIDER_THAN_ASKED,
    STATEMENT_UNKNOWN,
    STATEMENT_EXPIRED,
    BAD_SIGNATURE,
    POLICY_CHANGED,
    GRANT_REQUIRED,
    BUDGET_EXHAUSTED,
    NOT_HELD_HERE,
    BODY_MISMATCH,
    HELD_TOO_LARGE,
    HELD_GONE,
    SIGNOFF_REQUIRED,
    SIGNOFF_VOID,
    ALREADY_USED,
    RELEASE_CODE_UNKNOWN,
    OUTCOME_KNOWN,
    SESSION_UNKNOWN,
    SEGMENT_CONFLICT,
    AUDITORS_ONLY,
    OPERATORS_ONLY,
    LOCK_TARGET_UNKNOWN,
    UNLOCK_OWN,
    NO_BREAK_GLASS,
    NO_DELEGATION,
    REVIEW_OVERDUE,
    RECORDING_UNAVAILABLE,
    GRANT_INVALID,
    GRANT_EXPIRED,
    GRANT_MISMATCH,
    ISSUER_KEYS,
    NOT_CARRIED,
    STORE_UNAVAILABLE,
    RECORDS_ALTERED,
    AUDIT_UNAVAILABLE,
    PROBLEM_COUNT
};

struct problem {
    const char *type;
    int status;
    const char *title, *next;
};
const struct problem *problem_of(enum problem_type t);
/* {type, status, title, detail, next}; NULL when memory is short. */
json_t *problem_json(enum problem_type t, const char *detail);

#endif
