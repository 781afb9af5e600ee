#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""corpus/seeds/websockets.py DIRECTORY: what clients say to a WebSocket server, right and wrong, for the target `websocket`. The first
octet says in pieces of how many octets (less one)."""
import os
import struct
import sys

KEY, MASK = b"dGhlIHNhbXBsZSBub25jZQ==", b"\1\2\3\4"


def request(method=b"GET /mqtt HTTP/1.1", end=b"\r\n", **fields):
    usual = {"Host": b"broker", "Upgrade": b"websocket", "Connection": b"Upgrade", "Sec-WebSocket-Key": KEY, "Sec-WebSocket-Version": b"13",
             "Sec-WebSocket-Protocol": b"mqtt"}
    usual.update({name.replace("_", "-"): value for name, value in fields.items()})
    return end.join([method] + [name.encode() + b": " + value for name, value in usual.items() if value is not None] + [b"", b""])


def frame(payload=b"", opcode=2, fin=True, mask=MASK, reserved=0, length=None, size=None):
    n = len(payload) if length is None else length
    size = size or (1 if n < 126 else 2 if n < 65536 else 8)
    head = bytes([(0x80 if fin else 0) | reserved << 4 | opcode, (0x80 if mask else 0) | {1: n, 2: 126, 8: 127}[size]])
    head += {1: b"", 2: struct.pack(">H", n & 0xffff), 8: struct.pack(">Q", n)}[size]
    return head + (mask or b"") + bytes(c ^ mask[i % 4] if mask else c for i, c in enumerate(payload))


def seeds():
    up = request()
    connect = b"\x10\x0d\0\4MQTT\4\2\0\x3c\0\1a"
    yield from {
        "connect": up + frame(connect), "fragments": up + frame(connect[:3], fin=False) + frame(b"p", 9) + frame(connect[3:], 0), "ping": up + frame(b"x" * 125, 9),
        "ping-empty": up + frame(opcode=9), "pong": up + frame(b"y", 10), "close": up + frame(b"\3\xe8bye", 8) + frame(connect), "close-empty": up + frame(opcode=8),
        "close-short": up + frame(b"\3", 8), "text": up + frame(connect, 1), "unmasked": up + frame(connect, mask=None), "reserved": up + frame(connect, reserved=4),
        "opcode": up + frame(connect, 5), "control-opcode": up + frame(b"", 11), "long-control": up + frame(b"z" * 126, 9), "cut-control": up + frame(b"z", 9, fin=False),
        "medium": up + frame(b"m" * 200), "large": up + frame(b"l" * 70000)[:4000], "large-form": up + frame(connect, size=8), "medium-form": up + frame(connect, size=2),
        "negative": up + frame(connect, size=8, length=1 << 63), "continuation-first": up + frame(connect, 0), "empty-data": up + frame(b"") + frame(connect),
        "cut-frame": up + frame(connect)[:5], "cut-header": up + b"\x82", "ping-close": up + frame(b"1", 9) + frame(b"2", 9) + frame(b"\3\xe8", 8),
    }.items()
    for name, changed in {"no-key": {"Sec_WebSocket_Key": None}, "long-key": {"Sec_WebSocket_Key": b"k" * 90}, "longer-key": {"Sec_WebSocket_Key": b"k" * 200},
                          "no-protocol": {"Sec_WebSocket_Protocol": None}, "protocols": {"Sec_WebSocket_Protocol": b"mqttv3.1, mqtt;q=1, x"},
                          "other-protocol": {"Sec_WebSocket_Protocol": b"chat"}, "mqtts": {"Sec_WebSocket_Protocol": b"mqtts, xmqtt"}, "upgrade": {"Upgrade": b"h2c"}, "no-upgrade": {"Upgrade": None},
                          "connection": {"Connection": b"keep-alive, \tUpgrade \t "}, "no-connection": {"Connection": b"close"}, "case": {"Upgrade": b"WebSocket", "Connection": b"UPGRADE"},
                          "blank-value": {"Upgrade": b"  \t ", "Host": b""}, "post": {"method": b"POST / HTTP/1.1"}, "line-feeds": {"end": b"\n"}, "short": {"method": b"G"}}.items():
        yield name, request(**changed) + frame(connect)
    yield "endless", b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 800
    yield "no-end", request()[:-2]
    yield "no-colon", b"GET / HTTP/1.1\r\nUpgrade websocket\r\nUpgradeX: a\r\nUp\r\n\r\n"
    yield "mqtt", connect
    yield "nothing", b"\r\n\r\n"


def main():
    os.makedirs(sys.argv[1], exist_ok=True)
    for name, octets in seeds():
        for piece in (0, 6):
            with open(os.path.join(sys.argv[1], f"{name}-{piece}"), "wb") as out:
                out.write(bytes([piece]) + octets)


if __name__ == "__main__":
    main()
