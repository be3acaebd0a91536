"""What goes on to the tool and what comes back (RFC 9110 s7.6): identity cannot be spoofed, hop-by-hop fields stay, redirects and cookies work."""
import base64
import json

import pytest

from harness.config_text import CONSOLE, SUPPORT
from harness.people import give_grant

PROTOS = ["h1", "h2"]


@pytest.fixture(scope="module", autouse=True)
def granted(gw):
    give_grant(gw.person("alice"), gw.person("bob"))


def seen(gw, origin, fields, proto="h1", method="GET", body=None):
    r = gw.person("alice").request(method, "/f", fields, body, proto=proto)
    assert r.status == 200, f"{r.status} {r.body[:200]!r}"
    return origin.last("/f")


SPOOFS = ["Countersign-Assertion", "countersign-assertion", "Countersign_Assertion", "COUNTERSIGN-ASSERTION", "Countersign.Assertion", "Countersign-Identity",
          "Client-Cert", "Client_Cert", "client.cert", "Client-Cert-Chain", "X-Forwarded-For", "X_Forwarded_For", "X-Forwarded-Host", "X-Forwarded-Proto",
          "X-Forwarded-Port", "Forwarded", "Proxy-Authorization", "Proxy-Connection"]


@pytest.mark.parametrize("proto", PROTOS)
@pytest.mark.parametrize("name", SPOOFS)
def test_an_identity_or_address_that_the_client_claims_never_reaches_the_tool(gw, origin, name, proto):
    if proto == "h2" and name == "Proxy-Connection":
        return
    r = gw.person("alice").request("GET", "/f", [(name, "SPOOFED")], proto=proto)
    if r.status == 200:
        assert b"SPOOFED" not in origin.last("/f").head
    else:
        assert r.status == 400 and origin.count() == 0


@pytest.mark.parametrize("proto", PROTOS)
def test_the_tool_gets_the_identity_as_a_signed_assertion(gw, origin, proto):
    request = seen(gw, origin, [], proto)
    assert len(request.all("Countersign-Assertion")) == 1 and len(request.all("Client-Cert")) == 1
    head, claims, signature = request.get("Countersign-Assertion").split(".")
    claims = json.loads(base64.urlsafe_b64decode(claims + "=="))
    assert claims["sub"] == "alice@test.localhost" and claims["aud"] == "support" and claims["exp"] - claims["iat"] <= 300
    der = base64.b64decode(request.get("Client-Cert").strip(":"))
    from cryptography.hazmat.primitives.serialization import Encoding
    assert der == gw.creds["alice"].certificate().public_bytes(Encoding.DER)
    check_signature(gw, head + "." + claims_text(request), signature, json.loads(base64.urlsafe_b64decode(head + "=="))["kid"])


def test_connections_of_one_certificate_share_its_assertion_and_nobody_elses(gateway_of, origin):
    """One that is signed anew for each connection would cost more than the handshake. Each worker has its own."""
    g = gateway_of(change=lambda config: config.update(workers=1))
    people = {"first": g.person("alice"), "second": g.nobody(g.issue_person("alice@test.localhost", "alice-two"))}
    seen_by = {}
    for who in people.values():
        give_grant(who, g.person("bob"))
    for name in ("first", "second", "first", "second"):
        for proto in PROTOS:
            origin.reset()
            assert people[name].get("/shared", proto=proto).status == 200
            request = origin.last("/shared")
            claims = json.loads(base64.urlsafe_b64decode(claims_text(request) + "=="))
            assert claims["sub"] == "alice@test.localhost"
            seen_by.setdefault(name, set()).add((request.get("Countersign-Assertion"), claims["grant_id"]))
    assert len(seen_by["first"]) == 1 and len(seen_by["second"]) == 1 and not seen_by["first"] & seen_by["second"], seen_by


def claims_text(request):
    return request.get("Countersign-Assertion").split(".")[1]


def check_signature(gw, signed, signature, kid):
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, utils
    r = gw.person("alice").request("GET", "/.well-known/jwks.json", host=CONSOLE)
    key = next(k for k in r.json()["keys"] if k["kid"] == kid)
    assert (key["kty"], key["crv"]) == ("EC", "P-256") and "d" not in key
    x, y = (int.from_bytes(base64.urlsafe_b64decode(key[n] + "=="), "big") for n in "xy")
    raw = base64.urlsafe_b64decode(signature + "==")
    der = utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key().verify(der, signed.encode(), ec.ECDSA(hashes.SHA256()))


def test_a_grant_of_seconds_asserts_who_it_is_too(gateway_of, origin):
    """The assertion lives no longer than the grant: less than what is worth keeping."""
    g = gateway_of()
    give_grant(g.person("alice"), g.person("bob"), duration_s=30)
    for proto in ("h1", "h2"):
        origin.reset()
        assert g.person("alice").get("/short", proto=proto).status == 200
        assert origin.last("/short").get("Countersign-Assertion")


@pytest.mark.parametrize("named", ["X-Important", "Countersign-Assertion", "Client-Cert", "Host", "Content-Length", "X-Forwarded-For", "Cookie", "Authorization"])
def test_connection_cannot_be_used_to_remove_a_field(gw, origin, named):
    """RFC 9110 s7.6.1: what Connection names is dropped; the gateway's own fields never are."""
    r = gw.person("alice").request("POST", "/f", [("Connection", f"close, {named}"), ("X-Important", "1")], b"body")
    if r.status != 200:
        assert r.status == 400 and origin.count() == 0
        return
    request = origin.last("/f")
    assert request.get("Countersign-Assertion") and request.get("Client-Cert") and request.get("Host") and request.body == b"body"


def test_hop_by_hop_fields_are_not_forwarded(gw, origin):
    request = seen(gw, origin, [("Connection", "X-Mine, keep-alive"), ("X-Mine", "1"), ("Keep-Alive", "timeout=5"), ("Proxy-Connection", "keep-alive"),
                                ("TE", "trailers"), ("X-Kept", "2")])
    for name in ("X-Mine", "Keep-Alive", "Proxy-Connection"):
        assert request.get(name) is None, name
    assert request.get("X-Kept") == "2"


@pytest.mark.parametrize("proto", PROTOS)
def test_via_and_forwarded_are_written_anew(gw, origin, proto):
    request = seen(gw, origin, [("Via", "1.1 liar"), ("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-Host", "evil"), ("X-Forwarded-Proto", "http")], proto)
    assert request.get("Via") and request.get("Via").split()[0] in (("1.1", "2") if proto == "h1" else ("2", "2.0"))
    assert request.get("X-Forwarded-For") == "127.0.0.1" and request.get("X-Forwarded-Proto") == "https"
    assert request.get("X-Forwarded-Host") == f"{SUPPORT}:{gw.port}"
    assert b"6.6.6.6" not in request.head and b"evil" not in request.head


def test_ordinary_fields_pass_unchanged_in_order(gw, origin):
    fields = [("User-Agent", "Test/1.0 (x; y)"), ("Accept", "a/b;q=0.5, c/d"), ("Accept-Language", "de, en;q=0.7"), ("Authorization", "Basic eDp5"),
              ("X-Same", "1"), ("X-Same", "2"), ("Range", "bytes=0-5"), ("Referer", "https://x/y?z")]
    request = seen(gw, origin, fields)
    assert [(n, v) for n, v in request.fields if n.lower() in {f[0].lower() for f in fields}] and \
        sorted((n.lower(), v) for n, v in fields) == sorted((n.lower(), v) for n, v in request.fields if n.lower() in {f[0].lower() for f in fields})
    assert request.all("X-Same") == ["1", "2"] or request.all("X-Same") == ["1, 2"]


def test_http2_cookies_become_one_field(gw, origin):
    request = seen(gw, origin, [("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3")], "h2")
    assert request.all("Cookie") == ["a=1; b=2; c=3"]


def test_names_with_underscores_are_dropped(gw, origin):
    request = seen(gw, origin, [("X_Under", "1"), ("X-Fine", "2")])
    assert request.get("X_Under") is None and request.get("X-Fine") == "2"


@pytest.mark.parametrize("proto", PROTOS)
def test_what_a_tool_may_not_say_is_removed(gw, origin, proto):
    async def script(request, conn):
        await conn.answer(200, b"x", [("Alt-Svc", 'h3=":443"'), ("NEL", "{}"), ("Report-To", "{}"), ("Reporting-Endpoints", "x"), ("Service-Worker-Allowed", "/"),
                                      ("Countersign-Fake", "1"), ("Keep-Alive", "timeout=9"), ("Connection", "keep-alive, X-Hop"), ("X-Hop", "1"),
                                      ("X-Fine", "yes"), ("Set-Cookie", "a=1; Domain=test.localhost; Path=/; HttpOnly"), ("Set-Cookie", "b=2; Path=/")])
    origin.on("/said", script)
    r = gw.person("alice").get("/said", proto=proto)
    assert r.status == 200 and r.get("x-fine") == "yes"
    for name in ("alt-svc", "nel", "report-to", "reporting-endpoints", "service-worker-allowed", "countersign-fake", "keep-alive", "x-hop"):
        assert r.get(name) is None, name
    cookies = r.all("set-cookie")
    assert len(cookies) == 2 and "domain" not in cookies[0].lower() and cookies[0].startswith("a=1") and "HttpOnly" in cookies[0]


@pytest.mark.parametrize("proto", PROTOS)
def test_a_redirect_to_the_tools_own_address_comes_back_through_the_gateway(gw, origin, proto):
    async def script(request, conn):
        where = {"own": f"http://127.0.0.1:{origin.port}/next?a=b", "relative": "/next", "other": "https://example.com/x"}[request.query["to"][0]]
        await conn.answer(302, b"", [("Location", where)], "Found")
    origin.on("/go", script)
    alice = gw.person("alice")
    assert alice.get("/go?to=own", proto=proto).get("location") == f"https://{SUPPORT}:{gw.port}/next?a=b"
    assert alice.get("/go?to=relative", proto=proto).get("location") in ("/next", f"https://{SUPPORT}:{gw.port}/next")
    assert alice.get("/go?to=other", proto=proto).get("location") == "https://example.com/x"


def test_the_tool_is_asked_for_the_host_the_client_used(gw, origin):
    assert seen(gw, origin, []).get("Host") in (f"{SUPPORT}:{gw.port}", SUPPORT)
