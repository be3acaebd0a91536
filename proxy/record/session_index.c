/* What of a session goes into its index (index.h), and into what the gateway can search (authz/touched.h). */
#include "proxy/record/session.h"

#include "authz/budget.h"
#include "proxy/base/codec.h"
#include "proxy/record/comment.h"
#include "proxy/record/put.h"
#include "proxy/record/secrets.h"

#include <stdio.h>
#include <stdlib.h>

enum { NOTE_KEPT_MAX = 256 };

/* ---- notes ---- */

enum status session_index_note(struct record_exchange *x, const char *name, struct slice value)
{
    if (x->told == NULL)
        x->told = json_object();
    if (value.len > NOTE_KEPT_MAX)
        value.len = NOTE_KEPT_MAX;
    return x->told != NULL && notes_add(x->told, name, value) ? OK : NO_MEMORY;
}

/* ---- lines ---- */

struct line_texts {
    char request[METHOD_KEPT_MAX + RECORD_URI_MAX + sizeof "  HTTP/1.1"], sha256[HEX_LEN(32) + 1], *notes;
};

static bool has_response(const struct record_exchange *x)
{
    return x->side[1].state != MESSAGE_NONE;
}

static struct slice request_line(const struct record_exchange *x, struct line_texts *t)
{
    struct put p = { t->request };
    put_text(&p, slice_str(x->method));
    PUT(&p, " ");
    put_text(&p, slice_of(x->uri + x->path_at, x->uri_len - x->path_at));
    put_text(&p, x->side[0].version == 10 ? SLICE(" HTTP/1.0") : SLICE(" HTTP/1.1"));
    return slice_of(t->request, (size_t)(p.at - t->request));
}

static void put_digest(const struct record_exchange *x, struct line_texts *t)
{
    unsigned char raw[32];
    EVP_MD_CTX *copy = x->sha256 ? EVP_MD_CTX_new() : NULL;
    if (copy != NULL && EVP_MD_CTX_copy_ex(copy, x->sha256) == 1 && EVP_DigestFinal_ex(copy, raw, NULL) == 1)
        hex_encode(slice_of(raw, sizeof raw), t->sha256);
    EVP_MD_CTX_free(copy);
}

/* What is still open has no end, as readers of its records see it. */
static bool cut_off(const struct record_side *side, bool ended)
{
    return ended ? side->cut : side->cut || side->state != MESSAGE_DONE;
}

static void line_of(const struct session *s, const struct record_exchange *x, bool ended, const char *why, struct line_texts *t, struct index_line *l)
{
    bool seen = x->first_segment > 0;
    t->sha256[0] = 0;
    if (ended)
        put_digest(x, t);
    *l = (struct index_line){
        .exchange = x->id, .started_ms = x->started_ms, .ended_ms = x->last_ms, .part = !ended ? INDEX_BEGIN : seen ? INDEX_WHOLE : INDEX_END,
        .status = x->side[1].status, .from_tool = x->side[1].from_tool, .sizes_only = x->sizes_only,
        .request_cut = cut_off(&x->side[0], ended), .response_cut = has_response(x) && cut_off(&x->side[1], ended),
        .request_bytes = x->side[0].body, .response_bytes = x->side[1].body, .segment = x->first_segment, .offset = x->offset,
        .last_segment = s->file.number + ended, .messages = x->messages, .removed = x->removed, .action = slice_str(x->action), .request = seen ? request_line(x, t) : (struct slice){ 0 },
        .names = slice_str(x->names), .secrets = slice_str(x->secrets), .record = slice_str(x->record_id[has_response(x)]), .why = slice_str(why), .sha256 = slice_str(t->sha256),
        .notes = slice_str(t->notes),
    };
}

static enum status make_notes(const struct record_exchange *x, struct line_texts *t)
{
    t->notes = x->told ? json_dumps(x->told, JSON_COMPACT) : NULL;
    return x->told != NULL && t->notes == NULL ? NO_MEMORY : OK;
}

enum status session_index_end(struct session *s, const struct record_exchange *x, const char *why)
{
    struct line_texts t;
    struct index_line l;
    enum status st = make_notes(x, &t);
    if (st != OK)
        return st;
    line_of(s, x, true, why, &t, &l);
    st = index_put(&s->index, &l);
    free(t.notes);
    return st;
}

static enum status put_open(const struct session *s, struct warc_bytes *to)
{
    enum status st = OK;
    for (const struct record_exchange *x = s->exchanges; x != NULL && st == OK; x = x->next) {
        struct line_texts t;
        struct index_line l;
        if (x->first_segment == 0)    /* its forerunner's index has it, or the segments that no index covers */
            continue;
        st = make_notes(x, &t);
        if (st != OK)
            return st;
        line_of(s, x, false, NULL, &t, &l);
        st = index_put(to, &l);
        free(t.notes);
    }
    return st;
}

enum status session_index_pack(const struct session *s, const struct session_context *c, struct warc_bytes *to)
{
    struct index_cover cover = session_index_cover(s);
    struct warc_bytes head = { 0 };
    enum status st = index_put_cover(&head, s->id, &cover);
    if (st == OK)
        st = put_open(s, &head);
    const struct slice pieces[] = { slice_of(head.data, head.len), slice_of(s->index.data, s->index.len) };
    if (st == OK)
        st = warc_write_lines(c->warc, pieces, 2, to);
    warc_bytes_done(&head);
    return st;
}

struct index_cover session_index_cover(const struct session *s)
{
    return (struct index_cover){ s->index_from, s->file.number };
}

void session_index_written(struct session *s)
{
    s->index.len = 0;
    if (s->index.cap > 4 * INDEX_BYTES)
        warc_bytes_done(&s->index);
    s->index_from = s->file.number + 1;
}

/* ---- what the gateway can search ---- */

static enum status touch(struct session *s, const struct session_context *c, struct slice name)
{
    char text[FINGERPRINT_TEXT];
    const char *hash = text + sizeof "fp:" - 1;
    fingerprint_text(c->touched, name, text);
    for (size_t i = 0; i < s->touched_count; i++)
        if (memcmp(s->touched[i], hash, TOUCHED_LEN) == 0)
            return OK;
    if (s->touched_count == TOUCHED_MAX)   /* the segment is closed before that */
        return OK;
    if (s->touched == NULL && (s->touched = malloc(TOUCHED_MAX * sizeof *s->touched)) == NULL)
        return NO_MEMORY;
    memcpy(s->touched[s->touched_count++], hash, TOUCHED_LEN + 1);
    return OK;
}

enum status session_touch(struct session *s, const struct session_context *c, struct slice names)
{
    struct slice one;
    enum status st = OK;
    if (c->touched == NULL)
        return OK;
    while (st == OK && budget_name_next(&names, &one))
        st = touch(s, c, one);
    return st;
}

json_t *session_touched_json(const struct session *s)
{
    json_t *list = json_array();
    for (size_t i = 0; i < s->touched_count && list != NULL; i++)
        if (json_array_append_new(list, json_string(s->touched[i])) != 0) {
            json_decref(list);
            list = NULL;
        }
    return list;
}
