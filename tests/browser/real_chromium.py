"""Chromium with a client certificate of its own: in its certificate store, chosen by its own preferences, presented by its own TLS. (Playwright's `clientCertificates`
presents one in Chromium's place, from another process: there, CORS preflights would carry it, and sockets would be Playwright's.)"""
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

from run_story import chromium


def profile(gateway, name):
    """A home folder for Chromium in which that person's certificate is the one to present; the gateway's authority is trusted."""
    home = os.path.join(gateway.folder, "home-" + name)
    store, cred, p12 = os.path.join(home, ".pki", "nssdb"), gateway.creds[name], os.path.join(home, "person.p12")
    os.makedirs(store)
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "timeout": 60}
    subprocess.run(["openssl", "pkcs12", "-export", "-inkey", cred.key, "-in", cred.cert, "-out", p12, "-passout", "pass:test", "-name", name], **quiet)
    subprocess.run(["certutil", "-N", "-d", "sql:" + store, "--empty-password"], **quiet)
    subprocess.run(["pk12util", "-i", p12, "-d", "sql:" + store, "-W", "test", "-K", ""], **quiet)
    subprocess.run(["certutil", "-A", "-d", "sql:" + store, "-n", "gateway", "-t", "C,,", "-i", gateway.ca], **quiet)
    folder = os.path.join(home, "profile", "Default")
    os.makedirs(folder)
    select = {"https://*,*": {"setting": {"filters": [{}]}}}
    with open(os.path.join(folder, "Preferences"), "w", encoding="utf-8") as f:
        json.dump({"profile": {"content_settings": {"exceptions": {"auto_select_certificate": select}}}}, f)
    return home


def run(script, gateway, facts, seconds=400):
    """`node SCRIPT FACTS`; its exit code."""
    facts = dict(facts, chromium=chromium(), ca=gateway.ca, countersign=gateway.binary,
                 env={k: gateway.env()[k] for k in ("ASAN_OPTIONS", "UBSAN_OPTIONS")})
    path = os.path.join(gateway.folder, "facts.json")
    with open(path, "w", encoding="utf-8") as f:
        json.dump(facts, f)
    return subprocess.run(["node", os.path.join(HERE, script), path], timeout=seconds, cwd=HERE).returncode
