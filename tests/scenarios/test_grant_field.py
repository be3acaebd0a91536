"""The field `Countersign-Grant` as clients may write it, and what a token opens from one request to the next of the same connection. Promises 1 and 7."""
import os
import sqlite3
import sys
import time

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "vectors"))

from harness.clients import H2, h1_request
from harness.config_text import CONSOLE, SUPPORT
from harness.people import acknowledge, give_grant, wait_until

FIELD = "Countersign-Grant"


def token_of(gw, person, tool="support"):
    db = sqlite3.connect(f"file:{gw.state}/authz.db?mode=ro", uri=True)
    try:
        return db.execute("SELECT token FROM access_grant WHERE person = ? AND tool = ? AND state = 'live' ORDER BY exp DESC", (person, tool)).fetchone()[0]
    finally:
        db.close()


@pytest.fixture(scope="module")
def token(gw):
    give_grant(gw.person("alice"), gw.person("bob"), duration_s=1800)
    return token_of(gw, "alice")


def check_problem(r, *types):
    """RFC 9457, and readable: what happened, and what to do next."""
    assert r.problem in types, (r.status, r.problem, r.body[:300])
    p = r.json()
    assert p["status"] == r.status and p["title"] and p["detail"] and p["next"] and "\n" not in p["title"], p


TAKEN = {
    "as it is": lambda t: f"{FIELD}: {t}",
    "no space": lambda t: f"{FIELD}:{t}",
    "spaces and tabs around it": lambda t: f"{FIELD}: \t {t} \t",
    "the name in capitals": lambda t: f"{FIELD.upper()}: {t}",
    "the name in small letters": lambda t: f"{FIELD.lower()}: {t}",
}
REFUSED = {
    "empty": lambda t: f"{FIELD}:",
    "spaces only": lambda t: f"{FIELD}:   ",
    "twice": lambda t: f"{FIELD}: {t}\r\n{FIELD}: {t}",
    "twice, the first empty": lambda t: f"{FIELD}:\r\n{FIELD}: {t}",
    "twice, the last empty": lambda t: f"{FIELD}: {t}\r\n{FIELD}:",
    "twice, in other letters": lambda t: f"{FIELD}: {t}\r\n{FIELD.upper()}: {t}",
    "a comma behind": lambda t: f"{FIELD}: {t},",
    "a comma before": lambda t: f"{FIELD}: ,{t}",
    "a comma and another": lambda t: f"{FIELD}: {t}, {t}",
    "a semicolon": lambda t: f"{FIELD}: {t};q=1",
    "quoted": lambda t: f'{FIELD}: "{t}"',
    "a structured byte sequence": lambda t: f"{FIELD}: :{t}:",
    "with a scheme": lambda t: f"{FIELD}: Bearer {t}",
    "a space inside": lambda t: f"{FIELD}: {t[:100]} {t[100:]}",
    "a tab inside": lambda t: f"{FIELD}: {t[:100]}\t{t[100:]}",
    "percent-coded": lambda t: f"{FIELD}: {t.replace('.', '%2E')}",
    "obs-text behind": lambda t: f"{FIELD}: {t}\xe9",
    "folded": lambda t: f"{FIELD}: {t[:100]}\r\n {t[100:]}",
    "a NUL behind": lambda t: f"{FIELD}: {t}\0",
    "a CR behind": lambda t: f"{FIELD}: {t}\r",
    "a space before the colon": lambda t: f"{FIELD} : {t}",
    "named in Connection": lambda t: f"Connection: {FIELD}\r\n{FIELD}: {t}",
    "4 KiB of it": lambda t: f"{FIELD}: {t}{'A' * 4096}",
    "16 KiB": lambda t: f"{FIELD}: {'A' * 16384}",
    "100 KiB": lambda t: f"{FIELD}: {'A' * 102400}",
    "10,000 dots": lambda t: f"{FIELD}: {'.' * 10000}",
}


def raw(c, gw, lines):
    c.send(f"GET /hello HTTP/1.1\r\nHost: {SUPPORT}:{gw.port}\r\n".encode() + lines.encode("latin-1") + b"\r\n\r\n")
    return c.read_response()


@pytest.mark.parametrize("name", TAKEN)
def test_ways_to_write_it_that_are_taken(gw, origin, token, name):
    with gw.person("alice").h1() as c:
        assert raw(c, gw, TAKEN[name](token)).status == 200
    assert not [n for n, _ in origin.requests[-1].fields if "grant" in n.lower()], "the tool is not shown the token"


@pytest.mark.parametrize("name", REFUSED)
def test_ways_to_write_it_that_are_not(gw, origin, token, name):
    with gw.person("alice").h1() as c:
        r = raw(c, gw, REFUSED[name](token))
    assert r.status in (400, 401, 431), (r.status, r.body[:300])
    if r.status == 401:
        check_problem(r, "grant-invalid", "grant-mismatch")
    assert origin.count() == 0


H2_VALUES = {"empty": [b""], "twice": [b"T", b"T"], "a comma": [b"T,"], "a NUL": [b"T\0"], "a line end": [b"T\r\n"], "a space before": [b" T"], "a space behind": [b"T "], "obs-text": [b"T\xe9"],
             "8 KiB": [b"A" * 8192]}


@pytest.mark.parametrize("name", H2_VALUES)
def test_the_same_over_http2(gw, origin, token, name):
    """RFC 9113 s8.2.1: a value with white space at its ends is malformed."""
    with gw.person("alice").h2() as c:
        fields = [(":method", "GET"), (":scheme", "https"), (":authority", f"{SUPPORT}:{gw.port}"), (":path", "/hello")]
        r = c.wait(c.open_raw([(n.encode(), v.encode()) for n, v in fields] + [(b"countersign-grant", v.replace(b"T", token.encode())) for v in H2_VALUES[name]]))
    assert r.reset or r.status in (400, 401, 431), (r.status, r.body[:200])
    assert origin.count() == 0


ELSEWHERE = {
    "Authorization": lambda t: ("/hello", [("Authorization", "Bearer " + t)]),
    "a cookie": lambda t: ("/hello", [("Cookie", f"{FIELD}={t}")]),
    "the query": lambda t: (f"/hello?{FIELD}={t}&access_token={t}", []),
    "X-Countersign-Grant": lambda t: ("/hello", [("X-Countersign-Grant", t)]),
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_elsewhere_it_is_no_grant(gw, origin, token, name):
    """Mallory has none of her own; whatever she shows, the answer is the same as without."""
    target, fields = ELSEWHERE[name](token)
    check_problem(gw.person("mallory").get(target, fields), "grant-required")
    assert origin.count() == 0


@pytest.mark.parametrize("name", ["Countersign_Grant", "Countersign.Grant", "Countersign-Grant2", "COUNTERSIGN_GRANT"])
def test_look_alikes_reach_no_tool(gw, origin, token, name):
    r = gw.person("alice").get("/hello", [(name, "x.y.z")])
    assert r.status in (200, 400)
    assert not [n for q in origin.requests for n, v in q.fields if v == "x.y.z" and name != "Countersign-Grant2"]


def test_a_wrong_token_is_refused_although_the_certificate_has_a_grant(gw, origin, token):
    """What a client says it relies on must hold; the certificate's own grant does not make up for it."""
    for proto in ("h1", "h2"):
        check_problem(gw.person("alice").get("/hello", [(FIELD, "a.b.c")], proto=proto), "grant-invalid")
    assert origin.count() == 0


def test_a_wrong_token_gets_no_upgrade(gw, origin, token):
    upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
               ("Origin", f"https://{SUPPORT}:{gw.port}")]
    r = gw.person("alice").get("/ws", upgrade + [(FIELD, "a.b.c")])
    assert r.status == 401 and origin.count() == 0


def test_the_console_does_not_care(gw, token):
    """There it means nothing, and is no way in either."""
    assert gw.person("alice").api("GET", "/api/v1/status", fields=[(FIELD, "a.b.c")]).status in (200, 400, 401)
    r = gw.nobody().api("GET", "/api/v1/status", fields=[(FIELD, token)])
    assert r.status in (401, 403) and r.problem == "certificate-missing"


def test_head_and_pages_of_a_refusal(gw, origin, token):
    alice = gw.person("alice")
    with alice.h1() as c:
        r = c.request("HEAD", "/hello", [(FIELD, "a.b.c")])
        assert r.status == 401 and not r.body
        assert c.request("GET", "/hello").status == 200, "the connection goes on"
    r = alice.get("/hello", [(FIELD, "a.b.c"), ("Accept", "text/html")])
    assert r.status == 401 and r.get("content-type").startswith("text/html") and b"a.b.c" not in r.body


def test_a_refused_token_stands_nowhere(gw, token):
    """Neither in the answer, nor in the log."""
    secret = "eyJhbGciOiJFUzI1NiJ9.c2VjcmV0LXNlY3JldC1zZWNyZXQ.c2ln"
    r = gw.person("alice").get("/hello", [(FIELD, secret)])
    assert r.status == 401 and secret.encode() not in r.body
    assert secret not in gw.log() and token not in gw.log()


# From one request to the next.
def fresh(gw, name, seconds=600):
    who = gw.person(name)
    item = give_grant(who, gw.person("bob"), duration_s=seconds)
    return who, item["grant_id"], wait_until(lambda: token_of(gw, name), what="the token")


def end_by_lock(gw, who, grant_id):
    gw.person("olga").api_ok("POST", "/api/v1/locks", {"kind": "grant", "value": grant_id, "reason": "enough"})


def end_by_approver(gw, who, grant_id):
    gw.person("bob").api_ok("POST", "/api/v1/locks", {"kind": "grant", "value": grant_id, "reason": "I take it back"})


def end_by_withdrawal(gw, who, grant_id):
    item = next(i for i in who.status()["requests"] if i.get("grant_id") == grant_id)["id"]
    who.cli("withdraw", item, "--reason", "done", expect=0)


ENDS = {"a lock": end_by_lock, "its approver": end_by_approver, "withdrawal": end_by_withdrawal}


@pytest.mark.parametrize("proto", ["h1", "h2"])
@pytest.mark.parametrize("how", ENDS)
def test_the_same_connection_is_refused_after(gateway_of, origin, how, proto):
    """Whoever held the token a moment ago gets a clear answer, on the connection that is open or on a new one."""
    gw = gateway_of()
    who, grant_id, token = fresh(gw, "alice")
    with (who.h1() if proto == "h1" else who.h2()) as c:
        assert c.request("GET", "/hello", [(FIELD, token)]).status == 200
        ENDS[how](gw, who, grant_id)
        wait_until(lambda: who.get("/x").status == 403, what="the end")
        origin.reset()
        try:
            r = c.request("GET", "/hello", [(FIELD, token)])
        except OSError:
            r = None
        if r is not None and r.status:
            check_problem(r, "grant-mismatch", "locked", "grant-required")
    r = who.get("/hello", [(FIELD, token)], proto=proto)
    assert r.status in (401, 403)
    check_problem(r, "grant-mismatch", "locked")
    check_problem(who.get("/hello", proto=proto), "grant-required", "locked")
    assert origin.count() == 0


@pytest.mark.parametrize("proto", ["h1", "h2"])
def test_the_same_connection_is_refused_after_the_end(gateway_of, origin, proto):
    gw = gateway_of()
    who, _, token = fresh(gw, "alice", seconds=12)
    with (who.h1() if proto == "h1" else who.h2()) as c:
        assert c.request("GET", "/hello", [(FIELD, token)]).status == 200
        time.sleep(12)
        wait_until(lambda: who.get("/x").problem == "grant-required", what="the end")
        origin.reset()
        try:
            r = c.request("GET", "/hello", [(FIELD, token)])
        except OSError:
            r = None
        if r is not None and r.status:
            check_problem(r, "grant-expired", "grant-mismatch")
    check_problem(who.get("/hello", [(FIELD, token)], proto=proto), "grant-expired", "grant-mismatch")
    assert origin.count() == 0


def test_a_token_of_one_stream_says_nothing_about_the_next(gw, origin, token):
    """Forty streams at once: good, wrong and none, in turn."""
    with gw.person("alice").h2() as c:
        streams = [c.open("GET", "/hello", [(FIELD, (token, "a.b.c")[i % 2])]) for i in range(40)]
        assert [c.wait(s).status for s in streams] == [200, 401] * 20
    assert origin.count("/hello") == 20


def test_an_upload_ends_with_its_grant(gateway_of, origin):
    """The stream was opened with a good token; its body is not forwarded past the end."""
    gw = gateway_of()
    who, grant_id, token = fresh(gw, "alice")
    with who.h2() as c:
        s = c.open("POST", "/upload", [(FIELD, token), ("content-type", "application/octet-stream")], end=False)
        c.send_body(s, b"x" * 1000, end=False)
        time.sleep(0.5)
        end_by_lock(gw, who, grant_id)
        begun = time.monotonic()
        while not (c.ended or c.responses[s].reset or c.responses[s].status) and time.monotonic() < begun + 20:
            try:
                c.send_body(s, b"y" * 1000, end=False)
                c.sock.settimeout(0.05)
                c.step()
            except (TimeoutError, OSError):
                continue
        assert c.ended or c.responses[s].reset or c.responses[s].status == 403
