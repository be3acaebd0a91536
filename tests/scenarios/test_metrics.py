"""The operator's listener: numbers and health, on this machine only, without a word about people."""
import http.client
import os
import signal
import socket

import pytest

from harness.clients import h1_request
from harness.config_text import SUPPORT
from harness.gateway import free_port
from harness.live import endless
from harness.people import give_grant, wait_until

PORT = free_port()
GATEWAY = {"operator_listen": f"127.0.0.1:{PORT}"}


def fetch(path, method="GET", port=PORT):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    c.request(method, path)
    r = c.getresponse()
    body = r.read().decode()
    c.close()
    return r.status, body


def value(name, port=PORT):
    return sum(float(line.rpartition(" ")[2]) for line in fetch("/metrics", port=port)[1].splitlines() if line.startswith(name))


def test_requests_and_refusals_are_counted(gw, origin):
    alice = gw.person("alice")
    give_grant(alice, gw.person("bob"))
    h1 = 'http_server_request_duration_seconds_count{network_protocol_version="1.1",status_class="2xx"}'
    h2 = h1.replace("1.1", "2")
    no = 'countersign_refusals_total{type="grant-required"}'
    wait_until(lambda: value("http_server_active_requests") == 0 and value("countersign_connections ") == 0, what="an end of what was asked before")
    before = value(h1), value(h2), value(no), value("countersign_request_body_bytes_total")
    for _ in range(5):
        assert alice.get("/x").status == 200
        assert alice.post("/x", b"1234567890", proto="h2").status == 200
    assert gw.person("mallory").get("/x").status == 403
    wait_until(lambda: (value(h1), value(h2), value(no), value("countersign_request_body_bytes_total")) ==
               (before[0] + 5, before[1] + 5, before[2] + 1, before[3] + 50), what="the numbers")
    wait_until(lambda: value("http_server_active_requests") == 0 and value("countersign_connections ") == 0, what="nothing under way")


def test_no_name_is_in_them(gw, origin):
    _, text = fetch("/metrics")
    text = "".join(line + "\n" for line in text.splitlines() if not line.startswith("countersign_upstream_"))   # these name tools, as the config does
    assert not [w for w in ("alice", "mallory", "@", "support", "127.0.0.1") if w in text.replace("countersign", "")]
    families = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(families) == len(set(families)) > 10


def test_health_follows_authz(gw):
    assert fetch("/healthz") == (200, "ok\n")
    pid = gw.pid_of("authz")
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: fetch("/healthz") == (503, "authz is silent\n"), 15, "the silence")
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: fetch("/healthz") == (200, "ok\n"), 15, "the recovery")


def test_health_says_draining(gateway_of, origin):
    port = free_port()
    g = gateway_of(operator_listen=f"127.0.0.1:{port}", limits={"drain": "5s"})
    alice = g.person("alice")
    give_grant(alice, g.person("bob"))
    endless(origin)
    with alice.h1() as c:
        c.send(h1_request("GET", "/endless", f"{SUPPORT}:{g.port}"))
        assert c.read_head().status == 200
        g.process.terminate()
        wait_until(lambda: fetch("/healthz", port=port) == (503, "draining\n"), 4, "the drain")
    assert g.process.wait(20) == 0


@pytest.mark.parametrize("bytes_sent", [b"", b"GET /metrics HTTP/1.1", b"x" * 10000, b"\0\r\n\r\n", b"GET /metrics\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"POST /metrics HTTP/1.1\r\n\r\n"])
def test_odd_clients_do_no_harm(gw, bytes_sent):
    with socket.create_connection(("127.0.0.1", PORT), 10) as s:
        s.sendall(bytes_sent)
        s.settimeout(8)
        try:
            answer = s.recv(4096)
        except ConnectionResetError:
            answer = b""
        assert answer == b"" or answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 405"))
    assert fetch("/healthz")[0] == 200


def test_a_unix_socket_does_as_well(gateway_of, tmp_path):
    path = str(tmp_path / "operator.sock")
    g = gateway_of(operator_listen=path)
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert s.recv(4096).startswith(b"HTTP/1.1 200 ")
    assert g.stop() is None and not os.path.exists(path)


def test_only_this_machine_may_ask(gw):
    path = os.path.join(gw.folder, "bad.conf")
    from harness.config_text import config_text
    for where in ("0.0.0.0:9464", "192.0.2.1:9464", "[::]:9464", "run/relative.sock"):
        with open(path, "w", encoding="utf-8") as f:
            f.write(config_text({**gw.config, "operator_listen": where, "state": gw.state, "tls": {k: os.path.join(gw.state, v) for k, v in gw.config["tls"].items()}}))
        p = gw.run_command("check", "-c", path)
        assert p.returncode == 1 and b"operator_listen" in p.stdout + p.stderr
