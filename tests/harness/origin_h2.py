"""A scripted tool that speaks HTTP/2: in clear (prior knowledge), over TLS, on a Unix socket. It keeps every request, and breaks the rules where a script says so."""
import os
import socket
import threading
import time
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

from harness.origin import pattern


@dataclass
class Stream:
    """One request."""
    conn: object
    id: int
    headers: list
    body: bytes = b""
    complete: bool = False
    reset: int = None             # the code of the gateway's RST_STREAM
    trailers: list = field(default_factory=list)

    def get(self, name):
        return next((v for n, v in self.headers if n == name), None)

    def all(self, name):
        return [v for n, v in self.headers if n == name]

    @property
    def method(self):
        return self.get(":method")

    @property
    def path(self):
        return self.get(":path").partition("?")[0]


class Connection:
    def __init__(self, origin, sock, number):
        self.origin, self.sock, self.number = origin, sock, number
        self.lock, self.streams, self.ended = threading.RLock(), {}, False
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="latin-1", validate_outbound_headers=False,
                                                                       normalize_outbound_headers=False))
        self.h2.local_settings = h2.settings.Settings(client=False, initial_values=origin.settings)
        self.moved = threading.Condition(self.lock)

    def flush(self):
        with self.lock:
            data = self.h2.data_to_send()
            if data:
                self.sock.sendall(data)

    def raw(self, data):
        with self.lock:
            self.sock.sendall(data)

    def head(self, stream, status, fields=(), end=False):
        with self.lock:
            self.h2.send_headers(stream.id, [(":status", str(status)), *fields], end_stream=end)
            self.flush()

    def data(self, stream, body, end=False):
        """As the window allows; False when the stream or connection is gone."""
        at = 0
        while at < len(body):
            with self.moved:
                try:
                    n = min(self.h2.local_flow_control_window(stream.id), self.h2.max_outbound_frame_size, len(body) - at)
                    if n > 0:
                        self.h2.send_data(stream.id, body[at:at + n])
                        self.flush()
                        at += n
                        continue
                except (h2.exceptions.ProtocolError, OSError):
                    return False
                if self.ended or stream.reset is not None or not self.moved.wait(30):
                    return False
        if end:
            with self.lock:
                self.h2.end_stream(stream.id)
                self.flush()
        return True

    def answer(self, stream, status=200, body=b"", fields=(), trailers=None, interim=()):
        for code, early in interim:
            self.head(stream, code, early)
        self.head(stream, status, fields, end=not body and trailers is None)
        if body:
            self.data(stream, body, end=trailers is None)
        if trailers is not None:
            with self.lock:
                self.h2.send_headers(stream.id, trailers, end_stream=True)
                self.flush()

    def reset(self, stream, code=8):
        with self.lock:
            self.h2.reset_stream(stream.id, code)
            self.flush()

    def goaway(self, last, code=0):
        """By hand, as h2 lets nothing follow one."""
        self.raw(b"\0\0\x08\7\0\0\0\0\0" + last.to_bytes(4, "big") + code.to_bytes(4, "big"))

    def abort(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.close()

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()

    def serve(self):
        try:
            self.h2.initiate_connection()
            self.h2.increment_flow_control_window(1 << 22)
            self.flush()
            while data := self.sock.recv(1 << 16):
                with self.moved:
                    for event in self.h2.receive_data(data):
                        self.take(event)
                    self.flush()
                    self.moved.notify_all()
        except (OSError, h2.exceptions.ProtocolError) as e:
            self.origin.errors.append(repr(e))
        finally:
            with self.moved:
                self.ended = True
                self.moved.notify_all()
            self.origin.open.discard(self.number)
            self.sock.close()

    def take(self, e):
        s = self.streams.get(getattr(e, "stream_id", None))
        if isinstance(e, h2.events.RequestReceived):
            s = self.streams[e.stream_id] = Stream(self, e.stream_id, list(e.headers))
            self.origin.arrived(s)
            if s.path in self.origin.early:
                self.origin.run(s)
        elif isinstance(e, h2.events.DataReceived):
            s.body += e.data
            if s.path not in self.origin.stalled and e.flow_controlled_length:
                self.h2.acknowledge_received_data(e.flow_controlled_length, e.stream_id)
        elif isinstance(e, h2.events.TrailersReceived):
            s.trailers = list(e.headers)
        elif isinstance(e, h2.events.StreamReset):
            s.reset = int(e.error_code)
            self.origin.resets += 1
        elif isinstance(e, h2.events.StreamEnded):
            s.complete = True
            self.origin.arrived(None)
            if s.path not in self.origin.early:
                self.origin.run(s)


class H2Origin:
    """`on(path, script)` sets script(conn, stream), run in a thread of its own once the request is whole (early=True: once its head is). Without one:
    /big?bytes=N sends N pattern bytes, else "METHOD /path", with the request's fields."""

    def __init__(self, unix=None, tls=None, port=0, settings=None):
        s = h2.settings.SettingCodes
        self.settings = {s.MAX_CONCURRENT_STREAMS: 100, s.INITIAL_WINDOW_SIZE: 65535, **(settings or {})}
        self.tls, self.requests, self.open, self.scripts, self.early, self.stalled, self.errors = tls, [], set(), {}, set(), set(), []
        self.accepted = self.resets = 0
        self.lock = threading.Condition()
        self.sock = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind(unix or ("127.0.0.1", port))
        self.sock.listen(200)
        self.port = 0 if unix else self.sock.getsockname()[1]
        self.connections, self.closing = [], False
        threading.Thread(target=self._accept, daemon=True, name="h2-origin").start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        with self.lock:
            self.accepted += 1
            number = self.accepted
        try:
            if self.tls is not None:
                sock = self.tls.wrap_socket(sock, server_side=True)
        except OSError as e:
            self.errors.append(repr(e))
            sock.close()
            return
        conn = Connection(self, sock, number)
        self.open.add(number)
        self.connections.append(conn)
        conn.serve()

    def arrived(self, stream):
        with self.lock:
            if stream is not None:
                self.requests.append(stream)
            self.lock.notify_all()

    def run(self, stream):
        script = self.scripts.get(stream.path, default)
        threading.Thread(target=self._run, args=(script, stream), daemon=True).start()

    def _run(self, script, stream):
        try:
            script(stream.conn, stream)
        except (OSError, h2.exceptions.ProtocolError) as e:
            self.errors.append(repr(e))

    def on(self, path, script, early=False):
        self.scripts[path] = script
        (self.early.add if early else self.early.discard)(path)

    def reset(self):
        self.scripts.clear()
        self.early.clear()
        self.stalled.clear()
        self.requests.clear()

    def count(self, path=None):
        return sum(1 for r in list(self.requests) if path is None or r.path == path)

    def last(self, path):
        return [r for r in self.requests if r.path == path][-1]

    def wait_for(self, test, seconds=20):
        end = time.monotonic() + seconds
        while not (value := test(self)):
            assert time.monotonic() < end, f"the tool did not see what was expected: {[(r.method, r.path, r.reset) for r in self.requests[-10:]]} {self.errors[-3:]}"
            time.sleep(0.02)
        return value

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()
        for c in self.connections:
            c.close()


def default(conn, stream):
    if stream.path == "/big":
        length = int(stream.get(":path").partition("bytes=")[2])
        conn.head(stream, 200, [("content-type", "application/octet-stream"), ("content-length", str(length))])
        at = 0
        while at < length:
            n = min(251 * 256, length - at)
            if not conn.data(stream, pattern(at, n), end=at + n == length):
                return
            at += n
        return
    body = f"{stream.method} {stream.path} {len(stream.body)}".encode()
    conn.answer(stream, 200, b"" if stream.method == "HEAD" else body, [("content-type", "text/plain"), ("content-length", str(len(body)))])


def remove(path):
    if os.path.exists(path):
        os.unlink(path)
