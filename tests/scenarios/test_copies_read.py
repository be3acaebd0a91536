"""(waits) Recordings read back from object storage by an auditor whose gateway has no file of them any more: the same as from the gateway, checked against the log, clear when it cannot be."""
import json
import os
import time

import pytest

from harness.people import wait_until
from harness.s3 import KEY, REGION, SECRET, Storage
from scenarios.test_copies import copying, local, secret_file, use, wait_same


@pytest.fixture
def storage(tmp_path):
    made = Storage(str(tmp_path))
    yield made
    made.end()


def named(storage, folder, **more):
    """The storage in the environment, as a profile has it."""
    return {"COUNTERSIGN_STORAGE": storage.url, "COUNTERSIGN_STORAGE_REGION": REGION, "COUNTERSIGN_STORAGE_KEY": KEY, "COUNTERSIGN_STORAGE_SECRET": secret_file(folder),
            "COUNTERSIGN_STORAGE_CA": storage.ca, **more}


def ask(g, env, *args, expect=0):
    return g.person("dan").cli(*args, expect=expect, timeout=120, env=env)


def copied(gateway_of, storage, folder):
    """A gateway, and a session of it in several segments that was copied whole, and that has ended."""
    g = copying(gateway_of, storage, folder, segment_time="200ms")
    for _ in range(4):
        session = use(g)
        time.sleep(0.6)
    wait_same(g, storage, session, [f"x={i}" for i in range(6)])
    assert g.person("olga").lock("grant", session).status == 201
    wait_same(g, storage, session, ["x=5"])
    return g, session


def test_a_local_file_that_is_gone_is_read_from_storage(gateway_of, storage, tmp_path):
    g, session = copied(gateway_of, storage, tmp_path)
    dan = g.person("dan")
    before = {"show": dan.cli("show", session, "--json", expect=0).stdout, "har": json.loads(dan.cli("export", session, expect=0).stdout)}
    path = os.path.join(g.state, "recordings", f"{session}.tar")
    kept = local(g, session)
    os.rename(path, path + ".away")
    nothing = dan.cli("show", session, expect=1)
    assert b"no file of the recording" in nothing.stderr and b"--storage" in nothing.stderr
    env = named(storage, tmp_path)
    shown = json.loads(ask(g, env, "show", session, "--json").stdout)
    was = json.loads(before["show"])
    assert shown["exchanges"] == was["exchanges"] and len(shown["exchanges"]) >= 6
    told = ask(g, env, "verify", session, "--save", str(tmp_path / "kept"))
    assert (tmp_path / "kept" / "recording.tar").read_bytes() == kept, "byte for byte what lay at the gateway"
    assert told.returncode == 0
    report = ask(g, env, "incident", "--identity", was["session"]["identity"], "--from", "2020-01-01", "--json")
    assert session.encode() in report.stdout
    assert json.loads(ask(g, env, "export", session).stdout)["log"]["entries"] == before["har"]["log"]["entries"]
    assert storage.read_faults == []


def test_the_copy_itself_is_verified(gateway_of, storage, tmp_path):
    """--storage reads from there though the gateway has the file: a changed or missing object is found, and never shown."""
    g, session = copied(gateway_of, storage, tmp_path)
    env = named(storage, tmp_path)
    env.pop("COUNTERSIGN_STORAGE")
    ask(g, env, "verify", session, "--storage", storage.url)
    assert storage.read > 0
    second = f"recordings/{session}/000002.tar"
    good = storage.objects[second]
    storage.objects[second] = good[:700] + bytes([good[700] ^ 1]) + good[701:]
    found = ask(g, env, "verify", session, "--storage", storage.url, expect=1)
    assert b"segment 2" in found.stdout
    refused = ask(g, env, "show", session, "--storage", storage.url, expect=1)
    assert b"segment 2" in refused.stderr and b"was changed" in refused.stderr
    del storage.objects[second]
    found = ask(g, env, "verify", session, "--storage", storage.url, expect=1)
    assert b"segment 2" in found.stdout
    missing = ask(g, env, "show", session, "--storage", storage.url, expect=1)
    assert b"lacks segment 2" in missing.stderr
    storage.objects[second] = good
    ask(g, env, "show", session, "--storage", storage.url)


def test_a_storage_that_is_away_refuses_or_is_not_the_one(gateway_of, storage, tmp_path):
    g, session = copied(gateway_of, storage, tmp_path)
    os.rename(os.path.join(g.state, "recordings", f"{session}.tar"), str(tmp_path / "away.tar"))
    env = named(storage, tmp_path)
    # In trouble at first: tried again.
    storage.behave_read = lambda n, name: 503 if n <= 2 else None
    ask(g, env, "show", session)
    # Refusing, endless, lying.
    storage.behave_read = lambda n, name: 403
    assert b"must be allowed to read" in ask(g, env, "show", session, expect=1).stderr
    storage.behave_read = lambda n, name: b"not a tar"
    assert b"was changed" in ask(g, env, "show", session, expect=1).stderr
    storage.behave_read = lambda n, name: 404
    assert b"has nothing of" in ask(g, env, "show", session, expect=1).stderr
    storage.behave_read = lambda n, name: 500
    assert b"cannot be read now" in ask(g, env, "show", session, expect=1).stderr
    storage.behave_read = lambda n, name: None
    other = Storage(str(tmp_path / "other"))
    assert b"cannot be read now" in ask(g, {**env, "COUNTERSIGN_STORAGE_CA": other.ca}, "show", session, expect=1).stderr
    other.end()
    assert b"storage_region" in ask(g, {**env, "COUNTERSIGN_STORAGE_REGION": ""}, "show", session, expect=1).stderr
    assert b"expected https://" in ask(g, {**env, "COUNTERSIGN_STORAGE": "http://storage.localhost/x"}, "show", session, expect=1).stderr
    storage.end()
    gone = ask(g, env, "show", session, expect=1)
    assert b"cannot be read now" in gone.stderr and b"try again" in gone.stderr
    storage.begin()
    ask(g, env, "show", session)


def test_what_is_copied_need_not_stay(gateway_of, storage, tmp_path):
    """keep_local: only an ended session, only once each segment was confirmed, never under a hold; a logged event, and read from the storage afterwards."""
    storage.behave = lambda n, name: 503 if name.endswith("000002.tar") else None
    g = copying(gateway_of, storage, tmp_path, keep_local="1s")
    dan, sam = g.person("dan"), g.person("sam")
    session = use(g)
    wait_until(lambda: local(g, session) and len(local(g, session)) > 3000, 60, "the recording")
    hold = dan.api_ok("POST", "/api/v1/holds", {"kind": "session", "value": session, "reason": "case 7"})["hold"]["id"]
    assert g.person("olga").lock("grant", session).status == 201
    time.sleep(13)
    kept = local(g, session)
    assert kept, "a segment was not confirmed"
    storage.behave = lambda n, name: None
    wait_until(lambda: storage.recording(session) == kept, 90, "the copy")
    time.sleep(13)
    assert local(g, session) == kept, "a legal hold names it"
    assert sam.api("POST", f"/api/v1/holds/{hold}/release", {"reason": "case closed"}).status == 200
    wait_until(lambda: local(g, session) is None, 90, "the deletion")
    leaves = dan.api_ok("GET", f"/api/v1/sessions/{session}?purpose=show")["leaves"]
    moved, = [x for x in leaves if x["type"] == "session.moved"]
    assert moved["content"]["segments"] == len([x for x in leaves if x["type"] == "segment"]) and moved["content"]["to"] == storage.url
    told = dan.cli("show", session, expect=1).stderr
    assert storage.url.encode() in told and b"as logged in leaf" in told and b"--storage" in told
    env = named(storage, tmp_path)
    ask(g, env, "verify", session)
    assert len(json.loads(ask(g, env, "show", session, "--json").stdout)["exchanges"]) >= 6
    complaint = g.stop()
    assert complaint is None, complaint
    g.start()
    ask(g, env, "verify", session)
