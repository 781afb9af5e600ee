#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mqdump against the logs of the clients that were recorded: what each connection sent, in order, and what it received.

The logs were written by the clients themselves, without any dissector: a second witness beside tshark, and the only one where tshark
sees less (cut frames, holes). Derived captures (der_*) are held against the log of the capture they were made from.
"""
import ast
import json
import re

import harness
from harness import CAPTURES, case, check, equal
from packets import listed

TYPES = {name: number for number, name in enumerate(
    "CONNECT CONNACK PUBLISH PUBACK PUBREC PUBREL PUBCOMP SUBSCRIBE SUBACK UNSUBSCRIBE UNSUBACK PINGREQ PINGRESP DISCONNECT AUTH".split(), 1)}
LINE = re.compile(r"^ *[\d.]+  (\S+) +(.*)$")
TWO_IN_ONE = "two PUBLISH (u/m1, u/m2) and PINGREQ in one TCP segment"
DERIVED = {"der_null_nanosecond.pcap": "mqtt311_basics", "der_pcapng.pcapng": "mqtt311_basics", "der_rawip_bigendian.pcap": "mqtt311_basics",
           "der_vlan.pcap": "mqtt311_basics", "der_reordered_duplicated.pcap": "mqtt311_basics",
           "der_missing_segment.pcap": "mqtt311_basics"}
OWN = ["mqtt31_basics.pcap", "mqtt311_basics.pcap", "mqtt311_any_sll1.pcap", "mqtt311_any_sll2.pcap", "mqtt5_basics_ipv6.pcap",
       "mqtt5_snaplen96.pcap", "mqtt311_qos2_killed.pcap", "mqtt5_qos2_killed.pcap", "mqtt311_keepalive_will.pcap",
       "mqtt5_keepalive_will.pcap", "mqtt5_everything_mosquitto.pcap", "mqtt5_limits_reasons.pcap", "mqtt_auth_acl.pcap",
       "mqtt_versions_mosquitto.pcap", "mqtt_versions_rabbitmq.pcap", "mqtt5_auth_exchange.pcap"]


def packet_of(text):
    """(type, id or None, topics or None) of what follows > or <; None where it is no packet."""
    word = text.split(" ", 1)[0]
    if word == "bytes":
        return int(text.split()[1][:1], 16), None, None
    if word not in TYPES:
        return None
    number = re.search(r" id=(\d+)", text)
    topic = re.search(r" topic=('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")", text)
    topics = [ast.literal_eval(topic.group(1))] if topic else None
    listing = re.search(r"id=\d+ (\[.*?\])(?: props=|$)", text)
    if word in ("SUBSCRIBE", "UNSUBSCRIBE") and listing:
        topics = [entry[0] if isinstance(entry, tuple) else entry for entry in ast.literal_eval(listing.group(1))]
    return TYPES[word], int(number.group(1)) if number else None, topics


def by_log(name):
    """(client address, port) -> ([sent], [received]), and the lines that say nothing of a packet."""
    connections, current = {}, {}
    for line in (CAPTURES / f"{name}.truth.txt").read_text(encoding="utf-8").splitlines():
        match = LINE.match(line)
        if not match:
            continue
        who, text = match.groups()
        opened = re.match(r"TCP connect from (\S+) port (\d+) ", text)
        if opened:
            current[who] = connections.setdefault((opened.group(1), int(opened.group(2))), ([], []))
        elif text == f"> {TWO_IN_ONE}":
            current[who][0].extend([(3, None, ["u/m1"]), (3, None, ["u/m2"]), (12, None, None)])
        elif text[:2] in ("> ", "< ") and who in current:
            packet = packet_of(text[2:])
            if packet:
                current[who][text[0] == "<"].append(packet)
    return connections


def by_mqdump(capture):
    connections = {}
    for line in harness.run("mqdump", "-r", CAPTURES / capture, "-T", "json").out.splitlines():
        row = json.loads(line)
        if "mqtt.msgtype" not in row:
            continue
        source, destination = ((row.get(f"ip.{end}") or row[f"ipv6.{end}"], row[f"tcp.{end}port"]) for end in ("src", "dst"))
        packet = (row["mqtt.msgtype"], row.get("mqtt.msgid"), listed(row.get("mqtt.topic", [])))
        connections.setdefault(source, ([], []))[0].append(packet)
        connections.setdefault(destination, ([], []))[1].append(packet)
    return connections


def same(said, seen, cut):
    """cut: the capture lacks the end of frames, so an id may be unknown."""
    same_id = said[1] in (None, seen[1]) or (cut and seen[1] is None)
    return said[0] == seen[0] and same_id and (said[2] in (None, [""]) or said[2] == seen[2])  # "": an alias stands for it


def in_order(said, seen, cut):
    """Are the packets of the log among those seen, in this order? A client that closes need not read what still came."""
    rest = iter(seen)
    return all(any(same(one, other, cut) for other in rest) for one in said)


def add(capture, log, least):
    @case(f"{capture}: as its clients logged")
    def _():
        said, seen, cut = by_log(log), by_mqdump(capture), "snaplen" in capture
        check(sum(len(a) + len(b) for a, b in said.values()) >= least, f"only {said} in the log")
        for connection, (sent, received) in said.items():
            if not sent and not received:
                continue
            check(connection in seen, f"nothing seen of {connection}")
            equal([p[0] for p in seen[connection][0]], [p[0] for p in sent], f"types sent by {connection}")
            for one, other in zip(sent, seen[connection][0]):
                check(same(one, other, cut), f"{connection} sent {one}; seen: {other}")
            check(in_order(received, seen[connection][1], cut), f"{connection} received {received}\n  seen {seen[connection][1]}")


for each in OWN:
    add(each, each.split(".")[0], 15)
for each, base in DERIVED.items():
    add(each, base, 35)

harness.main()
