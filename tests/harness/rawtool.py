"""A tool that keeps every byte it gets and reads it in the strictest way there is: whatever two parsers could read differently is a violation."""
import re
import socket
import threading
import time

TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
TARGET = re.compile(rb"(/[!$-;=@-Z_a-z~?|\[\]^{}\"<>]*|\*)\Z")
VALUE = re.compile(rb"[\x21-\x7e\x80-\xff](?:[\t \x21-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?\Z|\Z")


class Violation(Exception):
    pass


class Message:
    def __init__(self, method, target, fields, body, raw):
        self.method, self.target, self.fields, self.body, self.raw = method, target, fields, body, raw

    def all(self, name):
        return [v for n, v in self.fields if n.lower() == name.lower().encode()]


def _head(raw):
    if re.search(rb"(?<!\r)\n|\r(?!\n)|\0", raw):
        raise Violation("a bare CR, a bare LF or a NUL")
    lines = raw.split(b"\r\n")
    parts = lines[0].split(b" ")
    if len(parts) != 3 or not TOKEN.match(parts[0]) or not TARGET.match(parts[1]) or parts[2] != b"HTTP/1.1":
        raise Violation(f"the request line {lines[0]!r}")
    fields = []
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if not colon or not TOKEN.match(name) or value[:1] != b" " or not VALUE.match(value[1:]):
            raise Violation(f"the field line {line!r}")
        fields.append((name, value[1:]))
    return parts[0], parts[1], fields


def _chunks(buf, at):
    """(body, where it ends) or None; minimal sizes, no extensions, no trailers that frame."""
    body = b""
    while True:
        end = buf.find(b"\r\n", at)
        if end < 0:
            return None
        if not re.match(rb"(0|[1-9a-fA-F][0-9a-fA-F]*)\Z", buf[at:end]):
            raise Violation(f"the chunk size {buf[at:end]!r}")
        size, at = int(buf[at:end], 16), end + 2
        if size == 0:
            break
        if len(buf) < at + size + 2:
            return None
        if buf[at + size:at + size + 2] != b"\r\n":
            raise Violation("a chunk without its end")
        body, at = body + buf[at:at + size], at + size + 2
    end = buf.find(b"\r\n", at)
    if end < 0:
        return None
    if end != at:
        raise Violation(f"trailers: {buf[at:at + 60]!r}")
    return body, at + 2


def read_one(buf):
    """(Message, rest), or None while it is not whole."""
    end = buf.find(b"\r\n\r\n")
    if end < 0:
        return None
    method, target, fields = _head(buf[:end])
    named = {n.lower() for n, _ in fields}
    count = lambda name: sum(n.lower() == name for n, _ in fields)   # noqa: E731
    value = lambda name: next((v for n, v in fields if n.lower() == name), None)   # noqa: E731
    if count(b"host") != 1 or count(b"content-length") + count(b"transfer-encoding") > 1:
        raise Violation("not one host, or two framings")
    if b"te" in named and (value(b"te"), value(b"connection")) != (b"trailers", b"TE"):   # the one that may be said anew, with its option (RFC 9110 s10.1.4)
        raise Violation("a hop-by-hop field was passed on")
    if named & {b"trailer", b"http2-settings", b"keep-alive", b"proxy-connection"} or value(b"connection") not in (None, b"close", b"keep-alive", b"Upgrade", b"TE"):
        raise Violation("a hop-by-hop field was passed on")
    at, body = end + 4, b""
    if b"transfer-encoding" in named:
        if value(b"transfer-encoding") != b"chunked":
            raise Violation("a transfer coding")
        got = _chunks(buf, at)
        if got is None:
            return None
        body, at = got
    elif b"content-length" in named:
        if not re.match(rb"(0|[1-9][0-9]{0,18})\Z", value(b"content-length")):
            raise Violation("a content-length")
        size = int(value(b"content-length"))
        if len(buf) < at + size:
            return None
        body, at = buf[at:at + size], at + size
    return Message(method.decode(), target.decode("latin-1"), fields, body, buf[:at]), buf[at:]


class RawTool:
    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.lock, self.messages, self.violations, self.began = threading.Lock(), [], [], 0
        threading.Thread(target=self._accept, daemon=True).start()

    def reset(self):
        with self.lock:
            self.messages, self.violations, self.began = [], [], 0

    def close(self):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                c, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(c,), daemon=True).start()

    def _serve(self, c):
        buf = b""
        with c:
            try:
                while data := c.recv(1 << 16):
                    with self.lock:
                        self.began += not buf
                    buf += data
                    while (got := read_one(buf)) is not None:
                        message, buf = got
                        with self.lock:
                            self.messages.append(message)
                        c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + (b"" if message.method == "HEAD" else b"ok"))
            except Violation as e:
                with self.lock:
                    self.violations.append(f"{e}: {buf[:300]!r}")
            except OSError:
                pass

    def seen(self, count=0, seconds=10):
        end = time.monotonic() + seconds
        while len(self.messages) < count and time.monotonic() < end:
            time.sleep(0.01)
        with self.lock:
            return list(self.messages), list(self.violations)
