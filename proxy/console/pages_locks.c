/* Where operators work: live sessions, each with a button that stops it; locks, each lifted by a signature. */
#include "proxy/console/pages.h"
#include "proxy/console/pages_parts.h"

#include <string.h>

void page_stop_form(struct html *h, const char *grant_id)
{
    html_raw(h, "<details><summary>Stop it</summary><form method=\"post\" action=\"/locks\"><input type=\"hidden\" name=\"kind\" value=\"grant\">"
                "<input type=\"hidden\" name=\"value\"");
    page_attribute(h, "value", grant_id);
    html_raw(h, ">");
    page_why(h, grant_id);
    html_raw(h, "<button class=\"stop\">Stop this session now</button></form></details>");
}

void page_sessions(struct html *h, const json_t *live, bool may_stop)
{
    size_t i;
    json_t *g;
    html_begin(h, "Live sessions", "");
    if (json_array_size(live) == 0)
        html_element(h, "p", "soft", "Nobody has access to a tool at the moment.");
    json_array_foreach((json_t *)(uintptr_t)live, i, g) {
        html_raw(h, "<div class=\"card\"><strong>");
        html_str(h, page_text(g, "person"));
        html_raw(h, "</strong> in <strong>");
        html_str(h, page_text(g, "tool"));
        html_raw(h, "</strong>");
        page_basis(h, g);
        html_raw(h, "<dl>");
        page_term(h, "Identity", page_text(g, "identity"));
        page_term(h, "Why", page_text(g, "reason"));
        page_when(h, "Since", g, "iat", false);
        page_when(h, "Until", g, "exp", true);
        html_raw(h, "<dt>Session</dt><dd><code>");
        html_str(h, page_text(g, "grant_id"));
        html_raw(h, "</code></dd></dl>");
        if (may_stop)
            page_stop_form(h, page_text(g, "grant_id"));
        html_raw(h, "</div>\n");
    }
    html_raw(h, "<p><a href=\"/locks\">Locks</a></p><p><a href=\"/\">Your access</a></p>\n");
    html_end(h);
}

/* Lifting is signed: here, with a key that signs in the browser, or by the command. */
static void lift_form(struct html *h, const json_t *lock, const json_t *keys)
{
    const char *id = page_text(lock, "id");
    if (page_key_options(NULL, keys) == 0)
        return;
    html_raw(h, "<details><summary>Lift it</summary><form data-sign=\"unlock\"");
    page_attribute(h, "data-lock", id);
    page_attribute(h, "data-kind", page_text(lock, "kind"));
    page_attribute(h, "data-value", page_text(lock, "value"));
    html_raw(h, "><label for=\"why-");
    html_str(h, id);
    html_raw(h, "\">Why may it go on?</label><input name=\"reason\" required minlength=\"3\" maxlength=\"500\" autocomplete=\"off\" id=\"why-");
    html_str(h, id);
    html_raw(h, "\"><label for=\"key-");
    html_str(h, id);
    html_raw(h, "\">Your key</label><select name=\"key\" id=\"key-");
    html_str(h, id);
    html_raw(h, "\">");
    (void)page_key_options(h, keys);
    html_raw(h, "</select><button value=\"approve\">Lift it, sign</button><p role=\"status\" class=\"soft\"></p>"
                "<noscript><p class=\"warn\">Signing needs this page's script; or lift it on the command line.</p></noscript></form></details>");
}

static void lock_card(struct html *h, const json_t *lock, const struct page_lock_list *p)
{
    const char *id = page_text(lock, "id");
    html_raw(h, "<div class=\"card\"><strong>");
    html_str(h, page_text(lock, "kind"));
    html_raw(h, "</strong> <code>");
    html_str(h, page_text(lock, "value"));
    html_raw(h, "</code><dl>");
    page_term(h, "Why", page_text(lock, "reason"));
    page_term(h, "By", page_text(lock, "by"));
    page_when(h, "Since", lock, "at", false);
    html_raw(h, "</dl><p class=\"soft\">Lifting it takes an operator's signature, and never that of whom it stops.");
    if (p->may_lift) {
        html_raw(h, " On the command line: <code>countersign unlock ");
        html_str(h, id);
        html_raw(h, " --reason &quot;&hellip;&quot;</code></p>");
        lift_form(h, lock, p->keys);
    } else {
        html_raw(h, "</p>");
    }
    html_raw(h, "</div>\n");
}

static void lock_form(struct html *h)
{
    html_raw(h, "<h2>Lock something now</h2><form class=\"card\" method=\"post\" action=\"/locks\"><label for=\"kind\">What</label>"
                "<select id=\"kind\" name=\"kind\"><option value=\"person\">A person</option><option value=\"identity\">One identity of a person</option><option value=\"cert\">A certificate</option>"
                "<option value=\"grant\">One session</option><option value=\"tool\">A tool</option><option value=\"everything\">Everything</option></select>"
                "<label for=\"value\">Which one</label><input id=\"value\" name=\"value\" required maxlength=\"320\" autocomplete=\"off\" aria-describedby=\"value-help\">"
                "<p class=\"soft\" id=\"value-help\">A person's or tool's name, an identity (the address in the certificate), a certificate's thumbprint, a session's id; for everything: *</p>"
                "<label for=\"reason\">Why</label><input id=\"reason\" name=\"reason\" required minlength=\"3\" maxlength=\"500\" autocomplete=\"off\">"
                "<button class=\"stop\">Lock it</button><p class=\"soft\">What is running ends within a second.</p></form>\n");
}

void page_locks(struct html *h, const struct page_lock_list *p)
{
    size_t i;
    json_t *lock;
    html_begin(h, "Locks", "");
    if (p->lifted)
        html_element(h, "p", "next", "Signed: the lock is lifted. What it ended stays ended; people ask for access anew.");
    if (json_array_size(p->locks) == 0)
        html_element(h, "p", "soft", "Nothing is locked.");
    json_array_foreach((json_t *)(uintptr_t)p->locks, i, lock)
        lock_card(h, lock, p);
    if (p->may_lift)
        lock_form(h);
    if (p->may_lift && json_array_size(p->locks) > 0 && page_key_options(NULL, p->keys) == 0)
        html_raw(h, "<p class=\"soft\">With a key of yours that signs in the browser, locks can be lifted on this page: <a href=\"/keys\">make one</a>.</p>\n");
    html_raw(h, "<p><a href=\"/sessions\">Live sessions</a></p><p><a href=\"/\">Your access</a></p>\n");
    html_end_signing(h);
}
