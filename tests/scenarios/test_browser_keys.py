"""Promise 3 with keys of authenticators, through the API: who may make one count, what a rule's method asks, and proofs that outlive the gateway."""
import json
import os
import subprocess

import pytest

from harness.authenticator import BE, BS, UP, UV, Authenticator, confirmed
from harness.config_text import action, need
from harness.gateway import TESTS
from harness.people import Person, give_grant, hold, wait_until

SCRIPT = os.path.join(TESTS, "vectors", "approvals.py")
GATEWAY = {"keys": {"delay": "0s"}}


@pytest.fixture(scope="module")
def granted(gw):
    return give_grant(gw.person("alice"), gw.person("bob"))


@pytest.mark.parametrize("alg", ["ES256", "EdDSA", "RS256"])
def test_a_confirmed_key_signs_off_and_it_runs_once(gw, origin, granted, alg):
    alice, carol = gw.person("alice"), gw.person("carol")
    key = confirmed(gw, carol, gw.person("bob"), alg)
    item = hold(alice, body=f"audience={alg}".encode())
    r = key.decide(carol, item["id"])
    assert r.status == 200 and r.json()["item"]["state"] == "approved", r.body
    assert alice.release(item["id"])[1].status == 200
    assert origin.count("/export") == 1


def test_a_key_waits_for_its_delay(gateway_of):
    g = gateway_of(keys={"delay": "1h"})
    bob, carol = g.person("bob"), g.person("carol")
    key = confirmed(g, carol, bob)
    give_grant(g.person("alice"), bob)
    item = hold(g.person("alice"))
    assert key.statement(carol, item["id"]).problem == "key-too-new"
    mine = [k for k in carol.api_ok("GET", "/api/v1/keys")["keys"] if k["method"] == "hardware"]
    assert mine[0]["counts_from"] - mine[0]["created"] >= 3600


def test_only_the_named_groups_confirm(gateway_of):
    g = gateway_of(keys={"delay": "0s", "confirmers": ["security"]})
    key = Authenticator(g)
    item = key.register(g.person("bob")).json()["item"]["id"]
    assert g.person("mallory").decide(item).problem == "not-found"
    assert g.person("olga").decide(item).problem == "may-not-approve"
    assert g.person("bob").decide(item).problem == "self-approval"
    assert g.person("carol").decide(item).status == 200


def test_synced_passkeys_can_be_forbidden(gateway_of):
    g = gateway_of(keys={"delay": "0s", "synced": False})
    assert Authenticator(g, flags=UP | UV | BE | BS).register(g.person("bob")).problem == "key-unsound"
    assert Authenticator(g).register(g.person("bob")).status == 201


def method_config(config):
    config["tools"][0]["actions"] = [action("use", "/**"), action("export", "/export", "signoff", signoff=[{**need("security")[0], "method": "hardware"}]),
                                     action("wipe", "/wipe", "signoff", signoff=[{**need("security")[0], "method": "command-line"}])]


def test_a_rule_names_the_least_method(gateway_of):
    g = gateway_of(change=method_config, **GATEWAY)
    alice, bob, carol = g.person("alice"), g.person("bob"), g.person("carol")
    passkey, hardware = confirmed(g, carol, bob, flags=UP | UV | BE | BS), confirmed(g, carol, bob, "EdDSA")
    give_grant(alice, bob)
    item = hold(alice)
    assert item["needs"] == [{"group": "security", "count": 1, "method": "hardware"}]
    assert passkey.statement(carol, item["id"]).problem == "method-required"
    assert carol.statement(item["id"]).problem == "method-required"
    assert passkey.statement(carol, item["id"], "deny").status == 200
    statement = hardware.statement(carol, item["id"]).json()["statement"]
    assert statement["method"] == "hardware"
    hardware.flags |= BE
    assert carol.api("POST", "/api/v1/decisions", hardware.sign(statement)).problem == "bad-signature"
    hardware.flags &= ~BE
    assert carol.api("POST", "/api/v1/decisions", hardware.sign(statement)).status == 200
    item = hold(alice, target="/wipe")
    assert hardware.statement(carol, item["id"]).problem == "method-required"
    assert carol.decide(item["id"]).status == 200


def test_the_grant_says_how_it_was_approved(gw):
    mallory, bob = gw.person("mallory"), gw.person("bob")
    key = confirmed(gw, bob, gw.person("carol"))
    r = mallory.ask(tool="billing")
    assert key.decide(bob, r.json()["request"]["id"]).json()["item"]["state"] == "granted"
    log = gw.person("dan").api_ok("GET", "/api/v1/log?session=" + mallory.status()["grants"][0]["grant_id"])
    issued = [leaf for leaf in log["leaves"] if leaf["type"] == "grant.issued" and "content" in leaf]
    assert issued[-1]["content"]["approved_by"][0]["method"] == "hardware"


def test_later_certificates_keys_wait_too(gateway_of, tmp_path):
    g = gateway_of(keys={"delay": "0s", "confirm_certificates": True})
    alice, carol, dan = g.person("alice"), g.person("carol"), g.person("dan")
    give_grant(alice, g.person("bob"))                        # the first ones count
    cred = g.issue_approver("carol@test.localhost", "carol-again")
    again = Person(g, "carol", cred)
    waiting = wait_until(lambda: [i for i in dan.api_ok("GET", "/api/v1/keys?person=*")["keys"] if i.get("id")], what="the new key")
    item = hold(alice)["id"]
    assert again.statement(item).problem == "key-not-registered"
    assert carol.decide(waiting[0]["id"]).problem == "self-approval" and again.decide(waiting[0]["id"]).status == 403
    assert g.person("bob").decide(waiting[0]["id"]).status == 200
    assert again.decide(item).status == 200
    path = tmp_path / "proof.json"
    path.write_bytes(again.cli("proof", item, expect=0).stdout)
    assert again.cli("verify", "approval", str(path)).returncode == 0
    code, said = independent(path)
    assert code == 0 and "all good" in said, said
    g.restart()
    assert again.decide(hold(alice, body=b"after=restart")["id"]).status == 200


def test_keys_on_the_command_line(gw):
    carol, olga = gw.person("carol"), gw.person("olga")
    item = Authenticator(gw).register(carol, "a key to lose").json()["item"]["id"]
    said = carol.cli("keys", expect=0).stdout
    assert item.encode() in said and b"waits for another person's yes" in said and b"a key to lose" in said
    carol.cli("keys", "--remove", item, expect=2)
    gw.person("bob").cli("keys", "--remove", item, "--reason", "not mine", expect=1)
    assert b"Removed" in olga.cli("keys", "--remove", item, "--reason", "lost on the train", expect=0).stdout
    assert item.encode() not in olga.cli("keys", "--person", "*", expect=0).stdout
    listed = json.loads(olga.cli("keys", "--person", "*", "--json", expect=0).stdout)["keys"]
    assert {k["person"] for k in listed} >= {"alice", "bob", "carol"}


# ---- proofs ----

def independent(*args):
    p = subprocess.run(["/usr/bin/python3", SCRIPT, *map(str, args)], capture_output=True, text=True, timeout=60)
    return p.returncode, p.stdout + p.stderr


@pytest.fixture(scope="module")
def proofs(gw, granted, tmp_path_factory):
    """A proof of each kind: {name: path}."""
    alice, bob, carol = gw.person("alice"), gw.person("bob"), gw.person("carol")
    folder, made = tmp_path_factory.mktemp("proofs"), {}
    key = confirmed(gw, carol, bob)
    for name, decide in (("command-line", lambda i: carol.decide(i)), ("hardware", lambda i: key.decide(carol, i)), ("deny", lambda i: key.decide(carol, i, "deny"))):
        item = hold(alice, body=f"proof={name}".encode())["id"]
        assert decide(item).status == 200
        made[name] = folder / f"{name}.json"
        made[name].write_bytes(carol.cli("proof", item, expect=0).stdout)
    return made


@pytest.mark.parametrize("name", ["command-line", "hardware", "deny"])
def test_a_proof_holds_for_both_verifiers(gw, proofs, name):
    keys = os.path.join(gw.state, "approval-keys")
    for more in ([], ["--keys", keys]):
        p = gw.person("carol").cli("verify", "approval", str(proofs[name]), *more)
        assert p.returncode == 0 and b"It holds" in p.stdout, p.stdout + p.stderr
    for more in ([], [keys]):
        code, said = independent(proofs[name], *more)
        assert code == 0 and "all good" in said, said


def answer_of(proof):
    return [leaf for leaf in proof["leaves"] if "statement" in leaf["content"]][-1]["content"]


def other(text, at=5):
    return text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1:]


CHANGES = {
    "another digest": lambda p: answer_of(p)["statement"]["scope"].update(digest="A" * 43),
    "another request": lambda p: [leaf["content"].update(target="/export?more=1") for leaf in p["leaves"] if leaf["type"] == "held.created"],
    "yes and no exchanged": lambda p: answer_of(p)["statement"].update(decision="deny" if answer_of(p)["statement"]["decision"] == "approve" else "approve"),
    "another approver": lambda p: answer_of(p)["statement"].update(approver="bob"),
    "one's own": lambda p: answer_of(p)["statement"].update(approver="alice"),
    "another gateway": lambda p: p.update(instance="another"),
    "client data": lambda p: answer_of(p)["webauthn"].update(client_data=other(answer_of(p)["webauthn"]["client_data"])),
    "authenticator data": lambda p: answer_of(p)["webauthn"].update(authenticator_data=other(answer_of(p)["webauthn"]["authenticator_data"])),
    "signature": lambda p: answer_of(p)["webauthn"].update(signature=other(answer_of(p)["webauthn"]["signature"], 20)),
    "origin of the key": lambda p: [leaf["content"].update(origin="https://evil.example") for leaf in p["leaves"] if leaf["type"] == "key.proposed"],
    "never confirmed": lambda p: p.update(leaves=[leaf for leaf in p["leaves"] if leaf["content"].get("statement", {}).get("purpose") != "register-key"]),
    "counts later": lambda p: [leaf["content"].update(counts_from=9999999999) for leaf in p["leaves"] if "counts_from" in leaf["content"]],
    "the key of another person": lambda p: [leaf["content"].update(person="bob") for leaf in p["leaves"] if leaf["type"] == "key.proposed"],
    "another method": lambda p: answer_of(p)["statement"].update(method="passkey"),
    "salt": lambda p: p["leaves"][0].update(salt=other(p["leaves"][0]["salt"])),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_proof_is_found_by_both(gw, proofs, tmp_path, change):
    proof = json.loads(proofs["hardware"].read_text())
    CHANGES[change](proof)
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(proof))
    p = gw.person("carol").cli("verify", "approval", str(path))
    assert p.returncode == 1, p.stdout
    code, said = independent(path)
    assert code == 1 and "BAD" in said, said


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format":"countersign-approval-v1"}', '{"format":"countersign-approval-v1","instance":"a","item":"b","leaves":[1]}',
                                  '{"format":"countersign-approval-v1","instance":"a","item":"b","leaves":[{"seq":1,"content":{}}]}', "x" * 100])
def test_what_is_no_proof_is_refused(gw, tmp_path, text):
    path = tmp_path / "no.json"
    path.write_text(text)
    assert gw.person("carol").cli("verify", "approval", str(path)).returncode == 1


def test_a_session_with_both_kinds_verifies(gw, granted):
    wait_until(lambda: gw.person("dan").cli("verify", granted["grant_id"]).returncode == 0, 30, "a whole session")
