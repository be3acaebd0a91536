"""Recordings are deleted when their time is over, and not before: changes of the time, legal holds, crashes and clocks that leap; what is left verifies."""
import json
import os
import signal
import sqlite3

import pytest

from harness.gateway import write_config
from harness.people import give_grant, wait_until

def recorded(g, who="alice"):
    """A session with something in it, ended, whose recording and leaves are there."""
    grant = give_grant(g.person(who), g.person("bob"))["grant_id"]
    assert g.person(who).get("/hello").status == 200
    dan = g.person("dan")
    wait_until(lambda: any(s["id"] == grant for s in dan.api_ok("GET", "/api/v1/sessions")["sessions"]), 30, "the session")
    lock = g.person("olga").lock("grant", grant).json()["lock"]["id"]
    assert g.person("olga").unlock(lock).status == 200
    assert any(grant in p for p in g.recordings())
    return grant


def leaves(g, kind):
    with sqlite3.connect(f"file:{g.state}/authz.db?mode=ro", uri=True) as db:
        return [(seq, json.loads(text)) for seq, text in db.execute("SELECT seq, content FROM leaf WHERE type = ? ORDER BY seq", (kind,))]


def is_there(g, grant):
    return any(grant in p for p in g.recordings())


def gone(g, grant):
    wait_until(lambda: not is_there(g, grant), 90, "the deletion")


def reload(g):
    write_config(g.state, g.config)
    g.process.send_signal(signal.SIGHUP)


def check_erased(g, grant):
    seq, said = leaves(g, "session.erased")[-1]
    assert said["session"] == grant and said["segments"] >= 1
    dan = g.person("dan")
    p = dan.cli("verify", grant, expect=0)
    text = p.stdout.decode()
    assert "erased by retention on" in text and f"as logged in leaf {seq}" in text and "the log is whole" in text, text
    assert json.loads(dan.cli("verify", grant, "--json", expect=0).stdout)["erased"] == seq
    assert "erased by retention" in dan.cli("show", grant, expect=1).stderr.decode()
    assert f"recording deleted by retention (leaf {seq})" in dan.cli("sessions", expect=0).stdout.decode()
    assert json.loads(dan.cli("incident", "--person", said["person"], "--from", "2001-01-01", "--json", expect=0).stdout)
    assert f"{grant}: erased by retention" in dan.cli("verify", "all", expect=0).stdout.decode()
    return seq


def hours(n):
    def change(config):
        for tool in config["tools"]:
            tool["retention"] = f"{n}h"
    return change


def start_again(g, **more):
    """A recorder that has just started looks through what its forerunner left for a minute, and nothing of that is deleted: here it left nothing."""
    complaint = g.stop()
    assert complaint is None, complaint
    left = os.path.join(g.state, "recordings", "open")
    for name in os.listdir(left):
        os.unlink(os.path.join(left, name))
    for name, value in more.items():
        setattr(g, name, value)
    g.start()


def hours_later(g, n):
    start_again(g, clock_offset_s=int(n * 3600))


def test_what_is_due_is_deleted_and_the_log_stays_whole(gateway_of):
    g = gateway_of(change=hours(2))
    assert [c["retention_s"] for _, c in leaves(g, "retention.set")] == [7200, 7200]
    grant = recorded(g)
    hours_later(g, 1)
    young = recorded(g, "mallory")
    hours_later(g, 2.5)
    gone(g, grant)
    assert is_there(g, young)
    check_erased(g, grant)
    p = g.person("dan").cli("verify", young, expect=0)
    assert b"whole:" in p.stdout
    # Offline, with nothing but the log's key: the whole state folder.
    key = os.path.join(g.folder, "log-key")
    with open(key, "w", encoding="ascii") as f:
        json.dump(g.person("dan").api_ok("GET", "/.well-known/countersign-log-key"), f)
    complaint = g.stop()
    assert complaint is None, complaint
    state = json.loads(g.run_command("verify", "--state", g.state, "--log-key", key, "--json").stdout)
    assert state["whole"] is True and state["erased"] == 1, state
    # A recording that is missing without such a leaf is another matter.
    os.unlink(next(p for p in g.recordings() if young in p))
    state = json.loads(g.run_command("verify", "--state", g.state, "--log-key", key, "--json").stdout)
    assert [f["kind"] for f in state["findings"]] == ["missing-recording"]


def test_a_shorter_time_does_not_reach_back(gateway_of):
    g = gateway_of(change=hours(1000))
    grant = recorded(g)
    hours(1)(g.config)
    reload(g)
    wait_until(lambda: len(leaves(g, "retention.set")) == 4, 30, "the change in the log")
    after = recorded(g, "mallory")
    hours_later(g, 3)
    gone(g, after)
    assert is_there(g, grant)
    # With the delay by setting it does, once that is over.
    g.config["recording"] = {"shorten_after": "5h"}
    hours_later(g, 4)
    wait_until(lambda: g.person("dan").api_ok("GET", "/api/v1/holds"), 20)
    assert is_there(g, grant)
    hours_later(g, 7)
    gone(g, grant)
    check_erased(g, grant)


def test_legal_hold(gateway_of):
    g = gateway_of(change=hours(1))
    dan, sam, olga = (g.person(n) for n in ("dan", "sam", "olga"))
    held, free = recorded(g), recorded(g, "mallory")
    assert olga.api("POST", "/api/v1/holds", {"kind": "session", "value": held, "reason": "not mine to say"}).problem == "auditors-only"
    for kind, value in (("session", "grt_" + "A" * 22), ("identity", "nobody@test.localhost"), ("tool", "nosuch"), ("person", "eve"), ("colour", "red")):
        assert dan.api("POST", "/api/v1/holds", {"kind": kind, "value": value, "reason": "case 1"}).status in (400, 404), kind
    p = json.loads(dan.cli("hold", "--identity", "alice@test.localhost", "--reason", "case 4711", "--json", expect=0).stdout)
    hold = p["hold"]["id"]
    assert hold.encode() in olga.cli("hold", "--list", expect=0).stdout
    hours_later(g, 2)
    gone(g, free)
    assert is_there(g, held)
    start_again(g)                    # it holds over a start from the memory file
    assert [h["id"] for h in dan.api_ok("GET", "/api/v1/holds")["holds"]] == [hold]
    assert dan.api("POST", f"/api/v1/holds/{hold}/release", {"reason": "my own"}).problem == "self-approval"
    assert olga.api("POST", f"/api/v1/holds/{hold}/release", {"reason": "please"}).problem == "auditors-only"
    assert is_there(g, held)
    sam.cli("hold", "--release", hold, "--reason", "case closed", expect=0)
    assert sam.api("POST", f"/api/v1/holds/{hold}/release", {"reason": "again"}).problem == "not-found"
    gone(g, held)


def test_a_clock_that_leaps_deletes_nothing(gateway_of):
    g = gateway_of(change=hours(1), recording={"clock_leap": "6h"})
    grant = recorded(g)
    hours_later(g, 20)                # nothing in the log for 19 hours: off, or a wrong clock
    assert [c["why"][:7] for _, c in leaves(g, "retention.suspended")] == ["the log"]
    listed = g.person("dan").api_ok("GET", "/api/v1/holds")
    assert listed["suspended"] is True
    start_again(g)                    # its own leaves of that time do not hide it
    assert is_there(g, grant) and g.person("dan").api_ok("GET", "/api/v1/holds")["suspended"] is True
    assert g.person("dan").api("POST", "/api/v1/retention/confirm", {"reason": "it is right"}).problem == "operators-only"
    p = g.person("olga").cli("hold", "--confirm-time", "--reason", "the gateway was off", expect=0)
    assert b"Confirmed" in p.stdout
    gone(g, grant)
    assert g.person("dan").api_ok("GET", "/api/v1/holds")["suspended"] is False
    assert g.person("olga").api("POST", "/api/v1/retention/confirm", {"reason": "again"}).problem == "not-pending"
    check_erased(g, grant)


def test_a_crash_in_the_middle_is_finished(gateway_of):
    g = gateway_of(change=hours(1))
    grant = recorded(g)
    path, = g.recordings()
    with open(path, "rb") as f:
        kept = f.read()
    hours_later(g, 2)
    gone(g, grant)
    g.stop()
    with open(path, "wb") as f:       # as if it had died between the leaf and the deletion
        f.write(kept)
    with sqlite3.connect(os.path.join(g.state, "authz.db")) as db:
        db.execute("UPDATE session SET gone = 0")
    g.start()
    gone(g, grant)
    check_erased(g, grant)
    assert len(leaves(g, "session.erased")) == 1


def test_a_row_cannot_have_a_recording_deleted(gateway_of):
    """The database in hostile hands: a row that says that it was deleted, with no such leaf, deletes nothing, and is named."""
    g = gateway_of(change=hours(1000))
    grant = recorded(g)
    g.stop()
    with sqlite3.connect(os.path.join(g.state, "authz.db")) as db:
        db.execute("UPDATE session SET erased = 1")
    g.start(wait=False)
    wait_until(lambda: "the log does not" in g.log(), 60, "the finding")
    assert is_there(g, grant)
    g.kill_all()
    g.process = None


@pytest.mark.parametrize("text", ["59m", "1s"])
def test_a_time_that_destroys_at_once_is_no_setting(gateway_of, text):
    def change(config):
        config["tools"][0]["retention"] = text
    g = gateway_of(change=change, start=False)
    write_config(g.state, g.config)
    p = g.run_command("check", "-c", os.path.join(g.state, "test.conf"))
    assert p.returncode == 1 and b"retention" in p.stdout
