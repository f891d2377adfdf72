"""A server under attack, and somebody else who uses it meanwhile."""

import contextlib
import pathlib
import subprocess
import sys
import threading
import time

from server import Server, wait_until

# What a bystander may have to wait for an answer, in seconds: the machine is shared, and
# the build may be for debugging.
P99_MAX = 3.0
# What an attack may add to the memory of the server, in MiB, if nothing is said.
MEMORY_MAX = 64
# Calls of the bystander that make a figure.
SAMPLES_MIN = 20
BYSTANDER = pathlib.Path(__file__).parent / "bystander.py"


class Bystander:
    """A client in a process of its own, so that the attacker's work does not count as the server's."""

    def __init__(self, address):
        self.samples = []
        self.process = subprocess.Popen(
            [sys.executable, BYSTANDER, address],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            began, took, word = line.split()
            self.samples.append((float(began), float(took), word))

    def since(self, began):
        """Calls that were under way at that time or later."""
        return [sample for sample in list(self.samples) if sample[0] + sample[1] >= began]

    def await_calls(self, began, count=SAMPLES_MIN):
        """Waits until so many calls that began after that time are over."""
        fresh = lambda: sum(sample[0] >= began for sample in list(self.samples)) >= count
        wait_until(fresh, 30, f"the bystander makes {count} calls")

    def stop(self):
        """Ends the process."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Victim:
    """A server, its bystander, and what an attack did to both."""

    def __init__(self, folder):
        self.server, self.bystander = Server(folder), None
        try:
            self.server.start()
            self.bystander = Bystander(self.server.address)
            self.bystander.await_calls(time.monotonic())
        except BaseException:
            self.stop()
            raise

    @property
    def address(self):
        """Where it listens."""
        return self.server.address

    @property
    def pid(self):
        """Its process."""
        return self.server.process.pid

    def memory(self, what):
        """A figure of its memory, in MiB: VmRSS now, VmHWM at its highest."""
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(what):
                return int(line.split()[1]) / 1024
        raise AssertionError(f"no {what}")

    def seconds_of_cpu(self):
        """What it has computed so far."""
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / 100

    @contextlib.contextmanager
    def under(self, what, memory_max=MEMORY_MAX):
        """The attack is the body. Afterwards: memory was bounded, nobody else failed or waited long."""
        pathlib.Path(f"/proc/{self.pid}/clear_refs").write_text("5")  # VmHWM starts anew
        before, began = self.memory("VmRSS"), time.monotonic()
        yield
        took = time.monotonic() - began
        self.bystander.await_calls(time.monotonic(), count=3)
        grown = self.memory("VmHWM") - before
        calls = sorted(sample[1] for sample in self.bystander.since(began))
        p50, p99 = (calls[min(len(calls) - 1, int(len(calls) * part))] for part in (0.5, 0.99))
        print(
            f"ATTACK {what}: {took:.1f} s, memory {before:.0f} MiB {grown:+.0f} MiB at most, "
            f"{self.memory('VmRSS') - before:+.0f} MiB after, {len(calls)} calls of others: "
            f"p50 {p50 * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms"
        )
        failed = {sample[2] for sample in self.bystander.since(began)} - {"ok"}
        assert not failed, f"calls of others failed during {what}: {failed}"
        assert grown <= memory_max, f"{what} cost {grown:.0f} MiB, more than {memory_max}"
        assert p99 <= P99_MAX, f"others waited {p99:.3f} s during {what}"

    def stop(self):
        """Ends both; the server must leave in good order, without a panic in its log."""
        if self.bystander:
            self.bystander.stop()
        self.server.stop()
