"""`Prefer: wait=N`: an API client waits in the same exchange for its sign-off; it then runs once, or answers as it would have at once."""
import threading
import time

import pytest

from harness.clients import h1_request
from harness.config_text import SUPPORT
from harness.people import give_grant, wait_until

FORM = [("Content-Type", "application/x-www-form-urlencoded")]
PROTOS = ["h1", "h2"]
GATEWAY = {"limits": {"signoff_wait": "60s", "signoff_waits_per_person": 3, "held_per_person": 50, "drain": "5s"}}


@pytest.fixture(autouse=True)
def granted(gw):
    alice = gw.person("alice")
    if not alice.status()["grants"]:
        give_grant(alice, gw.person("bob"))


class Waiting(threading.Thread):
    """A request that waits; `answer` once it is there."""

    def __init__(self, who, body, seconds=60, proto="h1", fields=()):
        super().__init__(daemon=True)
        self.who, self.body, self.proto = who, body, proto
        self.fields = [*FORM, ("Prefer", f"wait={seconds}"), *fields]
        self.answer = self.error = None
        self.start()

    def run(self):
        try:
            self.answer = self.who.request("POST", "/export", self.fields, self.body, proto=self.proto)
        except Exception as e:    # noqa: BLE001 - the test looks at it
            self.error = e

    def end(self, seconds=60):
        self.join(seconds)
        assert not self.is_alive(), "it still waits"
        assert self.error is None, self.error
        return self.answer


def held_with(who, digest_of):
    """The newest held request that is pending, once there is one more than `digest_of` knew."""
    return wait_until(lambda: next((h for h in who.held() if h["id"] not in digest_of and h["state"] == "pending"), None), what="the held request")


def known(who):
    return {h["id"] for h in who.held()}


@pytest.mark.parametrize("proto", PROTOS)
def test_it_runs_in_the_same_exchange_once_it_is_signed_off(gw, origin, proto):
    alice, before = gw.person("alice"), known(gw.person("alice"))
    w = Waiting(alice, b"audience=wait-" + proto.encode(), proto=proto)
    item = held_with(alice, before)
    time.sleep(0.3)
    assert origin.count("/export") == 0 and w.is_alive()
    assert gw.person("carol").decide(item["id"]).status in (200, 201)
    r = w.end()
    assert r.status == 200 and r.get("preference-applied") == "wait=60"
    assert origin.count("/export") == 1 and origin.last("/export").body == b"audience=wait-" + proto.encode()
    item = wait_until(lambda: (i := alice.item(item["id"])).get("outcome") and i, what="the outcome")
    assert (item["state"], item["outcome"], item["status"]) == ("used", "answered", 200)


@pytest.mark.parametrize("proto", PROTOS)
def test_when_the_time_is_up_it_is_told_to_come_back(gw, origin, proto):
    alice = gw.person("alice")
    begun = time.monotonic()
    r = alice.request("POST", "/export", [*FORM, ("Prefer", "wait=1")], b"audience=short-" + proto.encode(), proto=proto)
    assert (r.status, r.problem, r.get("preference-applied")) == (403, "signoff-required", "wait=1")
    assert time.monotonic() - begun >= 0.9 and origin.count("/export") == 0
    assert alice.item(r.json()["held_id"])["state"] == "pending", "it can still be signed off, and run later"


def test_a_no_and_a_withdrawal_end_the_waiting(gw, origin):
    alice, carol, before = gw.person("alice"), gw.person("carol"), known(gw.person("alice"))
    w = Waiting(alice, b"audience=no")
    assert carol.decide(held_with(alice, before)["id"], "deny").status in (200, 201)
    r = w.end()
    assert (r.status, r.problem) == (403, "signoff-void") and origin.count("/export") == 0
    before = known(alice)
    w = Waiting(alice, b"audience=withdrawn")
    item = held_with(alice, before)
    assert alice.cli("withdraw", item["id"], "--reason", "no longer needed").returncode == 0
    assert w.end().status == 403 and origin.count("/export") == 0


def test_of_several_that_wait_for_one_sign_off_one_runs(gw, origin):
    alice, before = gw.person("alice"), known(gw.person("alice"))
    all_of_them = [Waiting(alice, b"audience=same", proto=p) for p in ("h1", "h2", "h1")]
    item = held_with(alice, before)
    time.sleep(0.5)
    assert gw.person("carol").decide(item["id"]).status in (200, 201)
    answers = sorted((w.end().status for w in all_of_them))
    assert answers == [200, 409, 409] and origin.count("/export") == 1
    assert len(known(alice)) == len(before) + 1, "nothing is held anew behind a client's back"


def test_no_more_wait_than_may(gw, origin):
    alice, before = gw.person("alice"), known(gw.person("alice"))
    waiting = [Waiting(alice, b"audience=many%d" % i) for i in range(3)]
    wait_until(lambda: len(known(alice)) == len(before) + 3, what="three that wait")
    time.sleep(0.3)
    r = alice.request("POST", "/export", [*FORM, ("Prefer", "wait=30")], b"audience=many-more")
    assert (r.status, r.problem, r.get("preference-applied")) == (403, "signoff-required", None)
    for h in alice.held():
        if h["state"] == "pending":
            gw.person("carol").decide(h["id"], "deny")
    assert [w.end().status for w in waiting] == [403] * 3
    w = Waiting(alice, b"audience=again", seconds=1)
    assert w.end().get("preference-applied") == "wait=1", "their places are free again"


@pytest.mark.parametrize("how", ["close", "close-after-more", "reset-stream"])
def test_it_never_runs_when_the_client_has_gone(gw, origin, how):
    alice, before = gw.person("alice"), known(gw.person("alice"))
    body = b"audience=gone-" + how.encode()
    if how == "reset-stream":
        with alice.h2() as c:
            stream = c.open("POST", "/export", [*FORM, ("prefer", "wait=60")], end=False)
            c.conn.send_data(stream, body, end_stream=True)
            c.flush()
            item = held_with(alice, before)
            c.conn.reset_stream(stream)
            c.flush()
            c.request("GET", "/hello")
    else:
        with alice.h1() as c:
            c.send(h1_request("POST", "/export", f"{SUPPORT}:{gw.port}", [*FORM, ("Prefer", "wait=60")], body))
            item = held_with(alice, before)
            if how == "close-after-more":
                c.send(b"GET /hello HTTP/1.1\r\nHost: " + f"{SUPPORT}:{gw.port}".encode() + b"\r\n\r\n")
                time.sleep(0.3)
    time.sleep(0.5)
    assert gw.person("carol").decide(item["id"]).status in (200, 201)
    time.sleep(1)
    item = alice.item(item["id"])
    assert origin.count("/export") == 0
    assert item["state"] == "approved" or item.get("outcome") == "not-sent"
    if item["state"] == "approved":
        assert alice.post("/export", body).status == 200, "the sign-off is there for the next try"


def test_a_lock_ends_the_waiting(gw, origin):
    alice, olga, sam, before = gw.person("alice"), gw.person("olga"), gw.person("sam"), known(gw.person("alice"))
    with alice.h1() as c:
        c.send(h1_request("POST", "/export", f"{SUPPORT}:{gw.port}", [*FORM, ("Prefer", "wait=60")], b"audience=locked"))
        item = held_with(alice, before)
        lock = olga.lock("person", "alice").json()["lock"]
        assert c.ends_within(20)
    assert sam.unlock(lock["id"]).status in (200, 201)
    assert alice.item(item["id"])["state"] == "cancelled" and origin.count("/export") == 0


def test_a_drain_ends_the_waiting_at_once(gateway_of, origin):
    g = gateway_of(**GATEWAY)
    alice = g.person("alice")
    give_grant(alice, g.person("bob"))
    w = Waiting(alice, b"audience=drained")
    held_with(alice, set())
    g.process.terminate()
    r = w.end(30)
    assert (r.status, r.problem, r.get("preference-applied")) == (403, "signoff-required", "wait=60")
    g.process.wait(60)


def test_authz_killed_while_one_waits(gateway_of, origin):
    """It is not run twice, and not lost: the sign-off holds for the next try, or it ran."""
    g = gateway_of(**GATEWAY)
    alice, carol = g.person("alice"), g.person("carol")
    give_grant(alice, g.person("bob"))
    w = Waiting(alice, b"audience=authz")
    item = held_with(alice, set())
    g.kill("authz")
    wait_until(lambda: alice.request("GET", "/ready").status < 400, 60, "authz again")
    wait_until(lambda: carol.decide(item["id"]).status in (200, 201, 409), 60, "the decision")
    w.join(60)
    status = w.answer.status if w.answer else None
    if status != 200:
        assert alice.post("/export", b"audience=authz").status == 200
    assert origin.count("/export") == 1


def test_the_proxy_killed_while_one_waits(gateway_of, origin):
    g = gateway_of(**GATEWAY)
    alice, carol = g.person("alice"), g.person("carol")
    give_grant(alice, g.person("bob"))
    w = Waiting(alice, b"audience=proxy")
    item = held_with(alice, set())
    g.kill("proxy")
    w.join(60)
    assert w.answer is None or not w.answer.status, "nobody answered"
    wait_until(lambda: answers(carol), 60, "a proxy again")
    assert carol.decide(item["id"]).status in (200, 201)
    time.sleep(0.5)
    assert origin.count("/export") == 0 and alice.item(item["id"])["state"] == "approved"
    assert alice.post("/export", b"audience=proxy").status == 200 and origin.count("/export") == 1


def answers(who):
    try:
        return who.api("GET", "/api/v1/status").status == 200
    except OSError:
        return False


def test_64_that_wait_for_one_sign_off_and_as_many_that_come_back_for_it(gateway_of, origin):
    g = gateway_of(limits={"signoff_wait": "120s", "signoff_waits_per_person": 64})
    alice, carol = g.person("alice"), g.person("carol")
    give_grant(alice, g.person("bob"))
    waiting = [Waiting(alice, b"audience=crowd", seconds=120, proto="h2" if i % 2 else "h1") for i in range(64)]
    item = held_with(alice, set())
    time.sleep(3)
    retries = []

    def retry():
        retries.append(alice.post("/export", b"audience=crowd").status)
    threads = [threading.Thread(target=retry) for _ in range(16)]
    for t in threads[:8]:
        t.start()
    assert carol.decide(item["id"]).status in (200, 201)
    for t in threads[8:]:
        t.start()
    statuses = [w.end(120).status for w in waiting]
    for t in threads:
        t.join(120)
    assert (statuses + retries).count(200) == 1 and origin.count("/export") == 1
    assert set(statuses) <= {200, 403, 409}


def test_none_waits_where_the_setting_says_so(gateway_of, origin):
    g = gateway_of(limits={"signoff_wait": "0s"})
    alice = g.person("alice")
    give_grant(alice, g.person("bob"))
    r = alice.request("POST", "/export", [*FORM, ("Prefer", "wait=60")], b"audience=x")
    assert (r.status, r.get("preference-applied")) == (403, None)
