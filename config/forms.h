/* forms: the shapes of single texts in the config: host names, addresses, patterns, times, sizes. Each is strict, and says in
 * words what it wants, so that an error can tell the operator what to write. */
#ifndef COUNTERSIGN_FORMS_H
#define COUNTERSIGN_FORMS_H

#include "config/config.h"

struct form {
    bool (*ok)(const char *text);
    const char *expected;             /* completes "expected ..." */
    const char *(*why)(const char *text);   /* what is wrong, for forms with many ways to be; may be NULL */
};

extern const struct form form_instance;
extern const struct form form_tool;
extern const struct form form_name;
extern const struct form form_identity;
extern const struct form form_host;
extern const struct form form_listener;
extern const struct form form_network;
extern const struct form form_upstream;
extern const struct form form_upstream_http;
extern const struct form form_spki_pin;
extern const struct form form_aaguid;
extern const struct form form_health_path;
extern const struct form form_host_field;
extern const struct form form_method;
extern const struct form form_path_pattern;
extern const struct form form_value_pattern;
extern const struct form form_field;
extern const struct form form_cookie;
extern const struct form form_selector;
extern const struct form form_origin;
extern const struct form form_requirement;
extern const struct form form_target_allow;
extern const struct form form_user;
extern const struct form form_path;
extern const struct form form_log_level, form_sandbox;
extern const struct form form_operator_listen;
extern const struct form form_record;
extern const struct form form_tool_record;
extern const struct form form_approval_method;
extern const struct form form_hours;
extern const struct form form_counted_path;
extern const struct form form_regex;
extern const struct form form_auditor_key;
/* notice_forms.c */
extern const struct form form_notice_kind;
extern const struct form form_notice_format;
extern const struct form form_notice_event;
extern const struct form form_fetch_url;
extern const struct form form_mail_server;
extern const struct form form_mail_address;
extern const struct form form_syslog;
extern const struct form form_witness;
extern const struct form form_issuer, form_https_url;
extern const struct form form_token_algorithm;
extern const struct form form_granted_action;

/* "500ms" "2s" "15m" "1h" "7d": one whole number and one unit. False: not of that form, or past 2^53 ms. */
bool duration_parse(const char *text, int64_t *ms_out);
/* "512B" "64KiB" "1MiB" "5GiB". */
bool size_parse(const char *text, int64_t *bytes_out);
/* The same backwards, with the largest unit that divides exactly. */
enum { FORM_TEXT_MAX = 32 };
void duration_text(int64_t ms, char out[FORM_TEXT_MAX]);
void size_text(int64_t bytes, char out[FORM_TEXT_MAX]);

/* "127.0.0.1:8443", "[::1]:8443": address is written without brackets. */
enum { ADDRESS_MAX = 46 };
bool listener_parse(const char *text, char address[ADDRESS_MAX], uint16_t *port_out);

struct upstream_parts {
    struct slice host;                /* borrowed from the text; a name or a numeric address, without brackets */
    uint16_t port;
    bool tls;
};
/* "http://127.0.0.1:8000", "https://tool.internal": no path, no user; default ports 80 and 443. */
bool upstream_parse(const char *text, struct upstream_parts *out);

/* Also "unix:/path" and "h2c://HOST:PORT": the strings in *out are in the arena. false: not of that form (`*out` unchanged), or no memory. */
bool upstream_address_parse(const char *text, struct arena *a, struct upstream_address *out);
bool upstream_http_parse(const char *text, enum upstream_http *out);
/* "sha256/" and 44 characters of base64, as `curl --pinnedpubkey` writes it without the two slashes; decoded into out. */
bool spki_pin_parse(const char *text, unsigned char out[SPKI_PIN_BYTES]);

bool notice_kind_parse(const char *text, enum notice_kind *out);
bool notice_format_parse(const char *text, enum notice_format *out);
/* Is this the host of this machine ("127.0.0.1", "::1", "localhost", "x.localhost")? Without brackets. */
bool host_is_loopback(struct slice host);

bool requirement_parse(const char *text, enum requirement *out);
const char *requirement_name(enum requirement r);
bool record_parse(const char *text, enum record_mode *out);
const char *record_name(enum record_mode m);
bool method_parse(const char *text, enum method *out);
const char *method_name(enum method m);
/* One enum target_allow bit, or 0. */
unsigned target_allow_parse(const char *text);

/* Is this path pattern one that some normal target could match? NULL when it is; else what is wrong with it. */
const char *path_pattern_fault(const char *pattern, unsigned allow_in_target);
/* "on", "when-possible", "off"; false: none of them. */
bool sandbox_mode_parse(const char *text, enum sandbox_mode *out);

#endif
