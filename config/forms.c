#include "config/forms.h"

#include "proxy/base/bech32.h"
#include "proxy/base/cosign.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <regex.h>
#include <stdlib.h>

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGIT "0123456789"

/* All of text from one set of characters, and its length in a range. */
static bool made_of(const char *text, const char *set, size_t min, size_t max)
{
    size_t n = strlen(text);
    return n >= min && n <= max && strspn(text, set) == n;
}

/* 1*DIGIT "unit"; the value times the unit's factor, at most 2^53 (what JSON can carry exactly). */
struct unit {
    const char *name;
    int64_t factor;
};

static bool number_with_unit(const char *text, const struct unit *units, int64_t *out)
{
    const int64_t most = INT64_C(1) << 53;
    size_t digits = strspn(text, DIGIT);
    if (digits == 0 || digits > 15)
        return false;
    int64_t n = strtoll(text, NULL, 10);
    for (; units->name != NULL; units++)
        if (strcmp(text + digits, units->name) == 0) {
            if (n > most / units->factor)
                return false;
            *out = n * units->factor;
            return true;
        }
    return false;
}

/* Smallest unit first. */
static const struct unit time_units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 }, { 0 } };
static const struct unit size_units[] = { { "B", 1 }, { "KiB", 1024 }, { "MiB", 1024 * 1024 }, { "GiB", 1024 * 1024 * 1024 }, { 0 } };

static void text_with_unit(int64_t n, const struct unit *units, char out[FORM_TEXT_MAX])
{
    const struct unit *best = units;
    for (; units->name != NULL; units++)
        if (n != 0 && n % units->factor == 0)
            best = units;
    snprintf(out, FORM_TEXT_MAX, "%" PRId64 "%s", n / best->factor, best->name);
}

bool duration_parse(const char *text, int64_t *ms_out) { return number_with_unit(text, time_units, ms_out); }
bool size_parse(const char *text, int64_t *bytes_out) { return number_with_unit(text, size_units, bytes_out); }
void duration_text(int64_t ms, char out[FORM_TEXT_MAX]) { text_with_unit(ms, time_units, out); }
void size_text(int64_t bytes, char out[FORM_TEXT_MAX]) { text_with_unit(bytes, size_units, out); }

static bool port_parse(const char *text, uint16_t *out)
{
    if (!made_of(text, DIGIT, 1, 5) || text[0] == '0')
        return false;
    long n = strtol(text, NULL, 10);
    if (n > 65535)
        return false;
    *out = (uint16_t)n;
    return true;
}

/* "address:port" or "[v6]:port"; host is what stands before the port, without brackets. The port may be left out when
 * default_port is not 0. */
static bool host_port_parse(const char *text, uint16_t default_port, struct slice *host_out, bool *bracketed_out, uint16_t *port_out)
{
    const char *end = text;
    bool bracketed = text[0] == '[';
    if (bracketed) {
        end = strchr(text, ']');
        if (end == NULL)
            return false;
        *host_out = slice_of(text + 1, (size_t)(end - text - 1));
        end++;
    } else {
        end = text + strcspn(text, ":");
        *host_out = slice_of(text, (size_t)(end - text));
    }
    *bracketed_out = bracketed;
    if (*end == 0 && default_port != 0) {
        *port_out = default_port;
        return host_out->len > 0;
    }
    return *end == ':' && host_out->len > 0 && port_parse(end + 1, port_out);
}

static bool numeric_address(struct slice host, bool v6, char out[ADDRESS_MAX])
{
    unsigned char binary[16];
    if (host.len >= ADDRESS_MAX)
        return false;
    memcpy(out, host.ptr, host.len);
    out[host.len] = 0;
    return inet_pton(v6 ? AF_INET6 : AF_INET, out, binary) == 1;
}

bool listener_parse(const char *text, char address[ADDRESS_MAX], uint16_t *port_out)
{
    struct slice host;
    bool bracketed;
    return host_port_parse(text, 0, &host, &bracketed, port_out) && numeric_address(host, bracketed, address);
}

/* Labels of letters, digits and inner hyphens (RFC 1123 s2.1); not a number at the end, so never an address. */
static bool host_labels(struct slice host)
{
    size_t label = 0;
    bool all_digits = true;
    if (host.len == 0 || host.len > 253)
        return false;
    for (size_t i = 0; i <= host.len; i++) {
        unsigned char c = i < host.len ? host.ptr[i] : '.';
        if (c == '.') {
            if (label == 0 || label > 63 || host.ptr[i - 1] == '-' || host.ptr[i - label] == '-')
                return false;
            if (i < host.len)
                all_digits = true;
            label = 0;
            continue;
        }
        if (c == 0 || strchr(LOWER DIGIT "-", c) == NULL)
            return false;
        all_digits = all_digits && c >= '0' && c <= '9';
        label++;
    }
    return !all_digits;
}

bool upstream_parse(const char *text, struct upstream_parts *out)
{
    char address[ADDRESS_MAX];
    struct upstream_parts u = { .tls = strncmp(text, "https://", 8) == 0 };
    bool bracketed;
    if (!u.tls && strncmp(text, "http://", 7) != 0)
        return false;
    if (!host_port_parse(text + (u.tls ? 8 : 7), u.tls ? 443 : 80, &u.host, &bracketed, &u.port))
        return false;
    if (!numeric_address(u.host, bracketed, address) && (bracketed || !host_labels(u.host)))
        return false;
    *out = u;
    return true;
}

/* What stands before the address: its kind. NULL: an http or https URL, or nonsense. */
static const char *after(const char *text, const char *prefix)
{
    size_t n = strlen(prefix);
    return strncmp(text, prefix, n) == 0 ? text + n : NULL;
}

static bool is_socket_path(const char *t)
{
    for (const char *c = t; *c; c++)
        if (*c <= 0x20 || *c >= 0x7f || *c == '"' || *c == '\\')
            return false;
    return t[0] == '/' && t[strlen(t) - 1] != '/' && strlen(t) < 100;   /* sun_path holds 107 bytes */
}

bool upstream_address_parse(const char *text, struct arena *a, struct upstream_address *out)
{
    char url[300];
    struct upstream_parts u = { 0 };
    struct upstream_address r = { 0 };
    const char *path = after(text, "unix:"), *h2c = after(text, "h2c://");
    if (path != NULL && !is_socket_path(path))
        return false;
    if (h2c != NULL && (size_t)snprintf(url, sizeof url, "http://%s", h2c) >= sizeof url)
        return false;
    if (path == NULL && !upstream_parse(h2c ? url : text, &u))
        return false;
    r = (struct upstream_address){ .port = u.port, .tls = u.tls, .h2 = h2c != NULL };
    r.text = (char *)arena_copy(a, slice_str(text)).ptr;
    if (path != NULL)
        r.path = (char *)arena_copy(a, slice_str(path)).ptr;
    else
        r.host = (char *)arena_copy(a, u.host).ptr;
    if (r.text == NULL || (r.host == NULL && r.path == NULL))
        return false;
    *out = r;
    return true;
}

bool upstream_http_parse(const char *text, enum upstream_http *out)
{
    static const char *const names[] = { [UPSTREAM_HTTP1] = "1.1", [UPSTREAM_HTTP2] = "2", [UPSTREAM_HTTP_AUTO] = "auto" };
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(text, names[i]) == 0) {
            *out = (enum upstream_http)i;
            return true;
        }
    return false;
}

bool spki_pin_parse(const char *text, unsigned char out[SPKI_PIN_BYTES])
{
    unsigned char bytes[SPKI_PIN_BYTES + 1];
    const char *digits = after(text, "sha256/");
    if (digits == NULL || strlen(digits) != 44 || digits[43] != '=' || EVP_DecodeBlock(bytes, (const unsigned char *)digits, 44) != 33)
        return false;
    memcpy(out, bytes, SPKI_PIN_BYTES);
    return true;
}

static const char *const requirement_names[] = { [NEED_GRANT] = "grant", [NEED_SIGNOFF] = "signoff", [NEED_DENY] = "deny" };

bool requirement_parse(const char *text, enum requirement *out)
{
    for (unsigned i = 0; i < sizeof requirement_names / sizeof requirement_names[0]; i++)
        if (strcmp(text, requirement_names[i]) == 0) {
            *out = (enum requirement)i;
            return true;
        }
    return false;
}

const char *requirement_name(enum requirement r)
{
    return requirement_names[r];
}

static const char *const record_names[] = { [RECORD_FULL] = "full", [RECORD_METADATA] = "metadata", [RECORD_OFF] = "off" };

bool record_parse(const char *text, enum record_mode *out)
{
    for (unsigned i = 0; i < sizeof record_names / sizeof record_names[0]; i++)
        if (strcmp(text, record_names[i]) == 0) {
            *out = (enum record_mode)i;
            return true;
        }
    return false;
}

const char *record_name(enum record_mode m)
{
    return record_names[m];
}

unsigned target_allow_parse(const char *text)
{
    static const struct {
        const char *name;
        unsigned bit;
    } names[] = { { "encoded-slash", TARGET_ENCODED_SLASH }, { "backslash", TARGET_BACKSLASH },
                  { "empty-segment", TARGET_EMPTY_SEGMENT }, { "double-encoding", TARGET_DOUBLE_ENCODING } };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(text, names[i].name) == 0)
            return names[i].bit;
    return 0;
}

/* The policy hash is taken over JSON, which holds nothing else. */
static bool is_utf8(const char *t)
{
    json_t *string = json_string(t);
    bool ok = string != NULL;
    json_decref(string);
    return ok;
}

static bool is_instance(const char *t) { return made_of(t, LOWER DIGIT ".-", 1, 64); }
static bool is_tool(const char *t) { return made_of(t, LOWER DIGIT "-", 1, 32); }
static bool is_name(const char *t) { return made_of(t, LOWER DIGIT "._-", 1, 64); }
static bool is_host(const char *t) { return host_labels(slice_str(t)); }
static bool is_user(const char *t) { return made_of(t, LOWER UPPER DIGIT "_.-", 1, 32) && t[0] != '-'; }
static bool is_method(const char *t) { return made_of(t, UPPER DIGIT "!#$%&'*+-.^_`|~", 1, 32); }   /* token, RFC 9110 s5.6.2 */
static bool is_target_allow(const char *t) { return target_allow_parse(t) != 0; }
static bool is_value_pattern(const char *t) { return strlen(t) <= PATTERN_MAX && is_utf8(t); }

/* A token (RFC 6265 s4.1.1), and '*' only at the end. */
static bool is_cookie(const char *t)
{
    size_t n = strspn(t, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'+-.^_`|~");
    return n <= 256 && (t[n] == 0 ? n > 0 : strcmp(t + n, "*") == 0);
}

static bool is_field(const char *t) { return t[0] != 0 && strlen(t) <= 256 && is_utf8(t); }
static bool is_path(const char *t) { return t[0] != 0 && strlen(t) < 4000; }

/* Which selectors a browser takes is the browser's to say; it passes over one that it can't read. */
static bool is_selector(const char *t)
{
    for (const char *at = t; *at != 0; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            return false;
    return is_field(t);
}

static bool is_record(const char *t)
{
    enum record_mode m;
    return record_parse(t, &m);
}

static bool is_tool_record(const char *t)
{
    enum record_mode m;
    return record_parse(t, &m) && m != RECORD_OFF;
}

static const char *const method_names[] = { [METHOD_ANY] = "any", [METHOD_HARDWARE] = "hardware", [METHOD_COMMAND_LINE] = "command-line" };

bool method_parse(const char *text, enum method *out)
{
    for (size_t i = 0; i < sizeof method_names / sizeof *method_names; i++)
        if (strcmp(method_names[i], text) == 0) {
            *out = (enum method)i;
            return true;
        }
    return false;
}

const char *method_name(enum method m)
{
    return method_names[m];
}

static bool is_approval_method(const char *text)
{
    enum method m;
    return method_parse(text, &m);
}

static bool is_requirement(const char *t)
{
    enum requirement r;
    return requirement_parse(t, &r);
}

/* An address as certs/trust accepts it in a certificate: ASCII, lower case, one '@' with something on both sides. */
static bool is_identity(const char *t)
{
    const char *at = strchr(t, '@');
    if (at == NULL || at == t || strlen(t) > 254 || !host_labels(slice_str(at + 1)))
        return false;
    return strspn(t, LOWER DIGIT "!#$%&'*+/=?^_`{|}~.-") == (size_t)(at - t);
}

/* Whoever reaches it may read it: this machine only. */
static bool is_operator_listen(const char *t)
{
    char address[ADDRESS_MAX];
    uint16_t port;
    if (t[0] == '/')
        return strlen(t) < 100 && t[1] != 0;
    return listener_parse(t, address, &port) && (strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0);
}

bool sandbox_mode_parse(const char *text, enum sandbox_mode *out)
{
    static const char *const names[] = { [SANDBOX_WHEN_POSSIBLE] = "when-possible", [SANDBOX_ON] = "on", [SANDBOX_OFF] = "off" };
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(text, names[i]) == 0) {
            *out = (enum sandbox_mode)i;
            return true;
        }
    return false;
}

static bool is_sandbox(const char *t)
{
    enum sandbox_mode mode;
    return sandbox_mode_parse(t, &mode);
}

static bool is_log_level(const char *t)
{
    enum log_level level;
    return log_level_parse(t, &level);
}

static bool is_regex(const char *t)
{
    regex_t r;
    if (t[0] == 0 || strlen(t) > 256)
        return false;
    for (const char *p = t; *p != 0; p++)   /* back-references make matching slow without bound */
        if (*p == '\\' && ++p && (*p == 0 || (*p >= '1' && *p <= '9')))
            return false;
    if (regcomp(&r, t, REG_EXTENDED | REG_NOSUB) != 0)
        return false;
    regfree(&r);
    return true;
}

static bool is_hours(const char *t)
{
    struct hours h = { 0 };
    return hours_parse(t, &h);
}

/* counted path = 1*( "/" segment ) [ "/" 2"*" ]; segment = "*" / "{" name "}" / literal; exactly one of them in braces */
static bool is_counted_path(const char *t)
{
    unsigned counted = 0;
    if (t[0] != '/' || strlen(t) > PATTERN_MAX)
        return false;
    while (*t != 0) {
        size_t n = strcspn(++t, "/");
        bool braces = n >= 3 && t[0] == '{' && t[n - 1] == '}' && strspn(t + 1, LOWER DIGIT "_-") == n - 2;
        bool wild = (n == 1 && t[0] == '*') || (n == 2 && t[0] == '*' && t[1] == '*' && t[2] == 0);
        if (n == 0 || (!braces && !wild && strcspn(t, "*{};?#%\\") < n))
            return false;
        counted += braces;
        t += n;
    }
    return counted == 1;
}

static bool is_listener(const char *t)
{
    char address[ADDRESS_MAX];
    uint16_t port;
    return listener_parse(t, address, &port);
}

static bool is_network(const char *t)
{
    struct network n;
    return network_parse(t, &n);
}

static bool is_upstream(const char *t)
{
    struct upstream_address u;
    struct arena a;
    arena_init(&a, 4096);
    bool ok = strlen(t) < 300 && upstream_address_parse(t, &a, &u);
    arena_done(&a);
    return ok;
}

static bool is_upstream_http(const char *t)
{
    enum upstream_http h;
    return upstream_http_parse(t, &h);
}

static bool is_spki_pin(const char *t)
{
    unsigned char pin[SPKI_PIN_BYTES];
    return spki_pin_parse(t, pin);
}

/* As makers write the AAGUID of a model (RFC 9562 s4), in lower case: one spelling. */
static bool is_aaguid(const char *t)
{
    for (size_t i = 0; i < 36; i++)
        if (i == 8 || i == 13 || i == 18 || i == 23 ? t[i] != '-' : t[i] == 0 || strchr("0123456789abcdef", t[i]) == NULL)
            return false;
    return t[36] == 0;
}

/* A request target as it is sent: visible ASCII. */
static bool is_health_path(const char *t)
{
    if (t[0] != '/' || strlen(t) > 500)
        return false;
    for (; *t; t++)
        if (*t <= 0x20 || *t >= 0x7f || *t == '#')
            return false;
    return true;
}

static bool is_host_field(const char *t)
{
    struct slice host;
    bool bracketed;
    uint16_t port;
    char address[ADDRESS_MAX];
    if (!host_port_parse(t, 1, &host, &bracketed, &port))
        return false;
    return numeric_address(host, bracketed, address) || (!bracketed && host_labels(host));
}

/* As a browser writes it (RFC 6454 s6.2): no path, no default port. */
static bool is_origin(const char *t)
{
    struct upstream_parts u;
    if (!upstream_parse(t, &u))
        return false;
    const char *port = u.host.ptr[u.host.len] == ']' ? (const char *)u.host.ptr + u.host.len + 1 : (const char *)u.host.ptr + u.host.len;
    return *port == 0 || u.port != (u.tls ? 443 : 80);
}

/* What only some tools allow is judged again once the tool is known (checks.c). */
static const char *why_path_pattern(const char *t)
{
    return path_pattern_fault(t, TARGET_ENCODED_SLASH | TARGET_BACKSLASH | TARGET_EMPTY_SEGMENT | TARGET_DOUBLE_ENCODING);
}
static bool is_path_pattern(const char *t) { return why_path_pattern(t) == NULL; }

/* age v1, X25519. */
static bool is_auditor_key(const char *t)
{
    unsigned char raw[32];
    return bech32_decode("age", slice_str(t), raw, sizeof raw);
}

/* Printable ASCII without spaces and what JSON escapes: compared byte for byte. */
static bool is_issuer(const char *t)
{
    size_t n = strlen(t);
    for (size_t i = 0; i < n; i++)
        if (t[i] <= ' ' || t[i] > '~' || t[i] == '"' || t[i] == '\\')
            return false;
    return n > 0 && n <= 256;
}
static bool is_token_algorithm(const char *t) { return strcmp(t, "ES256") == 0 || strcmp(t, "RS256") == 0; }
static bool is_granted_action(const char *t) { return strcmp(t, "*") == 0 || is_name(t); }

const struct form
    form_instance = { is_instance, "1 to 64 of a-z, 0-9, '.' and '-'", NULL },
    form_tool = { is_tool, "1 to 32 of a-z, 0-9 and '-'", NULL },
    form_hours = { is_hours, "days and times such as \"mon-fri 08:00-18:00, sat 10:00-14:00\", at most eight spans", NULL },
    form_regex = { is_regex, "a POSIX extended regular expression of at most 256 bytes, without back-references", NULL },
    form_counted_path = { is_counted_path, "a path with one segment in braces: \"/customers/{customer}/**\"; '*' only as a whole segment, '**' only at the end", NULL },
    form_name = { is_name, "1 to 64 of a-z, 0-9, '.', '_' and '-'", NULL },
    form_identity = { is_identity, "an address in lower case, as in the certificate: \"alice@acme.example\"", NULL },
    form_host = { is_host, "a host name in lower case, without a port: \"support.acme.example\"", NULL },
    form_listener = { is_listener, "a numeric address and a port: \"127.0.0.1:8443\" or \"[::1]:8443\"", NULL },
    form_network = { is_network, "a numeric address or range: \"192.0.2.7\", \"10.0.0.0/8\", \"2001:db8::/32\"", NULL },
    form_upstream = { is_upstream, "\"http://HOST:PORT\", \"https://HOST:PORT\" or \"h2c://HOST:PORT\", lower case, without a path, or \"unix:/PATH\"", NULL },
    form_upstream_http = { is_upstream_http, "\"1.1\", \"2\" or \"auto\"", NULL },
    form_spki_pin = { is_spki_pin, "\"sha256/\" and 44 characters of base64", NULL },
    form_aaguid = { is_aaguid, "an AAGUID in lower case: \"2fc0579f-8113-47ea-b116-bb5a8db9202a\"", NULL },
    form_health_path = { is_health_path, "a path such as \"/healthz\", as it is sent to the tool", NULL },
    form_host_field = { is_host_field, "HOST or HOST:PORT in lower case", NULL },
    form_method = { is_method, "a method in upper case: \"GET\"", NULL },
    form_path_pattern = { is_path_pattern, "a path pattern: \"/customers/*\", \"/export/**\"", why_path_pattern },
    form_value_pattern = { is_value_pattern, "a pattern of at most 1024 bytes of UTF-8, in which '*' stands for any bytes", NULL },
    form_cookie = { is_cookie, "the name of a cookie, or the beginning of one and a '*'", NULL },
    form_selector = { is_selector, "a CSS selector of 1 to 256 bytes: \"#search\", \"input[name=q]\"", NULL },
    form_field = { is_field, "a field name of 1 to 256 bytes of UTF-8", NULL },
    form_origin = { is_origin, "an origin as browsers send it: \"https://a.example\" (no path, no default port)", NULL },
    form_approval_method = { is_approval_method, "\"any\", \"hardware\" or \"command-line\"", NULL },
    form_requirement = { is_requirement, "\"grant\", \"signoff\" or \"deny\"", NULL },
    form_record = { is_record, "\"full\", \"metadata\" or \"off\"", NULL },
    form_tool_record = { is_tool_record, "\"full\" or \"metadata\" (\"off\" is for single actions on static files)", NULL },
    form_target_allow = { is_target_allow, "\"encoded-slash\", \"backslash\", \"empty-segment\" or \"double-encoding\"", NULL },
    form_sandbox = { is_sandbox, "\"on\", \"when-possible\" or \"off\"", NULL },
    form_log_level = { is_log_level, "\"debug\", \"info\", \"warn\" or \"error\"", NULL },
    form_operator_listen = { is_operator_listen, "a loopback address such as \"127.0.0.1:9464\" or \"[::1]:9464\", or the absolute path of a Unix socket", NULL },
    form_witness = { witness_form, "a witness's verifier key for cosignatures, NAME+HASH+KEY, as it publishes it", NULL },
    form_user = { is_user, "the name of a user of this system", NULL },
    form_auditor_key = { is_auditor_key, "an auditor's public key, \"age1\" and 58 characters, from `countersign auditor-key` or age-keygen", NULL },
    form_issuer = { is_issuer, "1 to 256 printable ASCII characters without spaces, quotes and backslashes: \"https://bot.acme.example\"", NULL },
    form_token_algorithm = { is_token_algorithm, "\"ES256\" or \"RS256\"", NULL },
    form_granted_action = { is_granted_action, "the name of an action, or \"*\" for all", NULL },
    form_path = { is_path, "a path, absolute or relative to this file's folder", NULL };
