"""One session that went through two nodes: their folders make one timeline, offline, and each node's log is checked with its own key. Clocks that differ are said."""
import json
import os
import re
import shutil
from email.utils import formatdate

import pytest

from harness.gateway import Gateway, command
from harness.people import acknowledge, give_grant, wait_until
from harness.recording import exchanges, gzip_members, parse_record, read_tar

AHEAD_S = 40


async def dated(request, conn):
    await conn.answer(body=f"seen {request.target}".encode(), fields=[("Content-Type", "text/plain"), ("Date", formatdate(usegmt=True))])


def recorded(gw, session):
    path = os.path.join(gw.state, "recordings", f"{session}.tar")
    if not os.path.exists(path):
        return 0
    with open(path, "rb") as f:
        return sum("/dated" in e.request_line and bool(e.response) for e in exchanges(read_tar(f.read())))


@pytest.fixture(scope="module")
def story(origin, tmp_path_factory):
    """Two nodes of one state, the second with a clock that is 40 s ahead; alice's requests go to one and the other by turns. There is no store for several nodes yet: the second begins as a copy."""
    origin.on("/dated", dated)
    a, b = Gateway(origin), Gateway(origin, start=False, clock_offset_s=AHEAD_S)
    try:
        session = give_grant(a.person("alice"), a.person("bob"), notice=False)["grant_id"]
        acknowledge(a.person("alice"), session)
        assert a.stop() is None
        shutil.rmtree(b.state)
        shutil.copytree(a.state, b.state, symlinks=True, ignore=shutil.ignore_patterns("run"))
        for gw in (a, b):
            gw.start()
            wait_until(lambda: gw.person("alice").get("/ready").status == 200, what="the grant at the worker")
        for i in range(8):
            gw = (a, b)[i % 2]
            assert gw.person("alice").get(f"/dated?i={i}").status == 200
        for gw in (a, b):
            wait_until(lambda: recorded(gw, session) == 4, 60, "the recording")
            wait_until(lambda: command("verify", session, "--recordings", gw.state).returncode == 0, 60, "its segments in the log")
        folder = str(tmp_path_factory.mktemp("nodes"))
        kept = os.path.join(folder, "kept")
        b.person("dan").cli("verify", session, "--save", kept, expect=0)
        for gw in (a, b):
            assert gw.stop() is None
        yield {"session": session, "a": a, "b": b, "kept": kept, "folder": folder}
    finally:
        a.finish()
        b.finish()


def run(story, *args, kept=False, expect=0, **more):
    """With node-a's state folder and node-b's, or what `verify --save` kept of node-b."""
    folders = ["--recordings", f"node-a={story['a'].state}", "--recordings", f"node-b={story['kept'] if kept else story['b'].state}"]
    env = dict(story["a"].env(), COUNTERSIGN_AUDITOR_KEY=story["a"].auditor_key(), HOME="/nonexistent")
    p = command(*args, *folders, env=env, **more)
    assert p.returncode == expect, (args, p.returncode, p.stdout[-2000:], p.stderr[-2000:])
    return p


@pytest.mark.parametrize("kept", [False, True])
def test_one_timeline_of_two_nodes(story, kept):
    said = json.loads(run(story, "show", story["session"], "--json", kept=kept).stdout)
    lines = [x for x in said["exchanges"] if x["target"].startswith("/dated?")]
    assert sorted(x["target"] for x in lines) == [f"/dated?i={i}" for i in range(8)]
    assert [x["started_ms"] for x in said["exchanges"]] == sorted(x["started_ms"] for x in said["exchanges"])
    assert all(x["node"] == ("node-a", "node-b")[int(x["target"][-1]) % 2] for x in lines)
    # Each cites its proof: the record is in that node's recording, the leaf in its log.
    for x in lines:
        gw = story["a"] if x["node"] == "node-a" else story["b"]
        with open(os.path.join(gw.state, "recordings", f"{story['session']}.tar"), "rb") as f:
            assert any(r.fields["warc-record-id"] == x["record_id"] for r in read_tar(f.read()))
        leaf = [one for one in said["leaves"] if (one["node"], one["seq"]) == (x["node"], x["leaf"])]
        assert leaf and leaf[0]["type"] == "segment" and leaf[0]["content"]["number"] == x["first_segment"]
    # The decisions are there once, although both logs begin with them.
    assert [one["type"] for one in said["leaves"]].count("grant.issued") == 1


def test_clocks_that_differ_are_said(story):
    said = json.loads(run(story, "show", story["session"], "--json").stdout)["nodes"]
    other = [n for n in said if n["node"] == "node-b"][0]
    assert other["compared_with"] == "node-a" and other["least_ms"] <= AHEAD_S * 1000 <= other["most_ms"] and other["least_ms"] > 0
    out = run(story, "show", story["session"]).stdout.decode()
    assert re.search(r"node-b: its clock is \d+\.\d s to \d+\.\d s ahead of node-a's", out)
    assert re.search(r"/dated\?i=3 .*\[node-b, record <?urn:uuid:[0-9a-f-]+>?, leaf \d+\]", out)
    assert "ahead of node-a's" in run(story, "replay", story["session"], "--speed", "0").stdout.decode()


def test_replay_plays_both_and_export_takes_both(story, tmp_path):
    out = run(story, "replay", story["session"], "--speed", "0").stdout.decode()
    assert all(f"seen /dated?i={i}" in out for i in range(8))
    har = tmp_path / "s.har"
    run(story, "export", story["session"], "--output", str(har))
    entries = [e for e in json.loads(har.read_text())["log"]["entries"] if "/dated?" in e["request"]["url"]]
    assert len(entries) == 8 and {e["_node"] for e in entries} == {"node-a", "node-b"} and all(e["_leaf"] > 0 and "uuid" in e["_record"] for e in entries)
    raw = tmp_path / "s.warc.gz"
    run(story, "export", story["session"], "--raw", "--output", str(raw))
    records = [parse_record(one, "raw") for one in gzip_members(raw.read_bytes())]
    assert len({r.fields["warc-record-id"] for r in records}) == len(records)
    assert sum("/dated" in e.request_line for e in exchanges(records)) == 8
    wacz = tmp_path / "s.wacz"
    run(story, "export", story["session"], "--wacz", "--output", str(wacz))
    assert wacz.stat().st_size > 1000


def test_sessions_and_incident(story):
    found = json.loads(run(story, "sessions", "--person", "alice", "--json").stdout)["sessions"]
    assert len(found) == 1 and found[0]["id"] == story["session"] and found[0]["nodes"] == ["node-a", "node-b"] and found[0]["exchanges"] >= 10
    assert not json.loads(run(story, "sessions", "--person", "mallory", "--json").stdout)["sessions"]
    assert run(story, "sessions", "--customer", "17", expect=2).stderr
    report = json.loads(run(story, "incident", "--person", "alice", "--from", "1h", "--to", "2099-01-01", "--exchanges", "--json").stdout)
    lines = [x for x in report["lines"] if x["kind"] == "exchange" and x["target"].startswith("/dated?")]
    assert len(lines) == 8 and {x["node"] for x in lines} == {"node-a", "node-b"} and all(x["leaf"] > 0 for x in lines)
    assert "ahead of node-a's" in run(story, "incident", "--person", "alice", "--from", "1h", "--to", "2099-01-01").stdout.decode()


def test_each_node_is_verified_by_itself(story, tmp_path):
    for args in ((story["session"],), ()):
        said = json.loads(run(story, "verify", *args, "--json").stdout)
        assert said["whole"] and [n["node"] for n in said["nodes"]] == ["node-a", "node-b"] and all(n["segments"] >= 1 and n["own_key"] for n in said["nodes"])
    out = run(story, "verify", story["session"], kept=True).stdout.decode()
    assert out.count(": whole:") == 2 and "sign with the same log key" in out
    keys = ["--log-key", os.path.join(story["kept"], "log-key")]
    assert not json.loads(run(story, "verify", story["session"], "--json", *keys).stdout)["nodes"][0]["own_key"]
    # A checkpoint of the one is no checkpoint of the other, which went on by itself.
    heads = ["--head", os.path.join(story["b"].state, "log", "checkpoint")]
    said = json.loads(run(story, "verify", story["session"], "--json", *heads, expect=1).stdout)
    assert [n["whole"] for n in said["nodes"]] == [False, True]


@pytest.mark.parametrize("what", ["recording", "database", "missing"])
def test_what_was_changed_on_one_node_is_found_there(story, tmp_path, what):
    copy = str(tmp_path / "state")
    shutil.copytree(story["b"].state, copy, ignore=shutil.ignore_patterns("run", "keys", "ca", "tls"))
    tar = os.path.join(copy, "recordings", f"{story['session']}.tar")
    if what == "recording":
        with open(tar, "r+b") as f:
            f.seek(2000)
            byte = f.read(1)
            f.seek(2000)
            f.write(bytes([byte[0] ^ 1]))
    elif what == "missing":
        os.unlink(tar)
    else:
        import sqlite3
        with sqlite3.connect(os.path.join(copy, "authz.db")) as c:
            c.execute("UPDATE access_grant SET person = 'sam'")
    env = dict(story["a"].env(), COUNTERSIGN_AUDITOR_KEY=story["a"].auditor_key(), HOME="/nonexistent")
    p = command("verify", story["session"], "--recordings", f"node-a={story['a'].state}", "--recordings", f"node-b={copy}", "--json", env=env)
    said = json.loads(p.stdout)
    assert p.returncode == 1 and [n["whole"] for n in said["nodes"]] == [True, False] and said["nodes"][1]["findings"], said
    if what == "missing":                                # what is left is shown, and what is missing is said
        p = command("show", story["session"], "--recordings", f"node-a={story['a'].state}", "--recordings", f"node-b={copy}", env=env)
        assert p.returncode == 1 and b"/dated?i=0" in p.stdout and b"on node-b: its log has segments of this session, but there is no recording" in p.stdout


@pytest.mark.parametrize("args, code, said", [
    (["show", "SESSION", "--recordings", "/nonexistent"], 1, b"there is no folder"),
    (["show", "SESSION", "--recordings", "STATE", "--recordings", "STATE"], 1, b"two nodes would be called"),
    (["show", "SESSION", "--recordings", "/"], 1, b"neither a session that"),
    (["show", "grt_none", "--recordings", "STATE"], 1, b"none of these folders has anything"),
    (["show", "SESSION", "--recordings", "STATE", "--file", "x.tar"], 2, b"doesn't go with --file"),
    (["verify", "all", "--recordings", "STATE"], 2, b"name a session, or none"),
    (["verify", "SESSION", "--log-key", "a", "--log-key", "b"], 2, b"go with --recordings"),
    (["verify", "SESSION", "--recordings", "STATE", "--log-key", "OTHER"], 1, b"is the key that"),
    (["show", "SESSION", *["--recordings", "x"] * 17], 2, b"given too often"),
])
def test_mistakes(story, tmp_path, args, code, said):
    other = tmp_path / "other"
    other.write_text(json.dumps({"instance": "another", "log_key": "A" * 43}))
    words = {"SESSION": story["session"], "STATE": story["a"].state, "OTHER": str(other)}
    p = command(*[words.get(a, a) for a in args], env=dict(story["a"].env(), COUNTERSIGN_AUDITOR_KEY=story["a"].auditor_key(), HOME="/nonexistent"))
    assert p.returncode == code and said in p.stderr, (p.returncode, p.stderr[:500])
