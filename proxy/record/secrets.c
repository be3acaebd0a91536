#include "proxy/record/secrets.h"

#include "proxy/record/redact.h"

enum { PRINT_LEN = FINGERPRINT_TEXT - 1, NAME_MAX_BYTES = 64 };

static bool is_b64url(unsigned char c)
{
    return (c >= '0' && c <= '9') || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') || c == '-' || c == '_';
}

/* Of exactly its length, so that a word that only begins so is none. */
static bool print_at(struct slice s, size_t at)
{
    if (s.len - at < PRINT_LEN || memcmp(s.ptr + at, "fp:", 3) != 0)
        return false;
    for (size_t i = 3; i < PRINT_LEN; i++)
        if (!is_b64url(s.ptr[at + i]))
            return false;
    return s.len - at == PRINT_LEN || !is_b64url(s.ptr[at + PRINT_LEN]);
}

struct found {
    char *out;
    size_t len;
};

static void add(struct found *f, struct slice name, struct slice print)
{
    char one[NAME_MAX_BYTES + 1 + PRINT_LEN];
    size_t n = 0;
    for (; n < name.len && n < NAME_MAX_BYTES; n++)
        one[n] = is_b64url(name.ptr[n]) ? (char)ascii_lower(name.ptr[n]) : '_';
    one[n++] = '=';
    memcpy(one + n, print.ptr, PRINT_LEN);
    n += PRINT_LEN;
    if (memmem(f->out, f->len, one, n) != NULL || f->len + n + 1 > SECRETS_MAX)
        return;
    if (f->len > 0)
        f->out[f->len++] = ',';
    memcpy(f->out + f->len, one, n);
    f->len += n;
}

static void look(struct found *f, struct slice line)
{
    size_t colon = slice_find(line, ':');
    if (colon == 0 || colon == line.len || line.len < PRINT_LEN)
        return;
    for (size_t at = colon + 1; at + PRINT_LEN <= line.len; at++)
        if (print_at(line, at)) {
            add(f, slice_of(line.ptr, colon), slice_of(line.ptr + at, PRINT_LEN));
            at += PRINT_LEN - 1;
        }
}

size_t secrets_in_head(struct slice head, char out[SECRETS_MAX])
{
    struct found f = { out, 0 };
    if (head.len < PRINT_LEN || memmem(head.ptr, head.len, "fp:", 3) == NULL)
        return 0;
    while (head.len > 0) {
        size_t end = slice_find(head, '\n');
        struct slice line = slice_of(head.ptr, end);
        head = slice_from(head, end < head.len ? end + 1 : end);
        if (line.len > 0 && line.ptr[line.len - 1] == '\r')
            line.len--;
        if (line.len == 0)
            break;
        look(&f, line);
    }
    return f.len;
}
