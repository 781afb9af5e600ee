#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Brokers that do one thing wrong, for the tests of mqfuzz: toys.py MODE PORT [ARGUMENT]... As a module: scratch folders, and toy(),
which gives the command for --spawn."""
import contextlib
import pathlib
import random
import re
import select
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading

CONNACK, PINGRESP = b"\x20\x02\x00\x00", b"\xd0\x00"


@contextlib.contextmanager
def scratch():
    with tempfile.TemporaryDirectory(prefix="mqfuzz-") as path:
        yield pathlib.Path(path)


def toy(mode, port="{port}", *arguments):
    return " ".join(str(word) for word in ("python3", __file__, mode, port, *arguments))


def listening(port):
    return socket.create_server(("127.0.0.1", int(port)), backlog=128)


def each(port, serve, *arguments):
    """Every connection in a thread of its own."""
    server = listening(port)
    while True:
        threading.Thread(target=serve, args=(server.accept()[0], *arguments), daemon=True).start()


def quits(port):
    """Ends with 0 when nine clients have been there."""
    server, clients = listening(port), []
    while len(clients) < 9:
        clients.append(server.accept()[0])
        if clients[-1].recv(100)[:1] == b"\x10":
            clients[-1].sendall(CONNACK)


def silent(port):
    """Takes connections and says nothing."""
    server, clients = listening(port), []
    while True:
        clients.append(server.accept()[0])


def mute(port, log):
    """Answers its canary alone, so that nothing depends on time; writes down what each of the others said."""
    server, said, ending = listening(port), {}, []
    signal.signal(signal.SIGTERM, lambda *_: ending.append(1))
    with open(log, "wb") as file:
        def ended(client):
            octets = said.pop(client)
            client.close()
            if octets and b"canary" not in octets[:22]:
                file.write(octets + b"\n--\n")
                file.flush()

        while True:
            ready = select.select([server, *said], [], [], 0.05)[0]
            if ending and not ready:  # asked to end, and all that came has been read
                for client in list(said):
                    ended(client)
                return
            for client in ready:
                if client is server:
                    said[server.accept()[0]] = b""
                    continue
                try:
                    octets = client.recv(65536)
                except ConnectionError:
                    octets = b""
                said[client] += octets
                if octets and b"canary" in said[client][:22]:
                    client.sendall(CONNACK if octets[0] == 0x10 else PINGRESP)
                if not octets:
                    ended(client)


def old(port):
    """Speaks 3.1.1 alone: 3.1 is told so, 5.0 is left in silence. Answers a PINGREQ."""
    each(port, speak_old)


def speak_old(client):
    with contextlib.suppress(OSError):
        while octets := client.recv(4096):
            if octets[:1] == b"\xc0":
                client.sendall(PINGRESP)
            elif octets[:1] == b"\x10" and octets[8:9] == b"\x04":
                client.sendall(CONNACK)
            elif octets[:1] == b"\x10" and octets[10:11] == b"\x03":
                client.sendall(b"\x20\x02\x00\x01")
            else:
                client.close()


def grumbles(port, broker, once=None):
    """mqbroker behind what UBSan would say of a CONNECT that is refused: one place for each reason, again and again, before the answer.
    GCC's has no summary and Clang's has one. once: a file that is made, and it does not start when that is there."""
    if once:
        open(once, "x").close()  # pylint: disable=consider-using-with
    before(port, broker, grumble)


def freezes(port, broker):
    """Stands still for good when a CONNECT of an unknown level comes."""
    frozen = threading.Event()

    def freeze(octets, _name):
        if octets[:1] == b"\x10" and octets[8:9] == b"\x63":
            frozen.set()
        if frozen.is_set():
            threading.Event().wait()

    before(port, broker, freeze)


def sighs(port, broker):
    """The same of the first client, and of one that leaves behind the first probe of --rule."""
    before(port, broker, sigh)


def before(port, broker, look):
    """look(octets, client's name) before the broker gets them; no octets when it has gone."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        inner = free.getsockname()[1]
    with subprocess.Popen([broker, "-p", str(inner)], stdout=subprocess.PIPE) as child:
        child.stdout.readline()  # it listens
        each(port, relay, inner, look)


def relay(client, inner, look):
    with socket.create_connection(("127.0.0.1", inner)) as server:
        threading.Thread(target=pump, args=(server, client, lambda octets, name: None), daemon=True).start()
        pump(client, server, look)


def pump(source, sink, look):
    octets, name = b"", b""
    with contextlib.suppress(OSError):
        while octets := source.recv(65536):
            name = name or octets[14:14 + octets[13]] if octets[0] == 0x10 and len(octets) > 14 else name
            look(octets, name)
            sink.sendall(octets)
    look(b"", name)
    for side in (source, sink):
        with contextlib.suppress(OSError):
            side.shutdown(socket.SHUT_RDWR)


def sigh(octets, name):
    if not octets and re.fullmatch(rb"m\w{7}(hello4|p1)a", name):
        line = 7 if b"hello" in name else 8
        print(f"x.c:{line}:1: runtime error: no good", flush=True)


def grumble(octets, _name):
    """octets: of a CONNECT of 3.1.1, if it is one."""
    if octets[:1] != b"\x10" or len(octets) < 14:
        return
    line = 4 if octets[8] == 99 else 2 if octets[9] & 1 else 5 if not octets[9] & 2 and octets[12:14] == b"\0\0" else 0
    if line:
        complain(line)


def complain(line):
    summary = "" if line == 5 else f"SUMMARY: UndefinedBehaviorSanitizer: undefined-behavior x.c:{line}:1 in \n"
    print(f"x.c:{line}:1: runtime error: no good: {random.random()}\n{summary}", end="", flush=True)


def mumbles(port, broker):
    """The same of a CONNECT of an unknown level, but when others come meanwhile only behind an empty client identifier's, which is held
    until the first is gone."""
    came, names, late, gone = threading.Condition(), [], [], threading.Event()

    def mumble(octets, name):
        if not octets and name in late:
            gone.set()
        if octets[:1] != b"\x10" or len(octets) < 14:
            return
        with came:
            names.append(name)
            came.notify_all()
            before_others = len(names)
            if octets[8] == 99 and came.wait_for(lambda: len(names) > before_others, 0.2):
                late.append(name)
            elif octets[8] == 99:
                complain(4)
        if not octets[9] & 2 and octets[12:14] == b"\0\0":
            for line in (5, *(4 for _ in late if gone.wait(5))):
                complain(line)

    before(port, broker, mumble)


def talks(port):
    """Writes 3 MiB before it answers a CONNECT, and waits until somebody reads them."""
    each(port, speak_much)


def speak_much(client):
    while octets := client.recv(4096):
        if octets[0] == 0x10:
            print("connect\n" * (3 << 17), end="", flush=True)
        client.sendall(CONNACK if octets[0] == 0x10 else PINGRESP if b"\xc0\x00" in octets else b"")


def crowded(port):
    """Reports a fault, once, when clients of two plans (their names begin with it) are there and both have subscribed."""
    server, of, asked, told = listening(port), {}, {}, False
    while True:
        for client in select.select([server, *of], [], [])[0]:
            if client is server:
                of[server.accept()[0]] = b""
                continue
            try:
                octets = client.recv(65536)
            except ConnectionError:
                octets = b""
            if not octets:
                of.pop(client), asked.pop(client, None)
                client.close()
                continue
            if octets[0] == 0x10:
                of[client] = (re.findall(rb"m[0-9a-z]{5}", octets) or [b""])[0]
            if b"\x82" in octets and of[client]:
                asked[client] = of[client]
            if len(set(asked.values())) > 1 and not told:
                told = True
                print("x.c:1:1: runtime error: two at once\nSUMMARY: UndefinedBehaviorSanitizer: two x.c:1:1", flush=True)
            with contextlib.suppress(OSError):
                client.sendall(CONNACK if octets[0] == 0x10 else PINGRESP if b"\xc0\x00" in octets else b"")


def copies(port):
    """5.0: a message comes to who subscribed below its first level once for Subscription Identifier 41 and, a while later, once for 42."""
    clients = {}  # what each subscribed to
    each(port, speak_copies, clients)


def speak_copies(client, clients):
    clients[client] = b""

    def send(topic, number):
        packet = topic + bytes((2, 0x0b, number)) + b"x"
        for other, filters in list(clients.items()):
            with contextlib.suppress(OSError):  # some are gone
                if topic[2:].split(b"/")[0] in filters:
                    other.sendall(bytes((0x30, len(packet))) + packet)

    with contextlib.suppress(OSError):
        while octets := client.recv(4096):
            if octets[0] == 0x10:
                client.sendall(b"\x20\x03\x00\x00\x00")
            elif octets[0] == 0x82:
                clients[client] += octets
                client.sendall(b"\x90\x04" + octets[2:4] + b"\x00\x00")
            elif octets[0] == 0x30:
                topic = octets[2:4 + octets[3]]
                send(topic, 41)
                threading.Timer(0.2, send, (topic, 42)).start()


def copy(here, there):
    with contextlib.suppress(OSError):
        while octets := here.recv(65536):
            there.sendall(octets)
    for end in (here, there):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def behind_tls(client, under, certificate, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with contextlib.suppress(OSError):
        client = context.wrap_socket(client, server_side=True)
        broker = socket.create_connection(("127.0.0.1", int(under)))
        threading.Thread(target=copy, args=(broker, client), daemon=True).start()
        copy(client, broker)


def tls(port, under, certificate, key):
    """Passes on to the port `under` what comes by TLS."""
    each(port, behind_tls, under, certificate, key)


def choosy(client, under, level):
    with contextlib.suppress(OSError):
        octets = client.recv(65536)
        at = 8 if octets[4:8] == b"MQTT" else 10
        if octets[at:at + 1] != bytes([level]):
            client.sendall(b"" if octets[at:at + 1] == b"\x05" else b"\x20\x02\x00\x01")
            client.close()
            return
        broker = socket.create_connection(("127.0.0.1", int(under)))
        broker.sendall(octets)
        threading.Thread(target=copy, args=(broker, client), daemon=True).start()
        copy(client, broker)


def only(port, under, level):
    """Passes on to the port `under` who speaks this level of the protocol, and refuses others."""
    each(port, choosy, under, int(level))


def web(client, protocol, frames, last):
    """Shakes hands as RFC 6455 says, answers what comes with these frames and, when a pong comes back, with the last one."""
    with contextlib.suppress(OSError):
        client.recv(4096)
        client.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" + protocol + b"\r\n")
        while client.recv(4096):
            client.sendall(frames)
            if last and client.recv(8)[:2] == b"\x8a\x82":
                client.sendall(last)


MQTT = b"Sec-WebSocket-Protocol: mqtt\r\n"


def nameless(port):
    each(port, web, b"", b"", b"")


def text(port):
    """CONNACK in a text frame."""
    each(port, web, MQTT, b"\x81\x04" + CONNACK, b"")


def ping(port):
    """CONNACK in two frames, a ping and an empty frame between them; for the pong, goodbye."""
    each(port, web, MQTT, b"\x02\x02\x20\x02" + b"\x89\x02hi" + b"\x80\x00" + b"\x80\x02\x00\x00", b"\x88\x00")


def refuse(client):
    with contextlib.suppress(OSError):
        client.recv(4096)
        client.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        client.close()


def missing(port):
    """A web server that knows nothing of MQTT."""
    each(port, refuse)


if __name__ == "__main__":
    {f.__name__: f for f in (quits, silent, mute, grumbles, mumbles, freezes, sighs, talks, crowded, old, copies, tls, only, nameless, text, ping, missing)}[sys.argv[1]](*sys.argv[2:])
