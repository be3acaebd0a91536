"""(waits) Audit events to other machines: a webhook that gets signed batches, syslog over TLS (RFC 5425) to servers of our own and to rsyslog; away, back, hostile; each leaf at least once, in order."""
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest

from harness.certificates import Authority
from harness.gateway import free_port, write_config
from harness.people import give_grant, wait_until
from harness.receivers import SECRET, Webhook, server_certificate, verify


def secret_file(folder, text=SECRET, name="secret"):
    path = os.path.join(str(folder), f"{name}-{time.monotonic_ns()}")
    with open(path, "w", encoding="ascii", opener=lambda p, flags: os.open(p, flags, 0o600)) as f:
        f.write(text + "\n")
    return path


def to_hook(hook, folder, **more):
    out = {"webhook": hook.url, "webhook_secret_file": secret_file(folder), **more}
    return {**out, "webhook_ca_file": hook.ca} if hook.ca else out


def events_in(body):
    return [json.loads(line) for line in body.decode("ascii").splitlines()]


def taken(hook, good=lambda n: True):
    """Events of the batches that were answered with a 2xx."""
    with hook.lock:
        return [e for n, (_, body, _) in enumerate(hook.got) if good(n) for e in events_in(body)]


def codes(events):
    return [e["metadata"]["event_code"] for e in events]


def leaves(g):
    import sqlite3
    with sqlite3.connect(f"file:{g.state}/authz.db?mode=ro", uri=True) as db:
        return {seq for seq, kind in db.execute("SELECT seq, type FROM leaf") if kind not in ("segment", "budget.leased", "certificate.known")}


def in_order_at_least_once(get, g):
    wait_until(lambda: leaves(g) <= {e["metadata"].get("sequence") for e in get()}, 120, "all leaves")
    events = get()
    seen = [e["metadata"]["sequence"] for e in events if "sequence" in e["metadata"]]
    first = list(dict.fromkeys(seen))
    assert first == sorted(first), "each leaf comes first in its place"
    text = {}
    for e in events:
        assert text.setdefault(e["metadata"]["uid"], e) == e, "what comes twice is the same, under the same uid"


@pytest.fixture
def hook(tmp_path):
    h = Webhook(str(tmp_path))
    yield h
    h.close()


def test_signed_batches(gateway_of, hook, tmp_path):
    g = gateway_of(audit=to_hook(hook, tmp_path, webhook_authorization_file=secret_file(tmp_path, "Bearer abc.def", "token")))
    give_grant(g.person("alice"), g.person("bob"))
    assert g.nobody().request("GET", "/hello").status == 403
    wait_until(lambda: {"grant.issued", "door.no-certificate", "gateway.started"} <= set(codes(taken(hook))), 60, "the events")
    wait_until(lambda: leaves(g) <= {e["metadata"].get("sequence") for e in taken(hook)}, 60, "all leaves")
    for headers, body, path in hook.got:
        assert verify(SECRET, headers, body) and path == "/in?k=1"
        assert headers["Content-Type"] == "application/x-ndjson" and headers["Authorization"] == "Bearer abc.def"
        assert re.fullmatch(r"aud_[\w-]{22}", headers["Countersign-Batch"]) and int(headers["Countersign-Events"]) == len(events_in(body)) <= 64
        assert body.endswith(b"\n")
    assert len({h["Countersign-Batch"] for h, _, _ in hook.got}) == len(hook.got), "each once"
    in_order_at_least_once(lambda: taken(hook), g)
    assert "abc.def" not in g.log() and SECRET not in g.log() and "k=1" not in g.log()


def test_the_last_word_comes_after_a_restart(gateway_of, hook, tmp_path):
    """What is no leaf, and waited when the gateway stopped, is told later: here the stop itself."""
    g = gateway_of(audit=to_hook(hook, tmp_path))
    wait_until(lambda: "gateway.started" in codes(taken(hook)), 60, "the start")
    hook.behave = lambda n, body: 503
    complaint = g.stop()
    assert complaint is None, complaint
    kept = os.path.join(g.state, "audit.waiting")
    stopped_told = "gateway.stopped" in codes(taken(hook))
    assert stopped_told or "gateway.stopped" in open(kept, encoding="ascii").read()
    n0 = len(hook.got)
    hook.behave = lambda n, body: 200
    g.start()
    wait_until(lambda: "gateway.stopped" in codes(taken(hook)), 60, "the stop")
    wait_until(lambda: "gateway.started" in codes(taken(hook, lambda n: n >= n0)), 60, "the next start")
    in_order_at_least_once(lambda: taken(hook), g)


def test_another_receiver_gets_what_the_former_did_not_take(gateway_of, hook, tmp_path):
    hook.behave = lambda n, body: 503
    g = gateway_of(audit=to_hook(hook, tmp_path))
    give_grant(g.person("alice"), g.person("bob"))
    assert g.nobody().request("GET", "/hello").status == 403
    wait_until(lambda: hook.got, 60, "a try")
    other = Webhook(str(tmp_path))
    g.config["audit"] = to_hook(other, tmp_path)
    write_config(g.state, g.config)
    g.process.send_signal(signal.SIGHUP)
    in_order_at_least_once(lambda: taken(other), g)
    wait_until(lambda: {"door.no-certificate", "gateway.started", "config.reloaded"} <= set(codes(taken(other))), 60, "what is no leaf")
    other.close()


@pytest.mark.parametrize("answer", [500, 404, (302, {"Location": "https://evil.localhost/"}, b""), "hang", "garbage", "endless", "close"])
def test_a_hostile_receiver_holds_up_nobody_and_gets_the_same_again(gateway_of, hook, tmp_path, answer):
    def garbage(handler):
        handler.wfile.write(b"\x16\x03 not HTTP\r\n\r\n")

    def endless(handler):
        handler.wfile.write(b"HTTP/1.1 500 no\r\n\r\n")
        for _ in range(200):
            handler.wfile.write(b"x" * 65536)

    def close(handler):
        handler.connection.close()
    special = {"garbage": garbage, "endless": endless, "close": close}
    bad = special.get(answer, answer) if isinstance(answer, str) else answer
    hook.behave = lambda n, body: bad if n < 2 else 200
    g = gateway_of(audit=to_hook(hook, tmp_path))
    give_grant(g.person("alice"), g.person("bob"))
    wait_until(lambda: leaves(g) <= {e["metadata"].get("sequence") for e in taken(hook, lambda n: n >= 2)}, 120, "all of it")
    (h0, b0, _), (h1, b1, _), (h2, b2, _) = hook.got[:3]
    assert h0["Countersign-Batch"] == h1["Countersign-Batch"] == h2["Countersign-Batch"] and b0 == b1 == b2, "the same, under the same id"
    in_order_at_least_once(lambda: taken(hook, lambda n: n >= 2), g)


def test_away_for_a_while_and_everything_killed(gateway_of, hook, tmp_path):
    g = gateway_of(audit=to_hook(hook, tmp_path))
    alice, bob = g.person("alice"), g.person("bob")
    wait_until(lambda: "gateway.started" in codes(taken(hook)), 60, "the start")
    away = [True]
    accepted = []

    def behave(n, body):
        if away[0]:
            return 503
        accepted.append(n)
        return 200
    n0 = len(hook.got)
    hook.behave = behave
    give_grant(alice, bob)
    wait_until(lambda: any(x.get("event") == "audit.behind" and x.get("place") == "webhook" for x in g.log_lines()), 60, "the log line")
    g.kill("courier")
    give_grant(g.person("mallory"), bob)
    g.kill("authz")
    g.wait_ready()
    away[0] = False
    wait_until(lambda: leaves(g) <= {e["metadata"].get("sequence") for e in taken(hook, lambda n: n < n0 or n in accepted)}, 180, "all leaves")
    in_order_at_least_once(lambda: taken(hook, lambda n: n < n0 or n in accepted), g)


def test_required_and_a_webhook_that_is_away(gateway_of, hook, tmp_path):
    hook.behave = lambda n, body: 503
    g = gateway_of(audit=to_hook(hook, tmp_path, required=True))
    alice = g.person("alice")
    refused = wait_until(lambda: (r := alice.ask(reason=f"because {time.monotonic()}")).status == 503 and r, 60, "a refusal")
    assert refused.problem == "audit-unavailable"
    assert g.person("olga").lock("person", "alice").status == 201, "stopping goes on"
    hook.behave = lambda n, body: 200
    wait_until(lambda: g.person("mallory").ask().status == 201, 120, "decisions again")


def test_what_was_lost_is_said(gateway_of, hook, tmp_path):
    """More refusals than are kept while the receiver is away: the gap is named, at the place and in the log; no leaf is missing."""
    hook.behave = lambda n, body: 503
    g = gateway_of(audit=to_hook(hook, tmp_path))
    alice = g.person("alice")
    wait_until(lambda: hook.got, 60, "the first try")
    end = time.monotonic() + 90
    while not any(x.get("event") == "audit.lost" for x in g.log_lines()):
        assert time.monotonic() < end, "no loss was said"
        for _ in range(20):
            alice.api("POST", "/api/v1/items/req_0000000000000000000000/withdraw", {"reason": "x"})
    n0 = len(hook.got)
    hook.behave = lambda n, body: 200
    lost = wait_until(lambda: [e for e in taken(hook, lambda n: n >= n0) if e["metadata"]["event_code"] == "events.lost"], 60, "the gap")[0]
    assert lost["unmapped"]["place"] == "webhook" and lost["unmapped"]["lost"] >= 1 and lost["severity_id"] == 4 and lost["app"]["name"] == "Countersign"
    in_order_at_least_once(lambda: taken(hook, lambda n: n >= n0), g)


@pytest.mark.parametrize("fault", ["name", "authority", "clear"])
def test_a_receiver_that_is_not_who_it_should_be_gets_nothing(gateway_of, tmp_path, fault):
    hook = Webhook(str(tmp_path), certificate_for="other.localhost" if fault == "name" else None, tls=fault != "clear")
    other = Webhook(str(tmp_path))
    audit = to_hook(hook, tmp_path)
    if fault != "name":
        audit["webhook_ca_file"] = other.ca
    audit["webhook"] = hook.url.replace("http://", "https://") if fault == "clear" else hook.url
    g = gateway_of(audit=audit)
    why = wait_until(lambda: next((x["why"] for x in g.log_lines() if x.get("event") == "audit.behind"), None), 60, "the log line")
    assert why and not hook.got
    hook.close()
    other.close()


# ---- syslog over TLS ----

class Syslog:
    """A server of RFC 5425. `reads`: False: it takes connections and reads nothing. `talks`: it answers, without end."""

    def __init__(self, folder, name="logs.localhost", clients=None, certificate_for=None):
        self.ca, cert, key = server_certificate(str(folder), certificate_for or name, None, f"syslog-{time.monotonic_ns()}")
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(cert, key)
        if clients:
            self.context.load_verify_locations(clients)
            self.context.verify_mode = ssl.CERT_REQUIRED
        self.name, self.port, self.got, self.reads, self.talks, self.subjects, self.connections = name, free_port(), {}, True, False, [], 0
        self.listener, self.open = None, []

    @property
    def where(self):
        return f"tls:{self.name}:{self.port}"

    def begin(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()
        return self

    def accept(self, listener):
        while True:
            try:
                raw, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(raw,), daemon=True).start()

    def serve(self, raw):
        try:
            s = self.context.wrap_socket(raw, server_side=True)
        except (OSError, ssl.SSLError):
            return
        self.connections += 1
        n = self.connections
        self.got[n] = b""
        self.open.append(s)
        if s.getpeercert():
            self.subjects.append(s.getpeercert())
        try:
            while self.talks:
                s.sendall(b"x" * 8192)
            while not self.reads:
                time.sleep(0.1)
            while data := s.recv(65536):
                self.got[n] += data
        except (OSError, ssl.SSLError):
            pass

    def end(self):
        self.listener.shutdown(socket.SHUT_RDWR)   # a thread waits in accept(): closing alone would leave it open
        self.listener.close()
        for s in self.open:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()
        self.open = []

    def messages(self):
        out = []
        for n in sorted(self.got):
            data = self.got[n]
            while data:
                size, sep, rest = data.partition(b" ")
                if not sep or len(rest) < int(size):
                    break
                out.append(rest[:int(size)])
                data = rest[int(size):]
        return out

    def events(self):
        found = [re.fullmatch(rb"<(\d+)>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) \S+ countersign \d+ (\S+) - (\{.*\})", m) for m in self.messages()]
        assert all(found), self.messages()
        out = []
        for m in found:
            e = json.loads(m.group(4))
            assert e["metadata"]["event_code"].encode()[:32] == m.group(3) and int(m.group(1)) >> 3 == 10
            out.append(e)
        return out


@pytest.fixture
def syslog(tmp_path):
    s = Syslog(tmp_path).begin()
    yield s
    s.end()


def test_syslog_over_tls(gateway_of, syslog):
    g = gateway_of(audit={"syslog": syslog.where, "syslog_ca_file": syslog.ca})
    alice, bob = g.person("alice"), g.person("bob")
    give_grant(alice, bob)
    wait_until(lambda: "grant.issued" in codes(syslog.events()), 60, "the events")
    give_grant(g.person("mallory"), bob)
    wait_until(lambda: leaves(g) <= {e["metadata"].get("sequence") for e in syslog.events()}, 60, "all leaves")
    in_order_at_least_once(lambda: syslog.events(), g)
    assert syslog.connections == 1, "one connection is kept"


def test_syslog_away_for_a_while(gateway_of, tmp_path):
    s = Syslog(tmp_path).begin()
    g = gateway_of(audit={"syslog": s.where, "syslog_ca_file": s.ca})
    alice, bob = g.person("alice"), g.person("bob")
    wait_until(lambda: "gateway.started" in codes(s.events()), 60, "the start")
    s.end()
    give_grant(alice, bob)
    wait_until(lambda: any(x.get("event") == "audit.behind" and x.get("place") == "syslog" and x["why"] for x in g.log_lines()), 60, "the log line")
    g.kill("courier")
    give_grant(g.person("mallory"), bob)
    s.begin()
    wait_until(lambda: leaves(g) <= {e["metadata"].get("sequence") for e in s.events()}, 120, "all leaves")
    in_order_at_least_once(lambda: s.events(), g)
    # A server that breaks off: what it may not have read comes once more.
    for c in list(s.open):
        c.shutdown(socket.SHUT_RDWR)
    last = s.events()[-1]["metadata"]["uid"]
    assert alice.ask("billing").status == 201
    wait_until(lambda: leaves(g) <= {e["metadata"].get("sequence") for e in s.events()}, 120, "all leaves")
    assert [e["metadata"]["uid"] for e in s.events()].count(last) == 2
    s.end()


@pytest.mark.parametrize("how", ["reads nothing", "talks"])
def test_a_hostile_syslog_server_holds_up_nobody(gateway_of, syslog, how):
    syslog.reads, syslog.talks = how != "reads nothing", how == "talks"
    g = gateway_of(audit={"syslog": syslog.where, "syslog_ca_file": syslog.ca})
    give_grant(g.person("alice"), g.person("bob"))
    wait_until(lambda: syslog.connections >= 1, 60, "a connection")
    assert g.person("olga").lock("person", "alice").status == 201
    syslog.talks, syslog.reads = False, True
    give_grant(g.person("mallory"), g.person("bob"))
    wait_until(lambda: max(leaves(g)) in {e["metadata"].get("sequence") for e in syslog.events()}, 120, "the newest leaf")
    if how == "reads nothing":
        in_order_at_least_once(lambda: syslog.events(), g)


@pytest.mark.parametrize("fault", ["name", "authority"])
def test_a_syslog_server_that_is_not_who_it_should_be_gets_nothing(gateway_of, tmp_path, fault):
    s = Syslog(tmp_path, certificate_for="other.localhost" if fault == "name" else None).begin()
    other = Syslog(tmp_path)
    g = gateway_of(audit={"syslog": s.where, "syslog_ca_file": s.ca if fault == "name" else other.ca})
    why = wait_until(lambda: next((x["why"] for x in g.log_lines() if x.get("event") == "audit.behind"), None), 60, "the log line")
    assert why
    assert s.messages() == []
    s.end()


def test_a_client_certificate_is_shown(gateway_of, tmp_path):
    ca, cert, key = server_certificate(str(tmp_path), "gateway.localhost", Authority.new("syslog clients"), "syslog-client")
    s = Syslog(tmp_path, clients=ca).begin()
    g = gateway_of(audit={"syslog": s.where, "syslog_ca_file": s.ca, "syslog_certificate": cert, "syslog_key": key})
    wait_until(lambda: "gateway.started" in codes(s.events()), 60, "the start")
    assert dict(s.subjects[0]["subjectAltName"])["DNS"] == "gateway.localhost"
    assert g.process.poll() is None
    s.end()


def rsyslog(folder, ca, cert, key, port):
    out = os.path.join(folder, "received.log")
    conf = os.path.join(folder, "rsyslog.conf")
    with open(conf, "w", encoding="ascii") as f:
        f.write(f'''global(workDirectory="{folder}" defaultNetstreamDriverCAFile="{ca}" defaultNetstreamDriverCertFile="{cert}" defaultNetstreamDriverKeyFile="{key}" maxMessageSize="16k")
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon")
input(type="imtcp" address="127.0.0.1" port="{port}")
template(name="plain" type="string" string="%msgid% %app-name% %msg%\\n")
*.* action(type="omfile" file="{out}" template="plain")
''')
    p = subprocess.Popen(["rsyslogd", "-n", "-f", conf, "-i", os.path.join(folder, "rsyslog.pid")], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    return p, out


@pytest.mark.skipif(shutil.which("rsyslogd") is None or not any(os.path.exists(os.path.join(d, "rsyslog/lmnsd_gtls.so")) for d in ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu")),
                    reason="rsyslog-gnutls is not installed")
def test_rsyslog_takes_it(gateway_of, tmp_path):
    folder = str(tmp_path / "rsyslog")
    ca, cert, key = server_certificate(folder, "logs.localhost")
    port = free_port()
    p, out = rsyslog(folder, ca, cert, key, port)
    try:
        g = gateway_of(audit={"syslog": f"tls:logs.localhost:{port}", "syslog_ca_file": ca})

        def told():
            if not os.path.exists(out):
                return []
            with open(out, encoding="ascii") as f:
                return [line.split(" ", 2) for line in f.read().splitlines()]
        give_grant(g.person("alice"), g.person("bob"))
        wait_until(lambda: "grant.issued" in [t[0] for t in told()], 60, "the events")
        p.send_signal(signal.SIGTERM)
        p.wait(30)
        give_grant(g.person("mallory"), g.person("bob"))
        p, out = rsyslog(folder, ca, cert, key, port)
        wait_until(lambda: leaves(g) <= {json.loads(t[2])["metadata"].get("sequence") for t in told() if t[1] == "countersign"}, 120, "all leaves")
    finally:
        p.kill()
        p.wait(30)
