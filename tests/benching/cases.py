"""The cases: what is asked of each proxy, and how one load is measured."""
import json
import os
import subprocess
import time
from dataclasses import dataclass

from benching import processes
from harness.config_text import SUPPORT

MIB = 1 << 20
CIPHER, GROUP = "TLS_AES_128_GCM_SHA256", "P-256"
DEADLINE_S = 180


@dataclass
class Case:
    name: str
    what: str
    path: str = "/100"
    http: int = 1
    connections: int = 16
    streams: int = 1
    requests: int = 0            # in a full round; --quick does a third
    size: int = -1
    signed: bool = False         # also those that verify a JWT with every request
    handshakes: bool = False
    method: str = "GET"
    upload: int = 0
    status: int = 200
    kind: str = "cpu"            # cpu, bulk, latency, idle
    after: str = ""              # latency: at half the slowest's rate in that case


CASES = [
    Case("idle", "memory of idle mutual TLS connections", kind="idle", requests=5000),
    Case("idle-h2", "memory of idle mutual TLS connections, HTTP/2", http=2, kind="idle", requests=5000),
    Case("h1-100", "100 B, HTTP/1.1", requests=30000, size=100, signed=True),
    Case("h2-100", "100 B, HTTP/2", http=2, connections=8, streams=10, requests=45000, size=100, signed=True),
    Case("h1-10k", "10 KiB, HTTP/1.1", "/10k", requests=24000, size=10240, signed=True),
    Case("h2-10k", "10 KiB, HTTP/2", "/10k", http=2, connections=8, streams=10, requests=30000, size=10240, signed=True),
    Case("h1-1m", "1 MiB, HTTP/1.1", "/1m", requests=450, size=MIB),
    Case("h2-1m", "1 MiB, HTTP/2", "/1m", http=2, connections=8, streams=4, requests=450, size=MIB),
    Case("h1-json", "10 KiB of JSON, another one each time, HTTP/1.1", "/json", requests=24000, signed=True),
    Case("h2-json", "10 KiB of JSON, another one each time, HTTP/2", "/json", http=2, connections=8, streams=10, requests=30000, signed=True),
    Case("handshake", "full mutual TLS handshake and one request of 100 B", requests=3000, connections=8, size=100, handshakes=True),
    Case("down", "one large body down, HTTP/1.1", "/down", kind="bulk", requests=1, connections=1),
    Case("down-h2", "one large body down, HTTP/2", "/down", http=2, kind="bulk", requests=1, connections=1),
    Case("up", "one large body up, HTTP/1.1", "/up", kind="bulk", requests=1, connections=1, method="PUT", status=204),
    Case("latency-h1", "latency at half the slowest's rate, 100 B, HTTP/1.1", kind="latency", after="h1-100", size=100, signed=True),
    Case("latency-h2", "latency at half the slowest's rate, 100 B, HTTP/2", http=2, connections=8, streams=10, kind="latency",
         after="h2-100", size=100, signed=True),
]


def chosen(only):
    if not only:
        return CASES
    names = {c.name for c in CASES if any(c.name == o or c.name.startswith(o) for o in only)}
    return [c for c in CASES if c.name in names]


class Load:
    """The load client, as alice, on the load core. Every run is bounded in requests and in time."""

    def __init__(self, cred, build):
        self.cred, self.binary = cred, os.path.join(build, "cs_load")

    def argv(self, case, proxy, requests, rate=0.0):
        argv = [self.binary, "--cert", self.cred.cert, "--key", self.cred.key, "--ca", proxy.ca, "--cipher", CIPHER, "--group", GROUP,
                "--http", str(case.http), "-n", str(requests), "-c", str(case.connections), "-m", str(case.streams), "--method", case.method,
                "--expect-status", str(case.status), "--timeout-s", "30"]
        for field in proxy.fields:
            argv += ["--header", field]
        if case.size >= 0:
            argv += ["--expect-bytes", str(case.size)]
        if case.upload:
            argv += ["--upload", str(case.upload)]
        if case.handshakes:
            argv += ["--handshakes"]
        if rate:
            argv += ["--rate", f"{rate:.1f}"]
        return argv + [f"https://{SUPPORT}:{proxy.port}{case.path}"]

    def run(self, case, proxy, requests, rate=0.0):
        p = subprocess.run(self.argv(case, proxy, requests, rate), capture_output=True, timeout=DEADLINE_S, stdin=subprocess.DEVNULL,
                           preexec_fn=processes.on_core(processes.LOAD_CORE))
        try:
            out = json.loads(p.stdout)
        except ValueError:
            raise RuntimeError(f"{case.name}, {proxy.name}: the load client said: {p.stderr.decode()[:500]}") from None
        if out["failed"]:
            raise RuntimeError(f"{case.name}, {proxy.name}: {out['failed']} of {out['requests']} requests failed: {out['reasons']}")
        return out

    def hold(self, case, proxy, count):
        """Opens and holds connections: the client's process and how many it holds."""
        case = Case(case.name, case.what, case.path, http=case.http, connections=count, size=100)
        argv = self.argv(case, proxy, 1)
        argv.insert(-1, "--idle")
        p = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=processes.on_core(processes.LOAD_CORE))
        out = json.loads(p.stdout.readline() or b"{}")
        return p, out.get("held", 0), out.get("reason", "the load client ended")


def settled(pids, seconds=3.0):
    """CPU times once nothing is working any more: a recorder may still be emptying its ring."""
    now = processes.cpu(pids)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.1)
        before, now = now, processes.cpu(pids)
        if processes.cpu_between(before, now)[0] < 0.002:
            break
    return now


def measure(load, case, proxy, requests, rate=0.0):
    """One load: a dict of what it cost."""
    pids = proxy.pids()
    processes.reset_peak(pids)
    before = processes.cpu(pids)
    out = load.run(case, proxy, requests, rate)
    used, by_thread = processes.cpu_between(before, settled(pids))
    size = out["bytes_down"] + out["bytes_up"]
    return {
        "requests": out["ok"], "requests_per_s": out["requests_per_s"], "cpu_s": used, "cpu_s_per_1000": used * 1000 / max(out["ok"], 1),
        "busy": used / out["seconds"] if out["seconds"] else 0.0, "p50_ms": out["latency_ms"]["p50"], "p99_ms": out["latency_ms"]["p99"],
        "mib_per_s": size / MIB / out["seconds"] if out["seconds"] else 0.0, "cpu_s_per_gib": used * 1024 * MIB / size if size else 0.0,
        "rss_mib": processes.rss_kib(pids, "VmHWM") / 1024, "rate": rate,
        "threads_cpu_s_per_1000": {n: s * 1000 / max(out["ok"], 1) for n, s in by_thread.items()},
    }


def best(rounds):
    """The least of each cost, the most of each rate: other work on the machine only ever makes it worse."""
    cheapest = min(rounds, key=lambda r: r["cpu_s"] / r["requests"])
    found = dict(cheapest)
    for key in ("requests_per_s", "mib_per_s"):
        found[key] = max(r[key] for r in rounds)
    for key in ("p50_ms", "p99_ms", "rss_mib"):
        found[key] = min(r[key] for r in rounds)
    found["rounds"] = [r["cpu_s_per_1000"] for r in rounds]
    return found


def measure_idle(load, case, proxy, count):
    """Memory of the whole proxy with and without so many connections, by RSS: the kernel's socket buffers aren't in it."""
    load.run(Case(case.name, case.what, http=case.http, connections=1, size=100), proxy, 1)
    pids = proxy.pids()
    before = processes.rss_kib(pids)
    client, held, reason = load.hold(case, proxy, count)
    try:
        if held != count:
            raise RuntimeError(f"idle, {proxy.name}: only {held} of {count} connections came about: {reason}")
        time.sleep(0.5)
        after = processes.rss_kib(pids)
    finally:
        client.stdin.close()
        client.wait(60)
    return {"connections": held, "kib_per_connection": (after - before) / held, "rss_mib": after / 1024, "rss_before_mib": before / 1024}
