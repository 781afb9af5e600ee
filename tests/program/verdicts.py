#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The right accusations and no others.

Two captures hold one broken input per client; what it broke is in the log of their driver and was looked up in the standards, not
in our output. Every other capture is what real clients and brokers said: nothing there may be called a warning or an error unless
it stands in KNOWN with the reason it is true.
"""
import collections
import json

import harness
import packets
from harness import CAPTURES, case, check

# The number of the client (127.0.0.100 + n in the driver's log) -> rules of which at least one has to be named.
# Conduct (several packets decide) and form (one packet decides) alike; an empty set: nothing of this client may be accused.
MUST_V311 = {
    0: {"MQTT-3.1.0-1"},                   # PUBLISH before CONNECT
    1: {"MQTT-3.1.0-2"},                   # second CONNECT
    4: {"MQTT-3.1.2-3"},                   # CONNECT, reserved flag bit
    5: {"MQTT-3.1.3-7"},                   # empty client id, CleanSession 0
    6: {"MQTT-3.3.1-4"},                   # QoS 3
    7: {"MQTT-2.3.1-1"},                   # QoS 1, Packet Identifier 0
    8: {"MQTT-3.3.2-2"},                   # topic name with #
    9: {"MQTT-3.3.2-1", "MQTT-1.5.3-1"},   # topic name is not UTF-8
    10: {"MQTT-4.7.3-2", "MQTT-1.5.3-2"},  # topic name with U+0000
    11: {"MQTT-3.8.1-1"},                  # SUBSCRIBE, wrong flags
    12: {"MQTT-3.8.3-3"},                  # SUBSCRIBE without a filter
    13: {"MQTT-4.7.1-2"},                  # a/#/b
    14: {"MQTT-3.8.3-4"},                  # SUBSCRIBE, reserved bits of the options
    15: {"MQTT-3.10.3-2"},                 # UNSUBSCRIBE without a filter
    16: {"S4-2.2.3-a"},                    # Remaining Length of five octets
    17: {"S4-2.2.3-c"},                    # Remaining Length longer than needed
    18: {"S4-2.2.1-a"},                    # type 0
    19: {"S4-2.2.1-a"},                    # type 15
    22: {"MQTT-3.6.1-1"},                  # PUBREL, wrong flags
    23: {"S4-2.2.1-b"},                    # SUBACK from a client
    24: {"S4-2.2.1-b"},                    # PINGRESP from a client
    25: {"S4-1.5.3-b"},                    # a string past the end of the packet
    26: set(),                             # HTTP
}
MUST_V5 = {
    0: {"MQTT-3.1.0-1"},
    1: {"MQTT-3.1.0-2"},
    3: {"MQTT-3.1.2-1"},                   # protocol name MQTX
    4: {"MQTT-3.1.2-3"},
    5: set(),                              # an empty client id is legal in 5.0, Clean Start or not
    6: {"MQTT-3.3.1-4"},
    7: {"MQTT-2.2.1-3"},
    8: {"MQTT-3.3.2-2"},
    9: {"MQTT-3.3.2-1", "MQTT-1.5.4-1"},
    10: {"MQTT-4.7.3-2", "MQTT-1.5.4-2"},
    11: {"MQTT-3.8.1-1"},
    12: {"MQTT-3.8.3-2"},
    13: {"MQTT-4.7.1-1"},
    14: {"MQTT-3.8.3-5"},
    15: {"MQTT-3.10.3-2"},
    16: {"S5-1.5.5-a"},
    17: {"MQTT-1.5.5-1"},
    18: {"S5-2.1.2-a"},
    19: {"MQTT-4.12.0-7", "S5-3.15.2.1-a", "S5-3.15.2.2.2-a"},  # AUTH, nobody asked for it
    22: {"MQTT-3.6.1-1"},
    23: {"S5-2.1.2-b"},
    24: {"S5-2.1.2-b"},
    25: {"S5-1.5.x-a"},
    26: set(),
    27: {"S5-3.1.2.11.2-a"},               # Session Expiry Interval twice
    28: {"S5-2.2.2.2-a"},                  # Session Expiry Interval in PUBLISH
    29: {"S5-2.2.2.2-a"},                  # property 0x7f
    30: {"S5-2.2.2.2-b"},                  # Property Length past the packet
    31: {"S5-3.8.2.1.2-a"},                # Subscription Identifier 0
    32: {"S5-3.1.2.11.3-b"},               # Receive Maximum 0
    33: {"S5-3.8.3.1-b"},                  # Retain Handling 3
    34: {"MQTT-3.8.3-4"},                  # No Local on a shared subscription
    35: {"S5-3.3.2.3.2-c"},                # payload is not the UTF-8 it claims to be
    36: {"S5-3.15.2.2.2-a"},               # AUTH without a method
    37: {"MQTT-3.3.2-14"},                 # Response Topic with a wildcard
    38: {"S5-3.14.2.2.2-b"},               # Session Expiry Interval raised from 0
}

# What real peers did wrong: capture -> rules, each read in the capture and in the standard.
KNOWN = {
    "mqtt311_qos2_killed.pcap": {"MQTT-2.3.1-2"},  # case 6: the same id again without DUP
    "mqtt5_qos2_killed.pcap": {"MQTT-2.2.1-3"},    # likewise
    "mqtt5_auth_exchange.pcap": {"MQTT-3.2.0-2",   # mosquitto answers a failed re-authentication with a second CONNACK
                                 "MQTT-4.12.0-7"},  # AUTH of a client that named no method in CONNECT, on purpose
    # One client for each limit the broker had declared, and what it did against it, on purpose. MQTT-3.3.4-9 is mosquitto's own: it
    # sends ids 3, 4 and 5 (frames 156 to 160) to a client whose Receive Maximum is 2.
    "mqtt5_limits_reasons.pcap": {"MQTT-3.3.2-8", "MQTT-3.3.2-9", "S5-3.3.4-c", "MQTT-3.2.2-11", "MQTT-3.2.2-14", "MQTT-3.2.2-15",
                                  "MQTT-3.3.4-9"},
    "mqtt_versions_rabbitmq.pcap": {"MQTT-3.3.4-1"},  # RabbitMQ answers QoS 2 with PUBACK
    "suricata-verify__mqtt-events-unassigned-msgtype.pcap": {"S4-2.2.1-a"},      # type 0, put there for Suricata's tests
    "suricata-verify__mqtt5-pub-mosquittoprops.pcap": {"S5-3.3.2.3.2-a", "S5-3.1.3.2.3-b"},  # Payload Format Indicator 88 and 144
}


def accusations(capture):
    """(accused row, rule, severity) of every violation mqdump names in the packets of a capture."""
    found = []
    for line in harness.run("mqdump", "-r", capture, "-T", "json").out.splitlines():
        row = json.loads(line)
        found += [(row, rule, severity) for rule, severity in
                  zip(packets.listed(row.get("mqtt.violation.rule", [])), packets.listed(row.get("mqtt.violation.severity", [])))]
    return found


def add_client(capture, found, number, must):
    @case(f"{capture}, client {number}: {' or '.join(sorted(must)) if must else 'nothing'}")
    def _():
        address = f"127.0.0.{100 + number}"
        named = {rule for row, rule, _ in found() if row.get("ip.src") == address}
        check(not must or named & must, f"named instead: {sorted(named)}")
        check(must or not named, f"accused of {sorted(named)}")


def add_errors(capture, cases):
    memory = []

    def found():
        if not memory:
            memory.extend(accusations(CAPTURES / capture))
        return memory

    for number, must in cases.items():
        add_client(capture, found, number, must)


def add_clean(capture):
    @case(f"{packets.name_of(capture)}: nobody accused falsely")
    def _():
        named = collections.defaultdict(list)
        for row, rule, severity in accusations(capture):
            if severity in ("warning", "error"):
                named[rule].append(row["frame.number"])
        want = KNOWN.get(packets.name_of(capture), set())
        surplus = {rule: frames for rule, frames in named.items() if rule not in want}
        check(not surplus, f"rules and frames not known to be broken here: {surplus}")
        check(want <= set(named), f"not named: {sorted(want - set(named))}")


add_errors("mqtt311_protocol_errors.pcap", MUST_V311)
add_errors("mqtt5_protocol_errors.pcap", MUST_V5)
for each in packets.all_captures():
    if not packets.name_of(each).endswith("protocol_errors.pcap"):
        add_clean(each)

harness.main()
