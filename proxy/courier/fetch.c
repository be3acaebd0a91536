#include "proxy/courier/fetch.h"

#include "proxy/base/file.h"
#include "proxy/base/log.h"
#include "proxy/courier/fetch_file.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#if LIBCURL_VERSION_NUM >= 0x080200
#define RCPT_ALLOW_FAILS CURLOPT_MAIL_RCPT_ALLOWFAILS
#else
#define RCPT_ALLOW_FAILS CURLOPT_MAIL_RCPT_ALLLOWFAILS
#endif

enum { FILE_MAX = 4 * 1024 * 1024 };

struct fetch {
    struct fetch *next;
    struct fetcher *fetcher;
    CURL *curl;
    struct curl_slist *fields, *to;
    unsigned char *body;              /* of a mail, a copy */
    size_t body_len, body_at;
    unsigned char *answer;
    size_t answer_len, max_bytes;
    bool too_large;
    char why[CURL_ERROR_SIZE];
    fetch_done *done;
    void *arg;
};

struct fetcher {
    CURLM *multi;
    struct fetch *first;
    unsigned count;
};

enum status fetcher_new(struct fetcher **out, struct err *err)
{
    struct fetcher *f = calloc(1, sizeof *f);
    if (f == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || (f->multi = curl_multi_init()) == NULL) {
        free(f);
        return fail(err, NO_MEMORY, "libcurl does not start");
    }
    *out = f;
    return OK;
}

static void fetch_free(struct fetch *x)
{
    struct fetcher *f = x->fetcher;
    for (struct fetch **at = &f->first; *at != NULL; at = &(*at)->next)
        if (*at == x) {
            *at = x->next;
            f->count--;
            curl_multi_remove_handle(f->multi, x->curl);
            break;
        }
    curl_easy_cleanup(x->curl);
    curl_slist_free_all(x->fields);
    curl_slist_free_all(x->to);
    free(x->body);
    free(x->answer);
    free(x);
}

void fetcher_free(struct fetcher *f)
{
    if (f == NULL)
        return;
    while (f->first != NULL)
        fetch_free(f->first);
    curl_multi_cleanup(f->multi);
    curl_global_cleanup();
    free(f);
}

unsigned fetch_under_way(const struct fetcher *f)
{
    return f->count;
}

/* ---- what libcurl asks ---- */

static size_t on_answer(char *data, size_t size, size_t n, void *arg)
{
    struct fetch *x = arg;
    size_t len = size * n;
    if (len > x->max_bytes - x->answer_len) {
        x->too_large = true;
        return 0;
    }
    unsigned char *more = realloc(x->answer, x->answer_len + len + 1);
    if (more == NULL)
        return 0;
    x->answer = more;
    memcpy(x->answer + x->answer_len, data, len);
    x->answer_len += len;
    return len;
}

static size_t on_mail(char *out, size_t size, size_t n, void *arg)
{
    struct fetch *x = arg;
    size_t len = size * n, left = x->body_len - x->body_at;
    if (len > left)
        len = left;
    memcpy(out, x->body + x->body_at, len);
    x->body_at += len;
    return len;
}

static bool loops_back(const struct sockaddr *sa)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    if (sa->sa_family == AF_INET) {
        memcpy(&v4, sa, sizeof v4);
        return (ntohl(v4.sin_addr.s_addr) >> 24) == 127;
    }
    if (sa->sa_family != AF_INET6)
        return false;
    memcpy(&v6, sa, sizeof v6);
    return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
}

/* Clear text stays on this machine, whatever a name was resolved to. */
static curl_socket_t open_local(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
    (void)arg;
    (void)purpose;
    return loops_back(&a->addr) ? socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol) : CURL_SOCKET_BAD;
}

/* ---- orders ---- */

static struct curl_slist *list_of(const char *const *texts, bool *good)
{
    struct curl_slist *list = NULL;
    for (; texts != NULL && *texts != NULL && *good; texts++) {
        struct curl_slist *more = curl_slist_append(list, *texts);
        *good = more != NULL;
        list = more ? more : list;
    }
    return list;
}

/* Read by us, since a confined process has to ask for such files (proxy/base/window.h), and libcurl would open them. */
bool fetch_file(CURL *c, CURLoption option, const char *path)
{
    unsigned char *bytes = NULL;
    size_t len = 0;
    struct err err;
    if (file_read(path, FILE_MAX, false, &bytes, &len, &err) != OK) {
        log_warn("courier.file", "why", err.text);
        return false;
    }
    struct curl_blob blob = { bytes, len, CURL_BLOB_COPY };
    bool good = curl_easy_setopt(c, option, &blob) == CURLE_OK;
    OPENSSL_cleanse(bytes, len);
    free(bytes);
    return good;
}

static bool set_common(struct fetch *x, const struct fetch_order *o, const char *scheme)
{
    CURL *c = x->curl;
    bool good = curl_easy_setopt(c, CURLOPT_URL, o->url) == CURLE_OK && curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, scheme) == CURLE_OK;
    good = good && curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK && curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK;
    good = good && curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK;
    if (o->ca_file != NULL)           /* these and no others: without the second line the system's folder counts as well */
        good = good && fetch_file(c, CURLOPT_CAINFO_BLOB, o->ca_file) && curl_easy_setopt(c, CURLOPT_CAPATH, NULL) == CURLE_OK;
    good = good && curl_easy_setopt(c, CURLOPT_PROXY, "") == CURLE_OK && curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK;
    good = good && curl_easy_setopt(c, CURLOPT_FRESH_CONNECT, 1L) == CURLE_OK && curl_easy_setopt(c, CURLOPT_FORBID_REUSE, 1L) == CURLE_OK;
    good = good && curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) == CURLE_OK && curl_easy_setopt(c, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) == CURLE_OK;
    good = good && curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)o->connect_ms) == CURLE_OK && curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)o->total_ms) == CURLE_OK;
    good = good && curl_easy_setopt(c, CURLOPT_SERVER_RESPONSE_TIMEOUT, (long)((o->total_ms + 999) / 1000)) == CURLE_OK;
    good = good && curl_easy_setopt(c, CURLOPT_ERRORBUFFER, x->why) == CURLE_OK && curl_easy_setopt(c, CURLOPT_PRIVATE, x) == CURLE_OK;
    good = good && curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_answer) == CURLE_OK && curl_easy_setopt(c, CURLOPT_WRITEDATA, x) == CURLE_OK;
    return good;
}

static bool set_http(struct fetch *x, const struct fetch_order *o, bool in_clear)
{
    CURL *c = x->curl;
    bool good = true;
    x->fields = list_of(o->fields, &good);
    if (in_clear)
        good = good && curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, open_local) == CURLE_OK;
    if (o->body.ptr != NULL)
        good = good && curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)o->body.len) == CURLE_OK && curl_easy_setopt(c, CURLOPT_COPYPOSTFIELDS, o->body.ptr) == CURLE_OK;
    if (o->put)                       /* as a POST with another name, so that libcurl has the content to sign */
        good = good && curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, "PUT") == CURLE_OK;
    if (o->sign != NULL)
        good = good && curl_easy_setopt(c, CURLOPT_AWS_SIGV4, o->sign) == CURLE_OK && curl_easy_setopt(c, CURLOPT_USERNAME, o->user) == CURLE_OK &&
               curl_easy_setopt(c, CURLOPT_PASSWORD, o->password) == CURLE_OK;
    good = good && curl_easy_setopt(c, CURLOPT_USERAGENT, "countersign") == CURLE_OK;
    return good && (x->fields == NULL || curl_easy_setopt(c, CURLOPT_HTTPHEADER, x->fields) == CURLE_OK);
}

static bool set_mail(struct fetch *x, const struct fetch_order *o)
{
    CURL *c = x->curl;
    bool good = o->mail_from != NULL && o->mail_to != NULL && (x->body = malloc(o->body.len + 1)) != NULL;
    if (!good)
        return false;
    memcpy(x->body, o->body.ptr, o->body.len);
    x->body_len = o->body.len;
    x->to = list_of(o->mail_to, &good);
    good = good && curl_easy_setopt(c, CURLOPT_USE_SSL, (long)CURLUSESSL_ALL) == CURLE_OK;
    good = good && curl_easy_setopt(c, CURLOPT_MAIL_FROM, o->mail_from) == CURLE_OK && curl_easy_setopt(c, CURLOPT_MAIL_RCPT, x->to) == CURLE_OK;
    good = good && curl_easy_setopt(c, RCPT_ALLOW_FAILS, 1L) == CURLE_OK && curl_easy_setopt(c, CURLOPT_UPLOAD, 1L) == CURLE_OK;
    good = good && curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE, (curl_off_t)o->body.len) == CURLE_OK;
    good = good && curl_easy_setopt(c, CURLOPT_READFUNCTION, on_mail) == CURLE_OK && curl_easy_setopt(c, CURLOPT_READDATA, x) == CURLE_OK;
    if (o->user != NULL)
        good = good && curl_easy_setopt(c, CURLOPT_USERNAME, o->user) == CURLE_OK && curl_easy_setopt(c, CURLOPT_PASSWORD, o->password ? o->password : "") == CURLE_OK;
    return good;
}

/* The only schemes there are. NULL: another one. */
static const char *scheme_of(const char *url)
{
    static const char *const schemes[] = { "https", "http", "smtps", "smtp" };
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (strncmp(url, schemes[i], strlen(schemes[i])) == 0 && strncmp(url + strlen(schemes[i]), "://", 3) == 0)
            return schemes[i];
    return NULL;
}

enum status fetch_start(struct fetcher *f, const struct fetch_order *o, fetch_done *done, void *arg, struct err *err)
{
    const char *scheme = scheme_of(o->url);
    if (scheme == NULL)
        return fail(err, BAD_INPUT, "an address that begins with none of https://, http://, smtps://, smtp://");
    if (f->count >= FETCHES_MAX)
        return fail(err, FULL, "%d requests are under way", FETCHES_MAX);
    struct fetch *x = calloc(1, sizeof *x);
    if (x == NULL || (x->curl = curl_easy_init()) == NULL) {
        free(x);
        return fail(err, NO_MEMORY, "request");
    }
    x->fetcher = f;
    x->done = done;
    x->arg = arg;
    x->max_bytes = o->max_bytes;
    bool good = set_common(x, o, scheme) && (scheme[0] == 's' ? set_mail(x, o) : set_http(x, o, strcmp(scheme, "http") == 0));
    if (!good || curl_multi_add_handle(f->multi, x->curl) != CURLM_OK) {
        fetch_free(x);
        return fail(err, NO_MEMORY, "libcurl does not take the request");
    }
    x->next = f->first;
    f->first = x;
    f->count++;
    return OK;
}

/* ---- the end of one ---- */

static void finish(struct fetch *x, CURLcode code)
{
    long answered = 0;
    curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &answered);
    struct fetch_result r = { .status = code == CURLE_OK ? OK : x->too_large ? FULL : code == CURLE_OPERATION_TIMEDOUT ? CLOSED : IO_FAILED,
                              .code = answered > 0 ? (unsigned)answered : 0, .body = slice_of(x->answer, x->answer_len), .why = "" };
    if (r.status == FULL)
        r.why = "the answer is too large";
    else if (r.status != OK)
        r.why = x->why[0] != 0 ? x->why : curl_easy_strerror(code);
    x->done(x->arg, &r);
    fetch_free(x);
}

void fetch_step(struct fetcher *f, const struct fetch_watched *watched, size_t count, int wait_ms)
{
    struct curl_waitfd more[FETCH_WATCHED_MAX] = { 0 };
    int running = 0, left = 0;
    unsigned n = 0;
    for (; n < count && n < FETCH_WATCHED_MAX; n++)
        more[n] = (struct curl_waitfd){ .fd = watched[n].fd, .events = (short)(CURL_WAIT_POLLIN | (watched[n].writable ? CURL_WAIT_POLLOUT : 0)) };
    (void)curl_multi_perform(f->multi, &running);
    (void)curl_multi_poll(f->multi, more, n, wait_ms, NULL);
    (void)curl_multi_perform(f->multi, &running);
    for (CURLMsg *m; (m = curl_multi_info_read(f->multi, &left)) != NULL;) {
        void *x = NULL;
        CURLcode code = m->data.result;
        if (m->msg == CURLMSG_DONE && curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&x) == CURLE_OK)
            finish(x, code);
    }
}
