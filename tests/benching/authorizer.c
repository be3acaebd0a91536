/* cs_authorizer SOCKET PUBLIC-KEY.pem: what nginx's auth_request asks in tests/bench. It answers 204 when the request carries a good,
 * unexpired ES256 JWT as its bearer token, else 401, over kept connections on a Unix socket. One thread, the key read once: as fast
 * as such a helper can be, so that the comparison flatters nginx rather than Countersign. Nothing of the product is in it. */
#include <jansson.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_MAX = 16384, TOKEN_MAX = 4096, CONNECTIONS_MAX = 256 };

struct peer {
    int fd;
    size_t len;
    char head[HEAD_MAX + 1];
};

/* base64url without padding (RFC 4648 s5); the number of bytes, or -1. */
static int decode(const char *in, size_t len, unsigned char *out, size_t max)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    unsigned bits = 0, held = 0;
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        const char *d = in[i] ? strchr(digits, in[i]) : NULL;
        if (d == NULL)
            return -1;
        bits = bits << 6 | (unsigned)(d - digits);
        held += 6;
        if (held < 8)
            continue;
        if (n == max)
            return -1;
        held -= 8;
        out[n++] = (unsigned char)(bits >> held & 255);
    }
    return (int)n;
}

static bool signature_good(EVP_PKEY *key, const char *token, const char *dot, size_t sig_len)
{
    unsigned char raw[64], *der = NULL;
    bool good = false;
    if (decode(dot + 1, sig_len, raw, sizeof raw) != 64)
        return false;
    ECDSA_SIG *sig = ECDSA_SIG_new();
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    if (sig != NULL && md != NULL && ECDSA_SIG_set0(sig, BN_bin2bn(raw, 32, NULL), BN_bin2bn(raw + 32, 32, NULL)) == 1) {
        int der_len = i2d_ECDSA_SIG(sig, &der);
        good = der_len > 0 && EVP_DigestVerifyInit(md, NULL, EVP_sha256(), NULL, key) == 1
            && EVP_DigestVerify(md, der, (size_t)der_len, (const unsigned char *)token, (size_t)(dot - token)) == 1;
    }
    OPENSSL_free(der);
    EVP_MD_CTX_free(md);
    ECDSA_SIG_free(sig);
    return good;
}

static bool not_expired(const char *part, size_t len)
{
    unsigned char text[TOKEN_MAX];
    int n = decode(part, len, text, sizeof text);
    json_t *claims = n > 0 ? json_loadb((const char *)text, (size_t)n, JSON_REJECT_DUPLICATES, NULL) : NULL;
    bool good = json_integer_value(json_object_get(claims, "exp")) > time(NULL);
    json_decref(claims);
    return good;
}

static bool token_good(EVP_PKEY *key, const char *head)
{
    const char *field = strcasestr(head, "\r\nauthorization: bearer ");
    const char *token = field ? field + strlen("\r\nauthorization: bearer ") : NULL;
    size_t len = token ? strcspn(token, "\r\n ") : 0;
    const char *dot1 = len > 0 && len < TOKEN_MAX ? memchr(token, '.', len) : NULL;
    const char *dot2 = dot1 ? memchr(dot1 + 1, '.', len - (size_t)(dot1 + 1 - token)) : NULL;
    if (dot2 == NULL)
        return false;
    return signature_good(key, token, dot2, len - (size_t)(dot2 + 1 - token)) && not_expired(dot1 + 1, (size_t)(dot2 - dot1 - 1));
}

/* False when the connection is over. */
static bool serve(struct peer *p, EVP_PKEY *key)
{
    static const char yes[] = "HTTP/1.1 204 No Content\r\n\r\n", no[] = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";
    ssize_t n = read(p->fd, p->head + p->len, HEAD_MAX - p->len);
    if (n <= 0)
        return false;
    p->len += (size_t)n;
    p->head[p->len] = 0;
    for (char *end; (end = strstr(p->head, "\r\n\r\n")) != NULL;) {
        *end = 0;
        const char *answer = token_good(key, p->head) ? yes : no;
        if (write(p->fd, answer, strlen(answer)) < 0)
            return false;
        p->len -= (size_t)(end + 4 - p->head);
        memmove(p->head, end + 4, p->len + 1);
    }
    return p->len < HEAD_MAX;
}

static int listen_on(const char *path)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, CONNECTIONS_MAX) != 0) {
        perror("cs_authorizer: socket");
        exit(1);
    }
    return fd;
}

static void accept_one(int listener, int loop)
{
    struct peer *p = calloc(1, sizeof *p);
    if (p == NULL || (p->fd = accept(listener, NULL, NULL)) < 0) {
        free(p);
        return;
    }
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = p };
    epoll_ctl(loop, EPOLL_CTL_ADD, p->fd, &e);
}

int main(int argc, char **argv)
{
    FILE *f = argc == 3 ? fopen(argv[2], "r") : NULL;
    EVP_PKEY *key = f ? PEM_read_PUBKEY(f, NULL, NULL, NULL) : NULL;
    if (key == NULL) {
        fputs("usage: cs_authorizer SOCKET PUBLIC-KEY.pem\n", stderr);
        return 2;
    }
    fclose(f);
    signal(SIGPIPE, SIG_IGN);
    int listener = listen_on(argv[1]), loop = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event e = { .events = EPOLLIN }, ready[32];
    epoll_ctl(loop, EPOLL_CTL_ADD, listener, &e);
    for (;;) {
        int n = epoll_wait(loop, ready, 32, -1);
        for (int i = 0; i < n; i++) {
            struct peer *p = ready[i].data.ptr;
            if (p == NULL) {
                accept_one(listener, loop);
            } else if (!serve(p, key)) {
                close(p->fd);
                free(p);
            }
        }
    }
}
