#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mqdump --threads 2 gives what one thread gives, octet by octet: rows, events, totals, messages and status, of every capture here and
of generated ones with all that streams may suffer; and it ends as one thread does when it is stopped."""
import gzip
import os
import pathlib
import re
import resource
import select
import signal
import subprocess
import tempfile

import harness
from harness import case, check, equal, program, run

MODES = (["-T", "json"], ["-V", "-x"], ["-T", "eve"], ["-q", "-z", "stats", "-z", "topics", "-z", "clients", "-T", "json"])
SUMMARY = ["-q", "-z", "stats", "-T", "json"]
NO_THREAD = 1 << 40  # octets of stack, which nobody has
tmp = tempfile.TemporaryDirectory(prefix="mqshark-threads-")
scratch = pathlib.Path(tmp.name, "capture")


def generate(*options):
    subprocess.run([program("generate"), *map(str, options), "-o", scratch, "--truth", os.devnull], check=True, timeout=120)
    return scratch


def same(capture, *options, modes=MODES, **how):
    for mode in modes:
        one, two = (run("mqdump", "-r", capture, *mode, *options, "--threads", n, **how) for n in (1, 2))
        check((one.status, one.out, one.err) == (two.status, two.out, two.err),
              f"{capture} {' '.join(map(str, [*mode, *options]))}:\n one thread  {one}\n two threads {two}")


def start(capture, *options, stack=None):
    """A run that waits for somebody to read its rows."""
    limit = (lambda: resource.setrlimit(resource.RLIMIT_STACK, (stack, stack))) if stack else None
    return subprocess.Popen([program("mqdump"), "-r", capture, "-T", "json", *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, preexec_fn=limit)


def begun(child):
    """Waits for the first rows."""
    check(select.select([child.stdout], [], [], harness.DEADLINE_S)[0], "no rows")


def threads(child):
    """Of a run that waits for a reader; those of a sanitizer too."""
    begun(child)
    return len(os.listdir(f"/proc/{child.pid}/task"))


@case("every capture: rows, events, totals, messages and status")
def _():
    captures = [path for path in (harness.ROOT / "tests").rglob("*") if re.search(r"\.(pcap|pcapng)(\.gz)?$", path.name)]
    check(len(captures) > 50, f"{len(captures)} captures")
    for path in sorted(captures):
        same(path)


GENERATED = [("small",), ("telemetry", "--messages", 3000, "--loss", 2, "--reorder", 5, "--split", 30),
             ("telemetry", "--messages", 3000, "--midstream", 30, "--ipv6", 50, "--v5", 50, "--alias", 30),
             ("fleet", "--scale", "0.01", "--reuse", 20), ("dense", "--scale", "0.003", "--hdrcut"), ("fat", "--scale", "0.02", "--loss", 1),
             ("hostile", "--scale", "0.02", "--loss", 3, "--hdrcut", "--resend", 10, "--overlap", 10)]
for options in GENERATED:

    @case(f"generated: {' '.join(map(str, options))}")
    def _(options=options):
        same(generate("--preset", *options))


@case("budgets are reached at the same places")
def _():
    capture = generate("--preset", "fleet", "--scale", "0.01", "--loss", 2, "--reorder", 5)
    same(capture, "--max-memory", "8M")
    same(capture, "--budget", "connections:50", "--budget", "tracker:100000")
    same(generate("--preset", "fat", "--scale", "0.02"), "--budget", "packet:2000", "--budget", "packets:100000", "--budget", "order:100000")


@case("options that look at rows: filter, redaction, an end after so many")
def _():
    capture = generate("--preset", "telemetry", "--messages", 3000)
    same(capture, "-Y", "mqtt.msgtype == 3 && mqtt.qos > 0")
    same(capture, "-c", 100)
    same(capture, "-a", "packets:1000")
    same(capture, "-f", "tcp port 1883 and greater 100")
    same(capture, "--fail-on", "note")
    for n in (1, 2):
        equal(run("mqdump", "-r", capture, *SUMMARY, "-w", f"{scratch}-{n}", "--threads", n).status, 0, "status of a recording")
    equal(pathlib.Path(f"{scratch}-1").read_bytes(), pathlib.Path(f"{scratch}-2").read_bytes(), "what was recorded")


@case("a file that is compressed, cut short, damaged, or comes as standard input")
def _():
    octets = generate("--preset", "telemetry", "--messages", 3000).read_bytes()
    for name, content in (("compressed", gzip.compress(octets, 1)), ("compressed and cut", gzip.compress(octets, 1)[:-5000]),
                          ("cut in a header", octets[:200007]), ("cut in a packet", octets[:300040]), ("no packet", octets[:24]),
                          ("damaged", octets[:400000] + b"\xff" * 64 + octets[400064:])):
        pathlib.Path(f"{scratch}-{name}").write_bytes(content)
        same(f"{scratch}-{name}", modes=MODES[::3])
    for n in (1, 2):
        with open(scratch, "rb") as file:
            got = [run("mqdump", "-r", "-", *SUMMARY, "--threads", n, stdin=file), run("mqdump", "-r", "-", *SUMMARY, "--threads", n, feed=octets)]
        equal([r.out for r in got], [run("mqdump", "-r", scratch, *SUMMARY).out] * 2, f"standard input with {n}: file, pipe")


@case("there are two threads, and one where no second is to be had")
def _():
    capture = generate("--preset", "telemetry", "--messages", 20000)
    found = {}
    for name, options, stack in (("one", ["--threads", "1"], None), ("two", ["--threads", "2"], None), ("none", ["--threads", "2"], NO_THREAD)):
        child = start(capture, *options, stack=stack)
        count = threads(child)
        out, err = child.communicate(timeout=120)
        equal((child.returncode, err), (0, b""), f"{name}: status and messages")
        found[name] = (count, len(out), hash(out))
    equal([found[n][1:] for n in ("two", "none")], [found["one"][1:]] * 2, "what they say")
    counts = [found[n][0] for n in ("one", "none", "two")]
    check(counts[1] < counts[2] > counts[0], f"threads with one, with no second to be had, and with two: {counts}")


@case("SIGINT in the middle: what is under way comes out, and no more")
def _():
    capture = generate("--preset", "telemetry", "--messages", 50000)
    whole = run("mqdump", "-r", capture, "-T", "json").out
    child = start(capture, "--threads", "2")
    begun(child)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=120)
    equal((child.returncode, err), (0, b""), "status and messages")
    check(whole.startswith(out) and out.endswith(b"\n"), f"{len(out)} octets, which are not the first of all {len(whole)}")
    check(len(out) < len(whole) // 2, f"{len(out)} octets of {len(whole)} after the signal")


@case("a reader that goes away ends it")
def _():
    for n in ("1", "2"):
        child = start(generate("--preset", "telemetry", "--messages", 50000), "--threads", n)
        begun(child)
        child.stdout.close()
        equal((child.wait(timeout=120), child.stderr.read()), (0, b""), f"status and messages with {n}")


if not re.search("asan|tsan", program("mqdump")):  # these want far more memory than they use

    @case("memory that runs out is said, with one thread and with two")
    def _():
        generate("--preset", "fleet", "--scale", "0.1")
        for n in ("1", "2"):
            for octets, said in ((24 << 20, (b"no memory to follow a session",)), (19 << 20, (b"no memory to follow a session", b"TCP segments are not in this"))):
                limit = lambda octets=octets: resource.setrlimit(resource.RLIMIT_DATA, (octets, octets))
                r = subprocess.run([program("mqdump"), "-r", scratch, *SUMMARY, "--threads", n], capture_output=True, preexec_fn=limit, timeout=60)
                equal((r.returncode, [text for text in said if text not in r.stderr]), (0, []), f"{n}, {octets} octets: {r.stderr[-300:]}")


@case("a number that is neither 1 nor 2 is refused")
def _():
    for n in ("0", "3", "two", ""):
        r = run("mqdump", "-r", harness.CAPTURES / "mqtt311_basics.pcap", "--threads", n)
        equal(r.status, 1, f"status of {n!r}")
        check(b"--threads" in r.err, f"{r}")


harness.main()
