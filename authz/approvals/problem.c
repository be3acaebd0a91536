#include "authz/approvals/problem.h"

#define ASK "Ask for access with `countersign request` or on the console's page"
#define OPERATOR "Ask an operator of this gateway"

static const struct problem problems[PROBLEM_COUNT] = {
    [PROBLEM_NONE] = { "about:blank", 500, "No problem", "Nothing." },
    [BAD_REQUEST] = { "bad-request", 400, "The request could not be understood", "Correct what the detail names and send it again." },
    [UNKNOWN_PERSON] = { "unknown-person", 403, "Nobody is listed for this certificate",
                         OPERATOR " to list your identity under `people` in the config." },
    [CERTIFICATE_EXPIRED] = { "certificate-expired", 403, "The certificate has expired", "Renew your certificate, then try again." },
    [LOCKED] = { "locked", 403, "Locked by an operator", OPERATOR " why; operators can lift a lock, though never one on themselves." },
    [UNKNOWN_TOOL] = { "unknown-tool", 404, "There is no such tool", "Look at `countersign status` for the tools you may ask for." },
    [MAY_NOT_ASK] = { "may-not-ask", 403, "You may not ask for this tool", OPERATOR " to add you to a group that may ask for it." },
    [BAD_REASON] = { "bad-reason", 422, "The reason is missing or cannot be kept",
                     "Give a reason of 3 to 500 characters on one line, such as a ticket number and what you have to do." },
    [NO_TICKET] = { "ticket-missing", 422, "The reason names no ticket", "Give the ticket's number in the reason, in the form that the detail names." },
    [BAD_DURATION] = { "bad-duration", 422, "The duration is not allowed", "Ask for a shorter time." },
    [NOBODY_AT_THIS_HOUR] = { "nobody-at-this-hour", 409, "Nobody can approve this at this hour",
                              "Ask in the hours that the policy of the tool names; `countersign explain` shows them." },
    [TOO_MANY_OPEN] = { "too-many-open", 429, "Too many of your requests are open",
                        "Wait until those that are open are decided or expire; `countersign status` lists them." },
    [ITEM_NOT_FOUND] = { "not-found", 404, "There is nothing with this id, or it is not yours to see",
                         "Check the id: `countersign status`, `countersign pending` and `countersign lock --list` name those you may see." },
    [SELF_APPROVAL] = { "self-approval", 403, "Nobody decides their own request",
                        "Ask another person from a group that may approve it." },
    [MAY_NOT_APPROVE] = { "may-not-approve", 403, "You are not among those who may approve this",
                          "Leave it to somebody in one of the groups that the item's `needs` names." },
    [KEY_NOT_REGISTERED] = { "key-not-registered", 403, "This key is not registered as an approval key of yours",
                             OPERATOR " to register your key: `countersign certs issue --approver`, or use the key that is registered." },
    [NOT_YOURS] = { "not-yours", 403, "Only who asked, or who said yes, takes it back", "An operator can lock the grant, the person or the tool." },
    [KEY_TOO_NEW] = { "key-too-new", 409, "This key does not count yet", "Wait until it does, or sign with an older key of yours." },
    [KEY_UNSOUND] = { "key-unsound", 422, "This key cannot be registered", "Correct what the detail names; use an authenticator that asks for a PIN or a finger." },
    [METHOD_REQUIRED] = { "method-required", 403, "The rules ask for another kind of signature",
                          "Sign with a key of the kind the item's `needs` names: one in hardware, or on the command line with `countersign approve`." },
    [ALREADY_DECIDED] = { "already-decided", 409, "You have decided on this already", "Nothing is left to do for you." },
    [NOT_PENDING] = { "not-pending", 409, "It is no longer waiting for a decision", "Look at its state; ask anew if it is still needed." },
    [WIDER_THAN_ASKED] = { "wider-than-asked", 422, "A yes can be for less than what was asked, never for more",
                           "Approve it as it was asked, shorter, or for some of its actions." },
    [STATEMENT_UNKNOWN] = { "statement-unknown", 404, "There is no such open statement", "Start the decision again: a statement is used once." },
    [STATEMENT_EXPIRED] = { "statement-expired", 410, "The statement is older than 10 minutes", "Start the decision again." },
    [BAD_SIGNATURE] = { "bad-signature", 403, "The signature does not hold over this statement",
                        "Sign the statement as it was given, with the key it names." },
    [POLICY_CHANGED] = { "policy-changed", 409, "The policy of this tool has changed since", "Ask anew; approvers then see the new policy." },
    [GRANT_REQUIRED] = { "grant-required", 403, "There is no valid grant for this", ASK "." },
    [BUDGET_EXHAUSTED] = { "budget-exhausted", 403, "The budget of this grant is used up",
                           ASK ": a new grant comes with a new budget. `countersign status` shows what is left." },
    [NOT_HELD_HERE] = { "not-held", 409, "The policy does not hold this action", "Reload the page; the policy may have changed." },
    [BODY_MISMATCH] = { "digest-mismatch", 422, "The request's bytes do not match its digest", "Send the request again." },
    [HELD_TOO_LARGE] = { "held-too-large", 413, "The request is too large to be held",
                         "Split it, or ask an operator to raise `held_bytes`." },
    [HELD_GONE] = { "held-gone", 410, "The bytes of this request are no longer kept", "They are erased once it was used, denied or expired." },
    [SIGNOFF_REQUIRED] = { "signoff-required", 403, "Another person must sign this off first",
                           "Wait for the sign-off, or ask one of the approvers." },
    [SIGNOFF_VOID] = { "signoff-void", 403, "The sign-off no longer holds", "Send the request again; it will be held anew." },
    [ALREADY_USED] = { "already-used", 409, "The sign-off has been used", "Send the request again; it will be held anew." },
    [RELEASE_CODE_UNKNOWN] = { "release-code-unknown", 404, "The release link is not valid",
                               "A link works once, for a minute, for the person it was made for: start again from the held request's page." },
    [OUTCOME_KNOWN] = { "outcome-known", 409, "The outcome is already known, or this was never run", "Nothing is left to do." },
    [SESSION_UNKNOWN] = { "session-unknown", 404, "There is no such session", "`countersign sessions` lists them." },
    [SEGMENT_CONFLICT] = { "segment-conflict", 409, "Another segment has this number in the log",
                           "Do not overwrite recordings; `countersign verify` shows which segment is the logged one." },
    [AUDITORS_ONLY] = { "auditors-only", 403, "Only auditors may see this", OPERATOR " if you should be in an auditors' group." },
    [OPERATORS_ONLY] = { "operators-only", 403, "Only operators may do this", OPERATOR " to do it." },
    [LOCK_TARGET_UNKNOWN] = { "lock-target-unknown", 404, "There is nothing of this name to lock",
                              "Check the spelling: a person's name as in the config, a certificate's thumbprint, a grant's id, a tool's name." },
    [UNLOCK_OWN] = { "unlock-own", 403, "Nobody lifts a lock on themselves", "Another operator has to lift it." },
    [GRANT_INVALID] = { "grant-invalid", 401, "This is not a grant that holds here",
                        "Get a new token from its issuer; the detail says what is wrong with this one. Or leave the field out and ask for access with `countersign request`." },
    [GRANT_EXPIRED] = { "grant-expired", 401, "This grant has expired", "Get a new token from its issuer." },
    [GRANT_MISMATCH] = { "grant-mismatch", 401, "This grant does not fit", "Leave the field out: the certificate finds its grant. Or present the newest token." },
    [NOT_CARRIED] = { "not-carried", 403, "Nothing can be carried over from that certificate",
                      "Ask for access anew with the certificate that you use now: `countersign request`." },
    [STORE_UNAVAILABLE] = { "store-unavailable", 503, "The decision could not be kept, so it was not made",
                            "Try again in a minute, or ask an operator of this gateway to look at the disk and the log of authz." },
    [RECORDS_ALTERED] = { "records-altered", 503, "The gateway's records do not agree with its signed log",
                          "Nothing was released. " OPERATOR " to look at the log of authz and to compare the database with a backup." },
};

const struct problem *problem_of(enum problem_type t)
{
    return &problems[t];
}

json_t *problem_json(enum problem_type t, const char *detail)
{
    const struct problem *p = &problems[t];
    return json_pack("{s:s, s:i, s:s, s:s, s:s}", "type", p->type, "status", p->status, "title", p->title, "detail", detail, "next",
                     p->next);
}
