"""(alone) Secrets that pass through the gateway are nowhere afterwards: not on the disk, looked for as root in every file that was touched since, and not in what a core dump would hold.
100 of them here and the folders the gateway could reach; 1,000 and the whole disk with --long."""
import base64
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import time
import uuid

import pytest

from harness.people import give_grant, hold, wait_until
from harness.recording import exchanges, read_tar
from test_sealing import tar_path

LONG = bool(os.environ.get("COUNTERSIGN_LONG"))
PLAIN = os.environ.get("COUNTERSIGN_PLAIN_BUILD") or None
SECRETS = 1000 if LONG else 100
PIECE = 8 << 20


class Planted:
    """Secrets that begin alike, so that one search finds them all, in clear and in base64."""

    def __init__(self):
        self.mark = f"plnt{uuid.uuid4().hex[:20]}"
        self.all = [f"{self.mark}-{i:04d}-{uuid.uuid4().hex}" for i in range(SECRETS)]
        coded = [base64.b64encode(b"x" * lead + self.mark.encode())[4 if lead else 0:-4] for lead in range(3)]
        hidden = [self.mark.encode(), self.mark.encode().hex().encode(), *coded, *[c.replace(b"+", b"-").replace(b"/", b"_") for c in coded]]
        self.pattern = re.compile(b"|".join(re.escape(h[1:-1]) for h in set(hidden)), re.IGNORECASE)

    def found_in(self, data):
        return self.pattern.search(data)


def plant(who, approver, planted):
    """Each where secrets go: fields, cookies, forms, JSON, queries, files, what the tool answers, WebSocket-less but held too."""
    ways = [
        lambda s: who.get("/echo", [("Authorization", f"Bearer {s}")]),
        lambda s: who.get("/echo", [("Authorization", "Basic " + base64.b64encode(f"alice:{s}".encode()).decode())]),
        lambda s: who.get("/echo", [("Cookie", f"sessionid={s}")]),
        lambda s: who.get(f"/echo?token={s}"),
        lambda s: who.get(f"/echo?q={s}"),
        lambda s: who.post("/note", f"password={s}&text=x".encode()),
        lambda s: who.post("/note", json.dumps({"api_key": s, "customer": {"note": s}}).encode(), content_type="application/json"),
        lambda s: who.post("/up", b"\x00\x01" + s.encode() * 50, content_type="application/octet-stream"),
        lambda s: who.get("/planted", [("X-Wanted", s)]),
    ]
    for i, secret in enumerate(planted.all):
        r = ways[i % len(ways)](secret)
        assert r.status < 400, (i % len(ways), r.status, r.body[:200])


async def answer_it(request, conn):
    wanted = request.get("X-Wanted")
    await conn.answer(body=json.dumps({"token": wanted, "seen": wanted}).encode(), fields=[("Content-Type", "application/json"), ("Set-Cookie", f"s={wanted}; Path=/"), ("X-Api-Key", wanted)])


def files_touched(since, tops, leave_out):
    for top in tops:
        for folder, folders, names in os.walk(top):
            folders[:] = [d for d in folders if not os.path.islink(os.path.join(folder, d)) and os.path.join(folder, d) not in leave_out and not os.path.ismount(os.path.join(folder, d))]
            for name in names:
                path = os.path.join(folder, name)
                try:
                    info = os.lstat(path)
                    if os.path.isfile(path) and not os.path.islink(path) and max(info.st_mtime, info.st_ctime) >= since:
                        yield path
                except OSError:
                    continue                                                          # gone meanwhile: somebody else's


def search(path, planted):
    """Also over the edges of pieces."""
    kept = b""
    try:
        with open(path, "rb") as f:
            while piece := f.read(PIECE):
                if planted.found_in(kept + piece):
                    return True
                kept = piece[-200:]
    except OSError:
        pass
    return False


def dumpable_memory(pid, core_filter=None):
    """What a core file of this process would hold (core(5)): mappings that are not left out by madvise(2), MADV_DONTDUMP, of the kinds that its filter lets in."""
    if core_filter is None:
        with open(f"/proc/{pid}/coredump_filter", encoding="ascii") as f:
            core_filter = int(f.read(), 16)
    with open(f"/proc/{pid}/smaps", encoding="ascii", errors="replace") as f:
        maps = re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", f.read())
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for one in maps:
            flags, shared = re.search("VmFlags:(.*)", one), one.split(" ", 2)[1][3] == "s"
            if flags is None or " dd" in flags.group(1) or " io" in flags.group(1) or " rd" not in " " + flags.group(1):
                continue
            touched = re.search(r"Anonymous: +([0-9]+)", one).group(1) != "0"
            if not (core_filter & (2 | 8) if shared else core_filter & (1 if touched else 4)):
                continue
            start, end = (int(n, 16) for n in one.split(" ", 1)[0].split("-"))
            for at in range(start, end, PIECE):
                try:
                    mem.seek(at)
                    yield mem.read(min(PIECE, end - at))
                except OSError:
                    break


@pytest.fixture(scope="module")
def story(origin, tmp_path_factory):
    """A gateway through which the secrets went, while it still runs; then it is stopped."""
    from harness.gateway import Gateway
    begun = time.time() - 2
    gw, planted = Gateway(origin, build=PLAIN if LONG else None), Planted()
    yield gw, planted, begun
    gw.finish()


@pytest.mark.limit(3000)
def test_nothing_is_found(story, origin):
    gw, planted, begun = story
    origin.on("/planted", answer_it)
    alice = gw.person("alice")
    session = give_grant(alice, gw.person("bob"))["grant_id"]
    plant(alice, gw.person("bob"), planted)
    held = hold(alice, body=f"audience=7&note={planted.all[0]}".encode())["id"]
    assert gw.person("carol").decide(held).status in (200, 201)
    wait_until(lambda: (r := alice.release(held)) and r[1] is not None, what="the export")
    # They are all in the recording (but for what redaction took out), so they did pass, and auditors can see them.
    wait_until(lambda: os.path.exists(tar_path(gw, session)) and len(exchanges(read_tar(open(tar_path(gw, session), "rb").read()))) >= SECRETS, 60, "the recording")
    with open(tar_path(gw, session), "rb") as f:
        seen = b"\n".join(e.request + e.response for e in exchanges(read_tar(f.read())))
    assert sum(s.encode() in seen for s in planted.all) > SECRETS // 4
    # No process leaves a core file, whatever the shell that started it allows.
    for pid in gw.processes():
        with open(f"/proc/{pid}/limits", encoding="ascii") as f:
            assert re.search(r"Max core file size +0 +0", f.read())
    for role in ("proxy", "authz"):
        gw.kill(role, signal.SIGABRT)
        gw.wait_ready()
    gw.stop()
    tops = ["/"] if LONG else [os.path.dirname(gw.state), "/dev/shm", os.path.dirname(os.path.abspath(__file__))]
    leave_out = {"/proc", "/sys", "/dev/pts"}
    looked, found = 0, []
    for path in files_touched(begun, tops, leave_out):
        looked += 1
        if search(path, planted):
            found.append(path)
    print(f"{len(planted.all)} secrets, {looked} files looked at")
    assert looked > 10 and not found, found
    # The search finds what is there.
    with open(os.path.join(gw.state, "planted-on-purpose"), "wb") as f:
        f.write(b"x" * (PIECE - 10) + base64.b64encode(b"ab" + planted.all[3].encode()))
    assert search(f.name, planted)
    os.unlink(f.name)


def roles(gw):
    for pid in gw.processes():
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            yield f.read().split(b"\0")[1].decode(), pid


@pytest.fixture
def busy(gateway_of, origin):
    """A gateway through which secrets went, and which still has much of it in memory; and the private keys that it read."""
    gw, planted = gateway_of(build=PLAIN if LONG else None), Planted()
    give_grant(gw.person("alice"), gw.person("bob"))
    origin.on("/planted", answer_it)
    for s in planted.all:
        gw.person("alice").get(f"/echo?q={s}")
        gw.person("alice").get("/planted", [("X-Wanted", s), ("Cookie", f"s={s}")])
    hold(gw.person("alice"), body=f"audience=7&note={planted.all[0]}".encode())
    return gw, planted


@pytest.mark.limit(600)
def test_a_dump_would_hold_none_of_it(busy):
    """Whatever the limit says: nothing of any process would be in a core file, since its filter lets no memory in; and rings and keys are marked besides."""
    gw, planted = busy
    count = lambda pid, *how: sum(len(planted.pattern.findall(m)) for m in dumpable_memory(pid, *how))
    assert {"authz", "proxy", "run"} <= {role for role, _ in roles(gw)}
    assert all(count(pid) == 0 for _, pid in roles(gw))
    # The search finds what there is: with the usual filter the proxy's dump would be full of it.
    assert sum(count(pid, 0x33) for role, pid in roles(gw) if role == "proxy") > 0


def memory_in(core):
    """What the segments of a core file hold: all memory that is in it. (Its notes hold registers, so the last few dozen bytes that a thread touched: no mark on memory keeps those out.)"""
    at, size, count = struct.unpack_from("<Q", core, 32)[0], *struct.unpack_from("<HH", core, 54)
    for n in range(count):
        kind, _, offset, _, _, length = struct.unpack_from("<IIQQQQ", core, at + n * size)
        if kind == 1:                                                                # PT_LOAD
            yield core[offset:offset + length]


@pytest.mark.skipif(shutil.which("gdb") is None, reason="gdb is not installed")
@pytest.mark.limit(900)
def test_gcore_as_root_gets_nothing(busy, tmp_path):
    """What root's debugger takes of the running gateway, with its own defaults."""
    gw, planted = busy
    for role, pid in roles(gw):
        path = tmp_path / f"{role}.{pid}"
        p = subprocess.run(["gdb", "-p", str(pid), "-batch", "-nx", "-ex", f"generate-core-file {path}"], capture_output=True, timeout=300)
        assert path.exists(), p.stderr[-1000:]
        held = list(memory_in(path.read_bytes()))
        path.unlink()
        print(f"{role}: {sum(map(len, held))} bytes of memory in the dump")
        assert sum(map(len, held)) < 1 << 20 and not any(planted.found_in(m) for m in held), role
    assert gw.person("alice").get("/still").status == 200
