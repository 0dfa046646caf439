"""PostgreSQL: its programs, how a cluster is made, its server.

A cluster is made under another name and renamed when it is complete, so that a half-made one is never used. The name
has PostgreSQL's version in it: another version makes another cluster. PostgreSQL refuses to run as root; for root it
runs as `postgres`.
"""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

from messages import Failure, timed
from places import HOST, Database, port, state
from programs import run
from supervision import Server

# PostgreSQL refuses to run as root.
PG_USER: dict[str, Any] = {} if os.getuid() else {"user": "postgres", "group": "postgres", "extra_groups": []}


def pg_bin() -> Path:
    """PostgreSQL's server programs: those on PATH, else the newest ones installed."""
    if found := shutil.which("postgres"):
        return Path(found).resolve().parent
    installed = Path("/usr/lib/postgresql").glob("*/bin")
    return max(installed, key=lambda path: float(path.parent.name), default=Path("/missing"))


def pg_found() -> bool:
    return (pg_bin() / "initdb").exists() and ("postgres" in (user.pw_name for user in pwd.getpwall()) or not PG_USER)


def make_cluster(name: str, data: Path) -> None:
    """Makes a cluster with its role and database, under another name until it is complete."""
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
    initdb = [str(pg_bin() / "initdb"), "-D", str(new), *options.split()]
    single = [str(pg_bin() / "postgres"), "--single", "-D", str(new), "-c", "exit_on_error=true", "postgres"]
    role = f"CREATE ROLE {name}_user LOGIN CREATEDB PASSWORD '{name}_pass'"
    with timed(f"making the {name} cluster in {data}"):
        for command, sql in ((initdb, ""), (single, f"{role}\nCREATE DATABASE {name}_db OWNER {name}_user\n")):
            done = subprocess.run(command, cwd=home, input=sql, text=True, capture_output=True, check=False, **PG_USER)
            if done.returncode:
                raise Failure(f"{done.stderr}{shlex.join(command)} failed")
        new.rename(data)


def postgres(database: Database) -> Server:
    number, home, programs = port(database.base_port), state(f"pg-{database.name}"), pg_bin()
    data = home / f"data-{programs.parent.name}"
    place = ["-p", str(number), "-h", HOST, "-k", str(home)]
    probe = [str(programs / "pg_isready"), "-q", "-h", HOST, "-p", str(number)]
    return Server(
        name=home.name,
        title=f"PostgreSQL {database.name}",
        port=number,
        command=[str(programs / "postgres"), "-D", str(data), *place, "-c", "max_connections=300"],
        ready=lambda: subprocess.run(probe, check=False).returncode == 0,
        prepare=lambda: make_cluster(database.name, data),
        user=PG_USER,
        stop_signal=signal.SIGINT,  # a "fast shutdown"
        # After a crash it first syncs every file of every test's database, on a disk that may be busy.
        patience=180,
    )


def psql(url: str, *arguments: str) -> None:
    run([str(pg_bin() / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", *arguments, url])
