/* testbed_inside: the testbed's service in this very process, so that the leak checker sees it too, and a worker that asks it. For tests only; after cmocka.h. */
#ifndef COUNTERSIGN_TESTBED_INSIDE_H
#define COUNTERSIGN_TESTBED_INSIDE_H

#include "authz/approvals/testbed.h"

static struct testbed bed;
static struct service *service;
static struct peer worker;

static const char *text(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}

/* One message; the answer's `problem.type`, or "ok". *out_or_null gets the answer. */
static const char *ask(json_t *m, int fd, json_t **out_or_null)
{
    static char word[64];
    struct answer a;
    struct err err = { .text = "" };
    json_object_set_new(m, "n", json_integer(1));
    assert_int_equal(service_answer(service, &worker, m, &fd, fd >= 0 ? 1 : 0, &a, &err), ANSWERED);
    snprintf(word, sizeof word, "%s", json_is_true(json_object_get(a.message, "ok")) ? "ok" : text(json_object_get(a.message, "problem"), "type"));
    if (out_or_null != NULL)
        *out_or_null = json_incref(a.message);
    answer_done(&a);
    json_decref(m);
    json_decref(service_events(service));
    return word;
}

static MAYBE_UNUSED enum status open_service(struct err *err)
{
    struct config *c = testbed_load(&bed);
    enum status st = service_open(c, &service, err);
    config_unref(c);
    worker = (struct peer){ .id = 1 };
    if (st == OK)
        assert_string_equal(ask(json_pack("{s:s, s:s}", "op", "hello", "role", "worker"), -1, NULL), "ok");
    return st;
}

static void close_service(void)
{
    service_close(service);
    service = NULL;
}

#endif
