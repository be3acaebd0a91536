"""(waits) SIGTERM: what is under way finishes, nobody new is let in, and at the deadline the rest is reset."""
import asyncio
import socket
import time

import pytest

from harness.clients import h1_request
from harness.config_text import SUPPORT
from harness.live import endless
from harness.load import Load
from harness.origin import pattern
from harness.people import give_grant, wait_until

SIZE = 400_000


@pytest.fixture
def gw(gateway_of):
    g = gateway_of(limits={"drain": "8s"})
    give_grant(g.person("alice"), g.person("bob"))
    return g


def slow(origin, path="/slow"):
    """Half the answer now, half when told."""
    go = asyncio.Event()

    async def script(request, conn):
        await conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE + pattern(0, SIZE // 2))
        await asyncio.wait_for(go.wait(), 60)
        await conn.send(pattern(SIZE // 2, SIZE - SIZE // 2))
    origin.on(path, script)
    return lambda: origin.loop.call_soon_threadsafe(go.set)


def terminate(gw):
    gw.process.terminate()
    wait_until(lambda: any(line.get("event") == "proxy.draining" for line in gw.log_lines()), what="the drain")


def ended(gw, seconds):
    gw.process.wait(seconds)
    return gw.process.returncode


@pytest.mark.parametrize("http", ["1", "2"])
def test_exchanges_under_way_finish_and_the_recorder_and_authz_end_last(gw, origin, http):
    """By cs_load: python3-h2 takes no data after the first GOAWAY."""
    go = slow(origin)
    with Load(gw, http, target="/slow", batch=3, connections=1 if http == "2" else 3, streams=3,
              more=["--expect-bytes", str(SIZE), "--expect-sha256", "pattern"]) as load:
        origin.wait_for(lambda _: origin.count("/slow") == 3, 30)
        load.enough.set()
        terminate(gw)
        time.sleep(1)
        go()
        assert ended(gw, 20) == 0
    load.check(at_least=3)
    order = [(line["process"], line["event"]) for line in gw.log_lines() if line["event"] in ("proxy.stopped", "authz.stopping", "stopped")]
    assert order == [("proxy", "proxy.stopped"), ("authz", "authz.stopping"), ("run", "stopped")]


def test_a_busy_h1_connection_hears_it_with_the_next_answer(gw):
    with gw.person("alice").h1() as c:
        assert c.request("GET", "/one").get("connection") is None
        terminate(gw)
        r = c.request("GET", "/two")
        assert r.status == 200 and r.complete and r.get("connection") == "close"
        assert not c.fill() and not c.was_reset


def test_an_idle_connection_is_closed_soon_and_cleanly(gw):
    with gw.person("alice").h1() as c, gw.person("alice").h2() as d:
        assert c.request("GET", "/one").status == 200
        assert d.request("GET", "/one").status == 200
        begun = time.monotonic()
        terminate(gw)
        assert not c.fill() and not c.was_reset
        while d.step():
            pass
        assert time.monotonic() - begun < 5
    assert ended(gw, 20) == 0


def test_goaway_comes_in_its_graceful_form(gw, origin):
    from h2.events import ConnectionTerminated
    go = slow(origin)
    with gw.person("alice").h2() as c:
        seen = []
        inner = c.conn.receive_data

        def receive(data):
            events = inner(data)
            seen.extend(e.last_stream_id for e in events if isinstance(e, ConnectionTerminated))
            return events
        c.conn.receive_data = receive
        stream = c.open("GET", "/slow")
        while not c.responses[stream].body:
            assert c.step()
        terminate(gw)
        go()
        try:
            while c.step():
                pass
        except Exception:             # this library takes nothing after the first GOAWAY; what came is what counts
            pass
    assert seen[0] == 2**31 - 1
    assert ended(gw, 20) == 0


def test_nobody_new_is_let_in(gw, origin):
    go = slow(origin)
    with gw.person("alice").h1() as c:
        c.send(h1_request("GET", "/slow", f"{SUPPORT}:{gw.port}"))
        c.read_head()
        terminate(gw)
        wait_until(lambda: socket.socket().connect_ex(("127.0.0.1", gw.port)) != 0, 5, "the refusal")
        go()
        assert c.read_exactly(SIZE, bytearray())
    assert ended(gw, 20) == 0


@pytest.mark.parametrize("proto", ["h1", "h2"])
def test_at_the_deadline_the_rest_is_reset(gw, origin, proto):
    endless(origin)
    alice = gw.person("alice")
    with (alice.h1() if proto == "h1" else alice.h2()) as c:
        if proto == "h1":
            c.send(h1_request("GET", "/endless", f"{SUPPORT}:{gw.port}"))
            assert c.read_head().status == 200
        else:
            stream = c.open("GET", "/endless")
            while not c.responses[stream].body:
                assert c.step()
        begun = time.monotonic()
        terminate(gw)
        assert ended(gw, 30) == 0
        assert 6 < time.monotonic() - begun < 20


@pytest.mark.parametrize("http", ["1", "2"])
def test_under_load_every_request_that_was_taken_is_answered(gw, http):
    """The load client meets refused connections in the end; nothing else."""
    with Load(gw, http, batch=100000) as load:
        time.sleep(2)
        terminate(gw)
        assert ended(gw, 30) == 0
    bad = {why: n for why, n in load.reasons.items() if "refused" not in why and "never sent" not in why and "connect" not in why.lower()}
    assert not bad, bad
