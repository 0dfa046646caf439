"""PostgreSQL: its programs, how a cluster is made, its server, what is in it.

A cluster is made under another name and renamed when it is complete, so that a half-made one is never used. The name
has PostgreSQL's version in it: another version makes another cluster. PostgreSQL refuses to run as root; for root it
runs as `postgres`. Roles and databases are made where they are missing each time that the server is asked for, so one
that is new in the tables comes to clusters that are there already.
"""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from installing import Need
from messages import Failure, timed
from places import HOST, PostgresServer, port, state
from programs import run
from supervision import Server

# PostgreSQL refuses to run as root.
PG_USER: dict[str, Any] = {} if os.getuid() else {"user": "postgres", "group": "postgres", "extra_groups": []}
# Tests make databases of their own, hence CREATEDB.
DATABASE = r"""
SELECT $$CREATE ROLE {0}_user LOGIN CREATEDB PASSWORD '{0}_pass'$$
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{0}_user') \gexec
SELECT $$CREATE DATABASE {0}_db OWNER {0}_user$$
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{0}_db') \gexec
"""


def pg_bin() -> Path:
    """PostgreSQL's server programs: those on PATH, else the newest ones installed."""
    if found := shutil.which("postgres"):
        return Path(found).resolve().parent
    installed = Path("/usr/lib/postgresql").glob("*/bin")
    return max(installed, key=lambda path: float(path.parent.name), default=Path("/missing"))


def pg_found() -> bool:
    return (pg_bin() / "initdb").exists() and ("postgres" in (user.pw_name for user in pwd.getpwall()) or not PG_USER)


POSTGRESQL = Need("PostgreSQL", "postgresql", pg_found)


def make_cluster(data: Path) -> None:
    """Makes a cluster, under another name until it is complete."""
    home, new = data.parent, data.with_name("new")
    for leftover in (data / "postmaster.pid", *home.glob(".s.PGSQL.*")):
        leftover.unlink(missing_ok=True)
    if data.exists():
        return
    if PG_USER:
        shutil.chown(home, PG_USER["user"], PG_USER["group"])
    home.chmod(0o700)
    shutil.rmtree(new, ignore_errors=True)
    options = "--username=postgres --encoding=UTF8 --locale=C.UTF-8 --auth-local=trust --auth-host=scram-sha-256"
    with timed(f"making a cluster in {data}"):
        quietly([str(pg_bin() / "initdb"), "-D", str(new), *options.split()], cwd=home, **PG_USER)
        new.rename(data)


def make_databases(server: PostgresServer, home: Path) -> None:
    """Makes the roles and databases that a running server lacks, as its superuser and by its socket."""
    place = ["-h", str(home), "-p", str(port(server.base_port)), "-U", "postgres"]
    sql = "".join(DATABASE.format(name) for name in server.holds)
    quietly([str(pg_bin() / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", *place, "postgres"], input=sql)


def quietly(command: Sequence[str], **options: Any) -> None:
    """Runs a helper to its end; what it prints is told only when it fails."""
    done = subprocess.run(command, text=True, capture_output=True, check=False, **options)
    if done.returncode:
        raise Failure(f"{done.stderr}{shlex.join(command)} failed")


def postgres(server: PostgresServer) -> Server:
    number, home, programs = port(server.base_port), state(f"pg-{server.name}"), pg_bin()
    data = home / f"data-{programs.parent.name}"
    place = ["-p", str(number), "-h", HOST, "-k", str(home)]
    probe = [str(programs / "pg_isready"), "-q", "-h", HOST, "-p", str(number)]
    return Server(
        name=home.name,
        title=f"PostgreSQL {server.name}",
        port=number,
        command=[str(programs / "postgres"), "-D", str(data), *place, "-c", "max_connections=300"],
        ready=lambda: subprocess.run(probe, check=False).returncode == 0,
        needs=(POSTGRESQL,),
        prepare=lambda: make_cluster(data),
        equip=lambda: make_databases(server, home),
        user=PG_USER,
        stop_signal=signal.SIGINT,  # a "fast shutdown"
        # After a crash it first syncs every file of every test's database, on a disk that may be busy.
        patience=180,
    )


def psql(url: str, *arguments: str) -> None:
    run([str(pg_bin() / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", *arguments, url])
