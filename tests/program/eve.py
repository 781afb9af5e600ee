#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""-T eve: every line of every capture is valid by docs/eve.schema.json, agrees with -T json, and outputs behave."""
import base64
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile

import harness
from harness import CAPTURES, ROOT, Stream, case, check, equal, program, run

SCHEMA = json.loads((ROOT / "docs" / "eve.schema.json").read_text(encoding="utf-8"))
BASIC, MANY = "mqtt311_basics.pcap", "mqtt5_everything_mosquitto.pcap"
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "null": type(None)}
scratch = tempfile.TemporaryDirectory(prefix="mqshark-eve-")  # gone when the program ends
tmp = pathlib.Path(scratch.name)


def is_type(value, name):
    return isinstance(value, TYPES[name]) and not (name == "integer" and isinstance(value, bool))


def errors(value, schema, path="event"):
    """The parts of JSON Schema that the schema uses; any other keyword stops the test."""
    found = []
    for key, want in schema.items():
        if key == "$ref":
            found += errors(value, SCHEMA["$defs"][want.rsplit("/", 1)[1]], path)
        elif key == "type":
            if not any(is_type(value, name) for name in (want if isinstance(want, list) else [want])):
                return [f"{path} is no {want}: {value!r:.80}"]
        elif key == "const":
            found += [] if value == want and type(value) is type(want) else [f"{path} is not {want!r}: {value!r:.80}"]
        elif key == "enum":
            found += [] if value in want else [f"{path} is none of {want}: {value!r:.80}"]
        elif key == "pattern":
            found += [] if re.search(want, value) else [f"{path} is not like {want}: {value!r:.80}"]
        elif key == "minLength":
            found += [] if len(value) >= want else [f"{path} is empty"]
        elif key in ("minimum", "maximum"):
            good = value >= want if key == "minimum" else value <= want
            found += [] if good else [f"{path} is beyond {want}: {value!r}"]
        elif key == "required":
            found += [f"{path} has no {name}" for name in want if name not in value]
        elif key == "properties":
            for name, below in want.items():
                found += errors(value[name], below, f"{path}.{name}") if name in value else []
        elif key == "additionalProperties":
            for name in value:
                if name not in schema.get("properties", {}):
                    found += [f"{path} has {name}"] if want is False else errors(value[name], want, f"{path}.{name}")
        elif key == "items":
            for number, each in enumerate(value):
                found += errors(each, want, f"{path}[{number}]")
        elif key == "oneOf":
            good = sum(not errors(value, one, path) for one in want)
            found += [] if good == 1 else [f"{path}: {good} of oneOf hold"]
        elif key not in ("$schema", "$defs", "title", "description"):
            raise ValueError(f"keyword {key}")
    return found


def events(*args, **options):
    result = run("mqdump", *args, "-T", "eve", **options)
    check(result.status in (0, 2), result)
    return [json.loads(line) for line in result.out.decode("utf-8").splitlines()]


@case("the check of the schema can fail")
def _():
    good = events("-r", BASIC)[0]
    equal(errors(good, SCHEMA), [], "a good event")
    for change in ({"extra": 1}, {"schema": 2}, {"event_type": "mqtt_gap"}, {"timestamp": "now"}, {"client_id": 7}, {"flow_id": 2**53}):
        check(errors({**good, **change}, SCHEMA), f"{change} passes")
    check(errors({k: v for k, v in good.items() if k != "mqtt_version"}, SCHEMA), "an event without version passes")


captures = sorted(c for c in CAPTURES.iterdir() if c.name.endswith((".pcap", ".pcapng")) and "zmtp" not in c.name)
seen = {}


def add(capture):
    @case(f"{capture.name}: every event is valid")
    def _():
        rows = [json.loads(line) for line in run("mqdump", "-r", capture, "-T", "json").out.splitlines()]
        lines = events("-r", capture)
        for number, event in enumerate(lines, 1):
            wrong = errors(event, SCHEMA)
            check(not wrong, f"line {number}: " + "; ".join(wrong[:5]))
            seen.setdefault(event["event_type"], event)
        packets = [e for e in lines if e["event_type"] in ("mqtt", "mqtt_gap")]
        equal(len(packets), len(rows), "packets and gaps")
        for event, row in zip(packets, rows):
            equal(event["pcap_cnt"], row["frame.number"], "frame")
            equal(event["src_port"], row["tcp.srcport"], f"source port of frame {row['frame.number']}")
            equal(event["dest_ip"], row.get("ip.dst", row.get("ipv6.dst")), f"destination of frame {row['frame.number']}")
            if event["event_type"] == "mqtt":
                rules = row.get("mqtt.violation.rule", [])
                equal(event["mqtt"].get("violations", []), rules, f"rules of frame {row['frame.number']}")
        broken = sum(len(row.get("mqtt.violation.rule", [])) for row in rows)
        check(sum(e["event_type"] == "mqtt_finding" for e in lines) >= broken, "fewer findings than violations")
        equal([e["event_type"] for e in lines].count("stats") >= 1, True, "stats at the end")


for each in captures:
    add(each)


@case("every type of event was seen")
def _():
    equal(sorted(seen), sorted(SCHEMA["properties"]["event_type"]["enum"]), "event types")


@case("community_id as tshark's, the same both ways")
def _():
    ours = {(e["src_ip"], e["src_port"]): e["community_id"] for e in events("-r", MANY) if e["event_type"] == "mqtt"}
    theirs = subprocess.run(["tshark", "-n", "-r", str(CAPTURES / MANY), "--enable-protocol", "communityid", "-Y", "mqtt", "-T", "fields",
                             "-e", "ip.src", "-e", "tcp.srcport", "-e", "communityid"], capture_output=True, check=True, timeout=60)
    want = {}
    for line in theirs.stdout.decode().splitlines():
        ip, port, community = line.split("\t")
        want[ip, int(port)] = community
    check(len(want) > 5, "tshark finds connections")
    for key, community in ours.items():
        if key[1] != 1883:
            equal(community, want[key], f"Community ID of {key}")


@case("payloads: text, Base 64, cut at a character")
def _():
    published = [e["mqtt"]["publish"] for e in events("-r", "suricata-verify__mqtt-connect-rules__mqtt5_pub_jpeg.pcap", "--payload-limit", 40)
                 if e["event_type"] == "mqtt" and e["mqtt"]["type"] == "publish"]
    equal(len(published), 1, "one PUBLISH")
    check(base64.b64decode(published[0]["payload_b64"]).startswith(b"\xff\xd8\xff"), "a JPEG begins with its mark")
    equal((len(base64.b64decode(published[0]["payload_b64"])), published[0]["payload_truncated"]), (40, True), "cut")
    texts = [e["mqtt"]["publish"] for e in events("-r", BASIC, "--payload-limit", 4) if e["event_type"] == "mqtt" and "publish" in e["mqtt"]]
    wide = [p for p in texts if p.get("payload", "").startswith("\u5ea6")]  # 度=20℃: three octets, then ASCII
    check(wide and all(p["payload"] == "\u5ea6=" and p["payload_truncated"] for p in wide), f"cut at a character: {wide}")
    check(all("payload" not in e["mqtt"].get("publish", {}) for e in events("-r", BASIC, "--payload-limit", 0) if e["event_type"] == "mqtt"),
          "limit 0 writes none")


@case("what is not UTF-8 stays whole, and is named")
def _():
    odd = [e for e in events("-r", "mqtt311_protocol_errors.pcap") if "invalid_utf8" in e]
    check(odd, "some event has text that is not UTF-8")
    check(any(e["event_type"] == "mqtt" and e["mqtt"].get("publish", {}).get("topic") == "\\xc3(" for e in odd), f"the topic: {odd[:2]}")


@case("passwords and user names are masked, unless asked for")
def _():
    for options, masked in (((), True), (("--show-secrets",), False)):
        text = run("mqdump", "-r", "mqtt_auth_acl.pcap", "-T", "eve", *options).out
        equal(b"wonder" not in text and b'"alice"' not in text, masked, f"masked with {options}")


@case("--redact: nothing of what is masked is left, the same value keeps its mask")
def _():
    for format_ in (["-T", "text", "-V"], ["-T", "json"], ["-T", "eve"], ["-q", "-z", "topics", "-z", "clients", "-z", "sessions", "-z", "exchanges"]):
        text = run("mqdump", "-r", MANY, "--redact", "all", *format_).out
        for secret in (b"subA-1", b"willer", b"all/props", b"grp", b"jobs", b"resp/here"):
            check(not re.search(rb"\b" + re.escape(secret) + rb"\b", text), f"{secret} is left in {format_}")  # a mask may hold "grp"
    lines = events("-r", MANY, "--redact", "clientids")
    ids = {e["client_id"] for e in lines if e["event_type"] == "mqtt" and e["tcp_stream"] == 0 and e["client_id"]}
    equal(len(ids), 1, f"one mask for one client: {ids}")
    check(any(e["mqtt"].get("publish", {}).get("topic") == "all/props" for e in lines if e["event_type"] == "mqtt"), "topics stay")


@case("--sensor is on every line")
def _():
    check(all(e["sensor"] == "tap 1" for e in events("-r", BASIC, "--sensor", "tap 1")), "sensor")


@case("--output: a file, appended to")
def _():
    path = tmp / "eve.json"
    for _ in range(2):
        result = run("mqdump", "-r", BASIC, "-T", "eve", "--output", path)
        equal((result.status, result.out, result.err), (0, b"", b""), "status and outputs")
    lines = path.read_bytes().splitlines()
    equal(lines[:len(lines) // 2], lines[len(lines) // 2:], "both runs")
    result = run("mqdump", "-r", BASIC, "-T", "eve", "--output", tmp / "no" / "such")
    check(result.status == 2 and b"no/such" in result.err, result)


@case("--output: a unix socket")
def _():
    path = tmp / "eve.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        with Stream([program("mqdump"), "-r", CAPTURES / BASIC, "-T", "eve", "--output", f"unix:{path}"]) as mqdump:
            listener.settimeout(harness.DEADLINE_S)
            peer, _ = listener.accept()
            with peer, peer.makefile("rb") as lines:
                got = lines.read()
            equal(mqdump.finish().status, 0, "status")
    equal(got, run("mqdump", "-r", BASIC, "-T", "eve").out, "what came through the socket")


@case("SIGHUP: the old file ends with a whole line, the new one begins with one")
def _():
    fifo, path, old = tmp / "in.fifo", tmp / "rotated.json", tmp / "rotated.json.1"
    os.mkfifo(fifo)
    octets = (CAPTURES / BASIC).read_bytes()
    with Stream([program("mqdump"), "-r", fifo, "-T", "eve", "-l", "--output", path]) as mqdump:
        with open(fifo, "wb", buffering=0) as feed:
            feed.write(octets[:4000])
            wait_for(lambda: path.exists() and path.stat().st_size > 0, "the first events")
            path.rename(old)
            mqdump.child.send_signal(signal.SIGHUP)
            feed.write(octets[4000:])  # the signal is there before it; the next row opens the new file
        equal(mqdump.finish().status, 0, "status")
    check(old.read_bytes().endswith(b"\n"), "the old file ends with a line")
    whole = old.read_bytes() + path.read_bytes()
    equal(whole, run("mqdump", "-r", BASIC, "-T", "eve").out, "both files together")


def wait_for(condition, what):
    """Looks again whenever the folder changes; inotify is not in the standard library, so by short waits for nothing."""
    end = harness.time.monotonic() + harness.DEADLINE_S
    while not condition():
        check(harness.time.monotonic() < end, f"{what}: not within {harness.DEADLINE_S} s")
        harness.select.select([], [], [], 0.01)


@case("the shipper: a key and an event on each line, whatever the client identifier holds")
def _():
    fake = tmp / "bin"
    fake.mkdir()
    (fake / "kcat").write_text('#!/bin/sh\nprintf "%s " "$@" >"$KCAT_ARGS"\ncat\n', encoding="utf-8")
    (fake / "kcat").chmod(0o755)
    lines = run("mqdump", "-r", MANY, "-T", "eve").out
    first = json.loads(lines.splitlines()[0])
    odd = json.dumps({**first, "client_id": "a\tb\nc"}).encode() + b"\n"
    for key in ("community_id", "client_id"):
        done = subprocess.run([str(ROOT / "docs" / "eve-to-kafka.sh"), "broker:9092", "topic", key], input=lines + odd, capture_output=True,
                              timeout=60, check=False, env=dict(os.environ, PATH=f"{fake}:{os.environ['PATH']}", KCAT_ARGS=str(tmp / "args")))
        equal((done.returncode, done.stderr), (0, b""), "status and stderr")
        check("-b broker:9092 -t topic -K \\t" in (tmp / "args").read_text(encoding="utf-8"), "arguments of kcat")
        shipped = done.stdout.decode().splitlines()
        equal(len(shipped), len(lines.splitlines()) + 1, "lines")
        for line, event in zip(shipped, lines.splitlines()):
            name, text = line.split("\t", 1)
            event = json.loads(event)
            equal(json.loads(text), event, "the event as it was")
            equal(name, event.get(key) or event.get("community_id") or "mqshark", "its key")


@case("jq takes every line")
def _():
    done = subprocess.run(["jq", "-c", "."], input=run("mqdump", "-r", MANY, "-T", "eve").out, capture_output=True, timeout=60, check=False)
    equal((done.returncode, done.stderr), (0, b""), "jq")


harness.main()
