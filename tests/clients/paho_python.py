#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Conversations of the Paho client for Python with the broker at 127.0.0.1, port argv[1]. Exit status 0: all as expected."""
import queue
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

PORT = int(sys.argv[1])
DEADLINE_S = 10
PROTOCOLS = {"31": mqtt.MQTTv31, "311": mqtt.MQTTv311, "5": mqtt.MQTTv5}


class Client:
    """A client whose events are awaited one by one."""

    def __init__(self, name, protocol, clean=True, expiry=None, will=None, user=None):
        self.v5 = protocol == mqtt.MQTTv5
        options = {} if self.v5 else {"clean_session": clean}
        self.client = mqtt.Client(name, protocol=protocol, **options)
        self.events = queue.Queue()
        self.messages = queue.Queue()
        self.client.on_message = lambda c, u, message: self.messages.put(message)
        self.client.on_connect = lambda c, u, flags, code, props=None: self.events.put(("connect", flags, int(getattr(code, "value", code)), props))
        self.client.on_subscribe = lambda c, u, mid, codes, props=None: self.events.put(("subscribe", mid, [int(getattr(code, "value", code)) for code in codes]))
        self.client.on_unsubscribe = lambda c, u, mid, *rest: self.events.put(("unsubscribe", mid))
        self.client.on_publish = lambda c, u, mid: self.events.put(("publish", mid))
        self.client.on_disconnect = lambda c, u, code, props=None: self.events.put(("disconnect", int(getattr(code, "value", code))))
        if will:
            self.client.will_set(*will)
        if user:
            self.client.username_pw_set(*user)
        more = {}
        if self.v5:
            more["clean_start"] = clean
            if expiry is not None:
                more["properties"] = Properties(PacketTypes.CONNECT)
                more["properties"].SessionExpiryInterval = expiry
        self.client.connect("127.0.0.1", PORT, 30, **more)
        self.client.loop_start()
        _, self.flags, self.code, self.properties = self.await_event("connect")

    def await_event(self, kind):
        while True:
            event = self.events.get(timeout=DEADLINE_S)
            if event[0] == kind:
                return event

    def subscribe(self, topic, qos, **options):
        if self.v5:
            _, mid = self.client.subscribe(topic, options=SubscribeOptions(qos=qos, **options))
        else:
            _, mid = self.client.subscribe(topic, qos)
        _, got, codes = self.await_event("subscribe")
        assert got == mid and codes == [qos], (mid, got, codes)

    def publish(self, topic, text, qos, retain=False, properties=None):
        self.client.publish(topic, text, qos, retain, properties) if self.v5 else self.client.publish(topic, text, qos, retain)
        self.await_event("publish")

    def expect(self, topic, text, qos, retain=False):
        message = self.messages.get(timeout=DEADLINE_S)
        got = (message.topic, message.payload.decode(), message.qos, bool(message.retain))
        assert got == (topic, text, qos, retain), got
        return message

    def end(self, quietly=True):
        if quietly:
            self.client.disconnect()
            self.await_event("disconnect")
        else:
            self.client._sock_close()
        self.client.loop_stop()


def basics(name, protocol):
    a, b = Client(f"py{name}a", protocol), Client(f"py{name}b", protocol)
    a.subscribe(f"py{name}/#", 2)
    for qos in (0, 1, 2):
        b.publish(f"py{name}/t", f"m{qos}", qos)
        a.expect(f"py{name}/t", f"m{qos}", qos)
    b.publish(f"py{name}/kept", "kept", 1, retain=True)
    a.expect(f"py{name}/kept", "kept", 1)
    b.subscribe(f"py{name}/+", 1)
    b.expect(f"py{name}/kept", "kept", 1, retain=True)
    b.publish(f"py{name}/kept", "", 1, retain=True)
    a.expect(f"py{name}/kept", "", 1)
    a.client.unsubscribe(f"py{name}/#")
    a.await_event("unsubscribe")
    for client in (a, b):
        client.end()


def sessions(name, protocol):
    a = Client(f"py{name}s", protocol, clean=False, expiry=60)
    a.subscribe(f"py{name}/s", 2)
    a.end()
    b = Client(f"py{name}b", protocol)
    for number in range(30):
        b.publish(f"py{name}/s", str(number), 1 + number % 2)
    a = Client(f"py{name}s", protocol, clean=False, expiry=60)
    assert protocol == mqtt.MQTTv31 or (a.flags["session present"] if isinstance(a.flags, dict) else a.flags.session_present)
    got = [a.messages.get(timeout=DEADLINE_S).payload.decode() for _ in range(30)]
    assert [n for n in got if int(n) % 2] == [str(n) for n in range(30) if n % 2], got
    assert [n for n in got if not int(n) % 2] == [str(n) for n in range(30) if not n % 2], got
    a.end()
    Client(f"py{name}s", protocol, clean=True).end()
    b.end()


def wills(name, protocol):
    b = Client(f"py{name}b", protocol)
    b.subscribe(f"py{name}/w", 1)
    Client(f"py{name}w", protocol, will=(f"py{name}/w", "gone", 1, False)).end(quietly=False)
    b.expect(f"py{name}/w", "gone", 1)
    b.end()


def properties():
    a, b = Client("py5pa", mqtt.MQTTv5), Client("py5pb", mqtt.MQTTv5)
    a.subscribe("py5/p", 2, noLocal=True, retainAsPublished=True)
    sent = Properties(PacketTypes.PUBLISH)
    sent.UserProperty = [("k", "v"), ("k", "w"), ("a", "b")]
    sent.ContentType, sent.ResponseTopic, sent.CorrelationData = "text/plain", "py5/reply", b"\0\1"
    sent.PayloadFormatIndicator, sent.MessageExpiryInterval = 1, 60
    b.publish("py5/p", "x", 2, properties=sent)
    got = a.expect("py5/p", "x", 2).properties
    assert got.UserProperty == sent.UserProperty and got.ContentType == "text/plain", got
    assert got.ResponseTopic == "py5/reply" and got.CorrelationData == b"\0\1", got
    assert got.PayloadFormatIndicator == 1 and 50 <= got.MessageExpiryInterval <= 60, got
    a.publish("py5/p", "own", 1)
    unnamed = Client("", mqtt.MQTTv5)
    assert len(unnamed.properties.AssignedClientIdentifier) > 0
    for client in (a, b, unnamed):
        client.end()


def shared():
    a, b, c = (Client(f"py5s{n}", mqtt.MQTTv5) for n in "abc")
    a.subscribe("$share/g/py5/sh", 1)
    b.subscribe("$share/g/py5/sh", 1)
    for number in range(10):
        c.publish("py5/sh", str(number), 1)
    got = []
    while len(got) < 10:
        for client in (a, b):
            while not client.messages.empty():
                got.append(client.messages.get().payload.decode())
    assert sorted(got, key=int) == [str(n) for n in range(10)], got
    for client in (a, b, c):
        client.end()


for version, number in PROTOCOLS.items():
    basics(version, number)
    sessions(version, number)
    wills(version, number)
properties()
shared()
print("paho for Python: done")
