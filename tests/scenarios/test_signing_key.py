"""The key that signs grants is changed under a running gateway: nothing live ends, tools always find the key they need, and a key in use cannot be dropped."""
import base64
import json
import os
import signal
import time

from harness.people import give_grant, wait_until


def kids(gw):
    return [k["kid"] for k in gw.person("nina").api_ok("GET", "/.well-known/jwks.json")["keys"]]


def kid_of(token):
    head = token.split(".")[0]
    return json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"]


def assertion_kid(gw, origin, who):
    assert gw.person(who).get("/hello").status == 200
    return kid_of(next(v for n, v in origin.requests[-1].fields if n.lower() == "countersign-assertion"))


def step(gw, name, expect=0):
    p = gw.person("nina").cli("certs", "signing-key", name, "-c", os.path.join(gw.state, "test.conf"), expect=expect)
    gw.process.send_signal(signal.SIGHUP)
    return p


def test_the_signing_key_changes_with_an_overlap(gateway_of, origin):
    g = gateway_of()
    first, = kids(g)
    give_grant(g.person("alice"), g.person("bob"))
    step(g, "switch", expect=1)
    step(g, "next")
    both = wait_until(lambda: len(kids(g)) == 2 and kids(g), what="the next key in the set")
    assert both[0] == first and assertion_kid(g, origin, "alice") == first
    step(g, "next", expect=1)
    step(g, "switch")
    second = wait_until(lambda: kids(g)[0] != first and kids(g)[0], what="the new key to sign")
    assert set(kids(g)) == {first, second} == set(both)
    give_grant(g.person("mallory"), g.person("bob"))
    assert assertion_kid(g, origin, "mallory") == second
    assert g.person("alice").get("/hello").status == 200, "a live grant of the old key ended"
    assert b"hours from now" in step(g, "retire", expect=1).stderr
    g.restart()
    assert g.person("alice").get("/hello").status == 200 and set(kids(g)) == {first, second}


def test_a_change_while_it_was_off_is_in_the_log_too(gateway_of):
    g = gateway_of(audit={"file": "audit.jsonl"})
    first, = kids(g)
    complaint = g.stop()
    assert complaint is None, complaint
    for name in ("next", "switch"):
        g.run_command("certs", "signing-key", name, "-c", os.path.join(g.state, "test.conf"))
    g.start()
    second, also = kids(g)
    assert second != first == also

    def told():
        with open(os.path.join(g.state, "audit.jsonl"), encoding="ascii") as f:
            return [e["unmapped"]["keys"] for e in map(json.loads, f) if e["metadata"]["event_code"] == "key.signing"]
    assert wait_until(told, 20, "the event") == [[second, first]]
    g.restart()
    assert told() == [[second, first]], "logged again, without a change"


def test_a_key_in_use_cannot_be_dropped(gateway_of, origin):
    g = gateway_of()
    first, = kids(g)
    give_grant(g.person("alice"), g.person("bob"))
    step(g, "next")
    wait_until(lambda: len(kids(g)) == 2, what="the next key")
    step(g, "switch")
    wait_until(lambda: kids(g)[0] != first, what="the switch")
    old = os.path.join(g.state, "keys", "grant-old.pem")
    aged = time.time() - 2 * 86400
    os.utime(old, (aged, aged))
    step(g, "retire")
    wait_until(lambda: "no longer in keys/" in g.log(), what="the refusal")
    assert g.person("alice").get("/hello").status == 200 and first in kids(g)
