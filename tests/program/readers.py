#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One capture, one result, whichever way it comes: as a file, through a pipe in small pieces, compressed; and libpcap finds the frames
that our own reader finds. Files have no second reader in mqdump: libpcap serves devices alone."""
import gzip
import json
import pathlib
import re
import subprocess
import tempfile

import harness
from harness import case, check, equal, program, run

MODES = (["-T", "json"], ["-V"], ["-q", "-z", "stats", "-T", "json"])
CAPTURES = sorted(path for path in harness.CAPTURES.iterdir() if re.search(r"\.(pcap|pcapng)(\.gz)?$", path.name))
tmp = tempfile.TemporaryDirectory(prefix="mqshark-readers-")
scratch = pathlib.Path(tmp.name, "capture")


def octets_of(path):
    octets = path.read_bytes()
    return gzip.decompress(octets) if octets[:2] == b"\x1f\x8b" else octets


def from_file(octets):
    """(status, rows) in each mode."""
    scratch.write_bytes(octets)
    return [(r.status, r.out) for r in (run("mqdump", "-r", scratch, *mode) for mode in MODES)]


def from_pipe(octets, piece):
    results = []
    for mode in MODES:
        with tempfile.TemporaryFile() as out:
            child = subprocess.Popen([program("mqdump"), "-r", "-", *mode], stdin=subprocess.PIPE, stdout=out, stderr=subprocess.DEVNULL)
            for at in range(0, len(octets), piece):
                child.stdin.write(octets[at:at + piece])
                child.stdin.flush()
            child.stdin.close()
            status = child.wait()
            out.seek(0)
            results.append((status, out.read()))
    return results


def odd_piece(octets):
    return max(101, len(octets) // 40) | 1


def same(got, want, what):
    for mode, one, other in zip(MODES, got, want):
        check(one == other, f"{what}, {' '.join(mode)}: status {one[0]}, {len(one[1])} octets, and as a plain file {other[0]}, {len(other[1])}")


@case("through a pipe, in pieces of odd sizes")
def _():
    for path in CAPTURES:
        octets = octets_of(path)
        same(from_pipe(octets, odd_piece(octets)), from_file(octets), path.name)


@case("compressed: a file, and a pipe in pieces")
def _():
    for path in CAPTURES:
        octets = octets_of(path)
        packed, want = gzip.compress(octets, 1), from_file(octets)
        same(from_file(packed), want, f"{path.name}, compressed")
        same(from_pipe(packed, odd_piece(packed)), want, f"{path.name}, compressed, through a pipe")


@case("libpcap finds the same frames")
def _():
    compared = 0
    for path in CAPTURES:
        scratch.write_bytes(octets_of(path))
        ours = run("mqdump", "-r", scratch, "-q", "-z", "stats", "-T", "json")
        theirs = subprocess.run([program("noop"), scratch], stdin=subprocess.DEVNULL, capture_output=True, check=False, text=True)
        if ours.status != 0 or theirs.returncode != 0:
            continue  # a file cut short, of which each gives what it has; interfaces of several kinds, which libpcap refuses
        figures = {row["figure"]: row["value"] for row in map(json.loads, ours.out.splitlines())}
        equal(figures["frames"], int(theirs.stdout.split()[0]), path.name)
        compared += 1
    check(compared > len(CAPTURES) * 3 // 4, f"only {compared} of {len(CAPTURES)} captures compared")


harness.main()
