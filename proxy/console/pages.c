#include "proxy/console/pages.h"

#include "proxy/base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *text(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}

static void term(struct html *h, const char *name, const char *value)
{
    if (value[0] == 0)
        return;
    html_element(h, "dt", NULL, name);
    html_element(h, "dd", NULL, value);
}

static void when(struct html *h, const char *name, const json_t *o, const char *member)
{
    char at[CLOCK_TEXT_MAX];
    json_int_t s = json_integer_value(json_object_get(o, member));
    if (s <= 0)
        return;
    clock_rfc3339(s * 1000, at);
    at[10] = ' ';
    memcpy(at + 19, " UTC", 5);
    term(h, name, at);
}

static void command(struct html *h, const char *verb, const char *id)
{
    html_raw(h, "<pre>countersign ");
    html_str(h, verb);
    html_raw(h, " ");
    html_str(h, id);
    html_raw(h, "</pre>\n");
}

static void item_terms(struct html *h, const json_t *item)
{
    char size[48];
    html_raw(h, "<dl>");
    term(h, "Who", text(item, "requester"));
    term(h, "Tool", text(item, "tool"));
    term(h, "Why", text(item, "reason"));
    term(h, "Action", text(item, "action"));
    if (text(item, "method")[0] != 0) {
        html_raw(h, "<dt>Request</dt><dd><code>");
        html_str(h, text(item, "method"));
        html_raw(h, " https://");
        html_str(h, text(item, "authority"));
        html_str(h, text(item, "target"));
        html_raw(h, "</code></dd>");
        snprintf(size, sizeof size, "%lld bytes", (long long)json_integer_value(json_object_get(item, "body_len")));
        term(h, "Body", size);
        html_raw(h, "<dt>Digest</dt><dd><code>");
        html_str(h, text(item, "digest"));
        html_raw(h, "</code></dd>");
    }
    when(h, "Asked", item, "created");
    when(h, "Waits until", item, "expires");
    html_raw(h, "</dl>\n");
}

static void item_head(struct html *h, const json_t *item)
{
    html_raw(h, "<code>");
    html_str(h, text(item, "id"));
    html_raw(h, "</code> <span class=\"state\">");
    html_str(h, text(item, "state"));
    html_raw(h, "</span>");
}

static void list_items(struct html *h, const json_t *list, const char *title, bool mine)
{
    size_t i;
    json_t *item;
    if (json_array_size(list) == 0)
        return;
    html_element(h, "h2", NULL, title);
    json_array_foreach((json_t *)(uintptr_t)list, i, item) {
        const char *id = text(item, "id");
        bool held = strcmp(text(item, "kind"), "signoff") == 0;
        html_raw(h, "<div class=\"card\">");
        item_head(h, item);
        item_terms(h, item);
        if (mine && held) {
            html_raw(h, "<a class=\"button\" href=\"/held/");
            html_str(h, id);
            html_raw(h, "\">Open</a>");
        } else if (!mine) {
            html_element(h, "p", "soft", "Say yes or no with your own key, on your machine; it shows you exactly what you sign:");
            command(h, "approve", id);
        }
        html_raw(h, "</div>\n");
    }
}

static void list_grants(struct html *h, const struct config *c, const json_t *grants)
{
    size_t i;
    json_t *g;
    if (json_array_size(grants) == 0)
        return;
    html_element(h, "h2", NULL, "Your grants");
    json_array_foreach((json_t *)(uintptr_t)grants, i, g) {
        const struct tool *tool = config_tool(c, slice_str(text(g, "tool")));
        char *origin = tool ? config_origin(c, tool->host) : NULL;
        html_raw(h, "<div class=\"card\"><strong>");
        html_str(h, text(g, "tool"));
        html_raw(h, "</strong><dl>");
        term(h, "Why", text(g, "reason"));
        when(h, "Until", g, "exp");
        when(h, "Until", g, "expires");
        html_raw(h, "</dl>");
        if (origin != NULL) {
            html_raw(h, "<a class=\"button\" href=\"");
            html_str(h, origin);
            html_raw(h, "/\">Open the tool</a>");
        }
        html_raw(h, "</div>\n");
        free(origin);
    }
}

static void ask_form(struct html *h, const json_t *tools, const char *chosen)
{
    size_t i;
    json_t *t;
    html_element(h, "h2", NULL, "Ask for access");
    if (json_array_size(tools) == 0) {
        html_element(h, "p", "soft", "There is no tool that you may ask for.");
        return;
    }
    html_raw(h, "<form class=\"card\" method=\"post\" action=\"/ask\"><label for=\"tool\">Tool</label><select id=\"tool\" name=\"tool\">");
    json_array_foreach((json_t *)(uintptr_t)tools, i, t) {
        const char *name = text(t, "tool");
        html_raw(h, chosen != NULL && strcmp(chosen, name) == 0 ? "<option selected>" : "<option>");
        html_str(h, name);
        html_raw(h, "</option>");
    }
    html_raw(h, "</select><label for=\"reason\">Why do you need it?</label>"
                "<textarea id=\"reason\" name=\"reason\" rows=\"3\" required minlength=\"3\" maxlength=\"500\"></textarea>"
                "<label for=\"minutes\">For how many minutes?</label>"
                "<input id=\"minutes\" name=\"minutes\" type=\"number\" min=\"1\" max=\"10080\" value=\"30\" required>"
                "<p class=\"soft\">Another person approves it. Everything you do in the tool is recorded.</p>"
                "<button>Ask</button></form>\n");
}

void page_home(struct html *h, const struct config *c, const json_t *status, const json_t *pending, const char *chosen, const char *message)
{
    html_begin(h, "Your access");
    html_raw(h, "<p class=\"soft\">You are <strong>");
    html_str(h, text(status, "person"));
    html_raw(h, "</strong>, by your certificate.</p>\n");
    if (message != NULL)
        html_element(h, "div", "next", message);
    list_grants(h, c, json_object_get(status, "grants"));
    list_items(h, json_object_get(status, "held"), "Your held requests", true);
    list_items(h, json_object_get(pending, "items"), "Waiting for a yes that could be yours", false);
    list_items(h, json_object_get(status, "requests"), "Your requests for access", true);
    ask_form(h, json_object_get(status, "tools"), chosen);
    html_end(h);
}

void page_notice(struct html *h, const struct config *c, const char *grant_id, const char *tool, const char *to)
{
    (void)c;
    html_begin(h, "This session is recorded");
    html_raw(h, "<p>Everything you see and do in <strong>");
    html_str(h, tool);
    html_raw(h, "</strong> under this grant is recorded: each page, each request, each file. Passwords are left out. Auditors of your company can replay it.</p>\n"
                "<form method=\"post\" action=\"/notice/");
    html_str(h, grant_id);
    html_raw(h, "\"><input type=\"hidden\" name=\"to\" value=\"");
    html_str(h, to);
    html_raw(h, "\"><button autofocus>I understand, go on</button></form>\n");
    html_end(h);
}

static void list_decisions(struct html *h, const json_t *item)
{
    size_t i;
    json_t *d;
    json_array_foreach(json_object_get(item, "decisions"), i, d) {
        html_raw(h, "<p><strong>");
        html_str(h, text(d, "person"));
        html_raw(h, "</strong> said ");
        html_str(h, strcmp(text(d, "decision"), "approve") == 0 ? "yes" : "no");
        html_raw(h, ", with key <code>");
        html_str(h, text(d, "key"));
        html_raw(h, "</code></p>\n");
    }
}

void page_held(struct html *h, const json_t *item)
{
    const char *state = text(item, "state"), *id = text(item, "id");
    html_begin(h, strcmp(state, "approved") == 0 ? "Signed off: ready to run once" : "A held request");
    item_head(h, item);
    html_raw(h, "<div class=\"card\">");
    item_terms(h, item);
    list_decisions(h, item);
    html_raw(h, "</div>\n");
    if (strcmp(state, "pending") == 0) {
        html_raw(h, "<div class=\"next\"><strong>What to do next.</strong> Ask an approver to look at it:");
        command(h, "approve", id);
        html_raw(h, "Then <a href=\"\">look again</a>.</div>\n");
    } else if (strcmp(state, "approved") == 0) {
        html_raw(h, "<form class=\"next\" method=\"post\" action=\"/held/");
        html_str(h, id);
        html_raw(h, "/release\">It runs exactly as shown, once, in your session.<br><button autofocus>Run it now</button></form>\n");
    } else if (strcmp(state, "used") == 0) {
        html_raw(h, "<div class=\"next\">It was released. Outcome: <strong>");
        html_str(h, text(item, "outcome"));
        html_raw(h, "</strong>. To do it again, ask again.</div>\n");
    } else {
        html_raw(h, "<div class=\"next\">It will not run. If you still need it, send it again in the tool and ask another approver.</div>\n");
    }
    html_raw(h, "<p><a href=\"/\">Your access</a></p>\n");
    html_end(h);
}
