"""What is kept of each action: all, sizes only, nothing. Read by an independent reader; what is not kept must be said, and be nowhere."""
import json
import os

import pytest

from harness import config_text
from harness.config_text import SUPPORT
from harness.clients import h1_request
from harness.gateway import Gateway, write_config
from harness.live import endless
from harness.origin import pattern
from harness.people import give_grant, hold, wait_until
from harness.recording import everything_readable, exchanges, read_tar

PROTOS = ["h1", "h2"]
ACTIONS = [
    config_text.action("static", "/static/**", methods=["GET", "HEAD"], record="off"),
    config_text.action("poll", "/poll/**", record="metadata"),
    config_text.action("safe", "/safe/**", durable=True),
    config_text.action("use", "/**"),
    config_text.action("export", "/export", "signoff"),
    config_text.action("export-poll", "/poll/export/**", "signoff", body=[{"name": "action", "equals": "export*"}]),
    config_text.action("never", "/poll/never/**", "deny"),
]


@pytest.fixture(scope="module")
def gw(origin):
    def change(config):
        config["tools"] = [config_text.tool("support", SUPPORT, origin.port, ACTIONS)]
    g = Gateway(origin, change=change)
    yield g
    g.finish()


@pytest.fixture(scope="module")
def alice(gw):
    return gw.person("alice")


@pytest.fixture(scope="module")
def session(gw, alice):
    return give_grant(alice, gw.person("bob"))["grant_id"]


def tar_of(gw, session):
    with open(os.path.join(gw.state, "recordings", f"{session}.tar"), "rb") as f:
        return f.read()


def recorded(gw, session, text):
    """The exchange with this in its request line, once its response is there."""
    def look():
        try:
            found = exchanges(read_tar(tar_of(gw, session)))
        except (FileNotFoundError, EOFError):
            return None
        return next((e for e in found if text in e.request_line and e.response), None)
    return wait_until(look, 30, f"the exchange {text} in the recording")


def field_of(exchange, kind, name):
    return next((r.fields[name] for r in exchange.records if r.fields.get("warc-type") == kind and name in r.fields), None)


@pytest.mark.parametrize("proto", PROTOS)
@pytest.mark.parametrize("size", [0, 1, 100, 3_000_017])
def test_metadata_keeps_heads_and_sizes(gw, origin, alice, session, proto, size):
    async def script(request, conn):
        await conn.answer(200, b"customer-list" + pattern(0, size), [("Content-Type", "text/html"), ("X-Kept", "yes"), ("Set-Cookie", "sid=s3cret")])
    origin.on("/poll/page", script)
    body = b'{"note":"sent-to-the-tool"}'
    r = alice.request("POST", f"/poll/page?n={proto}{size}&token=t0ken", [("Content-Type", "application/json")], body, proto=proto)
    assert r.body == b"customer-list" + pattern(0, size), "what is delivered does not change"
    e = recorded(gw, session, f"n={proto}{size}&")
    assert e.request_body == b"" and e.response_body == b""
    assert b"x-kept: yes" in e.response.lower() and b"content-type: application/json" in e.request.lower()
    for kind, bytes_passed in (("request", len(body)), ("response", len(r.body))):
        assert field_of(e, kind, "countersign-record") == "metadata"
        assert field_of(e, kind, "countersign-omitted") == str(bytes_passed)
        assert field_of(e, kind, "warc-truncated") == "policy"
    everything = everything_readable(tar_of(gw, session))
    for word in (b"customer-list", b"sent-to-the-tool", b"s3cret", b"t0ken"):
        assert word not in everything, word


def test_metadata_without_a_body_is_whole(gw, origin, alice, session):
    async def script(request, conn):
        await conn.send(b"HTTP/1.1 204 No Content\r\n\r\n")
    origin.on("/poll/none", script)
    assert alice.get("/poll/none").status == 204
    e = recorded(gw, session, "/poll/none")
    assert field_of(e, "response", "countersign-omitted") == "0" and field_of(e, "response", "warc-truncated") is None


def end_of_answer(gw, session, text):
    """The fields of the record that ends the response: of a continuation, when a segment closed in between."""
    def look():
        e = recorded(gw, session, text)
        return next((r.fields for r in e.records if r.type != "request" and "countersign-omitted" in r.fields), None)
    return wait_until(look, 60, f"the end of the answer to {text}")


def test_metadata_of_an_answer_cut_off_says_how_much_was_delivered(gw, origin, alice, session):
    endless(origin, "/poll/endless")
    with alice.h1() as c:
        c.send(h1_request("GET", "/poll/endless", f"{SUPPORT}:{gw.port}"))
        c.read_head()
        c.read_exactly(100_000, bytearray())
    end = end_of_answer(gw, session, "/poll/endless")
    assert end["warc-truncated"] == "disconnect" and int(end["countersign-omitted"]) >= 100_000


@pytest.mark.limit(300)
def test_sizes_survive_the_death_of_the_proxy(gw, origin, alice, session):
    endless(origin, "/poll/killed")
    with alice.h1() as c:
        c.send(h1_request("GET", "/poll/killed", f"{SUPPORT}:{gw.port}"))
        c.read_head()
        c.read_exactly(200_000, bytearray())
        gw.kill("proxy")
    assert int(end_of_answer(gw, session, "/poll/killed")["countersign-omitted"]) >= 200_000, "less was recorded than was delivered"
    gw.wait_ready()


@pytest.mark.parametrize("proto", PROTOS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_off_keeps_nothing_but_the_log_line(gw, origin, alice, session, proto, method):
    path = f"/static/{method}-{proto}.css"

    async def script(request, conn):
        await conn.answer(200, b"" if method == "HEAD" else b"body { color: red } /* static-body */", [("Content-Type", "text/css")])
    origin.on(path, script)
    assert alice.request(method, path, proto=proto).status == 200
    line = wait_until(lambda: next((x for x in gw.log_lines() if x.get("path") == path), None), 10, "its line in the access log")
    assert line["record"] == "off" and line["action"] == "static" and line["grant"] == session
    alice.get(f"/after{path}")
    recorded(gw, session, f"/after{path}")   # what came later is there, so this would be too
    everything = everything_readable(tar_of(gw, session))
    assert b"static-body" not in everything and f" {path} ".encode() not in everything


@pytest.mark.parametrize("proto", PROTOS)
def test_a_refusal_of_what_is_not_recorded_is_recorded(gw, origin, alice, session, proto):
    path = f"/static/broken-{proto}.css"

    async def script(request, conn):
        conn.abort()
    origin.on(path, script)
    assert alice.get(path, proto=proto).status == 502
    e = recorded(gw, session, f" {path} ")
    assert e.response.startswith(b"HTTP/1.1 502") and field_of(e, "response", "countersign-from") == "gateway"
    assert field_of(e, "response", "countersign-record") == "metadata"
    line = wait_until(lambda: next((x for x in gw.log_lines() if x.get("path") == path), None), 10, "its line in the access log")
    assert line["record"] == "metadata" and line["refusal"] == "tool-broke-off"


def test_off_is_for_plain_requests_only(gw, origin, alice, session):
    assert alice.request("GET", "/static/with-body", [("Content-Type", "text/plain")], b"a body says-much").status == 200
    assert recorded(gw, session, "/static/with-body").request_body == b"a body says-much"
    assert alice.post("/static/post", b"x=1").status == 200     # another action
    assert recorded(gw, session, "/static/post").request_body == b"x=1"


def test_what_asks_for_more_is_kept_in_full(gw, origin, alice, session):
    hold(alice, target="/export", body=b"audience=kept-in-full")
    assert recorded(gw, session, "POST /export").request_body == b"audience=kept-in-full"
    assert alice.get("/poll/never/x").status == 403
    assert recorded(gw, session, "/poll/never/x").response_body != b""
    assert alice.get("/safe/x").status == 200
    assert recorded(gw, session, "/safe/x").response_body != b""
    # The body decides whether this is an export, so all of it is kept from the start.
    alice.post("/poll/export/x", b"action=list&note=may-be-one")
    assert recorded(gw, session, "/poll/export/x").request_body == b"action=list&note=may-be-one"


def test_commands_say_what_was_not_kept(gw, origin, alice, session):
    assert alice.get("/poll/shown").status == 200
    recorded(gw, session, "/poll/shown")
    dan = gw.person("dan")
    wait_until(lambda: dan.cli("verify", session).returncode == 0, 30, "a whole recording")
    listed = json.loads(dan.cli("show", session, "--json", expect=0).stdout)["exchanges"]
    shown = next(e for e in listed if e["target"] == "/poll/shown")
    assert shown["record"] == "metadata" and shown["response_bytes"] == shown["response_omitted"] > 0 and not shown["response_cut"]
    text = dan.cli("show", session, expect=0).stdout.decode()
    assert "bodies not kept by policy" in next(x for x in text.splitlines() if "/poll/shown" in x)
    one = dan.cli("show", session, "--exchange", str(shown["number"]), expect=0).stdout.decode()
    assert "was not kept: policy records no bodies here" in one
    played = dan.cli("replay", session, "--speed", "0", expect=0).stdout.decode()
    assert "was not kept: policy records no bodies here" in played


def test_check_and_explain_say_it(gw):
    config = os.path.join(gw.state, "test.conf")
    out = gw.run_command("check", "-c", config).stdout.decode()
    assert "support: no bodies are recorded, only heads and sizes, of: poll" in out and "support: nothing is recorded of: static" in out
    for path, record in (("/static/a.css", "off"), ("/poll/x", "metadata"), ("/x", "full"), ("/safe/x", "full"), ("/poll/never/x", "full")):
        p = gw.run_command("explain", "-c", config, "--as", "alice@test.localhost", "GET", f"https://{SUPPORT}:{gw.port}{path}", "--json")
        assert json.loads(p.stdout)["record"] == record, path


def test_a_tool_may_have_a_default(gw):
    config = dict(gw.config, tools=[dict(gw.config["tools"][0], record="metadata")])
    p = gw.run_command("check", "-c", write_config(gw.state, config))
    write_config(gw.state, gw.config)
    assert "no bodies are recorded, only heads and sizes, of: poll, use" in p.stdout.decode()
