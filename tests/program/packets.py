# SPDX-License-Identifier: Apache-2.0
"""The packets of a capture, told by mqdump, by tshark and by the truth tables, in one shape that can be compared."""
import collections
import csv
import json
import pathlib
import re
import subprocess
import xml.etree.ElementTree as xml

import harness

# tshark finds MQTT by port alone; mqdump finds it by content and gets no hint.
PORTS = {"mqtt_auth_acl.pcap": 1886, "mqtt_versions_rabbitmq.pcap": 2883, "mqtt5_auth_exchange.pcap": 1885,
         "mqtt5_limits_reasons.pcap": 1984, "founding_retry_first_connection.pcap": 1899,
         "mqtt_activemq_accepts_tcp_no_connack.pcap": 3883, "mqtt_conduct_mosquitto.pcap.gz": 18831, "mqtt5_flow_mqbroker.pcap": 18832}

# type: 0..15; length: remaining length; id, qos: None when the packet has none; topics: topic name or filters, as octets
Packet = collections.namedtuple("Packet", "frame type length id qos topics")


def all_captures():
    """Every capture of tests/captures, smallest name first."""
    found = [p for p in harness.CAPTURES.iterdir() if p.name.endswith((".pcap", ".pcapng", ".pcap.gz"))]
    harness.check(len(found) > 60, f"{harness.CAPTURES}: only {len(found)} captures")
    return sorted(found)


def listed(value):
    return value if isinstance(value, list) else [value]


def topic_octets(topic, escaped):
    """As tshark's PDML has it: what is not UTF-8 (mqdump: \\xNN, and says so) becomes U+FFFD."""
    if not escaped:
        return topic.encode()
    octets = re.sub(r"\\\\|\\x([0-9a-f]{2})", lambda m: chr(int(m.group(1), 16)) if m.group(1) else "\\", topic).encode("latin-1")
    return octets.decode(errors="replace").encode()


def by_mqdump(capture, *options):
    """Returns (packets, Result). Gap rows are no packets."""
    result = harness.run("mqdump", "-r", capture, "-T", "json", *options)
    packets = []
    for line in result.out.splitlines():
        row = json.loads(line)
        if row.get("mqtt.len") is None:  # a gap, or a Remaining Length that cannot be read: no packet to tshark
            continue
        topics = [topic_octets(t, "mqtt.topic" in listed(row.get("mqtt.invalid_utf8", []))) for t in listed(row.get("mqtt.topic", []))]
        packets.append(Packet(row["frame.number"], row["mqtt.msgtype"], row["mqtt.len"], row.get("mqtt.msgid"),
                              row.get("mqtt.qos") if row["mqtt.msgtype"] == 3 else None, topics))
    return packets, result


def by_truth_table(capture):
    with open(f"{capture}.truth.tsv", encoding="utf-8", newline="") as table:
        return [Packet(int(row["frame"]), int(row["type"]), int(row["len"]), int(row["msgid"]) if row["msgid"] else None,
                       int(row["qos"]) if row["type"] == "3" else None,
                       [t.encode() for t in json.loads(row["topic"] or "[]")])
                for row in csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE)]


def by_tshark(capture, *options):
    """One packet per <proto name="mqtt"> of the PDML: one per control packet, unlike the rows of -T fields."""
    command = ["tshark", "-n", "-r", str(capture), "-o", "tcp.reassemble_out_of_order:TRUE", *options, "-T", "pdml", "-Y", "mqtt"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=120, check=False)
    harness.check(done.stdout.startswith(b"<?xml"), f"{' '.join(command)}: {done.stderr.decode(errors='replace')}")
    packets = []
    for frame in xml.fromstring(done.stdout).iter("packet"):
        number = int(frame.find("./proto[@name='geninfo']/field[@name='num']").get("show"))
        for proto in frame.findall("./proto[@name='mqtt']"):
            def values(name, attribute="show", proto=proto):
                return [f.get(attribute) for f in proto.iter("field") if f.get("name") == name]

            types, lengths, ids, qos = (values(f"mqtt.{n}") for n in ("msgtype", "len", "msgid", "qos"))
            if not types or not lengths:
                continue
            kind = int(types[0])
            packets.append(Packet(number, kind, int(lengths[0]), int(ids[0], 0) if ids else None,
                                  int(qos[0]) if qos and kind == 3 else None,
                                  [t.encode() for t in values("mqtt.topic")]))
    return packets


def compare(got, want, who):
    """Fails at the first packet that differs, with its neighbourhood."""
    for number in range(max(len(got), len(want))):
        mine = got[number] if number < len(got) else None
        theirs = want[number] if number < len(want) else None
        harness.check(mine == theirs, f"packet {number + 1} of {len(want)}\n  {who}: {theirs}\n  mqdump: {mine}")


def name_of(path):
    return pathlib.Path(path).name
