#include "proxy/dom/csp.h"

#include "proxy/http/syntax.h"


enum { NONCES_MAX = 16, NONCE_LEN_MAX = 256 };

static bool is_space(unsigned char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

/* The next word of a directive. */
static bool word_next(struct slice *rest, struct slice *word)
{
    size_t n = 0;
    while (rest->len > 0 && is_space(rest->ptr[0]))
        *rest = slice_from(*rest, 1);
    while (n < rest->len && !is_space(rest->ptr[n]))
        n++;
    *word = slice_of(rest->ptr, n);
    *rest = slice_from(*rest, n);
    return n > 0;
}

/* What stands before the next `mark`, or before the end. False: nothing is left. */
static bool part_next(struct slice *rest, unsigned char mark, struct slice *part)
{
    if (rest->ptr == NULL)
        return false;
    size_t n = slice_find(*rest, mark);
    *part = slice_of(rest->ptr, n);
    *rest = n < rest->len ? slice_from(*rest, n + 1) : (struct slice){ 0 };
    return true;
}

/* The first directive of that name counts (CSP3 s2.2.1). */
static bool directive(struct slice policy, const char *name, struct slice *value)
{
    struct slice part, word;
    while (part_next(&policy, ';', &part))
        if (word_next(&part, &word) && slice_ieq(word, slice_str(name))) {
            *value = part;
            return true;
        }
    return false;
}

/* The first of these that is there (CSP3 s6.8.3); false: nothing is said, so everything is allowed. */
static bool sources(struct slice policy, const char *const *names, struct slice *value)
{
    for (; *names != NULL; names++)
        if (directive(policy, *names, value))
            return true;
    return false;
}

static const char *const of_scripts[] = { "script-src-elem", "script-src", "default-src", NULL };
static const char *const of_connections[] = { "connect-src", "default-src", NULL };

static bool nonce_of(struct slice word, struct slice *nonce)
{
    const struct slice lead = SLICE("'nonce-");
    if (word.len <= lead.len + 1 || !slice_ieq(slice_of(word.ptr, lead.len), lead) || word.ptr[word.len - 1] != '\'')
        return false;
    *nonce = slice_of(word.ptr + lead.len, word.len - lead.len - 1);
    if (nonce->len > NONCE_LEN_MAX)
        return false;
    for (size_t i = 0; i < nonce->len; i++) {
        unsigned char c = nonce->ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && memchr("+/_=-", c, 5) == NULL)
            return false;
    }
    return true;
}

static bool ends_with(struct slice s, struct slice end)
{
    return s.len > end.len && slice_ieq(slice_from(s, s.len - end.len), end);
}

/* host-part (CSP3 s6.7.2.10): exact, or "*.example.com" for what ends so, or "*". */
static bool host_fits(struct slice pattern, struct slice host)
{
    if (slice_eq(pattern, SLICE("*")))
        return true;
    if (slice_starts(pattern, SLICE("*.")))
        return ends_with(host, slice_from(pattern, 1));
    return slice_ieq(pattern, host);
}

static bool port_fits(struct slice pattern, unsigned port)
{
    unsigned value = 0;
    if (slice_eq(pattern, SLICE("*")))
        return true;
    if (pattern.len == 0 || pattern.len > 5)
        return false;
    for (size_t i = 0; i < pattern.len; i++) {
        if (pattern.ptr[i] < '0' || pattern.ptr[i] > '9')
            return false;
        value = value * 10 + (unsigned)(pattern.ptr[i] - '0');
    }
    return value == port;
}

static bool path_fits(struct slice pattern, struct slice path)
{
    if (pattern.len == 0 || slice_eq(pattern, SLICE("/")))
        return true;
    return pattern.ptr[pattern.len - 1] == '/' ? slice_starts(path, pattern) : slice_eq(path, pattern);
}

/* host-source = [ scheme "://" ] host [ ":" port ] [ path ]. A scheme of http means https as well (s6.7.2.9). */
static bool host_source_fits(struct slice word, const struct csp_place *p, struct slice path)
{
    const struct slice https = SLICE("https://"), http = SLICE("http://");
    if (word.len > https.len && slice_ieq(slice_of(word.ptr, https.len), https))
        word = slice_from(word, https.len);
    else if (word.len > http.len && slice_ieq(slice_of(word.ptr, http.len), http))
        word = slice_from(word, http.len);
    size_t slash = slice_find(word, '/');
    struct slice host = slice_of(word.ptr, slash), rest = slice_from(word, slash);
    size_t colon = slice_find(host, ':');
    bool port_good = colon == host.len ? p->port == 443 : port_fits(slice_from(host, colon + 1), p->port);
    host.len = colon;
    return host.len > 0 && port_good && host_fits(host, p->host) && path_fits(rest, path);
}

/* A source expression that is no nonce and no hash, against our own origin. */
static bool source_fits(struct slice word, const struct csp_place *p, struct slice path)
{
    if (word.ptr[0] == '\'')
        return slice_ieq(word, SLICE("'self'"));
    if (slice_eq(word, SLICE("*")) || slice_ieq(word, SLICE("https:")) || slice_ieq(word, SLICE("http:")))
        return true;
    return host_source_fits(word, p, path);
}

static bool script_runs(struct slice policy, const struct csp_place *p, struct slice nonce)
{
    struct slice list, word, theirs;
    bool strict = false, fits = false;
    if (!sources(policy, of_scripts, &list))
        return true;
    while (word_next(&list, &word)) {
        if (nonce_of(word, &theirs)) {
            if (nonce.len > 0 && slice_eq(theirs, nonce))
                return true;
        } else if (slice_ieq(word, SLICE("'strict-dynamic'"))) {
            strict = true;            /* then only nonces and hashes count for a script that stands in the document */
        } else if (source_fits(word, p, p->script)) {
            fits = true;
        }
    }
    return fits && !strict;
}

static bool events_go(struct slice policy, const struct csp_place *p)
{
    struct slice list, word;
    if (!sources(policy, of_connections, &list))
        return true;
    while (word_next(&list, &word))
        if (source_fits(word, p, p->events))
            return true;
    return false;
}

/* A sandboxed document runs no script, or has an origin that is nobody's. */
static bool sandbox_lets(struct slice policy)
{
    struct slice list, word;
    bool scripts = false, origin = false;
    if (!directive(policy, "sandbox", &list))
        return true;
    while (word_next(&list, &word)) {
        scripts |= slice_ieq(word, SLICE("allow-scripts"));
        origin |= slice_ieq(word, SLICE("allow-same-origin"));
    }
    return scripts && origin;
}

static const char *policy_refuses(struct slice policy, const struct csp_place *p, struct slice nonce)
{
    if (!sandbox_lets(policy))
        return "its Content-Security-Policy puts it into a sandbox in which the recorder could not work";
    if (!script_runs(policy, p, nonce))
        return "its Content-Security-Policy does not let the recorder's script run, and is not widened for it";
    if (!events_go(policy, p))
        return "its Content-Security-Policy does not let the recorder send what it records, and is not widened for it";
    return NULL;
}

/* Every policy of every field of that name. */
static const char *fields_refuse(const struct fields *f, struct slice name, const struct csp_place *p, struct slice nonce)
{
    for (size_t i = 0; i < f->count; i++) {
        struct slice rest = f->v[i].value, policy;
        if (!slice_eq(f->v[i].name, name))
            continue;
        while (part_next(&rest, ',', &policy)) {
            const char *why = policy_refuses(policy, p, nonce);
            if (why != NULL)
                return why;
        }
    }
    return NULL;
}

static const struct slice enforced = SLICE_INIT("content-security-policy"), reported = SLICE_INIT("content-security-policy-report-only");

static bool is_policy(const struct field *f)
{
    return slice_eq(f->name, enforced) || slice_eq(f->name, reported);
}

/* The nonces that any policy takes; the first is none at all. */
static size_t candidates(const struct fields *f, struct slice out[NONCES_MAX])
{
    size_t n = 1;
    out[0] = (struct slice){ 0 };
    for (size_t i = 0; i < f->count; i++) {
        struct slice rest = f->v[i].value, policy, list, word, nonce;
        while (is_policy(&f->v[i]) && part_next(&rest, ',', &policy)) {
            if (!sources(policy, of_scripts, &list))
                continue;
            while (n < NONCES_MAX && word_next(&list, &word))
                if (nonce_of(word, &nonce))
                    out[n++] = nonce;
        }
    }
    return n;
}

const char *csp_refuses(const struct fields *response, const struct csp_place *place, struct csp_pass *out)
{
    struct slice nonces[NONCES_MAX];
    size_t count = candidates(response, nonces);
    const struct csp_pass *found = NULL;
    struct csp_pass pass;
    const char *first = NULL;
    for (size_t i = 0; i < count; i++) {
        const char *why = fields_refuse(response, enforced, place, nonces[i]);
        if (i == 0)
            first = why;
        if (why != NULL)
            continue;
        bool told = fields_refuse(response, reported, place, nonces[i]) != NULL;
        if (found == NULL || !told) {
            pass = (struct csp_pass){ nonces[i], told };
            found = &pass;
        }
        if (!told)
            break;
    }
    if (found == NULL)
        return first;
    *out = pass;
    return NULL;
}
