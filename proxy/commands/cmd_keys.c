/* keys: approval keys, one's own or others', and taking a lost one away. They are made in the browser (console, /keys) or with a certificate. */
#include "proxy/base/clock.h"
#include "proxy/commands/client.h"
#include "proxy/commands/commands.h"
#include "proxy/commands/term.h"
#include "proxy/commands/words.h"
#include "proxy/commands/wrong_usage.h"

#include <stdlib.h>
#include <string.h>

struct keys {
    struct profile profile;
    const char *person, *remove, *reason;
    bool json;
};

static void print_key(const json_t *key, int64_t now_s)
{
    char when[WORDS_MAX];
    int64_t from = json_number(key, "counts_from"), until = json_number(key, "not_after");
    bool file = json_object_get(key, "id") == NULL;
    term_str(stdout, json_text(key, file ? "key" : "id"));
    fputs("  ", stdout);
    term_str(stdout, json_text(key, "person"));
    fputs(": ", stdout);
    term_str(stdout, json_text(key, "method"));
    if (!file) {
        fputs(", named '", stdout);
        term_str(stdout, json_text(key, "label"));
        fputs("'\n    fingerprint: ", stdout);
        term_str(stdout, json_text(key, "key"));
    }
    fputs("\n    ", stdout);
    if (json_text_is(key, "state", "pending"))
        fputs("waits for another person's yes", stdout);
    else if (from > now_s)
        printf("confirmed, counts from %s", words_time(from, when));
    else
        fputs("counts", stdout);
    if (until > 0)
        printf(", until %s", words_time(until, when));
    fputc('\n', stdout);
}

static void print_keys(const json_t *keys)
{
    size_t i;
    json_t *key;
    if (json_array_size(keys) == 0)
        puts("No approval keys. Next: make one in the browser, on the console's page /keys.");
    json_array_foreach(keys, i, key)
        print_key(key, clock_wall_s());
}

static int run(struct keys *k)
{
    struct client *client = NULL;
    struct err err = { 0 };
    json_t *answer = NULL;
    char *path = NULL;
    enum status st = client_open(&k->profile, &client, &err);
    if (st == OK && asprintf(&path, "/api/v1/keys%s%s", k->remove ? "/" : "", k->remove ? k->remove : "") < 0)
        path = NULL;
    if (st == OK)
        path = client_query(client, path, k->remove ? "reason" : "person", k->remove ? k->reason : k->person);
    if (st == OK && path == NULL)
        st = fail(&err, NO_MEMORY, "keys");
    if (st == OK)
        st = k->remove ? client_send(client, "DELETE", path, NULL, &answer, &err) : client_get(client, path, &answer, &err);
    int code = EXIT_DONE;
    if (st != OK) {
        code = client_failed(client, &err);
    } else if (k->json) {
        code = command_json(answer);
    } else {
        if (k->remove != NULL)
            printf("Removed: %s. What it signed and was not used yet counts no more.\n", k->remove);
        else
            print_keys(json_array_member(answer, "keys"));
        json_decref(answer);
    }
    free(path);
    client_free(client);
    return code;
}

int cmd_keys(int argc, char **argv)
{
    struct keys k = { 0 };
    const struct option_spec options[] = {
        { "person", 0, "NAME", "another person's, or '*' for everybody's (auditors and operators)", &k.person, NULL, false },
        { "remove", 0, "ID", "take this one away, at once: one's own, or, for operators, anybody's", &k.remove, NULL, false },
        { "reason", 'r', "TEXT", "why it is removed; it is kept in the log", &k.reason, NULL, false },
        PROFILE_OPTIONS(k.profile),
        { 0 },
    };
    const struct usage usage = { "countersign keys [--person NAME] | keys --remove ID --reason TEXT",
        "Approval keys: whose signature counts as a yes, by which method, since when. New ones are confirmed with `countersign approve ID`." PROFILE_HELP, options, 0, 0,
        &k.json };
    char **args;
    size_t count;
    int code;
    if (!options_parse(argc, argv, &usage, &args, &count, &code))
        return code;
    if ((k.remove != NULL) != (k.reason != NULL))
        return wrong_usage(&usage, "%s", "--remove and --reason go together");
    if (k.remove != NULL && !id_is_plain(k.remove))
        return command_failed("no key has the id '%s'. Next: countersign keys", k.remove);
    code = run(&k);
    profile_done(&k.profile);
    return code;
}
