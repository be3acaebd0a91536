"""Fixtures: a gateway and a scripted tool for each file, and a time limit for each test."""
import os
import signal

import pytest

from harness.gateway import Gateway
from harness.origin import Origin

LIMIT_S = 180
LONG = bool(os.environ.get("COUNTERSIGN_LONG"))


def pytest_configure(config):
    config.addinivalue_line("markers", "limit(seconds): time limit of this test")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    mark = item.get_closest_marker("limit")
    seconds = mark.args[0] if mark else LIMIT_S

    def late(*_):
        raise TimeoutError(f"the test took longer than {seconds} s")
    old = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, old)


@pytest.fixture(scope="module")
def origin():
    o = Origin()
    yield o
    o.close()


@pytest.fixture(autouse=True)
def fresh_origin(request):
    if "origin" in request.fixturenames or "gw" in request.fixturenames:
        request.getfixturevalue("origin").reset()


@pytest.fixture(scope="module")
def gw(origin, request):
    """The file's gateway; a module-level dict GATEWAY gives its settings."""
    g = Gateway(origin, **getattr(request.module, "GATEWAY", {}))
    yield g
    g.finish()


@pytest.fixture
def gateway_of(origin):
    """Make gateways of a test's own, each stopped and checked at the end."""
    made = []

    def make(**settings):
        made.append(Gateway(origin, **settings))
        return made[-1]
    yield make
    for g in made:
        g.finish()
