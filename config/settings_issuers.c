/* The part of the table (settings.c) that stands under `issuers`. */
#include "config/settings.h"

#include <stddef.h>

#define SECOND 1000
#define DAY (INT64_C(24) * 3600 * SECOND)
#define REQUIRED .fallback = NULL
#define NONE .fallback = ""
#define AT(member) .at = offsetof(struct issuer, member), .size = sizeof(((struct issuer *)0)->member)
#define COUNTED(member, counter) AT(member), .count_at = offsetof(struct issuer, counter)

static const struct setting issuer_settings[] = {
    { "name", SHAPE_TEXT, REQUIRED, .form = &form_name, AT(name), .help = "What it is called in sessions and logs. Unique." },
    { "iss", SHAPE_TEXT, REQUIRED, .form = &form_issuer, AT(iss), .help = "Claim `iss` of its tokens, to the letter. Unique, and never this gateway's `instance`." },
    { "audience", SHAPE_TEXT, NONE, .form = &form_issuer, AT(audience), .help = "Claim `aud` of its tokens, to the letter, one string. Left out: this gateway's `instance`." },
    { "jwks_file", SHAPE_TEXT, NONE, .form = &form_path, .path = PATH_FILE, .content = true, AT(jwks_file),
      .help = "Its public keys (JWKS, RFC 7517), each with a `kid`: P-256 for ES256, 2048 to 4096 bits and the exponent 65537 for RS256. Read at start and with SIGHUP; the live grants of a "
              "key that is no longer there end. This or `jwks_url` is needed." },
    { "jwks_url", SHAPE_TEXT, NONE, .form = &form_https_url, AT(jwks_url),
      .help = "Where its public keys are, as `https://HOST/PATH`. Fetched by the process `courier`, its certificate and name verified; a set that is unsound is refused whole, and the last "
              "good one goes on. Each change is a leaf of the log." },
    { "jwks_ca_file", SHAPE_TEXT, NONE, .form = &form_path, .path = PATH_FILE, .content = true, AT(jwks_ca_file),
      .help = "PEM file that the certificate of `jwks_url` is verified against, and nothing else. Left out: the system's authorities, any of which could then name keys." },
    { "jwks_refresh", SHAPE_TIME, .fallback = "\"1h\"", .min = 10 * SECOND, .max = 7 * DAY, AT(jwks_refresh_ms), .narrows = NARROWS_HARMLESS,
      .help = "How often `jwks_url` is fetched; and once a minute at most when a token names a key that is not known." },
    { "jwks_max_age", SHAPE_TIME, .fallback = "\"1d\"", .min = 30 * SECOND, .max = 30 * DAY, AT(jwks_max_age_ms), .narrows = NARROWS_LESS,
      .help = "A set that could not be fetched again for so long counts no more: nothing new is admitted by it, and its live grants end." },
    { "algorithms", SHAPE_TEXTS, .fallback = "[ \"ES256\" ]", .min = 1, .max = 2, .form = &form_token_algorithm, COUNTED(algorithms, algorithm_count),
      .help = "How it signs: `ES256`, `RS256`. Which of them a key is for is said by the key, never by a token." },
    { "max_lifetime", SHAPE_TIME, .fallback = "\"15m\"", .min = 10 * SECOND, .max = DAY, AT(max_lifetime_ms),
      .help = "Longest time from `iat` to `exp`; the tool's own `max_duration` holds too." },
    { "tools", SHAPE_TEXTS, REQUIRED, .min = 1, .max = 1000, .form = &form_tool, COUNTED(tools, tool_count), .help = "Tools that it may grant." },
    { "actions", SHAPE_TEXTS, REQUIRED, .min = 1, .max = 64, .form = &form_granted_action, COUNTED(actions, action_count),
      .help = "Actions of these tools that it may grant; `*`: all. What needs a sign-off needs one all the same." },
    { 0 },
};
const struct section issuer_section = { "issuers", issuer_settings, sizeof(struct issuer),
    "Others who may issue grants, such as an approval bot: JWTs that the client presents in `Countersign-Grant`, bound to its certificate. No approver is asked, so each such session is "
    "marked with the basis `external`. Who may use a tool at all (`who`), its reasons, tickets, longest times, budgets and every lock hold as ever." };
