/* people_file: the few settings that certificates need from the operator's file, and adding a person to it.
 *
 * Read with libconfig alone and not by config_load: a certificate must be revocable while some other setting is wrong.
 * An operator owns these files, comments and layout included. people_file_add puts one line before the end of the `people` list, in
 * whichever file holds it, and changes nothing else; the new text is read back and compared before it replaces the old. */
#ifndef COUNTERSIGN_PEOPLE_FILE_H
#define COUNTERSIGN_PEOPLE_FILE_H

#include "proxy/base/slice.h"
#include "proxy/base/status.h"

/* Absolute; malloc'd. */
struct state_paths {
    char *state;                         /* setting `state`, by default the file's folder */
    char *approval_keys;
    char *people;                        /* the file in which `people` stands; NULL: nowhere */
};

MUST_CHECK enum status state_paths_read(const char *config_path, struct state_paths *out, struct err *err);
void state_paths_done(struct state_paths *p);

enum person_found {
    PERSON_ABSENT,                       /* neither name nor identity is listed */
    PERSON_LISTED,                       /* this name has this identity */
    PERSON_CLASH,                        /* the name stands without the identity, or the identity belongs to another name */
};
/* `people_path` may be NULL: then nobody is listed. other_out (65 bytes): on PERSON_CLASH, the name that holds the identity, or "". */
MUST_CHECK enum status people_file_find(const char *people_path, const char *name, const char *identity, enum person_found *out,
                                        char other_out[65], struct err *err);
/* groups: "support,employee"; BAD_INPUT when one is not [a-z0-9._-]{1,64}. EXISTS when the name is there. REFUSED: the file is written in a
 * way in which no line can be put in safely; the text says what to add by hand. */
MUST_CHECK enum status people_file_add(const char *people_path, const char *name, const char *identity, const char *groups, struct err *err);
bool people_groups_ok(const char *groups);

/* Where a new entry goes: offsets of the end of the last entry (0: the list is empty) and of the list's closing parenthesis. For the fuzz target. */
struct people_place {
    size_t last_end, close;
};
bool people_find_place(struct slice text, struct people_place *out);

#endif
