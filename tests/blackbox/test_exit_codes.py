"""How a server ends that cannot serve: the exit code tells a supervisor what to do."""

import contextlib
import os
import socket
import sqlite3
import subprocess

import pytest

from server import Server, binary

USAGE, REFUSED, UNREACHABLE, IO, TAKEN = 2, 4, 5, 74, 75


def ended(command, folder, *flags):
    """The exit code and the last words of a process that ends by itself."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("JOBPLANE_")}
    done = subprocess.run(
        [binary(), command, *flags],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stderr


def serve(folder, *flags):
    """The end of a server on a free port, over a file in the folder."""
    return ended("serve", folder, "--listen", "127.0.0.1:0", *flags)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--max-connections", "0"], "max-connections is 0"),
        (["--log-level", "loud"], "loud"),
        (["--max-pending", "some"], "--max-pending"),
        (["--database-url", "mysql://127.0.0.1/jobs"], "does not name a database file"),
        (["--no-such-flag"], "--no-such-flag"),
    ],
)
def test_a_setting_that_is_wrong_is_2(tmp_path, flags, said):
    code, words = serve(tmp_path, *flags)
    assert (code, said in words) == (USAGE, True), words


def test_an_address_that_is_taken_is_75(tmp_path):
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        code, words = ended("serve", tmp_path, "--listen", f"127.0.0.1:{port}")
    assert code == TAKEN and f"cannot listen on 127.0.0.1:{port}" in words, words


def test_a_file_that_another_server_has_is_75_and_free_again_after_it(built, tmp_path):
    server = Server(tmp_path)
    try:
        server.start()
        code, words = serve(tmp_path, "--database-url", server.database_url)
        assert code == TAKEN and "another process serves" in words, words
    finally:
        server.stop()
    server.start()
    server.stop()


def test_a_database_that_is_not_for_this_server_is_4(built, tmp_path):
    server = Server(tmp_path)
    server.start()
    server.stop()
    with contextlib.closing(sqlite3.connect(server.database)) as database, database:
        database.execute(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)"
            " VALUES (900, 'later', true, x'00', 0)"
        )
    for command in ("serve", "migrate"):
        listen = ["--listen", "127.0.0.1:0"] if command == "serve" else []
        code, words = ended(command, tmp_path, *listen, "--database-url", server.database_url)
        assert code == REFUSED and "use a newer server" in words, words
    other = tmp_path / "notes.db"
    with contextlib.closing(sqlite3.connect(other)) as database, database:
        database.execute("CREATE TABLE notes (text TEXT)")
    code, words = serve(tmp_path, "--database-url", f"sqlite://{other}")
    assert code == REFUSED and "another program" in words, words


def test_a_database_that_cannot_be_reached_is_5(tmp_path):
    nobody = ("--database-url", "postgres://jobplane@127.0.0.1:1/jobs")
    for code, words in (serve(tmp_path, *nobody), ended("migrate", tmp_path, *nobody)):
        assert code == UNREACHABLE and "cannot reach PostgreSQL at 127.0.0.1:1" in words, words


def test_a_file_that_cannot_be_used_is_74(tmp_path):
    code, words = serve(tmp_path, "--database-url", f"sqlite://{tmp_path}/missing/jobs.db")
    assert code == IO and "missing" in words, words
    (tmp_path / "file").write_text("no folder")
    code, words = serve(tmp_path, "--archive", f"{tmp_path}/file/archive")
    assert code == IO and "cannot write the archive" in words, words
