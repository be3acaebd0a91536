"""A public-key infrastructure of our own that can be wrong in one way at a time: root, intermediates, leaves, revocation lists."""
import datetime as dt
import os

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from harness.certificates import Credential, key_pem, write_pem

CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
UNKNOWN = ObjectIdentifier("1.3.6.1.4.1.55555.1")


def name_of(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def usage(sign=True, ca=False, crl=None, agree=False):
    return x509.KeyUsage(sign, False, False, False, agree, ca, ca if crl is None else crl, False, False)


def new_key(kind="P-256"):
    if kind.startswith("RSA"):
        return rsa.generate_private_key(65537, int(kind[3:]))
    return ec.generate_private_key({"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-192": ec.SECP192R1, "P-224": ec.SECP224R1, "k1": ec.SECP256K1}[kind]())


class Node:
    """A certificate and its key; `sub` issues below it."""

    def __init__(self, cert, key, above=None):
        self.cert, self.key, self.above = cert, key, above

    def chain(self):
        return [self.cert] + (self.above.chain() if self.above else [])

    def sub(self, subject, extensions, key="P-256", days=(-1, 2), algorithm=None, serial=None, signer=None, issuer=None):
        key = new_key(key) if isinstance(key, str) else key
        now = dt.datetime.utcnow()
        b = (x509.CertificateBuilder().subject_name(name_of(subject)).issuer_name(issuer or self.cert.subject).public_key(key.public_key())
             .serial_number(serial or x509.random_serial_number())
             .not_valid_before(now + dt.timedelta(days=days[0])).not_valid_after(now + dt.timedelta(days=days[1])))
        for value, critical in extensions:
            b = b.add_extension(value, critical)
        return Node(b.sign(signer or self.key, algorithm or hashes.SHA256()), key, self)

    def ca(self, subject, length=None, basic=True, is_ca=True, more=(), ku=True, **how):
        ext = ([(x509.BasicConstraints(is_ca, length if is_ca else None), True)] if basic else []) + ([(usage(ca=True), True)] if ku else []) + list(more)
        return self.sub(subject, ext, **how)

    def crl(self, revoked=()):
        now = dt.datetime.utcnow()
        b = (x509.CertificateRevocationListBuilder().issuer_name(self.cert.subject).last_update(now - dt.timedelta(days=1)).next_update(now + dt.timedelta(days=1))
             .add_extension(x509.CRLNumber(1), False).add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False))
        for node in revoked:
            b = b.add_revoked_certificate(x509.RevokedCertificateBuilder().serial_number(node.cert.serial_number).revocation_date(now - dt.timedelta(hours=1)).build())
        return b.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def save(self, folder, name, more=()):
        """The leaf first, then what is above it without the root, then `more`."""
        os.makedirs(folder, exist_ok=True)
        chain = self.chain()
        pem = b"".join(c.public_bytes(serialization.Encoding.PEM) for c in (chain[:-1] or chain) + list(more))
        cert, key = os.path.join(folder, name + ".pem"), os.path.join(folder, name + ".key")
        write_pem(cert, pem)
        write_pem(key, key_pem(self.key))
        return Credential(name, cert, key)

    def pem(self):
        return self.cert.public_bytes(serialization.Encoding.PEM)


def root(subject):
    key, now = new_key(), dt.datetime.utcnow()
    b = (x509.CertificateBuilder().subject_name(name_of(subject)).issuer_name(name_of(subject)).public_key(key.public_key()).serial_number(x509.random_serial_number())
         .not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=30))
         .add_extension(x509.BasicConstraints(True, None), True).add_extension(usage(ca=True), True))
    return Node(b.sign(key, hashes.SHA256()), key)


def leaf_extensions(email="alice@test.localhost", eku=(CLIENT,), names=None, ca=False, ku=True, more=()):
    out = [(x509.BasicConstraints(ca, None), True)]
    if ku:
        out.append((usage() if ku is True else ku, True))
    names = [x509.RFC822Name(email)] if names is None else names
    if names:
        out.append((x509.SubjectAlternativeName(names), False))
    if eku:
        out.append((x509.ExtendedKeyUsage(list(eku)), False))
    return out + list(more)
