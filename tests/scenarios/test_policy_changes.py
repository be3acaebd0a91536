"""An operator who can edit the config file and reload or restart the gateway: what is wider takes effect only with two operators' signatures (policy.second_operator)."""
import copy
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from harness.certificates import Authority
from harness.config_text import action, tool
from harness.gateway import Layout, make_crl, write_config
from harness.live import all_kinds, check_none_ended
from harness.load import Load
from harness.people import give_grant, wait_until

GUARD = {"policy": {"second_operator": True}}


@pytest.fixture
def g(gateway_of):
    gateway = gateway_of(**copy.deepcopy(GUARD))
    give_grant(gateway.person("alice"), gateway.person("bob"), duration_s=1800)
    return gateway


def events(g, name):
    return [line for line in g.log_lines() if line.get("event") == name]


def edit(g, change):
    """The config file as it would be after this; also what Gateway.start() writes."""
    g.config = copy.deepcopy(g.config)
    change(g.config)
    write_config(g.state, g.config)


def reload(g):
    before = len(events(g, "config.reloaded")) + len(events(g, "config.kept")), len(events(g, "reload.done"))
    os.kill(g.process.pid, signal.SIGHUP)
    wait_until(lambda: len(events(g, "config.reloaded")) + len(events(g, "config.kept")) > before[0] and len(events(g, "reload.done")) > before[1], what="the reload")


def groups_of(config, name):
    return next(p for p in config["people"] if p["name"] == name)["groups"]


def nina_may_ask(config):
    groups_of(config, "nina").append("support")


def internal_is_open(config):
    next(a for a in config["tools"][0]["actions"] if a["name"] == "never")["allow"] = "grant"


def change_of(person, what=""):
    """The change that waits for this operator."""
    return wait_until(lambda: next((i for i in person.pending() if i["kind"] == "policy" and what in i["changes"]), None), what=f"a change with {what!r}")


def policy_items(person):
    return [i for i in person.pending() if i["kind"] == "policy"]


def agree(g, item_id, names=("olga", "sam")):
    for name in names:
        r = g.person(name).decide(item_id)
        assert r.status in (200, 201), f"{name}: {r.status} {r.body[:500]!r}"


def restart_hard(g):
    g.kill_all()
    g.start()


def test_a_wider_group_waits_for_two_operators(g, origin):
    nina, olga, sam = g.person("nina"), g.person("olga"), g.person("sam")
    assert nina.ask().problem == "may-not-ask"
    edit(g, nina_may_ask)
    reload(g)
    item = change_of(olga, "group support gains nina")
    assert item["changes"] == "group support gains nina" and re.fullmatch("[0-9a-f]{64}", item["policy"]) and item["policy"] != item["was"]
    assert nina.ask().problem == "may-not-ask"
    assert olga.status()["policy_change"] == item["id"] and "policy_change" not in nina.status()
    assert olga.decide(item["id"]).json()["item"]["state"] == "pending"
    assert olga.decide(item["id"]).problem == "already-decided"
    for name in ("alice", "bob", "carol", "dan", "nina"):
        assert g.person(name).decide(item["id"]).problem in ("not-found", "may-not-approve"), name
    reload(g)
    assert nina.ask().problem == "may-not-ask"
    assert sam.decide(item["id"]).json()["item"]["state"] == "approved"
    give_grant(nina, g.person("bob"))             # authz lets her ask, and the proxy lets her through
    assert not policy_items(olga)
    assert g.person("alice").get("/ready").status == 200   # her grant lives on: her tool's rules are the same


def test_a_wider_rule_counts_nowhere_before(g, origin):
    alice = g.person("alice")
    edit(g, internal_is_open)
    reload(g)
    item = change_of(g.person("olga"), 'tool support: action never: allow: "deny" becomes "grant"')
    for _ in range(3):
        r = alice.get("/internal/x")
        assert r.status == 403 and r.problem != "policy-differs"
        assert alice.get("/ready").status == 200
        reload(g)
    agree(g, item["id"])
    give_grant(alice, g.person("bob"))            # other rules: a new grant
    assert wait_until(lambda: alice.get("/internal/x").status, what="the new rule") == 200


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_a_restart_brings_nothing_in(g, how):
    alice, nina = g.person("alice"), g.person("nina")
    edit(g, nina_may_ask)
    edit(g, internal_is_open)
    if how == "stop":
        assert g.stop() is None
        g.start()
    else:
        restart_hard(g)
    assert nina.ask().problem == "may-not-ask"
    assert wait_until(lambda: alice.get("/ready").status == 200, what="the old grant under the old policy")
    assert alice.get("/internal/x").status == 403
    said = events(g, "policy.not-in-force")
    assert said and "group support gains nina" in said[-1]["changes"] and "never" in said[-1]["changes"]
    item = change_of(g.person("olga"), "nina")
    restart_hard(g)
    assert change_of(g.person("sam"), "nina")["id"] == item["id"]
    g.person("olga").decide(item["id"])
    restart_hard(g)
    assert g.person("sam").decide(item["id"]).json()["item"]["state"] == "approved"
    restart_hard(g)
    assert nina.ask().status == 201
    assert g.run_command("check", "-c", os.path.join(g.state, "test.conf")).returncode == 0


def test_what_only_takes_away_counts_at_once(g):
    alice, mallory = g.person("alice"), g.person("mallory")
    assert mallory.ask().status == 201
    edit(g, lambda c: groups_of(c, "mallory").remove("support"))
    edit(g, lambda c: c["tools"][0]["actions"].append(action("blocked", "/blocked", "deny")))
    reload(g)
    assert wait_until(lambda: mallory.ask().problem, what="the narrower group") == "may-not-ask"
    give_grant(alice, g.person("bob"))
    assert alice.get("/blocked").status == 403
    assert not policy_items(g.person("olga"))
    accepted = events(g, "policy.accepted")
    assert accepted[0]["basis"] == "first" and accepted[-1]["basis"] == "narrower"
    edit(g, lambda c: groups_of(c, "mallory").append("support"))
    reload(g)                                     # back is wider
    assert mallory.ask().problem == "may-not-ask"
    change_of(g.person("olga"), "group support gains mallory")


def test_one_who_watches_is_not_taken_out_alone(g):
    edit(g, lambda c: groups_of(c, "sam").remove("operations"))
    reload(g)
    item = change_of(g.person("olga"), "group operations loses sam")
    agree(g, item["id"])
    assert "operator" in g.person("sam").status() and wait_until(lambda: not g.person("sam").status()["operator"], what="one operator fewer")


def test_where_a_tool_listens_is_policy(g, origin):
    alice = g.person("alice")
    edit(g, lambda c: c["tools"][0].update(upstream="http://127.0.0.1:9"))
    reload(g)
    change_of(g.person("olga"), "tool support: upstream:")
    assert alice.get("/ready").status == 200
    restart_hard(g)
    assert wait_until(lambda: alice.get("/ready").status == 200, what="the old upstream")


def test_the_guard_guards_itself(g):
    nina = g.person("nina")

    def off(config):
        del config["policy"]
    edit(g, off)
    edit(g, nina_may_ask)
    restart_hard(g)
    item = change_of(g.person("olga"), "policy.second_operator: true becomes false")
    assert nina.ask().problem == "may-not-ask"
    agree(g, item["id"])
    assert nina.ask().status == 201
    edit(g, lambda c: groups_of(c, "nina").append("support-lead"))
    reload(g)                                     # every file counts from now on
    assert wait_until(lambda: "support-lead" in nina.status()["groups"], what="the file")
    assert not os.path.exists(os.path.join(g.state, "policy", "in-force"))


def test_another_authority_waits_too(g, tmp_path):
    foreign = Authority.new("somebody's own authority")
    cred = foreign.issue(str(tmp_path), "alice", ["alice@test.localhost"])
    paths = {name: os.path.join(g.state, Layout.files[name]) for name in ("client_ca", "crl")}
    with open(paths["client_ca"], "ab") as f:
        from cryptography.hazmat.primitives.serialization import Encoding
        f.write(foreign.cert.public_bytes(Encoding.PEM))
    with open(make_crl(foreign, str(tmp_path / "crl.pem"), 86400), "rb") as more, open(paths["crl"], "ab") as f:
        f.write(more.read())

    def let_in():
        try:
            return g.nobody(cred).api("GET", "/api/v1/status").status == 200
        except OSError:
            return False
    reload(g)
    item = change_of(g.person("olga"), "tls.client_ca: the file's content changes")
    assert not let_in()
    restart_hard(g)
    assert not let_in()
    assert g.person("alice").api("GET", "/api/v1/status").status == 200
    agree(g, item["id"])
    wait_until(let_in, what="the other authority")


def test_revocation_needs_nobody(g):
    edit(g, nina_may_ask)
    reload(g)
    change_of(g.person("olga"), "nina")
    mallory = g.person("mallory")
    assert mallory.api("GET", "/api/v1/status").status == 200
    g.revoke(g.creds["mallory"])

    def out():
        try:
            return mallory.api("GET", "/api/v1/status").status != 200
        except OSError:
            return True
    wait_until(out, what="the revocation")
    r = g.person("olga").lock("person", "bob")
    assert r.status in (200, 201)
    assert g.person("bob").ask().problem == "locked"


def test_the_files_in_the_state_folder_decide_nothing(g):
    """Whoever can write there makes the proxy read the wide policy, which was kept while it waits; authz says that another one counts, and puts the name right."""
    alice = g.person("alice")
    edit(g, internal_is_open)
    reload(g)
    item = change_of(g.person("olga"), "never")
    pointer = os.path.join(g.state, "policy", "in-force")

    def named():
        with open(pointer, encoding="ascii") as f:
            return f.read().strip()

    def point_at_the_wide_one():
        with open(pointer, "w", encoding="ascii") as f:
            f.write(item["policy"] + "\n")
    assert named() == item["was"]
    for what in (point_at_the_wide_one, lambda: os.unlink(pointer), point_at_the_wide_one):
        seen = set()
        what()
        g.kill("proxy")
        end = time.monotonic() + 3
        while time.monotonic() < end:
            try:
                seen.add(alice.get("/internal/x").status)
            except OSError:
                pass
        assert seen <= {403, 503}, seen
        wait_until(lambda: named() == item["was"], what="the right name")
        assert wait_until(lambda: alice.get("/ready").status == 200, what="the policy in force")
        assert alice.get("/internal/x").status == 403


def test_an_edited_row_is_no_yes(g):
    edit(g, nina_may_ask)
    reload(g)
    item = change_of(g.person("olga"), "nina")
    g.person("olga").decide(item["id"])
    g.kill_all()
    with sqlite3.connect(os.path.join(g.state, "authz.db")) as db:
        db.execute("UPDATE policy_change SET state = 'approved'")
    db.close()
    g.start(wait=False)
    wait_until(lambda: events(g, "authz.not_started"), 60, what="a refusal to start")
    assert "policy_change" in events(g, "authz.not_started")[-1]["error"]
    with sqlite3.connect(os.path.join(g.state, "authz.db")) as db:
        db.execute("UPDATE policy_change SET state = 'pending'")
    db.close()
    g.wait_ready()
    assert g.person("nina").ask().problem == "may-not-ask"


def test_on_the_command_line(g):
    olga, sam, nina = g.person("olga"), g.person("sam"), g.person("nina")
    conf = os.path.join(g.state, "test.conf")
    assert b"is the one in force" in g.run_command("policy", "show", "-c", conf).stdout
    edit(g, nina_may_ask)
    edit(g, lambda c: groups_of(c, "mallory").remove("support"))
    shown = json.loads(g.run_command("policy", "show", "--json", "-c", conf).stdout)
    assert shown["needs_operators"] and {"change": "group support loses mallory", "wider": False} in shown["changes"]
    said = g.run_command("explain", "-c", conf, "--as", "nina@test.localhost", "GET", "https://support.test.localhost/x")
    assert said.returncode == 0 and b"not the policy in force" in said.stderr
    assert b"of which 1 needs the signatures of two operators" in g.run_command("check", "-c", conf).stdout
    reload(g)
    item = change_of(olga, "nina")
    out = olga.cli("pending", expect=0).stdout.decode()
    assert "- group support gains nina\n" in out and "- group support loses mallory (narrower)\n" in out
    assert item["id"] in olga.cli("status", expect=0).stdout.decode()
    assert b"Once" not in nina.cli("approve", item["id"], "--yes", expect=1).stdout
    out = olga.cli("approve", item["id"], "--yes", expect=0).stdout.decode()
    assert item["policy"] in out and "waits for a yes from 2 persons of operations" in out
    out = sam.cli("approve", item["id"], "--yes", expect=0).stdout.decode()
    assert "is in force: approved by olga and sam" in out
    assert nina.ask().status == 201
    kept = os.path.join(g.folder, "proof.json")
    with open(kept, "wb") as f:
        f.write(olga.cli("proof", item["id"], expect=0).stdout)
    assert g.run_command("verify", "approval", kept).returncode == 0
    vectors = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "vectors")
    other = subprocess.run([sys.executable, os.path.join(vectors, "approvals.py"), kept], capture_output=True, timeout=60)
    assert other.returncode == 0, other.stdout + other.stderr


def test_on_the_pages(g):
    def two(config):
        nina_may_ask(config)
        config["tools"][0]["ticket"] = "<script>alert(1)</script>"
    edit(g, two)
    reload(g)
    item = change_of(g.person("olga"), "nina")
    page = g.person("olga").request("GET", f"/items/{item['id']}", [("Accept", "text/html")], host="console.test.localhost")
    text = page.body.decode()
    assert page.status == 200 and "group support gains nina" in text and "A change of the policy" in text
    assert "<script>alert" not in text and "&lt;script&gt;alert" in text


def test_at_the_machine(g):
    conf = os.path.join(g.state, "test.conf")
    edit(g, nina_may_ask)
    p = g.run_command("policy", "accept", "--yes", "-c", conf)
    assert p.returncode == 1 and b"stop it first" in p.stderr     # while it runs
    assert g.stop() is None
    p = g.run_command("policy", "accept", "-c", conf)
    assert p.returncode == 1 and b"nothing was changed" in p.stderr
    p = g.run_command("policy", "accept", "--yes", "-c", conf)
    assert p.returncode == 0, p.stderr
    g.start()
    assert g.person("nina").ask().status == 201
    with sqlite3.connect(os.path.join(g.state, "authz.db")) as db:
        rows = [json.loads(r[0]) for r in db.execute("SELECT content FROM leaf WHERE type = 'policy.accepted' ORDER BY seq")]
    db.close()
    assert [r["basis"] for r in rows] == ["first", "machine"] and rows[1]["changes"] == "group support gains nina"
    assert rows[1]["was"] == rows[0]["policy"]


@pytest.mark.parametrize("harm", ["altered", "gone"])
def test_the_copies_are_lost(g, harm):
    """No start on a policy that is not the log's; at the machine there is a way on, and the log says so."""
    conf, folder = os.path.join(g.state, "test.conf"), os.path.join(g.state, "policy")
    assert g.stop() is None
    edit(g, nina_may_ask)
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if harm == "gone":
            os.unlink(path)
        elif name.endswith(".conf"):
            with open(path, encoding="utf-8") as f:
                text = f.read()
            with open(path, "w", encoding="utf-8") as f:
                f.write(text.replace('"security"', '"support"'))
    g.start(wait=False)
    if harm == "altered":
        assert g.process.wait(60) == 1 and "was altered" in g.log()
        g.process = None
    else:
        wait_until(lambda: events(g, "authz.not_started"), 60, what="a refusal to start")
        assert "countersign policy accept" in events(g, "authz.not_started")[-1]["error"]
        assert g.stop() is None
    p = g.run_command("policy", "accept", "--yes", "-c", conf)
    assert p.returncode == 0, p.stdout + p.stderr
    g.start()
    assert g.person("nina").ask().status == 201


def test_a_new_tool_and_nothing_dropped(g, origin):
    """Under load and with everything live: a change is proposed, agreed on and taken, and nobody notices."""
    lives = all_kinds(g.person("alice"), origin)
    edit(g, lambda c: c["tools"].append(tool("third", "third.test.localhost", origin.port, [action("use", "/**")])))
    with Load(g, "1") as load:
        reload(g)
        item = change_of(g.person("olga"), "new tool third")
        assert "who" in item["changes"] and "third.test.localhost" in item["changes"]
        agree(g, item["id"])
        give_grant(g.person("alice"), g.person("bob"), tool="third", host="third.test.localhost")
    load.check(at_least=20)
    check_none_ended(lives)
    for live in lives.values():
        live.close()


def test_one_operator_alone_is_said(gateway_of):
    gateway = gateway_of(**copy.deepcopy(GUARD), change=lambda c: groups_of(c, "sam").remove("operations"))
    out = gateway.run_command("check", "-c", os.path.join(gateway.state, "test.conf")).stdout
    assert b"policy.second_operator" in out and b"there is one person" in out
    edit(gateway, nina_may_ask)
    reload(gateway)
    item = change_of(gateway.person("olga"), "nina")
    assert gateway.person("olga").decide(item["id"]).json()["item"]["state"] == "pending"
    assert gateway.person("nina").ask().problem == "may-not-ask"
