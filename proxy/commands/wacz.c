#include "proxy/commands/wacz.h"

#include "proxy/base/codec.h"
#include "proxy/commands/har.h"
#include "proxy/commands/session_view.h"
#include "proxy/commands/zip.h"
#include "proxy/record/comment.h"
#include "proxy/record/warc.h"
#include "proxy/replay/recorded.h"
#include "proxy/replay/title.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <time.h>

enum { TIMESTAMP_MAX = 16, REQUEST_BODY_MAX = 16 * 1024 };
static const char warc_name[] = "data.warc.gz";

struct wacz {
    const struct wacz_options *o;
    struct recorded r;
    struct warc_writer *writer;
    struct warc_bytes record, head, pages;
    FILE *work;
    uint64_t at;
    char **lines;                     /* of the index */
    size_t line_count;
};

/* ---- text ---- */

/* "20261123121026" */
static char *timestamp(int64_t ms, char out[TIMESTAMP_MAX])
{
    time_t s = (time_t)(ms / 1000);
    struct tm tm;
    strftime(out, TIMESTAMP_MAX, "%Y%m%d%H%M%S", gmtime_r(&s, &tm));
    return out;
}

static json_t *iso_time(int64_t ms)
{
    char text[32];
    time_t s = (time_t)(ms / 1000);
    struct tm tm;
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&s, &tm));
    return json_string(text);
}

/* "com,acme,support:8443)/admin/?q=1": hosts sort by their last label first (SURT). */
static char *sort_key(const char *host, struct slice target)
{
    char *key = malloc(2 * strlen(host) + target.len + 2);
    size_t n = 0, end = strcspn(host, ":");
    if (key == NULL)
        return NULL;
    for (size_t at = end; at > 0;) {
        size_t from = at;
        while (from > 0 && host[from - 1] != '.')
            from--;
        memcpy(key + n, host + from, at - from);
        n += at - from;
        at = from > 0 ? from - 1 : 0;
        if (at > 0)
            key[n++] = ',';
    }
    for (const char *p = host + end; *p != 0; p++)      /* ":8443" */
        key[n++] = *p;
    key[n++] = ')';
    for (size_t i = 0; i < target.len; i++)
        key[n++] = (char)ascii_lower(target.ptr[i]);
    key[n] = 0;
    return key;
}

static char *url_of(const struct recorded_exchange *e)
{
    char host[512], *url = NULL;
    head_field(e->x->request_head, "host", host, sizeof host);
    return asprintf(&url, "https://%s%.*s", host, SLICE_ARG(e->target)) < 0 ? NULL : url;
}

static json_t *digest_of(struct slice s)
{
    unsigned char d[32];
    char text[8 + 64];
    memcpy(text, "sha256:", 7);
    sha256_one(s, d);
    hex_encode(slice_of(d, sizeof d), text + 7);
    return json_string(text);
}

/* ---- records ---- */

static struct slice next_line(struct slice *rest)
{
    size_t end = slice_find(*rest, '\n');
    struct slice line = slice_of(rest->ptr, end < rest->len ? end + 1 : end);
    *rest = slice_from(*rest, line.len);
    return line;
}

/* The head without what redaction left of credentials; readers of web archives take Content-Length at its word, so it is that of what is here. */
static enum status copy_head(struct wacz *w, struct slice head, size_t body_len)
{
    char length[48];
    enum status st = OK;
    w->head.len = 0;
    for (bool first = true; head.len > 0 && st == OK; first = false) {
        struct slice line = next_line(&head), name = slice_of(line.ptr, slice_find(line, ':'));
        if (!first && (slice_ieq(name, SLICE("content-length")) || (!w->o->fingerprints && har_is_credential(name)) || line.len <= 2))
            continue;
        st = warc_bytes_put(&w->head, line);
    }
    int n = snprintf(length, sizeof length, "Content-Length: %zu\r\n\r\n", body_len);
    return st == OK ? warc_bytes_put(&w->head, slice_of(length, (size_t)n)) : st;
}

static enum status put_record(struct wacz *w, struct warc_record *r, struct slice id, struct slice head, struct slice body, struct err *err)
{
    w->record.len = 0;
    if (id.len >= sizeof r->id || copy_head(w, head, body.len) != OK)
        return fail(err, NO_MEMORY, "a record");
    memcpy(r->id, id.ptr, id.len);
    struct slice block[] = { slice_of(w->head.data, w->head.len), body };
    r->block = block;
    r->block_count = 2;
    if (warc_write(w->writer, r, &w->record) != OK)
        return fail(err, NO_MEMORY, "a record");
    w->at += w->record.len;
    return fwrite(w->record.data, 1, w->record.len, w->work) == w->record.len ? OK : fail(err, IO_FAILED, "cannot write the records: %s", strerror(errno));
}

/* What stands in the index for other methods than GET, so that an answer to a form is not found as the page's own (as warcio and pywb write it). */
static void add_method(json_t *o, const struct recorded_exchange *e)
{
    char type[256];
    head_field(e->x->request_head, "content-type", type, sizeof type);
    json_t *method = comment_string(e->method), *body = NULL;
    if (strncasecmp(type, "application/x-www-form-urlencoded", 33) == 0 && e->x->request_body.len <= REQUEST_BODY_MAX)
        body = json_stringn(e->x->request_body.ptr ? (const char *)e->x->request_body.ptr : "", e->x->request_body.len);
    json_object_set_new(o, "method", method);
    json_object_set_new(o, "requestBody", body != NULL ? body : json_string(""));
}

static enum status add_line(struct wacz *w, const struct recorded_exchange *e, const char *url, uint64_t offset, uint64_t length)
{
    char host[512], when[TIMESTAMP_MAX], number[3][24];
    head_field(e->x->request_head, "host", host, sizeof host);
    snprintf(number[0], sizeof number[0], "%u", e->x->status);
    snprintf(number[1], sizeof number[1], "%llu", (unsigned long long)offset);
    snprintf(number[2], sizeof number[2], "%llu", (unsigned long long)length);
    json_t *o = json_pack("{s:s, s:o, s:s, s:o, s:s, s:s, s:s}", "url", url, "mime", comment_string(e->type), "status", number[0], "digest", digest_of(e->x->response_body), "offset", number[1],
                          "length", number[2], "filename", warc_name);
    if (o != NULL && !slice_eq(e->method, SLICE("GET")))
        add_method(o, e);
    char *key = sort_key(host, e->target), *facts = o != NULL ? json_dumps(o, JSON_COMPACT) : NULL, *text = NULL;
    if (key == NULL || facts == NULL || asprintf(&text, "%s %s %s\n", key, timestamp(e->x->started_ms, when), facts) < 0)
        text = NULL;
    free(key);
    free(facts);
    json_decref(o);
    if (text != NULL)
        w->lines[w->line_count++] = text;
    return text != NULL ? OK : NO_MEMORY;
}

static enum status add_page(struct wacz *w, size_t i, const char *url)
{
    const struct recorded_exchange *e = &w->r.v[i];
    char id[32];
    json_t *title = page_title(e->x);
    if (e->kind != RECORDED_PAGE || e->x->status != 200 || !slice_eq(e->method, SLICE("GET"))) {
        json_decref(title);
        return OK;
    }
    snprintf(id, sizeof id, "exchange-%zu", i + 1);
    json_t *o = json_pack("{s:s, s:s, s:o, s:o}", "id", id, "url", url, "ts", iso_time(e->x->started_ms), "title", title != NULL ? title : json_string(url));
    char *text = o != NULL ? json_dumps(o, JSON_COMPACT) : NULL;
    enum status st = text != NULL ? warc_bytes_put(&w->pages, slice_str(text)) : NO_MEMORY;
    if (st == OK)
        st = warc_bytes_put(&w->pages, SLICE("\n"));
    free(text);
    json_decref(o);
    return st;
}

/* Response, then request: readers look for the request behind it. */
static enum status add_exchange(struct wacz *w, size_t i, struct err *err)
{
    const struct recorded_exchange *e = &w->r.v[i];
    const struct archive_exchange *x = e->x;
    char *url = url_of(e);
    const char *truncated = x->response_cut ? "disconnect" : x->response_omitted > 0 ? "policy" : NULL;
    uint64_t offset = w->at;
    if (url == NULL)
        return fail(err, NO_MEMORY, "a record");
    struct warc_record response = { .type = WARC_RESPONSE, .date_ms = x->started_ms, .target_uri = slice_str(url), .content_type = "application/http;msgtype=response", .truncated = truncated,
                                    .from = x->from_tool ? "tool" : "gateway", .exchange = x->id };
    struct warc_record request = { .type = WARC_REQUEST, .date_ms = x->started_ms, .target_uri = slice_str(url), .content_type = "application/http;msgtype=request", .exchange = x->id,
                                   .concurrent_to = x->response_record, .action = x->action };
    enum status st = put_record(w, &response, x->response_record, x->response_head, x->response_body, err);
    if (st == OK && x->response_omitted == 0 && add_line(w, e, url, offset, w->at - offset) != OK)
        st = fail(err, NO_MEMORY, "the index");
    if (st == OK)
        st = put_record(w, &request, x->request_record, x->request_head, x->request_body, err);
    if (st == OK && add_page(w, i, url) != OK)
        st = fail(err, NO_MEMORY, "the pages");
    free(url);
    return st;
}

/* ---- the file ---- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum status join_index(struct wacz *w, struct warc_bytes *out)
{
    enum status st = OK;
    qsort(w->lines, w->line_count, sizeof *w->lines, by_text);
    for (size_t i = 0; i < w->line_count && st == OK; i++)
        st = warc_bytes_put(out, slice_str(w->lines[i]));
    return st;
}

static json_t *resource(const char *name, const char *path, json_t *hash, uint64_t bytes)
{
    return json_pack("{s:s, s:s, s:o, s:I}", "name", name, "path", path, "hash", hash, "bytes", (json_int_t)bytes);
}

static json_t *digest_of_file(FILE *f)
{
    unsigned char piece[64 * 1024], d[EVP_MAX_MD_SIZE];
    char text[8 + 64] = "sha256:";
    unsigned n = 0;
    size_t got;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool good = md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;
    rewind(f);
    while (good && (got = fread(piece, 1, sizeof piece, f)) > 0)
        good = EVP_DigestUpdate(md, piece, got) == 1;
    good = good && EVP_DigestFinal_ex(md, d, &n) == 1;
    EVP_MD_CTX_free(md);
    if (!good)
        return NULL;
    hex_encode(slice_of(d, n), text + 7);
    return json_string(text);
}

static char *package_text(const struct wacz *w, struct slice index)
{
    struct slice pages = slice_of(w->pages.data, w->pages.len);
    json_t *o = json_pack("{s:s, s:s, s:s, s:o, s:s, s:s, s:[o, o, o]}", "profile", "data-package", "wacz_version", "1.1.1", "title", w->o->title, "created", iso_time(w->o->now_ms), "software",
                          "Countersign " COUNTERSIGN_VERSION, "description", "As the gateway recorded it; passwords were removed before anything was kept.", "resources",
                          resource("pages.jsonl", "pages/pages.jsonl", digest_of(pages), pages.len), resource("index.cdx", "indexes/index.cdx", digest_of(index), index.len),
                          resource(warc_name, "archive/data.warc.gz", digest_of_file(w->work), w->at));
    char *text = o != NULL ? json_dumps(o, JSON_INDENT(2)) : NULL;
    json_decref(o);
    return text;
}

static enum status write_zip(struct wacz *w, FILE *out, struct err *err)
{
    struct warc_bytes index = { 0 };
    struct zip z;
    char *package = NULL, digest[256] = "";
    enum status st = fflush(w->work) == 0 && join_index(w, &index) == OK ? OK : fail(err, NO_MEMORY, "the index");
    struct slice cdx = slice_of(index.data, index.len);
    if (st == OK && (package = package_text(w, cdx)) == NULL)
        st = fail(err, NO_MEMORY, "the package's description");
    if (st == OK) {
        json_t *d = digest_of(slice_str(package));
        snprintf(digest, sizeof digest, "{\"path\": \"datapackage.json\", \"hash\": \"%s\"}\n", json_string_value(d));
        json_decref(d);
        zip_begin(&z, out, w->o->now_ms);
        st = zip_add(&z, "datapackage.json", slice_str(package), err);
    }
    if (st == OK)
        st = zip_add(&z, "datapackage-digest.json", slice_str(digest), err);
    if (st == OK)
        st = zip_add(&z, "pages/pages.jsonl", slice_of(w->pages.data, w->pages.len), err);
    if (st == OK)
        st = zip_add(&z, "indexes/index.cdx", cdx, err);
    if (st == OK)
        st = zip_add_file(&z, "archive/data.warc.gz", w->work, err);
    if (st == OK)
        st = zip_end(&z, err);
    free(package);
    warc_bytes_done(&index);
    return st;
}

static void done(struct wacz *w)
{
    for (size_t i = 0; i < w->line_count; i++)
        free(w->lines[i]);
    free(w->lines);
    warc_bytes_done(&w->record);
    warc_bytes_done(&w->head);
    warc_bytes_done(&w->pages);
    warc_writer_free(w->writer);
    recorded_done(&w->r);
}

enum status wacz_write(const struct archive *a, const struct wacz_options *o, FILE *work, FILE *out, size_t *exchanges_out, struct err *err)
{
    struct wacz w = { .o = o, .work = work };
    size_t count = 0;
    enum status st = recorded_init(&w.r, a);
    if (st == OK)
        st = warc_writer_new(&w.writer);
    w.lines = st == OK ? calloc(w.r.count ? w.r.count : 1, sizeof *w.lines) : NULL;
    if (w.lines == NULL || warc_bytes_put(&w.pages, SLICE("{\"format\": \"json-pages-1.0\", \"id\": \"pages\", \"title\": \"Pages of the session\"}\n")) != OK)
        st = fail(err, NO_MEMORY, "the export");
    for (size_t i = 0; i < w.r.count && st == OK; i++) {
        unsigned status = w.r.v[i].x->status;
        if (status < 200 || status > 599 || w.r.v[i].x->request_record.len == 0)
            continue;
        st = add_exchange(&w, i, err);
        count++;
    }
    if (st == OK)
        st = write_zip(&w, out, err);
    if (st == OK)
        *exchanges_out = count;
    done(&w);
    return st;
}
