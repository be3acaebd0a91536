/* Messages to authz, straight into the service. The input is a line of JSON a message; "$grant" and "$held" stand for live ids, so that the fuzzer
 * gets past the first check. Whatever comes: an answer, or the end of that connection; never a crash, and never a run without a sign-off. */
#include "authz/approvals/testbed.h"

static struct testbed bed;
static struct service *service;
static char grant_id[32], held_id[32];

static json_t *ask(struct peer *peer, json_t *m, int fd)
{
    struct answer a;
    struct err err;
    json_object_set_new(m, "n", json_integer(1));
    testbed_must(service_answer(service, peer, m, &fd, fd >= 0 ? 1 : 0, &a, &err) == ANSWERED, "setting up");
    json_t *answer = json_incref(a.message);
    answer_done(&a);
    json_decref(m);
    return answer;
}

static void keep_id(json_t *answer, const char *member, const char *name, char out[32])
{
    const char *id = json_string_value(json_object_get(json_object_get(answer, member), name));
    testbed_must(id != NULL, member);
    snprintf(out, 32, "%s", id);
    json_decref(answer);
}

static void approve(struct peer *p, const char *id)
{
    struct err err;
    char kid[44], *jws = NULL;
    key_fingerprint(bed.bob, kid);
    json_t *a = ask(p, json_pack("{s:s, s:o, s:s, s:s, s:s}", "op", "statement", "who", who("bob"), "id", id, "decision", "approve", "key", kid), -1);
    const json_t *s = json_object_get(a, "statement");
    testbed_must(statement_sign(s, bed.bob, &jws, &err) == OK, "sign");
    json_decref(ask(p, json_pack("{s:s, s:o, s:s, s:s}", "op", "decide", "who", who("bob"), "statement_id",
                                 json_string_value(json_object_get(s, "id")), "jws", jws), -1));
    free(jws);
    json_decref(a);
}

static void clean_up(void)
{
    service_close(service);
    testbed_remove(&bed);
}

static void set_up(void)
{
    struct err err = { .text = "" };
    struct peer p = { .id = 1, .role = ROLE_WORKER };
    char id[32];
    int fd = -1;
    log_setup("fuzz", LOG_LEVEL_ERROR + 1);
    testbed_make(&bed);
    struct config *c = testbed_load(&bed);
    testbed_must(service_open(c, &service, &err) == OK, err.text);
    config_unref(c);
    keep_id(ask(&p, json_pack("{s:s, s:o, s:s, s:s, s:i}", "op", "request.create", "who", who("alice"), "tool", "support", "reason", "because",
                              "duration_s", 1800), -1), "request", "id", id);
    approve(&p, id);
    keep_id(ask(&p, json_pack("{s:s, s:o, s:s}", "op", "item.get", "who", who("alice"), "id", id), -1), "item", "grant_id", grant_id);
    json_t *m = hold_message(who("alice"), grant_id, "id=1", &fd);
    keep_id(ask(&p, m, fd), "item", "id", held_id);
    close(fd);
    atexit(clean_up);
}

static void one_message(struct peer *p, struct slice line)
{
    char text[4096];
    size_t n = 0;
    for (size_t i = 0; i < line.len && n + 40 < sizeof text; i++) {
        struct slice rest = slice_from(line, i);
        if (slice_starts(rest, SLICE("$grant")) || slice_starts(rest, SLICE("$held"))) {
            bool grant = line.ptr[i + 1] == 'g';
            n += (size_t)snprintf(text + n, sizeof text - n, "%s", grant ? grant_id : held_id);
            i += grant ? 5 : 4;
        } else {
            text[n++] = (char)line.ptr[i];
        }
    }
    json_t *m = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
    struct answer a = { .fd = -1 };
    struct err err;
    int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    bool with_fd = json_is_object(m) && strcmp(json_is_string(json_object_get(m, "op")) ? json_string_value(json_object_get(m, "op")) : "", "hold") == 0;
    if (json_is_object(m) && service_answer(service, p, m, &fd, with_fd ? 1 : 0, &a, &err) == SERVICE_BROKEN)
        abort();
    if (json_is_true(json_object_get(a.message, "run")))
        abort();                      /* nothing here was ever signed off */
    answer_done(&a);
    json_decref(service_events(service));
    json_decref(m);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct peer p = { .id = 2 };
    struct slice rest = slice_of(data, size);
    if (service == NULL)
        set_up();
    for (int i = 0; rest.len > 0 && i < 8; i++) {
        size_t n = slice_find(rest, '\n');
        one_message(&p, slice_of(rest.ptr, n));
        rest = slice_from(rest, n < rest.len ? n + 1 : n);
    }
    return 0;
}
