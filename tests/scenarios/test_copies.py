"""(waits) Copies in object storage: each segment byte for byte, whatever happens to the storage, the courier or the disk's reader; checked against a storage that verifies signatures by itself."""
import os
import signal
import subprocess

import pytest

from harness.people import give_grant, wait_until
from harness.recording import exchanges, read_tar
from harness.s3 import KEY, REGION, SECRET, Storage, fault, signing_key


def secret_file(folder, text=SECRET):
    path = os.path.join(str(folder), "s3.secret")
    with open(path, "w", encoding="ascii", opener=lambda p, flags: os.open(p, flags, 0o600)) as f:
        f.write(text + "\n")
    return path


@pytest.fixture
def storage(tmp_path):
    made = Storage(str(tmp_path))
    yield made
    made.end()


def copying(gateway_of, storage, folder, **more):
    return gateway_of(recording={"copy_to": storage.url, "copy_region": REGION, "copy_key": KEY, "copy_secret_file": secret_file(folder), "copy_ca_file": storage.ca, **more})


def local(g, session):
    try:
        with open(os.path.join(g.state, "recordings", f"{session}.tar"), "rb") as f:
            return f.read()
    except FileNotFoundError:
        return None


def use(g, count=6, label="x"):
    alice = g.person("alice")
    if not alice.status()["grants"]:
        give_grant(alice, g.person("bob"))
    for i in range(count):
        assert alice.get(f"/big?bytes={5000 + i}&{label}={i}").complete
    return alice.status()["grants"][0]["grant_id"]


def wait_same(g, storage, session, wanted, seconds=60):
    """The copy is the file, and has all of what was wanted."""
    def same():
        mine, copy = local(g, session), storage.recording(session)
        return mine is not None and mine == copy and all(any(w in e.request_line and e.response for e in exchanges(read_tar(copy))) for w in wanted)
    try:
        wait_until(same, seconds, "the copy")
    except AssertionError:
        raise AssertionError(f"no copy: {storage.asked} asked, {sorted(storage.objects)}, {storage.faults[:3]}, {[line for line in g.log().splitlines() if 'copies' in line or 'courier' in line][:8]}") from None


def test_the_vectors_of_signature_version_4():
    """The key of AWS's own example, so that the storage's judgement is worth something."""
    key = signing_key("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20120215", "us-east-1", "iam")
    assert key.hex() == "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d"
    assert fault("PUT", "/x", [("Host", "h")], b"") == "not signed"


def test_a_session_is_copied_byte_for_byte_and_the_log_with_it(gateway_of, storage, tmp_path):
    g = copying(gateway_of, storage, tmp_path)
    session = use(g)
    wait_same(g, storage, session, [f"x={i}" for i in range(6)])
    assert storage.faults == []
    assert not any(b"GET /big" in o for o in storage.objects.values()), "a segment that is not sealed"
    wait_until(lambda: "log/checkpoint" in storage.objects, 90, "the log")
    with open(os.path.join(g.state, "log", "key"), "rb") as f:
        assert storage.objects["log/key"] == f.read()
    size = int(storage.objects["log/checkpoint"].split(b"\n")[1])
    assert size > 0 and any(n.startswith("log/tile/0/") for n in storage.objects)
    # An auditor needs the copy alone for reading.
    kept = tmp_path / "copy.tar"
    kept.write_bytes(storage.recording(session))
    listed = subprocess.run(["tar", "tf", str(kept)], capture_output=True, check=True)
    assert listed.stderr == b"" and b"000001.warc.gz.age" in listed.stdout


def test_storage_away_refusing_and_slow_loses_nothing(gateway_of, storage, tmp_path):
    g = copying(gateway_of, storage, tmp_path)
    session = use(g, label="before")
    wait_same(g, storage, session, ["before=0"])
    storage.end()
    use(g, label="away")
    wait_until(lambda: "copies.failed" in g.log(), 60, "the complaint")
    storage.behave = lambda n, name: 503 if n % 2 else None
    storage.begin()
    use(g, label="slow")
    wait_same(g, storage, session, ["away=5", "slow=5"], 120)
    assert storage.faults == []
    assert "copies.resumed" in g.log()


def test_a_killed_courier_goes_on_where_it_was(gateway_of, storage, tmp_path):
    g = copying(gateway_of, storage, tmp_path)
    session = use(g, label="one")
    wait_same(g, storage, session, ["one=5"])
    asked = storage.asked
    for round_ in range(2):
        old = g.kill("courier")
        use(g, label=f"round{round_}")
        wait_until(lambda: g.pid_of("courier") not in (None, old), 60, "a new courier")
    wait_same(g, storage, session, [f"round{i}=5" for i in range(2)], 120)
    assert storage.faults == []
    again = sum(n.startswith("recordings/") for n in storage.objects)
    assert storage.asked - asked <= 3 * again + 200, "it sends everything anew each time"


def test_what_is_damaged_on_disk_is_not_passed_on(gateway_of, storage, tmp_path):
    storage.behave = lambda n, name: 503
    g = copying(gateway_of, storage, tmp_path)
    session = use(g)
    path = os.path.join(g.state, "recordings", f"{session}.tar")
    wait_until(lambda: os.path.exists(path) and len(read_tar(local(g, session))) > 3, 60, "the recording")
    g.stop()
    with open(path, "r+b") as f:
        data = f.read()
        at = data.index(b"age-encryption.org/v1") + 300
        f.seek(at)
        f.write(bytes([data[at] ^ 1]))
    storage.behave = lambda n, name: None
    g.start()
    wait_until(lambda: "log/checkpoint" in storage.objects, 90, "the log")
    assert f"recordings/{session}/000001.tar" not in storage.objects
    assert g.person("alice").get("/still").status in (200, 403)


@pytest.mark.parametrize("what", ["another name", "another authority"])
def test_a_storage_that_is_not_the_one_named_gets_nothing(gateway_of, tmp_path, what):
    real, false = Storage(str(tmp_path / "a")), Storage(str(tmp_path / "b"), certificate_for="other.localhost" if what == "another name" else None)
    try:
        g = gateway_of(recording={"copy_to": false.url, "copy_region": REGION, "copy_key": KEY, "copy_secret_file": secret_file(tmp_path),
                                  "copy_ca_file": false.ca if what == "another name" else real.ca})
        use(g)
        wait_until(lambda: "copies.failed" in g.log(), 60, "the failure")
        assert false.asked == 0
    finally:
        real.end()
        false.end()


def test_mistakes_are_named(gateway_of, storage, tmp_path):
    g = copying(gateway_of, storage, tmp_path)
    os.chmod(os.path.join(str(tmp_path), "s3.secret"), 0o644)
    os.kill(g.process.pid, signal.SIGHUP)
    wait_until(lambda: "copies.not_begun" in g.log(), 60, "the complaint")
    assert SECRET not in g.log()
