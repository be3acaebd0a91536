#include "proxy/commands/item.h"
#include "proxy/commands/term.h"
#include "proxy/commands/words.h"

#include <string.h>

bool item_is_signoff(const json_t *item)
{
    return json_text_is(item, "kind", "signoff");
}

bool item_is_new_key(const json_t *item)
{
    return json_text_is(item, "kind", "key");
}

bool item_is_review(const json_t *item)
{
    return json_text_is(item, "kind", "review");
}

const char *basis_words(const char *basis)
{
    return strcmp(basis, "break-glass") == 0 ? "BREAK-GLASS" : strcmp(basis, "auto") == 0 ? "by rule" : "";
}

bool item_is_policy(const json_t *item)
{
    return json_text_is(item, "kind", "policy");
}

bool item_is_over(const json_t *item)
{
    return !json_text_is(item, "state", "pending") && !json_text_is(item, "state", "approved");
}

static void print_text(FILE *out, const char *before, const json_t *object, const char *key, const char *after)
{
    fputs(before, out);
    term_str(out, json_text(object, key));
    fputs(after, out);
}

void item_print_needs(FILE *out, const json_t *item)
{
    json_t *needs = json_array_member(item, "needs"), *need;
    size_t i;
    if (json_array_size(needs) == 0)
        fputs("somebody else", out);
    json_array_foreach(needs, i, need) {
        long long count = json_number(need, "count");
        fprintf(out, "%s%lld %s of ", i ? " and " : "", count, count == 1 ? "person" : "persons");
        term_str(out, json_text(need, "group"));
    }
    if (item_is_policy(item))
        fputs(" (two different persons)", out);
    else
        print_text(out, " (not ", item, "requester", ")");
}

static void print_decisions(FILE *out, const json_t *item)
{
    json_t *decisions = json_array_member(item, "decisions"), *d;
    char when[WORDS_MAX];
    size_t i;
    json_array_foreach(decisions, i, d) {
        print_text(out, "    ", d, "person", json_text_is(d, "decision", "approve") ? " said yes" : " said no");
        if (json_text(d, "reason")[0] != 0)
            print_text(out, ": ", d, "reason", "");
        fprintf(out, ", %s", words_time(json_number(d, "at"), when));
        print_text(out, ", key ", d, "key", "\n");
    }
}

static void print_who_decided(FILE *out, const json_t *item, const char *decision)
{
    json_t *d;
    size_t i, n = 0;
    json_array_foreach(json_array_member(item, "decisions"), i, d)
        if (json_text_is(d, "decision", decision))
            print_text(out, n++ ? " and " : " by ", d, "person", "");
}

/* One that is owed, or what was said. */
static void print_review_state(FILE *out, const json_t *item, int64_t now_s)
{
    char text[WORDS_MAX], left[WORDS_MAX];
    const json_t *done = json_object_get(item, "review");
    int64_t due = json_number(item, "expires");
    if (json_is_object(done)) {
        fputs(json_text_is(done, "outcome", "justified") ? "was reviewed: justified, says " : "was reviewed: NOT justified, says ", out);
        term_str(out, json_text(done, "by"));
        print_text(out, ": ", done, "words", "");
    } else if (due <= now_s) {
        fprintf(out, "is owed a review by somebody else: OVERDUE since %s", words_time(due, text));
    } else {
        fprintf(out, "is owed a review by somebody else, until %s (%s left)", words_time(due, text), words_duration(due - now_s, left));
    }
    if (json_is_true(json_object_get(item, "live")))
        fputs("; the access is still LIVE", out);
}

static void print_signoff_end(FILE *out, const json_t *item)
{
    if (json_text_is(item, "outcome", "answered"))
        fprintf(out, "was run; the tool answered %lld", (long long)json_number(item, "status"));
    else if (json_text_is(item, "outcome", "not-sent"))
        fputs("was used up, but never reached the tool. Next: send the request again; it will be held anew", out);
    else if (json_text_is(item, "outcome", "outcome-unknown"))
        fputs("was used up; whether the tool ran it is unknown. Next: look in the tool before sending it again", out);
    else
        fputs("was used up: it is running, or its end is not known yet", out);
}

void item_print_state(FILE *out, const json_t *item, int64_t now_s)
{
    char text[WORDS_MAX], left[WORDS_MAX];
    int64_t expires = json_number(item, "expires");
    const char *state = json_text(item, "state");
    if (item_is_review(item)) {
        print_review_state(out, item, now_s);
    } else if (strcmp(state, "pending") == 0) {
        fputs("waits for a yes from ", out);
        item_print_needs(out, item);
        fprintf(out, " until %s (%s left)", words_time(expires, text), words_duration(expires - now_s, left));
    } else if (strcmp(state, "approved") == 0) {
        fputs(item_is_new_key(item) ? "was confirmed" : item_is_policy(item) ? "is in force: approved" : "was approved", out);
        print_who_decided(out, item, "approve");
        if (item_is_new_key(item))
            fprintf(out, " and counts from %s", words_time(json_number(item, "counts_from"), text));
        if (item_is_signoff(item))
            fprintf(out, " and can be run once, until %s", words_time(expires, text));
    } else if (strcmp(state, "granted") == 0) {
        if (json_text_is(item, "basis", "break-glass"))
            fputs("was granted by BREAK-GLASS, without a second person; everybody concerned was told, and a review by somebody else is owed", out);
        else if (json_text_is(item, "basis", "auto"))
            print_text(out, "was granted by the rule '", item, "rule", "', without a second person");
        else
            fputs("was granted: approved", out);
        print_who_decided(out, item, "approve");
    } else if (strcmp(state, "used") == 0) {
        print_signoff_end(out, item);
    } else if (strcmp(state, "denied") == 0) {
        fputs("was denied", out);
        print_who_decided(out, item, "deny");
    } else if (strcmp(state, "cancelled") == 0) {
        fputs("was cancelled: withdrawn, or stopped by a lock or a change of the policy", out);
    } else {
        fputs("is ", out);
        term_str(out, state);
    }
}

/* Said plainly, since else somebody waits for nothing. */
static void print_waits(FILE *out, const json_t *item)
{
    json_t *need, *escalated = json_object_get(item, "escalated");
    char when[WORDS_MAX];
    size_t i;
    if (!json_text_is(item, "state", "pending"))
        return;
    json_array_foreach(json_array_member(item, "needs"), i, need)
        if (json_object_get(need, "off_duty_until") != NULL) {
            print_text(out, "    nobody of ", need, "group", " is on duty until ");
            fprintf(out, "%s\n", words_time(json_number(need, "off_duty_until"), when));
        }
    if (json_is_object(escalated)) {
        print_text(out, "    told ", escalated, "group", "");
        fprintf(out, " at %s, since %s\n", words_time(json_number(escalated, "at"), when),
                json_text_is(escalated, "why", "late") ? "it waits so long" : "nobody who is asked is on duty");
    }
}

/* Nothing when it is for all of them. */
static void print_actions(FILE *out, const json_t *actions)
{
    size_t i;
    json_t *name;
    json_array_foreach((json_t *)(uintptr_t)actions, i, name) {
        if (json_string_value(name) == NULL || strcmp(json_string_value(name), "*") == 0)
            return;
        fputs(i ? ", " : ", only for ", out);
        term_str(out, json_string_value(name));
    }
}

static void print_before(FILE *out, const json_t *before)
{
    char when[WORDS_MAX];
    long long count = json_number(before, "count");
    if (!json_is_object(before))
        return;
    if (count == 0)
        fputs("    this action has never run before\n", out);
    else
        fprintf(out, "    this action ran %lld times before, %lld of them for the one who asks; last %s\n", count, (long long)json_number(before, "by_requester"),
                words_time(json_number(before, "last_at"), when));
}

/* What else the requester did in this session. */
static void print_so_far(FILE *out, const json_t *far)
{
    char when[WORDS_MAX];
    size_t i;
    json_t *one;
    long long count = json_number(far, "exchanges");
    if (!json_is_object(far))
        return;
    fprintf(out, "    the session so far: %lld exchange%s recorded", count, count == 1 ? "" : "s");
    if (json_number(far, "last_at") > 0)
        fprintf(out, "; last %s", words_time(json_number(far, "last_at"), when));
    fputc('\n', out);
    json_array_foreach(json_array_member(far, "held"), i, one) {
        print_text(out, "      held before in it: ", one, "action", ", ");
        print_text(out, "", one, json_text(one, "outcome")[0] != 0 ? "outcome" : "state", "");
        fprintf(out, ", %s\n", words_time(json_number(one, "created"), when));
    }
}

/* A line each, so that none can pass for two. */
static void print_changes(FILE *out, const json_t *item)
{
    for (const char *at = json_text(item, "changes"); *at != 0;) {
        size_t n = strcspn(at, "\n");
        fputs("    - ", out);
        term_text(out, slice_of(at, n));
        fputc('\n', out);
        at += n + (at[n] == '\n');
    }
    print_text(out, "    from policy ", item, "was", "\n");
    print_text(out, "    to policy   ", item, "policy", "\n");
}

static void print_asked(FILE *out, const json_t *item)
{
    char text[WORDS_MAX];
    if (item_is_policy(item)) {
        fputs("  a change of the policy, from the config file\n", out);
        print_changes(out, item);
    } else if (item_is_signoff(item)) {
        print_text(out, "  sign-off of '", item, "action", "' at ");
        print_text(out, "", item, "tool", "\n    ");
        print_text(out, "", item, "method", " https://");
        print_text(out, "", item, "authority", "");
        print_text(out, "", item, "target", "\n");
        fprintf(out, "    body: %s", words_bytes((uint64_t)json_number(item, "body_len"), text));
        print_text(out, ", ", item, "content_type", "");
        print_text(out, "; digest ", item, "digest", "\n");
        print_before(out, json_object_get(item, "before"));
        print_so_far(out, json_object_get(item, "so_far"));
    } else if (item_is_new_key(item)) {
        print_text(out, "  a new approval key, named '", item, "label", "'\n");
        print_text(out, "    fingerprint: ", item, "key", "\n");
        fprintf(out, "    kind: %s\n", json_text_is(item, "method", "command-line") ? "of a certificate" : json_text_is(item, "method", "hardware") ? "bound to one device" : "a passkey that may be copied to other devices");
    } else if (item_is_review(item)) {
        print_text(out, "  BREAK-GLASS access to ", item, "tool", "\n");
        print_text(out, "    session ", item, "grant_id", "");
        fprintf(out, ", begun %s\n", words_time(json_number(item, "created"), text));
    } else {
        print_text(out, "  access to ", item, "tool", "");
        fprintf(out, " for %s", words_duration(json_number(item, "duration_s"), text));
        print_actions(out, json_array_member(item, "actions"));
        if (json_number(item, "start_within_s") > 0)
            fprintf(out, ", beginning with the first use, within %s", words_duration(json_number(item, "start_within_s"), text));
        if (json_text(item, "extends")[0] != 0)
            print_text(out, ", as an extension of ", item, "extends", "");
        fputc('\n', out);
    }
}

void item_print(FILE *out, const json_t *item, int64_t now_s)
{
    print_text(out, "", item, "id", "");
    print_asked(out, item);
    if (!item_is_policy(item)) {
        print_text(out, "    asked by ", item, "requester", "");
        print_text(out, " (", item, "identity", ")\n");
    }
    if (!item_is_new_key(item) && !item_is_policy(item))
        print_text(out, "    reason: ", item, "reason", "\n");
    if (json_text(item, "acting_for")[0] != 0)
        print_text(out, "    you would answer in the place of ", item, "acting_for", "\n");
    print_decisions(out, item);
    fputs("    it ", out);
    item_print_state(out, item, now_s);
    fputc('\n', out);
    print_waits(out, item);
}
