"""A terminal for the program under test: a pty, and a screen that is read as a person reads it."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time

import pyte

WITHIN = 30.0


class Terminal:
    """Runs a command in a terminal of its own; `text()` is what is on the screen."""

    def __init__(self, command, environment, columns=100, lines=30):
        self.screen = pyte.Screen(columns, lines)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.leader, follower = pty.openpty()
        self.size(columns, lines, tell=False)
        self.before = termios.tcgetattr(follower)
        # The terminal is that of the new session, so that Ctrl-C reaches the program: a shell without one takes it by
        # opening it. Not by a hook between fork and exec: gRPC's own hooks would run too, and write on the screen.
        take = ["sh", "-c", 'exec "$@" <>"$0" >&0 2>&0', os.ttyname(follower)]
        self.process = subprocess.Popen(
            take + [str(word) for word in command],
            env={**environment, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"},
            stdin=follower,
            stdout=follower,
            stderr=follower,
            start_new_session=True,
        )
        # Kept open, so that the settings can be read when the program is gone.
        self.follower = follower

    def size(self, columns, lines, tell=True):
        """Gives the terminal another size."""
        fcntl.ioctl(self.leader, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        if tell:
            self.screen.resize(lines, columns)

    def read(self, seconds=0.1):
        """Takes in what the program wrote."""
        ready, _, _ = select.select([self.leader], [], [], seconds)
        if ready:
            written = os.read(self.leader, 65536)
            self.raw += written
            self.stream.feed(written)

    def lines(self):
        """The lines of the screen, without the space behind them."""
        return [line.rstrip() for line in self.screen.display]

    def text(self):
        """The whole screen."""
        return "\n".join(self.lines())

    def until(self, condition, what, within=WITHIN):
        """Reads until `condition(text)` holds, and gives what it answered."""
        deadline = time.monotonic() + within
        while True:
            answer = condition(self.text())
            if answer:
                return answer
            assert time.monotonic() < deadline, f"not within {within} s: {what}\n{self.text()}"
            assert self.process.poll() is None, f"it ended before: {what}\n{self.text()}"
            self.read()

    def type(self, keys):
        """Types; `\\x03` is Ctrl-C."""
        os.write(self.leader, keys.encode())

    def ended(self, within=WITHIN):
        """Waits for the end and gives the exit code."""
        deadline = time.monotonic() + within
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it does not end\n{self.text()}"
            self.read()
        while select.select([self.leader], [], [], 0)[0]:
            self.read(0)
        return self.process.returncode

    def restored(self):
        """Whether the terminal is as it was: its settings, the cursor, wrapping, the first screen."""
        written = self.raw.decode(errors="replace")

        def left_as(on, off):
            return written.rfind(on) >= written.rfind(off)

        return (
            termios.tcgetattr(self.follower) == self.before
            and not self.screen.cursor.hidden
            and left_as("\x1b[?25h", "\x1b[?25l")
            and left_as("\x1b[?7h", "\x1b[?7l")
            and left_as("\x1b[?1049l", "\x1b[?1049h")
        )

    def close(self):
        """Ends the program if it is still there."""
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.leader)
        os.close(self.follower)
