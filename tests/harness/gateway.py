"""The real gateway on loopback: a state folder made once and copied, a config from keyword arguments, `countersign run`."""
import copy
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid

from harness import config_text
from harness.age import AUDITORS
from harness.certificates import Authority, Credential
from harness.clients import H1
from harness.config_text import CONSOLE, DOMAIN, PEOPLE
from harness.people import Person, wait_until

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("COUNTERSIGN_BUILD") or os.path.join(os.path.dirname(TESTS), "build-test")
START_S = 60
REPORTS = ("AddressSanitizer", "runtime error:", "LeakSanitizer", "ThreadSanitizer", "Assertion `", "stack smashing")


def binary_of(build=None):
    return os.path.join(build or BUILD, "countersign")


def base_env():
    keep = {k: v for k, v in os.environ.items() if not k.startswith("COUNTERSIGN_")}
    return dict(keep, ASAN_OPTIONS="detect_leaks=1:abort_on_error=0:exitcode=99:allocator_may_return_null=1",
                UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1:exitcode=99")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def command(*args, build=None, env=None, timeout=60, cwd=None):
    return subprocess.run([binary_of(build), *args], capture_output=True, timeout=timeout, env=env or base_env(), cwd=cwd,
                          stdin=subprocess.DEVNULL)


def checked(*args, **more):
    p = command(*args, **more)
    assert p.returncode == 0, f"countersign {' '.join(args)}: exit {p.returncode}\n{p.stdout.decode()}\n{p.stderr.decode()}"
    return p


class Layout:
    """Where `countersign init` puts things, relative to the state folder."""
    files = {"certificate": "tls/server.pem", "key": "tls/server.key", "client_ca": "ca/root.pem", "crl": "ca/crl.pem"}
    people_ca, people_ca_key = "ca/root.pem", "ca/root.key"    # signs people's certificates
    server_ca = "ca/server-root.pem"                           # whom people trust for the gateway's own


_template = None


def template():
    """A state folder with everybody's certificates, made once a test process: (folder, {name: Credential})."""
    global _template
    if _template is None:
        folder = tempfile.mkdtemp(prefix="countersign-template-")
        state = os.path.join(folder, "state")
        checked("init", state, "--domain", DOMAIN, "--auditors", ",".join(k.public for k in AUDITORS[:2]))
        write_config(state, config_text.default_config(1, 1, Layout.files))
        creds = {}
        for name, (identities, groups) in PEOPLE.items():
            for i, identity in enumerate(identities):
                label = name if i == 0 else f"{name}-{i + 1}"
                creds[label] = issue(state, os.path.join(folder, "people", label), name, identity, approver=True)
        _template = (folder, creds)
        import atexit
        atexit.register(shutil.rmtree, folder, True)
    return _template


def write_config(state, config):
    path = os.path.join(state, "test.conf")
    with open(path, "w", encoding="utf-8") as f:
        f.write(config_text.config_text(config))
    os.chmod(path, 0o600)
    return path


def issue(state, folder, person, identity, approver=False):
    """`countersign certs issue`. In the template everybody's key is registered for approvals, so that only the policy stands in the way."""
    args = ["certs", "issue", person, "--identity", identity, "-c", os.path.join(state, "test.conf"), "--out", folder]
    checked(*args, *(["--approver"] if approver else []))
    return Credential(os.path.basename(folder), os.path.join(folder, person + ".pem"), os.path.join(folder, person + ".key"))


class Gateway:
    """One gateway. Keyword arguments replace top-level settings; `change(config)` may edit the rest."""

    def __init__(self, origin, build=None, change=None, start=True, clock_offset_s=0, **settings):
        self.origin, self.binary = origin, binary_of(build)
        self.folder = tempfile.mkdtemp(prefix="countersign-test-")
        self.state = os.path.join(self.folder, "state")
        made, self.creds = template()
        shutil.copytree(os.path.join(made, "state"), self.state, symlinks=True)
        self.port = free_port()
        self.ca = os.path.join(self.state, Layout.server_ca)
        self.config = config_text.default_config(self.port, origin.port, dict(Layout.files))
        self.config.update(copy.deepcopy(settings))
        if change is not None:
            self.config = copy.deepcopy(self.config)
            change(self.config)
        self.marker = uuid.uuid4().hex
        self.clock_offset_s = clock_offset_s
        self.log_path = os.path.join(self.folder, "gateway.log")
        self.process = None
        if start:
            self.start()

    def auditor_key(self, key=AUDITORS[0]):
        """A file with that auditor's secret key."""
        path = os.path.join(self.folder, f"auditor-{key.public[4:12]}.key")
        if not os.path.exists(path):
            with open(path, "w", encoding="ascii", opener=lambda p, flags: os.open(p, flags, 0o600)) as f:
                f.write(key.text())
        return path

    def env(self):
        env = dict(base_env(), COUNTERSIGN_TEST_MARKER=self.marker)
        if self.clock_offset_s:
            env["COUNTERSIGN_CLOCK_OFFSET_S"] = str(self.clock_offset_s)
        return env

    def start(self, wait=True):
        path = write_config(self.state, self.config)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([self.binary, "run", "-c", path], stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self.env(),
                                            start_new_session=True)
        if wait:
            self.wait_ready()

    def wait_ready(self, seconds=START_S):
        who = self.person("nina")

        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"the gateway ended with {self.process.returncode}:\n{self.log()[-3000:]}")
            try:
                return who.api("GET", "/api/v1/status").status == 200
            except OSError:
                return False
        try:
            wait_until(ready, seconds, "a ready gateway")
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.log()[-3000:]}") from None

    def person(self, name, **more):
        """name: alice, or alice-2 for her second certificate."""
        return Person(self, name, self.creds[name], **more)

    def nobody(self, cred=None):
        return Person(self, "nobody", cred)

    def authority(self):
        """The gateway's own CA, with its key: for certificates that are bad in one way only."""
        return Authority.load(os.path.join(self.state, Layout.people_ca), os.path.join(self.state, Layout.people_ca_key))

    def run_command(self, *args, **more):
        return command(*args, env=self.env(), **more)

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def log_lines(self):
        out = []
        for line in self.log().splitlines():
            try:
                out.append(json.loads(line))
            except ValueError:
                continue
        return out

    def processes(self):
        """{pid: role}: every process of this gateway, found by the marker in its environment."""
        found = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/environ", "rb") as f:
                    if self.marker.encode() not in f.read():
                        continue
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    argv = f.read().split(b"\0")
                with open(f"/proc/{pid}/stat", "rb") as f:
                    state = f.read().rpartition(b")")[2].split()[0]
            except OSError:
                continue
            if state != b"Z" and len(argv) > 1 and argv[0].endswith(b"countersign"):
                found[int(pid)] = argv[1].decode()
        return found

    def pid_of(self, role):
        return next((p for p, r in self.processes().items() if r == role), None)

    def kill(self, role, sig=signal.SIGKILL):
        pid = self.pid_of(role)
        assert pid is not None, f"no process {role}: {self.processes()}"
        os.kill(pid, sig)
        return pid

    def kill_all(self):
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait(30)

    def peak_rss_kib(self):
        """The largest VmHWM of any of the gateway's processes."""
        peak = 0
        for pid in self.processes():
            try:
                with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as f:
                    peak = max(peak, *(int(line.split()[1]) for line in f if line.startswith("VmHWM")))
            except (OSError, TypeError, ValueError):
                continue
        return peak

    def stop(self, seconds=60):
        """SIGTERM, and the end. Complains about a bad exit, a report, or a process left behind."""
        if self.process is None:
            return
        complaint = None
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                complaint = f"the gateway did not end within {seconds} s of SIGTERM"
        end = time.monotonic() + 10
        while self.processes() and time.monotonic() < end and complaint is None:
            time.sleep(0.05)
        if self.processes():
            complaint = complaint or f"left behind: {self.processes()}"
            self.kill_all()
        elif self.process.returncode != 0:
            complaint = f"the gateway ended with {self.process.returncode}"
        self.process = None
        return complaint

    def take_over(self, seconds=60):
        """A second `countersign run` on the same state folder takes the first one's place; the old process, which still drains."""
        old = self.process
        before = sum(line.get("event") == "proxy.accepting" for line in self.log_lines())
        self.start(wait=False)
        wait_until(lambda: self.process.poll() is not None or sum(line.get("event") == "proxy.accepting" for line in self.log_lines()) > before,
                   seconds, "the successor")
        assert self.process.poll() is None, self.log()[-3000:]
        return old

    def restart(self, **more):
        complaint = self.stop()
        assert complaint is None, complaint
        for name, value in more.items():
            setattr(self, name, value)
        self.start()

    def finish(self):
        """Stop and check; the folder is kept when something was wrong."""
        complaint = self.stop()
        log = self.log() if os.path.exists(self.log_path) else ""
        reports = [line for line in log.splitlines() if any(r in line for r in REPORTS)]
        if reports or complaint:
            raise AssertionError(f"{complaint or 'a sanitizer or an assertion reported'}; log kept in {self.log_path}\n"
                                 + "\n".join(reports[:20]) + "\n" + log[-1500:])
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, host, path="/"):
        return f"https://{host}:{self.port}{path}"

    def raw_tls(self, host=CONSOLE, cred=None, **more):
        return H1(self.port, host, self.ca, cred, **more)

    def recordings(self):
        folder = os.path.join(self.state, "recordings")
        return sorted(os.path.join(folder, f) for f in os.listdir(folder) if f.endswith(".tar")) if os.path.isdir(folder) else []

    def issue_person(self, identity, name):
        """A good certificate by the command line, in this gateway's own state folder."""
        return issue(self.state, os.path.join(self.folder, "issued", name), identity.split("@")[0], identity)

    def revoke(self, cred):
        """`countersign certs revoke`, by serial number."""
        serial = serial_of(cred)
        return checked("certs", "revoke", serial, "-c", os.path.join(self.state, "test.conf"), env=self.env())

    def issue_approver(self, identity, name):
        return issue(self.state, os.path.join(self.folder, "issued", name), identity.split("@")[0], identity, approver=True)


def serial_of(cred):
    """As OpenSSL prints it: hex, two digits a byte."""
    digits = format(cred.certificate().serial_number, "x")
    return digits.zfill(len(digits) + len(digits) % 2)


def make_crl(authority, path, seconds):
    """An empty revocation list of that CA that runs out after so many seconds."""
    import datetime as dt
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    now = dt.datetime.utcnow()
    crl = (x509.CertificateRevocationListBuilder().issuer_name(authority.cert.subject).last_update(now - dt.timedelta(minutes=1))
           .next_update(now + dt.timedelta(seconds=seconds)).add_extension(x509.CRLNumber(1000), False)
           .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), False)
           .sign(authority.key, hashes.SHA256()))
    with open(path, "wb") as f:
        f.write(crl.public_bytes(serialization.Encoding.PEM))
    return path


def short_crl(gateway, seconds):
    return make_crl(gateway.authority(), os.path.join(gateway.folder, "short-crl.pem"), seconds)
