"""Promise 7: a revoked or expired certificate ends what it has running, and is refused from then on."""
import time

import pytest

from harness.gateway import serial_of
from harness.live import all_kinds, check_all_end, check_none_ended
from harness.people import give_grant, wait_until

WITHIN_S = 20


def holder(gw, name, **issue):
    """Alice with a certificate of its own and a grant for it."""
    cred = gw.authority().issue(gw.folder, name, ["alice@test.localhost"], **issue) if issue else gw.issue_person("alice@test.localhost", name)
    who = gw.nobody(cred)
    give_grant(who, gw.person("bob"))
    return who


def test_revocation_ends_live_exchanges_and_refuses_new_ones(gw, origin):
    who, other = holder(gw, "alice-revoked"), gw.person("mallory")
    give_grant(other, gw.person("bob"))
    lives, others = all_kinds(who, origin), all_kinds(other, origin)
    time.sleep(0.5)
    check_none_ended(lives)
    begun = time.monotonic()
    gw.revoke(who.cred)
    check_all_end(lives, begun, WITHIN_S)
    check_none_ended(others)
    for live in others.values():
        live.close()
    origin.reset()
    for proto in ("h1", "h2"):
        r = who.get("/after", proto=proto)
        assert r.status in (401, 403) and "revoked" in r.json()["type"] + r.json()["detail"], r.body
    assert who.ask().status in (401, 403) and origin.count() == 0


def test_expiry_ends_live_exchanges(gw, origin):
    who = holder(gw, "alice-short", after_days=14 / 86400)
    begun = time.monotonic()
    lives = all_kinds(who, origin)
    check_none_ended(lives)
    check_all_end(lives, begun + 14, WITHIN_S)
    r = who.get("/after")
    assert r.status in (401, 403) and origin.count("/after") == 0


def test_a_revoked_approvers_yes_does_not_count(gw, origin):
    alice = gw.person("alice")
    wanted = alice.ask().json()["request"]["id"]
    bob2 = gw.issue_person("bob@test.localhost", "bob-second")
    bob = gw.nobody(bob2)
    assert bob.statement(wanted).status >= 400, "an unregistered key was taken"
    approver = gw.issue_approver("bob@test.localhost", "bob-third")
    bob = gw.nobody(approver)
    statement = wait_until(lambda: (r := bob.statement(wanted)).status == 200 and r.json()["statement"], what="the new key")
    gw.revoke(approver)
    wait_until(lambda: bob.get("/").problem != "grant-required", what="the revocation")
    assert bob.hand_in(statement).status in (401, 403)
    jws_by = gw.person("alice")
    from harness.people import canonical, detached_jws
    jws = detached_jws(approver.private_key(), approver.fingerprint(), canonical(statement))
    assert jws_by.api("POST", "/api/v1/decisions", {"statement_id": statement["id"], "jws": jws}).status >= 400
    assert alice.item(wanted)["state"] == "pending"


def test_a_handshake_begun_before_the_revocation_is_judged_after_it(gw, origin):
    import socket
    import ssl
    from harness.clients import h1_request, tls_context
    who = holder(gw, "alice-slow")
    inbound, outbound = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = tls_context(gw.ca, who.cred).wrap_bio(inbound, outbound, server_hostname="support.test.localhost")
    with socket.create_connection(("127.0.0.1", gw.port), 30) as raw:
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        raw.sendall(outbound.read())
        while True:
            inbound.write(raw.recv(1 << 16))
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                raw.sendall(outbound.read())
        gw.revoke(who.cred)               # the client's own certificate and Finished are not sent yet
        wait_until(lambda: "revoked" in str(who.get("/hello").body), what="the revocation")
        origin.reset()
        tls.write(h1_request("GET", "/late", f"support.test.localhost:{gw.port}"))
        raw.sendall(outbound.read())
        answer = b""
        while b"revoked" not in answer and (data := raw.recv(1 << 16)):
            inbound.write(data)
            try:
                answer += tls.read(1 << 16)
            except ssl.SSLWantReadError:
                pass
    assert b"403" in answer and b"revoked" in answer and origin.count("/late") == 0


def test_the_list_of_certificates_shows_the_revocation(gw):
    cred = gw.issue_person("nina@test.localhost", "nina-listed")
    gw.revoke(cred)
    serial = serial_of(cred)
    p = gw.run_command("certs", "list", "-c", f"{gw.state}/test.conf", "--json")
    assert p.returncode == 0 and serial in p.stdout.decode() and "revoked" in p.stdout.decode()


def test_revoking_what_is_not_there_is_an_error(gw):
    p = gw.run_command("certs", "revoke", "nobody@nowhere.example", "-c", f"{gw.state}/test.conf")
    assert p.returncode == 1 and p.stderr


def test_a_stale_revocation_list_refuses_everybody(gateway_of, origin):
    """Promise 8: the list runs out while the gateway runs."""
    from harness.gateway import short_crl
    g = gateway_of(start=False)
    g.config["tls"]["crl"] = short_crl(g, seconds=25)
    g.start()
    alice = g.person("alice")
    give_grant(alice, g.person("bob"))
    lives = all_kinds(alice, origin)
    wait_until(lambda: alice.get("/hello").status in (401, 403, 503), 60, "the refusal")
    check_all_end(lives, time.monotonic(), WITHIN_S)
    origin.reset()
    for name in ("alice", "bob", "carol"):
        r = g.person(name).api("GET", "/api/v1/status")
        assert r.status in (401, 403, 503) and r.problem, name
    assert alice.get("/x").status in (401, 403, 503) and origin.count() == 0


@pytest.mark.parametrize("what", ["missing", "damaged", "of another CA"])
def test_a_bad_revocation_list_never_lets_anybody_in(gateway_of, origin, what):
    from harness.certificates import Authority
    from harness.gateway import make_crl
    g = gateway_of(start=False)
    path = make_crl(Authority.new("Stranger CA") if what == "of another CA" else g.authority(), f"{g.folder}/crl.pem", 3600)
    g.config["tls"]["crl"] = path
    if what == "damaged":
        with open(path, "r+b") as f:
            f.seek(60)
            f.write(b"AAAAAAAA")
    elif what == "missing":
        import os
        os.remove(path)
    g.start(wait=False)
    assert g.process.wait(30) == 1, "it starts with a list that it cannot use"
    g.process = None
    assert path in g.log(), "it does not name the file"
    assert origin.count() == 0


@pytest.mark.parametrize("what", ["damaged", "of another CA"])
def test_a_list_that_becomes_bad_is_not_taken(gateway_of, origin, what):
    """The gateway goes on with the list it has; a proxy that has to start anew then has none, and answers everybody with a refusal."""
    from harness.certificates import Authority
    from harness.gateway import make_crl
    g = gateway_of(start=False)
    path = make_crl(g.authority(), f"{g.folder}/crl.pem", 3600)
    g.config["tls"]["crl"] = path
    g.start()
    good = open(path, "rb").read()
    if what == "damaged":
        with open(path, "r+b") as f:
            f.seek(60)
            f.write(b"AAAAAAAA")
    else:
        make_crl(Authority.new("Stranger CA"), path, 3600)
    wait_until(lambda: "reload.refused" in g.log() or "crl" in g.log().lower(), 30, "a line in the log")
    assert g.person("alice").api("GET", "/api/v1/status").status == 200
    g.kill("proxy")
    wait_until(lambda: g.person("alice", timeout=3).api("GET", "/api/v1/status").status in (403, 503), 30, "a page that refuses")
    with open(path + ".new", "wb") as f:
        f.write(good)
    import os
    os.replace(path + ".new", path)
    wait_until(lambda: g.person("alice", timeout=3).api("GET", "/api/v1/status").status == 200, 30, "service again")
