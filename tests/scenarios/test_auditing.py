"""What an auditor does after an incident: find sessions, narrow them down, take them to other tools, report."""
import csv
import gzip
import io
import json
import os
import re

import pytest

from harness.age import AUDITORS
from harness.gateway import command
from harness.people import give_grant, hold, wait_until
from harness.recording import exchanges, gzip_members, parse_record, read_tar

SECRET = "sessionid=planted-cookie-41"


@pytest.fixture(scope="module")
def story(gw, origin):
    """alice reads, posts, exports with carol's yes, is refused; mallory does a little. Ids of both sessions, and the export's body."""
    item = give_grant(gw.person("alice"), gw.person("bob"))
    alice = gw.person("alice")
    for i in range(3):
        assert alice.get(f"/customers/{i}?page={i}", [("Cookie", SECRET)]).status == 200
    alice.post("/note", b"text=hello&password=hunter22")
    alice.get("/internal/keys")
    other = give_grant(gw.person("mallory"), gw.person("bob"))
    gw.person("mallory").get("/customers/99")
    held = hold(alice)["id"]
    assert gw.person("carol").decide(held).status in (200, 201)
    ran = wait_until(lambda: (r := alice.release(held)) and r[1] is not None and r[1], what="the export")
    session = item["grant_id"]

    def all_there():
        try:
            with open(os.path.join(gw.state, "recordings", f"{session}.tar"), "rb") as f:
                lines = [e.request_line for e in exchanges(read_tar(f.read())) if e.response]
        except FileNotFoundError:
            return False
        return sum("/customers/" in line for line in lines) == 3 and sum("/export" in line for line in lines) >= 2
    wait_until(all_there, 30, "the recording")
    wait_until(lambda: len(gw.person("dan").api_ok("GET", "/api/v1/sessions")["sessions"]) == 2, 30, "both sessions")
    return {"alice": session, "mallory": other["grant_id"], "held": held, "export": ran.body}


def dan_json(gw, *args):
    return json.loads(gw.person("dan").cli(*args, "--json", expect=0).stdout)


@pytest.mark.parametrize("args, who", [
    ([], ["alice", "mallory"]), (["--person", "alice"], ["alice"]), (["--identity", "mallory@test.localhost"], ["mallory"]), (["--tool", "billing"], []),
    (["--state", "live"], ["alice", "mallory"]), (["--state", "ended"], []), (["--action", "export"], ["alice"]), (["--since", "1h"], ["alice", "mallory"]),
    (["--until", "2h"], []), (["--since", "2001-01-01", "--until", "2002-01-01"], []),
])
def test_sessions_are_found(gw, story, args, who):
    found = [s["id"] for s in dan_json(gw, "sessions", *args)["sessions"]]
    assert sorted(found) == sorted(story[w] for w in who)


def test_sessions_by_grant_and_in_pages(gw, story):
    assert [s["id"] for s in dan_json(gw, "sessions", "--grant", story["mallory"])["sessions"]] == [story["mallory"]]
    first = dan_json(gw, "sessions", "--most", "1")
    assert len(first["sessions"]) == 1
    page = gw.person("dan").api_ok("GET", "/api/v1/sessions?from=1")
    assert len(page["sessions"]) == 1 and page["sessions"][0]["id"] != first["sessions"][0]["id"]


@pytest.mark.parametrize("args", [["--state", "asleep"], ["--since", "yesterday"], ["--until", "x"], ["--most", "0"]])
def test_odd_questions_are_wrong_usage(gw, args):
    assert gw.person("dan").cli("sessions", *args).returncode == 2


@pytest.mark.parametrize("args, wanted", [
    (["--path", "/customers/"], 3), (["--path", "/customers/1"], 1), (["--method", "POST", "--path", "/note"], 1), (["--status", "200", "--path", "/customers"], 3),
    (["--status", "4xx", "--path", "/internal"], 1), (["--action", "never"], 1), (["--path", "/customers/", "--until", "2h"], 0), (["--path", "/customers/", "--since", "1h"], 3),
])
def test_show_narrows_down(gw, story, args, wanted):
    found = dan_json(gw, "show", story["alice"], *args)["exchanges"]
    assert len(found) == wanted, [(e["method"], e["target"], e["status"], e["action"]) for e in found]


def test_har_opens_in_other_tools(gw, story, tmp_path):
    path = tmp_path / "s.har"
    out = gw.person("dan").cli("export", story["alice"], "-o", str(path), expect=0).stdout.decode()
    assert "not sealed any more" in out and path.stat().st_mode & 0o777 == 0o600
    text = path.read_text(encoding="utf-8")
    log = json.loads(text)["log"]
    assert log["version"] == "1.2" and log["creator"]["name"] == "Countersign"
    for e in log["entries"]:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", e["startedDateTime"])
        assert {"request", "response", "cache", "timings", "time"} <= e.keys()
        assert {"method", "url", "httpVersion", "cookies", "headers", "queryString", "headersSize", "bodySize"} <= e["request"].keys()
        assert {"status", "statusText", "httpVersion", "cookies", "headers", "content", "redirectURL", "headersSize", "bodySize"} <= e["response"].keys()
    by_url = {e["request"]["url"]: e for e in log["entries"]}
    one = by_url[f"https://support.test.localhost:{gw.port}/customers/2?page=2"]
    assert one["request"]["queryString"] == [{"name": "page", "value": "2"}] and one["response"]["status"] == 200
    assert one["request"]["cookies"] == [{"name": "sessionid", "value": "redacted"}]
    asked = json.dumps([e["request"] for e in log["entries"]])   # the tool echoes what it gets: its answers are kept as the person saw them
    assert "planted-cookie" not in asked and "fp:" not in asked and "hunter22" not in asked
    kept = gw.person("dan").cli("export", story["alice"], "--fingerprints", "--path", "/customers", expect=0).stdout.decode()
    entries = json.loads(kept)["log"]["entries"]
    asked = json.dumps([e["request"] for e in entries])
    assert "fp:" in asked and "planted-cookie" not in asked and len(entries) == 3


def test_raw_is_the_records_themselves(gw, story, tmp_path):
    path = tmp_path / "s.warc.gz"
    gw.person("dan").cli("export", story["alice"], "--raw", "-o", str(path), expect=0)
    records = [parse_record(one, "export") for one in gzip_members(path.read_bytes())]
    with open(os.path.join(gw.state, "recordings", f"{story['alice']}.tar"), "rb") as f:
        assert {r.fields["warc-record-id"] for r in records} <= {r.fields["warc-record-id"] for r in read_tar(f.read())}
    assert gzip.decompress(path.read_bytes()).startswith(b"WARC/1.1")
    p = gw.person("dan").cli("export", story["alice"], "--raw", "--auditor-key", gw.auditor_key(AUDITORS[2]), expect=1)
    assert b"sealed to other auditors' keys" in p.stderr


def test_incident_tells_all_and_cites_it(gw, story):
    r = dan_json(gw, "incident", "--identity", "alice@test.localhost", "--from", "1h")
    s = r["summary"]
    assert s["sessions"] == 1 and s["not_opened"] == 0 and s["exports"] == 1 and s["refusals"] >= 1 and s["tools"] == {"support": 1}
    assert s["actions"]["use"] >= 4
    exported = next(line for line in r["lines"] if line["kind"] == "export")
    assert exported["by"] == ["carol"] and exported["action"] == "export" and exported["text"] == story["held"]
    assert exported["response_bytes"] == len(story["export"])
    import hashlib
    assert exported["sha256"] == hashlib.sha256(story["export"]).hexdigest()
    session = next(line for line in r["lines"] if line["kind"] == "session")
    assert session["by"] == ["bob"] and "ticket 4711" in session["text"]
    # Each citation holds: the exchange, the record and the segment are there, and the leaf is that segment's.
    with open(os.path.join(gw.state, "recordings", f"{story['alice']}.tar"), "rb") as f:
        ids = {rec.fields["warc-record-id"] for rec in read_tar(f.read())}
    info = gw.person("dan").api_ok("GET", f"/api/v1/sessions/{story['alice']}")
    leaves = {leaf["seq"]: leaf for leaf in info["leaves"]}
    for line in r["lines"]:
        if "exchange" not in line:
            continue
        assert line["record"] in ids
        assert leaves[line["leaf"]]["type"] == "segment" and leaves[line["leaf"]]["content"]["number"] == line["segment"]
    assert all(line["person"] == "alice" for line in r["lines"])


def test_incident_in_other_shapes(gw, story, tmp_path):
    dan = gw.person("dan")
    ask = ["incident", "--person", "alice", "--from", "1h"]
    rows = list(csv.DictReader(io.StringIO(dan.cli(*ask, "--csv", "--exchanges", expect=0).stdout.decode())))
    assert sum(row["kind"] == "exchange" for row in rows) >= 6 and any(row["kind"] == "export" and row["by"] == "carol" for row in rows)
    page = tmp_path / "report.html"
    dan.cli(*ask, "--html", "-o", str(page), expect=0)
    assert "<table>" in page.read_text() and "default-src 'none'" in page.read_text()
    text = dan.cli(*ask, expect=0).stdout.decode()
    assert "yes of carol" in text and f"proof: session {story['alice']}" in text
    # Without the right key: what the log says, and that more could not be opened.
    other = dan.cli(*ask, "--auditor-key", gw.auditor_key(AUDITORS[2]), expect=0).stdout.decode()
    assert "1 session could not be opened" in other and "/customers" not in other
    assert json.loads(dan.cli(*ask, "--to", "30m", "--json", expect=0).stdout)["lines"] == []


def test_a_lock_is_in_the_report(gw, story):
    assert gw.person("olga").lock("person", "mallory", "phished").status == 201
    r = wait_until(lambda: (r := dan_json(gw, "incident", "--person", "mallory", "--from", "1h")) and any(line["kind"] == "ended" for line in r["lines"]) and r, what="the end")
    assert any(line["kind"] == "lock" and line["text"] == "phished" and line["by"] == ["olga"] for line in r["lines"])
    assert any(line["kind"] == "ended" and line["text"] == "locked" for line in r["lines"])


@pytest.mark.parametrize("args", [[], ["--identity", "a", "--person", "b", "--from", "1h"], ["--identity", "a"], ["--identity", "a", "--from", "x"],
                                  ["--identity", "a", "--from", "1h", "--to", "2h"], ["--identity", "a", "--from", "1h", "--csv", "--html"]])
def test_odd_reports_are_wrong_usage(gw, args):
    assert gw.person("dan").cli("incident", *args).returncode == 2


def test_looking_is_logged_and_for_auditors(gw, story):
    for args in (["export", story["alice"]], ["incident", "--identity", "alice@test.localhost", "--from", "1h"], ["sessions"]):
        p = gw.person("alice").cli(*args)
        assert p.returncode == 1 and b"auditors" in p.stderr
    info = gw.person("dan").api_ok("GET", f"/api/v1/sessions/{story['alice']}")
    purposes = {leaf["content"]["purpose"] for leaf in info["leaves"] if leaf["type"] == "session.read"}
    assert {"export", "incident", "show"} <= purposes
    assert command("incident", "--help").returncode == 0 and command("export", "--help").returncode == 0
