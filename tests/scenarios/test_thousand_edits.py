"""(alone) Promise 6, by chance: random edits of recordings, tiles, checkpoints and rows of the database. Each is found by `verify --state`, offline, holding the log's key and a checkpoint seen elsewhere.
60 of them here; 1,000 with --long."""
import json
import os
import random
import shutil
import sqlite3

import pytest

from harness.authenticator import Authenticator, confirmed
from harness.gateway import command
from harness.people import give_grant, hold, wait_until
from test_alone import GLASS, break_glass, name_delegate, review, uses
from test_log import FIELDS
from test_policy_changes import agree, change_of, edit, internal_is_open, nina_may_ask, reload

LONG = bool(os.environ.get("COUNTERSIGN_LONG"))
PLAIN = os.environ.get("COUNTERSIGN_PLAIN_BUILD") or None
EDITS = 1000 if LONG else 60
# Where what can be edited lies; rows of keys and of what was decided are leaves too.
TABLES = {**FIELDS, "held": ["item", "session", "grant_id", "person", "identity", "x5t", "tool", "action", "method", "authority", "target", "digest", "body_sha256", "state", "seq"],
          "request": ["item", "session", "person", "identity", "tool", "reason", "state", "seq"]}
# And those that came later: all of their columns.
LATER = ["review", "delegation", "policy_change", "new_key", "touched"]
BUDGET = {"distinct": [{"name": "customer", "path": "/customers/{customer}/**", "max": 50}]}   # so that sessions say whom they touch


def decided(gw):
    """A use of break-glass and its review, one not yet reviewed; a delegation; a change of the policy that counts, and one that waits; a key confirmed, and one that is not."""
    mallory, bob = gw.person("mallory"), gw.person("bob")
    for reviewed in (True, False):
        assert break_glass(mallory).status == 201
        if reviewed:
            assert review(bob, wait_until(lambda: uses(bob), what="the use")[0]).status == 200
    assert name_delegate(bob, "carol").status == 200
    edit(gw, nina_may_ask)
    reload(gw)
    agree(gw, change_of(gw.person("olga"))["id"])
    edit(gw, internal_is_open)
    reload(gw)
    change_of(gw.person("olga"))
    confirmed(gw, gw.person("carol"), bob)
    assert Authenticator(gw).register(gw.person("carol")).status in (200, 201)


def a_day(gw, origin):
    """Sessions, a sign-off, a lock and its end; after a restart a little more, so that there are indexes between the segments."""
    decided(gw)
    for turn in range(2):
        for who in ("alice", "mallory"):
            give_grant(gw.person(who), gw.person("bob"))
            for i in range(6):
                gw.person(who).get(f"/customers/{i}?turn={turn}")
        held = hold(gw.person("alice"))["id"]
        assert gw.person("carol").decide(held).status in (200, 201)
        wait_until(lambda: (r := gw.person("alice").release(held)) and r[1] is not None, what="the export")
        assert gw.person("olga").lock("person", "mallory" if turn else "sam", "phished").status == 201
        if turn == 0:
            early = os.path.join(os.path.dirname(gw.state), "early")
            shutil.copytree(os.path.join(gw.state, "log"), early)
            gw.restart()
    wait_until(lambda: sum(s["exchanges"] for s in gw.person("dan").api_ok("GET", "/api/v1/sessions")["sessions"]) >= 28, what="the sessions in the log")
    return early


class Copy:
    """A copy of a stopped gateway's state, and what an attacker can do to it."""

    def __init__(self, gw, early, folder):
        self.key = os.path.join(folder, "log-key")
        with open(self.key, "w", encoding="ascii") as f:
            json.dump(gw.person("dan").api_ok("GET", "/.well-known/countersign-log-key"), f)
        assert gw.stop() is None
        self.good, self.state, self.early = os.path.join(folder, "good"), os.path.join(folder, "state"), early
        shutil.copytree(gw.state, self.good, ignore=shutil.ignore_patterns("run", "keys", "ca", "tls"))
        with sqlite3.connect(os.path.join(self.good, "authz.db")) as c:
            c.execute("PRAGMA journal_mode=DELETE")
        shutil.copytree(self.good, self.state)
        self.head = os.path.join(folder, "head")
        shutil.copy(os.path.join(self.good, "log", "checkpoint"), self.head)
        self.tars = sorted(n for n in os.listdir(os.path.join(self.good, "recordings")) if n.endswith(".tar"))
        self.tiles = sorted(os.path.relpath(os.path.join(folder, n), self.good) for folder, _, names in os.walk(os.path.join(self.good, "log")) for n in names if n != "checkpoint")

        self.needed = {"log/checkpoint"}                                             # partial tiles of earlier checkpoints may go, and the key is kept elsewhere
        for name in self.tiles:
            folder, _, width = name.rpartition("/")
            if not folder.endswith(".p") or int(width) == max(int(n) for n in os.listdir(os.path.join(self.good, folder))):
                self.needed |= {name} - {"log/key"}

    def verify(self):
        p = command("verify", "--state", self.state, "--log-key", self.key, "--head", self.head, "--json", build=PLAIN if LONG else None, timeout=300)
        assert p.returncode in (0, 1) and p.stdout, p.stderr
        said = json.loads(p.stdout)
        assert said["whole"] is (p.returncode == 0)
        return said

    def put_back(self, name):
        target = os.path.join(self.state, name)
        if os.path.exists(target + ".gone"):
            os.unlink(target + ".gone")
        shutil.copy(os.path.join(self.good, name), target)


def members(data):
    """(start, end) of each member of a recording: the extended header with what follows it."""
    at = start = 0
    while data[at]:
        extended = data[at + 156:at + 157] == b"x"
        at += 512 + (int(data[at + 124:at + 135], 8) + 511) // 512 * 512
        if not extended:
            yield start, at
            start = at


def edit_bytes(rng, data, others):
    """Another content that is not this one, and how it came to be."""
    how = rng.choice(["flip", "flip", "flip", "set", "delete", "insert", "truncate", "append", "swap", "repeat", "another"])
    a, n = rng.randrange(len(data)), rng.choice([1, 2, 511, 512, 513, 4096])
    if how == "flip":
        return how, data[:a] + bytes([data[a] ^ 1 << rng.randrange(8)]) + data[a + 1:]
    if how == "set":
        return how, data[:a] + rng.randbytes(n) + data[a + n:]
    if how == "delete":
        return how, data[:a] + data[a + n:]
    if how == "insert":
        return how, data[:a] + rng.randbytes(n) + data[a:]
    if how == "truncate":
        return how, data[:a]
    if how == "append":
        return how, data + rng.choice([bytes(n), rng.randbytes(n)])
    if how == "another":
        return how, rng.choice(others)
    parts = list(members(data)) if data[257:262] == b"ustar" else [(i, min(i + 64, len(data))) for i in range(0, len(data), 64)]
    x, y = sorted(rng.sample(parts, 2)) if len(parts) > 1 else (parts[0], parts[0])
    if how == "swap":
        return how, data[:x[0]] + data[y[0]:y[1]] + data[x[1]:y[0]] + data[x[0]:x[1]] + data[y[1]:]
    return how, data[:y[1]] + data[x[0]:x[1]] + data[y[1]:]                          # repeat: a replayed one


def edit_file(rng, copy, name, others):
    with open(os.path.join(copy.good, name), "rb") as f:
        good = f.read()
    how, bad = edit_bytes(rng, good, others)
    if bad == good:
        return None
    with open(os.path.join(copy.state, name), "wb") as f:
        f.write(bad)
    return f"{name}: {how}"


def edit_recording(rng, copy):
    name = os.path.join("recordings", rng.choice(copy.tars))
    if rng.randrange(20) == 0:
        os.unlink(os.path.join(copy.state, name))
        return name, f"{name}: removed"
    others = [open(os.path.join(copy.good, "recordings", n), "rb").read() for n in copy.tars]
    return name, edit_file(rng, copy, name, others)


def edit_log(rng, copy):
    name = rng.choice([*copy.tiles, "log/checkpoint", "log/checkpoint"])
    if name in copy.needed and rng.randrange(20) == 0:
        os.unlink(os.path.join(copy.state, name))
        return name, f"{name}: removed"
    earlier = os.path.join(copy.early, os.path.relpath(name, "log"))
    others = [open(p, "rb").read() for p in [earlier if os.path.exists(earlier) else os.path.join(copy.good, rng.choice(copy.tiles))]]
    return name, edit_file(rng, copy, name, others)


def edit_row(rng, copy):
    c = sqlite3.connect(os.path.join(copy.state, "authz.db"))
    c.execute("PRAGMA ignore_check_constraints=1")
    table = rng.choice([*TABLES, *LATER])
    field = rng.choice(TABLES.get(table) or [row[1] for row in c.execute(f"PRAGMA table_info({table})")])
    rows = c.execute(f'SELECT rowid, "{field}" FROM "{table}" WHERE "{field}" IS NOT NULL').fetchall()
    if not rows:
        c.close()
        return "authz.db", None
    rowid, value = rng.choice(rows)
    how = rng.choice(["edit", "edit", "edit", "edit", "another", "remove"])
    try:
        if how == "remove":
            c.execute(f'DELETE FROM "{table}" WHERE rowid = ?', (rowid,))
        else:
            new = rng.choice(rows)[1] if how == "another" else value + rng.choice([1, -1, 1000]) if isinstance(value, int) else edit_text(rng, value)
            if new == value:
                return "authz.db", None
            c.execute(f'UPDATE "{table}" SET "{field}" = ? WHERE rowid = ?', (new, rowid))
        c.commit()
    except sqlite3.IntegrityError:                                                   # the table itself refuses it
        return "authz.db", None
    finally:
        c.close()
    return "authz.db", f"{table}.{field} of row {rowid}: {how} ({value!r:.60})"


def edit_text(rng, text):
    at = rng.randrange(len(text) or 1)
    letter = rng.choice("abcxyzABCXYZ0189-_")
    return rng.choice([text[:at] + letter + text[at + 1:], text[:at] + text[at + 1:], text[:at] + letter + text[at:], ""])


@pytest.mark.limit(7000)
def test_random_edits_are_all_found(gateway_of, origin, tmp_path):
    seed = random.randrange(1 << 32)
    rng, done, missed = random.Random(seed), 0, []
    gw = gateway_of(build=PLAIN if LONG else None, policy={"second_operator": True}, keys={"delay": "0s"}, change=lambda config: config["tools"][0].update(break_glass=GLASS, budget=BUDGET))
    copy = Copy(gw, a_day(gw, origin), str(tmp_path))
    said = copy.verify()
    assert said["whole"] and said["sessions"] == 4, said
    kinds = {}
    while done < EDITS:
        name, what = rng.choice([edit_recording, edit_recording, edit_log, edit_row, edit_row])(rng, copy)
        if what is not None:
            done += 1
            kinds[what.rsplit(": ", 1)[1].split(" ")[0]] = kinds.get(what.rsplit(": ", 1)[1].split(" ")[0], 0) + 1
            if copy.verify()["whole"]:
                missed.append(what)
        copy.put_back(name)
    print(f"seed {seed}: {done} edits, {kinds}")
    assert not missed, f"seed {seed}: {len(missed)} of {done} were not found: {missed[:10]}"
    assert copy.verify()["whole"]
