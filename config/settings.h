/* settings: the one table in which every setting stands: name, shape, unit, default, range, help. The loader, `countersign check`, the reference
 * and the test of example.conf all read it. To add a setting: a member in config.h, a row in settings.c, a line in example.conf. */
#ifndef COUNTERSIGN_SETTINGS_H
#define COUNTERSIGN_SETTINGS_H

#include "config/forms.h"

enum shape {
    SHAPE_BOOL,                       /* true, false */
    SHAPE_COUNT,                      /* whole number; never a size or a time (libconfig 1.5 cuts what 32 bits can't hold) */
    SHAPE_SIZE,                       /* "64KiB" → bytes */
    SHAPE_TIME,                       /* "15m" → milliseconds */
    SHAPE_TEXT,
    SHAPE_TEXTS,                      /* [ "a", "b" ] */
    SHAPE_GROUP,                      /* { ... }: members in `sub`, stored in the same struct at `at` */
    SHAPE_LIST,                       /* ( { ... }, { ... } ): an array of structs of `sub` */
};

enum path_use {
    NOT_A_PATH,
    PATH_FILE,                        /* must be there and readable */
    PATH_FOLDER,                      /* must be there */
    PATH_LATER,                       /* may come later: a warning */
    PATH_MADE,                        /* made by us: its folder must be there */
    PATH_USED,                        /* looked at where it is used: checks.c */
};

/* Which change of a setting can only take rights away (changes.h). Nothing said: none; then any change needs a second operator, which is the safe side for
 * settings that come later. */
enum narrows {
    NARROWS_NEVER,
    NARROWS_LESS,                     /* a smaller number */
    NARROWS_LIMIT,                    /* the same, where 0 is no limit */
    NARROWS_MORE,                     /* a larger number, or an entry more */
    NARROWS_FEWER,                    /* an entry taken out */
    NARROWS_PERSON,                   /* the same, unless that person's groups do more than give rights: operators and auditors watch others */
    NARROWS_NEEDS,                    /* one more yes that is asked for */
    NARROWS_ACTIONS,                  /* one more action that is refused */
    NARROWS_HARMLESS,                 /* any: it lets nobody do anything */
};

struct section;
struct setting {
    const char *name;
    enum shape shape;
    const char *fallback;             /* as it would be written in the file; "": none; NULL: required */
    int64_t min, max;                 /* of the number, bytes, milliseconds; or of entries */
    const struct form *form;          /* of each text */
    enum path_use path;
    /* Stores one text elsewhere than at `at`, once its form was checked. False: no memory. */
    bool (*put)(struct arena *a, void *base, const char *text);
    size_t at, size, count_at;        /* where in the section's struct */
    const struct section *sub;
    const char *help;                 /* one or more sentences */
    enum narrows narrows;
    const char *narrowest;            /* as written in the file: becoming this only takes rights away; NULL: no such value */
    bool machine;                     /* at the top: of this machine and process, not of the policy; takes effect without a second operator */
    bool content;                     /* a path of which the file's content is policy: the content is kept with it */
    bool gives;                       /* names groups, and that only gives their members rights */
};

struct section {
    const char *title;                /* "tools.actions" */
    const struct setting *settings;   /* ended by a NULL name */
    size_t size;                      /* of the struct, for lists */
    const char *help;
};

extern const struct section settings_root;
extern const struct section notice_section;      /* settings_notices.c */
extern const struct section issuer_section;      /* settings_issuers.c */

/* In words: type and range, such as "time, 1s to 1d". */
void setting_type_text(const struct setting *s, char *out, size_t out_max);

#endif
