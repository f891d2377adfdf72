"""A throw-away PostgreSQL of this machine's own binaries. Every process is ended by its own pid."""

import getpass
import glob
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile

import pytest

from server import wait_until

STARTS_WITHIN = 60.0


def binaries():
    """The folder with the newest server there is; None if there is none."""
    found = shutil.which("postgres")
    if found:
        return pathlib.Path(found).resolve().parent
    versions = glob.glob("/usr/lib/postgresql/*/bin/postgres")
    newest = max(versions, key=lambda path: float(path.split("/")[4]), default=None)
    return pathlib.Path(newest).parent if newest else None


def needed():
    """The folder with the binaries, or the test is skipped, or failed where all is to run."""
    folder = binaries()
    if folder is None and os.environ.get("JOBPLANE_REQUIRE_ALL") != "1":
        pytest.skip("no PostgreSQL on PATH or in /usr/lib/postgresql/*/bin")
    assert folder, "no PostgreSQL on PATH or in /usr/lib/postgresql/*/bin"
    return folder


class Postgres:
    """A cluster in a folder and, while it runs, its server on a free port. It is new, or a standby of another one."""

    def __init__(self, folder, primary=None):
        self.binaries = needed()
        self.folder = pathlib.Path(folder)
        self.process = None
        # PostgreSQL does not run as root.
        self.user = "postgres" if os.geteuid() == 0 else getpass.getuser()
        if os.geteuid() == 0:
            # pytest keeps its folders from everybody else, again with each run that begins beside this one.
            self._own = tempfile.TemporaryDirectory(prefix="jobplane-blackbox-")
            self.folder = pathlib.Path(self._own.name)
            owner = pwd.getpwnam(self.user)
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data = self.folder / "data"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        if primary is None:
            self._run("initdb", "-D", self.data, "-A", "trust", "-U", "jobplane", "-E", "UTF8", "--locale=C")
        else:
            where = ("-h", "127.0.0.1", "-p", primary.port, "-U", "jobplane")
            self._run("pg_basebackup", *where, "-D", self.data, "-R", "-X", "stream", "-c", "fast")

    def _command(self, program, *arguments):
        command = [self.binaries / program, *arguments]
        as_user = ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups"]
        return [str(word) for word in (as_user if os.geteuid() == 0 else []) + command]

    def _run(self, program, *arguments, **more):
        done = subprocess.run(
            self._command(program, *arguments),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            **more,
        )
        assert done.returncode == 0, f"{program}: {done.stdout}{done.stderr}"
        return done.stdout

    def start(self, **settings):
        """Starts the server with these settings and waits until it answers."""
        assert self.process is None, "it runs already"
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.folder,
            "max_connections": 200,
            "log_min_messages": "warning",
            **settings,
        }
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        log = (self.folder / "postgres.log").open("ab")
        self.process = subprocess.Popen(
            self._command("postgres", "-D", self.data, *flags),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        log.close()
        wait_until(self._answers, STARTS_WITHIN, "PostgreSQL answers")
        return self

    def _answers(self):
        assert self.process.poll() is None, (self.folder / "postgres.log").read_text()[-3000:]
        asked = self._command("pg_isready", "-h", "127.0.0.1", "-p", self.port, "-q")
        return subprocess.run(asked, check=False).returncode == 0

    def keep(self, name, content):
        """Puts a file into its folder that only it may read; gives the path."""
        path = self.folder / name
        path.write_text(content)
        path.chmod(0o600)
        if os.geteuid() == 0:
            owner = pwd.getpwnam(self.user)
            os.chown(path, owner.pw_uid, owner.pw_gid)
        return path

    def followed(self):
        """Has every commit wait from now on until the standby has it on disk too."""
        self.execute("ALTER SYSTEM SET synchronous_standby_names = '*'", "postgres")
        self.execute("SELECT pg_reload_conf()", "postgres")
        asked = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
        wait_until(lambda: self.execute(asked, "postgres") == "1", STARTS_WITHIN, "a standby follows")

    def promote(self):
        """Makes a standby the primary; waits until it is."""
        self._run("pg_ctl", "promote", "-D", self.data, "-w")

    def url(self, database, port=None):
        """Where a database is, through whatever listens on `port`."""
        return f"postgres://jobplane@127.0.0.1:{port or self.port}/{database}"

    def create(self, database):
        """Makes a database; gives its URL."""
        self.execute(f'CREATE DATABASE "{database}"', database="postgres")
        return self.url(database)

    def execute(self, sql, database):
        """Runs statements; gives the rows of the last one, without decoration."""
        where = ("-h", "127.0.0.1", "-p", self.port, "-U", "jobplane", "-d", database)
        return self._run("psql", *where, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql).strip()

    def kill(self):
        """Ends the server as a power cut would end it: SIGKILL for it and its children, by their pids."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        pids = [self.process.pid, *map(int, children.read_text().split())]
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        self.process = None
        # Its memory is taken back by the next start, once nobody holds on to it.
        wait_until(lambda: not any(map(alive, pids)), STARTS_WITHIN, "its processes are gone")

    def stop(self):
        """Ends the server in good order, whoever is connected."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(30)
        self.process = None


def alive(pid):
    """Whether a process runs, other than as one that waits for its parent to take notice of its end."""
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


class Bouncer:
    """PgBouncer in transaction mode before a PostgreSQL."""

    def __init__(self, folder, postgres, **settings):
        program = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")
        if program is None and os.environ.get("JOBPLANE_REQUIRE_ALL") != "1":
            pytest.skip("no pgbouncer")
        assert program, "no pgbouncer"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        # Where the one who runs it may go.
        self.folder = postgres.folder / pathlib.Path(folder).name
        self.folder.mkdir(parents=True, exist_ok=True)
        users = self.folder / "users.txt"
        users.write_text('"jobplane" ""\n')
        lines = {
            "listen_addr": "127.0.0.1",
            "listen_port": self.port,
            "unix_socket_dir": "",
            "auth_type": "trust",
            "auth_file": users,
            "pool_mode": "transaction",
            "default_pool_size": 10,
            "max_client_conn": 500,
            "ignore_startup_parameters": "extra_float_digits",
            **settings,
        }
        file = self.folder / "pgbouncer.ini"
        text = "".join(f"{name} = {value}\n" for name, value in lines.items())
        file.write_text(
            f"[databases]\n* = host=127.0.0.1 port={postgres.port} user=jobplane\n[pgbouncer]\n{text}"
        )
        command = [program, "-q", str(file)]
        if os.geteuid() == 0:
            user = postgres.user
            as_user = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
            owner = pwd.getpwnam(user)
            for path in (self.folder, users, file):
                os.chown(path, owner.pw_uid, owner.pw_gid)
            command = as_user + command
        with (self.folder / "pgbouncer.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_until(self._answers, STARTS_WITHIN, "PgBouncer answers")

    def _answers(self):
        assert self.process.poll() is None, (self.folder / "pgbouncer.log").read_text()[-3000:]
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def stop(self):
        """Ends it at once."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
