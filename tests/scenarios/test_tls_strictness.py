"""TLS itself: old versions, weak suites, renegotiation, compression, early data, broken records, ALPN and SNI; refused, and the gateway lives on."""
import socket
import ssl
import struct
import subprocess
import time

import pytest
from OpenSSL import SSL

from harness.clients import H1, H2, h1_request, tls_connect, tls_context
from harness.config_text import BILLING, CONSOLE, SUPPORT
from harness.frames import PREFACE, Wire, settings
from harness.h2_expect import answered
from harness.people import give_grant


@pytest.fixture(scope="module", autouse=True)
def granted(gw):
    give_grant(gw.person("alice"), gw.person("bob"))


@pytest.fixture(autouse=True)
def lives_on(gw):
    yield
    assert gw.person("alice").get("/after").status == 200


def s_client(gw, *args, stdin=b"", host=SUPPORT):
    """openssl s_client; (exit code, what it said)."""
    cred = gw.creds["alice"]
    p = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{gw.port}", "-servername", host, "-CAfile", gw.ca, "-cert", cred.cert, "-key", cred.key, *args],
                       input=stdin, capture_output=True, timeout=60)
    return p.returncode, (p.stdout + p.stderr).decode("utf-8", "replace")


@pytest.mark.parametrize("args", [
    ["-tls1"], ["-tls1_1"], ["-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0"], ["-tls1_2", "-cipher", "AES128-GCM-SHA256:@SECLEVEL=0"],
    ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:@SECLEVEL=0"], ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384:@SECLEVEL=0"],
    ["-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0"], ["-tls1_2", "-cipher", "eNULL:@SECLEVEL=0"], ["-tls1_2", "-cipher", "aNULL:@SECLEVEL=0"],
    ["-tls1_2", "-cipher", "PSK:@SECLEVEL=0"], ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0"], ["-tls1_2", "-cipher", "CAMELLIA:@SECLEVEL=0"],
    ["-tls1_3", "-ciphersuites", "TLS_AES_128_CCM_8_SHA256"], ["-tls1_3", "-groups", "P-521"], ["-tls1_2", "-sigalgs", "ECDSA+SHA1:RSA+SHA1", "-cipher", "ALL:@SECLEVEL=0"],
], ids=lambda a: " ".join(a))
def test_old_and_weak_handshakes_are_refused(gw, args):
    code, said = s_client(gw, *args)
    assert code != 0 and "New, (NONE)" in said or "no cipher match" in said or "no ciphers available" in said.lower(), said[-600:]


@pytest.mark.parametrize("args", [["-tls1_2"], ["-tls1_3"], ["-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"], ["-tls1_2", "-cipher", "ECDHE+AESGCM"]], ids=lambda a: " ".join(a))
def test_good_handshakes_are_taken_without_compression_and_with_secure_renegotiation_only(gw, args):
    code, said = s_client(gw, *args, "-comp", stdin=b"Q\n")
    assert code == 0 and "Verify return code: 0 (ok)" in said and "Compression: NONE" in said, said[-800:]
    if "-tls1_2" in args:
        assert "Secure Renegotiation IS supported" in said


def test_renegotiation_by_the_client_is_refused(gw, origin):
    """TLS 1.2; CVE-2009-3555, CVE-2011-1473. Nothing is served behind it."""
    ctx = SSL.Context(SSL.TLSv1_2_METHOD)
    cred = gw.creds["alice"]
    ctx.use_certificate_chain_file(cred.cert)
    ctx.use_privatekey_file(cred.key)
    raw = socket.create_connection(("127.0.0.1", gw.port), 20)
    c = SSL.Connection(ctx, raw)
    c.set_tlsext_host_name(SUPPORT.encode())
    c.set_connect_state()
    raw.settimeout(None)
    c.do_handshake()
    assert c.renegotiate()
    with pytest.raises(SSL.Error):
        c.do_handshake()
        c.send(h1_request("GET", "/renegotiated", f"{SUPPORT}:{gw.port}"))
        while c.recv(1 << 16):
            pass
    raw.close()
    assert origin.count("/renegotiated") == 0


def test_early_data_is_refused(gw, origin, tmp_path):
    """RFC 8446 section 8: what is replayed must do nothing. The session can be resumed, its early data is not read."""
    session, early = str(tmp_path / "session"), tmp_path / "early"
    early.write_bytes(h1_request("GET", "/early", f"{SUPPORT}:{gw.port}"))
    request = h1_request("GET", "/first", f"{SUPPORT}:{gw.port}", [("Connection", "close")])
    p = subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{gw.port}", "-servername", SUPPORT, "-CAfile", gw.ca, "-cert", gw.creds["alice"].cert,
                          "-key", gw.creds["alice"].key, "-tls1_3", "-sess_out", session, "-ign_eof"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    out, _ = p.communicate(request, timeout=60)
    assert b"200 OK" in out and b"Max Early Data: 0" in out or b"Max Early Data" not in out, out[-500:]
    code, said = s_client(gw, "-tls1_3", "-sess_in", session, "-early_data", str(early))
    assert "Early data was accepted" not in said, said[-500:]
    assert origin.count("/early") == 0


def record(kind, payload, version=0x0303, length=None):
    return struct.pack(">BHH", kind, version, len(payload) if length is None else length) + payload


HELLOS = {
    "nothing but zeros": bytes(200),
    "plain HTTP": b"GET / HTTP/1.1\r\nHost: support.test.localhost\r\n\r\n",
    "the h2 preface in clear": PREFACE + settings(),
    "a record past 2^14": record(22, b"\x01" * 100, 0x0301, 16385) + bytes(17000),
    "a record of 2^16-1": record(22, b"\x01" * 100, 0x0301, 65535) + bytes(66000),
    "an empty handshake record": record(22, b"", 0x0301) * 50,
    "application data first": record(23, b"x" * 50),
    "an alert first": record(21, b"\x02\x28"),
    "a change of cipher first": record(20, b"\x01") * 50,
    "an unknown record type": record(99, b"x" * 50),
    "a hello of a byte a record": b"".join(record(22, bytes([b]), 0x0301) for b in b"\x01\x00\x10\x00\x03\x03" + bytes(200)),
    "a hello that says 2^24-1": record(22, b"\x01\xff\xff\xff" + bytes(1000), 0x0301),
    "SSL 2": b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + bytes(40),
    "SSL 3": record(22, b"\x01\x00\x00\x2f\x03\x00" + bytes(45), 0x0300),
    "a server's hello": record(22, b"\x02\x00\x00\x46\x03\x03" + bytes(68), 0x0303),
    "a heartbeat": record(24, b"\x01\x40\x00"),
}


@pytest.mark.parametrize("name", HELLOS)
def test_what_is_no_client_hello_ends_the_connection(gw, name):
    with socket.create_connection(("127.0.0.1", gw.port), 20) as s:
        try:
            s.sendall(HELLOS[name])
            s.shutdown(socket.SHUT_WR)
            got = b""
            while data := s.recv(1 << 16):
                got += data
        except OSError:
            return
        assert len(got) < 100 and b"HTTP" not in got, got[:100]


BROKEN = {
    "an oversize record": record(23, bytes(300), length=16384 + 257) + bytes(17000),
    "a record of 2^16-1": record(23, bytes(300), length=65535) + bytes(66000),
    "a record that is not ours": record(23, bytes(100)),
    "an empty record": record(23, b""),
    "plain text behind the handshake": b"GET /smuggled HTTP/1.1\r\n\r\n" * 20,
    "a clear alert": record(21, b"\x01\x00"),
    "an unknown type": record(77, bytes(100)),
    "a handshake record in clear": record(22, b"\x01\x00\x00\x04abcd"),
}


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_record_ends_the_connection(gw, origin, name, version):
    """Behind a good request, so that there is something to lose; what is in clear is no part of the stream."""
    c = H1(gw.port, SUPPORT, gw.ca, gw.creds["alice"], version=version)
    assert c.request("GET", "/before").status == 200
    with socket.socket(fileno=c.sock.detach()) as raw:
        raw.settimeout(20)
        try:
            raw.sendall(BROKEN[name])
            end, got = time.monotonic() + 20, b""
            while time.monotonic() < end and (data := raw.recv(1 << 16)):
                got += data
        except OSError:
            pass
        assert time.monotonic() < end, "the connection lives on"
    assert origin.count() == 1


@pytest.mark.parametrize("alpn", [["spdy/3"], ["h2c"], ["http/1.0"], ["h3"], ["H2"], ["h2x", "http/1.1x"]], ids=" ".join)
def test_an_unknown_protocol_ends_the_handshake(gw, alpn):
    """RFC 7301 section 3.2: no_application_protocol, never a protocol that was not asked for."""
    with pytest.raises((ssl.SSLError, ConnectionError)):
        tls_connect(gw.port, SUPPORT, tls_context(gw.ca, gw.creds["alice"], alpn=alpn))


def test_the_protocol_is_the_one_that_was_agreed(gw, origin):
    for offered, chosen in ((("h2", "http/1.1"), "h2"), (("http/1.1", "h2"), "h2"), (("x", "http/1.1"), "http/1.1"), (("http/1.1",), "http/1.1")):
        with tls_connect(gw.port, SUPPORT, tls_context(gw.ca, gw.creds["alice"], alpn=offered)) as s:
            assert s.selected_alpn_protocol() == chosen
    ctx = ssl.create_default_context(cafile=gw.ca)
    ctx.load_cert_chain(gw.creds["alice"].cert, gw.creds["alice"].key)
    with H1(gw.port, SUPPORT, gw.ca, ctx=ctx) as c:
        assert c.sock.selected_alpn_protocol() is None and c.request("GET", "/no-alpn").status == 200
    with Wire(gw, gw.creds["alice"], SUPPORT, alpn=("http/1.1",)) as w:
        w.send(w.request(1, "/wrong"))
        w.wait(lambda: w.ended)
        assert not w.status(1) and origin.count("/wrong") == 0
    with H1(gw.port, SUPPORT, gw.ca, ctx=tls_context(gw.ca, gw.creds["alice"], alpn=("h2",))) as c:
        c.send(h1_request("GET", "/wrong", f"{SUPPORT}:{gw.port}"))
        while c.fill():
            pass
        assert b"HTTP/1.1" not in c.buf and origin.count("/wrong") == 0


@pytest.mark.parametrize("proto", ["h1", "h2"])
@pytest.mark.parametrize("sni,authority,allowed", [
    (SUPPORT, SUPPORT, (200,)), (SUPPORT.upper(), SUPPORT, (200,)), (SUPPORT, BILLING, (421,)), (SUPPORT, CONSOLE, (421,)), (CONSOLE, SUPPORT, (421,)),
    ("unknown.test.localhost", SUPPORT, (421,)), (SUPPORT, "unknown.test.localhost", (404, 421)), (None, SUPPORT, (200, 421)), ("x" * 60 + ".test.localhost", SUPPORT, (421,)),
], ids=lambda v: str(v)[:24] if not isinstance(v, tuple) else "")
def test_sni_and_authority_agree(gw, origin, sni, authority, allowed, proto):
    ctx = tls_context(gw.ca, gw.creds["alice"], alpn=("h2" if proto == "h2" else "http/1.1",))
    ctx.check_hostname, ctx.verify_mode = False, ssl.CERT_NONE
    with (H1 if proto == "h1" else H2)(gw.port, sni, gw.ca, ctx=ctx) as c:
        r = c.request("GET", "/sni", host=f"{authority}:{gw.port}")
    assert r.status in allowed, (r.status, r.body[:200])
    assert origin.count("/sni") == (r.status == 200)


def test_a_resumed_session_keeps_the_host_it_was_made_for(gw, origin):
    """RFC 6066 section 3 / RFC 8446 section 4.6.1: what counts is the name of this handshake."""
    ctx = tls_context(gw.ca, gw.creds["alice"], version=ssl.TLSVersion.TLSv1_2)
    with H1(gw.port, SUPPORT, gw.ca, ctx=ctx) as c:
        assert c.request("GET", "/one").status == 200
        session = c.sock.session
    with H1(gw.port, CONSOLE, gw.ca, ctx=ctx, session=session) as c:
        assert c.request("GET", "/two", host=f"{SUPPORT}:{gw.port}").status == 421
    assert origin.count("/two") == 0


def test_many_half_handshakes_leave_the_gateway_well(gw):
    hello = s_hello()
    socks = []
    for i in range(60):
        s = socket.create_connection(("127.0.0.1", gw.port), 20)
        s.sendall(hello[:5 + i * 3])
        socks.append(s)
    with Wire(gw, gw.creds["alice"], SUPPORT) as w:
        w.send(w.request(1))
        answered()(w, 1)
    for s in socks:
        s.close()


def s_hello():
    """A real ClientHello, caught from OpenSSL."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    o = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname=SUPPORT)
    with pytest.raises(ssl.SSLWantReadError):
        o.do_handshake()
    return outgoing.read()
