#include "proxy/record/archive_read.h"

#include "proxy/record/comment.h"
#include "proxy/record/entry.h"
#include "proxy/record/secrets.h"

#include <stdlib.h>

enum status archive_add_bad(struct archive *a, unsigned number, const char *text)
{
    if (a->bad_count == ARCHIVE_BAD_MAX)
        return OK;
    struct archive_bad *v = realloc(a->bad, (a->bad_count + 1) * sizeof *v);
    char *copy = strdup(text);
    if (v != NULL)
        a->bad = v;
    if (v == NULL || copy == NULL) {
        free(copy);
        return NO_MEMORY;
    }
    v[a->bad_count++] = (struct archive_bad){ number, copy };
    return OK;
}

static enum status item_for(struct archive *a, uint64_t id, int64_t date_ms, struct archive_item **out)
{
    struct archive_item *x = NULL;
    HASH_FIND(hh, a->items, &id, sizeof id, x);
    if (x != NULL) {
        *out = x;
        return OK;
    }
    if (a->count == ARCHIVE_EXCHANGES_MAX)
        return BAD_INPUT;
    x = calloc(1, sizeof *x);
    json_t *notes = json_object();
    if (x == NULL || notes == NULL) {
        free(x);
        json_decref(notes);
        return NO_MEMORY;
    }
    x->id = id;
    x->notes = notes;
    x->pub.started_ms = date_ms;
    x->pub.first_segment = a->segment;
    HASH_ADD(hh, a->items, id, sizeof x->id, x);
    if (x->hh.tbl == NULL) {
        free(x);
        json_decref(notes);
        return NO_MEMORY;
    }
    a->count++;
    *out = x;
    return OK;
}

static enum status set_text(char **to, struct slice s)
{
    char *copy = strndup((const char *)(s.ptr ? s.ptr : (const unsigned char *)""), s.len);
    if (copy == NULL)
        return NO_MEMORY;
    free(*to);
    *to = copy;
    return OK;
}

static void message_reset(struct archive *a, struct archive_message *m)
{
    a->kept -= m->bytes.len;
    warc_bytes_done(&m->bytes);
    *m = (struct archive_message){ 0 };
}

static enum status start_message(struct archive_item *x, const struct warc_head *h, unsigned side, struct archive_message **out)
{
    struct archive_message *m = &x->message[side];
    if (m->records > 0 || h->id.len == 0 || h->id.len >= sizeof m->id)
        return BAD_INPUT;   /* a second request or response of one exchange, or one without a name */
    memcpy(m->id, h->id.ptr, h->id.len);
    if (side == 0)
        x->pub.started_ms = h->date_ms;
    else
        x->pub.from_tool = slice_eq(h->from, SLICE("tool"));
    *out = m;
    if (side != 0)
        return OK;
    if (h->names.len > 0 && set_text(&x->names, h->names) != OK)
        return NO_MEMORY;
    return set_text(&x->action, h->action);
}

static enum status start_socket_message(struct archive_item *x, const struct warc_head *h, struct archive_message **out)
{
    if (h->id.len == 0 || h->id.len >= sizeof x->message[0].id || x->socket_count == ARCHIVE_MESSAGES_MAX)
        return BAD_INPUT;
    if (x->socket_count == x->socket_cap) {
        size_t cap = x->socket_cap ? x->socket_cap * 2 : 16;
        struct archive_socket_message *v = realloc(x->socket, cap * sizeof *v);
        if (v == NULL)
            return NO_MEMORY;
        x->socket = v;
        x->socket_cap = cap;
    }
    struct archive_socket_message *s = &x->socket[x->socket_count++];
    *s = (struct archive_socket_message){ .m = { .headless = true }, .pub = { .number = h->message, .time_ms = h->date_ms,
                                                                              .compressed = h->compressed.len > 0 } };
    memcpy(s->m.id, h->id.ptr, h->id.len);
    if (h->segment_number > 0)
        x->socket_open[slice_eq(h->from, SLICE("client"))] = x->socket_count;
    *out = &s->m;
    return set_text(&s->from, h->from) == OK && set_text(&s->opcode, h->opcode) == OK ? OK : NO_MEMORY;
}

/* At most one message of each direction is under way: control frames are whole. */
static enum status continue_socket_message(struct archive_item *x, const struct warc_head *h, struct archive_message **out)
{
    for (unsigned side = 0; side < 2; side++) {
        struct archive_message *m = x->socket_open[side] > 0 ? &x->socket[x->socket_open[side] - 1].m : NULL;
        if (m == NULL || !slice_eq(h->origin, slice_str(m->id)))
            continue;
        if (m->complete || h->segment_number != m->records + 1)
            return BAD_INPUT;
        *out = m;
        return OK;
    }
    return NOT_FOUND;
}

static enum status continue_message(struct archive_item *x, const struct warc_head *h, struct archive_message **out)
{
    for (unsigned side = 0; side < 2; side++) {
        struct archive_message *m = &x->message[side];
        if (m->records == 0 || !slice_eq(h->origin, slice_str(m->id)))
            continue;
        if (m->complete || h->segment_number != m->records + 1)
            return BAD_INPUT;
        *out = m;
        return OK;
    }
    return continue_socket_message(x, h, out);   /* NOT_FOUND: its beginning lies in a segment that could not be read */
}

static enum status on_head(void *to, const struct warc_head *h)
{
    struct archive *a = to;
    enum status st = OK;
    a->item = NULL;
    a->message = NULL;
    a->in_metadata = false;
    if (h->exchange == 0 || h->type == WARC_INFO || h->type == WARC_OTHER)
        return OK;
    st = item_for(a, h->exchange, h->date_ms, &a->item);
    if (st != OK)
        return st;
    a->item->pub.last_segment = a->segment;
    if (h->date_ms > a->item->pub.ended_ms)
        a->item->pub.ended_ms = h->date_ms;
    if (h->type == WARC_METADATA) {
        a->in_metadata = true;
        a->json_full = false;
        a->json.len = 0;
        return OK;
    }
    if (h->type == WARC_CONTINUATION) {
        st = continue_message(a->item, h, &a->message);
        if (st == NOT_FOUND) {
            a->item->stray += h->length;
            a->item->pub.removed += h->removed;
            a->item->closed |= slice_eq(h->end, SLICE("ok"));
            return OK;
        }
    } else if (h->type == WARC_RESOURCE) {
        st = start_socket_message(a->item, h, &a->message);
    } else {
        st = start_message(a->item, h, h->type == WARC_RESPONSE, &a->message);
    }
    if (st != OK)
        return st;
    a->message->records++;
    a->message->complete = h->segment_number == 0 || h->segment_last;
    a->message->cut |= h->truncated.len > 0 && !slice_eq(h->truncated, SLICE("policy")) && !slice_eq(h->truncated, SLICE("length"));
    a->message->omitted += h->omitted;
    a->item->closed |= slice_eq(h->end, SLICE("ok"));
    a->item->pub.removed += h->removed;
    a->item->pub.sizes_only |= slice_eq(h->kept, SLICE("metadata"));
    return OK;
}

static size_t find_head_end(const struct warc_bytes *b, size_t from)
{
    for (size_t i = from > 3 ? from - 3 : 0; i + 4 <= b->len; i++)
        if (memcmp(b->data + i, "\r\n\r\n", 4) == 0)
            return i + 4;
    return 0;
}

static enum status add_block(struct archive *a, struct archive_message *m, struct slice data)
{
    size_t max = m->headless ? ARCHIVE_BODY_MAX : m->head_len == 0 ? ARCHIVE_HEAD_MAX + ARCHIVE_BODY_MAX : m->head_len + (size_t)ARCHIVE_BODY_MAX, before = m->bytes.len;
    m->total += data.len;
    if ((m->head_len > 0 || m->headless) && a->kept >= ARCHIVE_KEPT_MAX)
        max = before;
    size_t room = max > before ? max - before : 0;
    if (data.len > room)
        data.len = room;
    enum status st = warc_bytes_put(&m->bytes, data);
    if (st != OK)
        return st;
    a->kept += data.len;
    if (m->head_len == 0 && !m->headless) {
        m->head_len = find_head_end(&m->bytes, before);
        if (m->head_len == 0 && m->bytes.len > ARCHIVE_HEAD_MAX)
            return BAD_INPUT;
    }
    return OK;
}

static enum status on_block(void *to, struct slice data)
{
    struct archive *a = to;
    if (a->message != NULL)
        return add_block(a, a->message, data);
    if (!a->in_metadata || a->json_full)
        return OK;
    if (a->json.len + data.len > ARCHIVE_JSON_MAX) {
        a->json_full = true;
        return OK;
    }
    return warc_bytes_put(&a->json, data);
}

static enum status merge_notes(struct archive_item *x, const json_t *notes)
{
    for (void *at = json_object_iter((json_t *)(uintptr_t)notes); at != NULL; at = json_object_iter_next((json_t *)(uintptr_t)notes, at)) {
        const char *name = json_object_iter_key(at);
        json_t *v = json_object_iter_value(at);
        for (size_t i = 0; i < (json_is_array(v) ? json_array_size(v) : 1); i++) {
            const json_t *one = json_is_array(v) ? json_array_get(v, i) : v;
            if (json_is_string(one) && !notes_add(x->notes, name, slice_of(json_string_value(one), json_string_length(one))))
                return NO_MEMORY;
        }
    }
    return OK;
}

static enum status take_metadata(struct archive *a)
{
    struct archive_item *x = a->item;
    json_t *o = a->json_full ? NULL : json_loadb((const char *)a->json.data, a->json.len, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(o)) {
        json_decref(o);
        return BAD_INPUT;
    }
    const json_t *ended = json_object_get(o, "ended_ms");
    const char *why = json_string_value(json_object_get(o, "why")), *action = json_string_value(json_object_get(o, "action"));
    enum status st = OK;
    if (json_is_integer(ended)) {
        x->closed = true;
        x->pub.ended_ms = json_integer_value(ended);
        st = set_text(&x->why, slice_str(why));
    }
    if (st == OK && action != NULL)
        st = set_text(&x->action, slice_str(action));
    if (st == OK)
        st = merge_notes(x, json_object_get(o, "notes"));
    json_decref(o);
    return st;
}

static unsigned status_of(const struct archive_message *m)
{
    unsigned status = 0;
    const unsigned char *p = m->bytes.data;
    if (m->bytes.len < 12 || memcmp(p, "HTTP/1.", 7) != 0 || p[8] != ' ')
        return 0;
    for (size_t i = 9; i < 12; i++) {
        if (p[i] < '0' || p[i] > '9')
            return 0;
        status = status * 10 + (unsigned)(p[i] - '0');
    }
    return status;
}

static enum status on_end(void *to)
{
    struct archive *a = to;
    enum status st = OK;
    if (a->in_metadata) {
        st = take_metadata(a);
    } else if (a->message != NULL && a->message == &a->item->message[1]) {
        unsigned status = status_of(a->message);
        if (status >= 100 && status < 200 && status != 101) {   /* interim: the real one follows */
            char text[8];
            size_t n = (size_t)snprintf(text, sizeof text, "%u", status);
            message_reset(a, a->message);
            st = notes_add(a->item->notes, "interim", slice_of(text, n)) ? OK : NO_MEMORY;
        }
    }
    a->item = NULL;
    a->message = NULL;
    a->in_metadata = false;
    return st;
}

struct warc_events archive_events(struct archive *a)
{
    return (struct warc_events){ on_head, on_block, on_end, a };
}

void archive_break_record(struct archive *a)
{
    if (a->message != NULL)
        a->message->complete = false;
    a->item = NULL;
    a->message = NULL;
    a->in_metadata = false;
}

/* What is public. */

static enum status note_length(json_t *notes, const char *name, const struct archive_message *m)
{
    if (m->records == 0)
        return OK;
    json_t *n = json_integer((json_int_t)(m->total - m->head_len + m->omitted));
    return n != NULL && json_object_set_new(notes, name, n) == 0 ? OK : NO_MEMORY;
}

static void split(const struct archive_message *m, struct slice *head, struct slice *body)
{
    size_t head_len = m->head_len ? m->head_len : m->bytes.len;
    if (m->bytes.data == NULL)
        return;
    *head = slice_of(m->bytes.data, head_len);
    *body = slice_of(m->bytes.data + head_len, m->bytes.len - head_len);
}

static enum status publish_socket(struct archive_item *x)
{
    x->socket_pub = x->socket_count ? calloc(x->socket_count, sizeof *x->socket_pub) : NULL;
    if (x->socket_count > 0 && x->socket_pub == NULL)
        return NO_MEMORY;
    for (size_t i = 0; i < x->socket_count; i++) {
        struct archive_socket_message *s = &x->socket[i];
        s->pub.from = slice_str(s->from);
        s->pub.opcode = slice_str(s->opcode);
        s->pub.data = slice_of(s->m.bytes.data, s->m.bytes.len);
        s->pub.length = s->m.total + s->m.omitted;
        s->pub.omitted = x->pub.sizes_only || s->m.omitted > 0;
        s->pub.cut = s->m.cut || !s->m.complete;
        x->socket_pub[i] = s->pub;
    }
    x->pub.messages = x->socket_pub;
    x->pub.message_count = x->socket_count;
    return OK;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = ((const struct archive_socket_message *)a)->pub.number, y = ((const struct archive_socket_message *)b)->pub.number;
    return x < y ? -1 : x > y;
}

static enum status publish(struct archive_item *x)
{
    struct archive_exchange *p = &x->pub;
    p->id = x->id;
    split(&x->message[0], &p->request_head, &p->request_body);
    split(&x->message[1], &p->response_head, &p->response_body);
    p->status = status_of(&x->message[1]);
    p->request_bytes = x->message[0].total - (x->message[0].total < x->message[0].head_len ? x->message[0].total : x->message[0].head_len);
    p->response_bytes = x->message[1].total - (x->message[1].total < x->message[1].head_len ? x->message[1].total : x->message[1].head_len);
    p->request_record = slice_str(x->message[0].id);
    p->response_record = slice_str(x->message[1].id);
    p->response_bytes += x->stray;
    p->message_total = x->socket_count;
    p->request_omitted = x->message[0].omitted;
    p->response_omitted = x->message[1].omitted;
    p->request_cut = x->message[0].cut || !x->message[0].complete;
    p->response_cut = x->message[1].records > 0 && (x->message[1].cut || !x->message[1].complete);
    if (!x->closed && set_text(&x->why, SLICE("not-closed")) != OK)
        return NO_MEMORY;
    char secrets[SECRETS_MAX];
    size_t len = secrets_in_head(p->response_head, secrets);
    if (len > 0 && set_text(&x->secrets, slice_of(secrets, len)) != OK)
        return NO_MEMORY;
    p->secrets = slice_str(x->secrets);
    p->action = slice_str(x->action);
    p->why = slice_str(x->why);
    const char *late = json_string_value(json_object_get(x->notes, NOTE_NAMES));   /* a segment closed before they came */
    p->names = slice_str(x->names ? x->names : late);
    p->notes = x->notes;
    if (x->socket_count > 0)
        qsort(x->socket, x->socket_count, sizeof *x->socket, by_number);
    enum status st = publish_socket(x);
    if (st == OK)
        st = note_length(x->notes, "request_bytes", &x->message[0]);
    return st == OK ? note_length(x->notes, "response_bytes", &x->message[1]) : st;
}

static int by_start(const void *a, const void *b)
{
    const struct archive_exchange *x = *(const struct archive_exchange *const *)a, *y = *(const struct archive_exchange *const *)b;
    if (x->started_ms != y->started_ms)
        return x->started_ms < y->started_ms ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* Indexes have them in the order of their ends, which is nearly that of their beginnings: sorting is worth a look first. */
void archive_sort(struct archive *a)
{
    size_t i = 1;
    while (i < a->sorted_count && by_start(&a->sorted[i - 1], &a->sorted[i]) <= 0)
        i++;
    if (i < a->sorted_count)
        qsort(a->sorted, a->sorted_count, sizeof *a->sorted, by_start);
}

enum status archive_finish(struct archive *a)
{
    size_t most = a->count + a->row_count;
    a->sorted = malloc((most ? most : 1) * sizeof *a->sorted);
    if (a->sorted == NULL)
        return NO_MEMORY;
    for (struct archive_item *x = a->items; x != NULL; x = x->hh.next) {
        if (publish(x) != OK)
            return NO_MEMORY;
        archive_merge_row(a, &x->pub);
    }
    for (size_t i = 0; i < a->row_count; i++)
        if (a->rows[i].id != 0)
            a->sorted[a->sorted_count++] = &a->rows[i];
    for (struct archive_item *x = a->items; x != NULL; x = x->hh.next)
        a->sorted[a->sorted_count++] = &x->pub;
    archive_sort(a);
    return OK;
}
