/* certs signing-key: change the key that signs grants, in three steps with an overlap (authz/README.md "Changing the signing key"). */
#include "proxy/base/clock.h"
#include "proxy/base/file.h"
#include "proxy/commands/certs_common.h"

#include <errno.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OVERLAP_S = 86400 + 3600 };    /* the longest grant, and an hour */

struct files {
    char *now, *next, *old;
};

static bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

static enum status make_next(const struct files *f, struct err *err)
{
    EVP_PKEY *key = NULL;
    if (is_there(f->next))
        return fail(err, EXISTS, "'%s' is there already. Next: countersign certs signing-key switch", f->next);
    enum status st = key_make(KEY_P256, &key, err);
    if (st == OK)
        st = key_write(f->next, key, err);
    EVP_PKEY_free(key);
    return st;
}

/* The public half of the key that signs now, as grant-old.pem. */
static enum status keep_public(const struct files *f, struct err *err)
{
    EVP_PKEY *key = NULL;
    char *text = NULL;
    enum status st = key_read(f->now, &key, err);
    if (st != OK)
        return st;
    BIO *bio = BIO_new(BIO_s_mem());
    if (bio == NULL || PEM_write_bio_PUBKEY(bio, key) != 1)
        st = fail(err, NO_MEMORY, "public key");
    long n = st == OK ? BIO_get_mem_data(bio, &text) : 0;
    if (st == OK)
        st = file_write(f->old, slice_of(text, (size_t)n), 0600, err);
    BIO_free(bio);
    EVP_PKEY_free(key);
    return st;
}

/* The old one's public half first: after a crash in between both are published, and the old one signs on. */
static enum status switch_over(const struct files *f, struct err *err)
{
    if (!is_there(f->next))
        return fail(err, NOT_FOUND, "there is no next key. Next: countersign certs signing-key next");
    if (is_there(f->old))
        return fail(err, EXISTS, "'%s' is still there from the last change. Next: countersign certs signing-key retire", f->old);
    enum status st = keep_public(f, err);
    if (st == OK && rename(f->next, f->now) != 0)
        st = fail(err, IO_FAILED, "cannot rename '%s': %s", f->next, strerror(errno));
    return st;
}

static enum status retire(const struct files *f, struct err *err)
{
    struct stat sb;
    if (stat(f->old, &sb) != 0)
        return fail(err, NOT_FOUND, "there is no old key, so nothing was retired: either no new one was put to use yet, or the old one is gone already");
    if (clock_wall_s() - sb.st_mtime < OVERLAP_S)
        return fail(err, REFUSED, "grants signed with it may still live. Next: run it again %lld hours from now",
                    (long long)((OVERLAP_S - (clock_wall_s() - sb.st_mtime)) / 3600 + 1));
    return unlink(f->old) == 0 ? OK : fail(err, IO_FAILED, "cannot remove '%s': %s", f->old, strerror(errno));
}

static const struct step {
    const char *name;
    enum status (*run)(const struct files *f, struct err *err);
    const char *said;
} steps[] = {
    { "next", make_next, "The next key is made. Send the gateway SIGHUP: it is published then, and signs nothing yet.\n"
                         "Next: once every tool has fetched /.well-known/jwks.json anew: countersign certs signing-key switch" },
    { "switch", switch_over, "Send the gateway SIGHUP: it signs with the new key then; the old one stays published.\n"
                             "Next: a day later: countersign certs signing-key retire" },
    { "retire", retire, "The old key is gone. Send the gateway SIGHUP: it is no longer published then." },
};

static int run_step(const struct step *step, const char *state, const char *config, bool json)
{
    struct certs_place place;
    struct err err = { .text = "" };
    int code = EXIT_DONE;
    if (!certs_place_open(state, config, &place, &code))
        return code;
    struct files f = { certs_path(&place, "keys/grant.pem"), certs_path(&place, "keys/grant-next.pem"), certs_path(&place, "keys/grant-old.pem") };
    enum status st = f.now && f.next && f.old ? step->run(&f, &err) : fail(&err, NO_MEMORY, "keys");
    if (st == OK && json)
        code = command_json(json_pack("{s:s,s:s,s:s}", "done", step->name, "key", f.now, "said", step->said));
    else if (st == OK)
        puts(step->said);
    else
        code = command_failed("%s", err.text);
    free(f.now);
    free(f.next);
    free(f.old);
    certs_place_close(&place);
    return code;
}

int certs_signing_key(int argc, char **argv)
{
    const char *state = NULL, *config = NULL;
    bool json = false;
    char **args;
    size_t count;
    int code;
    const struct option_spec options[] = {
        { "state", 0, "DIR", "the state folder that init made", &state, NULL, false },
        { "config", 'c', "FILE", "or the config, when it lies elsewhere", &config, NULL, false },
        { 0 },
    };
    const struct usage usage = { "countersign certs signing-key next|switch|retire (--state DIR | --config FILE)",
        "Change the key that signs grants, sign-offs and assertions. next: make and publish a new one; switch: sign with it, the old one stays published;\n"
        "retire: stop publishing the old one, a day later at the earliest.", options, 1, 1, &json };
    if (!options_parse(argc, argv, &usage, &args, &count, &code))
        return code;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (strcmp(steps[i].name, args[0]) == 0)
            return run_step(&steps[i], state, config, json);
    fprintf(stderr, "countersign: signing-key has no step '%s'; next, switch or retire\n", args[0]);
    return EXIT_USAGE;
}
