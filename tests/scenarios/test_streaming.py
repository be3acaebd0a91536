"""Streaming both ways with bounded memory: byte-identical, a slow side stops the fast side, and a cut-off message looks cut off."""
import asyncio
import hashlib
import time

import pytest

from harness.clients import h1_request
from harness.config_text import SUPPORT
from harness.origin import pattern, pattern_sha256, send_pattern
from harness.people import give_grant

PROTOS = ["h1", "h2"]
MIB = 1 << 20


@pytest.fixture(scope="module", autouse=True)
def granted(gw):
    give_grant(gw.person("alice"), gw.person("bob"))


@pytest.mark.parametrize("proto", PROTOS)
@pytest.mark.parametrize("size", [0, 1, 16383, 16384, 16385, 65535, 65536, 1000003, 24 * MIB])
def test_downloads_arrive_byte_for_byte(gw, origin, proto, size):
    r = gw.person("alice").get(f"/big?bytes={size}", proto=proto)
    assert r.complete and len(r.body) == size and hashlib.sha256(r.body).hexdigest() == pattern_sha256(size)


@pytest.mark.parametrize("proto", PROTOS)
@pytest.mark.parametrize("size", [0, 1, 16383, 16385, 65536, 1000003, 24 * MIB])
def test_uploads_arrive_byte_for_byte(gw, origin, proto, size):
    r = gw.person("alice").post("/up", pattern(0, size), proto=proto, content_type="application/octet-stream")
    assert r.status == 200
    assert (origin.last("/up").body_len, origin.last("/up").body_sha256) == (size, pattern_sha256(size))


@pytest.mark.parametrize("proto", PROTOS)
def test_a_chunked_answer_arrives_whole(gw, origin, proto):
    async def script(request, conn):
        await conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for i in range(200):
            await conn.send(b"%x\r\n%s\r\n" % (i + 1, b"c" * (i + 1)))
        await conn.send(b"0\r\nX-Trailer: 1\r\n\r\n")
    origin.on("/chunked", script)
    r = gw.person("alice").get("/chunked", proto=proto)
    assert r.complete and r.body == b"c" * (200 * 201 // 2)


@pytest.mark.parametrize("proto", PROTOS)
def test_an_answer_that_ends_with_the_connection_arrives_whole(gw, origin, proto):
    async def script(request, conn):
        await conn.answer(200, b"until the end", [("Connection", "close")], length=False)
        return False
    origin.on("/close", script)
    r = gw.person("alice").get("/close", proto=proto)
    assert r.complete and r.body == b"until the end"


@pytest.mark.parametrize("proto", PROTOS)
def test_pieces_are_passed_on_as_they_come(gw, origin, proto):
    """An event stream: the first piece must arrive long before the last is sent."""
    go = asyncio.Event()

    async def script(request, conn):
        await conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        await asyncio.wait_for(go.wait(), 60)
        await conn.send(b"4\r\nlast\r\n0\r\n\r\n")
    origin.on("/events", script)
    alice = gw.person("alice")
    with (alice.h1() if proto == "h1" else alice.h2()) as c:
        if proto == "h1":
            c.send(h1_request("GET", "/events", f"{SUPPORT}:{gw.port}"))
            assert c.read_head().status == 200 and c.read_until(b"first") is not None
        else:
            stream = c.open("GET", "/events")
            while c.responses[stream].body != b"first":
                assert c.step()
        origin.loop.call_soon_threadsafe(go.set)
        if proto == "h1":
            assert c.read_until(b"0\r\n\r\n") is not None
        else:
            assert c.wait(stream).body == b"firstlast"


@pytest.mark.parametrize("proto", PROTOS)
def test_a_slow_reader_stops_the_tool_and_memory_stays_bounded(gw, origin, proto):
    sent = {"bytes": 0}
    size = 200 * MIB

    async def script(request, conn):
        await conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        while sent["bytes"] < size:
            await conn.send(b"s" * 65536)
            sent["bytes"] += 65536
    origin.on("/flood", script)
    before = gw.peak_rss_kib()
    alice = gw.person("alice")
    with (alice.h1(rcvbuf=65536) if proto == "h1" else alice.h2(window="default")) as c:
        if proto == "h1":
            c.send(h1_request("GET", "/flood", f"{SUPPORT}:{gw.port}"))
        else:
            stream = c.open("GET", "/flood")
            while not c.responses[stream].body:
                assert c.step()
        time.sleep(3)
        stalled = sent["bytes"]
        time.sleep(2)
        assert sent["bytes"] == stalled, "the tool still gets rid of bytes nobody reads"
        assert stalled < 64 * MIB, f"{stalled >> 20} MiB were taken for a reader that reads nothing"
        assert gw.peak_rss_kib() - before < 96 << 10, "memory grew with the body"
        assert alice.get("/fine").status == 200


@pytest.mark.parametrize("proto", PROTOS)
def test_a_slow_tool_stops_the_upload(gw, origin, proto):
    taken = asyncio.Event()

    async def script(request, conn):
        await asyncio.wait_for(taken.wait(), 60)
        from harness.origin import read_body
        await read_body(conn.reader, request)
        await conn.answer(200, b"done")
    origin.on("/slow-up", script, raw=True)
    before = gw.peak_rss_kib()
    alice, body = gw.person("alice"), pattern(0, 40 * MIB)
    import threading
    result = {}

    def upload():
        result["r"] = alice.post("/slow-up", body, proto=proto, content_type="application/octet-stream")
    t = threading.Thread(target=upload)
    t.start()
    time.sleep(3)
    assert t.is_alive() and gw.peak_rss_kib() - before < 96 << 10, "the upload was taken into memory"
    origin.loop.call_soon_threadsafe(taken.set)
    t.join(120)
    assert result["r"].status == 200 and origin.last("/slow-up").body_sha256 == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("how", ["close", "reset", "cut chunk"])
@pytest.mark.parametrize("proto", PROTOS)
def test_an_answer_cut_off_by_the_tool_looks_cut_off(gw, origin, proto, how):
    async def script(request, conn):
        if how == "cut chunk":
            await conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4000\r\n" + b"c" * 1000)
        else:
            await send_pattern(conn, 100000, declared=200000)
        await asyncio.sleep(0.3)
        if how == "reset":
            conn.abort()
        return False
    origin.on("/cut", script)
    r = gw.person("alice").get("/cut", proto=proto)
    assert not r.complete, "a cut-off answer looks whole"
    assert r.status in (200, 502)


def test_a_cut_chunked_answer_has_no_last_chunk(gw, origin):
    async def script(request, conn):
        await conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await asyncio.sleep(0.3)
        return False
    origin.on("/cut2", script)
    with gw.person("alice").h1() as c:
        c.send(h1_request("GET", "/cut2", f"{SUPPORT}:{gw.port}"))
        r = c.read_response()
        assert r.body == b"hello" and not r.complete and b"0\r\n\r\n" not in c.buf


@pytest.mark.parametrize("proto", PROTOS)
def test_a_client_that_goes_away_ends_the_exchange_at_the_tool(gw, origin, proto):
    ended = {}

    async def script(request, conn):
        try:
            await conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")
            while True:
                await conn.send(b"x" * 65536)
                await asyncio.sleep(0.01)
        except (ConnectionError, asyncio.CancelledError):
            ended["yes"] = True
            raise
    origin.on("/gone", script)
    alice = gw.person("alice")
    with (alice.h1() if proto == "h1" else alice.h2()) as c:
        if proto == "h1":
            c.send(h1_request("GET", "/gone", f"{SUPPORT}:{gw.port}"))
            c.read_head()
        else:
            stream = c.open("GET", "/gone")
            while not c.responses[stream].body:
                c.step()
    origin.wait_for(lambda _: ended.get("yes"), 30)


@pytest.mark.parametrize("proto", PROTOS)
def test_an_upload_that_breaks_off_is_not_completed_at_the_tool(gw, origin, proto):
    alice = gw.person("alice")
    with (alice.h1() if proto == "h1" else alice.h2()) as c:
        if proto == "h1":
            c.send(b"POST /half HTTP/1.1\r\nHost: support.test.localhost:%d\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n" % gw.port)
        else:
            stream = c.open("POST", "/half", [("content-type", "text/plain")], end=False)
            c.send_body(stream, b"hello", end=False)
        time.sleep(0.5)
    time.sleep(1)
    assert not [r for r in origin.requests if r.complete]


@pytest.mark.parametrize("proto", PROTOS)
def test_many_downloads_at_once_on_few_connections(gw, origin, proto):
    alice = gw.person("alice")
    if proto == "h1":
        import concurrent.futures
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            got = list(pool.map(lambda i: alice.get(f"/big?bytes={100000 + i}"), range(36)))
    else:
        with alice.h2() as c:
            streams = [c.open("GET", f"/big?bytes={100000 + i}") for i in range(36)]
            got = [c.wait(s) for s in streams]
    for i, r in enumerate(got):
        assert r.complete and hashlib.sha256(r.body).hexdigest() == pattern_sha256(100000 + i)


@pytest.mark.parametrize("proto", PROTOS)
def test_an_answer_that_comes_before_the_body_is_read_leaves_nobody_waiting(gw, origin, proto):
    """The rest of the body is thrown away as it comes; over HTTP/2 its window has to stay open for that."""
    async def script(request, conn):
        await conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ntook")   # whoever came next over it would be swallowed
        while await conn.reader.read(1 << 16):
            pass
    origin.on("/early", script, raw=True)
    with gw.person("alice").h2() if proto == "h2" else gw.person("alice").h1() as c:
        r = c.request("POST", "/early", [("Content-Type", "text/plain")], b"u" * 400000)
    assert r.status == 200 and r.body == b"took" and r.complete
