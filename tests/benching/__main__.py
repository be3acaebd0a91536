"""tests/bench: start the origin and the proxies, let them take turns, print the table."""
import argparse
import json
import math
import os
import shlex
import shutil
import signal
import sys
import tempfile
import time

from benching import cases, processes, proxies, report

NAMES = ("nginx", "haproxy", "countersign", "countersign-metadata", "countersign-off", "haproxy-jwt", "nginx-auth")
LADEN = {"countersign-few": (10, 10, 10), "countersign-many": (1000, 5000, 10000)}      # tools, rules, grants; only when asked for
FULL_BULK, QUICK_BULK = 1024 * cases.MIB, 256 * cases.MIB


def options():
    p = argparse.ArgumentParser(prog="tests/bench", add_help=False)
    p.add_argument("--quick", action="store_true")
    p.add_argument("--only", action="append", default=[])
    p.add_argument("--rounds", type=int)
    p.add_argument("--json")
    p.add_argument("--proxies")
    p.add_argument("--variant", action="append", default=[])
    p.add_argument("--keep", action="store_true")
    p.add_argument("--hold", action="store_true")
    o = p.parse_args()
    o.rounds = o.rounds or (2 if o.quick else 3)
    o.proxies = o.proxies.split(",") if o.proxies else list(NAMES)
    if not cases.chosen(o.only) or set(o.proxies) - set(NAMES) - set(LADEN) or any("=" not in v for v in o.variant) or o.rounds < 1:
        p.error("no such case, proxy or number of rounds; see tests/bench --help")
    return o


class Field:
    """All proxies, the origin behind them, and the folder they live in."""

    def __init__(self, o):
        self.o, self.proxies, self.origin = o, {}, None
        self.folder = tempfile.mkdtemp(prefix="countersign-bench-")
        os.chmod(self.folder, 0o755)
        self.bulk = QUICK_BULK if o.quick else FULL_BULK

    def start(self):
        here = tempfile.mkdtemp(dir=self.folder)
        if self.origin is None:
            self.origin = proxies.Origin(self.folder, self.bulk)
        # The others use Countersign's certificates, so one is always made; it runs only when it is measured.
        gateway = proxies.Countersign("countersign", self.origin)
        self.cred, trust, token = gateway.gateway.creds["alice"], gateway.trust(), proxies.Token(here)
        self.unused = [] if "countersign" in self.o.proxies else [gateway]
        for name in self.o.proxies:
            kind = proxies.Nginx if name.startswith("nginx") else proxies.Haproxy
            if name in LADEN:
                more = self.proxies[name] = proxies.Laden(name, self.origin, *LADEN[name])
                more.run()
            elif name.startswith("countersign"):
                more = self.proxies[name] = gateway if name == "countersign" else proxies.Countersign(name, self.origin, record=name.split("-")[1])
                more.run()
            else:
                self.proxies[name] = kind(name, here, self.origin, trust, token if "-" in name else None)
        for variant in self.o.variant:
            name, _, text = variant.partition("=")
            more = self.proxies[f"countersign-{name}"] = proxies.Countersign(f"countersign-{name}", self.origin, text)
            more.run()

    def stop(self):
        for p in self.proxies.values():
            p.stop()
            self.clean(p)
        for p in self.unused:
            self.clean(p)
        self.proxies = {}

    def clean(self, proxy):
        if hasattr(proxy, "gateway") and not self.o.keep:
            shutil.rmtree(proxy.gateway.folder, ignore_errors=True)

    def close(self):
        for late in (signal.SIGTERM, signal.SIGINT):      # a second one would leave something running
            signal.signal(late, signal.SIG_IGN)
        gateways = " ".join(p.gateway.folder for p in self.proxies.values() if hasattr(p, "gateway"))
        self.stop()
        if self.origin:
            self.origin.stop()
        if self.o.keep:
            print(f"kept: {self.folder} {gateways}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def each(self, case):
        """Those that the case is about; what verifies a JWT is left out of cases that are about something else."""
        return {n: p for n, p in self.proxies.items() if case.signed or n not in ("haproxy-jwt", "nginx-auth")}


def run_case(field, load, case, done):
    o, each = field.o, field.each(case)
    if case.kind == "idle":
        count = math.ceil(case.requests / (3 if o.quick else 1))
        return {n: cases.measure_idle(load, case, p, count) for n, p in each.items()}
    requests, rate = case.requests, 0.0
    if case.kind == "cpu" and o.quick:
        requests = max(100, requests // 3)
    if case.kind == "bulk":
        case.size, case.upload = (-1, field.bulk) if case.method == "PUT" else (field.bulk, 0)
    if case.kind == "latency":
        before = done.get(case.after) or run_case(field, load, next(c for c in cases.CASES if c.name == case.after), done)
        rate = min(r["requests_per_s"] for n, r in before.items() if n in each and n not in ("haproxy-jwt", "nginx-auth")) / 2
        requests = int(rate * (1.5 if o.quick else 5))
    rounds = {n: [] for n in each}
    for turn in range(o.rounds):
        for n, p in each.items():
            if turn == 0 and case.kind != "bulk":
                load.run(case, p, max(case.connections, requests // 20))      # warm: pools, files, branch predictors
            if case.kind == "latency" and "-" in n and n.split("-")[1] in ("jwt", "auth") and turn > 0:
                continue
            rounds[n].append(cases.measure(load, case, p, requests, rate))
    return {n: cases.best(r) for n, r in rounds.items()}


def run(field):
    done, todo, cores = {}, cases.chosen(field.o.only), os.sched_getaffinity(0)
    if len(cores) < 2:
        print("bench: needs two cores", file=sys.stderr)
        return 1
    os.sched_setaffinity(0, {processes.LOAD_CORE})
    field.start()
    load = cases.Load(field.cred, os.environ["COUNTERSIGN_BUILD"])
    if field.o.hold:
        return hold(field, load, todo)
    for case in todo:
        done[case.name] = run_case(field, load, case, done)
        print(report.table(case, done[case.name]), flush=True)
        if case.kind == "idle" and case is not todo[-1]:
            field.stop()                   # what 5,000 connections left in the heap is not the others' memory
            field.start()
            load = cases.Load(field.cred, os.environ["COUNTERSIGN_BUILD"])
    if field.o.json:
        by_name = {c.name: c for c in cases.CASES}
        out = {n: {"what": by_name[n].what, "results": r, "ratios": report.ratios(by_name[n].kind, r)} for n, r in done.items()}
        with open(field.o.json, "w", encoding="utf-8") as f:
            json.dump({"quick": field.o.quick, "rounds": field.o.rounds, "cipher": cases.CIPHER, "group": cases.GROUP,
                       "bulk_bytes": field.bulk, "cases": out}, f, indent=1)
            f.write("\n")
    return 0


def hold(field, load, todo):
    """For profiling by hand: say what runs and how to load it, and wait."""
    for name, p in field.proxies.items():
        print(f"\n{name}: processes " + " ".join(f"{processes.role_of(pid)}={pid}" for pid in sorted(p.pids())))
        for case in todo:
            if case.kind == "cpu":
                print(f"  {case.name}: taskset -c {processes.LOAD_CORE} " + shlex.join(load.argv(case, p, case.requests)))
    print("\nholding; end of input or Ctrl-C ends it", flush=True)
    try:
        sys.stdin.read()
    except KeyboardInterrupt:
        pass
    return 0


def main():
    o = options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    begun = time.monotonic()
    field = Field(o)
    try:
        code = run(field)
    except (RuntimeError, AssertionError, OSError) as e:
        print(f"bench: {e}", file=sys.stderr)
        field.o.keep = True
        code = 1
    finally:
        field.close()
    print(f"\n{time.monotonic() - begun:.0f} s; CPU is user and system time of all processes and threads; ratio: to the better of nginx and haproxy")
    return code


if __name__ == "__main__":
    sys.exit(main())
