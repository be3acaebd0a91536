"""Real tools behind the gateway, used in real Chromium: Jupyter (pages, JSON, uploads, a terminal over WebSockets), Node-RED (a single-page application with a WebSocket),
Adminer (PHP forms and sessions), socket.io (long polls, then a WebSocket). tools.mjs uses them as a person does."""
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

import real_chromium

from harness.config_text import CONSOLE, DOMAIN, action, tool
from harness.gateway import TESTS, Gateway, free_port
from harness.people import give_grant, wait_until

MODULES = os.environ.get("COUNTERSIGN_NODE_MODULES", os.path.join(HERE, "node_modules"))


def jupyter(port, folder):
    return ["/usr/bin/python3", "-m", "notebook", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}", f"--notebook-dir={folder}",
            "--NotebookApp.token=", "--NotebookApp.password=", "--NotebookApp.allow_remote_access=True"]


def node_red(port, folder):
    return ["node", os.path.join(MODULES, "node-red", "red.js"), "-p", str(port), "-u", folder]


def adminer(port, folder):
    shutil.copy("/usr/share/adminer/adminer.php" if os.path.exists("/usr/share/adminer/adminer.php") else "/usr/share/adminer/adminer/index.php", os.path.join(folder, "index.php"))
    return ["php", "-S", f"127.0.0.1:{port}", "-t", folder]


def socket_io(port, folder):
    return ["node", os.path.join(HERE, "chat.mjs"), str(port)]


TOOLS = {"jupyter": (jupyter, {"tied_cookies": ["username-*"]}), "nodered": (node_red, {}), "adminer": (adminer, {"tied_cookies": ["adminer_sid"]}), "chat": (socket_io, {})}


class Application:
    def __init__(self, name, command, folder):
        self.name, self.port = name, free_port()
        self.folder = os.path.join(folder, "tool-" + name)
        os.makedirs(self.folder)
        self.log = open(os.path.join(folder, name + ".log"), "wb")   # pylint: disable=consider-using-with
        self.process = subprocess.Popen(command(self.port, self.folder), cwd=self.folder, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL,
                                        env=dict(os.environ, HOME=self.folder, NODE_PATH=MODULES))

    def wait(self):
        def answers():
            assert self.process.poll() is None, f"{self.name} ended with {self.process.returncode}: see {self.log.name}"
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=5).close()
            except urllib.error.HTTPError:
                pass
            except OSError:
                return False
            return True
        wait_until(answers, 90, self.name)

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


class Nothing:
    port = 1


def main():
    wanted = sys.argv[1:] or list(TOOLS)
    gateway, apps = Gateway(Nothing(), start=False), {}
    out = os.path.join(TESTS, "output", "browser")
    os.makedirs(out, exist_ok=True)
    try:
        apps = {n: Application(n, TOOLS[n][0], gateway.folder) for n in wanted}
        hosts = {n: f"{n}.{DOMAIN}" for n in wanted}
        gateway.config["tools"] = [tool(n, hosts[n], apps[n].port, [action("use", "/**")], allow_in_target=["encoded-slash"], **TOOLS[n][1]) for n in wanted]
        gateway.start()
        for n in wanted:
            apps[n].wait()
            give_grant(gateway.person("alice"), gateway.person("bob"), tool=n, host=hosts[n], ready="/")
        begun = time.monotonic()
        code = real_chromium.run("tools.mjs", gateway, {"home": real_chromium.profile(gateway, "alice"), "console": gateway.url(CONSOLE, ""), "output": out,
                                                        "tools": {n: gateway.url(hosts[n], "") for n in wanted}, "folders": {n: apps[n].folder for n in wanted},
                                                        "olga": {"cert": gateway.creds["olga"].cert, "key": gateway.creds["olga"].key}})
        lines = [x for x in gateway.log_lines() if x.get("event") == "exchange" and x.get("tool") in wanted]
        for n in wanted:
            mine = [x for x in lines if x["tool"] == n]
            bad = [x for x in mine if x.get("refusal") not in (None, "service-worker") or x["status"] >= 500]
            print(f"step ok: {n}: {len(mine)} requests, {sum(x['status'] == 101 or x['status'] == 200 and x.get('method') == 'GET' and x['protocol'] == 'HTTP/2' and False for x in mine)} of them WebSockets; "
                  f"refused or failed: {json.dumps([(x['method'], x.get('path'), x['status'], x.get('refusal'), x.get('why')) for x in bad])}")
        print(f"took {time.monotonic() - begun:.0f} s")
    finally:
        for a in apps.values():
            a.close()
        gateway.finish()
    return code


if __name__ == "__main__":
    sys.exit(main())
