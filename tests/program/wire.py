#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""TCP as networks give it, frame by frame: mqdump's rows of small conversations whose segments come oddly. What links and tunnels carry
it is in tests/capture/test_ip.c, losses are in losses.py."""
import json
import pathlib
import struct
import tempfile

import harness
from harness import case, check, equal, run

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
CONNECT = bytes.fromhex("100d00044d515454040200 3c000163")
CONNACK, SUBSCRIBE, SUBACK = bytes.fromhex("20020000"), bytes.fromhex("820600010001 7401"), bytes.fromhex("9003000101")
PUBLISH, PUBACK, DISCONNECT = bytes.fromhex("320700017400076869"), bytes.fromhex("40020007"), bytes.fromhex("e000")
WHOLE = ["1", "2", "8", "9", "3", "4", "14"]
LATER = "later copy with other octets"
tmp = tempfile.TemporaryDirectory(prefix="mqshark-wire-")


def segment(side, seq, ack, flags, data=b"", port=40000, length_known=True):
    """A frame of IPv4 over Ethernet; side 0 is the client."""
    ports, addresses = (port, 1883), (b"\x0a\0\0\1", b"\x0a\0\0\2")
    tcp = struct.pack(">HHIIBBHHH", ports[side], ports[1 - side], seq & 0xffffffff, ack & 0xffffffff, 5 << 4, flags, 9000, 0, 0) + data
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp) if length_known else 0, 0, 0, 64, 6, 0, addresses[side], addresses[1 - side])
    return bytes(12) + b"\x08\0" + ip + tcp


def conversation(first=(1000, 5000), begun=True, ended=True, port=40000):
    at, frames = list(first), []

    def send(side, flags, data=b""):
        frames.append(segment(side, at[side], at[1 - side] if flags & ACK else 0, flags, data, port))
        at[side] += len(data) + (1 if flags & (SYN | FIN) else 0)

    if begun:
        send(0, SYN)
        send(1, SYN | ACK)
        send(0, ACK)
    for side, data in ((0, CONNECT), (1, CONNACK), (0, SUBSCRIBE), (1, SUBACK), (0, PUBLISH), (1, PUBACK), (0, DISCONNECT)):
        send(side, PSH | ACK, data)
    if ended:
        send(0, FIN | ACK)
        send(1, FIN | ACK)
        send(0, ACK)
    return frames


def write(frames, step_us=1000, link=1):
    file = pathlib.Path(tmp.name, "w.pcap")
    out = struct.pack("=IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 262144, link)
    for number, frame in enumerate(frames):
        time = 1700000000000000 + number * step_us
        out += struct.pack("=IIII", time // 1000000, time % 1000000, len(frame), len(frame)) + frame
    file.write_bytes(out)
    return file


def types(frames, want, *, streams=None):
    done = run("mqdump", "-r", write(frames), "-T", "fields", "-e", "mqtt.msgtype", "-e", "tcp.stream", "-e", "mqtt.violation.rule")
    equal((done.status, done.err), (0, b""), "status and stderr")
    rows = [line.split("\t") for line in done.out.decode().splitlines()]
    equal([row[0] for row in rows], want, "packets")
    equal([row[2] for row in rows if row[2]], [], "rules said to be broken")
    if streams is not None:
        equal(sorted({row[1] for row in rows}), [str(n) for n in range(streams)], "connections")


def add(name, frames, want, streams=1):
    @case(name)
    def _():
        types(frames, want, streams=streams)


C, L = CONNECT, len(CONNECT)
OPEN = [segment(0, 1000, 0, SYN), segment(1, 5000, 1001, SYN | ACK), segment(0, 1001, 5001, ACK)]
UP = OPEN + [segment(0, 1001, 5001, PSH | ACK, C), segment(1, 5001, 1001 + L, PSH | ACK, CONNACK)]
LARGE = b"\x30" + bytes([90003 & 127 | 128, 90003 >> 7 & 127 | 128, 90003 >> 14]) + b"\0\1t" + b"x" * 90000

add("in order", conversation(), WHOLE)
add("the sequence numbers wrap in both directions", conversation((2**32 - 10, 2**32 - 3)), WHOLE)
add("from the middle, at a border", conversation(begun=False), WHOLE)
add("ports used again at once: after FIN, and with the sequence numbers of the first time",
    conversation() + conversation((90000, 95000)) + conversation(), WHOLE * 3, 3)
add("ports used again without an end of the connection before", conversation(ended=False) + conversation((90000, 95000)), WHOLE * 2, 2)
add("ports used again with lower sequence numbers", conversation((2**31 + 100000, 2**31), ended=False) + conversation((100, 200)), WHOLE * 2, 2)
add("data in the SYN, taken", [segment(0, 1000, 0, SYN, C), segment(1, 5000, 1001 + L, SYN | ACK), segment(0, 1001 + L, 5001, ACK),
                               segment(1, 5001, 1001 + L, PSH | ACK, CONNACK), segment(0, 1001 + L, 5005, PSH | ACK, DISCONNECT)], ["1", "2", "14"])
add("data in the SYN, not taken and sent again",
    [segment(0, 1000, 0, SYN, C), segment(1, 5000, 1001, SYN | ACK), segment(0, 1001, 5001, PSH | ACK, C),
     segment(1, 5001, 1001 + L, PSH | ACK, CONNACK)], ["1", "2"])
add("data in the SYN and in its answer", [segment(0, 1000, 0, SYN, C), segment(1, 5000, 1001 + L, SYN | ACK, CONNACK),
                                          segment(0, 1001 + L, 5005, PSH | ACK, DISCONNECT)], ["1", "2", "14"])
add("simultaneous open", [segment(0, 1000, 0, SYN), segment(1, 5000, 0, SYN), segment(0, 1000, 5001, SYN | ACK), segment(1, 5000, 1001, SYN | ACK),
                          segment(0, 1001, 5001, PSH | ACK, C), segment(1, 5001, 1001 + L, PSH | ACK, CONNACK)], ["1", "2"])
add("keepalive probes with and without an octet, probes of a zero window",
    UP + [segment(0, 1000 + L, 5005, ACK, b"\0"), segment(1, 5005, 1001 + L, ACK), segment(0, 1000 + L, 5005, ACK), segment(1, 5004, 1001 + L, ACK, b"z"),
          segment(0, 1001 + L, 5005, ACK, SUBSCRIBE[:1]), segment(1, 5005, 1001 + L, ACK), segment(0, 1001 + L, 5005, ACK, SUBSCRIBE[:1]),
          segment(0, 1001 + L, 5005, PSH | ACK, SUBSCRIBE), segment(1, 5005, 1001 + L + len(SUBSCRIBE), PSH | ACK, SUBACK)], ["1", "2", "8", "9"])
add("a reset instead of the end", conversation(ended=False)[:-1] + [segment(1, 5013, 0, RST)], WHOLE[:-1])
add("one direction: the client", [f for f in conversation() if f[26:30] == b"\x0a\0\0\1"], ["1", "8", "3", "14"])
add("one direction: the server", [f for f in conversation() if f[26:30] == b"\x0a\0\0\2"], ["2", "9", "4"])
add("a segment above 64 KiB, as offload leaves it", UP + [segment(0, 1001 + L, 5005, PSH | ACK, LARGE, length_known=False),
                                                          segment(0, 1001 + L + len(LARGE), 5005, PSH | ACK, DISCONNECT)], ["1", "2", "3", "14"])
add("everything twice", [f for f in conversation() for _ in range(2)], WHOLE)
add("everything twice, the second time in larger and smaller segments",
    UP + [segment(0, 1001, 5005, ACK, C + SUBSCRIBE), segment(0, 1001 + L, 5005, ACK, SUBSCRIBE[:3]), segment(0, 1001, 5005, ACK, C + SUBSCRIBE)],
    ["1", "2", "8"])

# the same octets of the stream twice, and not the same: "hi" and "HI" in the payload of PUBLISH, whose place is 20 in the stream
OTHER = PUBLISH[:7] + b"HI"


def differing(first, later):
    """The PUBLISH in order, or before what comes before it; then once more."""
    rest = [segment(1, 5005, 1001 + L + len(PUBLISH), PSH | ACK, PUBACK)]
    return UP + first + later + rest


CASES = {
    "passed on": differing([segment(0, 1001 + L, 5005, PSH | ACK, PUBLISH)], [segment(0, 1001 + L, 5005, PSH | ACK, OTHER)]),
    "held": differing([segment(0, 1003 + L, 5005, PSH | ACK, PUBLISH[2:])],
                      [segment(0, 1003 + L, 5005, PSH | ACK, OTHER[2:]), segment(0, 1001 + L, 5005, PSH | ACK, PUBLISH[:2])]),
}
for name, frames in CASES.items():
    @case(f"a later copy with other octets, the first one {name}: the first one counts, and a note says so")
    def _(frames=frames):
        capture = write(frames)
        offset = L + len(PUBLISH) - 2
        rows = [json.loads(line) for line in run("mqdump", "-r", capture, "-T", "json").out.splitlines()]
        equal([r["mqtt.msg_text"] for r in rows if r.get("mqtt.msgtype") == 3], ["hi"], "the payload")
        notes = [(r["frame.number"], r["mqtt.gap"], r["mqtt.gap_skipped"]) for r in rows if r.get("mqtt.gap_reason") == LATER]
        equal(notes, [(7, 0, 0)], "JSON: frame of the later copy; nothing is missing")
        text = run("mqdump", "-r", capture).out.decode()
        equal(text.count(f"-- {LATER} --"), 1, "lines of text")
        events = [json.loads(line) for line in run("mqdump", "-r", capture, "-T", "eve").out.splitlines()]
        found = [e["mqtt_finding"] for e in events if e["event_type"] == "mqtt_finding"]
        equal([(f["severity"], f["side"], f["frames"]) for f in found if f["name"] == "octets-differ"], [("note", "client", [6, 7])], "EVE")
        equal([e["mqtt_gap"] for e in events if e["event_type"] == "mqtt_gap"], [{"octets": 0, "skipped": 0, "reason": LATER}], "EVE")
        table = run("mqdump", "-r", capture, "-q", "-z", "findings").out.decode()
        check("octets-differ" in table and "Frame 7 has" in table and f"octet {offset} of" in table, f"-z findings without frame and place: {table}")
        equal([r.get("mqtt.violation.rule") for r in rows if r.get("mqtt.violation.rule")], [], "rules said to be broken")
        figures = run("mqdump", "-r", capture, "-q", "-z", "stats").out.decode()
        check("segments that differ from their first copy                  1\n" in figures, figures)


@case("a packet that comes slowly is no silence of its sender, and no answer behind it is late")
def _():
    ping, pongs, up, down, frames = b"\xc0\0", b"\xd0\0", 1001 + L, 5005, list(UP)
    for i in range(0, len(LARGE), 1000):  # three minutes, with a Keep Alive of one
        piece = LARGE[i:i + 1000] + (ping if i + 1000 >= len(LARGE) else b"")
        frames += [segment(0, up, down, PSH | ACK, piece), segment(1, down, up + len(piece), ACK)]
        up += len(piece)
    for i in range(0, len(LARGE), 1000):  # the answer to the first comes before it, those to the others behind
        piece = (pongs if i == 0 else b"") + LARGE[i:i + 1000]
        frames += [segment(1, down, up, PSH | ACK, piece)]
        down += len(piece)
        if i in (0, 45000):
            frames += [segment(0, up, down, PSH | ACK, ping)]
            up += len(ping)
    frames += [segment(1, down, up, PSH | ACK, 2 * pongs), segment(0, up, down + 4, PSH | ACK, DISCONNECT)]
    done = run("mqdump", "-r", write(frames, step_us=1000000), "-q", "-z", "findings")
    check(b"\n0 errors\n0 warnings\n" in done.out, done.out.decode())


@case("no clean capture has a copy that differs")
def _():
    for capture in sorted(harness.CAPTURES.glob("*.pcap*")):
        if capture.suffix in (".pcap", ".pcapng", ".gz"):
            out = run("mqdump", "-r", capture, "-Y", f'mqtt.gap_reason == "{LATER}"').out
            equal(out, b"", capture.name)


def split(at, *, late=False):
    """A conversation whose frame `at` comes in two parts, the first of one octet, late: the second part first."""
    frames = conversation()
    whole = frames[at]
    seq, ack = struct.unpack(">II", whole[38:46])
    parts = [segment(0, seq, ack, PSH | ACK, whole[54:55]), segment(0, seq + 1, ack, PSH | ACK, whole[55:])]
    return frames[:at] + (parts[::-1] if late else parts) + frames[at + 1:]


BUDGETS = {
    "connections:1": ([f for pair in zip(conversation(), conversation(port=40001)) for f in pair], "connections forgotten for room",
                      "connections were forgotten early"),
    "order:1": (split(5, late=True), "holes given up for room", "out-of-order segments were given up"),
    "packet:1": (split(7), "packets of which only a part was kept", "packets were kept and decoded only in part"),
    "packets:1": (split(3), "connections given up undecided for room", "connections were given up before it was clear"),
    "tracker:1": ([f for pair in zip(conversation(), conversation(port=40001)) for f in pair], "sessions forgotten for room",
                  "sessions, exchanges and their connections were forgotten early"),
}


@case("a budget that is reached is said at the end and counted in -z stats; one that is not is not")
def _():
    for budget, (frames, figure, said) in BUDGETS.items():
        capture = write(frames)
        for options, reached in (([], False), (["--budget", budget], True)):
            done = run("mqdump", "-r", capture, "-q", "-z", "stats", *options)
            count = next(int(line.split()[-1]) for line in done.out.decode().splitlines() if line.startswith(figure))
            equal((count > 0, said in done.err.decode()), (reached, reached), f"{budget}, {options}: counted, said: {done}")


@case("frames of an encrypted Wi-Fi are no silent nothing")
def _():
    snap = b"\xaa\xaa\x03\0\0\0"
    for flags, rows, said in ((0x01, len(WHOLE), b""), (0x41, 0, b"mqdump: 13 frames of the Wi-Fi are encrypted: what they carry is not seen\n")):
        frames = [bytes((0x08, flags)) + bytes(22) + snap + frame[12:] for frame in conversation()]
        done = run("mqdump", "-r", write(frames, link=105))
        equal((len(done.out.splitlines()), done.err), (rows, said), f"flags {flags:#x}: rows and stderr")


with tmp:
    harness.main()
