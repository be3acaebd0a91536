"""Promise 1: hostile tokens in Countersign-Grant, each refused for its own reason, over HTTP/1.1 and HTTP/2. The table is tests/vectors/tokens.py, here
signed with the key of the gateway that judges it: what is forged is forged well, and only the one thing is wrong."""
import base64
import hashlib
import os
import sqlite3
import sys
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "vectors"))

import tokens
from harness.config_text import BILLING
from harness.people import give_grant, wait_until


def own_key(gw):
    with open(os.path.join(gw.state, "keys", "grant.pem"), "rb") as f:
        return serialization.load_pem_private_key(f.read(), None)


def x5t(cred):
    with open(cred.cert, "rb") as f:
        der = x509.load_pem_x509_certificate(f.read()).public_bytes(serialization.Encoding.DER)
    return base64.urlsafe_b64encode(hashlib.sha256(der).digest()).decode().rstrip("=")


def live_token(gw, person, tool="support"):
    """The grant's own token, as authz keeps it."""
    db = sqlite3.connect(f"file:{gw.state}/authz.db?mode=ro", uri=True)
    try:
        return db.execute("SELECT token FROM access_grant WHERE person = ? AND tool = ? AND state = 'live'", (person, tool)).fetchone()[0]
    finally:
        db.close()


@pytest.fixture(scope="module")
def granted(gw):
    give_grant(gw.person("alice"), gw.person("bob"))
    return live_token(gw, "alice")


def present(c, token, name="Countersign-Grant"):
    return c.request("GET", "/hello", [(name, token)], None)


@pytest.mark.parametrize("proto", ["h1", "h2"])
def test_the_grants_own_token_is_taken(gw, origin, granted, proto):
    r = gw.person("alice").get("/hello", [("Countersign-Grant", granted)], proto=proto)
    assert r.status == 200 and origin.count("/hello") == 1


def expected_type(reason):
    return "grant-expired" if reason == tokens.EXPIRED else "grant-invalid"


@pytest.mark.parametrize("proto", ["h1", "h2"])
def test_each_hostile_token_is_refused_for_its_reason(gw, origin, granted, proto):
    alice = gw.person("alice")
    rows, _ = tokens.rows(own_key(gw), gw.config["instance"], x5t(alice.cred), int(time.time()))
    assert len(rows) >= 80
    wrong = []
    for row in rows:
        with alice.h1() if proto == "h1" else alice.h2() as c:
            r = present(c, row["token"])
        said = r.json().get("detail", "") if r.problem else ""
        if r.status != 401 or r.problem != expected_type(row["reason"]) or row["reason"] not in said:
            wrong.append(f"{row['name']}: {r.status} {r.problem}: {said!r}, not {row['reason']!r}")
    assert not wrong, f"{len(wrong)} of {len(rows)}:\n" + "\n".join(wrong)
    assert origin.count() == 0


def test_a_well_made_token_that_authz_never_issued_opens_nothing(gw, origin, granted):
    """Even one signed with the stolen key: what is live is what authz announced."""
    alice = gw.person("alice")
    _, good = tokens.rows(own_key(gw), gw.config["instance"], x5t(alice.cred), int(time.time()))
    for who in ("alice", "mallory"):
        r = gw.person(who).get("/hello", [("Countersign-Grant", good)])
        assert (r.status, r.problem) == (401, "grant-mismatch"), who
    assert origin.count() == 0


def test_another_certificates_token_says_so(gw, origin, granted):
    for who in ("mallory", "alice-2", "bob"):
        r = gw.person(who).get("/hello", [("Countersign-Grant", granted)])
        assert (r.status, r.problem) == (401, "grant-mismatch") and "another certificate" in r.json()["detail"], who
    assert origin.count() == 0


def test_another_tools_token_says_so(gw, origin, granted):
    r = gw.person("alice").request("GET", "/hello", [("Countersign-Grant", granted)], host=BILLING)
    assert (r.status, r.problem) == (401, "grant-mismatch") and "another tool" in r.json()["detail"]


def test_two_tokens_are_refused_even_if_both_are_good(gw, origin, granted):
    for second in (granted, "x"):
        r = gw.person("alice").get("/hello", [("Countersign-Grant", granted), ("Countersign-Grant", second)])
        assert (r.status, r.problem) == (400, "bad-field")
    assert origin.count() == 0


def test_a_sign_off_or_assertion_of_the_gateway_is_no_grant(gw, origin, granted):
    """Tokens of our own key, for other uses: the one the tool is given."""
    alice = gw.person("alice")
    assert alice.get("/hello").status == 200
    assertion = next(v for n, v in origin.requests[-1].fields if n.lower() == "countersign-assertion")
    origin.reset()
    r = alice.get("/hello", [("Countersign-Grant", assertion)])
    assert (r.status, r.problem) == (401, "grant-invalid") and "another audience" in r.json()["detail"]
    assert origin.count() == 0


def test_an_ended_grants_token_is_not_taken_again(gw, origin, granted):
    """Replayed after a newer grant took its place."""
    alice, bob = gw.person("alice"), gw.person("bob")
    give_grant(alice, bob)
    newest = wait_until(lambda: (t := live_token(gw, "alice")) != granted and t, what="the new token")
    wait_until(lambda: alice.get("/hello", [("Countersign-Grant", newest)]).status == 200, what="the new token to be taken")
    origin.reset()
    r = alice.get("/hello", [("Countersign-Grant", granted)])
    assert (r.status, r.problem) == (401, "grant-mismatch") and "ended" in r.json()["detail"]
    assert origin.count() == 0
