#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mqdump on a live loopback, with mosquitto and its clients: every packet shown, each within half a second of its capture.

Runs in a network namespace of its own, so that it neither sees nor disturbs anything else. That takes root or a kernel that lets
users make namespaces; without either the test fails.
"""
import json
import os
import signal
import subprocess
import time

import harness
from harness import Stream, case, check, equal, free_port, private_network, program, run

LATENCY_S = 0.5


class Scene:
    """A broker and an mqdump that watches it."""

    def __init__(self, *options):
        self.port = free_port()
        self.broker = Stream(["mosquitto", "-v", "-p", self.port])
        self.broker.line("running", err=True)
        self.dump = Stream([program("mqdump"), "-i", "lo", "-l", "-f", f"tcp port {self.port}", *options])
        self.dump.line("listening on", err=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.dump.__exit__()
        self.broker.__exit__()

    def publish(self, version, qos, *options):
        subprocess.run(["mosquitto_pub", "-h", "127.0.0.1", "-p", str(self.port), "-V", version, "-q", str(qos), "-i", f"pub-{qos}",
                        "-t", f"live/{qos}", "-m", "m", *options], check=True, timeout=30, stdin=subprocess.DEVNULL)

    def subscriber(self, version):
        return Stream(["mosquitto_sub", "-d", "-h", "127.0.0.1", "-p", self.port, "-V", version, "-q", 2, "-i", "sub", "-t", "live/#",
                       "-C", 3, "-W", 20])

    def row(self):
        """The next JSON row, and how long after its capture it came."""
        row = json.loads(self.dump.line("{"))
        return row, time.time() - float(row["frame.time_epoch"])


CONVERSATION = {  # who sent which packet types, with one publisher for each QoS; 3.1.1 section 4.3, 5.0 section 4.3
    "sub": [1, 2, 8, 9, 3, 3, 4, 3, 5, 6, 7, 14],
    "pub-0": [1, 2, 3, 14],
    "pub-1": [1, 2, 3, 4, 14],
    "pub-2": [1, 2, 3, 5, 6, 7, 14],
}
SUBSCRIBED, PUBLISHED = 4, (5, 7, 12)  # packets until SUBACK, and of both sides with each publisher; the last has the end of "sub"


def add_conversation(version, level):
    @case(f"{version}: every packet of a QoS 0, 1, 2 conversation while it goes on, most within {LATENCY_S} s")
    def _():
        with Scene("-T", "json") as scene, scene.subscriber(version) as sub:
            seen, late = {}, []

            def rows(number):
                for _ in range(number):
                    row, seconds = scene.row()
                    late.append(seconds)
                    equal(row["mqtt.ver"], level, f"version of {row}")
                    check("mqtt.violation.rule" not in row or "error" not in row["mqtt.violation.severity"], f"accused: {row}")
                    seen.setdefault(row["mqtt.clientid"], []).append(row["mqtt.msgtype"])

            rows(SUBSCRIBED)
            for qos, number in enumerate(PUBLISHED):
                scene.publish(version, qos)
                rows(number)
            result = sub.finish()
            equal(result.status, 0, f"status of mosquitto_sub: {result}")
            check(sorted(late)[len(late) // 2] < LATENCY_S, f"seconds between capture and row: {late}")  # one may be late on a busy machine
            # Packets of one client that cross (a PUBLISH of the next message and the end of the last exchange) may change places.
            equal({who: sorted(types) for who, types in seen.items()}, {who: sorted(types) for who, types in CONVERSATION.items()},
                  "packet types of each client")
            scene.dump.child.send_signal(signal.SIGINT)
            result = scene.dump.finish()
            equal(result.status, 0, f"status after SIGINT: {result}")
            for count in (b"captured", b"received by filter", b"dropped by kernel"):
                check(count in result.err, f"no count of frames {count.decode()}: {result}")


add_conversation("mqttv31", 3)
add_conversation("mqttv311", 4)
add_conversation("mqttv5", 5)


@case("text: a line a packet, as it happens")
def _():
    with Scene() as scene:
        scene.publish("mqttv5", 1)
        for name in ("CONNECT", "CONNACK", "PUBLISH", "PUBACK", "DISCONNECT"):
            scene.dump.line(name)


@case("-c ends a live capture by itself, status 0")
def _():
    with Scene("-c", "3") as scene:
        scene.publish("mqttv311", 1)
        result = scene.dump.finish()
        equal(result.status, 0, f"status: {result}")
        equal(len(result.out.splitlines()), 3, f"rows: {result}")


@case("SIGTERM ends it as SIGINT does; nothing seen is nothing shown")
def _():
    with Scene() as scene:
        scene.dump.child.send_signal(signal.SIGTERM)
        result = scene.dump.finish()
        equal((result.status, result.out), (0, b""), "status and rows")


@case("a reader that goes away ends it")
def _():
    with Scene() as scene:
        scene.dump.child.stdout.close()
        scene.publish("mqttv5", 2)
        try:
            scene.dump.child.wait(harness.DEADLINE_S)
        except subprocess.TimeoutExpired:
            raise harness.Failure("still running without a reader") from None
        finally:
            scene.dump.child.stdout = open(os.devnull, "rb")
        equal(scene.dump.child.stderr.read().count(b"roken pipe"), 0, "mentions of a broken pipe")


@case("-i any and two interfaces at once")
def _():
    for interfaces in (["-i", "any"], ["-i", "lo", "-i", "lo"]):
        port = free_port()
        with Stream(["mosquitto", "-v", "-p", port]) as broker:
            broker.line("running", err=True)
            with Stream([program("mqdump"), *interfaces, "-l", "-f", f"tcp port {port}", "-c", "1"]) as dump:
                dump.line("listening on", err=True)
                subprocess.run(["mosquitto_pub", "-h", "127.0.0.1", "-p", str(port), "-t", "t", "-m", "m"], check=True, timeout=30)
                dump.line("CONNECT")
                equal(dump.finish().status, 0, f"status with {interfaces}")


@case("-i takes the number that -D shows")
def _():
    listed = run("mqdump", "-D").out.decode().splitlines()
    number = next(line.split(".")[0] for line in listed if line.split()[1] == "lo")
    with Stream([program("mqdump"), "-i", number]) as dump:
        dump.line("listening on lo,", err=True)
        dump.child.send_signal(signal.SIGINT)
        equal(dump.finish().status, 0, "status")
    result = run("mqdump", "-i", len(listed) + 1)
    check(result.status == 2 and b"no such interface" in result.err, f"a number beyond the list: {result}")


private_network()
harness.main()
