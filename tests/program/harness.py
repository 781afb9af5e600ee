# SPDX-License-Identifier: Apache-2.0
"""What the tests of the built programs share: finding and running a program, TAP, and waiting for an event.

No test sleeps: what it waits for is an event with a deadline, and a missed deadline is a failure that says what was awaited.
"""
import ctypes
import fcntl
import os
import pathlib
import select
import socket
import struct
import subprocess
import sys
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("B", "build"))
BUILD = BUILD if BUILD.is_absolute() else ROOT / BUILD
CAPTURES = ROOT / "tests" / "captures"
DEADLINE_S = 20.0  # of an event that should come at once: generous, for slow machines and sanitizers

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1

os.environ["PATH"] += ":/usr/sbin:/sbin"


class Failure(Exception):
    pass


def check(condition, message):
    if not condition:
        raise Failure(message)


def equal(got, want, what):
    if got != want:
        raise Failure(f"{what}\n  want {want!r}\n  got  {got!r}")


_cases = []


def case(name):
    """Decorator: a test of this file, run by main() in the order written."""

    def add(function):
        _cases.append((name, function))
        return function

    return add


def main():
    """Runs the cases; with arguments only those whose name contains one of them."""
    wanted = sys.argv[1:]
    cases = [c for c in _cases if not wanted or any(w in c[0] for w in wanted)]
    print(f"1..{len(cases)}", flush=True)
    failed = 0
    for number, (name, function) in enumerate(cases, 1):
        try:
            function()
            print(f"ok {number} - {name}", flush=True)
        except Exception as error:  # a broken test is a failed test
            failed += 1
            text = str(error) if isinstance(error, Failure) else traceback.format_exc()
            print(f"not ok {number} - {name}")
            for line in text.splitlines():
                print(f"# {line}")
            sys.stdout.flush()
    sys.exit(1 if failed else 0)


def program(name):
    return str(BUILD / name)


class Result:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    def __repr__(self):
        return f"status {self.status}, stdout {self.out[:300]!r}, stderr {self.err[:600]!r}"


def run(*argv, stdin=subprocess.DEVNULL, cwd=CAPTURES, stdout=subprocess.PIPE, env=None, feed=None):
    """Runs one of our programs to its end. status is negative when a signal ended it."""
    argv = [program(argv[0]), *map(str, argv[1:])]
    done = subprocess.run(argv, stdin=None if feed is not None else stdin, input=feed, stdout=stdout, stderr=subprocess.PIPE,
                          cwd=cwd, env=dict(os.environ, **(env or {})), timeout=120, check=False)
    return Result(done.returncode, done.stdout or b"", done.stderr)


class Stream:
    """A running program whose output is awaited line by line."""

    def __init__(self, argv, env=None):
        self.argv = [str(a) for a in argv]
        self.child = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                      env=dict(os.environ, **(env or {})))
        self.pending = {self.child.stdout.fileno(): b"", self.child.stderr.fileno(): b""}
        self.seen = {fd: b"" for fd in self.pending}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        self.child.stdout.close()
        self.child.stderr.close()

    def _wait(self, pipe, enough, what, deadline_s):
        fd = pipe.fileno()
        end = time.monotonic() + deadline_s
        while True:
            found = enough(self.pending[fd])
            if found is not None:
                return found
            left = end - time.monotonic()
            ready, _, _ = select.select([fd], [], [], max(left, 0))
            chunk = os.read(fd, 65536) if ready else b""
            if not chunk:
                raise Failure(f"{' '.join(self.argv)}: {what} {'never came' if ready else f'not within {deadline_s} s'}; "
                              f"so far: {self.seen[fd][-800:]!r}")
            self.pending[fd] += chunk
            self.seen[fd] += chunk

    def line(self, containing, err=False, deadline_s=DEADLINE_S):
        """The next line that contains this, decoded; the lines before it are passed over."""
        pipe = self.child.stderr if err else self.child.stdout
        needle = containing.encode()

        def enough(text):
            lines = text.split(b"\n")
            for number, line in enumerate(lines[:-1]):
                if needle in line:
                    self.pending[pipe.fileno()] = b"\n".join(lines[number + 1:])
                    return line.decode("utf-8", "backslashreplace")
            return None

        return self._wait(pipe, enough, f"a line with {containing!r}", deadline_s)

    def finish(self, deadline_s=DEADLINE_S):
        """Waits for its end; returns a Result with all that was written since the start."""
        try:
            out, err = self.child.communicate(timeout=deadline_s)
        except subprocess.TimeoutExpired:
            raise Failure(f"{' '.join(self.argv)}: still running after {deadline_s} s") from None
        fds = list(self.seen)
        return Result(self.child.returncode, self.seen[fds[0]] + out, self.seen[fds[1]] + err)


def private_network():
    """A loopback of this test alone: a capture neither sees nor disturbs anything else."""
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.geteuid(), os.getegid()
    as_root = uid == 0
    if libc.unshare(CLONE_NEWNET if as_root else CLONE_NEWUSER | CLONE_NEWNET) != 0:
        # A root without the right to make namespaces may still capture on the loopback everybody shares.
        check(as_root, f"no network namespace: {os.strerror(ctypes.get_errno())}; run the tests as root")
        return
    if not as_root:
        for file, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
            with open(f"/proc/self/{file}", "w", encoding="ascii") as out:
                out.write(text)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
