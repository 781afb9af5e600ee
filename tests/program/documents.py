#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the documents say is so: the README's commands give the output shown, the man pages name the options --help names."""
import re
import subprocess

import harness
from harness import ROOT, case, check, equal, program, run

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OPTION = re.compile(r"(?:^|[\s,(*\[])(--?[A-Za-z][A-Za-z0-9-]*)")


def shown_and_got(want, got):
    """Compares line by line; a line `...` stands for any number of lines. Returns the first line that differs, or None."""
    want, got = want.splitlines(), got.splitlines()
    place = 0
    for number, line in enumerate(want):
        if line.strip() == "...":
            following = want[number + 1] if number + 1 < len(want) else None
            place = len(got) if following is None else next((i for i in range(place, len(got)) if got[i] == following), len(got))
        elif place < len(got) and got[place] == line:
            place += 1
        else:
            return f"line {number + 1}\n  shown {line}\n  got   {got[place] if place < len(got) else '(end)'}"
    return None if place == len(got) else f"more than shown: {got[place]}"


def add_block(document, number, commands, output):
    first = commands.strip().splitlines()[0]

    @case(f"{document}, block {number}: {first}")
    def _():
        commands_here = commands.replace("build/", f"{harness.BUILD}/")
        done = subprocess.run(["bash", "-c", commands_here], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=120, check=False)
        got = done.stdout.decode()
        check(got, f"prints nothing, status {done.returncode}")
        if output is not None:
            difference = shown_and_got(output, got)
            check(difference is None, difference)


def add_document(path):
    """Every block marked `sh` is run; the unmarked block right behind it is what it has to print."""
    text = path.read_text(encoding="utf-8")
    fences = list(FENCE.finditer(text))
    for number, fence in enumerate(fences):
        if fence.group(1) != "sh":
            continue
        behind = fences[number + 1] if number + 1 < len(fences) else None
        output = behind.group(2) if behind and behind.group(1) == "text" and not text[fence.end():behind.start()].strip() else None
        add_block(path.name, number, fence.group(2), output)


def options_of(text):
    return {o for o in OPTION.findall(text)}


def add_manual(path):
    name = path.name.removesuffix(".1.scd")

    @case(f"{path.name}: the options of {name} --help, and the sections a man page has")
    def _():
        page = path.read_text(encoding="utf-8")
        heads = "\n".join(line for line in page.splitlines() if re.match(r"^\*-", line))
        in_page = options_of(heads)
        in_help = {option for line in run(name, "--help").out.decode().splitlines() if re.match(r"^ +-", line)
                   for option in options_of(re.split(r"\s{2,}", line.strip())[0])}
        equal(sorted(in_page), sorted(in_help), "options of the man page (got) and of --help (want)")
        for section in ("SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "EXAMPLES", "SEE ALSO"):
            check(f"# {section}\n" in page, f"no section {section}")

    @case(f"{path.name}: its examples are commands that parse")
    def _():
        page = path.read_text(encoding="utf-8").split("# EXAMPLES\n", 1)[-1]
        examples = re.findall(rf"^[\t ]*({name} .*)$", page, re.MULTILINE)
        check(examples, "no example")
        for example in examples:
            done = subprocess.run(["bash", "-n", "-c", example], capture_output=True, check=False)
            equal((done.returncode, done.stderr), (0, b""), example)


add_document(ROOT / "README.md")
add_document(ROOT / "docs" / "json.md")
for each in sorted((ROOT / "docs").glob("*.1.scd")):
    if harness.pathlib.Path(program(each.name.removesuffix(".1.scd"))).exists():
        add_manual(each)

@case("docs/rules.md is what the tables and the sources say (make docs-tables writes it)")
def _():
    printed = run("tests/decoder/test_docs_rules", "--print", cwd=ROOT)
    equal(printed.status, 0, "status")
    first = next((f"line {n}: {a} | {b}" for n, (a, b) in enumerate(zip(printed.out.decode().splitlines(),
                  (ROOT / "docs/rules.md").read_text(encoding="utf-8").splitlines()), 1) if a != b), None)
    check(printed.out.decode() == (ROOT / "docs/rules.md").read_text(encoding="utf-8"), f"out of date: {first}")


harness.main()
