/* A request-target, the first byte says what the tool allows. The normal form is its own normal form and holds nothing that was not allowed. */
#include "config/config.h"
#include "proxy/http/target.h"

#include <assert.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool holds(struct slice s, const char *text)
{
    return memmem(s.ptr, s.len, text, strlen(text)) != NULL;
}

static void check(const struct message *m, unsigned allow)
{
    struct slice path = m->path;
    assert(path.len > 0 && path.ptr[0] == '/');
    assert(m->target.len == path.len + (m->query.ptr ? m->query.len + 1 : 0) && slice_starts(m->target, path));
    assert(!holds(path, "/../") && !holds(path, "/./") && !holds(path, "\\") && !holds(path, "/..;") && !holds(path, "%2E"));
    assert((allow & TARGET_ENCODED_SLASH) || !holds(path, "%2F"));
    assert((allow & TARGET_BACKSLASH) || !holds(path, "%5C"));
    assert((allow & TARGET_EMPTY_SEGMENT) || !holds(path, "//"));
    assert((allow & TARGET_DOUBLE_ENCODING) || (!holds(path, "%252F") && !holds(path, "%2561") && !holds(path, "%252e")));
    for (size_t i = 0; i < m->target.len; i++)
        assert(m->target.ptr[i] > 0x20 && m->target.ptr[i] < 0x7f && m->target.ptr[i] != '#');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct message again;
    struct refusal why = { 0 };
    if (size == 0)
        return 0;
    unsigned allow = data[0] & 15u;
    struct message m = { .method = SLICE("GET"), .raw_target = slice_of(data + 1, size - 1) };
    arena_init(&arena, 1 << 20);
    if (target_normalise(&m, allow, &arena, &why) == PARSE_OK) {
        check(&m, allow);
        again = (struct message){ .method = SLICE("GET"), .raw_target = m.target };
        if (m.target.len <= TARGET_MAX) {
            enum parse p = target_normalise(&again, allow, &arena, &why);
            assert(p == PARSE_OK && slice_eq(again.target, m.target));
        }
    } else {
        assert(why.reason != NULL && (why.status == 400 || why.status == 414));
    }
    arena_done(&arena);
    return 0;
}
