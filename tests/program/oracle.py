#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mqdump against tshark on every capture: type, length, id, QoS and topics of every packet, frame by frame.

Where the two differ on purpose the difference stands here with its reason, and is itself checked. tshark must be there: without
it the test fails.
"""
import harness
import packets
from harness import case, check, equal

# tshark 4.0 does not look for MQTT inside WebSocket: mqdump sees more.
WEBSOCKET = ["mqtt311_websocket_mosquitto.pcap", "mqtt311_websocket_raw_framing.pcap", "mqtt5_websocket_mosquitto.pcap",
             "zeek__websocket_reply-ping-coalesced.pcap", "zeek__websocket_two-binary-fragments.pcap"]
# A packet in a segment that came too early: tshark names the frame that filled the hole before it, mqdump that of its last octet.
NO_FRAMES = ["der_reordered_duplicated.pcap"]
# tshark loses what follows a hole, mqdump goes on from the lengths: capture -> packets tshark does not show.
MORE = {"der_missing_segment.pcap": 5}
# After a frame that the snapshot length cut, tshark takes payload for packets (types 7, 8, 2 and 13 where u/big was). drivers.py
# holds this one against the clients' own log.
INVENTED = ["mqtt5_snaplen96.pcap"]


def without_frames(packets_):
    return [p._replace(frame=0) for p in packets_]


def comparable(packets_):
    """No standard says whether a PUBLISH of QoS 3 has a Packet Identifier: tshark reads one, mqdump does not. And tshark ends a topic
    at U+0000."""
    return [p._replace(id=None if p.qos == 3 else p.id, topics=[t.split(b"\0")[0] for t in p.topics]) for p in packets_]


def contains(more, less):
    rest = iter(more)
    return all(any(one == other for other in rest) for one in less)


def add(capture):
    name = packets.name_of(capture)

    @case(f"{name}: as tshark")
    def _():
        options = ["-d", f"tcp.port=={packets.PORTS[name]},mqtt"] if name in packets.PORTS else []
        want = packets.by_tshark(capture, *options)
        check(want or name not in packets.PORTS or "retry" in name, "tshark finds no packet: does the port still hold?")
        got, _ = packets.by_mqdump(capture)
        got, want = comparable(got), comparable(want)
        if name in NO_FRAMES:
            got, want = without_frames(got), without_frames(want)
        if name in MORE:
            check(contains(got, want), "not all packets of tshark, in its order, are among those of mqdump")
            equal(len(got) - len(want), MORE[name], "packets tshark does not show")
        else:
            packets.compare(got, want, "tshark")


for each in packets.all_captures():
    if packets.name_of(each) not in WEBSOCKET + INVENTED:
        add(each)

harness.main()
