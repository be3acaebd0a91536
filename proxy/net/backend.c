#include "proxy/net/backend.h"

#include "proxy/base/log.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { DOUBLINGS_MAX = 6, PROBE_MS = 10000 };

struct backend {
    struct backend *next;
    char *tool, *address;
    unsigned refs;                    /* under the lock */
    atomic_uint fails, rounds;        /* in a row: failures; times it went out */
    atomic_uint check_fails;
    atomic_int_least64_t out_until_ms;   /* 0: in */
    atomic_bool unwell;
    atomic_uint_least64_t requests, failures, connections;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct backend *all;           /* rows stay: what is known of a place outlives a reload; their number is what the operator ever wrote */

static struct backend *find(const char *tool, const char *address)
{
    for (struct backend *b = all; b != NULL; b = b->next)
        if (strcmp(b->tool, tool) == 0 && strcmp(b->address, address) == 0)
            return b;
    struct backend *b = calloc(1, sizeof *b);
    if (b == NULL)
        return NULL;
    b->tool = strdup(tool);
    b->address = strdup(address);
    if (b->tool == NULL || b->address == NULL) {
        free(b->tool);
        free(b->address);
        free(b);
        return NULL;
    }
    b->next = all;
    all = b;
    return b;
}

struct backend *backend_get(const struct tool *tool, const struct upstream_address *address)
{
    pthread_mutex_lock(&lock);
    struct backend *b = find(tool->name, address->text);
    if (b != NULL)
        b->refs++;
    pthread_mutex_unlock(&lock);
    return b;
}

void backend_put(struct backend *b)
{
    if (b == NULL)
        return;
    pthread_mutex_lock(&lock);
    b->refs--;
    pthread_mutex_unlock(&lock);
}

bool backend_open(struct backend *b, int64_t now_ms)
{
    int_least64_t until = atomic_load_explicit(&b->out_until_ms, memory_order_relaxed);
    if (until == 0)
        return true;
    /* One probe at a time; one whose client left, so that nothing was learnt, is followed by another. */
    return now_ms >= until && atomic_compare_exchange_strong(&b->out_until_ms, &until, now_ms + PROBE_MS);
}

bool backend_well(const struct backend *b)
{
    return !atomic_load_explicit(&b->unwell, memory_order_relaxed);
}

int64_t backend_out_until(const struct backend *b)
{
    return atomic_load_explicit(&b->out_until_ms, memory_order_relaxed);
}

void backend_worked(struct backend *b)
{
    if (atomic_load_explicit(&b->fails, memory_order_relaxed) == 0)
        return;
    atomic_store(&b->fails, 0);
    atomic_store(&b->rounds, 0);
    if (atomic_exchange(&b->out_until_ms, 0) != 0)
        log_info("tool.upstream-in", "tool", b->tool, "upstream", b->address);
}

void backend_failed(struct backend *b, const struct tool *tool, int64_t now_ms, const char *why)
{
    char ms[24];
    atomic_fetch_add_explicit(&b->failures, 1, memory_order_relaxed);
    unsigned fails = atomic_fetch_add(&b->fails, 1) + 1;
    int64_t until = atomic_load(&b->out_until_ms);
    bool probe = until != 0;          /* what was under way when it went out fails too, and is no news */
    if (fails < tool->upstream_fails || (probe && until - now_ms < PROBE_MS / 2 && until > now_ms))
        return;
    unsigned round = probe ? atomic_fetch_add(&b->rounds, 1) + 1 : atomic_load(&b->rounds);
    int64_t for_ms = tool->upstream_back_off_ms << (round < DOUBLINGS_MAX ? round : DOUBLINGS_MAX);
    atomic_store(&b->out_until_ms, now_ms + for_ms);
    snprintf(ms, sizeof ms, "%lld", (long long)for_ms);
    log_warn("tool.upstream-out", "tool", b->tool, "upstream", b->address, "why", why, "for_ms", ms);
}

void backend_checked(struct backend *b, const struct tool *tool, bool well, const char *why)
{
    unsigned fails = well ? 0 : atomic_load(&b->check_fails) + 1;
    atomic_store(&b->check_fails, fails);
    if (well && atomic_exchange(&b->unwell, false))
        log_info("tool.upstream-well", "tool", b->tool, "upstream", b->address);
    if (!well && fails >= tool->upstream_fails && !atomic_exchange(&b->unwell, true))
        log_warn("tool.upstream-unwell", "tool", b->tool, "upstream", b->address, "why", why);
    if (well)
        backend_worked(b);
}

void backend_count(struct backend *b, uint64_t more_requests, uint64_t more_connections)
{
    if (more_requests > 0)
        atomic_fetch_add_explicit(&b->requests, more_requests, memory_order_relaxed);
    if (more_connections > 0)
        atomic_fetch_add_explicit(&b->connections, more_connections, memory_order_relaxed);
}

/* The config's forms leave no quote, backslash or line end in either. */
static void write_family(FILE *out, const char *name, const char *type, const char *help, uint64_t (*value)(const struct backend *b))
{
    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
    for (const struct backend *b = all; b != NULL; b = b->next)
        if (b->refs > 0)
            fprintf(out, "%s{tool=\"%s\",upstream=\"%s\"} %llu\n", name, b->tool, b->address, (unsigned long long)value(b));
}

static uint64_t is_up(const struct backend *b) { return backend_well(b) && backend_out_until(b) == 0; }
static uint64_t requests(const struct backend *b) { return atomic_load_explicit(&b->requests, memory_order_relaxed); }
static uint64_t failures(const struct backend *b) { return atomic_load_explicit(&b->failures, memory_order_relaxed); }
static uint64_t connections(const struct backend *b) { return atomic_load_explicit(&b->connections, memory_order_relaxed); }

void backends_write(FILE *out)
{
    pthread_mutex_lock(&lock);
    write_family(out, "countersign_upstream_up", "gauge", "1 while requests may go there: neither left out after failures nor unwell.", is_up);
    write_family(out, "countersign_upstream_requests_total", "counter", "Requests sent there.", requests);
    write_family(out, "countersign_upstream_failures_total", "counter", "No connection, a bad certificate, silence, or an answer that broke off before it began.", failures);
    write_family(out, "countersign_upstream_connections_total", "counter", "Connections opened.", connections);
    pthread_mutex_unlock(&lock);
}
