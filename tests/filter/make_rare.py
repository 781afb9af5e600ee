#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/filter/rare_fields.pcap: the fields that no recorded capture holds, one packet a frame, by the standard's tables.

Usage: make_rare.py FILE. Ethernet, IPv4, TCP with right checksums; a 5.0 connection and a handshake in front of it.
"""
import struct
import sys

CLIENT, SERVER = (b"\x0a\x00\x00\x07", 50000), (b"\x0a\x00\x00\x01", 1883)


def text(octets):
    return struct.pack(">H", len(octets)) + octets


def props(*properties):
    block = b"".join(properties)
    assert len(block) < 128
    return bytes([len(block)]) + block


def packet(first, body):
    assert len(body) < 128
    return bytes([first, len(body)]) + body


def checksum(octets):
    octets += b"\0" * (len(octets) % 2)
    total = sum(struct.unpack(f">{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def frame(source, target, seq, ack, flags, payload):
    def tcp(check):
        return struct.pack(">HHIIBBHHH", source[1], target[1], seq, ack, 0x50, flags, 65535, check, 0) + payload

    def ip(check):
        return struct.pack(">BBHHHBBH", 0x45, 0, 40 + len(payload), 0, 0x4000, 64, 6, check) + source[0] + target[0]

    pseudo = source[0] + target[0] + struct.pack(">BBH", 0, 6, 20 + len(payload))
    return b"\x02\0\0\0\0\1\x02\0\0\0\0\2\x08\0" + ip(checksum(ip(0))) + tcp(checksum(pseudo + tcp(0)))


PACKETS = [  # from the client?, octets
    (True, packet(0x10, text(b"MQTT") + b"\x05\x02" + struct.pack(">H", 60) + props(b"\x19\x01", b"\x17\x00") + text(b"rare"))),
    (False, packet(0x20, b"\0\0" + props(b"\x1a" + text(b"reply/rare"), b"\x1c" + text(b"other:1883"), b"\x28\x01", b"\x29\x01", b"\x2a\x00",
                                        b"\x24\x01", b"\x25\x00"))),
    (True, packet(0x34, text(b"q/2") + struct.pack(">H", 7) + props(b"\x26" + text(b"name") + text(b"value")) + b"hello")),
    (False, packet(0x50, struct.pack(">H", 7) + b"\x10" + props(b"\x1f" + text(b"nobody listens")))),
    (True, packet(0x62, struct.pack(">H", 8) + b"\x92" + props())),
    (False, packet(0x70, struct.pack(">H", 8) + b"\x92" + props(b"\x1f" + text(b"no such id")))),
    (True, packet(0x30, text(b"") + props() + b"nowhere")),  # no topic and no alias: [MQTT-3.3.2.3.4] and Wireshark's mark
]


def main():
    seq = {True: 1000, False: 2000}
    frames = [frame(CLIENT, SERVER, 999, 0, 0x02, b""), frame(SERVER, CLIENT, 1999, 1000, 0x12, b""), frame(CLIENT, SERVER, 1000, 2000, 0x10, b"")]
    for from_client, octets in PACKETS:
        source, target = (CLIENT, SERVER) if from_client else (SERVER, CLIENT)
        frames.append(frame(source, target, seq[from_client], seq[not from_client], 0x18, octets))
        seq[from_client] += len(octets)
    frames.append(frame(CLIENT, SERVER, seq[True], seq[False], 0x11, b""))
    with open(sys.argv[1], "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for number, octets in enumerate(frames):
            out.write(struct.pack("<IIII", 1700000000, number * 1000, len(octets), len(octets)) + octets)


main()
