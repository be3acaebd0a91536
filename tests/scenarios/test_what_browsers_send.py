"""What real browsers and tools say to each other (WHATWG URL, cookies a field each, addresses of a tool's own, WebDAV's second address, logins of whole connections) passes, and gets
round no rule. What is refused names the setting that would allow it."""
import http.server
import threading

import pytest

from harness.config_text import SUPPORT_ACTIONS, action, tool
from harness.people import give_grant

TOLD, DAV, LOGIN = "told.test.localhost", "dav.test.localhost", "login.test.localhost"


@pytest.fixture(scope="module")
def login_port():
    """A tool that logs in connections, not requests, as NTLM and Negotiate do."""
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        who = None

        def do_GET(self):
            scheme, _, name = (self.headers["Authorization"] or "").partition(" ")
            if scheme in ("NTLM", "Negotiate"):
                self.who = name
            body = (self.who or "nobody").encode()
            self.send_response(200 if self.who else 401)
            if not self.who:
                self.send_header("WWW-Authenticate", "NTLM")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def gw(origin, login_port):
    from harness.gateway import Gateway

    def change(config):
        config["workers"] = 1
        config["tools"] += [tool("told", TOLD, origin.port, [action("use", "/**")], upstream_host="localhost:9091", upstream_origin="http://localhost:9091"),
                            tool("dav", DAV, origin.port, SUPPORT_ACTIONS), tool("login", LOGIN, login_port, [action("use", "/**")])]
    g = Gateway(origin, change=change)
    for name, host in (("support", "support.test.localhost"), ("told", TOLD), ("dav", DAV)):
        give_grant(g.person("alice"), g.person("bob"), tool=name, host=host)
    yield g
    g.finish()


PASSES = [("/a/[id].js", "/a/%5Bid%5D.js"), ("/a|b^c", "/a%7Cb%5Ec"), ("/100%", "/100%25"), ("/5%/a", "/5%25/a"), ("/find?q=50%", "/find?q=50%25"), ("/find?q=50%&a=%zz", "/find?q=50%25&a=%25zz"),
          ("/find?a[]=1&b={|}^`\\", "/find?a[]=1&b={|}^`\\"), ("/a;b=c,d+e", "/a;b=c,d+e"), ("/a?", "/a?"), ("/a./b..", "/a./b.."), ("/caf%C3%A9?x=%E9", "/caf%C3%A9?x=%E9"), ("/'(a)!*~", "/'(a)!*~")]


@pytest.mark.parametrize("proto", ["h1", "h2"])
@pytest.mark.parametrize("sent, normal", PASSES)
def test_targets_as_browsers_send_them(gw, origin, proto, sent, normal):
    assert gw.person("alice").get(sent, proto=proto).status == 200
    assert origin.last().target == normal


@pytest.mark.parametrize("target", ["/exports/[a]", "/exports/100%", "/exports/a|b", "/report?x=50%&format=csv", "/report?x=%&format=csv"])
def test_such_targets_get_round_no_rule(gw, origin, target):
    assert gw.person("alice").get(target).problem == "signoff-required" and origin.count() == 0


@pytest.mark.parametrize("target, setting", [("/a//b", "empty-segment"), ("/a%2Fb", "encoded-slash"), ("/a%5Cb", "backslash"), ("/a%252Fb", "double-encoding"), ("/a%%32%46b", "double-encoding")])
def test_what_is_refused_names_the_setting(gw, origin, target, setting):
    r = gw.person("alice").get(target)
    assert (r.status, r.problem) == (400, "bad-target") and f'allow_in_target = [ "{setting}" ]' in r.json()["detail"] and origin.count() == 0


@pytest.mark.parametrize("target", ["/%u0065xport", "/a?b=%u0065"])
def test_escapes_of_old_scripts_are_refused(gw, origin, target):
    assert gw.person("alice").get(target).problem == "bad-target" and origin.count() == 0


def test_many_cookies_a_field_each(gw, origin):
    """As Chromium sends them over HTTP/2; as many as it keeps for a host."""
    cookies = [("cookie", f"name{i}=value-{i}") for i in range(180)]
    assert gw.person("alice").get("/a", cookies, proto="h2").status == 200
    assert origin.last().all("cookie") == ["; ".join(v for _, v in cookies)]
    assert gw.person("alice").get("/a", [*cookies, *((f"x-{i}", "1") for i in range(101))], proto="h2").status == 431


@pytest.mark.parametrize("proto", ["h1", "h2"])
def test_a_tool_that_knows_one_name(gw, origin, proto):
    alice, public = gw.person("alice"), f"https://{TOLD}:{gw.port}"
    with (alice.h1(TOLD) if proto == "h1" else alice.h2(TOLD)) as c:
        assert c.request("POST", "/a", [("Origin", public), ("Referer", public + "/b?c"), ("Sec-Fetch-Site", "same-origin")], b"x").status == 200
        r = origin.last()
        assert (r.get("host"), r.get("origin"), r.get("referer"), r.get("x-forwarded-host")) == ("localhost:9091", "http://localhost:9091", "http://localhost:9091/b?c", f"{TOLD}:{gw.port}")
        assert c.request("POST", "/a", [("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site")], b"x").problem == "cross-origin"
    assert alice.request("POST", "/a", [("Origin", "http://localhost:9091")], b"x", host=TOLD, proto=proto).problem == "cross-origin"


def test_webdav_goes_to_both_addresses_or_to_none(gw, origin):
    def move(to, method="MOVE"):
        return gw.person("alice").request(method, "/files/a", [("Destination", to)], host=DAV)
    public = f"https://{DAV}:{gw.port}"
    assert move(public + "/files/%62").status == 200
    assert origin.last().all("destination") == [f"http://{DAV}:{gw.port}/files/b"]
    assert move("/files/[c]", "COPY").status == 200 and origin.last().all("destination") == [f"http://{DAV}:{gw.port}/files/%5Bc%5D"]
    assert move("an-id", "COPY").status == 200 and origin.last().all("destination") == ["an-id"]
    before = origin.count()
    for to in (public + "/internal/a", "/internal/a", public + "/internal%2e/../internal/x", public + "/exports/a", "/exports/a"):
        assert move(to).status in (400, 403), to
    assert "covers one address" in move("/exports/a").json()["detail"] and move("/internal/a").problem == "not-allowed"
    for to in ("https://other.test.localhost/files/a", f"https://{DAV}/files/a", public + "/files/../internal/a", public + "/a//b", public + "/a?b", "files/a", "../internal/a", "..", "%2e%2e", "",
               f"https://{DAV}:{gw.port}@evil/a", public):
        assert move(to).status == 400, to
    twice = gw.person("alice").request("MOVE", "/files/a", [("Destination", "/files/b"), ("Destination", "/internal/a")], host=DAV)
    assert twice.problem == "bad-field" and origin.count() == before


def test_a_login_of_a_connection_is_nobody_elses(gw):
    alice, mallory, bob = gw.person("alice"), gw.person("mallory"), gw.person("bob")
    for who in (alice, mallory):
        give_grant(who, bob, tool="login", host=LOGIN, notice=False)
    with alice.h1(LOGIN) as a, mallory.h1(LOGIN) as m:
        for _ in range(2):
            assert m.request("GET", "/").status == 401
        assert a.request("GET", "/", [("Authorization", "NTLM alice")]).body == b"alice"
        assert a.request("GET", "/").body == b"alice"            # her connection goes on being hers, as the scheme needs it
        for _ in range(3):
            r = m.request("GET", "/")
            assert (r.status, r.body) == (401, b"nobody")
        assert m.request("GET", "/", [("Authorization", "Negotiate mallory")]).body == b"mallory"
        assert (a.request("GET", "/").body, m.request("GET", "/").body) == (b"alice", b"mallory")
    with mallory.h1(LOGIN) as again:
        assert again.request("GET", "/").body == b"nobody"


@pytest.mark.parametrize("told, public", [("http://127.0.0.1:{tool}/a", True), ("http://{host}:{tool}/a?b", True), ("http://{host}/a", True), ("https://{host}/a", True), ("//{host}/a", True),
                                          ("http://{host}.evil/a", False), ("https://other.example/a", False), ("/a", False)])
def test_where_a_tool_leads_to(gw, origin, told, public):
    host = "support.test.localhost"
    told = told.format(tool=origin.port, host=host)

    async def script(_, c):
        await c.answer(302, fields=[("Location", told), ("Content-Location", told), ("Refresh", f"0; url={told}")])
    origin.on("/leads", script)
    r = gw.person("alice").get("/leads")
    wanted = f"https://{host}:{gw.port}/a" + ("?b" if told.endswith("?b") else "") if public else told
    assert (r.get("location"), r.get("content-location"), r.get("refresh")) == (wanted, wanted, f"0; url={wanted}")
