/* hold: an auditor keeps recordings from being deleted; another auditor lets them go. */
#include "proxy/commands/client.h"
#include "proxy/commands/commands.h"
#include "proxy/commands/term.h"
#include "proxy/commands/words.h"
#include "proxy/commands/wrong_usage.h"

#include <stdlib.h>
#include <string.h>

struct asked {
    struct profile profile;
    const char *session, *identity, *person, *tool, *release, *reason;
    bool list, confirm_time, json;
};

static void print_hold(const json_t *hold)
{
    char when[WORDS_MAX];
    static const char *const members[] = { "id", "kind", "value" };
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        fputs(i ? "  " : "", stdout);
        term_str(stdout, json_text(hold, members[i]));
    }
    fputs("\n    reason: ", stdout);
    term_str(stdout, json_text(hold, "reason"));
    fputs("\n    by ", stdout);
    term_str(stdout, json_text(hold, "by"));
    printf(", %s\n", words_time(json_number(hold, "at"), when));
}

static void print_holds(const json_t *answer)
{
    size_t i;
    json_t *hold;
    const json_t *holds = json_array_member(answer, "holds");
    if (json_array_size(holds) == 0)
        puts("There are no legal holds.");
    json_array_foreach(holds, i, hold)
        print_hold(hold);
    if (json_is_true(json_object_get(answer, "suspended")))
        puts("No recording is deleted: the clock leapt. Next, if it is right: an operator says so with countersign hold --confirm-time --reason TEXT.");
}

static enum status send(struct client *c, const char *path, json_t *body, json_t **answer, struct err *err)
{
    enum status st = body != NULL ? client_send(c, "POST", path, body, answer, err) : fail(err, BAD_INPUT, "the value and the reason must be UTF-8 text");
    json_decref(body);
    return st;
}

static enum status ask(const struct asked *a, struct client *c, json_t **answer, struct err *err)
{
    char path[128];
    const char *kind = a->session ? "session" : a->identity ? "identity" : a->person ? "person" : "tool";
    const char *value = a->session ? a->session : a->identity ? a->identity : a->person ? a->person : a->tool;
    if (a->list)
        return client_get(c, "/api/v1/holds", answer, err);
    if (a->confirm_time)
        return send(c, "/api/v1/retention/confirm", json_pack("{s:s}", "reason", a->reason), answer, err);
    if (a->release == NULL)
        return send(c, "/api/v1/holds", json_pack("{s:s, s:s, s:s}", "kind", kind, "value", value, "reason", a->reason), answer, err);
    snprintf(path, sizeof path, "/api/v1/holds/%s/release", a->release);
    return send(c, path, json_pack("{s:s}", "reason", a->reason), answer, err);
}

static void print(const struct asked *a, const json_t *answer)
{
    if (a->list) {
        print_holds(answer);
    } else if (a->confirm_time) {
        puts("Confirmed. Recordings whose time is over are deleted again.");
    } else if (a->release != NULL) {
        puts("Lifted. What nothing else keeps is deleted when its time is over.");
    } else {
        print_hold(json_object_get(answer, "hold"));
        puts("Nothing of it is deleted now. Another auditor lifts it: countersign hold --release ID --reason TEXT");
    }
}

static int run(struct asked *a)
{
    struct client *client = NULL;
    struct err err = { 0 };
    json_t *answer = NULL;
    enum status st = client_open(&a->profile, &client, &err);
    if (st == OK)
        st = ask(a, client, &answer, &err);
    int code = st == OK ? EXIT_DONE : client_failed(client, &err);
    if (st == OK && a->json) {
        command_json(answer);
    } else if (st == OK) {
        print(a, answer);
        json_decref(answer);
    }
    client_free(client);
    return code;
}

static const char *check(const struct asked *a)
{
    int what = (a->session != NULL) + (a->identity != NULL) + (a->person != NULL) + (a->tool != NULL) + (a->release != NULL) + a->list + a->confirm_time;
    if (what != 1)
        return "say one thing: a session, --identity, --person or --tool to hold, --release, --list or --confirm-time";
    return !a->list && a->reason == NULL ? "a --reason is needed; it is kept in the log" : NULL;
}

int cmd_hold(int argc, char **argv)
{
    struct asked a = { 0 };
    const struct option_spec options[] = {
        { "identity", 0, "ADDRESS", "all sessions of this certificate's owner", &a.identity, NULL, false },
        { "person", 0, "NAME", "all sessions of a person", &a.person, NULL, false },
        { "tool", 0, "NAME", "all sessions at a tool", &a.tool, NULL, false },
        { "release", 0, "ID", "lift a hold that another auditor placed", &a.release, NULL, false },
        { "list", 'l', NULL, "list the holds", NULL, &a.list, false },
        { "confirm-time", 0, NULL, "operators: the clock is right after it leapt; delete again what is due", NULL, &a.confirm_time, false },
        { "reason", 'r', "TEXT", "why; it is kept in the log", &a.reason, NULL, false },
        PROFILE_OPTIONS(a.profile),
        { 0 },
    };
    const struct usage usage = { "countersign hold SESSION|--identity ADDRESS|--person NAME|--tool NAME --reason TEXT | countersign hold --release ID --reason TEXT | countersign hold --list",
        "Keep recordings from being deleted when their retention is over, until another auditor lifts the hold. Later sessions that it names are kept too." PROFILE_HELP, options, 0, 1, &a.json };
    char **args;
    size_t count;
    int code;
    if (!options_parse(argc, argv, &usage, &args, &count, &code))
        return code;
    a.session = count == 1 ? args[0] : NULL;
    const char *wrong = check(&a);
    if (wrong != NULL)
        return wrong_usage(&usage, "%s", wrong);
    if ((a.session != NULL && !id_is_plain(a.session)) || (a.release != NULL && !id_is_plain(a.release)))
        return command_failed("'%s' is no id. Next: countersign sessions, or countersign hold --list", a.session ? a.session : a.release);
    code = run(&a);
    profile_done(&a.profile);
    return code;
}
