"""Every decision and administrative act is told as a line of OCSF JSON: all of them, in order, once, and only what is true; places that fail keep nobody waiting, unless they must."""
import json
import os
import re
import signal
import socket
import time
import urllib.request

import pytest

from harness.authenticator import Authenticator, confirmed
from harness.gateway import free_port
from harness.people import give_grant, hold, wait_until

CLASSES = {3001: (3, {10}), 3002: (3, {1, 2}), 3004: (3, {1, 2, 3, 4, 99}), 3005: (3, {1, 2}), 6002: (6, {1, 3, 4, 99}), 6003: (6, {99})}
NEEDS = {3001: "user", 3002: "user", 3004: "entity", 3005: "user", 6002: "app", 6003: "src_endpoint"}


def lines_of(path):
    try:
        with open(path, encoding="ascii") as f:   # nothing else may be in it
            return [json.loads(line) for line in f.read().splitlines(keepends=True) if line.endswith("\n")]
    except FileNotFoundError:
        return []


def named(events, *names):
    return [e for e in events if e["metadata"]["event_code"] in names]


def check(e):
    """Consistent in itself, as the schema demands."""
    category, activities = CLASSES[e["class_uid"]]
    assert e["category_uid"] == category and e["activity_id"] in activities, e
    assert e["type_uid"] == e["class_uid"] * 100 + e["activity_id"], e
    assert e["type_name"] == f"{e['class_name']}: {e['activity_name']}", e
    assert isinstance(e["time"], int) and 1 <= e["severity_id"] <= 5 and e["status_id"] in (1, 2), e
    assert e["metadata"]["version"] == "1.3.0" and e["metadata"]["product"]["name"] == "Countersign" and e["metadata"]["uid"], e
    assert NEEDS[e["class_uid"]] in e, e
    if e["class_uid"] == 3005:
        assert e["privileges"] and isinstance(e["privileges"], list), e


def audit(gw):
    return os.path.join(gw.state, "audit.jsonl")


def told(gw, *names, count=1):
    return wait_until(lambda: len(named(lines_of(audit(gw)), *names)) >= count and named(lines_of(audit(gw)), *names), 30, " ".join(names))


def end(gw, who, grant):
    assert gw.person("olga").lock("grant", grant).status == 201
    wait_until(lambda: not who.status()["grants"], 20, "the end of the grant")


@pytest.fixture
def quick(gateway_of):
    return gateway_of(audit={"file": "audit.jsonl"}, keys={"delay": "0s"}, lock_when={"refusals": 3, "refusals_within": "1h"})


def test_all_events_happen_and_are_told(quick, origin, tmp_path):
    """One story in which every row of the table comes about, but those that other tests have."""
    g = quick
    alice, bob, carol, dan, olga, sam = (g.person(n) for n in ("alice", "bob", "carol", "dan", "olga", "sam"))
    elsewhere = {"config.refused", "session.erased", "session.moved", "history.erased", "retention.set", "retention.suspended", "retention.confirmed", "log.leaf", "auditor-key.retired", "item.expired", "events.lost",
                 # Leaves of kinds of grants and of policy changes, each with a file of tests of its own.
                 "grant.carried", "external.admitted", "auto.approved", "break-glass.used", "review.done", "review.overdue", "issuer.keys", "issuer.stale", "delegate.named", "delegate.ended", "item.escalated", "policy.proposed",
                 "policy.accepted", "policy.released"}
    # The door.
    assert g.nobody().request("GET", "/hello").status == 403
    stranger = g.issue_person("stranger@test.localhost", "stranger")
    assert g.nobody(stranger).get("/hello").status == 403
    gone = g.issue_person("alice-old@test.localhost", "gone")
    g.revoke(gone)
    g.process.send_signal(signal.SIGHUP)
    wait_until(lambda: b"certificate-revoked" in g.nobody(gone).get("/hello").body, 30, "the revocation")
    # Requests, answers, grants, a session, an export.
    r = alice.ask().json()["request"]["id"]
    assert alice.decide(r).problem == "self-approval"
    assert bob.decide(r, "deny").status == 200
    mine = alice.ask("billing").json()["request"]["id"]
    assert alice.api("POST", f"/api/v1/items/{mine}/withdraw", {"reason": "not needed"}).status == 200
    grant = give_grant(alice, bob)["grant_id"]
    assert alice.get("/hello?token=planted-in-a-query").status == 200
    held = hold(alice)["id"]
    assert carol.decide(held).status == 200
    wait_until(lambda: (x := alice.release(held)) and x[1] is not None, what="the export")
    assert alice.api("POST", "/api/v1/requests", {"tool": "support", "reason": "longer", "duration_s": 900, "extends": grant}).status == 201
    more = next(i["id"] for i in alice.status()["requests"] if i["state"] == "pending")
    assert bob.decide(more).status == 200
    # Looking, holding.
    wait_until(lambda: dan.api_ok("GET", "/api/v1/sessions")["sessions"], 30, "the session")
    dan.cli("verify", grant, expect=0)
    kept = dan.api_ok("POST", "/api/v1/holds", {"kind": "session", "value": grant, "reason": "case 7"})["hold"]["id"]
    assert sam.api("POST", f"/api/v1/holds/{kept}/release", {"reason": "case closed"}).status == 200
    # Locks, keys.
    hold(alice, body=b"another")
    end(g, alice, grant)
    lock = next(x for x in olga.api_ok("GET", "/api/v1/locks")["locks"] if x["value"] == grant)["id"]
    assert olga.unlock(lock).status == 200
    key = confirmed(g, carol, bob)
    assert isinstance(key, Authenticator)
    mine = next(k["id"] for k in carol.api_ok("GET", "/api/v1/keys")["keys"] if "id" in k)
    assert carol.api("DELETE", f"/api/v1/keys/{mine}?reason=lost").status == 200
    path = os.path.join(g.state, "approval-keys")
    with open(path, encoding="ascii") as f:
        rows = f.read().splitlines(keepends=True)
    with open(path, "w", encoding="ascii") as f:
        f.writelines(row for row in rows if not row.startswith("mallory "))
    g.person("nina").cli("certs", "signing-key", "next", "-c", os.path.join(g.state, "test.conf"), expect=0)
    g.process.send_signal(signal.SIGHUP)
    told(g, "key.signing")
    # A rule's lock, and who is locked at the door.
    give_grant(g.person("mallory"), bob)
    for _ in range(4):
        g.person("mallory").get("/internal/keys")
    wait_until(lambda: any(x["value"] == "mallory" for x in olga.api_ok("GET", "/api/v1/locks")["locks"]), 30, "the rule's lock")
    assert g.person("mallory").get("/hello").status == 403
    for name in ("door.locked", "session.closed", "certificate.revoked"):
        told(g, name)
    complaint = g.stop()
    assert complaint is None, complaint
    events = lines_of(audit(g))
    for e in events:
        check(e)
    table = json.loads(g.person("dan").cli("events", "--json", expect=0).stdout)["events"]
    names = {e["metadata"]["event_code"] for e in events}
    assert names <= {r["name"] for r in table}
    missing = {r["name"] for r in table} - names
    assert missing <= elsewhere, missing - elsewhere
    # Each leaf once, in order; and what is told is what is so.
    uids = [e["metadata"]["uid"] for e in events]
    assert len(set(uids)) == len(uids)
    sequence = [e["metadata"]["sequence"] for e in events if "sequence" in e["metadata"]]
    assert sequence == sorted(sequence)
    denial, = named(events, "denial")
    assert denial["actor"]["user"]["name"] == "bob" and denial["unmapped"]["requester"] == "alice" and denial["entity"]["uid"] == r
    issued = named(events, "grant.issued")[0]
    assert issued["user"]["name"] == "alice" and issued["resource"]["name"] == "support" and issued["unmapped"]["approved_by"] == ["bob"]
    opened = named(events, "session.opened")[0]
    assert opened["session"]["uid"] == grant == opened["metadata"]["correlation_uid"] and opened["user"]["name"] == "alice"
    assert [e["unmapped"]["purpose"] for e in named(events, "session.read")] == ["verify", "replay"]   # the download is a look of its own
    refused = [e for e in named(events, "op.refused") if e["status_code"] == "self-approval"]
    assert refused and refused[0]["actor"]["user"]["name"] == "alice" and refused[0]["status_id"] == 2
    doors = named(events, "door.certificate-refused")
    assert {"revoked"} <= {e["status_code"] for e in doors} and all(e["src_endpoint"]["ip"] == "127.0.0.1" for e in doors)
    whole = json.dumps(events)
    for secret in ("planted-in-a-query", "eyJ", "BEGIN"):
        assert secret not in whole


def test_the_page_is_made_from_the_table(gateway_of):
    g = gateway_of(start=False)
    here = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    with open(os.path.join(here, "authz", "events.md"), encoding="utf-8") as f:
        assert g.run_command("events", "--markdown").stdout.decode() == f.read()


def test_every_leaf_that_the_code_writes_has_a_row(gateway_of):
    """Leaves that no row and no reason to be quiet is there for would be told as log.leaf only."""
    g = gateway_of(start=False)
    folder = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "authz")
    rows = {e.get("leaf") for e in json.loads(g.run_command("events", "--json").stdout)["events"]} | {"segment", "budget.leased", "certificate.known"}
    found = set()
    for name in os.listdir(os.path.join(folder, "approvals")):
        if name.endswith(".c") and not name.endswith("_test.c"):
            with open(os.path.join(folder, "approvals", name), encoding="utf-8") as f:
                for call in re.findall(r"write_leaf\(\w+,(.*?)(?:json_pack|,\s*(?:content|facts|json_incref))", f.read(), re.S):
                    found |= set(re.findall(r'"([a-z-]+(?:\.[a-z-]+)?)"', re.sub(r'strcmp\([^)]*\)', "", call)))
    assert len(found) > 25 and found <= rows, found - rows


def test_logrotate_and_kill(gateway_of):
    """Renamed at any moment, and authz killed: every leaf is in one of the files, in order but for what comes twice."""
    g = gateway_of(audit={"file": "audit.jsonl"})
    alice, bob = g.person("alice"), g.person("bob")
    old = audit(g) + ".1"
    give_grant(alice, bob)
    told(g, "grant.issued")
    os.rename(audit(g), old)
    wait_until(lambda: os.path.exists(audit(g)), 20, "the new file")
    g.kill("authz")
    g.wait_ready()
    give_grant(g.person("mallory"), bob)
    told(g, "grant.issued")
    time.sleep(1)
    complaint = g.stop()
    assert complaint is None, complaint
    events = lines_of(old) + lines_of(audit(g))
    seen = {e["metadata"]["sequence"] for e in events if "sequence" in e["metadata"]}
    quiet = {"segment", "budget.leased", "certificate.known"}
    import sqlite3
    with sqlite3.connect(f"file:{g.state}/authz.db?mode=ro", uri=True) as db:
        leaves = {seq for seq, kind in db.execute("SELECT seq, type FROM leaf") if kind not in quiet}
    assert leaves <= seen, leaves - seen


def metric(port, name):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as r:
        return int(re.search(rf"^{name} (\d+)$", r.read().decode(), re.M).group(1))


def full_place(folder):
    """A pipe that somebody holds open and nobody reads: full, at once."""
    path = os.path.join(folder, "audit.pipe")
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    try:
        while True:
            os.write(writer, b"x" * 4096)
    except BlockingIOError:
        pass
    os.close(writer)
    return path, reader


def test_a_place_that_takes_nothing_keeps_nobody_waiting(gateway_of):
    port = free_port()
    g = gateway_of(start=False, operator_listen=f"127.0.0.1:{port}")
    path, reader = full_place(g.folder)
    g.config["audit"] = {"file": path}
    g.start()
    for who in ("alice", "mallory"):
        give_grant(g.person(who), g.person("bob"))
    assert wait_until(lambda: metric(port, "countersign_audit_events_waiting"), 20, "the metric") > 3
    wait_until(lambda: any(x.get("event") == "audit.behind" for x in g.log_lines()), 30, "the log line")
    # Read again: all of it comes, in order.
    got = b""
    end_at = time.monotonic() + 30
    while time.monotonic() < end_at and b'"grant.issued"' not in got.rpartition(b"x" * 64)[2]:
        try:
            got += os.read(reader, 1 << 16)
        except BlockingIOError:
            time.sleep(0.05)
    wait_until(lambda: metric(port, "countersign_audit_events_waiting") == 0, 30, "nothing waits")
    assert metric(port, "countersign_audit_events_lost_total") == 0
    os.close(reader)


def test_required_means_that_nothing_is_decided(gateway_of):
    g = gateway_of(start=False)
    path, reader = full_place(g.folder)
    g.config["audit"] = {"file": path, "required": True}
    g.start()
    alice = g.person("alice")
    refused = wait_until(lambda: (r := alice.ask(reason=f"because {time.monotonic()}")).status == 503 and r, 60, "a refusal")
    assert refused.problem == "audit-unavailable"
    assert g.person("olga").lock("person", "alice").status == 201, "stopping goes on"
    os.read(reader, 1 << 20)
    bob = g.person("mallory")

    def asked():
        try:
            os.read(reader, 1 << 20)
        except BlockingIOError:
            pass
        return bob.ask().status == 201
    wait_until(asked, 60, "decisions again")
    os.close(reader)


@pytest.mark.parametrize("kind", ["unix", "udp", "tcp"])
def test_syslog(gateway_of, kind):
    g = gateway_of(start=False)
    if kind == "unix":
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = os.path.join(g.folder, "log.sock")
        s.bind(path)
        where = "unix:" + path
    else:
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
        s.bind(("127.0.0.1", 0))
        where = f"{kind}:127.0.0.1:{s.getsockname()[1]}"
    if kind == "tcp":
        s.listen()
    s.settimeout(30)
    g.config["audit"] = {"syslog": where}
    g.start()
    peer = s.accept()[0] if kind == "tcp" else s
    peer.settimeout(30)
    data = b""
    while b"gateway.started" not in data:
        got = peer.recv(65536)
        assert got
        data = got if kind != "tcp" else data + got
    if kind == "tcp":                 # counted octets (RFC 6587)
        frames = []
        while data:
            n, _, data = data.partition(b" ")
            frames.append(data[:int(n)])
            data = data[int(n):]
        data = next(f for f in frames if b"gateway.started" in f)
    m = re.fullmatch(rb"<86>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) \S+ countersign \d+ gateway\.started - (\{.*\})", data)
    assert m, data
    check(json.loads(m.group(2)))
    if peer is not s:
        peer.close()
    s.close()


def test_standard_output(gateway_of):
    g = gateway_of(audit={"stdout": True})    # both streams of this gateway go to one file
    assert g.nobody().request("GET", "/hello").status == 403
    lines = wait_until(lambda: (x := [e for e in g.log_lines() if "class_uid" in e]) and named(x, "door.no-certificate") and named(x, "gateway.started") and x, 30, "the lines")
    for e in lines:
        check(e)


def test_a_place_that_cannot_be_opened_is_refused(gateway_of):
    g = gateway_of(audit={"file": "audit.jsonl"})
    g.config["audit"] = {"file": "nowhere/audit.jsonl"}
    from harness.gateway import write_config
    write_config(g.state, g.config)
    g.process.send_signal(signal.SIGHUP)
    wait_until(lambda: any(x.get("event") == "config.problem" for x in g.log_lines()), 30, "the refusal")
    assert b"audit" in g.run_command("check", "-c", os.path.join(g.state, "test.conf")).stdout
    give_grant(g.person("alice"), g.person("bob"))
    told(g, "grant.issued")


def test_a_flood_at_the_door_is_told_together(gateway_of):
    g = gateway_of(audit={"file": "audit.jsonl"})
    for _ in range(120):
        assert g.nobody().request("GET", "/hello").status == 403
    def counted():
        return sum(e.get("count", 1) for e in named(lines_of(audit(g)), "door.no-certificate"))
    wait_until(lambda: counted() == 120, 30, "all of them")
