/* delegate: an approver lets somebody else answer in her place for a while, signed with her key; list them; take one back. */
#include "authz/actions.h"
#include "proxy/base/clock.h"
#include "proxy/commands/client.h"
#include "proxy/commands/commands.h"
#include "proxy/commands/item.h"
#include "proxy/commands/order.h"
#include "proxy/commands/term.h"
#include "proxy/commands/words.h"
#include "proxy/commands/wrong_usage.h"

#include <stdio.h>
#include <string.h>

struct delegate {
    const char *person, *tools, *kinds, *until, *length, *withdraw, *reason;
    int64_t until_s;
    bool list, json;
    struct profile profile;
};

static void print_names(const json_t *names)
{
    size_t i;
    json_t *name;
    json_array_foreach((json_t *)(uintptr_t)names, i, name) {
        const char *text = json_string_value(name) ? json_string_value(name) : "";
        fputs(i ? ", " : "", stdout);
        term_str(stdout, strcmp(text, "*") == 0 ? "all tools" : strcmp(text, "signoff") == 0 ? "sign-offs" : text);
    }
}

static void print_one(const json_t *d)
{
    char when[WORDS_MAX];
    term_str(stdout, json_text(d, "id"));
    fputs("  ", stdout);
    term_str(stdout, json_text(d, "delegate"));
    fputs(" answers in the place of ", stdout);
    term_str(stdout, json_text(d, "delegator"));
    fputs("\n    at ", stdout);
    print_names(json_array_member(d, "tools"));
    fputs(", for ", stdout);
    print_names(json_array_member(d, "kinds"));
    printf(", until %s\n", words_time(json_number(d, "until"), when));
}

static void print_all(const json_t *list)
{
    size_t i;
    json_t *d;
    if (json_array_size(list) == 0)
        puts("No delegation is live.");
    json_array_foreach(list, i, d)
        print_one(d);
}

static enum status name_one(struct client *c, const struct delegate *d, json_t **answer, struct err *err)
{
    json_t *tools = actions_list(d->tools), *kinds = actions_list(d->kinds);
    json_t *body = json_pack("{s:s, s:O, s:O, s:I}", "person", d->person, "tools", tools, "kinds", kinds, "until", (json_int_t)d->until_s);
    json_t *scope = json_pack("{s:s, s:s, s:s, s:I}", "delegate", d->person, "tools", d->tools, "kinds", d->kinds, "until_s", (json_int_t)d->until_s);
    struct order order = { "delegate", "/api/v1/delegations/statement", body, d->person, scope };
    enum status st = order_give(c, d->profile.key, &order, answer, err);
    json_decref(scope);
    json_decref(body);
    json_decref(kinds);
    json_decref(tools);
    return st;
}

static enum status withdraw_one(struct client *c, const struct delegate *d, json_t **answer, struct err *err)
{
    char path[128];
    json_t *body = json_pack("{s:s}", "reason", d->reason);
    snprintf(path, sizeof path, "/api/v1/delegations/%s/withdraw", d->withdraw);
    enum status st = body != NULL ? client_send(c, "POST", path, body, answer, err) : fail(err, BAD_INPUT, "the reason must be UTF-8 text");
    json_decref(body);
    return st;
}

static void print_answer(const struct delegate *d, const json_t *answer)
{
    if (d->list) {
        print_all(json_array_member(answer, "delegations"));
        return;
    }
    print_one(json_object_get(answer, "delegation"));
    puts(d->withdraw != NULL ? "It has ended; a yes that was given by it counts no more where it was not used yet."
                             : "Signed and sent. What they answer stands in the log as theirs, in your place. Next: countersign delegate --withdraw ID --reason TEXT ends it.");
}

static int delegate_run(struct delegate *d)
{
    struct client *client = NULL;
    struct err err = { 0 };
    json_t *answer = NULL;
    int code = EXIT_DONE;
    enum status st = client_open(&d->profile, &client, &err);
    if (st == OK)
        st = d->list              ? client_get(client, "/api/v1/delegations", &answer, &err)
             : d->withdraw != NULL ? withdraw_one(client, d, &answer, &err)
                                   : name_one(client, d, &answer, &err);
    if (st != OK) {
        code = client_failed(client, &err);
    } else if (d->json) {
        code = command_json(answer);
    } else {
        print_answer(d, answer);
        json_decref(answer);
    }
    client_free(client);
    return code;
}

/* What is wrong with it, or NULL. */
static const char *check(struct delegate *d, size_t count)
{
    int64_t length_s = 0;
    if (d->list || d->withdraw != NULL) {
        if (count > 0 || (d->list && d->withdraw != NULL) || d->tools != NULL || d->until != NULL || d->length != NULL)
            return "--list and --withdraw stand alone";
        if (d->withdraw != NULL && d->reason == NULL)
            return "--withdraw needs a --reason";
        return d->withdraw == NULL || id_is_plain(d->withdraw) ? NULL : "no delegation has that id";
    }
    if (count != 1 || d->tools == NULL)
        return "name who is to answer, and at which tools: countersign delegate bob --tool support --until 2026-01-31T18:00:00Z";
    if ((d->until != NULL) == (d->length != NULL))
        return "a delegation ends: say one of --until and --for";
    if (d->length != NULL && (!words_read_duration(d->length, &length_s) || length_s == 0))
        return "--for is not a length of time; write it like 8h or 3d";
    if (d->length != NULL)
        d->until_s = clock_wall_s() + length_s;
    else if (!words_read_since(d->until, clock_wall_s(), &d->until_s) || d->until_s <= clock_wall_s())
        return "--until is not a time to come; write it like 2026-01-31 or 2026-01-31T18:00:00Z";
    return NULL;
}

int cmd_delegate(int argc, char **argv)
{
    struct delegate d = { .kinds = "access,signoff" };
    const struct option_spec options[] = {
        { "tool", 't', "TOOLS", "at these tools: names joined by commas, or '*' for all where you have a say", &d.tools, NULL, false },
        { "kinds", 'k', "KINDS", "access, signoff, or both (default both)", &d.kinds, NULL, false },
        { "until", 'u', "TIME", "it ends then: 2026-01-31 or 2026-01-31T18:00:00Z", &d.until, NULL, false },
        { "for", 'f', "TIME", "or after this, such as 8h or 3d", &d.length, NULL, false },
        { "list", 'l', NULL, "list those that are live: yours and those that name you; all, for operators and auditors", NULL, &d.list, false },
        { "withdraw", 0, "ID", "end one now: who named it, who is named, or an operator", &d.withdraw, NULL, false },
        { "reason", 'r', "TEXT", "why it is taken back; it is kept in the log", &d.reason, NULL, false },
        PROFILE_OPTIONS(d.profile),
        { 0 },
    };
    const struct usage usage = { "countersign delegate PERSON --tool TOOLS --until TIME | delegate --list | delegate --withdraw ID --reason TEXT",
        "Let somebody else answer in your place for a while, signed with your key. Their yes fills your place and no other: never twice, never for a request of yours or of theirs, and\n"
        "they cannot hand it on. It ends by itself, when you are locked or leave the group, and when your key is taken away." PROFILE_HELP, options, 0, 1, &d.json };
    char **args;
    size_t count;
    int code;
    if (!options_parse(argc, argv, &usage, &args, &count, &code))
        return code;
    const char *wrong = check(&d, count);
    if (wrong != NULL)
        return wrong_usage(&usage, "%s", wrong);
    d.person = count == 1 ? args[0] : NULL;
    code = delegate_run(&d);
    profile_done(&d.profile);
    return code;
}
