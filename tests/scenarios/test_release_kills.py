"""(alone) Promise 4 under kill -9 at each step of a release, with many hands at it at once. A short version here; with --long 500 kills at each step.

Each loop signs a request off, has it released over several connections at the same moment (64 in every 25th loop), and kills the process that decides, the one that sends, or both:

    racing    at a moment between the first byte of the releases and what follows: before the commit, between commit and sending, after it
    sent      when the tool has the request and has not answered
    answering when half of the tool's answer is out
    answered  when the client has all of it

Afterwards: the tool ran it once or never; what the history calls `not-sent` never reached the tool, what it calls `answered` did; and the same bytes sent again run only if they never ran."""
import asyncio
import collections
import concurrent.futures
import os
import random
import threading
import time

import pytest

from harness.people import give_grant, wait_until
from test_kill_loops import FORM, patiently

LONG = bool(os.environ.get("COUNTERSIGN_LONG"))
LOOPS = int(os.environ.get("COUNTERSIGN_RELEASE_KILLS") or (500 if LONG else 5))
VICTIMS = (["authz"], ["proxy"], ["authz", "proxy"])


class Killer:
    """Kills once when it is armed; counts."""

    def __init__(self, g, rng):
        self.g, self.rng, self.kills, self.armed, self.lock = g, rng, 0, False, threading.Lock()

    def arm(self):
        self.victims, self.armed = self.rng.choice(VICTIMS), True

    def strike(self):
        with self.lock:
            if not self.armed:
                return
            self.armed = False
            hit = False
            for victim in self.victims:
                try:
                    self.g.kill(victim)
                    hit = True
                except (AssertionError, ProcessLookupError):
                    pass                      # it is on its way up
            self.kills += hit


def tool(killer, step):
    """The tool's answer, with the kill at the wanted moment of it."""
    async def script(request, conn):
        strike = asyncio.get_running_loop().run_in_executor
        if step == "sent":
            await strike(None, killer.strike)
        await conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        if step == "answering":
            await asyncio.sleep(0.02)
            await strike(None, killer.strike)
        await conn.send(b"world")
    return script


class Bed:
    def __init__(self, g, origin, step):
        self.g, self.origin, self.step, self.rng = g, origin, step, random.Random(4711)
        self.alice, self.carol, self.killer = g.person("alice"), g.person("carol"), Killer(g, self.rng)
        self.tally = collections.Counter()
        give_grant(self.alice, g.person("bob"), duration_s=8 * 3600)
        origin.reset()
        origin.on("/export", tool(self.killer, step))

    def signed_off(self, target, body):
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
        return item

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
            if self.step == "racing":
                time.sleep(self.rng.uniform(0, 0.04))
                self.killer.strike()
            statuses = [a.result(60) for a in answers]
        if self.step == "answered":
            self.killer.strike()
        return statuses

    def runs(self, target):
        return self.origin_count(target)

    def origin_count(self, target):
        with self.origin.lock:
            return sum(r.target == target for r in self.origin.requests)

    def settled(self, item):
        """Its state once everybody is back: what was used has an outcome, or gets one."""
        return patiently(lambda: self.alice.item(item), lambda i: i["state"] != "used" or i.get("outcome"))

    def loop(self, n):
        target, body = f"/export?n={n}", b"audience=%d" % n
        item = self.signed_off(target, body)
        self.killer.arm()
        statuses = self.release(target, body, 64 if n % 25 == 1 else 4)
        self.killer.strike()                  # the moment never came: then at the end
        patiently(lambda: self.alice.get("/probe"), lambda r: r.status == 200)
        found, ran = self.settled(item), self.runs(target)
        outcome = found.get("outcome")
        assert ran <= 1 and statuses.count(200) <= 1, f"{n}: ran {ran} times, answered {statuses.count(200)} times"
        assert found["state"] in ("approved", "used"), f"{n}: {found['state']}"
        assert ran == 0 or found["state"] == "used", f"{n}: the tool has it, and the history says that it waits"
        assert outcome != "not-sent" or ran == 0, f"{n}: not-sent, and the tool has it"
        assert outcome != "answered" or ran == 1, f"{n}: answered, and the tool never had it"
        assert 200 not in statuses or (ran == 1 and outcome in ("answered", "outcome-unknown")), f"{n}: answered to alice, but {outcome}"
        again = patiently(lambda: self.alice.request("POST", target, FORM, body), lambda r: r.status in (200, 403))
        assert (again.status == 200) == (found["state"] == "approved"), f"{n}: {found['state']}, and then {again.status}"
        assert self.runs(target) == ran + (again.status == 200) <= 1
        self.tally[f"{found['state']}/{outcome or '-'}/ran {ran}"] += 1


def wide(config):
    config["tools"][0].update(max_duration="8h")
    config["limits"] = {"held_per_person": 10000}


@pytest.mark.limit(6000)
@pytest.mark.parametrize("step", ["racing", "sent", "answering", "answered"])
def test_a_release_runs_once_or_never(gateway_of, origin, step, record_property):
    bed = Bed(gateway_of(change=wide), origin, step)
    for n in range(LOOPS):
        bed.loop(n)
        if n % 50 == 49:                      # the list of what was held grows; let it go
            bed.origin.requests.clear()
    record_property("kills", bed.killer.kills)
    record_property("seen", dict(bed.tally))
    print(step, bed.killer.kills, dict(bed.tally))
    assert bed.killer.kills >= LOOPS * 9 // 10
    if LONG:
        assert wait_until(lambda: bed.alice.get("/probe").status == 200)
        assert step != "racing" or len(bed.tally) >= 2, "the kills never fell into different steps"
