"""Promise 4: the bytes that were approved are the bytes that are sent, once."""
import concurrent.futures
import threading

import pytest

from harness.clients import h1_request
from harness.config_text import SUPPORT_ACTIONS, tool
from harness.people import give_grant, hold, tool_path, wait_until

GATEWAY = {"limits": {"held_per_person": 1000}}
FORM = [("Content-Type", "application/x-www-form-urlencoded")]


@pytest.fixture(scope="module", autouse=True)
def granted(gw):
    give_grant(gw.person("alice"), gw.person("bob"))


def signed_off(gw, body, **more):
    held = hold(gw.person("alice"), body=body, **more)
    r = gw.person("carol").decide(held["id"])
    assert r.status in (200, 201), f"{r.status} {r.body[:300]!r}"
    return held


@pytest.mark.parametrize("proto", ["h1", "h2"])
def test_a_sensitive_request_is_held_and_says_what_to_do(gw, origin, proto):
    r = gw.person("alice").post("/export", b"audience=1" + proto.encode(), proto=proto)
    assert (r.status, r.problem) == (403, "signoff-required") and r.json()["next"]
    assert origin.count() == 0


def test_the_same_bytes_join_the_same_held_request(gw, origin):
    held = hold(gw.person("alice"), body=b"audience=join")
    r = gw.person("alice").post("/export", b"audience=join")
    assert r.problem == "signoff-required"
    assert [h["id"] for h in gw.person("alice").held() if h["digest"] == held["digest"]] == [held["id"]]
    assert origin.count() == 0


@pytest.mark.parametrize("proto", ["h1", "h2"])
def test_signed_off_it_runs_with_exactly_the_approved_bytes(gw, origin, proto):
    body = b"audience=42&note=" + bytes(range(0x21, 0x7f)).replace(b"&", b"").replace(b"%", b"") + proto.encode()
    held = signed_off(gw, body, proto=proto)
    assert origin.count() == 0, "it ran before its release"
    r = gw.person("alice").post("/export", body, proto=proto)
    assert r.status == 200, r.body
    sent = origin.last("/export")
    assert (sent.method, sent.target, sent.body) == ("POST", "/export", body)
    assert sent.get("Content-Type") == FORM[0][1] and sent.all("Content-Length") == [str(len(body))]
    item = wait_until(lambda: (i := gw.person("alice").item(held["id"])).get("outcome") and i, what="the outcome")
    assert item["state"] == "used" and item["outcome"] == "answered" and item["status"] == 200
    assert [d["person"] for d in item["decisions"]] == ["carol"]


def test_the_same_bytes_again_are_held_anew(gw, origin):
    body = b"audience=again"
    first = signed_off(gw, body)
    assert gw.person("alice").post("/export", body).status == 200
    r = gw.person("alice").post("/export", body)
    assert r.problem == "signoff-required" and origin.count("/export") == 1
    same = [h["id"] for h in gw.person("alice").held() if h["digest"] == first["digest"]]
    assert len(same) == 2


CHANGES = {
    "a byte of the body": dict(body=b"audience=8"),
    "a byte more": dict(body=b"audience=7 "),
    "no body": dict(body=b""),
    "another content type": dict(content_type="application/x-www-form-urlencoded; charset=utf-8"),
    "a query": dict(target="/export?x=1"),
    "another accept": dict(fields=[("Accept", "text/csv")]),
    "another disposition": dict(fields=[("Content-Disposition", "attachment")]),
    "a condition": dict(fields=[("If-Match", '"v1"')]),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_differs_from_the_approved_bytes_is_held(gw, origin, what):
    held = signed_off(gw, b"audience=7")
    r = gw.person("alice").post(**dict(dict(target="/export", body=b"audience=7"), **CHANGES[what]))
    assert r.problem == "signoff-required", f"{r.status} {r.body[:200]!r}"
    assert origin.count() == 0
    assert gw.person("alice").item(held["id"])["state"] == "approved"
    assert gw.person("alice").post("/export", b"audience=7").status == 200


@pytest.mark.parametrize("method", ["PUT", "PATCH", "GET", "DELETE"])
def test_another_method_is_held(gw, origin, method):
    body = b"audience=m" + method.encode()
    signed_off(gw, body)
    r = gw.person("alice").request(method, "/export", FORM, body)
    assert r.problem == "signoff-required" and origin.count() == 0


def test_a_sign_off_belongs_to_its_certificate(gw, origin):
    """Her other certificate, with a grant of its own, sending the same bytes."""
    give_grant(gw.person("alice-2"), gw.person("bob"))
    give_grant(gw.person("mallory"), gw.person("bob"))
    origin.reset()
    signed_off(gw, b"audience=cert")
    for other in ("alice-2", "mallory"):
        assert gw.person(other).post("/export", b"audience=cert").problem == "signoff-required"
    assert origin.count() == 0


@pytest.mark.parametrize("proto", ["h1", "h2"])
def test_it_runs_once_under_64_parallel_retries(gw, origin, proto):
    body = b"audience=parallel" + proto.encode()
    signed_off(gw, body)
    gate = threading.Barrier(16)

    def retry(_):
        alice = gw.person("alice")
        out = []
        with (alice.h1() if proto == "h1" else alice.h2()) as c:
            gate.wait(60)
            for _ in range(4):
                out.append(c.request("POST", "/export", FORM, body).status)
        return out
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        statuses = [s for out in pool.map(retry, range(16)) for s in out]
    assert len(statuses) == 64 and statuses.count(200) == 1 and set(statuses) <= {200, 403}, statuses
    assert origin.count("/export") == 1


def test_a_denied_request_does_not_run(gw, origin):
    body = b"audience=denied"
    held = hold(gw.person("alice"), body=body)
    assert gw.person("carol").decide(held["id"], "deny").status in (200, 201)
    assert gw.person("alice").item(held["id"])["state"] == "denied"
    assert gw.person("carol").decide(held["id"]).status >= 400
    assert gw.person("alice").release(held["id"])[1] is None
    assert gw.person("alice").post("/export", body).status == 403 and origin.count() == 0


def test_the_release_link_runs_it_once(gw, origin):
    body = b"audience=link"
    held = signed_off(gw, body)
    first, answer = gw.person("alice").release(held["id"])
    assert answer is not None and answer.status == 200, f"{first.status} {first.body[:300]!r}"
    path = tool_path(first.get("location"))
    assert gw.person("alice").get(path).status >= 400, "the link worked twice"
    assert gw.person("alice").release(held["id"])[1] is None, "released twice"
    assert gw.person("alice").post("/export", body).problem == "signoff-required"
    assert origin.count("/export") == 1 and origin.last("/export").body == body


def test_the_release_link_works_for_its_requester_only(gw, origin):
    held = signed_off(gw, b"audience=stolen link")
    r = gw.person("alice").request("POST", f"/held/{held['id']}/release", [("Sec-Fetch-Site", "same-origin")], b"", host="console.test.localhost")
    path = tool_path(r.get("location"))
    for other in ("mallory", "alice-2", "carol", "bob"):
        assert gw.person(other).get(path).status >= 400
    assert gw.nobody().get(path).status >= 400
    assert origin.count("/export") == 0


def test_the_release_link_works_on_its_own_tools_host_only(gw, origin):
    """Both tools are hers; what was signed off for one must not be run by the other."""
    alice = gw.person("alice")
    give_grant(alice, gw.person("bob"), "billing", host="billing.test.localhost")
    held = signed_off(gw, b"audience=elsewhere")
    origin.reset()
    r = alice.request("POST", f"/held/{held['id']}/release", [("Sec-Fetch-Site", "same-origin")], b"", host="console.test.localhost")
    r = alice.request("GET", tool_path(r.get("location")), host="billing.test.localhost")
    assert r.problem == "release-code-unknown" and origin.count("/export") == 0
    assert alice.item(held["id"])["state"] == "approved"
    assert alice.release(held["id"])[1].status == 200 and origin.count("/export") == 1


def test_nobody_else_can_release(gw, origin):
    held = signed_off(gw, b"audience=release")
    for other in ("mallory", "carol", "bob", "sam"):
        first, answer = gw.person(other).release(held["id"])
        assert first.status >= 400 and answer is None
    assert origin.count("/export") == 0


def test_a_page_of_another_site_cannot_release(gw, origin):
    held = signed_off(gw, b"audience=csrf")
    for fields in ([("Sec-Fetch-Site", "cross-site")], [("Origin", "https://support.test.localhost")], [("Sec-Fetch-Site", "same-site")]):
        r = gw.person("alice").request("POST", f"/held/{held['id']}/release", fields, b"", host="console.test.localhost")
        assert r.status == 403, fields
    assert origin.count("/export") == 0


def test_a_script_of_the_tool_cannot_release(gw, origin):
    """It shares the link's origin; only a navigation that came from the console counts."""
    alice = gw.person("alice")
    held = signed_off(gw, b"audience=script")
    for fields in ([("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Mode", "cors")], [("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Mode", "navigate")],
                   [("Sec-Fetch-Site", "same-site"), ("Sec-Fetch-Mode", "no-cors")]):
        r = alice.request("POST", f"/held/{held['id']}/release", [("Sec-Fetch-Site", "same-origin")], b"", host="console.test.localhost")
        assert alice.get(tool_path(r.get("location")), fields).status in (403, 405), fields
    assert origin.count("/export") == 0 and alice.item(held["id"])["state"] == "approved"
    r = alice.request("POST", f"/held/{held['id']}/release", [("Sec-Fetch-Site", "same-origin")], b"", host="console.test.localhost")
    fields = [("Sec-Fetch-Site", "same-site"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")]
    assert alice.get(tool_path(r.get("location")), fields).status == 200


def test_a_page_of_another_site_cannot_load_from_the_console(gw):
    alice = gw.person("alice")
    for site, mode, dest, want in (("cross-site", "no-cors", "image", 403), ("same-site", "cors", "empty", 403), ("cross-site", "navigate", "iframe", 403),
                                   ("cross-site", "navigate", "document", 200), ("same-origin", "cors", "empty", 200)):
        fields = [("Sec-Fetch-Site", site), ("Sec-Fetch-Mode", mode), ("Sec-Fetch-Dest", dest)]
        assert alice.api("GET", "/api/v1/status", fields=fields).status == want, (site, mode, dest)


def test_release_codes_cannot_be_guessed(gw, origin):
    for code in ("", "x", "A" * 22, "hld_" + "A" * 22, "../export", "%2e%2e/export"):
        assert gw.person("alice").get(f"/.countersign/release/{code}").status >= 400
    assert origin.count() == 0


def test_a_body_sent_slowly_in_pieces_is_held_whole(gw, origin):
    alice = gw.person("alice")
    body = b"audience=" + b"p" * 3000
    with alice.h1() as c:
        c.send(b"POST /export HTTP/1.1\r\nHost: support.test.localhost:%d\r\nContent-Type: application/x-www-form-urlencoded\r\n"
               b"Transfer-Encoding: chunked\r\n\r\n" % gw.port)
        for i in range(0, len(body), 500):
            c.send(b"1f4\r\n" + body[i:i + 500] + b"\r\n" if len(body[i:i + 500]) == 500 else b"%x\r\n%s\r\n" % (len(body[i:i + 500]), body[i:i + 500]))
        c.send(b"0\r\n\r\n")
        r = c.read_response()
        assert r.problem == "signoff-required"
    held = alice.item(r.json()["held_id"])
    assert held["body_len"] == len(body)
    assert gw.person("carol").decide(held["id"]).status in (200, 201)
    assert alice.post("/export", body).status == 200
    assert origin.last("/export").body == body and origin.count() == 1


def test_a_failing_tool_still_uses_the_sign_off_up(gw, origin):
    """It may have acted before it broke off: never sent twice."""
    async def slam(request, conn):
        conn.abort()
        return False
    origin.on("/export", slam)
    body = b"audience=slam"
    held = signed_off(gw, body)
    r = gw.person("alice").post("/export", body)
    assert r.status in (502, 504) or not r.complete
    assert gw.person("alice").post("/export", body).problem == "signoff-required"
    assert origin.count("/export") == 1
    item = wait_until(lambda: (i := gw.person("alice").item(held["id"])).get("outcome") and i, what="the outcome")
    assert item["state"] == "used" and item["outcome"] in ("outcome-unknown", "not-sent")


@pytest.mark.parametrize("proto", ["h1", "h2"])
def test_the_history_says_what_became_of_it_when_the_client_left_at_once(gw, origin, proto):
    """The sign-off is used up while authz decides; then nobody is there any more to send it for."""
    alice = gw.person("alice")
    for i in range(8):
        body = b"audience=gone%d%s" % (i, proto.encode())
        held = signed_off(gw, body)
        if proto == "h1":
            with alice.h1() as c:
                c.send(h1_request("POST", "/export", f"support.test.localhost:{gw.port}", FORM, body))
        else:
            with alice.h2() as c:
                stream = c.open("POST", "/export", FORM, end=False)
                c.conn.send_data(stream, body, end_stream=True)
                c.conn.reset_stream(stream)
                c.flush()
                c.request("GET", "/hello")
        item = wait_until(lambda: (i := alice.item(held["id"])) and (i["state"] == "approved" or i.get("outcome")) and i, what="the outcome")
        if item["state"] == "approved":   # it had left before anybody was asked, or is only now being asked for
            if alice.post("/export", body).status == 200:
                continue
            item = wait_until(lambda: (i := alice.item(held["id"])).get("outcome") and i, what="the outcome")
        if item["outcome"] == "not-sent":
            assert not any(r.body == body for r in origin.requests)


def test_a_held_requests_raw_bytes_are_shown_to_the_approver_only(gw, origin):
    body = b"audience=raw&password=hunter2"
    held = hold(gw.person("alice"), body=body)
    r = gw.person("carol").api("GET", f"/api/v1/items/{held['id']}/raw")
    assert r.status == 200 and body in r.body
    for other in ("nina", "mallory"):
        assert gw.person(other).api("GET", f"/api/v1/items/{held['id']}/raw").status in (403, 404)


def test_a_body_too_large_to_hold_is_refused(gw, origin):
    r = gw.person("alice").post("/export", b"x" * (9 << 20), content_type="application/octet-stream")
    assert r.status in (403, 413) and origin.count() == 0


def test_a_sign_off_expires(gateway_of, origin):
    g = gateway_of(tools=[tool("support", "support.test.localhost", origin.port, SUPPORT_ACTIONS, held_ttl="3s", request_ttl="10m")])
    alice, carol = g.person("alice"), g.person("carol")
    give_grant(alice, g.person("bob"))
    waiting, approved = hold(alice, body=b"audience=late1"), hold(alice, body=b"audience=late2")
    assert carol.decide(approved["id"]).status in (200, 201)
    wait_until(lambda: alice.item(approved["id"])["state"] == "expired", 40, "the expiry of the approved one")
    wait_until(lambda: alice.item(waiting["id"])["state"] == "expired", 40, "the expiry of the waiting one")
    assert carol.decide(waiting["id"]).status >= 400
    assert alice.release(approved["id"])[1] is None
    assert alice.post("/export", b"audience=late2").problem == "signoff-required"
    assert origin.count("/export") == 0


def test_held_requests_survive_a_restart_and_used_ones_stay_used(gateway_of, origin):
    g = gateway_of()
    alice, carol = g.person("alice"), g.person("carol")
    give_grant(alice, g.person("bob"))
    for body in (b"audience=r1", b"audience=r2"):
        assert carol.decide(hold(alice, body=body)["id"]).status in (200, 201)
    assert alice.post("/export", b"audience=r1").status == 200
    g.restart()
    wait_until(lambda: alice.get("/hello").status == 200, what="the grant after the restart")
    assert alice.post("/export", b"audience=r1").problem == "signoff-required"
    assert alice.post("/export", b"audience=r2").status == 200
    assert [r.body for r in origin.requests if r.path == "/export"] == [b"audience=r1", b"audience=r2"]


def test_one_person_cannot_fill_the_store_with_held_requests(gateway_of, origin):
    g = gateway_of(limits={"held_per_person": 3})
    alice = g.person("alice")
    give_grant(alice, g.person("bob"))
    kinds = [alice.post("/export", b"audience=%d" % i).problem for i in range(6)]
    assert kinds[:3] == ["signoff-required"] * 3 and "signoff-required" not in kinds[3:], kinds
    assert len([h for h in alice.held() if h["state"] == "pending"]) == 3 and origin.count("/export") == 0
