#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Other people's clients in conversation with mqbroker, while mqdump watches: all goes as the clients expect, and mqdump finds no
violation by the broker.

mosquitto_pub and mosquitto_sub, Paho for Python, Paho for C, libmosquitto, and MQTT.js where npm can be asked for it.
"""
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile

import harness
from harness import BUILD, ROOT, Stream, case, check, equal, private_network, program

CLIENTS = ROOT / "tests" / "clients"
LEVELS = {"mqttv31": 3, "mqttv311": 4, "mqttv5": 5}


class Scene:
    """mqbroker, and an mqdump that watches it."""

    def __init__(self, *options):
        self.broker = Stream([program("mqbroker"), "-p", "0", *options])
        self.port = self.broker.line("listening on").rsplit(":", 1)[1]
        self.dump = Stream([program("mqdump"), "-i", "lo", "-l", "-T", "json", "-f", f"tcp port {self.port}"])
        self.dump.line("listening on", err=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.dump.__exit__()
        self.broker.__exit__()

    def run(self, *argv, **options):
        done = subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=60, check=False, **options)
        equal(done.returncode, 0, f"status of {argv}: {done.stdout.decode(errors='replace')[-1500:]}")
        return done.stdout.decode(errors="replace")

    def judge(self, least):
        """Ends the broker and the capture; no row accuses the broker, and there were so many of them at least."""
        self.broker.child.send_signal(signal.SIGTERM)
        equal(self.broker.finish().status, 0, "status of mqbroker")
        self.dump.child.send_signal(signal.SIGINT)
        result = self.dump.finish()
        equal(result.status, 0, f"status of mqdump: {result}")
        rows = [json.loads(line) for line in result.out.splitlines() if line.startswith(b"{")]
        accused = [row for row in rows if "server" in row.get("mqtt.violation.side", [])]
        check(not accused, f"{len(accused)} violations by the broker, the first: {accused[:1]}")
        check(len(rows) >= least, f"{len(rows)} packets seen, at least {least} expected")


def publish(scene, version, topic, qos, *options):
    scene.run("mosquitto_pub", "-h", "127.0.0.1", "-p", scene.port, "-V", version, "-q", qos, "-t", topic, "-i", "pub", *options)


def subscriber(scene, version, topic, count, *options):
    return Stream(["mosquitto_sub", "-h", "127.0.0.1", "-d", "-p", scene.port, "-V", version, "-q", "2", "-t", topic, "-C", count, "-W", "20", "-i", "sub",
                   "-F", "%t %p q=%q r=%r", *options])


def add_mosquitto_tools(version):
    @case(f"mosquitto_pub and mosquitto_sub, {version}")
    def _():
        with Scene("-v") as scene:
            with subscriber(scene, version, "t/#", 3) as sub:
                scene.broker.line('client="sub"', err=True)
                publish(scene, version, "t/kept", 1, "-m", "kept", "-r")
                sub_is_ready(scene, version)
                for qos in (0, 1):
                    publish(scene, version, f"t/{qos}", qos, "-m", f"m{qos}")
                result = sub.finish()
                equal(result.status, 0, f"mosquitto_sub: {result}")
                lines = [line for line in result.out.decode().splitlines() if line.startswith("t/")]
                equal(lines[1:], ["t/0 m0 q=0 r=0", "t/1 m1 q=1 r=0"], "what came")
            session(scene, version)
            will(scene, version)
            scene.judge(30)


def sub_is_ready(scene, version):
    """The retained message comes with the SUBACK or live: either way the subscription stands when it has come."""
    with subscriber(scene, version, "t/kept", 1, "-i", "other") as sub:
        result = sub.finish()
        check(b"t/kept kept q=1 r=1" in result.out, f"the retained message: {result}")


def session(scene, version):
    options = ["-c", "-i", "keeper"] + (["-x", "60"] if version == "mqttv5" else [])
    scene.run("mosquitto_sub", "-h", "127.0.0.1", "-p", scene.port, "-V", version, "-q", "2", "-t", "s", "-E", *options)
    for qos in (1, 2):
        publish(scene, version, "s", qos, "-m", f"m{qos}")
    got = scene.run("mosquitto_sub", "-h", "127.0.0.1", "-p", scene.port, "-V", version, "-q", "2", "-t", "s", "-C", "2", "-W", "10", "-F", "%p %q", *options)
    equal(got.splitlines(), ["m1 1", "m2 2"], "what was kept for the session")


def will(scene, version):
    with subscriber(scene, version, "w", 1, "-i", "heir") as heir:
        scene.broker.line('client="heir"', err=True)
        with subscriber(scene, version, "none", 1, "-i", "mortal", "--will-topic", "w", "--will-payload", "gone", "--will-qos", "1", "--will-retain") as mortal:
            scene.broker.line('client="mortal"', err=True)
            mortal.child.send_signal(signal.SIGKILL)
            mortal.child.wait()
        result = heir.finish()
        check(b"w gone q=1" in result.out, f"the will: {result}")
    publish(scene, version, "w", 0, "-n", "-r")


for name in LEVELS:
    add_mosquitto_tools(name)


@case("mosquitto_pub and mosquitto_sub, properties of 5.0")
def _():
    with Scene("-v") as scene:
        sub = Stream(["mosquitto_sub", "-h", "127.0.0.1", "-p", scene.port, "-V", "5", "-q", "2", "-t", "p", "-C", "1", "-W", "20", "-F", "%P|%C|%R|%D|%E|%p"])
        with sub:
            scene.broker.line("connect", err=True)
            publish(scene, "5", "p", 2, "-m", "x", "-r", "-D", "publish", "user-property", "a", "1", "-D", "publish", "user-property", "b", "2",
                    "-D", "publish", "content-type", "text", "-D", "publish", "response-topic", "reply", "-D", "publish", "correlation-data", "12",
                    "-D", "publish", "message-expiry-interval", "100", "-D", "publish", "topic-alias", "3")
            line = sub.line("|")
            equal(line.split("|")[:4] + line.split("|")[5:], ["a:1 b:2", "text", "reply", "12", "x"], "what came")
            check(95 <= int(line.split("|")[4]) <= 100, f"expiry in {line}")
        scene.judge(8)


def python_with_paho():
    for name in ("python3", "/usr/bin/python3"):
        if subprocess.run([name, "-c", "import paho.mqtt.client"], capture_output=True, check=False).returncode == 0:
            return name
    raise harness.Failure("no python3 with paho.mqtt (python3-paho-mqtt)")


@case("Paho for Python")
def _():
    with Scene() as scene:
        scene.run(python_with_paho(), CLIENTS / "paho_python.py", scene.port)
        scene.judge(300)


def add_c_client(title, source, library):
    @case(title)
    def _():
        with tempfile.TemporaryDirectory() as folder, Scene() as scene:
            built = os.path.join(folder, "client")
            scene.run(os.environ.get("CC", "cc"), "-Wall", "-o", built, CLIENTS / source, library)
            scene.run(built, scene.port)
            scene.judge(60)


add_c_client("Paho for C", "paho.c", "-lpaho-mqtt3c")
add_c_client("libmosquitto", "mosquitto.c", "-lmosquitto")


def mqttjs():
    """The folder with MQTT.js, asked of npm once; None where there is no npm or no registry."""
    folder = BUILD / "npm"
    if not (folder / "node_modules" / "mqtt").is_dir() and shutil.which("npm") and shutil.which("node"):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), "mqtt@5.10.1"], stdin=subprocess.DEVNULL,
                           capture_output=True, timeout=60, check=False)
        except subprocess.TimeoutExpired:
            pass
    return folder if (folder / "node_modules" / "mqtt").is_dir() else None


JS = mqttjs()
if JS:
    @case("MQTT.js")
    def _():
        with Scene() as scene:
            scene.run("node", CLIENTS / "mqttjs.js", scene.port, env=dict(os.environ, NODE_PATH=str(JS / "node_modules")))
            scene.judge(60)
else:
    print("# MQTT.js is left out: npm cannot be asked for it", flush=True)

@case("mqbroker --log json: one object a line, whatever the client calls itself")
def _():
    with Stream([program("mqbroker"), "-p", "0", "--log", "json", "-v"]) as broker:
        port = int(broker.line("listening on").rsplit(":", 1)[1])
        for name in (b'a"b\\c', b"\x1b[31m", b"caf\xc3\xa9"):
            with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
                client.sendall(b"\x10" + bytes([12 + len(name)]) + b"\x00\x04MQTT\x04\x02\x00\x00"
                               + len(name).to_bytes(2, "big") + name + b"\xe0\x00")
                while client.recv(100):
                    pass
            if name.startswith(b"\x1b"):  # a control character: refused before anybody is known by that name
                equal(json.loads(broker.line('"refuse"', err=True))["rule"], "S4-1.5.3-a", "the rule broken")
                continue
            row = json.loads(broker.line('"connect"', err=True))
            equal(row["client_id"], name.decode(), "the client's name")
            equal(json.loads(broker.line('"disconnect"', err=True))["version"], "3.1.1", "its version")
        broker.child.send_signal(signal.SIGTERM)
        equal(broker.finish().status, 0, "status")


private_network()
harness.main()
