"""A gateway that takes keys only that their maker vouches for (keys.attestation_roots, keys.models). authz/attestation_test.c has the table of what only looks like it."""
import datetime as dt
import os

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from harness.authenticator import Authenticator, byte_string
from harness.people import give_grant, hold

MODEL = bytes.fromhex("2fc0579f811347eab116bb5a8db9202a")
MODEL_TEXT = "2fc0579f-8113-47ea-b116-bb5a8db9202a"


def name(unit, common):
    return x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "SE"), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Keys AB"),
                      x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit), x509.NameAttribute(NameOID.COMMON_NAME, common)])


def certificate(subject, key, issuer, issuer_key, ca, model=None):
    now = dt.datetime.utcnow()
    b = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key()).serial_number(x509.random_serial_number())
         .not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=1)).add_extension(x509.BasicConstraints(ca, None), True))
    if model:
        b = b.add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.45724.1.1.4"), b"\x04\x10" + model), False)
    return b.sign(issuer_key, hashes.SHA256())


class Maker:
    def __init__(self, model=MODEL):
        self.root_key, self.key, root = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1()), name("Roots", "Keys AB root")
        self.root = certificate(root, self.root_key, root, self.root_key, True)
        self.leaf = certificate(name("Authenticator Attestation", "Keys AB key, batch 7"), self.key, root, self.root_key, False, model)

    def packed(self, message):
        der = self.leaf.public_bytes(serialization.Encoding.DER)
        signature = self.key.sign(message, ec.ECDSA(hashes.SHA256()))
        return "packed", b"\xa3\x63alg\x26\x63sig" + byte_string(signature) + b"\x63x5c\x81" + byte_string(der)

    def write(self, path):
        with open(path, "wb") as f:
            f.write(self.root.public_bytes(serialization.Encoding.PEM))
        return path


def own_word(key):
    return lambda message: ("packed", b"\xa2\x63alg\x26\x63sig" + byte_string(key.key.sign(message, ec.ECDSA(hashes.SHA256()))))


@pytest.fixture
def made(gateway_of, tmp_path):
    maker = Maker()
    gw = gateway_of(keys={"delay": "0s", "attestation_roots": maker.write(str(tmp_path / "makers.pem")), "models": [MODEL_TEXT]})
    return gw, maker


def model_key(gw):
    key = Authenticator(gw)
    key.aaguid = MODEL
    return key


def test_only_what_its_maker_vouches_for_is_taken(made, origin):
    gw, maker = made
    carol, bob = gw.person("carol"), gw.person("bob")
    for attest, why in ((None, "no attestation"), (own_word(key := model_key(gw)), "vouches for itself"), (Maker().packed, "does not lead to a pinned one"),
                        (lambda m: ("fido-u2f", maker.packed(m)[1]), "format that is not taken"), (lambda m: maker.packed(m + b"x"), "does not hold"),
                        (Maker(model=None).packed, "names no model")):
        r = key.register(carol, attest=attest)
        assert (r.status, r.problem) == (422, "key-unsound") and why in r.json()["detail"], (why, r.body)
    other = Authenticator(gw)
    r = other.register(carol, attest=maker.packed)
    assert r.problem == "key-unsound" and "of the model 00000000-" in r.json()["detail"]
    assert not carol.pending()
    r = key.register(carol, attest=maker.packed)
    assert r.status == 201, r.body
    item = r.json()["item"]
    assert item["attested"] == {"maker": "Keys AB key, batch 7", "model": MODEL_TEXT}
    assert bob.item(item["id"])["attested"]["model"] == MODEL_TEXT, "who confirms it sees who vouched for it"
    assert bob.decide(item["id"]).status == 200
    give_grant(gw.person("alice"), bob)
    held = hold(gw.person("alice"))
    assert key.decide(carol, held["id"]).status == 200
    gw.restart()
    mine = [k for k in carol.api_ok("GET", "/api/v1/keys")["keys"] if k.get("attested")]
    assert [k["attested"]["maker"] for k in mine] == ["Keys AB key, batch 7"]


def test_the_browser_is_asked_for_it_only_then(made, gateway_of):
    gw, _ = made
    assert gw.person("carol").api_ok("POST", "/api/v1/keys/new")["options"]["attestation"] == "direct"
    usual = gateway_of(keys={"delay": "0s"})
    assert usual.person("carol").api_ok("POST", "/api/v1/keys/new")["options"]["attestation"] == "none"
    assert Authenticator(usual).register(usual.person("carol")).status == 201


def test_check_names_what_is_wrong_with_the_file(made):
    gw, maker = made
    conf, path = os.path.join(gw.state, "test.conf"), gw.config["keys"]["attestation_roots"]
    assert gw.run_command("check", "-c", conf).returncode == 0
    with open(path, "w", encoding="ascii") as f:
        f.write("no certificate")
    p = gw.run_command("check", "-c", conf)
    assert p.returncode == 1 and b"is not a file of certificates" in p.stdout, p.stdout
    r = model_key(gw).register(gw.person("carol"), attest=maker.packed)
    assert r.problem == "key-unsound", "a broken file takes no key"
