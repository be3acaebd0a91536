"""(waits) More connections than `limits.connections` from more addresses than any limit by source stops: strangers displace each other, known people come in and stay."""
import asyncio
import os
import socket
import ssl
import threading
import time

import pytest

from harness.certificates import Authority
from harness.clients import H1, h1_request, tls_connect, tls_context
from harness.config_text import CONSOLE, SUPPORT
from harness.frames import PREFACE, ping, settings
from harness.gateway import Gateway, free_port
from harness.people import give_grant, wait_until
from harness.proxied import v4
from harness.steady import Steady

LIMITS = {"connections": 320, "connections_per_source": 60, "connections_per_person": 40, "handshakes_per_source": 60, "handshake": "30s", "head": "30s", "idle": "60s"}
MANY = [f"127.0.7.{i}" for i in range(1, 251)]
FEW = [f"127.0.8.{i}" for i in range(1, 7)]
HELLO = bytes.fromhex("16030102000100") + b"\x01\xfc\x03\x03" + bytes(32)   # the beginning of a ClientHello


@pytest.fixture(scope="module", params=[1, 2], ids=["one worker", "two workers"])
def crowded(origin, request):
    g = Gateway(origin, start=False, workers=request.param, limits=LIMITS)
    g.balanced = free_port()
    g.config["listen"].append(f"127.0.0.1:{g.balanced}")
    g.config["proxy_protocol"] = [f"127.0.0.1:{g.balanced}"]
    g.config["proxy_protocol_from"] = ["127.0.0.1/32"]
    g.start()
    give_grant(g.person("alice"), g.person("bob"))
    give_grant(g.person("mallory"), g.person("bob"))
    yield g
    g.finish()


def tcp(gw, source, raw=b"", port=None):
    s = socket.socket()
    s.settimeout(20)
    s.bind((source, 0))
    s.connect(("127.0.0.1", port or gw.port))
    s.sendall(raw)
    return s


class Contexts:
    """One of each kind: making one takes longer than the handshake."""
    def __init__(self, gw):
        other = Authority.new("Somebody Else's CA").issue(os.path.join(gw.folder, "strangers"), "stranger", ["alice@test.localhost"])
        self.none, self.h2 = tls_context(gw.ca), tls_context(gw.ca, alpn=("h2",))
        self.unknown = tls_context(gw.ca, other)
        self.mallory = tls_context(gw.ca, gw.creds["mallory"])


def tls(gw, source, ctx, raw=b""):
    s = tls_connect(gw.port, SUPPORT, ctx, source=source)
    if raw:
        s.sendall(raw)
    return s


def page(gw):
    return h1_request("GET", "/", f"{SUPPORT}:{gw.port}")


ATTACKS = {
    "bare TCP": (FEW, lambda gw, c, a: tcp(gw, a)),
    "bare TCP from many addresses": (MANY, lambda gw, c, a: tcp(gw, a)),
    "half a ClientHello": (FEW, lambda gw, c, a: tcp(gw, a, HELLO)),
    "TLS, no certificate": (FEW, lambda gw, c, a: tls(gw, a, c.none)),
    "TLS, no certificate, from many addresses": (MANY, lambda gw, c, a: tls(gw, a, c.none)),
    "TLS, no certificate, requests": (FEW, lambda gw, c, a: tls(gw, a, c.none, page(gw))),
    "TLS, no certificate, half a request": (FEW, lambda gw, c, a: tls(gw, a, c.none, page(gw)[:20])),
    "TLS, h2, pings": (FEW, lambda gw, c, a: tls(gw, a, c.h2, PREFACE + settings() + ping())),
    "TLS, an unknown authority's certificate": (FEW, lambda gw, c, a: tls(gw, a, c.unknown)),
    "a known person, past what one may have": (FEW, lambda gw, c, a: tls(gw, a, c.mallory)),
    "bare TCP through a balancer": (FEW, lambda gw, c, a: tcp(gw, "127.0.0.1", v4(a), gw.balanced)),
}


class Attack:
    """Holds as many as it can and opens anew what was taken, from four threads."""

    def __init__(self, gw, name):
        self.gw, self.contexts, (self.sources, self.open_one) = gw, Contexts(gw), ATTACKS[name]
        self.stop, self.held, self.opened, self.lock = threading.Event(), [], 0, threading.Lock()
        self.threads = [threading.Thread(target=self._run, args=(i,), daemon=True) for i in range(4)]

    def _run(self, first):
        at = first
        while not self.stop.is_set():
            at += 4
            try:
                s = self.open_one(self.gw, self.contexts, self.sources[at % len(self.sources)])
            except (OSError, ssl.SSLError):
                continue
            with self.lock:
                self.held.append(s)
                self.opened += 1
                old = self.held.pop(0) if len(self.held) > 3 * LIMITS["connections"] else None
            if old is not None:
                old.close()

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for t in self.threads:
            t.join(60)
        for s in self.held:
            s.close()


def open_now(gw):
    """The gateway's own count of its client connections: its sockets on its ports."""
    ports, n = {f"{gw.port:04X}", f"{gw.balanced:04X}"}, 0
    with open("/proc/net/tcp", encoding="ascii") as f:
        for line in f:
            local, state = line.split()[1], line.split()[3]
            n += local.rpartition(":")[2] in ports and state == "01"
    return n


def descriptors(gw):
    """What the process that faces the network has open, everything included; open_now counts who waits in the kernel's queue, too."""
    return max(len(os.listdir(f"/proc/{pid}/fd")) for pid, role in gw.processes().items() if role == "proxy")


async def slow_answer(request, conn):
    await conn.answer(200, b"", [("Content-Length", "60000")], length=False)
    for _ in range(60):
        await conn.send(b"x" * 1000)
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("name", ATTACKS)
def test_who_is_known_comes_in_and_stays(crowded, origin, name):
    gw, memory = crowded, crowded.peak_rss_kib()
    origin.on("/slow", slow_answer)
    with gw.person("bob").h1(host=CONSOLE) as idle, gw.person("alice").h1() as reader:
        assert idle.request("GET", "/api/v1/status").status == 200
        reader.send(h1_request("GET", "/slow", f"{reader.host}:{reader.port}"))
        with Steady(gw.person("alice"), pause_s=0.02, lost_in_a_hundred=5) as steady:
            with Attack(gw, name) as attack:
                wait_until(lambda: attack.opened > 2 * LIMITS["connections"], 90, "a crowd")
                before = steady.served
                wait_until(lambda: steady.served >= before + 20, 90, "twenty more who are served in the crowd")
                assert descriptors(gw) <= LIMITS["connections"] + (1300 if "balancer" in name else 200)   # who has not said yet whose it is comes on top
        assert idle.request("GET", "/api/v1/status").status == 200, "a known person's idle connection was taken"
        r = reader.read_response()
        assert r.status == 200 and r.complete, "a known person's download was ended"
    assert gw.peak_rss_kib() - memory < 450 << 10, "memory grew with the crowd"
    wait_until(lambda: open_now(gw) < 20, 60, "an empty house")


def test_the_last_places_are_kept_free(crowded):
    """Below the limit strangers are left alone for as long as there is room; in the last sixteenth for a second."""
    gw = crowded
    kept = [tcp(gw, FEW[i % 6]) for i in range(LIMITS["connections"] - 2)]
    wait_until(lambda: open_now(gw) <= LIMITS["connections"] * 15 // 16, 20, "room again")
    time.sleep(1.5)
    assert open_now(gw) >= LIMITS["connections"] * 15 // 16 - 12, "more were sent away than needed"   # workers look at the same time
    for s in kept:
        s.close()


def test_an_address_of_its_own_outlasts_a_crowd_of_one_address(gateway_of, origin):
    """Who is slow and in the middle of a handshake keeps its place while others have many more."""
    g = gateway_of(workers=1, limits={**LIMITS, "connections": 64, "connections_per_source": 500, "handshakes_per_source": 500, "handshakes_per_second": 20000})
    slow = [tcp(g, f"127.0.9.{i}", HELLO) for i in range(1, 11)]
    crowd = [tcp(g, FEW[0]) for _ in range(50)]
    for _ in range(300):
        crowd.append(tcp(g, FEW[0]))
        if len(crowd) > 100:
            crowd.pop(0).close()
    for s in slow:
        s.settimeout(0.01)
        with pytest.raises(TimeoutError):
            s.recv(1)
    for s in slow + crowd:
        s.close()


def test_known_people_fill_the_house_and_leave_room_when_they_go(gateway_of, origin):
    """Nobody known is displaced: then a newcomer is refused, and is served as soon as one of them leaves."""
    g = gateway_of(workers=1, limits={**LIMITS, "connections": 30})
    give_grant(g.person("alice"), g.person("bob"))
    give_grant(g.person("mallory"), g.person("bob"))
    ctx = tls_context(g.ca, g.creds["mallory"])
    held = [H1(g.port, SUPPORT, g.ca, ctx=ctx) for _ in range(30)]
    refused = 0
    for _ in range(5):
        try:
            g.person("alice").get("/full")
        except (OSError, ssl.SSLError):
            refused += 1
    assert refused == 5 and all(c.request("GET", "/mine").status == 200 for c in held)
    held.pop().close()
    wait_until(lambda: served(g.person("alice")), 20, "room")
    for c in held:
        c.close()
    assert not origin.count("/full")


def served(person):
    try:
        return person.get("/again").status == 200
    except (OSError, ssl.SSLError):
        return False
