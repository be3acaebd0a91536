#include "proxy/courier/notice_make.h"

#include "proxy/base/clock.h"
#include "proxy/base/codec.h"
#include "proxy/base/file.h"
#include "proxy/courier/notice_words.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *text(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}

/* ---- webhooks ---- */

char *notice_body(enum notice_format format, const json_t *facts)
{
    char *words = format == NOTICE_SLACK ? notice_slack(facts) : notice_sentence(facts);
    json_t *body = words == NULL ? NULL : format == NOTICE_SLACK ? json_object() : json_copy((json_t *)(uintptr_t)facts);
    char *out = NULL;
    if (body != NULL && json_object_set_new(body, "text", json_string(words)) == 0)
        out = json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(body);
    free(words);
    return out;
}

enum status notice_sign(struct slice secret, struct slice body, int64_t now_s, char out[SIGNATURE_TEXT_MAX], struct err *err)
{
    char time_text[32], hex[HEX_LEN(32) + 1];
    unsigned char mac[32];
    size_t len = 0;
    int n = snprintf(time_text, sizeof time_text, "%lld.", (long long)now_s);
    unsigned char *all = malloc((size_t)n + body.len + 1);
    if (all == NULL)
        return fail(err, NO_MEMORY, "signature");
    memcpy(all, time_text, (size_t)n);
    memcpy(all + n, body.ptr, body.len);
    bool good = EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, secret.ptr, secret.len, all, (size_t)n + body.len, mac, sizeof mac, &len) != NULL && len == sizeof mac;
    free(all);
    if (!good)
        return fail(err, IO_FAILED, "HMAC: %s", ossl_reason());
    hex_encode(slice_of(mac, sizeof mac), hex);
    snprintf(out, SIGNATURE_TEXT_MAX, "t=%lld,v1=%s", (long long)now_s, hex);
    return OK;
}

enum status notice_secret(const char *path, size_t min_len, unsigned char **out, size_t *len_out, struct err *err)
{
    unsigned char *text_read = NULL;
    size_t len = 0;
    enum status st = file_read(path, SECRET_MAX + 2, true, &text_read, &len, err);
    if (st != OK)
        return st;
    while (len > 0 && (text_read[len - 1] == '\n' || text_read[len - 1] == '\r'))
        text_read[--len] = 0;
    if (len < min_len || len > SECRET_MAX || memchr(text_read, 0, len) != NULL) {
        OPENSSL_cleanse(text_read, len);
        free(text_read);
        return fail(err, BAD_INPUT, "'%s' holds %zu bytes; expected %zu to %d, on one line", path, len, min_len, SECRET_MAX);
    }
    *out = text_read;
    *len_out = len;
    return OK;
}

/* ---- mail ---- */

static void add(const char **list, size_t *count, const char *address)
{
    bool known = address == NULL || *count == RECIPIENTS_MAX;
    for (size_t i = 0; i < *count && !known; i++)
        known = strcmp(list[i], address) == 0;
    if (!known)
        list[(*count)++] = address;
}

static bool named_in(const json_t *names, const char *name)
{
    size_t i;
    json_t *v;
    json_array_foreach(names, i, v)
        if (json_string_value(v) != NULL && strcmp(json_string_value(v), name) == 0)
            return true;
    return false;
}

const char **notice_recipients(const struct config *c, const struct notice_target *t, const json_t *facts)
{
    const char **list = calloc(RECIPIENTS_MAX + 1, sizeof *list);
    size_t n = 0;
    for (size_t i = 0; list != NULL && i < t->to_count; i++)
        add(list, &n, t->to[i]);
    for (size_t i = 0; list != NULL && i < c->person_count; i++) {
        const struct person *p = &c->people[i];
        if (person_in_any(p, t->to_groups, t->to_group_count) || (t->to_concerned && named_in(json_object_get(facts, "for"), p->name)))
            add(list, &n, person_mail(p));
    }
    return list;
}

/* The date of RFC 5322 s3.3, in UTC; the names are the standard's, whatever the locale. */
static void put_date(FILE *f, int64_t now_s)
{
    char http[CLOCK_TEXT_MAX];
    clock_http_date(now_s * 1000, http);   /* "Mon, 23 Nov 2026 17:20:57 GMT" */
    fprintf(f, "Date: %.25s +0000\r\n", http);
}

/* Header fields are made of what the config's forms let through, and of our own words: an address cannot hold a line's end, nor can a name of a person, tool or group. Whatever is not
 * printable ASCII does not get into one all the same. */
static void put_field(FILE *f, const char *name, const char *value)
{
    fprintf(f, "%s: ", name);
    for (const unsigned char *s = (const unsigned char *)value; *s != 0; s++)
        fputc(*s >= 0x20 && *s < 0x7f ? *s : '?', f);
    fputs("\r\n", f);
}

static void put_to(FILE *f, const char *const *to)
{
    if (to[0] == NULL || to[1] != NULL) {   /* several: they need not learn of each other, and a line need not grow without end */
        put_field(f, "To", "undisclosed-recipients:;");
        return;
    }
    put_field(f, "To", to[0]);
}

/* base64 in lines of 76: no line of ours can end the message, or be too long, whatever it holds. */
static bool put_content(FILE *f, const char *content)
{
    size_t len = strlen(content);
    char line[80];
    for (size_t at = 0; at < len; at += 57) {
        int n = EVP_EncodeBlock((unsigned char *)line, (const unsigned char *)content + at, (int)(len - at < 57 ? len - at : 57));
        fprintf(f, "%.*s\r\n", n, line);
    }
    return ferror(f) == 0;
}

static char *content_of(const json_t *facts)
{
    char *sentence = notice_sentence(facts), *out = NULL;
    int n = sentence ? asprintf(&out, "%s.\r\n\r\nLook at it in the console:\r\n%s\r\n\r\n-- \r\nCountersign, %s. This message decides nothing, and no answer to it is read.\r\n", sentence,
                                text(facts, "link"), text(facts, "instance")) : -1;
    free(sentence);
    return n < 0 ? NULL : out;
}

char *notice_mail(const struct notice_target *t, const char *const *to, const json_t *facts, const char *id, int64_t now_s)
{
    char *out = NULL, *title = notice_title(facts), *content = content_of(facts), subject[400], message_id[200];
    size_t len = 0;
    FILE *f = title && content ? open_memstream(&out, &len) : NULL;
    bool good = f != NULL;
    if (good) {
        snprintf(subject, sizeof subject, "[Countersign] %.200s", title);
        snprintf(message_id, sizeof message_id, "<%.40s@%.100s>", id, text(facts, "instance"));
        put_date(f, now_s);
        put_field(f, "From", t->from);
        put_to(f, to);
        put_field(f, "Message-ID", message_id);
        put_field(f, "Subject", subject);
        fputs("MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\nAuto-Submitted: auto-generated\r\n\r\n", f);
        good = put_content(f, content);
        good = fclose(f) == 0 && good;
    }
    if (!good) {
        free(out);
        out = NULL;
    }
    free(title);
    free(content);
    return out;
}
