/* teller_keep: how far each place was told, and the lines that wait which the log does not have. */
#include "authz/approvals/teller_internal.h"

#include <unistd.h>

enum { POSITION_MAX = 4096, WAITING_MAX = PLACES * (QUEUE_MAX + BATCH_LINES_MAX) * 2 * SINK_LINE_MAX };

const char *const place_names[PLACES] = { "file", "stdout", "syslog", "webhook" };

uint64_t place_position(const struct place *p)
{
    return p->batch != NULL ? p->confirmed : p->told;
}

uint64_t teller_told(const struct service *s)
{
    uint64_t least = UINT64_MAX;
    for (size_t i = 0; s->teller != NULL && i < PLACES; i++)
        if (s->teller->places[i] != NULL && place_position(s->teller->places[i]) < least)
            least = place_position(s->teller->places[i]);
    return least;
}

static json_t *read_json(const char *path, size_t max)
{
    unsigned char *text = NULL;
    size_t len = 0;
    if (file_read(path, max, false, &text, &len, NULL) != OK)
        return NULL;
    json_t *o = json_loadb((const char *)text, len, JSON_REJECT_DUPLICATES, NULL);
    free(text);
    return o;
}

json_t *teller_positions(const struct teller *t)
{
    return read_json(t->position_path, POSITION_MAX);
}

uint64_t teller_position(const struct service *s, const json_t *positions, size_t which, uint64_t fresh)
{
    const json_t *v = json_object_get(positions, place_names[which]);
    uint64_t n = json_is_integer(v) && json_integer_value(v) >= 0 ? (uint64_t)json_integer_value(v) : UINT64_MAX;
    return n < log_size(s->log) ? n : fresh;
}

void teller_save(struct teller *t, bool exact)
{
    struct err err = { .text = "" };
    json_t *o = json_object();
    for (size_t i = 0; i < PLACES; i++) {
        struct place *p = t->places[i];
        if (p == NULL)
            continue;
        uint64_t now = place_position(p);
        json_object_set_new(o, place_names[i], json_integer((json_int_t)(exact || p->batch != NULL ? now : p->noted)));
        p->noted = now;
    }
    char *text = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    if (text == NULL || file_write(t->position_path, slice_str(text), 0600, &err) != OK)
        log_warn("audit.position", "why", err.text, "next", "after a crash lines may come twice");
    free(text);
}

/* ---- lines that wait ---- */

static void add(json_t *list, const struct event_row *row, int64_t time_ms, const char *text)
{
    json_array_append_new(list, json_pack("[s, I, s]", row->name, (json_int_t)time_ms, text));
}

static json_t *waiting_of(const struct place *p)
{
    json_t *list = json_array();
    for (size_t i = 0; p->batch != NULL && i < p->batch->count; i++)
        if (!p->batch->lines[i].leaf)
            add(list, p->batch->lines[i].row, p->batch->lines[i].time_ms, p->batch->lines[i].text);
    for (size_t i = 0; i < p->waiting; i++) {
        const struct told_line *l = &p->queue[(p->first + i) % QUEUE_MAX];
        add(list, l->row, l->time_ms, l->text);
    }
    return list;
}

void teller_keep(struct teller *t)
{
    struct err err = { .text = "no memory" };
    json_t *o = json_object();
    for (size_t i = 0; i < PLACES; i++)
        if (t->places[i] != NULL) {
            json_t *list = waiting_of(t->places[i]);
            if (json_array_size(list) > 0)
                json_object_set(o, place_names[i], list);
            json_decref(list);
        }
    char *text = json_object_size(o) > 0 ? json_dumps(o, JSON_COMPACT) : NULL;
    if (json_object_size(o) == 0)
        unlink(t->waiting_path);
    else if (text == NULL || file_write(t->waiting_path, slice_str(text), 0600, &err) != OK)
        log_error("audit.unkept", "why", err.text, "next", "events that are no leaves of the log, and waited for a place, are lost");
    free(text);
    json_decref(o);
}

static void put_back(struct place *p, const json_t *list)
{
    size_t i;
    json_t *line;
    json_array_foreach((json_t *)(uintptr_t)list, i, line) {
        const char *name = json_string_value(json_array_get(line, 0)), *text = json_string_value(json_array_get(line, 2));
        const struct event_row *row = name != NULL ? event_row_of(name) : NULL;
        if (row != NULL && text != NULL && strlen(text) < SINK_LINE_MAX && strpbrk(text, "\r\n") == NULL)
            place_enqueue(p, row, json_integer_value(json_array_get(line, 1)), text);
    }
}

void place_inherit(struct place *to, const struct place *from)
{
    json_t *list = waiting_of(from);
    to->lost = from->lost;
    to->lost_told = from->lost_told;
    put_back(to, list);
    json_decref(list);
}

/* The file stays until the next orderly end: after a crash its lines come twice rather than not at all. */
void teller_restore(struct teller *t)
{
    json_t *o = read_json(t->waiting_path, WAITING_MAX);
    for (size_t i = 0; i < PLACES; i++)
        if (t->places[i] != NULL)
            put_back(t->places[i], json_object_get(o, place_names[i]));
    json_decref(o);
}
