#include "proxy/http/prefer.h"

#include "proxy/http/syntax.h"

/* token [ BWS "=" BWS word ] *( OWS ";" [ OWS parameter ] ): the name, and the word without quotes; an empty word is none (RFC 7240 s2). */
static struct slice preference(struct slice element, struct slice *word)
{
    size_t end = slice_find(element, ';'), eq;
    struct slice first = slice_trim(slice_of(element.ptr, end));
    *word = SLICE("");
    eq = slice_find(first, '=');
    if (eq < first.len)
        *word = slice_trim(slice_from(first, eq + 1));
    if (word->len >= 2 && word->ptr[0] == '"' && word->ptr[word->len - 1] == '"')
        *word = slice_of(word->ptr + 1, word->len - 2);
    return slice_trim(slice_of(first.ptr, eq));
}

static bool seconds(struct slice word, uint32_t *out)
{
    uint64_t n = 0;
    if (word.len == 0)
        return false;
    for (size_t i = 0; i < word.len; i++) {
        unsigned digit = word.ptr[i] - (unsigned)'0';
        if (digit > 9)
            return false;
        n = n > INT32_MAX / 10 ? INT32_MAX : n * 10 + digit;
    }
    *out = n > INT32_MAX ? INT32_MAX : (uint32_t)n;
    return true;
}

bool prefer_wait(const struct fields *f, uint32_t *seconds_out)
{
    for (size_t i = 0; i < f->count; i++) {
        struct slice rest = f->v[i].value, element, word;
        if (!slice_eq(f->v[i].name, SLICE("prefer")) || rest.len == 0)
            continue;
        while (list_next(&rest, &element))
            if (element.len > 0 && slice_ieq(preference(element, &word), SLICE("wait")))
                return seconds(word, seconds_out);
    }
    return false;
}
