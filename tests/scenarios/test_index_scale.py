"""(alone) A million exchanges in 100 sessions: what an auditor's questions cost. Small here; with --long on a plain build the figures that count, in output/load.jsonl."""
import json
import os
import resource
import subprocess

import pytest

from harness.age import AUDITORS
from harness.config_text import SUPPORT
from harness.gateway import BUILD, Gateway, command
from harness.people import give_grant, wait_until
from test_index import named

LONG = bool(os.environ.get("COUNTERSIGN_LONG"))
PLAIN = os.environ.get("COUNTERSIGN_PLAIN_BUILD") or None
SESSIONS, EACH = (100, 9_000) if LONG else (3, 200)
LARGE = 100_000 if LONG else 400        # in one session, beside those
CUSTOMERS = 319 if LONG else 20
ALL = SESSIONS * EACH + LARGE


@pytest.fixture(scope="module")
def gw(origin):
    g = Gateway(origin, build=PLAIN if LONG else None, change=named)
    yield g
    g.finish()


def grants(gw, count):
    """So many sessions of alice's, one after the other; the last is left open."""
    found = []
    for _ in range(count):
        found.append(give_grant(gw.person("alice"), gw.person("bob"), notice=False)["grant_id"])
        lock = gw.person("olga").api_ok("POST", "/api/v1/locks", {"kind": "grant", "value": found[-1], "reason": "the next one"})
        assert lock
    return found


def record(gw, exchanges, sessions):
    tool = os.path.join((PLAIN if LONG else None) or BUILD, "cs_recordings")
    p = subprocess.run([tool, "--state", gw.state, "--instance", gw.config["instance"], "--sealed-to", ",".join(k.public for k in AUDITORS[:2]), "--person", "alice",
                        "--identity", "alice@test.localhost", "--tool", "support", "--host", SUPPORT, "--exchanges", str(exchanges), "--customers", str(CUSTOMERS),
                        "--bytes", "400", *sessions], capture_output=True, timeout=1200)
    assert p.returncode == 0, p.stderr.decode()[-2000:]
    return json.loads(p.stdout)


@pytest.fixture(scope="module")
def million(gw):
    sessions = grants(gw, SESSIONS + 1)
    made = [record(gw, EACH, sessions[:-1]), record(gw, LARGE, sessions[-1:])]
    count = lambda: sum(s["exchanges"] for s in json.loads(gw.person("dan").cli("sessions", "--json", "--most", "1000", expect=0).stdout)["sessions"])
    wait_until(lambda: count() >= ALL, 300, "all segments in the log")
    size = sum(os.path.getsize(os.path.join(gw.state, "recordings", f"{s}.tar")) for s in sessions)
    tell(f"{ALL} exchanges made, {size >> 20} MiB", made[0]["cpu_s"] + made[1]["cpu_s"])
    return sessions


def tell(name, cpu_s, **more):
    line = {"test": name, "build": "plain" if LONG else "sanitizers", "cpu_s": round(cpu_s, 2), **more}
    with open(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "output", "load.jsonl"), "a", encoding="utf-8") as f:
        f.write(json.dumps(line) + "\n")
    print(json.dumps(line))


def timed(gw, name, *args):
    """Run dan's command; its CPU, the gateway's beside it, and what it said."""
    ours = lambda: (u := resource.getrusage(resource.RUSAGE_CHILDREN)).ru_utime + u.ru_stime
    before, theirs = ours(), gateway_cpu(gw)
    p = gw.person("dan").cli(*args, expect=0, timeout=600)
    tell(name, ours() - before, gateway_cpu_s=round(gateway_cpu(gw) - theirs, 2), lines=p.stdout.count(b"\n"))
    return p.stdout.decode()


def gateway_cpu(gw):
    ticks = 0
    for pid in gw.processes():
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            ticks += sum(int(n) for n in f.read().rsplit(")", 1)[1].split()[11:13])
    return ticks / os.sysconf("SC_CLK_TCK")


@pytest.mark.limit(3600)
def test_what_an_auditor_asks_of_a_million_exchanges(gw, million):
    r = json.loads(timed(gw, f"incident over {ALL} exchanges", "incident", "--person", "alice", "--from", "2h", "--json"))
    assert r["summary"]["exchanges"] == ALL and r["summary"]["sessions"] == SESSIONS + 1 and len(r["summary"]["customers"]) == CUSTOMERS
    assert sum(line["count"] for line in r["lines"] if line["kind"] == "customer") == sum(r["summary"]["customers"].values())
    refused = r["summary"]["refusals"]
    assert refused == SESSIONS * (EACH // 50) + LARGE // 50
    assert f" {ALL} exchanges" in timed(gw, f"incident over {ALL} exchanges, as text", "incident", "--person", "alice", "--from", "2h")
    out = timed(gw, f"show, all of {LARGE}", "show", million[-1])
    assert f"{LARGE} exchanges:" in out and "No index covers" not in out
    out = timed(gw, f"show --customer, of {LARGE}", "show", million[-1], "--customer", "17")
    assert 0 < out.count("customer=17") < LARGE / 10
    found = json.loads(timed(gw, "sessions --customer", "sessions", "--customer", "17", "--json", "--most", "1000"))
    assert len(found["sessions"]) == SESSIONS + 1 if LONG else found["sessions"]
    assert not json.loads(timed(gw, "sessions --customer, none", "sessions", "--customer", "320", "--json"))["sessions"]


@pytest.mark.limit(1800)
def test_verify_of_the_largest(gw, million, tmp_path):
    """Digests only, as whoever has no auditor's key does it: megabytes a second of CPU."""
    saved = str(tmp_path)
    gw.person("dan").cli("verify", million[-1], "--save", saved, expect=0, timeout=600)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    p = command("verify", "--file", f"{saved}/recording.tar", "--log", f"{saved}/log.json", "--log-key", f"{saved}/log-key", build=PLAIN if LONG else None,
                env=dict(gw.env(), HOME="/nonexistent"), timeout=600)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert p.returncode == 0 and b"whole:" in p.stdout and b"Your key opens" not in p.stdout
    cpu, size = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, os.path.getsize(f"{saved}/recording.tar")
    tell(f"verify offline, {size >> 20} MiB", cpu, mb_per_s=round(size / 1e6 / cpu))
