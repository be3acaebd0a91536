/* The one list of audit events. To add one: a row here, `countersign events --markdown > authz/events.md`, and a test that makes it happen. */
#include "authz/events.h"

#define FIELDS(...) (const struct event_field[]) { __VA_ARGS__, { NULL, NULL } }
#define ENTITY(type, uid) { "=" type, "entity.type" }, { uid, "entity.uid" }
#define BY(member) { member, "actor.user.name" }
#define ASKER { "person", "user.name" }, { "identity", "user.email_addr" }
#define TOOL { "tool", "unmapped.tool" }
#define REASON { "reason", "comment" }
#define WHY { "why", "status_detail" }
#define DECISION                                                                                                                                           \
    ENTITY("request", "item"), BY("statement.approver"), { "statement.key", "unmapped.key" }, { "statement.method", "unmapped.method" },                   \
    { "statement.purpose", "unmapped.purpose" }, { "statement.requester", "unmapped.requester" }, { "statement.id", "unmapped.statement" },                \
    { "statement.scope.tool", "unmapped.tool" }, { "statement.scope.answer", "comment" }, { "state", "unmapped.state" }
#define GRANT                                                                                                                                              \
    ASKER, { "tool", "privileges[]" }, { "tool", "resource.name" }, { "=tool", "resource.type" }, { "grant_id", "unmapped.grant" },                         \
    { "approved_by", "unmapped.approved_by" }, { "exp", "unmapped.ends" }, { "policy", "unmapped.policy" }, { "basis", "unmapped.basis" }
#define DOOR                                                                                                                                               \
    { "identity", "user.name" }, { "certificate", "certificate.uid" }, { "source", "src_endpoint.ip" }, { "port", "src_endpoint.port" },                    \
    { "=Countersign", "service.name" }, { "host", "dst_endpoint.hostname" }, { "why", "status_detail" }, { "reason", "status_code" }

const struct event_row event_table[] = {
    { "gateway.started", NULL, APPLICATION_LIFECYCLE, 3, EVENT_INFORMATIONAL, false, FIELDS({ "=Countersign", "app.name" }, { "version", "app.version" }, { "process", "unmapped.process" }),
      "The deciding process began its work." },
    { "gateway.stopped", NULL, APPLICATION_LIFECYCLE, 4, EVENT_INFORMATIONAL, false, FIELDS({ "=Countersign", "app.name" }, { "version", "app.version" }, { "process", "unmapped.process" }),
      "The deciding process ended in good order; without this line before the next `gateway.started` it did not." },
    { "instance.created", "instance.created", APPLICATION_LIFECYCLE, 1, EVENT_INFORMATIONAL, false, FIELDS({ "=Countersign", "app.name" }, { "log_key", "unmapped.log_key" }),
      "A new log begins; this is the key that it is signed with." },
    { "config.reloaded", NULL, ENTITY_MANAGEMENT, 3, EVENT_MEDIUM, false, FIELDS(ENTITY("configuration", "file"), { "policies", "unmapped.policies" }),
      "The configuration was read again and is in force, with these hashes of the tools' policies." },
    { "config.refused", NULL, ENTITY_MANAGEMENT, 3, EVENT_MEDIUM, true, FIELDS(ENTITY("configuration", "file"), WHY),
      "The configuration was read again and refused; the former one stays in force." },

    { "door.no-certificate", NULL, AUTHENTICATION, 1, EVENT_LOW, true, FIELDS(DOOR), "Somebody came without a client certificate and was refused." },
    { "door.certificate-refused", NULL, AUTHENTICATION, 1, EVENT_MEDIUM, true, FIELDS(DOOR),
      "Somebody came with a certificate that is not accepted: of another authority, expired, revoked ...; `status_code` says which." },
    { "door.unknown-person", NULL, AUTHENTICATION, 1, EVENT_MEDIUM, true, FIELDS(DOOR), "The certificate is good, but nobody is listed for its identity." },
    { "door.locked", NULL, AUTHENTICATION, 1, EVENT_MEDIUM, true, FIELDS(DOOR), "Somebody who is locked came to the door." },

    { "request.created", "request.created", ENTITY_MANAGEMENT, 1, EVENT_INFORMATIONAL, false,
      FIELDS(ENTITY("request for access", "item"), BY("person"), { "identity", "actor.user.email_addr" }, TOOL, REASON, { "duration_s", "unmapped.duration_s" },
             { "actions", "unmapped.actions" }, { "extends", "unmapped.extends" }, { "policy", "unmapped.policy" }),
      "Somebody asks for a tool." },
    { "held.created", "held.created", ENTITY_MANAGEMENT, 1, EVENT_INFORMATIONAL, false,
      FIELDS(ENTITY("held request", "item"), BY("person"), { "identity", "actor.user.email_addr" }, TOOL, { "action", "unmapped.action" }, { "method", "unmapped.method" },
             { "digest", "unmapped.request_digest" }, { "body_len", "unmapped.body_len" }, { "grant_id", "unmapped.grant" }),
      "A sensitive request is held until somebody signs it off. Its path, query and body are not told: find it by `entity.uid`." },
    { "approval", "approval", ENTITY_MANAGEMENT, 3, EVENT_INFORMATIONAL, false, FIELDS(DECISION, { "counts_from", "unmapped.counts_from" }),
      "Somebody said yes to a request for access, a held request or a new key, with a signature." },
    { "denial", "denial", ENTITY_MANAGEMENT, 3, EVENT_LOW, false, FIELDS(DECISION), "Somebody said no, with a signature; `comment` says why, as the requester sees it." },
    { "withdrawn", "withdrawn", ENTITY_MANAGEMENT, 3, EVENT_LOW, false, FIELDS(ENTITY("request", "item"), BY("by"), { "as", "unmapped.as" }, REASON),
      "The requester took the request back, or an approver the yes." },
    { "item.expired", "item.expired", ENTITY_MANAGEMENT, 3, EVENT_INFORMATIONAL, false, FIELDS(ENTITY("request", "item"), WHY), "A request ended because nobody answered, or ran it, in time." },
    { "item.cancelled", "item.cancelled", ENTITY_MANAGEMENT, 3, EVENT_LOW, false, FIELDS(ENTITY("request", "item"), WHY),
      "A request ended otherwise: a lock, a changed policy, the end of its grant." },
    { "grant.issued", "grant.issued", USER_ACCESS, 1, EVENT_INFORMATIONAL, false, FIELDS(GRANT), "A grant was signed: the person may use the tool until `ends`." },
    { "grant.extended", "grant.extended", USER_ACCESS, 1, EVENT_INFORMATIONAL, false, FIELDS(GRANT), "A grant lasts longer, after a new approval." },
    { "grant.carried", "grant.carried", USER_ACCESS, 1, EVENT_INFORMATIONAL, false, FIELDS(GRANT, { "x5t", "unmapped.certificate" }), "A live grant goes on under a renewed certificate." },
    { "external.admitted", "external.admitted", USER_ACCESS, 1, EVENT_MEDIUM, false,
      FIELDS(ASKER, { "tool", "privileges[]" }, { "tool", "resource.name" }, { "item", "unmapped.item" }, { "token_id", "unmapped.token_id" }, { "external.issuer", "unmapped.issuer" }),
      "A grant of another issuer was presented and taken, without a second person here. The token itself is not told." },
    { "auto.approved", "auto.approved", ENTITY_MANAGEMENT, 3, EVENT_MEDIUM, false, FIELDS(ENTITY("request for access", "item"), BY("person"), TOOL, { "rule", "unmapped.rule" }),
      "A rule said yes to a request for access, without a second person." },
    { "break-glass.used", "break-glass.used", USER_ACCESS, 1, EVENT_CRITICAL, false,
      FIELDS(ASKER, { "tool", "privileges[]" }, { "tool", "resource.name" }, { "reason", "status_detail" }, { "item", "unmapped.item" }, { "review", "unmapped.review" }, { "due_ms", "unmapped.due_ms" }),
      "Somebody gave themselves a grant in an emergency; a review by somebody else is owed." },
    { "review.done", "review.done", ENTITY_MANAGEMENT, 3, EVENT_MEDIUM, false,
      FIELDS(ENTITY("review of break-glass", "review"), BY("by"), { "outcome", "status_detail" }, { "words", "comment" }, { "person", "unmapped.requester" }),
      "Somebody else reviewed a use of break-glass, with a signature." },
    { "review.overdue", "review.overdue", ENTITY_MANAGEMENT, 3, EVENT_HIGH, true,
      FIELDS(ENTITY("review of break-glass", "review"), { "person", "unmapped.requester" }, TOOL, { "item", "unmapped.item" }, { "due_ms", "unmapped.due_ms" }),
      "Nobody has reviewed a use of break-glass in time: the review is still owed." },
    { "delegate.named", "delegate.named", ENTITY_MANAGEMENT, 1, EVENT_MEDIUM, false,
      FIELDS(ENTITY("delegation", "delegation"), BY("delegator"), { "delegate", "unmapped.delegate" }, { "tools", "unmapped.tools" }, { "kinds", "unmapped.kinds" }, { "until_s", "unmapped.ends" }),
      "An approver named somebody who may answer in their place, with a signature." },
    { "delegate.ended", "delegate.ended", ENTITY_MANAGEMENT, 4, EVENT_LOW, false, FIELDS(ENTITY("delegation", "delegation"), BY("by"), WHY), "A delegation ended." },
    { "item.escalated", "item.escalated", ENTITY_MANAGEMENT, 3, EVENT_LOW, false, FIELDS(ENTITY("request", "item"), { "group", "unmapped.group" }, WHY),
      "Nobody answered in time, or nobody who may answer is on duty: others are asked." },
    { "policy.proposed", "policy.proposed", ENTITY_MANAGEMENT, 1, EVENT_HIGH, false, FIELDS(ENTITY("policy", "item"), { "policy", "unmapped.policy" }, { "was", "unmapped.was" }, { "changes", "comment" }),
      "The configuration would widen what people may do: it waits for operators." },
    { "policy.accepted", "policy.accepted", ENTITY_MANAGEMENT, 3, EVENT_MEDIUM, false,
      FIELDS({ "=policy", "entity.type" }, { "policy", "entity.uid" }, { "was", "unmapped.was" }, { "basis", "unmapped.basis" }, { "item", "unmapped.item" }, { "changes", "comment" }),
      "Another policy is in force; `basis` says on whose word." },
    { "policy.released", "policy.released", ENTITY_MANAGEMENT, 3, EVENT_HIGH, false,
      FIELDS({ "=policy", "entity.type" }, { "policy", "entity.uid" }, { "was", "unmapped.was" }, { "basis", "unmapped.basis" }, { "item", "unmapped.item" }, { "changes", "comment" }),
      "Changes of the policy need no second operator any more." },
    { "grant.ended", "grant.ended", USER_ACCESS, 2, EVENT_INFORMATIONAL, false, FIELDS(GRANT, WHY), "A grant ended." },
    { "session.opened", "segment", AUTHENTICATION, 1, EVENT_INFORMATIONAL, false,
      FIELDS(ASKER, { "=Countersign", "service.name" }, { "session", "session.uid" }, TOOL, { "from_ms", "start_time" }),
      "A person began to use a tool: the first segment of the session's recording is in the log." },
    { "session.closed", "grant.ended", AUTHENTICATION, 2, EVENT_INFORMATIONAL, false,
      FIELDS(ASKER, { "=Countersign", "service.name" }, { "session", "session.uid" }, TOOL, WHY), "A session ended with its grant." },
    { "notice.acknowledged", "notice.acknowledged", ENTITY_MANAGEMENT, 3, EVENT_INFORMATIONAL, false, FIELDS(ENTITY("grant", "grant_id"), BY("identity")),
      "The person saw that the session is recorded, and went on." },
    { "signoff.used", "signoff.used", ENTITY_MANAGEMENT, 3, EVENT_MEDIUM, false,
      FIELDS(ENTITY("held request", "item"), BY("person"), { "digest", "unmapped.request_digest" }, { "jti", "unmapped.token_id" }),
      "A signed-off request is run: from here on the sign-off is used up." },
    { "outcome", "outcome", ENTITY_MANAGEMENT, 3, EVENT_INFORMATIONAL, false,
      FIELDS(ENTITY("held request", "item"), { "outcome", "status_detail" }, { "status", "unmapped.http_status" }),
      "What became of a request that was run: `not-sent`, `answered`, or `outcome-unknown` after a crash in between." },

    { "lock", "lock", ENTITY_MANAGEMENT, 3, EVENT_HIGH, false,
      FIELDS({ "kind", "entity.type" }, { "value", "entity.uid" }, BY("by"), REASON, { "lock_id", "unmapped.lock" }),
      "A person, identity, certificate, grant, tool or everything is stopped, by somebody or by a rule." },
    { "unlock", "unlock", ENTITY_MANAGEMENT, 3, EVENT_MEDIUM, false,
      FIELDS({ "kind", "entity.type" }, { "value", "entity.uid" }, BY("by"), REASON, { "lock_id", "unmapped.lock" }), "A lock was lifted, with a signature." },

    { "key.registered", "key.registered", ACCOUNT_CHANGE, 10, EVENT_MEDIUM, false, FIELDS({ "person", "user.name" }, { "key", "unmapped.key" }, { "not_after", "unmapped.not_after" }),
      "An approval key of a certificate counts from now on." },
    { "key.removed", "key.removed", ENTITY_MANAGEMENT, 4, EVENT_MEDIUM, false, FIELDS(ENTITY("approval key", "key")), "An approval key of a certificate counts no longer." },
    { "key.proposed", "key.proposed", ENTITY_MANAGEMENT, 1, EVENT_MEDIUM, false,
      FIELDS(ENTITY("approval key", "item"), BY("person"), { "label", "entity.name" }, { "key", "unmapped.key" }, { "method", "unmapped.method" }, { "alg", "unmapped.alg" }),
      "Somebody wants to register a new approval key; another person has to confirm it." },
    { "key.notice", "key.notice", ACCOUNT_CHANGE, 10, EVENT_MEDIUM, false,
      FIELDS({ "person", "user.name" }, BY("by"), { "item", "unmapped.item" }, { "counts_from", "unmapped.counts_from" }), "A new approval key was confirmed, and counts from then on." },
    { "key.withdrawn", "key.withdrawn", ENTITY_MANAGEMENT, 4, EVENT_MEDIUM, false, FIELDS(ENTITY("approval key", "item"), BY("by"), WHY), "A new approval key was taken away." },
    { "key.signing", "key.signing", ENTITY_MANAGEMENT, 3, EVENT_HIGH, false, FIELDS({ "=signing keys", "entity.type" }, { "=keys/grant.pem", "entity.name" }, { "kids", "unmapped.keys" }),
      "The gateway's own keys for grants changed." },
    { "issuer.keys", "issuer.keys", ENTITY_MANAGEMENT, 3, EVENT_HIGH, false,
      FIELDS({ "=issuer's keys", "entity.type" }, { "iss", "entity.uid" }, { "issuer", "entity.name" }, { "url", "unmapped.url" }, { "kids", "unmapped.keys" }, { "changed", "unmapped.changed" }),
      "The keys of another issuer were fetched from its URL; `changed`: they differ from those before, whose grants ended. Told again now and then while they stay the same." },
    { "issuer.stale", NULL, ENTITY_MANAGEMENT, 3, EVENT_HIGH, true,
      FIELDS({ "=issuer's keys", "entity.type" }, { "iss", "entity.uid" }, { "issuer", "entity.name" }, { "url", "unmapped.url" }, WHY),
      "The keys of another issuer could not be fetched for too long: they count no more, and its live grants ended." },
    { "certificate.revoked", NULL, ENTITY_MANAGEMENT, 4, EVENT_MEDIUM, false, FIELDS(ENTITY("certificate", "serial")),
      "The revocation list names a certificate that it did not name before (`certs revoke` at the machine did it, or another authority)." },
    { "auditor-key.added", "auditor-key.added", ENTITY_MANAGEMENT, 1, EVENT_MEDIUM, false, FIELDS(ENTITY("auditor's key", "public_key")), "Recordings are sealed to this key too from now on." },
    { "auditor-key.retired", "auditor-key.retired", ENTITY_MANAGEMENT, 4, EVENT_MEDIUM, false, FIELDS(ENTITY("auditor's key", "auditor")), "Recordings are no longer sealed to this key." },

    { "session.read", "session.read", ENTITY_MANAGEMENT, 2, EVENT_LOW, false, FIELDS(ENTITY("session", "session"), BY("by"), { "purpose", "unmapped.purpose" }),
      "An auditor looked at a session: `purpose` is show, replay, export, verify or incident." },
    { "retention.set", "retention.set", ENTITY_MANAGEMENT, 3, EVENT_MEDIUM, false,
      FIELDS({ "=retention", "entity.type" }, { "tool", "entity.name" }, { "retention_s", "unmapped.retention_s" }, { "before_s", "unmapped.before_s" }),
      "How long a tool's recordings are kept has changed; 0: for ever. A shorter time counts for later sessions only, unless `recording.shorten_after` says when it counts for earlier ones." },
    { "session.erased", "session.erased", ENTITY_MANAGEMENT, 4, EVENT_MEDIUM, false,
      FIELDS(ENTITY("session", "session"), { "by", "actor.user.name" }, TOOL, { "segments", "unmapped.segments" }, { "ended_ms", "unmapped.last_ms" }, { "retention_s", "unmapped.retention_s" }),
      "The recording of a session is deleted, since its time is over." },
    { "session.moved", "session.moved", ENTITY_MANAGEMENT, 3, EVENT_LOW, false,
      FIELDS(ENTITY("session", "session"), { "by", "actor.user.name" }, TOOL, { "segments", "unmapped.segments" }, { "to", "unmapped.to" }),
      "The recording of a session is in object storage, whole, and its file at the gateway is deleted (`recording.keep_local`)." },
    { "retention.suspended", "retention.suspended", ENTITY_MANAGEMENT, 3, EVENT_HIGH, false, FIELDS({ "=retention", "entity.type" }, { "=all tools", "entity.name" }, WHY, { "leap_ms", "unmapped.leap_ms" }),
      "The clock leapt: nothing is deleted until an operator has confirmed the time." },
    { "retention.confirmed", "retention.confirmed", ENTITY_MANAGEMENT, 3, EVENT_MEDIUM, false, FIELDS({ "=retention", "entity.type" }, { "=all tools", "entity.name" }, BY("by"), REASON),
      "An operator confirmed the time after the clock had leapt." },
    { "hold.placed", "hold.placed", ENTITY_MANAGEMENT, 1, EVENT_MEDIUM, false,
      FIELDS(ENTITY("legal hold", "hold"), BY("by"), REASON, { "kind", "unmapped.kind" }, { "value", "unmapped.value" }), "An auditor keeps recordings from being deleted." },
    { "hold.released", "hold.released", ENTITY_MANAGEMENT, 4, EVENT_MEDIUM, false,
      FIELDS(ENTITY("legal hold", "hold"), BY("by"), REASON, { "kind", "unmapped.kind" }, { "value", "unmapped.value" }), "Another auditor lifted a legal hold." },

    { "op.refused", NULL, API_ACTIVITY, 99, EVENT_LOW, true,
      FIELDS({ "op", "api.operation" }, { "identity", "actor.user.email_addr" }, { "person", "actor.user.name" }, { "=console", "src_endpoint.svc_name" }, { "problem", "status_code" },
             { "detail", "status_detail" }),
      "Somebody asked for something that is not theirs, or that the rules do not allow; `status_code` is the type of the problem." },
    { "events.lost", NULL, APPLICATION_LIFECYCLE, 99, EVENT_HIGH, true, FIELDS({ "=Countersign", "app.name" }, { "place", "unmapped.place" }, { "lost", "unmapped.lost" }),
      "This place took nothing for so long that so many events which are no leaves of the log (refusals, the door, reloads) were not told here; decisions are never among them." },
    { "log.leaf", NULL, ENTITY_MANAGEMENT, 99, EVENT_INFORMATIONAL, false, FIELDS(ENTITY("log leaf", "leaf_type"), BY("by")),
      "The log says something that this list has no line for: look at the leaf." },
};
const size_t event_table_count = sizeof event_table / sizeof *event_table;

const struct event_quiet event_quiet_table[] = {
    { "segment", "A few a minute and session; the first one is told as `session.opened`." },
    { "budget.leased", "No decision; it counts." },
    { NULL, NULL },
};
