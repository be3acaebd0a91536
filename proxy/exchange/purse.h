/* purse: what this worker has leased of one grant's budget and not spent yet (authz/budget.h, authz/README.md). Pure. */
#ifndef COUNTERSIGN_PURSE_H
#define COUNTERSIGN_PURSE_H

#include "authz/budget.h"

struct purse;
/* From the grant's claim; NULL when it limits nothing, or no memory (*failed). */
struct purse *purse_new(const json_t *claim, bool *failed);
void purse_free(struct purse *p);     /* NULL is fine */

/* What one request spends. */
struct spend {
    char action[BUDGET_NAME_MAX];     /* "action:export" */
    struct budget_value values[BUDGET_VALUES_MAX];
    size_t value_count;
};
bool purse_limits(const struct purse *p, const char *line);
/* What has to be leased before this can be spent, as `wants` of budget.lease; NULL: nothing. all: what it would take with an empty purse. */
json_t *purse_wants(const struct purse *p, const struct spend *s, bool all);
/* The lease of `wants` was answered with `leased`. False: no memory, nothing may be spent. */
bool purse_put(struct purse *p, const json_t *wants, const json_t *leased);
/* Spend it: purse_wants() said NULL. */
void purse_spend(struct purse *p, const struct spend *s);

/* Bytes to the person. */
int64_t purse_bytes(const struct purse *p);
void purse_take_bytes(struct purse *p, size_t n);
/* A lease of bytes is under way. */
bool purse_asking(const struct purse *p);
void purse_set_asking(struct purse *p, bool asking);

#endif
