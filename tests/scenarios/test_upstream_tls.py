"""TLS to the tool: whom the gateway believes (an authority, a pinned key, a name), who it says it is, which protocol is agreed; and what is said when it is not good."""
import base64
import hashlib
import os
import ssl

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from harness.certificates import Authority, write_pem
from harness.config_text import SUPPORT, action, tool
from harness.origin import Origin
from harness.origin_h2 import H2Origin
from harness.people import acknowledge, give_grant, wait_until
from harness.websocket import TEXT, Socket, Tool

SERVER = (ExtendedKeyUsageOID.SERVER_AUTH,)


class Pki:
    """An authority for tools, and certificates of it that are good or bad in one way."""

    def __init__(self, folder):
        self.folder = str(folder)
        self.authority, self.other = Authority.new("Tools"), Authority.new("Others")
        self.ca = os.path.join(self.folder, "tools-ca.pem")
        write_pem(self.ca, self.authority.cert.public_bytes(Encoding.PEM))

    def issue(self, name, authority=None, **more):
        return (authority or self.authority).issue(self.folder, name, eku=more.pop("eku", SERVER), **more)

    def context(self, cred, alpn=("http/1.1",), client_ca=None):
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ctx.load_cert_chain(cred.cert, cred.key)
        ctx.set_alpn_protocols(list(alpn))
        if client_ca is not None:
            ctx.verify_mode = ssl.CERT_REQUIRED
            ctx.load_verify_locations(client_ca)
        return ctx


def pin_of(cred):
    key = cred.certificate().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return "sha256/" + base64.b64encode(hashlib.sha256(key).digest()).decode()


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    return Pki(tmp_path_factory.mktemp("tools"))


@pytest.fixture
def served():
    made = []

    def make(origin):
        made.append(origin)
        return origin
    yield make
    for o in made:
        o.close()


def start(gateway_of, port, **settings):
    def change(config):
        t = tool("support", SUPPORT, 1, [action("use", "/**")])
        t.update(upstream=f"https://localhost:{port}", **settings)
        config["tools"] = [t]
    gw = gateway_of(workers=1, change=change)
    alice = gw.person("alice")
    item = give_grant(alice, gw.person("bob"), notice=False)
    acknowledge(alice, item["grant_id"])
    wait_until(lambda: alice.get("/ready").status != 403, what="the grant at the worker")
    return gw, alice


@pytest.mark.parametrize("proto", ["h1", "h2"])
def test_a_verified_tool(gateway_of, pki, served, proto):
    origin = served(Origin(tls=pki.context(pki.issue("good", dns=["localhost"]))))
    _, alice = start(gateway_of, origin.port, upstream_ca=pki.ca)
    assert alice.get("/x", proto=proto).status == 200
    assert alice.get("/big?bytes=1000000", proto=proto).complete
    assert alice.post("/up", b"y" * 500000, proto=proto).json()["body_len"] == 500000


BAD = {
    "another authority": (lambda p: p.issue("foreign", p.other, dns=["localhost"]), {}, "certificate"),
    "another name": (lambda p: p.issue("misnamed", dns=["tool.example"]), {}, "mismatch"),
    "expired": (lambda p: p.issue("expired", dns=["localhost"], before_days=-10, after_days=-5), {}, "expired"),
    "a client's certificate": (lambda p: p.issue("client", dns=["localhost"], eku=(ExtendedKeyUsageOID.CLIENT_AUTH,)), {}, "purpose"),
    "another pinned key": (lambda p: p.issue("unpinned", dns=["localhost"]), {"upstream_pins": ["sha256/" + base64.b64encode(b"k" * 32).decode()]}, "upstream_pins"),
}


@pytest.mark.parametrize("how", BAD)
def test_a_bad_certificate_is_a_502_that_says_why_and_nothing_is_sent(gateway_of, pki, served, how):
    make, more, word = BAD[how]
    origin = served(Origin(tls=pki.context(make(pki))))
    gw, alice = start(gateway_of, origin.port, upstream_ca=pki.ca, **more)
    for proto in ("h1", "h2"):
        r = alice.post("/x", b"secret", proto=proto)
        assert r.status == 502 and r.problem == "tool-untrusted" and word in r.json()["detail"], r.body
    assert origin.count() == 0
    assert any(line.get("event") == "tool.failed" and line["type"] == "tool-untrusted" and word in line["why"] for line in gw.log_lines())


def test_a_pinned_key_is_enough_or_comes_on_top(gateway_of, pki, served):
    foreign = pki.issue("selfmade", pki.other, dns=["elsewhere.example"])
    origin = served(Origin(tls=pki.context(foreign)))
    _, alice = start(gateway_of, origin.port, upstream_pins=["sha256/" + base64.b64encode(b"k" * 32).decode(), pin_of(foreign)])
    assert alice.get("/x").status == 200
    _, alice = start(gateway_of, origin.port, upstream_pins=[pin_of(foreign)], upstream_ca=pki.ca)
    assert alice.get("/x").problem == "tool-untrusted"


def test_the_name_asked_for_and_expected_can_be_set(gateway_of, pki, served):
    ctx = pki.context(pki.issue("named", dns=["tool.internal"]))
    asked = []
    ctx.sni_callback = lambda sock, name, c: asked.append(name)
    origin = served(Origin(tls=ctx))
    _, alice = start(gateway_of, origin.port, upstream_ca=pki.ca, upstream_name="tool.internal")
    assert alice.get("/x").status == 200 and set(asked) == {"tool.internal"}


def test_the_gateway_shows_its_own_certificate(gateway_of, pki, served):
    mine = pki.issue("gateway", emails=["gateway@test.localhost"], eku=(ExtendedKeyUsageOID.CLIENT_AUTH,))
    origin = served(Origin(tls=pki.context(pki.issue("asks", dns=["localhost"]), client_ca=pki.ca)))
    _, alice = start(gateway_of, origin.port, upstream_ca=pki.ca, upstream_certificate=mine.cert, upstream_key=mine.key)
    assert alice.get("/x").status == 200
    _, alice = start(gateway_of, origin.port, upstream_ca=pki.ca)
    assert alice.get("/x").status == 502


@pytest.mark.parametrize("proto", ["h1", "h2"])
@pytest.mark.parametrize("wants,alpn,spoken", [("auto", ["h2", "http/1.1"], "2"), ("auto", ["http/1.1"], "1"), ("2", ["h2", "http/1.1"], "2"), ("1.1", ["h2", "http/1.1"], "1")])
def test_the_protocol_is_agreed_by_alpn(gateway_of, pki, served, wants, alpn, spoken, proto):
    cred = pki.issue("alpn", dns=["localhost"])
    kind = H2Origin if spoken == "2" else Origin
    origin = served(kind(tls=pki.context(cred, alpn)))
    _, alice = start(gateway_of, origin.port, upstream_ca=pki.ca, upstream_http=wants)
    for i in range(3):
        assert alice.get(f"/x{i}", proto=proto).status == 200
    assert origin.count("/x0") == 1 and origin.accepted <= 2
    assert alice.get("/big?bytes=2000000", proto=proto).complete


def test_http2_that_the_tool_does_not_take_is_said(gateway_of, pki, served):
    origin = served(Origin(tls=pki.context(pki.issue("old", dns=["localhost"]), ["http/1.1"])))
    gw, alice = start(gateway_of, origin.port, upstream_ca=pki.ca, upstream_http="2")
    r = alice.get("/x")
    assert r.status == 502 and r.problem in ("tool-unreachable",)
    assert any(line.get("event") == "tool.failed" and ("ALPN" in line["why"] or "alert" in line["why"].lower()) for line in gw.log_lines())


@pytest.mark.parametrize("proto", ["h1", "h2"])
def test_a_websocket_to_a_tool_that_speaks_both_goes_over_http1(gateway_of, pki, served, proto):
    """asyncio's server chooses http/1.1 when it is all that is offered, as the gateway does for an upgrade."""
    origin = served(Origin(tls=pki.context(pki.issue("both", dns=["localhost"]), ["http/1.1"])))
    Tool(origin)
    _, alice = start(gateway_of, origin.port, upstream_ca=pki.ca, upstream_http="auto")
    s = Socket(alice, "/ws", proto)
    assert s.is_open
    s.say(TEXT, b"over TLS")
    assert s.hear().payload == b"over TLS"
    s.close()


def test_a_certificate_file_that_can_not_be_read_is_said(gateway_of, pki):
    bad = os.path.join(pki.folder, "nonsense.pem")
    write_pem(bad, b"this is no certificate")

    def change(config):
        t = tool("support", SUPPORT, 1, [action("use", "/**")])
        t.update(upstream="https://localhost:1", upstream_ca=bad)
        config["tools"] = [t]
    gw = gateway_of(workers=1, change=change, start=False)
    p = gw.run_command("check", "-c", __import__("harness.gateway", fromlist=["x"]).write_config(gw.state, gw.config))
    assert p.returncode == 1 and b"upstream_ca" in p.stdout, p.stdout


def check(gw, *more):
    from harness.gateway import write_config
    return gw.run_command("check", *more, "-c", write_config(gw.state, gw.config))


def test_check_probe_says_which_tool_can_not_be_used_and_why(gateway_of, pki, served):
    good = served(Origin(tls=pki.context(pki.issue("fine", dns=["localhost"]))))
    expired = served(Origin(tls=pki.context(pki.issue("old-one", dns=["localhost"], before_days=-10, after_days=-5))))

    def one(name, host, upstream, **more):
        t = tool(name, host, 1, [action("use", "/**")])
        t.update(upstream=upstream, **more)
        return t

    def tools_are(*tools):
        def change(config):
            config["tools"] = list(tools)
        return gateway_of(start=False, change=change)
    fine = one("support", SUPPORT, f"https://localhost:{good.port}", upstream_ca=pki.ca)
    p = check(tools_are(fine), "--probe")
    assert p.returncode == 0, p.stdout
    gw = tools_are(fine, one("late", "late.test.localhost", f"https://localhost:{expired.port}", upstream_ca=pki.ca),
                   one("away", "away.test.localhost", "unix:/nowhere/tool.sock"), one("lost", "lost.test.localhost", "http://no-such-name.invalid:80"))
    assert check(gw).returncode == 0                      # without --probe nothing is connected to
    p = check(gw, "--probe")
    said = p.stdout.decode()
    assert p.returncode == 1 and "tools[late]" in said and "expired" in said and "tools[away]" in said and "tools[lost]" in said and "tools[support]" not in said
