"""Grants without a second person (break-glass, rules), the review that is owed, delegates, and grants that begin with their first use: as people see them, and as somebody would abuse them."""
import base64
import hashlib
import json
import os
import re
import signal
import subprocess
import time

from harness.config_text import CONSOLE, SUPPORT_ACTIONS, action, need
from harness.gateway import TESTS
from harness.people import acknowledge, canonical, hold, wait_until

WINDOW = {"start_within": "1h"}
GLASS = {"groups": ["support"], "for": "10m", "review_within": "1h"}
RULES = [{"name": "look-after-hours", "groups": ["support"], "actions": ["look"], "for": "5m", "per_day": 3, "reason": "INC-[0-9]+"}]


def opened(**more):
    def change(config):
        config["tools"][0].update(actions=[action("look", "/look/**"), *SUPPORT_ACTIONS], break_glass=GLASS, auto=RULES, **WINDOW, **more)
    return {"change": change}


GATEWAY = opened()


def break_glass(who, reason="the shop is down", duration_s=300, tool="support"):
    """Just after a start the recorder may not have found authz yet."""
    def answer():
        r = who.api("POST", "/api/v1/requests", {"tool": tool, "reason": reason, "duration_s": duration_s, "basis": "break-glass"})
        return r if r.problem != "recording-unavailable" else None
    return wait_until(answer, 30, "the recorder")


def recorded(g):
    """Until it has, in a gateway of a test's own."""
    assert break_glass(g.person("mallory"), "to see that it works").status == 201
    return g


def uses(who):
    return who.api_ok("GET", "/api/v1/pending")["break_glass"]


def enter(who, grant_id, path="/ready"):
    acknowledge(who, grant_id)
    wait_until(lambda: who.get(path).status < 400, what="the grant at the worker")


def review(who, use, outcome="justified", words="the shop was down"):
    r = who.api("POST", f"/api/v1/reviews/{use['id']}/statement", {"key": who.cred.fingerprint(), "outcome": outcome, "words": words})
    return r if r.status != 200 else who.hand_in(r.json()["statement"])


def test_nobody_breaks_the_glass_unless_the_policy_says_so(gateway_of):
    g = gateway_of()
    r = break_glass(g.person("alice"))
    assert (r.status, r.problem) == (403, "no-break-glass")
    p = g.person("alice").cli("request", "support", "--break-glass", "--reason", "the shop is down", expect=1)
    assert b"break the glass" in p.stderr and b"Next" in p.stderr
    assert b"emergency" not in g.person("alice").request("GET", "/", host=CONSOLE).body


def test_a_use_is_told_marked_and_reviewed(gw, origin):
    alice, bob, dan, olga, carol = (gw.person(n) for n in ("alice", "bob", "dan", "olga", "carol"))
    assert break_glass(bob).problem == "no-break-glass" and recorded(gw)
    assert break_glass(alice, duration_s=601).problem == "bad-duration"
    p = alice.cli("request", "support", "--break-glass", "--reason", "the shop is down", "--json", expect=0)
    item = json.loads(p.stdout)
    assert item["state"] == "granted" and item["basis"] == "break-glass" and item["duration_s"] == 600 and item["decisions"] == []
    grant = item["grant_id"]
    enter(alice, grant)
    # Told at once: approvers, operators, auditors, and she herself; on the page first of all, and by the command.
    for who in (bob, dan, olga, alice):
        use, = [u for u in uses(who) if u["grant_id"] == grant]
        assert use["live"] and not use["overdue"] and use["requester"] == "alice" and use["yours"] == (who.name in ("bob", "dan"))
        page = who.request("GET", "/", host=CONSOLE).body.decode()
        assert page.index("Break-glass") < page.index("Your approval keys") and "the shop is down" in page
        assert b"BREAK-GLASS access to support" in who.cli("pending", expect=0).stdout
    assert uses(carol) == [] and carol.api("GET", f"/api/v1/items/{use['id']}").status == 404
    # Marked wherever the session is seen.
    wait_until(lambda: any(s["id"] == grant for s in dan.api_ok("GET", "/api/v1/sessions")["sessions"]), 30, "the session")
    session = next(s for s in dan.api_ok("GET", "/api/v1/sessions")["sessions"] if s["id"] == grant)
    assert session["basis"] == "break-glass" and session["approved_by"] == [] and session["review"]["state"] == "pending"
    assert b"BREAK-GLASS" in dan.cli("sessions", expect=0).stdout
    assert b"BREAK-GLASS" in dan.cli("show", grant, expect=0).stdout
    assert b"BREAK-GLASS" in dan.cli("replay", grant, "--speed", "0", expect=0).stdout
    assert b"BREAK-GLASS" in dan.cli("top", "--once", expect=0).stdout
    assert any(s["basis"] == "break-glass" for s in olga.api_ok("GET", "/api/v1/live")["live"])
    assert b"Break-glass" in olga.request("GET", "/sessions", host=CONSOLE).body
    assert b"BREAK-GLASS" in alice.cli("status", expect=0).stdout
    # Reviewed by somebody else, once.
    assert review(alice, use).problem == "self-approval"
    assert review(olga, use).problem == "may-not-approve"
    assert b"Justified, sign it" not in alice.request("GET", f"/items/{use['id']}", host=CONSOLE).body
    assert use["id"].encode() in bob.request("GET", f"/items/{use['id']}", host=CONSOLE).body
    p = bob.cli("review", use["id"], "--not-justified", "--words", "there was somebody to ask", "--yes", expect=0)
    assert b"BREAK-GLASS" in p.stdout
    assert review(dan, use).problem == "not-pending"
    assert not [u for u in uses(bob) if u["grant_id"] == grant]
    done = alice.item(use["id"])
    assert done["state"] == "reviewed" and done["review"]["outcome"] == "not-justified" and done["review"]["by"] == "bob"
    report = dan.cli("incident", "--identity", "alice@test.localhost", "--from", "1h", expect=0).stdout
    assert b"BREAK-GLASS: the shop is down" in report and b"not-justified: there was somebody to ask" in report
    wait_until(lambda: dan.cli("verify", grant).returncode == 0, 30, "a whole recording")
    # There is no yes to prove, and the proof says so.
    with open(os.path.join(gw.state, "proof.json"), "wb") as f:
        f.write(dan.cli("proof", item["id"], expect=0).stdout)
    p = dan.cli("verify", "approval", f.name, expect=1)
    assert b"nobody approved this: it was granted by break-glass" in p.stdout + p.stderr


def test_what_is_held_stays_held(gw):
    sam, carol = gw.person("sam"), gw.person("carol")   # sam signs things off, as a rule
    item = break_glass(sam).json()["request"]
    enter(sam, item["grant_id"])
    held = hold(sam)
    assert held["state"] == "pending" and sam.decide(held["id"]).problem == "self-approval"
    assert carol.decide(held["id"]).status == 200
    r = sam.api("POST", "/api/v1/requests", {"tool": "support", "reason": "more time", "duration_s": 60, "extends": item["grant_id"]})
    assert r.problem == "grant-required"


def test_locks_end_it(gateway_of):
    g = gateway_of(**GATEWAY)
    alice, olga = g.person("alice"), g.person("olga")
    enter(alice, break_glass(alice).json()["request"]["grant_id"])
    assert olga.lock("person", "alice").status == 201
    wait_until(lambda: alice.get("/ready").status == 403, what="the lock")
    assert break_glass(alice, "again").problem == "locked"


def test_never_while_nobody_decides(gateway_of):
    """Nor while nothing is recorded: approvals_alone_test (no recorder), test_dying_processes (a full disk)."""
    g = gateway_of(**GATEWAY)
    alice = g.person("alice")
    os.kill(g.pid_of("run"), signal.SIGSTOP)          # nobody starts another one
    try:
        g.kill("authz")
        wait_until(lambda: alice.request("GET", "/api/v1/status", host=CONSOLE).status == 503, 30, "the refusal")
        assert break_glass(alice).status == 503
    finally:
        os.kill(g.pid_of("run"), signal.SIGCONT)


def test_overdue_reviews_are_shown_and_stop_the_next_use(gateway_of):
    def change(config):
        config["tools"][0]["break_glass"] = {**GLASS, "review_within": "1s", "overdue_stops": True, "reviewers": ["security"]}
    g = gateway_of(change=change, audit={"file": "audit.jsonl"})
    alice, olga, carol, bob = (g.person(n) for n in ("alice", "olga", "carol", "bob"))
    assert break_glass(alice).status == 201

    def told():
        with open(os.path.join(g.state, "audit.jsonl"), encoding="ascii") as f:
            return [e for e in map(json.loads, f.read().splitlines()) if e["metadata"]["event_code"] == "review.overdue"]
    use = wait_until(lambda: next((u for u in uses(olga) if u["overdue"]), None), what="overdue")
    assert b"OVERDUE" in olga.cli("pending", expect=0).stdout and b"overdue" in olga.request("GET", "/", host=CONSOLE).body
    event = wait_until(told, what="the event")[0]
    assert event["severity"] == "High" and event["unmapped"]["requester"] == "alice" and event["entity"]["uid"] == use["id"]
    g.restart()
    time.sleep(2.5)
    assert len(told()) == 1, "once, over a restart too"
    r = break_glass(alice, "and again")
    assert (r.status, r.problem) == (403, "review-overdue")
    assert review(bob, use).problem == "may-not-approve"    # the reviewers are named, and he is none
    assert review(carol, use).status == 200
    assert break_glass(alice, "and again").status == 201


def test_a_rule_grants_what_it_lists(gw):
    mallory, bob, dan = gw.person("mallory"), gw.person("bob"), gw.person("dan")
    for words in (["--actions", "use"], [], ["--actions", "look,use"]):
        p = mallory.cli("request", "support", "--reason", f"INC-1 {len(words)} {words[-1:]}", "--for", "5m", *words, expect=0)
        assert b"Who can say yes" in p.stdout
    p = mallory.cli("request", "support", "--reason", "no number", "--for", "5m", "--actions", "look", "--json", expect=0)
    assert json.loads(p.stdout)["state"] == "pending"
    p = mallory.cli("request", "support", "--reason", "INC-2 slow pages", "--for", "5m", "--actions", "look", expect=0)
    assert b"was granted by the rule 'look-after-hours', without a second person" in p.stdout
    grant = mallory.status()["grants"][-1]
    assert grant["basis"] == "auto"
    enter(mallory, grant["grant_id"], "/look/1")
    assert mallory.get("/ready").problem == "action-not-granted"    # nothing but what it lists
    assert mallory.post("/export", b"audience=7").status == 403    # held requests too
    assert not [u for u in uses(bob) if u["grant_id"] == grant["grant_id"]]    # no alarm
    wait_until(lambda: any(s["id"] == grant["grant_id"] and s["basis"] == "auto" for s in dan.api_ok("GET", "/api/v1/sessions")["sessions"]), 30, "the session")
    assert b"granted by rule, without a second person" in dan.cli("show", grant["grant_id"], expect=0).stdout
    assert b"by rule" in dan.cli("sessions", expect=0).stdout


def test_a_rule_does_not_renew_a_budget_for_ever(gateway_of):
    g = gateway_of(**opened(budget={"requests": 5}))
    alice = g.person("alice")
    states = []
    for n in range(5):
        r = alice.api("POST", "/api/v1/requests", {"tool": "support", "reason": f"INC-{n}", "duration_s": 60, "actions": ["look"]})
        states.append(r.json()["request"]["state"])
    assert states == ["granted"] * 3 + ["pending"] * 2


# ---- the console ----

def form(who, **fields):
    body = "&".join(f"{k}={v}" for k, v in fields.items()).encode()
    return who.request("POST", "/ask", [("Sec-Fetch-Site", "same-origin"), ("Accept", "text/html"), ("Content-Type", "application/x-www-form-urlencoded")], body, host=CONSOLE)


def test_the_forms_on_the_console(gateway_of):
    g = recorded(gateway_of(**GATEWAY))
    alice = g.person("alice")
    page = alice.request("GET", "/", host=CONSOLE).body.decode()
    assert "An emergency, and nobody there to approve?" in page and 'name="basis" value="break-glass"' in page and 'name="window"' in page
    r = form(alice, tool="support", reason="x", minutes="5", basis="break-glass")
    assert r.status == 422 and b"emergency" in r.body
    assert form(alice, tool="billing", reason="the+shop+is+down", minutes="5", basis="break-glass").status == 403
    r = form(alice, tool="support", reason="<b>the+shop</b>", minutes="5", basis="break-glass")
    assert r.status == 303
    page = alice.request("GET", "/", host=CONSOLE).body.decode()
    assert "nobody approved this" in page and "&lt;b&gt;the shop&lt;/b&gt;" in page and "<b>the shop" not in page
    assert form(alice, tool="support", reason="later+today", minutes="5", window="61").status == 422
    assert form(alice, tool="support", reason="later+today", minutes="5", window="30").status == 303
    assert alice.status()["requests"][0]["start_within_s"] == 1800
    assert "with the first use, within 30 min" in alice.request("GET", "/", host=CONSOLE).body.decode()


# ---- delegates ----

def name_delegate(who, person, tools=("support",), kinds=("access", "signoff"), seconds=3600):
    r = who.api("POST", "/api/v1/delegations/statement", {"key": who.cred.fingerprint(), "person": person, "tools": list(tools), "kinds": list(kinds),
                                                          "until": int(time.time()) + seconds})
    return r if r.status != 200 else who.hand_in(r.json()["statement"])


FORGED = {
    "another delegate": lambda leaves, _: leaves["delegate.named"]["content"].update(delegate="dan"),
    "a longer time": lambda leaves, _: leaves["delegate.named"]["content"].update(until_s=2 ** 40),
    "more tools": lambda leaves, _: leaves["delegate.named"]["content"].update(tools="*"),
    "another delegator": lambda leaves, _: leaves["delegate.named"]["content"].update(delegator="sam"),
    "more tools, in the statement too": lambda leaves, _: (leaves["delegate.named"]["content"].update(tools="*"), leaves["delegate.named"]["content"]["statement"]["scope"].update(tools="*")),
    "another delegation": lambda leaves, _: leaves["approval"]["content"].update(delegation="dlg_AAAAAAAAAAAAAAAAAAAAAA"),
    "in nobody's place": lambda leaves, _: leaves["approval"]["content"]["statement"]["scope"].pop("on_behalf_of"),
    "in another's place": lambda leaves, _: leaves["approval"]["content"]["statement"]["scope"].update(on_behalf_of="sam"),
    "given before it was named": lambda leaves, all_leaves: (leaves["delegate.named"].update(seq=leaves["approval"]["seq"] + 1), all_leaves.sort(key=lambda leaf: leaf["seq"])),
    "given after its time": lambda leaves, _: leaves["approval"].update(time_ms=leaves["delegate.named"]["content"]["until_s"] * 1000),
}


def test_a_delegate_answers_in_somebody_elses_place(gateway_of):
    g = gateway_of(**GATEWAY)
    alice, bob, olga, dan, carol = (g.person(n) for n in ("alice", "bob", "olga", "dan", "carol"))
    asked = alice.ask().json()["request"]["id"]
    assert carol.decide(asked).problem == "not-found"
    p = bob.cli("delegate", "carol", "--tool", "support", "--kinds", "access", "--for", "2h", expect=0)
    delegation = re.search(rb"dlg_[\w-]{22}", p.stdout)[0].decode()
    assert b"carol answers in the place of bob" in p.stdout
    for who, seen in ((bob, True), (carol, True), (olga, True), (alice, False)):
        assert (delegation.encode() in who.cli("delegate", "--list", expect=0).stdout) == seen
        assert (b"answers in the place of" in who.request("GET", "/delegates", host=CONSOLE).body) == seen
    assert b"You answer in the place of" in carol.request("GET", f"/items/{asked}", host=CONSOLE).body
    p = carol.cli("approve", asked, "--yes", expect=0)
    assert b"in the place of bob" in p.stdout
    item = alice.item(asked)
    assert item["state"] == "granted" and [d["person"] for d in item["decisions"]] == ["carol"]
    enter(alice, item["grant_id"])
    # The proof holds for both verifiers, and not when the delegation is another's, or is left out.
    proof = json.loads(carol.cli("proof", asked, expect=0).stdout)
    assert [leaf["type"] for leaf in proof["leaves"]].count("delegate.named") == 1
    path = os.path.join(g.state, "proof.json")

    def checks(changed):
        with open(path, "w", encoding="utf-8") as f:
            json.dump(changed, f)
        p = subprocess.run(["/usr/bin/python3", os.path.join(TESTS, "vectors", "approvals.py"), path], capture_output=True, timeout=60)
        return dan.cli("verify", "approval", path).returncode, p.returncode
    assert checks(proof) == (0, 0)
    without = {**proof, "leaves": [leaf for leaf in proof["leaves"] if leaf["type"] != "delegate.named"]}
    assert checks(without) == (1, 1)
    for name, change in FORGED.items():
        forged = json.loads(json.dumps(proof))
        change({leaf["type"]: leaf for leaf in forged["leaves"]}, forged["leaves"])
        for leaf in forged["leaves"]:   # as somebody would who can write the file, but not sign
            digest = hashlib.sha256(base64.urlsafe_b64decode(leaf["salt"] + "==") + canonical(leaf["content"])).digest()
            leaf["digest"] = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        assert checks(forged) == (1, 1), name
    wait_until(lambda: dan.cli("verify", item["grant_id"]).returncode == 0, 30, "a whole recording")
    # Taken back: nothing more in his place.
    assert b"It has ended" in carol.cli("delegate", "--withdraw", delegation, "--reason", "back again", expect=0).stdout
    again = alice.ask(reason="once more").json()["request"]["id"]
    assert carol.decide(again).problem == "not-found"


def test_a_delegation_opens_no_way_to_oneself(gw):
    sam, bob, alice, carol = (gw.person(n) for n in ("sam", "bob", "alice", "carol"))
    assert name_delegate(bob, "bob").problem == "no-delegation"
    assert name_delegate(alice, "carol").problem == "no-delegation"     # she has no say
    assert name_delegate(bob, "alice").status == 200
    own = alice.ask(reason="for myself").json()["request"]["id"]
    assert alice.decide(own).problem == "self-approval"
    assert name_delegate(sam, "carol").status == 200
    his = sam.ask(reason="for sam").json()["request"]["id"]
    assert carol.decide(his).problem == "not-found"
    assert name_delegate(carol, "bob", seconds=15 * 86400).problem == "no-delegation"
    with_two = sam.api("POST", f"/api/v1/items/{own}/statement", {"decision": "approve", "key": sam.cred.fingerprint(), "on_behalf_of": "carol"})
    assert with_two.problem == "may-not-approve"


def test_delegate_and_delegator_are_one(gateway_of):
    def change(config):
        config["tools"][0]["approvers"] = need("support-lead", 2)
    g = gateway_of(change=change)
    alice, bob, carol, sam = (g.person(n) for n in ("alice", "bob", "carol", "sam"))
    asked = alice.ask().json()["request"]["id"]
    assert name_delegate(bob, "carol").status == 200
    assert carol.decide(asked).status == 200 and alice.item(asked)["state"] == "pending"
    assert bob.decide(asked).status == 200 and alice.item(asked)["state"] == "pending"
    assert sam.decide(asked).status == 200 and alice.item(asked)["state"] == "granted"


# ---- start when used ----

def test_the_time_begins_with_the_first_use(gw):
    alice, bob = gw.person("alice"), gw.person("bob")
    gw_alice = alice.cli("request", "support", "--reason", "tonight's migration", "--for", "5m", "--start-when-used", "30m", "--json", expect=0)
    item = json.loads(gw_alice.stdout)
    assert item["start_within_s"] == 1800
    assert alice.cli("request", "support", "--reason", "too far away", "--start-when-used", "2h").returncode == 1
    p = bob.cli("approve", item["id"], "--yes", expect=0)
    assert b"beginning with the first use, within 30 min" in p.stdout
    grant = next(x for x in alice.status()["grants"] if x["grant_id"] == alice.item(item["id"])["grant_id"])
    assert grant["start_s"] == 300 and 1700 < grant["exp"] - time.time() <= 1801
    assert b"from the first use on" in alice.cli("status", expect=0).stdout
    acknowledge(alice, grant["grant_id"])
    assert alice.status()["grants"][-1]["start_s"] == 300       # reading the notice is no use
    wait_until(lambda: alice.get("/ready").status < 400, what="the grant at the worker")
    begun = next(x for x in alice.status()["grants"] if x["grant_id"] == grant["grant_id"])
    assert begun["start_s"] == 0 and begun["exp"] - time.time() <= 301
    assert alice.get("/ready").status < 400
    again = next(x for x in alice.status()["grants"] if x["grant_id"] == grant["grant_id"])
    assert again["exp"] == begun["exp"]                         # it begins once


def test_a_window_ends_by_itself(gateway_of):
    g = gateway_of(**GATEWAY)
    alice, bob = g.person("alice"), g.person("bob")
    r = alice.api("POST", "/api/v1/requests", {"tool": "support", "reason": "soon", "duration_s": 600, "start_within_s": 2})
    assert bob.decide(r.json()["request"]["id"]).status == 200
    wait_until(lambda: not alice.status()["grants"], 20, "the end of the window")
    assert alice.get("/ready").problem == "grant-required"
