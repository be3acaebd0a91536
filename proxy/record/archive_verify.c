#include "proxy/record/archive.h"
#include "proxy/record/verify.h"

#include <stdlib.h>

enum status archive_verify(const char *recording_path, const char *session, const json_t *log, const unsigned char log_key[32],
                           const char *instance, const char *later_head, struct verify_result *out, struct err *err)
{
    struct verify_segments expected = { 0 };
    struct verify_result r = { .findings = json_array() };
    if (r.findings == NULL)
        return fail(err, NO_MEMORY, "verify");
    enum status st = verify_log(log, session, log_key, instance, later_head, r.findings, &expected, err);
    r.leaves = (unsigned)json_array_size(json_object_get(log, "leaves"));
    r.segments = (unsigned)expected.count;
    r.erased_seq = expected.erased_seq;
    r.erased_ms = expected.erased_ms;
    r.history_seq = expected.history_seq;
    r.history_ms = expected.history_ms;
    r.erased_leaves = expected.erased_leaves;
    r.erased_segments = expected.erased_segments;
    if (st == OK && recording_path != NULL)
        st = verify_file(recording_path, &expected, r.findings, &r.segments, err);
    else if (st == OK && session[0] != 0 && expected.erased_seq == 0 && expected.history_seq == 0)
        st = verify_finding(r.findings, "missing-recording", 0, 0, "there is no recording, and no leaf says that it was deleted: the log has %zu segments of it", expected.count);
    free(expected.v);
    if (st != OK) {
        json_decref(r.findings);
        return st;
    }
    r.whole = json_array_size(r.findings) == 0;
    *out = r;
    return OK;
}

void verify_done(struct verify_result *r)
{
    json_decref(r->findings);
    r->findings = NULL;
}
