"""HTTP/2 as bytes: a frame writer that can say anything, an HPACK writer without a table, and a reader that keeps what came.

Knows RFC 9113 section 4.1 and RFC 7541 section 6.2.2 and nothing of how Countersign is made; hpack (Debian) decodes the answers."""
import ssl
import struct
import time

import hpack

from harness.clients import tls_connect, tls_context

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIO = 1, 1, 4, 8, 0x20
NO_ERROR, PROTOCOL, INTERNAL, FLOW_CONTROL, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE, REFUSED, CANCEL, COMPRESSION, CONNECT, CALM = range(12)
ERRORS = ("NO_ERROR PROTOCOL_ERROR INTERNAL_ERROR FLOW_CONTROL_ERROR SETTINGS_TIMEOUT STREAM_CLOSED FRAME_SIZE_ERROR REFUSED_STREAM "
          "CANCEL COMPRESSION_ERROR CONNECT_ERROR ENHANCE_YOUR_CALM").split()
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PATIENCE_S = 30


def frame(kind, flags=0, stream=0, payload=b"", length=None):
    return struct.pack(">I", len(payload) if length is None else length)[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def settings(*pairs):
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", k, v) for k, v in pairs))


def window(stream, more):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", more))


def reset(stream, code=CANCEL):
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def ping(data=b"are you?"):
    return frame(PING, 0, 0, data)


def priority(stream, on=0, weight=15):
    return frame(PRIORITY, 0, stream, struct.pack(">IB", on, weight))


def data(stream, body=b"", end=True, pad=None):
    flags = (END_STREAM if end else 0) | (0 if pad is None else PADDED)
    return frame(DATA, flags, stream, body if pad is None else bytes([pad]) + body + bytes(pad))


def integer(n, bits, first=0):
    """RFC 7541 section 5.1."""
    full = (1 << bits) - 1
    if n < full:
        return bytes([first | n])
    out, n = [first | full], n - full
    while n >= 128:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out + [n])


def text(value):
    raw = value if isinstance(value, bytes) else value.encode("latin-1")
    return integer(len(raw), 7) + raw


def literal(name, value):
    """A literal without indexing, new name, no Huffman: says the same in any state of the table."""
    return b"\0" + text(name) + text(value)


def block(fields):
    return b"".join(literal(n, v) for n, v in fields)


class Wire:
    """One HTTP/2 connection. Nothing is sent that the test didn't ask for, acknowledgements included."""

    def __init__(self, gw, cred, host, start=True, first=(), alpn=("h2",), timeout=PATIENCE_S, rcvbuf=None, source=None):
        self.host, self.authority = host, f"{host}:{gw.port}"
        self.sock = tls_connect(gw.port, host, tls_context(gw.ca, cred, alpn=alpn), timeout=timeout, rcvbuf=rcvbuf, source=source)
        self.buf, self.ended, self.was_reset = b"", False, False
        self.frames, self.settings, self.first = [], {}, None
        self.goaway, self.acks, self.pings, self.granted = None, 0, [], {}
        self.fields, self.body, self.resets, self.done = {}, {}, {}, set()
        self.decoder, self.fragment, self.max_frame = hpack.Decoder(max_header_list_size=1 << 20), None, 0
        if start:
            self.send(PREFACE + settings(*first))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, raw):
        """True when it could be sent; the gateway may have hung up already, which is what many tests want."""
        try:
            self.sock.settimeout(PATIENCE_S)
            self.sock.sendall(raw)
            return True
        except (OSError, ssl.SSLError):
            return False

    # What a test says.
    def request_fields(self, path="/a", method="GET", fields=(), drop=(), **pseudo):
        base = {":method": method, ":scheme": "https", ":authority": self.authority, ":path": path}
        base.update({":" + k: v for k, v in pseudo.items()})
        return [(k, v) for k, v in base.items() if k[1:] not in drop] + list(fields)

    def request(self, stream, path="/a", end=True, method="GET", fields=(), drop=(), flags=END_HEADERS, **pseudo):
        raw = block(self.request_fields(path, method, fields, drop, **pseudo))
        return frame(HEADERS, flags | (END_STREAM if end else 0), stream, raw)

    # What came.
    def step(self, seconds=PATIENCE_S):
        """Read once; False at the end of the connection or of the time."""
        if self.ended:
            return False
        self.sock.settimeout(max(seconds, 0.01))
        try:
            got = self.sock.recv(1 << 16)
        except TimeoutError:
            return False
        except (OSError, ssl.SSLError):
            got, self.was_reset = b"", True
        if not got:
            self.ended = True
            return False
        self.buf += got
        while len(self.buf) >= 9:
            size = int.from_bytes(self.buf[:3], "big")
            if len(self.buf) < 9 + size:
                break
            head, payload, self.buf = self.buf[:9], self.buf[9:9 + size], self.buf[9 + size:]
            self._take(head[3], head[4], int.from_bytes(head[5:], "big") & 0x7fffffff, payload)
        return True

    def wait(self, test, seconds=PATIENCE_S):
        """Read until test() holds; what it last said."""
        end = time.monotonic() + seconds
        while not (value := test()):
            left = end - time.monotonic()
            if left <= 0 or not self.step(left):
                return test()
        return value

    def _take(self, kind, flags, stream, payload):
        self.frames.append((kind, flags, stream, payload))
        self.max_frame = max(self.max_frame, len(payload))
        if self.first is None:
            self.first = (kind, flags)
        if kind == SETTINGS and flags & ACK:
            self.acks += 1
        elif kind == SETTINGS:
            self.settings.update(struct.unpack_from(">HI", payload, at) for at in range(0, len(payload), 6))
        elif kind == PING and flags & ACK:
            self.pings.append(payload)
        elif kind == GOAWAY:
            self.goaway = int.from_bytes(payload[4:8], "big")
        elif kind == RST_STREAM:
            self.resets[stream] = int.from_bytes(payload, "big")
        elif kind == WINDOW_UPDATE:
            self.granted[stream] = self.granted.get(stream, 0) + int.from_bytes(payload, "big")
        elif kind in (HEADERS, CONTINUATION):
            self._take_headers(kind, flags, stream, payload)
        elif kind == DATA:
            self.body[stream] = self.body.get(stream, b"") + payload
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            self.done.add(stream)

    def _take_headers(self, kind, flags, stream, payload):
        self.fragment = payload if kind == HEADERS else self.fragment + payload
        if flags & END_HEADERS:
            self.fields.setdefault(stream, []).append(self.decoder.decode(self.fragment))

    def status(self, stream):
        """The final status of a response; 0 while there is none."""
        for fields in self.fields.get(stream, []):
            code = int(dict(fields).get(":status", 0))
            if code >= 200:
                return code
        return 0

    def over(self, stream):
        return stream in self.done or stream in self.resets or self.goaway is not None or self.ended

    def told(self):
        """For messages: what the gateway said."""
        code = None if self.goaway is None else ERRORS[self.goaway] if self.goaway < len(ERRORS) else self.goaway
        resets = {s: ERRORS[c] if c < len(ERRORS) else c for s, c in self.resets.items()}
        return f"goaway {code}, resets {resets}, statuses { {s: self.status(s) for s in self.fields} }, ended {self.ended}, tcp reset {self.was_reset}"

    def answers_ping(self, mark=b"still on", seconds=PATIENCE_S):
        self.send(ping(mark))
        return bool(self.wait(lambda: mark in self.pings, seconds))
