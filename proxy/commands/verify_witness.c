/* verify --witness: what witnesses cosigned (proxy/base/cosign.h), and what follows from it. */
#include "proxy/base/cosign.h"
#include "proxy/commands/verify_more.h"
#include "proxy/commands/words.h"
#include "proxy/record/verify.h"

#include <stdio.h>
#include <stdlib.h>

/* The next of a list with commas; false: that was all. */
static bool next_key(const char **list, struct slice *out)
{
    if (**list == 0)
        return false;
    size_t n = strcspn(*list, ",");
    *out = slice_of(*list, n);
    *list += n + ((*list)[n] == ',');
    return true;
}

enum status verify_witnesses(const struct verify *v, const char *checkpoint, json_t *findings, struct err *err)
{
    struct slice key;
    unsigned good = 0;
    enum status st = OK;
    if (v->witness == NULL)
        return OK;
    for (const char *list = v->witness; st == OK && next_key(&list, &key);) {
        struct witness w;
        struct cosignature c = { false, 0 };
        struct err why = { .text = "" };
        if (witness_parse(key, &w, &why) != OK)
            return fail(err, BAD_INPUT, "--witness '%.*s': %s", (int)(key.len < 80 ? key.len : 80), (const char *)key.ptr, why.text);
        if (cosignature_check(&w, slice_str(checkpoint ? checkpoint : ""), &c, &why) != OK)
            st = verify_finding(findings, "bad-cosignature", 0, 0, "%s", why.text);
        good += c.holds;
    }
    if (st == OK && good == 0 && json_array_size(findings) == 0)
        st = verify_finding(findings, "no-cosignature", 0, 0, "none of these witnesses cosigned the checkpoint: it may be one that only you were shown");
    return st == OK ? OK : fail(err, st, "findings");
}

/* The second line. */
static uint64_t leaves_of(const char *checkpoint)
{
    const char *line = strchr(checkpoint, '\n');
    return line ? strtoull(line + 1, NULL, 10) : 0;
}

void verify_print_witnesses(const struct verify *v, const char *checkpoint)
{
    struct slice key;
    char when[WORDS_MAX];
    for (const char *list = v->witness ? v->witness : ""; checkpoint != NULL && next_key(&list, &key);) {
        struct witness w;
        struct cosignature c = { false, 0 };
        if (witness_parse(key, &w, NULL) != OK || cosignature_check(&w, slice_str(checkpoint), &c, NULL) != OK || !c.holds)
            continue;
        printf("\nThe witness %s cosigned the checkpoint of %llu leaves on %s. It signs only what extends all that it signed before, so: whoever asks this witness is shown the same\n"
               "first %llu leaves as you, and they cannot be rewritten any more without its help, not even by who holds the log's key. It says nothing of later leaves, and nothing of whether\n"
               "what the leaves say is true.\n", w.name, (unsigned long long)leaves_of(checkpoint), words_time(c.time_s, when), (unsigned long long)leaves_of(checkpoint));
    }
}
