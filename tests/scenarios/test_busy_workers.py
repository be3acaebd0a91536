"""(waits) What keeps a worker busy or its memory full without being a flood of frames: handshakes, changed keys, renegotiations, slow heads and slow readers, many at a
time; a well-behaved client is served meanwhile, and every attacker is sent away."""
import socket
import ssl
import threading
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from harness.clients import H1, h1_request, tls_connect, tls_context
from harness.config_text import SUPPORT
from harness.frames import Wire
from harness.gateway import Gateway
from harness.people import give_grant
from harness.rawtls import RawTLS, message
from harness.steady import Steady

LIMITS = {"head": "3s", "body_idle": "3s", "handshake": "3s", "idle": "6s", "handshakes_per_second": 40}
SOURCES = [f"127.0.6.{i}" for i in range(1, 5)]


@pytest.fixture(scope="module")
def gw(origin):
    g = Gateway(origin, workers=1, limits=LIMITS)
    give_grant(g.person("alice"), g.person("bob"))
    give_grant(g.person("mallory"), g.person("bob"))
    yield g
    g.finish()


class Beside:
    """`attack(source, stop)` again and again from four addresses, for as long as it takes to serve a well-behaved client so many times."""

    def __init__(self, gw, attack, served=15):
        self.gw, self.attack, self.served, self.done, self.stop = gw, attack, served, 0, threading.Event()

    def _run(self, source):
        while not self.stop.is_set():
            try:
                self.attack(source)
                self.done += 1
            except (OSError, ssl.SSLError, SSL.Error):
                time.sleep(0.001)

    def run(self):
        threads = [threading.Thread(target=self._run, args=(s,), daemon=True) for s in SOURCES]
        with Steady(self.gw.person("alice")) as steady:
            for t in threads:
                t.start()
            end = time.monotonic() + 90
            while (steady.served < self.served or self.done < 4) and time.monotonic() < end:
                time.sleep(0.05)
            self.stop.set()
            for t in threads:
                t.join(60)
        assert steady.served >= self.served and self.done >= 4, (steady.served, self.done)


def test_a_flood_of_full_handshakes(gw):
    ctx = tls_context(gw.ca, gw.creds["mallory"])
    Beside(gw, lambda source: tls_connect(gw.port, SUPPORT, ctx, source=source).close(), served=40).run()


def test_a_flood_of_handshakes_that_break_off(gw):
    """The client leaves when the server has signed: the dear half of the work was ours."""
    def attack(source):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        try:
            ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname=SUPPORT).do_handshake()
        except ssl.SSLWantReadError:
            pass
        with socket.socket() as s:
            s.settimeout(20)
            s.bind((source, 0))
            s.connect(("127.0.0.1", gw.port))
            s.sendall(outgoing.read())
            s.recv(1 << 14)
    Beside(gw, attack, served=40).run()


def der_of(cred):
    with open(cred.cert, "rb") as f:
        return x509.load_pem_x509_certificate(f.read()).public_bytes(Encoding.DER)


def test_a_flood_of_key_updates(gw):
    key, cert, taken = gw.creds["mallory"].private_key(), der_of(gw.creds["mallory"]), []

    def attack(_source):
        with RawTLS(gw.port, SUPPORT) as c:
            c.hello().server_flight()
            c.prove(key, cert)
            for i in range(20000):
                c.say(message(24, b"\1"))
                c.out = c.out.updated()
                if c.ended:
                    break
            taken.append(i)
    Beside(gw, attack).run()
    assert max(taken) < 19999, "all were taken"


def test_a_flood_of_renegotiations(gw):
    """TLS 1.2, CVE-2011-1473: each is refused, and asking on ends the connection."""
    ctx = SSL.Context(SSL.TLSv1_2_METHOD)
    ctx.use_certificate_chain_file(gw.creds["mallory"].cert)
    ctx.use_privatekey_file(gw.creds["mallory"].key)
    again = []

    def attack(source):
        with socket.socket() as raw:
            raw.bind((source, 0))
            raw.connect(("127.0.0.1", gw.port))
            c = SSL.Connection(ctx, raw)
            c.set_tlsext_host_name(SUPPORT.encode())
            c.set_connect_state()
            c.do_handshake()
            try:
                for n in range(2000):
                    again.append(n)
                    c.renegotiate()
                    c.do_handshake()
            except SSL.Error:
                pass
    Beside(gw, attack).run()
    assert max(again) < 1999, "all were answered"


def test_slow_heads_by_the_hundred(gw):
    """Each says a field now and then; none lives longer than a head may take."""
    ctx, conns = tls_context(gw.ca, gw.creds["mallory"]), []
    with Steady(gw.person("alice")) as steady:
        end = time.monotonic() + 60
        while len(conns) < 120 and time.monotonic() < end:
            try:
                conns.append(tls_connect(gw.port, SUPPORT, ctx, source=SOURCES[len(conns) % 4]))
                conns[-1].sendall(b"GET /slowloris HTTP/1.1\r\nHost: x\r\n")
            except (OSError, ssl.SSLError):
                time.sleep(0.05)        # past `handshakes_per_second`
        assert len(conns) >= 120
        left, end, served = list(conns), time.monotonic() + 40, steady.served
        while left and time.monotonic() < end:
            left = [s for s in left if says(s, b"X: y\r\n")]
            time.sleep(0.1)
        assert not left, f"{len(left)} of {len(conns)} still talk"
        assert steady.served > served
    for s in conns:
        s.close()


def says(s, raw):
    """False: the peer has ended it."""
    try:
        s.settimeout(5)
        s.sendall(raw)
        s.settimeout(0.001)
        return bool(s.recv(1 << 14))
    except TimeoutError:
        return True
    except (OSError, ssl.SSLError):
        return False


@pytest.mark.parametrize("proto", ["h1", "h2"])
def test_readers_who_do_not_read(gw, origin, proto):
    """Each asks for 50 MB and takes nothing: memory does not grow with what they asked for, the tool is not kept, and they are sent away."""
    memory = gw.peak_rss_kib()
    with Steady(gw.person("alice")):
        conns = []
        for i in range(40):
            if proto == "h1":
                ctx = tls_context(gw.ca, gw.creds["mallory"])
                c = H1(gw.port, SUPPORT, gw.ca, ctx=ctx, rcvbuf=4096)
                c.send(h1_request("GET", "/big?bytes=50000000", f"{SUPPORT}:{gw.port}"))
            else:
                c = Wire(gw, gw.creds["mallory"], SUPPORT, first=((4, 0),), source=SOURCES[i % 4])
                c.send(b"".join(c.request(s, "/big?bytes=50000000") for s in range(1, 40, 2)))
            conns.append(c)
        end = time.monotonic() + 60
        while origin.open and time.monotonic() < end:
            time.sleep(0.2)
            if len(origin.open) <= 2:   # the well-behaved client's
                break
        assert len(origin.open) <= 2, f"{len(origin.open)} connections to the tool are kept by who reads nothing"
    assert gw.peak_rss_kib() - memory < 450 << 10, "memory grew with what nobody reads"
    for c in conns:
        c.sock.close()
