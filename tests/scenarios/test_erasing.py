"""The history of decisions is erased when its time is over: nothing of it is left on the disk, the log stays whole and says so, and whatever else is missing or altered is still found."""
import json
import os
import shutil
import sys
import signal
import sqlite3

import pytest

from harness.gateway import write_config
from harness.people import acknowledge, hold, wait_until
from test_retention import gone, start_again

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "vectors"))
import tlog  # noqa: E402  (a verifier of its own, found beside the vectors)

PLANTED = "Zyzzogeton"


def short(config):
    for tool in config["tools"]:
        tool["retention"] = "1h"


@pytest.fixture
def short_lived(gateway_of):
    return gateway_of(change=short, approvals_retention="1d", recording={"clock_leap": "3650d"})


def story(g, who, word):
    """A request with a yes, a look at the tool, a held request that ran and one that was denied with words, a lock by hand and its end: all of it says `word`."""
    alice, bob, carol, olga, dan = (g.person(n) for n in (who, "bob", "carol", "olga", "dan"))
    item = alice.ask(reason=f"ticket 1 {word} reason").json()["request"]["id"]
    assert bob.decide(item).status == 200
    grant = wait_until(lambda: alice.status()["grants"], what="the grant")[0]["grant_id"]
    acknowledge(alice, grant)
    assert alice.get(f"/hello?{word}-target").status == 200
    held = hold(alice, body=f"audience={word}-body".encode())["id"]
    assert carol.decide(held).status == 200
    wait_until(lambda: (x := alice.release(held)) and x[1] is not None, what="the export")
    denied = hold(alice, body=f"audience={word}-denied".encode())["id"]
    s = carol.api_ok("POST", f"/api/v1/items/{denied}/statement", {"decision": "deny", "key": carol.cred.fingerprint(), "reason": f"{word} says no"})["statement"]
    assert carol.hand_in(s).status == 200
    wait_until(lambda: any(x["id"] == grant for x in dan.api_ok("GET", "/api/v1/sessions")["sessions"]), 30, "the session")
    lock = olga.lock("grant", grant, f"{word} was stolen").json()["lock"]["id"]
    assert olga.unlock(lock).status == 200
    return {"item": item, "grant": grant, "held": held, "denied": denied, "lock": lock}


def on_disk(g, word):
    found = []
    for folder, _, names in os.walk(g.state):
        for name in names:
            path = os.path.join(folder, name)
            if not os.path.isfile(path):
                continue
            with open(path, "rb") as f:
                if word.encode() in f.read():
                    found.append(os.path.relpath(path, g.state))
    return found


def rows(g, sql, *more):
    with sqlite3.connect(f"file:{g.state}/authz.db?mode=ro", uri=True) as db:
        return db.execute(sql, more).fetchall()


def later(g, hours):
    start_again(g, clock_offset_s=int(hours * 3600))


def erased(g, s):
    """Wait until all of the story is gone."""
    ids = (s["item"], s["grant"], s["held"], s["denied"], s["lock"])
    marks = ",".join("?" * len(ids))
    wait_until(lambda: not rows(g, f"SELECT 1 FROM request WHERE item IN ({marks}) UNION SELECT 1 FROM access_grant WHERE grant_id IN ({marks}) UNION SELECT 1 FROM held WHERE item IN ({marks})"
                                   f" UNION SELECT 1 FROM lock WHERE lock_id IN ({marks}) UNION SELECT 1 FROM session WHERE session IN ({marks})", *(ids * 5)), 60, "the erasing")


def log_key(g):
    key = os.path.join(g.folder, "log-key")
    with open(key, "w", encoding="ascii") as f:
        json.dump(g.person("dan").api_ok("GET", "/.well-known/countersign-log-key"), f)
    return key


def state_of(g, folder, key, *more):
    return json.loads(g.run_command("verify", "--state", folder, "--log-key", key, "--json", *more).stdout)


def two_stories(g):
    """One that is erased, and one that a legal hold keeps; what the first left, and a checkpoint from before."""
    lost, kept = story(g, "alice", PLANTED), story(g, "mallory", "Quetzal")
    assert PLANTED in json.dumps(rows(g, "SELECT content FROM leaf"))
    g.person("dan").api_ok("POST", "/api/v1/holds", {"kind": "person", "value": "mallory", "reason": "case 7"})
    key = log_key(g)
    with open(os.path.join(g.folder, "proof"), "wb") as f:
        f.write(g.person("dan").cli("proof", lost["item"], expect=0).stdout)
    head = os.path.join(g.folder, "head")
    wait_until(lambda: os.path.exists(os.path.join(g.state, "log", "checkpoint")), 30, "a checkpoint")
    shutil.copy(os.path.join(g.state, "log", "checkpoint"), head)
    later(g, 3)
    gone(g, lost["grant"])
    assert rows(g, "SELECT 1 FROM request WHERE item = ?", lost["item"])   # its own time is longer
    later(g, 49)
    erased(g, lost)
    return lost, kept, key, head


def test_nothing_is_left_and_the_log_is_whole(short_lived):
    g = short_lived
    lost, kept, key, head = two_stories(g)
    proof = os.path.join(g.folder, "proof")
    dan, alice, mallory = g.person("dan"), g.person("alice"), g.person("mallory")
    # On the disk, while it runs and after it ended.
    wait_until(lambda: not on_disk(g, PLANTED), 60, "the last of it to be gone from the disk")
    assert on_disk(g, "Quetzal")
    # What is left is said, in plain words.
    said = [(seq, json.loads(text)) for seq, text in rows(g, "SELECT seq, content FROM leaf WHERE type = 'history.erased' ORDER BY seq")]
    seq = next(seq for seq, c in said if lost["grant"] in c["items"])
    assert all(c["by"] == "retention" and c["retention_s"] == 86400 for _, c in said)
    for path, who in ((f"/api/v1/items/{lost['item']}", alice), (f"/api/v1/items/{lost['held']}", dan), (f"/api/v1/items/{lost['item']}/proof", dan), (f"/api/v1/sessions/{lost['grant']}", dan)):
        r = who.api("GET", path)
        assert (r.status, r.problem) == (410, "history-erased") and "of the log says" in r.json()["detail"] and "approvals_retention" in r.json()["next"], (path, r.body)
    for words in (("show", lost["grant"]), ("proof", lost["item"]), ("export", lost["grant"])):
        p = dan.cli(*words, expect=1)
        assert b"[history-erased]" in p.stderr and f"leaf {seq}".encode() in p.stderr, p.stderr
    page = alice.request("GET", f"/items/{lost['item']}", host="console.test.localhost")
    assert page.status in (404, 410), page.status
    listed = dan.cli("sessions", expect=0).stdout.decode()
    assert lost["grant"] not in listed and kept["grant"] in listed and "Retention has erased the history of" in listed
    assert "erased" in json.loads(dan.cli("sessions", "--json", expect=0).stdout)
    assert "erased" not in json.loads(dan.cli("sessions", "--since", "1h", "--json", expect=0).stdout)
    text = dan.cli("incident", "--person", "alice", "--from", "2001-01-01", expect=0).stdout.decode()
    assert "Retention has erased the history of" in text and PLANTED not in text
    assert "Retention has erased" in dan.cli("incident", "--person", "alice", "--from", "2001-01-01", "--html", expect=0).stdout.decode()
    # It verifies: the log, the session that was, the one that is kept, everything; with a checkpoint from before and one of now.
    now = os.path.join(g.folder, "now")
    shutil.copy(os.path.join(g.state, "log", "checkpoint"), now)
    for at in (head, now):
        text = dan.cli("verify", "log", "--head", at, expect=0).stdout.decode()
        assert "whole:" in text and "of the leaves said was erased when the time to keep it was over" in text, text
        text = dan.cli("verify", lost["grant"], "--head", at, expect=0).stdout.decode()
        assert "the history of this session was erased by retention on" in text and f"leaf {seq}" in text and "the log is whole" in text, text
        assert json.loads(dan.cli("verify", lost["grant"], "--json", expect=0).stdout)["history_erased"] == seq
        text = dan.cli("verify", "all", "--head", at, expect=0).stdout.decode()
        assert "whole:" in text and "was erased when the time" in text and f"{kept['grant']}: erased by retention" not in text, text
    assert b"whole" in dan.cli("verify", kept["grant"], expect=0).stdout
    assert mallory.api("GET", f"/api/v1/items/{kept['item']}").status == 200
    # Offline; after a start that reads everything and one that remembers.
    complaint = g.stop()
    assert complaint is None, complaint
    assert not on_disk(g, PLANTED)
    with open(os.path.join(g.state, "log", "key"), encoding="utf-8") as f:
        vkey = f.read().strip()
    with open(head, encoding="utf-8") as early, open(now, encoding="utf-8") as late:
        assert tlog.check_log(os.path.join(g.state, "log"), vkey, [early.read(), late.read()]) > 40
    assert g.run_command("verify", "approval", proof).returncode == 0   # what somebody kept proves what it did
    for at in (head, now):
        state = state_of(g, g.state, key, "--head", at)
        assert state["whole"] is True and state["erased_leaves"] >= 10, state
    g.start()
    assert g.person("alice").api("GET", f"/api/v1/items/{lost['item']}").problem == "history-erased"
    g.stop()
    os.unlink(os.path.join(g.state, "authz.memory"))
    g.start()
    assert g.person("alice").api("GET", f"/api/v1/items/{lost['item']}").problem == "history-erased"
    assert g.person("alice").ask(reason="life goes on").status == 201


EDITS = {
    "a kept request is taken out": "DELETE FROM request WHERE item = '{kept[item]}'",
    "a kept session is taken out": "DELETE FROM session WHERE session = '{kept[grant]}'",
    "its segments are taken out": "DELETE FROM segment WHERE session = '{kept[grant]}'",
    "a kept leaf is emptied": "UPDATE leaf SET content = '', salt = '' WHERE session = '{kept[grant]}' AND type = 'request.created'",
    "a kept leaf is emptied as if by right": "UPDATE leaf SET content = '', salt = '', session = 'erased:{seq}' WHERE session = '{kept[grant]}' AND type = 'request.created'",
    "an erased leaf gets content": "UPDATE leaf SET content = '{{}}', salt = 'AAAAAAAAAAAAAAAAAAAAAA' WHERE seq = (SELECT MIN(seq) FROM leaf WHERE session = 'erased:{seq}')",
    "an erased leaf is filed elsewhere": "UPDATE leaf SET session = '{kept[grant]}' WHERE seq = (SELECT MIN(seq) FROM leaf WHERE session = 'erased:{seq}')",
    "an erased leaf's digest": "UPDATE leaf SET digest = 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' WHERE seq = (SELECT MIN(seq) FROM leaf WHERE session = 'erased:{seq}')",
    "an erased leaf's time": "UPDATE leaf SET time_ms = time_ms + 1 WHERE seq = (SELECT MIN(seq) FROM leaf WHERE session = 'erased:{seq}')",
    "an erased leaf is taken out": "DELETE FROM leaf WHERE seq = (SELECT MIN(seq) FROM leaf WHERE session = 'erased:{seq}')",
    "what says so lists more": "UPDATE leaf SET content = replace(content, '\"leaves\":\"', '\"leaves\":\"1,') WHERE seq = {seq}",
    "what says so is taken out": "DELETE FROM leaf WHERE seq = {seq}",
    "an erased request comes back": "INSERT INTO request SELECT '{lost[item]}', session, person, identity, x5t, not_after, tool, reason, duration_s, policy, created_ms, expires_ms, state, seq, actions, extends, basis, rule,"
                                    " start_within_s FROM request WHERE item = '{kept[item]}'",
}


def test_all_else_that_is_missing_or_altered_is_found(short_lived, tmp_path):
    g = short_lived
    lost, kept, key, head = two_stories(g)
    seq, = (seq for seq, text in rows(g, "SELECT seq, content FROM leaf WHERE type = 'history.erased'") if lost["grant"] in json.loads(text)["items"])
    complaint = g.stop()
    assert complaint is None, complaint
    for name, sql in EDITS.items():
        folder = str(tmp_path / "copy")
        shutil.copytree(g.state, folder, ignore=shutil.ignore_patterns("run"))
        with sqlite3.connect(os.path.join(folder, "authz.db")) as db:
            changed = db.execute(sql.format(kept=kept, lost=lost, seq=seq)).rowcount
            db.commit()
        db.close()
        assert changed > 0, name
        state = state_of(g, folder, key, "--head", head)
        assert state["whole"] is False and "altered-database" in [f["kind"] for f in state["findings"]], (name, state)
        shutil.rmtree(folder)
    # And the gateway does not start on one.
    with sqlite3.connect(os.path.join(g.state, "authz.db")) as db:
        db.execute(EDITS["a kept leaf is emptied as if by right"].format(kept=kept, lost=lost, seq=seq))
    os.unlink(os.path.join(g.state, "authz.memory"))
    g.start(wait=False)
    wait_until(lambda: "does not say that it was erased" in g.log() or "was altered" in g.log(), 60, "the finding")
    g.kill_all()
    g.process = None


def test_a_kill_in_between_leaves_it_whole(short_lived):
    """Killed again and again while it erases."""
    g = short_lived
    stories = [story(g, who, PLANTED) for who in ("alice", "mallory")]
    key = log_key(g)
    later(g, 3)
    for s in stories:
        gone(g, s["grant"])
    for _ in range(6):
        complaint = g.stop()
        assert complaint is None, complaint
        state = state_of(g, g.state, key)
        assert state["whole"] is True, state
        g.clock_offset_s = 49 * 3600
        g.start()
        g.kill("authz", signal.SIGKILL)
        g.kill_all()
        g.process = None
        g.start()
    for s in stories:
        erased(g, s)
    wait_until(lambda: not on_disk(g, PLANTED), 60, "the last of it to be gone from the disk")
    complaint = g.stop()
    assert complaint is None, complaint
    state = state_of(g, g.state, key)
    assert state["whole"] is True, state


@pytest.mark.parametrize("text", ["23h", "59m", "1s"])
def test_a_time_that_is_too_short_is_no_setting(gateway_of, text):
    g = gateway_of(start=False, approvals_retention=text)
    write_config(g.state, g.config)
    p = g.run_command("check", "-c", os.path.join(g.state, "test.conf"))
    assert p.returncode == 1 and b"approvals_retention" in p.stdout
