/* replay_test: a recording made by hand, for the tests of this room. */
#ifndef COUNTERSIGN_REPLAY_TEST_H
#define COUNTERSIGN_REPLAY_TEST_H

#include "proxy/replay/recorded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

enum { TEST_MAX = 24 };

struct test_recording {
    struct archive_exchange x[TEST_MAX];
    char heads[TEST_MAX][2][1024];
    struct recorded r;
};

/* One row: "GET /path" · its own request fields · status · response fields · body. Fields are "name: value\r\n" each. */
struct test_row {
    const char *line, *fields, *request_body;
    unsigned status;
    const char *response_fields, *body;
};

__attribute__((unused)) static void test_recording_make(struct test_recording *t, const struct test_row *rows, size_t count)
{
    memset(t, 0, sizeof *t);
    t->r.v = calloc(count, sizeof *t->r.v);
    t->r.count = count;
    for (size_t i = 0; i < count; i++) {
        const struct test_row *w = &rows[i];
        struct archive_exchange *x = &t->x[i];
        int n = snprintf(t->heads[i][0], sizeof t->heads[i][0], "%s HTTP/1.1\r\nhost: tool.example:8443\r\n%s\r\n", w->line, w->fields ? w->fields : "");
        x->request_head = slice_of(t->heads[i][0], (size_t)n);
        n = w->status ? snprintf(t->heads[i][1], sizeof t->heads[i][1], "HTTP/1.1 %u X\r\n%s\r\n", w->status, w->response_fields ? w->response_fields : "") : 0;
        x->response_head = slice_of(t->heads[i][1], (size_t)n);
        x->request_body = slice_str(w->request_body);
        x->response_body = slice_str(w->body);
        x->status = w->status;
        x->from_tool = true;
        x->id = i + 1;
        x->started_ms = 1000000 + (int64_t)i * 1000;
        t->r.v[i].x = x;
    }
    assert_int_equal(recorded_read(&t->r), OK);
}

#define HTML "content-type: text/html; charset=utf-8\r\n"
#define JSON "content-type: application/json\r\n"
#define DOCUMENT "sec-fetch-dest: document\r\n"

#endif
