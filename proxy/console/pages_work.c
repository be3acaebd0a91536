/* Where approvers work: one request in full and the answer to it; keys. */
#include "proxy/console/pages.h"
#include "proxy/console/pages_parts.h"
#include "proxy/console/request_view.h"

#include "proxy/base/clock.h"

#include <stdio.h>

/* ---- one request ---- */

static bool counts_in_browser(const json_t *key)
{
    const json_t *from = json_object_get(key, "counts_from");
    return strcmp(page_text(key, "method"), "command-line") != 0 && json_is_integer(from) && json_integer_value(from) <= clock_wall_s() && strcmp(page_text(key, "state"), "approved") == 0;
}

size_t page_key_options(struct html *h, const json_t *keys)
{
    size_t i, n = 0;
    json_t *key;
    json_array_foreach((json_t *)(uintptr_t)keys, i, key) {
        if (!counts_in_browser(key))
            continue;
        n++;
        if (h == NULL)
            continue;
        html_raw(h, "<option");
        page_attribute(h, "value", page_text(key, "key"));
        html_raw(h, ">");
        html_str(h, page_text(key, "label"));
        html_raw(h, strcmp(page_text(key, "method"), "hardware") == 0 ? " (bound to one device)" : " (passkey)");
        html_raw(h, "</option>");
    }
    return n;
}

void page_no_key(struct html *h, const char *what)
{
    html_raw(h, "<div class=\"next\"><p>You have no key that counts in this browser. <a href=\"/keys\">Make one</a>, or ");
    html_str(h, what);
    html_raw(h, " on the command line:</p>");
}

void page_key_choice(struct html *h, const json_t *keys)
{
    html_raw(h, "<label for=\"key\">Your key</label><select id=\"key\" name=\"key\">");
    (void)page_key_options(h, keys);
    html_raw(h, "</select>");
}

void page_signing_end(struct html *h, const char *what)
{
    html_raw(h, "<p role=\"status\" class=\"soft\"></p><noscript><p class=\"warn\">Signing needs this page's script; or ");
    html_str(h, what);
    html_raw(h, " on the command line.</p></noscript></form>\n");
}

void page_why(struct html *h, const char *id)
{
    html_raw(h, "<label");
    page_attribute(h, "for", id);
    html_raw(h, ">Why?</label><input name=\"reason\" required minlength=\"3\" maxlength=\"500\" autocomplete=\"off\"");
    page_attribute(h, "id", id);
    html_raw(h, ">");
}

/* "a,b", or "*", as a statement names them. */
static void asked_actions(struct html *h, const json_t *item)
{
    size_t i;
    json_t *name;
    json_array_foreach(json_object_get(item, "actions"), i, name) {
        html_raw(h, i > 0 ? "," : "");
        html_str(h, json_string_value(name) ? json_string_value(name) : "");
    }
}

/* What the script compares with the statement that it is asked to have signed. */
static void shown_facts(struct html *h, const json_t *item)
{
    const char *kind = page_text(item, "kind");
    char duration[24];
    snprintf(duration, sizeof duration, "%lld", (long long)json_integer_value(json_object_get(item, "duration_s")));
    page_attribute(h, "data-item", page_text(item, "id"));
    page_attribute(h, "data-purpose", strcmp(kind, "key") == 0 ? "register-key" : kind);
    page_attribute(h, "data-requester", page_text(item, "requester"));
    page_attribute(h, "data-digest", page_text(item, "digest"));
    page_attribute(h, "data-tool", page_text(item, "tool"));
    page_attribute(h, "data-duration", duration);
    page_attribute(h, "data-reason", page_text(item, "reason"));
    page_attribute(h, "data-extends", page_text(item, "extends"));
    page_attribute(h, "data-new-key", page_text(item, "key"));
    page_attribute(h, "data-acting-for", page_text(item, "acting_for"));
    snprintf(duration, sizeof duration, "%lld", (long long)json_integer_value(json_object_get(item, "start_within_s")));
    page_attribute(h, "data-start-within", duration);
    page_attribute(h, "data-policy", page_text(item, "policy"));
    page_attribute(h, "data-was", page_text(item, "was"));
    page_attribute(h, "data-changes", page_text(item, "changes"));
    html_raw(h, " data-actions=\"");
    asked_actions(h, item);
    html_raw(h, "\"");
}

static bool asked_for(const json_t *item, const char *action)
{
    size_t i;
    json_t *name;
    json_array_foreach(json_object_get(item, "actions"), i, name)
        if (json_is_string(name) && (strcmp(json_string_value(name), "*") == 0 || strcmp(json_string_value(name), action) == 0))
            return true;
    return false;
}

/* A yes may be for less: shorter, or for fewer actions. */
static void less_fields(struct html *h, const struct page_item *p)
{
    const struct tool *tool = config_tool(p->config, slice_str(page_text(p->item, "tool")));
    json_int_t minutes = (json_integer_value(json_object_get(p->item, "duration_s")) + 59) / 60;
    size_t count = 0;
    html_raw(h, "<label for=\"minutes\">Yes for how many minutes?</label><input id=\"minutes\" name=\"minutes\" type=\"number\" min=\"1\" required max=\"");
    html_number(h, minutes);
    html_raw(h, "\" value=\"");
    html_number(h, minutes);
    html_raw(h, "\">");
    for (size_t i = 0; tool != NULL && i < tool->action_count; i++)
        count += tool->actions[i].requirement != NEED_DENY && asked_for(p->item, tool->actions[i].name);
    if (count < 2)
        return;
    html_raw(h, "<fieldset><legend>Yes for which actions?</legend>");
    for (size_t i = 0; i < tool->action_count; i++)
        if (tool->actions[i].requirement != NEED_DENY && asked_for(p->item, tool->actions[i].name))
            page_tick(h, "action", "", tool->actions[i].name, true);
    html_raw(h, "</fieldset>");
}

static void by_command(struct html *h, const json_t *item)
{
    html_raw(h, "<details><summary>Answer on the command line instead</summary>");
    html_element(h, "p", "soft", "It computes what it shows from the request's bytes, on your own machine, and signs with your certificate's key. deny instead of approve says no.");
    page_command(h, "approve", page_text(item, "id"));
    html_raw(h, "</details>\n");
}

static void answer_form(struct html *h, const struct page_item *p)
{
    bool key = strcmp(page_text(p->item, "kind"), "key") == 0, access = strcmp(page_text(p->item, "kind"), "access") == 0;
    if (page_key_options(NULL, p->keys) == 0) {
        page_no_key(h, "answer");
        page_command(h, "approve", page_text(p->item, "id"));
        html_raw(h, "</div>\n");
        return;
    }
    html_raw(h, "<form class=\"next\" data-sign=\"decide\"");
    shown_facts(h, p->item);
    html_raw(h, "><p>");
    html_raw(h, key ? "A yes makes this key's signatures count as the owner's. Ask them, in person or by phone, to read you its fingerprint."
                : access ? "Your yes covers what stands above, for as long and for the actions that you choose here. It is signed with your key and kept in the log."
                         : "Your answer covers exactly what stands above, and is signed with your key. It is kept in the log.");
    html_raw(h, "</p>");
    if (access)
        less_fields(h, p);
    page_key_choice(h, p->keys);
    html_raw(h, "<button value=\"approve\">Yes, sign it</button>"
                "<label for=\"why\">If no: why? (who asked reads it)</label><input id=\"why\" name=\"why\" maxlength=\"500\" autocomplete=\"off\">"
                "<button class=\"no\" value=\"deny\">No, sign it</button>");
    page_signing_end(h, "answer");
    by_command(h, p->item);
}

/* Who comes too late is told so, and what became of it. */
static void over(struct html *h, const json_t *item)
{
    const char *state = page_text(item, "state");
    bool yes = strcmp(state, "granted") == 0 || strcmp(state, "approved") == 0 || strcmp(state, "used") == 0;
    html_element(h, "p", "next", strcmp(state, "expired") == 0 ? "Nobody answered in time, so there is nothing left to answer. Who asked can ask anew."
                                 : strcmp(state, "cancelled") == 0 ? "It was taken back, so there is nothing left to answer."
                                 : strcmp(state, "denied") == 0 ? "It was answered with a no already: there is nothing left to answer. Who asked can ask anew."
                                 : yes ? "It has every yes that it needs: there is nothing left to answer."
                                       : "There is nothing left to answer.");
}

void page_item(struct html *h, const struct page_item *p)
{
    const char *kind = page_text(p->item, "kind");
    bool mine = strcmp(page_text(p->item, "requester"), p->viewer) == 0, pending = strcmp(page_text(p->item, "state"), "pending") == 0;
    if (strcmp(kind, "review") == 0) {
        page_review(h, p);
        return;
    }
    html_begin(h, strcmp(kind, "key") == 0       ? "A new approval key"
                  : strcmp(kind, "policy") == 0 ? "A change of the policy"
                  : strcmp(kind, "access") == 0 ? "A request for access"
                                                : "A held request", "");
    if (p->done != NULL && !pending)
        html_element(h, "p", "next", strcmp(p->done, "approve") == 0 ? "Signed: your yes is in." : "Signed: your no is in.");
    else if (p->done != NULL)
        html_element(h, "p", "next", "Signed: your answer is in. It waits for others.");
    if (pending)
        page_live(h, "/items/", page_text(p->item, "id"));
    page_item_head(h, p->item);
    html_raw(h, "<div class=\"card\">");
    page_basis(h, p->item);
    page_item_terms(h, p->item, mine);
    if (p->has_body)
        request_view_body(h, p->content_type, p->content_coding, p->body);
    html_raw(h, "</div>\n");
    if (pending && !mine && p->done == NULL)
        answer_form(h, p);
    else if (!mine && p->done == NULL)
        over(h, p->item);
    else if (mine && strcmp(kind, "signoff") == 0) {
        html_raw(h, "<p><a class=\"button\"");
        html_raw(h, " href=\"/held/");
        html_str(h, page_text(p->item, "id"));
        html_raw(h, "\">What you can do</a></p>\n");
    }
    page_take_back(h, p->item, p->viewer);
    html_raw(h, "<p><a href=\"/\">Your access</a></p>\n");
    html_end_signing(h);
}

/* ---- keys ---- */

static void key_card(struct html *h, const json_t *key)
{
    const char *method = page_text(key, "method"), *id = page_text(key, "id");
    bool pending = strcmp(page_text(key, "state"), "pending") == 0, file = strcmp(method, "command-line") == 0;
    html_raw(h, "<div class=\"card\"><strong>");
    html_str(h, file ? "Your certificate's key" : page_text(key, "label"));
    html_raw(h, "</strong> <span class=\"state\">");
    html_raw(h, pending ? "waits for another person's yes" : (file && json_object_get(key, "counts_from") == NULL) || counts_in_browser(key) ? "counts" : "confirmed, counts later");
    html_raw(h, "</span><dl>");
    page_term(h, "Kind", file ? "signs on the command line" : strcmp(method, "hardware") == 0 ? "bound to one device" : "passkey, may be copied to your other devices");
    html_raw(h, "<dt>Fingerprint</dt><dd><code>");
    html_str(h, page_text(key, "key"));
    html_raw(h, "</code></dd>");
    page_when(h, "Made", key, "created", false);
    page_when(h, "Counts from", key, "counts_from", false);
    page_when(h, "Ends", key, "not_after", true);
    html_raw(h, "</dl>");
    if (pending)
        html_element(h, "p", NULL, "Read the fingerprint to somebody who may confirm it; they find it on their own console.");
    if (!file) {
        html_raw(h, "<details><summary>Lost, or not yours?</summary><form method=\"post\"");
        html_raw(h, " action=\"/keys/");
        html_str(h, id);
        html_raw(h, "/remove\">");
        page_why(h, id);
        html_raw(h, "<button class=\"stop\">Remove this key now</button></form></details>");
    }
    html_raw(h, "</div>\n");
}

void page_keys(struct html *h, const json_t *keys, bool made)
{
    size_t i;
    json_t *key;
    html_begin(h, "Your approval keys", "");
    if (made)
        html_element(h, "p", "next", "Your key is made. It counts once another person has confirmed its fingerprint.");
    if (json_array_size(keys) == 0)
        html_element(h, "p", "soft", "You have none yet.");
    json_array_foreach((json_t *)(uintptr_t)keys, i, key)
        key_card(h, key);
    html_raw(h, "<h2>Make a key in this browser</h2><form class=\"card\" data-sign=\"register\"><label for=\"label\">Name it</label>"
                "<input id=\"label\" name=\"label\" required maxlength=\"64\" autocomplete=\"off\" aria-describedby=\"label-help\">"
                "<p class=\"soft\" id=\"label-help\">So that you know it again: blue key ring, work laptop.</p>"
                "<p class=\"soft\">The browser asks for your security key, your finger, your face or a PIN. Another person then has to confirm the key.</p>"
                "<button value=\"register\">Make a key</button><p role=\"status\" class=\"soft\"></p>"
                "<noscript><p class=\"warn\">Making a key needs this page's script.</p></noscript></form>\n<p><a href=\"/\">Your access</a></p>\n");
    html_end_signing(h);
}
