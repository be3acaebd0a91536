#include "config/settings.h"

#include "proxy/base/cosign.h"

#include <stddef.h>

#define AT(type, member) .at = offsetof(struct type, member), .size = sizeof(((struct type *)0)->member)
#define COUNTED(type, member, counter) AT(type, member), .count_at = offsetof(struct type, counter)
#define REQUIRED .fallback = NULL
#define NONE .fallback = ""

#define KIB INT64_C(1024)
#define MIB (1024 * KIB)
#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

enum { LISTENERS_MAX = 16 };

static bool put_listener(struct arena *a, void *base, const char *text)
{
    struct config *c = base;
    char address[ADDRESS_MAX];
    uint16_t port = 0;
    if (c->listeners == NULL && (c->listeners = arena_zalloc(a, LISTENERS_MAX * sizeof *c->listeners)) == NULL)
        return false;
    if (!listener_parse(text, address, &port) || c->listener_count == LISTENERS_MAX)
        return true;                  /* reported already */
    char *copy = (char *)arena_copy(a, slice_str(address)).ptr;
    c->listeners[c->listener_count++] = (struct listener){ .address = copy, .port = port };
    return copy != NULL;
}

enum { NETWORKS_MAX = 64 };

static bool put_network(struct arena *a, void *base, const char *text)
{
    struct config *c = base;
    if (c->balancers == NULL && (c->balancers = arena_zalloc(a, NETWORKS_MAX * sizeof *c->balancers)) == NULL)
        return false;
    if (c->balancer_count < NETWORKS_MAX && network_parse(text, &c->balancers[c->balancer_count]))
        c->balancer_count++;          /* what is wrong was reported already */
    return true;
}

static bool put_upstream(struct arena *a, void *base, const char *text)
{
    struct tool *t = base;
    if (t->upstreams == NULL && (t->upstreams = arena_zalloc(a, UPSTREAMS_MAX * sizeof *t->upstreams)) == NULL)
        return false;
    if (t->upstream_count < UPSTREAMS_MAX && upstream_address_parse(text, a, &t->upstreams[t->upstream_count]))
        t->upstream_count++;          /* else it is reported already */
    return true;
}

static bool put_single_upstream(struct arena *a, void *base, const char *text)
{
    ((struct tool *)base)->single_upstream = true;
    return put_upstream(a, base, text);
}

static bool put_upstream_http(struct arena *a, void *base, const char *text)
{
    (void)a;
    return upstream_http_parse(text, &((struct tool *)base)->upstream_http);
}

static bool put_target_allow(struct arena *a, void *base, const char *text)
{
    (void)a;
    ((struct tool *)base)->allow_in_target |= target_allow_parse(text);
    return true;
}

static bool put_requirement(struct arena *a, void *base, const char *text)
{
    (void)a;
    return requirement_parse(text, &((struct action *)base)->requirement);
}

static bool put_when(struct arena *a, void *base, const char *text)
{
    struct hours *h = arena_zalloc(a, sizeof *h);
    if (h == NULL || (h->text = (char *)arena_copy(a, slice_str(text)).ptr) == NULL)
        return false;
    ((struct need *)base)->when = h;
    return hours_parse(text, h);      /* its form was checked */
}

static bool put_action_record(struct arena *a, void *base, const char *text)
{
    (void)a;
    ((struct action *)base)->record_set = true;
    return record_parse(text, &((struct action *)base)->record);
}

static bool put_tool_record(struct arena *a, void *base, const char *text)
{
    (void)a;
    return record_parse(text, &((struct tool *)base)->record);
}

static bool put_log_level(struct arena *a, void *base, const char *text)
{
    (void)a;
    return log_level_parse(text, &((struct config *)base)->log_level);
}

static bool put_sandbox(struct arena *a, void *base, const char *text)
{
    (void)a;
    return sandbox_mode_parse(text, &((struct config *)base)->sandbox);
}

static bool put_method(struct arena *a, void *base, const char *text)
{
    (void)a;
    return method_parse(text, &((struct need *)base)->method);
}

static const struct setting need_settings[] = {
    { "group", SHAPE_TEXT, REQUIRED, .form = &form_name, AT(need, group), .gives = true, .help = "Persons of this group count." },
    { "count", SHAPE_COUNT, .fallback = "1", .min = 1, .max = 16, AT(need, count), .narrows = NARROWS_MORE,
      .help = "So many distinct persons. Nobody counts for two entries, and the person who asks never counts." },
    { "when", SHAPE_TEXT, NONE, .form = &form_hours, .put = put_when,
      .help = "This entry is asked for only of what was made in these hours, such as `mon-fri 08:00-18:00, sat 10:00-14:00` (local time of the gateway). Left out: always. "
              "At a time that no entry covers, nobody can approve." },
    { "method", SHAPE_TEXT, .fallback = "\"any\"", .form = &form_approval_method, .put = put_method,
      .help = "How their yes must be signed: `any` registered key; `hardware`: in the browser, with a key that cannot leave its device; `command-line`: with a "
              "certificate's key, by the command line, which computes what it shows." },
    { 0 },
};
static const struct section need_section = { "needs", need_settings, sizeof(struct need),
    "Who must say yes: every entry of the list has to be filled. Written as `( { group = \"support-lead\"; count = 1; } )`." };

static const struct setting field_settings[] = {
    { "name", SHAPE_TEXT, REQUIRED, .form = &form_field, AT(field_rule, name),
      .help = "Name of the field; in JSON a dotted path such as `data.action`, array indexes left out." },
    { "equals", SHAPE_TEXT, NONE, .form = &form_value_pattern, AT(field_rule, equals),
      .help = "Pattern of its value, `*` stands for any bytes. Left out: it is enough that the field is there." },
    { 0 },
};
static const struct section field_section = { "fields", field_settings, sizeof(struct field_rule),
    "Conditions on a query or a body, all needed. One holds when any reading of the field matches: repeated fields, form or JSON. "
    "(For `allow = \"grant\"` *every* reading of that field must match, so that a second value cannot ride along.)" };

static const struct setting action_settings[] = {
    { "name", SHAPE_TEXT, REQUIRED, .form = &form_name, AT(action, name), .help = "Unique within the tool; shown to approvers." },
    { "methods", SHAPE_TEXTS, .fallback = "[ ]", .max = 32, .form = &form_method, COUNTED(action, methods, method_count),
      .help = "Methods, upper case; empty: any. GET implies HEAD for \"signoff\" and \"deny\", not for \"grant\"." },
    { "path", SHAPE_TEXT, REQUIRED, .form = &form_path_pattern, AT(action, path),
      .help = "Pattern of the whole path in its normal form. `*` matches within one segment, `**` across segments; `/**/` also stands for a single `/`." },
    { "query", SHAPE_LIST, .fallback = "( )", .max = 32, COUNTED(action, query, query_count), .sub = &field_section, .help = "Conditions on the query." },
    { "body", SHAPE_LIST, .fallback = "( )", .max = 32, COUNTED(action, body, body_count), .sub = &field_section,
      .help = "Conditions on the body: form (urlencoded, multipart) or JSON. A body that cannot be read counts as matching." },
    { "allow", SHAPE_TEXT, REQUIRED, .form = &form_requirement, .put = put_requirement, .narrowest = "\"deny\"",
      .help = "`grant`: a valid grant is enough; `signoff`: each request is held until others sign off exactly it; `deny`: never. When several actions match, the strictest wins." },
    { "signoff", SHAPE_LIST, .fallback = "( )", .max = 8, COUNTED(action, signoff, signoff_count), .sub = &need_section, .narrows = NARROWS_NEEDS,
      .help = "Who must sign off, for `allow = \"signoff\"`." },
    { "durable", SHAPE_BOOL, .fallback = "false", AT(action, durable),
      .help = "Deliver the answer only once its recording is on disk. Always so for `signoff`." },
    { "cross_origin", SHAPE_TEXTS, .fallback = "[ ]", .max = 64, .form = &form_origin, COUNTED(action, cross_origin, cross_origin_count), .narrows = NARROWS_FEWER,
      .help = "Other origins whose pages may send requests of this action, and read the answers, beside those the tool names." },
    { "record", SHAPE_TEXT, NONE, .form = &form_record, .put = put_action_record,
      .help = "What is kept of these exchanges: `full`, `metadata` (heads and sizes, no bodies) or `off` (nothing; only for `GET` and `HEAD` of a path that begins with a name, such as "
              "`/static/**`). Left out: as the tool says. Of several actions that match, the one written first counts. Sign-offs and `durable` actions are always kept in full." },
    { 0 },
};
static const struct section action_section = { "tools.actions", action_settings, sizeof(struct action),
    "Named classes of requests. A request that matches none is refused." };

static const struct setting action_limit_settings[] = {
    { "action", SHAPE_TEXT, REQUIRED, .form = &form_name, AT(action_limit, action), .help = "Name of one of the tool's actions." },
    { "max", SHAPE_COUNT, .fallback = NULL, .min = 1, .max = 1000000, AT(action_limit, max), .narrows = NARROWS_LESS, .help = "So many requests of it." },
    { 0 },
};
static const struct section action_limit_section = { "tools.budget.actions", action_limit_settings, sizeof(struct action_limit),
    "How often a grant may be used for an action, such as an export." };

static const struct setting distinct_limit_settings[] = {
    { "name", SHAPE_TEXT, REQUIRED, .form = &form_name, AT(distinct_limit, name), .help = "What is counted; unique within the tool." },
    { "path", SHAPE_TEXT, NONE, .form = &form_counted_path, AT(distinct_limit, path),
      .help = "Path with the counted segment in braces: `/customers/{customer}/**`. `*` stands for one segment, a final `/**` for any that follow, or none." },
    { "query", SHAPE_TEXT, NONE, .form = &form_field, AT(distinct_limit, query), .help = "Or the name of a query parameter, on any path; each of its values counts." },
    { "max", SHAPE_COUNT, .fallback = "0", .max = 100000, AT(distinct_limit, max), .narrows = NARROWS_LIMIT,
      .help = "So many different values; 0: no limit, they are only named in the recording, so that reports say which customers somebody touched." },
    { 0 },
};
static const struct section distinct_limit_section = { "tools.budget.distinct", distinct_limit_settings, sizeof(struct distinct_limit),
    "How many different customers, accounts ... a grant may touch. What stands in bodies is not counted." };

static const struct setting budget_settings[] = {
    { "requests", SHAPE_COUNT, .fallback = "0", .max = 100000000, AT(budget, requests), .narrows = NARROWS_LIMIT, .help = "Requests; 0: no limit." },
    { "bytes_out", SHAPE_SIZE, .fallback = "\"0B\"", .max = INT64_C(1) << 50, AT(budget, bytes_out), .narrows = NARROWS_LIMIT, .help = "Bytes of answers delivered to the person; `0B`: no limit." },
    { "actions", SHAPE_LIST, .fallback = "( )", .max = 16, COUNTED(budget, actions, action_count), .sub = &action_limit_section, .narrows = NARROWS_MORE,
      .help = "Requests of single actions: `( { action = \"export\"; max = 2; } )`." },
    { "distinct", SHAPE_LIST, .fallback = "( )", .max = 8, COUNTED(budget, distinct, distinct_count), .sub = &distinct_limit_section, .narrows = NARROWS_MORE,
      .help = "Different values: `( { name = \"customer\"; path = \"/customers/{customer}/**\"; max = 20; } )`." },
    { 0 },
};
static const struct section budget_section = { "tools.budget", budget_settings, sizeof(struct budget),
    "What one grant may touch at most. When it is spent, requests are refused with `budget-exhausted`, and the person may ask anew. It is leased to the worker threads, and "
    "what was leased counts as spent after a crash: never more is served, possibly a little less." };

static const struct setting break_glass_settings[] = {
    { "groups", SHAPE_TEXTS, .fallback = "[ ]", .max = 64, .form = &form_name, COUNTED(break_glass, groups, group_count),
      .help = "Groups whose members may grant themselves access, with a reason; they may ask for the tool like those of `who`, too. Empty: nobody." },
    { "for", SHAPE_TIME, .fallback = "\"15m\"", .min = SECOND, .max = DAY, AT(break_glass, max_duration_ms), .help = "Longest such grant." },
    { "reviewers", SHAPE_TEXTS, .fallback = "[ ]", .max = 64, .form = &form_name, COUNTED(break_glass, reviewers, reviewer_count),
      .help = "Groups whose members may review a use. Empty: those of the tool's approvers, and auditors. Never the one who used it." },
    { "review_within", SHAPE_TIME, .fallback = "\"24h\"", .min = SECOND, .max = 365 * DAY, AT(break_glass, review_within_ms), .help = "Later a review counts as overdue." },
    { "overdue_stops", SHAPE_BOOL, .fallback = "false", AT(break_glass, overdue_stops),
      .help = "Who has an overdue review, whatever the tool, cannot break the glass of this tool until it is done." },
    { 0 },
};
static const struct section break_glass_section = { "tools.break_glass", break_glass_settings, sizeof(struct break_glass),
    "Access in an emergency, without a second person: short, told at once to everybody concerned (approvers, operators, auditors), and owed a review by somebody else. "
    "Never a sign-off: what is held stays held." };

static bool put_auto_when(struct arena *a, void *base, const char *text)
{
    struct need n = { 0 };
    bool good = put_when(a, &n, text);
    ((struct auto_rule *)base)->when = n.when;
    return good;
}

static const struct setting auto_settings[] = {
    { "name", SHAPE_TEXT, REQUIRED, .form = &form_name, AT(auto_rule, name), .help = "Unique within the tool; stands in the log, and beside the grant." },
    { "groups", SHAPE_TEXTS, REQUIRED, .min = 1, .max = 64, .form = &form_name, COUNTED(auto_rule, groups, group_count),
      .help = "For members of these groups, of those who may ask for the tool." },
    { "when", SHAPE_TEXT, NONE, .form = &form_hours, .put = put_auto_when, .help = "For what is asked in these hours, written like `when` of approvers. Left out: always." },
    { "actions", SHAPE_TEXTS, REQUIRED, .min = 1, .max = 32, .form = &form_name, COUNTED(auto_rule, actions, action_count),
      .help = "For requests that name actions, all of them in this list." },
    { "for", SHAPE_TIME, .fallback = "\"15m\"", .min = SECOND, .max = DAY, AT(auto_rule, max_duration_ms), .help = "For at most so long." },
    { "per_day", SHAPE_COUNT, .fallback = "4", .min = 1, .max = 1000, AT(auto_rule, per_day),
      .help = "So often for one person in 24 hours; what is asked beyond that waits for a person. Each grant brings its own budget." },
    { "reason", SHAPE_TEXT, NONE, .form = &form_regex, AT(auto_rule, reason),
      .help = "Regular expression (POSIX extended) that must be found in the reason. Left out: any reason will do." },
    { 0 },
};
static const struct section auto_section = { "tools.auto", auto_settings, sizeof(struct auto_rule),
    "Requests that are granted without a second person: those that fit a rule in every point. Others wait for a person, as always. Never a sign-off." };

static const struct setting dom_settings[] = {
    { "enabled", SHAPE_BOOL, .fallback = "false", AT(dom_recording, enabled),
      .help = "Put a recorder script into the tool's HTML pages where that can be done safely; where it can't, the recording says why." },
    { "show", SHAPE_TEXTS, .fallback = "[ ]", .max = 64, .form = &form_selector, COUNTED(dom_recording, show, show_count),
      .help = "CSS selectors of inputs whose values are kept as they were typed. All others are kept as stars, passwords always." },
    { "hide", SHAPE_TEXTS, .fallback = "[ ]", .max = 64, .form = &form_selector, COUNTED(dom_recording, hide, hide_count),
      .help = "CSS selectors of elements of which nothing is kept but their place and size." },
    { 0 },
};
static const struct section dom_section = { "tools.dom_recording", dom_settings, sizeof(struct dom_recording),
    "What was on the person's screen, as their browser tells it, beside the HTTP recording: typing and clicking that made no request. It is the browser's claim, and marked so; "
    "proxy/dom/README.md says what it can and can't do. Tell your people." };

static const struct setting tool_settings[] = {
    { "name", SHAPE_TEXT, REQUIRED, .form = &form_tool, AT(tool, name), .help = "Unique; used on the command line and in grants." },
    { "host", SHAPE_TEXT, REQUIRED, .form = &form_host, AT(tool, host), .help = "Host name under which people reach the tool through the gateway. Unique." },
    { "upstream", SHAPE_TEXT, NONE, .form = &form_upstream, .put = put_single_upstream,
      .help = "Where the tool itself listens: `http://HOST:PORT`, `https://HOST:PORT`, `h2c://HOST:PORT` (HTTP/2 in clear) or `unix:/PATH`. This or `upstreams` is needed." },
    { "upstreams", SHAPE_TEXTS, .fallback = "[ ]", .max = UPSTREAMS_MAX, .form = &form_upstream, .put = put_upstream,
      .help = "Several places where the same tool listens. The one with the fewest requests under way gets the next; one that fails is left out for a while." },
    { "upstream_http", SHAPE_TEXT, .fallback = "\"1.1\"", .form = &form_upstream_http, .put = put_upstream_http,
      .help = "How the tool is spoken to: `1.1`, `2`, or `auto`: over https HTTP/2 if the tool takes it (ALPN), else HTTP/1.1. `2` in clear means prior knowledge, as `h2c://` does." },
    { "upstream_ca", SHAPE_TEXT, NONE, .form = &form_path, .path = PATH_FILE, AT(tool, upstream_ca), .content = true,
      .help = "PEM file that the tool's certificate is verified against (https only). Left out: the system's authorities." },
    { "upstream_pins", SHAPE_TEXTS, .fallback = "[ ]", .max = 16, .form = &form_spki_pin, COUNTED(tool, upstream_pins, upstream_pin_count),
      .help = "Public keys of which the tool's certificate must hold one, as `sha256/BASE64` over its SubjectPublicKeyInfo (https only). Without `upstream_ca` the key "
              "is all that counts, not name, dates or issuer; with it, both." },
    { "upstream_name", SHAPE_TEXT, NONE, .form = &form_host, AT(tool, upstream_name),
      .help = "Name asked for (SNI) and expected in the tool's certificate (https only). Left out: the host of the address." },
    { "upstream_certificate", SHAPE_TEXT, NONE, .form = &form_path, .path = PATH_FILE, AT(tool, upstream_certificate),
      .help = "Certificate chain, PEM, that the gateway shows the tool when it asks for one (https only)." },
    { "upstream_key", SHAPE_TEXT, NONE, .form = &form_path, .path = PATH_FILE, AT(tool, upstream_key), .help = "Its private key, PEM, readable by the gateway's user only." },
    { "upstream_fails", SHAPE_COUNT, .fallback = "3", .min = 1, .max = 1000, AT(tool, upstream_fails), .narrows = NARROWS_HARMLESS,
      .help = "After so many failures in a row one of several upstreams is left out. Failures: no connection, a bad certificate, silence, or an answer that breaks off before it began." },
    { "upstream_back_off", SHAPE_TIME, .fallback = "\"1s\"", .min = 100, .max = HOUR, AT(tool, upstream_back_off_ms), .narrows = NARROWS_HARMLESS,
      .help = "For how long; then one request tries it. Each time that fails the time doubles, up to 64 times this." },
    { "health_path", SHAPE_TEXT, NONE, .form = &form_health_path, AT(tool, health_path),
      .help = "Asked for regularly with GET at each upstream. One that does not answer well gets no requests. Left out: no such checks." },
    { "health_interval", SHAPE_TIME, .fallback = "\"5s\"", .min = 100, .max = HOUR, AT(tool, health_interval_ms), .narrows = NARROWS_HARMLESS, .help = "How often." },
    { "health_status", SHAPE_COUNT, .fallback = "200", .min = 200, .max = 599, AT(tool, health_status), .narrows = NARROWS_HARMLESS, .help = "The status that means it is well." },
    { "upstream_host", SHAPE_TEXT, NONE, .form = &form_host_field, AT(tool, upstream_host_field),
      .help = "Host sent to the tool, such as `localhost:9091`, for tools that answer to one name only. Left out: the one the client sent." },
    { "upstream_origin", SHAPE_TEXT, NONE, .form = &form_origin, AT(tool, upstream_origin),
      .help = "Origin that the tool takes for its own, such as `http://localhost:9091`, for tools that compare `Origin` or `Referer` with their `upstream_host`: those of the tool's own pages are sent "
              "with it, once the gateway has judged them. Left out: as the browser sent them." },
    { "who", SHAPE_TEXTS, REQUIRED, .min = 1, .max = 64, .form = &form_name, COUNTED(tool, who, who_count), .narrows = NARROWS_FEWER, .gives = true,
      .help = "Groups whose members may ask for a grant." },
    { "approvers", SHAPE_LIST, REQUIRED, .min = 1, .max = 8, COUNTED(tool, approvers, approver_count), .sub = &need_section, .narrows = NARROWS_NEEDS,
      .help = "Who must approve a grant." },
    { "ticket", SHAPE_TEXT, NONE, .form = &form_regex, AT(tool, ticket),
      .help = "Regular expression (POSIX extended) that must be found in the reason, such as `[A-Z]+-[0-9]+`. Left out: any reason will do." },
    { "max_duration", SHAPE_TIME, .fallback = "\"30m\"", .min = SECOND, .max = DAY, AT(tool, max_duration_ms), .narrows = NARROWS_LESS, .help = "Longest grant." },
    { "request_ttl", SHAPE_TIME, .fallback = "\"1h\"", .min = SECOND, .max = 7 * DAY, AT(tool, request_ttl_ms), .narrows = NARROWS_LESS, .help = "A request for access waits this long for its approval." },
    { "held_ttl", SHAPE_TIME, .fallback = "\"15m\"", .min = SECOND, .max = DAY, AT(tool, held_ttl_ms), .narrows = NARROWS_LESS, .help = "A held request waits this long for its sign-off and release." },
    { "allow_in_target", SHAPE_TEXTS, .fallback = "[ ]", .max = 4, .form = &form_target_allow, .put = put_target_allow, .narrows = NARROWS_FEWER,
      .help = "Spellings in a path that are refused otherwise, since two parsers may read them differently." },
    { "actions", SHAPE_LIST, .fallback = "( )", .max = 100000, COUNTED(tool, actions, action_count), .sub = &action_section, .narrows = NARROWS_ACTIONS,
      .help = "What may be done with the tool." },
    { "budget", SHAPE_GROUP, NONE, .sub = &budget_section, .at = offsetof(struct tool, budget), .help = "What one grant may touch at most." },
    { "break_glass", SHAPE_GROUP, NONE, .sub = &break_glass_section, .at = offsetof(struct tool, break_glass), .help = "Access in an emergency, without a second person. Off unset." },
    { "auto", SHAPE_LIST, .fallback = "( )", .max = 16, COUNTED(tool, autos, auto_count), .sub = &auto_section,
      .help = "Rules by which a request is granted without a second person. Off unset." },
    { "start_within", SHAPE_TIME, .fallback = "\"0s\"", .max = 7 * DAY - DAY, AT(tool, start_within_ms),
      .help = "A request may say that its time begins with the first use, if that comes within such a window at most; `0s`: none may." },
    { "cross_origin", SHAPE_TEXTS, .fallback = "[ ]", .max = 64, .form = &form_origin, COUNTED(tool, cross_origin, cross_origin_count), .narrows = NARROWS_FEWER,
      .help = "Other origins whose pages may send the tool any request its actions allow, and read the answers. Others are refused, but for links." },
    { "redact_fields", SHAPE_TEXTS, .max = 1000, .form = &form_field, COUNTED(tool, redact_fields, redact_count),
      .fallback = "[ \"password\", \"passwd\", \"pass\", \"pwd\", \"passphrase\", \"secret\", \"token\", \"api_key\", \"apikey\", \"access_token\", "
                  "\"refresh_token\", \"id_token\", \"client_secret\", \"otp\", \"pin\", \"csrfmiddlewaretoken\", \"old_password\", \"new_password\", "
                  "\"new_password1\", \"new_password2\", \"password1\", \"password2\" ]",
      .help = "Fields of query, forms and JSON whose values are never kept in a recording. Replaces the default list." },
    { "record", SHAPE_TEXT, .fallback = "\"full\"", .form = &form_tool_record, .put = put_tool_record,
      .help = "What is kept of exchanges whose action says nothing else: `full`, or `metadata`: heads and the sizes of bodies, but no body." },
    { "dom_recording", SHAPE_GROUP, NONE, .sub = &dom_section, .at = offsetof(struct tool, dom), .help = "Recording of what was on the screen, told by the browser. Off unset." },
    { "escalate_after", SHAPE_TIME, NONE, .max = 7 * DAY, AT(tool, escalate_after_ms), .help = "For this tool, instead of `escalate_after` at the top." },
    { "escalate_to", SHAPE_TEXT, NONE, .form = &form_name, AT(tool, escalate_to), .help = "For this tool, instead of `escalate_to` at the top." },
    { "retention", SHAPE_TIME, .fallback = "\"0s\"", .max = 36500 * DAY, AT(tool, retention_ms),
      .help = "Recordings of the tool's sessions are deleted so long after their last exchange, such as `90d`; `0s`: never. At least an hour. Each change is logged; a shorter time counts for "
              "sessions that begin later, for earlier ones only after `recording.shorten_after`. Legal holds (`countersign hold`) keep them longer." },
    { "allow_service_worker", SHAPE_BOOL, .fallback = "false", AT(tool, allow_service_worker), .narrowest = "false", .help = "Let the tool's pages register service workers." },
    { "tied_cookies", SHAPE_TEXTS, .fallback = "[ ]", .max = 64, .form = &form_cookie, COUNTED(tool, tied_cookies, tied_cookie_count), .narrows = NARROWS_MORE,
      .help = "Names of the tool's cookies, such as that of its login, that are worth something to the identity that received them only: one that was stolen, made up or planted is "
              "not forwarded. `*` at the end: all names that begin so. Not for cookies that a script of the tool's pages writes, or whose value it reads." },
    { 0 },
};
static const struct section tool_section = { "tools", tool_settings, sizeof(struct tool), "The web applications behind the gateway." };

static const struct setting person_settings[] = {
    { "name", SHAPE_TEXT, REQUIRED, .form = &form_name, AT(person, name), .help = "Who stands behind the identities. Unique." },
    { "identities", SHAPE_TEXTS, REQUIRED, .min = 1, .max = 64, .form = &form_identity, COUNTED(person, identities, identity_count), .narrows = NARROWS_PERSON,
      .help = "Addresses in this person's certificates. Each belongs to one person." },
    { "groups", SHAPE_TEXTS, .fallback = "[ ]", .max = 256, .form = &form_name, COUNTED(person, groups, group_count), .narrows = NARROWS_PERSON, .gives = true, .help = "Groups this person is in." },
    { "mail", SHAPE_TEXT, NONE, .form = &form_mail_address, AT(person, mail), .help = "Where notices to this person go. Left out: the first identity." },
    { 0 },
};
static const struct section person_section = { "people", person_settings, sizeof(struct person),
    "Rules about \"someone else\" compare persons, not identities. Often kept in a file of its own: `@include \"people.conf\"` (relative to the main file)." };

static const struct setting pair_settings[] = {
    { "certificate", SHAPE_TEXT, REQUIRED, .form = &form_path, .path = PATH_FILE, AT(server_pair, certificate), .help = "Certificate chain, PEM." },
    { "key", SHAPE_TEXT, REQUIRED, .form = &form_path, .path = PATH_FILE, AT(server_pair, key), .help = "Its private key, PEM, readable by the gateway's user only." },
    { 0 },
};
static const struct section pair_section = { "tls.more", pair_settings, sizeof(struct server_pair),
    "Further certificates. The first whose names fit the host that the client asks for (SNI) is shown; else the main one." };

static const struct setting tls_settings[] = {
    { "certificate", SHAPE_TEXT, REQUIRED, .form = &form_path, .path = PATH_FILE, AT(config, tls_certificate), .help = "The gateway's certificate chain, PEM." },
    { "key", SHAPE_TEXT, REQUIRED, .form = &form_path, .path = PATH_FILE, AT(config, tls_key), .help = "Its private key, PEM, readable by the gateway's user only." },
    { "more", SHAPE_LIST, .fallback = "( )", .max = 1000, COUNTED(config, more_certificates, more_certificate_count), .sub = &pair_section,
      .help = "Further certificates, chosen by the host that the client asks for." },
    { "hsts", SHAPE_TIME, .fallback = "\"365d\"", .max = 3650 * DAY, AT(config, hsts_ms), .narrows = NARROWS_HARMLESS,
      .help = "How long browsers remember to use https only (Strict-Transport-Security), in the answers of all tools and of the console." },
    { "client_ca", SHAPE_TEXT, REQUIRED, .form = &form_path, .path = PATH_FILE, AT(config, client_ca), .content = true, .help = "Authorities for people's certificates, PEM." },
    { "crl", SHAPE_TEXT, REQUIRED, .form = &form_path, .path = PATH_FILE, AT(config, crl), .help = "Revocation list, PEM. Must be current, else everybody is refused." },
    { 0 },
};
static const struct section tls_section = { "tls", tls_settings, 0, "Certificates and keys." };

static const struct setting role_settings[] = {
    { "auditors", SHAPE_TEXTS, .fallback = "[ ]", .max = 64, .form = &form_name, COUNTED(config, auditors, auditor_count), .help = "Groups that may look at sessions." },
    { "operators", SHAPE_TEXTS, .fallback = "[ ]", .max = 64, .form = &form_name, COUNTED(config, operators, operator_count), .help = "Groups that may lock and unlock." },
    { 0 },
};
static const struct section role_section = { "roles", role_settings, 0, "Who looks, and who stops." };

#define LIMIT(member) AT(limits, member)
static const struct setting limit_settings[] = {
    { "connections", SHAPE_COUNT, .fallback = "4096", .min = 1, .max = 1000000, LIMIT(connections), .help = "Connections in all. From here on newcomers take the places of those behind whom no known person stands, and are refused when there is none." },
    { "connections_per_source", SHAPE_COUNT, .fallback = "256", .min = 1, .max = 1000000, LIMIT(connections_per_source), .help = "Connections from one address." },
    { "connections_per_person", SHAPE_COUNT, .fallback = "1024", .min = 1, .max = 1000000, LIMIT(connections_per_person),
      .help = "Connections of one person, over all their certificates." },
    { "handshakes", SHAPE_COUNT, .fallback = "512", .min = 1, .max = 1000000, LIMIT(handshakes),
      .help = "Handshakes under way in all. When one more begins, an old one of the address that has most ends, so that those who only connect keep nobody out." },
    { "handshakes_per_source", SHAPE_COUNT, .fallback = "256", .min = 1, .max = 1000000, LIMIT(handshakes_per_source), .help = "Handshakes under way from one address." },
    { "handshakes_per_second", SHAPE_COUNT, .fallback = "2000", .min = 1, .max = 1000000, LIMIT(handshakes_per_second),
      .help = "Handshakes one address may begin a second; twice as many at once after a pause." },
    { "exchanges_per_person", SHAPE_COUNT, .fallback = "10000", .min = 1, .max = 1000000, LIMIT(exchanges_per_person),
      .help = "Requests of one person under way at a time, WebSockets included; one more is answered 429." },
    { "streams", SHAPE_COUNT, .fallback = "100", .min = 1, .max = 1000, LIMIT(streams), .help = "Concurrent HTTP/2 streams of a connection." },
    { "fields", SHAPE_COUNT, .fallback = "100", .min = 16, .max = 1000, LIMIT(fields), .help = "Header fields of one message." },
    { "head_bytes", SHAPE_SIZE, .fallback = "\"32KiB\"", .min = 4 * KIB, .max = 32 * KIB, LIMIT(head_bytes), .help = "Request line and fields." },
    { "body_read_bytes", SHAPE_SIZE, .fallback = "\"1MiB\"", .min = 4 * KIB, .max = 64 * MIB, LIMIT(body_read_bytes),
      .help = "Most that is read of a body to judge it; a longer one counts as the strictest rule of its path." },
    { "held_bytes", SHAPE_SIZE, .fallback = "\"8MiB\"", .min = 4 * KIB, .max = 64 * MIB, LIMIT(held_bytes), .help = "Largest body that can be held for a sign-off." },
    { "body_bytes_per_person", SHAPE_SIZE, .fallback = "\"64MiB\"", .min = MIB, .max = 1024 * MIB, LIMIT(body_bytes_per_person),
      .help = "Most that is kept of one person's request bodies while they are read to be judged; a request that would go past it is answered 429." },
    { "resets", SHAPE_COUNT, .fallback = "200", .min = 10, .max = 1000000, LIMIT(resets),
      .help = "HTTP/2 streams that a connection's client may reset, or make the gateway reset, at once; a tenth of it comes back each second." },
    { "control_frames", SHAPE_COUNT, .fallback = "1000", .min = 100, .max = 1000000, LIMIT(control_frames),
      .help = "HTTP/2 frames that ask for nothing (PING, SETTINGS, PRIORITY, empty DATA, more WINDOW_UPDATE than was sent for) on a connection at once; a tenth of it comes back each second." },
    { "slow_rate", SHAPE_COUNT, .fallback = "100", .min = 1, .max = 1000000, LIMIT(slow_rate),
      .help = "Bytes a second of a body. Who sends or reads slower than that for the time of `body_idle` counts as silent." },
    { "handshake", SHAPE_TIME, .fallback = "\"10s\"", .min = 100, .max = HOUR, LIMIT(handshake_ms), .help = "For a TLS handshake." },
    { "head", SHAPE_TIME, .fallback = "\"15s\"", .min = 100, .max = HOUR, LIMIT(head_ms), .help = "For a whole request head." },
    { "body_idle", SHAPE_TIME, .fallback = "\"30s\"", .min = 100, .max = HOUR, LIMIT(body_idle_ms), .help = "Between two pieces of a request body." },
    { "idle", SHAPE_TIME, .fallback = "\"75s\"", .min = 100, .max = HOUR, LIMIT(idle_ms), .help = "Of a connection between two requests." },
    { "upstream_connect", SHAPE_TIME, .fallback = "\"5s\"", .min = 100, .max = HOUR, LIMIT(upstream_connect_ms), .help = "For a connection to the tool." },
    { "upstream_head", SHAPE_TIME, .fallback = "\"60s\"", .min = 100, .max = HOUR, LIMIT(upstream_head_ms), .help = "Until the tool begins its answer." },
    { "upstream_idle", SHAPE_TIME, .fallback = "\"60s\"", .min = 100, .max = HOUR, LIMIT(upstream_idle_ms), .help = "Between two pieces of the tool's answer." },
    { "upstream_connections", SHAPE_COUNT, .fallback = "1024", .min = 1, .max = 100000, LIMIT(upstream_connections),
      .help = "Connections of one worker to one tool; what comes beyond them is answered 503." },
    { "websocket_idle", SHAPE_TIME, .fallback = "\"15m\"", .min = 100, .max = DAY, LIMIT(websocket_idle_ms),
      .help = "A WebSocket on which neither side says anything, not even a ping, ends after this." },
    { "drain", SHAPE_TIME, .fallback = "\"30s\"", .min = 100, .max = HOUR, LIMIT(drain_ms), .help = "For what is running when the gateway stops." },
    { "held_per_person", SHAPE_COUNT, .fallback = "20", .min = 1, .max = 10000, LIMIT(held_per_person), .help = "Held requests of one person at a time." },
    { "requests_per_person", SHAPE_COUNT, .fallback = "10", .min = 1, .max = 10000, LIMIT(requests_per_person), .help = "Open requests for access of one person at a time." },
    { "signoff_wait", SHAPE_TIME, .fallback = "\"60s\"", .max = HOUR, LIMIT(signoff_wait_ms),
      .help = "Longest that a request waits for its sign-off when its client asks for that (`Prefer: wait=N`, RFC 7240). `0s`: none waits." },
    { "signoff_waits_per_person", SHAPE_COUNT, .fallback = "4", .min = 1, .max = 1000, LIMIT(signoff_waits_per_person), .help = "Requests of one person that wait so at a time." },
    { "dom_upload", SHAPE_SIZE, .fallback = "\"4MiB\"", .min = 64 * KIB, .max = 64 * MIB, LIMIT(dom_upload),
      .help = "DOM recording: largest upload of a page. The first one of a page holds all of it; what is larger is not recorded, and the recording says so." },
    { "dom_rate", SHAPE_SIZE, .fallback = "\"256KiB\"", .min = 16 * KIB, .max = 64 * MIB, LIMIT(dom_rate),
      .help = "DOM recording: bytes a second that one person's browsers may send for long; eight seconds' worth more than `dom_upload` at once. What is beyond that is refused, and counted." },
    { 0 },
};
static const struct section limit_section = { "limits", limit_settings, sizeof(struct limits), "What an unknown peer can make the gateway keep." };

static const struct setting recording_settings[] = {
    { "segment_time", SHAPE_TIME, .fallback = "\"2s\"", .min = 100, .max = MINUTE, AT(config, segment_ms), .help = "A segment closes after this." },
    { "segment_size", SHAPE_SIZE, .fallback = "\"1MiB\"", .min = 64 * KIB, .max = 64 * MIB, AT(config, segment_bytes), .help = "Or after so many bytes." },
    { "ring_size", SHAPE_SIZE, .fallback = "\"4MiB\"", .min = MIB, .max = 256 * MIB, AT(config, ring_bytes), .help = "Memory between each worker and the recorder; a power of two." },
    { "sealed_to", SHAPE_TEXTS, .fallback = "[ ]", .max = 16, .form = &form_auditor_key, COUNTED(config, sealed_to, sealed_to_count),
      .help = "Auditors' public keys, at least two (`countersign auditor-key`, or age-keygen): recordings are sealed to each of them, and nobody else, the gateway "
              "included, can open them. Taking a key out retires it: what was sealed to it before stays readable to its owner." },
    { "unsealed", SHAPE_BOOL, .fallback = "false", AT(config, unsealed),
      .help = "Instead of `sealed_to`, for trying things out: whoever can read the disk can read every recording." },
    { "copy_to", SHAPE_TEXT, NONE, .form = &form_fetch_url, AT(config, copy_to),
      .help = "Object storage that speaks S3, `https://HOST/BUCKET/PREFIX`: gets a copy of each segment as it is written, and of the published log (proxy/courier/README.md). Where "
              "objects cannot be changed or deleted for a time, nobody on this machine can take the evidence away." },
    { "copy_region", SHAPE_TEXT, NONE, .form = &form_name, AT(config, copy_region), .help = "Its region, as its requests are signed for." },
    { "copy_key", SHAPE_TEXT, NONE, .form = &form_value_pattern, AT(config, copy_key), .help = "Id of the access key. It needs the right to put objects, and no other." },
    { "copy_secret_file", SHAPE_TEXT, NONE, .form = &form_path, .path = PATH_FILE, AT(config, copy_secret_file), .help = "File with the key's secret, readable by the gateway's user only." },
    { "copy_ca_file", SHAPE_TEXT, NONE, .form = &form_path, .path = PATH_FILE, AT(config, copy_ca_file),
      .help = "PEM file that its certificate is verified against. Left out: the system's authorities. Name and certificate are always verified." },
    { "keep_local", SHAPE_TIME, .fallback = "\"0s\"", .max = 36500 * DAY, AT(config, keep_local_ms),
      .help = "The file of a session that has ended is deleted here so long after its last segment, once the storage of `copy_to` has confirmed each of them; a legal hold keeps it, and the log says so "
              "(session.moved). Auditors then read it from the storage. `0s`: never." },
    { "shorten_after", SHAPE_TIME, .fallback = "\"0s\"", .max = 36500 * DAY, AT(config, shorten_after_ms),
      .help = "A tool's `retention` that was made shorter counts also for sessions that began before, once it has stood in the log so long; `0s`: never, what was promised is kept." },
    { "clock_leap", SHAPE_TIME, .fallback = "\"7d\"", .min = HOUR, .max = 3650 * DAY, AT(config, clock_leap_ms),
      .help = "When the clock leaps forward by more, or a start comes so long after the last entry of the log, no recording is deleted until an operator confirms the time "
              "(`countersign hold --confirm-time`)." },
    { 0 },
};
static const struct section recording_section = { "recording", recording_settings, 0, "How sessions are kept." };

static const struct setting lock_when_settings[] = {
    { "refusals", SHAPE_COUNT, .fallback = "0", .max = 1000000, AT(lock_when, refusals),
      .help = "So many requests that the policy of a tool does not allow; 0: never. What a page of another site causes does not count." },
    { "refusals_within", SHAPE_TIME, .fallback = "\"1m\"", .min = SECOND, .max = HOUR, AT(lock_when, refusals_within_ms), .help = "Within this time." },
    { "exhausted", SHAPE_COUNT, .fallback = "0", .max = 1000000, AT(lock_when, exhausted), .help = "So many requests past a spent budget; 0: never." },
    { "exhausted_within", SHAPE_TIME, .fallback = "\"1m\"", .min = SECOND, .max = HOUR, AT(lock_when, exhausted_within_ms), .help = "Within this time." },
    { "identity_only", SHAPE_BOOL, .fallback = "false", AT(lock_when, identity),
      .help = "Count, and lock, only the identity under which it happened: the person's other identities go on." },
    { 0 },
};
static const struct section lock_when_section = { "lock_when", lock_when_settings, 0, "When a person is locked without anybody's order. An operator lifts the lock." };

static const struct setting key_settings[] = {
    { "confirmers", SHAPE_TEXTS, .fallback = "[ ]", .max = 64, .form = &form_name, COUNTED(config, key_confirmers, key_confirmer_count),
      .help = "Groups whose members may confirm a new approval key. Empty: anyone but its owner who has a key that counts." },
    { "delay", SHAPE_TIME, .fallback = "\"1h\"", .max = 30 * DAY, AT(config, key_delay_ms),
      .help = "A new key counts so long after a second person confirmed it: time for its owner to object." },
    { "confirm_certificates", SHAPE_BOOL, .fallback = "false", AT(config, confirm_certificates),
      .help = "A key that `countersign certs issue --approver` or `renew` adds once there are some needs another person's yes, and the delay, too. The very first ones, made "
              "at the machine before the gateway knows any, count at once." },
    { "synced", SHAPE_BOOL, .fallback = "true", AT(config, synced_keys),
      .help = "Take passkeys that can be copied to other devices (backup-eligible). They never count where a rule says `method = \"hardware\"`." },
    { "attestation_roots", SHAPE_TEXT, NONE, .form = &form_path, .path = PATH_FILE, .content = true, AT(config, attestation_roots),
      .help = "PEM file with certificates of makers of authenticators. When it is set, a new key of an authenticator is taken only if one of them vouches for it: attestation of the "
              "format `packed` with a certificate chain. Self attestation, `none` and every other format are refused. Keys registered before stay." },
    { "models", SHAPE_TEXTS, .fallback = "[ ]", .max = 256, .form = &form_aaguid, COUNTED(config, key_models, key_model_count),
      .help = "Only these models of authenticators, by AAGUID, such as `2fc0579f-8113-47ea-b116-bb5a8db9202a`; the maker's certificate must name the model, too. Needs `attestation_roots`. "
              "Empty: every model that its maker vouches for." },
    { 0 },
};
static const struct section key_section = { "keys", key_settings, 0, "How a new approval key comes to count." };

static const struct setting audit_settings[] = {
    { "file", SHAPE_TEXT, NONE, .form = &form_path, .path = PATH_MADE, AT(audit_settings, file),
      .help = "A file that lines are appended to; made anew when it was renamed (logrotate needs no signal), and with SIGHUP." },
    { "stdout", SHAPE_BOOL, .fallback = "false", AT(audit_settings, standard_output), .help = "Standard output of `countersign run`; its own log goes to standard error." },
    { "syslog", SHAPE_TEXT, NONE, .form = &form_syslog, AT(audit_settings, syslog),
      .help = "`local`: /dev/log; `unix:/PATH`, `udp:ADDRESS:PORT` or `tcp:ADDRESS:PORT`: RFC 5424 (over TCP with counted octets), numeric addresses, not encrypted; `tls:HOST:PORT`: RFC 5425, over TLS "
              "to a server whose name and certificate are verified. Facility authpriv; the MSGID is the event's name." },
    { "syslog_ca_file", SHAPE_TEXT, NONE, .form = &form_path, .path = PATH_FILE, AT(audit_settings, syslog_ca_file),
      .help = "Of `tls:HOST:PORT`: PEM file that the server's certificate is verified against. Left out: the system's authorities." },
    { "syslog_certificate", SHAPE_TEXT, NONE, .form = &form_path, .path = PATH_FILE, AT(audit_settings, syslog_certificate),
      .help = "Of `tls:HOST:PORT`: PEM file with the certificate that is shown to a server which asks for one. Left out: none." },
    { "syslog_key", SHAPE_TEXT, NONE, .form = &form_path, .path = PATH_FILE, AT(audit_settings, syslog_key), .help = "PEM file with its key, readable by the gateway's user only." },
    { "webhook", SHAPE_TEXT, NONE, .form = &form_fetch_url, AT(audit_settings, webhook),
      .help = "An address that gets the lines, a few to some dozens in one signed POST (proxy/courier/README.md); what it does not confirm with a 2xx is sent again, in order, for as long as it takes." },
    { "webhook_secret_file", SHAPE_TEXT, NONE, .form = &form_path, .path = PATH_FILE, AT(audit_settings, webhook_secret_file),
      .help = "File with the secret (16 to 1024 bytes) that signs each request, readable by the gateway's user only. Needed with `webhook`." },
    { "webhook_authorization_file", SHAPE_TEXT, NONE, .form = &form_path, .path = PATH_FILE, AT(audit_settings, webhook_authorization_file),
      .help = "File with what goes into the field `Authorization`, such as `Bearer …`, for receivers that want one; readable by the gateway's user only." },
    { "webhook_ca_file", SHAPE_TEXT, NONE, .form = &form_path, .path = PATH_FILE, AT(audit_settings, webhook_ca_file),
      .help = "PEM file that the receiver's certificate is verified against. Left out: the system's authorities." },
    { "required", SHAPE_BOOL, .fallback = "false", AT(audit_settings, required),
      .help = "When a place takes no events for 5 s, nothing new is decided (503 `audit-unavailable`) until it does. Else decisions go on, the events wait in the log, and metrics and log say so." },
    { 0 },
};
static const struct section audit_section = { "audit", audit_settings, sizeof(struct audit_settings),
    "Where audit events go to: every decision and administrative act as a line of OCSF JSON (authz/events.md). Left out: nowhere; the signed log has them all the same." };

static const struct setting policy_settings[] = {
    { "second_operator", SHAPE_BOOL, .fallback = "false", AT(config, second_operator), .narrowest = "true",
      .help = "A change of this file that could give anybody more than before takes effect only once two different operators have signed exactly that change; until then, and after a restart, "
              "the policy before goes on. What can only take rights away takes effect at once. Needs two persons in the groups of `roles.operators`." },
    { 0 },
};
static const struct section policy_section = { "policy", policy_settings, 0, "How a change of this file comes to count." };

static const struct setting root_settings[] = {
    { "instance", SHAPE_TEXT, REQUIRED, .form = &form_instance, AT(config, instance), .help = "Names this gateway in tokens, statements and logs." },
    { "state", SHAPE_TEXT, .fallback = "\".\"", .form = &form_path, .path = PATH_FOLDER, AT(config, state), .machine = true, .help = "The state folder: keys, database, recordings." },
    { "user", SHAPE_TEXT, NONE, .form = &form_user, AT(config, user), .machine = true, .help = "Run as this user. Left out: as started." },
    { "workers", SHAPE_COUNT, .fallback = "0", .max = 256, AT(config, workers), .machine = true, .help = "Worker threads; 0: one a core." },
    { "sandbox", SHAPE_TEXT, .fallback = "\"when-possible\"", .form = &form_sandbox, .put = put_sandbox, .machine = true,
      .help = "Whether each process is confined to the files and system calls that it needs (Landlock and seccomp; proxy/base/README.md). `when-possible`: as far as the kernel and the container have it; what is "
              "missing is said by the log, `countersign check` and `/metrics`. `on`: without all of it nothing starts. `off`: for looking for a fault. Read at start." },
    { "log_level", SHAPE_TEXT, .fallback = "\"info\"", .form = &form_log_level, .put = put_log_level, .machine = true,
      .help = "Lowest level of log lines shown. `info` holds the access log: a line `exchange` for each request, never with its query." },
    { "listen", SHAPE_TEXTS, .fallback = "[ \"127.0.0.1:8443\" ]", .min = 1, .max = LISTENERS_MAX, .form = &form_listener, .put = put_listener, .machine = true,
      .help = "Addresses to listen on." },
    { "proxy_protocol", SHAPE_TEXTS, .fallback = "[ ]", .max = LISTENERS_MAX, .form = &form_listener, COUNTED(config, proxied_listeners, proxied_count), .machine = true,
      .help = "Those addresses of `listen` on which a load balancer begins each connection with a PROXY protocol v2 header. Who does so says what the source is, "
              "so `proxy_protocol_from` names who may." },
    { "proxy_protocol_from", SHAPE_TEXTS, .fallback = "[ ]", .max = NETWORKS_MAX, .form = &form_network, .put = put_network, .machine = true,
      .help = "Addresses and ranges of the load balancers. A connection to an address of `proxy_protocol` from anywhere else is closed." },
    { "operator_listen", SHAPE_TEXT, NONE, .form = &form_operator_listen, AT(config, operator_listen), .machine = true,
      .help = "Where `/metrics` and `/healthz` are answered, in plain HTTP: a loopback address, or the absolute path of a Unix socket. Left out: nowhere." },
    { "public_port", SHAPE_COUNT, NONE, .min = 1, .max = 65535, AT(config, public_port), .help = "Port in URLs. Left out: that of the first listener." },
    { "console", SHAPE_TEXT, REQUIRED, .form = &form_host, AT(config, console_host), .help = "Host name of the console." },
    { "tls", SHAPE_GROUP, REQUIRED, .sub = &tls_section, .help = "Certificates and keys." },
    { "max_staleness", SHAPE_TIME, .fallback = "\"3s\"", .min = SECOND, .max = MINUTE, AT(config, max_staleness_ms),
      .help = "When the deciding process is silent this long, live exchanges end." },
    { "approval_keys", SHAPE_TEXT, .fallback = "\"approval_keys\"", .form = &form_path, .path = PATH_LATER, AT(config, approval_keys),
      .help = "File of registered approval keys, one a line; `countersign certs issue --approver` adds to it." },
    { "keys", SHAPE_GROUP, NONE, .sub = &key_section, .help = "New approval keys: who confirms them, and when they count." },
    { "people", SHAPE_LIST, .fallback = "( )", .max = 100000, COUNTED(config, people, person_count), .sub = &person_section, .narrows = NARROWS_PERSON, .help = "Everyone the gateway knows." },
    { "roles", SHAPE_GROUP, NONE, .sub = &role_section, .help = "Groups of auditors and operators." },
    { "tools", SHAPE_LIST, .fallback = "( )", .max = 10000, COUNTED(config, tools, tool_count), .sub = &tool_section, .narrows = NARROWS_FEWER, .help = "The web applications behind the gateway." },
    { "lock_when", SHAPE_GROUP, NONE, .sub = &lock_when_section, .at = offsetof(struct config, lock_when), .help = "Locks by rule." },
    { "issuers", SHAPE_LIST, .fallback = "( )", .max = 16, COUNTED(config, issuers, issuer_count), .sub = &issuer_section, .help = "Others who may issue grants. None unless named." },
    { "limits", SHAPE_GROUP, NONE, .sub = &limit_section, .at = offsetof(struct config, limits), .machine = true, .help = "Limits on connections, messages and times." },
    { "delegation_max", SHAPE_TIME, .fallback = "\"14d\"", .max = 90 * DAY, AT(config, delegation_max_ms),
      .help = "An approver may name a delegate for so long at most, by a signature; `0s`: nobody may." },
    { "dom_recorder", SHAPE_TEXT, .fallback = "\"/usr/share/countersign/dom\"", .form = &form_path, .path = PATH_USED, AT(config, dom_recorder), .machine = true,
      .help = "Folder with the script of the DOM recorder, `record.js` (`config/install dom` fetches it, `cmake --install` puts it there). Read at start and with SIGHUP, only if a tool "
              "has `dom_recording`." },
    { "approvals_retention", SHAPE_TIME, .fallback = "\"0s\"", .max = 36500 * DAY, AT(config, approvals_retention_ms),
      .help = "The history of a request for access (reason, approvals, held requests, grants, what was counted) and of a lock is erased so long after the last that happened in it, such as `400d`; `0s`: never. "
              "At least `1d`. What goes on, what a recording or a legal hold still needs, and keys, delegations and changes of the policy stay. The signed log stays whole, and says what was erased. "
              "A shorter time counts for what begins later, for the rest only after `recording.shorten_after`." },
    { "recording", SHAPE_GROUP, NONE, .sub = &recording_section, .help = "Segments and buffers of recordings." },
    { "notices", SHAPE_LIST, .fallback = "( )", .max = NOTICE_TARGETS_MAX, COUNTED(config, notices, notice_count), .sub = &notice_section, .help = "Whom to tell what happened." },
    { "escalate_after", SHAPE_TIME, .fallback = "\"0s\"", .max = 7 * DAY, AT(config, escalate_after_ms),
      .help = "What still waits for a yes after this is brought before `escalate_to`: the event `item.escalated`, and the pages say so. `0s`: only what nobody on duty can answer." },
    { "escalate_to", SHAPE_TEXT, NONE, .form = &form_name, AT(config, escalate_to), .help = "Group that is told of what waits too long, or at an hour when nobody who could answer is on duty." },
    { "witnesses", SHAPE_TEXTS, .fallback = "[ ]", .max = COSIGN_WITNESSES_MAX, .form = &form_witness, COUNTED(config, witnesses, witness_count),
      .help = "Verifier keys of witnesses (NAME+HASH+KEY, C2SP tlog-cosignature): their cosignatures of the log are taken by `countersign log add-cosignature`, and served at `/log/witnessed`." },
    { "audit", SHAPE_GROUP, NONE, .sub = &audit_section, .at = offsetof(struct config, audit), .help = "Audit events." },
    { "policy", SHAPE_GROUP, NONE, .sub = &policy_section, .help = "Changes of the policy itself." },
    { 0 },
};
const struct section settings_root = { "top level", root_settings, sizeof(struct config), "Settings at the top of the file." };
