/*  document = [BOM] *( space / comment / doctype / bogus / html-tag ) [ head-tag HERE ] / HERE other
 *
 *  comment  = "<!--" ... as HTML s13.2.5.43 to s13.2.5.52 has its ends       doctype = "<!doctype" *(not ">") ">"
 *  bogus    = ( "<?" / "<!" ) *(not ">") ">"                                 html-tag, head-tag = "<html" / "<head", attributes, ">" */
#include "proxy/dom/insert.h"

enum state {
    START,                            /* nothing was read yet: a byte order mark may come */
    BOM,                              /* held: its beginning */
    TEXT,
    OPEN,                             /* held: '<' and what followed, not yet enough to say what it is */
    NAME_BEFORE, NAME, NAME_AFTER,    /* of an attribute */
    VALUE_BEFORE, VALUE_DOUBLE, VALUE_SINGLE, VALUE_BARE, VALUE_AFTER,
    COMMENT_START, COMMENT_START_DASH, COMMENT, COMMENT_END_DASH, COMMENT_END, COMMENT_END_BANG,
    TO_BRACKET,                       /* doctype, bogus comment: '>' ends it, quoted or not */
};

enum step {
    TAKEN,                            /* this byte belongs to what is being read */
    HERE_BEFORE,                      /* the text goes before what is held, or before this byte */
    HERE_AFTER,                       /* after this byte */
    NOWHERE,
};

static bool is_space(unsigned char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static enum step go(struct insert *i, enum state to)
{
    i->state = to;
    return TAKEN;
}

static void hold(struct insert *i, unsigned char c)
{
    i->held[i->held_len++] = c;
}

static bool held_is(const struct insert *i, const char *lower)
{
    return slice_ieq(slice_of(i->held, i->held_len), slice_str(lower));
}

/* Does what is held begin `lower`? */
static bool held_begins(const struct insert *i, const char *lower)
{
    return i->held_len <= strlen(lower) && slice_ieq(slice_of(i->held, i->held_len), slice_of(lower, i->held_len));
}

static enum step read_text(struct insert *i, unsigned char c)
{
    if (is_space(c))
        return go(i, TEXT);
    if (c != '<')
        return HERE_BEFORE;
    hold(i, c);
    return go(i, OPEN);
}

static enum step read_start(struct insert *i, unsigned char c)
{
    if (c == 0xfe || c == 0xff) {
        i->why = "it is in UTF-16";
        return NOWHERE;
    }
    if (c != 0xef)
        return read_text(i, c);
    hold(i, c);
    return go(i, BOM);
}

static enum step read_bom(struct insert *i, unsigned char c)
{
    static const unsigned char bom[3] = { 0xef, 0xbb, 0xbf };
    if (c != bom[i->held_len])
        return HERE_BEFORE;
    hold(i, c);
    return i->held_len == sizeof bom ? go(i, TEXT) : TAKEN;
}

static enum step read_attributes(struct insert *i, unsigned char c)
{
    static const enum state after_space[] = { [NAME_BEFORE] = NAME_BEFORE, [NAME] = NAME_AFTER, [NAME_AFTER] = NAME_AFTER, [VALUE_BEFORE] = VALUE_BEFORE,
                                              [VALUE_BARE] = NAME_BEFORE, [VALUE_AFTER] = NAME_BEFORE };
    enum state s = (enum state)i->state;
    if (s == VALUE_DOUBLE || s == VALUE_SINGLE)
        return go(i, c == (s == VALUE_DOUBLE ? '"' : '\'') ? VALUE_AFTER : s);
    if (c == '>')
        return i->in_head ? HERE_AFTER : go(i, TEXT);
    if (is_space(c))
        return go(i, after_space[s]);
    if (s == VALUE_BARE)
        return TAKEN;
    if (s == VALUE_BEFORE)
        return go(i, c == '"' ? VALUE_DOUBLE : c == '\'' ? VALUE_SINGLE : VALUE_BARE);
    if (c == '/')
        return go(i, NAME_BEFORE);
    if (c == '=' && (s == NAME || s == NAME_AFTER))
        return go(i, VALUE_BEFORE);
    return go(i, NAME);
}

static enum step read_comment(struct insert *i, unsigned char c)
{
    switch ((enum state)i->state) {
    case COMMENT_START:
        return go(i, c == '-' ? COMMENT_START_DASH : c == '>' ? TEXT : COMMENT);
    case COMMENT_START_DASH:
        return go(i, c == '-' ? COMMENT_END : c == '>' ? TEXT : COMMENT);
    case COMMENT_END_DASH:
        return go(i, c == '-' ? COMMENT_END : COMMENT);
    case COMMENT_END:
        return go(i, c == '>' ? TEXT : c == '!' ? COMMENT_END_BANG : c == '-' ? COMMENT_END : COMMENT);
    case COMMENT_END_BANG:
        return go(i, c == '-' ? COMMENT_END_DASH : c == '>' ? TEXT : COMMENT);
    default:
        return go(i, c == '-' ? COMMENT_END_DASH : COMMENT);
    }
}

static enum step read_declaration(struct insert *i, unsigned char c)
{
    hold(i, c);
    if (held_is(i, "<!--"))
        return go(i, COMMENT_START);
    if (held_is(i, "<!doctype"))
        return go(i, TO_BRACKET);
    if (held_begins(i, "<!--") || held_begins(i, "<!doctype"))
        return TAKEN;
    return go(i, c == '>' ? TEXT : TO_BRACKET);   /* a bogus comment */
}

static enum step read_open(struct insert *i, unsigned char c)
{
    bool first = i->held_len == 1;
    if (first && c == '?') {
        hold(i, c);
        return go(i, TO_BRACKET);
    }
    if ((first && c == '!') || (!first && i->held[1] == '!'))
        return read_declaration(i, c);
    bool ends = is_space(c) || c == '/' || c == '>';
    if (ends && (held_is(i, "<html") || held_is(i, "<head"))) {
        i->in_head = held_is(i, "<head");
        i->state = NAME_BEFORE;
        return read_attributes(i, c);
    }
    if (ends)
        return HERE_BEFORE;
    hold(i, c);
    if (held_begins(i, "<html") || held_begins(i, "<head"))
        return TAKEN;
    i->held_len--;                    /* not taken: what is held and this byte are something else */
    return HERE_BEFORE;
}

static enum step read_byte(struct insert *i, unsigned char c)
{
    enum state s = (enum state)i->state;
    if (c == 0) {                     /* UTF-16 or UTF-32 without a mark: ASCII has no place there */
        i->why = "it holds NUL bytes where it begins";
        return NOWHERE;
    }
    if (s == START)
        return read_start(i, c);
    if (s == BOM)
        return read_bom(i, c);
    if (s == TEXT)
        return read_text(i, c);
    if (s == OPEN)
        return read_open(i, c);
    if (s == TO_BRACKET)
        return go(i, c == '>' ? TEXT : TO_BRACKET);
    return s >= COMMENT_START ? read_comment(i, c) : read_attributes(i, c);
}

void insert_init(struct insert *i, struct slice text)
{
    *i = (struct insert){ .text = text, .state = START };
}

static void put(const struct insert_out *out, struct slice piece)
{
    if (piece.len > 0)
        out->put(out->to, piece);
}

static void put_held(struct insert *i, const struct insert_out *out)
{
    put(out, slice_of(i->held, i->held_len));
    i->held_len = 0;
}

static bool holds(const struct insert *i)
{
    return i->state == OPEN || i->state == BOM;
}

static void put_text(struct insert *i, const struct insert_out *out)
{
    i->outcome = INSERT_DONE;
    put(out, i->text);
}

/* The byte at `at` decided: everything before it that is no longer held, the text, and the rest. */
static void decide(struct insert *i, enum step step, struct slice piece, size_t from, size_t at, const struct insert_out *out)
{
    size_t pass = step == HERE_AFTER ? at + 1 : at;
    if (step == NOWHERE) {
        i->outcome = INSERT_NONE;
        put_held(i, out);
        put(out, slice_from(piece, from));
        return;
    }
    if (step == HERE_BEFORE && holds(i)) {   /* what is held comes after the text; nothing of this piece is between them */
        i->at = i->seen - i->held_len;
        put_text(i, out);
        put_held(i, out);
        put(out, slice_from(piece, at));
        return;
    }
    i->at = i->seen + (pass - at);
    put_held(i, out);                 /* of "<head", whose '>' this is */
    put(out, slice_of(piece.ptr + from, pass - from));
    put_text(i, out);
    put(out, slice_from(piece, pass));
}

void insert_feed(struct insert *i, struct slice piece, const struct insert_out *out)
{
    size_t from = 0;                  /* what is before it was put, or is held */
    for (size_t at = 0; at < piece.len && i->outcome == INSERT_LOOKING; at++) {
        bool held = holds(i);
        size_t had = i->held_len;
        enum step step = read_byte(i, piece.ptr[at]);
        if (step == TAKEN && i->seen + 1 >= INSERT_LOOK_MAX) {
            i->why = "no place for the script in its first 64 KiB";
            i->held_len = held ? had : 0;
            decide(i, NOWHERE, piece, held ? at : from, at, out);
            return;
        }
        if (step != TAKEN) {
            decide(i, step, piece, held ? at : from, at, out);
            return;
        }
        if (!held && holds(i)) {      /* this byte is the first that waits */
            put(out, slice_of(piece.ptr + from, at - from));
            from = at + 1;
        } else if (held && !holds(i)) {
            i->held_len = had;        /* it is known now: they go on, and this byte with what follows */
            put_held(i, out);
            from = at;
        } else if (held) {
            from = at + 1;
        }
        i->seen++;
    }
    if (i->outcome != INSERT_LOOKING)
        put(out, piece);
    else if (!holds(i))
        put(out, slice_from(piece, from));
}

void insert_end(struct insert *i, const struct insert_out *out)
{
    if (i->outcome != INSERT_LOOKING)
        return;
    i->outcome = INSERT_NONE;
    i->why = "it ended before a place for the script";
    put_held(i, out);
}
