"""Starts a real WebSocket server (python3-websockets) and a gateway in front of it, then a page in Chromium that speaks with it (websocket.mjs)."""
import asyncio
import http
import json
import os
import subprocess
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

import websockets
from run_story import DummyOrigin, chromium

from harness.config_text import BILLING, CONSOLE, SUPPORT, action, tool
from harness.gateway import TESTS, Gateway, free_port
from harness.people import give_grant, wait_until

PAGE = b"<!doctype html><title>tool</title><h1>A tool with a WebSocket</h1>"


async def serve(port, stop, heard):
    async def talk(ws):
        heard.append(ws.request_headers.get("Origin"))
        try:
            async for message in ws:
                await ws.send(message)
        except websockets.ConnectionClosed:
            pass                      # the lock

    async def page(path, headers):
        if "Upgrade" not in headers:
            return http.HTTPStatus.OK, [("Content-Type", "text/html")], PAGE
    async with websockets.serve(talk, "127.0.0.1", port, process_request=page, max_size=1 << 24):
        await stop.wait()


class Tool:
    def __init__(self):
        self.port, self.heard, self.loop = free_port(), [], asyncio.new_event_loop()
        self.stop = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        async def main():
            self.stop = asyncio.Event()
            await serve(self.port, self.stop, self.heard)
        self.loop.run_until_complete(main())

    def close(self):
        self.loop.call_soon_threadsafe(self.stop.set)
        self.thread.join(30)


def check_recording(gateway, session):
    """What the page said stands in the recording, as `countersign show` tells it."""
    def shown():
        p = gateway.person("dan").cli("show", session, "--json")
        found = [m for x in json.loads(p.stdout).get("exchanges", []) for m in x.get("messages", [])] if p.returncode == 0 else []
        return found if sum(m["opcode"] == "binary" for m in found) >= 4 else None
    found = wait_until(shown, 30, "the messages in the recording")
    compressed = sum(m["compressed"] for m in found)
    print(f"step ok: the recording has {len(found)} messages, {compressed} of them left compressed, the longest of {max(m['bytes'] for m in found)} bytes")
    assert compressed == 0 and sum(m["opcode"] == "text" and m["bytes"] == 40000 for m in found) == 2, "what came compressed is kept as the text it was"


def main():
    server = Tool()
    gateway = Gateway(DummyOrigin(), change=lambda c: c.update(tools=[tool("support", SUPPORT, server.port, [action("use", "/**")]),
                                                                       tool("billing", BILLING, server.port, [action("use", "/**")])]))
    try:
        alice, bob = gateway.person("alice"), gateway.person("bob")
        session = give_grant(alice, bob)["grant_id"]
        give_grant(alice, bob, tool="billing", host=BILLING)
        facts = {"console": f"https://{CONSOLE}:{gateway.port}", "tool": f"https://{SUPPORT}:{gateway.port}", "other": f"https://{BILLING}:{gateway.port}",
                 "ca": gateway.ca, "countersign": gateway.binary, "chromium": chromium(),
                 "people": {n: {"cert": gateway.creds[n].cert, "key": gateway.creds[n].key} for n in ("alice", "olga")},
                 "env": {k: gateway.env()[k] for k in ("ASAN_OPTIONS", "UBSAN_OPTIONS")}}
        path = os.path.join(gateway.folder, "facts.json")
        with open(path, "w", encoding="utf-8") as f:
            json.dump(facts, f)
        code = subprocess.run(["node", os.path.join(HERE, "websocket.mjs"), path], timeout=300, cwd=HERE).returncode
        wanted = f"https://{SUPPORT}:{gateway.port}"
        assert set(server.heard) == {wanted}, f"origins that reached the tool: {server.heard}"
        lines = [x for x in gateway.log_lines() if x.get("event") == "exchange" and x.get("status") == 101]
        print("step ok: WebSockets came over", sorted({x["protocol"] for x in lines}))
        check_recording(gateway, session)
    finally:
        gateway.finish()
        server.close()
        print("step ok: the gateway ended without a report and left nothing running")
    return code


if __name__ == "__main__":
    sys.exit(main())
