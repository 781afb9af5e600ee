#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What no single packet shows, held against the logs of the drivers (tests/captures/*.truth.txt).

For each capture: who has to be named with what, as the log and the captures' README tell it; and no finding of warning or above
beside those in LOUD, which lists every one that the logs bear out. Verdicts of packets are held by verdicts.py.
"""
import json

import harness
import packets
from harness import CAPTURES, case, check

# capture -> (finding, client id); a client id of None: any.
MUST = {
    # cases 1 to 5 of the log: connections reset with an exchange under way, at each step of QoS 2
    "mqtt311_qos2_killed.pcap": {("open-at-close", "q2pub"), ("open-at-close", "q2rcv"), ("abnormal-end", "q2pub"), ("abnormal-end", "q2rcv")},
    "mqtt5_qos2_killed.pcap": {("open-at-close", "q2pub"), ("open-at-close", "q2rcv"), ("abnormal-end", "q2pub"), ("abnormal-end", "q2rcv")},
    # sleepy falls silent with Keep Alive 2, the broker closes seconds after the 3 s; its will and finner's come, polite's does not
    "mqtt311_keepalive_will.pcap": {("keep-alive-expired", "sleepy"), ("MQTT-3.1.2-24", "sleepy"), ("will-sent", "sleepy"),
                                    ("will-sent", "finner"), ("abnormal-end", "finner")},
    "mqtt5_keepalive_will.pcap": {("keep-alive-expired", "sleepy"), ("MQTT-3.1.2-22", "sleepy"), ("will-sent", "sleepy"),
                                  ("will-sent", "finner"), ("abnormal-end", "finner")},
    "founding_same_clientid_takeover.pcap": {("takeover", "test"), ("takeover-loop", "test")},
    "founding_same_topic_loop_qos0.pcap": {("publish-loop", "test"), ("echo", "test")},
    "founding_guarded_qos1.pcap": {("echo", "test")},
    "mqtt5_auth_exchange.pcap": {("auth-failed", "auth-good"), ("auth-failed", "auth-bad"), ("connect-refused", "auth-unk"),
                                 ("S5-4.13.1-b", "auth-none")},
    # taken over without DISCONNECT 0x8E; id 23 found no subscriber; the will of willer came after its delay
    "mqtt5_everything_mosquitto.pcap": {("takeover", None), ("takeover-silent", None), ("no-subscribers", None), ("will-sent", None)},
    "mqtt5_limits_reasons.pcap": {("connect-refused", "will-retain"), ("connect-refused", "will-qos2"), ("qos-downgraded", "clip")},
    # 3.1.1: the denied PUBLISH is acknowledged and reaches nobody; 5.0: it is refused
    "mqtt_auth_acl.pcap": {("connect-refused", "n4"), ("connect-refused", "b4"), ("connect-refused", "n5"), ("connect-refused", "b5"),
                           ("not-delivered", "al4"), ("publish-refused", "al5")},
    # QoS 2 answered with PUBACK, then silence; 5.0 refused by closing
    "mqtt_versions_rabbitmq.pcap": {("wrong-answer", "ver-3"), ("unanswered", "ver-3"), ("unanswered", "ver-4"), ("qos-downgraded", "ver-3"),
                                    ("qos-downgraded", "ver-4"), ("connect-unanswered", "ver-5")},
    # no sub-protocol, and no answer; then the name of MQTT 3.1 for a CONNECT of 3.1.1; then a text frame
    "mqtt311_websocket_raw_framing.pcap": {("MQTT-6.0.0-3", "raw-ws"), ("connect-unanswered", "raw-ws"), ("MQTT-6.0.0-1", "raw-ws")},
    "mqtt_activemq_accepts_tcp_no_connack.pcap": {("connect-unanswered", "ver-3"), ("connect-unanswered", "ver-4"), ("connect-unanswered", "ver-5")},
}

LOUD = {
    "mqtt311_keepalive_will.pcap": {"keep-alive-expired", "MQTT-3.1.2-24"},
    "mqtt5_keepalive_will.pcap": {"keep-alive-expired", "MQTT-3.1.2-22"},
    "founding_same_clientid_takeover.pcap": {"takeover-loop"},
    "founding_same_topic_loop_qos0.pcap": {"publish-loop"},
    "mqtt5_auth_exchange.pcap": {"S5-4.13.1-b"},
    "mqtt5_protocol_errors.pcap": {"S5-4.13.1-b"},  # closed without DISCONNECT after the cases where the log shows none
    "mqtt311_websocket_raw_framing.pcap": {"MQTT-6.0.0-3", "MQTT-6.0.0-1"},
    "mqtt_versions_rabbitmq.pcap": {"wrong-answer", "unanswered", "connect-unanswered"},
    "mqtt_conduct_mosquitto.pcap.gz": {"unanswered"},  # ov5 leaves a PUBLISH of the broker without PUBACK
    "mqtt_activemq_accepts_tcp_no_connack.pcap": {"connect-unanswered"},
}


def findings(capture):
    """(name, client, severity, line) of what is no verdict on a packet: those have an offset."""
    out = harness.run("mqdump", "-q", "-r", capture, "-T", "json", "-z", "findings").out
    rows = [json.loads(line) for line in out.splitlines()]
    return [(row["name"], row.get("client_id"), row["severity"]) for row in rows if row.get("stat") == "findings" and row.get("offset") is None]


def add(capture):
    name = packets.name_of(capture)

    @case(f"{name}: what the log tells is found, and nothing louder")
    def _():
        found = findings(capture)
        named = {(what, who) for what, who, _ in found} | {(what, None) for what, _, _ in found}
        missing = MUST.get(name, set()) - named
        check(not missing, f"not found: {sorted(missing, key=str)}")
        loud = {what for what, _, severity in found if severity != "note"} - LOUD.get(name, set())
        check(not loud, f"warnings and errors the log does not bear out: {sorted(loud)}")


for each in packets.all_captures():
    add(each)
for wanted in MUST:
    if wanted not in {packets.name_of(each) for each in packets.all_captures()}:
        raise SystemExit(f"diagnoses: {wanted} is not there")

harness.main()
