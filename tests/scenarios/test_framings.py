"""Every hostile framing, HTTP/1.1 and HTTP/2: refused, or passed on in exactly one reading. What counts are the bytes at the tool, read in the strictest way."""
import os
import socket
import sys

import pytest

from harness.config_text import SUPPORT
from harness.frames import Wire, data
from harness.gateway import Gateway
from harness.people import give_grant
from harness.rawtool import RawTool

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import framings                      # noqa: E402
import test_h2_messages              # noqa: E402
import test_smuggling_http1          # noqa: E402
import test_smuggling_http2          # noqa: E402

H1 = {**framings.H1, **{f"smuggling: {k}": (v, framings.REFUSED) for k, v in test_smuggling_http1.REFUSED.items()}}


class Port:
    """What the gateway's harness wants of a tool."""

    def __init__(self, port):
        self.port = port


@pytest.fixture(scope="module")
def tool():
    t = RawTool()
    yield t
    t.close()


@pytest.fixture(scope="module")
def gw(tool):
    g = Gateway(Port(tool.port))
    give_grant(g.person("alice"), g.person("bob"))
    yield g
    g.finish()


@pytest.fixture(autouse=True)
def fresh(tool):
    tool.reset()


def check(tool, status, allowed):
    """allowed: REFUSED, "maybe" (refused, or one request whose target begins with /a), "pipelined" (then perhaps the second one, as a request of its own), or the
    one reading, which a 200 must have led to."""
    messages, violations = tool.seen(1 if status == 200 else 0)
    assert not violations, violations
    read = [(m.method, m.target, m.body) for m in messages]
    assert len(read) <= (2 if allowed == "pipelined" else 1), read
    if allowed is framings.REFUSED:
        assert status != 200 and not read, f"{status}: it reached the tool: {messages[0].raw[:300] if messages else None!r}"
    elif isinstance(allowed, tuple):
        assert status == 200 and read == [allowed], f"{status}: {read}"
    elif allowed == "pipelined":       # the second may be served though the first was refused: where it begins is beyond doubt
        assert [t for _, t, _ in read] in ([], ["/a"], ["/smuggled"], ["/a", "/smuggled"]) and (status == 200) >= (read[:1] == [("GET", "/a", b"")]), f"{status}: {read}"
    else:
        assert (status == 200) >= bool(read), f"{status}: {read}"
        assert all(t.startswith("/a") or t == "*" for _, t, _ in read), read
    for m in messages:
        assert len(m.all("Client-Cert")) == 1 and len(m.all("Countersign-Assertion")) == 1


@pytest.mark.parametrize("name", H1)
def test_http1(gw, tool, name):
    raw, allowed = H1[name]
    with gw.person("alice").h1(timeout=20) as c:
        try:
            c.send(raw.replace("PORT", str(gw.port)).encode("latin-1"))
            if "less data" in name or "2^32" in name:
                c.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        r = c.read_response()
        assert r.status in (200, 204, 400, 403, 404, 413, 414, 417, 421, 426, 431, 501, 502, 505) or (r.status == 0 and c.ended), f"{r.status} {r.body[:200]!r}"
        if r.status != 200 and allowed is framings.REFUSED and r.problem not in ("bad-target", "unknown-host", "misdirected"):
            assert c.ends_within(20), "the connection stays open after what could not be understood"
        elif allowed == "pipelined":
            c.read_response()         # or the end; else the second request would reach the tool during the next test
    check(tool, r.status, allowed)


@pytest.mark.parametrize("name", framings.H2)
def test_http2_to_http1(gw, tool, name):
    how, body, allowed = framings.H2[name]
    how = {k: [(n, v.replace("PORT", str(gw.port))) for n, v in val] if k == "fields" else val for k, val in how.items()}
    if body is not None:
        how["fields"] = how.get("fields", []) + [("content-type", "text/plain")]
    with Wire(gw, gw.creds["alice"], SUPPORT) as w:
        w.send(w.request(1, end=body is None, **how) if len(str(how)) < 16000 else big(w, how))
        if body is not None:
            w.send(data(1, body))
        w.wait(lambda: w.over(1))
        status = w.status(1) if 1 not in w.resets else 0
    check(tool, status, allowed)


def big(w, how):
    """A head that needs CONTINUATION."""
    from harness.frames import CONTINUATION, END_HEADERS, END_STREAM, HEADERS, block, frame
    raw = block(w.request_fields(**how))
    parts = [raw[i:i + 16384] for i in range(0, len(raw), 16384)]
    return frame(HEADERS, END_STREAM, 1, parts[0]) + b"".join(frame(CONTINUATION, END_HEADERS if i == len(parts) - 2 else 0, 1, p) for i, p in enumerate(parts[1:]))


@pytest.mark.parametrize("name", [*test_h2_messages.MALFORMED])
def test_malformed_http2_leaves_nothing_readable_at_the_tool(gw, tool, name):
    with Wire(gw, gw.creds["alice"], SUPPORT) as w:
        w.send(test_h2_messages.MALFORMED[name](w))
        w.wait(lambda: w.over(1))
        status = w.status(1) if 1 not in w.resets else 0
    check(tool, status, framings.REFUSED)


@pytest.mark.parametrize("name", test_smuggling_http2.TABLES)
def test_hostile_http2_fields_leave_nothing_at_the_tool(gw, tool, name):
    with gw.person("alice").h2(timeout=20) as c:
        r = c.wait(c.open_raw(test_smuggling_http2.TABLES[name](gw)))
    check(tool, 0 if r.reset else r.status, framings.REFUSED)


@pytest.mark.parametrize("proto", ["h1", "h2"])
@pytest.mark.parametrize("name", framings.SPOOFED)
def test_nobody_names_another(gw, tool, name, proto):
    """Refused or dropped, in no spelling does a field of the gateway's reach the tool with a client's value."""
    if proto == "h1":
        r = gw.person("alice").get("/a", [(name, "spoofed-by-mallory")])
        status = r.status
    else:
        with Wire(gw, gw.creds["alice"], SUPPORT) as w:
            w.send(w.request(1, fields=[(name.lower(), "spoofed-by-mallory")]))
            w.wait(lambda: w.over(1))
            status = w.status(1)
    check(tool, status, "maybe")
    messages, _ = tool.seen()
    assert all(b"spoofed-by-mallory" not in m.raw for m in messages), messages[0].raw


def test_the_table_is_large_enough():
    assert len(H1) + len(framings.H2) + len(test_smuggling_http2.TABLES) + len(test_h2_messages.MALFORMED) + 2 * len(framings.SPOOFED) >= 150
