"""(alone) Promise 5 while six clients go on all the time, over HTTP/1.1, HTTP/2 and a WebSocket, with bodies that are all different: one process after the other is killed at random moments, the disk is full
or stalls, object storage is away. What was delivered is in the recording, byte for byte; nobody crashes; memory does not grow. 20 kills here; 500, and a minute without storage, with --long."""
import json
import os
import random
import subprocess
import time

import pytest

from harness.busy import Client, LoadTool, Memory, Recovered, clients, delivered
from harness.people import give_grant, wait_until
from harness.s3 import KEY, REGION, Storage
from test_copies import secret_file
from test_dying_processes import freezable, small_disk          # pylint: disable=unused-import
from test_sealing import tar_path

LONG = bool(os.environ.get("COUNTERSIGN_LONG"))
PLAIN = os.environ.get("COUNTERSIGN_PLAIN_BUILD") or None
KILLS = 500 if LONG else 20
APART_S = 2.0                                                    # on average
AWAY_S = 60 if LONG else 8
WARM_S = 60 if LONG else 5
MORE_KIB = 6 << 10                                               # what a process may have more at the end than at the beginning


@pytest.fixture
def storage(tmp_path):
    made = Storage(str(tmp_path))
    yield made
    made.end()


@pytest.fixture
def busy(gateway_of, origin, storage, tmp_path):
    """(gateway with copies to the storage, session, clients, memory)"""
    g = gateway_of(build=PLAIN if LONG else None, change=lambda config: config["tools"][0].update(max_duration="1h"), recording={"copy_to": storage.url, "copy_region": REGION, "copy_key": KEY, "copy_secret_file": secret_file(tmp_path), "copy_ca_file": storage.ca})
    session, crowd, memory = begin(g, origin, 3600)
    yield g, session, crowd, memory
    for c in crowd:
        c.ending.set()
    memory.end()


def begin(g, origin, seconds=1800):
    LoadTool(origin)
    session = give_grant(g.person("alice"), g.person("bob"), duration_s=seconds)["grant_id"]
    return session, clients(g.person("alice")), Memory(g)


def serves(g):
    try:
        return g.person("alice").get("/load?bytes=10&n=probe").status == 200
    except OSError:
        return False


def all_recorded(g, origin, session, crowd):
    """The clients end, the gateway stops; every byte that anybody received is in the recording. How many exchanges that were."""
    for c in crowd:
        c.end()
    assert not [t for c in crowd for t in c.wrong], "a client got what the tool did not say"
    wait_until(lambda: serves(g), 60, "the recovery")
    complaint = g.stop()
    assert complaint is None, complaint
    wanted = delivered(crowd, origin)
    kept = Recovered(tar_path(g, session), wanted)
    missing = kept.missing()
    assert not missing, f"{len(missing)} of {len(wanted)} bodies that were received are not in the recording: {missing[:5]}"
    for c in crowd:
        for target, heard in c.heard.items():
            lost = [h for h in heard if h not in kept.messages.get(target, set())]
            assert not lost, f"{len(lost)} of {len(heard)} messages of {target} are not in the recording"
    return kept


def said(crowd, kept):
    got = [v for c in crowd for v in c.got.values()]
    return (f"{len(got)} answers of {sum(v[0] for v in got)} bytes received, {sum(not v[2] for v in got)} of them cut off, {sum(len(h) for c in crowd for h in c.heard.values())} messages, "
            f"{sum(c.refused for c in crowd)} refused, {sum(c.broken for c in crowd)} broken; {kept.exchanges} exchanges in the recording")


def flat(memory):
    """No process has more of its own at the end than at the beginning, whoever it was by then. Not asked of a build with sanitizers: they keep what is freed."""
    memory.end()
    compared = memory.compare(WARM_S)
    for role, (early, late, _) in compared.items():
        assert not LONG or late <= early + MORE_KIB, f"the memory of {role} grew from {early} to {late} KiB"
    return ", ".join(f"{role} {early} to {late} KiB (whole: {most} at most)" for role, (early, late, most) in sorted(compared.items()))


def only_killed(g, killed):
    """Every process that ended was killed by us."""
    ended = [line for line in g.log_lines() if line.get("event") == "process.ended"]
    assert [line for line in ended if line.get("signal") != "9"] == []
    assert len(ended) == len(killed), f"{len(ended)} ended, {len(killed)} were killed"


def kill_one(g, rng, victims, killed):
    """One that was not killed before: a process takes a moment to die, and can be hit again meanwhile."""
    alive = sorted(role for pid, role in g.processes().items() if role in victims and pid not in killed)
    if alive:
        try:
            killed.add(g.kill(rng.choice(alive)))
        except (AssertionError, ProcessLookupError):
            pass                                                  # it is being restarted just now


@pytest.mark.limit(5400)
def test_kills_at_random_moments_lose_nothing_that_was_delivered(busy, origin, storage, record_property):
    g, session, crowd, memory = busy
    rng, killed, begun = random.Random(5), set(), time.monotonic()
    while len(killed) < KILLS:
        time.sleep(rng.uniform(0, 2 * APART_S))
        kill_one(g, rng, ("proxy", "authz", "courier"), killed)
    took = time.monotonic() - begun
    wait_until(lambda: serves(g), 60, "the recovery")
    grown = flat(memory)
    for c in crowd:
        c.end()
    wait_until(lambda: same_copy(g, storage, session), 180, "the copy of all of it")
    key = os.path.join(g.folder, "log-key")
    with open(key, "w", encoding="ascii") as f:
        json.dump(g.person("dan").api_ok("GET", "/.well-known/countersign-log-key"), f)
    kept = all_recorded(g, origin, session, crowd)
    print(f"{KILLS} kills in {took:.0f} s; {said(crowd, kept)}; memory: {grown}")
    only_killed(g, killed)
    assert storage.faults == []
    assert sum(len(c.got) for c in crowd) > 5 * KILLS
    checked = g.run_command("verify", "--state", g.state, "--log-key", key, timeout=600)
    assert checked.returncode == 0, checked.stdout
    record_property("kills", KILLS)


def same_copy(g, storage, session):
    with open(tar_path(g, session), "rb") as f:
        return f.read() == storage.recording(session)


def spool(g, storage, session):
    """How much is on the disk and not in the storage."""
    with storage.lock:
        there = sum(len(body) for name, body in storage.objects.items() if name.startswith(f"recordings/{session}/"))
    return os.path.getsize(tar_path(g, session)) - there


@pytest.mark.limit(1200)
def test_storage_that_is_away_costs_nobody_anything(busy, origin, storage):
    g, session, crowd, memory = busy
    time.sleep(2 * WARM_S if LONG else WARM_S)
    before, served = g.processes(), sum(len(c.got) for c in crowd)
    storage.end()
    time.sleep(AWAY_S)
    waiting, meanwhile = spool(g, storage, session), sum(len(c.got) for c in crowd) - served
    assert waiting > 0 and meanwhile > AWAY_S
    storage.begin()
    begun = time.monotonic()
    wait_until(lambda: spool(g, storage, session) < waiting // 4, 300, "what waited in the storage")
    caught_up = time.monotonic() - begun
    time.sleep(2 * WARM_S if LONG else WARM_S)
    grown = flat(memory)
    assert g.processes() == before and sum(c.refused for c in crowd) == 0
    for c in crowd:
        c.end()
    wait_until(lambda: same_copy(g, storage, session), 180, "the copy of all of it")
    kept = all_recorded(g, origin, session, crowd)
    assert storage.faults == []
    print(f"away {AWAY_S} s: {meanwhile} answers meanwhile, {waiting} bytes waited, caught up in {caught_up:.1f} s; {said(crowd, kept)}; memory: {grown}")


@pytest.mark.limit(600)
def test_a_full_disk_under_load(small_disk, origin):
    g = small_disk
    session, crowd, memory = begin(g, origin)
    time.sleep(3)
    before, filler = g.processes(), os.path.join(g.state, "recordings", "filler")
    fd = os.open(filler, os.O_WRONLY | os.O_CREAT)
    try:
        while os.write(fd, b"x" * 65536):
            pass
    except OSError:
        os.close(fd)
    try:
        crowd += [Client(g.person("alice"), f"more{i}", "h2", pause_s=0.01) for i in range(2)]
        wait_until(lambda: sum(c.refused for c in crowd) > 20, 120, "the refusals")
        time.sleep(5)
        for c in crowd[-2:]:
            c.end()
    finally:
        os.remove(filler)
    wait_until(lambda: serves(g), 60, "the recovery")
    time.sleep(3)
    memory.end()
    assert g.processes() == before
    for c in crowd:
        c.end()
    os.sync()
    kept = all_recorded(g, origin, session, crowd)
    print(f"{said(crowd, kept)}")


@pytest.mark.limit(600)
def test_a_disk_that_stalls_for_five_seconds_under_load(freezable, origin):
    g, folder = freezable
    session, crowd, memory = begin(g, origin)
    time.sleep(3)
    before = g.processes()
    for _ in range(3 if LONG else 1):
        assert subprocess.run(["fsfreeze", "-f", folder], capture_output=True, timeout=30).returncode == 0
        time.sleep(5)
        assert subprocess.run(["fsfreeze", "-u", folder], capture_output=True, timeout=30).returncode == 0
        wait_until(lambda: serves(g), 60, "the recovery")
        time.sleep(3)
    memory.end()
    assert g.processes() == before
    kept = all_recorded(g, origin, session, crowd)
    print(f"{said(crowd, kept)}")
