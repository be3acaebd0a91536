"""WebSockets as bytes: a client over HTTP/1.1 and HTTP/2 that can say what libraries won't, and a scripted tool."""
import base64
import hashlib
import os
import struct
import time
from dataclasses import dataclass

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def accept_of(key):
    return base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()


def frame(opcode, payload=b"", fin=True, mask=True, rsv=0):
    n = len(payload)
    head = bytes([fin << 7 | rsv << 4 | opcode])
    length = bytes([n]) if n < 126 else b"\x7e" + struct.pack(">H", n) if n < 65536 else b"\x7f" + struct.pack(">Q", n)
    if not mask:
        return head + length + payload
    key = os.urandom(4)
    covered = (int.from_bytes(payload, "big") ^ int.from_bytes((key * (n // 4 + 1))[:n], "big")).to_bytes(n, "big") if n else b""
    return head + bytes([length[0] | 0x80]) + length[1:] + key + covered


@dataclass
class Frame:
    opcode: int
    payload: bytes
    fin: bool
    rsv: int
    masked: bool


def take_frame(buf):
    """(frame, the rest) or None."""
    if len(buf) < 2:
        return None
    n, at = buf[1] & 127, 2
    if n == 126:
        n, at = int.from_bytes(buf[2:4], "big"), 4
    elif n == 127:
        n, at = int.from_bytes(buf[2:10], "big"), 10
    masked = bool(buf[1] & 128)
    key = buf[at:at + 4] if masked else b""
    at += len(key) if masked else 0
    if len(buf) < at + n or (masked and len(key) < 4):
        return None
    payload = buf[at:at + n]
    if masked and n:
        payload = (int.from_bytes(payload, "big") ^ int.from_bytes((key * (n // 4 + 1))[:n], "big")).to_bytes(n, "big")
    return Frame(buf[0] & 15, bytes(payload), bool(buf[0] & 128), buf[0] >> 4 & 7, masked), buf[at + n:]


def close_code(f):
    return int.from_bytes(f.payload[:2], "big") if f.opcode == CLOSE and f.payload else None


class Socket:
    """A client's WebSocket; proto "h1" or "h2". `answer` is the handshake's response."""

    def __init__(self, who, path, proto="h1", fields=(), early=b"", **more):
        self.proto, self.buf, self.stream = proto, b"", None
        if proto == "h1":
            self.conn = who.h1(**more)
            self.conn.send(h1_handshake(who, path, fields) + early)
            self.answer = self.conn.read_head()
            if self.answer.status == 101:
                self.buf, self.conn.buf = self.conn.buf, b""
        else:
            self.conn = who.h2(**more)
            while not self.conn.conn.remote_settings.enable_connect_protocol:
                assert self.conn.step(), "no SETTINGS_ENABLE_CONNECT_PROTOCOL"
            self.stream = self.conn.open_raw(h2_handshake(who, path, fields), end=False)
            if early:
                self.send(early)
            self.answer = self.conn.responses[self.stream]
            while not self.answer.status and not self.answer.reset and self.conn.step():
                pass

    @property
    def is_open(self):
        return self.answer.status == (101 if self.proto == "h1" else 200)

    def send(self, data):
        if self.proto == "h1":
            self.conn.send(data)
        else:
            self.conn.send_body(self.stream, data, end=False)

    def say(self, opcode, payload=b"", **more):
        self.send(frame(opcode, payload, **more))

    def _more(self):
        if self.proto == "h1":
            alive = self.conn.fill()
            self.buf += self.conn.buf
            self.conn.buf = b""
            return alive
        if self.answer.body:
            self.buf, self.answer.body = self.buf + self.answer.body, b""
            return True
        if self.answer.complete or self.answer.reset:
            return False
        alive = self.conn.step()
        self.buf += self.answer.body
        self.answer.body = b""
        return alive or bool(self.buf)

    def hear(self):
        """The next frame; None at the end."""
        while (found := take_frame(self.buf)) is None:
            if not self._more():
                return None
        f, self.buf = found
        return f

    def hear_message(self):
        """The next data message, joined; control frames on the way are left out."""
        out = b""
        while (f := self.hear()) is not None and f.opcode != CLOSE:
            if f.opcode < 8:
                out += f.payload
                if f.fin:
                    return out
        return None

    def hear_all(self):
        """Every frame until the end, and how it ended: (frames, seconds)."""
        begun, frames = time.monotonic(), []
        while (f := self.hear()) is not None:
            frames.append(f)
        return frames, time.monotonic() - begun

    def close(self):
        self.conn.close()


def h1_handshake(who, path, fields=(), key=KEY):
    g = who.gateway
    own = [("Host", f"support.test.localhost:{g.port}"), ("Connection", "Upgrade"), ("Upgrade", "websocket"),
           ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", key)]
    replaced = {n.lower() for n, _ in fields}
    lines = [f"{n}: {v}\r\n" for n, v in [f for f in own if f[0].lower() not in replaced] + [f for f in fields if f[1] is not None]]
    return (f"GET {path} HTTP/1.1\r\n" + "".join(lines) + "\r\n").encode()


def h2_handshake(who, path, fields=()):
    pseudo = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":authority", f"support.test.localhost:{who.gateway.port}"),
              (":path", path), ("sec-websocket-version", "13")]
    return pseudo + [(n.lower(), v) for n, v in fields if v is not None]


# ---- the tool's side ----

async def shake(request, conn, fields=(), accept=None, status="101 Switching Protocols"):
    key = request.get("Sec-WebSocket-Key") or ""
    own = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept or accept_of(key))]
    replaced = {n.lower() for n, _ in fields}
    lines = [f"{n}: {v}\r\n" for n, v in [f for f in own if f[0].lower() not in replaced] + [f for f in fields if f[1] is not None]]
    await conn.send((f"HTTP/1.1 {status}\r\n" + "".join(lines) + "\r\n").encode())


class Tool:
    """Scripts for an Origin; keeps what it heard in `heard` (frames, in order)."""

    def __init__(self, origin, path="/ws"):
        self.heard, self.raw, self.ended = [], b"", False
        origin.on(path, self.echo)

    async def echo(self, request, conn):
        await shake(request, conn)
        buf = b""
        try:
            while True:
                while (found := take_frame(buf)) is not None:
                    f, buf = found
                    self.heard.append(f)
                    if f.opcode == CLOSE:
                        await conn.send(frame(CLOSE, f.payload, mask=False))
                        return False
                    await conn.send(frame(PONG if f.opcode == PING else f.opcode, f.payload, f.fin, mask=False, rsv=f.rsv))
                data = await conn.reader.read(1 << 16)
                if not data:
                    return False
                self.raw += data
                buf += data
        finally:
            self.ended = True
