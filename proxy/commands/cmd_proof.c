/* proof: keep what proves a decision; verify approval: check it, with no gateway at hand. */
#include "proxy/base/file.h"
#include "proxy/commands/client.h"
#include "proxy/commands/commands.h"
#include "proxy/commands/proof.h"
#include "proxy/commands/term.h"
#include "proxy/commands/words.h"

#include <stdlib.h>
#include <string.h>

enum { PROOF_MAX = 1 << 20, KEYS_MAX = 1 << 20 };

int cmd_proof(int argc, char **argv)
{
    struct profile profile = { 0 };
    struct client *client = NULL;
    struct err err = { 0 };
    json_t *proof = NULL;
    char **args, path[128];
    size_t count;
    int code;
    bool json = false;
    const struct option_spec options[] = { PROFILE_OPTIONS(profile), { 0 } };
    const struct usage usage = { "countersign proof ID > FILE",
        "Write everything that proves the decision on a request (who said yes or no to exactly what, with which key, and who confirmed that key), as JSON.\n"
        "Check it later, without the gateway: countersign verify approval FILE" PROFILE_HELP, options, 1, 1, &json };
    if (!options_parse(argc, argv, &usage, &args, &count, &code))
        return code;
    if (!id_is_plain(args[0]))
        return command_failed("no request has the id '%s'. Next: countersign status, or countersign pending", args[0]);
    snprintf(path, sizeof path, "/api/v1/items/%s/proof", args[0]);
    enum status st = client_open(&profile, &client, &err);
    if (st == OK)
        st = client_get(client, path, &proof, &err);
    code = st == OK ? command_json(proof) : client_failed(client, &err);
    client_free(client);
    profile_done(&profile);
    return code;
}

static void say_answers(const json_t *proof)
{
    size_t i;
    json_t *leaf;
    char when[WORDS_MAX];
    json_array_foreach(json_object_get(proof, "leaves"), i, leaf) {
        const json_t *content = json_object_get(leaf, "content"), *s = json_object_get(content, "statement"), *scope = json_object_get(s, "scope");
        if (s == NULL)
            continue;
        term_str(stdout, json_text(s, "approver"));
        fputs(json_text_is(s, "decision", "approve") ? " said yes to " : " said no to ", stdout);
        term_str(stdout, json_text(content, "item"));
        printf(", %s, signed by ", words_time(json_number(leaf, "time_ms") / 1000, when));
        term_str(stdout, json_text(s, "method"));
        fputs(" with the key ", stdout);
        term_str(stdout, json_text(s, "key"));
        fputs("\n    asked by ", stdout);
        term_str(stdout, json_text(s, "requester"));
        fputs(": ", stdout);
        char *text = json_dumps(scope, JSON_COMPACT | JSON_SORT_KEYS);
        term_str(stdout, text ? text : "");
        fputc('\n', stdout);
        free(text);
    }
}

static int report(json_t *proof, struct proof_result *r, bool json, bool has_keys)
{
    size_t i;
    json_t *f;
    bool holds = json_array_size(r->findings) == 0;
    if (json)
        return command_json(json_pack("{s:b, s:s, s:i, s:O}", "holds", holds, "item", json_text(proof, "item"), "answers", (int)r->answers, "findings",
                                      r->findings)) == EXIT_DONE && holds ? EXIT_DONE : EXIT_REFUSED;
    say_answers(proof);
    json_array_foreach(r->findings, i, f) {
        fputs("WRONG: ", stdout);
        term_str(stdout, json_text(f, "text"));
        fputc('\n', stdout);
    }
    if (!holds)
        return EXIT_REFUSED;
    printf("\nIt holds: %u signature%s checked.\n\nThis proves: who had these keys signed exactly these statements for the gateway '", r->answers, r->answers == 1 ? "" : "s");
    term_str(stdout, json_text(proof, "instance"));
    fputs("'.\n", stdout);
    fputs(has_keys ? "The certificates' keys are those of the file you kept.\n"
                   : "That these keys belong to these persons is the gateway's word: give a file of keys kept elsewhere with --keys.\n", stdout);
    fputs("It does not prove that the gateway's log still holds it (countersign verify SESSION does), nor what was on the screen of who signed.\n", stdout);
    return EXIT_DONE;
}

static enum status read_files(const char *file, const char *keys_file, json_t **proof, char **keys, struct err *err)
{
    unsigned char *text = NULL;
    size_t len = 0;
    enum status st = file_read(file, PROOF_MAX, false, &text, &len, err);
    if (st != OK)
        return st;
    *proof = json_loadb((const char *)text, len, JSON_REJECT_DUPLICATES, NULL);
    free(text);
    if (!json_is_object(*proof))
        return fail(err, BAD_INPUT, "'%s' is not one JSON object", file);
    if (keys_file != NULL)
        st = file_read(keys_file, KEYS_MAX, false, (unsigned char **)keys, &len, err);
    return st;
}

int cmd_verify_approval(int argc, char **argv)
{
    const char *keys_file = NULL;
    bool json = false;
    struct err err = { 0 };
    struct proof_result r = { 0 };
    json_t *proof = NULL;
    char **args, *keys = NULL;
    size_t count;
    int code;
    const struct option_spec options[] = {
        { "keys", 0, "FILE", "a copy of the gateway's approval-keys file, kept elsewhere: certificates' keys must stand there", &keys_file, NULL, false },
        { 0 },
    };
    const struct usage usage = { "countersign verify approval FILE [--keys FILE]",
        "Check the proof of a decision (countersign proof ID > FILE) without the gateway: every signature, what it covers, and how its key came to count.\n"
        "Exit code 0: it holds. 1: it does not, with each finding.", options, 1, 1, &json };
    if (!options_parse(argc, argv, &usage, &args, &count, &code))
        return code;
    enum status st = read_files(args[0], keys_file, &proof, &keys, &err);
    if (st == OK)
        st = proof_check(proof, keys, &r, &err);
    code = st == OK ? report(proof, &r, json, keys != NULL) : command_failed("%s", err.text);
    proof_result_done(&r);
    json_decref(proof);
    free(keys);
    return code;
}
