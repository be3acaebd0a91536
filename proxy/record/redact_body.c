#include "proxy/record/redact_body.h"

/* The type of a body. */

static struct slice take_until(struct slice *s, unsigned char c)
{
    size_t n = slice_find(*s, c);
    struct slice head = slice_of(s->ptr, n);
    *s = slice_from(*s, n < s->len ? n + 1 : n);
    return slice_trim(head);
}

static bool ends_with(struct slice s, struct slice tail)
{
    return s.len >= tail.len && slice_ieq(slice_from(s, s.len - tail.len), tail);
}

static enum body_kind kind_of_type(struct slice type)
{
    if (slice_ieq(type, SLICE("application/x-www-form-urlencoded")))
        return BODY_FORM;
    if (slice_ieq(type, SLICE("multipart/form-data")))
        return BODY_MULTIPART;
    if (ends_with(type, SLICE("/json")) || ends_with(type, SLICE("+json")) || ends_with(type, SLICE("json-seq"))
        || ends_with(type, SLICE("ndjson")) || ends_with(type, SLICE("jsonl")) || ends_with(type, SLICE("/csp-report")))
        return BODY_JSON;
    return slice_ieq(type, SLICE("text/plain")) ? BODY_TEXT : BODY_OTHER;
}

static struct slice unquote(struct slice v)
{
    if (v.len >= 2 && v.ptr[0] == '"' && v.ptr[v.len - 1] == '"')
        return slice_of(v.ptr + 1, v.len - 2);
    return v;
}

static bool charset_is_ascii_like(struct slice v)
{
    return slice_ieq(v, SLICE("utf-8")) || slice_ieq(v, SLICE("utf8")) || slice_ieq(v, SLICE("us-ascii"))
           || slice_ieq(v, SLICE("iso-8859-1")) || slice_ieq(v, SLICE("windows-1252"));
}

/* bchars of RFC 2046 s5.1.1, without space at the end: what every parser agrees on. */
static bool boundary_ok(struct slice b)
{
    if (b.len == 0 || b.len > BOUNDARY_MAX)
        return false;
    for (size_t i = 0; i < b.len; i++)
        if (b.ptr[i] <= ' ' || b.ptr[i] >= 0x7f || strchr("\"\\;<>@[]{}|^`~!#$%&*", b.ptr[i]) != NULL)
            return false;
    return true;
}

static enum body_kind read_type(struct slice value, unsigned char *boundary_out, size_t *boundary_len_out)
{
    struct slice rest = value, boundary = { 0 };
    struct slice type = take_until(&rest, ';');
    enum body_kind kind = kind_of_type(type);
    if (kind != BODY_OTHER && slice_find(type, ',') < type.len)
        return BODY_UNREADABLE;
    if (kind == BODY_OTHER || kind == BODY_TEXT) {   /* a list of types, one of which might be read */
        size_t comma = slice_find(value, ',');
        enum body_kind next = comma < value.len ? kind_of_type(slice_trim(slice_from(value, comma + 1))) : BODY_OTHER;
        if (next != BODY_OTHER && next != BODY_TEXT)
            return BODY_UNREADABLE;
        if (kind == BODY_OTHER)
            return BODY_OTHER;
    }
    while (rest.len > 0) {
        struct slice param = take_until(&rest, ';'), v = param;
        struct slice name = take_until(&v, '=');
        if (name.len >= 7 && slice_ieq(slice_of(name.ptr, 7), SLICE("charset")) && !charset_is_ascii_like(unquote(v)))
            return kind == BODY_TEXT ? BODY_OTHER : BODY_UNREADABLE;
        if (kind == BODY_TEXT || name.len < 8 || !slice_ieq(slice_of(name.ptr, 8), SLICE("boundary")))
            continue;
        if (name.len > 8 || boundary.len > 0 || !boundary_ok(unquote(v)))
            return BODY_UNREADABLE;
        boundary = unquote(v);
    }
    if (kind == BODY_MULTIPART && boundary.len == 0)
        return BODY_UNREADABLE;
    if (boundary.len)
        memcpy(boundary_out, boundary.ptr, boundary.len);
    *boundary_len_out = boundary.len;
    return kind;
}

enum body_kind body_kind_of(const struct fields *fields, unsigned char *boundary_out, size_t *boundary_len_out)
{
    enum body_kind kind = BODY_OTHER;
    bool coded = false, readable = false;
    size_t types = 0;
    *boundary_len_out = 0;
    for (size_t i = 0; i < fields->count; i++) {
        const struct field *f = &fields->v[i];
        if (slice_ieq(f->name, SLICE("content-type"))) {
            kind = read_type(f->value, boundary_out, boundary_len_out);
            types++;
            readable |= kind != BODY_OTHER && kind != BODY_TEXT;
        } else if (slice_ieq(f->name, SLICE("content-encoding")) && !slice_ieq(f->value, SLICE("identity")) && f->value.len > 0) {
            coded = true;
        }
    }
    if (!coded && types <= 1)
        return kind;
    return readable ? BODY_UNREADABLE : BODY_OTHER;
}

void body_redactor_init(struct body_redactor *r, enum body_kind kind, const struct secret_names *names, struct slice boundary)
{
    r->kind = kind;
    r->names = names;
    memset(&r->s, 0, sizeof r->s);
    if (kind == BODY_MULTIPART) {
        memcpy(r->s.multipart.delimiter, "--", 2);
        memcpy(r->s.multipart.delimiter + 2, boundary.ptr, boundary.len);
        r->s.multipart.delimiter_len = boundary.len + 2;
        r->s.multipart.matching = true;
    }
    if (kind == BODY_TEXT)
        r->s.text.packets = true;
}

enum status body_redactor_feed(struct body_redactor *r, struct slice data, const struct redact_out *out, size_t *taken_out)
{
    *taken_out = data.len;
    switch (r->kind) {
    case BODY_FORM:
        return form_feed(&r->s.form, r->names, data, out);
    case BODY_JSON:
        return json_feed(&r->s.json, r->names, data, out, taken_out);
    case BODY_MULTIPART:
        return multipart_feed(&r->s.multipart, r->names, data, out, taken_out);
    case BODY_TEXT:
        text_feed(&r->s.text, r->names, data, out);
        return OK;
    case BODY_UNREADABLE:
        *taken_out = 0;
        return BAD_INPUT;
    case BODY_OTHER:
        break;
    }
    redact_put(out, data);
    return OK;
}

unsigned body_redactor_removed(const struct body_redactor *r)
{
    switch (r->kind) {
    case BODY_FORM:
        return r->s.form.removed;
    case BODY_JSON:
        return r->s.json.removed;
    case BODY_MULTIPART:
        return r->s.multipart.removed;
    case BODY_TEXT:
        return r->s.text.removed;
    case BODY_UNREADABLE:
    case BODY_OTHER:
        break;
    }
    return 0;
}

/* form = pair *( ( "&" / ";" ) pair ); pair = key [ "=" value ]. Any bytes are a form; ';' splits for finding names, and a secret value reaches
 * to the next '&', so that neither reading leaves a secret behind. */
enum { FORM_KEY, FORM_VALUE, FORM_SECRET_START, FORM_SECRET };

static bool form_key_is_secret(struct form_state *s, const struct secret_names *names)
{
    if (s->key_len > REDACT_KEY_MAX)
        return true;
    return secret_name(names, slice_of(s->key, redact_decode(s->key, s->key_len)));
}

static void form_key_byte(struct form_state *s, const struct secret_names *names, unsigned char c)
{
    if (c == '&' || c == ';') {
        s->key_len = 0;
    } else if (c == '=') {
        s->state = form_key_is_secret(s, names) ? FORM_SECRET_START : FORM_VALUE;
        s->key_len = 0;
    } else if (s->key_len < REDACT_KEY_MAX) {
        s->key[s->key_len++] = c;
    } else {
        s->key_len = REDACT_KEY_MAX + 1;
    }
}

enum status form_feed(struct form_state *s, const struct secret_names *names, struct slice data, const struct redact_out *out)
{
    size_t from = 0;
    for (size_t i = 0; i < data.len; i++) {
        unsigned char c = data.ptr[i];
        switch (s->state) {
        case FORM_KEY:
            form_key_byte(s, names, c);
            break;
        case FORM_VALUE:
            if (c == '&' || c == ';')
                s->state = FORM_KEY;
            break;
        case FORM_SECRET_START:
            if (c != '&') {
                redact_put(out, slice_of(data.ptr + from, i - from));
                redact_put(out, SLICE(REDACT_REMOVED));
                s->removed++;
            }
            s->state = c == '&' ? FORM_KEY : FORM_SECRET;
            break;
        default:
            if (c == '&') {
                s->state = FORM_KEY;
                from = i;
            }
        }
    }
    if (s->state != FORM_SECRET)
        redact_put(out, slice_of(data.ptr + from, data.len - from));
    return OK;
}
