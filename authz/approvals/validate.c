#include "authz/approvals/validate.h"

#include "certs/trust.h"
#include "proxy/base/codec.h"

#include <string.h>

static const int64_t largest = (int64_t)1 << 53;

static bool printable(const char *s, size_t n, unsigned char lowest)
{
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] < lowest || (unsigned char)s[i] > 0x7e)
            return false;
    return true;
}

static bool bytes32(const json_t *v)
{
    unsigned char raw[32];
    size_t len = 0;
    return json_is_string(v) && json_string_length(v) == 43
           && b64url_decode(slice_str(json_string_value(v)), raw, sizeof raw, &len) == OK && len == sizeof raw;
}

static bool text(const json_t *v, const struct field *f)
{
    if (!json_is_string(v))
        return false;
    const char *s = json_string_value(v);
    size_t n = json_string_length(v);
    if (n < (size_t)f->min || n > (size_t)f->max || strlen(s) != n)
        return false;
    return f->kind == FIELD_TEXT || printable(s, n, f->kind == FIELD_WORD ? 0x21 : 0x20);
}

static bool who(const json_t *v)
{
    static const struct field identity = { "identity", FIELD_WORD, 3, IDENTITY_MAX, false, false };
    const json_t *until = json_object_get(v, "not_after");
    return json_is_object(v) && json_object_size(v) == 3 && text(json_object_get(v, "identity"), &identity)
           && bytes32(json_object_get(v, "x5t")) && json_is_integer(until) && json_integer_value(until) > 0
           && json_integer_value(until) <= largest;
}

static bool number(const json_t *v, const struct field *f)
{
    return json_is_integer(v) && json_integer_value(v) >= f->min && json_integer_value(v) <= f->max;
}

static bool words(const json_t *v, const struct field *f)
{
    static const struct field word = { "word", FIELD_WORD, 1, 64, false, false };
    size_t n = json_array_size(v);
    bool good = json_is_array(v) && n >= (size_t)f->min && n <= (size_t)f->max;
    for (size_t i = 0; good && i < n; i++)
        good = text(json_array_get(v, i), &word);
    return good;
}

static bool texts(const json_t *v, const struct field *f)
{
    static const struct field each = { "text", FIELD_TEXT, 0, 1024, false, false };
    const char *name;
    json_t *member;
    bool good = json_is_object(v) && json_object_size(v) >= (size_t)f->min && json_object_size(v) <= (size_t)f->max;
    json_object_foreach((json_t *)(uintptr_t)v, name, member)
        good = good && text(member, &each);
    return good;
}

static bool spends(const json_t *v, const struct field *f)
{
    static const struct field name = { "name", FIELD_WORD, 1, 79, false, false }, shown = { "shown", FIELD_ASCII, 0, 128, false, false };
    static const struct field amount = { "amount", FIELD_NUMBER, 1, INT64_C(1) << 53, false, false };
    size_t n = json_array_size(v);
    if (!json_is_array(v) || n < (size_t)f->min || n > (size_t)f->max)
        return false;
    for (size_t i = 0; i < n; i++) {
        const json_t *each = json_array_get(v, i), *digest = json_object_get(each, "digest");
        bool value = digest != NULL && json_object_size(each) == 3 && bytes32(digest) && text(json_object_get(each, "shown"), &shown);
        bool counted = digest == NULL && json_object_size(each) == 2 && number(json_object_get(each, "amount"), &amount);
        if (!text(json_object_get(each, "name"), &name) || (!value && !counted))
            return false;
    }
    return true;
}

static bool sound(const json_t *v, const struct field *f)
{
    switch (f->kind) {
    case FIELD_TEXT:
    case FIELD_WORD:
    case FIELD_ASCII:
        return text(v, f);
    case FIELD_BYTES32:
        return bytes32(v);
    case FIELD_NUMBER:
        return number(v, f);
    case FIELD_WHO:
        return who(v);
    case FIELD_WORDS:
        return words(v, f);
    case FIELD_TEXTS:
        return texts(v, f);
    case FIELD_SPENDS:
        return spends(v, f);
    }
    return false;
}

static const char *expected(const struct field *f)
{
    static const char *const words[] = {
        [FIELD_TEXT] = "a text",        [FIELD_WORD] = "a word",     [FIELD_ASCII] = "a plain text",
        [FIELD_BYTES32] = "32 bytes as base64url", [FIELD_NUMBER] = "a whole number", [FIELD_WHO] = "an identity",
        [FIELD_WORDS] = "a list of names",
        [FIELD_TEXTS] = "an object of texts",
        [FIELD_SPENDS] = "lines of a budget",
    };
    return words[f->kind];
}

enum validity validate(const json_t *message, const struct field *fields, struct err *why)
{
    size_t known = 0;
    if (json_object_get(message, "n") != NULL)
        known++;
    if (json_object_get(message, "op") != NULL)
        known++;
    enum validity worst = VALID;
    for (const struct field *f = fields; f->name != NULL; f++) {
        const json_t *v = json_object_get(message, f->name);
        if (v != NULL)
            known++;
        if (v == NULL ? f->optional : sound(v, f))
            continue;
        (void)fail(why, BAD_INPUT, "'%s' must be %s (%lld to %lld)", f->name, expected(f), (long long)f->min, (long long)f->max);
        if (!f->typed)
            return MALFORMED;
        worst = MISTYPED;
    }
    if (worst == VALID && known != json_object_size(message)) {
        (void)fail(why, BAD_INPUT, "there are members that are not known here");
        worst = MISTYPED;
    }
    return worst;
}

/* The text is valid UTF-8 already: jansson refused everything else. */
bool reason_good(const char *reason)
{
    size_t characters = 0, visible = 0;
    for (const unsigned char *s = (const unsigned char *)reason; *s != 0; s++) {
        if (*s < 0x20 || *s == 0x7f || (*s == 0xc2 && s[1] >= 0x80 && s[1] <= 0x9f))   /* C0, DEL, C1 */
            return false;
        characters += (*s & 0xc0) != 0x80;
        visible += *s > 0x20;
    }
    return characters >= 3 && characters <= 500 && visible >= 3;
}
