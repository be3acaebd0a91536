"""Where a tool listens: Unix sockets, names, several places; which one gets a request, which is left out, and what is sent a second time."""
import os
import threading
import time

import pytest

from harness.config_text import SUPPORT, action, tool
from harness.gateway import free_port
from harness.origin import Origin
from harness.people import give_grant, wait_until
from scenarios.test_metrics import fetch

PROTOS = ["h1", "h2"]
ALL = [action("use", "/**")]


def with_tool(**settings):
    """A change of the config: the tool `support`, somewhere else."""
    def change(config):
        t = tool("support", SUPPORT, 1, ALL)
        if "upstreams" in settings:
            del t["upstream"]
        t.update(settings)
        config["tools"] = [t]
    return change


@pytest.fixture
def alice_at():
    """Alice with a grant at this gateway."""
    def make(gw):
        alice = gw.person("alice")
        give_grant(alice, gw.person("bob"), notice=False)
        from harness.people import acknowledge
        acknowledge(alice, alice.status()["grants"][0]["grant_id"])
        wait_until(lambda: alice.get("/ready").status != 403, what="the grant at the worker")
        return alice
    return make


@pytest.fixture
def origins():
    made = []

    def make(**more):
        made.append(Origin(**more))
        return made[-1]
    yield make
    for o in made:
        o.close()


def state_lines(gw, event):
    return [line for line in gw.log_lines() if line.get("event") == event]


@pytest.mark.parametrize("proto", PROTOS)
def test_a_tool_on_a_unix_socket(gateway_of, origins, alice_at, tmp_path, proto):
    path = str(tmp_path / "tool.sock")
    origin = origins(unix=path)
    gw = gateway_of(change=with_tool(upstream=f"unix:{path}"))
    alice = alice_at(gw)
    r = alice.request("POST", "/x", [("Content-Type", "text/plain")], b"over a socket", proto=proto)
    assert r.status == 200 and r.json()["body_len"] == 13
    assert alice.get("/big?bytes=300000", proto=proto).complete
    assert dict(origin.last("/x").fields)["Host"] == f"{SUPPORT}:{gw.port}"
    before = origin.accepted
    for _ in range(5):
        assert alice.get("/again", proto=proto).status == 200
    assert origin.accepted - before <= 2        # kept alive: a connection a worker


def test_a_unix_socket_that_is_not_there_is_a_clear_502_and_recovers(gateway_of, origins, alice_at, tmp_path):
    path = str(tmp_path / "tool.sock")
    gw = gateway_of(change=with_tool(upstream=f"unix:{path}"))
    alice = alice_at(gw)
    r = alice.get("/x")
    assert r.status == 502 and r.problem == "tool-unreachable"
    origins(unix=path)
    assert alice.get("/x").status == 200
    os.unlink(path)


def test_a_name_is_resolved_and_a_wrong_one_is_said_at_the_start(gateway_of, origins, alice_at):
    origin = origins()
    gw = gateway_of(change=with_tool(upstreams=[f"http://localhost:{origin.port}", f"http://no-such-name.invalid:{origin.port}"]))
    wait_until(lambda: state_lines(gw, "tool.unresolved"), what="the line about the name")
    alice = alice_at(gw)
    assert all(alice.get("/x").status == 200 for _ in range(10))    # the other place takes them all


def test_requests_go_where_the_fewest_are_under_way(gateway_of, origins, alice_at):
    a, b = origins(), origins()
    gw = gateway_of(workers=1, change=with_tool(upstreams=[f"http://127.0.0.1:{o.port}" for o in (a, b)]))
    alice = alice_at(gw)
    for _ in range(20):
        assert alice.get("/turns").status == 200
    assert a.count("/turns") == b.count("/turns") == 10             # equals take turns
    gate = threading.Event()

    async def slow(request, conn):
        while not gate.is_set():
            import asyncio
            await asyncio.sleep(0.02)
        await conn.answer(200, b"late")
    a.on("/slow", slow)
    b.on("/slow", slow)
    held = [threading.Thread(target=alice.get, args=("/slow",)) for _ in range(3)]
    for t in held:
        t.start()
    wait_until(lambda: a.count("/slow") + b.count("/slow") == 3, what="three slow requests")
    more, less = (a, b) if a.count("/slow") == 2 else (b, a)
    assert more.count("/slow") == 2
    for _ in range(4):
        assert alice.get("/next").status == 200
    assert less.count("/next") == 4 and more.count("/next") == 0
    gate.set()
    for t in held:
        t.join()


def test_a_place_that_fails_is_left_out_and_taken_back(gateway_of, origins, alice_at):
    a, port = origins(), free_port()
    operator = free_port()
    gw = gateway_of(workers=1, operator_listen=f"127.0.0.1:{operator}",
                    change=with_tool(upstreams=[f"http://127.0.0.1:{a.port}", f"http://127.0.0.1:{port}"], upstream_back_off="300ms"))
    alice = alice_at(gw)
    assert all(alice.get("/x").status == 200 for _ in range(20))     # nothing was sent to the dead one: the other one answers
    out = wait_until(lambda: state_lines(gw, "tool.upstream-out"), what="the line")
    assert out[0]["tool"] == "support" and out[0]["upstream"].endswith(str(port)) and "accept" in out[0]["why"]
    label = f'countersign_upstream_up{{tool="support",upstream="http://127.0.0.1:{port}"}}'
    assert f"{label} 0" in fetch("/metrics", port=operator)[1]
    b = origins(port=port)
    wait_until(lambda: alice.get("/back").status == 200 and b.count("/back") > 0, 30, "requests at the place that is back")
    wait_until(lambda: state_lines(gw, "tool.upstream-in"), what="the line")
    wait_until(lambda: f"{label} 1" in fetch("/metrics", port=operator)[1], what="the number")


def test_with_all_places_out_one_is_tried_all_the_same(gateway_of, origins, alice_at):
    ports = [free_port(), free_port()]
    gw = gateway_of(workers=1, change=with_tool(upstreams=[f"http://127.0.0.1:{p}" for p in ports], upstream_back_off="1h", upstream_fails=1))
    alice = alice_at(gw)
    assert alice.get("/x").problem == "tool-unreachable"
    back = origins(port=ports[0])
    wait_until(lambda: alice.get("/x").status == 200, what="an answer")
    assert back.count("/x") > 0


def test_health_checks_decide_who_gets_requests(gateway_of, origins, alice_at):
    a, b = origins(), origins()
    answers = {a: 200, b: 200}
    for o in (a, b):
        async def health(request, conn, o=o):
            await conn.answer(answers[o], b"")
        o.on("/healthz", health)
    gw = gateway_of(workers=2, change=with_tool(upstreams=[f"http://127.0.0.1:{o.port}" for o in (a, b)], health_path="/healthz",
                                                health_interval="100ms", upstream_fails=2))
    alice = alice_at(gw)
    wait_until(lambda: a.count("/healthz") > 2 and b.count("/healthz") > 2, what="checks")
    assert "Countersign-Assertion" not in dict(a.last("/healthz").fields) and "X-Forwarded-For" not in dict(a.last("/healthz").fields)
    answers[b] = 500
    line = wait_until(lambda: state_lines(gw, "tool.upstream-unwell"), what="the line")[0]
    assert "500" in line["why"] and line["upstream"].endswith(str(b.port))
    at = b.count("/x")
    assert all(alice.get("/x").status == 200 for _ in range(10)) and b.count("/x") == at
    answers[a] = 503
    wait_until(lambda: alice.get("/x").status == 503, what="nobody well")
    assert alice.get("/x").problem == "tool-unreachable"
    answers[a] = answers[b] = 200
    wait_until(lambda: alice.get("/x").status == 200, what="somebody well")
    wait_until(lambda: len(state_lines(gw, "tool.upstream-well")) == 2, what="the lines")


@pytest.mark.parametrize("method,body,again", [("GET", None, True), ("DELETE", None, True), ("PUT", b"small", True), ("POST", b"small", False)])
def test_a_kept_connection_that_ends_under_a_request(gateway_of, origins, alice_at, method, body, again):
    """Only what is idempotent and whole is sent a second time (RFC 9110 s9.2.2), and once only."""
    origin = origins()
    gw = gateway_of(workers=1, change=with_tool(upstream=f"http://127.0.0.1:{origin.port}"))
    alice = alice_at(gw)
    first = []

    async def dies_once(request, conn):
        if not first:
            first.append(request)
            conn.abort()
            return False
        await conn.answer(200, b"second")
    origin.on("/dies", dies_once)
    assert alice.get("/warm").status == 200
    r = alice.request(method, "/dies", [("Content-Type", "text/plain")] if body else [], body)
    assert (r.status, r.body) == (200, b"second") if again else (r.status == 502 and r.problem == "tool-broke-off")
    assert origin.count("/dies") == (2 if again else 1)
    if again and body:
        assert origin.last("/dies").body == body


def test_a_fresh_connection_that_ends_is_not_tried_again(gateway_of, origins, alice_at):
    origin = origins()
    gw = gateway_of(workers=1, change=with_tool(upstream=f"http://127.0.0.1:{origin.port}"))
    alice = alice_at(gw)

    async def dies(request, conn):
        conn.abort()
        return False
    origin.on("/dies", dies)
    for _ in range(3):
        r = alice.get("/dies")            # the first on the kept connection of /ready, then on fresh ones
        assert r.status == 502 and r.problem == "tool-broke-off"
    assert origin.count("/dies") <= 4


def test_what_a_tool_does_wrong_is_said_and_the_pool_recovers(gateway_of, origins, alice_at):
    origin = origins()
    gw = gateway_of(workers=1, limits={"upstream_head": "1s"}, change=with_tool(upstream=f"http://127.0.0.1:{origin.port}"))
    alice = alice_at(gw)

    async def garbage(request, conn):
        await conn.send(b"SSH-2.0-nonsense\r\n\r\n")

    async def half_head(request, conn):
        await conn.send(b"HTTP/1.1 200 O")
        conn.abort()
        return False

    async def silent(request, conn):
        import asyncio
        await asyncio.sleep(20)
        return False
    for path, script, status, problem in (("/garbage", garbage, 502, "tool-answer-invalid"), ("/half", half_head, 502, "tool-broke-off"),
                                          ("/silent", silent, 504, "tool-timeout")):
        origin.on(path, script)
        for proto in PROTOS:
            r = alice.get(path, proto=proto)
            assert r.status == status and r.problem == problem, path
            assert alice.get("/fine", proto=proto).status == 200


def test_a_tool_that_stops_reading_an_upload_is_given_up(gateway_of, origins, alice_at):
    origin = origins()
    gw = gateway_of(workers=1, limits={"upstream_head": "1s"}, change=with_tool(upstream=f"http://127.0.0.1:{origin.port}"))
    alice = alice_at(gw)

    async def deaf(request, conn):
        import asyncio
        await asyncio.sleep(30)
        return False
    origin.on("/deaf", deaf, raw=True)
    with alice.h2() as c:
        stream = c.open("POST", "/deaf", [("content-type", "text/plain")], end=False)
        began = time.monotonic()
        r = c.responses[stream]
        while not (r.status or r.reset):
            if c.conn.local_flow_control_window(stream) >= 16384:
                c.conn.send_data(stream, b"x" * 16384)
                c.flush()
            elif not c.step():
                break
        assert (r.status == 504 or r.reset) and time.monotonic() - began < 25


def test_a_client_that_comes_and_goes_does_not_have_the_gateway_connect_each_time(gateway_of, origins, alice_at):
    """A listener that never accepts: connecting succeeds in the kernel only as long as its queue has room."""
    origin = origins()
    gw = gateway_of(workers=1, change=with_tool(upstream=f"http://127.0.0.1:{origin.port}"))
    alice = alice_at(gw)
    before = origin.accepted
    with alice.h2() as c:
        for _ in range(100):
            stream = c.open("GET", "/gone")
            c.conn.reset_stream(stream, 8)
            c.flush()
        assert c.request("GET", "/stays").status == 200
    assert origin.accepted - before <= 101
