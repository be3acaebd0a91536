"""What RFC 9110 and RFC 9112 ask of a gateway besides framing: its own answers to HEAD, what a client of HTTP/1.0 may be told, Date, Max-Forwards, expectations, and how it says no to somebody who is still talking."""
import asyncio
import re
import socket
import time

import pytest

from harness.clients import h1_request
from harness.config_text import SUPPORT
from harness.frames import END_HEADERS, END_STREAM, HEADERS, RST_STREAM, Wire, block, data, frame, literal
from harness.h2_expect import answered
from harness.people import give_grant

PROTOS = ["h1", "h2"]
GATEWAY = {"workers": 1}
DATE = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d\d:\d\d:\d\d GMT\Z")


@pytest.fixture(scope="module", autouse=True)
def granted(gw):
    give_grant(gw.person("alice"), gw.person("bob"), duration_s=1800)


def host(gw):
    return f"{SUPPORT}:{gw.port}"


# ---- its own answers ----

OWN = {
    "no grant": ("mallory", "/x", None, 403), "a bad target": ("alice", "/x%00", None, 400), "an unknown host": ("alice", "/x", "nobody.test.localhost", 404),
    "a denied action": ("alice", "/internal/x", None, 403), "a method that isn't served": ("alice", "/.countersign/nothing", None, 404),
}


@pytest.mark.parametrize("proto", PROTOS)
@pytest.mark.parametrize("name", OWN)
def test_head_gets_the_head_of_the_same_answer_and_no_more(gw, name, proto):
    """RFC 9110 section 9.3.2. A body here would be read as the next answer."""
    who, target, other, status = OWN[name]
    who = gw.person(who)
    with (who.h1() if proto == "h1" else who.h2()) as c:
        got = c.request("GET", target, host=other and f"{other}:{gw.port}")
        head = c.request("HEAD", target, host=other and f"{other}:{gw.port}") if not c.ended else None
        if head is None or (not head.status and c.ended):
            pytest.skip("this answer ends the connection")
        assert got.status in (status, 421) and head.status == got.status and head.body == b""
        assert head.get("content-length") in (None, got.get("content-length")), (head.fields, got.fields)
        again = c.request("GET", target, host=other and f"{other}:{gw.port}")
        assert again.status == got.status and len(again.body) == len(got.body), "the connection lost its step"


def test_head_on_a_connection_that_it_ends_has_no_body(gw):
    with gw.person("alice").h1() as c:
        c.send(b"HEAD /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        r = c.read_head()
        c.ends_within(20)
        assert r.status == 400 and c.buf == b"" and r.get("connection") == "close"


def test_the_last_answer_says_that_it_is_the_last(gw):
    """RFC 9112 section 9.6: whoever will close after an answer says so in it."""
    for raw, status in ((b"GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400), (b"GET /x HTTP/1.0\r\nHost: %s\r\n\r\n" % host(gw).encode(), 200),
                        (b"GET /x HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % host(gw).encode(), 200), (b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % (b"a" * 50000), 414)):
        with gw.person("alice").h1() as c:
            c.send(raw)
            r = c.read_response()
            assert r.status in (status, 431) and (r.get("connection") or "").lower() == "close", (raw[:60], r.status, r.fields)
            assert c.ends_within(20)


@pytest.mark.parametrize("proto", PROTOS)
def test_every_answer_has_a_date(gw, origin, proto):
    """RFC 9110 section 6.6.1: the tool's own, or the time when its answer came."""
    async def dated(request, conn):
        await conn.answer(200, b"x", [("Date", "Mon, 01 Jan 2024 00:00:00 GMT")])
    origin.on("/dated", dated)
    alice = gw.person("alice")
    assert alice.get("/dated", proto=proto).all("date") == ["Mon, 01 Jan 2024 00:00:00 GMT"]
    for r in (alice.get("/undated", proto=proto), alice.get("/internal/x", proto=proto), gw.person("mallory").get("/x", proto=proto)):
        assert len(r.all("date")) == 1 and DATE.match(r.get("date")), (r.status, r.fields)


@pytest.mark.parametrize("proto", PROTOS)
def test_its_own_refusals_are_never_kept_by_a_cache(gw, proto):
    """RFC 9111: a 404 or 414 would be, without a word; a grant may come a second later."""
    for who, target in (("mallory", "/x"), ("alice", "/internal/x"), ("alice", "/x%00")):
        assert "no-store" in (gw.person(who).get(target, proto=proto).get("cache-control") or ""), target


# ---- HTTP/1.0 ----

def old(gw, target, *lines):
    c = gw.person("alice").h1()
    c.send("\r\n".join([f"GET {target} HTTP/1.0", f"Host: {host(gw)}", *lines, "", ""]).encode())
    return c


def test_a_client_of_1_0_hears_nothing_that_it_cannot_read(gw, origin):
    """RFC 9110 section 15.2 and RFC 9112 section 6.1: no interim answer and no chunks."""
    async def script(request, conn):
        await conn.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    origin.on("/new", script)
    for more in ((), ("Connection: keep-alive",)):
        with old(gw, "/new", *more) as c:
            c.ends_within(20)
            head, _, body = c.buf.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200") and body == b"hello" and b"chunked" not in head, c.buf
            assert c.ended and not c.was_reset


def test_a_client_of_1_0_is_not_told_to_continue(gw, origin):
    """RFC 9110 section 10.1.1: the expectation of a 1.0 request is ignored."""
    with gw.person("alice").h1() as c:
        c.send(f"POST /x HTTP/1.0\r\nHost: {host(gw)}\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n".encode())
        time.sleep(0.3)
        c.send(b"hello")
        assert c.read_head().status == 200
    assert origin.last("/x").body == b"hello"


# ---- Max-Forwards ----

@pytest.mark.parametrize("proto", PROTOS)
def test_max_forwards_counts_down_and_ends_here_at_0(gw, origin, proto):
    """RFC 9110 section 7.6.2: of OPTIONS each intermediary takes one; at 0 it answers itself."""
    alice = gw.person("alice")
    r = alice.request("OPTIONS", "/x", [("Max-Forwards", "0")], proto=proto)
    assert origin.count("/x") == 0 and r.status in (200, 204, 400, 403, 405, 501), (r.status, r.body[:100])
    assert alice.request("OPTIONS", "/x", [("Max-Forwards", "5")], proto=proto).status == 200
    assert origin.last("/x").get("Max-Forwards") == "4"
    assert alice.request("GET", "/y", [("Max-Forwards", "0")], proto=proto).status == 200      # of other methods it may be ignored


# ---- expectations ----

EXPECTS = {
    "mixed case": "Expect: 100-Continue", "a space behind": "Expect: 100-continue ", "no body": None,
}
ODD_EXPECTS = {
    "another before": "Expect: y 100-continue", "a list": "Expect: 100-continue, y", "twice": "Expect: 100-continue\r\nExpect: 100-continue", "with a parameter": "Expect: 100-continue;q=1",
    "empty": "Expect:", "a look-alike": "Expect: 100_continue", "obfuscated": "Expect: \x0b100-continue", "folded": "Expect:\r\n 100-continue", "200": "Expect: 200-ok",
}
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


def expecting(gw, line, method="POST", length=len(SMUGGLED), target="/e"):
    return f"{method} {target} HTTP/1.1\r\nHost: {host(gw)}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n{line}\r\n\r\n".encode("latin-1")


@pytest.mark.parametrize("name", ODD_EXPECTS)
def test_an_odd_expectation_never_moves_where_a_body_begins(gw, origin, name):
    """PortSwigger's desyncs of 2025 hide in it: the body is the body, or the connection ends."""
    for method in ("POST", "GET", "OPTIONS"):
        with gw.person("alice").h1(timeout=20) as c:
            c.send(expecting(gw, ODD_EXPECTS[name], method) + SMUGGLED + h1_request("GET", "/behind", host(gw)))
            r = c.read_response(method)
            assert r.status in (200, 400, 417), r.status
            if r.status == 200:
                assert origin.last("/e").body == SMUGGLED and origin.last("/e").get("Expect") is None
                assert c.read_response().json()["target"] == "/behind"
            else:
                c.ends_within(20)
                assert c.ended and b"HTTP/1.1 200" not in c.buf
        assert origin.count("/smuggled") == 0


def test_who_expects_and_is_refused_is_not_misread(gw, origin):
    """The body was not asked for, may come or not: so nothing behind it may be taken for a request."""
    with gw.person("mallory").h1(timeout=20) as c:
        c.send(expecting(gw, "Expect: 100-continue"))
        r = c.read_response(interim=True)
        assert r.status == 403
        try:
            c.send(SMUGGLED + h1_request("GET", "/behind", host(gw)))
        except OSError:
            pass
        second = c.read_response()
        assert (r.get("connection") or "").lower() == "close" and second.status == 0 or second.status == 403
        if second.status:
            assert c.read_response().status == 0 or (r.get("connection") or "").lower() != "close"
    assert origin.count() == 0


def test_who_expects_gets_one_100_and_the_tool_none_of_it(gw, origin):
    async def eager(request, conn):
        await conn.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await conn.answer(200, b"done")
    origin.on("/e", eager)
    with gw.person("alice").h1(timeout=20) as c:
        c.send(expecting(gw, "Expect: 100-Continue", length=5))
        assert c.read_response(interim=True).status == 100
        c.send(b"hello")
        r = c.read_response()
        assert (r.status, r.body) == (200, b"done") and len(r.interim) <= 1
        c.send(expecting(gw, "Expect: 100-continue", method="GET", length=0))
        r = c.read_response()                # nothing to wait for
        assert r.status == 200


@pytest.mark.parametrize("status", [401, 413, 200])
def test_a_tool_that_answers_instead_of_continuing_keeps_its_connection_in_step(gw, origin, status):
    """0.CL: the tool has answered and waits for no body; whatever follows on that connection would be read as a request."""
    async def early(request, conn):
        await conn.answer(status, b"early")
        return True
    origin.on("/e", early, raw=True)
    for _ in range(3):
        with gw.person("alice").h1(timeout=20) as c:
            c.send(expecting(gw, "Expect: 100-continue"))
            r = c.read_response(interim=True)
            if r.status == 100:
                c.send(SMUGGLED)
                r = c.read_response()
            assert (r.status, r.body) == (status, b"early")
        got = gw.person("alice").get("/after")
        assert got.status == 200 and got.json()["target"] == "/after", got.body[:200]


# ---- a no to somebody who is still talking ----

@pytest.mark.parametrize("proto", PROTOS)
def test_a_refused_upload_hears_why(gw, origin, proto):
    """RFC 9112 section 9.6: closed at once, the kernel would reset the connection and the answer would be lost with it."""
    mallory = gw.person("mallory")
    for _ in range(3):
        with (mallory.h1(timeout=30) if proto == "h1" else mallory.h2(timeout=30)) as c:
            if proto == "h1":
                c.send(h1_request("POST", "/up", host(gw), [("Content-Length", str(8 << 20))], b""))
                try:
                    for _ in range(64):
                        c.send(b"u" * (128 << 10))
                except OSError:
                    pass
                r = c.read_response()
            else:
                stream = c.open("POST", "/up", [], end=False)
                r, left = c.responses[stream], 4 << 20
                while left and not r.complete and not r.reset:
                    room = min(c.conn.local_flow_control_window(stream), c.conn.max_outbound_frame_size, left)
                    if room <= 0:
                        assert c.step()
                        continue
                    c.conn.send_data(stream, b"u" * room)
                    c.flush()
                    left -= room
                c.wait(stream)
            assert r.status in (403, 413) and r.complete, f"{r.status}, reset {r.reset}"
    assert origin.count() == 0


def test_what_was_asked_before_an_error_is_answered_first(gw, origin):
    with gw.person("alice").h1(timeout=20) as c:
        c.send(h1_request("GET", "/big?bytes=300000", host(gw)) + h1_request("GET", "/two", host(gw)) + b"BAD\x00LINE\r\n\r\n" + h1_request("GET", "/behind", host(gw)))
        assert c.read_response().complete and c.read_response().json()["target"] == "/two"
        assert c.read_response().status == 400 and c.ends_within(20) and not c.buf
    assert origin.count("/behind") == 0


def test_requests_behind_a_refused_one_are_found_where_they_are(gw, origin):
    """A refusal of the gateway's leaves the body in the stream; the next request begins behind it."""
    body = SMUGGLED
    with gw.person("alice").h1(timeout=20) as c:
        c.send(h1_request("POST", "/internal/x", host(gw), [("Content-Type", "text/plain")], body) + h1_request("GET", "/one", host(gw))
               + f"POST /internal/y HTTP/1.1\r\nHost: {host(gw)}\r\nTransfer-Encoding: chunked\r\n\r\n{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n" + h1_request("GET", "/two", host(gw)))
        seen = []
        while (r := c.read_response()).status:
            seen.append((r.status, r.json().get("target") if r.status == 200 else r.problem))
            if len(seen) == 4:
                break
    whole = [(403, "not-allowed"), (200, "/one"), (403, "not-allowed"), (200, "/two")]
    assert seen and seen == whole[:len(seen)], seen       # or the connection ends with a refusal, which is safe too
    assert origin.count("/smuggled") == 0


# ---- HTTP/2 ----

@pytest.mark.parametrize("kind", ["refused", "early", "cancelled", "malformed"])
def test_bodies_that_nobody_reads_use_up_no_window(gw, origin, kind):
    """RFC 9113 section 6.9: what is thrown away still counts on the connection, and has to be given back: 40 bodies of 60,000 are more than any window here."""
    async def early(request, conn):
        await conn.answer(413, b"no")
        return False
    origin.on("/early", early, raw=True)
    with Wire(gw, gw.creds["alice"], SUPPORT) as w:
        w.wait(lambda: w.settings)
        room = {0: 65535}

        def put(stream, size):
            left = size
            while left and stream not in w.resets and not w.ended:
                open_ = min(room[0] + w.granted.get(0, 0), w.settings.get(4, 65535) + w.granted.get(stream, 0) - (size - left))
                if open_ <= 0:
                    if not w.step(10):
                        return False
                    continue
                n = min(open_, 16384, left)
                w.send(data(stream, b"x" * n, end=n == left and kind != "malformed"))
                room[0] -= n
                left -= n
            return True
        for i in range(40):
            stream = 1 + 2 * i
            path = {"refused": "/internal/x", "early": "/early", "cancelled": "/slow-body", "malformed": "/m"}[kind]
            more = [("content-length", "50000")] if kind == "malformed" else []
            w.send(w.request(stream, path, end=False, method="POST", fields=[("content-type", "text/plain"), *more]))
            assert put(stream, 60000), f"after {i} bodies there is no window left: {w.told()[:300]}"
            if kind == "cancelled":
                w.send(frame(RST_STREAM, 0, stream, b"\0\0\0\x08"))
            else:
                w.wait(lambda s=stream: w.over(s) or w.status(s))
        assert w.answers_ping(), w.told()[:300]
        w.send(w.request(201))
        answered()(w, 201)


def test_a_body_nobody_takes_stops_no_other_stream(gw, origin):
    """One upload fills what its own stream may hold; the connection's window stays open for the others."""
    async def deaf(request, conn):
        await asyncio.sleep(15)
        return False
    origin.on("/deaf", deaf, raw=True)
    alice = gw.person("alice")
    with alice.h2() as c:
        stuck = [c.open("POST", "/deaf", [("content-type", "text/plain")], end=False) for _ in range(3)]
        for s in stuck:
            for _ in range(400):
                room = min(c.conn.local_flow_control_window(s), c.conn.max_outbound_frame_size)
                if room <= 0:
                    c.sock.settimeout(0.3)
                    try:
                        if not c.step():
                            break
                    except (TimeoutError, socket.timeout):
                        break
                    finally:
                        c.sock.settimeout(30)
                    continue
                c.conn.send_data(s, b"x" * room)
                c.flush()
        r = c.request("POST", "/fine", [("content-type", "text/plain")], b"y" * 300000)
        assert r.status == 200 and r.json()["body_len"] == 300000


def test_an_answer_before_the_body_ends_the_stream_in_peace(gw, origin):
    """RFC 9113 section 8.1: a whole answer, then RST_STREAM(NO_ERROR) at most; never an error that makes a client throw the answer away."""
    async def early(request, conn):
        await conn.answer(413, b"too large")
        return False
    origin.on("/early", early, raw=True)
    with Wire(gw, gw.creds["alice"], SUPPORT) as w:
        w.send(w.request(1, "/early", end=False, method="POST", fields=[("content-type", "text/plain")]) + data(1, b"x" * 1000, end=False))
        w.wait(lambda: 1 in w.done)
        assert w.status(1) == 413 and w.body[1] == b"too large", w.told()
        w.send(data(1, b"x" * 1000, end=False) + data(1, b"x"))
        assert w.answers_ping() and w.resets.get(1, 0) == 0, w.told()
        w.send(w.request(3))
        answered()(w, 3)


def test_what_rfc_9218_adds_does_no_harm(gw, origin):
    update = lambda stream, target, value: frame(0x10, 0, stream, target.to_bytes(4, "big") + value)   # noqa: E731
    with Wire(gw, gw.creds["alice"], SUPPORT, first=((9, 1),)) as w:
        w.send(update(0, 1, b"u=0") + w.request(1, fields=[("priority", "u=1, i")]) + update(0, 1, b"u=7") + update(0, 99, b"i") + frame(0x0c, 0, 0, b"") + frame(0x0a, 0, 0, b"\0\0"))
        answered()(w, 1)
        assert w.answers_ping()
        w.send(w.request(3))
        answered()(w, 3)
    assert origin.last("/a").get("Priority") in (None, "u=1, i")


def test_trailers_with_a_length_said_before_pass(gw, origin):
    with Wire(gw, gw.creds["alice"], SUPPORT) as w:
        w.send(w.request(1, end=False, method="POST", fields=[("content-type", "text/plain"), ("content-length", "2"), ("trailer", "x-sum")]) + data(1, b"zz", False)
               + frame(HEADERS, END_HEADERS | END_STREAM, 1, literal("x-sum", "1")))
        answered()(w, 1)
    seen = origin.last("/a")
    assert seen.body == b"zz" and seen.get("Trailer") is None and seen.get("X-Sum") is None


def test_options_asterisk_over_http2_is_answered_here(gw, origin):
    with Wire(gw, gw.creds["alice"], SUPPORT) as w:
        w.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, block(w.request_fields(path="*", method="OPTIONS"))))
        w.wait(lambda: w.over(1))
        assert w.status(1) in (200, 204, 400, 403, 404, 405, 501) or 1 in w.resets, w.told()
        assert origin.count() == 0 and w.answers_ping()


# ---- hosts ----

@pytest.mark.parametrize("proto", PROTOS)
@pytest.mark.parametrize("authority", ["[::1]", "[::1]:PORT", "127.0.0.1:PORT", "[::ffff:127.0.0.1]:PORT", "[v1.x]:PORT", "[::1%25lo]:PORT", "support.test.localhost..:PORT", "support.test.localhost:0PORT",
                                       "support.test.localhost:", "support.test.localhost:PORT ", "support%2etest.localhost:PORT", "support.test.localhost\u00a0:PORT", "xn--support.test.localhost:PORT",
                                       "support.test.localhost:PORT#", "support.test.localhost:443", "support.test.localhost:80", "support。test.localhost:PORT"])
def test_an_authority_is_the_tools_or_nobodys(gw, origin, proto, authority):
    """Its own host with a port that leads here, or a clear no; never the tool under another name."""
    said = authority.replace("PORT", str(gw.port)).encode("utf-8").decode("latin-1")
    with (gw.person("alice").h1(timeout=20) if proto == "h1" else gw.person("alice").h2(timeout=20)) as c:
        r = c.request("GET", "/x", host=said)
    if r.status == 200:
        assert authority.rstrip(" ").rstrip(":") in ("support.test.localhost", "support.test.localhost:PORT"), authority
        assert origin.last("/x").all("Host")[0] in (f"{SUPPORT}:{gw.port}", SUPPORT), origin.last("/x").head
    else:
        assert r.status in (400, 404, 421) or r.reset, r.status
        assert origin.count() == 0
