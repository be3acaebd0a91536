#include "proxy/base/clock.h"
#include "proxy/commands/certs_common.h"

#include <stdio.h>

static const char *state_of(const struct ca_entry *e, int64_t now_s)
{
    if (e->revoked_s != 0)
        return "revoked";
    return ca_entry_live(e, now_s) ? "good" : "expired";
}

static json_t *entry_json(const struct ca_entry *e, int64_t now_s)
{
    json_t *out = json_pack("{s:s, s:s, s:I, s:I, s:s, s:s, s:s, s:s}", "serial", e->serial, "identity", e->identity, "issued",
                            (json_int_t)e->issued_s, "not_after", (json_int_t)e->not_after_s, "fingerprint", e->fingerprint, "key", e->key,
                            "status", state_of(e, now_s), "kind", e->person ? "person" : "server");
    if (out != NULL && e->person != NULL)
        json_object_set_new(out, "person", json_string(e->person));
    if (out != NULL && e->revoked_s != 0) {
        json_object_set_new(out, "revoked", json_integer(e->revoked_s));
        json_object_set_new(out, "reason", json_string(e->reason));
    }
    return out;
}

static int print_json(const struct ca_entry *v, size_t count, int64_t now_s)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, entry_json(&v[i], now_s));
    return command_json(list);
}

static int print_table(const struct ca_entry *v, size_t count, int64_t now_s)
{
    printf("%-16s %-32s %-8s %-10s %s\n", "NAME", "IDENTITY", "STATE", "ENDS", "SERIAL");
    for (size_t i = 0; i < count; i++) {
        char day[16];
        certs_day(v[i].not_after_s, day);
        printf("%-16s %-32s %-8s %-10s %s\n", v[i].person ? v[i].person : "(server)", v[i].identity, state_of(&v[i], now_s), day, v[i].serial);
    }
    return EXIT_DONE;
}

int certs_list(int argc, char **argv)
{
    const char *state = NULL, *config = NULL;
    bool json = false;
    const struct option_spec options[] = {
        { "state", 0, "DIR", "the state folder", &state, NULL, false },
        { "config", 'c', "FILE", "or the config file", &config, NULL, false },
        { 0 },
    };
    const struct usage usage = { "countersign certs list --state DIR [--json]",
                                 "Every certificate this gateway's authority issued, oldest first, and whether it is still good.",
                                 options, 0, 0, &json };
    char **none;
    size_t none_count, count = 0;
    int code = EXIT_DONE;
    struct certs_place place;
    if (!options_parse(argc, argv, &usage, &none, &none_count, &code) || !certs_place_open(state, config, &place, &code))
        return code;
    const struct ca_entry *v = ca_entries(place.ca, &count);
    code = json ? print_json(v, count, clock_wall_s()) : print_table(v, count, clock_wall_s());
    certs_place_close(&place);
    return code;
}
