/* review: somebody else looks at a use of break-glass, and says under signature whether it was justified. */
#include "proxy/base/clock.h"
#include "proxy/commands/client.h"
#include "proxy/commands/commands.h"
#include "proxy/commands/confirm.h"
#include "proxy/commands/item.h"
#include "proxy/commands/order.h"
#include "proxy/commands/words.h"
#include "proxy/commands/wrong_usage.h"

#include <stdio.h>
#include <string.h>

struct review {
    const char *id, *words, *outcome;
    bool yes, json;
    struct profile profile;
};

static enum status fetch(struct client *c, const struct review *r, json_t **item, struct err *err)
{
    char path[128];
    json_t *answer = NULL;
    snprintf(path, sizeof path, "/api/v1/items/%s", r->id);
    enum status st = client_get(c, path, &answer, err);
    if (st != OK)
        return st;
    *item = json_incref(json_object_get(answer, "item"));
    json_decref(answer);
    return json_text_is(*item, "id", r->id) && json_text_is(*item, "kind", "review") ? OK : fail(err, BAD_INPUT, "'%s' is no review that is owed. Next: countersign pending", r->id);
}

static enum status give(struct client *c, const struct review *r, const json_t *item, json_t **answer, struct err *err)
{
    char path[128];
    snprintf(path, sizeof path, "/api/v1/reviews/%s/statement", r->id);
    json_t *scope = statement_scope_review(r->id, json_text(item, "grant_id"), json_text(item, "tool"), json_text(item, "reason"), r->outcome, r->words);
    struct order order = { "review", path, json_pack("{s:s, s:s}", "outcome", r->outcome, "words", r->words), json_text(item, "requester"), scope };
    enum status st = order_give(c, r->profile.key, &order, answer, err);
    json_decref(order.body);
    json_decref(scope);
    return st;
}

static enum status run(struct client *c, const struct review *r, json_t **answer, struct err *err)
{
    json_t *item = NULL;
    FILE *out = r->json ? stderr : stdout;
    enum status st = fetch(c, r, &item, err);
    if (st == OK) {
        item_print(out, item, clock_wall_s());
        fprintf(out, "\nYour review: it was %s.\n", strcmp(r->outcome, "justified") == 0 ? "justified" : "not justified");
        fflush(out);
        if (!r->yes && !confirm("Type 'yes' to sign it, anything else to stop: "))
            st = fail(err, REFUSED, "nothing was signed. Next: run the command again, or with --yes where no one can type");
    }
    if (st == OK)
        st = give(c, r, item, answer, err);
    json_decref(item);
    return st;
}

static int review_run(struct review *r)
{
    struct client *client = NULL;
    struct err err = { 0 };
    json_t *answer = NULL;
    int code = EXIT_DONE;
    enum status st = client_open(&r->profile, &client, &err);
    if (st == OK)
        st = run(client, r, &answer, &err);
    if (st != OK) {
        code = client_failed(client, &err);
    } else if (r->json) {
        code = command_json(answer);
    } else {
        printf("Signed and sent: the review %s is done.\n", r->id);
        json_decref(answer);
    }
    client_free(client);
    return code;
}

int cmd_review(int argc, char **argv)
{
    struct review r = { 0 };
    bool justified = false, not_justified = false;
    const struct option_spec options[] = {
        { "words", 'm', "TEXT", "what you found; it is kept in the log", &r.words, NULL, true },
        { "justified", 0, NULL, "it was an emergency, and what was done fits the reason", NULL, &justified, false },
        { "not-justified", 0, NULL, "it was not", NULL, &not_justified, false },
        { "yes", 'y', NULL, "sign without asking", NULL, &r.yes, false },
        PROFILE_OPTIONS(r.profile),
        { 0 },
    };
    const struct usage usage = { "countersign review ID --justified|--not-justified --words TEXT",
        "Say what you found about a use of break-glass, signed with your key. `countersign pending` names those that are owed; look at the session first, or ask an auditor to:\n"
        "`countersign replay SESSION`. Nobody reviews their own." PROFILE_HELP, options, 1, 1, &r.json };
    char **args;
    size_t count;
    int code;
    if (!options_parse(argc, argv, &usage, &args, &count, &code))
        return code;
    if (justified == not_justified)
        return wrong_usage(&usage, "%s", "say one of --justified and --not-justified");
    r.id = args[0];
    r.outcome = justified ? "justified" : "not-justified";
    if (!id_is_plain(r.id))
        return command_failed("no review has the id '%s'. Next: countersign pending", r.id);
    code = review_run(&r);
    profile_done(&r.profile);
    return code;
}
