"""Certificates of every kind, good and bad, made with python3-cryptography."""
import base64
import datetime as dt
import hashlib
import os
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass
class Credential:
    """A certificate and its private key, as PEM files."""
    name: str
    cert: str
    key: str

    def private_key(self):
        with open(self.key, "rb") as f:
            return serialization.load_pem_private_key(f.read(), None)

    def certificate(self):
        with open(self.cert, "rb") as f:
            return x509.load_pem_x509_certificate(f.read())

    def x5t(self):
        """SHA-256 over the DER leaf, base64url (RFC 8705)."""
        return b64url(hashlib.sha256(self.certificate().public_bytes(serialization.Encoding.DER)).digest())

    def fingerprint(self):
        """SHA-256 over the SubjectPublicKeyInfo, base64url: how an approval key is named."""
        spki = self.private_key().public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return b64url(hashlib.sha256(spki).digest())


def write_pem(path, data, mode=0o600):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(fd, "wb") as f:
        f.write(data)


def key_pem(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


class Authority:
    """A CA whose key the tests hold: the gateway's own (loaded from its state folder), or a stranger's."""

    def __init__(self, cert, key):
        self.cert, self.key = cert, key

    @classmethod
    def load(cls, cert_path, key_path):
        with open(cert_path, "rb") as f:
            cert = x509.load_pem_x509_certificate(f.read())
        with open(key_path, "rb") as f:
            return cls(cert, serialization.load_pem_private_key(f.read(), None))

    @classmethod
    def new(cls, name):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = dt.datetime.utcnow()
        cert = (x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
                .serial_number(x509.random_serial_number())
                .not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=30))
                .add_extension(x509.BasicConstraints(True, 0), True)
                .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), True)
                .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
                .sign(key, hashes.SHA256()))
        return cls(cert, key)

    def issue(self, folder, name, emails=(), *, eku=(ExtendedKeyUsageOID.CLIENT_AUTH,), before_days=-1, after_days=2, dns=(),
              self_signed=False, subject=None, signer=None, ca=False, key_usage=True):
        """Make a leaf. The defaults make a good one; each argument can make it bad in one way."""
        os.makedirs(folder, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject or name)])
        now = dt.datetime.utcnow()
        names = [x509.RFC822Name(e) for e in emails] + [x509.DNSName(d) for d in dns]
        b = (x509.CertificateBuilder().subject_name(who).issuer_name(who if self_signed else self.cert.subject)
             .public_key(key.public_key()).serial_number(x509.random_serial_number())
             .not_valid_before(now + dt.timedelta(days=before_days)).not_valid_after(now + dt.timedelta(days=after_days))
             .add_extension(x509.BasicConstraints(ca, None), True))
        if key_usage:
            b = b.add_extension(x509.KeyUsage(True, False, False, False, False, ca, False, False, False), True)
        if names:
            b = b.add_extension(x509.SubjectAlternativeName(names), False)
        if eku:
            b = b.add_extension(x509.ExtendedKeyUsage(list(eku)), False)
        if not self_signed:
            b = b.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False)
        cert = b.sign(key if self_signed else (signer or self.key), hashes.SHA256())
        cert_path, key_path = os.path.join(folder, name + ".pem"), os.path.join(folder, name + ".key")
        write_pem(cert_path, cert.public_bytes(serialization.Encoding.PEM))
        write_pem(key_path, key_pem(key))
        return Credential(name, cert_path, key_path)


def bad_certificates(own, folder, email):
    """Every way a certificate can be wrong without being revoked: {kind: Credential}. All but the strangers' are signed by `own`."""
    os.makedirs(folder, exist_ok=True)
    stranger = Authority.new("Stranger CA")
    impostor = Authority.new(own.cert.subject.rfc4514_string().removeprefix("CN="))
    forged = own.issue(folder, "forged-signature", [email], signer=ec.generate_private_key(ec.SECP256R1()))
    sub_leaf = own.issue(folder, "leaf-as-ca", [email])
    by_leaf = Authority(sub_leaf.certificate(), sub_leaf.private_key()).issue(folder, "issued-by-leaf", [email])
    with open(by_leaf.cert, "ab") as out, open(sub_leaf.cert, "rb") as parent:
        out.write(parent.read())
    server = (ExtendedKeyUsageOID.SERVER_AUTH,)
    return {
        "other-ca": stranger.issue(folder, "other-ca", [email]),
        "other-ca-same-name": impostor.issue(folder, "other-ca-same-name", [email]),
        "self-signed": own.issue(folder, "self-signed", [email], self_signed=True),
        "forged-signature": forged,
        "issued-by-a-person": by_leaf,
        "expired": own.issue(folder, "expired", [email], before_days=-3, after_days=-1),
        "not-yet-valid": own.issue(folder, "not-yet-valid", [email], before_days=1, after_days=3),
        "server-auth-only": own.issue(folder, "server-auth-only", [email], eku=server),
        "two-identities": own.issue(folder, "two-identities", [email, "carol@test.localhost"]),
        "no-identity": own.issue(folder, "no-identity", []),
        "identity-only-in-subject": own.issue(folder, "identity-only-in-subject", [], subject=email),
        "dns-name-only": own.issue(folder, "dns-name-only", [], dns=["alice.test.localhost"]),
    }
