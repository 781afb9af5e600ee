# SPDX-License-Identifier: Apache-2.0
"""A terminal that tests can see into: tmux with mqshark in it. What it waits for is what the screen shows."""
import os
import pathlib
import re
import select
import shlex
import signal
import subprocess
import tempfile
import time

from harness import BUILD, DEADLINE_S, Failure, check

NAMES = {"Enter": "Enter", "Tab": "Tab", "Esc": "Escape", "Space": "Space", "Up": "Up", "Down": "Down", "Left": "Left", "Right": "Right",
         "PgUp": "PageUp", "PgDn": "PageDown", "Home": "Home", "End": "End"}

NO_LEAK_CHECK = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}  # see Terminal.close()


class Terminal:
    """One tmux server with one window in it, in which a command runs. Waiting is for what the screen shows."""

    def __init__(self, argv, cols=80, rows=24, env=None, term="tmux-256color"):
        self.directory = tempfile.TemporaryDirectory(prefix="mqshark-")
        self.socket = os.path.join(self.directory.name, "tmux")
        status = os.path.join(self.directory.name, "status")
        self.status = pathlib.Path(status)
        settings = {"LC_ALL": "C.UTF-8", "TZ": "UTC", "TERM": term, "HOME": self.directory.name, "NO_COLOR": ""} | (env or {})
        words = ["env"] + [f"{k}={v}" for k, v in settings.items()] + [str(a) for a in argv]
        command = " ".join(map(shlex.quote, words)) + f"; echo $? >{shlex.quote(status)}; echo; echo ENDED; exec cat"
        self.tmux("-f", "/dev/null", "-u", "new-session", "-d", "-x", str(cols), "-y", str(rows), command)
        self.tmux("set", "-g", "status", "off")

    def tmux(self, *args):
        env = dict(os.environ, LC_ALL="C.UTF-8")
        env.pop("TMUX", None)
        done = subprocess.run(["tmux", "-u", "-S", self.socket, *args], check=False, capture_output=True, text=True, env=env,
                              timeout=DEADLINE_S)
        check(done.returncode == 0, f"tmux {' '.join(args)}: {done.stderr.strip()}")
        return done.stdout

    def screen(self, escapes=False):
        return self.tmux("capture-pane", "-p", *(["-e", "-N"] if escapes else []))

    def keys(self, words):
        for word in words.split():
            if word.startswith('"'):
                self.tmux("send-keys", "-l", word[1:])
            elif re.fullmatch(r"Ctrl-[A-Z]", word):
                self.tmux("send-keys", "C-" + word[-1].lower())
            elif word in NAMES or re.fullmatch(r"F\d+", word):
                self.tmux("send-keys", NAMES.get(word, word))
            else:
                self.tmux("send-keys", "-l", word)

    def wait(self, holds, what):
        """Until the screen holds; it is read again as soon as it can have changed."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            screen = self.screen()
            if holds(screen):
                return screen
            check(time.monotonic() < deadline, f"{what} did not come; the screen shows\n{screen}")
            select.select([], [], [], 0.02)

    def wait_for(self, text):
        return self.wait(lambda s: text in s, repr(text))

    def pid(self):
        """Of the program in the window (the shell's child)."""
        shell = self.tmux("list-panes", "-F", "#{pane_pid}").strip()
        children = pathlib.Path(f"/proc/{shell}/task/{shell}/children").read_text().split()
        check(len(children) == 1, f"one child of the shell, not {children}")
        return int(children[0])

    def ended(self):
        self.wait_for("ENDED")
        return int(self.status.read_text())

    def close(self):
        """What still runs in the window is killed first: the end of tmux is a SIGHUP and a SIGCONT, and the latter takes away the
        SIGSTOP with which LeakSanitizer holds a process that exits; both would wait for ever."""
        try:
            os.kill(self.pid(), signal.SIGKILL)
        except (Failure, OSError, ValueError, subprocess.SubprocessError):
            pass  # nothing runs there any more
        self.vanish()
        for _ in range(100):  # the shell in the window may just be writing the exit status
            try:
                return self.directory.cleanup()
            except OSError:
                select.select([], [], [], 0.02)

    def vanish(self):
        """The terminal goes away, the program in it is told by SIGHUP. A program under AddressSanitizer needs NO_LEAK_CHECK for that."""
        subprocess.run(["tmux", "-S", self.socket, "kill-server"], capture_output=True, check=False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def mqshark(*args):
    return [BUILD / "mqshark", "--no-config", *args]


def gone(pid):
    """Until the process is no more (or only waits to be reaped)."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        try:
            if pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):  # gone before the open, or between it and the read
            return True
        select.select([], [], [], 0.02)
    return False
