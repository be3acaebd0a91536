"""PROXY protocol v2: on an address that says so, the balancer's word counts as the source; anything else ends the connection."""
import os
import socket
import ssl
import time

import pytest

from harness.clients import tls_context
from harness.config_text import SUPPORT
from harness.gateway import Gateway, free_port
from harness.people import give_grant, wait_until
from harness.proxied import SIG, v4, v6


@pytest.fixture(scope="module")
def gw(origin):
    g = Gateway(origin, start=False, workers=1)
    g.balanced = free_port()
    g.config["listen"].append(f"127.0.0.1:{g.balanced}")
    g.config["proxy_protocol"] = [f"127.0.0.1:{g.balanced}"]
    g.config["proxy_protocol_from"] = ["127.0.0.0/30", "2001:db8::/32"]
    g.config["limits"] = {"connections_per_source": 3, "handshake": "2s"}
    g.start()
    give_grant(g.person("alice"), g.person("bob"))
    yield g
    g.finish()


def connect(gw, header, pieces=1, port=None):
    raw = socket.create_connection(("127.0.0.1", port or gw.balanced), 10)
    step = -(-len(header) // pieces) if header else 1
    for at in range(0, len(header), step):
        raw.sendall(header[at:at + step])
        if pieces > 1:
            time.sleep(0.02)
    return tls_context(gw.ca, gw.creds["alice"]).wrap_socket(raw, server_hostname=SUPPORT)


def get(s, gw, path="/who"):
    s.sendall(b"GET %s HTTP/1.1\r\nHost: %s:%d\r\nConnection: close\r\n\r\n" % (path.encode(), SUPPORT.encode(), gw.port))
    out = b""
    while data := s.recv(1 << 16):
        out += data
    return out


@pytest.mark.parametrize("header,source", [(v4("192.0.2.7"), "192.0.2.7"), (v6("2001:db8::7"), "2001:db8::7"), (SIG + b"\x20\0\0\0", "127.0.0.1")], ids=["v4", "v6", "local"])
@pytest.mark.parametrize("pieces", [1, 7])
def test_the_source_is_the_one_that_the_balancer_names(gw, origin, header, source, pieces):
    with connect(gw, header, pieces) as s:
        assert get(s, gw, f"/from-{pieces}").startswith(b"HTTP/1.1 200")
    wait_until(lambda: [line for line in gw.log_lines() if line.get("path") == f"/from-{pieces}" and line["source"] == source], 5, "the line")


@pytest.mark.parametrize("header", [b"", b"PROXY TCP4 192.0.2.1 198.51.100.2 1 2\r\n", v4("192.0.2.1", 0x22), SIG[:-1] + b"x" + v4("192.0.2.1")[12:], v4("192.0.2.1")[:-1] + b"",
                                    SIG + b"\x21\x11\xff\xff" + bytes(100)], ids=["tls at once", "version 1", "unknown command", "wrong signature", "cut", "too long"])
def test_anything_else_ends_the_connection(gw, header):
    with pytest.raises((OSError, ssl.SSLError)):
        connect(gw, header).close()


def test_silence_ends_too(gw):
    with socket.create_connection(("127.0.0.1", gw.balanced), 10) as s:
        s.sendall(SIG)
        begun = time.monotonic()
        try:
            assert s.recv(1) == b""
        except ConnectionResetError:
            pass
        assert time.monotonic() - begun < 6


def test_the_limit_counts_the_real_source(gw):
    kept = [connect(gw, v4("192.0.2.50")) for _ in range(3)]
    with pytest.raises((OSError, ssl.SSLError)):
        connect(gw, v4("192.0.2.50"))
    with connect(gw, v4("192.0.2.51")) as s:
        assert get(s, gw).startswith(b"HTTP/1.1 200")
    for s in kept:
        s.close()


def test_elsewhere_a_header_is_no_tls(gw):
    with pytest.raises((OSError, ssl.SSLError)):
        connect(gw, v4("192.0.2.1"), port=gw.port)


def test_only_a_named_balancer_may_say_it(gw):
    """127.0.0.9 is no balancer: closed before a byte of its header counts, on that address and on no other."""
    with socket.create_connection(("127.0.0.1", gw.balanced), 10, source_address=("127.0.0.9", 0)) as raw:
        try:
            raw.sendall(v4("192.0.2.7"))
            assert raw.recv(1) == b""
        except ConnectionError:
            pass
    with socket.create_connection(("127.0.0.1", gw.port), 10, source_address=("127.0.0.9", 0)) as raw:
        with tls_context(gw.ca, gw.creds["alice"]).wrap_socket(raw, server_hostname=SUPPORT) as s:
            assert get(s, gw, "/direct").startswith(b"HTTP/1.1 200")
    assert any(line.get("event") == "proxy_protocol.refused" and line.get("source") == "127.0.0.9" for line in gw.log_lines())


def test_balancers_must_be_named(gw):
    from harness.config_text import config_text
    path = os.path.join(gw.state, "unnamed.conf")
    for balancers in ([], ["10.0.0.1/8"], ["everybody"]):
        with open(path, "w", encoding="utf-8") as f:
            f.write(config_text({**gw.config, "proxy_protocol_from": balancers}))
        p = gw.run_command("check", "-c", path)
        assert p.returncode == 1 and b"proxy_protocol_from" in p.stdout + p.stderr


def test_only_what_is_listened_on_can_be_named(gw):
    from harness.config_text import config_text
    path = os.path.join(gw.state, "bad.conf")
    with open(path, "w", encoding="utf-8") as f:
        f.write(config_text({**gw.config, "proxy_protocol": ["127.0.0.1:1"]}))
    p = gw.run_command("check", "-c", path)
    assert p.returncode == 1 and b"proxy_protocol" in p.stdout + p.stderr
