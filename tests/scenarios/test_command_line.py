"""The command line: wrong usage is exit 2 with usage on standard error; refusals are exit 1 and say what to do; --json is JSON; the story works by it."""
import copy
import json
import os
import re

import pytest

from harness.config_text import config_text
from harness.gateway import command
from harness.people import give_grant, wait_until

COMMANDS = ["init", "check", "run", "certs", "request", "status", "pending", "approve", "deny", "withdraw", "carry-over", "keys", "proof", "top", "sessions", "show", "replay", "export", "incident", "auditor-key", "verify", "lock", "unlock", "explain", "hold", "events", "log"]
SUBCOMMANDS = ["certs issue", "certs renew", "certs revoke", "certs list", "certs crl", "certs signing-key", "verify approval", "verify log", "verify all"]
WRONG = [
    [], ["nosuch"], ["--nosuch"], ["init"], ["init", "a", "b"], ["init", "--domain"], ["check", "--nosuch"], ["run"], ["run", "-c"], ["certs"], ["certs", "nosuch"],
    ["certs", "issue"], ["request"], ["request", "support", "--for"], ["request", "a", "b", "--reason", "x"], ["approve"], ["approve", "a", "b"], ["deny"],
    ["show"], ["replay"], ["verify"], ["lock"], ["lock", "person"], ["lock", "person", "x"], ["unlock"], ["status", "extra"], ["pending", "extra"],
    ["sessions", "extra"], ["explain"], ["explain", "--as", "x"], ["withdraw"], ["proof"], ["keys", "extra"], ["top", "extra"], ["certs", "signing-key"],
    ["hold"], ["hold", "a"], ["hold", "a", "--tool", "b", "--reason", "c"], ["hold", "a", "b"], ["events", "extra"], ["log"], ["log", "nosuch", "x", "-c", "y"],
    ["verify", "log", "--witness", "x"], ["approve", "a", "--reason", "x"],
    *([*name.split(), "--nosuch"] for name in COMMANDS + SUBCOMMANDS),
]


@pytest.mark.parametrize("args", WRONG, ids=lambda a: " ".join(a) or "nothing")
def test_wrong_usage_prints_usage_on_standard_error_and_exits_2(args):
    p = command(*args)
    assert p.returncode == 2, f"exit {p.returncode}: {p.stdout!r} {p.stderr!r}"
    assert b"usage" in p.stderr.lower() and not p.stdout


def test_what_is_missing_is_named():
    assert b"'--reason'" in command("unlock", "lck_x").stderr.splitlines()[0]
    assert b"'--config'" in command("run").stderr.splitlines()[0]


def test_helps_columns_stand_below_each_other():
    options = [line for line in command("init", "--help").stdout.decode().splitlines() if line.startswith(("  -", "      --"))]
    assert len(options) > 5 and all(line[32] == " " != line[33] for line in options), options


@pytest.mark.parametrize("name", COMMANDS + SUBCOMMANDS)
def test_help_prints_on_standard_output_and_exits_0(name):
    p = command(*name.split(), "--help")
    assert p.returncode == 0 and b"usage" in p.stdout.lower() and not p.stderr


def test_the_list_of_commands_and_the_version():
    p = command("--help")
    assert p.returncode == 0 and all(c.encode() in p.stdout for c in COMMANDS)
    assert command("--version").stdout.startswith(b"countersign ")


def test_without_a_gateway_a_command_says_what_is_missing():
    for args in (["status"], ["pending"], ["sessions"], ["approve", "req_x"]):
        p = command(*args)
        assert p.returncode in (1, 2) and p.stderr.strip(), args


def test_a_gateway_that_is_not_there_is_an_error_that_says_so(gw):
    p = gw.person("alice").cli("status", "--gateway", "https://console.test.localhost:1")
    assert p.returncode == 1 and b"console.test.localhost" in p.stderr


def test_a_gateway_with_another_ca_is_not_trusted(gw):
    from harness.certificates import Authority, write_pem
    from cryptography.hazmat.primitives.serialization import Encoding
    path = f"{gw.folder}/other-ca.pem"
    write_pem(path, Authority.new("Other CA").cert.public_bytes(Encoding.PEM))
    assert gw.person("alice").cli("status", "--ca", path).returncode == 1


def test_the_story_by_command_line(gw, origin):
    alice, bob, carol, dan = (gw.person(n) for n in ("alice", "bob", "carol", "dan"))
    asked = json.loads(alice.cli("request", "support", "--reason", "ticket 4711", "--for", "10m", "--json", expect=0).stdout)
    item = asked.get("request", asked)
    assert item["id"].startswith("req_")
    assert alice.cli("approve", item["id"], "--yes").returncode == 1
    assert carol.cli("approve", item["id"], "--yes").returncode == 1
    assert item["id"] in bob.cli("pending", expect=0).stdout.decode()
    bob.cli("approve", item["id"], "--yes", expect=0)
    from harness.people import acknowledge
    grant = wait_until(lambda: alice.item(item["id"]).get("grant_id"))
    acknowledge(alice, grant)
    wait_until(lambda: alice.get("/hello").status == 200)
    assert "granted" in alice.cli("status", expect=0).stdout.decode()
    r = alice.post("/export", b"audience=1&name=Amber")
    assert r.problem == "signoff-required"
    held = r.json()["held_id"]
    assert alice.cli("approve", held, "--yes").returncode == 1
    shown = carol.cli("approve", held, "--yes", expect=0).stdout.decode()
    assert "/export" in shown and re.search(r"audience ?= ?1", shown)
    assert alice.post("/export", b"audience=1&name=Amber").status == 200
    r = alice.post("/export", b"audience=1&name=Amber")
    assert r.problem == "signoff-required"
    carol.cli("deny", r.json()["held_id"], "--yes", expect=0)
    sessions = json.loads(dan.cli("sessions", "--json", expect=0).stdout)["sessions"]
    assert grant in [s["id"] for s in sessions]
    assert origin.count("/export") == 1


def test_every_json_output_is_json(gw):
    for who, args in (("alice", ["status"]), ("bob", ["pending"]), ("dan", ["sessions"])):
        json.loads(gw.person(who).cli(*args, "--json", expect=0).stdout)


def test_a_refusal_says_what_happened_why_and_what_next(gw):
    p = gw.person("nina").cli("request", "support", "--reason", "curious", "--for", "10m")
    assert p.returncode == 1 and len(p.stderr.split()) > 8


def test_approving_what_does_not_exist_is_refused(gw):
    for item in ("req_" + "A" * 22, "hld_" + "A" * 22, "x", "../../etc/passwd", "%00"):
        p = gw.person("bob").cli("approve", item, "--yes")
        assert p.returncode in (1, 2) and p.stderr, item


def test_without_a_yes_on_a_terminal_nothing_is_approved(gw):
    """Standard input is empty and no terminal: no approval by accident."""
    mallory, bob = gw.person("mallory"), gw.person("bob")
    item = mallory.ask().json()["request"]["id"]
    bob.cli("approve", item)
    assert mallory.item(item)["state"] == "pending"


def test_explain_says_what_the_policy_would_say(gw):
    conf = os.path.join(gw.state, "test.conf")
    for method, path, word in (("GET", "/customers", "grant"), ("POST", "/export", "sign"), ("GET", "/%65xport", "sign"), ("GET", "/internal/x", "den")):
        p = gw.run_command("explain", "-c", conf, "--as", "alice@test.localhost", method, f"https://support.test.localhost{path}")
        assert p.returncode in (0, 1) and word in p.stdout.decode().lower(), f"{path}: {p.stdout!r} {p.stderr!r}"


def test_explain_says_what_needs_no_second_person(gw, tmp_path):
    config = copy.deepcopy(gw.config)
    config["tools"][0]["auto"] = [{"name": "low-risk", "groups": ["support"], "actions": ["use"], "for": "5m", "reason": "INC-[0-9]+"}]
    config["tools"][0]["break_glass"] = {"groups": ["support"], "for": "10m", "review_within": "24h"}
    path = os.path.join(gw.state, "explained.conf")
    with open(path, "w", encoding="utf-8") as f:
        f.write(config_text(config))
    os.chmod(path, 0o600)

    def said(who, method="GET", at="/customers", *more):
        p = gw.run_command("explain", "-c", path, "--as", f"{who}@test.localhost", method, f"https://support.test.localhost{at}", *more)
        assert p.returncode == 0, p.stderr
        return p.stdout.decode()
    assert "'low-risk' grants it without a second person" in said("alice") and "'INC-[0-9]+'" in said("alice")
    assert "alice may break the glass" in said("alice") and "within 1d" in said("alice")
    assert "grants nothing here: it is not for this action" in said("alice", "POST", "/export")
    assert "grants nothing here: it is for those who may ask" in said("bob") and "bob may not" in said("bob")
    a = json.loads(said("alice", "GET", "/customers", "--json"))
    assert a["auto"][0]["fits"] and a["auto"][0]["max_duration_s"] == 300 and a["break_glass"] == {"may": True, "max_duration_s": 600, "review_within_s": 86400}
    os.remove(path)


def test_init_does_not_overwrite_a_state_folder(gw):
    before = {f: os.stat(os.path.join(gw.state, f)).st_mtime_ns for f in os.listdir(gw.state)}
    p = command("init", gw.state, "--domain", "test.localhost")
    assert p.returncode == 1 and p.stderr
    after = {f: os.stat(os.path.join(gw.state, f)).st_mtime_ns for f in os.listdir(gw.state)}
    assert before.keys() == after.keys()


def test_keys_are_readable_by_their_owner_only(gw):
    for folder, _, files in os.walk(gw.state):
        for name in files:
            path = os.path.join(folder, name)
            if not os.path.isfile(path):
                continue
            with open(path, "rb") as f:
                head = f.read(4096)
            if b"PRIVATE KEY" in head or name in ("held.key",):
                assert os.stat(path).st_mode & 0o077 == 0, path


def test_grants_given_by_the_api_show_in_status(gw):
    sam = gw.person("sam")
    give_grant(sam, gw.person("bob"))
    assert "support" in sam.cli("status", expect=0).stdout.decode()
