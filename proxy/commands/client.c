#include "proxy/commands/client.h"
#include "proxy/base/file.h"
#include "proxy/commands/commands.h"
#include "proxy/commands/term.h"
#include "proxy/commands/words.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { CONNECT_MS = 10 * 1000, CALL_MS = 60 * 1000, STALLED_S = 30, PROBLEM_MAX = 64 * 1024, FILE_MAX = 1024 * 1024 };

struct client {
    const struct profile *profile;
    CURL *curl;
    char *origin;                     /* "https://host:port", no final slash */
    struct curl_slist *resolve;
    char curl_error[CURL_ERROR_SIZE];
    json_t *problem;
};

/* Where an answer goes: memory that grows up to max, or a file. A problem always goes to memory. */
struct sink {
    CURL *curl;
    FILE *file;
    unsigned char *data;
    size_t len, cap;
    uint64_t max, taken;
    bool too_large, no_memory, file_failed;
};

static bool sink_grow(struct sink *s, size_t add)
{
    if (s->len + add + 1 <= s->cap)
        return true;
    size_t cap = s->cap ? s->cap : 4096;
    while (cap < s->len + add + 1)
        cap *= 2;
    unsigned char *data = realloc(s->data, cap);
    if (data == NULL)
        return false;
    s->data = data;
    s->cap = cap;
    return true;
}

/* curl's write callback: anything but n breaks the transfer off. */
static size_t sink_write(char *bytes, size_t size, size_t count, void *user)
{
    struct sink *s = user;
    size_t n = size * count;
    long status = 0;
    curl_easy_getinfo(s->curl, CURLINFO_RESPONSE_CODE, &status);
    bool to_file = s->file != NULL && status == 200;
    uint64_t max = status >= 200 && status < 300 ? s->max : PROBLEM_MAX;
    if (n > max - s->taken) {
        s->too_large = true;
        return 0;
    }
    s->taken += n;
    if (to_file) {
        s->file_failed = fwrite(bytes, 1, n, s->file) != n;
        return s->file_failed ? 0 : n;
    }
    if (!sink_grow(s, n)) {
        s->no_memory = true;
        return 0;
    }
    memcpy(s->data + s->len, bytes, n);
    s->len += n;
    s->data[s->len] = 0;
    return n;
}

static bool ends_in_localhost(const char *host)
{
    size_t n = strlen(host), tail = strlen(".localhost");
    return strcasecmp(host, "localhost") == 0 || (n > tail && strcasecmp(host + n - tail, ".localhost") == 0);
}

/* Take the gateway's URL apart: https, a host, perhaps a port, and nothing else. */
static enum status read_gateway(struct client *c, const char *text, struct err *err)
{
    CURLU *u = curl_url();
    char *host = NULL, *port = NULL, *path = NULL, *extra = NULL, *line = NULL;
    enum status st = OK;
    bool good = u != NULL && strncasecmp(text, "https://", 8) == 0 && curl_url_set(u, CURLUPART_URL, text, 0) == CURLUE_OK &&
                curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
                curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
                curl_url_get(u, CURLUPART_PATH, &path, 0) == CURLUE_OK && strcmp(path, "/") == 0 &&
                curl_url_get(u, CURLUPART_USER, &extra, 0) != CURLUE_OK && curl_url_get(u, CURLUPART_QUERY, &extra, 0) != CURLUE_OK &&
                curl_url_get(u, CURLUPART_FRAGMENT, &extra, 0) != CURLUE_OK;
    if (!good) {
        st = fail(err, BAD_CONFIG, "the gateway '%s' is not an address like https://console.example:8443", text);
        goto done;
    }
    if (asprintf(&c->origin, "https://%s:%s", host, port) < 0) {
        c->origin = NULL;
        st = fail(err, NO_MEMORY, "client");
        goto done;
    }
    if (ends_in_localhost(host) && asprintf(&line, "%s:%s:127.0.0.1", host, port) >= 0)
        c->resolve = curl_slist_append(NULL, line);
done:
    free(line);
    curl_free(host);
    curl_free(port);
    curl_free(path);
    curl_free(extra);
    curl_url_cleanup(u);
    return st;
}

/* A missing or readable-by-others file is said in our words, before curl says it in its own. */
static enum status check_file(const char *what, const char *path, bool secret, struct err *err)
{
    unsigned char *data = NULL;
    size_t len = 0;
    enum status st = file_read(path, FILE_MAX, secret, &data, &len, err);
    if (st != OK) {
        err_prefix(err, "%s: ", what);
        return st;
    }
    explicit_bzero(data, len);
    free(data);
    return OK;
}

static enum status check_profile(const struct profile *p, struct err *err)
{
    static const char how[] = "Next: give it as an option, in the environment, or in ~/.config/countersign/client.conf (--help says how)";
    if (p->gateway == NULL)
        return fail(err, BAD_CONFIG, "no gateway is named (--gateway, COUNTERSIGN_GATEWAY). %s", how);
    if (p->cert == NULL)
        return fail(err, BAD_CONFIG, "no certificate is named (--cert, COUNTERSIGN_CERT). %s", how);
    if (p->key == NULL)
        return fail(err, BAD_CONFIG, "no private key is named (--key, COUNTERSIGN_KEY). %s", how);
    enum status st = check_file("your certificate", p->cert, false, err);
    if (st == OK)
        st = check_file("your private key", p->key, true, err);
    if (st == OK && p->ca != NULL)
        st = check_file("the gateway's CA", p->ca, false, err);
    return st;
}

enum status client_open(struct profile *p, struct client **out, struct err *err)
{
    enum status st = profile_fill(p, NULL, err);
    if (st == OK)
        st = check_profile(p, err);
    if (st != OK)
        return st;
    struct client *c = calloc(1, sizeof *c);
    if (c == NULL)
        return fail(err, NO_MEMORY, "client");
    c->profile = p;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || (c->curl = curl_easy_init()) == NULL)
        st = fail(err, NO_MEMORY, "libcurl cannot start");
    if (st == OK)
        st = read_gateway(c, p->gateway, err);
    if (st == OK)
        *out = c;
    else
        client_free(c);
    return st;
}

void client_forget_problem(struct client *c)
{
    json_decref(c->problem);
    c->problem = NULL;
}

const struct profile *client_profile(const struct client *c)
{
    return c->profile;
}

void client_free(struct client *c)
{
    if (c == NULL)
        return;
    curl_easy_cleanup(c->curl);
    curl_slist_free_all(c->resolve);
    json_decref(c->problem);
    free(c->origin);
    free(c);
}

/* One call's settings, all of them (the handle keeps its connection, but no setting of an earlier call). */
static bool set_up(struct client *c, const char *method, const char *url, struct curl_slist *fields, const char *body, struct sink *sink)
{
    CURL *h = c->curl;
    const struct profile *p = c->profile;
    curl_easy_reset(h);
    bool ok = curl_easy_setopt(h, CURLOPT_URL, url) == CURLE_OK && curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "https") == CURLE_OK &&
              curl_easy_setopt(h, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
              curl_easy_setopt(h, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK && curl_easy_setopt(h, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
              curl_easy_setopt(h, CURLOPT_SSLCERT, p->cert) == CURLE_OK && curl_easy_setopt(h, CURLOPT_SSLKEY, p->key) == CURLE_OK &&
              curl_easy_setopt(h, CURLOPT_PROXY, "") == CURLE_OK && curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
              curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, method) == CURLE_OK && curl_easy_setopt(h, CURLOPT_HTTPHEADER, fields) == CURLE_OK;
    if (p->ca != NULL)      /* this CA alone, not the system's beside it */
        ok = ok && curl_easy_setopt(h, CURLOPT_CAINFO, p->ca) == CURLE_OK && curl_easy_setopt(h, CURLOPT_CAPATH, NULL) == CURLE_OK;
    if (c->resolve != NULL)
        ok = ok && curl_easy_setopt(h, CURLOPT_RESOLVE, c->resolve) == CURLE_OK;
    if (body != NULL)
        ok = ok && curl_easy_setopt(h, CURLOPT_POSTFIELDS, body) == CURLE_OK;
    else if (strcmp(method, "POST") == 0)
        ok = ok && curl_easy_setopt(h, CURLOPT_POSTFIELDS, "") == CURLE_OK;
    if (sink->file == NULL)
        ok = ok && curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)CALL_MS) == CURLE_OK;
    curl_easy_setopt(h, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(h, CURLOPT_LOW_SPEED_TIME, (long)STALLED_S);
    curl_easy_setopt(h, CURLOPT_USERAGENT, "countersign/" COUNTERSIGN_VERSION);
    curl_easy_setopt(h, CURLOPT_ERRORBUFFER, c->curl_error);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, sink);
    return ok && curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, sink_write) == CURLE_OK &&
           curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS) == CURLE_OK;
}

/* What a failed transfer means for the person, and what to do. */
static enum status explain(const struct client *c, CURLcode code, const struct sink *s, struct err *err)
{
    const char *why = c->curl_error[0] ? c->curl_error : curl_easy_strerror(code);
    if (s->too_large)
        return fail(err, BAD_INPUT, "the answer of %s is larger than this command takes", c->origin);
    if (s->no_memory)
        return fail(err, NO_MEMORY, "reading the answer");
    if (s->file_failed)
        return fail(err, IO_FAILED, "cannot keep what was downloaded: is the disk full?");
    switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        return fail(err, IO_FAILED, "%s could not prove who it is (%s). Nothing was sent. Next: check the address, and --ca", c->origin, why);
    case CURLE_SSL_CERTPROBLEM:
        return fail(err, BAD_CONFIG, "your certificate or key cannot be used (%s). Next: check --cert and --key", why);
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
        return fail(err, IO_FAILED, "cannot reach %s (%s). Next: check --gateway, and that the gateway runs", c->origin, why);
    case CURLE_OPERATION_TIMEDOUT:
        return fail(err, IO_FAILED, "%s did not answer in time (%s). Next: try again; `countersign status` shows what was done", c->origin, why);
    default:
        return fail(err, IO_FAILED, "talking to %s failed (%s). Next: try again; `countersign status` shows what was done", c->origin, why);
    }
}

/* Keep the problem for client_failed, its short form in err. */
static enum status take_problem(struct client *c, long status, const struct sink *s, struct err *err)
{
    char title[160], detail[240];
    json_error_t where;
    json_t *v = s->len ? json_loadb((const char *)s->data, s->len, JSON_REJECT_DUPLICATES, &where) : NULL;
    if (!json_is_object(v) || json_text(v, "title")[0] == 0) {
        json_decref(v);
        return fail(err, BAD_INPUT, "%s answered with status %ld and no explanation. Next: is --gateway the address of the console?", c->origin, status);
    }
    c->problem = v;
    return fail(err, status == 404 ? NOT_FOUND : REFUSED, "%s: %s", term_escape(slice_str(json_text(v, "title")), title, sizeof title),
                term_escape(slice_str(json_text(v, "detail")), detail, sizeof detail));
}

static enum status call(struct client *c, const char *method, const char *path, const char *body, struct sink *sink, struct err *err)
{
    enum status st = OK;
    char *url = NULL;
    struct curl_slist *fields = curl_slist_append(NULL, "Accept: application/json, application/problem+json, application/octet-stream;q=0.5, */*;q=0.1");
    if (body != NULL && fields != NULL)
        curl_slist_append(fields, "Content-Type: application/json");
    if (fields != NULL)
        curl_slist_append(fields, "Expect:");
    json_decref(c->problem);
    c->problem = NULL;
    c->curl_error[0] = 0;
    sink->curl = c->curl;
    if (fields == NULL || asprintf(&url, "%s%s", c->origin, path) < 0 || !set_up(c, method, url, fields, body, sink)) {
        st = fail(err, NO_MEMORY, "libcurl takes no settings");
        goto done;
    }
    CURLcode code = curl_easy_perform(c->curl);
    long status = 0;
    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK)
        st = explain(c, code, sink, err);
    else if (status < 200 || status > 299)
        st = take_problem(c, status, sink, err);
done:
    curl_slist_free_all(fields);
    free(url);
    return st;
}

static enum status call_json(struct client *c, const char *method, const char *path, const char *body, json_t **out, struct err *err)
{
    struct sink sink = { .max = CLIENT_JSON_MAX };
    json_error_t where;
    json_t *v = NULL;
    enum status st = call(c, method, path, body, &sink, err);
    if (st != OK)
        goto done;
    v = sink.len ? json_loadb((const char *)sink.data, sink.len, JSON_REJECT_DUPLICATES, &where) : json_object();
    if (!json_is_object(v)) {
        json_decref(v);
        st = fail(err, BAD_INPUT, "the answer of %s%s is not a JSON object. Next: is --gateway the address of the console?", c->origin, path);
        goto done;
    }
    *out = v;
done:
    free(sink.data);
    return st;
}

enum status client_get(struct client *c, const char *path, json_t **out, struct err *err)
{
    return call_json(c, "GET", path, NULL, out, err);
}

enum status client_send(struct client *c, const char *method, const char *path, const json_t *body, json_t **out, struct err *err)
{
    char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    if (body != NULL && text == NULL)
        return fail(err, NO_MEMORY, "the request's body");
    enum status st = call_json(c, method, path, text, out, err);
    free(text);
    return st;
}

enum status client_get_bytes(struct client *c, const char *path, size_t max_bytes, unsigned char **out, size_t *len_out, struct err *err)
{
    struct sink sink = { .max = max_bytes };
    enum status st = call(c, "GET", path, NULL, &sink, err);
    if (st == OK && !sink_grow(&sink, 0))
        st = fail(err, NO_MEMORY, "the answer");
    if (st != OK) {
        free(sink.data);
        return st;
    }
    sink.data[sink.len] = 0;
    *out = sink.data;
    *len_out = sink.len;
    return OK;
}

enum status client_download(struct client *c, const char *path, FILE *to, uint64_t max_bytes, struct err *err)
{
    struct sink sink = { .max = max_bytes, .file = to };
    enum status st = call(c, "GET", path, NULL, &sink, err);
    if (st == OK && fflush(to) != 0)
        st = fail(err, IO_FAILED, "cannot keep what was downloaded: is the disk full?");
    free(sink.data);
    return st;
}

char *client_query(struct client *c, char *path, const char *name, const char *value)
{
    if (path == NULL || value == NULL)
        return path;
    char *out = NULL, *encoded = curl_easy_escape(c->curl, value, 0);
    if (encoded == NULL || asprintf(&out, "%s%c%s=%s", path, strchr(path, '?') ? '&' : '?', name, encoded) < 0)
        out = NULL;
    curl_free(encoded);
    free(path);
    return out;
}

const json_t *client_problem(const struct client *c)
{
    return c->problem;
}

/* "https://console.example/problems/signoff-required" is "signoff-required" to people. */
static const char *last_part(const char *type)
{
    const char *slash = strrchr(type, '/');
    return slash != NULL ? slash + 1 : type;
}

bool client_problem_is(const struct client *c, const char *type)
{
    return c->problem != NULL && strcmp(last_part(json_text(c->problem, "type")), type) == 0;
}

int client_failed(const struct client *c, const struct err *err)
{
    if (c == NULL || c->problem == NULL)
        return command_failed("%s", err->text);
    const char *type = last_part(json_text(c->problem, "type")), *detail = json_text(c->problem, "detail"), *next = json_text(c->problem, "next");
    fputs("countersign: ", stderr);
    term_str(stderr, json_text(c->problem, "title"));
    if (type[0] != 0) {
        fputs(" [", stderr);
        term_str(stderr, type);
        fputs("]", stderr);
    }
    fputc('\n', stderr);
    term_block(stderr, slice_str(detail), "  ");
    term_block(stderr, slice_str(next), "  Next: ");
    return EXIT_REFUSED;
}
