"""Revocation lists of every kind (RFC 5280 s5): what one says counts, and one that does not settle the question lets nobody in. Promise 8."""
import os
import subprocess

import pytest

from harness import der, pki
from harness.certificates import write_pem
from harness.config_text import SUPPORT
from harness.der import crl, entry, extension, integer, oid, seq, tlv
from harness.gateway import Gateway, Layout
from harness.people import wait_until

SERIAL = 0x7766554433221100
IDP, DELTA, ISSUER = "2.5.29.28", "2.5.29.27", "2.5.29.29"
NUMBER = extension(der.CRL_NUMBER, integer(7))


def idp(*fields):
    return extension(IDP, seq(*fields), True)


def numbered(n):
    return [extension(der.CRL_NUMBER, integer(n))]


REVOKED, GOOD, NO_LIST, NOT_TAKEN = "certificate-revoked", "grant-required", "certificate-revocation-list-stale", "not taken"
LISTS = {
    # name: (lists of the leaf's CA, what may come of it)
    "empty": (lambda ca: [crl(ca)], {GOOD}),
    "others revoked": (lambda ca: [crl(ca, [entry(1), entry(-SERIAL), entry(SERIAL << 8)])], {GOOD}),
    "revoked": (lambda ca: [crl(ca, [entry(SERIAL)])], {REVOKED}),
    **{f"revoked, reason {r}": (lambda ca, r=r: [crl(ca, [entry(SERIAL, r)])], {REVOKED}) for r in (0, 1, 2, 3, 4, 5, 6, 9, 10)},
    "revoked, a reason nobody knows": (lambda ca: [crl(ca, [entry(SERIAL, 99)])], {REVOKED, NO_LIST, NOT_TAKEN}),
    "removed from the list, which only a delta can say": (lambda ca: [crl(ca, [entry(SERIAL, 8)])], {REVOKED, NO_LIST, NOT_TAKEN}),
    "revoked from tomorrow on": (lambda ca: [crl(ca, [entry(SERIAL, days=1)])], {REVOKED}),
    "revoked twice": (lambda ca: [crl(ca, [entry(SERIAL, 6), entry(SERIAL, 1)])], {REVOKED}),
    "revoked and removed": (lambda ca: [crl(ca, [entry(SERIAL, 1), entry(SERIAL, 8)])], {REVOKED, NO_LIST, NOT_TAKEN}),
    "revoked as another issuer's": (lambda ca: [crl(ca, [entry(SERIAL, more=[extension(ISSUER, seq(tlv(0xa4, der.name("Somebody else"))), True)])])], {NOT_TAKEN}),
    "another revoked, with a critical extension of the entry": (lambda ca: [crl(ca, [entry(1, more=[extension("1.3.6.1.4.1.55555.7", b"\5\0", True)])])], {NOT_TAKEN}),
    "an unknown critical extension": (lambda ca: [crl(ca, extensions=[NUMBER, extension("1.3.6.1.4.1.55555.7", b"\5\0", True)])], {NO_LIST, NOT_TAKEN}),
    "an unknown extension": (lambda ca: [crl(ca, extensions=[NUMBER, extension("1.3.6.1.4.1.55555.7", b"\5\0")])], {GOOD}),
    "a delta alone": (lambda ca: [crl(ca, extensions=[NUMBER, extension(DELTA, integer(6), True)])], {NO_LIST, NOT_TAKEN}),
    "a delta that does not say so critically": (lambda ca: [crl(ca, extensions=[NUMBER, extension(DELTA, integer(6))])], {NO_LIST, NOT_TAKEN}),
    "a delta that revokes, beside its base": (lambda ca: [crl(ca), crl(ca, [entry(SERIAL)], extensions=[NUMBER, extension(DELTA, integer(6), True)])], {REVOKED, NO_LIST, NOT_TAKEN}),
    "people's certificates only": (lambda ca: [crl(ca, extensions=[NUMBER, idp(tlv(0x81, b"\xff"))])], {NO_LIST, NOT_TAKEN, GOOD}),
    "authorities only": (lambda ca: [crl(ca, extensions=[NUMBER, idp(tlv(0x82, b"\xff"))])], {NO_LIST, NOT_TAKEN}),
    "attribute certificates only": (lambda ca: [crl(ca, extensions=[NUMBER, idp(tlv(0x85, b"\xff"))])], {NO_LIST, NOT_TAKEN}),
    "some reasons only": (lambda ca: [crl(ca, extensions=[NUMBER, idp(tlv(0x83, b"\x06\x40"))])], {NO_LIST, NOT_TAKEN}),
    "an indirect list": (lambda ca: [crl(ca, extensions=[NUMBER, idp(tlv(0x84, b"\xff"))])], {NO_LIST, NOT_TAKEN}),
    "of one distribution point": (lambda ca: [crl(ca, extensions=[NUMBER, idp(tlv(0xa0, tlv(0xa0, tlv(0x86, b"http://ca.example/1.crl"))))])], {NO_LIST, NOT_TAKEN}),
    "past its date": (lambda ca: [crl(ca, days=(-3, -1))], {NO_LIST}),
    "not yet begun": (lambda ca: [crl(ca, days=(1, 3))], {NO_LIST, NOT_TAKEN}),
    "without an end": (lambda ca: [crl(ca, days=(-1, None))], {NO_LIST, NOT_TAKEN}),
    "ends before it begins": (lambda ca: [crl(ca, days=(2, 1))], {NO_LIST, NOT_TAKEN}),
    "an end that is no time": (lambda ca: [crl(ca, days=(-1, "tomorrow"))], {NO_LIST, NOT_TAKEN}),
    "signed by another key": (lambda ca: [crl(ca, signer=pki.new_key())], {NO_LIST, NOT_TAKEN}),
    "of another CA of the same name beside it, which revokes": (lambda ca: [crl(ca), crl(ca, [entry(SERIAL)], signer=pki.new_key())], {GOOD, NOT_TAKEN}),
    "of another CA of the same name before it, which clears": (lambda ca: [crl(ca, signer=pki.new_key()), crl(ca, [entry(SERIAL)])], {REVOKED, NOT_TAKEN}),
    "an older one that clears, and a newer that revokes": (lambda ca: [crl(ca, extensions=numbered(6), days=(-2, 1)), crl(ca, [entry(SERIAL)], extensions=numbered(8))], {REVOKED}),
    "a newer one that revokes, and an older that clears": (lambda ca: [crl(ca, [entry(SERIAL)], extensions=numbered(8)), crl(ca, extensions=numbered(6), days=(-2, 1))], {REVOKED}),
    "one past its date, and a current one that revokes": (lambda ca: [crl(ca, days=(-3, -1)), crl(ca, [entry(SERIAL)])], {REVOKED}),
    "one past its date, and a current one": (lambda ca: [crl(ca, days=(-3, -1)), crl(ca)], {GOOD}),
    "version 1": (lambda ca: [crl(ca, [entry(SERIAL)], extensions=[], version=None)], {REVOKED, NO_LIST, NOT_TAKEN}),
    "no number": (lambda ca: [crl(ca, [entry(SERIAL)], extensions=[])], {REVOKED, NO_LIST, NOT_TAKEN}),
    "100,000 others, and this one last": (lambda ca: [crl(ca, [entry((1 << 100) + i) for i in range(100000)] + [entry(SERIAL)])], {REVOKED}),
    "a serial with a zero before it": (lambda ca: [crl(ca, [entry(tlv(2, b"\0\0" + SERIAL.to_bytes(8, "big")))])], {REVOKED, NO_LIST, NOT_TAKEN}),
    "bytes behind the list, which are not read": (lambda ca: [crl(ca, [entry(SERIAL)]) + b"\0\0"], {REVOKED, NOT_TAKEN}),
    "cut off": (lambda ca: [crl(ca)[:-3]], {NO_LIST, NOT_TAKEN}),
    "none": (lambda ca: [], {NO_LIST, NOT_TAKEN, "certificate-untrusted"}),
}


class Bed:
    """A gateway that trusts a CA of the tests beside its own, and the file of lists."""

    def __init__(self, origin):
        self.root = pki.root("List Root")
        self.ca = self.root.ca("List CA")
        self.leaf = self.ca.sub("alice", pki.leaf_extensions(), serial=SERIAL)
        self.gw = Gateway(origin, start=False)
        self.gw.config["tls"].update({"client_ca": "ca/both.pem", "crl": "ca/both-crl.pem"})
        with open(os.path.join(self.gw.state, Layout.files["client_ca"]), "rb") as f:
            write_pem(os.path.join(self.gw.state, "ca", "both.pem"), f.read() + self.root.pem())
        with open(os.path.join(self.gw.state, Layout.files["crl"]), "rb") as f:
            self.own = f.read() + self.root.crl()
        self.path = os.path.join(self.gw.state, "ca", "both-crl.pem")
        self.write(self.listed(crl(self.ca)))
        self.gw.start()
        self.alice = self.gw.nobody(self.leaf.save(f"{self.gw.folder}/listed", "alice"))

    def listed(self, *lists):
        return self.own + b"".join(der.pem("X509 CRL", one) for one in lists)

    def write(self, data):
        write_pem(self.path + ".new", data)
        os.replace(self.path + ".new", self.path)

    def count(self, *events):
        return sum(line.get("event") in events for line in self.gw.log_lines())

    def put(self, data):
        """The file's new content, which is noticed by itself: was it taken?"""
        before = self.count("reload.done", "reload.refused")
        self.write(data)
        wait_until(lambda: self.count("reload.done", "reload.refused") > before, 30, "a reload")
        return self.last()["event"] == "reload.done"

    def last(self):
        return [line for line in self.gw.log_lines() if line.get("event") in ("reload.done", "reload.refused")][-1]

    def said(self):
        return self.alice.get("/").problem


@pytest.fixture(scope="module")
def bed(origin):
    b = Bed(origin)
    yield b
    b.gw.finish()


@pytest.fixture
def clean(bed, origin):
    yield
    assert origin.count() == 0, "something reached the tool"
    assert bed.put(bed.listed(crl(bed.ca)))
    wait_until(lambda: bed.said() == GOOD, 5, GOOD)
    assert bed.gw.person("nina").api("GET", "/api/v1/status").status == 200


@pytest.mark.parametrize("name", LISTS)
def test_what_a_list_says(bed, clean, name):
    make, may = LISTS[name]
    if bed.put(bed.listed(*make(bed.ca))):
        wait_until(lambda: bed.said() in may, 5, f"one of {may}")
    else:
        assert NOT_TAKEN in may and bed.said() == GOOD, "a refused file leaves the former one in force"
        assert "both-crl.pem" in bed.last()["why"]


FILES = {
    "nothing": lambda b: b"",
    "text": lambda b: b"no list in here\n",
    "the authority's certificate": lambda b: b.root.pem(),
    "a list in DER": lambda b: crl(b.ca),
    "only a stranger's list": lambda b: der.pem("X509 CRL", crl(pki.root("Nobody"))),
    "a private key": lambda b: b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n-----END PRIVATE KEY-----\n",
    "base64 broken in the middle": lambda b: b.listed(crl(b.ca)).replace(b"A", b"*", 3),
    "an end that is missing": lambda b: b.listed(crl(b.ca))[:-20],
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_list_is_not_taken_and_named(bed, clean, name):
    assert not bed.put(FILES[name](bed)) and bed.said() == GOOD
    why = bed.last()["why"]
    assert "both-crl.pem" in why, why


def test_text_around_the_lists_and_other_line_ends_do_no_harm(bed, clean):
    """As `openssl crl -text` and Windows write them."""
    revoked = bed.listed(crl(bed.ca, [entry(SERIAL)]))
    assert bed.put(b"Certificate Revocation List (CRL):\n    Version 2\n" + revoked.replace(b"\n", b"\r\n")) and bed.said() == REVOKED


def test_a_list_that_openssl_made(bed, clean, tmp_path):
    """`openssl ca -gencrl` for the CA, revoking with a reason."""
    db, ca_key, ca_cert = tmp_path / "index.txt", tmp_path / "ca.key", tmp_path / "ca.pem"
    from harness.certificates import key_pem
    ca_key.write_bytes(key_pem(bed.ca.key))
    ca_cert.write_bytes(bed.ca.pem())
    db.write_text("R\t300101000000Z\t260101000000Z,keyCompromise\t%X\tunknown\t/CN=alice\n" % SERIAL)
    (tmp_path / "crlnumber").write_text("09\n")
    (tmp_path / "conf").write_text(f"[ca]\ndefault_ca=x\n[x]\ndatabase={db}\ncrlnumber={tmp_path}/crlnumber\ndefault_md=sha256\ndefault_crl_days=3\n")
    p = subprocess.run(["openssl", "ca", "-gencrl", "-config", str(tmp_path / "conf"), "-keyfile", str(ca_key), "-cert", str(ca_cert)], capture_output=True)
    assert p.returncode == 0, p.stderr
    assert bed.put(bed.own + p.stdout) and bed.said() == REVOKED


def test_a_revoked_intermediate_stops_all_below_it_at_once(bed, clean):
    """A connection that is open says so with its next request, or ends."""
    with bed.alice.h1() as c:
        assert c.request("GET", "/").problem == GOOD
        with open(os.path.join(bed.gw.state, Layout.files["crl"]), "rb") as f:
            assert bed.put(f.read() + bed.root.crl([bed.ca]) + der.pem("X509 CRL", crl(bed.ca)))
        assert bed.said() in (REVOKED, "certificate-untrusted")
        try:
            again = c.request("GET", "/")
            assert again.status in (0, 403) and again.problem != GOOD, again.body
        except OSError:
            pass


def test_a_list_that_anybody_may_write_is_said(bed):
    """Who writes the list decides who gets in."""
    os.chmod(bed.path, 0o666)
    try:
        p = bed.gw.run_command("check", "-c", os.path.join(bed.gw.state, "test.conf"))
        assert b"both-crl.pem" in p.stdout + p.stderr
    finally:
        os.chmod(bed.path, 0o600)
