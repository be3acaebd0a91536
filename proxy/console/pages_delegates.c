/* Delegates: who answers in somebody else's place, with the form to name one, by signing, and to end one. */
#include "proxy/console/pages.h"
#include "proxy/console/pages_parts.h"

#include <string.h>

static void names(struct html *h, const char *title, const json_t *list)
{
    size_t i;
    json_t *name;
    html_raw(h, "<dt>");
    html_raw(h, title);
    html_raw(h, "</dt><dd>");
    json_array_foreach((json_t *)(uintptr_t)list, i, name) {
        const char *text = json_string_value(name) ? json_string_value(name) : "";
        html_raw(h, i > 0 ? ", " : "");
        html_str(h, strcmp(text, "*") == 0 ? "all tools" : strcmp(text, "signoff") == 0 ? "sign-offs" : text);
    }
    html_raw(h, "</dd>");
}

static void card(struct html *h, const json_t *d)
{
    const char *id = page_text(d, "id");
    html_raw(h, "<div class=\"card\"><strong>");
    html_str(h, page_text(d, "delegate"));
    html_raw(h, "</strong> answers in the place of <strong>");
    html_str(h, page_text(d, "delegator"));
    html_raw(h, "</strong><dl>");
    names(h, "At", json_object_get(d, "tools"));
    names(h, "For", json_object_get(d, "kinds"));
    page_when(h, "Since", d, "from", false);
    page_when(h, "Until", d, "until", true);
    html_raw(h, "</dl><details><summary>End it</summary><form method=\"post\" action=\"/delegates/");
    html_str(h, id);
    html_raw(h, "/withdraw\">");
    page_why(h, id);
    html_raw(h, "<button>End it now</button></form></details></div>\n");
}

static void form(struct html *h, const struct config *c, const json_t *keys)
{
    html_raw(h, "<h2>Name a delegate</h2>");
    if (page_key_options(NULL, keys) == 0) {
        page_no_key(h, "name somebody");
        html_raw(h, "<pre>countersign delegate PERSON --tool TOOLS --until TIME</pre></div>\n");
        return;
    }
    html_raw(h, "<form class=\"card\" data-sign=\"delegate\"><label for=\"person\">Who answers in your place?</label><input id=\"person\" name=\"person\" required maxlength=\"64\" autocomplete=\"off\">"
                "<fieldset><legend>At which tools?</legend>");
    for (size_t i = 0; i < c->tool_count; i++)
        page_tick(h, "tool", "", c->tools[i].name, false);
    html_raw(h, "</fieldset><fieldset><legend>For what?</legend>");
    page_tick(h, "kind", "", "access", true);
    page_tick(h, "kind", "", "signoff", true);
    html_raw(h, "</fieldset><label for=\"hours\">For how many hours?</label><input id=\"hours\" name=\"hours\" type=\"number\" min=\"1\" required value=\"8\" max=\"");
    html_number(h, (long long)(c->delegation_max_ms / 3600000));
    html_raw(h, "\">");
    page_key_choice(h, keys);
    html_raw(h, "<p class=\"soft\">Their yes fills your place and no other: never twice, never for a request of yours or of theirs. They cannot hand it on.</p>"
                "<button value=\"approve\">Name them, sign</button>");
    page_signing_end(h, "name somebody");
}

void page_delegates(struct html *h, const struct config *c, const json_t *list, const json_t *keys, bool named)
{
    size_t i;
    json_t *d;
    html_begin(h, "Delegates", "");
    if (named)
        html_element(h, "p", "next", "Signed: they answer in your place from now on.");
    if (json_array_size(list) == 0)
        html_element(h, "p", "soft", "Nobody answers in your place, or you in somebody's.");
    json_array_foreach((json_t *)(uintptr_t)list, i, d)
        card(h, d);
    if (c->delegation_max_ms > 0)
        form(h, c, keys);
    html_raw(h, "<p><a href=\"/\">Your access</a></p>\n");
    html_end_signing(h);
}
