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

extern const struct form form_instance, form_tool, form_name, form_identity, form_host, form_listener, form_upstream, form_host_field,
    form_method, form_path_pattern, form_value_pattern, form_field, form_cookie, form_origin, form_requirement, form_target_allow, form_user, form_path, form_log_level, form_operator_listen;

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

bool requirement_parse(const char *text, enum requirement *out);
const char *requirement_name(enum requirement r);
/* One enum target_allow bit, or 0. */
unsigned target_allow_parse(const char *text);

/* Is this path pattern one that some normal target could match? NULL when it is; else what is wrong with it. */
const char *path_pattern_fault(const char *pattern, unsigned allow_in_target);

#endif
