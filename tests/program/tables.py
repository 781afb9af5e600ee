#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""-z against the truth beside the captures (tests/captures/*.truth.tsv, made with tshark), and the looks of every table."""
import collections
import csv
import json
import re
import unicodedata

import harness
from harness import CAPTURES, case, check, equal, run

NAMES = ["RESERVED", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ",
         "PINGRESP", "DISCONNECT", "AUTH"]
TABLES = ["types", "conv", "topics", "clients", "io,0.5", "io,1,mqtt.qos == 1", "sessions", "exchanges", "findings", "latency", "stats"]


def table(file, *stats):
    args = [word for stat in stats for word in ("-z", stat)]
    result = run("mqdump", "-q", "-r", file, "-T", "json", *args)
    equal((result.status, result.err), (0, b""), f"status and stderr of {args}")
    return [json.loads(line) for line in result.out.splitlines()]


def truth(file):
    with open(str(file) + ".truth.tsv", encoding="utf-8") as lines:
        return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


def octets(row):
    """Of the packet with its fixed header: a Remaining Length takes seven bits an octet."""
    length, header = int(row["len"]), 2
    rest = length >> 7
    while rest:
        header, rest = header + 1, rest >> 7
    return header + length


def add(file):
    @case(f"{file.name}: types, conv, topics and io")
    def _():
        rows = truth(file)
        by_type = collections.Counter(NAMES[int(row["type"])] for row in rows)
        sizes = collections.Counter()
        for row in rows:
            sizes[NAMES[int(row["type"])]] += octets(row)
        types = table(file, "types")
        equal({t["type"].upper(): t["packets"] for t in types}, dict(by_type), "packets by type")
        equal({t["type"].upper(): t["octets"] for t in types}, dict(sizes), "octets by type")
        streams = collections.Counter(int(row["stream"]) for row in rows)
        conv = {c["tcp.stream"]: c["client_packets"] + c["server_packets"] for c in table(file, "conv")}
        equal({s: n for s, n in conv.items() if n}, dict(streams), "packets by stream")
        published = collections.Counter(json.loads(row["topic"])[0] for row in rows if row["type"] == "3" and row["topic"])
        own = {t["topic"]: t["own"] for t in table(file, "topics") if t.get("own")}
        equal(own, dict(published), "PUBLISH by topic")
        asked = collections.Counter(f for row in rows if row["type"] == "8" and row["topic"] for f in json.loads(row["topic"]))
        filters = {t["filter"]: t["subscribes"] for t in table(file, "topics") if t.get("subscribes")}
        equal(filters, dict(asked), "subscriptions")
        equal(sum(i["packets"] for i in table(file, "io,0.1")), len(rows), "packets over time")
        matching = sum(i["matching_packets"] for i in table(file, "io,1,mqtt.msgtype == PUBLISH"))
        equal(matching, by_type["PUBLISH"], "packets that match")
        clients = table(file, "clients")
        equal(sum(c["client_packets"] + c["server_packets"] for c in clients), len(rows), "packets of all clients")


for each in sorted(CAPTURES.glob("*.truth.tsv")):
    capture = each.with_name(each.name[:-len(".truth.tsv")])
    if "mqtt" in capture.name and "__" in capture.name:
        add(capture)


def width(text):
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


@case("every table of every capture: 100 columns, no controls, no blanks at the end")
def _():
    for capture in sorted(c for c in CAPTURES.iterdir() if c.name.endswith((".pcap", ".pcapng")) and "mqtt" in c.name):
        result = run("mqdump", "-q", "-r", capture, *[word for stat in TABLES for word in ("-z", stat)])
        without_keys = re.search(r"tls1.(_npm)?\.pcap$", capture.name)
        closed = b"mqdump: 1 TLS connection stays closed: no key (-o tls.keylog_file:FILE)\n" if without_keys else b""
        equal((result.status, result.err), (0, closed), f"{capture.name}: status and stderr")
        for line in result.out.decode("utf-8").splitlines():
            check(width(line) <= 101, f"{capture.name}: {width(line)} columns: {line}")  # a wide character at the cut counts once
            check(line == line.rstrip() and line.isprintable(), f"{capture.name}: {line!r}")


@case("exchanges and sessions agree with the rows")
def _():
    file = "mqtt5_everything_mosquitto.pcap"
    rows = [json.loads(line) for line in run("mqdump", "-r", file, "-T", "json").out.splitlines()]
    kinds = collections.Counter(r["kind"] for r in table(file, "exchanges"))
    begun = {(r["mqtt.flow.id"], r["mqtt.flow.kind"]) for r in rows if "mqtt.flow.id" in r}
    equal(dict(kinds), dict(collections.Counter(kind for _, kind in begun)), "exchanges by kind")
    sessions, named = {s["session"] for s in table(file, "sessions")}, {r["mqtt.session.id"] for r in rows if "mqtt.session.id" in r}
    check(len(sessions) == 6 and sessions < named, f"six clients, and one session that became another: {sessions}, {named}")
    equal(len(table(file, "findings")) >= sum(len(r.get("mqtt.violation.rule", [])) for r in rows), True, "findings")


@case("-z help, and what is no statistic")
def _():
    result = run("mqdump", "-z", "help")
    check(result.status == 0 and all(name.split(",")[0].encode() in result.out for name in TABLES), result)
    for wrong in ("topic", "io", "io,x", "io,1,mqtt.topik"):
        result = run("mqdump", "-r", "/nonexistent.pcap", "-z", wrong)
        check(result.status == 1 and result.err.startswith(b"mqdump: -z: "), result)


harness.main()
