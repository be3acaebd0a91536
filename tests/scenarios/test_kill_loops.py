"""(alone) Promises 4 and 5 under kill -9 at random moments. A short version here, 200 loops with --long.

Each loop plays the story: a page, a held export, its sign-off, its release, another page; somewhere in it a process is killed. Afterwards: no
sign-off ran twice, no answered approval is lost, every exchange that was delivered is in the recording."""
import os
import random
import threading
import time

import pytest

from harness.people import give_grant, wait_until
from harness.recording import exchanges, read_tar

LONG = bool(os.environ.get("COUNTERSIGN_LONG"))
LOOPS = 200 if LONG else 6
FORM = [("Content-Type", "application/x-www-form-urlencoded")]


def patiently(action, ok, seconds=60):
    """Repeat an idempotent step until it is answered as wanted, across restarts."""
    end = time.monotonic() + seconds
    last = None
    while time.monotonic() < end:
        try:
            last = action()
            if ok(last):
                return last
        except (OSError, AssertionError, ValueError, KeyError) as e:
            last = e
        time.sleep(0.1)
    raise AssertionError(f"not answered within {seconds} s; last: {(last.status, last.body[:200]) if hasattr(last, 'body') else last}")


class Story:
    """One loop after the other, remembering what was answered."""

    def __init__(self, g, origin):
        self.g, self.origin = g, origin
        self.alice, self.carol = g.person("alice"), g.person("carol")
        self.delivered, self.approved, self.ran, self.maybe = {}, {}, [], []

    def page(self, n):
        target = f"/big?bytes={1000 + n}&loop={n}.{time.monotonic_ns()}"
        r = patiently(lambda: self.alice.get(target), lambda r: r.status == 200 and r.complete)
        self.delivered[target] = r.body

    def export(self, n):
        body = b"audience=%d&loop=%d" % (n, time.monotonic_ns())

        def held():
            r = self.alice.request("POST", "/export", FORM, body)
            assert r.problem == "signoff-required"
            return self.alice.item(r.json()["held_id"])
        item = patiently(held, lambda i: bool(i))
        self.approve(item["id"])
        self.run_once(body)

    def approve(self, item_id):
        def decided():
            if self.alice.item(item_id)["state"] in ("approved", "used"):
                return True
            return self.carol.decide(item_id).status in (200, 201)
        patiently(decided, bool)
        self.approved[item_id] = True

    def run_once(self, body):
        """Sent once, and once more if nothing was answered: whatever is killed in between, the tool must see it once at most."""
        self.maybe.append(body)
        for _ in range(2):
            try:
                r = self.alice.request("POST", "/export", FORM, body)
            except OSError:
                time.sleep(1)
                continue
            if r.status == 200 and r.complete:
                self.ran.append(body)
                return

    def check(self):
        seen = [r.body for r in self.origin.requests if r.path == "/export"]
        twice = {b for b in seen if seen.count(b) > 1}
        assert not twice, f"ran twice: {twice}"
        assert not set(self.ran) - set(seen)
        for item_id in self.approved:
            item = patiently(lambda i=item_id: self.alice.item(i), lambda i: bool(i))
            assert item["state"] in ("approved", "used", "expired"), f"an answered approval is lost: {item}"
            assert [d["person"] for d in item["decisions"]] == ["carol"]


def recorded(g, session):
    """{target: every body recorded under it}: a try that was killed stands there beside the one that was answered."""
    kept = {}
    with open(os.path.join(g.state, "recordings", f"{session}.tar"), "rb") as f:
        for e in exchanges(read_tar(f.read())):
            kept.setdefault(e.request_line.split()[1], []).append(e.response_body)
    return kept


def check_recorded(g, session, delivered):
    """A segment closes after 2 s, and one exchange may spread over two: wait for whole bodies, then compare."""
    def missing():
        kept = recorded(g, session)
        return [t for t, body in delivered.items() if body not in kept.get(t, [])]
    try:
        wait_until(lambda: not missing(), 60)
    except AssertionError:
        raise AssertionError(f"delivered and not in the recording: {missing()}") from None


class Assassin:
    """One kill -9 a loop, at a random moment of it."""

    def __init__(self, g, victims):
        self.g, self.victims, self.rng, self.kills = g, victims, random.Random(4711), 0
        self.thread = None

    def aim(self):
        self.thread = threading.Thread(target=self._strike, args=(self.rng.uniform(0, 0.4), self.rng.choice(self.victims)), daemon=True)
        self.thread.start()

    def _strike(self, delay, victim):
        time.sleep(delay)
        try:
            self.g.kill(victim)
        except (AssertionError, ProcessLookupError):
            return                                # it is being restarted just now
        self.kills += 1
        if victim == "run":
            self.g.process.wait(60)
            wait_until(lambda: not self.g.processes(), 60, "the end of the others")
            self.g.start(wait=False)

    def rest(self):
        self.thread.join(120)
        assert not self.thread.is_alive(), "the gateway did not come to its end after its parent was killed"


def play(g, origin, victims, loops):
    session = give_grant(g.person("alice"), g.person("bob"), duration_s=1800)["grant_id"]
    origin.reset()
    story, assassin = Story(g, origin), Assassin(g, victims)
    for n in range(loops):
        assassin.aim()
        story.page(n)
        story.export(n)
        story.page(n)
        assassin.rest()
    patiently(lambda: story.alice.get("/end"), lambda r: r.status == 200)
    story.check()
    check_recorded(g, session, story.delivered)
    assert assassin.kills >= loops // 2, f"only {assassin.kills} kills in {loops} loops"
    return story, session, assassin.kills


VICTIMS = {"authz": (["authz"], 1), "proxy": (["proxy"], 1), "either": (["authz", "proxy"], 1), "parent": (["run"], 3)}


@pytest.mark.limit(6000)
@pytest.mark.parametrize("who", VICTIMS)
def test_one_process_at_a_time(gateway_of, origin, who, record_property):
    victims, part = VICTIMS[who]
    g = gateway_of(limits={"held_per_person": 1000})
    loops = max(2, LOOPS // part)
    story, session, kills = play(g, origin, victims, loops)
    for name, value in (("loops", loops), ("kills", kills), ("exports_run", len(story.ran))):
        record_property(name, value)
    assert g.person("dan").cli("verify", session, timeout=120).returncode == 0


@pytest.mark.limit(6000)
def test_all_processes_at_once(gateway_of, origin):
    """At most the last 2 s of undurable exchanges may be missing; a sign-off never runs twice, an approval is never lost."""
    g = gateway_of(limits={"held_per_person": 1000})
    session = give_grant(g.person("alice"), g.person("bob"), duration_s=1800)["grant_id"]
    origin.reset()
    story, rng = Story(g, origin), random.Random(815)
    old = {}
    for n in range(LOOPS // 4 if LONG else 3):
        story.page(n)
        story.export(n)
        old.update(story.delivered)
        story.delivered.clear()
        time.sleep(2.5)
        story.page(n)
        story.delivered.clear()
        time.sleep(rng.uniform(0, 0.5))
        g.kill_all()
        g.start()
        patiently(lambda: story.alice.get("/back"), lambda r: r.status == 200)
    story.check()
    check_recorded(g, session, old)
    assert g.person("dan").cli("verify", session, timeout=120).returncode == 0
