#include "proxy/record/redact_message.h"

#include "proxy/http/ws_frame.h"

#include <stdlib.h>

struct text_out {
    unsigned char *v;
    size_t len;
};

static void put_text(void *to, struct slice s)
{
    struct text_out *o = to;
    memcpy(o->v + o->len, s.ptr, s.len);
    o->len += s.len;
}

enum status message_redact(struct text_state **r, const struct secret_names *names, struct arena *arena, struct tape_message *m, unsigned char **text)
{
    size_t most = 3 * m->data.len + BODY_REDACT_SLACK;
    struct text_out kept = { malloc(most + m->data.len + 1), 0 };
    struct redact_out out = { put_text, &kept };
    if (kept.v == NULL || (*r == NULL && (*r = arena_zalloc(arena, sizeof **r)) == NULL)) {
        free(kept.v);
        return NO_MEMORY;
    }
    if (m->first)
        text_begin(*r);
    if (m->mask != NULL) {
        ws_unmask(kept.v + most, m->data, m->mask, m->mask_at & 3);
        m->data.ptr = kept.v + most;
    }
    text_feed(*r, names, m->data, &out);
    m->data = slice_of(kept.v, kept.len);
    m->mask = NULL;
    *text = kept.v;
    return OK;
}
