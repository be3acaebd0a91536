"""`replay --serve`: a Django admin, a single-page application, a WebSocket tool and a hostile page are used (replay_live.mjs), and then watched from their recordings alone, in a Chromium that
has no certificate and must ask nobody else (replay.mjs)."""
import json
import os
import signal
import socket
import subprocess
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

import real_chromium

from harness.config_text import CONSOLE, DOMAIN, SUPPORT, action, tool
from harness.gateway import TESTS, Gateway, free_port
from harness.people import give_grant, wait_until
from harness.recording import exchanges, read_tar
from run_story import ACTIONS, DjangoTool, DummyOrigin

NAMES = ("support", "spa", "chat", "hostile")
OUT = os.path.join(TESTS, "output", "browser-replay")


class Canary:
    """A TCP and a UDP port that must hear nothing while a recording is watched."""

    def __init__(self):
        self.heard, self.tcp, self.udp = [], socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        threading.Thread(target=self.listen, daemon=True).start()
        threading.Thread(target=self.receive, daemon=True).start()

    def listen(self):
        while True:
            connection, _ = self.tcp.accept()
            connection.settimeout(2)
            try:
                self.heard.append(("tcp", connection.recv(200)))
            except OSError:
                self.heard.append(("tcp", b""))
            connection.close()

    def receive(self):
        while True:
            self.heard.append(("udp", self.udp.recv(2000)[:40]))

    def ports(self):
        return {"tcp": self.tcp.getsockname()[1], "udp": self.udp.getsockname()[1]}


class Replay:
    """`countersign replay SESSION --serve` by dan."""

    def __init__(self, gateway, session, *args):
        dan = gateway.creds["dan"]
        env = dict(gateway.env(), COUNTERSIGN_GATEWAY=gateway.url(CONSOLE, ""), COUNTERSIGN_CERT=dan.cert, COUNTERSIGN_KEY=dan.key, COUNTERSIGN_CA=gateway.ca,
                   COUNTERSIGN_AUDITOR_KEY=gateway.auditor_key(), HOME=gateway.state)
        self.process = subprocess.Popen([gateway.binary, "replay", session, "--serve", "--json", *args], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        text = b""
        while b"}" not in text:
            line = self.process.stdout.readline()
            assert line, self.process.stderr.read().decode()
            text += line
        self.address = json.loads(text)["address"]

    def close(self):
        self.process.send_signal(signal.SIGINT)
        _, err = self.process.communicate(timeout=30)
        assert self.process.returncode == 0 and not err, (self.process.returncode, err.decode())


def recorded(gateway, session, needed):
    def there():
        path = os.path.join(gateway.state, "recordings", f"{session}.tar")
        if not os.path.exists(path):
            return False
        with open(path, "rb") as f:
            records = read_tar(f.read())
        lines = [e.request_line for e in exchanges(records) if e.response] + ["message " + r.block.decode("latin-1") for r in records if r.type == "resource"]
        return all(any(n in line for line in lines) for n in needed)
    wait_until(there, 60, f"the recording of {needed}")


def watch(gateway, canary, sessions):
    replays = {}
    try:
        replays = {n: Replay(gateway, s) for n, s in sessions.items()}
        canary.heard.clear()
        code = real_chromium.run("replay.mjs", gateway, {"output": OUT, "addresses": {n: r.address for n, r in replays.items()}, "home": os.path.join(gateway.folder, "watching"), **canary.ports()})
    finally:
        for r in replays.values():
            r.close()
    print("step ok: nothing was heard at the ports that the hostile page tried" if not canary.heard else f"step failed: the hostile page got out: {canary.heard[:5]}")
    return code or bool(canary.heard)


def other_reader(gateway, session):
    """The same session, exported, in a program that nobody here wrote."""
    path = os.path.join(gateway.folder, "session.wacz")
    gateway.person("dan").cli("export", session, "--wacz", "-o", path, expect=0)
    return real_chromium.run("wacz.mjs", gateway, {"output": OUT, "wacz": path, "home": os.path.join(gateway.folder, "reading")})


def check_log(gateway, sessions):
    leaves = gateway.person("dan").api_ok("GET", f"/api/v1/sessions/{sessions['support']}?purpose=show")["leaves"]
    looks = [leaf["content"] for leaf in leaves if leaf["type"] == "session.read" and leaf["content"].get("purpose") == "replay"]
    assert looks and looks[0]["by"].startswith("dan"), leaves
    print("step ok: who watched is in the log")


def main():
    os.makedirs(OUT, exist_ok=True)
    canary, ports, processes, django = Canary(), {n: free_port() for n in ("spa", "hostile", "chat")}, [], None
    gateway = Gateway(DummyOrigin(), start=False)
    try:
        django = DjangoTool(gateway.port)
        processes = [subprocess.Popen(["node", os.path.join(HERE, "replay_tools.mjs"), str(ports["spa"]), str(ports["hostile"])], cwd=HERE),
                     subprocess.Popen(["node", os.path.join(HERE, "chat.mjs"), str(ports["chat"])], cwd=HERE)]
        hosts = {n: f"{n}.{DOMAIN}" for n in ports} | {"support": SUPPORT}
        gateway.config["tools"] = [tool("support", SUPPORT, django.port, ACTIONS)] + [tool(n, hosts[n], p, [action("use", "/**")]) for n, p in ports.items()]
        gateway.start()
        with open(django.jwks, "w", encoding="utf-8") as f:
            json.dump(gateway.person("alice").api_ok("GET", "/.well-known/jwks.json"), f)
        for p in ports.values():
            wait_until(lambda p=p: not socket.socket().connect_ex(("127.0.0.1", p)), 60, "the tools")
        sessions = {n: give_grant(gateway.person("alice"), gateway.person("bob"), tool=n, host=hosts[n], ready="/admin/" if n == "support" else "/")["grant_id"] for n in NAMES}
        code = real_chromium.run("replay_live.mjs", gateway, {"home": real_chromium.profile(gateway, "alice"), "output": OUT, "tools": {n: gateway.url(hosts[n], "") for n in NAMES}, **canary.ports()})
        for n, needed in {"support": ["/admin/support/customer/", "POST /admin/support/audience/"], "spa": ["POST /api/items", "/events"], "chat": ["hello from here"], "hostile": ["leave", "&rtc"]}.items():
            recorded(gateway, sessions[n], needed)
        code = watch(gateway, canary, sessions) or code
        code = other_reader(gateway, sessions["support"]) or code
        check_log(gateway, sessions)
    finally:
        for p in processes:
            p.terminate()
            p.wait(30)
        if django is not None:
            django.close()
        gateway.finish()
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
