"""A renewed certificate takes live grants along, when one hand proves to hold both; a revoked one, another's, or a name alone carries nothing."""
import base64
import os
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from harness.people import Person, canonical, detached_jws, give_grant, hold, wait_until

ALICE = "alice@test.localhost"


def der(cred):
    with open(cred.cert, "rb") as f:
        data = x509.load_pem_x509_certificate(f.read()).public_bytes(serialization.Encoding.DER)
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def key_of(cred):
    with open(cred.key, "rb") as f:
        return serialization.load_pem_private_key(f.read(), None)


class Renewed:
    """alice with a live grant under one certificate, and a second one of the same identity."""

    def __init__(self, gw, number):
        self.gw, self.old = gw, gw.person("alice")
        self.new = self.issue(ALICE, f"alice-new-{number}")
        give_grant(self.old, gw.person("bob"))
        self.grant = self.grants(self.old)[0]

    def issue(self, identity, name):
        return Person(self.gw, name, self.gw.issue_person(identity, name))

    def grants(self, who):
        return [g for g in who.api_ok("GET", "/api/v1/status")["grants"] if g["tool"] == "support"]

    def begin(self, who=None, former=None):
        return (who or self.new).api("POST", "/api/v1/carry-over/statement", {"certificate": der((former or self.old).cred)})

    def finish(self, statement, who=None, former=None, key=None, kid=None, payload=None):
        former = former or self.old
        return (who or self.new).api("POST", "/api/v1/carry-over", {
            "certificate": der(former.cred), "statement_id": statement["id"],
            "jws": detached_jws(key or key_of(former.cred), kid or statement["key"], canonical(statement) if payload is None else payload)})

    def untouched(self):
        return self.old.get("/hello").status == 200 and self.new.get("/hello").problem == "grant-required"


@pytest.fixture
def bed(gateway_of):
    return Renewed(gateway_of(), 1)


def test_the_command_takes_the_grant_along(bed, origin):
    said = bed.new.cli("carry-over", "--old-cert", bed.old.cred.cert, "--old-key", bed.old.cred.key, expect=0).stdout.decode()
    assert bed.grant["grant_id"] in said and "support" in said
    wait_until(lambda: bed.new.get("/hello").status == 200, what="the new certificate to be let in")
    origin.reset()
    r = bed.old.get("/hello")
    assert (r.status, r.problem) == (403, "grant-required") and origin.count() == 0
    now = bed.grants(bed.new)[0]
    assert now["grant_id"] == bed.grant["grant_id"] and now["exp"] == bed.grant["exp"] and now["x5t"] != bed.grant["x5t"]
    bed.gw.restart()
    assert bed.new.get("/hello").status == 200 and bed.old.get("/hello").problem == "grant-required"
    again = bed.new.cli("carry-over", "--old-cert", bed.old.cred.cert, "--old-key", bed.old.cred.key, expect=1).stderr.decode()
    assert "live under the former certificate" in again
    dan = bed.gw.person("dan")
    sessions = [s for s in dan.api_ok("GET", "/api/v1/sessions?person=alice")["sessions"] if s["id"] == bed.grant["grant_id"]]
    assert len(sessions) == 1 and [a["person"] for a in sessions[0]["approved_by"]] == ["bob"]
    assert "carried over" in dan.cli("show", bed.grant["grant_id"], expect=0).stdout.decode()


def test_only_the_former_key_signs_it(bed):
    for key, why in ((key_of(bed.new.cred), "the new key"), (key_of(bed.gw.person("bob").cred), "another's")):
        statement = bed.begin().json()["statement"]
        r = bed.finish(statement, key=key)
        assert (r.status, r.problem) == (403, "bad-signature"), why
        r = bed.finish(statement, payload=canonical({**statement, "to": statement["from"]}))
        assert r.problem == "bad-signature"
    assert bed.untouched()


def test_a_statement_is_for_one_pair_and_one_time(bed):
    statement = bed.begin().json()["statement"]
    third = bed.issue(ALICE, "alice-third")
    assert bed.finish(statement, who=third).problem == "not-carried", "signed for another new certificate"
    assert bed.finish(statement, former=third).problem in ("not-carried", "bad-signature"), "another former one"
    assert bed.finish({**statement, "id": "stm_" + "A" * 22}).problem == "statement-unknown"
    r = bed.new.api("POST", "/api/v1/decisions", {"statement_id": statement["id"], "jws": detached_jws(key_of(bed.old.cred), statement["key"], canonical(statement))})
    assert r.problem == "statement-unknown", "it decides nothing else"
    assert bed.untouched()
    assert bed.finish(statement).status == 200
    assert bed.finish(statement).problem == "statement-unknown", "used twice"


def test_another_person_or_identity_gets_nothing(bed):
    for who in ("mallory", "bob"):
        r = bed.begin(who=bed.gw.person(who))
        assert (r.status, r.problem) == (403, "not-carried") and "another identity" in r.json()["detail"]
    admin = bed.gw.person("alice-2")
    assert bed.begin(who=admin).problem == "not-carried"
    assert bed.begin(who=bed.old).problem == "not-carried", "from a certificate to itself"
    assert bed.begin(former=bed.new).problem == "not-carried", "nothing lives there"
    for bad in ("", "AAAA", der(bed.old.cred) + "AAAA", der(bed.old.cred)[:-8], "!"):
        assert bed.new.api("POST", "/api/v1/carry-over/statement", {"certificate": bad}).status == 400
    assert bed.untouched()


def test_a_revoked_certificate_carries_nothing(bed):
    statement = bed.begin().json()["statement"]
    bed.gw.revoke(bed.old.cred)
    r = bed.finish(statement)
    assert (r.status, r.problem) == (403, "not-carried") and "revoked" in r.json()["detail"]
    assert bed.begin().problem == "not-carried"
    assert bed.new.get("/hello").problem == "grant-required"


def test_a_foreign_certificate_of_the_same_name_carries_nothing(bed):
    from harness import pki
    forged = pki.root("Evil").sub("alice", pki.leaf_extensions(ALICE))
    data = base64.urlsafe_b64encode(forged.cert.public_bytes(serialization.Encoding.DER)).decode().rstrip("=")
    r = bed.new.api("POST", "/api/v1/carry-over/statement", {"certificate": data})
    assert (r.status, r.problem) == (403, "not-carried") and bed.untouched()


def test_a_locked_certificate_carries_nothing(bed):
    bed.gw.person("olga").lock("cert", bed.grant["x5t"])
    assert bed.begin().problem in ("locked", "not-carried")
    assert bed.new.get("/hello").problem == "grant-required"


def test_what_waits_is_asked_anew_and_what_is_spent_stays_spent(gateway_of, origin):
    def limit(config):
        config["tools"][0]["budget"] = {"requests": 40}
    bed = Renewed(gateway_of(change=limit), 1)
    for _ in range(5):
        bed.old.get("/hello")
    held = hold(bed.old)["id"]
    left = {b["name"]: b["left"] for b in bed.grants(bed.old)[0]["budget"]}["requests"]
    bed.new.cli("carry-over", "--old-cert", bed.old.cred.cert, "--old-key", bed.old.cred.key, expect=0)
    assert bed.new.item(held)["state"] == "cancelled"
    after = {b["name"]: b["left"] for b in bed.grants(bed.new)[0]["budget"]}["requests"]
    assert after <= left <= 35
    assert hold(bed.new)["state"] == "pending"


def test_a_grant_that_the_new_one_has_already_stays(bed):
    give_grant(bed.new, bed.gw.person("bob"))
    r = bed.finish(bed.begin().json()["statement"])
    assert (r.status, r.problem) == (403, "not-carried")
    assert bed.old.get("/hello").status == 200 and bed.new.get("/hello").status == 200


def test_renew_says_how(bed):
    out = os.path.join(bed.gw.state, "renewed")
    os.makedirs(out, exist_ok=True)
    said = bed.gw.run_command("certs", "renew", "alice", "--identity", ALICE, "--state", bed.gw.state, "--out", out).stdout.decode()
    assert "countersign carry-over" in said and time.time() > 0
