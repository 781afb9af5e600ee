#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mqdump as its users meet it: odd files, pipes, signals, full disks, wrong options; each with its message and exit status."""
import gzip
import os
import pathlib
import signal
import stat
import subprocess
import tempfile

import harness
from harness import CAPTURES, Stream, case, check, equal, program, run

BASIC = CAPTURES / "mqtt311_basics.pcap"
USAGE, INPUT = 1, 2  # exit status
scratch = tempfile.TemporaryDirectory(prefix="mqshark-cli-")  # gone when the program ends
tmp = pathlib.Path(scratch.name)


def rows(result):
    return [line for line in result.out.splitlines() if line]


def check_error(result, status, *words):
    """One plain message on stderr that names the program and holds these words; nothing about it on stdout."""
    equal(result.status, status, f"exit status of {result}")
    check(result.err.startswith(b"mqdump: "), f"stderr does not begin with the program's name: {result}")
    check(len(result.err.splitlines()) <= 4, f"more than four lines: {result}")
    for word in words:
        check(word.encode() in result.err, f"stderr does not say {word!r}: {result}")


everything = run("mqdump", "-r", BASIC).out


@case("a file: its rows on stdout, nothing on stderr, status 0")
def _():
    result = run("mqdump", "-r", BASIC)
    equal((result.status, result.err), (0, b""), "status and stderr")
    equal(len(rows(result)), 40, "rows")


@case("a bare argument that is a file is read")
def _():
    result = run("mqdump", BASIC)
    equal((result.status, result.out), (0, everything), "status and rows")


@case("standard input: a file")
def _():
    with open(BASIC, "rb") as file:
        result = run("mqdump", "-r", "-", stdin=file)
    equal((result.status, result.out), (0, everything), "status and rows")


@case("standard input: a pipe")
def _():
    result = run("mqdump", "-r", "-", feed=BASIC.read_bytes())
    equal((result.status, result.out), (0, everything), "status and rows")


@case("gz, from a file and from a pipe")
def _():
    packed = gzip.compress(BASIC.read_bytes())
    (tmp / "basic.pcap.gz").write_bytes(packed)
    for result in (run("mqdump", "-r", tmp / "basic.pcap.gz"), run("mqdump", "-r", "-", feed=packed)):
        equal((result.status, result.out), (0, everything), "status and rows")


@case("a cut gz: the rows before the cut, a message, status 2")
def _():
    packed = gzip.compress(BASIC.read_bytes())
    (tmp / "cut.pcap.gz").write_bytes(packed[:len(packed) // 2])
    result = run("mqdump", "-r", tmp / "cut.pcap.gz")
    check_error(result, INPUT, "cut.pcap.gz")
    check(everything.startswith(result.out) and len(rows(result)) > 3, f"rows before the cut: {result}")


@case("a cut file: the rows before the cut, a message, status 2")
def _():
    result = run("mqdump", "-r", CAPTURES / "der_cut_file.pcap")
    check_error(result, INPUT, "der_cut_file.pcap")
    equal(len(rows(result)), 25, "rows (tshark reads 25 packets)")


@case("cut at every octet of the last record: never a crash, never a silent end")
def _():
    whole = BASIC.read_bytes()
    for keep in range(len(whole) - 90, len(whole)):
        result = run("mqdump", "-r", "-", feed=whole[:keep])
        check(result.status in (0, INPUT), f"{keep} octets: {result}")
        check(result.status == INPUT or everything.startswith(result.out), f"{keep} octets: {result}")
        check(rows(result), f"{keep} octets: {result}")


@case("an empty file")
def _():
    (tmp / "empty").write_bytes(b"")
    check_error(run("mqdump", "-r", tmp / "empty"), INPUT, "empty")
    check_error(run("mqdump", "-r", "-", feed=b""), INPUT)


@case("a capture without frames: no rows, status 0")
def _():
    result = run("mqdump", "-r", "-", feed=BASIC.read_bytes()[:24])
    equal((result.status, result.out, result.err), (0, b"", b""), "status, stdout, stderr")


@case("a file of another kind")
def _():
    (tmp / "foreign").write_bytes(b"#!/bin/sh\necho this is no capture\n" * 20)
    check_error(run("mqdump", "-r", tmp / "foreign"), INPUT, "foreign")


@case("a file that is compressed otherwise than gz: the message names the program that unpacks it")
def _():
    for magic, name in ((b"\x28\xb5\x2f\xfd", "zstd"), (b"\xfd7zXZ\0", "xz"), (b"\x04\x22\x4d\x18", "lz4"), (b"BZh9", "bzip2")):
        (tmp / "packed").write_bytes(magic + bytes(40))
        for result in (run("mqdump", "-r", tmp / "packed"), run("mqdump", "-r", "-", feed=magic + bytes(40))):
            check_error(result, INPUT, f"{name} -dc")


@case("a directory, a missing file")
def _():
    check_error(run("mqdump", "-r", tmp), INPUT, tmp.name)
    check_error(run("mqdump", "-r", tmp / "missing.pcap"), INPUT, "missing.pcap", "No such file")


@case("an unreadable file")
def _():
    hidden = tmp / "unreadable.pcap"
    hidden.write_bytes(BASIC.read_bytes())
    hidden.chmod(0)
    tmp.chmod(0o755)
    as_user = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    where = pathlib.Path(program("mqdump"))
    if as_user and not all(p.stat().st_mode & stat.S_IXOTH for p in (where, *where.parents)):
        where = tmp / "mqdump"
        where.write_bytes(pathlib.Path(program("mqdump")).read_bytes())
        where.chmod(0o755)
    done = subprocess.run([where, "-r", hidden], stdin=subprocess.DEVNULL, capture_output=True, check=False, cwd="/", timeout=60, **as_user)
    check_error(harness.Result(done.returncode, done.stdout, done.stderr), INPUT, "unreadable.pcap", "Permission denied")


@case("a live capture without permission: the message names the remedy")
def _():
    as_user = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    where = tmp / "mqdump-copy" # a copy has no file capabilities
    where.write_bytes(pathlib.Path(program("mqdump")).read_bytes())
    where.chmod(0o755)
    tmp.chmod(0o755)
    done = subprocess.run([where, "-i", "lo"], stdin=subprocess.DEVNULL, capture_output=True, check=False, cwd="/", timeout=60, **as_user)
    check_error(harness.Result(done.returncode, done.stdout, done.stderr), INPUT, "lo", "setcap")


@case("an interface that is not there")
def _():
    check_error(run("mqdump", "-i", "nosuch0"), INPUT, "nosuch0")


@case("unknown option, missing argument, wrong value: one line, a hint, status 1")
def _():
    for argv in (["--no-such-option"], ["-r"], ["-T", "nonsense", "-r", BASIC], ["-c", "many", "-r", BASIC], ["-t", "xyz", "-r", BASIC],
                 ["-r", BASIC, "-d", "tcp.port==99999,mqtt"], ["-r", BASIC, "-d", "udp.port==1883,mqtt"], ["-r", BASIC, "-o", "nonsense"],
                 ["-r", BASIC, "--fail-on", "everything"], ["-r", BASIC, "-i", "lo"], ["-s", "-1", "-r", BASIC]):
        result = run("mqdump", *argv)
        check_error(result, USAGE)
        equal(result.out, b"", f"stdout of {argv}")


@case("a capture filter that does not compile")
def _():
    check_error(run("mqdump", "-r", BASIC, "-f", "tcp prot 1883"), USAGE, "tcp prot 1883")


@case("-T fields with a field that does not exist names a near one")
def _():
    check_error(run("mqdump", "-r", BASIC, "-T", "fields", "-e", "mqtt.topicc"), USAGE, "mqtt.topicc", "mqtt.topic")


@case("--help and --version: stdout, status 0")
def _():
    for option in ("--help", "-h", "--version"):
        result = run("mqdump", option)
        equal((result.status, result.err), (0, b""), f"status and stderr of {option}")
        check(result.out.startswith(b"mqdump") or b"Usage: mqdump" in result.out, f"{option}: {result}")


@case("no source at all is not silence")
def _():
    if os.geteuid() != 0:
        check_error(run("mqdump", "-i", ""), INPUT)
    check_error(run("mqdump", "-r", ""), INPUT)


@case("-c ends after so many packets")
def _():
    result = run("mqdump", "-r", BASIC, "-c", "3")
    equal((result.status, result.out.splitlines()), (0, everything.splitlines()[:3]), "status and rows")


@case("a reader that goes away (SIGPIPE) is no error message")
def _():
    command = f"'{program('mqdump')}' -l -r '{CAPTURES}/mqtt5_everything_mosquitto.pcap' -V | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60)
    equal(done.stderr, b"", "stderr")
    check(done.stdout.splitlines()[-1] in (b"0", b"141"), f"status {done.stdout.splitlines()[-1]!r}")


@case("a closed stdout is reported")
def _():
    done = subprocess.run(["bash", "-c", f"'{program('mqdump')}' -r '{BASIC}' >&-"], stdin=subprocess.DEVNULL, capture_output=True,
                          check=False, timeout=60)
    check_error(harness.Result(done.returncode, b"", done.stderr), INPUT)


@case("a full disk is reported")
def _():
    for options in ([], ["-l"], ["-T", "json"], ["-V"], ["-q", "-z", "sessions"]):
        with open("/dev/full", "wb") as full:
            result = run("mqdump", "-r", BASIC, *options, stdout=full)
        check_error(result, INPUT, "No space left")


@case("a full disk below -w is reported")
def _():
    check_error(run("mqdump", "-r", BASIC, "-w", "/dev/full"), INPUT, "/dev/full")


@case("SIGINT and SIGTERM end a read from a pipe with its rows and status 0")
def _():
    for number in (signal.SIGINT, signal.SIGTERM):
        reader, writer = os.pipe()
        child = subprocess.Popen([program("mqdump"), "-l", "-r", "-"], stdin=reader, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 bufsize=0)  # communicate() does not see what a buffer holds
        os.close(reader)
        os.write(writer, BASIC.read_bytes())
        first = child.stdout.readline()
        child.send_signal(number)
        try:
            out, err = child.communicate(timeout=harness.DEADLINE_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            raise harness.Failure(f"{number.name} does not end it") from None
        finally:
            os.close(writer)
        equal(child.returncode, 0, f"status after {number.name}: {err!r}")
        check(everything.startswith(first + out), "rows")


@case("nothing from the wire reaches the output raw")
def _():
    from packets import all_captures
    for capture in all_captures():
        for options in ([], ["-V"], ["-x"]):
            out = run("mqdump", "-r", capture, *options).out
            bad = [c for c in out if (c < 32 and c != 10) or c == 127]
            check(not bad, f"{capture.name} {options}: control octets {sorted(set(bad))}")
            out.decode("utf-8")  # raises


@case("colour only on a terminal, never with NO_COLOR")
def _():
    def on_terminal(**env):
        master, slave = os.openpty()
        result = run("mqdump", "-r", CAPTURES / "mqtt311_protocol_errors.pcap", "-c", "10", stdout=slave, env=dict(TERM="xterm", **env))
        os.close(slave)
        out = b""
        try:
            while chunk := os.read(master, 65536):
                out += chunk
        except OSError:  # the last writer is gone
            pass
        os.close(master)
        equal(result.status, 0, "status")
        return out

    check(b"\x1b[" in on_terminal(), "no colour on a terminal")
    check(b"\x1b[" not in on_terminal(NO_COLOR="1"), "colour in spite of NO_COLOR")
    check(b"\x1b[" not in run("mqdump", "-r", CAPTURES / "mqtt311_protocol_errors.pcap", env={"TERM": "xterm"}).out, "colour in a file")


try:
    harness.main()
finally:
    subprocess.run(["rm", "-rf", str(tmp)], check=False)
