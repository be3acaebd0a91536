"""Hostile pages in real Chromium: one on another tool's host behind the same gateway, one on an unrelated site. Each attacks a tool and the console with everything a page
has; cross_origin.mjs says what must come of it. The tool keeps what reached it, for the script to read."""
import http.server
import json
import os
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

import real_chromium

from harness.config_text import CONSOLE, DOMAIN, SUPPORT, action, tool
from harness.gateway import Gateway, free_port
from harness.people import give_grant

EVIL = "evil." + DOMAIN
PAGE = b"<!doctype html><title>%s</title><h1>%s</h1>"
HOSTILE = [  # what a tool may send, and must not reach the browser
    ("Alt-Svc", 'h3=":443"; ma=86400'), ("NEL", '{"report_to":"x","max_age":86400}'), ("Report-To", '{"group":"x","max_age":86400,"endpoints":[{"url":"https://e.example"}]}'),
    ("Reporting-Endpoints", 'x="https://e.example"'), ("Service-Worker-Allowed", "/"), ("Strict-Transport-Security", "max-age=0"),
    ("Set-Cookie", f"tossed=1; Domain={DOMAIN}; Path=/"), ("Set-Cookie", f"sid=tossed; Domain=.{DOMAIN}; Path=/"),
    ("Access-Control-Allow-Origin", "*"), ("Access-Control-Allow-Credentials", "true"), ("Countersign-Grant", "x"),
]


class Site(http.server.ThreadingHTTPServer):
    """Answers every request, keeps it, and hands the kept ones out at /_seen of a port that only this test knows."""
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, name, evil=False):
        self.name, self.evil, self.seen, self.lock = name, evil, [], threading.Lock()
        super().__init__(("127.0.0.1", 0), Handler)
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except ConnectionError:       # Chromium was closed, or the gateway hung up on what nobody waited for
            self.close_connection = True

    def answer(self):
        site, body = self.server, self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        if path == "/_seen":
            with site.lock:
                return self.reply(json.dumps(site.seen).encode(), [("Content-Type", "application/json"), ("Access-Control-Allow-Origin", "*")])
        with site.lock:
            site.seen.append({"method": self.command, "path": self.path, "fields": {k.lower(): v for k, v in self.headers.items()}, "body": body.decode("latin-1")})
        fields = [("Content-Type", "text/html")]
        if path.endswith(".js"):
            fields = [("Content-Type", "text/javascript")]
        if path == "/login":
            fields += [("Set-Cookie", "sid=of-alice; Path=/; HttpOnly"), ("Set-Cookie", "theme=dark; Path=/")]
        if site.evil:
            fields += HOSTILE
        if path == "/events":
            fields = [("Content-Type", "text/event-stream"), *(HOSTILE if site.evil else [])]
        return self.reply(b"data: secret\n\n" if path == "/events" else b"/* secret */" if path.endswith(".js") else PAGE % (site.name.encode(), site.name.encode()), fields)

    def reply(self, body, fields):
        self.send_response(200)
        for name, value in fields:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_OPTIONS = do_PATCH = answer

    def log_message(self, *args):
        pass


def main():
    victim, evil, outside = Site("victim"), Site("evil tool", evil=True), Site("outside", evil=True)
    intranet = f"http://intranet.localhost:{outside.port}"
    tools = [tool("support", SUPPORT, victim.port, [action("tickets", "/tickets/**", methods=["GET", "PUT"], cross_origin=[intranet]), action("use", "/**"),
                                                    action("never", "/never/**", "deny")], tied_cookies=["sid"]),
             tool("evil", EVIL, evil.port, [action("use", "/**")])]
    gateway = Gateway(victim, change=lambda c: c.update(tools=tools))
    try:
        alice, bob = gateway.person("alice"), gateway.person("bob")
        grant = give_grant(alice, bob)["grant_id"]
        give_grant(alice, bob, tool="evil", host=EVIL)
        before = alice.status()
        code = real_chromium.run("cross_origin.mjs", gateway, {
            "home": real_chromium.profile(gateway, "alice"), "console": gateway.url(CONSOLE, ""), "tool": gateway.url(SUPPORT, ""), "evil": gateway.url(EVIL, ""),
            "outside": f"http://attacker.localhost:{outside.port}", "intranet": intranet, "seen": f"http://127.0.0.1:{victim.port}/_seen",
            "domain": DOMAIN, "grant": grant})
        check_console(gateway, before, alice)
        check_preflights(gateway, victim)
    finally:
        gateway.finish()
        print("step ok: the gateway ended without a report and left nothing running")
    return code


def check_console(gateway, before, alice):
    after = alice.status()
    assert [r["id"] for r in before["requests"]] == [r["id"] for r in after["requests"]] and not after["held"], f"a page asked in her name: {after}"
    assert gateway.person("olga").api_ok("GET", "/api/v1/locks")["locks"] == [], "a page locked somebody"
    print("step ok: nothing was asked, held or locked by any of the pages")


def check_preflights(gateway, victim):
    asked = [x for x in gateway.log_lines() if x.get("event") == "exchange" and x.get("method") == "OPTIONS"]
    allowed = [x for x in asked if x["status"] == 204]
    assert allowed and any(x["status"] == 403 for x in asked), f"preflights: {asked}"
    assert {bool(x.get("identity")) for x in allowed} == {True, False}, f"with and without a certificate: {allowed}"
    assert not any(r["method"] == "OPTIONS" for r in victim.seen), "a preflight was forwarded"
    print(f"step ok: {len(allowed)} preflights allowed, {len(asked) - len(allowed)} refused, with a certificate and without; none reached the tool")


if __name__ == "__main__":
    sys.exit(main())
