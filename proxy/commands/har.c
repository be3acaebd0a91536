#include "proxy/commands/har.h"

#include "proxy/commands/body_text.h"
#include "proxy/record/comment.h"
#include "proxy/record/inflate.h"
#include "proxy/commands/session_view.h"
#include "proxy/commands/words.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <time.h>

enum { DECODED_MAX = 64 << 20 };

/* ---- small things ---- */

static json_t *iso_time(int64_t ms)
{
    char date[32], text[48];
    time_t s = (time_t)(ms / 1000);
    struct tm tm;
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", gmtime_r(&s, &tm));
    snprintf(text, sizeof text, "%s.%03dZ", date, (int)(ms % 1000));
    return json_string(text);
}

static json_t *base64_of(struct slice s)
{
    char *text = malloc((s.len + 2) / 3 * 4 + 1);
    if (text == NULL)
        return NULL;
    EVP_EncodeBlock((unsigned char *)text, s.ptr ? s.ptr : (const unsigned char *)"", (int)s.len);
    json_t *v = json_string(text);
    free(text);
    return v;
}

/* ---- fields ---- */

/* What a recording holds of these is a fingerprint, which still tells who used the same one. */
bool har_is_credential(struct slice name)
{
    static const char *const names[] = { "authorization", "proxy-authorization", "cookie", "set-cookie", "x-csrf-token", "x-csrftoken", "x-xsrf-token", "x-api-key",
                                         "x-auth-token" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (slice_ieq(name, slice_str(names[i])))
            return true;
    return false;
}

static struct slice next_line(struct slice *rest)
{
    size_t end = slice_find(*rest, '\n');
    struct slice line = slice_of(rest->ptr, end > 0 && end < rest->len && rest->ptr[end - 1] == '\r' ? end - 1 : end);
    *rest = slice_from(*rest, end < rest->len ? end + 1 : end);
    return line;
}

static json_t *fields_json(const struct har *h, struct slice head)
{
    json_t *list = json_array();
    (void)next_line(&head);
    while (head.len > 0) {
        struct slice line = next_line(&head);
        size_t colon = slice_find(line, ':');
        if (line.len == 0 || colon == line.len)
            continue;
        struct slice name = slice_of(line.ptr, colon), value = slice_trim(slice_from(line, colon + 1));
        bool hide = !h->fingerprints && har_is_credential(name);
        json_array_append_new(list, json_pack("{s:o, s:o}", "name", comment_string(name), "value", hide ? json_string("redacted") : comment_string(value)));
    }
    return list;
}

/* "name=value; name=value" of a Cookie field; of Set-Cookie the first pair of each. */
static json_t *cookies_json(const struct har *h, struct slice head, const char *field)
{
    json_t *list = json_array();
    (void)next_line(&head);
    while (head.len > 0) {
        struct slice line = next_line(&head);
        size_t colon = slice_find(line, ':');
        if (colon == line.len || !slice_ieq(slice_of(line.ptr, colon), slice_str(field)))
            continue;
        for (struct slice rest = slice_from(line, colon + 1); rest.len > 0;) {
            size_t end = slice_find(rest, ';');
            struct slice pair = slice_trim(slice_of(rest.ptr, end));
            size_t equals = slice_find(pair, '=');
            struct slice value = equals < pair.len ? slice_from(pair, equals + 1) : slice_of(pair.ptr, 0);
            json_array_append_new(list, json_pack("{s:o, s:o}", "name", comment_string(slice_of(pair.ptr, equals)), "value",
                                                  h->fingerprints ? comment_string(value) : json_string("redacted")));
            rest = slice_from(rest, end < rest.len && field[0] == 'C' ? end + 1 : rest.len);
        }
    }
    return list;
}

static int hex_of(unsigned char c)
{
    unsigned char l = ascii_lower(c);
    return c >= '0' && c <= '9' ? c - '0' : l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

static json_t *decoded(struct slice s)
{
    unsigned char *out = malloc(s.len ? s.len : 1);
    size_t n = 0;
    if (out == NULL)
        return NULL;
    for (size_t i = 0; i < s.len; i++) {
        bool coded = s.ptr[i] == '%' && i + 2 < s.len && hex_of(s.ptr[i + 1]) >= 0 && hex_of(s.ptr[i + 2]) >= 0;
        int c = coded ? hex_of(s.ptr[i + 1]) << 4 | hex_of(s.ptr[i + 2]) : s.ptr[i] == '+' ? ' ' : s.ptr[i];
        out[n++] = (unsigned char)c;
        i += coded ? 2 : 0;
    }
    json_t *v = comment_string(slice_of(out, n));
    free(out);
    return v;
}

static json_t *query_json(struct slice target)
{
    json_t *list = json_array();
    size_t mark = slice_find(target, '?');
    for (struct slice rest = mark < target.len ? slice_from(target, mark + 1) : slice_of(target.ptr, 0); rest.len > 0;) {
        size_t end = slice_find(rest, '&');
        struct slice pair = slice_of(rest.ptr, end);
        size_t equals = slice_find(pair, '=');
        json_array_append_new(list, json_pack("{s:o, s:o}", "name", decoded(slice_of(pair.ptr, equals)), "value",
                                              decoded(equals < pair.len ? slice_from(pair, equals + 1) : slice_of(pair.ptr, 0))));
        rest = slice_from(rest, end < rest.len ? end + 1 : rest.len);
    }
    return list;
}

/* ---- messages ---- */

static const char *version_of(struct slice head, bool request)
{
    struct slice line = next_line(&head);
    bool old = request ? line.len >= 8 && memcmp(line.ptr + line.len - 8, "HTTP/1.0", 8) == 0 : slice_starts(line, SLICE("HTTP/1.0"));
    return old ? "HTTP/1.0" : "HTTP/1.1";
}

static json_t *request_json(const struct har *h, const struct archive_exchange *x)
{
    struct slice method, target;
    char host[512], type[256], *url = NULL;
    head_request_line(x->request_head, &method, &target);
    head_field(x->request_head, "host", host, sizeof host);
    if (asprintf(&url, "https://%s%.*s", host, SLICE_ARG(target)) < 0)
        return NULL;
    json_t *o = json_pack("{s:o, s:o, s:s, s:o, s:o, s:o, s:I, s:I}", "method", comment_string(method), "url", comment_string(slice_str(url)), "httpVersion",
                          version_of(x->request_head, true), "cookies", cookies_json(h, x->request_head, "Cookie"), "headers",
                          fields_json(h, x->request_head), "queryString", query_json(target), "headersSize", (json_int_t)x->request_head.len,
                          "bodySize", (json_int_t)x->request_body.len);
    free(url);
    if (o != NULL && x->request_body.len > 0) {
        json_t *text = json_stringn((const char *)x->request_body.ptr, x->request_body.len);
        bool plain = text != NULL;
        json_t *post = json_pack("{s:s, s:o}", "mimeType", head_field(x->request_head, "content-type", type, sizeof type), "text",
                                 plain ? text : base64_of(x->request_body));
        if (!plain)
            json_object_set_new(post, "comment", json_string("base64: the body is not text"));
        json_object_set_new(o, "postData", post);
    }
    return o;
}

static json_t *content_json(const struct archive_exchange *x)
{
    char type[256], coding[64];
    unsigned char *owned = NULL;
    struct slice body = x->response_body;
    bool cut = false;
    head_field(x->response_head, "content-type", type, sizeof type);
    head_field(x->response_head, "content-encoding", coding, sizeof coding);
    bool undone = body_decode(x->response_body, coding, DECODED_MAX, &owned, &body, &cut) == OK;
    if (!undone)
        body = x->response_body;
    json_t *text = json_stringn(body.ptr ? (const char *)body.ptr : "", body.len);
    bool plain = text != NULL;
    json_t *o = json_pack("{s:I, s:s, s:o}", "size", (json_int_t)body.len, "mimeType", type[0] ? type : "application/octet-stream", "text",
                          plain ? text : base64_of(body));
    if (!plain)
        json_object_set_new(o, "encoding", json_string("base64"));
    if (!undone)
        json_object_set_new(o, "comment", json_string("its content coding could not be undone"));
    else if (cut)
        json_object_set_new(o, "comment", json_string("cut: there is more of it in the recording"));
    free(owned);
    return o;
}

static json_t *response_json(const struct har *h, const struct archive_exchange *x)
{
    char location[2048];
    struct slice head = x->response_head, line = next_line(&head);
    size_t space = slice_find(line, ' ');
    struct slice rest = space < line.len ? slice_from(line, space + 1) : slice_of(line.ptr, 0);
    size_t after = slice_find(rest, ' ');
    return json_pack("{s:i, s:o, s:s, s:o, s:o, s:o, s:o, s:I, s:I}", "status", (int)x->status, "statusText",
                     comment_string(after < rest.len ? slice_from(rest, after + 1) : slice_of(rest.ptr, 0)), "httpVersion", version_of(x->response_head, false),
                     "cookies", cookies_json(h, x->response_head, "Set-Cookie"), "headers", fields_json(h, x->response_head), "content", content_json(x),
                     "redirectURL", comment_string(slice_str(head_field(x->response_head, "location", location, sizeof location))), "headersSize",
                     (json_int_t)x->response_head.len, "bodySize", (json_int_t)x->response_body.len);
}

static json_t *messages_json(const struct archive_exchange *x)
{
    json_t *list = json_array();
    for (size_t i = 0; i < x->message_count; i++) {
        const struct archive_ws_message *m = &x->messages[i];
        bool text = slice_eq(m->opcode, SLICE("text")), other = slice_eq(m->opcode, SLICE("binary"));
        int opcode = text ? 1 : other ? 2 : slice_eq(m->opcode, SLICE("close")) ? 8 : slice_eq(m->opcode, SLICE("ping")) ? 9 : 10;
        json_t *data = text && !m->compressed ? json_stringn(m->data.ptr ? (const char *)m->data.ptr : "", m->data.len) : NULL;
        json_array_append_new(list, json_pack("{s:s, s:f, s:i, s:o}", "type", slice_eq(m->from, SLICE("client")) ? "send" : "receive", "time",
                                              (double)m->time_ms / 1000.0, "opcode", opcode, "data", data ? data : base64_of(m->data)));
    }
    return list;
}

/* ---- the file ---- */

void har_begin(struct har *h, FILE *out, const char *title, bool fingerprints)
{
    *h = (struct har){ .out = out, .first = true, .fingerprints = fingerprints };
    json_t *comment = json_string(title);
    fprintf(out, "{\"log\":{\"version\":\"1.2\",\"creator\":{\"name\":\"Countersign\",\"version\":\"%s\"},\"comment\":", COUNTERSIGN_VERSION);
    json_dumpf(comment, out, JSON_ENCODE_ANY);
    fputs(",\"pages\":[],\"entries\":[", out);
    json_decref(comment);
}

enum status har_entry(struct har *h, size_t number, const struct archive_exchange *x, struct err *err)
{
    int64_t took = x->ended_ms > x->started_ms ? x->ended_ms - x->started_ms : 0;
    json_t *o = json_pack("{s:o, s:I, s:o, s:o, s:{}, s:{s:i, s:I, s:i}, s:I, s:I, s:o, s:s}", "startedDateTime", iso_time(x->started_ms), "time",
                          (json_int_t)took, "request", request_json(h, x), "response", response_json(h, x), "cache", "timings", "send", 0, "wait",
                          (json_int_t)took, "receive", 0, "_exchange", (json_int_t)number, "_segment", (json_int_t)x->first_segment, "_action",
                          comment_string(x->action), "_answeredBy", x->status == 0 ? "nobody" : x->from_tool ? "tool" : "gateway");
    if (o != NULL && x->node != NULL)
        json_object_update_new(o, json_pack("{s:s, s:I, s:o}", "_node", x->node, "_leaf", (json_int_t)x->leaf, "_record", comment_string(x->response_record.len > 0 ? x->response_record : x->request_record)));
    if (o != NULL && json_object_size(x->notes) > 0)
        json_object_set_new(o, "_notes", json_deep_copy(x->notes));
    if (o != NULL && x->message_count > 0)
        json_object_set_new(o, "_webSocketMessages", messages_json(x));
    if (o != NULL && (x->request_cut || x->response_cut))
        json_object_set_new(o, "comment", json_string(x->response_cut ? "the response was cut off" : "the request was cut off"));
    if (o == NULL)
        return fail(err, NO_MEMORY, "an entry");
    fputs(h->first ? "\n" : ",\n", h->out);
    h->first = false;
    int bad = json_dumpf(o, h->out, JSON_COMPACT);
    json_decref(o);
    return bad == 0 ? OK : fail(err, IO_FAILED, "cannot write the entries");
}

enum status har_end(struct har *h, struct err *err)
{
    fputs("\n]}}\n", h->out);
    return fflush(h->out) == 0 && !ferror(h->out) ? OK : fail(err, IO_FAILED, "cannot write the file");
}
