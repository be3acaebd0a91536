#include "proxy/console/request_view.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKEN_MAX = 256 };

static bool looks_random(struct slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = value.ptr[i], l = ascii_lower(c);
        if (!(l >= 'a' && l <= 'z') && !(c >= '0' && c <= '9') && strchr("/=_-.%", c) == NULL)
            return false;
    }
    return value.len <= TOKEN_MAX;
}

bool request_view_is_token(struct slice name, struct slice value)
{
    static const struct slice names[] = { SLICE_INIT("csrfmiddlewaretoken"), SLICE_INIT("authenticity_token"), SLICE_INIT("_csrf"), SLICE_INIT("_csrf_token"),
        SLICE_INIT("csrf_token"), SLICE_INIT("csrf-token"), SLICE_INIT("__requestverificationtoken"), SLICE_INIT("_xsrf"), SLICE_INIT("xsrf-token") };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (slice_ieq(name, names[i]))
            return looks_random(value);
    return false;
}

bool request_view_other_charset(struct slice type, struct slice *out)
{
    static const struct slice same[] = { SLICE_INIT("utf-8"), SLICE_INIT("utf8"), SLICE_INIT("us-ascii") };
    while (type.len > 0) {
        size_t end = slice_find(type, ';');
        struct slice parameter = slice_trim(slice_of(type.ptr, end));
        size_t eq = slice_find(parameter, '=');
        type = slice_from(type, end < type.len ? end + 1 : end);
        if (eq == parameter.len || !slice_ieq(slice_trim(slice_of(parameter.ptr, eq)), SLICE("charset")))
            continue;
        *out = slice_trim(slice_from(parameter, eq + 1));
        if (out->len >= 2 && out->ptr[0] == '"' && out->ptr[out->len - 1] == '"')
            *out = slice_of(out->ptr + 1, out->len - 2);
        bool known = false;
        for (size_t i = 0; i < sizeof same / sizeof *same; i++)
            known = known || slice_ieq(*out, same[i]);
        if (!known)
            return true;
    }
    return false;
}

static int hex_digit(unsigned char c)
{
    c = ascii_lower(c);
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* '+' and %XX undone; a '%' that begins no escape stays. out has room for s.len. */
static struct slice decode(struct slice s, unsigned char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        bool escape = s.ptr[i] == '%' && i + 2 < s.len && hex_digit(s.ptr[i + 1]) >= 0 && hex_digit(s.ptr[i + 2]) >= 0;
        if (escape) {
            out[n++] = (unsigned char)(hex_digit(s.ptr[i + 1]) << 4 | hex_digit(s.ptr[i + 2]));
            i += 2;
        } else {
            out[n++] = s.ptr[i] == '+' ? ' ' : s.ptr[i];
        }
    }
    return slice_of(out, n);
}

bool request_view_again(json_t *seen, struct slice name)
{
    unsigned char *room = malloc(name.len + 1);
    if (room == NULL)
        return false;
    struct slice plain = decode(name, room);
    const char *key = (const char *)room;
    bool again = json_object_getn(seen, key, plain.len) != NULL;
    (void)json_object_setn_new_nocheck(seen, key, plain.len, json_true());
    free(room);
    return again;
}

static void pair(struct html *h, struct slice s, unsigned char *room, json_t *seen)
{
    char size[64];
    size_t eq = slice_find(s, '=');
    struct slice name = slice_of(s.ptr, eq), value = eq < s.len ? slice_from(s, eq + 1) : SLICE("");
    bool again = request_view_again(seen, name), token = !again && request_view_is_token(name, value);
    html_raw(h, "<dt><code>");
    html_text(h, decode(name, room));
    html_raw(h, "</code></dt><dd>");
    if (token) {
        snprintf(size, sizeof size, "(%zu bytes, the page's own token, not shown)", value.len);
        html_str(h, size);
    } else {
        html_text(h, decode(value, room));
    }
    if (again)
        html_raw(h, " <span class=\"warn\">(" REQUEST_VIEW_AGAIN ")</span>");
    html_raw(h, "</dd>\n");
}

static void form(struct html *h, struct slice s)
{
    unsigned char *room = malloc(s.len + 1);
    json_t *seen = json_object();
    if (room == NULL || seen == NULL) {
        h->failed = true;
        s.len = 0;
    }
    html_raw(h, "<dl class=\"fields\">\n");
    while (s.len > 0) {
        size_t end = slice_find(s, '&');
        if (end > 0)
            pair(h, slice_of(s.ptr, end), room, seen);
        s = slice_from(s, end < s.len ? end + 1 : end);
    }
    html_raw(h, "</dl>\n");
    json_decref(seen);
    free(room);
}

static void warn_charset(struct html *h, struct slice content_type)
{
    struct slice charset;
    if (!request_view_other_charset(content_type, &charset))
        return;
    html_raw(h, "<p class=\"warn\">The request says that its body is in the character set <code>");
    html_text(h, charset);
    html_raw(h, "</code>. Here it was read as UTF-8: the tool may read something else. If you cannot tell what, say no.</p>\n");
}

static void text(struct html *h, struct slice s)
{
    html_raw(h, "<pre>");
    html_text(h, s);
    html_raw(h, "</pre>\n");
}

static void json(struct html *h, struct slice s)
{
    json_t *v = json_loadb((const char *)s.ptr, s.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    char *indented = v ? json_dumps(v, JSON_INDENT(2) | JSON_ENCODE_ANY) : NULL;
    if (indented == NULL)
        html_element(h, "p", "warn", "This is not JSON that reads in one way only; as it came:");
    text(h, indented ? slice_str(indented) : s);
    free(indented);
    json_decref(v);
}

static bool looks_like_text(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] < 0x20 && s.ptr[i] != '\n' && s.ptr[i] != '\r' && s.ptr[i] != '\t')
            return false;
    return true;
}

void request_view_body(struct html *h, struct slice content_type, struct slice content_coding, struct slice body)
{
    struct slice type = slice_trim(slice_of(content_type.ptr, slice_find(content_type, ';')));
    struct slice shown = slice_of(body.ptr, body.len < REQUEST_SHOWN_MAX ? body.len : REQUEST_SHOWN_MAX);
    bool is_json = slice_ieq(type, SLICE("application/json"))
                   || (type.len > 5 && slice_ieq(slice_from(type, type.len - 5), SLICE("+json")));
    if (body.len == 0)
        return;
    warn_charset(h, content_type);
    if (content_coding.len > 0 || !looks_like_text(shown))
        html_element(h, "p", "warn", "The body is not plain text, so it is not shown here. Read it with countersign approve --save-body FILE before you answer.");
    else if (slice_ieq(type, SLICE("application/x-www-form-urlencoded")))
        form(h, shown);
    else if (is_json && shown.len == body.len)
        json(h, shown);
    else
        text(h, shown);
    if (shown.len < body.len)
        html_element(h, "p", "warn", "The body is longer than what is shown. Read all of it with countersign approve --save-body FILE before you answer.");
}
