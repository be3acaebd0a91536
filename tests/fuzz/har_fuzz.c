/* An exchange of any bytes as HAR: the heads come from whoever spoke to the gateway, the bodies from anybody. What is written must be one JSON text, with the entry in it. */
#include "proxy/commands/har.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first three bytes say where the input is cut into heads and bodies. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4)
        return 0;
    struct slice all = slice_from(slice_of(data, size), 4), part[4];
    for (size_t i = 0; i < 4; i++) {
        size_t n = i == 3 ? all.len : all.len * data[i] / 256;
        part[i] = slice_of(all.ptr, n);
        all = slice_from(all, n);
    }
    struct archive_ws_message m = { .number = 1, .from = SLICE("client"), .opcode = SLICE("text"), .data = part[3], .length = part[3].len };
    struct archive_exchange x = { .id = 1, .started_ms = 1790000000000, .ended_ms = 1790000000100, .request_head = part[0], .request_body = part[1], .response_head = part[2],
                                  .response_body = part[3], .status = 200, .from_tool = true, .action = part[1], .messages = &m, .message_count = data[3] & 1 };
    char *text = NULL;
    size_t len = 0;
    struct har h;
    FILE *f = open_memstream(&text, &len);
    if (f == NULL)
        return 0;
    har_begin(&h, f, "fuzz", data[3] & 2);
    bool written = har_entry(&h, 1, &x, NULL) == OK && har_end(&h, NULL) == OK;
    fclose(f);
    json_t *v = written ? json_loadb(text, len, JSON_ALLOW_NUL, NULL) : NULL;
    if (written && json_array_size(json_object_get(json_object_get(v, "log"), "entries")) != 1)
        abort();
    json_decref(v);
    free(text);
    return 0;
}
