#include "proxy/console/request_view.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

bool request_view_is_token(struct slice name)
{
    static const struct slice names[] = { SLICE_INIT("csrfmiddlewaretoken"), SLICE_INIT("authenticity_token"), SLICE_INIT("_csrf"), SLICE_INIT("_csrf_token"),
        SLICE_INIT("csrf_token"), SLICE_INIT("csrf-token"), SLICE_INIT("__requestverificationtoken"), SLICE_INIT("_xsrf"), SLICE_INIT("xsrf-token") };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (slice_ieq(name, names[i]))
            return true;
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

static void pair(struct html *h, struct slice s, unsigned char *room)
{
    char size[64];
    size_t eq = slice_find(s, '=');
    struct slice name = decode(slice_of(s.ptr, eq), room);
    bool token = request_view_is_token(name);
    html_raw(h, "<dt><code>");
    html_text(h, name);
    html_raw(h, "</code></dt><dd>");
    if (token) {
        snprintf(size, sizeof size, "(%zu bytes, the page's own token, not shown)", eq < s.len ? s.len - eq - 1 : 0);
        html_str(h, size);
    } else {
        html_text(h, eq < s.len ? decode(slice_from(s, eq + 1), room) : SLICE(""));
    }
    html_raw(h, "</dd>\n");
}

static void form(struct html *h, struct slice s)
{
    unsigned char *room = malloc(s.len + 1);
    if (room == NULL) {
        h->failed = true;
        return;
    }
    html_raw(h, "<dl class=\"fields\">\n");
    while (s.len > 0) {
        size_t end = slice_find(s, '&');
        if (end > 0)
            pair(h, slice_of(s.ptr, end), room);
        s = slice_from(s, end < s.len ? end + 1 : end);
    }
    html_raw(h, "</dl>\n");
    free(room);
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
