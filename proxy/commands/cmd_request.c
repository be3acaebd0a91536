/* request: an employee asks for a tool, with a reason. */
#include "authz/actions.h"
#include "proxy/base/clock.h"
#include "proxy/commands/client.h"
#include "proxy/commands/commands.h"
#include "proxy/commands/item.h"
#include "proxy/commands/term.h"
#include "proxy/commands/words.h"
#include "proxy/commands/wrong_usage.h"

#include <string.h>
#include <time.h>

enum { POLL_FIRST_MS = 500, POLL_MAX_MS = 3000, POLL_FAILURES = 5 };

static void pause_ms(long ms)
{
    struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
    nanosleep(&t, NULL);
}

static void print_asked(const json_t *item)
{
    const char *id = json_text(item, "id");
    item_print(stdout, item, clock_wall_s());
    if (json_text_is(item, "state", "granted")) {
        puts("\nYou may use it now. What you do in the tool is recorded, and auditors can replay it.");
        return;
    }
    fputs("\nWho can say yes: ", stdout);
    item_print_needs(stdout, item);
    fputs(".\nWhat you do in the tool is recorded, and auditors can replay it.\nNext: ask one of them to run: countersign approve ", stdout);
    term_str(stdout, id);
    fputs("\n      countersign status shows how it stands.\n", stdout);
}

/* Ask until it is decided. A gateway that is away for a moment (a restart) is asked again. */
static enum status wait_for(struct client *client, json_t **item, struct err *err)
{
    char path[128];
    unsigned failures = 0;
    snprintf(path, sizeof path, "/api/v1/items/%s", json_text(*item, "id"));
    for (long ms = POLL_FIRST_MS; !item_is_over(*item); ms = ms * 3 / 2 < POLL_MAX_MS ? ms * 3 / 2 : POLL_MAX_MS) {
        json_t *answer = NULL;
        pause_ms(ms);
        enum status st = client_get(client, path, &answer, err);
        if (st == IO_FAILED && ++failures < POLL_FAILURES)
            continue;
        if (st != OK)
            return st;
        failures = 0;
        json_t *now = json_object_get(answer, "item");
        if (!json_is_object(now)) {
            json_decref(answer);
            return fail(err, BAD_INPUT, "the gateway's answer holds no item");
        }
        json_decref(*item);
        *item = json_incref(now);
        json_decref(answer);
    }
    return OK;
}

static int finish(json_t *item, bool waited, bool json)
{
    bool granted = json_text_is(item, "state", "granted");
    if (json)
        command_json(json_incref(item));
    else if (!waited)
        print_asked(item);
    else {
        term_str(stdout, json_text(item, "id"));
        putchar(' ');
        item_print_state(stdout, item, clock_wall_s());
        fputs(".\n", stdout);
    }
    json_decref(item);
    return waited && !granted ? EXIT_REFUSED : EXIT_DONE;
}

struct ask {
    const char *tool, *reason, *actions, *extends, *basis;   /* actions, extends, basis: NULL: all, nothing, by approval */
    int64_t duration_s, start_within_s;   /* start_within_s: 0: at once */
};

static enum status ask(struct client *client, const struct ask *a, json_t **item, struct err *err)
{
    json_t *answer = NULL, *body = json_pack("{s:s, s:s, s:I, s:s*, s:s*, s:o*}", "tool", a->tool, "reason", a->reason, "duration_s", (json_int_t)a->duration_s, "extends",
                                                  a->extends, "basis", a->basis, "actions", a->actions ? actions_list(a->actions) : NULL);
    if (body != NULL && a->start_within_s > 0)
        json_object_set_new(body, "start_within_s", json_integer(a->start_within_s));
    enum status st = body != NULL ? client_send(client, "POST", "/api/v1/requests", body, &answer, err)
                                  : fail(err, BAD_INPUT, "the tool and the reason must be UTF-8 text");
    json_decref(body);
    if (st != OK)
        return st;
    *item = json_incref(json_object_get(answer, "request"));
    json_decref(answer);
    if (json_is_object(*item) && id_is_plain(json_text(*item, "id")))
        return OK;
    json_decref(*item);
    *item = NULL;
    return fail(err, BAD_INPUT, "the gateway's answer holds no request");
}

/* How long breaking the glass gives, when nobody said how long: what the tool allows. Who may not is told so by the request itself. */
static enum status usual_time(struct client *client, struct ask *a, struct err *err)
{
    json_t *status = NULL, *t;
    size_t i;
    if (a->duration_s != 0)
        return OK;
    enum status st = client_get(client, "/api/v1/status", &status, err);
    a->duration_s = 60;
    json_array_foreach(json_array_member(status, "tools"), i, t)
        if (json_text_is(t, "tool", a->tool) && json_number(t, "break_glass_s") > 0)
            a->duration_s = json_number(t, "break_glass_s");
    json_decref(status);
    return st;
}

static int request_run(struct profile *p, struct ask *a, bool wait, bool json)
{
    struct client *client = NULL;
    struct err err = { 0 };
    json_t *item = NULL;
    enum status st = client_open(p, &client, &err);
    if (st == OK)
        st = usual_time(client, a, &err);
    if (st == OK)
        st = ask(client, a, &item, &err);
    if (st == OK && wait && !item_is_over(item)) {
        if (!json)
            print_asked(item);
        fflush(stdout);
        st = wait_for(client, &item, &err);
    }
    int code = EXIT_REFUSED;
    if (st == OK) {
        code = finish(item, wait, json);
    } else {
        client_failed(client, &err);
        json_decref(item);
    }
    client_free(client);
    return code;
}

int cmd_request(int argc, char **argv)
{
    struct profile p = { 0 };
    struct ask a = { 0 };
    const char *length = NULL, *window = NULL;
    bool wait = false, json = false, glass = false;
    const struct option_spec options[] = {
        { "reason", 'r', "TEXT", "why you need it; approvers and auditors read it", &a.reason, NULL, true },
        { "for", 'f', "TIME", "how long, such as 30m or 1h30m (default 30m)", &length, NULL, false },
        { "actions", 'a', "ACTIONS", "only for these actions of the tool: names joined by commas", &a.actions, NULL, false },
        { "extend", 'e', "GRANT", "make a grant of yours last longer, for the same actions; it goes on meanwhile", &a.extends, NULL, false },
        { "start-when-used", 's', "TIME", "let the time begin with the first use, which must come within this, such as 4h", &window, NULL, false },
        { "break-glass", 0, NULL, "in an emergency, where the policy lets you: at once, without a second person. Everybody concerned is told, and somebody else reviews it", NULL, &glass, false },
        { "wait", 'w', NULL, "wait until it is decided; exit 0 only when granted", NULL, &wait, false },
        PROFILE_OPTIONS(p),
        { 0 },
    };
    const struct usage usage = { "countersign request TOOL --reason TEXT [--for 30m] [--actions A,B] [--extend GRANT] [--start-when-used TIME] [--break-glass] [--wait]",
        "Ask for access to a tool. Another person must say yes; then you may use it, with your certificate, for that long." PROFILE_HELP, options, 1, 1, &json };
    char **args;
    size_t count;
    int code;
    if (!options_parse(argc, argv, &usage, &args, &count, &code))
        return code;
    if (length == NULL && !glass)
        length = "30m";
    if (length != NULL && (!words_read_duration(length, &a.duration_s) || a.duration_s == 0))
        return wrong_usage(&usage, "--for '%s' is not a length of time; write it like 30m, 2h or 1h30m", length);
    if (window != NULL && (!words_read_duration(window, &a.start_within_s) || a.start_within_s == 0))
        return wrong_usage(&usage, "--start-when-used '%s' is not a length of time; write it like 30m, 4h or 1h30m", window);
    if (window != NULL && (glass || a.extends != NULL))
        return wrong_usage(&usage, "%s", "--start-when-used goes neither with --break-glass nor with --extend, which begin at once");
    if (glass && a.extends != NULL)
        return wrong_usage(&usage, "%s", "--break-glass begins anew; it extends nothing");
    a.tool = args[0];
    a.basis = glass ? "break-glass" : NULL;
    code = request_run(&p, &a, wait, json);
    profile_done(&p);
    return code;
}
