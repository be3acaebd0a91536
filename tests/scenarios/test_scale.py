"""(alone) A store with a long past: 100,000 grants and 1,000,000 decisions, on the plain build, with --long. The figures are printed and kept in the report; the program asserts ten
times what is promised (20 ms CPU for a request for access, an approval, the list of what is pending; 2 s for a start; 100 ms for a lock under a flood)."""
import os
import re
import subprocess

import pytest

PLAIN = os.environ.get("COUNTERSIGN_PLAIN_BUILD")


@pytest.mark.limit(3600)
@pytest.mark.skipif(not (os.environ.get("COUNTERSIGN_LONG") and PLAIN), reason="only with --long")
def test_a_long_past_is_no_burden(record_property):
    top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    env = dict(os.environ, COUNTERSIGN_SCALE="100000")
    p = subprocess.run([os.path.join(PLAIN, "unit", "approvals_scale_test")], cwd=top, env=env, capture_output=True, timeout=3500, text=True)
    print(p.stdout)
    for what, ms in re.findall(r"^(.+?): ([0-9.]+) ms", p.stdout, re.M):
        record_property(what, ms)
    assert p.returncode == 0, p.stdout + p.stderr
