"""An authenticator and its browser in software, as W3C Web Authentication says they speak: a second implementation, and one that can lie."""
import hashlib
import json
import os
import struct

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from harness.certificates import b64url
from harness.config_text import CONSOLE
from harness.people import canonical

UP, UV, BE, BS, AT = 0x01, 0x04, 0x08, 0x10, 0x40


def byte_string(data):
    return (b"\x58" + bytes([len(data)]) if len(data) < 256 else b"\x59" + struct.pack(">H", len(data))) + data


class Authenticator:
    def __init__(self, gateway, alg="ES256", flags=UP | UV):
        self.alg, self.flags, self.count, self.id, self.aaguid = alg, flags, 0, os.urandom(32), bytes(16)
        self.rp_id, self.origin = CONSOLE, f"https://{CONSOLE}:{gateway.port}"
        self.key = {"ES256": lambda: ec.generate_private_key(ec.SECP256R1()), "EdDSA": ed25519.Ed25519PrivateKey.generate,
                    "RS256": lambda: rsa.generate_private_key(65537, 2048)}[alg]()

    def fingerprint(self):
        spki = self.key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return b64url(hashlib.sha256(spki).digest())

    def cose(self):
        public = self.key.public_key()
        if self.alg == "ES256":
            n = public.public_numbers()
            return bytes.fromhex("a501020326200121") + byte_string(n.x.to_bytes(32, "big")) + b"\x22" + byte_string(n.y.to_bytes(32, "big"))
        if self.alg == "EdDSA":
            return bytes.fromhex("a401010327200621") + byte_string(public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw))
        return bytes.fromhex("a401030339010020") + byte_string(public.public_numbers().n.to_bytes(256, "big")) + bytes.fromhex("2143010001")

    def client_data(self, kind, statement, **more):
        return json.dumps({"type": kind, "challenge": b64url(hashlib.sha256(canonical(statement)).digest()), "origin": self.origin, "crossOrigin": False,
                           **more}, separators=(",", ":")).encode()

    def data(self, flags):
        return hashlib.sha256(self.rp_id.encode()).digest() + bytes([flags]) + struct.pack(">I", self.count)

    def register(self, person, label="test key", attest=None):
        """key.begin, key.propose; the response. attest(message): (format, statement as CBOR) over that."""
        begun = person.api_ok("POST", "/api/v1/keys/new")
        data = self.data(self.flags | AT) + self.aaguid + struct.pack(">H", len(self.id)) + self.id + self.cose()
        client = self.client_data("webauthn.create", begun["statement"])
        fmt, statement = attest(data + hashlib.sha256(client).digest()) if attest else ("none", b"\xa0")
        made = b"\xa3\x63fmt" + bytes([0x60 + len(fmt)]) + fmt.encode() + b"\x67attStmt" + statement + b"\x68authData" + byte_string(data)
        return person.api("POST", "/api/v1/keys", {"id": begun["id"], "label": label, "client_data": b64url(client), "attestation": b64url(made)})

    def sign(self, statement, **more):
        client, data = self.client_data("webauthn.get", statement, **more), self.data(self.flags)
        message = data + hashlib.sha256(client).digest()
        signature = (self.key.sign(message, ec.ECDSA(hashes.SHA256())) if self.alg == "ES256" else self.key.sign(message) if self.alg == "EdDSA"
                     else self.key.sign(message, padding.PKCS1v15(), hashes.SHA256()))
        return {"statement_id": statement["id"], "client_data": b64url(client), "authenticator_data": b64url(data), "signature": b64url(signature)}

    def statement(self, person, item_id, decision="approve"):
        return person.api("POST", f"/api/v1/items/{item_id}/statement", {"decision": decision, "key": self.fingerprint()})

    def decide(self, person, item_id, decision="approve"):
        r = self.statement(person, item_id, decision)
        return r if r.status != 200 else person.api("POST", "/api/v1/decisions", self.sign(r.json()["statement"]))


def confirmed(gateway, owner, confirmer, alg="ES256", flags=UP | UV):
    """A key of the owner's that counts (with `keys.delay = "0s"`)."""
    key = Authenticator(gateway, alg, flags)
    r = key.register(owner)
    assert r.status == 201, r.body
    r = confirmer.decide(r.json()["item"]["id"])
    assert r.status == 200, r.body
    return key
