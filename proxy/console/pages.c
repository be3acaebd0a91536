#include "proxy/console/pages.h"
#include "proxy/console/pages_parts.h"

#include "proxy/base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *page_text(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}

void page_term(struct html *h, const char *name, const char *value)
{
    if (value[0] == 0)
        return;
    html_element(h, "dt", NULL, name);
    html_element(h, "dd", NULL, value);
}

static const char *left_words(json_int_t left, char out[40])
{
    snprintf(out, 40, "(%lld %s left)", (long long)(left >= 2 * 86400 ? left / 86400 : left >= 7200 ? left / 3600 : left >= 120 ? left / 60 : left),
             left >= 2 * 86400 ? "days" : left >= 7200 ? "h" : left >= 120 ? "min" : "s");
    return out;
}

void page_when(struct html *h, const char *name, const json_t *o, const char *member, bool is_end)
{
    char words[40];
    json_int_t s = json_integer_value(json_object_get(o, member)), left = s - clock_wall_s();
    if (s <= 0)
        return;
    html_raw(h, "<dt>");
    html_str(h, name);
    html_raw(h, "</dt><dd>");
    html_time(h, (long long)s);
    if (is_end && left > 0) {
        html_raw(h, " <span data-until=\"");
        html_number(h, (long long)s);
        html_raw(h, "\">");
        html_str(h, left_words(left, words));
        html_raw(h, "</span>");
    }
    html_raw(h, "</dd>");
}

void page_live(struct html *h, const char *look, const char *id)
{
    html_raw(h, "<p class=\"live\" role=\"status\"");
    char path[96];
    snprintf(path, sizeof path, "%s%s", look, id);
    page_attribute(h, "data-look", path);
    html_raw(h, "></p>\n");
}

void page_watch(struct html *h, const char *id, const char *state)
{
    page_attribute(h, "data-watch", id);
    page_attribute(h, "data-state", state);
}

bool page_item_open(const json_t *item)
{
    const char *state = page_text(item, "state");
    return strcmp(state, "pending") == 0 || strcmp(state, "approved") == 0;
}

void page_command(struct html *h, const char *verb, const char *id)
{
    html_raw(h, "<pre>countersign ");
    html_str(h, verb);
    html_raw(h, " ");
    html_str(h, id);
    html_raw(h, "</pre>\n");
}

/* "1 person of support-lead, 2 of security": whose yes is asked for. */
static void item_needs(struct html *h, const json_t *item)
{
    size_t i;
    json_t *need;
    if (strcmp(page_text(item, "kind"), "key") == 0) {
        page_term(h, "Needs a yes from", "anyone else who may confirm keys");
        return;
    }
    html_raw(h, "<dt>Needs a yes from</dt><dd>");
    json_array_foreach(json_object_get(item, "needs"), i, need) {
        json_int_t count = json_integer_value(json_object_get(need, "count"));
        html_raw(h, i > 0 ? ", and " : "");
        html_number(h, count);
        html_raw(h, count == 1 ? " person of " : " persons of ");
        html_str(h, page_text(need, "group"));
        if (json_object_get(need, "method") != NULL)
            html_raw(h, strcmp(page_text(need, "method"), "hardware") == 0 ? ", with a key in hardware" : ", on the command line");
    }
    html_raw(h, "</dd>");
}

/* "Nobody of security is on duty until ...": said plainly, since else somebody waits for nothing. */
static void item_waits(struct html *h, const json_t *item)
{
    size_t i;
    json_t *need, *escalated = json_object_get(item, "escalated");
    json_array_foreach(json_object_get(item, "needs"), i, need)
        if (json_object_get(need, "off_duty_until") != NULL) {
            html_raw(h, "<dt>Nobody on duty</dt><dd>Nobody of ");
            html_str(h, page_text(need, "group"));
            html_raw(h, " is on duty at this hour, though each of them may answer.</dd>");
            page_when(h, "On duty again", need, "off_duty_until", false);
        }
    if (escalated == NULL)
        return;
    html_raw(h, "<dt>Brought before</dt><dd>");
    html_str(h, page_text(escalated, "group"));
    html_raw(h, strcmp(page_text(escalated, "why"), "late") == 0 ? ", since it waits so long" : ", since nobody who is asked is on duty");
    html_raw(h, "</dd>");
    page_when(h, "Told at", escalated, "at", false);
}

static void item_request(struct html *h, const json_t *item)
{
    char size[48];
    long long len = (long long)json_integer_value(json_object_get(item, "body_len"));
    html_raw(h, "<dt>Request</dt><dd><code>");
    html_str(h, page_text(item, "method"));
    html_raw(h, " https://");
    html_str(h, page_text(item, "authority"));
    html_str(h, page_text(item, "target"));
    html_raw(h, "</code></dd>");
    snprintf(size, sizeof size, "%lld byte%s", len, len == 1 ? "" : "s");
    page_term(h, "Body", size);
    html_raw(h, "<dt>Digest</dt><dd><code>");
    html_str(h, page_text(item, "digest"));
    html_raw(h, "</code></dd>");
}

static void item_decisions(struct html *h, const json_t *item)
{
    size_t i;
    json_t *d;
    json_array_foreach(json_object_get(item, "decisions"), i, d) {
        html_raw(h, strcmp(page_text(d, "decision"), "approve") == 0 ? "<dt>Yes from</dt><dd>" : "<dt>No from</dt><dd>");
        html_str(h, page_text(d, "person"));
        html_raw(h, ", signed with the key <code>");
        html_str(h, page_text(d, "key"));
        html_raw(h, "</code></dd>");
        page_when(h, "Signed at", d, "at", false);
        if (page_text(d, "reason")[0] != 0)
            page_term(h, "Why not", page_text(d, "reason"));
    }
}

/* Is it usual? Kept by authz, for held requests only. */
static void item_before(struct html *h, const json_t *item)
{
    const json_t *before = json_object_get(item, "before");
    json_int_t count = json_integer_value(json_object_get(before, "count")), theirs = json_integer_value(json_object_get(before, "by_requester"));
    char times[96];
    if (strcmp(page_text(item, "kind"), "signoff") != 0 || before == NULL)
        return;
    if (count == 0)
        snprintf(times, sizeof times, "never");
    else
        snprintf(times, sizeof times, "%lld time%s%s, %lld of them for who asks now", (long long)count, count == 1 ? "" : "s", count >= 10000 ? " or more" : "",
                 (long long)theirs);
    page_term(h, "Done before", times);
    page_when(h, "The last time", before, "last_at", false);
}

/* What else the requester did in this session. */
static void item_so_far(struct html *h, const json_t *item)
{
    const json_t *far = json_object_get(item, "so_far"), *held = json_object_get(far, "held");
    json_int_t count = json_integer_value(json_object_get(far, "exchanges"));
    char words[96];
    json_t *one;
    size_t i;
    if (!json_is_object(far))
        return;
    snprintf(words, sizeof words, "%lld exchange%s recorded", (long long)count, count == 1 ? "" : "s");
    page_term(h, "The session so far", words);
    page_when(h, "Its last exchange", far, "last_at", false);
    json_array_foreach((json_t *)(uintptr_t)held, i, one) {
        html_raw(h, "<dt>Held before in it</dt><dd>");
        html_str(h, page_text(one, "action"));
        html_raw(h, ": ");
        html_str(h, page_text(one, page_text(one, "outcome")[0] != 0 ? "outcome" : "state"));
        html_raw(h, ", ");
        html_time(h, (long long)json_integer_value(json_object_get(one, "created")));
        html_raw(h, "</dd>");
    }
}

static void item_actions(struct html *h, const json_t *item)
{
    const json_t *actions = json_object_get(item, "actions");
    size_t i;
    json_t *name;
    if (json_array_size(actions) == 0)
        return;
    html_raw(h, "<dt>Actions</dt><dd>");
    json_array_foreach((json_t *)(uintptr_t)actions, i, name) {
        const char *text = json_string_value(name) ? json_string_value(name) : "";
        html_raw(h, i > 0 ? ", " : "");
        html_str(h, strcmp(text, "*") == 0 ? "all that the policy gives" : text);
    }
    html_raw(h, "</dd>");
}

/* A new approval key: what its owner reads to whoever confirms it. */
static void item_key(struct html *h, const json_t *item)
{
    bool hardware = strcmp(page_text(item, "method"), "hardware") == 0;
    page_term(h, "Asks for", "a new approval key");
    page_term(h, "Named", page_text(item, "label"));
    html_raw(h, "<dt>Fingerprint</dt><dd><code>");
    html_str(h, page_text(item, "key"));
    html_raw(h, "</code></dd>");
    page_term(h, "Kind", strcmp(page_text(item, "method"), "command-line") == 0 ? "of a certificate, signs on the command line"
                         : hardware ? "bound to one device" : "a passkey that may be copied to the owner's other devices");
    page_term(h, "Algorithm", page_text(item, "alg"));
    page_when(h, "Counts from", item, "counts_from", false);
}

/* A change of the policy, a line each; then what is signed. */
static void item_policy(struct html *h, const json_t *item)
{
    html_raw(h, "<dt>Changes</dt><dd><ul>");
    for (const char *at = page_text(item, "changes"); *at != 0;) {
        size_t n = strcspn(at, "\n");
        html_raw(h, "<li>");
        html_text(h, slice_of(at, n));
        html_raw(h, "</li>");
        at += n + (at[n] == '\n');
    }
    html_raw(h, "</ul></dd><dt>From policy</dt><dd><code>");
    html_str(h, page_text(item, "was"));
    html_raw(h, "</code></dd><dt>To policy</dt><dd><code>");
    html_str(h, page_text(item, "policy"));
    html_raw(h, "</code></dd>");
}

void page_item_terms(struct html *h, const json_t *item, bool mine)
{
    char minutes[80];
    json_int_t duration_s = json_integer_value(json_object_get(item, "duration_s"));
    bool pending = strcmp(page_text(item, "state"), "pending") == 0, policy = strcmp(page_text(item, "kind"), "policy") == 0;
    html_raw(h, "<dl>");
    if (policy)
        page_term(h, "Asks for", "a change of the policy, as the config file now says");
    else if (!mine)
        page_term(h, "Who", page_text(item, "requester"));
    if (policy)
        item_policy(h, item);
    page_term(h, "Tool", page_text(item, "tool"));
    page_term(h, "Why", page_text(item, "reason"));
    if (duration_s > 0) {
        snprintf(minutes, sizeof minutes, "%lld min", (long long)((duration_s + 59) / 60));
        page_term(h, "For", minutes);
    }
    item_actions(h, item);
    json_int_t window_s = json_integer_value(json_object_get(item, "start_within_s"));
    if (window_s > 0) {
        snprintf(minutes, sizeof minutes, "with the first use, within %lld min", (long long)((window_s + 59) / 60));
        page_term(h, "Begins", minutes);
    }
    page_term(h, "You answer in the place of", page_text(item, "acting_for"));
    if (page_text(item, "extends")[0] != 0)
        page_term(h, "Extends", "access that is running: the same session, with a later end");
    page_term(h, "Action", page_text(item, "action"));
    if (strcmp(page_text(item, "kind"), "key") == 0)
        item_key(h, item);
    if (strcmp(page_text(item, "kind"), "signoff") == 0)
        item_request(h, item);
    item_before(h, item);
    item_so_far(h, item);
    page_budget(h, json_object_get(item, "budget"));
    page_when(h, "Asked", item, "created", false);
    if (pending) {
        item_needs(h, item);
        item_waits(h, item);
    }
    item_decisions(h, item);
    if (page_item_open(item) && (pending || !policy))
        page_when(h, pending ? "Waits until" : "Can run until", item, "expires", true);
    html_raw(h, "</dl>\n");
}

static const char *state_class(const char *state)
{
    bool good = strcmp(state, "approved") == 0 || strcmp(state, "granted") == 0, bad = strcmp(state, "denied") == 0 || strcmp(state, "expired") == 0;
    return good ? "state good" : bad ? "state bad" : "state";
}

void page_item_head(struct html *h, const json_t *item)
{
    html_raw(h, "<p");
    page_watch(h, page_text(item, "id"), page_text(item, "state"));
    html_raw(h, "><code>");
    html_str(h, page_text(item, "id"));
    html_raw(h, "</code> ");
    html_element(h, "span", state_class(page_text(item, "state")), page_text(item, "state"));
    html_raw(h, "</p>");
}

/* Where an approver answers: on the page that shows everything, or on the command line. */
static void how_to_answer(struct html *h, const char *id)
{
    html_raw(h, "<p><a class=\"button\" href=\"/items/");
    html_str(h, id);
    html_raw(h, "\">Look at it and answer</a></p>");
    html_element(h, "p", "soft", "Or on your own machine, where the command shows everything before it signs; deny instead of approve says no:");
    page_command(h, "approve", id);
}

static void put_item(struct html *h, const json_t *item, bool mine)
{
    const char *id = page_text(item, "id");
    bool held = strcmp(page_text(item, "kind"), "signoff") == 0;
    html_raw(h, "<div class=\"card\">");
    page_item_head(h, item);
    page_basis(h, item);
    page_item_terms(h, item, mine);
    if (mine && held) {
        html_raw(h, "<a class=\"button\" href=\"/held/");
        html_str(h, id);
        html_raw(h, strcmp(page_text(item, "state"), "approved") == 0 ? "\">Look and run it</a>" : "\">Look at it</a>");
    } else if (!mine) {
        how_to_answer(h, id);
    }
    if (mine)
        page_take_back(h, item, page_text(item, "requester"));
    html_raw(h, "</div>\n");
}

static size_t put_items(struct html *h, const json_t *list, bool mine, bool open)
{
    size_t i, n = 0;
    json_t *item;
    json_array_foreach((json_t *)(uintptr_t)list, i, item)
        if (page_item_open(item) == open) {
            if (h != NULL)
                put_item(h, item, mine);
            n++;
        }
    return n;
}

static void list_items(struct html *h, const json_t *list, const char *title, bool mine)
{
    if (put_items(NULL, list, mine, true) == 0)
        return;
    html_element(h, "h2", NULL, title);
    put_items(h, list, mine, true);
}

/* What is over is still there, but does not stand in the way. */
static void list_earlier(struct html *h, const json_t *requests, const json_t *held)
{
    size_t n = put_items(NULL, requests, true, false) + put_items(NULL, held, true, false);
    if (n == 0)
        return;
    html_raw(h, "<details><summary>Earlier requests (");
    html_number(h, (long long)n);
    html_raw(h, ")</summary>\n");
    put_items(h, held, true, false);
    put_items(h, requests, true, false);
    html_raw(h, "</details>\n");
}

static bool any_pending(const json_t *list)
{
    size_t i;
    json_t *item;
    json_array_foreach((json_t *)(uintptr_t)list, i, item)
        if (strcmp(page_text(item, "state"), "pending") == 0)
            return true;
    return false;
}

static void list_groups(struct html *h, const json_t *groups)
{
    size_t i;
    json_t *g;
    json_array_foreach((json_t *)(uintptr_t)groups, i, g) {
        html_raw(h, i > 0 ? ", " : json_array_size(groups) == 1 ? ", in the group " : ", in the groups ");
        html_str(h, json_string_value(g) ? json_string_value(g) : "");
    }
}

static bool needs_one_of(const struct need *needs, size_t count, const json_t *groups)
{
    size_t g;
    json_t *name;
    json_array_foreach((json_t *)(uintptr_t)groups, g, name)
        for (size_t i = 0; i < count; i++)
            if (json_is_string(name) && strcmp(needs[i].group, json_string_value(name)) == 0)
                return true;
    return false;
}

/* Is the viewer in a group whose yes some tool asks for? */
static bool answers(const struct config *c, const json_t *groups)
{
    for (size_t i = 0; c != NULL && i < c->tool_count; i++) {
        const struct tool *t = &c->tools[i];
        if (needs_one_of(t->approvers, t->approver_count, groups))
            return true;
        for (size_t n = 0; n < t->action_count; n++)
            if (needs_one_of(t->actions[n].signoff, t->actions[n].signoff_count, groups))
                return true;
    }
    return false;
}

/* What auditors and operators do is done on the command line: say so where they look first. */
static void list_roles(struct html *h, const json_t *status)
{
    if (json_is_true(json_object_get(status, "auditor"))) {
        html_element(h, "h2", NULL, "You are an auditor");
        html_raw(h, "<pre>countersign sessions --person NAME\ncountersign show|replay|verify SESSION</pre>\n");
        html_element(h, "p", "soft", "Each look at a session is written in the log.");
    }
    if (json_is_true(json_object_get(status, "operator"))) {
        html_element(h, "h2", NULL, "You are an operator");
        html_raw(h, "<p><a class=\"button\" href=\"/sessions\">Live sessions</a><a class=\"button\" href=\"/locks\">Locks</a></p>"
                    "<p class=\"soft\">Or on the command line:</p><pre>countersign lock person|cert|grant|tool VALUE --reason TEXT\ncountersign lock --list\ncountersign unlock ID --reason TEXT</pre>\n");
        html_element(h, "p", "soft", "A lock ends within a second whatever is running.");
    }
}

/* Whoever made a key in her name cannot keep it from her. */
static void tell_new_keys(struct html *h, const json_t *keys)
{
    size_t i;
    json_t *key;
    json_array_foreach((json_t *)(uintptr_t)keys, i, key) {
        html_raw(h, "<div class=\"next\">A new approval key was made in your name: <strong>");
        html_str(h, page_text(key, "label"));
        html_raw(h, "</strong>. If it is not yours, <a href=\"/keys\">remove it now</a> and tell your security team.</div>\n");
    }
}

void page_home(struct html *h, const struct config *c, const json_t *status, const json_t *pending, const struct page_asked *asked)
{
    html_begin(h, "Your access", "");
    page_live(h, "/", "");
    html_raw(h, "<p class=\"soft\">You are <strong>");
    html_str(h, page_text(status, "person"));
    html_raw(h, "</strong>, by your certificate");
    list_groups(h, json_object_get(status, "groups"));
    html_raw(h, ".</p>\n");
    if (asked->done && any_pending(json_object_get(status, "requests"))) {
        html_raw(h, "<div class=\"next\" role=\"status\">");
        html_str(h, "Your request is in. Another person has to approve it; this page shows it when that is done.");
        html_raw(h, "</div>\n");
    }
    page_break_glass_uses(h, json_object_get(pending, "break_glass"));
    tell_new_keys(h, json_object_get(status, "new_keys"));
    page_grants(h, c, json_object_get(status, "grants"), asked);
    list_items(h, json_object_get(status, "held"), "Your held requests", true);
    list_items(h, json_object_get(pending, "items"), "Waiting for a yes that could be yours", false);
    if (put_items(NULL, json_object_get(pending, "items"), false, true) == 0 && answers(c, json_object_get(status, "groups")))
        html_raw(h, "<h2>Waiting for a yes that could be yours</h2><p class=\"soft\">Nothing at the moment. What comes shows here by itself.</p>\n");
    list_items(h, json_object_get(status, "requests"), "Your requests for access", true);
    page_ask_form(h, c, json_object_get(status, "tools"), asked);
    page_break_glass_form(h, json_object_get(status, "tools"), asked);
    list_earlier(h, json_object_get(status, "requests"), json_object_get(status, "held"));
    html_raw(h, "<h2>Your approval keys</h2><p class=\"soft\">With one you sign your yes or no here in the browser: <a href=\"/keys\">look at your keys</a>, or let somebody answer in your place for a "
                "while: <a href=\"/delegates\">delegates</a>.</p>\n");
    list_roles(h, status);
    html_end(h);
}

void page_notice(struct html *h, const struct config *c, const char *grant_id, const char *tool, const char *to)
{
    const struct tool *t = c ? config_tool(c, slice_str(tool)) : NULL;
    html_begin(h, "This session is recorded", "");
    html_raw(h, "<p>Everything you see and do in <strong>");
    html_str(h, tool);
    html_raw(h, "</strong> under this grant is recorded: each page, each request, each file. Passwords you type, cookies and access tokens are left out. "
                "Auditors of your company can replay it; each look of theirs is logged.</p>\n");
    if (t != NULL && t->dom.enabled)
        html_raw(h, "<p>Your screen in this tool is recorded, too: while you use it your browser tells what its pages show, where you point and click, and that you type. What you type into fields is "
                    "kept as stars, except in fields that your company has named; passwords always are.</p>\n");
    html_raw(h, "<p>If you do not want that, close this page.</p>\n"
                "<form method=\"post\" action=\"/notice/");
    html_str(h, grant_id);
    html_raw(h, "\"><input type=\"hidden\" name=\"to\" value=\"");
    html_str(h, to);
    html_raw(h, "\"><button autofocus>I understand, go on</button></form>\n");
    html_end(h);
}

static const char *outcome_words(const json_t *item)
{
    const char *outcome = page_text(item, "outcome");
    if (strcmp(outcome, "answered") == 0)
        return "It ran, once, and the tool answered.";
    if (strcmp(outcome, "not-sent") == 0)
        return "The sign-off is used up, but the request did not reach the tool.";
    if (strcmp(outcome, "outcome-unknown") == 0)
        return "It was released, but whether the tool has run it is not known. Look in the tool before you ask again.";
    return "It was released and is running.";
}

static void held_next(struct html *h, const json_t *item, bool mine)
{
    const char *state = page_text(item, "state"), *id = page_text(item, "id");
    if (strcmp(state, "pending") == 0) {
        html_raw(h, "<div class=\"next\">");
        if (mine) {
            html_element(h, "p", NULL, "What to do next: ask somebody whose yes it needs to look at it.");
            page_command(h, "approve", id);
            html_raw(h, "<p>This page shows when they have. Without scripts in your browser: <a href=\"\">look again</a>.</p>");
        } else {
            how_to_answer(h, id);
        }
        html_raw(h, "</div>\n");
    } else if (strcmp(state, "approved") == 0 && mine) {
        html_raw(h, "<form class=\"next\" method=\"post\" action=\"/held/");
        html_str(h, id);
        html_raw(h, "/release\"><p>It runs exactly as shown, once, in your session. A file in the answer is downloaded, and this page stays.</p>"
                    "<button autofocus>Run it now</button></form>\n");
    } else if (strcmp(state, "approved") == 0) {
        html_raw(h, "<div class=\"next\">Only the one who asked can run it.</div>\n");
    } else if (strcmp(state, "used") == 0) {
        html_raw(h, "<div class=\"next\">It was released. ");
        html_str(h, outcome_words(item));
        html_raw(h, " To do it again, send it again in the tool; it then needs a new yes.</div>\n");
    } else {
        html_raw(h, "<div class=\"next\">It will not run. If it is still needed, send it again in the tool; it then needs a new yes.</div>\n");
    }
}

void page_held(struct html *h, const json_t *item, const char *viewer)
{
    bool mine = strcmp(page_text(item, "requester"), viewer) == 0;
    html_begin(h, strcmp(page_text(item, "state"), "approved") == 0 ? "Signed off: ready to run once" : "A held request", "");
    page_live(h, "/items/", page_text(item, "id"));
    page_item_head(h, item);
    html_raw(h, "<div class=\"card\">");
    page_item_terms(h, item, mine);
    html_raw(h, "</div>\n");
    held_next(h, item, mine);
    html_raw(h, "<p><a href=\"/\">Your access</a></p>\n");
    html_end(h);
}
