#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mqshark in a real terminal (tmux): the screens of tests/tui/cases.txt, and its manners as terminals come, change and go."""
import os
import pathlib
import re
import select
import signal
import subprocess
import tempfile
import time

from harness import BUILD, CAPTURES, DEADLINE_S, ROOT, case, check, equal, main
from screens_terminal import Terminal, gone, mqshark

SCREENS = ROOT / "tests" / "tui" / "screens"
SIZES = [(80, 24), (120, 40), (200, 50)]


def screen_cases():
    for line in (ROOT / "tests" / "tui" / "cases.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, capture, *keys = line.split(None, 2)
            yield name, capture, keys[0] if keys else ""


def drive(name, capture, keys, cols, rows):
    want = (SCREENS / f"{name}.{cols}x{rows}.txt").read_text()
    path = ROOT / "tests" / capture if "/" in capture else CAPTURES / capture
    with Terminal(mqshark("-r", path), cols, rows) as t:
        t.wait_for(" offline ")
        t.keys(keys)
        last = [""]

        def same(screen):
            last[0] = screen
            return [x.rstrip() for x in screen.splitlines()] == want.splitlines()

        t.wait(same, f"the screen of {name}.{cols}x{rows}.txt")


def add_screens():
    for cols, rows in SIZES:
        for name, capture, keys in screen_cases():
            case(f"{name} at {cols}x{rows}")(lambda n=name, c=capture, k=keys, x=cols, y=rows: drive(n, c, k, x, y))


@case("three keys show the interrupted handshake, who owes what, the reconnect and the resumed PUBREL on 80x24")
def three_keys():
    with Terminal(mqshark("-r", CAPTURES / "mqtt311_qos2_killed.pcap")) as t:
        t.wait_for(" offline ")
        t.keys("j Enter ]")
        screen = t.wait_for("is interrupted")
        for part in ("TCP reset by client", "PUBREL owed by client", "from port 49397", "session goes on", "PUBREL #102", "resumed",
                     "PUBCOMP #102", "total 402 ms", "PUBREL is owed by the client since 155 ms"):
            check(part in screen, f"{part!r} is not on the screen\n{screen}")


@case("a resize at any moment, down to 20x5 and back, leaves nothing behind")
def resize():
    want = (SCREENS / "ladder.80x24.txt").read_text().splitlines()
    with Terminal(mqshark("-r", CAPTURES / "mqtt311_qos2_killed.pcap")) as t:
        t.wait_for(" offline ")
        t.keys("j Enter ]")
        t.wait_for("is interrupted")
        for cols, rows in [(20, 5), (200, 50), (61, 15), (59, 24), (120, 14), (1, 1), (80, 24)]:
            t.tmux("resize-window", "-x", str(cols), "-y", str(rows))
            if cols < 60 or rows < 15:
                t.wait(lambda s: cols < 20 or "more room" in s, f"a line at {cols}x{rows}")
            else:
                t.wait(lambda s: "TCP reset" in s and len(s.splitlines()) == rows, f"the ladder at {cols}x{rows}")
        t.wait(lambda s: [x.rstrip() for x in s.splitlines()] == want, "the screen as it was")


@case("q ends with status 0 and leaves the terminal as it was")
def quits():
    with Terminal(mqshark("-r", CAPTURES / "mqtt311_basics.pcap")) as t:
        t.wait_for(" offline ")
        t.keys("q")
        equal(t.ended(), 0, "exit status")
        equal(t.tmux("display-message", "-p", "#{alternate_on} #{cursor_flag} #{mouse_any_flag}").strip(), "0 1 0", "the terminal")


@case("a file cut short is shown as far as it goes, said, and ends with status 2")
def cut_short():
    with Terminal(mqshark("-r", CAPTURES / "der_cut_file.pcap"), 120, 24) as t:
        t.wait_for(" offline ")
        t.wait_for("cut")
        t.keys("q")
        equal(t.ended(), 2, "exit status")


@case("Ctrl-Z gives the terminal back and fg brings the screen again")
def suspends():
    with Terminal(mqshark("-r", CAPTURES / "mqtt311_basics.pcap")) as t:
        t.wait_for(" offline ")
        pid = t.pid()
        t.keys("Ctrl-Z")
        deadline = time.monotonic() + DEADLINE_S
        while pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "T":
            check(time.monotonic() < deadline, "it did not stop")
            select.select([], [], [], 0.02)
        equal(t.tmux("display-message", "-p", "#{alternate_on}").strip(), "0", "the alternate screen")
        os.kill(pid, signal.SIGCONT)
        t.wait_for(" offline ")
        t.keys("T")
        t.wait_for("topic, by name")


@case("when the terminal goes away it ends at once")
def hang_up():
    # the search for leaks stops the process by ptrace, which the SIGCONT of a hang-up upsets: it is left to the other cases
    options = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}
    for how in ("kill-server", "kill-pane"):
        with Terminal(mqshark("-r", CAPTURES / "mqtt311_basics.pcap"), env=options) as t:
            t.wait_for(" offline ")
            pid = t.pid()
            subprocess.run(["tmux", "-S", t.socket, how], check=False, capture_output=True)
            check(gone(pid), f"after {how} it is still there")


@case("end of file on the terminal ends it, without SIGHUP too")
def end_of_file():
    leader, follower = os.openpty()
    env = dict(os.environ, TERM="xterm", LC_ALL="C.UTF-8")
    child = subprocess.Popen(mqshark("-r", CAPTURES / "mqtt311_basics.pcap"), stdin=follower, stdout=follower, stderr=subprocess.DEVNULL,
                             env=env)  # no controlling terminal: nobody sends SIGHUP
    os.close(follower)
    seen = b""
    while b"offline" not in seen:
        check(select.select([leader], [], [], DEADLINE_S)[0], "no screen")
        seen += os.read(leader, 65536)
    os.close(leader)
    try:
        child.wait(DEADLINE_S)
    finally:
        child.kill()


@case("output that is no terminal becomes mqdump; TERM unset, unknown or dumb is said in one line with status 2")
def no_screen():
    capture = str(CAPTURES / "mqtt311_basics.pcap")
    out = subprocess.run(mqshark("-r", capture)[:1] + ["-r", capture], stdin=subprocess.DEVNULL, capture_output=True, timeout=DEADLINE_S)
    want = subprocess.run([BUILD / "mqdump", "-r", capture], stdin=subprocess.DEVNULL, capture_output=True, timeout=DEADLINE_S)
    equal((out.returncode, out.stdout), (0, want.stdout), "output to a pipe")
    for term in ("", "dumb", "no-such-terminal"):
        with Terminal(mqshark("-r", capture), env={"TERM": term}) as t:
            equal(t.ended(), 2, f"exit status with TERM={term!r}")
            check("-T text" in t.screen(), "the hint")


@case("NO_COLOR, monochrome terminals and --color never send no colour; others do")
def colours():
    colour = re.compile(r"\x1b\[[0-9;]*(?:3[0-7]|4[0-7]|38;|48;)")
    capture = CAPTURES / "mqtt311_qos2_killed.pcap"
    for args, env, term, wanted in [([], {}, "tmux-256color", True), ([], {}, "screen", True), ([], {"NO_COLOR": "1"}, "tmux-256color", False),
                                    (["--color", "never"], {}, "tmux-256color", False), ([], {}, "vt100", False)]:
        with Terminal(mqshark("-r", capture, *args), env=env | {"TERM": term}) as t:
            t.wait_for(" offline ")
            t.keys("j Enter ]")
            t.wait_for("is interrupted")
            equal(bool(colour.search(t.screen(escapes=True))), wanted, f"colour with {args} {env} {term}")


@case("a locale without UTF-8 gets lines of ASCII")
def ascii_lines():
    for args, env in [([], {"LC_ALL": "C"})]:
        with Terminal(mqshark("-r", CAPTURES / "mqtt311_basics.pcap", *args), env=env) as t:
            t.wait_for(" offline ")
            t.keys("Enter")
            screen = t.wait_for("|--")
            check(all(ord(c) < 128 for c in screen), "only ASCII")


@case("a wrong display filter is shown with carets and status 1, before anything is drawn")
def wrong_filter():
    with Terminal(mqshark("-r", CAPTURES / "mqtt311_basics.pcap", "-Y", "mqtt.qoss == 1")) as t:
        equal(t.ended(), 1, "exit status")
        check("^~~~~~~~~" in t.screen(), "carets")


@case("settings: --dump-config prints them, a file is read, a wrong line is named")
def settings():
    with tempfile.TemporaryDirectory() as home:
        env = dict(os.environ, XDG_CONFIG_HOME=home)
        pathlib.Path(home, "mqshark").mkdir()
        pathlib.Path(home, "mqshark", "config").write_text("time delta\nnonsense 1\n")
        run = subprocess.run([BUILD / "mqshark", "--dump-config"], env=env, capture_output=True, text=True, timeout=DEADLINE_S)
        check("\ntime delta\n" in run.stdout, "the setting")
        check("config:2: nonsense: there is no such setting" in run.stderr, run.stderr)
        run = subprocess.run([BUILD / "mqshark", "--no-config", "--dump-config"], env=env, capture_output=True, text=True, timeout=DEADLINE_S)
        equal((run.returncode, "\ntime absolute\n" in run.stdout, run.stderr), (0, True, ""), "without files")


@case("rows are saved as text, NDJSON and pcapng, and nothing is written over")
def saves():
    with tempfile.TemporaryDirectory() as d:
        with Terminal(mqshark("-r", CAPTURES / "mqtt311_qos2_killed.pcap")) as t:
            t.wait_for(" offline ")
            t.keys("/")
            t.keys('"mqtt.clientid==')
            t.tmux("send-keys", "-l", '"q2rcv"')
            t.keys("Enter")
            t.wait_for("19/77 rows")
            for number, form in enumerate(["pcapng", "text", "NDJSON"]):
                path = pathlib.Path(d, form)
                t.keys(":")
                t.tmux("send-keys", "-l", f"save {path}")
                t.keys("Enter")
                t.wait_for("what ")
                if number == 0:
                    t.keys("Right")
                t.wait_for("< filtered >")
                if number > 0:
                    t.keys("g j Right")
                t.wait_for(f"< {form} >")
                t.keys("Enter")
                t.wait_for("rows are in")
                t.keys("q")
            text = pathlib.Path(d, "text").read_text().splitlines()
            equal(len(text), len(pathlib.Path(d, "NDJSON").read_text().splitlines()), "lines of text and NDJSON")
            check(all("q2rcv" in line for line in text), "only the client asked for")
            t.keys("s Enter")
            t.wait_for("exists already")
        again = subprocess.run([BUILD / "mqdump", "-r", pathlib.Path(d, "pcapng")], capture_output=True, text=True, timeout=DEADLINE_S)
        equal(len(again.stdout.splitlines()), len(text), "rows of the frames that were saved")


add_screens()

if __name__ == "__main__":
    raise SystemExit(main())
