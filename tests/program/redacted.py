#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""-w with --redact: the recording reads back as the same conversation with the same faults, and nothing masked is left in it."""
import collections
import json
import pathlib
import re
import subprocess
import tempfile

import harness
from harness import CAPTURES, case, check, equal, run

scratch = tempfile.TemporaryDirectory(prefix="mqshark-redacted-")  # gone when the program ends
tmp = pathlib.Path(scratch.name)
NAMES = ["mqtt5_everything_mosquitto", "mqtt311_basics", "mqtt311_qos2_killed", "mqtt311_protocol_errors", "mqtt5_protocol_errors",
         "mqtt5_limits_reasons", "mqtt_auth_acl", "der_reordered_duplicated", "der_missing_segment", "der_vlan", "der_rawip_bigendian",
         "mqtt311_any_sll2", "mqtt5_basics_ipv6", "mqtt5_snaplen96", "arkime__mqtt_big"]
SHAPE = ["mqtt.msgtype", "mqtt.hdrflags", "mqtt.len", "mqtt.msgid", "mqtt.topic_len", "mqtt.clientid_len", "mqtt.property_id", "mqtt.violation.rule",
         "mqtt.gap", "mqtt.flow.kind", "mqtt.flow.state", "tcp.srcport", "tcp.dstport"]
SECRET = ["mqtt.clientid", "mqtt.username", "mqtt.passwd", "mqtt.topic", "mqtt.willtopic", "mqtt.msg_text", "mqtt.willmsg_text",
          "mqtt.property.user_property.value", "mqtt.property.response_topic", "mqtt.property.reason_string"]


def rows(file):
    result = run("mqdump", "-r", file, "-T", "json", "--show-secrets")
    equal((result.status, result.err), (0, b""), f"reading {file}")
    return [json.loads(line) for line in result.out.splitlines()]


def shape(file):
    return [{key: row.get(key) for key in SHAPE} for row in rows(file)]


def findings(file):
    """Without those on payloads, which are not text any more or have become it."""
    lines = run("mqdump", "-q", "-r", file, "-z", "findings", "-T", "json").out.splitlines()
    return collections.Counter(tuple(json.loads(line)[k] for k in ("name", "severity", "side")) for line in lines)


def checksums(file, ports):
    done = subprocess.run(["tshark", "-n", "-r", str(file), "-o", "tcp.check_checksum:TRUE", "-T", "fields", "-e", "tcp.srcport", "-e", "tcp.dstport",
                           "-e", "tcp.checksum.status"], capture_output=True, timeout=60, check=True)
    lines = [line.split("\t") for line in done.stdout.decode().splitlines()]
    return [line[2] for line in lines if {line[0], line[1]} & ports]


def words(file):
    """What people would recognise: levels of topics, names and texts of five letters or more."""
    found = set()
    for row in rows(file):
        for key in SECRET:
            values = row.get(key, [])
            for value in values if isinstance(values, list) else [values]:
                found |= {word.encode() for word in re.findall(r"(?<![$\w])[\w.-]{5,}", value)}
    return found


def add(name):
    @case(name)
    def _():
        source = next(CAPTURES.glob(name + ".pcap*"))
        target = tmp / (name + ".pcapng")
        result = run("mqdump", "-q", "-r", source, "-w", target, "--redact", "all")
        equal((result.status, result.err), (0, b""), "status and stderr")
        before, after = shape(source), shape(target)
        equal(len(after), len(before), "packets")
        for number, (one, other) in enumerate(zip(before, after), 1):
            equal(other, one, f"packet {number}")
        equal(findings(target), findings(source), "findings")
        ports = {str(row["tcp.srcport"]) for row in rows(source)} - {"1883"}
        equal(checksums(target, ports), checksums(source, ports), "checksum states")
        octets = target.read_bytes()
        secrets = words(source)
        check(len(secrets) >= 3, f"words to look for: {secrets}")
        left = [word for word in secrets if word in octets]
        check(not left, f"left in the recording: {left[:10]}")


for each in NAMES:
    add(each)


@case("only what was asked for is masked, the same value the same way")
def _():
    target = tmp / "clients.pcapng"
    run("mqdump", "-q", "-r", "mqtt5_everything_mosquitto.pcap", "-w", target, "--redact", "clientids")
    before, after = rows("mqtt5_everything_mosquitto.pcap"), rows(target)
    masks = collections.defaultdict(set)
    for one, other in zip(before, after):
        equal(other.get("mqtt.topic"), one.get("mqtt.topic"), "topic")
        equal(other.get("mqtt.msg"), one.get("mqtt.msg"), "payload")
        if one.get("mqtt.clientid"):
            masks[one["mqtt.clientid"]].add(other["mqtt.clientid"])
    check(len(masks) >= 5 and all(len(m) == 1 for m in masks.values()), masks)
    equal(len({next(iter(m)) for m in masks.values()}), len(masks), "masks that differ")


@case("with -Y: the connections of matching packets, masked whole")
def _():
    target = tmp / "one.pcapng"
    run("mqdump", "-q", "-r", "mqtt5_everything_mosquitto.pcap", "-w", target, "--redact", "all", "-Y", 'mqtt.clientid == "willer"')
    kept = rows(target)
    equal({row["tcp.stream"] for row in kept}, {0}, "connections")
    check(b"willer" not in target.read_bytes() and any(row["mqtt.msgtype"] == 1 for row in kept), "masked")


harness.main()
