"""Promise 3, afterwards: the answers in a kept log are checked without Countersign, by tests/vectors/approvals.py, and a changed one is found."""
import json
import os
import subprocess

import pytest

from harness.gateway import TESTS
from harness.people import give_grant, hold, wait_until

SCRIPT = os.path.join(TESTS, "vectors", "approvals.py")


def check(*args):
    p = subprocess.run(["/usr/bin/python3", SCRIPT, *map(str, args)], capture_output=True, text=True, timeout=60)
    return p.returncode, p.stdout + p.stderr


@pytest.fixture(scope="module")
def kept(gw, tmp_path_factory):
    """(log, approval-keys): a session with an approval, a sign-off and a denial."""
    alice, carol = gw.person("alice"), gw.person("carol")
    session = give_grant(alice, gw.person("bob"))["grant_id"]
    assert alice.get("/").status == 200
    assert carol.decide(hold(alice, body=b"audience=yes")["id"]).status in (200, 201)
    assert carol.decide(hold(alice, body=b"audience=no")["id"], "deny").status in (200, 201)
    folder = tmp_path_factory.mktemp("kept") / "session"
    wait_until(lambda: gw.person("dan").cli("verify", session, "--save", str(folder)).returncode == 0, 30, "a whole recording")
    with open(folder / "log.json", encoding="utf-8") as f:
        return json.load(f), os.path.join(gw.state, "approval-keys")


def answers(log):
    return [leaf["content"] for leaf in log["leaves"] if leaf["type"] in ("approval", "denial") and "content" in leaf]


def with_change(kept, tmp_path, change):
    log = json.loads(json.dumps(kept[0]))
    change(log)
    path = tmp_path / "log.json"
    path.write_text(json.dumps(log), encoding="utf-8")
    return path


def test_every_answer_holds(kept, tmp_path):
    path = with_change(kept, tmp_path, lambda log: None)
    for args in ([path], [path, kept[1]]):
        code, said = check(*args)
        assert code == 0 and "3 answers, all good" in said, said


CHANGES = {
    "another scope": lambda a, log: a["statement"]["scope"].update(body_len=1),
    "a yes made of a no": lambda a, log: a["statement"].update(decision="deny" if a["statement"]["decision"] == "approve" else "approve"),
    "another requester": lambda a, log: a["statement"].update(requester="mallory"),
    "another approver": lambda a, log: a["statement"].update(approver="bob" if a["statement"]["approver"] == "carol" else "carol"),
    "one's own request": lambda a, log: a["statement"].update(requester=a["statement"]["approver"]),
    "one member more": lambda a, log: a["statement"].update(more=1),
    "a flipped bit": lambda a, log: a.update(jws=a["jws"][:-10] + ("A" if a["jws"][-10] != "A" else "B") + a["jws"][-9:]),
    "no signature": lambda a, log: a.update(jws=a["jws"].rpartition(".")[0] + "."),
    "an unknown key": lambda a, log: a["statement"].update(key="A" * 43),
    "the signature of another answer": lambda a, log: a.update(jws=next(b["jws"] for b in answers(log) if b["jws"] != a["jws"])),
}


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_answer_is_found(kept, tmp_path, name, which):
    code, said = check(with_change(kept, tmp_path, lambda log: CHANGES[name](answers(log)[which], log)))
    assert code == 1 and "BAD" in said, said


def test_a_key_exchanged_in_the_log_is_found_by_the_file_kept_elsewhere(kept, tmp_path):
    def change(log):
        for leaf in log["leaves"]:
            if leaf["type"] == "key.registered" and leaf["content"]["person"] == "carol":
                leaf["content"]["person"] = "dan"
    path = with_change(kept, tmp_path, change)
    assert check(path)[0] == 1 and check(path, kept[1])[0] == 0
