"""A well-behaved client that goes on while something else is attacked, and says how it fared."""
import ssl
import threading
import time


class Steady:
    """One request after the other, over HTTP/1.1 and HTTP/2 in turn, each on a connection of its own, in a thread of its own. `lost_in_a_hundred`: where strangers displace each other a
    newcomer is a stranger until its handshake is done; on a busy machine that can take longer than its turn comes. One loss is allowed then, or so many in a hundred."""

    def __init__(self, person, target="/steady", pause_s=0.05, expect=(200,), lost_in_a_hundred=0):
        self.person, self.target, self.pause_s, self.expect = person, target, pause_s, expect
        self.lost, self.lost_in_a_hundred = 0, lost_in_a_hundred
        self.served, self.failures, self.slowest_s = 0, [], 0.0
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        begun = time.monotonic()
        while not self.stop.is_set():
            try:
                r = self.person.get(self.target, proto="h2" if self.served % 2 else "h1")
                if r.status == 0:
                    raise ConnectionResetError("closed without an answer")
                if r.status == 503 and r.problem == "authorization-unavailable":
                    continue            # a machine so busy that the deciding process is heard late; the slowest answer counts
                if r.status not in self.expect:
                    self.failures.append(f"{r.status} {r.body[:200]!r}")
            except (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError) as e:
                self.lost += 1
                if self.lost_in_a_hundred == 0:
                    self.failures.append(repr(e))
            except Exception as e:      # a flood must not reach another client in any way
                self.failures.append(repr(e))
            self.served += 1
            self.slowest_s = max(self.slowest_s, time.monotonic() - begun)
            self.stop.wait(self.pause_s)
            begun = time.monotonic()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, *_):
        before = self.served
        while self.served < before + 2 and self.thread.is_alive() and kind is None:
            time.sleep(0.05)            # at least two after the attack
        self.stop.set()
        self.thread.join(60)
        if kind is None:
            assert not self.failures, f"{len(self.failures)} of {self.served} failed: {self.failures[:3]}"
            assert self.lost * 100 <= max(self.served * self.lost_in_a_hundred, 100), f"{self.lost} of {self.served} connections were reset"
            assert self.served >= 2 and self.slowest_s < 20, f"served {self.served}, the slowest took {self.slowest_s:.1f} s"
