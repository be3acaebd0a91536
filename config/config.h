/* config: everything the operator wrote, as one immutable snapshot.
 *
 * config_load() reads a libconfig file (and its @include files) against the table in settings.c, reports *every*
 * problem with file, line, setting and what was expected, and builds a struct config. Paths are absolute afterwards
 * (relative ones are relative to the file they stand in). Sizes and times are written as strings with units ("64KiB", "15m") and
 * kept in bytes and milliseconds. A snapshot never changes; it is shared by reference count during a reload. */
#ifndef COUNTERSIGN_CONFIG_H
#define COUNTERSIGN_CONFIG_H

#include "config/hours.h"
#include "config/network.h"
#include "proxy/base/arena.h"
#include "proxy/base/log.h"
#include "proxy/base/sandbox.h"
#include "proxy/base/slice.h"
#include "proxy/base/status.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* How a yes is signed; a rule may name the least that counts (authz/README.md "How a yes is signed"). */
enum method {
    METHOD_ANY,                       /* any registered key */
    METHOD_HARDWARE,                  /* WebAuthn, by a key that cannot leave its device (not eligible for backup) */
    METHOD_COMMAND_LINE,              /* a certificate's key, by the command line, which computes what it shows */
};

/* "count persons of this group": approvers = ( { group = "support-lead"; count = 1; } ), all entries needed (AND). */
struct need {
    char *group;
    unsigned count;                   /* 1 to 16 */
    struct hours *when;               /* asked for only of what is made in these hours (config/hours.h); NULL: always */
    enum method method;
};

/* One condition of an action on the query or on the body (urlencoded, multipart and JSON alike). It holds when any reading
 * of the field matches (for NEED_GRANT: every reading). JSON members are named by dotted path ("data.action"); array indexes do not count as parts. */
struct field_rule {
    char *name;
    char *equals;                     /* a pattern: '*' stands for any bytes; NULL: it is enough that the field is there */
};

enum requirement {                    /* strictest last: when several actions match, the largest wins */
    NEED_GRANT,                       /* a valid grant is enough */
    NEED_SIGNOFF,                     /* each request is held until others sign off exactly it */
    NEED_DENY,                        /* never */
};

/* What is kept of an exchange (setting `record`). Sign-offs, and what is durable or refused, are kept in full whatever stands here: policy_record(). */
enum record_mode {
    RECORD_FULL,                      /* heads and bodies */
    RECORD_METADATA,                  /* heads and the sizes of bodies */
    RECORD_OFF,                       /* nothing: named static files only */
};

/* A named class of requests to a tool. It matches when the method, the path and every query and body rule match. */
struct action {
    char *name;
    char **methods;                   /* upper case as sent; empty: any */
    size_t method_count;
    char *path;                       /* '*' matches within one path segment, '**' across segments, the whole normal path must match */
    struct field_rule *query;
    size_t query_count;
    struct field_rule *body;          /* any here: the body is read before it is forwarded */
    size_t body_count;
    enum requirement requirement;     /* setting `allow`: "grant", "signoff", "deny" */
    struct need *signoff;             /* for NEED_SIGNOFF: who must sign off */
    size_t signoff_count;
    bool durable;                     /* delivered only once the recording is fsynced; implied by signoff */
    char **cross_origin;              /* origins whose pages may send requests of this action, beside the tool's */
    size_t cross_origin_count;
    bool record_set;                  /* `record` stands in the action itself */
    enum record_mode record;          /* else the tool's */
};

enum target_allow {                   /* setting `allow_in_target`: what the normal form else refuses (design.md section 6) */
    TARGET_ENCODED_SLASH = 1,         /* "%2F" */
    TARGET_BACKSLASH = 2,             /* "\" and "%5C" */
    TARGET_EMPTY_SEGMENT = 4,         /* "//" */
    TARGET_DOUBLE_ENCODING = 8,       /* "%25" followed by two hex digits */
};

/* One place where a tool listens: "http://127.0.0.1:8000", "https://tool.internal", "h2c://127.0.0.1:50051", "unix:/run/tool.sock". */
struct upstream_address {
    char *text;                       /* as written: in logs and metrics */
    char *host;                       /* a name or a numeric address; NULL: a Unix socket */
    char *path;                       /* of the Unix socket */
    uint16_t port;
    bool tls;                         /* https */
    bool h2;                          /* h2c: HTTP/2 without asking first */
};

enum upstream_http {                  /* setting `upstream_http` */
    UPSTREAM_HTTP1,
    UPSTREAM_HTTP2,                   /* by ALPN over TLS, with prior knowledge in clear */
    UPSTREAM_HTTP_AUTO,               /* https: whichever the tool takes (ALPN), h2 rather; in clear: HTTP/1.1 */
};

enum { UPSTREAMS_MAX = 32, SPKI_PIN_BYTES = 32 };
enum { PATTERN_MAX = 1024 };              /* longest pattern of a path or a value; the loader refuses longer ones */

/* What one grant may touch at most (authz/budget.h). 0 and empty lists: no limit. */
struct action_limit {
    char *action;
    unsigned max;                     /* so many requests of this action */
};
struct distinct_limit {
    char *name;                       /* "customer" */
    char *path;                       /* a path with one segment in braces, "/customers/{id}"; or NULL */
    char *query;                      /* name of a query parameter; or NULL */
    unsigned max;                     /* so many different values */
};
struct budget {
    unsigned requests;
    int64_t bytes_out;                /* of bodies, frames, trailers and 103s delivered to the person */
    struct action_limit *actions;
    size_t action_count;
    struct distinct_limit *distinct;
    size_t distinct_count;
};

/* Grants without a second person (authz/alone.h). Off without groups, or without rules. */
struct break_glass {
    char **groups;                    /* whose members may grant themselves access; none: nobody */
    size_t group_count;
    int64_t max_duration_ms;
    char **reviewers;                 /* groups whose members may review a use; none: those of the tool's approvers, and auditors */
    size_t reviewer_count;
    int64_t review_within_ms;         /* after that a review is overdue */
    bool overdue_stops;               /* who has an overdue review cannot do it again */
};
struct auto_rule {
    char *name;                       /* in the grant's log leaf */
    char **groups;                    /* for members of these */
    size_t group_count;
    struct hours *when;               /* NULL: always */
    char **actions;                   /* for these actions, or some of them; never for all by not naming any */
    size_t action_count;
    int64_t max_duration_ms;
    unsigned per_day;                 /* so many grants of one person in 24 hours: a new grant is a new budget */
    char *reason;                     /* a POSIX extended regular expression that must be found in the reason; NULL: none */
};

/* What the browser says happened on its screen (proxy/dom/README.md). */
struct dom_recording {
    bool enabled;
    char **show;                      /* CSS selectors of inputs whose values are kept; passwords never are */
    size_t show_count;
    char **hide;                      /* of elements of which nothing but the size is kept */
    size_t hide_count;
};

struct tool {
    char *name;                       /* [a-z0-9-]{1,32} */
    char *host;                       /* lower case, no port */
    struct upstream_address *upstreams;   /* from `upstream` or `upstreams`: at least one; all are https or none is */
    size_t upstream_count;
    bool single_upstream;             /* `upstream` was written, not `upstreams` */
    enum upstream_http upstream_http;
    char *upstream_ca;                /* PEM file; NULL: the system's */
    char **upstream_pins;             /* base64 of SHA-256 over a SubjectPublicKeyInfo: one of them must be the certificate's */
    size_t upstream_pin_count;
    char *upstream_name;              /* SNI, and the name the certificate must have; NULL: the host of the address */
    char *upstream_certificate, *upstream_key;   /* what the gateway shows a tool that asks for a certificate; NULL: none */
    unsigned upstream_fails;          /* so many failures in a row, and an upstream is left out for a while */
    int64_t upstream_back_off_ms;     /* the first time; doubled with each probe that fails */
    char *health_path;                /* asked for regularly; NULL: no active checks */
    int64_t health_interval_ms;
    unsigned health_status;           /* the status that means well */
    char *upstream_host_field;        /* the Host sent to the tool; NULL: the one the client sent */
    char *upstream_origin;            /* what the tool takes for its own origin; NULL: the one people use */
    char **who;                       /* groups whose members may ask for a grant */
    size_t who_count;
    struct need *approvers;           /* who must approve a grant */
    size_t approver_count;
    char *ticket;                     /* a POSIX extended regular expression that must be found in the reason; NULL: none */
    int64_t max_duration_ms;          /* of a grant */
    int64_t request_ttl_ms;           /* a request for access waits this long */
    int64_t held_ttl_ms;              /* a held request waits this long */
    unsigned allow_in_target;         /* enum target_allow bits */
    struct action *actions;           /* in the order written */
    size_t action_count;
    struct budget budget;             /* of each grant */
    char **cross_origin;              /* origins that may send unsafe or subresource requests ("https://a.example"), whatever the action */
    size_t cross_origin_count;
    bool names_origins;               /* here or in an action; made by config_load */
    char **redact_fields;             /* field names of query, forms and JSON whose values are never kept; default in settings.c */
    size_t redact_count;
    bool allow_service_worker;
    char **tied_cookies;              /* names of the tool's cookies that are forwarded only from the identity that received them; "app.*": all that begin so */
    size_t tied_cookie_count;
    enum record_mode record;          /* of actions that say nothing else; never RECORD_OFF */
    struct dom_recording dom;
    int64_t escalate_after_ms;        /* 0: as the gateway's */
    char *escalate_to;                /* a group; NULL: the gateway's */
    int64_t retention_ms;             /* recordings are deleted after this; 0: never */
    struct break_glass break_glass;
    struct auto_rule *autos;
    size_t auto_count;
    int64_t start_within_ms;          /* longest wait for the first use of a grant whose time begins with it; 0: none may wait */
    struct action_index *index;       /* made from the actions by config_load (config/index.h); NULL: they are tried one by one */
};

struct person {
    char *name;                       /* "alice": who stands behind the identities */
    char *mail;                       /* where notices go; NULL: person_mail() */
    char **identities;                /* certificate SANs: "alice@acme.localhost" */
    size_t identity_count;
    char **groups;
    size_t group_count;
};

/* Somebody else who may issue grants, such as an approval bot (authz/external.h). */
struct issuer {
    char *name;                       /* in logs, sessions and problems */
    char *iss;                        /* claim `iss` of its tokens, exactly */
    char *audience;                   /* claim `aud`, exactly; NULL: the instance */
    char *jwks_file, *jwks_url;       /* its public keys: one of the two */
    char *jwks_ca_file;               /* of jwks_url: PEM; NULL: the system's authorities */
    int64_t jwks_refresh_ms, jwks_max_age_ms;
    char **algorithms;                /* "ES256", "RS256" */
    size_t algorithm_count;
    int64_t max_lifetime_ms;          /* exp - iat at most */
    char **tools;                     /* what it may grant */
    size_t tool_count;
    char **actions;                   /* "*": all */
    size_t action_count;
};

struct listener {
    char *address;                    /* numeric IPv4 or IPv6 */
    uint16_t port;
    bool proxied;                     /* connections begin with a PROXY protocol v2 header */
};

struct server_pair {                  /* a further certificate of the gateway, chosen by the name the client asks for (SNI) */
    char *certificate, *key;
};

struct limits {
    unsigned connections;             /* in all */
    unsigned connections_per_source;
    unsigned connections_per_person;
    unsigned handshakes;              /* under way, in all; when there are more, the oldest ends */
    unsigned handshakes_per_source;   /* under way */
    unsigned handshakes_per_second;   /* begun, by one source */
    unsigned exchanges_per_person;    /* under way */
    unsigned streams;                 /* concurrent HTTP/2 streams a connection */
    unsigned fields;                  /* in one message */
    size_t head_bytes;                /* request line and fields */
    size_t body_read_bytes;           /* most that is read to judge a body */
    size_t held_bytes;                /* largest body that can be held */
    size_t body_bytes_per_person;     /* most that is kept of one person's bodies while they are read to be judged */
    unsigned resets, control_frames;  /* HTTP/2, a connection: what each purse of h2_guard.h holds */
    unsigned slow_rate;               /* bytes a second; who is slower counts as silent */
    int64_t handshake_ms, head_ms, body_idle_ms, idle_ms, upstream_connect_ms, upstream_head_ms, upstream_idle_ms, websocket_idle_ms, drain_ms;
    unsigned held_per_person, requests_per_person;
    int64_t signoff_wait_ms;          /* longest `Prefer: wait` of an API client; 0: none waits */
    unsigned signoff_waits_per_person;
    unsigned upstream_connections;    /* to one tool, of one worker */
    size_t dom_upload, dom_rate;      /* DOM recording: bytes of one upload; bytes a second of one person */
};

enum notice_kind { NOTICE_WEBHOOK, NOTICE_MAIL };
enum notice_format { NOTICE_JSON, NOTICE_SLACK };
enum { NOTICE_TARGETS_MAX = 16 };

/* Where people are told what happened (config/notice_events.h). What is for a mail is NULL for a webhook, and the other way round. */
struct notice_target {
    char *name;                       /* in logs, and in the queue of what waits */
    enum notice_kind kind;
    char *url;                        /* https, or http to this machine */
    char *secret_file;                /* signs what is sent; NULL: unsigned (Slack only) */
    enum notice_format format;
    char *ca_file;                    /* PEM; NULL: the system's authorities */
    char **events;                    /* none: all */
    size_t event_count;
    char **tools;                     /* none: all, and what is about no tool */
    size_t tool_count;
    char *server;                     /* "smtps://mail.example:465", or "smtp://mail.example:587" (STARTTLS) */
    char *from;
    char **to;
    size_t to_count;
    char **to_groups;
    size_t to_group_count;
    bool to_concerned;                /* those whom it asks or concerns */
    char *user, *password_file;       /* both or none */
};

struct config {
    unsigned refs;
    char *path;                       /* the file, absolute */
    char *state;                      /* the state folder, absolute */
    char *instance;                   /* names this gateway in tokens, statements, logs: [a-z0-9.-]{1,64} */
    char *user;                       /* run as; NULL: as started */
    unsigned workers;                 /* 0: one a core */
    enum sandbox_mode sandbox;        /* how its processes are confined (proxy/base/sandbox.h) */
    enum log_level log_level;         /* lowest that is shown; "info" holds the access log */
    struct listener *listeners;
    size_t listener_count;
    char **proxied_listeners;         /* as written; the listeners say `proxied` */
    size_t proxied_count;
    struct network *balancers;        /* who may begin a connection there */
    size_t balancer_count;
    char *operator_listen;            /* "127.0.0.1:9464" or "/path/of.sock": /metrics and /healthz; NULL: nowhere */
    uint16_t public_port;             /* in URLs; default: the first listener's port */
    char *console_host;               /* lower case, no port */
    char *tls_certificate, *tls_key;  /* server certificate chain and key, PEM */
    struct server_pair *more_certificates;
    size_t more_certificate_count;
    int64_t hsts_ms;                  /* Strict-Transport-Security: max-age */
    char *client_ca;                  /* PEM roots (and intermediates) for people's certificates */
    char *crl;                        /* PEM; must be current, else everybody is refused */
    int64_t max_staleness_ms;         /* authz silent this long: live exchanges end (default 3 s) */
    char *approval_keys;              /* file: one registered approval key a line (certs/approval_keys.h) */
    char **key_confirmers;            /* groups whose members may confirm a new approval key; none: anyone else who has a key */
    size_t key_confirmer_count;
    int64_t key_delay_ms;             /* a confirmed key counts after this */
    bool synced_keys;                 /* passkeys that may be copied to other devices can be registered */
    char *attestation_roots;          /* PEM: a new key of an authenticator must be attested by one of these; NULL: none must */
    char **key_models;                /* AAGUIDs of the models that are taken then; none: any */
    size_t key_model_count;
    int64_t delegation_max_ms;        /* an approver may name a delegate for so long; 0: nobody may */
    bool confirm_certificates;        /* a certificate's key that comes later needs another person's yes too */
    struct person *people;
    size_t person_count;
    char **auditors, **operators;     /* groups */
    size_t auditor_count, operator_count;
    struct tool *tools;
    size_t tool_count;
    struct limits limits;
    struct lock_when {                /* locks by rule; 0: never */
        unsigned refusals, exhausted;
        int64_t refusals_within_ms, exhausted_within_ms;
        bool identity;                /* the identity at hand, not all of the person */
    } lock_when;
    int64_t segment_ms;               /* a segment closes after this (2 s) */
    size_t segment_bytes;             /* or this (1 MiB) */
    size_t ring_bytes;                /* of each worker's ring (4 MiB), a power of two */
    char **sealed_to;                 /* auditors' public keys ("age1..."): recordings are sealed to all of them, and to nobody else */
    size_t sealed_to_count;           /* at least 2, or 0 with `unsealed` */
    bool unsealed;                    /* recordings are kept readable: for trying things out */
    char *dom_recorder;               /* folder with the DOM recorder's script, "record.js" */
    char *copy_to;                    /* object storage that gets each segment and the published log: "https://s3.example/bucket/prefix"; NULL: none */
    int64_t keep_local_ms;            /* an ended session whose copy is whole is deleted here after this; 0: never */
    char *copy_region, *copy_key, *copy_secret_file, *copy_ca_file;
    struct notice_target *notices;
    size_t notice_count;
    int64_t escalate_after_ms;        /* an item that still waits then is brought before `escalate_to`; 0: only when nobody is on duty */
    char *escalate_to;                /* a group; NULL: nobody */
    int64_t approvals_retention_ms;   /* the history of decisions is erased so long after its last leaf; 0: never */
    int64_t shorten_after_ms;         /* a shorter retention counts for earlier sessions after this; 0: never */
    int64_t clock_leap_ms;            /* when the clock leaps by more, nothing is deleted until an operator confirms the time */
    char **witnesses;                 /* verifier keys of those whose cosignatures of the log are taken (proxy/base/cosign.h) */
    size_t witness_count;
    struct audit_settings {           /* where audit events go to (authz/events.h) */
        char *file, *syslog, *webhook;   /* NULL: not there */
        char *syslog_ca_file, *syslog_certificate, *syslog_key;   /* of "tls:HOST:PORT" */
        char *webhook_secret_file, *webhook_authorization_file, *webhook_ca_file;
        bool standard_output, required;   /* required: nothing is decided while they cannot be told */
    } audit;
    bool second_operator;             /* setting policy.second_operator */
    char *policy, *machine;           /* of config_load_text: all that stands in the file as two texts, what decides and what is this machine's; else NULL */
    char *whole;                      /* of config_load_text: the same as one text that can be loaded again by itself (config_load_whole); else NULL */
    struct content_file {             /* files whose content `policy` names by its digest */
        struct content_file *next;
        char *path;
    } *contents;
    char policy_digest[65];           /* SHA-256 of `policy`, hex; else "" */
    struct issuer *issuers;           /* none unless set */
    size_t issuer_count;
    struct identity_row *by_identity; /* every identity, sorted, for config_person */
    size_t identity_count;
    struct arena memory;              /* everything above lives here and goes with the last reference */
};

/* Problems found, each "file:line: setting: what is wrong; what was expected". Collected up to 200. */
struct problems {
    char **text;
    size_t count;
};
void problems_done(struct problems *p);

/* Load and check. BAD_CONFIG with at least one problem; OK may still leave warnings, which start with "warning: ". */
MUST_CHECK enum status config_load(const char *path, struct config **out, struct problems *problems);
/* The same, and what it says as text (struct config, `policy`): one text for all files that say the same. Defaults are left out, so that a later version's
 * new settings change nothing; paths are absolute, and a file whose content decides (an authority) stands there as the content's digest, "HEX.pem". */
MUST_CHECK enum status config_load_text(const char *path, struct config **out, struct problems *problems);
/* Keep the policy of a config from config_load_text() as FOLDER/DIGEST.conf, with the files whose content it names. BAD_INPUT: one changed meanwhile. */
MUST_CHECK enum status config_keep(const struct config *c, const char *folder, struct err *err);
/* Load what was kept: that policy, with this machine's settings (`machine` of another config). It is compared with its digest: BAD_CONFIG when anything
 * of it was altered. */
MUST_CHECK enum status config_load_kept(const char *folder, const char *digest, const char *machine, struct config **out, struct problems *problems);
/* What a process other than authz runs with: the file, or, where STATE/policy/in-force names another policy, that one with the file's machine settings.
 * authz alone decides which policy that is, from its log, and tells the workers: this file is only where to look. A confined process that has a window (proxy/base/window.h) is given
 * by its parent what the parent read. */
MUST_CHECK enum status config_load_in_force(const char *path, struct config **out, struct problems *problems);
/* Load what another process read: the text `whole` of its config. No file of the config is opened; what it names is looked at as ever. path: of the file that it came from. */
MUST_CHECK enum status config_load_whole(const char *path, const char *whole, struct config **out, struct problems *problems);
struct config *config_ref(struct config *c);
void config_unref(struct config *c);      /* NULL is fine */

/* The first setting that differs and is only read at the start ("listen", "workers" ...); NULL when `next` can take the place of `now`. */
const char *config_needs_restart(const struct config *now, const struct config *next);

/* Is it a port that people use to come here: that in URLs, or one of the listeners'? */
bool config_serves_port(const struct config *c, unsigned port);
/* Who stands behind an identity; NULL if nobody is listed. */
const struct person *config_person(const struct config *c, struct slice identity);
bool person_in_group(const struct person *p, const char *group);
/* The address that notices to this person go to: `mail`, else the first identity. */
const char *person_mail(const struct person *p);
/* Is there anything to send or to fetch: notices, copies, audit events that leave by the network under TLS, issuers' keys? */
bool config_wants_courier(const struct config *c);
/* Does the courier carry these audit events (a webhook, or syslog over TLS)? */
bool config_audit_remote(const struct config *c);
const struct notice_target *config_notice_target(const struct config *c, const char *name);
/* In any of the groups. */
bool person_in_any(const struct person *p, char *const *groups, size_t count);
const struct tool *config_tool(const struct config *c, struct slice name);
/* "https://console.acme.localhost:8443" (no port when 443), malloc'd. */
char *config_origin(const struct config *c, const char *host);
/* Path in the state folder, malloc'd: config_path(c, "run/authz.sock"). */
char *config_path(const struct config *c, const char *name);
/* The reference of all settings, from the table, as Markdown. */
void config_write_reference(FILE *out);

#endif
