#include "authz/approvals/batch.h"

#include "authz/approvals/internal.h"

void batch_clear(struct batch *b)
{
    while (b->count > 0)
        free(b->lines[--b->count].text);
    *b = (struct batch){ .count = 0 };
}

bool batch_put(struct batch *b, const struct event_row *row, int64_t time_ms, struct slice text, bool leaf)
{
    if (b->id[0] != 0 || b->count == BATCH_LINES_MAX || (b->count > 0 && b->bytes + text.len > BATCH_BYTES_MAX))
        return false;
    char *copy = strndup((const char *)text.ptr, text.len);
    if (copy == NULL)
        return false;
    b->lines[b->count++] = (struct batch_line){ copy, row, time_ms, leaf };
    b->bytes += text.len;
    return true;
}

static json_t *lines_of(const struct batch *b)
{
    json_t *list = json_array();
    for (size_t i = 0; i < b->count; i++) {
        const struct batch_line *l = &b->lines[i];
        json_t *line = json_pack("[s, i, I, s]", l->row->name, (int)event_syslog_severity(l->row), (json_int_t)l->time_ms, l->text);
        if (line == NULL || json_array_append_new(list, line) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

json_t *batch_take(struct batch *b, const char *place, int64_t now_ms)
{
    char id[ID_LEN + 1];
    if (b->count == 0 || b->out || now_ms < b->due_ms)
        return NULL;
    json_t *lines = lines_of(b);
    if (lines == NULL)
        return NULL;
    if (b->id[0] == 0) {
        new_id("aud_", id);
        snprintf(b->id, sizeof b->id, "%s", id);
    }
    b->out = true;
    return json_pack("{s:s, s:s, s:o}", "place", place, "batch", b->id, "lines", lines);
}

enum batch_end batch_done(struct batch *b, const char *id, bool sent, int64_t now_ms)
{
    if (!b->out || strcmp(b->id, id) != 0)
        return BATCH_UNKNOWN;
    if (sent) {
        batch_clear(b);
        return BATCH_CONFIRMED;
    }
    int64_t wait = BATCH_FIRST_WAIT_MS;
    for (unsigned i = 0; i < b->tries && wait < BATCH_LAST_WAIT_MS; i++)
        wait *= 2;
    b->tries++;
    b->due_ms = now_ms + (wait < BATCH_LAST_WAIT_MS ? wait : BATCH_LAST_WAIT_MS);
    b->out = false;
    return BATCH_FAILED;
}

void batch_gone(struct batch *b)
{
    b->out = false;
}
