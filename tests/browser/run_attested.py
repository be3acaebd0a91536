"""A gateway with keys.attestation_roots, and Chromium with a virtual authenticator whose maker nobody pinned (attested.mjs)."""
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "scenarios"))

from run_story import chromium

from harness.config_text import CONSOLE
from harness.gateway import Gateway
from harness.origin import Origin
from test_attested_keys import Maker


def main():
    origin = Origin()
    gateway = Gateway(origin, start=False)
    try:
        gateway.config["keys"] = {"delay": "0s", "attestation_roots": Maker().write(os.path.join(gateway.folder, "makers.pem"))}
        gateway.start()
        cred = gateway.creds["carol"]
        path = os.path.join(gateway.folder, "facts.json")
        with open(path, "w", encoding="utf-8") as f:
            json.dump({"console": f"https://{CONSOLE}:{gateway.port}", "cert": cred.cert, "key": cred.key, "chromium": chromium()}, f)
        code = subprocess.run(["node", os.path.join(HERE, "attested.mjs"), path], timeout=200, cwd=HERE).returncode
    finally:
        gateway.finish()
        origin.close()
    return code


if __name__ == "__main__":
    sys.exit(main())
