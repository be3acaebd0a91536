#include "certs/approval_keys.h"
#include "proxy/base/clock.h"
#include "proxy/commands/certs_common.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Every key of a certificate that is called so, whether revoked now or before: doing it again finishes what a crash left half done. */
static enum status remove_keys(const struct certs_place *p, const char *which, size_t *removed_out, struct err *err)
{
    size_t count = 0, removed = 0;
    const struct ca_entry *v = ca_entries(p->ca, &count);
    for (size_t i = 0; i < count; i++) {
        if (v[i].person == NULL || v[i].revoked_s == 0 || !ca_entry_is(&v[i], which))
            continue;
        enum status st = approval_keys_remove(p->paths.approval_keys, slice_str(v[i].key), err);
        if (st != OK && st != NOT_FOUND)
            return st;
        removed += st == OK;
    }
    *removed_out = removed;
    return OK;
}

static int print_done(const struct certs_place *p, const char *which, size_t revoked, size_t keys, bool json)
{
    if (json)
        return command_json(json_pack("{s:s, s:I, s:I, s:s+}", "which", which, "revoked", (json_int_t)revoked, "approval_keys_removed",
                                      (json_int_t)keys, "crl", p->paths.state, "/ca/crl.pem"));
    if (revoked > 0)
        printf("%zu certificate%s of %s revoked", revoked, revoked == 1 ? "" : "s", which);
    else
        printf("%s was revoked before", which);
    printf("; the revocation list is new");
    if (keys > 0)
        printf("; %zu approval key%s removed", keys, keys == 1 ? "" : "s");
    puts(".\nA gateway that runs on this folder takes it up by itself. To stop everything of a person: countersign lock person NAME --reason TEXT");
    return EXIT_DONE;
}

int certs_revoke(int argc, char **argv)
{
    const char *state = NULL, *config = NULL, *reason = "unspecified";
    bool json = false;
    const struct option_spec options[] = {
        { "state", 0, "DIR", "the state folder", &state, NULL, false },
        { "config", 'c', "FILE", "or the config file", &config, NULL, false },
        { "reason", 0, "WORD", "keyCompromise, affiliationChanged, superseded, cessationOfOperation, privilegeWithdrawn", &reason, NULL, false },
        { 0 },
    };
    const struct usage usage = { "countersign certs revoke NAME|IDENTITY|SERIAL --state DIR [--reason WORD]",
                                 "Take back all certificates of a person or an identity, or the one with that serial: marks them in the index, writes "
                                 "a new revocation list, removes their approval keys. There is no way back; issue a new certificate instead.",
                                 options, 1, 1, &json };
    char **which, lower[300];
    size_t which_count, revoked = 0, keys = 0;
    int code = EXIT_DONE;
    struct certs_place place;
    struct err err;
    if (!options_parse(argc, argv, &usage, &which, &which_count, &code))
        return code;
    if (!ca_reason_ok(reason)) {
        command_failed("'%s' is not a reason for a revocation; --help lists them", reason);
        return EXIT_USAGE;
    }
    snprintf(lower, sizeof lower, "%s", which[0]);   /* names, identities and serials are all kept in lower case */
    for (char *c = lower; *c; c++)
        *c = (char)ascii_lower((unsigned char)*c);
    if (!certs_place_open(state, config, &place, &code))
        return code;
    enum status st = ca_revoke(place.ca, lower, reason, clock_wall_s(), &revoked, &err);
    if (st == OK)
        st = remove_keys(&place, lower, &keys, &err);
    code = st == OK ? print_done(&place, lower, revoked, keys, json) : command_failed("%s", err.text);
    certs_place_close(&place);
    return code;
}

int certs_crl(int argc, char **argv)
{
    const char *state = NULL, *config = NULL;
    bool json = false;
    const struct option_spec options[] = {
        { "state", 0, "DIR", "the state folder", &state, NULL, false },
        { "config", 'c', "FILE", "or the config file", &config, NULL, false },
        { 0 },
    };
    const struct usage usage = { "countersign certs crl --state DIR",
                                 "Write a new revocation list, good for 30 days. A running gateway does this by itself; a list that has run out "
                                 "refuses everybody.", options, 0, 0, &json };
    char **none, day[16];
    size_t none_count;
    int code = EXIT_DONE;
    int64_t until_s = 0;
    struct certs_place place;
    struct err err;
    if (!options_parse(argc, argv, &usage, &none, &none_count, &code) || !certs_place_open(state, config, &place, &code))
        return code;
    enum status st = ca_renew_crl(place.ca, clock_wall_s(), &until_s, &err);
    if (st == OK && json) {
        code = command_json(json_pack("{s:s+,s:I}", "crl", place.paths.state, "/ca/crl.pem", "until", (json_int_t)until_s));
    } else if (st == OK) {
        certs_day(until_s, day);
        printf("%s/ca/crl.pem is new, good until %s. A gateway that runs on this folder takes it up by itself.\n", place.paths.state, day);
    } else {
        code = command_failed("%s", err.text);
    }
    certs_place_close(&place);
    return code;
}
