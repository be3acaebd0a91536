/* sessions: what an auditor can look at. */
#include "proxy/base/clock.h"
#include "proxy/commands/client.h"
#include "proxy/commands/commands.h"
#include "proxy/commands/term.h"
#include "proxy/commands/words.h"
#include "proxy/commands/wrong_usage.h"

#include <stdlib.h>
#include <string.h>

static void print_member(const json_t *s, const char *before, const char *key)
{
    const char *text = json_text(s, key);
    if (text[0] != 0) {
        fputs(before, stdout);
        term_str(stdout, text);
    }
}

static void print_count(const json_t *s, const char *key, const char *words)
{
    if (json_is_integer(json_object_get(s, key)))
        printf(", %lld %s", (long long)json_number(s, key), words);
}

static void print_sessions(const json_t *sessions)
{
    char when[WORDS_MAX];
    size_t i;
    json_t *s;
    if (json_array_size(sessions) == 0)
        puts("No session matches.");
    json_array_foreach(sessions, i, s) {
        int64_t started = json_object_get(s, "started_ms") != NULL ? json_number(s, "started_ms") / 1000 : json_number(s, "started");
        term_str(stdout, json_text(s, "id")[0] ? json_text(s, "id") : json_text(s, "session"));
        printf("  %s", words_time(started, when));
        print_member(s, "  ", "person");
        print_member(s, " at ", "tool");
        print_member(s, ", ", "state");
        print_count(s, "exchanges", "exchanges");
        print_count(s, "segments", "segments");
        putchar('\n');
        if (json_text(s, "reason")[0] != 0) {
            print_member(s, "    reason: ", "reason");
            putchar('\n');
        }
    }
    if (json_array_size(sessions) > 0)
        puts("\nNext: countersign show SESSION, replay SESSION, verify SESSION. Each look is written in the log.");
}

static enum status fetch(struct client *client, const char *person, const char *tool, int64_t since_s, json_t **out, struct err *err)
{
    char number[32];
    snprintf(number, sizeof number, "%lld", (long long)since_s);
    char *path = strdup("/api/v1/sessions");
    path = client_query(client, path, "person", person);
    path = client_query(client, path, "tool", tool);
    path = client_query(client, path, "since", since_s >= 0 ? number : NULL);
    enum status st = path != NULL ? client_get(client, path, out, err) : fail(err, NO_MEMORY, "sessions");
    free(path);
    return st;
}

static int sessions_run(struct profile *p, const char *person, const char *tool, int64_t since_s, bool json)
{
    struct client *client = NULL;
    struct err err = { 0 };
    json_t *answer = NULL;
    int code = EXIT_DONE;
    enum status st = client_open(p, &client, &err);
    if (st == OK)
        st = fetch(client, person, tool, since_s, &answer, &err);
    if (st != OK) {
        code = client_failed(client, &err);
    } else if (json) {
        code = command_json(answer);
    } else {
        print_sessions(json_array_member(answer, "sessions"));
        json_decref(answer);
    }
    client_free(client);
    return code;
}

int cmd_sessions(int argc, char **argv)
{
    struct profile p = { 0 };
    const char *person = NULL, *tool = NULL, *since = NULL;
    bool json = false;
    const struct option_spec options[] = {
        { "person", 0, "NAME", "only of this person", &person, NULL, false },
        { "tool", 0, "NAME", "only at this tool", &tool, NULL, false },
        { "since", 0, "TIME", "only newer: 2h, 2026-01-31, 2026-01-31T12:00:00Z or seconds since 1970", &since, NULL, false },
        PROFILE_OPTIONS(p),
        { 0 },
    };
    const struct usage usage = { "countersign sessions [--person NAME] [--tool NAME] [--since TIME]", "Recorded sessions, newest first, at most 200." PROFILE_HELP,
        options, 0, 0, &json };
    char **args;
    size_t count;
    int code;
    int64_t since_s = -1;
    if (!options_parse(argc, argv, &usage, &args, &count, &code))
        return code;
    if (since != NULL && !words_read_since(since, clock_wall_s(), &since_s))
        return wrong_usage(&usage, "--since '%s' is not a time; write it like 2h, 2026-01-31 or 2026-01-31T12:00:00Z", since);
    code = sessions_run(&p, person, tool, since_s, json);
    profile_done(&p);
    return code;
}
