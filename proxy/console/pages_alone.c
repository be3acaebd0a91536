/* Access without a second person, as the console shows it: to everybody concerned at the top of their page, to who may do it as a form of its own, to who reviews it. */
#include "proxy/console/pages.h"
#include "proxy/console/pages_parts.h"

#include <string.h>

void page_basis(struct html *h, const json_t *o)
{
    const char *basis = page_text(o, "basis"), *rule = page_text(o, "rule");
    if (strcmp(basis, "break-glass") == 0)
        html_raw(h, "<p class=\"warn\">Break-glass: nobody approved this. Somebody else reviews it.</p>");
    else if (strcmp(basis, "auto") == 0) {
        html_raw(h, "<p class=\"soft\">Granted by rule");
        if (rule[0] != 0) {
            html_raw(h, " <strong>");
            html_str(h, rule);
            html_raw(h, "</strong>");
        }
        html_raw(h, ", without a second person.</p>");
    }
}

static void use_terms(struct html *h, const json_t *use)
{
    const json_t *done = json_object_get(use, "review");
    html_raw(h, "<dl>");
    page_term(h, "Who", page_text(use, "requester"));
    page_term(h, "Tool", page_text(use, "tool"));
    page_term(h, "Why", page_text(use, "reason"));
    page_when(h, "Since", use, "created", false);
    page_term(h, "Access", json_is_true(json_object_get(use, "live")) ? "still live" : "ended");
    html_raw(h, "<dt>Session</dt><dd><code>");
    html_str(h, page_text(use, "grant_id"));
    html_raw(h, "</code></dd>");
    if (json_is_object(done)) {
        page_term(h, "Review", strcmp(page_text(done, "outcome"), "justified") == 0 ? "justified" : "not justified");
        page_term(h, "By", page_text(done, "by"));
        page_term(h, "Found", page_text(done, "words"));
    } else {
        page_when(h, json_is_true(json_object_get(use, "overdue")) ? "Review was due" : "Review due", use, "expires", true);
    }
    html_raw(h, "</dl>");
}

void page_break_glass_uses(struct html *h, const json_t *uses)
{
    size_t i;
    json_t *use;
    json_array_foreach((json_t *)(uintptr_t)uses, i, use) {
        html_raw(h, "<div class=\"next\" role=\"alert\"><p class=\"warn\">Break-glass: access without a second person</p>");
        use_terms(h, use);
        if (json_is_true(json_object_get(use, "overdue")))
            html_element(h, "p", "warn", "Its review is overdue.");
        html_raw(h, "<p><a class=\"button\" href=\"/items/");
        html_str(h, page_text(use, "id"));
        html_raw(h, json_is_true(json_object_get(use, "yours")) ? "\">Review it</a></p>" : "\">Look at it</a></p>");
        if (json_is_true(json_object_get(use, "may_stop")))
            page_stop_form(h, page_text(use, "grant_id"));
        html_raw(h, "</div>\n");
    }
}

/* The tools that the viewer may open so; h NULL: only count. */
static size_t tool_options(struct html *h, const json_t *tools, const char *chosen, json_int_t *longest_s)
{
    size_t i, n = 0;
    json_t *t;
    json_array_foreach((json_t *)(uintptr_t)tools, i, t) {
        json_int_t most = json_integer_value(json_object_get(t, "break_glass_s"));
        if (most <= 0)
            continue;
        n++;
        if (h == NULL)
            continue;
        *longest_s = most > *longest_s ? most : *longest_s;
        html_raw(h, chosen != NULL && strcmp(chosen, page_text(t, "tool")) == 0 ? "<option selected" : "<option");
        page_attribute(h, "value", page_text(t, "tool"));
        html_raw(h, ">");
        html_str(h, page_text(t, "tool"));
        html_raw(h, " (at most ");
        html_number(h, (most + 59) / 60);
        html_raw(h, " min)</option>");
    }
    return n;
}

void page_break_glass_form(struct html *h, const json_t *tools, const struct page_asked *asked)
{
    json_int_t longest_s = 0;
    bool again = asked->basis != NULL && asked->basis[0] != 0 && asked->refused != NULL;
    if (tool_options(NULL, tools, NULL, &longest_s) == 0)
        return;
    html_raw(h, again ? "<details open>" : "<details>");
    html_raw(h, "<summary>An emergency, and nobody there to approve?</summary>");
    if (again)
        page_refused(h, asked);
    html_raw(h, "<form class=\"card\" method=\"post\" action=\"/ask\"><p class=\"warn\">You open the tool yourself. The approvers, operators and auditors are told at once, the session is "
                "marked, and somebody else reviews what you did.</p><input type=\"hidden\" name=\"basis\" value=\"break-glass\">"
                "<label for=\"glass-tool\">Tool</label><select id=\"glass-tool\" name=\"tool\">");
    tool_options(h, tools, asked->tool, &longest_s);
    html_raw(h, "</select><label for=\"glass-reason\">What is the emergency?</label><input id=\"glass-reason\" name=\"reason\" required minlength=\"3\" maxlength=\"500\" autocomplete=\"off\"");
    page_attribute(h, "value", again && asked->reason ? asked->reason : "");
    html_raw(h, "><label for=\"glass-minutes\">For how many minutes?</label><input id=\"glass-minutes\" name=\"minutes\" type=\"number\" min=\"1\" required max=\"");
    html_number(h, longest_s >= 60 ? longest_s / 60 : 1);
    html_raw(h, "\" value=\"");
    html_number(h, longest_s >= 60 ? longest_s / 60 : 1);
    html_raw(h, "\"><button>Break the glass</button></form></details>\n");
}

/* ---- the review ---- */

static void review_form(struct html *h, const json_t *use, const json_t *keys)
{
    html_raw(h, "<div class=\"next\"><p>Look at the session first, or ask an auditor to: what was done, does it fit the reason, was there nobody to ask?</p>");
    if (page_key_options(NULL, keys) == 0) {
        html_raw(h, "<p>You have no key that counts in this browser. <a href=\"/keys\">Make one</a>, or say on the command line what you found:</p>");
    } else {
        html_raw(h, "<form data-sign=\"review\"");
        page_attribute(h, "data-review", page_text(use, "id"));
        page_attribute(h, "data-requester", page_text(use, "requester"));
        page_attribute(h, "data-tool", page_text(use, "tool"));
        page_attribute(h, "data-reason", page_text(use, "reason"));
        page_attribute(h, "data-session", page_text(use, "grant_id"));
        html_raw(h, "><label for=\"words\">What did you find?</label><input id=\"words\" name=\"words\" required minlength=\"3\" maxlength=\"500\" autocomplete=\"off\">"
                    "<label for=\"key\">Your key</label><select id=\"key\" name=\"key\">");
        (void)page_key_options(h, keys);
        html_raw(h, "</select><button value=\"justified\">Justified, sign it</button><button class=\"no\" value=\"not-justified\">Not justified, sign it</button>"
                    "<p role=\"status\" class=\"soft\"></p><noscript><p class=\"warn\">Signing needs this page's script; or the command line.</p></noscript></form>"
                    "<p class=\"soft\">Or on the command line:</p>");
    }
    html_raw(h, "<pre>countersign review ");
    html_str(h, page_text(use, "id"));
    html_raw(h, " --justified|--not-justified --words TEXT</pre></div>\n");
}

void page_review(struct html *h, const struct page_item *p)
{
    html_begin(h, "A use of break-glass", "");
    if (p->done != NULL)
        html_element(h, "p", "next", "Signed: your review is in.");
    page_item_head(h, p->item);
    html_raw(h, "<div class=\"card\">");
    use_terms(h, p->item);
    html_raw(h, "</div>\n");
    if (json_is_true(json_object_get(p->item, "yours")))
        review_form(h, p->item, p->keys);
    else if (strcmp(page_text(p->item, "state"), "pending") == 0)
        html_element(h, "p", "soft", strcmp(page_text(p->item, "requester"), p->viewer) == 0 ? "You used it, so another person reviews it."
                                                                                             : "Another person, in a group that may, reviews it.");
    html_raw(h, "<p><a href=\"/\">Your access</a></p>\n");
    html_end_signing(h);
}
