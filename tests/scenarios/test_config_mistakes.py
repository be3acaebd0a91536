"""A wrong config names file, line, setting and what was expected, and all problems at once; `run` refuses to start with one."""
import os
import re

import pytest

from harness.config_text import SUPPORT_ACTIONS, config_text, default_config, tool
from harness.gateway import Layout, command, template


@pytest.fixture(scope="module")
def state():
    return os.path.join(template()[0], "state")


def check(state, text, name="wrong.conf"):
    path = os.path.join(state, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, 0o600)
    return path, command("check", "-c", path)


def good(**more):
    return dict(default_config(8443, 8000, Layout.files), **more)


def test_the_tests_own_config_is_good(state):
    _, p = check(state, config_text(good()))
    assert p.returncode == 0, p.stderr.decode() + p.stdout.decode()


def change_tool(**more):
    return good(tools=[dict(tool("support", "support.test.localhost", 8000, SUPPORT_ACTIONS), **more)])


MISTAKES = {
    "an unknown setting": (good(nosuch=1), "nosuch"),
    "an unknown setting inside": (change_tool(nosuch="x"), "nosuch"),
    "a number where text belongs": (good(console=7), "console"),
    "text where a number belongs": (good(workers="many"), "workers"),
    "a size without a unit": (good(limits={"held_bytes": "12"}), "held_bytes"),
    "a time with a bad unit": (change_tool(max_duration="5 parsecs"), "max_duration"),
    "a negative number": (good(workers=-1), "workers"),
    "a time out of range": (change_tool(max_duration="900d"), "max_duration"),
    "a bad upstream": (change_tool(upstream="ftp://x"), "upstream"),
    "an upstream with a path": (change_tool(upstream="http://127.0.0.1:80/x"), "upstream"),
    "a bad listener": (good(listen=["nowhere"]), "listen"),
    "a port out of range": (good(listen=["127.0.0.1:70000"]), "listen"),
    "a missing file": (good(tls=dict(Layout.files, crl="nosuch.pem")), "crl"),
    "a missing required setting": ({k: v for k, v in good().items() if k != "console"}, "console"),
    "an identity of two persons": (good(people=[{"name": "a", "identities": ["x@y.z"]}, {"name": "b", "identities": ["x@y.z"]}]), "x@y.z"),
    "a person twice": (good(people=[{"name": "a", "identities": ["x@y.z"]}, {"name": "a", "identities": ["u@y.z"]}]), '"?a"?'),
    "a tool twice": (good(tools=[tool("support", "a.test.localhost", 1), tool("support", "b.test.localhost", 1)]), "support"),
    "a host twice": (good(tools=[tool("a", "a.test.localhost", 1), tool("b", "a.test.localhost", 1)]), "a.test.localhost"),
    "the console's host as a tool": (good(tools=[tool("a", "console.test.localhost", 1)]), "console"),
    "a sign-off by nobody": (change_tool(actions=[{"name": "x", "path": "/**", "allow": "signoff"}]), "signoff"),
    "an unknown allow": (change_tool(actions=[{"name": "x", "path": "/**", "allow": "maybe"}]), "allow"),
    "a path that is not absolute": (change_tool(actions=[{"name": "x", "path": "export", "allow": "grant"}]), "path"),
    "no approvers": (change_tool(approvers=[]), "approvers"),
    "a ring that is no power of two": (good(recording={"ring_size": "5MiB"}), "ring_size"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_names_file_line_and_setting(state, name):
    config, setting = MISTAKES[name]
    path, p = check(state, config_text(config))
    said = (p.stderr + p.stdout).decode()
    assert p.returncode == 1, said
    assert re.search(re.escape(os.path.basename(path)) + r":\d+:.*" + setting, said), said


def test_all_mistakes_are_reported_at_once(state):
    config = good(nosuch=1, workers="many", listen=["nowhere"], limits={"streams": 0, "idle": "x"})
    path, p = check(state, config_text(config))
    lines = [line for line in (p.stderr + p.stdout).decode().splitlines() if os.path.basename(path) + ":" in line]
    assert p.returncode == 1 and len(lines) >= 5, lines
    text = "\n".join(lines)
    for word in ("nosuch", "workers", "listen", "streams", "idle"):
        assert word in text, text
    numbers = {m.group(1) for line in lines if (m := re.search(r"\.conf:(\d+)", line))}
    assert len(numbers) >= 5, "the line numbers do not tell them apart"


BROKEN = {
    "nothing": "", "garbage": "\x01\x02\x03", "an open brace": "tools = ( {", "an open string": 'console = "x', "a NUL": 'console = "a\0b";',
    "an include of itself": '@include "broken.conf"\n', "an include that is not there": '@include "nosuch.conf"\n', "very deep": "a = " + "{ a = " * 3000 + "1" + "; }" * 3000 + ";",
    "a duplicate": 'console = "a.b";\nconsole = "c.d";\n',
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_reported_and_does_no_harm(state, name):
    _, p = check(state, BROKEN[name], "broken.conf")
    assert p.returncode == 1 and (p.stderr or p.stdout), f"{p.returncode}"
    assert b"Sanitizer" not in p.stderr and b"runtime error" not in p.stderr


def test_a_file_that_is_not_there(state):
    p = command("check", "-c", os.path.join(state, "nosuch.conf"))
    assert p.returncode == 1 and b"nosuch.conf" in p.stderr + p.stdout


def test_run_refuses_to_start_with_a_wrong_config(state):
    path, _ = check(state, config_text(good(nosuch=1)))
    p = command("run", "-c", path)
    assert p.returncode == 1 and b"nosuch" in p.stderr + p.stdout


def test_a_config_that_others_may_write_is_refused(state):
    path, _ = check(state, config_text(good()))
    os.chmod(path, 0o666)
    p = command("check", "-c", path)
    assert p.returncode == 1, (p.stdout + p.stderr).decode()
