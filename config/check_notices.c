/* What concerns several settings of `notices`, and escalation. */
#include "config/loader.h"

#include <sys/stat.h>

/* What belongs to the other kind is a mistake, not a setting without effect. */
static void check_kind(struct load *l, const struct notice_target *t, const config_setting_t *at)
{
    static const char *const of_webhook[] = { "url", "format", "secret_file" };
    static const char *const of_mail[] = { "server", "from", "to", "to_groups", "to_concerned", "user", "password_file" };
    bool mail = t->kind == NOTICE_MAIL;
    size_t n = mail ? sizeof of_webhook / sizeof *of_webhook : sizeof of_mail / sizeof *of_mail;
    for (size_t i = 0; i < n; i++) {
        const char *name = mail ? of_webhook[i] : of_mail[i];
        if (member_of(at, name) != NULL)
            report(l, member_of(at, name), NULL, "has no effect, since kind is \"%s\"; expected it to be left out", mail ? "mail" : "webhook");
    }
}

/* The courier refuses it later; `check` should say so first. */
void check_secret(struct load *l, const config_setting_t *at, const char *member, const char *path)
{
    struct stat sb;
    if (path != NULL && stat(path, &sb) == 0 && (sb.st_mode & 077) != 0)
        report_warning(l, member_of(at, member), NULL, "others can read '%s', so it is not used; run: chmod 600 '%s'", path, path);
}

static void check_webhook(struct load *l, const struct notice_target *t, const config_setting_t *at)
{
    check_secret(l, at, "secret_file", t->secret_file);
    if (t->url == NULL && member_of(at, "url") == NULL)
        report(l, at, "url", "is missing; expected where the webhook is: \"https://...\"");
    if (t->format == NOTICE_JSON && t->secret_file == NULL && member_of(at, "secret_file") == NULL)
        report(l, at, "secret_file", "is missing; expected a file with the secret that signs what is sent, such as the output of `openssl rand -hex 32`");
}

static void check_mail(struct load *l, const struct notice_target *t, const config_setting_t *at)
{
    check_secret(l, at, "password_file", t->password_file);
    if (t->server == NULL && member_of(at, "server") == NULL)
        report(l, at, "server", "is missing; expected \"smtps://HOST:465\" or \"smtp://HOST:587\"");
    if (t->from == NULL && member_of(at, "from") == NULL)
        report(l, at, "from", "is missing; expected the sender's address");
    if (t->to_count == 0 && t->to_group_count == 0 && !t->to_concerned && member_of(at, "to") == NULL)
        report(l, at, "to", "is missing, so nobody would get it; expected `to`, `to_groups` or `to_concerned = true`");
    if ((t->user == NULL) != (t->password_file == NULL))
        report(l, at, t->user ? "password_file" : "user", "is missing; expected user and password_file together");
    check_groups(l, at, "to_groups", t->to_groups, t->to_group_count);
}

static void check_tools(struct load *l, const struct notice_target *t, const config_setting_t *at)
{
    for (size_t i = 0; i < t->tool_count; i++) {
        bool found = false;
        for (size_t k = 0; k < l->out->tool_count; k++)
            found = found || (l->out->tools[k].name != NULL && strcmp(l->out->tools[k].name, t->tools[i]) == 0);
        if (!found)
            report(l, at, "tools", "\"%.100s\" is no tool of this file; expected the name of one", t->tools[i]);
    }
}

static bool tells_of_escalation(const struct config *c)
{
    for (size_t i = 0; i < c->notice_count; i++) {
        bool tells = c->notices[i].event_count == 0;
        for (size_t k = 0; k < c->notices[i].event_count; k++)
            tells = tells || strcmp(c->notices[i].events[k], "item.escalated") == 0;
        if (tells)
            return true;
    }
    return false;
}

static void check_escalation(struct load *l, const config_setting_t *root)
{
    struct config *c = l->out;
    if (c->escalate_to != NULL && !tells_of_escalation(c))
        report_warning(l, member_of(root, "escalate_to"), NULL, "no receiver in `notices` takes \"item.escalated\", so the group is told by the console only");
    const config_setting_t *tools = member_of(root, "tools");
    if (c->escalate_after_ms > 0 && c->escalate_to == NULL)
        report(l, root, "escalate_to", "is missing; expected the group that is told of what waits longer than escalate_after");
    check_groups(l, root, "escalate_to", &c->escalate_to, c->escalate_to != NULL);
    for (size_t i = 0; i < c->tool_count; i++) {
        struct tool *t = &c->tools[i];
        check_groups(l, element_of(tools, i), "escalate_to", &t->escalate_to, t->escalate_to != NULL);
        if (t->escalate_after_ms > 0 && t->escalate_to == NULL && c->escalate_to == NULL)
            report(l, element_of(tools, i), "escalate_to", "is missing; expected the group that is told of what waits longer than escalate_after");
    }
}

void check_notices(struct load *l)
{
    const config_setting_t *root = config_root_setting(&l->tree), *notices = member_of(root, "notices");
    struct config *c = l->out;
    struct named rows[NOTICE_TARGETS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < c->notice_count && i < NOTICE_TARGETS_MAX; i++) {
        const config_setting_t *at = element_of(notices, i);
        const struct notice_target *t = &c->notices[i];
        const char *kind = NULL;
        enum notice_kind known;
        if (t->name != NULL)
            rows[n++] = (struct named){ t->name, member_of(at, "name"), i };
        if (!config_setting_is_group(at) || !config_setting_lookup_string(at, "kind", &kind) || !notice_kind_parse(kind, &known))
            continue;                 /* reported already */
        check_kind(l, t, at);
        if (t->kind == NOTICE_MAIL)
            check_mail(l, t, at);
        else
            check_webhook(l, t, at);
        check_tools(l, t, at);
    }
    check_unique(l, rows, n, NULL, "each receiver of notices to have its own name");
    check_escalation(l, root);
}
