"""Hostile HTTP/2: bad pseudo-fields and framing are refused on the stream or the connection, nothing reaches the tool, the gateway lives on."""
import struct

import pytest

from harness.people import give_grant

AUTH = ":authority"


def base(gw, **change):
    pseudo = {":method": "GET", ":scheme": "https", AUTH: f"support.test.localhost:{gw.port}", ":path": "/a"}
    pseudo.update({":" + k: v for k, v in change.items()})
    return [(k, v) for k, v in pseudo.items() if v is not None]


TABLES = {
    "no method": lambda g: base(g, method=None),
    "no path": lambda g: base(g, path=None),
    "no scheme": lambda g: base(g, scheme=None),
    "no authority and no host": lambda g: base(g, authority=None),
    "an empty path": lambda g: base(g, path=""),
    "a path that is not absolute": lambda g: base(g, path="a"),
    "an asterisk for GET": lambda g: base(g, path="*"),
    "an absolute path": lambda g: base(g, path="https://support.test.localhost/a"),
    "scheme http": lambda g: base(g, scheme="http"),
    "scheme ftp": lambda g: base(g, scheme="ftp"),
    "two methods": lambda g: base(g) + [(":method", "POST")],
    "two paths": lambda g: base(g) + [(":path", "/export")],
    "two authorities": lambda g: base(g) + [(AUTH, "billing.test.localhost")],
    "an unknown pseudo-field": lambda g: base(g) + [(":evil", "1")],
    ":status in a request": lambda g: base(g) + [(":status", "200")],
    "a pseudo-field after a field": lambda g: base(g, path=None) + [("x", "1"), (":path", "/a")],
    "an upper-case name": lambda g: base(g) + [("X-Upper", "1")],
    "connection": lambda g: base(g) + [("connection", "close")],
    "keep-alive": lambda g: base(g) + [("keep-alive", "1")],
    "proxy-connection": lambda g: base(g) + [("proxy-connection", "close")],
    "transfer-encoding": lambda g: base(g) + [("transfer-encoding", "chunked")],
    "upgrade": lambda g: base(g) + [("upgrade", "websocket")],
    "te: gzip": lambda g: base(g) + [("te", "gzip")],
    "host that differs": lambda g: base(g) + [("host", "billing.test.localhost")],
    "two hosts": lambda g: base(g) + [("host", f"support.test.localhost:{g.port}"), ("host", "x")],
    "userinfo in the authority": lambda g: base(g, authority=f"x@support.test.localhost:{g.port}"),
    "an authority with a path": lambda g: base(g, authority=f"support.test.localhost:{g.port}/x"),
    "an authority with a space": lambda g: base(g, authority=f"support.test.localhost:{g.port} x"),
    "CR LF in a value": lambda g: base(g) + [("x", "a\r\nhost: evil")],
    "LF in a value": lambda g: base(g) + [("x", "a\nb")],
    "NUL in a value": lambda g: base(g) + [("x", "a\0b")],
    "CR LF in a name": lambda g: base(g) + [("x\r\nhost", "evil")],
    "a colon in a name": lambda g: base(g) + [("x:y", "1")],
    "a space in a name": lambda g: base(g) + [("x y", "1")],
    "an empty name": lambda g: base(g) + [("", "1")],
    "CR LF in the path": lambda g: base(g, path="/a\r\nx: y"),
    "a space in the path": lambda g: base(g, path="/a HTTP/1.1"),
    "CR LF in the method": lambda g: base(g, method="GET /smuggled HTTP/1.1\r\nx: y"),
    "a space in the method": lambda g: base(g, method="GET /smuggled"),
    "CONNECT": lambda g: [(":method", "CONNECT"), (AUTH, f"support.test.localhost:{g.port}")],
    "TRACE": lambda g: base(g, method="TRACE"),
    "extended CONNECT": lambda g: base(g, method="CONNECT") + [(":protocol", "websocket")],
    "length without a body": lambda g: base(g, method="POST") + [("content-length", "5")],
    "a negative length": lambda g: base(g, method="POST") + [("content-length", "-1")],
    "two lengths": lambda g: base(g, method="POST") + [("content-length", "0"), ("content-length", "1")],
    "a thousand fields": lambda g: base(g) + [(f"x{i}", "1") for i in range(1000)],
    "a field of 60 KiB": lambda g: base(g) + [("x", "a" * 60000)],
}


@pytest.fixture(scope="module", autouse=True)
def granted(gw):
    give_grant(gw.person("alice"), gw.person("bob"))


@pytest.mark.parametrize("name", TABLES)
def test_hostile_fields_are_refused(gw, origin, name):
    with gw.person("alice").h2(timeout=20) as c:
        stream = c.open_raw(TABLES[name](gw))
        r = c.wait(stream)
        assert r.reset or c.ended or r.status in (400, 404, 413, 414, 421, 431, 501), f"{r.status} {r.body[:200]!r}"
    assert origin.count() == 0, f"it reached the tool: {origin.last().head!r}"
    assert gw.person("alice").get("/after", proto="h2").status == 200


@pytest.mark.parametrize("said, sent", [(3, 5), (5, 3)])
def test_a_body_of_another_length_than_said_is_refused(gw, origin, said, sent):
    with gw.person("alice").h2(timeout=20) as c:
        stream = c.open_raw(base(gw, method="POST") + [("content-length", str(said)), ("content-type", "text/plain")], end=False)
        try:
            c.send_body(stream, b"x" * sent)
        except Exception:
            pass
        r = c.wait(stream)
        assert r.reset or c.ended or r.status in (400, 502), r.status
    assert not [r for r in origin.requests if r.complete and r.body_len == sent]


def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


RAW = {
    "DATA on stream 0": frame(0, 0, 0, b"x"),
    "DATA on an idle stream": frame(0, 0, 1, b"x"),
    "HEADERS on stream 0": frame(1, 5, 0, b"\x82"),
    "HEADERS on an even stream": frame(1, 5, 2, b"\x82"),
    "broken HPACK": frame(1, 5, 1, b"\xff\xff\xff\xff\xff\xff\xff"),
    "an index past the table": frame(1, 5, 1, b"\xff\x80\x01"),
    "CONTINUATION without HEADERS": frame(9, 4, 1, b""),
    "HEADERS, then another stream": frame(1, 0, 1, b"\x82") + frame(1, 5, 3, b"\x82"),
    "a frame past the maximum": frame(0, 0, 1, b"x" * 20000),
    "PUSH_PROMISE by a client": frame(5, 4, 1, b"\0\0\0\x02\x82"),
    "WINDOW_UPDATE of 0": frame(8, 0, 0, b"\0\0\0\0"),
    "WINDOW_UPDATE past 2^31": frame(8, 0, 0, b"\x7f\xff\xff\xff") * 2,
    "SETTINGS with a bad length": frame(4, 0, 0, b"x"),
    "SETTINGS on a stream": frame(4, 0, 1, b""),
    "an initial window past 2^31": frame(4, 0, 0, b"\x00\x04\xff\xff\xff\xff"),
    "a maximum frame of 1": frame(4, 0, 0, b"\x00\x05\x00\x00\x00\x01"),
    "PING of 7 bytes": frame(6, 0, 0, b"1234567"),
    "RST_STREAM on stream 0": frame(3, 0, 0, b"\0\0\0\0"),
    "RST_STREAM on an idle stream": frame(3, 0, 1, b"\0\0\0\0"),
    "padding longer than the frame": frame(0, 8, 1, b"\xffx"),
    "garbage": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 4,
}


@pytest.mark.parametrize("name", RAW)
def test_hostile_frames_end_the_connection(gw, origin, name):
    with gw.person("alice").h2(timeout=20) as c:
        c.send_raw(RAW[name])
        try:
            assert c.ends_within(30), "the connection lives on"
        except Exception as e:
            if isinstance(e, AssertionError):
                raise
    assert origin.count() == 0
    assert gw.person("alice").get("/after", proto="h2").status == 200


def flood(gw, pieces):
    """Send until the gateway ends the connection; False when it never did."""
    with gw.person("alice").h2(timeout=20) as c:
        try:
            for piece in pieces:
                c.send_raw(piece)
            return c.ends_within(20)
        except OSError:
            return True


def test_a_rapid_reset_flood_is_cut_off(gw, origin):
    """CVE-2023-44487: requests that are reset at once."""
    with gw.person("alice").h2(timeout=20) as c:
        ended = False
        try:
            for _ in range(3000):
                stream = c.open("GET", "/a")
                c.conn.reset_stream(stream)
                c.flush()
            ended = c.ends_within(20)
        except OSError:
            ended = True
        except Exception:
            ended = c.ends_within(20)
    assert ended and origin.count() < 3000
    assert gw.person("alice").get("/after", proto="h2").status == 200


FLOODS = {
    "CONTINUATION": lambda: [frame(1, 0, 1, b"\x82")] + [frame(9, 0, 1, b"\x00\x01x\x01y" * 100)] * 2000,
    "empty CONTINUATION": lambda: [frame(1, 0, 1, b"\x82")] + [frame(9, 0, 1, b"") * 100] * 1000,
    "SETTINGS": lambda: [frame(4, 0, 0, b"\x00\x03\x00\x00\x00\x64") * 100] * 2000,
    "PING": lambda: [frame(6, 0, 0, b"12345678") * 100] * 2000,
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_of_frames_is_cut_off_or_harmless(gw, origin, name):
    before = gw.peak_rss_kib()
    ended = flood(gw, FLOODS[name]())
    assert ended or name in ("PING", "SETTINGS"), "the flood was taken whole"
    assert gw.peak_rss_kib() - before < 200 << 10, "memory grew with the flood"
    assert gw.person("alice").get("/after", proto="h2").status == 200


def test_more_streams_than_allowed_are_refused_and_the_rest_are_served(gw, origin):
    import asyncio

    async def wait(request, conn):
        await asyncio.sleep(1)
        await conn.answer(200, b"late")
    origin.on("/wait", wait)
    with gw.person("alice").h2() as c:
        c.conn.remote_settings.max_concurrent_streams = 1000
        streams = [c.open("GET", "/wait") for _ in range(150)]
        answers = [c.wait(s) for s in streams]
    assert 1 <= sum(r.status == 200 for r in answers) <= 150
    assert all(r.status == 200 or r.reset or r.status in (429, 503) for r in answers)
