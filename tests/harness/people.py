"""The persons of the story: what each does by the API, signing with their own key, or by the command line."""
import json
import re
import subprocess
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from harness.certificates import b64url
from harness.clients import H1, H2, PATIENCE_S, curl
from harness.config_text import CONSOLE, SUPPORT


def canonical(value):
    """RFC 8785 for what Countersign signs: ASCII keys, strings, integers, booleans."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def detached_jws(key, kid, payload):
    """RFC 7515 appendix F, ES256."""
    header = b64url(b'{"alg":"ES256","kid":"' + kid.encode() + b'"}')
    signed = (header + "." + b64url(payload)).encode()
    r, s = decode_dss_signature(key.sign(signed, ec.ECDSA(hashes.SHA256())))
    return header + ".." + b64url(r.to_bytes(32, "big") + s.to_bytes(32, "big"))


class Person:
    """A person with one certificate, at one gateway."""

    def __init__(self, gateway, name, cred, timeout=PATIENCE_S):
        self.gateway, self.name, self.cred, self.timeout = gateway, name, cred, timeout

    def h1(self, host=SUPPORT, **more):
        return H1(self.gateway.port, host, self.gateway.ca, self.cred, **{"timeout": self.timeout, **more})

    def h2(self, host=SUPPORT, **more):
        return H2(self.gateway.port, host, self.gateway.ca, self.cred, **{"timeout": self.timeout, **more})

    def curl(self, target, *args, host=SUPPORT, **more):
        return curl(self.gateway.port, host, self.gateway.ca, self.cred, target, *args, **more)

    def request(self, method, target, fields=(), body=None, host=SUPPORT, proto="h1"):
        with (self.h1(host) if proto == "h1" else self.h2(host)) as c:
            return c.request(method, target, fields, body)

    def get(self, target, fields=(), proto="h1"):
        return self.request("GET", target, fields, proto=proto)

    def post(self, target, body=b"", fields=(), proto="h1", content_type="application/x-www-form-urlencoded"):
        return self.request("POST", target, [("Content-Type", content_type), *fields], body, proto=proto)

    # The console's API.
    def api(self, method, path, body=None, fields=()):
        data = None if body is None else json.dumps(body).encode()
        more = [("Content-Type", "application/json")] if data is not None else []
        return self.request(method, path, [*more, *fields], data, host=CONSOLE)

    def api_ok(self, method, path, body=None):
        r = self.api(method, path, body)
        assert r.status in (200, 201), f"{self.name}: {method} {path}: {r.status} {r.body[:500]!r}"
        return r.json()

    def status(self):
        return self.api_ok("GET", "/api/v1/status")

    def pending(self):
        return self.api_ok("GET", "/api/v1/pending")["items"]

    def item(self, item_id):
        return self.api_ok("GET", f"/api/v1/items/{item_id}")["item"]

    def ask(self, tool="support", reason="ticket 4711: the customer cannot log in", duration_s=600):
        return self.api("POST", "/api/v1/requests", {"tool": tool, "reason": reason, "duration_s": duration_s})

    def statement(self, item_id, decision="approve", cred=None):
        return self.api("POST", f"/api/v1/items/{item_id}/statement",
                        {"decision": decision, "key": (cred or self.cred).fingerprint()})

    def decide(self, item_id, decision="approve", cred=None):
        """Fetch the statement, sign it, hand it in. The answer is the refusal when the statement is refused already."""
        r = self.statement(item_id, decision, cred)
        return r if r.status != 200 else self.hand_in(r.json()["statement"], cred)

    def hand_in(self, statement, cred=None, kid=None, payload=None):
        cred = cred or self.cred
        jws = detached_jws(cred.private_key(), kid or cred.fingerprint(), payload or canonical(statement))
        return self.api("POST", "/api/v1/decisions", {"statement_id": statement["id"], "jws": jws})

    def lock(self, kind, value, reason="the laptop was stolen"):
        return self.api("POST", "/api/v1/locks", {"kind": kind, "value": value, "reason": reason})

    def unlock(self, lock_id):
        """Fetch the statement, sign it, hand it in."""
        r = self.api("POST", f"/api/v1/locks/{lock_id}/statement", {"key": self.cred.fingerprint(), "reason": "it was found again"})
        return r if r.status != 200 else self.hand_in(r.json()["statement"])

    def held(self):
        """Her held requests, newest last."""
        return sorted(self.status()["held"], key=lambda h: h["created"])

    def release(self, item_id):
        """The button on the console, then the one-time link on the tool's host: (console's answer, tool's answer or None)."""
        r = self.request("POST", f"/held/{item_id}/release", [("Sec-Fetch-Site", "same-origin")], b"", host=CONSOLE)
        if r.status != 303:
            return r, None
        return r, self.get(tool_path(r.get("location")))

    def cli(self, *args, expect=None, timeout=60, stdin=None, env=None):
        """`countersign ARGS` as this person; env: more of the environment."""
        g = self.gateway
        env = dict(g.env(), **(env or {}), COUNTERSIGN_GATEWAY=f"https://{CONSOLE}:{g.port}", COUNTERSIGN_CERT=self.cred.cert, COUNTERSIGN_KEY=self.cred.key,
                   COUNTERSIGN_CA=g.ca, COUNTERSIGN_AUDITOR_KEY=g.auditor_key(), HOME=g.state)
        p = subprocess.run([g.binary, *args], capture_output=True, env=env, timeout=timeout, input=stdin or b"")
        if expect is not None:
            assert p.returncode == expect, f"countersign {' '.join(args)}: exit {p.returncode}\n{p.stdout.decode()}\n{p.stderr.decode()}"
        return p


def tool_path(location):
    return re.sub(r"^https://[^/]+", "", location)


def wait_until(test, seconds=20, what="it"):
    end = time.monotonic() + seconds
    while True:
        value = test()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come about within {seconds} s")
        time.sleep(0.05)


def give_grant(who, approver, tool="support", duration_s=600, host=SUPPORT, notice=True, ready="/ready"):
    """Ask, approve, acknowledge the recording notice, wait until the grant works; the item."""
    r = who.ask(tool, duration_s=duration_s)
    assert r.status == 201, f"asking was refused: {r.status} {r.body[:500]!r}"
    request_id = r.json()["request"]["id"]
    r = approver.decide(request_id)
    assert r.status in (200, 201), f"the approval was refused: {r.status} {r.body[:500]!r}"
    item = wait_until(lambda: (i := who.item(request_id)) and i.get("grant_id") and i, what="the grant")
    if notice:
        acknowledge(who, item["grant_id"])
        wait_until(lambda: who.request("GET", ready, host=host).status < 400, what="the grant at the worker")
    return item


def acknowledge(who, grant_id):
    r = who.request("POST", f"/notice/{grant_id}", [("Sec-Fetch-Site", "same-origin"), ("Content-Type", "application/x-www-form-urlencoded")],
                    b"", host=CONSOLE)
    assert r.status in (200, 204, 303), f"the notice: {r.status} {r.body[:300]!r}"
    return r


def hold(who, method="POST", target="/export", body=b"audience=7", fields=(("Content-Type", "application/x-www-form-urlencoded"),), proto="h1"):
    """Send what must be held; the held request as an item."""
    r = who.request(method, target, list(fields), body, proto=proto)
    assert (r.status, r.problem) == (403, "signoff-required"), f"not held: {r.status} {r.body[:300]!r}"
    return who.item(r.json()["held_id"])

