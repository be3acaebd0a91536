"""Promise 1, the grant: only a valid grant for this certificate and this tool opens it, and only as long as it lasts."""
import json
import time

import pytest

from harness.config_text import BILLING, action
from harness.people import give_grant, wait_until

PROTOS = ["h1", "h2"]


@pytest.mark.parametrize("proto", PROTOS)
def test_without_a_grant_nothing_reaches_the_tool_and_the_problem_says_how_to_ask(gw, origin, proto):
    r = gw.person("mallory").get("/", proto=proto)
    assert (r.status, r.problem) == (403, "grant-required")
    assert "request" in r.json()["next"] and origin.count() == 0


def test_a_pending_request_is_not_a_grant(gw, origin):
    mallory = gw.person("mallory")
    assert mallory.ask().status == 201
    assert mallory.get("/").problem == "grant-required" and origin.count() == 0


@pytest.fixture(scope="module")
def granted(gw):
    return give_grant(gw.person("alice"), gw.person("bob"))


@pytest.mark.parametrize("proto", PROTOS)
def test_a_grant_opens_its_tool(gw, origin, granted, proto):
    assert gw.person("alice").get("/hello", proto=proto).status == 200
    assert origin.count("/hello") == 1


@pytest.mark.parametrize("proto", PROTOS)
def test_a_grant_of_another_person_does_not_help(gw, origin, granted, proto):
    assert gw.person("mallory").get("/hello", proto=proto).problem == "grant-required"
    assert origin.count() == 0


@pytest.mark.parametrize("proto", PROTOS)
def test_a_grant_is_bound_to_its_certificate(gw, origin, granted, proto):
    """The same person with another certificate, of another and of the same identity."""
    again = gw.authority().issue(gw.folder, f"alice-again-{proto}", ["alice@test.localhost"])
    for who in (gw.person("alice-2"), gw.nobody(again)):
        assert who.get("/hello", proto=proto).problem == "grant-required"
    assert origin.count() == 0


@pytest.mark.parametrize("proto", PROTOS)
def test_a_grant_is_bound_to_its_tool(gw, origin, granted, proto):
    r = gw.person("alice").request("GET", "/hello", host=BILLING, proto=proto)
    assert r.problem == "grant-required" and origin.count() == 0


@pytest.mark.parametrize("token", ["x", "a.b.c", "eyJhbGciOiJub25lIn0.e30."])
def test_a_made_up_grant_token_is_refused(gw, origin, granted, token):
    for name in ("mallory", "alice"):
        r = gw.person(name).get("/hello", [("Countersign-Grant", token)])
        assert r.status in (401, 403), f"{name}: {r.status}"
    assert origin.count() == 0


@pytest.mark.parametrize("proto", PROTOS)
def test_what_no_action_names_is_refused(gw, origin, granted, proto):
    """/internal/** is `deny`, though /** would allow it: the strictest rule wins."""
    for path in ("/internal/keys", "/internal/a/b", "/%69nternal/keys"):
        r = gw.person("alice").get(path, proto=proto)
        assert r.status == 403 and r.problem not in ("grant-required", "signoff-required"), path
    assert origin.count() == 0


def test_a_grant_ends_when_it_says(gw, origin):
    """Both new requests and a download in flight end."""
    mallory = gw.person("mallory")
    for request in mallory.status()["requests"]:
        if request["state"] == "pending":
            assert gw.person("bob").decide(request["id"], "deny").status in (200, 201)
    give_grant(mallory, gw.person("bob"), duration_s=8)
    begun = time.monotonic()
    drip(origin)
    with mallory.h1() as c:
        c.send(b"GET /drip HTTP/1.1\r\nHost: %s\r\n\r\n" % f"support.test.localhost:{gw.port}".encode())
        r = c.read_response()
        assert not r.complete and time.monotonic() - begun < 30
    assert mallory.get("/hello").problem == "grant-required"
    assert origin.count("/hello") == 0


def drip(origin):
    """A tool's answer that never ends by itself."""
    import asyncio

    async def script(request, conn):
        await conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            await conn.send(b"x" * 1024)
            await asyncio.sleep(0.05)
    origin.on("/drip", script)


def test_a_grant_may_not_last_longer_than_the_tool_allows(gw):
    r = gw.person("alice").ask(duration_s=100 * 3600)
    assert r.status in (400, 403, 422) and r.problem


@pytest.mark.parametrize("body", [
    {}, {"tool": "support"}, {"tool": "support", "reason": "", "duration_s": 60}, {"tool": "nosuch", "reason": "because", "duration_s": 60},
    {"tool": "support", "reason": "because", "duration_s": 0}, {"tool": "support", "reason": "because", "duration_s": -5},
    {"tool": "support", "reason": "because", "duration_s": "60"}, {"tool": ["support"], "reason": "because", "duration_s": 60},
    {"tool": "support", "reason": "x" * 40000, "duration_s": 60}, [], "text", 7, None])
def test_a_bad_request_for_access_is_refused_with_a_problem(gw, body):
    r = gw.person("mallory").request("POST", "/api/v1/requests", [("Content-Type", "application/json")],
                                     json.dumps(body).encode(), host="console.test.localhost")
    assert 400 <= r.status < 500 and r.problem, f"{r.status} {r.body[:200]!r}"


def test_only_members_of_the_tools_groups_may_ask(gw):
    for name in ("bob", "carol", "dan", "olga", "nina"):
        assert gw.person(name).ask().status == 403


def test_identity_in_the_body_is_never_believed(gw):
    r = gw.person("nina").api("POST", "/api/v1/requests", {"tool": "support", "reason": "because I say so", "duration_s": 60,
                                                           "who": {"identity": "alice@test.localhost"}, "identity": "alice@test.localhost"})
    assert r.status in (400, 403)


@pytest.mark.parametrize("fields", [[("Sec-Fetch-Site", "cross-site")], [("Sec-Fetch-Site", "same-site")], [("Origin", "https://evil.example")],
                                    [("Origin", "null")]])
def test_another_sites_page_cannot_ask(gw, fields):
    r = gw.person("alice").api("POST", "/api/v1/requests", {"tool": "billing", "reason": "forged by a page", "duration_s": 60}, fields)
    assert (r.status, r.problem) == (403, "cross-origin")


@pytest.mark.parametrize("fields", [[("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "no-cors")], [("Sec-Fetch-Site", "same-site")],
                                    [("Origin", "https://evil.example")], [("Origin", "null")]])
def test_another_sites_page_cannot_change_anything_in_a_tool(gw, origin, granted, fields):
    r = gw.person("alice").post("/customers/7", b"name=x", fields)
    assert (r.status, r.problem) == (403, "cross-origin") and origin.count() == 0


def test_a_grant_survives_a_restart_and_an_ended_one_stays_ended(gateway_of, origin):
    g = gateway_of()
    give_grant(g.person("alice"), g.person("bob"))
    give_grant(g.person("sam"), g.person("bob"), duration_s=6)
    g.restart()
    assert g.person("alice").get("/hello").status == 200
    wait_until(lambda: g.person("sam").get("/hello").problem == "grant-required", what="the end of sam's grant")


def test_a_grant_ends_by_the_clock_even_if_the_gateway_was_down(gateway_of, origin):
    g = gateway_of()
    give_grant(g.person("alice"), g.person("bob"), duration_s=600)
    g.restart(clock_offset_s=700)
    assert g.person("alice").get("/hello").problem == "grant-required" and origin.count("/hello") == 0




def test_asking_for_less_and_approving_less_by_the_command_line(gateway_of, origin):
    def change(config):
        config["tools"][0]["actions"] = [action("view", "/view/**"), action("edit", "/edit/**"), action("export", "/export", "signoff")]
    g = gateway_of(change=change)
    alice, bob = g.person("alice"), g.person("bob")
    out = json.loads(alice.cli("request", "support", "--reason", "ticket 4711", "--for", "20m", "--actions", "view,edit", "--json", expect=0).stdout)
    assert out["actions"] == ["view", "edit"]
    bob.cli("approve", out["id"], "--only", "view,export", "--yes", expect=1)
    bob.cli("approve", out["id"], "--for", "30m", "--yes", expect=1)
    shown = bob.cli("approve", out["id"], "--for", "10m", "--only", "view", "--yes", expect=0).stdout.decode()
    assert "only for view" in shown, shown
    wait_until(lambda: alice.get("/view/x").problem != "grant-required", what="the grant")
    for proto in PROTOS:
        assert alice.get("/view/x", proto=proto).status in (200, 303)
        assert alice.get("/edit/x", proto=proto).problem == "action-not-granted"
    assert alice.post("/export", b"x=1").problem == "grant-required"
    assert origin.count("/edit/x") == 0 and origin.count("/export") == 0


def test_an_extension_keeps_the_grant_and_what_runs(gateway_of, origin):
    g = gateway_of()
    alice, bob = g.person("alice"), g.person("bob")
    give_grant(alice, bob, duration_s=60)
    before = alice.status()["grants"][0]
    out = json.loads(alice.cli("request", "support", "--reason", "still ticket 4711", "--for", "10m", "--extend", before["grant_id"], "--json", expect=0).stdout)
    with alice.h2() as c:
        assert c.request("GET", "/hello").status == 200
        bob.cli("approve", out["id"], "--yes", expect=0)
        after = alice.status()["grants"]
        assert len(after) == 1 and after[0]["grant_id"] == before["grant_id"] and after[0]["exp"] > before["exp"] + 300
        assert c.request("GET", "/hello").status == 200, "the same connection goes on"
    said = alice.cli("withdraw", out["id"], "--reason", "not needed any more", expect=0).stdout.decode()
    assert "the grant that came of it has ended" in said.lower()
    wait_until(lambda: alice.get("/hello").problem == "grant-required", what="the end of the grant")
    twice = alice.cli("withdraw", out["id"], "--reason", "not needed any more", expect=1).stderr.decode()
    assert "the grant has ended already" in twice
    other = json.loads(alice.cli("request", "support", "--reason", "ticket 4712", "--json", expect=0).stdout)["id"]
    assert "It is cancelled" in alice.cli("withdraw", other, "--reason", "a mistake", expect=0).stdout.decode()


def test_a_reason_without_the_ticket_is_refused(gateway_of, origin):
    def change(config):
        config["tools"][0]["ticket"] = "[A-Z]+-[0-9]+"
    alice = gateway_of(change=change).person("alice")
    r = alice.ask(reason="the customer cannot log in")
    assert r.problem == "ticket-missing" and "[A-Z]+-[0-9]+" in r.json()["detail"]
    assert alice.ask(reason="SUP-4711: the customer cannot log in").status == 201
