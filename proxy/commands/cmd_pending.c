/* pending: what waits for this person's yes or no. */
#include "proxy/base/clock.h"
#include "proxy/commands/client.h"
#include "proxy/commands/commands.h"
#include "proxy/commands/item.h"
#include "proxy/commands/words.h"

/* First of all: access that nobody approved. */
static void print_break_glass(const json_t *uses)
{
    size_t i;
    json_t *use;
    bool yours = false;
    json_array_foreach(uses, i, use) {
        item_print(stdout, use, clock_wall_s());
        yours = yours || json_is_true(json_object_get(use, "yours"));
    }
    if (yours)
        puts("Next: look at the session, then countersign review ID --justified|--not-justified --words TEXT.");
    if (json_array_size(uses) > 0)
        putchar('\n');
}

static void print_pending(const json_t *items)
{
    size_t i;
    json_t *item;
    int64_t now_s = clock_wall_s();
    if (json_array_size(items) == 0)
        puts("Nothing waits for your answer.");
    json_array_foreach(items, i, item)
        item_print(stdout, item, now_s);
    if (json_array_size(items) > 0)
        puts("\nNext: countersign approve ID, or countersign deny ID. Both show everything before they sign.");
}

int cmd_pending(int argc, char **argv)
{
    struct profile p = { 0 };
    bool json = false;
    const struct option_spec options[] = { PROFILE_OPTIONS(p), { 0 } };
    const struct usage usage = { "countersign pending", "Requests for access and held requests that wait for your answer, oldest first." PROFILE_HELP, options, 0, 0, &json };
    char **args;
    size_t count;
    int code;
    if (!options_parse(argc, argv, &usage, &args, &count, &code))
        return code;
    struct client *client = NULL;
    struct err err = { 0 };
    json_t *answer = NULL;
    enum status st = client_open(&p, &client, &err);
    if (st == OK)
        st = client_get(client, "/api/v1/pending", &answer, &err);
    if (st != OK) {
        code = client_failed(client, &err);
    } else if (json) {
        code = command_json(answer);
    } else {
        print_break_glass(json_array_member(answer, "break_glass"));
        print_pending(json_array_member(answer, "items"));
        json_decref(answer);
        code = EXIT_DONE;
    }
    client_free(client);
    profile_done(&p);
    return code;
}
