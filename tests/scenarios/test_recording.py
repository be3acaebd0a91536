"""Promises 5 and 6: every delivered byte is in the recording, secrets are not, and a change is found. Read by an independent reader."""
import os
import re
import shutil
import time

import pytest

from harness.origin import pattern
from harness.people import give_grant, hold, wait_until
from harness.recording import everything_readable, exchanges, read_tar


@pytest.fixture(scope="module")
def session(gw):
    """Alice's session: its id is the grant's."""
    return give_grant(gw.person("alice"), gw.person("bob"))["grant_id"]


def tar_of(gw, session):
    path = os.path.join(gw.state, "recordings", f"{session}.tar")
    with open(path, "rb") as f:
        return f.read()


def recorded(gw, session, wanted, seconds=30):
    """Wait until an exchange for which wanted(exchange) holds is in the file, with its response; it."""
    def look():
        try:
            found = exchanges(read_tar(tar_of(gw, session)))
        except (FileNotFoundError, EOFError):
            return None
        return next((e for e in found if wanted(e) and e.response), None)
    return wait_until(look, seconds, "the exchange in the recording")


def line(text):
    return lambda e: text in e.request_line


@pytest.mark.parametrize("proto", ["h1", "h2"])
def test_what_was_delivered_is_recorded_byte_for_byte(gw, origin, session, proto):
    size = 3_000_017
    r = gw.person("alice").get(f"/big?bytes={size}&p={proto}", proto=proto)
    assert len(r.body) == size
    e = recorded(gw, session, lambda e: f"p={proto}" in e.request_line and len(e.response_body) == size)
    assert e.response_body == r.body == pattern(0, size)
    assert e.request_line == f"GET /big?bytes={size}&p={proto} HTTP/1.1"


@pytest.mark.parametrize("proto", ["h1", "h2"])
def test_what_was_sent_is_recorded_byte_for_byte(gw, origin, session, proto):
    body = pattern(5, 1_200_007)
    r = gw.person("alice").post(f"/up?p={proto}", body, proto=proto, content_type="application/octet-stream")
    assert r.status == 200
    e = recorded(gw, session, lambda e: f"/up?p={proto}" in e.request_line and len(e.request_body) == len(body))
    assert e.request_body == body and e.response_body == r.body


def test_chunked_and_coded_answers_are_recorded_as_they_were(gw, origin, session):
    import gzip
    packed = gzip.compress(b"<h1>secret customers</h1>" * 100)

    async def script(request, conn):
        await conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n")
        await conn.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(packed), packed))
    origin.on("/coded", script)
    r = gw.person("alice").get("/coded")
    assert r.body == packed
    e = recorded(gw, session, line("/coded"))
    assert e.response_body == packed
    assert b"transfer-encoding" not in e.response.partition(b"\r\n\r\n")[0].lower(), "a head that says chunked over a body that is not"


def test_refusals_and_held_requests_are_recorded_too(gw, origin, session):
    hold(gw.person("alice"), body=b"audience=recorded")
    e = recorded(gw, session, lambda e: "POST /export" in e.request_line)
    assert b"audience=recorded" in e.request_body and b" 403" in e.response.split(b"\r\n")[0]
    assert gw.person("alice").get("/internal/x").status == 403
    recorded(gw, session, line("/internal/x"))


def test_a_download_that_was_cut_off_is_recorded_as_far_as_it_went(gw, origin, session):
    from harness.clients import h1_request
    from harness.live import endless
    endless(origin, "/cutme")
    with gw.person("alice").h1() as c:
        c.send(h1_request("GET", "/cutme", f"support.test.localhost:{gw.port}"))
        c.read_head()
        got = bytearray()
        c.read_exactly(100_000, got)
    e = recorded(gw, session, lambda e: "/cutme" in e.request_line and len(e.response_body) >= 100_000)
    assert e.response_body[:100_000] == bytes(got)
    truncated = [r.fields.get("warc-truncated") for r in e.records]
    assert any(truncated), "a cut-off body is not marked so"


def test_each_segment_is_well_formed_warc(gw, origin, session):
    gw.person("alice").get("/wellformed")
    recorded(gw, session, line("/wellformed"))
    records = read_tar(tar_of(gw, session))
    first = {}
    for r in records:
        first.setdefault(r.member, r)
    assert first and all(r.type == "warcinfo" for r in first.values()), "a segment does not begin with warcinfo"
    assert list(first) == [f"{n:06d}.warc.gz.age" for n in range(1, len(first) + 1)]
    ids = [r.fields["warc-record-id"] for r in records]
    assert len(ids) == len(set(ids)) and all(re.fullmatch(r"<urn:[^ >]+>", i) for i in ids)
    for r in records:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", r.fields["warc-date"])
        if r.type in ("request", "response"):
            assert r.fields["warc-target-uri"].startswith("https://support.test.localhost")
            assert r.fields["content-type"].startswith("application/http")


SECRETS = {
    "a password in a form": dict(body=b"user=x&password=SECRETform", content_type="application/x-www-form-urlencoded"),
    "an encoded password name": dict(body=b"user=x&p%61ssword=SECRETencoded", content_type="application/x-www-form-urlencoded"),
    "a password in JSON": dict(body=b'{"a":{"password":"SECRETjson"}}', content_type="application/json"),
    "a password in JSON with escapes": dict(body=b'{"pass\\u0077ord":"SECRETescape"}', content_type="application/json"),
    "a token in JSON": dict(body=b'{"access_token" : "SECRETtoken", "n": 1}', content_type="application/json"),
    "a password in multipart": dict(body=b'--B\r\nContent-Disposition: form-data; name="password"\r\n\r\nSECRETmultipart\r\n--B--\r\n',
                                    content_type="multipart/form-data; boundary=B"),
    "a password in upper case": dict(body=b"PASSWORD=SECRETupper", content_type="application/x-www-form-urlencoded"),
    "a cookie": dict(fields=[("Cookie", "session=SECRETcookie; b=c")]),
    "authorization": dict(fields=[("Authorization", "Bearer SECRETbearer")]),
    "basic authorization": dict(fields=[("Authorization", "Basic U0VDUkVUYmFzaWM6eA==")]),
    "a proxy's authorization": dict(fields=[("X-Api-Key", "SECRETapikey")]),
    "a token in the query": dict(target="/login?token=SECRETquery&x=1"),
    "an encoded token in the query": dict(target="/login?t%6fken=SECRETquery2"),
}


@pytest.mark.parametrize("proto", ["h1", "h2"])
@pytest.mark.parametrize("name", SECRETS)
def test_secrets_are_not_kept(gw, origin, session, name, proto):
    async def quiet(request, conn):
        await conn.answer(200, b"ok")       # the account that the origin gives otherwise repeats the request's fields
    origin.on("/login", quiet)
    mark = f"{list(SECRETS).index(name)}{proto}"
    sent = {"target": "/login", "body": b"x=1", **SECRETS[name]}
    target = sent["target"] + ("&" if "?" in sent["target"] else "?") + f"mark={mark}"
    alice = gw.person("alice")
    r = alice.post(target, sent["body"], sent.get("fields", []), proto=proto, content_type=sent.get("content_type", "text/plain"))
    assert r.status == 200
    got = origin.last("/login")
    everything = got.head + got.body
    assert b"SECRET" in everything or b"U0VDUkVU" in everything, "the tool did not get the real value"
    recorded(gw, session, line(f"mark={mark}"))
    kept = everything_readable(tar_of(gw, session))
    assert b"SECRET" not in kept.replace(b"SECRETanswer", b"") and b"U0VDUkVU" not in kept


@pytest.mark.parametrize("how", ["whole", "byte by byte"])
def test_secrets_in_answers_are_not_kept(gw, origin, session, how):
    """Set-Cookie, and a token in a JSON answer, also when it comes in pieces."""
    import asyncio
    body = b'{"user":"x","access_token":"HIDDENtoken","nested":{"client_secret":"HIDDENsecret"}}'

    async def script(request, conn):
        await conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nSet-Cookie: sid=HIDDENcookie; Path=/\r\nContent-Length: %d\r\n\r\n" % len(body))
        step = len(body) if how == "whole" else 1
        for i in range(0, len(body), step):
            await conn.send(body[i:i + step])
            await asyncio.sleep(0.002)
    origin.on("/tokens", script)
    r = gw.person("alice").get(f"/tokens?how={how.split()[0]}")
    assert r.body == body and "HIDDENcookie" in r.get("set-cookie")
    recorded(gw, session, line(f"how={how.split()[0]}"))
    kept = everything_readable(tar_of(gw, session))
    assert b"HIDDENcookie" not in kept and b"HIDDENtoken" not in kept and b"HIDDENsecret" not in kept


def test_secrets_are_not_in_the_log(gw, origin, session):
    gw.person("alice").get("/x?token=SECRETlogquery", [("Authorization", "Bearer SECRETlog"), ("Cookie", "a=SECRETlogcookie")])
    assert "SECRET" not in gw.log()


@pytest.mark.parametrize("proto", ["h1", "h2"])
def test_a_browser_is_told_before_the_first_page(gw, origin, proto):
    """No page of the tool comes before the notice was acknowledged, by that person."""
    mallory = gw.person("mallory")
    if proto == "h1":
        give_grant(mallory, gw.person("bob"), notice=False)
        wait_until(lambda: mallory.get("/").problem != "grant-required", what="the grant")
    html = [("Accept", "text/html"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document"), ("Sec-Fetch-Site", "none")]
    origin.reset()
    r = mallory.get("/customers", html, proto=proto)
    assert r.status in (302, 303) and "/notice/" in r.get("location") and origin.count() == 0
    page = mallory.request("GET", re.sub(r"^https://[^/]+", "", r.get("location")), html, host="console.test.localhost", proto=proto)
    assert page.status == 200 and b"recorded" in page.body.lower()


def test_another_site_cannot_acknowledge_the_notice(gw, origin):
    mallory = gw.person("mallory")
    grants = mallory.status()["grants"]
    if not grants:
        give_grant(mallory, gw.person("bob"), notice=False)
        grants = mallory.status()["grants"]
    for fields in ([("Sec-Fetch-Site", "cross-site")], [("Origin", "https://support.test.localhost")]):
        r = mallory.request("POST", f"/notice/{grants[0]['grant_id']}", fields, b"", host="console.test.localhost")
        assert r.status == 403
    r = gw.person("alice").request("POST", f"/notice/{grants[0]['grant_id']}", [("Sec-Fetch-Site", "same-origin")], b"", host="console.test.localhost")
    assert r.status >= 400


def verify(gw, session, **more):
    return gw.person("dan").cli("verify", session, "--json", **more)


def test_verify_says_whole_and_names_the_segment_that_was_changed(gateway_of, origin):
    g = gateway_of(recording={"segment_time": "500ms"})
    alice = g.person("alice")
    session = give_grant(alice, g.person("bob"))["grant_id"]
    for i in range(6):
        assert alice.get(f"/page{i}").status == 200
        time.sleep(0.7)
    recorded(g, session, line("/page5"))
    wait_until(lambda: verify(g, session).returncode == 0, 30, "a whole recording")
    path = os.path.join(g.state, "recordings", f"{session}.tar")
    shutil.copy(path, path + ".good")
    import tarfile
    with tarfile.open(path) as tar:
        members = [m for m in tar if m.isfile()]
    assert len(members) >= 4
    victim = members[2]
    number = int(victim.name.split(".")[0])
    changes = {
        "a flipped byte": lambda d: flip(d, victim.offset_data + victim.size // 2),
        "a flipped byte in the tar header": lambda d: flip(d, victim.offset + 110),
        "a cut tail": lambda d: d[:members[-1].offset],
        "a segment taken out": lambda d: d[:victim.offset] + d[members[3].offset:],
        "two segments exchanged": lambda d: d[:victim.offset] + d[members[3].offset:next_offset(members, 3, d)] + d[victim.offset:members[3].offset]
        + d[next_offset(members, 3, d):],
        "a segment twice": lambda d: d[:members[3].offset] + d[victim.offset:members[3].offset] + d[members[3].offset:],
    }
    with open(path, "rb") as f:
        good = f.read()
    for name, change in changes.items():
        with open(path, "wb") as f:
            f.write(change(good))
        p = verify(g, session)
        assert p.returncode == 1, f"{name}: not found\n{p.stdout.decode()}"
        if name == "a flipped byte":
            assert re.search(rf'"segment": *{number}\b', p.stdout.decode()), p.stdout.decode()
    shutil.copy(path + ".good", path)
    assert verify(g, session).returncode == 0


def flip(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


def next_offset(members, i, data):
    return members[i + 1].offset if i + 1 < len(members) else len(data)


def test_only_auditors_see_sessions(gw, session):
    for name in ("alice", "bob", "carol", "olga", "mallory", "nina"):
        for path in ("/api/v1/sessions", f"/api/v1/sessions/{session}?purpose=show", f"/api/v1/sessions/{session}/recording", "/api/v1/log?from=1&limit=10"):
            assert gw.person(name).api("GET", path).status in (403, 404), f"{name} {path}"
    gw.person("alice").get("/something-to-see")
    dan = gw.person("dan")
    wait_until(lambda: session in [s["id"] for s in dan.api_ok("GET", "/api/v1/sessions")["sessions"]], what="the session")


def test_the_recording_comes_over_the_api_as_it_lies_on_disk(gw, origin, session):
    gw.person("alice").get("/api-copy")
    recorded(gw, session, line("/api-copy"))
    r = gw.person("dan").api("GET", f"/api/v1/sessions/{session}/recording")
    assert r.status == 200 and r.get("content-type") == "application/x-tar"
    assert tar_of(gw, session).startswith(r.body) or r.body.startswith(tar_of(gw, session)[:len(r.body)])


@pytest.mark.parametrize("bad", ["..", "../../etc/passwd", "%2e%2e%2f%2e%2e%2fkeys%2fgrant.pem", "grt_" + "A" * 22, "x" * 3000, "a/b", "%00"])
def test_no_other_file_comes_out_of_the_recording_route(gw, bad):
    r = gw.person("dan").api("GET", f"/api/v1/sessions/{bad}/recording")
    assert r.status >= 400 and b"PRIVATE" not in r.body and b"root:" not in r.body


def test_an_auditor_replays_what_was_seen(gw, origin, session):
    async def script(request, conn):
        await conn.answer(200, b"<html><body><h1>Customer Amber Bakery</h1></body></html>", [("Content-Type", "text/html")])
    origin.on("/customer/7", script)
    gw.person("alice").get("/customer/7")
    recorded(gw, session, line("/customer/7"))
    shown = gw.person("dan").cli("replay", session, "--speed", "0", expect=0).stdout.decode()
    assert "Amber Bakery" in shown and "/customer/7" in shown
    listed = gw.person("dan").cli("show", session, expect=0).stdout.decode()
    assert "/customer/7" in listed and "alice" in listed and "bob" in listed


def test_a_tool_cannot_drive_the_auditors_terminal(gw, origin, session):
    async def script(request, conn):
        await conn.answer(200, b"\x1b]0;owned\x07\x1b[2Jhello\x9b31m\xe2\x80\xaeevil", [("Content-Type", "text/plain; charset=utf-8"), ("X-Evil", "\x1b[31m".replace("\x1b", ""))])
    origin.on("/terminal", script)
    gw.person("alice").get("/terminal")
    recorded(gw, session, line("/terminal"))
    for command in (("replay", session, "--speed", "0"), ("show", session)):
        out = gw.person("dan").cli(*command, expect=0).stdout
        assert b"\x1b" not in out and b"\x9b" not in out.replace("‮".encode(), b"") and b"\x07" not in out and "‮".encode() not in out
