"""(alone) Promise 7: from the lock to the last byte that reaches the client, with many streams and WebSockets of a person alive. A few here, and with --long 1,000 on the plain build,
where the figure is reported (aimed at: p99 under 250 ms); the program asserts ten times that, and that nothing comes after."""
import asyncio
import json
import os
import subprocess
import sys
import time

import pytest

from harness.gateway import TESTS, Gateway
from harness.people import give_grant
from harness.websocket import BINARY, frame, shake

LONG = bool(os.environ.get("COUNTERSIGN_LONG"))
PLAIN = os.environ.get("COUNTERSIGN_PLAIN_BUILD") or None
CONNECTIONS, STREAMS, SOCKETS = (10, 80, 200) if LONG else (2, 20, 10)
EVERY_S = 0.25


def drips(origin):
    async def stream(request, conn):
        await conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 100000000000\r\n\r\n")
        while True:
            await conn.send(b"x" * 64)
            await asyncio.sleep(EVERY_S)

    async def socket(request, conn):
        await shake(request, conn)
        while True:
            await conn.send(frame(BINARY, b"x" * 64, mask=False))
            await asyncio.sleep(EVERY_S)
    origin.on("/drip", stream)
    origin.on("/ws-drip", socket)


def percentile(sorted_values, p):
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * p))]


@pytest.mark.limit(1200)
def test_a_lock_ends_every_stream_at_once(origin, record_property):
    drips(origin)
    g = Gateway(origin, build=PLAIN if LONG else None)
    try:
        give_grant(g.person("alice"), g.person("bob"), duration_s=1200)
        cred, olga = g.creds["alice"], g.person("olga")
        olga.api_ok("GET", "/api/v1/locks")
        watch = subprocess.Popen([sys.executable, "-m", "harness.lock_watch", str(g.port), g.ca, cred.cert, cred.key, str(CONNECTIONS), str(STREAMS), str(SOCKETS)],
                                 stdout=subprocess.PIPE, text=True, env=dict(os.environ, PYTHONPATH=TESTS))
        assert watch.stdout.readline().strip() == "ready", g.log()[-2000:]
        time.sleep(2 * EVERY_S)
        since = time.monotonic()
        olga.api_ok("POST", "/api/v1/locks", {"kind": "person", "value": "alice", "reason": "her laptop was stolen"})
        answered_ms = (time.monotonic() - since) * 1000
        out, _ = watch.communicate(timeout=300)
        times = json.loads(out)
        assert watch.returncode == 0 and len(times) == CONNECTIONS * STREAMS + SOCKETS
        last = sorted(max(0.0, (t[0] - since) * 1000) for t in times)
        ended = sorted((t[1] - since) * 1000 for t in times)
        assert ended[0] > 0, "one ended before the lock"
        line = {"test": "lock to the last byte", "build": "plain" if LONG else "sanitizers", "streams": CONNECTIONS * STREAMS, "websockets": SOCKETS, "answered_ms": round(answered_ms, 1),
                "last_byte_ms": {f"p{int(100 * p)}": round(percentile(last, p), 1) for p in (0.5, 0.99, 1.0)},
                "seen_to_end_ms": {f"p{int(100 * p)}": round(percentile(ended, p), 1) for p in (0.5, 0.99, 1.0)}}
        print(json.dumps(line))
        record_property("lock", json.dumps(line))
        assert percentile(last, 0.99) < 2500 and percentile(ended, 0.99) < 2500, line
    finally:
        g.finish()
