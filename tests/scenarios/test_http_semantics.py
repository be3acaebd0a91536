"""Ordinary HTTP through the gateway: keep-alive to the tool, 100-continue, HEAD, 204, 304, errors of the tool, limits."""
import time

import pytest

from harness.clients import h1_request
from harness.config_text import SUPPORT
from harness.people import give_grant

PROTOS = ["h1", "h2"]
GATEWAY = {"workers": 1, "limits": {"idle": "3s", "head": "2s", "body_idle": "3s", "upstream_head": "4s", "handshake": "2s"}}


@pytest.fixture(scope="module", autouse=True)
def granted(gw):
    give_grant(gw.person("alice"), gw.person("bob"), duration_s=1800)


@pytest.mark.parametrize("proto", PROTOS)
def test_connections_to_the_tool_are_kept(gw, origin, proto):
    alice = gw.person("alice")
    with (alice.h1() if proto == "h1" else alice.h2()) as c:
        for i in range(20):
            assert c.request("GET", f"/k{i}").status == 200
    used = {r.connection for r in origin.requests}
    assert len(used) <= 3, f"20 requests used {len(used)} connections"


@pytest.mark.parametrize("proto", PROTOS)
def test_a_kept_connection_that_the_tool_closed_is_not_an_error(gw, origin, proto):
    async def once(request, conn):
        await conn.answer(200, b"bye")
        return False
    alice = gw.person("alice")
    for i in range(10):
        origin.on(f"/once{i}", once)
        assert alice.get(f"/once{i}", proto=proto).status == 200
        time.sleep(0.05)


def test_100_continue_comes_before_the_body(gw, origin):
    with gw.person("alice").h1() as c:
        c.send(b"POST /e HTTP/1.1\r\nHost: support.test.localhost:%d\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n" % gw.port)
        assert c.read_response(interim=True).status == 100
        c.send(b"hello")
        assert c.read_response().status == 200
    assert origin.last("/e").body == b"hello" and origin.last("/e").get("Expect") is None


def test_100_continue_is_not_given_to_who_is_refused(gw, origin):
    with gw.person("mallory").h1() as c:
        c.send(b"POST /e HTTP/1.1\r\nHost: support.test.localhost:%d\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n" % gw.port)
        r = c.read_response(interim=True)
        assert r.status == 403 and r.problem == "grant-required"


def test_an_unknown_expectation_is_417(gw, origin):
    r = gw.person("alice").post("/e", b"x", [("Expect", "the-unexpected")])
    assert r.status in (417, 400) and origin.count() == 0


@pytest.mark.parametrize("proto", PROTOS)
def test_head_has_no_body_and_the_connection_goes_on(gw, origin, proto):
    async def script(request, conn):
        await conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
    origin.on("/h", script)
    alice = gw.person("alice")
    with (alice.h1() if proto == "h1" else alice.h2()) as c:
        r = c.request("HEAD", "/h")
        assert r.status == 200 and r.body == b"" and r.get("content-length") in ("5000", None)
        assert c.request("GET", "/next").status == 200


@pytest.mark.parametrize("proto", PROTOS)
@pytest.mark.parametrize("status", [204, 304, 205])
def test_statuses_without_a_body(gw, origin, proto, status):
    async def script(request, conn):
        await conn.send(b"HTTP/1.1 %d X\r\nETag: \"a\"\r\n%s\r\n" % (status, b"Content-Length: 0\r\n" if status == 205 else b""))
    origin.on("/s", script)
    alice = gw.person("alice")
    with (alice.h1() if proto == "h1" else alice.h2()) as c:
        r = c.request("GET", "/s")
        assert r.status == status and r.body == b"" and r.complete and r.get("etag") == '"a"'
        assert c.request("GET", "/next").status == 200


@pytest.mark.parametrize("proto", PROTOS)
@pytest.mark.parametrize("status", [201, 206, 301, 400, 401, 404, 429, 500, 503])
def test_the_tools_own_statuses_pass(gw, origin, proto, status):
    async def script(request, conn):
        await conn.answer(status, b"own words", [("WWW-Authenticate", "Basic realm=x"), ("Retry-After", "7")], "Own")
    origin.on("/s", script)
    r = gw.person("alice").get("/s", proto=proto)
    assert r.status == status and r.body == b"own words" and r.get("retry-after") == "7"


@pytest.mark.parametrize("proto", PROTOS)
def test_interim_answers_of_the_tool_do_not_confuse(gw, origin, proto):
    async def script(request, conn):
        await conn.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nreal")
    origin.on("/103", script)
    r = gw.person("alice").get("/103", proto=proto)
    assert r.status == 200 and r.body == b"real"


@pytest.mark.parametrize("proto", PROTOS)
def test_endless_hints_are_not_passed_on(gw, origin, proto):
    """Over HTTP/2 each would wait in memory for a client that reads nothing."""
    async def script(request, conn):
        await conn.send(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 500 + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nreal")
    origin.on("/103", script)
    r = gw.person("alice").get("/103", proto=proto)
    assert r.status == 200 and r.body == b"real" and 0 < len(r.interim) <= 16


@pytest.mark.parametrize("proto", PROTOS)
def test_a_tool_that_does_not_answer_is_504(gw, origin, proto):
    async def script(request, conn):
        import asyncio
        await asyncio.sleep(60)
    origin.on("/never", script)
    r = gw.person("alice").get("/never", proto=proto)
    assert r.status == 504 and r.problem and r.json()["next"]


@pytest.mark.parametrize("proto", PROTOS)
def test_a_tool_that_is_not_there_is_502(gateway_of, origin, proto):
    from harness.config_text import SUPPORT_ACTIONS, tool
    from harness.gateway import free_port
    g = gateway_of(tools=[tool("support", SUPPORT, free_port(), SUPPORT_ACTIONS)])
    item = give_grant(g.person("alice"), g.person("bob"), notice=False)
    from harness.people import acknowledge, wait_until
    acknowledge(g.person("alice"), item["grant_id"])
    r = wait_until(lambda: (r := g.person("alice").get("/", proto=proto)).status != 403 and r)
    assert r.status in (502, 503, 504) and r.problem and r.json()["next"]


def test_a_request_is_never_sent_twice_to_the_tool(gw, origin):
    """A POST on a connection that the tool resets after reading it: it may have acted."""
    async def slam(request, conn):
        conn.abort()
        return False
    origin.on("/slam", slam)
    r = gw.person("alice").post("/slam", b"x", content_type="text/plain")
    assert r.status in (502, 504) and origin.count("/slam") == 1


def test_half_a_head_is_timed_out(gw):
    with gw.person("alice").h1() as c:
        c.send(b"GET /slow HTTP/1.1\r\nHost: x")
        assert c.ends_within(30)


def test_a_head_that_drips_is_timed_out(gw):
    with gw.person("alice").h1() as c:
        try:
            for byte in b"GET /slow HTTP/1.1\r\nX: " + b"a" * 200:
                c.send(bytes([byte]))
                time.sleep(0.1)
                if c.ended or c.ends_within(0.001):
                    return
        except OSError:
            return
        raise AssertionError("a head that drips held the connection for 20 s (limit 2 s)")


def test_half_a_body_is_timed_out(gw, origin):
    with gw.person("alice").h1() as c:
        c.send(b"POST /slow HTTP/1.1\r\nHost: support.test.localhost:%d\r\nContent-Type: text/plain\r\nContent-Length: 50\r\n\r\nhalf" % gw.port)
        assert c.ends_within(40)
    assert not [r for r in origin.requests if r.complete]


@pytest.mark.parametrize("proto", PROTOS)
def test_an_idle_connection_is_ended(gw, proto):
    alice = gw.person("alice")
    with (alice.h1() if proto == "h1" else alice.h2()) as c:
        assert c.request("GET", "/idle").status == 200
        assert c.ends_within(40)


def test_a_handshake_that_never_comes_is_timed_out(gw):
    import socket
    with socket.create_connection(("127.0.0.1", gw.port), timeout=30) as s:
        s.sendall(b"\x16\x03\x01")
        try:
            assert s.recv(100) == b"" or True
        except ConnectionResetError:
            pass


def test_plain_http_on_the_tls_port_does_no_harm(gw, origin):
    import socket
    with socket.create_connection(("127.0.0.1", gw.port), timeout=30) as s:
        s.sendall(b"GET / HTTP/1.1\r\nHost: support.test.localhost\r\n\r\n")
        try:
            while s.recv(4096):
                pass
        except ConnectionResetError:
            pass
    assert origin.count() == 0 and gw.person("alice").get("/fine").status == 200


def test_connections_from_one_source_are_limited(gateway_of, origin):
    g = gateway_of(limits={"connections_per_source": 10, "connections": 50})
    alice = g.person("alice")
    opened = []
    try:
        for _ in range(30):
            try:
                opened.append(alice.h1(timeout=5))
            except OSError:
                pass
        assert len(opened) <= 12, f"{len(opened)} connections were taken"
    finally:
        for c in opened:
            c.close()
    from harness.people import wait_until

    def works():
        try:
            return alice.api("GET", "/api/v1/status").status == 200
        except OSError:
            return False
    wait_until(works, what="a connection after the others ended")


def test_http_1_0_is_answered_and_ended(gw, origin):
    with gw.person("alice").h1() as c:
        c.send(b"GET /old HTTP/1.0\r\nHost: support.test.localhost:%d\r\n\r\n" % gw.port)
        r = c.read_response()
        assert r.status == 200 and c.ends_within(30)


def test_options_asterisk_is_answered_without_the_tool(gw, origin):
    """RFC 9110 section 9.3.7: it asks about the server, which is the gateway."""
    with gw.person("alice").h1() as c:
        c.send(h1_request("OPTIONS", "*", f"{SUPPORT}:{gw.port}"))
        r = c.read_response()
        assert r.status == 204 and r.body == b"" and origin.count() == 0
        assert c.request("GET", "/behind").status == 200
    assert gw.person("mallory").request("OPTIONS", "*").problem == "grant-required"


@pytest.mark.parametrize("te", ["gzip", "trailers, deflate;q=0.5", "", "gzip;q=1, trailers"])
def test_what_a_client_understands_of_codings_is_the_gateways_matter(gw, origin, te):
    """RFC 9110 section 10.1.4: any TE is allowed but one that names chunked; to the tool goes what the gateway itself can pass on."""
    assert gw.person("alice").get("/te", [("TE", te), ("Connection", "TE")]).status == 200
    assert origin.last("/te").get("TE") == ("trailers" if "trailers" in te else None)


@pytest.mark.parametrize("size", [9000, 30000, 70000, 300000])
def test_a_long_target_is_414_and_long_fields_are_431(gw, origin, size):
    """RFC 9112 section 3 and RFC 6585 section 5, wherever the limit is met."""
    for head, status in ((f"GET /{'a' * size} HTTP/1.1\r\nHost: {SUPPORT}:{gw.port}\r\n\r\n", 414), (f"GET /a HTTP/1.1\r\nHost: {SUPPORT}:{gw.port}\r\nX: {'a' * max(size, 40000)}\r\n\r\n", 431)):
        with gw.person("alice").h1() as c:
            try:
                c.send(head.encode())
            except OSError:
                pass
            r = c.read_response()
            assert r.status == status and r.get("date") and r.problem, (r.status, r.body[:200])
    assert origin.count() == 0
