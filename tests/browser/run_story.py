"""Starts the demo's Django tool and a gateway in front of it, then the story in Chromium (story.mjs)."""
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

from harness.config_text import CONSOLE, DOMAIN, SUPPORT, action, tool
from harness.gateway import TESTS, Gateway, free_port

TOOL = os.path.join(os.path.dirname(TESTS), "config", "demo", "tool")
ACTIONS = [
    action("view", "/**", methods=["GET", "HEAD"]),
    action("edit", "/**", methods=["POST"]),
    action("export", "/admin/**", "signoff", methods=["POST"], body=[{"name": "action", "equals": "export_csv"}]),
]


class DjangoTool:
    """The demo's tool on a free port, its data in a folder of its own."""

    def __init__(self, public_port):
        self.port, self.folder = free_port(), tempfile.mkdtemp(prefix="countersign-tool-")
        self.jwks = os.path.join(self.folder, "jwks.json")
        self.env = dict(os.environ, TOOL_STATE=self.folder, TOOL_HOST=f"{SUPPORT}:{public_port}", TOOL_PORT=str(self.port), TOOL_NAME="support",
                        TOOL_ISSUER="gateway." + DOMAIN, TOOL_JWKS=self.jwks, PYTHONDONTWRITEBYTECODE="1")
        subprocess.run(["/usr/bin/python3", os.path.join(TOOL, "manage.py"), "prepare"], env=self.env, check=True, timeout=120)
        self.process = subprocess.Popen(["/usr/bin/python3", "-m", "gunicorn", "--chdir", TOOL, "-c", os.path.join(TOOL, "gunicorn.conf.py"), "support.wsgi"],
                                        env=self.env)
        end = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                break
            except OSError:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise RuntimeError("the demo's tool did not start") from None
                time.sleep(0.1)

    def close(self):
        self.process.terminate()
        self.process.wait(30)
        shutil.rmtree(self.folder, ignore_errors=True)


def main():
    django = gateway = None
    try:
        gateway = Gateway(DummyOrigin(), start=False)
        django = DjangoTool(gateway.port)
        gateway.config["tools"] = [tool("support", SUPPORT, django.port, ACTIONS)]
        gateway.start()
        with open(django.jwks, "w", encoding="utf-8") as f:
            json.dump(gateway.person("alice").api_ok("GET", "/.well-known/jwks.json"), f)
        facts = {"console": f"https://{CONSOLE}:{gateway.port}", "tool": f"https://{SUPPORT}:{gateway.port}", "ca": gateway.ca, "countersign": gateway.binary,
                 "people": {n: {"cert": gateway.creds[n].cert, "key": gateway.creds[n].key} for n in ("alice", "bob", "carol", "olga")},
                 "identity": "alice@" + DOMAIN, "output": os.path.join(TESTS, "output", "browser"), "chromium": chromium(),
                 "env": {k: gateway.env()[k] for k in ("ASAN_OPTIONS", "UBSAN_OPTIONS")}}
        path = os.path.join(gateway.folder, "facts.json")
        with open(path, "w", encoding="utf-8") as f:
            json.dump(facts, f)
        code = subprocess.run(["node", os.path.join(HERE, "story.mjs"), path], timeout=500, cwd=HERE).returncode
    finally:
        if django is not None:
            django.close()
        if gateway is not None:
            gateway.finish()
            print("step ok: the gateway ended without a report and left nothing running")
    return code


class DummyOrigin:
    port = 1


def chromium():
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        raise SystemExit("step failed: Chromium is not installed; run config/install test")
    return found


if __name__ == "__main__":
    sys.exit(main())
