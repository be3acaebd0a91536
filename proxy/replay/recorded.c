#include "proxy/replay/recorded.h"

#include <stdlib.h>

enum { REFERER_LOOK_BACK = 64 };

const char *recorded_kind_name(enum recorded_kind kind)
{
    static const char *const names[] = { [RECORDED_PART] = "part", [RECORDED_PAGE] = "page", [RECORDED_FRAME] = "frame", [RECORDED_REDIRECT] = "redirect",
                                         [RECORDED_DOWNLOAD] = "download", [RECORDED_SOCKET] = "websocket", [RECORDED_STREAM] = "event-stream", [RECORDED_CLAIM] = "claim" };
    return names[kind];
}

static struct slice next_line(struct slice *rest)
{
    size_t end = slice_find(*rest, '\n');
    struct slice line = slice_of(rest->ptr, end > 0 && end < rest->len && rest->ptr[end - 1] == '\r' ? end - 1 : end);
    *rest = slice_from(*rest, end < rest->len ? end + 1 : end);
    return line;
}

struct slice recorded_field(struct slice head, struct slice name)
{
    if (head.len > 0)
        (void)next_line(&head);
    while (head.len > 0) {
        struct slice line = next_line(&head);
        size_t colon = slice_find(line, ':');
        if (colon < line.len && slice_ieq(slice_of(line.ptr, colon), name))
            return slice_trim(slice_from(line, colon + 1));
    }
    return (struct slice){ NULL, 0 };
}

/* FNV-1a. */
uint64_t recorded_hash(struct slice s)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < s.len; i++)
        h = (h ^ s.ptr[i]) * UINT64_C(0x100000001b3);
    return h;
}

static void read_request_line(struct recorded_exchange *e)
{
    struct slice head = e->x->request_head, line;
    if (head.len == 0)
        return;
    line = next_line(&head);
    size_t space = slice_find(line, ' ');
    e->method = slice_of(line.ptr, space);
    struct slice rest = space < line.len ? slice_from(line, space + 1) : slice_of(line.ptr, 0);
    size_t end = rest.len;
    while (end > 0 && rest.ptr[end - 1] != ' ')
        end--;
    e->target = slice_of(rest.ptr, end > 0 ? end - 1 : rest.len);
    size_t mark = slice_find(e->target, '?');
    e->path = slice_of(e->target.ptr, mark);
    e->query = mark < e->target.len ? slice_from(e->target, mark + 1) : slice_of(e->target.ptr, 0);
    e->path_hash = recorded_hash(e->path);
}

static bool is_html(struct slice type)
{
    return slice_ieq(type, SLICE("text/html")) || slice_ieq(type, SLICE("application/xhtml+xml"));
}

/* Types that browsers show in a tab of their own. */
static bool is_shown(struct slice type)
{
    static const char *const prefixes[] = { "text/", "image/", "audio/", "video/" };
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        struct slice p = slice_str(prefixes[i]);
        if (type.len > p.len && slice_ieq(slice_of(type.ptr, p.len), p))
            return !slice_ieq(type, SLICE("text/csv"));
    }
    return is_html(type) || type.len == 0 || slice_ieq(type, SLICE("application/json")) || slice_ieq(type, SLICE("application/problem+json"))
           || slice_ieq(type, SLICE("application/xml"));
}

static bool is_attachment(const struct archive_exchange *x)
{
    struct slice d = recorded_field(x->response_head, SLICE("content-disposition"));
    return d.len >= 10 && slice_ieq(slice_of(d.ptr, 10), SLICE("attachment"));
}

static enum recorded_kind kind_of(const struct recorded_exchange *e)
{
    const struct archive_exchange *x = e->x;
    struct slice dest = recorded_field(x->request_head, SLICE("sec-fetch-dest"));
    bool document = dest.ptr != NULL ? slice_eq(dest, SLICE("document")) : is_html(e->type) || (x->status >= 300 && x->status < 400);
    bool frame = slice_eq(dest, SLICE("iframe")) || slice_eq(dest, SLICE("frame"));
    if (archive_is_claim(x))
        return RECORDED_CLAIM;
    if (x->status == 101)
        return RECORDED_SOCKET;
    if (slice_ieq(e->type, SLICE("text/event-stream")))
        return RECORDED_STREAM;
    if (!document && !frame)
        return RECORDED_PART;
    if (x->status >= 300 && x->status < 400 && x->status != 304)
        return RECORDED_REDIRECT;
    if (x->status < 200 || x->status == 204 || x->status == 205)
        return RECORDED_PART;         /* the page before stays */
    if (is_attachment(x) || (x->status != 304 && !is_shown(e->type)))
        return RECORDED_DOWNLOAD;
    return frame ? RECORDED_FRAME : RECORDED_PAGE;
}

/* The path and query that a Referer names. */
static struct slice referer_target(const struct archive_exchange *x)
{
    struct slice v = recorded_field(x->request_head, SLICE("referer"));
    for (size_t i = 0; i + 3 <= v.len; i++)
        if (memcmp(v.ptr + i, "://", 3) == 0) {
            struct slice rest = slice_from(v, i + 3);
            return slice_from(rest, slice_find(rest, '/'));
        }
    return slice_of(v.ptr, 0);
}

/* The page that asked: the latest whose address is the Referer, else the latest. pages: indexes of all so far. */
static size_t asking_page(const struct recorded *r, const size_t *pages, size_t count, const struct archive_exchange *x)
{
    struct slice from = referer_target(x);
    size_t look = count < REFERER_LOOK_BACK ? count : REFERER_LOOK_BACK;
    for (size_t i = 0; from.len > 0 && i < look; i++)
        if (slice_eq(r->v[pages[count - 1 - i]].target, from))
            return pages[count - 1 - i];
    return count > 0 ? pages[count - 1] : RECORDED_NONE;
}

static enum status group(struct recorded *r)
{
    size_t count = 0, pending = RECORDED_NONE;
    size_t *pages = malloc((r->count ? r->count : 1) * sizeof *pages);
    if (pages == NULL)
        return NO_MEMORY;
    for (size_t i = 0; i < r->count; i++) {
        struct recorded_exchange *e = &r->v[i];
        if (e->kind == RECORDED_PAGE) {
            for (size_t k = pending; k < i; k++)      /* what sent the browser here */
                if (r->v[k].kind == RECORDED_REDIRECT)
                    r->v[k].page = i;
            pending = RECORDED_NONE;
            pages[count++] = e->page = i;
        } else {
            e->page = asking_page(r, pages, count, e->x);
            if (e->kind == RECORDED_REDIRECT && pending == RECORDED_NONE)
                pending = i;
        }
    }
    free(pages);
    return OK;
}

enum status recorded_read(struct recorded *r)
{
    for (size_t i = 0; i < r->count; i++) {
        struct recorded_exchange *e = &r->v[i];
        e->served_to = RECORDED_NONE;
        read_request_line(e);
        struct slice type = recorded_field(e->x->response_head, SLICE("content-type"));
        e->type = slice_trim(slice_of(type.ptr, slice_find(type, ';')));
        e->kind = kind_of(e);
    }
    return group(r);
}

enum status recorded_init(struct recorded *r, const struct archive *a)
{
    *r = (struct recorded){ .archive = a, .count = archive_count(a) };
    r->v = calloc(r->count ? r->count : 1, sizeof *r->v);
    if (r->v == NULL)
        return NO_MEMORY;
    for (size_t i = 0; i < r->count; i++)
        r->v[i].x = archive_at(a, i);
    return recorded_read(r);
}

void recorded_done(struct recorded *r)
{
    free(r->v);
    *r = (struct recorded){ 0 };
}

void recorded_restart(struct recorded *r, size_t page)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->v[i].served_to == page)
            r->v[i].served_to = RECORDED_NONE;
}
