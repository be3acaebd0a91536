/* The forms of what stands under `notices`. */
#include "config/forms.h"
#include "config/notice_events.h"
#include "proxy/base/sink.h"

#include <arpa/inet.h>
#include <stdio.h>

enum { URL_MAX = 2000 };

bool notice_kind_parse(const char *text, enum notice_kind *out)
{
    bool mail = strcmp(text, "mail") == 0;
    *out = mail ? NOTICE_MAIL : NOTICE_WEBHOOK;
    return mail || strcmp(text, "webhook") == 0;
}

bool notice_format_parse(const char *text, enum notice_format *out)
{
    bool slack = strcmp(text, "slack") == 0;
    *out = slack ? NOTICE_SLACK : NOTICE_JSON;
    return slack || strcmp(text, "json") == 0;
}

bool host_is_loopback(struct slice host)
{
    static const char local[] = ".localhost";
    char text[64];
    struct in_addr v4;
    struct in6_addr v6;
    size_t n = sizeof local - 1;
    if (slice_ieq(host, SLICE("localhost")) || (host.len > n && slice_ieq(slice_from(host, host.len - n), slice_str(local))))
        return true;
    if (host.len >= sizeof text)
        return false;
    memcpy(text, host.ptr, host.len);
    text[host.len] = 0;
    if (inet_pton(AF_INET, text, &v4) == 1)
        return (ntohl(v4.s_addr) >> 24) == 127;
    return inet_pton(AF_INET6, text, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

/* A name, an IPv4 address or a bracketed IPv6 address at the beginning of *at; *host_out is without brackets. */
static bool take_host(const char **at, struct slice *host_out)
{
    char name[256];
    struct in_addr v4;
    struct in6_addr v6;
    bool bracketed = **at == '[';
    const char *begin = *at + bracketed;
    size_t len = strcspn(begin, bracketed ? "]" : ":/?");
    if (len == 0 || len >= sizeof name)
        return false;
    memcpy(name, begin, len);
    name[len] = 0;
    *at = begin + len + bracketed;
    *host_out = slice_of(begin, len);
    return bracketed ? begin[len] == ']' && inet_pton(AF_INET6, name, &v6) == 1 : form_host.ok(name) || inet_pton(AF_INET, name, &v4) == 1;
}

/* [ ":" 1*5DIGIT ] */
static bool take_port(const char **at, bool required)
{
    unsigned port = 0;
    if (**at != ':')
        return !required;
    size_t digits = strspn(++*at, "0123456789");
    for (size_t i = 0; i < digits && i < 5; i++)
        port = port * 10 + (unsigned)((*at)[i] - '0');
    *at += digits;
    return digits >= 1 && digits <= 5 && port >= 1 && port <= 65535;
}

/* No user, no fragment, nothing that two parsers could read differently. */
static bool is_fetch_url(const char *t)
{
    struct slice host;
    bool https = strncmp(t, "https://", 8) == 0;
    if ((!https && strncmp(t, "http://", 7) != 0) || strlen(t) > URL_MAX)
        return false;
    t += https ? 8 : 7;
    if (!take_host(&t, &host) || !take_port(&t, false) || (*t != 0 && *t != '/'))
        return false;
    for (; *t != 0; t++)
        if (*t <= ' ' || *t > '~' || strchr("\"<>\\^`{}|#", *t) != NULL)
            return false;
    return https || host_is_loopback(host);
}

/* Where audit events go to: a place that the deciding process writes to by itself, or "tls:HOST:PORT", which the courier does. */
static bool is_syslog(const char *t)
{
    struct slice host;
    if (strncmp(t, "tls:", 4) != 0)
        return sink_syslog_form(t);
    t += 4;
    return take_host(&t, &host) && take_port(&t, true) && *t == 0;
}

static bool is_https_url(const char *t)
{
    return strncmp(t, "https://", 8) == 0 && is_fetch_url(t);
}

static bool is_mail_server(const char *t)
{
    struct slice host;
    if (strncmp(t, "smtps://", 8) == 0)
        t += 8;
    else if (strncmp(t, "smtp://", 7) == 0)
        t += 7;
    else
        return false;
    return take_host(&t, &host) && take_port(&t, true) && *t == 0;
}

/* local-part "@" host, the local part a dot-string (RFC 5321 s4.1.2): no quotes, no comments, no space, and so nothing that could end a header line. */
static bool is_mail_address(const char *t)
{
    static const char atom[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+/=?^_`{|}~-.";
    const char *at = strchr(t, '@');
    size_t n = strspn(t, atom);
    return at != NULL && n == (size_t)(at - t) && n >= 1 && n <= 64 && strlen(t) <= 254 && t[0] != '.' && t[0] != '-' && at[-1] != '.' && strstr(t, "..") == NULL &&
           form_host.ok(at + 1);
}

static bool is_notice_kind(const char *t)
{
    enum notice_kind k;
    return notice_kind_parse(t, &k);
}

static bool is_notice_format(const char *t)
{
    enum notice_format f;
    return notice_format_parse(t, &f);
}

static const char *why_event(const char *t)
{
    static _Thread_local char text[512];
    int n = snprintf(text, sizeof text, "is no event (there are");
    (void)t;
    for (const struct notice_event *e = notice_events; e->name != NULL && n > 0 && (size_t)n < sizeof text; e++)
        n += snprintf(text + n, sizeof text - (size_t)n, "%s %s", e == notice_events ? "" : ",", e->name);
    if (n > 0 && (size_t)n < sizeof text - 1)
        memcpy(text + n, ")", 2);
    return text;
}

const struct form form_notice_kind = { is_notice_kind, "\"webhook\" or \"mail\"", NULL },
    form_notice_format = { is_notice_format, "\"json\" or \"slack\"", NULL },
    form_notice_event = { notice_event_known, "the name of an event, such as \"access.requested\"", why_event },
    form_fetch_url = { is_fetch_url, "\"https://HOST/PATH\" with a lower case host, or http:// to this machine only (127.0.0.1, [::1], *.localhost); no user, no fragment", NULL },
    form_https_url = { is_https_url, "\"https://HOST/PATH\" with a lower case host; no user, no fragment", NULL },
    form_mail_server = { is_mail_server, "\"smtps://HOST:465\", or \"smtp://HOST:587\", where STARTTLS is then required", NULL },
    form_syslog = { is_syslog, "`local`, `unix:/PATH`, `udp:ADDRESS:PORT` or `tcp:ADDRESS:PORT` with a numeric address, or `tls:HOST:PORT`", NULL },
    form_mail_address = { is_mail_address, "a mail address: \"gateway@acme.example\"", NULL };
