"""(alone) Everything a client received, had back without a line of ours: `tar`, then for each member `age -d | zcat`, then warcio. Mixed traffic over HTTP/1.1 and HTTP/2, mode full; hashes are compared.
400 exchanges here; 10,000 with --long on a plain build."""
import gzip
import hashlib
import json
import os
import random
import shutil
import subprocess
import threading

import pytest

from harness.age import AUDITORS
from harness.gateway import Gateway
from harness.origin import pattern
from harness.people import give_grant, wait_until
from harness.websocket import BINARY, TEXT, Socket, Tool
from test_sealing import tar_path

LONG = bool(os.environ.get("COUNTERSIGN_LONG"))
PLAIN = os.environ.get("COUNTERSIGN_PLAIN_BUILD") or None
EXCHANGES = 10_000 if LONG else 400
BROWSER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "browser")
WARCIO = os.path.join(BROWSER, "node_modules", "warcio")
HANDS = 4

# What a tool answers with, weighed by how often; each answer is made of its number, so that no two are alike.
KINDS = ["small"] * 6 + ["json", "gzip", "br", "chunked", "empty", "none", "head", "not-modified", "upload", "form", "error", "binary", "stream"]
RARE = {97: "large", 211: "socket"}


def kind_of(i):
    return next((kind for every, kind in RARE.items() if i % every == every - 1), KINDS[i % len(KINDS)])


def body_of(i):
    return f"answer {i}: ".encode() + pattern(i * 13 % 60_000, 100 + i * 7919 % 9000)


def brotli(bodies):
    """Compressed by node, which is here for warcio anyway."""
    script = "const z=require('zlib');let s='';process.stdin.on('data',d=>s+=d).on('end',()=>console.log(JSON.stringify(JSON.parse(s).map(b=>z.brotliCompressSync(Buffer.from(b,'base64')).toString('base64')))))"
    import base64
    out = subprocess.run(["node", "-e", script], input=json.dumps([base64.b64encode(b).decode() for b in bodies]).encode(), capture_output=True, check=True, timeout=300).stdout
    return [base64.b64decode(b) for b in json.loads(out)]


class MixedTool:
    def __init__(self, origin):
        numbers = [i for i in range(EXCHANGES) if kind_of(i) == "br"]
        self.br = dict(zip(numbers, brotli([body_of(i) for i in numbers])))
        origin.on("/mixed", self.answer)
        Tool(origin, "/mixed-socket")

    async def answer(self, request, conn):
        i, kind = int(request.query["i"][0]), request.query["kind"][0]
        text, body = ("Content-Type", "text/plain"), body_of(i)
        if kind == "json":
            await conn.answer(body=json.dumps({"rows": [{"id": n, "name": f"customer {i}-{n}"} for n in range(i % 40)]}).encode(), fields=[("Content-Type", "application/json")])
        elif kind in ("gzip", "br"):
            await conn.answer(body=gzip.compress(body, 6) if kind == "gzip" else self.br[i], fields=[text, ("Content-Encoding", kind)])
        elif kind in ("chunked", "stream"):
            await self.pieces(conn, body, "text/event-stream" if kind == "stream" else "text/plain")
        elif kind == "empty":
            await conn.answer(fields=[text])
        elif kind == "none":
            await conn.answer(204, reason="No Content")
        elif kind == "head":
            await conn.send(f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        elif kind == "not-modified":
            await conn.answer(304, fields=[("ETag", f'"{i}"')], reason="Not Modified")
        elif kind in ("upload", "form"):
            await conn.answer(201, hashlib.sha256(request.body).hexdigest().encode(), [text], "Created")
        elif kind == "error":
            await conn.answer(500, body, [text], "Internal Server Error")
        elif kind == "binary":
            await conn.answer(body=random.Random(i).randbytes(5000), fields=[("Content-Type", "application/octet-stream")])
        else:
            await conn.answer(body=pattern(0, 300_000 + i * 37) + body if kind == "large" else body, fields=[text])

    async def pieces(self, conn, body, media_type):
        await conn.send(f"HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        lines = [b"data: " + body[n:n + 700].hex().encode() + b"\n\n" for n in range(0, len(body), 700)] if media_type == "text/event-stream" else [body[n:n + 700] for n in range(0, len(body), 700)]
        for piece in lines:
            await conn.send(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        await conn.send(b"0\r\n\r\n")


class Hand:
    """One of alice's connections, in a thread of its own, and what came over it."""

    def __init__(self, gw, first, proto):
        self.gw, self.first, self.proto, self.conn, self.got, self.heard, self.error = gw, first, proto, None, {}, {}, None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            for i in range(self.first, EXCHANGES, HANDS):
                self.one(i, kind_of(i))
        except Exception as e:                                    # pylint: disable=broad-except
            self.error = f"{type(e).__name__}: {e}"

    def one(self, i, kind):
        if kind == "socket":
            return self.talk(i)
        if self.conn is None:
            alice = self.gw.person("alice")
            self.conn = alice.h1() if self.proto == "h1" else alice.h2()
        target, method, fields, body = f"/mixed?i={i}&kind={kind}", "GET", [], None
        if kind == "head":
            method = "HEAD"
        elif kind == "not-modified":
            fields = [("If-None-Match", f'"{i}"')]
        elif kind in ("upload", "form"):
            method, body = "POST", body_of(i) if kind == "upload" else f"note=number+{i}&text={'x' * (i % 500)}".encode()
            fields = [("Content-Type", "application/octet-stream" if kind == "upload" else "application/x-www-form-urlencoded"), ("Content-Length", str(len(body)))]
        r = self.conn.request(method, target, fields, body)
        assert r.complete and r.status in (200, 201, 204, 304, 500), (target, r.status, r.body[:200])
        self.got[target] = (r.status, len(r.body), hashlib.sha256(r.body).hexdigest())
        if (r.get("connection") or "").lower() == "close" or (self.proto == "h2" and i % 500 == self.first):
            self.conn.close()
            self.conn = None
        return None

    def talk(self, i):
        target = f"/mixed-socket?i={i}"
        s = Socket(self.gw.person("alice"), target, self.proto)
        assert s.is_open
        rng = random.Random(i)
        for n in range(6):
            s.say(BINARY if n % 2 else TEXT, rng.randbytes(200 * n) if n % 2 else f"message {n} of {i}".encode())
            self.heard.setdefault(target, []).append(s.hear_message())
        s.say(8, b"\x03\xe8")
        s.hear_all()
        s.close()
        self.got[target] = None


@pytest.fixture(scope="module")
def gw(origin):
    g = Gateway(origin, build=PLAIN if LONG else None)
    yield g
    g.finish()


def read_with_stock_tools(gw, session, folder):
    """A list of what warcio says. Only the loop over the members is ours."""
    key, out = gw.auditor_key(AUDITORS[1]), os.path.join(folder, "session.warc")
    subprocess.run(["tar", "xf", tar_path(gw, session), "-C", folder], check=True, timeout=300)
    subprocess.run(f'for m in $(ls {folder}/*.warc.gz.age | sort); do age -d -i {key} "$m" | zcat || exit 1; done > {out}', shell=True, check=True, timeout=1200)
    p = subprocess.run(["node", os.path.join(BROWSER, "warc_bodies.mjs"), out], capture_output=True, check=True, timeout=1200)
    return [json.loads(line) for line in p.stdout.splitlines()]


@pytest.mark.skipif(shutil.which("age") is None or not os.path.isdir(WARCIO), reason="Debian's age, or npm's warcio (config/install test), is not installed")
@pytest.mark.limit(3000)
def test_stock_tools_give_back_every_body(gw, origin, tmp_path):
    MixedTool(origin)
    session = give_grant(gw.person("alice"), gw.person("bob"), duration_s=1800)["grant_id"]
    hands = [Hand(gw, n, "h1" if n % 2 else "h2") for n in range(HANDS)]
    for h in hands:
        h.thread.join(2400)
        assert not h.thread.is_alive() and h.error is None, h.error
    got = {t: v for h in hands for t, v in h.got.items()}
    heard = {t: v for h in hands for t, v in h.heard.items()}
    assert len(got) == EXCHANGES
    wait_until(lambda: sum(s["exchanges"] for s in gw.person("dan").api_ok("GET", "/api/v1/sessions")["sessions"]) >= EXCHANGES, 60, "all of it in the log")
    assert gw.stop() is None                                      # what was begun is written to its end
    found = read_with_stock_tools(gw, session, str(tmp_path))
    responses, messages = {}, {}
    for r in found:
        target = "/" + r["target"].split("/", 3)[3]
        if r["type"] == "response":
            responses.setdefault(target, []).append(r)
        elif r["from"] == "tool" and r["opcode"] in ("text", "binary"):
            messages.setdefault(target, []).append(r)
    wrong = [t for t, v in got.items() if v is not None and [(r["status"], r["bytes"], r["sha256"]) for r in responses.get(t, [])] != [v]]
    assert not wrong, f"{len(wrong)} of {len(got)} bodies differ: {[(t, got[t], responses.get(t)) for t in wrong[:5]]}"
    for t, v in heard.items():
        kept = [r["sha256"] for r in sorted(messages.get(t, []), key=lambda r: r["message"])]
        assert kept == [hashlib.sha256(m).hexdigest() for m in v], t
    size = os.path.getsize(tar_path(gw, session))
    print(f"{len(got)} exchanges, {sum(v[1] for v in got.values() if v)} bytes of bodies, {sum(map(len, heard.values()))} messages of sockets, {size} bytes of recording: all the same")
