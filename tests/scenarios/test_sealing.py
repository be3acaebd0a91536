"""Recordings are sealed: auditors open them with their keys, with our commands and with stock tools; nobody else can, and nothing readable lies on the disk."""
import json
import os
import re
import shutil
import signal
import subprocess
import tarfile

import pytest

from harness.age import AUDITORS, recipients_of
from harness.gateway import command
from harness.people import give_grant, wait_until
from harness.recording import exchanges, gzip_members, parse_record, read_tar

SECRET = "planted-7f3a9c"


def tar_path(gw, session):
    return os.path.join(gw.state, "recordings", f"{session}.tar")


def members(path):
    with tarfile.open(path) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar if m.isfile()}


def use(gw, origin, count=5):
    """A session of alice's with secrets in targets, fields and bodies; its id, the bodies she got."""
    item = give_grant(gw.person("alice"), gw.person("bob"))
    got = [gw.person("alice").get(f"/big?bytes={1000 + 997 * i}&who={SECRET}-{i}", [("X-Note", SECRET)]).body for i in range(count)]
    session = item["grant_id"]
    wait_until(lambda: os.path.exists(tar_path(gw, session)) and sum(f"{SECRET}-" in e.request_line and bool(e.response) for e in
               exchanges(read_tar(open(tar_path(gw, session), "rb").read()))) == count, what="the recording")
    return session, got


@pytest.fixture(scope="module")
def session(gw, origin):
    return use(gw, origin)


def test_every_member_is_an_age_file_for_both_auditors(gw, session):
    found = members(tar_path(gw, session[0]))
    assert found and all(re.fullmatch(r"\d{6}\.warc\.gz\.age", name) for name in found)
    assert all(recipients_of(content) == 2 for content in found.values())


@pytest.mark.skipif(shutil.which("age") is None, reason="Debian's age is not installed")
@pytest.mark.parametrize("who", [0, 1])
def test_stock_tools_give_every_body(gw, session, tmp_path, who):
    subprocess.run(["tar", "xf", tar_path(gw, session[0]), "-C", str(tmp_path)], check=True)
    records = []
    for name in sorted(os.listdir(tmp_path)):
        out = subprocess.run(f"age -d -i {gw.auditor_key(AUDITORS[who])} {tmp_path}/{name} | zcat", shell=True, capture_output=True, check=True)
        assert out.stderr == b"" and out.stdout.startswith(b"WARC/1.1\r\n")
        age = subprocess.run(["age", "-d", "-i", gw.auditor_key(AUDITORS[who]), f"{tmp_path}/{name}"], capture_output=True, check=True).stdout
        records += [parse_record(one, name) for one in gzip_members(age)]
    bodies = [e.response_body for e in exchanges(records) if SECRET in e.request_line]
    assert sorted(bodies) == sorted(session[1])


def test_nothing_readable_is_on_the_disk(gw, session):
    looked = 0
    for folder, _, files in os.walk(os.path.join(gw.state, "recordings")):
        for name in files:
            with open(os.path.join(folder, name), "rb") as f:
                data = f.read()
            looked += len(data)
            assert SECRET.encode() not in data and b"WARC/1.1" not in data, name
    assert looked > 0


def test_only_auditors_keys_open_it(gw, session, tmp_path):
    dan = gw.person("dan")
    for key in AUDITORS[:2]:
        out = dan.cli("show", session[0], "--auditor-key", gw.auditor_key(key), expect=0).stdout.decode()
        assert f"{SECRET}-3" in out
    said = dan.cli("show", session[0], "--auditor-key", gw.auditor_key(AUDITORS[2]), expect=1).stderr.decode()
    assert "sealed to other auditors' keys" in said and SECRET not in said
    saved = str(tmp_path / "kept")
    out = dan.cli("verify", session[0], "--save", saved, expect=0).stdout.decode()
    assert "Your key opens all of it" in out
    # Offline and without any key: verify needs none, show says what is missing.
    keyless = {"env": dict(gw.env(), HOME="/nonexistent")}
    p = command("verify", "--file", f"{saved}/recording.tar", "--log", f"{saved}/log.json", "--log-key", f"{saved}/log-key", **keyless)
    assert p.returncode == 0 and b"Your key opens" not in p.stdout
    p = command("show", "--file", f"{saved}/recording.tar", **keyless)
    assert p.returncode == 1 and b"sealed to its auditors' keys" in p.stderr and b"--auditor-key" in p.stderr


def test_replay_opens_it_too(gw, session):
    out = gw.person("dan").cli("replay", session[0], "--speed", "0", expect=0).stdout.decode()
    assert f"{SECRET}-0" in out


def test_the_recorder_dies_and_its_tail_is_sealed(gateway_of, origin):
    gw = gateway_of()
    item = give_grant(gw.person("alice"), gw.person("bob"))
    for i in range(20):
        gw.person("alice").get(f"/echo?who={SECRET}-{i}")
    gw.kill("proxy", signal.SIGKILL)
    gw.wait_ready()
    path = tar_path(gw, item["grant_id"])

    def all_there():
        with open(path, "rb") as f:
            data = f.read()
        assert SECRET.encode() not in data
        return sum(f"{SECRET}-" in e.request_line for e in exchanges(read_tar(data))) == 20
    wait_until(lambda: os.path.exists(path) and all_there(), what="what the dead process had recorded")


def test_keys_change_while_it_runs(gateway_of, origin):
    gw = gateway_of()
    session, _ = use(gw, origin, 2)
    gw.config["recording"] = {"sealed_to": [AUDITORS[1].public, AUDITORS[2].public]}
    from harness.gateway import write_config
    write_config(gw.state, gw.config)
    gw.process.send_signal(signal.SIGHUP)
    wait_until(lambda: any(line.get("event") == "reload.done" for line in gw.log_lines()), what="the reload")
    before = len(members(tar_path(gw, session)))
    gw.person("alice").get("/echo?who=after")
    wait_until(lambda: len(members(tar_path(gw, session))) > before, what="a new segment")
    dan = gw.person("dan")
    old = dan.cli("show", session, "--auditor-key", gw.auditor_key(AUDITORS[0]), expect=1).stdout.decode()
    assert f"{SECRET}-1" in old and "who=after" not in old and "other auditors' keys" in old
    both = dan.cli("show", session, "--auditor-key", gw.auditor_key(AUDITORS[1]), expect=0).stdout.decode()
    assert f"{SECRET}-1" in both and "who=after" in both
    new = dan.cli("show", session, "--auditor-key", gw.auditor_key(AUDITORS[2]), expect=1).stdout.decode()
    assert f"{SECRET}-1" not in new and "who=after" in new
    dan.cli("verify", session, "--auditor-key", gw.auditor_key(AUDITORS[2]), expect=0)
    # When each key came and went is in the log.
    leaves = dan.api_ok("GET", f"/api/v1/log?from=1&limit=1000&session={session}")["leaves"]
    keys = [(leaf["type"], leaf["content"].get("public_key")) for leaf in leaves if leaf["type"].startswith("auditor-key.")]
    assert keys == [("auditor-key.added", AUDITORS[0].public), ("auditor-key.added", AUDITORS[1].public), ("auditor-key.retired", None),
                    ("auditor-key.added", AUDITORS[2].public)]


def test_auditor_key_makes_pairs_that_age_takes(tmp_path):
    path = tmp_path / "mine.key"
    p = command("auditor-key", "--output", str(path))
    public = p.stdout.decode().strip()
    assert p.returncode == 0 and re.fullmatch("age1[0-9a-z]{58}", public) and path.stat().st_mode & 0o777 == 0o600
    again = command("auditor-key", "--output", str(path))
    assert again.returncode == 1 and b"is there already" in again.stderr
    p = command("auditor-key")
    assert p.stdout.splitlines()[2].startswith(b"AGE-SECRET-KEY-1") and b"Public key: age1" in p.stderr
    if shutil.which("age-keygen"):
        assert subprocess.run(["age-keygen", "-y", str(path)], capture_output=True, check=True).stdout.decode().strip() == public


def test_init_gives_the_secret_halves_to_whoever_runs_it(tmp_path):
    state = tmp_path / "state"
    p = command("init", str(state), "--domain", "a.example")
    assert p.returncode == 0 and b"state-auditors/auditor-1.key" in p.stdout
    keys = [(tmp_path / "state-auditors" / f"auditor-{i}.key").read_text() for i in (1, 2)]
    text = (state / "countersign.conf").read_text()
    assert all(re.search("# public key: (age1.*)", k).group(1) in text for k in keys)
    secrets = [re.search("AGE-SECRET-KEY-.*", k).group(0) for k in keys]
    for folder, _, files in os.walk(state):
        for name in files:
            with open(os.path.join(folder, name), "rb") as f:
                data = f.read()
            assert not any(s.encode() in data for s in secrets), name
    assert command("check", "-c", str(state / "countersign.conf")).returncode == 0


@pytest.mark.parametrize("args, code, said", [
    (["--auditors", AUDITORS[0].public], 2, b"at least two different public keys"),
    (["--auditors", f"{AUDITORS[0].public},{AUDITORS[0].public}"], 2, b"at least two different public keys"),
    (["--auditors", f"{AUDITORS[0].public},age1nonsense"], 2, b"at least two different public keys"),
    (["--unsealed", "--auditors", f"{AUDITORS[0].public},{AUDITORS[1].public}"], 2, b"exclude each other"),
    (["--unsealed"], 0, b"whoever can read this disk can read them"),
    (["--auditors", f"{AUDITORS[0].public},{AUDITORS[1].public}"], 0, b"What to do next"),
])
def test_init_and_whom_to_seal_to(tmp_path, args, code, said):
    p = command("init", str(tmp_path / "s"), "--domain", "a.example", *args)
    assert p.returncode == code and said in p.stdout + p.stderr
    assert not (tmp_path / "s-auditors").exists()


def test_unsealed_is_possible_and_said_loudly(gateway_of, origin):
    gw = gateway_of(recording={"unsealed": True})
    session, _ = use(gw, origin, 1)
    assert all(name.endswith(".warc.gz") for name in members(tar_path(gw, session)))
    p = command("check", "-c", os.path.join(gw.state, "test.conf"), env=gw.env())
    assert p.returncode == 0 and b"whoever can read the disk can read every recording" in p.stdout + p.stderr
    env = dict(gw.env(), HOME="/nonexistent")
    shown = command("show", "--file", tar_path(gw, session), "--json", env=env)
    assert shown.returncode == 0 and json.loads(shown.stdout)["exchanges"]


def test_no_core_file_would_hold_what_people_saw(gw, session):
    for pid in gw.processes():
        with open(f"/proc/{pid}/limits", encoding="ascii") as f:
            assert re.search(r"Max core file size +0 +0", f.read())
    with open(f"/proc/{gw.pid_of('proxy')}/smaps", encoding="ascii", errors="replace") as f:
        maps = re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", f.read())
    rings = [m for m in maps if "countersign-ring" in m.split("\n")[0]]
    assert rings and all(" dd" in re.search("VmFlags:(.*)", m).group(1) for m in rings)
