#include "proxy/commands/held_request.h"
#include "proxy/base/codec.h"
#include "proxy/commands/body_text.h"
#include "proxy/commands/term.h"
#include "proxy/commands/words.h"

static struct slice json_slice(const json_t *string)
{
    return slice_of(json_string_value(string), json_string_length(string));
}

enum status held_request_read(struct slice bytes, struct held_request *out, struct err *err)
{
    struct held_request h = { 0 };
    unsigned char digest[32], body_sha256[32];
    enum status st = blob_parse(bytes, &h.blob, err);
    if (st == OK) {
        st = blob_digest(&h.blob, digest, body_sha256, err);
        if (st != OK)
            blob_done(&h.blob);
    }
    if (st != OK) {
        err_prefix(err, "the held request cannot be read, so nothing was signed: ");
        return st;
    }
    b64url_encode(slice_of(digest, 32), h.digest);
    b64url_encode(slice_of(body_sha256, 32), h.body_sha256);
    *out = h;
    return OK;
}

void held_request_done(struct held_request *h)
{
    blob_done(&h->blob);
    *h = (struct held_request){ 0 };
}

enum status held_request_compare(const struct held_request *h, const json_t *item, struct err *err)
{
    const struct {
        const char *name;
        struct slice ours;
    } same[] = { { "method", h->blob.method }, { "authority", h->blob.authority }, { "target", h->blob.target }, { "digest", slice_str(h->digest) } };
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        json_t *theirs = json_object_get(item, same[i].name);
        if (!json_is_string(theirs) || !slice_eq(json_slice(theirs), same[i].ours))
            return fail(err, REFUSED, "the %s of the held request is not what the gateway says it is. Nothing was signed. Next: tell your security team", same[i].name);
    }
    json_t *len = json_object_get(item, "body_len");
    if (!json_is_integer(len) || (uint64_t)json_integer_value(len) != h->blob.body.len)
        return fail(err, REFUSED, "the body of the held request is not as long as the gateway says. Nothing was signed. Next: tell your security team");
    return OK;
}

/* What the requester's browser proves itself with is not the approver's to know. */
static bool is_credential(struct slice name)
{
    static const struct slice names[] = { SLICE_INIT("cookie"), SLICE_INIT("authorization"), SLICE_INIT("proxy-authorization"), SLICE_INIT("x-api-key"),
        SLICE_INIT("x-csrftoken"), SLICE_INIT("x-csrf-token"), SLICE_INIT("countersign-assertion"), SLICE_INIT("countersign-grant") };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (slice_ieq(name, names[i]))
            return true;
    return false;
}

/* The first value of that field, or "". */
static const char *field_text(const json_t *fields, struct slice name)
{
    size_t i;
    json_t *f;
    json_array_foreach(fields, i, f)
        if (slice_ieq(json_slice(json_array_get(f, 0)), name))
            return json_string_value(json_array_get(f, 1));
    return "";
}

static void print_field(FILE *out, struct slice name, struct slice value)
{
    fputs("  ", out);
    term_text(out, name);
    fputs(": ", out);
    if (is_credential(name))
        fprintf(out, "(%zu bytes of the requester's own, not shown)", value.len);
    else
        term_text(out, value);
    fputc('\n', out);
}

void held_request_print(const struct held_request *h, FILE *out, size_t body_shown)
{
    char size[WORDS_MAX];
    size_t i;
    json_t *f;
    fputs("  ", out);
    term_text(out, h->blob.method);
    fputs(" https://", out);
    term_text(out, h->blob.authority);
    term_text(out, h->blob.target);
    fputc('\n', out);
    json_array_foreach(h->blob.fields, i, f)
        print_field(out, json_slice(json_array_get(f, 0)), json_slice(json_array_get(f, 1)));
    fprintf(out, "  body: %s, SHA-256 %s\n", words_bytes(h->blob.body.len, size), h->body_sha256);
    body_text_print(out, field_text(h->blob.fields, SLICE("content-type")), field_text(h->blob.fields, SLICE("content-encoding")), h->blob.body, body_shown, "    ");
}
