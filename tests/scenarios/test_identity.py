"""Promise 1, the identity: whoever cannot show one good certificate is told what is wrong, and nothing of it reaches a tool."""
import ssl
import time

import pytest

from harness.certificates import bad_certificates
from harness.clients import H1, H2, tls_context
from harness.config_text import BILLING, CONSOLE, SUPPORT
from harness.people import give_grant, wait_until

KINDS = ["other-ca", "other-ca-same-name", "self-signed", "forged-signature", "issued-by-a-person", "expired", "not-yet-valid",
         "server-auth-only", "two-identities", "no-identity", "identity-only-in-subject", "dns-name-only", "none", "revoked"]


@pytest.fixture(scope="module")
def bad(gw):
    """Alice has a grant, so that only her certificate's fault stands between these and the tool."""
    give_grant(gw.person("alice"), gw.person("bob"))
    made = bad_certificates(gw.authority(), f"{gw.folder}/bad", "alice@test.localhost")
    made["none"] = None
    made["revoked"] = gw.issue_person("mallory@test.localhost", "mallory-revoked")
    gw.revoke(made["revoked"])
    wait_until(lambda: refused_now(gw, made["revoked"]), what="the revocation")
    return made


def refused_now(gw, cred):
    try:
        return gw.nobody(cred).get("/").problem not in (None, "grant-required")
    except OSError:
        return False


def check_refused(r, origin):
    assert r.status in (401, 403), f"{r.status} {r.body[:300]!r}"
    assert r.problem is not None and "certificate" in r.body.decode().lower(), r.body
    problem = r.json()
    assert problem["status"] == r.status and problem["title"] and problem["detail"] and problem["next"], problem
    assert origin.count() == 0, "something reached the tool"


@pytest.mark.parametrize("proto", ["h1", "h2"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_certificate_gets_a_clear_problem_and_nothing_else(gw, bad, origin, kind, proto):
    check_refused(gw.nobody(bad[kind]).get("/customers", proto=proto), origin)


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_certificate_gets_nothing_from_the_console(gw, bad, origin, kind):
    for method, path, body in (("GET", "/api/v1/status", None), ("GET", "/api/v1/pending", None), ("GET", "/", None),
                               ("POST", "/api/v1/requests", {"tool": "support", "reason": "let me in please", "duration_s": 60})):
        check_refused(gw.nobody(bad[kind]).api(method, path, body), origin)


@pytest.mark.parametrize("kind", ["none", "expired", "other-ca"])
def test_a_browser_gets_a_page_that_says_what_to_do(gw, bad, origin, kind):
    r = gw.nobody(bad[kind]).get("/", [("Accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")])
    assert r.status in (401, 403) and r.get("content-type").startswith("text/html") and b"certificate" in r.body.lower()
    assert origin.count() == 0


def test_the_problems_tell_the_kinds_apart(gw, bad):
    texts = {k: gw.nobody(bad[k]).get("/").json()["detail"] for k in ("none", "expired", "not-yet-valid", "revoked", "other-ca", "server-auth-only",
                                                                     "two-identities")}
    assert len(set(texts.values())) == len(texts), texts


def test_every_request_on_a_connection_without_certificate_is_refused(gw, bad, origin):
    with gw.nobody().h1() as c:
        for _ in range(5):
            r = c.request("GET", "/", [("Countersign-Grant", "x"), ("Client-Cert", ":AAAA:")])
            check_refused(r, origin)
            if (r.get("connection") or "").lower() == "close":
                break


def session_of(gw, ctx):
    """A session that can be resumed: in TLS 1.3 its ticket comes with the answer to the second request."""
    with H1(gw.port, SUPPORT, gw.ca, ctx=ctx) as c:
        for _ in range(2):
            assert c.request("GET", "/").problem == "grant-required"
        session = c.sock.session
    with H1(gw.port, SUPPORT, gw.ca, ctx=ctx, session=session) as c:
        assert c.request("GET", "/").problem == "grant-required"
        assert c.sock.session_reused == (c.sock.version() == "TLSv1.3")   # TLS 1.2 has no tickets here: test_tls_strictness says why
    return session


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_cannot_be_resumed_past_the_certificates_end(gw, origin, version):
    short = gw.authority().issue(f"{gw.folder}/bad", f"short-{version.name}", ["alice@test.localhost"], after_days=4 / 86400)
    ctx = tls_context(gw.ca, short, version=version)
    session = session_of(gw, ctx)
    time.sleep(5)
    with H1(gw.port, SUPPORT, gw.ca, ctx=ctx, session=session) as c:
        check_refused(c.request("GET", "/"), origin)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_cannot_be_resumed_after_revocation(gw, origin, bad, version):
    cred = gw.issue_person("mallory@test.localhost", f"mallory-{version.name.lower().replace('_', '')}")
    ctx = tls_context(gw.ca, cred, version=version)
    session = session_of(gw, ctx)
    gw.revoke(cred)
    wait_until(lambda: refused_now(gw, cred), what="the revocation")
    with H1(gw.port, SUPPORT, gw.ca, ctx=ctx, session=session) as c:
        check_refused(c.request("GET", "/"), origin)


def test_a_session_of_one_certificate_does_not_carry_to_another_host_or_identity(gw, origin, bad):
    """A resumed session still belongs to the certificate of its first handshake: alice's ticket without her key is alice, on alice's terms only."""
    ctx = tls_context(gw.ca, gw.creds["alice"])
    with H1(gw.port, SUPPORT, gw.ca, ctx=ctx) as c:
        for _ in range(2):
            assert c.request("GET", "/hello").status == 200
        session = c.sock.session
    with H1(gw.port, BILLING, gw.ca, ctx=ctx, session=session) as c:
        assert c.request("GET", "/hello").problem == "grant-required"
    assert origin.count() == 2


@pytest.mark.parametrize("proto", ["h1", "h2"])
def test_sni_and_authority_must_agree(gw, bad, origin, proto):
    """RFC 9110 s15.5.20: 421. A connection made for the console carries nothing to a tool, and the other way round."""
    for host, other in ((CONSOLE, SUPPORT), (SUPPORT, CONSOLE), (BILLING, SUPPORT)):
        with connect(gw, host, proto) as c:
            r = c.request("GET", "/", host=f"{other}:{gw.port}")
        assert r.status == 421, f"{host} asked for {other}: {r.status}"
    assert origin.count() == 0


def connect(gw, host, proto):
    return (H1 if proto == "h1" else H2)(gw.port, host, gw.ca, gw.creds["alice"])


@pytest.mark.parametrize("host", ["unknown.test.localhost", "test.localhost"])
def test_an_unknown_host_is_refused(gw, bad, origin, host):
    with gw.person("alice").h1() as c:
        assert c.request("GET", "/", host=f"{host}:{gw.port}").status in (404, 421)
    assert origin.count() == 0


def test_old_tls_versions_are_refused(gw):
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        ctx = tls_context(gw.ca, gw.creds["alice"])
        ctx.set_ciphers("ALL:@SECLEVEL=0")
        ctx.minimum_version = ctx.maximum_version = version
        with pytest.raises((ssl.SSLError, ConnectionError)):
            H1(gw.port, SUPPORT, gw.ca, ctx=ctx)


def test_a_person_nobody_listed_is_refused_with_a_good_certificate(gw, bad, origin):
    stranger = gw.authority().issue(f"{gw.folder}/bad", "unlisted", ["unlisted@test.localhost"])
    r = gw.nobody(stranger).get("/")
    assert r.status == 403 and r.problem is not None
    assert gw.nobody(stranger).ask().status == 403
    assert origin.count() == 0
