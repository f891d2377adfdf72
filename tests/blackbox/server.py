"""Starts, kills and restarts the built binary. Every process is ended by its own pid."""

import http.client
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
START_WITHIN = 60.0
STOP_WITHIN = 40.0


def binary():
    """The binary under test: `JOBPLANE_BIN`, else the newest one built. None if there is none."""
    if os.environ.get("JOBPLANE_BIN"):
        return pathlib.Path(os.environ["JOBPLANE_BIN"]).resolve()
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    built = [target / profile / "jobplane" for profile in ("debug", "release")]
    built = [path for path in built if path.is_file()]
    return max(built, key=lambda path: path.stat().st_mtime, default=None)


def wait_until(condition, within, what):
    """Asks again and again until `condition()` is true, and gives what it answered."""
    deadline = time.monotonic() + within
    while True:
        answer = condition()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {within} s: {what}"
        time.sleep(0.02)


class Server:
    """A database and, while it runs, the process that serves it on a free port."""

    def __init__(self, folder, database_url=None):
        """Serves that database, by default a file of its own in `folder`."""
        self.folder = pathlib.Path(folder)
        self.database = self.folder / "jobplane.db"
        self.database_url = database_url or f"sqlite://{self.database}"
        self.address = None
        self.process = None
        self.starts = 0
        self._lines = []
        self._listening = threading.Event()

    def start(self, *flags, listen="127.0.0.1:0"):
        """Starts the process, with further `flags` of `serve`, and waits until it is ready; `listen` brings it back where
        it was."""
        self.begin(*flags, listen=listen)
        return self.await_ready()

    def begin(self, *flags, listen="127.0.0.1:0"):
        """Starts the process."""
        assert self.process is None, "it runs already"
        environment = {k: v for k, v in os.environ.items() if not k.startswith("JOBPLANE_")}
        self.starts += 1
        self._listening.clear()
        self._lines = []
        self.process = subprocess.Popen(
            [
                binary(), "serve",
                "--listen", listen,
                "--database-url", self.database_url,
                *flags,
            ],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def await_ready(self):
        """Waits until what was begun is ready."""
        self._listening.wait(START_WITHIN)
        assert self.address, f"no line said where it listens:\n{self.log()}"
        wait_until(self.ready, START_WITHIN, f"/readyz answers 200\n{self.log()}")
        return self

    def _read(self):
        """Keeps what the process writes, until its end."""
        path = self.folder / f"server-{self.starts}.log"
        with path.open("w") as file:
            for line in self.process.stderr:
                file.write(line)
                self._lines.append(line)
                if not self._listening.is_set() and "listening" in line:
                    self._learn(line)
        self._listening.set()

    def _learn(self, line):
        try:
            entry = json.loads(line)
        except ValueError:
            return
        fields = {**entry, **(entry.get("fields") or {})}
        if fields.get("message") == "listening" and fields.get("address"):
            self.address = str(fields["address"])
            self._listening.set()

    def ready(self):
        """Whether /readyz says yes."""
        assert self.process.poll() is None, f"it ended by itself:\n{self.log()}"
        try:
            return self.get("/readyz")[0] == 200
        except OSError:
            return False

    def get(self, path):
        """Status and body of a GET over HTTP/1.1."""
        host, port = self.address.rsplit(":", 1)
        connection = http.client.HTTPConnection(host, int(port), timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def log(self):
        """The end of what the process wrote."""
        return "".join(self._lines[-30:])

    def kill(self):
        """Ends the process as a power cut would end it: SIGKILL, by pid."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._ended()

    def stop(self):
        """Ends the process as an operator would, and checks that it left in good order."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still there {STOP_WITHIN} s after SIGTERM") from None
        self._ended()
        text = "".join(self._lines)
        assert code == 0, f"exit code {code} after SIGTERM:\n{self.log()}"
        assert "panicked" not in text, text

    def last_words(self):
        """What a process wrote that ended by itself."""
        self._ended()
        return self.log()

    def _ended(self):
        self._reader.join()
        self.process.stderr.close()
        self.process, self.address = None, None

    def check_database(self, into):
        """Copies the file, with what is beside it, and lets SQLite check the copy."""
        into = pathlib.Path(into)
        into.mkdir(parents=True)
        for path in self.folder.glob("jobplane.db*"):
            if not path.name.endswith(".lock"):
                shutil.copy(path, into)
        with sqlite3.connect(into / self.database.name) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        database.close()
