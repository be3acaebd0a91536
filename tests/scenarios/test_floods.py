"""HTTP/2 floods, one by one: each is cut off, costs the tool little and the gateway no memory, and a well-behaved client goes on being served meanwhile."""
import time

import pytest

from harness.config_text import SUPPORT
from harness.frames import (ACK, CALM, COMPRESSION, CONTINUATION, DATA, END_HEADERS, END_STREAM, ERRORS, FRAME_SIZE, GOAWAY, HEADERS, PADDED, PING, PRIORITY, PROTOCOL,
                            SETTINGS, STREAM_CLOSED, Wire, block, data, frame, integer, literal, ping, priority, reset, settings, text, window)
from harness.h2_expect import answered
from harness.people import give_grant
from harness.steady import Steady

GATEWAY = {"workers": 1}
RESETS, FRAMES = 200, 1000            # the defaults of limits.resets and limits.control_frames
LONG = [("content-type", "text/plain")]


@pytest.fixture(scope="module", autouse=True)
def granted(gw):
    give_grant(gw.person("alice"), gw.person("bob"))
    give_grant(gw.person("mallory"), gw.person("bob"))


def attacker(gw, **more):
    return Wire(gw, gw.creds["mallory"], SUPPORT, source="127.0.0.66", **more)


def post(w, s, *frames, length=None):
    return w.request(s, "/attack", end=False, method="POST", fields=LONG + ([("content-length", length)] if length else [])) + b"".join(frames)


# What costs the tool a connection and then makes the stream go: by the client's own reset, or by making the gateway reset it.
RESETTING = {
    "RST_STREAM (Rapid Reset)": lambda w, s: w.request(s, "/attack") + reset(s),
    "RST_STREAM in the middle of a body": lambda w, s: post(w, s, data(s, b"x", False), reset(s)),
    "WINDOW_UPDATE of 0": lambda w, s: post(w, s, window(s, 0)),
    "a window past 2^31-1": lambda w, s: post(w, s, window(s, 0x7fffffff)),
    "DATA after the end": lambda w, s: w.request(s, "/attack") + data(s, b"x"),
    "HEADERS after the end": lambda w, s: w.request(s, "/attack") + w.request(s, "/attack"),
    "PRIORITY of a wrong length": lambda w, s: post(w, s, frame(PRIORITY, 0, s, b"xxxx")),
    "PRIORITY on itself": lambda w, s: post(w, s, priority(s, s)),
    "more DATA than said": lambda w, s: post(w, s, data(s, b"xxx"), length="2"),
    "less DATA than said": lambda w, s: post(w, s, data(s, b"x"), length="2"),
    "trailers without an end": lambda w, s: post(w, s, frame(HEADERS, END_HEADERS, s, literal("x", "y"))),
    "trailers with a pseudo-field": lambda w, s: post(w, s, frame(HEADERS, 5, s, literal(":path", "/"))),
    "an empty field block": lambda w, s: frame(HEADERS, 5, s, b""),
    "an upper-case name": lambda w, s: w.request(s, "/attack", fields=[("X", "y")]),
}


@pytest.mark.parametrize("name", RESETTING)
def test_resets_are_cut_off_and_cost_the_tool_little(gw, origin, name):
    before = origin.accepted
    with Steady(gw.person("alice")):
        with attacker(gw) as w:
            w.wait(lambda: w.settings)
            for s in range(1, 6001, 2):
                if not w.send(RESETTING[name](w, s)) or w.ended or w.goaway is not None:
                    break
                if s % 40 == 1:
                    w.step(0.01)
            w.wait(lambda: False)
            assert w.ended, f"taken whole: {w.told()[:300]}"
            assert w.goaway in (CALM, PROTOCOL, STREAM_CLOSED, FRAME_SIZE, None), ERRORS[w.goaway]
        attacks = origin.count("/attack")
    assert attacks <= RESETS + 120, f"{attacks} reached the tool"
    assert origin.accepted - before <= RESETS + 120 + 20, f"{origin.accepted - before} connections to the tool"


# Frames that ask for nothing; (frames, before): before is sent once.
IDLE = {
    "PING": (ping(), None),
    "PING acknowledgements": (frame(PING, ACK, 0, b"12345678"), None),
    "SETTINGS": (settings((3, 100)), None),
    "empty SETTINGS": (settings(), None),
    "SETTINGS with many entries": (settings(*[(4, 65535)] * 30), None),
    "SETTINGS acknowledgements": (frame(SETTINGS, ACK), None),
    "PRIORITY": (priority(1, 3), None),
    "PRIORITY of ever new streams": (b"".join(priority(s, 0) for s in range(1, 201, 2)), None),
    "WINDOW_UPDATE on the connection": (window(0, 1), None),
    "WINDOW_UPDATE on a stream": (window(1, 1), lambda w: post(w, 1)),
    "WINDOW_UPDATE on a closed stream": (window(1, 1), lambda w: w.request(1)),
    "GOAWAY": (frame(GOAWAY, 0, 0, bytes(8)), None),
    "empty DATA": (frame(DATA, 0, 1), lambda w: post(w, 1)),
    "DATA of padding only": (frame(DATA, PADDED, 1, b"\3\0\0\0"), lambda w: post(w, 1)),
    "DATA of no padding and no data": (frame(DATA, PADDED, 1, b"\0"), lambda w: post(w, 1)),
    "CONTINUATION": (frame(CONTINUATION, 0, 1, literal("x", "y")), lambda w: frame(HEADERS, END_STREAM, 1, block(w.request_fields()))),
    "empty CONTINUATION": (frame(CONTINUATION, 0, 1), lambda w: frame(HEADERS, END_STREAM, 1, block(w.request_fields()))),
    "large CONTINUATION": (frame(CONTINUATION, 0, 1, literal("x", "y" * 16000)), lambda w: frame(HEADERS, END_STREAM, 1, block(w.request_fields()))),
    "RST_STREAM on a closed stream": (reset(1), lambda w: w.request(1)),
}


@pytest.mark.parametrize("name", IDLE)
def test_frames_that_ask_for_nothing_are_cut_off(gw, origin, name):
    piece, before = IDLE[name]
    memory = gw.peak_rss_kib()
    with Steady(gw.person("alice")):
        with attacker(gw) as w:
            w.wait(lambda: w.acks)
            if before is not None:
                w.send(before(w))
                w.wait(lambda: w.over(1), 1)
            many = max(1, 16384 // len(piece))
            for _ in range(100 * (FRAMES // many + 1)):
                if not w.send(piece * many) or w.ended or w.goaway is not None:
                    break
                w.step(0.001)
            w.wait(lambda: False)
            assert w.ended, f"taken whole: {w.told()}"
            assert w.goaway in (CALM, PROTOCOL, None), w.told()
    assert gw.peak_rss_kib() - memory < 300 << 10, "memory grew with the flood"


@pytest.mark.parametrize("size", [0, 1, 16384])
def test_unknown_frames_are_ignored_and_keep_nobody_out(gw, origin, size):
    """RFC 9113 section 4.1 wants them ignored. They cost no answer and no memory; the deadline of a quiet connection holds."""
    memory = gw.peak_rss_kib()
    piece = frame(0xfa, 0, 0, b"x" * size)
    with Steady(gw.person("alice")), attacker(gw) as w:
        for _ in range(200):
            w.send(piece * max(1, 65536 // len(piece)))
    assert gw.peak_rss_kib() - memory < 300 << 10


def bomb(w, stream, times, size=3900, fields=1):
    """One large entry in the table, then a byte for each time it is used again."""
    raw = block(w.request_fields())
    for i in range(fields):
        raw += b"\x40" + text(f"x-{i}") + text("y" * (size // fields))
    raw += bytes([0x80 | 62]) * times
    out, first, rest = b"", raw[:16384], raw[16384:]
    while True:
        piece, rest = rest[:16384], rest[16384:]
        out += frame(CONTINUATION, 0 if rest else END_HEADERS, stream, piece) if piece else b""
        if not rest:
            break
    return frame(HEADERS, END_STREAM | (0 if out else END_HEADERS), stream, first) + out


BOMBS = {
    "4 MB in a block": lambda w: bomb(w, 1, 1000),
    "60 MB in a block": lambda w: bomb(w, 1, 12000),
    "400 MB in several frames": lambda w: bomb(w, 1, 100000),
    "a hundred blocks": lambda w: b"".join(bomb(w, s, 3000) for s in range(1, 200, 2)),
    "cookie crumbs": lambda w: w.request(1, fields=[("cookie", "a=b")] * 1000),
    "ten thousand empty fields": lambda w: frame(HEADERS, END_STREAM | END_HEADERS, 1, block(w.request_fields()) + b"\x40" + text("x") + text("") + b"\xbe" * 10000),
    "a field of 16 KB in each of three": lambda w: frame(HEADERS, END_STREAM, 1, block(w.request_fields())) + b"".join(
        frame(CONTINUATION, END_HEADERS if i == 2 else 0, 1, literal(f"x{i}", "y" * 16000)) for i in range(3)),
    "a table that goes up and down": lambda w: b"".join(
        frame(HEADERS, END_STREAM | END_HEADERS, s, b"\x20" + integer(4096, 5, 0x20) + block(w.request_fields(path="/attack")) + b"\x40" + text("x") + text("y" * 3000)) for s in range(1, 120, 2)),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_compression_bomb_is_refused_and_takes_no_memory(gw, origin, name):
    memory = gw.peak_rss_kib()
    with Steady(gw.person("alice")):
        with attacker(gw) as w:
            w.wait(lambda: w.settings)
            w.send(BOMBS[name](w))
            w.wait(lambda: w.over(1))
            if "table" not in name:
                assert w.goaway in (CALM, PROTOCOL, COMPRESSION) or w.ended or 1 in w.resets or w.status(1) in (431, 400), w.told()[:300]
    assert gw.peak_rss_kib() - memory < 300 << 10, "memory grew with the bomb"
    assert "table" in name or origin.count("/a") == 0


def test_more_streams_than_allowed_never_reach_the_tool(gw, origin):
    """Streams past the limit are refused one by one, and going on so ends the connection."""
    import asyncio

    async def wait(request, conn):
        await asyncio.sleep(2)
        await conn.answer(200, b"late")
    origin.on("/attack", wait)
    with Steady(gw.person("alice")), attacker(gw) as w:
        w.wait(lambda: w.settings)
        for s in range(1, 3001, 2):
            if not w.send(w.request(s, "/attack")):
                break
        w.wait(lambda: False)
        assert w.ended and origin.count("/attack") <= w.settings[3]


# The other side: what honest clients do a lot of must pass.
def test_a_download_with_two_window_updates_a_frame_passes(gw, origin):
    with Wire(gw, gw.creds["alice"], SUPPORT, first=((4, 20000),)) as w:
        w.send(w.request(1, "/big?bytes=4000000"))
        got = 0
        while not w.over(1):
            assert w.step(), w.told()
            now = len(w.body.pop(1, b""))
            if now:
                got += now
                w.send(window(1, now // 2) + window(1, now - now // 2) + window(0, now // 2) + window(0, now - now // 2))
        assert 1 in w.done and got == 4000000, w.told()


def test_many_requests_each_with_pings_and_priorities_pass(gw, origin):
    with Wire(gw, gw.creds["alice"], SUPPORT) as w:
        for s in range(1, 1201, 2):
            w.send(priority(s, 0) + w.request(s) + ping() + ping() + window(0, 9000) + priority(s, 0))
            w.wait(lambda: w.over(s))
            assert w.status(s) == 200, w.told()[-300:]


def test_a_page_that_is_left_cancels_all_it_asked_for(gw, origin):
    """A browser resets a page's requests at once; twice in a row is nothing unusual."""
    with Wire(gw, gw.creds["alice"], SUPPORT) as w:
        w.wait(lambda: w.settings)
        for page in range(2):
            first = 1 + page * 160
            w.send(b"".join(w.request(s, "/slow-page") for s in range(first, first + 160, 2)))
            w.send(b"".join(reset(s) for s in range(first, first + 160, 2)))
            assert w.answers_ping(b"%08d" % page), w.told()
        w.send(w.request(1001))
        answered()(w, 1001)


def test_a_ping_now_and_then_keeps_a_long_stream(gw, origin):
    """gRPC and browsers ping; 5 a second for a while is theirs to do."""
    with Wire(gw, gw.creds["alice"], SUPPORT) as w:
        for i in range(100):
            assert w.answers_ping(b"%08d" % i), w.told()
            time.sleep(0.02)
        w.send(w.request(1))
        answered()(w, 1)
