/* Any bytes as a people file: the place for a new line lies inside it, before a closing parenthesis. */
#include "certs/people_file.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct people_place place;
    if (!people_find_place(slice_of(data, size), &place))
        return 0;
    if (place.close >= size || place.last_end > place.close)
        abort();
    return 0;
}
