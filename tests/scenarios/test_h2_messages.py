"""RFC 9113 section 8 and RFC 7541, said in bytes: which requests are malformed, which field blocks end the connection, and what odd but legal ones become."""
import asyncio

import pytest

from harness.config_text import SUPPORT
from harness.frames import (COMPRESSION, END_HEADERS, END_STREAM, HEADERS, PROTOCOL, Wire, block, data, frame, integer, literal, reset, settings, text)
from harness.h2_expect import answered, connection, malformed
from harness.people import give_grant

LONG = [("content-type", "text/plain")]
MALFORMED = {
    "8.1 a second HEADERS without END_STREAM": lambda w: w.request(1, end=False, method="POST", fields=LONG) + frame(HEADERS, END_HEADERS, 1, literal("x", "y")) + data(1, b"z"),
    "8.1 trailers with a pseudo-field": lambda w: w.request(1, end=False, method="POST", fields=LONG) + data(1, b"z", False) + frame(HEADERS, 5, 1, literal(":path", "/b")),
    "8.1 trailers with an unknown pseudo-field": lambda w: w.request(1, end=False, method="POST", fields=LONG) + frame(HEADERS, 5, 1, literal(":x", "/b")),
    "8.1 trailers with an upper-case name": lambda w: w.request(1, end=False, method="POST", fields=LONG) + frame(HEADERS, 5, 1, literal("X", "b")),
    "8.1 trailers with connection": lambda w: w.request(1, end=False, method="POST", fields=LONG) + frame(HEADERS, 5, 1, literal("connection", "close")),
    "8.1 trailers with transfer-encoding": lambda w: w.request(1, end=False, method="POST", fields=LONG) + frame(HEADERS, 5, 1, literal("transfer-encoding", "chunked")),
    "8.1.1 more DATA than content-length": lambda w: w.request(1, end=False, method="POST", fields=LONG + [("content-length", "1")]) + data(1, b"zz"),
    "8.1.1 less DATA than content-length": lambda w: w.request(1, end=False, method="POST", fields=LONG + [("content-length", "3")]) + data(1, b"zz"),
    "8.1.1 more DATA than content-length, in two frames": lambda w: w.request(1, end=False, method="POST", fields=LONG + [("content-length", "3")]) + data(1, b"zz", False) + data(1, b"zz"),
    "8.1.1 less DATA than content-length, then trailers": lambda w: w.request(1, end=False, method="POST", fields=LONG + [("content-length", "3")]) + data(1, b"zz", False) + frame(HEADERS, 5, 1, literal("x", "y")),
    "8.1.1 content-length and no DATA": lambda w: w.request(1, method="POST", fields=[("content-length", "1")]),
    "8.1.1 padding does not count as content": lambda w: w.request(1, end=False, method="POST", fields=LONG + [("content-length", "9")]) + data(1, b"zz", pad=6),
    "8.1.1 two content-lengths": lambda w: w.request(1, end=False, method="POST", fields=LONG + [("content-length", "2"), ("content-length", "2")]) + data(1, b"zz"),
    "8.1.1 a list of content-lengths": lambda w: w.request(1, end=False, method="POST", fields=LONG + [("content-length", "2, 2")]) + data(1, b"zz"),
    "8.1.1 an empty content-length": lambda w: w.request(1, method="POST", fields=[("content-length", "")]),
    "8.1.1 a content-length with a sign": lambda w: w.request(1, end=False, method="POST", fields=[("content-length", "+2")]) + data(1, b"zz"),
    "8.1.1 a content-length of 2^64+2": lambda w: w.request(1, end=False, method="POST", fields=[("content-length", "18446744073709551618")]) + data(1, b"zz"),
    "8.1.1 a content-length of 2^64-1": lambda w: w.request(1, end=False, method="POST", fields=[("content-length", "18446744073709551615")]) + data(1, b"zz"),
    "8.2 an upper-case name": lambda w: w.request(1, fields=[("X-Test", "a")]),
    "8.2 one upper-case letter": lambda w: w.request(1, fields=[("x-tesT", "a")]),
    "8.2.1 a colon in a name": lambda w: w.request(1, fields=[("x:y", "a")]),
    "8.2.1 an empty name": lambda w: w.request(1, fields=[("", "a")]),
    "8.2.1 a leading space in a value": lambda w: w.request(1, fields=[("x", " a")]),
    "8.2.1 a trailing space in a value": lambda w: w.request(1, fields=[("x", "a ")]),
    "8.2.1 a leading tab in a value": lambda w: w.request(1, fields=[("x", "\ta")]),
    "8.2.1 a trailing tab in a value": lambda w: w.request(1, fields=[("x", "a\t")]),
    "8.2.1 a space around content-length": lambda w: w.request(1, end=False, method="POST", fields=[("content-length", " 2")]) + data(1, b"zz"),
    "8.2.2 te: gzip": lambda w: w.request(1, fields=[("te", "gzip")]),
    "8.2.2 te: trailers, gzip": lambda w: w.request(1, fields=[("te", "trailers, gzip")]),
    "8.2.2 transfer-encoding: identity": lambda w: w.request(1, fields=[("transfer-encoding", "identity")]),
    "8.2.2 an empty connection": lambda w: w.request(1, fields=[("connection", "")]),
    "8.3 a pseudo-field behind a field": lambda w: frame(HEADERS, 5, 1, block([("x", "y")] + w.request_fields())),
    "8.3 a pseudo-field between fields": lambda w: w.request(1, drop=("path",), fields=[("x", "y"), (":path", "/a")]),
    "8.3 an unknown pseudo-field": lambda w: w.request(1, test="x"),
    "8.3 a response's pseudo-field": lambda w: w.request(1, status="200"),
    "8.3 an empty pseudo-name": lambda w: frame(HEADERS, 5, 1, literal(":", "x") + block(w.request_fields())),
    "8.3 :Path in upper case": lambda w: w.request(1, drop=("path",), Path="/a"),
    "8.3.1 an empty :path": lambda w: w.request(1, path=""),
    "8.3.1 no :method": lambda w: w.request(1, drop=("method",)),
    "8.3.1 no :scheme": lambda w: w.request(1, drop=("scheme",)),
    "8.3.1 no :path": lambda w: w.request(1, drop=("path",)),
    "8.3.1 an empty :method": lambda w: w.request(1, method=""),
    "8.3.1 an empty :scheme": lambda w: w.request(1, scheme=""),
    "8.3.1 an empty :authority": lambda w: w.request(1, authority=""),
    "8.3.1 no :authority and an empty host": lambda w: w.request(1, drop=("authority",), fields=[("host", "")]),
    "8.3.1 :scheme https:": lambda w: w.request(1, scheme="https:"),
    "8.3.1 :scheme with a target in it": lambda w: w.request(1, scheme="https://support.test.localhost/admin?"),
    "8.3.1 :path with a fragment": lambda w: w.request(1, path="/a#b"),
    "8.3.1 :path with a backslash": lambda w: w.request(1, path="/a\\b"),
    "8.3.1 :path above 127": lambda w: w.request(1, path="/a\xe9"),
    "8.3.1 :path with a tab": lambda w: w.request(1, path="/a\tb"),
    "8.3.1 :path of another form": lambda w: w.request(1, path="support.test.localhost:443"),
    "8.3.1 :path *": lambda w: w.request(1, path="*"),
    "8.3.1 :method with a colon": lambda w: w.request(1, method="GET:"),
    "8.3.1 :method with a newline": lambda w: w.request(1, method="GET\n"),
    "8.3.1 :authority with a comma": lambda w: w.request(1, authority=w.authority + ",x"),
    "8.3.1 :authority with a backslash": lambda w: w.request(1, authority=w.authority + "\\x"),
    "8.3.1 :authority with a fragment": lambda w: w.request(1, authority=w.authority + "#x"),
    "8.3.1 :authority with a query": lambda w: w.request(1, authority=w.authority + "?x"),
    "8.3.1 :authority with two ports": lambda w: w.request(1, authority=w.authority + ":1"),
    "8.3.1 :authority with a port past 65535": lambda w: w.request(1, authority=SUPPORT + ":65536"),
    "8.3.1 :authority with a tab": lambda w: w.request(1, authority=w.authority + "\tx"),
    "8.3.1 host that adds a port": lambda w: w.request(1, authority=SUPPORT, fields=[("host", w.authority)]),
    "8.3.1 host beside an :authority of another case of letters and another port": lambda w: w.request(1, fields=[("host", SUPPORT.upper() + ":1")]),
    "8.5 CONNECT": lambda w: w.request(1, method="CONNECT", drop=("scheme", "path")),
    "8.5 CONNECT with a path": lambda w: w.request(1, method="CONNECT"),
    "8.5 CONNECT without :authority": lambda w: w.request(1, method="CONNECT", drop=("scheme", "path", "authority")),
    "RFC 8441 :protocol on a GET": lambda w: w.request(1, protocol="websocket"),
    "RFC 8441 :protocol unknown": lambda w: w.request(1, method="CONNECT", end=False, protocol="connect-udp"),
    "RFC 8441 extended CONNECT without a path": lambda w: w.request(1, method="CONNECT", drop=("path",), protocol="websocket"),
}
for name in (":method", ":scheme", ":authority", ":path"):
    MALFORMED[f"8.3 {name} twice, equal"] = lambda w, n=name: frame(HEADERS, 5, 1, literal(n, dict(w.request_fields())[n]) + block(w.request_fields()))
for name in ("connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"):
    MALFORMED[f"8.2.2 {name}"] = lambda w, n=name: w.request(1, fields=[(n, "x")])
for byte in (*range(0x21), *b"\"(),/;<=>?@[\\]{}", 0x7f, 0x80, 0xff):
    MALFORMED[f"8.2.1 byte {byte:02x} in a name"] = lambda w, b=byte: w.request(1, fields=[("x" + chr(b) + "y", "a")])
for byte in (0, 1, 8, 10, 11, 12, 13, 27, 31, 127):
    MALFORMED[f"8.2.1 byte {byte:02x} in a value"] = lambda w, b=byte: w.request(1, fields=[("x", "a" + chr(b) + "b")])

# RFC 7541: a decoding error ends the connection (section 4.3 of RFC 9113).
EOS_PADDED = b"\x3f\xff\xff\xff"


def broken(raw):
    return lambda w: frame(HEADERS, 5, 1, block(w.request_fields()) + raw)


HUFFMAN_X = lambda raw: b"\0" + text("x") + integer(len(raw), 7, 0x80) + raw   # noqa: E731
COMPRESSED = {
    "6.1 index 0": broken(b"\x80"),
    "2.3.3 an index past the static table, nothing in the dynamic": broken(b"\xbe"),
    "2.3.3 an index far past the tables": broken(integer(1000, 7, 0x80)),
    "2.3.3 a name index past the tables": broken(integer(100, 4) + text("v")),
    "2.3.3 a name index past the tables, with indexing": broken(integer(100, 6, 0x40) + text("v")),
    "5.1 an integer without end": broken(b"\xff" + b"\xff" * 20 + b"\x01"),
    "5.1 an integer past 2^32": broken(b"\xff\x80\x80\x80\x80\x10"),
    "5.1 an integer cut off": broken(b"\xff"),
    "5.2 a string longer than the block": broken(b"\0" + integer(100, 7) + b"x"),
    "5.2 a value cut off": broken(b"\0" + text("x") + integer(3, 7) + b"yy"),
    "5.2 no value at all": broken(b"\0" + text("x")),
    "5.2 a length of 2^31": broken(b"\0" + text("x") + integer(1 << 31, 7) + b"y"),
    "5.2 Huffman padding of eight bits": broken(HUFFMAN_X(b"\xf2\xff\xff")),
    "5.2 Huffman padding of zeros": broken(HUFFMAN_X(b"\x18")),
    "5.2 Huffman with EOS": broken(HUFFMAN_X(EOS_PADDED)),
    "5.2 Huffman with EOS and something behind": broken(HUFFMAN_X(b"\xff\xff\xff\xff\x1f")),
    "6.3 a table update past what was announced": lambda w: frame(HEADERS, 5, 1, integer(4097, 5, 0x20) + block(w.request_fields())),
    "6.3 a table update of 2^31": lambda w: frame(HEADERS, 5, 1, integer(1 << 31, 5, 0x20) + block(w.request_fields())),
    "4.2 a table update behind a field": broken(integer(0, 5, 0x20)),
    "4.2 a table update between fields": lambda w: frame(HEADERS, 5, 1, literal(":method", "GET") + integer(100, 5, 0x20) + block(w.request_fields(drop=("method",)))),
    "4.3 a field that a table update dropped": lambda w: w.request(1, "/first", fields=()) + frame(
        HEADERS, 5, 3, block(w.request_fields()) + b"\x40" + text("x") + text("y")) + frame(HEADERS, 5, 5, b"\x20" + block(w.request_fields()) + b"\xbe"),
    "4.4 a field larger than the table empties it": lambda w: frame(HEADERS, 5, 1, block(w.request_fields()) + b"\x40" + text("x") + text("y")) + frame(
        HEADERS, 5, 3, block(w.request_fields()) + b"\x40" + text("z") + text("v" * 5000) + b"\xbe"),
    "a block cut off behind END_HEADERS": lambda w: frame(HEADERS, 5, 1, block(w.request_fields())[:-3]),
}

# Odd, and right: each must reach the tool in the one reading.
LEGAL = {
    "never indexed": (lambda w: frame(HEADERS, 5, 1, block(w.request_fields()) + b"\x10" + text("x-a") + text("b")), ("X-A", "b")),
    "with indexing, then by index": (lambda w: w.request(1, "/first") + frame(HEADERS, 5, 3, block(w.request_fields()) + b"\x40" + text("x-a") + text("b") + b"\xbe"), ("X-A", "b, b")),
    "an update to 0 and back": (lambda w: frame(HEADERS, 5, 1, b"\x20" + integer(4096, 5, 0x20) + block(w.request_fields())), None),
    "static names": (lambda w: frame(HEADERS, 5, 1, b"\x82\x87\x84" + b"\x01" + text(w.authority)), None),
    "Huffman": (lambda w: frame(HEADERS, 5, 1, block(w.request_fields()) + b"\0" + text("x-a") + b"\x82\x1c\x7f"), ("X-A", "ab")),
    "an integer in a longer form": (lambda w: frame(HEADERS, 5, 1, block(w.request_fields()) + b"\0" + text("x-a") + b"\x7f\x80\x00" + b"v" * 127), ("X-A", "v" * 127)),
    "an empty value": (lambda w: w.request(1, fields=[("x-a", "")]), ("X-A", "")),
    "a tab and obs-text inside a value": (lambda w: w.request(1, fields=[("x-a", "a\tb\xe9")]), ("X-A", "a\tb\xe9")),
    "te: trailers": (lambda w: w.request(1, fields=[("te", "trailers")]), ("TE", "trailers")),
    "host equal to :authority": (lambda w: w.request(1, fields=[("host", w.authority)]), None),
    "host instead of :authority": (lambda w: w.request(1, drop=("authority",), fields=[("host", w.authority)]), None),
    "cookie crumbs": (lambda w: w.request(1, fields=[("cookie", "a=1"), ("x-a", "z"), ("cookie", "b=2")]), ("Cookie", "a=1; b=2")),
    "pseudo-fields in another order": (lambda w: frame(HEADERS, 5, 1, block(reversed(w.request_fields()))), None),
    "a body in many frames, some empty": (lambda w: w.request(1, end=False, method="POST", fields=LONG + [("content-length", "3")]) + data(1, b"", False)
                                          + data(1, b"ab", False) + data(1, b"", False, pad=3) + data(1, b"c", False) + data(1), ("Content-Length", "3")),
    "an empty body that is said to be": (lambda w: w.request(1, end=False, method="POST", fields=[("content-length", "0")]) + data(1), ("Content-Length", "0")),
    "trailers": (lambda w: w.request(1, end=False, method="POST", fields=LONG) + data(1, b"ab", False) + frame(HEADERS, 5, 1, literal("x-sum", "1")), None),
    "OPTIONS": (lambda w: w.request(1, method="OPTIONS"), None),
    "an unknown method": (lambda w: w.request(1, method="BREW"), None),
}


@pytest.fixture(scope="module", autouse=True)
def granted(gw):
    give_grant(gw.person("alice"), gw.person("bob"))


def wire(gw):
    return Wire(gw, gw.creds["alice"], SUPPORT)


def served_after(gw):
    with wire(gw) as w:
        w.send(w.request(1, "/after"))
        answered()(w, 1)


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_request_is_refused(gw, origin, name):
    with wire(gw) as w:
        w.send(MALFORMED[name](w))
        malformed(w, 1)
    whole = [r for r in origin.requests if r.complete]
    assert not whole, f"it reached the tool: {whole[0].head!r} {whole[0].body!r}"
    served_after(gw)


@pytest.mark.parametrize("name", COMPRESSED)
def test_a_broken_field_block_ends_the_connection(gw, origin, name):
    with wire(gw) as w:
        w.send(COMPRESSED[name](w))
        connection(COMPRESSION)(w, 1)
    served_after(gw)


@pytest.mark.parametrize("name", LEGAL)
def test_what_is_odd_but_legal_reaches_the_tool_in_one_reading(gw, origin, name):
    make, field = LEGAL[name]
    with wire(gw) as w:
        raw = make(w)
        stream = max(int.from_bytes(raw[i + 5:i + 9], "big") for i in starts(raw))
        w.send(raw)
        w.wait(lambda: w.over(stream))
        assert w.status(stream) == 200, w.told()
    seen = origin.last("/a") or origin.last("/")
    assert seen.complete and seen.all("Host") == [w.authority] and (not seen.all("TE") or seen.all("Connection") == ["TE"]) and not seen.all("Trailer")
    assert len(seen.all("Content-Length")) + len(seen.all("Transfer-Encoding")) <= 1
    if field is not None:
        assert ", ".join(seen.all(field[0])) == field[1], seen.head
    if "body" in name and "empty body" not in name:
        assert seen.body == b"abc"


def starts(raw):
    at = 0
    while at < len(raw):
        yield at
        at += 9 + int.from_bytes(raw[at:at + 3], "big")


def test_answers_never_use_what_http2_forbids(gw, origin):
    """Section 8.2.2, the other way round: whatever the tool says, no connection-specific field and no upper case comes out."""
    async def script(request, conn):
        await conn.answer(200, b"x", [("Connection", "close, X-Hop"), ("Keep-Alive", "1"), ("X-Hop", "1"), ("Upgrade", "h2c"), ("Proxy-Connection", "x"),
                                      ("X-Mixed-Case", "Y"), ("TE", "x"), ("Trailer", "X-T")])
    origin.on("/hop", script)
    with wire(gw) as w:
        w.send(w.request(1, "/hop"))
        answered()(w, 1)
        names = [n for n, _ in w.fields[1][-1]]
    assert "x-mixed-case" in names and all(n == n.lower() for n in names)
    assert not {"connection", "keep-alive", "x-hop", "upgrade", "proxy-connection", "transfer-encoding"} & set(names), names
    assert names.count(":status") == 1 and names[0] == ":status" and not [n for n in names[1:] if n.startswith(":")]


@pytest.mark.parametrize("length", ["said", "chunked", "until the end"])
def test_a_cut_off_answer_looks_cut_off(gw, origin, length):
    """A stream that breaks off ends with RST_STREAM, never with END_STREAM."""
    async def script(request, conn):
        head = {"said": b"Content-Length: 100\r\n", "chunked": b"Transfer-Encoding: chunked\r\n", "until the end": b"Content-Length: 100\r\nConnection: close\r\n"}[length]
        await conn.send(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n" + (b"5\r\nhello\r\n" if length == "chunked" else b"hello"))
        await asyncio.sleep(0.3)
        return False
    origin.on("/cut", script)
    with wire(gw) as w:
        w.send(w.request(1, "/cut"))
        w.wait(lambda: w.over(1))
        assert 1 in w.resets and 1 not in w.done, w.told()
        assert w.answers_ping()


def test_the_table_size_that_a_client_sets_is_kept(gw, origin):
    """RFC 7541 section 4.2: with a table of 0 the encoder says so and indexes nothing; the decoder here would notice."""
    with wire(gw) as w:
        w.decoder.max_allowed_table_size = 0
        w.send(settings((1, 0)))
        w.wait(lambda: w.acks >= 2)
        for stream in (1, 3, 5):
            w.send(w.request(stream))
            answered()(w, stream)


def test_a_stream_that_we_reset_frees_its_place(gw, origin):
    """A cancelled stream does not count towards the limit (section 5.1.2): many may follow one another, slowly."""
    with wire(gw) as w:
        for stream in range(1, 121, 2):
            w.send(w.request(stream, end=False, method="POST", fields=LONG) + reset(stream))
            w.answers_ping(b"%08d" % stream)
        w.send(w.request(301, flags=END_HEADERS | END_STREAM))
        answered()(w, 301)
