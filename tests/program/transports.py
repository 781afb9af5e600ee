#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""MQTT in TLS and in WebSocket. What is in the captures is told by the logs of their clients; tshark is asked about TLS by oracle.py
(it does not look into WebSocket)."""
import collections
import json
import os
import pathlib
import re
import subprocess
import tempfile

import harness
from harness import CAPTURES, DEADLINE_S, case, check, equal, run

RAW = "mqtt311_websocket_raw_framing.pcap"
TLS = ["mqtt311_tls12", "mqtt311_tls12_npm", "mqtt5_tls13"]
TYPES = {"connect": 1, "connack": 2, "publish": 3, "puback": 4, "pubrec": 5, "pubrel": 6, "pubcomp": 7, "subscribe": 8, "suback": 9,
         "disconnect": 14}


def rows(*argv):
    done = run("mqdump", "-T", "json", *argv)
    equal(done.status, 0, f"exit status of {argv}; {done.err!r}")
    return [json.loads(line) for line in done.out.splitlines()]


def sender(row):
    return "server" if row["tcp.srcport"] in (8883, 9001) else "client"


def log_of_library(name):
    """(sender, type) of each packet, as the client's library logged it: > sent, < received. Of CONNECT it says nothing."""
    found = re.findall(r"^  npm \S+ client ([<>]) (\w+)", (CAPTURES / f"{name}.truth.txt").read_text(encoding="utf-8"), re.M)
    return [("client", 1)] + [("client" if arrow == ">" else "server", TYPES[word]) for arrow, word in found]


def library(name, *options):
    @case(f"{name}: each packet the client logged, and no other")
    def _():
        seen = rows("-r", CAPTURES / name, *options)
        said = log_of_library(name.split("_dsb")[0].split(".")[0])
        check(len(said) > 20, f"only {said} in the log")
        got = collections.Counter((sender(row), row["mqtt.msgtype"]) for row in seen)
        equal(got, collections.Counter(said), "packets by sender and type")


library("mqtt311_websocket_mosquitto.pcap")
library("mqtt5_websocket_mosquitto.pcap")
library("mqtt311_tls12_npm_dsb.pcapng")


@case("WebSocket: packets split over messages, merged in one frame, with a ping in between")
def _():
    seen = [row for row in rows("-r", RAW) if row["tcp.stream"] == 0]
    equal([(r["mqtt.msgtype"], r.get("mqtt.topic")) for r in seen if sender(r) == "client"],
          [(1, None), (8, "w/#"), (3, "w/0"), (3, "w/1"), (3, "w/2"), (3, "w/frag"), (12, None), (14, None)], "what the client sent")
    equal(sum(r["mqtt.msgtype"] == 3 for r in seen), 8, "PUBLISH packets")
    fragments = [r for r in seen if r.get("mqtt.topic") == "w/frag"]
    check(all(r["mqtt.len"] == 410 and r["mqtt.msg_text"] == 400 * "F" for r in fragments), f"{fragments}")


@case("WebSocket: what is wrong with it is told of the connection that did it, and of no other")
def _():
    done = run("mqdump", "-q", "-T", "json", "-z", "findings", "-r", RAW)
    told = {(f["tcp.stream"], f["rule"], f["side"]) for f in map(json.loads, done.out.splitlines()) if f.get("rule")}
    # from the log: 1 offers no subprotocol, 2 offers mqttv3.1 with MQTT 3.1.1, 3 sends CONNECT in a text frame
    equal(told, {(1, "MQTT-6.0.0-3", "client"), (2, "MQTT-6.0.0-3", "client"), (3, "MQTT-6.0.0-1", "client")}, "rules broken")


for each in TLS:
    @case(f"{each}: with a key log and with the secrets in the file")
    def _(each=each):
        plain = run("mqdump", "-r", f"{each}.pcap", "-o", f"tls.keylog_file:{each}.keylog", "-t", "e")
        within = run("mqdump", "-r", f"{each}_dsb.pcapng", "-t", "e")
        check(plain.out.count(b"\n") > 20 and plain.err == b"", f"{plain}")
        equal(plain.out, within.out, "rows")

    @case(f"{each}: without a key it says so")
    def _(each=each):
        done = run("mqdump", "-r", f"{each}.pcap")
        equal((done.status, done.out), (0, b""), "exit status and rows")
        check(b"1 TLS connection stays closed: no key" in done.err, done.err)


@case("TLS: a key log of another connection, damaged lines, and none at all open nothing and harm nothing")
def _():
    other = (CAPTURES / "mqtt311_tls12.keylog").read_bytes()
    right = (CAPTURES / "mqtt5_tls13.keylog").read_bytes()
    broken = [b"", other, right[:-20].replace(b"SERVER_TRAFFIC", b"SERVER_TRAFFIK").replace(b"CLIENT_TRAFFIC", b"CLIENT_TRAFFIK"),
              right.replace(b"a", b"g"), b"x" * 100000 + b"\n", bytes(range(256)) * 40]
    with tempfile.TemporaryDirectory() as folder:
        for text in broken:
            path = pathlib.Path(folder, "keys")
            path.write_bytes(text)
            done = run("mqdump", "-r", "mqtt5_tls13.pcap", "-o", f"tls.keylog_file:{path}")
            equal((done.status, done.out), (0, b""), f"exit status and rows with {text[:40]!r}")
            check(b"stays closed: " in done.err, f"{text[:40]!r}: {done.err!r}")


@case("TLS: a key log that cannot be read, and other words behind -o")
def _():
    done = run("mqdump", "-r", "mqtt5_tls13.pcap", "-o", "tls.keylog_file:/nowhere/keys")
    check(done.status == 2 and b"/nowhere/keys: No such file" in done.err, f"{done}")
    for word in ("tls.keylog_file", "tls.keylog_file:", "tcp.x:y", ""):
        done = run("mqdump", "-r", "mqtt5_tls13.pcap", "-o", word)
        check(done.status == 1 and b"tls.keylog_file:FILE" in done.err, f"{word!r}: {done}")


@case("TLS: a key log that is written while mqdump runs")
def _():
    capture = (CAPTURES / "mqtt5_tls13.pcap").read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        log = pathlib.Path(folder, "keys")
        os.mkfifo(log)
        child = subprocess.Popen([harness.program("mqdump"), "-r", "-", "-o", f"tls.keylog_file:{log}"], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        child.stdin.write(capture[:400])
        child.stdin.flush()
        with open(log, "wb") as keys:  # comes back once mqdump has opened it
            keys.write((CAPTURES / "mqtt5_tls13.keylog").read_bytes())
            keys.flush()
            out, err = child.communicate(capture[400:], timeout=DEADLINE_S)
    equal((child.returncode, out.count(b"\n")), (0, 23), f"exit status and rows; {err!r}")


@case("a masked recording shows nothing of what WebSocket carries")
def _():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "masked.pcapng")
        done = run("mqdump", "-r", RAW, "--redact", "all", "-w", path, "-q")
        equal(done.status, 0, f"exit status; {done.err!r}")
        octets = path.read_bytes()
        check(b"merged" not in octets and b"FFFFFFFF" not in octets and len(octets) > 1000, "payload in the recording")


harness.main()
