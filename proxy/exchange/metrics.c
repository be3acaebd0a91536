#include "proxy/exchange/metrics.h"

#include "proxy/base/sandbox.h"

#include <string.h>

/* OpenTelemetry's advice for http.server.request.duration, in milliseconds. */
static const unsigned bounds_ms[METRIC_BUCKETS] = { 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000 };
static const char *const bounds_text[METRIC_BUCKETS + 1] = { "0.005", "0.01", "0.025", "0.05", "0.075", "0.1", "0.25", "0.5", "0.75", "1", "2.5", "5", "7.5",
                                                             "10", "+Inf" };
static const char *const classes[METRIC_CLASSES] = { "none", "1xx", "2xx", "3xx", "4xx", "5xx" };
/* Types of refusals that are counted apart; the first stands for all others. */
static const char *const refusal_types[METRIC_REFUSALS] = {
    "other", "authorization-unavailable", "budget-exhausted", "policy-differs", "bad-field", "bad-query", "bad-release", "bad-target", "cannot-be-held", "cross-origin", "grant-required",
    "head-too-large", "held-too-large", "held-unreadable", "locked", "malformed-request", "misdirected", "not-allowed", "not-found", "overloaded",
    "recording-unavailable", "service-worker", "signoff-required", "tool-answer-invalid", "tool-broke-off", "tool-busy", "tool-timeout", "tool-unreachable", "tool-untrusted", "unknown-host", "unknown-person",
};

static size_t refusal_index(const char *type)
{
    for (size_t i = 1; i < METRIC_REFUSALS; i++)
        if (strcmp(type, refusal_types[i]) == 0)
            return i;
    return 0;
}

void metrics_exchange(struct metrics *m, bool http2, unsigned status, uint64_t ms, uint64_t received, uint64_t sent, const char *refusal)
{
    unsigned class = status / 100 < METRIC_CLASSES ? status / 100 : 0, bucket = 0;
    while (bucket < METRIC_BUCKETS && ms > bounds_ms[bucket])
        bucket++;
    metric_add(&m->duration[http2][class][bucket], 1);
    metric_add(&m->duration_ms[http2][class], ms);
    metric_add(&m->received_bytes, received);
    metric_add(&m->sent_bytes, sent);
    if (refusal != NULL)
        metric_add(&m->refusals[refusal_index(refusal)], 1);
}

static uint64_t get(const metric *m)
{
    return atomic_load_explicit(m, memory_order_relaxed);
}

/* The sum of the metric at this offset over all workers. */
static uint64_t sum(struct metrics *const *all, size_t count, size_t at)
{
    uint64_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += get((const metric *)((const char *)all[i] + at));
    return total;
}

/* Of what every worker was told alike. */
static uint64_t largest(struct metrics *const *all, size_t count, size_t at)
{
    uint64_t most = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t n = get((const metric *)((const char *)all[i] + at));
        most = n > most ? n : most;
    }
    return most;
}

struct plain {
    const char *name, *type, *help;
    size_t at;
};
static const struct plain plains[] = {
    { "http_server_active_requests", "gauge", "Requests under way.", offsetof(struct metrics, active_requests) },
    { "countersign_connections", "gauge", "Client connections that are open.", offsetof(struct metrics, connections) },
    { "countersign_connections_accepted_total", "counter", "Client connections accepted.", offsetof(struct metrics, accepted) },
    { "countersign_connections_refused_total", "counter", "Closed at once: limits.connections or limits.connections_per_source.", offsetof(struct metrics, refused) },
    { "countersign_connections_displaced_total", "counter", "Of nobody known, closed to make room: limits.connections or limits.handshakes.", offsetof(struct metrics, displaced) },
    { "countersign_connections_drained_total", "counter", "Reset when the drain's time was up.", offsetof(struct metrics, drained) },
    { "countersign_tls_handshakes_failed_total", "counter", "TLS handshakes that failed.", offsetof(struct metrics, tls_failed) },
    { "countersign_certificates_refused_total", "counter", "Connections without a good client certificate.", offsetof(struct metrics, certificates_refused) },
    { "countersign_request_body_bytes_total", "counter", "Bytes of request bodies received.", offsetof(struct metrics, received_bytes) },
    { "countersign_response_body_bytes_total", "counter", "Bytes of response bodies sent.", offsetof(struct metrics, sent_bytes) },
};

static void head(FILE *out, const char *name, const char *type, const char *help)
{
    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void write_duration(FILE *out, struct metrics *const *all, size_t count, unsigned http2, unsigned class)
{
    const char *name = "http_server_request_duration_seconds";
    char labels[96];
    uint64_t total = 0;
    snprintf(labels, sizeof labels, "network_protocol_version=\"%s\",status_class=\"%s\"", http2 ? "2" : "1.1", classes[class]);
    for (unsigned b = 0; b <= METRIC_BUCKETS; b++) {
        total += sum(all, count, offsetof(struct metrics, duration) + sizeof(metric) * ((http2 * METRIC_CLASSES + class) * (METRIC_BUCKETS + 1) + b));
        fprintf(out, "%s_bucket{%s,le=\"%s\"} %llu\n", name, labels, bounds_text[b], (unsigned long long)total);
    }
    uint64_t ms = sum(all, count, offsetof(struct metrics, duration_ms) + sizeof(metric) * (http2 * METRIC_CLASSES + class));
    fprintf(out, "%s_sum{%s} %llu.%03u\n%s_count{%s} %llu\n", name, labels, (unsigned long long)(ms / 1000), (unsigned)(ms % 1000), name, labels,
            (unsigned long long)total);
}

static int64_t silence_ms(struct metrics *const *all, size_t count, int64_t now_ms)
{
    int64_t longest = 0;
    for (size_t i = 0; i < count; i++) {
        int64_t ms = now_ms - (int64_t)get(&all[i]->authz_heard_ms);
        if (ms > longest)
            longest = ms;
    }
    return longest;
}

void metrics_write(FILE *out, struct metrics *const *all, size_t count, int64_t now_mono_ms)
{
    head(out, "http_server_request_duration_seconds", "histogram", "Time of a request, from its head to the end of the answer.");
    for (unsigned http2 = 0; http2 < 2; http2++)
        for (unsigned class = 0; class < METRIC_CLASSES; class++)
            write_duration(out, all, count, http2, class);
    for (size_t i = 0; i < sizeof plains / sizeof *plains; i++) {
        head(out, plains[i].name, plains[i].type, plains[i].help);
        fprintf(out, "%s %llu\n", plains[i].name, (unsigned long long)sum(all, count, plains[i].at));
    }
    head(out, "countersign_refusals_total", "counter", "Requests that the gateway itself refused, by the type of the problem.");
    for (size_t i = 0; i < METRIC_REFUSALS; i++)
        fprintf(out, "countersign_refusals_total{type=\"%s\"} %llu\n", refusal_types[i],
                (unsigned long long)sum(all, count, offsetof(struct metrics, refusals) + i * sizeof(metric)));
    head(out, "countersign_audit_events_waiting", "gauge", "Audit events that a place has not taken yet.");
    fprintf(out, "countersign_audit_events_waiting %llu\n", (unsigned long long)largest(all, count, offsetof(struct metrics, audit_waiting)));
    head(out, "countersign_audit_events_lost_total", "counter", "Audit events that no place will have: no leaves, which are told later.");
    fprintf(out, "countersign_audit_events_lost_total %llu\n",
            (unsigned long long)(largest(all, count, offsetof(struct metrics, audit_lost)) + sum(all, count, offsetof(struct metrics, door_lost))));
    int64_t silence = silence_ms(all, count, now_mono_ms);
    head(out, "countersign_authz_silence_seconds", "gauge", "Since the deciding process was last heard.");
    fprintf(out, "countersign_authz_silence_seconds %lld.%03d\n", (long long)(silence / 1000), (int)(silence % 1000));
    head(out, "countersign_recording_available", "gauge", "1 while recordings can be kept.");
    fprintf(out, "countersign_recording_available %d\n", sum(all, count, offsetof(struct metrics, recording_broken)) == 0);
    head(out, "countersign_sandbox", "gauge", "1: the process that faces the network is confined in which files it may open, and in which system calls it may make.");
    fprintf(out, "countersign_sandbox{fence=\"files\"} %d\ncountersign_sandbox{fence=\"calls\"} %d\n", sandbox_state().landlock > 0, sandbox_state().calls);
    head(out, "countersign_build_info", "gauge", "The version that runs.");
    fprintf(out, "countersign_build_info{version=\"%s\"} 1\n", COUNTERSIGN_VERSION);
}

const char *metrics_trouble(struct metrics *const *all, size_t count, int64_t now_mono_ms, int64_t max_staleness_ms)
{
    if (sum(all, count, offsetof(struct metrics, draining)) > 0)
        return "draining";
    if (silence_ms(all, count, now_mono_ms) > max_staleness_ms)
        return "authz is silent";
    return sum(all, count, offsetof(struct metrics, recording_broken)) > 0 ? "the recording cannot be kept" : NULL;
}
