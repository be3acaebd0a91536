#include "proxy/commands/policy_compare.h"

#include <string.h>

static enum status load(enum status (*how)(const char *, struct config **, struct problems *), const char *path, struct config **out, struct err *err)
{
    struct problems p = { 0 };
    enum status st = how(path, out, &p);
    if (st != OK)
        (void)fail(err, BAD_CONFIG, "%s", p.count > 0 ? p.text[0] : "no memory");
    problems_done(&p);
    return st == OK ? OK : BAD_CONFIG;
}

enum status policy_compare(const char *path, bool *differs, struct changes *out, struct err *err)
{
    struct config *file = NULL, *now = NULL;
    *out = (struct changes){ 0 };
    *differs = false;
    enum status st = load(config_load_text, path, &file, err);
    if (st == OK)
        st = load(config_load_in_force, path, &now, err);
    if (st == OK)
        *differs = strcmp(file->policy_digest, now->policy_digest) != 0;
    if (*differs)
        st = config_changes(now->policy, file->policy, out, err);
    config_unref(file);
    config_unref(now);
    return st;
}
