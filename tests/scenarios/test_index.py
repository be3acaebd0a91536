"""Which customers somebody touched: named in each record, listed in a sealed index beside the segments, and found by the gateway through keyed hashes only."""
import base64
import collections
import hashlib
import hmac
import io
import json
import os
import re
import tarfile
import zlib

import pytest

from harness.age import recipients_of
from harness.gateway import Gateway
from harness.people import give_grant, wait_until
from harness.recording import index_lines, parse_record, read_tar, unsealed_members
from test_sealing import members, tar_path

PLANTED = "planted-4c1d"


def named(config):
    """Customers are limited, accounts only named."""
    tool = config["tools"][0]
    tool["budget"] = {"distinct": [{"name": "customer", "path": "/customers/{customer}/**", "max": 50}, {"name": "account", "query": "account"}]}


# What is asked for, and whom that touches.
PAGES = [
    ("/customers/17", ["customer=17"]),
    ("/customers/17/orders?page=2", ["customer=17"]),
    ("/customers/%31%38", ["customer=18"]),
    ("/Customers/19", ["customer=19"]),
    ("/customers/20/", ["customer=20"]),
    ("/customers/21;v=1", ["customer=21%3Bv%3D1", "customer=21"]),
    (f"/page?account={PLANTED}", [f"account={PLANTED}"]),
    ("/customers/jos%c3%a9", ["customer=jos%C3%A9"]),
    ("/page?account=7&Account=8&account=7", ["account=7", "account=8"]),
    ("/customers", None),
    ("/page?account=", None),
]


@pytest.fixture(scope="module")
def gw(origin):
    g = Gateway(origin, change=named)
    yield g
    g.finish()


@pytest.fixture(scope="module")
def story(gw, origin):
    """alice opens all pages, mallory one of them; their sessions, once all is on the disk and in the log."""
    sessions = {}
    for who in ("alice", "mallory"):
        sessions[who] = give_grant(gw.person(who), gw.person("bob"))["grant_id"]
        for target, _ in PAGES if who == "alice" else PAGES[:1]:
            assert gw.person(who).get(target).status == 200, target
    gw.person("alice").get("/internal/keys?account=9")   # refused: nobody saw anything
    wait_until(lambda: len(found(gw, "account=9")) == 1 and len(found(gw, "17")) == 2, what="both sessions in the log")
    return sessions


def found(gw, customer):
    out = gw.person("dan").cli("sessions", "--customer", customer, "--json", expect=0).stdout
    return {s["id"] for s in json.loads(out)["sessions"]}


def shown(gw, session, *args):
    return json.loads(gw.person("dan").cli("show", session, "--json", *args, expect=0).stdout)["exchanges"]


def test_each_spelling_names_its_customer(gw, story):
    by_number = [e for e in shown(gw, story["alice"]) if "/internal" not in e["target"]][-len(PAGES):]
    assert [e.get("touched") for e in by_number] == [names for _, names in PAGES]
    with open(tar_path(gw, story["alice"]), "rb") as f:
        records = read_tar(f.read())
    fields = [r.fields.get("countersign-names") for r in records if r.type == "request"]
    assert collections.Counter(f for f in fields if f) == collections.Counter([",".join(names) for _, names in PAGES if names] + ["account=9"])


def test_show_narrows_down_to_a_customer(gw, story):
    for typed, count in (("17", 2), ("customer=17", 2), ("18", 1), ("1", 0), ("josé", 1), ("jos%C3%A9", 1), ("account=8", 1), ("8", 0), (f"account={PLANTED}", 1)):
        assert len(shown(gw, story["alice"], "--customer", typed)) == count, typed
    text = gw.person("dan").cli("show", story["alice"], "--customer", "20", expect=0).stdout.decode()
    assert "customer=20" in text and "customer=17" not in text


def test_sessions_are_found_by_customer(gw, story):
    alice, mallory = story["alice"], story["mallory"]
    for typed, who in (("17", {alice, mallory}), ("customer=17", {alice, mallory}), ("18", {alice}), ("josé", {alice}), ("account=7", {alice}), ("account=9", {alice}), ("7", set()),
                       ("99", set()), (f"account={PLANTED}", {alice})):
        assert found(gw, typed) == who, typed
    p = gw.person("dan").cli("sessions", "--customer", "=7")
    assert p.returncode == 1 and b"NAME=ID" in p.stderr
    assert gw.person("alice").api("GET", "/api/v1/sessions?customer=17").status == 403


def test_incident_names_the_customers_and_proves_it(gw, story):
    r = json.loads(gw.person("dan").cli("incident", "--person", "alice", "--from", "1h", "--json", expect=0).stdout)
    expected = collections.Counter(name for _, names in PAGES for name in names or [])
    assert r["summary"]["customers"] == dict(expected)
    lines = {line["touched"]: line for line in r["lines"] if line["kind"] == "customer"}
    assert {name: line["count"] for name, line in lines.items()} == dict(expected)
    info = gw.person("dan").api_ok("GET", f"/api/v1/sessions/{story['alice']}")
    leaves = {leaf["seq"]: leaf for leaf in info["leaves"]}
    with open(tar_path(gw, story["alice"]), "rb") as f:
        by_id = {rec.fields["warc-record-id"]: rec for rec in read_tar(f.read())}
    for name, line in lines.items():
        assert line["session"] == story["alice"] and line["last_ms"] >= line["time_ms"]
        assert leaves[line["leaf"]]["type"] == "segment" and leaves[line["leaf"]]["content"]["number"] == line["segment"]
        request = by_id[by_id[line["record"]].fields["warc-concurrent-to"]]
        assert name in request.fields["countersign-names"].split(",") and int(request.member[:6]) == line["segment"]
    text = gw.person("dan").cli("incident", "--person", "alice", "--from", "1h", expect=0).stdout.decode()
    assert f"Customers touched: {len(expected)}" in text and f"account={PLANTED} (1)" in text
    rows = gw.person("dan").cli("incident", "--person", "alice", "--from", "1h", "--csv", expect=0).stdout.decode()
    assert '"customer=17"' in rows


def test_the_gateway_keeps_keyed_hashes_only(gw, story):
    for folder, _, files in os.walk(gw.state):
        for name in files:
            if not os.path.isfile(os.path.join(folder, name)):
                continue
            with open(os.path.join(folder, name), "rb") as f:
                assert PLANTED.encode() not in f.read(), name
    leaves = gw.person("dan").api_ok("GET", f"/api/v1/sessions/{story['mallory']}")["leaves"]
    touched = [h for leaf in leaves if leaf["type"] == "segment" for h in leaf["content"].get("touched", [])]
    assert len(touched) == 1 and re.fullmatch("[A-Za-z0-9_-]{16}", touched[0])
    # Computed a second time, as authz/touched.h says.
    with open(os.path.join(gw.state, "keys", "fingerprint.key"), "rb") as f:
        key = hmac.new(f.read(), b"countersign touched v1", hashlib.sha256).digest()
    mac = hmac.new(key, b"customer=17", hashlib.sha256).digest()
    assert base64.urlsafe_b64encode(mac[:12]).decode() == touched[0]


def test_secrets_in_answers_are_named_by_fingerprint(gw, origin, story):
    alice = gw.person("alice")

    async def answer(request, conn):
        await conn.answer(body=b'{"api_key":"planted-key-2","name":"x"}', fields=[("Content-Type", "application/json"), ("X-Api-Key", "planted-key-1")])
    origin.on("/page", answer)
    for _ in range(2):
        assert b"planted-key-2" in alice.get("/page").body

    def seen():
        r = json.loads(gw.person("dan").cli("incident", "--person", "alice", "--from", "1h", "--json", expect=0).stdout)
        lines = [line for line in r["lines"] if line["kind"] == "secret"]
        return r["summary"], {line["touched"].split("=")[0]: line for line in lines}
    summary, lines = wait_until(lambda: (s := seen())[0]["secrets_removed"] == 2 and s, what="the secrets")
    assert lines["x-api-key"]["count"] == 2 and re.fullmatch(r"x-api-key=fp:[\w-]{16}", lines["x-api-key"]["touched"]) and lines["removed"]["count"] == 2
    assert summary["secrets"][lines["x-api-key"]["touched"]] == 2 and "planted-key" not in json.dumps([summary, lines])
    text = gw.person("dan").cli("incident", "--person", "alice", "--from", "1h", expect=0).stdout.decode()
    assert "Secrets seen: 1 by fingerprint, and 2 values taken out of bodies" in text


# ---- the index ----

def records_of(data):
    """What the records say of each exchange, by an independent reader: number → (request line, status, names, first and last segment, offset)."""
    found = {}
    for name, content in unsealed_members(data):
        at = 0
        while at < len(content):
            d = zlib.decompressobj(wbits=31)
            record = parse_record(d.decompress(content[at:]), name)
            one = found.setdefault(record.fields.get("countersign-exchange"), {"segments": []})
            one["segments"].append(int(name[:6]))
            if record.type == "request":
                one.update(request=record.block.split(b"\r\n")[0].decode("latin-1"), names=record.fields.get("countersign-names"), offset=at, segment=int(name[:6]),
                           action=record.fields.get("countersign-action"))
            if record.type == "response" and not record.block.startswith(b"HTTP/1.1 1"):
                one.update(status=int(record.block[9:12]), record=record.fields["warc-record-id"], bytes=len(record.block.split(b"\r\n\r\n", 1)[1]))
            at = len(content) - len(d.unused_data)
    found.pop(None, None)
    return found


def test_the_index_says_what_the_records_say(gateway_of, origin):
    gw = gateway_of(change=named)
    session = give_grant(gw.person("alice"), gw.person("bob"))["grant_id"]
    for target, _ in PAGES:
        gw.person("alice").get(target)
    wait_until(lambda: found(gw, "20") == {session}, what="the session in the log")
    before = gw.person("dan").cli("show", session, expect=0).stdout.decode()
    assert "No index covers" in before
    gw.stop()
    with open(tar_path(gw, session), "rb") as f:
        data = f.read()
    indexes = index_lines(data)
    assert len(indexes) == 1
    name, first, lines = indexes[0]
    kept = members(tar_path(gw, session))
    last = max(int(n[:6]) for n in kept if "warc" in n)
    assert name == f"{last + 1:06d}.index.jsonl.gz.age" and first == {"index": 1, "session": session, "from": 1, "to": last} and recipients_of(kept[name]) == 2
    said = records_of(data)
    assert {str(line["exchange"]) for line in lines} == set(said) and len(lines) >= len(PAGES)
    for line in lines:
        r = said[str(line["exchange"])]
        assert (line["request"], line["status"], line["action"], line.get("touched"), line["record"]) == (r["request"], r["status"], r["action"], r["names"], r["record"])
        assert (line["segment"], line["offset"], line["last_segment"], line["response_bytes"]) == (r["segment"], r["offset"], max(r["segments"]), r["bytes"])
    # Our own command tells the same with it as without, and then reads no segment.
    gw.start()
    after = gw.person("dan").cli("show", session, expect=0).stdout.decode()
    assert "No index covers" not in after

    def pages(text):
        return [line for line in text.splitlines() if re.match(r" +\d+  \d\d:", line)]
    assert pages(after) and pages(after)[:len(pages(before))] == pages(before)
    listing = gw.person("dan").request("GET", f"/api/v1/sessions/{session}/listing", host="console.test.localhost")
    assert listing.status == 200 and [n for n in members_of(listing.body)] == [name] and len(listing.body) < len(data)
    gw.person("dan").cli("verify", session, expect=0)


def members_of(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return [m.name for m in tar if m.isfile()]


def test_an_altered_index_is_found_and_not_believed(gateway_of, origin):
    gw = gateway_of(change=named)
    session = give_grant(gw.person("alice"), gw.person("bob"))["grant_id"]
    for target, _ in PAGES:
        gw.person("alice").get(target)
    gw.restart()
    path = tar_path(gw, session)
    with open(path, "rb") as f:
        data = bytearray(f.read())
    name = index_lines(bytes(data))[0][0]
    at = data.index(name.encode(), data.index(name.encode()) + 1) + 512 + 700     # in what is sealed
    data[at] ^= 1
    with open(path, "r+b") as f:
        f.write(data)
    p = gw.person("dan").cli("verify", session)
    assert p.returncode == 1 and f"altered-segment, segment {int(name[:6])}" in p.stdout.decode()
    p = gw.person("dan").cli("show", session, "--customer", "17")
    assert p.returncode == 0 and b"can't be read" in p.stderr and p.stdout.count(b"customer=17") == 2
    p = gw.person("dan").cli("incident", "--person", "alice", "--from", "1h", "--json", expect=0)
    assert json.loads(p.stdout)["summary"]["customers"]["customer=17"] == 2


def test_without_an_index_the_segments_tell(gateway_of, origin):
    gw = gateway_of(change=named)
    session = give_grant(gw.person("alice"), gw.person("bob"))["grant_id"]
    for target, _ in PAGES:
        gw.person("alice").get(target)
    wait_until(lambda: found(gw, "20") == {session}, what="the session in the log")
    gw.kill_all()
    gw.start()
    wait_until(lambda: len(shown(gw, session)) >= len(PAGES), what="the recording after the crash")
    with open(tar_path(gw, session), "rb") as f:
        assert index_lines(f.read()) == []
    r = json.loads(gw.person("dan").cli("incident", "--person", "alice", "--from", "1h", "--json", expect=0).stdout)
    assert r["summary"]["customers"]["customer=17"] == 2
    assert b"since no index covers them" in gw.person("dan").cli("incident", "--person", "alice", "--from", "1h", expect=0).stdout
    gw.person("dan").cli("verify", session, expect=0)
