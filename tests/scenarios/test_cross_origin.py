"""Pages of other origins: refused, unless the policy names the origin for the tool or for one action; preflights are answered from the policy, without a certificate, and never
forwarded; a tool cannot open itself to others (Fetch, "CORS protocol"). tests/browser/run_cross_origin.py asks Chromium the same."""
import pytest

from harness.config_text import BILLING, CONSOLE, SUPPORT, action, tool
from harness.people import give_grant, hold

PARTNER, NARROW, EVIL = "https://intranet.example", "http://reports.example:8080", "https://evil.example"
PROTOS = ["h1", "h2"]


@pytest.fixture(scope="module")
def gw(origin):
    from harness.gateway import Gateway
    actions = [action("tickets", "/tickets/**", methods=["GET", "PUT"], cross_origin=[NARROW]), action("export", "/export", "signoff"),
               action("notes", "/notes", methods=["POST"], body=[{"name": "kind", "equals": "note"}], cross_origin=[NARROW]),
               action("use", "/**"), action("never", "/never/**", "deny")]
    g = Gateway(origin, tools=[tool("support", SUPPORT, origin.port, actions, cross_origin=[PARTNER]), tool("billing", BILLING, origin.port, [action("use", "/**")])])
    give_grant(g.person("alice"), g.person("bob"))
    yield g
    g.finish()


def preflight(who, target, origin_value, method="PUT", more=(), host=SUPPORT, proto="h1"):
    return who.request("OPTIONS", target, [("Origin", origin_value), ("Access-Control-Request-Method", method), *more], host=host, proto=proto)


PREFLIGHTS = {  # who asks, what, and is it allowed
    "the tool's partner": (PARTNER, "/anything", "DELETE", True),
    "the partner, what is held": (PARTNER, "/export", "POST", True),
    "the partner, what never is": (PARTNER, "/never/1", "PUT", False),
    "one action's": (NARROW, "/tickets/1", "PUT", True),
    "one action's, another method": (NARROW, "/tickets/1", "DELETE", False),
    "one action's, another path": (NARROW, "/other", "PUT", False),
    "one action's, with a query": (NARROW, "/tickets/1?a=b", "PUT", True),
    "one action's, which a body decides": (NARROW, "/notes", "POST", True),
    "one action's, spelled otherwise": (NARROW, "/tickets/%31", "PUT", True),
    "nobody": (EVIL, "/tickets/1", "PUT", False),
    "null": ("null", "/tickets/1", "PUT", False),
    "nearly the partner": (PARTNER + ".evil.example", "/tickets/1", "PUT", False),
    "the partner's other port": (PARTNER + ":8443", "/tickets/1", "PUT", False),
    "the partner without TLS": (PARTNER.replace("https", "http"), "/tickets/1", "PUT", False),
    "no method": (PARTNER, "/tickets/1", "P UT", False),
    "an empty method": (PARTNER, "/tickets/1", "", False),
}


@pytest.mark.parametrize("proto", PROTOS)
@pytest.mark.parametrize("certificate", [False, True], ids=["no certificate", "certificate"])
@pytest.mark.parametrize("case", PREFLIGHTS)
def test_preflights_are_answered_from_the_policy(gw, origin, case, certificate, proto):
    who, target, method, allowed = PREFLIGHTS[case]
    r = preflight(gw.person("alice") if certificate else gw.nobody(), target, who, method, proto=proto)
    assert origin.count() == 0
    if not allowed:
        assert r.status in (400, 403) and r.get("access-control-allow-origin") is None and r.get("access-control-allow-methods") is None, f"{r.status} {r.fields}"
        return
    assert r.status == 204 and r.body == b"", f"{r.status} {r.body!r}"
    assert r.all("access-control-allow-origin") == [who] and r.all("access-control-allow-credentials") == ["true"]
    assert r.all("access-control-allow-methods") == [method] and "Origin" in r.all("vary") and int(r.get("access-control-max-age")) > 0


def test_a_preflight_names_only_fields_that_would_arrive(gw):
    asked = "Content-Type, x-csrf-token,Countersign-Grant, X_Under, client-cert , X-Forwarded-For,, bad name"
    r = preflight(gw.nobody(), "/tickets/1", PARTNER, more=[("Access-Control-Request-Headers", asked)])
    assert r.all("access-control-allow-headers") == ["content-type,x-csrf-token"]
    r = preflight(gw.nobody(), "/tickets/1", PARTNER)
    assert r.get("access-control-allow-headers") is None


@pytest.mark.parametrize("more", [[("Origin", PARTNER)], [("Access-Control-Request-Method", "GET")]], ids=["two origins", "two methods"])
def test_a_preflight_that_says_two_things_is_refused(gw, more):
    assert preflight(gw.nobody(), "/tickets/1", EVIL, more=more).status in (400, 403)
    assert preflight(gw.nobody(), "/tickets/1", PARTNER, more=more).status in (400, 403)


@pytest.mark.parametrize("target", ["/../etc", "/a%2fb", "/%00"])
def test_a_preflight_to_an_unclear_target_is_refused(gw, target):
    assert preflight(gw.nobody(), target, PARTNER).status == 400


def test_the_console_and_other_tools_allow_nobody(gw, origin):
    for host, target in ((CONSOLE, "/api/v1/locks"), (CONSOLE, "/"), (BILLING, "/x"), ("nowhere.test.localhost", "/")):
        for who in (PARTNER, f"https://{SUPPORT}:{gw.port}"):
            r = preflight(gw.nobody(), target, who, host=host)
            assert r.status in (403, 404, 421) and r.get("access-control-allow-origin") is None, f"{host}: {r.status} {r.fields}"
    assert origin.count() == 0


def test_an_options_request_that_is_no_preflight_goes_the_usual_way(gw, origin):
    assert gw.nobody().request("OPTIONS", "/o", [("Origin", PARTNER)]).problem == "certificate-missing"
    assert gw.nobody().request("OPTIONS", "/o", [("Access-Control-Request-Method", "PUT")]).problem == "certificate-missing"
    assert gw.person("alice").request("OPTIONS", "/o").status == 200 and origin.count("/o") == 1


REQUESTS = {
    "the tool's partner": (PARTNER, "DELETE", "/anything", 200),
    "one action's": (NARROW, "PUT", "/tickets/1", 200),
    "one action's, another action": (NARROW, "PUT", "/other", 403),
    "one action's, another method": (NARROW, "DELETE", "/tickets/1", 403),
    "nobody": (EVIL, "PUT", "/tickets/1", 403),
    "nobody, reading": (EVIL, "GET", "/tickets/1", 403),
    "null": ("null", "PUT", "/tickets/1", 403),
}


@pytest.mark.parametrize("proto", PROTOS)
@pytest.mark.parametrize("case", REQUESTS)
def test_requests_of_other_origins(gw, origin, case, proto):
    who, method, target, status = REQUESTS[case]
    fields = [("Origin", who), ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Dest", "empty")]
    r = gw.person("alice").request(method, target, fields, proto=proto)
    assert r.status == status, f"{r.status} {r.body[:200]!r}"
    assert origin.count() == (1 if status == 200 else 0)
    assert r.all("access-control-allow-origin") == ([who] if status == 200 else [])
    if status != 200:
        assert r.problem == "cross-origin"


@pytest.mark.parametrize("body, status", [(b"kind=note&text=x", 200), (b"kind=other", 403), (b"kind=note&kind=other", 403)])
def test_an_action_that_the_body_decides_decides_the_origin_too(gw, origin, body, status):
    fields = [("Origin", NARROW), ("Sec-Fetch-Site", "cross-site"), ("Content-Type", "application/x-www-form-urlencoded")]
    r = gw.person("alice").request("POST", "/notes", fields, body)
    assert r.status == status and origin.count() == (1 if status == 200 else 0), f"{r.status} {r.body[:200]!r}"


def test_a_tool_can_not_open_itself_to_others(gw, origin):
    async def script(request, conn):
        await conn.answer(200, b"{}", [("Access-Control-Allow-Origin", "*"), ("Access-Control-Allow-Credentials", "true"), ("Access-Control-Allow-Methods", "PUT"),
                                      ("Access-Control-Max-Age", "86400"), ("Access-Control-Expose-Headers", "X-Total"), ("Vary", "Accept"), ("X-Total", "3")])
    origin.on("/open", script)
    r = gw.person("alice").get("/open")
    assert not [n for n, _ in r.fields if n.lower().startswith("access-control-")] and r.get("x-total") == "3" and r.all("vary") == ["Accept", "Origin"]
    r = gw.person("alice").get("/open", [("Origin", PARTNER), ("Sec-Fetch-Site", "cross-site")])
    assert r.all("access-control-allow-origin") == [PARTNER] and r.all("access-control-expose-headers") == ["X-Total"]
    assert r.get("access-control-max-age") is None and r.get("access-control-allow-methods") is None


def test_a_named_origin_can_read_why_it_was_refused(gw):
    fields = [("Origin", PARTNER), ("Sec-Fetch-Site", "cross-site"), ("Content-Type", "application/json")]
    r = gw.person("alice").request("POST", "/export", fields, b"{}")
    assert r.problem == "signoff-required" and r.json()["held_id"] and r.all("access-control-allow-origin") == [PARTNER]
    r = gw.person("mallory").request("PUT", "/tickets/1", fields, b"{}")
    assert r.problem == "grant-required" and r.all("access-control-allow-origin") == [PARTNER]
    r = gw.nobody().request("PUT", "/tickets/1", fields, b"{}")
    assert r.problem == "certificate-missing" and r.get("access-control-allow-origin") is None


def test_what_the_guard_refuses_counts_for_nothing(gw):
    """A hostile page cannot use up a person's access, nor leave a held request behind."""
    alice = gw.person("alice")
    before = len(alice.held())
    for _ in range(50):
        assert alice.request("POST", "/export", [("Origin", EVIL), ("Sec-Fetch-Site", "cross-site")], b"a=1").problem == "cross-origin"
    assert len(alice.held()) == before
    hold(alice, target="/export")
    assert gw.person("olga").api_ok("GET", "/api/v1/locks")["locks"] == []


def test_our_own_pages_stay_in_their_window(gw):
    page = gw.person("alice").request("GET", "/", [("Accept", "text/html")], host=CONSOLE)
    assert "frame-ancestors 'none'" in page.get("content-security-policy") and page.get("x-frame-options") == "DENY"
    assert page.get("cross-origin-opener-policy") == "same-origin" and page.get("cross-origin-resource-policy") == "same-origin"
    assert gw.person("alice").api("GET", "/api/v1/status").get("cross-origin-resource-policy") == "same-origin"
