"""Approving in the browser: a gateway and a scripted tool, then Chromium with a virtual authenticator (keys.mjs)."""
import json
import os
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

from run_story import chromium

from harness.config_text import CONSOLE, SUPPORT
from harness.gateway import TESTS, Gateway, write_config
from harness.origin import Origin
from harness.people import give_grant, hold, wait_until

# What a requester may write to hurt whoever looks at it: in a reason, a target, a form's names and values.
ATTACK = "<script>document.title='pwned'</script><img src=x onerror=\"document.title='pwned'\">"


def quoted(text):
    return "".join(c if c.isalnum() else f"%{ord(c):02X}" for c in text)


def with_more(config):
    config["tools"][0].update(budget={"requests": 40}, break_glass={"groups": ["support"]})


def propose_policy(gateway):
    """A wider group, in the config file: the item that waits for two operators."""
    next(p for p in gateway.config["people"] if p["name"] == "nina")["groups"].append("support")
    write_config(gateway.state, gateway.config)
    os.kill(gateway.process.pid, signal.SIGHUP)
    olga = gateway.person("olga")
    return wait_until(lambda: next((i["id"] for i in olga.pending() if i["kind"] == "policy"), None), what="the change of the policy")


def main():
    origin = Origin()
    gateway = Gateway(origin, keys={"delay": "0s"}, policy={"second_operator": True}, change=with_more)
    try:
        alice, bob = gateway.person("alice"), gateway.person("bob")
        give_grant(alice, bob)
        item = hold(alice, target="/export?q=" + quoted(ATTACK), body=(f"audience=7&note={quoted(ATTACK)}&{quoted(ATTACK)}=x&csrfmiddlewaretoken=verysecret").encode())
        second = hold(alice, body=b"audience=8")
        third = hold(alice, body=b'{"ids":[1,2],"note":"</pre><script>document.title=1</script>"}', fields=[("Content-Type", "application/json")])
        asked = gateway.person("mallory").ask(reason="ticket 4712: " + ATTACK)
        assert asked.status == 201, asked.body
        facts = {"console": f"https://{CONSOLE}:{gateway.port}", "tool": f"https://{SUPPORT}:{gateway.port}", "ca": gateway.ca, "countersign": gateway.binary,
                 "people": {n: {"cert": gateway.creds[n].cert, "key": gateway.creds[n].key} for n in ("alice", "bob", "carol", "olga", "sam", "mallory")},
                 "held": item["id"], "second": second["id"], "third": third["id"], "asked": asked.json()["request"]["id"],
                 "policy": propose_policy(gateway),
                 "output": os.path.join(TESTS, "output", "browser-keys"), "chromium": chromium(), "env": {k: gateway.env()[k] for k in ("ASAN_OPTIONS", "UBSAN_OPTIONS")}}
        path = os.path.join(gateway.folder, "facts.json")
        with open(path, "w", encoding="utf-8") as f:
            json.dump(facts, f)
        code = subprocess.run(["node", os.path.join(HERE, "keys.mjs"), path], timeout=400, cwd=HERE).returncode
        assert gateway.person("alice").item(item["id"])["decisions"][0]["person"] == "carol"
        r, ran = alice.release(item["id"])
        # carol took her key away at the end: what it signed and was not used yet goes with it.
        void = ran is not None and ran.problem == "signoff-void" and origin.count("/export") == 0
        print("step ok: a yes by a key that was taken away runs nothing" if void else f"step failed: the release: {r.status} {ran and ran.body[:300]!r}")
    finally:
        gateway.finish()
        origin.close()
    print("step ok: the gateway ended without a report and left nothing running")
    return code


if __name__ == "__main__":
    sys.exit(main())
