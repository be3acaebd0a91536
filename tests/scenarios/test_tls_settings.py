"""Certificates chosen by the host that is asked for, and how long browsers remember https."""
import os
import shutil

import pytest
from cryptography import x509

from harness.clients import tls_connect, tls_context
from harness.config_text import BILLING, CONSOLE, SUPPORT
from harness.gateway import Gateway
from harness.people import give_grant


@pytest.fixture(scope="module")
def gw(origin):
    """The state folder's own certificate stays the main one; a second pair is for billing only."""
    g = Gateway(origin, start=False)
    tls = os.path.join(g.state, "tls")
    for name in ("server.pem", "server.key"):
        shutil.copy(os.path.join(tls, name), os.path.join(tls, "main-" + name))
    p = g.run_command("certs", "issue", "--server", BILLING, "--state", g.state)
    assert p.returncode == 0, p.stderr
    g.config["tls"].update({"certificate": "tls/main-server.pem", "key": "tls/main-server.key", "hsts": "2h",
                            "more": [{"certificate": "tls/server.pem", "key": "tls/server.key"}]})
    g.start()
    give_grant(g.person("alice"), g.person("bob"))
    yield g
    g.finish()


def shown(gw, host, cred=None):
    with tls_connect(gw.port, host, tls_context(gw.ca, cred)) as s:
        return x509.load_der_x509_certificate(s.getpeercert(binary_form=True))


def names(cert):
    return cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)


def test_the_certificate_follows_the_name(gw):
    assert BILLING in names(shown(gw, BILLING)) and len(names(shown(gw, BILLING))) == 1
    for host in (SUPPORT, CONSOLE):
        assert names(shown(gw, host)) != [BILLING]


def test_requests_work_with_either_and_a_session_is_judged_anew(gw):
    alice = gw.person("alice")
    assert alice.get("/x").status == 200 and alice.get("/x", proto="h2").status == 200
    assert alice.request("GET", "/x", host=BILLING).problem == "grant-required"


def test_hsts_says_what_the_config_says(gw):
    alice = gw.person("alice")
    assert alice.get("/x").all("strict-transport-security") == ["max-age=7200"]
    assert alice.request("GET", "/", host=CONSOLE).all("strict-transport-security") == ["max-age=7200"]


def test_a_pair_that_does_not_fit_is_refused_at_the_start(gateway_of):
    g = gateway_of(start=False)
    g.config["tls"]["more"] = [{"certificate": "tls/server.pem", "key": "ca/root.key"}]
    g.start(wait=False)
    assert g.process.wait(30) == 1
    g.process = None
    assert "key of the server certificate" in g.log()
