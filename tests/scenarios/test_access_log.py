"""The access log: one complete line a request, never its query, and few writes."""
import time

from harness.load import Load
from harness.people import give_grant, wait_until


def lines(gw, **having):
    return [line for line in gw.log_lines() if line.get("event") == "exchange" and all(line.get(k) == v for k, v in having.items())]


def the_line(gw, **having):
    return wait_until(lambda: lines(gw, **having), 5, f"the line of {having}")[0]


def test_a_line_says_everything_but_the_query(gw, origin):
    alice = gw.person("alice")
    item = give_grant(alice, gw.person("bob"))
    trace = "0af7651916cd43dd8448eb211c80319c"
    for proto, protocol in (("h1", "HTTP/1.1"), ("h2", "HTTP/2")):
        r = alice.request("POST", f"/said-{proto}?password=hunter2", [("Traceparent", f"00-{trace}-b7ad6b7169203331-01"), ("Content-Type", "text/plain")], b"12345", proto=proto)
        line = the_line(gw, path=f"/said-{proto}")
        assert line["ms"] >= line["first_ms"] >= 0
        assert {k: line[k] for k in ("level", "process", "trace", "source", "protocol", "tls", "identity", "tool", "action", "grant", "method", "status", "received", "sent")} == {
            "level": "info", "process": "proxy", "trace": trace, "source": "127.0.0.1", "protocol": protocol, "tls": "TLSv1.3",
            "identity": "alice@test.localhost", "tool": "support", "action": "use", "grant": item["grant_id"], "method": "POST",
            "status": r.status, "received": 5, "sent": len(r.body)}
        assert "refusal" not in line and "why" not in line
    assert "hunter2" not in gw.log() and "password" not in gw.log()


def test_a_refusal_says_its_type(gw, origin):
    assert gw.person("mallory").get("/no-grant").status == 403
    assert the_line(gw, path="/no-grant")["refusal"] == "grant-required"


def test_a_hostile_path_stays_one_line(gw, origin):
    with gw.person("alice").h1() as c:
        c.send(b'GET /a"b\\c%%0a{"event":"fake"} HTTP/1.1\r\nHost: support.test.localhost:%d\r\n\r\n' % gw.port)
        c.read_response()
    time.sleep(0.5)
    assert not [line for line in gw.log_lines() if line.get("event") == "fake"]


def test_every_request_has_its_line_also_at_the_end(gateway_of, origin):
    g = gateway_of()
    give_grant(g.person("alice"), g.person("bob"))
    with Load(g, "2", target="/counted", batch=500) as load:
        load.enough.set()
    load.check(500)
    assert g.stop() is None
    assert len(lines(g, path="/counted")) == load.done


def test_a_higher_level_turns_it_off(gateway_of, origin):
    g = gateway_of(log_level="warn")
    give_grant(g.person("alice"), g.person("bob"))
    assert g.stop() is None
    assert not lines(g)
