"""Promises 2 and 3: no yes to oneself in any spelling, and a yes is a signature by the approver's own registered key."""
import pytest

from harness.certificates import Authority
from harness.people import canonical, detached_jws, give_grant, hold, wait_until


def refused(r):
    """The problem's type; the answer must be a refusal."""
    assert 400 <= r.status < 500 and r.problem, f"{r.status} {r.body[:300]!r}"
    return r.problem


@pytest.fixture
def wish(gw):
    """A pending request of sam, who is in every group: (sam, id). Denied at the end."""
    sam = gw.person("sam")
    item = sam.ask().json()["request"]
    yield sam, item["id"]
    if sam.item(item["id"])["state"] == "pending":
        assert gw.person("bob").decide(item["id"], "deny").status in (200, 201)


@pytest.mark.parametrize("spelling", ["sam", "sam-2"])
def test_nobody_approves_their_own_request(gw, origin, wish, spelling):
    """With the same certificate, and with another certificate and identity of the same person."""
    sam, wanted = wish
    refused(gw.person(spelling).statement(wanted))
    assert sam.item(wanted)["state"] == "pending"
    assert sam.get("/").problem == "grant-required" and origin.count() == 0


def test_ones_own_request_is_not_offered_for_a_decision(gw, wish):
    _, wanted = wish
    assert wanted not in [i["id"] for i in gw.person("sam").pending() + gw.person("sam-2").pending()]
    assert wanted in [i["id"] for i in gw.person("bob").pending()]


def test_a_statement_made_for_bob_cannot_be_signed_by_sam(gw, wish):
    sam, wanted = wish
    statement = gw.person("bob").statement(wanted).json()["statement"]
    for who in (sam, gw.person("sam-2")):
        refused(who.hand_in(statement))
        refused(who.hand_in(statement, kid=gw.creds["bob"].fingerprint()))
    assert sam.item(wanted)["state"] == "pending"


def test_bobs_signature_handed_in_by_sam_does_not_count_as_sams(gw, wish):
    """Whoever carries it, it is bob's yes over bob's statement or nothing."""
    sam, wanted = wish
    statement = gw.person("bob").statement(wanted).json()["statement"]
    jws = detached_jws(gw.creds["bob"].private_key(), gw.creds["bob"].fingerprint(), canonical(statement))
    r = sam.api("POST", "/api/v1/decisions", {"statement_id": statement["id"], "jws": jws})
    if r.status not in (200, 201):
        assert sam.item(wanted)["state"] == "pending"
    else:
        assert [d["person"] for d in sam.item(wanted)["decisions"]] == ["bob"]


def test_a_person_outside_the_approving_group_cannot_approve(gw, wish):
    sam, wanted = wish
    for name in ("alice", "carol", "dan", "olga", "nina", "mallory"):
        refused(gw.person(name).decide(wanted))
    assert sam.item(wanted)["state"] == "pending"


FORGERIES = {
    "an empty signature": lambda jws: jws.split("..")[0] + "..",
    "a cut signature": lambda jws: jws[:-4],
    "a changed signature": lambda jws: jws[:-6] + ("AAAAAA" if jws[-6:] != "AAAAAA" else "BBBBBB"),
    "alg none": lambda jws: "eyJhbGciOiJub25lIn0..",
    "no header": lambda jws: ".." + jws.split("..")[1],
    "garbage": lambda jws: "x",
    "an attached payload": lambda jws: jws.replace("..", ".e30."),
    "nothing": lambda jws: "",
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_signature_is_refused(gw, wish, name):
    sam, wanted = wish
    bob = gw.person("bob")
    statement = bob.statement(wanted).json()["statement"]
    jws = detached_jws(bob.cred.private_key(), bob.cred.fingerprint(), canonical(statement))
    refused(bob.api("POST", "/api/v1/decisions", {"statement_id": statement["id"], "jws": FORGERIES[name](jws)}))
    assert sam.item(wanted)["state"] == "pending"


CHANGES = {
    "another decision": lambda s: dict(s, decision="deny"),
    "another approver": lambda s: dict(s, approver="carol"),
    "another requester": lambda s: dict(s, requester="alice"),
    "a longer time": lambda s: dict(s, scope=dict(s["scope"], duration_s=s["scope"]["duration_s"] + 1)),
    "another id": lambda s: dict(s, id=s["id"][:-1] + ("A" if s["id"][-1] != "A" else "B")),
    "a later end": lambda s: dict(s, exp=s["exp"] + 1),
    "a member more": lambda s: dict(s, more=1),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_signature_over_other_words_is_refused(gw, wish, name):
    sam, wanted = wish
    bob = gw.person("bob")
    statement = bob.statement(wanted).json()["statement"]
    refused(bob.hand_in(statement, payload=canonical(CHANGES[name](statement))))
    assert sam.item(wanted)["state"] == "pending"


def test_a_key_that_is_not_registered_is_refused(gw, wish):
    """Bob's name on a good certificate is not enough: a name alone never approves."""
    sam, wanted = wish
    unregistered = gw.authority().issue(gw.folder, "bob-unregistered", ["bob@test.localhost"])
    who = gw.nobody(unregistered)
    refused(who.decide(wanted))
    refused(who.statement(wanted, cred=gw.creds["carol"]))
    statement = gw.person("bob").statement(wanted).json()["statement"]
    refused(who.hand_in(statement))
    assert sam.item(wanted)["state"] == "pending"


def test_a_statement_counts_once(gw, wish):
    sam, wanted = wish
    bob = gw.person("bob")
    statement = bob.statement(wanted, "approve").json()["statement"]
    assert bob.hand_in(statement).status in (200, 201)
    again = bob.hand_in(statement)
    assert again.status >= 400 or len(sam.item(wanted)["decisions"]) == 1
    wait_until(lambda: sam.item(wanted)["state"] == "granted", what="the grant")


def test_a_statement_of_another_request_does_not_fit(gw):
    alice, mallory, bob = gw.person("alice"), gw.person("mallory"), gw.person("bob")
    a, m = alice.ask(), mallory.ask()
    a, m = a.json()["request"]["id"], m.json()["request"]["id"]
    sa, sm = bob.statement(a).json()["statement"], bob.statement(m).json()["statement"]
    jws = detached_jws(bob.cred.private_key(), bob.cred.fingerprint(), canonical(sa))
    refused(bob.api("POST", "/api/v1/decisions", {"statement_id": sm["id"], "jws": jws}))
    assert alice.item(a)["state"] == mallory.item(m)["state"] == "pending"
    for wanted in (a, m):
        assert bob.decide(wanted, "deny").status in (200, 201)


def test_a_stranger_with_bobs_name_cannot_approve(gw, wish):
    _, wanted = wish
    fake = Authority.new("Stranger CA").issue(gw.folder, "bob-fake", ["bob@test.localhost"])
    assert gw.nobody(fake).statement(wanted).status in (401, 403)


def test_after_a_denial_the_same_request_cannot_be_approved(gw):
    alice, bob = gw.person("alice"), gw.person("bob")
    wanted = alice.ask().json()["request"]["id"]
    yes, no = bob.statement(wanted).json()["statement"], bob.statement(wanted, "deny").json()["statement"]
    assert bob.hand_in(no).status in (200, 201)
    refused(bob.hand_in(yes))
    refused(bob.decide(wanted))
    assert alice.item(wanted)["state"] == "denied"
    assert alice.get("/").problem == "grant-required"


@pytest.mark.parametrize("spelling", ["sam", "sam-2"])
def test_nobody_signs_off_their_own_held_request(gw, origin, spelling):
    sam = gw.person("sam")
    if sam.get("/hello").problem == "grant-required":
        give_grant(sam, gw.person("bob"))
    origin.reset()
    held = hold(sam, body=b"audience=" + spelling.encode())
    refused(gw.person(spelling).decide(held["id"]))
    assert held["id"] not in [i["id"] for i in gw.person(spelling).pending()]
    assert sam.release(held["id"])[1] is None
    assert origin.count("/export") == 0


def test_a_support_lead_cannot_sign_off_what_security_must(gw, origin):
    sam = gw.person("sam")
    if sam.get("/hello").problem == "grant-required":
        give_grant(sam, gw.person("bob"))
    held = hold(sam, body=b"audience=lead")
    refused(gw.person("bob").decide(held["id"]))
    assert sam.release(held["id"])[1] is None and origin.count("/export") == 0
