"""Trailers of a tool's answer (RFC 9110 s6.5): passed on where the client can take them, recorded, never able to frame or identify; a request's end at the gateway."""
import os

import pytest

from harness.config_text import SUPPORT
from harness.people import give_grant, wait_until
from harness.recording import read_tar

PROTOS = ["h1", "h2"]
GATEWAY = {"workers": 1}


@pytest.fixture(scope="module")
def session(gw):
    return give_grant(gw.person("alice"), gw.person("bob"))["grant_id"]


@pytest.fixture
def alice(gw, session):
    return gw.person("alice")


def chunked(body, trailers, end=b"\r\n"):
    async def script(request, conn):
        await conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n" + f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n"
                        + b"".join(f"{n}: {v}\r\n".encode("latin-1") for n, v in trailers) + end)
    return script


def notes_of(gw, session, path):
    tar = os.path.join(gw.state, "recordings", f"{session}.tar")
    if not os.path.exists(tar):
        return b""
    with open(tar, "rb") as f:
        return b"".join(r.block for r in read_tar(f.read()) if r.type == "metadata" and path in r.fields["warc-target-uri"])


@pytest.mark.parametrize("proto", PROTOS)
def test_they_pass_and_are_recorded(gw, session, origin, alice, proto):
    path = f"/sum-{proto}"
    origin.on(path, chunked(b"body", [("X-Sum", "abc"), ("Server-Timing", "db;dur=1"), ("Password", "hunter2")]))
    with (alice.h1() if proto == "h1" else alice.h2()) as c:
        for _ in range(2):
            r = c.request("GET", path)
            assert r.body == b"body" and r.complete
            assert {n.lower(): v for n, v in r.trailers} == {"x-sum": "abc", "server-timing": "db;dur=1", "password": "hunter2"}
    wait_until(lambda: b"x-sum: abc" in notes_of(gw, session, path), what="the recording")
    assert b"response-trailers" in notes_of(gw, session, path) and b"hunter2" not in notes_of(gw, session, path)


@pytest.mark.parametrize("proto", PROTOS)
@pytest.mark.parametrize("name", ["Set-Cookie", "WWW-Authenticate", "Content-Type", "Content-Encoding", "Cache-Control", "Location", "Age", "Vary", "Alt-Svc",
                                  "Countersign-X", "Strict-Transport-Security", "Access-Control-Allow-Origin", "X_Under"])
def test_what_must_not_come_late_is_left_out(origin, alice, proto, name):
    origin.on("/t", chunked(b"body", [(name, "evil"), ("X-Fine", "1")]))
    r = alice.get("/t", proto=proto)
    assert r.body == b"body" and [(n.lower(), v) for n, v in r.trailers] == [("x-fine", "1")]


@pytest.mark.parametrize("proto", PROTOS)
@pytest.mark.parametrize("name", ["Content-Length", "Transfer-Encoding", "Host", "Connection", "TE", "Trailer", "Upgrade", "Expect", "Forwarded", "X-Forwarded-For"])
def test_what_frames_or_routes_makes_the_answer_malformed(origin, alice, proto, name):
    origin.on("/t", chunked(b"body", [(name, "1")]))
    r = alice.get("/t", proto=proto)
    assert not r.complete and alice.get("/fine", proto=proto).status == 200


@pytest.mark.parametrize("proto", PROTOS)
@pytest.mark.parametrize("bad", [b"no colon\r\n\r\n", b" folded: x\r\n\r\n", b"a: b\n\r\n", b"a : b\r\n\r\n", b"a: b\0c\r\n\r\n"])
def test_malformed_trailers_cut_the_answer_off(origin, alice, proto, bad):
    origin.on("/t", chunked(b"body", [], bad))
    assert not alice.get("/t", proto=proto).complete


@pytest.mark.parametrize("proto", PROTOS)
def test_too_many_or_too_large_cut_the_answer_off(origin, alice, proto):
    origin.on("/many", chunked(b"body", [(f"x-{i}", "y") for i in range(100)]))
    origin.on("/large", chunked(b"body", [(f"x-{i}", "y" * 900) for i in range(30)]))
    assert not alice.get("/many", proto=proto).complete
    assert not alice.get("/large", proto=proto).complete
    origin.on("/some", chunked(b"body", [(f"x-{i}", "y" * 500) for i in range(10)]))
    r = alice.get("/some", proto=proto)
    assert r.complete and len(r.trailers) == 10


def test_an_http10_client_gets_none(origin, alice):
    origin.on("/t", chunked(b"body", [("X-Sum", "abc")]))
    with alice.h1() as c:
        c.send(f"GET /t HTTP/1.0\r\nHost: {SUPPORT}:{alice.gateway.port}\r\n\r\n".encode())
        r = c.read_response()
        assert r.body == b"body" and r.trailers == []


@pytest.mark.parametrize("proto", PROTOS)
def test_those_of_a_request_end_at_the_gateway(origin, alice, proto):
    if proto == "h1":
        with alice.h1() as c:
            c.send(f"POST /up HTTP/1.1\r\nHost: {SUPPORT}:{alice.gateway.port}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Late: 1\r\n\r\n".encode())
            assert c.read_response().status == 200
    else:
        with alice.h2() as c:
            stream = c.open("POST", "/up", end=False)
            c.send_body(stream, b"abc", end=False)
            c.conn.send_headers(stream, [("x-late", "1")], end_stream=True)
            c.flush()
            assert c.wait(stream).status == 200
    assert origin.last("/up").body == b"abc" and origin.last("/up").get("X-Late") is None


@pytest.mark.parametrize("proto", PROTOS)
def test_grpc_web_and_te_reach_the_tool(origin, alice, proto):
    more = [("Connection", "TE")] if proto == "h1" else []
    assert alice.get("/te", [("TE", "trailers"), *more], proto=proto).status == 200
    assert origin.last("/te").get("TE") == "trailers" and origin.last("/te").get("Connection") == "TE"
    assert alice.get("/te", proto=proto).status == 200
    assert origin.last("/te").get("TE") is None
