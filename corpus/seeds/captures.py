#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""corpus/seeds/captures.py DIRECTORY [WAYS]: small captures for the target `capture`, one for each link type, kind of file, way through IP and
situation of TCP. They are written from what the formats say, without a line of ours in between. WAYS: each so many times, for as many
values of octet 13, which no reader of these formats looks at and by which the target chooses how to read."""
import gzip
import os
import struct
import sys

import websockets

ETHERNET, NULL, RAW, LOOP, SLL, SLL2, PPP, PPP_HDLC, PPPOE, CHDLC, WIFI, RADIOTAP, PRISM, AVS, IPV4, IPV6 = (
    1, 0, 101, 108, 113, 276, 9, 50, 51, 104, 105, 127, 119, 163, 228, 229)
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16

# ---- MQTT ----


def connect(name=b"a", version=4, extra=b""):
    body = b"\0\4MQTT" + bytes([version]) + b"\2\0\x3c" + (b"\0" if version == 5 else b"") + struct.pack(">H", len(name)) + name + extra
    return b"\x10" + bytes([len(body)]) + body


def publish(topic=b"t", payload=b"x", flags=0, number=b""):
    body = struct.pack(">H", len(topic)) + topic + number + payload
    length = bytes([len(body)]) if len(body) < 128 else bytes([len(body) & 127 | 128, len(body) >> 7])
    return bytes([0x30 | flags]) + length + body


CONNACK, PINGREQ, PINGRESP, DISCONNECT, PUBACK = b"\x20\2\0\0", b"\xc0\0", b"\xd0\0", b"\xe0\0", b"\x40\2\0\7"

# ---- TCP and IP ----

CLIENT, SERVER = (bytes([10, 0, 0, 1]), 40000), (bytes([10, 0, 0, 2]), 1883)


def tcp(source, target, seq, flags=ACK, payload=b"", ack=0, options=b""):
    return struct.pack(">HHIIBBHHH", source, target, seq & 0xffffffff, ack & 0xffffffff, (20 + len(options)) // 4 << 4, flags, 65535, 0,
                       0) + options + payload


def ip4(payload, source=CLIENT[0], target=SERVER[0], protocol=6, number=0, offset=0, more=False, length=None, options=b""):
    size = 20 + len(options) + len(payload) if length is None else length
    return struct.pack(">BBHHHBBH", 0x40 | (20 + len(options)) // 4, 0, size, number, (0x2000 if more else 0) | offset // 8, 64, protocol,
                       0) + source + target + options + payload


def ip6(payload, source=bytes(15) + b"\1", target=bytes(15) + b"\2", following=6, length=None):
    return struct.pack(">IHBB", 0x60000000, len(payload) if length is None else length, following, 64) + source + target + payload


def eth(payload, kind=0x0800):
    return b"\2" * 12 + struct.pack(">H", kind) + payload


class Talk:
    """A TCP connection as a list of datagrams."""

    def __init__(self, client=CLIENT, server=SERVER, start=1000, wrap=ip4):
        self.ends, self.seq, self.wrap, self.out = (client, server), [start, 5000], wrap, []

    def send(self, side, payload=b"", flags=ACK | PSH, at=0, keep=True, ack=None):
        """at: octets before (-) or behind (+) where the side stands; keep: the octets count."""
        (a, b) = (self.ends[side], self.ends[1 - side])
        seq = self.seq[side] + at
        self.out.append(self.wrap(tcp(a[1], b[1], seq, flags, payload, self.seq[1 - side] if ack is None else ack), a[0], b[0]))
        if keep:
            self.seq[side] += at + len(payload) + (1 if flags & (SYN | FIN) else 0)
        return self

    def hello(self):
        return self.send(0, flags=SYN, ack=0).send(1, flags=SYN | ACK).send(0, flags=ACK)

    def lost(self, side, octets):
        self.seq[side] += octets
        return self


def usual(**how):
    talk = Talk(**how).hello().send(0, connect()).send(1, CONNACK).send(0, publish(flags=2, number=b"\0\7")).send(1, PUBACK)
    return talk.send(0, PINGREQ + DISCONNECT).send(0, flags=FIN | ACK).send(1, flags=FIN | ACK).send(0, flags=ACK).out


# ---- files ----


def pcap(frames, link=ETHERNET, magic=0xa1b2c3d4, order="<", snaplen=65535, step=1000, start=1700000000, lengths=None):
    out = struct.pack(order + "IHHIIII", magic, 2, 4, 0, 0, snaplen, link)
    for number, frame in enumerate(frames):
        micros = number * step
        wire = len(frame) if lengths is None else lengths.get(number, len(frame))
        out += struct.pack(order + "IIII", start + micros // 1000000, micros % 1000000, len(frame), wire)
        out += (struct.pack(order + "II", 0, 0) if magic == 0xa1b2cd34 else b"") + frame
    return out


def block(kind, body, order="<"):
    body += b"\0" * (-len(body) % 4)
    return struct.pack(order + "II", kind, len(body) + 12) + body + struct.pack(order + "I", len(body) + 12)


def section(order="<", magic=0x1a2b3c4d):
    return block(0x0a0d0d0a, struct.pack(order + "IHHq", magic, 1, 0, -1), order)


def option(code, value, order="<"):
    return struct.pack(order + "HH", code, len(value)) + value + b"\0" * (-len(value) % 4)


def interface(link=ETHERNET, order="<", snaplen=0, options=b""):
    return block(1, struct.pack(order + "HHI", link, 0, snaplen) + options, order)


def enhanced(frame, number=0, units=1700000000000000, order="<", captured=None):
    size = len(frame) if captured is None else captured
    return block(6, struct.pack(order + "IIIII", number, units >> 32, units & 0xffffffff, size, len(frame)) + frame, order)


def old_packet(frame, number=0, order="<"):
    return block(2, struct.pack(order + "HHIIII", number, 0, 0, 0, len(frame), len(frame)) + frame, order)


def simple(frame, order="<", wire=None):
    return block(3, struct.pack(order + "I", len(frame) if wire is None else wire) + frame, order)


# ---- link types and what lies between link and IP ----

LLC = b"\xaa\xaa\x03\0\0\0"
WIFI_DATA = b"\x08\x00" + bytes(22) + LLC


def links():
    radiotap, prism = b"\0\0\x08\0" + bytes(4), bytes(144)
    avs = b"\x80\x21\x10\x01" + struct.pack(">I", 64) + bytes(56)
    vlan = b"\0\5\x08\0"
    wraps = {
        "ethernet": (ETHERNET, eth), "null": (NULL, lambda p: b"\2\0\0\0" + p), "loop": (LOOP, lambda p: b"\0\0\0\2" + p),
        "raw": (RAW, lambda p: p), "raw12": (12, lambda p: p), "raw14": (14, lambda p: p), "ipv4": (IPV4, lambda p: p),
        "sll": (SLL, lambda p: bytes(14) + b"\x08\0" + p), "sll2": (SLL2, lambda p: b"\x08\0" + bytes(18) + p),
        "ppp": (PPP, lambda p: b"\0\x21" + p), "ppp-hdlc": (PPP_HDLC, lambda p: b"\xff\3\0\x21" + p),
        "ppp-compressed": (PPP, lambda p: b"\x21" + p), "pppoe": (PPPOE, lambda p: b"\x11\0\0\1\0\0\0\x21" + p),
        "chdlc": (CHDLC, lambda p: b"\x0f\0\x08\0" + p), "wifi": (WIFI, lambda p: WIFI_DATA + b"\x08\0" + p),
        "wifi-qos": (WIFI, lambda p: b"\x88\0" + bytes(22) + b"\0\0" + LLC + b"\x08\0" + p),
        "wifi-amsdu": (WIFI, lambda p: b"\x88\0" + bytes(22) + b"\x80\0" + bytes(14) + LLC + b"\x08\0" + p),
        "wifi-ht": (WIFI, lambda p: b"\x88\x83" + bytes(22) + bytes(6) + b"\0\0" + bytes(4) + LLC + b"\x08\0" + p),
        "wifi-other-llc": (WIFI, lambda p: b"\x08\0" + bytes(22) + b"\xaa\xaa\x03\0\0\0\0\5" + p),
        "wifi-no-snap": (WIFI, lambda p: b"\x08\0" + bytes(22) + b"\x42\x42\x03\0\0\0\x08\0" + p),
        "wifi-management": (WIFI, lambda p: b"\x80\0" + p), "wifi-null": (WIFI, lambda p: b"\x48\0" + p),
        "wifi-protected": (WIFI, lambda p: b"\x08\x40" + p), "radiotap": (RADIOTAP, lambda p: radiotap + WIFI_DATA + b"\x08\0" + p),
        "radiotap-short": (RADIOTAP, lambda p: b"\0\0\xff\xff" + bytes(4) + p), "radiotap-shorter": (RADIOTAP, lambda p: b"\0\0"),
        "prism": (PRISM, lambda p: prism + WIFI_DATA + b"\x08\0" + p), "avs": (AVS, lambda p: avs + WIFI_DATA + b"\x08\0" + p),
        "avs-as-prism": (PRISM, lambda p: avs + WIFI_DATA + b"\x08\0" + p), "unknown": (999, lambda p: p),
        "half-avs": (AVS, lambda p: b"\x80\0" + bytes(142) + WIFI_DATA + b"\x08\0" + p),
        "vlan": (ETHERNET, lambda p: eth(vlan + p, 0x8100)), "qinq": (ETHERNET, lambda p: eth(b"\0\5\x81\0" + vlan + p, 0x88a8)),
        "qinq-old": (ETHERNET, lambda p: eth(b"\0\5\x92\0" + vlan + p, 0x9100)), "vlan-short": (ETHERNET, lambda p: eth(b"\0", 0x8100)),
        "many-vlans": (ETHERNET, lambda p: eth(b"\0\5\x81\0" * 20 + p, 0x8100)),
        "mpls": (ETHERNET, lambda p: eth(b"\0\0\0\xff\0\1\1\xff" + p, 0x8847)), "mpls-multicast": (ETHERNET, lambda p: eth(b"\0\1\1\xff" + p, 0x8848)),
        "mpls-short": (ETHERNET, lambda p: eth(b"\0\0\0\xff", 0x8847)), "many-labels": (ETHERNET, lambda p: eth(b"\0\0\0\xff" * 20, 0x8847)),
        "mpls-empty": (ETHERNET, lambda p: eth(b"\0\1\1\xff", 0x8847)),
        "ethernet-pppoe": (ETHERNET, lambda p: eth(b"\x11\0\0\1\0\0\0\x21" + p, 0x8864)),
        "pppoe-lcp": (ETHERNET, lambda p: eth(b"\x11\0\0\1\0\0\xc0\x21" + p, 0x8864)),
        "pppoe-short": (ETHERNET, lambda p: eth(b"\x11\0\0\1\0\0", 0x8864)), "pppoe-ipv6": (ETHERNET, lambda p: eth(b"\x11\0\0\1\0\0\0\x57" + p, 0x8864)),
        "ethernet-llc": (ETHERNET, lambda p: eth(LLC + b"\x08\0" + p, 100)), "ethernet-llc-other": (ETHERNET, lambda p: eth(LLC + b"\0\5" + p, 100)),
        "ethernet-stp": (ETHERNET, lambda p: eth(b"\x42\x42\x03" + p, 100)), "ethernet-llc-short": (ETHERNET, lambda p: eth(b"\xaa", 100)),
        "arp": (ETHERNET, lambda p: eth(p, 0x0806)), "ethernet-short": (ETHERNET, lambda p: b"\2\2"), "empty": (RAW, lambda p: b""),
        "not-ip": (RAW, lambda p: b"\x50" + p), "sll-short": (SLL, lambda p: b"\0"), "sll2-short": (SLL2, lambda p: b"\x08\0"),
        "chdlc-short": (CHDLC, lambda p: b"\x0f"), "wifi-short": (WIFI, lambda p: b"\x08"), "wifi-llc-short": (WIFI, lambda p: b"\x08\0" + bytes(24)),
    }
    for name, (link, wrap) in wraps.items():
        yield name, pcap([wrap(p) for p in usual()], link)
    yield "ipv6-raw", pcap(usual(client=(bytes(15) + b"\1", 40000), server=(bytes(15) + b"\2", 1883), wrap=lambda p, a, b: ip6(p, a, b)), IPV6)


# ---- ways through IP ----


def through_ip():
    first = usual()

    def each(wrap):
        return pcap([eth(wrap(p)) for p in first])

    def gre(header):
        return lambda p: ip4(header + p, protocol=47)

    def vxlan(port, flags=8):
        return lambda p: ip4(struct.pack(">HHHH", 5, port, 0, 0) + bytes([flags]) + bytes(7) + eth(p), protocol=17)

    yield "ip-in-ip", each(lambda p: ip4(p, protocol=4))
    yield "ip6-in-ip", pcap([eth(ip4(ip6(p[20:]), protocol=41)) for p in first])
    yield "deep", each(lambda p: ip4(ip4(ip4(ip4(ip4(ip4(ip4(ip4(ip4(p, protocol=4), protocol=4), protocol=4), protocol=4), protocol=4),
                                                      protocol=4), protocol=4), protocol=4), protocol=4))
    for name, header in {"plain": b"\0\0\x08\0", "all": b"\xb0\0\x08\0" + bytes(12), "ethernet": b"\0\0\x65\x58" + eth(b""),
                         "pptp": b"\x30\x81\x88\x0b" + bytes(12) + b"\0\x21", "pptp-plain": b"\0\1\x88\x0b" + bytes(4) + b"\x21", "pptp-other": b"\0\1\x08\0" + bytes(4),
                         "unknown": b"\0\0\x12\x34", "version-2": b"\0\2\x08\0"}.items():
        yield f"gre-{name}", each(gre(header))
    yield "gre-short", pcap([eth(ip4(b"\xb0\0\x08", protocol=47))])
    yield "vxlan", each(vxlan(4789))
    yield "vxlan-linux", each(vxlan(8472))
    yield "vxlan-flags", each(vxlan(4789, 0))
    yield "udp", each(vxlan(53))
    yield "udp-short", pcap([eth(ip4(b"\0\5", protocol=17))])
    yield "vxlan-short", pcap([eth(ip4(struct.pack(">HHHH", 5, 4789, 0, 0) + b"\x08", protocol=17))])
    yield "icmp", each(lambda p: ip4(p, protocol=1))
    yield "options", pcap([eth(ip4(p[20:], options=b"\1\1\1\0")) for p in first])
    for name, datagram in {"short": b"\x45\0\0", "header": b"\x41" + bytes(19), "total": ip4(b"", length=10), "cut-options": b"\x4f" + ip4(b"", length=60)[1:],
                           "no-length": ip4(tcp(40000, 1883, 1, SYN), length=0), "ip6-short": b"\x60\0", "tcp-short": ip4(b"\x9c\x40"),
                           "tcp-header": ip4(tcp(1, 2, 3)[:12] + b"\x10" + bytes(7)), "tcp-header-long": ip4(tcp(1, 2, 3)[:12] + b"\xf0" + bytes(7)),
                           "tcp-options-cut": ip4(tcp(1, 2, 3, options=bytes(20))[:24], length=60)}.items():
        yield f"bad-{name}", pcap([eth(datagram)], lengths={0: 14 + 60} if name == "tcp-options-cut" else None)
    # extension headers: hop by hop, routing, destination options, mobility, AH; each says what follows
    for name, kind, header in (("hop", 0, b"\6\0" + bytes(6)), ("routing", 43, b"\6\1" + bytes(14)), ("destination", 60, b"\6\0" + bytes(6)),
                               ("mobility", 135, b"\6\0" + bytes(6)), ("ah", 51, b"\6\4" + bytes(22)), ("ah-short", 51, b"\6\xff" + bytes(6)),
                               ("no-fragment", 44, b"\6\0\0\0" + bytes(4)), ("cut", 0, b"\6\0"), ("esp", 50, bytes(8)), ("ah-none", 51, b"\6\0" + bytes(6))):
        yield f"ip6-{name}", pcap([eth(ip6(header + p[20:], following=kind), 0x86dd) for p in first])
    yield "ip6-many", pcap([eth(ip6((b"\0\0" + bytes(6)) * 20 + first[0][20:], following=0), 0x86dd)])
    yield "ip6-jumbo", pcap([eth(ip6(p[20:], length=0), 0x86dd) for p in first])


def fragments():
    datagram = Talk().hello().send(0, connect(b"a fragmented client") + publish(payload=b"y" * 100)).out
    head, tail = datagram[:-1], datagram[-1][20:]

    def pieces(cuts, number=9, protocol=6, version=4):
        out = []
        for start, end in cuts:
            more = end < len(tail)
            if version == 4:
                out.append(eth(ip4(tail[start:end], number=number, offset=start, more=more, protocol=protocol)))
            else:
                out.append(eth(ip6(bytes([6, 0]) + struct.pack(">HI", start | more, number) + tail[start:end], following=44), 0x86dd))
        return out

    end = len(tail)
    begin = [eth(p) for p in head]
    yield "in-order", pcap(begin + pieces([(0, 40), (40, 80), (80, end)]))
    yield "reverse", pcap(begin + pieces([(80, end), (40, 80), (0, 40)]))
    yield "twice", pcap(begin + pieces([(0, 40), (0, 40), (40, 80), (40, 80), (80, end), (80, end)]))
    yield "overlap", pcap(begin + pieces([(0, 48), (40, 80), (80, end)]))
    yield "hole", pcap(begin + pieces([(0, 40), (80, end)]))
    yield "odd", pcap(begin + pieces([(0, 41), (48, end)]))
    yield "late", pcap(begin + pieces([(0, 40)]) + pieces([(0, 40)], 10) + pieces([(40, end)]), step=40000000)
    yield "many", pcap(begin + [f for n in range(300) for f in pieces([(0, 40)], n)])
    yield "other-protocol", pcap(begin + pieces([(0, 40)]) + pieces([(40, end)], protocol=17))
    yield "other-number", pcap(begin + pieces([(0, 40)]) + pieces([(40, end)], 10))
    yield "two-ends", pcap(begin + pieces([(0, 40)]) + [eth(ip4(tail[40:48], number=9, offset=40))] + pieces([(40, 80), (80, end)]))
    yield "behind-the-end", pcap(begin + [eth(ip4(tail[40:48], number=9, offset=40))] + [eth(ip4(tail[80:88], number=9, offset=80, more=True))])
    yield "too-long", pcap(begin + [eth(ip4(b"z" * 64, number=9, offset=65528, more=False)), eth(ip4(b"", number=9, offset=8))])
    yield "cut", pcap(begin + [f[:60] for f in pieces([(0, 40), (40, end)])], lengths={3: 74, 4: 200})
    yield "version-6", pcap([eth(ip6(p[20:]), 0x86dd) for p in head] + pieces([(0, 40), (40, 80), (80, end)], version=6))
    yield "version-6-mixed", pcap([eth(ip6(p[20:]), 0x86dd) for p in head] + pieces([(0, 40)], version=6) + pieces([(40, end)], 9))
    other = [eth(ip4(tail[:40], source=bytes([10, 0, 0, 9]), number=9, more=True)), eth(ip4(tail[:40], target=bytes([10, 0, 0, 9]), number=9, more=True))]
    yield "other-addresses", pcap(begin + pieces([(0, 40)]) + other + pieces([(40, end)]))


# ---- situations of TCP ----


def streams():
    def file(talk, **how):
        return pcap([eth(p) for p in talk.out], **how)

    def up(**how):
        return Talk(**how).hello().send(0, connect()).send(1, CONNACK)

    yield "usual", file(Talk().hello().send(0, connect()).send(1, CONNACK))
    yield "wrap", file(up(start=0xfffffff0).send(0, publish(payload=b"z" * 60)))
    talk = up()
    one, two = publish(payload=b"1" * 40), publish(payload=b"2" * 40)
    yield "reordered", file(talk.send(0, two, at=len(one), keep=False).send(0, one).lost(0, len(two)).send(1, PINGRESP))
    yield "retransmitted", file(up().send(0, one).send(0, one, at=-len(one), keep=False).send(0, one + two, at=-len(one)))
    yield "overlap", file(up().send(0, two[10:], at=len(one) + 10, keep=False).send(0, b"!" * 30, at=len(one) + 20, keep=False).send(0, one).send(0, two[:20]))
    yield "hole", file(up().lost(0, len(one)).send(0, two).send(1, PINGRESP).send(0, PINGREQ))
    yield "hole-acknowledged", file(up().lost(0, len(one)).send(0, two).send(1, PINGRESP, ack=2000))
    yield "hole-then-nothing", file(up().lost(0, len(one)).send(0, two), step=30000000)
    yield "hole-in-a-packet", file(up().send(0, one[:20]).lost(0, len(one) - 20 + 7).send(0, two[7:]).send(0, one * 4))
    yield "hole-bridged", file(up().send(0, publish(payload=b"p" * 100)[:20]).lost(0, 50).send(0, publish(payload=b"p" * 100)[70:] + one))
    yield "hole-and-end", file(up().lost(0, 100).send(0, flags=FIN | ACK))
    yield "hole-and-reset", file(up().lost(1, 100).send(1, flags=RST))
    yield "octetwise", file(Talk().hello() if not [t := Talk().hello()] else [t.send(0, bytes([c])) for c in connect() + one][-1])
    yield "midstream", file(Talk().send(0, publish(payload=b"m" * 30) * 3).send(1, PINGRESP * 3).send(0, PINGREQ + one * 3))
    yield "midstream-half", file(Talk().send(0, (one * 8)[17:]).send(0, one * 4).send(1, (CONNACK + PINGRESP * 9)[2:]))
    yield "midstream-other-port", file(Talk(server=(SERVER[0], 5555)).send(0, one * 6).send(1, PUBACK * 8))
    yield "other-port", file(up(server=(SERVER[0], 5555)).send(0, one))
    yield "server-first", file(Talk().hello().send(1, CONNACK).send(0, connect()).send(1, PINGRESP * 4))
    yield "server-is-client", file(Talk(client=(CLIENT[0], 1883), server=(SERVER[0], 40000)).hello().send(0, CONNACK * 3).send(1, connect()))
    yield "simultaneous-open", file(Talk().send(0, flags=SYN).send(1, flags=SYN).send(0, flags=SYN | ACK, at=-1).send(1, connect()))
    yield "syn-with-data", file(Talk().send(0, connect(), flags=SYN).send(1, flags=SYN | ACK).send(1, CONNACK))
    yield "syn-twice", file(Talk().send(0, flags=SYN).send(0, flags=SYN, at=-1).send(1, flags=SYN | ACK).send(0, connect()))
    yield "syn-again", file(up().send(0, flags=SYN, at=5000).send(1, flags=SYN | ACK, at=9000).send(0, connect(b"b")).send(1, CONNACK))
    yield "syn-again-after-fin", file(up().send(0, flags=FIN | ACK).send(1, flags=FIN | ACK).send(0, flags=SYN, at=5000).send(1, flags=SYN | ACK).send(0, connect(b"b")))
    yield "syn-ack-only", file(Talk().send(1, flags=SYN | ACK).send(0, connect()).send(1, CONNACK))
    yield "syn-ack-other", file(Talk().send(0, flags=SYN).send(1, flags=SYN | ACK).send(1, flags=SYN | ACK, at=777).send(0, connect()))
    yield "fin-with-data", file(up().send(0, one, flags=FIN | ACK).send(1, PINGRESP).send(1, flags=FIN | ACK))
    yield "half-closed", file(up().send(0, DISCONNECT, flags=FIN | ACK).send(1, one).send(1, one, flags=FIN | ACK).send(0, flags=ACK))
    yield "reset", file(up().send(0, flags=RST | ACK).send(1, PINGRESP).send(0, one))
    yield "reset-before-data", file(Talk().hello().send(1, flags=RST))
    yield "keep-alive", file(up().send(0, b"\0", at=-1, keep=False).send(1, ack=None).send(0, b"", at=-1, keep=False).send(0, one))
    yield "zero-window-probe", file(up().send(0, b"\0", keep=False).send(1).send(0, one))
    yield "ack-far-ahead", file(up().send(1, PINGRESP, ack=0x80000000 + 1000).send(1, PINGRESP, ack=1).send(0, one))
    yield "out-of-window", file(up().send(0, one, at=0x40000000, keep=False).send(0, one, at=-0x40000000, keep=False).send(0, one))
    yield "idle", file(up().send(0, one), step=40000000000)
    yield "not-mqtt", file(Talk().hello().send(0, b"GET / HTTP/1.1\r\n\r\n").send(1, b"HTTP/1.1 200 OK\r\n\r\n").send(0, one))
    for name, octets in {"tls": b"\x16\3\1\2\0" + bytes(60), "ssh": b"SSH-2.0-OpenSSH\r\n", "smtp": b"220 hello\r\n", "openwire": b"\0\0\1\x40\1ActiveMQ" + bytes(40),
                         "openwire-half": b"\0\0\1\x40", "zmtp": b"\xff" + bytes(9), "zero": b"\0", "zeroes": b"\0\0", "zero-two": b"\0\x05", "tls-octet": b"\x16", "not-tls": b"\x16\4\1", "ab": b"ab",
                         "amqp": b"AMQP\0\0\x09\1", "openwire-other": b"\0\0\1\x40\2" + bytes(9), "connect-cut": connect()[:5], "connect-name": b"\x10\x20\0\4XXTT\4\2\0\0",
                         "connect-short": b"\x10\5\0\4MQTT", "connect-length": b"\x10\xff\xff\xff\xff\xff", "connect-mq": b"\x10\x20\0\6MQIsdp\3\2" + bytes(26),
                         "binary": bytes(range(128, 228))}.items():
        yield f"begins-{name}", file(Talk().hello().send(0, octets).send(1, CONNACK))
        yield f"goes-on-{name}", file(Talk().send(0, octets + b"z" * 20).send(0, octets * 3).send(1, octets).send(0, flags=FIN | ACK))
        yield f"other-port-{name}", file(Talk(server=(SERVER[0], 5555)).send(0, octets).send(1, octets + one * 2).send(0, octets).send(0, octets)
                                         .send(0, octets).send(0, octets).send(0, octets).send(0, octets))
    yield "framing-lost", file(up().send(0, b"\x30\xff\xff\xff\xff" + b"q" * 50).send(0, one * 5).send(0, one * 5))
    yield "framing-lost-and-end", file(up().send(0, b"\x30\xff\xff\xff\xff" + b"q" * 50).send(0, flags=FIN | ACK))
    yield "large-packet", file(up().send(0, publish(payload=b"L" * 1200)[:700]).send(0, publish(payload=b"L" * 1200)[700:]))
    yield "unfinished", file(up().send(0, publish(payload=b"L" * 1200)[:700]).send(0, flags=FIN | ACK))
    yield "long-names", file(Talk().hello().send(0, connect(b"n" * 100)).send(1, CONNACK).send(0, connect(b"n" * 100)).send(0, connect(b"m")))
    yield "five", file(Talk().hello().send(0, connect(b"", 5)).send(1, b"\x20\x09\0\0\6\x12\0\3abc").send(0, b"\x30\x08\0\1t\3\x23\0\1x").send(0, b"\x30\x07\0\0\3\x23\0\1x"))
    yield "many", pcap([eth(p) for n in range(60) for p in Talk(client=(CLIENT[0], 40000 + n)).hello().send(0, connect(b"c%d" % n)).out])
    yield "many-held", pcap([eth(p) for n in range(20) for p in Talk(client=(CLIENT[0], 40000 + n)).hello().send(0, connect()).lost(0, 9).send(0, one * 2).out])
    yield "held-pieces", file([t := up(), [t.send(0, b"h" * 5, at=10 * n + 10, keep=False) for n in range(40)], t.send(0, b"\x30\x7f\0\1t")][2])
    yield "many-and-long", pcap([eth(p) for n in range(12) for p in up(client=(CLIENT[0], 50000 + n)).send(0, publish(payload=b"L" * 900)[:400]).out])
    cut = Talk().hello().send(0, connect()).send(0, publish(payload=b"s" * 300)).send(0, one).out
    yield "snaplen", pcap([eth(p)[:96] for p in cut], snaplen=96, lengths={n: 14 + len(p) for n, p in enumerate(cut)})
    yield "snaplen-header", pcap([eth(p)[:58] for p in cut], snaplen=58, lengths={n: 14 + len(p) for n, p in enumerate(cut)})
    yield "impossible-length", pcap([eth(p) for p in cut], lengths={3: 0x7fffffff})
    both = up().out + Talk(client=(bytes([10, 0, 0, 3]), 40000)).hello().send(0, connect(b"b")).out
    yield "padded", pcap([eth(p) + b"\0" * max(0, 46 - len(p)) for p in both])
    yield "same-ports", pcap([eth(p) for p in both] + [eth(ip6(p[20:]), 0x86dd) for p in both])
    noise = bytes(128 + n * 7 % 120 for n in range(1000))
    talk = up()
    for n in range(40):
        talk.send(0, noise[n:] + noise[:n], at=1)
    yield "search-long", file(talk.send(0, one * 9))
    yield "search-longer", file(Talk().send(0, noise * 40).send(0, noise * 20).send(0, one * 9))
    talk = up().lost(0, 9)
    for n in range(300):
        talk.send(0, noise[n:n + 3])
    yield "search-pieces", file(talk.send(0, one * 9))
    talk = up().lost(0, 9).send(0, noise[:50])
    yield "search-and-hole", file(talk.lost(0, 70).send(0, noise[:60]).lost(0, 10).send(0, flags=FIN | ACK))
    yield "search-borders", file(up().lost(0, 9).send(0, noise[:20] + PINGREQ).send(0, noise[:20] + PUBACK * 2).send(0, one + noise[:9]).send(0, one[:9]).lost(0, 9).send(0, two))
    yield "many-flows", pcap([ip4(tcp(10000 + n, 1883, 5, SYN)) for n in range(1700)], RAW)
    yield "many-resets", pcap([ip4(tcp(10000 + n, 1883, 5, flags, connect(b"%d" % n) if flags == ACK else b"")) for n in range(300) for flags in (SYN, ACK, RST)], RAW)
    yield "families", pcap([eth(p) for p in usual()] + [eth(ip6(p[20:], bytes([10, 0, 0, 1]) + bytes(12), bytes([10, 0, 0, 2]) + bytes(12)), 0x86dd) for p in usual()])
    yield "to-itself", file(Talk(server=(CLIENT[0], 40000)).hello().send(0, connect()))


# ---- what lies between TCP and MQTT ----

WEB = (SERVER[0], 8080)


def response(first=b"HTTP/1.1 101 Switching Protocols", protocol=b"mqtt", more=b""):
    return first + b"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n" + (b"Sec-WebSocket-Protocol: " + protocol + b"\r\n" if protocol else b"") + \
        more + b"\r\n"


def answer(payload, **how):
    return websockets.frame(payload, mask=None, **how)


def transports():
    def file(talk):
        return pcap([eth(p) for p in talk.out])

    def up(asked=websockets.request(), answered=response()):
        return Talk(server=WEB).hello().send(0, asked).send(1, answered)

    frame, ask = websockets.frame, websockets.request
    for name, octets in websockets.seeds():
        yield f"client-{name}", file(Talk(server=WEB).hello().send(0, octets[:1400]).send(1, response() + answer(CONNACK)).send(0, octets[1400:2800] or b"\x8a"))
    both = frame(connect()), answer(CONNACK)
    for name, talk in {
            "usual": up().send(0, both[0]).send(1, both[1]).send(0, frame(publish() + DISCONNECT)).send(0, frame(b"\3\xe8", 8)).send(1, answer(b"\3\xe8", opcode=8)).send(0, frame(PINGREQ)),
            "refused": up(answered=response(b"HTTP/1.1 400 Bad Request")).send(0, both[0]), "no-protocol": up(answered=response(protocol=None)).send(0, both[0]).send(1, both[1]),
            "other-protocol": up(answered=response(protocol=b"chat")).send(0, both[0]), "not-offered": up(ask(Sec_WebSocket_Protocol=None), response(protocol=None)).send(0, both[0]).send(1, both[1]),
            "mqtt-31": up(ask(Sec_WebSocket_Protocol=b"mqttv3.1"), response(protocol=b"mqttv3.1")).send(0, both[0]).send(1, both[1]),
            "text": up().send(0, frame(connect(), 1)).send(1, answer(CONNACK, opcode=1)).send(0, frame(PINGREQ, 1)), "compressed": up().send(0, frame(b"zzzz", reserved=4)).send(1, answer(b"zz", reserved=4)).send(0, both[0]),
            "compressed-parts": up().send(0, frame(b"zzzz", reserved=4, fin=False) + frame(b"yy", 0)).send(0, both[0]),
            "parts": up().send(0, frame(connect()[:4], fin=False) + frame(b"", 9) + frame(connect()[4:], 0)).send(1, both[1] + answer(b"", opcode=10)),
            "octetwise": [t := up(), [t.send(0, bytes([c])) for c in both[0]]][0], "head-octetwise": [t := Talk(server=WEB).hello(), [t.send(0, bytes([c])) for c in ask()], t.send(1, response())][0].send(0, both[0]),
            "hole-in-frame": up().send(0, both[0]).send(0, frame(publish(payload=b"h" * 100))[:30]).lost(0, 20).send(0, frame(publish(payload=b"h" * 100))[50:]).send(0, frame(PINGREQ)),
            "hole-to-the-end": up().send(0, both[0]).send(0, frame(publish(payload=b"h" * 100))[:30]).lost(0, len(frame(publish(payload=b"h" * 100))) - 30).send(0, frame(PINGREQ)),
            "hole-over-frames": up().send(0, both[0]).lost(0, 300).send(0, frame(PINGREQ) * 3), "hole-in-head": Talk(server=WEB).hello().send(0, ask()[:40]).lost(0, 50).send(0, ask()[90:]).send(1, response()),
            "hole-in-ping": up().send(0, frame(b"p" * 100, 9)[:30]).lost(0, 20).send(0, frame(b"p" * 100, 9)[50:] + both[0]), "hole-in-compressed": up().send(0, frame(b"p" * 100, reserved=4)[:30]).lost(0, 20).send(0, frame(b"p" * 100)[50:]),
            "bad-frame": up().send(0, b"\x83\x85" + bytes(9)).send(0, both[0]), "bad-reserved": up().send(0, frame(b"x", 11) + both[0]), "long-head": Talk(server=WEB).hello().send(0, b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n").send(0, b"X: y\r\n" * 200).send(0, b"X: y\r\n" * 200)
            .send(0, b"X: y\r\n" * 200).send(0, b"X: y\r\n" * 200).send(0, b"X: y\r\n" * 200).send(0, b"X: y\r\n" * 200).send(0, b"X: y\r\n" * 200).send(0, b"X: y\r\n" * 200),
            "server-first": Talk(server=WEB).hello().send(1, response()).send(0, ask()), "response-only": Talk(server=WEB).hello().send(0, ask()).send(0, both[0]).send(1, response() + both[1]),
            "page": up(ask(Upgrade=None), b"HTTP/1.1 200 OK\r\n\r\nhello").send(0, both[0]), "medium": up().send(0, frame(publish(payload=b"m" * 300))).send(1, answer(publish(payload=b"m" * 300))),
            "large-form": up().send(0, frame(connect(), size=8)).send(1, answer(CONNACK, size=8)), "midstream": Talk(server=WEB).send(0, frame(publish() * 20)).send(1, answer(PUBACK * 20)),
            "on-1883": Talk().hello().send(0, ask()).send(1, response()).send(0, both[0]).send(1, both[1]).send(0, flags=FIN | ACK)}.items():
        yield f"web-{name}", file(talk)
    hello = b"\x16\3\1\0\x2d\1\0\0\x29\3\3" + bytes(32) + b"\0\0\2\x13\1\1\0"
    for name, parts in {"hello": [hello], "hello-parts": [hello[:1], hello[1:2], hello[2:4], hello[4:]], "not-quite": [b"\x16\4", hello], "other": [b"\x16\3\1\0\x2d\2" + bytes(40)],
                        "record-cut": [hello[:20]], "alert": [hello, b"\x15\3\3\0\2\2\x28"]}.items():
        talk = Talk(server=(SERVER[0], 8883)).hello()
        for part in parts:
            talk.send(0, part)
        yield f"tls-{name}", file(talk.send(1, b"\x16\3\3\0\4\x0e\0\0\0").send(0, b"\x17\3\3\0\x20" + bytes(32)))
        keys = block(10, struct.pack("<II", 0x544c534b, 200) + b"CLIENT_RANDOM " + b"0" * 64 + b" " + b"1" * 96 + b"\n# note\nCLIENT_TRAFFIC_SECRET_0 " + b"0" * 10 + b"\n")
        lines = [b"# note", b"", b"CLIENT_RANDOM", b"CLIENT_RANDOM zz", b"UNKNOWN " + b"0" * 64 + b" " + b"1" * 96, b"CLIENT_RANDOM " + b"0" * 62 + b" 11", b"CLIENT_RANDOM " + b"0" * 64,
                 b"CLIENT_RANDOM " + b"0" * 64 + b" " + b"1" * 96 + b" \r", b"CLIENT_RANDOM " + b"aF" * 32 + b" " + b"1" * 95, b"CLIENT_RANDOM " + b"g" * 64 + b" 11", b"L" * 600,
                 b"CLIENT_HANDSHAKE_TRAFFIC_SECRET " + b"a" * 64 + b" " + b"1" * 64, b"SERVER_TRAFFIC_SECRET_0 " + b"a" * 64 + b" " + b"1" * 200, b"EXPORTER_SECRET " + b"a" * 64 + b" " + b"1" * 66]
        lines += [b"CLIENT_RANDOM %064x " % n + b"1" * 96 for n in range(90)] * 2
        text = b"\n".join(lines)
        many = block(10, struct.pack("<II", 0x544c534b, len(text)) + text)
        yield f"tls-{name}-many-keys", section() + many + interface() + many + block(10, struct.pack("<II", 0x57474b4c, 4) + b"peer") + b"".join(enhanced(eth(p)) for p in talk.out)
        yield f"tls-{name}-keys", section() + keys + interface() + b"".join(enhanced(eth(p)) for p in talk.out)


# ---- files ----


def files():
    first = usual()
    frames = [eth(p) for p in first]
    plain = pcap(frames)
    for order, name in (("<", "little"), (">", "big")):
        for magic, unit in ((0xa1b2c3d4, "us"), (0xa1b23c4d, "ns"), (0xa1b2cd34, "kuznetzov")):
            yield f"pcap-{name}-{unit}", pcap(frames, magic=magic, order=order)
        parts = b"".join(enhanced(f, order=order, units=1700000000000000 + n) for n, f in enumerate(frames))
        yield f"ng-{name}", section(order) + interface(order=order) + parts
        options = option(2, b"eth0", order) + option(9, b"\x09", order) + option(14, struct.pack(order + "q", -3600), order) + option(3, b"why", order) + option(0, b"", order)
        yield f"ng-{name}-options", section(order) + interface(order=order, options=options) + enhanced(frames[0], order=order) + old_packet(frames[1], order=order) + \
            simple(frames[2], order)
    for resolution in (0, 3, 6, 9, 12, 15, 30, 0x80, 0x8a, 0xa0, 0xa8, 0xff):
        yield f"ng-resolution-{resolution}", section() + interface(options=option(9, bytes([resolution]))) + enhanced(frames[0]) + enhanced(frames[1])
    ng = section() + interface() + enhanced(frames[0])
    yield "ng-two-sections", ng + section(">") + interface(RAW, ">") + interface(order=">") + enhanced(first[1], order=">") + enhanced(frames[2], 1, order=">")
    yield "ng-two-links", section() + interface() + interface(RAW) + enhanced(frames[0]) + enhanced(first[1], 1)
    yield "ng-other-blocks", section() + block(4, b"names") + interface() + block(10, b"secrets") + ng[28:]
    yield "ng-simple-snaplen", section() + interface(snaplen=60) + simple(frames[3][:60], wire=200) + simple(frames[3], wire=20)
    for name, bad in {"empty": b"", "short": b"\xd4\xc3", "unknown": b"nothing like a capture", "header": plain[:20], "no-order": block(0x0a0d0d0a, bytes(16)),
                      "ng-header": section()[:20], "cut": plain[:-5], "record": plain[:30], "length": plain[:32] + b"\xff\xff\xff\x7f" + plain[36:], "ng-cut": ng[:-9],
                      "ng-length": ng + struct.pack("<III", 6, 13, 0), "ng-short": ng + struct.pack("<III", 6, 8, 0), "ng-long": ng + struct.pack("<III", 6, 0x7ffffffc, 0),
                      "ng-no-interface": section() + enhanced(frames[0]), "ng-simple-alone": section() + simple(frames[0]), "ng-captured": ng + enhanced(frames[0], captured=5000),
                      "ng-small": ng + block(6, bytes(8)), "ng-simple-small": ng + block(3, b""), "ng-interface-short": section() + block(1, b"") + enhanced(frames[0]),
                      "ng-option": section() + interface(options=b"\2\0\xff\xff") + enhanced(frames[0]), "ng-trailing": ng + b"\0\0", "unknown-link": pcap(frames, 999)}.items():
        yield f"bad-{name}", bad
    yield "ng-many-interfaces", section() + interface() * 4100
    yield "ng-long-name", section() + interface(options=option(2, b"n" * 100) + option(9, b"\6\6") + option(14, b"12")) + enhanced(frames[0])
    packed = gzip.compress(plain, mtime=0)
    yield "gz", packed
    yield "gz-two", gzip.compress(plain[:100], mtime=0) + gzip.compress(plain[100:], mtime=0) + bytes(10)
    yield "gz-cut", packed[:-20]
    yield "gz-cut-early", packed[:15]
    yield "gz-damaged", packed[:60] + b"\xff" * 20 + packed[80:]
    yield "gz-ng", gzip.compress(ng, mtime=0)
    yield "gz-nothing", gzip.compress(b"", mtime=0)
    yield "gz-text", gzip.compress(b"no capture in here", mtime=0)
    yield "gz-large", gzip.compress(pcap([eth(p) for p in Talk().hello().send(0, connect()).out] + [eth(bytes(60000))] * 8), mtime=0)
    yield "gz-impossible", gzip.compress(plain[:32] + b"\xff\xff\xff\x00" + plain[36:], mtime=0)


def main():
    folder, ways = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1
    os.makedirs(folder, exist_ok=True)
    for maker in (links, through_ip, fragments, streams, transports, files):
        for name, octets in maker():
            for way in range(ways if len(octets) > 13 and octets[0] != 0x1f else 1):
                with open(os.path.join(folder, f"{maker.__name__}-{name}-{way}"), "wb") as out:
                    out.write(octets[:13] + bytes([way]) + octets[14:] if way else octets)


main()
