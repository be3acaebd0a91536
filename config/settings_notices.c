/* The part of the table (settings.c) that stands under `notices`. */
#include "config/settings.h"

#include <stddef.h>

#define AT(member) .at = offsetof(struct notice_target, member), .size = sizeof(((struct notice_target *)0)->member)
#define COUNTED(member, counter) AT(member), .count_at = offsetof(struct notice_target, counter)
#define NONE .fallback = ""

static bool put_kind(struct arena *a, void *base, const char *text)
{
    (void)a;
    return notice_kind_parse(text, &((struct notice_target *)base)->kind);
}

static bool put_format(struct arena *a, void *base, const char *text)
{
    (void)a;
    return notice_format_parse(text, &((struct notice_target *)base)->format);
}

static const struct setting notice_settings[] = {
    { "name", SHAPE_TEXT, .fallback = NULL, .form = &form_name, AT(name), .help = "Unique; in logs. What waits is kept for the name, so that the rest may change." },
    { "kind", SHAPE_TEXT, .fallback = NULL, .form = &form_notice_kind, .put = put_kind, .help = "`webhook`: an HTTPS request for each notice; `mail`: a message over SMTP with TLS." },
    { "events", SHAPE_TEXTS, .fallback = "[ ]", .max = 64, .form = &form_notice_event, COUNTED(events, event_count), .help = "What to tell (config/README.md lists the events). Empty: everything." },
    { "tools", SHAPE_TEXTS, .fallback = "[ ]", .max = 1000, .form = &form_tool, COUNTED(tools, tool_count),
      .help = "Only what is about these tools. Empty: all of them, and what is about no tool, such as new keys." },
    { "ca_file", SHAPE_TEXT, NONE, .form = &form_path, .path = PATH_FILE, AT(ca_file),
      .help = "PEM file that the receiver's certificate is verified against. Left out: the system's authorities. Name and certificate are always verified." },
    { "url", SHAPE_TEXT, NONE, .form = &form_fetch_url, AT(url), .help = "Webhook: where to. Redirects are not followed." },
    { "format", SHAPE_TEXT, .fallback = "\"json\"", .form = &form_notice_format, .put = put_format,
      .help = "Webhook: `json`, all that is known (proxy/courier/README.md); or `slack`, one line of text that Slack and what is compatible shows." },
    { "secret_file", SHAPE_TEXT, NONE, .form = &form_path, .path = PATH_FILE, AT(secret_file),
      .help = "Webhook: file with the secret (16 to 1024 bytes) that signs each request, readable by the gateway's user only. Needed for `json`." },
    { "server", SHAPE_TEXT, NONE, .form = &form_mail_server, AT(server),
      .help = "Mail: `smtps://HOST:465`, or `smtp://HOST:587`, where STARTTLS is required. Nothing is ever sent without TLS." },
    { "from", SHAPE_TEXT, NONE, .form = &form_mail_address, AT(from), .help = "Mail: the sender's address." },
    { "to", SHAPE_TEXTS, .fallback = "[ ]", .max = 32, .form = &form_mail_address, COUNTED(to, to_count), .help = "Mail: addresses that get everything." },
    { "to_groups", SHAPE_TEXTS, .fallback = "[ ]", .max = 64, .form = &form_name, COUNTED(to_groups, to_group_count), .help = "Mail: groups whose members get everything, at `people.mail`." },
    { "to_concerned", SHAPE_BOOL, .fallback = "false", AT(to_concerned),
      .help = "Mail: whom it asks or concerns: those who could say yes, the one who asked, a key's owner, the group of `escalate_to`." },
    { "user", SHAPE_TEXT, NONE, .form = &form_value_pattern, AT(user), .help = "Mail: name to log in with. Left out: no login." },
    { "password_file", SHAPE_TEXT, NONE, .form = &form_path, .path = PATH_FILE, AT(password_file), .help = "Mail: file with the password, readable by the gateway's user only." },
    { 0 },
};
const struct section notice_section = { "notices", notice_settings, sizeof(struct notice_target),
    "People are told what happened, and where to look; a notice never carries a decision, a token, or a request's content. The process `courier` sends them." };
