/* Texts without a type of their own: messages of a WebSocket, and bodies of text/plain. What a text is shows in its first bytes:
 *
 *   JSON   begins with '{' or '[', after at most 64 letters, digits and marks as protocols put them before it (`42["login",{"password":"x"}]`, `42/ns,7[...]`)
 *   form   begins with a name and '=': `password=x&user=y`
 *   else   kept as it is: a terminal's words are what the auditor wants to see
 *
 * The same for every split of a text into pieces. From where the grammar of JSON breaks the rest is kept as it came. In a body Engine.IO puts several texts one after the
 * other, 0x1e between them (version 4) or the next one's length before it (3: `96:0{…}2:40`): after a whole value of JSON another text may begin. */
#include "proxy/record/redact_body.h"

enum { PACKET_END = 0x1e };

void text_begin(struct text_state *s)
{
    s->what = TEXT_LEAD;
    s->lead_len = 0;
}

static void drop(void *to, struct slice s)
{
    (void)to;
    (void)s;
}

/* A form's name has passed as it is, which it also does in a form: the reading only has to know it. */
static void begin_form(struct text_state *s, const struct secret_names *names)
{
    struct redact_out nowhere = { drop, NULL };
    s->what = TEXT_FORM;
    memset(&s->s.form, 0, sizeof s->s.form);
    if (form_feed(&s->s.form, names, slice_of(s->lead, s->lead_len), &nowhere) != OK)
        s->what = TEXT_PLAIN;
}

static bool may_lead(unsigned char c)
{
    unsigned char low = ascii_lower(c);
    return (low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') || (c != 0 && strchr("_-.,/:%", c) != NULL);
}

/* Looks at the first bytes; how many of them were looked at. */
static size_t find_out(struct text_state *s, const struct secret_names *names, struct slice data)
{
    for (size_t i = 0; i < data.len; i++) {
        unsigned char c = data.ptr[i];
        bool space = c == ' ' || c == '\t' || c == '\r' || c == '\n';
        if (c == '{' || c == '[') {
            s->what = TEXT_JSON;
            memset(&s->s.json, 0, sizeof s->s.json);
            return i;
        }
        if (c == '=' && s->lead_len > 0 && !s->no_forms) {
            begin_form(s, names);
            return i;
        }
        if (space && s->lead_len == 0)
            continue;
        if (!may_lead(c) || s->lead_len == TEXT_LEAD_MAX) {
            s->what = TEXT_PLAIN;
            return i;
        }
        s->lead[s->lead_len++] = c;
    }
    return data.len;
}

/* How much of data was dealt with: less than all of it where the text turned out to be something else. */
static size_t feed_some(struct text_state *s, const struct secret_names *names, struct slice data, const struct redact_out *out)
{
    size_t taken = data.len;
    unsigned before;
    enum status st;
    switch (s->what) {
    case TEXT_LEAD:
        taken = find_out(s, names, data);
        redact_put(out, slice_of(data.ptr, taken));
        return taken;
    case TEXT_FORM:
        before = s->s.form.removed;
        st = form_feed(&s->s.form, names, data, out);
        s->removed += s->s.form.removed - before;
        if (st == OK)
            return data.len;
        s->what = TEXT_PLAIN;
        return 0;
    case TEXT_JSON:
        before = s->s.json.removed;
        st = json_feed(&s->s.json, names, data, out, &taken);
        s->removed += s->s.json.removed - before;
        if (st == OK)
            return data.len;
        s->what = TEXT_PLAIN;
        if (s->packets && s->s.json.depth == 0 && s->s.json.seen > 0)   /* between two values */
            text_begin(s);
        return taken;
    default:
        redact_put(out, data);
        return data.len;
    }
}

static void feed_text(struct text_state *s, const struct secret_names *names, struct slice data, const struct redact_out *out)
{
    while (data.len > 0)
        data = slice_from(data, feed_some(s, names, data, out));
}

void text_feed(struct text_state *s, const struct secret_names *names, struct slice data, const struct redact_out *out)
{
    while (s->packets && data.len > 0) {
        size_t n = slice_find(data, PACKET_END);
        feed_text(s, names, slice_of(data.ptr, n), out);
        data = slice_from(data, n);
        if (data.len == 0)
            return;
        text_begin(s);
        redact_put(out, slice_of(data.ptr, 1));
        data = slice_from(data, 1);
    }
    feed_text(s, names, data, out);
}
