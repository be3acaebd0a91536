/* withdraw: take back what one asked for, or one's own yes that was not used yet. */
#include "proxy/commands/client.h"
#include "proxy/commands/commands.h"
#include "proxy/commands/item.h"
#include "proxy/commands/words.h"

#include <stdio.h>

static int withdraw_run(struct profile *p, const char *id, const char *reason, bool json)
{
    struct client *client = NULL;
    struct err err = { 0 };
    json_t *answer = NULL, *body = json_pack("{s:s}", "reason", reason);
    char path[128];
    snprintf(path, sizeof path, "/api/v1/items/%s/withdraw", id);
    enum status st = body != NULL ? client_open(p, &client, &err) : fail(&err, BAD_INPUT, "the reason must be UTF-8 text");
    if (st == OK)
        st = client_send(client, "POST", path, body, &answer, &err);
    json_decref(body);
    int code = EXIT_DONE;
    if (st != OK) {
        code = client_failed(client, &err);
    } else if (json) {
        code = command_json(answer);
    } else {
        /* A request that was granted stays so: the yes was given. What ends is the grant. */
        bool granted = json_text_is(json_object_get(answer, "item"), "state", "granted");
        printf("Withdrawn: %s. %s\n", id, granted ? "The grant that came of it has ended." : "It is cancelled; nothing can come of it any more.");
        json_decref(answer);
    }
    client_free(client);
    return code;
}

int cmd_withdraw(int argc, char **argv)
{
    struct profile p = { 0 };
    const char *reason = NULL;
    bool json = false;
    const struct option_spec options[] = {
        { "reason", 'r', "TEXT", "why; it is kept in the log", &reason, NULL, true },
        PROFILE_OPTIONS(p),
        { 0 },
    };
    const struct usage usage = { "countersign withdraw ID --reason TEXT",
        "Take back a request of yours, or your own yes to somebody else's: it ends, and so does a grant that came of it. A held request that ran stays as it is." PROFILE_HELP,
        options, 1, 1, &json };
    char **args;
    size_t count;
    int code;
    if (!options_parse(argc, argv, &usage, &args, &count, &code))
        return code;
    if (!id_is_plain(args[0]))
        return command_failed("no request has the id '%s'. Next: countersign status", args[0]);
    code = withdraw_run(&p, args[0], reason, json);
    profile_done(&p);
    return code;
}
