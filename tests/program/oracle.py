#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mqdump against tshark on every capture: type, length, id, QoS and topics of every packet, frame by frame.

Where the two differ on purpose the difference stands here with its reason, and is itself checked. tshark must be there: without
it the test fails.
"""
import harness
import packets
from harness import case, check

# tshark finds MQTT by port alone; mqdump finds it by content and gets no hint.
PORTS = {"mqtt_auth_acl.pcap": 1886, "mqtt_versions_rabbitmq.pcap": 2883, "mqtt5_auth_exchange.pcap": 1885,
         "mqtt5_limits_reasons.pcap": 1984, "founding_retry_first_connection.pcap": 1899,
         "mqtt_activemq_accepts_tcp_no_connack.pcap": 3883}
# tshark 4.0 does not look for MQTT inside WebSocket: mqdump sees more.
WEBSOCKET = ["mqtt311_websocket_mosquitto.pcap", "mqtt311_websocket_raw_framing.pcap", "mqtt5_websocket_mosquitto.pcap",
             "zeek__websocket_reply-ping-coalesced.pcap", "zeek__websocket_two-binary-fragments.pcap"]


def add(capture):
    name = packets.name_of(capture)

    @case(f"{name}: as tshark")
    def _():
        options = ["-d", f"tcp.port=={PORTS[name]},mqtt"] if name in PORTS else []
        want = packets.by_tshark(capture, *options)
        check(want or name not in PORTS, "tshark finds no packet: does the port still hold?")
        got, _ = packets.by_mqdump(capture)
        packets.compare(got, want, "tshark")


for each in packets.all_captures():
    if packets.name_of(each) not in WEBSOCKET:
        add(each)

harness.main()
