/* sessions: what an auditor can look at. */
#include "proxy/base/clock.h"
#include "proxy/commands/client.h"
#include "proxy/commands/commands.h"
#include "proxy/commands/item.h"
#include "proxy/commands/nodes.h"
#include "proxy/commands/session_list.h"
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

static void print_nodes(const json_t *s)
{
    size_t i;
    json_t *node;
    json_array_foreach(json_array_member(s, "nodes"), i, node) {
        fputs(i ? " and " : ", recorded by ", stdout);
        term_str(stdout, json_string_value(node));
    }
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
        if (basis_words(json_text(s, "basis"))[0] != 0)
            printf(", %s", basis_words(json_text(s, "basis")));
        print_member(s, ", granted by the issuer ", "issuer");
        print_count(s, "exchanges", "exchanges");
        print_count(s, "segments", "segments");
        if (json_number(s, "erased") > 0)
            printf(", recording deleted by retention (leaf %lld)", (long long)json_number(s, "erased"));
        print_nodes(s);
        putchar('\n');
        if (json_text(s, "reason")[0] != 0) {
            print_member(s, "    reason: ", "reason");
            putchar('\n');
        }
    }
    if (json_array_size(sessions) > 0)
        puts("\nNext: countersign show SESSION, replay SESSION, verify SESSION. Each look is written in the log.");
}

static int sessions_run(struct profile *p, const struct session_filter *f, size_t most, bool json)
{
    struct client *client = NULL;
    struct err err = { 0 };
    json_t *answer = NULL;
    char erased[ERASED_WORDS_MAX];
    int code = EXIT_DONE;
    enum status st = client_open(p, &client, &err);
    if (st == OK)
        st = session_list_fetch(client, f, most, &answer, &err);
    if (st != OK) {
        code = client_failed(client, &err);
    } else if (json) {
        code = command_json(answer);
    } else {
        print_sessions(json_array_member(answer, "sessions"));
        if (erased_words(answer, erased)[0] != 0)
            puts(erased);
        if (json_is_true(json_object_get(answer, "more")))
            printf("There are more than these %zu. Next: --most N, or narrow it down with --person, --tool, --since, --until …\n", most);
        json_decref(answer);
    }
    client_free(client);
    return code;
}

struct asked {
    struct profile profile;
    struct session_filter filter;
    const char *since, *until, *most_text, *folders[OPTION_TIMES_MAX];
    size_t most;
    bool json;
};

/* ---- of several nodes' folders ---- */

static bool fits(const struct session_filter *f, const json_t *s)
{
    const struct { const char *key, *wanted; } texts[] = { { "person", f->person }, { "identity", f->identity }, { "tool", f->tool }, { "id", f->grant } };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].wanted != NULL && !json_text_is(s, texts[i].key, texts[i].wanted))
            return false;
    return (f->since_s < 0 || json_number(s, "ended_ms") >= f->since_s * 1000) && (f->until_s < 0 || json_number(s, "started_ms") <= f->until_s * 1000);
}

static int nodes_run(const struct asked *a)
{
    struct nodes n = { .count = 0 };
    struct err err = { 0 };
    json_t *all = NULL, *found = json_array(), *s;
    size_t i;
    enum status st = nodes_open(a->folders, NULL, &n, &err);
    if (st == OK)
        st = nodes_sessions(&n, &all, &err);
    json_array_foreach(all, i, s)
        if (json_array_size(found) < a->most && fits(&a->filter, s))
            json_array_append(found, s);
    int code = st == OK ? EXIT_DONE : command_failed("%s", err.text);
    if (st == OK && a->json)
        code = command_json(json_pack("{s:O}", "sessions", found));
    else if (st == OK)
        print_sessions(found);
    json_decref(all);
    json_decref(found);
    nodes_done(&n);
    return code;
}

/* False: *code says what to end with. */
static bool check(struct asked *a, const struct usage *usage, int *code)
{
    int64_t now = clock_wall_s();
    char *end = NULL;
    unsigned long most = strtoul(a->most_text, &end, 10);
    if (a->since != NULL && !words_read_since(a->since, now, &a->filter.since_s))
        *code = wrong_usage(usage, "--since '%s' is not a time; write it like 2h, 2026-01-31 or 2026-01-31T12:00:00Z", a->since);
    else if (a->until != NULL && !words_read_since(a->until, now, &a->filter.until_s))
        *code = wrong_usage(usage, "--until '%s' is not a time; write it like 2h, 2026-01-31 or 2026-01-31T12:00:00Z", a->until);
    else if (a->filter.state != NULL && strcmp(a->filter.state, "live") != 0 && strcmp(a->filter.state, "ended") != 0)
        *code = wrong_usage(usage, "--state is live or ended");
    else if (a->most_text[0] < '1' || a->most_text[0] > '9' || *end != 0 || most > 1000000)
        *code = wrong_usage(usage, "--most needs a number, 1 to 1000000");
    else if (a->folders[0] != NULL && (a->filter.state != NULL || a->filter.action != NULL || a->filter.basis != NULL || a->filter.customer != NULL))
        *code = wrong_usage(usage, "--recordings knows what stands in the clear beside recordings: --person, --identity, --tool, --grant, --since and --until");
    else
        a->most = most;
    return a->most > 0;
}

int cmd_sessions(int argc, char **argv)
{
    struct asked a = { .filter = { .since_s = -1, .until_s = -1 }, .most_text = "200" };
    struct session_filter *f = &a.filter;
    const struct option_spec options[] = {
        { "person", 0, "NAME", "only of this person", &f->person, NULL, false },
        { "identity", 0, "ADDRESS", "only with this identity", &f->identity, NULL, false },
        { "tool", 0, "NAME", "only at this tool", &f->tool, NULL, false },
        { "since", 0, "TIME", "only newer: 2h, 2026-01-31, 2026-01-31T12:00:00Z or seconds since 1970", &a.since, NULL, false },
        { "until", 0, "TIME", "only begun before, written likewise", &a.until, NULL, false },
        { "state", 0, "STATE", "only live, or only ended ones", &f->state, NULL, false },
        { "action", 0, "NAME", "only those in which this action was held for a sign-off", &f->action, NULL, false },
        { "grant", 0, "ID", "only under this grant", &f->grant, NULL, false },
        { "basis", 0, "BASIS", "only those that came about so: approved, break-glass, auto", &f->basis, NULL, false },
        { "customer", 0, "ID", "only those in which this customer was asked for, as the policy counts them; NAME=ID for what it counts under another name", &f->customer, NULL, false },
        { "most", 0, "N", "at most so many (200)", &a.most_text, NULL, false },
        NODES_OPTION(a.folders),
        PROFILE_OPTIONS(a.profile),
        { 0 },
    };
    const struct usage usage = { "countersign sessions [--person NAME] [--tool NAME] [--since TIME] [--until TIME] [--state live|ended] …",
        "Recorded sessions, newest first." PROFILE_HELP, options, 0, 0, &a.json };
    char **args;
    size_t count;
    int code;
    if (!options_parse(argc, argv, &usage, &args, &count, &code) || !check(&a, &usage, &code))
        return code;
    code = a.folders[0] != NULL ? nodes_run(&a) : sessions_run(&a.profile, f, a.most, a.json);
    profile_done(&a.profile);
    return code;
}
