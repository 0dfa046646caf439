"""All servers of the stack, and the infrastructure as a whole.

infra() is what the services need for a bus, services() are Waypost's own; each list is in the order of the start.
Events in PostgreSQL need PostgreSQL only: Redis and LocalStack are then neither started nor installed. Who borrows the
infrastructure leaves it as it was: what did not run before does not run after.
"""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from installing import C_COMPILER, Need, install_missing
from localstack import localstack
from messages import say
from places import (
    HOST,
    POSTGRES_SERVERS,
    REDIS,
    SERVICES,
    Bus,
    Service,
    environment,
    folders,
    here,
    mails,
    make_state,
    port,
    shared_by_instances,
    takes_tokens,
    state,
)
from postgres import postgres
from supervision import Server, answers, locked, record_of, running, start, stop_all

REDIS_SERVER = Need("Redis", "redis-server", lambda: shutil.which("redis-server"))


def redis() -> Server:
    number = port(REDIS.base_port)
    options = ["--port", str(number), "--bind", HOST, "--dir", str(state("redis")), "--save", "", "--appendonly", "no"]

    def ready() -> bool:
        with suppress(OSError), socket.create_connection((HOST, number), 2) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(5) == b"+PONG"
        return False

    command = [shutil.which("redis-server") or "", *options]
    return Server("redis", "Redis", number, command, ready, needs=(REDIS_SERVER,))


def infra(bus: Bus) -> list[Server]:
    databases = [postgres(server) for server in POSTGRES_SERVERS]
    return databases if bus is Bus.EMBEDDED else [*databases, redis(), localstack()]


def service(row: Service, bus: Bus, binary: Path) -> Server:
    return Server(
        name=row.name,
        title=row.name,
        port=port(row.base_port),
        command=[str(binary), "run", *row.arguments.split()],
        ready=lambda: answers(port(row.probed_at.base_port), "/readyz"),
        variables=environment(bus, databases=row.databases)
        | folders(row.folders)
        | (mails() if row.mails else {})
        | (takes_tokens() if row.tokens else {})
        | (shared_by_instances(bus) if row.redis else {})
        | {row.listen: here(row.place)}
        | ({row.admin[0]: here(row.probed_at)} if row.admin else {}),
    )


def services(bus: Bus, binary: Path = Path()) -> list[Server]:
    return [service(row, bus, binary) for row in SERVICES if row.always]


def known(bus: Bus) -> list[Server]:
    """What the stack has for a bus, and whatever else was started and not stopped."""
    named = {server.name for server in infra(bus)}
    everything = infra(Bus.LOCALSTACK)
    return [*(server for server in everything if server.name in named or record_of(server.name)), *services(bus)]


def start_infra(bus: Bus) -> None:
    make_state()
    install_missing([C_COMPILER, *(need for server in infra(bus) for need in server.needs)])
    with locked(state("lock")):
        start(infra(bus))


def leave(former: Bus, bus: Bus) -> None:
    """Stops what runs for another bus: the services, and the servers that only it needs."""
    if former is bus:
        return
    needed = [server.name for server in infra(bus)]
    leaving = [server.name for server in (*infra(former), *services(former)) if server.name not in needed]
    if "localstack" in leaving:
        say("LocalStack keeps nothing: events in its queues that no worker has applied are lost to profiles")
    stop_all([name for name in leaving if running(name)])


@contextmanager
def borrowed_infra(bus: Bus) -> Iterator[None]:
    """The infrastructure for as long as it is needed: what did not run before does not run after."""
    make_state()
    missing = [server.name for server in infra(bus) if not running(server.name)]
    try:
        start_infra(bus)
        yield
    finally:
        stop_all(missing)
