/* multipart/form-data (RFC 7578, RFC 2046 s5.1.1), strictly:
 *
 *   body      = delimiter CRLF *( part CRLF delimiter CRLF ) part CRLF delimiter "--" [ CRLF ]
 *   delimiter = "--" boundary *( SP / HTAB )
 *   part      = *( field CRLF ) CRLF *OCTET
 *
 * Preamble and epilogue must be empty; a line that starts with the delimiter after anything but CRLF, or goes on after it, ends the reading: that is where parsers differ. */
#include "proxy/record/redact_body.h"

enum { M_START, M_HEAD, M_VALUE, M_TAIL, M_END };
enum { LINE_CRLF, LINE_BARE };                       /* how the line before ended */
enum { TAIL_NONE, TAIL_DASH, TAIL_SPACE, TAIL_CR };

/* The part's name, from its head: false if there isn't exactly one that every parser would find. */
static bool param_name(struct slice params, struct slice *out)
{
    bool found = false;
    while (params.len > 0) {
        size_t i = 0, eq, start;
        while (i < params.len && (params.ptr[i] == ';' || params.ptr[i] == ' ' || params.ptr[i] == '\t'))
            i++;
        params = slice_from(params, i);
        eq = slice_find(params, '=');
        if (eq == params.len)
            return found && slice_trim(params).len == 0;
        struct slice name = slice_trim(slice_of(params.ptr, eq));
        start = ++eq;
        bool quoted = eq < params.len && params.ptr[eq] == '"';
        for (eq += quoted; eq < params.len && params.ptr[eq] != (quoted ? '"' : ';'); eq++)
            if (quoted && params.ptr[eq] == '\\')
                return false;   /* browsers write %22; two readings otherwise */
        if (quoted && eq++ == params.len)
            return false;
        struct slice value = slice_of(params.ptr + start, eq - start);
        params = slice_from(params, eq);
        if (params.len > 0 && slice_find(SLICE("; \t"), params.ptr[0]) == 3)
            return false;
        if (name.len < 4 || !slice_ieq(slice_of(name.ptr, 4), SLICE("name")))
            continue;
        if (name.len > 4 || found)
            return false;
        *out = quoted ? slice_of(value.ptr + 1, value.len - 2) : slice_trim(value);
        found = true;
    }
    return found;
}

static bool disposition_name(struct slice head, struct slice *out)
{
    static const struct slice wanted = SLICE_INIT("content-disposition");
    bool found = false;
    while (head.len > 0) {
        size_t end = slice_find(head, '\n');
        struct slice line = slice_of(head.ptr, end > 0 ? end - 1 : 0);
        head = slice_from(head, end < head.len ? end + 1 : end);
        if (line.len == 0)
            break;
        if (line.ptr[0] == ' ' || line.ptr[0] == '\t')
            return false;   /* folded */
        size_t colon = slice_find(line, ':');
        if (!slice_ieq(slice_trim(slice_of(line.ptr, colon)), wanted))
            continue;
        struct slice params = slice_from(line, colon < line.len ? colon + 1 : colon);
        size_t semicolon = slice_find(params, ';');
        if (found || !param_name(slice_from(params, semicolon), out))
            return false;
        found = true;
    }
    return found;
}

static bool part_is_secret(struct multipart_state *s, const struct secret_names *names)
{
    unsigned char decoded[PART_HEAD_MAX];
    struct slice name;
    if (s->head_len > PART_HEAD_MAX || !disposition_name(slice_of(s->head, s->head_len), &name))
        return true;
    if (name.len)
        memcpy(decoded, name.ptr, name.len);
    return secret_name(names, name) || secret_name(names, slice_of(decoded, redact_decode(decoded, name.len)));
}

static void line_starts(struct multipart_state *s, unsigned how)
{
    s->line = how;
    s->matching = true;
    s->matched = 0;
}

/* A byte of a part's head; true when the head is over. */
static bool head_byte(struct multipart_state *s, unsigned char c, bool *bad)
{
    if (s->head_len < PART_HEAD_MAX)
        s->head[s->head_len++] = c;
    else
        s->head_len = PART_HEAD_MAX + 1;
    *bad = (c == '\n') != s->prev_cr || c == 0;
    bool over = c == '\n' && s->line_len == 0;
    if (c == '\n')
        s->line_len = 0;
    else if (c != '\r')
        s->line_len++;
    s->prev_cr = c == '\r';
    return over;
}

/* The rest of a delimiter's line. */
static bool tail_byte(struct multipart_state *s, unsigned char c)
{
    if (s->tail == TAIL_CR) {
        s->state = s->closing ? M_END : M_HEAD;
        s->head_len = s->line_len = 0;
        s->prev_cr = false;
        return c == '\n';
    }
    if (c == '-' && s->tail == TAIL_NONE && !s->closing) {
        s->tail = TAIL_DASH;
        return true;
    }
    if (s->tail == TAIL_DASH) {
        s->closing = true;
        s->tail = TAIL_NONE;
        return c == '-';
    }
    s->tail = c == '\r' ? TAIL_CR : TAIL_SPACE;
    return c == '\r' || c == ' ' || c == '\t';
}

/* A byte of a value or of the start; true when the delimiter is complete. */
static bool value_byte(struct multipart_state *s, unsigned char c)
{
    if (s->matching && c == s->delimiter[s->matched]) {
        s->prev_cr = false;
        return ++s->matched == s->delimiter_len;
    }
    s->matching = false;
    if (c == '\r')
        line_starts(s, LINE_BARE);
    else if (c == '\n')
        line_starts(s, s->prev_cr ? LINE_CRLF : LINE_BARE);
    s->prev_cr = c == '\r';
    return false;
}

static void delimiter_done(struct multipart_state *s)
{
    s->state = M_TAIL;
    s->tail = TAIL_NONE;
    s->closing = false;
    s->matching = false;
}

/* Where the value of a part starts. */
static void value_starts(struct multipart_state *s)
{
    s->state = M_VALUE;
    s->prev_cr = false;
    line_starts(s, LINE_CRLF);
}

static bool step(struct multipart_state *s, unsigned char c, bool *head_over, bool *delimited)
{
    bool bad = false;
    switch (s->state) {
    case M_START:
        *delimited = value_byte(s, c);
        return s->matching || c == '\r' || c == '\n';
    case M_VALUE:
        *delimited = value_byte(s, c);
        return !*delimited || s->line == LINE_CRLF;
    case M_HEAD:
        *head_over = head_byte(s, c, &bad);
        return !bad;
    case M_TAIL:
        return tail_byte(s, c);
    default:
        return c == '\r' || c == '\n' || c == ' ' || c == '\t';
    }
}

enum status multipart_feed(struct multipart_state *s, const struct secret_names *names, struct slice data, const struct redact_out *out,
                           size_t *taken)
{
    size_t from = 0, i = 0;
    for (; i < data.len; i++) {
        bool head_over = false, delimited = false;
        if (!step(s, data.ptr[i], &head_over, &delimited))
            break;
        if (head_over) {
            value_starts(s);
            if (part_is_secret(s, names)) {
                redact_put(out, slice_of(data.ptr + from, i + 1 - from));
                redact_put(out, SLICE(REDACT_REMOVED));
                s->removed++;
                s->skipping = true;
            }
        } else if (delimited) {
            if (s->skipping) {
                redact_put(out, SLICE("\r\n"));
                redact_put(out, slice_of(s->delimiter, s->delimiter_len));
                from = i + 1;
                s->skipping = false;
            }
            delimiter_done(s);
        }
    }
    *taken = i;
    if (!s->skipping)
        redact_put(out, slice_of(data.ptr + from, i - from));
    return i == data.len ? OK : BAD_INPUT;
}
