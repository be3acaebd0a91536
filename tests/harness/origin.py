"""A scripted origin server: it stands in for the tool, keeps every request it got, byte for byte, and answers as a test says."""
import asyncio
import hashlib
import json
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

KEEP_BODY = 1 << 20


@dataclass
class Request:
    """One request as it arrived at the tool."""
    head: bytes
    method: str
    target: str
    version: str
    fields: list
    body: bytes = b""            # the first MiB
    body_len: int = 0
    body_sha256: str = ""
    complete: bool = False
    connection: int = 0
    at: float = field(default_factory=time.monotonic)

    @property
    def path(self):
        return urlsplit(self.target).path if not self.target.startswith("//") else self.target.split("?")[0]

    @property
    def query(self):
        return parse_qs(self.target.partition("?")[2])

    def all(self, name):
        return [v for n, v in self.fields if n.lower() == name.lower()]

    def get(self, name):
        values = self.all(name)
        return values[0] if values else None


def pattern(offset, length):
    """The bytes every large body is made of: the same as cs_load makes, so that both ends can check them."""
    block = pattern_block()
    start = offset % len(block)
    out = block[start:start + length]
    while len(out) < length:
        out += block[:length - len(out)]
    return out


_BLOCK = None


def pattern_block():
    """251 * 256 bytes: byte i is (i * 131 + i // 251) & 255, so that a shifted or repeated piece shows."""
    global _BLOCK
    if _BLOCK is None:
        _BLOCK = bytes((i * 131 + i // 251) & 255 for i in range(251 * 256))
    return _BLOCK


def pattern_sha256(length):
    digest, at = hashlib.sha256(), 0
    while at < length:
        n = min(251 * 256, length - at)
        digest.update(pattern(at, n))
        at += n
    return digest.hexdigest()


class Connection:
    """One connection from the gateway, with what a script needs to answer on it."""

    def __init__(self, number, reader, writer):
        self.number, self.reader, self.writer = number, reader, writer

    async def send(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, status=200, body=b"", fields=(), reason="OK", length=True):
        head = f"HTTP/1.1 {status} {reason}\r\n" + "".join(f"{n}: {v}\r\n" for n, v in fields)
        if length and status not in (204, 304):
            head += f"Content-Length: {len(body)}\r\n"
        await self.send(head.encode("latin-1") + b"\r\n" + body)

    def abort(self):
        self.writer.transport.abort()


async def _read_head(reader):
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
        return None


def _parse_head(head):
    lines = head.decode("latin-1").split("\r\n")
    method, target, version = lines[0].split(" ")
    fields = []
    for line in lines[1:]:
        if line:
            name, _, value = line.partition(":")
            fields.append((name, value.strip()))
    return Request(head, method, target, version, fields)


async def _pieces(reader, request):
    """The body's data, in pieces as they come."""
    if (request.get("Transfer-Encoding") or "").lower() == "chunked":
        while True:
            size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
            if size == 0:
                while (await reader.readuntil(b"\r\n")) != b"\r\n":
                    pass
                return
            while size:
                data = await reader.read(min(size, 1 << 18))
                if not data:
                    raise ConnectionError("cut")
                size -= len(data)
                yield data
            await reader.readexactly(2)
    left = int(request.get("Content-Length") or 0)
    while left:
        data = await reader.read(min(left, 1 << 18))
        if not data:
            raise ConnectionError("cut")
        left -= len(data)
        yield data


async def read_body(reader, request):
    digest = hashlib.sha256()
    async for data in _pieces(reader, request):
        digest.update(data)
        request.body_len += len(data)
        if len(request.body) < KEEP_BODY:
            request.body += data[:KEEP_BODY - len(request.body)]
    request.body_sha256 = digest.hexdigest()
    request.complete = True


class Origin:
    """The server, in a thread of its own. `on(path, script)` sets `async script(request, connection)` for a path; a script that reads
    the body itself is set with `raw=True`. Without a script: /big?bytes=N sends N pattern bytes, anything else a JSON account of the request.
    It listens on loopback, or on a Unix socket; `tls` is an ssl.SSLContext."""

    def __init__(self, unix=None, tls=None, port=0):
        self.unix, self.tls, self.wanted_port, self.port = unix, tls, port, 0
        self.requests, self.open, self.scripts, self.raw = [], set(), {}, set()
        self.accepted = 0
        self.lock = threading.Condition()
        self.loop = asyncio.new_event_loop()
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True, name="origin")
        self.thread.start()
        if not self.ready.wait(10):
            raise RuntimeError("the origin server did not start")

    def _run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._listen())
        self.ready.set()
        self.loop.run_forever()

    async def _listen(self):
        if self.unix:
            self.server = await asyncio.start_unix_server(self._serve, self.unix, limit=1 << 20, ssl=self.tls)
            return
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", self.wanted_port, limit=1 << 20, ssl=self.tls)
        self.port = self.server.sockets[0].getsockname()[1]

    def on(self, path, script, raw=False):
        self.scripts[path] = script
        (self.raw.add if raw else self.raw.discard)(path)

    def reset(self):
        with self.lock:
            self.requests.clear()
        self.scripts.clear()
        self.raw.clear()

    def count(self, path=None):
        with self.lock:
            return sum(1 for r in self.requests if path is None or r.path == path)

    def last(self, path=None):
        with self.lock:
            found = [r for r in self.requests if path is None or r.path == path]
        return found[-1] if found else None

    def wait_for(self, test, seconds=20):
        """Wait until test(list of requests) is true; its value."""
        end = time.monotonic() + seconds
        with self.lock:
            while not (value := test(self.requests)):
                left = end - time.monotonic()
                if left <= 0:
                    raise TimeoutError("the tool did not see what was expected; it saw: "
                                       + ", ".join(f"{r.method} {r.target}" for r in self.requests[-10:]))
                self.lock.wait(min(left, 0.1))
            return value

    async def _serve(self, reader, writer):
        self.accepted += 1
        conn = Connection(self.accepted, reader, writer)
        self.open.add(conn.number)
        try:
            while (head := await _read_head(reader)) is not None:
                if not await self._one(head, conn):
                    break
        except (ConnectionError, asyncio.IncompleteReadError, ValueError, asyncio.CancelledError):
            pass
        finally:
            self.open.discard(conn.number)
            writer.close()

    async def _one(self, head, conn):
        try:
            request = _parse_head(head)
        except ValueError:
            request = Request(head, "?", "?", "?", [])
        request.connection = conn.number
        with self.lock:
            self.requests.append(request)
            self.lock.notify_all()
        if request.path not in self.raw:
            await read_body(conn.reader, request)
            with self.lock:
                self.lock.notify_all()
        script = self.scripts.get(request.path)
        if script is not None:
            return await script(request, conn) is not False
        if request.path == "/big":
            await send_pattern(conn, int(request.query["bytes"][0]))
        else:
            await conn.answer(200, account_of(request), [("Content-Type", "application/json")])
        return (request.get("Connection") or "").lower() != "close"

    def close(self):
        async def end():
            self.server.close()
            for task in asyncio.all_tasks():
                if task is not asyncio.current_task():
                    task.cancel()
        asyncio.run_coroutine_threadsafe(end(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)


def account_of(request):
    return json.dumps({"method": request.method, "target": request.target, "fields": request.fields,
                       "body_len": request.body_len, "body_sha256": request.body_sha256}).encode()


async def send_pattern(conn, length, declared=None, fields=()):
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {declared or length}\r\n"
    await conn.send((head + "".join(f"{n}: {v}\r\n" for n, v in fields) + "\r\n").encode())
    at = 0
    while at < length:
        n = min(251 * 256, length - at)
        await conn.send(pattern(at, n))
        at += n
