"""Real tools behind the gateway, used in real Chromium: Jupyter (pages, JSON, uploads, a terminal over WebSockets), Node-RED (a single-page application with a WebSocket),
Adminer (PHP forms and sessions), Vite (a development server: modules, pages renewed over a WebSocket) and Transmission (a token by 409; both answer to one name only), socket.io (long polls, then a WebSocket), gRPC-web and GraphQL (rpc_tool.mjs). tools.mjs uses them as a person does. Jupyter, Transmission and what comes from npm are always there
(config/install test, npm ci); the others are tried when they are installed: Debian's adminer, php-cli and php-sqlite3; npm's node-red in a folder named by COUNTERSIGN_NODE_MODULES."""
import json
import os
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

import real_chromium

from harness.config_text import CONSOLE, DOMAIN, action, tool
from harness.gateway import TESTS, Gateway, free_port
from harness.people import give_grant, wait_until
from harness.recording import read_tar

MODULES = os.environ.get("COUNTERSIGN_NODE_MODULES", os.path.join(HERE, "node_modules"))


def jupyter(port, folder):
    return ["/usr/bin/python3", "-m", "notebook", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}", f"--notebook-dir={folder}",
            "--NotebookApp.token=", "--NotebookApp.password=", "--NotebookApp.allow_remote_access=True"]


def node_red(port, folder):
    return ["node", os.path.join(MODULES, "node-red", "red.js"), "-p", str(port), "-u", folder]


def adminer(port, folder):
    sqlite3.connect(os.path.join(folder, "acme.db")).execute("create table empty (a)").connection.close()
    with open(os.path.join(folder, "index.php"), "w", encoding="utf-8") as f:   # SQLite without a password is not Adminer's idea: it has a plug-in for that
        f.write("""<?php
function adminer_object() {
    include_once '/usr/share/adminer/plugins/plugin.php';
    include_once '/usr/share/adminer/plugins/login-password-less.php';
    return new AdminerPlugin([new AdminerLoginPasswordLess(password_hash('test', PASSWORD_DEFAULT))]);
}
include '/usr/share/adminer/adminer.php';
""")
    return ["php", "-S", f"127.0.0.1:{port}", "-t", folder]


def socket_io(port, folder):
    return ["node", os.path.join(HERE, "chat.mjs"), str(port)]


def rpc(port, folder):
    return ["node", os.path.join(HERE, "rpc_tool.mjs"), str(port)]


def vite(port, folder):
    files = {"index.html": '<!doctype html><title>vite</title><p id=app></p><script type=module src="/src/main.js"></script>', "src/style.css": "#app { color: rgb(1, 2, 3) }",
             "src/main.js": 'import "./style.css"; import { what } from "./[id].js"; document.getElementById("app").textContent = "hello " + what;', "src/[id].js": 'export const what = "one";',
             "package.json": '{"type":"module"}'}
    os.makedirs(os.path.join(folder, "src"))
    os.symlink(os.path.join(HERE, "node_modules"), os.path.join(folder, "node_modules"))
    for name, text in files.items():
        with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
            f.write(text)
    return ["node", os.path.join(HERE, "node_modules", "vite", "bin", "vite.js"), "--host", "127.0.0.1", "--port", str(port), "--strictPort"]


def transmission(port, folder):
    return ["transmission-daemon", "--foreground", "--config-dir", folder, "--port", str(port), "--rpc-bind-address", "127.0.0.1", "--no-auth", "--no-dht", "--no-lpd", "--no-portmap"]


# For tools that answer to one name only; {port} is theirs.
ONE_NAME = {"upstream_host": "localhost:{port}", "upstream_origin": "http://localhost:{port}"}
TOOLS = {"rpc": (rpc, {}), "jupyter": (jupyter, {"tied_cookies": ["username-*"]}), "nodered": (node_red, {}), "adminer": (adminer, {"tied_cookies": ["adminer_sid"]}), "chat": (socket_io, {}), "vite": (vite, ONE_NAME), "transmission": (transmission, ONE_NAME)}


def installed(name):
    needed = {"nodered": [os.path.join(MODULES, "node-red")], "adminer": ["/usr/share/adminer/adminer.php", "/usr/bin/php"]}
    return all(os.path.exists(p) for p in needed.get(name, []))


def settings(name, port):
    return {k: v.format(port=port) if isinstance(v, str) else v for k, v in TOOLS[name][1].items()}


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


def check_recording(gateway):
    """The chat's page sends a password with each message, as JSON behind socket.io's few characters."""
    def messages():
        found = b""
        for tar in gateway.recordings():
            with open(tar, "rb") as f:
                found += b"".join(r.block for r in read_tar(f.read()) if r.type == "resource" and "/socket.io/" in r.fields["warc-target-uri"])
        return found
    kept = wait_until(lambda: (m := messages()) and b"hello from here" in m and m, what="the chat in the recording")
    assert b"hunter2" not in kept and b'"password":"removed"' in kept, "a password in the recording"
    print("step ok: no password of the chat's was kept")


class Nothing:
    port = 1


def main():
    wanted = sys.argv[1:] or [n for n in TOOLS if installed(n)]
    gateway, apps = Gateway(Nothing(), start=False), {}
    out = os.path.join(TESTS, "output", "browser")
    os.makedirs(out, exist_ok=True)
    try:
        apps = {n: Application(n, TOOLS[n][0], gateway.folder) for n in wanted}
        hosts = {n: f"{n}.{DOMAIN}" for n in wanted}
        gateway.config["tools"] = [tool(n, hosts[n], apps[n].port, [action("use", "/**")], allow_in_target=["encoded-slash"], **settings(n, apps[n].port)) for n in wanted]
        gateway.start()
        for n in wanted:
            apps[n].wait()
            give_grant(gateway.person("alice"), gateway.person("bob"), tool=n, host=hosts[n], ready="/")
        code = real_chromium.run("tools.mjs", gateway, {"home": real_chromium.profile(gateway, "alice"), "console": gateway.url(CONSOLE, ""), "output": out,
                                                        "tools": {n: gateway.url(hosts[n], "") for n in wanted}, "folders": {n: apps[n].folder for n in wanted},
                                                        "olga": {"cert": gateway.creds["olga"].cert, "key": gateway.creds["olga"].key}})
        for n in wanted:
            mine = [x for x in gateway.log_lines() if x.get("event") == "exchange" and x.get("tool") == n]
            bad = [(x["method"], x.get("path"), x["status"], x.get("refusal"), x.get("why")) for x in mine if x.get("refusal") or x["status"] >= 500]
            assert not bad, f"{n}: refused or failed: {json.dumps(bad)}"
            print(f"step ok: {n}: {len(mine)} requests, {sum(x['status'] == 101 for x in mine)} of them WebSockets, none refused")
        if "chat" in wanted:
            check_recording(gateway)
    finally:
        for a in apps.values():
            a.close()
        gateway.finish()
    return code


if __name__ == "__main__":
    sys.exit(main())
