#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mqfuzz run where things go wrong around it, with several jobs, and with seeds from elsewhere."""
import os
import pathlib
import re
import resource
import signal
import subprocess
import xml.etree.ElementTree as xml

from harness import CAPTURES, Stream, case, check, equal, free_port, main, program, run
from toys import scratch, toy

BROKER = f"{program('mqbroker')} -q -p {{port}}"
FAULTY = f"{BROKER} --fault no-pubcomp"


def crash_fault():
    return re.findall(r"\bcrash-[a-z0-9-]+", run("mqbroker", "--fault", "help").out.decode() + run("mqbroker", "--help").out.decode())[0]


@case("several jobs: a broker each, every finding told once, one report")
def _():
    with scratch() as out:
        junit = os.path.join(out, "junit.xml")
        done = run("mqfuzz", "run", "--spawn", FAULTY, "--jobs", "3", "--seed", "1", "--runs", "150", "--time", "10s", "--out", out,
                   "--junit", junit)
        equal(done.status, 3, f"{done}")
        told = re.findall(r"^FINDING +(\S+ .*?):", done.out.decode(), re.M)
        check(told and len(told) == len(set(told)), f"told {told}")
        names = {p.stem for p in pathlib.Path(out).glob("*.plan")}
        equal(len(names), len(told), f"files {names}, told {told}")
        equal(int(xml.parse(junit).getroot().find("testsuite").get("failures")), len(told), "JUnit failures")
    well = run("mqfuzz", "run", "--spawn", BROKER, "--jobs", "3", "--seed", "1", "--runs", "50")
    check(b"\n150 plans" in b"\n" + well.out, f"{well}")


@case("the corpus on disk is AFL++'s layout, is read again, and takes what others bring")
def _():
    with scratch() as out:
        corpus = pathlib.Path(out, "corpus")
        argv = ["mqfuzz", "run", "--spawn", BROKER, "--seed", "1", "--version", "5", "--corpus", corpus]
        run(*argv, "--runs", "60")
        files = sorted((corpus / "mqfuzz" / "queue").iterdir())
        check(len(files) > 10 and all(re.match(r"id:\d{6},", f.name) for f in files), f"{files[:3]}")
        equal([int(f.name[3:9]) for f in files], list(range(len(files))), "numbers without a hole")
        check(all(f.read_bytes()[0] == 3 for f in files), "version 5.0 is the scene of the fuzz targets")
        # what was kept by another fuzzer, and a flat file, are carried out: the broker's log tells
        talk = b"\x03" + b"\x01" + (22).to_bytes(2, "big") + bytes.fromhex("1014 0004 4d515454 05 02 003c 00 0007") + b"magic42"
        for place in (corpus / "afl1" / "queue" / "id:000000,src:000001", corpus / "flat"):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(talk)
            log = pathlib.Path(out, "log")
            done = run("mqfuzz", "run", "--spawn", f"exec {program('mqbroker')} -v -p {{port}} >{log} 2>&1", "--runs", "1", "--corpus", corpus,
                       "--seed", "2")
            check(b"magic42" in log.read_bytes(), f"{place}: {log.read_bytes()[-300:]}")
            place.unlink()
        with Stream([program("mqfuzz"), "run", "--spawn", f"{BROKER} --fault {crash_fault()}", "--seed", "1", "--time", "60s", "--corpus",
                     os.path.join(out, "other")]) as child:
            child.line("FINDING  crash", deadline_s=60)
            child.line("", err=True)
            child.child.send_signal(signal.SIGINT)
            child.finish(deadline_s=60)
        check(list(pathlib.Path(out, "other", "mqfuzz", "crashes").iterdir()), "what ended the broker is kept apart")
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


@case("a plan waits for what it asked last, and not at all for nothing")
def _():
    with scratch() as out:
        plan = pathlib.Path(out, "plan")
        # the answer to the first PINGREQ is not the answer to the last: until then SUBACK may still come
        plan.write_text("version 5\na > connect\na <? connack\na > pingreq\na > subscribe id=1 sub=1:~/t\nwait 1200ms\na <? alive 5s\n")
        done = run("mqfuzz", "--replay", plan, "--spawn", f"{BROKER} --fault no-suback")
        equal(done.status, 3, done.out.decode())
        check(b"SUBSCRIBE is not answered" in done.out, done.out.decode())
        trace = done.out.decode()
        check(trace.index("a < 2009") < trace.index("a > c000"), f"it waits for CONNACK though no time is said: {trace}")
        plan.write_text("version 5\na > connect\na <? connack\nwait 0ms\na > pingreq\na <! no pingresp 5s\n")  # fails: then it is told
        done = run("mqfuzz", "--replay", plan, "--spawn", BROKER)
        said = re.search(rb"([\d.]+) ms +a > c000", done.out)
        check(said and float(said.group(1)) < 900, done.out.decode())


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
        corpus = pathlib.Path(out, "corpus")
        with Stream([program("mqfuzz"), "run", "--spawn", BROKER, "--time", "60s", "--jobs", "2", "--seed", "5", "--corpus", corpus]) as child:
            child.line("seed 5", err=True)
            pid = child.child.pid
            while not all(list((corpus / name / "queue").glob("id:*")) for name in ("mqfuzz", "mqfuzz-2")):
                check(child.child.poll() is None, "it runs until both jobs have kept something")
            jobs = {int(p.name) for p in pathlib.Path("/proc").iterdir() if p.name.isdigit() and parent(p) == pid}
            brokers = [p for p in pathlib.Path("/proc").iterdir() if p.name.isdigit() and parent(p) in jobs]
            equal(len(brokers), 2, "a broker for each job")
            child.child.send_signal(signal.SIGINT)
            done = child.finish(deadline_s=60)
        check(done.status in (0, 3), f"{done}")
        check(b" plans, " in done.out, done.out.decode())
        equal([b for b in brokers if b.exists() and state(b) != "Z"], [], "brokers left behind")


@case("a terminal's Ctrl-C, which every job gets as well, loses nothing that was announced")
def _():
    for jobs in ("1", "3"):
        with scratch() as out:
            with Stream(["setsid", program("mqfuzz"), "run", "--spawn", FAULTY, "--time", "60s", "--jobs", jobs, "--seed", "5", "--out", out]) as child:
                child.line("FINDING", deadline_s=60)
                os.killpg(child.child.pid, signal.SIGINT)
                done = child.finish(deadline_s=60)
            told = len(re.findall(r"^FINDING", done.out.decode(), re.M))
            equal(done.status, 3, f"{jobs} jobs: {done}")
            check(told > 0 and f", {told} findings (seed".encode() in done.out, f"{jobs} jobs: {done}")
            equal(len(list(pathlib.Path(out).glob("*.plan"))), told, f"{jobs} jobs: their files")


LEAKY = """import os, select, signal, socket, sys
end = sys.argv[2]
def bye(*_):
    if end == "leaks":
        print("==1==ERROR: LeakSanitizer: detected memory leaks\\n\\nDirect leak of 48 byte(s) in 1 object(s) allocated from:\\n"
              "    #0 0x1 in __interceptor_malloc (/broker+0x1)\\n    #1 0x2 in forget_me /src/broker.c:7\\n\\n"
              "SUMMARY: AddressSanitizer: 48 byte(s) leaked in 1 allocation(s).", flush=True)
    if end == "aborts":
        os.abort()
    os._exit(23 if end == "leaks" else 0)
signal.signal(signal.SIGTERM, bye)
s = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=100)
open_ = [s]
while True:
    for c in select.select(open_, [], [])[0]:
        if c is s:
            open_.append(s.accept()[0]); continue
        try:
            octets = c.recv(65536)
        except ConnectionError:
            octets = b""
        if not octets:
            open_.remove(c); c.close()
        elif octets[0] in (0x10, 0xc0):
            c.sendall(b"\\x20\\x02\\x00\\x00" if octets[0] == 0x10 else b"\\xd0\\x00")
"""


@case("a clean end is asked for: a leak, a bad end, and a good one")
def _():
    with scratch() as out:
        script = pathlib.Path(out, "broker.py")
        script.write_text(LEAKY)
        for end, said in (("leaks", rb"^FINDING +end +memory is leaked that forget_me asked for:"),
                          ("aborts", rb"^FINDING +end +the broker ended by signal 6 .* when asked to end"), ("well", None)):
            done = run("mqfuzz", "run", "--spawn", f"python3 {script} {{port}} {end}", "--seed", "3", "--runs", "3", "--time", "5s")
            if said is None:
                check(b"FINDING  end" not in done.out, f"{done}")
            else:
                check(re.search(said, done.out, re.M), f"{end}: {done}")


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
        argv = [program("mqfuzz"), "run", "--spawn", FAULTY, "--seed", "1", "--time", "20s", "--out", out]
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
            if run("mqfuzz", "conform", "--target", str(port), "--rule", "PINGREQ is answered").status == 0:
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
        check(re.search(b"not ours to start|does not accept|does not let|no broker at", done.err), f"{done}")


@case("a broker that speaks one version only is tested in that one, and what is left out is said with its reason")
def _():
    with Stream([program("mqbroker"), "-p", str(under := free_port())]) as broker:
        broker.line("listening")
        for level, name, others in ((3, "3.1", ("3.1.1", "5.0")), (4, "3.1.1", ("3.1", "5.0")), (5, "5.0", ("3.1", "3.1.1"))):
            # the broker behind keeps the sessions of all runs: a seed for each, for a seed makes the names
            argv = ["mqfuzz", "run", "--spawn", toy("only", "{port}", under, level), "--runs", "40", "--seed"]
            done = run(*argv, level, "--time", "20s")
            equal(done.status, 0, f"{done}")
            said = re.findall(r"^mqfuzz: MQTT (\S+) is left out: .* (?:\(return code 1, |closes the connection)", done.err.decode(), re.M)
            equal(said, list(others), f"{level}: {done.err.decode()}")
            equal(run(*argv, level + 10, "--version", name).status, 0, f"{name} alone")
            wrong = run(*argv, level + 20, "--version", others[0])
            equal(wrong.status, 2, f"{wrong}")
            check(f" a plain MQTT {others[0]} client".encode() in wrong.err, f"{wrong}")


@case("the same seed again, on a broker that keeps the sessions of the run before, accuses nobody")
def _():
    with Stream([program("mqbroker"), "-p", str(port := free_port())]) as broker:
        broker.line("listening")
        for _ in range(3):
            done = run("mqfuzz", "run", "--target", str(port), "--seed", "1", "--runs", "200", "--time", "20s")
            equal(done.status, 0, f"{done}")


@case("runs that begin in one moment share no name, nor do runs of two seeds")
def _():
    with Stream([program("mqbroker"), "-v", "-p", str(port := free_port())]) as broker:
        broker.line("listening")
        argv = [program("mqfuzz"), "conform", "--target", port, "--version", "5", "--rule", "PINGREQ is answered"]
        for seeds in ((), ("--seed", 1), ("--seed", 65537)):
            for done in [child.finish() for child in [Stream([*argv, *seeds]) for _ in range(1 if seeds else 6)]]:
                equal(done.status, 0, f"{done}")
        broker.child.terminate()
        log = broker.finish()
    clients = re.findall(r' connect .* client="(m\w{7})(\w+)"', (log.out + log.err).decode())
    names = {name for name, _ in clients}
    equal(len(names), 8, f"runs told apart in {clients}")
    equal(len(clients), len(set(clients)), f"a client of one run alone connects once: {clients}")


@case("what takes two plans beside each other is told so, and both are in the report")
def _():
    with scratch() as out:
        with Stream([program("mqfuzz"), "run", "--spawn", toy("crowded"), "--version", "3.1.1", "--seed", "1", "--time", "60s",
                     "--out", out]) as child:
            line = child.line("FINDING  sanitizer", deadline_s=60)
            check(re.search(r"two at once; .*seen again with \d+ plans beside each other, with none of them alone", line), f"{line}")
            child.child.send_signal(signal.SIGINT)
            child.finish(deadline_s=60)
        report = next(pathlib.Path(out).glob("sanitizer*.md")).read_text()
        check("# 2 of " in report and report.count("\nversion ") >= 3, report)
        check(".pcapng" not in report, "no capture is named that is not there")


@case("a broker that writes much is read, so that it does not wait")
def _():
    with scratch() as out:
        plan = out / "connect.plan"
        plan.write_text("version 3.1.1\na > connect\na <! connack reason=0\na <! alive\n")
        done = run("mqfuzz", "--replay", plan, "--spawn", toy("talks"))
        equal(done.status, 0, f"{done}")


@case("a report's conversation is the one of its small plan")
def _():
    with scratch() as out:
        done = run("mqfuzz", "run", "--spawn", f"{BROKER} --fault crash-publish", "--seed", "1", "--time", "2s", "--out", out)
        equal(done.status, 3, f"{done}")
        report = next(pathlib.Path(out).glob("crash*.md")).read_text()
        plan, conversation = report.split("## Plan", 1)[1].split("## What was sent", 1)
        equal(set(re.findall(r"^ +\S+ ms  (\w)", conversation, re.M)), set(re.findall(r"^(\w) [><]", plan, re.M)), report)


@case("a broker that ends with 0 by itself is a crash by name")
def _():
    with scratch() as out:
        done = run("mqfuzz", "run", "--spawn", toy("quits"), "--seed", "3", "--runs", "10", "--time", "10s", "--out", out)
        equal(done.status, 3, f"{done}")
        check(re.search(rb"^FINDING +crash +the broker ended with status 0", done.out, re.M), f"{done}")
        check(list(pathlib.Path(out).glob("crash*.plan")), "its plan was written")


main()
