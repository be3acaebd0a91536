"""(waits) Grants of other issuers: an approval bot signs, the client presents, everything but the approvers holds as ever. Promises 1, 2 and 7 for the basis `external`."""
import base64
import hashlib
import json
import os
import signal
import sys
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "vectors"))

import external
import tokens
from harness.config_text import BILLING
from harness.gateway import Gateway
from harness.people import wait_until

NAMES = {external.BOT: "bot", external.OTHER: "other"}


def x5t(cred):
    with open(cred.cert, "rb") as f:
        return tokens.b64(hashlib.sha256(x509.load_pem_x509_certificate(f.read()).public_bytes(serialization.Encoding.DER)).digest())


def write_jwks(folder, issuer):
    path = os.path.join(folder, issuer["name"] + ".jwks")
    with open(path + ".new", "w", encoding="utf-8") as f:
        json.dump(issuer["jwks"], f)
    os.replace(path + ".new", path)
    return path


class Bed:
    def __init__(self, origin, folder):
        self.folder = str(folder)
        self.keys = external.Keys(external.seeded("not the gateway's"))
        rows = []
        for i in self.keys.issuers():
            rows.append({"name": i["name"], "iss": i["iss"], "jwks_file": write_jwks(self.folder, i), "algorithms": i["algorithms"], "tools": i["tools"],
                         "actions": ["use", "export"] if i["name"] == "bot" else i["actions"]})
        self.gw = Gateway(origin, issuers=rows)
        with open(os.path.join(self.gw.state, "keys", "grant.pem"), "rb") as f:
            self.keys.gateway = serialization.load_pem_private_key(f.read(), None)
        self.made = 0

    def table(self, who="alice", identity=None):
        return external.Table(self.keys, x5t(self.gw.person(who).cred), int(time.time()), identity or who + "@test.localhost")

    def token(self, who="alice", rsa=False, **more):
        self.made += 1
        return self.table(who).fresh(f"t-{os.getpid()}-{self.made}", rsa, **more)

    def get(self, token, who="alice", path="/hello", proto="h1", **more):
        return self.gw.person(who).get(path, [("Countersign-Grant", token)] if token else [], proto=proto, **more)

    def hangup(self):
        self.gw.process.send_signal(signal.SIGHUP)


@pytest.fixture(scope="module")
def bed(origin, tmp_path_factory):
    b = Bed(origin, tmp_path_factory.mktemp("issuers"))
    yield b
    b.gw.finish()


@pytest.fixture
def own_bed(origin, tmp_path):
    b = Bed(origin, tmp_path)
    yield b
    b.gw.finish()


@pytest.mark.parametrize("proto", ["h1", "h2"])
@pytest.mark.parametrize("rsa", [False, True])
def test_a_token_opens_its_tool_for_its_certificate(bed, origin, proto, rsa):
    token = bed.token(rsa=rsa)
    assert bed.get(token, proto=proto).status == 200
    origin.reset()
    assert bed.get(token, proto=proto).status == 200, "verified once, then looked up"
    assert bed.get(None, proto=proto).status == 200, "the certificate finds its grant"
    seen = {n.lower(): v for n, v in origin.requests[-1].fields}
    claims = json.loads(base64.urlsafe_b64decode(seen["countersign-assertion"].split(".")[1] + "=="))
    assert claims["person"] == "alice" and "countersign-grant" not in seen


def routed(token):
    """Does it claim, readably, to be of one of the issuers?"""
    try:
        part = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)), object_pairs_hook=lambda p: dict(p) if len({k for k, _ in p}) == len(p) and not any("\0" in k for k, _ in p) else {})
        return token.count(".") == 2 and claims.get("iss") in NAMES and len(token) <= 4096 and token.isascii() and not set('"\\') & set(token) and "=" not in part
    except (ValueError, IndexError, AttributeError, TypeError, UnicodeDecodeError):
        return False


def test_each_hostile_token_is_refused_for_its_reason(own_bed, origin):
    """Those that authz is not asked about, and every sixth of the others: so many new tokens of one certificate have to wait. (authz/external_test.c has all of them.)"""
    bed, wrong, tried = own_bed, [], 0
    rows, _ = external.rows(bed.keys, x5t(bed.gw.person("alice").cred), int(time.time()))
    rows = [r for r in rows if r["reason"] != external.MAY_ACTIONS]   # here the bot may grant export
    picked = [r for r in rows if not routed(r["token"])] + [r for r in rows if routed(r["token"])][::6]
    for row in picked:
        r = bed.get(row["token"])
        for _ in range(30):
            if r.status != 429:
                break
            time.sleep(1)
            r = bed.get(row["token"])
        said = r.json().get("detail", "") if r.problem else ""
        right = r.problem == ("grant-expired" if row["reason"] == tokens.EXPIRED else "grant-invalid")
        if r.status != 401 or not right or (routed(row["token"]) and row["reason"] not in said):
            wrong.append(f"{row['name']}: {r.status} {r.problem}: {said!r}, not {row['reason']!r}")
        tried += 1
    assert not wrong, f"{len(wrong)} of {tried}:\n" + "\n".join(wrong)
    assert origin.count() == 0


def test_it_is_nobody_elses(bed, origin):
    token = bed.token()
    for who in ("mallory", "alice-2", "bob", "nina"):
        r = bed.get(token, who=who)
        assert (r.status, r.problem) == (401, "grant-mismatch") and "another certificate" in r.json()["detail"], who
    r = bed.gw.person("alice").request("GET", "/hello", [("Countersign-Grant", token)], host=BILLING)
    assert (r.status, r.problem) == (401, "grant-mismatch") and "another tool" in r.json()["detail"]
    stolen = bed.table("mallory", "alice@test.localhost").fresh("in-her-name")
    r = bed.get(stolen, who="mallory")
    assert (r.status, r.problem) == (401, "grant-mismatch") and "another identity" in r.json()["detail"]
    assert origin.count() == 0


def test_who_may_not_ask_gets_nothing_by_a_token(bed, origin):
    r = bed.get(bed.token("bob"), who="bob")
    assert (r.status, r.problem) == (403, "may-not-ask") and origin.count() == 0


def test_a_sign_off_is_still_another_persons(bed, origin):
    token = bed.token(actions=["use", "export"])
    r = bed.gw.person("alice").request("POST", "/export", [("Countersign-Grant", token), ("Content-Type", "text/plain")], b"all of it")
    assert (r.status, r.problem) == (403, "signoff-required") and origin.count() == 0
    narrow = bed.token()
    r = bed.gw.person("alice").request("POST", "/export", [("Countersign-Grant", narrow), ("Content-Type", "text/plain")], b"all of it")
    assert r.status == 403 and origin.count() == 0


def test_a_lock_ends_it_and_the_token_opens_nothing_again(bed, origin):
    token = bed.token("mallory")
    assert bed.get(token, who="mallory").status == 200
    grant = next(g for g in bed.gw.person("mallory").api_ok("GET", "/api/v1/status")["grants"])
    lock = bed.gw.person("olga").api_ok("POST", "/api/v1/locks", {"kind": "grant", "value": grant["grant_id"], "reason": "enough"})["lock"]
    origin.reset()
    r = wait_until(lambda: (r := bed.get(token, who="mallory")).status != 200 and r, what="the lock")
    assert r.status in (401, 403) and origin.count() == 0 and lock["id"]
    bed.gw.restart()
    r = bed.get(token, who="mallory")
    assert (r.status, r.problem) == (401, "grant-mismatch") and "ended" in r.json()["detail"]
    assert bed.get(bed.token("mallory"), who="mallory").status == 200, "a new token is a new grant"


def test_many_requests_with_one_new_token(bed, origin):
    """All at once over HTTP/2: it is verified once, and nobody is turned away for being too many."""
    token = bed.token()
    with bed.gw.person("alice").h2() as c:
        streams = [c.open("GET", "/hello", [("Countersign-Grant", token)]) for _ in range(40)]
        assert [c.wait(s).status for s in streams] == [200] * 40
    assert bed.get(token).status == 200


def test_too_many_new_tokens_at_once(own_bed, origin):
    bed = own_bed
    seen = [bed.get(bed.token(actions=["nothing"])).status for _ in range(60)]
    assert set(seen) == {401, 429} and seen.index(429) >= 20 and origin.count() == 0
    assert bed.get(bed.token("mallory"), who="mallory").status == 200, "others are not kept waiting"
    wait_until(lambda: bed.get(bed.token()).status == 200, seconds=60, what="the pause to be over")


def test_a_key_that_is_removed_ends_its_grants(own_bed, origin):
    bed = own_bed
    old, kept = bed.token(), bed.token("mallory", rsa=True)
    assert bed.get(old).status == 200 and bed.get(kept, who="mallory").status == 200
    bot = bed.keys.issuers()[0]
    bot["jwks"]["keys"] = [k for k in bot["jwks"]["keys"] if k["kid"] != "bot-ec"]
    write_jwks(bed.folder, bot)
    bed.hangup()
    wait_until(lambda: bed.get(None).problem == "grant-required", what="the grant to end")
    r = bed.get(old)
    assert (r.status, r.problem) == (401, "grant-invalid") and "unknown key" in r.json()["detail"]
    assert bed.get(kept, who="mallory").status == 200
    bot["jwks"] = {"keys": []}
    write_jwks(bed.folder, bot)
    bed.hangup()
    time.sleep(1)
    assert bed.get(kept, who="mallory").status == 200, "a broken file takes no effect"


def test_auditors_and_operators_see_who_vouched(bed):
    alice, dan, olga = (bed.gw.person(n) for n in ("alice", "dan", "olga"))
    assert bed.get(bed.token()).status == 200
    def found():
        return [s for s in dan.api_ok("GET", "/api/v1/sessions?person=alice")["sessions"] if s.get("basis") == "external"]
    session = wait_until(found, what="the session")[0]
    assert session["issuer"] == "bot" and session["approved_by"] == []
    live = [g for g in olga.api_ok("GET", "/api/v1/live")["live"] if g["person"] == "alice"]
    assert live[0]["basis"] == "external" and live[0]["issuer"] == "bot"
    active = [g for g in olga.api_ok("GET", "/api/v1/activity")["sessions"] if g["person"] == "alice"]
    assert active[0]["issuer"] == "bot"
    assert b"issuer bot" in dan.cli("sessions", "--person", "alice", expect=0).stdout
    assert alice.api("GET", "/api/v1/sessions").status == 403


def test_no_issuer_no_token(gateway_of, origin):
    """Off by default."""
    g = gateway_of()
    keys = external.Keys(external.seeded("x"))
    t = external.Table(keys, x5t(g.person("alice").cred), int(time.time()), "alice@test.localhost")
    r = g.person("alice").get("/hello", [("Countersign-Grant", t.signed())])
    assert (r.status, r.problem) == (401, "grant-invalid") and origin.count() == 0


def test_check_names_what_is_wrong_with_a_jwks(bed, tmp_path):
    conf = os.path.join(bed.gw.state, "test.conf")
    p = bed.gw.run_command("check", "-c", conf)
    assert p.returncode == 0, p.stdout
    bot = bed.keys.issuers()[0]
    for jwks, said in (({"keys": []}, b"needs 1 to 32 keys"), ({"keys": [{**bot["jwks"]["keys"][1], "e": "Aw"}]}, b"another exponent than 65537")):
        write_jwks(bed.folder, {**bot, "jwks": jwks})
        p = bed.gw.run_command("check", "-c", conf)
        assert p.returncode == 1 and b"issuer 'bot'" in p.stdout and said in p.stdout, p.stdout
    write_jwks(bed.folder, bot)
