#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lost segments, packet by packet: mqdump's rows beside what the generator sent and what of it is in the capture.

Every row is a packet that was sent, each at most once and in order. A packet that was captured whole may be missing only if it is the
first one behind a hole. The generator tells where each packet lies in its stream (generate --packets); which octets were captured is
read here, from the frames."""
import bisect
import collections
import json
import pathlib
import random
import struct
import subprocess
import tempfile

import harness
from harness import case, check, equal, program

PORT = 1883
GRACE_US = 20000  # STREAM_GRACE_NS: octets that come later than this after their acknowledgment are given up
tmp = tempfile.TemporaryDirectory(prefix="mqshark-losses-")


class Side:
    """What one side of a connection sent, and what of it was captured. Offsets count from its first packet."""

    def __init__(self, key, flow, first):
        self.key, self.flow, self.first, self.octets = key, flow, first, 0
        self.packets = []  # (from, to, type, octets)
        self.pieces = []   # (from, to, frame) of each segment captured in time
        self.reached, self.acked = [], []  # (time, octets) up to which anything was captured, or acknowledged by the peer
        self.opened = None  # where it begins: at its SYN, or where it stood when the peer acknowledged something first
        self.cuts = []      # (from, to) of octets that the snaplen cut: a later copy is not looked at
        self.rows = []     # (frames that hold its octets, as (from, to); type; octets; frame; place in the output)

    def offset(self, seq):
        return (seq - self.first) & 0xffffffff

    def note(self, steps, time, octets):
        """Enters that `octets` are reached at this time."""
        if octets <= self.octets and (not steps or octets > steps[-1][1]):
            steps.append((time, octets))

    def acknowledge(self, time, octets):
        self.note(self.acked, time, octets)
        if self.opened is None and octets <= self.octets:
            self.opened = min(self.pieces)[0] if self.pieces else octets

    def given_up(self, start, time):
        """Octets of which the rest is waited for no longer at this time, if a hole begins at `start`."""
        reached, acked = ((steps[i - 1][1] if (i := bisect.bisect_right(steps, (time - GRACE_US, 1 << 33))) else 0)
                          for steps in (self.reached, self.acked))
        cut = max((to for at, to in self.cuts if at <= start < to), default=0)
        return max(acked if reached > start else 0, self.opened or 0, cut)

    def captured(self):
        """Runs without a hole: sorted (from, to, last frame)."""
        runs = []
        for start, end, frame in sorted(self.pieces):
            if runs and start <= runs[-1][1]:
                runs[-1] = runs[-1][0], max(runs[-1][1], end), max(runs[-1][2], frame)
            else:
                runs.append((start, end, frame))
        return runs


def read_sent(file):
    """{(port, side): [Side of each connection]}; the port may be that of several clients."""
    sides, known = collections.defaultdict(list), {}
    for line in file.read_text(encoding="ascii").splitlines():
        flow, side, port, seq, octets, kind, _ = map(int, line.split())
        key = port, side
        if (key, flow) not in known:
            known[key, flow] = Side(key, flow, seq)
            sides[key].append(known[key, flow])
        s = known[key, flow]
        equal(s.offset(seq), s.octets, "the generator's packets lie end to end")
        s.packets.append((s.octets, s.octets + octets, kind, octets))
        s.octets += octets
    return sides


def read_frames(file, sides):
    """Enters what was captured; returns {frame: (Side, from, to)}."""
    frames, at, number = {}, 24, 0
    octets = file.read_bytes()
    while at < len(octets):
        number += 1
        second, micro, kept = struct.unpack_from("=III", octets, at)
        frame, time = octets[at + 16:at + 16 + kept], second * 1000000 + micro
        at += 16 + kept
        if frame[12:14] == b"\x08\x00":
            ip_end, tcp = 14 + struct.unpack_from(">H", frame, 16)[0], 34
        else:
            ip_end, tcp = 54 + struct.unpack_from(">H", frame, 18)[0], 54
        source, target, seq, ack = struct.unpack_from(">HHII", frame, tcp)
        header = tcp + (frame[tcp + 12] >> 4) * 4
        length = ip_end - header
        key = (target, 1) if source == PORT else (source, 0)
        for side in sides[key]:
            if frame[tcp + 13] & 2 and side.first == (seq + 1) & 0xffffffff:
                side.opened = 0
        for side in sides[key[0], 1 - key[1]]:
            side.acknowledge(time, side.offset(ack))
        if length == 0:
            continue
        owners = [s for s in sides[key] if s.offset(seq) + length <= s.octets]
        equal(len(owners), 1, f"connections that frame {number} belongs to")
        side, start = owners[0], owners[0].offset(seq)
        end = start + min(length, kept - header)
        in_time = max(start, min(end, side.given_up(start, time)))
        if in_time < end:
            side.pieces.append((in_time, end, number))
        if end < start + length:
            side.cuts.append((end, start + length))
        side.note(side.reached, time, start + length)
        frames[number] = side, start, start + length
    return frames


def read_rows(capture, frames):
    """Enters the rows; returns the rules they are said to break. A row without a frame of its side goes to the side of its stream."""
    done = subprocess.run([program("mqdump"), "-r", capture, "-T", "json"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=300, check=False)
    equal((done.returncode, done.stderr), (0, b""), "status and stderr")
    accused, waiting, by_stream = collections.Counter(), collections.defaultdict(list), {}
    for number, line in enumerate(done.stdout.decode().splitlines()):
        row = json.loads(line)
        accused.update(row.get("mqtt.violation.rule", []))
        if "mqtt.msgtype" not in row:
            continue
        check(row["mqtt.len"] is not None, f"a packet without length: {line}")
        remaining = row["mqtt.len"]
        octets = 1 + (1 if remaining < 128 else 2 if remaining < 16384 else 3 if remaining < 2097152 else 4) + remaining
        stream = row["tcp.stream"], row["tcp.srcport"]
        numbers = row["frame.number"], row.get("mqtt.first_frame", row["frame.number"])
        held = [frames[n] for n in numbers if n in frames and frames[n][2] > frames[n][1]]
        entry = [(start, end) for _, start, end in held], row["mqtt.msgtype"], octets, row["frame.number"], number
        waiting[stream].append(entry)
        for side, _, _ in held:
            if side.key == (row["tcp.srcport"] if row["tcp.srcport"] != PORT else row["tcp.dstport"], int(row["tcp.srcport"] == PORT)):
                by_stream[stream] = side
    for stream, rows in waiting.items():
        check(stream in by_stream, f"rows of stream {stream} without any of its frames: {rows}")
        by_stream[stream].rows += rows
    return accused


def could_be(row, packet, whole):
    pieces, kind, octets = row[:3]
    first, end, packet_kind, packet_octets = packet
    if (kind, octets) != (packet_kind, packet_octets) or not any(a <= first < b for a, b in pieces):
        return False
    return not whole or any(a < end <= b for a, b in pieces)  # what ends in a hole is told with a frame behind it


def match(side, wanted, whole):
    """Pairs rows and packets, both in order, so that as many of the wanted packets as can be are found: (packets, rows nobody sent)."""
    best = {-1: (0, None)}  # last packet paired -> (wanted ones found, pairs as a linked list)
    invented = []
    starts = [p[0] for p in side.packets]
    for row in side.rows:
        after = {}
        near = set()
        for a, b in row[0]:
            near.update(range(max(0, bisect.bisect_left(starts, a)), bisect.bisect_left(starts, b)))
        for i in sorted(near):
            if could_be(row, side.packets[i], i in whole):
                before = max((v for j, v in best.items() if j < i), key=lambda v: v[0], default=None)
                if before is not None:
                    after[i] = before[0] + (i in wanted), (i, before[1])
        if after:
            best = after
        else:
            invented.append(row)
    found, pairs = set(), max(best.values(), key=lambda v: v[0])[1]
    while pairs is not None:
        found.add(pairs[0])
        pairs = pairs[1]
    return found, invented


def findings(capture, severities=("warning", "error")):
    """Those of the summary: also what no packet carries."""
    out = subprocess.run([program("mqdump"), "-r", capture, "-q", "-z", "stats", "-z", "findings", "-T", "json"], stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, timeout=300, check=True).stdout
    rows = [json.loads(line) for line in out.splitlines()]
    return [row for row in rows if row["stat"] == "findings" and row.get("severity") in severities]


def check_side(side, known_from):
    """known_from: frame of the packet of the connection that was told first; nobody knew before that it is MQTT."""
    name = f"side {side.key[1]} of port {side.key[0]}"
    runs, at, whole = side.captured(), 0, {}
    for i, (start, end, _, _) in enumerate(side.packets):
        while at < len(runs) and runs[at][1] < end:
            at += 1
        if at < len(runs) and runs[at][0] <= start:
            whole[i] = runs[at]
    first = {}
    for i, run in whole.items():
        first.setdefault(run, i)
    wanted = {i for i, run in whole.items() if (run[0] == 0 or first[run] != i) and run[2] >= known_from}
    found, invented = match(side, wanted, whole)
    equal(invented, [], f"{name}: rows that nobody sent")
    equal([(i, side.packets[i], whole[i]) for i in sorted(wanted - found)], [], f"{name}: captured whole and missed")
    return len(runs) - 1, len(whole)


def lose(file, share, seed):
    """Takes frames of any kind out of a capture: handshakes, acknowledgments and ends too."""
    octets, at, chance = file.read_bytes(), 24, random.Random(seed)
    kept = [octets[:24]]
    while at < len(octets):
        end = at + 16 + struct.unpack_from("=I", octets, at + 8)[0]
        if chance.random() >= share:
            kept.append(octets[at:end])
        at = end
    file.write_bytes(b"".join(kept))


def begin_later(file, seed, first=None):
    """Takes the first frames away, up to most of them: connections begin in their middle, segments out of order."""
    octets, at, records = file.read_bytes(), 24, []
    while at < len(octets):
        end = at + 16 + struct.unpack_from("=I", octets, at + 8)[0]
        records.append(octets[at:end])
        at = end
    if first is None:
        first = random.Random(seed).randrange(len(records) * 9 // 10)
    file.write_bytes(octets[:24] + b"".join(records[first:]))


def check_capture(options, share=0.0, later=False):
    capture, sent, truth = (pathlib.Path(tmp.name, "l" + end) for end in (".pcap", ".txt", ".json"))
    subprocess.run([program("generate"), *map(str, options), "-o", capture, "--packets", sent, "--truth", truth], check=True, timeout=120)
    if share > 0:
        lose(capture, share, str(options))
    if later:
        begin_later(capture, str(options), None if later is True else later)
    sides = read_sent(sent)
    accused = read_rows(capture, read_frames(capture, sides))
    holes, whole, first = 0, 0, {}
    everyone = [s for connections in sides.values() for s in connections]
    for row, flow in sorted((s.rows[0][4:] + (s.rows[0][3],), s.flow) for s in everyone if s.rows):
        first.setdefault(flow, row[1])
    for s in everyone:
        h, w = check_side(s, first.get(s.flow, 1 << 62))
        holes += h
        whole += w
    equal(dict(accused), {}, "rules said to be broken")
    equal(findings(capture), [], "findings that are no notes")
    return holes, whole


def add(*options, share=0.0, later=False):
    @case(f"generate {' '.join(map(str, options))}" + (f", {share:.0%} of all frames lost" if share > 0 else "") +
          (", the first frames not captured" if later else ""))
    def _():
        holes, whole = check_capture(options, share, later)
        check((holes > 0 or later) and whole > 20, f"{holes} holes, {whole} packets captured whole")


for seed in (1, 2, 102):
    for loss in (1000, 3000, 30000, 300000):
        add("--preset", "hostile", "--scale", 0.05, "--seed", seed, "--loss", loss)
for seed in (101, 103, 115):  # octets in front of a true packet that look like a short or long one, borders inside the length field
    add("--preset", "hostile", "--scale", 0.05, "--seed", seed, "--loss", 300000 if seed != 103 else 30000, "--hdrcut")
add("--preset", "hostile", "--scale", 0.1, "--seed", 2016, "--loss", 30000)  # a hole of which the peer acknowledged a part
for seed in (102, 105, 115):  # half a CONNECT whose Client Identifier, will and user name look like a PUBLISH; a CONNECT cut by a hole
    add("--preset", "small", "--scale", 0.1, "--seed", seed, "--loss", 300000, *(["--hdrcut"] if seed % 2 else []))
for preset, scale in (("small", 0.2), ("telemetry", 0.005), ("dense", 0.005), ("fleet", 0.01), ("fat", 0.05)):
    add("--preset", preset, "--scale", scale, "--loss", 10000)
for preset, scale in (("hostile", 0.05), ("small", 0.1), ("fleet", 0.005)):
    for share in (0.01, 0.05, 0.3):
        add("--preset", preset, "--scale", scale, "--seed", 6, "--midstream", 0, share=share)
for seed in (407, 415):  # the end of a Client Identifier and a user name that look like a PUBLISH
    add("--preset", "hostile", "--scale", 0.05, "--seed", seed, "--midstream", 0, share=0.3)
for seed in (2, 4, 6, 11):  # the first segment captured is not the first one sent
    add("--preset", "hostile", "--scale", 0.05, "--seed", seed, "--midstream", 0, later=True)
add("--preset", "fat", "--scale", 0.04, "--seed", 908, "--midstream", 0, later=1404)  # DISCONNECT alone behind half a payload


def cut(file, snaplen):
    octets, at = file.read_bytes(), 24
    kept = [octets[:24]]
    while at < len(octets):
        size = struct.unpack_from("=I", octets, at + 8)[0]
        kept += octets[at:at + 8], struct.pack("=I", min(size, snaplen)), octets[at + 12:at + 16 + min(size, snaplen)]
        at += 16 + size
    file.write_bytes(b"".join(kept))


def add_less(preset, scale, seed, how, *arguments):
    """Notes too: what the whole capture does not tell, a part of it must not."""
    @case(f"generate --preset {preset} --seed {seed}, {how.__name__} {arguments}: what was not captured is held against nobody")
    def _():
        capture = pathlib.Path(tmp.name, "s.pcap")
        subprocess.run([program("generate"), "--preset", preset, "--scale", str(scale), "--seed", str(seed), "-o", capture, "--truth",
                        "/dev/null"], check=True, timeout=120)
        whole = collections.Counter(row["name"] for row in findings(capture, ("note", "warning", "error")))
        how(capture, *arguments)
        part = collections.Counter(row["name"] for row in findings(capture, ("note", "warning", "error")))
        rows = subprocess.run([program("mqdump"), "-r", capture, "-T", "json"], stdout=subprocess.PIPE, timeout=300,
                              check=True).stdout.splitlines()
        check(len(rows) > 1000, f"{len(rows)} rows")
        equal(sum(b'"mqtt.violation.rule"' in row for row in rows), 0, "rows that accuse")
        equal(dict(part - whole), {}, "findings that the whole capture does not have")


add_less("small", 0.1, 200, cut, 128)
add_less("hostile", 0.05, 200, cut, 90)  # the octets that set a Topic Alias
add_less("hostile", 0.05, 300, cut, 250)  # DISCONNECT
add_less("small", 0.1, 300, lose, 0.02, 300)  # likewise, and the server closes first
add_less("telemetry", 0.003, 300, begin_later, 300)


with tmp:
    harness.main()
