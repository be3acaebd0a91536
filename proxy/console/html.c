#include "proxy/console/html.h"

#include "proxy/base/visible.h"

#include "proxy/base/clock.h"
#include "proxy/base/codec.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { HTML_MAX = 1 << 20 };

/* One style for all pages: system fonts and colours, light and dark, readable on a phone, visible focus. Its hash is in the policy, so no other style runs. */
#define STYLE                                                                                                 \
    ":root{color-scheme:light dark;--bg:#fbfaf7;--fg:#1c1b19;--soft:#5d5a54;--line:#dcd8cf;--edge:#86827a;"   \
    "--card:#fff;--go:#0b5c4a;--goink:#fff;--warn:#8a3b00;--mark:#fff3dc}"                                    \
    "@media(prefers-color-scheme:dark){:root{--bg:#151614;--fg:#ece9e2;--soft:#a8a49a;--line:#34352f;"        \
    "--edge:#7d7e76;--card:#1d1e1b;--go:#5fd0b1;--goink:#06241c;--warn:#ffb067;--mark:#33270f}}"              \
    "*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--fg);"                             \
    "font:16px/1.55 system-ui,sans-serif}"                                                                    \
    "main{max-width:46rem;margin:0 auto;padding:2rem 1rem 4rem}header{border-bottom:1px solid var(--line)}"   \
    ".bar{max-width:46rem;margin:0 auto;padding:.5rem 1rem;display:flex;flex-wrap:wrap;align-items:center;"   \
    "gap:.1rem 1.1rem}header a{color:inherit;text-decoration:none;padding:.3rem 0}"                           \
    "header a:hover,[aria-current]{text-decoration:underline;text-underline-offset:.35em}"                    \
    "[aria-current]{text-decoration-thickness:2px;text-decoration-color:var(--go)}.mark{font-weight:700;"     \
    "letter-spacing:.02em}nav{display:flex;flex-wrap:wrap;gap:0 1.1rem;font-size:.95rem}"                     \
    ".who{margin-left:auto;color:var(--soft);font-size:.95rem;overflow-wrap:anywhere}"                        \
    ".unseen{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}"  \
    "h1{font-size:1.6rem;line-height:1.25;margin:0 0 .6rem}h2{font-size:1.1rem;margin:2.2rem 0 .6rem}"        \
    "p{margin:.5rem 0;overflow-wrap:anywhere}.soft{color:var(--soft)}.warn{color:var(--warn);font-weight:600}"                       \
    ".card{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:1rem 1.1rem;"      \
    "margin:.8rem 0}"                                                                                         \
    ".next{background:var(--mark);border-radius:.6rem;padding:.8rem 1.1rem;margin:1rem 0}"                    \
    ".card>:first-child,.next>:first-child{margin-top:0}"                                                     \
    ".card>:last-child,.next>:last-child{margin-bottom:0}"                                                    \
    "code,pre{font:.88em/1.5 ui-monospace,monospace;overflow-wrap:anywhere}pre{white-space:pre-wrap;"         \
    "background:var(--card);color:var(--fg);border:1px solid var(--line);border-radius:.5rem;"                \
    "padding:.7rem .9rem;margin:.5rem 0}"                                                                     \
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1rem;margin:.6rem 0}"                   \
    "dt{color:var(--soft)}"                                                                                   \
    "dd{margin:0;overflow-wrap:anywhere}@media(max-width:32rem){dl{grid-template-columns:1fr;row-gap:0}"      \
    "dt{font-size:.9rem}dd{margin-bottom:.45rem}}"                                                            \
    "label{display:block;margin:.8rem 0 .2rem;font-weight:600}input,select,textarea{font:inherit;"            \
    "color:inherit;width:100%;padding:.5rem .6rem;border:1px solid var(--edge);border-radius:.45rem;"         \
    "background:var(--bg)}"                                                                                   \
    "button,.button{display:inline-block;font:inherit;font-weight:600;margin:.9rem .5rem 0 0;"                \
    "padding:.55rem 1.1rem;border:0;border-radius:.45rem;background:var(--go);color:var(--goink);"            \
    "cursor:pointer;text-decoration:none}"                                                                    \
    "a{color:var(--go)}.button{color:var(--goink)}:focus-visible{outline:3px solid var(--go);"                \
    "outline-offset:2px}"                                                                                     \
    "details{margin:2.2rem 0 0}summary{cursor:pointer;font-weight:600}"                                       \
    ".stop{background:var(--warn);color:var(--card)}.no{background:none;color:inherit;border:1px solid var(--edge)}"               \
    "button:disabled{opacity:.55;cursor:default}.fields{border-top:1px solid var(--line);padding-top:.6rem;"   \
    "grid-template-columns:minmax(0,14rem) minmax(0,1fr)}.fields dt{overflow-wrap:anywhere}"                  \
    "@media(max-width:32rem){.fields{grid-template-columns:1fr}}"                                             \
    "fieldset{border:1px solid var(--line);border-radius:.45rem;margin:.8rem 0 0;padding:.3rem .8rem .6rem}"   \
    "legend{font-weight:600}.tick{font-weight:400;margin:.2rem 0}input[type=checkbox]{width:auto;"            \
    "margin:0 .6rem 0 0}form details,.card details{margin:1rem 0 0}"                                          \
    ".fields dd{white-space:pre-wrap}"                                                                        \
    ".state{display:inline-block;padding:.05rem .5rem;border:1px solid var(--edge);border-radius:1rem;"       \
    "font-size:.85rem;white-space:nowrap}.good{border-color:var(--go);color:var(--go)}"                       \
    ".bad{border-color:var(--warn);color:var(--warn)}.live:empty{margin:0}.lead{font-size:1.05rem}"           \
    "@media(max-width:32rem){main{padding-top:1.2rem}.bar{gap:.1rem .9rem}nav{order:3;width:100%}}"

static bool make_room(struct html *h, size_t more)
{
    if (h->failed || h->len + more + 1 > HTML_MAX) {
        h->failed = true;
        return false;
    }
    if (h->len + more + 1 <= h->cap)
        return true;
    size_t cap = h->cap ? h->cap * 2 : 4096;
    while (cap < h->len + more + 1)
        cap *= 2;
    char *data = realloc(h->data, cap);
    if (data == NULL) {
        h->failed = true;
        return false;
    }
    h->data = data;
    h->cap = cap;
    return true;
}

static void put(struct html *h, const char *s, size_t len)
{
    if (!make_room(h, len))
        return;
    memcpy(h->data + h->len, s, len);
    h->len += len;
    h->data[h->len] = 0;
}

void html_raw(struct html *h, const char *literal)
{
    put(h, literal, strlen(literal));
}

static const char *entity(unsigned char c)
{
    return c == '&' ? "&amp;" : c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '"' ? "&quot;" : c == '\'' ? "&#39;"
           : c < 0x20 && c != '\n' && c != '\t' ? "\xef\xbf\xbd" : NULL;
}

void html_text(struct html *h, struct slice text)
{
    char unit[VISIBLE_UNIT_MAX];
    while (text.len > 0) {
        unsigned char c = text.ptr[0];
        const char *as = entity(c);
        size_t used = 1;
        if (as == NULL && c >= 0x7f) {   /* not ASCII, or DEL */
            used = visible_unit(text, unit);
            as = unit;
        }
        put(h, as ? as : (const char *)text.ptr, as ? strlen(as) : 1);
        text = slice_from(text, used);
    }
}

void html_exact(struct html *h, const char *text)
{
    for (; *text != 0; text++)
        put(h, entity((unsigned char)*text) ? entity((unsigned char)*text) : text, entity((unsigned char)*text) ? strlen(entity((unsigned char)*text)) : 1);
}

void html_number(struct html *h, long long n)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", n);
    html_raw(h, text);
}

void html_element(struct html *h, const char *name, const char *cls, const char *text)
{
    html_raw(h, "<");
    html_raw(h, name);
    if (cls != NULL) {
        html_raw(h, " class=\"");
        html_raw(h, cls);
        html_raw(h, "\"");
    }
    html_raw(h, ">");
    html_str(h, text);
    html_raw(h, "</");
    html_raw(h, name);
    html_raw(h, ">\n");
}

void html_prose(struct html *h, const char *text)
{
    bool in_code = false;
    const char *tick;
    while ((tick = strchr(text, '`')) != NULL) {
        html_text(h, slice_of(text, (size_t)(tick - text)));
        html_raw(h, in_code ? "</code>" : "<code>");
        in_code = !in_code;
        text = tick + 1;
    }
    html_str(h, text);
    if (in_code)
        html_raw(h, "</code>");
}

void html_sentence(struct html *h, const char *text)
{
    size_t len = strlen(text);
    char first[2] = { text[0] >= 'a' && text[0] <= 'z' ? (char)(text[0] - 'a' + 'A') : 0, 0 };
    html_raw(h, first);
    html_prose(h, first[0] ? text + 1 : text);
    if (len > 0 && strchr(".!?:)", text[len - 1]) == NULL)
        html_raw(h, ".");
}

void html_time(struct html *h, long long wall_s)
{
    char at[CLOCK_TEXT_MAX];
    clock_rfc3339(wall_s * 1000, at);
    html_raw(h, "<time datetime=\"");
    html_str(h, at);
    at[10] = ' ';
    memcpy(at + 19, " UTC", 5);
    html_raw(h, "\">");
    html_str(h, at);
    html_raw(h, "</time>");
}

static void put_links(struct html *h, const char *home)
{
    static const struct { const char *path, *words; bool looks; } links[] = {
        { "/", "Your access", false }, { "/keys", "Keys", false }, { "/delegates", "Delegates", false }, { "/sessions", "Live sessions", true }, { "/locks", "Locks", true },
    };
    html_raw(h, "<nav aria-label=\"Console\">");
    for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
        if (links[i].looks && !h->looks)
            continue;
        html_raw(h, "<a href=\"");
        html_str(h, home);
        html_raw(h, links[i].path);
        html_raw(h, home[0] == 0 && slice_eq(h->here, slice_str(links[i].path)) ? "\" aria-current=\"page\">" : "\">");
        html_raw(h, links[i].words);
        html_raw(h, "</a>");
    }
    html_raw(h, "</nav><span class=\"who\"><span class=\"unseen\">You are </span>");
    html_str(h, h->who);
    html_raw(h, "</span>");
}

void html_begin(struct html *h, const char *title, const char *home)
{
    html_raw(h, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>");
    html_str(h, title);
    html_raw(h, " · Countersign</title>\n<style>" STYLE "</style>\n</head>\n<body>\n<header><div class=\"bar\"><a class=\"mark\" href=\"");
    html_str(h, home);
    html_raw(h, "/\">Countersign</a>");
    if (h->who != NULL)
        put_links(h, home);
    html_raw(h, "</div></header>\n<main>\n");
    html_element(h, "h1", NULL, title);
}

void html_end(struct html *h)
{
    html_raw(h, h->scripted ? "</main>\n<script src=\"/static/page.js\" defer></script>\n</body>\n</html>\n" : "</main>\n</body>\n</html>\n");
}

void html_end_signing(struct html *h)
{
    html_raw(h, "</main>\n<script src=\"/static/sign.js\" defer></script>\n");
    if (h->scripted)
        html_raw(h, "<script src=\"/static/page.js\" defer></script>\n");
    html_raw(h, "</body>\n</html>\n");
}

void html_done(struct html *h)
{
    free(h->data);
    *h = (struct html){ 0 };
}

static char csp[256], console_csp[512];
static pthread_once_t csp_once = PTHREAD_ONCE_INIT;

static void make_csp(void)
{
    unsigned char digest[32];
    char base64[48];
    sha256_one(SLICE(STYLE), digest);
    EVP_EncodeBlock((unsigned char *)base64, digest, sizeof digest);
    snprintf(csp, sizeof csp,
             "default-src 'none'; style-src 'sha256-%s'; form-action https:; frame-ancestors 'none'; base-uri 'none'", base64);
    snprintf(console_csp, sizeof console_csp, "%s; script-src 'self'; connect-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'",
             csp);
}

const char *html_csp(bool console)
{
    pthread_once(&csp_once, make_csp);
    return console ? console_csp : csp;
}
