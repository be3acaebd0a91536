#include "proxy/replay/title.h"

#include "proxy/record/comment.h"
#include "proxy/record/inflate.h"
#include "proxy/replay/recorded.h"

#include <stdlib.h>

enum { TITLE_MAX = 300, TITLE_LOOK = 64 * 1024 };

struct slice utf8_whole(struct slice s)
{
    for (size_t back = 1; back <= 3 && back <= s.len; back++) {
        unsigned char c = s.ptr[s.len - back];
        if ((c & 0xc0) == 0x80)
            continue;
        size_t needs = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
        return slice_of(s.ptr, needs > back ? s.len - back : s.len);
    }
    return s;
}

static bool at_word(struct slice s, size_t at, struct slice word)
{
    return s.len - at >= word.len && slice_ieq(slice_of(s.ptr + at, word.len), word);
}

json_t *page_title(const struct archive_exchange *x)
{
    unsigned char *owned = NULL;
    struct slice html, title = { NULL, 0 };
    char coding[64] = "";
    struct slice c = recorded_field(x->response_head, SLICE("content-encoding"));
    bool cut = false;
    if (c.len >= sizeof coding)
        return NULL;
    if (c.len > 0)
        memcpy(coding, c.ptr, c.len);
    if (body_decode(x->response_body, coding, TITLE_LOOK, &owned, &html, &cut) != OK)
        return NULL;
    for (size_t i = 0; i + 7 < html.len && title.ptr == NULL; i++)
        if (html.ptr[i] == '<' && at_word(html, i, SLICE("<title"))) {
            struct slice rest = slice_from(html, i + 6);
            size_t open = slice_find(rest, '>');
            if (open == rest.len)
                break;
            title = slice_from(rest, open + 1);
            title.len = slice_find(title, '<');
        }
    if (title.len > TITLE_MAX)
        title = utf8_whole(slice_of(title.ptr, TITLE_MAX));
    json_t *v = title.len > 0 ? comment_string(title) : NULL;
    free(owned);
    return v;
}
