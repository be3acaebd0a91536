/* An index of any bytes: reading it must end, and give only what lies within it. */
#include "proxy/record/index.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    const unsigned char *from, *to;
};

static void inside(const struct seen *s, struct slice v)
{
    if (v.ptr != NULL && (v.ptr < s->from || v.ptr + v.len > s->to))
        abort();
}

static enum status take(void *to, const struct index_line *l)
{
    const struct seen *s = to;
    const struct slice texts[] = { l->action, l->request, l->names, l->secrets, l->record, l->why, l->sha256, l->notes };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        inside(s, texts[i]);
    if (l->exchange == 0 || l->status > 999 || l->started_ms < 0)
        abort();
    return OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    struct index_cover cover;
    if (text == NULL)
        return 0;
    if (size > 0)
        memcpy(text, data, size);
    struct seen s = { (unsigned char *)text, (unsigned char *)text + size };
    if (index_read(text, size, &cover, take, &s, NULL) == OK && (cover.from == 0 || cover.to < cover.from))
        abort();
    free(text);
    return 0;
}
