#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mqdump on generated captures (tests/bench/gen.h) gives the generator's counts exactly: packets by type, side, version and QoS,
connections, octets, complete QoS 1 and QoS 2 handshakes; nothing malformed, no gap. Small scales here; tests/bench/exact has the full
ones."""
import collections
import json
import pathlib
import subprocess
import tempfile

import harness
from harness import case, check, equal, program

NAMES = [None, "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK",
         "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH"]
COLUMNS = ["mqtt.msgtype", "mqtt.ver", "mqtt.qos", "tcp.srcport", "tcp.stream", "mqtt.len", "mqtt.violation.rule", "mqtt.clientid"]
PORT = "1883"
tmp = tempfile.TemporaryDirectory(prefix="mqshark-generated-")


def generate(*options):
    capture, truth = pathlib.Path(tmp.name, "g.pcap"), pathlib.Path(tmp.name, "g.json")
    subprocess.run([program("generate"), *map(str, options), "-o", capture, "--truth", truth], check=True, timeout=120)
    return capture, json.loads(truth.read_text(encoding="utf-8"))


def counted(capture):
    """What mqdump -T fields shows, in the words of the generator's truth."""
    done = subprocess.run([program("mqdump"), "-r", str(capture), "-T", "fields", *[a for c in COLUMNS for a in ("-e", c)]],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300, check=False)
    equal((done.returncode, done.stderr), (0, b""), "status and stderr")
    types, qos, seen = collections.Counter(), [0, 0, 0], collections.Counter()
    streams, accused = set(), collections.Counter()
    for line in done.stdout.decode().splitlines():
        kind, version, level, port, stream, length, rules, _ = line.split("\t")
        if not kind:
            seen["gaps"] += 1
            continue
        types[NAMES[int(kind)]] += 1
        streams.add(stream)
        seen["mqtt_packets"] += 1
        seen["mqtt_v5_packets"] += version == "5"
        seen["server_to_client" if port == PORT else "client_to_server"] += 1
        seen["mqtt_bytes"] += int(length) + 1 + (1 if int(length) < 128 else 2 if int(length) < 16384 else 3 if int(length) < 2097152 else 4)
        if kind == "3":
            qos[int(level)] += 1
        accused.update(r for r in rules.split(",") if r)
    return types, qos, seen, streams, accused


def handshakes(capture):
    """{"qos1": complete ones, "qos2": likewise} of -z exchanges."""
    table = subprocess.run([program("mqdump"), "-r", str(capture), "-q", "-z", "exchanges"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           timeout=300, check=True).stdout.decode().split("\n\n")[0]
    rows = [line.split() for line in table.splitlines()]
    return {row[0]: int(row[1]) for row in rows if row[0] in ("qos1", "qos2")}


def add(*options):
    @case(f"generate {' '.join(map(str, options))}")
    def _():
        capture, truth = generate(*options)
        types, qos, seen, streams, accused = counted(capture)
        equal(dict(types), {k: v for k, v in truth["types"].items() if v}, "packets by type")
        equal(qos, truth["publish_qos"], "PUBLISH by QoS")
        for key in ("mqtt_packets", "mqtt_v5_packets", "client_to_server", "server_to_client", "mqtt_bytes"):
            equal(seen[key], truth[key], key)
        equal(len(streams), truth["flows"], "connections")
        equal((seen["gaps"], dict(accused)), (0, {}), "gaps and rules broken")
        equal(handshakes(capture), {"qos1": truth["qos1_complete"], "qos2": truth["qos2_complete"]}, "complete handshakes")


def add_loss(preset, scale, seed):
    @case(f"generate {preset} with lost segments, seed {seed}: gaps are told, nothing is invented")
    def _():
        options = ["--preset", preset, "--scale", scale, "--seed", seed, "--midstream", 0]
        capture, truth = generate(*options, "--loss", 3000)  # its counts are what was sent
        check(truth["lost_segments"] > 5, f"only {truth['lost_segments']} lost")
        types, _, seen, _, accused = counted(capture)
        check(seen["gaps"] > 0, "no gap told")
        for name, count in types.items():
            check(count <= truth["types"][name], f"{count} {name}, but only {truth['types'][name]} were sent")
        check(seen["mqtt_packets"] > truth["mqtt_packets"] * 0.9, f"{seen['mqtt_packets']} of {truth['mqtt_packets']} packets found")
        equal(dict(accused), {}, "rules said to be broken")


for preset, scale in (("small", 0.2), ("telemetry", 0.01), ("dense", 0.005), ("fleet", 0.01), ("fat", 0.05), ("hostile", 0.05)):
    add("--preset", preset, "--scale", scale)
    add("--preset", preset, "--scale", scale, "--hdrcut", "--seed", 2)
for seed in (3, 4):
    add("--preset", "hostile", "--scale", 0.05, "--seed", seed)
    add_loss("small", 0.2, seed)
    add_loss("hostile", 0.05, seed)

with tmp:
    harness.main()
