"""PostgreSQL goes away in one way or another under load, and comes back."""

import contextlib
import secrets
import time

import pytest

from crew import Crew
from certificates import Authority
from fleet import Fleet
from postgres import Bouncer, Postgres
from proxy import Proxy
from reflect import Failed, Stub, state
from server import wait_until
from test_crash import check_history
from workers import Worker, create, get

# What is promised is a tenth of it.
RESUMES_WITHIN = 100.0


@pytest.fixture
def postgres(built, tmp_path):
    """A PostgreSQL for one test, which may do to it what it likes."""
    postgres = Postgres(tmp_path / "postgres")
    try:
        yield postgres.start()
    finally:
        postgres.stop()


@contextlib.contextmanager
def servers(tmp_path, url, count, *flags):
    """Servers over a database."""
    fleet = Fleet(tmp_path, url, count, *flags)
    try:
        yield fleet.start()
    finally:
        fleet.stop()


@contextlib.contextmanager
def crew_of(fleet, queue, rng):
    """Workers and creators at work; in the end all that was acked is held against the server."""
    schema = Stub(fleet.address).schema
    crew = Crew(queue, schema, rng.randrange(2**32), hands=4, slots=50, live=300)
    crew.at(fleet.addresses)
    crew.begin()
    try:
        crew.await_acks(500)
        yield crew
        crew.await_acks(500)
        crew.await_the_end()
        crew.stop()
        check_history(fleet, schema, crew, adopted=0)
        for server in fleet.servers:
            no_permit_leaks(server, schema)
    finally:
        crew.stop()


def no_permit_leaks(server, schema):
    """After quiet, no connection is in use and nobody waits for one."""
    stub = Stub(server.address, like=schema)

    def at_rest():
        pool = stub.call("AdminService/GetServerInfo", {}).pool
        return pool.waiting == 0 and pool.size - pool.idle <= 1

    wait_until(at_rest, 30, "the pool is at rest")
    stub.close()


def resumes(crew, since):
    """Waits for acks that came after the trouble."""
    crew.await_acks(200)
    took = time.monotonic() - since
    print(f"work went on {took:.1f} s after the end of the trouble")
    assert took < RESUMES_WITHIN


def is_unready(server):
    try:
        return server.get("/readyz")[0] == 503
    except OSError:
        return False


def test_postgres_is_killed_and_comes_back(postgres, tmp_path, queue, rng):
    url = postgres.create("failover")
    with servers(tmp_path, url, 2) as fleet, crew_of(fleet, queue, rng) as crew:
        for _ in range(2):
            postgres.kill()
            for server in fleet.servers:
                wait_until(lambda: is_unready(server), 30, "/readyz says that it is gone")
            postgres.start()
            since = time.monotonic()
            resumes(crew, since)
            for server in fleet.servers:
                wait_until(server.ready, 30, "/readyz says that it is back")


def test_backends_are_terminated_again_and_again(postgres, tmp_path, queue, rng):
    url = postgres.create("failover")
    with servers(tmp_path, url, 2) as fleet, crew_of(fleet, queue, rng) as crew:
        for _ in range(10):
            crew.await_acks(100)
            postgres.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()",
                "failover",
            )
        resumes(crew, time.monotonic())


def test_connections_die_without_a_word(postgres, tmp_path, queue, rng):
    postgres.create("failover")
    proxy = Proxy(f"127.0.0.1:{postgres.port}")
    url = postgres.url("failover", port=proxy.address.rsplit(":", 1)[1])
    flags = ("--database-statement-timeout", "2s")
    try:
        with servers(tmp_path, url, 2, *flags) as fleet, crew_of(fleet, queue, rng) as crew:
            proxy.freeze()
            resumes(crew, time.monotonic())
    finally:
        proxy.close()


def bookmark(stub, queue, token=""):
    """What a watch of a queue says until it can be resumed: the kinds of its messages, and the token."""
    wish = {"filter": {"queues": [queue]}, "resume_token": token}
    events = stub.watch("JobService/WatchJobs", wish, timeout=60)
    kinds = []
    try:
        for message in events:
            kinds.append(message.WhichOneof("event"))
            if kinds[-1] in ("snapshot_end", "bookmark"):
                return kinds, getattr(message, kinds[-1]).resume_token
    finally:
        events.cancel()
    raise AssertionError(f"the watch ended after {kinds}")


def test_a_standby_takes_the_place_of_the_primary(postgres, tmp_path, queue, rng):
    postgres.create("failover")
    standby = Postgres(tmp_path / "standby", primary=postgres)
    url = f"postgres://jobplane@127.0.0.1:{postgres.port},127.0.0.1:{standby.port}/failover"
    try:
        standby.start()
        # What is acked is on both, so nothing of it may be lost.
        postgres.followed()
        with servers(tmp_path, url, 2) as fleet:
            stub = Stub(fleet.servers[0].address)
            kept = create(stub, f"{queue}-2")
            kinds, token = bookmark(stub, f"{queue}-2")
            assert kinds == ["upsert", "snapshot_end"]
            assert bookmark(stub, f"{queue}-2", token)[0] == ["bookmark"], "it can be resumed"
            with crew_of(fleet, queue, rng) as crew:
                postgres.kill()
                for server in fleet.servers:
                    wait_until(lambda: is_unready(server), 30, "/readyz says that it is gone")
                standby.promote()
                resumes(crew, time.monotonic())
                for server in fleet.servers:
                    wait_until(server.ready, 30, "/readyz says that it is back")
            assert state(get(stub, kept.id)) == "PENDING"
            # Nobody knows what the old primary wrote after the two parted.
            kinds, token = bookmark(stub, f"{queue}-2", token)
            assert kinds == ["reset", "upsert", "snapshot_end"]
            assert bookmark(stub, f"{queue}-2", token)[0] == ["bookmark"]
            stub.close()
        # Servers start while the first of the hosts is gone, too.
        fleet = Fleet(tmp_path / "later", url, 1)
        try:
            fleet.start()
            stub = Stub(fleet.address)
            assert state(get(stub, kept.id)) == "PENDING"
            stub.close()
        finally:
            fleet.stop()
    finally:
        standby.stop()


def test_several_hosts_of_which_none_writes_are_refused_by_name(postgres, tmp_path):
    postgres.create("failover")
    standby = Postgres(tmp_path / "standby", primary=postgres)
    try:
        standby.start()
        postgres.stop()
        places = f"127.0.0.1:{postgres.port},127.0.0.1:{standby.port}"
        server = Fleet(tmp_path, f"postgres://jobplane@{places}/failover", 1).servers[0]
        server.begin()
        assert server.process.wait(60) == 5
        said = server.last_words()
        assert places in said and "standby" in said, said
    finally:
        standby.stop()


def test_the_way_to_the_database_is_encrypted_and_its_certificate_is_checked(built, tmp_path, queue):
    postgres = Postgres(tmp_path / "postgres")
    ours, other = Authority(tmp_path / "ours"), Authority(tmp_path / "other")
    certificate, key = ours.issue("127.0.0.1")
    settings = {
        "ssl": "on",
        "ssl_cert_file": postgres.keep("server.crt", certificate.read_text()),
        "ssl_key_file": postgres.keep("server.key", key.read_text()),
    }

    def refused(url, folder):
        server = Fleet(tmp_path / folder, url, 1).servers[0]
        server.begin()
        assert server.process.wait(60) in (4, 5)
        return server.last_words()

    try:
        postgres.start(**settings)
        url = postgres.create("encrypted")
        by_root = f"{url}?sslmode=verify-full&sslrootcert="
        with servers(tmp_path, f"{by_root}{ours.certificate}", 2) as fleet:
            encrypted = (
                "SELECT bool_and(s.ssl), count(*) > 0 FROM pg_stat_activity AS a JOIN pg_stat_ssl AS s USING (pid)"
                " WHERE a.datname = 'encrypted'"
            )
            a, b = (Stub(server.address) for server in fleet.servers)
            worker = Worker(a, queue)
            worker.attach()
            job = create(b, queue)
            assert worker.acked(worker.update(worker.assignment(), succeeded={})) is None
            assert state(get(b, job.id)) == "SUCCEEDED"
            assert postgres.execute(encrypted, "postgres") == "t|t"
            worker.leave()
            a.close()
            b.close()
        assert "certificate" in refused(f"{by_root}{other.certificate}", "another-authority")
        # The same server under a name that is not in its certificate.
        wrong = f"{by_root}{ours.certificate}".replace("127.0.0.1", "localhost")
        assert "certificate" in refused(wrong, "another-name")
        postgres.stop()
        postgres.start()
        assert "encrypted" in refused(f"{by_root}{ours.certificate}", "in-the-clear")
    finally:
        postgres.stop()


def test_a_primary_that_only_reads_is_told_and_waited_for(postgres, tmp_path, queue):
    url = postgres.create("failover")

    def read_only(whether):
        postgres.execute(f"ALTER SYSTEM SET default_transaction_read_only = {whether}", "postgres")
        postgres.execute("SELECT pg_reload_conf()", "postgres")
        postgres.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = 'failover' AND pid <> pg_backend_pid()",
            "postgres",
        )

    with servers(tmp_path, url, 1) as fleet:
        server = fleet.servers[0]
        stub = Stub(server.address)
        kept = create(stub, queue)

        def refuses():
            try:
                create(stub, queue)
            except Failed as failed:
                assert failed.code.name == "UNAVAILABLE", failed
                return True

        read_only("on")
        wait_until(refuses, 30, "creates are refused")
        wait_until(lambda: is_unready(server), 30, "/readyz says that it cannot write")
        assert state(get(stub, kept.id)) == "PENDING"
        # The statement that undoes it must be able to write.
        postgres.stop()
        (postgres.data / "postgresql.auto.conf").write_text("")
        postgres.start()
        wait_until(server.ready, 60, "/readyz says that it writes again")
        create(stub, queue)
        stub.close()


def test_behind_pgbouncer_in_transaction_mode_all_works(postgres, tmp_path, queue, rng):
    postgres.create("failover")
    bouncer = Bouncer(tmp_path / "bouncer", postgres)
    url = postgres.url("failover", port=bouncer.port)
    try:
        with servers(tmp_path, url, 2, "--pooler") as fleet:
            with crew_of(fleet, queue, rng) as crew:
                crew.await_acks(1000)
            a, b = (Stub(server.address) for server in fleet.servers)
            worker = Worker(a, f"{queue}-2")
            worker.attach()
            # No hints: the poll finds it.
            job = create(b, f"{queue}-2")
            assignment = worker.assignment()
            b.call("JobService/CancelJob", {"job_id": job.id})
            assert worker.expect("cancel_request").job_id == job.id
            worker.acked(worker.update(assignment, cancelled={}))
            worker.leave()
            a.close()
            b.close()
        # The direct way for hints alone.
        direct = postgres.url("failover")
        flags = ("--pooler", "--database-listen-url", direct, "--poll-interval", "1h")
        folder = tmp_path / "direct"
        with servers(folder, url, 2, *flags) as fleet:
            a, b = (Stub(server.address) for server in fleet.servers)
            worker = Worker(a, f"{queue}-3")
            worker.attach()
            create(b, f"{queue}-3")
            done = worker.update(worker.assignment(), succeeded={})
            assert worker.acked(done) is None
            worker.leave()
            a.close()
            b.close()
    finally:
        bouncer.stop()


def test_servers_that_start_at_once_make_one_schema(postgres, tmp_path):
    url = postgres.create(f"fresh_{secrets.token_hex(4)}")
    with servers(tmp_path, url, 4) as fleet:
        for server in fleet.servers:
            assert server.ready()


def test_a_newer_schema_is_refused_and_left_alone(postgres, tmp_path):
    url = postgres.create("newer")
    with servers(tmp_path, url, 1):
        pass
    postgres.execute(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)"
        " VALUES (9999, 'from the future', true, '\\x00', 0)",
        "newer",
    )
    fleet = Fleet(tmp_path / "again", url, 1)
    server = fleet.servers[0]
    server.begin()
    assert server.process.wait(60) == 4
    assert "newer" in server.last_words()
