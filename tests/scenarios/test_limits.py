"""(waits) Limits on what one source and one person may hold, and a deadline for every state: each attacked, while a well-behaved client goes on being served."""
import asyncio
import socket
import ssl
import time

import pytest

from harness.clients import H1, H2, h1_request, tls_connect, tls_context
from harness.config_text import CONSOLE, SUPPORT
from harness.frames import CALM, END_STREAM, HEADERS, NO_ERROR, PREFACE, Wire, block, data, frame, ping, settings, window
from harness.gateway import Gateway
from harness.people import give_grant, wait_until
from harness.steady import Steady

ATTACKER = "127.0.0.66"
LONG = [("content-type", "text/plain")]
LIMITS = {"connections_per_source": 60, "connections_per_person": 12, "handshakes": 40, "handshakes_per_source": 30, "handshakes_per_second": 40, "exchanges_per_person": 10,
          "body_bytes_per_person": "2MiB", "handshake": "3s", "head": "3s", "body_idle": "3s", "idle": "6s", "slow_rate": 2000}


@pytest.fixture(scope="module")
def gw(origin):
    g = Gateway(origin, workers=1, limits=LIMITS)
    give_grant(g.person("alice"), g.person("bob"))
    give_grant(g.person("mallory"), g.person("bob"))
    yield g
    g.finish()


@pytest.fixture(autouse=True)
def a_new_second():
    """What one test used up of a second's handshakes is back for the next."""
    time.sleep(2.5)


def tcp(gw, source=ATTACKER):
    s = socket.socket()
    s.settimeout(20)
    s.bind((source, 0))
    s.connect(("127.0.0.1", gw.port))
    return s


def over(s, seconds=20):
    """Does the peer end this socket within that time?"""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        s.settimeout(left)
        try:
            if not s.recv(1 << 16):
                return True
        except TimeoutError:
            return False
        except OSError:
            return True
    return False


def still_open(socks):
    time.sleep(0.5)
    out = []
    for s in socks:
        s.settimeout(0.02)
        try:
            if s.recv(1):
                out.append(s)
        except TimeoutError:
            out.append(s)
        except OSError:
            pass
    return out


# ---- connections and handshakes ----

def test_half_open_handshakes_of_one_source_are_bounded(gw):
    with Steady(gw.person("alice")):
        socks = [tcp(gw) for _ in range(40)]
        assert len(still_open(socks)) <= LIMITS["handshakes_per_source"]
        assert all(over(s) for s in socks), "a silent connection outlived its deadline"


def test_half_open_handshakes_of_many_sources_make_room_for_who_means_it(gw):
    """The oldest goes first: nobody is kept out by those who only connect."""
    with Steady(gw.person("alice")):
        socks = []
        for i in range(1, 101):
            socks.append(tcp(gw, f"127.0.1.{i}"))
            time.sleep(0.05)            # slower than any honest handshake, which must not become the oldest of them
        assert len(still_open(socks)) <= LIMITS["handshakes"] + 2
        assert gw.person("mallory").get("/meanwhile").status == 200
        for s in socks:
            s.close()


def test_a_source_that_begins_too_many_handshakes_waits(gateway_of, origin):
    """A closed connection gives no new allowance."""
    g = gateway_of(workers=1, limits={"handshakes_per_second": 6})
    ctx, served = tls_context(g.ca, g.creds["nina"]), 0
    with Steady(g.person("nina"), "/.well-known/jwks.json", pause_s=1, expect=(200, 403)):
        begun = time.monotonic()
        for _ in range(60):
            try:
                tls_connect(g.port, SUPPORT, ctx, source=ATTACKER).close()
                served += 1
            except (OSError, ssl.SSLError):
                pass
        assert served <= 13 + 6 * (time.monotonic() - begun), "the allowance was passed"
        assert served < 60 or time.monotonic() - begun > 8
    time.sleep(2.5)
    with tls_connect(g.port, SUPPORT, ctx, source=ATTACKER):
        pass


def test_connections_of_one_source_are_bounded(gw):
    kept = []
    try:
        with Steady(gw.person("alice")):
            for _ in range(75):
                try:
                    kept.append(tls_connect(gw.port, SUPPORT, tls_context(gw.ca), source=ATTACKER))
                except (OSError, ssl.SSLError):
                    pass
                time.sleep(0.03)
            assert len(still_open(kept)) <= LIMITS["connections_per_source"]   # silent ones end after a while
    finally:
        for s in kept:
            s.close()


@pytest.mark.parametrize("proto", ["h1", "h2"])
def test_connections_of_one_person_are_bounded_over_all_sources(gw, proto):
    mallory, kept = gw.person("mallory"), []
    try:
        with Steady(gw.person("alice")):
            for i in range(LIMITS["connections_per_person"] + 5):
                ctx = tls_context(gw.ca, mallory.cred, alpn=("h2" if proto == "h2" else "http/1.1",))
                kept.append((H2 if proto == "h2" else H1)(gw.port, SUPPORT, gw.ca, ctx=ctx))
                time.sleep(0.05)
            answers = [c.request("GET", "/mine") for c in kept]
            assert sum(r.status == 200 for r in answers) == LIMITS["connections_per_person"], [r.status for r in answers]
            refused = [(c, r) for c, r in zip(kept, answers) if r.status != 200]
            assert all((r.status, r.problem) == (429, "too-many-connections") and r.json()["next"] for _, r in refused)
            assert all(c.ends_within(20) for c, _ in refused), "a refused connection stays"
    finally:
        for c in kept:
            c.close()
    wait_until(lambda: mallory.get("/again").status == 200, 20, "room again")


def test_requests_of_one_person_are_bounded_over_all_connections(gw, origin):
    async def wait(request, conn):
        await asyncio.sleep(4)
        await conn.answer(200, b"late")
    origin.on("/hang", wait)
    conns = [gw.person("mallory").h2() for _ in range(3)]
    with Steady(gw.person("alice")):
        streams = [(c, c.open("GET", "/hang")) for c in conns for _ in range(10)]
        answers = [c.wait(s) for c, s in streams]
    for c in conns:
        c.close()
    assert sum(r.status == 200 for r in answers) == LIMITS["exchanges_per_person"], [r.status for r in answers]
    assert all(r.status == 200 or (r.status, r.problem) == (429, "too-many-requests") for r in answers)
    assert origin.count("/hang") == LIMITS["exchanges_per_person"]
    assert gw.person("mallory").get("/again").status == 200


def test_bodies_that_are_read_to_be_judged_are_bounded_by_person(gw, origin):
    """/api is judged by its body, so it is collected; eight bodies of 900 KiB that never end would be 7 MiB."""
    with Steady(gw.person("alice")), gw.person("mallory").h2() as c:
        streams = [c.open("POST", "/api/x", [("content-type", "application/json")], end=False) for _ in range(8)]
        for _ in range(9):
            for s in streams:
                if not (c.responses[s].status or c.responses[s].reset):
                    try:
                        c.send_body(s, b'"' + b"x" * 99998 + b'"', end=False)
                    except Exception:      # the stream ended meanwhile
                        pass
        wait_until(lambda: any(c.responses[s].status == 429 for s in streams) or not c.step(), 20, "a refusal")
        refused = [c.responses[s] for s in streams if c.responses[s].status == 429]
        assert 4 <= len(refused) <= 7, len(refused)
        assert all(r.problem == "too-much-body" for r in map(c.wait, [s for s in streams if c.responses[s].status == 429]))
    assert origin.count("/api/x") == 0
    wait_until(lambda: gw.person("mallory").post("/api/x", b'{"a":1}', content_type="application/json").status == 200, 20, "room again")


# ---- every state has a deadline ----

def alice_tls(gw, alpn="http/1.1"):
    return tls_connect(gw.port, SUPPORT, tls_context(gw.ca, gw.creds["mallory"], alpn=(alpn,)), source=ATTACKER)


def trickle(s, head, piece, seconds):
    """Send head, then a piece each half second; how long until the peer ended it, or None."""
    begun = time.monotonic()
    try:
        s.sendall(head)
        while time.monotonic() - begun < seconds:
            s.sendall(piece)
            s.settimeout(0.5)
            try:
                if not s.recv(1 << 16):
                    return time.monotonic() - begun
            except TimeoutError:
                continue
    except (OSError, ssl.SSLError):
        return time.monotonic() - begun
    return None


def post_head(gw, more):
    return f"POST /up HTTP/1.1\r\nHost: {SUPPORT}:{gw.port}\r\nContent-Type: text/plain\r\n{more}\r\n\r\n".encode()


SLOW = {
    "nothing at all": lambda gw: (tcp(gw), b"", b""),
    "a byte of TLS now and then": lambda gw: (tcp(gw), b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\0"),
    "nothing after the handshake": lambda gw: (alice_tls(gw), b"", b""),
    "nothing after the handshake, h2": lambda gw: (alice_tls(gw, "h2"), b"", b""),
    "half a preface": lambda gw: (alice_tls(gw, "h2"), PREFACE[:12], b""),
    "a preface and nothing": lambda gw: (alice_tls(gw, "h2"), PREFACE, b""),
    "a preface, SETTINGS and nothing": lambda gw: (alice_tls(gw, "h2"), PREFACE + settings(), b""),
    "a preface and pings": lambda gw: (alice_tls(gw, "h2"), PREFACE + settings(), ping()),
    "a head, slowly": lambda gw: (alice_tls(gw), b"GET / HTTP/1.1\r\nX: ", b"a"),
    "fields, slowly": lambda gw: (alice_tls(gw), b"GET / HTTP/1.1\r\n", b"X: a\r\n"),
    "a frame header, slowly": lambda gw: (alice_tls(gw, "h2"), PREFACE + settings() + b"\0\0\x20\x01", b""),
    "a field block, slowly": lambda gw: (alice_tls(gw, "h2"), PREFACE + settings() + frame(HEADERS, 5, 1, b"\x82", length=8000), b"\0"),
    "a field block without end": lambda gw: (alice_tls(gw, "h2"), PREFACE + settings() + frame(HEADERS, END_STREAM, 1, b"\x82"), b""),
    "a body, slowly": lambda gw: (alice_tls(gw), post_head(gw, "Content-Length: 100000"), b"x"),
    "a body of chunks, slowly": lambda gw: (alice_tls(gw), post_head(gw, "Transfer-Encoding: chunked"), b"1\r\nx\r\n"),
    "a chunk size, slowly": lambda gw: (alice_tls(gw), post_head(gw, "Transfer-Encoding: chunked"), b"0"),
    "a chunk extension, slowly": lambda gw: (alice_tls(gw), post_head(gw, "Transfer-Encoding: chunked") + b"1;", b"x"),
    "trailers, slowly": lambda gw: (alice_tls(gw), post_head(gw, "Transfer-Encoding: chunked") + b"0\r\n", b"X: y\r\n"),
    "a body that stops": lambda gw: (alice_tls(gw), post_head(gw, "Content-Length: 10") + b"x", b""),
    "idle after an answer": lambda gw: (alice_tls(gw), h1_request("GET", "/x", f"{SUPPORT}:{gw.port}"), b""),
}


def test_every_slow_or_silent_state_ends(gw, origin):
    """All at once; each well within 20 s at limits of 3 and 6 s."""
    import threading
    took = {}
    with Steady(gw.person("alice"), pause_s=0.3):
        def run(name, at):
            time.sleep(at * 0.15)
            took[name] = trickle(*SLOW[name](gw), 25)
        threads = [threading.Thread(target=run, args=(n, i), daemon=True) for i, n in enumerate(SLOW) if "h2" not in n or True]
        # Not more of them at a time than one person may have connections.
        for group in (threads[:9], threads[9:]):
            for t in group:
                t.start()
            for t in group:
                t.join(60)
    assert sorted(took) == sorted(SLOW) and not [n for n, t in took.items() if t is None], {n: t for n, t in took.items() if t is None}


@pytest.mark.parametrize("how", ["a window that stays shut", "a byte of window now and then", "DATA of a byte now and then"])
def test_slow_http2_streams_end_though_the_connection_is_busy(gw, origin, how):
    with Steady(gw.person("alice")), Wire(gw, gw.creds["mallory"], SUPPORT, first=((4, 0),)) as w:
        w.wait(lambda: w.settings)
        w.send(w.request(1, "/big?bytes=100000") if "DATA" not in how else w.request(1, "/up", end=False, method="POST", fields=LONG))
        end = time.monotonic() + 25
        while not w.over(1) and time.monotonic() < end:
            w.send(ping() + (window(1, 1) if "byte of window" in how else data(1, b"x", False) if "DATA" in how else b""))
            w.wait(lambda: w.over(1), 0.4)
        assert 1 in w.resets or w.status(1) in (408, 502), w.told()


def test_pings_keep_no_idle_connection(gw, origin):
    with Wire(gw, gw.creds["mallory"], SUPPORT) as w:
        w.send(w.request(1))
        w.wait(lambda: 1 in w.done)
        begun = time.monotonic()
        while not w.ended and w.goaway is None and time.monotonic() - begun < 40:
            w.send(ping())
            w.wait(lambda: w.goaway is not None, 0.4)
        assert w.goaway == NO_ERROR and time.monotonic() - begun > 3, w.told()
        assert w.wait(lambda: w.ended) or w.ended


def test_a_fast_body_and_a_fast_reader_are_not_slow(gw, origin):
    """20 s of 20 KB/s each way would be ten times what is asked for; here 6 s, twice every deadline."""
    with gw.person("alice").h1(rcvbuf=4096) as c:
        c.send(post_head(gw, "Content-Length: 120000"))
        for _ in range(12):
            c.send(b"x" * 10000)
            time.sleep(0.5)
        assert c.read_response().status == 200
    with gw.person("alice").h2() as c:
        s = c.open("POST", "/up", LONG, end=False)
        for _ in range(12):
            c.send_body(s, b"x" * 10000, end=False)
            time.sleep(0.5)
        c.send_body(s, b"")
        assert c.wait(s).status == 200


def test_the_deadlines_as_delivered(gateway_of, origin):
    """Half-open TLS, a silent client, half a head and half a preface: gone within 15 s by default (and twice that of patience here)."""
    g = gateway_of(workers=1)
    ctx, ctx2 = tls_context(g.ca, g.creds["alice"]), tls_context(g.ca, g.creds["alice"], alpn=("h2",))
    socks = {"tcp": tcp(g), "tls": tls_connect(g.port, CONSOLE, ctx), "head": tls_connect(g.port, CONSOLE, ctx), "h2": tls_connect(g.port, CONSOLE, ctx2),
             "preface": tls_connect(g.port, CONSOLE, ctx2), "settings": tls_connect(g.port, CONSOLE, ctx2), "block": tls_connect(g.port, CONSOLE, ctx2)}
    for name, raw in {"tcp": b"\x16", "head": b"GET / HTTP/1.1\r\nHost", "preface": PREFACE[:10], "settings": PREFACE + settings(), "block": PREFACE + settings() + frame(HEADERS, 0, 1, block([(":method", "GET")]))}.items():
        socks[name].sendall(raw)
    begun, late = time.monotonic(), []
    for name, s in socks.items():
        if not over(s, max(0.1, begun + 30 - time.monotonic())):
            late.append(name)
    assert not late, late
    assert CALM


# ---- what is full for one must not be full for all ----

def test_connections_to_one_tool_are_bounded(gateway_of, origin):
    """Ten are hung up in it; what comes beyond them is told so at once, and everything but that tool goes on."""
    async def wait(request, conn):
        await asyncio.sleep(4)
        await conn.answer(200, b"late")
    g = gateway_of(workers=1, limits={"upstream_connections": 10})
    give_grant(g.person("alice"), g.person("bob"))
    give_grant(g.person("mallory"), g.person("bob"))
    origin.on("/hang", wait)
    conns = [g.person("mallory").h2() for _ in range(3)]
    with Steady(g.person("nina"), expect=(403,)):
        streams = [(c, c.open("GET", "/hang")) for c in conns for _ in range(10)]
        answers = [c.wait(s) for c, s in streams]
    for c in conns:
        c.close()
    assert sum(r.status == 200 for r in answers) == origin.count("/hang") == 10, [r.status for r in answers]
    assert all(r.status == 200 or (r.status, r.problem) == (503, "tool-busy") for r in answers)
    assert g.person("alice").get("/again").status == 200


def test_open_requests_for_access_of_one_person_are_bounded(gateway_of, origin):
    g = gateway_of(workers=1, limits={"requests_per_person": 3})
    give_grant(g.person("alice"), g.person("bob"))
    with Steady(g.person("alice")):
        answers = [g.person("mallory").ask(reason=f"ticket {n}: the customer cannot log in", duration_s=600 + n) for n in range(8)]
    made = [r for r in answers if r.status in (200, 201)]
    assert 1 <= len(made) <= 3 and all(r.status in (403, 409, 429) and r.problem for r in answers if r not in made), [(r.status, r.body[:100]) for r in answers]
