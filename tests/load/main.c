#include "tests/load/load.h"

#include <getopt.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: cs_load [OPTION ...] https://HOST:PORT/PATH\n\n"
    "A load client with a client certificate. Checks every answer; prints one JSON object; 0 if nothing failed.\n\n"
    "  --cert FILE --key FILE   the client's certificate and key (PEM)\n"
    "  --ca FILE                whom to trust (needed)\n"
    "  --connect ADDRESS        numeric IPv4 address to connect to (default 127.0.0.1)\n"
    "  --http 1|2               protocol (default 2)\n"
    "  -n N  -c N  -m N         requests in all (1), connections (1), streams a connection (1; HTTP/2)\n"
    "  --method NAME            default GET, or POST with --upload\n"
    "  --upload BYTES           send a body of that many pattern bytes\n"
    "  --header 'name: value'   at most 16; names in lower case\n"
    "  --expect-status N        default 200\n"
    "  --expect-bytes N  --expect-sha256 HEX|pattern   what each answer's body must be\n"
    "  --timeout-s N            without progress (default 30)\n"
    "  --rate N                 begin N requests a second; latency then counts from when each was due\n"
    "  --handshakes             a new connection, with a full handshake, for every request (--http 1)\n"
    "  --idle                   one request on each of -c connections, a line of JSON, then hold them until standard input ends\n"
    "  --cipher NAME --group NAME   the only TLS 1.3 suite and key exchange to offer\n";

static int wrong_usage(const char *why)
{
    fprintf(stderr, "cs_load: %s\n%s", why, usage);
    return 2;
}

static bool parse_url(struct options *o, const char *url)
{
    if (strncmp(url, "https://", 8) != 0)
        return false;
    const char *authority = url + 8, *slash = strchr(authority, '/');
    size_t len = slash ? (size_t)(slash - authority) : strlen(authority);
    o->authority = strndup(authority, len);
    o->path = strdup(slash ? slash : "/");
    o->host = o->authority ? strdup(o->authority) : NULL;
    if (o->host == NULL || o->path == NULL)
        return false;
    char *colon = strrchr(o->host, ':');
    if (colon != NULL)
        *colon = 0;
    o->port = colon ? colon + 1 : "443";
    return o->host[0] != 0;
}

static bool set_option(struct options *o, int code, const char *value)
{
    switch (code) {
    case 'C': o->cert = value; return true;
    case 'K': o->key = value; return true;
    case 'A': o->ca = value; return true;
    case 'T': o->address = value; return true;
    case 'H': o->http = (unsigned)strtoul(value, NULL, 10); return o->http == 1 || o->http == 2;
    case 'n': o->requests = strtoul(value, NULL, 10); return o->requests > 0;
    case 'c': o->connections = strtoul(value, NULL, 10); return o->connections > 0 && o->connections <= 16384;
    case 'm': o->streams = strtoul(value, NULL, 10); return o->streams > 0;
    case 'M': o->method = value; return true;
    case 'U': o->upload_bytes = strtoull(value, NULL, 10); return true;
    case 'S': o->expect_status = (unsigned)strtoul(value, NULL, 10); return true;
    case 'B': o->expect_bytes = strtoll(value, NULL, 10); return true;
    case 'D': o->expect_sha256 = value; return true;
    case 'W': o->timeout_s = (unsigned)strtoul(value, NULL, 10); return o->timeout_s > 0;
    case 'R': o->rate = strtod(value, NULL); return o->rate > 0;
    case 'N': o->handshakes = true; return true;
    case 'I': o->idle = true; return true;
    case 'X': o->cipher = value; return true;
    case 'G': o->group = value; return true;
    case 'F':
        if (o->header_count == HEADERS_MAX || strchr(value, ':') == NULL)
            return false;
        o->header[o->header_count++] = value;
        return true;
    default: return false;
    }
}

static int read_options(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {
        { "cert", 1, 0, 'C' }, { "key", 1, 0, 'K' }, { "ca", 1, 0, 'A' }, { "connect", 1, 0, 'T' }, { "http", 1, 0, 'H' },
        { "method", 1, 0, 'M' }, { "upload", 1, 0, 'U' }, { "header", 1, 0, 'F' }, { "expect-status", 1, 0, 'S' },
        { "expect-bytes", 1, 0, 'B' }, { "expect-sha256", 1, 0, 'D' }, { "timeout-s", 1, 0, 'W' }, { "rate", 1, 0, 'R' },
        { "handshakes", 0, 0, 'N' }, { "idle", 0, 0, 'I' }, { "cipher", 1, 0, 'X' }, { "group", 1, 0, 'G' }, { "help", 0, 0, 'h' }, { 0 },
    };
    static char pattern_hex[65];
    for (int code; (code = getopt_long(argc, argv, "n:c:m:h", longs, NULL)) != -1;) {
        if (code == 'h') {
            fputs(usage, stdout);
            exit(0);
        }
        if (!set_option(o, code, optarg))
            return wrong_usage("an option or its value is not right");
    }
    if (optind != argc - 1 || !parse_url(o, argv[optind]))
        return wrong_usage("one URL, https://HOST:PORT/PATH, is needed");
    if (o->ca == NULL)
        return wrong_usage("--ca is needed");
    if (o->handshakes && o->http != 1)
        return wrong_usage("--handshakes needs --http 1");
    if (o->method == NULL)
        o->method = o->upload_bytes ? "POST" : "GET";
    if (o->expect_sha256 != NULL && strcmp(o->expect_sha256, "pattern") == 0) {
        if (o->expect_bytes < 0)
            return wrong_usage("--expect-sha256 pattern needs --expect-bytes");
        pattern_sha256((uint64_t)o->expect_bytes, pattern_hex);
        o->expect_sha256 = pattern_hex;
    }
    return 0;
}

static void *run_worker(void *arg)
{
    struct worker *w = arg;
    if (w->o->http == 2)
        h2_run(w);
    else
        h1_run(w);
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void add_tally(struct tally *to, const struct tally *from)
{
    to->done += from->done;
    to->failed += from->failed;
    to->bytes_down += from->bytes_down;
    to->bytes_up += from->bytes_up;
    for (unsigned i = 0; i < 6; i++)
        to->statuses[i] += from->statuses[i];
    memcpy(to->latency_us + to->latency_count, from->latency_us, from->latency_count * sizeof(uint32_t));
    to->latency_count += from->latency_count;
}

static double percentile_ms(const struct tally *t, unsigned p)
{
    return t->latency_count ? t->latency_us[(t->latency_count - 1) * p / 100] / 1000.0 : 0;
}

static void report(const struct options *o, struct worker *workers, struct tally *all, double seconds)
{
    json_t *reasons = json_object(), *statuses = json_object();
    char name[8], upload[65] = "";
    for (unsigned long i = 0; i < o->connections; i++)
        for (unsigned r = 0; r < REASONS_MAX; r++)
            if (workers[i].tally.reasons[r].text[0] != 0) {
                const struct reason *why = &workers[i].tally.reasons[r];
                json_int_t before = json_integer_value(json_object_get(reasons, why->text));
                json_object_set_new(reasons, why->text, json_integer(before + (json_int_t)why->count));
            }
    for (unsigned i = 0; i < 6; i++)
        if (all->statuses[i] > 0) {
            snprintf(name, sizeof name, "%uxx", i);
            json_object_set_new(statuses, i ? name : "none", json_integer((json_int_t)all->statuses[i]));
        }
    if (o->upload_bytes > 0)
        pattern_sha256(o->upload_bytes, upload);
    qsort(all->latency_us, all->latency_count, sizeof(uint32_t), by_value);
    json_t *out = json_pack("{s:I,s:I,s:I,s:o,s:o,s:I,s:I,s:f,s:f,s:{s:f,s:f,s:f},s:s}", "requests", (json_int_t)o->requests,
        "ok", (json_int_t)all->done, "failed", (json_int_t)all->failed, "statuses", statuses, "reasons", reasons,
        "bytes_down", (json_int_t)all->bytes_down, "bytes_up", (json_int_t)all->bytes_up, "seconds", seconds,
        "requests_per_s", seconds > 0 ? (double)all->done / seconds : 0.0, "latency_ms", "p50", percentile_ms(all, 50),
        "p99", percentile_ms(all, 99), "max", percentile_ms(all, 100), "upload_sha256", upload);
    json_dumpf(out, stdout, JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(out);
}

int main(int argc, char **argv)
{
    struct options o = { .address = "127.0.0.1", .http = 2, .requests = 1, .connections = 1, .streams = 1, .expect_status = 200,
                         .expect_bytes = -1, .timeout_s = 30 };
    int bad = read_options(argc, argv, &o);
    if (bad != 0 || !tls_setup(&o))
        return bad ? bad : 1;
    if (o.idle)
        return idle_run(&o);
    atomic_long left = (long)o.requests;
    struct worker *workers = calloc(o.connections, sizeof *workers);
    pthread_t *threads = calloc(o.connections, sizeof *threads);
    struct tally all = { .latency_us = calloc(o.requests + 1, sizeof(uint32_t)) };
    if (workers == NULL || threads == NULL || all.latency_us == NULL)
        return 1;
    uint64_t begun = now_us();
    for (unsigned long i = 0; i < o.connections; i++) {
        workers[i] = (struct worker){ .o = &o, .left = &left, .begun_us = begun, .fd = -1 };
        workers[i].tally.latency_us = calloc(o.requests + 1, sizeof(uint32_t));
        if (workers[i].tally.latency_us == NULL || pthread_create(&threads[i], NULL, run_worker, &workers[i]) != 0)
            return 1;
    }
    for (unsigned long i = 0; i < o.connections; i++) {
        pthread_join(threads[i], NULL);
        add_tally(&all, &workers[i].tally);
    }
    double seconds = (double)(now_us() - begun) / 1e6;
    /* What no connection came to do has failed as well. */
    if (all.done + all.failed < o.requests)
        tally_fail(&workers[0].tally, o.requests - all.done - all.failed, "never sent: no connection lasted");
    all.failed = o.requests - all.done;
    report(&o, workers, &all, seconds);
    for (unsigned long i = 0; i < o.connections; i++)
        free(workers[i].tally.latency_us);
    free(all.latency_us);
    free(workers);
    free(threads);
    SSL_CTX_free(o.tls);
    free(o.authority);
    free(o.host);
    free(o.path);
    return all.failed == 0 ? 0 : 1;
}
