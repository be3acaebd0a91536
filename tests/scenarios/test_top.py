"""`countersign top` and GET /api/v1/activity: who is at which tool right now, for auditors and operators only."""
import json
import os
import pty
import re
import select
import subprocess
import time

import pytest

from harness.config_text import BILLING, CONSOLE, SUPPORT
from harness.people import give_grant, wait_until
from harness.websocket import TEXT, Socket, Tool, frame


@pytest.fixture(scope="module", autouse=True)
def granted(gw):
    give_grant(gw.person("alice"), gw.person("bob"))
    give_grant(gw.person("mallory"), gw.person("bob"), tool="billing", host=BILLING)


def live(gw, who="dan"):
    r = gw.person(who).api("GET", "/api/v1/activity")
    assert r.status == 200, r.body
    return {s["person"]: s for s in r.json()["sessions"]}


def test_it_tells_who_is_where_doing_what(gw, origin):
    before = live(gw)["alice"]
    for proto in ("h1", "h2"):
        with (gw.person("alice").h1() if proto == "h1" else gw.person("alice").h2()) as c:
            for _ in range(10):
                assert c.request("GET", "/big?bytes=1000").status == 200
    assert gw.person("alice").post("/notes", b"x" * 500).status == 200

    def counted():
        now = live(gw)["alice"]
        return now["requests"] == before["requests"] + 21 and now["active"] == 0 and now
    now = wait_until(counted, what="21 more requests")
    assert now["sent"] - before["sent"] >= 20 * 1000 and now["received"] - before["received"] == 500
    assert (now["tool"], now["action"], now["identity"], now["source"]) == ("support", "use", "alice@test.localhost", "127.0.0.1")
    assert now["requests_per_s"] > 0.5 and now["since_ms"] <= now["last_ms"] and now["session"] == before["session"]
    assert live(gw, "olga")["mallory"]["tool"] == "billing"


def test_only_auditors_and_operators_may_look(gw):
    for who in ("alice", "bob", "carol", "nina"):
        r = gw.person(who).api("GET", "/api/v1/activity")
        assert (r.status, r.problem) == (403, "auditors-only"), f"{who}: {r.status}"
        p = gw.person(who).cli("top", "--once", expect=1)
        assert b"auditor" in p.stderr
    assert gw.nobody().request("GET", "/api/v1/activity", host=CONSOLE).problem == "certificate-missing"
    assert gw.person("dan").request("GET", "/api/v1/activity", host=SUPPORT).problem == "grant-required"
    assert gw.person("dan").request("GET", "/api/v1/activity", [("Sec-Fetch-Site", "same-site"), ("Sec-Fetch-Mode", "cors")], host=CONSOLE).problem == "cross-origin"


def test_what_is_open_counts_while_it_is(gw, origin):
    Tool(origin)
    s = Socket(gw.person("alice"), "/ws", "h2")
    assert s.is_open
    before = live(gw)["alice"]
    assert before["active"] >= 1 and before["websockets"] == 1
    for _ in range(10):
        s.send(frame(TEXT, b"y" * 1000))
    now = wait_until(lambda: (n := live(gw)["alice"]) and n["received"] - before["received"] >= 10000 and n, what="the bytes of an open WebSocket")
    assert now["websockets"] == 1
    s.close()
    wait_until(lambda: live(gw)["alice"]["websockets"] == 0, what="its end")


def test_the_command_prints_a_table_and_json(gw):
    gw.person("alice").get("/x")
    p = gw.person("dan").cli("top", "--once", expect=0)
    lines = p.stdout.decode().splitlines()
    assert re.search(r"\d live sessions?, [\d.]+ requests/s", lines[0]) and lines[2].split()[:3] == ["PERSON", "TOOL", "ACTION"]
    assert any(line.split()[:3] == ["alice", "support", "use"] for line in lines)
    shown = json.loads(gw.person("dan").cli("top", "--json", expect=0).stdout)
    assert {s["person"] for s in shown["sessions"]} >= {"alice", "mallory"} and shown["time_ms"] > 0
    assert b"1s to 1h" in gw.person("dan").cli("top", "--every", "5ms", expect=2).stderr


class Terminal:
    """`countersign top` on a terminal of its own."""

    def __init__(self, gw, who, rows=24, columns=120):
        import fcntl
        import struct
        import termios
        person = gw.person(who)
        self.fd, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        env = dict(gw.env(), COUNTERSIGN_GATEWAY=f"https://{CONSOLE}:{gw.port}", COUNTERSIGN_CERT=person.cred.cert, COUNTERSIGN_KEY=person.cred.key, COUNTERSIGN_CA=gw.ca,
                   HOME=gw.state, TERM="xterm")
        self.process = subprocess.Popen([gw.binary, "top"], stdin=inner, stdout=inner, stderr=inner, env=env, start_new_session=True)
        os.close(inner)
        self.seen = ""

    def read(self, seconds=0.1):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if select.select([self.fd], [], [], 0.05)[0]:
                try:
                    self.seen += os.read(self.fd, 65536).decode(errors="replace")
                except OSError:
                    return
    def until(self, words):
        def found():
            self.read()
            return words in self.seen
        wait_until(found, 30, f"'{words}' on the screen; there is: {self.seen[-1500:]}")

    def keys(self, text):
        self.seen = ""
        os.write(self.fd, text.encode())

    def end(self):
        self.process.wait(30)
        self.read(0.3)
        os.close(self.fd)
        return self.process.returncode


def test_on_a_terminal_it_refreshes_and_q_quits(gw):
    gw.person("alice").get("/x")
    t = Terminal(gw, "dan")
    t.until("alice")
    t.seen = ""
    t.until("PERSON")                  # drawn again
    t.keys("q")
    assert t.end() == 0 and "\x1b[?1049l" in t.seen


def test_an_operator_locks_from_there_and_an_auditor_cannot(gw, origin):
    for _ in range(30):
        gw.person("alice").get("/x")   # the busiest: the first row
    t = Terminal(gw, "dan")
    t.until("> alice")
    t.keys("p")
    t.until("The reason")
    t.keys("looks odd\n")
    t.until("not locked: ")
    t.keys("q")
    assert t.end() == 0
    t = Terminal(gw, "olga")
    t.until("> alice")
    t.keys("l")
    t.until("The reason")
    t.keys("\n")
    t.until("nothing was locked")
    assert gw.person("olga").api_ok("GET", "/api/v1/locks")["locks"] == []
    t.keys("p")
    t.until("Lock person alice")
    t.keys("looks odd\n")
    t.until("locked; what was running is ended")
    t.keys("q")
    assert t.end() == 0
    locks = gw.person("olga").api_ok("GET", "/api/v1/locks")["locks"]
    assert [(x["kind"], x["value"], x["reason"]) for x in locks] == [("person", "alice", "looks odd")]
    assert gw.person("alice").get("/x").problem == "locked"
    gw.person("olga").unlock(locks[0]["id"])
