#include "proxy/exchange/refused.h"

#include "proxy/exchange/worker.h"

#include <string.h>

enum { TELL_MS = 1000 };

bool refusal_counts(const char *type)
{
    return type != NULL && (strcmp(type, "not-allowed") == 0 || strcmp(type, "grant-mismatch") == 0);
}

static void tell(struct worker *w)
{
    struct refused *r = &w->refused;
    for (size_t i = 0; i < r->used; i++) {
        const struct identity *id = &r->slot[i].who;
        json_t *m = json_pack("{s:s,s:{s:s,s:s,s:I},s:i}", "op", "refused", "who", "identity", id->name, "x5t", id->x5t, "not_after",
                              (json_int_t)id->not_after_s, "count", (int)r->slot[i].count);
        (void)link_call(w->link, m, NULL, 0, NULL, NULL);   /* untold when authz is away: then nothing is served either */
    }
    r->used = 0;
    r->told_ms = w->loop.now_ms;
}

void refused_add(struct worker *w, const struct identity *who)
{
    struct refused *r = &w->refused;
    if (w->snap->config->lock_when.refusals == 0)
        return;
    for (size_t i = 0; i < r->used; i++)
        if (strcmp(r->slot[i].who.name, who->name) == 0 && strcmp(r->slot[i].who.x5t, who->x5t) == 0) {
            r->slot[i].count++;
            return;
        }
    if (r->used == REFUSED_SLOTS)
        tell(w);
    r->slot[r->used].who = *who;
    r->slot[r->used++].count = 1;
}

void refused_tick(struct worker *w)
{
    if (w->refused.used > 0 && w->loop.now_ms - w->refused.told_ms >= TELL_MS)
        tell(w);
}
