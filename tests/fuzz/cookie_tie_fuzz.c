/* Cookies: whatever a browser sends, no cookie of a tied name goes on without the tag of this identity; what the tool set comes back as it was, among anything. */
#include "proxy/http/cookie_tie.h"

#include "proxy/http/syntax.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *const names[] = { "sid", "session_id", "app.*" };

/* As a plain reader would find it. */
static struct slice cookie_named(struct slice list, struct slice wanted)
{
    while (list.len > 0) {
        size_t end = slice_find(list, ';');
        struct slice part = slice_of(list.ptr, end), name = slice_trim(slice_of(part.ptr, slice_find(part, '=')));
        if (name.len < part.len && slice_ieq(name, wanted))
            return slice_from(part, slice_find(part, '=') + (slice_find(part, '=') < part.len));
        list = slice_from(list, end < list.len ? end + 1 : end);
    }
    return (struct slice){ 0 };
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned char key[32] = { 7 };
    const struct cookie_tie t = { key, SLICE("support"), SLICE("alice@acme.localhost"), names, 3 };
    struct arena a;
    struct slice in = { data, size }, out, sent, again;
    unsigned dropped = 0;
    if (size > 16384 || !value_is_clean(in))
        return 0;
    arena_init(&a, 1 << 20);
    if (cookie_tie_take(&t, in, &a, &out, &dropped) != OK)
        abort();
    assert(out.len <= 2 * in.len + 1 && value_is_clean(out));   /* "a;b" becomes "a; b" */
    bool tagged = memmem(in.ptr, in.len, "cs1.", 4) != NULL;   /* a fuzzer keeps the tags it has seen, and they are right ones */
    assert(tagged || (cookie_named(out, SLICE("sid")).ptr == NULL && cookie_named(out, SLICE("session_id")).ptr == NULL));
    if (cookie_tie_set(&t, in, &a, &sent) != OK)
        abort();
    assert(slice_eq(sent, in) || memmem(sent.ptr, sent.len, "=cs1.", 5) != NULL);
    /* "sid=<the input up to ';'>" set by the tool, and then sent back behind the whole input. */
    struct slice value = slice_trim(slice_of(in.ptr, slice_find(in, ';')));
    unsigned char *text = malloc(2 * size + 128);
    if (text == NULL)
        abort();
    memcpy(text, "sid=", 4);
    if (value.len > 0)
        memcpy(text + 4, value.ptr, value.len);
    if (cookie_tie_set(&t, slice_of(text, value.len + 4), &a, &sent) != OK)
        abort();
    if (size > 0)
        memcpy(text, data, size);
    memcpy(text + size, "; ", 2);
    memcpy(text + size + 2, sent.ptr, sent.len);
    if (cookie_tie_take(&t, slice_of(text, size + 2 + sent.len), &a, &again, &dropped) != OK)
        abort();
    assert(tagged || slice_eq(slice_trim(cookie_named(again, SLICE("sid"))), value));
    free(text);
    arena_done(&a);
    return 0;
}
