/* A tool's Content-Security-Policy in up to three fields, one a line, and its Content-Type: whatever it says, a nonce that is taken along can stand in an attribute. */
#include "proxy/dom/document.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static bool stands_in_an_attribute(struct slice nonce)
{
    for (size_t i = 0; i < nonce.len; i++)
        if (nonce.ptr[i] <= ' ' || nonce.ptr[i] >= 0x7f || strchr("\"'<>&`", nonce.ptr[i]) != NULL)
            return false;
    return true;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    static const struct slice names[] = { SLICE_INIT("content-type"), SLICE_INIT("content-security-policy"), SLICE_INIT("content-security-policy"),
                                          SLICE_INIT("content-security-policy-report-only") };
    static const struct csp_place place = { SLICE_INIT("support.example.com"), 8443, SLICE_INIT("/.countersign/recorder/x.js"), SLICE_INIT(DOM_EVENTS) };
    struct field lines[4];
    struct slice rest = slice_of(data, size);
    struct message m = { .status = 200, .framing = BODY_CHUNKED };
    struct csp_pass pass = { { 0 }, false };
    enum document_coding coding;
    const char *why = NULL;
    struct arena a;
    for (; m.fields.count < 4; m.fields.count++) {
        size_t n = slice_find(rest, '\n');
        lines[m.fields.count] = (struct field){ names[m.fields.count], slice_of(rest.ptr, n) };
        rest = slice_from(rest, n < rest.len ? n + 1 : n);
    }
    m.fields.v = lines;
    m.fields.cap = 4;
    enum document_verdict v = document_judge(&m, &place, &coding, &pass, &why);
    assert((v == DOCUMENT_REFUSED) == (why != NULL));
    if (v != DOCUMENT_GOES)
        return 0;
    assert(stands_in_an_attribute(pass.nonce));
    arena_init(&a, 1 << 16);
    struct slice tag = document_tag(&place, &pass, 1, &a);
    assert(tag.ptr != NULL && tag.len < 1024 && slice_find(tag, '>') == tag.len - 10);
    arena_done(&a);
    return 0;
}
