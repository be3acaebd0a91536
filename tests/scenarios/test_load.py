"""(alone) Many requests and large bodies through the gateway, by cs_load. Small here; with --long on a plain build: 100,000 requests, 1 GiB each way, peak memory."""
import json
import os
import subprocess

import pytest

from harness.config_text import SUPPORT
from harness.gateway import BUILD, Gateway
from harness.people import give_grant

LONG = bool(os.environ.get("COUNTERSIGN_LONG"))
PLAIN = os.environ.get("COUNTERSIGN_PLAIN_BUILD") or None
REQUESTS = 100_000 if LONG else 600
BODY = 1 << 30 if LONG else 8 << 20
PEAK_KIB = 64 << 10


@pytest.fixture(scope="module")
def gw(origin):
    g = Gateway(origin, build=PLAIN if LONG else None)
    give_grant(g.person("alice"), g.person("bob"), duration_s=1800)
    yield g
    g.finish()


def load(gw, target, *args, expect_ok=True, timeout=1500):
    cred = gw.creds["alice"]
    tool = os.path.join((PLAIN if LONG else None) or BUILD, "cs_load")
    p = subprocess.run([tool, "--cert", cred.cert, "--key", cred.key, "--ca", gw.ca, "--timeout-s", "120", *args, f"https://{SUPPORT}:{gw.port}{target}"],
                       capture_output=True, timeout=timeout)
    assert p.stdout, p.stderr.decode()
    out = json.loads(p.stdout)
    if expect_ok:
        assert p.returncode == 0 and out["failed"] == 0, out
    return out


def report(name, gw, out):
    line = {"test": name, "build": "plain" if LONG else "sanitizers", "peak_rss_mib": round(gw.peak_rss_kib() / 1024, 1),
            **{k: out[k] for k in ("requests", "failed", "seconds", "requests_per_s", "bytes_down", "bytes_up", "latency_ms")}}
    with open(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "output", "load.jsonl"), "a", encoding="utf-8") as f:
        f.write(json.dumps(line) + "\n")
    print(json.dumps(line))


@pytest.mark.limit(1800)
@pytest.mark.parametrize("http", ["1", "2"])
def test_many_requests_and_none_fails(gw, origin, http):
    out = load(gw, "/load", "--http", http, "-n", str(REQUESTS), "-c", "8", "-m", "10")
    report(f"{REQUESTS} requests over HTTP/{http}", gw, out)
    assert origin.count("/load") == REQUESTS


@pytest.mark.limit(1800)
@pytest.mark.parametrize("http", ["1", "2"])
def test_a_large_download_is_byte_identical_and_memory_stays_small(gw, origin, http):
    out = load(gw, f"/big?bytes={BODY}", "--http", http, "--expect-bytes", str(BODY), "--expect-sha256", "pattern")
    report(f"download of {BODY >> 20} MiB over HTTP/{http}", gw, out)
    if LONG:
        assert gw.peak_rss_kib() < PEAK_KIB, f"peak {gw.peak_rss_kib() >> 10} MiB"


@pytest.mark.limit(1800)
@pytest.mark.parametrize("http", ["1", "2"])
def test_a_large_upload_is_byte_identical_and_memory_stays_small(gw, origin, http):
    out = load(gw, "/up", "--http", http, "--upload", str(BODY), "--header", "content-type: application/octet-stream")
    report(f"upload of {BODY >> 20} MiB over HTTP/{http}", gw, out)
    assert (origin.last("/up").body_len, origin.last("/up").body_sha256) == (BODY, out["upload_sha256"])
    if LONG:
        assert gw.peak_rss_kib() < PEAK_KIB, f"peak {gw.peak_rss_kib() >> 10} MiB"


@pytest.mark.limit(600)
def test_the_load_client_notices_what_is_wrong(gw, origin):
    """A test must be able to fail: another status, length and digest are counted as failures."""
    for args in (["--expect-status", "404"], ["--expect-bytes", "1"], ["--expect-sha256", "0" * 64]):
        out = load(gw, "/load", "-n", "4", *args, expect_ok=False)
        assert out["failed"] == 4


@pytest.mark.limit(600)
def test_memory_does_not_grow_with_the_number_of_requests(gw, origin):
    load(gw, "/warm", "-n", str(REQUESTS // 4), "-c", "4", "-m", "10")
    before = gw.peak_rss_kib()
    load(gw, "/more", "-n", str(REQUESTS // 2), "-c", "4", "-m", "10")
    assert gw.peak_rss_kib() - before < (40 << 10 if not LONG else 8 << 10), f"{before} -> {gw.peak_rss_kib()} KiB"
