#include "proxy/commands/listing_fetch.h"

#include <stdio.h>

static bool enough(const struct archive *a, bool messages)
{
    struct archive_source s = archive_source(a);
    if (s.bad_indexes > 0)
        fprintf(stderr, "countersign: %zu of the recording's indexes can't be read, so all of its segments are. Next: countersign verify says whether something was changed\n",
                s.bad_indexes);
    return s.bad_indexes == 0 && !(messages && s.untold > 0);
}

enum status listing_of_file(const char *path, const struct age_keys *keys, bool messages, struct archive **a, struct err *err)
{
    *a = NULL;
    enum status st = archive_list(path, keys, a, err);
    if (st != OK || enough(*a, messages))
        return st;
    archive_free(*a);
    *a = NULL;
    return archive_open(path, keys, a, err);
}

enum status listing_fetch(struct client *c, const char *session, const char *purpose, const struct age_keys *keys, bool messages, struct evidence *e,
                          struct archive **a, struct err *err)
{
    *a = NULL;
    enum status st = evidence_fetch_listing(c, session, purpose, e, err);
    if (st != OK || e->recording == NULL)   /* deleted: only the log says something */
        return st;
    st = archive_list(e->recording, keys, a, err);
    if (st != OK || enough(*a, messages))
        return st;
    archive_free(*a);
    *a = NULL;
    st = evidence_fetch_rest(c, e, err);
    return st == OK ? archive_open(e->recording, keys, a, err) : st;
}
