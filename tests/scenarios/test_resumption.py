"""Sessions that are resumed (RFC 8446 s2.2, s8): a ticket saves a handshake and nothing else. Who comes back is judged as if they came for the first time."""
import copy
import os
import signal

import pytest

from harness import pki
from harness.certificates import write_pem
from harness.clients import H1, h1_request, tls_context
from harness.config_text import CONSOLE, SUPPORT
from harness.gateway import Gateway, Layout, write_config
from harness.people import give_grant, wait_until
from harness.rawtls import RawTLS, message


class Bed:
    """Alice has a second authority's certificate too, so that the authority can go."""

    def __init__(self, origin):
        self.origin = origin
        self.root = pki.root("Second Root")
        self.gw = Gateway(origin, start=False)
        for name, more in (("client_ca", self.root.pem()), ("crl", self.root.crl())):
            with open(os.path.join(self.gw.state, Layout.files[name]), "rb") as f:
                write_pem(os.path.join(self.gw.state, "ca", f"both-{name}.pem"), f.read() + more)
            self.gw.config["tls"][name] = f"ca/both-{name}.pem"
        self.gw.start()
        self.leaf = self.root.sub("alice", pki.leaf_extensions())
        self.cred = self.leaf.save(f"{self.gw.folder}/second", "alice")
        self.who = self.gw.nobody(self.cred)
        give_grant(self.who, self.gw.person("bob"))

    def session(self, gw=None, host=SUPPORT, cred=None):
        """A context and a session of it that can be resumed: its ticket comes with the second answer."""
        gw = gw or self.gw
        ctx = tls_context(gw.ca, cred or self.cred)
        with H1(gw.port, host, gw.ca, ctx=ctx) as c:
            for _ in range(2):
                assert c.request("GET", "/hello").status in (200, 303, 403, 404)
            return ctx, c.sock.session

    def resumed(self, ctx, session, host=SUPPORT, gw=None):
        """The answer, and whether the session was taken up."""
        gw = gw or self.gw
        with H1(gw.port, host, gw.ca, ctx=ctx, session=session) as c:
            r = c.request("GET", "/again")
            return r, c.sock.session_reused

    def reload(self, config):
        before = sum(line.get("event") == "reload.done" for line in self.gw.log_lines())
        write_config(self.gw.state, config)
        os.kill(self.gw.process.pid, signal.SIGHUP)
        wait_until(lambda: sum(line.get("event") == "reload.done" for line in self.gw.log_lines()) > before, what="the reload")


@pytest.fixture
def bed(origin):
    b = Bed(origin)
    yield b
    b.gw.finish()


def test_it_is_taken_up_at_all(bed, origin):
    r, reused = bed.resumed(*bed.session())
    assert reused and r.status == 200 and origin.count("/again") == 1


def test_what_changed_meanwhile_counts(bed, origin):
    """The person leaves, the authority is trusted no longer, the certificate's CA has no list; each is put back."""
    whole = bed.gw.config
    changes = {
        "unknown-person": lambda c: c["people"].remove(next(p for p in c["people"] if p["name"] == "alice")),
        "certificate-untrusted": lambda c: c["tls"].update({"client_ca": Layout.files["client_ca"]}),
        "certificate-revocation-list-stale": lambda c: c["tls"].update({"crl": Layout.files["crl"]}),
    }
    for problem, change in changes.items():
        kept = bed.session()
        config = copy.deepcopy(whole)
        change(config)
        bed.reload(config)
        origin.reset()
        r, _ = bed.resumed(*kept)
        assert r.status in (403, 503) and r.problem == problem and origin.count() == 0, (problem, r.status, r.body)
        bed.reload(whole)
    r, _ = bed.resumed(*bed.session())
    assert r.problem in (None, "grant-required"), "and back again"


def test_a_lock_counts(bed, origin):
    kept = bed.session()
    bed.gw.person("olga").api_ok("POST", "/api/v1/locks", {"kind": "person", "value": "alice", "reason": "enough"})
    wait_until(lambda: bed.who.get("/x").problem == "locked", what="the lock")
    origin.reset()
    r, _ = bed.resumed(*kept)
    assert (r.status, r.problem) == (403, "locked") and origin.count() == 0


def test_the_end_of_the_grant_counts(bed, origin):
    kept = bed.session()
    item = bed.who.status()["grants"][0]
    bed.gw.person("olga").api_ok("POST", "/api/v1/locks", {"kind": "grant", "value": item["grant_id"], "reason": "enough"})
    wait_until(lambda: bed.who.get("/x").status == 403, what="the end")
    origin.reset()
    r, _ = bed.resumed(*kept)
    assert r.status == 403 and r.problem in ("grant-required", "locked") and origin.count() == 0


def test_a_session_of_another_gateway_or_an_earlier_run_is_nothing(bed, origin):
    """Full handshakes follow; they need the certificate and its key."""
    other = Gateway(origin)
    try:
        ctx, session = bed.session(other, cred=other.creds["alice"])
        ctx.load_verify_locations(bed.gw.ca)
        r, reused = bed.resumed(ctx, session)
        assert not reused and r.problem == "grant-required", "the same authority, another gateway"
    finally:
        other.finish()
    kept = bed.session()
    bed.gw.restart()
    origin.reset()
    r, reused = bed.resumed(*kept)
    assert not reused and r.status == 200 and origin.count("/again") == 1


def first(bed, host=SUPPORT):
    """A raw connection's tickets."""
    with RawTLS(bed.gw.port, host) as c:
        c.hello().server_flight()
        c.prove(bed.leaf.key, bed.leaf.cert.public_bytes(pki.serialization.Encoding.DER))
        for n in range(2):
            c.data = b""
            c.exchange(h1_request("GET", f"/first/{n}", f"{host}:{bed.gw.port}"))
        assert c.tickets and c.data
        return c.tickets


def raw(bed, **hello):
    """(was it resumed, what came, its certificate request, the connection) of a raw connection that presents no certificate of its own."""
    c = RawTLS(bed.gw.port, SUPPORT).hello(**hello)
    try:
        resumed = c.server_flight()
        if resumed:
            c.finish()
        else:
            c.prove(bed.leaf.key)
        return resumed, c.exchange(h1_request("GET", "/again", f"{SUPPORT}:{bed.gw.port}", [("Connection", "close")])), c
    except ConnectionError:
        return False, b"", c
    finally:
        c.sock.close()


def test_an_altered_ticket_is_nothing(bed, origin):
    ticket = first(bed)[0]
    resumed, data, _ = raw(bed, psk=ticket)
    assert resumed and data.startswith(b"HTTP/1.1 200"), "the good one is taken"
    origin.reset()
    for at in (0, 15, 16, 31, len(ticket["ticket"]) // 2, len(ticket["ticket"]) - 1):
        t = ticket["ticket"]
        resumed, data, c = raw(bed, psk={**ticket, "ticket": t[:at] + bytes([t[at] ^ 1]) + t[at + 1:]})
        assert not resumed and b"certificate-missing" in data, (at, data[:100])
    for changed in (ticket["ticket"][:-1], ticket["ticket"] + b"\0", b"x", bytes(60000)):
        resumed, data, c = raw(bed, psk={**ticket, "ticket": changed})
        assert not resumed and (b"certificate-missing" in data or c.ended)
    resumed, data, c = raw(bed, psk={**ticket, "psk": bytes(32)})
    assert not data and c.ended, "a ticket without its secret"
    assert origin.count() == 0


def test_early_data_that_nobody_offered_never_arrives(bed, origin):
    """RFC 8446 s4.2.10: what comes before the handshake is over could be a replay. The ticket does not allow it; a hostile client sends it all the same."""
    for _ in range(3):
        ticket = first(bed)[0]
        assert b"\0\x2a" not in ticket["extensions"][:2], "a ticket that allows early data"
        early = h1_request("POST", "/early", f"{SUPPORT}:{bed.gw.port}", [("Content-Type", "text/plain")], b"delete it all")
        resumed, data, c = raw(bed, psk=ticket, early=early)
        assert origin.count("/early") == 0
        assert not data or data.startswith(b"HTTP/1.1 200")


def test_a_flood_of_early_data_ends(bed, origin):
    ticket = first(bed)[0]
    c = RawTLS(bed.gw.port, SUPPORT).hello(psk=ticket, early=b"x" * 16000)
    with c:
        for _ in range(200):
            try:
                c.sock.sendall(b"\x17\3\3\x3e\x80" + bytes(16000))
            except OSError:
                break
        try:
            while c.sock.recv(1 << 16):
                pass
        except OSError:
            pass
    assert origin.count("/early") == 0 and bed.gw.person("nina").api("GET", "/api/v1/status").status == 200


def test_a_ticket_of_the_console_opens_no_tool_that_a_handshake_would_not(bed, origin):
    """The certificate goes along, the name of this handshake counts."""
    ctx, session = bed.session(host=CONSOLE)
    with H1(bed.gw.port, CONSOLE, bed.gw.ca, ctx=ctx, session=session) as c:
        assert c.request("GET", "/again", host=f"{SUPPORT}:{bed.gw.port}").status == 421
    assert origin.count("/again") == 0


def test_a_ticket_is_used_by_many_at_once_and_each_is_judged(bed, origin):
    """TLS 1.3 tickets may be used again; the lock reaches whoever did."""
    ctx, session = bed.session()
    conns = [H1(bed.gw.port, SUPPORT, bed.gw.ca, ctx=ctx, session=session) for _ in range(5)]
    assert [c.request("GET", "/many").status for c in conns] == [200] * 5
    bed.gw.person("olga").api_ok("POST", "/api/v1/locks", {"kind": "person", "value": "alice", "reason": "enough"})
    for c in conns:
        assert c.ends_within(20)
        c.close()
