"""What a proxy is made of: its processes and threads, their CPU time and memory. And how things are started and stopped here."""
import os
import signal
import socket
import subprocess
import time

PROXY_CORE, LOAD_CORE = 0, 1


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def on_core(core):
    """For Popen's preexec_fn: what is started runs on that core, and so does what it starts."""
    return lambda: os.sched_setaffinity(0, {core})


def start(argv, core, log, **more):
    with open(log, "ab") as out:
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, preexec_fn=on_core(core), start_new_session=True, **more)


def stop(process, seconds=20):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            for pid in tree(process.pid):
                os.kill(pid, signal.SIGKILL)
            process.wait(10)


def wait_port(port, process, log, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    with open(log, encoding="utf-8", errors="replace") as f:
        raise RuntimeError(f"{process.args[0]} does not listen; its log ends:\n{f.read()[-2000:]}")


def parents():
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", "rb") as f:
                found[int(pid)] = int(f.read().rpartition(b")")[2].split()[1])
        except OSError:
            continue
    return found


def tree(*roots):
    """The processes and all their descendants."""
    of = parents()
    found = {r for r in roots if r in of}
    while True:
        more = {p for p, parent in of.items() if parent in found} - found
        if not more:
            return found
        found |= more


def thread_cpu(task):
    """(name, seconds user+sys). schedstat counts in ns; stat in ticks of 10 ms, which is what there is without it."""
    with open(task + "/comm", encoding="ascii", errors="replace") as f:
        name = f.read().strip()
    try:
        with open(task + "/schedstat", encoding="ascii") as f:
            return name, int(f.read().split()[0]) / 1e9
    except OSError:
        with open(task + "/stat", "rb") as f:
            fields = f.read().rpartition(b")")[2].split()
        return name, (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def role_of(pid):
    """The first argument, which in a `countersign run` is what the process is for: run, proxy, authz."""
    with open(f"/proc/{pid}/cmdline", "rb") as f:
        words = f.read().split(b"\0")
    return words[1].decode(errors="replace") if len(words) > 2 else str(pid)


def cpu(pids):
    """{(pid, thread id): (name, seconds)} of every thread. Threads that ended in between are lost: proxies end none under load."""
    found = {}
    for pid in pids:
        try:
            role = role_of(pid)
            for i, tid in enumerate(sorted(os.listdir(f"/proc/{pid}/task"), key=int)):
                name, seconds = thread_cpu(f"/proc/{pid}/task/{tid}")
                found[pid, tid] = (f"{role}/{i} {name}", seconds)
        except OSError:
            continue
    return found


def cpu_between(before, after):
    """(seconds in all, {thread name: seconds})."""
    by_name = {}
    for key, (name, seconds) in after.items():
        used = seconds - before.get(key, (name, 0.0))[1]
        if used > 0:
            by_name[name] = by_name.get(name, 0.0) + used
    return sum(by_name.values()), by_name


def rss_kib(pids, field="VmRSS"):
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as f:
                total += sum(int(line.split()[1]) for line in f if line.startswith(field + ":"))
        except OSError:
            continue
    return total


def reset_peak(pids):
    """VmHWM counts from now on (proc(5), clear_refs 5)."""
    for pid in pids:
        try:
            with open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as f:
                f.write("5")
        except OSError:
            continue
