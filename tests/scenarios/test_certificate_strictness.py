"""Client certificates and chains, each wrong in one way (RFC 5280): refused with a page or in the handshake, and good ones beside them are taken."""
import os
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

from harness import pki
from harness.certificates import write_pem
from harness.clients import H1, H2, tls_context
from harness.config_text import SUPPORT
from harness.gateway import Gateway, Layout
from harness.pki import CLIENT, SERVER, UNKNOWN, leaf_extensions

EMAIL = "alice@test.localhost"
MAIL = ExtendedKeyUsageOID.EMAIL_PROTECTION
ANY = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE


MAILBOX = x509.RFC822Name
# (permitted, excluded) of a CA above alice@test.localhost, whose subject is CN=alice
CONSTRAINTS = {
    "good: her mailbox": ([MAILBOX(EMAIL)], None), "good: her host": ([MAILBOX("test.localhost")], None), "good: her host in capitals": ([MAILBOX("TEST.localhost")], None),
    "good: hosts below a domain": ([MAILBOX(".localhost")], None), "good: another excluded": (None, [MAILBOX("evil.example")]), "good: only DNS names": ([x509.DNSName("x.example")], None),
    "good: her directory name": ([x509.DirectoryName(pki.name_of("alice"))], None),
    "bad: another mailbox": ([MAILBOX("bob@test.localhost")], None), "bad: only below her host": ([MAILBOX(".test.localhost")], None), "bad: the host above": ([MAILBOX("localhost")], None),
    "bad: her mailbox excluded": (None, [MAILBOX(EMAIL)]), "bad: her host excluded": (None, [MAILBOX("test.localhost")]), "bad: excluded in capitals": (None, [MAILBOX("TEST.LOCALHOST")]),
    "bad: all below a domain excluded": (None, [MAILBOX(".localhost")]), "bad: permitted and excluded": ([MAILBOX("test.localhost")], [MAILBOX(EMAIL)]),
    "bad: another directory name": ([x509.DirectoryName(pki.name_of("Other"))], None), "bad: her directory name excluded": (None, [x509.DirectoryName(pki.name_of("alice"))]),
}


class World:
    """A root, intermediates of every kind below it, and what each has revoked."""

    def __init__(self):
        self.root = pki.root("Strict Root")
        r = self.root
        self.good = r.ca("Good CA")
        self.direct = r
        self.deep2 = self.good.ca("Deep CA 2")
        self.deep3 = self.deep2.ca("Deep CA 3")
        self.deep4 = self.deep3.ca("Deep CA 4")
        self.deep5 = self.deep4.ca("Deep CA 5")
        self.narrow = r.ca("Narrow CA", length=0)
        self.below_narrow = self.narrow.ca("Below narrow CA")
        self.no_basic = r.ca("No basicConstraints CA", basic=False)
        self.not_ca = r.ca("CA:false CA", is_ca=False)
        self.no_cert_sign = r.sub("No keyCertSign CA", [(x509.BasicConstraints(True, None), True), (pki.usage(ca=False, crl=True), True)])
        self.no_usage = r.ca("No keyUsage CA", ku=False)
        self.expired = r.ca("Expired CA", days=(-3, -1))
        self.future = r.ca("Future CA", days=(1, 3))
        self.weak = r.ca("Weak CA", key="RSA1024")
        self.sha1 = r.ca("SHA-1 CA", algorithm=hashes.SHA1())
        self.rsa = r.ca("RSA CA", key="RSA2048")
        self.server_only = r.ca("Server CA", more=[(x509.ExtendedKeyUsage([SERVER]), False)])
        self.only_acme = r.ca("Constrained CA", more=[(x509.NameConstraints([x509.RFC822Name("acme.example")], None), True)])
        self.not_test = r.ca("Excluding CA", more=[(x509.NameConstraints(None, [x509.RFC822Name("test.localhost")]), True)])
        self.critical = r.ca("Critical CA", more=[(x509.UnrecognizedExtension(UNKNOWN, b"\x05\x00"), True)])
        self.revoked_ca = r.ca("Revoked CA")
        self.no_crl = r.ca("CA without a list")
        self.named = {n: r.ca(f"CA {n}", more=[(x509.NameConstraints(*c), True)]) for n, c in CONSTRAINTS.items()}
        self.below_other = r.ca("Upper constrained CA", more=[(x509.NameConstraints([x509.RFC822Name("acme.example")], None), True)])
        self.below_other_ca = self.below_other.ca("CA below a constrained one")
        self.server_above = r.ca("Upper CA for servers", more=[(x509.ExtendedKeyUsage([SERVER]), False)])
        self.below_servers = self.server_above.ca("CA below one for servers")
        self.one_more = r.ca("CA with one below", length=1)
        self.one_below = self.one_more.ca("The one below")
        self.two_below = self.one_below.ca("One too many", length=9)
        self.odd_curve = r.ca("Koblitz CA", key="k1")
        self.p224 = r.ca("P-224 CA", key="P-224")
        self.other = pki.root("Other Root")
        self.impostor = pki.root("Strict Root")
        self.revoked_leaf = self.good.sub("revoked", leaf_extensions())

    def lists(self):
        out = [self.root.crl([self.revoked_ca]), self.good.crl([self.revoked_leaf])]
        with_list = (self.deep2, self.deep3, self.deep4, self.deep5, self.narrow, self.below_narrow, self.no_basic, self.not_ca, self.no_usage, self.expired, self.future,
                     self.weak, self.sha1, self.rsa, self.server_only, self.only_acme, self.not_test, self.critical, self.revoked_ca, self.below_other, self.below_other_ca,
                     self.server_above, self.below_servers, self.one_more, self.one_below, self.two_below, self.odd_curve, self.p224, *self.named.values())
        return b"".join(out + [ca.crl() for ca in with_list])


def leaf(by, **how):
    own = {k: how.pop(k) for k in ("key", "days", "algorithm", "signer", "issuer", "serial") if k in how}
    return by.sub(how.pop("subject", "alice"), leaf_extensions(**how), **own)


def san(*names):
    return lambda w: leaf(w.good, names=list(names))


def der_name(raw):
    """A SAN extension byte for byte: what the library would not write."""
    return lambda w: w.good.sub("alice", [e for e in leaf_extensions(names=[])] + [(x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, raw), False)])


def general_name(tag, raw):
    inner = bytes([tag, len(raw)]) + raw
    return bytes([0x30, len(inner)]) + inner


GOOD = {
    "by the root": lambda w: leaf(w.root),
    "by an intermediate": lambda w: leaf(w.good),
    "by two intermediates": lambda w: leaf(w.deep2),
    "RSA 2048": lambda w: leaf(w.good, key="RSA2048"),
    "P-384": lambda w: leaf(w.good, key="P-384"),
    "by an RSA CA": lambda w: leaf(w.rsa),
    "SHA-384": lambda w: leaf(w.good, algorithm=hashes.SHA384()),
    "clientAuth and serverAuth": lambda w: leaf(w.good, eku=(CLIENT, SERVER)),
    "a directory name beside the address": lambda w: leaf(w.good, names=[x509.RFC822Name(EMAIL), x509.DirectoryName(pki.name_of("x"))]),
}

BAD = {
    "expired": lambda w: leaf(w.good, days=(-3, -1)),
    "not yet valid": lambda w: leaf(w.good, days=(1, 3)),
    "serverAuth only": lambda w: leaf(w.good, eku=(SERVER,)),
    "emailProtection only": lambda w: leaf(w.good, eku=(MAIL,)),
    "no EKU": lambda w: leaf(w.good, eku=()),
    "anyExtendedKeyUsage only": lambda w: leaf(w.good, eku=(ANY,)),
    "keyCertSign without CA": lambda w: leaf(w.good, ku=pki.usage(ca=True)),
    "name constraints of its own": lambda w: leaf(w.good, more=[(x509.NameConstraints(None, [x509.DNSName("evil.example")]), True)]),
    "CA:true": lambda w: leaf(w.good, ca=True),
    "CA:true with keyCertSign": lambda w: leaf(w.good, ca=True, ku=pki.usage(ca=True)),
    "keyUsage without digitalSignature": lambda w: leaf(w.good, ku=pki.usage(sign=False, agree=True)),
    "an unknown critical extension": lambda w: leaf(w.good, more=[(x509.UnrecognizedExtension(UNKNOWN, b"\x05\x00"), True)]),
    "RSA 1024": lambda w: leaf(w.good, key="RSA1024"),
    "P-192": lambda w: leaf(w.good, key="P-192"),
    "signed with SHA-1": lambda w: leaf(w.good, algorithm=hashes.SHA1()),
    "signed with MD5": lambda w: leaf(w.rsa, algorithm=hashes.MD5()),
    "signed with SHA-1 by RSA": lambda w: leaf(w.rsa, algorithm=hashes.SHA1()),
    "signed by somebody else's key": lambda w: leaf(w.good, signer=pki.new_key()),
    "self-signed": lambda w: (lambda k: leaf(w.good, key=k, signer=k, issuer=pki.name_of("alice")))(pki.new_key()),
    "of another root": lambda w: leaf(w.other),
    "of another root of the same name": lambda w: leaf(w.impostor),
    "revoked": lambda w: w.revoked_leaf,
    "by a CA that sent no chain": lambda w: pki.Node(*(lambda n: (n.cert, n.key))(leaf(w.good))),
    "no address": san(),
    "two addresses": san(x509.RFC822Name(EMAIL), x509.RFC822Name("carol@test.localhost")),
    "the same address twice": san(x509.RFC822Name(EMAIL), x509.RFC822Name(EMAIL)),
    "a DNS name only": san(x509.DNSName("alice.test.localhost")),
    "a URI only": san(x509.UniformResourceIdentifier("mailto:" + EMAIL)),
    "the address in another name": san(x509.OtherName(UNKNOWN, b"\x0c" + bytes([len(EMAIL)]) + EMAIL.encode())),
    "the address in the subject only": lambda w: leaf(w.good, names=[], subject=EMAIL),
    "a NUL in the address": der_name(general_name(0x81, EMAIL.encode() + b"\0.evil.example")),
    "a NUL behind the address": der_name(general_name(0x81, EMAIL.encode() + b"\0")),
    "a newline in the address": der_name(general_name(0x81, EMAIL.encode() + b"\n")),
    "a space in the address": der_name(general_name(0x81, b"alice @test.localhost")),
    "an empty address": der_name(general_name(0x81, b"")),
    "an address above 127": der_name(general_name(0x81, "älice@test.localhost".encode())),
    "a wildcard": der_name(general_name(0x81, b"*@test.localhost")),
    "an address without @": der_name(general_name(0x81, b"alice")),
    "an address with two @": der_name(general_name(0x81, b"alice@bob@test.localhost")),
    "an address in angle brackets": der_name(general_name(0x81, b"<alice@test.localhost>")),
    "a list of addresses": der_name(general_name(0x81, b"alice@test.localhost,bob@t")),
    "a SAN that is no sequence": der_name(b"\x04\x00"),
    "a SAN cut off": der_name(b"\x30\x20\x81\x14alice"),
    "an empty SAN": der_name(b"\x30\x00"),
    "below CA without basicConstraints": lambda w: leaf(w.no_basic),
    "below CA:false": lambda w: leaf(w.not_ca),
    "below a CA without keyCertSign": lambda w: leaf(w.no_cert_sign),
    "below an expired CA": lambda w: leaf(w.expired),
    "below a CA that is not yet valid": lambda w: leaf(w.future),
    "below an RSA 1024 CA": lambda w: leaf(w.weak),
    "below a CA signed with SHA-1": lambda w: leaf(w.sha1),
    "below a CA for servers only": lambda w: leaf(w.server_only),
    "outside the permitted names": lambda w: leaf(w.only_acme),
    "inside the excluded names": lambda w: leaf(w.not_test),
    "below a CA with an unknown critical extension": lambda w: leaf(w.critical),
    "below a revoked CA": lambda w: leaf(w.revoked_ca),
    "below a CA without a revocation list": lambda w: leaf(w.no_crl),
    "past the path length": lambda w: leaf(w.below_narrow),
    "below five intermediates": lambda w: leaf(w.deep5),
    "issued by a person": lambda w: leaf(leaf(w.good)),
    "issued by a person with CA:true": lambda w: leaf(leaf(w.good, ca=True, ku=pki.usage(ca=True))),
}


for constraint in CONSTRAINTS:
    kind, _, label = constraint.partition(": ")
    (GOOD if kind == "good" else BAD)[f"names, {label}"] = lambda w, n=constraint: leaf(w.named[n])
GOOD["below one more CA, as its path length allows"] = lambda w: leaf(w.one_below)
BAD.update({
    "below two CAs where one may be": lambda w: leaf(w.two_below), "names, constrained further up": lambda w: leaf(w.below_other_ca), "for servers only further up": lambda w: leaf(w.below_servers),
    "secp256k1": lambda w: leaf(w.good, key="k1"), "P-224": lambda w: leaf(w.good, key="P-224"), "below a secp256k1 CA": lambda w: leaf(w.odd_curve), "below a P-224 CA": lambda w: leaf(w.p224),
})


@pytest.fixture(scope="module")
def world():
    return World()


@pytest.fixture(scope="module")
def gw(origin, world):
    """The state folder's own authority stays, for the harness; the strict root stands beside it."""
    g = Gateway(origin, start=False)
    g.config["tls"].update({"client_ca": "ca/both.pem", "crl": "ca/both-crl.pem"})
    for ours, more, to in ((Layout.files["client_ca"], world.root.pem(), "both.pem"), (Layout.files["crl"], world.lists(), "both-crl.pem")):
        with open(os.path.join(g.state, ours), "rb") as f:
            write_pem(os.path.join(g.state, "ca", to), f.read() + more)
    g.start()
    yield g
    g.finish()


def answer(gw, cred, proto="h1"):
    """The problem's type, or "handshake" when that was refused. The client itself presents anything, however weak."""
    ctx = tls_context(gw.ca, alpn=("h2" if proto == "h2" else "http/1.1",))
    ctx.set_ciphers("DEFAULT:@SECLEVEL=0")
    try:
        ctx.load_cert_chain(cred.cert, cred.key)   # of a broken SAN OpenSSL says so here already
        with (H2 if proto == "h2" else H1)(gw.port, SUPPORT, gw.ca, ctx=ctx) as c:
            return c.request("GET", "/").problem
    except (OSError, ssl.SSLError):
        return "handshake"


@pytest.mark.parametrize("name", GOOD)
def test_a_good_chain_is_taken(gw, world, name):
    assert answer(gw, GOOD[name](world).save(f"{gw.folder}/strict", "good")) == "grant-required", name


@pytest.mark.parametrize("name", BAD)
def test_a_bad_chain_is_refused(gw, world, origin, name):
    cred = BAD[name](world).save(f"{gw.folder}/strict", "bad")
    for proto in ("h1", "h2"):
        said = answer(gw, cred, proto) or ""
        # A wildcard is an address like another: nobody's.
        assert said == "handshake" or said.startswith("certificate-") or (name == "a wildcard" and said == "unknown-person"), f"{name}: {said}"
    assert origin.count() == 0
    assert gw.person("nina").api("GET", "/api/v1/status").status == 200


@pytest.mark.parametrize("many", [30, 200])
def test_a_huge_chain_is_refused_or_ignored_at_little_cost(gw, world, many):
    """Certificates that have nothing to do with the leaf; past OpenSSL's bound the handshake ends."""
    more = [world.other.ca(f"Padding CA {i}").cert for i in range(many)]
    cred = leaf(world.good).save(f"{gw.folder}/strict", "huge", more)
    before = gw.peak_rss_kib()
    assert answer(gw, cred) in ("handshake", "grant-required") or "certificate-" in answer(gw, cred)
    assert gw.peak_rss_kib() - before < 100 << 10
    assert gw.person("nina").api("GET", "/api/v1/status").status == 200


def test_a_circle_of_cas_ends(gw, world):
    """Two CAs that vouch for each other, and for the leaf; no root."""
    a, b = pki.new_key(), pki.new_key()
    first = world.other.ca("Circle B", key=b, signer=a, issuer=pki.name_of("Circle A"))
    second = world.other.ca("Circle A", key=a, signer=b, issuer=pki.name_of("Circle B"))
    cred = pki.Node(*(lambda n: (n.cert, n.key))(leaf(pki.Node(first.cert, b)))).save(f"{gw.folder}/strict", "circle", [first.cert, second.cert])
    assert answer(gw, cred) in ("handshake", "certificate-untrusted")


def test_an_attribute_certificate_name_is_shown_harmlessly(gw, world):
    """What stands in a refused certificate comes back escaped, and stays one line in the log."""
    evil = world.other.sub('<script>alert(1)</script>\n{"event":"forged"}', leaf_extensions())
    assert answer(gw, pki.Node(evil.cert, evil.key).save(f"{gw.folder}/strict", "evil")) == "certificate-untrusted"
    assert not [line for line in gw.log_lines() if line.get("event") == "forged"]
