#include "proxy/record/redact_message.h"

#include "proxy/http/ws_frame.h"

#include <stdlib.h>

void message_redactor_begin(struct message_redactor *r)
{
    r->reading = r->plain = false;
    r->lead_len = 0;
}

static void drop(void *to, struct slice s)
{
    (void)to;
    (void)s;
}

/* A form's name has passed as it is, which it also does in a form: the redactor only has to know it. */
static void begin_form(struct message_redactor *r, const struct secret_names *names)
{
    struct redact_out nowhere = { drop, NULL };
    size_t taken;
    body_redactor_init(&r->body, BODY_FORM, names, (struct slice){ 0 });
    r->reading = body_redactor_feed(&r->body, slice_of(r->lead, r->lead_len), &nowhere, &taken) == OK;
}

static bool may_lead(unsigned char c)
{
    unsigned char low = ascii_lower(c);
    return (low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') || strchr("_-.,/:%", c) != NULL;
}

/* Looks at the first bytes; how many of them were looked at. */
static size_t find_out(struct message_redactor *r, const struct secret_names *names, struct slice data)
{
    for (size_t i = 0; i < data.len; i++) {
        unsigned char c = data.ptr[i];
        bool space = c == ' ' || c == '\t' || c == '\r' || c == '\n';
        if (c == '{' || c == '[') {
            body_redactor_init(&r->body, BODY_JSON, names, (struct slice){ 0 });
            r->reading = true;
            return i;
        }
        if (c == '=' && r->lead_len > 0) {
            begin_form(r, names);
            return i;
        }
        if (space && r->lead_len == 0)
            continue;
        if (c == 0 || !may_lead(c) || r->lead_len == MESSAGE_LEAD_MAX) {
            r->plain = true;
            return i;
        }
        r->lead[r->lead_len++] = c;
    }
    return data.len;
}

void message_redactor_feed(struct message_redactor *r, const struct secret_names *names, struct slice data, const struct redact_out *out)
{
    if (!r->plain && !r->reading) {
        size_t n = find_out(r, names, data);
        redact_put(out, slice_of(data.ptr, n));
        data = slice_from(data, n);
    }
    size_t taken = data.len;
    if (r->reading && body_redactor_feed(&r->body, data, out, &taken) != OK) {
        r->reading = false;
        r->plain = true;
        data = slice_from(data, taken);
    } else if (r->reading) {
        return;
    }
    redact_put(out, data);
}

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

enum status message_redact(struct message_redactor **r, const struct secret_names *names, struct arena *arena, struct tape_message *m, unsigned char **text)
{
    size_t most = 3 * m->data.len + BODY_REDACT_SLACK;
    struct text_out kept = { malloc(most + m->data.len + 1), 0 };
    struct redact_out out = { put_text, &kept };
    if (kept.v == NULL || (*r == NULL && (*r = arena_alloc(arena, sizeof **r)) == NULL)) {
        free(kept.v);
        return NO_MEMORY;
    }
    if (m->first)
        message_redactor_begin(*r);
    if (m->mask != NULL) {
        ws_unmask(kept.v + most, m->data, m->mask, m->mask_at & 3);
        m->data.ptr = kept.v + most;
    }
    message_redactor_feed(*r, names, m->data, &out);
    m->data = slice_of(kept.v, kept.len);
    m->mask = NULL;
    *text = kept.v;
    return OK;
}
