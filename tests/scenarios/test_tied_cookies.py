"""A tool's cookies that are named in `tied_cookies` are worth something to the identity that received them only (RFC 6265 s8: they are bearer tokens otherwise)."""
import pytest

from harness.config_text import BILLING, SUPPORT, action, tool
from harness.people import give_grant, hold, wait_until
from harness.recording import read_tar

PROTOS = ["h1", "h2"]


@pytest.fixture(scope="module")
def gw(origin):
    from harness.gateway import Gateway
    actions = [action("use", "/**"), action("export", "/export", "signoff")]
    g = Gateway(origin, tools=[tool("support", SUPPORT, origin.port, actions, tied_cookies=["sid", "app.*"]),
                               tool("billing", BILLING, origin.port, [action("use", "/**")], tied_cookies=["sid"])])
    for who in ("alice", "alice-2", "mallory"):
        give_grant(g.person(who), g.person("bob"))
    give_grant(g.person("alice"), g.person("bob"), tool="billing", host=BILLING)
    yield g
    g.finish()


def log_in(gw, origin, who="alice", proto="h1", fields=None):
    """{name: value} as the browser keeps them."""
    async def script(request, conn):
        await conn.answer(200, b"in", fields or [("Set-Cookie", "sid=s3cret; Path=/; HttpOnly; Secure"), ("Set-Cookie", "app.user=7; Path=/"), ("Set-Cookie", "theme=dark")])
    origin.on("/login", script)
    r = gw.person(who).get("/login", proto=proto)
    assert r.status == 200, r.body
    return dict(c.split(";")[0].split("=", 1) for c in r.all("set-cookie")), r


def sent(gw, origin, cookie, who="alice", proto="h1", host=SUPPORT):
    """What of the Cookie field reached the tool."""
    fields = [("Cookie", c) for c in cookie] if isinstance(cookie, list) else [("Cookie", cookie)]
    r = gw.person(who).request("GET", "/c", fields, host=host, proto=proto)
    assert r.status == 200, r.body
    return origin.last("/c").get("Cookie")


@pytest.mark.parametrize("proto", PROTOS)
def test_the_browser_keeps_a_tagged_value_and_the_tool_gets_its_own(gw, origin, proto):
    kept, r = log_in(gw, origin, proto=proto)
    assert kept["theme"] == "dark" and kept["sid"].endswith(".s3cret") and kept["sid"] != "s3cret" and kept["app.user"].endswith(".7")
    assert "; Path=/; HttpOnly; Secure" in r.all("set-cookie")[0]
    cookies = [f"{n}={v}" for n, v in kept.items()]
    assert sent(gw, origin, cookies if proto == "h2" else "; ".join(cookies), proto=proto) == "sid=s3cret; app.user=7; theme=dark"


@pytest.mark.parametrize("thief", ["mallory", "alice-2"])
def test_a_stolen_cookie_is_not_forwarded(gw, origin, thief):
    """To another person; and to the same person's other identity, since the tool knows identities."""
    kept, _ = log_in(gw, origin)
    assert sent(gw, origin, f"sid={kept['sid']}; theme=dark", thief) == "theme=dark"
    assert sent(gw, origin, f"sid={kept['sid']}", thief) is None
    assert sent(gw, origin, f"sid={kept['sid']}") == "sid=s3cret"
    wait_until(lambda: any(x.get("event") == "cookies.dropped" for x in gw.log_lines()), what="a line in the log")
    assert "s3cret" not in gw.log()


@pytest.mark.parametrize("proto", PROTOS)
@pytest.mark.parametrize("cookie", ["sid=s3cret", "sid=cs1.AAAAAAAAAAAAAAAAAAAAAA.s3cret", "SID=s3cret", "%73id=s3cret", "a=1,sid=s3cret", "sid[]=s3cret", "\xa0sid=s3cret", "app_user=7"])
def test_a_bare_planted_or_look_alike_cookie_is_not_forwarded(gw, origin, cookie, proto):
    assert "s3cret" not in (sent(gw, origin, cookie, proto=proto) or "") and "=7" not in (sent(gw, origin, cookie, proto=proto) or "")


def test_beside_a_planted_one_the_real_one_passes(gw, origin):
    kept, _ = log_in(gw, origin)
    assert sent(gw, origin, f"sid=planted; sid={kept['sid']}; sid=deeper") == "sid=s3cret"


def test_a_cookie_of_one_tool_is_worth_nothing_at_another(gw, origin):
    kept, _ = log_in(gw, origin)
    assert sent(gw, origin, f"sid={kept['sid']}", host=BILLING) is None


def test_logging_out_still_works(gw, origin):
    _, r = log_in(gw, origin, fields=[("Set-Cookie", "sid=; Max-Age=0; Path=/")])
    assert r.get("set-cookie").endswith("; Max-Age=0; Path=/") and r.get("set-cookie").startswith("sid=")


def test_a_held_request_has_the_tools_own_value(gw, origin):
    kept, _ = log_in(gw, origin)
    alice = gw.person("alice")
    held = hold(alice, fields=[("Cookie", f"sid={kept['sid']}"), ("Content-Type", "application/x-www-form-urlencoded")])
    assert gw.person("carol").decide(held["id"]).status in (200, 201)
    _, r = alice.release(held["id"])
    assert r.status == 200 and origin.last("/export").get("Cookie") == "sid=s3cret"


def test_it_outlives_a_restart(gw, origin):
    kept, _ = log_in(gw, origin)
    gw.restart()
    wait_until(lambda: gw.person("alice").get("/ready").status == 200, what="the grant")
    assert sent(gw, origin, f"sid={kept['sid']}") == "sid=s3cret"


def test_the_recording_has_one_fingerprint_for_what_was_set_and_what_came_back(gw, origin):
    kept, _ = log_in(gw, origin, fields=[("Set-Cookie", "sid=0nlyHere; Path=/")])
    assert sent(gw, origin, f"sid={kept['sid']}") == "sid=0nlyHere"

    def fingerprints(start):
        found = []
        for tar in gw.recordings():
            with open(tar, "rb") as f:
                found += [line[len(start):].split(b";")[0] for r in read_tar(f.read()) for line in r.block.split(b"\r\n") if line.lower().startswith(start)]
        return found
    set_, back = wait_until(lambda: (s := fingerprints(b"set-cookie: sid=")) and (c := fingerprints(b"cookie: sid=")) and s[-1] in c and (s, c), what="the recording")
    assert set_[-1] in back and b"0nlyHere" not in set_[-1]
