#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mqdump finds exactly the packets of the truth tables: frame, type, length, id, QoS, topics, in order; none where there are none."""
import harness
import packets
from harness import case, check, equal

# Other protocols, and MQTT that is encrypted: not one packet may be seen in them.
SILENT = ["amqp091_rabbitmq.pcap.gz", "amqp10_rabbitmq_rhea.pcap", "openwire_tight.pcap", "stomp_activemq.pcap", "zmtp_curve.pcap",
          "zmtp_errors.pcap", "zmtp_plain_ok.pcap", "zmtp_pubsub_weather.pcap", "mqtt311_tls12.pcap", "mqtt311_tls12_npm.pcap",
          "mqtt5_tls13.pcap"]


def add_table(capture):
    @case(f"{packets.name_of(capture)}: the packets of its truth table")
    def _():
        got, result = packets.by_mqdump(capture)
        equal((result.status, result.err), (0, b""), "exit status and stderr")
        packets.compare(got, packets.by_truth_table(capture), "truth")


def add_silent(name):
    @case(f"{name}: no MQTT")
    def _():
        got, result = packets.by_mqdump(harness.CAPTURES / name)
        equal((result.status, got), (0, []), "exit status and packets")


tables = [c for c in packets.all_captures() if harness.pathlib.Path(f"{c}.truth.tsv").exists()]
check(len(tables) >= 27, f"only {len(tables)} truth tables")
for each in tables:
    add_table(each)
for each in SILENT:
    add_silent(each)

harness.main()
