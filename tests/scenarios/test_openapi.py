"""The API's description, served by the gateway, against what the gateway answers: every described call is made, and every answer has the described form."""
import json
import time

import jsonschema
import pytest

from harness.authenticator import Authenticator, confirmed
from harness.config_text import CONSOLE
from harness.people import Person, canonical, detached_jws, give_grant, hold, wait_until
from test_renewed_certificates import der

GATEWAY = {"keys": {"delay": "0s"}, "change": lambda config: config["tools"][0].update(break_glass={"groups": ["support"]})}
PUBLIC = ["/api/openapi.json", "/.well-known/jwks.json", "/.well-known/countersign-log-key"]


@pytest.fixture(scope="module")
def doc(gw):
    return gw.person("nina").api_ok("GET", "/api/openapi.json")


class Checker:
    """Makes calls by their operationId, validates what goes out and what comes back, and remembers which were made."""

    def __init__(self, doc):
        self.doc, self.made = doc, set()
        self.calls = {op["operationId"]: (method.upper(), path, op) for path, methods in doc["paths"].items() for method, op in methods.items()}

    def validate(self, value, schema):
        jsonschema.Draft202012Validator({**schema, "components": self.doc["components"]}).validate(value)

    def __call__(self, who, name, item="", body=None, query="", refused=None):
        method, path, op = self.calls[name]
        if body is not None and refused is None:
            self.validate(body, op["requestBody"]["content"]["application/json"]["schema"])
        r = who.api(method, path.replace("{id}", item) + query, body)
        if refused is not None:
            assert r.problem == refused, f"{name}: {r.status} {r.body[:300]!r}"
            self.validate(r.json(), op["responses"]["default"]["content"]["application/problem+json"]["schema"])
            return r
        described = op["responses"].get(str(r.status))
        assert described is not None, f"{name}: {r.status} {r.body[:300]!r}"
        (media, content), = described["content"].items()
        assert r.get("content-type").startswith(media), name
        if media == "application/json":
            self.validate(r.json(), content["schema"])
        self.made.add(name)
        return r


@pytest.fixture(scope="module")
def call(doc):
    return Checker(doc)


def test_the_description_is_openapi_3_1(doc):
    assert doc["openapi"].startswith("3.1.") and doc["info"]["title"] == "Countersign"
    for schema in doc["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    text = json.dumps(doc)
    for name in {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}:
        assert name in doc["components"]["schemas"], name


def test_every_call_answers_as_described(gw, origin, call):
    alice, bob, carol, dan, olga = (gw.person(n) for n in ("alice", "bob", "carol", "dan", "olga"))
    call(alice, "ask", body={"tool": "nosuch", "reason": "because", "duration_s": 60}, refused="unknown-tool")
    mine = call(alice, "ask", body={"tool": "billing", "reason": "because of this", "duration_s": 60}).json()["request"]["id"]
    call(alice, "status")
    call(bob, "pending")
    call(bob, "item", mine)
    key = Authenticator(gw)
    begun = call(carol, "newKey")
    assert begun.status == 200 and key.register(carol).status == 201
    call.made.add("proposeKey")
    other = confirmed(gw, carol, bob, "EdDSA")
    call(carol, "keys")
    call(olga, "keys", query="?person=*")
    grant = give_grant(alice, bob)["grant_id"]
    held = hold(alice)["id"]
    call(carol, "raw", held)
    statement = call(carol, "statement", held, {"decision": "approve", "key": other.fingerprint()}).json()["statement"]
    call(carol, "decide", body=other.sign(statement))
    call(carol, "decide", body=other.sign(statement), refused="statement-unknown")
    call(carol, "proof", held)
    call(carol, "removeKey", [k["id"] for k in carol.api_ok("GET", "/api/v1/keys")["keys"] if "id" in k][0], query="?reason=lost")
    call(alice, "status")
    call(olga, "live")
    call(olga, "activity")
    call(alice, "activity", refused="auditors-only")
    assert alice.get("/hello").status == 200
    call(dan, "activity")
    wait_until(lambda: dan.api_ok("GET", "/api/v1/sessions")["sessions"], 30, "the session")
    call(dan, "sessions", query="?person=alice")
    call(dan, "session", grant)
    call(dan, "recording", grant)
    call(dan, "listing", grant)
    call(dan, "log", query=f"?session={grant}&limit=50")
    call(alice, "log", refused="auditors-only")
    call(alice, "carryOverStatement", body={"certificate": "AAAA"}, refused="bad-request")
    former, renewed = alice, Person(gw, "alice-renewed", gw.issue_person("alice@test.localhost", "alice-renewed"))
    statement = call(renewed, "carryOverStatement", body={"certificate": der(former.cred)}).json()["statement"]
    signed = detached_jws(former.cred.private_key(), statement["key"], canonical(statement))
    call(renewed, "carryOver", body={"certificate": der(former.cred), "statement_id": statement["id"], "jws": signed})
    lock = call(olga, "lock", body={"kind": "grant", "value": grant, "reason": "a drill"}).json()["lock"]["id"]
    call(olga, "locks")
    lift = call(olga, "unlockStatement", lock, {"key": olga.cred.fingerprint(), "reason": "over now"}).json()["statement"]
    assert olga.hand_in(lift).status == 200
    call(bob, "delegateStatement", body={"key": bob.cred.fingerprint(), "person": "bob", "tools": ["support"], "kinds": ["access"], "until": 1}, refused="no-delegation")
    order = call(bob, "delegateStatement", body={"key": bob.cred.fingerprint(), "person": "carol", "tools": ["*"], "kinds": ["access"], "until": int(time.time()) + 3600})
    named = bob.hand_in(order.json()["statement"]).json()["delegation"]["id"]
    assert call(carol, "delegations").json()["delegations"]
    call(carol, "item", mine)
    call(carol, "endDelegation", named, {"reason": "back again"})
    call(alice, "withdraw", mine, {"reason": "not needed"})
    kept = call(dan, "placeHold", body={"kind": "session", "value": grant, "reason": "case 12"}).json()["hold"]["id"]
    assert [h["id"] for h in call(dan, "holds").json()["holds"]] == [kept]
    call(dan, "releaseHold", kept, {"reason": "my own"}, refused="self-approval")
    call(gw.person("sam"), "releaseHold", kept, {"reason": "case closed"})
    call(olga, "confirmTime", body={"reason": "it is right"}, refused="not-pending")
    call.made.add("confirmTime")      # test_retention has it answered
    call(alice, "ask", body={"tool": "billing", "reason": "not allowed", "duration_s": 60, "basis": "break-glass"}, refused="no-break-glass")
    # In an emergency she opens it herself; everybody concerned sees it; somebody else reviews it.
    call(alice, "ask", body={"tool": "support", "reason": "it burns", "duration_s": 60, "basis": "break-glass"})
    call(alice, "status")
    use, = call(dan, "pending").json()["break_glass"]
    call(dan, "item", use["id"])
    found = call(bob, "reviewStatement", use["id"], {"key": bob.cred.fingerprint(), "outcome": "justified", "words": "it did burn"}).json()["statement"]
    assert bob.hand_in(found).status == 200
    call(alice, "item", use["id"])
    call(dan, "sessions", query="?person=alice")
    for name in ("openapi", "jwks", "logKey"):
        call(alice, name)
    assert call.made == set(call.calls), set(call.calls) - call.made


def test_the_key_set_is_complete(gw, doc, origin):
    """Every token that the gateway signs names a key of the set."""
    keys = {k["kid"]: k for k in gw.person("nina").api_ok("GET", "/.well-known/jwks.json")["keys"]}
    assert all(set(k) >= {"kty", "crv", "x", "y", "kid", "alg", "use"} and "d" not in k for k in keys.values())
    give_grant(gw.person("sam"), gw.person("bob"))
    assert gw.person("sam").get("/hello").status == 200
    import base64
    token = next(v for n, v in origin.requests[-1].fields if n.lower() == "countersign-assertion")
    header = token.split(".")[0]
    assert json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))["kid"] in keys


@pytest.mark.parametrize("path", PUBLIC)
def test_public_descriptions_are_for_people_with_a_certificate(gw, path):
    assert gw.person("nina").request("GET", path, host=CONSOLE).status == 200
