"""A new `countersign run` takes the place of the old one: no connection is refused, no request fails, nothing goes unrecorded."""
import asyncio
import hashlib
import os
import signal
import socket
import subprocess
import time

import pytest

from harness.config_text import SUPPORT
from harness.recording import everything_readable
from harness.clients import h1_request
from harness.gateway import write_config
from harness.load import Load
from harness.origin import pattern, pattern_sha256
from harness.people import give_grant, wait_until

LONG = bool(os.environ.get("COUNTERSIGN_LONG"))
TIMES = 20 if LONG else 3
SIZE = 400_000


@pytest.fixture
def gw(gateway_of):
    g = gateway_of(limits={"drain": "10s"})
    give_grant(g.person("alice"), g.person("bob"), duration_s=1800)
    return g


def the_end(old):
    assert old.wait(40) == 0


@pytest.mark.limit(900)
@pytest.mark.parametrize("http", ["1", "2"])
def test_no_request_fails_under_load(gw, http):
    with Load(gw, http) as load:
        for _ in range(TIMES):
            old = gw.take_over()
            time.sleep(0.5)
            the_end(old)
    load.check(at_least=200)


@pytest.mark.limit(1800)
@pytest.mark.parametrize("http", ["1", "2"])
def test_reloads_and_restarts_in_one_go(gw, http):
    """What stands in issue 3: 100 reloads and 20 restarts under one load, and no request fails."""
    with Load(gw, http) as load:
        for _ in range(TIMES):
            for _ in range(5):
                os.kill(gw.process.pid, signal.SIGHUP)
                time.sleep(0.3)
            the_end(gw.take_over())
    load.check(at_least=200)
    print(f"HTTP/{http}: {5 * TIMES} reloads, {TIMES} restarts, {load.done} requests, {load.failed} failed")


def test_no_connection_is_refused(gw):
    import threading
    enough, refused = threading.Event(), []

    def knock():
        while not enough.is_set():
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", gw.port)) != 0:
                    refused.append(time.monotonic())
            time.sleep(0.005)
    t = threading.Thread(target=knock)
    t.start()
    for _ in range(2):
        the_end(gw.take_over())
    enough.set()
    t.join()
    assert not refused


def test_a_download_goes_on_at_the_old_one_and_is_recorded_whole(gw, origin):
    from harness import recording
    go = asyncio.Event()

    async def script(request, conn):
        await conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE + pattern(0, SIZE // 2))
        await asyncio.wait_for(go.wait(), 60)
        await conn.send(pattern(SIZE // 2, SIZE - SIZE // 2))
    origin.on("/slow", script)
    alice = gw.person("alice")
    with alice.h1() as c:
        c.send(h1_request("GET", "/slow", f"{SUPPORT}:{gw.port}"))
        assert c.read_head().status == 200
        old = gw.take_over()
        assert alice.get("/new").status == 200
        assert old.poll() is None
        origin.loop.call_soon_threadsafe(go.set)
        body = bytearray()
        assert c.read_exactly(SIZE, body) and hashlib.sha256(bytes(body)).hexdigest() == pattern_sha256(SIZE)
    the_end(old)
    assert gw.stop() is None
    data = b"".join(open(f, "rb").read() for f in gw.recordings())
    text = recorded(gw)
    assert b"GET /slow" in text and b"GET /new" in text and pattern(SIZE - 1000, 1000) in text, len(data)


def recorded(gw):
    out = b""
    for path in gw.recordings():
        with open(path, "rb") as f:
            out += everything_readable(f.read())
    return out


def test_a_changed_address_is_refused_and_the_old_one_goes_on(gw):
    old = gw.process
    gw.config["listen"] = [f"127.0.0.1:{gw.port + 1}"]
    gw.start(wait=False)
    assert gw.process.wait(30) == 1
    gw.process = old
    assert gw.person("alice").get("/still").status == 200
    assert "`listen` has changed" in gw.log()


def test_a_broken_config_never_reaches_the_old_one(gw):
    old = gw.process
    path = write_config(gw.state, {**gw.config, "instanze": "x"})
    p = gw.run_command("run", "-c", path)
    assert p.returncode == 1 and old.poll() is None
    assert gw.person("alice").get("/still").status == 200


def test_a_successor_that_dies_in_between_leaves_the_old_one_serving(gw):
    old = gw.process
    gw.start(wait=False)
    wait_until(lambda: "handover.begun" in gw.log(), what="the beginning")
    gw.process.kill()
    gw.process.wait()
    gw.process = old
    gw.wait_ready()
    assert old.poll() is None
    wait_until(lambda: gw.person("alice").get("/again").status == 200, what="an answer")


def test_strangers_at_the_socket_do_no_harm(gw):
    path = os.path.join(gw.state, "run/parent.sock")
    for message in (b"", b"nonsense", b'{"op":"go"}', b"[]", b"x" * 70000):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.connect(path)
            try:
                s.send(message)
                s.settimeout(5)
                s.recv(100)
            except OSError:
                pass
    assert gw.person("alice").get("/still").status == 200
    the_end(gw.take_over())
    assert gw.person("alice").get("/still").status == 200


def test_sockets_and_news_of_systemd(gateway_of, tmp_path):
    """Socket activation and sd_notify, played by this test: the protocol is documented in sd_listen_fds(3) and sd_notify(3)."""
    g = gateway_of(start=False)
    news = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    news.bind(str(tmp_path / "notify"))
    news.settimeout(60)
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", g.port))
    listening.listen(64)
    path = write_config(g.state, g.config)
    env = dict(g.env(), NOTIFY_SOCKET=str(tmp_path / "notify"), LISTEN_FDS="1")

    def start():
        with open(g.log_path, "ab") as log:
            # The shell puts the socket at 3 and its own process id into LISTEN_PID before it becomes the gateway.
            g.process = subprocess.Popen(["/bin/bash", "-c", f'exec 3<&{listening.fileno()}; export LISTEN_PID=$$; exec "$0" "$@"', g.binary, "run", "-c", path],
                                         env=env, stdout=log, stderr=log, stdin=subprocess.DEVNULL, pass_fds=[listening.fileno()], start_new_session=True)
    for _ in range(2):
        start()
        assert news.recv(200).decode() == f"READY=1\nMAINPID={g.process.pid}"
        assert g.person("nina").api("GET", "/api/v1/status").status == 200
        os.kill(g.process.pid, signal.SIGHUP)
        assert news.recv(200).startswith(b"RELOADING=1\nMONOTONIC_USEC=") and news.recv(200) == b"READY=1"
        g.process.terminate()
        assert news.recv(200) == b"STOPPING=1"
        assert g.process.wait(30) == 0
        assert socket.socket().connect_ex(("127.0.0.1", g.port)) == 0, "systemd's socket must stay open"
    g.process = None
    listening.close()
