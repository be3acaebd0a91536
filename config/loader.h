/* loader: what the parts of config_load() share. Internal to this folder. */
#ifndef COUNTERSIGN_LOADER_H
#define COUNTERSIGN_LOADER_H

#include "config/settings.h"

#include <libconfig.h>

enum { PROBLEMS_MAX = 200, CONFIG_FILE_MAX = 16 * 1024 * 1024 };

#define WHOLE_BEGINS "# policy "     /* config->whole: this, the policy's digest, then the settings */

struct load {
    const char *path;                 /* of the main file, as the caller wrote it: shown in problems */
    char *dir;                        /* its folder, absolute */
    config_t tree;
    struct config *out;
    struct problems *problems;
    unsigned errors;                  /* problems that are not warnings, counted past PROBLEMS_MAX as well */
    bool no_memory;
    bool as_text;                     /* keep what it says as text, too */
    const char *tail;                 /* more of the file, or NULL */
    const char *whole;                /* the text, instead of the file's; or NULL */
    bool plain;                       /* while it is written out: names of files, not the digests of their content */
};

/* "file:line: setting.path[.member]: text". at may be NULL (then the main file, no line); member may be NULL. */
void report(struct load *l, const config_setting_t *at, const char *member, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* The same with "warning: " before it; it does not fail the load. */
void report_warning(struct load *l, const config_setting_t *at, const char *member, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* A problem at a line of a file that is not (or not yet) a setting. */
void report_line(struct load *l, const char *file, unsigned line, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* The file a setting stands in, as it is shown; valid until the next call. */
const char *shown_file(const struct load *l, const char *source, char *buf, size_t buf_max);

/* The member of that name, or NULL (also for group NULL). */
config_setting_t *member_of(const config_setting_t *group, const char *name);
/* Element i of a list or array. */
config_setting_t *element_of(const config_setting_t *list, size_t i);

/* A path as it is meant: relative to the folder of the file it stands in. malloc'd; NULL: no memory. */
char *absolute_path(struct load *l, const config_setting_t *s, const char *text);
/* The tree, once it was found to be good, as the texts of struct config (text.c). */
void config_as_text(struct load *l);
/* The value of a setting as text, "( { name = \"x\"; } )"; l NULL: paths as they stand there. malloc'd; NULL: no memory, or a file that can't be read. */
char *setting_value(struct load *l, const struct setting *row, const config_setting_t *s);
/* config_load of a kept policy: its text continued with `machine`, and compared with its digest. */
MUST_CHECK enum status load_kept_file(const char *path, const char *digest, const char *machine, struct config **out, struct problems *problems);

/* What libconfig would misread in silence: NUL bytes, integers that don't fit (file_scan.c). */
void scan_text(struct load *l, const char *file, const unsigned char *text, size_t len);
/* Everything that concerns more than one setting (checks.c, check_people.c). */
void check_all(struct load *l);
void check_people(struct load *l);
/* Can this list of needs be filled? Called once the people are known. what: "approvers" or "signoff". */
void check_needs(struct load *l, const config_setting_t *owner, const char *what, const struct tool *tool, const struct need *needs, size_t count);
/* Name the actions of a tool that can never count. */
void check_reach(struct load *l, const struct tool *t, const config_setting_t *actions);
/* Notices and escalation (check_notices.c). */
void check_notices(struct load *l);
/* Warn if others can read this secret (check_notices.c); path NULL: none. */
void check_secret(struct load *l, const config_setting_t *at, const char *member, const char *path);
/* Copies to object storage (check_copies.c). */
void check_copies(struct load *l);
/* Audit events by webhook and over TLS (check_copies.c). */
void check_audit(struct load *l);
/* Others who may issue grants. */
void check_issuers(struct load *l, const config_setting_t *issuers);
/* Each of these groups exists. */
void check_groups(struct load *l, const config_setting_t *owner, const char *member, char *const *groups, size_t count);

/* Names that must be unique among their like, with where each stands. */
struct named {
    const char *name;
    const config_setting_t *at;
    size_t order;
};
/* Report every name that came before; sorts the rows. */
void check_unique(struct load *l, struct named *rows, size_t count, const char *member, const char *what);

#endif
