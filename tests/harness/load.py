"""cs_load in the background, again and again until it is told to stop: every request must come back right, whatever happens to the gateway meanwhile."""
import collections
import json
import os
import subprocess
import threading

from harness.config_text import SUPPORT
from harness.gateway import BUILD


class Load:
    def __init__(self, gateway, http, name="alice", target="/load", batch=200, connections=4, streams=5, build=None, more=()):
        cred = gateway.creds[name]
        self.args = [os.path.join(build or BUILD, "cs_load"), "--cert", cred.cert, "--key", cred.key, "--ca", gateway.ca, "--http", str(http), "-n", str(batch),
                     "-c", str(connections), "-m", str(streams), "--timeout-s", "60", *more, f"https://{SUPPORT}:{gateway.port}{target}"]
        self.done = self.failed = 0
        self.reasons = collections.Counter()
        self.enough = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        while not self.enough.is_set():
            p = subprocess.run(self.args, capture_output=True, timeout=300)
            out = json.loads(p.stdout)
            self.done += out["ok"]
            self.failed += out["failed"]
            self.reasons.update(out["reasons"])

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.enough.set()
        self.thread.join(300)

    def check(self, at_least=1):
        assert self.failed == 0, f"{self.failed} of {self.done + self.failed} requests failed: {dict(self.reasons)}"
        assert self.done >= at_least, f"only {self.done} requests were made"
