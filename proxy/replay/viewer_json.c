#include "proxy/record/comment.h"
#include "proxy/replay/viewer_json.h"

#include "proxy/record/inflate.h"
#include "proxy/replay/messages.h"
#include "proxy/replay/title.h"

#include <stdio.h>
#include <stdlib.h>

enum { BODY_SHOWN = 512 * 1024, MESSAGE_SHOWN = 16 * 1024, MESSAGES_SHOWN = 5000 };

static enum status decode(struct slice head, struct slice body, size_t max, unsigned char **owned, struct slice *out, bool *cut)
{
    char coding[64] = "";
    struct slice c = recorded_field(head, SLICE("content-encoding"));
    *owned = NULL;
    if (c.len >= sizeof coding)
        return BAD_INPUT;
    if (c.len > 0)
        memcpy(coding, c.ptr, c.len);
    return body_decode(body, coding, max, owned, out, cut);
}

/* ---- for the timeline ---- */

static enum status complete_one(const struct recorded *r, size_t i, json_t *o)
{
    const struct recorded_exchange *e = &r->v[i];
    json_t *title = e->kind == RECORDED_PAGE || e->kind == RECORDED_FRAME ? page_title(e->x) : NULL;
    int bad = json_object_update_new(o, json_pack("{s:s, s:o, s:I}", "kind", recorded_kind_name(e->kind), "type", comment_string(e->type), "page",
                                                  e->page == RECORDED_NONE ? (json_int_t)0 : (json_int_t)(e->page + 1)));
    if (title != NULL)
        bad |= json_object_set_new(o, "title", title);
    if (e->kind == RECORDED_STREAM)
        bad |= json_object_set_new(o, "events", json_integer((json_int_t)messages_count_events(e->x->response_body)));
    return bad == 0 ? OK : NO_MEMORY;
}

enum status viewer_complete(const struct recorded *r, json_t *exchanges)
{
    unsigned *told = calloc(r->count + 1, sizeof *told);
    enum status st = told == NULL ? NO_MEMORY : json_array_size(exchanges) == r->count ? player_count(r, told) : BAD_INPUT;
    for (size_t i = 0; i < r->count && st == OK; i++) {
        st = complete_one(r, i, json_array_get(exchanges, i));
        if (st == OK && told[i] > 0 && json_object_set_new(json_array_get(exchanges, i), "told", json_integer(told[i])) != 0)
            st = NO_MEMORY;
    }
    free(told);
    return st;
}

static json_t *damage_json(const struct archive *a)
{
    json_t *list = json_array();
    for (size_t i = 0; i < archive_bad_segments(a); i++) {
        unsigned number = 0;
        const char *why = archive_bad_segment(a, i, &number);
        json_array_append_new(list, json_pack("{s:i, s:o}", "segment", (int)number, "why", comment_string(slice_str(why))));
    }
    return list;
}

json_t *viewer_session_json(const struct viewer *v)
{
    char suffix[64];
    snprintf(suffix, sizeof suffix, "-%s.localhost:%u", v->content->token, (unsigned)v->content->port);
    return json_pack("{s:O, s:O, s:s, s:o}", "session", v->session, "exchanges", v->exchanges, "content", suffix, "damage", damage_json(v->recorded->archive));
}

/* ---- one exchange in full ---- */

static bool is_text(struct slice s)
{
    for (size_t i = 0; i < s.len && i < 4096; i++)
        if (s.ptr[i] < 0x20 && strchr("\t\n\r\f\x1b", s.ptr[i]) == NULL)
            return false;
    return true;
}

static json_t *body_json(struct slice head, struct slice body, uint64_t bytes, uint64_t omitted)
{
    unsigned char *owned = NULL;
    struct slice shown = body;
    bool cut = false, undone = decode(head, body, BODY_SHOWN, &owned, &shown, &cut) == OK;
    bool readable = undone && is_text(shown);
    if (cut)
        shown = utf8_whole(shown);
    json_t *o = json_pack("{s:I, s:I, s:b, s:b}", "bytes", (json_int_t)bytes, "omitted", (json_int_t)omitted, "cut", (int)cut, "readable", (int)readable);
    if (o != NULL && readable)
        json_object_set_new(o, "text", comment_string(shown));
    free(owned);
    return o;
}

static json_t *messages_json(const struct archive_exchange *x)
{
    struct messages texts;
    json_t *list = json_array();
    if (x->message_count == 0 || messages_init(&texts, x) != OK)
        return list;
    for (size_t i = 0; i < x->message_count && i < MESSAGES_SHOWN; i++) {
        const struct message_text *t = &texts.v[i];
        size_t n = t->data.len < MESSAGE_SHOWN ? t->data.len : MESSAGE_SHOWN;
        json_t *o = json_pack("{s:b, s:b}", "unreadable", (int)t->unreadable, "more", (int)(n < t->data.len || t->cut));
        if (is_text(t->data) && !t->unreadable)
            json_object_set_new(o, "text", comment_string(n < t->data.len ? utf8_whole(slice_of(t->data.ptr, n)) : t->data));
        json_array_append_new(list, o);
    }
    messages_done(&texts);
    return list;
}

json_t *viewer_exchange_json(const struct viewer *v, size_t index)
{
    const struct archive_exchange *x = v->recorded->v[index].x;
    json_t *notes = x->notes != NULL ? json_deep_copy(x->notes) : json_object();
    return json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "n", (json_int_t)(index + 1), "request_head", comment_string(x->request_head), "response_head", comment_string(x->response_head),
                     "request_body", body_json(x->request_head, x->request_body, x->request_bytes, x->request_omitted), "response_body",
                     body_json(x->response_head, x->response_body, x->response_bytes, x->response_omitted), "messages", messages_json(x), "notes", notes);
}
