#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mqfuzz run where things go wrong around it, with several jobs, and with seeds from elsewhere."""
import os
import pathlib
import re
import resource
import signal
import subprocess
import tempfile
import xml.etree.ElementTree as xml

from harness import CAPTURES, Stream, case, check, equal, free_port, main, program, run

BROKER = f"{program('mqbroker')} -q -p {{port}}"
FAULTY = f"{BROKER} --fault no-pubcomp"


def scratch():
    return tempfile.TemporaryDirectory(prefix="mqfuzz-")


def running(text):
    """Processes with this in their command line."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and text.encode() in (entry / "cmdline").read_bytes():
                found.append(entry.name)
        except OSError:
            pass
    return found


@case("several jobs: a broker each, every finding told once, one report")
def _():
    with scratch() as out:
        junit = os.path.join(out, "junit.xml")
        done = run("mqfuzz", "run", "--spawn", FAULTY, "--jobs", "3", "--seed", "1", "--runs", "400", "--time", "30s", "--out", out,
                   "--junit", junit)
        equal(done.status, 3, f"{done}")
        told = re.findall(r"^FINDING +(\S+ .*?):", done.out.decode(), re.M)
        check(told and len(told) == len(set(told)), f"told {told}")
        names = {p.stem for p in pathlib.Path(out).glob("*.plan")}
        equal(len(names), len(told), f"files {names}, told {told}")
        equal(int(xml.parse(junit).getroot().find("testsuite").get("failures")), len(told), "JUnit failures")
    well = run("mqfuzz", "run", "--spawn", BROKER, "--jobs", "3", "--seed", "1", "--runs", "50")
    equal(well.status, 0, f"{well}")
    check(well.out.startswith(b"150 plans"), f"{well}")


@case("the corpus on disk is AFL++'s layout, is read again, and takes what others bring")
def _():
    with scratch() as out:
        corpus = pathlib.Path(out, "corpus")
        argv = ["mqfuzz", "run", "--spawn", BROKER, "--seed", "1", "--version", "5", "--corpus", corpus]
        equal(run(*argv, "--runs", "120").status, 0, "first run")
        files = sorted((corpus / "mqfuzz" / "queue").iterdir())
        check(len(files) > 10 and all(re.match(r"id:\d{6},", f.name) for f in files), f"{files[:3]}")
        equal([int(f.name[3:9]) for f in files], list(range(len(files))), "numbers without a hole")
        check(all(f.read_bytes()[0] == 3 for f in files), "version 5.0 is the scene of the fuzz targets")
        known = pathlib.Path(out, "known")  # this broker does little right, and that is not the point
        known.write_text("".join(f"{rule}\n" for rule in ("MQTT-3.2.0-2", "MQTT-3.2.2-2", "MQTT-3.2.2-3", "MQTT-3.12.4-1")))
        # what was kept by another fuzzer, and a flat file, are carried out: a broker that ends when it hears the word proves it
        word = b"\x03" + b"\x01" + (34).to_bytes(2, "big") + bytes.fromhex("1014 0004 4d515454 05 02 003c 00 0007".replace(" ", "")) + b"magic42" \
            + bytes.fromhex("300a0003612f6200") + b"boom"
        for place in (corpus / "afl1" / "queue" / "id:000000,src:000001", corpus / "flat"):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(word)
            script = pathlib.Path(out, "picky.py")
            script.write_text("import os, select, socket, sys\n"
                              "s = socket.create_server(('127.0.0.1', int(sys.argv[1])), backlog=100)\n"
                              "open_, greeted = [s], set()\n"
                              "while True:\n"
                              "    for c in select.select(open_, [], [])[0]:\n"
                              "        if c is s:\n"
                              "            open_.append(s.accept()[0]); continue\n"
                              "        try:\n"
                              "            octets = c.recv(65536)\n"
                              "        except OSError:\n"
                              "            octets = b''\n"
                              "        if b'magic42' in octets:\n"
                              "            os._exit(7)\n"
                              "        answer = b''\n"
                              "        if octets[:1] == b'\\x10' and c not in greeted:\n"
                              "            greeted.add(c)\n"
                              "            answer = b'\\x20\\x03\\x00\\x00\\x00' if octets[8:9] == b'\\x05' else b'\\x20\\x02\\x00\\x00'\n"
                              "        elif octets[:1] == b'\\xc0' and c in greeted:\n"
                              "            answer = b'\\xd0\\x00'\n"
                              "        if answer:\n"
                              "            try:\n"
                              "                c.sendall(answer)\n"
                              "            except OSError:\n"
                              "                pass\n"
                              "        else:\n"
                              "            open_.remove(c); greeted.discard(c); c.close()\n")
            done = run("mqfuzz", "run", "--spawn", f"python3 {script} {{port}}", "--runs", "1", "--time", "30s", "--corpus", corpus,
                       "--seed", "2", "--baseline", known)
            equal(done.status, 3, f"{place}: {done}")
            check(b"ended with status 7" in done.out, f"{place}: {done}")
            place.unlink()
        check(list((corpus / "mqfuzz" / "crashes").iterdir()), "and what ended it is kept apart")
        equal(run("mqfuzz", "run", "--spawn", BROKER, "--runs", "5", "--corpus", "/proc/nothing").status, 2, "no folder")


INNOCENT = {  # plans that once accused a broker that had done nothing wrong
    "SUBSCRIBE came in one piece with CONNECT": """version 5
a > connect id="~a" flags=0 keepalive=60 session_expiry_interval=60
a < connack
b raw 101400044d5154540502003c000007 ~ 6282290001020b03000c247368617265 2f682f742f310800032b2f2b12000c24 73686172652f672f612f2302
b <? connack 60ms
b > publish topic="~/u" header=2 id=1 payload="~.1"
b <? alive 60ms
""",
    "a payload that is no UTF-8 though its publisher says so is handed on": """version 5
a > connect
a < connack
a > subscribe id=1 sub=0:~/t
a < suback
b > connect
b < connack
b > publish topic=~/t payload_format_indicator=1 payload=\\xff
a <? publish 500ms
""",
}


@case("the innocent are not accused again")
def _():
    with scratch() as out:
        for name, text in INNOCENT.items():
            plan = pathlib.Path(out, "plan")
            plan.write_text(text)
            done = run("mqfuzz", "--replay", plan, "--spawn", "mosquitto -p {port}" if "handed" in name else BROKER)
            equal(done.status, 0, f"{name}: {done.out.decode()}")


@case("recorded clients are carried out first")
def _():
    done = run("mqfuzz", "run", "--spawn", BROKER, "--seed", "1", "--runs", "5", "--from", CAPTURES / "mqtt311_qos2_killed.pcap")
    equal(done.status, 0, f"{done}")
    check(b"1 conversations" in done.err, done.err.decode())
    none = run("mqfuzz", "run", "--spawn", BROKER, "--runs", "5", "--from", "/no/such.pcap")
    equal(none.status, 2, f"{none}")
    check(b"No such file" in none.err, none.err.decode())
    text = run("mqfuzz", "run", "--spawn", BROKER, "--runs", "5", "--from", __file__)
    equal(text.status, 2, f"{text}")
    check(b"unknown file format" in text.err, text.err.decode())


@case("killed at the moment it announces a finding: the files are there and replay")
def _():
    with scratch() as out:
        with Stream([program("mqfuzz"), "run", "--spawn", FAULTY, "--time", "60s", "--seed", "1", "--out", out]) as child:
            child.line("FINDING", deadline_s=60)
            child.child.send_signal(signal.SIGKILL)
        plans = list(pathlib.Path(out).glob("*.plan"))
        check(plans and list(pathlib.Path(out).glob("*.md")) and list(pathlib.Path(out).glob("*.pcapng")), f"{os.listdir(out)}")
        again = run("mqfuzz", "--replay", plans[0], "--spawn", FAULTY)
        equal(again.status, 3, f"{again}")


@case("Ctrl-C with several jobs: all end, no broker is left")
def _():
    with scratch() as out:
        broker = f"{BROKER} --log-file {out}/log" if b"--log-file" in run("mqbroker", "--help").out else BROKER
        with Stream([program("mqfuzz"), "run", "--spawn", broker, "--time", "60s", "--jobs", "2", "--seed", "5"]) as child:
            child.line("seed 5", err=True)
            pid = child.child.pid
            brokers = []
            while len(brokers) < 2:  # children of its children
                jobs = [p for p in pathlib.Path("/proc").iterdir() if p.name.isdigit() and parent(p) == pid]
                brokers = [p for p in pathlib.Path("/proc").iterdir() if p.name.isdigit() and parent(p) in {int(j.name) for j in jobs}]
                check(child.child.poll() is None, "it runs")
            child.child.send_signal(signal.SIGINT)
            done = child.finish(deadline_s=60)
        check(done.status in (0, 3), f"{done}")
        check(b" plans, " in done.out, done.out.decode())
        equal([b for b in brokers if b.exists() and state(b) != "Z"], [], "brokers left behind")


def parent(process):
    try:
        return int((process / "stat").read_text().rsplit(")", 1)[1].split()[1])
    except (OSError, IndexError):
        return -1


def state(process):
    try:
        return (process / "stat").read_text().rsplit(")", 1)[1].split()[0]
    except (OSError, IndexError):
        return "Z"


def limited():
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))


@case("a disk that is full ends the run with status 2 and the reason, and leaves no half file")
def _():
    with scratch() as out:
        argv = [program("mqfuzz"), "run", "--spawn", FAULTY, "--seed", "1", "--time", "30s", "--out", out]
        done = subprocess.run(argv, capture_output=True, preexec_fn=limited, timeout=100, check=False)
        equal(done.returncode, 2, f"{done}")
        check(b"File too large" in done.stderr, done.stderr.decode())
        equal([f for f in os.listdir(out) if f.endswith(".part")], [], "half files")
        corpus = os.path.join(out, "corpus")
        done = subprocess.run([program("mqfuzz"), "run", "--spawn", BROKER, "--seed", "1", "--time", "30s", "--corpus", corpus],
                              capture_output=True, preexec_fn=limited, timeout=100, check=False)
        equal(done.returncode, 2, f"{done}")
        check(b"File too large" in done.stderr, done.stderr.decode())


@case("a port that is taken, a broker that never listens, one that goes away: each is told")
def _():
    with Stream([program("mqbroker"), "-q", "-p", str(port := free_port())]) as other:
        for _ in range(1000):
            if run("mqfuzz", "conform", "--target", str(port), "--rule", "MQTT-3.12.4-1").status == 0:
                break
        taken = run("mqfuzz", "run", "--spawn", f"sh -c 'exec {program('mqbroker')} -q -p {port}; : {{port}}'", "--runs", "5")
        equal(taken.status, 2, f"{taken}")
        check(b"before it listened" in taken.err, taken.err.decode())
        check(b"last words" in taken.err and str(port).encode() in taken.err, taken.err.decode())
        with Stream([program("mqfuzz"), "run", "--target", str(port), "--time", "60s", "--seed", "1"]) as child:
            child.line("seed 1", err=True)
            other.child.kill()
            done = child.finish(deadline_s=60)
        check(done.status in (2, 3), f"{done}")
        check(b"not ours to start" in done.err or b"does not accept" in done.err, f"{done}")


@case("a broker that ends with 0 by itself is a crash by name")
def _():
    with scratch() as out:
        script = pathlib.Path(out, "quits.py")
        script.write_text("import socket, sys\n"
                          "s, n = socket.create_server(('127.0.0.1', int(sys.argv[1])), backlog=100), 0\n"
                          "open_ = []\n"
                          "while n < 6:\n"
                          "    c, _ = s.accept(); n += 1; open_.append(c)\n"
                          "    octets = c.recv(100)\n"
                          "    if octets[:1] == b'\\x10':\n"
                          "        c.sendall(b'\\x20\\x02\\x00\\x00')\n")
        done = run("mqfuzz", "run", "--spawn", f"python3 {script} {{port}}", "--seed", "3", "--runs", "10", "--time", "10s", "--out", out)
        equal(done.status, 3, f"{done}")
        check(re.search(rb"^FINDING +crash +the broker ended with status 0", done.out, re.M), f"{done}")
        check(list(pathlib.Path(out).glob("crash*.plan")), "its plan was written")


main()
