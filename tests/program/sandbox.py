#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What mqdump may still do while it looks at a stranger's octets, and what it leaves behind when the ground goes.

Runs in a network namespace of its own, as live.py does.
"""
import os
import pathlib
import re
import resource
import signal
import socket
import struct
import subprocess
import tempfile

from harness import CAPTURES, Stream, case, check, equal, free_port, main, private_network, program, run


def status_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as text:
        return dict(line.rstrip("\n").split(":\t", 1) for line in text if ":\t" in line)


def send_capture(file, interface):
    """Every frame of a pcap file (Ethernet, this machine's byte order) out of an interface; returns how many."""
    octets, at, n = file.read_bytes(), 24, 0
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind((interface, 0))
        while at < len(octets):
            kept = struct.unpack_from("=I", octets, at + 8)[0]
            wire.send(octets[at + 16:at + 16 + kept])
            at += 16 + kept
            n += 1
    return n


def publish(port):
    subprocess.run(["mosquitto_pub", "-h", "127.0.0.1", "-p", str(port), "-t", "a/b", "-m", "m", "-q", "1"], check=True, timeout=30)


def frames(file):
    done = subprocess.run(["tshark", "-n", "-r", file, "-T", "fields", "-e", "tcp.stream"], capture_output=True, check=False, timeout=60)
    return done.stdout.decode().split(), done.stderr.decode()


@case("while it parses it is nobody, without capabilities and behind a filter of system calls")
def _():
    port = free_port()
    with Stream(["mosquitto", "-v", "-p", port]) as broker:
        broker.line("running", err=True)
        with Stream([program("mqdump"), "-i", "lo", "-l", "-f", f"tcp port {port}"]) as dump:
            dump.line("listening on", err=True)
            publish(port)
            dump.line("PUBLISH")
            status = status_of(dump.child.pid)
            for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
                equal(int(status[kind], 16), 0, kind)
            equal(status["NoNewPrivs"], "1", "NoNewPrivs")
            if "asan" not in str(program("mqdump")):  # the leak check of a sanitizer could not trace its own process
                equal(status["Seccomp"], "2", "Seccomp")
            if is_full_root():
                check("0" not in status["Uid"].split(), f"still root: {status['Uid']}")
                check("0" not in status["Gid"].split() + status["Groups"].split(), f"still in root's groups: {status['Gid']}")
            for thread in os.listdir(f"/proc/{dump.child.pid}/task"):  # the one that captures as well
                equal(int(status_of(f"{dump.child.pid}/task/{thread}")["CapEff"], 16), 0, f"CapEff of thread {thread}")
            dump.child.send_signal(signal.SIGINT)
            equal(dump.finish().status, 0, "status after SIGINT")


@case("-Z with a user that does not exist is an error before anything is captured")
def _():
    result = run("mqdump", "-i", "lo", "-Z", "no-such-user")
    equal(result.status, 2, f"status: {result}")
    check(b"no-such-user" in result.err, f"no word of the user: {result}")


def is_full_root():
    """May this process become another user?"""
    return os.geteuid() == 0 and b"4294967295" in open("/proc/self/uid_map", "rb").read()


@case("-Z with a user that does not exist leaves the file to record to as it was")
def _():
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "old.pcapng")
        file.write_bytes(b"precious")
        equal(run("mqdump", "-i", "lo", "-Z", "no-such-user", "-w", file).status, 2, "status")
        equal(file.read_bytes(), b"precious", "the file")


@case("a ring in a folder that is closed to the user without rights: an error that says who, and no file; in an open one: their files")
def _():
    if not is_full_root():
        return
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        result = run("mqdump", "-i", "lo", "-w", f"{folder}/r.pcapng", "-b", "packets:10")
        equal((result.status, os.listdir(folder)), (2, []), f"status and files: {result}")
        check(b"r_00001_" in result.err and b"Permission denied" in result.err and b"-Z" in result.err, f"message: {result}")
        os.chmod(folder, 0o777)
        with Stream([program("mqdump"), "-i", "lo", "-w", f"{folder}/r.pcapng", "-b", "packets:10"]) as dump:
            dump.line("listening on", err=True)
            owners = [os.stat(f"{folder}/{name}").st_uid for name in os.listdir(folder)]
            check(owners and 0 not in owners, f"owners of the files: {owners}")
            dump.child.send_signal(signal.SIGINT)
            equal(dump.finish().status, 0, "status after SIGINT")


@case("SIGHUP when the output cannot be opened without rights: a word of it, and the rows go on to the old file")
def _():
    if not is_full_root():
        return
    port = free_port()
    with tempfile.TemporaryDirectory() as folder, Stream(["mosquitto", "-v", "-p", port]) as broker:
        os.chmod(folder, 0o755)
        broker.line("running", err=True)
        with Stream([program("mqdump"), "-i", "lo", "-l", "-f", f"tcp port {port}", "--output", f"{folder}/rows"]) as dump:
            dump.line("listening on", err=True)
            os.rename(f"{folder}/rows", f"{folder}/rows.1")
            dump.child.send_signal(signal.SIGHUP)
            dump.line("rows: Permission denied; rows go on to where they went (root's rights", err=True)
            publish(port)
            dump.child.send_signal(signal.SIGINT)
            equal(dump.finish().status, 0, "status after SIGINT")
        check("PUBLISH" in pathlib.Path(folder, "rows.1").read_text(encoding="utf-8"), "the rows behind SIGHUP")
        equal(os.listdir(folder), ["rows.1"], "files")


@case("rows that nobody takes off cost no frames, though the kernel holds but a fraction of them")
def _():
    subprocess.run(["ip", "link", "add", "full0", "type", "veth", "peer", "name", "full1"], check=True, timeout=30)
    for name in ("full0", "full1"):
        subprocess.run(["ip", "link", "set", name, "up"], check=True, timeout=30)
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "many.pcap")
        subprocess.run([program("generate"), "--preset", "telemetry", "--scale", "0.02", "-o", file, "--truth", os.devnull], check=True,
                       timeout=60)
        for _ in range(3):  # frames are lost, and counted, where mqdump gets no processor for long
            with Stream([program("mqdump"), "-i", "full0", "-l", "-B", "4", "-f", "tcp"]) as dump:
                dump.line("listening on", err=True)
                sent = send_capture(file, "full1")
                dump.child.send_signal(signal.SIGINT)
                result = dump.finish()
            captured, received, dropped = (int(n) for n in re.findall(rb"(\d+) packets (?:captured|received|dropped)", result.err))
            equal((received, captured + dropped), (sent, sent), "packets received by filter, captured or dropped")
            if dropped == 0:
                break
    subprocess.run(["ip", "link", "del", "full0"], check=True, timeout=30)
    check(sent > 40_000 and len(result.out) > 1_000_000, f"{sent} frames, {len(result.out)} octets of rows")
    equal(dropped, 0, f"packets dropped by the kernel: {result.err}")


@case("an interface that goes away ends the run with status 2, and the rows before it stay")
def _():
    subprocess.run(["ip", "link", "add", "gone0", "type", "veth", "peer", "name", "gone1"], check=True, timeout=30)
    for name in ("gone0", "gone1"):
        subprocess.run(["ip", "link", "set", name, "up"], check=True, timeout=30)
    with Stream([program("mqdump"), "-i", "gone0", "-l"]) as dump:
        dump.line("listening on", err=True)
        source = CAPTURES / "mqtt311_qos2_killed.pcap"
        rows = len(run("mqdump", "-r", source).out.splitlines())
        sent = send_capture(source, "gone1")
        for _ in range(rows):
            dump.line("127.0.0.1:1883")
        subprocess.run(["ip", "link", "del", "gone0"], check=True, timeout=30)
        result = dump.finish()
        equal(result.status, 2, f"status: {result}")
        check(rows > 50 and sent > rows, f"{rows} rows of {sent} frames")
        check(f"{rows} MQTT packets on ".encode() in result.err, f"counts: {result}")
        check(b"gone0" in result.err, f"no word of the interface: {result}")


@case("a live recording holds every frame, and is readable after SIGINT")
def _():
    port = free_port()
    with tempfile.TemporaryDirectory() as folder, Stream(["mosquitto", "-v", "-p", port]) as broker:
        broker.line("running", err=True)
        file = f"{folder}/live.pcapng"
        with Stream([program("mqdump"), "-i", "lo", "-l", "-f", f"tcp port {port}", "-w", file]) as dump:
            dump.line("listening on", err=True)
            publish(port)
            dump.line("DISCONNECT")
            dump.child.send_signal(signal.SIGINT)
            result = dump.finish()
        equal(result.status, 0, f"status: {result}")
        streams, errors = frames(file)
        captured = int(result.err.split(b" packets captured")[0].split()[-1])
        equal(len(streams), captured, f"frames in the file ({errors})")


@case("a disk that is full: status 2, a word of it, and a file that can be read")
def _():
    limit = 20_000

    def small_disk():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/full.pcapng"
        done = subprocess.run([program("mqdump"), "-q", "-r", CAPTURES / "mqtt5_protocol_errors.pcap", "-w", file],
                              preexec_fn=small_disk, capture_output=True, timeout=60, check=False)
        equal(done.returncode, 2, f"status: {done.stderr!r}")
        check(b"full.pcapng: File too large" in done.stderr, f"message: {done.stderr!r}")
        streams, errors = frames(file)
        check(len(streams) > 50 and "cut short" not in errors, f"{len(streams)} frames, {errors}")
        check(limit - 2000 < os.path.getsize(file) <= limit, f"size {os.path.getsize(file)}")


@case("-w with -Y records whole connections, handshakes included, and no others")
def _():
    with tempfile.TemporaryDirectory() as folder:
        file, source = f"{folder}/some.pcapng", CAPTURES / "mqtt5_protocol_errors.pcap"
        shown = run("mqdump", "-r", source, "-Y", "mqtt.clientid contains \"7\"", "-T", "fields", "-e", "tcp.stream", "-w", file)
        equal(shown.status, 0, f"status: {shown}")
        wanted = set(shown.out.decode().split())
        check(2 <= len(wanted) <= 10, f"streams that match: {wanted}")
        everything, _ = frames(source)
        kept, errors = frames(file)
        equal(len(kept), sum(stream in wanted for stream in everything), f"frames ({errors})")
        equal(len(set(kept)), len(wanted), "connections")


@case("-b makes a ring of files, -a ends after some; together they hold the newest frames")
def _():
    with tempfile.TemporaryDirectory() as folder:
        source = CAPTURES / "mqtt5_protocol_errors.pcap"
        everything, _ = frames(source)
        result = run("mqdump", "-q", "-r", source, "-w", f"{folder}/r.pcapng", "-b", "packets:100", "-b", "files:2")
        equal(result.status, 0, f"status: {result}")
        files = sorted(os.listdir(folder))
        equal(len(files), 2, f"files: {files}")
        counts = [len(frames(f"{folder}/{name}")[0]) for name in files]
        equal(counts, [100, len(everything) % 100], "frames in each")
        check(files[0].startswith("r_000") and files[0].endswith(".pcapng"), f"names: {files}")
    with tempfile.TemporaryDirectory() as folder:
        result = run("mqdump", "-q", "-r", source, "-w", f"{folder}/r.pcapng", "-b", "packets:50", "-a", "files:3")
        equal(result.status, 0, f"status: {result}")
        counts = [len(frames(f"{folder}/{name}")[0]) for name in sorted(os.listdir(folder))]
        equal(counts, [50, 50, 50], "frames in each")


private_network()
main()
