"""Promise 1: a rule on the body holds for every way a tool might read it; what cannot be read counts as the strictest rule of its path."""
import gzip
import json
import zlib

import pytest

from harness.people import give_grant

FORM, JSON, MULTI = "application/x-www-form-urlencoded", "application/json", "multipart/form-data; boundary=B"


def part(*pairs, boundary="B", end=True):
    out = b"".join(b"--%s\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n" % (boundary.encode(), head, value) for head, value in pairs)
    return out + (b"--%s--\r\n" % boundary.encode() if end else b"")


HELD = {
    # name: (path, content type, body, more fields)
    "urlencoded": ("/admin/a", FORM, b"action=export_csv", ()),
    "urlencoded, last of duplicates": ("/admin/a", FORM, b"action=view&action=export", ()),
    "urlencoded, first of duplicates": ("/admin/a", FORM, b"action=export&action=view", ()),
    "urlencoded, encoded value": ("/admin/a", FORM, b"action=%65xport", ()),
    "urlencoded, encoded name": ("/admin/a", FORM, b"%61ction=export", ()),
    "urlencoded, brackets": ("/admin/a", FORM, b"action[]=export", ()),
    "urlencoded, brackets around it": ("/admin/a", FORM, b"x=1&[action]=export", ()),
    "urlencoded, a bracket behind it": ("/admin/a", FORM, b"action]=export", ()),
    "urlencoded, spaces that forms strip": ("/admin/a", FORM, b"action=+%C2%A0export", ()),
    "in the query": ("/admin/a?action=export", FORM, b"action=view", ()),
    "in the query only": ("/admin/a?action=export", FORM, b"", ()),
    "a method override": ("/items/5", FORM, b"_method=DELETE", ()),
    "a method override in a broken form": ("/items/5", FORM, b"_method=DELETE&x=%zz", ()),
    "a method override after a preamble": ("/items/5", MULTI, b"x\r\n" + part((b'name="_method"', b"DELETE")), ()),
    "urlencoded, semicolon": ("/admin/a", FORM, b"x=1;action=export", ()),
    "urlencoded, upper-case type": ("/admin/a", FORM.upper(), b"action=export", ()),
    "urlencoded, charset": ("/admin/a", FORM + "; charset=utf-8", b"action=export", ()),
    "urlencoded, utf-16 charset": ("/admin/a", FORM + "; charset=utf-16", "action=export".encode("utf-16"), ()),
    "urlencoded, utf-7 charset": ("/admin/a", FORM + "; charset=utf-7", b"action=+AGU-xport", ()),
    "urlencoded, chunk of pairs": ("/admin/a", FORM, b"&".join(b"x%d=1" % i for i in range(3000)) + b"&action=export", ()),
    "urlencoded, NUL": ("/admin/a", FORM, b"action=export%00", ()),
    "json, plain": ("/api/x", JSON, b'{"data":{"action":"export"}}', ()),
    "json, last of duplicates": ("/api/x", JSON, b'{"data":{"action":"view","action":"export"}}', ()),
    "json, first of duplicates": ("/api/x", JSON, b'{"data":{"action":"export","action":"view"}}', ()),
    "json, duplicate parents": ("/api/x", JSON, b'{"data":{"action":"export"},"data":{}}', ()),
    "json, escapes": ("/api/x", JSON, b'{"d\\u0061ta":{"\\u0061ction":"\\u0065xport"}}', ()),
    "json, a batch": ("/api/x", JSON, b'[{"data":{"action":"view"}},{"data":{"action":"export"}}]', ()),
    "json, an array inside": ("/api/x", JSON, b'{"data":[{"action":"view"},{"action":"export"}]}', ()),
    "json, another json type": ("/api/x", "application/vnd.api+json", b'{"data":{"action":"export"}}', ()),
    "json, text after it": ("/api/x", JSON, b'{"data":{"action":"view"}}{"data":{"action":"export"}}', ()),
    "json, broken": ("/api/x", JSON, b'{"data":{"action":"view"', ()),
    "json, comments": ("/api/x", JSON, b'{"data":/*x*/{"action":"export"}}', ()),
    "json, utf-16": ("/api/x", JSON, '{"data":{"action":"export"}}'.encode("utf-16"), ()),
    "json, byte order mark": ("/api/x", JSON, b'\xef\xbb\xbf{"data":{"action":"export"}}', ()),
    "json, bad utf-8": ("/api/x", JSON, b'{"data":{"action":"\xff"}}', ()),
    "json, very deep": ("/api/x", JSON, b"[" * 5000 + b"]" * 5000, ()),
    "json sent as text": ("/api/x", "text/plain", b'{"data":{"action":"export"}}', ()),
    "json without a type": ("/api/x", None, b'{"data":{"action":"export"}}', ()),
    "multipart": ("/admin/a", MULTI, part((b'name="action"', b"export")), ()),
    "multipart, unquoted name": ("/admin/a", MULTI, part((b"name=action", b"export")), ()),
    "multipart, duplicates": ("/admin/a", MULTI, part((b'name="action"', b"view"), (b'name="action"', b"export")), ()),
    "multipart, as a file": ("/admin/a", MULTI, part((b'name="action"; filename="x"', b"export")), ()),
    "multipart, quoted boundary": ("/admin/a", 'multipart/form-data; boundary="B"', part((b'name="action"', b"export")), ()),
    "multipart, two boundaries": ("/admin/a", "multipart/form-data; boundary=A; boundary=B", part((b'name="action"', b"export")), ()),
    "multipart, no end": ("/admin/a", MULTI, part((b'name="action"', b"export"), end=False), ()),
    "multipart, no boundary": ("/admin/a", "multipart/form-data", part((b'name="action"', b"export")), ()),
    "multipart, bare line feeds": ("/admin/a", MULTI, part((b'name="action"', b"export")).replace(b"\r\n", b"\n"), ()),
    "multipart, extended name": ("/admin/a", MULTI, part((b"name*=utf-8''%61ction", b"export")), ()),
    "multipart, transfer encoding": ("/admin/a", MULTI, b'--B\r\nContent-Disposition: form-data; name="action"\r\nContent-Transfer-Encoding: base64'
                                     b"\r\n\r\nZXhwb3J0\r\n--B--\r\n", ()),
    "gzip": ("/admin/a", FORM, gzip.compress(b"action=export"), (("Content-Encoding", "gzip"),)),
    "deflate": ("/admin/a", FORM, zlib.compress(b"action=export"), (("Content-Encoding", "deflate"),)),
    "an unknown coding": ("/admin/a", FORM, b"action=view", (("Content-Encoding", "br"),)),
    "two content types": ("/admin/a", FORM, b"action=export", (("Content-Type", "text/plain"),)),
    "an unknown type": ("/admin/a", "application/octet-stream", b"action=export", ()),
    "xml": ("/admin/a", "application/xml", b"<action>export</action>", ()),
    "too long to judge": ("/admin/a", FORM, b"pad=" + b"x" * (2 << 20) + b"&action=export", ()),
}

PASS = {
    "urlencoded": ("/admin/a", FORM, b"action=view&note=export"),
    "json": ("/api/x", JSON, b'{"data":{"action":"view"},"action":"export"}'),
    "multipart": ("/admin/a", MULTI, part((b'name="action"', b"view"), (b'name="note"', b"export"))),
    "no body": ("/admin/a", FORM, b""),
    "a path without body rules": ("/other", "application/octet-stream", b"action=export"),
}


@pytest.fixture(scope="module", autouse=True)
def granted(gw):
    give_grant(gw.person("alice"), gw.person("bob"))


@pytest.fixture(scope="module")
def gw(origin):
    from harness.gateway import Gateway
    g = Gateway(origin, limits={"held_per_person": 500})
    yield g
    g.finish()


@pytest.mark.parametrize("proto", ["h1", "h2"])
@pytest.mark.parametrize("name", HELD)
def test_no_reading_of_a_body_gets_an_export_through(gw, origin, name, proto):
    path, kind, body, more = HELD[name]
    fields = ([("Content-Type", kind)] if kind else []) + list(more)
    r = gw.person("alice").request("POST", path, fields, body, proto=proto)
    assert origin.count() == 0, f"it reached the tool: {origin.last().head!r}"
    assert r.problem == "signoff-required" or r.status in (400, 413, 415), f"{r.status} {r.body[:200]!r}"


@pytest.mark.parametrize("proto", ["h1", "h2"])
def test_head_is_held_where_get_is(gw, origin, proto):
    assert gw.person("alice").request("HEAD", "/report?format=csv", proto=proto).status == 403 and origin.count() == 0


@pytest.mark.parametrize("name", ["urlencoded", "json, plain", "multipart", "json, a batch", "urlencoded, last of duplicates", "gzip"])
def test_the_ordinary_forms_are_held_and_not_merely_refused(gw, origin, name):
    path, kind, body, more = HELD[name]
    r = gw.person("alice").request("POST", path, [("Content-Type", kind), *more, ("Accept", "x/" + name.replace(" ", "").replace(",", ""))], body)
    assert r.problem == "signoff-required"


@pytest.mark.parametrize("proto", ["h1", "h2"])
@pytest.mark.parametrize("name", PASS)
def test_other_bodies_pass_byte_for_byte(gw, origin, name, proto):
    path, kind, body = PASS[name]
    assert gw.person("alice").request("POST", path, [("Content-Type", kind)], body, proto=proto).status == 200
    assert origin.last().body == body and origin.last().get("Content-Type") == kind


def test_json_as_written_by_any_library_passes(gw, origin):
    body = json.dumps({"data": {"action": "view", "n": 1.5, "t": True, "z": None, "l": [1, {"x": "é"}]}}, indent=2).encode()
    assert gw.person("alice").request("POST", "/api/x", [("Content-Type", JSON)], body).status == 200
    assert origin.last().body == body
