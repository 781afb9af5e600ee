# SPDX-License-Identifier: Apache-2.0
"""Live capture beside an empty libpcap callback and dumpcap: frames sent over a pair of interfaces between two namespaces of their own."""
import os
import pathlib
import re
import select
import shutil
import signal
import statistics
import subprocess

READY = re.compile(rb"listening on|File: ")
CAPTURED = re.compile(rb"(\d+) packets captured|Packets captured: (\d+)")


class Pair:
    """Two namespaces and the pair of interfaces v0, v1 between them; gone at the end."""

    def __init__(self):
        self.names = [f"mqshark-{end}-{os.getpid()}" for end in "ab"]

    def __enter__(self):
        for name in self.names:
            subprocess.run(["ip", "netns", "add", name], check=True)
            subprocess.run(["ip", "netns", "exec", name, "sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6"], check=False)
        a, b = self.names
        subprocess.run(["ip", "link", "add", "v0", "netns", a, "type", "veth", "peer", "name", "v1", "netns", b], check=True)
        subprocess.run(["ip", "-n", a, "link", "set", "v0", "up"], check=True)
        subprocess.run(["ip", "-n", b, "link", "set", "v1", "up"], check=True)
        return self

    def __exit__(self, *_):
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], check=False)

    def command(self, end, argv):
        return ["ip", "netns", "exec", self.names[end], *map(str, argv)]


def cpu_ns(pid):
    """CPU time of all threads so far."""
    return sum(int(stat.read_text(encoding="ascii").split()[0]) for stat in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"))


def settle(capturer):
    """Until the capturer has nothing left to do: in a quarter of a second it said nothing and used no more than a wait costs. What it
    used by then."""
    used, before = cpu_ns(capturer.pid), -1
    while before < 0 or used - before > 2_000_000:
        before = used
        select.select([capturer.stdout], [], [], 0.25)
        used = cpu_ns(capturer.pid)
    return used


def one(pair, build, argv, capture, rate):
    """(sent, captured, CPU ns a captured frame, start-up and all) of one run of a capturer."""
    capturer = subprocess.Popen(pair.command(1, [part.format("v1") for part in map(str, argv)]),
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    said = b""
    while not READY.search(said):
        more = os.read(capturer.stderr.fileno(), 4096)
        if not more:
            raise RuntimeError(said.decode(errors="replace"))
        said += more
    settle(capturer)
    done = subprocess.run(pair.command(0, [build / "send", capture, "v0", rate]), stdout=subprocess.PIPE, check=True)
    used = settle(capturer)
    capturer.send_signal(signal.SIGINT)
    out, err = capturer.communicate()
    sent, found = int(done.stdout.split()[0]), CAPTURED.search(said + err + out)
    captured = int(found[1] or found[2]) if found else 0
    return sent, captured, used / max(captured, 1)


def live_figure(build, argv, capture, rates, rounds):
    """At the highest rate at which dumpcap loses nothing: the ratio, and what was lost there and below."""
    if os.geteuid() != 0 or not shutil.which("ip"):
        return "wants root and iproute2"
    programs = {"noop": [build / "noop", "-i", "{}"], "ours": argv}
    if shutil.which("dumpcap"):
        programs["dumpcap"] = ["dumpcap", "-q", "-i", "{}", "-w", os.devnull]
    said = []
    with Pair() as pair:
        for rate in sorted(rates):
            runs = {name: [] for name in programs}
            for turn in range(rounds):
                names = list(programs)
                for name in names[turn % len(names):] + names[:turn % len(names)]:
                    runs[name].append(one(pair, build, programs[name], capture, rate))
            ratio = statistics.median(ours[2] / floor[2] for ours, floor in zip(runs["ours"], runs["noop"]))
            lost = {name: sum(sent - captured for sent, captured, _ in of) for name, of in runs.items()}
            said.append(f"{rate:,d} a second: {ratio:.1f} ({statistics.median(run[2] for run in runs['ours']):.0f} ns), lost {lost['ours']} of {sum(run[0] for run in runs['ours'])}"
                        + (f" (dumpcap {lost['dumpcap']})" if "dumpcap" in lost else ""))
    return "; ".join(said)
