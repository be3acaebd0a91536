/* Patterns and the policy. The input is lines: patterns, and a path as the last one. Matching must agree with the plainest possible matcher, and the
 * index with trying every action. */
#include "authz/policy.h"
#include "config/index.h"

#include <stdint.h>
#include <stdlib.h>

enum { ACTIONS_MAX = 12, LINE_MAX_BYTES = 300 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* reached[k]: the pattern from p on matches the path from k on. Filled from the pattern's end. */
static bool plainly(const char *pattern, size_t len, struct slice path)
{
    static unsigned char reached[LINE_MAX_BYTES + 2][LINE_MAX_BYTES + 2];
    for (size_t p = len + 1; p-- > 0;)
        for (size_t k = path.len + 1; k-- > 0;) {
            bool more = k < path.len, any = pattern[p] == '*' && pattern[p + 1] == '*';
            if (p == len)
                reached[p][k] = !more;
            else if (any)
                reached[p][k] = reached[p + 2][k] || (more && reached[p][k + 1]);
            else if (pattern[p] == '*')
                reached[p][k] = reached[p + 1][k] || (more && path.ptr[k] != '/' && reached[p][k + 1]);
            else
                reached[p][k] = more && path.ptr[k] == (unsigned char)pattern[p] &&
                                (reached[p + 1][k + 1] || (strncmp(pattern + p, "/**/", 4) == 0 && reached[p + 4][k + 1]));
        }
    return reached[0][0];
}

static bool value_plainly(const char *pattern, size_t len, struct slice v)
{
    static unsigned char reached[LINE_MAX_BYTES + 2][LINE_MAX_BYTES + 2];
    for (size_t p = len + 1; p-- > 0;)
        for (size_t k = v.len + 1; k-- > 0;) {
            bool more = k < v.len;
            if (p == len)
                reached[p][k] = !more;
            else if (pattern[p] == '*')
                reached[p][k] = reached[p + 1][k] || (more && reached[p][k + 1]);
            else
                reached[p][k] = more && v.ptr[k] == (unsigned char)pattern[p] && reached[p + 1][k + 1];
        }
    return reached[0][0];
}

static void judge_both_ways(struct action *actions, size_t count, struct slice path)
{
    struct arena arena;
    struct slice get = SLICE("GET");
    struct tool plain = { .name = "t", .actions = actions, .action_count = count }, indexed = plain;
    struct policy_request r = { .methods = &get, .method_count = 1, .path = path, .body_seen = true };
    char words[300];
    arena_init(&arena, 1 << 20);
    indexed.index = action_index_new(&arena, actions, count);
    struct verdict x = policy_judge(&plain, &r), y = policy_judge(&indexed, &r);
    if (indexed.index == NULL || x.requirement != y.requirement || x.action != y.action || memcmp(x.also, y.also, sizeof x.also) != 0 || (x.action == NULL && x.requirement != NEED_DENY))
        abort();
    policy_explain(&plain, &r, words, sizeof words);
    arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char lines[ACTIONS_MAX + 1][LINE_MAX_BYTES + 1], name[] = "a";
    struct action actions[ACTIONS_MAX];
    struct slice rest = slice_of(data, size), path = rest;
    size_t count = 0;
    for (;;) {
        size_t end = slice_find(rest, '\n');
        path = slice_of(rest.ptr, end);
        if (end == rest.len || count == ACTIONS_MAX)
            break;
        if (end > LINE_MAX_BYTES || slice_find(path, 0) < path.len)
            return 0;
        memcpy(lines[count], path.ptr, end);
        lines[count][end] = 0;
        actions[count] = (struct action){ .name = name, .path = lines[count], .requirement = (enum requirement)(end % 3), .durable = end % 2 };
        count++;
        rest = slice_from(rest, end + 1);
    }
    if (path.len > LINE_MAX_BYTES)
        return 0;
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(lines[i]);
        if (path_matches(lines[i], path) != plainly(lines[i], len, path) || value_matches(lines[i], path) != value_plainly(lines[i], len, path))
            abort();
    }
    if (count > 0)
        judge_both_ways(actions, count, path);
    return 0;
}
