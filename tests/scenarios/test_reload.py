"""SIGHUP: a new config takes the place of the old one without a dropped request; one that cannot is refused, and a revocation works all the same."""
import os
import signal
import time

import pytest

from harness.clients import H1, tls_connect, tls_context
from harness.config_text import BILLING, CONSOLE, SUPPORT, action, tool
from harness.gateway import Layout, write_config
from harness.live import all_kinds, check_none_ended
from harness.load import Load
from harness.people import give_grant, wait_until

LONG = bool(os.environ.get("COUNTERSIGN_LONG"))
TIMES = 100 if LONG else 8


@pytest.fixture(autouse=True)
def granted(gw):
    """A changed policy ends the grants of its tool."""
    if gw.person("alice").get("/ready").status != 200:
        give_grant(gw.person("alice"), gw.person("bob"), duration_s=1800)


def all_ended(lives, since, seconds):
    late = [name for name, live in lives.items() if not live.ended_within(since, seconds)]
    for live in lives.values():
        live.close()
    assert not late, f"not ended within {seconds} s: {late}"


def count(gw, event):
    return sum(line.get("event") == event for line in gw.log_lines())


def reload(gw, event="reload.done", config=None):
    before = count(gw, event), count(gw, "config.kept") + count(gw, "config.reloaded")
    if config is not None:
        write_config(gw.state, config)
    os.kill(gw.process.pid, signal.SIGHUP)
    wait_until(lambda: count(gw, event) > before[0] and count(gw, "config.kept") + count(gw, "config.reloaded") > before[1], what=event)


@pytest.fixture
def fresh(gw):
    """A copy of the config to change; put back afterwards."""
    import copy
    yield copy.deepcopy(gw.config)
    reload(gw, config=gw.config)


@pytest.mark.limit(900)
@pytest.mark.parametrize("http", ["1", "2"])
def test_no_request_is_dropped_under_load(gw, http):
    with Load(gw, http) as load:
        for _ in range(TIMES):
            reload(gw)
    load.check(at_least=200)


@pytest.mark.limit(300)
def test_exchanges_under_way_go_on(gw, origin):
    lives = all_kinds(gw.person("alice"), origin)
    for _ in range(3):
        reload(gw)
    time.sleep(0.5)
    check_none_ended(lives)
    for live in lives.values():
        live.close()


def test_a_new_tool_and_a_new_policy_take_effect(gw, fresh):
    alice = gw.person("alice")
    assert alice.get("/blocked").status == 200
    fresh["tools"][0]["actions"].append(action("blocked", "/blocked", "deny"))
    fresh["tools"].append(tool("third", "third.test.localhost", gw.origin.port, [action("use", "/**")]))
    reload(gw, config=fresh)
    assert wait_until(lambda: alice.get("/blocked").problem, what="the new policy") == "grant-required"
    give_grant(alice, gw.person("bob"))
    assert alice.get("/blocked").problem == "not-allowed"
    assert alice.request("GET", "/", host="third.test.localhost").problem == "grant-required"


def test_a_person_taken_out_is_out(gw, fresh, origin):
    mallory = gw.person("mallory")
    give_grant(mallory, gw.person("bob"))
    lives = all_kinds(mallory, origin)
    fresh["people"] = [p for p in fresh["people"] if p["name"] != "mallory"]
    begun = time.monotonic()
    reload(gw, config=fresh)
    all_ended(lives, begun, 10)
    assert mallory.get("/").status == 403
    assert gw.person("alice").get("/fine").status == 200


def peer_serial(gw):
    with tls_connect(gw.port, SUPPORT, tls_context(gw.ca)) as s:
        der = s.getpeercert(binary_form=True)
    from cryptography import x509
    return x509.load_der_x509_certificate(der).serial_number


def test_a_new_server_certificate_is_shown_and_old_tickets_mean_nothing(gw):
    alice = gw.person("alice")
    ctx = tls_context(gw.ca, alice.cred)
    with H1(gw.port, SUPPORT, gw.ca, ctx=ctx) as c:
        for _ in range(2):              # the ticket comes with the second answer
            c.request("GET", "/hello")
        session = c.sock.session
    with tls_connect(gw.port, SUPPORT, ctx, session=session) as s:
        assert s.session_reused
    before = peer_serial(gw)
    p = gw.run_command("certs", "issue", "--server", SUPPORT, CONSOLE, "-c", f"{gw.state}/test.conf")
    assert p.returncode == 0, p.stderr
    reload(gw)
    assert peer_serial(gw) != before
    with tls_connect(gw.port, SUPPORT, ctx, session=session) as s:
        assert not s.session_reused, "a session of the old ticket keys was resumed"


def test_a_broken_config_keeps_the_old_one_and_a_revocation_works_all_the_same(gw, fresh, origin):
    cred = gw.issue_person("alice@test.localhost", "alice-lost")
    who = gw.nobody(cred)
    give_grant(who, gw.person("bob"))
    lives = all_kinds(who, origin)
    path = os.path.join(gw.state, "test.conf")
    gw.revoke(cred)
    wait_until(lambda: all(live.ended_at is not None for live in lives.values()), 20, "the end by revocation")
    cred = gw.issue_person("alice@test.localhost", "alice-lost-2")
    who = gw.nobody(cred)
    give_grant(who, gw.person("bob"))
    lives = all_kinds(who, origin)
    config = open(path, encoding="utf-8").read()
    serial = format(cred.certificate().serial_number, "x")
    with Load(gw, "1") as load:
        gw_command_config = os.path.join(gw.state, "good.conf")   # certs revoke reads a config too
        with open(gw_command_config, "w", encoding="utf-8") as f:
            f.write(config)
        os.chmod(gw_command_config, 0o600)
        with open(path, "w", encoding="utf-8") as f:
            f.write(config.replace("instance", "instanze"))
        reload(gw, "reload.certificates")
        check_none_ended(lives)
        begun = time.monotonic()
        p = gw.run_command("certs", "revoke", serial, "-c", gw_command_config)
        assert p.returncode == 0, p.stderr
        all_ended(lives, begun, 20)
    load.check()
    refused = [line for line in gw.log_lines() if line.get("event") == "reload.refused"]
    assert refused and all("next" in line for line in refused)


@pytest.mark.parametrize("setting", ["listen", "workers", "instance"])
def test_what_takes_a_restart_is_refused_and_said(gw, fresh, setting):
    fresh.update({"listen": {"listen": [f"127.0.0.1:{gw.port}", "127.0.0.1:1"]}, "workers": {"workers": 3}, "instance": {"instance": "other"}}[setting])
    reload(gw, "reload.refused", config=fresh)
    said = [line for line in gw.log_lines() if line.get("event") == "reload.refused" and line["process"] == "run"][-1]
    assert said["setting"] == setting and "restart" in said["next"]
    assert gw.person("alice").get("/still").status == 200


def test_two_processes_with_different_rules_judge_nothing(gateway_of, origin):
    """Only the proxy reads the new config: a grant that was approved under the old rules is judged by neither. Then authz reads it too, and ends the grant.
    (Without the sandbox, since a confined proxy is given what the parent read.)"""
    g = gateway_of(sandbox="off")
    alice = g.person("alice")
    give_grant(alice, g.person("bob"))
    assert alice.get("/hello").status == 200
    g.config["tools"][0]["max_duration"] = "20m"
    write_config(g.state, g.config)
    seen = origin.count()
    g.kill("proxy", signal.SIGHUP)
    wait_until(lambda: alice.get("/hello").problem == "policy-differs", what="the refusal")
    assert alice.get("/hello", proto="h2").status == 503 and alice.request("GET", "/x", host=BILLING).problem == "grant-required"
    g.kill("authz", signal.SIGHUP)
    wait_until(lambda: alice.get("/hello").problem == "grant-required", what="the end of the grant")
    assert origin.count("/hello") >= 1 and origin.count() - seen <= 1
    give_grant(alice, g.person("bob"))
    assert alice.get("/hello").status == 200
