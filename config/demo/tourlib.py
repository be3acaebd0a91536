"""What the tour stands on: numbered steps, curl with a person's certificate, raw connections, the `countersign` command."""
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

PATIENCE_S = 30


class NotAsPromised(Exception):
    """A step saw something else than what it promises. `expected` and `came` are for people."""

    def __init__(self, expected, came):
        super().__init__(expected)
        self.expected, self.came = expected, came


def expect(condition, expected, came):
    if not condition:
        raise NotAsPromised(expected, came)


def expect_in(needle, text, where):
    expect(needle in text, f"{where} to contain {needle!r}", shorten(text))


def shorten(text, most=1500):
    text = str(text)
    return text if len(text) <= most else f"{text[:most * 2 // 3]}\n... ({len(text)} characters)\n{text[-most // 3:]}"


class Story:
    """Numbers the steps and says each in one line; the first that is not as promised ends the story."""

    def __init__(self):
        self.number = 0
        self.started = time.monotonic()

    def tell(self, text, do):
        self.number += 1
        try:
            more = do()
        except NotAsPromised as problem:
            self._fail(text, f"expected  {problem.expected}\ncame      {problem.came}")
        except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, subprocess.SubprocessError) as problem:
            self._fail(text, f"came      {type(problem).__name__}: {problem}")
        print(f"ok {self.number:2d} {text}{f' ({more})' if more else ''}", flush=True)

    def _fail(self, text, lines):
        print(f"FAILED {self.number:2d} {text}", flush=True)
        print("    " + lines.replace("\n", "\n    "), flush=True)
        raise SystemExit(1)

    def seconds(self):
        return time.monotonic() - self.started


@dataclass
class Answer:
    """One HTTP answer as curl saw it."""
    status: int
    version: str
    fields: list
    body: bytes
    exit_code: int                 # curl's: 0, or 18 (cut off), 56 (reset), 92 (stream error)...
    asked: str = ""

    def get(self, name):
        return next((v for n, v in self.fields if n.lower() == name.lower()), "")

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    @property
    def problem(self):
        """The members of an application/problem+json answer; {} when it is none."""
        if not self.get("content-type").startswith("application/problem+json"):
            return {}
        return json.loads(self.body)

    @property
    def problem_type(self):
        return self.problem.get("type", "").rsplit("/", 1)[-1]

    def __str__(self):
        fields = "".join(f"\n  {n}: {v}" for n, v in self.fields)
        return f"{self.asked}: {self.status or 'no answer'} (HTTP/{self.version}, curl exit {self.exit_code}){fields}\n{shorten(self.text, 600)}"

    def refused(self, kind, status=403):
        """Expect a refusal of this kind that says what to do next; the problem's members."""
        expect(self.status == status and self.problem_type == kind, f"{status} with a problem of type {kind}", self)
        expect(self.problem.get("next"), "the problem to say what to do next", self)
        return self.problem

    def good(self):
        expect(self.status == 200 and self.exit_code == 0, "200 and a whole answer", self)
        return self


@dataclass
class Person:
    """Someone with a certificate (or, as nobody, without), a cookie jar, and a shell."""
    name: str
    demo: "Demo"
    cert: str = ""
    key: str = ""
    jar: str = field(init=False)

    def __post_init__(self):
        self.jar = str(self.demo.folder / f"{self.name}.cookies")

    def _curl(self, url, http, extra):
        command = ["curl", "--silent", "--show-error", "--max-time", str(PATIENCE_S), "--cacert", self.demo.ca, "--path-as-is",
                   "--cookie", self.jar, "--cookie-jar", self.jar,
                   {"2": "--http2", "1.1": "--http1.1"}[http]]
        for host in (self.demo.tool_host, self.demo.console_host):
            command += ["--resolve", f"{host}:{self.demo.port}:127.0.0.1"]
        if self.cert:
            command += ["--cert", self.cert, "--key", self.key]
        return command + list(extra) + [url]

    def get(self, url, *extra, http="2"):
        """GET (or what `extra` says) by curl; waits for the end."""
        heads, body = self.demo.scratch("heads"), self.demo.scratch("body")
        done = subprocess.run(self._curl(url, http, ["--dump-header", heads, "--output", body, "--write-out", "%{http_code} %{http_version}", *extra]),
                              capture_output=True, text=True, timeout=PATIENCE_S + 10, check=False)
        status, _, version = (done.stdout or "000 0").partition(" ")
        blocks = [b for b in re.split(r"\r?\n\r?\n", _read(heads).decode("latin-1")) if b.startswith("HTTP/")]
        lines = blocks[-1].splitlines()[1:] if blocks else []
        fields = [(n, v.strip()) for n, _, v in (line.partition(":") for line in lines)]
        answer = Answer(int(status), version, fields, _read(body), done.returncode, f"{self.name} {' '.join(extra)} {url}")
        if done.returncode in (1, 2, 3, 6, 7, 35, 43, 58, 60, 77):
            raise NotAsPromised("curl to get an answer", f"curl exit {done.returncode}: {done.stderr.strip()} ({answer.asked})")
        expect(not answer.status or answer.version == http, f"an answer over HTTP/{http}", answer)
        return answer

    def post(self, url, body, *extra, http="2"):
        """POST a form, byte for byte as given, as a page of the same origin would."""
        return self.get(url, "--data-raw", body, "--referer", url, "--header", "Sec-Fetch-Site: same-origin", *extra, http=http)

    def curl_start(self, url, *extra, http="2"):
        """curl in the background; what it got so far is in `.body_file`, `.ended` tells when it ended."""
        return Running(self._curl(url, http, ["--no-buffer", "--max-time", "120", *extra]), self.demo.scratch("running"))

    def connect(self):
        """A TLS connection to the tool's host, HTTP/1.1."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.demo.ca)
        context.set_alpn_protocols(["http/1.1"])
        if self.cert:
            context.load_cert_chain(self.cert, self.key)
        raw = socket.create_connection(("127.0.0.1", self.demo.port), timeout=PATIENCE_S)
        return context.wrap_socket(raw, server_hostname=self.demo.tool_host, suppress_ragged_eofs=False)

    def run(self, *args):
        """`countersign ARGS` with this person's certificate: (exit code, standard output, standard error)."""
        env = dict(os.environ, COUNTERSIGN_GATEWAY=self.demo.console, COUNTERSIGN_CA=self.demo.ca, COUNTERSIGN_CERT=self.cert,
                   COUNTERSIGN_KEY=self.key, COUNTERSIGN_AUDITOR_KEY=str(self.key).removesuffix(".key") + ".auditor-key")
        return self.demo.run(*args, env=env)

    def does(self, *args):
        """As run, expecting success; the standard output."""
        code, out, err = self.run(*args)
        expect(code == 0, f"`countersign {' '.join(args)}` by {self.name} to succeed", f"exit {code}: {shorten(out + err)}")
        return out

    def does_json(self, *args):
        return json.loads(self.does(*args, "--json"))

    def may_not(self, *args):
        """As run, expecting a refusal (exit 1); what it said."""
        code, out, err = self.run(*args)
        expect(code == 1, f"`countersign {' '.join(args)}` by {self.name} to be refused with exit 1", f"exit {code}: {shorten(out + err)}")
        return out + err


class Running:
    """A curl in the background, its standard output in a file, and when it ended."""

    def __init__(self, command, body_file):
        self.body_file, self.ended_at = body_file, None
        with open(body_file, "wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self):
        self.process.wait()
        self.ended_at = time.monotonic()

    def size(self):
        return os.path.getsize(self.body_file)

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.thread.join(5)


class Watched:
    """A raw connection read in the background until it ends, however it ends."""

    def __init__(self, sock):
        self.sock, self.received, self.ended_at, self.how = sock, bytearray(), None, ""
        self.thread = threading.Thread(target=self._read, daemon=True)

    def ask(self, target, host):
        self.sock.sendall(f"GET {target} HTTP/1.1\r\nHost: {host}\r\nSec-Fetch-Site: same-origin\r\n\r\n".encode())

    def read_answer(self):
        """One whole answer with Content-Length or chunks, before watch(): its status."""
        import http.client
        answer = http.client.HTTPResponse(self.sock)
        answer.begin()
        answer.read()
        return answer.status

    def watch(self):
        self.sock.settimeout(PATIENCE_S * 2)
        self.thread.start()

    def _read(self):
        try:
            while piece := self.sock.recv(65536):
                self.received += piece
            self.how = "closed"
        except OSError as problem:
            self.how = "reset" if isinstance(problem, ConnectionResetError) else str(problem)
        self.ended_at = time.monotonic()


class Demo:
    """The running demo: where things are, and a folder for the tour's own files."""

    def __init__(self, state, countersign, domain, port):
        self.state, self.countersign, self.domain, self.port = Path(state), countersign, domain, port
        self.ca = str(self.state / "gateway/ca/server-root.pem")
        self.tool_host, self.console_host = f"support.{domain}", f"console.{domain}"
        self.tool, self.console = f"https://{self.tool_host}:{port}", f"https://{self.console_host}:{port}"
        self.folder = Path(tempfile.mkdtemp(prefix="tour-", dir=state))
        self._count = 0

    def done(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def scratch(self, name):
        self._count += 1
        return str(self.folder / f"{self._count:04d}-{name}")

    def person(self, name):
        people = self.state / "people"
        return Person(name, self, str(people / f"{name}.pem"), str(people / f"{name}.key"))

    def nobody(self):
        return Person("nobody", self)

    def run(self, *args, env=None):
        done = subprocess.run([self.countersign, *args], capture_output=True, text=True, errors="replace", timeout=PATIENCE_S * 2,
                              stdin=subprocess.DEVNULL, env=env, check=False)
        return done.returncode, done.stdout, done.stderr

    def tool_saw(self):
        """Request lines that reached the tool so far. The tool writes a line after its answer is out: wait until none follows."""
        log = self.state / "log/tool-access.log"
        seen = -1
        while seen != (seen := len(_read(log).splitlines())):
            time.sleep(0.2)
        return seen


def _read(path):
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        return b""


def until(condition, seconds, what):
    """Wait for something that is to happen soon."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.02)
    raise NotAsPromised(what, f"not so after {seconds} s")
