"""WebSocket conformance in the manner of Autobahn's test suite (RFC 6455, RFC 7692), against a real server (python3-websockets). Every case is played twice, straight to the server and through
the gateway, over HTTP/1.1 and HTTP/2: what is valid must come back frame for frame as from the server itself, and what is not must end with the same code."""
import asyncio
import http
import random
import socket
import threading
import zlib

import pytest

from harness.config_text import SUPPORT, action, tool
from harness.gateway import Gateway, free_port
from harness.people import give_grant
from harness.websocket import BINARY, CLOSE, KEY, PING, PONG, TEXT, Socket, frame, take_frame

CONT = 0
PROTOS = ["h1", "h2"]


class Server:
    """Says every message back, as it came: text as text, binary as binary."""

    def __init__(self):
        self.port, self.loop = free_port(), asyncio.new_event_loop()
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        assert self.ready.wait(30)

    def _run(self):
        import websockets

        async def talk(ws):
            try:
                async for message in ws:
                    await ws.send(message)
            except websockets.ConnectionClosed:
                pass

        async def page(path, headers):
            return None if "Upgrade" in headers else (http.HTTPStatus.OK, [], b"ready")

        async def main():
            self.stop = asyncio.Event()
            async with websockets.serve(talk, "127.0.0.1", self.port, process_request=page, max_size=None, ping_interval=None, close_timeout=20):
                self.ready.set()
                await self.stop.wait()
        self.loop.run_until_complete(main())

    def close(self):
        self.loop.call_soon_threadsafe(self.stop.set)
        self.thread.join(30)


class Direct(Socket):
    """To the server itself, over TCP."""

    def __init__(self, port, fields=()):   # pylint: disable=super-init-not-called
        self.sock, self.buf, self.proto = socket.create_connection(("127.0.0.1", port), 30), b"", "h1"
        head = f"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n"
        self.sock.sendall((head + "".join(f"{n}: {v}\r\n" for n, v in fields) + "\r\n").encode())
        while b"\r\n\r\n" not in self.buf:
            assert self._more()
        text, _, self.buf = self.buf.partition(b"\r\n\r\n")
        lines = text.decode().split("\r\n")
        self.status, self.fields = int(lines[0].split()[1]), {k.lower(): v.strip() for k, _, v in (x.partition(":") for x in lines[1:])}

    def send(self, data):
        self.sock.sendall(data)

    def _more(self):
        try:
            data = self.sock.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        self.buf += data
        return bool(data)

    def close(self):
        self.sock.close()


@pytest.fixture(scope="module")
def server():
    s = Server()
    yield s
    s.close()


@pytest.fixture(scope="module")
def gw(server):
    g = Gateway(server, tools=[tool("support", SUPPORT, server.port, [action("use", "/**")])])
    give_grant(g.person("alice"), g.person("bob"))
    yield g
    g.finish()


# ---- the cases: a name, and the bytes that the client sends, in pieces as they stand; after them a Close ----

def data(n, seed=1):
    return random.Random(seed).randbytes(n)


def words(n):
    return ("Grüße, 世界 🎈 " * (n // 12 + 1))[:n].encode()


def chopped(raw, n):
    return [raw[i:i + n] for i in range(0, len(raw), n)]


def fragments(opcode, payload, n, **more):
    parts = [payload[i:i + n] for i in range(0, len(payload), n)] or [b""]
    return [frame(opcode if i == 0 else CONT, p, fin=i + 1 == len(parts), **(more if i == 0 else {})) for i, p in enumerate(parts)]


def close(code=None, reason=b""):
    return frame(CLOSE, (code.to_bytes(2, "big") if code is not None else b"") + reason)


VALID, INVALID = {}, {}
for size in (0, 1, 125, 126, 127, 128, 65535, 65536, 65537):
    VALID[f"1.1 text of {size}"] = [frame(TEXT, b"*" * size)]
    VALID[f"1.2 binary of {size}"] = [frame(BINARY, data(size))]
VALID["1.1 text in pieces of 997"] = chopped(frame(TEXT, b"*" * 65536), 997)
VALID["1.2 binary, byte by byte"] = chopped(frame(BINARY, data(200)), 1)
VALID["1.3 a mask of zeros"] = [b"\x81\x85\0\0\0\0hello"]
for size in (0, 1, 125):
    VALID[f"2.1 ping of {size}"] = [frame(PING, data(size))]
VALID["2.2 ping of what is no UTF-8"] = [frame(PING, b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff")]
VALID["2.3 ping, byte by byte"] = chopped(frame(PING, data(125)), 1)
VALID["2.4 unsolicited pongs, then a ping"] = [frame(PONG), frame(PONG, b"nobody asked"), frame(PING, b"now")]
VALID["2.5 ten pings at once"] = [b"".join(frame(PING, b"payload %d" % i) for i in range(10))]
INVALID["2.6 ping of 126"] = [b"\x89\xfe\x00\x7e\0\0\0\0" + b"x" * 126]
INVALID["2.7 pong of 126"] = [b"\x8a\xfe\x00\x7e\0\0\0\0" + b"x" * 126]
for rsv in range(1, 8):
    INVALID[f"3.1 reserved bits {rsv}, text"] = [frame(TEXT, b"before"), frame(TEXT, b"x", rsv=rsv), frame(PING)]
    INVALID[f"3.2 reserved bits {rsv}, ping"] = [frame(PING, b"x", rsv=rsv)]
    INVALID[f"3.3 reserved bits {rsv}, close"] = [frame(CLOSE, b"\x03\xe8", rsv=rsv)]
    INVALID[f"3.4 reserved bits {rsv}, in pieces"] = chopped(frame(BINARY, b"hello", rsv=rsv), 1)
for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
    INVALID[f"4.1 opcode {opcode}, empty"] = [frame(opcode)]
    INVALID[f"4.2 opcode {opcode}, after a message"] = [frame(TEXT, b"before"), frame(opcode, b"hello"), frame(PING)]
INVALID["5.1 fragmented ping"] = [frame(PING, b"a", fin=False), frame(CONT, b"b")]
INVALID["5.2 fragmented pong"] = [frame(PONG, b"a", fin=False), frame(CONT, b"b")]
INVALID["5.2 fragmented close"] = [frame(CLOSE, b"\x03\xe8", fin=False)]
VALID["5.3 text in two fragments"] = fragments(TEXT, b"fragment1fragment2", 9)
VALID["5.4 at once"] = [b"".join(fragments(TEXT, b"fragment1fragment2", 9))]
VALID["5.5 byte by byte"] = chopped(b"".join(fragments(TEXT, b"fragment1fragment2", 9)), 1)
first, second = fragments(TEXT, b"fragment1fragment2", 9)
VALID["5.6 a ping between"] = [first, frame(PING, b"ping"), second]
VALID["5.7 ping, at once"] = [first + frame(PING, b"ping") + second]
VALID["5.8 ping, byte by byte"] = chopped(first + frame(PING, b"ping") + second, 1)
INVALID["5.9 continuation of nothing"] = [frame(CONT, b"x"), frame(TEXT, b"hello")]
INVALID["5.10 open continuation of nothing"] = [frame(CONT, b"x", fin=False), frame(TEXT, b"hello")]
INVALID["5.11 after a whole message"] = [frame(TEXT, b"hello"), frame(CONT, b"x")]
INVALID["5.12 a message inside another"] = [frame(TEXT, b"a", fin=False), frame(TEXT, b"b")]
INVALID["5.13 binary inside text"] = [frame(TEXT, b"a", fin=False), frame(BINARY, b"b")]
VALID["5.14 empty fragments"] = [frame(TEXT, b"", fin=False), frame(CONT, b"", fin=False), frame(CONT, b"")]
VALID["5.15 empty around"] = [frame(TEXT, b"", fin=False), frame(CONT, b"middle", fin=False), frame(CONT, b"")]
VALID["5.16 many fragments and pings"] = [x for i, f in enumerate(fragments(BINARY, data(5000), 50)) for x in ([f, frame(PING, b"%d" % i)] if i % 10 == 0 else [f])]
VALID["5.17 five fragments in a flood of pings"] = [b"".join(f + frame(PING, b"p") * 20 for f in fragments(TEXT, words(100)[:95], 19))]

UTF8 = {"ascii": b"Hello-World", "two bytes": "µ@ßöäü".encode(), "three": "κόσμε".encode(), "four": "🎈𠜎".encode(), "the last of each length": "\x7f\u07ff\uffff\U0010ffff".encode(),
        "around the surrogates": "\ud7ff\ue000\ufffd".encode(), "noncharacters": "\ufffe\uffff\U0001fffe".encode(), "byte order mark": b"\xef\xbb\xbfhello", "NUL": b"a\0b"}
BAD = {"broken in the middle": "κόσμε".encode() + b"\xed\xa0\x80edited", "continuation first": b"\x80", "lone continuations": b"\x80\xbf\x80", "cut two": b"\xc3", "cut three": b"\xe0\xa0",
       "cut four": b"\xf0\x9f\x8e", "overlong slash": b"\xc0\xaf", "overlong three": b"\xe0\x80\xaf", "overlong four": b"\xf0\x80\x80\xaf", "surrogate": b"\xed\xa0\x80", "surrogate pair": b"\xed\xa1\x8c\xed\xbe\xb4",
       "past the end": b"\xf4\x90\x80\x80", "five bytes": b"\xf8\x88\x80\x80\x80", "fe": b"\xfe", "ff": b"\xff"}
for name, text in UTF8.items():
    VALID[f"6.1 {name}"] = [frame(TEXT, text)]
    VALID[f"6.2 {name}, a byte a fragment"] = fragments(TEXT, text, 1)
    VALID[f"6.3 {name}, byte by byte"] = chopped(frame(TEXT, text), 1)
for name, text in BAD.items():
    INVALID[f"6.4 {name}"] = [frame(TEXT, text)]
    INVALID[f"6.5 {name}, in fragments"] = fragments(TEXT, b"fine until here " + text, 5)
    VALID[f"6.6 {name}, as binary"] = [frame(BINARY, text)]

VALID["7.1 close after a message"] = [frame(TEXT, b"hello"), close(1000)]
VALID["7.2 two closes"] = [close(1000), close(1000)]
VALID["7.3 a ping after the close"] = [close(1000), frame(PING)]
VALID["7.4 text after the close"] = [close(1000), frame(TEXT, b"too late")]
VALID["7.5 close inside a message"] = [frame(TEXT, b"a", fin=False), close(1000), frame(CONT, b"b")]
VALID["7.6 empty close"] = [close()]
VALID["7.7 close with a reason"] = [close(1000, b"Hello World!")]
VALID["7.8 the longest reason"] = [close(1000, b"*" * 123)]
VALID["7.9 256 KiB, then close"] = [frame(TEXT, b"*" * 262144), close(1000)]
INVALID["7.10 close of one byte"] = [frame(CLOSE, b"a")]
INVALID["7.11 reason too long"] = [b"\x88\xfe\x00\x7e\0\0\0\0\x03\xe8" + b"*" * 124]
for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999):
    VALID[f"7.12 close {code}"] = [close(code)]
for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535):
    INVALID[f"7.13 close {code}"] = [close(code)]

INVALID["8.1 not masked"] = [frame(TEXT, b"hello", mask=False)]
INVALID["8.2 ping, not masked"] = [frame(PING, b"hello", mask=False)]
INVALID["8.3 seven bits would do"] = [b"\x81\xfe\x00\x05\0\0\0\0hello"]
INVALID["8.4 sixteen bits would do"] = [b"\x82\xff" + (65535).to_bytes(8, "big") + b"\0\0\0\0" + b"x" * 65535]
INVALID["8.5 2^63"] = [b"\x82\xff" + (1 << 63).to_bytes(8, "big") + b"\0\0\0\0"]

for kib in (64, 256, 1024, 4096):
    VALID[f"9.1 text of {kib} KiB"] = [frame(TEXT, b"*" * (kib * 1024))]
    VALID[f"9.2 binary of {kib} KiB"] = [frame(BINARY, data(kib * 1024))]
for size in (64, 1024, 65536):
    VALID[f"9.3 1 MiB in fragments of {size}"] = [b"".join(fragments(BINARY, data(1 << 18 if size == 64 else 1 << 20), size))]
VALID["9.4 1 MiB in pieces of 1,000"] = chopped(frame(BINARY, data(1 << 20)), 1000)
VALID["9.5 a thousand messages"] = [b"".join(frame(TEXT, b"message %d" % i) for i in range(1000))]

# What the server takes in good part, or waits for, and the gateway does not: the RFC says MUST, and two readers would see different things.
STRICTER = {"8.3 seven bits would do": 1002, "8.4 sixteen bits would do": 1002, "8.5 2^63": 1002, "7.13 close 1016": 1002}
LAST = b"this is the last message"


def play(s, pieces, last=True):
    """What the client hears: the messages, the control frames, the Close codes. last: all is heard before the Close is sent (a server that has heard it says no more)."""
    frames = []
    try:
        for p in pieces:
            s.send(p)
        if last:
            s.say(TEXT, LAST)
            while (f := s.hear()) is not None and f.payload != LAST:
                frames.append(f)
        s.send(close(1000))
    except (ConnectionError, OSError):
        pass                          # the other side has heard enough
    frames += s.hear_all()[0]
    s.close()
    messages, controls = [], []
    for f in frames:
        assert not f.masked
        (controls if f.opcode >= 8 else messages).append((f.opcode, f.fin, f.rsv, f.payload))
    return messages, [c for c in controls if c[0] != CLOSE], [int.from_bytes(c[3][:2], "big") if c[3] else None for c in controls if c[0] == CLOSE], controls


@pytest.mark.parametrize("case", VALID)
def test_what_is_valid_passes_as_to_the_server_itself(gw, server, case):
    closes = case.startswith("7.")
    wanted = play(Direct(server.port), VALID[case], not closes)
    for proto in PROTOS:
        s = Socket(gw.person("alice"), "/ws", proto)
        assert s.is_open
        got = play(s, VALID[case], not closes)
        assert got[2] == wanted[2] and (closes or (got[0] == wanted[0] and got[1] == wanted[1])), f"{proto}: {str(got)[:300]} instead of {str(wanted)[:300]}"


@pytest.mark.parametrize("case", INVALID)
def test_what_is_not_valid_ends_with_the_same_code(gw, server, case):
    code = STRICTER.get(case)
    if code is None:
        code = play(Direct(server.port), INVALID[case], False)[2][-1:]
        assert code in ([1002], [1007]), "the case is no good"
        code = code[0]
    for proto in PROTOS:
        s = Socket(gw.person("alice"), "/ws", proto)
        assert s.is_open
        messages, _, codes, _ = play(s, INVALID[case], False)
        assert codes[-1:] == [code], f"{proto}: {codes} instead of {code}"
        assert {m[3] for m in messages} <= {b"before", b"hello", b"a"}, "an answer to what must not be heard"


OFFERS = ["permessage-deflate", "permessage-deflate; client_no_context_takeover", "permessage-deflate; server_no_context_takeover",
          "permessage-deflate; server_no_context_takeover; client_no_context_takeover", "permessage-deflate; server_max_window_bits=9",
          "permessage-deflate; client_max_window_bits", "permessage-deflate; client_max_window_bits=10; server_max_window_bits=10",
          "permessage-deflate; server_max_window_bits=15, permessage-deflate"]


def deflater(agreed):
    """(compress, decompress) as that answer says."""
    params = dict((p.strip().partition("=")[::2]) for p in agreed.split(";")[1:])
    mine, theirs = int(params.get("client_max_window_bits") or 15), int(params.get("server_max_window_bits") or 15)
    state = {"out": None, "in": None}

    def compress(payload):
        if state["out"] is None or "client_no_context_takeover" in params:
            state["out"] = zlib.compressobj(wbits=-mine)
        raw = state["out"].compress(payload) + state["out"].flush(zlib.Z_SYNC_FLUSH)
        return raw[:-4]

    def decompress(payload):
        if state["in"] is None or "server_no_context_takeover" in params:
            state["in"] = zlib.decompressobj(wbits=-theirs)
        return state["in"].decompress(payload + b"\0\0\xff\xff")
    return compress, decompress


@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize("proto", PROTOS)
def test_compression_passes_as_agreed_with_the_server(gw, server, offer, proto):
    fields = [("Sec-WebSocket-Extensions", offer)]
    direct = Direct(server.port, fields)
    s = Socket(gw.person("alice"), "/ws", proto, fields)
    agreed = s.answer.get("sec-websocket-extensions")
    assert s.is_open and agreed == direct.fields.get("sec-websocket-extensions") and agreed.startswith("permessage-deflate")
    direct.close()
    compress, decompress = deflater(agreed)
    texts = [b"", b"hello", b"hello again, hello", words(3000), b"*" * 200000, words(70000)] * 3
    for i, text in enumerate(texts):
        try:
            text.decode()
        except UnicodeDecodeError:
            text = text.decode(errors="ignore").encode()
        raw = compress(text)
        s.send(b"".join(fragments(TEXT, raw, 1000 if i % 2 else 1 << 20, rsv=4)))
        assert decompress(joined(s)) == text
    s.say(TEXT, b"not compressed, which is fine too")
    assert decompress(joined(s)) == b"not compressed, which is fine too"
    s.send(frame(CONT if proto == "h1" else PING, b"x", rsv=4))   # but not there (RFC 7692 s6.1)
    frames, _ = s.hear_all()
    assert [f.payload[:2] for f in frames if f.opcode == CLOSE] == [b"\x03\xea"]


def joined(s):
    out = b""
    while True:
        f = s.hear()
        assert f is not None and f.opcode != CLOSE, f
        if f.opcode < 8:
            out += f.payload
            if f.fin:
                return out


def test_the_suite_reads_frames_as_they_are():
    f, rest = take_frame(frame(TEXT, b"hello", rsv=4) + b"x")
    assert (f.opcode, f.payload, f.fin, f.rsv, f.masked, rest) == (TEXT, b"hello", True, 4, True, b"x")
