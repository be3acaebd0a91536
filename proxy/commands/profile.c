#include "proxy/commands/profile.h"
#include "proxy/base/file.h"

#include <libconfig.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct setting {
    const char *name, *env;
    size_t offset;
    bool file;                        /* a path */
} settings[] = {
    { "gateway", "COUNTERSIGN_GATEWAY", offsetof(struct profile, gateway), false },
    { "cert", "COUNTERSIGN_CERT", offsetof(struct profile, cert), true },
    { "key", "COUNTERSIGN_KEY", offsetof(struct profile, key), true },
    { "ca", "COUNTERSIGN_CA", offsetof(struct profile, ca), true },
    { "auditor_key", "COUNTERSIGN_AUDITOR_KEY", offsetof(struct profile, auditor_key), true },
    { "storage", "COUNTERSIGN_STORAGE", offsetof(struct profile, storage), false },
    { "storage_region", "COUNTERSIGN_STORAGE_REGION", offsetof(struct profile, storage_region), false },
    { "storage_key", "COUNTERSIGN_STORAGE_KEY", offsetof(struct profile, storage_key), false },
    { "storage_secret", "COUNTERSIGN_STORAGE_SECRET", offsetof(struct profile, storage_secret), true },
    { "storage_ca", "COUNTERSIGN_STORAGE_CA", offsetof(struct profile, storage_ca), true },
    { "instance", NULL, offsetof(struct profile, instance), false },
};
enum { SETTING_COUNT = sizeof settings / sizeof settings[0] };
_Static_assert(SETTING_COUNT == sizeof((struct profile *)0)->owned / sizeof(char *), "one for each setting");

static const char **place_of(struct profile *p, size_t i)
{
    return (const char **)((char *)p + settings[i].offset);
}

/* ~/.config/countersign/client.conf (or under XDG_CONFIG_HOME), malloc'd; NULL when there is no home. */
static char *usual_path(void)
{
    const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    char *path = NULL;
    int n = -1;
    if (xdg != NULL && xdg[0] == '/')
        n = asprintf(&path, "%s/countersign/client.conf", xdg);
    else if (home != NULL && home[0] == '/')
        n = asprintf(&path, "%s/.config/countersign/client.conf", home);
    return n < 0 ? NULL : path;
}

/* Who can write the profile decides which gateway gets to ask for a signature. */
static enum status check_writable(const char *path, struct err *err)
{
    struct stat sb;
    if (stat(path, &sb) != 0)
        return fail(err, NOT_FOUND, "'%s'", path);
    if ((sb.st_mode & 022) != 0 || (sb.st_uid != geteuid() && sb.st_uid != 0))
        return fail(err, BAD_CONFIG, "the profile '%s' can be changed by others. Next: chmod go-w it, and make it your own", path);
    return OK;
}

static int setting_index(const char *name)
{
    for (int i = 0; i < SETTING_COUNT; i++)
        if (strcmp(settings[i].name, name) == 0)
            return i;
    return -1;
}

/* Keep one value of the file, unless it is known already. */
static enum status take(struct profile *p, const char *path, const config_setting_t *s, struct err *err)
{
    const char *name = config_setting_name(s), *value = config_setting_get_string(s);
    int i = setting_index(name);
    if (i < 0 || value == NULL || value[0] == 0)
        return fail(err, BAD_CONFIG, "%s:%u: %s: %s", path, (unsigned)config_setting_source_line(s), name,
                    i < 0 ? "there is no such setting; expected gateway, cert, key, ca, auditor_key, storage, storage_region, storage_key, storage_secret, storage_ca or instance" : "expected a string that is not empty");
    const char **place = place_of(p, (size_t)i);
    if (*place != NULL)
        return OK;
    const char *slash = strrchr(path, '/');
    char *dir = slash != NULL ? strndup(path, (size_t)(slash - path)) : strdup(".");
    p->owned[i] = dir == NULL ? NULL : settings[i].file ? file_join(dir, value) : strdup(value);
    free(dir);
    *place = p->owned[i];
    return *place != NULL ? OK : fail(err, NO_MEMORY, "profile");
}

static enum status read_file(struct profile *p, const char *path, struct err *err)
{
    enum status st = check_writable(path, err);
    if (st != OK)
        return st == NOT_FOUND ? OK : st;
    config_t c;
    config_init(&c);
    if (config_read_file(&c, path) != CONFIG_TRUE) {
        st = fail(err, BAD_CONFIG, "%s:%d: %s", path, config_error_line(&c), config_error_text(&c));
    } else {
        const config_setting_t *root = config_root_setting(&c);
        for (int i = 0; st == OK && i < config_setting_length(root); i++)
            st = take(p, path, config_setting_get_elem(root, (unsigned)i), err);
    }
    config_destroy(&c);
    return st;
}

enum status profile_fill(struct profile *p, const char *path, struct err *err)
{
    p->from_storage = p->storage != NULL;
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const char *env = settings[i].env != NULL ? getenv(settings[i].env) : NULL;
        if (*place_of(p, i) == NULL && env != NULL && env[0] != 0)
            *place_of(p, i) = env;
    }
    char *usual = path == NULL ? usual_path() : NULL;
    enum status st = path != NULL || usual != NULL ? read_file(p, path != NULL ? path : usual, err) : OK;
    free(usual);
    return st;
}

void profile_done(struct profile *p)
{
    for (size_t i = 0; i < SETTING_COUNT; i++)
        free(p->owned[i]);
    memset(p->owned, 0, sizeof p->owned);
}
