"""A no may say why: the requester reads it, the signature covers it, and nothing else can be put in its place."""
import json
import os
import subprocess

import pytest

from harness.authenticator import confirmed
from harness.gateway import TESTS
from harness.people import give_grant, hold, wait_until

GATEWAY = {"keys": {"delay": "0s"}}
WHY = "not on a Friday: <b>ask</b> \u2013 the \U0001f41f on call"


def statement(who, item, decision="deny", **more):
    return who.api("POST", f"/api/v1/items/{item}/statement", {"decision": decision, "key": who.cred.fingerprint(), **more})


def reasons(who, item):
    return [d.get("reason") for d in who.item(item)["decisions"]]


def test_the_requester_reads_it_everywhere(gw):
    alice, bob = gw.person("alice"), gw.person("bob")
    asked = alice.ask().json()["request"]["id"]
    bob.cli("deny", asked, "--reason", WHY, "--yes", expect=0)
    assert reasons(alice, asked) == [WHY]
    assert "not on a Friday: <b>ask</b>" in alice.cli("status", expect=0).stdout.decode()
    page = alice.request("GET", f"/items/{asked}", host=f"console.{gw.config['console'].partition('.')[2]}").body.decode()
    assert "not on a Friday: &lt;b&gt;ask" in page and "<b>ask" not in page
    other = alice.ask(reason="another one").json()["request"]["id"]
    bob.cli("deny", other, "--yes", expect=0)
    assert reasons(alice, other) == [None]


def test_it_is_signed(gw, tmp_path):
    alice, bob, carol = gw.person("alice"), gw.person("bob"), gw.person("carol")
    give_grant(alice, bob)
    held = hold(alice, body=b"audience=friday")["id"]
    made = statement(carol, held, reason=WHY).json()["statement"]
    assert made["scope"]["answer"] == WHY
    forged = json.loads(json.dumps(made))
    forged["scope"]["answer"] = "because I say so"
    assert carol.hand_in(forged).problem == "bad-signature"
    assert carol.hand_in(made).status == 200
    assert reasons(alice, held) == [WHY]
    proof = tmp_path / "proof.json"
    proof.write_bytes(carol.cli("proof", held, expect=0).stdout)
    script = os.path.join(TESTS, "vectors", "approvals.py")
    for change, good in ((None, True), ("because I say so", False)):
        kept = json.loads(proof.read_text(encoding="utf-8"))
        for leaf in kept["leaves"]:
            if change and leaf["type"] == "denial":
                leaf["content"]["statement"]["scope"]["answer"] = change
        path = tmp_path / "changed.json"
        path.write_text(json.dumps(kept), encoding="utf-8")
        assert (gw.run_command("verify", "approval", str(path)).returncode == 0) is good
        assert (subprocess.run(["/usr/bin/python3", script, str(path)], capture_output=True, timeout=60).returncode == 0) is good


@pytest.mark.parametrize("more, problem", [
    ({"reason": "x"}, "bad-reason"), ({"reason": "line\nbreak"}, "bad-reason"), ({"reason": "y" * 501}, "bad-reason"), ({"reason": 7}, "bad-request"),
    ({"decision": "approve", "reason": "a good one"}, "bad-request"),
])
def test_what_is_no_reason(gw, more, problem):
    asked = gw.person("mallory").ask(reason=f"because {problem} {len(str(more))}").json()["request"]["id"]
    assert statement(gw.person("bob"), asked, **more).problem == problem
    gw.person("bob").decide(asked, "deny")


def test_in_the_browser_too(gw):
    alice, bob, carol = gw.person("alice"), gw.person("bob"), gw.person("carol")
    key = confirmed(gw, carol, bob)
    give_grant(alice, bob)
    held = hold(alice, body=b"audience=monday")["id"]
    page = carol.request("GET", f"/items/{held}", host=f"console.{gw.config['console'].partition('.')[2]}").body.decode()
    assert 'name="why"' in page
    made = carol.api("POST", f"/api/v1/items/{held}/statement", {"decision": "deny", "key": key.fingerprint(), "reason": "too many rows"}).json()["statement"]
    assert carol.api("POST", "/api/v1/decisions", key.sign(made)).status == 200
    assert wait_until(lambda: reasons(alice, held) == ["too many rows"], 10)
