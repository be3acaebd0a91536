/* HTTP/1.1: one request after the other on a kept connection. The reader is strict enough for a test: a length or chunks. */
#include "tests/load/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { IN_MAX = 65536 };

struct h1 {
    struct worker *w;
    char *buf;                        /* IN_MAX + 1 */
    size_t at, len;
    bool close_after;
};

static bool fill(struct h1 *c)
{
    if (c->at > 0) {
        memmove(c->buf, c->buf + c->at, c->len - c->at);
        c->len -= c->at;
        c->at = 0;
    }
    if (c->len == IN_MAX)
        return false;
    int n = SSL_read(c->w->ssl, c->buf + c->len, (int)(IN_MAX - c->len));
    if (n <= 0)
        return false;
    c->len += (size_t)n;
    c->buf[c->len] = 0;
    return true;
}

/* A line without its CRLF, NUL-terminated in the buffer; valid until the next call. */
static char *read_line(struct h1 *c)
{
    for (;;) {
        char *end = memmem(c->buf + c->at, c->len - c->at, "\r\n", 2);
        if (end != NULL) {
            char *line = c->buf + c->at;
            *end = 0;
            c->at = (size_t)(end + 2 - c->buf);
            return line;
        }
        if (!fill(c))
            return NULL;
    }
}

static bool read_bytes(struct h1 *c, uint64_t n, struct answer *a)
{
    while (n > 0) {
        if (c->at == c->len && !fill(c))
            return false;
        size_t piece = c->len - c->at;
        if (piece > n)
            piece = (size_t)n;
        answer_data(a, c->buf + c->at, piece);
        c->at += piece;
        n -= piece;
    }
    return true;
}

static bool read_chunks(struct h1 *c, struct answer *a)
{
    for (;;) {
        char *line = read_line(c);
        uint64_t size = line ? strtoull(line, NULL, 16) : 0;
        if (line == NULL)
            return false;
        if (size == 0)
            break;
        if (!read_bytes(c, size, a) || (line = read_line(c)) == NULL || *line != 0)
            return false;
    }
    for (char *line; (line = read_line(c)) != NULL;)
        if (*line == 0)
            return true;
    return false;
}

/* The head: status, length (-1 when unknown), chunked. 1xx are skipped. */
static bool read_head(struct h1 *c, struct answer *a, int64_t *length, bool *chunked)
{
    do {
        char *line = read_line(c);
        if (line == NULL || strncmp(line, "HTTP/1.1 ", 9) != 0)
            return false;
        a->status = (unsigned)strtoul(line + 9, NULL, 10);
        *length = -1;
        *chunked = false;
        while ((line = read_line(c)) != NULL && *line != 0) {
            if (strncasecmp(line, "content-length:", 15) == 0)
                *length = strtoll(line + 15, NULL, 10);
            else if (strncasecmp(line, "transfer-encoding:", 18) == 0)
                *chunked = strcasestr(line, "chunked") != NULL;
            else if (strncasecmp(line, "connection:", 11) == 0)
                c->close_after = strcasestr(line, "close") != NULL;
        }
        if (line == NULL)
            return false;
    } while (a->status / 100 == 1);
    return true;
}

static bool read_answer(struct h1 *c, struct answer *a)
{
    int64_t length;
    bool chunked;
    if (!read_head(c, a, &length, &chunked))
        return false;
    if (strcmp(c->w->o->method, "HEAD") == 0 || a->status == 204 || a->status == 304)
        return true;
    if (chunked)
        return read_chunks(c, a);
    if (length >= 0)
        return read_bytes(c, (uint64_t)length, a);
    return false;                     /* ended by the connection's end: a cut could not be told from the end */
}

static bool send_request(struct worker *w)
{
    const struct options *o = w->o;
    char head[8192], length[64] = "";
    unsigned char piece[PIECE];
    if (o->upload_bytes > 0)
        snprintf(length, sizeof length, "Content-Length: %llu\r\n", (unsigned long long)o->upload_bytes);
    int n = snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: %s\r\n%s", o->method, o->path, o->authority, length);
    for (unsigned i = 0; i < o->header_count && n > 0 && (size_t)n < sizeof head; i++)
        n += snprintf(head + n, sizeof head - (size_t)n, "%s\r\n", o->header[i]);
    if (n < 0 || (size_t)n + 2 >= sizeof head)
        return false;
    memcpy(head + n, "\r\n", 2);
    if (!tls_write_all(w, head, (size_t)n + 2))
        return false;
    for (uint64_t at = 0; at < o->upload_bytes;) {
        size_t len = o->upload_bytes - at > PIECE ? PIECE : (size_t)(o->upload_bytes - at);
        pattern_fill(piece, at, len);
        if (!tls_write_all(w, piece, len))
            return false;
        at += len;
        w->tally.bytes_up += len;
    }
    return true;
}

static bool ensure_open(struct h1 *c)
{
    if (c->w->ssl != NULL && !c->close_after)
        return true;
    tls_close(c->w);
    c->at = c->len = 0;
    c->close_after = false;
    return tls_open(c->w, false);
}

static bool exchange(struct h1 *c)
{
    struct worker *w = c->w;
    struct answer a;
    answer_begin(&a, w);
    w->error[0] = 0;
    /* An early answer may come while the upload breaks off: read it even then. */
    bool open = ensure_open(c);
    bool sent = open && send_request(w);
    bool complete = open && read_answer(c, &a) && (sent || w->o->upload_bytes > 0);
    answer_end(&a, w, complete, w->error[0] ? w->error : NULL);
    c->close_after = c->close_after || !complete || !sent || w->o->handshakes;
    return complete;
}

void h1_run(struct worker *w)
{
    struct h1 c = { .w = w, .buf = malloc(IN_MAX + 1) };
    unsigned broken = 0;
    if (c.buf == NULL)
        return;
    while (broken < 100 && take_turn(w)) {
        uint64_t wait_us = turn_wait_us(w);
        if (wait_us > 0)
            usleep((useconds_t)wait_us);
        broken = exchange(&c) ? 0 : broken + 1;
    }
    tls_close(w);
    free(c.buf);
}

bool h1_once(struct worker *w)
{
    struct h1 c = { .w = w, .buf = malloc(IN_MAX + 1) };
    bool done = c.buf != NULL && exchange(&c) && !c.close_after;
    free(c.buf);
    return done;
}
