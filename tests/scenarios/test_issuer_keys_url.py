"""(waits) Keys of other issuers from a URL: fetched over verified TLS, kept in the log, refreshed, asked for when a token names an unknown one; and nobody but that server can name them."""
import json
import os
import signal
import socket
import sys
import time

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "vectors"))

import external
from harness.gateway import Gateway
from harness.people import wait_until
from harness.receivers import Webhook, server_certificate
from scenarios.test_external_issuers import x5t
from cryptography.hazmat.primitives import serialization


class Bed:
    def __init__(self, origin, folder, refresh="10s", max_age="1h", start=True, other_ca=False):
        self.server = Webhook(str(folder))
        self.base = self.server.url.rsplit("/", 1)[0]
        self.keys = external.Keys(external.seeded("keys at a URL"))
        self.bot = self.keys.issuers()[0]
        self.full = self.bot["jwks"]
        self.answer = lambda: (200, {"Content-Type": "application/jwk-set+json"}, json.dumps(self.bot["jwks"]).encode())
        self.server.behave = lambda n, body: self.answer()
        ca = server_certificate(str(folder) + "/other", label="other")[0] if other_ca else self.server.ca
        row = {"name": "bot", "iss": self.bot["iss"], "jwks_url": self.base + "/jwks.json", "jwks_ca_file": ca, "jwks_refresh": refresh, "jwks_max_age": max_age,
               "algorithms": self.bot["algorithms"], "tools": self.bot["tools"], "actions": ["use", "export"]}
        self.gw = Gateway(origin, issuers=[row], start=start)
        with open(os.path.join(self.gw.state, "keys", "grant.pem"), "rb") as f:
            self.keys.gateway = serialization.load_pem_private_key(f.read(), None)
        self.made = 0

    def finish(self):
        self.server.behave = lambda n, body: 503
        self.gw.finish()
        self.server.close()

    def token(self, who="alice", rsa=False, **more):
        self.made += 1
        table = external.Table(self.keys, x5t(self.gw.person(who).cred), int(time.time()), who + "@test.localhost")
        return table.fresh(f"u-{os.getpid()}-{self.made}", rsa, **more)

    def get(self, token, who="alice"):
        return self.gw.person(who).get("/hello", [("Countersign-Grant", token)] if token else [])

    def shown(self):
        return self.gw.person("olga").api_ok("GET", "/api/v1/status")["issuer_keys"][0]

    def known(self, n=None):
        want = n or len(self.full["keys"])
        return wait_until(lambda: len((s := self.shown())["kids"]) == want and s, what="the keys to be fetched")


@pytest.fixture
def bed(origin, tmp_path):
    b = Bed(origin, tmp_path)
    yield b
    b.finish()


def without(jwks, kid):
    return {"keys": [k for k in jwks["keys"] if k["kid"] != kid]}


def test_keys_are_fetched_and_their_age_is_shown(bed, origin):
    s = bed.known()
    assert s["counts"] and s["age_s"] < 60 and s["url"].startswith("https://") and "why" not in s
    assert bed.get(bed.token()).status == 200
    assert bed.get(bed.token("mallory", rsa=True), who="mallory").status == 200
    said = bed.gw.person("olga").cli("status", expect=0).stdout.decode()
    assert "Keys of other issuers:" in said and "fetched" in said
    assert "issuer_keys" not in bed.gw.person("alice").api_ok("GET", "/api/v1/status")
    assert bed.server.got[0][2] == "/jwks.json"


def test_a_key_that_leaves_ends_its_grants_and_one_that_comes_counts(bed, origin):
    bed.known()
    assert bed.get(bed.token()).status == 200
    bed.bot["jwks"] = without(bed.full, "bot-ec")
    wait_until(lambda: bed.get(None).problem == "grant-required", seconds=60, what="the grant of the key that left to end")
    assert bed.shown()["kids"] == ["bot-rsa"]
    assert bed.get(bed.token("mallory", rsa=True), who="mallory").status == 200
    bed.bot["jwks"] = bed.full
    bed.known()
    assert bed.get(bed.token()).status == 200


def test_an_unknown_kid_makes_it_look_at_once(origin, tmp_path):
    bed = Bed(origin, tmp_path, refresh="1d", max_age="2d", start=False)
    try:
        bed.bot["jwks"] = without(bed.full, "bot-ec")
        bed.gw.start()
        bed.known(len(bed.full["keys"]) - 1)
        bed.bot["jwks"] = bed.full
        token = bed.token()
        r = bed.get(token)
        assert (r.status, r.problem) == (503, "issuer-keys-unavailable") and origin.count() == 0
        wait_until(lambda: bed.get(token).status == 200, what="the new key")
        fetched = len(bed.server.got)
        keys = external.Keys(external.seeded("somebody else's"))
        keys.bot = external.seeded("no key of the bot's")
        strange = external.Table(keys, x5t(bed.gw.person("alice").cred), int(time.time()), "alice@test.localhost")
        strange.header = {"alg": "ES256", "kid": "strange", "typ": "JWT"}
        for n in range(5):                # its own keys, the bot's name: not asked for again within the minute
            assert bed.get(strange.fresh(f"strange-{n}", False)).status in (401, 429)
        assert len(bed.server.got) == fetched
    finally:
        bed.finish()


@pytest.mark.parametrize("what", ["not found", "no JSON", "a shared secret", "too long", "a redirect", "broken off", "binary", "two keys of one kid", "a private key", "empty"])
def test_what_is_unsound_is_refused_whole_and_the_last_good_set_goes_on(bed, origin, what):
    bed.known()
    good = json.dumps(bed.full)
    answers = {
        "not found": (404, {}, b"{}"), "no JSON": (200, {}, b"<html>"), "too long": (200, {}, good.encode() + b" " * 60000), "binary": (200, {}, b"\xff\xfe\x00"),
        "a shared secret": (200, {}, json.dumps({"keys": bed.full["keys"] + [{"kty": "oct", "kid": "x", "k": "AAAA"}]}).encode()),
        "a redirect": (302, {"Location": bed.base + "/elsewhere.json"}, good.encode()), "broken off": (200, {}, good.encode()[:-5]),
        "two keys of one kid": (200, {}, json.dumps({"keys": bed.full["keys"] + bed.full["keys"][:1]}).encode()),
        "a private key": (200, {}, json.dumps({"keys": [{**bed.full["keys"][0], "d": "AAAA"}]}).encode()), "empty": (200, {}, b'{"keys": []}'),
    }
    bed.answer = lambda: answers[what]
    s = wait_until(lambda: (s := bed.shown()).get("why") and s, seconds=60, what="the refusal to be shown")
    assert s["counts"] and len(s["kids"]) == len(bed.full["keys"]), s
    assert bed.get(bed.token()).status == 200, "the last good set goes on"
    assert all(g[2] == "/jwks.json" for g in bed.server.got), "no redirect is followed"


def test_a_server_that_another_authority_vouches_for_is_nobody(origin, tmp_path):
    bed = Bed(origin, tmp_path, other_ca=True)
    try:
        s = wait_until(lambda: (s := bed.shown()).get("why") and s, seconds=60, what="the failure to be shown")
        assert not s["counts"] and s["kids"] == [] and "fetched" not in s
        r = bed.get(bed.token())
        assert (r.status, r.problem) == (503, "issuer-keys-unavailable") and origin.count() == 0
    finally:
        bed.finish()


def test_a_restart_goes_on_with_the_last_good_set_and_an_old_one_counts_no_more(origin, tmp_path):
    bed = Bed(origin, tmp_path, refresh="15s", max_age="30s")
    try:
        bed.known()
        assert bed.get(bed.token()).status == 200
        bed.answer = lambda: (503, {}, b"")
        bed.gw.restart()
        assert len(bed.shown()["kids"]) == len(bed.full["keys"])
        wait_until(lambda: not bed.shown()["counts"], seconds=90, what="the set to grow old")
        wait_until(lambda: bed.get(None).problem == "grant-required", seconds=30, what="its grants to end")
        r = bed.get(bed.token("mallory"), who="mallory")
        assert (r.status, r.problem) == (503, "issuer-keys-unavailable")
        bed.answer = lambda: (200, {}, json.dumps(bed.full).encode())
        wait_until(lambda: bed.shown()["counts"], seconds=90, what="the set to be fresh again")
        wait_until(lambda: bed.get(bed.token("mallory"), who="mallory").status == 200, seconds=30, what="a new grant")
    finally:
        bed.finish()


def test_no_process_can_name_keys_over_authz_s_socket(bed, origin):
    """What a hostile program in the proxy's place has: authz's socket, as any role. Nothing it says about keys is heard."""
    bed.known()
    evil = external.Keys(external.seeded("evil"))
    evil.bot = external.seeded("evil bot")
    jwks = json.dumps(evil.issuers()[0]["jwks"])
    path = os.path.join(bed.gw.state, "run", "authz.sock")
    for role in ("worker", "recorder", "courier", None):
        for message in ({"op": "issuer-keys", "ask": "x", "body": jwks}, {"ask": "x", "body": jwks}, {"op": "notices.done", "ask": "x", "body": jwks, "id": "x", "result": "sent"}):
            s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            s.settimeout(20)
            here = os.getcwd()
            os.chdir(os.path.dirname(path))
            try:
                s.connect("authz.sock")
            finally:
                os.chdir(here)
            try:
                if role:
                    s.send(json.dumps({"n": 1, "op": "hello", "role": role}).encode())
                s.send(json.dumps({"n": 2, **message}).encode())
                while s.recv(70000):
                    pass
            except OSError:
                pass
            s.close()
    mine = external.Table(evil, x5t(bed.gw.person("alice").cred), int(time.time()), "alice@test.localhost").fresh("evil", False)
    assert bed.get(mine).status in (401, 503) and origin.count() == 0
    assert set(bed.shown()["kids"]) == {k["kid"] for k in bed.full["keys"]}
    lane = {os.readlink(f"/proc/{children(bed.gw.process.pid, name)[0]}/fd/3") for name in ("authz", "courier")}
    proxy = f"/proc/{children(bed.gw.process.pid, 'proxy')[0]}/fd"
    held = {os.readlink(f"{proxy}/{fd}") for fd in os.listdir(proxy)}
    assert len(lane) == 2 and all(link.startswith("socket:") for link in lane) and not lane & held, "the proxy holds an end of the lane"
    assert bed.get(bed.token()).status == 200


def test_the_courier_killed_is_started_again_and_goes_on(bed, origin):
    bed.known()
    for _ in range(2):
        for pid in children(bed.gw.process.pid, "courier"):
            os.kill(pid, signal.SIGKILL)
        n = len(bed.server.got)
        wait_until(lambda: len(bed.server.got) > n, seconds=90, what="another fetch")
    assert bed.get(bed.token()).status == 200


def children(parent, name):
    out = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
                ppid = int(f.read().rsplit(")", 1)[1].split()[1])
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                words = f.read().split(b"\0")
        except OSError:
            continue
        if ppid == parent and name.encode() in words[:2]:
            out.append(int(pid))
    return out
