#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""fuzz/speed.py -- executions per second of processor time, beside a target that does nothing (make fuzz-speed builds them).

Both get the same mutator, options and corpus: corpus/decode and what a short run adds to it, all of it kept by both. Median of
three, in turns."""
import glob
import os
import re
import resource
import shutil
import statistics
import subprocess

import run

RUNS = 2_000_000
FOLDER = f"{run.BUILD}/speed"


def cpu_of(argv, **options):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(argv, capture_output=True, text=True, errors="replace", check=False, **options)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise SystemExit(f"{argv}: status {done.returncode}\n{done.stderr[-2000:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def options(target):
    return run.fuzzer(target)[1:] + ["-seed=1", "-verbosity=0"]


def grow():
    """corpus/decode and what half a million runs make of it; named in a file, so that libFuzzer writes nothing."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    os.makedirs(f"{FOLDER}/decode")
    cpu_of([f"{run.BUILD}/plain/fuzzer/decode", *options("decode"), "-runs=500000", f"{FOLDER}/decode", "corpus/decode"])
    with open(f"{FOLDER}/seeds", "w", encoding="ascii") as out:
        out.write(",".join(sorted(glob.glob("corpus/decode/*") + glob.glob(f"{FOLDER}/decode/*"))))
    return ["-keep_seed=1", "-len_control=0", f"-seed_inputs=@{FOLDER}/seeds"]


def beside_empty(name, build, seeds):
    empty, decode = [], []
    for _ in range(3):
        for binary, results in ((f"{build}/fuzzer-empty", empty), (f"{build}/fuzzer/decode", decode)):
            results.append(RUNS / cpu_of([binary, *options("decode"), f"-runs={RUNS}", *seeds]))
    a, b = statistics.median(empty), statistics.median(decode)
    print(f"decode, libFuzzer, {name:<20} {b:>10.0f}/s   empty {a:>10.0f}/s   factor {a / b:.2f}", flush=True)


def conversation():
    """Two clients and twenty packets: CONNECT, SUBSCRIBE, PUBLISH of each QoS, acknowledgements, PINGREQ, DISCONNECT."""
    def send(client, packet):
        return bytes([1 | client << 4]) + len(packet).to_bytes(2, "big") + packet

    def connect(client):
        return send(client, b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02c" + bytes([48 + client]))

    steps = [connect(0), connect(1), send(1, b"\x82\x08\x00\x01\x00\x03a/b\x02")]
    for n in range(5):
        steps += [send(0, b"\x30\x07\x00\x03a/bhi"), send(0, b"\x32\x09\x00\x03a/b\x00" + bytes([10 + n]) + b"hi"),
                  send(1, b"\x40\x02\x00" + bytes([1 + n]))]
    steps += [send(0, b"\xc0\x00"), send(0, b"\xe0\x00")]
    assert len(steps) == 20
    path = f"{FOLDER}/twenty"
    with open(path, "wb") as out:
        out.write(b"\x02" + b"".join(steps))
    return path


def broker(build, name):
    path, runs = conversation(), 100_000
    print(f"broker, 20 packets, {name:<20} {runs / cpu_of([f'{build}/fuzzer/broker', *options('broker'), f'-runs={runs}', path]):>9.0f}/s",
          flush=True)


def afl(target, binary):
    """AFL++ counts by the wall; its processor time is that of afl-fuzz and of the target together."""
    shape = run.shape_of(target)
    command = re.sub(r"FUZZ_SHAPE=\w+", f"FUZZ_SHAPE={shape}", os.environ["AFL"]).replace("corpus/decode", f"corpus/{target}")
    shutil.rmtree("build-afl/found/decode", ignore_errors=True)
    seconds = cpu_of(["sh", "-c", f"mkdir -p build-afl/found; AFL_NO_UI=1 {command} -- {binary}"])
    stats = open("build-afl/found/decode/default/fuzzer_stats", encoding="ascii").read()
    speed = int(re.search(r"execs_done +: (\d+)", stats).group(1)) / seconds
    print(f"{target}, AFL++ persistent, {os.path.basename(binary):<12} {speed:>9.0f}/s", flush=True)


if __name__ == "__main__":
    os.chdir(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    kept = grow()
    beside_empty("no sanitizers", f"{run.BUILD}/plain", kept)
    beside_empty("ASan and UBSan", run.BUILD, kept)
    broker(f"{run.BUILD}/plain", "no sanitizers")
    broker(run.BUILD, "ASan and UBSan")
    for one, what in (("decode", "build-afl/afl-empty"), ("decode", "build-afl/afl/decode"), ("broker", "build-afl/afl/broker")):
        afl(one, what)
