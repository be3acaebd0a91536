/* Any bytes as a witness's key and as a cosigned note: what is taken is well formed, and nothing holds but what was signed once for the corpus. */
#include "proxy/base/cosign.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char vkey[] = "witness.example/one+94987d11+BAOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";
    struct slice in = slice_of(data, size);
    struct witness w;
    struct cosignature c = { false, 0 };
    char *merged = NULL;
    if (witness_parse(in, &w, NULL) == OK && (strlen(w.name) == 0 || strlen(w.name) >= COSIGN_NAME_MAX))
        abort();
    if (witness_parse(slice_str(vkey), &w, NULL) != OK)
        abort();
    if (cosignature_check(&w, in, &c, NULL) == OK && c.holds && !slice_starts(in, SLICE("countersign/test.example\n7\n")))
        abort();
    if (cosign_merge(in, in, &merged, NULL) == OK && strlen(merged) > size)
        abort();
    free(merged);
    return 0;
}
