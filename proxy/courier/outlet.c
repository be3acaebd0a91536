#include "proxy/courier/outlet.h"

#include "proxy/courier/fetch_file.h"

#include <curl/curl.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/select.h>

enum { WRITE_MAX = 8192, READS_AT_ONCE = 8, HEARD_MAX = 64 * 1024, URL_MAX = 400 };

struct outlet {
    CURLM *multi;                     /* of its own: what else goes on must not find this connection idle, and close it */
    CURL *curl;
    enum outlet_state state;
    curl_socket_t fd;
    bool blocked;                     /* the last write was not taken in full */
    size_t heard;
    char why[CURL_ERROR_SIZE];
};

static enum outlet_state broken(struct outlet *s, CURLcode code, const char *why)
{
    s->state = OUTLET_BROKEN;
    if (s->why[0] == 0)
        snprintf(s->why, sizeof s->why, "%s", why ? why : curl_easy_strerror(code));
    return s->state;
}

static bool set_up(struct outlet *s, const struct outlet_order *o)
{
    CURL *c = s->curl;
    char url[URL_MAX];
    if (snprintf(url, sizeof url, "https://%s/", o->host_port) >= (int)sizeof url)
        return false;
    bool good = curl_easy_setopt(c, CURLOPT_URL, url) == CURLE_OK && curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https") == CURLE_OK;
    good = good && curl_easy_setopt(c, CURLOPT_CONNECT_ONLY, 1L) == CURLE_OK && curl_easy_setopt(c, CURLOPT_SSL_ENABLE_ALPN, 0L) == CURLE_OK;
    good = good && curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK && curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK;
    good = good && curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK && curl_easy_setopt(c, CURLOPT_SSL_SESSIONID_CACHE, 0L) == CURLE_OK;
    if (o->ca_file != NULL)           /* these and no others: without the second line the system's folder counts as well */
        good = good && fetch_file(c, CURLOPT_CAINFO_BLOB, o->ca_file) && curl_easy_setopt(c, CURLOPT_CAPATH, NULL) == CURLE_OK;
    if (o->certificate != NULL)
        good = good && fetch_file(c, CURLOPT_SSLCERT_BLOB, o->certificate) && fetch_file(c, CURLOPT_SSLKEY_BLOB, o->key);
    good = good && curl_easy_setopt(c, CURLOPT_PROXY, "") == CURLE_OK && curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
    good = good && curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)o->connect_ms) == CURLE_OK;
    return good && curl_easy_setopt(c, CURLOPT_ERRORBUFFER, s->why) == CURLE_OK;
}

enum status outlet_open(const struct outlet_order *order, struct outlet **out, struct err *err)
{
    struct outlet *s = calloc(1, sizeof *s);
    if (s == NULL)
        return fail(err, NO_MEMORY, "connection");
    s->fd = CURL_SOCKET_BAD;
    bool good = (s->multi = curl_multi_init()) != NULL && (s->curl = curl_easy_init()) != NULL && set_up(s, order) && curl_multi_add_handle(s->multi, s->curl) == CURLM_OK;
    if (!good) {
        outlet_free(s);
        return fail(err, NO_MEMORY, "libcurl does not take the connection");
    }
    *out = s;
    return OK;
}

void outlet_free(struct outlet *s)
{
    if (s == NULL)
        return;
    if (s->multi != NULL && s->curl != NULL)
        curl_multi_remove_handle(s->multi, s->curl);
    curl_easy_cleanup(s->curl);
    curl_multi_cleanup(s->multi);
    free(s);
}

static enum outlet_state connecting(struct outlet *s)
{
    int running = 0, left = 0;
    if (curl_multi_perform(s->multi, &running) != CURLM_OK)
        return broken(s, CURLE_FAILED_INIT, NULL);
    for (CURLMsg *m; (m = curl_multi_info_read(s->multi, &left)) != NULL;) {
        if (m->msg != CURLMSG_DONE)
            continue;
        if (m->data.result != CURLE_OK)
            return broken(s, m->data.result, NULL);
        if (curl_easy_getinfo(s->curl, CURLINFO_ACTIVESOCKET, &s->fd) != CURLE_OK || s->fd == CURL_SOCKET_BAD)
            return broken(s, CURLE_OK, "the connection ended at once");
        s->state = OUTLET_OPEN;
    }
    return s->state;
}

enum outlet_state outlet_step(struct outlet *s)
{
    char heard[4096];
    if (s->state == OUTLET_CONNECTING)
        return connecting(s);
    for (int i = 0; i < READS_AT_ONCE && s->state == OUTLET_OPEN; i++) {
        size_t n = 0;
        CURLcode code = curl_easy_recv(s->curl, heard, sizeof heard, &n);
        if (code == CURLE_AGAIN)
            break;
        if (code != CURLE_OK || n == 0)
            return broken(s, code, code == CURLE_OK ? "the server closed the connection" : NULL);
        s->heard += n;
        if (s->heard > HEARD_MAX)
            return broken(s, code, "the server talks instead of listening");
    }
    return s->state;
}

const char *outlet_why(const struct outlet *s)
{
    return s->why;
}

/* libcurl wants the rest of a record offered again as it was: so in pieces, of which one is under way. */
size_t outlet_write(struct outlet *s, struct slice bytes)
{
    size_t n = 0;
    if (s->state != OUTLET_OPEN)
        return 0;
    CURLcode code = curl_easy_send(s->curl, bytes.ptr, bytes.len < WRITE_MAX ? bytes.len : WRITE_MAX, &n);
    s->blocked = code == CURLE_AGAIN;
    if (code != CURLE_OK && code != CURLE_AGAIN)
        (void)broken(s, code, NULL);
    return code == CURLE_OK ? n : 0;
}

bool outlet_drained(const struct outlet *s)
{
    int left = 1;
    return s->state == OUTLET_OPEN && ioctl(s->fd, SIOCOUTQ, &left) == 0 && left == 0;
}

size_t outlet_watch(const struct outlet *s, struct fetch_watched *out, size_t max)
{
    fd_set in, to, bad;
    int last = -1;
    size_t n = 0;
    if (s->state == OUTLET_OPEN && max > 0) {
        out[0] = (struct fetch_watched){ s->fd, s->blocked };
        return 1;
    }
    FD_ZERO(&in);
    FD_ZERO(&to);
    FD_ZERO(&bad);
    if (s->state != OUTLET_CONNECTING || curl_multi_fdset(s->multi, &in, &to, &bad, &last) != CURLM_OK)
        return 0;
    for (int fd = 0; fd <= last && n < max; fd++)
        if (FD_ISSET(fd, &in) || FD_ISSET(fd, &to))
            out[n++] = (struct fetch_watched){ fd, FD_ISSET(fd, &to) };
    return n;
}
