#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What signals do to mqdump besides ending it: counts on SIGUSR1, an end at once on the second SIGINT."""
import fcntl
import os
import signal
import struct
import subprocess
import termios
import time

import harness
from harness import CAPTURES, case, check, equal, program

BASIC = CAPTURES / "mqtt311_basics.pcap"
LONG = CAPTURES / "mqtt5_everything_mosquitto.pcap"


def until(condition, what):
    end = time.monotonic() + harness.DEADLINE_S
    while not condition():
        check(time.monotonic() < end, f"{what}: not within {harness.DEADLINE_S} s")
        os.sched_yield()


def pending(pid, number):
    """Is the signal sent and not yet delivered?"""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        sets = [int(line.split()[1], 16) for line in status if line.startswith(("SigPnd", "ShdPnd"))]
    return any(s >> (number - 1) & 1 for s in sets)


def waits_with(pid, reader):
    """Does the process sleep while there is something to read for us?"""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        state = stat.read().rpartition(")")[2].split()[0]
    return state == "S" and struct.unpack("i", fcntl.ioctl(reader, termios.FIONREAD, b"\0" * 4))[0] > 0


@case("SIGUSR1 prints the counts so far and goes on")
def _():
    reader, writer = os.pipe()
    child = subprocess.Popen([program("mqdump"), "-l", "-r", "-"], stdin=reader, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    os.close(reader)
    try:
        os.write(writer, BASIC.read_bytes())
        rows = [child.stdout.readline() for _ in range(40)]
        child.send_signal(signal.SIGUSR1)
        counts = [child.stderr.readline().decode() for _ in range(4)]
        check("packets captured" in counts[0] and "received by filter" in counts[1] and "dropped by kernel" in counts[2], f"{counts}")
        check(counts[3].startswith("40 MQTT packets"), f"{counts}")
        check(child.poll() is None, "it ended")
        check(all(rows), "rows")
    finally:
        os.close(writer)
        out, err = child.communicate(timeout=harness.DEADLINE_S)
    equal((child.returncode, out), (0, b""), f"status and more rows: {err!r}")


@case("rows of a pipe that falls silent are shown without -l")
def _():
    reader, writer = os.pipe()
    child = subprocess.Popen([program("mqdump"), "-r", "-"], stdin=reader, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    os.close(reader)
    try:
        os.write(writer, BASIC.read_bytes()[:-10])  # the last frame is cut: it may still come
        rows = harness.Stream.__new__(harness.Stream)  # its deadline, without its process
        rows.argv, rows.child, fd = ["mqdump"], child, child.stdout.fileno()
        rows.pending, rows.seen = {fd: b""}, {fd: b""}
        rows.line("UNSUBACK")
    finally:
        os.close(writer)
        out, err = child.communicate(timeout=harness.DEADLINE_S)
    equal(child.returncode, 2, f"status of a cut capture: {err!r}")


@case("the second SIGINT ends it at once, though nobody reads its rows")
def _():
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    child = subprocess.Popen([program("mqdump"), "-V", "-l", "-r", str(LONG)], stdin=subprocess.DEVNULL, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    try:
        until(lambda: waits_with(child.pid, reader), "the pipe is full")
        child.send_signal(signal.SIGINT)
        until(lambda: not pending(child.pid, signal.SIGINT), "the first SIGINT is taken")
        check(child.poll() is None, "the first SIGINT ended it in the middle of a row")
        child.send_signal(signal.SIGINT)
        child.wait(harness.DEADLINE_S)
    finally:
        child.kill()
        child.communicate()
        os.close(reader)
    equal(child.returncode, 128 + signal.SIGINT, "status")


harness.main()
