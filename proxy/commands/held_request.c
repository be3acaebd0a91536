#include "proxy/commands/held_request.h"
#include "authz/digest.h"
#include "proxy/base/codec.h"
#include "proxy/commands/body_text.h"
#include "proxy/commands/term.h"
#include "proxy/commands/words.h"

#include <strings.h>

static struct slice json_slice(const json_t *string)
{
    return slice_of(json_string_value(string), json_string_length(string));
}

static bool fields_are_pairs(const json_t *fields)
{
    size_t i;
    json_t *f;
    if (!json_is_array(fields))
        return false;
    json_array_foreach(fields, i, f)
        if (json_array_size(f) != 2 || !json_is_string(json_array_get(f, 0)) || !json_is_string(json_array_get(f, 1)))
            return false;
    return true;
}

/* The value of the field, if it comes once; *count says how often it comes. */
static struct slice field_value(const json_t *fields, struct slice name, size_t *count)
{
    struct slice value = { NULL, 0 };
    size_t i;
    json_t *f;
    *count = 0;
    json_array_foreach(fields, i, f)
        if (slice_ieq(json_slice(json_array_get(f, 0)), name) && (*count)++ == 0)
            value = json_slice(json_array_get(f, 1));
    return value;
}

const char *held_request_field(const struct held_request *h, const char *name)
{
    size_t count;
    return (const char *)field_value(h->fields, slice_str(name), &count).ptr;
}

/* The blob's three parts, every length checked before it is used. */
static enum status split(struct slice blob, struct held_request *out, struct err *err)
{
    if (blob.len < 4)
        return fail(err, BAD_INPUT, "the held request is cut off");
    size_t head_len = (size_t)blob.ptr[0] << 24 | (size_t)blob.ptr[1] << 16 | (size_t)blob.ptr[2] << 8 | blob.ptr[3];
    if (head_len > blob.len - 4)
        return fail(err, BAD_INPUT, "the held request's head is cut off");
    json_error_t where;
    out->head = json_loadb((const char *)blob.ptr + 4, head_len, JSON_REJECT_DUPLICATES, &where);
    if (!json_is_object(out->head))
        return fail(err, BAD_INPUT, "the held request's head is not a JSON object");
    out->method = json_text(out->head, "method");
    out->authority = json_text(out->head, "authority");
    out->target = json_text(out->head, "target");
    out->fields = json_object_get(out->head, "fields");
    out->body = slice_from(blob, 4 + head_len);
    if (out->method[0] == 0 || out->authority[0] == 0 || out->target[0] != '/' || !fields_are_pairs(out->fields))
        return fail(err, BAD_INPUT, "the held request's head lacks a method, an authority, a target or fields");
    json_t *len = json_object_get(out->head, "body_len");
    if (!json_is_integer(len) || json_integer_value(len) < 0 || (uint64_t)json_integer_value(len) != out->body.len)
        return fail(err, BAD_INPUT, "the held request's body is not as long as its head says");
    return OK;
}

static enum status compute(struct held_request *h, struct err *err)
{
    struct digest_input in = { .method = slice_str(h->method), .authority = slice_str(h->authority), .target = slice_str(h->target), .body_len = h->body.len };
    unsigned char digest[32];
    if (digest_field_count > sizeof in.field_values / sizeof in.field_values[0])
        return fail(err, BAD_INPUT, "the digest has more fields than this command knows");
    for (size_t i = 0; i < digest_field_count; i++) {
        size_t count;
        in.field_values[i] = field_value(h->fields, digest_fields[i], &count);
        if (count > 1)
            return fail(err, BAD_INPUT, "the held request has the field '%.*s' %zu times, and a tool may take either", SLICE_ARG(digest_fields[i]), count);
    }
    sha256_one(h->body, in.body_sha256);
    request_digest(&in, digest);
    b64url_encode(slice_of(in.body_sha256, 32), h->body_sha256);
    b64url_encode(slice_of(digest, 32), h->digest);
    return OK;
}

enum status held_request_read(struct slice blob, struct held_request *out, struct err *err)
{
    struct held_request h = { 0 };
    enum status st = split(blob, &h, err);
    if (st == OK)
        st = compute(&h, err);
    if (st == OK)
        *out = h;
    else
        held_request_done(&h);
    return st;
}

void held_request_done(struct held_request *h)
{
    json_decref(h->head);
    *h = (struct held_request){ 0 };
}

enum status held_request_compare(const struct held_request *h, const json_t *item, struct err *err)
{
    const struct {
        const char *name, *ours;
    } same[] = { { "method", h->method }, { "authority", h->authority }, { "target", h->target }, { "digest", h->digest } };
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++)
        if (!json_text_is(item, same[i].name, same[i].ours))
            return fail(err, REFUSED, "the %s of the held request is not what the gateway says it is. Nothing was signed. Next: tell your security team", same[i].name);
    json_t *len = json_object_get(item, "body_len");
    if (!json_is_integer(len) || (uint64_t)json_integer_value(len) != h->body.len)
        return fail(err, REFUSED, "the body of the held request is not as long as the gateway says. Nothing was signed. Next: tell your security team");
    return OK;
}

/* What the requester's browser proves itself with is not the approver's to know. */
static bool is_credential(const char *name)
{
    static const char *const names[] = { "cookie", "authorization", "proxy-authorization", "x-api-key", "x-csrftoken", "x-csrf-token", "countersign-assertion",
        "countersign-grant" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcasecmp(name, names[i]) == 0)
            return true;
    return false;
}

void held_request_print(const struct held_request *h, FILE *out, size_t body_shown)
{
    char size[WORDS_MAX];
    size_t i;
    json_t *f;
    fputs("  ", out);
    term_str(out, h->method);
    fputs(" https://", out);
    term_str(out, h->authority);
    term_str(out, h->target);
    fputc('\n', out);
    json_array_foreach(h->fields, i, f) {
        fputs("  ", out);
        term_text(out, json_slice(json_array_get(f, 0)));
        fputs(": ", out);
        if (is_credential(json_string_value(json_array_get(f, 0))))
            fprintf(out, "(%zu bytes of the requester's own, not shown)", json_string_length(json_array_get(f, 1)));
        else
            term_text(out, json_slice(json_array_get(f, 1)));
        fputc('\n', out);
    }
    fprintf(out, "  body: %s, SHA-256 %s\n", words_bytes(h->body.len, size), h->body_sha256);
    const char *type = held_request_field(h, "content-type"), *coding = held_request_field(h, "content-encoding");
    body_text_print(out, type != NULL ? type : "", coding != NULL ? coding : "", h->body, body_shown, "    ");
}
