/* Asking: the form for access, to all of a tool or to some of its actions; the grants one has, what is left of them, more time for one; taking back. */
#include "proxy/console/pages.h"
#include "proxy/console/pages_parts.h"

#include "authz/alone.h"
#include "proxy/base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void page_attribute(struct html *h, const char *name, const char *value)
{
    html_raw(h, " ");
    html_raw(h, name);
    html_raw(h, "=\"");
    html_exact(h, value);
    html_raw(h, "\"");
}

void page_tick(struct html *h, const char *name, const char *before_value, const char *value, bool ticked)
{
    html_raw(h, "<label class=\"tick\"><input type=\"checkbox\"");
    page_attribute(h, "name", name);
    html_raw(h, " value=\"");
    html_str(h, before_value);
    html_str(h, value);
    html_raw(h, ticked ? "\" checked>" : "\">");
    html_str(h, value);
    html_raw(h, "</label>");
}

/* ---- what is left of a budget ---- */

static void put_bytes(struct html *h, long long n)
{
    static const char *const units[] = { " bytes", " KiB", " MiB", " GiB" };
    size_t unit = 0;
    for (; n >= 10 * 1024 && unit < 3; n /= 1024)
        unit++;
    html_number(h, n);
    html_raw(h, units[unit]);
}

/* "480 of 500 requests", "2 of 3 times export", "4 of 5 different customer". */
static void budget_line(struct html *h, const json_t *line)
{
    const char *name = page_text(line, "name");
    json_int_t left = json_integer_value(json_object_get(line, "left")), max = json_integer_value(json_object_get(line, "max"));
    bool bytes = strcmp(name, "bytes_out") == 0, action = strncmp(name, "action:", 7) == 0, distinct = strncmp(name, "distinct:", 9) == 0;
    left = left > 0 ? left : 0;
    bytes ? put_bytes(h, left) : html_number(h, left);
    html_raw(h, " of ");
    bytes ? put_bytes(h, max) : html_number(h, max);
    html_raw(h, bytes ? " delivered" : action ? " times " : distinct ? " different values of " : " ");
    html_str(h, bytes ? "" : action ? name + 7 : distinct ? name + 9 : name);
}

void page_budget(struct html *h, const json_t *budget)
{
    size_t i;
    json_t *line;
    if (json_array_size(budget) == 0)
        return;
    html_raw(h, "<dt>Budget left</dt><dd>");
    json_array_foreach((json_t *)(uintptr_t)budget, i, line) {
        html_raw(h, i > 0 ? "<br>" : "");
        budget_line(h, line);
    }
    html_raw(h, "</dd>");
}

static bool is_spent(const json_t *budget)
{
    size_t i;
    json_t *line;
    json_array_foreach((json_t *)(uintptr_t)budget, i, line)
        if (json_integer_value(json_object_get(line, "left")) <= 0)
            return true;
    return false;
}

/* ---- grants ---- */

void page_refused(struct html *h, const struct page_asked *asked)
{
    html_raw(h, "<div class=\"next\" role=\"alert\"><p class=\"warn\">");
    html_sentence(h, asked->refused);
    html_raw(h, "</p><p>");
    html_sentence(h, asked->next ? asked->next : "");
    html_raw(h, "</p></div>\n");
}

/* The same session with a later end: asked for like access, and approved like it. */
static void extend_form(struct html *h, const char *id, const char *tool, long long longest, const struct page_asked *asked)
{
    bool again = asked->refused != NULL && asked->extends != NULL && strcmp(asked->extends, id) == 0;
    html_raw(h, again ? "<details open>" : "<details>");
    html_raw(h, "<summary>Need more time?</summary>");
    if (again)
        page_refused(h, asked);
    html_raw(h, "<form method=\"post\" action=\"/ask\"><input type=\"hidden\" name=\"extends\"");
    page_attribute(h, "value", id);
    html_raw(h, "><input type=\"hidden\" name=\"tool\"");
    page_attribute(h, "value", tool);
    html_raw(h, "><label for=\"why-");
    html_str(h, id);
    html_raw(h, "\">Why?</label><input name=\"reason\" required minlength=\"3\" maxlength=\"500\" autocomplete=\"off\" id=\"why-");
    html_str(h, id);
    html_raw(h, "\"");
    page_attribute(h, "value", again && asked->reason ? asked->reason : "");
    html_raw(h, "><label for=\"for-");
    html_str(h, id);
    html_raw(h, "\">For how many minutes, from the yes on?</label><input name=\"minutes\" type=\"number\" min=\"1\" required id=\"for-");
    html_str(h, id);
    html_raw(h, "\" max=\"");
    html_number(h, longest > 0 ? longest : 10080);
    html_raw(h, "\" value=\"");
    html_number(h, longest > 0 && longest < 30 ? longest : 30);
    html_raw(h, "\"><p class=\"soft\">Another person approves it. What you have stays as it is meanwhile, and your session goes on.</p><button>Ask for more time</button></form></details>");
}

static void grant_card(struct html *h, const struct config *c, const json_t *g, const struct page_asked *asked)
{
    const struct tool *tool = config_tool(c, slice_str(page_text(g, "tool")));
    char *origin = tool ? config_origin(c, tool->host) : NULL;
    html_raw(h, "<div class=\"card\"");
    page_watch(h, page_text(g, "grant_id"), "live");
    html_raw(h, "><strong>");
    html_str(h, page_text(g, "tool"));
    html_raw(h, "</strong>");
    page_basis(h, g);
    html_raw(h, "<dl>");
    json_int_t start_s = json_integer_value(json_object_get(g, "start_s"));
    char begins[64];
    snprintf(begins, sizeof begins, "for %lld min from the first use on", (long long)((start_s + 59) / 60));
    if (start_s > 0)
        page_term(h, "Waits", begins);
    page_when(h, start_s > 0 ? "Use it until" : "Until", g, "exp", true);
    page_budget(h, json_object_get(g, "budget"));
    html_raw(h, "</dl>");
    if (is_spent(json_object_get(g, "budget")))
        html_element(h, "p", "warn", "A part of the budget is used up. If you need more, ask for access anew: another yes brings a new budget.");
    if (origin != NULL) {
        html_raw(h, "<a class=\"button\" href=\"");
        html_str(h, origin);
        html_raw(h, "/\">Open the tool</a>");
        if (!basis_is_alone(page_text(g, "basis")) && start_s == 0)
            extend_form(h, page_text(g, "grant_id"), tool->name, (long long)(tool->max_duration_ms / 60000), asked);
    }
    html_raw(h, "</div>\n");
    free(origin);
}

void page_grants(struct html *h, const struct config *c, const json_t *grants, const struct page_asked *asked)
{
    size_t i;
    json_t *g;
    if (json_array_size(grants) == 0)
        return;
    html_element(h, "h2", NULL, "Your grants");
    json_array_foreach((json_t *)(uintptr_t)grants, i, g)
        grant_card(h, c, g, asked);
}

/* ---- the form to ask ---- */

/* The longest grant of a tool; 0 if it has left the config since. */
static long long tool_minutes(const struct config *c, const json_t *t)
{
    const struct tool *tool = config_tool(c, slice_str(page_text(t, "tool")));
    return tool ? (long long)(tool->max_duration_ms / 60000) : 0;
}

/* The options, each with its longest time; true if `chosen` is one of them, or nothing was chosen. */
static bool ask_tools(struct html *h, const struct config *c, const json_t *tools, const char *chosen, long long *longest)
{
    size_t i;
    json_t *t;
    bool found = chosen == NULL || chosen[0] == 0;
    json_array_foreach((json_t *)(uintptr_t)tools, i, t) {
        const char *name = page_text(t, "tool");
        bool is_chosen = chosen != NULL && strcmp(chosen, name) == 0;
        long long minutes = tool_minutes(c, t);
        found = found || is_chosen;
        *longest = minutes > *longest ? minutes : *longest;
        html_raw(h, is_chosen ? "<option selected value=\"" : "<option value=\"");
        html_str(h, name);
        html_raw(h, "\">");
        html_str(h, name);
        if (minutes > 0) {
            html_raw(h, " (at most ");
            html_number(h, minutes);
            html_raw(h, " min)");
        }
        html_raw(h, "</option>");
    }
    return found;
}

static bool was_ticked(const json_t *only, const char *tool, const char *action)
{
    size_t i, len = strlen(tool);
    json_t *each;
    json_array_foreach((json_t *)(uintptr_t)only, i, each) {
        const char *text = json_string_value(each) ? json_string_value(each) : "";
        if (strncmp(text, tool, len) == 0 && text[len] == ':' && strcmp(text + len + 1, action) == 0)
            return true;
    }
    return false;
}

/* What may be asked for one by one: of each tool the actions that its policy does not always deny. */
static void ask_actions(struct html *h, const struct config *c, const json_t *tools, const struct page_asked *asked)
{
    size_t i;
    json_t *t;
    html_raw(h, json_array_size(asked->only) > 0 ? "<details open>" : "<details>");
    html_raw(h, "<summary>Only for some actions</summary><p class=\"soft\">Nothing ticked: for all that the policy gives you.</p>");
    json_array_foreach((json_t *)(uintptr_t)tools, i, t) {
        const struct tool *tool = config_tool(c, slice_str(page_text(t, "tool")));
        char before[40];
        if (tool == NULL || tool->action_count == 0)
            continue;
        snprintf(before, sizeof before, "%s:", tool->name);
        html_raw(h, "<fieldset><legend>In ");
        html_str(h, tool->name);
        html_raw(h, "</legend>");
        for (size_t n = 0; n < tool->action_count; n++)
            if (tool->actions[n].requirement != NEED_DENY)
                page_tick(h, "only", before, tool->actions[n].name, was_ticked(asked->only, tool->name, tool->actions[n].name));
        html_raw(h, "</fieldset>");
    }
    html_raw(h, "</details>");
}

/* The time may begin with the first use, where a tool allows it. */
static void ask_window(struct html *h, const struct config *c, const json_t *tools)
{
    size_t i;
    json_t *t;
    long long longest = 0;
    json_array_foreach((json_t *)(uintptr_t)tools, i, t) {
        const struct tool *tool = config_tool(c, slice_str(page_text(t, "tool")));
        longest = tool != NULL && tool->start_within_ms / 60000 > longest ? (long long)(tool->start_within_ms / 60000) : longest;
    }
    if (longest == 0)
        return;
    html_raw(h, "<label for=\"window\">Begin with the first use, within how many minutes?</label><input id=\"window\" name=\"window\" type=\"number\" min=\"0\" aria-describedby=\"window-help\" max=\"");
    html_number(h, longest);
    html_raw(h, "\"><p class=\"soft\" id=\"window-help\">Empty: it begins with the yes.</p>");
}

static void may_not_ask(struct html *h, const char *chosen)
{
    html_raw(h, "<p>You may not ask for <strong>");
    html_str(h, chosen);
    html_raw(h, "</strong>. If your work needs it, ask the people who keep its policy.</p>\n");
}

static void ask_fields(struct html *h, const struct config *c, const json_t *tools, const struct page_asked *asked, long long longest)
{
    html_raw(h, "</select><label for=\"reason\">Why do you need it?</label>"
                "<input id=\"reason\" name=\"reason\" required minlength=\"3\" maxlength=\"500\" autocomplete=\"off\" aria-describedby=\"who-reads\" value=\"");
    html_str(h, asked->reason ? asked->reason : "");
    html_raw(h, "\"><p class=\"soft\" id=\"who-reads\">The approver and the auditors read it: name the ticket or the customer.</p>"
                "<label for=\"minutes\">For how many minutes?</label><input id=\"minutes\" name=\"minutes\" type=\"number\" min=\"1\" max=\"");
    html_number(h, longest > 0 ? longest : 10080);
    html_raw(h, "\" value=\"");
    if (asked->minutes != NULL && asked->minutes[0] != 0)
        html_str(h, asked->minutes);
    else
        html_number(h, longest > 0 && longest < 30 ? longest : 30);
    html_raw(h, "\" required>");
    ask_window(h, c, tools);
    ask_actions(h, c, tools, asked);
    html_raw(h, "<p class=\"soft\">Another person approves it. Everything you do in the tool is recorded.</p><button>Ask</button></form>\n");
}

void page_ask_form(struct html *h, const struct config *c, const json_t *tools, const struct page_asked *asked)
{
    static const struct page_asked nothing = { 0 };
    long long longest = 0;
    const char *chosen = asked->tool;
    html_element(h, "h2", NULL, "Ask for access");
    if (json_array_size(tools) == 0) {
        if (chosen != NULL && chosen[0] != 0)
            may_not_ask(h, chosen);
        html_element(h, "p", "soft", "There is no tool that your groups may ask for.");
        return;
    }
    if ((asked->extends != NULL && asked->extends[0] != 0) || (asked->basis != NULL && asked->basis[0] != 0))
        asked = &nothing;             /* it was not this form that was sent */
    if (asked->refused != NULL)
        page_refused(h, asked);
    html_raw(h, "<form class=\"card\" method=\"post\" action=\"/ask\"><label for=\"tool\">Tool</label><select id=\"tool\" name=\"tool\">");
    bool found = ask_tools(h, c, tools, chosen, &longest);
    ask_fields(h, c, tools, asked, longest);
    if (!found)
        may_not_ask(h, chosen);
}

/* ---- taking back ---- */

static bool said_yes(const json_t *item, const char *viewer, json_int_t *last_s)
{
    size_t i;
    json_t *d;
    bool yes = false;
    json_array_foreach(json_object_get(item, "decisions"), i, d) {
        json_int_t at = json_integer_value(json_object_get(d, "at"));
        *last_s = at > *last_s ? at : *last_s;
        yes = yes || (strcmp(page_text(d, "person"), viewer) == 0 && strcmp(page_text(d, "decision"), "approve") == 0);
    }
    return yes;
}

void page_take_back(struct html *h, const json_t *item, const char *viewer)
{
    json_int_t last_s = 0;
    const char *id = page_text(item, "id");
    bool mine = strcmp(page_text(item, "requester"), viewer) == 0, yes = said_yes(item, viewer, &last_s), granted = strcmp(page_text(item, "state"), "granted") == 0;
    json_int_t created = json_integer_value(json_object_get(item, "created"));
    last_s = (last_s > created ? last_s : created) + json_integer_value(json_object_get(item, "start_within_s"));   /* nobody said yes to some; some begin later */
    bool live = page_item_open(item) || (granted && last_s + json_integer_value(json_object_get(item, "duration_s")) > clock_wall_s());
    bool policy = strcmp(page_text(item, "kind"), "policy") == 0 && strcmp(page_text(item, "state"), "approved") == 0;
    if (strcmp(page_text(item, "kind"), "key") == 0 || policy || !live || (!mine && !yes))
        return;
    html_raw(h, "<details><summary>");
    html_raw(h, mine && granted ? "End this access now" : mine ? "Withdraw it" : "Take your yes back");
    html_raw(h, "</summary><form method=\"post\" action=\"/items/");
    html_str(h, id);
    html_raw(h, "/withdraw\"><label for=\"back-");
    html_str(h, id);
    html_raw(h, "\">Why?</label><input name=\"reason\" required minlength=\"3\" maxlength=\"500\" autocomplete=\"off\" id=\"back-");
    html_str(h, id);
    html_raw(h, granted ? "\"><p class=\"soft\">The access ends at once, with what is open in the tool.</p><button>" : "\"><p class=\"soft\">It will not run and gives no access.</p><button>");
    html_raw(h, mine && granted ? "End it" : mine ? "Withdraw" : "Take it back");
    html_raw(h, "</button></form></details>");
}
