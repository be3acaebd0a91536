"""Promises 5, 7 and 8 when a process dies or falls silent: refuse, end what is live, lose nothing, recover."""
import os
import signal
import subprocess
import threading
import time

import pytest

from harness.live import all_kinds, check_all_end
from harness.origin import pattern
from harness.people import give_grant, hold, wait_until
from harness.recording import exchanges, read_tar


@pytest.fixture
def g(gateway_of):
    made = gateway_of()
    made.session = give_grant(made.person("alice"), made.person("bob"))["grant_id"]
    return made


def status_of(who, target="/probe"):
    try:
        return who.get(target).status
    except OSError:
        return 0


def wait_recovered(who, target="/probe"):
    """Each worker has a link of its own to authz: ten new connections in a row are answered before the gateway counts as well again."""
    wait_until(lambda: all(status_of(who, target) == 200 for _ in range(10)), 60, "the recovery")


def test_a_silent_authz_refuses_what_is_new_and_ends_what_is_live(g, origin):
    """SIGSTOP: it neither answers nor dies. New requests are refused within 1 s, live ones end within max_staleness (3 s); both with ten times' patience."""
    alice = g.person("alice")
    lives = all_kinds(alice, origin)
    pid = g.pid_of("authz")
    os.kill(pid, signal.SIGSTOP)
    begun = time.monotonic()
    try:
        wait_until(lambda: status_of(alice) in (503, 0), 10, "the refusal")
        check_all_end({k: v for k, v in lives.items() if "idle" not in k}, begun, 30)
        origin.reset()
        for _ in range(3):
            assert status_of(alice) in (503, 0)
        assert origin.count() == 0
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_recovered(alice)


def test_a_killed_authz_is_restarted_and_everything_answered_is_still_there(g, origin):
    alice, carol = g.person("alice"), g.person("carol")
    done, waiting = hold(alice, body=b"audience=done"), hold(alice, body=b"audience=waiting")
    approved = hold(alice, body=b"audience=approved")
    for item in (done, approved):
        assert carol.decide(item["id"]).status in (200, 201)
    assert alice.post("/export", b"audience=done").status == 200
    for _ in range(3):
        old = g.kill("authz")
        wait_until(lambda: g.pid_of("authz") not in (None, old), 30, "a new authz")
        wait_recovered(alice)
    assert [alice.item(i["id"])["state"] for i in (done, waiting, approved)] == ["used", "pending", "approved"]
    assert alice.post("/export", b"audience=done").problem == "signoff-required"
    assert alice.post("/export", b"audience=approved").status == 200
    assert sorted(r.body for r in origin.requests if r.path == "/export") == [b"audience=approved", b"audience=done"]


@pytest.mark.parametrize("proto", ["h1", "h2"])
def test_who_comes_between_the_end_of_authz_and_its_next_start_waits_for_it(g, origin, proto):
    """A moment's wait instead of a refusal: on connections that were open and on new ones."""
    alice = g.person("alice")
    alice.get("/before", proto=proto)
    for round_ in range(4):
        old = g.kill("authz")
        answers = [alice.get(f"/between/{round_}/{i}", proto=proto) for i in range(12)]
        assert [(a.status, a.body) for a in answers if a.status != 200] == []
        wait_until(lambda: g.pid_of("authz") not in (None, old), 30, "a new authz")
    assert origin.count() >= 48


def test_nobody_waits_long_for_an_authz_that_does_not_come_back(g, origin):
    alice = g.person("alice")
    os.kill(g.pid_of("run"), signal.SIGSTOP)          # nobody starts another one
    try:
        g.kill("authz")
        wait_until(lambda: status_of(alice) == 503, 30, "the refusal")     # what comes before its end is noticed may still pass
        origin.reset()
        begun = time.monotonic()
        assert status_of(alice) in (503, 0) and time.monotonic() - begun < 20
        assert origin.count() == 0
    finally:
        os.kill(g.pid_of("run"), signal.SIGCONT)
    wait_recovered(alice)


def recorded_bodies(g):
    path = os.path.join(g.state, "recordings", f"{g.session}.tar")
    try:
        with open(path, "rb") as f:
            return {e.request_line.split()[1]: e.response_body for e in exchanges(read_tar(f.read()))}
    except FileNotFoundError:
        return {}


def test_a_killed_proxy_is_restarted_and_what_it_delivered_is_recorded(g, origin):
    alice = g.person("alice")
    delivered = {}
    for round_ in range(3):
        for i in range(5):
            target = f"/big?bytes={20000 + i}&n={round_}.{i}"
            r = alice.get(target)
            assert r.complete
            delivered[target] = r.body
        old = g.kill("proxy")
        wait_until(lambda: g.pid_of("proxy") not in (None, old), 30, "a new proxy")
        wait_recovered(alice)
    assert all(body == pattern(0, len(body)) for body in delivered.values())
    wait_until(lambda: all(recorded_bodies(g).get(t) == body for t, body in delivered.items()), 60, "everything delivered in the recording")


def test_a_download_in_flight_when_the_proxy_dies_is_recorded_as_far_as_it_was_delivered(g, origin):
    from harness.clients import h1_request
    from harness.live import endless
    endless(origin, "/flight")
    got = bytearray()
    with g.person("alice").h1() as c:
        c.send(h1_request("GET", "/flight", f"support.test.localhost:{g.port}"))
        c.read_head()
        c.read_exactly(50_000, got)
        g.kill("proxy")
        while c.fill():
            pass
        got += c.buf
    wait_until(lambda: len(recorded_bodies(g).get("/flight", b"")) >= len(got), 60, "what was delivered in the recording")
    assert recorded_bodies(g)["/flight"][:len(got)] == bytes(got)


def test_the_gateway_does_not_live_on_without_its_parent(g, origin):
    """A killed parent takes the others with it: nothing unwatched goes on serving."""
    g.kill("run")
    g.process.wait(30)
    wait_until(lambda: not g.processes(), 30, "the end of the others")
    g.process = None
    g.start()
    assert g.person("alice").get("/again").status == 200


def test_all_killed_at_once_starts_again_by_itself_with_everything_answered(g, origin):
    alice, carol = g.person("alice"), g.person("carol")
    used, approved = hold(alice, body=b"audience=used"), hold(alice, body=b"audience=approved")
    for item in (used, approved):
        assert carol.decide(item["id"]).status in (200, 201)
    assert alice.post("/export", b"audience=used").status == 200
    g.kill_all()
    g.start()
    wait_recovered(alice)
    assert alice.item(approved["id"])["state"] == "approved"
    assert alice.post("/export", b"audience=used").problem == "signoff-required"
    assert alice.post("/export", b"audience=approved").status == 200
    assert origin.count("/export") == 2


def test_sigterm_lets_a_running_exchange_finish(g, origin):
    import asyncio

    async def script(request, conn):
        await conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        await asyncio.sleep(2)
        await conn.send(b"world")
    origin.on("/finish", script)
    result = {}

    def fetch():
        result["r"] = g.person("alice").get("/finish")
    t = threading.Thread(target=fetch)
    t.start()
    origin.wait_for(lambda rs: any(r.path == "/finish" for r in rs))
    complaint = g.stop()
    t.join(60)
    assert complaint is None, complaint
    assert result["r"].complete and result["r"].body == b"helloworld"


@pytest.fixture
def small_disk(gateway_of):
    """A gateway whose folder of recordings is a disk of 24 MiB: more than both tapes can hold back."""
    made = gateway_of(start=False, change=lambda config: config["tools"][0].update(break_glass={"groups": ["support"]}))
    folder = os.path.join(made.state, "recordings")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=0700", "none", folder], capture_output=True, timeout=30)
    if mounted.returncode != 0:
        pytest.skip("no small disk can be mounted here: " + mounted.stderr.decode())
    made.start()
    yield made
    complaint = made.stop()
    subprocess.run(["umount", folder], check=True, timeout=30)
    assert complaint is None, complaint


def test_a_full_disk_refuses_instead_of_forgetting(small_disk, origin):
    """Promises 5 and 8. What was delivered until then is in the recording; once there is room again, it goes on."""
    g = small_disk
    alice = g.person("alice")
    g.session = give_grant(alice, g.person("bob"))["grant_id"]
    filler = os.path.join(g.state, "recordings", "filler")
    fd = os.open(filler, os.O_WRONLY | os.O_CREAT)
    try:
        while os.write(fd, b"x" * 65536):
            pass
    except OSError:
        os.close(fd)

    def refused():
        for i in range(20):
            if status_of(alice, f"/big?bytes=400000&i={i}") in (503, 0):
                return True
        return False
    wait_until(refused, 60, "the refusal")
    r = alice.get("/x")
    assert (r.status, r.problem) == (503, "recording-unavailable"), f"{r.status} {r.body[:200]!r}"
    assert origin.count("/x") == 0
    r = alice.api("POST", "/api/v1/requests", {"tool": "support", "reason": "the disk is full", "duration_s": 60, "basis": "break-glass"})
    assert (r.status, r.problem) == (503, "recording-unavailable"), f"{r.status} {r.body[:200]!r}"
    os.remove(filler)
    wait_recovered(alice, "/room")
    wait_until(lambda: "/room" in recorded_bodies(g), 30, "the recording going on")


@pytest.fixture
def freezable(gateway_of):
    """A gateway whose recordings lie on a file system of their own that can be frozen: every write waits."""
    made = gateway_of(start=False)
    folder, image = os.path.join(made.state, "recordings"), os.path.join(made.folder, "disk.img")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    with open(image, "wb") as f:
        f.truncate(64 << 20)
    for command in (["mkfs.ext4", "-q", image], ["mount", "-o", "loop", image, folder]):
        if subprocess.run(command, capture_output=True, timeout=60).returncode != 0:
            pytest.skip("no file system can be mounted from a file here")
    os.chmod(folder, 0o700)
    made.start()
    yield made, folder
    subprocess.run(["fsfreeze", "-u", folder], capture_output=True, timeout=30)
    complaint = made.stop()
    subprocess.run(["umount", folder], check=True, timeout=30)
    assert complaint is None, complaint


def test_a_disk_that_stalls_for_five_seconds_loses_nothing(freezable, origin):
    """Promise 5: meanwhile it is served out of the ring, or refused; afterwards all that was delivered is in the recording, and nobody crashed."""
    g, folder = freezable
    alice = g.person("alice")
    g.session = give_grant(alice, g.person("bob"))["grant_id"]
    before, delivered = g.processes(), {}
    assert subprocess.run(["fsfreeze", "-f", folder], capture_output=True, timeout=30).returncode == 0
    thaw = threading.Timer(5, subprocess.run, (["fsfreeze", "-u", folder],), {"capture_output": True})
    thaw.start()
    try:
        end = time.monotonic() + 6
        while time.monotonic() < end:
            target = f"/big?bytes=20000&n={len(delivered)}.{time.monotonic_ns()}"
            try:
                r = alice.get(target)
            except OSError:
                continue
            assert r.status in (200, 503), r.status
            if r.status == 200:
                delivered[target] = r.body
            time.sleep(0.02)
    finally:
        thaw.join()
    wait_recovered(alice)
    assert len(delivered) > 10 and g.processes() == before
    wait_until(lambda: all(recorded_bodies(g).get(t) == body for t, body in delivered.items()), 60, "everything delivered in the recording")
    print(f"{len(delivered)} delivered around a stall of 5 s")


def test_two_deciders_cannot_share_a_state_folder(g):
    """A second `run` takes the first one's place (test_takeover.py); a second authz beside it never decides anything."""
    p = g.run_command("authz", "-c", os.path.join(g.state, "test.conf"), timeout=60)
    assert p.returncode != 0 and p.stderr
    assert g.person("alice").get("/still").status == 200
