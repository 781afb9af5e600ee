#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Captures that lack something accuse nobody: what mqdump says of a whole capture is all that it may say of one that begins late,
ends early, has one direction alone, lost records, records in another order, twice, or cut.

Only packets are taken away or moved, so a warning or error that the whole capture does not have (of the same client) is invented.
Each capture here is one where real brokers and clients talked; the changes are made with a fixed seed.
"""
import collections
import gzip
import json
import pathlib
import random
import struct
import tempfile

import harness
from harness import CAPTURES, case, check

WHOLE = ["mqtt_conduct_mosquitto.pcap.gz", "mqtt5_flow_mqbroker.pcap", "mqtt311_basics.pcap", "mqtt5_everything_mosquitto.pcap",
         "mqtt311_qos2_killed.pcap", "mqtt5_qos2_killed.pcap", "founding_guarded_qos1.pcap", "mqtt_auth_acl.pcap"]
SWAPPED_US = 5000  # a capture puts records in the wrong order that were taken close together
tmp = tempfile.TemporaryDirectory(prefix="mqshark-perturbed-")


class Record:
    def __init__(self, time_us, octets, length):
        self.time_us, self.octets, self.length = time_us, octets, length


def read(name):
    raw = (CAPTURES / name).read_bytes()
    raw = gzip.decompress(raw) if name.endswith(".gz") else raw
    check(raw[:4] == b"\xd4\xc3\xb2\xa1", f"{name}: little-endian, microseconds")
    records, at = [], 24
    while at + 16 <= len(raw):
        seconds, us, held, length = struct.unpack_from("<IIII", raw, at)
        records.append(Record(seconds * 1000000 + us, raw[at + 16:at + 16 + held], length))
        at += 16 + held
    return raw[:24], records


def loud(header, records, *options):
    """(name, side, client) of every warning and error."""
    file = pathlib.Path(tmp.name, "capture.pcap")
    file.write_bytes(header + b"".join(struct.pack("<IIII", *divmod(r.time_us, 1000000), len(r.octets), r.length) + r.octets for r in records))
    result = harness.run("mqdump", "-q", "-r", file, "-T", "json", "-z", "findings", *options)
    check(result.status == 0, result)
    rows = [json.loads(line) for line in result.out.splitlines()]
    return {(r["name"], r["side"], r["client_id"]): r["message"] for r in rows if r["severity"] != "note"}


def ports(record):
    """Source and destination of TCP over IPv4 over Ethernet."""
    header = 14 + (record.octets[14] & 15) * 4
    return struct.unpack_from(">HH", record.octets, header)


def of_one_side(records, clients):
    server = {ports(r)[1] for r in records if r.octets[14 + (r.octets[14] & 15) * 4 + 13] & 0x12 == 2}  # SYN without ACK
    return [r for r in records if (ports(r)[1] in server) == clients]


def late(records, dice):
    return records[dice.randrange(len(records)):]


def early(records, dice):
    return records[:dice.randrange(1, len(records))]


def lossy(records, dice):
    return [r for r in records if dice.randrange(40) > 0]


def swapped(records, dice):
    out = list(records)
    for _ in range(max(1, len(out) // 10)):
        i = dice.randrange(len(out) - 1)
        a, b = out[i], out[i + 1]
        if b.time_us - a.time_us < SWAPPED_US:
            out[i], out[i + 1] = Record(a.time_us, b.octets, b.length), Record(b.time_us, a.octets, a.length)
    return out


def doubled(records, dice):
    return [r for record in records for r in ([record, record] if dice.randrange(20) == 0 else [record])]


def cut(records, dice):
    snaplen = dice.choice((70, 74, 80, 96, 120))
    return [Record(r.time_us, r.octets[:snaplen], r.length) for r in records]


def add(name):
    @case(f"{name}: what is missing is held against nobody")
    def _():
        header, records = read(name)
        whole, dice = loud(header, records), random.Random(name)
        changes = [("the clients alone", of_one_side(records, True)), ("the server alone", of_one_side(records, False))]
        for change in (late, early, lossy, swapped, doubled, cut):
            changes += [(f"{change.__name__}, {n}", change(records, dice)) for n in range(6)]
        for what, left in changes:
            invented = {k: v for k, v in loud(header, left).items() if k not in whole}
            check(not invented, f"{what}: {invented}")


@case("records that are missing in front of the first packet of TLS are held against nobody")
def _():
    for name in ("mqtt311_tls12", "mqtt311_tls12_npm", "mqtt5_tls13"):
        header, records = read(f"{name}.pcap")
        key = "-o", f"tls.keylog_file:{CAPTURES / name}.keylog"
        whole = loud(header, records, *key)
        for i in range(min(len(records), 24)):
            for j in range(i + 1, min(len(records), i + 3)):
                left = records[:i] + records[i + 1:j] + records[j + 1:]
                invented = {k: v for k, v in loud(header, left, *key).items() if k not in whole}
                check(not invented, f"{name} without records {i + 1} and {j + 1}: {invented}")


@case("a DISCONNECT that is missing shows in the sequence number of the RST behind it")
def _():
    header, records = read("mqtt5_limits_reasons.pcap")
    whole = loud(header, records)
    for i, gone in enumerate(records):
        if gone.octets[-3:] == b"\xe0\x01\x95":
            break
    invented = {k: v for k, v in loud(header, records[:i] + records[i + 1:]).items() if k not in whole}
    check(not invented, f"without record {i + 1}: {invented}")


def told(header, records):
    """Client or not, type and length of every packet."""
    file = pathlib.Path(tmp.name, "capture.pcap")
    file.write_bytes(header + b"".join(struct.pack("<IIII", *divmod(r.time_us, 1000000), len(r.octets), r.length) + r.octets for r in records))
    result = harness.run("mqdump", "-r", file, "-T", "json", "-Y", "mqtt.msgtype")
    check(result.status == 0, result)
    return collections.Counter((r["tcp.dstport"] == 9001, r["mqtt.msgtype"], r["mqtt.len"]) for r in map(json.loads, result.out.splitlines()))


@case("WebSocket goes on behind a hole")
def _():
    for name, first in (("mqtt311_websocket_mosquitto", 6), ("mqtt5_websocket_mosquitto", 6)):
        header, records = read(f"{name}.pcap")
        whole = told(header, records)
        for i in range(first - 1, len(records)):
            if len(records[i].octets) <= 66:  # no octets of the stream
                continue
            part = told(header, records[:i] + records[i + 1:])
            check(not part - whole, f"{name} without record {i + 1}: {part - whole} is new")
            check((whole - part).total() <= 2, f"{name} without record {i + 1}: {whole - part} are missing")


for each in WHOLE:
    add(each)

with tmp:
    harness.main()
