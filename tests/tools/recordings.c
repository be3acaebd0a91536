/* cs_recordings: records made-up exchanges into a gateway's state folder, in the gateway's own way (tape, ring, recorder, and authz's log), many times faster than people and tools could make them.
 *
 *   cs_recordings --state DIR --sealed-to age1…,age1… --person alice --identity alice@x --tool support --host support.x --exchanges 1000 --customers 40 --bytes 2000 SESSION…
 *
 * Each session (a grant that authz knows, and that nothing else is recorded under meanwhile) gets so many exchanges, as somebody at work makes them: lists, detail pages of customers, searches, forms,
 * files; one in 50 is refused, one in 20 shows a secret. Prints {"exchanges": N, "cpu_s": of everything, "seconds": N}. */
#include "proxy/base/clock.h"
#include "proxy/record/age.h"
#include "proxy/record/recorder.h"
#include "proxy/record/tape.h"

#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

enum { RING_BYTES = 4 << 20, FIELDS_MAX = 8, BODY_MAX = 1 << 20 };

struct options {
    char *state, *instance, *sealed_to[AGE_RECIPIENTS_MAX + 1], *person, *identity, *tool, *host;
    size_t sealed_count;
    unsigned long exchanges, customers, bytes;
};

static void stop(const char *why)
{
    fprintf(stderr, "cs_recordings: %s\n", why);
    exit(1);
}

static unsigned long number(const char *text)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    if (*end != 0 || text[0] < '0' || text[0] > '9')
        stop("a number is none");
    return n;
}

static void read_keys(struct options *o, char *list)
{
    for (char *key; (key = strsep(&list, ",")) != NULL && o->sealed_count < AGE_RECIPIENTS_MAX;)
        o->sealed_to[o->sealed_count++] = key;
}

static int read_options(struct options *o, int argc, char **argv)
{
    static const struct option known[] = { { "state", 1, NULL, 's' }, { "instance", 1, NULL, 'i' }, { "sealed-to", 1, NULL, 'k' }, { "person", 1, NULL, 'p' },
        { "identity", 1, NULL, 'd' }, { "tool", 1, NULL, 't' }, { "host", 1, NULL, 'h' }, { "exchanges", 1, NULL, 'n' }, { "customers", 1, NULL, 'c' },
        { "bytes", 1, NULL, 'b' }, { 0 } };
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        char **texts[] = { ['s'] = &o->state, ['i'] = &o->instance, ['p'] = &o->person, ['d'] = &o->identity, ['t'] = &o->tool, ['h'] = &o->host };
        unsigned long *numbers[] = { ['n'] = &o->exchanges, ['c'] = &o->customers, ['b'] = &o->bytes };
        if (c == '?')
            exit(2);
        if (c == 'k')
            read_keys(o, optarg);
        else if (c == 'n' || c == 'c' || c == 'b')
            *numbers[c] = number(optarg);
        else
            *texts[c] = optarg;
    }
    if (o->state == NULL || o->instance == NULL || o->person == NULL || o->identity == NULL || o->tool == NULL || o->host == NULL || o->customers == 0 || o->bytes > BODY_MAX)
        stop("an option is missing");
    return optind;
}

/* Numbers that are the same in every run. */
static uint64_t draw(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

static size_t make_body(char *out, size_t len, uint64_t *x)
{
    size_t n = 0;
    while (n < len)
        n += (size_t)snprintf(out + n, 200, "{\"id\":%u,\"email\":\"user%u@example.com\",\"audience\":%u,\"active\":%s},\n", (unsigned)(draw(x) >> 44), (unsigned)(draw(x) >> 50),
                              (unsigned)(draw(x) & 255), draw(x) & 64 ? "true" : "false");
    return len;
}

struct worker {
    struct tape *tape;
    int wake_fd;
    uint64_t x;
    char *body;
};

static void wait_for_room(const struct worker *w)
{
    struct pollfd p = { .fd = w->wake_fd, .events = POLLIN };
    uint64_t n;
    (void)poll(&p, 1, 1000);
    ssize_t ignored = read(w->wake_fd, &n, sizeof n);
    (void)ignored;
}

static void field(struct fields *f, const char *name, const char *value)
{
    f->v[f->count++] = (struct field){ .name = slice_str(name), .value = slice_str(value) };
}

/* What is asked for: target, action and whom it touches. */
static const char *make_target(const struct options *o, uint64_t draw_of, char target[128], char names[64])
{
    unsigned long customer = draw_of % o->customers, kind = draw_of >> 32 & 15;
    names[0] = 0;
    if (kind < 8) {
        snprintf(target, 128, "/customers/%lu/%s", customer, kind < 4 ? "" : kind < 6 ? "orders" : "notes?page=2");
        snprintf(names, 64, "customer=%lu", customer);
        return "view";
    }
    snprintf(target, 128, kind < 11 ? "/customers?page=%lu&sort=name" : kind < 14 ? "/static/app-%lu.css" : "/search?q=user%lu", customer);
    return kind < 11 ? "list" : kind < 14 ? "static" : "search";
}

static void one_exchange(struct worker *w, const struct options *o, const struct tape_session *s, unsigned long i)
{
    char target[128], names[64];
    struct field v[2 * FIELDS_MAX];
    struct arena arena;
    struct tape_exchange x = { 0 };
    const char *action = make_target(o, draw(&w->x), target, names);
    bool refused = i % 50 == 49;
    struct message request = { .version = 20, .method = SLICE("GET"), .authority = s->host, .target = slice_str(target), .fields = { .v = v, .cap = FIELDS_MAX }, .framing = BODY_NONE };
    struct message response = { .version = 20, .status = refused ? 403 : 200, .fields = { .v = v + FIELDS_MAX, .cap = FIELDS_MAX }, .framing = BODY_CHUNKED };
    field(&request.fields, "user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36");
    field(&request.fields, "accept", "text/html,application/xhtml+xml,application/xml;q=0.9");
    field(&request.fields, "cookie", "sessionid=abcdefghijklmnop; csrftoken=qrstuvwxyz");
    field(&response.fields, "content-type", "application/json");
    if (i % 20 == 0)
        field(&response.fields, "set-cookie", i % 40 ? "sessionid=one; Path=/" : "sessionid=two; Path=/");
    arena_init(&arena, 65536);
    while (tape_begin(w->tape, &x, s, &request, &(struct tape_keep){ .action = slice_str(action), .touched = slice_str(names) }, &arena) == FULL)
        wait_for_room(w);
    while (tape_response(w->tape, &x, &response, !refused) == FULL)
        wait_for_room(w);
    size_t len = make_body(w->body, o->bytes ? o->bytes / 2 + draw(&w->x) % o->bytes : 0, &w->x);
    while (tape_room(w->tape) < len)
        wait_for_room(w);
    if (tape_body(w->tape, &x, TAPE_RESPONSE, slice_of(w->body, len)) != OK || tape_finish(w->tape, &x, TAPE_RESPONSE, TAPE_COMPLETE) != OK)
        stop("the tape takes no body");
    tape_close(w->tape, &x, NULL);
    arena_done(&arena);
}

static double cpu_s(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv)
{
    struct options o = { .bytes = 200 };
    int first = read_options(&o, argc, argv);
    struct err err = { "" };
    char socket[512];
    static const unsigned char key[32] = "fingerprints of made-up sessions";
    size_t size = tape_memory_size(RING_BYTES);
    struct worker w = { .wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), .x = 88172645463325252u, .body = malloc(2 * BODY_MAX + 256) };
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || w.body == NULL || w.wake_fd < 0)
        stop("no memory");
    tape_memory_init(memory, RING_BYTES);
    snprintf(socket, sizeof socket, "%s/run/authz.sock", o.state);
    struct config c = { .state = o.state, .instance = o.instance, .segment_ms = 2000, .segment_bytes = 1 << 20, .sealed_to = o.sealed_to, .sealed_to_count = o.sealed_count };
    struct recorder_ring ring = { memory, size, w.wake_fd };
    struct recorder *r = NULL;
    int64_t start = clock_mono_ms();
    if (recorder_start(&c, socket, &ring, 1, &r, &err) != OK || tape_open(memory, size, w.wake_fd, key, &w.tape, &err) != OK)
        stop(err.text);
    unsigned long done = 0;
    for (int i = first; i < argc; i++) {
        struct tape_session s = { .id = slice_str(argv[i]), .identity = slice_str(o.identity), .person = slice_str(o.person), .tool = slice_str(o.tool), .host = slice_str(o.host),
                                  .x5t = SLICE("x5t") };
        for (unsigned long n = 0; n < o.exchanges; n++, done++)
            one_exchange(&w, &o, &s, n);
    }
    tape_demand(w.tape);              /* wait for the disk, with a patience that winding up does not have */
    while (tape_durable(w.tape) < tape_position(w.tape))
        wait_for_room(&w);
    recorder_stop(r);
    tape_free(w.tape);
    free(w.body);
    munmap(memory, size);
    printf("{\"exchanges\": %lu, \"cpu_s\": %.2f, \"seconds\": %.2f}\n", done, cpu_s(), (double)(clock_mono_ms() - start) / 1e3);
    return 0;
}
