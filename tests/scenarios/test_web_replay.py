"""`replay --serve` and `export --wacz` by the command line: what they answer, what they refuse, what they leave out. The pages themselves are looked at in tests/browser/run_replay.py."""
import http.client
import json
import os
import signal
import socket
import subprocess

import pytest

from harness import wacz
from harness.config_text import CONSOLE
from harness.gateway import command, free_port
from harness.people import give_grant, wait_until
from harness.recording import exchanges, read_tar

COOKIE = "sessionid=planted-cookie-77"


@pytest.fixture(scope="module")
def session(gw, origin):
    grant = give_grant(gw.person("alice"), gw.person("bob"))["grant_id"]
    alice = gw.person("alice")
    alice.get("/customers/7?page=1", [("Cookie", COOKIE), ("Sec-Fetch-Dest", "document")])
    alice.post("/note", b"text=hello&password=hunter22")
    alice.get("/internal/keys")

    def all_there():
        path = os.path.join(gw.state, "recordings", f"{grant}.tar")
        if not os.path.exists(path):
            return False
        with open(path, "rb") as f:
            lines = [e.request_line for e in exchanges(read_tar(f.read())) if e.response]
        return all(any(w in line for line in lines) for w in ("/customers/7", "/note", "/internal/keys"))
    wait_until(all_there, 30, "the recording")
    return grant


class Served:
    def __init__(self, gw, *args):
        dan = gw.creds["dan"]
        env = dict(gw.env(), COUNTERSIGN_GATEWAY=gw.url(CONSOLE, ""), COUNTERSIGN_CERT=dan.cert, COUNTERSIGN_KEY=dan.key, COUNTERSIGN_CA=gw.ca, COUNTERSIGN_AUDITOR_KEY=gw.auditor_key(), HOME=gw.state)
        self.process = subprocess.Popen([gw.binary, "replay", *args, "--serve", "--json"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        text = b""
        while b"}" not in text:
            line = self.process.stdout.readline()
            assert line, self.process.stderr.read().decode()
            text += line
        address = json.loads(text)["address"]
        self.port, self.key = int(address.split(":")[2].split("/")[0]), address.split("#")[1]

    def get(self, path, headers=None, port=None, method="GET"):
        c = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=60)
        c.request(method, path, headers=headers if headers is not None else {"Countersign-Replay-Key": self.key})
        r = c.getresponse()
        r.text = r.read()
        c.close()
        return r

    def page(self, n, path, **more):
        suffix = json.loads(self.get("/api/session").text)["content"]
        return self.get(path, {"Host": f"e{n}{suffix}", "Sec-Fetch-Dest": "iframe", "Sec-Fetch-Mode": "navigate", **more}, int(suffix.split(":")[1]))

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        _, err = self.process.communicate(timeout=60)
        assert self.process.returncode == 0 and not err, err.decode()


@pytest.fixture(scope="module")
def served(gw, session):
    s = Served(gw, session)
    yield s
    s.close()


def test_the_session_is_told_to_who_has_the_key(served, session):
    all_of_it = json.loads(served.get("/api/session").text)
    s = all_of_it["session"]
    assert s["session_id"] == session and s["person"] == "alice" and s["tool"] == "support" and "ticket" in s["reason"]
    assert {"approval", "grant.issued"} <= {leaf["type"] for leaf in s["decisions"]}
    assert "planted-cookie" not in json.dumps(all_of_it) and "hunter22" not in json.dumps(all_of_it)
    n = next(x["number"] for x in all_of_it["exchanges"] if x["method"] == "POST")
    one = json.loads(served.get(f"/api/exchange?n={n}").text)
    assert one["request_body"]["text"] == "text=hello&password=removed"
    refused = next(x for x in all_of_it["exchanges"] if x["target"] == "/internal/keys")
    assert not refused["from_tool"] and refused["status"] == 403


def test_a_page_comes_from_the_recording(served, origin):
    x = next(x for x in json.loads(served.get("/api/session").text)["exchanges"] if x["target"].startswith("/customers/7"))
    before = len(origin.requests) if hasattr(origin, "requests") else None
    r = served.page(x["number"], x["target"])
    assert r.status == 200 and r.getheader("Set-Cookie") is None and "default-src 'none'" in r.getheader("Content-Security-Policy") and r.getheader("Cache-Control") == "no-store"
    assert before is None or len(origin.requests) == before


@pytest.mark.parametrize("path, headers, status", [
    ("/api/session", {}, 403), ("/api/session", {"Countersign-Replay-Key": "A" * 32}, 403), ("/api/exchange?n=1", {}, 403), ("/", {"Host": "evil.example"}, 421), ("/", {"Origin": "https://evil.example"}, 403),
    ("/", {"Sec-Fetch-Site": "cross-site"}, 403), ("/nothing", {}, 404), ("/", {}, 200), ("/viewer.js", {}, 200),
])
def test_nobody_else_gets_anything(served, path, headers, status):
    r = served.get(path, headers)
    assert r.status == status and b"alice" not in r.text


def test_odd_questions(served):
    key = {"Countersign-Replay-Key": served.key}
    assert served.get("/api/session", key, method="POST").status == 405
    for n in ("0", "999999", "-1", "1x", "", "1&n=2"):
        assert served.get(f"/api/exchange?n={n}", key).status == 404
    with socket.create_connection(("127.0.0.1", served.port)) as s:
        s.sendall(b"GET /../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n")
        assert s.recv(100).startswith(b"HTTP/1.1 400 ")
    assert served.get("/api/session").status == 200


def test_a_chosen_port_and_a_kept_file(gw, session, tmp_path):
    port = free_port()
    tar = os.path.join(gw.state, "recordings", f"{session}.tar")
    s = Served(gw, "--file", tar, "--port", str(port))
    try:
        assert s.port == port and json.loads(s.get("/api/session").text)["content"].endswith(f":{port + 1}")
        p = gw.person("dan").cli("replay", "--file", tar, "--serve", "--port", str(port))
        assert p.returncode == 1 and b"cannot listen" in p.stderr
    finally:
        s.close()


@pytest.mark.parametrize("args", [["--port", "8000"], ["--serve", "--port", "80"], ["--serve", "--port", "65535"], ["--serve", "--port", "x"], ["--serve", "--speed", "2"], ["--serve", "--from", "3"]])
def test_wrong_usage(gw, session, args):
    assert gw.person("dan").cli("replay", session, *args).returncode == 2


def test_watching_is_logged_and_for_auditors(gw, session, served):
    p = gw.person("alice").cli("replay", session, "--serve")
    assert p.returncode == 1 and b"auditors" in p.stderr
    leaves = gw.person("dan").api_ok("GET", f"/api/v1/sessions/{session}")["leaves"]
    assert any(leaf["type"] == "session.read" and leaf["content"]["purpose"] == "replay" and leaf["content"]["by"].startswith("dan") for leaf in leaves)
    assert b"--serve" in command("replay", "--help").stdout


def test_wacz_holds_what_the_specification_says(gw, session, tmp_path):
    path = tmp_path / "s.wacz"
    out = gw.person("dan").cli("export", session, "--wacz", "-o", str(path), expect=0).stdout.decode()
    assert "WACZ" in out and path.stat().st_mode & 0o777 == 0o600
    complaints, seen, records = wacz.check(path.read_bytes())
    assert not complaints, complaints
    assert any(f["url"].endswith("/customers/7?page=1") for f in seen) and any(f.get("method") == "POST" and f["requestBody"] == "text=hello&password=removed" for f in seen)
    assert len(records) == 2 * len(seen) and [r.type for r in records[:2]] == ["response", "request"]
    sent = b"".join(r.block if r.type == "request" else r.block.partition(b"\r\n\r\n")[0] for r in records).lower()     # this tool tells in its bodies what it was asked
    assert b"planted-cookie" not in sent and b"hunter22" not in sent and b"\r\ncookie:" not in sent
    kept = tmp_path / "f.wacz"
    gw.person("dan").cli("export", session, "--wacz", "--fingerprints", "-o", str(kept), expect=0)
    assert any(b"\r\ncookie: sessionid=fp:" in r.block for r in wacz.check(kept.read_bytes())[2])


def test_the_checker_finds_mistakes(gw, session, tmp_path):
    path = tmp_path / "s.wacz"
    gw.person("dan").cli("export", session, "--wacz", "-o", str(path), expect=0)
    data = path.read_bytes()
    at = data.index(b'"bytes"')
    assert wacz.check(data)[0] == []
    with pytest.raises(Exception):
        assert wacz.check(data[:at + 9] + bytes([data[at + 9] ^ 1]) + data[at + 10:])[0] == []


@pytest.mark.parametrize("args", [["--wacz", "--raw", "-o", "x"], ["--wacz", "--status", "200", "-o", "x"]])
def test_odd_exports_are_wrong_usage(gw, session, args):
    assert gw.person("dan").cli("export", session, *args).returncode == 2
