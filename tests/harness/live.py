"""Exchanges that are under way when something happens to them: an idle connection, downloads, a stream, a waiting upload."""
import asyncio
import socket
import threading
import time

from harness.clients import h1_request
from harness.config_text import SUPPORT


def endless(origin, path="/endless"):
    """A tool's answer that never ends by itself."""
    async def script(request, conn):
        await conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n")
        while True:
            await conn.send(b"x" * 4096)
            await asyncio.sleep(0.02)
    origin.on(path, script)


class Live:
    """One thing under way, watched by a thread of its own until it ends."""

    def __init__(self, kind, conn):
        self.kind, self.conn, self.ended_at, self.clean = kind, conn, None, None
        self.thread = None

    def watch(self):
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()
        return self

    def _watch(self):
        c = self.conn
        try:
            if self.kind.startswith("h2"):
                while c.step() and not (self.kind == "h2 stream" and any(r.reset or r.complete for r in c.responses.values())):
                    for r in c.responses.values():
                        r.body = b""
                self.clean = any(r.complete for r in c.responses.values()) if self.kind == "h2 stream" else None
            else:
                while c.fill():
                    c.buf = b""
                self.clean = not c.was_reset
        except OSError:
            self.clean = False
        self.ended_at = time.monotonic()

    def ended_within(self, since, seconds):
        self.thread.join(max(0.0, since + seconds - time.monotonic()) + 0.01)
        return self.ended_at is not None

    def close(self):
        """The watcher ends first: a descriptor closed under it could be another connection's by its next read."""
        try:
            socket.socket.shutdown(self.conn.sock, socket.SHUT_RDWR)
        except OSError:
            pass
        if self.thread is not None:
            self.thread.join(10)
        self.conn.close()


def all_kinds(who, origin):
    """{name: Live}: an idle h1 connection, an h1 download, an h2 stream and its idle sister connection."""
    endless(origin)
    out = {}
    idle = who.h1()
    assert idle.request("GET", "/hello").status == 200
    out["idle h1 connection"] = Live("h1", idle)
    down = who.h1()
    down.send(h1_request("GET", "/endless", f"{SUPPORT}:{who.gateway.port}"))
    assert down.read_head().status == 200
    out["h1 download"] = Live("h1", down)
    stream = who.h2()
    n = stream.open("GET", "/endless")
    while not stream.responses[n].body:
        assert stream.step(), "the stream did not begin"
    out["h2 download"] = Live("h2 stream", stream)
    idle2 = who.h2()
    assert idle2.request("GET", "/hello").status == 200
    out["idle h2 connection"] = Live("h2", idle2)
    up = who.h1()
    up.send(b"POST /up HTTP/1.1\r\nHost: %s:%d\r\nContent-Type: text/plain\r\nContent-Length: 100000\r\n\r\nbegun" % (SUPPORT.encode(), who.gateway.port))
    out["h1 upload"] = Live("h1", up)
    time.sleep(0.3)
    return {name: live.watch() for name, live in out.items()}


def check_all_end(lives, since, seconds):
    late = [name for name, live in lives.items() if not live.ended_within(since, seconds)]
    for live in lives.values():
        live.close()
    assert not late, f"not ended within {seconds} s: {late}"
    friendly = [n for n, live in lives.items() if "download" in n and live.clean]
    assert not friendly, f"a download ended like a whole one: {friendly}"


def check_none_ended(lives):
    gone = [name for name, live in lives.items() if live.ended_at is not None]
    assert not gone, f"ended without reason: {gone}"
