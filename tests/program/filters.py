#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The display filter against tshark -Y: the expressions of tests/filter/expressions.txt over frames with one MQTT packet.

tshark's filter chooses frames, ours packets, so that frames with several packets are left out of the comparison: a frame passes
tshark's when each test holds for some packet in it (DIFFERENCES in mqshark-filter(7)).
"""
import concurrent.futures
import subprocess

import harness
from harness import CAPTURES, ROOT, case, check, equal

EXPRESSIONS = ROOT / "tests" / "filter" / "expressions.txt"


def read():
    """(capture, sign, expression) of every line that asks something; sign is "", "!" or "~"."""
    capture, asked = None, []
    for line in EXPRESSIONS.read_text(encoding="utf-8").splitlines():
        if line.startswith("@ "):
            capture = line[2:]
        elif line[:2] in ("! ", "~ "):
            asked.append((capture, line[0], line[2:]))
        elif line and not line.startswith("#"):
            asked.append((capture, "", line))
    return asked


def tshark(capture, expression):
    """Frames in order, or None when it refuses the expression."""
    done = subprocess.run(["tshark", "-n", "-r", str(CAPTURES / capture), "-Y", f"mqtt and ({expression})", "-T", "fields",
                           "-e", "frame.number"], capture_output=True, timeout=120, check=False)
    return None if done.returncode != 0 else [int(n) for n in done.stdout.split()]


def mqdump(capture, expression):
    result = harness.run("mqdump", "-r", capture, "-Y", expression, "-T", "fields", "-e", "frame.number")
    if result.status == 1:
        check(result.err.startswith(b"mqdump: ") and b"^" in result.err, f"no message with carets: {result}")
        check(not result.out, f"output before the message: {result}")
        return None
    equal((result.status, result.err), (0, b""), f"status and stderr of {expression}")
    return [int(n) for n in result.out.split()]


def single_frames(capture):
    """Frames in which both see exactly one MQTT packet."""
    done = subprocess.run(["tshark", "-n", "-r", str(CAPTURES / capture), "-Y", "mqtt", "-T", "fields", "-e", "frame.number", "-e",
                           "mqtt.msgtype"], capture_output=True, timeout=120, check=True)
    rows = [line.split(b"\t") for line in done.stdout.splitlines()]
    single = {int(frame) for frame, types in rows if types and b"," not in types}
    ours = mqdump(capture, "mqtt.msgtype")
    return {n for n in single if ours.count(n) == 1}


asked = read()
captures = sorted({capture for capture, _, _ in asked})
singles = {capture: single_frames(capture) for capture in captures}
with concurrent.futures.ThreadPoolExecutor(2) as pool: # tshark takes 0.2 s to start
    answers = list(pool.map(lambda a: tshark(a[0], a[2]), asked))


@case("there is something to compare")
def _():
    check(len(asked) >= 150, f"{len(asked)} expressions")
    for capture in captures:
        check(len(singles[capture]) >= 30, f"{capture}: {len(singles[capture])} frames with one packet")


def add(capture, sign, expression, theirs):
    @case(f"{sign}{expression}  ({capture})")
    def _():
        ours = mqdump(capture, expression)
        if sign == "!":
            check(theirs is None, "tshark takes it")
            check(ours is None, "mqdump takes it")
            return
        check(theirs is not None, "tshark refuses it")
        check(ours is not None, "mqdump refuses it")
        mine = [n for n in ours if n in singles[capture]]
        want = [n for n in theirs if n in singles[capture]]
        if sign == "~":
            check(mine != want, "the difference is gone: move it to the others")
            return
        equal(mine, want, "frames")


for one, answer in zip(asked, answers):
    add(*one, answer)


@case("long, deep and explosive filters end at once")
def _():
    for text in ("(" * 1000 + "mqtt" + ")" * 1000, "mqtt.qos == 1 or " * 600 + "mqtt", "x" * 10000, "{" * 1000, "not " * 3000, "-" * 9000):
        result = harness.run("mqdump", "-r", "mqtt311_basics.pcap", "-Y", text)
        check(result.status == 1 and len(result.err) < 2000 and b"^" in result.err, f"{text[:20]}...: {result}")
    bomb = harness.run("mqdump", "-r", "mqtt311_basics.pcap", "-Y", 'mqtt.msg matches "^(([a-z0-9.])+.)+[^a-z](x+x+)+y$"')
    check(bomb.status in (0, 2) and (bomb.err == b"" or b"too many steps" in bomb.err), f"explosive regular expression: {bomb}")


@case("a wrong filter ends before the input is opened")
def _():
    result = harness.run("mqdump", "-r", "/nonexistent.pcap", "-Y", "mqtt.topik")
    equal(result.status, 1, "status")
    equal(result.err.decode(), 'mqdump: display filter: "mqtt.topik" is no field; did you mean mqtt.topic?\n'
          "    mqtt.topik\n    ^~~~~~~~~~\n", "message")


@case("frames and packets: the difference that the manual tells")
def _():
    text = 'mqtt.topic == "t/1/temp" and mqtt.qos == 1'  # frame 22 holds one with this topic and one of this QoS
    check(22 in tshark("mqtt311_basics.pcap", text), "tshark shows frame 22")
    check(22 not in mqdump("mqtt311_basics.pcap", text), "mqdump does not")
    check(22 in mqdump("mqtt311_basics.pcap", 'mqtt.topic == "t/1/temp"'), "the packet with the topic is there")


@case("the examples of the manual are filters")
def _():
    page = (ROOT / "docs" / "mqshark-filter.7.scd").read_text(encoding="utf-8")
    examples = [line.replace("\\", "") for line in page.split("# EXAMPLES")[1].split("# DIFFERENCES")[0].splitlines() if line.startswith(("mqtt", "any"))]
    check(len(examples) >= 6, examples)
    for text in examples:
        result = harness.run("mqdump", "-r", "mqtt5_everything_mosquitto.pcap", "-Y", text)
        equal((result.status, result.err), (0, b""), text)


harness.main()
