"""DOM recording in real Chromium: the Django admin, a tool with a strict policy, and a hostile page, with the recorder in their pages (dom_live.mjs); then what the recording holds; then the
player of `replay --serve`, in a Chromium that has no certificate (dom_replay.mjs)."""
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

import real_chromium

from harness.config_text import DOMAIN, SUPPORT, action, tool
from harness.gateway import BUILD, TESTS, Gateway, free_port
from harness.people import give_grant, wait_until
from harness.recording import everything_readable, exchanges, read_tar
from run_replay import Canary, Replay
from run_story import ACTIONS, DjangoTool, DummyOrigin

OUT = os.path.join(TESTS, "output", "browser-dom")
NAMES = ("support", "strict", "hostile")


def uploads(gateway, session):
    with open(os.path.join(gateway.state, "recordings", f"{session}.tar"), "rb") as f:
        data = f.read()
    found = exchanges(read_tar(data))
    claims = [e for e in found if "browser-claim:dom" in str([r.fields.get("countersign-action") for r in e.records])]
    return found, [json.loads(e.request_body) for e in claims if e.request_body.startswith(b'{"v":1')], everything_readable(data)


def check(name, good, got=""):
    print(f"step ok: {name}" if good else f"step failed: {name}: {str(got)[:600]}")
    return not good


def check_support(gateway, session):
    wait_until(lambda: any("typed-in-the-open" in json.dumps(u) for u in uploads(gateway, session)[1]), 60, "the last events")
    found, sent, everything = uploads(gateway, session)
    events = [e for u in sent for e in u["events"]]
    pages = {r.fields.get("countersign-exchange") for e in found for r in e.records if b"script of " in r.block}
    code = check("every page tells what it drew, and which exchange brought it", {u["page"] for u in sent} <= pages and sum(e["type"] == 2 for e in events) >= 3, (pages, [u["page"] for u in sent]))
    code |= check("uploads are numbered without gaps", all(sorted(u["seq"] for u in sent if u["doc"] == d) == list(range(sum(u["doc"] == d for u in sent))) for d in {u["doc"] for u in sent}), [(u["doc"], u["seq"]) for u in sent])
    code |= check("nothing was lost", not any(u["lost"] for u in sent), [(u["lost"], u["why"]) for u in sent])
    dom = json.dumps(sent)
    code |= check("what was typed is stars", "typed-and-secret" not in dom and "*" * 16 in dom, dom[:300])
    code |= check("but for the field that the policy names", "typed-in-the-open" in dom)
    code |= check("a password, also one shown in clear, is nowhere in it", "pass-w0rd" not in dom and b"pass-w0rd" not in everything)
    tokens = [e for e in everything.split(b"csrfmiddlewaretoken")[1:]]
    code |= check("the form's token is stars in it", '"csrfmiddlewaretoken", "value": "*' in dom, len(tokens))
    code |= check("the page's text is in it", "Amber Bakery" in dom)
    return code


def check_others(gateway, sessions):
    found, sent, _ = uploads(gateway, sessions["strict"])
    notes = [r.block.decode() for e in found for r in e.records if b"dom-recorder" in r.block]
    code = check("a page under a strict policy is recorded by its nonce", any("page with a nonce" in json.dumps(u) for u in sent), notes)
    code |= check("one whose policy has hashes only is not, and it is said", any("no script: its Content-Security-Policy" in n for n in notes) and not any("page with hashes" in json.dumps(u) for u in sent), notes)
    found, sent, _ = uploads(gateway, sessions["hostile"])
    refused = [r.block.decode() for e in found for r in e.records if b"dom-refused" in r.block]
    return code | check("of a flood a part was kept, and the recording says how much was refused", sent and refused, (len(sent), refused))


def main():
    os.makedirs(OUT, exist_ok=True)
    canary, ports, processes, django = Canary(), {n: free_port() for n in ("strict", "hostile")}, [], None
    gateway = Gateway(DummyOrigin(), start=False)
    try:
        django = DjangoTool(gateway.port)
        processes = [subprocess.Popen(["node", os.path.join(HERE, "dom_tools.mjs"), str(ports["strict"]), str(ports["hostile"])], cwd=HERE)]
        hosts = {n: f"{n}.{DOMAIN}" for n in ports} | {"support": SUPPORT}
        dom = {"enabled": True, "show": ["#open"]}
        gateway.config["tools"] = [tool("support", SUPPORT, django.port, ACTIONS, dom_recording=dom)] + [tool(n, hosts[n], p, [action("use", "/**")], dom_recording=dom) for n, p in ports.items()]
        gateway.config["dom_recorder"] = os.path.join(BUILD, "dom")
        gateway.config["limits"] = {"dom_upload": "1MiB", "dom_rate": "128KiB"}
        gateway.start()
        with open(django.jwks, "w", encoding="utf-8") as f:
            json.dump(gateway.person("alice").api_ok("GET", "/.well-known/jwks.json"), f)
        sessions = {n: give_grant(gateway.person("alice"), gateway.person("bob"), tool=n, host=hosts[n], ready="/admin/" if n == "support" else "/")["grant_id"] for n in NAMES}
        code = real_chromium.run("dom_live.mjs", gateway, {"home": real_chromium.profile(gateway, "alice"), "output": OUT, "tools": {n: gateway.url(hosts[n], "") for n in NAMES}, **canary.ports()})
        code = check_support(gateway, sessions["support"]) or code
        code = check_others(gateway, sessions) or code
        if os.path.exists(os.path.join(HERE, "dom_replay.mjs")):
            code = watch(gateway, canary, sessions) or code
    finally:
        for p in processes:
            p.terminate()
            p.wait(30)
        if django is not None:
            django.close()
        gateway.finish()
    return int(code)


def watch(gateway, canary, sessions):
    replays = {}
    try:
        replays = {n: Replay(gateway, sessions[n]) for n in ("support", "hostile")}
        canary.heard.clear()
        code = real_chromium.run("dom_replay.mjs", gateway, {"output": OUT, "addresses": {n: r.address for n, r in replays.items()}, "home": os.path.join(gateway.folder, "watching"), **canary.ports()})
    finally:
        for r in replays.values():
            r.close()
    return check("nothing was heard at the ports that the hostile page named", not canary.heard, canary.heard[:5]) or code


if __name__ == "__main__":
    sys.exit(main())
