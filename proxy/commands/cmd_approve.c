/* approve, deny: a yes or a no, signed here with the person's own key, over what this machine computed and showed. */
#include "authz/actions.h"
#include "authz/jwt.h"
#include "certs/pem.h"
#include "proxy/base/clock.h"
#include "proxy/base/file.h"
#include "proxy/commands/asked_statement.h"
#include "proxy/commands/client.h"
#include "proxy/commands/commands.h"
#include "proxy/commands/confirm.h"
#include "proxy/commands/item.h"
#include "proxy/commands/term.h"
#include "proxy/commands/words.h"
#include "proxy/commands/wrong_usage.h"

#include <stdlib.h>
#include <string.h>

enum { BODY_SHOWN = 32 * 1024 };

struct answer {
    const char *decision, *id, *save, *reason;
    const char *behalf;               /* in whose place; NULL: one's own, or that of the one who named one a delegate */
    const char *length, *only;        /* a yes for less: shorter, some of the actions; NULL: as asked */
    int64_t duration_s;
    bool yes, json;
    struct profile profile;
    struct client *client;
    EVP_PKEY *key;
    char fingerprint[44];
    json_t *status, *log_key, *item, *statement;
    const char *instance;
    unsigned char *raw;
    size_t raw_len;
    struct held_request held;
    bool is_signoff;
};

static void answer_done(struct answer *a)
{
    EVP_PKEY_free(a->key);
    json_decref(a->status);
    json_decref(a->log_key);
    json_decref(a->item);
    json_decref(a->statement);
    held_request_done(&a->held);
    free(a->raw);
    client_free(a->client);
    profile_done(&a->profile);
}

static enum status load_key(struct answer *a, struct err *err)
{
    enum key_kind kind;
    enum status st = key_read(a->profile.key, &a->key, err);
    if (st != OK)
        return st;
    if (!key_kind_of(a->key, &kind))
        return fail(err, BAD_CONFIG, "'%s' is neither a P-256 nor an Ed25519 key, so it cannot sign an answer", a->profile.key);
    key_fingerprint(a->key, a->fingerprint);
    return OK;
}

/* The gateway's name: as pinned in the profile, else as it says. */
static enum status learn_instance(struct answer *a, struct err *err)
{
    enum status st = client_get(a->client, "/.well-known/countersign-log-key", &a->log_key, err);
    if (st != OK)
        return st;
    a->instance = json_text(a->log_key, "instance");
    if (a->instance[0] == 0)
        return fail(err, BAD_INPUT, "the gateway does not say which one it is");
    if (a->profile.instance != NULL && strcmp(a->profile.instance, a->instance) != 0)
        return fail(err, REFUSED, "this gateway is not the instance '%s' of your profile. Nothing was signed. Next: check --gateway, and tell your security team",
                    a->profile.instance);
    return OK;
}

static enum status fetch_item(struct answer *a, struct err *err)
{
    char path[128];
    json_t *answer = NULL;
    snprintf(path, sizeof path, "/api/v1/items/%s", a->id);
    enum status st = client_get(a->client, path, &answer, err);
    if (st != OK)
        return st;
    a->item = json_incref(json_object_get(answer, "item"));
    json_decref(answer);
    if (!json_text_is(a->item, "id", a->id))
        return fail(err, BAD_INPUT, "the gateway answered with another request than '%s'. Nothing was signed", a->id);
    a->is_signoff = item_is_signoff(a->item);
    return a->is_signoff || json_text_is(a->item, "kind", "access") || item_is_new_key(a->item) || item_is_policy(a->item) ? OK : fail(err, BAD_INPUT, "'%s' is of a kind this command does not know", a->id);
}

/* The bytes that wait, and what they compute to. */
static enum status fetch_raw(struct answer *a, struct err *err)
{
    char path[128];
    snprintf(path, sizeof path, "/api/v1/items/%s/raw", a->id);
    enum status st = client_get_bytes(a->client, path, CLIENT_BLOB_MAX, &a->raw, &a->raw_len, err);
    if (st == OK)
        st = held_request_read(slice_of(a->raw, a->raw_len), &a->held, err);
    if (st == OK)
        st = held_request_compare(&a->held, a->item, err);
    if (st == OK && a->save != NULL)
        st = file_write(a->save, a->held.blob.body, 0600, err);
    return st;
}

static enum status check_statement(const struct answer *a, struct err *err)
{
    const struct asked asked = { .instance = a->instance, .decision = a->decision, .person = json_text(a->status, "person"), .key = a->fingerprint,
        .item = a->item, .held = a->is_signoff ? &a->held : NULL, .now_s = clock_wall_s(), .duration_s = a->duration_s,
        .only = a->only, .answer = a->reason, .on_behalf_of = a->behalf };
    return asked_statement_check(&asked, a->statement, err);
}

static enum status fetch_statement(struct answer *a, struct err *err)
{
    char path[128];
    json_t *answer = NULL, *body = json_pack("{s:s, s:s}", "decision", a->decision, "key", a->fingerprint);
    snprintf(path, sizeof path, "/api/v1/items/%s/statement", a->id);
    if (a->duration_s != 0)
        json_object_set_new(body, "duration_s", json_integer(a->duration_s));
    if (a->only != NULL)
        json_object_set_new(body, "actions", actions_list(a->only));
    if (a->reason != NULL && json_object_set_new(body, "reason", json_string(a->reason)) != 0) {
        json_decref(body);
        return fail(err, BAD_INPUT, "the reason must be UTF-8 text");
    }
    if (a->behalf != NULL)
        json_object_set_new(body, "on_behalf_of", json_string(a->behalf));
    enum status st = body != NULL ? client_send(a->client, "POST", path, body, &answer, err) : fail(err, NO_MEMORY, "statement");
    json_decref(body);
    if (st != OK)
        return st;
    a->statement = json_incref(json_object_get(answer, "statement"));
    json_decref(answer);
    return check_statement(a, err);
}

static enum status gather(struct answer *a, struct err *err)
{
    enum status st = load_key(a, err);
    if (st == OK)
        st = learn_instance(a, err);
    if (st == OK)
        st = client_get(a->client, "/api/v1/status", &a->status, err);
    if (st == OK)
        st = fetch_item(a, err);
    if (st == OK && a->is_signoff)
        st = fetch_raw(a, err);
    return st == OK ? fetch_statement(a, err) : st;
}

/* Everything the signature will cover, in words. */
static void show(const struct answer *a, FILE *out)
{
    char text[WORDS_MAX];
    bool approve = strcmp(a->decision, "approve") == 0;
    item_print(out, a->item, clock_wall_s());
    if (a->is_signoff) {
        fputs("\nThe request, computed from the bytes that would be sent:\n", out);
        held_request_print(&a->held, out, BODY_SHOWN);
        fprintf(out, "  digest computed here: %s (the same as the gateway's)\n", a->held.digest);
        if (a->held.blob.body.len > BODY_SHOWN && a->save == NULL)
            fputs("  The body is longer than what is shown. Read all of it first: --save-body FILE\n", out);
    }
    fputs("\nYour answer: ", out);
    fputs(approve ? "YES. " : "NO. ", out);
    if (approve && a->is_signoff)
        fputs("Exactly this request may be sent to the tool once, by the one who asked.\n", out);
    else if (approve && item_is_policy(a->item))
        fputs("The policy becomes this one, for everybody, once two different operators have said yes.\n", out);
    else if (item_is_policy(a->item))
        fputs("The policy stays as it is. Whoever edits the config file should undo the change there.\n", out);
    else if (approve && item_is_new_key(a->item))
        fputs("What this key signs counts as its owner's. Ask them, in person or by phone, to read you the fingerprint above.\n", out);
    else if (approve)
        fprintf(out, "The one who asked may use the tool for %s%s%s; what is done there is recorded.\n",
                words_duration(a->duration_s ? a->duration_s : json_number(a->item, "duration_s"), text), a->only ? ", only for " : "", a->only ? a->only : "");
    else
        fputs("It will not happen; it can be asked for anew.\n", out);
    if (a->reason != NULL) {
        fputs("The one who asked is told why, and the signature covers it: ", out);
        term_str(out, a->reason);
        fputc('\n', out);
    }
    fputs("You answer as ", out);
    term_str(out, json_text(a->status, "person"));
    if (json_text(json_object_get(a->statement, "scope"), "on_behalf_of")[0] != 0) {
        fputs(", in the place of ", out);
        term_str(out, json_text(json_object_get(a->statement, "scope"), "on_behalf_of"));
    }
    fputs(" at ", out);
    term_str(out, a->instance);
    fprintf(out, ", with the key %s; the signature is kept in the log.\n", a->fingerprint);
}

static enum status send_answer(struct answer *a, json_t **out, struct err *err)
{
    char *jws = NULL;
    enum status st = check_statement(a, err);    /* its time may have run out meanwhile */
    if (st == OK)
        st = statement_sign(a->statement, a->key, &jws, err);
    if (st != OK)
        return st;
    json_t *body = json_pack("{s:s, s:s}", "statement_id", json_text(a->statement, "id"), "jws", jws);
    st = body != NULL ? client_send(a->client, "POST", "/api/v1/decisions", body, out, err) : fail(err, NO_MEMORY, "decision");
    json_decref(body);
    free(jws);
    return st;
}

static int finish(const struct answer *a, json_t *decided)
{
    const json_t *item = json_object_get(decided, "item");
    if (a->json) {
        json_object_set(decided, "statement", a->statement);
        return command_json(decided);
    }
    printf("\nSigned and sent: %s. ", strcmp(a->decision, "approve") == 0 ? "yes" : "no");
    printf("%s ", a->id);
    item_print_state(stdout, item, clock_wall_s());
    printf(".\n");
    json_decref(decided);
    return EXIT_DONE;
}

static int answer_run(struct answer *a)
{
    struct err err = { 0 };
    json_t *decided = NULL;
    FILE *out = a->json ? stderr : stdout;
    enum status st = client_open(&a->profile, &a->client, &err);
    if (st == OK)
        st = gather(a, &err);
    if (st != OK)
        return client_failed(a->client, &err);
    show(a, out);
    fflush(out);
    if (!a->yes && !confirm("Type 'yes' to sign this answer, anything else to stop: "))
        return command_failed("nothing was signed. Next: run the command again, or with --yes where no one can type");
    st = send_answer(a, &decided, &err);
    if (st != OK)
        return client_failed(a->client, &err);
    return finish(a, decided);
}

static int answer_command(int argc, char **argv, struct answer *a, const char *synopsis, const char *text)
{
    char **args;
    size_t count;
    int code;
    bool yes = strcmp(a->decision, "approve") == 0;       /* what belongs to the other answer is understood, to be refused with a reason, but not offered */
    const struct option_spec options[] = {
        { "yes", 'y', NULL, "do not ask; show and sign", NULL, &a->yes, false },
        { "for", 'f', "TIME", yes ? "say yes for a shorter time than was asked, such as 10m" : NULL, &a->length, NULL, false },
        { "only", 0, "ACTIONS", yes ? "say yes for some of the actions only: names joined by commas" : NULL, &a->only, NULL, false },
        { "reason", 'r', "TEXT", yes ? NULL : "why not; the one who asked reads it", &a->reason, NULL, false },
        { "on-behalf-of", 0, "PERSON", "in the place of this person, who named you a delegate", &a->behalf, NULL, false },
        { "save-body", 0, "FILE", "keep the held request's body in a file, to read it first", &a->save, NULL, false },
        PROFILE_OPTIONS(a->profile),
        { 0 },
    };
    const struct usage usage = { synopsis, text, options, 1, 1, &a->json };
    if (!options_parse(argc, argv, &usage, &args, &count, &code))
        return code;
    a->id = args[0];
    if ((a->length != NULL || a->only != NULL) && !yes)
        return wrong_usage(&usage, "%s", "--for and --only belong to a yes");
    if (a->reason != NULL && yes)
        return wrong_usage(&usage, "%s", "--reason belongs to a no; a yes covers what was asked");
    if (a->length != NULL && (!words_read_duration(a->length, &a->duration_s) || a->duration_s == 0))
        return wrong_usage(&usage, "--for '%s' is not a length of time; write it like 30m, 2h or 1h30m", a->length);
    if (!id_is_plain(a->id))
        return command_failed("no request has the id '%s'. Next: countersign pending", a->id);
    code = answer_run(a);
    answer_done(a);
    return code;
}

int cmd_approve(int argc, char **argv)
{
    struct answer a = { .decision = "approve" };
    return answer_command(argc, argv, &a, "countersign approve ID [--for TIME] [--only ACTIONS] [--yes] [--json]",
                          "Say yes to a request for access or to a held request. The request is fetched as bytes, its digest computed on this machine and compared with\n"
                          "what the gateway asks you to sign; you see everything the yes covers, then it is signed with your own key." PROFILE_HELP);
}

int cmd_deny(int argc, char **argv)
{
    struct answer a = { .decision = "deny" };
    return answer_command(argc, argv, &a, "countersign deny ID [--reason TEXT] [--yes] [--json]",
                          "Say no to a request for access or to a held request, and why, signed with your own key like a yes." PROFILE_HELP);
}
