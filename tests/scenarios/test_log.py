"""Promise 6: the log is a Merkle tree that anybody can follow, checked here by an implementation of its own (tests/vectors/tlog.py)."""
import json
import os
import random
import shutil
import subprocess
import sys
import urllib.request

import pytest

from harness.gateway import TESTS, command, free_port
from harness.people import give_grant, wait_until

sys.path.insert(0, os.path.join(TESTS, "vectors"))
import tlog  # noqa: E402  (found beside the vectors)

PORT = free_port()
GATEWAY = {"operator_listen": f"127.0.0.1:{PORT}"}
BASE = f"http://127.0.0.1:{PORT}/log"


def fetch(name):
    with urllib.request.urlopen(f"{BASE}/{name}", timeout=30) as r:
        return r.read()


def size_of(note):
    return int(note.split(b"\n")[1])


def published(gw):
    """Until all of the log is published; the checkpoint's text."""
    dan = gw.person("dan")

    def look():
        head = dan.api_ok("GET", "/api/v1/log?from=1&limit=1")["head"].encode()
        note = fetch("checkpoint")
        return note if size_of(note) == size_of(head) else None
    return wait_until(look, 30, "the published log").decode()


@pytest.fixture(scope="module")
def vkey(gw):
    return fetch("key").decode()


def saved_log(gw, folder):
    """A copy of the published log, and the log key's file."""
    shutil.copytree(os.path.join(gw.state, "log"), folder)
    key = os.path.join(os.path.dirname(folder), "log-key")
    with open(key, "w", encoding="ascii") as f:
        json.dump(gw.person("dan").api_ok("GET", "/.well-known/countersign-log-key"), f)
    return key


def test_a_monitor_can_follow_it(gw, vkey):
    notes = [published(gw)]
    for _ in range(3):
        give_grant(gw.person("alice"), gw.person("bob"))
        notes.append(published(gw))
    assert tlog.check_log(BASE, vkey, notes) == size_of(notes[-1].encode()) > size_of(notes[0].encode())


def test_the_api_and_the_files_are_one_log(gw, vkey):
    published(gw)
    p = gw.person("dan").cli("verify", "log", "--json", expect=0)
    assert json.loads(p.stdout)["whole"] is True
    size, _ = tlog.read_checkpoint(published(gw), vkey)
    assert size >= json.loads(p.stdout)["leaves"] > 0


def test_a_grant_carries_a_checkpoint_of_this_log(gw, vkey):
    import base64
    give_grant(gw.person("alice"), gw.person("bob"))
    import sqlite3
    with sqlite3.connect(f"file:{gw.state}/authz.db?mode=ro", uri=True) as db:
        token = db.execute("SELECT token FROM access_grant ORDER BY seq DESC LIMIT 1").fetchone()[0]
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    published(gw)
    assert tlog.check_log(BASE, vkey, [claims["checkpoint"]]) >= size_of(claims["checkpoint"].encode())


@pytest.mark.parametrize("path", ["", "tile", "tile/0", "tile/0/999", "../authz.db", "tile/../../authz.db", "tile/0/000.p/0", "%2e%2e/authz.db", "keys", "tile/entries/..%2f"])
def test_nothing_else_is_served(gw, path):
    with pytest.raises(urllib.error.HTTPError) as e:
        fetch(path)
    assert e.value.code == 404


def test_it_is_read_only(gw):
    for method in ("POST", "PUT", "DELETE"):
        with pytest.raises(urllib.error.HTTPError) as e:
            urllib.request.urlopen(urllib.request.Request(f"{BASE}/checkpoint", method=method), timeout=30)
        assert e.value.code == 405


def test_verify_all(gw, vkey, tmp_path):
    alice = gw.person("alice")
    for _ in range(2):
        give_grant(alice, gw.person("bob"))
        alice.get("/echo?x=1")
    early = tmp_path / "early"
    early.write_text(published(gw))
    wait_until(lambda: len(gw.person("dan").api_ok("GET", "/api/v1/sessions")["sessions"]) >= 2, what="the sessions")
    p = gw.person("dan").cli("verify", "all", "--head", str(early), "--json")
    said = json.loads(p.stdout)
    assert p.returncode == 0, (said, p.stderr)
    assert said["whole"] and said["sessions"] >= 2 and said["segments"] >= 2 and said["not_whole"] == []


def test_a_session_that_is_not_listed_is_missed(gateway_of, tmp_path):
    """The row that lists a session is taken out of the database of a gateway that runs: the log still counts its segments."""
    import sqlite3
    gw = gateway_of()
    for who in ("alice", "mallory"):
        give_grant(gw.person(who), gw.person("bob"))
        gw.person(who).get("/echo?x=1")
    dan = gw.person("dan")
    wait_until(lambda: len(dan.api_ok("GET", "/api/v1/sessions")["sessions"]) == 2, what="both sessions")
    dan.cli("verify", "all", expect=0)
    with sqlite3.connect(os.path.join(gw.state, "authz.db"), timeout=20) as db:
        assert db.execute("DELETE FROM session WHERE person = 'mallory'").rowcount == 1
    p = dan.cli("verify", "all", expect=1)
    assert b"unlisted-segments" in p.stdout and b"NOT WHOLE" in p.stdout


def test_a_forged_earlier_checkpoint_is_noticed(gw, tmp_path, vkey):
    """Signed by the right key, for another history: the key itself was in hostile hands for a moment."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    import base64
    with open(os.path.join(gw.state, "keys", "log.pem"), "rb") as f:
        key = load_pem_private_key(f.read(), None)
    name, key_id, _ = tlog.read_vkey(vkey)
    text = f"{name}\n2\n{base64.b64encode(bytes(32)).decode()}\n"
    signature = base64.b64encode(key_id + key.sign(text.encode())).decode()
    forged = tmp_path / "forged"
    forged.write_text(f"{text}\n— {name} {signature}\n", encoding="utf-8")
    out = gw.person("dan").cli("verify", "log", "--head", str(forged), expect=1).stdout.decode()
    assert "forked-log" in out
    with pytest.raises(tlog.Bad):
        tlog.check_log(BASE, vkey, [forged.read_text(encoding="utf-8")])


def test_altered_files_are_found_by_both_verifiers(gw, vkey, tmp_path):
    published(gw)
    folder = str(tmp_path / "log")
    key = saved_log(gw, folder)
    size = tlog.check_log(folder, vkey)
    assert command("verify", "--tiles", folder, "--log-key", key).returncode == 0
    names = ["checkpoint", tlog.tile_name("entries", 0, min(size, 256)), tlog.tile_name(0, 0, min(size, 256))]
    rng = random.Random(5)
    for turn in range(24):
        path = os.path.join(folder, names[turn % 3])
        with open(path, "rb") as f:
            good = f.read()
        bad = bytearray(good)
        bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
        with open(path, "wb") as f:
            f.write(bad)
        p = command("verify", "--tiles", folder, "--log-key", key)
        assert p.returncode == 1 and b"NOT WHOLE" in p.stdout, (names[turn % 3], p.stdout)
        with pytest.raises((tlog.Bad, ValueError)):
            tlog.check_log(folder, vkey)
        with open(path, "wb") as f:
            f.write(good)


def test_an_older_database_is_not_taken(gateway_of):
    gw = gateway_of()
    give_grant(gw.person("alice"), gw.person("bob"))
    assert gw.stop() is None
    db = os.path.join(gw.state, "authz.db")
    shutil.copy(db, db + ".older")
    gw.start()
    give_grant(gw.person("alice"), gw.person("bob"))
    assert gw.stop() is None
    os.replace(db + ".older", db)
    p = subprocess.run([gw.binary, "authz", "-c", os.path.join(gw.state, "test.conf")], capture_output=True, timeout=60, env=gw.env())
    assert p.returncode != 0 and b"replaced by an older copy" in p.stderr + p.stdout, p.stderr
    gw.process = None


FIELDS = {"decision": ["item", "person", "requester", "decision", "at", "key", "statement", "seq"],
          "lock": ["lock_id", "kind", "value", "reason", "by", "created_ms", "state", "seq"],
          "segment": ["session", "number", "digest", "from_ms", "to_ms", "exchanges", "bytes", "seq"],
          "session": ["session", "person", "identity", "tool", "reason", "approved_by", "started_ms", "last_ms", "exchanges", "bytes", "segments", "erased"],
          "access_grant": ["grant_id", "item", "person", "identity", "x5t", "tool", "policy", "iat", "exp", "token_sha256", "state", "seq"],
          "leaf": ["seq", "type", "time_ms", "salt", "content", "digest", "session"], "head": ["seq", "note"]}


def test_verify_state_finds_what_was_done_to_a_copy(gateway_of, tmp_path):
    """Every field of decisions, locks, grants, segments, sessions, leaves and the head; rows taken out; recordings and tiles touched: each found, offline, with nothing but the log's key."""
    import sqlite3
    gw = gateway_of()
    give_grant(gw.person("alice"), gw.person("bob"))
    gw.person("alice").get("/echo?x=1")
    assert gw.person("olga").lock("person", "mallory", "phished").status == 201
    wait_until(lambda: gw.person("dan").api_ok("GET", "/api/v1/sessions")["sessions"], what="the session")
    key = tmp_path / "log-key"
    key.write_text(json.dumps(gw.person("dan").api_ok("GET", "/.well-known/countersign-log-key")))
    assert gw.stop() is None
    state = str(tmp_path / "copy")
    shutil.copytree(gw.state, state, ignore=shutil.ignore_patterns("run", "keys", "ca", "tls"))
    head = tmp_path / "head"
    shutil.copy(os.path.join(state, "log", "checkpoint"), head)
    db, kept = os.path.join(state, "authz.db"), str(tmp_path / "authz.db")

    def run():
        p = command("verify", "--state", state, "--log-key", str(key), "--head", str(head), "--json")
        assert p.returncode in (0, 1) and p.stdout, p.stderr
        return json.loads(p.stdout)
    said = run()
    assert said["whole"] and said["sessions"] == 1 and said["leaves"] == said["published"] > 5, said
    with sqlite3.connect(db) as c:
        c.execute("PRAGMA journal_mode=DELETE")
    shutil.copy(db, kept)
    before = sorted(os.listdir(state))
    for table, fields in FIELDS.items():
        for change in [f'UPDATE "{table}" SET "{f}" = CASE WHEN typeof("{f}") = \'integer\' THEN "{f}" + 1 ELSE \'x\' || "{f}" END WHERE rowid = (SELECT max(rowid) FROM "{table}" '
                       f'WHERE "{f}" IS NOT NULL)' for f in fields] + [f'DELETE FROM "{table}" WHERE rowid = (SELECT min(rowid) FROM "{table}")']:
            c = sqlite3.connect(db)
            c.execute("PRAGMA ignore_check_constraints=1")
            assert c.execute(change).rowcount == 1, change
            c.commit()
            c.close()
            assert not run()["whole"], change
            shutil.copy(kept, db)
    tar = next(os.path.join(state, "recordings", f) for f in os.listdir(os.path.join(state, "recordings")) if f.endswith(".tar"))
    os.rename(tar, tar + ".gone")
    assert {f["kind"] for f in run()["findings"]} == {"missing-recording"}
    os.rename(tar + ".gone", tar)
    shutil.copy(tar, os.path.join(os.path.dirname(tar), "grt_other.tar"))
    assert {f["kind"] for f in run()["findings"]} == {"extra-recording"}
    os.unlink(os.path.join(os.path.dirname(tar), "grt_other.tar"))
    with open(tar, "r+b") as f:
        f.seek(3000)
        byte = f.read(1)
        f.seek(3000)
        f.write(bytes([byte[0] ^ 1]))
    assert {f["kind"] for f in run()["findings"]} == {"altered-segment"}
    assert sorted(os.listdir(state)) == before, "verify left something in the copy"
