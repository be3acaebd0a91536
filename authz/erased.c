#include "authz/erased.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_TEXT = 24 };
#define SEQ_MAX UINT32_MAX

void erased_done(struct erased *e)
{
    free(e->by);
    free(e->claims);
    *e = (struct erased){ 0 };
}

uint64_t erased_by(const struct erased *e, uint64_t seq)
{
    return e->by != NULL && seq < e->room ? e->by[seq] : 0;
}

static bool grow(uint32_t **v, uint64_t from, uint64_t room)
{
    uint32_t *more = realloc(*v, room * sizeof **v);
    if (more == NULL)
        return false;
    memset(more + from, 0, (room - from) * sizeof **v);
    *v = more;
    return true;
}

static enum status room_for(struct erased *e, uint64_t seq, struct err *err)
{
    uint64_t room = e->room ? e->room : 1024;
    if (seq >= SEQ_MAX)
        return fail(err, CORRUPT, "a log of so many leaves cannot be erased from");
    while (room <= seq)
        room *= 2;
    if (room == e->room && e->by != NULL && e->claims != NULL)
        return OK;
    uint64_t by_from = e->by ? e->room : 0, claims_from = e->claims ? e->room : 0;
    if (!grow(&e->by, by_from, room) || !grow(&e->claims, claims_from, room))
        return fail(err, NO_MEMORY, "what was erased");
    e->room = room;
    return OK;
}

enum status erased_claim(struct erased *e, uint64_t seq, uint64_t by, struct err *err)
{
    if (by <= seq || by >= SEQ_MAX)
        return fail(err, CORRUPT, "leaf %llu says that it was erased by leaf %llu, which cannot be", (unsigned long long)seq, (unsigned long long)by);
    enum status st = room_for(e, seq, err);
    if (st != OK)
        return st;
    e->claims[seq] = (uint32_t)by;
    e->claimed++;
    return OK;
}

static enum status take_one(struct erased *e, uint64_t seq, uint64_t n, bool was_read, struct err *err)
{
    enum status st = room_for(e, n, err);
    if (st != OK)
        return st;
    if (e->by[n] != 0)
        return fail(err, CORRUPT, "leaf %llu erases leaf %llu, which leaf %llu had erased", (unsigned long long)seq, (unsigned long long)n, (unsigned long long)e->by[n]);
    if (was_read && e->claims[n] != seq)
        return fail(err, CORRUPT, "leaf %llu was erased by leaf %llu, and something else stands there now", (unsigned long long)n, (unsigned long long)seq);
    if (e->claims[n] == seq) {
        e->claims[n] = 0;
        e->claimed--;
    }
    e->by[n] = (uint32_t)seq;
    e->count++;
    return OK;
}

/* 1*DIGIT, without a leading zero, up to SEQ_MAX. */
static bool number(const char **at, uint64_t *out)
{
    uint64_t n = 0;
    if (**at < '1' || **at > '9')
        return false;
    for (; **at >= '0' && **at <= '9'; ++*at) {
        n = n * 10 + (uint64_t)(**at - '0');
        if (n >= SEQ_MAX)
            return false;
    }
    *out = n;
    return true;
}

/* list = range *("," range); range = number ["-" number]; strictly ascending, no range of one. */
enum status erased_take(struct erased *e, uint64_t seq, const char *list, uint64_t unread, struct err *err)
{
    uint64_t before = 0;
    enum status st = OK;
    for (const char *at = list; st == OK; at++) {
        uint64_t from = 0, to = 0;
        bool good = number(&at, &from);
        to = from;
        if (good && *at == '-') {
            at++;
            good = number(&at, &to) && to > from;
        }
        if (!good || from <= before || to >= seq || (*at != 0 && *at != ','))
            return fail(err, CORRUPT, "leaf %llu does not list leaves before it", (unsigned long long)seq);
        for (uint64_t n = from; n <= to && st == OK; n++)
            st = take_one(e, seq, n, n > unread, err);
        before = to;
        if (*at == 0)
            break;
    }
    return st;
}

void erased_note(struct erased *e, const json_t *content)
{
    int64_t to = json_integer_value(json_object_get(content, "to_ms"));
    if (!json_is_true(json_object_get(content, "whole")))
        return;
    e->stories++;
    e->last_ms = to > e->last_ms ? to : e->last_ms;
}

enum status erased_settle(struct erased *e, struct err *err)
{
    for (uint64_t n = 0; e->claimed > 0 && n < e->room; n++)
        if (e->claims[n] != 0)
            return fail(err, CORRUPT, "the content of leaf %llu is gone, and leaf %llu does not say that it was erased", (unsigned long long)n, (unsigned long long)e->claims[n]);
    free(e->claims);
    e->claims = NULL;
    return OK;
}

enum status erased_restore(struct erased *e, uint64_t seq, uint64_t by, struct err *err)
{
    if (by <= seq || by >= SEQ_MAX)
        return fail(err, CORRUPT, "memory of the log");
    enum status st = room_for(e, seq, err);
    if (st != OK)
        return st;
    e->by[seq] = (uint32_t)by;
    e->count++;
    return OK;
}

char *erased_list(const uint64_t *seqs, size_t count)
{
    char *text = calloc(count + 1, NUMBER_TEXT), *at = text;
    for (size_t i = 0, next; text != NULL && i < count; i = next) {
        for (next = i + 1; next < count && seqs[next] == seqs[next - 1] + 1;)
            next++;
        at += snprintf(at, NUMBER_TEXT, "%s%llu", i ? "," : "", (unsigned long long)seqs[i]);
        if (next - i > 1)
            at += snprintf(at, NUMBER_TEXT, "-%llu", (unsigned long long)seqs[next - 1]);
    }
    return text;
}
