#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Golden tests: tests/golden/NAME.args holds a command line (programs of build/, paths below tests/captures), NAME.out what it
prints. Standard error and a status other than 0 follow the output, each behind a line of its own.

`golden.py --rewrite` (make golden) writes the .out files anew; the difference is for people to read before it is committed.
"""
import re
import shlex
import sys

import harness
from harness import case, check

GOLDEN = harness.ROOT / "tests" / "golden"


def printed(args):
    argv = shlex.split(args.read_text(encoding="utf-8"), comments=True)
    result = harness.run(*argv)
    text = re.sub(rb'"memory":[1-9]\d*', b'"memory":1', result.out)  # how large records are is no matter of output
    if result.err:
        text += b"--- stderr\n" + result.err
    if result.status != 0:
        text += b"--- status %d\n" % result.status
    return text


def first_difference(got, want):
    got, want = got.decode(errors="backslashreplace").splitlines(), want.decode(errors="backslashreplace").splitlines()
    for number in range(max(len(got), len(want))):
        mine = got[number] if number < len(got) else "(end)"
        theirs = want[number] if number < len(want) else "(end)"
        if mine != theirs:
            return f"line {number + 1}\n  want {theirs}\n  got  {mine}\n  (make golden rewrites it)"
    return "only the last newline differs"


def add(args):
    @case(args.stem)
    def _():
        want = args.with_suffix(".out").read_bytes()
        got = printed(args)
        check(got == want, first_difference(got, want) if got != want else "")


def rewrite():
    for args in sorted(GOLDEN.glob("*.args")):
        out = args.with_suffix(".out")
        text = printed(args)
        if not out.exists() or out.read_bytes() != text:
            out.write_bytes(text)
            print(f"written: {out.relative_to(harness.ROOT)}")


if "--rewrite" in sys.argv:
    rewrite()
else:
    orphans = [o.name for o in GOLDEN.glob("*.out") if not o.with_suffix(".args").exists()]

    @case("every .out has its .args")
    def _():
        check(not orphans, f"without .args: {orphans}")

    for each in sorted(GOLDEN.glob("*.args")):
        add(each)
    harness.main()
