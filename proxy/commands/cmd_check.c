/* countersign check: every problem in a config, with file, line, setting and what was expected. */
#include "proxy/commands/commands.h"

#include "authz/attestation.h"
#include "authz/external.h"
#include "config/config.h"
#include "proxy/commands/policy_compare.h"
#include "proxy/commands/probe.h"
#include "proxy/net/upstream_tls.h"

#include <stdio.h>
#include <string.h>

static const char warning_mark[] = "warning: ";

static bool is_warning(const char *text)
{
    return strncmp(text, warning_mark, sizeof warning_mark - 1) == 0;
}

static size_t count_warnings(const struct problems *p)
{
    size_t n = 0;
    for (size_t i = 0; i < p->count; i++)
        n += is_warning(p->text[i]);
    return n;
}

/* { "file": ..., "fine": true, "problems": [ {"level", "text"} ] }: a file name may hold any bytes, JSON may not. */
static void print_json(const char *file, const struct problems *p, bool fine)
{
    json_t *list = json_array();
    for (size_t i = 0; i < p->count; i++) {
        bool warning = is_warning(p->text[i]);
        const char *text = p->text[i] + (warning ? sizeof warning_mark - 1 : 0);
        json_t *shown = json_string(text);
        json_array_append_new(list, json_pack("{s:s, s:o}", "level", warning ? "warning" : "problem", "text",
                                              shown ? shown : json_string("a problem whose text is not UTF-8; run this without --json")));
    }
    json_t *name = json_string(file);
    command_json(json_pack("{s:o, s:b, s:o}", "file", name ? name : json_string("?"), "fine", fine, "problems", list));
}

enum { NAMES_SHOWN = 8 };

/* "  no bodies are kept of: view, poll": the actions of a tool that are recorded so. */
static void print_mode(const struct tool *t, enum record_mode mode, const char *what)
{
    size_t n = 0;
    for (size_t i = 0; i < t->action_count; i++) {
        if (t->actions[i].record != mode)
            continue;
        if (n < NAMES_SHOWN)
            printf("%s%s", n == 0 ? what : ", ", t->actions[i].name);
        n++;
    }
    if (n > NAMES_SHOWN)
        printf(" and %zu more", n - NAMES_SHOWN);
    if (n > 0)
        putchar('\n');
}

/* What is not recorded in full should never come as a surprise. */
static void print_recording(const struct config *c)
{
    for (size_t i = 0; i < c->tool_count; i++) {
        char what[160];
        snprintf(what, sizeof what, "%s: no bodies are recorded, only heads and sizes, of: ", c->tools[i].name);
        print_mode(&c->tools[i], RECORD_METADATA, what);
        snprintf(what, sizeof what, "%s: nothing is recorded of: ", c->tools[i].name);
        print_mode(&c->tools[i], RECORD_OFF, what);
    }
}

/* away: so many of the problems are places that can't be used. */
static void print_text(const char *file, const struct problems *p, const struct config *c, size_t away)
{
    size_t warnings = count_warnings(p), wrong = p->count - warnings;
    for (size_t i = 0; i < p->count; i++)
        puts(p->text[i]);
    if (c != NULL)
        print_recording(c);
    if (c == NULL)
        printf("%s: %zu problem%s, %zu warning%s; the gateway would not start with this file\n", file, wrong, wrong == 1 ? "" : "s", warnings, warnings == 1 ? "" : "s");
    else if (away > 0)
        printf("%s: the gateway would start, but %zu of the places where tools listen can't be used\n", file, away);
    else
        printf("%s: fine (%zu tool%s, %zu %s), %zu warning%s\n", file, c->tool_count, c->tool_count == 1 ? "" : "s", c->person_count,
               c->person_count == 1 ? "person" : "people", warnings, warnings == 1 ? "" : "s");
}

/* Here and now: where the gateway runs, in another container maybe, it says so itself. */
static void warn_of_sandbox(const struct config *c, struct problems *p)
{
    struct sandbox_support there;
    char text[512];
    sandbox_probe(&there);
    const char *missing = c->sandbox == SANDBOX_OFF ? "`sandbox` is \"off\"" : sandbox_missing(&there);
    if (missing == NULL)
        return;
    snprintf(text, sizeof text, "%s%s; %s", c->sandbox == SANDBOX_ON ? "" : warning_mark, missing,
             c->sandbox == SANDBOX_ON ? "`sandbox` is \"on\", so the gateway does not start here" : "foreign code in one of the gateway's processes could do what its user may");
    problems_add(p, text);
}

/* A good file may still not count. */
static void print_not_in_force(const char *file)
{
    struct changes changes;
    struct err err = { .text = "" };
    bool differs;
    enum status st = policy_compare(file, &differs, &changes, &err);
    if (st != OK)
        printf("%s: it can't be compared with the policy in force: %s\n", file, err.text);
    else if (differs)
        printf("%s: %zu change%s of the policy in force, of which %zu need%s the signatures of two operators first; countersign policy show -c FILE lists them\n", file, changes.count,
               changes.count == 1 ? "" : "s", changes.wider, changes.wider == 1 ? "s" : "");
    changes_done(&changes);
}

/* What only shows when the files are used. */
static enum status use_files(const struct config *c, struct problems *p)
{
    struct err err;
    enum status st = upstream_tls_check(c, &err);
    if (st != OK)
        problems_add(p, err.text);
    struct external *issuers = NULL;
    enum status keys = external_load(c, NULL, &issuers, &err);
    if (keys != OK)
        problems_add(p, err.text);
    external_free(issuers);
    struct attestation_roots *makers = NULL;
    if (c->attestation_roots != NULL && attestation_load(c->attestation_roots, &makers, &err) != OK) {
        problems_add(p, err.text);
        keys = BAD_CONFIG;
    }
    attestation_free(makers);
    return st == OK ? keys : st;
}

int cmd_check(int argc, char **argv)
{
    const char *file = NULL;
    bool reference = false, json = false, probe = false;
    const struct option_spec options[] = {
        { "config", 'c', "FILE", "the config to check", &file, NULL, false },
        { "probe", 0, NULL, "also connect to every tool and look at its certificate; nothing is sent", NULL, &probe, false },
        { "reference", 0, NULL, "print the reference of all settings as Markdown, and exit", NULL, &reference, false },
        { 0 },
    };
    const struct usage usage = { "countersign check -c FILE", "Show every problem in a config, with file, line, setting and what was expected. Nothing is started or changed.",
                                 options, 0, 0, &json };
    char **rest;
    size_t count;
    int code;
    if (!options_parse(argc, argv, &usage, &rest, &count, &code))
        return code;
    if (reference) {
        config_write_reference(stdout);
        return EXIT_DONE;
    }
    if (file == NULL) {
        command_failed("say which config to check: countersign check -c FILE");
        return EXIT_USAGE;
    }
    struct config *c = NULL;
    struct problems p;
    enum status st = config_load(file, &c, &p);
    if (st == OK)
        st = use_files(c, &p);
    if (st == OK)
        warn_of_sandbox(c, &p);
    size_t before = p.count;
    if (st == OK && probe)
        probe_tools(c, &p);
    bool unusable = p.count > before;
    if (st == NO_MEMORY)
        command_failed("there is not enough memory to check '%s'", file);
    else if (json)
        print_json(file, &p, st == OK && !unusable);
    else
        print_text(file, &p, st == OK ? c : NULL, p.count - before);
    if (st == OK && !json)
        print_not_in_force(file);
    problems_done(&p);
    config_unref(c);
    return st == OK && !unusable ? EXIT_DONE : EXIT_REFUSED;
}
