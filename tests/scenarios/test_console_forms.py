"""The console's forms, as a browser without any script sends them: asking for some actions only, more time, taking back; and what an approver reads."""
from urllib.parse import urlencode

import pytest

from harness.authenticator import confirmed
from harness.config_text import CONSOLE
from harness.people import give_grant, hold

PAGE = [("Accept", "text/html"), ("Sec-Fetch-Site", "same-origin")]


def send(who, path, fields):
    return who.request("POST", path, [("Content-Type", "application/x-www-form-urlencoded"), *PAGE], urlencode(fields).encode(), host=CONSOLE)


def page(who, path="/"):
    r = who.request("GET", path, [("Accept", "text/html")], host=CONSOLE)
    assert r.status == 200, r.body
    return r.body.decode()


def ask(who, *more, minutes="10", tool="support"):
    return send(who, "/ask", [("tool", tool), ("reason", "ticket 4711"), ("minutes", minutes), *more])


def newest(who):
    return who.status()["requests"][0]


@pytest.fixture
def bed(gateway_of):
    def change(config):
        config["tools"][0]["budget"] = {"requests": 50, "actions": [{"action": "export", "max": 2}]}
    g = gateway_of(change=change, keys={"delay": "0s"})
    return g, g.person("alice"), g.person("bob")


def test_asking_for_some_actions_only(bed):
    g, alice, bob = bed
    assert "support:export" in page(alice) and "support:never" not in page(alice)
    assert ask(alice, ("only", "support:use"), ("only", "support:delete")).status == 303
    assert newest(alice)["actions"] == ["use", "delete"]
    shown = page(bob, f"/items/{newest(alice)['id']}")
    assert "use, delete" in shown and "50 of 50 requests" in shown and "2 of 2 times export" in shown
    bob.decide(newest(alice)["id"])
    assert "50 of 50 requests" in page(alice)


@pytest.mark.parametrize("ticked", [[("only", "billing:use")], [("only", "support:use"), ("only", "billing:use")], [("only", "support:")], [("only", "")], [("only", b"\xff")],
                                    [("only", "support:never")], [("only", "support:use"), ("only", "support:use")], [("only", "support")]])
def test_what_cannot_be_asked_for_never_becomes_all(bed, ticked):
    r = ask(bed[1], *ticked)
    assert 400 <= r.status < 500, (r.status, r.body)
    assert bed[1].status()["requests"] == []


def test_more_time_for_a_live_grant(bed):
    g, alice, bob = bed
    grant = give_grant(alice, bob)
    grant_id, end = alice.status()["grants"][0]["grant_id"], alice.status()["grants"][0]["exp"]
    assert grant_id in page(alice) and grant
    r = ask(alice, ("extends", grant_id), minutes="99999")
    assert r.status == 422 and b"<details open><summary>Need more time?" in r.body
    assert ask(alice, ("extends", grant_id), minutes="25").status == 303
    item = newest(alice)["id"]
    assert "a later end" in page(bob, f"/items/{item}") and "of 50 requests" in page(bob, f"/items/{item}")
    bob.decide(item)
    after = alice.status()["grants"]
    assert [g["grant_id"] for g in after] == [grant_id] and after[0]["exp"] > end


def test_a_request_is_withdrawn(bed):
    g, alice, bob = bed
    ask(alice)
    item = newest(alice)["id"]
    assert "Withdraw it" in page(alice) and "/withdraw" not in page(bob, f"/items/{item}")
    assert send(bob, f"/items/{item}/withdraw", [("reason", "not mine")]).status == 403
    assert send(alice, f"/items/{item}/withdraw", [("reason", "")]).status == 422
    r = alice.request("POST", f"/items/{item}/withdraw", [("Content-Type", "application/x-www-form-urlencoded"), ("Sec-Fetch-Site", "cross-site")], b"reason=forged", host=CONSOLE)
    assert r.status == 403 and newest(alice)["state"] == "pending"
    r = send(alice, f"/items/{item}/withdraw", [("reason", "no longer needed")])
    assert r.status == 303 and r.get("location") == f"/items/{item}"
    assert newest(alice)["state"] == "cancelled" and "Withdraw it" not in page(alice)


def test_a_yes_is_taken_back(bed, origin):
    g, alice, bob = bed
    carol = g.person("carol")
    give_grant(alice, bob)
    item = hold(alice)["id"]
    shown = page(carol, f"/items/{item}")
    assert "never" in shown and "of 50 requests" in shown
    carol.decide(item)
    assert "Take your yes back" in page(carol, f"/items/{item}")
    assert send(carol, f"/items/{item}/withdraw", [("reason", "the customer said no")]).status == 303
    assert alice.item(item)["state"] == "cancelled" and alice.release(item)[1] is None or origin.count("/export") == 0


def test_a_lock_is_lifted_by_an_authenticator(bed):
    g, alice, bob = bed
    olga, dan = g.person("olga"), g.person("dan")
    assert "countersign unlock" not in page(olga, "/locks")
    key = confirmed(g, olga, bob)
    lock = olga.lock("everything", "*").json()["lock"]["id"]
    assert f'data-lock="{lock}"' in page(olga, "/locks") and "data-lock" not in page(dan, "/locks")
    r = olga.api("POST", f"/api/v1/locks/{lock}/statement", {"key": key.fingerprint(), "reason": "it was a drill"})
    assert r.json()["webauthn"]["rp_id"] == CONSOLE
    assert olga.api("POST", "/api/v1/decisions", key.sign(r.json()["statement"])).status == 200
    assert "Nothing is locked" in page(olga, "/locks")
    assert ask(alice).status == 303
