"""Witnesses cosign the log's checkpoints (C2SP tlog-cosignature): only good cosignatures of this very log are taken, and what they prove is said and checked twice."""
import json
import os
import sys
import urllib.error
import urllib.request

import pytest

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from harness.gateway import TESTS, free_port
from harness.people import give_grant, wait_until

sys.path.insert(0, os.path.join(TESTS, "vectors"))
import tlog  # noqa: E402  (found beside the vectors)

PORT = free_port()
BASE = f"http://127.0.0.1:{PORT}/log"
ONE, TWO, STRANGER = (tlog.Witness(name, Ed25519PrivateKey.generate()) for name in ("witness.example/one", "witness.example/two", "stranger.example"))
GATEWAY = {"operator_listen": f"127.0.0.1:{PORT}", "witnesses": [ONE.vkey(), TWO.vkey()]}
NOW = 1_700_000_000


def fetch(name):
    try:
        with urllib.request.urlopen(f"{BASE}/{name}", timeout=30) as r:
            return r.read().decode()
    except urllib.error.HTTPError as e:
        return e.code


def size_of(note):
    return int(note.split("\n")[1])


def newer(gw, than):
    """Something happens; a checkpoint that has it."""
    give_grant(gw.person("alice"), gw.person("bob"))
    return wait_until(lambda: (n := fetch("checkpoint")) and isinstance(n, str) and size_of(n) > than and n, 30, "a checkpoint")


def add(gw, tmp_path, note, expect=0):
    path = tmp_path / "cosigned"
    path.write_text(note, encoding="utf-8")
    return gw.person("nina").cli("log", "add-cosignature", str(path), "-c", os.path.join(gw.state, "test.conf"), expect=expect)


@pytest.fixture(scope="module")
def log_key(gw):
    path = os.path.join(gw.folder, "log-key")
    with open(path, "w", encoding="ascii") as f:
        json.dump(gw.person("dan").api_ok("GET", "/.well-known/countersign-log-key"), f)
    return path


def verify(gw, log_key, *args, expect=0):
    p = gw.person("dan").cli("verify", "--tiles", os.path.join(gw.state, "log"), "--log-key", log_key, "--json", *args, expect=expect)
    return json.loads(p.stdout)


def test_a_cosigned_checkpoint_is_taken_served_and_verified(gw, tmp_path, log_key):
    assert fetch("witnessed") == 404
    first = newer(gw, 0)
    add(gw, tmp_path, ONE.cosign(first, NOW))
    assert fetch("witnessed") == ONE.cosign(first, NOW)
    add(gw, tmp_path, TWO.cosign(first, NOW + 1))
    both = fetch("witnessed")
    assert both == TWO.cosign(ONE.cosign(first, NOW), NOW + 1)
    newest = newer(gw, size_of(first))
    # An implementation of its own: the log is an extension of what both cosigned.
    vkey = fetch("key")
    assert tlog.check_log(BASE, vkey, [both]) >= size_of(newest)
    assert tlog.check_cosignature(both, ONE.vkey()) == NOW and tlog.check_cosignature(both, TWO.vkey()) == NOW + 1
    with pytest.raises(tlog.Bad):
        tlog.check_cosignature(both, STRANGER.vkey())
    # Ours says the same, and in words.
    assert verify(gw, log_key, "--witness", ONE.vkey())["whole"] is True
    head = tmp_path / "head"
    head.write_text(both, encoding="utf-8")
    p = gw.person("dan").cli("verify", "log", "--head", str(head), "--witness", f"{STRANGER.vkey()},{TWO.vkey()}", expect=0)
    assert f"witness.example/two cosigned the checkpoint of {size_of(first)} leaves" in p.stdout.decode() and "stranger" not in p.stdout.decode()
    p = gw.person("dan").cli("verify", "log", "--head", str(head), "--witness", STRANGER.vkey(), expect=1)
    assert "no-cosignature" in p.stdout.decode()
    # A later one takes its place; an earlier one does not come back.
    add(gw, tmp_path, ONE.cosign(newest, NOW + 2))
    assert size_of(fetch("witnessed")) == size_of(newest)
    assert "stored already" in add(gw, tmp_path, both, expect=1).stderr.decode()


def forged(gw, note):
    """The same size, another root, signed with the log's own key: what a gateway in hostile hands would show to one person only."""
    import base64
    from cryptography.hazmat.primitives import serialization
    with open(os.path.join(gw.state, "keys", "log.pem"), "rb") as f:
        key = serialization.load_pem_private_key(f.read(), None)
    name, key_id, _ = tlog.read_vkey(fetch("key"))
    text = f"{name}\n{size_of(note)}\n{base64.b64encode(bytes(32)).decode()}\n"
    return f"{text}\n— {name} {base64.b64encode(key_id + key.sign(text.encode())).decode()}\n"


def test_what_is_not_good_is_not_taken(gw, tmp_path, log_key):
    note = newer(gw, 0)
    before = fetch("witnessed")
    good = ONE.cosign(note, NOW)
    rows = {
        "nobody cosigned it": (note, "none of the 2 witnesses"),
        "a stranger did": (STRANGER.cosign(note, NOW), "none of the 2 witnesses"),
        "over another text": (note + ONE.line(note.replace("\n", "x\n", 1), NOW), "does not hold"),
        "the time was changed": (note + ONE.line(note, NOW, shown=NOW + 1), "does not hold"),
        "signed in the future": (ONE.cosign(note, 1 << 33), "future"),
        "not signed by the log": (good.split("\n\n")[0] + "\n\n" + good.split("\n\n")[1].split("\n", 1)[1], "not signed by this instance"),
        "cut off": (good[:-1], "cut off"),
        "of another log": (good.replace("countersign/", "countersigm/"), "not a head of this instance"),
        "forked": (ONE.cosign(forged(gw, note), NOW), "ANOTHER LOG"),
        "nothing": ("", "not a head"),
    }
    for name, (text, why) in rows.items():
        p = add(gw, tmp_path, text, expect=1)
        assert why in p.stderr.decode(), f"{name}: {p.stderr.decode()}"
        assert fetch("witnessed") == before, name
    # The same for whoever verifies.
    for name in ("over another text", "the time was changed"):
        head = tmp_path / "head"
        head.write_text(rows[name][0], encoding="utf-8")
        p = gw.person("dan").cli("verify", "log", "--head", str(head), "--witness", ONE.vkey(), expect=1)
        assert "bad-cosignature" in p.stdout.decode(), name
        with pytest.raises(tlog.Bad):
            tlog.check_cosignature(rows[name][0], ONE.vkey())
    assert gw.person("dan").cli("verify", "log", "--witness", ONE.vkey()).returncode == 2
    assert gw.person("dan").cli("verify", "--tiles", os.path.join(gw.state, "log"), "--log-key", log_key, "--witness", "nonsense", expect=1).stderr
