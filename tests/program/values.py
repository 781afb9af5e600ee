#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""-T json of every packet against tshark: same names, same values in their types, same order of repeated ones.

tshark's side is its PDML (one <proto> for each control packet, so frames with several packets count too; fields.py compares the rows
of -T fields). Where the two differ on purpose the difference stands here with its reason. Then -T fields of both with the settings
of -E, line by line, on captures with one control packet a frame.
"""
import json
import os
import subprocess
import xml.etree.ElementTree as xml

import harness
import packets
from harness import case, check, equal, run

# Not for comparing: mqdump has these where tshark has none.
OURS = {"mqtt.ver", "mqtt.clientid",  # on every packet of the connection, not on its CONNECT alone
        "mqtt.msg_text", "mqtt.willmsg_text", "mqtt.msg_decoded_as",  # beside the octets; tshark: in their place, by preference
        "mqtt.unknown_version", "mqtt.unknown_topic_alias", "mqtt.illegal_topic_length"}  # marks, with reasons of our own
# Frames where the two read differently: tshark goes on where the standard gives the octets no form.
APART = {
    ("mqtt311_protocol_errors.pcap", 21), ("mqtt5_protocol_errors.pcap", 21),  # protocol level 9: what follows it has no known form
    ("mqtt311_protocol_errors.pcap", 23), ("mqtt5_protocol_errors.pcap", 23),  # its CONNACK: of which version?
    ("mqtt311_protocol_errors.pcap", 61), ("mqtt5_protocol_errors.pcap", 61),  # QoS 3: nobody says whether an identifier follows
    ("mqtt5_protocol_errors.pcap", 354),  # a property block that runs past the end of the packet
    ("mqtt5_protocol_errors.pcap", 342),  # an unknown property: tshark passes over it and reads its value as one more
}
# These go through the oracle test with remarks: tshark invents packets or reads decrypted ones.
LEFT_OUT = {"mqtt5_snaplen96.pcap"}


def pdml(capture, *options):
    command = ["tshark", "-n", "-r", str(capture), "-o", "tcp.reassemble_out_of_order:TRUE", *options, "-T", "pdml", "-Y", "mqtt"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=120, check=False)
    check(done.stdout.startswith(b"<?xml"), f"{' '.join(command)}: {done.stderr.decode(errors='replace')}")
    return xml.fromstring(done.stdout)


def by_tshark(capture, *options):
    """Yields (frame, {name: [shown values]}) for each control packet."""
    for frame in pdml(capture, *options).iter("packet"):
        number = int(frame.find("./proto[@name='geninfo']/field[@name='num']").get("show"))
        for proto in frame.findall("./proto[@name='mqtt']"):
            fields = {}
            for field in proto.iter("field"):
                fields.setdefault(field.get("name"), []).append(field.get("show"))
            if "mqtt.msgtype" in fields and "mqtt.len" in fields:
                yield number, fields


def same(name, shown, value):
    """Is tshark's text the typed value of mqdump?"""
    if name in ("mqtt.properties", "mqtt.will_properties"):
        return value is True
    if isinstance(value, bool):
        return value == (shown in ("1", "True"))
    if isinstance(value, int):
        return value == int(shown, 0)
    if name == "mqtt.msg" and len(value) > 100000:  # of a large packet only its beginning is kept (--max-memory)
        return shown.startswith(value)
    if name == "mqtt.prop_string":  # binary data: tshark shows them as a string that ends at U+0000
        return value.split("\0")[0] == shown
    if name == "mqtt.topic" and value != shown:  # likewise; and ill-formed UTF-8 is escaped, not replaced
        return value.split("\0")[0] == shown or "\\x" in value
    return value == shown


def compare(where, theirs, ours):
    for name, shown in theirs.items():
        if name.startswith("mqtt.") and name not in OURS:
            mine = packets.listed(ours.get(name, []))
            good = len(mine) == len(shown) and all(same(name, s, v) for s, v in zip(shown, mine))
            check(good, f"{where}: {name}\n  tshark {shown}\n  mqdump {mine}")


def key(frame, fields):
    first = [packets.listed(fields[name])[0] for name in ("mqtt.msgtype", "mqtt.len")]
    return (frame, *[int(str(value), 0) for value in first])


def add(capture):
    name = packets.name_of(capture)

    @case(f"{name}: every field as tshark's")
    def _():
        rows = map(json.loads, run("mqdump", "-r", capture, "-T", "json", "--show-secrets").out.splitlines())
        mine = {}
        for row in rows:
            if row.get("mqtt.len") is not None:
                mine.setdefault(key(row["frame.number"], row), []).append(row)
        options = ["-d", f"tcp.port=={packets.PORTS[name]},mqtt"] if name in packets.PORTS else []
        for frame, fields in by_tshark(capture, *options):
            found = mine.get(key(frame, fields))  # that none is missing is for oracle.py
            if found and (name, frame) not in APART:
                compare(f"{name}, frame {frame}", fields, found.pop(0))


COLUMNS = ["frame.number", "frame.time_epoch", "frame.time", "frame.time_relative", "frame.time_delta", "frame.len", "ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "ip.addr", "tcp.srcport",
           "tcp.dstport", "tcp.port", "tcp.stream", "mqtt.hdrflags", "mqtt.msgtype", "mqtt.len", "mqtt.msgid", "mqtt.qos", "mqtt.dupflag",
           "mqtt.retain", "mqtt.topic", "mqtt.topic_len", "mqtt.msg", "mqtt.conflags", "mqtt.conflag.cleansess", "mqtt.kalive",
           "mqtt.protoname", "mqtt.username", "mqtt.passwd", "mqtt.willtopic", "mqtt.willmsg", "mqtt.conack.flags", "mqtt.conack.val",
           "mqtt.connack.reason_code", "mqtt.suback.qos", "mqtt.suback.reason_code", "mqtt.sub.qos", "mqtt.subscription_options",
           "mqtt.property_id", "mqtt.prop_number", "mqtt.prop_key", "mqtt.prop_value", "mqtt.property.content_type",
           "mqtt.property.topic_alias", "mqtt.hdr_reserved", "mqtt.disconnect.reason_code", "communityid"]
SINGLE = ["suricata-verify__mqtt31-pub-qos2.pcap", "suricata-verify__mqtt311-sub-userpass.pcap",
          "suricata-verify__mqtt5-pub-mosquittoprops.pcap", "suricata-verify__mqtt5-pub-qos2.pcap", "nDPI__mqtt.pcap",
          "ipfixprobe__mqtt.pcap", "suricata-verify__mqtt5-sub-userpass.pcap"]


def add_columns(name, *settings):
    @case(f"{name}: -T fields {' '.join(settings)} line by line as tshark's")
    def _():
        options = [word for column in COLUMNS for word in ("-e", column)] + [w for s in settings for w in ("-E", s)]
        command = ["tshark", "-n", "-r", str(harness.CAPTURES / name), "--enable-protocol", "communityid", "-Y", "mqtt", "-T", "fields", *options]
        theirs = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, timeout=60,
                                check=False, env=dict(os.environ, TZ="UTC"))
        check(theirs.stdout, f"{' '.join(command)}: nothing")
        mine = run("mqdump", "-r", name, "-T", "fields", "--show-secrets", *options)
        equal(mine.out.decode().splitlines(), theirs.stdout.decode().splitlines(), name)


for each in packets.all_captures():
    if packets.name_of(each) not in LEFT_OUT:
        add(each)
for each in SINGLE:
    add_columns(each)
add_columns(SINGLE[2], "header=y", "separator=;", "quote=d", "aggregator=/s")
add_columns(SINGLE[2], "occurrence=f")
add_columns(SINGLE[2], "occurrence=l")

harness.main()
