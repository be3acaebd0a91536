"""Real programs as tools: nginx and HAProxy, over HTTP/1.1, HTTP/2 in clear and over TLS, and a Unix socket; and the end of each of them."""
import hashlib
import os
import shutil
import signal
import subprocess

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from harness.config_text import action, tool
from harness.gateway import free_port
from harness.people import acknowledge, give_grant, wait_until
from scenarios.test_upstream_tls import Pki

NGINX, HAPROXY = shutil.which("nginx") or "/usr/sbin/nginx", shutil.which("haproxy") or "/usr/sbin/haproxy"
PROTOS = ["h1", "h2"]
SIZE = 3_000_000

NGINX_CONF = """
daemon off; master_process off; pid {d}/nginx.pid; error_log {d}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off; client_body_temp_path {d}/b; proxy_temp_path {d}/p; fastcgi_temp_path {d}/f; uwsgi_temp_path {d}/u; scgi_temp_path {d}/s;
  client_max_body_size 100m;
  server {{
    listen 127.0.0.1:{plain}; listen 127.0.0.1:{h2c} http2; listen unix:{d}/nginx.sock;
    listen 127.0.0.1:{tls} ssl http2; listen 127.0.0.1:{mtls} ssl http2;
    ssl_certificate {cert}; ssl_certificate_key {key}; ssl_client_certificate {ca}; ssl_verify_client optional;
    location /file {{ root {d}; }}
    location /say {{ return 200 "$server_protocol $ssl_client_verify $http_x_forwarded_for"; }}
    location /up {{ return 200 "took"; }}
    location /gone {{ return 444; }}
  }}
}}
"""
HAPROXY_CONF = """
global
  maxconn 200
defaults
  mode http
  timeout client 20s
  timeout server 20s
  timeout connect 5s
frontend f
  bind 127.0.0.1:{h2c} proto h2
  bind 127.0.0.1:{tls} ssl crt {pem} alpn h2,http/1.1
  http-request return status 200 content-type text/plain lf-string "%HV %HM" if {{ path /say }}
  default_backend b
backend b
  server s unix@{d}/nginx.sock
"""


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    return Pki(tmp_path_factory.mktemp("peers"))


@pytest.fixture(scope="module")
def ports():
    return {n: free_port() for n in ("plain", "h2c", "tls", "mtls", "ha_h2c", "ha_tls")}


@pytest.fixture(scope="module")
def peers(pki, ports, tmp_path_factory):
    """{name: process}. nginx serves a file of SIZE bytes; HAProxy stands before it."""
    if not (os.path.exists(NGINX) and os.path.exists(HAPROXY)):
        pytest.skip("nginx and haproxy are not installed (config/install bench)")
    d = str(tmp_path_factory.mktemp("n"))
    cred = pki.issue("peer", dns=["localhost"])
    os.makedirs(f"{d}/file")
    os.chmod(d, 0o755)
    with open(f"{d}/file/big", "wb") as f:
        f.write(b"0123456789" * (SIZE // 10))
    pem = os.path.join(d, "both.pem")
    with open(pem, "wb") as out:
        for part in (cred.cert, cred.key):
            with open(part, "rb") as f:
                out.write(f.read())
    with open(f"{d}/nginx.conf", "w", encoding="ascii") as f:
        f.write(NGINX_CONF.format(d=d, cert=cred.cert, key=cred.key, ca=pki.ca, **{k: v for k, v in ports.items() if not k.startswith("ha_")}))
    with open(f"{d}/haproxy.cfg", "w", encoding="ascii") as f:
        f.write(HAPROXY_CONF.format(d=d, pem=pem, h2c=ports["ha_h2c"], tls=ports["ha_tls"]))
    log = open(f"{d}/log", "wb")
    made = {"nginx": subprocess.Popen([NGINX, "-p", d, "-c", f"{d}/nginx.conf"], stdout=log, stderr=log),
            "haproxy": subprocess.Popen([HAPROXY, "-db", "-f", f"{d}/haproxy.cfg"], stdout=log, stderr=log)}
    made["folder"] = d
    yield made
    for name in ("nginx", "haproxy"):
        if made[name].poll() is None:
            made[name].send_signal(signal.SIGTERM)
            made[name].wait(20)
    log.close()


KINDS = ["nginx plain", "nginx unix", "nginx h2c", "nginx h2 tls", "nginx auto tls", "nginx h1 tls", "haproxy h2c", "haproxy h2 tls"]


def settings_for(kind, ports, peers, pki):
    tls = {"upstream_ca": pki.ca, "upstream_certificate": pki.gateway.cert, "upstream_key": pki.gateway.key}
    return {
        "nginx plain": {"upstream": f"http://127.0.0.1:{ports['plain']}"},
        "nginx unix": {"upstream": f"unix:{peers['folder']}/nginx.sock"},
        "nginx h2c": {"upstream": f"h2c://127.0.0.1:{ports['h2c']}"},
        "nginx h2 tls": {"upstream": f"https://localhost:{ports['mtls']}", "upstream_http": "2", **tls},
        "nginx auto tls": {"upstream": f"https://localhost:{ports['tls']}", "upstream_http": "auto", **tls},
        "nginx h1 tls": {"upstream": f"https://localhost:{ports['tls']}", **tls},
        "haproxy h2c": {"upstream": f"h2c://127.0.0.1:{ports['ha_h2c']}"},
        "haproxy h2 tls": {"upstream": f"https://localhost:{ports['ha_tls']}", "upstream_http": "auto", "upstream_ca": pki.ca},
    }[kind]


@pytest.fixture(scope="module")
def served(origin, pki, ports, peers):
    """A gateway with a tool for each kind of peer, and Alice with a grant for all of them: {kind: host}."""
    from harness.gateway import Gateway
    pki.gateway = pki.issue("gateway-client", emails=["gateway@test.localhost"], eku=(ExtendedKeyUsageOID.CLIENT_AUTH,))
    hosts = {kind: f"t{i}.test.localhost" for i, kind in enumerate(KINDS)}

    def change(config):
        config["tools"] = []
        for i, kind in enumerate(KINDS):
            t = tool(f"t{i}", hosts[kind], 1, [action("use", "/**")])
            del t["upstream"]
            t.update(settings_for(kind, ports, peers, pki))
            config["tools"].append(t)
    gw = Gateway(origin, workers=1, change=change)
    alice = gw.person("alice")
    for i, kind in enumerate(KINDS):
        item = give_grant(alice, gw.person("bob"), tool=f"t{i}", host=hosts[kind], notice=False)
        acknowledge(alice, item["grant_id"])
        wait_until(lambda k=kind: alice.request("GET", "/say", host=hosts[k]).status == 200, what=kind)
    yield gw, alice, hosts
    gw.finish()


@pytest.mark.parametrize("proto", PROTOS)
@pytest.mark.parametrize("kind", KINDS)
def test_it_speaks_what_was_agreed_and_bodies_pass_whole(served, kind, proto):
    _, alice, hosts = served
    said = alice.request("GET", "/say", host=hosts[kind], proto=proto).body.decode()
    assert said.startswith("HTTP/2" if "h2" in kind or "auto" in kind else "HTTP/1.1"), said
    if kind in ("nginx h2 tls", "nginx auto tls", "nginx h1 tls"):
        assert " SUCCESS " in said       # the gateway's own certificate
    r = alice.request("GET", "/file/big", host=hosts[kind], proto=proto)
    assert r.complete and hashlib.sha256(r.body).digest() == hashlib.sha256(b"0123456789" * (SIZE // 10)).digest()
    r = alice.request("GET", "/file/big", [("Range", "bytes=5-14")], host=hosts[kind], proto=proto)
    assert r.status == 206 and r.body == b"5678901234" and r.get("content-range") == f"bytes 5-14/{SIZE}"
    r = alice.request("HEAD", "/file/big", host=hosts[kind], proto=proto)
    assert r.status == 200 and r.get("content-length") == str(SIZE) and r.body == b""
    etag = r.get("etag")
    r = alice.request("GET", "/file/big", [("If-None-Match", etag)], host=hosts[kind], proto=proto)
    assert r.status == 304 and r.body == b"" and r.get("etag") == etag
    assert alice.request("GET", "/file/none", host=hosts[kind], proto=proto).status == 404
    r = alice.request("POST", "/up", [("Content-Type", "text/plain")], b"u" * 400000, host=hosts[kind], proto=proto)
    assert r.status == 200 and r.body == b"took"


@pytest.mark.parametrize("proto", PROTOS)
@pytest.mark.parametrize("kind", KINDS[:6])
def test_a_tool_that_hangs_up_without_an_answer(served, kind, proto):
    """nginx's 444: the connection, or the stream, just ends."""
    _, alice, hosts = served
    r = alice.request("POST", "/gone", [("Content-Type", "text/plain")], b"x", host=hosts[kind], proto=proto)
    assert r.status == 502 and r.problem == "tool-broke-off"
    assert alice.request("GET", "/say", host=hosts[kind], proto=proto).status == 200


@pytest.mark.parametrize("kind", KINDS)
def test_many_at_once(served, kind):
    _, alice, hosts = served
    with alice.h2(hosts[kind]) as c:
        streams = [c.open("GET", "/say") for _ in range(80)]
        assert all(c.wait(s).status == 200 for s in streams)


def test_a_peer_that_restarts_is_found_again(served, peers, ports):
    _, alice, hosts = served
    kind = "haproxy h2c"
    assert alice.request("GET", "/say", host=hosts[kind]).status == 200
    old = peers["haproxy"]
    old.kill()
    old.wait(20)
    r = alice.request("GET", "/say", host=hosts[kind])
    assert r.status == 502 and r.problem == "tool-unreachable"
    peers["haproxy"] = subprocess.Popen([HAPROXY, "-db", "-f", f"{peers['folder']}/haproxy.cfg"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: alice.request("GET", "/say", host=hosts[kind]).status == 200, 30, "the peer")
