"""(alone) Promise 4 under kill -9 at each step of a release, with many hands at it at once. A short version here; with --long 500 kills at each step.

Several gateways at a time, each in a state folder of its own: who was killed comes back after a pause that grows to 5 s, and while one waits the others work. On each of them requests
are held and signed off ahead, so that a sign-off outlives some kills before it is used. Then, one after the other, each is released over several connections at the same moment (64 in
every 25th loop), and at a random moment within the step the process that decides, the one that sends, both, or all of the gateway are killed:

    racing    between the first byte of the releases and what follows: before the commit, between commit and sending, after it
    sent      when the tool has the request and has not answered
    answering when half of the tool's answer is out
    answered  when the client has all of it
    unreachable  while nothing listens where the tool is: before the commit, after it, when "not-sent" is written down

Afterwards: the tool ran it once or never; what the history calls `not-sent` never reached the tool, what it calls `answered` did; and the same bytes sent again run only if they never ran."""
import asyncio
import collections
import concurrent.futures
import os
import random
import signal
import statistics
import threading
import time

import pytest

from harness.gateway import Gateway
from harness.origin import Origin
from harness.people import give_grant
from test_kill_loops import FORM, patiently

LONG = bool(os.environ.get("COUNTERSIGN_LONG"))
PLAIN = (os.environ.get("COUNTERSIGN_PLAIN_BUILD") or None) if LONG else None
LOOPS = int(os.environ.get("COUNTERSIGN_RELEASE_KILLS") or (500 if LONG else 6))
LANES = min(LOOPS, int(os.environ.get("COUNTERSIGN_RELEASE_LANES") or (16 if LONG else 3)))
AWAY_S = 0.3                                  # refusing is quick: by then it is mostly written down
AHEAD = 5                                     # signed off before the first of them is released
STEPS = ["racing", "sent", "answering", "answered", "unreachable"]
EVERYBODY = ("run", "authz", "proxy")
VICTIMS = (("authz",), ("proxy",), ("authz", "proxy"), EVERYBODY)


class Killer:
    """Holds on to the processes it aims at, so that a kill takes no longer than the signal; strikes once when it is armed."""

    def __init__(self, g, seed):
        self.g, self.rng, self.kills, self.fds, self.lock = g, random.Random(seed), 0, [], threading.Lock()
        self.everybody = False

    def arm(self):
        roles = {role: pid for pid, role in self.g.processes().items()}
        wanted = self.rng.choice(VICTIMS)
        self.everybody = wanted == EVERYBODY
        if self.everybody:
            wanted = sorted(roles, key=lambda role: role != "run")    # the parent first: it must not start them again
        with self.lock:
            for role in wanted:
                try:
                    self.fds.append(os.pidfd_open(roles[role]))
                except (KeyError, ProcessLookupError):
                    pass                      # on its way up after the kill before
        return bool(self.fds)

    def strike(self):
        with self.lock:
            for fd in self.fds:
                try:
                    signal.pidfd_send_signal(fd, signal.SIGKILL)
                except ProcessLookupError:
                    pass
                os.close(fd)
            self.kills += bool(self.fds)
            self.fds = []

    def moment(self, longest_s):
        return self.rng.uniform(0, longest_s)


def tool(lanes, step):
    """The tool's answer, with the kill at the wanted moment of it. What it was sent, it ran."""
    async def script(request, conn):
        killer = lanes[int(request.query["lane"][0])].killer
        if step == "sent":
            await asyncio.sleep(killer.moment(0.02))
            killer.strike()
        await conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        if step == "answering":
            await asyncio.sleep(killer.moment(0.03))
            killer.strike()
        await conn.send(b"world")
    return script


class Lane:
    """One gateway, and one release after the other."""

    def __init__(self, g, origin, step, number):
        self.g, self.origin, self.step, self.number = g, origin, step, number
        self.alice, self.carol, self.killer = g.person("alice"), g.person("carol"), Killer(g, 4711 + number)
        self.tally, self.waiting, self.spans = collections.Counter(), collections.deque(), [0.02]
        self.before = []                      # what the tool had before it was away
        self.session = give_grant(self.alice, g.person("bob"), duration_s=8 * 3600)["grant_id"]

    def signed_off(self, n):
        target, body = f"/export?lane={self.number}&n={n}", b"audience=%d" % n

        def held():
            r = self.alice.request("POST", target, FORM, body)
            assert r.problem == "signoff-required", f"{r.status} {r.body[:200]!r}"
            return r.json()["held_id"]
        item = patiently(held, bool)

        def decided():
            if self.alice.item(item)["state"] == "approved":
                return True
            return self.carol.decide(item).status in (200, 201)
        patiently(decided, bool)
        return n, item, target, body

    def release(self, target, body, hands):
        """The same bytes over so many connections, opened before, sent at once; the answers that came whole."""
        gate = threading.Barrier(hands + 1)

        def hand(_):
            try:
                with self.alice.h1(timeout=30) as c:
                    gate.wait(60)
                    r = c.request("POST", target, FORM, body)
                    return r.status if r.complete else 0
            except (OSError, ValueError, threading.BrokenBarrierError):
                gate.abort()
                return 0
        with concurrent.futures.ThreadPoolExecutor(hands) as pool:
            answers = [pool.submit(hand, i) for i in range(hands)]
            try:
                gate.wait(60)
            except threading.BrokenBarrierError:
                pass
            self.race()
            statuses = [a.result(60) for a in answers]
        if self.step == "answered":
            time.sleep(self.killer.moment(0.02))
            self.killer.strike()
        self.spans += [r.at - self.begun for r in self.arrived(target)]
        return statuses

    def race(self):
        """Up to twice as long as a release has taken so far until the tool had it: before and after are as likely."""
        self.begun = time.monotonic()
        if self.step in ("racing", "unreachable"):
            time.sleep(self.killer.moment(AWAY_S if self.step == "unreachable" else 2 * statistics.median(self.spans[-9:])))
            self.killer.strike()

    def tool_leaves(self):
        """Its port refuses connections, and those that were open are closed. What it had is kept: nothing that it ever got is forgotten."""
        self.port, self.before = self.origin.port, self.before + self.origin.requests
        self.origin.close()

    def tool_returns(self):
        self.origin = patiently(lambda: Origin(port=self.port), bool)

    def arrived(self, target):
        with self.origin.lock:
            return [r for r in self.before + self.origin.requests if r.target == target]

    def runs(self, target):
        return len(self.arrived(target))

    def back(self):
        """Everybody is up again: after a kill of all the operator starts it, else the parent does. No polling: a connection waits for the one that sends, a request for the one that decides."""
        if self.killer.everybody:
            self.g.process.wait(60)
            patiently(lambda: not self.g.processes(), bool)
            self.g.start(wait=False)
        patiently(lambda: self.alice.get("/probe"), lambda r: r.status == 200)

    def settled(self, item):
        """Its state once everybody is back: what was used has an outcome, or gets one."""
        return patiently(lambda: self.alice.item(item), lambda i: i["state"] != "used" or i.get("outcome"))

    def loop(self, n, item, target, body):
        patiently(self.killer.arm, bool)
        away = self.step == "unreachable"
        if away:
            self.tool_leaves()
        statuses = self.release(target, body, 64 if n % 25 == 1 else 4)
        self.killer.strike()                  # the moment never came: then at the end
        if away:
            self.tool_returns()
        self.back()
        found, ran = self.settled(item), self.runs(target)
        outcome = found.get("outcome")
        assert ran <= 1 and statuses.count(200) <= 1, f"{n}: ran {ran} times, answered {statuses.count(200)} times"
        assert found["state"] in ("approved", "used"), f"{n}: {found['state']}"
        assert ran == 0 or found["state"] == "used", f"{n}: the tool has it, and the history says that it waits"
        assert not away or (ran == 0 and 200 not in statuses and outcome != "answered"), f"{n}: the tool was away, and yet: ran {ran}, {statuses}, {outcome}"
        assert outcome != "not-sent" or ran == 0, f"{n}: not-sent, and the tool has it"
        assert outcome != "answered" or ran == 1, f"{n}: answered, and the tool never had it"
        assert 200 not in statuses or (ran == 1 and outcome in ("answered", "outcome-unknown")), f"{n}: answered to alice, but {outcome}"
        again = patiently(lambda: self.alice.request("POST", target, FORM, body), lambda r: r.status in (200, 403))
        assert (again.status == 200) == (found["state"] == "approved"), f"{n}: {found['state']}, and then {again.status}"
        assert self.runs(target) == ran + (again.status == 200) <= 1
        self.tally[f"{found['state']}/{outcome or '-'}/ran {ran}"] += 1

    def play(self, loops, deadline):
        loops = collections.deque(loops)
        while loops or self.waiting:
            assert time.monotonic() < deadline, f"lane {self.number}: {len(loops) + len(self.waiting)} loops are left"
            while loops and len(self.waiting) < AHEAD:
                self.waiting.append(self.signed_off(loops.popleft()))
            self.loop(*self.waiting.popleft())
        dan = self.g.person("dan")            # who was killed early may not have closed a segment yet
        patiently(lambda: dan.cli("verify", self.session, expect=0, timeout=300), bool)


def wide(config):
    config["tools"][0].update(max_duration="8h", held_ttl="8h")
    config["limits"] = {"held_per_person": 10000}


@pytest.fixture
def lanes_of(origin):
    made = []

    def make(step):
        for number in range(LANES):
            own = Origin() if step == "unreachable" else origin    # one that can go away alone
            made.append(Lane(Gateway(own, build=PLAIN, change=wide), own, step, number))
        origin.reset()
        origin.on("/export", tool(made, step))
        return made
    yield make
    for lane in made:
        lane.g.finish()
        if lane.origin is not origin:
            lane.origin.close()


@pytest.mark.limit(6000)
@pytest.mark.parametrize("step", STEPS)
def test_a_release_runs_once_or_never(lanes_of, step, record_property):
    lanes, begun = lanes_of(step), time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(LANES) as pool:
        for done in [pool.submit(lane.play, range(lane.number, LOOPS, LANES), begun + 5400) for lane in lanes]:
            done.result()
    kills, seen = sum(lane.killer.kills for lane in lanes), sum((lane.tally for lane in lanes), collections.Counter())
    for name, value in (("kills", kills), ("seen", dict(seen)), ("seconds", round(time.monotonic() - begun))):
        record_property(name, value)
    print(step, kills, dict(seen), f"{time.monotonic() - begun:.0f} s")
    assert seen.total() == LOOPS and kills == LOOPS
    assert step != "unreachable" or seen["used/not-sent/ran 0"] > 0, "the tool was away, and no history says that it was never sent"
    assert not LONG or step != "racing" or len(seen) >= 3, "the kills never fell into different steps"
