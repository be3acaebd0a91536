"""Every process of the gateway is confined, and goes on working so: files at places that a reload names for the first time, files that were replaced by others."""
import ctypes
import os
import shutil
import signal
import socket

import pytest
from harness.gateway import free_port, write_config
from harness.people import give_grant, wait_until

LANDLOCK = ctypes.CDLL(None).syscall(444, None, 0, 1)
pytestmark = pytest.mark.skipif(LANDLOCK < 1, reason="this kernel has no Landlock")


def status_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def count(gw, event):
    return sum(line.get("event") == event for line in gw.log_lines())


def reload(gw):
    before = count(gw, "reload.done")
    gw.kill("run", signal.SIGHUP)
    wait_until(lambda: count(gw, "reload.done") > before, what="the reload")


def test_each_process_is_confined(gateway_of):
    """What the kernel says of them, the courier too, in every thread."""
    g = gateway_of(sandbox="on", notices=[{"name": "hook", "kind": "webhook", "url": f"http://127.0.0.1:{free_port()}/", "format": "slack"}])
    wait_until(lambda: count(g, "sandbox.entered") == 4, what="four processes that say so")
    for role in ("run", "proxy", "authz", "courier"):
        pid = g.pid_of(role)
        for thread in os.listdir(f"/proc/{pid}/task"):
            s = status_of(f"{pid}/task/{thread}")
            assert s["Seccomp"] == "2" and s["NoNewPrivs"] == "1", (role, thread)
            if role != "run":
                assert int(s["CapEff"], 16) == int(s["CapPrm"], 16) == 0, (role, thread)
    own = int(status_of(g.pid_of("run"))["Seccomp_filters"])
    assert all(int(status_of(g.pid_of(role))["Seccomp_filters"]) == own + 1 for role in ("proxy", "authz", "courier"))


def test_a_reload_may_name_files_anywhere(gateway_of, tmp_path, origin):
    """Certificate, key and revocation list move to a folder that no process knew when it started, and are replaced by renaming there."""
    g = gateway_of(sandbox="on")
    alice = g.person("alice")
    give_grant(alice, g.person("bob"))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name, path in (("certificate", "tls/server.pem"), ("key", "tls/server.key"), ("crl", "ca/crl.pem")):
        there = str(elsewhere / os.path.basename(path))
        shutil.copy(os.path.join(g.state, path), there)
        os.chmod(there, 0o600)
        g.config["tls"][name] = there
    write_config(g.state, g.config)
    reload(g)
    assert alice.get("/hello").status == 200
    os.rename(shutil.copy(elsewhere / "server.pem", elsewhere / "new"), elsewhere / "server.pem")
    os.chmod(elsewhere / "server.pem", 0o600)
    reload(g)
    assert alice.get("/hello").status == 200 and count(g, "sandbox.not_given") == 0 and count(g, "sandbox.refused") == 0


def test_what_is_not_confined_says_so(gateway_of, tmp_path):
    """Log, /metrics, /healthz and check: nobody takes an unconfined gateway for another one."""
    path = str(tmp_path / "operator.sock")
    g = gateway_of(sandbox="off", operator_listen=path)
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
        s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        text = b"".join(iter(lambda: s.recv(65536), b""))
    assert b'countersign_sandbox{fence="files"} 0' in text and b'countersign_sandbox{fence="calls"} 0' in text
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        text = b"".join(iter(lambda: s.recv(65536), b""))
    assert b" 200 " in text and b"not confined" in text
    assert count(g, "sandbox.off") >= 3
    p = g.run_command("check", "-c", os.path.join(g.state, "test.conf"))
    assert p.returncode == 0 and b"`sandbox` is" in p.stdout
