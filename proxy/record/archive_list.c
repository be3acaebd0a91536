/* The exchanges of a recording from its indexes, and from the segments that none covers: what was written last, and what a recorder that died left behind. */
#include "proxy/record/archive_read.h"

#include "proxy/record/listing.h"

#include <isa-l/igzip_lib.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { CHUNK = 64 * 1024, GZIP_LEAST = 18, GROWS_BY_MAX = 1100, HUGE_PAGE = 2 << 20, SLAB = 8 << 20 };

/* ---- rows ---- */

/* An exchange that one line does not tell whole. */
struct archive_loose {
    uint64_t id;
    size_t row;
    enum index_part part;
    UT_hash_handle hh;
};

static struct archive_loose *loose_find(const struct archive *a, uint64_t id)
{
    struct archive_loose *l = NULL;
    HASH_FIND(hh, a->loose, &id, sizeof id, l);
    return l;
}

static void loose_drop(struct archive *a, struct archive_loose *l)
{
    HASH_DEL(a->loose, l);
    free(l);
}

static enum status loose_add(struct archive *a, uint64_t id, size_t row, enum index_part part)
{
    struct archive_loose *l = calloc(1, sizeof *l);
    if (l == NULL)
        return NO_MEMORY;
    *l = (struct archive_loose){ .id = id, .row = row, .part = part };
    HASH_ADD(hh, a->loose, id, sizeof l->id, l);
    if (l->hh.tbl == NULL) {
        free(l);
        return NO_MEMORY;
    }
    return OK;
}

static void row_clear(struct archive_exchange *x)
{
    json_decref((json_t *)(uintptr_t)x->notes);
    *x = (struct archive_exchange){ 0 };   /* id 0: none */
}

static enum status row_of(const struct index_line *l, struct archive_exchange *x)
{
    *x = (struct archive_exchange){
        .id = l->exchange, .started_ms = l->started_ms, .ended_ms = l->ended_ms, .request_head = l->request, .sizes_only = l->sizes_only, .status = l->status,
        .from_tool = l->from_tool, .request_cut = l->request_cut, .response_cut = l->response_cut, .action = l->action, .names = l->names, .secrets = l->secrets,
        .why = l->part == INDEX_BEGIN ? SLICE("not-closed") : l->why, .first_segment = l->segment, .last_segment = l->last_segment, .message_total = l->messages,
        .removed = l->removed, .response_sha256 = l->sha256,
    };
    uint64_t *request = l->sizes_only ? &x->request_omitted : &x->request_bytes, *response = l->sizes_only ? &x->response_omitted : &x->response_bytes;
    *request = l->request_bytes;
    *response = l->response_bytes;
    *(l->status > 0 ? &x->response_record : &x->request_record) = l->record;
    if (l->notes.len == 0)
        return OK;
    json_t *notes = json_loadb((const char *)l->notes.ptr, l->notes.len, JSON_REJECT_DUPLICATES, NULL);
    x->notes = notes;
    return json_is_object(notes) ? OK : BAD_INPUT;
}

/* What only the end knows, put to what only the beginning knew. */
static void take_end(struct archive_exchange *x, const struct archive_exchange *end)
{
    x->ended_ms = end->ended_ms;
    x->last_segment = end->last_segment;
    x->request_cut = end->request_cut;
    x->response_cut = end->response_cut;
    x->why = end->why;
    x->removed = end->removed;
    x->message_total = end->message_total;
    x->request_bytes = end->request_bytes;
    x->response_bytes = end->response_bytes;
    x->request_omitted = end->request_omitted;
    x->response_omitted = end->response_omitted;
    if (end->status > 0) {
        x->status = end->status;
        x->from_tool = end->from_tool;
        x->response_record = end->response_record;
    }
}

static enum status rows_reserve(struct archive *a)
{
    if (a->row_count < a->row_cap)
        return OK;
    size_t cap = a->row_cap ? a->row_cap * 2 : 4096;
    struct archive_exchange *rows = realloc(a->rows, cap * sizeof *rows);
    if (rows == NULL)
        return NO_MEMORY;
    a->rows = rows;
    a->row_cap = cap;
    return OK;
}

/* What an index that turned out to be damaged had said so far. */
static void take_back(struct archive *a, size_t rows)
{
    struct archive_loose *l, *next;
    HASH_ITER(hh, a->loose, l, next)
        if (l->row >= rows)
            loose_drop(a, l);
    while (a->row_count > rows)
        row_clear(&a->rows[--a->row_count]);
}

static enum status add_row(void *to, const struct index_line *line)
{
    struct archive *a = to;
    struct archive_loose *known = a->loose != NULL || line->part != INDEX_WHOLE ? loose_find(a, line->exchange) : NULL;
    enum status st = a->row_count < ARCHIVE_EXCHANGES_MAX ? rows_reserve(a) : BAD_INPUT;
    if (st != OK)
        return st;
    struct archive_exchange *row = &a->rows[a->row_count];
    st = row_of(line, row);
    if (st != OK) {
        row_clear(row);
        return st;
    }
    a->untold += line->messages > 0;
    if (known != NULL && line->part == INDEX_END && known->part == INDEX_BEGIN) {
        take_end(&a->rows[known->row], row);
        row_clear(row);
        loose_drop(a, known);
        return OK;
    }
    a->row_count++;
    if (known != NULL) {              /* this line knows more than the one before */
        row_clear(&a->rows[known->row]);
        loose_drop(a, known);
    }
    return line->part == INDEX_WHOLE ? OK : loose_add(a, line->exchange, a->row_count - 1, line->part);
}

/* ---- an index ---- */

static enum status take_clear(void *to, struct slice clear)
{
    return warc_bytes_put(to, clear);
}

static enum status read_sealed(int fd, const struct listing_member *m, const struct age_keys *keys, struct warc_bytes *to, struct err *err)
{
    unsigned char *buf = malloc(CHUNK);
    struct age_opener *opener = NULL;
    enum status st = buf != NULL && (!m->sealed || age_opener_new(keys, take_clear, to, &opener) == OK) ? OK : NO_MEMORY;
    for (uint64_t at = m->content, end = at + m->content_len; at < end && st == OK;) {
        size_t n = end - at < CHUNK ? (size_t)(end - at) : CHUNK;
        st = tar_pread(fd, buf, n, at, err);
        if (st == OK)
            st = opener != NULL ? age_open_more(opener, slice_of(buf, n), err) : warc_bytes_put(to, slice_of(buf, n));
        at += n;
    }
    if (st == OK && opener != NULL)
        st = age_open_end(opener, err);
    age_opener_free(opener);
    free(buf);
    return st;
}

/* Where the text goes that rows point into: in large pieces, since a million lines are 300 MB, and touching each page of that by itself costs as much as reading them. */
static char *text_room(struct archive *a, size_t len)
{
    if (a->text_count > 0 && a->slab_len - a->slab_used >= len)
        return a->texts[a->text_count - 1] + a->slab_used;
    size_t size = len > SLAB ? (len + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE : SLAB;
    char **v = realloc(a->texts, (a->text_count + 1) * sizeof *v), *slab;
    if (v == NULL)
        return NULL;
    a->texts = v;
    if ((slab = aligned_alloc(HUGE_PAGE, size)) == NULL)
        return NULL;
    (void)madvise(slab, size, MADV_HUGEPAGE);   /* where there is such a thing */
    v[a->text_count++] = slab;
    a->slab_len = size;
    a->slab_used = 0;
    return slab;
}

/* One gzip member, whose last four bytes say how long it becomes (RFC 1952 s2.3.1): believed only as far as deflate could have made it so. */
static enum status inflate_text(struct archive *a, struct slice packed, char **out, size_t *len_out, struct err *err)
{
    struct inflate_state z;
    if (packed.len < GZIP_LEAST)
        return fail(err, BAD_INPUT, "it is cut off");
    const unsigned char *tail = packed.ptr + packed.len - 4;
    size_t len = tail[0] | (size_t)tail[1] << 8 | (size_t)tail[2] << 16 | (size_t)tail[3] << 24;
    if (len == 0 || len > INDEX_TEXT_MAX || len / GROWS_BY_MAX > packed.len)
        return fail(err, BAD_INPUT, "it says that it becomes %zu bytes", len);
    char *text = text_room(a, len);
    if (text == NULL)
        return NO_MEMORY;
    isal_inflate_init(&z);
    z.crc_flag = ISAL_GZIP;
    z.next_in = (unsigned char *)(uintptr_t)packed.ptr;
    z.avail_in = (uint32_t)packed.len;
    z.next_out = (unsigned char *)text;
    z.avail_out = (uint32_t)len;
    int done = isal_inflate(&z);
    if (done != ISAL_DECOMP_OK || z.block_state != ISAL_BLOCK_FINISH || z.avail_out != 0 || z.avail_in != 0) {
        return fail(err, BAD_INPUT, "its gzip data is damaged");
    }
    a->slab_used += len;
    *out = text;
    *len_out = len;
    return OK;
}

static enum status read_index(struct archive *a, const struct age_keys *keys, int fd, const struct listing_member *m, struct warc_bytes *room,
                              struct index_cover *cover, struct err *err)
{
    char *text = NULL;
    size_t len = 0;
    room->len = 0;
    enum status st = m->content_len <= INDEX_TEXT_MAX ? read_sealed(fd, m, keys, room, err) : fail(err, BAD_INPUT, "it is too long");
    a->sealed += m->sealed;
    a->opened += m->sealed && st != REFUSED;
    if (st == OK)
        st = inflate_text(a, slice_of(room->data, room->len), &text, &len, err);
    if (st == OK)
        st = index_read(text, len, cover, add_row, a, err);
    if (st == OK && cover->to >= m->number)
        st = fail(err, BAD_INPUT, "it says that it covers what comes after it");
    return st;
}

/* ---- all members ---- */

static enum status refused(const struct age_keys *keys, const struct listing_member *m, struct err *err)
{
    return m->sealed && keys == NULL
               ? fail(err, REFUSED, "the recording is sealed to its auditors' keys, and none was given. Next: --auditor-key FILE, with the secret key of one of them") : OK;
}

/* An index that can't be read covers nothing: its segments are read instead, where they are. Lines of it that were read are taken back. */
static enum status read_indexes(struct archive *a, const struct age_keys *keys, int fd, const struct listing *l, struct listing_set *covered, struct err *err)
{
    struct warc_bytes room = { 0 };
    enum status st = OK;
    for (size_t i = 0; i < l->count && st == OK; i++) {
        const struct listing_member *m = &l->v[i];
        struct index_cover cover = { 0 };
        struct err why = { "" };
        if (m->kind != TAR_INDEX)
            continue;
        st = refused(keys, m, err);
        if (st != OK)
            break;
        size_t rows = a->row_count;
        st = read_index(a, keys, fd, m, &room, &cover, &why);
        if (st == OK) {
            listing_set_add(covered, cover.from, cover.to);
        } else if (st == NO_MEMORY) {
            (void)fail(err, st, "recording");
        } else {
            take_back(a, rows);
            a->bad_indexes++;
            st = OK;
        }
    }
    warc_bytes_done(&room);
    return st;
}

static enum status read_rest(struct archive *a, const struct age_keys *keys, int fd, const struct listing *l, struct listing_set *known, struct err *err)
{
    enum status st = OK;
    for (size_t i = 0; i < l->count && st == OK; i++) {
        const struct listing_member *m = &l->v[i];
        bool read = m->kind == TAR_RECORDS && !listing_set_has(known, m->number);
        listing_set_add(known, m->number, m->number);
        const struct tar_member whole = { .start = m->start, .content = m->content, .end = m->end, .content_len = m->content_len, .number = m->number, .sealed = m->sealed };
        if (read) {
            st = archive_read_segment(a, keys, fd, &whole, err);
            a->unindexed++;
        }
    }
    return st;
}

static enum status note_missing(struct archive *a, const struct listing_set *known, unsigned last)
{
    enum status st = OK;
    for (unsigned n = 1; n <= last && st == OK; n++) {
        char text[80];
        unsigned to = n;
        if (listing_set_has(known, n))
            continue;
        while (to < last && !listing_set_has(known, to + 1))
            to++;
        snprintf(text, sizeof text, "segments %u to %u are missing", n, to);
        st = archive_add_bad(a, n, text);
        n = to;
    }
    return st;
}

static enum status list_members(struct archive *a, const struct age_keys *keys, int fd, uint64_t size, struct err *err)
{
    struct listing l = { 0 };
    struct listing_set known = { 0 };
    struct err why = { "" };
    enum status st = listing_walk(fd, size, &l, &why);
    if (st == BAD_INPUT) {            /* archive_open finds its way past that; with its words */
        listing_done(&l);
        return archive_read_members(a, keys, fd, size, err);
    }
    unsigned last = 0;
    for (size_t i = 0; i < l.count; i++)
        last = l.v[i].number > last ? l.v[i].number : last;
    if (st != OK)
        st = fail(err, st, "%s", why.text);
    else if (listing_set_make(&known, last) != OK)
        st = fail(err, NO_MEMORY, "recording");
    if (st == OK)
        st = read_indexes(a, keys, fd, &l, &known, err);
    if (st == OK)
        st = read_rest(a, keys, fd, &l, &known, err);
    if (st == OK)
        st = note_missing(a, &known, last);
    listing_set_done(&known);
    listing_done(&l);
    return st;
}

enum status archive_list(const char *path, const struct age_keys *keys, struct archive **out, struct err *err)
{
    return archive_open_by(path, keys, list_members, out, err);
}

/* ---- rows and what segments told ---- */

/* Its beginning stands in an index, its rest in segments that none covers yet. */
static void take_beginning(struct archive_exchange *x, const struct archive_exchange *begin)
{
    x->started_ms = begin->started_ms;
    x->request_head = begin->request_head;
    x->request_record = begin->request_record;
    x->first_segment = begin->first_segment;
    x->names = begin->names;
    x->sizes_only = begin->sizes_only;
    if (x->action.len == 0)
        x->action = begin->action;
    if (x->status == 0 && begin->status > 0) {
        x->status = begin->status;
        x->from_tool = begin->from_tool;
        x->response_record = begin->response_record;
        x->secrets = begin->secrets;
    }
    x->message_total += begin->message_total;
    x->request_bytes += begin->request_bytes;
    x->response_bytes += begin->response_bytes;
    x->request_omitted += begin->request_omitted;
    x->response_omitted += begin->response_omitted;
    x->request_cut = begin->request_cut && x->why.len > 0;
    x->response_cut = begin->response_cut && x->why.len > 0;
}

void archive_merge_row(struct archive *a, struct archive_exchange *x)
{
    struct archive_loose *l = loose_find(a, x->id);
    if (l == NULL)
        return;
    struct archive_exchange *row = &a->rows[l->row];
    if (l->part == INDEX_BEGIN)
        take_beginning(x, row);
    else
        take_end(x, row);
    row_clear(row);
    loose_drop(a, l);
}

void archive_rows_free(struct archive *a)
{
    struct archive_loose *l, *next;
    HASH_ITER(hh, a->loose, l, next)
        loose_drop(a, l);
    for (size_t i = 0; i < a->row_count; i++)
        json_decref((json_t *)(uintptr_t)a->rows[i].notes);
    for (size_t i = 0; i < a->text_count; i++)
        free(a->texts[i]);
    free(a->texts);
    free(a->rows);
}
