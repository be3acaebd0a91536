"""Answers of a tool that two parsers could read differently (RFC 9112 sections 4 to 7, 9.3 and 11): refused, or passed on in exactly one reading; and what lies behind an answer
becomes nobody's: a connection on which more came than was asked for is not used again."""
import asyncio
import time

import pytest

from harness.people import give_grant

PROTOS = ["h1", "h2"]
GATEWAY = {"workers": 1, "limits": {"upstream_head": "2s"}}      # one worker: one pool, so that a connection that is used again is found


def ok(fields="", body="hello", line="HTTP/1.1 200 OK"):
    return f"{line}\r\n{fields}\r\n{body}"


def sized(value, body="hello", more=""):
    return ok(f"{more}Content-Length: {value}\r\n", body)


def coded(value, body="5\r\nhello\r\n0\r\n\r\n"):
    return ok(f"Transfer-Encoding: {value}\r\n", body)


def chunks(body):
    return coded("chunked", body)


POISON = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned"
HELLO = (200, b"hello")
WRONG = 502                 # no part of it may be passed on
CUT = "cut off"             # the head was fine: what follows must look cut off, or be refused

ONE_READING = {
    # lengths
    "length: a sign": (sized("+5"), WRONG), "length: minus": (sized("-5"), WRONG), "length: a list of equals": (sized("5, 5"), WRONG), "length: a list": (sized("5, 6"), WRONG),
    "length: twice, equal": (sized("5", more="content-length: 5\r\n"), WRONG), "length: empty": (sized(""), WRONG), "length: hex": (sized("0x5"), WRONG), "length: a space inside": (sized("0 5"), WRONG),
    "length: 2^64+5": (sized("18446744073709551621"), WRONG), "length: a fraction": (sized("5.0"), WRONG), "length: words": (sized("five"), WRONG), "length: a comma": (sized("5,"), WRONG),
    "length: leading zeros": (sized("005"), HELLO), "length: a tab before": (sized("\t5"), HELLO), "length: a look-alike": (sized("5", more="Content_Length: 99\r\n"), HELLO),
    "length: shorter at the end": (sized("9"), CUT), "length: nothing of it came": (sized("9", ""), CUT),
    # transfer codings
    "coding: with a length": (sized("5", "5\r\nhello\r\n0\r\n\r\n", "Transfer-Encoding: chunked\r\n"), WRONG), "coding: gzip, chunked": (coded("gzip, chunked"), WRONG), "coding: chunked, gzip": (coded("chunked, gzip"), WRONG),
    "coding: identity": (coded("identity", "hello"), WRONG), "coding: xchunked": (coded("xchunked"), WRONG), "coding: twice": (coded("chunked\r\nTransfer-Encoding: chunked"), WRONG), "coding: a list": (coded("chunked, chunked"), WRONG),
    "coding: empty": (coded("", "hello"), WRONG), "coding: a vertical tab": (coded("\x0bchunked"), WRONG), "coding: quoted": (coded('"chunked"'), WRONG), "coding: a parameter": (coded("chunked;q=1"), WRONG),
    "coding: in HTTP/1.0": (coded("chunked").replace("HTTP/1.1", "HTTP/1.0"), WRONG), "coding: folded": (coded("\r\n chunked"), WRONG), "coding: upper case": (coded("CHUNKED"), HELLO),
    "coding: a look-alike": (sized("5", more="Transfer_Encoding: chunked\r\n"), HELLO), "coding: gzip alone": (coded("gzip", "hello"), WRONG),
    # chunks
    "chunk: a sign": (chunks("+5\r\nhello\r\n0\r\n\r\n"), CUT), "chunk: 0x": (chunks("0x5\r\nhello\r\n0\r\n\r\n"), CUT), "chunk: 2^64+5": (chunks("10000000000000005\r\nhello\r\n0\r\n\r\n"), CUT), "chunk: minus": (chunks("-5\r\nhello\r\n0\r\n\r\n"), CUT),
    "chunk: a space before": (chunks(" 5\r\nhello\r\n0\r\n\r\n"), CUT), "chunk: bare LF": (chunks("5\nhello\n0\n\n"), CUT), "chunk: bare CR": (chunks("5\rXhello\r\n0\r\n\r\n"), CUT), "chunk: no end": (chunks("5\r\nhelloXX0\r\n\r\n"), CUT),
    "chunk: a longer end": (chunks("5\r\nhello \r\n0\r\n\r\n"), CUT), "chunk: no last one": (chunks("5\r\nhello\r\n"), CUT), "chunk: half a size": (chunks("5\r\nhello\r\n1"), CUT), "chunk: LF in an extension": (chunks("5;a\nb\r\nhello\r\n0\r\n\r\n"), CUT),
    "chunk: no empty line": (chunks("5\r\nhello\r\n0\r\n"), CUT), "chunk: an empty size": (chunks("\r\nhello\r\n0\r\n\r\n"), CUT), "chunk: an endless extension": (chunks("5;" + "x" * 100000), CUT),
    "chunk: an extension": (chunks('5;a="b"\r\nhello\r\n0\r\n\r\n'), HELLO), "chunk: leading zeros": (chunks("0005\r\nhello\r\n000\r\n\r\n"), HELLO), "chunk: one byte each": (chunks("".join(f"1\r\n{c}\r\n" for c in "hello") + "0\r\n\r\n"), HELLO),
    # heads
    "head: a folded field": (ok("X: a\r\n b\r\nContent-Length: 5\r\n"), WRONG), "head: a folded first line": (ok(" X: a\r\nContent-Length: 5\r\n"), WRONG), "head: a space before the colon": (ok("Content-Length : 5\r\n"), WRONG),
    "head: an empty name": (ok(": a\r\nContent-Length: 5\r\n"), WRONG), "head: no colon": (ok("X\r\nContent-Length: 5\r\n"), WRONG), "head: CR in a value": (ok("X: a\rSet-Cookie: b=c\r\nContent-Length: 5\r\n"), WRONG),
    "head: a control byte": (ok("X: a\x01\r\nContent-Length: 5\r\n"), WRONG), "head: DEL": (ok("X: a\x7f\r\nContent-Length: 5\r\n"), WRONG), "head: brackets in a name": (ok("X[]: a\r\nContent-Length: 5\r\n"), WRONG), "head: a name above 127": (ok("X\xe9: a\r\nContent-Length: 5\r\n"), WRONG),
    "head: NUL in a name": (ok("X\0: a\r\nContent-Length: 5\r\n"), WRONG), "head: a thousand fields": (ok("".join(f"X{i}: y\r\n" for i in range(1000)) + "Content-Length: 5\r\n"), WRONG), "head: bytes above 127": (ok("X: \xe9\r\nContent-Length: 5\r\n"), HELLO),
    "head: LF LF": ("HTTP/1.1 200 OK\r\nContent-Length: 5\n\nhello", WRONG), "head: only a status line of LF": ("HTTP/1.1 200 OK\nContent-Length: 5\r\n\r\nhello", WRONG),
    # status lines
    "status: 099": (ok("Content-Length: 5\r\n", line="HTTP/1.1 099 X"), WRONG), "status: 000": (ok("Content-Length: 5\r\n", line="HTTP/1.1 000 X"), WRONG), "status: four digits": (ok("Content-Length: 5\r\n", line="HTTP/1.1 2000 X"), WRONG),
    "status: two digits": (ok("Content-Length: 5\r\n", line="HTTP/1.1 20 X"), WRONG), "status: a sign": (ok("Content-Length: 5\r\n", line="HTTP/1.1 +20 X"), WRONG), "status: HTTP/2.0": (ok("Content-Length: 5\r\n", line="HTTP/2.0 200 OK"), WRONG),
    "status: HTTP/0.9": (ok("Content-Length: 5\r\n", line="HTTP/0.9 200 OK"), WRONG), "status: lower case": (ok("Content-Length: 5\r\n", line="http/1.1 200 OK"), WRONG), "status: two spaces": (ok("Content-Length: 5\r\n", line="HTTP/1.1  200 OK"), WRONG),
    "status: a tab": (ok("Content-Length: 5\r\n", line="HTTP/1.1\t200 OK"), WRONG), "status: a space before": (ok("Content-Length: 5\r\n", line=" HTTP/1.1 200 OK"), WRONG), "status: ICY": (ok("Content-Length: 5\r\n", line="ICY 200 OK"), WRONG),
    "status: no reason": (ok("Content-Length: 5\r\n", line="HTTP/1.1 200 "), HELLO), "status: obs-text in the reason": (ok("Content-Length: 5\r\n", line="HTTP/1.1 200 \xe9t\xe9"), HELLO),
    "status: NUL in the reason": (ok("Content-Length: 5\r\n", line="HTTP/1.1 200 a\0b"), WRONG), "status: CR in the reason": (ok("Content-Length: 5\r\n", line="HTTP/1.1 200 a\rX: b"), WRONG),
    # interim answers
    "interim: then the final one": ("HTTP/1.1 102 Processing\r\n\r\n" + sized("5"), HELLO), "interim: 100 that nobody asked for": ("HTTP/1.1 100 Continue\r\n\r\n" + sized("5"), HELLO),
    "interim: one with a body": ("HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\nhello" + sized("5"), WRONG), "interim: chunked": ("HTTP/1.1 103 X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + sized("5"), WRONG),
    "interim: and no more": ("HTTP/1.1 100 Continue\r\n\r\n", WRONG), "interim: a switch": ("HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n" + sized("5"), WRONG),
    # until the end
    "end: of HTTP/1.0": (ok("", line="HTTP/1.0 200 OK"), HELLO), "end: of HTTP/1.1": (ok(""), HELLO), "end: a keep-alive that can't be": (ok("Connection: keep-alive\r\n"), HELLO),
}

# (method, what the tool says, what its client hears); the connection isn't closed by the tool.
LEFTOVERS = {
    "another answer": ("GET", sized("5") + POISON, HELLO), "an empty line": ("GET", sized("5") + "\r\n", HELLO), "garbage": ("GET", sized("5") + "garbage", HELLO), "one byte": ("GET", sized("5") + "x", HELLO),
    "an answer behind chunks": ("GET", chunks("5\r\nhello\r\n0\r\n\r\n") + POISON, HELLO), "an interim answer": ("GET", sized("5") + "HTTP/1.1 100 Continue\r\n\r\n", HELLO),
    "a body for HEAD": ("HEAD", sized("5"), (200, b"")), "a body of chunks for HEAD": ("HEAD", chunks("5\r\nhello\r\n0\r\n\r\n"), (200, b"")), "an answer as the body for HEAD": ("HEAD", sized(str(len(POISON)), POISON), (200, b"")),
    "a body of 204": ("GET", sized("5").replace("200 OK", "204 No Content"), (204, b"")), "chunks of 204": ("GET", chunks("5\r\nhello\r\n0\r\n\r\n").replace("200 OK", "204 No Content"), (204, b"")),
    "a body of 304": ("GET", sized("5").replace("200 OK", "304 Not Modified"), (304, b"")), "an answer as the body of 304": ("GET", sized(str(len(POISON)), POISON).replace("200 OK", "304 Not Modified"), (304, b"")),
    "an answer behind 205": ("GET", sized("0", "").replace("200 OK", "205 Reset Content") + POISON, (205, b"")),
    "an answer behind an upload": ("POST", sized("5") + POISON, HELLO), "an answer behind a redirect": ("GET", sized("0", "").replace("200 OK", "302 Found\r\nLocation: /next") + POISON, (302, b"")),
    "an answer behind 'close'": ("GET", sized("5", more="Connection: close\r\n") + POISON, HELLO),
}


@pytest.fixture(scope="module", autouse=True)
def granted(gw):
    give_grant(gw.person("alice"), gw.person("bob"), duration_s=1800)


def ask(who, proto, method="GET", path="/answer", body=None):
    with (who.h1(timeout=20) if proto == "h1" else who.h2(timeout=20)) as c:
        return c.request(method, path, [("Content-Type", "text/plain")] if body else [], body)


def says(origin, text, then=False):
    async def script(request, conn):
        await conn.send(text.encode("latin-1"))
        if not then:
            await asyncio.sleep(0.02)
        return then
    origin.on("/answer", script)


@pytest.mark.parametrize("name", ONE_READING)
def test_each_answer_has_one_reading_or_none(gw, origin, name):
    text, allowed = ONE_READING[name]
    says(origin, text)
    for proto in PROTOS:
        r = ask(gw.person("alice"), proto)
        if allowed == WRONG:
            assert r.status == 502 and r.problem, f"{proto}: {r.status} {r.body[:100]!r}"
        elif allowed == CUT:
            assert r.status in (502, 504) or not r.complete, f"{proto}: it looks whole: {r.status} {r.body[:100]!r}"
        else:
            assert (r.status, r.body) == allowed and r.complete, f"{proto}: {r.status} {r.body[:100]!r}"
            assert len(r.all("content-length")) <= 1 and not (proto == "h2" and r.get("transfer-encoding"))
    assert gw.person("alice").get("/fine").status == 200


@pytest.mark.parametrize("name", LEFTOVERS)
def test_what_lies_behind_an_answer_is_nobodys(gw, origin, name):
    method, text, allowed = LEFTOVERS[name]
    says(origin, text, then=True)
    for proto in PROTOS:
        alice = gw.person("alice")
        r = ask(alice, proto, method, body=b"upload" if method == "POST" else None)
        assert r.status == 502 or (r.status, r.body) == allowed and r.complete, f"{proto}: {r.status} {r.body[:100]!r}"
        used = origin.last("/answer").connection
        for i in range(3):
            after = ask(alice, proto, path=f"/after{i}")
            assert after.status == 200 and after.json()["target"] == f"/after{i}", f"{proto}: {after.body[:100]!r}"
            assert origin.last(f"/after{i}").connection != used, "the connection was used again"


@pytest.mark.parametrize("proto", PROTOS)
def test_a_second_answer_that_comes_later_is_nobodys(gw, origin, proto):
    """It arrives while the connection waits to be used again."""
    async def script(request, conn):
        await conn.send(sized("5").encode())
        await asyncio.sleep(0.3)
        await conn.send(POISON.encode())
        return True
    origin.on("/answer", script)
    alice = gw.person("alice")
    assert ask(alice, proto).body == b"hello"
    time.sleep(0.6)
    assert ask(alice, proto, path="/after").json()["target"] == "/after"
    assert origin.last("/after").connection != origin.last("/answer").connection


@pytest.mark.parametrize("way", ["in its head", "with interim answers"])
def test_an_answer_that_trickles_is_given_up(gw, origin, way):
    """The time for a head is that for the whole of it; interim answers say that more is to come, and are bounded too."""
    over = asyncio.Event()

    async def script(request, conn):
        await conn.send(b"HTTP/1.1 200 OK\r\nX: " if "head" in way else b"")
        for _ in range(600):
            await conn.send(b"y" if "head" in way else b"HTTP/1.1 102 Processing\r\n\r\n" * 2000)
            await asyncio.sleep(0.05)
        over.set()
        return False
    origin.on("/answer", script)
    r = ask(gw.person("alice"), "h1")
    assert r.status in (502, 504) and r.problem and not over.is_set(), r.status


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("proto", PROTOS)
@pytest.mark.parametrize("method,framing", [("POST", "length"), ("POST", "chunked"), ("GET", "length"), ("PUT", "length")])
def test_a_tool_that_overlooks_a_body_poisons_nobody(gw, origin, proto, method, framing):
    """CL.0: the tool answers at once and reads the body as the next request; its answer to that must reach no one. After a GET the connection ends, so it is never asked."""
    async def script(request, conn):
        await conn.answer(200, b"overlooked")
        return True                  # what it reads next is the body
    origin.on("/static.css", script, raw=True)
    alice = gw.person("alice")
    for _ in range(3):
        if proto == "h1" and framing == "chunked":
            with alice.h1(timeout=20) as c:
                c.send(f"{method} /static.css HTTP/1.1\r\nHost: support.test.localhost:{gw.port}\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + b"%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED))
                r = c.read_response()
        else:
            r = ask(alice, proto, method, "/static.css", SMUGGLED)
        assert r.status == 200 and r.body == b"overlooked"
        if method != "GET":          # what it says before the connection is used again reaches nobody; later no proxy could tell
            time.sleep(0.3)
        for i in range(3):
            got = ask(alice, proto, path=f"/after{i}")
            assert got.status == 200 and got.json()["target"] == f"/after{i}", got.body[:200]


@pytest.mark.parametrize("proto", PROTOS)
def test_a_204_and_an_interim_answer_say_no_length(gw, origin, proto):
    """RFC 9110 section 8.6 and RFC 9112 section 6.1: a server sends neither there."""
    says(origin, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", then=True)
    r = ask(gw.person("alice"), proto)
    assert r.status == 204 and r.get("content-length") is None and r.get("transfer-encoding") is None
    assert all(n.lower() not in ("content-length", "transfer-encoding") for _, fields in r.interim for n, _ in fields)


@pytest.mark.parametrize("proto", PROTOS)
def test_the_length_of_a_304_and_of_head_is_the_tools(gw, origin, proto):
    says(origin, "HTTP/1.1 304 Not Modified\r\nContent-Length: 4711\r\nETag: \"x\"\r\n\r\n", then=True)
    r = ask(gw.person("alice"), proto)
    assert r.status == 304 and r.get("content-length") in ("4711", None) and r.complete
    says(origin, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", then=True)
    with (gw.person("alice").h1() if proto == "h1" else gw.person("alice").h2()) as c:
        assert c.request("HEAD", "/answer").status == 200
        assert c.request("GET", "/next").json()["target"] == "/next"
