"""What is checked of the sources themselves. Each check is a function from the list of files to a list of complaints."""
import os
import re
import subprocess

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MAX_LINES = 600
TEXT = (".c", ".h", ".py", ".sh", ".js", ".mjs", ".ts", ".tsx", ".css", ".html", ".md", ".txt", ".cfg", ".conf", ".S", ".cmake", ".yml", ".yaml")
UNIT_TEST = r"^tests/|.*_test\.c$"       # may repeat a random sequence, and call stock tools
# Calls we do not use, where they may stand, and why not.
BANNED_CALLS = [
    (r"\b(strcpy|strcat|stpcpy)\s*\(", None, "no length is checked"),
    (r"\b(sprintf|vsprintf)\s*\(", None, "no length is checked"),
    (r"\b(atoi|atol|atoll|atof)\s*\(", None, "errors and overflow go unseen"),
    (r"\bgets\s*\(", None, "no length is checked"),
    (r"\b(strtok|localtime|gmtime|asctime|ctime)\s*\(", None, "static storage: not safe in threads"),
    (r"(?<![\w.>])time\s*\(|\bclock_gettime\s*\(|\bgettimeofday\s*\(", r"^(proxy/base/clock\.c|tests/)", "time comes in through proxy/base/clock.h"),
    (r"\b(system|popen)\s*\(", UNIT_TEST, "no shell"),
    (r"\b(rand|srand|random|drand48)\s*\(", UNIT_TEST, "randomness comes from RAND_bytes"),
]
# The word is written in two halves so that this file passes its own check.
UNFINISHED = re.compile(r"\b(" + "TO" + "DO|FIX" + "ME|XX" + r"X)\b")
MACHINE_PATH = re.compile(r"(?<![\w.])/(work|home|root|Users)/\w")
REGISTRY = re.compile(r"registry\.(npmjs|yarnpkg)\.|\"resolved\"\s*:|deb\.debian\.org|npmmirror", re.I)
# Corpora; and the demo's tool, a Django project that is one thing with one README.
NO_README = re.compile(r"^tests/fuzz/corpus(/|$)|^config/demo/tool/|(^|/)\.")


def tracked_files():
    out = subprocess.run(["git", "-C", TOP, "ls-files", "-co", "--exclude-standard", "-z"], capture_output=True, check=True, timeout=60)
    return sorted(f for f in out.stdout.decode().split("\0") if f and os.path.isfile(os.path.join(TOP, f)))


def read(path):
    with open(os.path.join(TOP, path), "rb") as f:
        return f.read()


def is_text(path):
    if path.endswith(TEXT) or os.path.basename(path) in ("CMakeLists.txt", "Dockerfile"):
        return True
    return "." not in os.path.basename(path) and read(path)[:2] == b"#!"


def lines_of(path):
    return read(path).decode("utf-8", "replace").splitlines()


def strip_c(text):
    """C without comments and string contents: what a grep for calls should see."""
    pattern = r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'"
    return re.sub(pattern, lambda m: "\n" * m.group().count("\n") + " ", text, flags=re.S)


def no_file_is_too_long(files):
    return [f"{f}: {n} lines; at most {MAX_LINES}" for f in files
            if is_text(f) and not f.startswith("tests/fuzz/corpus/") and (n := len(lines_of(f))) > MAX_LINES]


def no_banned_call(files):
    found = []
    for f in files:
        if not f.endswith((".c", ".h")):
            continue
        code = strip_c(read(f).decode("utf-8", "replace"))
        for n, line in enumerate(code.split("\n"), 1):
            for pattern, allowed, why in BANNED_CALLS:
                if re.search(pattern, line) and not (allowed and re.match(allowed, f)):
                    found.append(f"{f}:{n}: {line.strip()[:80]} ({why})")
    return found


def secrets_are_compared_in_constant_time(files):
    """memcmp on what sounds secret: a MAC, tag, token, key or digest that a peer sent is compared with CRYPTO_memcmp."""
    pattern = re.compile(r"\bmemcmp\s*\([^;]*\b(mac|tag|secret|password|hmac)\w*\b")
    return [f"{f}:{n}: {line.strip()[:80]}" for f in files if f.endswith(".c") and not f.endswith("_test.c")
            for n, line in enumerate(strip_c(read(f).decode("utf-8", "replace")).split("\n"), 1) if pattern.search(line)]


def every_folder_has_a_readme(files):
    folders = set()
    for f in files:
        folder = os.path.dirname(f)
        while folder:
            folders.add(folder)
            folder = os.path.dirname(folder)
    return [f"{d}/README.md is missing" for d in sorted(folders) if not NO_README.search(d) and f"{d}/README.md" not in files]


def no_path_of_a_machine(files):
    return [f"{f}:{n}: {line.strip()[:80]}" for f in files if is_text(f) or f.endswith(".json")
            for n, line in enumerate(lines_of(f), 1) if MACHINE_PATH.search(line) and "MACHINE_PATH" not in line]


def no_registry_address(files):
    return [f"{f}:{n}: {line.strip()[:80]}" for f in files if is_text(f) or f.endswith(".json")
            for n, line in enumerate(lines_of(f), 1) if REGISTRY.search(line) and "REGISTRY" not in line]


def nothing_is_left_unfinished(files):
    return [f"{f}:{n}: {line.strip()[:80]}" for f in files if is_text(f)
            for n, line in enumerate(lines_of(f), 1) if UNFINISHED.search(line)]


def the_top_level_is_as_designed(files):
    allowed = {"proxy", "authz", "certs", "config", "tests", "docker", "CMakeLists.txt", "README.md", "LICENSE"}
    tops = {f.split("/")[0] for f in files}
    return [f"{t}: not part of the top level" for t in sorted(tops) if t not in allowed and not t.startswith(".")]


def scripts_run(files):
    """Each script has a first line that names its interpreter, is executable, and its shell syntax holds."""
    found = []
    for f in files:
        if read(f)[:2] != b"#!":
            continue
        if not os.access(os.path.join(TOP, f), os.X_OK):
            found.append(f"{f}: starts with #! and is not executable")
        if b"sh" in read(f).split(b"\n")[0]:
            p = subprocess.run(["bash", "-n", os.path.join(TOP, f)], capture_output=True, timeout=30)
            found += [f"{f}: {p.stderr.decode()[:200]}"] if p.returncode else []
    return found


def headers_guard_themselves(files):
    return [f"{f}: no include guard" for f in files if f.endswith(".h") and b"#ifndef COUNTERSIGN_" not in read(f)
            and b"#ifndef CS_" not in read(f)]


CHECKS = [no_file_is_too_long, no_banned_call, secrets_are_compared_in_constant_time, every_folder_has_a_readme, no_path_of_a_machine,
          no_registry_address, nothing_is_left_unfinished, the_top_level_is_as_designed, scripts_run, headers_guard_themselves]


def run():
    """[(name, complaints)]"""
    files = tracked_files()
    return [(check.__name__.replace("_", " "), check(files)) for check in CHECKS]
