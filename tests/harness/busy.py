"""Clients that go on for minutes whatever dies meanwhile, and remember what they received to the byte; what a recording gives back of it; and how much memory the gateway's processes take."""
import asyncio
import hashlib
import statistics
import tarfile
import threading
import time

import h2.exceptions

from harness import age
from harness.recording import gzip_members, parse_record
from harness.websocket import TEXT, Socket, Tool

SMALL, PAGE, LONG = 2_000, 60_000, 300_000


def text_of(target, length):
    """Unlike that of any other target; half of it could be compressed away."""
    return hashlib.shake_128(target.encode()).hexdigest(length // 2 + 1).encode()[:length]


class LoadTool:
    """The scripted tool: /load answers so many bytes (in pieces with pauses, where it is asked to), /store takes them, /talk echoes messages."""

    def __init__(self, origin):
        origin.on("/load", self.load)
        Tool(origin, "/talk")

    async def load(self, request, conn):
        body = text_of(request.target, int(request.query["bytes"][0]))
        if "slowly" not in request.query:
            return await conn.answer(body=body, fields=[("Content-Type", "text/plain")])
        await conn.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n")
        for at in range(0, len(body), 20_000):
            piece = body[at:at + 20_000]
            await conn.send(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            await asyncio.sleep(0.05)
        await conn.send(b"0\r\n\r\n")


class Client(threading.Thread):
    """One of a person's clients. got: {target: (bytes, their sha256, whole)} of every answer of the tool's, also of those that were cut off; heard: {target: [sha256 of each message]}; wrong: what was not what the tool says."""

    def __init__(self, person, name, kind, pause_s=0.05):
        super().__init__(daemon=True)
        self.person, self.label, self.kind, self.pause_s = person, name, kind, pause_s
        self.got, self.heard, self.wrong, self.refused, self.broken = {}, {}, [], 0, 0
        self.conn, self.uses, self.number, self.ending = None, 0, 0, threading.Event()
        self.start()

    def run(self):
        while not self.ending.wait(self.pause_s):
            try:
                {"h1": self.page, "h2": self.pages, "slow": self.slow, "upload": self.upload, "socket": self.talk}[self.kind]()
            except (OSError, AssertionError, ValueError, h2.exceptions.ProtocolError):
                self.broken += 1
                self.drop()

    def drop(self):
        if self.conn is not None:
            self.conn.close()
        self.conn, self.uses = None, 0

    def connection(self, proto):
        self.uses += 1
        if self.conn is not None and (self.conn.ended or self.uses > 40):
            self.drop()
        if self.conn is None:
            self.conn = self.person.h1() if proto == "h1" else self.person.h2()
        return self.conn

    def target(self, length, more=""):
        self.number += 1
        return f"/load?bytes={length}&n={self.label}.{self.number}{more}"

    def length(self):
        return (SMALL if self.number % 5 else PAGE) + self.number % 977

    def keep(self, target, r):
        if r.status == 200:
            self.got[target] = (len(r.body), hashlib.sha256(r.body).hexdigest(), r.complete)
            if r.body != text_of(target, int(target.split("bytes=")[1].split("&")[0]))[:len(r.body)]:
                self.wrong.append(target)
        elif r.status:
            self.refused += 1
        else:
            self.broken += 1

    def page(self):
        target = self.target(self.length())
        r = self.connection("h1").request("GET", target)
        self.keep(target, r)
        if not r.complete:
            self.drop()

    def pages(self):
        conn = self.connection("h2")
        streams = {conn.open("GET", t): t for t in [self.target(self.length()) for _ in range(4)]}
        for stream, target in streams.items():
            self.keep(target, conn.wait(stream))
            del conn.responses[stream]

    def slow(self):
        target = self.target(LONG + self.number % 977, "&slowly=1")
        r = self.connection("h1").request("GET", target)
        self.keep(target, r)
        if not r.complete:
            self.drop()

    def upload(self):
        self.number += 1
        target = f"/store?n={self.label}.{self.number}"
        r = self.connection("h1").request("POST", target, [("Content-Type", "application/octet-stream")], text_of(target, 30_000 + self.number % 977))
        self.refused += r.status not in (0, 200)
        if not r.complete:
            self.drop()

    def talk(self):
        self.number += 1
        target = f"/talk?n={self.label}.{self.number}"
        socket, heard = Socket(self.person, target), self.heard.setdefault(target, [])
        self.conn = socket
        assert socket.is_open
        for i in range(200):
            socket.say(TEXT, f"{target} message {i}".encode())
            said = socket.hear_message()
            if said is None or self.ending.wait(self.pause_s):
                break
            heard.append(hashlib.sha256(said).hexdigest())
        self.drop()

    def end(self):
        self.ending.set()
        self.join(60)
        assert not self.is_alive(), f"client {self.label} hangs"
        self.drop()


def clients(person, kinds=("h1", "h1", "h2", "slow", "upload", "socket")):
    return [Client(person, f"{kind}{i}", kind) for i, kind in enumerate(kinds)]


class Recovered:
    """What a recording holds of `wanted`, {(target, "request" or "response"): (bytes, their sha256)}, read record by record; messages: {target: sha256 of each}."""

    def __init__(self, path, wanted, key=age.AUDITORS[0]):
        self.wanted, self.parts, self.messages, self.segmented, self.exchanges = wanted, {}, {}, {}, 0
        with tarfile.open(path) as tar:
            for member in tar:
                if member.name.endswith((".warc.gz", ".warc.gz.age")):
                    content = tar.extractfile(member).read()
                    for one in gzip_members(age.open_file(content, key) if member.name.endswith(".age") else content):
                        self.take(parse_record(one, member.name))

    def take(self, r):
        uri = r.fields.get("warc-target-uri", "")
        target = "/" + uri.split("/", 3)[-1]
        if r.type == "resource":
            if r.fields["countersign-from"] == "tool":
                self.messages.setdefault(target, set()).add(hashlib.sha256(r.block).hexdigest())
            return
        key, data = (target, r.type), r.block
        if r.type in ("request", "response"):
            data = r.block.partition(b"\r\n\r\n")[2]
            self.exchanges += r.type == "request"
        elif r.type == "continuation":
            key = self.segmented.get(r.fields["warc-segment-origin-id"])
        if "warc-segment-number" in r.fields and r.type != "continuation":
            self.segmented[r.fields["warc-record-id"]] = key
        if key in self.wanted:
            part = self.parts.setdefault(key, [hashlib.sha256(), self.wanted[key][0]])
            part[0].update(data[:part[1]])
            part[1] -= min(part[1], len(data))

    def missing(self):
        """Keys of which not every byte is here."""
        return [k for k, (length, digest) in self.wanted.items() if k not in self.parts or self.parts[k][1] or self.parts[k][0].hexdigest() != digest]


def delivered(crowd, origin):
    """What clients received of answers, and the tool of requests' bodies, as Recovered wants it."""
    wanted = {(t, "response"): v[:2] for c in crowd for t, v in c.got.items()}
    with origin.lock:
        wanted.update({(r.target, "request"): (len(r.body), hashlib.sha256(r.body).hexdigest()) for r in origin.requests if r.path == "/store"})
    return wanted


class Memory(threading.Thread):
    """Looks once a second: of each role, [(when, process, its RSS without what is shared with others, its whole RSS)], in KiB."""

    def __init__(self, gateway):
        super().__init__(daemon=True)
        self.gateway, self.seen, self.ending, self.begun = gateway, {}, threading.Event(), time.monotonic()
        self.start()

    def run(self):
        while not self.ending.wait(1):
            for pid, role in self.gateway.processes().items():
                try:
                    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as f:
                        said = {line.split(":")[0]: int(line.split()[1]) for line in f if line.startswith(("RssAnon", "VmRSS"))}
                except (OSError, ValueError, IndexError):
                    continue
                if "RssAnon" in said:
                    self.seen.setdefault(role, []).append((time.monotonic() - self.begun, pid, said["RssAnon"], said["VmRSS"]))

    def end(self):
        self.ending.set()
        self.join(30)

    def compare(self, warm_s):
        """{role: (median of its own memory in the first third after warming up, in the last third, the most of the whole), in KiB}."""
        out = {}
        for role, rows in self.seen.items():
            rows = [r for r in rows if r[0] >= warm_s]
            third = len(rows) // 3
            if third > 0:
                out[role] = (int(statistics.median(r[2] for r in rows[:third])), int(statistics.median(r[2] for r in rows[-third:])), max(r[3] for r in rows))
        return out
