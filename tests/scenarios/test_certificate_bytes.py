"""Client certificates byte for byte, keys of every kind, and what a client may leave out of its proof (RFC 5280, RFC 8446 s4.4): in or out, never in between."""
import base64
import hashlib
import os
import socket

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from OpenSSL import SSL, crypto

from harness import der, pki
from harness.certificates import Credential, key_pem, write_pem
from harness.clients import h1_request
from harness.config_text import SUPPORT
from harness.der import basic, certificate, email, eku, extension, good_extensions, integer, oid, san, seq, tlv, usage
from harness.gateway import Gateway, Layout
from harness.people import wait_until
from harness.pki import leaf_extensions
from harness.rawtls import SERVER_CONTEXT, RawTLS, message, vec

EMAIL = "alice@test.localhost"
UPN, SMTP_UTF8 = "1.3.6.1.4.1.311.20.2.3", "1.3.6.1.5.5.7.8.9"
SMART_CARD = "1.3.6.1.4.1.311.20.2.2"


def other_name(which, text):
    return tlv(0xa0, oid(which), tlv(0xa0, tlv(0x0c, text.encode())))


def exts(*more, without=None, names=None):
    """A good leaf's extensions, one left out or other names, and more."""
    out = [basic(), usage(), eku(), names or san(email(EMAIL))]
    if without is not None:
        del out[without]
    return out + list(more)


GOOD = {
    "as a CA writes it": {},
    "no subject, critical SAN": {"subject": b"\x30\x00", "extensions": exts(names=extension(der.SAN, seq(email(EMAIL)), True))},
    "a serial of 20 bytes": {"serial": 2 ** 159 - 1},
    "no end but the year 9999": {"days": (-1, "99991231235959Z")},
    "a Windows login name beside the address": {"extensions": exts(names=san(other_name(UPN, "alice@corp"), email(EMAIL)))},
    "for smart cards too": {"extensions": [basic(), usage(), eku(SMART_CARD, der.CLIENT_AUTH), san(email(EMAIL))]},
    "critical EKU": {"extensions": [basic(), usage(), extension(der.EKU, seq(oid(der.CLIENT_AUTH)), True), san(email(EMAIL))]},
    "nonRepudiation too": {"extensions": [basic(), extension(der.USAGE, bytes([3, 2, 6, 0xc0]), True), eku(), san(email(EMAIL))]},
    "an unknown extension": {"extensions": exts(extension("1.3.6.1.4.1.55555.9", b"\x05\x00"))},
    "where to fetch lists and issuers, which nobody does": {"extensions": exts(
        extension("2.5.29.31", seq(seq(tlv(0xa0, tlv(0xa0, tlv(0x86, b"http://127.0.0.1:1/crl")))))),
        extension("1.3.6.1.5.5.7.1.1", seq(seq(oid("1.3.6.1.5.5.7.48.1"), tlv(0x86, b"http://127.0.0.1:1/ocsp")))))},
}

TWICE = "an extension twice: "
BAD = {
    TWICE + "SAN": {"extensions": exts(san(email("carol@test.localhost")))},
    TWICE + "SAN, the same": {"extensions": exts(san(email(EMAIL)))},
    TWICE + "EKU": {"extensions": exts(eku())},
    TWICE + "EKU, the first another": {"extensions": [basic(), usage(), eku("1.3.6.1.5.5.7.3.1"), eku(), san(email(EMAIL))]},
    TWICE + "basicConstraints": {"extensions": exts(basic())},
    TWICE + "keyUsage": {"extensions": exts(usage())},
    "version 1 without extensions": {"version": 0, "extensions": []},
    "version 1 with extensions": {"version": 0},
    "ends before it begins": {"days": (2, -1)},
    "an end without seconds": {"days": (-1, "3001010000Z")},
    "an end with an offset": {"days": (-1, "30010101000000+0100")},
    "an end with a fraction": {"days": (-1, "30010101000000.5Z")},
    "an end in month 13": {"days": (-1, "30011301000000Z")},
    "an end that is no time": {"days": (-1, "tomorrow")},
    "an empty end": {"days": (-1, "")},
    "another algorithm inside than outside": {"inner": seq(oid("1.2.840.10045.4.3.3"))},
    "a UTF-8 address beside the address": {"extensions": exts(names=san(other_name(SMTP_UTF8, "älice@test.localhost"), email("bob@test.localhost\0")))},
    "an address in capitals with a NUL": {"extensions": exts(names=san(email(b"ALICE@test.localhost\0")))},
    "an address with a quoted local part": {"extensions": exts(names=san(email('"alice"@test.localhost')))},
    "an address with a comment": {"extensions": exts(names=san(email("alice(x)@test.localhost")))},
    "an address with a route": {"extensions": exts(names=san(email("@evil.example:alice@test.localhost")))},
    "an address at an IP": {"extensions": exts(names=san(email("alice@[127.0.0.1]")))},
    "an address with a dot too many": {"extensions": exts(names=san(email("alice.@test.localhost")))},
    "an address with a dot behind": {"extensions": exts(names=san(email("alice@test.localhost.")))},
    "an address of 64 KiB": {"extensions": exts(names=san(email("a" * 65000 + "@test.localhost")))},
    "an address with a backspace": {"extensions": exts(names=san(email("carol\b\b\b\b\balice@test.localhost")))},
    "an address in UTF-16": {"extensions": exts(names=san(email(EMAIL.encode("utf-16-be"))))},
    "the address behind garbage in the SAN": {"extensions": exts(names=extension(der.SAN, seq(email(EMAIL)) + b"\0\0"))},
    "a SAN with trailing bytes": {"extensions": exts(names=extension(der.SAN, seq(email(EMAIL)) + seq(email("carol@test.localhost"))))},
    "an address in indefinite length": {"extensions": exts(names=extension(der.SAN, b"\x30\x80" + email(EMAIL) + b"\0\0"))},
    "an address in a constructed string": {"extensions": exts(names=san(tlv(0xa1, tlv(0x16, EMAIL.encode()))))},
    "a directory name that claims the address": {"extensions": exts(names=san(tlv(0xa4, der.name(EMAIL))))},
    "an empty EKU": {"extensions": [basic(), usage(), extension(der.EKU, seq()), san(email(EMAIL))]},
    "an EKU that is no sequence": {"extensions": [basic(), usage(), extension(der.EKU, b"\x04\x00"), san(email(EMAIL))]},
    "keyUsage without a bit": {"extensions": [basic(), extension(der.USAGE, bytes([3, 1, 0]), True), eku(), san(email(EMAIL))]},
    "keyUsage that is no bit string": {"extensions": [basic(), extension(der.USAGE, b"\x04\x01\x80", True), eku(), san(email(EMAIL))]},
    "a critical SAN of a form nobody knows": {"extensions": exts(names=extension(der.SAN, seq(tlv(0x8f, b"x")), True))},
    "two addresses, one of them in capitals": {"extensions": exts(names=san(email(EMAIL), email(EMAIL.upper())))},
}


@pytest.fixture(scope="module")
def root():
    return pki.root("Byte Root")


@pytest.fixture(scope="module")
def gw(origin, root):
    g = Gateway(origin, start=False)
    g.config["tls"].update({"client_ca": "ca/both.pem", "crl": "ca/both-crl.pem"})
    revoked = [der.entry(-77), der.entry(88), der.entry(2 ** 200)]
    for ours, more, to in ((Layout.files["client_ca"], root.pem(), "both.pem"), (Layout.files["crl"], der.pem("X509 CRL", der.crl(root, revoked)), "both-crl.pem")):
        with open(os.path.join(g.state, ours), "rb") as f:
            write_pem(os.path.join(g.state, "ca", to), f.read() + more)
    g.start()
    yield g
    g.finish()


@pytest.fixture(autouse=True)
def lives_on(gw, origin):
    yield
    assert origin.count() == 0, "something reached the tool"
    assert gw.person("nina").api("GET", "/api/v1/status").status == 200


def kind_of(answer):
    """The problem's type; "handshake" when the connection ended without an answer."""
    if b"\r\n\r\n" not in answer:
        return "handshake"
    text = answer.decode("latin-1")
    assert "application/problem+json" in text and text.startswith("HTTP/1.1 4"), text[:300]
    return text.split("/problems/")[1].split('"')[0]


def present(gw, key, *ders):
    """That certificate, whatever it is, with a good proof of its P-256 key, over TLS 1.3."""
    with RawTLS(gw.port, SUPPORT) as c:
        c.hello().server_flight()
        c.prove(key, *ders)
        return kind_of(c.exchange(h1_request("GET", "/", f"{SUPPORT}:{gw.port}", [("Connection", "close")])))


@pytest.mark.parametrize("name", GOOD)
def test_a_good_certificate_is_taken(gw, root, name):
    key = pki.new_key()
    assert present(gw, key, certificate(root, key, **GOOD[name])) == "grant-required"


@pytest.mark.parametrize("name", BAD)
def test_a_bad_certificate_is_refused(gw, root, name):
    key = pki.new_key()
    said = present(gw, key, certificate(root, key, **BAD[name]))
    assert said == "handshake" or said.startswith("certificate-"), said


@pytest.mark.parametrize("serial", [0, -1, 127, 128, -129, 2 ** 160, -(2 ** 159), 2 ** 4000])
def test_odd_serials_are_taken_or_refused(gw, root, serial):
    """RFC 5280 s4.1.2.2: users should handle negative and zero ones gracefully."""
    key = pki.new_key()
    said = present(gw, key, certificate(root, key, serial=serial))
    assert said in ("grant-required", "handshake") or said.startswith("certificate-"), said


@pytest.mark.parametrize("serial,revoked", [(-77, True), (77, False), (88, True), (-88, False), (2 ** 200, True), (2 ** 200 + 1, False)])
def test_a_revoked_serial_is_that_one_and_no_other(gw, root, serial, revoked):
    key = pki.new_key()
    said = present(gw, key, certificate(root, key, serial=serial))
    assert said == "certificate-revoked" if revoked else said != "certificate-revoked", said


UNDECODABLE = {
    "nothing": lambda good: b"",
    "a byte": lambda good: b"\x30",
    "text": lambda good: b"not a certificate",
    "zeros": lambda good: bytes(500),
    "cut off": lambda good: good[:-1],
    "a byte more": lambda good: good + b"\0",
    "two in one entry": lambda good: good + good,
    "a length of 2^32": lambda good: b"\x30\x84\xff\xff\xff\xff" + good[4:],
    "nested without end": lambda good: b"\x30\x80" * 5000,
    "PEM": lambda good: der.pem("CERTIFICATE", good),
    "PKCS#7": lambda good: seq(oid("1.2.840.113549.1.7.2"), tlv(0xa0, seq(integer(1), good))),
    "a key": lambda good: pki.new_key().public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo),
}


@pytest.mark.parametrize("name", UNDECODABLE)
def test_what_is_no_certificate_ends_the_handshake(gw, root, name):
    key = pki.new_key()
    assert present(gw, key, UNDECODABLE[name](certificate(root, key))) == "handshake"


def bits(cert, at, value):
    return cert[:at] + bytes([value]) + cert[at + 1:]


def test_a_signature_that_is_altered_anywhere_is_refused(gw, root):
    """Of one certificate's bytes every seventh is changed: none of them lets anybody in as something else."""
    key = pki.new_key()
    good = certificate(root, key)
    taken = []
    for at in range(4, len(good), 7):
        try:
            said = present(gw, key, bits(good, at, good[at] ^ 1))
        except ValueError:
            continue
        if said not in ("handshake",) and not said.startswith("certificate-"):
            taken.append((at, said))
    assert not taken, taken


def proof(gw, root, how):
    """A good certificate and a proof that the test makes."""
    key = pki.new_key()
    with RawTLS(gw.port, SUPPORT) as c:
        c.hello().server_flight()
        how(c, key, certificate(root, key))
        return kind_of(c.exchange(h1_request("GET", "/", f"{SUPPORT}:{gw.port}", [("Connection", "close")]))), c.alert


def say(c, key, cert, first=None, **how):
    c.say(c.certificate(cert) if first is None else first)
    c.say(c.verify(key, **how))
    c.finish()


PROOFS = {
    "by another key": lambda c, key, cert: say(c, pki.new_key(), cert),
    "none": lambda c, key, cert: (c.say(c.certificate(cert)), c.finish()),
    "of a server": lambda c, key, cert: say(c, key, cert, context=SERVER_CONTEXT),
    "of no context": lambda c, key, cert: say(c, key, cert, context=b""),
    "over another conversation": lambda c, key, cert: say(c, key, cert, over=hashlib.sha256(b"x").digest()),
    "over what came before the certificate": lambda c, key, cert: (lambda h: say(c, key, cert, over=h))(c.hash()),
    "with a scheme of SHA-1": lambda c, key, cert: say(c, key, cert, scheme=0x0203),
    "with a scheme of RSA": lambda c, key, cert: say(c, key, cert, scheme=0x0804),
    "with a scheme of P-384": lambda c, key, cert: say(c, key, cert, scheme=0x0503),
    "with an unknown scheme": lambda c, key, cert: say(c, key, cert, scheme=0xfefe),
    "empty": lambda c, key, cert: say(c, key, cert, signature=b""),
    "zero": lambda c, key, cert: say(c, key, cert, signature=seq(integer(0), integer(0))),
    "one": lambda c, key, cert: say(c, key, cert, signature=seq(integer(1), integer(1))),
    "huge": lambda c, key, cert: say(c, key, cert, signature=bytes(60000)),
    "twice": lambda c, key, cert: (c.say(c.certificate(cert)), c.say(c.verify(key)), c.say(c.verify(key)), c.finish()),
    "of no certificate": lambda c, key, cert: say(c, key, cert, first=c.certificate()),
    "before the certificate": lambda c, key, cert: (c.say(c.verify(key)), c.say(c.certificate(cert)), c.finish()),
    "no certificate message at all": lambda c, key, cert: c.finish(),
    "a wrong end": lambda c, key, cert: (c.say(c.certificate(cert)), c.say(c.verify(key)), c.finish(wrong=True)),
    "two certificate messages": lambda c, key, cert: (c.say(c.certificate(cert)), c.say(c.certificate(cert)), c.say(c.verify(key)), c.finish()),
    "in answer to another request": lambda c, key, cert: say(c, key, cert, first=c.certificate(cert, context=b"abc")),
    "a certificate of 1 MiB": lambda c, key, cert: say(c, key, cert, first=c.certificate(cert, bytes(1 << 20))),
    "a list cut off": lambda c, key, cert: say(c, key, cert, first=message(11, vec(1), b"\0\1\0" + cert[:100])),
}


def test_a_good_proof_is_taken(gw, root):
    assert proof(gw, root, say) == ("grant-required", None)


@pytest.mark.parametrize("name", PROOFS)
def test_a_proof_that_is_wrong_ends_the_handshake(gw, root, name):
    """The certificate is public; only its key says who somebody is. Alice's chain was verified a moment ago, so nothing may be remembered too well."""
    said, alert = proof(gw, root, PROOFS[name])
    assert said == "handshake", said


def test_a_remembered_chain_still_needs_its_key(gw, root):
    """Whoever saw a certificate go by presents it with a key of their own, on the worker that knows it."""
    key, thief = pki.new_key(), pki.new_key()
    cert = certificate(root, key)
    for _ in range(6):
        assert present(gw, key, cert) == "grant-required"
        assert present(gw, thief, cert) == "handshake"


AFTER = {
    "a certificate": lambda c, key, cert: c.say(c.certificate(cert)),
    "another person's certificate with its proof": lambda c, key, cert: (lambda k, d: (c.say(c.certificate(d)), c.say(c.verify(k)), c.finish()))(*c.carol),
    "a new hello": lambda c, key, cert: c.say(message(1, b"\3\3", bytes(32), vec(1), vec(2, b"\x13\1"), b"\1\0", vec(2))),
    "a ticket": lambda c, key, cert: c.say(message(4, bytes(8), vec(1), vec(2, b"x"), vec(2))),
    "a certificate request": lambda c, key, cert: c.say(message(13, vec(1), vec(2))),
    "the end of early data": lambda c, key, cert: c.say(message(5)),
    "a key update of two bytes": lambda c, key, cert: c.say(message(24, b"\0\0")),
    "a key update that asks for something else": lambda c, key, cert: c.say(message(24, b"\7")),
    "a change of cipher": lambda c, key, cert: c.sock.sendall(b"\x14\3\3\0\1\2"),
}


@pytest.mark.parametrize("name", AFTER)
def test_nothing_changes_who_it_is_after_the_handshake(gw, root, name):
    key, other = pki.new_key(), pki.new_key()
    cert = certificate(root, key)
    with RawTLS(gw.port, SUPPORT) as c:
        c.hello(more=b"\0\x31\0\0").server_flight()    # post_handshake_auth is offered
        c.prove(key, cert)
        c.carol = other, certificate(root, other, extensions=good_extensions("carol@test.localhost"))
        request = h1_request("GET", "/", f"{SUPPORT}:{gw.port}")
        assert kind_of(c.exchange(request)) == "grant-required"
        c.data = b""
        AFTER[name](c, key, cert)
        assert b"HTTP" not in c.exchange(request) and c.ended


def test_a_key_update_is_followed(gw, root):
    """RFC 8446 s4.6.3: one that asks for none back."""
    key = pki.new_key()
    with RawTLS(gw.port, SUPPORT) as c:
        c.hello().server_flight()
        c.prove(key, certificate(root, key))
        for _ in range(20):
            c.say(message(24, b"\0"))
            c.out = c.out.updated()
        assert kind_of(c.exchange(h1_request("GET", "/", f"{SUPPORT}:{gw.port}"))) == "grant-required"


def test_a_flood_of_key_updates_is_cut_off(gw, root):
    """Some are taken, as of a connection that lives for years; thousands at once only keep a worker busy."""
    key = pki.new_key()
    with RawTLS(gw.port, SUPPORT) as c:
        c.hello().server_flight()
        c.prove(key, certificate(root, key))
        assert kind_of(c.exchange(h1_request("GET", "/", f"{SUPPORT}:{gw.port}"))) == "grant-required"
        try:
            for i in range(20000):
                c.say(message(24, b"\1" if i % 2 else b"\0"))
                c.out = c.out.updated()
                if c.ended:
                    break
        except OSError:
            pass
        assert i < 19999, "all were taken"
        assert gw.person("nina").api("GET", "/api/v1/status").status == 200


def mirrored(cert):
    """The same certificate with the other signature that its CA's key accepts: (r, n - s)."""
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    signature = x509.load_der_x509_certificate(cert).signature
    r, s = decode_dss_signature(signature)
    body = x509.load_der_x509_certificate(cert).tbs_certificate_bytes
    return seq(body, seq(oid(der.ECDSA_SHA256)), tlv(3, b"\0", encode_dss_signature(r, order - s)))


def test_a_locked_certificate_stays_locked_in_its_other_form(gw, root):
    """Whoever holds it can change its thumbprint without any CA."""
    key = pki.new_key()
    cert = certificate(root, key)
    other = mirrored(cert)
    assert present(gw, key, cert) == present(gw, key, other) == "grant-required"
    x5t = base64.urlsafe_b64encode(hashlib.sha256(cert).digest()).decode().rstrip("=")
    olga = gw.person("olga")
    lock = olga.api_ok("POST", "/api/v1/locks", {"kind": "cert", "value": x5t, "reason": "the laptop was stolen"})["lock"]
    wait_until(lambda: present(gw, key, cert) == "locked", what="the lock")
    for _ in range(4):
        assert present(gw, key, other) == "locked"
    assert present(gw, key, certificate(root, key, serial=9)) == "grant-required", "another certificate of the same key is another one"
    assert olga.unlock(lock["id"]).status in (200, 201)
    wait_until(lambda: present(gw, key, other) == "grant-required", what="the end of the lock")


# Keys of every kind, by OpenSSL, which proves them.
KEYS = {
    "Ed25519": (ed25519.Ed25519PrivateKey.generate, True),
    "P-384": (lambda: ec.generate_private_key(ec.SECP384R1()), True),
    "RSA 3072": (lambda: rsa.generate_private_key(65537, 3072), True),
    "RSA 4096": (lambda: rsa.generate_private_key(65537, 4096), True),
    "P-521": (lambda: ec.generate_private_key(ec.SECP521R1()), None),
    "Ed448": (ed448.Ed448PrivateKey.generate, None),
    "RSA 2048 with exponent 3": (lambda: rsa.generate_private_key(3, 2048), None),
    "RSA 1536": (lambda: rsa.generate_private_key(65537, 1536), False),
    "RSA 512": (lambda: rsa.generate_private_key(65537, 512), False),
    "secp256k1": (lambda: ec.generate_private_key(ec.SECP256K1()), False),
    "P-224": (lambda: ec.generate_private_key(ec.SECP224R1()), False),
    "brainpool P256": (lambda: ec.generate_private_key(ec.BrainpoolP256R1()), False),
    "DSA 2048": (lambda: dsa.generate_private_key(2048), False),
    "DSA 1024": (lambda: dsa.generate_private_key(1024), False),
}


def save(folder, cert, key):
    os.makedirs(folder, exist_ok=True)
    c = Credential("key", os.path.join(folder, "key.pem"), os.path.join(folder, "key.key"))
    write_pem(c.cert, cert.public_bytes(serialization.Encoding.PEM))
    write_pem(c.key, key_pem(key))
    return c


def by_openssl(gw, cert, key, version):
    ctx = SSL.Context(SSL.TLS_METHOD)
    ctx.set_min_proto_version(version)
    ctx.set_max_proto_version(version)
    ctx.set_cipher_list(b"ALL:@SECLEVEL=0")
    try:
        ctx.use_certificate(crypto.X509.from_cryptography(cert))
        ctx.use_privatekey(crypto.PKey.from_cryptography_key(key) if isinstance(key, (rsa.RSAPrivateKey, dsa.DSAPrivateKey))
                           else crypto.load_privatekey(crypto.FILETYPE_PEM, key_pem(key)))
        raw = socket.create_connection(("127.0.0.1", gw.port), 20)
        raw.settimeout(None)
        with raw:
            c = SSL.Connection(ctx, raw)
            c.set_tlsext_host_name(SUPPORT.encode())
            c.set_connect_state()
            c.do_handshake()
            c.sendall(h1_request("GET", "/", f"{SUPPORT}:{gw.port}", [("Connection", "close")]))
            data = b""
            while True:
                data += c.recv(1 << 16)
    except (SSL.ZeroReturnError, SSL.SysCallError, SSL.Error, OSError):
        return kind_of(locals().get("data", b""))


@pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION], ids=["1.2", "1.3"])
@pytest.mark.parametrize("name", KEYS)
def test_keys_of_every_kind(gw, root, name, version):
    make, good = KEYS[name]
    key = make()
    said = by_openssl(gw, root.sub("alice", leaf_extensions(), key=key).cert, key, version)
    if good is None:
        assert said in ("grant-required", "handshake") or said.startswith("certificate-"), said
    else:
        assert (said == "grant-required") if good else (said == "handshake" or said.startswith("certificate-")), said


def test_the_certificates_that_are_asked_for_are_of_our_authorities(gw, root):
    """Browsers choose by this list (RFC 8446 s4.2.4); without it they offer everything somebody has."""
    with RawTLS(gw.port, SUPPORT) as c:
        c.hello().server_flight()
        assert root.cert.subject.public_bytes(serialization.Encoding.DER) in c.transcript
