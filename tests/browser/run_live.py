"""WebSockets and event streams in real Chromium, over HTTP/2 and HTTP/1.1, and how they end: by a lock, by the end of the grant, by a drain. The tool is npm's ws."""
import os
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

import real_chromium

from harness.config_text import CONSOLE, SUPPORT, action, tool
from harness.gateway import Gateway, free_port
from harness.people import give_grant, wait_until

SHORT_S = 12


class Nothing:
    port = 1


def answers(port):
    import socket
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def run(proto, ending, port):
    """One gateway, one way to end. The script says when it is ready by its exit from a named step; an end that comes from outside is started from here."""
    gateway = Gateway(Nothing(), change=lambda c: c.update(tools=[tool("support", SUPPORT, port, [action("use", "/**")])], limits={"drain": "5s"}))
    try:
        alice = gateway.person("alice")
        grant = give_grant(alice, gateway.person("bob"), duration_s=SHORT_S if ending == "expiry" else 600)["grant_id"]
        facts = {"home": real_chromium.profile(gateway, "alice"), "console": gateway.url(CONSOLE, ""), "tool": gateway.url(SUPPORT, ""), "proto": proto, "ending": ending, "grant": grant,
                 "gateway": gateway.process.pid, "olga": {"cert": gateway.creds["olga"].cert, "key": gateway.creds["olga"].key}}
        code = real_chromium.run("live.mjs", gateway, facts, 120)
        if ending == "drain":
            gateway.process.wait(60)
        sockets = {x["protocol"] for x in gateway.log_lines() if x.get("event") == "exchange" and x.get("path") == "/socket" and x.get("status") in (101, 200)}
        assert sockets == {"HTTP/2" if proto == "h2" else "HTTP/1.1"}, f"WebSockets over {sockets}"
    finally:
        gateway.finish()
    return code


def main():
    port = free_port()
    server = subprocess.Popen(["node", os.path.join(HERE, "live_tool.mjs"), str(port)], cwd=HERE)
    try:
        wait_until(lambda: answers(port), 60, "the tool")
        codes = [run(proto, ending, port) for proto in ("h2", "h1") for ending in ("lock", "expiry", "drain")]
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(20)
    print("step ok: the gateways ended without a report and left nothing running")
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
