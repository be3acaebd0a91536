"""(waits) People are told what happened: webhooks and mail from the process `courier`, whatever the receiver does, and decisions go on meanwhile."""
import json
import os
import signal
import socket
import time

import pytest

from harness.certificates import Authority
from harness.config_text import CONSOLE
from harness.people import give_grant, hold, wait_until
from harness.receivers import SECRET, Mailbox, Webhook, verify

REASON = "<!channel> <http://evil.example|log in> `x` & \u202eticket 4711 https://evil.example/a"


def secret_file(folder, text=SECRET):
    path = os.path.join(str(folder), f"secret-{time.monotonic_ns()}")
    with open(path, "w", encoding="ascii", opener=lambda p, flags: os.open(p, flags, 0o600)) as f:
        f.write(text + "\n")
    return path


def to_hook(hook, folder, name="hook", **more):
    out = {"name": name, "kind": "webhook", "url": hook.url, "secret_file": secret_file(folder), **more}
    return {**out, "ca_file": hook.ca} if hook.ca else out


def to_mail(box, name="mail", **more):
    return {"name": name, "kind": "mail", "server": box.url, "from": "gateway@test.localhost", "ca_file": box.ca, **more}


@pytest.fixture
def hook(tmp_path):
    h = Webhook(str(tmp_path))
    yield h
    h.close()


@pytest.fixture
def hooked(gateway_of, hook, tmp_path):
    return gateway_of(notices=[to_hook(hook, tmp_path)])


def test_a_story_is_told_signed_and_without_content(hooked, hook):
    alice, bob, carol = (hooked.person(n) for n in ("alice", "bob", "carol"))
    asked = alice.ask(reason=REASON).json()["request"]
    told = hook.wait_for("access.requested")
    headers, body, _ = hook.got[0]
    assert verify(SECRET, headers, body) and not verify(SECRET[:-1] + "0", headers, body)
    assert not verify(SECRET, headers, body, now=time.time() + 3600), "a replay an hour later"
    assert headers["Countersign-Event"] == "access.requested" and headers["Countersign-Notice"] == told["id"] and told["id"].startswith("ntc_")
    assert (told["person"], told["tool"], told["item"], told["reason"]) == ("alice", "support", asked["id"], REASON)
    assert set(told["for"]) == {"bob", "sam"}, "those who could approve it"
    assert told["link"] == f"https://{CONSOLE}:{hooked.port}/items/{asked['id']}"
    assert bob.decide(asked["id"]).status in (200, 201)
    assert hook.wait_for("item.approved")["by"] == "bob"
    give_grant(alice, bob)
    item = hold(alice, body=b"customer=4711&secret=hunter2", target="/export?customer=4711")
    told = hook.wait_for("signoff.requested")
    assert (told["item"], told["action"], set(told["for"])) == (item["id"], "export", {"carol", "sam"})
    assert carol.decide(item["id"], "deny").status in (200, 201)
    assert hook.wait_for("item.denied")["by"] == "carol"
    olga, sam = hooked.person("olga"), hooked.person("sam")
    lock = olga.lock("person", "mallory").json()["lock"]
    assert (hook.wait_for("lock.placed")["value"], hook.wait_for("lock.placed")["by"]) == ("mallory", "olga")
    assert sam.unlock(lock["id"]).status in (200, 201)
    hook.wait_for("lock.lifted")
    everything = b"".join(b for _, b, _ in hook.got)
    for word in (b"hunter2", b"customer=4711", b"eyJ", b"jws", b"statement", b"/export"):
        assert word not in everything, word
    assert len({h["Countersign-Notice"] for h, _, _ in hook.got}) == len(hook.got), "each once"


def test_slack_gets_text_that_can_do_nothing(gateway_of, tmp_path):
    hook = Webhook(str(tmp_path), tls=False)
    g = gateway_of(notices=[{"name": "chat", "kind": "webhook", "format": "slack", "url": hook.url}])
    asked = g.person("alice").ask(reason=REASON).json()["request"]
    wait_until(lambda: hook.got, 60, "a notice")
    headers, body, _ = hook.got[0]
    assert "Countersign-Signature" not in headers
    text = json.loads(body)["text"]
    assert list(json.loads(body)) == ["text"]
    assert "alice asks for access to 'support'" in text
    said = text.partition("Reason: ")[2].partition(". <https://")[0]
    assert said == "`&lt;!channel&gt; &lt;http://evil.example|log in&gt; 'x' &amp;  ticket 4711 https://evil.example/a`"
    assert text.endswith(f"<https://{CONSOLE}:{g.port}/items/{asked['id']}|Look at it in the console>")
    hook.close()


@pytest.mark.parametrize("answer", [500, 404, (302, {"Location": "https://evil.localhost/"}, b""), "hang", "garbage", "endless"])
def test_what_a_receiver_does_not_take_is_tried_again_and_holds_up_nothing(gateway_of, tmp_path, answer):
    hook = Webhook(str(tmp_path))
    other = Webhook(str(tmp_path))

    def garbage(handler):
        handler.wfile.write(b"\x16\x03 not HTTP\r\n\r\n")

    def endless(handler):
        handler.wfile.write(b"HTTP/1.1 500 no\r\n\r\n")
        for _ in range(200):
            handler.wfile.write(b"x" * 65536)
    special = {"garbage": garbage, "endless": endless}
    hook.behave = lambda n, body: special.get(answer, answer) if n == 0 and isinstance(answer, str) else answer if n == 0 else 200
    g = gateway_of(notices=[to_hook(hook, tmp_path, events=["access.requested"]), to_hook(other, tmp_path, "other")])
    alice, bob = g.person("alice"), g.person("bob")
    asked = alice.ask().json()["request"]
    wait_until(lambda: hook.got, 60, "the first try")
    assert bob.decide(asked["id"]).status in (200, 201), "a decision waits for nobody"
    other.wait_for("item.approved")
    wait_until(lambda: len(hook.got) >= 2, 90, "the second try")
    assert hook.got[0][0]["Countersign-Notice"] == hook.got[1][0]["Countersign-Notice"] and hook.got[0][1] == hook.got[1][1], "the same, with the same id"
    wait_until(lambda: any(line.get("event") == "notice.sent" and line.get("receiver") == "hook" for line in g.log_lines()), 30, "the end of it")
    hook.close()
    other.close()


@pytest.mark.parametrize("fault", ["name", "authority", "clear"])
def test_a_receiver_that_is_not_who_it_should_be_gets_nothing(gateway_of, tmp_path, fault):
    hook = Webhook(str(tmp_path), certificate_for="other.localhost" if fault == "name" else None, tls=fault != "clear")
    target = to_hook(hook, tmp_path)
    if fault == "clear":
        target["url"] = hook.url.replace("http://", "https://")
        target["ca_file"] = Webhook(str(tmp_path)).ca
    if fault == "authority":
        target["ca_file"] = Webhook(str(tmp_path)).ca
    g = gateway_of(notices=[target])
    assert g.person("alice").ask().status == 201
    why = wait_until(lambda: next((line["why"] for line in g.log_lines() if line.get("event") == "notice.failed"), None), 60, "the failure in the log")
    assert not hook.got and why
    assert "/in?k=1" not in g.log(), "a webhook's address may be a secret of its own"
    hook.close()


def test_nothing_is_lost_when_the_courier_is_killed_or_the_gateway_restarted(gateway_of, tmp_path):
    hook = Webhook(str(tmp_path))
    hook.behave = lambda n, body: "hang" if n == 0 else 200
    g = gateway_of(notices=[to_hook(hook, tmp_path, events=["access.requested"])])
    alice = g.person("alice")
    first = alice.ask(reason="the first of them").json()["request"]["id"]
    wait_until(lambda: hook.got, 60, "the first try")
    g.kill("courier")
    second = alice.ask(reason="the second of them").json()["request"]["id"]
    wait_until(lambda: {b["item"] for b in hook.bodies()[1:]} >= {first, second}, 60, "both, after the kill")
    assert len({h["Countersign-Notice"] for h, _, _ in hook.got}) == 2, "repeats bear the same id"
    before = len(hook.got)
    hook.behave = lambda n, body: 503
    third = alice.ask(reason="the third of them").json()["request"]["id"]
    wait_until(lambda: len(hook.got) > before, 60, "a try")
    g.kill_all()
    hook.behave = lambda n, body: 200
    g.start()
    wait_until(lambda: any(line.get("event") == "notice.sent" and hook.bodies()[-1]["item"] == third for line in g.log_lines()), 90, "the third, after the restart")


def test_decisions_go_on_when_the_courier_is_stopped(gateway_of, tmp_path, hook):
    g = gateway_of(notices=[to_hook(hook, tmp_path)])
    pid = g.pid_of("courier")
    os.kill(pid, signal.SIGSTOP)
    try:
        alice, bob = g.person("alice"), g.person("bob")
        give_grant(alice, bob)
        assert hook.got == []
    finally:
        os.kill(pid, signal.SIGCONT)
    hook.wait_for("item.approved")


def test_the_courier_comes_and_goes_with_the_config(gateway_of, tmp_path, hook):
    g = gateway_of()
    assert g.pid_of("courier") is None
    g.config["notices"] = [to_hook(hook, tmp_path)]
    _reload(g)
    wait_until(lambda: g.pid_of("courier"), 30, "a courier")
    g.person("alice").ask()
    hook.wait_for("access.requested")
    g.config["notices"] = []
    _reload(g)
    wait_until(lambda: g.pid_of("courier") is None, 30, "its end")


def _reload(g):
    from harness.gateway import write_config
    write_config(g.state, g.config)
    g.process.send_signal(signal.SIGHUP)


def test_an_upgrade_loses_no_notice(gateway_of, tmp_path, hook):
    """A new `countersign run` takes over: its own courier sends what the old one had not."""
    g = gateway_of(notices=[to_hook(hook, tmp_path, events=["access.requested"])], limits={"drain": "2s"})
    hook.behave = lambda n, body: 503 if n == 0 else 200
    first = g.person("alice").ask(reason="before the upgrade").json()["request"]["id"]
    wait_until(lambda: hook.got, 60, "the first try")
    old = g.take_over()
    second = wait_until(lambda: (r := g.person("alice").ask(reason="after the upgrade")).status == 201 and r.json()["request"]["id"], 60, "a request")
    assert old.wait(60) == 0
    wait_until(lambda: {b["item"] for b in hook.bodies()[1:]} >= {first, second}, 60, "both")
    assert list(g.processes().values()).count("courier") == 1


def test_only_the_events_and_tools_that_are_wanted(gateway_of, tmp_path):
    one, two = Webhook(str(tmp_path)), Webhook(str(tmp_path))
    g = gateway_of(notices=[to_hook(one, tmp_path, "one", events=["item.approved", "lock.placed"]), to_hook(two, tmp_path, "two", tools=["billing"])])
    alice, bob = g.person("alice"), g.person("bob")
    asked = alice.ask().json()["request"]
    bob.decide(asked["id"])
    alice.ask(tool="billing")
    two.wait_for("access.requested")
    g.person("olga").lock("person", "mallory")
    one.wait_for("lock.placed")
    assert one.events() == ["item.approved", "lock.placed"]
    assert [(b["event"], b["tool"]) for b in two.bodies()] == [("access.requested", "billing")]


# ---- mail ----

@pytest.mark.parametrize("implicit", [True, False])
def test_a_mail_goes_to_those_it_concerns(gateway_of, tmp_path, implicit):
    box = Mailbox(str(tmp_path), implicit=implicit, login=("gateway", SECRET), refuse=["sam@test.localhost"])

    def change(config):
        for p in config["people"]:
            if p["name"] == "bob":
                p["mail"] = "bob.smith@mail.example"
    g = gateway_of(notices=[to_mail(box, to=["log@test.localhost"], to_groups=["security"], to_concerned=True, user="gateway", password_file=secret_file(tmp_path))], change=change)
    g.person("alice").ask(reason=REASON)
    sender, to, mail = box.wait_for("asks for access")
    assert sender == "gateway@test.localhost"
    assert set(to) == {"log@test.localhost", "carol@test.localhost", "bob.smith@mail.example"}, "sam's address was refused, the others still get it"
    assert mail["Subject"] == "[Countersign] alice asks for access to 'support' for 10 min"
    assert mail["From"] == "gateway@test.localhost" and mail["To"] == "undisclosed-recipients:;" and mail["Auto-Submitted"] == "auto-generated"
    assert mail["Message-ID"].startswith("<ntc_") and mail["Date"].endswith("+0000")
    text = mail.get_payload(decode=True).decode()
    assert "Reason: <!channel>" in text and "\u202e" not in text and f"https://{CONSOLE}:{g.port}/items/req_" in text
    if not implicit:
        assert all(line.split(" ")[0] in ("EHLO", "STARTTLS") for line in box.clear_lines), box.clear_lines
    box.close()


def test_no_mail_without_tls(gateway_of, tmp_path):
    plain = Mailbox(str(tmp_path), implicit=False, starttls=False)
    other_name = Mailbox(str(tmp_path), certificate_for="other.localhost")
    g = gateway_of(notices=[to_mail(plain, "plain", to=["a@test.localhost"]), to_mail(other_name, "other", to=["a@test.localhost"])])
    g.person("alice").ask()
    wait_until(lambda: {line.get("receiver") for line in g.log_lines() if line.get("event") == "notice.failed"} >= {"plain", "other"}, 60, "both failures")
    assert not plain.got and not other_name.got
    assert not any(line.upper().startswith(("MAIL", "AUTH", "RCPT")) for line in plain.clear_lines)


def test_nobody_else_plays_the_courier(hooked, hook):
    """The permission table: a second connection with that role is refused while there is one."""
    hooked.person("alice").ask()
    hook.wait_for("access.requested")
    path = os.path.join(hooked.state, "run", "authz.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        s.settimeout(20)
        s.connect(path)
        s.send(b'{"n":1,"op":"hello","role":"courier"}')
        answer = json.loads(s.recv(65536))
        assert answer["ok"] is False and "courier already" in answer["problem"]["detail"]


# ---- escalation ----

def test_what_waits_too_long_is_brought_before_others(gateway_of, tmp_path, hook):
    g = gateway_of(notices=[to_hook(hook, tmp_path)], escalate_after="2s", escalate_to="operations")
    alice, olga = g.person("alice"), g.person("olga")
    asked = alice.ask().json()["request"]
    told = hook.wait_for("item.escalated")
    assert (told["item"], told["group"], told["why"], set(told["for"])) == (asked["id"], "operations", "late", {"olga", "sam"})
    escalated = alice.item(asked["id"])["escalated"]
    assert (escalated["group"], escalated["why"]) == ("operations", "late") and abs(escalated["at"] - time.time()) < 120
    assert "told operations at" in alice.cli("status", expect=0).stdout.decode()
    page = alice.request("GET", f"/items/{asked['id']}", [("Accept", "text/html")], host=CONSOLE)
    assert page.status == 200 and b"Brought before" in page.body
    time.sleep(2.5)
    assert hook.events().count("item.escalated") == 1
    assert olga.item(asked["id"])["id"] == asked["id"]


def test_at_an_hour_when_nobody_is_on_duty(gateway_of, tmp_path, hook):
    """Made a moment before the end of their hours: they are still asked, and somebody else is told at once."""
    now = time.localtime()
    if now.tm_hour == 23 and now.tm_min > 55:
        pytest.skip("the hours of this test would run over midnight")
    day = "mon tue wed thu fri sat sun".split()[now.tm_wday]
    seconds_left = 60 - now.tm_sec
    end = now.tm_hour * 60 + now.tm_min + 1
    when = f"{day} 00:00-{end // 60:02d}:{end % 60:02d}"

    def change(config):
        config["tools"][0]["approvers"] = [{"group": "support-lead", "count": 1, "when": when}]
    g = gateway_of(notices=[to_hook(hook, tmp_path)], escalate_to="operations", change=change)
    alice = g.person("alice")
    r = alice.ask()
    if r.problem == "nobody-at-this-hour":
        pytest.skip("the minute was over before it was asked")
    told = hook.wait_for("item.escalated", seconds=seconds_left + 60)
    assert told["why"] == "off-duty" and told["off_duty"][0]["group"] == "support-lead" and told["off_duty"][0]["until"] > time.time()
    assert "Nobody of support-lead is on duty until" in told["text"]
    item = alice.item(told["item"])
    assert item["needs"][0]["off_duty_until"] > time.time()
    assert "nobody of support-lead is on duty until" in alice.cli("status", expect=0).stdout.decode()
    assert g.person("bob").decide(item["id"]).status in (200, 201), "their yes counts all the same"


def test_at_an_hour_that_no_entry_covers_nothing_is_held_in_vain(gateway_of, origin):
    """What nobody's yes could ever count for is refused at once, and says when it may be asked again."""
    other_day = "mon tue wed thu fri sat sun".split()[(time.localtime().tm_wday + 3) % 7]

    def change(config):
        config["tools"][1]["approvers"] = [{"group": "support-lead", "count": 1, "when": f"{other_day} 08:00-18:00"}]
        for a in config["tools"][0]["actions"]:
            if a["name"] == "export":
                a["signoff"] = [{"group": "security", "count": 1, "when": f"{other_day} 08:00-18:00"}]
    g = gateway_of(change=change)
    alice = g.person("alice")
    give_grant(alice, g.person("bob"))
    for r in (alice.ask(tool="billing"), alice.post("/export", b"audience=7", [("Prefer", "wait=30")])):
        assert (r.status, r.problem) == (409, "nobody-at-this-hour")
        assert " again from 20" in r.json()["detail"] and "08:00" in r.json()["detail"]
    assert origin.count("/export") == 0 and not alice.held()
