/* The list in a leaf history.erased, of any bytes: reading it must end, within bounds; what was read, written again, is the same list. */
#include "authz/erased.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LEAF = 5000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct erased e = { 0 };
    uint64_t seqs[LEAF];
    size_t n = 0;
    char *text = malloc(size + 1);
    if (text == NULL)
        return 0;
    if (size > 0)
        memcpy(text, data, size);
    text[size] = 0;
    if (erased_take(&e, LEAF, text, UINT64_MAX, NULL) == OK) {
        for (uint64_t seq = 1; seq < LEAF; seq++)
            if (erased_by(&e, seq) != 0)
                seqs[n++] = seq;
        char *again = erased_list(seqs, n);
        struct erased other = { 0 };
        if (again == NULL || n != e.count || erased_take(&other, LEAF, again, UINT64_MAX, NULL) != OK || other.count != n)
            abort();
        erased_done(&other);
        free(again);
    }
    erased_done(&e);
    free(text);
    return 0;
}
