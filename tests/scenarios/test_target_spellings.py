"""Promise 1 and issue 2 point 4: no spelling of a target gets round a rule. What reaches the tool un-held must not be what the tool would run as the export."""
import re
from urllib.parse import unquote

import pytest

from harness.people import give_grant

GATEWAY = {"limits": {"held_per_person": 1000}}
EXPORTS = [
    "/export", "/%65xport", "/%65%78%70%6f%72%74", "/%65%78%70%6F%72%74", "//export", "///export", "/./export", "/x/../export", "/x/y/../../export",
    "/%2e/export", "/%2e%2e/export", "/x/%2e%2e/export", "/x/.%2e/export", "/x/%2E./export", "/../export", "/..//export", "/%2fexport", "/%2Fexport",
    "/x%2f..%2fexport", "/x%2f../export", "/%5cexport", "/\\export", "/x\\..\\export", "/x%5c..%5cexport", "/%252e%252e/export", "/%2565xport",
    "/%25%36%35xport", "/export/", "/export/.", "/export/..;/export", "/export//", "/export%00", "/export%00.html", "/export%20", "/export%0a", "/export%0d%0a",
    "/export#x", "/export%23", "/export%3f", "/export;", "/export;x=1", "/;/export", "/;x/export", "/x;/../export", "/x/..;/export", "/.;/export",
    "/export%3bx", "/EXPORT", "/Export", "/export.", "/export%2e", "/exp%6frt", "/expor%74", "/%C0%AE%C0%AE/export", "/%c0%afexport", "/%e0%80%afexport",
    "/x/%c0%ae%c0%ae/export", "/\xef\xbc\x8fexport", "/%EF%BC%8Fexport", "/%u0065xport", "/export?", "/export??", "/export?x=/../", "/export?#",
    "/x?/../export", "http://support.test.localhost/export", "https://support.test.localhost/export", "https://other.test.localhost/export", "export", "*",
    "/export\t", "/%09export", "/exports/../export", "/exports/", "/exports/a", "/exports//a", "/exports/%61", "/exports/a/b",
]
FORMS = [
    "/report?format=csv", "/report?format=csv2", "/report?format=%63sv", "/report?%66ormat=csv", "/report?format=csv&format=html", "/report?format=html&format=csv",
    "/report?x=1;format=csv", "/report?format=html;format=csv", "/report?format[]=csv", "/report?format%5b%5d=csv", "/report?&&format=csv", "/report?=&format=csv",
    "/report?format=c%73v", "/report?FORMAT=csv&format=csv", "/report?format=csv#x", "/%72eport?format=csv", "/report?a=%26&format=csv",
    "/report?+format=csv&format=csv", "/report?format=csv%00", "/report?format=%2563sv&format=csv",
]


def means_export(request):
    """What a lenient tool might make of what it got: parameters cut off, backslashes turned, decoded up to three times, cleaned."""
    path, _, query = request.target.partition("?")
    path = re.sub(r";[^/]*", "", path)
    for _ in range(3):
        path, query = unquote(path).replace("\\", "/"), unquote(query)
    parts = []
    for part in path.split("\0")[0].split("/"):
        if part == "..":
            parts[-1:] = []
        elif part not in ("", "."):
            parts.append(part)
    clean = "/" + "/".join(parts)
    return clean == "/export" or clean.startswith("/exports/") or (clean == "/report" and re.search(r"format(\[\])?=csv", query) is not None)


@pytest.fixture(scope="module", autouse=True)
def granted(gw):
    give_grant(gw.person("alice"), gw.person("bob"))


def check(r, origin, target):
    for request in origin.requests:
        assert not means_export(request), f"{target!r} reached the tool un-held as {request.target!r}"
    if r.status == 200:
        assert origin.count() == 1
    else:
        assert origin.count() == 0, f"{target!r}: answered {r.status}, and yet it reached the tool"
        assert r.status in (400, 403, 404, 421, 501) or r.reset, f"{target!r}: {r.status}"


@pytest.mark.parametrize("target", EXPORTS + FORMS)
def test_no_spelling_gets_round_over_http1(gw, origin, target):
    with gw.person("alice").h1() as c:
        c.send(b"GET " + target.encode("latin-1") + b" HTTP/1.1\r\nHost: support.test.localhost:%d\r\nConnection: close\r\n\r\n" % gw.port)
        check(c.read_response(), origin, target)


@pytest.mark.parametrize("target", EXPORTS + FORMS)
def test_no_spelling_gets_round_over_http2(gw, origin, target):
    with gw.person("alice").h2() as c:
        stream = c.open_raw([(":method", "GET"), (":scheme", "https"), (":authority", f"support.test.localhost:{gw.port}"), (":path", target)])
        check(c.wait(stream), origin, target)


@pytest.mark.parametrize("target", ["/export", "/%65xport", "/exports/a", "/report?format=csv", "/report?format=html&format=csv", "/report?x=1;format=csv"])
def test_the_plain_spellings_are_held_and_not_merely_refused(gw, origin, target):
    """The table above would pass if everything were refused; this would not."""
    assert gw.person("alice").get(target).problem == "signoff-required" and origin.count() == 0


@pytest.mark.parametrize("target", ["/customers", "/a/b/c?d=e&f=g", "/a%20b", "/caf%C3%A9", "/report?format=html", "/x.y/z~-_", "/a;b=c/d", "/report"])
def test_ordinary_targets_pass_as_they_are(gw, origin, target):
    assert gw.person("alice").get(target).status == 200
    assert origin.last().target == target


@pytest.mark.parametrize("sent, normal", [("/%63ustomers", "/customers"), ("/a%2db", "/a-b"), ("/caf%c3%a9", "/caf%C3%A9"), ("/%7Euser", "/~user")])
def test_what_is_forwarded_is_the_normal_form(gw, origin, sent, normal):
    assert gw.person("alice").get(sent).status == 200
    assert origin.last().target == normal


def test_a_target_that_is_too_long_is_414(gw, origin):
    assert gw.person("alice").get("/" + "a" * 9000).status in (414, 431) and origin.count() == 0


def test_methods_that_a_rule_names_are_matched_as_sent(gw, origin):
    alice = gw.person("alice")
    assert alice.request("DELETE", "/items/5").problem == "signoff-required"
    for field in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        assert alice.request("POST", "/items/5", [(field, "DELETE")], b"").problem == "signoff-required", field
        assert alice.request("POST", "/items/5", [(field, "delete")], b"").problem == "signoff-required", field
    assert alice.get("/items/5?_method=DELETE").problem == "signoff-required"
    assert alice.post("/items/5", b"_method=delete").problem == "signoff-required"
    assert origin.count() == 0
    assert alice.get("/items/5").status == 200
