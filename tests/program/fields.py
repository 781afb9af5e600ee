#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""-G fields: every field has a value in some capture, and where tshark has the field, tshark's value.

Compared are frames with one MQTT packet that is not malformed. Where the two differ on purpose, it is said here why.
"""
import collections
import concurrent.futures
import subprocess

import harness
from harness import CAPTURES, ROOT, case, check, equal

RARE = ROOT / "tests" / "filter" / "rare_fields.pcap"  # made by make_rare.py beside it
CHUNK = 100  # mqdump takes 128 columns

# tshark has these in fewer packets: the version and the client identifier in CONNECT alone, the interface only where a pcapng file
# names it, texts only with a preference, expert marks of its own. Where it has a value it has to be ours.
MORE = {"mqtt.ver", "mqtt.clientid", "frame.interface_id", "mqtt.msg_text", "mqtt.willmsg_text", "mqtt.msg_decoded_as"}
OTHER = {"_ws.expert.message", "_ws.expert.severity"}
# After a frame that the snapshot length cut, tshark takes payload for packets.
INVENTED = {"mqtt5_snaplen96.pcap"}
# A CONNECT of level 99 and its answer: tshark reads them as 3.1.1, mqdump knows no such layout. And a PUBLISH of QoS 3: tshark reads a
# Packet Identifier, which no standard gives it.
# There, and empty: -T fields shows nothing.
EMPTY = {"mqtt.topic", "mqtt.violation.also"}
UNDECIDED = {("mqtt311_protocol_errors.pcap", f) for f in ("21", "23", "61")} | {("mqtt5_protocol_errors.pcap", f) for f in ("21", "23", "61")}


def lines(argv, **options):
    done = subprocess.run(argv, capture_output=True, timeout=120, check=False, **options)
    return done.stdout.decode("utf-8", "replace").split("\n")[:-1]


def columns(names):
    return [word for name in names for word in ("-e", name)]


fields = [line.split("\t") for line in lines([harness.program("mqdump"), "-G", "fields"])]
names = [f[2] for f in fields]
known = {line.split("\t")[2] for line in lines(["tshark", "-G", "fields"]) if line.startswith("F\t")}
common = [n for n in names if n in known]


def mqdump(capture):
    """Rows as {field: value}."""
    parts = []
    for start in range(0, len(names), CHUNK):
        chunk = names[start:start + CHUNK]
        parts.append([dict(zip(chunk, line.split("\t"))) for line in
                      lines([harness.program("mqdump"), "-r", str(capture), "--show-secrets", "-T", "fields", *columns(chunk)])])
    rows = []
    for pieces in zip(*parts):
        row = {}
        for piece in pieces:
            row.update(piece)
        rows.append(row)
    return rows


def tshark(capture):
    return [dict(zip(common, line.split("\t"))) for line in
            lines(["tshark", "-n", "-r", str(capture), "-Y", "mqtt", "-T", "fields", *columns(common)])]


def same(theirs, mine):
    """tshark ends text at U+0000, shows an empty payload as a word, and shows what is not UTF-8 as it is."""
    if theirs == mine or (theirs == "<MISSING>" and mine == "") or "\ufffd" in theirs:
        return True
    return theirs.split(",") == [part.split("\\x00")[0] for part in mine.split(",")]


def differences(capture, ours):
    per_frame = collections.defaultdict(list)
    for row in ours:
        per_frame[row["frame.number"]].append(row)
    found, compared = [], 0
    for row in tshark(capture):
        frame, mine = row["frame.number"], per_frame.get(row["frame.number"], [])
        if "," in row["mqtt.msgtype"] or len(mine) != 1 or mine[0]["_ws.malformed"] or (capture.name, frame) in UNDECIDED:
            continue
        compared += 1
        for name in common:
            if name in OTHER or (name in MORE and not row[name]) or same(row[name], mine[0][name]):
                continue
            found.append(f"frame {frame} {name}: tshark {row[name][:60]!r}, mqdump {mine[0][name][:60]!r}")
    return found, compared


def ask(capture):
    ours = mqdump(capture)
    return ours, differences(capture, ours) if capture.name not in INVENTED else ([], 0)


captures = sorted(c for c in CAPTURES.iterdir() if c.name.endswith((".pcap", ".pcapng")) and "zmtp" not in c.name) + [RARE]
with concurrent.futures.ThreadPoolExecutor(2) as pool:
    answers = dict(zip(captures, pool.map(ask, captures)))


def add(capture):
    @case(f"{capture.name}: values as tshark's")
    def _():
        found, _ = answers[capture][1]
        check(not found, "\n".join(found[:20]))


for each in captures:
    if answers[each][1][1] > 0:
        add(each)


@case("enough was compared")
def _():
    check(len(common) >= 90, f"{len(common)} fields in common")
    total = sum(compared for _, (_, compared) in answers.values())
    check(total >= 1000, f"{total} packets compared")


@case("every field has a value in some capture")
def _():
    seen = {name for ours, _ in answers.values() for row in ours for name, value in row.items() if value}
    equal([n for n in names if n not in seen], [], "fields never seen")


@case("every field can be asked for in a filter")
def _():
    text = " or ".join(names)
    result = harness.run("mqdump", "-r", "mqtt311_basics.pcap", "-Y", text, "-T", "fields", "-e", "frame.number")
    equal((result.status, result.err), (0, b""), "status and stderr")
    for name in names:
        if name in EMPTY:
            continue
        result = harness.run("mqdump", "-r", str(RARE), "-Y", name, "-T", "fields", "-e", "frame.number")
        want = [row["frame.number"] for row in answers[RARE][0] if row[name]]
        equal(result.out.decode().split(), want, f"frames with {name}")


harness.main()
