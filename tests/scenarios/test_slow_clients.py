"""Clients that read late, or not at all: they get what is theirs whole, hold nothing for ever, and get nothing after a lock."""
import time

import pytest

from harness.clients import h1_request
from harness.config_text import SUPPORT
from harness.people import give_grant, wait_until

GATEWAY = {"limits": {"body_idle": "2s", "idle": "5s"}}


@pytest.fixture
def alice(gw):
    who = gw.person("alice")
    if who.get("/hello").status != 200:
        give_grant(who, gw.person("bob"))
    return who


def big_head(origin):
    async def script(request, conn):
        await conn.answer(200, b"small", [("X-Large", "h" * 20000)])
    origin.on("/head", script)


def test_pipelined_answers_stay_apart_when_the_client_reads_late(gw, origin, alice):
    """A head that finds no room must not be left out before its body."""
    big_head(origin)
    host = f"{SUPPORT}:{gw.port}"
    with alice.h1(rcvbuf=4096) as c:
        c.send((h1_request("GET", "/big?bytes=47000", host) + h1_request("GET", "/head", host)) * 100)
        time.sleep(2)
        for i in range(100):
            first, second = c.read_response(), c.read_response()
            assert first.complete and len(first.body) == 47000, i
            assert second.status == 200 and len(second.get("x-large")) == 20000 and second.body == b"small", i


def test_a_last_answer_arrives_whole_at_a_slow_client(gw, origin, alice):
    with alice.h1(rcvbuf=4096) as c:
        c.send(h1_request("GET", "/big?bytes=1500000", f"{SUPPORT}:{gw.port}", [("Connection", "close")]))
        head = c.read_head()
        assert head.status == 200
        got = bytearray()
        while len(got) < 1500000 and c.read_exactly(min(150000, 1500000 - len(got)), got):
            time.sleep(0.4)
        assert len(got) == 1500000, "cut off while it was being read"


@pytest.mark.parametrize("proto", ["h1", "h2"])
def test_a_lock_of_the_grant_takes_back_what_was_not_read(gw, origin, alice, proto):
    """The answer is over for the tool and the gateway; its bytes lie in our buffers and the kernel's."""
    grant = alice.status()["grants"][0]["grant_id"]
    with (alice.h1(rcvbuf=4096) if proto == "h1" else alice.h2(window=0)) as c:
        if proto == "h1":
            c.send(h1_request("GET", "/big?bytes=400000", f"{SUPPORT}:{gw.port}"))
        else:
            stream = c.open("GET", "/big?bytes=100000")
        origin.wait_for(lambda seen: seen)
        time.sleep(1)
        assert gw.person("olga").lock("grant", grant).status in (200, 201)
        time.sleep(1)                   # "now" is within a second; then only what had already arrived can be read
        assert c.ends_within(20)
        read = len(c.buf) if proto == "h1" else len(c.responses[stream].body)
        assert read < (300000 if proto == "h1" else 100000)
    for lock in gw.person("olga").api_ok("GET", "/api/v1/locks")["locks"]:
        gw.person("olga").unlock(lock["id"])


def test_a_stream_whose_window_stays_shut_is_reset(gw, origin, alice):
    with alice.h2(window=0) as c:
        stream = c.open("GET", "/big?bytes=2000000")
        end = time.monotonic() + 30
        while not c.responses[stream].reset and time.monotonic() < end:
            c.conn.ping(b"01234567")          # what keeps the connection alive must not keep the stream
            c.flush()
            time.sleep(0.1)                   # as fast as answers come would be a flood
            c.sock.settimeout(0.5)
            try:
                c.step()
            except TimeoutError:
                pass
        assert c.responses[stream].reset and not c.ended


@pytest.mark.parametrize("who", ["alice", "nobody"])
def test_streams_that_never_end_are_reset(gw, origin, alice, who):
    person = alice if who == "alice" else gw.nobody()
    with person.h2() as c:
        streams = [c.open("POST", "/up", [("content-type", "text/plain")], end=False) for _ in range(10)]
        c.ends_within(8)
        assert c.ended or all(c.responses[s].reset for s in streams)
