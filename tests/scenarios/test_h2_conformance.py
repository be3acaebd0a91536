"""RFC 9113 sections 3 to 6, frame by frame: what a server must do with each way of breaking a rule, and with what looks odd but is allowed."""
import asyncio
import threading

import pytest

from harness.config_text import SUPPORT
from harness.frames import (ACK, CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, FLOW_CONTROL, FRAME_SIZE, GOAWAY, HEADERS, PADDED, PING, PREFACE,
                            PRIO, PRIORITY, PROTOCOL, PUSH_PROMISE, REFUSED, RST_STREAM, SETTINGS, STREAM_CLOSED, WINDOW_UPDATE, Wire,
                            block, data, frame, literal, ping, priority, reset, settings, window)
from harness.h2_expect import answered, connection, either, hangs_up, ignored, ignored_or, malformed, stream_error
from harness.people import give_grant

BIG = 1 << 14
CASES = {}


def case(section, text, send, expect, **more):
    """send(w) gives bytes (or is bytes), after which expect holds; stream is the one that expect looks at."""
    name = f"{section} {text}"
    assert name not in CASES, name
    CASES[name] = (send if callable(send) else lambda w: send, expect, more)


def asked(w, *frames, stream=1, **more):
    return w.request(stream, **more) + b"".join(frames)


def open_post(w, *frames, stream=1, **more):
    return w.request(stream, "/a", end=False, method="POST", **more) + b"".join(frames)


def waiting(w, *frames):
    """Stream 1 is half-closed (remote): the tool has the request and takes its time."""
    w.send(w.request(1, "/wait"))
    WAITING.wait(20)
    return b"".join(frames)


def finished(w, *frames):
    """Stream 1 was answered and is closed."""
    w.send(w.request(1))
    assert w.wait(lambda: 1 in w.done), w.told()
    return b"".join(frames)


def cancelled(w, *frames):
    """Stream 1 was reset by us, after the gateway began on it."""
    waiting(w)
    return reset(1) + b"".join(frames)


WAITING = threading.Event()
H = lambda w, *more: block(w.request_fields(*more))   # noqa: E731

# 3.4 connection preface
case("3.4", "the server's first frame is SETTINGS, at once", b"", ignored, first=True)
case("3.4", "SETTINGS may be empty", lambda w: settings() + asked(w), answered())
case("3.4", "a wrong preface", lambda w: b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n" + settings(), hangs_up, raw=True)
case("3.4", "a preface of HTTP/1.1", lambda w: b"GET / HTTP/1.1\r\nHost: " + w.authority.encode() + b"\r\n\r\n", hangs_up, raw=True)
case("3.4", "a preface with one byte changed", lambda w: PREFACE[:-1] + b"\r" + settings(), hangs_up, raw=True)
case("3.4", "HEADERS instead of SETTINGS", lambda w: PREFACE + asked(w), connection(PROTOCOL), raw=True)
case("3.4", "PING instead of SETTINGS", PREFACE + ping(), connection(PROTOCOL), raw=True)
case("3.4", "WINDOW_UPDATE instead of SETTINGS", PREFACE + window(0, 1), connection(PROTOCOL), raw=True)
case("3.4", "an acknowledgement instead of SETTINGS", PREFACE + frame(SETTINGS, ACK), connection(PROTOCOL), raw=True)
case("3.4", "a second preface", PREFACE + PREFACE, connection(PROTOCOL, FRAME_SIZE))
case("3.4", "a request right behind the preface", lambda w: PREFACE + settings() + asked(w), answered(), raw=True)

# 4.1 frame format
case("4.1", "an unknown frame type on the connection", lambda w: frame(0xfa, 0xff, 0, b"x" * 8) + asked(w), answered())
case("4.1", "an unknown frame type on an idle stream", lambda w: frame(0xfa, 0, 1, b"x") + asked(w), answered())
case("4.1", "an unknown frame type in a request's body", lambda w: open_post(w, frame(0x20, 0xff, 1, b"x" * 99), data(1)), answered())
case("4.1", "unknown flags of DATA", lambda w: open_post(w, frame(DATA, 0xf6 & ~PADDED | END_STREAM, 1, b"x")), answered())
case("4.1", "unknown flags of HEADERS", lambda w: frame(HEADERS, 0x92 | END_HEADERS | END_STREAM, 1, H(w)), answered())
case("4.1", "unknown flags of PING", frame(PING, 0xfe, 0, b"12345678"), ignored)
case("4.1", "unknown flags of SETTINGS", frame(SETTINGS, 0xfe, 0), ignored)
case("4.1", "the reserved bit of a stream identifier", lambda w: frame(HEADERS, 5, 1 | 1 << 31, H(w)), answered())
case("4.1", "the reserved bit of WINDOW_UPDATE", window(0, 1 | 1 << 31), ignored)

# 4.2 frame size
case("4.2", "DATA of 2^14 bytes", lambda w: open_post(w, data(1, b"x" * BIG)), answered())
case("4.2", "HEADERS of 2^14 bytes", lambda w: frame(HEADERS, 5, 1, (lambda b: b + literal("x", "y" * (BIG - len(b) - 6)))(H(w))), answered())
case("4.2", "DATA of 2^14+1 bytes", lambda w: open_post(w, data(1, b"x" * (BIG + 1))), either(FRAME_SIZE))
for kind, label in ((HEADERS, "HEADERS"), (SETTINGS, "SETTINGS"), (PING, "PING"), (CONTINUATION, "CONTINUATION"), (WINDOW_UPDATE, "WINDOW_UPDATE"),
                    (GOAWAY, "GOAWAY"), (RST_STREAM, "RST_STREAM"), (0xfa, "unknown")):
    case("4.2", f"{label} of 2^14+1 bytes", frame(kind, 0, int(kind in (HEADERS, CONTINUATION, RST_STREAM)), b"x" * (BIG + 1)),
         connection(FRAME_SIZE, PROTOCOL) if kind == CONTINUATION else connection(FRAME_SIZE))
case("4.2", "a length of 2^24-1 announced", frame(DATA, 0, 1, b"x", length=(1 << 24) - 1), connection(FRAME_SIZE, PROTOCOL))

# 4.3 and 6.10 field blocks
SPLIT = (("nothing", b""), ("PRIORITY", priority(1, 3)), ("PING", ping()), ("SETTINGS", settings()), ("WINDOW_UPDATE", window(0, 1)), ("DATA", data(1, b"x", False)),
         ("an unknown frame", frame(0xfa, 0, 0, b"")), ("an unknown frame of its own stream", frame(0xfa, 0, 1, b"")), ("RST_STREAM", reset(1)),
         ("HEADERS of another stream", frame(HEADERS, 5, 3, b"\x82")), ("HEADERS of its own stream", frame(HEADERS, 5, 1, b"\x82")),
         ("CONTINUATION of another stream", frame(CONTINUATION, END_HEADERS, 3, b"")))


def split(w, between):
    b = H(w)
    return frame(HEADERS, END_STREAM, 1, b[:9]) + between + frame(CONTINUATION, END_HEADERS, 1, b[9:])


for label, between in SPLIT:
    case("4.3", f"{label} between HEADERS and CONTINUATION", lambda w, between=between: split(w, between),
         answered() if not between else connection(PROTOCOL))
case("6.10", "many CONTINUATION frames, one byte each at first",
     lambda w: frame(HEADERS, END_STREAM, 1, H(w)[:1]) + frame(CONTINUATION, 0, 1, H(w)[1:2]) + frame(CONTINUATION, 0, 1, H(w)[2:3])
     + frame(CONTINUATION, END_HEADERS, 1, H(w)[3:]), answered())
case("6.10", "CONTINUATION on stream 0", lambda w: frame(HEADERS, END_STREAM, 1, H(w)) + frame(CONTINUATION, END_HEADERS, 0, b""), connection(PROTOCOL))
case("6.10", "CONTINUATION without HEADERS", frame(CONTINUATION, END_HEADERS, 1, b"\x82"), connection(PROTOCOL))
case("6.10", "CONTINUATION after END_HEADERS", lambda w: open_post(w, frame(CONTINUATION, END_HEADERS, 1, b"\x82")), connection(PROTOCOL))
case("6.10", "CONTINUATION after DATA", lambda w: open_post(w, data(1, b"x", False), frame(CONTINUATION, END_HEADERS, 1, b"\x82")), connection(PROTOCOL))
case("6.10", "an empty last CONTINUATION", lambda w: frame(HEADERS, END_STREAM, 1, H(w)) + frame(CONTINUATION, END_HEADERS, 1, b""), answered())
case("6.10", "CONTINUATION with padding and priority flags, which it doesn't have",
     lambda w: frame(HEADERS, END_STREAM, 1, H(w)[:5]) + frame(CONTINUATION, END_HEADERS | PADDED | PRIO, 1, H(w)[5:]), answered())

# 5.1 stream states
case("5.1", "idle: DATA", data(1, b"x"), connection(PROTOCOL))
case("5.1", "idle: RST_STREAM", reset(1), connection(PROTOCOL))
case("5.1", "idle: WINDOW_UPDATE", window(1, 100), connection(PROTOCOL))
case("5.1", "idle: PRIORITY", lambda w: priority(3, 1) + asked(w), answered())
case("5.1", "idle: WINDOW_UPDATE of the server's streams", window(2, 1), connection(PROTOCOL))
case("5.1", "idle: RST_STREAM of the server's streams", reset(2), connection(PROTOCOL))
case("5.1", "idle: DATA of the server's streams", data(2, b"x"), connection(PROTOCOL))
case("5.1", "half-closed: DATA", lambda w: waiting(w, data(1, b"x")), either(STREAM_CLOSED), release=True)
case("5.1", "half-closed: empty DATA", lambda w: waiting(w, data(1)), either(STREAM_CLOSED), release=True)
case("5.1", "half-closed: HEADERS", lambda w: waiting(w, w.request(1)), either(STREAM_CLOSED), release=True)
case("5.1", "half-closed: trailers", lambda w: waiting(w, frame(HEADERS, 5, 1, literal("x", "y"))), either(STREAM_CLOSED), release=True)
case("5.1", "half-closed: CONTINUATION", lambda w: waiting(w, frame(CONTINUATION, 4, 1, b"")), connection(PROTOCOL, STREAM_CLOSED), release=True)
case("5.1", "half-closed: WINDOW_UPDATE and PRIORITY", lambda w: waiting(w, window(1, 9), priority(1, 3)), ignored, release=True)
case("5.1", "half-closed: RST_STREAM", lambda w: waiting(w, reset(1)), ignored, release=True)
case("5.1", "closed: DATA", lambda w: finished(w, data(1, b"x")), connection(STREAM_CLOSED))
case("5.1", "closed: HEADERS", lambda w: finished(w, w.request(1)), connection(STREAM_CLOSED, PROTOCOL))
case("5.1", "closed: HEADERS of trailers", lambda w: finished(w, frame(HEADERS, 5, 1, literal("x", "y"))), connection(STREAM_CLOSED, PROTOCOL))
case("5.1", "closed: CONTINUATION", lambda w: finished(w, frame(CONTINUATION, 4, 1, b"")), connection(PROTOCOL, STREAM_CLOSED))
case("5.1", "closed: WINDOW_UPDATE, RST_STREAM, PRIORITY soon after", lambda w: finished(w, window(1, 9), reset(1), priority(1, 3), w.request(3)), answered(), stream=3)
case("5.1", "closed: WINDOW_UPDATE of 0 soon after", lambda w: finished(w, window(1, 0), w.request(3)), ignored_or(PROTOCOL))
case("5.1", "reset by us: DATA", lambda w: cancelled(w, data(1, b"x")), either(STREAM_CLOSED), release=True)
case("5.1", "reset by us: HEADERS", lambda w: cancelled(w, w.request(1)), either(STREAM_CLOSED, PROTOCOL), release=True)
case("5.1", "reset by us: CONTINUATION", lambda w: cancelled(w, frame(CONTINUATION, 4, 1, b"")), connection(PROTOCOL, STREAM_CLOSED), release=True)
case("5.1", "reset by us: DATA of an open request", lambda w: open_post(w, data(1, b"x", False), reset(1), data(1, b"y")), either(STREAM_CLOSED))
case("5.1", "reset by us: the next request is served", lambda w: cancelled(w, w.request(3)), answered(), release=True, stream=3)

# 5.1.1 stream identifiers
case("5.1.1", "an even identifier", lambda w: asked(w, stream=2), connection(PROTOCOL))
case("5.1.1", "identifiers may skip", lambda w: asked(w, stream=99), answered(), stream=99)
case("5.1.1", "the largest identifier", lambda w: asked(w, stream=0x7fffffff), answered(), stream=0x7fffffff)
case("5.1.1", "a smaller identifier than before", lambda w: asked(w, stream=5) + asked(w, stream=3), connection(PROTOCOL, STREAM_CLOSED), stream=3)
case("5.1.1", "a smaller identifier, much later", lambda w: (w.send(asked(w, stream=5)), w.wait(lambda: 5 in w.done), asked(w, stream=3))[2],
     connection(PROTOCOL, STREAM_CLOSED), stream=3)
case("5.1.1", "DATA on a skipped identifier", lambda w: asked(w, data(3, b"x"), stream=5), ignored_or(STREAM_CLOSED, PROTOCOL), stream=3)
case("5.1.1", "PRIORITY of a later stream uses nothing up", lambda w: priority(9, 0) + asked(w), answered())

# 5.1.2 concurrency
case("5.1.2", "one stream more than announced", lambda w: b"".join(w.request(2 * i + 1, "/wait") for i in range(w.settings.get(3, 100) + 1)),
     lambda w, s: stream_error(REFUSED, PROTOCOL)(w, 2 * w.settings.get(3, 100) + 1), release=True, settled=True)

# 5.3 priorities: deprecated, still parsed
case("5.3", "a PRIORITY frame that depends on itself", lambda w: asked(w, priority(1, 1), stream=1), ignored_or(PROTOCOL))
case("5.3", "a PRIORITY frame of an idle stream that depends on itself", priority(7, 7), either(PROTOCOL), stream=7)
case("5.3", "HEADERS that depend on themselves", lambda w: frame(HEADERS, 5 | PRIO, 1, b"\0\0\0\1\x0f" + H(w)), either(PROTOCOL))
case("5.3", "HEADERS with a priority", lambda w: frame(HEADERS, 5 | PRIO, 3, b"\x80\0\0\1\xff" + H(w)), answered(), stream=3)

# 6.1 DATA
case("6.1", "DATA on stream 0", data(0, b"x"), connection(PROTOCOL))
case("6.1", "padding", lambda w: open_post(w, data(1, b"abcd", pad=17)), answered())
case("6.1", "padding of 255 and no data", lambda w: open_post(w, data(1, b"", pad=255)), answered())
case("6.1", "padding of 0", lambda w: open_post(w, data(1, b"abcd", pad=0)), answered())
case("6.1", "padding longer than the frame", lambda w: open_post(w, frame(DATA, 9, 1, b"\x06test!")), connection(PROTOCOL))
case("6.1", "padding as long as the frame", lambda w: open_post(w, frame(DATA, 9, 1, b"\x05test")), connection(PROTOCOL))
case("6.1", "padded, with no room for the length", lambda w: open_post(w, frame(DATA, 9, 1, b"")), connection(FRAME_SIZE, PROTOCOL))
# 6.2 HEADERS
case("6.2", "HEADERS on stream 0", lambda w: frame(HEADERS, 5, 0, H(w)), connection(PROTOCOL))
case("6.2", "padding", lambda w: frame(HEADERS, 5 | PADDED, 1, b"\x11" + H(w) + bytes(17)), answered())
case("6.2", "padding and a priority", lambda w: frame(HEADERS, 5 | PADDED | PRIO, 1, b"\x02\0\0\0\0\x0f" + H(w) + bytes(2)), answered())
case("6.2", "padding longer than the frame", lambda w: frame(HEADERS, 5 | PADDED, 1, b"\xff" + H(w)), connection(PROTOCOL))
case("6.2", "padding that eats the priority", lambda w: frame(HEADERS, 5 | PADDED | PRIO, 1, b"\x04\0\0\0\0\x0f"), connection(PROTOCOL, FRAME_SIZE))
case("6.2", "a priority with no room", frame(HEADERS, 5 | PRIO, 1, b"\0\0\0"), connection(FRAME_SIZE, PROTOCOL))
case("6.2", "padded, with no room for the length", frame(HEADERS, 5 | PADDED, 1, b""), connection(FRAME_SIZE, PROTOCOL))
case("6.2", "an empty field block", frame(HEADERS, 5, 1, b""), malformed)
# 6.3 PRIORITY
case("6.3", "PRIORITY on stream 0", priority(0, 1), connection(PROTOCOL))
case("6.3", "PRIORITY of 4 bytes", lambda w: open_post(w, frame(PRIORITY, 0, 1, b"\0\0\0\0")), either(FRAME_SIZE))
case("6.3", "PRIORITY of 6 bytes", lambda w: open_post(w, frame(PRIORITY, 0, 1, bytes(6))), either(FRAME_SIZE))
# 6.4 RST_STREAM
case("6.4", "RST_STREAM on stream 0", reset(0), connection(PROTOCOL))
case("6.4", "RST_STREAM of 3 bytes", lambda w: open_post(w, frame(RST_STREAM, 0, 1, bytes(3))), connection(FRAME_SIZE))
case("6.4", "RST_STREAM of 5 bytes", lambda w: open_post(w, frame(RST_STREAM, 0, 1, bytes(5))), connection(FRAME_SIZE))
case("6.4", "RST_STREAM with an unknown code", lambda w: open_post(w, reset(1, 0xdeadbeef)), ignored)
# 6.5 SETTINGS
case("6.5", "SETTINGS are acknowledged", settings((1, 100)), lambda w, s: (ignored(w, s), w.wait(lambda: w.acks >= 2), w.acks == 2 or pytest.fail(w.told())))
case("6.5", "an acknowledgement with a payload", frame(SETTINGS, ACK, 0, bytes(6)), connection(FRAME_SIZE))
case("6.5", "SETTINGS on a stream", frame(SETTINGS, 0, 1, bytes(6)), connection(PROTOCOL))
case("6.5", "SETTINGS of 5 bytes", frame(SETTINGS, 0, 0, bytes(5)), connection(FRAME_SIZE))
case("6.5", "SETTINGS of 7 bytes", frame(SETTINGS, 0, 0, bytes(7)), connection(FRAME_SIZE))
case("6.5", "an acknowledgement too many", frame(SETTINGS, ACK) * 2, ignored_or(PROTOCOL))
case("6.5.2", "ENABLE_PUSH of 2", settings((2, 2)), connection(PROTOCOL))
case("6.5.2", "ENABLE_PUSH of 0 and of 1", lambda w: settings((2, 0), (2, 1)) + asked(w), answered())
case("6.5.2", "INITIAL_WINDOW_SIZE of 2^31", settings((4, 1 << 31)), connection(FLOW_CONTROL))
case("6.5.2", "INITIAL_WINDOW_SIZE of 2^32-1", settings((4, 0xffffffff)), connection(FLOW_CONTROL))
case("6.5.2", "MAX_FRAME_SIZE of 2^14-1", settings((5, BIG - 1)), connection(PROTOCOL))
case("6.5.2", "MAX_FRAME_SIZE of 2^24", settings((5, 1 << 24)), connection(PROTOCOL))
case("6.5.2", "MAX_FRAME_SIZE of 2^24-1", lambda w: settings((5, (1 << 24) - 1)) + asked(w), answered())
case("6.5.2", "an unknown setting", lambda w: settings((0xfa, 1), (0, 0), (0xffff, 0xffffffff)) + asked(w), answered())
case("6.5.2", "ENABLE_CONNECT_PROTOCOL of 2 (RFC 8441)", settings((8, 2)), connection(PROTOCOL))
case("6.5.2", "a header table of 0 and of 2^32-1", lambda w: settings((1, 0), (1, 0xffffffff)) + asked(w), answered())
case("6.5.3", "of two equal settings the last counts", lambda w: settings((4, 0), (4, 5)) + asked(w),
     lambda w, s: (w.wait(lambda: w.body.get(1)), ignored(w, s), len(w.body.get(1, b"")) == 5 or pytest.fail(f"{w.body}")))
# 6.6 PUSH_PROMISE, 6.7 PING, 6.8 GOAWAY
case("6.6", "PUSH_PROMISE by a client", lambda w: open_post(w, frame(PUSH_PROMISE, 4, 1, b"\0\0\0\2" + H(w))), connection(PROTOCOL))
case("6.6", "PUSH_PROMISE on stream 0", lambda w: frame(PUSH_PROMISE, 4, 0, b"\0\0\0\2" + H(w)), connection(PROTOCOL))
case("6.7", "PING is answered with its own bytes", ping(b"\0\xff\0\xff1234"), lambda w, s: w.wait(lambda: b"\0\xff\0\xff1234" in w.pings) or pytest.fail(w.told()))
case("6.7", "an acknowledgement is not answered", frame(PING, ACK, 0, b"12345678"), lambda w, s: (ignored(w, s), len(w.pings) == 1 or pytest.fail(f"{w.pings}")))
case("6.7", "PING on a stream", frame(PING, 0, 1, b"12345678"), connection(PROTOCOL))
case("6.7", "PING of 7 bytes", frame(PING, 0, 0, b"1234567"), connection(FRAME_SIZE))
case("6.7", "PING of 9 bytes", frame(PING, 0, 0, b"123456789"), connection(FRAME_SIZE))
case("6.8", "GOAWAY on a stream", frame(GOAWAY, 0, 1, bytes(8)), connection(PROTOCOL))
case("6.8", "GOAWAY of 7 bytes", frame(GOAWAY, 0, 0, bytes(7)), connection(FRAME_SIZE))
case("6.8", "GOAWAY with debug data: what was asked is still answered", lambda w: asked(w, frame(GOAWAY, 0, 0, bytes(8) + b"bye")),
     lambda w, s: (w.wait(lambda: 1 in w.done), w.status(1) == 200 or pytest.fail(w.told())))
# 6.9 WINDOW_UPDATE and flow control
case("6.9", "an increment of 0 on the connection", window(0, 0), connection(PROTOCOL))
case("6.9", "an increment of 0 on a stream", lambda w: open_post(w, window(1, 0)), either(PROTOCOL))
case("6.9", "WINDOW_UPDATE of 3 bytes", frame(WINDOW_UPDATE, 0, 0, bytes(3)), connection(FRAME_SIZE))
case("6.9", "WINDOW_UPDATE of 5 bytes on a stream", lambda w: open_post(w, frame(WINDOW_UPDATE, 0, 1, bytes(5))), connection(FRAME_SIZE))
case("6.9.1", "a connection window past 2^31-1", window(0, 0x7fffffff), connection(FLOW_CONTROL))
case("6.9.1", "a connection window past 2^31-1 in steps", window(0, 0x7fffffff - 65535) + window(0, 1), connection(FLOW_CONTROL))
case("6.9.1", "a connection window of exactly 2^31-1", lambda w: window(0, 0x7fffffff - 65535) + asked(w), answered())
case("6.9.1", "a stream window past 2^31-1", lambda w: open_post(w, window(1, 0x7fffffff)), either(FLOW_CONTROL))
case("6.9.1", "no more DATA than the window of one byte", lambda w: settings((4, 1)) + asked(w),
     lambda w, s: (w.wait(lambda: w.body.get(1)), ignored(w, s), len(w.body.get(1, b"")) == 1 or pytest.fail(f"{w.body}")))
case("6.9.2", "a window made larger after the request", lambda w: settings((4, 1)) + asked(w, settings((4, 65535))), answered())
case("6.9.2", "a window made negative, then opened by one byte", lambda w: settings((4, 3)) + asked(w) + settings((4, 2)) + window(1, 2),
     lambda w, s: (w.wait(lambda: len(w.body.get(1, b"")) >= 3), ignored(w, s), len(w.body.get(1, b"")) in (3, 4) or pytest.fail(f"{w.body}")))
case("6.9.2", "SETTINGS that push a stream's window past 2^31-1", lambda w: asked(w, window(1, 0x7fffffff - 65535), settings((4, 65536)), end=False, method="POST"),
     connection(FLOW_CONTROL))
case("6.9", "WINDOW_UPDATE of 0 on an idle stream", window(9, 0), connection(PROTOCOL))


@pytest.fixture(scope="module", autouse=True)
def granted(gw):
    give_grant(gw.person("alice"), gw.person("bob"))


@pytest.fixture
def slow_tool(origin):
    """/wait answers when the test lets it."""
    go = threading.Event()
    WAITING.clear()

    async def script(request, conn):
        WAITING.set()
        for _ in range(600):
            if go.is_set():
                break
            await asyncio.sleep(0.05)
        await conn.answer(200, b"late")
    origin.on("/wait", script)
    yield go
    go.set()


def wire(gw, **more):
    return Wire(gw, gw.creds["alice"], SUPPORT, **more)


@pytest.mark.parametrize("name", CASES)
def test_rule(gw, origin, slow_tool, name):
    send, expect, more = CASES[name]
    with wire(gw, start=not more.get("raw")) as w:
        if more.get("settled"):
            w.wait(lambda: w.settings)
        w.send(send(w))
        expect(w, more.get("stream", 1))
        assert w.first in (None, (SETTINGS, 0)), f"the first frame was {w.first}"
        assert w.max_frame <= BIG
    slow_tool.set()
    with wire(gw) as w:
        w.send(w.request(1, "/after"))
        answered()(w, 1)


def test_the_server_speaks_first(gw):
    """Section 3.4: the server's preface waits for nothing."""
    with wire(gw, start=False) as w:
        assert w.wait(lambda: w.first) == (SETTINGS, 0)
        assert w.settings.get(2, 0) == 0 and w.settings.get(5, BIG) >= BIG and w.settings.get(4, 0) < 1 << 31
        assert 0 < w.settings.get(3, 0) <= 1000, "a server should bound concurrent streams"


def test_more_data_than_the_window_is_a_flow_control_error(gw, origin):
    """Section 6.9.1, with a tool that reads nothing, so that no window is given back."""
    async def deaf(request, conn):
        await asyncio.sleep(20)
    origin.on("/deaf", deaf, raw=True)
    with wire(gw) as w:
        w.wait(lambda: w.settings)
        w.send(w.request(1, "/deaf", end=False, method="POST", fields=[("content-type", "text/plain")]))
        for _ in range(3000):
            if w.over(1) or not w.send(data(1, b"x" * BIG, end=False)):
                break
            w.step(0.001)
        w.wait(lambda: w.over(1))
        either(FLOW_CONTROL)(w, 1)


def test_the_window_is_given_back_for_padding(gw, origin):
    """Section 6.1: padding counts; a body of which most is padding still arrives whole."""
    with wire(gw) as w:
        w.wait(lambda: w.settings)
        room = {0: 65535, 1: w.settings.get(4, 65535)}
        used = 0
        w.send(w.request(1, "/padded", end=False, method="POST", fields=[("content-type", "text/plain")]))
        for _ in range(2000):
            w.wait(lambda: all(room[s] + w.granted.get(s, 0) - used >= 257 for s in room) or w.over(1), 20)
            assert not w.over(1), w.told()
            w.send(data(1, b"x", end=False, pad=255))
            used += 257
        w.send(data(1))
        answered()(w, 1)
    assert origin.last("/padded").body == b"x" * 2000
