"""Certificates and revocation lists byte for byte: what no library would write. Everything is DER made by hand; only the signature is a library's."""
import datetime as dt
import os

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from harness.certificates import Credential, key_pem, write_pem

ECDSA_SHA256 = "1.2.840.10045.4.3.2"
SAN, BASIC, USAGE, EKU, AKI, CRL_NUMBER = "2.5.29.17", "2.5.29.19", "2.5.29.15", "2.5.29.37", "2.5.29.35", "2.5.29.20"
CLIENT_AUTH = "1.3.6.1.5.5.7.3.2"


def tlv(tag, *parts):
    """Definite length, in as few bytes as it takes."""
    content = b"".join(parts)
    n = len(content)
    if n < 128:
        return bytes([tag, n]) + content
    size = (n.bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + n.to_bytes(size, "big") + content


def seq(*parts):
    return tlv(0x30, *parts)


def integer(n):
    """Two's complement, so that it may be negative."""
    return tlv(0x02, n.to_bytes(n.bit_length() // 8 + 1, "big", signed=True))


def oid(text):
    arcs = [int(a) for a in text.split(".")]
    out = b""
    for arc in [arcs[0] * 40 + arcs[1], *arcs[2:]]:
        digits = [arc & 127]
        while arc := arc >> 7:
            digits.append(arc & 127 | 128)
        out += bytes(reversed(digits))
    return tlv(0x06, out)


def name(text, tag=0x0c):
    return seq(tlv(0x31, seq(oid("2.5.4.3"), tlv(tag, text if isinstance(text, bytes) else text.encode()))))


def time(days, form=None):
    """UTCTime up to 2049 (RFC 5280 s4.1.2.5); a text stands as it is, in GeneralizedTime unless `form` says otherwise."""
    if isinstance(days, str):
        return tlv(form or 0x18, days.encode())
    when = dt.datetime.utcnow() + dt.timedelta(days=days)
    return tlv(0x17, when.strftime("%y%m%d%H%M%SZ").encode())


def extension(which, value, critical=False):
    return seq(oid(which), tlv(0x01, b"\xff") if critical else b"", tlv(0x04, value))


def san(*names):
    return extension(SAN, seq(*names))


def email(text):
    return tlv(0x81, text if isinstance(text, bytes) else text.encode())


def basic(ca=False):
    return extension(BASIC, seq(tlv(0x01, b"\xff") if ca else b""), True)


def usage():
    return extension(USAGE, bytes([3, 2, 7, 0x80]), True)


def eku(*which):
    return extension(EKU, seq(*(oid(w) for w in which or (CLIENT_AUTH,))))


def good_extensions(address="alice@test.localhost"):
    return [basic(), usage(), eku(), san(email(address))]


def subject_of(issuer):
    """A library's certificate's name, as its bytes stand there."""
    return issuer.cert.subject.public_bytes(serialization.Encoding.DER)


def signed(tbs, key, algorithm=None, unused=0):
    algorithm = algorithm or seq(oid(ECDSA_SHA256))
    return seq(tbs, algorithm, tlv(0x03, bytes([unused]), key.sign(tbs, ec.ECDSA(hashes.SHA256()))))


def certificate(issuer, key, extensions=None, serial=0x1234567890, version=2, days=(-1, 2), subject="alice", extra=b"", inner=None):
    """A leaf of `issuer` (a pki.Node with a P-256 key); each argument may be what no CA would write."""
    spki = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    extensions = good_extensions() if extensions is None else extensions
    tbs = seq(b"" if version == 0 else tlv(0xa0, integer(version)), serial if isinstance(serial, bytes) else integer(serial), inner or seq(oid(ECDSA_SHA256)),
              subject_of(issuer), seq(time(days[0]), time(days[1])), subject if isinstance(subject, bytes) else name(subject), spki, extra,
              tlv(0xa3, seq(*extensions)) if extensions else b"")
    return signed(tbs, issuer.key)


def entry(serial, reason=None, days=-0.1, more=()):
    """One revoked certificate. reason: CRLReason, as removeFromCRL (8)."""
    ext = ([extension("2.5.29.21", tlv(0x0a, bytes([reason])))] if reason is not None else []) + list(more)
    return seq(serial if isinstance(serial, bytes) else integer(serial), time(days), seq(*ext) if ext else b"")


def crl(issuer, entries=(), extensions=None, days=(-1, 1), version=1, signer=None, subject=None):
    """A revocation list of `issuer`. No extensions at all: pass []."""
    extensions = [extension(CRL_NUMBER, integer(7))] if extensions is None else extensions
    tbs = seq(b"" if version is None else integer(version), seq(oid(ECDSA_SHA256)), subject or subject_of(issuer), time(days[0]),
              time(days[1]) if days[1] is not None else b"", seq(*entries) if entries else b"", tlv(0xa0, seq(*extensions)) if extensions else b"")
    return signed(tbs, signer or issuer.key)


def pem(kind, der):
    import base64
    text = base64.b64encode(der).decode()
    lines = [text[i:i + 64] for i in range(0, len(text), 64)]
    return ("-----BEGIN %s-----\n%s\n-----END %s-----\n" % (kind, "\n".join(lines), kind)).encode()


def save(folder, label, key, *ders):
    """A credential of certificates that may be anything: the leaf first."""
    os.makedirs(folder, exist_ok=True)
    cert, path = os.path.join(folder, label + ".pem"), os.path.join(folder, label + ".key")
    write_pem(cert, b"".join(pem("CERTIFICATE", d) for d in ders))
    write_pem(path, key_pem(key))
    return Credential(label, cert, path)
