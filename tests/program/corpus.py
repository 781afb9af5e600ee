#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The corpus of every fuzz target, replayed without an engine: each input once, in order, in memory of its exact size."""
import os
import re
import subprocess

import harness
from harness import case, check, equal

TARGETS = sorted(path.stem for folder in ("fuzz", "tests") for path in (harness.ROOT / folder / "target").glob("*.c"))


def replay(target):
    @case(f"corpus of {target}")
    def _():
        folder = harness.ROOT / "corpus" / target
        inputs = len(os.listdir(folder))
        check(inputs > 0, f"corpus/{target} is empty: make corpus fills it")
        result = harness.run(f"replay/{target}", folder, cwd=harness.ROOT, env={"REPLAY_VERBOSE": "1"})
        last = result.err.decode(errors="replace").strip().splitlines()[-3:]
        equal((result.status, result.out.decode()), (0, f"{target}: {inputs} inputs\n"), f"status and output; last words {last}")


for name in TARGETS:
    replay(name)


@case("every target has a planted bug, and each still applies")
def _():
    found = set()
    for patch in sorted((harness.ROOT / "tests" / "fuzz" / "planted").glob("*.patch")):
        found.add(re.match(r"target: (\w+)", patch.read_text(encoding="utf-8")).group(1))
        done = subprocess.run(["patch", "--dry-run", "-f", "-s", "-p1", "-i", patch], cwd=harness.ROOT, capture_output=True, text=True, check=False)
        equal(done.returncode, 0, f"{patch.name}: {done.stdout}")
    equal(sorted(found), TARGETS, "targets with a planted bug")


harness.main()
