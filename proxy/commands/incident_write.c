/* The report as text, CSV, HTML and JSON. What people and tools wrote is escaped for each. */
#include "proxy/commands/incident.h"

#include "proxy/commands/term.h"
#include "proxy/commands/words.h"

#include <stdlib.h>

static const char *const columns[] = { "time", "kind", "session", "tool", "person", "identity", "action", "touched", "method", "target", "status", "count", "last",
                                       "request_bytes", "response_bytes", "sha256", "by", "exchange", "record", "segment", "leaf", "node", "text" };
enum { COLUMNS = sizeof columns / sizeof *columns };

/* One member as text; malloc'd. */
static char *cell(const json_t *line, const char *name)
{
    char time[WORDS_MAX], *out = NULL;
    const json_t *v = json_object_get(line, name);
    if (strcmp(name, "time") == 0)
        return strdup(words_time(json_number(line, "time_ms") / 1000, time));
    if (strcmp(name, "last") == 0)
        return strdup(json_object_get(line, "last_ms") ? words_time(json_number(line, "last_ms") / 1000, time) : "");
    if (json_is_string(v))
        return strdup(json_string_value(v));
    if (json_is_integer(v))
        return asprintf(&out, "%lld", (long long)json_integer_value(v)) < 0 ? NULL : out;
    size_t k, len = 0;
    json_t *one;
    FILE *f = json_is_array(v) ? open_memstream(&out, &len) : NULL;
    if (f == NULL)
        return strdup("");
    json_array_foreach(v, k, one)
        fprintf(f, "%s%s", k ? ", " : "", json_string_value(one) ? json_string_value(one) : "");
    fclose(f);
    return out;
}

static void each_cell(FILE *out, const struct incident *i, void (*put)(FILE *, const char *), const char *before, const char *between, const char *after)
{
    size_t k;
    json_t *line;
    json_array_foreach(i->lines, k, line) {
        fputs(before, out);
        for (size_t c = 0; c < COLUMNS; c++) {
            char *text = cell(line, columns[c]);
            fputs(c ? between : "", out);
            put(out, text ? text : "");
            free(text);
        }
        fputs(after, out);
    }
}

/* ---- JSON ---- */

json_t *incident_json(const struct incident *i)
{
    return json_pack("{s:s, s:I, s:I, s:{s:i, s:i, s:I, s:I, s:I, s:I, s:O, s:O, s:O, s:O, s:I}, s:s*, s:O*, s:O}", "identity", i->who, "from_ms", (json_int_t)i->from_ms, "to_ms",
                     (json_int_t)i->to_ms, "summary", "sessions", (int)i->sessions, "not_opened", (int)i->sealed, "exchanges", (json_int_t)i->exchanges,
                     "response_bytes", (json_int_t)i->bytes, "exports", (json_int_t)i->exports, "refusals", (json_int_t)i->refusals, "tools", i->tools,
                     "actions", i->actions, "customers", i->touched, "secrets", i->secrets, "secrets_removed", (json_int_t)i->removed, "erased", i->erased[0] ? i->erased : NULL, "nodes", i->nodes, "lines", i->lines);
}

/* ---- CSV (RFC 4180) ---- */

/* A cell that a spreadsheet would take for a formula begins with an apostrophe. */
static void put_csv(FILE *out, const char *text)
{
    fputc('"', out);
    if (text[0] != 0 && strchr("=+-@\t\r", text[0]) != NULL)
        fputc('\'', out);
    for (; *text != 0; text++) {
        if (*text == '"')
            fputc('"', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

void incident_csv(FILE *out, const struct incident *i)
{
    for (size_t c = 0; c < COLUMNS; c++)
        fprintf(out, "%s%s", c ? "," : "", columns[c]);
    fputs("\r\n", out);
    each_cell(out, i, put_csv, "", ",", "\r\n");
}

/* ---- HTML ---- */

static void put_html(FILE *out, const char *text)
{
    for (; *text != 0; text++) {
        const char *coded = *text == '<' ? "&lt;" : *text == '>' ? "&gt;" : *text == '&' ? "&amp;" : *text == '"' ? "&quot;" : *text == '\'' ? "&#39;" : NULL;
        if (coded != NULL)
            fputs(coded, out);
        else
            fputc((unsigned char)*text < ' ' && *text != '\n' && *text != '\t' ? '?' : *text, out);
    }
}

static void put_counts(FILE *out, const char *title, const json_t *names)
{
    const char *name;
    json_t *n;
    fprintf(out, "<dt>%s</dt><dd>", title);
    bool first = true;
    json_object_foreach((json_t *)(uintptr_t)names, name, n) {
        fputs(first ? "" : ", ", out);
        put_html(out, name);
        fprintf(out, " %lld", (long long)json_integer_value(n));
        first = false;
    }
    fputs("</dd>\n", out);
}

static void html_nodes(FILE *out, const struct incident *i)
{
    size_t k, m;
    json_t *session, *node;
    json_array_foreach(i->nodes, k, session)
        json_array_foreach(json_array_member(session, "nodes"), m, node) {
            fputs("<dt>Recorded by ", out);
            put_html(out, json_text(node, "node"));
            fputs(", session ", out);
            put_html(out, json_text(session, "session"));
            fputs("</dt><dd>", out);
            put_html(out, json_text(node, "text"));
            fputs("</dd>\n", out);
        }
}

/* A file of its own: no script, nothing is fetched. */
void incident_html(FILE *out, const struct incident *i)
{
    char from[WORDS_MAX], to[WORDS_MAX], bytes[WORDS_MAX];
    fputs("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<title>Incident report: ", out);
    put_html(out, i->who);
    fputs("</title>\n<style>:root{color-scheme:light dark}body{font:14px/1.4 system-ui,sans-serif;margin:2em}h1{overflow-wrap:anywhere}table{border-collapse:collapse}td,th{border:1px solid #888;"
          "padding:.2em .5em;text-align:left;vertical-align:top;max-width:28em;overflow-wrap:anywhere}dt{font-weight:bold}dd{overflow-wrap:anywhere}.wide{overflow-x:auto}:focus-visible{outline:3px solid}"
          "@media(max-width:40em){body{margin:1em}}@media print{body{font-size:9px}.wide{overflow:visible}}</style></head><body>\n<main>\n<h1>What ", out);
    put_html(out, i->who);
    fprintf(out, " did</h1>\n<p>From %s to %s.</p>\n<dl><dt>Sessions</dt><dd>%u", words_time(i->from_ms / 1000, from), words_time(i->to_ms / 1000, to), i->sessions);
    if (i->sealed > 0)
        fprintf(out, ", of which %u could not be opened with this key: of those only what the log says is here", i->sealed);
    if (i->erased[0] != 0)
        fprintf(out, "</dd><dt>Erased</dt><dd>%s", i->erased);
    fprintf(out, "</dd><dt>Exchanges</dt><dd>%llu, %s received</dd>\n<dt>Signed-off requests that ran</dt><dd>%llu</dd><dt>Refusals</dt><dd>%llu</dd>\n",
            (unsigned long long)i->exchanges, words_bytes(i->bytes, bytes), (unsigned long long)i->exports, (unsigned long long)i->refusals);
    put_counts(out, "Tools", i->tools);
    put_counts(out, "Actions", i->actions);
    put_counts(out, "Customers touched (how often)", i->touched);
    put_counts(out, "Secrets in answers, by fingerprint; removed: without one", i->secrets);
    html_nodes(out, i);
    fputs("</dl>\n<div class=\"wide\" role=\"region\" aria-label=\"Line by line\" tabindex=\"0\"><table><tr>", out);
    for (size_t c = 0; c < COLUMNS; c++)
        fprintf(out, "<th scope=\"col\">%s</th>", columns[c]);
    fputs("</tr>\n", out);
    each_cell(out, i, put_html, "<tr><td>", "</td><td>", "</td></tr>\n");
    fputs("</table></div>\n<p>Each line names its proof: session, exchange and record of the recording, the segment that holds it, and the leaf of the log that holds the segment's digest. "
          "<code>countersign verify SESSION</code> checks a session and all of its leaves.</p>\n</main>\n</body></html>\n", out);
}

/* ---- text ---- */

static void put_part(FILE *out, const json_t *line, const char *before, const char *name, const char *after)
{
    char *text = cell(line, name);
    if (text != NULL && text[0] != 0 && strcmp(text, "0") != 0) {
        fputs(before, out);
        term_str(out, text);
        fputs(after, out);
    }
    free(text);
}

static void put_line(FILE *out, const json_t *line)
{
    char *time = cell(line, "time"), *kind = cell(line, "kind");
    fprintf(out, "%s  %-8s", time ? time : "", kind ? kind : "");
    free(time);
    free(kind);
    put_part(out, line, "  ", "tool", "");
    put_part(out, line, "  ", "action", "");
    put_part(out, line, "  ", "touched", "");
    put_part(out, line, " x ", "count", "");
    put_part(out, line, " until ", "last", "");
    put_part(out, line, "  ", "method", "");
    put_part(out, line, " ", "target", "");
    put_part(out, line, "  ", "status", "");
    put_part(out, line, "  ", "response_bytes", " bytes");
    put_part(out, line, "  ", "text", "");
    put_part(out, line, "  yes of ", "by", "");
    put_part(out, line, "\n      sha256 ", "sha256", "");
    put_part(out, line, "\n      proof: session ", "session", "");
    put_part(out, line, ", exchange ", "exchange", "");
    put_part(out, line, ", segment ", "segment", "");
    put_part(out, line, ", log leaf ", "leaf", "");
    put_part(out, line, " of ", "node", "");
    put_part(out, line, ", record ", json_object_get(line, "node") != NULL ? "record" : "", "");
    fputc('\n', out);
}

static const char *s(unsigned long long count)
{
    return count == 1 ? "" : "s";
}

/* What the question after an incident is: whom does it concern? */
static void put_touched(FILE *out, const struct incident *i)
{
    const char *name;
    json_t *n;
    size_t customers = json_object_size(i->touched), secrets = json_object_size(i->secrets) - (json_object_get(i->secrets, "removed") != NULL);
    if (customers > 0)
        fprintf(out, "Customers touched: %zu, as the policy counts them:", customers);
    json_object_foreach(i->touched, name, n) {
        fputs("  ", out);
        term_str(out, name);
        fprintf(out, " (%lld)", (long long)json_integer_value(n));
    }
    fputs(customers > 0 ? "\n" : "", out);
    if (secrets > 0 || i->removed > 0)
        fprintf(out, "Secrets seen: %zu by fingerprint, and %llu values taken out of bodies\n", secrets, (unsigned long long)i->removed);
    if (i->unindexed > 0)
        fprintf(out, "%zu segments were read themselves, since no index covers them (yet).\n", i->unindexed);
}

/* Each session's nodes, where they were several, and what is known of their clocks. */
static void put_nodes(FILE *out, const struct incident *i)
{
    size_t k, m;
    json_t *session, *node;
    json_array_foreach(i->nodes, k, session)
        json_array_foreach(json_array_member(session, "nodes"), m, node) {
            fputs("Session ", out);
            term_str(out, json_text(session, "session"));
            fputs(", recorded by ", out);
            term_str(out, json_text(node, "node"));
            fputs(": ", out);
            term_str(out, json_text(node, "text"));
            fputc('\n', out);
        }
    if (json_array_size(i->nodes) > 0)
        fputs("Times are those of each node's own clock. Locks that hold now are not in these folders: the gateway tells them.\n", out);
}

void incident_text(FILE *out, const struct incident *i)
{
    char from[WORDS_MAX], to[WORDS_MAX], bytes[WORDS_MAX];
    size_t k;
    json_t *line;
    fputs("What ", out);
    term_str(out, i->who);
    fprintf(out, " did, from %s to %s:\n%u session%s, %llu exchange%s, %s received, %llu signed-off request%s that ran, %llu refusal%s\n", words_time(i->from_ms / 1000, from),
            words_time(i->to_ms / 1000, to), i->sessions, s(i->sessions), (unsigned long long)i->exchanges, s(i->exchanges), words_bytes(i->bytes, bytes),
            (unsigned long long)i->exports, s(i->exports), (unsigned long long)i->refusals, s(i->refusals));
    if (i->sealed > 0)
        fprintf(out, "%u session%s could not be opened: of %s only what the log says is here. Next: --auditor-key FILE\n", i->sealed, s(i->sealed),
                i->sealed == 1 ? "it" : "those");
    if (i->erased[0] != 0)
        fprintf(out, "%s\n", i->erased);
    put_touched(out, i);
    put_nodes(out, i);
    fputc('\n', out);
    json_array_foreach(i->lines, k, line)
        put_line(out, line);
    if (i->sessions > 0)
        fputs("\nNext: countersign verify SESSION checks the proofs of a session; countersign show SESSION --exchange N shows one exchange.\n", out);
}
