#include "proxy/commands/exchange_filter.h"

#include "proxy/commands/session_view.h"
#include "proxy/commands/words.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool status_ok(const char *t)
{
    if (strcmp(t, "none") == 0)
        return true;
    return strlen(t) == 3 && t[0] >= '1' && t[0] <= '5' && ((is_digit(t[1]) && is_digit(t[2])) || strcmp(t + 1, "xx") == 0);
}

const char *exchange_filter_read(struct exchange_filter *f, int64_t now_s)
{
    int64_t s = 0;
    if (f->customer != NULL && !budget_name_typed(f->customer, f->name))
        return "--customer is an id, or NAME=ID";
    f->since_ms = 0;
    f->until_ms = INT64_MAX;
    if (f->status != NULL && !status_ok(f->status))
        return "--status is a code such as 200, a class such as 4xx, or none";
    if (f->since != NULL && !words_read_since(f->since, now_s, &s))
        return "--since is not a time; write it like 2h, 2026-01-31 or 2026-01-31T12:00:00Z";
    if (f->since != NULL)
        f->since_ms = s * 1000;
    if (f->until != NULL && !words_read_since(f->until, now_s, &s))
        return "--until is not a time; write it like 2h, 2026-01-31 or 2026-01-31T12:00:00Z";
    if (f->until != NULL)
        f->until_ms = s * 1000;
    return NULL;
}

static bool status_fits(const char *wanted, unsigned status)
{
    if (strcmp(wanted, "none") == 0)
        return status == 0;
    if (wanted[1] == 'x')
        return status / 100 == (unsigned)(wanted[0] - '0');
    return status == (unsigned)(wanted[0] - '0') * 100 + (unsigned)(wanted[1] - '0') * 10 + (unsigned)(wanted[2] - '0');
}

static bool names_hold(struct slice names, const char *wanted)
{
    struct slice one;
    while (budget_name_next(&names, &one))
        if (slice_eq(one, slice_str(wanted)))
            return true;
    return false;
}

bool exchange_filter_fits(const struct exchange_filter *f, const struct archive_exchange *x)
{
    struct slice method, target;
    head_request_line(x->request_head, &method, &target);
    return (f->customer == NULL || names_hold(x->names, f->name)) && (f->action == NULL || slice_eq(x->action, slice_str(f->action))) && (f->method == NULL || slice_eq(method, slice_str(f->method)))
           && (f->path == NULL || f->path[0] == 0 || (target.len > 0 && memmem(target.ptr, target.len, f->path, strlen(f->path)) != NULL))
           && (f->status == NULL || status_fits(f->status, x->status)) && x->started_ms >= f->since_ms && x->started_ms < f->until_ms;
}

bool exchange_filter_any(const struct exchange_filter *f)
{
    return f->action != NULL || f->method != NULL || f->path != NULL || f->status != NULL || f->since != NULL || f->until != NULL || f->customer != NULL;
}
