"""Clients that can say what libraries won't: raw bytes over TLS, HTTP/2 frames, and curl for the ordinary."""
import json
import socket
import ssl
import subprocess
import time
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events

PATIENCE_S = 30


@dataclass
class Response:
    status: int = 0
    fields: list = field(default_factory=list)
    body: bytes = b""
    complete: bool = False       # the message ended as its framing says
    reset: bool = False          # the connection or stream was reset, not closed
    trailers: list = field(default_factory=list)
    interim: list = field(default_factory=list)   # (status, fields) of each 1xx

    def get(self, name):
        for n, v in self.fields:
            if n.lower() == name.lower():
                return v
        return None

    def all(self, name):
        return [v for n, v in self.fields if n.lower() == name.lower()]

    def json(self):
        return json.loads(self.body)

    @property
    def problem(self):
        """The last part of the problem's type ("grant-required"), or None when this is no problem."""
        if not (self.get("content-type") or "").startswith("application/problem+json"):
            return None
        return self.json().get("type", "").rsplit("/", 1)[-1]


def tls_context(ca, cred=None, alpn=("http/1.1",), version=None):
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ctx.load_verify_locations(ca)
    ctx.set_alpn_protocols(list(alpn))
    if cred is not None:
        ctx.load_cert_chain(cred.cert, cred.key)
    if version is not None:
        ctx.minimum_version = ctx.maximum_version = version
    return ctx


def tls_connect(port, host, ctx, session=None, timeout=PATIENCE_S, rcvbuf=None, source=None):
    raw = socket.socket()
    if source:
        raw.bind((source, 0))
    if rcvbuf:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    raw.settimeout(timeout)
    raw.connect(("127.0.0.1", port))
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return ctx.wrap_socket(raw, server_hostname=host, session=session, suppress_ragged_eofs=False)


class H1:
    """An HTTP/1.1 connection on which any bytes can be sent."""

    def __init__(self, port, host, ca, cred=None, ctx=None, session=None, timeout=PATIENCE_S, rcvbuf=None, version=None):
        self.host, self.port = host, port
        self.sock = tls_connect(port, host, ctx or tls_context(ca, cred, version=version), session, timeout, rcvbuf)
        self.buf = b""
        self.ended = self.was_reset = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def fill(self):
        """Read more; False at the end of the connection."""
        if self.ended:
            return False
        try:
            data = self.sock.recv(1 << 16)
        except (ConnectionResetError, ssl.SSLEOFError, BrokenPipeError):
            self.was_reset, data = True, b""
        except ssl.SSLError as e:
            if "EOF" not in str(e).upper() and "ALERT" not in str(e).upper():
                raise
            self.was_reset, data = True, b""
        self.buf += data
        self.ended = not data
        return bool(data)

    def read_until(self, mark):
        while mark not in self.buf:
            if not self.fill():
                return None
        out, _, self.buf = self.buf.partition(mark)
        return out

    def read_exactly(self, n, out):
        while n:
            if not self.buf and not self.fill():
                return False
            piece, self.buf = self.buf[:n], self.buf[n:]
            out += piece
            n -= len(piece)
        return True

    def read_head(self):
        head = self.read_until(b"\r\n\r\n")
        if head is None:
            return Response(reset=self.was_reset)
        lines = head.decode("latin-1").split("\r\n")
        fields = [(n, v.strip()) for n, _, v in (line.partition(":") for line in lines[1:])]
        return Response(int(lines[0].split(" ")[1]), fields)

    def read_response(self, method="GET", interim=False):
        r, before, self.trailers = self.read_head(), [], []
        while r.status and r.status // 100 == 1 and not interim:
            before.append((r.status, r.fields))
            r = self.read_head()
        r.interim = before
        if not r.status or r.status // 100 == 1:
            return r
        body = bytearray()
        r.complete = self._read_body(r, method, body)
        r.body, r.reset, r.trailers = bytes(body), self.was_reset, self.trailers
        return r

    def _read_body(self, r, method, body):
        if method == "HEAD" or r.status in (204, 304):
            return True
        if (r.get("transfer-encoding") or "").lower() == "chunked":
            return self._read_chunks(body)
        if r.get("content-length") is not None:
            return self.read_exactly(int(r.get("content-length")), body)
        while self.buf or self.fill():
            body += self.buf
            self.buf = b""
        return not self.was_reset

    def _read_chunks(self, body):
        while True:
            line = self.read_until(b"\r\n")
            if line is None:
                return False
            size = int(line.split(b";")[0], 16)
            if size == 0:
                while (line := self.read_until(b"\r\n")) not in (None, b""):
                    name, _, value = line.decode("latin-1").partition(":")
                    self.trailers.append((name, value.strip()))
                return line == b""
            if not self.read_exactly(size, body) or self.read_until(b"\r\n") is None:
                return False

    def request(self, method, target, fields=(), body=None, host=None):
        self.send(h1_request(method, target, host or f"{self.host}:{self.port}", fields, body))
        return self.read_response(method)

    def ends_within(self, seconds):
        """Does the connection end (any way) within that time? What comes before is kept in buf."""
        end = time.monotonic() + seconds
        old = self.sock.gettimeout()
        try:
            while not self.ended:
                left = end - time.monotonic()
                if left <= 0:
                    return False
                self.sock.settimeout(left)
                self.fill()
        except (TimeoutError, socket.timeout):
            return False
        finally:
            self.sock.settimeout(old)
        return True


def h1_request(method, target, host, fields=(), body=None):
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"] + [f"{n}: {v}" for n, v in fields]
    if body is not None and not any(n.lower() in ("content-length", "transfer-encoding") for n, _ in fields):
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (body or b"")


class H2:
    """An HTTP/2 connection. `request` is ordinary; `open_raw` sends any pseudo-fields and fields unchecked."""

    def __init__(self, port, host, ca, cred=None, ctx=None, session=None, timeout=PATIENCE_S, window=None):
        self.host, self.port = host, port
        self.sock = tls_connect(port, host, ctx or tls_context(ca, cred, alpn=("h2",)), session, timeout)
        if self.sock.selected_alpn_protocol() != "h2":
            raise AssertionError("the gateway did not choose h2")
        self.conn = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=True, header_encoding="latin-1", validate_outbound_headers=False, normalize_outbound_headers=False,
            validate_inbound_headers=True))
        self.conn.initiate_connection()
        if window is None:
            self.conn.increment_flow_control_window(1 << 24)
        self.auto_window = window is None
        self.responses, self.ended, self.goaway = {}, False, None
        self.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def flush(self):
        data = self.conn.data_to_send()
        if data:
            self.sock.sendall(data)

    def send_raw(self, data):
        self.sock.sendall(data)

    def open_raw(self, fields, end=True):
        stream = self.conn.get_next_available_stream_id()
        self.responses[stream] = Response()
        self.conn.send_headers(stream, fields, end_stream=end)
        self.flush()
        return stream

    def open(self, method, target, fields=(), end=True, host=None):
        pseudo = [(":method", method), (":scheme", "https"), (":authority", host or f"{self.host}:{self.port}"), (":path", target)]
        return self.open_raw(pseudo + [(n.lower(), v) for n, v in fields], end)

    def send_body(self, stream, body, end=True):
        at = 0
        while at < len(body):
            room = min(self.conn.local_flow_control_window(stream), self.conn.max_outbound_frame_size, len(body) - at)
            if room <= 0:
                if not self.step():
                    return False
                continue
            self.conn.send_data(stream, body[at:at + room])
            at += room
            self.flush()
        if end:
            self.conn.end_stream(stream)
            self.flush()
        return True

    def step(self):
        """Read once and take in what came; False at the end of the connection."""
        if self.ended:
            return False
        try:
            data = self.sock.recv(1 << 16)
        except (ConnectionResetError, ssl.SSLEOFError, BrokenPipeError):
            data = b""
        except ssl.SSLError as e:
            if "EOF" not in str(e).upper() and "ALERT" not in str(e).upper():
                raise
            data = b""
        if not data:
            self.ended = True
            for r in self.responses.values():
                r.reset = r.reset or not r.complete
            return False
        for event in self.conn.receive_data(data):
            self._take(event)
        try:
            self.flush()
        except OSError:
            pass
        return True

    def _take(self, e):
        r = self.responses.get(getattr(e, "stream_id", None))
        if isinstance(e, h2.events.ResponseReceived):
            r.fields = [(n, v) for n, v in e.headers if not n.startswith(":")]
            r.status = int(dict(e.headers)[":status"])
        elif isinstance(e, h2.events.InformationalResponseReceived):
            r.interim.append((int(dict(e.headers)[":status"]), [(n, v) for n, v in e.headers if not n.startswith(":")]))
        elif isinstance(e, h2.events.TrailersReceived):
            r.trailers = list(e.headers)
        elif isinstance(e, h2.events.DataReceived):
            r.body += e.data
            if self.auto_window and e.flow_controlled_length:
                self.conn.acknowledge_received_data(e.flow_controlled_length, e.stream_id)
        elif isinstance(e, h2.events.StreamEnded):
            r.complete = True
        elif isinstance(e, h2.events.StreamReset):
            r.reset = True
        elif isinstance(e, h2.events.ConnectionTerminated):
            self.goaway = e.error_code

    def wait(self, stream):
        r = self.responses[stream]
        while not (r.complete or r.reset) and self.step():
            pass
        return r

    def request(self, method, target, fields=(), body=None, host=None):
        stream = self.open(method, target, fields, end=body is None, host=host)
        if body is not None:
            self.send_body(stream, body)
        return self.wait(stream)

    def ends_within(self, seconds):
        end = time.monotonic() + seconds
        old = self.sock.gettimeout()
        try:
            while not self.ended:
                left = end - time.monotonic()
                if left <= 0:
                    return False
                self.sock.settimeout(left)
                self.step()
        except (TimeoutError, socket.timeout):
            return False
        finally:
            self.sock.settimeout(old)
        return True


def curl(port, host, ca, cred, target, *args, timeout=60):
    """curl as a person would use it: (status, body, exit code)."""
    cmd = ["curl", "-sS", "--max-time", str(timeout), "--cacert", ca, "--resolve", f"{host}:{port}:127.0.0.1",
           "-w", "\n%{http_code}", *args, f"https://{host}:{port}{target}"]
    if cred is not None:
        cmd[1:1] = ["--cert", cred.cert, "--key", cred.key]
    p = subprocess.run(cmd, capture_output=True, timeout=timeout + 10)
    body, _, code = p.stdout.rpartition(b"\n")
    return int(code or 0), body, p.returncode
