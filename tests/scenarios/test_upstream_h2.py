"""HTTP/2 towards the tool, with clients of both kinds: many streams on a connection, trailers, resets, refusals, WebSockets, and a tool that breaks every rule."""
import os
import threading
import time

import pytest

from harness.config_text import SUPPORT, action, tool
from harness.origin import Origin, pattern_sha256
from harness.origin_h2 import H2Origin
from harness.people import acknowledge, give_grant, wait_until
from harness.recording import read_tar
from harness.websocket import CLOSE, PING, PONG, TEXT, Socket, close_code, frame, take_frame

PROTOS = ["h1", "h2"]
FIRST_STREAMS = 4        # so many requests the fixtures send


@pytest.fixture(scope="module")
def tool2():
    import h2.settings
    o = H2Origin(settings={h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL: 1, h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 20})
    yield o
    o.close()


def config_for(port, **settings):
    def change(config):
        t = tool("support", SUPPORT, 1, [action("use", "/**")])
        t.update(upstream=f"h2c://127.0.0.1:{port}", **settings)
        config["tools"] = [t]
    return change


@pytest.fixture(scope="module")
def gw(origin, tool2):
    from harness.gateway import Gateway
    g = Gateway(origin, workers=1, limits={"upstream_head": "3s", "websocket_idle": "5s", "connections_per_source": 1000}, change=config_for(tool2.port))
    yield g
    g.finish()


@pytest.fixture(scope="module")
def session(gw, tool2):
    return granted(gw)


def granted(gw):
    alice = gw.person("alice")
    item = give_grant(alice, gw.person("bob"), notice=False)
    acknowledge(alice, item["grant_id"])
    wait_until(lambda: alice.get("/ready").status != 403, what="the grant at the worker")
    return item["grant_id"]


@pytest.fixture
def alice(gw, session, tool2):
    tool2.reset()
    return gw.person("alice")


@pytest.mark.parametrize("proto", PROTOS)
def test_requests_of_each_kind(alice, tool2, proto):
    assert alice.get("/x?q=1", proto=proto).body == b"GET /x 0"
    seen = tool2.last("/x")
    assert seen.get(":path") == "/x?q=1" and seen.get(":scheme") == "http" and seen.get(":authority").startswith(SUPPORT)
    assert len(seen.all("countersign-assertion")) == 1 and len(seen.all("client-cert")) == 1 and seen.get("x-forwarded-for") == "127.0.0.1"
    assert not [n for n, _ in seen.headers if n in ("connection", "transfer-encoding", "host", "te", "upgrade")]
    assert alice.post("/x", b"12345", proto=proto).body == b"POST /x 5"
    assert alice.request("POST", "/none", proto=proto).body == b"POST /none 0"
    r = alice.request("HEAD", "/x", proto=proto)
    assert r.status == 200 and r.complete and r.body == b"" and r.get("content-length") == "9"
    body = b"z" * 300000
    assert alice.post("/up", body, proto=proto).body == b"POST /up 300000"
    assert alice.request("PUT", "/up", [("Content-Type", "text/plain")], body, proto=proto).body == b"PUT /up 300000"


@pytest.mark.parametrize("proto", PROTOS)
def test_large_answers_come_whole(alice, proto):
    import hashlib
    r = alice.get("/big?bytes=5000000", proto=proto)
    assert r.complete and hashlib.sha256(r.body).hexdigest() == pattern_sha256(5000000)


@pytest.mark.parametrize("proto", PROTOS)
@pytest.mark.parametrize("status,fields,body", [(204, [], b""), (304, [("etag", '"a"')], b""), (200, [], b""), (200, [], b"no length"),
                                               (206, [("content-range", "bytes 0-1/5"), ("content-length", "2")], b"ab"), (404, [("content-length", "0")], b"")])
def test_answers_of_each_kind(alice, tool2, proto, status, fields, body):
    tool2.on("/a", lambda conn, s: conn.answer(s, status, body, fields))
    with (alice.h1() if proto == "h1" else alice.h2()) as c:
        for _ in range(2):                # the connection goes on
            r = c.request("GET", "/a")
            assert (r.status, r.body, r.complete) == (status, body, True)
    if fields and fields[0][0] in ("etag", "content-range"):
        assert r.get(fields[0][0]) == fields[0][1]


@pytest.mark.parametrize("proto", PROTOS)
def test_early_hints_pass_and_100_is_the_gateways(alice, tool2, proto):
    tool2.on("/hints", lambda conn, s: conn.answer(s, 200, b"ok", interim=[(103, [("link", "</a.css>; rel=preload")])]))
    r = alice.get("/hints", proto=proto)
    assert r.body == b"ok" and [s for s, _ in r.interim] == [103] and dict(r.interim[0][1])["link"].startswith("</a.css>")
    with (alice.h1() if proto == "h1" else alice.h2()) as c:
        if proto == "h1":
            c.send(f"POST /x HTTP/1.1\r\nHost: {SUPPORT}:{alice.gateway.port}\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n".encode())
            assert c.read_head().status == 100
            c.send(b"abc")
            assert c.read_response().body == b"POST /x 3"
        else:
            stream = c.open("POST", "/x", [("expect", "100-continue")], end=False)
            while not c.responses[stream].interim:
                assert c.step()
            c.send_body(stream, b"abc")
            assert c.wait(stream).body == b"POST /x 3"
    assert tool2.last("/x").get("expect") is None


@pytest.mark.parametrize("proto", PROTOS)
def test_grpc_passes_with_its_trailers_and_they_are_recorded(gw, session, alice, tool2, proto):
    path = f"/pkg.Service/Call-{proto}"
    tool2.on(path, lambda conn, s: conn.answer(s, 200, b"\0\0\0\0\2ok", [("content-type", "application/grpc")],
                                              [("grpc-status", "0"), ("grpc-message", "fine"), ("set-cookie", "a=b"), ("x-checksum", "1")]))
    r = alice.request("POST", path, [("Content-Type", "application/grpc"), ("TE", "trailers"), *([("Connection", "TE")] if proto == "h1" else [])],
                      b"\0\0\0\0\1x", proto=proto)
    assert r.status == 200 and r.body == b"\0\0\0\0\2ok" and r.complete
    assert dict(r.trailers) == {"grpc-status": "0", "grpc-message": "fine", "x-checksum": "1"}
    assert tool2.last(path).get("te") == "trailers"

    def noted():
        tar = f"{gw.state}/recordings/{session}.tar"
        if not os.path.exists(tar):
            return False
        with open(tar, "rb") as f:
            return any(rec.type == "metadata" and path in rec.fields["warc-target-uri"] and b"grpc-status: 0" in rec.block for rec in read_tar(f.read()))
    wait_until(noted, what="the trailers in the recording")


def test_a_grpc_answer_of_trailers_only(alice, tool2):
    tool2.on("/pkg.S/No", lambda conn, s: conn.head(s, 200, [("content-type", "application/grpc"), ("grpc-status", "12")], end=True))
    r = alice.request("POST", "/pkg.S/No", [("content-type", "application/grpc"), ("te", "trailers")], b"\0\0\0\0\0", proto="h2")
    assert r.status == 200 and r.get("grpc-status") == "12" and r.complete


def test_a_stream_both_ways(alice, tool2):
    """The answer begins before the request ends (bidirectional gRPC)."""
    def chat(conn, s):
        conn.head(s, 200, [("content-type", "application/grpc")])
        said = 0
        while not s.complete or said < len(s.body):
            if said < len(s.body):
                piece, said = s.body[said:], len(s.body)
                conn.data(s, piece.upper())
            time.sleep(0.01)
        with conn.lock:
            conn.h2.send_headers(s.id, [("grpc-status", "0")], end_stream=True)
            conn.flush()
    tool2.on("/chat", chat, early=True)
    with alice.h2() as c:
        stream = c.open("POST", "/chat", [("content-type", "application/grpc"), ("te", "trailers")], end=False)
        for i, word in enumerate((b"one", b"two", b"three")):
            c.send_body(stream, word, end=False)
            while not c.responses[stream].body.endswith(word.upper()):
                assert c.step()
        c.send_body(stream, b"")
        r = c.wait(stream)
        assert r.body == b"ONETWOTHREE" and r.trailers == [("grpc-status", "0")]


def test_many_requests_share_a_connection_and_the_tools_limit_is_kept(alice, tool2):
    most = []

    def slow(conn, s):
        most.append(sum(1 for x in conn.streams.values() if x.path == "/slow" and x.complete and not getattr(x, "done", False)))
        time.sleep(0.2)
        s.done = True
        conn.answer(s, 200, b"ok")
    tool2.on("/slow", slow)
    before = tool2.accepted
    with alice.h2() as c:
        streams = [c.open("GET", "/slow") for _ in range(60)]
        assert all(c.wait(s).body == b"ok" for s in streams)
    assert tool2.accepted - before <= 8 and max(most) <= 20
    with alice.h2() as c:
        streams = [c.open("GET", f"/n{i}") for i in range(50)]
        assert [c.wait(s).body for s in streams] == [f"GET /n{i} 0".encode() for i in range(50)]


def test_a_slow_client_stops_its_own_stream_only(alice, tool2):
    sent = []

    def endless(conn, s):
        conn.head(s, 200)
        while conn.data(s, b"e" * 16384):
            sent.append(16384)
            if len(sent) > 2000:
                break
    tool2.on("/endless", endless)
    with alice.h2(window=1) as slow, alice.h2() as other:
        slow.open("GET", "/endless")
        wait_until(lambda: sent, what="the first bytes")
        time.sleep(1)
        assert other.request("GET", "/fine").status == 200
        assert sum(sent) < 1 << 20
        assert other.request("GET", "/big?bytes=3000000").complete
    wait_until(lambda: tool2.last("/endless").reset is not None, what="the reset at the tool")


@pytest.mark.parametrize("proto", PROTOS)
@pytest.mark.parametrize("how", ["reset", "abort", "end", "goaway"])
def test_a_cut_off_answer_looks_cut_off(alice, tool2, proto, how):
    def cut(conn, s):
        conn.head(s, 200, [("content-type", "text/plain")])
        conn.data(s, b"half of it")
        time.sleep(0.3)
        {"reset": lambda: conn.reset(s, 2), "abort": conn.abort, "end": conn.close, "goaway": lambda: (conn.goaway(0, 2), conn.close())}[how]()
    tool2.on("/cut", cut)
    r = alice.get("/cut", proto=proto)
    assert r.status == 200 and not r.complete
    assert alice.get("/fine", proto=proto).status == 200


@pytest.mark.parametrize("proto", PROTOS)
def test_a_length_that_does_not_fit_looks_cut_off(alice, tool2, proto):
    tool2.on("/short", lambda conn, s: conn.answer(s, 200, b"abc", [("content-length", "10")]))
    r = alice.get("/short", proto=proto)
    assert not r.complete or r.status == 502
    assert alice.get("/fine", proto=proto).status == 200


@pytest.mark.parametrize("proto", PROTOS)
def test_what_was_refused_is_sent_again_whatever_the_method(alice, tool2, proto):
    seen = []

    def refuse_once(conn, s):
        seen.append(s)
        if len(seen) == 1:
            conn.reset(s, 7)              # REFUSED_STREAM
        else:
            conn.answer(s, 200, b"second " + s.body)
    tool2.on("/refuse", refuse_once)
    assert alice.post("/refuse", b"body", proto=proto).body == b"second body"
    seen.clear()

    def goaway_once(conn, s):
        seen.append(s)
        if len(seen) == 1:
            conn.goaway(s.id - 2 if s.id > 2 else 0)
            time.sleep(0.2)
            conn.close()
        else:
            conn.answer(s, 200, b"elsewhere")
    tool2.on("/goaway", goaway_once)
    assert alice.post("/goaway", b"body", proto=proto).body == b"elsewhere"
    tool2.on("/always", lambda conn, s: conn.reset(s, 7))
    r = alice.get("/always", proto=proto)
    assert r.status == 503 and r.problem == "tool-busy" and tool2.count("/always") == 3


@pytest.mark.parametrize("proto", PROTOS)
def test_another_reset_is_not_sent_again(alice, tool2, proto):
    tool2.on("/broken", lambda conn, s: conn.reset(s, 2))
    r = alice.post("/broken", b"x", proto=proto)
    assert r.status == 502 and r.problem == "tool-broke-off" and tool2.count("/broken") == 1


def test_goaway_lets_what_is_under_way_end(alice, tool2):
    def leaving(conn, s):
        conn.head(s, 200)
        conn.data(s, b"first ")
        conn.goaway(s.id)
        time.sleep(0.5)
        conn.data(s, b"last", end=True)
    tool2.on("/leaving", leaving)
    with alice.h2() as c:
        stream = c.open("GET", "/leaving")
        while not c.responses[stream].body:
            c.step()
        assert c.request("GET", "/fine").status == 200       # on another connection
        r = c.wait(stream)
        assert r.complete and r.body == b"first last"


@pytest.mark.parametrize("proto", PROTOS)
def test_silence_is_a_504_and_the_stream_is_reset(alice, tool2, proto):
    tool2.on("/silent", lambda conn, s: None)
    r = alice.get("/silent", proto=proto)
    assert r.status == 504 and r.problem == "tool-timeout"
    wait_until(lambda: tool2.last("/silent").reset is not None, what="the reset")
    assert alice.get("/fine", proto=proto).status == 200


GARBAGE = {
    "not HTTP/2": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    "a frame that is too large": b"\xff\xff\xff\0\0\0\0\0\1",
    "DATA on stream 0": b"\0\0\1\0\0\0\0\0\0x",
    "a push": b"\0\0\5\5\4\0\0\0\1\0\0\0\2\x88",
    "broken HPACK": b"\0\0\3\1\4\0\0\0\1\xff\xff\xff",
    "a window of nothing": b"\0\0\4\x08\0\0\0\0\0\0\0\0\0",
}


@pytest.mark.parametrize("what", GARBAGE)
def test_a_tool_that_breaks_the_protocol(alice, tool2, what):
    tool2.on("/garbage", lambda conn, s: conn.raw(GARBAGE[what]))
    for proto in PROTOS:
        r = alice.get("/garbage", proto=proto)
        assert r.status in (502, 504), r
        assert alice.get("/fine", proto=proto).status == 200


BAD_HEADS = {
    "upper case": [(":status", "200"), ("X-Upper", "a")],
    "connection": [(":status", "200"), ("connection", "close")],
    "transfer-encoding": [(":status", "200"), ("transfer-encoding", "chunked")],
    "no status": [("x", "y")],
    "a status of letters": [(":status", "abc")],
    "a line end in a value": [(":status", "200"), ("x", "a\r\nset-cookie: b")],
    "101": [(":status", "101")],
    "two lengths": [(":status", "200"), ("content-length", "1"), ("content-length", "2")],
    "too many fields": [(":status", "200")] + [(f"x-{i}", "y") for i in range(400)],
    "too large": [(":status", "200")] + [(f"x-{i}", "y" * 4000) for i in range(20)],
}


@pytest.mark.parametrize("what", BAD_HEADS)
def test_a_malformed_answer_is_refused(alice, tool2, what):
    def bad(conn, s):
        with conn.lock:
            conn.h2.send_headers(s.id, BAD_HEADS[what], end_stream=what != "101")
            conn.flush()
    tool2.on("/bad", bad)
    for proto in PROTOS:
        r = alice.get("/bad", proto=proto)
        assert r.status == 502 and r.problem in ("tool-answer-invalid", "tool-broke-off"), r
        assert alice.get("/fine", proto=proto).status == 200


def test_trailers_that_frame_or_route_do_not_pass(alice, tool2):
    for name in ("content-length", "transfer-encoding", "host", "trailer", "te", "authorization", "set-cookie", "countersign-x", "location"):
        tool2.on("/t", lambda conn, s, name=name: conn.answer(s, 200, b"x", trailers=[(name, "1"), ("x-fine", "1")]))
        for proto in PROTOS:
            r = alice.get("/t", proto=proto)
            assert name not in dict(r.trailers)
    assert alice.get("/fine").status == 200


@pytest.mark.parametrize("proto", PROTOS)
def test_websockets_over_http2_to_the_tool(alice, tool2, proto):
    heard = []

    def echo(conn, s):
        assert s.method == "CONNECT" and s.get(":protocol") == "websocket" and s.get("sec-websocket-key") is None
        conn.head(s, 200, [("sec-websocket-protocol", "chat")] if s.get("sec-websocket-protocol") else [])
        at = b""
        used = 0
        while not s.complete and s.reset is None and not conn.ended:
            at, used = at + s.body[used:], len(s.body)
            found = take_frame(at)
            if found is None:
                time.sleep(0.01)
                continue
            f, at = found
            heard.append(f)
            conn.data(s, frame(PONG if f.opcode == PING else f.opcode, f.payload, mask=False), end=f.opcode == CLOSE)
            if f.opcode == CLOSE:
                return
    tool2.on("/ws", echo, early=True)
    s = Socket(alice, "/ws", proto)
    assert s.is_open, s.answer
    for said in (b"hello", b"", b"x" * 100000):
        s.say(TEXT, said)
        assert s.hear().payload == said
    s.say(PING, b"there?")
    assert s.hear().opcode == PONG
    s.say(CLOSE, b"\x03\xe8")
    assert close_code(s.hear()) == 1000
    s.close()
    assert heard[0].payload == b"hello"


@pytest.mark.parametrize("proto", PROTOS)
def test_a_tool_that_declines_a_websocket(alice, tool2, proto):
    tool2.on("/ws", lambda conn, s: conn.answer(s, 404, b"no such socket"), early=True)
    s = Socket(alice, "/ws", proto)
    assert s.answer.status == 404
    s.close()


@pytest.mark.parametrize("proto", PROTOS)
def test_a_websocket_whose_client_leaves_ends_at_the_tool(alice, tool2, proto):
    tool2.on("/ws", lambda conn, s: conn.head(s, 200), early=True)
    s = Socket(alice, "/ws", proto)
    assert s.is_open
    s.close()
    wait_until(lambda: tool2.last("/ws").complete or tool2.last("/ws").reset is not None, what="the end at the tool")


def test_rapid_resets_reach_the_tool_slowly_and_others_are_served(alice, tool2):
    """A client's resets become at most a burst of resets there, then a few a second; and never more connections than H2_WIRES_MAX."""
    tool2.on("/held", lambda conn, s: time.sleep(30))
    resets, accepted = tool2.resets, tool2.accepted
    began = time.monotonic()
    with alice.h2() as c:
        for _ in range(180):              # within the front's own burst
            stream = c.open("GET", "/held")
            c.conn.reset_stream(stream, 8)
            c.flush()
            time.sleep(0.005)
        seconds = time.monotonic() - began
        at_most = 50 * (tool2.accepted - accepted + 1) + 10 * (seconds + 1) * (tool2.accepted - accepted + 1)
        assert tool2.resets - resets <= at_most
        assert tool2.accepted - accepted <= 8
    assert alice.get("/fine", proto="h2").status == 200


def test_h1_tools_are_spoken_to_as_before_when_http2_is_not_asked_for(gateway_of, origin):
    gw = gateway_of(workers=1)
    give_grant(gw.person("alice"), gw.person("bob"))
    assert origin.last("/ready").version == "HTTP/1.1"


def test_h2c_to_a_tool_that_speaks_only_http1(gateway_of):
    o = Origin()
    gw = gateway_of(workers=1, limits={"upstream_head": "3s"}, change=config_for(o.port))
    granted(gw)
    r = gw.person("alice").get("/x")
    assert r.status in (502, 504)
    o.close()


def test_a_connection_that_dies_between_requests(alice, tool2):
    assert alice.get("/x").status == 200
    for conn in tool2.connections:
        conn.close()
    for proto in PROTOS:
        assert alice.get("/x", proto=proto).status == 200


def test_requests_under_way_when_the_tool_dies(alice, tool2):
    """Idempotent ones without an answer are sent once more, others get a 502."""
    gate = threading.Event()

    def dies(conn, s):
        if gate.is_set():
            conn.answer(s, 200, b"alive")
            return
        time.sleep(0.3)
        conn.abort()
    tool2.on("/dies", dies)
    results = {}
    with alice.h2() as c:
        a, b = c.open("GET", "/dies"), c.open("POST", "/dies", [("content-length", "0")])
        wait_until(lambda: tool2.count("/dies") >= 2, what="both")
        gate.set()
        results = c.wait(a), c.wait(b)
    assert results[0].body == b"alive" and results[1].problem == "tool-broke-off"
