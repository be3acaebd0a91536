/* status: who I am to the gateway, what I may use, what I asked for. */
#include "proxy/base/clock.h"
#include "proxy/commands/client.h"
#include "proxy/commands/commands.h"
#include "proxy/commands/item.h"
#include "proxy/commands/term.h"
#include "proxy/commands/words.h"

#include <string.h>

static void print_list(const json_t *names)
{
    size_t i;
    json_t *name;
    json_array_foreach(names, i, name) {
        if (i > 0)
            fputs(", ", stdout);
        term_str(stdout, json_string_value(name));
    }
}

/* ":8443" of "https://console.example:8443", or "": tools are served at the same port. */
static const char *port_of(const char *gateway)
{
    const char *port = strrchr(gateway, ':');
    return port != NULL && port[1] != 0 && port[1 + strspn(port + 1, "0123456789")] == 0 ? port : "";
}

static void print_tools(const json_t *tools, const char *port)
{
    size_t i;
    json_t *t;
    if (json_array_size(tools) > 0)
        puts("\nTools you may ask for:");
    json_array_foreach(tools, i, t) {
        fputs("  ", stdout);
        term_str(stdout, json_text(t, "tool"));
        fputs("  https://", stdout);
        term_str(stdout, json_text(t, "host"));
        fputs(port, stdout);
        fputs(json_text_is(t, "state", "granted")   ? "  you may use it now\n"
              : json_text_is(t, "state", "pending") ? "  asked for, not decided\n"
                                                    : "  not asked for\n",
              stdout);
    }
}

/* "  requests: 12 of 40 left". The line's name without its kind. */
static void print_budget(const json_t *budget)
{
    size_t i;
    json_t *b;
    json_array_foreach(budget, i, b) {
        const char *name = json_text(b, "name"), *colon = strchr(name, ':');
        fputs("    ", stdout);
        term_str(stdout, colon ? colon + 1 : name);
        printf(": %lld of %lld left\n", (long long)json_number(b, "left"), (long long)json_number(b, "max"));
    }
}

static void print_grants(const json_t *grants, int64_t now_s)
{
    char end[WORDS_MAX], left[WORDS_MAX];
    size_t i;
    json_t *g;
    if (json_array_size(grants) > 0)
        puts("\nGrants:");
    json_array_foreach(grants, i, g) {
        int64_t exp = json_number(g, json_object_get(g, "exp") != NULL ? "exp" : "expires");
        term_str(stdout, json_text(g, "grant_id"));
        fputs("  ", stdout);
        term_str(stdout, json_text(g, "tool"));
        if (basis_words(json_text(g, "basis"))[0] != 0)
            printf(" %s,", basis_words(json_text(g, "basis")));
        if (json_number(g, "start_s") > 0)
            printf(" for %s from the first use on, which must come", words_duration(json_number(g, "start_s"), left));
        printf(" until %s (%s left)\n", words_time(exp, end), words_duration(exp - now_s, left));
        print_budget(json_array_member(g, "budget"));
    }
}

static void print_items(const char *title, const json_t *items, int64_t now_s)
{
    size_t i;
    json_t *item;
    if (json_array_size(items) > 0)
        printf("\n%s:\n", title);
    json_array_foreach(items, i, item)
        item_print(stdout, item, now_s);
}

/* For operators and auditors: keys of other issuers that are fetched from a URL. */
static void print_issuers(const json_t *issuers)
{
    char age[WORDS_MAX];
    size_t i;
    json_t *v;
    if (json_array_size(issuers) > 0)
        puts("\nKeys of other issuers:");
    json_array_foreach(issuers, i, v) {
        term_str(stdout, json_text(v, "issuer"));
        fputs("  ", stdout);
        term_str(stdout, json_text(v, "url"));
        if (json_object_get(v, "fetched") == NULL)
            fputs("  never fetched: nothing of it is admitted", stdout);
        else
            printf("  %zu %s, fetched %s ago%s", json_array_size(json_array_member(v, "kids")), json_array_size(json_array_member(v, "kids")) == 1 ? "key" : "keys",
                   words_duration(json_number(v, "age_s"), age), json_is_true(json_object_get(v, "counts")) ? "" : ": too old, nothing of it is admitted");
        if (json_text(v, "why")[0] != 0) {
            fputs("; the last try failed: ", stdout);
            term_str(stdout, json_text(v, "why"));
        }
        putchar('\n');
    }
}

static void print_status(const json_t *s, const char *port)
{
    int64_t now_s = clock_wall_s();
    fputs("You are ", stdout);
    term_str(stdout, json_text(s, "person"));
    fputs(", in the groups: ", stdout);
    print_list(json_array_member(s, "groups"));
    putchar('\n');
    if (json_text(s, "policy_change")[0] != 0) {
        fputs("The config file says another policy than the one in force; two operators have to sign it. Next: countersign approve ", stdout);
        term_str(stdout, json_text(s, "policy_change"));
        fputs(", or undo the change in the file\n", stdout);
    }
    print_tools(json_array_member(s, "tools"), port);
    print_grants(json_array_member(s, "grants"), now_s);
    print_items("Your requests for access", json_array_member(s, "requests"), now_s);
    print_items("Your held requests", json_array_member(s, "held"), now_s);
    print_issuers(json_array_member(s, "issuer_keys"));
}

int cmd_status(int argc, char **argv)
{
    struct profile p = { 0 };
    bool json = false;
    const struct option_spec options[] = { PROFILE_OPTIONS(p), { 0 } };
    const struct usage usage = { "countersign status", "Who you are to the gateway, the tools you may ask for, your requests, grants and held requests." PROFILE_HELP,
        options, 0, 0, &json };
    char **args;
    size_t count;
    int code;
    if (!options_parse(argc, argv, &usage, &args, &count, &code))
        return code;
    struct client *client = NULL;
    struct err err = { 0 };
    json_t *status = NULL;
    enum status st = client_open(&p, &client, &err);
    if (st == OK)
        st = client_get(client, "/api/v1/status", &status, &err);
    if (st != OK) {
        code = client_failed(client, &err);
    } else if (json) {
        code = command_json(status);
    } else {
        print_status(status, port_of(p.gateway));
        json_decref(status);
        code = EXIT_DONE;
    }
    client_free(client);
    profile_done(&p);
    return code;
}
