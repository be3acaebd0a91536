/* lock, unlock: an operator stops a person, an identity, a certificate, a grant, a tool or everything now, and lets them go on later by a signature. */
#include "certs/leaf.h"
#include "certs/pem.h"
#include "proxy/base/clock.h"
#include "proxy/commands/client.h"
#include "proxy/commands/commands.h"
#include "proxy/commands/order.h"
#include "proxy/commands/term.h"
#include "proxy/commands/words.h"
#include "proxy/commands/wrong_usage.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void print_lock(const json_t *lock)
{
    char when[WORDS_MAX];
    static const char *const members[] = { "id", "kind", "value" };
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        fputs(i ? "  " : "", stdout);
        term_str(stdout, json_text(lock, members[i]));
    }
    fputs("\n    reason: ", stdout);
    term_str(stdout, json_text(lock, "reason"));
    if (json_text(lock, "by")[0] != 0) {
        fputs("\n    by ", stdout);
        term_str(stdout, json_text(lock, "by"));
    }
    if (json_number(lock, "at") > 0)
        printf(", %s", words_time(json_number(lock, "at"), when));
    putchar('\n');
}

static void print_locks(const json_t *locks)
{
    size_t i;
    json_t *lock;
    if (json_array_size(locks) == 0)
        puts("Nothing is locked.");
    json_array_foreach(locks, i, lock)
        print_lock(lock);
}

static enum status lock_one(struct client *client, const char *kind, const char *value, const char *reason, json_t **answer, struct err *err)
{
    json_t *body = json_pack("{s:s, s:s, s:s}", "kind", kind, "value", value, "reason", reason);
    enum status st = body != NULL ? client_send(client, "POST", "/api/v1/locks", body, answer, err) : fail(err, BAD_INPUT, "the value and the reason must be UTF-8 text");
    json_decref(body);
    return st;
}

/* kind NULL: list. */
static int lock_run(struct profile *p, const char *kind, const char *value, const char *reason, bool json)
{
    struct client *client = NULL;
    struct err err = { 0 };
    json_t *answer = NULL;
    int code = EXIT_DONE;
    enum status st = client_open(p, &client, &err);
    if (st == OK && kind == NULL)
        st = client_get(client, "/api/v1/locks", &answer, &err);
    else if (st == OK)
        st = lock_one(client, kind, value, reason, &answer, &err);
    if (st != OK) {
        code = client_failed(client, &err);
    } else if (json) {
        code = command_json(answer);
    } else {
        if (kind == NULL)
            print_locks(json_array_member(answer, "locks"));
        else {
            print_lock(json_object_get(answer, "lock"));
            puts("What was running is ended now. Next: countersign unlock ID --reason TEXT lets it go on.");
        }
        json_decref(answer);
    }
    client_free(client);
    return code;
}

/* A certificate is locked by its thumbprint, which nobody has at hand: its PEM file will do. `value` itself when there is no such file. */
static enum status thumbprint_of(const char *value, struct identity *out, const char **x5t, struct err *err)
{
    X509 *cert = NULL;
    *x5t = value;
    if (access(value, F_OK) != 0)
        return OK;
    enum status st = pem_read_cert(value, &cert, err);
    if (st != OK)
        return st;
    (void)leaf_read(cert, out);           /* whether it names a person does not matter here */
    X509_free(cert);
    *x5t = out->x5t;
    return OK;
}

static bool kind_is_known(const char *kind)
{
    static const char *const kinds[] = { "person", "identity", "cert", "grant", "tool", "everything" };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kind, kinds[i]) == 0)
            return true;
    return false;
}

int cmd_lock(int argc, char **argv)
{
    struct profile p = { 0 };
    const char *reason = NULL;
    bool list = false, json = false;
    const struct option_spec options[] = {
        { "reason", 'r', "TEXT", "why; it is kept in the log", &reason, NULL, false },
        { "list", 'l', NULL, "list what is locked", NULL, &list, false },
        PROFILE_OPTIONS(p),
        { 0 },
    };
    const struct usage usage = { "countersign lock person|identity|cert|grant|tool VALUE --reason TEXT | countersign lock everything '*' --reason TEXT | countersign lock --list",
        "Stop a person, one identity of a person (its address; the others go on), a certificate (its PEM file, or its thumbprint x5t#S256), a grant, a whole tool or everything ('*'). Operators may; an approver may stop a grant she said yes to. Running exchanges, streams and downloads end within a second." PROFILE_HELP, options, 0, 2, &json };
    char **args;
    size_t count;
    int code;
    if (!options_parse(argc, argv, &usage, &args, &count, &code))
        return code;
    if (list ? count != 0 : count != 2 || reason == NULL || !kind_is_known(args[0]))
        return wrong_usage(&usage, "%s",
                           list             ? "--list takes no argument"
                           : count != 2     ? "a lock needs what to lock and its name, e.g. person alice"
                           : reason == NULL ? "a lock needs a --reason"
                                            : "what to lock is one of person, identity, cert, grant, tool, everything");
    struct identity who;
    struct err err = { .text = "" };
    const char *value = list ? NULL : args[1];
    if (!list && strcmp(args[0], "cert") == 0 && thumbprint_of(args[1], &who, &value, &err) != OK)
        code = command_failed("%s", err.text);
    else
        code = lock_run(&p, list ? NULL : args[0], value, reason, json);
    profile_done(&p);
    return code;
}

static enum status unlock_one(struct client *client, const char *key, const char *id, const char *reason, json_t **answer, struct err *err)
{
    char path[128];
    snprintf(path, sizeof path, "/api/v1/locks/%s/statement", id);
    struct order order = { .purpose = "unlock", .path = path, .body = json_pack("{s:s}", "reason", reason), .scope = json_pack("{s:s, s:s}", "lock_id", id, "reason", reason) };
    enum status st = order_give(client, key, &order, answer, err);
    json_decref(order.body);
    json_decref((json_t *)(uintptr_t)order.scope);
    return st;
}

static int unlock_run(struct profile *p, const char *id, const char *reason, bool json)
{
    struct client *client = NULL;
    struct err err = { 0 };
    json_t *answer = NULL;
    enum status st = client_open(p, &client, &err);
    if (st == OK)
        st = unlock_one(client, p->key, id, reason, &answer, &err);
    int code = EXIT_DONE;
    if (st != OK) {
        code = client_failed(client, &err);
    } else if (json) {
        code = command_json(answer);
    } else {
        printf("Unlocked: %s. Grants that ended with the lock must be asked for anew.\n", id);
        json_decref(answer);
    }
    client_free(client);
    return code;
}

int cmd_unlock(int argc, char **argv)
{
    struct profile p = { 0 };
    const char *reason = NULL;
    bool json = false;
    const struct option_spec options[] = {
        { "reason", 'r', "TEXT", "why; it is kept in the log", &reason, NULL, true },
        PROFILE_OPTIONS(p),
        { 0 },
    };
    const struct usage usage = { "countersign unlock ID --reason TEXT", "Take a lock away, signed with your approval key. Operators may, and never a lock on themselves. `countersign lock --list` shows the ids." PROFILE_HELP, options, 1, 1, &json };
    char **args;
    size_t count;
    int code;
    if (!options_parse(argc, argv, &usage, &args, &count, &code))
        return code;
    if (!id_is_plain(args[0]))
        return command_failed("no lock has the id '%s'. Next: countersign lock --list", args[0]);
    code = unlock_run(&p, args[0], reason, json);
    profile_done(&p);
    return code;
}
