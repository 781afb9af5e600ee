#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mqshark on a live loopback: keys are answered under load, no packet is lost, and a recording survives its terminal."""
import pathlib
import select
import socket
import struct
import subprocess
import sys
import tempfile
import time

from harness import DEADLINE_S, Stream, case, check, equal, free_port, main, private_network, program
from screens_terminal import NO_LEAK_CHECK, Terminal, gone, mqshark

KEY_S = 0.5  # the aim is 0.1 s on a machine of its own; the screen is read through tmux
RATE, ENOUGH = 20000, 15000


def vbi(n):
    out = b""
    while True:
        n, digit = divmod(n, 128)
        out += bytes([digit | (128 if n else 0)])
        if not n:
            return out


def packet(first, body):
    return bytes([first]) + vbi(len(body)) + body


def string(s):
    return struct.pack("!H", len(s)) + s


def publish(port, rate, messages_at_least):
    """QoS 0 messages at a steady rate, each sent by itself, so many and until stdin ends; prints how many control packets went over
    the connection."""
    link = socket.create_connection(("127.0.0.1", port))
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    link.sendall(packet(0x10, string(b"MQTT") + b"\4\2\0\x3c" + string(b"load")))
    link.recv(4)
    start, messages = time.monotonic(), 0
    while messages < messages_at_least or not select.select([0], [], [], 0)[0]:
        due = min(int((time.monotonic() - start) * rate), messages + 50)
        for number in range(messages, due):
            link.sendall(packet(0x30, string(b"load/%d" % (number % 50)) + b"%d" % number))
        if due == messages:
            select.select([], [], [], 0.0005)
        messages = due
    link.sendall(b"\xe0\0")
    link.close()
    print(messages + 3)


class Publisher:
    """publish() in a process of its own."""

    def __init__(self, port, rate, messages):
        self.process = subprocess.Popen([sys.executable, __file__, "publish", str(port), str(rate), str(messages)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def sent(self):
        out, _ = self.process.communicate(timeout=DEADLINE_S)
        return int(out)


class Scene:
    def __init__(self, *options, env=None):
        self.port = free_port()
        self.broker = Stream(["mosquitto", "-p", self.port])  # not -v: nobody reads on what it says
        self.broker.line("running", err=True)
        self.terminal = Terminal(mqshark("-i", "lo", "-f", f"tcp port {self.port}", *options), env=env)
        self.terminal.wait_for(" live ")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.terminal.close()
        self.broker.__exit__()


def answered(terminal, key, awaited):
    start = time.monotonic()
    terminal.keys(key)
    terminal.wait_for(awaited)
    return time.monotonic() - start


@case(f"under {RATE} messages a second keys are answered and every packet is held")
def load():
    with Scene() as scene:
        t = scene.terminal
        publisher = Publisher(scene.port, RATE, ENOUGH)
        for key, awaited in [("?", "help: "), ("T", "topic, by"), ("i", "answer times")] * 2:
            end = time.monotonic() + DEADLINE_S
            while (took := max(answered(t, key, awaited), answered(t, "q", "client "))) >= KEY_S:  # a busy machine has its moments
                check(time.monotonic() < end, f"{key} or q took {took:.3f} s, and as long before")
        sent = publisher.sent()
        screen = t.wait_for(f"{sent}/{sent} rows" if sent < 100000 else "k rows")
        check(" drops 0 " in screen, "drops")


@case("paused rows stay, and come after it; follow stays at the newest")
def pause_and_follow():
    with Scene() as scene:
        t = scene.terminal
        t.keys("P P A")
        first = Publisher(scene.port, 100, 20).sent()
        t.wait_for("DISCONNECT")
        t.wait_for(f"{first}/{first} A")
        t.keys("p")
        t.wait_for(" paused ")
        both = first + Publisher(scene.port, 100, 20).sent()
        t.wait_for(f"{both}/{both} rows")
        check(f"{first}/{first} A" in t.screen(), "rows shown while paused")
        t.keys("p")
        t.wait_for(f"{both}/{both} A")


@case("a recording is whole when the terminal goes away")
def recording():
    with tempfile.TemporaryDirectory() as d:
        path = pathlib.Path(d, "rec.pcapng")
        with Scene("-w", path, env=NO_LEAK_CHECK) as scene:
            sent = Publisher(scene.port, 1000, 500).sent()
            scene.terminal.wait_for(f"{sent}/{sent} rows")
            pid = scene.terminal.pid()
            scene.terminal.vanish()
            check(gone(pid), "it is still there")
            rows = subprocess.run([program("mqdump"), "-r", path], capture_output=True, text=True, timeout=DEADLINE_S).stdout
            equal(len(rows.splitlines()), sent, "rows of the recording")


if sys.argv[1:2] == ["publish"]:
    publish(int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
else:
    private_network()
    raise SystemExit(main())
