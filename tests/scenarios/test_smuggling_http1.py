"""Hostile HTTP/1.1 bytes: refused with 400, 431, 501, 505 or an end, never repaired, never two readings; and the gateway lives on."""
import pytest

from harness.people import give_grant

H = "Host: support.test.localhost:PORT\r\n"
SECOND = "GET /smuggled HTTP/1.1\r\n" + H + "\r\n"

REFUSED = {
    "length and chunked": "POST /a HTTP/1.1\r\n" + H + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SECOND,
    "chunked and length": "POST /a HTTP/1.1\r\n" + H + "Transfer-Encoding: chunked\r\nContent-Length: 60\r\n\r\n0\r\n\r\n" + SECOND,
    "two lengths": "POST /a HTTP/1.1\r\n" + H + "Content-Length: 0\r\nContent-Length: 44\r\n\r\n" + SECOND,
    "two equal lengths": "POST /a HTTP/1.1\r\n" + H + "Content-Length: 0\r\nContent-Length: 0\r\n\r\n" + SECOND,
    "a list of lengths": "POST /a HTTP/1.1\r\n" + H + "Content-Length: 0, 44\r\n\r\n" + SECOND,
    "length with a sign": "POST /a HTTP/1.1\r\n" + H + "Content-Length: +4\r\n\r\nabcd",
    "negative length": "POST /a HTTP/1.1\r\n" + H + "Content-Length: -1\r\n\r\n",
    "hex length": "POST /a HTTP/1.1\r\n" + H + "Content-Length: 0x10\r\n\r\n0123456789abcdef",
    "length past 2^64": "POST /a HTTP/1.1\r\n" + H + "Content-Length: 18446744073709551617\r\n\r\na",
    "empty length": "POST /a HTTP/1.1\r\n" + H + "Content-Length:\r\n\r\n" + SECOND,
    "length with a space inside": "POST /a HTTP/1.1\r\n" + H + "Content-Length: 4 4\r\n\r\n" + SECOND,
    "gzip, chunked": "POST /a HTTP/1.1\r\n" + H + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + SECOND,
    "chunked, identity": "POST /a HTTP/1.1\r\n" + H + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + SECOND,
    "xchunked": "POST /a HTTP/1.1\r\n" + H + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SECOND,
    "identity": "POST /a HTTP/1.1\r\n" + H + "Transfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n" + SECOND,
    "chunked twice": "POST /a HTTP/1.1\r\n" + H + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SECOND,
    "chunked with a vertical tab": "POST /a HTTP/1.1\r\n" + H + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + SECOND,
    "quoted chunked": "POST /a HTTP/1.1\r\n" + H + 'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n' + SECOND,
    "chunked in HTTP/1.0": "POST /a HTTP/1.0\r\n" + H + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SECOND,
    "space before the colon": "POST /a HTTP/1.1\r\n" + H + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + SECOND,
    "tab before the colon": "POST /a HTTP/1.1\r\n" + H + "Content-Length\t: 0\r\n\r\n" + SECOND,
    "a folded field": "POST /a HTTP/1.1\r\n" + H + "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + SECOND,
    "a folded harmless field": "GET /a HTTP/1.1\r\n" + H + "X: a\r\n b\r\n\r\n",
    "a field that begins with a space": "GET /a HTTP/1.1\r\n X: a\r\n" + H + "\r\n",
    "bare LF in the head": "GET /a HTTP/1.1\r\n" + H + "X: a\nTransfer-Encoding: chunked\r\n\r\n",
    "bare LF ends": "GET /a HTTP/1.1\n" + H.replace("\r\n", "\n") + "\n",
    "bare CR in a value": "GET /a HTTP/1.1\r\n" + H + "X: a\rTransfer-Encoding: chunked\r\n\r\n",
    "bare CR before a name": "GET /a HTTP/1.1\r\n" + H + "X:\rTransfer-Encoding: chunked\r\n\r\n",
    "NUL in a value": "GET /a HTTP/1.1\r\n" + H + "X: a\0b\r\n\r\n",
    "NUL in a name": "GET /a HTTP/1.1\r\n" + H + "X\0: a\r\n\r\n",
    "a control byte in a value": "GET /a HTTP/1.1\r\n" + H + "X: a\x01b\r\n\r\n",
    "an empty name": "GET /a HTTP/1.1\r\n" + H + ": a\r\n\r\n",
    "no colon": "GET /a HTTP/1.1\r\n" + H + "X\r\n\r\n",
    "a name with a space": "GET /a HTTP/1.1\r\n" + H + "X Y: a\r\n\r\n",
    "a name with brackets": "GET /a HTTP/1.1\r\n" + H + "X[]: a\r\n\r\n",
    "no host": "GET /a HTTP/1.1\r\n\r\n",
    "two hosts": "GET /a HTTP/1.1\r\n" + H + H + "\r\n",
    "two different hosts": "GET /a HTTP/1.1\r\n" + H + "Host: billing.test.localhost\r\n\r\n",
    "a list of hosts": "GET /a HTTP/1.1\r\nHost: support.test.localhost, x\r\n\r\n",
    "userinfo in host": "GET /a HTTP/1.1\r\nHost: x@support.test.localhost:PORT\r\n\r\n",
    "host with a path": "GET /a HTTP/1.1\r\nHost: support.test.localhost:PORT/x\r\n\r\n",
    "an empty host": "GET /a HTTP/1.1\r\nHost:\r\n\r\n",
    "absolute-form of another host": "GET https://billing.test.localhost:PORT/a HTTP/1.1\r\n" + H + "\r\n",
    "two spaces in the request line": "GET  /a HTTP/1.1\r\n" + H + "\r\n",
    "a tab in the request line": "GET\t/a HTTP/1.1\r\n" + H + "\r\n",
    "a trailing space in the request line": "GET /a HTTP/1.1 \r\n" + H + "\r\n",
    "a leading space": " GET /a HTTP/1.1\r\n" + H + "\r\n",
    "HTTP/0.9": "GET /a\r\n\r\n",
    "HTTP/2.0 in a request line": "GET /a HTTP/2.0\r\n" + H + "\r\n",
    "HTTP/1.2": "GET /a HTTP/1.2\r\n" + H + "\r\n",
    "HTTP/1.10": "GET /a HTTP/1.10\r\n" + H + "\r\n",
    "http in lower case": "GET /a http/1.1\r\n" + H + "\r\n",
    "a method with a bracket": "GE(T /a HTTP/1.1\r\n" + H + "\r\n",
    "CONNECT": "CONNECT support.test.localhost:443 HTTP/1.1\r\n" + H + "\r\n",
    "TRACE": "TRACE /a HTTP/1.1\r\n" + H + "\r\n",
    "the h2 preface": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "asterisk for GET": "GET * HTTP/1.1\r\n" + H + "\r\n",
    "a chunk size with a sign": "POST /a HTTP/1.1\r\n" + H + "Transfer-Encoding: chunked\r\n\r\n+4\r\nabcd\r\n0\r\n\r\n",
    "a chunk size with 0x": "POST /a HTTP/1.1\r\n" + H + "Transfer-Encoding: chunked\r\n\r\n0x4\r\nabcd\r\n0\r\n\r\n",
    "a chunk size past 2^64": "POST /a HTTP/1.1\r\n" + H + "Transfer-Encoding: chunked\r\n\r\n10000000000000004\r\nabcd\r\n0\r\n\r\n",
    "a chunk size line of bare LF": "POST /a HTTP/1.1\r\n" + H + "Transfer-Encoding: chunked\r\n\r\n4\nabcd\r\n0\r\n\r\n",
    "a chunk not ended by CRLF": "POST /a HTTP/1.1\r\n" + H + "Transfer-Encoding: chunked\r\n\r\n4\r\nabcdXX0\r\n\r\n",
    "a chunk extension without end": "POST /a HTTP/1.1\r\n" + H + "Transfer-Encoding: chunked\r\n\r\n4;" + "x" * 5000 + "\r\nabcd\r\n0\r\n\r\n",
    "a space before the chunk size": "POST /a HTTP/1.1\r\n" + H + "Transfer-Encoding: chunked\r\n\r\n 4\r\nabcd\r\n0\r\n\r\n",
    "framing in trailers": "POST /a HTTP/1.1\r\n" + H + "Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\nContent-Length: 44\r\n\r\n",
    "routing in trailers": "POST /a HTTP/1.1\r\n" + H + "Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\nHost: evil\r\n\r\n",
    "TE that names chunked": "GET /a HTTP/1.1\r\n" + H + "TE: gzip, chunked\r\nConnection: TE\r\n\r\n",
    "a head of 40 KiB": "GET /a HTTP/1.1\r\n" + H + "X: " + "a" * 40000 + "\r\n\r\n",
    "a thousand fields": "GET /a HTTP/1.1\r\n" + H + "".join(f"X{i}: a\r\n" for i in range(1000)) + "\r\n",
    "an upgrade with a body": "POST /a HTTP/1.1\r\n" + H + "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 4\r\n\r\nabcd",
    "garbage": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "only NULs": "\0" * 200 + "\r\n\r\n",
}

# A trailing obs-text byte and the like are legal; these must pass, or the table above would prove nothing.
PASS = {
    "plain": "GET /a HTTP/1.1\r\n" + H + "\r\n",
    "absolute-form of the same host": "GET https://support.test.localhost:PORT/a HTTP/1.1\r\n" + H + "\r\n",
    "an empty line first": "\r\nGET /a HTTP/1.1\r\n" + H + "\r\n",
    "chunked": "POST /a HTTP/1.1\r\n" + H + "Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n",
    "Chunked, upper case": "POST /a HTTP/1.1\r\n" + H + "Transfer-Encoding: Chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n",
    "chunk extensions and trailers": "POST /a HTTP/1.1\r\n" + H + "Transfer-Encoding: chunked\r\n\r\n4;a=b\r\nabcd\r\n0\r\nX-Sum: 1\r\n\r\n",
    "no space after the colon": "GET /a HTTP/1.1\r\n" + H + "X:a\r\n\r\n",
    "bytes above 127": "GET /a HTTP/1.1\r\n" + H + "X: \xe9\r\n\r\n",
}


@pytest.fixture(scope="module", autouse=True)
def granted(gw):
    give_grant(gw.person("alice"), gw.person("bob"))


def wire(gw, text):
    return text.replace("PORT", str(gw.port)).encode("latin-1")


@pytest.mark.parametrize("name", REFUSED)
def test_hostile_bytes_are_refused(gw, origin, name):
    with gw.person("alice").h1(timeout=20) as c:
        c.send(wire(gw, REFUSED[name]))
        r = c.read_response()
        assert r.status in (400, 404, 413, 414, 417, 421, 431, 501, 505) or (r.status == 0 and c.ended), f"{r.status} {r.body[:200]!r}"
        assert c.ends_within(20), "the connection stays open after hostile bytes"
        assert b"HTTP/1.1 200" not in c.buf, "a second answer came"
    # A body that turns hostile midway may have begun to reach the tool; it must not have been completed there.
    whole = [x for x in origin.requests if x.complete]
    assert not [x for x in origin.requests if x.path == "/smuggled"], "the smuggled request reached the tool"
    assert not whole, f"it reached the tool: {[x.head for x in whole]}"


@pytest.mark.parametrize("name", PASS)
def test_legal_bytes_pass(gw, origin, name):
    with gw.person("alice").h1() as c:
        c.send(wire(gw, PASS[name]))
        assert c.read_response().status == 200
    assert origin.count("/a") == 1


def test_one_byte_at_a_time(gw, origin):
    with gw.person("alice").h1() as c:
        for byte in wire(gw, PASS["chunk extensions and trailers"]):
            c.send(bytes([byte]))
        assert c.read_response().status == 200
    assert origin.last("/a").body == b"abcd"


def test_pipelined_requests_are_answered_in_order(gw, origin):
    with gw.person("alice").h1() as c:
        c.send(b"".join(wire(gw, f"GET /p{i} HTTP/1.1\r\n{H}\r\n") for i in range(8)))
        for i in range(8):
            r = c.read_response()
            assert r.status == 200 and r.json()["target"] == f"/p{i}"
    assert [x.path for x in origin.requests] == [f"/p{i}" for i in range(8)]


def test_what_a_chunked_body_holds_stays_a_body(gw, origin):
    """A request inside a body, whatever the framing, is data."""
    inner = wire(gw, SECOND)
    for framing in ("length", "chunked"):
        with gw.person("alice").h1() as c:
            head = f"POST /a HTTP/1.1\r\n{H}Content-Type: text/plain\r\n"
            if framing == "length":
                c.send(wire(gw, head + f"Content-Length: {len(inner)}\r\n\r\n") + inner)
            else:
                c.send(wire(gw, head + "Transfer-Encoding: chunked\r\n\r\n") + b"%x\r\n%s\r\n0\r\n\r\n" % (len(inner), inner))
            assert c.read_response().status == 200
        assert origin.last("/a").body == inner
    assert origin.count("/smuggled") == 0 and origin.count() == 2


RESPONSES = {
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 5\r\n\r\nhello",
    "length and chunked": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "garbage": b"\x00\x01\x02 nonsense\r\n\r\n",
    "a bare LF": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "a head without end": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200000,
    "no status": b"HTTP/1.1 abc OK\r\n\r\n",
    "a NUL": b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
    "nothing": b"",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
}


@pytest.mark.parametrize("proto", ["h1", "h2"])
@pytest.mark.parametrize("name", RESPONSES)
def test_a_hostile_tool_gets_a_502_to_the_client(gw, origin, name, proto):
    async def script(request, conn):
        await conn.send(RESPONSES[name])
        return False
    origin.on("/hostile", script)
    r = gw.person("alice").get("/hostile", proto=proto)
    assert r.status == 502 and r.problem, f"{r.status} {r.body[:100]!r}"
    assert gw.person("alice").get("/fine").status == 200


@pytest.mark.parametrize("proto", ["h1", "h2"])
def test_a_second_answer_from_the_tool_goes_to_nobody(gw, origin, proto):
    """Response splitting: what a tool sends after its answer must not become the answer to the next request."""
    async def script(request, conn):
        await conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned")
        return True
    origin.on("/double", script)
    alice = gw.person("alice")
    with (alice.h1() if proto == "h1" else alice.h2()) as c:
        r = c.request("GET", "/double")
        assert r.status in (200, 502) and b"poisoned" not in r.body
        for i in range(5):
            r = c.request("GET", f"/next{i}")
            assert b"poisoned" not in r.body
            assert r.status == 200 and r.json()["target"] == f"/next{i}"
