"""Runs every kind of test, two at a time where they don't disturb each other, with progress, and counts.

Used through tests/run, which installs and builds first. Each child has its own process group and a time limit; at the end
stands the line `N passed, N failed`, and the exit code is 0 only if something ran and nothing failed.

What fails while others share the processors is run once more with nothing beside it, if it is few; if it passes then, it
counts as passed and is named as shaky, with what it said the first time: a thing to mend, not to overlook."""
import argparse
import concurrent.futures
import glob
import json
import os
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET

from harness import source_checks

TOP = source_checks.TOP
TESTS = os.path.join(TOP, "tests")
OUT = os.path.join(TESTS, "output")
SHAKY_AT_MOST = 3       # more failures than this are no accident of a busy machine
say_lock = threading.Lock()
started = time.monotonic()


def say(text):
    with say_lock:
        print(f"[{time.monotonic() - started:6.1f} s] {text}", flush=True)


class Tally:
    def __init__(self):
        self.passed, self.failed, self.skipped, self.failures, self.shaky = 0, 0, 0, [], []
        self.again = []         # (its line among the failures, what runs it once more and says whether it passes)
        self.lock = threading.Lock()

    def add(self, kind, passed=0, failures=(), skipped=0, note="", again=None):
        """`again(failure)` runs what failed once more, alone, and says whether it passes."""
        with self.lock:
            if again is not None:
                self.again += [(f"{kind}: {f}", lambda f=f: again(f)) for f in failures]
            self.passed += passed
            self.failed += len(failures)
            self.skipped += skipped
            self.failures += [f"{kind}: {f}" for f in failures]
        line = f"{kind}: {passed} passed" + (f", {len(failures)} FAILED" if failures else "")
        say(line + (f", {skipped} skipped" if skipped else "") + note)
        for f in failures:
            say(f"    FAILED {kind}: {f}")

    def once_more(self):
        if len(self.failures) > SHAKY_AT_MOST:
            return
        for failure, passes in self.again:
            say(f"once more, alone: {failure}")
            if passes():
                self.failures.remove(failure)
                self.shaky.append(failure)
                self.failed, self.passed = self.failed - 1, self.passed + 1
            say("    passes alone" if failure in self.shaky else "    fails alone, too")


def run_child(cmd, log, limit_s, env=None, cwd=TOP):
    """Run with a time limit, output to a file; (exit code or None when it ran out of time, output)."""
    os.makedirs(os.path.dirname(log), exist_ok=True)
    with open(log, "wb") as out:
        p = subprocess.Popen(cmd, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=env, cwd=cwd, start_new_session=True)
        try:
            code = p.wait(limit_s)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            end_group(p)
    with open(log, "rb") as f:
        return code, f.read().decode("utf-8", "replace")


def end_group(p):
    """End what is left of a child's own process group; first kindly."""
    for sig in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(p.pid, sig)
        except ProcessLookupError:
            break
        time.sleep(0.2)
    p.wait()


class Failure(str):
    """What is said of a test that failed, and the name by which it runs again."""
    name = ""


def junit(path):
    """(passed, [failure texts], skipped) of a JUnit file."""
    passed, failures, skipped = 0, [], 0
    for case in ET.parse(path).getroot().iter("testcase"):
        bad = [e for e in case if e.tag in ("failure", "error")]
        if bad:
            text = (bad[0].get("message") or "").strip().split("\n")[0][:300]
            failures.append(Failure(f"{case.get('name')}: {text}" if text else case.get("name")))
            failures[-1].name = case.get("name")
        elif any(e.tag == "skipped" for e in case):
            skipped += 1
        else:
            passed += 1
    return passed, failures, skipped


def run_source_checks(opts, tally):
    for name, complaints in source_checks.run():
        if opts.pattern and opts.pattern not in name:
            continue
        tally.add("source", 0 if complaints else 1, [f"{name}: " + "; ".join(complaints[:8])
                  + (f"; and {len(complaints) - 8} more" if len(complaints) > 8 else "")] if complaints else [], note=f": {name}")


def run_ctest(opts, tally):
    report = os.path.join(OUT, "ctest.xml")
    if os.path.exists(report):
        os.remove(report)
    cmd = ["ctest", "--test-dir", opts.build, "-j2", "--output-on-failure", "--no-tests=error", "--output-junit", report, "--timeout", "300"]
    if opts.pattern:
        cmd = [c for c in cmd if c != "--no-tests=error"] + ["-R", opts.pattern]
    code, text = run_child(cmd, os.path.join(OUT, "ctest.log"), 900)
    if not os.path.exists(report):
        return tally.add("unit", 0, [f"ctest ended with {code}: {text[-300:]}"] if code or not opts.pattern else [])
    passed, failures, skipped = junit(report)
    if code != 0 and not failures:
        failures = [f"ctest ended with {'a time-out' if code is None else code}"]
    tally.add("unit and fuzz corpus", passed, failures, skipped)


def run_pytest(what, name, opts, limit_s, *more):
    """Run a file's tests or one of them; (exit code or None, output, the JUnit file's path)."""
    report, log = os.path.join(OUT, f"{name}.xml"), os.path.join(OUT, f"{name}.log")
    if os.path.exists(report):
        os.remove(report)
    cmd = ["/usr/bin/python3", "-m", "pytest", "-p", "no:cacheprovider", "-q", "--tb=short", f"--junitxml={report}", what, *more]
    env = dict(os.environ, PYTHONPATH=TESTS, PYTHONDONTWRITEBYTECODE="1", COUNTERSIGN_BUILD=opts.build, COUNTERSIGN_LONG="1" if opts.long else "")
    if opts.plain:
        env["COUNTERSIGN_PLAIN_BUILD"] = opts.plain
    return *run_child(cmd, log, limit_s, env=env, cwd=TESTS), report


def run_pytest_file(path, opts, tally, limit_s):
    name, begun = os.path.basename(path)[:-3], time.monotonic()
    code, text, report = run_pytest(path, name, opts, limit_s, *(["-k", opts.pattern] if opts.pattern else []))
    if code == 5:
        return
    if not os.path.exists(report):
        return tally.add(name, 0, [f"pytest ended with {'a time-out' if code is None else code}; see tests/output/{name}.log: {text[-300:]}"])
    passed, failures, skipped = junit(report)
    if code not in (0, 1) and not failures:
        failures = [f"pytest ended with {code}"]
    tally.add(name, passed, failures, skipped, note=f" ({time.monotonic() - begun:.0f} s)",
              again=lambda failure: run_pytest(f"{path}::{getattr(failure, 'name', '')}".removesuffix("::"), f"{name}-again", opts, limit_s)[0] == 0)


def marked(path, mark):
    with open(path, encoding="utf-8") as f:
        return f"({mark})" in f.readline()


def run_scenarios(opts, tally):
    """Files whose first line says (waits) mostly do: for deadlines, for a second try. They run beside the others, which use the processors. Those that say (alone) come afterwards."""
    files = sorted(glob.glob(os.path.join(TESTS, "scenarios", "test_*.py")))
    alone = [f for f in files if marked(f, "alone")]
    waits = [f for f in files if marked(f, "waits")]
    limit = 7200 if opts.long else 900
    with concurrent.futures.ThreadPoolExecutor(opts.jobs) as busy, concurrent.futures.ThreadPoolExecutor(opts.jobs) as idle:
        under_way = [(idle if f in waits else busy).submit(run_pytest_file, f, opts, tally, limit) for f in files if f not in alone]
    for done in under_way:
        done.result()                 # what went wrong in the harness itself goes wrong here
    for f in alone:
        run_pytest_file(f, opts, tally, limit)


def run_browser(opts, tally):
    """Each tests/browser/run_*.py; what it says is counted line by line."""
    for script in sorted(glob.glob(os.path.join(TESTS, "browser", "run_*.py"))):
        name = os.path.basename(script)[4:-3]
        if opts.pattern and opts.pattern not in f"browser {name}":
            continue
        env = dict(os.environ, PYTHONPATH=TESTS, PYTHONDONTWRITEBYTECODE="1", COUNTERSIGN_BUILD=opts.build)
        code, text = run_child(["/usr/bin/python3", script], os.path.join(OUT, f"browser-{name}.log"), 600, env=env)
        passed, failures = 0, []
        for line in text.splitlines():
            if line.startswith("step ok: "):
                passed += 1
            elif line.startswith("step failed: "):
                failures.append(line[13:])
        if code != 0 and not failures:
            failures = [f"{name} ended with {'a time-out' if code is None else code}; see tests/output/browser-{name}.log: {text[-300:]}"]
        tally.add(f"browser {name}", passed, failures, again=lambda _, name=name, script=script, env=env: run_child(
            ["/usr/bin/python3", script], os.path.join(OUT, f"browser-{name}-again.log"), 600, env=env)[0] == 0)


def run_fuzzers(opts, tally):
    """Half a minute of libFuzzer for each target, from the kept corpus (--long)."""
    for target in sorted(glob.glob(os.path.join(opts.fuzz, "fuzz", "*_fuzz"))):
        name = os.path.basename(target)[:-5]
        grown = os.path.join(OUT, "fuzz", name)
        os.makedirs(grown, exist_ok=True)
        cmd = [target, grown, os.path.join(TESTS, "fuzz", "corpus", name), f"-max_total_time={opts.fuzz_s}", "-timeout=20", "-rss_limit_mb=2048",
               f"-artifact_prefix={grown}/crash-", "-print_final_stats=1"]
        code, text = run_child(cmd, os.path.join(OUT, f"fuzz-{name}.log"), opts.fuzz_s + 120)
        runs = [line.split()[-1] for line in text.splitlines() if "number_of_executed_units" in line]
        tally.add(f"fuzz {name}", 1 if code == 0 else 0, [] if code == 0 else [f"ended with {code}; see tests/output/fuzz-{name}.log"],
                  note=f" ({runs[0] if runs else '?'} inputs)")


def main():
    p = argparse.ArgumentParser(prog="tests/run")
    p.add_argument("--build", required=True)
    p.add_argument("--plain", default="")
    p.add_argument("--fuzz", default="")
    p.add_argument("--fuzz-s", type=int, default=30)
    p.add_argument("--long", action="store_true")
    p.add_argument("-k", dest="pattern", default="")
    p.add_argument("-j", dest="jobs", type=int, default=2)
    opts = p.parse_args()
    os.makedirs(OUT, exist_ok=True)
    tally = Tally()
    for step in (run_source_checks, run_ctest, run_scenarios, run_browser):
        step(opts, tally)
    tally.once_more()
    if opts.fuzz:
        run_fuzzers(opts, tally)
    with open(os.path.join(OUT, "summary.json"), "w", encoding="utf-8") as f:
        json.dump({"passed": tally.passed, "failed": tally.failed, "skipped": tally.skipped, "failures": tally.failures, "shaky": tally.shaky}, f, indent=1)
    if tally.shaky:
        print("\nWhat failed beside others and passed alone:")
        for f in tally.shaky:
            print("  " + f)
    if tally.failures:
        print("\nWhat failed:")
        for f in tally.failures:
            print("  " + f)
    elif tally.passed == 0:
        print("\nNothing ran.")
    print(f"\n{tally.passed} passed, {tally.failed} failed" + (f", {tally.skipped} skipped" if tally.skipped else ""), flush=True)
    return 0 if tally.passed and not tally.failed else 1


if __name__ == "__main__":
    sys.exit(main())
