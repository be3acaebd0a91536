/* exchange_filter: which exchanges of a recording are meant: for `show` and `export`. */
#ifndef COUNTERSIGN_COMMANDS_EXCHANGE_FILTER_H
#define COUNTERSIGN_COMMANDS_EXCHANGE_FILTER_H

#include "authz/budget.h"
#include "proxy/record/archive.h"

struct exchange_filter {
    const char *action, *method, *path, *status, *since, *until, *customer;   /* as typed; NULL: any */
    char name[BUDGET_NAMED_MAX];      /* of the customer, as recordings have it; filled by exchange_filter_read */
    int64_t since_ms, until_ms;       /* filled by exchange_filter_read */
};

#define EXCHANGE_FILTER_OPTIONS(f) \
    { "action", 0, "NAME", "only exchanges that were this action", &(f).action, NULL, false }, \
    { "method", 0, "METHOD", "only with this method", &(f).method, NULL, false }, \
    { "path", 0, "TEXT", "only those whose target holds this", &(f).path, NULL, false }, \
    { "customer", 0, "ID", "only those that touch this customer, as the policy counts them; NAME=ID for what it counts under another name", &(f).customer, NULL, false }, \
    { "status", 0, "CODE", "only answered so: 200, or 4xx, or none for no answer", &(f).status, NULL, false }, \
    { "since", 0, "TIME", "only begun at or after: 2h, 2026-01-31, 2026-01-31T12:00:00Z or seconds since 1970", &(f).since, NULL, false }, \
    { "until", 0, "TIME", "only begun before, written likewise", &(f).until, NULL, false }

/* NULL, or what is wrong with what was typed. */
const char *exchange_filter_read(struct exchange_filter *f, int64_t now_s);
bool exchange_filter_fits(const struct exchange_filter *f, const struct archive_exchange *x);
/* Is anything asked for at all? */
bool exchange_filter_any(const struct exchange_filter *f);

#endif
