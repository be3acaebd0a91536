#include "proxy/courier/notice_words.h"

#include "proxy/base/clock.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *text(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}

/* ---- what somebody typed ---- */

/* One UTF-8 character at s; its length, or 0 at the end or when it is none. */
static size_t character(const unsigned char *s, uint32_t *out)
{
    size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : s[0] >= 0xe0 && s[0] < 0xf0 ? 3 : s[0] >= 0xf0 && s[0] < 0xf5 ? 4 : 0;
    uint32_t c = n == 1 ? s[0] : n == 2 ? s[0] & 0x1fu : n == 3 ? s[0] & 0x0fu : s[0] & 0x07u;
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3fu);
    }
    *out = c;
    return s[0] == 0 ? 0 : n;
}

/* Controls, line separators, what turns text round, what does not show, and tags: a reader would see something else than what is there. */
static bool shows(uint32_t c)
{
    return c >= 0x20 && !(c >= 0x7f && c < 0xa0) && c != 0xad && c != 0x061c && !(c >= 0x200b && c <= 0x200f) && !(c >= 0x2028 && c <= 0x202e) && !(c >= 0x2060 && c <= 0x206f) &&
           c != 0xfeff && !(c >= 0xfff0 && c <= 0xfffb) && !(c >= 0xe0000 && c <= 0xe007f);
}

void notice_plain(const char *said, char out[NOTICE_SAID_MAX + 1])
{
    size_t used = 0, n;
    uint32_t c = 0;
    const unsigned char *s = (const unsigned char *)said;
    for (; *s != 0; s += n) {
        n = character(s, &c);
        bool good = n > 0 && shows(c);
        if (n == 0)
            n = 1;
        if (used + (good ? n : 1) > NOTICE_SAID_MAX)
            break;
        if (good)
            memcpy(out + used, s, n);
        else
            out[used] = ' ';
        used += good ? n : 1;
    }
    out[used] = 0;
}

/* ---- writing ---- */

struct words {
    FILE *f;
    bool slack;                       /* else plain */
    bool title;                       /* nothing that anybody typed */
};

static void escaped(struct words *w, const char *s)
{
    for (; *s != 0; s++)
        if (w->slack && *s == '&')
            fputs("&amp;", w->f);
        else if (w->slack && *s == '<')
            fputs("&lt;", w->f);
        else if (w->slack && *s == '>')
            fputs("&gt;", w->f);
        else
            fputc(*s, w->f);
}

static void put(struct words *w, const char *before, const char *name, const char *after)
{
    fputs(before, w->f);
    escaped(w, name);
    fputs(after, w->f);
}

/* In a code span nothing becomes a link or a mention; so nothing may end the span. */
static void said(struct words *w, const char *before, const json_t *facts, const char *name)
{
    char plain[NOTICE_SAID_MAX + 1];
    notice_plain(text(facts, name), plain);
    if (w->title || plain[0] == 0)
        return;
    for (char *p = plain; w->slack && *p != 0; p++)
        if (*p == '`')
            *p = '\'';
    put(w, before, "", w->slack ? "`" : "");
    escaped(w, plain);
    if (w->slack)
        fputc('`', w->f);
}

static void at_time(struct words *w, const char *before, const json_t *facts, const char *name)
{
    char at[CLOCK_TEXT_MAX];
    json_int_t s = json_integer_value(json_object_get(facts, name));
    if (s <= 0 || s > INT64_C(253402300799))
        return;
    clock_rfc3339(s * 1000, at);
    fprintf(w->f, "%s%.10s %.5s UTC", before, at, at + 11);
}

static void by(struct words *w, const json_t *facts)
{
    if (text(facts, "by")[0] != 0)
        put(w, " by ", text(facts, "by"), "");
}

/* "alice's request for access to 'support'" */
static void thing(struct words *w, const json_t *f)
{
    if (strcmp(text(f, "kind"), "policy") == 0) {
        fputs("The change of the policy", w->f);
        return;
    }
    put(w, "", text(f, "person"), "'s ");
    if (strcmp(text(f, "kind"), "signoff") == 0) {
        put(w, "'", text(f, "action"), "'");
        put(w, " at '", text(f, "tool"), "'");
    } else if (strcmp(text(f, "kind"), "key") == 0) {
        fputs("new approval key", w->f);
    } else {
        put(w, "request for access to '", text(f, "tool"), "'");
    }
}

static void asks(struct words *w, const json_t *f)
{
    json_int_t s = json_integer_value(json_object_get(f, "duration_s"));
    if (strcmp(text(f, "kind"), "signoff") == 0) {
        put(w, "", text(f, "person"), " asks for a sign-off");
        put(w, " of '", text(f, "action"), "'");
        put(w, " at '", text(f, "tool"), "'");
        return;
    }
    put(w, "", text(f, "person"), text(f, "extends")[0] ? " asks for more time" : " asks for access");
    put(w, " to '", text(f, "tool"), "'");
    if (s > 0)
        fprintf(w->f, " for %lld %s", (long long)(s % 60 ? s : s / 60), s % 60 ? "s" : "min");
}

/* ---- an event each ---- */

static void of_requested(struct words *w, const json_t *f)
{
    asks(w, f);
    said(w, ". Reason: ", f, "reason");
}

static void of_escalated(struct words *w, const json_t *f)
{
    size_t i;
    json_t *need;
    bool late = strcmp(text(f, "why"), "late") == 0;
    if (late)
        fputs("Nobody has answered yet", w->f);
    json_array_foreach(json_object_get(f, "off_duty"), i, need) {
        put(w, late || i > 0 ? "; nobody of " : "Nobody of ", text(need, "group"), " is on duty");
        at_time(w, " until ", need, "until");
    }
    put(w, ". Told: ", text(f, "group"), ". ");
    of_requested(w, f);
}

static void of_approved(struct words *w, const json_t *f)
{
    thing(w, f);
    fputs(" was approved", w->f);
    by(w, f);
}

static void of_denied(struct words *w, const json_t *f)
{
    thing(w, f);
    fputs(" was denied", w->f);
    by(w, f);
}

static void of_expired(struct words *w, const json_t *f)
{
    thing(w, f);
    fputs(" has expired: it was not answered, or not run, in time", w->f);
}

static void of_cancelled(struct words *w, const json_t *f)
{
    const char *why = text(f, "why");
    thing(w, f);
    fputs(strcmp(why, "withdrawn") == 0        ? " was withdrawn"
          : strcmp(why, "locked") == 0         ? " was ended by a lock"
          : strcmp(why, "policy-changed") == 0 ? " was ended by a change of the policy"
          : strcmp(why, "expired") == 0        ? " ended with the access that it belonged to"
                                               : " was cancelled", w->f);
}

static void of_lock(struct words *w, const json_t *f)
{
    const char *kind = text(f, "kind");
    bool lifted = strcmp(text(f, "event"), "lock.lifted") == 0;
    fputs(lifted ? "Lifted: the lock on " : "Locked: ", w->f);
    if (strcmp(kind, "everything") == 0)
        fputs("everything", w->f);
    else
        put(w, "the ", kind, "");
    if (strcmp(kind, "everything") != 0)
        put(w, " '", text(f, "value"), "'");
    by(w, f);
    said(w, ". Reason: ", f, "reason");
}

static void of_key_proposed(struct words *w, const json_t *f)
{
    put(w, "A new approval key in the name of ", text(f, "person"), " waits for another person's yes");
    said(w, ". It is called: ", f, "label");
    if (!w->title)
        put(w, ". Confirm it only after comparing its fingerprint with its owner: ", text(f, "key"), "");
}

static void of_key_confirmed(struct words *w, const json_t *f)
{
    put(w, "A new approval key in the name of ", text(f, "person"), " was confirmed");
    by(w, f);
    at_time(w, " and counts from ", f, "counts_from");
    if (!w->title)
        put(w, ". If you are ", text(f, "person"), " and did not make it, take it away now and tell an operator");
}

static void of_key_withdrawn(struct words *w, const json_t *f)
{
    put(w, "An approval key in the name of ", text(f, "person"), " was taken away");
    by(w, f);
}

static void of_break_glass(struct words *w, const json_t *f)
{
    put(w, "Break-glass: ", text(f, "person"), "");
    put(w, " took access to '", text(f, "tool"), "' without another person's yes. Everything is recorded, and a review by somebody else is owed");
    said(w, ". Reason: ", f, "reason");
}

static void of_overdue(struct words *w, const json_t *f)
{
    put(w, "Overdue: nobody has reviewed how ", text(f, "person"), "");
    put(w, " used break-glass at '", text(f, "tool"), "'. Somebody else has to look at the session and sign what they found");
    said(w, ". The reason given was: ", f, "reason");
}

static void of_policy(struct words *w, const json_t *f)
{
    fputs("A change of the policy waits for the yes of a second operator", w->f);
    said(w, ". It says: ", f, "summary");
}

static const struct {
    const char *event;
    void (*write)(struct words *w, const json_t *facts);
} of[] = {
    { "access.requested", of_requested },   { "signoff.requested", of_requested }, { "item.escalated", of_escalated }, { "item.approved", of_approved },
    { "item.denied", of_denied },           { "item.expired", of_expired },        { "item.cancelled", of_cancelled }, { "lock.placed", of_lock },
    { "lock.lifted", of_lock },             { "key.proposed", of_key_proposed },   { "key.confirmed", of_key_confirmed },
    { "key.withdrawn", of_key_withdrawn },  { "break-glass.used", of_break_glass }, { "review.overdue", of_overdue }, { "policy.pending", of_policy },
};

static char *written(const json_t *facts, bool slack, bool title)
{
    char *out = NULL;
    size_t len = 0, i = 0;
    struct words w = { open_memstream(&out, &len), slack, title };
    if (w.f == NULL)
        return NULL;
    while (i < sizeof of / sizeof *of && strcmp(of[i].event, text(facts, "event")) != 0)
        i++;
    if (i < sizeof of / sizeof *of)
        of[i].write(&w, facts);
    else
        put(&w, "", text(facts, "event"), "");
    if (slack)
        put(&w, ". <", text(facts, "link"), "|Look at it in the console>");
    bool bad = ferror(w.f) != 0;
    if (fclose(w.f) != 0 || bad) {
        free(out);
        return NULL;
    }
    return out;
}

char *notice_sentence(const json_t *facts)
{
    return written(facts, false, false);
}

char *notice_slack(const json_t *facts)
{
    return written(facts, true, false);
}

char *notice_title(const json_t *facts)
{
    return written(facts, false, true);
}
