#include "proxy/commands/body_text.h"
#include "proxy/commands/html_text.h"
#include "proxy/record/inflate.h"
#include "proxy/commands/term.h"
#include "proxy/commands/words.h"
#include "proxy/console/request_view.h"

#include <stdlib.h>
#include <strings.h>

enum { DECODED_MAX = 16 * 1024 * 1024, HEX_SHOWN = 256 };

bool media_type_is(const char *type, const char *wanted)
{
    size_t n = strcspn(type, "; \t"), want = strlen(wanted);
    if (want > 0 && wanted[want - 1] == '/')
        return n > want && strncasecmp(type, wanted, want) == 0;
    return n == want && strncasecmp(type, wanted, n) == 0;
}

static bool is_json(const char *type)
{
    size_t n = strcspn(type, "; \t");
    return media_type_is(type, "application/json") || (n > 5 && strncasecmp(type + n - 5, "+json", 5) == 0);
}

static void say_cut(FILE *out, const char *prefix, size_t more)
{
    char size[WORDS_MAX];
    if (more > 0)
        fprintf(out, "%s[… %s more, not shown]\n", prefix, words_bytes(more, size));
}

static int hex_digit(unsigned char c)
{
    c = ascii_lower(c);
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Print one name or value of a form, '+' and %XX undone. A '%' that begins no escape stays; so does an escaped '=' in a name, which would look like its end. */
static void print_decoded(FILE *out, struct slice s, bool is_name)
{
    unsigned char *plain = malloc(s.len + 1);
    size_t n = 0;
    if (plain == NULL) {
        term_text(out, s);
        return;
    }
    for (size_t i = 0; i < s.len; i++) {
        bool escape = s.ptr[i] == '%' && i + 2 < s.len && hex_digit(s.ptr[i + 1]) >= 0 && hex_digit(s.ptr[i + 2]) >= 0;
        int c = escape ? hex_digit(s.ptr[i + 1]) << 4 | hex_digit(s.ptr[i + 2]) : 0;
        if (escape && !(is_name && c == '=')) {
            plain[n++] = (unsigned char)c;
            i += 2;
        } else {
            plain[n++] = s.ptr[i] == '+' ? ' ' : s.ptr[i];
        }
    }
    term_text(out, slice_of(plain, n));
    free(plain);
}

static void print_pair(FILE *out, struct slice pair, json_t *seen)
{
    size_t eq = slice_find(pair, '=');
    struct slice name = slice_of(pair.ptr, eq);
    bool again = pair.len > 0 && request_view_again(seen, name);
    print_decoded(out, name, true);
    if (eq < pair.len && !again && request_view_is_token(name, slice_from(pair, eq + 1))) {
        fprintf(out, "=(%zu bytes, the page's own token, not shown)", pair.len - eq - 1);
    } else if (eq < pair.len) {
        fputc('=', out);
        print_decoded(out, slice_from(pair, eq + 1), false);
    }
    if (again)
        fputs("   [" REQUEST_VIEW_AGAIN "]", out);
    fputc('\n', out);
}

static void print_form(FILE *out, struct slice s, size_t shown, const char *prefix)
{
    size_t all = s.len;
    json_t *seen = json_object();
    while (s.len > 0 && all - s.len < shown) {
        size_t end = slice_find(s, '&');
        fputs(prefix, out);
        print_pair(out, slice_of(s.ptr, end), seen);
        s = slice_from(s, end < s.len ? end + 1 : end);
    }
    json_decref(seen);
    say_cut(out, prefix, s.len);
}

static void print_text(FILE *out, struct slice s, size_t shown, const char *prefix)
{
    size_t n = s.len < shown ? s.len : shown;
    while (n > 0 && n < s.len && (s.ptr[n] & 0xc0) == 0x80)   /* not in the middle of a character */
        n--;
    term_block(out, slice_of(s.ptr, n), prefix);
    say_cut(out, prefix, s.len - n);
}

static void print_json(FILE *out, struct slice s, size_t shown, const char *prefix)
{
    json_error_t where;
    json_t *v = json_loadb((const char *)s.ptr, s.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &where);
    char *text = v != NULL ? json_dumps(v, JSON_INDENT(2) | JSON_ENCODE_ANY) : NULL;
    if (text != NULL)
        print_text(out, slice_str(text), shown, prefix);
    else {
        fprintf(out, "%s[not JSON that reads in one way (", prefix);
        term_str(out, v == NULL ? where.text : "no memory");   /* it quotes the body */
        fputs("), so as it came:]\n", out);
        print_text(out, s, shown, prefix);
    }
    free(text);
    json_decref(v);
}

static void print_hex(FILE *out, struct slice s, size_t shown, const char *prefix)
{
    size_t n = s.len < shown ? s.len : shown;
    n = n < HEX_SHOWN ? n : HEX_SHOWN;
    for (size_t i = 0; i < n; i += 16) {
        fprintf(out, "%s%06zx ", prefix, i);
        for (size_t k = i; k < i + 16; k++)
            fprintf(out, k < n ? " %02x" : "   ", k < n ? (unsigned)s.ptr[k] : 0);
        fputs("  ", out);
        for (size_t k = i; k < n && k < i + 16; k++)
            fputc(s.ptr[k] >= 0x20 && s.ptr[k] < 0x7f ? s.ptr[k] : '.', out);
        fputc('\n', out);
    }
    say_cut(out, prefix, s.len - n);
}

/* Is it text? No NUL, and hardly any other control. */
static bool looks_like_text(struct slice s)
{
    size_t odd = 0, n = s.len < 4096 ? s.len : 4096;
    for (size_t i = 0; i < n; i++) {
        if (s.ptr[i] == 0)
            return false;
        odd += s.ptr[i] < 0x20 && s.ptr[i] != '\n' && s.ptr[i] != '\r' && s.ptr[i] != '\t';
    }
    return odd * 32 <= n;
}

static void print_exact(FILE *out, const char *type, struct slice s, size_t shown, const char *prefix)
{
    if (media_type_is(type, "application/x-www-form-urlencoded"))
        print_form(out, s, shown, prefix);
    else if (is_json(type))
        print_json(out, s, shown, prefix);
    else if (looks_like_text(s))
        print_text(out, s, shown, prefix);
    else
        print_hex(out, s, shown, prefix);
}

static void print_page(FILE *out, struct slice s, size_t shown, const char *prefix)
{
    size_t len = 0;
    char *text = html_to_text(s, shown, &len);
    if (text == NULL) {
        fprintf(out, "%s[no memory to show the page]\n", prefix);
        return;
    }
    term_block(out, slice_of(text, len), prefix);
    if (len == shown)
        fprintf(out, "%s[… the page goes on]\n", prefix);
    free(text);
}

/* Undo the coding, hand the plain body to `print`, and say what had to be left out. */
static void with_decoded(FILE *out, const char *type, const char *coding, struct slice body, size_t shown, const char *prefix, bool page)
{
    unsigned char *owned = NULL;
    struct slice plain;
    bool cut = false;
    char name[64];
    struct slice charset;
    term_escape(slice_str(coding), name, sizeof name);
    if (body.len == 0)
        return;
    if (!page && request_view_other_charset(slice_str(type), &charset)) {
        char shown_name[64];
        fprintf(out, "%s[it says that it is in the character set '%s'; read as UTF-8 here, so the tool may read something else]\n", prefix,
                term_escape(charset, shown_name, sizeof shown_name));
    }
    if (body_decode(body, coding, DECODED_MAX, &owned, &plain, &cut) != OK) {
        fprintf(out, "%s[coded as '%s', which this command does not read; the coded bytes:]\n", prefix, name);
        print_hex(out, body, shown, prefix);
        return;
    }
    if (owned != NULL && !page)
        fprintf(out, "%s[coded as %s; decoded:]\n", prefix, name);
    if (page && (media_type_is(type, "text/html") || media_type_is(type, "application/xhtml+xml")))
        print_page(out, plain, shown, prefix);
    else
        print_exact(out, type, plain, shown, prefix);
    if (cut)
        fprintf(out, "%s[it breaks off or goes on here: decoding stopped]\n", prefix);
    free(owned);
}

void body_text_print(FILE *out, const char *type, const char *coding, struct slice body, size_t shown, const char *prefix)
{
    with_decoded(out, type, coding, body, shown, prefix, false);
}

static bool is_for_machines(const char *type)
{
    static const char *const types[] = { "text/css", "text/javascript", "application/javascript", "application/x-javascript", "application/wasm", "image/", "font/",
        "audio/", "video/", "application/font-woff", "application/octet-stream" };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (media_type_is(type, types[i]))
            return true;
    return false;
}

void body_page_print(FILE *out, const char *type, const char *coding, struct slice body, size_t shown, const char *prefix)
{
    char size[WORDS_MAX], name[128];
    if (is_for_machines(type))
        fprintf(out, "%s[%s, %s]\n", prefix, term_escape(slice_str(type), name, sizeof name), words_bytes(body.len, size));
    else
        with_decoded(out, type, coding, body, shown, prefix, true);
}
