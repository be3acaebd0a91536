"""Every page that a person sees, in each of its states: wide, dark, on a phone and at 200 %; axe-core's rules, nothing wider than the window, and the keyboard alone (pages.mjs)."""
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

from run_replay import Replay
from run_story import chromium

from harness.authenticator import confirmed
from harness.config_text import CONSOLE, DOMAIN, SUPPORT
from harness.gateway import TESTS, Gateway
from harness.origin import Origin
from harness.people import give_grant, hold, wait_until


def with_more(config):
    config["tools"][0].update(budget={"requests": 40, "actions": [{"action": "export", "max": 3}]}, break_glass={"groups": ["support"]}, start_within="4h")


def denied(alice, carol, reason):
    item = hold(alice, body=b"audience=9")["id"]
    r = carol.api("POST", f"/api/v1/items/{item}/statement", {"decision": "deny", "key": carol.cred.fingerprint(), "reason": reason})
    assert carol.hand_in(r.json()["statement"]).status == 200
    return item


def make(gateway):
    """The state that the pages are seen in; (who, name, address) of each."""
    alice, bob, carol, olga, mallory = (gateway.person(n) for n in ("alice", "bob", "carol", "olga", "mallory"))
    confirmed(gateway, carol, bob)
    give_grant(alice, bob)
    session = alice.status()["grants"][0]["grant_id"]
    alice.get("/report?week=48")
    waits = hold(alice, body=b"audience=7&note=the+newsletter+of+Amber+Bakery&csrfmiddlewaretoken=verysecret")["id"]
    as_json = hold(alice, target="/api/v2", body=b'{"data":{"action":"export","ids":[1,2,3],"note":"for ticket 4711"}}', fields=[("Content-Type", "application/json")])["id"]
    ready = hold(alice, body=b"audience=8")["id"]
    assert carol.decide(ready).status == 200
    no = denied(alice, carol, "Ask for one customer at a time, please.")
    used = hold(alice, body=b"audience=10")["id"]
    assert carol.decide(used).status == 200
    alice.release(used)
    back = hold(alice, body=b"audience=11")["id"]
    alice.api_ok("POST", f"/api/v1/items/{back}/withdraw", {"reason": "found it elsewhere"})
    asked = alice.ask("billing", reason="ticket 4712: an invoice that was paid twice, see the mail of the customer of 14 November").json()["request"]["id"]
    request = gateway.person("sam").ask("support", reason="ticket 4713: the customer cannot log in").json()["request"]["id"]
    give_grant(mallory, bob)
    olga.lock("person", "mallory", reason="the laptop was stolen in Lyon")
    console, tool = gateway.url(CONSOLE, ""), gateway.url(SUPPORT, "")
    return session, [
        ("alice", "home", console + "/"), ("nina", "home-of-nobody", console + "/"), ("bob", "home-approver", console + "/"), ("carol", "queue", console + "/"), ("olga", "home-operator", console + "/"), ("dan", "home-auditor", console + "/"),
        ("alice", "held-waits", f"{console}/held/{waits}"), ("alice", "held-ready", f"{console}/held/{ready}"), ("alice", "held-denied", f"{console}/held/{no}"), ("alice", "held-used", f"{console}/held/{used}"),
        ("alice", "asked", f"{console}/items/{asked}"), ("carol", "decide", f"{console}/items/{waits}"), ("carol", "decide-json", f"{console}/items/{as_json}"), ("bob", "decide-without-key", f"{console}/items/{request}"),
        ("carol", "too-late-used", f"{console}/items/{used}"), ("carol", "too-late-denied", f"{console}/items/{no}"), ("carol", "too-late-withdrawn", f"{console}/items/{back}"), ("carol", "not-there", f"{console}/items/hld_AAAAAAAAAAAAAAAAAAAAAA"),
        ("carol", "keys", console + "/keys"), ("nina", "keys-first", console + "/keys"), ("carol", "delegates", console + "/delegates"), ("olga", "sessions", console + "/sessions"), ("olga", "locks", console + "/locks"), ("alice", "sessions-refused", console + "/sessions"),
        ("alice", "notice", f"{console}/notice/{session}?to=/"), ("alice", "no-such-page", console + "/nowhere"),
        (None, "no-certificate", tool + "/"), ("sam", "tool-grant-required", tool + "/"), ("alice", "tool-denied", tool + "/internal/x"), ("alice", "tool-held", tool + "/report?format=csv"), ("nina", "tool-not-yours", tool + "/"), ("mallory", "locked", tool + "/"), ("mallory", "locked-console", console + "/"),
    ]


def incident(gateway):
    path = os.path.join(gateway.folder, "incident.html")
    gateway.person("dan").cli("incident", "--identity", "alice@" + DOMAIN, "--from", "2020-01-01T00:00:00Z", "--html", "-o", path, expect=0)
    return "file://" + path


def main():
    origin, replay = Origin(), None
    gateway = Gateway(origin, keys={"delay": "0s"}, change=with_more)
    try:
        session, pages = make(gateway)
        path = os.path.join(gateway.state, "recordings", f"{session}.tar")
        wait_until(lambda: os.path.exists(path) and os.path.getsize(path) > 0, 60, "the recording")
        replay = Replay(gateway, session)
        pages += [(None, "replay", replay.address), (None, "incident", incident(gateway))]
        facts = {"pages": pages, "console": gateway.url(CONSOLE, ""), "tool": gateway.url(SUPPORT, ""), "chromium": chromium(), "output": os.path.join(TESTS, "output", "browser-pages"),
                 "people": {n: {"cert": gateway.creds[n].cert, "key": gateway.creds[n].key} for n in ("alice", "bob", "carol", "olga", "dan", "sam", "nina", "mallory")},
                 "gateway": gateway.process.pid}
        path = os.path.join(gateway.folder, "facts.json")
        with open(path, "w", encoding="utf-8") as f:
            json.dump(facts, f)
        code = subprocess.run(["node", os.path.join(HERE, "pages.mjs"), path], timeout=560, cwd=HERE).returncode
    finally:
        if replay is not None:
            replay.close()
        gateway.finish()
        origin.close()
    print("step ok: the gateway ended without a report and left nothing running")
    return code


if __name__ == "__main__":
    sys.exit(main())
