"""DOM recording at the level of HTTP: where the script goes and where it does not, what the tool and the client see of it, what becomes of the events. A browser's part: tests/browser."""
import gzip
import json
import os
import re
import time

import pytest

from harness import config_text
from harness.config_text import BILLING, SUPPORT
from harness.gateway import Gateway, command, write_config
from harness.origin import pattern
from harness.people import give_grant, wait_until
from harness.recording import everything_readable, exchanges, read_tar

PROTOS = ["h1", "h2"]
NAVIGATES = [("Sec-Fetch-Dest", "document"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Site", "none"), ("Accept", "text/html"), ("Accept-Encoding", "gzip, br, zstd")]
HTML = ("Content-Type", "text/html; charset=utf-8")
PAGE = b"<!doctype html>\n<html lang=en>\n<head><title>Customers</title></head><body>17 customers</body></html>"
TAG = re.compile(rb'<script src="(/\.countersign/recorder/[0-9a-f]+\.js)"(?: nonce="([^"]*)")? data-countersign="(\d+)"></script>')
EVENTS = "/.countersign/recorder/events"
RECORDER = "module.exports = { record: function () {} };\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("dom")
    (path / "record.js").write_text(RECORDER)
    return str(path)


@pytest.fixture(scope="module")
def gw(origin, folder):
    def change(config):
        actions = [config_text.action("static", "/static/**", methods=["GET", "HEAD"], record="off"), config_text.action("safe", "/safe/**", durable=True),
                   config_text.action("sizes", "/sizes/**", record="metadata"), config_text.action("use", "/**")]
        config["tools"] = [config_text.tool("support", SUPPORT, origin.port, actions, dom_recording={"enabled": True, "show": ["#search"]}),
                           config_text.tool("billing", BILLING, origin.port, [config_text.action("use", "/**")])]
        config["dom_recorder"] = folder
        config["limits"] = {"dom_upload": "128KiB", "dom_rate": "64KiB"}
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


def recorded(gw, session, wanted, what="the exchange in the recording"):
    def look():
        try:
            found = exchanges(read_tar(tar_of(gw, session)))
        except (FileNotFoundError, EOFError):
            return None
        return next((e for e in found if e.response and wanted(e)), None)
    return wait_until(look, 30, what)


def notes_of(exchange):
    out = {}
    for r in exchange.records:
        if r.type == "metadata":
            out.update(json.loads(r.block).get("notes", {}))
    return out


def answers(origin, path, body=PAGE, fields=(HTML,), status=200):
    async def script(request, conn):
        await conn.answer(status, body, fields)
    origin.on(path, script)


def said(gw, session, path):
    return recorded(gw, session, lambda e: f" {path} " in e.request_line and "dom-recorder" in notes_of(e), path)


@pytest.mark.parametrize("proto", PROTOS)
def test_script_goes_into_a_page(gw, origin, alice, session, proto):
    path = f"/page-{proto}"
    answers(origin, path, fields=[HTML, ("ETag", '"v1"'), ("Content-MD5", "x"), ("Repr-Digest", "sha-256=:AA==:"), ("Accept-Ranges", "bytes"), ("Last-Modified", "Mon, 23 Nov 2026 10:00:00 GMT")])
    r = alice.get(path, NAVIGATES + [("If-None-Match", '"v1"'), ("If-Modified-Since", "Mon, 23 Nov 2026 10:00:00 GMT")], proto=proto)
    assert r.status == 200
    tag = TAG.search(r.body)
    assert tag and r.body[:tag.start()].endswith(b"<head>") and r.body[:tag.start()] + r.body[tag.end():] == PAGE, r.body
    for name in ("etag", "content-md5", "repr-digest", "accept-ranges"):
        assert r.get(name) is None, name
    assert r.get("content-length") in (None, str(len(r.body))) and r.get("last-modified")
    asked = origin.last(path)
    assert asked.all("accept-encoding") == ["identity"] and asked.get("if-none-match") is None and asked.get("if-modified-since") is None
    e = said(gw, session, path)
    assert e.response_body == r.body, "what is recorded is what the client received"
    assert b"etag" not in e.response.partition(b"\r\n\r\n")[0].lower() and b"if-none-match" in e.request.lower(), "and what it sent"
    assert notes_of(e)["dom-recorder"] == f"script of {len(tag[0])} bytes put in at byte {tag.start()}"
    assert e.records[0].fields["countersign-exchange"] == tag[3].decode(), "the page says which exchange it is"
    script = alice.get(tag[1].decode(), proto=proto)
    assert script.status == 200 and RECORDER.encode() in script.body and b'"show":["#search"]' in script.body
    assert script.get("cache-control") == "private, max-age=31536000, immutable" and script.get("content-type").startswith("text/javascript")
    assert not any("countersign" in q.path for q in origin.requests), "none of it reaches the tool"


def test_a_page_streams_while_it_is_made(gw, origin, alice, session):
    async def script(request, conn):
        await conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in (b"<!doctype ht", b"ml><ht", b"ml><he", b"ad a='>'", b"><p>first"):
            await conn.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        await wait_for(gw, "/streamed-go")
        await conn.send(b"6\r\nsecond\r\n0\r\n\r\n")
    gate = {}

    async def wait_for(_gw, _path):
        import asyncio
        while not gate:
            await asyncio.sleep(0.02)
    origin.on("/streamed", script)
    with alice.h1() as c:
        lines = "".join(f"{n}: {v}\r\n" for n, v in NAVIGATES)
        c.send(f"GET /streamed HTTP/1.1\r\nHost: {SUPPORT}:{gw.port}\r\n{lines}\r\n".encode())
        c.read_head()
        before = c.read_until(b"<p>first")
        assert before is not None, "it came before the page was whole"
        gate["open"] = True
        rest = c.read_until(b"second")
    got = re.sub(rb"\r\n[0-9a-f]+\r\n", b"", before)
    assert b"<head a='>'><script src=" in got and rest is not None


@pytest.mark.parametrize("proto", PROTOS)
@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_a_large_page_is_whole(gw, origin, alice, session, proto, coding):
    path, page = f"/large-{proto}-{coding}", b"<html><body>" + pattern(0, 3_000_000).replace(b"\0", b" ")
    answers(origin, path, gzip.compress(page, 1) if coding == "gzip" else page, [HTML, ("Content-Encoding", coding)])
    r = alice.get(path, NAVIGATES, proto=proto)
    tag = TAG.search(r.body)
    assert r.complete and tag.start() == 6 and r.body[:6] + r.body[tag.end():] == page
    assert r.get("content-encoding") in (None, "identity")
    e = said(gw, session, path)
    wait_until(lambda: recorded(gw, session, lambda x: x.key == e.key).response_body == r.body, 30, "all of it")


def test_a_small_gzip_that_grows_is_whole(gw, origin, alice, session):
    page = b"<head>" + b" " * 5_000_000
    answers(origin, "/grows", gzip.compress(page), [HTML, ("Content-Encoding", "gzip")])
    r = alice.get("/grows", NAVIGATES)
    assert len(TAG.sub(b"", r.body)) == len(page)


def test_a_broken_gzip_is_cut_off(gw, origin, alice, session):
    answers(origin, "/broken", gzip.compress(PAGE)[:10] + b"\xff" * 40, [HTML, ("Content-Encoding", "gzip")])
    assert not alice.get("/broken", NAVIGATES).complete


def test_durable_pages_get_it_too(gw, origin, alice, session):
    answers(origin, "/safe/page")
    assert TAG.search(alice.get("/safe/page", NAVIGATES).body)


NOT_INTO = {
    "hashes": ([HTML, ("Content-Security-Policy", "script-src 'sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='")], "does not let the recorder's script run"),
    "no-sending": ([HTML, ("Content-Security-Policy", "script-src 'self'; connect-src 'none'")], "does not let the recorder send"),
    "sandboxed": ([HTML, ("Content-Security-Policy", "sandbox allow-forms")], "sandbox"),
    "brotli": ([HTML, ("Content-Encoding", "br")], "content coding"),
    "utf-16": ([("Content-Type", "text/html; charset=utf-16le")], "charset"),
    "xhtml": ([("Content-Type", "application/xhtml+xml")], "XHTML"),
    "untyped": ([], "no Content-Type"),
    "no-transform": ([HTML, ("Cache-Control", "no-transform")], "no-transform"),
}


@pytest.mark.parametrize("name", NOT_INTO)
def test_where_it_can_t_be_done_safely_the_page_is_left_alone_and_the_recording_says_so(gw, origin, alice, session, name):
    fields, why = NOT_INTO[name]
    answers(origin, f"/not-{name}", fields=[*fields, ("ETag", '"v1"')])
    r = alice.get(f"/not-{name}", NAVIGATES)
    assert r.body == PAGE and r.get("etag") == '"v1"'
    assert r.get("content-security-policy") == dict(fields).get("Content-Security-Policy"), "no policy is widened"
    note = notes_of(said(gw, session, f"/not-{name}"))["dom-recorder"]
    assert note.startswith("no script: ") and why in note, note


def test_a_page_with_no_place_for_it(gw, origin, alice, session):
    page = b"\xff\xfe" + "<html><head>".encode("utf-16-le")
    answers(origin, "/wide", page, [("Content-Type", "text/html")])
    assert alice.get("/wide", NAVIGATES).body == page
    assert "UTF-16" in notes_of(said(gw, session, "/wide"))["dom-recorder"]


@pytest.mark.parametrize("what", ["json", "fetch", "no-browser", "part", "download", "redirect", "off"])
def test_what_is_no_page_is_left_alone(gw, origin, alice, session, what):
    path = "/static/x" if what == "off" else f"/other-{what}"
    status, fields, asks = 200, [HTML], list(NAVIGATES)
    if what == "json":
        fields = [("Content-Type", "application/json")]
    elif what == "fetch":
        asks = [("Sec-Fetch-Dest", "empty"), ("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Site", "same-origin"), ("Accept-Encoding", "br")]
    elif what == "no-browser":
        asks = [("Accept-Encoding", "br")]
    elif what == "part":
        asks.append(("Range", "bytes=0-4"))
    elif what == "download":
        fields.append(("Content-Disposition", "attachment"))
    elif what == "redirect":
        status, fields = 302, [HTML, ("Location", "/elsewhere")]
    answers(origin, path, PAGE, fields, status)
    assert alice.get(path, asks).body == PAGE
    coding = origin.last(path).get("accept-encoding")
    assert coding == ("br" if what in ("fetch", "no-browser") else "gzip, br, zstd" if what == "part" else "identity")


def test_a_nonce_is_taken_along_where_it_is_needed(gw, origin, alice, session):
    answers(origin, "/nonce", fields=[HTML, ("Content-Security-Policy", "script-src 'strict-dynamic' 'nonce-abc+/123=='"), ("Content-Security-Policy", "script-src 'self' 'nonce-abc+/123=='")])
    assert TAG.search(alice.get("/nonce", NAVIGATES).body)[2] == b"abc+/123=="


def test_it_is_off_unless_it_is_turned_on(gw, origin):
    alice = gw.person("alice")
    give_grant(alice, gw.person("bob"), "billing")
    answers(origin, "/billing-page")
    assert alice.request("GET", "/billing-page", NAVIGATES, host=BILLING).body == PAGE
    assert origin.last("/billing-page").get("accept-encoding") == "gzip, br, zstd"
    for path in (EVENTS, "/.countersign/recorder/x.js"):
        assert alice.request("GET", path, host=BILLING).status == 404
    assert upload(alice, gw, b"{}", host=BILLING).status == 404


def upload(person, gw, body, proto="h2", host=SUPPORT, drop=(), **change):
    fields = {"Origin": f"https://{host}:{gw.port}", "Content-Type": "application/json", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty",
              "Content-Length": str(len(body))}
    fields.update({k.replace("_", "-"): v for k, v in change.items()})
    return person.request("POST", EVENTS, [(n, v) for n, v in fields.items() if n not in drop], body, proto=proto, host=host)


def events(**more):
    return json.dumps({"v": 1, "page": "1", "doc": "d", "seq": 0, "lost": 0, "why": "", "at": "/", "events": [], **more}).encode()


@pytest.mark.parametrize("proto", PROTOS)
def test_events_are_sealed_as_the_browser_s_claim(gw, origin, alice, session, proto):
    body = events(doc=f"doc-{proto}", events=[{"type": 3, "data": {"password": "hunter2-dom", "text": "typed"}}])
    r = upload(alice, gw, body, proto)
    assert r.status == 204 and r.body == b""
    e = recorded(gw, session, lambda x: f"doc-{proto}".encode() in x.request_body)
    assert next(x for x in e.records if x.type == "request").fields["countersign-action"] == "browser-claim:dom"
    assert json.loads(e.request_body)["events"][0]["data"] == {"password": "removed", "text": "typed"}
    assert b"hunter2-dom" not in everything_readable(tar_of(gw, session))
    assert not any("countersign" in q.path for q in origin.requests)


REFUSED = {
    "no length": (411, {}, ("Content-Length",)),
    "another origin": (403, {"Origin": "https://evil.example"}, ()),
    "no origin": (403, {}, ("Origin",)),
    "a sandboxed page": (403, {"Origin": "null"}, ()),
    "another site": (403, {"Sec_Fetch_Site": "cross-site"}, ()),
    "a sister": (403, {"Sec_Fetch_Site": "same-site"}, ()),
    "typed in": (403, {"Sec_Fetch_Site": "none"}, ()),
    "a navigation": (403, {"Sec_Fetch_Dest": "document"}, ()),
    "a form": (415, {"Content_Type": "text/plain"}, ()),
    "no type": (415, {}, ("Content-Type",)),
    "coded": (415, {"Content_Encoding": "gzip"}, ()),
}


@pytest.mark.parametrize("name", REFUSED)
def test_only_a_page_of_the_tool_may_send_events(gw, alice, session, name):
    status, change, drop = REFUSED[name]
    assert upload(alice, gw, events(), "h2", drop=drop, **change).status == status


def test_what_is_too_large_is_refused(gw, alice, session):
    assert upload(alice, gw, b"x" * (128 * 1024 + 1)).status == 413


def test_nobody_sends_events_without_a_grant(gw, session):
    assert upload(gw.person("mallory"), gw, events()).status == 403


def test_a_broken_upload_is_no_way_round_redaction(gw, alice, session):
    assert upload(alice, gw, b'{"doc":"broken","password":"hunter3-dom"').status == 204
    assert upload(alice, gw, b'nonsense password=hunter3-dom').status == 204
    wait_until(lambda: any("request-body" in notes_of(e) for e in exchanges(read_tar(tar_of(gw, session)))), 30, "the upload")
    assert b"hunter3-dom" not in everything_readable(tar_of(gw, session))


def test_a_flood_of_events_is_refused_and_the_page_goes_on(gw, origin, session):
    """alice's other certificate: the same person, so the same allowance; everything else of hers goes on."""
    person = gw.person("alice")
    answers(origin, "/calm")
    statuses = [upload(person, gw, events(doc="flood", events=["x" * 100_000])).status for _ in range(30)]
    assert statuses[0] == 204 and statuses.count(429) >= 15 and set(statuses) == {204, 429}, statuses
    assert TAG.search(person.get("/calm", NAVIGATES).body)
    end = time.monotonic() + 60
    while upload(person, gw, events(doc="after")).status != 204:
        assert time.monotonic() < end
        time.sleep(0.5)
    e = recorded(gw, session, lambda x: b'"after"' in x.request_body and "dom-refused" in notes_of(x), "what was refused is said")
    assert "uploads of this person were refused" in notes_of(e)["dom-refused"]


def test_show_verify_and_export_take_it_in_their_stride(gw, alice, session, tmp_path):
    dan = gw.person("dan")
    listing = dan.cli("show", session, expect=0).stdout.decode()
    assert "browser-claim:dom" in listing
    dan.cli("verify", session, expect=0)
    for kind in ([], ["--wacz"], ["--raw"]):
        dan.cli("export", session, *kind, "-o", str(tmp_path / f"x{kind}"), expect=0)
    assert b"recorder/events" not in (tmp_path / "x[]").read_bytes(), "HAR is about the tool"
    report = dan.cli("incident", "--identity", "alice@test.localhost", "--from", "2026-01-01", "--json", expect=0).stdout
    assert b"support" in report and b"recorder/events" not in report and b"browser-claim" not in report


def test_without_the_script_check_and_start_say_so(origin, tmp_path):
    def change(config):
        config["tools"] = [config_text.tool("support", SUPPORT, origin.port, dom_recording={"enabled": True})]
        config["dom_recorder"] = str(tmp_path / "nowhere")
    g = Gateway(origin, change=change, start=False)
    try:
        path = write_config(g.state, g.config)
        for order in ("check", "run"):
            p = command(order, "-c", path)
            said_so = (p.stdout + p.stderr).decode()
            assert p.returncode == 1 and "DOM recording" in said_so and "nowhere/record.js" in said_so and "config/install dom" in said_so, said_so
    finally:
        g.finish()
